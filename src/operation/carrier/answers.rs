//! Answers: of simulations, of the gate and the key, of endpoints.

use super::send::half;
use super::unadvised::{Trust, words};
use super::{Carrier, Cause, Effect, Injection, Notice, Pending, Work, variant};
use crate::l1::{EndpointName, NodeError, Simulated, Status};
use crate::operation::batch::{Draft, Measured, Plan};
use crate::operation::entry::{Entry, Item};
use crate::operation::intention::Wanted;
use crate::operation::outcome::{Outcome, of_errors, of_receipt};
use crate::protocol::operation::SignedOperation;
use crate::protocol::{Level, OperationHash};

/// Errors by the end of their id.
pub(super) fn has(errors: &[NodeError], name: &str) -> bool {
    errors.iter().any(|error| error.id.ends_with(name))
}

/// What the text of an error says, where a node tells no more of it.
fn says(errors: &[NodeError], phrase: &str) -> bool {
    errors.iter().any(|error| error.says(phrase))
}

impl Carrier {
    pub(super) fn simulated(&mut self, id: u64, results: &[Simulated], effects: &mut Vec<Effect>) {
        let Some(Work { plan, level, .. }) = self.take_work(id) else {
            return;
        };
        let skipped = usize::from(plan.reveals);
        // Storage would be burned for: none of what we send needs it.
        let is_applied =
            |result: &Simulated| result.status == Status::Applied && result.storage == 0;
        if results.iter().all(is_applied) {
            return self.settle(plan, level, results, effects);
        }
        let at_fault = results
            .iter()
            .position(|result| result.status == Status::Failed)
            .or_else(|| results.iter().position(|result| !is_applied(result)));
        let item = at_fault.and_then(|index| index.checked_sub(skipped));
        let errors = at_fault
            .and_then(|index| results.get(index))
            .map_or_else(Vec::new, |result| result.errors.clone());
        match item {
            // The reveal failed: the account changed, the next head tells how.
            None => self.all_refused(&plan.items, &words(&errors), effects),
            Some(item) => self.without(plan, item, errors, effects),
        }
    }

    /// Goes on without the intention that would fail.
    fn without(
        &mut self,
        plan: Plan,
        index: usize,
        errors: Vec<NodeError>,
        effects: &mut Vec<Effect>,
    ) {
        let mut items = plan.items;
        let shares_gas = items.len() > 1;
        if has(&errors, "gas_exhausted.operation") && shares_gas {
            // Its share was too small: it goes alone, with all the gas there is.
            let alone = items.swap_remove(index.min(items.len().saturating_sub(1)));
            return self.begin(vec![alone], effects);
        }
        if index >= items.len() {
            return;
        }
        let failed = items.remove(index);
        let outcome = match of_receipt(Status::Failed, &errors) {
            // Alone and with all the gas there is, more cannot be had.
            Outcome::Retry if has(&errors, "gas_exhausted.operation") => Outcome::Disagreement,
            outcome => outcome,
        };
        if !self.is_sent_anyway(&failed, &words(&errors)) {
            self.hold(&failed.what, outcome, errors, effects);
        }
        self.begin(items, effects);
    }

    /// What was refused, or left without an answer, as a whole and through no fault of one of them.
    fn all_refused(&mut self, items: &[Wanted], said: &str, effects: &mut Vec<Effect>) {
        let mut is_any_sent = false;
        for item in items {
            is_any_sent |= self.is_sent_anyway(item, said);
        }
        if is_any_sent {
            self.rest(effects);
        }
    }

    fn settle(
        &mut self,
        plan: Plan,
        level: Level,
        results: &[Simulated],
        effects: &mut Vec<Effect>,
    ) {
        if self.is_unadvised_first(&plan.items) {
            return self.send_unadvised(effects);
        }
        let Some(view) = &self.view else { return };
        let limits = (view.limits.content_gas, view.limits.block_gas);
        let milligas: Vec<_> = results.iter().map(|result| result.milligas).collect();
        let id = self.next_id;
        let terms = self.terms(&plan.items);
        let is_urgent = terms
            .slack
            .is_some_and(|slack| slack <= self.settings.urgent);
        let measured = if is_urgent || self.trust == Trust::Gone {
            Measured::Doubted(&milligas)
        } else {
            Measured::Told(&milligas)
        };
        match plan.settled(id, &self.sender, &measured, limits, &terms) {
            Ok(draft) => {
                self.go_on(plan, level, false);
                effects.push(Effect::Sign(draft));
            }
            Err(error) => self.too_much(plan.items, &error, effects),
        }
    }

    pub(super) fn unfit(&mut self, id: u64, errors: &[NodeError], effects: &mut Vec<Effect>) {
        let Some(Work { plan, .. }) = self.take_work(id) else {
            return;
        };
        let said = words(errors);
        let mut items = plan.items;
        match of_errors(errors) {
            // About the account, not about what is sent: the next head tells more.
            Outcome::Retry => {
                tracing::warn!(errors = %said, "an operation does not fit the account");
                self.all_refused(&items, &said, effects);
            }
            Outcome::Stop => {
                items.retain(|item| !self.is_sent_anyway(item, &said));
                for item in &items {
                    self.hold(&item.what, Outcome::Stop, errors.to_vec(), effects);
                }
                if !self.unadvised.is_empty() {
                    self.rest(effects);
                }
            }
            // One of them is not admitted: halves find out which.
            _ if items.len() > 1 => {
                self.begin(half(items), effects);
            }
            outcome => {
                if let Some(item) = items.pop() {
                    if !self.is_sent_anyway(&item, &said) {
                        self.hold(&item.what, outcome, errors.to_vec(), effects);
                    }
                    // The rest of what is wanted need not wait for the next head.
                    self.send(effects);
                }
            }
        }
    }

    pub(super) fn not_simulated(&mut self, id: u64, problem: &str, effects: &mut Vec<Effect>) {
        if let Some(Work { plan, .. }) = self.take_work(id) {
            tracing::warn!(problem, "an operation could not be simulated");
            self.all_refused(&plan.items, problem, effects);
        }
    }

    pub(super) fn signed(
        &mut self,
        id: u64,
        hash: OperationHash,
        bytes: Vec<u8>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(work) = self.take_work(id) else {
            return;
        };
        let Work { plan, level, .. } = work;
        let signed = SignedOperation::from_bytes(plan.form, &bytes);
        let items = plan.items;
        let made = signed.ok().and_then(|signed| {
            let operation = signed.operation;
            variant(
                hash,
                bytes.clone(),
                &operation,
                plan.branch.level,
                level,
                items.clone(),
            )
        });
        let Some(made) = made else {
            return effects.push(Effect::Tell(Notice::NoSignature {
                reason: format!("the signed operation {hash} cannot be read back"),
            }));
        };
        effects.push(Effect::Write(Entry::Signed {
            hash,
            bytes: bytes.clone(),
            form: plan.form,
            branch_level: plan.branch.level,
            level,
            items: items.iter().map(Item::of).collect(),
        }));
        if work.is_unadvised {
            self.sent_unadvised.insert(hash);
        }
        self.add_variant(made);
        effects.push(Effect::Inject(hash, bytes));
    }

    pub(super) fn add_variant(&mut self, made: super::Variant) {
        self.known.insert(made.hash, made.clone());
        let pending = self.pending.get_or_insert_with(|| Pending {
            variants: Vec::new(),
            needed: None,
        });
        pending.needed = None;
        pending.variants.retain(|known| known.hash != made.hash);
        pending.variants.push(made);
    }

    pub(super) fn refused(
        &mut self,
        id: u64,
        reason: String,
        (index, cause): (Option<usize>, Cause),
        effects: &mut Vec<Effect>,
    ) {
        let Some(Work { plan, .. }) = self.take_work(id) else {
            return;
        };
        let position = index.and_then(|index| index.checked_sub(usize::from(plan.reveals)));
        let (refused, rest): (Vec<_>, Vec<_>) = plan
            .items
            .into_iter()
            .enumerate()
            .partition(|(nth, _)| position.is_none_or(|position| position == *nth));
        let bare = |items: Vec<(usize, Wanted)>| items.into_iter().map(|(_, item)| item);
        let refused: Vec<_> = bare(refused).collect();
        effects.push(Effect::Tell(Notice::Refused {
            what: refused.iter().map(|item| item.what.clone()).collect(),
            reason,
        }));
        for item in &refused {
            self.hold(&item.what, Outcome::Stop, Vec::new(), effects);
            if let Some(hold) = self.holds.get_mut(&item.what.key()) {
                hold.cause = cause;
            }
        }
        // Without what the gate refuses, the others may go.
        self.begin(bare(rest).collect(), effects);
    }

    pub(super) fn not_signed(&mut self, id: u64, reason: String, effects: &mut Vec<Effect>) {
        if self.take_work(id).is_some() {
            effects.push(Effect::Tell(Notice::NoSignature { reason }));
            self.inject_again(effects);
        }
    }

    pub(super) fn injected(
        &mut self,
        hash: OperationHash,
        answers: &[(EndpointName, Injection)],
        effects: &mut Vec<Effect>,
    ) {
        let is_accepted = |answer: &Injection| *answer == Injection::Accepted;
        effects.push(Effect::Write(Entry::Injected {
            hash,
            level: self.level(),
            accepted: answers
                .iter()
                .filter(|(_, answer)| is_accepted(answer))
                .map(|(endpoint, _)| endpoint.to_string())
                .collect(),
            refused: answers
                .iter()
                .filter(|(_, answer)| !is_accepted(answer))
                .map(|(endpoint, answer)| (endpoint.to_string(), told(answer)))
                .collect(),
        }));
        if answers.iter().any(|(_, answer)| is_accepted(answer)) {
            return;
        }
        let errors: Vec<NodeError> = answers
            .iter()
            .filter_map(|(_, answer)| match answer {
                Injection::Refused(errors) => Some(errors.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        let problems: Vec<_> = answers.iter().map(|(_, answer)| told(answer)).collect();
        effects.push(Effect::Tell(Notice::NotTaken {
            operation: hash,
            problem: problems.join("; "),
        }));
        if !errors.is_empty() {
            self.not_taken(hash, &errors, effects);
        }
    }

    /// All endpoints that answered refuse.
    fn not_taken(&mut self, hash: OperationHash, errors: &[NodeError], effects: &mut Vec<Effect>) {
        let asked = errors.iter().filter_map(NodeError::asked_fee).max();
        let is_underpaid = asked.is_some()
            || has(errors, "fees_too_low")
            || has(errors, "full_mempool")
            || has(errors, "operation_conflict")
            || says(errors, "fees are too low");
        let Some(pending) = &mut self.pending else {
            return;
        };
        let Some(refused) = pending.variants.iter().find(|variant| variant.hash == hash) else {
            return;
        };
        if is_underpaid {
            let more = super::super::fee::replacement(refused.offer, refused.offer.gas);
            pending.needed = asked.max(pending.needed).or(Some(more));
            return;
        }
        let outcome = of_errors(errors);
        let is_dead = has(errors, "future_or_unknown_branch")
            || says(errors, "is branched on either:")
            || matches!(outcome, Outcome::Stop | Outcome::Disagreement);
        if !is_dead {
            return;
        }
        let items = refused.items.clone();
        pending.variants.retain(|variant| variant.hash != hash);
        if pending.variants.is_empty() {
            self.pending = None;
        }
        self.tell_dropped(hash, "every endpoint refuses it", effects);
        if matches!(outcome, Outcome::Stop | Outcome::Disagreement) {
            for item in &items {
                self.hold(&item.what, outcome, errors.to_vec(), effects);
            }
        }
    }
}

/// What an endpoint said.
fn told(answer: &Injection) -> String {
    match answer {
        Injection::Accepted => "accepted".into(),
        Injection::Unreachable(problem) => problem.clone(),
        Injection::Refused(errors) => {
            let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
            texts.join("; ")
        }
    }
}

/// Kept for drafts that are told about: what they carry.
impl Draft {
    /// The items as entries note them.
    #[must_use]
    pub fn noted(&self) -> Vec<Item> {
        self.items.iter().map(Item::of).collect()
    }
}
