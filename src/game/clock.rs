//! The chess clocks: blocks each player has left, counted exactly as the chain counts them.

use crate::protocol::{Level, Player};

/// How a game ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// This seat lost its stake.
    Loser(Player),
    /// Both seats lost their stake.
    Draw,
}

/// Blocks left of both players and the level of the last move. Budgets may fall below zero: a late
/// player may still move as long as nobody sent a timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Blocks left of alice at her last move.
    pub alice: i64,
    /// Blocks left of bob at his last move.
    pub bob: i64,
    /// Level of the last successful move, or of the opening.
    pub last_turn: Level,
}

/// A timeout cannot be included yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the timeout is not reached: {blocks_left} blocks are left")]
pub struct TimeoutTooEarly {
    /// Blocks until the player's budget ends, as the protocol reports it.
    pub blocks_left: i64,
}

impl Clock {
    /// The clock of a game opened at `level`.
    #[must_use]
    pub fn start(level: Level, timeout_period: u32) -> Self {
        let budget = i64::from(timeout_period);
        Self {
            alice: budget,
            bob: budget,
            last_turn: level,
        }
    }

    /// Blocks left of `player` as stored, not counting the turn under way.
    #[must_use]
    pub const fn stored(&self, player: Player) -> i64 {
        match player {
            Player::Alice => self.alice,
            Player::Bob => self.bob,
        }
    }

    /// The clock after a successful move of `player` at `level`. The opening costs nothing.
    #[must_use]
    pub fn moved(self, player: Player, level: Level) -> Self {
        let used = i64::from(level.get()).saturating_sub(i64::from(self.last_turn.get()));
        let charge = |left: i64, seat: Player| {
            if seat == player {
                left.saturating_sub(used)
            } else {
                left
            }
        };
        Self {
            alice: charge(self.alice, Player::Alice),
            bob: charge(self.bob, Player::Bob),
            last_turn: level,
        }
    }

    /// Last level at which a move of `player`, whose turn it is, is safe from a timeout.
    #[must_use]
    pub fn deadline(&self, player: Player) -> i64 {
        i64::from(self.last_turn.get()).saturating_add(self.stored(player))
    }

    /// Blocks `player`, whose turn it is, has left when the chain stands at `head`.
    #[must_use]
    pub fn blocks_left(&self, player: Player, head: Level) -> i64 {
        self.deadline(player).saturating_sub(i64::from(head.get()))
    }

    /// How a timeout included at `level` ends the game while it is `turn`'s turn. In the final
    /// move both lose.
    ///
    /// # Errors
    /// [`TimeoutTooEarly`] while the budget lasts.
    pub fn time_out(
        &self,
        turn: Player,
        final_move: FinalMoveReached,
        level: Level,
    ) -> Result<Outcome, TimeoutTooEarly> {
        let blocks_left = self.blocks_left(turn, level);
        if blocks_left >= 0 {
            return Err(TimeoutTooEarly { blocks_left });
        }
        Ok(match final_move {
            FinalMoveReached::No => Outcome::Loser(turn),
            FinalMoveReached::Yes => Outcome::Draw,
        })
    }
}

/// Whether a wrong proof was already sent in the game.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinalMoveReached {
    /// The interval is still being narrowed.
    No,
    /// Only the second proof is left.
    Yes,
}
