//! Transcripts of the reference player: every dissection it made, and the kernels it originated.

use std::path::Path;

use serde_json::{Deserializer, Value};

use super::{CheckError, Format, Lines, same};
use crate::crypto::blake2b;
use crate::game::{Machine, Shape, interior_ticks};
use crate::protocol::{StateHash, Tick};

pub(super) const FORMAT: Format = Format {
    name: "transcript of the reference player",
    recognises,
    replay,
};

/// Sections and snapshot length of the chains the transcripts were recorded on.
const SECTIONS: u8 = 32;
const WASM: Machine = Machine::Wasm {
    ticks_per_snapshot: 50_000_000_000_000,
};

/// A transcript is plain text named after a machine, or a listing of metrics.
fn recognises(path: &Path, _first: &str) -> bool {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    name.ends_with(".txt")
        && (name.starts_with("arith.")
            || name.starts_with("wasm_2_0_0.")
            || name.starts_with("Smart_rollup_node"))
}

fn replay(path: &Path, lines: Lines) -> Result<usize, CheckError> {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let machine = if name.starts_with("arith.") {
        Machine::Plain
    } else {
        WASM
    };
    let compared = dissections(machine, lines.text())? + kernels(&lines)? + metrics(&lines)?;
    if compared == 0 {
        return Err(CheckError::Malformed {
            line: 0,
            problem: "nothing in this transcript can be compared".into(),
        });
    }
    Ok(compared)
}

/// Each dissection must have the ticks that our own recipe gives, and well-formed states.
fn dissections(machine: Machine, text: &str) -> Result<usize, CheckError> {
    let mut compared = 0_usize;
    let mut rest = text;
    let mut line = 1;
    while let Some(start) = rest.find("\n{\n") {
        line += rest[..=start].matches('\n').count();
        rest = &rest[start + 1..];
        let mut values = Deserializer::from_str(rest).into_iter::<Value>();
        let Some(Ok(value)) = values.next() else {
            continue;
        };
        if let Some(chunks) = value.get("dissection").and_then(Value::as_array) {
            compared += dissection(machine, line, &value, chunks)?;
        }
        let used = values.byte_offset();
        line += rest[..used].matches('\n').count();
        rest = &rest[used..];
    }
    Ok(compared)
}

fn dissection(
    machine: Machine,
    line: usize,
    value: &Value,
    chunks: &[Value],
) -> Result<usize, CheckError> {
    let tick = |value: &Value, key: &str| -> Result<Tick, CheckError> {
        let text = value.get(key).and_then(Value::as_str).unwrap_or_default();
        text.parse().map_err(|_| CheckError::Malformed {
            line,
            problem: format!("{key} {text:?} is not a tick"),
        })
    };
    let shape = Shape {
        start: tick(value, "start_tick")?,
        stop: tick(value, "end_tick")?,
        sections: SECTIONS,
    };
    let mut expected = vec![shape.start];
    expected.extend(interior_ticks(machine, &shape));
    expected.push(shape.stop);
    let recorded = chunks
        .iter()
        .map(|chunk| tick(chunk, "tick"))
        .collect::<Result<Vec<_>, _>>()?;
    let what = || {
        format!(
            "ticks of the dissection from {} to {}",
            shape.start, shape.stop
        )
    };
    same(
        line,
        what,
        &format!("{recorded:?}"),
        &format!("{expected:?}"),
    )?;
    for chunk in chunks {
        let Some(text) = chunk.get("state").and_then(Value::as_str) else {
            continue;
        };
        let state: StateHash = text.parse().map_err(|e| CheckError::Malformed {
            line,
            problem: format!("state of a chunk: {e}"),
        })?;
        same(
            line,
            || "text of a state hash".into(),
            &text.to_owned(),
            &state.to_string(),
        )?;
    }
    Ok(1)
}

/// The hash announced for an originated kernel is that of the kernel given on the command line.
fn kernels(lines: &Lines) -> Result<usize, CheckError> {
    let mut kernel: Option<Vec<u8>> = None;
    let mut compared = 0;
    for (number, line) in lines.numbered() {
        if let Some((_, rest)) = line.split_once(" with kernel ") {
            let text = rest.split(" --").next().unwrap_or_default().trim();
            kernel = hex::decode(text).ok();
        }
        if let (Some((_, rest)), Some(kernel)) =
            (line.split_once("Kernel Blake2B hash: '"), kernel.as_ref())
        {
            let announced = rest.trim_end_matches('\'').to_owned();
            same(
                number,
                || "hash of the kernel".into(),
                &announced,
                &blake2b(kernel).to_string(),
            )?;
            compared += 1;
        }
    }
    Ok(compared)
}

/// In a listing of metrics every type line follows the help line of the same metric.
fn metrics(lines: &Lines) -> Result<usize, CheckError> {
    let mut helped = String::new();
    let mut compared = 0;
    for (number, line) in lines.numbered() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            helped = rest.split(' ').next().unwrap_or_default().to_owned();
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let typed = rest.split(' ').next().unwrap_or_default().to_owned();
            same(
                number,
                || "metric described before it is typed".into(),
                &helped,
                &typed,
            )?;
            compared += 1;
        }
    }
    Ok(compared)
}
