//! Rules from journal events to people.
//!
//! Promises: nothing is lost over a restart: alerts, what became of them and messages that have not
//! arrived are in the journal before anything is sent; the same trouble is told once, again only
//! when it gets worse or nobody answers; a channel that fails hands over to the others, and they
//! say so. What is decided (`rule`, `standing`, `desk`) is pure and has no clock. Secrets come from
//! files and reach neither logs nor the journal. Refuses to know: games, the PVM and the chain.

mod case;
mod channel;
mod desk;
mod email;
mod message;
mod office;
mod queue;
mod rule;
mod runbook;
mod secret;
mod service;
mod settings;
mod standing;
mod telling;
mod template;
mod token;
mod webhook;

#[cfg(test)]
mod tests;

pub use case::{Case, Plan, Route};
pub use channel::{Channels, Delivered, Undelivered};
pub use desk::Desk;
pub use message::{Message, Occasion, Told};
pub use office::{Job, Office};
pub use rule::{RULES, Signal, severity, signal_of};
pub use runbook::{RUNBOOK, advice, headings};
pub use secret::Secret;
pub use service::{Acknowledgement, Handle, Pulse, Service};
pub use settings::{Channel, Email, Heartbeat, Hook, Kind, Located, Preset, Security, Settings};
pub use standing::{
    EndpointStanding, GameStanding, RollupStanding, SKEW, Standing, Unverified, conditions,
};
pub use template::Templates;
pub use token::Tokens;

use std::path::PathBuf;

use crate::journal::JournalError;

/// Why alerts cannot be sent as configured.
#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    /// A file that the configuration names cannot be used.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The data directory cannot be used.
    #[error("{path}: {problem}")]
    Data {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// A channel cannot work as configured.
    #[error("channel {name:?}: {problem}")]
    Channel {
        /// Its name.
        name: String,
        /// Why.
        problem: String,
    },
    /// A template names something that does not exist.
    #[error("template {file}: {problem}")]
    Template {
        /// The template.
        file: String,
        /// Why.
        problem: String,
    },
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The machine refuses a thread.
    #[error("the alert thread cannot start: {0}")]
    Thread(#[source] std::io::Error),
}
