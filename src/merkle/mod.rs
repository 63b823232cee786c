//! Content-addressed context tree: shape, hash, lazy persistent tree, node store, recording, partial trees, proofs.
//!
//! Promises: hashes, reads and proofs are the protocol's (Irmin with two entries per record, as
//! the binary context of the WASM PVM uses it); a damaged store is an error, never a wrong hash.
//! Refuses to know: rollups and what the leaves mean.

mod digest;
mod dir;
mod distant;
mod item;
mod name;
mod numbered;
mod parallel;
mod plan;
mod proof;
mod store;
mod tree;
mod trie;

#[cfg(test)]
mod tests;

pub use item::Kind;
pub use numbered::Numbered;
pub use parallel::{in_parts, in_parts_mut};
pub use plan::{Plan, Scratch, value_hash};
pub use proof::{KindedHash, Proof, ProofError};
pub use store::{Options, Size, Store, StoreError};
pub use tree::{Maker, Tree, TreeError};

/// The bytes of a value, shared.
pub type Bytes = std::sync::Arc<[u8]>;
