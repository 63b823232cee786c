//! Smart rollup constants of a chain, read from the node and never assumed.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Mutez;
use crate::crypto::Dialect;

/// The constants the tower and the simulated chain use. Lengths are in blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constants {
    /// Blocks between the inbox levels of consecutive commitments.
    pub commitment_period: u32,
    /// Blocks before a commitment can be cemented.
    pub challenge_window: u32,
    /// Budget of each player of a game.
    pub timeout_period: u32,
    /// How far above the last cemented level a commitment may be.
    pub max_lookahead: u32,
    /// Money frozen by a staker.
    pub stake_amount: Mutez,
    /// Sections of a dissection.
    pub number_of_sections: u8,
    /// Games one staker may play at once.
    pub max_parallel_games: u32,
    /// Cemented commitments kept on chain.
    pub max_stored_cemented: u32,
    /// Levels whose outbox can still be executed.
    pub max_active_outbox_levels: u32,
    /// Outbox messages of a level.
    pub max_outbox_messages: u32,
    /// Blocks an operation's branch stays acceptable.
    pub operation_ttl: u32,
}

/// The node's constants lack something or hold something unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConstantsError {
    /// A key is missing: most often a protocol without smart rollups.
    #[error(
        "the node's constants have no {0:?}: this protocol has no smart rollups, or the node is of another era"
    )]
    Missing(String),
    /// A key has a value of another type or out of range.
    #[error("the node's constant {key:?} is {value}, expected {expected}")]
    Unusable {
        /// Name of the constant.
        key: String,
        /// JSON found there.
        value: String,
        /// What was expected.
        expected: &'static str,
    },
}

impl Constants {
    /// Reads the answer of `context/constants` in the given dialect.
    ///
    /// # Errors
    /// [`ConstantsError`] names the constant that is missing or unusable.
    pub fn from_json(json: &Value, dialect: Dialect) -> Result<Self, ConstantsError> {
        let read = Keys {
            json,
            prefix: Self::key_prefix(dialect),
        };
        Ok(Self {
            commitment_period: read.positive("commitment_period_in_blocks")?,
            challenge_window: read.number("challenge_window_in_blocks")?,
            timeout_period: read.number("timeout_period_in_blocks")?,
            max_lookahead: read.number("max_lookahead_in_blocks")?,
            stake_amount: read.money("stake_amount")?,
            number_of_sections: read
                .number("number_of_sections_in_dissection")?
                .try_into()
                .map_err(|_| {
                    read.unusable(
                        "number_of_sections_in_dissection",
                        "a number of sections below 256",
                    )
                })?,
            // The older dialect has no such constant: a staker plays one game there.
            max_parallel_games: match dialect {
                Dialect::Modern => read.number("max_number_of_parallel_games")?,
                Dialect::Scr1 => 1,
            },
            max_stored_cemented: read.number("max_number_of_cemented_commitments")?,
            max_active_outbox_levels: read.number("max_active_outbox_levels")?,
            max_outbox_messages: read.number("max_outbox_messages_per_level")?,
            operation_ttl: Keys { json, prefix: "" }.number("max_operations_time_to_live")?,
        })
    }

    /// What the names of rollup constants start with.
    #[must_use]
    pub const fn key_prefix(dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Modern => "smart_rollup_",
            Dialect::Scr1 => "sc_rollup_",
        }
    }
}

struct Keys<'a> {
    json: &'a Value,
    prefix: &'static str,
}

impl Keys<'_> {
    fn value(&self, name: &str) -> Result<&Value, ConstantsError> {
        let key = format!("{}{name}", self.prefix);
        self.json.get(&key).ok_or(ConstantsError::Missing(key))
    }

    fn unusable(&self, name: &str, expected: &'static str) -> ConstantsError {
        let value = self
            .value(name)
            .map(ToString::to_string)
            .unwrap_or_default();
        ConstantsError::Unusable {
            key: format!("{}{name}", self.prefix),
            value,
            expected,
        }
    }

    fn number(&self, name: &str) -> Result<u32, ConstantsError> {
        let value = self
            .value(name)?
            .as_u64()
            .and_then(|number| u32::try_from(number).ok());
        value.ok_or_else(|| self.unusable(name, "a number from 0 to 2^32 - 1"))
    }

    fn positive(&self, name: &str) -> Result<u32, ConstantsError> {
        let number = self.number(name)?;
        if number == 0 {
            Err(self.unusable(name, "a number above 0"))
        } else {
            Ok(number)
        }
    }

    fn money(&self, name: &str) -> Result<Mutez, ConstantsError> {
        let value = self
            .value(name)?
            .as_str()
            .and_then(|text| text.parse().ok());
        value.ok_or_else(|| self.unusable(name, "a decimal string of mutez"))
    }
}
