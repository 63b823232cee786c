//! Reading the journal: what the tower needs to continue, and what people ask for.

use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::entry::{
    Alarm, BlockRow, ConflictRow, InboxRow, Judgement, OperationRow, PublishedRow, RollupRow,
    Severity, StateRow, UnknownRow, VerdictRow,
};
use super::{Context, JournalError, schema};
use crate::codec::{Reader as Bytes, Writer};
use crate::crypto::{Dialect, Hash};
use crate::protocol::{
    BlockHash, ChainId, Commitment, CommitmentHash, InboxHash, Level, ProtocolHash, RollupAddress,
    StateHash,
};

/// A read-only connection.
#[derive(Debug)]
pub struct Reader {
    pub(super) connection: Connection,
    pub(super) context: Context,
}

type Result<T> = std::result::Result<T, JournalError>;

impl Reader {
    /// Opens the journal at `path` for reading.
    ///
    /// # Errors
    /// [`JournalError`] when there is none, or it is not of this program's schema.
    pub fn open(path: &std::path::Path) -> Result<Self> {
        let context = Context(path.into());
        let connection = schema::open_for_reading(&context)?;
        Ok(Self {
            connection,
            context,
        })
    }

    pub(super) fn many<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let fail = |error: rusqlite::Error| self.context.database(&error);
        let mut statement = self.connection.prepare_cached(sql).map_err(fail)?;
        let rows = statement
            .query_map(parameters, |row| read(row))
            .map_err(fail)?;
        rows.collect::<rusqlite::Result<_>>().map_err(fail)
    }

    pub(super) fn one<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row(parameters, |row| read(row)).optional())
            .map_err(|error| self.context.database(&error))
    }

    /// Every rollup ever watched, oldest first.
    ///
    /// # Errors
    /// [`JournalError`] (likewise for every query below).
    pub fn rollups(&self) -> Result<Vec<RollupRow>> {
        self.many(
            "SELECT address, dialect, chain, origination_level, genesis_commitment, genesis_state,
                    kernel, protocol FROM rollup ORDER BY seq",
            [],
            |row| {
                Ok(RollupRow {
                    address: RollupAddress(row.get(0)?),
                    dialect: dialect(row, 1)?,
                    chain: ChainId(row.get(2)?),
                    origination_level: level(row, 3)?,
                    genesis_commitment: CommitmentHash(row.get(4)?),
                    genesis_state: StateHash(row.get(5)?),
                    kernel: Hash(row.get(6)?),
                    protocol: ProtocolHash(row.get(7)?),
                })
            },
        )
    }

    /// One watched rollup.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn rollup(&self, address: &RollupAddress) -> Result<Option<RollupRow>> {
        Ok(self
            .rollups()?
            .into_iter()
            .find(|row| row.address == *address))
    }

    /// The highest journalled block in force.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn head(&self) -> Result<Option<BlockRow>> {
        self.one(
            "SELECT hash, level, predecessor, timestamp, protocol, period, opens_protocol FROM block
             WHERE reverted = 0 ORDER BY level DESC LIMIT 1",
            [],
            block,
        )
    }

    /// The lowest journalled block in force.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn lowest(&self) -> Result<Option<BlockRow>> {
        self.one(
            "SELECT hash, level, predecessor, timestamp, protocol, period, opens_protocol FROM block
             WHERE reverted = 0 ORDER BY level LIMIT 1",
            [],
            block,
        )
    }

    /// A journalled block, in force or not.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn block(&self, hash: &BlockHash) -> Result<Option<BlockRow>> {
        self.one(
            "SELECT hash, level, predecessor, timestamp, protocol, period, opens_protocol FROM block WHERE hash = ?1",
            [hash.0],
            block,
        )
    }

    /// The block in force at a level.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn block_at(&self, at: Level) -> Result<Option<BlockRow>> {
        self.one(
            "SELECT hash, level, predecessor, timestamp, protocol, period, opens_protocol FROM block
             WHERE reverted = 0 AND level = ?1",
            [at.get()],
            block,
        )
    }

    /// The blocks in force from one level to another, lowest first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn blocks_between(&self, from: Level, to: Level) -> Result<Vec<BlockRow>> {
        self.many(
            "SELECT hash, level, predecessor, timestamp, protocol, period, opens_protocol FROM block
             WHERE reverted = 0 AND level BETWEEN ?1 AND ?2 ORDER BY level",
            [from.get(), to.get()],
            block,
        )
    }

    /// The blocks in force that were the first of their protocol, lowest first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn protocol_openings(&self) -> Result<Vec<BlockRow>> {
        self.many(
            "SELECT hash, level, predecessor, timestamp, protocol, period, opens_protocol FROM block
             WHERE opens_protocol = 1 AND reverted = 0 ORDER BY level",
            [],
            block,
        )
    }

    /// The lowest level in force whose inbox differs from the node's, with both pointers.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn first_inbox_mismatch(&self) -> Result<Option<(Level, InboxHash, InboxHash)>> {
        self.one(
            "SELECT inbox.level, inbox.hash, node_hash
             FROM inbox JOIN block ON inbox.block = block.seq
             WHERE node_hash <> inbox.hash AND block.reverted = 0 ORDER BY inbox.level LIMIT 1",
            [],
            |row| {
                Ok((
                    level(row, 0)?,
                    InboxHash(row.get(1)?),
                    InboxHash(row.get(2)?),
                ))
            },
        )
    }

    /// The inbox of a block.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn inbox(&self, of: &BlockHash) -> Result<Option<InboxRow>> {
        let found = self.one(
            "SELECT block.hash, inbox.level, inbox.hash, cell, content, node_hash
             FROM inbox JOIN block ON inbox.block = block.seq WHERE block.hash = ?1",
            [of.0],
            |row| {
                let content: Vec<u8> = row.get(4)?;
                Ok((
                    InboxRow {
                        block: BlockHash(row.get(0)?),
                        level: level(row, 1)?,
                        hash: InboxHash(row.get(2)?),
                        cell: row.get(3)?,
                        messages: Vec::new(),
                        node_hash: row.get::<_, Option<[u8; 32]>>(5)?.map(InboxHash),
                    },
                    content,
                ))
            },
        )?;
        let Some((mut row, content)) = found else {
            return Ok(None);
        };
        row.messages =
            decode_messages(&content).ok_or_else(|| self.context.damaged("inbox.content"))?;
        Ok(Some(row))
    }

    /// The state of a rollup at the end of a block.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn state(&self, rollup: &RollupAddress, of: &BlockHash) -> Result<Option<StateRow>> {
        let sql = format!("{STATES} AND block.hash = ?2");
        self.one(&sql, (rollup.0, of.0), |row| state(row, *rollup))
    }

    /// States on the chain in force from one level to another, lowest first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn states_between(
        &self,
        rollup: &RollupAddress,
        from: Level,
        to: Level,
    ) -> Result<Vec<StateRow>> {
        let sql = format!(
            "{STATES} AND block.reverted = 0 AND state.level BETWEEN ?2 AND ?3 ORDER BY state.level"
        );
        self.many(&sql, (rollup.0, from.get(), to.get()), |row| {
            state(row, *rollup)
        })
    }

    /// The highest known state on the chain in force.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn last_state(&self, rollup: &RollupAddress) -> Result<Option<StateRow>> {
        let sql = format!("{STATES} AND block.reverted = 0 ORDER BY block.level DESC LIMIT 1");
        self.one(&sql, [rollup.0], |row| state(row, *rollup))
    }

    /// The newest reason why states of a rollup on the chain in force are unknown, if no state at
    /// or above that level was found since.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn unknown(&self, rollup: &RollupAddress) -> Result<Option<UnknownRow>> {
        self.one(
            "SELECT block.hash, unknown_state.level, reason, detail
             FROM unknown_state JOIN block ON unknown_state.block = block.seq
             WHERE unknown_state.rollup = (SELECT seq FROM rollup WHERE address = ?1)
               AND block.reverted = 0
               AND NOT EXISTS (SELECT 1 FROM state WHERE state.rollup = unknown_state.rollup
                                                     AND state.block = unknown_state.block)
             ORDER BY unknown_state.seq DESC LIMIT 1",
            [rollup.0],
            |row| {
                Ok(UnknownRow {
                    rollup: *rollup,
                    block: BlockHash(row.get(0)?),
                    level: level(row, 1)?,
                    reason: row.get(2)?,
                    detail: row.get(3)?,
                })
            },
        )
    }

    /// Our own commitments on the chain in force with the blocks of their inbox levels, lowest first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn own_commitments(&self, rollup: &RollupAddress) -> Result<Vec<(BlockHash, Commitment)>> {
        self.many(
            "SELECT commitment.level, state, commitment.predecessor, ticks, block.hash
             FROM commitment JOIN block ON commitment.block = block.seq
             WHERE rollup = (SELECT seq FROM rollup WHERE address = ?1) AND block.reverted = 0
             ORDER BY commitment.level",
            [rollup.0],
            |row| Ok((BlockHash(row.get(4)?), commitment(row, 0)?)),
        )
    }

    /// Publications in force, in the order of the chain; those that the node's storage told first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn published(&self, rollup: &RollupAddress) -> Result<Vec<PublishedRow>> {
        self.many(
            "SELECT published.level, state, published.predecessor, ticks, block.hash,
                    published_level, staker, position
             FROM published LEFT JOIN block ON published.block = block.seq
             WHERE rollup = (SELECT seq FROM rollup WHERE address = ?1)
               AND ifnull(block.reverted, 0) = 0
             ORDER BY ifnull(published_level, 0), position, published.seq",
            [rollup.0],
            |row| {
                Ok(PublishedRow {
                    rollup: *rollup,
                    commitment: commitment(row, 0)?,
                    block: row.get::<_, Option<[u8; 32]>>(4)?.map(BlockHash),
                    published_level: row
                        .get::<_, Option<i32>>(5)?
                        .map(|number| Level::try_from(number).map_err(|e| bad(5, e)))
                        .transpose()?,
                    staker: parsed(row, 6)?,
                    position: row.get(7)?,
                })
            },
        )
    }

    /// Other operations in force on a rollup, in the order of the chain.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn operations(&self, rollup: &RollupAddress) -> Result<Vec<OperationRow>> {
        self.many(
            "SELECT block.hash, rollup_operation.level, position, kind, source, detail
             FROM rollup_operation JOIN block ON rollup_operation.block = block.seq
             WHERE rollup = (SELECT seq FROM rollup WHERE address = ?1) AND block.reverted = 0
             ORDER BY rollup_operation.level, position",
            [rollup.0],
            |row| {
                Ok(OperationRow {
                    rollup: *rollup,
                    block: BlockHash(row.get(0)?),
                    level: level(row, 1)?,
                    position: row.get(2)?,
                    kind: row.get(3)?,
                    source: parsed(row, 4)?,
                    detail: row.get(5)?,
                })
            },
        )
    }

    /// The verdict in force on each published commitment, by inbox level. A verdict that rests on
    /// a block which left the chain is not in force, nor is one on a commitment that did.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn verdicts(&self, rollup: &RollupAddress) -> Result<Vec<VerdictRow>> {
        self.many(
            "SELECT block.hash, verdict.commitment, verdict.level, verdict, field, claimed,
                    computed, reason, detail
             FROM verdict LEFT JOIN block ON verdict.block = block.seq
             WHERE verdict.seq IN
               (SELECT max(inner.seq) FROM verdict AS inner
                LEFT JOIN block AS at ON inner.block = at.seq
                WHERE inner.rollup = (SELECT seq FROM rollup WHERE address = ?1)
                  AND ifnull(at.reverted, 0) = 0
                  AND inner.commitment IN
                    (SELECT published.hash FROM published
                     LEFT JOIN block AS seen ON published.block = seen.seq
                     WHERE published.rollup = inner.rollup AND ifnull(seen.reverted, 0) = 0)
                GROUP BY inner.commitment)
             ORDER BY verdict.level, verdict.seq",
            [rollup.0],
            |row| {
                Ok(VerdictRow {
                    rollup: *rollup,
                    block: row.get::<_, Option<[u8; 32]>>(0)?.map(BlockHash),
                    commitment: CommitmentHash(row.get(1)?),
                    level: level(row, 2)?,
                    judgement: judgement(row, 3)?,
                })
            },
        )
    }

    /// Published commitments above the last cemented one without a verdict of true or false: inbox
    /// level and level of the first publication (where that is unknown, the earliest it can have).
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn unverified(&self, rollup: &RollupAddress) -> Result<Vec<(Level, Level)>> {
        self.many(
            "SELECT p.level, min(ifnull(p.published_level, p.level + 1))
             FROM published AS p LEFT JOIN block AS b ON p.block = b.seq
             WHERE p.rollup = (SELECT seq FROM rollup WHERE address = ?1)
               AND ifnull(b.reverted, 0) = 0
               AND p.level > ifnull(
                 (SELECT max(json_extract(o.detail, '$.cemented_level'))
                  FROM rollup_operation AS o JOIN block AS ob ON o.block = ob.seq
                  WHERE o.rollup = p.rollup AND ob.reverted = 0 AND json_valid(o.detail)), -1)
               AND NOT EXISTS
                 (SELECT 1 FROM verdict AS v LEFT JOIN block AS vb ON v.block = vb.seq
                  WHERE v.rollup = p.rollup AND v.commitment = p.hash
                    AND v.verdict <> 'not judgeable' AND ifnull(vb.reverted, 0) = 0)
             GROUP BY p.hash ORDER BY 2, 1",
            [rollup.0],
            |row| Ok((level(row, 0)?, level(row, 1)?)),
        )
    }

    /// How often an alarm of a kind was raised.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn alarms_of(&self, kind: &str) -> Result<u64> {
        let count: Option<i64> = self.one(
            "SELECT count(*) FROM alarm WHERE kind = ?1",
            [kind],
            |row| row.get(0),
        )?;
        Ok(count.unwrap_or(0).unsigned_abs())
    }

    /// Conflicts seen on the chain in force, by inbox level.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn conflicts(&self, rollup: &RollupAddress) -> Result<Vec<ConflictRow>> {
        self.many(
            "SELECT block.hash, conflict.level, parent, staker, commitment, other_staker,
                    other_commitment
             FROM conflict JOIN block ON conflict.block = block.seq
             WHERE rollup = (SELECT seq FROM rollup WHERE address = ?1) AND block.reverted = 0
             ORDER BY conflict.level, conflict.seq",
            [rollup.0],
            |row| {
                Ok(ConflictRow {
                    rollup: *rollup,
                    block: BlockHash(row.get(0)?),
                    level: level(row, 1)?,
                    parent: CommitmentHash(row.get(2)?),
                    staker: parsed(row, 3)?,
                    commitment: CommitmentHash(row.get(4)?),
                    other_staker: parsed(row, 5)?,
                    other_commitment: CommitmentHash(row.get(6)?),
                })
            },
        )
    }

    /// Alarms with their times, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn alarms(&self, limit: u32) -> Result<Vec<(i64, Severity, String, String)>> {
        self.many(
            "SELECT at, severity, kind, message FROM alarm ORDER BY seq DESC LIMIT ?1",
            [limit],
            |row| {
                let word: String = row.get(1)?;
                let severity = severity(&word).ok_or_else(|| bad(1, Unknown(word)))?;
                Ok((row.get(0)?, severity, row.get(2)?, row.get(3)?))
            },
        )
    }

    /// Whether an alarm of this kind and subject was raised before.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn has_alarm(&self, alarm: &Alarm) -> Result<bool> {
        let count: Option<i64> = self.one(
            "SELECT 1 FROM alarm WHERE kind = ?1 AND subject = ?2
               AND ifnull(rollup, 0) = ifnull((SELECT seq FROM rollup WHERE address = ?3), 0)",
            (alarm.kind, &alarm.subject, alarm.rollup.map(|r| r.0)),
            |row| row.get(0),
        )?;
        Ok(count.is_some())
    }

    /// Number of the newest row of any table; 0 in an empty journal.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn newest(&self) -> Result<i64> {
        let next = super::writer::next_sequence(&self.connection);
        let next = next.map_err(|error| self.context.database(&error))?;
        Ok(next.saturating_sub(1))
    }

    /// The newest run, if it was never ended: its number, and when it began as RFC 3339 text.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn unended_run(&self) -> Result<Option<(i64, String)>> {
        let run: Option<(i64, i64)> = self.one(
            "SELECT seq, at FROM run WHERE seq = (SELECT max(seq) FROM run)
             AND seq NOT IN (SELECT run FROM run_end)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok(run.map(|(run, at)| {
            let text = jiff::Timestamp::from_millisecond(at);
            (run, text.map_or_else(|_| at.to_string(), |t| t.to_string()))
        }))
    }

    /// Number of rows of each table, for tests and `doctor`.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn counts(&self) -> Result<Vec<(&'static str, u64)>> {
        super::LogKind::ALL
            .iter()
            .map(|kind| {
                let sql = format!("SELECT count(*) FROM {}", kind.table());
                let count: Option<i64> = self.one(&sql, [], |row| row.get(0))?;
                Ok((kind.name(), count.unwrap_or(0).unsigned_abs()))
            })
            .collect()
    }
}

const STATES: &str = "SELECT block.hash, state.level, state.hash, ticks, status, edges
     FROM state JOIN block ON state.block = block.seq
     WHERE state.rollup = (SELECT seq FROM rollup WHERE address = ?1)";

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a known word here")]
pub(super) struct Unknown(pub(super) String);

pub(super) fn bad(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}

pub(super) fn level(row: &Row<'_>, column: usize) -> rusqlite::Result<Level> {
    let number: i64 = row.get(column)?;
    Level::try_from(number).map_err(|error| bad(column, error))
}

pub(super) fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error| bad(column, error))
}

fn ticks(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|error| bad(column, error))
}

fn dialect(row: &Row<'_>, column: usize) -> rusqlite::Result<Dialect> {
    let word: String = row.get(column)?;
    match word.as_str() {
        "modern" => Ok(Dialect::Modern),
        "scr1" => Ok(Dialect::Scr1),
        _ => Err(bad(column, Unknown(word))),
    }
}

pub(super) fn severity(word: &str) -> Option<Severity> {
    [Severity::Notice, Severity::Warning, Severity::Critical]
        .into_iter()
        .find(|severity| severity.word() == word)
}

fn block(row: &Row<'_>) -> rusqlite::Result<BlockRow> {
    Ok(BlockRow {
        hash: BlockHash(row.get(0)?),
        level: level(row, 1)?,
        predecessor: BlockHash(row.get(2)?),
        timestamp: row.get(3)?,
        protocol: ProtocolHash(row.get(4)?),
        period: row.get(5)?,
        opens_protocol: row.get(6)?,
    })
}

fn state(row: &Row<'_>, rollup: RollupAddress) -> rusqlite::Result<StateRow> {
    let edges: String = row.get(5)?;
    Ok(StateRow {
        rollup,
        block: BlockHash(row.get(0)?),
        level: level(row, 1)?,
        hash: StateHash(row.get(2)?),
        ticks: ticks(row, 3)?,
        status: row.get(4)?,
        edges: edges
            .split(',')
            .filter(|edge| !edge.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

/// Four columns from `first` on: level, state, predecessor, ticks.
fn commitment(row: &Row<'_>, first: usize) -> rusqlite::Result<Commitment> {
    Ok(Commitment {
        inbox_level: level(row, first)?,
        compressed_state: StateHash(row.get(first + 1)?),
        predecessor: CommitmentHash(row.get(first + 2)?),
        number_of_ticks: ticks(row, first + 3)?,
    })
}

/// Six columns from `first` on: verdict, field, claimed, computed, reason, detail.
fn judgement(row: &Row<'_>, first: usize) -> rusqlite::Result<Judgement> {
    /// Fields of a commitment, as verdicts name them.
    const FIELDS: [&str; 4] = [
        "compressed_state",
        "inbox_level",
        "predecessor",
        "number_of_ticks",
    ];
    let word: String = row.get(first)?;
    match word.as_str() {
        "true" => Ok(Judgement::True),
        "false" => {
            let name: String = row.get(first + 1)?;
            let field = FIELDS
                .into_iter()
                .find(|field| *field == name)
                .ok_or_else(|| bad(first + 1, Unknown(name)))?;
            Ok(Judgement::False {
                field,
                claimed: row.get(first + 2)?,
                computed: row.get(first + 3)?,
            })
        }
        "not judgeable" => Ok(Judgement::NotJudgeable {
            reason: row.get(first + 4)?,
            detail: row.get(first + 5)?,
        }),
        _ => Err(bad(first, Unknown(word))),
    }
}

/// Messages one after another, each behind its length.
pub(super) fn encode_messages(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = Writer::new();
    for message in messages {
        writer.dynamic(message);
    }
    writer.into_bytes()
}

fn decode_messages(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut reader = Bytes::new(bytes);
    let mut messages = Vec::new();
    while !reader.is_empty() {
        messages.push(reader.dynamic("message", usize::MAX).ok()?.to_vec());
    }
    Some(messages)
}

/// The clock of the journal: milliseconds since 1970.
pub(super) fn timestamp_millis() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
