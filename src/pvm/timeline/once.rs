//! The fast engine on one timeline: each kernel run once.
//!
//! Why: every fresh approach to a tick passes the same runs. On one timeline the tick says which run
//! it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::pvm::{Declined, Engine, Environment, Period, RunError, State};

/// Runs remembered at most.
const RUNS: usize = 256;

/// An engine and what it said of the runs so far, by their first tick.
pub(super) struct Once {
    engine: Arc<dyn Engine>,
    runs: Mutex<BTreeMap<u128, Result<Period, Declined>>>,
}

impl Once {
    pub(super) fn new(engine: Arc<dyn Engine>) -> Self {
        Self {
            engine,
            runs: Mutex::default(),
        }
    }
}

impl Engine for Once {
    fn run(&self, state: &State, environment: &Environment) -> Result<Period, RunError> {
        let at = state.current_tick;
        let runs = || self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = runs().get(&at) {
            return known.clone().map_err(RunError::Declined);
        }
        let said = match self.engine.run(state, environment) {
            Ok(period) => Ok(period),
            Err(RunError::Declined(declined)) => Err(declined),
            Err(other) => return Err(other),
        };
        let mut runs = runs();
        if runs.len() >= RUNS {
            runs.clear();
        }
        runs.insert(at, said.clone());
        said.map_err(RunError::Declined)
    }
}
