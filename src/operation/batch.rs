//! Forging: intentions become one operation, with gas, fee and size settled.
//!
//! Promises: the bytes the chain reads in every protocol's form; never over the size and gas an
//! operation may have. The whole fee stands on the first content, since only the sum counts.

use super::fee::{FeeRules, Offer, offer};
use super::intention::{NamesCommitment, Wanted};
use crate::crypto::{PublicKey, Signature};
use crate::l1::BlockRef;
use crate::protocol::operation::{
    Action, Content, Form, FormError, Kind, Operation, SignedOperation,
};
use crate::protocol::{Counter, Gas, Mutez, Protocol, PublicKeyHash, StorageBytes};
use crate::signer::Turn;

/// Longest operation of any protocol, signature included (`max_operation_data_length`).
pub const MAX_OPERATION: usize = 32 * 1024;

/// Why intentions cannot be one operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// The protocol has no place for a field, or needs one.
    #[error(transparent)]
    Form(#[from] FormError),
    /// Too long.
    #[error("the operation has {bytes} bytes, at most {MAX_OPERATION} are allowed")]
    Size {
        /// Its length.
        bytes: usize,
    },
    /// Too much gas.
    #[error("the operation needs {needed} gas, at most {allowed} are allowed")]
    Gas {
        /// What it needs.
        needed: Gas,
        /// What is allowed.
        allowed: Gas,
    },
    /// What it would have to offer is over the cap.
    #[error("the operation would have to offer more than the cap of {cap} mutez in fees")]
    FeeCap {
        /// The cap.
        cap: Mutez,
    },
    /// Numbers that do not fit.
    #[error("counters, gas or fees out of range")]
    Overflow,
}

/// Who sends, in which form, from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sender {
    pub(super) account: PublicKeyHash,
    pub(super) key: PublicKey,
    pub(super) possession: Option<Signature>,
}

/// What one operation is going to carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) items: Vec<Wanted>,
    pub(super) reveals: bool,
    pub(super) first: Counter,
    pub(super) branch: BlockRef,
    pub(super) form: Form,
}

/// An operation ready to be simulated or signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Tells drafts of one carrier apart.
    pub id: u64,
    /// What it carries, in the order of its contents; a reveal before them is not among these.
    pub items: Vec<Wanted>,
    /// The operation.
    pub operation: Operation,
    /// The block it is anchored on.
    pub branch: BlockRef,
    /// Its form.
    pub form: Form,
    /// The turn that each content answers, a reveal's included.
    pub turns: Vec<Option<Turn>>,
}

impl Draft {
    /// The unsigned bytes.
    ///
    /// # Errors
    /// [`DraftError::Form`], which a draft that was made has shown not to happen.
    pub fn unsigned(&self) -> Result<Vec<u8>, DraftError> {
        Ok(self.operation.to_bytes(self.form)?)
    }

    /// What it offers.
    #[must_use]
    pub fn offer(&self) -> Offer {
        offer_of(&self.operation)
    }
}

/// The fee and gas of an operation.
pub(super) fn offer_of(operation: &Operation) -> Offer {
    let contents = operation.contents.iter();
    let fee = contents.clone().map(|content| content.fee.0);
    let gas = contents.map(|content| content.gas_limit.0);
    Offer {
        fee: Mutez(fee.fold(0, u64::saturating_add)),
        gas: Gas(gas.fold(0, u64::saturating_add)),
    }
}

/// Gas on top of what the simulation used: costs of some kinds depend on the state, which changes.
const fn margin(kind: Kind) -> u64 {
    match kind {
        Kind::Publish | Kind::Refute | Kind::Timeout => 300,
        _ => 100,
    }
}

/// Gas that every move gets where what is told is not relied on: several times what the dearest has
/// used, a proof, which is priced as ten hashes of 64 KiB whatever its size
/// (`sc_rollup_game_repr.ml`, `cost_play`).
const AMPLE: u64 = 50_000;

/// What gas limits are settled from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Measured<'a> {
    /// Thousandths of gas that each content used in a simulation.
    Told(&'a [u64]),
    /// The same, which may be too little.
    Doubted(&'a [u64]),
    /// Our own measure alone.
    Ours,
}

impl Measured<'_> {
    /// The limit of the content at this position.
    fn limit(&self, nth: usize, kind: Kind) -> Option<u64> {
        let of = |told: &[u64]| {
            let used = told.get(nth)?.div_ceil(1000);
            Some(used.saturating_add(margin(kind)))
        };
        match self {
            Self::Told(told) => of(told),
            Self::Doubted(told) => of(told).map(|limit| limit.max(AMPLE)),
            Self::Ours => Some(AMPLE),
        }
    }
}

/// What a fee is settled from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) rules: FeeRules,
    pub(super) slack: Option<u32>,
    pub(super) replaced: Option<Offer>,
    /// What bakers lately took, in percent of the least; 0 when the least is enough.
    pub(super) going: u64,
    pub(super) needed: Option<Mutez>,
    pub(super) cap: Mutez,
}

fn names_commitment(form: Form) -> NamesCommitment {
    match form {
        Form::Modern(protocol) if protocol >= Protocol::Oxford => NamesCommitment::No,
        Form::Modern(_) | Form::Scr1 => NamesCommitment::Yes,
    }
}

impl Plan {
    fn actions(&self, sender: &Sender) -> Vec<Action> {
        let reveal = self.reveals.then(|| Action::Reveal {
            public_key: sender.key,
            proof: match self.form {
                Form::Modern(protocol) if protocol >= Protocol::Seoul => sender.possession,
                Form::Modern(_) | Form::Scr1 => None,
            },
        });
        let naming = names_commitment(self.form);
        let items = self.items.iter().map(|item| item.what.action(naming));
        reveal.into_iter().chain(items).collect()
    }

    fn operation(&self, sender: &Sender, gas: &[Gas]) -> Result<Operation, DraftError> {
        let mut counter = self.first;
        let mut contents = Vec::new();
        for (action, gas_limit) in self.actions(sender).into_iter().zip(gas) {
            contents.push(Content {
                source: sender.account,
                fee: Mutez(0),
                counter,
                gas_limit: *gas_limit,
                storage_limit: StorageBytes(0),
                action,
            });
            counter = counter.plus(Counter(1)).ok_or(DraftError::Overflow)?;
        }
        Ok(Operation {
            branch: self.branch.hash,
            contents,
        })
    }

    /// Number of contents.
    pub(super) fn contents(&self) -> usize {
        self.items.len().saturating_add(usize::from(self.reveals))
    }

    fn draft(&self, id: u64, operation: Operation) -> Draft {
        let reveal = self.reveals.then_some(None);
        let turns = self.items.iter().map(|item| item.what.turn());
        Draft {
            id,
            items: self.items.clone(),
            operation,
            branch: self.branch,
            form: self.form,
            turns: reveal.into_iter().chain(turns).collect(),
        }
    }

    /// The operation as it is simulated: no fee, all the gas there is, shared out.
    ///
    /// # Errors
    /// [`DraftError`] when it is too long.
    pub(super) fn for_simulation(
        &self,
        id: u64,
        sender: &Sender,
        each: Gas,
        all: Gas,
    ) -> Result<Draft, DraftError> {
        let share = self.share(each, all).ok_or(DraftError::Overflow)?;
        let gas = vec![share; self.contents()];
        let operation = self.operation(sender, &gas)?;
        let bytes = signed_length(&operation, self.form, sender)?;
        if bytes > MAX_OPERATION {
            return Err(DraftError::Size { bytes });
        }
        Ok(self.draft(id, operation))
    }

    /// Gas that each content may have at most.
    fn share(&self, each: Gas, all: Gas) -> Option<Gas> {
        let count = u64::try_from(self.contents()).ok()?;
        Some(Gas(each.0.min(all.0.checked_div(count)?)))
    }

    /// The operation as it is signed.
    ///
    /// # Errors
    /// [`DraftError`] when it is too long, needs too much gas, or would be too dear.
    pub(super) fn settled(
        &self,
        id: u64,
        sender: &Sender,
        measured: &Measured<'_>,
        limits: (Gas, Gas),
        terms: &Terms,
    ) -> Result<Draft, DraftError> {
        let actions = self.actions(sender);
        let (each, all) = limits;
        // No simulation had more than its share, whatever is told of it.
        let share = self.share(each, all).ok_or(DraftError::Overflow)?;
        let limit = |(nth, action): (usize, &Action)| {
            let limit = measured.limit(nth, action.kind())?;
            Some(Gas(limit.min(share.0)))
        };
        let gas: Option<Vec<Gas>> = actions.iter().enumerate().map(limit).collect();
        let gas = gas.ok_or(DraftError::Overflow)?;
        let mut operation = self.operation(sender, &gas)?;
        let total = offer_of(&operation).gas;
        if total > all {
            return Err(DraftError::Gas {
                needed: total,
                allowed: all,
            });
        }
        // The fee's own length counts: until it does not change any more, which it does upwards only.
        loop {
            let bytes = signed_length(&operation, self.form, sender)?;
            if bytes > MAX_OPERATION {
                return Err(DraftError::Size { bytes });
            }
            let least = terms
                .rules
                .least(total, bytes)
                .ok_or(DraftError::Overflow)?;
            let replaced = terms.replaced.map(|old| (old, total));
            let fee = offer(
                least,
                terms.going,
                terms.slack,
                replaced,
                terms.needed,
                terms.cap,
            )
            .ok_or(DraftError::FeeCap { cap: terms.cap })?;
            let Some(first) = operation.contents.first_mut() else {
                return Err(DraftError::Overflow);
            };
            if first.fee >= fee {
                return Ok(self.draft(id, operation));
            }
            first.fee = fee;
        }
    }
}

/// Length of the operation once signed.
fn signed_length(operation: &Operation, form: Form, sender: &Sender) -> Result<usize, DraftError> {
    let signature = match sender.key {
        PublicKey::Bls(_) => Signature::Bls([0; 96]),
        _ => Signature::ABSENT,
    };
    let contents = operation.to_bytes(form)?.len().saturating_sub(32);
    Ok(contents.saturating_add(SignedOperation::overhead(&signature)))
}
