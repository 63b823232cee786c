//! Moves of a refutation game and the proofs they carry.
//!
//! Source: `sc_rollup_game_repr.ml`, `sc_rollup_proof_repr.ml`, `sc_rollup_dissection_chunk_repr.ml`.

use serde_json::{Map, Value, json};

use super::{Form, FormError, Kind};
use crate::codec::{DecodeError, Reader, Writer};
use crate::crypto::Dialect;
use crate::protocol::json::{Fields, JsonError};
use crate::protocol::{CommitmentHash, Dialected, Level, StateHash, Tick};

/// Longest preimage a proof may carry.
const MAX_RAW_DATA: usize = 4096;

/// A move: opening, dissection or proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refutation {
    /// Opens the game on two sibling commitments.
    Start {
        /// The opener's.
        player_commitment: CommitmentHash,
        /// The opponent's.
        opponent_commitment: CommitmentHash,
    },
    /// Opens the game on the conflict that layer 1 finds itself: the older dialect.
    StartOnConflict,
    /// Plays.
    Move {
        /// Start tick of the section attacked.
        choice: Tick,
        /// What is answered to it.
        step: Step,
    },
}

/// Answer to a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The section, split.
    Dissection(Vec<DissectionChunk>),
    /// Proof of its single tick.
    Proof(Proof),
}

/// One entry of a dissection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DissectionChunk {
    /// State hash there; none when the machine is stuck before.
    pub state: Option<StateHash>,
    /// Ticks from the parent commitment.
    pub tick: Tick,
}

/// PVM step plus, if an input was read, its proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The step in the machine's own encoding.
    pub pvm_step: Vec<u8>,
    /// Where its input comes from.
    pub input_proof: Option<InputProof>,
}

/// Where the input of a step comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputProof {
    /// The message after the given position.
    Inbox {
        /// Level of the last message read.
        level: Level,
        /// Counter of the last message read.
        message_counter: u64,
        /// Inbox proof in its own encoding.
        serialized_proof: Vec<u8>,
    },
    /// The answer to a reveal request.
    Reveal(RevealProof),
    /// The very first input of the rollup.
    FirstInput,
}

/// Answer to a reveal request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevealProof {
    /// A preimage.
    RawData(Vec<u8>),
    /// The rollup's metadata.
    Metadata,
    /// A page of the data-availability layer.
    DalPage {
        /// Which page.
        page: DalPageId,
        /// Proof in its own encoding.
        proof: Vec<u8>,
    },
    /// Parameters of the data-availability layer.
    DalParameters,
}

/// Names a page of the data-availability layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DalPageId {
    /// Level its slot was published at.
    pub published_level: Level,
    /// Slot of that level.
    pub slot_index: u8,
    /// Page of that slot.
    pub page_index: i16,
}

fn level(reader: &mut Reader<'_>) -> Result<Level, DecodeError> {
    let start = reader.clone();
    Level::try_from(reader.i32("level")?).map_err(|e| start.invalid("level", e.to_string()))
}

impl Refutation {
    /// Appends the binary form.
    ///
    /// # Errors
    /// [`FormError`] when the form opens games the other way.
    pub fn write(&self, form: Form, writer: &mut Writer) -> Result<(), FormError> {
        match (self, form) {
            (Self::Start { .. } | Self::StartOnConflict, Form::Scr1) => {
                writer.u8(0x00);
            }
            (Self::Move { choice, step }, Form::Scr1) => {
                step.write(writer.u8(0xff).n(choice.0));
            }
            (
                Self::Start {
                    player_commitment,
                    opponent_commitment,
                },
                Form::Modern(_),
            ) => {
                player_commitment.write(writer.u8(0));
                opponent_commitment.write(writer);
            }
            (Self::StartOnConflict, Form::Modern(_)) => return Err(commitments_missing(form)),
            (Self::Move { choice, step }, Form::Modern(_)) => {
                step.write(writer.u8(1).n(choice.0));
            }
        }
        Ok(())
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// [`DecodeError`] (likewise for every reading function below).
    pub fn read(form: Form, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        match (reader.u8("refutation")?, form) {
            (0x00, Form::Scr1) => Ok(Self::StartOnConflict),
            (0, Form::Modern(_)) => Ok(Self::Start {
                player_commitment: CommitmentHash::read(reader)?,
                opponent_commitment: CommitmentHash::read(reader)?,
            }),
            (0xff, Form::Scr1) | (1, Form::Modern(_)) => Ok(Self::Move {
                choice: Tick(reader.n("choice")?),
                step: Step::read(reader)?,
            }),
            (tag, _) => Err(start.invalid("refutation", format!("unknown tag {tag}"))),
        }
    }

    /// The node's JSON form; none where the older dialect leaves the field out.
    pub(super) fn to_json(&self, form: Form) -> Result<Option<Value>, FormError> {
        let dialect = form.dialect();
        match (self, form) {
            (Self::Start { .. } | Self::StartOnConflict, Form::Scr1) => Ok(None),
            (Self::StartOnConflict, Form::Modern(_)) => Err(commitments_missing(form)),
            (
                Self::Start {
                    player_commitment,
                    opponent_commitment,
                },
                Form::Modern(_),
            ) => Ok(Some(json!({
                "refutation_kind": "start",
                "player_commitment_hash": player_commitment.text(dialect),
                "opponent_commitment_hash": opponent_commitment.text(dialect),
            }))),
            (Self::Move { choice, step }, _) => {
                let mut fields = Map::new();
                if matches!(form, Form::Modern(_)) {
                    fields.insert("refutation_kind".into(), "move".into());
                }
                fields.insert("choice".into(), choice.to_string().into());
                fields.insert("step".into(), step.to_json(dialect));
                Ok(Some(Value::Object(fields)))
            }
        }
    }

    pub(super) fn from_json(json: Option<&Value>, form: Form) -> Result<Self, JsonError> {
        let dialect = form.dialect();
        let Some(json) = json else {
            return match form {
                Form::Scr1 => Ok(Self::StartOnConflict),
                Form::Modern(_) => Err(JsonError {
                    what: "refute operation",
                    field: "refutation".into(),
                    problem: "is missing".into(),
                }),
            };
        };
        let fields = Fields::new("refutation", json)?;
        let kind = match form {
            Form::Scr1 => "move",
            Form::Modern(_) => fields.text("refutation_kind")?,
        };
        match kind {
            "start" => Ok(Self::Start {
                player_commitment: fields.labelled("player_commitment_hash", dialect)?,
                opponent_commitment: fields.labelled("opponent_commitment_hash", dialect)?,
            }),
            "move" => Ok(Self::Move {
                choice: fields.parsed("choice")?,
                step: Step::from_json(fields.value("step")?, dialect)?,
            }),
            other => Err(fields.error("refutation_kind", format!("is {other:?}"))),
        }
    }
}

fn commitments_missing(form: Form) -> FormError {
    FormError::Missing {
        form,
        kind: Kind::Refute,
        field: "two commitments at the start",
    }
}

impl Step {
    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Dissection(chunks) => {
                write_dissection(chunks, writer.u8(0));
            }
            Self::Proof(proof) => proof.write(writer.u8(1)),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        match reader.u8("step")? {
            0 => read_dissection(reader).map(Self::Dissection),
            1 => Proof::read(reader).map(Self::Proof),
            tag => Err(start.invalid("step", format!("unknown tag {tag}"))),
        }
    }

    fn to_json(&self, dialect: Dialect) -> Value {
        match self {
            Self::Dissection(chunks) => chunks.iter().map(|chunk| chunk.to_json(dialect)).collect(),
            Self::Proof(proof) => proof.to_json(),
        }
    }

    fn from_json(json: &Value, dialect: Dialect) -> Result<Self, JsonError> {
        match json {
            Value::Array(chunks) => {
                let chunks = chunks.iter();
                let chunks: Result<_, _> = chunks
                    .map(|chunk| DissectionChunk::from_json(chunk, dialect))
                    .collect();
                Ok(Self::Dissection(chunks?))
            }
            other => Proof::from_json(other).map(Self::Proof),
        }
    }
}

pub(in crate::protocol) fn write_dissection(chunks: &[DissectionChunk], writer: &mut Writer) {
    writer.sized(|writer| chunks.iter().for_each(|chunk| chunk.write(writer)));
}

pub(in crate::protocol) fn read_dissection(
    reader: &mut Reader<'_>,
) -> Result<Vec<DissectionChunk>, DecodeError> {
    let mut items = reader.sized("dissection")?;
    let mut chunks = Vec::new();
    while !items.is_empty() {
        chunks.push(DissectionChunk::read(&mut items)?);
    }
    Ok(chunks)
}

impl DissectionChunk {
    /// Appends the binary form.
    pub fn write(&self, writer: &mut Writer) {
        writer.option(self.state, |writer, state| state.write(writer));
        writer.n(self.tick.0);
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            state: reader.option("state", StateHash::read)?,
            tick: Tick(reader.n("tick")?),
        })
    }

    /// The node's JSON form.
    #[must_use]
    pub fn to_json(&self, dialect: Dialect) -> Value {
        let mut fields = Map::new();
        if let Some(state) = self.state {
            fields.insert("state".into(), state.text(dialect).into());
        }
        fields.insert("tick".into(), self.tick.to_string().into());
        Value::Object(fields)
    }

    /// Reads the node's JSON form.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn from_json(json: &Value, dialect: Dialect) -> Result<Self, JsonError> {
        let fields = Fields::new("dissection chunk", json)?;
        let state = match fields.optional("state") {
            None => None,
            Some(_) => Some(fields.labelled("state", dialect)?),
        };
        let tick = fields.parsed("tick")?;
        Ok(Self { state, tick })
    }
}

impl Proof {
    /// Appends the binary form.
    pub fn write(&self, writer: &mut Writer) {
        writer.dynamic(&self.pvm_step);
        writer.option(self.input_proof.as_ref(), |writer, proof| {
            proof.write(writer)
        });
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            pvm_step: reader.dynamic("pvm step", usize::MAX)?.into(),
            input_proof: reader.option("input proof", InputProof::read)?,
        })
    }

    fn to_json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("pvm_step".into(), hex::encode(&self.pvm_step).into());
        if let Some(proof) = &self.input_proof {
            fields.insert("input_proof".into(), proof.to_json());
        }
        Value::Object(fields)
    }

    fn from_json(json: &Value) -> Result<Self, JsonError> {
        let fields = Fields::new("proof", json)?;
        Ok(Self {
            pvm_step: fields.bytes("pvm_step")?,
            input_proof: fields
                .optional("input_proof")
                .map(InputProof::from_json)
                .transpose()?,
        })
    }
}

impl InputProof {
    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Inbox {
                level,
                message_counter,
                serialized_proof,
            } => {
                writer.u8(0).i32(level.get()).n((*message_counter).into());
                writer.dynamic(serialized_proof);
            }
            Self::Reveal(proof) => proof.write(writer.u8(1)),
            Self::FirstInput => {
                writer.u8(2);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        match reader.u8("input proof")? {
            0 => {
                let level = level(reader)?;
                let at = reader.clone();
                let message_counter = u64::try_from(reader.n("message counter")?)
                    .map_err(|_| at.invalid("message counter", "number over 64 bits"))?;
                let serialized_proof = reader.dynamic("inbox proof", usize::MAX)?.into();
                Ok(Self::Inbox {
                    level,
                    message_counter,
                    serialized_proof,
                })
            }
            1 => RevealProof::read(reader).map(Self::Reveal),
            2 => Ok(Self::FirstInput),
            tag => Err(start.invalid("input proof", format!("unknown tag {tag}"))),
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Inbox {
                level,
                message_counter,
                serialized_proof,
            } => json!({
                "input_proof_kind": "inbox_proof",
                "level": level.get(),
                "message_counter": message_counter.to_string(),
                "serialized_proof": hex::encode(serialized_proof),
            }),
            Self::Reveal(proof) => json!({
                "input_proof_kind": "reveal_proof",
                "reveal_proof": proof.to_json(),
            }),
            Self::FirstInput => json!({ "input_proof_kind": "first_input" }),
        }
    }

    fn from_json(json: &Value) -> Result<Self, JsonError> {
        let fields = Fields::new("input proof", json)?;
        match fields.text("input_proof_kind")? {
            "inbox_proof" => Ok(Self::Inbox {
                level: fields.level("level")?,
                message_counter: fields.parsed("message_counter")?,
                serialized_proof: fields.bytes("serialized_proof")?,
            }),
            "reveal_proof" => {
                RevealProof::from_json(fields.value("reveal_proof")?).map(Self::Reveal)
            }
            "first_input" => Ok(Self::FirstInput),
            other => Err(fields.error("input_proof_kind", format!("is {other:?}"))),
        }
    }
}

impl RevealProof {
    fn write(&self, writer: &mut Writer) {
        match self {
            Self::RawData(data) => {
                // The only two-byte length in an operation; larger data cannot be revealed.
                let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
                writer.u8(0).u16(length).raw(data);
            }
            Self::Metadata => {
                writer.u8(1);
            }
            Self::DalPage { page, proof } => {
                writer.u8(2).i32(page.published_level.get());
                writer
                    .u8(page.slot_index)
                    .i16(page.page_index)
                    .dynamic(proof);
            }
            Self::DalParameters => {
                writer.u8(3);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        match reader.u8("reveal proof")? {
            0 => {
                let length = usize::from(reader.u16("raw data")?);
                if length > MAX_RAW_DATA {
                    return Err(start.invalid("raw data", format!("{length} bytes, over 4096")));
                }
                Ok(Self::RawData(reader.raw("raw data", length)?.into()))
            }
            1 => Ok(Self::Metadata),
            2 => Ok(Self::DalPage {
                page: DalPageId {
                    published_level: level(reader)?,
                    slot_index: reader.u8("slot index")?,
                    page_index: reader.i16("page index")?,
                },
                proof: reader.dynamic("dal proof", usize::MAX)?.into(),
            }),
            3 => Ok(Self::DalParameters),
            tag => Err(start.invalid("reveal proof", format!("unknown tag {tag}"))),
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::RawData(data) => json!({
                "reveal_proof_kind": "raw_data_proof",
                "raw_data": hex::encode(data),
            }),
            Self::Metadata => json!({ "reveal_proof_kind": "metadata_proof" }),
            Self::DalPage { page, proof } => json!({
                "reveal_proof_kind": "dal_page_proof",
                "dal_page_id": {
                    "published_level": page.published_level.get(),
                    "slot_index": page.slot_index,
                    "page_index": page.page_index,
                },
                "dal_proof": hex::encode(proof),
            }),
            Self::DalParameters => json!({ "reveal_proof_kind": "dal_parameters_proof" }),
        }
    }

    fn from_json(json: &Value) -> Result<Self, JsonError> {
        let fields = Fields::new("reveal proof", json)?;
        match fields.text("reveal_proof_kind")? {
            "raw_data_proof" => {
                let data = fields.bytes("raw_data")?;
                if data.len() > MAX_RAW_DATA {
                    return Err(fields.error("raw_data", "is over 4096 bytes"));
                }
                Ok(Self::RawData(data))
            }
            "metadata_proof" => Ok(Self::Metadata),
            "dal_page_proof" => {
                let page = Fields::new("dal page id", fields.value("dal_page_id")?)?;
                Ok(Self::DalPage {
                    page: DalPageId {
                        published_level: page.level("published_level")?,
                        slot_index: page.number("slot_index")?,
                        page_index: page.number("page_index")?,
                    },
                    proof: fields.bytes("dal_proof")?,
                })
            }
            "dal_parameters_proof" => Ok(Self::DalParameters),
            other => Err(fields.error("reveal_proof_kind", format!("is {other:?}"))),
        }
    }
}
