//! `watchtower evidence`: everything about a game in one file, and its check on any machine.
//!
//! Promises: the check leans on nothing but the file and this program, and everything in the file
//! but its `context` takes part in it: a file in which anything of that was changed does not hold.
//! Refuses to know: the journal it came from.

mod case;
mod export;
mod verify;

use std::path::Path;

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
            write(output, &format!("{evidence:#}\n"))?;
            line(format!("Written to {}.", output.display()))?;
            Ok(Exit::Fine)
        }
        EvidenceCommand::Verify { file } => {
            let bytes = std::fs::read(file).map_err(|error| {
                Failure::said(Exit::Configuration, format!("{}: {error}", file.display()))
            })?;
            let read: Result<Value, _> = serde_json::from_slice(&bytes);
            let read =
                read.map_err(|error| format!("{} is cut off or no JSON: {error}", file.display()));
            match read.and_then(|evidence| verify::verify(&evidence)) {
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

/// Writes a file whole or not at all: what was there before is kept until then.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::said(
            Exit::Failed,
            format!("evidence in {}: {error}", path.display()),
        )
    };
    let name = path.file_name().unwrap_or_default();
    let mut half = name.to_owned();
    half.push(".part");
    let half = path.with_file_name(half);
    let whole = std::fs::write(&half, text).and_then(|()| std::fs::rename(&half, path));
    whole.map_err(|error| {
        // It may not have been made.
        let _ = std::fs::remove_file(&half);
        failed(error)
    })
}
