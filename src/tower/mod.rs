//! The mind: closed event enum, loop, pure decide, effects, workers.
//!
//! Promises: an effect is journalled before it is performed; what is decided depends on the chain
//! and the journal alone, so a crash anywhere is just a restart. What cannot be known is said,
//! never guessed. Refuses to know: how the chain is read and how kernels run.

mod alarms;
mod announce;
mod backfill;
mod chain_facts;
mod decide;
mod engines;
mod event;
mod facts;
mod feed;
mod genesis;
mod lattice;
mod mode;
mod model;
mod outlook;
mod play;
mod played;
mod policy;
mod resume;
mod reveals;
mod run;
mod runner;
mod setup;
mod stakes;
mod status;
mod verdict;
mod worker;

#[cfg(test)]
mod tests;

pub use alarms::engine_disagreement;
pub use engines::{fast_engine, openings, reference_engine};
pub use event::{Decision, Effect, Event, News, SeenBlock};
pub use genesis::GenesisError;
pub use lattice::Lattice;
pub use mode::{Capabilities, Playing, Publishing};
pub use model::{Model, Place, Tally};
pub use outlook::{Machine, Outlook, Source};
pub use play::{
    BRAKE, HandsError, Lie, PlayNews, Pulled, Rehearsal, RehearsalError, Rehearsed, Role, move_of,
    pull, release,
};
pub use policy::{
    Account, Answer, Choices, Concern, Consent, Hold, Plan, Position, Purpose, Purse, SeenGame,
    Task, Wait, WaitReason, Wish, Work,
};
pub use resume::{ResumeError, stakes_of};
pub use reveals::KeptReveals;
pub use run::{Listener, Outcome};
pub use runner::{Runner, RunnerError};
pub use setup::{States, TowerError, client, follow, lock, offline, rollup_folder};
pub use stakes::{Claim, Conflict, Fact, Stakes};
pub use status::{GameStatus, PlayStatus, RollupStatus, Stage, Status, Turn};
pub use verdict::compare;
