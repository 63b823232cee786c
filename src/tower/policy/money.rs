//! Cementation, the bond's way home, and whether there is money enough.

use super::disputes::Disputes;
use super::facts::Situation;
use super::plan::{Concern, NO_HURRY, Plan, Purpose, Wait, WaitReason, Wish};
use super::publish::{blocks_until, curfew, needed};
use crate::config::Mode;
use crate::protocol::operation::Action;
use crate::protocol::{CommitmentHash, Level, Mutez};
use crate::tower::mode::Publishing;

/// Our money on a rollup, as people want to see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purse {
    /// The bond that lies there.
    pub staked: Mutez,
    /// As much of it as could be taken back in the next block.
    pub recoverable: Mutez,
    /// What the account must be able to spend, should it come to a game; none where the mode never
    /// stakes.
    pub needed: Option<Mutez>,
}

impl Purse {
    /// The purse of a moment.
    pub(in crate::tower) fn of(situation: &Situation<'_>) -> Self {
        let staked = if situation.account.is_bonded {
            situation.constants.stake_amount
        } else {
            Mutez(0)
        };
        let is_free = is_recoverable(situation) && situation.our_games().next().is_none();
        let stakes = situation.mode.capabilities().publishes != Publishing::Never;
        Self {
            staked,
            recoverable: if is_free { staked } else { Mutez(0) },
            needed: stakes.then(|| needed(situation)),
        }
    }
}

pub(super) fn collect(situation: &Situation<'_>, disputes: &Disputes, plan: &mut Plan) {
    let can = situation.mode.capabilities();
    if can.publishes != Publishing::Never {
        notice_low_balance(situation, plan);
    }
    if !can.collects {
        return;
    }
    let is_operator = situation.mode == Mode::Operate;
    if situation.account.is_bonded || is_operator {
        cement(situation, plan);
    }
    let has_games = situation.our_games().next().is_some();
    let is_needed = is_operator || has_games || (!can.stops && !disputes.0.is_empty());
    if situation.account.is_bonded && !is_needed {
        recover(situation, plan);
    }
    if situation.account.is_bonded {
        plan.concerns.extend(held_up(situation, disputes));
    }
    plan.is_finished = can.stops && !situation.account.is_bonded && !has_games;
}

fn notice_low_balance(situation: &Situation<'_>, plan: &mut Plan) {
    let (balance, needed) = (situation.account.balance, needed(situation));
    let told = plan
        .concerns
        .iter()
        .any(|concern| matches!(concern, Concern::CannotStake { .. }));
    if balance < needed && !told {
        plan.concerns.push(Concern::LowBalance {
            balance: balance.0,
            needed: needed.0,
        });
    }
}

/// The only candidate to follow the last cemented commitment, if it is true.
fn candidate(situation: &Situation<'_>) -> Option<(CommitmentHash, Level)> {
    let (lcc, cemented) = situation.stakes.last_cemented();
    let level = situation.lattice.next(cemented)?;
    let mut candidates = situation.stakes.claims_at(level).filter(|(_, claim)| {
        claim.commitment.predecessor == lcc && !claim.stakers.is_empty() && !claim.is_cemented
    });
    let (hash, claim) = candidates.next()?;
    let is_true = situation.own.get(&level)?.hash == hash;
    if candidates.next().is_some() || !is_true {
        return None;
    }
    let added = claim.since.or_else(|| level.next())?;
    Some((hash, added.plus(situation.constants.challenge_window)?))
}

fn cement(situation: &Situation<'_>, plan: &mut Plan) {
    let Some((hash, due)) = candidate(situation) else {
        return;
    };
    if situation.next_block() < due {
        plan.waits.push(Wait {
            purpose: Purpose::Cement,
            opponent: None,
            reason: WaitReason::Window(due),
        });
        return;
    }
    plan.wishes.push(Wish {
        action: Action::Cement {
            rollup: situation.rollup,
            commitment: Some(hash),
        },
        purpose: Purpose::Cement,
        deadline: None,
        slack: NO_HURRY,
    });
}

/// The bond comes back once the highest level we ever staked on is final.
fn is_recoverable(situation: &Situation<'_>) -> bool {
    let (_, cemented) = situation.stakes.last_cemented();
    situation.staked().is_none_or(|highest| highest <= cemented)
}

/// What keeps our bond from ever coming home as things are, lowest level first. In the modes that
/// publish, that is what is beyond its curfew: until then they hold it up themselves.
fn held_up(situation: &Situation<'_>, disputes: &Disputes) -> Option<Concern> {
    let bond = situation.staked()?;
    let (_, cemented) = situation.stakes.last_cemented();
    let publishes = situation.mode.capabilities().publishes != Publishing::Never;
    let above = situation.own.iter().filter(|(level, _)| **level > cemented);
    let below = above.take_while(|(level, _)| **level <= bond);
    below.map(|(_, own)| own).find_map(|own| {
        let level = own.commitment.inbox_level;
        let until = curfew(situation, level)?;
        let is_over = blocks_until(situation, until) < -1;
        let claim = situation.stakes.claim(&own.hash);
        let stands = claim.is_some_and(|claim| claim.stakers.contains(&situation.me()));
        let is_contested = disputes.0.iter().any(|dispute| dispute.level == level);
        let is_abandoned = claim.is_none_or(|claim| claim.stakers.is_empty());
        let is_held_up = match (is_over, publishes) {
            // Whoever stands there, even a liar, is enough for the cementation that is due now.
            (true, _) => is_abandoned,
            (false, true) => false,
            (false, false) => !stands && (is_contested || !disputes.leave(situation, own)),
        };
        is_held_up.then_some(Concern::BondHeldUp {
            commitment: own.hash,
            level,
            bond,
            until: (!is_over).then_some(until),
        })
    })
}

fn recover(situation: &Situation<'_>, plan: &mut Plan) {
    if !is_recoverable(situation) {
        return;
    }
    let me = situation.me();
    plan.wishes.push(Wish {
        action: Action::RecoverBond {
            rollup: situation.rollup,
            staker: me,
        },
        purpose: Purpose::Recover,
        deadline: None,
        slack: NO_HURRY,
    });
}
