//! Copies of the journal: made beside a running tower, checked before they count, put back whole.
//!
//! Promises: a copy is one moment of the journal, and appears under its name only when it passed
//! the check; a restore keeps what it replaces. Refuses to know: whether a tower is running (the
//! caller holds the data directory's lock before it restores).

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::Backup;

use super::log::LogKind;
use super::{Context, JournalError, schema};

/// Pages copied between two pauses in which the writer gets its turn.
const STEP: i32 = 1024;
const PAUSE: Duration = Duration::from_millis(2);

/// What a sound journal holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sound {
    /// Schema version.
    pub schema: u32,
    /// Rows of each kind.
    pub rows: Vec<(LogKind, u32)>,
}

/// Copies the journal at `from` to the new file `to`, also while a tower writes it.
///
/// # Errors
/// [`JournalError`]; then there is no file at `to`.
pub fn back_up(from: &Path, to: &Path) -> Result<Sound, JournalError> {
    refuse_existing(to)?;
    let partial = beside(to, "partial");
    let copied = copy(from, &partial).and_then(|()| verify(&partial));
    let sound = match copied {
        Ok(sound) => sound,
        Err(error) => {
            // What is left of a failed copy is of no use to anybody.
            let _ = std::fs::remove_file(&partial);
            return Err(error);
        }
    };
    std::fs::rename(&partial, to).map_err(|error| file(to, &error))?;
    Ok(sound)
}

/// Reads a journal or a copy from end to end: schema, pages, references between rows.
///
/// # Errors
/// [`JournalError`] with the first thing that is wrong.
pub fn verify(path: &Path) -> Result<Sound, JournalError> {
    let context = Context(path.into());
    let connection = schema::open_for_reading(&context)?;
    let fail = |error: rusqlite::Error| context.database(&error);
    let verdict: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(fail)?;
    if verdict != "ok" {
        return Err(problem(path, verdict));
    }
    let mut references = connection
        .prepare("PRAGMA foreign_key_check")
        .map_err(fail)?;
    let orphan: Option<String> = references
        .query_map([], |row| row.get(0))
        .map_err(fail)?
        .next()
        .transpose()
        .map_err(fail)?;
    if let Some(table) = orphan {
        let text = format!("a row of table {table} refers to one that is missing");
        return Err(problem(path, text));
    }
    let rows = LogKind::ALL
        .iter()
        .map(|kind| Ok((*kind, count(&connection, kind.table()).map_err(fail)?)))
        .collect::<Result<_, JournalError>>()?;
    Ok(Sound {
        schema: schema::version(&connection).map_err(fail)?,
        rows,
    })
}

/// Puts a copy in the place of the journal at `to`. What was there is kept beside it, under the
/// name returned; none when nothing was there.
///
/// # Errors
/// [`JournalError`] when the copy is not sound or cannot be put there; the old journal is then
/// where it was.
pub fn restore(copy_of: &Path, to: &Path) -> Result<Option<PathBuf>, JournalError> {
    verify(copy_of)?;
    let partial = beside(to, "restoring");
    // A leftover of an interrupted restore.
    let _ = std::fs::remove_file(&partial);
    copy(copy_of, &partial)?;
    verify(&partial)?;
    let kept = if to.exists() {
        Some(set_aside(to)?)
    } else {
        None
    };
    std::fs::rename(&partial, to).map_err(|error| file(to, &error))?;
    Ok(kept)
}

/// Moves a journal, with what SQLite keeps beside it, to the first free name.
fn set_aside(path: &Path) -> Result<PathBuf, JournalError> {
    let free = (1_u32..)
        .map(|number| beside(path, &format!("replaced-{number}")))
        .find(|candidate| !candidate.exists())
        .unwrap_or_else(|| beside(path, "replaced"));
    for suffix in ["-wal", "-shm", ""] {
        let (from, to) = (with_suffix(path, suffix), with_suffix(&free, suffix));
        if from.exists() {
            std::fs::rename(&from, &to).map_err(|error| file(&from, &error))?;
        }
    }
    Ok(free)
}

fn copy(from: &Path, to: &Path) -> Result<(), JournalError> {
    let source = Context(from.into());
    let connection = schema::open_for_reading(&source)?;
    let target = Context(to.into());
    let mut made = Connection::open(to).map_err(|error| target.database(&error))?;
    let backup = Backup::new(&connection, &mut made).map_err(|error| target.database(&error))?;
    backup
        .run_to_completion(STEP, PAUSE, None)
        .map_err(|error| target.database(&error))?;
    drop(backup);
    // One file, complete in itself, on disk before anybody relies on it.
    made.pragma_update(None, "journal_mode", "DELETE")
        .map_err(|error| target.database(&error))?;
    drop(made);
    let synced = std::fs::File::open(to).and_then(|file| file.sync_all());
    synced.map_err(|error| file(to, &error))
}

fn count(connection: &Connection, table: &str) -> rusqlite::Result<u32> {
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
        row.get(0)
    })
}

fn refuse_existing(path: &Path) -> Result<(), JournalError> {
    if path.exists() {
        return Err(problem(path, "there is a file of this name already".into()));
    }
    Ok(())
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    with_suffix(path, &format!(".{extension}"))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn file(path: &Path, error: &std::io::Error) -> JournalError {
    problem(path, error.to_string())
}

fn problem(path: &Path, problem: String) -> JournalError {
    JournalError::Database {
        path: path.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Entry, Journal, LogFilter, Reader};

    fn run(outcome: &str) -> Vec<Entry> {
        vec![
            Entry::RunStarted {
                version: "1".into(),
                command: "follow".into(),
            },
            Entry::RunEnded {
                outcome: outcome.into(),
            },
        ]
    }

    fn outcomes(path: &Path) -> usize {
        let reader = Reader::open(path).unwrap();
        reader.log(&LogFilter::default()).unwrap().len()
    }

    #[test]
    fn a_copy_is_made_beside_the_writer_and_put_back_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join("j"), folder.path().join("copy"));
        let journal = Journal::open(&path).unwrap();
        journal.write(run("first")).unwrap();
        let sound = back_up(&path, &copy).unwrap();
        assert_eq!(sound, verify(&path).unwrap());
        journal.write(run("second")).unwrap();
        drop(journal);
        assert_eq!(outcomes(&path), 4);

        let kept = restore(&copy, &path).unwrap().unwrap();
        assert_eq!(outcomes(&path), 2);
        assert_eq!(outcomes(&kept), 4);
        Journal::open(&path).unwrap().write(run("third")).unwrap();
    }

    #[test]
    fn a_copy_never_replaces_a_file_and_a_damaged_one_is_never_restored() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join("j"), folder.path().join("copy"));
        Journal::open(&path).unwrap().write(run("first")).unwrap();
        back_up(&path, &copy).unwrap();
        assert!(back_up(&path, &copy).is_err());

        let mut bytes = std::fs::read(&copy).unwrap();
        let half = bytes.len() / 2;
        bytes[half..].fill(0xa5);
        std::fs::write(&copy, bytes).unwrap();
        assert!(restore(&copy, &path).is_err());
        assert_eq!(outcomes(&path), 2);
    }
}
