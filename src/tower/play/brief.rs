//! What play is told about the chain after each batch: a copy, so that neither waits for the other.

use std::collections::{BTreeMap, BTreeSet};

use crate::crypto::Dialect;
use crate::journal::Judgement;
use crate::protocol::{CommitmentHash, Level, PublicKeyHash, RollupAddress};
use crate::tower::lattice::Lattice;
use crate::tower::model::{Model, Own, Place, Watched};
use crate::tower::played::Played;
use crate::tower::stakes::Stakes;

/// Our commitments below the last cemented one that are still told: games may outlive their level.
const KEPT_BELOW: usize = 16;

/// The chain as the tower knows it.
#[derive(Debug, Clone)]
pub(in crate::tower) struct Brief {
    pub(super) tip: Place,
    pub(super) lattice: Lattice,
    pub(super) rollups: BTreeMap<RollupAddress, RollupBrief>,
}

/// One rollup of it.
#[derive(Debug, Clone)]
pub(super) struct RollupBrief {
    pub(super) dialect: Dialect,
    pub(super) stakes: Stakes,
    pub(super) played: Played,
    pub(super) own: BTreeMap<Level, Own>,
    pub(super) verdicts: BTreeMap<CommitmentHash, Judgement>,
    /// Whether the state is as far as it can be for now: else verdicts may still be missing. What
    /// is known is played on all the same.
    pub(super) is_current: bool,
}

impl Brief {
    /// What the model says; none while it is behind the chain.
    pub(in crate::tower) fn of(model: &Model) -> Option<Self> {
        let head = model.head?;
        if model.tip.level < head {
            return None;
        }
        let rollups = model.rollups.iter();
        Some(Self {
            tip: model.tip,
            lattice: model.lattice.clone(),
            rollups: rollups
                .map(|(address, rollup)| (*address, RollupBrief::of(rollup, model.goal())))
                .collect(),
        })
    }
}

impl RollupBrief {
    fn of(watched: &Watched, goal: Place) -> Self {
        let stakes = watched.stakes.recent();
        let (_, cemented) = stakes.last_cemented();
        let below = watched.own.range(..cemented).rev().take(KEPT_BELOW);
        let own = below
            .chain(watched.own.range(cemented..))
            .map(|(level, own)| (*level, *own))
            .collect();
        let claims = stakes.claims().map(|(hash, _)| hash);
        let verdicts = claims
            .filter_map(|hash| Some((hash, watched.verdicts.get(&hash)?.clone())))
            .collect();
        Self {
            dialect: watched.dialect,
            is_current: watched.reached.block == goal.block || watched.blocked.is_some(),
            stakes,
            played: watched.played.clone(),
            own,
            verdicts,
        }
    }

    /// Accounts whose games matter: everybody in conflict with anybody.
    pub(super) fn fighters(&self) -> BTreeSet<PublicKeyHash> {
        let conflicts = self.stakes.conflicts();
        let pairs = conflicts.iter().map(|c| [c.staker, c.other_staker]);
        pairs.flatten().collect()
    }

    /// The period that ends at a level: our commitment there and the one before.
    pub(super) fn period(&self, level: Level) -> Option<Period> {
        let own = *self.own.get(&level)?;
        let (_, parent) = self.own.range(..level).next_back()?;
        (parent.hash == own.commitment.predecessor).then_some(Period {
            parent: *parent,
            own,
        })
    }
}

/// A commitment period as we know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) parent: Own,
    pub(super) own: Own,
}
