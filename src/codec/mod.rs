//! Binary forms: bounded readers and writers for the protocol's data encodings.
//!
//! Promises: every reader checks its bounds, names the offset and what was expected, and refuses
//! non-minimal or left-over bytes as the protocol does. Refuses to know: what the bytes mean.

mod read;
mod write;

#[cfg(test)]
mod tests;

pub use read::{DecodeError, Reader};
pub use write::Writer;
