//! WebAssembly at tick granularity: opcode list, decode, link, init, eval.
//!
//! Promises: one tick does what the protocol's small-step machine does. Refuses to know: Tezos: host functions and state encodings live in `pvm`.
