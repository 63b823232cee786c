//! `watchtower journal`: copies of the journal, checks and restores.

use super::args::JournalCommand;
use super::exit::{Exit, Failure};
use super::output::line;
use crate::config::Config;
use crate::journal::{Sound, back_up, restore, verify};
use crate::tower::lock;

pub(super) fn run(config: &Config, command: &JournalCommand) -> Result<Exit, Failure> {
    let journal = config.journal_path();
    match command {
        JournalCommand::Backup { file } => {
            let sound = back_up(&journal, file)?;
            line(format!("{}: {}", file.display(), summary(&sound)))?;
        }
        JournalCommand::Check { file } => {
            let path = file.as_deref().unwrap_or(&journal);
            let sound = verify(path)?;
            line(format!("{}: sound, {}", path.display(), summary(&sound)))?;
        }
        JournalCommand::Restore { file } => {
            std::fs::create_dir_all(&config.data_dir)?;
            let _lock = lock(&config.data_dir)?;
            let kept = restore(file, &journal)?;
            line(format!("{} is in place again", journal.display()))?;
            if let Some(kept) = kept {
                line(format!("what was there is kept as {}", kept.display()))?;
            }
        }
    }
    Ok(Exit::Fine)
}

fn summary(sound: &Sound) -> String {
    let rows: Vec<_> = sound
        .rows
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{count} {}", kind.name()))
        .collect();
    let rows = if rows.is_empty() {
        "no rows".to_owned()
    } else {
        rows.join(", ")
    };
    format!("schema {}, {rows}", sound.schema)
}
