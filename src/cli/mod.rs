//! What was typed: commands, their arguments, progress, exit codes.
//!
//! Promises: bad input gets one clear line; the exit code tells scripts what happened
//! ([`Exit`]). Refuses to know: protocol rules.

mod alerts;
mod args;
mod brake;
mod check;
mod demo;
mod devnet;
mod doctor;
mod drill;
mod evidence;
mod exit;
mod explain;
mod follow;
mod games;
mod init;
mod inspect;
mod journal;
mod keys;
mod log;
mod manual;
mod output;
mod pvm;
mod rehearse;
mod replay;
mod status;

use std::process::ExitCode;

use clap::Parser;

pub use exit::Exit;

use args::{Cli, Command};
use exit::Failure;

/// Entry point of the binary.
#[must_use]
pub fn main() -> ExitCode {
    // Fails only when it was installed before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::parse();
    match run(&cli) {
        Ok(exit) => exit.into(),
        Err(failure) if failure.is_broken_pipe() => Exit::Fine.into(),
        Err(failure) => {
            output::complain(&failure);
            failure.exit.into()
        }
    }
}

fn run(cli: &Cli) -> Result<Exit, Failure> {
    match &cli.command {
        Command::Follow(command) => {
            let mut more = command.rollup.given();
            more.extend(command.node.given());
            more.extend(args::single("serve.listen", "--listen", &command.listen));
            more.extend(command.play.given());
            follow::run(&|| cli.config_with(more.clone()), command)
        }
        Command::Demo(command) => demo::run(&cli.config()?, command),
        Command::Devnet(command) => devnet::run(&cli.config()?, command),
        Command::Drill(command) => drill::run(&cli.config()?, command),
        Command::Doctor(command) => {
            let mut more = command.rollup.given();
            more.extend(command.node.given());
            doctor::run(&cli.config_with(more)?)
        }
        Command::Games(command) => games::run(&cli.config()?, command),
        Command::Explain(command) => explain::run(&cli.config()?, command),
        Command::Evidence(command) => evidence::run(cli, command),
        Command::Brake(command) => brake::run(&cli.config()?, command),
        Command::Rehearse(command) => rehearse::run(&cli.config()?, command),
        Command::Replay(command) => replay::replay(&cli.config()?, command),
        Command::State(command) => replay::state(&cli.config()?, command),
        Command::Check(command) => check::run(command),
        Command::Pvm(command) => pvm::run(&cli.config()?, command),
        Command::Log(command) => log::run(&cli.config()?, command),
        Command::Status(command) => status::run(&cli.config()?, command),
        Command::Inspect(command) => inspect::run(cli, command),
        Command::Init(command) => init::run(cli, command),
        Command::Journal(command) => journal::run(&cli.config()?, command),
        Command::Manual(command) => manual::manual(command),
        Command::Completions(command) => manual::completions(command),
        Command::Alerts(command) => alerts::run(&cli.config()?, command),
        Command::Keys(command) => keys::run(&cli.config()?, command),
    }
}
