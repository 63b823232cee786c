//! What people of a scenario can be told to do, as plain data; and the contents it becomes.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::contracts::Destination;
use super::errors::Trace;
use super::prices::{price, signature_price};
use crate::codec::Micheline;
use crate::protocol::operation::{Action, Content, Form, Operation, Refutation, Step};
use crate::protocol::{
    BlockHash, Commitment, CommitmentHash, Counter, Gas, Mutez, Protocol, PublicKeyHash,
    RollupAddress, StorageBytes,
};

/// Something that an account can be told to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Deed {
    /// Originates a WASM rollup.
    Originate {
        /// Hexadecimal digits of the kernel.
        kernel: String,
    },
    /// Sends external messages.
    Messages {
        /// Hexadecimal digits of each.
        messages: Vec<String>,
    },
    /// Calls the relay contract, which emits one internal transaction per item.
    Relay {
        /// Receiver and Micheline value of each, in order.
        transfers: Vec<(String, Value)>,
    },
    /// Calls the relay contract with any argument.
    Call {
        /// Micheline argument.
        argument: Value,
    },
    /// Pays.
    Pay {
        /// `tz…` or `KT1…`.
        to: String,
        /// How much.
        mutez: u64,
    },
    /// Publishes a commitment.
    Publish {
        /// The rollup.
        rollup: RollupAddress,
        /// The claim.
        commitment: Commitment,
    },
    /// Cements the next commitment.
    Cement {
        /// The rollup.
        rollup: RollupAddress,
    },
    /// Gives a bond back.
    RecoverBond {
        /// The rollup.
        rollup: RollupAddress,
        /// Whose.
        staker: PublicKeyHash,
    },
    /// Opens a game.
    OpenGame {
        /// The rollup.
        rollup: RollupAddress,
        /// The other player.
        opponent: PublicKeyHash,
        /// One's own commitment.
        ours: CommitmentHash,
        /// The other's.
        theirs: CommitmentHash,
    },
    /// Ends a game by the clock.
    Timeout {
        /// The rollup.
        rollup: RollupAddress,
        /// One player.
        one: PublicKeyHash,
        /// The other.
        other: PublicKeyHash,
    },
}

/// A batch that one account signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// Index of the bootstrap account.
    pub by: u32,
    /// What it does, all or nothing.
    pub deeds: Vec<Deed>,
}

impl Act {
    /// A batch of one.
    #[must_use]
    pub fn one(by: u32, deed: Deed) -> Self {
        Self {
            by,
            deeds: vec![deed],
        }
    }

    /// External messages from account `by`.
    #[must_use]
    pub fn messages(by: u32, messages: &[&[u8]]) -> Self {
        Self::one(
            by,
            Deed::Messages {
                messages: messages.iter().map(hex::encode).collect(),
            },
        )
    }

    /// An origination by account `by`.
    #[must_use]
    pub fn originate(by: u32, kernel: &[u8]) -> Self {
        Self::one(
            by,
            Deed::Originate {
                kernel: hex::encode(kernel),
            },
        )
    }

    /// A transfer of `value` from the relay contract to `rollup`, asked for by account `by`.
    #[must_use]
    pub fn transfer(by: u32, rollup: &RollupAddress, value: &Micheline) -> Self {
        Self::one(
            by,
            Deed::Relay {
                transfers: vec![(rollup.to_string(), value.to_json())],
            },
        )
    }
}

/// Why an act could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// No such bootstrap account.
    #[error("there is no bootstrap account {0}")]
    NoAccount(u32),
    /// Something in it cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// The chain refused the operation.
    #[error(transparent)]
    Refused(Trace),
}

impl TryFrom<ActError> for Trace {
    type Error = ActError;

    fn try_from(error: ActError) -> Result<Self, ActError> {
        match error {
            ActError::Refused(trace) => Ok(trace),
            other => Err(other),
        }
    }
}

pub(super) fn malformed(problem: impl fmt::Display) -> ActError {
    ActError::Malformed(problem.to_string())
}

pub(super) fn parsed(
    transfers: &[(String, Value)],
) -> Result<Vec<(Destination, Micheline)>, ActError> {
    transfers
        .iter()
        .map(|(to, value)| {
            let destination = match RollupAddress::of_any_dialect(to) {
                Ok((rollup, _)) => Destination::Rollup(rollup),
                Err(_) => Destination::Contract(to.parse().map_err(malformed)?),
            };
            Ok((destination, Micheline::from_json(value).map_err(malformed)?))
        })
        .collect()
}

/// A content with limits that suffice and a fee that bakers take.
pub(super) fn content(
    protocol: Protocol,
    source: PublicKeyHash,
    counter: Counter,
    action: Action,
) -> Content {
    let calls_a_contract = matches!(
        action,
        Action::Transaction {
            parameters: Some(_),
            ..
        }
    );
    let gas = if calls_a_contract {
        60_000
    } else {
        // The margin covers the small fields; `Scenario::sign` adds for long batches.
        let signature = signature_price(protocol, &source, 0);
        (price(protocol, &action).saturating_add(signature) / 1000).saturating_add(300)
    };
    let storage = match action {
        Action::Originate(_) => 20_000,
        Action::Transaction { .. } => 300,
        _ => 0,
    };
    let size = match &action {
        Action::Originate(origination) => origination.kernel.len(),
        Action::AddMessages { messages } => messages.iter().map(Vec::len).sum(),
        Action::Refute {
            refutation: Refutation::Move { step, .. },
            ..
        } => match step {
            Step::Dissection(chunks) => chunks.len().saturating_mul(48),
            Step::Proof(proof) => proof.pvm_step.len().saturating_add(4_096),
        },
        _ => 0,
    };
    // Over the mempool's threshold whatever the small fields weigh.
    let fee = 1_000_u64
        .saturating_add(gas / 10)
        .saturating_add(size as u64);
    Content {
        source,
        fee: Mutez(fee),
        counter,
        gas_limit: Gas(gas),
        storage_limit: StorageBytes(storage),
        action,
    }
}

/// The first content pays for the signature under all.
pub(super) fn pay_for_signature(contents: &mut [Content], form: Form) {
    let operation = Operation {
        branch: BlockHash([0; 32]),
        contents: contents.to_vec(),
    };
    let bytes = operation.size(form);
    if let Some(first) = contents.first_mut() {
        let gas = bytes.saturating_mul(36) / 1000;
        first.gas_limit.0 = first.gas_limit.0.saturating_add(gas);
        first.fee.0 = first.fee.0.saturating_add(gas / 10 + 1);
    }
}
