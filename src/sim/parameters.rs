//! Constants of the simulated chain: mainnet's values per protocol, and what tests override.
//!
//! Promises: the numbers each protocol ships for mainnet (`default_parameters.ml` and the
//! migrations of `raw_context.ml`), in the node's JSON. Consensus constants are shown because
//! clients read them; nothing here is baked by them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::crypto::Dialect;
use crate::protocol::{Constants, Level, Mutez, Protocol};
use crate::pvm::Activation;

/// Sizes of the data availability layer that a kernel can ask for. The layer itself is off here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DalSizes {
    /// Slots of a level.
    pub number_of_slots: u16,
    /// Blocks until attestation.
    pub attestation_lag: u8,
    /// Bytes of a slot.
    pub slot_size: u32,
    /// Bytes of a page.
    pub page_size: u16,
}

impl DalSizes {
    /// What `protocol` ships for mainnet.
    #[must_use]
    pub const fn mainnet(protocol: Protocol) -> Self {
        let (number_of_slots, attestation_lag, slot_size, page_size) = match protocol {
            Protocol::Mumbai | Protocol::Nairobi => (256, 1, 1_048_576, 4_096),
            Protocol::Oxford => (256, 4, 1_048_576, 4_096),
            Protocol::Ushuaia | Protocol::Alpha => (160, 5, 380_832, 3_967),
            _ => (32, 8, 126_944, 3_967),
        };
        Self {
            number_of_slots,
            attestation_lag,
            slot_size,
            page_size,
        }
    }

    /// As the constants tell them.
    pub(super) fn json(&self) -> Map<String, Value> {
        object(json!({
            "number_of_slots": self.number_of_slots,
            "attestation_lag": self.attestation_lag,
            "page_size": self.page_size,
            "slot_size": self.slot_size,
        }))
    }

    /// What a kernel is given: four numbers of 64 bits.
    #[must_use]
    pub fn bytes(&self) -> [u8; 32] {
        let numbers = [
            u64::from(self.number_of_slots),
            u64::from(self.attestation_lag),
            u64::from(self.slot_size),
            u64::from(self.page_size),
        ];
        let mut bytes = [0; 32];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }
}

/// All that the chain's rules read from the constants of a protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// The smart rollup constants.
    pub rollup: Constants,
    /// Seconds between blocks.
    pub block_delay: u32,
    /// Gas one content may ask for, in units.
    pub gas_per_operation: u64,
    /// Gas all operations of a block may ask for, in units.
    pub gas_per_block: u64,
    /// Storage one content may burn, in bytes.
    pub storage_per_operation: u64,
    /// Mutez burned per byte of storage.
    pub cost_per_byte: u64,
    /// Bytes burned by a new account or contract.
    pub account_size: u64,
    /// Bytes burned by a rollup besides its own data.
    pub rollup_size: u64,
    /// Bytes of a whole operation.
    pub operation_size: usize,
    /// Bytes of an inbox message once encoded.
    pub message_size: usize,
    /// Messages of a level.
    pub messages_per_level: u32,
    /// Whether rollups may carry a whitelist.
    pub private_rollups: bool,
    /// Reveals that are answered; pages of the data availability layer never are.
    pub reveals: Activation,
    /// Sizes of the data availability layer.
    pub dal: DalSizes,
}

/// Every constant of each protocol, as its mainnet has them: fixed, parametric and derived ones, in
/// the order of the node's answer. The data availability layer is off, and what the rules here go by
/// is filled in later.
static SHIPPED: LazyLock<BTreeMap<Protocol, Value>> = LazyLock::new(|| {
    let texts = Protocol::ALL.map(|protocol| {
        let text = match protocol {
            Protocol::Mumbai => include_str!("constants/mumbai.json"),
            Protocol::Nairobi => include_str!("constants/nairobi.json"),
            Protocol::Oxford => include_str!("constants/oxford.json"),
            Protocol::ParisB | Protocol::ParisC => include_str!("constants/paris.json"),
            Protocol::Quebec => include_str!("constants/quebec.json"),
            Protocol::Rio => include_str!("constants/rio.json"),
            Protocol::Seoul => include_str!("constants/seoul.json"),
            Protocol::Tallinn => include_str!("constants/tallinn.json"),
            Protocol::Ushuaia => include_str!("constants/ushuaia.json"),
            Protocol::Alpha => include_str!("constants/alpha.json"),
        };
        (protocol, serde_json::from_str(text).unwrap_or_default())
    });
    texts.into_iter().collect()
});

fn shipped_of(protocol: Protocol) -> &'static Value {
    SHIPPED.get(&protocol).unwrap_or(&Value::Null)
}

/// Blocks of a cycle, as clients count them; nothing here depends on it.
#[must_use]
pub(super) fn blocks_per_cycle(protocol: Protocol) -> i32 {
    let blocks = shipped_of(protocol)
        .pointer("/parametric/blocks_per_cycle")
        .and_then(Value::as_i64)
        .and_then(|blocks| i32::try_from(blocks).ok());
    blocks.unwrap_or(1).max(1)
}

/// A constant that nothing here depends on, as a number.
#[must_use]
pub(super) fn shipped_number(protocol: Protocol, key: &str) -> Option<u64> {
    let parts = ["parametric", "derived", "fixed"].into_iter();
    let mut found = parts.filter_map(|part| shipped_of(protocol).get(part)?.get(key));
    match found.next()? {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64(),
    }
}

/// Values shipped for mainnet: block delay, period, window, timeout, lookahead, outbox levels, lifetime.
const fn mainnet_lengths(protocol: Protocol) -> (u32, u32, u32, u32, u32, u32, u32) {
    match protocol {
        Protocol::Mumbai | Protocol::Nairobi | Protocol::Oxford => {
            (15, 60, 80_640, 40_320, 172_800, 80_640, 240)
        }
        Protocol::ParisB | Protocol::ParisC => (10, 90, 120_960, 60_480, 259_200, 120_960, 360),
        Protocol::Quebec | Protocol::Rio | Protocol::Seoul => {
            (8, 112, 151_200, 75_600, 324_000, 151_200, 450)
        }
        Protocol::Tallinn | Protocol::Ushuaia | Protocol::Alpha => {
            (6, 150, 201_600, 100_800, 432_000, 151_200, 600)
        }
    }
}

const fn gas_per_block(protocol: Protocol) -> u64 {
    match protocol {
        Protocol::Mumbai | Protocol::Nairobi | Protocol::Oxford => 2_600_000,
        Protocol::ParisB | Protocol::ParisC => 1_733_333,
        Protocol::Quebec | Protocol::Rio | Protocol::Seoul => 1_386_666,
        Protocol::Tallinn | Protocol::Ushuaia | Protocol::Alpha => 1_040_000,
    }
}

impl Parameters {
    /// Mainnet's values under `protocol`.
    #[must_use]
    pub fn mainnet(protocol: Protocol) -> Self {
        let (block_delay, period, window, timeout, lookahead, outbox_levels, ttl) =
            mainnet_lengths(protocol);
        Self {
            rollup: Constants {
                commitment_period: period,
                challenge_window: window,
                timeout_period: timeout,
                max_lookahead: lookahead,
                stake_amount: Mutez(10_000_000_000),
                number_of_sections: 32,
                max_parallel_games: 32,
                max_stored_cemented: 5,
                max_active_outbox_levels: outbox_levels,
                max_outbox_messages: 100,
                operation_ttl: ttl,
            },
            block_delay,
            gas_per_operation: 1_040_000,
            gas_per_block: gas_per_block(protocol),
            storage_per_operation: 60_000,
            cost_per_byte: 250,
            account_size: 257,
            rollup_size: 6_314,
            operation_size: 32_768,
            message_size: 4_096,
            messages_per_level: 1_000_000,
            private_rollups: protocol >= Protocol::Oxford,
            reveals: Activation::BASIC,
            dal: DalSizes::mainnet(protocol),
        }
    }

    /// The development chains of late 2022: 30-block periods, windows of 20,160 blocks.
    #[must_use]
    pub fn of_the_first_manual(protocol: Protocol) -> Self {
        let mut parameters = Self::mainnet(protocol);
        parameters.block_delay = 30;
        parameters.gas_per_block = 5_200_000;
        parameters.rollup = Constants {
            commitment_period: 30,
            challenge_window: 20_160,
            timeout_period: 20_160,
            max_lookahead: 30_000,
            max_parallel_games: 1,
            max_active_outbox_levels: 20_160,
            operation_ttl: 120,
            ..parameters.rollup
        };
        parameters
    }

    /// The same with short lengths, in blocks: what tests and `devnet` use.
    #[must_use]
    pub fn with_lengths(mut self, period: u32, window: u32, timeout: u32) -> Self {
        self.rollup.commitment_period = period;
        self.rollup.challenge_window = window;
        self.rollup.timeout_period = timeout;
        // The protocol wants the lookahead above the period and the window.
        self.rollup.max_lookahead = period.max(window).saturating_mul(3).saturating_add(1);
        self
    }

    /// The answer of `context/constants`.
    #[must_use]
    pub fn json(&self, protocol: Protocol, dialect: Dialect) -> Value {
        self.parts(protocol, dialect, &["fixed", "parametric", "derived"])
    }

    /// The answer of `context/constants/parametric`.
    #[must_use]
    pub fn parametric_json(&self, protocol: Protocol, dialect: Dialect) -> Value {
        self.parts(protocol, dialect, &["parametric"])
    }

    /// The protocol's own constants, with those that the chain goes by in their places.
    fn parts(&self, protocol: Protocol, dialect: Dialect, parts: &[&str]) -> Value {
        let (shipped, older) = match dialect {
            Dialect::Modern => (protocol, false),
            Dialect::Scr1 => (Protocol::Mumbai, true),
        };
        let mut constants = Map::new();
        for part in parts {
            let part = shipped_of(shipped).get(*part).and_then(Value::as_object);
            constants.extend(part.cloned().unwrap_or_default());
        }
        if older {
            constants.remove("smart_rollup_max_number_of_parallel_games");
        }
        for (key, value) in self.own(protocol) {
            if let Some(place) = constants.get_mut(&key) {
                *place = value;
            }
        }
        if let Some(Value::Object(dal)) = constants.get_mut("dal_parametric") {
            dal.extend(self.dal.json());
        }
        Value::Object(constants)
    }

    fn own(&self, protocol: Protocol) -> Map<String, Value> {
        let rollup = &self.rollup;
        object(json!({
            "max_operation_data_length": self.operation_size,
            "smart_rollup_message_size_limit": self.message_size,
            "smart_rollup_max_number_of_messages_per_level": self.messages_per_level.to_string(),
            "hard_gas_limit_per_operation": self.gas_per_operation.to_string(),
            "hard_gas_limit_per_block": self.gas_per_block.to_string(),
            "origination_size": self.account_size,
            "cost_per_byte": self.cost_per_byte.to_string(),
            "hard_storage_limit_per_operation": self.storage_per_operation.to_string(),
            "max_operations_time_to_live": rollup.operation_ttl,
            "minimal_block_delay": self.block_delay.to_string(),
            "delay_increment_per_round": self.round_increment().to_string(),
            "smart_rollup_origination_size": self.rollup_size,
            "smart_rollup_challenge_window_in_blocks": rollup.challenge_window,
            "smart_rollup_stake_amount": rollup.stake_amount,
            "smart_rollup_commitment_period_in_blocks": rollup.commitment_period,
            "smart_rollup_max_lookahead_in_blocks": rollup.max_lookahead,
            "smart_rollup_max_active_outbox_levels": rollup.max_active_outbox_levels,
            "smart_rollup_max_outbox_messages_per_level": rollup.max_outbox_messages,
            "smart_rollup_number_of_sections_in_dissection": rollup.number_of_sections,
            "smart_rollup_timeout_period_in_blocks": rollup.timeout_period,
            "smart_rollup_max_number_of_cemented_commitments": rollup.max_stored_cemented,
            "smart_rollup_max_number_of_parallel_games": rollup.max_parallel_games,
            "smart_rollup_reveal_activation_level": self.reveals_json(protocol),
            "smart_rollup_private_enable": self.private_rollups,
        }))
    }

    /// Seconds by which each further round of a level is longer.
    #[must_use]
    pub fn round_increment(&self) -> u32 {
        self.block_delay.div_ceil(2).max(1)
    }

    /// What the protocol has of the data availability layer, which is off here as on a sandbox; its
    /// sizes are those a kernel can ask for.
    #[must_use]
    pub(super) fn dal_parametric(&self, protocol: Protocol) -> Value {
        let mut constants = self.parametric_json(protocol, Dialect::Modern);
        constants["dal_parametric"].take()
    }

    fn reveals_json(&self, protocol: Protocol) -> Value {
        // What the protocol shows for what is never answered.
        let never = i32::MAX - 1;
        let from = |level: Option<Level>| level.map_or(never, Level::get);
        let mut levels = object(json!({
            "raw_data": {"Blake2B": from(self.reveals.preimage)},
            "metadata": from(self.reveals.metadata),
            "dal_page": from(self.reveals.dal_page),
            "dal_parameters": from(self.reveals.dal_parameters),
        }));
        if protocol >= Protocol::ParisB {
            levels.insert("dal_attested_slots_validity_lag".into(), 241_920.into());
        }
        Value::Object(levels)
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::dialect;

    #[test]
    fn what_is_shown_is_what_is_read() {
        for protocol in Protocol::ALL {
            let parameters = Parameters::mainnet(protocol);
            let json = parameters.json(protocol, Dialect::Modern);
            assert_eq!(
                Constants::from_json(&json, Dialect::Modern),
                Ok(parameters.rollup.clone())
            );
            // Every constant has its value, and what the chain goes by is what mainnet has.
            let constants = json.as_object().unwrap();
            let unset = |key: &&String| constants[*key].is_null();
            let unset: Vec<_> = constants.keys().filter(unset).collect();
            let may_be = ["all_bakers_attest_activation_level"];
            assert!(
                unset.iter().all(|key| may_be.contains(&key.as_str())),
                "{unset:?}"
            );
            for (key, value) in shipped_of(protocol)["parametric"].as_object().unwrap() {
                let is_set = !value.is_null() && key != "dal_parametric";
                assert!(!is_set || constants[key] == *value, "{protocol:?} {key}");
            }
            let parametric = parameters.parametric_json(protocol, Dialect::Modern);
            assert!(parametric.get("nonce_length").is_none());
            assert!(parametric.get("unstake_finalization_delay").is_none());
            for (key, value) in parametric.as_object().unwrap() {
                assert_eq!(*value, constants[key]);
            }
        }
        let parameters = Parameters::of_the_first_manual(Protocol::Ushuaia);
        let json = parameters.json(Protocol::Ushuaia, Dialect::Scr1);
        let json = dialect::outgoing(json, Dialect::Scr1);
        assert_eq!(
            Constants::from_json(&json, Dialect::Scr1),
            Ok(parameters.rollup.clone())
        );
    }
}
