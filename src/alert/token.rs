//! Signed links: whoever holds one may acknowledge that one alert, and nothing else.
//!
//! A token is the alert's number, the time it ends, and an HMAC-SHA256 over both under a key that
//! only this data directory has. Nothing about it is guessable and nothing is stored.

use std::io::{Read as _, Write as _};
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::AlertError;

type HmacSha256 = Hmac<Sha256>;

/// How long a link works, in milliseconds.
const LIFE: i64 = 14 * 24 * 3_600_000;
/// Separates these signatures from any other use of the key.
const PURPOSE: &[u8] = b"watchtower acknowledge v1";

/// Makes and checks tokens.
#[derive(Clone)]
pub struct Tokens(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

/// HMAC-SHA256, as the signature header of webhooks uses it too.
pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> Option<HmacSha256> {
    // Refused for no length of key; the type cannot say so.
    let mut mac = HmacSha256::new_from_slice(key).ok()?;
    for part in parts {
        mac.update(part);
    }
    Some(mac)
}

impl Tokens {
    /// With a given key.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    /// The key kept in a file, made from the machine's randomness the first time.
    ///
    /// # Errors
    /// [`AlertError::Data`].
    pub fn kept(path: &Path) -> Result<Self, AlertError> {
        let wrong = |error: std::io::Error| AlertError::Data {
            path: path.to_owned(),
            problem: error.to_string(),
        };
        match std::fs::read(path) {
            Ok(bytes) => {
                let bytes = Zeroizing::new(bytes);
                let key = <[u8; 32]>::try_from(bytes.as_slice());
                key.map(Self::new).map_err(|_| AlertError::Data {
                    path: path.to_owned(),
                    problem: "32 bytes are expected; remove it, and old links stop working".into(),
                })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut key = [0; 32];
                let mut source = std::fs::File::open("/dev/urandom").map_err(wrong)?;
                source.read_exact(&mut key).map_err(wrong)?;
                let mut options = std::fs::OpenOptions::new();
                options.write(true).create_new(true);
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                let mut file = options.open(path).map_err(wrong)?;
                file.write_all(&key).map_err(wrong)?;
                file.sync_all().map_err(wrong)?;
                Ok(Self::new(key))
            }
            Err(error) => Err(wrong(error)),
        }
    }

    /// A token for an alert.
    #[must_use]
    pub fn issue(&self, alert: u64, now: i64) -> Option<String> {
        let until = now.saturating_add(LIFE);
        let mac = self.mac(alert, until)?;
        let tag = mac.finalize().into_bytes();
        Some(format!("{alert}.{until}.{}", hex::encode(tag)))
    }

    /// The alert a token is for, if it is one of ours and not too old.
    #[must_use]
    pub fn check(&self, token: &str, now: i64) -> Option<u64> {
        let mut parts = token.split('.');
        let alert: u64 = parts.next()?.parse().ok()?;
        let until: i64 = parts.next()?.parse().ok()?;
        let tag = hex::decode(parts.next()?).ok()?;
        if parts.next().is_some() || until < now {
            return None;
        }
        self.mac(alert, until)?.verify_slice(&tag).ok()?;
        Some(alert)
    }

    fn mac(&self, alert: u64, until: i64) -> Option<HmacSha256> {
        let (alert, until) = (alert.to_be_bytes(), until.to_be_bytes());
        hmac(self.0.as_slice(), &[PURPOSE, &alert, &until])
    }
}
