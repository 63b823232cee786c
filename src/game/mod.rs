//! The refutation game, pure: the chain's acceptance rules, the chess clocks, and the moves an
//! honest player makes.
//!
//! Promises: [`rules`] accepts and refuses exactly as the protocol does, with its error ids;
//! [`dissect`] gives the shape the reference player gives. Refuses to know: sockets, files, async
//! and the wall clock; how a state hash or a proof is computed (callers pass them in).
//! Upstream: `sc_rollup_game_repr.ml`, `sc_rollup_dissection_chunk_repr.ml`, `sc_rollup_wasm.ml`,
//! `sc_rollup_refutation_storage.ml`, and for the player `game_helpers.ml`.

mod choose;
mod clock;
mod dissect;
mod refusal;
mod rules;

pub use choose::{Section, Unchoosable, choose};
pub use clock::{Clock, FinalMoveReached, Outcome, TimeoutTooEarly};
pub use dissect::{Shape, interior_ticks};
pub use refusal::Refusal;
pub use rules::{
    Dissectable, FinalMove, Machine, ProofShows, Reply, Stage, Verdict, check_dissection,
    initial_dissection, play,
};

pub use crate::protocol::Player;

#[cfg(test)]
mod tests;
