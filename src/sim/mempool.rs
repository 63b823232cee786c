//! Operations waiting for a block, classified as a node classifies them.
//!
//! Promises: one operation per source may wait as validated; a second one replaces it when it pays
//! 5 % more and is no worse per gas (`replace_by_fee_factor` 21/20), otherwise it is delayed. What
//! was refused is remembered, within bounds, and every classification is told in order until the
//! next head. Sources: `lib_shell/prevalidator.ml`, `lib_plugin/mempool.ml`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::errors::{ErrorKind, RuleError, Trace};
use super::validate::Valid;
use crate::protocol::operation::{Form, SignedOperation};
use crate::protocol::{OperationHash, Protocol, PublicKeyHash};

/// Operations of a class other than validated that are remembered.
const REMEMBERED: usize = 1000;

/// What a node thinks of a waiting operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// May enter the next block.
    Validated,
    /// Never has a place.
    Refused,
    /// Had one once.
    Outdated,
    /// Has no place on this branch.
    BranchRefused,
    /// May enter a later one.
    BranchDelayed,
}

impl Class {
    /// All of them, in the order of the node's answer.
    pub const ALL: [Self; 5] = [
        Self::Validated,
        Self::Refused,
        Self::Outdated,
        Self::BranchRefused,
        Self::BranchDelayed,
    ];

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

    /// The class that a refusal puts an operation in: that of its gravest error.
    #[must_use]
    pub fn of(errors: &Trace) -> Self {
        let kinds = || errors.0.iter().map(RuleError::kind);
        let has = |kind| kinds().any(|found| found == kind);
        if has(ErrorKind::Permanent) || errors.0.is_empty() {
            Self::Refused
        } else if has(ErrorKind::Outdated) {
            Self::Outdated
        } else if has(ErrorKind::Branch) {
            Self::BranchRefused
        } else {
            Self::BranchDelayed
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
    /// Its length in bytes.
    pub size: usize,
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
    waiting: Vec<Waiting>,
    banned: BTreeSet<OperationHash>,
    /// Heads seen: each one ends the streams of its predecessor.
    flushes: u64,
    /// What was classified since the newest head, in order.
    told: Vec<Waiting>,
}

impl Mempool {
    /// Everything that is remembered, oldest first.
    #[must_use]
    pub fn waiting(&self) -> &[Waiting] {
        &self.waiting
    }

    /// The validated operation of `source`, if one waits.
    #[must_use]
    pub fn of_source(&self, source: PublicKeyHash) -> Option<&Waiting> {
        self.waiting.iter().find(|waiting| {
            waiting.class == Class::Validated
                && waiting.valid.is_some_and(|valid| valid.source == source)
        })
    }

    /// Whether an operation of this hash is remembered or banned.
    #[must_use]
    pub fn knows(&self, hash: &OperationHash) -> bool {
        self.banned.contains(hash) || self.waiting.iter().any(|waiting| waiting.hash == *hash)
    }

    /// How far the classification is: heads seen, and operations told since.
    #[must_use]
    pub fn progress(&self) -> (u64, usize) {
        (self.flushes, self.told.len())
    }

    /// What was classified since the newest head, in order.
    #[must_use]
    pub fn told(&self) -> &[Waiting] {
        &self.told
    }

    /// Takes a classified operation; it replaces the validated one of its source.
    pub(crate) fn put(&mut self, waiting: Waiting) {
        self.waiting.retain(|old| old.hash != waiting.hash);
        if waiting.class == Class::Validated
            && let Some(valid) = waiting.valid
        {
            self.replace(valid.source, waiting.hash);
        }
        self.told.push(waiting.clone());
        self.waiting.push(waiting);
        self.forget_oldest();
    }

    fn replace(&mut self, source: PublicKeyHash, new_hash: OperationHash) {
        let validated = |old: &&mut Waiting| {
            old.class == Class::Validated && old.valid.is_some_and(|valid| valid.source == source)
        };
        if let Some(old) = self.waiting.iter_mut().find(validated) {
            old.class = Class::BranchDelayed;
            old.error = Some(
                RuleError::OperationReplacement {
                    old_hash: old.hash,
                    new_hash,
                }
                .into(),
            );
            self.told.push(old.clone());
        }
    }

    fn forget_oldest(&mut self) {
        for class in Class::ALL.into_iter().skip(1) {
            let of_class = |waiting: &Waiting| waiting.class == class;
            while self.waiting.iter().filter(|w| of_class(w)).count() > REMEMBERED {
                let Some(oldest) = self.waiting.iter().position(of_class) else {
                    break;
                };
                self.waiting.remove(oldest);
            }
        }
    }

    /// Empties it for a new head: everything comes back to be judged anew.
    pub(crate) fn flush(&mut self) -> Vec<Waiting> {
        self.flushes = self.flushes.wrapping_add(1);
        self.told.clear();
        std::mem::take(&mut self.waiting)
    }

    /// Puts an operation back as it was, without telling.
    pub(crate) fn keep(&mut self, waiting: Waiting) {
        self.waiting.push(waiting);
    }

    /// Never takes an operation again, and drops it; answers whether it was validated.
    pub(crate) fn ban(&mut self, hash: OperationHash) -> bool {
        self.banned.insert(hash);
        let was_validated = self
            .waiting
            .iter()
            .any(|waiting| waiting.hash == hash && waiting.class == Class::Validated);
        self.waiting.retain(|waiting| waiting.hash != hash);
        was_validated
    }

    /// Lifts the ban on one operation, or on all.
    pub(crate) fn unban(&mut self, hash: Option<&OperationHash>) {
        match hash {
            Some(hash) => {
                self.banned.remove(hash);
            }
            None => self.banned.clear(),
        }
    }
}

/// Which operations a client wants to see.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// Classes.
    pub classes: Vec<Class>,
    /// Sources; none means all.
    pub sources: Vec<PublicKeyHash>,
    /// Validation passes; none means all. All operations here are of pass 3.
    pub passes: Vec<u8>,
    /// Hashes; none means all.
    pub hashes: Vec<OperationHash>,
}

impl Wanted {
    /// Whether `waiting` is one of them.
    #[must_use]
    pub(crate) fn has(&self, waiting: &Waiting) -> bool {
        let first = waiting.signed.operation.contents.first();
        self.classes.contains(&waiting.class)
            && (self.passes.is_empty() || self.passes.contains(&3))
            && (self.hashes.is_empty() || self.hashes.contains(&waiting.hash))
            && (self.sources.is_empty()
                || first.is_some_and(|content| self.sources.contains(&content.source)))
    }
}

impl Mempool {
    /// The answer of `mempool/pending_operations`.
    #[must_use]
    pub(crate) fn json(&self, wanted: &Wanted, form: Form, protocol: Protocol) -> Value {
        let mut lists = Map::new();
        for class in Class::ALL {
            let mut items: Vec<_> = self
                .waiting
                .iter()
                .filter(|waiting| waiting.class == class && wanted.has(waiting))
                .collect();
            // The node lists them by hash.
            items.sort_by_key(|waiting| waiting.hash);
            let list = items
                .into_iter()
                .map(|waiting| match class {
                    Class::Validated => waiting.json(form, None),
                    _ => waiting.json(form, Some(protocol)),
                })
                .collect();
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

    /// The node's JSON for it; streams and lists of refusals name the protocol.
    #[must_use]
    pub(crate) fn json(&self, form: Form, protocol: Option<Protocol>) -> Value {
        let mut object = Map::new();
        object.insert("hash".into(), json!(self.hash));
        if let Some(protocol) = protocol {
            object.insert("protocol".into(), protocol.hash_text().into());
        }
        if let Ok(Value::Object(fields)) = self.signed.to_json(form) {
            object.extend(fields);
        }
        if let (Some(error), Some(protocol)) = (&self.error, protocol) {
            object.insert("error".into(), error.json(protocol));
        }
        Value::Object(object)
    }

    /// Whether the fee reaches the default threshold of mempools and bakers: 100 mutez, a tenth of
    /// a mutez per gas unit and one per byte.
    #[must_use]
    pub(crate) fn pays_enough(&self) -> bool {
        self.pays(1)
    }

    /// Whether the fee reaches so many times the default threshold.
    #[must_use]
    pub(crate) fn pays(&self, times: u32) -> bool {
        let contents = &self.signed.operation.contents;
        let sum = |part: fn(&crate::protocol::operation::Content) -> u64| {
            contents.iter().map(|c| u128::from(part(c))).sum::<u128>()
        };
        let needed = 100_000_u128
            .saturating_add(sum(|content| content.gas_limit.0).saturating_mul(100))
            .saturating_add((self.size as u128).saturating_mul(1000))
            .saturating_mul(times.into());
        sum(|content| content.fee.0).saturating_mul(1000) >= needed
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
