//! Keys of the durable storage: the syntax kernels may use, and the keys the machine itself uses.
//!
//! Promises: a [`Key`] is valid; whether it is read-only is known by type of its first step.
//! Upstream rule: `durable.ml`, `constants.ml`.

use std::fmt;

/// Longest key, its leading `/` included.
pub(crate) const MAX_LENGTH: usize = 240;

/// A valid key: empty (the root), or steps each behind a `/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key(String);

/// A text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a key: steps of letters, digits, '.', '-', '_', each behind a '/'")]
pub struct KeyError(pub String);

impl Key {
    /// The kernel that runs next.
    pub const KERNEL: StaticKey = StaticKey("/kernel/boot.wasm");
    /// The last kernel that passed instantiation.
    pub const FALLBACK: StaticKey = StaticKey("/readonly/kernel/boot.wasm");
    /// Present when a reboot is asked for.
    pub const REBOOT: StaticKey = StaticKey("/kernel/env/reboot");
    /// Present when a kernel asks for the second storage.
    pub const ACTIVATE_NDS: StaticKey = StaticKey("/kernel/env/activate_nds");
    /// Version of the machine.
    pub const VERSION: StaticKey = StaticKey("/readonly/wasm_version");
    /// Present when the last run trapped.
    pub const STUCK: StaticKey = StaticKey("/readonly/kernel/env/stuck");
    /// Present when the machine fell back to the previous kernel.
    pub const UPGRADE_ERROR: StaticKey = StaticKey("/readonly/kernel/env/upgrade_error");
    /// Present when the last batch was cut by the reboot limit.
    pub const TOO_MANY_REBOOT: StaticKey = StaticKey("/readonly/kernel/env/too_many_reboot");
    /// Remaining reboots, four bytes, little-endian.
    pub const REBOOT_COUNTER: StaticKey = StaticKey("/readonly/kernel/env/reboot_counter");

    /// Parses the bytes a kernel passes; no bytes at all name the root.
    ///
    /// # Errors
    /// [`KeyError`] when they are not a key.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        let bad = || KeyError(String::from_utf8_lossy(bytes).into_owned());
        if bytes.len() > MAX_LENGTH {
            return Err(bad());
        }
        let Some((first, steps)) = bytes.split_first() else {
            return Ok(Self(String::new()));
        };
        let valid = |step: &[u8]| {
            !step.is_empty()
                && step
                    .iter()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        };
        if *first != b'/' || !steps.split(|byte| *byte == b'/').all(valid) {
            return Err(bad());
        }
        String::from_utf8(bytes.to_vec())
            .map(Self)
            .map_err(|_| bad())
    }

    /// Whether kernels may not change it.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.steps().next().is_none_or(|first| first == "readonly")
    }

    /// Its steps.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').skip(1)
    }

    /// Its steps and `tail` behind them.
    pub(crate) fn path<'a>(&'a self, tail: &[&'a str]) -> Vec<&'a str> {
        self.steps().chain(tail.iter().copied()).collect()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::parse(text.as_bytes())
    }
}

/// A key known when this program was written.
#[derive(Debug, Clone, Copy)]
pub struct StaticKey(&'static str);

impl StaticKey {
    /// The key.
    #[must_use]
    pub fn key(self) -> Key {
        Key(self.0.to_owned())
    }
}
