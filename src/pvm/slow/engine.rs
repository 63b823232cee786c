//! Whole kernel runs on the reference machine, for what the fast engine declines.

use std::sync::atomic::Ordering;

use super::machine::{Expects, Machine, SlowError};
use crate::pvm::{
    Declined, Environment, NotJudgeable, Period, Phase, ReferenceEngine, RunError, RunTicks, State,
};
use crate::wasm::fault::Fault;

/// Ticks between two looks at the stop signal.
const PATIENCE: u32 = 1 << 16;

/// A run that may be longer takes this engine more than an hour: it is not begun.
const REACH: u128 = 10_000_000_000;

/// Runs kernels tick by tick in memory; the answer is exact, tick count included.
#[derive(Debug, Clone, Copy, Default)]
pub struct SlowEngine;

pub(super) fn gave_up(error: SlowError) -> RunError {
    match error {
        SlowError::State(error) => RunError::State(error),
        SlowError::Fault(fault) => NotJudgeable::Reference(fault.to_string()).into(),
    }
}

fn is_over(machine: &Machine) -> bool {
    matches!(machine.state().phase, Phase::Padding | Phase::Stuck(_))
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

/// Takes ticks until `is_done`, reveals answered.
fn run_until(
    machine: &mut Machine,
    environment: &Environment,
    is_done: impl Fn(&Machine) -> bool,
) -> Result<(), RunError> {
    let mut debug = |text: &[u8]| (environment.debug)(text);
    let mut until_look = PATIENCE;
    while !is_done(machine) {
        until_look -= 1;
        if until_look == 0 {
            until_look = PATIENCE;
            if environment.interrupt.load(Ordering::Relaxed) {
                return Err(NotJudgeable::Interrupted.into());
            }
        }
        if let Expects::Reveal(request) = machine.expects() {
            answer_reveal(machine, &request, environment)?;
            continue;
        }
        machine.tick_with(&mut debug).map_err(gave_up)?;
    }
    Ok(())
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
    run_until(machine, environment, |machine| {
        machine.state().current_tick >= tick
    })
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
        let mut machine = Machine::new(state.clone())
            .map_err(gave_up)?
            .listing(environment.listing);
        run_until(&mut machine, environment, is_over)?;
        let edges = machine.edges().clone();
        Ok(Period {
            state: machine.into_state().map_err(gave_up)?,
            ticks: RunTicks::Exact,
            edges,
        })
    }
}
