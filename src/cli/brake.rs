//! `watchtower brake`: stops all sending at once, or lets it go on.

use super::args::BrakeCommand;
use super::exit::{Exit, Failure};
use super::output::line;
use crate::config::Config;
use crate::tower::{pull, release};

pub(super) fn run(config: &Config, command: &BrakeCommand) -> Result<Exit, Failure> {
    let data = &config.data_dir;
    let failed = |error: std::io::Error| {
        Failure::said(Exit::Data, format!("brake in {}: {error}", data.display()))
    };
    match command {
        BrakeCommand::On { reason } => {
            let pulled = pull(data, reason).map_err(failed)?;
            let was = match &pulled.before {
                Some(reason) => format!("was on already ({reason})"),
                None => "is on".to_owned(),
            };
            line(format!(
                "The brake {was}: nothing is sent while {} is there. Watching goes on.",
                pulled.path.display()
            ))?;
        }
        BrakeCommand::Off => {
            release(data).map_err(failed)?;
            line("The brake is off, and a tower that holds for another reason goes on.")?;
        }
    }
    Ok(Exit::Fine)
}
