//! The proof-generating machine: phases, inputs, reveals, outbox, durable storage, host functions,
//! tree encoding.
//!
//! Promises: state hashes are the protocol's; one host-function semantics for both engines. What a
//! whole period on the native engine cannot be trusted with is handed to the reference engine or
//! said to be not judgeable, never guessed. Refuses to know: sockets and the clock.

mod buffers;
mod durable;
mod edge;
mod encoding;
mod engine;
#[cfg(feature = "fast")]
pub mod fast;
mod folder;
pub mod host;
mod input;
mod key;
mod level;
mod output;
mod period;
mod reveal;
pub mod slow;
pub mod standin;
mod state;
mod stuck;
#[cfg(test)]
mod tests;
pub mod timeline;

pub use buffers::{Buffers, Input, InputQueue, MESSAGE_LIMIT, NotLater, Outbox, OutboxRefusal};
pub use durable::{Durable, ListingOrder, Nth};
pub use edge::{Edge, Edges};
pub use engine::{
    Declined, Engine, LONGEST_RUN, NoReference, NotJudgeable, Period, ReferenceEngine, RunError,
    RunTicks,
};
pub use key::{Key, KeyError, StaticKey};
pub use level::{
    DebugSink, Environment, HostTrace, LevelError, LevelOutcome, Observer, Quiet, run_level,
    run_to_input,
};
pub use output::{OutputError, OutputProof};
pub use period::Status;
pub use reveal::{
    Activation, MetadataAlone, PageId, PreimageFolder, Request, RevealError, Reveals,
    WELL_KNOWN_PREIMAGE_HASH,
};
pub use state::{InputInfo, InputRequest, Origination, Phase, Running, State};
pub use stuck::{Cause, Exception, Stuck, TEXT_LIMIT, Text, quote};
pub use timeline::{Doing, Stretch, TickProof, Timeline, TimelineError};

use crate::codec::DecodeError;
use crate::merkle::TreeError;

/// A state tree cannot be read as a state of the machine, or cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum PvmError {
    /// The context tree refuses.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A component is absent.
    #[error("the state has no {0}")]
    Missing(String),
    /// A component is not the encoding of its type.
    #[error("{path} of the state: {error}")]
    Malformed {
        /// Where it is.
        path: String,
        /// What is wrong with it.
        #[source]
        error: DecodeError,
    },
    /// A chunk of a byte vector does not have its length.
    #[error("{path} of the state has {found} bytes, a chunk has 512")]
    ChunkLength {
        /// Where it is.
        path: String,
        /// Its length.
        found: usize,
    },
    /// Something is longer than any real state has it.
    #[error("{0} of the state is longer than this program handles")]
    TooLong(String),
    /// The phase has a name the machine does not have.
    #[error("{0:?} is not a phase of the machine")]
    UnknownPhase(String),
    /// The version in the durable storage is not one we know.
    #[error("{0:?} is not a version of the machine that this program knows")]
    UnknownVersion(String),
    /// A step inside a kernel run was asked of the part that only knows states at rest.
    #[error("a step in phase {0} needs an engine")]
    NeedsEngine(&'static str),
    /// A number left the range that every real state keeps.
    #[error("{0} overflows")]
    Overflow(&'static str),
}
