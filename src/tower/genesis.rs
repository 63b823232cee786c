//! How a rollup comes under watch: its kernel found, its genesis commitment recomputed.
//!
//! Promises: nothing is followed from a genesis that the origination does not make. Rule: the
//! genesis commitment is that of the state after origination (`sc_rollup_storage.ml`).

use std::path::{Path, PathBuf};

use super::feed::{cell_bytes, cell_of};
use crate::config::RollupConfig;
use crate::crypto::{Dialect, blake2b};
use crate::journal::{BlockRow, Entry, InboxRow, RollupRow, StateRow};
use crate::l1::{BlockId, Client, Header, L1Error};
use crate::protocol::operation::PvmKind;
use crate::protocol::{
    BlockHash, Commitment, CommitmentHash, Dialected, Protocol, ProtocolHash, RollupAddress,
    StateHash,
};
use crate::pvm::{Origination, PvmError, State};

/// Outbox messages per level: the same in every protocol so far.
const OUTBOX_MESSAGES: u32 = 100;

/// Why a rollup cannot be followed from its beginning.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// The node cannot tell.
    #[error(transparent)]
    Node(#[from] L1Error),
    /// The machine is not one that is judged here.
    #[error("{rollup} runs the {kind} machine: only wasm_2_0_0 rollups can be judged")]
    OtherMachine {
        /// The rollup.
        rollup: String,
        /// Its machine.
        kind: &'static str,
    },
    /// It began under a protocol we do not know.
    #[error("{rollup} began under protocol {protocol}, which this program does not know")]
    UnknownProtocol {
        /// The rollup.
        rollup: String,
        /// The protocol.
        protocol: ProtocolHash,
    },
    /// The kernel file cannot be used.
    #[error("kernel {path}: {error}")]
    KernelFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// The kernel does not make the genesis commitment of the chain.
    #[error(
        "{rollup}: the kernel from {kernel} makes the genesis commitment {computed}, the chain has {expected}: {}",
        advice(.kernel)
    )]
    Mismatch {
        /// The rollup.
        rollup: String,
        /// Where the kernel came from.
        kernel: String,
        /// What the kernel makes.
        computed: String,
        /// What the chain has.
        expected: String,
    },
    /// The state after origination cannot be made.
    #[error(transparent)]
    State(#[from] PvmError),
}

fn advice(kernel: &str) -> &'static str {
    if kernel == ORIGINATION {
        "either the node lies or this program is wrong; report it"
    } else {
        "it is not the kernel the rollup was originated with"
    }
}

const ORIGINATION: &str = "its origination";

/// A rollup ready to be followed.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) row: RollupRow,
    pub(super) origin: Header,
    pub(super) kernel: Vec<u8>,
}

/// The state after origination under a protocol.
pub(super) fn first_state(protocol: Protocol, kernel: &[u8]) -> Result<State, PvmError> {
    let origination = Origination {
        version: protocol.originated_version(),
        ticks_per_snapshot: protocol.ticks_per_snapshot(),
        outbox_validity_period: protocol.outbox_validity_period(),
        outbox_message_limit: OUTBOX_MESSAGES,
    };
    State::originate(&origination, kernel)
}

/// Where the kernel is kept once it is known to be the right one.
pub(super) fn kernel_path(data: &Path) -> PathBuf {
    data.join("kernel.wasm")
}

/// Finds the kernel and recomputes the genesis commitment.
pub(super) async fn start(
    client: &Client,
    config: &RollupConfig,
    data: &Path,
) -> Result<Started, GenesisError> {
    client.accept_label(&config.address, config.dialect).await?;
    let name = config.address.text(config.dialect);
    let rollup = client.rollup(config.address, BlockId::Head).await?;
    let kind = rollup.kind().await?;
    if kind != PvmKind::Wasm {
        return Err(GenesisError::OtherMachine {
            rollup: name,
            kind: kind.name(),
        });
    }
    let genesis = rollup.genesis().await?;
    let origin = client.header(BlockId::Level(genesis.level)).await?;
    let protocol =
        Protocol::from_hash(&origin.protocol).ok_or_else(|| GenesisError::UnknownProtocol {
            rollup: name.clone(),
            protocol: origin.protocol,
        })?;
    let kept = kernel_path(data);
    let (kernel, from) = if let Some(path) = &config.kernel {
        (read(path)?, path.display().to_string())
    } else if kept.is_file() {
        (read(&kept)?, kept.display().to_string())
    } else {
        (rollup.origination().await?.kernel, ORIGINATION.to_owned())
    };
    let state = StateHash::from(first_state(protocol, &kernel)?.hash()?);
    let computed = Commitment::genesis(state, genesis.level).hash();
    check(&name, config.dialect, from, computed, genesis.commitment)?;
    Ok(Started {
        row: RollupRow {
            address: config.address,
            dialect: config.dialect,
            chain: origin.chain,
            origination_level: genesis.level,
            genesis_commitment: computed,
            genesis_state: state,
            kernel: blake2b(&kernel),
            protocol: origin.protocol,
        },
        origin,
        kernel,
    })
}

fn check(
    rollup: &str,
    dialect: Dialect,
    kernel: String,
    computed: CommitmentHash,
    expected: CommitmentHash,
) -> Result<(), GenesisError> {
    if computed == expected {
        return Ok(());
    }
    Err(GenesisError::Mismatch {
        rollup: rollup.to_owned(),
        kernel,
        computed: computed.text(dialect),
        expected: expected.text(dialect),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, GenesisError> {
    std::fs::read(path).map_err(|error| GenesisError::KernelFile {
        path: path.to_owned(),
        error,
    })
}

/// The first entries of a journal: the block before the first one followed, with its inbox as
/// the node has it (there is nothing to recompute it from).
pub(super) async fn base(client: &Client, origin: &Header) -> Result<Vec<Entry>, L1Error> {
    let at = BlockId::Hash(origin.hash);
    let cell = cell_of(client.inbox(at).await?);
    let constants = client.constants(at).await?;
    Ok(vec![
        Entry::Block(BlockRow {
            hash: origin.hash,
            level: origin.level,
            predecessor: origin.predecessor,
            timestamp: origin.timestamp,
            protocol: origin.protocol,
            period: constants.rollup.commitment_period,
            opens_protocol: false,
        }),
        Entry::Inbox(InboxRow {
            block: origin.hash,
            level: origin.level,
            hash: cell.hash(),
            cell: cell_bytes(&cell),
            messages: Vec::new(),
            node_hash: Some(cell.hash()),
        }),
    ])
}

/// What is true at a rollup's origination, to be journalled with the block of that level.
pub(super) fn first_entries(
    rollup: RollupAddress,
    genesis: &Commitment,
    block: BlockHash,
) -> [Entry; 2] {
    [
        Entry::State(StateRow {
            rollup,
            block,
            level: genesis.inbox_level,
            hash: genesis.compressed_state,
            ticks: 0,
            status: "collect".into(),
            edges: Vec::new(),
        }),
        Entry::Own {
            rollup,
            block,
            commitment: *genesis,
        },
    ]
}
