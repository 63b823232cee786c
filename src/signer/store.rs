//! Local keys, encrypted at rest, in one file that only its owner can read.
//!
//! Promises: secrets are on disk only behind a passphrase; a crash while writing leaves the old
//! file; a file that others can read is refused. Form: a JSON list of names and values, the
//! values written as clients of the field write them (`encrypted:edesk…`).

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::passphrase::{Passphrase, others_mode};
use crate::crypto::{Curve, EncryptedKey, EncryptedKeyError, PublicKey, SecretKey};
use crate::protocol::PublicKeyHash;

/// Why the key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refuses.
    #[error("key file {path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// Others can read the file.
    #[error("key file {path} can be read by others (mode {mode:03o}): chmod 600 {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file is not what this program writes.
    #[error("key file {path} is damaged: {problem}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The name is taken.
    #[error("a key named {0:?} is in the key file already")]
    Taken(String),
    /// The key is there under another name.
    #[error("{account} is in the key file already, named {name:?}")]
    Known {
        /// The account.
        account: PublicKeyHash,
        /// Its name.
        name: String,
    },
    /// No such key.
    #[error("no key {wanted:?} in {path}: {}", listed(.names))]
    Absent {
        /// What was asked for.
        wanted: String,
        /// The file.
        path: PathBuf,
        /// The names there are.
        names: Vec<String>,
    },
    /// Several keys and no choice.
    #[error("{path} holds several keys: say which ({})", .names.join(", "))]
    Several {
        /// The file.
        path: PathBuf,
        /// The names there are.
        names: Vec<String>,
    },
    /// A name that would confuse people.
    #[error("{0:?} cannot be the name of a key: use letters, digits, '-' and '_'")]
    Name(String),
    /// The passphrase does not open it.
    #[error("key {name:?}: {error}")]
    Closed {
        /// The key.
        name: String,
        /// Why.
        error: EncryptedKeyError,
    },
    /// What opened is another key than the file says.
    #[error("key {name:?} is not that of {account}, as the file says")]
    Other {
        /// The key.
        name: String,
        /// The account in the file.
        account: PublicKeyHash,
    },
    /// The system has no randomness to give.
    #[error("cannot draw random bytes: {0}")]
    Random(String),
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "it holds none; make one with `watchtower keys generate` or `keys import`".into()
    } else {
        format!("it holds {}", names.join(", "))
    }
}

/// A key in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What people call it.
    pub name: String,
    /// Its account.
    pub account: PublicKeyHash,
    /// Its public half.
    #[serde(with = "as_text")]
    pub public_key: PublicKey,
    /// The secret, behind its passphrase.
    #[serde(with = "encrypted_text")]
    pub secret: EncryptedKey,
}

mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<T: Display, S: Serializer>(value: &T, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(d: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

mod encrypted_text {
    use serde::Serializer;

    pub(super) use super::as_text::deserialize;
    use crate::crypto::EncryptedKey;

    pub(super) fn serialize<S: Serializer>(key: &EncryptedKey, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("encrypted:{key}"))
    }
}

/// The key file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStore {
    path: PathBuf,
    entries: Vec<Entry>,
}

impl KeyStore {
    /// Name of the file inside a data directory.
    pub const FILE: &'static str = "keys.json";

    /// The keys of a file; none when it is not there.
    ///
    /// # Errors
    /// [`StoreError`] when it is damaged, or others can read it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let wrong = |problem: std::io::Error| StoreError::File {
            path: path.to_owned(),
            problem: problem.to_string(),
        };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self {
                    path: path.to_owned(),
                    entries: Vec::new(),
                });
            }
            Err(error) => return Err(wrong(error)),
        };
        if let Some(mode) = others_mode(&std::fs::metadata(path).map_err(wrong)?) {
            return Err(StoreError::Open {
                path: path.to_owned(),
                mode,
            });
        }
        let entries = serde_json::from_slice(&bytes).map_err(|error| StoreError::Damaged {
            path: path.to_owned(),
            problem: error.to_string(),
        })?;
        Ok(Self {
            path: path.to_owned(),
            entries,
        })
    }

    /// The keys, in the order they came.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The key of this name or account; the only one when none is named.
    ///
    /// # Errors
    /// [`StoreError`] when there is none, or several and no choice.
    pub fn find(&self, wanted: Option<&str>) -> Result<&Entry, StoreError> {
        let names = || {
            self.entries
                .iter()
                .map(|entry| entry.name.clone())
                .collect()
        };
        match (wanted, self.entries.as_slice()) {
            (None, [only]) => Ok(only),
            (None, [_, _, ..]) => Err(StoreError::Several {
                path: self.path.clone(),
                names: names(),
            }),
            (wanted, entries) => entries
                .iter()
                .find(|entry| {
                    wanted.is_some_and(|wanted| {
                        entry.name == wanted || entry.account.to_string() == wanted
                    })
                })
                .ok_or_else(|| StoreError::Absent {
                    wanted: wanted.unwrap_or_default().into(),
                    path: self.path.clone(),
                    names: names(),
                }),
        }
    }

    /// Adds a key behind a passphrase and writes the file.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is changed then.
    pub fn add(
        &mut self,
        name: &str,
        key: &SecretKey,
        passphrase: &Passphrase,
    ) -> Result<&Entry, StoreError> {
        let mut salt = [0; 8];
        random(&mut salt)?;
        let sealed = EncryptedKey::seal(key, passphrase.as_bytes(), salt);
        let secret = sealed.map_err(|error| StoreError::Closed {
            name: name.into(),
            error,
        })?;
        let entry = Entry {
            name: name.to_owned(),
            account: PublicKeyHash::of_key(key.public()),
            public_key: *key.public(),
            secret,
        };
        self.check_new(&entry)?;
        let mut entries = self.entries.clone();
        entries.push(entry);
        write(&self.path, &entries)?;
        self.entries = entries;
        self.find(Some(name))
    }

    fn check_new(&self, entry: &Entry) -> Result<(), StoreError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if entry.name.is_empty() || entry.name.len() > 64 || !entry.name.chars().all(allowed) {
            return Err(StoreError::Name(entry.name.clone()));
        }
        for known in &self.entries {
            if known.name == entry.name {
                return Err(StoreError::Taken(entry.name.clone()));
            }
            if known.account == entry.account {
                return Err(StoreError::Known {
                    account: entry.account,
                    name: known.name.clone(),
                });
            }
        }
        Ok(())
    }
}

impl Entry {
    /// The secret, when the passphrase opens it and it is the key that the file says.
    ///
    /// # Errors
    /// [`StoreError`] names the key.
    pub fn unlock(&self, passphrase: &Passphrase) -> Result<SecretKey, StoreError> {
        let opened = self.secret.open(passphrase.as_bytes());
        let key = opened.map_err(|error| StoreError::Closed {
            name: self.name.clone(),
            error,
        })?;
        let is_said =
            *key.public() == self.public_key && PublicKeyHash::of_key(key.public()) == self.account;
        if is_said {
            Ok(key)
        } else {
            Err(StoreError::Other {
                name: self.name.clone(),
                account: self.account,
            })
        }
    }
}

fn random(bytes: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(bytes).map_err(|error| StoreError::Random(error.to_string()))
}

/// A new secret key of a curve, drawn at random.
///
/// # Errors
/// [`StoreError::Random`] when the system has no randomness.
pub fn draw(curve: Curve) -> Result<SecretKey, StoreError> {
    let mut bytes = Zeroizing::new([0; 32]);
    loop {
        random(bytes.as_mut_slice())?;
        // Out of range for the curve once in very many draws, or in one of two for BLS.
        if let Ok(key) = SecretKey::from_bytes(curve, &bytes) {
            return Ok(key);
        }
    }
}

/// Writes beside the file first, so that a crash leaves one of the two whole.
fn write(path: &Path, entries: &[Entry]) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt;
    let wrong = |problem: String| StoreError::File {
        path: path.to_owned(),
        problem,
    };
    let mut text = serde_json::to_string_pretty(entries).map_err(|e| wrong(e.to_string()))?;
    text.push('\n');
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| wrong(e.to_string()))?;
    }
    let beside = path.with_extension("new");
    let written = || -> std::io::Result<()> {
        // Left behind by a crash: its mode may not be ours.
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    written().map_err(|e| wrong(e.to_string()))
}
