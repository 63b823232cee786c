//! What can be journalled: one type per kind of entry, closed.

use super::alerts::{AlertRow, AlertStepRow, DeliveryRow, NotificationRow};
use super::chain::{BackfillRow, ConstantsRow};
use super::play::PlayEntry;
use crate::crypto::{Dialect, Hash};
use crate::protocol::{
    BlockHash, ChainId, Commitment, CommitmentHash, InboxHash, Level, ProtocolHash, PublicKeyHash,
    RollupAddress, StateHash,
};

/// One thing to write down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// The program started to follow.
    RunStarted {
        /// Program version.
        version: String,
        /// What was run, without secrets.
        command: String,
    },
    /// The run that started last ended in an orderly way.
    RunEnded {
        /// Why.
        outcome: String,
    },
    /// A rollup came under watch.
    Rollup(RollupRow),
    /// A block joined the chain in force.
    Block(BlockRow),
    /// Blocks left the chain in force.
    Reorganisation(Reorganisation),
    /// The inbox of a block.
    Inbox(InboxRow),
    /// The state of a rollup at the end of a block.
    State(StateRow),
    /// The state of a rollup at the end of a block cannot be known for now.
    Unknown(UnknownRow),
    /// Our own commitment at a lattice level.
    Own {
        /// The rollup.
        rollup: RollupAddress,
        /// The block of the inbox level.
        block: BlockHash,
        /// What is true there.
        commitment: Commitment,
    },
    /// Constants that a kernel can see.
    Constants(ConstantsRow),
    /// How far a rollup that joined late is.
    Backfill(BackfillRow),
    /// A commitment that a staker published.
    Published(PublishedRow),
    /// Another operation on a watched rollup.
    Operation(OperationRow),
    /// What we think of a published commitment.
    Verdict(VerdictRow),
    /// Two stakers on sibling commitments.
    Conflict(ConflictRow),
    /// Something people must hear of.
    Alarm(Alarm),
    /// Something decided or done.
    Play(Box<PlayEntry>),
    /// An alert was raised.
    Alert(AlertRow),
    /// Something became of an alert.
    AlertStep(AlertStepRow),
    /// A message was queued.
    Notification(NotificationRow),
    /// A message was tried.
    Delivery(DeliveryRow),
}

/// A rollup under watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollupRow {
    /// Its address.
    pub address: RollupAddress,
    /// The dialect of its chain.
    pub dialect: Dialect,
    /// Its chain.
    pub chain: ChainId,
    /// Level of its origination.
    pub origination_level: Level,
    /// Hash of its genesis commitment, recomputed here.
    pub genesis_commitment: CommitmentHash,
    /// State hash of the genesis commitment.
    pub genesis_state: StateHash,
    /// BLAKE2b of the kernel it was originated with.
    pub kernel: Hash,
    /// Protocol of the origination block.
    pub protocol: ProtocolHash,
}

/// A block of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRow {
    /// Its hash.
    pub hash: BlockHash,
    /// Its level.
    pub level: Level,
    /// The block before it.
    pub predecessor: BlockHash,
    /// Its timestamp, in seconds since 1970.
    pub timestamp: i64,
    /// The protocol that applied it.
    pub protocol: ProtocolHash,
    /// Commitment period in force in it.
    pub period: u32,
    /// Whether it is the first one that its protocol applied.
    pub opens_protocol: bool,
}

/// Blocks above `fork` left the chain in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reorganisation {
    /// The last block both branches share.
    pub fork: BlockHash,
    /// Its level.
    pub fork_level: Level,
    /// The head that was abandoned.
    pub old_head: BlockHash,
    /// Its level.
    pub old_level: Level,
}

/// The inbox at the end of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxRow {
    /// The block.
    pub block: BlockHash,
    /// Its level.
    pub level: Level,
    /// Pointer of the history cell we computed.
    pub hash: InboxHash,
    /// The history cell, encoded.
    pub cell: Vec<u8>,
    /// The messages, serialized, in order.
    pub messages: Vec<Vec<u8>>,
    /// What the node says the pointer is; absent when it could not say.
    pub node_hash: Option<InboxHash>,
}

/// The state of a rollup at the end of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRow {
    /// The rollup.
    pub rollup: RollupAddress,
    /// The block.
    pub block: BlockHash,
    /// Its level.
    pub level: Level,
    /// State hash after all messages of the level.
    pub hash: StateHash,
    /// Ticks of the level.
    pub ticks: u64,
    /// What the machine is doing, in one word.
    pub status: String,
    /// Edges touched where engines are known to differ.
    pub edges: Vec<String>,
}

/// A state that cannot be known for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownRow {
    /// The rollup.
    pub rollup: RollupAddress,
    /// The first block whose state is unknown.
    pub block: BlockHash,
    /// Its level.
    pub level: Level,
    /// Kind of reason.
    pub reason: String,
    /// The thing missing or wrong.
    pub detail: String,
}

/// A commitment that a staker published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedRow {
    /// The rollup.
    pub rollup: RollupAddress,
    /// The block of the publication; absent when the node's storage told us.
    pub block: Option<BlockHash>,
    /// Level of the publication, when known.
    pub published_level: Option<Level>,
    /// Position among the block's operations on watched rollups.
    pub position: u32,
    /// Who staked on it.
    pub staker: PublicKeyHash,
    /// The claim.
    pub commitment: Commitment,
}

/// Another operation on a watched rollup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationRow {
    /// The rollup.
    pub rollup: RollupAddress,
    /// The block that includes it.
    pub block: BlockHash,
    /// Its level.
    pub level: Level,
    /// Position among the block's operations on watched rollups.
    pub position: u32,
    /// What it does, as in the protocol's names.
    pub kind: String,
    /// Who sent it.
    pub source: PublicKeyHash,
    /// What it is about, as JSON.
    pub detail: String,
}

/// A judgement of a published commitment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Judgement {
    /// It equals ours.
    True,
    /// It differs from ours.
    False {
        /// First differing field, in the order of the encoding.
        field: &'static str,
        /// What it claims there.
        claimed: String,
        /// What is true there.
        computed: String,
    },
    /// What is true there is not known.
    NotJudgeable {
        /// Kind of reason.
        reason: String,
        /// The thing missing or wrong.
        detail: String,
    },
}

impl Judgement {
    /// The word in the journal.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::True => "true",
            Self::False { .. } => "false",
            Self::NotJudgeable { .. } => "not judgeable",
        }
    }
}

/// What we think of a published commitment; the newest row of a commitment is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictRow {
    /// The rollup.
    pub rollup: RollupAddress,
    /// The block of the inbox level, when the verdict rests on our own run of it.
    pub block: Option<BlockHash>,
    /// The commitment judged.
    pub commitment: CommitmentHash,
    /// Its inbox level.
    pub level: Level,
    /// The judgement.
    pub judgement: Judgement,
}

/// Two stakers on sibling commitments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictRow {
    /// The rollup.
    pub rollup: RollupAddress,
    /// The head at which it was first seen.
    pub block: BlockHash,
    /// Inbox level of the siblings.
    pub level: Level,
    /// Their common predecessor.
    pub parent: CommitmentHash,
    /// One staker.
    pub staker: PublicKeyHash,
    /// Where that one stakes.
    pub commitment: CommitmentHash,
    /// The other staker.
    pub other_staker: PublicKeyHash,
    /// Where the other stakes.
    pub other_commitment: CommitmentHash,
}

/// How loudly people must hear of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Notice,
    /// Degraded but handled.
    Warning,
    /// Somebody must act.
    Critical,
}

impl Severity {
    /// The word in the journal.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Something people must hear of, once per subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// The rollup concerned, if one.
    pub rollup: Option<RollupAddress>,
    /// The level concerned, if one.
    pub level: Option<Level>,
    /// How loudly.
    pub severity: Severity,
    /// Kind, from a closed list of the tower.
    pub kind: &'static str,
    /// What it is about: the same subject of the same kind alarms once.
    pub subject: String,
    /// One line for people.
    pub message: String,
}
