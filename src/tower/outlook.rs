//! Figures beside the model: how the nodes behave, how long runs take, how long things last.
//!
//! Promises: plain data, for showing only; nothing is decided from it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::chain_facts::ChainFacts;
use super::model::Model;
use crate::journal::Reader;
use crate::l1::{BlockId, BlockRef, Client, FINALITY};
use crate::protocol::Dialected;
use tokio_util::sync::CancellationToken;

/// How often all nodes are compared.
const COMPARED: Duration = Duration::from_secs(30);
/// Levels a node may lag.
const TOLERATED: u32 = 2;

/// Figures beside the model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Every node.
    pub sources: Vec<Source>,
    /// Every rollup's machine.
    pub machines: Vec<Machine>,
    /// Blocks before a commitment can be cemented, as the chain has it.
    pub challenge_window: Option<u32>,
    /// Blocks between commitments, as the chain has it.
    pub commitment_period: Option<u32>,
    /// Why the disk takes nothing, if so.
    pub trouble: Option<String>,
}

/// How one node behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its URL, without secrets.
    pub name: String,
    /// Requests answered.
    pub answers: u64,
    /// Requests that failed through its fault.
    pub errors: u64,
    /// Failures since the last answer.
    pub errors_in_a_row: u64,
    /// Whether it lags or is not bootstrapped.
    pub is_behind: bool,
    /// Times its final blocks differed from what was followed.
    pub disagreements: u64,
    /// Whether they did the last time.
    pub disagrees: bool,
}

/// How one rollup's machine works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The rollup.
    pub rollup: String,
    /// Whether its state was at the head since the start.
    pub is_caught_up: bool,
    /// Levels run since the start.
    pub levels: u64,
    /// Time spent on them.
    pub busy: Duration,
    /// Size of its state store.
    pub store_bytes: u64,
}

/// Counted by a worker's thread, read by whoever shows it.
#[derive(Debug, Default)]
pub(super) struct Counts {
    levels: AtomicU64,
    nanoseconds: AtomicU64,
    store_bytes: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl Counts {
    /// Says why states cannot be stored, or that they can.
    pub(super) fn troubled(&self, problem: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock();
        trouble.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn ran(&self, spent: Duration) {
        let spent = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        self.levels.fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(spent, Ordering::Relaxed);
    }

    pub(super) fn stored(&self, bytes: u64) {
        self.store_bytes.store(bytes, Ordering::Relaxed);
    }
}

impl Outlook {
    pub(super) fn of<'a>(
        model: &'a Model,
        client: &Client,
        chain: &ChainFacts,
        trouble: Option<String>,
        counts: impl Fn(&crate::protocol::RollupAddress) -> Option<&'a Counts>,
    ) -> Self {
        let sources = client.health().into_iter().map(|(name, health)| Source {
            name: name.to_string(),
            answers: health.answers,
            errors: health.errors,
            errors_in_a_row: health.consecutive_errors,
            is_behind: health.out_of_sync,
            disagreements: health.disagreements,
            disagrees: health.disagrees,
        });
        let of_stores = model
            .rollups
            .keys()
            .find_map(|rollup| counts(rollup)?.trouble());
        let machines = model.rollups.values().map(|rollup| {
            let counts = counts(&rollup.address);
            let number = |read: fn(&Counts) -> &AtomicU64| {
                counts.map_or(0, |counts| read(counts).load(Ordering::Relaxed))
            };
            Machine {
                rollup: rollup.address.text(rollup.dialect),
                is_caught_up: rollup.is_caught_up,
                levels: number(|counts| &counts.levels),
                busy: Duration::from_nanos(number(|counts| &counts.nanoseconds)),
                store_bytes: number(|counts| &counts.store_bytes),
            }
        });
        let lengths = chain.lengths();
        Self {
            sources: sources.collect(),
            machines: machines.collect(),
            challenge_window: lengths.map(|(window, _)| window),
            commitment_period: lengths.map(|(_, period)| period),
            trouble: trouble.or(of_stores),
        }
    }
}

/// Compares the nodes from time to time: who lags, and who has other final blocks. What comes of
/// it is in the client's health.
pub(super) async fn compare_nodes(
    client: Client,
    reader: Reader,
    chain: ChainFacts,
    stop: CancellationToken,
) {
    loop {
        // After a restart nobody else may ask for them.
        if chain.lengths().is_none()
            && let Ok(constants) = client.constants(BlockId::Head).await
        {
            chain.hear(&constants);
        }
        tokio::select! {
            () = tokio::time::sleep(COMPARED) => {}
            () = stop.cancelled() => return,
        }
        client.probe(TOLERATED).await;
        let final_block = reader.head().ok().flatten().and_then(|head| {
            let level = head.level.minus(FINALITY)?;
            reader.block_at(level).ok().flatten()
        });
        let Some(block) = final_block else { continue };
        let block = BlockRef {
            level: block.level,
            hash: block.hash,
        };
        if let Err(error) = client.agreement(block).await {
            tracing::warn!(%error, "the nodes disagree");
        }
    }
}
