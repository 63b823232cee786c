//! What the tower knows while it decides: plain data, taken up from the journal, changed by events.

use std::collections::{BTreeMap, BTreeSet};

use super::lattice::Lattice;
use super::played::Played;
use super::stakes::{Conflict, Stakes};
use crate::crypto::Dialect;
use crate::journal::{Judgement, UnknownRow};
use crate::protocol::{BlockHash, Commitment, CommitmentHash, Level, RollupAddress};

/// All the tower knows.
#[derive(Debug, Clone)]
pub struct Model {
    pub(super) rollups: BTreeMap<RollupAddress, Watched>,
    /// Rollups that joined late and whose past operations are still being read.
    pub(super) late: BTreeSet<RollupAddress>,
    /// The last block taken in.
    pub(super) tip: Place,
    /// Level of the node's head, as last heard.
    pub(super) head: Option<Level>,
    pub(super) lattice: Lattice,
    /// Where the node contradicts our inbox, if it does.
    pub(super) distrust: Option<Distrust>,
    /// Changes with every reorganisation; work begun in another epoch is ignored.
    pub(super) epoch: u64,
    /// Where to stop, if anywhere.
    pub(super) until: Option<Level>,
    pub(super) is_finished: bool,
}

/// A block by hash and level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its hash.
    pub block: BlockHash,
    /// Its level.
    pub level: Level,
}

/// The lowest level whose inbox the node contradicts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Distrust {
    pub(super) level: Level,
    pub(super) detail: String,
    /// The block below: the last one whose messages are beyond doubt.
    pub(super) below: Place,
}

/// What is true at an inbox level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) commitment: Commitment,
    pub(super) hash: CommitmentHash,
    pub(super) block: BlockHash,
}

/// One rollup under watch.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    pub(super) address: RollupAddress,
    pub(super) dialect: Dialect,
    pub(super) genesis: Commitment,
    pub(super) stakes: Stakes,
    /// The games under way.
    pub(super) played: Played,
    /// Our commitments, genesis included.
    pub(super) own: BTreeMap<Level, Own>,
    /// The last block whose state is known.
    pub(super) reached: Place,
    /// Ticks between the last of our commitments and `reached`.
    pub(super) ticks: u64,
    pub(super) verdicts: BTreeMap<CommitmentHash, Judgement>,
    pub(super) cemented: BTreeMap<Level, CommitmentHash>,
    pub(super) conflicts: BTreeSet<Conflict>,
    pub(super) blocked: Option<UnknownRow>,
    pub(super) is_caught_up: bool,
    /// The stakes that are being read from the node's storage, if they are.
    pub(super) reading: Option<Reading>,
}

/// A reading of the node's storage that is under way while the chain goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    /// The block whose storage is read.
    pub(super) at: BlockHash,
    /// The tree as the blocks up to it tell it.
    pub(super) stakes: Stakes,
}

impl Watched {
    /// A rollup at its origination.
    pub(super) fn new(
        address: RollupAddress,
        dialect: Dialect,
        genesis: Commitment,
        block: BlockHash,
    ) -> Self {
        let own = Own {
            commitment: genesis,
            hash: genesis.hash(),
            block,
        };
        Self {
            address,
            dialect,
            genesis,
            stakes: Stakes::new(genesis),
            played: Played::default(),
            own: BTreeMap::from([(genesis.inbox_level, own)]),
            reached: Place {
                block,
                level: genesis.inbox_level,
            },
            ticks: 0,
            verdicts: BTreeMap::new(),
            cemented: BTreeMap::new(),
            conflicts: BTreeSet::new(),
            blocked: None,
            is_caught_up: false,
            reading: None,
        }
    }

    /// Verdicts in force, counted.
    pub(super) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for judgement in self.verdicts.values() {
            let count = match judgement {
                Judgement::True => &mut tally.right,
                Judgement::False { .. } => &mut tally.wrong,
                Judgement::NotJudgeable { .. } => &mut tally.not_judgeable,
            };
            *count = count.saturating_add(1);
        }
        tally
    }

    /// The last of our commitments.
    pub(super) fn last_own(&self) -> Option<&Own> {
        self.own.values().next_back()
    }

    /// What is to be thought of a commitment now; none while its level is still ahead.
    pub(super) fn judge(
        &self,
        claim: &Commitment,
        distrust: Option<&Distrust>,
    ) -> Option<Judgement> {
        let level = claim.inbox_level;
        if let Some(own) = self.own.get(&level) {
            return Some(super::verdict::compare(
                claim,
                &own.commitment,
                self.dialect,
            ));
        }
        let not = |reason: &str, detail: String| {
            Some(Judgement::NotJudgeable {
                reason: reason.into(),
                detail,
            })
        };
        if level <= self.reached.level {
            return not(super::alarms::OFF_LATTICE, level.to_string());
        }
        if let Some(unknown) = self
            .blocked
            .as_ref()
            .filter(|blocked| blocked.level <= level)
        {
            return not(&unknown.reason, unknown.detail.clone());
        }
        if let Some(doubt) = distrust.filter(|doubt| doubt.level <= level) {
            return not(super::alarms::INBOX_MISMATCH, doubt.detail.clone());
        }
        None
    }
}

impl Model {
    /// The last block taken in.
    #[must_use]
    pub const fn tip(&self) -> Place {
        self.tip
    }

    /// Verdicts in force over all rollups, counted.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.rollups
            .values()
            .map(Watched::tally)
            .fold(Tally::default(), Tally::plus)
    }

    /// Forgets what blocked rollups before: a new run tries again.
    pub(super) fn retry(&mut self) {
        for rollup in self.rollups.values_mut() {
            rollup.blocked = None;
        }
    }

    /// The highest block that states can be had of.
    pub(super) fn goal(&self) -> Place {
        self.distrust.as_ref().map_or(self.tip, |doubt| doubt.below)
    }

    /// Whether any rollup's state cannot be brought up to the chain for now.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.distrust.is_some() || self.rollups.values().any(|r| r.blocked.is_some())
    }
}

/// Verdicts in force, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Commitments judged true.
    pub right: u64,
    /// Commitments judged false.
    pub wrong: u64,
    /// Commitments not judgeable.
    pub not_judgeable: u64,
}

impl Tally {
    const fn plus(self, other: Self) -> Self {
        Self {
            right: self.right.saturating_add(other.right),
            wrong: self.wrong.saturating_add(other.wrong),
            not_judgeable: self.not_judgeable.saturating_add(other.not_judgeable),
        }
    }
}
