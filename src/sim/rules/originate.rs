//! Originating a rollup (`sc_rollup_operations.ml`, `sc_rollup_storage.ml`).
//!
//! Promises: the address of the operation's nonce, the genesis commitment of the real machine with
//! the kernel installed, and the storage the protocol charges.

use std::collections::BTreeSet;

use crate::codec::Micheline;
use crate::merkle;
use crate::protocol::operation::{Origination, PvmKind};
use crate::protocol::{
    Commitment, CommitmentHash, OperationHash, Protocol, PublicKeyHash, RollupAddress, StateHash,
};
use crate::pvm;
use crate::sim::context::Context;
use crate::sim::errors::{RuleError, Trace};
use crate::sim::michelson::{Expr, Type};
use crate::sim::rollup::{Rollup, stored_as, stored_at};

/// Bytes charged besides the constant and the parameters' type: kind, two addresses, the tables of
/// the genesis commitment, the length of the type. The list of a private rollup costs nothing.
const TABLES: u64 = 2 + 40 + 37 + 77 + 32 + 4 + 4 + 36 + 4;

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
    check_type(context.protocol, &origination.parameters_type)?;
    check_proof(context.protocol, origination)?;
    let address = RollupAddress::originated_by(operation, index);
    if let Some(whitelist) = &origination.whitelist {
        check_whitelist(context, &address, whitelist)?;
    }
    let state = genesis_state(context.protocol, &origination.kernel)?;
    let genesis = Commitment::genesis(state, context.level);
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

/// Types of messages that layer 1 may send to a rollup (`validate_untyped_parameters_ty`): no
/// entrypoints, nothing that moves money, no code.
fn check_type(protocol: Protocol, whole: &Micheline) -> Result<(), RuleError> {
    let (of_type, has_entrypoints) = Type::read_parameter(&Expr::of(whole)?)?;
    if has_entrypoints || !of_type.is_exchanged(protocol) {
        return Err(RuleError::InvalidParametersType {});
    }
    Ok(())
}

/// Until Nairobi whoever originated proved that the kernel makes the first state.
fn check_proof(protocol: Protocol, origination: &Origination) -> Result<(), RuleError> {
    let Some(bytes) = &origination.origination_proof else {
        return Ok(());
    };
    if protocol >= Protocol::Oxford {
        return Ok(());
    }
    let refused = |reason: &str| RuleError::ProofCheck {
        reason: reason.into(),
    };
    let proof = merkle::Proof::decode(bytes).map_err(|_| refused("Cannot unserialize proof"))?;
    let starts = StateHash::from(proof.before().hash()) == initial_state(protocol)?;
    let leads = || proof.verify(|tree| install(protocol, tree, &origination.kernel).is_ok());
    if starts && matches!(leads(), Ok(true)) {
        return Ok(());
    }
    Err(refused("invalid origination proof"))
}

/// The proof that an origination carried until Nairobi.
///
/// # Errors
/// [`RuleError::Failure`] when the machine's tree cannot be built, which no kernel causes.
pub(crate) fn prove(protocol: Protocol, kernel: &[u8]) -> Result<Vec<u8>, RuleError> {
    let failed = |error: &dyn std::fmt::Display| RuleError::Failure {
        msg: error.to_string(),
    };
    let initial =
        pvm::State::initial(protocol.originated_version()).map_err(|error| failed(&error))?;
    let (proof, installed) =
        merkle::Proof::produce(&initial, |tree| install(protocol, tree, kernel))
            .map_err(|error| failed(&error))?;
    installed.map_err(|error| failed(&error))?;
    proof.encode().map_err(|error| failed(&error))
}

fn install(
    protocol: Protocol,
    tree: &mut merkle::Tree,
    kernel: &[u8],
) -> Result<(), pvm::PvmError> {
    let machine = machine_of(protocol);
    let mut state = pvm::State::originate_on(tree.clone(), &machine, kernel)?;
    *tree = state.encode()?.clone();
    Ok(())
}

fn check_whitelist(
    context: &Context,
    address: &RollupAddress,
    whitelist: &[PublicKeyHash],
) -> Result<(), Trace> {
    if !context.parameters.private_rollups {
        return Err(RuleError::WhitelistDisabled {}.into());
    }
    if whitelist.is_empty() {
        return Err(RuleError::EmptyWhitelist {}.into());
    }
    check_keys(address, whitelist)
}

/// No account is named twice.
///
/// # Errors
/// The protocol's refusal, over that of the storage which has the key already.
pub(crate) fn check_keys(
    address: &RollupAddress,
    whitelist: &[PublicKeyHash],
) -> Result<(), Trace> {
    let mut known = BTreeSet::new();
    let Some(twice) = whitelist.iter().find(|account| !known.insert(**account)) else {
        return Ok(());
    };
    let (curve, hash) = stored_as(twice);
    let exists = RuleError::StorageExists {
        existing_key: stored_at(address, &["whitelist", curve, &hash]),
    };
    Err(Trace::from(exists).under(RuleError::DuplicatedKeyInWhitelist {}))
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
