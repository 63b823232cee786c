//! The machine over consecutive levels: its state, its hash and its proof at any tick of them.
//!
//! Promises: ticks count from the given state (as a commitment counts them); what is said of a
//! tick is what single ticks lead to; a narrowing sequence of questions costs only its own width,
//! since states on the way are kept, in bounded number. Refuses to know: games, and where messages
//! come from.

mod ladder;
mod once;
mod stretches;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ladder::{Ladder, Stand};
use once::Once;
pub use stretches::{Doing, Stretch};

use super::slow::{
    self, Course, Description, Expects, Input, ProveError, Proved, Purpose, SlowError, Stop,
};
use super::{Engine, Environment, InputInfo, InputRequest, NotJudgeable, RunError, State};
use crate::crypto::Hash;
use crate::merkle::{Proof, Tree};
use crate::protocol::Level;
use crate::wasm::encoding::Style;

/// Why a tick cannot be proved or described.
#[derive(Debug, thiserror::Error)]
pub enum TimelineError {
    /// The way there has no result.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The machine has no state at this tick, or none after it.
    #[error("the machine does not reach tick {tick}, it stops at {last}")]
    NoState {
        /// The tick.
        tick: u128,
        /// The last tick it has a state at.
        last: u128,
    },
    /// The state waits for a message beyond the given levels.
    #[error("the state at tick {tick} waits for a message beyond the given levels")]
    NoMessage {
        /// The tick.
        tick: u128,
    },
    /// The step has no proof.
    #[error(transparent)]
    Prove(#[from] ProveError),
}

/// The proof of one tick, with all that belongs to it.
#[derive(Debug, Clone)]
pub struct TickProof {
    /// The proof itself.
    pub proof: Proof,
    /// Hash of the state before.
    pub before: Hash,
    /// Hash of the state after.
    pub after: Hash,
    /// What the state before waits for.
    pub expects: Expects,
    /// What the tick was given.
    pub input: Input,
}

/// Messages of the levels, one after the other.
#[derive(Debug)]
struct Inputs {
    levels: Vec<(Level, Arc<[Vec<u8>]>)>,
}

/// Place of the next message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Next {
    level: usize,
    message: usize,
}

impl Inputs {
    /// The message at a place or, where a level has no more, the first after it.
    fn at(&self, mut next: Next) -> Option<(InputInfo, &[u8], Next)> {
        loop {
            let (level, messages) = self.levels.get(next.level)?;
            if let Some(payload) = messages.get(next.message) {
                let info = InputInfo {
                    level: *level,
                    counter: next.message as u128,
                };
                next.message += 1;
                return Some((info, payload, next));
            }
            next = Next {
                level: next.level + 1,
                message: 0,
            };
        }
    }
}

/// The machine over consecutive levels.
pub struct Timeline {
    /// Tick since origination at which it begins.
    first: u128,
    inputs: Inputs,
    environment: Environment,
    ladder: Ladder,
    /// Where it was last.
    here: Stand,
    length: Option<u128>,
    /// The state after the last tick proved, at its tick, where that waits for nothing: the next
    /// proof begins there at once.
    proved: Option<(u128, Tree)>,
    /// Hashes that were known when asked for, and those that were not.
    counts: (u64, u64),
}

impl std::fmt::Debug for Timeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timeline")
            .field("first", &self.first)
            .field("here", &self.here.course.tick())
            .finish_non_exhaustive()
    }
}

fn failed(error: SlowError) -> RunError {
    match error {
        SlowError::State(error) => RunError::State(error),
        SlowError::Fault(fault) => NotJudgeable::Reference(fault.to_string()).into(),
    }
}

impl Timeline {
    /// The machine from this state on, given the messages of these levels in their order. What the
    /// kernel prints was printed when the levels were followed: it is not printed again.
    ///
    /// # Errors
    /// [`RunError`] when the state cannot be read.
    pub fn new(
        start: State,
        levels: Vec<(Level, Arc<[Vec<u8>]>)>,
        environment: Environment,
    ) -> Result<Self, RunError> {
        let once = |engine| Arc::new(Once::new(engine)) as Arc<dyn Engine>;
        let environment = Environment {
            fast: environment.fast.map(once),
            debug: Arc::new(|_| {}),
            trace: None,
            ..environment
        };
        let first = start.current_tick;
        let here = Stand {
            course: Course::new(start, &environment, Purpose::Hashes).map_err(failed)?,
            next: Next::default(),
        };
        Ok(Self {
            first,
            inputs: Inputs { levels },
            environment,
            ladder: Ladder::new(here.clone()),
            here,
            length: None,
            proved: None,
            counts: (0, 0),
        })
    }

    /// Ticks up to the last input request: the state there waits for a message beyond the levels.
    ///
    /// # Errors
    /// [`RunError`] when the way there has no result.
    pub fn length(&mut self) -> Result<u128, RunError> {
        if let Some(length) = self.length {
            return Ok(length);
        }
        self.seek(u128::MAX)?;
        let length = self.here.course.tick().saturating_sub(self.first);
        self.length = Some(length);
        Ok(length)
    }

    /// Hashes of the states at these ticks, which ascend; nothing where the machine has no state:
    /// it waits for a message beyond the levels, or its next step raises.
    ///
    /// # Errors
    /// [`RunError`] when nothing can be said about a tick on the way.
    pub fn hashes(&mut self, ticks: &[u128]) -> Result<Vec<Option<Hash>>, RunError> {
        if let (Some(first), Some(last)) = (ticks.first(), ticks.last()) {
            self.ladder.centre(*first, *last);
        }
        let mut hashes = Vec::with_capacity(ticks.len());
        for tick in ticks {
            hashes.push(self.hash(*tick)?);
        }
        Ok(hashes)
    }

    fn hash(&mut self, tick: u128) -> Result<Option<Hash>, RunError> {
        if let Some(hash) = self.ladder.hash(tick) {
            self.counts.0 = self.counts.0.saturating_add(1);
            return Ok(Some(hash));
        }
        self.counts.1 = self.counts.1.saturating_add(1);
        if !self.seek(tick)? {
            return Ok(None);
        }
        let hash = self.here.course.hash(&self.environment)?;
        self.ladder.learn(tick, hash);
        self.ladder.keep(tick, &mut self.here)?;
        Ok(Some(hash))
    }

    /// Hashes that were known when asked for, and those that had to be computed, since the last
    /// time this was asked.
    pub fn take_counts(&mut self) -> (u64, u64) {
        std::mem::take(&mut self.counts)
    }

    /// The proof of the tick that leads from the state at `tick` to the next.
    ///
    /// # Errors
    /// [`TimelineError`].
    pub fn prove(&mut self, tick: u128) -> Result<TickProof, TimelineError> {
        let (tree, input) = match self.proved.take_if(|(at, _)| *at == tick) {
            Some((_, tree)) => (tree, Input::None),
            None => self.before(tick)?,
        };
        let Proved {
            proof,
            expects,
            after,
        } = slow::prove(&tree, &input)?;
        self.proved = after.map(|after| (tick.saturating_add(1), after));
        Ok(TickProof {
            before: proof.before().hash(),
            after: proof.after().hash(),
            proof,
            expects,
            input,
        })
    }

    /// The state at `tick`, and what it is given.
    fn before(&mut self, tick: u128) -> Result<(Tree, Input), TimelineError> {
        self.reach(tick)?;
        let tree = self.here.course.tree(&self.environment)?;
        let machine = self.here.course.exact(&self.environment)?;
        let input = match &machine.expects() {
            Expects::Nothing => Input::None,
            Expects::Input(_) => self
                .inputs
                .at(self.here.next)
                .map(|(info, payload, _)| Input::Message {
                    info,
                    payload: payload.to_vec(),
                })
                .ok_or(TimelineError::NoMessage { tick })?,
            Expects::Reveal(request) => {
                let level = machine.state().last_input.map(|info| info.level);
                let data = self.environment.reveals.answer(request, level);
                Input::Revealed(data.map_err(|error| RunError::from(NotJudgeable::from(error)))?)
            }
        };
        Ok((tree, input))
    }

    /// The state at `tick` as people read it; its own tick counts from origination.
    ///
    /// # Errors
    /// [`TimelineError`].
    pub fn describe(&mut self, tick: u128) -> Result<Description, TimelineError> {
        self.reach(tick)?;
        let machine = self.here.course.exact(&self.environment)?;
        Ok(machine.describe().map_err(failed)?)
    }

    /// The state at `tick`, with everything in its tree.
    ///
    /// # Errors
    /// [`TimelineError`].
    pub fn state(&mut self, tick: u128) -> Result<State, TimelineError> {
        self.reach(tick)?;
        let machine = self.here.course.exact(&self.environment)?;
        machine.encode(Style::Changed).map_err(failed)?;
        Ok(machine.state().clone())
    }

    fn reach(&mut self, tick: u128) -> Result<(), TimelineError> {
        if self.seek(tick)? {
            self.ladder.keep(tick, &mut self.here)?;
            return Ok(());
        }
        let last = self.here.course.tick().saturating_sub(self.first);
        Err(TimelineError::NoState { tick, last })
    }

    /// Goes to a tick, from the nearest state before it; says whether the machine has one there.
    fn seek(&mut self, tick: u128) -> Result<bool, RunError> {
        let target = self.first.saturating_add(tick);
        if let Some(nearer) = self.ladder.below(tick) {
            let here = self.here.course.tick();
            if here > target || here < nearer.course.tick() {
                self.here = nearer.clone();
            }
        }
        loop {
            match self.here.course.advance(target, &self.environment) {
                // The last ticks are taken when the state is rebuilt.
                Ok(Stop::There) => match self.here.course.rebuild(&self.environment) {
                    Err(RunError::NotJudgeable(NotJudgeable::NoNextState { .. })) => {
                        return Ok(false);
                    }
                    rebuilt => return rebuilt.map(|()| true),
                },
                Ok(Stop::Waits(_)) => {}
                Err(RunError::NotJudgeable(NotJudgeable::NoNextState { .. })) => return Ok(false),
                Err(error) => return Err(error),
            }
            let Some((info, payload, next)) = self.inputs.at(self.here.next) else {
                return Ok(false);
            };
            let course = &mut self.here.course;
            course.set_input(info, payload, &self.environment)?;
            self.here.next = next;
        }
    }

    /// What the state at `tick` waits for, a reveal included.
    ///
    /// # Errors
    /// [`TimelineError`].
    pub fn expects(&mut self, tick: u128) -> Result<Expects, TimelineError> {
        self.reach(tick)?;
        let machine = self.here.course.exact(&self.environment)?;
        Ok(machine.expects())
    }

    /// Whether the state at `tick` waits for a message.
    ///
    /// # Errors
    /// [`TimelineError`].
    pub fn input_request(&mut self, tick: u128) -> Result<InputRequest, TimelineError> {
        Ok(match self.expects(tick)? {
            Expects::Input(request) => request,
            Expects::Nothing | Expects::Reveal(_) => InputRequest::Nothing,
        })
    }
}
