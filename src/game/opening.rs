//! Opening a game: when layer 1 takes it, and the game it makes.
//!
//! Upstream: `check_conflict_point` and `start_game` of `sc_rollup_refutation_storage.ml`,
//! `initial` of `sc_rollup_game_repr.ml`; since Ushuaia the earliest level in `validate.ml`.

use super::initial_dissection;
use crate::protocol::operation::Refutation;
use crate::protocol::{
    Commitment, DalSnapshot, Game, GameState, HistoryCell, Level, Player, Protocol, PublicKeyHash,
};

/// Layer 1 would refuse to open a game.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoOpening {
    /// Both stand on the same commitment.
    #[error("both players stand on the same commitment")]
    SameCommitment,
    /// The two commitments do not have the same predecessor.
    #[error("the two commitments have different predecessors")]
    NotSiblings,
    /// The opening is only taken from a level on.
    #[error("a game about inbox level {inbox_level} can be opened from level {earliest} on")]
    TooEarly {
        /// Inbox level of the opponent's commitment.
        inbox_level: Level,
        /// First level whose block may hold the opening.
        earliest: Level,
    },
}

/// First level whose block may hold an opening against `theirs`; none when there is no such level.
#[must_use]
pub fn earliest_opening(
    protocol: Protocol,
    commitment_period: u32,
    theirs: &Commitment,
) -> Option<Level> {
    if protocol < Protocol::Ushuaia {
        return Some(Level::ZERO);
    }
    theirs.inbox_level.plus(commitment_period)
}

/// Our opening against a sibling of our commitment, for a block at `level`.
///
/// # Errors
/// [`NoOpening`] when layer 1 would refuse it.
pub fn opening(
    protocol: Protocol,
    commitment_period: u32,
    level: Level,
    ours: &Commitment,
    theirs: &Commitment,
) -> Result<Refutation, NoOpening> {
    let (our_hash, their_hash) = (ours.hash(), theirs.hash());
    if our_hash == their_hash {
        return Err(NoOpening::SameCommitment);
    }
    if ours.predecessor != theirs.predecessor {
        return Err(NoOpening::NotSiblings);
    }
    match earliest_opening(protocol, commitment_period, theirs) {
        Some(earliest) if level < earliest => Err(NoOpening::TooEarly {
            inbox_level: theirs.inbox_level,
            earliest,
        }),
        _ => Ok(Refutation::Start {
            player_commitment: our_hash,
            opponent_commitment: their_hash,
        }),
    }
}

/// What an opening finds on chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshots {
    /// Newest cell of the inbox history, of the level below the opening.
    pub inbox: HistoryCell,
    /// Newest cell of the data-availability history.
    pub dal: DalSnapshot,
    /// Level of the opening.
    pub start_level: Level,
    /// Sections of dissections.
    pub sections: u8,
}

/// The game that `refuter` opens against `defender`, who stands on `defended`.
#[must_use]
pub fn opened(
    refuter: &PublicKeyHash,
    defender: &PublicKeyHash,
    parent: &Commitment,
    defended: &Commitment,
    snapshots: &Snapshots,
) -> Game {
    Game {
        turn: Player::seat(refuter, defender),
        inbox_snapshot: snapshots.inbox.clone(),
        dal_snapshot: snapshots.dal.clone(),
        start_level: snapshots.start_level,
        inbox_level: defended.inbox_level,
        state: GameState::Dissecting {
            dissection: initial_dissection(parent, defended).to_vec(),
            default_number_of_sections: snapshots.sections,
        },
    }
}
