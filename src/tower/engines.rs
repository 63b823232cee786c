//! The engines of a worker, put together.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::pvm::slow::SlowEngine;
use crate::pvm::{Engine, Environment, ListingOrder, ReferenceEngine, Reveals};

/// The environment of a rollup's runs. Compiled kernels are kept in `cache`.
pub(super) fn environment(
    rollup: String,
    cache: Option<PathBuf>,
    reveals: Arc<dyn Reveals>,
) -> Environment {
    Environment {
        fast: fast_engine(cache),
        reference: reference_engine(),
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

/// What runs the kernels that the fast engine declines.
#[must_use]
pub fn reference_engine() -> Arc<dyn ReferenceEngine> {
    Arc::new(SlowEngine)
}

/// What runs kernels natively; none in a build without it. Compiled kernels are kept in `cache`.
#[cfg(feature = "fast")]
#[must_use]
pub fn fast_engine(cache: Option<PathBuf>) -> Option<Arc<dyn Engine>> {
    use crate::pvm::fast::{FastEngine, Options};
    let options = Options {
        cache,
        ..Options::default()
    };
    Some(Arc::new(FastEngine::new(options)))
}

/// What runs kernels natively; none in a build without it. Compiled kernels are kept in `cache`.
#[cfg(not(feature = "fast"))]
#[must_use]
pub fn fast_engine(_: Option<PathBuf>) -> Option<Arc<dyn Engine>> {
    None
}
