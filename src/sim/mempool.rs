//! Operations waiting for a block, classified as a node classifies them.
//!
//! Promises: one operation per source may wait as validated; a second one replaces it when it pays
//! 5 % more and is no worse per gas (`replace_by_fee_factor` 21/20), otherwise it is delayed. What
//! was refused is remembered, within bounds, and every classification is told in order until the
//! next head. Sources: `lib_shell/prevalidator.ml`, `lib_plugin/mempool.ml`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::errors::{Decimal, ErrorKind, RuleError, Trace};
use super::fees::Thresholds;
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
    /// What it takes.
    pub(crate) thresholds: Thresholds,
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

    /// The validated operation that makes way for `new` in a full mempool: the one with the least
    /// fee per gas, if it has less than `new`. Nothing when there is room.
    ///
    /// # Errors
    /// [`RuleError::RejectedByFullMempool`] when `new` has the least.
    pub(crate) fn place_for(&self, new: &Waiting) -> Result<Option<OperationHash>, RuleError> {
        let Some(valid) = new.valid else {
            return Ok(None);
        };
        let stays = |old: &&Waiting| {
            old.class == Class::Validated
                && old.hash != new.hash
                && old.valid.is_some_and(|old| old.source != valid.source)
        };
        let others: Vec<&Waiting> = self.waiting.iter().filter(stays).collect();
        let bytes: u64 = others.iter().map(|old| old.size as u64).sum();
        let limits = &self.thresholds;
        let fits = (others.len() as u64) < limits.max_operations
            && bytes.saturating_add(new.size as u64) <= limits.max_total_bytes;
        if fits {
            return Ok(None);
        }
        let ratio = |one: &Valid, other: &Valid| {
            let weigh = |fee: u64, gas: u64| u128::from(fee).saturating_mul(gas.into());
            weigh(one.fee.0, other.gas).cmp(&weigh(other.fee.0, one.gas))
        };
        let valids = others.iter().filter_map(|old| Some((old.hash, old.valid?)));
        let least = valids.min_by(|(_, one), (_, other)| ratio(one, other));
        match least {
            Some((hash, least)) if ratio(&least, &valid).is_lt() => Ok(Some(hash)),
            least => {
                let needed = least.map(|(_, least)| {
                    let fee = u128::from(least.fee.0).saturating_mul(valid.gas.into());
                    let fee = fee / u128::from(least.gas.max(1));
                    Decimal(fee.saturating_add(1))
                });
                Err(RuleError::RejectedByFullMempool {
                    operation_hash: new.hash,
                    needed_fee_in_mutez: needed,
                })
            }
        }
    }

    /// Takes a validated operation out of a full mempool.
    pub(crate) fn make_way(&mut self, operation_hash: OperationHash) {
        let found = self
            .waiting
            .iter_mut()
            .find(|old| old.hash == operation_hash);
        if let Some(old) = found {
            old.class = Class::BranchDelayed;
            old.error = Some(RuleError::RemovedFromFullMempool { operation_hash }.into());
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

    /// Puts operations that were judged in another order back in that of their age.
    pub(crate) fn oldest_first(&mut self, ages: &[OperationHash]) {
        let ages: BTreeMap<_, _> = ages.iter().zip(0_usize..).collect();
        self.waiting
            .sort_by_key(|waiting| ages.get(&waiting.hash).copied());
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

    fn fee_and_gas(&self) -> (u128, u128) {
        let contents = self.signed.operation.contents.iter();
        contents.fold((0, 0), |(fee, gas), content| {
            (
                fee.saturating_add(content.fee.0.into()),
                gas.saturating_add(content.gas_limit.0.into()),
            )
        })
    }

    /// Fee, and the share of a block it asks for in units of no meaning: what pays most for its
    /// share is judged first after a new head (`weight_and_resources_manager_operation`).
    pub(crate) fn weight(&self, size_limit: u128, gas_per_block: u128) -> (u128, u128) {
        let (fee, gas) = self.fee_and_gas();
        let by_size = gas_per_block.saturating_mul(self.size as u128);
        (fee, by_size.max(size_limit.saturating_mul(gas)))
    }

    /// Whether the fee reaches so many times the threshold.
    #[must_use]
    pub(crate) fn pays(&self, thresholds: &Thresholds, times: u32) -> bool {
        let (fee, gas) = self.fee_and_gas();
        thresholds.reached(fee, gas, self.size as u128, times)
    }
}
