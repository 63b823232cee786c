//! Base58check with the chain's prefixes, in today's dialect and in that of the first manual.
//!
//! A text is accepted only under the prefix asked for: a wrong prefix, a bad checksum, a wrong
//! length and a label of the other era are four different errors. Source of the prefixes:
//! `src/lib_crypto/base58.ml` of the reference implementation.

/// Which labels a chain uses for rollup addresses and hashes; payloads are the same in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// `sr1`, `src1`, `srs1`, `srib1`: Mumbai and later.
    Modern,
    /// `scr1`, `scc1`, `scs1`, `scib1`: the development chains of late 2022.
    Scr1,
}

/// A base58check label: leading text, the bytes that produce it and the payload length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// What texts start with.
    pub text: &'static str,
    /// The bytes put before the payload.
    pub bytes: &'static [u8],
    /// Payload length in bytes.
    pub payload: usize,
}

/// Why a text is not the identifier asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Base58Error {
    /// The text starts with another label.
    #[error("{text:?} is not a {expected}… identifier: it starts with {}", found.unwrap_or("no known prefix"))]
    WrongPrefix {
        /// The text offered.
        text: String,
        /// The label asked for.
        expected: &'static str,
        /// The known label the text starts with, if any.
        found: Option<&'static str>,
    },
    /// The four checksum bytes do not match: most often a typing error.
    #[error(
        "{text:?} has a bad checksum (expected a {expected}… identifier; one character is probably wrong)"
    )]
    BadChecksum {
        /// The text offered.
        text: String,
        /// The label asked for.
        expected: &'static str,
    },
    /// The payload is too short or too long.
    #[error("{text:?} has {found} payload bytes, a {expected}… identifier has {length}")]
    WrongLength {
        /// The text offered.
        text: String,
        /// The label asked for.
        expected: &'static str,
        /// Payload length of that label, in bytes.
        length: usize,
        /// Payload length found, in bytes.
        found: usize,
    },
    /// A character outside the base58 alphabet.
    #[error(
        "{text:?} has the character {character:?} at position {position}, which base58 does not use (expected a {expected}… identifier)"
    )]
    BadCharacter {
        /// The text offered.
        text: String,
        /// The label asked for.
        expected: &'static str,
        /// The offending character.
        character: char,
        /// Its position, in characters from 0.
        position: usize,
    },
}

macro_rules! prefixes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, [$($byte:literal),+], $payload:literal;)+) => {
        impl Prefix {
            $($(#[$doc])* pub const $name: Self = Self { text: $text, bytes: &[$($byte),+], payload: $payload };)+

            /// Every known label.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

prefixes! {
    /// Rollup address.
    ROLLUP = "sr1", [0x06, 0x7c, 0x75], 20;
    /// Commitment hash.
    COMMITMENT = "src1", [0x11, 0xa5, 0x86, 0x8a], 32;
    /// PVM state hash.
    STATE = "srs1", [0x11, 0xa5, 0xeb, 0xf0], 32;
    /// Inbox hash (pointer of a history cell).
    INBOX = "srib1", [0x03, 0xff, 0x8a, 0x91, 0x6e], 32;
    /// Merkelized payload hashes (witness of a level).
    PAYLOADS = "srib2", [0x03, 0xff, 0x8a, 0x91, 0x8c], 32;
    /// Serialized inbox message.
    MESSAGE = "srib3", [0x03, 0xff, 0x8a, 0x91, 0xaa], 32;
    /// Rollup address, older dialect.
    SCR1_ROLLUP = "scr1", [0x01, 0x76, 0x84, 0xd9], 20;
    /// Commitment hash, older dialect.
    SCR1_COMMITMENT = "scc1", [0x11, 0x90, 0x15, 0x64], 32;
    /// PVM state hash, older dialect.
    SCR1_STATE = "scs1", [0x11, 0x90, 0x7a, 0xca], 32;
    /// Inbox hash, older dialect.
    SCR1_INBOX = "scib1", [0x03, 0xfa, 0xae, 0xee, 0xd0], 32;
    /// Merkelized payload hashes, older dialect.
    SCR1_PAYLOADS = "scib2", [0x03, 0xfa, 0xae, 0xee, 0xee], 32;
    /// Serialized inbox message, older dialect.
    SCR1_MESSAGE = "scib3", [0x03, 0xfa, 0xae, 0xef, 0x0c], 32;
    /// Reveal data hash (display only), both dialects.
    REVEAL = "scrrh1", [0xe6, 0xce, 0x80, 0xc8, 0xc4], 32;
    /// DAL skip-list pointer.
    DAL_POINTER = "dask1", [0x02, 0xe0, 0x48, 0x73, 0x23], 32;
    /// Commitment to the data of a data-availability slot.
    DAL_COMMITMENT = "sh", [0x02, 0x74, 0xb4], 48;
    /// Block hash.
    BLOCK = "B", [0x01, 0x34], 32;
    /// Operation hash.
    OPERATION = "o", [0x05, 0x74], 32;
    /// Hash of the lists of operation hashes of a block.
    OPERATIONS = "LLo", [0x1d, 0x9f, 0x6d], 32;
    /// Context hash.
    CONTEXT = "Co", [0x4f, 0xc7], 32;
    /// Protocol hash.
    PROTOCOL = "P", [0x02, 0xaa], 32;
    /// Chain identifier.
    CHAIN = "Net", [0x57, 0x52, 0x00], 4;
    /// Hash of an expression, under which stored data is found.
    EXPRESSION = "expr", [0x0d, 0x2c, 0x40, 0x1b], 32;
    /// Hash of an Ed25519 key.
    TZ1 = "tz1", [0x06, 0xa1, 0x9f], 20;
    /// Hash of a Secp256k1 key.
    TZ2 = "tz2", [0x06, 0xa1, 0xa1], 20;
    /// Hash of a P-256 key.
    TZ3 = "tz3", [0x06, 0xa1, 0xa4], 20;
    /// Hash of a BLS12-381 key.
    TZ4 = "tz4", [0x06, 0xa1, 0xa6], 20;
    /// Hash of an ML-DSA-44 key.
    TZ5 = "tz5", [0x06, 0xa1, 0xa9], 20;
    /// Originated contract.
    KT1 = "KT1", [0x02, 0x5a, 0x79], 20;
    /// Ed25519 public key.
    EDPK = "edpk", [0x0d, 0x0f, 0x25, 0xd9], 32;
    /// Secp256k1 public key.
    SPPK = "sppk", [0x03, 0xfe, 0xe2, 0x56], 33;
    /// P-256 public key.
    P2PK = "p2pk", [0x03, 0xb2, 0x8b, 0x7f], 33;
    /// BLS12-381 public key.
    BLPK = "BLpk", [0x06, 0x95, 0x87, 0xcc], 48;
    /// Ed25519 secret seed.
    EDSK = "edsk", [0x0d, 0x0f, 0x3a, 0x07], 32;
    /// Secp256k1 secret key.
    SPSK = "spsk", [0x11, 0xa2, 0xe0, 0xc9], 32;
    /// P-256 secret key.
    P2SK = "p2sk", [0x10, 0x51, 0xee, 0xbd], 32;
    /// BLS12-381 secret key.
    BLSK = "BLsk", [0x03, 0x96, 0xc0, 0x28], 32;
    /// Ed25519 secret seed behind a passphrase.
    EDESK = "edesk", [0x07, 0x5a, 0x3c, 0xb3, 0x29], 56;
    /// Secp256k1 secret key behind a passphrase.
    SPESK = "spesk", [0x09, 0xed, 0xf1, 0xae, 0x96], 56;
    /// P-256 secret key behind a passphrase.
    P2ESK = "p2esk", [0x09, 0x30, 0x39, 0x73, 0xab], 56;
    /// BLS12-381 secret key behind a passphrase.
    BLESK = "BLesk", [0x02, 0x05, 0x1e, 0x35, 0x19], 56;
    /// Ed25519 signature.
    EDSIG = "edsig", [0x09, 0xf5, 0xcd, 0x86, 0x12], 64;
    /// Secp256k1 signature.
    SPSIG = "spsig1", [0x0d, 0x73, 0x65, 0x13, 0x3f], 64;
    /// P-256 signature.
    P2SIG = "p2sig", [0x36, 0xf0, 0x2c, 0x34], 64;
    /// BLS12-381 signature.
    BLSIG = "BLsig", [0x28, 0xab, 0x40, 0xcf], 96;
    /// Signature whose curve is not told.
    SIG = "sig", [0x04, 0x82, 0x2b], 64;
}

impl Prefix {
    /// The base58check text of `payload` under this label.
    #[must_use]
    pub fn encode(self, payload: &[u8]) -> String {
        let mut bytes = self.bytes.to_vec();
        bytes.extend_from_slice(payload);
        bs58::encode(bytes).with_check().into_string()
    }

    /// The payload of `text`, which must carry this label.
    ///
    /// # Errors
    /// [`Base58Error`] names the text and what was expected of it.
    pub fn decode(self, text: &str) -> Result<Vec<u8>, Base58Error> {
        let bytes = bs58::decode(text)
            .with_check(None)
            .into_vec()
            .map_err(|e| self.refusal(text, &e))?;
        let Some(payload) = bytes.strip_prefix(self.bytes) else {
            let found = Self::ALL
                .iter()
                .find(|p| bytes.starts_with(p.bytes))
                .map(|p| p.text);
            return Err(Base58Error::WrongPrefix {
                text: text.into(),
                expected: self.text,
                found,
            });
        };
        if payload.len() != self.payload {
            return Err(Base58Error::WrongLength {
                text: text.into(),
                expected: self.text,
                length: self.payload,
                found: payload.len(),
            });
        }
        Ok(payload.to_vec())
    }

    fn refusal(self, text: &str, error: &bs58::decode::Error) -> Base58Error {
        use bs58::decode::Error;
        match *error {
            Error::InvalidCharacter { character, index } => Base58Error::BadCharacter {
                text: text.into(),
                expected: self.text,
                character,
                position: index,
            },
            Error::NonAsciiCharacter { index } => Base58Error::BadCharacter {
                text: text.into(),
                expected: self.text,
                character: text
                    .get(index..)
                    .and_then(|rest| rest.chars().next())
                    .unwrap_or('?'),
                position: index,
            },
            Error::NoChecksum => Base58Error::WrongLength {
                text: text.into(),
                expected: self.text,
                length: self.payload,
                found: 0,
            },
            _ => Base58Error::BadChecksum {
                text: text.into(),
                expected: self.text,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_shows_its_text_at_both_ends_of_its_range() {
        for prefix in Prefix::ALL {
            for byte in [0x00, 0xff] {
                let payload = vec![byte; prefix.payload];
                let text = prefix.encode(&payload);
                assert!(
                    text.starts_with(prefix.text),
                    "{text} should start with {}",
                    prefix.text
                );
                assert_eq!(prefix.decode(&text), Ok(payload));
            }
        }
    }

    #[test]
    fn each_fault_is_told_apart() {
        let good = "src13TanyZ7RvSULqVb2tjx1zRVw2jyJC2ToHLz1ZKg38sZ4HBYdSN";
        assert!(Prefix::COMMITMENT.decode(good).is_ok());
        let told = |text: &str| Prefix::COMMITMENT.decode(text).map_err(|e| e.to_string());
        assert_eq!(
            told("srs11XQCynQfGtuUr4c47rAoazGeTfC33R5FmimBKbnMrWwntHURX1"),
            Err("\"srs11XQCynQfGtuUr4c47rAoazGeTfC33R5FmimBKbnMrWwntHURX1\" is not a src1… identifier: it starts with srs1".into())
        );
        let typo = good.replace("YdSN", "YdSM");
        assert!(matches!(
            Prefix::COMMITMENT.decode(&typo),
            Err(Base58Error::BadChecksum { .. })
        ));
        let short = Prefix {
            payload: 20,
            ..Prefix::COMMITMENT
        }
        .encode(&[7; 20]);
        assert!(matches!(
            Prefix::COMMITMENT.decode(&short),
            Err(Base58Error::WrongLength { found: 20, .. })
        ));
        assert!(matches!(
            Prefix::COMMITMENT.decode("src1l"),
            Err(Base58Error::BadCharacter {
                character: 'l',
                position: 4,
                ..
            })
        ));
    }
}
