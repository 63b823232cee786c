//! `watchtower check`: vector files through the product's own code.

use super::args::CheckArgs;
use super::exit::{Exit, Failure};
use super::output::line;

pub(super) fn run(command: &CheckArgs) -> Result<Exit, Failure> {
    let mut worst = Exit::Fine;
    for file in &command.files {
        match crate::check::run(file) {
            Ok(checked) => {
                line(format!(
                    "{}: equal ({}, {} compared)",
                    file.display(),
                    checked.format,
                    checked.compared
                ))?;
                for (reason, count) in &checked.left_out {
                    line(format!("  {count} left out: {}", reason.reason()))?;
                }
            }
            Err(error) => {
                worst = Exit::Difference;
                line(format!("{}: {error}", file.display()))?;
            }
        }
    }
    Ok(worst)
}
