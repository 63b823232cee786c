//! From a block to its inbox level: selection and order of messages, then the next inbox.

use std::collections::BTreeMap;

use super::message::{AttestedSlots, Info, InternalMessage, Message, MessageError, Transfer};
use super::payloads::LevelMessages;
use super::skip_list::next_pointers;
use crate::codec::{Integer, Micheline};
use crate::protocol::{
    BlockHash, ContractHash, HistoryCell, Inbox, Level, PayloadsHash, Protocol, ProtocolHash,
    PublicKeyHash, RollupAddress, Timestamp,
};

/// Index of the last message of a level from which on operations can add no more.
const MAX_INDEX: usize = 1_000_000;

/// What a block contributes to the inbox, read from the block and its receipts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockInput {
    /// Its level.
    pub level: Level,
    /// The protocol that applied it.
    pub protocol: Protocol,
    /// The protocol that applied its predecessor, whichever that was.
    pub predecessor_protocol: ProtocolHash,
    /// Hash of the block before.
    pub predecessor: BlockHash,
    /// Time of the block before.
    pub predecessor_timestamp: Timestamp,
    /// Contents of its manager operations, in block order, batches spread out.
    pub contributions: Vec<Contribution>,
    /// Data-availability slots it attested, in any order; since Ushuaia.
    pub attested_slots: Vec<AttestedSlot>,
    /// Data-availability parameters in force at the levels those slots were published at.
    pub dal_parameters: BTreeMap<Level, DalParameters>,
}

/// What became of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It took effect: the only one that counts.
    Applied,
    /// It failed.
    Failed,
    /// An earlier content of its batch failed.
    Skipped,
    /// It succeeded, then was undone.
    Backtracked,
}

/// One content of a manager operation, reduced to what may reach the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    /// Signer of the operation.
    pub source: PublicKeyHash,
    /// What became of it.
    pub status: Status,
    /// External messages it adds, without their tag.
    pub messages: Vec<Vec<u8>>,
    /// Calls from contracts to rollups among its internal operations, in order.
    pub transfers: Vec<RollupTransfer>,
}

/// An internal operation by which a contract calls a rollup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollupTransfer {
    /// What became of it.
    pub status: Status,
    /// The calling contract.
    pub sender: ContractHash,
    /// The rollup called.
    pub destination: RollupAddress,
    /// The argument; none stands for `Unit`.
    pub payload: Option<Micheline>,
}

/// A slot that a block attested, published by an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttestedSlot {
    /// Level it was published at.
    pub published_level: Level,
    /// Who published it.
    pub publisher: PublicKeyHash,
    /// Which of the slots of that level.
    pub slot_index: u8,
}

/// Data-availability parameters that messages carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DalParameters {
    /// Slots per level.
    pub number_of_slots: u16,
    /// Bytes of a slot.
    pub slot_size: i32,
    /// Bytes of a page.
    pub page_size: u16,
}

/// A block cannot be turned into an inbox level: what was read of it contradicts the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InboxError {
    /// A message is too long to have been accepted.
    #[error("level {level}: {error}")]
    Message {
        /// The block.
        level: Level,
        /// What is wrong.
        error: MessageError,
    },
    /// More messages than layer 1 accepts.
    #[error("level {0} has more messages than a level can hold")]
    TooMany(Level),
    /// Parameters of a published level are missing.
    #[error("the data-availability parameters of level {0} are not known")]
    DalParametersMissing(Level),
    /// The block does not follow the inbox.
    #[error("the inbox is at level {inbox}, the block at level {block} does not follow it")]
    NotSuccessor {
        /// Level of the inbox.
        inbox: Level,
        /// Level of the block.
        block: Level,
    },
}

/// The serialized messages of a block, in the protocol's order.
///
/// # Errors
/// [`InboxError`] when the block cannot be one that layer 1 accepted.
pub fn messages_of(block: &BlockInput) -> Result<LevelMessages, InboxError> {
    let mut level = Collector {
        level: block.level,
        messages: vec![Message::START_OF_LEVEL.into()],
    };
    level.push(&Message::Internal(InternalMessage::InfoPerLevel(Info {
        predecessor_timestamp: block.predecessor_timestamp,
        predecessor: block.predecessor,
    })))?;
    let begins = Protocol::from_hash(&block.predecessor_protocol) != Some(block.protocol);
    if begins && block.protocol >= Protocol::Nairobi {
        level.push(&migration(block.protocol))?;
    }
    let applied = |status: Status| status == Status::Applied;
    for content in block
        .contributions
        .iter()
        .filter(|content| applied(content.status))
    {
        for message in &content.messages {
            level.push_from_operation(&Message::External(message.clone()))?;
        }
        for transfer in content
            .transfers
            .iter()
            .filter(|transfer| applied(transfer.status))
        {
            level.push_from_operation(&transfer_message(content.source, transfer))?;
        }
    }
    if block.protocol >= Protocol::Ushuaia {
        for message in dal_messages(&block.attested_slots, &block.dal_parameters)? {
            level.push(&Message::Internal(InternalMessage::DalAttestedSlots(
                message,
            )))?;
        }
    }
    level.finish()
}

/// The inbox that the chain's first protocol with rollups creates at its activation block.
///
/// # Errors
/// [`InboxError`] only when a message is too long, which cannot happen with the protocols known.
pub fn origin_inbox(
    level: Level,
    creator: Protocol,
    predecessor: BlockHash,
    predecessor_timestamp: Timestamp,
) -> Result<(Inbox, LevelMessages), InboxError> {
    let mut collector = Collector {
        level,
        messages: vec![Message::START_OF_LEVEL.into()],
    };
    collector.push(&Message::Internal(InternalMessage::InfoPerLevel(Info {
        predecessor_timestamp,
        predecessor,
    })))?;
    if creator >= Protocol::Nairobi {
        collector.push(&migration(creator))?;
    }
    let messages = collector.finish()?;
    let cell = HistoryCell {
        index: 0,
        witness: messages.witness(),
        level,
        back_pointers: Vec::new(),
    };
    Ok((Inbox { cell }, messages))
}

/// The inbox after one more level with the given witness.
///
/// # Errors
/// [`InboxError::NotSuccessor`] when `level` does not follow the inbox.
pub fn next_inbox(inbox: &Inbox, level: Level, witness: PayloadsHash) -> Result<Inbox, InboxError> {
    let previous = &inbox.cell;
    let follows = previous.level.next() == Some(level);
    let index = previous.index.checked_add(1).filter(|_| follows);
    let index = index.ok_or(InboxError::NotSuccessor {
        inbox: previous.level,
        block: level,
    })?;
    Ok(Inbox {
        cell: HistoryCell {
            index,
            witness,
            level,
            back_pointers: next_pointers(previous.index, previous.hash(), &previous.back_pointers),
        },
    })
}

fn migration(protocol: Protocol) -> Message {
    let version = protocol.version_text().into();
    Message::Internal(InternalMessage::ProtocolMigration(version))
}

fn transfer_message(source: PublicKeyHash, transfer: &RollupTransfer) -> Message {
    Message::Internal(InternalMessage::Transfer(Transfer {
        payload: transfer.payload.clone().unwrap_or_else(Micheline::unit),
        sender: transfer.sender,
        source,
        destination: transfer.destination,
    }))
}

struct Collector {
    level: Level,
    messages: Vec<Vec<u8>>,
}

impl Collector {
    fn push(&mut self, message: &Message) -> Result<(), InboxError> {
        let level = self.level;
        let serialized = message.serialize();
        let serialized = serialized.map_err(|error| InboxError::Message { level, error })?;
        self.messages.push(serialized);
        Ok(())
    }

    fn push_from_operation(&mut self, message: &Message) -> Result<(), InboxError> {
        // The last index is one below the count.
        if self.messages.len() > MAX_INDEX.saturating_add(1) {
            return Err(InboxError::TooMany(self.level));
        }
        self.push(message)
    }

    fn finish(mut self) -> Result<LevelMessages, InboxError> {
        self.messages.push(Message::END_OF_LEVEL.into());
        LevelMessages::new(self.messages).ok_or(InboxError::TooMany(self.level))
    }
}

/// One message per published level, split where a message would grow too long.
fn dal_messages(
    slots: &[AttestedSlot],
    parameters: &BTreeMap<Level, DalParameters>,
) -> Result<Vec<AttestedSlots>, InboxError> {
    let mut by_level: BTreeMap<Level, BTreeMap<PublicKeyHash, Vec<u16>>> = BTreeMap::new();
    for slot in slots {
        let publishers = by_level.entry(slot.published_level).or_default();
        publishers
            .entry(slot.publisher)
            .or_default()
            .push(slot.slot_index.into());
    }
    let mut messages = Vec::new();
    for (published_level, publishers) in by_level {
        let missing = InboxError::DalParametersMissing(published_level);
        let parameters = parameters.get(&published_level).ok_or(missing)?;
        let empty = AttestedSlots {
            published_level,
            number_of_slots: parameters.number_of_slots,
            slot_size: parameters.slot_size,
            page_size: parameters.page_size,
            slots_by_publisher: Vec::new(),
        };
        let mut message = empty.clone();
        for (publisher, indexes) in publishers {
            let entry = (publisher, Integer::of_bits(indexes));
            message.slots_by_publisher.push(entry.clone());
            let tried = Message::Internal(InternalMessage::DalAttestedSlots(message.clone()));
            if tried.serialize().is_err() && message.slots_by_publisher.len() > 1 {
                message.slots_by_publisher.pop();
                messages.push(message);
                message = empty.clone();
                message.slots_by_publisher.push(entry);
            }
        }
        messages.push(message);
    }
    Ok(messages)
}
