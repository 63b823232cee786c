//! A rollup that joins a journal already past its origination: operations on it are read again.
//!
//! Blocks and inboxes are there, shared by all rollups; what the journal lacks is what stakers did.
//! Promises: the others go on meanwhile; progress survives a restart; the rollup is watched like
//! any other only once nothing is missing, so its commitment tree is folded in the chain's order.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::event::Event;
use super::feed::rows_of;
use super::{alarms, setup::TowerError};
use crate::journal::{BackfillRow, BlockRow, OperationRow, PublishedRow, Reader};
use crate::l1::{BlockId, Client, Interest, L1Error};

/// Levels read at once: one decision, one transaction.
const CHUNK: u32 = 256;
/// Waits between attempts, in seconds.
const WAITS: std::ops::RangeInclusive<u64> = 1..=60;

/// Reads the operations of one late rollup.
pub(super) struct Backfill {
    pub(super) client: Client,
    pub(super) reader: Reader,
    pub(super) row: BackfillRow,
    pub(super) ahead: usize,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) stop: CancellationToken,
}

impl Backfill {
    /// Works until nothing is missing, or until stopped.
    pub(super) async fn run(mut self) {
        let mut wait = *WAITS.start();
        while self.row.level < self.row.goal {
            match self.chunk().await {
                Ok(Some(event)) => {
                    wait = *WAITS.start();
                    if self.events.send(event).await.is_err() {
                        return;
                    }
                    continue;
                }
                // A reorganisation took the blocks; others take their place.
                Ok(None) => {}
                Err(error) => {
                    let message = error.to_string();
                    let alarm = alarms::node(message.clone(), message);
                    if self.events.send(Event::Trouble(alarm)).await.is_err() {
                        return;
                    }
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(wait)) => {}
            }
            wait = wait.saturating_mul(2).min(*WAITS.end());
        }
    }

    /// The operations of the next levels; nothing while the journal lacks their blocks.
    async fn chunk(&mut self) -> Result<Option<Event>, TowerError> {
        let from = self.row.level.next().unwrap_or(self.row.goal);
        let to = self
            .row
            .level
            .plus(CHUNK)
            .unwrap_or(self.row.goal)
            .min(self.row.goal);
        let blocks = self.reader.blocks_between(from, to)?;
        let Some(last) = blocks.last().map(|block| block.level) else {
            return Ok(None);
        };
        let interest = Interest {
            rollups: [self.row.rollup].into(),
            ..Interest::default()
        };
        let found: Vec<_> = stream::iter(blocks)
            .map(|block| rows(self.client.clone(), block, interest.clone()))
            .buffered(self.ahead.max(1))
            .try_collect()
            .await?;
        let (mut publications, mut operations) = (Vec::new(), Vec::new());
        for (mut published, mut others) in found {
            publications.append(&mut published);
            operations.append(&mut others);
        }
        self.row.level = last;
        Ok(Some(Event::Backfilled {
            progress: self.row,
            publications,
            operations,
        }))
    }
}

async fn rows(
    client: Client,
    block: BlockRow,
    interest: Interest,
) -> Result<(Vec<PublishedRow>, Vec<OperationRow>), L1Error> {
    let block = client.block(BlockId::Hash(block.hash), &interest).await?;
    Ok(rows_of(&block))
}
