//! `watchtower log`: the journal, for people or as JSON lines.

use serde_json::Value;

use super::args::LogArgs;
use super::exit::{Exit, Failure};
use super::output::line;
use crate::config::Config;
use crate::journal::{LogFilter, LogKind, LogRow, Reader};
use crate::protocol::{Level, RollupAddress};

pub(super) fn run(config: &Config, command: &LogArgs) -> Result<Exit, Failure> {
    let filter = filter(command)?;
    let reader = Reader::open(&config.journal_path())?;
    for row in reader.log(&filter)? {
        if command.json {
            line(row.to_json().to_string())?;
        } else {
            line(human(&row))?;
        }
    }
    Ok(Exit::Fine)
}

fn filter(command: &LogArgs) -> Result<LogFilter, Failure> {
    let wrong = |message: String| Failure::said(Exit::Configuration, message);
    let rollup = command
        .rollup
        .as_ref()
        .map(|text| RollupAddress::of_any_dialect(text))
        .transpose()
        .map_err(|error| wrong(format!("--rollup: {error}")))?;
    let level = |name: &str, value: Option<i64>| {
        value
            .map(Level::try_from)
            .transpose()
            .map_err(|error| wrong(format!("{name}: {error}")))
    };
    Ok(LogFilter {
        kinds: kinds(command)?,
        rollup: rollup.map(|(address, _)| address),
        from: level("--from", command.from)?,
        to: level("--to", command.to)?,
        after: 0,
        limit: (command.last > 0).then_some(command.last),
    })
}

fn kinds(command: &LogArgs) -> Result<Vec<LogKind>, Failure> {
    if command.all {
        return Ok(Vec::new());
    }
    if command.kind.is_empty() {
        let kinds = LogKind::ALL.into_iter();
        return Ok(kinds.filter(|kind| !kind.is_per_level()).collect());
    }
    let known = |name: &String| {
        LogKind::from_name(name).ok_or_else(|| {
            let names: Vec<_> = LogKind::ALL.iter().map(|kind| kind.name()).collect();
            Failure::said(
                Exit::Configuration,
                format!("--kind: {name:?} is none of {}", names.join(", ")),
            )
        })
    };
    command.kind.iter().map(known).collect()
}

/// Time, level, kind, then the rest as `name value`.
fn human(row: &LogRow) -> String {
    let level = row
        .level
        .map_or_else(String::new, |level| level.to_string());
    let time = jiff::Timestamp::from_millisecond(row.at).map_or_else(
        |_| row.at.to_string(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    );
    let mut text = format!("{time}  {level:>9}  {:<14}", row.kind.name());
    if let Some(rollup) = &row.rollup {
        text.push_str(&format!("  {rollup}"));
    }
    for (name, value) in &row.data {
        let value = match value {
            Value::String(value) => value.clone(),
            other => other.to_string(),
        };
        text.push_str(&format!("  {name} {value}"));
    }
    text
}
