//! The thread that keeps one rollup's state at the tip.
//!
//! Promises: only the newest request counts; states are durable before they are told; a level that
//! cannot be run is told once, and tried again when what it lacked is there. Refuses to know: what
//! the states mean for commitments.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::alarms;
use super::event::Event;
use super::model::Place;
use super::outlook::Counts;
use super::runner::{CHUNK, Runner, RunnerError};
use crate::crypto::Hash;
use crate::journal::{StateRow, UnknownRow};
use crate::merkle::StoreError;
use crate::protocol::{BlockHash, Level};
use crate::pvm::State;

/// The block at which a run cannot go on, and why.
type Halt = Box<((BlockHash, Level), RunnerError)>;

/// Our own commitments whose states are kept, newest first: more than the longest challenge window
/// holds periods.
const KEPT_COMMITMENTS: usize = 2048;
/// A store smaller than this is not worth pruning.
const WORTH_PRUNING: u64 = 64 << 20;
/// Time between two tries to store a state.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the deadline of a run is looked at.
const WATCH: Duration = Duration::from_millis(100);

/// What to reach.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) place: Place,
    pub(super) epoch: u64,
}

/// A mailbox that holds the newest letter only.
#[derive(Debug, Default)]
struct Mailbox {
    slot: Mutex<Slot>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Slot {
    target: Option<Target>,
    is_closed: bool,
}

impl Mailbox {
    fn take(&self) -> Option<Target> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if slot.is_closed {
                return None;
            }
            if let Some(target) = slot.target.take() {
                return Some(target);
            }
            slot = self
                .arrived
                .wait(slot)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits a moment; whether everything stops.
    fn is_closed_after(&self, pause: Duration) -> bool {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .arrived
            .wait_timeout_while(slot, pause, |slot| !slot.is_closed);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_closed
    }

    /// Whether what is being done may be out of date.
    fn has_news(&self, epoch: u64) -> bool {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.is_closed || slot.target.is_some_and(|target| target.epoch != epoch)
    }

    fn change(&self, change: impl FnOnce(&mut Slot)) {
        change(&mut self.slot.lock().unwrap_or_else(PoisonError::into_inner));
        self.arrived.notify_all();
    }
}

/// Limits of one rollup's worker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) run_deadline: Duration,
    pub(super) kept_levels: u32,
    pub(super) store_bytes: u64,
}

/// A running worker.
#[derive(Debug)]
pub(super) struct Worker {
    mailbox: Arc<Mailbox>,
    interrupt: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    counts: Arc<Counts>,
}

impl Worker {
    /// Starts the thread, and one that watches the deadline of its runs.
    pub(super) fn start(
        name: &str,
        runner: Runner,
        limits: Limits,
        events: mpsc::Sender<Event>,
    ) -> std::io::Result<Self> {
        let mailbox = Arc::new(Mailbox::default());
        let interrupt = Arc::clone(&runner.environment.interrupt);
        let clock = Arc::new(Clock::new());
        let counts = Arc::new(Counts::default());
        let mut work = Work {
            runner,
            limits,
            events,
            mailbox: Arc::clone(&mailbox),
            clock: Arc::clone(&clock),
            counts: Arc::clone(&counts),
            told: None,
            blocked: None,
            pruned_bytes: 0,
        };
        let runs = std::thread::Builder::new()
            .name(format!("run {name}"))
            // The reference engine recurses over trees; kernels run on stacks of their own.
            .stack_size(16 << 20)
            .spawn(move || work.serve())?;
        let (watched, deadline) = (Arc::clone(&mailbox), limits.run_deadline);
        let flag = Arc::clone(&interrupt);
        let watches = std::thread::Builder::new()
            .name(format!("deadline {name}"))
            .spawn(move || watch(&watched, &clock, &flag, deadline))?;
        Ok(Self {
            mailbox,
            interrupt,
            threads: vec![runs, watches],
            counts,
        })
    }

    /// What it has done since the start.
    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Asks for the state of a block; an older request not yet begun is forgotten.
    pub(super) fn wake(&self, target: Target) {
        self.mailbox.change(|slot| slot.target = Some(target));
    }

    /// Stops it, a kernel run in progress too.
    pub(super) fn stop(mut self) {
        self.close();
        for thread in std::mem::take(&mut self.threads) {
            // A thread that panicked has nothing more to say.
            let _ = thread.join();
        }
    }

    fn close(&self) {
        self.mailbox.change(|slot| slot.is_closed = true);
        self.interrupt.store(true, Ordering::Relaxed);
    }
}

/// Threads that nobody waits for end too: they hold the store, which has one owner.
impl Drop for Worker {
    fn drop(&mut self) {
        self.close();
    }
}

/// When the run in progress began; 0 between runs.
#[derive(Debug)]
struct Clock {
    epoch: Instant,
    since: AtomicU64,
}

impl Clock {
    fn new() -> Self {
        Self {
            epoch: Instant::now(),
            since: AtomicU64::new(0),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .max(1)
    }

    fn begin(&self) {
        self.since.store(self.now(), Ordering::Relaxed);
    }

    fn end(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    fn is_over(&self, deadline: Duration) -> bool {
        let since = self.since.load(Ordering::Relaxed);
        let spent = Duration::from_millis(self.now().saturating_sub(since));
        since > 0 && spent > deadline
    }
}

fn watch(mailbox: &Mailbox, clock: &Clock, interrupt: &AtomicBool, deadline: Duration) {
    let mut slot = mailbox.slot.lock().unwrap_or_else(PoisonError::into_inner);
    while !slot.is_closed {
        if clock.is_over(deadline) {
            interrupt.store(true, Ordering::Relaxed);
        }
        slot = mailbox
            .arrived
            .wait_timeout(slot, WATCH)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
    }
}

struct Work {
    runner: Runner,
    limits: Limits,
    events: mpsc::Sender<Event>,
    mailbox: Arc<Mailbox>,
    clock: Arc<Clock>,
    counts: Arc<Counts>,
    /// The last state told, and in which epoch.
    told: Option<(u64, Place)>,
    /// Where it cannot go on, in which epoch, and the preimage that would help.
    blocked: Option<(u64, Option<[u8; 33]>)>,
    pruned_bytes: u64,
}

impl Work {
    fn serve(&mut self) {
        while let Some(target) = self.mailbox.take() {
            if self.is_still_blocked(target.epoch) {
                continue;
            }
            let epoch = target.epoch;
            if let Err(halt) = self.reach(target) {
                let (block, error) = *halt;
                let (block, level) = block;
                if matches!(error, RunnerError::Different { .. }) {
                    let rollup = self.runner.rollup.address;
                    let alarm = alarms::engine_disagreement(rollup, level, &error.to_string());
                    self.tell(Event::Trouble(alarm));
                }
                let (reason, detail) = error.reason();
                self.blocked = Some((epoch, error.missing_preimage()));
                self.tell(Event::Blocked {
                    epoch,
                    unknown: UnknownRow {
                        rollup: self.runner.rollup.address,
                        block,
                        level,
                        reason: reason.to_owned(),
                        detail,
                    },
                });
            }
        }
    }

    fn is_still_blocked(&mut self, epoch: u64) -> bool {
        let Some((since, preimage)) = self.blocked else {
            return false;
        };
        let helps = |hash: [u8; 33]| self.runner.environment.reveals.preimage(&hash).is_ok();
        if since == epoch && !preimage.is_some_and(helps) {
            return true;
        }
        self.blocked = None;
        false
    }

    /// Where to go on in this epoch: after what was told last, else after what the journal holds.
    fn last_told(&self, epoch: u64) -> Result<Place, RunnerError> {
        if let Some((_, place)) = self.told.filter(|(since, _)| *since == epoch) {
            return Ok(place);
        }
        let rollup = &self.runner.rollup;
        let last = self.runner.reader.last_state(&rollup.address)?;
        let last = last.ok_or(RunnerError::Absent {
            what: "state",
            level: rollup.origination_level,
        })?;
        Ok(Place {
            block: last.block,
            level: last.level,
        })
    }

    /// Runs up to the target, telling chunk by chunk; on an error, says at which block.
    fn reach(&mut self, target: Target) -> Result<(), Halt> {
        let goal = target.place;
        let at_goal = |error| Box::new(((goal.block, goal.level), error));
        let told = self.last_told(target.epoch).map_err(at_goal)?;
        self.told = Some((target.epoch, told));
        let (mut place, mut state) = self
            .runner
            .nearest(told.level.min(goal.level))
            .map_err(at_goal)?;
        while place.level < goal.level {
            let from = place.level.next().unwrap_or(goal.level);
            let to = place
                .level
                .plus(CHUNK)
                .unwrap_or(goal.level)
                .min(goal.level);
            let blocks = self
                .runner
                .reader
                .blocks_between(from, to)
                .map_err(|error| at_goal(error.into()))?;
            let mut rows = Vec::with_capacity(blocks.len());
            let mut failed = None;
            for block in blocks {
                if block.predecessor != place.block {
                    // The journal moved to another branch: a newer request is on its way.
                    return Ok(());
                }
                // A deadline that struck just after a run must not hit the next one; `stop` closes
                // the mailbox before it interrupts.
                let interrupt = &self.runner.environment.interrupt;
                interrupt.store(false, Ordering::Relaxed);
                if self.mailbox.has_news(target.epoch) {
                    return Ok(());
                }
                self.clock.begin();
                let begun = Instant::now();
                let outcome = self.runner.run(&state, &block);
                self.clock.end();
                self.counts.ran(begun.elapsed());
                match outcome {
                    Ok((next, row)) => {
                        place = Place {
                            block: block.hash,
                            level: block.level,
                        };
                        state = next;
                        self.runner.remember(place, state.clone());
                        rows.push(row);
                    }
                    Err(error) => {
                        failed = Some(((block.hash, block.level), error));
                        break;
                    }
                }
            }
            let is_stuck = rows.is_empty() && failed.is_none();
            if !self.keep(&mut state).map_err(at_goal)? {
                return Ok(());
            }
            self.runner.remember(place, state.clone());
            self.tell_states(target.epoch, rows);
            if let Some((at, error)) = failed {
                return self.give_up(at, error);
            }
            if is_stuck {
                return Ok(());
            }
        }
        self.keep_house().map_err(at_goal)
    }

    /// Makes a state durable, however long the disk does not take it; not when everything stops.
    fn keep(&self, state: &mut State) -> Result<bool, RunnerError> {
        let mut since: Option<(Instant, String)> = None;
        loop {
            let (path, error) = match self.runner.keep(state) {
                Err(RunnerError::Store(StoreError::Io { path, error })) => (path, error),
                kept => {
                    kept?;
                    if let Some((began, problem)) = since {
                        self.disk_takes_again(began, &problem);
                    }
                    return Ok(true);
                }
            };
            since.get_or_insert_with(|| {
                let problem = format!("{}: {error}", path.display());
                tracing::error!(
                    problem,
                    "the state store takes nothing: waiting for the disk"
                );
                self.counts.troubled(Some(problem.clone()));
                (Instant::now(), problem)
            });
            if self.mailbox.is_closed_after(PAUSE) {
                return Ok(false);
            }
        }
    }

    fn disk_takes_again(&self, began: Instant, problem: &str) {
        self.counts.troubled(None);
        let waited = began.elapsed();
        tracing::info!(seconds = waited.as_secs(), "states are stored again");
        self.tell(Event::Trouble(alarms::disk_failed(waited, problem)));
    }

    /// An interrupted run is a missed deadline, unless everything is to stop.
    fn give_up(&self, at: (BlockHash, Level), error: RunnerError) -> Result<(), Halt> {
        let is_closed = {
            let slot = self.mailbox.slot.lock();
            slot.unwrap_or_else(PoisonError::into_inner).is_closed
        };
        if is_closed {
            return Ok(());
        }
        Err(Box::new((at, error)))
    }

    /// Tells the states above what was told before.
    fn tell_states(&mut self, epoch: u64, mut rows: Vec<StateRow>) {
        let Some((_, told)) = self.told else { return };
        rows.retain(|row| row.level > told.level);
        let Some(last) = rows.last() else { return };
        self.told = Some((
            epoch,
            Place {
                block: last.block,
                level: last.level,
            },
        ));
        self.tell(Event::Ran {
            epoch,
            rollup: self.runner.rollup.address,
            after: told.block,
            states: rows,
        });
    }

    fn tell(&self, event: Event) {
        // Nobody listens any more only when everything stops.
        let _ = self.events.blocking_send(event);
    }

    /// Prunes the store when it has doubled, and complains when it is too large.
    fn keep_house(&mut self) -> Result<(), RunnerError> {
        let Some(store) = &self.runner.store else {
            return Ok(());
        };
        let size = store.size().bytes;
        if size > self.pruned_bytes.saturating_mul(2).max(WORTH_PRUNING) {
            let keep = self.states_to_keep()?;
            let pruned = store.prune(&keep);
            self.pruned_bytes = store.size().bytes;
            if let Err(error @ StoreError::Io { .. }) = pruned {
                // Nothing is lost: it is tried again when there is twice as much to gain.
                tracing::warn!(%error, "the state store cannot be pruned now");
                return Ok(());
            }
            pruned?;
            tracing::info!(
                before_bytes = size,
                after_bytes = self.pruned_bytes,
                states = keep.len(),
                "state store pruned"
            );
        }
        let size = store.size().bytes;
        self.counts.stored(size);
        if size > self.limits.store_bytes {
            let rollup = self.runner.rollup.address;
            self.tell(Event::Trouble(alarms::store_size(
                rollup,
                size,
                self.limits.store_bytes,
            )));
        }
        Ok(())
    }

    /// Recent levels, our commitments, and the genesis.
    fn states_to_keep(&self) -> Result<Vec<Hash>, RunnerError> {
        let Some(store) = &self.runner.store else {
            return Ok(Vec::new());
        };
        let rollup = self.runner.rollup.address;
        let reader = &self.runner.reader;
        let mut wanted: std::collections::BTreeSet<[u8; 32]> =
            std::collections::BTreeSet::from([self.runner.rollup.genesis_state.0]);
        if let Some((_, told)) = self.told {
            let from = told
                .level
                .minus(self.limits.kept_levels)
                .unwrap_or(Level::ZERO);
            let states = reader.states_between(&rollup, from, told.level)?;
            wanted.extend(states.iter().map(|row| row.hash.0));
        }
        let own = reader.own_commitments(&rollup)?;
        let newest = own.iter().rev().take(KEPT_COMMITMENTS);
        wanted.extend(newest.map(|(_, commitment)| commitment.compressed_state.0));
        let mut keep: Vec<_> = store
            .roots()
            .into_iter()
            .filter(|root| wanted.contains(&root.0))
            .collect();
        // What was told but not journalled yet, too.
        keep.extend(store.roots().last());
        keep.sort_unstable_by_key(|root| root.0);
        keep.dedup();
        Ok(keep)
    }
}
