//! Proof of what follows a position of the inbox, relative to the snapshot of a game.
//!
//! Source: `sc_rollup_inbox_repr.ml`, `sc_rollup_inbox_merkelized_payload_hashes_repr.ml`.

use super::message::{MAX_MESSAGE, Message, message_hash};
use super::payloads::{LevelMessages, PayloadCell};
use super::skip_list::{Cell, is_accepted_path, minimal_path};
use crate::codec::{DecodeError, Reader, Writer};
use crate::protocol::{HistoryCell, InboxHash, Level};

/// Inclusion of a level in the snapshot, and of a message (or the end) in that level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxProof {
    /// From the snapshot's cell back to the level's.
    pub inclusion: Vec<HistoryCell>,
    /// From the level's last message back to the one proved.
    pub payloads: Vec<PayloadCell>,
    /// The message; none when the level ends before it.
    pub payload: Option<Vec<u8>>,
}

/// What a machine that asks for the position reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextInput {
    /// Its level.
    pub level: Level,
    /// Its counter.
    pub counter: u64,
    /// Serialized message.
    pub payload: Vec<u8>,
}

/// A proof cannot be made, or does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InboxProofError {
    /// The level is not one of the snapshot's history.
    #[error("level {0} is not in the history of the inbox snapshot")]
    NoSuchLevel(Level),
    /// A cell of the history is not at hand.
    #[error("cell {0} of the inbox history is not at hand")]
    CellMissing(u64),
    /// The messages are not those of the level.
    #[error("the messages given are not those of level {0}")]
    OtherMessages(Level),
    /// The level has no next level.
    #[error("level {0} has no successor")]
    LastLevel(Level),
    /// The path to the level is not the minimal one from the snapshot.
    #[error("the path from the snapshot to the level is not the accepted one")]
    Inclusion,
    /// The path to the message is not the minimal one.
    #[error("the path to the message is not the accepted one")]
    Payloads,
    /// The path to the message does not start at the level's last message.
    #[error("the path to the message does not start at the witness of the level")]
    Witness,
    /// A message is given where the level has ended.
    #[error("a message is given although the level has ended")]
    UnexpectedPayload,
    /// No message is given where there is one.
    #[error("the message is missing from the proof")]
    PayloadMissing,
    /// The message, or its position, is not the one proved.
    #[error("the message given is not the one proved")]
    OtherPayload,
    /// The position is past the end of the level.
    #[error("position {0} is past the end of the level")]
    PastEnd(u64),
}

impl Cell for HistoryCell {
    type Pointer = InboxHash;

    fn index(&self) -> u64 {
        self.index
    }

    fn pointers(&self) -> &[InboxHash] {
        &self.back_pointers
    }

    fn pointer(&self) -> InboxHash {
        self.hash()
    }
}

impl InboxProof {
    /// Proves what is at `counter` of `level`. `history` gives cells by index, `messages` are
    /// those of the level.
    ///
    /// # Errors
    /// [`InboxProofError`] when something needed is not at hand.
    pub fn produce(
        snapshot: &HistoryCell,
        level: Level,
        counter: u64,
        messages: &LevelMessages,
        history: impl Fn(u64) -> Option<HistoryCell>,
    ) -> Result<(Self, Option<NextInput>), InboxProofError> {
        let above = snapshot.level.since(level).map(u64::from);
        let index = above.and_then(|above| snapshot.index.checked_sub(above));
        let index = index.ok_or(InboxProofError::NoSuchLevel(level))?;
        let path = minimal_path(snapshot.index, index);
        let mut inclusion = vec![snapshot.clone()];
        for place in path.unwrap_or_default().into_iter().skip(1) {
            inclusion.push(history(place).ok_or(InboxProofError::CellMissing(place))?);
        }
        let target = inclusion.last().unwrap_or(snapshot);
        if target.level != level || target.witness != messages.witness() {
            return Err(InboxProofError::OtherMessages(level));
        }
        let proof = Self {
            payloads: payload_path(messages, counter),
            payload: usize::try_from(counter)
                .ok()
                .and_then(|counter| messages.messages().get(counter))
                .cloned(),
            inclusion,
        };
        let next = proof.next_input(snapshot, level, counter)?;
        Ok((proof, next))
    }

    /// What layer 1 concludes from the proof about position `counter` of `level`, given the
    /// snapshot of the game. As layer 1, it believes the positions that cells claim and does not
    /// compare `level` with the cell proved.
    ///
    /// # Errors
    /// [`InboxProofError`] when layer 1 rejects the proof.
    pub fn verify(
        &self,
        snapshot: &HistoryCell,
        level: Level,
        counter: u64,
    ) -> Result<Option<NextInput>, InboxProofError> {
        if !is_accepted_path(snapshot.hash(), &self.inclusion) {
            return Err(InboxProofError::Inclusion);
        }
        let head = self.payloads.first().ok_or(InboxProofError::Payloads)?;
        let target = self.payloads.last().ok_or(InboxProofError::Payloads)?;
        if !is_accepted_path(head.hash(), &self.payloads) {
            return Err(InboxProofError::Payloads);
        }
        let proved = self.inclusion.last().ok_or(InboxProofError::Inclusion)?;
        if proved.witness != head.hash() {
            return Err(InboxProofError::Witness);
        }
        if head.index.checked_add(1) == Some(counter) {
            if self.payload.is_some() {
                return Err(InboxProofError::UnexpectedPayload);
            }
            if target != head {
                return Err(InboxProofError::OtherPayload);
            }
        } else if counter <= head.index {
            let payload = self
                .payload
                .as_ref()
                .ok_or(InboxProofError::PayloadMissing)?;
            if message_hash(payload) != target.message || target.index != counter {
                return Err(InboxProofError::OtherPayload);
            }
        } else {
            return Err(InboxProofError::PastEnd(counter));
        }
        self.next_input(snapshot, level, counter)
    }

    fn next_input(
        &self,
        snapshot: &HistoryCell,
        level: Level,
        counter: u64,
    ) -> Result<Option<NextInput>, InboxProofError> {
        if let Some(payload) = &self.payload {
            return Ok(Some(NextInput {
                level,
                counter,
                payload: payload.clone(),
            }));
        }
        if self.inclusion.last() == Some(snapshot) {
            return Ok(None);
        }
        Ok(Some(NextInput {
            level: level.next().ok_or(InboxProofError::LastLevel(level))?,
            counter: 0,
            payload: Message::START_OF_LEVEL.into(),
        }))
    }

    /// The serialized proof, as an input proof carries it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.sized(|writer| self.inclusion.iter().for_each(|cell| cell.write(writer)));
        writer.sized(|writer| self.payloads.iter().for_each(|cell| cell.write(writer)));
        writer.option(self.payload.as_ref(), |writer, payload| {
            writer.dynamic(payload);
        });
        writer.into_bytes()
    }

    /// Reads a serialized proof.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let mut items = reader.sized("inclusion path")?;
        let mut inclusion = Vec::new();
        while !items.is_empty() {
            inclusion.push(HistoryCell::read(&mut items)?);
        }
        let mut items = reader.sized("payload path")?;
        let mut payloads = Vec::new();
        while !items.is_empty() {
            payloads.push(PayloadCell::read(&mut items)?);
        }
        let payload = reader.option("payload", |reader| {
            reader.dynamic("payload", MAX_MESSAGE).map(<[u8]>::to_vec)
        })?;
        reader.finish()?;
        Ok(Self {
            inclusion,
            payloads,
            payload,
        })
    }
}

/// Minimal path from the last message to the one at `counter`, or to itself when past the end.
fn payload_path(messages: &LevelMessages, counter: u64) -> Vec<PayloadCell> {
    let cells = messages.cells();
    let Some(last) = cells.last().map(|cell| cell.index) else {
        return Vec::new();
    };
    let path = minimal_path(last, counter.min(last)).unwrap_or_default();
    let places = path
        .into_iter()
        .filter_map(|place| usize::try_from(place).ok());
    places
        .filter_map(|place| cells.get(place).cloned())
        .collect()
}
