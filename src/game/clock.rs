//! The chess clocks: blocks each player has left, counted exactly as the chain counts them.
//!
//! The form layer 1 shows is [`Clock`] itself; here is its arithmetic. Upstream:
//! `initial_timeout`, `update_timeout` and `timeout` of `sc_rollup_refutation_storage.ml`.

use crate::protocol::{Clock, GameState, Level, Player};

/// How a game ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// This seat lost its stake.
    Loser(Player),
    /// Both seats lost their stake.
    Draw,
}

/// A timeout cannot be included yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the timeout is not reached: {blocks_left} blocks are left")]
pub struct TimeoutTooEarly {
    /// Blocks until the player's budget ends, as the protocol reports it.
    pub blocks_left: i64,
}

impl Clock {
    /// The clock of a game opened at `level`. The opening costs nothing.
    #[must_use]
    pub fn start(level: Level, timeout_period: u32) -> Self {
        let budget = i32::try_from(timeout_period).unwrap_or(i32::MAX);
        Self {
            alice: budget,
            bob: budget,
            last_turn: level,
        }
    }

    /// Blocks left of `player` as stored, not counting the turn under way.
    #[must_use]
    pub const fn stored(&self, player: Player) -> i32 {
        match player {
            Player::Alice => self.alice,
            Player::Bob => self.bob,
        }
    }

    /// The clock after a successful move of `player` at `level`. Budgets may fall below zero: a
    /// late player may still move as long as nobody sent a timeout.
    #[must_use]
    pub fn moved(self, player: Player, level: Level) -> Self {
        let used = level.get().saturating_sub(self.last_turn.get());
        let charge = |left: i32, seat: Player| {
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

    /// Last level at which a move of `player`, whose turn it is, is safe from a timeout: a block
    /// may hold a timeout only above it.
    #[must_use]
    pub fn deadline(&self, player: Player) -> i64 {
        i64::from(self.last_turn.get()).saturating_add(i64::from(self.stored(player)))
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
        state: &GameState,
        level: Level,
    ) -> Result<Outcome, TimeoutTooEarly> {
        let blocks_left = self.blocks_left(turn, level);
        if blocks_left >= 0 {
            return Err(TimeoutTooEarly { blocks_left });
        }
        Ok(match state {
            GameState::Dissecting { .. } => Outcome::Loser(turn),
            GameState::FinalMove { .. } => Outcome::Draw,
        })
    }
}
