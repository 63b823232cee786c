//! Originating a rollup (`sc_rollup_operations.ml`, `sc_rollup_storage.ml`).
//!
//! Promises: the address of the operation's nonce, the genesis commitment of the real machine with
//! the kernel installed, and the storage the protocol charges.

use serde_json::Value;

use crate::codec::Micheline;
use crate::protocol::operation::{Origination, PvmKind};
use crate::protocol::{
    Commitment, CommitmentHash, OperationHash, Protocol, RollupAddress, StateHash,
};
use crate::pvm;
use crate::sim::context::Context;
use crate::sim::errors::{RuleError, Trace};
use crate::sim::rollup::Rollup;

/// Bytes charged besides the constant and the parameters' type: kind, two addresses, the tables of
/// the genesis commitment.
const TABLES: u64 = 2 + 40 + 37 + 77 + 32 + 4 + 4 + 36;

/// What an origination did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Originated {
    /// Where the rollup is.
    pub address: RollupAddress,
    /// Its first commitment.
    pub genesis: CommitmentHash,
    /// Bytes to burn for.
    pub size: u64,
}

/// Originates the `index`-th contract or rollup of `operation`.
///
/// # Errors
/// The protocol's refusal.
pub(crate) fn originate(
    context: &mut Context,
    operation: &OperationHash,
    index: i32,
    origination: &Origination,
) -> Result<Originated, Trace> {
    check_kind(origination.pvm)?;
    check_type(&origination.parameters_type.to_json())?;
    if let Some(whitelist) = &origination.whitelist {
        check_whitelist(context, whitelist)?;
    }
    let state = genesis_state(context.protocol, &origination.kernel)?;
    let genesis = Commitment::genesis(state, context.level);
    let address = RollupAddress::originated_by(operation, index);
    let mut rollup = Rollup::originated(
        origination.pvm,
        origination.kernel.as_slice().into(),
        genesis,
    );
    rollup.whitelist.clone_from(&origination.whitelist);
    let types = type_bytes(&origination.parameters_type);
    let size = context
        .parameters
        .rollup_size
        .saturating_add(TABLES)
        .saturating_add(types.len() as u64);
    rollup.parameters_type = types.into();
    context.insert_rollup(address, rollup);
    Ok(Originated {
        address,
        genesis: genesis.hash(),
        size,
    })
}

/// Kinds that no public chain enables; checked before an operation enters a block.
///
/// # Errors
/// The protocol's refusal.
pub(crate) const fn check_kind(kind: PvmKind) -> Result<(), RuleError> {
    match kind {
        PvmKind::Wasm => Ok(()),
        PvmKind::Arith => Err(RuleError::ArithPvmDisabled {}),
        PvmKind::Riscv => Err(RuleError::RiscvPvmDisabled {}),
    }
}

/// Types of messages that layer 1 may send to a rollup (`validate_ty`): no entrypoints, nothing that
/// moves money, no code. What is no type at all has errors of its own on a node, and this one here.
fn check_type(whole: &Value) -> Result<(), RuleError> {
    // A type, and whether a name on it would be one of an entrypoint.
    let mut open = vec![(whole, true)];
    while let Some((of_type, names_entrypoints)) = open.pop() {
        let texts = |key: &str| of_type.get(key).and_then(Value::as_array);
        let names = texts("annots").map_or(&[] as &[Value], Vec::as_slice);
        let is_entrypoint = |name: &Value| name.as_str().is_some_and(|name| name.starts_with('%'));
        let inner = texts("args").map_or(&[] as &[Value], Vec::as_slice);
        let prim = of_type.get("prim").and_then(Value::as_str);
        let is_valid = match prim.unwrap_or_default() {
            "unit" | "int" | "nat" | "signature" | "string" | "bytes" | "key_hash" | "key"
            | "timestamp" | "address" | "bls12_381_g1" | "bls12_381_g2" | "bls12_381_fr"
            | "bool" | "never" | "chain_id" => inner.is_empty(),
            // What a contract takes is its own affair.
            "contract" => inner.len() == 1,
            "ticket" | "set" | "option" | "list" => inner.len() == 1,
            "pair" => inner.len() >= 2,
            "or" | "map" => inner.len() == 2,
            _ => false,
        };
        if !is_valid || (names_entrypoints && names.iter().any(is_entrypoint)) {
            return Err(RuleError::InvalidParametersType {});
        }
        if prim != Some("contract") {
            let goes_on = names_entrypoints && prim == Some("or");
            open.extend(inner.iter().map(|inner| (inner, goes_on)));
        }
    }
    Ok(())
}

fn check_whitelist(
    context: &Context,
    whitelist: &[crate::protocol::PublicKeyHash],
) -> Result<(), RuleError> {
    if !context.parameters.private_rollups {
        return Err(RuleError::WhitelistDisabled {});
    }
    if whitelist.is_empty() {
        return Err(RuleError::EmptyWhitelist {});
    }
    check_keys(whitelist)
}

/// No account is named twice.
///
/// # Errors
/// The protocol's refusal.
pub(crate) fn check_keys(whitelist: &[crate::protocol::PublicKeyHash]) -> Result<(), RuleError> {
    let mut sorted = whitelist.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() < whitelist.len() {
        return Err(RuleError::DuplicatedKeyInWhitelist {});
    }
    Ok(())
}

/// The machine of a rollup originated under `protocol`.
pub(crate) fn machine_of(protocol: Protocol) -> pvm::Origination {
    pvm::Origination {
        version: protocol.originated_version(),
        ticks_per_snapshot: protocol.ticks_per_snapshot(),
        outbox_validity_period: protocol.outbox_validity_period(),
        outbox_message_limit: 100,
    }
}

/// State hash of a WASM rollup that just installed `kernel`.
///
/// # Errors
/// [`RuleError::Failure`] when the machine's tree cannot be built, which no kernel causes.
pub(crate) fn genesis_state(protocol: Protocol, kernel: &[u8]) -> Result<StateHash, RuleError> {
    pvm::State::originate(&machine_of(protocol), kernel)
        .and_then(|mut state| state.hash())
        .map(StateHash::from)
        .map_err(|error| RuleError::Failure {
            msg: error.to_string(),
        })
}

/// State hash before any kernel.
///
/// # Errors
/// Likewise.
pub(crate) fn initial_state(protocol: Protocol) -> Result<StateHash, RuleError> {
    pvm::State::initial(protocol.originated_version())
        .and_then(|tree| Ok(tree.hash()?))
        .map(StateHash::from)
        .map_err(|error| RuleError::Failure {
            msg: error.to_string(),
        })
}

fn type_bytes(parameters_type: &Micheline) -> Vec<u8> {
    parameters_type.to_bytes()
}
