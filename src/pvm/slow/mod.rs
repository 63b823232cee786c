//! The reference machine: tick by tick, every state with its exact tree.
//!
//! Promises: after any number of ticks the state and its hash are the judging machine's. Two ways
//! to use it: decoded from a tree, moved by one tick and encoded back, it touches what the original
//! touches (proofs); kept in memory over many ticks, it writes only what changed (hashes). Refuses
//! to know: where inputs and revealed data come from. Upstream rule: `wasm_vm.ml`.

mod course;
mod describe;
mod engine;
mod host;
mod machine;
mod native;
mod opening;
mod openings;
mod prove;
#[cfg(test)]
mod tests;

pub use course::{Course, Ended, OpeningTicks, Stop};
pub use describe::{Description, FrameDescription};
pub use engine::{SlowEngine, advance};
pub use machine::{Expects, Machine, SlowError};
pub use opening::Purpose;
pub use openings::Openings;
pub use prove::{Input, ProveError, Proved, last_level, prove, verify};
