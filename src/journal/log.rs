//! The journal as one record for people and programs: what `watchtower log` prints.

use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde_json::{Map, Value};

use super::{JournalError, Reader};
use crate::crypto::Dialect;
use crate::protocol::{
    BlockHash, ChainId, CommitmentHash, Dialected, InboxHash, Level, OperationHash, ProtocolHash,
    RollupAddress, StateHash,
};

/// A kind of journal row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogKind {
    /// The program started.
    Run,
    /// The program stopped in an orderly way.
    RunEnd,
    /// A rollup came under watch.
    Rollup,
    /// A block.
    Block,
    /// Blocks left the chain.
    Reorganisation,
    /// An inbox.
    Inbox,
    /// A state.
    State,
    /// A state that cannot be known.
    Unknown,
    /// Our own commitment.
    Commitment,
    /// A publication.
    Published,
    /// Another operation.
    Operation,
    /// A verdict.
    Verdict,
    /// A conflict.
    Conflict,
    /// An alarm.
    Alarm,
    /// An alert.
    Alert,
    /// What became of an alert.
    AlertStep,
    /// A message to people.
    Notification,
    /// A try to deliver a message.
    Delivery,
    /// A game.
    Game,
    /// A position of a game.
    Position,
    /// The end of a game.
    GameEnd,
    /// A move of ours.
    Move,
    /// Who wins from a position on.
    Forecast,
    /// A decision.
    Decision,
    /// Whether we may stake.
    Consent,
    /// Something about an operation of ours.
    Sent,
    /// A hash asserted.
    Assertion,
    /// Sending stopped, or let go on.
    Hold,
}

impl LogKind {
    /// Every kind.
    pub const ALL: [Self; 28] = [
        Self::Run,
        Self::RunEnd,
        Self::Rollup,
        Self::Block,
        Self::Reorganisation,
        Self::Inbox,
        Self::State,
        Self::Unknown,
        Self::Commitment,
        Self::Published,
        Self::Operation,
        Self::Verdict,
        Self::Conflict,
        Self::Alarm,
        Self::Alert,
        Self::AlertStep,
        Self::Notification,
        Self::Delivery,
        Self::Game,
        Self::Position,
        Self::GameEnd,
        Self::Move,
        Self::Forecast,
        Self::Decision,
        Self::Consent,
        Self::Sent,
        Self::Assertion,
        Self::Hold,
    ];

    /// Its name on the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::RunEnd => "run-end",
            Self::Rollup => "rollup",
            Self::Block => "block",
            Self::Reorganisation => "reorganisation",
            Self::Inbox => "inbox",
            Self::State => "state",
            Self::Unknown => "unknown",
            Self::Commitment => "commitment",
            Self::Published => "published",
            Self::Operation => "operation",
            Self::Verdict => "verdict",
            Self::Conflict => "conflict",
            Self::Alarm => "alarm",
            Self::Alert => "alert",
            Self::AlertStep => "alert-step",
            Self::Notification => "notification",
            Self::Delivery => "delivery",
            Self::Game => "game",
            Self::Position => "position",
            Self::GameEnd => "game-end",
            Self::Move => "move",
            Self::Forecast => "forecast",
            Self::Decision => "decision",
            Self::Consent => "consent",
            Self::Sent => "sent",
            Self::Assertion => "assertion",
            Self::Hold => "hold",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether there is one of it per level, which floods a listing for people.
    #[must_use]
    pub const fn is_per_level(self) -> bool {
        matches!(self, Self::Block | Self::Inbox | Self::State)
    }

    pub(super) const fn table(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::RunEnd => "run_end",
            Self::Rollup => "rollup",
            Self::Block => "block",
            Self::Reorganisation => "reorganisation",
            Self::Inbox => "inbox",
            Self::State => "state",
            Self::Unknown => "unknown_state",
            Self::Commitment => "commitment",
            Self::Published => "published",
            Self::Operation => "rollup_operation",
            Self::Verdict => "verdict",
            Self::Conflict => "conflict",
            Self::Alarm => "alarm",
            Self::Alert => "alert",
            Self::AlertStep => "alert_step",
            Self::Notification => "notification",
            Self::Delivery => "delivery",
            Self::Game => "game",
            Self::Position => "game_position",
            Self::GameEnd => "game_end",
            Self::Move => "game_move",
            Self::Forecast => "game_forecast",
            Self::Decision => "decision",
            Self::Consent => "consent",
            Self::Sent => "operation",
            Self::Assertion => "assertion",
            Self::Hold => "hold",
        }
    }

    /// Whether rows of it come from telling people, not from the chain or what was made of it.
    #[must_use]
    pub const fn is_telling(self) -> bool {
        matches!(
            self,
            Self::Alert | Self::AlertStep | Self::Notification | Self::Delivery
        )
    }

    /// Columns and tables to read; the first four columns are seq, at, level, rollup's address.
    const fn select(self) -> &'static str {
        match self {
            Self::Run => "t.seq, t.at, NULL, NULL, t.version, t.command FROM run t",
            Self::RunEnd => "t.seq, t.at, NULL, NULL, t.run, t.outcome FROM run_end t",
            Self::Rollup => {
                "t.seq, t.at, t.origination_level AS level, t.address AS rollup_address, t.chain,
                 t.genesis_commitment, t.genesis_state, t.protocol FROM rollup t"
            }
            Self::Block => {
                "t.seq, t.at, t.level, NULL, t.hash AS block, t.predecessor AS predecessor_block,
                 t.timestamp, t.protocol, t.reverted FROM block t"
            }
            Self::Reorganisation => {
                "t.seq, t.at, t.fork_level AS level, NULL, t.fork AS block,
                 t.old_head AS old_block, t.old_level FROM reorganisation t"
            }
            Self::Inbox => {
                "t.seq, t.at, t.level, NULL, b.hash AS block, t.hash AS inbox, t.messages,
                 t.node_hash AS node_inbox FROM inbox t JOIN block b ON t.block = b.seq"
            }
            Self::State => {
                "t.seq, t.at, t.level, r.address, b.hash AS block, t.hash AS state, t.ticks,
                 t.status, t.edges FROM state t JOIN block b ON t.block = b.seq
                 JOIN rollup r ON t.rollup = r.seq"
            }
            Self::Unknown => {
                "t.seq, t.at, t.level, r.address, b.hash AS block, t.reason, t.detail
                 FROM unknown_state t JOIN block b ON t.block = b.seq
                 JOIN rollup r ON t.rollup = r.seq"
            }
            Self::Commitment => {
                "t.seq, t.at, t.level, r.address, b.hash AS block, t.hash AS commitment, t.state,
                 t.predecessor, t.ticks FROM commitment t JOIN block b ON t.block = b.seq
                 JOIN rollup r ON t.rollup = r.seq"
            }
            Self::Published => {
                "t.seq, t.at, t.level, r.address, b.hash AS block, t.published_level, t.staker,
                 t.hash AS commitment, t.state, t.predecessor, t.ticks
                 FROM published t LEFT JOIN block b ON t.block = b.seq
                 JOIN rollup r ON t.rollup = r.seq"
            }
            Self::Operation => {
                "t.seq, t.at, t.level, r.address, b.hash AS block, t.kind, t.source, t.detail
                 FROM rollup_operation t JOIN block b ON t.block = b.seq
                 JOIN rollup r ON t.rollup = r.seq"
            }
            Self::Verdict => {
                "t.seq, t.at, t.level, r.address, t.commitment, t.verdict, t.field, t.claimed,
                 t.computed, t.reason, t.detail FROM verdict t JOIN rollup r ON t.rollup = r.seq"
            }
            Self::Conflict => {
                "t.seq, t.at, t.level, r.address, b.hash AS block, t.parent AS predecessor,
                 t.staker, t.commitment, t.other_staker, t.other_commitment
                 FROM conflict t JOIN block b ON t.block = b.seq
                 JOIN rollup r ON t.rollup = r.seq"
            }
            Self::Alarm => {
                "t.seq, t.at, t.level, r.address, t.severity, t.kind, t.subject, t.message
                 FROM alarm t LEFT JOIN rollup r ON t.rollup = r.seq"
            }
            Self::Alert => {
                "t.seq, t.at, t.level, r.address, t.id AS alert, t.severity, t.nature, t.rule,
                 t.subject, t.message, t.slack, t.stake
                 FROM alert t LEFT JOIN rollup r ON t.rollup = r.seq"
            }
            Self::AlertStep => {
                "t.seq, t.at, NULL, NULL, t.alert, t.step, t.severity, t.detail FROM alert_step t"
            }
            Self::Notification => {
                "t.seq, t.at, NULL, NULL, t.id AS notification, t.channel, t.occasion, t.note,
                 t.alerts FROM notification t"
            }
            Self::Delivery => {
                "t.seq, t.at, NULL, NULL, t.notification, t.attempt, t.outcome, t.problem
                 FROM delivery t"
            }
            Self::Game => {
                "t.seq, t.at, t.level, r.address, b.hash AS block, t.alice, t.bob, t.start_level,
                 t.inbox_level FROM game t JOIN block b ON t.block = b.seq
                 JOIN rollup r ON t.rollup = r.seq"
            }
            Self::Position => {
                "t.seq, t.at, t.level, r.address, g.alice, g.bob, g.start_level, t.position,
                 t.turn, t.alice_left, t.bob_left, t.last_turn_level, t.stage
                 FROM game_position t JOIN game g ON t.game = g.seq
                 JOIN rollup r ON g.rollup = r.seq"
            }
            Self::GameEnd => {
                "t.seq, t.at, t.level, r.address, b.hash AS block, g.alice, g.bob, g.start_level,
                 t.result, t.loser, t.reason FROM game_end t JOIN game g ON t.game = g.seq
                 JOIN block b ON t.block = b.seq JOIN rollup r ON g.rollup = r.seq"
            }
            Self::Move => {
                "t.seq, t.at, NULL, r.address, g.alice, g.bob, g.start_level, t.position,
                 t.kind AS move, length(t.refutation) AS size, t.milliseconds, t.detail
                 FROM game_move t JOIN game g ON t.game = g.seq
                 JOIN rollup r ON g.rollup = r.seq"
            }
            Self::Forecast => {
                "t.seq, t.at, NULL, r.address, g.alice, g.bob, g.start_level, t.position,
                 t.result, t.loser FROM game_forecast t JOIN game g ON t.game = g.seq
                 JOIN rollup r ON g.rollup = r.seq"
            }
            Self::Decision => {
                "t.seq, t.at, t.level, r.address, b.hash AS block, t.verb, t.what, t.reason,
                 t.deadline, t.slack, t.mode, t.hold FROM decision t
                 JOIN block b ON t.block = b.seq JOIN rollup r ON t.rollup = r.seq"
            }
            Self::Consent => {
                "t.seq, t.at, t.level, r.address, b.hash AS block, t.commitment, t.consent,
                 t.detail FROM consent t JOIN block b ON t.block = b.seq
                 JOIN rollup r ON t.rollup = r.seq"
            }
            Self::Sent => {
                "t.seq, t.at, NULL, NULL, t.step, t.hash AS operation, t.detail FROM operation t"
            }
            Self::Assertion => {
                "t.seq, t.at, t.level, r.address, t.period AS block, t.parent AS predecessor,
                 t.tick, t.state FROM assertion t JOIN rollup r ON t.rollup = r.seq"
            }
            Self::Hold => {
                "t.seq, t.at, NULL, r.address, t.hold, t.state AS turned, t.reason
                 FROM hold t LEFT JOIN rollup r ON t.rollup = r.seq"
            }
        }
    }

    const fn level_column(self) -> &'static str {
        match self {
            Self::Run
            | Self::RunEnd
            | Self::AlertStep
            | Self::Notification
            | Self::Delivery
            | Self::Move
            | Self::Forecast
            | Self::Sent
            | Self::Hold => "NULL",
            Self::Rollup => "t.origination_level",
            Self::Reorganisation => "t.fork_level",
            _ => "t.level",
        }
    }

    const fn rollup_column(self) -> &'static str {
        match self {
            Self::Run
            | Self::RunEnd
            | Self::Block
            | Self::Reorganisation
            | Self::Inbox
            | Self::AlertStep
            | Self::Notification
            | Self::Delivery
            | Self::Sent => "NULL",
            Self::Rollup => "t.address",
            _ => "r.address",
        }
    }
}

/// Which rows to list.
#[derive(Debug, Clone, Default)]
pub struct LogFilter {
    /// Kinds wanted; empty means all.
    pub kinds: Vec<LogKind>,
    /// Only rows of this rollup (rows of no rollup are left out).
    pub rollup: Option<RollupAddress>,
    /// Only rows at or above this level.
    pub from: Option<Level>,
    /// Only rows at or below this level.
    pub to: Option<Level>,
    /// Only rows after this sequence number.
    pub after: i64,
    /// The newest so many of those.
    pub limit: Option<u32>,
}

/// One row of the record.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRow {
    /// Place in the record.
    pub seq: i64,
    /// When it was written, milliseconds since 1970.
    pub at: i64,
    /// Its kind.
    pub kind: LogKind,
    /// The level it is about.
    pub level: Option<i64>,
    /// The rollup it is about, in its chain's dialect.
    pub rollup: Option<String>,
    /// Everything else, by column.
    pub data: Map<String, Value>,
}

impl LogRow {
    /// One JSON object, keys in a fixed order.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("seq".into(), self.seq.into());
        object.insert("at".into(), self.time().into());
        object.insert("kind".into(), self.kind.name().into());
        if let Some(level) = self.level {
            object.insert("level".into(), level.into());
        }
        if let Some(rollup) = &self.rollup {
            object.insert("rollup".into(), rollup.clone().into());
        }
        for (key, value) in &self.data {
            // An alarm's or operation's own kind must not hide the row's.
            let key = if key == "kind" { "what" } else { key };
            object.insert(key.into(), value.clone());
        }
        Value::Object(object)
    }

    /// Its time as RFC 3339 text.
    #[must_use]
    pub fn time(&self) -> String {
        jiff::Timestamp::from_millisecond(self.at)
            .map_or_else(|_| self.at.to_string(), |time| time.to_string())
    }
}

impl Reader {
    /// The rows that pass the filter, oldest first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn log(&self, filter: &LogFilter) -> Result<Vec<LogRow>, JournalError> {
        // All kinds as of one moment: who goes on after the last row of an answer would otherwise
        // never see a row of a kind asked first that was written while the others were asked.
        let moment = self.connection.unchecked_transaction();
        let moment = moment.map_err(|error| self.context.database(&error))?;
        let dialects = self.rollups()?;
        let dialect_of = |address: &[u8; 20]| {
            dialects
                .iter()
                .find(|row| row.address.0 == *address)
                .map(|row| row.dialect)
        };
        let chain = dialects.first().map_or(Dialect::Modern, |row| row.dialect);
        let kinds: &[LogKind] = if filter.kinds.is_empty() {
            &LogKind::ALL
        } else {
            &filter.kinds
        };
        let limit = filter.limit.map_or(-1, i64::from);
        let mut rows = Vec::new();
        for kind in kinds {
            let sql = format!(
                "SELECT {} WHERE t.seq > ?1 AND (?2 IS NULL OR {} = ?2)
                 AND (?3 IS NULL OR {level} >= ?3) AND (?4 IS NULL OR {level} <= ?4)
                 ORDER BY t.seq DESC LIMIT ?5",
                kind.select(),
                kind.rollup_column(),
                level = kind.level_column(),
            );
            let parameters = (
                filter.after,
                filter.rollup.map(|rollup| rollup.0),
                filter.from.map(Level::get),
                filter.to.map(Level::get),
                limit,
            );
            rows.extend(self.many(&sql, parameters, |row| {
                let address: Option<[u8; 20]> = row.get(3)?;
                let dialect = address.as_ref().and_then(dialect_of).unwrap_or(chain);
                Ok(LogRow {
                    seq: row.get(0)?,
                    at: row.get(1)?,
                    kind: *kind,
                    level: row.get(2)?,
                    rollup: address.map(|bytes| RollupAddress(bytes).text(dialect)),
                    data: columns(row, dialect)?,
                })
            })?);
        }
        drop(moment);
        rows.sort_by_key(|row| std::cmp::Reverse(row.seq));
        if let Some(limit) = filter.limit {
            rows.truncate(limit as usize);
        }
        rows.reverse();
        Ok(rows)
    }
}

/// The columns after the first four, hashes as the chain writes them, empty ones left out.
fn columns(row: &Row<'_>, dialect: Dialect) -> rusqlite::Result<Map<String, Value>> {
    let names: Vec<String> = row.as_ref().column_names().map(str::to_owned).collect();
    let mut data = Map::new();
    for (index, name) in names.iter().enumerate().skip(4) {
        let value = match row.get_ref(index)? {
            ValueRef::Null => continue,
            ValueRef::Integer(number) if name == "reverted" => Value::Bool(number != 0),
            // Ticks are written as the chain writes them: decimal text.
            ValueRef::Integer(number) if name == "ticks" => Value::String(number.to_string()),
            ValueRef::Integer(number) => number.into(),
            ValueRef::Real(number) => number.into(),
            ValueRef::Text(text) => text_value(name, &String::from_utf8_lossy(text)),
            ValueRef::Blob(bytes) => Value::String(hash_text(name, bytes, dialect)),
        };
        data.insert(name.clone(), value);
    }
    Ok(data)
}

fn text_value(name: &str, text: &str) -> Value {
    match name {
        "edges" => text
            .split(',')
            .filter(|edge| !edge.is_empty())
            .map(|edge| Value::String(edge.into()))
            .collect(),
        "detail" => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.into())),
        _ => Value::String(text.into()),
    }
}

fn hash_text(name: &str, bytes: &[u8], dialect: Dialect) -> String {
    if let Ok(chain) = <[u8; 4]>::try_from(bytes) {
        return ChainId(chain).to_string();
    }
    let Ok(hash) = <[u8; 32]>::try_from(bytes) else {
        return hex::encode(bytes);
    };
    match name {
        "block" | "old_block" | "predecessor_block" => BlockHash(hash).to_string(),
        "protocol" => ProtocolHash(hash).to_string(),
        "state" | "genesis_state" => StateHash(hash).text(dialect),
        "inbox" | "node_inbox" => InboxHash(hash).text(dialect),
        "operation" => OperationHash(hash).to_string(),
        "position" => hex::encode(hash),
        _ => CommitmentHash(hash).text(dialect),
    }
}
