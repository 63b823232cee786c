//! Quantities with a unit. Arithmetic on them is checked; nothing wraps.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A block height: never negative, at most 2^31 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i32", into = "i32")]
pub struct Level(i32);

/// A number is not a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a level: levels go from 0 to 2147483647")]
pub struct LevelError(pub i64);

impl Level {
    /// The level of the genesis block.
    pub const ZERO: Self = Self(0);

    /// A level known to be in range.
    #[must_use]
    pub const fn new(level: u16) -> Self {
        Self(level as i32)
    }

    /// The height as the protocol's signed 32-bit integer.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }

    /// The level one above, if there is one.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.plus(1)
    }

    /// The level one below, if there is one.
    #[must_use]
    pub fn previous(self) -> Option<Self> {
        self.minus(1)
    }

    /// The level `blocks` above, if there is one.
    #[must_use]
    pub fn plus(self, blocks: u32) -> Option<Self> {
        self.0.checked_add_unsigned(blocks).map(Self)
    }

    /// The level `blocks` below, if there is one.
    #[must_use]
    pub fn minus(self, blocks: u32) -> Option<Self> {
        self.0
            .checked_sub_unsigned(blocks)
            .filter(|level| *level >= 0)
            .map(Self)
    }

    /// Blocks from `earlier` up to here; none when `earlier` is above.
    #[must_use]
    pub fn since(self, earlier: Self) -> Option<u32> {
        self.0
            .checked_sub(earlier.0)
            .and_then(|blocks| u32::try_from(blocks).ok())
    }
}

impl TryFrom<i64> for Level {
    type Error = LevelError;

    fn try_from(level: i64) -> Result<Self, LevelError> {
        i32::try_from(level)
            .ok()
            .filter(|level| *level >= 0)
            .map(Self)
            .ok_or(LevelError(level))
    }
}

impl TryFrom<i32> for Level {
    type Error = LevelError;

    fn try_from(level: i32) -> Result<Self, LevelError> {
        Self::try_from(i64::from(level))
    }
}

impl From<Level> for i32 {
    fn from(level: Level) -> Self {
        level.0
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Seconds since 1970, as block headers and inbox messages carry them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

macro_rules! decimal_quantity {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl $name {
            /// The sum, if it fits.
            #[must_use]
            pub fn plus(self, other: Self) -> Option<Self> {
                self.0.checked_add(other.0).map(Self)
            }

            /// The difference, if it is not negative.
            #[must_use]
            pub fn minus(self, other: Self) -> Option<Self> {
                self.0.checked_sub(other.0).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        /// As the node writes it: a decimal string.
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(|e| {
                    serde::de::Error::custom(format!("{text:?} is not a {}: {e}", stringify!($name).to_lowercase()))
                })
            }
        }
    };
}

decimal_quantity! {
    /// A number of PVM ticks. 2^64 is exhausted in weeks at today's snapshot length, hence 128 bits.
    Tick(u128)
}
decimal_quantity! {
    /// An amount of money: 1 tez = 1,000,000 mutez.
    Mutez(u64)
}
impl Mutez {
    /// Whether the protocol can hold as much: its amounts are below 2^63.
    #[must_use]
    pub const fn is_money(self) -> bool {
        self.0 <= i64::MAX as u64
    }
}
decimal_quantity! {
    /// Replay number of a manager operation.
    Counter(u64)
}
decimal_quantity! {
    /// Gas units an operation may use.
    Gas(u64)
}
decimal_quantity! {
    /// Bytes of storage an operation may be charged for.
    StorageBytes(u64)
}
