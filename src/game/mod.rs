//! The refutation game, pure: the chain's acceptance rules, the chess clocks, and the moves an
//! honest player makes.
//!
//! Promises: [`judge`] accepts and refuses exactly as the protocol does, with its error ids;
//! [`answer`] gives the reference player's move, from a [`Truth`] it is handed, and none that the
//! judge refuses; [`forecast`] says how it ends. Refuses to know: sockets, files, async and the
//! wall clock. Upstream: `sc_rollup_game_repr.ml`, `sc_rollup_dissection_chunk_repr.ml`,
//! `sc_rollup_wasm.ml`, `sc_rollup_proof_repr.ml`, `sc_rollup_refutation_storage.ml`, and for the
//! player `game_helpers.ml`.

mod answer;
mod choose;
mod clock;
mod dissect;
mod facts;
mod forecast;
mod judge;
mod opening;
mod proof;
mod refusal;
mod rules;
mod truth;
mod witness;

pub use answer::{Move, OPERATION_LIMIT, answer, fit};
pub use choose::{Section, Unchoosable, choose};
pub use clock::{Outcome, TimeoutTooEarly};
pub use dissect::{Shape, interior_ticks};
pub use facts::{DalParameterBytes, Facts};
pub use forecast::{Forecast, MovesLeft, forecast, foresee, forfeited, moves_left, slack};
pub use judge::{NoRuling, Rules, Ruling, at_risk, judge};
pub use opening::{NoOpening, Snapshots, earliest_opening, opened, opening};
pub use proof::{Beyond, Flaw, NotShown};
pub use refusal::Refusal;
pub use rules::{
    Dissectable, FinalMove, Machine, ProofShows, Reply, Verdict, check_dissection,
    initial_dissection, play, section_at,
};
pub use truth::{OBSTACLES, Obstacle, Truth, Unplayable};
pub use witness::{InboxArchive, Witness};

pub use crate::protocol::{Clock, Player};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod worlds;
