//! `watchtower replay` and `watchtower state`: what the data directory holds, run again offline.

use std::io::Write;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};

use super::args::{EngineChoice, ReplayArgs, StateArgs, StateCommand};
use super::exit::{Exit, Failure};
use super::output::{is_terminal, line, start_logs};
use crate::config::Config;
use crate::journal::{BlockRow, Entry, Journal, Reader, RollupRow, StateRow};
use crate::protocol::{Dialected, Level, RollupAddress};
use crate::pvm::{Key, PreimageFolder, State, Timeline};
use crate::tower::{
    KeptReveals, Runner, RunnerError, States, engine_disagreement, offline, rollup_folder,
};

/// Runs levels again and compares each state with the journalled one.
pub(super) fn replay(config: &Config, command: &ReplayArgs) -> Result<Exit, Failure> {
    start_logs(config)?;
    let reader = Reader::open(&config.journal_path())?;
    let rollup = chosen(&reader, command.rollup.as_deref())?;
    let last = reader
        .last_state(&rollup.address)?
        .map_or(rollup.origination_level, |state| state.level);
    let first = rollup.origination_level.next().unwrap_or(last);
    let from = level("--from", command.from)?.unwrap_or(first).max(first);
    let to = level("--to", command.to)?.unwrap_or(last).min(last);
    if from > to {
        return Err(Failure::said(
            Exit::Configuration,
            format!("nothing to replay: states are known from level {first} to {last}"),
        ));
    }
    let start = if command.from_kernel {
        States::Kernel
    } else {
        States::Store
    };
    let mut runner = open(config, &rollup, start, &reader)?;
    let before = from.previous().unwrap_or(from);
    let mut state = match runner.state_at(before) {
        Ok(state) => state,
        Err(error) => return told(&error),
    };
    let bar = bar(to.since(before).unwrap_or(0));
    let mut compared = 0_u64;
    for block in reader.blocks_between(from, to)? {
        match run(&runner, command.engine, &state, &block) {
            Ok((next, _)) => state = next,
            Err(error) => {
                bar.finish_and_clear();
                raise(config, &rollup, &error);
                return told(&error);
            }
        }
        compared = compared.saturating_add(1);
        bar.inc(1);
    }
    bar.finish_and_clear();
    line(format!(
        "{}: levels {from} to {to} give the same states ({compared} compared)",
        rollup.address.text(rollup.dialect)
    ))?;
    Ok(Exit::Fine)
}

/// Runs a level on the engines that were chosen; the runner itself compares with the journal.
fn run(
    runner: &Runner,
    engine: EngineChoice,
    state: &State,
    block: &BlockRow,
) -> Result<(State, StateRow), RunnerError> {
    if engine == EngineChoice::Reference {
        return runner.run_by_reference(state, block);
    }
    let (next, row) = runner.run(state, block)?;
    if engine == EngineChoice::Both {
        let (_, reference) = runner.run_by_reference(state, block)?;
        let text = |row: &StateRow| format!("{} in {} ticks", row.hash, row.ticks);
        if text(&row) != text(&reference) {
            return Err(RunnerError::Different {
                level: block.level,
                expected: text(&reference),
                found: text(&row),
            });
        }
    }
    Ok((next, row))
}

/// Two different states for the same inputs wake somebody, also when a replay finds them: a tower
/// that runs beside this takes the alarm up from the journal.
fn raise(config: &Config, rollup: &RollupRow, error: &RunnerError) {
    let RunnerError::Different { level, .. } = error else {
        return;
    };
    let alarm = engine_disagreement(rollup.address, *level, &error.to_string());
    let journal = Journal::open(&config.journal_path());
    let written = journal.and_then(|journal| journal.write(vec![Entry::Alarm(alarm)]));
    if let Err(error) = written {
        tracing::warn!(%error, "the disagreement cannot be journalled");
    }
}

fn told(error: &RunnerError) -> Result<Exit, Failure> {
    line(error.to_string())?;
    Ok(match error {
        RunnerError::Different { .. } => Exit::Difference,
        RunnerError::NotJudgeable { .. } => Exit::NotJudgeable,
        _ => Exit::Data,
    })
}

/// Reads the durable storage at a level.
pub(super) fn state(config: &Config, command: &StateArgs) -> Result<Exit, Failure> {
    let reader = Reader::open(&config.journal_path())?;
    let rollup = chosen(&reader, command.rollup.as_deref())?;
    let last = reader
        .last_state(&rollup.address)?
        .map_or(rollup.origination_level, |state| state.level);
    let at = level("--level", command.level)?.unwrap_or(last);
    if at < rollup.origination_level || at > last {
        return Err(Failure::said(
            Exit::Data,
            format!(
                "states are known from level {} to {last}, not at {at}",
                rollup.origination_level
            ),
        ));
    }
    let start = if command.from_kernel {
        States::Kernel
    } else {
        States::Store
    };
    let mut runner = open(config, &rollup, start, &reader)?;
    let mut state = match runner.state_at(at) {
        Ok(state) => state,
        Err(error) => return told(&error),
    };
    match &command.command {
        StateCommand::Get { key, hex } => {
            let parsed = parse(key)?;
            let found = state.durable.get(&parsed).map_err(RunnerError::from);
            let Some(bytes) = found.map_err(data)? else {
                return Err(Failure::said(Exit::Data, format!("no value at {key}")));
            };
            if *hex {
                line(::hex::encode(bytes))?;
            } else {
                std::io::stdout().lock().write_all(&bytes)?;
            }
        }
        StateCommand::Ls { key } => {
            let parsed = parse(key)?;
            let names = state.durable.names(&parsed).map_err(RunnerError::from);
            for name in names.map_err(data)? {
                if !name.is_empty() {
                    line(name)?;
                }
            }
        }
    }
    Ok(Exit::Fine)
}

/// The machine over a level that was followed.
pub(super) fn timeline(
    config: &Config,
    rollup: Option<&str>,
    at: i64,
) -> Result<Timeline, Failure> {
    let reader = Reader::open(&config.journal_path())?;
    let rollup = chosen(&reader, rollup)?;
    let absent = || Failure::said(Exit::Data, format!("level {at} was not followed"));
    let at = level("--level", Some(at))?.ok_or_else(absent)?;
    let before = at.previous().ok_or_else(absent)?;
    let block = reader.blocks_between(at, at)?.pop().ok_or_else(absent)?;
    let mut runner = open(config, &rollup, States::Store, &reader)?;
    runner.timeline(before, &block).map_err(data)
}

fn data(error: RunnerError) -> Failure {
    Failure::new(Exit::Data, error)
}

fn parse(key: &str) -> Result<Key, Failure> {
    Key::parse(key.as_bytes())
        .map_err(|error| Failure::said(Exit::Configuration, format!("key {key:?}: {error}")))
}

fn open(
    config: &Config,
    rollup: &RollupRow,
    from: States,
    journal: &Reader,
) -> Result<Runner, Failure> {
    let folder = rollup_folder(&config.data_dir, rollup).join("wasm_2_0_0");
    let reveals = KeptReveals::new(rollup, PreimageFolder::new(folder), journal)?;
    Ok(offline(config, rollup, Arc::new(reveals), from)?)
}

/// The rollup named, or the only one there is.
pub(super) fn chosen(reader: &Reader, named: Option<&str>) -> Result<RollupRow, Failure> {
    let wrong = |message: String| Failure::said(Exit::Configuration, message);
    let rollups = reader.rollups()?;
    if let Some(text) = named {
        let (address, _) = RollupAddress::of_any_dialect(text)
            .map_err(|error| wrong(format!("--rollup: {error}")))?;
        return rollups
            .into_iter()
            .find(|row| row.address == address)
            .ok_or_else(|| wrong(format!("the journal does not watch {text}")));
    }
    match rollups.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Failure::said(Exit::Data, "the journal watches no rollup")),
        several => {
            let names: Vec<_> = several
                .iter()
                .map(|row| row.address.text(row.dialect))
                .collect();
            Err(wrong(format!(
                "name one with --rollup: {}",
                names.join(", ")
            )))
        }
    }
}

pub(super) fn level(flag: &str, value: Option<i64>) -> Result<Option<Level>, Failure> {
    value
        .map(Level::try_from)
        .transpose()
        .map_err(|error| Failure::said(Exit::Configuration, format!("{flag}: {error}")))
}

fn bar(length: u32) -> ProgressBar {
    if !is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length.into()).with_prefix("replaying");
    let style = "{prefix:.bold} {wide_bar} {pos} of {len} levels, {per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}
