//! The loop: events in, decisions journalled, effects performed.
//!
//! Promises: one transaction per batch of events, and nothing is done before it is on disk; a
//! reorganisation is a reload from the journal, so it and a restart are the same path.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::alarms;
use super::announce;
use super::event::{Decision, Effect, Event, News};
use super::model::{Model, Place, Tally};
use super::outlook::Outlook;
use super::play::{Brief, Running, Tidings};
use super::setup::{Ready, TowerError};
use super::status::Status;
use super::worker::{Target, Worker};
use crate::journal::{Entry, Journal, JournalError, PublishedRow, Reader};
use crate::l1::{BlockId, BlockRef, Client};
use crate::protocol::{Level, RollupAddress};

/// Events taken in at once: one transaction.
const BATCH: usize = 512;
/// How often the status is shown while nothing happens.
const TURN: std::time::Duration = std::time::Duration::from_secs(30);
/// How often the loop looks up while it waits for the disk.
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);
/// Levels asked for, at most, when the node's storage is read for stakes.
const STORED_LEVELS: usize = 4096;

/// Who else wants to hear the news, besides the log.
pub type Listener = Arc<dyn Fn(&News) + Send + Sync>;

/// How following ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Verdicts in force.
    pub tally: Tally,
    /// Whether some rollup could not be brought up to the chain.
    pub is_blind: bool,
    /// The last block taken in.
    pub tip: Place,
}

/// A tower ready to run.
pub(super) struct Loop {
    pub(super) ready: Ready,
    pub(super) reader: Reader,
    pub(super) model: Model,
    pub(super) workers: BTreeMap<RollupAddress, Worker>,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) sender: mpsc::Sender<Event>,
    pub(super) listener: Option<Listener>,
    pub(super) status: watch::Sender<Status>,
    pub(super) stop: CancellationToken,
    /// Who plays, where the mode decides anything.
    pub(super) player: Option<Running>,
}

/// Writes entries and waits until they are on disk.
pub(super) async fn write(journal: &Journal, entries: Vec<Entry>) -> Result<(), JournalError> {
    if entries.is_empty() {
        return Ok(());
    }
    let (sender, receiver) = oneshot::channel();
    journal.submit(entries, move |outcome| {
        // The tower is gone when nobody waits.
        let _ = sender.send(outcome);
    })?;
    receiver.await.map_err(|_| JournalError::Closed)?
}

impl Loop {
    /// Runs until stopped or done.
    pub(super) async fn run(mut self) -> Result<Outcome, TowerError> {
        let outcome = self.follow().await;
        let ending = match &outcome {
            Ok(()) => "stopped".to_owned(),
            Err(error) => error.to_string(),
        };
        let told = Outcome {
            tally: self.model.tally(),
            is_blind: self.model.is_blind(),
            tip: self.model.tip(),
        };
        self.stop.cancel();
        self.ready.journal.stop_waiting();
        if let Some(player) = self.player.take() {
            drop(player.tidings);
            // What it was about to tell is in the journal, or is derived again.
            drain(&mut self.events, player.task).await;
        }
        // Workers may be waiting to tell something: nobody listens any more.
        drop(self.events);
        let workers = self.workers;
        let stopped = tokio::task::spawn_blocking(move || {
            for worker in workers.into_values() {
                worker.stop();
            }
        });
        // A worker that panicked has said so already.
        let _ = stopped.await;
        let ended = write(
            &self.ready.journal,
            vec![Entry::RunEnded { outcome: ending }],
        )
        .await;
        outcome?;
        ended?;
        Ok(told)
    }

    /// What the player must hear of an event, in the order of the chain.
    fn pass_on(&self, event: &Event) {
        let Some(player) = &self.player else { return };
        let tidings = match event {
            Event::Block(seen) => Tidings::Block(
                BlockRef {
                    level: seen.block.level,
                    hash: seen.block.hash,
                },
                seen.receipts.clone(),
            ),
            Event::RolledBack { level, .. } => Tidings::RolledBack(*level),
            _ => return,
        };
        // The player may be stopping.
        let _ = player.tidings.send(tidings);
    }

    /// A block that the journal knows was in the chain before.
    fn recalled(&self, mut event: Event) -> Result<Event, JournalError> {
        if let Event::Block(seen) = &mut event {
            seen.is_back = self.reader.block(&seen.block.hash)?.is_some();
        }
        Ok(event)
    }

    fn brief(&self) {
        if let (Some(player), Some(brief)) = (&self.player, Brief::of(&self.model)) {
            let _ = player.tidings.send(Tidings::Brief(Box::new(brief)));
        }
    }

    async fn follow(&mut self) -> Result<(), TowerError> {
        let decision = self.model.resume();
        if self.perform(decision).await? {
            return Ok(());
        }
        loop {
            let first = tokio::select! {
                event = self.events.recv() => event,
                // Nothing happens, but the loop turns: whoever watches it must see that.
                () = tokio::time::sleep(TURN) => {
                    self.show();
                    continue;
                }
                () = self.stop.cancelled() => return Ok(()),
            };
            let Some(first) = first else { return Ok(()) };
            if self.batch(first).await? {
                return Ok(());
            }
        }
    }

    /// Takes in one event and all that wait behind it; whether everything asked for is done.
    async fn batch(&mut self, first: Event) -> Result<bool, TowerError> {
        let mut decision = Decision::default();
        let mut next = Some(first);
        let mut taken = 0_usize;
        while let Some(event) = next {
            self.pass_on(&event);
            let event = self.recalled(event)?;
            let mut more = self.model.decide(event);
            let is_reload = more.effects.contains(&Effect::Reload);
            decision.entries.append(&mut more.entries);
            decision.effects.append(&mut more.effects);
            if is_reload {
                self.perform(std::mem::take(&mut decision)).await?;
                decision = self.reload()?;
            }
            taken = taken.saturating_add(1);
            next = (taken < BATCH)
                .then(|| self.events.try_recv().ok())
                .flatten();
        }
        let done = self.perform(decision).await?;
        self.show();
        self.brief();
        Ok(done)
    }

    /// Shows how the tower stands.
    fn show(&self) {
        let outlook = Outlook::of(
            &self.model,
            &self.ready.client,
            &self.ready.chain,
            self.ready.journal.trouble().map(|trouble| trouble.problem),
            |rollup| self.workers.get(rollup).map(Worker::counts),
        );
        self.status
            .send_modify(|status| status.take(&self.model, outlook));
    }

    /// Journals entries. While the disk takes none, it waits and shows why; to be told to stop ends
    /// the wait.
    async fn keep(&self, entries: Vec<Entry>) -> Result<(), JournalError> {
        let journal = &self.ready.journal;
        let writing = write(journal, entries);
        tokio::pin!(writing);
        let mut trouble = None;
        let mut is_stopping = false;
        loop {
            tokio::select! {
                written = &mut writing => {
                    written?;
                    break;
                }
                () = tokio::time::sleep(LOOK) => {
                    if let Some(found) = journal.trouble() {
                        trouble = Some(found);
                        self.show();
                    }
                }
                () = self.stop.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    journal.stop_waiting();
                }
            }
        }
        if let Some(trouble) = trouble {
            let alarm = alarms::disk_failed(trouble.since.elapsed(), &trouble.problem);
            // A full queue has more urgent news.
            let _ = self.sender.try_send(Event::Trouble(alarm));
            self.show();
        }
        Ok(())
    }

    /// Journals, then acts; whether everything asked for is done.
    async fn perform(&mut self, decision: Decision) -> Result<bool, TowerError> {
        self.keep(decision.entries).await?;
        let mut wakes = BTreeMap::new();
        let mut is_done = false;
        let dialect = self.model.dialect();
        for effect in decision.effects {
            match effect {
                // Only the newest wish of each rollup counts.
                Effect::Wake {
                    rollup,
                    block,
                    level,
                    epoch,
                } => {
                    let place = Place { block, level };
                    wakes.insert(rollup, Target { place, epoch });
                }
                Effect::ReadStakes { rollup, at, level } => {
                    self.read_stakes(rollup, Place { block: at, level });
                }
                Effect::Reload => {}
                Effect::Finish => is_done = true,
                Effect::Tell(news) => {
                    announce::log(&news, dialect);
                    if let Some(listener) = &self.listener {
                        listener(&news);
                    }
                }
            }
        }
        for (rollup, target) in wakes {
            if let Some(worker) = self.workers.get(&rollup) {
                worker.wake(target);
            }
        }
        Ok(is_done)
    }

    /// Takes up the model from the journal again, as after a restart.
    fn reload(&mut self) -> Result<Decision, TowerError> {
        let reader = self.ready.journal.reader()?;
        let late = std::mem::take(&mut self.model.late);
        let ready = self
            .workers
            .keys()
            .filter(|address| !late.contains(address));
        let addresses: Vec<_> = ready.copied().collect();
        let epoch = self.model.epoch.saturating_add(1);
        let mut model = Model::from_journal(&reader, &addresses, epoch, self.model.until)?;
        model.late = late;
        model.head = self.model.head;
        model.is_finished = self.model.is_finished;
        for (address, rollup) in &mut model.rollups {
            if let Some(before) = self.model.rollups.get(address) {
                rollup.is_caught_up = before.is_caught_up;
                rollup.reading.clone_from(&before.reading);
            }
        }
        self.model = model;
        Ok(self.model.resume())
    }

    /// Reads all stakes above the last cemented commitment from the node's storage: what blocks
    /// told must be the same, and anything else is taken in too.
    fn read_stakes(&self, rollup: RollupAddress, at: Place) {
        let Some(watched) = self.model.rollups.get(&rollup) else {
            return;
        };
        let (_, cemented) = watched.stakes.last_cemented();
        let lattice = &self.model.lattice;
        let levels: Vec<_> = std::iter::successors(Some(cemented), |at| lattice.next(*at))
            .skip(1)
            .take_while(|level| *level < at.level)
            .take(STORED_LEVELS)
            .collect();
        let (client, sender) = (self.ready.client.clone(), self.sender.clone());
        let block = at.block;
        tokio::spawn(async move {
            match stakes(&client, rollup, BlockId::Hash(block), &levels).await {
                Ok(publications) => {
                    let event = Event::Stored {
                        rollup,
                        at: block,
                        publications,
                    };
                    // The tower may be stopping.
                    let _ = sender.send(event).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "stakes cannot be read from the node's storage");
                }
            }
        });
    }
}

/// Takes whatever still comes until a task ends, so that it is not held up telling it.
async fn drain(events: &mut mpsc::Receiver<Event>, task: tokio::task::JoinHandle<()>) {
    tokio::pin!(task);
    loop {
        tokio::select! {
            _ = &mut task => return,
            event = events.recv() => if event.is_none() {
                // A task that panicked has said so already.
                let _ = task.await;
                return;
            },
        }
    }
}

async fn stakes(
    client: &Client,
    rollup: RollupAddress,
    block: BlockId,
    levels: &[Level],
) -> Result<Vec<PublishedRow>, crate::l1::L1Error> {
    let at = client.rollup(rollup, block).await?;
    let mut found = Vec::new();
    for level in levels {
        for (hash, stakers) in at.stakes_at(*level).await? {
            let Some(commitment) = at.commitment(&hash).await? else {
                continue;
            };
            found.extend(stakers.into_iter().map(|staker| PublishedRow {
                rollup,
                block: None,
                published_level: None,
                position: 0,
                staker,
                commitment,
            }));
        }
    }
    Ok(found)
}
