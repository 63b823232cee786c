//! What to write down and what to do about an event: pure, no clock, no I/O.
//!
//! Promises: the same model and event give the same decision; every effect follows from entries of
//! the same decision, so that what is done was journalled. Refuses to know: how anything is done.

use super::alarms;
use super::event::{Decision, Effect, Event, News, SeenBlock};
use super::facts::fact_of;
use super::model::{Distrust, Model, Own, Place, Reading, Watched};
use super::stakes::Fact;
use crate::journal::{
    Alarm, BackfillRow, ConflictRow, Entry, Judgement, OperationRow, PublishedRow, Reorganisation,
    StateRow, UnknownRow, VerdictRow,
};
use crate::protocol::{BlockHash, Commitment, CommitmentHash, Level, Protocol, RollupAddress};

impl Decision {
    fn alarm(&mut self, alarm: Alarm) {
        self.entries.push(Entry::Alarm(alarm.clone()));
        self.tell(News::Alarm(alarm));
    }

    fn tell(&mut self, news: News) {
        self.effects.push(Effect::Tell(news));
    }
}

impl Model {
    /// Takes in one event.
    pub fn decide(&mut self, event: Event) -> Decision {
        let mut decision = Decision::default();
        match event {
            Event::Block(seen) => self.on_block(*seen, &mut decision),
            Event::RolledBack { fork, level } => self.on_rollback(fork, level, &mut decision),
            Event::Head(level) => {
                self.head = Some(level);
                self.notice_caught_up(&mut decision);
            }
            Event::Ran {
                epoch,
                rollup,
                after,
                states,
            } => {
                if epoch == self.epoch {
                    self.on_ran(&rollup, after, states, &mut decision);
                }
            }
            Event::Blocked { epoch, unknown } => {
                if epoch == self.epoch {
                    self.on_blocked(unknown, &mut decision);
                }
            }
            Event::Stored {
                rollup,
                at,
                publications,
            } => self.on_stored(&rollup, at, publications, &mut decision),
            Event::Constants(row) => decision.entries.push(Entry::Constants(row)),
            Event::Backfilled {
                progress,
                publications,
                operations,
            } => self.on_backfilled(progress, publications, operations, &mut decision),
            Event::Trouble(alarm) => decision.alarm(alarm),
        }
        self.finish(&mut decision);
        decision
    }

    /// What follows from the memory alone, after it was taken up from the journal.
    pub fn resume(&mut self) -> Decision {
        let mut decision = Decision::default();
        let at = self.tip.block;
        let distrust = self.distrust.clone();
        for rollup in self.rollups.values_mut() {
            rollup.judge_all(distrust.as_ref(), Level::ZERO, &mut decision);
            rollup.notice_conflicts(at, &mut decision);
        }
        self.wake(&mut decision);
        self.finish(&mut decision);
        decision
    }

    fn on_block(&mut self, seen: SeenBlock, decision: &mut Decision) {
        let SeenBlock {
            block,
            inbox,
            publications,
            operations,
            receipts: _,
            is_back,
        } = seen;
        let before = self.tip;
        self.tip = Place {
            block: block.hash,
            level: block.level,
        };
        if block.opens_protocol {
            self.open_protocol(&block);
        }
        let contradiction = inbox.node_hash.filter(|theirs| *theirs != inbox.hash);
        let ours = inbox.hash;
        decision.entries.push(Entry::Block(block.clone()));
        decision.entries.push(Entry::Inbox(inbox));
        if let (Some(theirs), None) = (contradiction, &self.distrust) {
            let dialect = self.dialect();
            let alarm = alarms::inbox_mismatch(dialect, block.level, ours, theirs);
            self.distrust = Some(Distrust {
                level: block.level,
                detail: alarm.subject.clone(),
                below: before,
            });
            decision.alarm(alarm);
            let distrust = self.distrust.clone();
            for rollup in self.rollups.values_mut() {
                rollup.judge_all(distrust.as_ref(), block.level, decision);
            }
        }
        self.begin_rollups(block.hash, block.level, decision);
        self.take_facts(publications, operations, block.hash, decision);
        if is_back {
            // With it, the states and commitments found on it are in force again.
            decision.effects.push(Effect::Reload);
        } else {
            self.wake(decision);
        }
    }

    fn open_protocol(&mut self, block: &crate::journal::BlockRow) {
        let known = Protocol::from_hash(&block.protocol);
        if let (Some(protocol), Some(last)) = (known, block.level.previous()) {
            self.lattice.activate(protocol, block.period, last);
        }
    }

    /// Rollups that were originated in this block now have their first state.
    fn begin_rollups(&mut self, block: BlockHash, level: Level, decision: &mut Decision) {
        for rollup in self.rollups.values_mut() {
            let genesis = rollup.genesis;
            if genesis.inbox_level != level {
                continue;
            }
            let own = Own {
                commitment: genesis,
                hash: genesis.hash(),
                block,
            };
            rollup.own.insert(level, own);
            rollup.reached = Place { block, level };
            decision.entries.extend(super::genesis::first_entries(
                rollup.address,
                &genesis,
                block,
            ));
        }
    }

    /// Publications and other operations of one block, in the order of the block.
    fn take_facts(
        &mut self,
        publications: Vec<PublishedRow>,
        operations: Vec<OperationRow>,
        at: BlockHash,
        decision: &mut Decision,
    ) {
        enum Row {
            Published(PublishedRow),
            Operation(OperationRow),
        }
        let mut rows: Vec<_> = publications
            .into_iter()
            .map(|row| (row.position, Row::Published(row)))
            .chain(
                operations
                    .into_iter()
                    .map(|row| (row.position, Row::Operation(row))),
            )
            .collect();
        rows.sort_by_key(|(position, _)| *position);
        let distrust = self.distrust.clone();
        let mut touched = std::collections::BTreeSet::new();
        for (_, row) in rows {
            let address = match &row {
                Row::Published(row) => row.rollup,
                Row::Operation(row) => row.rollup,
            };
            let Some(rollup) = self.rollups.get_mut(&address) else {
                // It is taken up from the journal once what came before is there too.
                if self.late.contains(&address) {
                    decision.entries.push(match row {
                        Row::Published(row) => Entry::Published(row),
                        Row::Operation(row) => Entry::Operation(row),
                    });
                }
                continue;
            };
            touched.insert(address);
            match row {
                Row::Published(row) => rollup.on_published(row, distrust.as_ref(), decision),
                Row::Operation(row) => rollup.on_operation(row, decision),
            }
        }
        for address in touched {
            if let Some(rollup) = self.rollups.get_mut(&address) {
                rollup.notice_conflicts(at, decision);
            }
        }
    }

    fn on_rollback(&mut self, fork: BlockHash, level: Level, decision: &mut Decision) {
        let old = self.tip;
        decision.entries.push(Entry::Reorganisation(Reorganisation {
            fork,
            fork_level: level,
            old_head: old.block,
            old_level: old.level,
        }));
        self.tip = Place { block: fork, level };
        for rollup in self.rollups.values_mut() {
            // The block whose storage is being read may be gone: it is read again at the next head.
            if rollup.reading.take().is_some() {
                rollup.is_caught_up = false;
            }
        }
        decision.effects.push(Effect::Reload);
        decision.tell(News::RolledBack {
            level,
            depth: old.level.since(level).unwrap_or(0),
        });
    }

    fn on_ran(
        &mut self,
        address: &RollupAddress,
        after: BlockHash,
        states: Vec<StateRow>,
        decision: &mut Decision,
    ) {
        let distrust = self.distrust.clone();
        let Some(rollup) = self.rollups.get_mut(address) else {
            return;
        };
        if rollup.reached.block != after {
            return;
        }
        for state in states {
            rollup.on_state(state, &self.lattice, distrust.as_ref(), decision);
        }
        self.notice_caught_up(decision);
    }

    fn on_blocked(&mut self, unknown: UnknownRow, decision: &mut Decision) {
        let distrust = self.distrust.clone();
        let Some(rollup) = self.rollups.get_mut(&unknown.rollup) else {
            return;
        };
        if rollup.blocked.as_ref() == Some(&unknown) {
            return;
        }
        let from = unknown.level;
        decision.entries.push(Entry::Unknown(unknown.clone()));
        decision.alarm(alarms::not_judgeable(&unknown));
        rollup.blocked = Some(unknown);
        rollup.judge_all(distrust.as_ref(), from, decision);
    }

    /// What the storage of a block had, blocks that came meanwhile may have taken away: the record
    /// knows the order of both.
    fn on_stored(
        &mut self,
        address: &RollupAddress,
        at: BlockHash,
        publications: Vec<PublishedRow>,
        decision: &mut Decision,
    ) {
        let Some(rollup) = self.rollups.get_mut(address) else {
            return;
        };
        let Some(reading) = rollup.reading.take_if(|reading| reading.at == at) else {
            return;
        };
        let is_told = |row: &PublishedRow| {
            let claim = reading.stakes.claim(&row.commitment.hash());
            claim.is_some_and(|claim| claim.stakers.contains(&row.staker))
        };
        let mut is_news = false;
        for row in publications.into_iter().filter(|row| !is_told(row)) {
            is_news = true;
            decision.entries.push(Entry::Published(row.clone()));
            decision.tell(News::Published(row));
        }
        if is_news {
            decision.effects.push(Effect::Reload);
        }
    }

    /// Once nothing is missing, the rollup is taken up with the others.
    fn on_backfilled(
        &mut self,
        progress: BackfillRow,
        publications: Vec<PublishedRow>,
        operations: Vec<OperationRow>,
        decision: &mut Decision,
    ) {
        let rows = publications.into_iter().map(Entry::Published);
        decision.entries.extend(rows);
        let rows = operations.into_iter().map(Entry::Operation);
        decision.entries.extend(rows);
        decision.entries.push(Entry::Backfill(progress));
        if progress.level >= progress.goal && self.late.remove(&progress.rollup) {
            decision.effects.push(Effect::Reload);
        }
    }

    /// Asks for the state at the tip, or just below the first level whose inbox is contradicted.
    fn wake(&self, decision: &mut Decision) {
        let goal = self.goal();
        for rollup in self.rollups.values() {
            if rollup.reached.level < goal.level {
                decision.effects.push(Effect::Wake {
                    rollup: rollup.address,
                    block: goal.block,
                    level: goal.level,
                    epoch: self.epoch,
                });
            }
        }
    }

    fn notice_caught_up(&mut self, decision: &mut Decision) {
        let Some(head) = self.head else { return };
        let Place { block: at, level } = self.tip;
        for rollup in self.rollups.values_mut() {
            let is_there = rollup.reached.level >= head;
            if is_there && !rollup.is_caught_up {
                decision.tell(News::CaughtUp {
                    rollup: rollup.address,
                    level: rollup.reached.level,
                });
                rollup.reading = Some(Reading {
                    at,
                    stakes: rollup.stakes.recent(),
                });
                decision.effects.push(Effect::ReadStakes {
                    rollup: rollup.address,
                    at,
                    level,
                });
            }
            // A few levels behind is following; only a long gap is catching up again.
            let gap = head.since(rollup.reached.level).unwrap_or(0);
            rollup.is_caught_up = is_there || (rollup.is_caught_up && gap < 64);
        }
    }

    fn finish(&mut self, decision: &mut Decision) {
        let Some(until) = self.until.filter(|_| !self.is_finished) else {
            return;
        };
        let goal = self.goal().level.min(until);
        let is_done = self.tip.level >= until
            && self.late.is_empty()
            && self
                .rollups
                .values()
                .all(|rollup| rollup.reached.level >= goal || rollup.blocked.is_some());
        if is_done {
            self.is_finished = true;
            decision.effects.push(Effect::Finish);
        }
    }

    pub(super) fn dialect(&self) -> crate::crypto::Dialect {
        self.rollups
            .values()
            .next()
            .map_or(crate::crypto::Dialect::Modern, |rollup| rollup.dialect)
    }
}

impl Watched {
    fn on_published(
        &mut self,
        row: PublishedRow,
        distrust: Option<&Distrust>,
        decision: &mut Decision,
    ) {
        let commitment = row.commitment;
        self.stakes.apply(&Fact::Published {
            staker: row.staker,
            commitment,
            at: row.published_level,
        });
        decision.entries.push(Entry::Published(row.clone()));
        decision.tell(News::Published(row));
        self.judge_one(commitment.hash(), &commitment, distrust, decision);
    }

    fn on_operation(&mut self, row: OperationRow, decision: &mut Decision) {
        let facts = fact_of(&row);
        self.played.take(&row, &self.stakes);
        decision.entries.push(Entry::Operation(row.clone()));
        decision.tell(News::Operation(row));
        for fact in facts {
            let cemented = self.stakes.apply(&fact);
            if let (Fact::Cemented { level, .. }, Some(hash)) = (fact, cemented) {
                self.cemented.insert(level, hash);
                self.check_cemented(level, decision);
            }
        }
    }

    /// Alarms when what is final at a level is not what is true there.
    fn check_cemented(&self, level: Level, decision: &mut Decision) {
        let (Some(cemented), Some(own)) = (self.cemented.get(&level), self.own.get(&level)) else {
            return;
        };
        if *cemented != own.hash {
            decision.alarm(alarms::false_cemented(
                self.address,
                self.dialect,
                cemented,
                level,
                &own.hash,
            ));
        }
    }

    fn on_state(
        &mut self,
        state: StateRow,
        lattice: &super::lattice::Lattice,
        distrust: Option<&Distrust>,
        decision: &mut Decision,
    ) {
        self.reached = Place {
            block: state.block,
            level: state.level,
        };
        self.ticks = self.ticks.saturating_add(state.ticks);
        if self
            .blocked
            .as_ref()
            .is_some_and(|blocked| blocked.level <= state.level)
        {
            self.blocked = None;
        }
        let due = self
            .last_own()
            .filter(|last| lattice.next(last.commitment.inbox_level) == Some(state.level))
            .copied();
        let (level, block) = (state.level, state.block);
        let hash = state.hash;
        decision.entries.push(Entry::State(state));
        let Some(last) = due else { return };
        let commitment = Commitment {
            compressed_state: hash,
            inbox_level: level,
            predecessor: last.hash,
            number_of_ticks: self.ticks,
        };
        self.ticks = 0;
        self.own.insert(
            level,
            Own {
                commitment,
                hash: commitment.hash(),
                block,
            },
        );
        decision.entries.push(Entry::Own {
            rollup: self.address,
            block,
            commitment,
        });
        decision.tell(News::Own {
            rollup: self.address,
            commitment,
        });
        let claims: Vec<_> = self
            .stakes
            .claims_at(level)
            .map(|(hash, claim)| (hash, claim.commitment))
            .collect();
        for (hash, claim) in claims {
            self.judge_one(hash, &claim, distrust, decision);
        }
        self.check_cemented(level, decision);
    }

    /// Judges again every commitment from a level on that has no verdict for good.
    fn judge_all(&mut self, distrust: Option<&Distrust>, from: Level, decision: &mut Decision) {
        let open: Vec<_> = self
            .stakes
            .claims()
            .filter(|(hash, claim)| {
                claim.commitment.inbox_level >= from
                    && claim.commitment.number_of_ticks > 0
                    && !matches!(
                        self.verdicts.get(hash),
                        Some(Judgement::True | Judgement::False { .. })
                    )
            })
            .map(|(hash, claim)| (hash, claim.commitment))
            .collect();
        for (hash, claim) in open {
            self.judge_one(hash, &claim, distrust, decision);
        }
    }

    fn judge_one(
        &mut self,
        hash: CommitmentHash,
        claim: &Commitment,
        distrust: Option<&Distrust>,
        decision: &mut Decision,
    ) {
        let Some(judgement) = self.judge(claim, distrust) else {
            return;
        };
        if self.verdicts.get(&hash) == Some(&judgement) {
            return;
        }
        let level = claim.inbox_level;
        let row = VerdictRow {
            rollup: self.address,
            block: self.own.get(&level).map(|own| own.block),
            commitment: hash,
            level,
            judgement: judgement.clone(),
        };
        decision.entries.push(Entry::Verdict(row.clone()));
        decision.tell(News::Verdict(row));
        match &judgement {
            Judgement::True => {}
            Judgement::False {
                field,
                claimed,
                computed,
            } => decision.alarm(alarms::false_commitment(
                self.address,
                self.dialect,
                &hash,
                level,
                (*field, claimed.as_str(), computed.as_str()),
            )),
            Judgement::NotJudgeable { reason, .. } if reason == alarms::OFF_LATTICE => decision
                .alarm(alarms::off_lattice(
                    self.address,
                    self.dialect,
                    &hash,
                    level,
                )),
            // The cause has alarmed already, once for all commitments it touches.
            Judgement::NotJudgeable { .. } => {}
        }
        self.verdicts.insert(hash, judgement);
    }

    fn notice_conflicts(&mut self, at: BlockHash, decision: &mut Decision) {
        for conflict in self.stakes.conflicts() {
            if !self.conflicts.insert(conflict) {
                continue;
            }
            let row = ConflictRow {
                rollup: self.address,
                block: at,
                level: conflict.level,
                parent: conflict.parent,
                staker: conflict.staker,
                commitment: conflict.commitment,
                other_staker: conflict.other_staker,
                other_commitment: conflict.other_commitment,
            };
            decision.entries.push(Entry::Conflict(row.clone()));
            decision.tell(News::Conflict(row));
        }
    }
}
