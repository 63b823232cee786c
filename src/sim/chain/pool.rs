//! The chain's mempool: what comes in, and what happens to it when the head moves.

use std::sync::Arc;

use super::Chain;
use crate::crypto::blake2b;
use crate::protocol::OperationHash;
use crate::protocol::operation::SignedOperation;
use crate::sim::block::Block;
use crate::sim::errors::{Decimal, RuleError, Trace};
use crate::sim::mempool::{Class, Waiting, needed_fee};
use crate::sim::validate::{Signatures, Valid, validate};
use crate::sim::weather::Carriage;

impl Chain {
    /// Takes a signed operation into the mempool.
    ///
    /// # Errors
    /// The refusal; the operation is kept only if it may become valid later.
    pub fn inject(&mut self, bytes: &[u8]) -> Result<OperationHash, Trace> {
        let form = self.form();
        let max_size = self.context().parameters.operation_size;
        if bytes.len() > max_size {
            return Err(RuleError::OversizedOperation {
                size: bytes.len(),
                max_size,
            }
            .into());
        }
        let signed =
            SignedOperation::from_bytes(form, bytes).map_err(|_| RuleError::ParseError {})?;
        let hash = OperationHash(blake2b(bytes).0);
        let waiting = self.classify(signed, hash);
        let error = waiting.error.clone();
        self.mempool.remove(&hash);
        if waiting.class == Class::Validated
            && let Some(valid) = waiting.valid
            && let Some(replaced) = self.mempool.of_source(valid.source).map(|old| old.hash)
        {
            self.mempool.remove(&replaced);
        }
        let is_lost = self.arrives(hash);
        if !is_lost && !matches!(waiting.class, Class::Refused) {
            self.mempool.waiting.push(waiting);
        }
        error.map_or(Ok(hash), Err)
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

    fn classify(&self, signed: SignedOperation, hash: OperationHash) -> Waiting {
        match self.judge(&signed, hash) {
            Ok(valid) => Waiting {
                signed,
                hash,
                class: Class::Validated,
                error: None,
                valid: Some(valid),
            },
            Err(error) => Waiting {
                signed,
                hash,
                class: Class::of(&error),
                error: Some(error),
                valid: None,
            },
        }
    }

    fn judge(&self, signed: &SignedOperation, hash: OperationHash) -> Result<Valid, Trace> {
        let branch = signed.operation.branch;
        if !self.is_live(&branch) {
            return Err(RuleError::UnknownBranch {
                branch: branch.to_string(),
            }
            .into());
        }
        let context = self.next_context().map_err(|error| RuleError::Failure {
            msg: error.to_string(),
        })?;
        let valid = validate(&context, self.form(), signed, Signatures::Checked)?;
        if let Some(old) = self.mempool.of_source(valid.source)
            && old.hash != hash
            && let Some(old) = &old.valid
        {
            let needed = needed_fee(old, valid.gas);
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

    pub(super) fn return_operations(&mut self, gone: &[Arc<Block>]) {
        let mut returned: Vec<_> = gone
            .iter()
            .flat_map(|block| &block.operations)
            .map(|included| Waiting {
                signed: included.signed.clone(),
                hash: included.hash,
                class: Class::BranchDelayed,
                error: None,
                valid: None,
            })
            .collect();
        returned.append(&mut self.mempool.waiting);
        self.mempool.waiting = returned;
    }

    /// Judges everything that waits anew, after the head moved.
    pub(super) fn reclassify(&mut self) {
        if self.mempool.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.mempool.waiting);
        for old in waiting {
            let new = self.classify(old.signed, old.hash);
            let is_past = new
                .error
                .as_ref()
                .and_then(Trace::first)
                .is_some_and(|error| matches!(error, RuleError::CounterInThePast { .. }));
            if !is_past && new.class != Class::Refused {
                self.mempool.waiting.push(new);
            }
        }
    }
}
