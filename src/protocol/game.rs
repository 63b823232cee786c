//! A refutation game as layer 1 stores and shows it, its clocks and how it ends.
//!
//! Source: `sc_rollup_game_repr.ml`, `sc_rollup_refutation_storage.ml`.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::json::{Fields, JsonError};
use super::operation::{DissectionChunk, Stakers, read_dissection, write_dissection};
use super::{DalSnapshot, HistoryCell, Level, PublicKeyHash};
use crate::codec::{DecodeError, Reader, Writer};
use crate::crypto::Dialect;

/// A seat at the table. Alice is the smaller of the two accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Player {
    /// The smaller account.
    Alice,
    /// The larger account.
    Bob,
}

impl Player {
    /// The other seat.
    #[must_use]
    pub const fn opponent(self) -> Self {
        match self {
            Self::Alice => Self::Bob,
            Self::Bob => Self::Alice,
        }
    }

    /// The seat of `account` in a game against `other`.
    #[must_use]
    pub fn seat(account: &PublicKeyHash, other: &PublicKeyHash) -> Self {
        if account <= other {
            Self::Alice
        } else {
            Self::Bob
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Alice => "alice",
            Self::Bob => "bob",
        }
    }
}

impl Stakers {
    /// The account in a seat.
    #[must_use]
    pub const fn account(&self, player: Player) -> PublicKeyHash {
        match player {
            Player::Alice => self.alice(),
            Player::Bob => self.bob(),
        }
    }
}

/// A running game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Game {
    /// Whose turn it is.
    pub turn: Player,
    /// Inbox against which proofs are judged.
    pub inbox_snapshot: HistoryCell,
    /// Data-availability history against which proofs are judged.
    pub dal_snapshot: DalSnapshot,
    /// Level of the opening.
    pub start_level: Level,
    /// Inbox level of the disputed commitment.
    pub inbox_level: Level,
    /// Where it stands.
    pub state: GameState,
}

/// Where a game stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GameState {
    /// The disputed section is still wider than a tick, or nobody has proved anything.
    Dissecting {
        /// The last dissection, or the initial three chunks.
        dissection: Vec<DissectionChunk>,
        /// Sections a dissection must have where there is room.
        default_number_of_sections: u8,
    },
    /// A first proof failed; the other player may prove.
    FinalMove {
        /// Start of the section.
        agreed_start: DissectionChunk,
        /// Its stop, which the failed proof refuted.
        refuted_stop: DissectionChunk,
    },
}

impl Game {
    /// Appends the binary form (since Paris).
    pub fn write(&self, writer: &mut Writer) {
        writer.u8(match self.turn {
            Player::Alice => 0,
            Player::Bob => 1,
        });
        self.inbox_snapshot.write(writer);
        self.dal_snapshot.write(writer);
        writer
            .i32(self.start_level.get())
            .i32(self.inbox_level.get());
        match &self.state {
            GameState::Dissecting {
                dissection,
                default_number_of_sections,
            } => {
                write_dissection(dissection, writer.u8(0));
                writer.u8(*default_number_of_sections);
            }
            GameState::FinalMove {
                agreed_start,
                refuted_stop,
            } => {
                agreed_start.write(writer.u8(1));
                refuted_stop.write(writer);
            }
        }
    }

    /// Reads the binary form (since Paris).
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        let turn = match reader.u8("turn")? {
            0 => Player::Alice,
            1 => Player::Bob,
            tag => return Err(start.invalid("turn", format!("unknown tag {tag}"))),
        };
        Ok(Self {
            turn,
            inbox_snapshot: HistoryCell::read(reader)?,
            dal_snapshot: DalSnapshot::read(reader)?,
            start_level: read_level(reader)?,
            inbox_level: read_level(reader)?,
            state: GameState::read(reader)?,
        })
    }

    /// The node's JSON form (since Paris).
    #[must_use]
    pub fn to_json(&self, dialect: Dialect) -> Value {
        json!({
            "turn": self.turn.name(),
            "inbox_snapshot": self.inbox_snapshot.to_json(dialect),
            "dal_snapshot": self.dal_snapshot.to_json(),
            "start_level": self.start_level.get(),
            "inbox_level": self.inbox_level.get(),
            "game_state": self.state.to_json(dialect),
        })
    }

    /// Reads the node's JSON form (since Paris).
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn from_json(json: &Value, dialect: Dialect) -> Result<Self, JsonError> {
        let fields = Fields::new("game", json)?;
        let turn = match fields.text("turn")? {
            "alice" => Player::Alice,
            "bob" => Player::Bob,
            other => return Err(fields.error("turn", format!("is {other:?}"))),
        };
        Ok(Self {
            turn,
            inbox_snapshot: HistoryCell::from_json(fields.value("inbox_snapshot")?, dialect)?,
            dal_snapshot: DalSnapshot::from_json(fields.value("dal_snapshot")?)?,
            start_level: fields.level("start_level")?,
            inbox_level: fields.level("inbox_level")?,
            state: GameState::from_json(fields.value("game_state")?, dialect)?,
        })
    }
}

fn read_level(reader: &mut Reader<'_>) -> Result<Level, DecodeError> {
    let at = reader.clone();
    Level::try_from(reader.i32("level")?).map_err(|e| at.invalid("level", e.to_string()))
}

impl GameState {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        match reader.u8("game state")? {
            0 => Ok(Self::Dissecting {
                dissection: read_dissection(reader)?,
                default_number_of_sections: reader.u8("number of sections")?,
            }),
            1 => Ok(Self::FinalMove {
                agreed_start: DissectionChunk::read(reader)?,
                refuted_stop: DissectionChunk::read(reader)?,
            }),
            tag => Err(start.invalid("game state", format!("unknown tag {tag}"))),
        }
    }

    fn to_json(&self, dialect: Dialect) -> Value {
        match self {
            Self::Dissecting {
                dissection,
                default_number_of_sections,
            } => {
                let chunks: Vec<_> = dissection.iter().map(|c| c.to_json(dialect)).collect();
                json!({
                    "kind": "Dissecting",
                    "dissection": chunks,
                    "default_number_of_sections": default_number_of_sections,
                })
            }
            Self::FinalMove {
                agreed_start,
                refuted_stop,
            } => json!({
                "kind": "Final_move",
                "agreed_start_chunk": agreed_start.to_json(dialect),
                "refuted_stop_chunk": refuted_stop.to_json(dialect),
            }),
        }
    }

    fn from_json(json: &Value, dialect: Dialect) -> Result<Self, JsonError> {
        let fields = Fields::new("game state", json)?;
        let chunk = |json| DissectionChunk::from_json(json, dialect);
        match fields.text("kind")? {
            "Dissecting" => {
                let chunks: Result<_, _> = fields.list("dissection")?.iter().map(chunk).collect();
                Ok(Self::Dissecting {
                    dissection: chunks?,
                    default_number_of_sections: fields.number("default_number_of_sections")?,
                })
            }
            "Final_move" => Ok(Self::FinalMove {
                agreed_start: chunk(fields.value("agreed_start_chunk")?)?,
                refuted_stop: chunk(fields.value("refuted_stop_chunk")?)?,
            }),
            other => Err(fields.error("kind", format!("is {other:?}"))),
        }
    }
}

/// The chess clock of a game, in blocks, as of the last move. Its arithmetic is in `game`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Blocks left to alice; negative when she moved late.
    pub alice: i32,
    /// Blocks left to bob.
    pub bob: i32,
    /// Level of the last move, or of the opening.
    #[serde(rename = "last_turn_level")]
    pub last_turn: Level,
}

/// Why a player lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LossReason {
    /// By a proof, or by losing the stake elsewhere.
    ConflictResolved,
    /// By the clock.
    Timeout,
}

/// How a game ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GameResult {
    /// One player lost.
    Loser {
        /// Why.
        reason: LossReason,
        /// Who.
        loser: PublicKeyHash,
    },
    /// Both lost.
    Draw,
}

/// As the protocol prints it (`pp_game_result`).
impl fmt::Display for GameResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (loser, reason) = match self {
            Self::Draw => return f.write_str("Draw"),
            Self::Loser { loser, reason } => (loser, reason),
        };
        let reason = match reason {
            LossReason::ConflictResolved => "conflict resolved",
            LossReason::Timeout => "timeout",
        };
        write!(f, "{loser} lost because: {reason}")
    }
}

/// What a receipt of a move or timeout says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GameStatus {
    /// It goes on.
    Ongoing,
    /// It is over.
    Ended(GameResult),
}

impl LossReason {
    const fn name(self) -> &'static str {
        match self {
            Self::ConflictResolved => "conflict_resolved",
            Self::Timeout => "timeout",
        }
    }
}

impl GameResult {
    /// Appends the binary form.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            Self::Loser { reason, loser } => {
                let reason = match reason {
                    LossReason::ConflictResolved => 0,
                    LossReason::Timeout => 1,
                };
                loser.write(writer.u8(0).u8(reason));
            }
            Self::Draw => {
                writer.u8(1);
            }
        }
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        let invalid = |tag| start.invalid("game result", format!("unknown tag {tag}"));
        match reader.u8("game result")? {
            0 => {
                let reason = match reader.u8("reason")? {
                    0 => LossReason::ConflictResolved,
                    1 => LossReason::Timeout,
                    tag => return Err(invalid(tag)),
                };
                let loser = PublicKeyHash::read(reader)?;
                Ok(Self::Loser { reason, loser })
            }
            1 => Ok(Self::Draw),
            tag => Err(invalid(tag)),
        }
    }

    /// The node's JSON form.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Loser { reason, loser } => json!({
                "kind": "loser",
                "reason": reason.name(),
                "player": loser.to_string(),
            }),
            Self::Draw => json!({ "kind": "draw" }),
        }
    }

    /// Reads the node's JSON form.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn from_json(json: &Value) -> Result<Self, JsonError> {
        let fields = Fields::new("game result", json)?;
        match fields.text("kind")? {
            "draw" => Ok(Self::Draw),
            "loser" => Ok(Self::Loser {
                reason: match fields.text("reason")? {
                    "conflict_resolved" => LossReason::ConflictResolved,
                    "timeout" => LossReason::Timeout,
                    other => return Err(fields.error("reason", format!("is {other:?}"))),
                },
                loser: fields.parsed("player")?,
            }),
            other => Err(fields.error("kind", format!("is {other:?}"))),
        }
    }
}

impl GameStatus {
    /// The node's JSON form.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Ongoing => "ongoing".into(),
            Self::Ended(result) => json!({ "result": result.to_json() }),
        }
    }

    /// Reads the node's JSON form.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn from_json(json: &Value) -> Result<Self, JsonError> {
        if json == "ongoing" {
            return Ok(Self::Ongoing);
        }
        let fields = Fields::new("game status", json)?;
        GameResult::from_json(fields.value("result")?).map(Self::Ended)
    }
}
