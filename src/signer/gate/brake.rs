//! The operator's brake, and the freeze of a single rollup.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Refusal;
use crate::protocol::RollupAddress;

#[derive(Debug, Default)]
struct State {
    all: Option<String>,
    rollups: BTreeMap<RollupAddress, String>,
}

/// Stops signing at once, for everything or for one rollup. Clones are the same brake.
#[derive(Debug, Clone, Default)]
pub struct Brake(Arc<Mutex<State>>);

impl Brake {
    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked with it held a whole state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops all signing.
    pub fn pull(&self, reason: impl Into<String>) {
        self.state().all = Some(reason.into());
    }

    /// Ends a stop of all signing; frozen rollups stay frozen.
    pub fn release(&self) {
        self.state().all = None;
    }

    /// Stops signing for one rollup.
    pub fn freeze(&self, rollup: RollupAddress, reason: impl Into<String>) {
        self.state().rollups.insert(rollup, reason.into());
    }

    /// Ends the freeze of one rollup.
    pub fn thaw(&self, rollup: &RollupAddress) {
        self.state().rollups.remove(rollup);
    }

    /// Why all signing is stopped, when it is.
    #[must_use]
    pub fn pulled(&self) -> Option<String> {
        self.state().all.clone()
    }

    /// Why signing for a rollup is stopped, when it is.
    #[must_use]
    pub fn frozen(&self, rollup: &RollupAddress) -> Option<String> {
        self.state().rollups.get(rollup).cloned()
    }

    pub(super) fn refuses_all(&self) -> Result<(), Refusal> {
        self.pulled()
            .map_or(Ok(()), |reason| Err(Refusal::Braked { reason }))
    }

    pub(super) fn refuses(&self, index: usize, rollup: RollupAddress) -> Result<(), Refusal> {
        self.frozen(&rollup).map_or(Ok(()), |reason| {
            Err(Refusal::Frozen {
                index,
                rollup,
                reason,
            })
        })
    }
}
