//! The history cell: one level of the shared inbox as layer 1 remembers it.
//!
//! Source: `sc_rollup_inbox_repr.ml`.

use serde_json::{Value, json};

use super::json::{Fields, JsonError};
use super::{Dialected, InboxHash, Level, PayloadsHash};
use crate::codec::{DecodeError, Reader, Writer};
use crate::crypto::{Dialect, blake2b};

/// Cell of the skip list over levels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryCell {
    /// Position in the list; not covered by the hash.
    pub index: u64,
    /// Pointer of the level's last message.
    pub witness: PayloadsHash,
    /// The level.
    pub level: Level,
    /// Hashes of the earlier cells it points to, nearest first.
    pub back_pointers: Vec<InboxHash>,
}

impl HistoryCell {
    /// Its pointer, which is the inbox hash of its level.
    #[must_use]
    pub fn hash(&self) -> InboxHash {
        let mut bytes = self.witness.0.to_vec();
        bytes.extend(self.level.to_string().into_bytes());
        for pointer in &self.back_pointers {
            bytes.extend(pointer.0);
        }
        InboxHash(blake2b(&bytes).0)
    }

    /// Appends the binary form.
    pub fn write(&self, writer: &mut Writer) {
        writer.n(self.index.into());
        self.witness.write(writer);
        writer.i32(self.level.get());
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
        let witness = PayloadsHash::read(reader)?;
        let at = reader.clone();
        let level = Level::try_from(reader.i32("level")?)
            .map_err(|e| at.invalid("level", e.to_string()))?;
        let mut items = reader.sized("back pointers")?;
        let mut back_pointers = Vec::new();
        while !items.is_empty() {
            back_pointers.push(InboxHash::read(&mut items)?);
        }
        Ok(Self {
            index,
            witness,
            level,
            back_pointers,
        })
    }

    /// The node's JSON form.
    #[must_use]
    pub fn to_json(&self, dialect: Dialect) -> Value {
        let pointers: Vec<_> = self
            .back_pointers
            .iter()
            .map(|hash| hash.text(dialect))
            .collect();
        json!({
            "index": self.index.to_string(),
            "content": { "hash": self.witness.text(dialect), "level": self.level.get() },
            "back_pointers": pointers,
        })
    }

    /// Reads the node's JSON form.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn from_json(json: &Value, dialect: Dialect) -> Result<Self, JsonError> {
        let fields = Fields::new("history cell", json)?;
        let content = Fields::new("history cell content", fields.value("content")?)?;
        Ok(Self {
            index: fields.parsed("index")?,
            witness: content.labelled("hash", dialect)?,
            level: content.level("level")?,
            back_pointers: fields.labelled_list("back_pointers", dialect)?,
        })
    }
}

/// Index of a skip-list cell.
///
/// # Errors
/// [`DecodeError`] when short or over 64 bits.
pub fn read_index(reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
    let at = reader.clone();
    u64::try_from(reader.n("cell index")?).map_err(|_| at.invalid("cell index", "over 64 bits"))
}

/// The inbox as layer 1 stores it: the newest history cell, with its level in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbox {
    /// Cell of its level.
    pub cell: HistoryCell,
}

impl Inbox {
    /// The inbox hash.
    #[must_use]
    pub fn hash(&self) -> InboxHash {
        self.cell.hash()
    }

    /// Its level.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.cell.level
    }

    /// The level of the very first cell of the chain's inbox: one cell per level since then.
    #[must_use]
    pub fn genesis_level(&self) -> Option<Level> {
        let index = u32::try_from(self.cell.index).ok()?;
        self.cell.level.minus(index)
    }

    /// Appends the binary form.
    pub fn write(&self, writer: &mut Writer) {
        self.cell.write(writer.i32(self.cell.level.get()));
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// [`DecodeError`], also when the level in front is not the cell's.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        let level = reader.i32("inbox level")?;
        let cell = HistoryCell::read(reader)?;
        if level == cell.level.get() {
            Ok(Self { cell })
        } else {
            let problem = format!("{level} differs from {} in its cell", cell.level);
            Err(start.invalid("inbox level", problem))
        }
    }

    /// The node's JSON form.
    #[must_use]
    pub fn to_json(&self, dialect: Dialect) -> Value {
        json!({
            "level": self.cell.level.get(),
            "old_levels_messages": self.cell.to_json(dialect),
        })
    }

    /// Reads the node's JSON form.
    ///
    /// # Errors
    /// [`JsonError`], also when the level in front is not the cell's.
    pub fn from_json(json: &Value, dialect: Dialect) -> Result<Self, JsonError> {
        let fields = Fields::new("inbox", json)?;
        let cell = HistoryCell::from_json(fields.value("old_levels_messages")?, dialect)?;
        let level = fields.level("level")?;
        if level == cell.level {
            Ok(Self { cell })
        } else {
            Err(fields.error("level", format!("{level} differs from {}", cell.level)))
        }
    }
}
