//! A disk that takes nothing: the writing thread waits for it instead of losing what it was given.
//!
//! Promises: while somebody asked for patience, entries that fail for lack of space, by an error of
//! the disk or because another program holds the file are written once they can be, in order, and
//! whoever needs them on disk waits as long. Refuses to know: who waits.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::ErrorCode;

/// Time between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Why nothing can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Since when.
    pub since: Instant,
    /// What the disk said first.
    pub problem: String,
}

#[derive(Debug, Default)]
struct State {
    is_patient: bool,
    trouble: Option<Trouble>,
}

/// Shared by a journal and its writing thread.
#[derive(Debug, Clone, Default)]
pub(super) struct Patience(Arc<(Mutex<State>, Condvar)>);

impl Patience {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, is_patient: bool) {
        self.state().is_patient = is_patient;
        self.0.1.notify_all();
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.state().trouble.clone()
    }

    /// Takes note of a failure; after a pause, whether to try once more.
    pub(super) fn tries_again(&self, error: &rusqlite::Error) -> bool {
        let mut state = self.state();
        if !state.is_patient || !is_of_the_disk(error) {
            return false;
        }
        if state.trouble.is_none() {
            let problem = error.to_string();
            tracing::error!(problem, "the journal takes nothing: waiting for the disk");
            state.trouble = Some(Trouble {
                since: Instant::now(),
                problem,
            });
        }
        let waited = self
            .0
            .1
            .wait_timeout_while(state, PAUSE, |state| state.is_patient);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_patient
    }

    /// Something was written.
    pub(super) fn is_over(&self) {
        if let Some(trouble) = self.state().trouble.take() {
            let seconds = trouble.since.elapsed().as_secs();
            tracing::info!(seconds, "the journal is written again");
        }
    }
}

/// Whether it may pass without anybody changing the program or the file.
fn is_of_the_disk(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
        )
    )
}
