//! Blocks: inclusions, their outcomes, foreign operations, reorganisations.

use std::collections::BTreeSet;

use super::{Carrier, Effect, Landing, Notice, Pending, StandBy, Variant};
use crate::l1::{BlockRef, NodeError, Receipt};
use crate::operation::entry::Entry;
use crate::operation::fee::price;
use crate::operation::outcome::{Outcome, of_receipt};
use crate::protocol::{Level, OperationHash};

impl Carrier {
    pub(super) fn rolled_back(&mut self, keep: Level, effects: &mut Vec<Effect>) {
        self.work = None;
        self.holds.retain(|_, hold| hold.since <= keep);
        if let Some(pending) = &mut self.pending {
            // Anchored on a block that is gone: it cannot be included on this branch.
            let (alive, dead): (Vec<_>, Vec<_>) = std::mem::take(&mut pending.variants)
                .into_iter()
                .partition(|variant| variant.branch <= keep);
            pending.variants = alive;
            if pending.variants.is_empty() {
                self.pending = None;
            }
            for variant in dead {
                self.tell_dropped(variant.hash, "its branch left the chain", effects);
            }
        }
        let (kept, undone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.landed)
            .into_iter()
            .partition(|landing| landing.block.level <= keep);
        self.landed = kept;
        // Newest first, so that the oldest is what waits in the end: the others rested on it.
        for landing in undone.into_iter().rev() {
            self.undo(landing, keep, effects);
        }
    }

    fn undo(&mut self, landing: Landing, keep: Level, effects: &mut Vec<Effect>) {
        let hash = landing.variant.hash;
        effects.push(Effect::Write(Entry::Undone {
            hash,
            level: landing.block.level,
        }));
        effects.push(Effect::Tell(Notice::Undone { operation: hash }));
        self.drop_pending("the operation before it was undone", effects);
        if landing.variant.branch <= keep {
            self.pending = Some(Pending {
                variants: vec![landing.variant],
                needed: None,
            });
        } else {
            self.tell_dropped(hash, "its branch left the chain", effects);
        }
    }

    pub(super) fn block(
        &mut self,
        block: BlockRef,
        receipts: &[Receipt],
        effects: &mut Vec<Effect>,
    ) {
        let mut seen = BTreeSet::new();
        for receipt in receipts {
            if receipt.by != self.sender.account || !seen.insert(receipt.operation) {
                continue;
            }
            let whole: Vec<_> = receipts
                .iter()
                .filter(|other| other.operation == receipt.operation)
                .collect();
            match self.known.get(&receipt.operation).cloned() {
                Some(variant) => self.landed(block, variant, &whole, effects),
                None => self.foreign_in_block(block, receipt.operation, effects),
            }
        }
    }

    fn landed(
        &mut self,
        block: BlockRef,
        variant: Variant,
        receipts: &[&Receipt],
        effects: &mut Vec<Effect>,
    ) {
        if self
            .landed
            .iter()
            .any(|landing| landing.variant.hash == variant.hash)
        {
            return;
        }
        let skipped = usize::from(variant.reveals);
        let outcome_at = |index: usize| {
            let receipt = receipts
                .iter()
                .find(|receipt| receipt.index == index.saturating_add(skipped));
            receipt.map_or((Outcome::Retry, Vec::new()), |receipt| {
                (
                    of_receipt(receipt.status, &receipt.errors),
                    receipt.errors.clone(),
                )
            })
        };
        let outcomes: Vec<_> = (0..variant.items.len()).map(outcome_at).collect();
        let errors = receipts.iter().flat_map(|receipt| &receipt.errors);
        effects.push(Effect::Write(Entry::Included {
            hash: variant.hash,
            block: block.hash,
            level: block.level,
            outcomes: outcomes.iter().map(|(outcome, _)| *outcome).collect(),
            errors: errors.map(|error| error.id.clone()).collect(),
        }));
        self.note_price(&variant);
        self.settle_counter(&variant, effects);
        self.note_outcomes(block, &variant, outcomes, effects);
    }

    /// What bakers took after they had left less lying is what the next operation begins with; the
    /// memory fades with each that goes in at once.
    fn note_price(&mut self, included: &Variant) {
        let cheaper = self.pending.iter().flat_map(|pending| &pending.variants);
        let was_refused = cheaper
            .filter(|variant| variant.first == included.first)
            .any(|variant| variant.offer.fee < included.offer.fee);
        let (gas, bytes) = (included.offer.gas, included.bytes.len());
        self.going = match self.settings.fees.least(gas, bytes) {
            Some(least) if was_refused => price(included.offer, least),
            _ => self.going.saturating_mul(3) / 4,
        };
    }

    /// Whatever began with a counter that is used now can no longer be included.
    fn settle_counter(&mut self, included: &Variant, effects: &mut Vec<Effect>) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        for variant in &pending.variants {
            if variant.hash == included.hash {
                continue;
            }
            if variant.first <= included.last {
                self.tell_dropped(variant.hash, "another one took its counter", effects);
            }
        }
        let variants: Vec<_> = pending
            .variants
            .into_iter()
            .filter(|variant| variant.first > included.last)
            .collect();
        if !variants.is_empty() {
            self.pending = Some(Pending {
                variants,
                needed: pending.needed,
            });
        }
    }

    fn note_outcomes(
        &mut self,
        block: BlockRef,
        variant: &Variant,
        outcomes: Vec<(Outcome, Vec<NodeError>)>,
        effects: &mut Vec<Effect>,
    ) {
        let failed = outcomes
            .iter()
            .any(|(outcome, _)| *outcome != Outcome::Included);
        self.batch = if failed {
            self.batch.div_ceil(2)
        } else {
            self.batch.saturating_mul(2).min(self.settings.batch.max(1))
        };
        self.note_trust(block.level, variant, &outcomes);
        self.usual = block.level.since(variant.signed_at).unwrap_or(0);
        let mut done = BTreeSet::new();
        for (item, (outcome, errors)) in variant.items.iter().zip(outcomes) {
            if outcome == Outcome::Included {
                done.insert(item.what.key());
            }
            effects.push(Effect::Tell(Notice::Included {
                what: item.what.clone(),
                outcome,
                operation: variant.hash,
                block,
                errors: errors.clone(),
            }));
            if !matches!(outcome, Outcome::Included | Outcome::Retry) {
                self.hold_at(block.level, &item.what, outcome, errors, effects);
            }
        }
        self.landed.push(Landing {
            variant: variant.clone(),
            block,
            done,
        });
    }

    fn foreign_in_block(
        &mut self,
        block: BlockRef,
        operation: OperationHash,
        effects: &mut Vec<Effect>,
    ) {
        effects.push(Effect::Write(Entry::Foreign {
            hash: operation,
            block: Some(block.hash),
            level: block.level,
        }));
        effects.push(Effect::Tell(Notice::Foreign {
            operation,
            block: Some(block),
        }));
        self.stand_by = Some(StandBy { level: block.level });
        self.work = None;
        self.drop_pending("somebody else used its counter", effects);
    }
}
