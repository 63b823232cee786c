//! What the tower decides and does, as rows: games and positions, moves, operations, assertions.
//!
//! Promises: a row written twice is there once; what was asserted about a point is found again
//! whatever happened since. Refuses to know: what follows from any of it.

use super::entry::Entry;
use crate::crypto::Hash;
use crate::protocol::operation::Stakers;
use crate::protocol::{
    BlockHash, CommitmentHash, Level, OperationHash, Player, PublicKeyHash, RollupAddress,
    StateHash, Tick,
};

/// Names a game: a pair of stakers plays one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GameName {
    /// The rollup.
    pub rollup: RollupAddress,
    /// The players.
    pub stakers: Stakers,
    /// Level of the opening.
    pub start: Level,
    /// Inbox level of the disputed commitment.
    pub inbox_level: Level,
}

/// A game seen for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GameRow {
    /// Its name.
    pub game: GameName,
    /// The block at which it was seen.
    pub block: BlockHash,
    /// Level of that block.
    pub level: Level,
}

/// A position of a game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionRow {
    /// The game.
    pub game: GameName,
    /// The block at which it was seen.
    pub block: BlockHash,
    /// Level of that block.
    pub level: Level,
    /// Names the position.
    pub position: Hash,
    /// Whose turn it is.
    pub turn: Player,
    /// Blocks left to alice at the last move.
    pub alice_left: i64,
    /// Blocks left to bob at the last move.
    pub bob_left: i64,
    /// Level of the last move.
    pub last_turn: Level,
    /// `dissecting` or `final move`.
    pub stage: &'static str,
    /// The game in the protocol's encoding.
    pub content: Vec<u8>,
}

/// How a game ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// One player lost.
    Loser(PublicKeyHash),
    /// Both lost.
    Draw,
    /// It is no longer on the chain, and no operation seen ended it.
    Gone,
}

/// The end of a game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GameEndRow {
    /// The game.
    pub game: GameName,
    /// The block.
    pub block: BlockHash,
    /// Its level.
    pub level: Level,
    /// How it ended.
    pub ending: Ending,
    /// The protocol's reason.
    pub reason: Option<String>,
}

/// Our move in a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveRow {
    /// The game.
    pub game: GameName,
    /// The position.
    pub position: Hash,
    /// `dissection`, `proof`, or `none` when we have no move.
    pub kind: &'static str,
    /// The move in the protocol's encoding.
    pub refutation: Option<Vec<u8>>,
    /// What finding it took.
    pub milliseconds: u64,
    /// What it says, or why there is none.
    pub detail: String,
}

/// Who wins from a position on if both play the rest honestly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreseen {
    /// This player loses.
    Loser(PublicKeyHash),
    /// Both lose.
    Draw,
    /// Our machine cannot say.
    Unknown,
}

/// A forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForecastRow {
    /// The game.
    pub game: GameName,
    /// The position.
    pub position: Hash,
    /// What is foreseen.
    pub foreseen: Foreseen,
}

/// Whether something is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// It is wanted on the chain.
    Want,
    /// It will be, once a reason is gone.
    Wait,
    /// It is no longer wanted: done, or overtaken.
    Drop,
}

impl Verb {
    /// The word in the journal.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Want => "want",
            Self::Wait => "wait",
            Self::Drop => "drop",
        }
    }
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionRow {
    /// The rollup.
    pub rollup: RollupAddress,
    /// The block it was made at.
    pub block: BlockHash,
    /// Its level.
    pub level: Level,
    /// Wanted or not.
    pub verb: Verb,
    /// What, in one line.
    pub what: String,
    /// Why, in one line.
    pub reason: String,
    /// Last level at which it helps.
    pub deadline: Option<Level>,
    /// Blocks that can be lost.
    pub slack: Option<i64>,
    /// The mode.
    pub mode: &'static str,
    /// Why it is not sent, if it is not.
    pub hold: Option<&'static str>,
}

/// Whether we may stake on our own commitment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentRow {
    /// The rollup.
    pub rollup: RollupAddress,
    /// The block of the commitment's inbox level.
    pub block: BlockHash,
    /// That level.
    pub level: Level,
    /// The commitment.
    pub commitment: CommitmentHash,
    /// Whether we may.
    pub is_given: bool,
    /// What was compared, or why we may not.
    pub detail: String,
}

/// Something written down about an operation of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationStepRow {
    /// What, in one word.
    pub step: String,
    /// The operation, if it has a hash.
    pub hash: Option<OperationHash>,
    /// All of it, as JSON.
    pub detail: String,
}

/// One hash asserted on the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssertionRow {
    /// The rollup.
    pub rollup: RollupAddress,
    /// Block of the inbox level: it fixes every message of the period.
    pub period: BlockHash,
    /// The commitment before.
    pub parent: CommitmentHash,
    /// The inbox level.
    pub level: Level,
    /// The tick, from the commitment before.
    pub tick: Tick,
    /// The state there; none when the machine is claimed to be stuck.
    pub state: Option<StateHash>,
}

/// Sending was stopped, or let go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRow {
    /// The rollup; everything when there is none.
    pub rollup: Option<RollupAddress>,
    /// Why: `brake`, `contradiction` or `stand by`.
    pub hold: &'static str,
    /// Whether it begins.
    pub is_on: bool,
    /// More about it.
    pub reason: String,
}

/// Everything that this part of the journal holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlayEntry {
    /// A game.
    Game(GameRow),
    /// A position of a game.
    Position(PositionRow),
    /// The end of a game.
    End(GameEndRow),
    /// A move of ours.
    Move(MoveRow),
    /// A forecast.
    Forecast(ForecastRow),
    /// A decision.
    Decision(DecisionRow),
    /// A consent.
    Consent(ConsentRow),
    /// Something about an operation of ours.
    Operation(OperationStepRow),
    /// An assertion.
    Assertion(AssertionRow),
    /// A hold.
    Hold(HoldRow),
}

impl From<PlayEntry> for Entry {
    fn from(entry: PlayEntry) -> Self {
        Self::Play(Box::new(entry))
    }
}

/// Seat as the journal writes it.
pub(super) const fn seat(player: Player) -> &'static str {
    match player {
        Player::Alice => "alice",
        Player::Bob => "bob",
    }
}
