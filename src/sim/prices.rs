//! What each content costs in gas.
//!
//! Promises: a fixed price per kind and size of our own, close to what mainnet shows: the protocol's
//! cost model is not rebuilt here.

use crate::protocol::PublicKeyHash;
use crate::protocol::operation::Action;

/// Gas of a content besides its signature, in thousandths of a unit.
#[must_use]
pub(crate) fn price(action: &Action) -> u64 {
    let per_byte = |bytes: usize| (bytes as u64).saturating_mul(15);
    // As receipts of public networks show it for Ed25519 accounts, signature included.
    let seen = match action {
        Action::Reveal { proof: None, .. } => 171_000,
        Action::Reveal { proof: Some(_), .. } => 1_748_000,
        Action::Transaction {
            parameters: None, ..
        }
        | Action::Delegation { .. } => 169_000,
        Action::Transaction { .. } => 2_050_000,
        Action::Originate(origination) => {
            2_032_000_u64.saturating_add(per_byte(origination.kernel.len()))
        }
        Action::AddMessages { messages } => messages.iter().fold(500_000, |total: u64, message| {
            total
                .saturating_add(20_000)
                .saturating_add(per_byte(message.len()))
        }),
        Action::Cement { .. } => 6_432_000,
        Action::Publish { .. } => 6_318_000,
        Action::Refute { .. } => 6_009_000,
        Action::Timeout { .. } => 4_547_000,
        Action::ExecuteOutboxMessage { .. } => 5_731_000,
        Action::RecoverBond { .. } => 3_916_000,
    };
    seen.saturating_sub(signature_price(&PublicKeyHash::Tz1([0; 20])))
}

/// Gas of checking the signature of a short operation of `source`, in thousandths of a unit, by
/// what reveals of each curve cost on public networks.
#[must_use]
pub(crate) const fn signature_price(source: &PublicKeyHash) -> u64 {
    match source {
        PublicKeyHash::Tz1(_) => 65_800,
        PublicKeyHash::Tz2(_) => 51_600,
        PublicKeyHash::Tz3(_) => 341_000,
        PublicKeyHash::Tz4(_) => 1_570_000,
    }
}
