//! Linking and initialisation, one small step a tick (`lib_webassembly/exec/eval.ml`, `init_step`).
//!
//! Promises: the same state after every tick, the instance published in the registry exactly when
//! the original does it. Nothing is validated. Refuses to know: the names of host functions.

mod import;
mod link;
mod section;
mod segment;
mod state;
mod step;

pub use link::{HostImports, Linked};
pub use state::*;

use crate::wasm::eval::HostFunctions;
use crate::wasm::fault::{Exception, Fault};
use crate::wasm::instance::{ModuleKey, Registry};

/// What a tick of initialisation works with besides its continuation.
struct Session<'a> {
    self_key: &'a ModuleKey,
    registry: &'a mut Registry,
    host: &'a mut dyn HostFunctions,
    stack_size_limit: i32,
}

/// What is not in a module is a crash that says so.
fn undefined<T>(category: &str, index: i32, found: Result<T, Fault>) -> Result<T, Fault> {
    match found {
        Err(Fault::Raised(Exception::VectorBounds)) => {
            Err(Fault::located(format!("undefined {category} {index}")))
        }
        other => other,
    }
}
