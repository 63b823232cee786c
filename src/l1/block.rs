//! What a block holds for rollups, as plain types.
//!
//! Promises: only what was applied is here, in the protocol's order. Refuses to know: how the
//! node said it, and what the tower makes of it.

use std::collections::BTreeSet;

use crate::codec::Micheline;
use crate::inbox;
use crate::protocol::operation::{Origination, Refutation, Stakers};
use crate::protocol::{
    BlockHash, ChainId, Commitment, CommitmentHash, ContractHash, Counter, Level, Mutez,
    OperationHash, Protocol, ProtocolHash, PublicKeyHash, RollupAddress, Timestamp,
};

use super::error::NodeError;

/// A block's place in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockRef {
    /// Its height.
    pub level: Level,
    /// Its hash.
    pub hash: BlockHash,
}

/// The header of a block, as far as the tower reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its height.
    pub level: Level,
    /// Its hash.
    pub hash: BlockHash,
    /// The block before it.
    pub predecessor: BlockHash,
    /// Seconds since 1970.
    pub timestamp: i64,
    /// The protocol that applied it.
    pub protocol: ProtocolHash,
    /// The chain it belongs to.
    pub chain: ChainId,
}

impl Header {
    /// Its place in the chain.
    #[must_use]
    pub const fn place(&self) -> BlockRef {
        BlockRef {
            level: self.level,
            hash: self.hash,
        }
    }
}

/// What a block adds to the shared inbox through manager operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contribution {
    /// A message added by anybody, to all rollups.
    External(Vec<u8>),
    /// A transfer from a contract to a rollup.
    Transfer {
        /// What is passed; `Unit` when the call named nothing.
        payload: Micheline,
        /// The contract that called.
        sender: ContractHash,
        /// The account that signed the outermost operation.
        source: PublicKeyHash,
        /// The rollup called.
        destination: RollupAddress,
    },
}

/// The slots attested in a block, of one publication level (Ushuaia and later).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestedSlots {
    /// Level the slots were published at.
    pub published_level: Level,
    /// Slots per level, as in force there.
    pub number_of_slots: u16,
    /// Bytes of a slot.
    pub slot_size: u32,
    /// Bytes of a page.
    pub page_size: u16,
    /// Publishers in the protocol's order, each with the indexes of its attested slots.
    pub publishers: Vec<(PublicKeyHash, BTreeSet<u16>)>,
}

/// Where a refutation game stands after an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GameStatus {
    /// It goes on.
    Ongoing,
    /// Somebody lost.
    Loser {
        /// `conflict_resolved` or `timeout`.
        reason: String,
        /// Who.
        player: PublicKeyHash,
    },
    /// Both lost.
    Draw,
}

/// Money that the end of a game moved, as its receipt has it. Layer 1 rewards only whoever beats a
/// staker first (`apply_game_result` of `sc_rollup_refutation_storage.ml`), so it cannot be told
/// from how the game ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settlement {
    /// Minted for winners.
    pub rewards: Vec<(PublicKeyHash, Mutez)>,
    /// Taken from bonds.
    pub punishments: Vec<(PublicKeyHash, Mutez)>,
}

/// What happened to a rollup; `by` in [`RollupEvent`] is who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// It began.
    Originated {
        /// How.
        origination: Box<Origination>,
        /// Hash of the commitment that origination itself makes.
        genesis_commitment: CommitmentHash,
    },
    /// A commitment was published, or staked on again.
    Published {
        /// The commitment.
        commitment: Commitment,
        /// Its hash as the chain computed it.
        staked_hash: CommitmentHash,
        /// When it was first published.
        published_at: Level,
    },
    /// A commitment became final.
    Cemented {
        /// Its inbox level.
        inbox_level: Level,
        /// Its hash, where the receipt or the operation names it (all but the older dialect's).
        commitment: Option<CommitmentHash>,
    },
    /// A move in a refutation game.
    Refuted {
        /// The other player.
        opponent: PublicKeyHash,
        /// The move.
        refutation: Refutation,
        /// The game afterwards.
        status: GameStatus,
        /// Money that it moved.
        settlement: Settlement,
    },
    /// Somebody claimed that a clock had run out.
    TimedOut {
        /// The players.
        stakers: Stakers,
        /// The game afterwards.
        status: GameStatus,
        /// Money that it moved.
        settlement: Settlement,
    },
    /// A bond went back to its owner.
    BondRecovered {
        /// Whose.
        staker: PublicKeyHash,
    },
    /// An outbox message was executed.
    OutboxExecuted {
        /// The cemented commitment it was proven from.
        commitment: CommitmentHash,
        /// The proof.
        proof: Vec<u8>,
    },
}

/// Something that happened to a rollup in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollupEvent {
    /// The rollup.
    pub rollup: RollupAddress,
    /// The operation.
    pub operation: OperationHash,
    /// Its author.
    pub by: PublicKeyHash,
    /// What happened.
    pub what: Happening,
}

/// How a content of an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It took effect.
    Applied,
    /// It failed.
    Failed,
    /// One before it failed.
    Skipped,
    /// One after it failed.
    Backtracked,
}

/// What became of an operation of a watched account, whatever it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The operation.
    pub operation: OperationHash,
    /// Position of the content in it.
    pub index: usize,
    /// Its author.
    pub by: PublicKeyHash,
    /// Its kind, as the node calls it.
    pub kind: String,
    /// Its replay number.
    pub counter: Option<Counter>,
    /// How it ended.
    pub status: Status,
    /// Why it failed.
    pub errors: Vec<NodeError>,
}

/// What to look for in blocks besides inbox messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interest {
    /// Rollups whose events are wanted.
    pub rollups: BTreeSet<RollupAddress>,
    /// Accounts whose receipts are wanted.
    pub accounts: BTreeSet<PublicKeyHash>,
}

/// What the manager operations of a block did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Effects {
    /// Inbox messages, in the protocol's order.
    pub contributions: Vec<Contribution>,
    /// Events of the rollups of interest, in order.
    pub events: Vec<RollupEvent>,
    /// Receipts of the accounts of interest, in order.
    pub receipts: Vec<Receipt>,
}

/// A block, read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its header.
    pub header: Header,
    /// The header before it.
    pub previous: Header,
    /// The protocol that applied it.
    pub protocol: Protocol,
    /// Whether it is the first one that its protocol applied; from Nairobi on such a level
    /// carries the migration message.
    pub is_first_of_protocol: bool,
    /// What its manager operations did.
    pub effects: Effects,
    /// What the data-availability layer adds to the inbox, ascending by publication level.
    pub attested: Vec<AttestedSlots>,
}

impl Block {
    /// What the block brings to the inbox, in the inbox's own words.
    #[must_use]
    pub fn inbox_input(&self) -> inbox::BlockInput {
        let attested = self.attested.iter();
        let parameters = attested.clone().map(|slots| {
            let parameters = inbox::DalParameters {
                number_of_slots: slots.number_of_slots,
                // Sizes are far below 2^31: the protocol's own type is a signed one.
                slot_size: i32::try_from(slots.slot_size).unwrap_or(i32::MAX),
                page_size: slots.page_size,
            };
            (slots.published_level, parameters)
        });
        inbox::BlockInput {
            level: self.header.level,
            protocol: self.protocol,
            predecessor_protocol: self.previous.protocol,
            predecessor: self.previous.hash,
            predecessor_timestamp: Timestamp(self.previous.timestamp),
            contributions: self
                .effects
                .contributions
                .iter()
                .map(Contribution::input)
                .collect(),
            dal_parameters: parameters.collect(),
            attested_slots: attested.flat_map(AttestedSlots::inputs).collect(),
        }
    }
}

impl Contribution {
    fn input(&self) -> inbox::Contribution {
        let (source, messages, transfers) = match self {
            Self::External(message) => (None, vec![message.clone()], Vec::new()),
            Self::Transfer {
                payload,
                sender,
                source,
                destination,
            } => {
                let transfer = inbox::RollupTransfer {
                    status: inbox::Status::Applied,
                    sender: *sender,
                    destination: *destination,
                    payload: Some(payload.clone()),
                };
                (Some(*source), Vec::new(), vec![transfer])
            }
        };
        inbox::Contribution {
            // External messages do not tell who sent them.
            source: source.unwrap_or(PublicKeyHash::Tz1([0; 20])),
            status: inbox::Status::Applied,
            messages,
            transfers,
        }
    }
}

impl AttestedSlots {
    fn inputs(&self) -> Vec<inbox::AttestedSlot> {
        let slots = self.publishers.iter().flat_map(|(publisher, indexes)| {
            indexes.iter().filter_map(|index| {
                Some(inbox::AttestedSlot {
                    published_level: self.published_level,
                    publisher: *publisher,
                    slot_index: u8::try_from(*index).ok()?,
                })
            })
        });
        slots.collect()
    }
}
