//! Do the endpoints have the same blocks? Asked where blocks are final.
//!
//! Promises: an answer for every endpoint, errors, lag and disagreement kept apart. Refuses to
//! know: who is right.

use serde::Deserialize;

use super::block::BlockRef;
use super::client::Client;
use super::endpoint::{Endpoint, json};
use super::error::{EndpointName, Fault, L1Error};
use crate::protocol::{BlockHash, Level};

/// A block this many levels below the head is final.
pub const FINALITY: u32 = 2;

/// What the endpoints say about one block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Agreement {
    /// Endpoints that have this very block.
    pub agree: Vec<EndpointName>,
    /// Endpoints that could not tell, and why.
    pub silent: Vec<(EndpointName, Fault)>,
}

impl Agreement {
    /// Whether consent by several sources is reached: two endpoints, or all when only one is
    /// configured.
    #[must_use]
    pub fn is_enough(&self, configured: usize) -> bool {
        self.agree.len() >= configured.min(2)
    }
}

/// How far an endpoint is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The endpoint.
    pub endpoint: EndpointName,
    /// Its head, or why it is not known.
    pub head: Result<BlockRef, Fault>,
    /// Whether it says it is synced.
    pub synced: bool,
}

#[derive(Deserialize)]
struct RawBootstrapped {
    bootstrapped: bool,
    #[serde(default)]
    sync_state: Option<String>,
}

#[derive(Deserialize)]
struct RawPlace {
    hash: BlockHash,
    level: Level,
}

impl Client {
    /// Asks every endpoint for its block at the level of `block`, which should be final.
    ///
    /// # Errors
    /// [`L1Error::Disagreement`] when one has another block there.
    pub async fn agreement(&self, block: BlockRef) -> Result<Agreement, L1Error> {
        let path = format!("/chains/main/blocks/{}/hash", block.level);
        let path = path.as_str();
        let asked = self.endpoints().iter().map(|endpoint| async move {
            let hash = self.ask_one::<BlockHash>(endpoint, path).await;
            (endpoint, hash)
        });
        let mut agreement = Agreement::default();
        let (mut answers, mut differ) = (Vec::new(), false);
        for (endpoint, outcome) in futures_util::future::join_all(asked).await {
            match outcome {
                Err(fault) => agreement.silent.push((endpoint.name.clone(), fault)),
                Ok(hash) => {
                    let other = hash != block.hash;
                    endpoint.note(|health| {
                        health.disagrees = other;
                        health.disagreements = health.disagreements.saturating_add(other.into());
                    });
                    differ |= other;
                    answers.push((endpoint.name.clone(), hash));
                    if !other {
                        agreement.agree.push(endpoint.name.clone());
                    }
                }
            }
        }
        if differ {
            return Err(L1Error::Disagreement {
                level: block.level,
                answers,
            });
        }
        Ok(agreement)
    }

    /// Asks every endpoint how far it is, and notes which ones lag more than `tolerated` blocks
    /// behind the furthest.
    pub async fn probe(&self, tolerated: u32) -> Vec<Progress> {
        let asked = self
            .endpoints()
            .iter()
            .map(|endpoint| self.progress(endpoint));
        let progress = futures_util::future::join_all(asked).await;
        let levels = progress.iter().filter_map(|one| one.head.as_ref().ok());
        let furthest = levels.map(|head| head.level).max();
        for (endpoint, one) in self.endpoints().iter().zip(&progress) {
            let lag = match (&one.head, furthest) {
                (Ok(head), Some(furthest)) => furthest.since(head.level).unwrap_or(0),
                _ => 0,
            };
            let behind = one.head.is_ok() && (!one.synced || lag > tolerated);
            endpoint.note(|health| health.out_of_sync = behind);
        }
        progress
    }

    async fn progress(&self, endpoint: &Endpoint) -> Progress {
        let head = self
            .ask_one::<RawPlace>(endpoint, "/chains/main/blocks/head/header")
            .await;
        let synced = self
            .ask_one::<RawBootstrapped>(endpoint, "/chains/main/is_bootstrapped")
            .await;
        Progress {
            endpoint: endpoint.name.clone(),
            head: head.map(|raw| BlockRef {
                level: raw.level,
                hash: raw.hash,
            }),
            synced: synced.is_ok_and(|state| {
                state.bootstrapped && state.sync_state.is_none_or(|state| state == "synced")
            }),
        }
    }

    /// Asks one endpoint, once.
    pub(super) async fn ask_one<T: serde::de::DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        path: &str,
    ) -> Result<T, Fault> {
        let read = |bytes: &[u8]| json(bytes);
        self.ask_at(endpoint, path, None, &read).await
    }
}
