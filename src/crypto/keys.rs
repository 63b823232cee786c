//! Public keys and signatures of the four curves: their bytes and text.

use std::fmt;
use std::str::FromStr;

use super::{Base58Error, Prefix};

/// A public key; compressed points where the curve has them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PublicKey {
    /// `edpk…`, owner of a tz1.
    Ed25519([u8; 32]),
    /// `sppk…`, owner of a tz2.
    Secp256k1([u8; 33]),
    /// `p2pk…`, owner of a tz3.
    P256([u8; 33]),
    /// `BLpk…`, owner of a tz4.
    Bls([u8; 48]),
}

/// A text is not a key or signature of a known curve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyTextError {
    /// It starts with none of the known labels.
    #[error("{text:?} is not a {what}: expected {expected}")]
    UnknownCurve {
        /// The text offered, shortened; none for secrets.
        text: String,
        /// What was asked for.
        what: &'static str,
        /// The labels there are.
        expected: &'static str,
    },
    /// The label is known, the rest is damaged.
    #[error(transparent)]
    Damaged(#[from] Base58Error),
}

/// The payload of `text` as an array; the label fixes its length.
pub(super) fn payload<const N: usize>(prefix: Prefix, text: &str) -> Result<[u8; N], Base58Error> {
    let bytes = prefix.decode(text)?;
    let found = bytes.len();
    bytes.try_into().map_err(|_| Base58Error::WrongLength {
        text: text.into(),
        expected: prefix.text,
        length: N,
        found,
    })
}

impl PublicKey {
    /// Its tag byte and raw bytes, as operations carry them.
    #[must_use]
    pub const fn tagged(&self) -> (u8, &[u8]) {
        match self {
            Self::Ed25519(key) => (0, key),
            Self::Secp256k1(key) => (1, key),
            Self::P256(key) => (2, key),
            Self::Bls(key) => (3, key),
        }
    }

    /// The key with this tag byte and raw bytes, if they fit together.
    #[must_use]
    pub fn from_tagged(tag: u8, bytes: &[u8]) -> Option<Self> {
        match tag {
            0 => bytes.try_into().ok().map(Self::Ed25519),
            1 => bytes.try_into().ok().map(Self::Secp256k1),
            2 => bytes.try_into().ok().map(Self::P256),
            3 => bytes.try_into().ok().map(Self::Bls),
            _ => None,
        }
    }

    /// Number of raw bytes of a key with this tag.
    #[must_use]
    pub const fn length_of_tag(tag: u8) -> Option<usize> {
        match tag {
            0 => Some(32),
            1 | 2 => Some(33),
            3 => Some(48),
            _ => None,
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self {
            Self::Ed25519(_) => Prefix::EDPK,
            Self::Secp256k1(_) => Prefix::SPPK,
            Self::P256(_) => Prefix::P2PK,
            Self::Bls(_) => Prefix::BLPK,
        };
        f.write_str(&prefix.encode(self.tagged().1))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = KeyTextError;

    fn from_str(text: &str) -> Result<Self, KeyTextError> {
        match text.get(..4) {
            Some("edpk") => Ok(Self::Ed25519(payload(Prefix::EDPK, text)?)),
            Some("sppk") => Ok(Self::Secp256k1(payload(Prefix::SPPK, text)?)),
            Some("p2pk") => Ok(Self::P256(payload(Prefix::P2PK, text)?)),
            Some("BLpk") => Ok(Self::Bls(payload(Prefix::BLPK, text)?)),
            _ => Err(KeyTextError::UnknownCurve {
                text: text.chars().take(80).collect(),
                what: "public key",
                expected: "edpk…, sppk…, p2pk… or BLpk…",
            }),
        }
    }
}

/// A signature. From the wire the curve of a 64-byte one is unknown.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signature {
    /// `edsig…`.
    Ed25519([u8; 64]),
    /// `spsig1…`, as `r ‖ s`.
    Secp256k1([u8; 64]),
    /// `p2sig…`, as `r ‖ s`.
    P256([u8; 64]),
    /// `BLsig…`, a compressed point.
    Bls([u8; 96]),
    /// `sig…`: one of the first three.
    Unknown([u8; 64]),
}

impl Signature {
    /// What stands in an operation that nobody has signed yet.
    pub const ABSENT: Self = Self::Unknown([0; 64]);

    /// Its raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Ed25519(bytes)
            | Self::Secp256k1(bytes)
            | Self::P256(bytes)
            | Self::Unknown(bytes) => bytes,
            Self::Bls(bytes) => bytes,
        }
    }

    /// The same signature as read from the wire, where short ones do not tell their curve.
    #[must_use]
    pub const fn without_curve(self) -> Self {
        match self {
            Self::Ed25519(bytes)
            | Self::Secp256k1(bytes)
            | Self::P256(bytes)
            | Self::Unknown(bytes) => Self::Unknown(bytes),
            Self::Bls(bytes) => Self::Bls(bytes),
        }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self {
            Self::Ed25519(_) => Prefix::EDSIG,
            Self::Secp256k1(_) => Prefix::SPSIG,
            Self::P256(_) => Prefix::P2SIG,
            Self::Bls(_) => Prefix::BLSIG,
            Self::Unknown(_) => Prefix::SIG,
        };
        f.write_str(&prefix.encode(self.as_bytes()))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Signature {
    type Err = KeyTextError;

    fn from_str(text: &str) -> Result<Self, KeyTextError> {
        let known = |prefix: Prefix| text.starts_with(prefix.text);
        if known(Prefix::EDSIG) {
            Ok(Self::Ed25519(payload(Prefix::EDSIG, text)?))
        } else if known(Prefix::SPSIG) {
            Ok(Self::Secp256k1(payload(Prefix::SPSIG, text)?))
        } else if known(Prefix::P2SIG) {
            Ok(Self::P256(payload(Prefix::P2SIG, text)?))
        } else if known(Prefix::BLSIG) {
            Ok(Self::Bls(payload(Prefix::BLSIG, text)?))
        } else if known(Prefix::SIG) {
            Ok(Self::Unknown(payload(Prefix::SIG, text)?))
        } else {
            Err(KeyTextError::UnknownCurve {
                text: text.chars().take(120).collect(),
                what: "signature",
                expected: "edsig…, spsig1…, p2sig…, BLsig… or sig…",
            })
        }
    }
}
