//! Proofs of single ticks: verified as the protocol does it, then made again and compared.
//!
//! The tree a proof starts from is the partial one that the proof itself shows: a tick that reads
//! the same makes the same proof from it, byte for byte.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{CheckError, Difference, Format, Lines, same, tree};
use crate::merkle::Proof;
use crate::protocol::Level;
use crate::pvm::InputInfo;
use crate::pvm::slow::{self, Input};

/// Proofs that say what their tick was given.
pub(super) const FORMAT: Format = Format {
    name: "proofs of single ticks, with what they were given",
    recognises: |_, first| serde_json::from_str::<Tick>(first).is_ok(),
    replay,
};

#[derive(Deserialize)]
struct Tick {
    phase_before: String,
    /// Null when the tick is one of evaluation.
    input: Option<Given>,
    #[serde(rename = "requested")]
    _requested: Value,
    proof: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Given {
    Inbox {
        level: i32,
        counter: u64,
        payload: String,
    },
    #[serde(alias = "raw_data", alias = "metadata", alias = "response")]
    Reveal(String),
}

fn malformed(line: usize, problem: impl ToString) -> CheckError {
    CheckError::Malformed {
        line,
        problem: problem.to_string(),
    }
}

fn input(line: usize, given: Option<Given>) -> Result<Input, CheckError> {
    let bytes = |text: &str| hex::decode(text).map_err(|error| malformed(line, error));
    Ok(match given {
        None => Input::None,
        Some(Given::Inbox {
            level,
            counter,
            payload,
        }) => Input::Message {
            info: InputInfo {
                level: Level::try_from(level).map_err(|error| malformed(line, error))?,
                counter: u128::from(counter),
            },
            payload: bytes(&payload)?,
        },
        Some(Given::Reveal(data)) => Input::Revealed(bytes(&data)?),
    })
}

fn replay(path: &Path, lines: Lines) -> Result<usize, CheckError> {
    let mut compared = 0;
    for (line, text) in lines.numbered() {
        let tick: Tick = serde_json::from_str(text).map_err(|error| malformed(line, error))?;
        let raw = hex::decode(&tick.proof).map_err(|error| malformed(line, error))?;
        let proof = Proof::decode(&raw).map_err(|error| malformed(line, error))?;
        let input = input(line, tick.input)?;
        let phase = tick.phase_before;
        let differs = |what: &str, error: String| Difference {
            line,
            what: format!("{what} in phase {phase}"),
            expected: "a proof that holds".to_owned(),
            found: error,
        };
        slow::verify(&proof, &input).map_err(|error| differs("verifying", error.to_string()))?;
        let mut made = None;
        // The outcome is not what the proof claims, because nothing is done to the outer tree.
        let _ = proof.verify(|tree| made = Some(slow::prove(tree, &input)));
        let made = match made {
            Some(Ok((made, _))) => made.encode().map_err(|error| error.to_string()),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("the parts shown do not fit together".to_owned()),
        };
        let made = made.map_err(|error| differs("proving", error))?;
        let what = |what: &str| format!("{what} of the proof made again in phase {phase}");
        same(line, || what("size"), &raw.len(), &made.len())?;
        same(line, || what("bytes"), &tick.proof, &hex::encode(&made))?;
        compared += 3;
    }
    Ok(compared + (tree::PROOFS.replay)(path, lines)?)
}
