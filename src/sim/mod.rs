//! A simulated layer 1 that speaks the node's HTTP API, and its actors.
//!
//! Promises: the protocol's rules, deterministic from a seed. Refuses to know: the tower and the player's choices.
