//! The tree encoding of every machine state: which leaf holds which bytes.
//!
//! Promises: the exact keys and bytes of the protocol (`lib_scoru_wasm/*_encoding*.ml`), written
//! and read in the original's order, so that a recorded tick reads what the original reads.
//! Refuses to know: what the states mean.

mod ast;
mod block;
mod config;
mod decode;
mod functions;
mod hashing;
mod init;
mod instance;
mod instr;
mod leaf;
mod place;

pub use leaf::Leaf;
pub use place::{Source, Stored, Style, Target};
