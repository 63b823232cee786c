//! Hashes and addresses as distinct types, with their text in both dialects.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Level;
use crate::codec::{DecodeError, Reader, Writer};
use crate::crypto::{Base58Error, Dialect, Hash, Prefix, PublicKey, blake2b_20};

/// Identifiers whose label depends on the dialect of the chain.
pub trait Dialected: Sized {
    /// The label in `dialect`.
    fn prefix(dialect: Dialect) -> Prefix;

    /// The text in `dialect`.
    fn text(&self, dialect: Dialect) -> String;

    /// Reads the text of one dialect; the other one's label is refused.
    ///
    /// # Errors
    /// [`Base58Error`] names the text and what was expected.
    fn from_text(text: &str, dialect: Dialect) -> Result<Self, Base58Error>;
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident[$length:literal], $modern:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $length]);

        impl $name {
            /// The raw bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }

            /// Reads the raw bytes.
            ///
            /// # Errors
            /// [`DecodeError::Short`].
            pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                reader.array(stringify!($name)).map(Self)
            }

            /// Appends the raw bytes.
            pub fn write(&self, writer: &mut Writer) {
                writer.raw(&self.0);
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&Prefix::$modern.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = Base58Error;

            fn from_str(text: &str) -> Result<Self, Base58Error> {
                decode(Prefix::$modern, text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
    ($(#[$doc:meta])* $name:ident[$length:literal], $modern:ident, $scr1:ident) => {
        identifier!($(#[$doc])* $name[$length], $modern);

        impl Dialected for $name {
            fn prefix(dialect: Dialect) -> Prefix {
                match dialect {
                    Dialect::Modern => Prefix::$modern,
                    Dialect::Scr1 => Prefix::$scr1,
                }
            }

            fn text(&self, dialect: Dialect) -> String {
                Self::prefix(dialect).encode(&self.0)
            }

            fn from_text(text: &str, dialect: Dialect) -> Result<Self, Base58Error> {
                decode(Self::prefix(dialect), text).map(Self)
            }
        }
    };
}

fn decode<const N: usize>(prefix: Prefix, text: &str) -> Result<[u8; N], Base58Error> {
    let payload = prefix.decode(text)?;
    let found = payload.len();
    payload.try_into().map_err(|_| Base58Error::WrongLength {
        text: text.into(),
        expected: prefix.text,
        length: N,
        found,
    })
}

identifier!(
    /// Address of a rollup: `sr1…`, or `scr1…` on chains of the older dialect.
    RollupAddress[20], ROLLUP, SCR1_ROLLUP
);
identifier!(
    /// Hash of a commitment.
    CommitmentHash[32], COMMITMENT, SCR1_COMMITMENT
);
identifier!(
    /// Merkle root of a PVM state at a tick: the tree hash of its root directory, relabelled.
    StateHash[32], STATE, SCR1_STATE
);
identifier!(
    /// Pointer of a history cell of the inbox.
    InboxHash[32], INBOX, SCR1_INBOX
);
identifier!(
    /// Pointer of a payload cell; that of a level's last message is the level's witness.
    PayloadsHash[32], PAYLOADS, SCR1_PAYLOADS
);
identifier!(
    /// Hash of a serialized inbox message.
    MessageHash[32], MESSAGE, SCR1_MESSAGE
);
identifier!(
    /// Pointer of a cell of the data-availability history.
    DalPointer[32], DAL_POINTER
);
identifier!(
    /// Commitment to the data of a data-availability slot.
    DalCommitment[48], DAL_COMMITMENT
);
identifier!(
    /// Hash of a context tree or commit.
    ContextHash[32], CONTEXT
);
identifier!(
    /// Hash of a block.
    BlockHash[32], BLOCK
);
identifier!(
    /// Hash of a signed operation.
    OperationHash[32], OPERATION
);
identifier!(
    /// Hash of a protocol.
    ProtocolHash[32], PROTOCOL
);
identifier!(
    /// Identifier of a chain.
    ChainId[4], CHAIN
);
identifier!(
    /// Hash of an originated contract: `KT1…`.
    ContractHash[20], KT1
);

impl From<Hash> for StateHash {
    fn from(hash: Hash) -> Self {
        Self(hash.0)
    }
}

impl From<Hash> for ContextHash {
    fn from(hash: Hash) -> Self {
        Self(hash.0)
    }
}

impl RollupAddress {
    /// The address given to the `index`-th origination (from 0) inside operation `operation`.
    /// Source: `sc_rollup_storage.ml`, `origination_nonce.ml`.
    #[must_use]
    pub fn originated_by(operation: &OperationHash, index: i32) -> Self {
        let mut nonce = operation.0.to_vec();
        nonce.extend_from_slice(&index.to_be_bytes());
        Self(blake2b_20(&nonce))
    }

    /// What the machine of a rollup that began at `origination` is told about itself.
    #[must_use]
    pub fn metadata(&self, origination: Level) -> [u8; 24] {
        let mut metadata = [0; 24];
        let (address, level) = metadata.split_at_mut(20);
        address.copy_from_slice(&self.0);
        level.copy_from_slice(&origination.get().to_be_bytes());
        metadata
    }

    /// Reads an address of either dialect and tells which one it was.
    ///
    /// # Errors
    /// [`RollupTextError`] when it is neither an `sr1…` nor an `scr1…` address.
    pub fn of_any_dialect(text: &str) -> Result<(Self, Dialect), RollupTextError> {
        let dialect = if text.starts_with(Prefix::SCR1_ROLLUP.text) {
            Dialect::Scr1
        } else {
            Dialect::Modern
        };
        Self::from_text(text, dialect)
            .map(|address| (address, dialect))
            .map_err(RollupTextError)
    }
}

/// A text is not a rollup address of either dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a rollup address (sr1… or scr1…): {0}")]
pub struct RollupTextError(#[source] pub Base58Error);

/// Hash of a public key: an account. Ordered by curve (tz1 to tz5), then by bytes, which is the order
/// that names alice and bob in a game.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PublicKeyHash {
    /// Ed25519, `tz1…`.
    Tz1([u8; 20]),
    /// Secp256k1, `tz2…`.
    Tz2([u8; 20]),
    /// P-256, `tz3…`.
    Tz3([u8; 20]),
    /// BLS12-381, `tz4…`.
    Tz4([u8; 20]),
    /// ML-DSA-44, `tz5…`: since Ushuaia, where a network enables it. Such accounts are read, as they may
    /// act in any block; their keys are not.
    Tz5([u8; 20]),
}

/// A text is not an account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyHashError {
    /// It does not start with tz1 to tz5.
    #[error("{0:?} is not an account: expected tz1… to tz5…")]
    UnknownCurve(String),
    /// It does, but is damaged.
    #[error(transparent)]
    Damaged(#[from] Base58Error),
}

impl PublicKeyHash {
    fn parts(&self) -> (Prefix, u8, &[u8; 20]) {
        match self {
            Self::Tz1(hash) => (Prefix::TZ1, 0, hash),
            Self::Tz2(hash) => (Prefix::TZ2, 1, hash),
            Self::Tz3(hash) => (Prefix::TZ3, 2, hash),
            Self::Tz4(hash) => (Prefix::TZ4, 3, hash),
            Self::Tz5(hash) => (Prefix::TZ5, 4, hash),
        }
    }

    /// The account that `key` owns.
    #[must_use]
    pub fn of_key(key: &PublicKey) -> Self {
        let hash = blake2b_20(key.tagged().1);
        match key {
            PublicKey::Ed25519(_) => Self::Tz1(hash),
            PublicKey::Secp256k1(_) => Self::Tz2(hash),
            PublicKey::P256(_) => Self::Tz3(hash),
            PublicKey::Bls(_) => Self::Tz4(hash),
        }
    }

    /// Appends the 21-byte tagged form.
    pub fn write(&self, writer: &mut Writer) {
        let (_, tag, hash) = self.parts();
        writer.u8(tag).raw(hash);
    }

    /// Reads the 21-byte tagged form.
    ///
    /// # Errors
    /// [`DecodeError`] when short or of an unknown curve.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        let tag = reader.u8("public key hash")?;
        let hash = reader.array("public key hash")?;
        match tag {
            0 => Ok(Self::Tz1(hash)),
            1 => Ok(Self::Tz2(hash)),
            2 => Ok(Self::Tz3(hash)),
            3 => Ok(Self::Tz4(hash)),
            4 => Ok(Self::Tz5(hash)),
            other => Err(start.invalid("public key hash", format!("unknown curve tag {other}"))),
        }
    }
}

impl fmt::Display for PublicKeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, _, hash) = self.parts();
        f.write_str(&prefix.encode(hash))
    }
}

impl fmt::Debug for PublicKeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKeyHash {
    type Err = PublicKeyHashError;

    fn from_str(text: &str) -> Result<Self, PublicKeyHashError> {
        match text.get(..3) {
            Some("tz1") => Ok(Self::Tz1(decode(Prefix::TZ1, text)?)),
            Some("tz2") => Ok(Self::Tz2(decode(Prefix::TZ2, text)?)),
            Some("tz3") => Ok(Self::Tz3(decode(Prefix::TZ3, text)?)),
            Some("tz4") => Ok(Self::Tz4(decode(Prefix::TZ4, text)?)),
            Some("tz5") => Ok(Self::Tz5(decode(Prefix::TZ5, text)?)),
            _ => Err(PublicKeyHashError::UnknownCurve(text.into())),
        }
    }
}

impl Serialize for PublicKeyHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKeyHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published origination of a test network of Mumbai's time.
    #[test]
    fn an_address_follows_from_its_operation() {
        let zero = CommitmentHash([0; 32]);
        assert_eq!(
            zero.to_string(),
            "src12UJzB8mg7yU6nWPzicH7ofJbFjyJEbHvwtZdfRXi8DQHNp1LY8"
        );
        let payload = hex::decode("0a1846d6d018e871f6487a55e26f4e5e3ef481af").unwrap();
        let address = RollupAddress(payload.try_into().unwrap());
        assert_eq!(
            address.text(Dialect::Scr1),
            "scr1BBMMrm3Zhq1S2Qy2LpRXdu4ebtW9sBrtY"
        );
        assert_eq!(
            RollupAddress::of_any_dialect("scr1BBMMrm3Zhq1S2Qy2LpRXdu4ebtW9sBrtY"),
            Ok((address, Dialect::Scr1))
        );
    }

    #[test]
    fn mixed_eras_are_refused_by_name() {
        let error = RollupAddress::from_str("scr1BBMMrm3Zhq1S2Qy2LpRXdu4ebtW9sBrtY")
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "\"scr1BBMMrm3Zhq1S2Qy2LpRXdu4ebtW9sBrtY\" is not a sr1… identifier: it starts with scr1"
        );
    }

    /// An address of the protocol's own tests.
    #[test]
    fn accounts_of_the_newest_curve_are_read() {
        let text = "tz5fxSJrMeVsmEAVDencuUcpgRe3Kw7CwPFe";
        let account: PublicKeyHash = text.parse().unwrap();
        assert!(matches!(account, PublicKeyHash::Tz5(_)));
        assert_eq!(account.to_string(), text);
        let mut writer = Writer::new();
        account.write(&mut writer);
        let bytes = writer.into_bytes();
        assert_eq!((bytes.len(), bytes[0]), (21, 4));
        assert_eq!(PublicKeyHash::read(&mut Reader::new(&bytes)), Ok(account));
    }

    #[test]
    fn accounts_order_by_curve_first() {
        assert!(PublicKeyHash::Tz1([0xff; 20]) < PublicKeyHash::Tz2([0; 20]));
        assert!(PublicKeyHash::Tz3([1; 20]) < PublicKeyHash::Tz3([2; 20]));
        assert!(PublicKeyHash::Tz4([0xff; 20]) < PublicKeyHash::Tz5([0; 20]));
    }
}
