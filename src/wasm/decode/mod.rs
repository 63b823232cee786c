//! The parser, one small step a tick (`lib_webassembly/binary/decode.ml`).

mod state;

pub use state::*;
