//! The engines of a worker, put together.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::pvm::slow::SlowEngine;
use crate::pvm::{Engine, Environment, ListingOrder, Reveals};

/// The environment of a rollup's runs. Compiled kernels are kept in `cache`.
#[must_use]
pub fn environment(
    rollup: String,
    cache: Option<PathBuf>,
    reveals: Arc<dyn Reveals>,
) -> Environment {
    Environment {
        fast: fast(cache),
        reference: Arc::new(SlowEngine),
        reveals,
        debug: Arc::new(move |bytes| {
            let text = String::from_utf8_lossy(bytes);
            tracing::debug!(target: "kernel", rollup, text = %text.trim_end(), "kernel debug");
        }),
        listing: ListingOrder::default(),
        trace: None,
        interrupt: Arc::new(AtomicBool::new(false)),
    }
}

#[cfg(feature = "fast")]
fn fast(cache: Option<PathBuf>) -> Option<Arc<dyn Engine>> {
    use crate::pvm::fast::{FastEngine, Options};
    let options = Options {
        cache,
        ..Options::default()
    };
    Some(Arc::new(FastEngine::new(options)))
}

#[cfg(not(feature = "fast"))]
fn fast(_: Option<PathBuf>) -> Option<Arc<dyn Engine>> {
    None
}
