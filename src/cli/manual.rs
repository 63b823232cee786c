//! `watchtower manual` and `watchtower completions`: what packages install, made from the command
//! line's own definition, so that it cannot be out of date.

use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs, ManualArgs};
use super::exit::{Exit, Failure};
use super::output::line;

/// Writes a page for the program and one for each of its commands.
pub(super) fn manual(command: &ManualArgs) -> Result<Exit, Failure> {
    std::fs::create_dir_all(&command.output)?;
    clap_mangen::generate_to(Cli::command(), &command.output)?;
    line(format!("manual pages are in {}", command.output.display()))?;
    Ok(Exit::Fine)
}

/// Prints the completions of a shell.
pub(super) fn completions(command: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(command.shell, &mut Cli::command(), "watchtower", &mut text);
    std::io::Write::write_all(&mut std::io::stdout().lock(), &text)?;
    Ok(Exit::Fine)
}
