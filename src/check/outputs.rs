//! Output proofs: made from the state that the setup leads to, and compared byte for byte.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::facts::{bytes, malformed, parsed, understood};
use super::rollup::{self, Given, Rollup, SetupLevel};
use super::{CheckError, Format, Lines, same};
use crate::codec::Reader;
use crate::merkle;
use crate::protocol::{Level, OutboxMessage, Protocol, RollupAddress};
use crate::pvm::{OutputProof, State};

const PROTOCOL: Protocol = Protocol::Ushuaia;

pub(super) const FORMAT: Format = Format {
    name: "output proofs",
    recognises,
    replay,
};

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    Setup {
        origination_level: Level,
        boot_sector: String,
        levels: Vec<SetupLevel>,
        state_hash: String,
    },
    Outbox {
        level: Level,
        count: u64,
    },
    OutputProof {
        outbox_level: Level,
        message_index: String,
        message: String,
        output_proof: String,
        state: String,
        verified: bool,
    },
}

fn recognises(_: &Path, first: &str) -> bool {
    first.contains("\"boot_sector\"")
        && matches!(serde_json::from_str(first), Ok(Line::Setup { .. }))
}

fn replay(_: &Path, lines: Lines) -> Result<usize, CheckError> {
    let mut reached: Option<State> = None;
    let (mut compared, mut proved) = (0_usize, BTreeMap::new());
    let mut counts = BTreeMap::new();
    for (line, text) in lines.numbered() {
        match (parsed(line, text)?, &mut reached) {
            (
                Line::Setup {
                    origination_level,
                    boot_sector,
                    levels,
                    state_hash,
                },
                _,
            ) => {
                let mut state = after(line, origination_level, &boot_sector, &levels)?;
                let hash = understood(line, "state", state.hash())?;
                same(line, || "state".into(), &state_hash, &hash.to_string())?;
                reached = Some(state);
                compared = compared.saturating_add(1);
            }
            (Line::Outbox { level, count }, _) => {
                if let Some((last, _)) = counts.last_key_value() {
                    let next = Level::plus(*last, 1).unwrap_or(*last);
                    same(line, || "level of the outbox".into(), &level, &next)?;
                }
                counts.insert(level, (line, count));
            }
            (
                Line::OutputProof {
                    outbox_level,
                    message_index,
                    message,
                    output_proof,
                    state,
                    verified,
                },
                Some(reached),
            ) => {
                let index = message_index.parse().map_err(|e| malformed(line, e))?;
                let proof = OutputProof::produce(reached, outbox_level, index);
                let proof = understood(line, "proof of the message", proof)?;
                check(line, &proof, &message, &output_proof)?;
                let shown = proof.verify().map(|hash| hash.to_string());
                let shown = understood(line, "our proof", shown)?;
                same(line, || "state of the proof".into(), &state, &shown)?;
                same(line, || "verified".into(), &true, &verified)?;
                let seen = proved.entry(outbox_level).or_insert(0_u64);
                *seen = seen.saturating_add(1);
                compared = compared.saturating_add(6);
            }
            (Line::OutputProof { .. }, None) => return Err(malformed(line, "no setup before")),
        }
    }
    for (level, (line, count)) in counts {
        let seen = proved.get(&level).copied().unwrap_or(0);
        let what = || format!("messages proved at level {level}");
        same(line, what, &count, &seen)?;
        compared = compared.saturating_add(1);
    }
    Ok(compared)
}

/// The state after the levels of the setup.
fn after(
    line: usize,
    origination: Level,
    kernel: &str,
    levels: &[SetupLevel],
) -> Result<State, CheckError> {
    // No kernel of these files asks which rollup it is.
    let facts = rollup::facts(PROTOCOL, RollupAddress([0; 20]), origination);
    let kernel = bytes(line, kernel)?;
    let mut rollup = Rollup::originate(line, PROTOCOL, &facts, &kernel, levels, Given::default())?;
    rollup.last_state(line)
}

/// Message and bytes are those of the file, and its bytes read back as a proof of the message.
fn check(
    line: usize,
    ours: &OutputProof,
    message: &str,
    output_proof: &str,
) -> Result<(), CheckError> {
    let found = hex::encode(&ours.message);
    same(line, || "message".into(), &message.to_owned(), &found)?;
    let written = understood(line, "output proof", ours.to_bytes())?;
    let what = || "bytes of the proof".to_owned();
    same(line, what, &output_proof.to_owned(), &hex::encode(written))?;
    let raw = bytes(line, output_proof)?;
    let mut reader = Reader::new(&raw);
    understood(line, "tree proof", merkle::Proof::read(&mut reader))?;
    let level = understood(line, "outbox level", reader.i32("outbox level"))?;
    same(line, || "outbox level".into(), &ours.level.get(), &level)?;
    let index = understood(line, "message index", reader.n("message index"))?;
    same(
        line,
        || "message index".into(),
        &u128::from(ours.index),
        &index,
    )?;
    let rest = reader.rest();
    let read = understood(line, "message", OutboxMessage::parse(rest))?;
    let again = hex::encode(read.serialize());
    same(
        line,
        || "message written back".into(),
        &message.to_owned(),
        &again,
    )
}
