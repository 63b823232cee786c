//! The engines of a worker, put together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Config;
use crate::pvm::slow::{Openings, SlowEngine};
use crate::pvm::{Engine, Environment, LONGEST_RUN, ReferenceEngine, Reveals};

/// Where what runs of a kernel have in common is kept.
#[must_use]
pub fn openings(data_dir: &Path) -> Openings {
    Openings::kept_in(data_dir.join("openings"))
}

/// The environment of a rollup's runs. Compiled and parsed kernels are kept in the data directory.
pub(super) fn environment(
    rollup: String,
    config: &Config,
    reveals: Arc<dyn Reveals>,
) -> Environment {
    let max_ticks = config.max_ticks;
    Environment {
        fast: fast_engine_up_to(Some(config.data_dir.join("compiled")), max_ticks),
        reference: Arc::new(SlowEngine { max_ticks }),
        openings: openings(&config.data_dir),
        debug: Arc::new(move |bytes| {
            let text = String::from_utf8_lossy(bytes);
            tracing::debug!(target: "kernel", rollup, text = %text.trim_end(), "kernel debug");
        }),
        ..Environment::without_fast(reveals)
    }
}

/// What runs the kernels that the fast engine declines.
#[must_use]
pub fn reference_engine() -> Arc<dyn ReferenceEngine> {
    Arc::new(SlowEngine::default())
}

/// What runs kernels natively; none in a build without it. Compiled kernels are kept in `cache`.
#[must_use]
pub fn fast_engine(cache: Option<PathBuf>) -> Option<Arc<dyn Engine>> {
    fast_engine_up_to(cache, LONGEST_RUN)
}

#[cfg(feature = "fast")]
fn fast_engine_up_to(cache: Option<PathBuf>, max_ticks: u64) -> Option<Arc<dyn Engine>> {
    use crate::pvm::fast::{FastEngine, Options};
    let options = Options {
        cache,
        max_ticks,
        ..Options::default()
    };
    Some(Arc::new(FastEngine::new(options)))
}

#[cfg(not(feature = "fast"))]
fn fast_engine_up_to(_: Option<PathBuf>, _: u64) -> Option<Arc<dyn Engine>> {
    None
}
