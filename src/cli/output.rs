//! Writing to people: answers on standard output, complaints on standard error, logs beside them.

use std::io::{IsTerminal, Write};

use super::exit::Failure;
use crate::config::{Config, LogFormat};

/// Prints one line of an answer.
pub(super) fn line(text: impl AsRef<str>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.as_ref())
}

/// Prints the one line that says why the program ends.
pub(super) fn complain(failure: &Failure) {
    // Standard error may be gone; then nobody is there to be told.
    let _ = writeln!(std::io::stderr(), "watchtower: {:#}", failure.error);
}

/// Whether people are watching.
pub(super) fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Starts logging to standard error.
pub(super) fn start_logs(config: &Config) -> Result<(), Failure> {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_new(&config.log).map_err(|error| {
        Failure::said(
            super::Exit::Configuration,
            format!("log.level: {:?} is not understood: {error}", config.log),
        )
    })?;
    let base = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let outcome = match config.log_format {
        LogFormat::Json => base.json().flatten_event(true).try_init(),
        LogFormat::Human => base.with_ansi(is_terminal()).with_target(false).try_init(),
    };
    // A second start in one process (tests) keeps the first.
    drop(outcome);
    Ok(())
}

/// The asynchronous runtime of a command.
pub(super) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("async")
        .build()
}
