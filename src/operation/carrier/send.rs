//! Sending: which intentions become the next operation, and with what.

use std::collections::BTreeMap;

use super::{Carrier, Effect, Notice, View, Work};
use crate::l1::BlockRef;
use crate::operation::batch::{DraftError, Plan, Terms};
use crate::operation::fee::Offer;
use crate::operation::intention::{Intention, Wanted};
use crate::operation::outcome::Outcome;
use crate::protocol::{Counter, Level};

impl Carrier {
    /// Sends what is wanted: anew, in place of what waits, or what waits once more.
    pub(super) fn send(&mut self, effects: &mut Vec<Effect>) {
        let desired = self.desired();
        if self.is_unadvised_first(&desired) {
            return self.send_unadvised(effects);
        }
        if desired.is_empty() {
            return;
        }
        if self.should_replace(&desired) {
            let items = chosen(desired, self.batch.max(1));
            self.begin(items, effects);
        } else {
            self.inject_again(effects);
        }
    }

    /// Starts to make an operation of these intentions.
    pub(super) fn begin(&mut self, items: Vec<Wanted>, effects: &mut Vec<Effect>) {
        self.work = None;
        if items.is_empty() {
            self.rest(effects);
            return;
        }
        let Some((plan, view)) = self.plan(items) else {
            return;
        };
        let id = self.next_id;
        let limits = view.limits;
        let level = view.head.level;
        let draft = plan.for_simulation(id, &self.sender, limits.content_gas, limits.block_gas);
        match draft {
            Ok(draft) => {
                self.go_on(plan, level, false);
                effects.push(Effect::Simulate(draft));
            }
            Err(error) => self.too_much(plan.items, &error, effects),
        }
    }

    /// Notes that the draft just made of this plan, with the next number, is what goes on.
    pub(super) fn go_on(&mut self, plan: Plan, level: Level, is_unadvised: bool) {
        self.work = Some(Work {
            id: self.next_id,
            plan,
            level,
            is_unadvised,
        });
        self.next_id = self.next_id.wrapping_add(1);
    }

    /// How these intentions become an operation at the head.
    pub(super) fn plan(&self, items: Vec<Wanted>) -> Option<(Plan, &View)> {
        let view = self.view.as_ref()?;
        let plan = Plan {
            items,
            reveals: !view.is_revealed,
            first: view.counter.plus(Counter(1)).unwrap_or(view.counter),
            branch: self.anchor(view),
            form: view.form,
        };
        Some((plan, view))
    }

    /// The newest final block; where an operation of ours is not final yet, its block, so that what
    /// follows it cannot be included without it.
    fn anchor(&self, view: &View) -> BlockRef {
        let newest = self.landed.iter().map(|landing| landing.block);
        newest.chain([view.anchor]).max().unwrap_or(view.anchor)
    }

    /// An operation cannot be made: fewer intentions, or none when it was only one.
    pub(super) fn too_much(
        &mut self,
        mut items: Vec<Wanted>,
        error: &DraftError,
        effects: &mut Vec<Effect>,
    ) {
        if let DraftError::FeeCap { cap } = error {
            effects.push(Effect::Tell(Notice::FeeCap { cap: *cap }));
            self.work = None;
            self.inject_again(effects);
            return;
        }
        if items.len() > 1 {
            self.begin(half(items), effects);
            return;
        }
        if let Some(item) = items.pop() {
            effects.push(Effect::Tell(Notice::Impossible {
                what: item.what.clone(),
                reason: error.to_string(),
            }));
            self.hold(&item.what, Outcome::Disagreement, Vec::new(), effects);
        }
        self.work = None;
    }

    /// Injects the newest operation again where it is missing.
    pub(super) fn inject_again(&self, effects: &mut Vec<Effect>) {
        let newest = self.pending.as_ref().and_then(|p| p.variants.last());
        let (Some(newest), Some(view)) = (newest, &self.view) else {
            return;
        };
        let is_everywhere = !view.mempools.is_empty()
            && view.mempools.iter().all(|here| {
                here.waiting
                    .as_ref()
                    .is_some_and(|list| list.iter().any(|waiting| waiting.hash == newest.hash))
            });
        if !is_everywhere {
            effects.push(Effect::Inject(newest.hash, newest.bytes.clone()));
        }
    }

    /// What the fee of the operation being made is settled from.
    pub(super) fn terms(&self, items: &[Wanted]) -> Terms {
        let variants = self.pending.iter().flat_map(|pending| &pending.variants);
        // All of them may still wait somewhere: the dearest counts, by fee and by ratio.
        let replaced = variants.map(|variant| variant.offer).reduce(dearer);
        Terms {
            rules: self.settings.fees,
            slack: self.least_slack(items),
            replaced,
            going: self.going,
            needed: self.pending.as_ref().and_then(|pending| pending.needed),
            cap: self.settings.fee_cap,
        }
    }

    /// The work of this draft, if it is the one going on and the head has not moved.
    pub(super) fn take_work(&mut self, id: u64) -> Option<Work> {
        self.work.take_if(|work| work.id == id)
    }
}

/// What goes into one operation: what has the least time left; in it, what others rest on first.
fn chosen(mut items: Vec<Wanted>, count: usize) -> Vec<Wanted> {
    let due: BTreeMap<_, _> = items
        .iter()
        .map(|item| (item.what.key(), due(item, &items)))
        .collect();
    items.sort_by_key(|item| {
        let due = due.get(&item.what.key()).copied().flatten();
        (due.is_none(), due, item.what.rank())
    });
    items.truncate(count);
    items.sort_by_key(|item| item.what.rank());
    items
}

/// The half with the least time left.
pub(super) fn half(items: Vec<Wanted>) -> Vec<Wanted> {
    let count = items.len().div_ceil(2);
    chosen(items, count)
}

/// When an intention is due: a publication as early as any that rests on it.
fn due(item: &Wanted, among: &[Wanted]) -> Option<Level> {
    let Intention::Publish { rollup, commitment } = &item.what else {
        return item.deadline;
    };
    let rests_on_it = |other: &&Wanted| {
        matches!(&other.what, Intention::Publish { rollup: at, commitment: above }
            if at == rollup && above.inbox_level >= commitment.inbox_level)
    };
    let above = among.iter().filter(rests_on_it);
    above.filter_map(|other| other.deadline).min()
}

/// An offer that outbids both.
fn dearer(one: Offer, other: Offer) -> Offer {
    let (low, high) = if one.fee <= other.fee {
        (one, other)
    } else {
        (other, one)
    };
    // The higher fee for the least gas: a replacement of it replaces either.
    Offer {
        fee: high.fee,
        gas: high.gas.min(low.gas.max(crate::protocol::Gas(1))),
    }
}
