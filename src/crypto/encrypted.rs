//! Secret keys behind a passphrase, in the text form that clients of the field share.
//!
//! Promises: `edesk…`, `spesk…`, `p2esk…` and `BLesk…` open with the passphrase that closed them and
//! with no other. Refuses to know: where passphrases and files come from. Rule: `encrypted.ml`:
//! an 8-byte salt, then the secret in a secretbox (XSalsa20-Poly1305, zero nonce) under PBKDF2 with
//! HMAC-SHA-512 and 32,768 rounds; the zero nonce is sound because each salt makes a key of its own.

use std::fmt;
use std::str::FromStr;

use crypto_secretbox::aead::{AeadInPlace, KeyInit};
use crypto_secretbox::{Nonce, Tag, XSalsa20Poly1305};
use zeroize::Zeroizing;

use super::keys::payload;
use super::{Curve, Prefix, SecretKey, SecretKeyError};

const SALT: usize = 8;
const TAG: usize = 16;
const SECRET: usize = 32;
const ROUNDS: u32 = 32_768;

/// A secret key that only its passphrase opens. Safe to show, but better not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptedKey {
    curve: Curve,
    salt: [u8; SALT],
    tag: [u8; TAG],
    sealed: [u8; SECRET],
}

/// Why an encrypted key is of no use. Never shows the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncryptedKeyError {
    /// The text is of no known kind, or damaged.
    #[error("not an encrypted secret key: expected edesk…, spesk…, p2esk… or BLesk…, undamaged")]
    Text,
    /// The passphrase is another one, or the text was changed.
    #[error("the passphrase does not open the key")]
    Passphrase,
    /// What was inside is no key.
    #[error(transparent)]
    Content(#[from] SecretKeyError),
}

/// The label of a curve's encrypted keys.
const fn label(curve: Curve) -> Prefix {
    match curve {
        Curve::Ed25519 => Prefix::EDESK,
        Curve::Secp256k1 => Prefix::SPESK,
        Curve::P256 => Prefix::P2ESK,
        Curve::Bls => Prefix::BLESK,
    }
}

/// The box of a passphrase and a salt.
fn opener(passphrase: &[u8], salt: [u8; SALT]) -> XSalsa20Poly1305 {
    let mut key = Zeroizing::new([0; SECRET]);
    pbkdf2::pbkdf2_hmac::<sha2::Sha512>(passphrase, &salt, ROUNDS, key.as_mut_slice());
    XSalsa20Poly1305::new((&*key).into())
}

impl EncryptedKey {
    /// Puts `key` behind `passphrase`. `salt` must be drawn at random for each key.
    ///
    /// # Errors
    /// [`EncryptedKeyError::Text`] when the cipher refuses, which it does for no 32-byte secret.
    pub fn seal(
        key: &SecretKey,
        passphrase: &[u8],
        salt: [u8; SALT],
    ) -> Result<Self, EncryptedKeyError> {
        let mut sealed = *key.secret();
        let tag = opener(passphrase, salt)
            .encrypt_in_place_detached(&Nonce::default(), b"", &mut sealed)
            .map_err(|_| EncryptedKeyError::Text)?;
        Ok(Self {
            curve: key.curve(),
            salt,
            tag: tag.into(),
            sealed,
        })
    }

    /// Its curve.
    #[must_use]
    pub const fn curve(&self) -> Curve {
        self.curve
    }

    /// The key inside.
    ///
    /// # Errors
    /// [`EncryptedKeyError`] when the passphrase is wrong, or no key is inside.
    pub fn open(&self, passphrase: &[u8]) -> Result<SecretKey, EncryptedKeyError> {
        let mut secret = Zeroizing::new(self.sealed);
        opener(passphrase, self.salt)
            .decrypt_in_place_detached(
                &Nonce::default(),
                b"",
                secret.as_mut_slice(),
                &Tag::from(self.tag),
            )
            .map_err(|_| EncryptedKeyError::Passphrase)?;
        Ok(SecretKey::from_bytes(self.curve, &secret)?)
    }
}

impl fmt::Display for EncryptedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.salt[..], &self.tag, &self.sealed].concat();
        f.write_str(&label(self.curve).encode(&bytes))
    }
}

impl fmt::Debug for EncryptedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptedKey({})", self.curve.name())
    }
}

impl FromStr for EncryptedKey {
    type Err = EncryptedKeyError;

    fn from_str(text: &str) -> Result<Self, EncryptedKeyError> {
        let text = text.trim();
        let text = text.strip_prefix("encrypted:").unwrap_or(text);
        let curve = match text.get(..5) {
            Some("edesk") => Curve::Ed25519,
            Some("spesk") => Curve::Secp256k1,
            Some("p2esk") => Curve::P256,
            Some("BLesk") => Curve::Bls,
            _ => return Err(EncryptedKeyError::Text),
        };
        let bytes: [u8; SALT + TAG + SECRET] =
            payload(label(curve), text).map_err(|_| EncryptedKeyError::Text)?;
        let (salt, rest) = bytes.split_at(SALT);
        let (tag, sealed) = rest.split_at(TAG);
        let part = |_| EncryptedKeyError::Text;
        Ok(Self {
            curve,
            salt: salt.try_into().map_err(part)?,
            tag: tag.try_into().map_err(part)?,
            sealed: sealed.try_into().map_err(part)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published with the reference client: one key of each curve, each behind the passphrase
    /// that its prompt is given at that place.
    const PUBLISHED: [(&str, &str, &str); 4] = [
        (
            "edsk3kMNLNdzLPbbABASDLARft8JRZ3Wpwibn8SMAb4KmuWSMJmAFd",
            "edesk1oGXxunJ5FTGpQ6o1xdop8VGKdT36Fj7LwWF9HLjzEqaCC4V6tdRVN1jaeJTfCHS8bYf7U2YhMK2yW6jSUy",
            "ahThie5H",
        ),
        (
            "spsk24attf9uuQ7PUKFHxTm6E3TMqB6SPkFiMbXPBur7JNrvupW2xg",
            "spesk2CXQHDbzrcNatRzmg83Dto6kX6BWwpP2zGs4Zks9LDsXzaX6mAYRj5ZrrdgyZQap4DS9YRRLNSpaVC2TSsk",
            "ahThie5H",
        ),
        (
            "p2sk2YQcwF5h7qgRztocEMrfizUwZaM41f4v7zWneiig2Y5AxajqYC",
            "p2esk2JMFpR9yaSpgsaKQYLqFnv16t4gowJ4cgjj7D7iMfoaJz2vZuH7Tdi11MrX6FC2yhfs2nvy5VRxAvzH1STE",
            "ahThie5H",
        ),
        (
            "BLsk1o1S8oAG76r3o3aJr1gbVhNdDnAMsdy1yMfwHLWwUHfAeyEXHV",
            "BLesk1ExnCaFxVcGFvKFQrPs2AADo2KpukB6bhA8SLASRzZ58uqvSNUNyzdNdya5NPgE1BAFwcN3wtyFv76r1GJ9",
            "ahThie5H",
        ),
    ];

    #[test]
    fn published_keys_open_and_close_to_the_same_text() {
        for (secret, text, passphrase) in PUBLISHED {
            let encrypted: EncryptedKey = text.parse().unwrap();
            let secret: SecretKey = secret.parse().unwrap();
            let opened = encrypted.open(passphrase.as_bytes()).unwrap();
            assert_eq!(opened.secret(), secret.secret(), "{text}");
            let again = EncryptedKey::seal(&secret, passphrase.as_bytes(), encrypted.salt);
            assert_eq!(again.unwrap().to_string(), text);
            let wrong = encrypted.open(b"another").map(|_| ());
            assert_eq!(wrong, Err(EncryptedKeyError::Passphrase));
        }
    }

    #[test]
    fn a_changed_text_does_not_open_and_is_not_shown() {
        let (_, text, passphrase) = PUBLISHED[0];
        let mut key: EncryptedKey = text.parse().unwrap();
        key.sealed[7] ^= 1;
        let opened = key.open(passphrase.as_bytes()).map(|_| ());
        assert_eq!(opened, Err(EncryptedKeyError::Passphrase));
        let damaged = text.replace("jSUy", "jSUz").parse::<EncryptedKey>();
        assert_eq!(damaged, Err(EncryptedKeyError::Text));
        assert_eq!(format!("{key:?}"), "EncryptedKey(ed25519)");
    }
}
