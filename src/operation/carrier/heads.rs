//! Heads: what is final, what expired, who else is there, and what to do about what is wanted.

use std::collections::BTreeSet;

use super::{Carrier, Cause, Effect, Hold, Notice, Pending, View};
use crate::l1::{NodeError, WaitingClass};
use crate::operation::entry::Entry;
use crate::operation::fee::patience;
use crate::operation::intention::{Intention, IntentionKey, Wanted};
use crate::operation::outcome::Outcome;
use crate::protocol::{Counter, Level, OperationHash};

/// Blocks that the reason of an ended hold is remembered for.
const REMEMBERED: u32 = 20;

/// Blocks after which an operation that is not included is replaced, however long others took.
const MOST_PATIENCE: u32 = 8;

/// Blocks that an intention is set aside for. What waits for somebody to act is tried again rarely,
/// but several times before there is no time left.
fn pause(outcome: Outcome, slack: Option<u32>) -> u32 {
    match outcome {
        Outcome::Wait | Outcome::Retry | Outcome::Obsolete => 1,
        Outcome::Included => 2,
        Outcome::Stop | Outcome::Disagreement => slack.map_or(10, |slack| (slack / 4).clamp(1, 10)),
    }
}

impl Carrier {
    pub(super) fn head(&mut self, view: View, wanted: Vec<Wanted>, effects: &mut Vec<Effect>) {
        self.work = None;
        let head = view.head.level;
        let next = view.counter.plus(Counter(1)).unwrap_or(view.counter);
        let ttl = view.limits.ttl;
        let strangers = self.strangers_in(&view);
        self.view = Some(view);
        self.wanted = wanted;
        self.unadvised.clear();
        let keys: BTreeSet<_> = self.wanted.iter().map(|w| w.what.key()).collect();
        self.refused_since.retain(|key, _| keys.contains(key));
        // Kept for a while after they ended: the same reason again is not news.
        self.holds
            .retain(|_, hold| head.since(hold.until).is_none_or(|past| past < REMEMBERED));
        self.finish(head, effects);
        self.expire(head, ttl, effects);
        self.forget(head, ttl);
        let is_crowded = self.tell_strangers(&strangers, effects);
        let first = self.pending.as_ref().and_then(|p| p.variants.first());
        if let Some(first) = first.map(|variant| variant.first)
            && first != next
        {
            // Below: used by something we did not see. Above: what it follows is not on this
            // chain, so neither is the block it is anchored on.
            self.drop_pending("its counter is not the next one", effects);
        }
        if !self.may_send(head, is_crowded, effects) {
            return;
        }
        self.send(effects);
    }

    /// Inclusions deep enough are final.
    fn finish(&mut self, head: Level, effects: &mut Vec<Effect>) {
        let depth = self.settings.depth;
        let (done, open): (Vec<_>, Vec<_>) = std::mem::take(&mut self.landed)
            .into_iter()
            .partition(|landing| head.since(landing.block.level).is_some_and(|d| d >= depth));
        self.landed = open;
        for landing in done {
            let hash = landing.variant.hash;
            effects.push(Effect::Write(Entry::Final {
                hash,
                level: landing.block.level,
            }));
            effects.push(Effect::Tell(Notice::Final { operation: hash }));
        }
    }

    fn expire(&mut self, head: Level, ttl: u32, effects: &mut Vec<Effect>) {
        let Some(pending) = &mut self.pending else {
            return;
        };
        let is_old = |branch: Level| head.since(branch).is_some_and(|age| age > ttl);
        let (dead, alive): (Vec<_>, Vec<_>) = std::mem::take(&mut pending.variants)
            .into_iter()
            .partition(|variant| is_old(variant.branch));
        pending.variants = alive;
        if pending.variants.is_empty() {
            self.pending = None;
        }
        for variant in dead {
            self.tell_dropped(variant.hash, "its branch is too old", effects);
        }
    }

    /// Operations that can turn up in no block any more need not be recognised.
    fn forget(&mut self, head: Level, ttl: u32) {
        let horizon = ttl.saturating_add(self.settings.depth).saturating_add(64);
        self.known
            .retain(|_, variant| head.since(variant.branch).is_none_or(|age| age <= horizon));
        self.keep_unadvised();
    }

    /// Operations of our account that are not ours and may enter the next block.
    fn strangers_in(&self, view: &View) -> BTreeSet<OperationHash> {
        let mempools = view
            .mempools
            .iter()
            .filter_map(|here| here.waiting.as_ref());
        mempools
            .flatten()
            .filter(|waiting| waiting.class == WaitingClass::Validated)
            .map(|waiting| waiting.hash)
            .filter(|hash| !self.known.contains_key(hash))
            .collect()
    }

    fn tell_strangers(
        &mut self,
        strangers: &BTreeSet<OperationHash>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        for hash in strangers {
            if self.strangers.insert(*hash) {
                effects.push(Effect::Write(Entry::Foreign {
                    hash: *hash,
                    block: None,
                    level: self.level(),
                }));
                effects.push(Effect::Tell(Notice::Foreign {
                    operation: *hash,
                    block: None,
                }));
            }
        }
        !strangers.is_empty()
    }

    /// Whether somebody else at our key is reason to wait.
    fn may_send(&mut self, head: Level, is_crowded: bool, effects: &mut Vec<Effect>) -> bool {
        let urgent = self.settings.urgent;
        let is_pressing = self
            .desired()
            .iter()
            .any(|wanted| self.slack(wanted).is_some_and(|slack| slack <= urgent));
        if let Some(stand_by) = self.stand_by {
            let quiet = head.since(stand_by.level).unwrap_or(0) >= self.settings.stand_by;
            let reason = match (is_pressing, quiet && !is_crowded) {
                (true, _) => "the clock runs out and nobody moves",
                (false, true) => "nobody else used the key for a while",
                (false, false) => return false,
            };
            self.stand_by = None;
            effects.push(Effect::Write(Entry::Resumed {
                level: head,
                reason: reason.into(),
            }));
            effects.push(Effect::Tell(Notice::Resumed {
                reason: reason.into(),
            }));
            return true;
        }
        is_pressing || !is_crowded
    }

    /// What is wanted, neither done nor set aside, nor about to be sent against advice.
    pub(super) fn desired(&self) -> Vec<Wanted> {
        let mut seen = BTreeSet::new();
        self.wanted
            .iter()
            .filter(|wanted| {
                let key = wanted.what.key();
                let is_done = self
                    .landed
                    .iter()
                    .any(|landing| landing.done.contains(&key));
                let is_held = self
                    .holds
                    .get(&key)
                    .is_some_and(|hold| hold.until > self.level());
                let is_sent_anyway = self.unadvised.iter().any(|(w, _)| w.what.key() == key);
                !is_done && !is_held && !is_sent_anyway && seen.insert(key)
            })
            .cloned()
            .collect()
    }

    /// Blocks that an operation is given before a dearer one takes its place. The dearer one begins
    /// its way anew: where the way itself is long, replacing sooner would keep all of them out.
    fn patience(&self, pending: &Pending, desired: &[Wanted]) -> u32 {
        let tried = u32::try_from(pending.variants.len()).unwrap_or(u32::MAX);
        let slack = self.least_slack(desired);
        let most = slack.map_or(MOST_PATIENCE, |slack| (slack / 2).clamp(3, MOST_PATIENCE));
        let learned = self.usual.max(tried).min(most);
        patience(slack).max(learned)
    }

    /// Whether the pending operation should give way to another one.
    pub(super) fn should_replace(&self, desired: &[Wanted]) -> bool {
        let Some(pending) = &self.pending else {
            return true;
        };
        let Some(newest) = pending.variants.last() else {
            return true;
        };
        let wanted: BTreeSet<IntentionKey> = self.wanted.iter().map(|w| w.what.key()).collect();
        let is_overtaken = newest
            .items
            .iter()
            .any(|item| !wanted.contains(&item.what.key()));
        let urgent = self.settings.urgent;
        let is_missing = desired.iter().any(|wanted| {
            !newest.carries(&wanted.what.key())
                && self.slack(wanted).is_some_and(|slack| slack <= urgent)
        });
        let waited = self.level().since(newest.signed_at).unwrap_or(0);
        let is_stuck = waited >= self.patience(pending, desired);
        let is_underpaid = pending.needed.is_some();
        is_overtaken || is_missing || is_stuck || is_underpaid
    }

    pub(super) fn hold(
        &mut self,
        what: &Intention,
        outcome: Outcome,
        errors: Vec<NodeError>,
        effects: &mut Vec<Effect>,
    ) {
        self.hold_at(self.level(), what, outcome, errors, effects);
    }

    /// Sets an intention aside, as long as its outcome says.
    pub(super) fn hold_at(
        &mut self,
        level: Level,
        what: &Intention,
        outcome: Outcome,
        errors: Vec<NodeError>,
        effects: &mut Vec<Effect>,
    ) {
        let wanted = self
            .wanted
            .iter()
            .find(|wanted| wanted.what.key() == what.key());
        let slack = wanted.and_then(|wanted| self.slack(wanted));
        let until = level.plus(pause(outcome, slack)).unwrap_or(level);
        let hold = Hold {
            since: level,
            until,
            outcome,
            cause: Cause::Answer,
        };
        let before = self.holds.insert(what.key(), hold);
        let is_known = before.is_some_and(|before| before.outcome == outcome);
        if is_known && matches!(outcome, Outcome::Wait | Outcome::Obsolete) {
            return;
        }
        effects.push(Effect::Write(Entry::Held {
            what: what.key().to_string(),
            outcome,
            errors: errors.iter().map(|error| error.id.clone()).collect(),
            until,
        }));
        effects.push(Effect::Tell(Notice::Held {
            what: what.clone(),
            outcome,
            errors,
            until,
        }));
    }
}
