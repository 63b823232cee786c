//! Which of our commitments are to be staked on, and by when.

use super::disputes::Disputes;
use super::facts::{Consent, Situation};
use super::plan::{Concern, NO_HURRY, Plan, Purpose, Task, Wait, WaitReason, Wish, Work};
use crate::protocol::operation::Action;
use crate::protocol::{Level, Mutez};
use crate::tower::mode::Publishing;
use crate::tower::model::Own;

/// A level below the head is final after this many blocks.
pub(super) const FINALITY: u32 = crate::l1::FINALITY;

/// One commitment of ours that must be on the chain.
struct Need {
    own: Own,
    purpose: Purpose,
}

pub(super) fn publish(situation: &Situation<'_>, disputes: &Disputes, plan: &mut Plan) {
    let can = situation.mode.capabilities();
    let needs = match can.publishes {
        Publishing::Never => return,
        Publishing::AgainstFalse => against_false(situation, disputes),
        Publishing::EveryPeriod => every_period(situation, disputes),
    };
    if needs.is_empty() {
        return;
    }
    let (lcc, level) = situation.stakes.last_cemented();
    if situation.own.get(&level).is_some_and(|own| own.hash != lcc) {
        plan.concerns.push(Concern::FalseFinality { level });
        return;
    }
    let is_affordable = check_money(situation, plan);
    for need in needs {
        one(situation, &need, is_affordable, plan);
    }
}

/// From the last cemented commitment up to the highest dispute, and to where our own bond lies: ours
/// at each disputed level, and whatever nobody but liars holds up. Once they are slashed, nothing
/// that nobody stands on is ever cemented, and after the curfew nobody can stand on it any more: our
/// bond would never come home from above it.
fn against_false(situation: &Situation<'_>, disputes: &Disputes) -> Vec<Need> {
    let Some(highest) = disputes.highest().max(situation.staked()) else {
        return Vec::new();
    };
    let is_held = |own: &Own| disputes.leave(situation, own);
    above_cemented(situation)
        .take_while(|own| own.commitment.inbox_level <= highest)
        .filter_map(|own| {
            let level = own.commitment.inbox_level;
            let disputed = disputes.0.iter().find(|dispute| dispute.level == level);
            match disputed {
                Some(dispute) if !stands(situation, own) => Some(Need {
                    own: *own,
                    purpose: Purpose::Contest(dispute.theirs),
                }),
                None if !is_held(own) => Some(Need {
                    own: *own,
                    purpose: Purpose::LeadTo(highest),
                }),
                _ => None,
            }
        })
        .collect()
}

fn every_period(situation: &Situation<'_>, disputes: &Disputes) -> Vec<Need> {
    above_cemented(situation)
        .filter(|own| !stands(situation, own))
        .map(|own| {
            let level = own.commitment.inbox_level;
            let disputed = disputes.0.iter().find(|dispute| dispute.level == level);
            Need {
                own: *own,
                purpose: disputed
                    .map_or(Purpose::Operate, |dispute| Purpose::Contest(dispute.theirs)),
            }
        })
        .collect()
}

/// Our commitments above the last cemented one whose inbox level is final.
fn above_cemented<'a>(situation: &Situation<'a>) -> impl Iterator<Item = &'a Own> + use<'a> {
    let (_, cemented) = situation.stakes.last_cemented();
    let head = situation.head;
    let reach = cemented.plus(situation.constants.max_lookahead);
    situation
        .own
        .iter()
        .filter(move |(level, _)| {
            let is_final = level.plus(FINALITY).is_some_and(|seen| seen <= head);
            **level > cemented && is_final && reach.is_none_or(|reach| **level <= reach)
        })
        .map(|(_, own)| own)
}

fn stands(situation: &Situation<'_>, own: &Own) -> bool {
    let claim = situation.stakes.claim(&own.hash);
    claim.is_some_and(|claim| claim.stakers.contains(&situation.me()))
}

/// Whether the stake, where it is still to be laid, and the fees can be paid.
fn check_money(situation: &Situation<'_>, plan: &mut Plan) -> bool {
    let account = situation.account;
    let needed = needed(situation);
    if account.is_bonded || account.balance >= needed {
        return true;
    }
    plan.concerns.push(Concern::CannotStake {
        balance: account.balance.0,
        needed: needed.0,
    });
    false
}

/// Money for the stake and the fees of what follows.
pub(super) fn needed(situation: &Situation<'_>) -> Mutez {
    let stake = if situation.account.is_bonded {
        Mutez(0)
    } else {
        situation.constants.stake_amount
    };
    Mutez(stake.0.saturating_add(situation.choices.fee_reserve.0))
}

fn one(situation: &Situation<'_>, need: &Need, is_affordable: bool, plan: &mut Plan) {
    let own = need.own;
    let level = own.commitment.inbox_level;
    let curfew = curfew(situation, level);
    let slack = curfew.map_or(NO_HURRY, |curfew| blocks_until(situation, curfew));
    if slack < -1 {
        if let Purpose::Contest(commitment) = need.purpose {
            plan.concerns
                .push(Concern::CurfewMissed { commitment, level });
        }
        return;
    }
    match situation.consents.get(&own.hash) {
        None => {
            plan.work.push(Work {
                task: Task::Consent {
                    commitment: own.hash,
                    level,
                },
                // Something waits for it, unlike for what is merely prepared.
                slack: slack.min(NO_HURRY - 1),
            });
            plan.waits.push(Wait {
                purpose: need.purpose,
                opponent: None,
                reason: WaitReason::Consent,
            });
        }
        Some(Consent::Refused(reason)) => {
            let about = match need.purpose {
                Purpose::Contest(commitment) => commitment,
                _ => own.hash,
            };
            plan.concerns.push(Concern::Abstained {
                commitment: about,
                level,
                reason: reason.clone(),
            });
        }
        // Its predecessor must be on the chain before it.
        Some(Consent::Given) if is_affordable => {
            if situation
                .stakes
                .claim(&own.commitment.predecessor)
                .is_some()
            {
                plan.wishes.push(Wish {
                    action: Action::Publish {
                        rollup: situation.rollup,
                        commitment: own.commitment,
                    },
                    purpose: need.purpose,
                    deadline: curfew,
                    slack,
                });
            }
        }
        Some(Consent::Given) => {}
    }
}

/// Last level at which a sibling at this inbox level can still be published and surely keeps what
/// stands there from being cemented.
pub(super) fn curfew(situation: &Situation<'_>, level: Level) -> Option<Level> {
    let first = situation.stakes.first_publication(level)?;
    first
        .plus(situation.constants.challenge_window)
        .and_then(Level::previous)
}

/// Blocks that can be lost before an operation of the next block is too late.
pub(super) fn blocks_until(situation: &Situation<'_>, deadline: Level) -> i64 {
    i64::from(deadline.get()).saturating_sub(i64::from(situation.next_block().get()))
}
