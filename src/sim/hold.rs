//! A request that an endpoint takes and does not answer: the place at which a test ends a client.
//!
//! Promises: it is the n-th matching request after it was asked for, and only that one; its work is
//! done or not, as asked. Refuses to know who waits for the answer.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Whether a held request does its work first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// It does not: the node has heard of nothing.
    Before,
    /// It does: only the answer is missing, and comes when nothing is held any more.
    After,
}

/// A request that is to be held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// What its path contains.
    pub path: &'static str,
    /// Which of those requests, from 1.
    pub nth: u32,
    /// Before or after its work.
    pub when: When,
}

/// What an endpoint is to hold, and whether it does.
#[derive(Debug, Default)]
pub(super) struct Holder {
    wanted: Mutex<Option<Hold>>,
    holds: watch::Sender<bool>,
}

impl Holder {
    fn wanted(&self) -> MutexGuard<'_, Option<Hold>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds this from now on, in place of what was asked for before.
    pub(super) fn want(&self, hold: Option<Hold>) {
        *self.wanted() = hold;
        self.holds.send_replace(false);
    }

    /// Whether a request is held now, and whenever that changes.
    pub(super) fn watched(&self) -> watch::Receiver<bool> {
        self.holds.subscribe()
    }

    /// Whether this request is to be held.
    pub(super) fn takes(&self, path: &str) -> Option<When> {
        let mut wanted = self.wanted();
        let hold = wanted.as_mut().filter(|hold| path.contains(hold.path))?;
        hold.nth = hold.nth.saturating_sub(1);
        (hold.nth == 0).then(|| wanted.take().map(|hold| hold.when))?
    }

    /// Holds a request until something else is asked for.
    pub(super) async fn wait(&self) {
        let mut holds = self.watched();
        self.holds.send_replace(true);
        // The holder lives as long as this borrow of it.
        let _ = holds.wait_for(|holds| !holds).await;
    }
}
