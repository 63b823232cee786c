//! The chain's mempool: what comes in, and what happens to it when the head moves.
//!
//! Two ways in, as on a node: by injection, which answers for the operation and keeps it only if it
//! may enter the next block; and from a peer, which files what may become valid later.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Chain;
use crate::codec::Reader;
use crate::crypto::blake2b;
use crate::protocol::operation::SignedOperation;
use crate::protocol::{BlockHash, OperationHash, Protocol};
use crate::sim::block::Block;
use crate::sim::errors::{Decimal, RuleError, Trace};
use crate::sim::fees::Thresholds;
use crate::sim::mempool::{Class, Waiting};
use crate::sim::rules::filter::future_page;
use crate::sim::validate::{Signatures, Valid, validate};
use crate::sim::weather::Carriage;

/// How the head moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    /// By one block.
    Ahead,
    /// To another branch: what this branch refused gets another chance.
    Across,
}

impl Chain {
    /// Takes a signed operation through the node's own door (`on_inject`): it waits only if it may
    /// enter the next block. One that is known already is no error.
    ///
    /// # Errors
    /// The refusal; the operation is not kept.
    pub fn inject(&mut self, bytes: &[u8]) -> Result<OperationHash, Trace> {
        let hash = OperationHash(blake2b(bytes).0);
        if self.mempool.knows(&hash) || self.recent_operations().contains(&hash) {
            return Ok(hash);
        }
        // A branch is looked for before anything else is read.
        if let Ok(branch) = BlockHash::read(&mut Reader::new(bytes)) {
            self.check_live(&branch)?;
        }
        let waiting = self.classify(self.parse(bytes)?, hash, bytes.len());
        if let Some(error) = waiting.error {
            return Err(error);
        }
        let makes_way = self.mempool.place_for(&waiting)?;
        if !self.arrives(hash) {
            self.put(waiting, makes_way);
        }
        Ok(hash)
    }

    /// Takes whatever is an operation through the node's private door, as if from a peer, but past
    /// the filter.
    ///
    /// # Errors
    /// It is none.
    pub fn force(&mut self, bytes: &[u8]) -> Result<OperationHash, Trace> {
        let hash = OperationHash(blake2b(bytes).0);
        if self.mempool.knows(&hash) || self.recent_operations().contains(&hash) {
            return Ok(hash);
        }
        let waiting = self.classify(self.parse(bytes)?, hash, bytes.len());
        if !self.arrives(hash) && self.is_live(&waiting.signed.operation.branch) {
            self.file(waiting);
        }
        Ok(hash)
    }

    fn put(&mut self, waiting: Waiting, makes_way: Option<OperationHash>) {
        if let Some(other) = makes_way {
            self.mempool.make_way(other);
        }
        self.mempool.put(waiting);
    }

    /// Files an operation that was not injected here, as far as there is room for it.
    fn file(&mut self, mut waiting: Waiting) {
        match self.mempool.place_for(&waiting) {
            Ok(makes_way) => self.put(waiting, makes_way),
            Err(full) => {
                let full = Trace::from(full);
                waiting.class = Class::of(&full);
                waiting.error = Some(full);
                self.mempool.put(waiting);
            }
        }
    }

    /// What the mempool takes from now on.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.mempool.thresholds = thresholds;
    }

    /// Takes a signed operation from a peer (`on_arrived`): it is filed by its class, and dropped
    /// when its branch is unknown or its bytes are no operation.
    ///
    /// # Errors
    /// Why it may not enter the next block.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<OperationHash, Trace> {
        let hash = OperationHash(blake2b(bytes).0);
        if self.mempool.knows(&hash) || self.recent_operations().contains(&hash) {
            return Ok(hash);
        }
        let signed = self.parse(bytes)?;
        let waiting = self.filtered(self.classify(signed, hash, bytes.len()));
        let error = waiting.error.clone();
        if !self.arrives(hash) && self.is_live(&waiting.signed.operation.branch) {
            self.file(waiting);
        }
        error.map_or(Ok(hash), Err)
    }

    /// Drops an operation and never takes it again.
    pub fn ban(&mut self, hash: OperationHash) {
        if self.mempool.ban(hash) {
            self.reclassify(Moved::Ahead);
        }
    }

    /// Lifts the ban on one operation, or on all.
    pub fn unban(&mut self, hash: Option<&OperationHash>) {
        self.mempool.unban(hash);
    }

    fn parse(&self, bytes: &[u8]) -> Result<SignedOperation, Trace> {
        let max_size = self.context().parameters.operation_size;
        if bytes.len() > max_size {
            return Err(RuleError::OversizedOperation {
                size: bytes.len(),
                max_size,
            }
            .into());
        }
        let signed = SignedOperation::from_bytes(self.form(), bytes);
        let whole = signed
            .ok()
            .filter(|signed| !signed.operation.contents.is_empty());
        Ok(whole.ok_or(RuleError::ParseError {})?)
    }

    fn classify(&self, signed: SignedOperation, hash: OperationHash, size: usize) -> Waiting {
        let judged = self.judge(&signed, hash);
        let (class, valid, error) = match judged {
            Ok(valid) => (Class::Validated, Some(valid), None),
            Err(error) => (Class::of(&error), None, Some(error)),
        };
        Waiting {
            signed,
            hash,
            size,
            class,
            error,
            valid,
        }
    }

    /// The filter in front of operations that were not injected here (`pre_filter`).
    fn filtered(&self, waiting: Waiting) -> Waiting {
        let refusal = match self.future_page(&waiting.signed) {
            Some(future) => future,
            None if waiting.pays(&self.mempool.thresholds, 1) => return waiting,
            None => RuleError::FeesTooLow {},
        };
        let refusal = Trace::from(refusal);
        Waiting {
            class: Class::of(&refusal),
            error: Some(refusal),
            valid: None,
            ..waiting
        }
    }

    /// A proof about a page of a level that the next block does not reach.
    fn future_page(&self, signed: &SignedOperation) -> Option<RuleError> {
        let level = self.level().next()?;
        let is_looked_for = self.context().protocol >= Protocol::Tallinn;
        let published_level = is_looked_for.then(|| future_page(signed, level))??;
        Some(RuleError::FuturePublishedLevel {
            published_level,
            level,
        })
    }

    /// Notes an arrival; whether the network loses the operation.
    fn arrives(&mut self, hash: OperationHash) -> bool {
        if self.carriage == Carriage::default() || self.arrivals.contains_key(&hash) {
            return false;
        }
        self.arrivals.insert(hash, self.level());
        self.arrived = self.arrived.saturating_add(1);
        self.carriage.loses(self.arrived)
    }

    /// Whether an operation has waited for as long as the network makes it.
    pub(super) fn has_arrived(&self, hash: &OperationHash) -> bool {
        let waited = self.arrivals.get(hash);
        let waited = waited.and_then(|since| self.level().since(*since));
        waited.is_none_or(|blocks| blocks >= self.carriage.delay)
    }

    /// Lets the operations of a block come in again; all are refused, as on a node.
    pub(super) fn repeat(&mut self, block: &Block) {
        let form = self.form();
        for included in &block.operations {
            if let Ok(bytes) = included.signed.to_bytes(form)
                && let Err(refusal) = self.inject(&bytes)
            {
                tracing::debug!(%refusal, "an operation came again");
            }
        }
    }

    fn check_live(&self, branch: &BlockHash) -> Result<(), RuleError> {
        if self.is_live(branch) {
            return Ok(());
        }
        Err(RuleError::UnknownBranch {
            branch: branch.to_string(),
        })
    }

    fn judge(&self, signed: &SignedOperation, hash: OperationHash) -> Result<Valid, Trace> {
        self.check_live(&signed.operation.branch)?;
        let context = self.next_context().map_err(|error| RuleError::Failure {
            msg: error.to_string(),
        })?;
        let valid = validate(&context, self.form(), signed, Signatures::Checked)?;
        if let Some(old) = self.mempool.of_source(valid.source)
            && old.hash != hash
            && let Some(old) = &old.valid
        {
            let needed = self.mempool.thresholds.replacing(old, valid.gas);
            if u128::from(valid.fee.0) < needed {
                return Err(RuleError::OperationConflict {
                    new_hash: hash,
                    needed_fee_in_mutez: Decimal(needed),
                }
                .into());
            }
        }
        Ok(valid)
    }

    /// Operations of the blocks whose hashes are live branches.
    fn recent_operations(&self) -> BTreeSet<OperationHash> {
        let ttl = self.context().parameters.rollup.operation_ttl as usize;
        let recent = self.main.iter().rev().take(ttl.saturating_add(1));
        recent
            .flat_map(|block| &block.operations)
            .map(|included| included.hash)
            .collect()
    }

    pub(super) fn return_operations(&mut self, gone: &[Arc<Block>]) {
        let form = self.form();
        let old = self.mempool.flush();
        let operations = gone.iter().flat_map(|block| &block.operations);
        for included in operations {
            let size = included
                .signed
                .to_bytes(form)
                .map_or(0, |bytes| bytes.len());
            self.mempool.keep(Waiting {
                signed: included.signed.clone(),
                hash: included.hash,
                size,
                class: Class::BranchDelayed,
                error: None,
                valid: None,
            });
        }
        for waiting in old {
            self.mempool.keep(waiting);
        }
    }

    /// What pays most for its share of a block comes first, then what has the smaller hash.
    fn best_first(&self, mut waiting: Vec<Waiting>) -> Vec<Waiting> {
        let parameters = &self.context().parameters;
        let size_limit = parameters.operation_size as u128;
        let gas_per_block = parameters.gas_per_block.into();
        waiting.sort_by(|one, other| {
            let (fee, share) = one.weight(size_limit, gas_per_block);
            let (other_fee, other_share) = other.weight(size_limit, gas_per_block);
            let (one_pays, other_pays) = (
                fee.saturating_mul(other_share),
                other_fee.saturating_mul(share),
            );
            other_pays.cmp(&one_pays).then(one.hash.cmp(&other.hash))
        });
        waiting
    }

    /// Judges what waits anew, after the head moved (`on_flush`).
    pub(super) fn reclassify(&mut self, moved: Moved) {
        let waiting = self.mempool.flush();
        if waiting.is_empty() {
            return;
        }
        let included = self.recent_operations();
        let ages: Vec<OperationHash> = waiting.iter().map(|old| old.hash).collect();
        for old in self.best_first(waiting) {
            let is_judged = match old.class {
                Class::Refused | Class::Outdated => false,
                Class::BranchRefused => moved == Moved::Across,
                Class::Validated | Class::BranchDelayed => true,
            };
            if included.contains(&old.hash) {
                continue;
            }
            if !is_judged {
                self.mempool.keep(old);
            } else if self.is_live(&old.signed.operation.branch) {
                let new = self.filtered(self.classify(old.signed, old.hash, old.size));
                self.file(new);
            }
        }
        self.mempool.oldest_first(&ages);
    }
}
