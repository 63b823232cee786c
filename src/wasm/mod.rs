//! WebAssembly at tick granularity: decode, link, init, eval.
//!
//! Promises: one tick does what the protocol's small-step machine does
//! (`lib_webassembly/{binary/decode,exec/eval}.ml`), and every state has the machine's exact tree
//! encoding. Refuses to know: Tezos. Host functions come in as names and as a trait; the machine
//! around these phases is `pvm`.

pub mod ast;
pub mod config;
pub mod decode;
pub mod encoding;
pub mod eval;
pub mod fault;
pub mod init;
pub mod instance;
pub mod lazy;
mod numeric;
mod operators;
pub mod run;
#[cfg(test)]
pub(crate) mod testing;

pub use fault::{Exception, Fault};
