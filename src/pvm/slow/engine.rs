//! Whole kernel runs on the reference machine, for what the fast engine declines.

use super::course::{Course, Ended};
use super::machine::{Machine, SlowError};
use super::opening::Purpose;
use crate::pvm::{
    Declined, Environment, LONGEST_RUN, NotJudgeable, Period, ReferenceEngine, RunError, RunTicks,
    State,
};
use crate::wasm::fault::Fault;

/// Runs kernels in memory, natively where every tick is known; the answer is exact, tick count
/// included. A run of more ticks than the bound is given up, and one that the fast engine gave up at
/// its bound is not begun: that engine went as far in less time.
#[derive(Debug, Clone, Copy)]
pub struct SlowEngine {
    /// Most ticks of a run; see [`LONGEST_RUN`].
    pub max_ticks: u64,
}

impl Default for SlowEngine {
    fn default() -> Self {
        Self {
            max_ticks: LONGEST_RUN,
        }
    }
}

pub(super) fn gave_up(error: SlowError) -> RunError {
    match error {
        SlowError::State(error) => RunError::State(error),
        SlowError::Fault(fault) => NotJudgeable::Reference(fault.to_string()).into(),
    }
}

/// Answers the request the machine waits for.
pub(super) fn answer_reveal(
    machine: &mut Machine,
    request: &[u8],
    environment: &Environment,
) -> Result<(), RunError> {
    let level = machine.state().last_input.map(|info| info.level);
    let data = environment.reveals.answer(request, level);
    let data = data.map_err(|error| RunError::NotJudgeable(error.into()))?;
    let destination = machine.reveal_destination().unwrap_or_default();
    machine.reveal(&data).map_err(|error| match error {
        SlowError::Fault(Fault::Raised(_)) => NotJudgeable::NoNextState { destination }.into(),
        other => gave_up(other),
    })
}

/// Takes a machine inside a kernel run to a later tick of that run, reveals answered.
///
/// # Errors
/// [`RunError`] when a tick on the way has no result.
pub fn advance(
    machine: &mut Machine,
    tick: u128,
    environment: &Environment,
) -> Result<(), RunError> {
    while machine.state().current_tick < tick {
        let before = machine.state().current_tick;
        machine.some_ticks(tick, environment)?;
        if machine.state().current_tick == before {
            machine.tick().map_err(gave_up)?;
        }
    }
    Ok(())
}

impl ReferenceEngine for SlowEngine {
    fn run(
        &self,
        state: &State,
        declined: &Declined,
        environment: &Environment,
    ) -> Result<Period, RunError> {
        let most = u128::from(self.max_ticks);
        if matches!(declined, Declined::Ticks(at_least) if *at_least >= most) {
            return Err(NotJudgeable::NeedsReference(declined.clone()).into());
        }
        let mut course =
            Course::new(state.clone(), environment, Purpose::Reach).map_err(gave_up)?;
        if course.finish_run(most, environment)? == Ended::TooLong {
            return Err(NotJudgeable::TooLong(most).into());
        }
        let machine = course.into_machine(environment)?;
        let edges = machine.edges().clone();
        Ok(Period {
            state: machine.into_state().map_err(gave_up)?,
            ticks: RunTicks::Exact,
            edges,
        })
    }
}
