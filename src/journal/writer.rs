//! The writing thread: takes batches of entries from a bounded queue, one transaction each.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rusqlite::{Connection, Statement, ToSql, Transaction};

use super::alerts::{
    AlertRow, AlertStepRow, DeliveryRow, NotificationRow, joined, signed as number,
};
use super::entry::{
    Alarm, BlockRow, ConflictRow, Entry, InboxRow, Judgement, OperationRow, PublishedRow,
    Reorganisation, RollupRow, StateRow, UnknownRow, VerdictRow,
};
use super::log::LogKind;
use super::patience::Patience;
use super::query::{encode_messages, timestamp_millis};
use super::{Context, JournalError, chain};
use crate::crypto::Dialect;
use crate::protocol::{BlockHash, Commitment, RollupAddress};

/// Batches that may wait; the tower sends one at a time, so this is slack for other senders.
const QUEUE: usize = 16;

type Done = Box<dyn FnOnce(Result<(), JournalError>) + Send>;

struct Request {
    entries: Vec<Entry>,
    done: Done,
}

/// Sends batches to the writing thread.
#[derive(Debug, Clone)]
pub(super) struct Handle(SyncSender<Request>);

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Request").field(&self.entries).finish()
    }
}

impl Handle {
    pub(super) fn submit(&self, entries: Vec<Entry>, done: Done) -> Result<(), JournalError> {
        self.0
            .send(Request { entries, done })
            .map_err(|_| JournalError::Closed)
    }
}

/// Starts the thread; it ends when the last handle is gone.
pub(super) fn start(
    connection: Connection,
    context: Context,
    patience: Patience,
) -> Result<Handle, JournalError> {
    let (sender, receiver) = sync_channel(QUEUE);
    std::thread::Builder::new()
        .name("journal".into())
        .spawn(move || serve(connection, &context, &receiver, &patience))
        .map_err(|_| JournalError::Closed)?;
    Ok(Handle(sender))
}

pub(super) fn next_sequence(connection: &Connection) -> rusqlite::Result<i64> {
    let mut last = 0;
    for table in LogKind::ALL.iter().map(|kind| kind.table()) {
        let in_table: Option<i64> =
            connection.query_row(&format!("SELECT max(seq) FROM {table}"), [], |row| {
                row.get(0)
            })?;
        last = last.max(in_table.unwrap_or(0));
    }
    Ok(last.saturating_add(1))
}

fn serve(
    mut connection: Connection,
    context: &Context,
    requests: &Receiver<Request>,
    patience: &Patience,
) {
    let mut place = None;
    while let Ok(Request { entries, done }) = requests.recv() {
        let result = loop {
            match write(&mut connection, place, &entries) {
                Err(error) if patience.tries_again(&error) => {
                    // Some failures leave the transaction open.
                    if !connection.is_autocommit() {
                        let _ = connection.execute_batch("ROLLBACK");
                    }
                    place = None;
                }
                Err(error) => break Err(error),
                Ok(reached) => {
                    patience.is_over();
                    break Ok(reached);
                }
            }
        };
        place = result.as_ref().ok().copied();
        done(result.map(|_| ()).map_err(|error| context.database(&error)));
    }
}

/// The next number to give, and the file's version it was true for.
#[derive(Debug, Clone, Copy)]
struct Place {
    next: i64,
    /// Changes when another connection, of this process or another, has written.
    version: i64,
}

fn write(
    connection: &mut Connection,
    place: Option<Place>,
    entries: &[Entry],
) -> rusqlite::Result<Place> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version = transaction.pragma_query_value(None, "data_version", |row| row.get(0))?;
    let next = match place.filter(|place| place.version == version) {
        Some(place) => place.next,
        None => next_sequence(&transaction)?,
    };
    let reached = {
        let mut batch = Batch {
            transaction: &transaction,
            prepared: HashMap::new(),
            next,
            at: timestamp_millis(),
        };
        for entry in entries {
            batch.entry(entry)?;
        }
        batch.next
    };
    transaction.commit()?;
    Ok(Place {
        next: reached,
        version,
    })
}

/// One transaction in progress. Statements are prepared once per batch.
pub(super) struct Batch<'t> {
    transaction: &'t Transaction<'t>,
    prepared: HashMap<&'static str, Statement<'t>>,
    next: i64,
    at: i64,
}

impl Batch<'_> {
    /// Runs `sql` with the sequence number and the time as its first two parameters.
    /// A statement that inserts nothing (the row is there already) takes no number.
    pub(super) fn row(
        &mut self,
        sql: &'static str,
        rest: &[&dyn ToSql],
    ) -> rusqlite::Result<usize> {
        let mut parameters: Vec<&dyn ToSql> = vec![&self.next, &self.at];
        parameters.extend_from_slice(rest);
        let changed =
            statement(&mut self.prepared, self.transaction, sql)?.execute(parameters.as_slice())?;
        if changed > 0 {
            self.next += 1;
        }
        Ok(changed)
    }

    /// Runs `sql` as it is.
    fn plain(&mut self, sql: &'static str, parameters: &[&dyn ToSql]) -> rusqlite::Result<usize> {
        statement(&mut self.prepared, self.transaction, sql)?.execute(parameters)
    }

    fn entry(&mut self, entry: &Entry) -> rusqlite::Result<()> {
        match entry {
            Entry::RunStarted { version, command } => self.row(
                "INSERT INTO run (seq, at, version, command) VALUES (?1, ?2, ?3, ?4)",
                &[version, command],
            ),
            Entry::RunEnded { outcome } => self.row(
                "INSERT INTO run_end (seq, at, run, outcome)
                 SELECT ?1, ?2, max(seq), ?3 FROM run HAVING max(seq) NOT IN (SELECT run FROM run_end)",
                &[outcome],
            ),
            Entry::Rollup(row) => self.rollup(row),
            Entry::Block(row) => self.block(row),
            Entry::Reorganisation(row) => self.reorganisation(row),
            Entry::Inbox(row) => self.inbox(row),
            Entry::State(row) => self.state(row),
            Entry::Unknown(row) => self.unknown(row),
            Entry::Own {
                rollup,
                block,
                commitment,
            } => self.own(rollup, block, commitment),
            Entry::Constants(row) => row.bind(|values| self.plain(chain::INSERT_CONSTANTS, values)),
            Entry::Backfill(row) => self.plain(
                chain::PUT_BACKFILL,
                &[&row.rollup.0, &row.level.get(), &row.goal.get()],
            ),
            Entry::Published(row) => self.published(row),
            Entry::Operation(row) => self.operation(row),
            Entry::Verdict(row) => self.verdict(row),
            Entry::Conflict(row) => self.conflict(row),
            Entry::Alarm(row) => self.alarm(row),
            Entry::Alert(row) => self.alert(row),
            Entry::AlertStep(row) => self.alert_step(row),
            Entry::Notification(row) => self.notification(row),
            Entry::Delivery(row) => self.delivery(row),
            Entry::Play(entry) => self.play(entry),
        }
        .map(|_| ())
    }

    fn rollup(&mut self, row: &RollupRow) -> rusqlite::Result<usize> {
        let dialect = match row.dialect {
            Dialect::Modern => "modern",
            Dialect::Scr1 => "scr1",
        };
        self.row(
            "INSERT INTO rollup (seq, at, address, dialect, chain, origination_level,
                                 genesis_commitment, genesis_state, kernel, protocol)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (address) DO NOTHING",
            &[
                &row.address.0,
                &dialect,
                &row.chain.0,
                &row.origination_level.get(),
                &row.genesis_commitment.0,
                &row.genesis_state.0,
                &row.kernel.0,
                &row.protocol.0,
            ],
        )
    }

    fn block(&mut self, row: &BlockRow) -> rusqlite::Result<usize> {
        let inserted = self.row(
            "INSERT INTO block (seq, at, hash, level, predecessor, timestamp, protocol, period,
                                opens_protocol)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (hash) DO NOTHING",
            &[
                &row.hash.0,
                &row.level.get(),
                &row.predecessor.0,
                &row.timestamp,
                &row.protocol.0,
                &row.period,
                &row.opens_protocol,
            ],
        )?;
        if inserted > 0 {
            return Ok(inserted);
        }
        // It was here before and comes back into force.
        self.plain(
            "UPDATE block SET reverted = 0 WHERE hash = ?1 AND reverted = 1",
            &[&row.hash.0],
        )
    }

    fn reorganisation(&mut self, row: &Reorganisation) -> rusqlite::Result<usize> {
        self.plain(
            "UPDATE block SET reverted = 1 WHERE reverted = 0 AND level > ?1",
            &[&row.fork_level.get()],
        )?;
        self.row(
            "INSERT INTO reorganisation (seq, at, fork_level, fork, old_head, old_level)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            &[
                &row.fork_level.get(),
                &row.fork.0,
                &row.old_head.0,
                &row.old_level.get(),
            ],
        )
    }

    fn inbox(&mut self, row: &InboxRow) -> rusqlite::Result<usize> {
        let count = i64::try_from(row.messages.len()).unwrap_or(i64::MAX);
        self.row(
            "INSERT INTO inbox (seq, at, block, level, hash, cell, messages, content, node_hash)
             VALUES (?1, ?2, (SELECT seq FROM block WHERE hash = ?3), ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (block) DO NOTHING",
            &[
                &row.block.0,
                &row.level.get(),
                &row.hash.0,
                &row.cell,
                &count,
                &encode_messages(&row.messages),
                &row.node_hash.map(|hash| hash.0),
            ],
        )
    }

    fn state(&mut self, row: &StateRow) -> rusqlite::Result<usize> {
        self.row(
            "INSERT INTO state (seq, at, rollup, block, level, hash, ticks, status, edges)
             VALUES (?1, ?2, (SELECT seq FROM rollup WHERE address = ?3),
                     (SELECT seq FROM block WHERE hash = ?4), ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (rollup, block) DO NOTHING",
            &[
                &row.rollup.0,
                &row.block.0,
                &row.level.get(),
                &row.hash.0,
                &signed(row.ticks)?,
                &row.status,
                &row.edges.join(","),
            ],
        )
    }

    fn unknown(&mut self, row: &UnknownRow) -> rusqlite::Result<usize> {
        self.row(
            "INSERT INTO unknown_state (seq, at, rollup, block, level, reason, detail)
             VALUES (?1, ?2, (SELECT seq FROM rollup WHERE address = ?3),
                     (SELECT seq FROM block WHERE hash = ?4), ?5, ?6, ?7)
             ON CONFLICT (rollup, block, reason, detail) DO NOTHING",
            &[
                &row.rollup.0,
                &row.block.0,
                &row.level.get(),
                &row.reason,
                &row.detail,
            ],
        )
    }

    fn own(
        &mut self,
        rollup: &RollupAddress,
        block: &BlockHash,
        commitment: &Commitment,
    ) -> rusqlite::Result<usize> {
        self.row(
            "INSERT INTO commitment (seq, at, rollup, block, hash, level, state, predecessor, ticks)
             VALUES (?1, ?2, (SELECT seq FROM rollup WHERE address = ?3),
                     (SELECT seq FROM block WHERE hash = ?4), ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (rollup, block) DO NOTHING",
            &[
                &rollup.0,
                &block.0,
                &commitment.hash().0,
                &commitment.inbox_level.get(),
                &commitment.compressed_state.0,
                &commitment.predecessor.0,
                &signed(commitment.number_of_ticks)?,
            ],
        )
    }

    fn published(&mut self, row: &PublishedRow) -> rusqlite::Result<usize> {
        self.row(
            "INSERT INTO published (seq, at, rollup, block, published_level, position, staker, hash,
                                    level, state, predecessor, ticks)
             VALUES (?1, ?2, (SELECT seq FROM rollup WHERE address = ?3),
                     (SELECT seq FROM block WHERE hash = ?4), ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT DO NOTHING",
            &[
                &row.rollup.0,
                &row.block.map(|block| block.0),
                &row.published_level.map(|level| level.get()),
                &row.position,
                &row.staker.to_string(),
                &row.commitment.hash().0,
                &row.commitment.inbox_level.get(),
                &row.commitment.compressed_state.0,
                &row.commitment.predecessor.0,
                &signed(row.commitment.number_of_ticks)?,
            ],
        )
    }

    fn operation(&mut self, row: &OperationRow) -> rusqlite::Result<usize> {
        self.row(
            "INSERT INTO rollup_operation (seq, at, rollup, block, level, position, kind, source, detail)
             VALUES (?1, ?2, (SELECT seq FROM rollup WHERE address = ?3),
                     (SELECT seq FROM block WHERE hash = ?4), ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (rollup, block, position) DO NOTHING",
            &[
                &row.rollup.0,
                &row.block.0,
                &row.level.get(),
                &row.position,
                &row.kind,
                &row.source.to_string(),
                &row.detail,
            ],
        )
    }

    fn verdict(&mut self, row: &VerdictRow) -> rusqlite::Result<usize> {
        let (mut field, mut claimed, mut computed, mut reason, mut detail) =
            (None, None, None, None, None);
        match &row.judgement {
            Judgement::True => {}
            Judgement::False {
                field: name,
                claimed: theirs,
                computed: ours,
            } => (field, claimed, computed) = (Some(*name), Some(theirs), Some(ours)),
            Judgement::NotJudgeable {
                reason: kind,
                detail: thing,
            } => (reason, detail) = (Some(kind), Some(thing)),
        }
        self.row(
            "INSERT INTO verdict (seq, at, rollup, block, commitment, level, verdict, field,
                                  claimed, computed, reason, detail)
             VALUES (?1, ?2, (SELECT seq FROM rollup WHERE address = ?3),
                     (SELECT seq FROM block WHERE hash = ?4), ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            &[
                &row.rollup.0,
                &row.block.map(|block| block.0),
                &row.commitment.0,
                &row.level.get(),
                &row.judgement.word(),
                &field,
                &claimed,
                &computed,
                &reason,
                &detail,
            ],
        )
    }

    fn conflict(&mut self, row: &ConflictRow) -> rusqlite::Result<usize> {
        self.row(
            "INSERT INTO conflict (seq, at, rollup, block, level, parent, staker, commitment,
                                   other_staker, other_commitment)
             VALUES (?1, ?2, (SELECT seq FROM rollup WHERE address = ?3),
                     (SELECT seq FROM block WHERE hash = ?4), ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT DO NOTHING",
            &[
                &row.rollup.0,
                &row.block.0,
                &row.level.get(),
                &row.parent.0,
                &row.staker.to_string(),
                &row.commitment.0,
                &row.other_staker.to_string(),
                &row.other_commitment.0,
            ],
        )
    }

    fn alarm(&mut self, row: &Alarm) -> rusqlite::Result<usize> {
        self.row(
            "INSERT INTO alarm (seq, at, rollup, level, severity, kind, subject, message)
             VALUES (?1, ?2, (SELECT seq FROM rollup WHERE address = ?3), ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT DO NOTHING",
            &[
                &row.rollup.map(|rollup| rollup.0),
                &row.level.map(|level| level.get()),
                &row.severity.word(),
                &row.kind,
                &row.subject,
                &row.message,
            ],
        )
    }

    fn alert(&mut self, row: &AlertRow) -> rusqlite::Result<usize> {
        self.row(
            "INSERT INTO alert (seq, at, id, time, rollup, level, severity, nature, rule, subject,
                                message, slack, stake, source)
             VALUES (?1, ?2, ?3, ?4, (SELECT seq FROM rollup WHERE address = ?5), ?6, ?7, ?8, ?9,
                     ?10, ?11, ?12, ?13, ?14)
             ON CONFLICT (id) DO NOTHING",
            &[
                &number(row.id),
                &row.time,
                &row.rollup.map(|rollup| rollup.0),
                &row.level.map(|level| level.get()),
                &row.severity.word(),
                &row.nature.word(),
                &row.rule,
                &row.subject,
                &row.message,
                &row.slack,
                &row.stake.map(number),
                &row.source,
            ],
        )
    }

    fn alert_step(&mut self, row: &AlertStepRow) -> rusqlite::Result<usize> {
        self.row(
            "INSERT INTO alert_step (seq, at, alert, time, step, severity, detail, source)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            &[
                &number(row.alert),
                &row.time,
                &row.step.word(),
                &row.severity.word(),
                &row.detail,
                &row.source,
            ],
        )
    }

    fn notification(&mut self, row: &NotificationRow) -> rusqlite::Result<usize> {
        self.row(
            "INSERT INTO notification (seq, at, id, time, channel, occasion, note, alerts)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO NOTHING",
            &[
                &number(row.id),
                &row.time,
                &row.channel,
                &row.occasion,
                &row.note,
                &joined(&row.alerts),
            ],
        )
    }

    fn delivery(&mut self, row: &DeliveryRow) -> rusqlite::Result<usize> {
        self.row(
            "INSERT INTO delivery (seq, at, notification, time, attempt, outcome, problem, retry)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            &[
                &number(row.notification),
                &row.time,
                &row.attempt,
                &row.outcome.word(),
                &row.problem,
                &row.retry,
            ],
        )
    }
}

fn statement<'c, 't>(
    prepared: &'c mut HashMap<&'static str, Statement<'t>>,
    transaction: &'t Transaction<'t>,
    sql: &'static str,
) -> rusqlite::Result<&'c mut Statement<'t>> {
    use std::collections::hash_map::Entry as Slot;
    match prepared.entry(sql) {
        Slot::Occupied(slot) => Ok(slot.into_mut()),
        Slot::Vacant(slot) => Ok(slot.insert(transaction.prepare(sql)?)),
    }
}

/// Ticks of a level or commitment fit 63 bits by the protocol; more is refused, not wrapped.
pub(super) fn signed(ticks: u64) -> rusqlite::Result<i64> {
    i64::try_from(ticks).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
