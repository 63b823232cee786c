//! Which games to open: against each staker of each false sibling, as many as the chain allows.

use std::collections::BTreeSet;

use super::disputes::{Dispute, Disputes};
use super::facts::Situation;
use super::plan::{NO_HURRY, Plan, Purpose, Wait, WaitReason, Wish};
use crate::crypto::Dialect;
use crate::protocol::operation::{Action, Refutation};
use crate::protocol::{Level, Protocol, PublicKeyHash};
use crate::tower::mode::Playing;

pub(super) fn open(situation: &Situation<'_>, disputes: &Disputes, plan: &mut Plan) {
    if situation.mode.capabilities().plays == Playing::Never {
        return;
    }
    let allowed = situation.constants.max_parallel_games as usize;
    let mut free = allowed.saturating_sub(situation.games_of(&situation.me()));
    let mut opponents = BTreeSet::new();
    for dispute in &disputes.0 {
        for opponent in &dispute.stakers {
            // One game decides about all that a staker stands on: the lowest level comes first.
            if situation.plays_with(opponent) || !opponents.insert(*opponent) {
                continue;
            }
            match obstacle(situation, dispute, opponent, allowed, free) {
                Some(reason) => plan.waits.push(Wait {
                    purpose: Purpose::Open(dispute.theirs),
                    opponent: Some(*opponent),
                    reason,
                }),
                None => {
                    free = free.saturating_sub(1);
                    plan.wishes.push(opening(situation, dispute, *opponent));
                }
            }
        }
    }
}

fn obstacle(
    situation: &Situation<'_>,
    dispute: &Dispute,
    opponent: &PublicKeyHash,
    allowed: usize,
    free: usize,
) -> Option<WaitReason> {
    let ours = situation.stakes.claim(&dispute.ours.hash);
    if !ours.is_some_and(|claim| claim.stakers.contains(&situation.me())) {
        return Some(WaitReason::NotStakedYet);
    }
    if let Some(earliest) = earliest(situation, dispute.level)
        && situation.next_block() < earliest
    {
        return Some(WaitReason::TooEarly(earliest));
    }
    if free == 0 {
        return Some(WaitReason::WePlayTooMany);
    }
    if situation.games_of(opponent) >= allowed {
        return Some(WaitReason::OpponentPlaysTooMany);
    }
    None
}

/// First level whose block may open a game about this inbox level, since Ushuaia.
fn earliest(situation: &Situation<'_>, level: Level) -> Option<Level> {
    if situation.dialect == Dialect::Scr1 || situation.protocol < Protocol::Ushuaia {
        return None;
    }
    level.plus(situation.constants.commitment_period)
}

fn opening(situation: &Situation<'_>, dispute: &Dispute, opponent: PublicKeyHash) -> Wish {
    let refutation = match situation.dialect {
        Dialect::Modern => Refutation::Start {
            player_commitment: dispute.ours.hash,
            opponent_commitment: dispute.theirs,
        },
        Dialect::Scr1 => Refutation::StartOnConflict,
    };
    Wish {
        action: Action::Refute {
            rollup: situation.rollup,
            opponent,
            refutation,
        },
        purpose: Purpose::Open(dispute.theirs),
        // While both bonds stand neither commitment can become final.
        deadline: None,
        slack: NO_HURRY,
    }
}
