//! Vectors of the inbox: messages, payload lists, levels and proofs.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::facts::{Number, bytes, malformed, parsed, understood};
use super::{CheckError, Format, Lines, same};
use crate::codec::{Reader, Writer};
use crate::crypto::{Dialect, blake2b};
use crate::inbox::{
    BlockInput, InboxProof, LevelMessages, Message, NextInput, PayloadCell, messages_of,
    minimal_path, next_inbox, origin_inbox,
};
use crate::protocol::{BlockHash, HistoryCell, Inbox, Level, MessageHash, Protocol, Timestamp};

pub(super) const MESSAGES: Format = Format {
    name: "inbox messages",
    recognises: recognises_messages,
    replay: replay_messages,
};

pub(super) const PAYLOADS: Format = Format {
    name: "messages of a level as a skip list",
    recognises: recognises_payloads,
    replay: replay_payloads,
};

pub(super) const LEVELS: Format = Format {
    name: "inbox levels and inbox proofs",
    recognises: recognises_levels,
    replay: replay_levels,
};

#[derive(Deserialize)]
struct MessageLine {
    name: String,
    serialized: Option<String>,
    payload_hash: Option<String>,
    payload_hash_b58: Option<MessageHash>,
    error: Option<String>,
}

fn recognises_messages(_: &Path, first: &str) -> bool {
    matches!(
        serde_json::from_str(first),
        Ok(MessageLine {
            payload_hash: Some(_),
            ..
        } | MessageLine { error: Some(_), .. })
    ) && !first.contains("\"encoding\"")
}

fn replay_messages(_: &Path, lines: Lines) -> Result<usize, CheckError> {
    let mut compared = 0_usize;
    for (line, text) in lines.numbered() {
        let given: MessageLine = parsed(line, text)?;
        let name = given.name.as_str();
        let Some(serialized) = given.serialized else {
            // The message that cannot be encoded is the one too long by one byte.
            let refused = Message::External(vec![b'z'; 4096]).serialize().is_err();
            same(
                line,
                || format!("{name} refused"),
                &given.error.is_some(),
                &refused,
            )?;
            compared = compared.saturating_add(1);
            continue;
        };
        let raw = bytes(line, &serialized)?;
        let message = understood(line, name, Message::parse(&raw))?;
        let again = hex::encode(understood(line, name, message.serialize())?);
        same(line, || format!("bytes of {name}"), &serialized, &again)?;
        let hash = blake2b(&raw);
        let (hex, text) = (given.payload_hash, given.payload_hash_b58);
        let what = || format!("hash of {name}");
        same(line, what, &hex.unwrap_or_default(), &hash.to_string())?;
        let text = text.map(|text| text.to_string()).unwrap_or_default();
        same(line, what, &text, &MessageHash(hash.0).to_string())?;
        compared = compared.saturating_add(3);
    }
    Ok(compared)
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum PayloadLine {
    Witness {
        index: u64,
        message: String,
        payload_hash: String,
        witness_hash: String,
        witness_hash_b58: String,
        encoding: String,
    },
    #[serde(untagged)]
    Proof {
        target_index: u64,
        head_index: u64,
        path_len: usize,
        proof: String,
        verified_target_hash: String,
        verified_head_hash: String,
        payload: String,
    },
    #[serde(untagged)]
    NoProof { index: u64, none: bool },
}

fn recognises_payloads(_: &Path, first: &str) -> bool {
    matches!(serde_json::from_str(first), Ok(PayloadLine::Witness { .. }))
}

fn written(cell: &PayloadCell) -> Vec<u8> {
    let mut writer = Writer::new();
    cell.write(&mut writer);
    writer.into_bytes()
}

fn replay_payloads(_: &Path, lines: Lines) -> Result<usize, CheckError> {
    let mut compared = 0_usize;
    let mut messages = Vec::new();
    for (line, text) in lines.numbered() {
        if let PayloadLine::Witness { message, .. } = parsed(line, text)? {
            messages.push(bytes(line, &message)?);
        }
    }
    let level = LevelMessages::new(messages).ok_or_else(|| malformed(1, "no message"))?;
    let cells = level.cells();
    for (line, text) in lines.numbered() {
        compared = compared.saturating_add(match parsed(line, text)? {
            PayloadLine::Witness {
                index,
                message: _,
                payload_hash,
                witness_hash,
                witness_hash_b58,
                encoding,
            } => {
                let cell = cell_at(line, &cells, index)?;
                let hash = cell.hash();
                let what = |what: &'static str| move || format!("{what} of cell {index}");
                same(
                    line,
                    what("message hash"),
                    &payload_hash,
                    &hex::encode(cell.message.0),
                )?;
                same(line, what("pointer"), &witness_hash, &hex::encode(hash.0))?;
                same(line, what("pointer"), &witness_hash_b58, &hash.to_string())?;
                same(line, what("bytes"), &encoding, &hex::encode(written(cell)))?;
                4
            }
            PayloadLine::Proof {
                target_index,
                head_index,
                path_len,
                proof,
                verified_target_hash,
                verified_head_hash,
                payload,
            } => {
                let path = minimal_path(head_index, target_index)
                    .ok_or_else(|| malformed(line, "the target is above the head"))?;
                same(line, || "cells on the path".into(), &path_len, &path.len())?;
                let mut writer = Writer::new();
                let on_path: Result<Vec<_>, _> = path
                    .iter()
                    .map(|index| cell_at(line, &cells, *index))
                    .collect();
                let on_path = on_path?;
                writer.sized(|writer| on_path.iter().for_each(|cell| cell.write(writer)));
                same(
                    line,
                    || "path".into(),
                    &proof,
                    &hex::encode(writer.into_bytes()),
                )?;
                let (head, target) = (on_path.first(), on_path.last());
                let hash = |cell: Option<&&PayloadCell>| {
                    cell.map(|cell| hex::encode(cell.hash().0))
                        .unwrap_or_default()
                };
                same(line, || "head".into(), &verified_head_hash, &hash(head))?;
                same(
                    line,
                    || "target".into(),
                    &verified_target_hash,
                    &hash(target),
                )?;
                let found = usize::try_from(target_index).ok();
                let found = found.and_then(|index| level.messages().get(index));
                let found = found.map(hex::encode).unwrap_or_default();
                same(line, || "message".into(), &payload, &found)?;
                5
            }
            PayloadLine::NoProof { index, none } => {
                let last = cells.last().map_or(0, |cell| cell.index);
                let ours = minimal_path(last, index).is_none();
                same(line, || format!("no path to {index}"), &none, &ours)?;
                1
            }
        });
    }
    Ok(compared)
}

fn cell_at(line: usize, cells: &[PayloadCell], index: u64) -> Result<&PayloadCell, CheckError> {
    let place = usize::try_from(index).ok();
    place
        .and_then(|place| cells.get(place))
        .ok_or_else(|| malformed(line, format!("no message {index}")))
}

/// Lines name what they are; any other name is another format.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum IsInbox {
    Inbox,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum IsProof {
    Proof,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum IsSnapshot {
    Snapshot,
}

#[derive(Deserialize)]
struct InboxLine {
    #[serde(rename = "type")]
    _type: IsInbox,
    inbox_genesis_level: Option<Level>,
    level: Level,
    predecessor_timestamp: Number,
    predecessor: String,
    #[serde(alias = "payloads")]
    messages: Vec<String>,
    witness_hash: Option<String>,
    inbox_hash: String,
    inbox_hash_b58: String,
    encoding: String,
    versioned_encoding: String,
    #[serde(alias = "history_proof")]
    history_proof_hash_encoding: String,
    skip_list_index: String,
}

#[derive(Deserialize)]
struct ProofLine {
    #[serde(rename = "type")]
    _type: IsProof,
    level: Level,
    counter: u64,
    message: Option<Input>,
    verify: Option<Verified>,
    serialized_proof: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize, PartialEq)]
struct Input {
    level: Level,
    counter: u64,
    payload: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Verified {
    Input(Input),
    Refused(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Snapshot {
    #[serde(rename = "type")]
    _type: IsSnapshot,
    history_proof: String,
}

fn recognises_levels(_: &Path, first: &str) -> bool {
    serde_json::from_str::<InboxLine>(first).is_ok()
}

/// The chain of inboxes rebuilt so far, by genesis level when a file has several.
#[derive(Default)]
struct Chain {
    cells: Vec<HistoryCell>,
    messages: BTreeMap<Level, LevelMessages>,
}

fn replay_levels(_: &Path, lines: Lines) -> Result<usize, CheckError> {
    let mut compared = 0_usize;
    let mut chains: BTreeMap<Option<Level>, Chain> = BTreeMap::new();
    let mut snapshot: Option<HistoryCell> = None;
    for (line, text) in lines.numbered() {
        if let Ok(given) = serde_json::from_str::<InboxLine>(text) {
            let chain = chains.entry(given.inbox_genesis_level).or_default();
            compared = compared.saturating_add(check_level(line, &given, chain)?);
            continue;
        }
        let chain = chains
            .values()
            .next()
            .ok_or_else(|| malformed(line, "no inbox before"))?;
        if let Ok(given) = serde_json::from_str::<Snapshot>(text) {
            let ours = chain.cells.last().map(cell_hex).unwrap_or_default();
            same(line, || "snapshot".into(), &given.history_proof, &ours)?;
            snapshot = chain.cells.last().cloned();
            compared = compared.saturating_add(1);
            continue;
        }
        let given: ProofLine = parsed(line, text)?;
        let snapshot = snapshot
            .as_ref()
            .ok_or_else(|| malformed(line, "no snapshot before"))?;
        compared = compared.saturating_add(check_proof(line, &given, snapshot, chain)?);
    }
    Ok(compared)
}

fn cell_hex(cell: &HistoryCell) -> String {
    let mut writer = Writer::new();
    cell.write(&mut writer);
    hex::encode(writer.into_bytes())
}

fn predecessor(line: usize, text: &str) -> Result<BlockHash, CheckError> {
    if let Ok(hash) = text.parse() {
        return Ok(hash);
    }
    let raw = bytes(line, text)?.try_into();
    raw.map(BlockHash)
        .map_err(|_| malformed(line, "a block hash has 32 bytes"))
}

fn check_level(line: usize, given: &InboxLine, chain: &mut Chain) -> Result<usize, CheckError> {
    let level = given.level;
    let what = |what: &'static str| move || format!("{what} of level {level}");
    let hash = predecessor(line, &given.predecessor)?;
    let timestamp = Timestamp(given.predecessor_timestamp.get(line)?);
    let given_messages: Result<Vec<_>, _> = given
        .messages
        .iter()
        .map(|message| bytes(line, message))
        .collect();
    let given_messages = given_messages?;
    let (inbox, messages) = match chain.cells.last() {
        None => {
            let made = origin_inbox(level, Protocol::Ushuaia, hash, timestamp);
            understood(line, "first inbox level", made)?
        }
        Some(cell) => {
            let last = Inbox { cell: cell.clone() };
            let messages = LevelMessages::new(given_messages.clone())
                .ok_or_else(|| malformed(line, "no message"))?;
            let inbox = next_inbox(&last, level, messages.witness());
            let inbox = understood(line, "inbox", inbox)?;
            check_protocol_messages(line, level, hash, timestamp, &given_messages)?;
            (inbox, messages)
        }
    };
    if !given_messages.is_empty() {
        let ours: Vec<_> = messages.messages().iter().map(hex::encode).collect();
        same(
            line,
            what("messages"),
            &given.messages.join(" "),
            &ours.join(" "),
        )?;
    }
    if let Some(witness) = &given.witness_hash {
        same(
            line,
            what("witness"),
            witness,
            &hex::encode(messages.witness().0),
        )?;
    }
    check_inbox(line, given, &inbox)?;
    chain.cells.push(inbox.cell);
    chain.messages.insert(level, messages);
    Ok(8)
}

/// Our own start, info and end of level around whatever the level holds.
fn check_protocol_messages(
    line: usize,
    level: Level,
    predecessor: BlockHash,
    predecessor_timestamp: Timestamp,
    given: &[Vec<u8>],
) -> Result<(), CheckError> {
    let protocol = Protocol::Ushuaia;
    let predecessor_protocol = protocol.hash_text().parse();
    let empty = messages_of(&BlockInput {
        level,
        protocol,
        predecessor_protocol: predecessor_protocol.map_err(|e| malformed(line, e))?,
        predecessor,
        predecessor_timestamp,
        contributions: Vec::new(),
        attested_slots: Vec::new(),
        dal_parameters: BTreeMap::new(),
    });
    let empty = understood(line, "messages of an empty level", empty)?;
    let (ours, end) = empty.messages().split_at(2);
    let ends = given.first_chunk::<2>().zip(given.last());
    let (start, last) = ends.ok_or_else(|| malformed(line, "fewer than three messages"))?;
    let text = |messages: &[Vec<u8>]| {
        messages
            .iter()
            .map(hex::encode)
            .collect::<Vec<_>>()
            .join(" ")
    };
    same(line, || "first messages".into(), &text(start), &text(ours))?;
    same(
        line,
        || "last message".into(),
        &hex::encode(last),
        &text(end),
    )
}

fn check_inbox(line: usize, given: &InboxLine, inbox: &Inbox) -> Result<(), CheckError> {
    let level = given.level;
    let what = |what: &'static str| move || format!("{what} of level {level}");
    let mut writer = Writer::new();
    inbox.write(&mut writer);
    let encoded = writer.into_bytes();
    same(line, what("inbox"), &given.encoding, &hex::encode(&encoded))?;
    let versioned = format!("00{}", hex::encode(&encoded));
    same(
        line,
        what("inbox with version"),
        &given.versioned_encoding,
        &versioned,
    )?;
    let cell = cell_hex(&inbox.cell);
    same(
        line,
        what("history cell"),
        &given.history_proof_hash_encoding,
        &cell,
    )?;
    let index = inbox.cell.index.to_string();
    same(line, what("index"), &given.skip_list_index, &index)?;
    let hash = inbox.hash();
    same(
        line,
        what("inbox hash"),
        &given.inbox_hash,
        &hex::encode(hash.0),
    )?;
    same(
        line,
        what("inbox hash"),
        &given.inbox_hash_b58,
        &hash.to_string(),
    )?;
    let read = understood(line, "inbox", Inbox::read(&mut Reader::new(&encoded)))?;
    let json = read.to_json(Dialect::Modern);
    let read = understood(
        line,
        "inbox in JSON",
        Inbox::from_json(&json, Dialect::Modern),
    )?;
    same(line, what("inbox read back"), &cell, &cell_hex(&read.cell))
}

fn told(input: Option<&NextInput>) -> String {
    match input {
        None => "no input".into(),
        Some(input) => {
            format!(
                "{} {} {}",
                input.level,
                input.counter,
                hex::encode(&input.payload)
            )
        }
    }
}

fn expected(input: Option<&Input>) -> String {
    match input {
        None => "no input".into(),
        Some(input) => format!("{} {} {}", input.level, input.counter, input.payload),
    }
}

fn check_proof(
    line: usize,
    given: &ProofLine,
    snapshot: &HistoryCell,
    chain: &Chain,
) -> Result<usize, CheckError> {
    let (level, counter) = (given.level, given.counter);
    let what = |what: &'static str| move || format!("{what} of position {level} {counter}");
    let history = |index: u64| {
        let place = usize::try_from(index).ok()?;
        chain.cells.get(place).cloned()
    };
    let messages = chain.messages.get(&level);
    let produced =
        messages.map(|messages| InboxProof::produce(snapshot, level, counter, messages, history));
    let (Some(Ok((proof, input))), Some(serialized)) = (produced, &given.serialized_proof) else {
        same(line, what("refusal"), &given.error.is_some(), &true)?;
        return Ok(1);
    };
    same(
        line,
        what("input"),
        &expected(given.message.as_ref()),
        &told(input.as_ref()),
    )?;
    // Given as an operation carries it, behind its length.
    let mut writer = Writer::new();
    writer.dynamic(&proof.to_bytes());
    let ours = hex::encode(writer.into_bytes());
    same(line, what("proof"), serialized, &ours)?;
    let carried = bytes(line, serialized)?;
    let carried = Reader::new(&carried).dynamic("inbox proof", usize::MAX);
    let read = InboxProof::from_bytes(understood(line, "proof", carried)?);
    let read = understood(line, "proof", read)?;
    let verdict = read.verify(snapshot, level, counter);
    match &given.verify {
        Some(Verified::Refused(_)) => {
            same(line, what("refusal"), &true, &verdict.is_err())?;
        }
        verified => {
            let verified = match verified {
                Some(Verified::Input(input)) => Some(input),
                _ => None,
            };
            let verdict = understood(line, "verdict", verdict)?;
            same(
                line,
                what("verdict"),
                &expected(verified),
                &told(verdict.as_ref()),
            )?;
        }
    }
    Ok(3)
}
