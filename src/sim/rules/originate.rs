//! Originating a rollup (`sc_rollup_operations.ml`, `sc_rollup_storage.ml`).
//!
//! Promises: the address of the operation's nonce, the genesis commitment of the real machine with
//! the kernel installed, and the storage the protocol charges.

use crate::codec::Micheline;
use crate::protocol::operation::{Origination, PvmKind};
use crate::protocol::{
    Commitment, CommitmentHash, OperationHash, Protocol, RollupAddress, StateHash,
};
use crate::pvm;
use crate::sim::context::Context;
use crate::sim::errors::{RuleError, Trace};
use crate::sim::michelson::{Expr, Type};
use crate::sim::rollup::Rollup;

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
    check_type(&origination.parameters_type)?;
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

/// Types of messages that layer 1 may send to a rollup (`validate_untyped_parameters_ty`): no
/// entrypoints, nothing that moves money, no code.
fn check_type(whole: &Micheline) -> Result<(), RuleError> {
    let (of_type, has_entrypoints) = Type::read_parameter(&Expr::of(whole)?)?;
    if has_entrypoints || !of_type.is_exchanged() {
        return Err(RuleError::InvalidParametersType {});
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
