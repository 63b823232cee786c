//! Constants, protocol and dialect of the chain, read from the node at a block and never assumed.
//!
//! Promises: constants are those in force after that block, cached per protocol; a chain of the
//! other dialect is recognised. Refuses to know: default values.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::client::{BlockId, Client};
use super::endpoint::json;
use super::error::{Fault, L1Error};
use crate::crypto::Dialect;
use crate::protocol::operation::Form;
use crate::protocol::{Constants, Dialected, Gas, Level, Protocol, ProtocolHash, RollupAddress};

/// The protocol of a block and the one its context belongs to; they differ in the last block of
/// a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Protocols {
    /// What the block's own operations were applied by.
    pub protocol: ProtocolHash,
    /// What answers questions about the block's context and applies the next block.
    pub next_protocol: ProtocolHash,
}

/// Sizes of the data-availability layer, as in force at some level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct DalParameters {
    /// Whether the layer is on.
    pub feature_enable: bool,
    /// Slots per level.
    pub number_of_slots: u16,
    /// Blocks between a publication and its attestation (at most, where that varies).
    pub attestation_lag: u8,
    /// Bytes of a slot.
    pub slot_size: u32,
    /// Bytes of a page.
    pub page_size: u16,
}

/// From which level on each kind of reveal is allowed (Oxford and later).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct RevealActivation {
    /// Preimages.
    pub raw_data: RawDataActivation,
    /// Address and origination level.
    pub metadata: Level,
    /// Pages of the data-availability layer.
    pub dal_page: Level,
    /// Parameters of the data-availability layer.
    pub dal_parameters: Level,
    /// Levels an attested slot stays readable (Paris and later).
    #[serde(default)]
    pub dal_attested_slots_validity_lag: Option<u32>,
}

/// Activation of preimages by hashing scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct RawDataActivation {
    /// The one scheme there is.
    #[serde(rename = "Blake2B")]
    pub blake2b: Level,
}

/// All constants the tower reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainConstants {
    /// The protocol they belong to.
    pub protocol: Protocol,
    /// The chain's dialect, told by the names of the constants.
    pub dialect: Dialect,
    /// Rollup constants.
    pub rollup: Constants,
    /// The data-availability layer; none where the protocol has none.
    pub dal: Option<DalParameters>,
    /// Reveal activation; none before Oxford, where preimages and metadata are always allowed.
    pub reveals: Option<RevealActivation>,
    /// Least seconds between blocks.
    pub minimal_block_delay: Option<u64>,
    /// Gas that operations may use; only who sends needs it.
    pub gas: Option<GasLimits>,
}

/// Gas that operations may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GasLimits {
    /// Each content.
    pub operation: Gas,
    /// All contents of a block.
    pub block: Gas,
}

impl ChainConstants {
    /// The shape of operations.
    #[must_use]
    pub const fn form(&self) -> Form {
        match self.dialect {
            Dialect::Modern => Form::Modern(self.protocol),
            Dialect::Scr1 => Form::Scr1,
        }
    }

    /// Reads the answer of `context/constants`.
    ///
    /// # Errors
    /// [`Fault`] names the constant that is missing or unusable.
    pub fn from_json(json: &Value, protocol: Protocol) -> Result<Self, Fault> {
        let dialect = dialect_of(json);
        let prefix = Constants::key_prefix(dialect);
        Ok(Self {
            protocol,
            dialect,
            rollup: Constants::from_json(json, dialect).map_err(Fault::Constants)?,
            dal: optional(json, "dal_parametric")?,
            reveals: optional(json, &format!("{prefix}reveal_activation_level"))?,
            minimal_block_delay: json
                .get("minimal_block_delay")
                .and_then(Value::as_str)
                .and_then(|text| text.parse().ok()),
            gas: optional(json, "hard_gas_limit_per_operation")?
                .zip(optional(json, "hard_gas_limit_per_block")?)
                .map(|(operation, block)| GasLimits { operation, block }),
        })
    }
}

/// Constants that speak of `sc_rollup_…` are of the older dialect.
fn dialect_of(json: &Value) -> Dialect {
    let has = |dialect| {
        let key = format!("{}stake_amount", Constants::key_prefix(dialect));
        json.get(key).is_some()
    };
    if has(Dialect::Scr1) && !has(Dialect::Modern) {
        Dialect::Scr1
    } else {
        Dialect::Modern
    }
}

fn optional<T: serde::de::DeserializeOwned>(json: &Value, key: &str) -> Result<Option<T>, Fault> {
    match json.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => T::deserialize(value)
            .map(Some)
            .map_err(|e| Fault::Unexpected(format!("constant {key:?}: {e}"))),
    }
}

/// The known protocol with this hash.
pub(super) fn known(hash: &ProtocolHash) -> Result<Protocol, Fault> {
    Protocol::from_hash(hash).ok_or(Fault::UnknownProtocol(*hash))
}

impl Client {
    /// The protocol of a block and the next one.
    ///
    /// # Errors
    /// [`L1Error`] when no endpoint can tell.
    pub async fn protocols(&self, block: BlockId) -> Result<Protocols, L1Error> {
        self.get(&format!("/chains/main/blocks/{block}/protocols"))
            .await
    }

    /// The constants in force after a block.
    ///
    /// # Errors
    /// [`L1Error`] when the protocol is unknown, or a constant is missing or unusable.
    pub async fn constants(&self, block: BlockId) -> Result<Arc<ChainConstants>, L1Error> {
        let hash = self.protocols(block).await?.next_protocol;
        if let Some(constants) = self.cached_constants(&hash) {
            return Ok(constants);
        }
        let path = format!("/chains/main/blocks/{block}/context/constants");
        let read = |bytes: &[u8]| ChainConstants::from_json(&json(bytes)?, known(&hash)?);
        let constants = Arc::new(self.ask(&path, read).await?);
        self.constants_cache().insert(hash, Arc::clone(&constants));
        Ok(constants)
    }

    /// The constants of a protocol, when they were read before.
    pub(super) fn cached_constants(&self, hash: &ProtocolHash) -> Option<Arc<ChainConstants>> {
        self.constants_cache().get(hash).map(Arc::clone)
    }

    /// The dialect of the chain, asked once.
    ///
    /// # Errors
    /// [`L1Error`] when the constants of the head cannot be read.
    pub async fn dialect(&self) -> Result<Dialect, L1Error> {
        let ask = async || Ok(self.constants(BlockId::Head).await?.dialect);
        self.dialect_cell().get_or_try_init(ask).await.copied()
    }

    /// Makes sure that an address was written in the labels of this chain.
    ///
    /// # Errors
    /// [`L1Error::OtherDialect`] names the address in the form that this chain uses.
    pub async fn accept_label(
        &self,
        rollup: &RollupAddress,
        label: Dialect,
    ) -> Result<(), L1Error> {
        let dialect = self.dialect().await?;
        if dialect == label {
            return Ok(());
        }
        Err(L1Error::OtherDialect {
            given: rollup.text(label),
            there: rollup.text(dialect),
            dialect,
        })
    }
}
