//! Migrations, forward only: embedded statements, a version and a checksum for each.

use rusqlite::{Connection, OpenFlags, Transaction};

use super::{Context, JournalError};
use crate::crypto::blake2b;

/// Statements that make schema `n + 1` out of schema `n`; never edited after a release.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_journal.sql"),
    include_str!("../../migrations/0002_play.sql"),
    include_str!("../../migrations/0003_alerts.sql"),
    include_str!("../../migrations/0004_chain.sql"),
    include_str!("../../migrations/0005_forecast.sql"),
];

/// Newest schema this program knows.
pub(super) const KNOWN: u32 = MIGRATIONS.len() as u32;

/// Opens or creates the file, brings its schema up to date and makes writes durable.
pub(super) fn open_for_writing(context: &Context) -> Result<Connection, JournalError> {
    let fail = |error: rusqlite::Error| context.database(&error);
    let mut connection = Connection::open(&context.0).map_err(fail)?;
    settle(&connection).map_err(fail)?;
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .map_err(fail)?;
    // FULL: an entry must survive a power cut, since effects follow it.
    connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(fail)?;
    check(&connection, context)?;
    migrate(&mut connection).map_err(fail)?;
    Ok(connection)
}

/// Opens the file for reading; its schema must be exactly ours.
pub(super) fn open_for_reading(context: &Context) -> Result<Connection, JournalError> {
    if !context.0.exists() {
        return Err(JournalError::Absent(context.0.to_path_buf()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(&context.0, flags).map_err(|error| context.database(&error))?;
    settle(&connection).map_err(|error| context.database(&error))?;
    connection
        .pragma_update(None, "query_only", true)
        .map_err(|error| context.database(&error))?;
    check(&connection, context)?;
    Ok(connection)
}

fn settle(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "foreign_keys", true)
}

/// Refuses a schema that is newer than ours or was made by other statements.
fn check(connection: &Connection, context: &Context) -> Result<(), JournalError> {
    let fail = |error: rusqlite::Error| context.database(&error);
    let found = version(connection).map_err(fail)?;
    if found > KNOWN {
        return Err(JournalError::Newer {
            path: context.0.to_path_buf(),
            found,
            known: KNOWN,
        });
    }
    for (number, statements) in (1..=found).zip(MIGRATIONS) {
        let made_by: Option<String> = connection
            .query_row(
                "SELECT checksum FROM migration WHERE version = ?1",
                [number],
                |row| row.get(0),
            )
            .map(Some)
            .or_else(|error| match error {
                rusqlite::Error::QueryReturnedNoRows => Ok(None),
                // No such table: somebody else's database that happens to have a version.
                rusqlite::Error::SqliteFailure(_, Some(text)) if text.contains("no such table") => {
                    Ok(None)
                }
                other => Err(fail(other)),
            })?;
        if made_by.as_deref() != Some(checksum(statements).as_str()) {
            return Err(JournalError::Foreign {
                path: context.0.to_path_buf(),
                version: number,
            });
        }
    }
    Ok(())
}

pub(super) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn checksum(statements: &str) -> String {
    blake2b(statements.as_bytes()).to_string()
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY, checksum TEXT NOT NULL) STRICT",
    )?;
    // Read again inside the transaction: another process may have migrated meanwhile.
    let from = version(&transaction)?;
    for (number, statements) in (1..).zip(MIGRATIONS) {
        if number > from {
            apply(&transaction, number, statements)?;
        }
    }
    transaction.commit()
}

fn apply(transaction: &Transaction<'_>, number: u32, statements: &str) -> rusqlite::Result<()> {
    transaction.execute_batch(statements)?;
    transaction.execute(
        "INSERT INTO migration (version, checksum) VALUES (?1, ?2)",
        (number, checksum(statements)),
    )?;
    transaction.pragma_update(None, "user_version", number)
}
