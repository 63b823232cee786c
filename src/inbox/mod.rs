//! Messages of a level, payload skip list, level skip list, inclusion proofs.
//!
//! Promises: the inbox hash is the chain's. Refuses to know: sockets.
