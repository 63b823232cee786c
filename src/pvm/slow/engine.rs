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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::protocol::PvmVersion;
    use crate::pvm::tests::about_to_run;
    use crate::pvm::{MetadataAlone, Phase, Stuck};
    use crate::wasm::testing::binary;

    const ENDLESS: &str = r#"(module (memory (export "mem") 1)
        (func (export "kernel_run") (loop (br 0))))"#;

    /// An endless kernel in a period of so many ticks, about to run.
    fn endless(period: u64) -> (State, Environment) {
        let state = about_to_run(PvmVersion::V5, &binary(ENDLESS), period);
        let reveals = Arc::new(MetadataAlone([7; 24]));
        (state, Environment::without_fast(reveals))
    }

    fn run(period: u64, max_ticks: u64, declined: Declined) -> Result<Period, RunError> {
        let (state, environment) = endless(period);
        SlowEngine { max_ticks }.run(&state, &declined, &environment)
    }

    #[test]
    fn a_period_within_the_bound_is_run_to_its_end() {
        let declined = Declined::Ticks(1_900_000);
        let ended = run(2_000_000, 3_000_000, declined).unwrap();
        let stuck = Phase::Stuck(Stuck::TooManyTicks);
        assert_eq!(ended.state.phase.tag(), stuck.tag());
    }

    #[test]
    fn a_run_beyond_the_bound_is_given_up_and_not_begun_again() {
        let too_long = run(9_000_000, 1_000_000, Declined::NotBuilt);
        assert!(matches!(
            too_long,
            Err(RunError::NotJudgeable(NotJudgeable::TooLong(1_000_000)))
        ));
        let at_once = run(9_000_000, 1_000_000, Declined::Ticks(1_000_000));
        assert!(matches!(
            at_once,
            Err(RunError::NotJudgeable(NotJudgeable::NeedsReference(_)))
        ));
    }

    #[test]
    fn the_stop_signal_ends_an_endless_run() {
        let (state, environment) = endless(50_000_000_000_000);
        environment.interrupt.store(true, Ordering::Relaxed);
        let stopped = SlowEngine::default().run(&state, &Declined::NotBuilt, &environment);
        assert!(matches!(
            stopped,
            Err(RunError::NotJudgeable(NotJudgeable::Interrupted))
        ));
    }
}
