//! The rows of play, read: to continue after a restart, for people, and for evidence.

use rusqlite::Row;

use super::play::{AssertionRow, ConsentRow, Ending, Foreseen, GameName, OperationStepRow};
use super::query::{Unknown, bad, level, parsed};
use super::{JournalError, Reader};
use crate::crypto::Hash;
use crate::protocol::operation::Stakers;
use crate::protocol::{
    BlockHash, CommitmentHash, Level, OperationHash, Player, PublicKeyHash, RollupAddress,
    StateHash, Tick,
};

type Result<T> = std::result::Result<T, JournalError>;

/// A position as the journal holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPosition {
    /// The level at which it was seen.
    pub level: Level,
    /// Its name.
    pub position: Hash,
    /// Whose turn it is.
    pub turn: Player,
    /// Blocks left to alice at the last move.
    pub alice_left: i64,
    /// Blocks left to bob at the last move.
    pub bob_left: i64,
    /// Level of the last move.
    pub last_turn: Level,
    /// The game in the protocol's encoding.
    pub content: Vec<u8>,
}

/// A move of ours as the journal holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMove {
    /// The position it answers.
    pub position: Hash,
    /// `dissection`, `proof` or `none`.
    pub kind: String,
    /// The move in the protocol's encoding.
    pub refutation: Option<Vec<u8>>,
    /// What finding it took.
    pub milliseconds: u64,
    /// What it says, or why there is none.
    pub detail: String,
}

/// A decision as the journal holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDecision {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// The level it was made at.
    pub level: Level,
    /// `want`, `wait` or `drop`.
    pub verb: String,
    /// What, in one line.
    pub what: String,
    /// Why, in one line.
    pub reason: String,
    /// Last level at which it helps.
    pub deadline: Option<Level>,
    /// Blocks that can be lost.
    pub slack: Option<i64>,
    /// The mode.
    pub mode: String,
    /// Why it was not sent, if it was not.
    pub hold: Option<String>,
}

/// A hold as the journal holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredHold {
    /// The rollup; everything when there is none.
    pub rollup: Option<RollupAddress>,
    /// Why.
    pub hold: String,
    /// More about it.
    pub reason: String,
}

/// A game, with the level and the manner of its end if it is over.
type Told = (GameName, Option<(Level, Ending)>);

impl Reader {
    /// Games of a rollup, oldest first, each with how it ended on the chain in force, if it did.
    ///
    /// # Errors
    /// [`JournalError`] (likewise for every query below).
    pub fn games(&self, rollup: &RollupAddress) -> Result<Vec<Told>> {
        self.many(
            "SELECT alice, bob, start_level, inbox_level, e.level, e.result, e.loser
             FROM game LEFT JOIN game_end AS e ON e.game = game.seq
               AND (SELECT reverted FROM block WHERE block.seq = e.block) = 0
             WHERE game.rollup = (SELECT seq FROM rollup WHERE address = ?1)
             ORDER BY game.seq",
            [rollup.0],
            |row| {
                let end = row.get::<_, Option<i64>>(4)?;
                let end = match end {
                    Some(_) => Some((level(row, 4)?, ending(row, 5)?)),
                    None => None,
                };
                Ok((game(row, *rollup, 0)?, end))
            },
        )
    }

    /// Positions of a game, in the order seen.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn positions(&self, game: &GameName) -> Result<Vec<StoredPosition>> {
        let sql = format!(
            "SELECT p.level, position, turn, alice_left, bob_left, last_turn_level, content
             FROM game_position AS p WHERE game = {GAME} ORDER BY p.seq"
        );
        self.many(&sql, named(game), |row| {
            Ok(StoredPosition {
                level: level(row, 0)?,
                position: Hash(row.get(1)?),
                turn: seat(row, 2)?,
                alice_left: row.get(3)?,
                bob_left: row.get(4)?,
                last_turn: level(row, 5)?,
                content: row.get(6)?,
            })
        })
    }

    /// Our moves in a game, in the order found.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn moves(&self, game: &GameName) -> Result<Vec<StoredMove>> {
        let sql = format!(
            "SELECT position, kind, refutation, milliseconds, detail
             FROM game_move WHERE game = {GAME} ORDER BY seq"
        );
        self.many(&sql, named(game), |row| {
            Ok(StoredMove {
                position: Hash(row.get(0)?),
                kind: row.get(1)?,
                refutation: row.get(2)?,
                milliseconds: row.get::<_, i64>(3)?.unsigned_abs(),
                detail: row.get(4)?,
            })
        })
    }

    /// What is foreseen of the positions of a game, in the order found: the last one about a
    /// position holds.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn forecasts(&self, game: &GameName) -> Result<Vec<(Hash, Foreseen)>> {
        let sql = format!(
            "SELECT position, result, loser FROM game_forecast WHERE game = {GAME} ORDER BY seq"
        );
        self.many(&sql, named(game), |row| {
            let word: String = row.get(1)?;
            let foreseen = match word.as_str() {
                "loser" => Foreseen::Loser(parsed(row, 2)?),
                "draw" => Foreseen::Draw,
                "unknown" => Foreseen::Unknown,
                _ => return Err(bad(1, Unknown(word))),
            };
            Ok((Hash(row.get(0)?), foreseen))
        })
    }

    /// Consents of a rollup whose blocks are in force, oldest first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn consents(&self, rollup: &RollupAddress) -> Result<Vec<ConsentRow>> {
        self.many(
            "SELECT block.hash, consent.level, commitment, consent, detail
             FROM consent JOIN block ON consent.block = block.seq
             WHERE rollup = (SELECT seq FROM rollup WHERE address = ?1) AND block.reverted = 0
             ORDER BY consent.seq",
            [rollup.0],
            |row| {
                Ok(ConsentRow {
                    rollup: *rollup,
                    block: BlockHash(row.get(0)?),
                    level: level(row, 1)?,
                    commitment: CommitmentHash(row.get(2)?),
                    is_given: row.get::<_, String>(3)? == "given",
                    detail: row.get(4)?,
                })
            },
        )
    }

    /// The newest decisions of a rollup, newest first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn decisions(&self, rollup: &RollupAddress, limit: u32) -> Result<Vec<StoredDecision>> {
        self.many(
            "SELECT at, level, verb, what, reason, deadline, slack, mode, hold FROM decision
             WHERE rollup = (SELECT seq FROM rollup WHERE address = ?1)
             ORDER BY seq DESC LIMIT ?2",
            (rollup.0, limit),
            |row| {
                let deadline = row.get::<_, Option<i64>>(5)?;
                Ok(StoredDecision {
                    at: row.get(0)?,
                    level: level(row, 1)?,
                    verb: row.get(2)?,
                    what: row.get(3)?,
                    reason: row.get(4)?,
                    deadline: deadline.map(|_| level(row, 5)).transpose()?,
                    slack: row.get(6)?,
                    mode: row.get(7)?,
                    hold: row.get(8)?,
                })
            },
        )
    }

    /// Everything written down about our operations, oldest first, with the time in milliseconds
    /// since 1970.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn operation_steps(&self) -> Result<Vec<(i64, OperationStepRow)>> {
        self.many(
            "SELECT at, step, hash, detail FROM operation ORDER BY seq",
            [],
            numbered_step,
        )
    }

    /// What was written down about our operations after a row, oldest first, with its number.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn operation_steps_after(&self, seq: i64) -> Result<Vec<(i64, OperationStepRow)>> {
        self.many(
            "SELECT seq, step, hash, detail FROM operation WHERE seq > ?1 ORDER BY seq",
            [seq],
            numbered_step,
        )
    }

    /// Proofs of ours: how many, the milliseconds that finding them took, and their bytes.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn proofs(&self) -> Result<[u64; 3]> {
        let sums: Option<[i64; 3]> = self.one(
            "SELECT count(*), ifnull(sum(milliseconds), 0), ifnull(sum(length(refutation)), 0)
             FROM game_move WHERE kind = 'proof'",
            [],
            |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]),
        )?;
        Ok(sums.unwrap_or_default().map(i64::unsigned_abs))
    }

    /// What was asserted about the ticks of a period after a commitment.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn assertions(
        &self,
        rollup: &RollupAddress,
        period: &BlockHash,
        parent: &CommitmentHash,
    ) -> Result<Vec<AssertionRow>> {
        self.many(
            "SELECT level, tick, state FROM assertion
             WHERE rollup = (SELECT seq FROM rollup WHERE address = ?1) AND period = ?2
               AND parent = ?3 ORDER BY seq",
            (rollup.0, period.0, parent.0),
            |row| {
                Ok(AssertionRow {
                    rollup: *rollup,
                    period: *period,
                    parent: *parent,
                    level: level(row, 0)?,
                    tick: parsed::<Tick>(row, 1)?,
                    state: row.get::<_, Option<[u8; 32]>>(2)?.map(StateHash),
                })
            },
        )
    }

    /// Holds in force.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn holds(&self) -> Result<Vec<StoredHold>> {
        self.many(
            "SELECT r.address, h.hold, h.reason FROM hold AS h
             LEFT JOIN rollup AS r ON h.rollup = r.seq
             WHERE h.state = 'on' AND NOT EXISTS
               (SELECT 1 FROM hold AS later WHERE later.seq > h.seq AND later.hold = h.hold
                  AND ifnull(later.rollup, 0) = ifnull(h.rollup, 0))
             ORDER BY h.seq",
            [],
            |row| {
                Ok(StoredHold {
                    rollup: row.get::<_, Option<[u8; 20]>>(0)?.map(RollupAddress),
                    hold: row.get(1)?,
                    reason: row.get(2)?,
                })
            },
        )
    }
}

const GAME: &str =
    "(SELECT seq FROM game WHERE rollup = (SELECT seq FROM rollup WHERE address = ?1)
     AND alice = ?2 AND bob = ?3 AND start_level = ?4 AND inbox_level = ?5)";

fn named(game: &GameName) -> ([u8; 20], String, String, i32, i32) {
    (
        game.rollup.0,
        game.stakers.alice().to_string(),
        game.stakers.bob().to_string(),
        game.start.get(),
        game.inbox_level.get(),
    )
}

fn game(row: &Row<'_>, rollup: RollupAddress, first: usize) -> rusqlite::Result<GameName> {
    let alice: PublicKeyHash = parsed(row, first)?;
    let bob: PublicKeyHash = parsed(row, first + 1)?;
    Ok(GameName {
        rollup,
        stakers: Stakers::new(alice, bob),
        start: level(row, first + 2)?,
        inbox_level: level(row, first + 3)?,
    })
}

fn ending(row: &Row<'_>, first: usize) -> rusqlite::Result<Ending> {
    let word: String = row.get(first)?;
    match word.as_str() {
        "loser" => Ok(Ending::Loser(parsed(row, first + 1)?)),
        "draw" => Ok(Ending::Draw),
        "gone" => Ok(Ending::Gone),
        _ => Err(bad(first, Unknown(word))),
    }
}

fn seat(row: &Row<'_>, column: usize) -> rusqlite::Result<Player> {
    let word: String = row.get(column)?;
    match word.as_str() {
        "alice" => Ok(Player::Alice),
        "bob" => Ok(Player::Bob),
        _ => Err(bad(column, Unknown(word))),
    }
}

/// A number, of whatever kind was asked for, and a step of an operation.
fn numbered_step(row: &Row<'_>) -> rusqlite::Result<(i64, OperationStepRow)> {
    Ok((
        row.get(0)?,
        OperationStepRow {
            step: row.get(1)?,
            hash: row.get::<_, Option<[u8; 32]>>(2)?.map(OperationHash),
            detail: row.get(3)?,
        },
    ))
}
