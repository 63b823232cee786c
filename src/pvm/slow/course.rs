//! The machine under way: from tick to tick with everything that makes the way short.
//!
//! Promises: wherever it stops, its state is the one that single ticks lead to; where the machine
//! waits for a message it stops and says so; reveals are answered by the environment. Refuses to
//! know: where messages come from.

use std::sync::atomic::Ordering;

use super::engine::{answer_reveal, gave_up};
use super::machine::{Expects, Machine, SlowError};
use crate::crypto::Hash;
use crate::pvm::{Environment, InputInfo, InputRequest, NotJudgeable, Phase, RunError, State};

/// Ticks between two looks at the stop signal.
const PATIENCE: u32 = 1 << 16;

/// Where a course stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// At the tick that was asked for.
    There,
    /// Before it, waiting for a message.
    Waits(InputRequest),
}

/// A machine on its way. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Course {
    machine: Machine,
}

impl Course {
    /// A course that begins in this state.
    ///
    /// # Errors
    /// [`SlowError`] when the inside of a kernel run cannot be read.
    pub fn new(state: State, environment: &Environment) -> Result<Self, SlowError> {
        Ok(Self {
            machine: Machine::new(state)?.listing(environment.listing),
        })
    }

    /// Ticks since origination.
    #[must_use]
    pub const fn tick(&self) -> u128 {
        self.machine.state().current_tick
    }

    /// The machine where the course stands.
    ///
    /// # Errors
    /// [`SlowError`] when the state cannot be rebuilt.
    pub fn machine(&mut self) -> Result<&mut Machine, SlowError> {
        Ok(&mut self.machine)
    }

    /// Hash of the state.
    ///
    /// # Errors
    /// [`SlowError`] when the state has no encoding.
    pub fn hash(&mut self) -> Result<Hash, SlowError> {
        self.machine.hash()
    }

    /// Gives a message: one tick.
    ///
    /// # Errors
    /// [`SlowError`] when the state cannot be read.
    pub fn set_input(&mut self, info: InputInfo, payload: &[u8]) -> Result<(), SlowError> {
        self.machine.set_input(info, payload)
    }

    /// Goes on to this tick, or to where the machine waits for a message.
    ///
    /// # Errors
    /// [`RunError`] when a tick on the way has no result.
    pub fn advance(&mut self, target: u128, environment: &Environment) -> Result<Stop, RunError> {
        let mut debug = |text: &[u8]| (environment.debug)(text);
        let mut until_look = PATIENCE;
        loop {
            until_look -= 1;
            if until_look == 0 {
                until_look = PATIENCE;
                if environment.interrupt.load(Ordering::Relaxed) {
                    return Err(NotJudgeable::Interrupted.into());
                }
            }
            let left = target.saturating_sub(self.tick());
            if left == 0 {
                return Ok(Stop::There);
            }
            if self.leap(target, environment)? || self.machine.pad(left) > 0 {
                continue;
            }
            match self.machine.expects() {
                Expects::Input(request) => return Ok(Stop::Waits(request)),
                Expects::Reveal(request) => {
                    answer_reveal(&mut self.machine, &request, environment)?;
                }
                Expects::Nothing => {
                    self.machine.tick_with(&mut debug).map_err(gave_up)?;
                }
            }
        }
    }

    /// A whole kernel run on the fast engine, if the target is certainly behind it.
    fn leap(&mut self, target: u128, environment: &Environment) -> Result<bool, RunError> {
        let (Phase::Snapshot, Some(fast)) = (&self.machine.state().phase, &environment.fast) else {
            return Ok(false);
        };
        if target.saturating_sub(self.tick()) < WORTH_IT {
            return Ok(false);
        }
        let period = match fast.run(self.machine.state(), environment) {
            Ok(period) => period,
            Err(RunError::Declined(_)) => return Ok(false),
            Err(other) => return Err(other),
        };
        let ended = match period.ticks {
            crate::pvm::RunTicks::Exact => period.state.current_tick,
            crate::pvm::RunTicks::AtMost(ticks) => self.tick().saturating_add(ticks),
        };
        if target < ended {
            return Ok(false);
        }
        let mut state = period.state;
        state.current_tick = state.current_tick.min(target);
        let mut edges = self.machine.edges().clone();
        edges.extend(&period.edges);
        self.machine = Machine::new(state)
            .map_err(gave_up)?
            .listing(environment.listing)
            .with_edges(edges);
        Ok(true)
    }
}

/// Ticks to go from which a run on the fast engine is tried first.
const WORTH_IT: u128 = 1_000_000;
