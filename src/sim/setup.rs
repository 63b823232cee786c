//! How a chain with people begins: its protocols, its money, its names.

use std::collections::BTreeMap;

use super::parameters::Parameters;
use crate::crypto::Dialect;
use crate::protocol::{Level, Mutez, Protocol};

/// 2026-01-01T00:00:00Z: a time of its own, since the chain has no clock.
const GENESIS_TIME: i64 = 1_767_225_600;

/// How a scenario begins.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Labels and names.
    pub dialect: Dialect,
    /// Fixes keys, genesis, everything chosen.
    pub seed: u64,
    /// Number of bootstrap accounts.
    pub accounts: u32,
    /// Money of those that have another amount than the rest, by index.
    pub money: BTreeMap<u32, Mutez>,
    /// Protocol activated by the block of each level.
    pub protocols: BTreeMap<Level, (Protocol, Parameters)>,
    /// Time of the genesis block, in seconds since 1970; others follow at the protocol's pace.
    pub genesis_time: i64,
}

impl Setup {
    /// A chain of `protocol` with mainnet's constants.
    #[must_use]
    pub fn mainnet(protocol: Protocol) -> Self {
        Self::of(protocol, Parameters::mainnet(protocol))
    }

    /// A chain of `protocol` with these constants.
    #[must_use]
    pub fn of(protocol: Protocol, parameters: Parameters) -> Self {
        Self {
            dialect: Dialect::Modern,
            seed: 0,
            accounts: 10,
            money: BTreeMap::new(),
            protocols: BTreeMap::from([(Level::new(1), (protocol, parameters))]),
            genesis_time: GENESIS_TIME,
        }
    }

    /// A small chain for demonstrations: periods of `period` blocks, windows of four of them.
    #[must_use]
    pub fn small(protocol: Protocol, period: u32) -> Self {
        let window = period.saturating_mul(4);
        let parameters = Parameters::mainnet(protocol).with_lengths(period, window, window);
        Self::of(protocol, parameters)
    }

    /// The dialect of the first manual, with its constants.
    #[must_use]
    pub fn of_the_first_manual(protocol: Protocol) -> Self {
        Self {
            dialect: Dialect::Scr1,
            ..Self::of(protocol, Parameters::of_the_first_manual(protocol))
        }
    }

    /// Hands over to `protocol` at the end of the block of `level`.
    #[must_use]
    pub fn migrating(mut self, level: Level, protocol: Protocol, parameters: Parameters) -> Self {
        self.protocols.insert(level, (protocol, parameters));
        self
    }

    /// Another seed.
    #[must_use]
    pub const fn seeded(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}
