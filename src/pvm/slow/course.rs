//! The machine under way: from tick to tick with everything that makes the way short.
//!
//! Promises: wherever it stops, its state is the one that single ticks lead to; where the machine
//! waits for a message it stops and says so; reveals are answered by the environment. Whole kernel
//! runs before the target go to the fast engine where it can be trusted; openings are shared;
//! evaluation runs natively. Refuses to know: where messages come from.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::engine::gave_up;
use super::machine::{Expects, Machine, SlowError};
use super::native::{Native, Went};
use super::opening::{End, Opening, Purpose};
use crate::crypto::Hash;
use crate::merkle::Tree;
use crate::pvm::{
    Environment, InputInfo, InputRequest, NotJudgeable, Phase, PvmError, RunError, RunTicks, State,
    Status, Stuck,
};
use crate::wasm::encoding::Style;

/// Ticks to go from which a run on the fast engine is tried first.
const WORTH_IT: u128 = 1_000_000;
/// Ticks taken between two looks at the stop signal.
const PATIENCE: u128 = 1 << 31;

/// Where a course stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// At the tick that was asked for.
    There,
    /// Before it, waiting for a message.
    Waits(InputRequest),
}

/// How a kernel run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// In padding, or stuck.
    Over,
    /// Not within the ticks it was given.
    TooLong,
}

/// Ticks since origination at which the parts of a kernel run before its evaluation meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpeningTicks {
    /// The first of parsing.
    pub begun: u128,
    /// The last of parsing.
    pub parsed: u128,
    /// The first of initialising.
    pub linked: u128,
    /// The first of evaluation or, where there is none, the last of all.
    pub last: u128,
}

/// What stands for the inside of a kernel run.
#[derive(Debug, Clone)]
enum Inside {
    /// The machine's own.
    Exact,
    /// A place in the opening that begins at tick `begun`.
    Opening { opening: Arc<Opening>, begun: u128 },
    /// Native evaluation.
    Native(Box<Native>),
}

/// A machine on its way. Cheap to clone once [`Course::fold`]ed.
#[derive(Debug, Clone)]
pub struct Course {
    /// At its tick; the inside of a kernel run is in `inside`.
    machine: Machine,
    inside: Inside,
    /// The same, with the inside of a kernel run in place, once asked for.
    exact: Option<Box<Rebuilt>>,
    purpose: Purpose,
    /// Tick of the evaluation that run mode does not take.
    declined: Option<u128>,
    trap: Option<String>,
}

/// A machine with the inside of its kernel run.
#[derive(Debug, Clone)]
struct Rebuilt {
    machine: Machine,
    /// The tree of its state, as long as nobody had the machine to change it.
    tree: Option<Tree>,
}

impl Course {
    /// A course that begins in this state.
    ///
    /// # Errors
    /// [`SlowError`] when the inside of a kernel run cannot be read.
    pub fn new(
        state: State,
        environment: &Environment,
        purpose: Purpose,
    ) -> Result<Self, SlowError> {
        Ok(Self {
            machine: Machine::new(state)?.listing(environment.listing),
            inside: Inside::Exact,
            exact: None,
            purpose,
            declined: None,
            trap: None,
        })
    }

    /// Ticks since origination.
    #[must_use]
    pub const fn tick(&self) -> u128 {
        self.machine.state.current_tick
    }

    /// The phase of the state, the inside of a kernel run left out.
    #[must_use]
    pub const fn phase(&self) -> &Phase {
        &self.machine.state.phase
    }

    /// The text of the last trap that ended a native evaluation.
    #[must_use]
    pub fn trap(&self) -> Option<&str> {
        self.trap.as_deref()
    }

    /// Tick at which the present period began.
    #[must_use]
    pub const fn period_began(&self) -> u128 {
        self.machine.state.last_top_level_call
    }

    /// Tick whose step ends the present period, if nothing ends it before.
    #[must_use]
    pub fn period_ends(&self) -> u128 {
        self.tick().saturating_add(self.budget())
    }

    /// Tick at which evaluation begins, of a run that is not there yet; none when it does not.
    ///
    /// # Errors
    /// [`RunError`] when a tick on the way has no result.
    pub fn evaluation_begins(&self) -> Result<Option<u128>, RunError> {
        let Inside::Opening { opening, begun } = &self.inside else {
            return Ok(None);
        };
        let (last, end) = opening.end().map_err(|fault| gave_up(fault.into()))?;
        Ok(matches!(end, End::Evaluates).then(|| begun.saturating_add(u128::from(last))))
    }

    /// The parts of a kernel run before its evaluation, when the course stands in them.
    ///
    /// # Errors
    /// [`RunError`] when a tick on the way has no result.
    pub fn opening(&self) -> Result<Option<OpeningTicks>, RunError> {
        let Inside::Opening { opening, begun } = &self.inside else {
            return Ok(None);
        };
        let parts = opening.parts();
        let (parsed, linked, last) = parts.map_err(|fault| gave_up(fault.into()))?;
        let since = |tick: u64| begun.saturating_add(u128::from(tick));
        Ok(Some(OpeningTicks {
            begun: *begun,
            parsed: since(parsed),
            linked: since(linked),
            last: since(last),
        }))
    }

    /// The machine where the course stands, to read; ticks that it takes are its own.
    ///
    /// # Errors
    /// [`RunError`] when the state cannot be rebuilt.
    pub fn exact(&mut self, environment: &Environment) -> Result<&mut Machine, RunError> {
        self.rebuild(environment)?;
        Ok(match &mut self.exact {
            Some(exact) => {
                exact.tree = None;
                &mut exact.machine
            }
            None => &mut self.machine,
        })
    }

    /// The tree of the state where the course stands.
    ///
    /// # Errors
    /// [`RunError`] when the state has no encoding.
    pub fn tree(&mut self, environment: &Environment) -> Result<Tree, RunError> {
        self.rebuild(environment)?;
        let (machine, kept) = match &mut self.exact {
            Some(exact) => (&mut exact.machine, Some(&mut exact.tree)),
            None => (&mut self.machine, None),
        };
        if let Some(Some(tree)) = &kept {
            return Ok(tree.clone());
        }
        let tree = machine.encode(Style::Changed).map_err(gave_up)?.clone();
        if let Some(kept) = kept {
            *kept = Some(tree.clone());
        }
        Ok(tree)
    }

    /// Takes the last ticks, so that the state is there.
    ///
    /// # Errors
    /// [`RunError`] when the state cannot be rebuilt.
    pub fn rebuild(&mut self, environment: &Environment) -> Result<(), RunError> {
        match &mut self.inside {
            Inside::Exact => {}
            Inside::Opening { opening, begun } if self.exact.is_none() => {
                let at = self.machine.state.current_tick.saturating_sub(*begun);
                let at = u64::try_from(at).unwrap_or(u64::MAX);
                let run = opening.run_at(at).map_err(|fault| gave_up(fault.into()))?;
                let mut machine = self.machine.clone();
                machine.run = Some(run);
                // What is written once is kept for the next state of this opening.
                let tree = machine.encode(Style::Changed).map_err(gave_up)?.clone();
                if let Some(run) = &machine.run {
                    opening.keep(at, run);
                }
                let tree = Some(tree);
                self.exact = Some(Box::new(Rebuilt { machine, tree }));
            }
            Inside::Native(native) if self.exact.is_none() => {
                let machine = native.machine(&self.machine, environment)?;
                let tree = None;
                self.exact = Some(Box::new(Rebuilt { machine, tree }));
            }
            Inside::Opening { .. } | Inside::Native(_) => {}
        }
        Ok(())
    }

    /// Hash of the state.
    ///
    /// # Errors
    /// [`RunError`] when the state has no encoding.
    pub fn hash(&mut self, environment: &Environment) -> Result<Hash, RunError> {
        let hash = self.tree(environment)?.hash();
        Ok(hash.map_err(PvmError::from)?)
    }

    /// The same course with little memory of its own, for keeping.
    ///
    /// # Errors
    /// [`RunError`] when the state cannot be rebuilt.
    pub fn folded(&mut self) -> Result<Self, RunError> {
        let inside = match &mut self.inside {
            Inside::Native(native) => Inside::Native(Box::new(native.folded()?)),
            other => other.clone(),
        };
        Ok(Self {
            machine: self.machine.clone(),
            inside,
            exact: None,
            purpose: self.purpose,
            declined: self.declined,
            trap: self.trap.clone(),
        })
    }

    /// Memory of the kernel in bytes, in native evaluation: what keeping the state may cost.
    #[must_use]
    pub fn weight(&self) -> usize {
        match &self.inside {
            Inside::Native(native) => native.memory(),
            Inside::Exact | Inside::Opening { .. } => 0,
        }
    }

    /// Gives a message: one tick.
    ///
    /// # Errors
    /// [`RunError`] when the state cannot be read.
    pub fn set_input(
        &mut self,
        info: InputInfo,
        payload: &[u8],
        environment: &Environment,
    ) -> Result<(), RunError> {
        self.materialise(environment)?;
        self.machine.set_input(info, payload).map_err(gave_up)
    }

    /// The state and what was marked on the way.
    ///
    /// # Errors
    /// [`RunError`] when the state has no encoding.
    pub fn into_machine(mut self, environment: &Environment) -> Result<Machine, RunError> {
        self.materialise(environment)?;
        Ok(self.machine)
    }

    /// From here on by single ticks.
    fn materialise(&mut self, environment: &Environment) -> Result<(), RunError> {
        if !matches!(self.inside, Inside::Exact) {
            self.machine = self.exact(environment)?.clone();
            self.inside = Inside::Exact;
        }
        self.exact = None;
        Ok(())
    }

    /// Goes on to this tick, or to where the machine waits for a message.
    ///
    /// # Errors
    /// [`RunError`] when a tick on the way has no result.
    pub fn advance(&mut self, target: u128, environment: &Environment) -> Result<Stop, RunError> {
        self.go(target, environment, |_| false)
    }

    /// Goes on until the kernel run is over, to the first tick of padding, or stuck; at most so many
    /// ticks.
    ///
    /// # Errors
    /// [`RunError`] when a tick on the way has no result.
    pub fn finish_run(&mut self, most: u128, environment: &Environment) -> Result<Ended, RunError> {
        let is_over = |phase: &Phase| matches!(phase, Phase::Padding | Phase::Stuck(_));
        let target = self.tick().saturating_add(most);
        self.go(target, environment, is_over)?;
        Ok(if is_over(self.phase()) {
            Ended::Over
        } else {
            Ended::TooLong
        })
    }

    /// Goes on to where the state has another phase.
    ///
    /// # Errors
    /// [`RunError`] when a tick on the way has no result.
    pub fn finish_phase(&mut self, environment: &Environment) -> Result<(), RunError> {
        let tag = self.phase().tag();
        self.go(u128::MAX, environment, |phase| phase.tag() != tag)?;
        Ok(())
    }

    fn go(
        &mut self,
        target: u128,
        environment: &Environment,
        is_over: impl Fn(&Phase) -> bool,
    ) -> Result<Stop, RunError> {
        while self.tick() < target && !is_over(self.phase()) {
            if environment.interrupt.load(Ordering::Relaxed) {
                return Err(NotJudgeable::Interrupted.into());
            }
            let expects = match &self.inside {
                Inside::Exact => self.machine.expects(),
                _ => Expects::Nothing,
            };
            if let Expects::Input(request) = expects {
                return Ok(Stop::Waits(request));
            }
            let until = target.min(self.tick().saturating_add(PATIENCE));
            match &self.inside {
                Inside::Exact => self.exact_ticks(target, until, environment)?,
                Inside::Opening { .. } => self.opening_ticks(target, environment)?,
                Inside::Native(_) => self.native_ticks(until, environment)?,
            }
        }
        Ok(Stop::There)
    }

    fn exact_ticks(
        &mut self,
        target: u128,
        until: u128,
        environment: &Environment,
    ) -> Result<(), RunError> {
        match &self.machine.state.phase {
            Phase::Padding => {
                let left = target.saturating_sub(self.tick());
                if self.machine.pad(left) > 0 {
                    return Ok(());
                }
            }
            Phase::Snapshot => {
                if self.purpose == Purpose::Hashes && self.leap(target, environment)? {
                    return Ok(());
                }
                return self.begin(environment);
            }
            _ => {}
        }
        if self.machine.makes_first_call() && self.declined != Some(self.tick()) {
            if let Some(native) = Native::of(&mut self.machine, self.purpose)? {
                self.inside = Inside::Native(Box::new(native));
                return Ok(());
            }
            self.declined = Some(self.tick());
        }
        self.machine.some_ticks(until, environment)
    }

    /// The tick that begins a kernel run.
    fn begin(&mut self, environment: &Environment) -> Result<(), RunError> {
        self.machine.tick().map_err(gave_up)?;
        if let Phase::Running(..) = self.machine.state.phase
            && let Some(opening) = environment.openings.of(&mut self.machine.state)?
        {
            let begun = self.tick();
            self.machine.run = None;
            self.inside = Inside::Opening { opening, begun };
        }
        Ok(())
    }

    /// Ticks left before the period is over.
    fn budget(&self) -> u128 {
        u128::try_from(self.machine.state.ticks_left()).unwrap_or(0)
    }

    fn opening_ticks(&mut self, target: u128, environment: &Environment) -> Result<(), RunError> {
        let Inside::Opening { opening, begun } = &self.inside else {
            return Ok(());
        };
        let (opening, begun) = (Arc::clone(opening), *begun);
        self.exact = None;
        let expiry = self.tick().saturating_add(self.budget());
        let fault = |fault: crate::wasm::fault::Fault| gave_up(fault.into());
        let (last, end) = opening.end().map_err(fault)?;
        let last = begun.saturating_add(u128::from(last));
        if target <= expiry.min(last) && !(target == last && matches!(end, End::Evaluates)) {
            self.machine.state.current_tick = target;
            return Ok(());
        }
        if expiry < last {
            self.machine.state.current_tick = expiry;
            return self.stuck(Stuck::TooManyTicks);
        }
        self.machine.state.current_tick = last;
        match end {
            // The state is there at the last tick; other endings come with the tick after it.
            End::Evaluates => self.evaluate(&opening),
            _ if expiry == last => self.stuck(Stuck::TooManyTicks),
            End::Stuck(error) => self.stuck(error),
            End::CallsHost | End::Starts => self.materialise(environment),
        }
    }

    /// A tick that leaves the machine stuck.
    fn stuck(&mut self, error: Stuck) -> Result<(), RunError> {
        self.inside = Inside::Exact;
        self.machine.run = None;
        self.machine.state.phase = Phase::Stuck(error);
        Ok(self.machine.state.finish_tick(Status::Failing)?)
    }

    /// Evaluation begins; its first tick is the present one.
    fn evaluate(&mut self, opening: &Arc<Opening>) -> Result<(), RunError> {
        self.machine.state.save_fallback()?;
        let fault = |fault: crate::wasm::fault::Fault| gave_up(fault.into());
        let running = crate::pvm::Running::Eval;
        self.machine.state.phase = Phase::Running(running, crate::merkle::Tree::empty());
        let begun = self.tick();
        match Native::new(opening, begun, self.purpose) {
            Ok(native) => self.inside = Inside::Native(Box::new(native)),
            Err(crate::wasm::run::RunError::Declined(_)) => {
                let eval = opening.evaluation(self.purpose).map_err(fault)?;
                self.machine.run = Some(super::machine::Run::Eval(eval));
                self.inside = Inside::Exact;
                self.declined = Some(begun);
            }
            Err(crate::wasm::run::RunError::Fault(other)) => return Err(fault(other)),
        }
        Ok(())
    }

    fn native_ticks(&mut self, until: u128, environment: &Environment) -> Result<(), RunError> {
        self.exact = None;
        let budget = self.budget();
        if budget == 0 {
            // The run may just be over: the exact machine knows.
            return self.materialise(environment);
        }
        let until = until.min(self.tick().saturating_add(budget));
        let Inside::Native(native) = &mut self.inside else {
            return Ok(());
        };
        match native.advance(&mut self.machine, until, environment)? {
            Went::There => {
                self.machine.state.current_tick = until;
                // The last ticks are single ones, among which the run may end.
                let exact = native.machine(&self.machine, environment)?;
                if !native.is_inside(&exact) {
                    self.machine = exact;
                    self.inside = Inside::Exact;
                } else {
                    let (machine, tree) = (exact, None);
                    self.exact = Some(Box::new(Rebuilt { machine, tree }));
                }
            }
            Went::Padding | Went::Started => self.inside = Inside::Exact,
            Went::Trapped(text) => {
                tracing::debug!(tick = %self.tick(), trap = text, "the kernel trapped");
                self.trap = Some(text);
                self.inside = Inside::Exact;
            }
            Went::Raised(error) => return self.stuck(error),
            Went::Declined => self.materialise(environment)?,
        }
        Ok(())
    }

    /// A whole kernel run on the fast engine, if the target is certainly behind it.
    fn leap(&mut self, target: u128, environment: &Environment) -> Result<bool, RunError> {
        let Some(fast) = &environment.fast else {
            return Ok(false);
        };
        if target.saturating_sub(self.tick()) < WORTH_IT {
            return Ok(false);
        }
        let period = match fast.run(&self.machine.state, environment) {
            Ok(period) => period,
            Err(RunError::Declined(_)) => return Ok(false),
            Err(other) => return Err(other),
        };
        let ended = match period.ticks {
            RunTicks::Exact => period.state.current_tick,
            RunTicks::AtMost(ticks) => self.tick().saturating_add(ticks),
        };
        if target < ended {
            return Ok(false);
        }
        self.machine.state = period.state;
        let tick = &mut self.machine.state.current_tick;
        *tick = target.min(*tick);
        self.machine.edges.extend(&period.edges);
        Ok(true)
    }
}
