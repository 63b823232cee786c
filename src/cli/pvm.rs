//! `watchtower pvm`: the reference machine at any tick, on a kernel file or a followed rollup.
//!
//! Promises: a proof and a dump are written in the forms of the vector files, so that `check` reads
//! them. Refuses to know: how the machine gets to a tick.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::args::{PvmArgs, PvmCommand, PvmSource};
use super::exit::{Exit, Failure};
use super::output::line;
use super::replay;
use crate::config::Config;
use crate::merkle::{KindedHash, Proof, Tree};
use crate::protocol::{Level, PvmVersion};
use crate::pvm::slow::{self, Expects, Input, Openings};
use crate::pvm::{
    Activation, Environment, InputInfo, Origination, PageId, RevealError, Reveals, State, Timeline,
};
use crate::tower::openings;

/// What a kernel is originated with and given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inputs {
    #[serde(default = "newest")]
    version: String,
    #[serde(default = "period")]
    ticks_per_snapshot: u64,
    #[serde(default = "validity")]
    outbox_validity_period: i32,
    #[serde(default = "limit")]
    outbox_message_limit: u32,
    #[serde(default)]
    levels: Vec<LevelOfInputs>,
    #[serde(default)]
    metadata: String,
    #[serde(default)]
    reveals: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LevelOfInputs {
    level: i64,
    messages: Vec<String>,
}

fn newest() -> String {
    PvmVersion::V6.text().to_owned()
}

const fn period() -> u64 {
    50_000_000_000_000
}

const fn validity() -> i32 {
    241_920
}

const fn limit() -> u32 {
    100
}

fn wrong(error: impl ToString) -> Failure {
    Failure::said(Exit::Configuration, error.to_string())
}

fn bytes(what: &str, text: &str) -> Result<Vec<u8>, Failure> {
    hex::decode(text).map_err(|error| wrong(format!("{what}: {error}")))
}

/// Answers from the file: by request, whatever it is.
#[derive(Debug)]
struct FromFile {
    metadata: [u8; 24],
    reveals: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl FromFile {
    fn answered(&self, request: &[u8]) -> Result<Vec<u8>, RevealError> {
        let answer = self.reveals.get(request).cloned();
        answer.ok_or_else(|| RevealError::NoPreimage {
            hash: hex::encode(request),
            reason: "the request is not among the reveals of the inputs".to_owned(),
        })
    }
}

impl Reveals for FromFile {
    fn preimage(&self, hash: &[u8; 33]) -> Result<Vec<u8>, RevealError> {
        self.answered(&[&[0], hash.as_slice()].concat())
    }

    fn metadata(&self) -> [u8; 24] {
        self.metadata
    }

    fn dal_parameters(&self, _: Level) -> Result<Vec<u8>, RevealError> {
        self.answered(&[3])
    }

    fn dal_page(&self, page: &PageId) -> Result<Vec<u8>, RevealError> {
        let mut request = vec![2];
        request.extend(page.published_level.get().to_be_bytes());
        request.push(page.slot_index);
        request.extend(page.page_index.to_be_bytes());
        self.answered(&request)
    }

    fn activation(&self) -> Activation {
        Activation::ALL
    }
}

fn from_files(
    kernel: &Path,
    inputs: Option<&Path>,
    openings: Openings,
) -> Result<Timeline, Failure> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| wrong(format!("{}: {error}", path.display())))
    };
    let inputs: Inputs = match inputs {
        None => serde_json::from_str("{}").map_err(wrong)?,
        Some(path) => serde_json::from_slice(&read(path)?)
            .map_err(|error| wrong(format!("{}: {error}", path.display())))?,
    };
    let version = PvmVersion::ALL
        .into_iter()
        .zip(0..)
        .find(|(version, n)| inputs.version == version.text() || inputs.version == format!("v{n}"));
    let Some((version, _)) = version else {
        return Err(wrong(format!("{:?} is not a version", inputs.version)));
    };
    let origination = Origination {
        version,
        ticks_per_snapshot: inputs.ticks_per_snapshot,
        outbox_validity_period: inputs.outbox_validity_period,
        outbox_message_limit: inputs.outbox_message_limit,
    };
    let mut reveals = BTreeMap::new();
    for (request, answer) in &inputs.reveals {
        reveals.insert(bytes("reveals", request)?, bytes("reveals", answer)?);
    }
    let metadata = bytes("metadata", &inputs.metadata)?;
    let metadata = match metadata.as_slice() {
        [] => [0; 24],
        given => given
            .try_into()
            .map_err(|_| wrong("metadata: 20 bytes of address and 4 of level"))?,
    };
    let mut levels: Vec<(Level, Arc<[Vec<u8>]>)> = Vec::new();
    for given in &inputs.levels {
        let messages: Result<Vec<_>, _> = given
            .messages
            .iter()
            .map(|message| bytes("messages", message))
            .collect();
        let level = Level::try_from(given.level).map_err(wrong)?;
        levels.push((level, messages?.into()));
    }
    let environment = Environment {
        openings,
        ..Environment::without_fast(Arc::new(FromFile { metadata, reveals }))
    };
    let state = State::originate(&origination, &read(kernel)?).map_err(wrong)?;
    Timeline::new(state, levels, environment).map_err(wrong)
}

fn timeline(config: &Config, source: &PvmSource) -> Result<Timeline, Failure> {
    match (&source.kernel, source.level) {
        (Some(kernel), None) => {
            from_files(kernel, source.inputs.as_deref(), openings(&config.data_dir))
        }
        (None, Some(level)) => replay::timeline(config, source.rollup.as_deref(), level),
        _ => Err(wrong(
            "give --kernel with --inputs, or --level of a followed rollup",
        )),
    }
}

/// Runs a subcommand.
pub(super) fn run(config: &Config, command: &PvmArgs) -> Result<Exit, Failure> {
    match &command.command {
        PvmCommand::Trace {
            source,
            ticks,
            every,
        } => trace(&mut timeline(config, source)?, ticks, *every),
        PvmCommand::State { source, tick } => {
            let described = timeline(config, source)?.describe(*tick);
            line(described.map_err(data)?.to_string().trim_end())?;
            Ok(Exit::Fine)
        }
        PvmCommand::Prove {
            source,
            tick,
            output,
        } => prove(&mut timeline(config, source)?, *tick, output),
        PvmCommand::Verify { proof } => verify(proof),
        PvmCommand::Dump { source, tick } => dump(&mut timeline(config, source)?, *tick),
    }
}

fn data(error: impl ToString) -> Failure {
    Failure::said(Exit::Data, error.to_string())
}

/// Hashes at the ticks named, or at every so many up to the last.
fn trace(timeline: &mut Timeline, ticks: &[u128], every: Option<u128>) -> Result<Exit, Failure> {
    let mut ticks = ticks.to_vec();
    if let Some(every) = every.filter(|every| *every > 0) {
        let length = timeline.length().map_err(data)?;
        let count = length / every;
        let listed = (0..=count).map(|index| index.saturating_mul(every));
        ticks.extend(listed.take(1_000_000));
    }
    ticks.sort_unstable();
    ticks.dedup();
    let hashes = timeline.hashes(&ticks).map_err(data)?;
    for (tick, hash) in ticks.iter().zip(hashes) {
        let hash = hash.map_or_else(|| "no state".to_owned(), |hash| hash.to_string());
        line(format!("{tick} {hash}"))?;
    }
    Ok(Exit::Fine)
}

fn ended(kinded: KindedHash) -> Value {
    let kind = match kinded {
        KindedHash::Value(_) => "value",
        KindedHash::Node(_) => "node",
    };
    json!({"kind": kind, "hash": kinded.hash().to_string()})
}

fn prove(timeline: &mut Timeline, tick: u128, output: &Path) -> Result<Exit, Failure> {
    let phase = timeline.describe(tick).map_err(data)?.phase;
    let phase = phase
        .split([' ', ':'])
        .next()
        .unwrap_or_default()
        .to_owned();
    let made = timeline.prove(tick).map_err(data)?;
    let encoded = made.proof.encode().map_err(data)?;
    let input = match &made.input {
        Input::None => Value::Null,
        Input::Message { info, payload } => json!({"inbox": {
            "level": info.level.get(),
            "counter": u64::try_from(info.counter).unwrap_or(u64::MAX),
            "payload": hex::encode(payload),
        }}),
        Input::Revealed(data) => json!({"reveal": hex::encode(data)}),
    };
    let requested = match &made.expects {
        Expects::Nothing => json!("none"),
        Expects::Input(_) => json!("input"),
        Expects::Reveal(request) => json!({"reveal": hex::encode(request)}),
    };
    let text = json!({
        "tick": tick.to_string(),
        "phase_before": phase,
        "input": input,
        "requested": requested,
        "before": ended(made.proof.before()),
        "after": ended(made.proof.after()),
        "size": encoded.len(),
        "proof": hex::encode(&encoded),
    });
    std::fs::write(output, format!("{text}\n"))
        .map_err(|error| wrong(format!("{}: {error}", output.display())))?;
    line(format!(
        "tick {tick}: {} bytes from {} to {}",
        encoded.len(),
        made.before,
        made.after
    ))?;
    Ok(Exit::Fine)
}

#[derive(Debug, Deserialize)]
struct Written {
    input: Option<Given>,
    proof: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Given {
    Inbox {
        level: i64,
        counter: u64,
        payload: String,
    },
    Reveal(String),
}

/// Verifies as layer 1 does, on what the proof shows alone.
fn verify(path: &Path) -> Result<Exit, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| wrong(format!("{}: {error}", path.display())))?;
    for text in text.lines().filter(|text| !text.trim().is_empty()) {
        let written: Written = serde_json::from_str(text).map_err(wrong)?;
        let input = match written.input {
            None => Input::None,
            Some(Given::Reveal(data)) => Input::Revealed(bytes("revealed data", &data)?),
            Some(Given::Inbox {
                level,
                counter,
                payload,
            }) => Input::Message {
                info: InputInfo {
                    level: Level::try_from(level).map_err(wrong)?,
                    counter: u128::from(counter),
                },
                payload: bytes("payload", &payload)?,
            },
        };
        let raw = bytes("proof", &written.proof)?;
        let verified = Proof::decode(&raw)
            .map_err(|error| slow::ProveError::Proof(error.into()))
            .and_then(|proof| slow::verify(&proof, &input).map(|_| proof));
        match verified {
            Ok(proof) => line(format!(
                "holds: {} to {}",
                proof.before().hash(),
                proof.after().hash()
            ))?,
            Err(error) => {
                line(format!("does not hold: {error}"))?;
                return Ok(Exit::Difference);
            }
        }
    }
    Ok(Exit::Fine)
}

fn dump(timeline: &mut Timeline, tick: u128) -> Result<Exit, Failure> {
    let mut state = timeline.state(tick).map_err(data)?;
    let (at, phase) = (state.current_tick, state.phase.tag());
    let tree = state.encode().map_err(data)?;
    let hash = tree.hash().map_err(data)?.to_string();
    line(
        json!({"type": "header", "tick": at.to_string(), "phase": phase, "hash": hash}).to_string(),
    )?;
    dump_below(tree, "")?;
    Ok(Exit::Fine)
}

fn dump_below(tree: &Tree, path: &str) -> Result<(), Failure> {
    let entries = tree.list(&[], 0, None).map_err(data)?;
    let hash = tree.hash().map_err(data)?.to_string();
    line(
        json!({"type": "node", "path": path, "children": entries.len(), "hash": hash}).to_string(),
    )?;
    for (name, child) in entries {
        let below = match path {
            "" => name,
            path => format!("{path}/{name}"),
        };
        match child.find(&[]).map_err(data)? {
            Some(value) => line(
                json!({"type": "leaf", "path": below, "value": hex::encode(value)}).to_string(),
            )?,
            None => dump_below(&child, &below)?,
        }
    }
    Ok(())
}
