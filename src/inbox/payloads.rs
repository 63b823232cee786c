//! The skip list over the messages of one level; its last pointer is the level's witness.

use super::message::message_hash;
use super::skip_list::{Cell, next_pointers};
use crate::codec::{DecodeError, Reader, Writer};
use crate::crypto::blake2b;
use crate::protocol::{MessageHash, PayloadsHash, read_index};

/// Cell of the list over messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadCell {
    /// Position of the message in its level; not covered by the hash.
    pub index: u64,
    /// Hash of the serialized message.
    pub message: MessageHash,
    /// Pointers of earlier cells, nearest first.
    pub back_pointers: Vec<PayloadsHash>,
}

impl PayloadCell {
    /// Its pointer.
    #[must_use]
    pub fn hash(&self) -> PayloadsHash {
        let mut bytes = self.message.0.to_vec();
        for pointer in &self.back_pointers {
            bytes.extend(pointer.0);
        }
        PayloadsHash(blake2b(&bytes).0)
    }

    fn after(previous: Option<&Self>, serialized: &[u8]) -> Self {
        let (index, back_pointers) = match previous {
            None => (0, Vec::new()),
            Some(cell) => (
                cell.index.saturating_add(1),
                next_pointers(cell.index, cell.hash(), &cell.back_pointers),
            ),
        };
        Self {
            index,
            message: message_hash(serialized),
            back_pointers,
        }
    }

    /// Appends the binary form.
    pub fn write(&self, writer: &mut Writer) {
        writer.n(self.index.into());
        self.message.write(writer);
        writer.sized(|writer| {
            for pointer in &self.back_pointers {
                pointer.write(writer);
            }
        });
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let index = read_index(reader)?;
        let message = MessageHash::read(reader)?;
        let mut items = reader.sized("back pointers")?;
        let mut back_pointers = Vec::new();
        while !items.is_empty() {
            back_pointers.push(PayloadsHash::read(&mut items)?);
        }
        Ok(Self {
            index,
            message,
            back_pointers,
        })
    }
}

impl Cell for PayloadCell {
    type Pointer = PayloadsHash;

    fn index(&self) -> u64 {
        self.index
    }

    fn pointers(&self) -> &[PayloadsHash] {
        &self.back_pointers
    }

    fn pointer(&self) -> PayloadsHash {
        self.hash()
    }
}

/// All serialized messages of a level with their witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelMessages {
    messages: Vec<Vec<u8>>,
    witness: PayloadsHash,
}

impl LevelMessages {
    /// The level with these messages, start and end of level included; none without any message.
    #[must_use]
    pub fn new(messages: Vec<Vec<u8>>) -> Option<Self> {
        let mut last = None;
        for message in &messages {
            last = Some(PayloadCell::after(last.as_ref(), message));
        }
        let witness = last?.hash();
        Some(Self { messages, witness })
    }

    /// The serialized messages in order; their position is their counter.
    #[must_use]
    pub fn messages(&self) -> &[Vec<u8>] {
        &self.messages
    }

    /// Pointer of the last message's cell.
    #[must_use]
    pub const fn witness(&self) -> PayloadsHash {
        self.witness
    }

    /// The cells of all messages, for proofs.
    #[must_use]
    pub fn cells(&self) -> Vec<PayloadCell> {
        let mut cells: Vec<PayloadCell> = Vec::with_capacity(self.messages.len());
        for message in &self.messages {
            cells.push(PayloadCell::after(cells.last(), message));
        }
        cells
    }
}
