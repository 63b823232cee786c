//! What play tells: plain data about our games and operations.

use crate::journal::{Ending, GameName, PlayEntry, Verb};
use crate::protocol::{Level, PublicKeyHash, RollupAddress};
use crate::tower::status::{Stage, Turn};

/// News of play, journalled already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlayNews {
    /// Something is wanted on the chain that was not before.
    Wanted {
        /// The rollup.
        rollup: RollupAddress,
        /// What, in one line.
        what: String,
        /// Why, in one line.
        why: String,
        /// Why it is not sent, if it is not.
        hold: Option<&'static str>,
    },
    /// We may stake on our commitment of a level, or not.
    Consent {
        /// The rollup.
        rollup: RollupAddress,
        /// The level.
        level: Level,
        /// Whether we may.
        is_given: bool,
        /// What was compared, or why not.
        detail: String,
    },
    /// A game has a new position.
    Position {
        /// The game.
        game: GameName,
        /// The opponent.
        opponent: PublicKeyHash,
        /// Whose turn it is.
        turn: Turn,
        /// What it is about now.
        stage: Stage,
        /// Ticks in dispute.
        width: u128,
        /// Blocks left on our clock.
        ours_left: i64,
        /// Blocks left on theirs.
        theirs_left: i64,
        /// Whether it was just opened.
        is_new: bool,
    },
    /// We have found our move.
    Found {
        /// The game.
        game: GameName,
        /// `dissection`, `proof` or `none`.
        kind: &'static str,
        /// What finding it took.
        milliseconds: u64,
    },
    /// An operation of ours is in a block.
    Included {
        /// What it did.
        what: String,
        /// The level.
        level: Level,
        /// What became of it.
        outcome: &'static str,
    },
    /// A game of ours is over.
    Ended {
        /// The game.
        game: GameName,
        /// The opponent.
        opponent: PublicKeyHash,
        /// How.
        ending: Ending,
        /// The protocol's reason.
        reason: Option<String>,
    },
    /// Everything the mode is for is done.
    Finished,
}

/// What people hear of an entry, if anything.
pub(super) fn news_of(entry: &PlayEntry) -> Option<PlayNews> {
    match entry {
        PlayEntry::Decision(row) if row.verb == Verb::Want => Some(PlayNews::Wanted {
            rollup: row.rollup,
            what: row.what.clone(),
            why: row.reason.clone(),
            hold: row.hold,
        }),
        _ => None,
    }
}
