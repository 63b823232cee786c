//! The two ways a chain speaks of rollups, as far as its paths go.
//!
//! Promises: all paths that differ between today's dialect and that of the last `scr1` development
//! chains (December 2022) are here. Refuses to know: what the answers mean, and the form of
//! operations, which `protocol::operation` has for both.

use std::fmt::Display;

use crate::crypto::Dialect;
use crate::protocol::{CommitmentHash, Dialected, Level, PublicKeyHash, RollupAddress};

/// What all rollups of the chain share, under `…/context/`.
pub(super) fn shared_path(dialect: Dialect, leaf: &str) -> String {
    match dialect {
        Dialect::Modern => format!("context/smart_rollups/all{leaf}"),
        Dialect::Scr1 => format!("context/sc_rollups/all{leaf}"),
    }
}

/// A leaf of one rollup, under `…/context/`.
pub(super) fn rollup_path(dialect: Dialect, rollup: &RollupAddress, leaf: impl Display) -> String {
    let address = rollup.text(dialect);
    match dialect {
        Dialect::Modern => format!("context/smart_rollups/smart_rollup/{address}/{leaf}"),
        Dialect::Scr1 => format!("context/sc_rollups/sc_rollup/{address}/{leaf}"),
    }
}

/// Leaf: a commitment by its hash.
pub(super) fn commitment_leaf(dialect: Dialect, hash: &CommitmentHash) -> String {
    format!("commitment/{}", hash.text(dialect))
}

/// Leaf: the games of a staker.
pub(super) fn games_leaf(dialect: Dialect, staker: &PublicKeyHash) -> String {
    match dialect {
        Dialect::Modern => format!("staker/{staker}/games"),
        Dialect::Scr1 => format!("game?staker={staker}"),
    }
}

/// Leaf: the conflicts of a staker as the node counts them.
pub(super) fn conflicts_leaf(dialect: Dialect, staker: &PublicKeyHash) -> String {
    match dialect {
        Dialect::Modern => format!("staker/{staker}/conflicts"),
        Dialect::Scr1 => format!("conflicts?staker={staker}"),
    }
}

/// Leaf: the clocks of a game.
pub(super) fn timeout_leaf(dialect: Dialect, one: &PublicKeyHash, two: &PublicKeyHash) -> String {
    match dialect {
        Dialect::Modern => format!("staker1/{one}/staker2/{two}/timeout"),
        Dialect::Scr1 => format!("timeout?staker1={one}&staker2={two}"),
    }
}

/// Leaf: who has an active stake.
pub(super) const fn stakers_leaf(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Modern => "stakers",
        // Each with the newest commitment it stands on.
        Dialect::Scr1 => "stakers_commitments",
    }
}

/// Leaf: hashes published for an inbox level; the older dialect has no such thing.
pub(super) fn commitments_leaf(level: Level) -> String {
    format!("inbox_level/{level}/commitments")
}
