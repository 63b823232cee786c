//! How far the tower goes, and what the operator decided about play.

use std::fmt;
use std::str::FromStr;

use crate::protocol::Mutez;

/// How far the tower goes. What each mode may do is the tower's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Mode {
    /// Watches and judges.
    #[default]
    Observe,
    /// Decides everything and sends nothing.
    Shadow,
    /// Stakes and plays against false commitments.
    Defend,
    /// Publishes every period, too.
    Operate,
    /// Plays what is staked, recovers everything, then stops.
    Bailout,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 5] = [
        Self::Observe,
        Self::Shadow,
        Self::Defend,
        Self::Operate,
        Self::Bailout,
    ];

    /// Its name on the command line, in the configuration and in the journal.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Shadow => "shadow",
            Self::Defend => "defend",
            Self::Operate => "operate",
            Self::Bailout => "bailout",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text is not a mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a mode: observe, shadow, defend, operate or bailout")]
pub struct ModeError(String);

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| ModeError(text.into()))
    }
}

/// What to do with periods in which the engines are known to be able to differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EdgePolicy {
    /// Stake on none of them.
    #[default]
    Refuse,
    /// Stake on them all the same.
    Allow,
}

/// What the operator decided about play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayConfig {
    /// Whether strangers' expired games are ended too, where that harms nobody who is right.
    pub ends_strangers_games: bool,
    /// Money kept for fees.
    pub fee_reserve: Mutez,
    /// Threads that compute moves.
    pub threads: usize,
    /// What to do with marked periods.
    pub edges: EdgePolicy,
}

impl Default for PlayConfig {
    fn default() -> Self {
        Self {
            ends_strangers_games: false,
            fee_reserve: Mutez(50_000_000),
            threads: 2,
            edges: EdgePolicy::default(),
        }
    }
}
