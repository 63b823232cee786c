//! Content-addressed context tree: shape, hash, lazy persistent tree, node store, recording, partial trees, proofs.
//!
//! Promises: hashes and proofs are the protocol's; a damaged store is an error, never a wrong hash. Refuses to know: rollups and what the leaves mean.
