//! The proof-generating machine: phases, inputs, reveals, outbox, durable storage, host functions, tree encoding.
//!
//! Promises: state hashes are the protocol's; one host-function semantics for both engines. Refuses to know: sockets and the clock.
