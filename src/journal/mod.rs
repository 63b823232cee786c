//! The journal: everything seen, computed and concluded, in SQLite, written before it is acted on.
//!
//! Promises: one writing thread for each handle opened, each row numbered inside its transaction;
//! [`Journal::write`] returns only when the entries are on disk, all of them or none; rows are never
//! deleted; a full disk loses nothing while a tower runs; writing an entry a second time changes
//! nothing, so a crash between two effects is repaired by deriving them again. Readers never block
//! the writer. Refuses a schema newer than itself. Refuses to know: what anybody concludes from it.

mod alerts;
mod backup;
mod chain;
mod entry;
mod log;
mod patience;
mod play;
mod play_query;
mod play_writer;
mod query;
mod schema;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use alerts::{
    AlertRow, AlertStepRow, ChannelCount, DeliveryOutcome, DeliveryRow, Nature, NotificationRow,
    Step, Waiting,
};
pub use backup::{Sound, back_up, restore, verify};
pub use chain::{BackfillRow, ConstantsRow};
pub use entry::{
    Alarm, BlockRow, ConflictRow, Entry, InboxRow, Judgement, OperationRow, PublishedRow,
    Reorganisation, RollupRow, Severity, StateRow, UnknownRow, VerdictRow,
};
pub use log::{LogFilter, LogKind, LogRow};
pub use patience::Trouble;
pub use play::{
    AssertionRow, ConsentRow, DecisionRow, Ending, ForecastRow, Foreseen, GameEndRow, GameName,
    GameRow, HoldRow, MoveRow, OperationStepRow, PlayEntry, PositionRow, Verb,
};
pub use play_query::{StoredDecision, StoredHold, StoredMove, StoredPosition};
pub use query::Reader;

/// Why the journal cannot be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// SQLite refused.
    #[error("journal {path}: {problem}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        problem: String,
    },
    /// A newer program wrote it.
    #[error(
        "journal {path} has schema {found}, this program knows up to {known}: use the newer program, or another data directory"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Schema version in the file.
        found: u32,
        /// Newest schema version known here.
        known: u32,
    },
    /// Schema version in range, but made by other statements than ours.
    #[error(
        "journal {path}: migration {version} is not the one of this program (checksum differs)"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The migration that differs.
        version: u32,
    },
    /// There is no journal yet.
    #[error("no journal at {0}: run `watchtower follow` first, or name its --data-dir")]
    Absent(PathBuf),
    /// A row holds what its column cannot mean.
    #[error("journal {path}: {what} is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The column.
        what: &'static str,
    },
    /// The writing thread is gone: the process is stopping, or it could not start.
    #[error("the journal is closed")]
    Closed,
}

/// Errors of one file.
#[derive(Debug, Clone)]
struct Context(Arc<Path>);

impl Context {
    fn database(&self, error: &rusqlite::Error) -> JournalError {
        JournalError::Database {
            path: self.0.to_path_buf(),
            problem: error.to_string(),
        }
    }

    fn damaged(&self, what: &'static str) -> JournalError {
        JournalError::Damaged {
            path: self.0.to_path_buf(),
            what,
        }
    }
}

/// The open journal: a handle to its writing thread. Clones share the thread.
#[derive(Debug, Clone)]
pub struct Journal {
    writer: writer::Handle,
    patience: patience::Patience,
    context: Context,
}

impl Journal {
    /// Name of the journal inside a data directory.
    pub const FILE: &'static str = "journal.sqlite";

    /// Opens or creates the journal and starts its writing thread.
    ///
    /// # Errors
    /// [`JournalError`] when the file is not ours to use: newer, foreign, damaged, locked.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let context = Context(path.into());
        let connection = schema::open_for_writing(&context)?;
        let patience = patience::Patience::default();
        let writer = writer::start(connection, context.clone(), patience.clone())?;
        Ok(Self {
            writer,
            patience,
            context,
        })
    }

    /// From now on, what the disk does not take is written once it does, instead of failing.
    pub fn wait_for_disk(&self) {
        self.patience.set(true);
    }

    /// Ends that: what cannot be written fails, also what waits now.
    pub fn stop_waiting(&self) {
        self.patience.set(false);
    }

    /// Why nothing can be written now, if so.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.patience.trouble()
    }

    /// Writes the entries in one transaction and waits until they are on disk.
    ///
    /// # Errors
    /// [`JournalError`]; then none of them was written.
    pub fn write(&self, entries: Vec<Entry>) -> Result<(), JournalError> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.submit(entries, move |result| {
            // The caller waits below; if it is gone, nobody wants the answer.
            let _ = sender.send(result);
        })?;
        receiver.recv().map_err(|_| JournalError::Closed)?
    }

    /// Hands the entries to the writing thread; `done` is called there with the outcome.
    /// Blocks only while the writer's queue is full.
    ///
    /// # Errors
    /// [`JournalError::Closed`] when the writing thread is gone; then `done` is never called.
    pub fn submit(
        &self,
        entries: Vec<Entry>,
        done: impl FnOnce(Result<(), JournalError>) + Send + 'static,
    ) -> Result<(), JournalError> {
        self.writer.submit(entries, Box::new(done))
    }

    /// A connection for reading, independent of the writer.
    ///
    /// # Errors
    /// [`JournalError`] when it cannot be opened.
    pub fn reader(&self) -> Result<Reader, JournalError> {
        Reader::open(&self.context.0)
    }
}
