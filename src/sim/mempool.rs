//! Operations waiting for a block, classified as a node classifies them.
//!
//! Promises: one operation per source may wait as validated; a second one replaces it when it pays
//! 5 % more and is no worse per gas (`replace_by_fee_factor` 21/20), otherwise it is delayed.

use serde_json::{Map, Value, json};

use super::errors::Trace;
use super::validate::Valid;
use crate::protocol::operation::{Form, SignedOperation};
use crate::protocol::{OperationHash, Protocol, PublicKeyHash};

/// What a node thinks of a waiting operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// May enter the next block.
    Validated,
    /// May enter a later one.
    BranchDelayed,
    /// Has no place on this branch.
    BranchRefused,
    /// Never has a place.
    Refused,
    /// Had one once.
    Outdated,
}

impl Class {
    /// Name of its list.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Validated => "validated",
            Self::BranchDelayed => "branch_delayed",
            Self::BranchRefused => "branch_refused",
            Self::Refused => "refused",
            Self::Outdated => "outdated",
        }
    }

    /// The class that a refusal puts an operation in.
    #[must_use]
    pub fn of(errors: &Trace) -> Self {
        use super::errors::ErrorKind;
        match errors.first().map(super::errors::RuleError::kind) {
            Some(ErrorKind::Temporary) => Self::BranchDelayed,
            Some(ErrorKind::Branch) => Self::BranchRefused,
            Some(ErrorKind::Outdated) => Self::Outdated,
            Some(ErrorKind::Permanent) | None => Self::Refused,
        }
    }
}

/// One waiting operation.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The operation.
    pub signed: SignedOperation,
    /// Its hash.
    pub hash: OperationHash,
    /// What the node thinks of it.
    pub class: Class,
    /// Why, when it is not validated.
    pub error: Option<Trace>,
    /// Who pays what, when it was valid.
    pub valid: Option<Valid>,
}

/// The waiting operations, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Mempool {
    /// All of them.
    pub waiting: Vec<Waiting>,
}

impl Mempool {
    /// The validated operation of `source`, if one waits.
    #[must_use]
    pub fn of_source(&self, source: PublicKeyHash) -> Option<&Waiting> {
        self.waiting.iter().find(|waiting| {
            waiting.class == Class::Validated
                && waiting.valid.is_some_and(|valid| valid.source == source)
        })
    }

    /// Drops an operation.
    pub fn remove(&mut self, hash: &OperationHash) {
        self.waiting.retain(|waiting| waiting.hash != *hash);
    }

    /// The answer of `mempool/pending_operations`.
    #[must_use]
    pub fn json(&self, form: Form, protocol: Protocol) -> Value {
        let mut lists = Map::new();
        for class in [
            Class::Validated,
            Class::Refused,
            Class::Outdated,
            Class::BranchRefused,
            Class::BranchDelayed,
        ] {
            let items = self.waiting.iter().filter(|waiting| waiting.class == class);
            let list: Value = items.map(|waiting| waiting.json(form, protocol)).collect();
            lists.insert(class.name().into(), list);
        }
        lists.insert("unprocessed".into(), json!([]));
        Value::Object(lists)
    }
}

impl Waiting {
    /// Whole steps of two mutez per unit of gas that it pays; usual fees are below the first.
    #[must_use]
    pub fn rank(&self) -> u64 {
        self.valid
            .map_or(0, |valid| valid.fee.0 / valid.gas.saturating_mul(2).max(1))
    }

    /// The node's JSON for it.
    #[must_use]
    pub fn json(&self, form: Form, protocol: Protocol) -> Value {
        let mut object = Map::new();
        object.insert("hash".into(), json!(self.hash));
        if self.class != Class::Validated {
            object.insert("protocol".into(), protocol.hash_text().into());
        }
        if let Ok(Value::Object(fields)) = self.signed.to_json(form) {
            object.extend(fields);
        }
        if let Some(error) = &self.error {
            object.insert("error".into(), error.json(protocol));
        }
        Value::Object(object)
    }
}

/// Fee that a replacement of `old` must offer, in mutez.
#[must_use]
pub(crate) fn needed_fee(old: &Valid, gas: u64) -> u128 {
    let fee = u128::from(old.fee.0);
    let by_fee = fee.saturating_mul(21).div_ceil(20);
    let by_ratio = match u128::from(old.gas) {
        0 => by_fee,
        old_gas => fee
            .saturating_mul(21)
            .saturating_mul(u128::from(gas))
            .div_ceil(old_gas.saturating_mul(20)),
    };
    by_fee.max(by_ratio)
}
