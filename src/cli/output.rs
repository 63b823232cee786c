//! Writing to people: answers on standard output, complaints on standard error, logs beside them.

use std::io::{IsTerminal, Write};

use tracing_subscriber::EnvFilter;

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

/// What is logged, changeable while the program runs.
pub(super) struct Logs(Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>);

impl Logs {
    /// Logs from now on what this configuration says.
    pub(super) fn follow(&self, config: &Config) -> Result<(), Failure> {
        (self.0)(filter(config)?).map_err(|error| Failure::said(super::Exit::Failed, error))
    }
}

fn filter(config: &Config) -> Result<EnvFilter, Failure> {
    EnvFilter::try_new(&config.log).map_err(|error| {
        Failure::said(
            super::Exit::Configuration,
            format!("log.level: {:?} is not understood: {error}", config.log),
        )
    })
}

/// Starts logging for a command that tells its own story: errors alone, unless asked for more.
pub(super) fn start_quiet_logs(config: &Config) -> Result<Logs, Failure> {
    start_logs(&Config {
        log: if config.log == Config::default().log {
            "error,watchtower::tower::announce=off".into()
        } else {
            config.log.clone()
        },
        ..config.clone()
    })
}

/// Starts logging to standard error.
pub(super) fn start_logs(config: &Config) -> Result<Logs, Failure> {
    let base = tracing_subscriber::fmt()
        .with_env_filter(filter(config)?)
        .with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first.
    Ok(match config.log_format {
        LogFormat::Json => {
            let built = base.json().flatten_event(true).with_filter_reloading();
            let handle = built.reload_handle();
            drop(built.try_init());
            Logs(Box::new(move |filter| {
                handle.reload(filter).map_err(|error| error.to_string())
            }))
        }
        LogFormat::Human => {
            let built = base
                .with_ansi(is_terminal())
                .with_target(false)
                .with_filter_reloading();
            let handle = built.reload_handle();
            drop(built.try_init());
            Logs(Box::new(move |filter| {
                handle.reload(filter).map_err(|error| error.to_string())
            }))
        }
    })
}

/// The asynchronous runtime of a command.
pub(super) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("async")
        .build()
}
