//! Node client: several endpoints, head stream, gaps, reorganisations, JSON turned into protocol types at once.
//!
//! Promises: every answer is checked and every failure names its endpoint, path and what was
//! wrong; a chain of either dialect looks the same from above. Refuses to know: games.

mod agreement;
mod ask;
mod block;
mod client;
mod constants;
mod dialect;
mod doctor;
mod endpoint;
mod error;
mod follow;
mod heads;
mod operations;
mod preimages;
mod reader;
mod receipts;
mod reorg;
mod rollup;
mod splitter;
mod views;

#[cfg(test)]
mod tests;

pub use agreement::{Agreement, FINALITY, Progress};
pub use block::{
    AttestedSlots, Block, BlockRef, Contribution, Effects, GameStatus, Happening, Header, Interest,
    Receipt, RollupEvent, Settlement, Status,
};
pub use client::{BlockId, Client, Retries, Settings};
pub use constants::{
    ChainConstants, DalParameters, GasLimits, Protocols, RawDataActivation, RevealActivation,
};
pub use doctor::{Condition, Finding, Needs};
pub use endpoint::{EndpointSettings, Health};
pub use error::{EndpointName, FailureKind, Fault, L1Error, MissingReceipt, NodeError};
pub use follow::{ChainEvent, Follower};
pub use heads::{Head, Heads};
pub use operations::{Account, Simulated, Waiting, WaitingClass};
pub use preimages::{MAX_PAGE, PreimageError, Preimages};
pub use receipts::effects;
pub use reorg::{Branch, Keep, Plan, Step, Walk};
pub use rollup::RollupAt;
pub use views::{CommitmentPlace, ConflictView, Genesis, InboxCell};
