//! `watchtower evidence`: everything about a game in one file, and its check on any machine.
//!
//! Promises: the check leans on nothing but the file and this program, and everything in the file
//! but its `context` takes part in it: a file in which anything of that was changed does not hold.
//! Refuses to know: the journal it came from.

mod case;
mod export;
mod verify;

use serde_json::Value;

use super::args::{Cli, EvidenceCommand};
use super::exit::{Exit, Failure};
use super::games::find;
use super::output::line;
use crate::journal::Reader;

/// Name of the form.
const FORMAT: &str = "watchtower-evidence-2";

pub(super) fn run(cli: &Cli, command: &EvidenceCommand) -> Result<Exit, Failure> {
    match command {
        EvidenceCommand::Export { game, output } => {
            let config = cli.config()?;
            let reader = Reader::open(&config.journal_path())?;
            let evidence = export::export(&reader, &find(&reader, game)?)?;
            std::fs::write(output, format!("{evidence:#}\n"))?;
            line(format!("Written to {}.", output.display()))?;
            Ok(Exit::Fine)
        }
        EvidenceCommand::Verify { file } => {
            let text = std::fs::read_to_string(file)?;
            let evidence: Value = serde_json::from_str(&text).map_err(|error| {
                Failure::said(Exit::Configuration, format!("{}: {error}", file.display()))
            })?;
            match verify::verify(&evidence) {
                Ok(checked) => {
                    for text in checked {
                        line(text)?;
                    }
                    line("Everything holds.")?;
                    Ok(Exit::Fine)
                }
                Err(problem) => {
                    line(format!("DOES NOT HOLD: {problem}"))?;
                    Ok(Exit::Difference)
                }
            }
        }
    }
}
