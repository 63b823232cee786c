//! Dissections with the protocol's answer to each.

use std::path::Path;

use serde::Deserialize;

use super::{CheckError, Format, Lines, same};
use crate::game::{Dissectable, Machine, Refusal, check_dissection};
use crate::protocol::operation::DissectionChunk;
use crate::protocol::{StateHash, Tick};

pub(super) const FORMAT: Format = Format {
    name: "dissections",
    recognises,
    replay,
};

#[derive(Deserialize)]
struct Chunk {
    tick: Tick,
    hash: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    name: String,
    default_number_of_sections: u8,
    start: Chunk,
    stop: Chunk,
    dissection: Vec<Chunk>,
    result: String,
}

fn recognises(_: &Path, first: &str) -> bool {
    first.contains("\"default_number_of_sections\"")
        && first.contains("\"dissection\"")
        && first.contains("\"result\"")
}

fn replay(_: &Path, lines: Lines) -> Result<usize, CheckError> {
    let machine = Machine::Wasm {
        ticks_per_snapshot: 50_000_000_000_000,
    };
    let mut compared = 0;
    for (number, text) in lines.numbered() {
        let malformed = |problem: String| CheckError::Malformed {
            line: number,
            problem,
        };
        let line: Line = serde_json::from_str(text).map_err(|e| malformed(e.to_string()))?;
        let chunk = |chunk: &Chunk| -> Result<DissectionChunk, CheckError> {
            let state = chunk
                .hash
                .as_deref()
                .map(state_hash)
                .transpose()
                .map_err(malformed)?;
            Ok(DissectionChunk {
                state,
                tick: chunk.tick,
            })
        };
        let interval = Dissectable {
            start: chunk(&line.start)?,
            stop: chunk(&line.stop)?,
            sections: line.default_number_of_sections,
        };
        let dissection = line
            .dissection
            .iter()
            .map(chunk)
            .collect::<Result<Vec<_>, _>>()?;
        let found = match check_dissection(machine, &interval, &dissection) {
            Ok(()) => "ok".to_owned(),
            Err(refusal) => as_the_reference_prints(&refusal),
        };
        let expected = line.result.strip_prefix("Error:\n").unwrap_or(&line.result);
        let expected = expected.split_whitespace().collect::<Vec<_>>().join(" ");
        same(
            number,
            || format!("answer to the dissection {:?}", line.name),
            &expected,
            &found,
        )?;
        compared += 1;
    }
    Ok(compared)
}

fn state_hash(text: &str) -> Result<StateHash, String> {
    let bytes = hex::decode(text).map_err(|e| format!("hash {text:?}: {e}"))?;
    bytes
        .try_into()
        .map(StateHash)
        .map_err(|_| format!("hash {text:?} does not have 32 bytes"))
}

/// The reference prints a wrong start hash with the two hashes in each other's place.
fn as_the_reference_prints(refusal: &Refusal) -> String {
    match *refusal {
        Refusal::StartHash { expected, given } => Refusal::StartHash {
            expected: given,
            given: expected,
        }
        .to_string(),
        ref other => other.to_string(),
    }
}
