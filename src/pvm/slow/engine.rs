//! Whole kernel runs on the reference machine, for what the fast engine declines.

use super::course::Course;
use super::machine::{Machine, SlowError};
use super::opening::Purpose;
use crate::pvm::{
    Declined, Environment, NotJudgeable, Period, ReferenceEngine, RunError, RunTicks, State,
};
use crate::wasm::fault::Fault;

/// A run that may be longer is not begun. Run mode could reach a thousand times as far, but what
/// the fast engine gives up at this bound is almost always endless, and is better said at once than
/// after the whole deadline.
const REACH: u128 = 10_000_000_000;

/// Runs kernels in memory, natively where every tick is known; the answer is exact, tick count
/// included.
#[derive(Debug, Clone, Copy, Default)]
pub struct SlowEngine;

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
        if matches!(declined, Declined::Ticks(at_least) if *at_least > REACH) {
            return Err(NotJudgeable::NeedsReference(declined.clone()).into());
        }
        let mut course =
            Course::new(state.clone(), environment, Purpose::Reach).map_err(gave_up)?;
        course.finish_run(environment)?;
        let machine = course.into_machine(environment)?;
        let edges = machine.edges().clone();
        Ok(Period {
            state: machine.into_state().map_err(gave_up)?,
            ticks: RunTicks::Exact,
            edges,
        })
    }
}
