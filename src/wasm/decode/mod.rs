//! The parser, one small step a tick (`lib_webassembly/binary/decode.ml`).
//!
//! Promises: the same state after every tick, the same bytes read in it, the same error texts.
//! Nothing is validated. Refuses to know: where the binary lives.

mod block;
mod module;
mod name;
mod notes;
mod opcode;
mod parsed;
mod run;
mod section;
mod simd;
mod state;
mod stream;
mod types;

pub use notes::{Noted, Notes};
pub use parsed::{Guide, Parsed};
pub use state::*;
pub use stream::Binary;
use stream::Stream;
