//! What is wanted on the chain, derived again at each head: pure.
//!
//! Promises: the same facts give the same plan, whatever was sent before, so nothing is sent once
//! and a restart changes nothing; every wish is one that the mode allows. Refuses to know: how facts
//! are read, answers are computed and operations are carried. Rules: the safety rules of the
//! project; `sc_rollup_stake_storage.ml`, `sc_rollup_refutation_storage.ml`.

mod disputes;
mod facts;
mod games;
mod money;
mod openings;
mod plan;
mod publish;

#[cfg(test)]
mod tests;

pub(crate) use facts::Situation;
pub use facts::{Account, Answer, Choices, Consent, Hold, Position, SeenGame};
pub(crate) use games::our_slack;
pub use money::Purse;
pub use plan::{Concern, Plan, Purpose, Task, Wait, WaitReason, Wish, Work};

use disputes::Disputes;

/// Derives everything that is wanted in a situation.
pub(crate) fn derive(situation: &Situation<'_>) -> Plan {
    let mut plan = Plan {
        hold: situation.hold,
        ..Plan::default()
    };
    let can = situation.mode.capabilities();
    if !can.decides {
        return plan;
    }
    let disputes = Disputes::of(situation);
    if let Some(concern) = disputes::contradiction(situation) {
        plan.hold = plan.hold.max(Some(Hold::Contradiction));
        plan.concerns.push(concern);
    }
    games::play(situation, &mut plan);
    publish::publish(situation, &disputes, &mut plan);
    openings::open(situation, &disputes, &mut plan);
    money::collect(situation, &disputes, &mut plan);
    plan.wishes.sort_by_key(|wish| wish.slack);
    plan.work.sort_by_key(|work| work.slack);
    plan
}
