//! The inbox as the journal has it, for inbox proofs.
//!
//! Promises: only cells and messages of the chain in force. There is one cell for each level, so an
//! index names a level.

use std::path::Path;

use crate::codec::Reader as Bytes;
use crate::game::InboxArchive;
use crate::inbox::LevelMessages;
use crate::journal::{InboxRow, JournalError, Reader};
use crate::protocol::{HistoryCell, Level};

/// The journal, read from a cell whose place is known.
#[derive(Debug)]
pub(super) struct Archive {
    reader: Reader,
    /// Level of the cell with index 0, as a number.
    first: i64,
}

impl Archive {
    /// The archive below `known`.
    pub(super) fn open(journal: &Path, known: &HistoryCell) -> Result<Self, JournalError> {
        let index = i64::try_from(known.index).unwrap_or(i64::MAX);
        Ok(Self {
            reader: Reader::open(journal)?,
            first: i64::from(known.level.get()).saturating_sub(index),
        })
    }

    fn inbox(&self, level: Level) -> Option<InboxRow> {
        let block = self.reader.block_at(level).ok().flatten()?;
        self.reader.inbox(&block.hash).ok().flatten()
    }

    /// The cell of a level of the chain in force.
    pub(super) fn cell_at(reader: &Reader, level: Level) -> Option<HistoryCell> {
        let block = reader.block_at(level).ok().flatten()?;
        cell_of(&reader.inbox(&block.hash).ok().flatten()?)
    }

    /// The newest cell of the chain in force, the messages of its level included.
    pub(super) fn newest(journal: &Path) -> Result<Option<HistoryCell>, JournalError> {
        let reader = Reader::open(journal)?;
        let Some(head) = reader.head()? else {
            return Ok(None);
        };
        let inbox = reader.inbox(&head.hash)?;
        Ok(inbox.and_then(|row| cell_of(&row)))
    }
}

fn cell_of(row: &InboxRow) -> Option<HistoryCell> {
    HistoryCell::read(&mut Bytes::new(&row.cell)).ok()
}

impl InboxArchive for Archive {
    fn cell(&self, index: u64) -> Option<HistoryCell> {
        let level = i64::try_from(index).ok()?.checked_add(self.first)?;
        let row = self.inbox(Level::try_from(level).ok()?)?;
        cell_of(&row).filter(|cell| cell.index == index)
    }

    fn messages(&self, level: Level) -> Option<LevelMessages> {
        LevelMessages::new(self.inbox(level)?.messages)
    }
}
