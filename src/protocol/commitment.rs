//! The commitment: a staker's claim about the state of a rollup at an inbox level.

use serde::{Deserialize, Serialize};

use serde_json::{Value, json};

use super::json::{Fields, JsonError};
use super::{CommitmentHash, Dialected, Level, StateHash};
use crate::codec::{DecodeError, Reader, Writer};
use crate::crypto::{Dialect, blake2b};

/// Claim: after `predecessor`, all messages up to `inbox_level` take `number_of_ticks` ticks and
/// end in `compressed_state`. Source: `sc_rollup_commitment_repr.ml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Commitment {
    /// State hash at the end of the period.
    pub compressed_state: StateHash,
    /// Last level whose messages are covered.
    pub inbox_level: Level,
    /// The commitment this one extends; 32 zero bytes for genesis.
    pub predecessor: CommitmentHash,
    /// Ticks from the predecessor's state; at most 2^63 - 1, 0 only for genesis.
    #[serde(with = "decimal")]
    pub number_of_ticks: u64,
}

impl Commitment {
    /// The commitment made by origination itself at `level`.
    #[must_use]
    pub const fn genesis(state: StateHash, level: Level) -> Self {
        Self {
            compressed_state: state,
            inbox_level: level,
            predecessor: CommitmentHash([0; 32]),
            number_of_ticks: 0,
        }
    }

    /// Appends the 76 bytes.
    pub fn write(&self, writer: &mut Writer) {
        self.compressed_state.write(writer);
        writer.i32(self.inbox_level.get());
        self.predecessor.write(writer);
        writer.raw(&self.number_of_ticks.to_be_bytes());
    }

    /// Reads the 76 bytes.
    ///
    /// # Errors
    /// [`DecodeError`] when short, or a level or tick count is negative.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let compressed_state = StateHash::read(reader)?;
        let at = reader.clone();
        let inbox_level = Level::try_from(reader.i32("inbox level")?)
            .map_err(|e| at.invalid("inbox level", e.to_string()))?;
        let predecessor = CommitmentHash::read(reader)?;
        let at = reader.clone();
        let number_of_ticks = u64::try_from(reader.i64("number of ticks")?)
            .map_err(|_| at.invalid("number of ticks", "negative"))?;
        Ok(Self {
            compressed_state,
            inbox_level,
            predecessor,
            number_of_ticks,
        })
    }

    /// The node's JSON form with the labels of `dialect`.
    #[must_use]
    pub fn to_json(&self, dialect: Dialect) -> Value {
        json!({
            "compressed_state": self.compressed_state.text(dialect),
            "inbox_level": self.inbox_level.get(),
            "predecessor": self.predecessor.text(dialect),
            "number_of_ticks": self.number_of_ticks.to_string(),
        })
    }

    /// Reads the node's JSON form with the labels of `dialect`.
    ///
    /// # Errors
    /// [`JsonError`] names the field.
    pub fn from_json(json: &Value, dialect: Dialect) -> Result<Self, JsonError> {
        let fields = Fields::new("commitment", json)?;
        let ticks: u64 = fields.parsed("number_of_ticks")?;
        if i64::try_from(ticks).is_err() {
            return Err(fields.error("number_of_ticks", "is over 2^63 - 1"));
        }
        Ok(Self {
            compressed_state: fields.labelled("compressed_state", dialect)?,
            inbox_level: fields.level("inbox_level")?,
            predecessor: fields.labelled("predecessor", dialect)?,
            number_of_ticks: ticks,
        })
    }

    /// Its hash: BLAKE2b of the 76 bytes.
    #[must_use]
    pub fn hash(&self) -> CommitmentHash {
        let mut writer = Writer::new();
        self.write(&mut writer);
        CommitmentHash(blake2b(&writer.into_bytes()).0)
    }
}

/// A number written as a decimal string, as the node does for 64-bit fields.
mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse::<i64>()
            .ok()
            .and_then(|ticks| u64::try_from(ticks).ok())
            .ok_or_else(|| {
                D::Error::custom(format!("{text:?} is not a number of ticks (0 to 2^63 - 1)"))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A publication of a public test network.
    #[test]
    fn a_published_commitment_has_its_published_hash() {
        let commitment: Commitment = serde_json::from_str(
            r#"{"compressed_state":"srs13FywcbcZV9VvHxdVkYK83Ch4477cqHMgM8d5oT955yf4XXMvKS","inbox_level":197151,
                "predecessor":"src12i7dL2z9VbgshFDdGFP5TPBoJu6WnZNWJXGa1QQgPTErVPPtd8","number_of_ticks":"880000000000"}"#,
        )
        .unwrap();
        assert_eq!(
            commitment.hash().to_string(),
            "src13TanyZ7RvSULqVb2tjx1zRVw2jyJC2ToHLz1ZKg38sZ4HBYdSN"
        );
    }
}
