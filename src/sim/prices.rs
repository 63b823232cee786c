//! What each content costs in gas.
//!
//! Promises: the protocol's own formulas for signatures, messages and kernels
//! (`sc_rollup_costs.ml`, `skip_list_costs.ml`, `operation_costs.ml`, `michelson_v1_gas_costs_generated.ml`),
//! which agree with recorded receipts to the last thousandth. What an operation costs in reads and
//! writes of storage is one number for each kind, as receipts of public networks show it: the
//! storage itself is not rebuilt here.

use super::contracts::{Destination, Emitted};
use crate::protocol::operation::{Action, Contract, Refutation, Step};
use crate::protocol::{Protocol, PublicKeyHash};

/// Gas of any content before it does anything, in thousandths of a unit.
#[must_use]
pub(crate) fn manager_price(protocol: Protocol) -> u64 {
    if protocol <= Protocol::Mumbai {
        1_000_000
    } else {
        MANAGER
    }
}

/// The same since Nairobi.
const MANAGER: u64 = 100_000;

/// Messages are priced as if so many were in the inbox (`sc_rollup_inbox_storage.ml`).
const MESSAGES: u64 = 100_000;

/// An origination, its storage and the genesis commitment included.
const ORIGINATION: u64 = 1_848_229;

/// Gas of a content besides its signature, in thousandths of a unit.
#[must_use]
pub(crate) fn price(protocol: Protocol, action: &Action) -> u64 {
    let more = manager_price(protocol).saturating_sub(MANAGER);
    own_price(protocol, action).saturating_add(more)
}

fn own_price(protocol: Protocol, action: &Action) -> u64 {
    match action {
        Action::Reveal { proof: None, .. } => seen(171_000, 97),
        Action::Reveal { proof: Some(_), .. } => seen(1_748_000, 210),
        Action::Transaction {
            parameters: None, ..
        } => MANAGER.saturating_add(reading_price(action)),
        Action::Delegation { .. } => MANAGER,
        Action::Transaction { .. } => seen(2_050_000, 130),
        Action::Originate(origination) => {
            let kernel = origination.kernel.len() as u64;
            let installing = (kernel / 2).saturating_add(kernel.saturating_mul(3));
            // Kernels are installed for nothing until Nairobi.
            let is_paid = protocol >= Protocol::Oxford;
            let installing = is_paid.then_some(installing.saturating_add(13_550));
            ORIGINATION.saturating_add(installing.unwrap_or(0))
        }
        Action::AddMessages { messages } => messages
            .iter()
            .map(|message| message.len() as u64)
            .fold(MANAGER, |total, bytes| {
                let written = bytes.saturating_mul(4);
                total.saturating_add(
                    written.saturating_add(message_price(protocol, bytes.saturating_add(1))),
                )
            }),
        Action::Cement { .. } => seen(6_432_000, 80),
        Action::Publish { .. } => seen(6_318_000, 152),
        Action::Refute { refutation, .. } => {
            let seen = seen(6_009_000, 150);
            match refutation {
                // Ten times the hash of 64 KiB, whatever its size (`sc_rollup_game_repr.ml`).
                Refutation::Move {
                    step: Step::Proof(_),
                    ..
                } => seen.saturating_add(hash_price(64 << 10).saturating_mul(10)),
                _ => seen,
            }
        }
        Action::Timeout { .. } => seen(4_547_000, 120),
        Action::ExecuteOutboxMessage { output_proof, .. } => {
            // Reading the proof, then following it; the rest as seen with one of 3 kB.
            let following = |bytes: u64| 110_550_u64.saturating_add(bytes.saturating_mul(13));
            let rest = seen(5_731_000, 3_100).saturating_sub(following(3_000));
            rest.saturating_add(following(output_proof.len() as u64))
        }
        Action::RecoverBond { .. } => seen(3_916_000, 100),
    }
}

/// Gas of reading the expression of a content (`consume_decoding_gas`): a transaction of money alone
/// has `Unit`, two bytes.
#[must_use]
pub(crate) fn reading_price(action: &Action) -> u64 {
    let bytes = match action {
        Action::Transaction { parameters, .. } => parameters
            .as_ref()
            .map_or(2, |parameters| parameters.value.to_bytes().len()),
        _ => 0,
    };
    (bytes as u64).saturating_mul(20)
}

/// Gas of verifying that the owner of a BLS key has its secret: one signature of 48 bytes.
pub(crate) const POSSESSION: u64 = 48 * 32 + 48 * 3 + 1_570_000;

/// Gas of an internal transaction, in thousandths of a unit: a message for a rollup, which is
/// written and added; a script as far as reading one goes.
#[must_use]
pub(super) fn internal_price(protocol: Protocol, emitted: &Emitted) -> u64 {
    let own = match emitted.destination {
        Destination::Rollup(_) => {
            let bytes = emitted.value.to_bytes().len() as u64;
            let written = bytes.saturating_mul(4).saturating_add(140);
            // Two addresses, a hash and the tags come with the value.
            written.saturating_add(message_price(protocol, bytes.saturating_add(63)))
        }
        Destination::Contract(Contract::Implicit(_)) => 0,
        Destination::Contract(Contract::Originated(_)) => 1_400_000,
    };
    manager_price(protocol).saturating_add(own)
}

/// What receipts of Ed25519 accounts show, without the signature of an operation of so many bytes.
fn seen(milligas: u64, bytes: u64) -> u64 {
    let source = PublicKeyHash::Tz1([0; 20]);
    milligas.saturating_sub(signature_price(Protocol::Ushuaia, &source, bytes))
}

/// Gas of adding a message of so many bytes to the level's inbox: the cell before it hashed, its
/// own payload hashed, the next cell made.
fn message_price(protocol: Protocol, serialized: u64) -> u64 {
    let cell = log2(MESSAGES).saturating_mul(57).saturating_add(250);
    let pointers = log2(MESSAGES.saturating_add(2));
    let next = if protocol >= Protocol::Oxford {
        pointers.saturating_mul(19).saturating_add(pointers / 2)
    } else {
        pointers.saturating_mul(20)
    };
    cell.saturating_add(next)
        .saturating_add(hash_price(serialized))
}

/// `cost_hash_bytes`.
const fn hash_price(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 8).saturating_add(430)
}

/// `Saturation_repr.Syntax.log2`: a good enough approximation.
fn log2(number: u64) -> u64 {
    let bits = u64::BITS.saturating_sub(number.leading_zeros());
    u64::from(bits).saturating_add(1)
}

/// Gas of checking the signature of `source` under an operation of so many unsigned bytes, in
/// thousandths of a unit (`check_signature_cost`); Mumbai checked it for nothing.
#[must_use]
pub(crate) fn signature_price(protocol: Protocol, source: &PublicKeyHash, bytes: u64) -> u64 {
    if protocol <= Protocol::Mumbai {
        return 0;
    }
    let per_byte = bytes.saturating_add(bytes / 8);
    let curve = match source {
        PublicKeyHash::Tz1(_) | PublicKeyHash::Tz5(_) => per_byte.saturating_add(65_800),
        PublicKeyHash::Tz2(_) => per_byte.saturating_add(51_600),
        PublicKeyHash::Tz3(_) if protocol <= Protocol::Nairobi => per_byte.saturating_add(990_000),
        PublicKeyHash::Tz3(_) => per_byte.saturating_add(341_000),
        PublicKeyHash::Tz4(_) => bytes.saturating_mul(3).saturating_add(1_570_000),
    };
    bytes.saturating_mul(32).saturating_add(curve)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Micheline;
    use crate::protocol::operation::{Content, Form, Operation, Origination, PvmKind};
    use crate::protocol::{BlockHash, Counter, Gas, Mutez, Protocol, StorageBytes};

    /// Price of a whole operation of an Ed25519 account.
    fn whole(action: Action, fee: u64, gas: u64, storage: u64) -> u64 {
        let source = PublicKeyHash::Tz1([7; 20]);
        let protocol = Protocol::Ushuaia;
        let own = price(protocol, &action);
        let operation = Operation {
            branch: BlockHash([0; 32]),
            contents: vec![Content {
                source,
                fee: Mutez(fee),
                counter: Counter(1),
                gas_limit: Gas(gas),
                storage_limit: StorageBytes(storage),
                action,
            }],
        };
        let bytes = operation.size(Form::Modern(protocol));
        signature_price(protocol, &source, bytes) + own
    }

    /// What the receipts of Octez's own regression runs show (`tezt/tests/expected/sc_rollup.ml`).
    #[test]
    fn prices_are_those_of_recorded_receipts() {
        let message = |text: &str| {
            let messages = vec![text.as_bytes().to_vec()];
            whole(Action::AddMessages { messages }, 271, 271, 0)
        };
        assert_eq!(message("1 6 + value"), 170_530);
        assert_eq!(message("10 6 + value"), 170_569);
        assert_eq!(message("10 16 + value"), 170_607);
        let originate = |kernel: usize, fee, gas| {
            let origination = Origination {
                pvm: PvmKind::Wasm,
                kernel: vec![0; kernel],
                origination_proof: None,
                parameters_type: Micheline::from_json_text(r#"{"prim":"string"}"#).unwrap(),
                whitelist: None,
            };
            whole(Action::Originate(Box::new(origination)), fee, gas, 6_572)
        };
        assert_eq!(originate(0, 441, 2_031), 1_929_997);
        assert_eq!(originate(408, 850, 2_045), 1_944_940);
    }

    /// A client of Mumbai's time asked for what it simulated, rounded up, and a hundred more.
    #[test]
    fn mumbais_prices_are_those_of_a_recorded_limit() {
        let messages = vec![vec![0; 54]];
        let milligas = price(Protocol::Mumbai, &Action::AddMessages { messages });
        let source = PublicKeyHash::Tz2([7; 20]);
        let signature = signature_price(Protocol::Mumbai, &source, 150);
        assert_eq!((milligas + signature).div_ceil(1000) + 100, 1103);
    }
}
