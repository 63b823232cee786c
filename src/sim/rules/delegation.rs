//! Choosing who bakes for an account (`delegate_storage.ml`).
//!
//! Promises: registration, choice and withdrawal with the protocol's refusals, in its order. Refuses
//! to know baking: a delegate here earns no rights, and none is ever inactive.

use crate::protocol::PublicKeyHash;
use crate::sim::context::Context;
use crate::sim::errors::RuleError;
use crate::sim::ledger::Owner;

/// Sets or clears the delegate of `source`; naming itself registers it.
///
/// # Errors
/// The protocol's refusal.
pub(crate) fn set(
    context: &mut Context,
    source: PublicKeyHash,
    delegate: Option<PublicKeyHash>,
) -> Result<(), RuleError> {
    let ledger = &context.ledger;
    let is_registered = ledger.is_delegate(source);
    let owner = Owner::Implicit(source);
    let current = ledger.account(owner).and_then(|account| account.delegate);
    match delegate {
        Some(delegate) if delegate == source => {
            if is_registered {
                return Err(RuleError::AlreadyActiveDelegate {});
            }
        }
        _ if is_registered => return Err(RuleError::NoDelegateDeletion { delegate: source }),
        Some(_) if delegate == current => return Err(RuleError::UnchangedDelegate {}),
        Some(delegate) if !ledger.is_delegate(delegate) => {
            return Err(RuleError::UnregisteredDelegate { hash: delegate });
        }
        Some(_) | None => {}
    }
    if let Some(account) = context.ledger_mut().account_mut(owner) {
        account.delegate = delegate;
    }
    Ok(())
}
