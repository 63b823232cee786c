//! One inbox message: its bytes, and what they say.

use serde_json::{Value, json};

use crate::codec::{DecodeError, Integer, Micheline, Reader, Writer};
use crate::crypto::{Dialect, blake2b};
use crate::protocol::{
    BlockHash, ContractHash, Dialected, Level, MessageHash, PublicKeyHash, RollupAddress, Timestamp,
};

/// Longest serialized message, in bytes.
pub const MAX_MESSAGE: usize = 4096;

/// A message of the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// From the protocol or from a contract.
    Internal(InternalMessage),
    /// From anybody: the bytes given to layer 1.
    External(Vec<u8>),
}

/// A message that users cannot forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InternalMessage {
    /// A contract calls a rollup.
    Transfer(Transfer),
    /// First of every level.
    StartOfLevel,
    /// Last of every level.
    EndOfLevel,
    /// Second of every level: the block before.
    InfoPerLevel(Info),
    /// In the first level of a protocol: its version text.
    ProtocolMigration(Vec<u8>),
    /// Data-availability slots attested by this block; since Ushuaia.
    DalAttestedSlots(AttestedSlots),
}

/// A call from a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Its argument.
    pub payload: Micheline,
    /// The calling contract.
    pub sender: ContractHash,
    /// Signer of the outermost operation.
    pub source: PublicKeyHash,
    /// The rollup called; every rollup sees the message.
    pub destination: RollupAddress,
}

/// The block before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// Its time.
    pub predecessor_timestamp: Timestamp,
    /// Its hash.
    pub predecessor: BlockHash,
}

/// Slots of one published level, by publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestedSlots {
    /// Level the slots were published at.
    pub published_level: Level,
    /// Slots per level then.
    pub number_of_slots: u16,
    /// Bytes of a slot then; at most 2^30 - 1.
    pub slot_size: i32,
    /// Bytes of a page then.
    pub page_size: u16,
    /// Sets of slot indexes, ordered by publisher.
    pub slots_by_publisher: Vec<(PublicKeyHash, Integer)>,
}

/// A message is too long for the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of {0} bytes is over the inbox limit of {MAX_MESSAGE}")]
pub struct MessageError(pub usize);

const INTERNAL: u8 = 0;
const EXTERNAL: u8 = 1;

impl Message {
    /// Start of level, the only message known in advance.
    pub const START_OF_LEVEL: [u8; 2] = [INTERNAL, 1];
    /// End of level.
    pub const END_OF_LEVEL: [u8; 2] = [INTERNAL, 2];

    /// The serialized message, as kernels read it.
    ///
    /// # Errors
    /// [`MessageError`] when it is too long, which layer 1 refuses too.
    pub fn serialize(&self) -> Result<Vec<u8>, MessageError> {
        let mut writer = Writer::new();
        match self {
            Self::Internal(message) => message.write(writer.u8(INTERNAL)),
            Self::External(bytes) => {
                writer.u8(EXTERNAL).raw(bytes);
            }
        }
        let bytes = writer.into_bytes();
        if bytes.len() > MAX_MESSAGE {
            return Err(MessageError(bytes.len()));
        }
        Ok(bytes)
    }

    /// What serialized bytes say.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if bytes.len() > MAX_MESSAGE {
            return Err(reader.invalid("inbox message", MessageError(bytes.len()).to_string()));
        }
        let start = reader.clone();
        let message = match reader.u8("inbox message")? {
            INTERNAL => Self::Internal(InternalMessage::read(&mut reader)?),
            EXTERNAL => Self::External(reader.rest().into()),
            tag => return Err(start.invalid("inbox message", format!("unknown tag {tag}"))),
        };
        reader.finish()?;
        Ok(message)
    }
}

/// The hash of a serialized message.
pub(super) fn message_hash(serialized: &[u8]) -> MessageHash {
    MessageHash(blake2b(serialized).0)
}

impl InternalMessage {
    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Transfer(transfer) => {
                transfer.payload.write(writer.u8(0));
                transfer.sender.write(writer);
                transfer.source.write(writer);
                transfer.destination.write(writer);
            }
            Self::StartOfLevel => {
                writer.u8(1);
            }
            Self::EndOfLevel => {
                writer.u8(2);
            }
            Self::InfoPerLevel(info) => {
                writer.u8(3).i64(info.predecessor_timestamp.0);
                info.predecessor.write(writer);
            }
            Self::ProtocolMigration(version) => {
                writer.u8(4).dynamic(version);
            }
            Self::DalAttestedSlots(slots) => slots.write(writer.u8(5)),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        Ok(match reader.u8("internal message")? {
            0 => Self::Transfer(Transfer {
                payload: Micheline::read(reader)?,
                sender: ContractHash::read(reader)?,
                source: PublicKeyHash::read(reader)?,
                destination: RollupAddress::read(reader)?,
            }),
            1 => Self::StartOfLevel,
            2 => Self::EndOfLevel,
            3 => Self::InfoPerLevel(Info {
                predecessor_timestamp: Timestamp(reader.i64("timestamp")?),
                predecessor: BlockHash::read(reader)?,
            }),
            4 => Self::ProtocolMigration(reader.dynamic("protocol version", MAX_MESSAGE)?.into()),
            5 => Self::DalAttestedSlots(AttestedSlots::read(reader)?),
            tag => return Err(start.invalid("internal message", format!("unknown tag {tag}"))),
        })
    }

    /// Its name in the JSON of rollup tools.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Transfer(_) => "transfer",
            Self::StartOfLevel => "start_of_level",
            Self::EndOfLevel => "end_of_level",
            Self::InfoPerLevel(_) => "info_per_level",
            Self::ProtocolMigration(_) => "protocol_migration",
            Self::DalAttestedSlots(_) => "dal_attested_slots",
        }
    }

    /// A readable form for people and logs; numbers stay numbers.
    #[must_use]
    pub fn to_json(&self, dialect: Dialect) -> Value {
        let kind = self.kind();
        match self {
            Self::Transfer(transfer) => json!({
                "internal_inbox_message_kind": kind,
                "payload": transfer.payload.to_json(),
                "sender": transfer.sender.to_string(),
                "source": transfer.source.to_string(),
                "destination": transfer.destination.text(dialect),
            }),
            Self::StartOfLevel | Self::EndOfLevel => {
                json!({ "internal_inbox_message_kind": kind })
            }
            Self::InfoPerLevel(info) => json!({
                "internal_inbox_message_kind": kind,
                "predecessor_timestamp": info.predecessor_timestamp.0,
                "predecessor": info.predecessor.to_string(),
            }),
            Self::ProtocolMigration(version) => json!({
                "internal_inbox_message_kind": kind,
                "protocol": String::from_utf8_lossy(version),
            }),
            Self::DalAttestedSlots(slots) => json!({
                "internal_inbox_message_kind": kind,
                "published_level": slots.published_level.get(),
                "number_of_slots": slots.number_of_slots,
                "slot_size": slots.slot_size,
                "page_size": slots.page_size,
                "slots_by_publisher": slots
                    .slots_by_publisher
                    .iter()
                    .map(|(publisher, set)| json!([publisher.to_string(), set.to_string()]))
                    .collect::<Vec<_>>(),
            }),
        }
    }
}

impl AttestedSlots {
    fn write(&self, writer: &mut Writer) {
        writer.i32(self.published_level.get());
        writer
            .u16(self.number_of_slots)
            .i32(self.slot_size)
            .u16(self.page_size);
        writer.sized(|writer| {
            for (publisher, slots) in &self.slots_by_publisher {
                publisher.write(writer);
                slots.write(writer);
            }
        });
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = reader.clone();
        let published_level = Level::try_from(reader.i32("published level")?)
            .map_err(|e| at.invalid("published level", e.to_string()))?;
        let number_of_slots = reader.u16("number of slots")?;
        let slot_size = reader.i32("slot size")?;
        let page_size = reader.u16("page size")?;
        let mut items = reader.sized("attested slots")?;
        let mut slots_by_publisher = Vec::new();
        while !items.is_empty() {
            slots_by_publisher.push((PublicKeyHash::read(&mut items)?, Integer::read(&mut items)?));
        }
        Ok(Self {
            published_level,
            number_of_slots,
            slot_size,
            page_size,
            slots_by_publisher,
        })
    }
}
