//! The player: takes in the chain, derives what is wanted, has it computed and carried.
//!
//! Promises: everything is journalled before it is acted on; an answer of a node, a worker or a
//! gate that does not come holds up nothing but what needs it; what is wanted is derived again at
//! each head, so nothing depends on what was sent before. Refuses to know: how the chain is
//! followed, how moves are found and operations carried.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::archive::Archive;
use super::brief::{Brief, RollupBrief};
use super::crosscheck::{Record, first_seen, hold_to_blocks};
use super::desk::{Asked, Done, Order};
use super::hands::Hands;
use super::news::PlayNews;
use super::observe::{Seen, observe};
use super::table::Table;
use super::workers::Pool;
use super::{concerns, files};
use crate::config::{Mode, PlayConfig};
use crate::journal::{Alarm, Entry, HoldRow, Journal, PlayEntry, Reader, Severity};
use crate::l1::{BlockRef, Client, EndpointName, L1Error, Receipt};
use crate::operation::{At, Notice, Outcome, Wanted};
use crate::protocol::{BlockHash, Dialected, Level, Mutez, RollupAddress, Timestamp};
use crate::tower::chain_facts::ChainFacts;
use crate::tower::event::{Event, News};
use crate::tower::model::Place;
use crate::tower::policy::Hold;
use crate::tower::run::{Listener, write};
use crate::tower::status::Status;
use crate::tower::{alarms, announce};

/// How often the brake is looked at, and what failed is tried again.
const LOOK: Duration = Duration::from_millis(250);

/// Looks after which what failed is tried again.
const SLOW: u32 = 8;

/// Looks between the end of everything and ours: time to tell people of it.
const PARTING: u32 = 20;

/// What the loop tells the player, in the order of the chain.
#[derive(Debug, Clone)]
pub(in crate::tower) enum Tidings {
    /// Blocks above this level left the chain.
    RolledBack(Level),
    /// A block joined it, with the receipts of our account.
    Block(BlockRef, Vec<Receipt>),
    /// The chain as it is now.
    Brief(Box<Brief>),
}

/// Everything a player is made of.
pub(in crate::tower) struct Player {
    pub(super) config: PlayConfig,
    pub(super) mode: Mode,
    pub(super) data_dir: PathBuf,
    pub(super) client: Client,
    pub(super) journal: Journal,
    pub(super) reader: Reader,
    pub(super) chain: ChainFacts,
    pub(super) hands: Hands,
    pub(super) pool: Pool<Order>,
    pub(super) done: mpsc::Receiver<Done>,
    pub(super) finish: mpsc::Sender<Done>,
    pub(super) tidings: mpsc::UnboundedReceiver<Tidings>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) listener: Option<Listener>,
    pub(super) status: watch::Sender<Status>,
    pub(super) stop: CancellationToken,
    pub(super) tables: BTreeMap<RollupAddress, Table>,
    pub(super) brief: Option<Brief>,
    /// What was seen at the tip, by rollup.
    pub(super) seen: BTreeMap<RollupAddress, (Place, Seen)>,
    /// What the hands were last given, at which tip.
    pub(super) given: Option<(Place, Vec<Wanted>)>,
    /// The brake, when it is on.
    pub(super) brake: Option<String>,
    /// Looks taken so far.
    pub(super) looks: u32,
    /// Since which of them everything is done, if it is.
    pub(super) finishing: Option<u32>,
    /// Whether the hands could not carry what is wanted.
    pub(super) is_failing: bool,
    /// Set to stop computations when everything stops.
    pub(super) interrupts: Vec<Arc<AtomicBool>>,
    /// What games asked the machines for, by rollup.
    pub(super) asked: Vec<Arc<Asked>>,
    /// Signatures refused: by the gate, by the key.
    pub(super) refusals: [u64; 2],
    /// Whether there is something to think about.
    pub(super) is_due: bool,
    /// Whether everything wanted at the tip is handed over and nothing is under way.
    pub(super) is_settled: bool,
}

impl std::fmt::Debug for Player {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Player")
            .field("mode", &self.mode)
            .field("hands", &self.hands)
            .finish_non_exhaustive()
    }
}

impl Player {
    /// Plays until stopped.
    pub(in crate::tower) async fn run(mut self) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let stop = self.stop.clone();
        // A brake that is on keeps the very first operation back.
        self.on_look().await;
        loop {
            let goes_on = tokio::select! {
                () = stop.cancelled() => false,
                tidings = self.tidings.recv() => self.on_tidings(tidings).await,
                done = self.done.recv() => self.on_done(done).await,
                _ = look.tick() => self.on_look().await,
            };
            if !goes_on {
                break;
            }
            if self.is_due {
                self.is_due = false;
                self.think().await;
            }
        }
        for interrupt in &self.interrupts {
            interrupt.store(true, Ordering::Relaxed);
        }
        let pool = self.pool;
        // Workers may be waiting to tell something: nobody listens any more.
        drop(self.done);
        // A thread that panicked has said so already.
        let _ = tokio::task::spawn_blocking(move || pool.stop()).await;
    }

    async fn on_tidings(&mut self, first: Option<Tidings>) -> bool {
        let mut next = first;
        if next.is_none() {
            return false;
        }
        while let Some(tidings) = next {
            let outcome = match tidings {
                Tidings::RolledBack(level) => self.hands.rolled_back(level).await,
                Tidings::Block(block, receipts) => self.hands.applied(block, receipts).await,
                Tidings::Brief(brief) => {
                    if self.tip() != Some(brief.tip) {
                        self.tables.values_mut().for_each(|table| {
                            table.retry();
                        });
                    }
                    self.brief = Some(*brief);
                    self.is_due = true;
                    Ok(Vec::new())
                }
            };
            match outcome {
                Ok(notices) => self.on_notices(notices).await,
                Err(error) => self.trouble("entries", error.to_string()).await,
            }
            next = self.tidings.try_recv().ok();
        }
        true
    }

    async fn on_done(&mut self, first: Option<Done>) -> bool {
        let mut next = first;
        while let Some(done) = next {
            self.take(done).await;
            next = self.done.try_recv().ok();
        }
        self.is_due = true;
        true
    }

    async fn take(&mut self, done: Done) {
        let rollup = match &done {
            Done::Consent(rollup, ..)
            | Done::Found(rollup, ..)
            | Done::NotYet(rollup, ..)
            | Done::Agreement(rollup, ..)
            | Done::Prepared(rollup, ..)
            | Done::Panicked((rollup, ..), _) => *rollup,
        };
        let Some(table) = self.tables.get_mut(&rollup) else {
            return;
        };
        let outcome = table.take(done);
        self.keep(outcome.entries, &outcome.alarms).await;
        for alarm in outcome.alarms {
            self.alarm(alarm).await;
        }
        for news in outcome.news {
            self.tell(news);
        }
    }

    /// The brake, and whatever failed before.
    async fn on_look(&mut self) -> bool {
        let brake = files::pulled(&self.data_dir);
        if brake != self.brake {
            self.hands.brake(brake.as_deref());
            self.hold(None, Hold::Brake, brake.as_deref()).await;
            self.brake = brake;
            self.is_due = true;
        }
        if files::take_release(&self.data_dir) {
            let frozen: Vec<_> = self
                .tables
                .iter_mut()
                .filter_map(|(rollup, table)| table.frozen.take().map(|_| *rollup))
                .collect();
            for rollup in frozen {
                self.hands.freeze(rollup, None);
                self.hold(Some(rollup), Hold::Contradiction, None).await;
            }
            self.is_due = true;
        }
        self.looks = self.looks.wrapping_add(1);
        let is_over = |since: u32| self.looks.wrapping_sub(since) >= PARTING;
        if self.finishing.is_some_and(is_over) {
            self.tell(PlayNews::Finished);
            self.stop.cancel();
        }
        let is_failing = self.is_failing || self.tables.values().any(Table::is_waiting);
        if self.looks.is_multiple_of(SLOW) {
            for table in self.tables.values_mut() {
                self.is_due |= table.retry();
            }
            self.is_due |= is_failing;
        } else {
            self.is_due |= !self.is_settled && !is_failing;
        }
        true
    }

    async fn hold(&mut self, rollup: Option<RollupAddress>, hold: Hold, reason: Option<&str>) {
        let message = match reason {
            Some(reason) => format!("sending is stopped ({}): {reason}", hold.word()),
            None => format!("sending goes on ({} is over)", hold.word()),
        };
        let entry = PlayEntry::Hold(HoldRow {
            rollup,
            hold: hold.word(),
            is_on: reason.is_some(),
            reason: reason.unwrap_or_default().to_owned(),
        });
        tracing::warn!(hold = hold.word(), is_on = reason.is_some(), "hold");
        let severity = if hold == Hold::Contradiction && reason.is_some() {
            Severity::Critical
        } else {
            Severity::Warning
        };
        let alarm = Alarm {
            rollup,
            level: None,
            severity,
            kind: alarms::HOLD,
            subject: format!("{message} {}", self.tip().map_or(0, |tip| tip.level.get())),
            message,
        };
        self.keep(vec![entry], std::slice::from_ref(&alarm)).await;
        self.alarm(alarm).await;
    }

    fn tip(&self) -> Option<Place> {
        self.brief.as_ref().map(|brief| brief.tip)
    }

    /// Derives everything anew, and has it done.
    async fn think(&mut self) {
        let Some(brief) = self.brief.clone() else {
            return;
        };
        let mut wanted = Vec::new();
        let mut is_finished = !brief.rollups.is_empty();
        let mut is_current = true;
        for (rollup, of_rollup) in &brief.rollups {
            is_current &= of_rollup.is_current;
            match self.think_of(&brief, *rollup).await {
                Some((more, finished)) => {
                    wanted.extend(more);
                    is_finished &= finished;
                }
                None => {
                    // What cannot be known now keeps nothing else from being done; what was wanted
                    // before still is.
                    let table = self.tables.get(rollup);
                    wanted.extend(table.into_iter().flat_map(|table| table.wanted.clone()));
                    is_finished = false;
                    is_current = false;
                }
            }
        }
        let count = wanted.len();
        let is_carried = self.hand_over(&brief, wanted).await;
        let mut tables = self.tables.values();
        self.is_settled = is_carried
            && self.pool.pressing() == 0
            && is_current
            && self.done.is_empty()
            && !tables.any(|table| table.is_waiting() || table.is_asking());
        self.show(&brief, count);
        self.finishing = is_finished.then(|| self.finishing.unwrap_or(self.looks));
    }

    async fn think_of(
        &mut self,
        brief: &Brief,
        rollup: RollupAddress,
    ) -> Option<(Vec<Wanted>, bool)> {
        let of_rollup = brief.rollups.get(&rollup)?;
        let known = self
            .seen
            .get(&rollup)
            .filter(|(place, _)| *place == brief.tip);
        let seen = match known {
            Some((_, seen)) => seen.clone(),
            None => {
                let me = self.hands.account();
                match observe(&self.client, rollup, me, of_rollup, brief.tip).await {
                    Ok(seen) => self.hold_to_blocks(brief, of_rollup, rollup, seen).await,
                    Err(error) => {
                        tracing::warn!(%error, "the chain cannot be asked about games");
                        self.tables.get_mut(&rollup)?.is_retrying = true;
                        return None;
                    }
                }
            }
        };
        self.seen.insert(rollup, (brief.tip, seen.clone()));
        let hold = self
            .brake
            .is_some()
            .then_some(Hold::Brake)
            .max(self.hands.is_standing_by().then_some(Hold::StandBy));
        let table = self.tables.get_mut(&rollup)?;
        table.is_retrying = false;
        let is_news = table.ended_candidates(&seen) || table.is_bond_moved(of_rollup);
        let operations = is_news.then(|| self.reader.operations(&rollup));
        let operations = operations.and_then(Result::ok);
        let mut outcome = table.think(
            &super::table::Moment {
                brief,
                of_rollup,
                rollup,
                seen: &seen,
                config: &self.config,
                mode: self.mode,
                hold,
                chain: &self.chain,
            },
            operations.as_deref(),
            &self.reader,
        );
        if outcome.is_doubtful {
            self.client.doubt();
        }
        let frozen = std::mem::take(&mut outcome.frozen);
        self.keep(outcome.entries, &outcome.alarms).await;
        if let Some(reason) = frozen {
            self.hands.freeze(rollup, Some(&reason));
            self.hold(Some(rollup), Hold::Contradiction, Some(&reason))
                .await;
        }
        for alarm in outcome.alarms {
            self.alarm(alarm).await;
        }
        for news in outcome.news {
            self.tell(news);
        }
        for period in outcome.agreements {
            self.ask_endpoints(rollup, period);
        }
        for order in outcome.orders {
            let slack = order.slack;
            self.pool.ask(order, slack);
        }
        Some((outcome.wanted, outcome.is_finished))
    }

    /// What was seen, as the blocks have it.
    async fn hold_to_blocks(
        &mut self,
        brief: &Brief,
        of_rollup: &RollupBrief,
        rollup: RollupAddress,
        mut seen: Seen,
    ) -> Seen {
        let Some(table) = self.tables.get_mut(&rollup) else {
            return seen;
        };
        let record = Record {
            rollup,
            stakes: &of_rollup.stakes,
            played: &of_rollup.played,
            before: brief.lattice.before(),
        };
        let (dals, reader) = (&mut table.dals, &self.reader);
        let cell_at = |level| Archive::cell_at(reader, level);
        let found = hold_to_blocks(&mut seen, record, cell_at, dals);
        first_seen(dals, rollup, &seen);
        if !found.is_empty() {
            self.client.doubt();
        }
        for contradiction in found {
            let alarm = contradiction.alarm(rollup, brief.tip.level);
            self.alarm(alarm).await;
        }
        seen
    }

    /// Do two endpoints have the block that ends a period?
    fn ask_endpoints(&self, rollup: RollupAddress, period: super::brief::Period) {
        let (client, finish) = (self.client.clone(), self.finish.clone());
        let block = BlockRef {
            level: period.own.commitment.inbox_level,
            hash: period.own.block,
        };
        tokio::spawn(async move {
            let configured = client.health().len();
            let outcome = match client.agreement(block).await {
                Ok(agreement) if agreement.is_enough(configured) => Ok(()),
                Ok(agreement) => Err(format!(
                    "{} of {configured} endpoints confirm block {} at level {}",
                    agreement.agree.len(),
                    block.hash,
                    block.level
                )),
                Err(L1Error::Disagreement { answers, .. }) if confirmed(&answers, block) => Ok(()),
                Err(error) => Err(error.to_string()),
            };
            // The player may be stopping.
            let _ = finish.send(Done::Agreement(rollup, period, outcome)).await;
        });
    }

    /// Gives the hands what is wanted; whether they took it.
    async fn hand_over(&mut self, brief: &Brief, mut wanted: Vec<Wanted>) -> bool {
        if self.brake.is_some() {
            wanted.clear();
        }
        let place = brief.tip;
        if self
            .given
            .as_ref()
            .is_some_and(|(tip, before)| *tip == place && *before == wanted)
        {
            return true;
        }
        let at = At {
            head: BlockRef {
                level: place.level,
                hash: place.block,
            },
            now: Timestamp(jiff::Timestamp::now().as_second()),
            lost: self.lost(),
        };
        match self.hands.head(at, wanted.clone()).await {
            Ok(notices) => {
                self.given = Some((place, wanted));
                self.on_notices(notices).await;
                self.is_failing = false;
                true
            }
            Err(error) => {
                tracing::warn!(%error, "operations cannot be carried for now");
                self.is_failing = true;
                false
            }
        }
    }

    fn lost(&self) -> Mutez {
        let lost = self.tables.values().map(|table| table.lost.0);
        Mutez(lost.fold(0, u64::saturating_add))
    }

    async fn on_notices(&mut self, notices: Vec<Notice>) {
        for notice in notices {
            if let Notice::Included {
                what,
                outcome,
                block,
                ..
            } = &notice
            {
                self.tell(PlayNews::Included {
                    what: what.key().to_string(),
                    level: block.level,
                    outcome: outcome.word(),
                });
                if *outcome == Outcome::Included {
                    tracing::info!(what = %what.key(), level = %block.level, "operation included");
                }
            }
            let [by_gate, by_key] = &mut self.refusals;
            match &notice {
                Notice::Refused { .. } => *by_gate = by_gate.saturating_add(1),
                Notice::NoSignature { .. } => *by_key = by_key.saturating_add(1),
                _ => {}
            }
            if let Some(alarm) = concerns::of_notice(&notice) {
                self.alarm(alarm).await;
            }
        }
    }

    /// Writes entries with the alarms that follow from them, at once: after an end in between, nobody
    /// would hear of what is known already. Play does not go on without its journal.
    async fn keep(&mut self, entries: Vec<PlayEntry>, alarms: &[Alarm]) {
        let entries = entries.into_iter().map(Entry::from);
        let alarms = alarms.iter().cloned().map(Entry::Alarm);
        let rows: Vec<Entry> = entries.chain(alarms).collect();
        if let Err(error) = write(&self.journal, rows).await {
            tracing::error!(%error, "the journal cannot be written: stopping");
            self.stop.cancel();
        }
    }

    async fn trouble(&mut self, subject: &str, message: String) {
        self.alarm(Alarm {
            rollup: None,
            level: None,
            severity: Severity::Critical,
            kind: alarms::PLAY,
            subject: subject.to_owned(),
            message,
        })
        .await;
    }

    /// The loop journals alarms where they are not yet, and tells them.
    async fn alarm(&mut self, alarm: Alarm) {
        // The loop may be stopping.
        let _ = self.events.send(Event::Trouble(alarm)).await;
    }

    fn tell(&self, news: PlayNews) {
        let news = News::Play(news);
        announce::log(&news, crate::crypto::Dialect::Modern);
        if let Some(listener) = &self.listener {
            listener(&news);
        }
    }

    fn show(&self, brief: &Brief, wanted: usize) {
        let mut holds: Vec<(Option<String>, &'static str)> = Vec::new();
        if self.brake.is_some() {
            holds.push((None, Hold::Brake.word()));
        }
        if self.hands.is_standing_by() {
            holds.push((None, Hold::StandBy.word()));
        }
        let mut games = Vec::new();
        let mut bonded = Vec::new();
        let mut ended = [0_u64; 3];
        let mut won_and_lost = [Mutez(0); 2];
        let mut purses = Vec::new();
        let mut balance = None;
        for (rollup, table) in &self.tables {
            let Some(of_rollup) = brief.rollups.get(rollup) else {
                continue;
            };
            let name = rollup.text(of_rollup.dialect);
            if table.frozen.is_some() {
                holds.push((Some(name.clone()), Hold::Contradiction.word()));
            }
            if let Some((_, seen)) = self.seen.get(rollup) {
                balance = Some(seen.account.balance);
                if seen.account.is_bonded {
                    bonded.push(name.clone());
                }
                games.extend(table.shown(&name, seen, brief.tip.level));
            }
            for (sum, more) in ended.iter_mut().zip(table.ended) {
                *sum = sum.saturating_add(more);
            }
            for (sum, more) in won_and_lost.iter_mut().zip([table.won, table.lost]) {
                *sum = Mutez(sum.0.saturating_add(more.0));
            }
            purses.push((name, table.purse));
        }
        let mut asked = [0_u64; 2];
        for counts in self.asked.iter().map(|asked| asked.counts()) {
            for (sum, more) in asked.iter_mut().zip(counts) {
                *sum = sum.saturating_add(more);
            }
        }
        let refusals = self.refusals;
        let working = self.pool.len();
        let (is_settled, tip) = (self.is_settled, brief.tip);
        let (mode, account) = (self.mode.name(), self.hands.account());
        self.status.send_modify(|status| {
            let play = &mut status.play;
            play.mode = mode;
            play.account = Some(account);
            play.balance = balance;
            play.holds = holds;
            play.bonded = bonded;
            play.games = games;
            play.wanted = wanted;
            play.working = working;
            play.ended = ended;
            play.purses = purses;
            play.won_and_lost = won_and_lost;
            play.refusals = refusals;
            play.asked = asked;
            if is_settled {
                play.settled = Some(tip);
            }
        });
    }
}

/// Whether two endpoints have a block, and more than have another one: a single node that lies or is
/// astray keeps nobody from defending. It has its own alarm.
fn confirmed(answers: &[(EndpointName, BlockHash)], block: BlockRef) -> bool {
    let agree = answers.iter().filter(|(_, hash)| *hash == block.hash);
    let agree = agree.count();
    agree >= 2 && agree > answers.len().saturating_sub(agree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_confirmed_by_two_endpoints_that_are_the_majority() {
        let of = |byte: u8| BlockHash([byte; 32]);
        let block = BlockRef {
            level: Level::new(5),
            hash: of(1),
        };
        let said = |bytes: &[u8]| {
            let name = |nth| EndpointName::new(&format!("node {nth}"));
            let answers = bytes.iter().enumerate();
            let answers: Vec<_> = answers.map(|(nth, byte)| (name(nth), of(*byte))).collect();
            confirmed(&answers, block)
        };
        assert!(said(&[1, 1, 2]) && said(&[1, 2, 1, 3, 1]) && said(&[1, 1]));
        assert!(!said(&[]) && !said(&[1]) && !said(&[1, 2]) && !said(&[2, 2, 1]));
        assert!(!said(&[1, 1, 2, 2]), "as many against it");
        assert!(!said(&[1, 1, 2, 3]), "no majority");
    }
}
