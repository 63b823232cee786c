//! Driving the machine through whole levels.
//!
//! Promises: after a level the state waits for the next message, and every state on the way that
//! an observer asks for is the protocol's. Refuses to know: where messages come from, what a
//! commitment is. Upstream rule: `sc_rollup_inbox` (order of messages), `fast/vm.ml` (runs).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::PvmError;
use super::durable::ListingOrder;
use super::edge::Edges;
use super::engine::{Declined, Engine, NotJudgeable, Period, ReferenceEngine, RunError, RunTicks};
use super::host::{HostFunction, HostValue};
use super::reveal::Reveals;
use super::slow::{Openings, SlowEngine};
use super::state::{InputInfo, InputRequest, Phase, State};
use crate::protocol::Level;

/// Receives what kernels print.
pub type DebugSink = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// Sees a host call: function, arguments, result.
pub type HostTrace = Arc<dyn Fn(HostFunction, &[HostValue], Option<HostValue>) + Send + Sync>;

/// What runs need from outside.
#[derive(Clone)]
pub struct Environment {
    /// Runs kernels natively; none in a build without it.
    pub fast: Option<Arc<dyn Engine>>,
    /// Runs what the fast engine declines.
    pub reference: Arc<dyn ReferenceEngine>,
    /// Answers reveals.
    pub reveals: Arc<dyn Reveals>,
    /// Kernels that were parsed and initialised before.
    pub openings: Openings,
    /// Receives what kernels print.
    pub debug: DebugSink,
    /// Order in which directories are listed; see [`ListingOrder`].
    pub listing: ListingOrder,
    /// Sees every host call, for checks and traces.
    pub trace: Option<HostTrace>,
    /// Set to stop a run at its next host call.
    pub interrupt: Arc<AtomicBool>,
}

impl Environment {
    /// The reference engine alone; nothing is printed.
    #[must_use]
    pub fn without_fast(reveals: Arc<dyn Reveals>) -> Self {
        Self {
            fast: None,
            reference: Arc::new(SlowEngine::default()),
            reveals,
            openings: Openings::default(),
            debug: Arc::new(|_| {}),
            listing: ListingOrder::default(),
            trace: None,
            interrupt: Arc::default(),
        }
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("fast", &self.fast.is_some())
            .field("interrupt", &self.interrupt.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

/// A level has no state.
#[derive(Debug, thiserror::Error)]
pub enum LevelError {
    /// Nothing can be said about it.
    #[error(transparent)]
    NotJudgeable(#[from] NotJudgeable),
    /// The state before it cannot be read.
    #[error(transparent)]
    State(PvmError),
    /// The state before it does not wait for a message.
    #[error("the state is in phase {0} and does not wait for a message")]
    NotWaiting(&'static str),
}

impl From<RunError> for LevelError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Declined(declined) => {
                Self::NotJudgeable(NotJudgeable::NeedsReference(declined))
            }
            RunError::NotJudgeable(reason) => Self::NotJudgeable(reason),
            RunError::State(error) => Self::State(error),
        }
    }
}

/// Sees the states on the way. Every method may hash the state it is given.
pub trait Observer {
    /// Right after a message was given.
    fn input(&mut self, _state: &mut State, _info: InputInfo) {}

    /// Right after a kernel run, in `Padding`, and what is known of the ticks it took.
    fn ran(&mut self, _state: &mut State, _ticks: RunTicks) {}

    /// Whenever the phase has changed otherwise: at the end of a period, when a failed kernel left
    /// the machine stuck, when the previous kernel took over.
    fn boundary(&mut self, _state: &mut State) {}
}

/// Looks at nothing.
#[derive(Debug, Clone, Copy)]
pub struct Quiet;

impl Observer for Quiet {}

/// What a level did.
#[derive(Debug, Clone)]
pub struct LevelOutcome {
    /// The state that waits for the next message.
    pub state: State,
    /// Ticks the level took.
    pub ticks: u128,
    /// Kernel runs of the level.
    pub kernel_runs: u32,
    /// Messages sent to layer 1 at this level.
    pub outbox: Vec<Vec<u8>>,
    /// Places where the original's engines can differ.
    pub edges: Edges,
    /// Why runs went to the reference engine, in their order.
    pub declined: Vec<Declined>,
}

/// Gives the messages of a level, in their order and from counter 0, and runs to the next input.
///
/// # Errors
/// [`LevelError`] when the level has no state; `state` is untouched.
pub fn run_level<'a>(
    state: &State,
    level: Level,
    messages: impl IntoIterator<Item = &'a [u8]>,
    environment: &Environment,
    observer: &mut dyn Observer,
) -> Result<LevelOutcome, LevelError> {
    let mut state = state.clone();
    if state.input_request() == InputRequest::Nothing {
        return Err(LevelError::NotWaiting(state.phase.tag()));
    }
    let start = state.current_tick;
    for (counter, payload) in (0..).zip(messages) {
        let info = InputInfo { level, counter };
        state.set_input(info, payload)?;
        observer.input(&mut state, info);
    }
    let mut outcome = run_to_input(state, environment, observer)?;
    outcome.ticks = outcome.state.current_tick.saturating_sub(start);
    outcome.outbox = outcome
        .state
        .buffers
        .output
        .messages(level.get())?
        .unwrap_or_default();
    Ok(outcome)
}

/// Runs until the state waits for a message.
///
/// # Errors
/// [`LevelError`] when there is no such state.
pub fn run_to_input(
    state: State,
    environment: &Environment,
    observer: &mut dyn Observer,
) -> Result<LevelOutcome, LevelError> {
    let mut outcome = LevelOutcome {
        ticks: state.current_tick,
        state,
        kernel_runs: 0,
        outbox: Vec::new(),
        edges: Edges::default(),
        declined: Vec::new(),
    };
    while outcome.state.input_request() == InputRequest::Nothing {
        match outcome.state.phase {
            Phase::Snapshot | Phase::Running(..) => {
                run_kernel(&mut outcome, environment, observer)?
            }
            _ => rest(&mut outcome, observer)?,
        }
    }
    outcome.ticks = outcome.state.current_tick.saturating_sub(outcome.ticks);
    Ok(outcome)
}

/// Ticks at rest, padding in one go.
fn rest(outcome: &mut LevelOutcome, observer: &mut dyn Observer) -> Result<(), LevelError> {
    let state = &mut outcome.state;
    state.pad(u128::MAX);
    let before = state.phase.tag();
    state.mark_end_of_period(&mut outcome.edges)?;
    state.tick_at_rest()?;
    if state.phase.tag() != before {
        observer.boundary(state);
    }
    Ok(())
}

fn run_kernel(
    outcome: &mut LevelOutcome,
    environment: &Environment,
    observer: &mut dyn Observer,
) -> Result<(), LevelError> {
    let Period {
        state,
        ticks,
        edges,
    } = match run_fast(&outcome.state, environment) {
        Err(RunError::Declined(declined)) => {
            let period = environment
                .reference
                .run(&outcome.state, &declined, environment)?;
            outcome.declined.push(declined);
            period
        }
        result => result?,
    };
    outcome.state = state;
    outcome.edges.extend(&edges);
    outcome.kernel_runs = outcome.kernel_runs.saturating_add(1);
    match outcome.state.phase {
        Phase::Stuck(_) => observer.boundary(&mut outcome.state),
        _ => observer.ran(&mut outcome.state, ticks),
    }
    Ok(())
}

fn run_fast(state: &State, environment: &Environment) -> Result<Period, RunError> {
    match (&environment.fast, &state.phase) {
        (Some(fast), Phase::Snapshot) => fast.run(state, environment),
        _ => Err(Declined::NotBuilt.into()),
    }
}
