//! `watchtower inspect`: one thing taken apart.

use std::path::Path;

use serde_json::{Value, json};

use super::args::{Cli, InspectCommand};
use super::exit::{Exit, Failure};
use super::output::line;
use crate::codec::Reader as Bytes;
use crate::config::Config;
use crate::crypto::{Dialect, blake2b};
use crate::journal::{Judgement, Reader, RollupRow};
use crate::protocol::{BlockHash, Commitment, CommitmentHash, Dialected, Level};

pub(super) fn run(cli: &Cli, command: &InspectCommand) -> Result<Exit, Failure> {
    let (found, as_json) = match command {
        InspectCommand::Commitment { commitment, json } => {
            (of_commitment(&cli.config()?, commitment)?, *json)
        }
        InspectCommand::Kernel { file, json } => (of_kernel(file)?, *json),
        InspectCommand::Block { block, json } => (of_block(&cli.config()?, block)?, *json),
    };
    if as_json {
        line(found.to_string())?;
    } else {
        print(&found, 0)?;
    }
    Ok(Exit::Fine)
}

/// One `name  value` per line; lists and objects indented below their name.
fn print(value: &Value, depth: usize) -> Result<(), Failure> {
    let pad = "  ".repeat(depth);
    let Value::Object(object) = value else {
        return Ok(line(format!("{pad}{value}"))?);
    };
    for (name, value) in object {
        match value {
            Value::Null => {}
            Value::String(text) => line(format!("{pad}{name:<18} {text}"))?,
            Value::Array(items) if items.iter().all(Value::is_string) => {
                line(format!("{pad}{name:<18} {}", items.len()))?;
                for item in items.iter().filter_map(Value::as_str) {
                    line(format!("{pad}  {item}"))?;
                }
            }
            Value::Array(items) => {
                line(format!("{pad}{name:<18} {}", items.len()))?;
                for item in items {
                    print(item, depth.saturating_add(1))?;
                }
            }
            Value::Object(_) => {
                line(format!("{pad}{name}"))?;
                print(value, depth.saturating_add(1))?;
            }
            other => line(format!("{pad}{name:<18} {other}"))?,
        }
    }
    Ok(())
}

fn wrong(message: String) -> Failure {
    Failure::said(Exit::Configuration, message)
}

fn of_commitment(config: &Config, text: &str) -> Result<Value, Failure> {
    let hash = match text.get(..3) {
        Some("src") => CommitmentHash::from_text(text, Dialect::Modern),
        Some("scc") => CommitmentHash::from_text(text, Dialect::Scr1),
        _ => return of_commitment_bytes(text),
    }
    .map_err(|error| wrong(error.to_string()))?;
    let reader = Reader::open(&config.journal_path())?;
    let mut places = Vec::new();
    for rollup in reader.rollups()? {
        let dialect = rollup.dialect;
        let published: Vec<_> = reader
            .published(&rollup.address)?
            .into_iter()
            .filter(|row| row.commitment.hash() == hash)
            .collect();
        let own = reader
            .own_commitments(&rollup.address)?
            .into_iter()
            .find(|(_, commitment)| commitment.hash() == hash);
        let claim = published
            .first()
            .map(|row| row.commitment)
            .or(own.map(|(_, commitment)| commitment));
        let Some(claim) = claim else { continue };
        let verdict = reader
            .verdicts(&rollup.address)?
            .into_iter()
            .find(|row| row.commitment == hash);
        let stakers: Vec<_> = published.iter().map(|row| row.staker.to_string()).collect();
        places.push(json!({
            "rollup": rollup.address.text(dialect),
            "commitment": fields(&claim, dialect),
            "is_ours": own.is_some(),
            "stakers": stakers,
            "published_level": published.first().and_then(|row| row.published_level),
            "verdict": verdict.as_ref().map(|row| row.judgement.word()),
            "why": verdict.and_then(|row| why(&row.judgement)),
        }));
    }
    if places.is_empty() {
        return Err(Failure::said(
            Exit::Data,
            format!("the journal knows no commitment {text}"),
        ));
    }
    Ok(json!({"hash": text, "seen": places}))
}

fn why(judgement: &Judgement) -> Option<String> {
    match judgement {
        Judgement::True => None,
        Judgement::False {
            field,
            claimed,
            computed,
        } => Some(format!("{field} is {claimed}, {computed} is true")),
        Judgement::NotJudgeable { reason, detail } => Some(format!("{reason} ({detail})")),
    }
}

fn fields(commitment: &Commitment, dialect: Dialect) -> Value {
    json!({
        "compressed_state": commitment.compressed_state.text(dialect),
        "inbox_level": commitment.inbox_level,
        "predecessor": commitment.predecessor.text(dialect),
        "number_of_ticks": commitment.number_of_ticks.to_string(),
    })
}

fn of_commitment_bytes(text: &str) -> Result<Value, Failure> {
    let bytes = hex::decode(text.trim()).map_err(|_| {
        wrong(format!(
            "{text:?} is neither a commitment hash (src1… or scc1…) nor hexadecimal bytes"
        ))
    })?;
    let mut reader = Bytes::new(&bytes);
    let commitment = Commitment::read(&mut reader)
        .and_then(|commitment| reader.finish().map(|()| commitment))
        .map_err(|error| wrong(format!("not a commitment: {error}")))?;
    Ok(json!({
        "hash": commitment.hash(),
        "commitment": fields(&commitment, Dialect::Modern),
    }))
}

fn of_kernel(file: &Path) -> Result<Value, Failure> {
    use wasmparser::{Parser, Payload, Validator, WasmFeatures};
    let bytes = std::fs::read(file)
        .map_err(|error| wrong(format!("kernel {}: {error}", file.display())))?;
    let mut imports = Vec::new();
    let mut exports = Vec::new();
    let mut problem = None;
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload {
            Ok(Payload::ImportSection(section)) => {
                for import in section.into_imports().flatten() {
                    imports.push(format!("{}.{}", import.module, import.name));
                }
            }
            Ok(Payload::ExportSection(section)) => {
                for export in section.into_iter().flatten() {
                    exports.push(format!("{} ({:?})", export.name, export.kind));
                }
            }
            Ok(_) => {}
            Err(error) => {
                problem = Some(format!("not WebAssembly: {error}"));
                break;
            }
        }
    }
    let features = WasmFeatures::default().difference(WasmFeatures::FLOATS);
    let refusal = || {
        let outcome = Validator::new_with_features(features).validate_all(&bytes);
        outcome.err().map(|error| error.to_string())
    };
    let has_entry = exports.iter().any(|name| name.starts_with("kernel_run "));
    let missing = || (!has_entry).then(|| "no export kernel_run".to_owned());
    Ok(json!({
        "file": file.display().to_string(),
        "bytes": bytes.len(),
        "blake2b": blake2b(&bytes).to_string(),
        "imports": imports,
        "exports": exports,
        "problem": problem.or_else(refusal).or_else(missing),
    }))
}

fn of_block(config: &Config, text: &str) -> Result<Value, Failure> {
    let reader = Reader::open(&config.journal_path())?;
    let block = if let Ok(level) = text.parse::<i64>() {
        let level = Level::try_from(level).map_err(|error| wrong(error.to_string()))?;
        reader.block_at(level)?
    } else {
        let hash: BlockHash = text.parse().map_err(|error| wrong(format!("{error}")))?;
        reader.block(&hash)?
    };
    let Some(block) = block else {
        let message = format!("the journal has no block {text}");
        return Err(Failure::said(Exit::Data, message));
    };
    let is_in_force = reader
        .block_at(block.level)?
        .is_some_and(|other| other.hash == block.hash);
    let rollups = reader.rollups()?;
    let dialect = rollups.first().map_or(Dialect::Modern, |row| row.dialect);
    let inbox = reader.inbox(&block.hash)?.map(|inbox| {
        json!({
            "hash": inbox.hash.text(dialect),
            "node_agrees": inbox.node_hash.map(|theirs| theirs == inbox.hash),
            "messages": inbox.messages.iter().map(|bytes| message(bytes)).collect::<Vec<_>>(),
        })
    });
    let mut states = Vec::new();
    for rollup in &rollups {
        if let Some(state) = reader.state(&rollup.address, &block.hash)? {
            states.push(json!({
                "rollup": rollup.address.text(dialect),
                "state": state.hash.text(dialect),
                "ticks": state.ticks.to_string(),
                "status": state.status,
                "edges": state.edges,
            }));
        }
    }
    let mut operations = Vec::new();
    for rollup in &rollups {
        operations.extend(operations_of(&reader, rollup, &block.hash)?);
    }
    Ok(json!({
        "block": block.hash,
        "level": block.level,
        "predecessor": block.predecessor,
        "timestamp": jiff::Timestamp::from_second(block.timestamp).map(|t| t.to_string()).ok(),
        "protocol": block.protocol,
        "is_in_force": is_in_force,
        "inbox": inbox,
        "states": states,
        "operations": operations,
    }))
}

/// What a block did to a rollup, in the order of the block.
fn operations_of(
    reader: &Reader,
    rollup: &RollupRow,
    block: &BlockHash,
) -> Result<Vec<Value>, Failure> {
    let address = rollup.address.text(rollup.dialect);
    let published = reader
        .published(&rollup.address)?
        .into_iter()
        .filter(|row| row.block == Some(*block));
    let mut rows: Vec<(u32, Value)> = published
        .map(|row| {
            let shown = json!({
                "rollup": address,
                "kind": "publish",
                "source": row.staker,
                "commitment": row.commitment.hash().text(rollup.dialect),
                "inbox_level": row.commitment.inbox_level,
            });
            (row.position, shown)
        })
        .collect();
    let others = reader
        .operations(&rollup.address)?
        .into_iter()
        .filter(|row| row.block == *block);
    rows.extend(others.map(|row| {
        let detail: Value = serde_json::from_str(&row.detail).unwrap_or(Value::Null);
        let shown = json!({
            "rollup": address,
            "kind": row.kind,
            "source": row.source,
            "detail": detail,
        });
        (row.position, shown)
    }));
    rows.sort_by_key(|(position, _)| *position);
    Ok(rows.into_iter().map(|(_, shown)| shown).collect())
}

/// A message by its first bytes and size; long ones are cut.
fn message(bytes: &[u8]) -> String {
    const SHOWN: usize = 48;
    let kind = match bytes {
        [1, ..] => "external",
        [0, 0, ..] => "transfer",
        [0, 1] => "start of level",
        [0, 2] => "end of level",
        [0, 3, ..] => "info per level",
        [0, 4, ..] => "protocol migration",
        [0, 5, ..] => "attested slots",
        _ => "unknown",
    };
    let shown = hex::encode(bytes.get(..SHOWN).unwrap_or(bytes));
    let cut = if bytes.len() > SHOWN { "…" } else { "" };
    format!("{kind}, {} bytes: {shown}{cut}", bytes.len())
}
