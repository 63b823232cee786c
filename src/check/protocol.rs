//! Vectors of commitments, operations, reveals and outbox messages.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::facts::{Number, bytes, malformed, parsed, understood};
use super::{CheckError, Format, Lines, same};
use crate::codec::{Reader, Writer};
use crate::crypto::{Dialect, Prefix, blake2b};
use crate::protocol::operation::{Content, Form, Operation};
use crate::protocol::{
    BlockHash, Commitment, CommitmentHash, Level, OperationHash, OutboxMessage, Protocol,
    PublicKeyHash, RollupAddress, StateHash, Tick,
};
use crate::pvm;

const FORM: Form = Form::Modern(Protocol::Ushuaia);

pub(super) const COMMITMENTS: Format = Format {
    name: "commitments",
    recognises: recognises_commitments,
    replay: replay_commitments,
};

pub(super) const OPERATIONS: Format = Format {
    name: "operations",
    recognises: recognises_operations,
    replay: replay_operations,
};

pub(super) const MISC: Format = Format {
    name: "reveals, metadata and outbox messages",
    recognises: recognises_misc,
    replay: replay_misc,
};

/// Lines name what they are; any other name is another format.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum IsCommitment {
    Genesis,
    Commitment,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum IsHeader {
    Header,
}

#[derive(Deserialize)]
struct CommitmentLine {
    #[serde(rename = "type")]
    _type: Option<IsCommitment>,
    json: Value,
    /// The fields once more, beside the JSON.
    state_hash: Option<StateHash>,
    inbox_level: Option<Level>,
    predecessor: Option<CommitmentHash>,
    number_of_ticks: Option<Number>,
    encoding: String,
    versioned_encoding: String,
    hash: String,
    hash_b58: String,
    tick: Option<Tick>,
}

/// The predecessor of every genesis commitment.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ZeroLine {
    #[serde(rename = "name")]
    _name: String,
    hash_b58: String,
}

#[derive(Deserialize)]
struct CommitmentsHeader {
    #[serde(rename = "type")]
    _type: Option<IsHeader>,
    commitment_period_in_blocks: u32,
    genesis_level: Level,
}

fn recognises_commitments(_: &Path, first: &str) -> bool {
    serde_json::from_str::<CommitmentLine>(first).is_ok()
        || serde_json::from_str::<CommitmentsHeader>(first).is_ok()
}

/// Each commitment alone; in a run also its place behind the one before.
fn replay_commitments(_: &Path, lines: Lines) -> Result<usize, CheckError> {
    let mut compared = 0_usize;
    let mut run: Option<CommitmentsHeader> = None;
    let mut before: Option<(Commitment, Tick)> = None;
    for (line, text) in lines.numbered() {
        if let Ok(header) = serde_json::from_str(text) {
            run = Some(header);
            continue;
        }
        if let Ok(zero) = serde_json::from_str::<ZeroLine>(text) {
            let ours = CommitmentHash([0; 32]).to_string();
            same(line, || "zero hash".into(), &zero.hash_b58, &ours)?;
            compared = compared.saturating_add(1);
            continue;
        }
        let given: CommitmentLine = parsed(line, text)?;
        let commitment = check_commitment(line, &given)?;
        compared = compared.saturating_add(6);
        if let (Some(run), Some(tick)) = (&run, given.tick) {
            check_place(line, run, before.as_ref(), &commitment, tick)?;
            compared = compared.saturating_add(3);
            before = Some((commitment, tick));
        }
    }
    Ok(compared)
}

fn check_commitment(line: usize, given: &CommitmentLine) -> Result<Commitment, CheckError> {
    let commitment = Commitment::from_json(&given.json, Dialect::Modern);
    let commitment = understood(line, "commitment in JSON", commitment)?;
    let json = commitment.to_json(Dialect::Modern);
    same(line, || "commitment in JSON".into(), &given.json, &json)?;
    let repeated = Commitment {
        compressed_state: given.state_hash.unwrap_or(commitment.compressed_state),
        inbox_level: given.inbox_level.unwrap_or(commitment.inbox_level),
        predecessor: given.predecessor.unwrap_or(commitment.predecessor),
        number_of_ticks: match &given.number_of_ticks {
            Some(number) => number.get(line)?,
            None => commitment.number_of_ticks,
        },
    };
    let repeated = repeated.to_json(Dialect::Modern);
    same(line, || "fields beside the JSON".into(), &repeated, &json)?;
    let mut writer = Writer::new();
    commitment.write(&mut writer);
    let encoding = writer.into_bytes();
    same(
        line,
        || "bytes".into(),
        &given.encoding,
        &hex::encode(&encoding),
    )?;
    let versioned = format!("00{}", hex::encode(&encoding));
    same(
        line,
        || "bytes with version".into(),
        &given.versioned_encoding,
        &versioned,
    )?;
    let read = Commitment::read(&mut Reader::new(&encoding));
    let read = understood(line, "bytes", read)?;
    same(
        line,
        || "bytes read back".into(),
        &given.json,
        &read.to_json(Dialect::Modern),
    )?;
    let hash = commitment.hash();
    same(line, || "hash".into(), &given.hash, &hex::encode(hash.0))?;
    same(
        line,
        || "hash as text".into(),
        &given.hash_b58,
        &hash.to_string(),
    )?;
    Ok(commitment)
}

fn check_place(
    line: usize,
    run: &CommitmentsHeader,
    before: Option<&(Commitment, Tick)>,
    commitment: &Commitment,
    tick: Tick,
) -> Result<(), CheckError> {
    let Some((parent, parent_tick)) = before else {
        let genesis = Commitment::genesis(commitment.compressed_state, run.genesis_level);
        let (given, ours) = (commitment.hash(), genesis.hash());
        return same(line, || "genesis commitment".into(), &given, &ours);
    };
    let level = parent.inbox_level.plus(run.commitment_period_in_blocks);
    let level = level.ok_or_else(|| malformed(line, "level out of range"))?;
    same(
        line,
        || "inbox level".into(),
        &commitment.inbox_level,
        &level,
    )?;
    same(
        line,
        || "predecessor".into(),
        &commitment.predecessor,
        &parent.hash(),
    )?;
    let ticks = tick.minus(*parent_tick).unwrap_or_default();
    let given = Tick(commitment.number_of_ticks.into());
    same(line, || "number of ticks".into(), &given, &ticks)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OperationLine {
    Content {
        name: String,
        branch: BlockHash,
        contents: String,
        unsigned_operation: String,
        json: Value,
        #[serde(flatten)]
        numbers: Box<Numbers>,
    },
    Address {
        operation_hash: OperationHash,
        origination_index: i32,
        address: RollupAddress,
    },
}

/// What surrounds every manager operation, where a line repeats it beside the JSON.
#[derive(Deserialize)]
struct Numbers {
    source: Option<PublicKeyHash>,
    fee: Option<u64>,
    counter: Option<u64>,
    gas_limit: Option<u64>,
    storage_limit: Option<u64>,
}

impl Numbers {
    fn check(&self, line: usize, name: &str, content: &Content) -> Result<(), CheckError> {
        let source = self.source.unwrap_or(content.source);
        same(
            line,
            || format!("source of {name}"),
            &source,
            &content.source,
        )?;
        for (what, given, ours) in [
            ("fee", self.fee, i128::from(content.fee.0)),
            ("counter", self.counter, i128::from(content.counter.0)),
            ("gas limit", self.gas_limit, i128::from(content.gas_limit.0)),
            (
                "storage limit",
                self.storage_limit,
                i128::from(content.storage_limit.0),
            ),
        ] {
            let given = given.map_or(ours, i128::from);
            same(line, || format!("{what} of {name}"), &given, &ours)?;
        }
        Ok(())
    }
}

fn recognises_operations(_: &Path, first: &str) -> bool {
    serde_json::from_str::<OperationLine>(first).is_ok()
}

fn replay_operations(_: &Path, lines: Lines) -> Result<usize, CheckError> {
    let mut compared = 0_usize;
    for (line, text) in lines.numbered() {
        match parsed(line, text)? {
            OperationLine::Address {
                operation_hash,
                origination_index,
                address,
            } => {
                let ours = RollupAddress::originated_by(&operation_hash, origination_index);
                same(line, || "address".into(), &address, &ours)?;
                compared = compared.saturating_add(1);
            }
            OperationLine::Content {
                name,
                branch,
                contents,
                unsigned_operation,
                json,
                numbers,
            } => {
                let content = check_content(line, &name, &contents, &json)?;
                numbers.check(line, &name, &content)?;
                let operation = Operation {
                    branch,
                    contents: vec![content],
                };
                let ours = understood(line, &name, operation.to_bytes(FORM))?;
                let ours = hex::encode(ours);
                same(
                    line,
                    || format!("operation {name}"),
                    &unsigned_operation,
                    &ours,
                )?;
                let read = bytes(line, &unsigned_operation)?;
                let read = understood(line, &name, Operation::from_bytes(FORM, &read))?;
                let equal = read == operation;
                same(
                    line,
                    || format!("operation {name} read back"),
                    &true,
                    &equal,
                )?;
                compared = compared.saturating_add(6);
            }
        }
    }
    Ok(compared)
}

/// A content from its JSON and from its bytes, each turned into the other.
pub(super) fn check_content(
    line: usize,
    name: &str,
    encoded: &str,
    json: &Value,
) -> Result<Content, CheckError> {
    let content = understood(line, name, Content::from_json(json, FORM))?;
    let ours = understood(line, name, content.to_bytes(FORM))?;
    same(
        line,
        || format!("bytes of {name}"),
        &encoded.to_owned(),
        &hex::encode(&ours),
    )?;
    let read = read_content(line, name, encoded)?;
    let again = understood(line, name, read.to_json(FORM))?;
    same(line, || format!("JSON of {name}"), json, &again)?;
    Ok(content)
}

/// A content from its bytes, which must end with it and be what it encodes to.
pub(super) fn read_content(line: usize, name: &str, encoded: &str) -> Result<Content, CheckError> {
    let raw = bytes(line, encoded)?;
    let mut reader = Reader::new(&raw);
    let content = understood(line, name, Content::read(FORM, &mut reader))?;
    understood(line, name, reader.finish())?;
    let ours = understood(line, name, content.to_bytes(FORM))?;
    same(
        line,
        || format!("bytes of {name}"),
        &encoded.to_owned(),
        &hex::encode(&ours),
    )?;
    Ok(content)
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum MiscLine {
    RevealHash {
        preimage: String,
        hex: String,
        encoding: String,
    },
    Metadata {
        address: RollupAddress,
        address_bytes: String,
        origination_level: Level,
        encoding: String,
    },
    RevealRequest {
        json: String,
        encoding: String,
    },
    OutboxMessage {
        name: String,
        serialized: String,
    },
}

fn recognises_misc(_: &Path, first: &str) -> bool {
    serde_json::from_str::<MiscLine>(first).is_ok()
}

fn replay_misc(_: &Path, lines: Lines) -> Result<usize, CheckError> {
    let mut compared = 0_usize;
    for (line, text) in lines.numbered() {
        compared = compared.saturating_add(match parsed(line, text)? {
            MiscLine::RevealHash {
                preimage,
                hex,
                encoding,
            } => {
                // The scheme byte comes first; this is the only scheme.
                let ours = format!("00{}", blake2b(&bytes(line, &preimage)?));
                same(line, || "reveal hash".into(), &hex, &ours)?;
                same(line, || "bytes of reveal hash".into(), &encoding, &ours)?;
                2
            }
            MiscLine::Metadata {
                address,
                address_bytes,
                origination_level,
                encoding,
            } => {
                same(
                    line,
                    || "address".into(),
                    &address_bytes,
                    &hex::encode(address.0),
                )?;
                let ours = hex::encode(address.metadata(origination_level));
                same(line, || "metadata".into(), &encoding, &ours)?;
                2
            }
            MiscLine::RevealRequest { json, encoding } => {
                let request = pvm::Request::decode(&bytes(line, &encoding)?);
                let request = understood(line, "reveal request", request)?;
                same(
                    line,
                    || "reveal request".into(),
                    &json,
                    &request_text(request),
                )?;
                1
            }
            MiscLine::OutboxMessage { name, serialized } => {
                let message = OutboxMessage::parse(&bytes(line, &serialized)?);
                let ours = understood(line, &name, message)?.serialize();
                same(line, || name, &serialized, &hex::encode(ours))?;
                1
            }
        });
    }
    Ok(compared)
}

/// How the protocol prints a request.
fn request_text(request: pvm::Request) -> String {
    match request {
        pvm::Request::Preimage(hash) => Prefix::REVEAL.encode(hash.get(1..).unwrap_or_default()),
        pvm::Request::Metadata => "Reveal metadata".into(),
        pvm::Request::DalParameters => "Reveal DAL parameters".into(),
        pvm::Request::DalPage(page) => format!("{page:?}"),
        pvm::Request::AdaptiveDalPage => "adaptive page".into(),
    }
}
