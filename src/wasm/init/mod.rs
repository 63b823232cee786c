//! Linking and initialisation, one small step a tick (`lib_webassembly/exec/eval.ml`, `init_step`).

mod state;

pub use state::*;
