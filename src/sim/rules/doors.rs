//! The doors of an account (`apply_transaction_to_implicit` of `apply.ml`).
//!
//! Promises: what is not money for its owner is refused as by the protocol. Nobody stakes here.

use crate::protocol::operation::Parameters;
use crate::protocol::{Mutez, Protocol, PublicKeyHash};
use crate::sim::context::Context;
use crate::sim::errors::{RuleError, Trace};
use crate::sim::ledger::Owner;

/// What may be sent to an account by which door; the doors for staking exist since Oxford.
///
/// # Errors
/// The protocol's refusal.
pub(crate) fn check(
    context: &Context,
    source: PublicKeyHash,
    account: PublicKeyHash,
    amount: Mutez,
    parameters: Option<&Parameters>,
) -> Result<(), Trace> {
    let door = parameters.map_or("default", |parameters| parameters.entrypoint.name());
    let is_staking = matches!(door, "stake" | "unstake" | "finalize_unstake")
        && context.protocol >= Protocol::Oxford;
    if door != "default" && !is_staking {
        return Err(RuleError::NoSuchEntrypoint {
            entrypoint: door.into(),
        }
        .into());
    }
    if parameters.is_some_and(|parameters| !parameters.value.is_unit()) {
        return Err(RuleError::BadContractParameter {
            contract: source.to_string(),
        }
        .into());
    }
    if amount == Mutez(0) && matches!(door, "default" | "stake") {
        return Err(RuleError::EmptyTransaction {
            contract: account.to_string(),
        }
        .into());
    }
    match door {
        "default" => return Ok(()),
        "finalize_unstake" if amount > Mutez(0) => {
            return Err(RuleError::InvalidNonzeroAmount { amount }.into());
        }
        // Nothing was ever unstaked.
        "finalize_unstake" => return Ok(()),
        _ if source != account => return Err(RuleError::InvalidSelfDestination {}.into()),
        _ => {}
    }
    let owner = context.ledger.account(Owner::Implicit(account));
    if owner.is_some_and(|owner| owner.delegate.is_some()) {
        return Err(RuleError::NotSupported {
            what: "staking".into(),
        }
        .into());
    }
    Err(RuleError::StakeWithoutDelegate {}.into())
}
