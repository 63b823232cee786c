//! Binary forms: bounded readers and writers for the protocol's data encodings.
//!
//! Promises: every reader checks its bounds, names the offset and what was expected, and refuses
//! non-minimal or left-over bytes as the protocol does. Refuses to know: what the bytes mean.

mod integer;
mod micheline;
mod micheline_json;
mod primitives;
mod read;
mod write;

#[cfg(test)]
mod micheline_tests;
#[cfg(test)]
mod tests;

pub use integer::{Integer, IntegerError};
pub use micheline::{Micheline, MichelineError};
pub use primitives::Primitive;
pub use read::{DecodeError, Reader};
pub use write::Writer;
