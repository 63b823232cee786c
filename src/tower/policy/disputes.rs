//! Which false commitments can be played against, and where we contradict ourselves.

use super::facts::Situation;
use super::plan::Concern;
use crate::journal::Judgement;
use crate::protocol::{CommitmentHash, Level, PublicKeyHash};
use crate::tower::model::Own;

/// A false commitment with a bond on it whose predecessor is true: the sibling of one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dispute {
    pub(super) level: Level,
    pub(super) ours: Own,
    pub(super) theirs: CommitmentHash,
    pub(super) stakers: Vec<PublicKeyHash>,
}

/// All of them, lowest level first. Children of a false commitment fall with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Disputes(pub(super) Vec<Dispute>);

impl Disputes {
    pub(super) fn of(situation: &Situation<'_>) -> Self {
        let me = situation.me();
        let (_, cemented) = situation.stakes.last_cemented();
        let disputes = situation.stakes.claims().filter_map(|(hash, claim)| {
            let level = claim.commitment.inbox_level;
            let is_false = matches!(situation.verdicts.get(&hash), Some(Judgement::False { .. }));
            let ours = situation.own.get(&level)?;
            let siblings = ours.commitment.predecessor == claim.commitment.predecessor;
            if !is_false || !siblings || level <= cemented {
                return None;
            }
            let others = claim.stakers.iter().filter(|staker| **staker != me);
            let stakers: Vec<_> = others.copied().collect();
            (!stakers.is_empty()).then_some(Dispute {
                level,
                ours: *ours,
                theirs: hash,
                stakers,
            })
        });
        Self(disputes.collect())
    }

    /// Whether anybody stands on a commitment of ours once every liar is slashed.
    pub(super) fn leave(&self, situation: &Situation<'_>, own: &Own) -> bool {
        let lies = |staker| {
            self.0
                .iter()
                .any(|dispute| dispute.stakers.contains(staker))
        };
        let claim = situation.stakes.claim(&own.hash);
        claim.is_some_and(|claim| claim.stakers.iter().any(|staker| !lies(staker)))
    }

    pub(super) fn highest(&self) -> Option<Level> {
        self.0.iter().map(|dispute| dispute.level).max()
    }
}

/// A stake of ours on something that is not true.
pub(super) fn contradiction(situation: &Situation<'_>) -> Option<Concern> {
    let me = situation.me();
    let (_, cemented) = situation.stakes.last_cemented();
    situation
        .stakes
        .claims()
        .filter(|(_, claim)| claim.stakers.contains(&me))
        .find_map(|(hash, claim)| {
            let level = claim.commitment.inbox_level;
            let own = situation.own.get(&level)?;
            (level > cemented && own.hash != hash).then_some(Concern::Contradiction {
                level,
                staked: hash,
                own: own.hash,
            })
        })
}
