//! The gate: bytes in, a signature or a reason out.
//!
//! Promises: what is signed was decoded here, from the very bytes that are signed; it is
//! remembered before the key is asked; a refusal is a value. The caller journals an [`Admission`]
//! before it has it signed, and gives the journalled ones back at the next start
//! ([`Memory::remember`]): so the memory outlives any crash.

mod brake;
mod judge;
mod memory;
mod policy;
mod refusal;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use brake::Brake;
pub use memory::{Memory, Turn};
pub use policy::{Authority, Moment, Policy};
pub use refusal::Refusal;

use super::key::{Key, KeyError};
use crate::crypto::{PublicKey, Signature};
use crate::protocol::operation::{Form, Operation, SignedOperation};
use crate::protocol::{OperationHash, PublicKeyHash, RollupAddress, Timestamp};

/// An operation that may be signed, once.
#[derive(Debug, PartialEq, Eq)]
pub struct Admission {
    operation: Operation,
    unsigned: Vec<u8>,
    form: Form,
    turns: Vec<Option<Turn>>,
    moment: Moment,
}

impl Admission {
    /// What was decoded from the bytes.
    #[must_use]
    pub const fn operation(&self) -> &Operation {
        &self.operation
    }

    /// The bytes themselves.
    #[must_use]
    pub fn unsigned(&self) -> &[u8] {
        &self.unsigned
    }

    /// The form they are in.
    #[must_use]
    pub const fn form(&self) -> Form {
        self.form
    }

    /// The turn that each content answers, where it is a move.
    #[must_use]
    pub fn turns(&self) -> &[Option<Turn>] {
        &self.turns
    }

    /// When it was admitted.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.moment.now
    }
}

/// An operation with its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The operation.
    pub operation: SignedOperation,
    /// What is injected.
    pub bytes: Vec<u8>,
    /// Its hash.
    pub hash: OperationHash,
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The gate refuses.
    #[error("the gate refuses: {0}")]
    Refused(#[from] Refusal),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key's answer is no signature of its own.
    #[error("the signer of {account} answered a signature that does not verify")]
    Forged {
        /// The account.
        account: PublicKeyHash,
    },
}

/// The one way to a signature.
#[derive(Debug)]
pub struct Gate {
    key: Key,
    policy: Policy,
    memory: Memory,
    brake: Brake,
}

impl Gate {
    /// A gate in front of `key`, which remembers `memory`.
    #[must_use]
    pub const fn new(key: Key, policy: Policy, memory: Memory, brake: Brake) -> Self {
        Self {
            key,
            policy,
            memory,
            brake,
        }
    }

    /// The account it signs for.
    #[must_use]
    pub fn account(&self) -> PublicKeyHash {
        self.key.account()
    }

    /// The key of that account.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        self.key.public()
    }

    /// What it may sign.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The brake it obeys; a clone of it works from anywhere.
    #[must_use]
    pub const fn brake(&self) -> &Brake {
        &self.brake
    }

    /// The rollups that neither the brake nor a freeze stops now.
    #[must_use]
    pub fn free(&self) -> BTreeSet<RollupAddress> {
        if self.brake.pulled().is_some() {
            return BTreeSet::new();
        }
        let rollups = self.policy.rollups.iter();
        rollups
            .filter(|rollup| self.brake.frozen(rollup).is_none())
            .copied()
            .collect()
    }

    /// The proof that a reveal of a BLS key carries; none for other curves.
    ///
    /// # Errors
    /// [`KeyError`] when a remote signer does not give it.
    pub async fn prove_possession(&self) -> Result<Option<Signature>, KeyError> {
        self.key.prove_possession().await
    }

    /// Judges the unsigned bytes of an operation; `turns` says which turn each content answers.
    ///
    /// # Errors
    /// [`Refusal`], to be journalled.
    pub fn admit(
        &self,
        unsigned: &[u8],
        form: Form,
        turns: &[Option<Turn>],
        moment: Moment,
    ) -> Result<Admission, Refusal> {
        let operation = judge::decoded(unsigned, form)?;
        self.judge(&operation, turns, &moment)?;
        Ok(Admission {
            operation,
            unsigned: unsigned.to_vec(),
            form,
            turns: turns.to_vec(),
            moment,
        })
    }

    /// Signs what was admitted. The admission is judged once more: others may have been signed
    /// since, or the brake pulled.
    ///
    /// # Errors
    /// [`SignError`]; what was admitted is remembered even when the key then fails, for a remote
    /// signer may have signed without the answer reaching us.
    pub async fn sign(&mut self, admission: Admission) -> Result<Signed, SignError> {
        let Admission {
            operation,
            unsigned,
            form,
            turns,
            moment,
        } = admission;
        self.judge(&operation, &turns, &moment)?;
        self.memory.remember(&operation, &turns, moment.now);
        let mut message = vec![Operation::WATERMARK];
        message.extend_from_slice(&unsigned);
        let suite = form.bls_suite();
        let signature = self.key.sign(&message, suite).await?;
        if !self.public_key().verifies(&message, &signature, suite) {
            return Err(SignError::Forged {
                account: self.account(),
            });
        }
        let signed = SignedOperation {
            operation,
            signature,
        };
        let form_error = |error: crate::protocol::operation::FormError| Refusal::Unreadable {
            problem: error.to_string(),
        };
        let bytes = signed.to_bytes(form).map_err(form_error)?;
        let hash = OperationHash(crate::crypto::blake2b(&bytes).0);
        Ok(Signed {
            operation: signed,
            bytes,
            hash,
        })
    }

    fn judge(
        &self,
        operation: &Operation,
        turns: &[Option<Turn>],
        moment: &Moment,
    ) -> Result<(), Refusal> {
        judge::judge(
            &judge::Case {
                key: self.public_key(),
                policy: &self.policy,
                memory: &self.memory,
                brake: &self.brake,
                moment,
            },
            operation,
            turns,
        )
    }
}
