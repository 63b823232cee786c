//! Exit codes: part of the interface, decided here.

use std::process::ExitCode;

use crate::config::ConfigError;
use crate::journal::JournalError;
use crate::signer::{PassphraseError, StoreError};

/// How the program ends. The numbers never change; 2 is a command line that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, and nothing to worry about.
    Fine = 0,
    /// Something unexpected went wrong.
    Failed = 1,
    /// The configuration is wrong.
    Configuration = 3,
    /// No node can be used: unreachable, on another chain, without the history needed.
    Node = 4,
    /// The data directory cannot be used: absent, damaged, in use, of a newer program.
    Data = 5,
    /// A false commitment stands.
    FalseCommitment = 10,
    /// Something is not judgeable.
    NotJudgeable = 11,
    /// What was recomputed differs from what was recorded.
    Difference = 12,
    /// `doctor` found something to fix.
    Unwell = 13,
}

impl Exit {
    /// For the help text.
    pub(super) const HELP: &'static str = "Exit codes:
  0   done, nothing to worry about
  1   something unexpected went wrong
  2   the command line cannot be read
  3   the configuration is wrong
  4   no node can be used (unreachable, other chain, history pruned)
  5   the data directory cannot be used (absent, damaged, in use, newer)
  10  a false commitment stands
  11  something is not judgeable
  12  what was recomputed differs from what was recorded
  13  doctor found something to fix";
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error on its way out, with the exit code it means.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) error: anyhow::Error,
}

impl Failure {
    pub(super) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            error: error.into(),
        }
    }

    pub(super) fn said(exit: Exit, message: impl Into<String>) -> Self {
        Self::new(exit, anyhow::Error::msg(message.into()))
    }

    /// Whoever read our output has heard enough, as `head` does.
    pub(super) fn is_broken_pipe(&self) -> bool {
        self.error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Configuration, error)
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self::new(Exit::Data, error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(Exit::Data, error)
    }
}

impl From<PassphraseError> for Failure {
    fn from(error: PassphraseError) -> Self {
        Self::new(Exit::Configuration, error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Failed, error)
    }
}
