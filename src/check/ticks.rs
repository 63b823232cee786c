//! Runs of the reference machine: hash at every tick, and the leaves each tick sets and deletes.
//!
//! A scenario gives inputs and hashes; it is replayed in memory, written to the tree where a hash
//! is given. A delta gives the leaves of every state; it is replayed one tick at a time over the
//! tree, as proofs are made. A difference is reported with its place in the tree.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::{CheckError, Difference, Format, Lines, same};
use crate::merkle::Tree;
use crate::protocol::{Level, PvmVersion};
use crate::pvm::slow::{Expects, Machine};
use crate::pvm::{InputInfo, Origination, Phase, State};
use crate::wasm::encoding::Style;

/// Runs with a hash at every tick.
pub(super) const SCENARIO: Format = Format {
    name: "run of the reference machine",
    recognises: |_, first| matches!(serde_json::from_str(first), Ok(Line::Header(header)) if header.first_level.is_none()),
    replay: replay_scenario,
};

/// Runs with the leaves that every tick changes.
pub(super) const DELTA: Format = Format {
    name: "leaves changed at every tick",
    recognises: |_, first| serde_json::from_str::<Delta>(first).is_ok(),
    replay: replay_delta,
};

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Header(Header),
    Event(Event),
    Final(Final),
}

#[derive(Deserialize)]
struct Header {
    version: String,
    ticks_per_snapshot: String,
    outbox_validity_period: i32,
    outbox_message_limit: u32,
    max_reboots: u64,
    kernel: String,
    /// Runs over many levels have this one, and a format of their own.
    #[serde(default)]
    first_level: Option<i64>,
}

#[derive(Deserialize)]
struct Event {
    tick: String,
    phase: String,
    event: Kind,
    hash: String,
    level: Option<i32>,
    counter: Option<u64>,
    payload: Option<String>,
    response: Option<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Boot,
    Input,
    Step,
    Skip,
    Many,
    Reveal,
}

#[derive(Deserialize)]
struct Final {
    #[serde(rename = "type")]
    _final: FinalTag,
    stuck: Option<String>,
    leaves: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum FinalTag {
    Final,
}

#[derive(Deserialize)]
struct Delta {
    tick: String,
    event: Kind,
    hash: String,
    set: BTreeMap<String, String>,
    del: Vec<String>,
}

fn malformed(line: usize, problem: impl ToString) -> CheckError {
    CheckError::Malformed {
        line,
        problem: problem.to_string(),
    }
}

fn failed(line: usize, what: &str, error: impl ToString) -> CheckError {
    Difference {
        line,
        what: what.to_owned(),
        expected: "a state".to_owned(),
        found: error.to_string(),
    }
    .into()
}

fn bytes(line: usize, text: &str) -> Result<Vec<u8>, CheckError> {
    hex::decode(text).map_err(|error| malformed(line, error))
}

fn number<T: std::str::FromStr<Err: ToString>>(line: usize, text: &str) -> Result<T, CheckError> {
    text.parse()
        .map_err(|error: T::Err| malformed(line, error.to_string()))
}

fn version(line: usize, text: &str) -> Result<PvmVersion, CheckError> {
    let digit = text.strip_prefix('v').and_then(|n| n.parse::<usize>().ok());
    digit
        .and_then(|n| PvmVersion::ALL.get(n).copied())
        .ok_or_else(|| malformed(line, format!("unknown version {text}")))
}

/// The machine after origination.
fn boot(line: usize, header: &Header) -> Result<Machine, CheckError> {
    let origination = Origination {
        version: version(line, &header.version)?,
        ticks_per_snapshot: number(line, &header.ticks_per_snapshot)?,
        outbox_validity_period: header.outbox_validity_period,
        outbox_message_limit: header.outbox_message_limit,
    };
    let kernel = bytes(line, &header.kernel)?;
    let mut state = State::originate(&origination, &kernel)
        .map_err(|error| failed(line, "origination", error))?;
    state.maximum_reboots = u128::from(header.max_reboots);
    state.reboot_counter = state.maximum_reboots.saturating_add(1);
    Machine::new(state).map_err(|error| failed(line, "origination", error))
}

fn phase_of(machine: &Machine) -> &'static str {
    machine.state().phase.tag()
}

fn tick_of(machine: &Machine) -> String {
    machine.state().current_tick.to_string()
}

/// Takes `count` ticks, bulk padding included.
fn run(machine: &mut Machine, count: u128) -> Result<(), String> {
    let mut left = count;
    while left > 0 {
        let padded = machine.pad(left);
        left = left.saturating_sub(padded);
        if left > 0 && padded == 0 {
            machine.tick().map_err(|error| error.to_string())?;
            left = left.saturating_sub(1);
        }
    }
    Ok(())
}

fn apply(machine: &mut Machine, line: usize, event: &Event) -> Result<(), CheckError> {
    let what = format!("tick {}", event.tick);
    let fail = |error: String| failed(line, &what, error);
    match event.event {
        Kind::Boot => Ok(()),
        Kind::Input => {
            let (Some(level), Some(counter), Some(payload)) =
                (event.level, event.counter, &event.payload)
            else {
                return Err(malformed(line, "an input has level, counter and payload"));
            };
            let level = Level::try_from(level).map_err(|error| malformed(line, error))?;
            let counter = u128::from(counter);
            let info = InputInfo { level, counter };
            machine
                .set_input(info, &bytes(line, payload)?)
                .map_err(|error| fail(error.to_string()))
        }
        // Some runs give only every thousandth tick.
        Kind::Step | Kind::Skip | Kind::Many => {
            let until: u128 = number(line, &event.tick)?;
            let left = until.saturating_sub(machine.state().current_tick);
            run(machine, left).map_err(fail)
        }
        Kind::Reveal => {
            let response = event.response.as_deref().unwrap_or_default();
            machine
                .reveal(&bytes(line, response)?)
                .map_err(|error| fail(error.to_string()))
        }
    }
}

fn replay_scenario(_: &Path, lines: Lines) -> Result<usize, CheckError> {
    let (mut machine, mut compared) = (None, 0);
    for (line, text) in lines.numbered() {
        let parsed = serde_json::from_str(text).map_err(|error| malformed(line, error))?;
        match (parsed, &mut machine) {
            (Line::Header(header), None) => machine = Some(boot(line, &header)?),
            (Line::Event(event), Some(machine)) => {
                apply(machine, line, &event)?;
                compared += compare(machine, line, &event)?;
            }
            (Line::Final(end), Some(machine)) => compared += compare_final(machine, line, &end)?,
            _ => return Err(malformed(line, "one header, then events")),
        }
    }
    Ok(compared)
}

fn compare(machine: &mut Machine, line: usize, event: &Event) -> Result<usize, CheckError> {
    let at = |what: &str| format!("{what} at tick {}", event.tick);
    same(line, || "tick".to_owned(), &event.tick, &tick_of(machine))?;
    let phase = event.phase.split(':').next().unwrap_or_default().to_owned();
    same(line, || at("phase"), &phase, &phase_of(machine).to_owned())?;
    let hash = machine
        .hash()
        .map_err(|error| failed(line, &at("hash"), error))?;
    same(line, || at("hash"), &event.hash, &hash.to_string())?;
    Ok(3)
}

/// The last line shows all leaves up to some size.
fn compare_final(machine: &mut Machine, line: usize, end: &Final) -> Result<usize, CheckError> {
    if let (Some(expected), Phase::Stuck(found)) = (&end.stuck, &machine.state().phase) {
        same(line, || "error".to_owned(), expected, &found.to_string())?;
    }
    let tree = machine
        .encode(Style::Changed)
        .map_err(|error| failed(line, "last state", error))?;
    let found = leaves(tree).map_err(|error| failed(line, "last state", error))?;
    for (path, value) in &end.leaves {
        let nothing = String::new();
        let found = found.get(path).unwrap_or(&nothing);
        same(line, || path.clone(), value, found)?;
    }
    Ok(end.leaves.len())
}

/// All leaves of a tree by path.
fn leaves(tree: &Tree) -> Result<BTreeMap<String, String>, crate::merkle::TreeError> {
    fn walk(
        tree: &Tree,
        path: &str,
        found: &mut BTreeMap<String, String>,
    ) -> Result<(), crate::merkle::TreeError> {
        for (name, child) in tree.list(&[], 0, None)? {
            let path = if path.is_empty() {
                name
            } else {
                format!("{path}/{name}")
            };
            match child.find(&[])? {
                Some(bytes) => drop(found.insert(path, hex::encode(bytes))),
                None => walk(&child, &path, found)?,
            }
        }
        Ok(())
    }
    let mut found = BTreeMap::new();
    walk(tree, "", &mut found)?;
    Ok(found)
}

/// The first path where two states differ.
fn first_difference(
    line: usize,
    tick: &str,
    expected: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
) -> Option<CheckError> {
    let mut paths: Vec<&String> = expected.keys().chain(found.keys()).collect();
    paths.sort();
    paths.dedup();
    let shown = |value: Option<&String>| value.map_or_else(|| "nothing".to_owned(), Clone::clone);
    let path = paths
        .into_iter()
        .find(|path| expected.get(*path) != found.get(*path))?;
    Some(
        Difference {
            line,
            what: format!("{path} at tick {tick}"),
            expected: shown(expected.get(path)),
            found: shown(found.get(path)),
        }
        .into(),
    )
}

/// The tree with the changes of a line that cannot be computed from the file alone.
fn adopt(line: usize, tree: &mut Tree, delta: &Delta) -> Result<(), CheckError> {
    let fail = |error: crate::merkle::TreeError| failed(line, "tree", error);
    for path in &delta.del {
        let steps: Vec<&str> = path.split('/').collect();
        tree.remove(&steps).map_err(fail)?;
    }
    for (path, value) in &delta.set {
        let steps: Vec<&str> = path.split('/').collect();
        tree.add(&steps, &bytes(line, value)?).map_err(fail)?;
    }
    Ok(())
}

fn replay_delta(_: &Path, lines: Lines) -> Result<usize, CheckError> {
    let (mut tree, mut expected, mut compared) = (Tree::empty(), BTreeMap::new(), 0);
    for (line, text) in lines.numbered() {
        let delta: Delta = serde_json::from_str(text).map_err(|error| malformed(line, error))?;
        for path in &delta.del {
            expected.remove(path);
        }
        expected.extend(delta.set.clone());
        match delta.event {
            Kind::Boot | Kind::Input | Kind::Reveal => adopt(line, &mut tree, &delta)?,
            Kind::Step | Kind::Skip | Kind::Many => {
                advance(line, &mut tree, &delta)?;
            }
        }
        let hash = tree.hash().map_err(|error| failed(line, "hash", error))?;
        if hash.to_string() != delta.hash {
            let found = leaves(&tree).map_err(|error| failed(line, "tree", error))?;
            if let Some(error) = first_difference(line, &delta.tick, &expected, &found) {
                return Err(error);
            }
        }
        let what = || format!("hash at tick {}", delta.tick);
        same(line, what, &delta.hash, &hash.to_string())?;
        compared += 1;
    }
    Ok(compared)
}

/// Moves the tree to the tick of the line, decoded and encoded at every tick.
fn advance(line: usize, tree: &mut Tree, delta: &Delta) -> Result<(), CheckError> {
    let what = format!("tick {}", delta.tick);
    let until: u128 = number(line, &delta.tick)?;
    let fail = |error: crate::pvm::slow::SlowError| failed(line, &what, error);
    loop {
        let mut machine = Machine::decode(tree).map_err(fail)?;
        let left = until.saturating_sub(machine.state().current_tick);
        if left == 0 {
            return Ok(());
        }
        if machine.expects() != Expects::Nothing {
            return Err(failed(line, &what, "the state waits for an input"));
        }
        if machine.pad(left) == 0 {
            machine.tick().map_err(fail)?;
        }
        *tree = machine.encode(Style::Exact).map_err(fail)?.clone();
    }
}
