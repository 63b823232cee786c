//! The leaves that every tick sets and deletes: one tick at a time over the tree, as proofs are
//! made.
//!
//! Two trees are kept, the one that the file tells and the machine's. Both must have the hash of
//! every line, and a line may name only leaves that it changes; so the changes listed are those
//! that the machine's encoder makes, no more and no fewer.

use std::path::Path;

use serde_json::Value;

use super::leaves::{first_difference, leaves};
use super::machine::{Line, failed, has_keys};
use super::ticks::{Event, same_phase};
use super::{CheckError, Difference, Format, Lines};
use crate::merkle::{Tree, TreeError};
use crate::pvm::slow::{Expects, Machine, SlowError};
use crate::wasm::encoding::Style;

/// Runs with the leaves that every tick changes.
pub(super) const FORMAT: Format = Format {
    name: "leaves changed at every tick",
    recognises: |_, first| has_keys(first, &["event", "set", "del", "hash"]),
    replay: |_: &Path, lines| replay(&lines, &mut |_, _| {}),
};

/// Values set by a line with their paths, in the order of the file.
pub(super) type Set = [(String, Vec<u8>)];

/// Replays a run; `seen` is given every line with what it sets, once that is known to be so.
pub(super) fn replay(
    lines: &Lines,
    seen: &mut dyn FnMut(&Line, &Set),
) -> Result<usize, CheckError> {
    let (mut told, mut ours, mut compared) = (Tree::empty(), Tree::empty(), 0);
    for line in lines.numbered().map(Line::parse) {
        let line = line?;
        let set = set(&line)?;
        let deleted = deleted(&line)?;
        let event = Event::of(&line)?;
        if (event == Event::Boot)
            != told
                .is_empty()
                .map_err(|error| failed(&line, "tree", error))?
        {
            return Err(line.malformed("a run boots once, and first"));
        }
        change(&line, &mut told, &set, &deleted)?;
        match event {
            Event::Step | Event::Batch => advance(&line, &mut ours)?,
            // What is given comes from outside: the file is the only source of it.
            _ => ours = told.clone(),
        }
        compare(&line, &told, &ours)?;
        seen(&line, &set);
        compared += 1 + set.len() + deleted.len();
    }
    Ok(compared)
}

fn set(line: &Line) -> Result<Vec<(String, Vec<u8>)>, CheckError> {
    let set = line.field("set").and_then(Value::as_object);
    set.ok_or_else(|| line.malformed("no set"))?
        .iter()
        .map(|(path, value)| {
            let bytes = hex::decode(value.as_str().unwrap_or("not text"));
            let bytes = bytes.map_err(|error| line.malformed(format!("{path}: {error}")))?;
            Ok((path.clone(), bytes))
        })
        .collect()
}

fn deleted(line: &Line) -> Result<Vec<&str>, CheckError> {
    let deleted = line.field("del").and_then(Value::as_array);
    deleted
        .ok_or_else(|| line.malformed("no del"))?
        .iter()
        .map(|path| path.as_str().ok_or_else(|| line.malformed("del: a path")))
        .collect()
}

fn steps(path: &str) -> Vec<&str> {
    path.split('/').collect()
}

/// Makes the changes of a line, each of which must change something.
fn change(line: &Line, tree: &mut Tree, set: &Set, deleted: &[&str]) -> Result<(), CheckError> {
    let fail = |error: TreeError| failed(line, "tree of the file", error);
    let idle = |path: &str, expected: &str| -> CheckError {
        Difference {
            line: line.number,
            what: format!("{path} before the line"),
            expected: expected.to_owned(),
            found: "as after it".to_owned(),
        }
        .into()
    };
    for path in deleted {
        if tree.find(&steps(path)).map_err(fail)?.is_none() {
            return Err(idle(path, "a leaf to be deleted"));
        }
        tree.remove(&steps(path)).map_err(fail)?;
    }
    for (path, value) in set {
        let before = tree.find(&steps(path)).map_err(fail)?;
        if before.is_some_and(|before| *before == **value) {
            return Err(idle(path, "another value"));
        }
        tree.add(&steps(path), value).map_err(fail)?;
    }
    Ok(())
}

/// Moves the tree to the tick of the line: decoded, moved, encoded, as for a proof.
fn advance(line: &Line, tree: &mut Tree) -> Result<(), CheckError> {
    let until: u128 = line.number("tick")?;
    let what = format!("tick {until}");
    let fail = |error: SlowError| failed(line, &what, error);
    let mut machine = Machine::decode(tree).map_err(fail)?;
    loop {
        let left = until.saturating_sub(machine.state().current_tick);
        if left == 0 {
            break;
        }
        if machine.expects() != Expects::Nothing {
            return Err(failed(line, &what, "the state waits for an input"));
        }
        if machine.pad(left) == 0 {
            machine.tick().map_err(fail)?;
        }
    }
    *tree = machine.encode(Style::Exact).map_err(fail)?.clone();
    same_phase(line, &machine)
}

/// Both trees have the hash of the line.
fn compare(line: &Line, told: &Tree, ours: &Tree) -> Result<(), CheckError> {
    let fail = |error: TreeError| failed(line, "hash", error);
    let expected = line.text("hash")?.to_ascii_lowercase();
    let tick: u128 = line.number("tick")?;
    let (told_hash, our_hash) = (told.hash().map_err(fail)?, ours.hash().map_err(fail)?);
    if told_hash != our_hash {
        let (told, ours) = (leaves(told).map_err(fail)?, leaves(ours).map_err(fail)?);
        let at = format!("at tick {tick}");
        if let Some(error) = first_difference(line.number, &at, &told, &ours) {
            return Err(error);
        }
    }
    line.same(
        || format!("hash at tick {tick}"),
        &expected,
        &our_hash.to_string(),
    )
}
