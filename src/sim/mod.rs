//! A simulated layer 1 that speaks the node's HTTP API, and its actors.
//!
//! Promises: the protocol's rules, deterministic from a seed; blocks move when told. A follower
//! cannot tell it from a node by what it reads. Refuses to know: the tower and the player's choices.
//!
//! The chain: `context`, `ledger`, `rollup`, `block`, `chain`. What changes it: `fees`, `validate`,
//! `apply`, `rules`, `michelson`, `prices`. How it is seen: `receipts`, `errors`, `dialect`, `rpc`,
//! `weather`, `hold`, `media`, `server`, `streams`, `control`. Who is on it: `accounts`, `actors`, `truth`,
//! `trace`, `contracts`, `acts`, `setup`, `scenario`, `installer`.
//! All together: `devnet`; named situations: `drills`.

mod accounts;
mod actors;
mod acts;
mod apply;
mod block;
mod chain;
mod context;
mod contracts;
mod control;
mod devnet;
mod dialect;
mod drills;
mod errors;
mod fees;
mod hold;
mod installer;
mod ledger;
mod media;
mod mempool;
mod michelson;
mod parameters;
mod prices;
mod receipts;
mod rollup;
mod rpc;
mod rules;
mod scenario;
mod server;
mod setup;
mod streams;
mod trace;
mod truth;
mod validate;
mod weather;

#[cfg(test)]
mod tests;

pub use accounts::Person;
pub use actors::{
    Actor, Cementing, From, Opens, Pace, Period, Play, Publishing, Slip, SlipKind, Strategy,
    Timeouts, Truth,
};
pub use acts::{Act, ActError, Deed};
pub use block::Block;
pub use chain::{Abandoned, Chain, ChainError};
pub use devnet::{Devnet, devnet};
pub use drills::{
    Defence, Drill, Fate, Kernel, Lengths, Opponent, Report, Restart, Role, Staged, Traffic, crowd,
    drill_named, story, suite,
};
pub use errors::{ErrorKind, RuleError, Trace};
pub use hold::{Hold, When};
pub use parameters::{DalSizes, Parameters};
pub use scenario::{Event, Refusal, Scenario};
pub use server::{Control, Endpoint, Options, ServeError, Shared, serve};
pub use setup::Setup;
pub use trace::{Meddling, States};
pub use truth::{Engines, MachineTruth, Preimages};
pub use weather::{Carriage, Failing, Weather, WrongGames};
