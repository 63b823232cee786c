//! Cells of the data-availability history, as games snapshot them and layer 1 lists them.
//!
//! Source: `dal_slot_repr.ml` of Paris, Rio and Ushuaia; the tags of all three differ, so one
//! reader serves them all. Cells before Paris (the layer was not active) are kept as bytes.

use serde_json::{Map, Value, json};

use super::json::{Fields, JsonError};
use super::operation::Contract;
use super::{DalCommitment, DalPointer, Level, read_index};
use crate::codec::{DecodeError, Reader, Writer};

/// Bytes of the one cell that games before Paris hold.
const LEGACY: usize = 57;

/// The data-availability history as a game holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DalSnapshot {
    /// From before the layer was active.
    Legacy([u8; LEGACY]),
    /// The newest cell.
    Cell(DalCell),
}

/// Cell of the skip list over slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DalCell {
    /// Position in the list.
    pub index: u64,
    /// The slot it is about.
    pub content: DalContent,
    /// Pointers of earlier cells, nearest first.
    pub back_pointers: Vec<DalPointer>,
}

/// Names a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DalSlot {
    /// Level it was, or could have been, published at.
    pub level: Level,
    /// Which of the slots of that level.
    pub index: u8,
}

/// What became of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DalContent {
    /// Not attested: Paris and Quebec.
    Unattested(DalSlot),
    /// Attested: Paris and Quebec.
    Attested(DalSlot, DalCommitment),
    /// Not published; with the attestation lag since Ushuaia.
    Unpublished {
        /// The slot.
        slot: DalSlot,
        /// Blocks until attestation, where they can vary.
        attestation_lag: Option<u8>,
    },
    /// Published, attested or not.
    Published {
        /// The slot.
        slot: DalSlot,
        /// Commitment to its data.
        commitment: DalCommitment,
        /// Who published it.
        publisher: Contract,
        /// Whether layer 1 holds it for available.
        is_attested: bool,
        /// Shards that were attested.
        attested_shards: u16,
        /// Shards there are.
        total_shards: u16,
        /// Blocks until attestation, where they can vary.
        attestation_lag: Option<u8>,
    },
}

impl DalSlot {
    fn write(&self, writer: &mut Writer) {
        writer.i32(self.level.get()).u8(self.index);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = reader.clone();
        let level = Level::try_from(reader.i32("slot level")?)
            .map_err(|e| at.invalid("slot level", e.to_string()))?;
        let index = reader.u8("slot index")?;
        Ok(Self { level, index })
    }

    fn add_json(self, fields: &mut Map<String, Value>) {
        fields.insert("level".into(), self.level.get().into());
        fields.insert("index".into(), self.index.into());
    }

    fn from_json(fields: Fields<'_>) -> Result<Self, JsonError> {
        Ok(Self {
            level: fields.level("level")?,
            index: fields.number("index")?,
        })
    }
}

fn write_header(slot: &DalSlot, commitment: &DalCommitment, writer: &mut Writer) {
    slot.write(writer.u8(0));
    commitment.write(writer);
}

fn read_header(reader: &mut Reader<'_>) -> Result<(DalSlot, DalCommitment), DecodeError> {
    let start = reader.clone();
    match reader.u8("slot header")? {
        0 => Ok((DalSlot::read(reader)?, DalCommitment::read(reader)?)),
        version => Err(start.invalid("slot header", format!("unknown version {version}"))),
    }
}

fn add_header(slot: DalSlot, commitment: DalCommitment, fields: &mut Map<String, Value>) {
    fields.insert("version".into(), "0".into());
    slot.add_json(fields);
    fields.insert("commitment".into(), commitment.to_string().into());
}

impl DalContent {
    /// Appends the binary form, which the cell's pointer covers.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            Self::Unattested(slot) => slot.write(writer.u8(0)),
            Self::Attested(slot, commitment) => write_header(slot, commitment, writer.u8(1)),
            Self::Unpublished {
                slot,
                attestation_lag,
            } => {
                match attestation_lag {
                    None => writer.u8(2),
                    Some(lag) => writer.u8(4).u8(*lag),
                };
                slot.write(writer);
            }
            Self::Published {
                slot,
                commitment,
                publisher,
                is_attested,
                attested_shards,
                total_shards,
                attestation_lag,
            } => {
                publisher.write(writer.u8(if attestation_lag.is_some() { 5 } else { 3 }));
                writer
                    .bool(*is_attested)
                    .u16(*attested_shards)
                    .u16(*total_shards);
                if let Some(lag) = attestation_lag {
                    writer.u8(*lag);
                }
                write_header(slot, commitment, writer);
            }
        }
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        Ok(match reader.u8("dal cell content")? {
            0 => Self::Unattested(DalSlot::read(reader)?),
            1 => {
                let (slot, commitment) = read_header(reader)?;
                Self::Attested(slot, commitment)
            }
            2 => Self::Unpublished {
                slot: DalSlot::read(reader)?,
                attestation_lag: None,
            },
            4 => Self::Unpublished {
                attestation_lag: Some(reader.u8("attestation lag")?),
                slot: DalSlot::read(reader)?,
            },
            tag @ (3 | 5) => {
                let publisher = Contract::read(reader)?;
                let is_attested = reader.bool("attested")?;
                let attested_shards = reader.u16("attested shards")?;
                let total_shards = reader.u16("total shards")?;
                let attestation_lag = match tag {
                    5 => Some(reader.u8("attestation lag")?),
                    _ => None,
                };
                let (slot, commitment) = read_header(reader)?;
                Self::Published {
                    slot,
                    commitment,
                    publisher,
                    is_attested,
                    attested_shards,
                    total_shards,
                    attestation_lag,
                }
            }
            tag => return Err(start.invalid("dal cell content", format!("unknown tag {tag}"))),
        })
    }

    /// The node's JSON form.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut fields = Map::new();
        let kind = match self {
            Self::Unattested(_) => "unattested",
            Self::Attested(..) => "attested",
            Self::Unpublished { .. } => "unpublished",
            Self::Published { .. } => "published",
        };
        fields.insert("kind".into(), kind.into());
        match *self {
            Self::Unattested(slot) => slot.add_json(&mut fields),
            Self::Attested(slot, commitment) => add_header(slot, commitment, &mut fields),
            Self::Unpublished {
                slot,
                attestation_lag,
            } => {
                if let Some(lag) = attestation_lag {
                    fields.insert("attestation_lag".into(), lag.into());
                }
                slot.add_json(&mut fields);
            }
            Self::Published {
                slot,
                commitment,
                publisher,
                is_attested,
                attested_shards,
                total_shards,
                attestation_lag,
            } => {
                fields.insert("publisher".into(), publisher.to_string().into());
                fields.insert("is_proto_attested".into(), is_attested.into());
                fields.insert("attested_shards".into(), attested_shards.into());
                fields.insert("total_shards".into(), total_shards.into());
                if let Some(lag) = attestation_lag {
                    fields.insert("attestation_lag".into(), lag.into());
                }
                add_header(slot, commitment, &mut fields);
            }
        }
        Value::Object(fields)
    }

    /// Reads the node's JSON form.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn from_json(json: &Value) -> Result<Self, JsonError> {
        let fields = Fields::new("dal cell content", json)?;
        let slot = DalSlot::from_json(fields)?;
        let attestation_lag = match fields.optional("attestation_lag") {
            None => None,
            Some(_) => Some(fields.number("attestation_lag")?),
        };
        Ok(match fields.text("kind")? {
            "unattested" => Self::Unattested(slot),
            "attested" => Self::Attested(slot, fields.parsed("commitment")?),
            "unpublished" => Self::Unpublished {
                slot,
                attestation_lag,
            },
            "published" => Self::Published {
                slot,
                commitment: fields.parsed("commitment")?,
                publisher: fields.parsed("publisher")?,
                is_attested: fields.value("is_proto_attested")? == &Value::Bool(true),
                attested_shards: fields.number("attested_shards")?,
                total_shards: fields.number("total_shards")?,
                attestation_lag,
            },
            other => return Err(fields.error("kind", format!("is {other:?}"))),
        })
    }
}

impl DalCell {
    /// Appends the binary form.
    pub fn write(&self, writer: &mut Writer) {
        self.content.write(writer.n(self.index.into()));
        writer.sized(|writer| {
            for pointer in &self.back_pointers {
                pointer.write(writer);
            }
        });
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let index = read_index(reader)?;
        let content = DalContent::read(reader)?;
        let mut items = reader.sized("back pointers")?;
        let mut back_pointers = Vec::new();
        while !items.is_empty() {
            back_pointers.push(DalPointer::read(&mut items)?);
        }
        Ok(Self {
            index,
            content,
            back_pointers,
        })
    }

    /// The node's JSON form.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let pointers: Vec<_> = self.back_pointers.iter().map(ToString::to_string).collect();
        json!({
            "index": self.index.to_string(),
            "content": self.content.to_json(),
            "back_pointers": pointers,
        })
    }

    /// Reads the node's JSON form.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn from_json(json: &Value) -> Result<Self, JsonError> {
        let fields = Fields::new("dal cell", json)?;
        Ok(Self {
            index: fields.parsed("index")?,
            content: DalContent::from_json(fields.value("content")?)?,
            back_pointers: fields.parsed_list("back_pointers")?,
        })
    }
}

impl DalSnapshot {
    /// The snapshot of a chain whose data-availability history is empty, since Rio.
    #[must_use]
    pub const fn empty() -> Self {
        Self::Cell(DalCell {
            index: 0,
            content: DalContent::Unpublished {
                slot: DalSlot {
                    level: Level::ZERO,
                    index: 0,
                },
                attestation_lag: None,
            },
            back_pointers: Vec::new(),
        })
    }

    /// Appends the binary form.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            Self::Legacy(bytes) => {
                writer.u8(0).raw(bytes);
            }
            Self::Cell(cell) => cell.write(writer.u8(1)),
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        match reader.u8("dal snapshot")? {
            0 => Ok(Self::Legacy(reader.array("dal snapshot")?)),
            1 => DalCell::read(reader).map(Self::Cell),
            tag => Err(start.invalid("dal snapshot", format!("unknown tag {tag}"))),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Legacy(bytes) => {
                json!({ "kind": "dal_skip_list_legacy", "skip_list": hex::encode(bytes) })
            }
            Self::Cell(cell) => json!({ "kind": "dal_skip_list", "skip_list": cell.to_json() }),
        }
    }

    /// Reads the node's JSON form (since Paris).
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn from_json(json: &Value) -> Result<Self, JsonError> {
        let fields = Fields::new("dal snapshot", json)?;
        match fields.text("kind")? {
            "dal_skip_list" => DalCell::from_json(fields.value("skip_list")?).map(Self::Cell),
            "dal_skip_list_legacy" => {
                let bytes = fields.bytes("skip_list")?.try_into();
                let bytes = bytes.map_err(|_| fields.error("skip_list", "is not 57 bytes"));
                bytes.map(Self::Legacy)
            }
            other => Err(fields.error("kind", format!("is {other:?}"))),
        }
    }
}
