//! The seam between the machine and the engines that run kernels.
//!
//! Promises: an engine that cannot be trusted with a run says why, and the run goes to the
//! reference engine; where that cannot help either, the period is not judgeable, with a reason.
//! Refuses to know: WebAssembly.

use super::edge::Edges;
use super::level::Environment;
use super::reveal::RevealError;
use super::{PvmError, State};

/// Most ticks of one kernel run, unless the operator says otherwise. Real runs take some 10^10. An
/// endless one costs the fast engine, whose estimate is several times the real number, a few minutes
/// at this bound; the deadline of runs stops either engine earlier.
pub const LONGEST_RUN: u64 = 5_000_000_000_000;

/// Why the fast engine hands a run over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Declined {
    /// There is no kernel.
    #[error("there is no kernel at /kernel/boot.wasm")]
    NoKernel,
    /// The kernel is not plain WebAssembly of the features the machine has, floats included.
    #[error("the kernel is not what the fast engine accepts: {0}")]
    Kernel(String),
    /// The compiler or the loader refused it.
    #[error("the kernel does not compile: {0}")]
    Compile(String),
    /// An import is unknown at this version, or has another type.
    #[error("the kernel imports {module}.{name}, which does not exist so at this version")]
    Import {
        /// Module of the import.
        module: String,
        /// Name of the import.
        name: String,
    },
    /// Instantiation failed, or its start function called the host.
    #[error("the kernel does not instantiate: {0}")]
    Instantiation(String),
    /// A trap that the machine may treat otherwise than as a trap.
    #[error("the kernel stopped with {0:?}")]
    Trap(String),
    /// Calls nest deeper than is safe to compare with the machine's own limit.
    #[error("the kernel nests calls deeper than {0}")]
    Depth(u32),
    /// The run may be longer than the ticks of a period, or than the work this engine may do.
    #[error("the run may take more than {0} ticks")]
    Ticks(u128),
    /// The memory could not grow for want of memory here.
    #[error("this machine could not give the kernel the memory it may have")]
    Memory,
    /// The run calls the host more often than this engine may allow.
    #[error("the run calls the host too often for the fast engine")]
    HostCalls,
    /// A host function raised.
    #[error("a host function raised {0}")]
    Raised(String),
    /// This program was built without the fast engine.
    #[error("this program was built without the fast engine")]
    NotBuilt,
}

/// Why nothing can be said about a period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotJudgeable {
    /// The reference engine is needed and missing.
    #[error("the reference engine is needed: {0}")]
    NeedsReference(Declined),
    /// The reference engine gave up.
    #[error("the reference engine gave up: {0}")]
    Reference(String),
    /// No engine takes so many ticks.
    #[error("the run takes more than {0} ticks, the most that are taken (engine.max_ticks)")]
    TooLong(u128),
    /// Revealed data cannot be had.
    #[error(transparent)]
    Reveal(RevealError),
    /// The kernel uses the second storage.
    #[error("the kernel uses the second storage ({0}), which this program does not have")]
    SecondStorage(String),
    /// The judging machine itself has no state after this step.
    #[error("the judging machine raises when the reveal at address {destination} is delivered")]
    NoNextState {
        /// Destination of the revealed data.
        destination: u32,
    },
    /// Somebody asked for the run to stop.
    #[error("the run was interrupted")]
    Interrupted,
}

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another engine must run it.
    #[error(transparent)]
    Declined(#[from] Declined),
    /// No engine can.
    #[error(transparent)]
    NotJudgeable(#[from] NotJudgeable),
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] PvmError),
}

/// What an engine knows of the length of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunTicks {
    /// The current tick of the state is the real one.
    Exact,
    /// The run took at most this many; the current tick is the one before the last of the period.
    AtMost(u128),
}

/// A finished period of evaluation, its last tick not yet taken.
#[derive(Debug, Clone)]
pub struct Period {
    /// In `Padding`, or stuck.
    pub state: State,
    /// What is known of the ticks that the run took.
    pub ticks: RunTicks,
    /// Places where the original's engines can differ.
    pub edges: Edges,
}

/// Runs whole kernel runs, or declines.
pub trait Engine: Send + Sync {
    /// Runs the kernel of a state in `Snapshot`.
    ///
    /// # Errors
    /// [`RunError`] when there is no result from this engine.
    fn run(&self, state: &State, environment: &Environment) -> Result<Period, RunError>;
}

/// Runs kernels tick by tick: slow, and right by construction.
pub trait ReferenceEngine: Send + Sync {
    /// Takes a state in `Snapshot` or inside a run to the first tick of `Padding`, or to stuck.
    ///
    /// # Errors
    /// [`NotJudgeable`] when it cannot be had; `declined` is why the fast engine did not run it.
    fn run(
        &self,
        state: &State,
        declined: &Declined,
        environment: &Environment,
    ) -> Result<Period, RunError>;
}

/// Stands where no reference engine is there yet: every run it is asked for is not judgeable.
#[derive(Debug, Clone, Copy)]
pub struct NoReference;

impl ReferenceEngine for NoReference {
    fn run(&self, _: &State, declined: &Declined, _: &Environment) -> Result<Period, RunError> {
        Err(NotJudgeable::NeedsReference(declined.clone()).into())
    }
}
