//! Proofs of single ticks: verified as the protocol does it, then made again and compared.
//!
//! The tree a proof starts from is the partial one that the proof itself shows: a tick that reads
//! the same makes the same proof from it, byte for byte. What a tick was given is taken in every
//! form a generator may write it: a message with its place, revealed data bare or under the name
//! of its kind.

use std::path::Path;

use serde_json::Value;

use super::machine::{Line, has_keys};
use super::{CheckError, Difference, Format, Lines, tree};
use crate::merkle::Proof;
use crate::protocol::Level;
use crate::pvm::InputInfo;
use crate::pvm::slow::{self, Expects, Input, Machine};

/// Proofs that say what their tick was given.
pub(super) const FORMAT: Format = Format {
    name: "proofs of single ticks, with what they were given",
    recognises: |_, first| has_keys(first, &["phase_before", "input", "proof"]),
    replay,
};

/// What the tick of a line was given.
fn input(line: &Line) -> Result<Input, CheckError> {
    let Some(given) = line.field("input") else {
        return Ok(Input::None);
    };
    if let Some(Value::Object(message)) = given.get("inbox").or_else(|| given.get("inbox_message"))
    {
        return self::message(line, message);
    }
    if let Some(message) = given
        .as_object()
        .filter(|given| given.contains_key("counter"))
    {
        return self::message(line, message);
    }
    match revealed(given) {
        Some(data) => {
            Ok(Input::Revealed(hex::decode(data).map_err(|error| {
                line.malformed(format!("revealed data: {error}"))
            })?))
        }
        None => Err(line.malformed(format!("an input of unknown form: {given}"))),
    }
}

fn message(line: &Line, message: &serde_json::Map<String, Value>) -> Result<Input, CheckError> {
    let inner = Line {
        number: line.number,
        json: Value::Object(message.clone()),
    };
    let level: i64 = inner.number("level")?;
    Ok(Input::Message {
        info: InputInfo {
            level: Level::try_from(level).map_err(|error| line.malformed(error.to_string()))?,
            counter: inner.number("counter")?,
        },
        payload: inner.bytes("payload")?,
    })
}

/// Revealed data: a text, or under one of these names, nested or not. A page that does not exist
/// is null, and reveals nothing.
fn revealed(given: &Value) -> Option<&str> {
    const NAMES: [&str; 12] = [
        "reveal",
        "revealed",
        "raw_data",
        "metadata",
        "dal_page",
        "dal_parameters",
        "raw",
        "response",
        "reveal_response",
        "data",
        "payload",
        "page",
    ];
    match given {
        Value::String(data) => Some(data),
        Value::Null => Some(""),
        Value::Object(fields) => NAMES
            .iter()
            .find_map(|name| fields.get(*name))
            .and_then(revealed),
        _ => None,
    }
}

/// Whether what the line says was requested is what the state waits for.
fn same_request(line: &Line, found: &Expects) -> Result<(), CheckError> {
    let Some(requested) = line.field("requested") else {
        return Ok(());
    };
    let text = requested.to_string().to_ascii_lowercase();
    let agrees = match found {
        Expects::Nothing => text.contains("no"),
        Expects::Input(_) => text.contains("input") || text.contains("first"),
        // The request itself, where the line shows it, or only that there is one.
        Expects::Reveal(request) => {
            text.contains(&hex::encode(request)) || (text.contains("reveal") && text.len() < 66)
        }
    };
    if agrees {
        return Ok(());
    }
    Err(Difference {
        line: line.number,
        what: "what the state waits for".to_owned(),
        expected: requested.to_string(),
        found: match found {
            Expects::Nothing => "nothing".to_owned(),
            Expects::Input(_) => "an input".to_owned(),
            Expects::Reveal(request) => format!("the reveal {}", hex::encode(request)),
        },
    }
    .into())
}

fn replay(path: &Path, lines: Lines) -> Result<usize, CheckError> {
    let mut compared = 0;
    for line in lines.numbered().map(Line::parse) {
        compared += tick(&line?)?;
    }
    Ok(compared + (tree::PROOFS.replay)(path, lines)?)
}

fn tick(line: &Line) -> Result<usize, CheckError> {
    let raw = line.bytes("proof")?;
    let phase = line.text("phase_before")?.to_owned();
    let differs = |what: &str, error: String| Difference {
        line: line.number,
        what: format!("{what} in phase {phase}"),
        expected: "a proof that holds".to_owned(),
        found: error,
    };
    let proof = Proof::decode(&raw).map_err(|error| differs("decoding", error.to_string()))?;
    let input = input(line)?;
    let expects = slow::verify(&proof, &input);
    let expects = expects.map_err(|error| differs("verifying", error.to_string()))?;
    same_request(line, &expects)?;
    let (mut made, mut stands) = (None, String::new());
    // The outcome is not what the proof claims, because nothing is done to the outer tree.
    let _ = proof.verify(|tree| {
        stands = Machine::decode(tree).map_or_else(|e| e.to_string(), |m| m.phase_name());
        made = Some(slow::prove(tree, &input));
    });
    let whole = phase.contains(':');
    let stands = match stands.split(':').next() {
        Some(tag) if !whole => tag.to_owned(),
        _ => stands,
    };
    line.same(|| "phase before".to_owned(), &phase, &stands)?;
    let made = match made {
        Some(Ok(made)) => made.proof.encode().map_err(|error| error.to_string()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("the parts shown do not fit together".to_owned()),
    };
    let made = made.map_err(|error| differs("proving", error))?;
    let what = |what: &str| format!("{what} of the proof made again in phase {phase}");
    line.same(|| what("size"), &raw.len(), &made.len())?;
    line.same(|| what("bytes"), &hex::encode(&raw), &hex::encode(&made))?;
    Ok(5)
}
