//! Passphrases: from a file or typed without echo, never from an argument or the environment.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// A passphrase. Leaves memory when dropped; never shown.
pub struct Passphrase(Zeroizing<String>);

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// The file cannot be read.
    #[error("passphrase file {path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// Others can read the file.
    #[error("passphrase file {path} can be read by others (mode {mode:03o}): chmod 600 {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// There is nobody to ask.
    #[error("no terminal to ask for the passphrase on: {0}; name a passphrase file instead")]
    NoTerminal(String),
    /// What was typed twice differs.
    #[error("the two passphrases typed differ")]
    Differ,
}

impl Passphrase {
    /// The passphrase with this text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The first line of a file that only its owner can read.
    ///
    /// # Errors
    /// [`PassphraseError`] names the file.
    pub fn from_file(path: &Path) -> Result<Self, PassphraseError> {
        let wrong = |error: std::io::Error| PassphraseError::File {
            path: path.to_owned(),
            problem: error.to_string(),
        };
        let mode = others_mode(&std::fs::metadata(path).map_err(wrong)?);
        if let Some(mode) = mode {
            return Err(PassphraseError::Open {
                path: path.to_owned(),
                mode,
            });
        }
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(wrong)?);
        let line = text.split(['\n', '\r']).next().unwrap_or_default();
        Ok(Self::new(line.to_owned()))
    }

    /// Asks on the terminal, without echo.
    ///
    /// # Errors
    /// [`PassphraseError::NoTerminal`].
    pub fn ask(prompt: &str) -> Result<Self, PassphraseError> {
        rpassword::prompt_password(format!("{prompt}: "))
            .map(Self::new)
            .map_err(|error| PassphraseError::NoTerminal(error.to_string()))
    }

    /// Asks twice, for one that will be needed again.
    ///
    /// # Errors
    /// [`PassphraseError`] when there is no terminal, or the two differ.
    pub fn choose(prompt: &str) -> Result<Self, PassphraseError> {
        let first = Self::ask(prompt)?;
        let second = Self::ask("once more")?;
        if *first.0 == *second.0 {
            Ok(first)
        } else {
            Err(PassphraseError::Differ)
        }
    }

    /// Its bytes, for the key derivation.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Its text: a prompt without echo is also how a secret key is typed in.
    #[must_use]
    pub fn as_text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase")
    }
}

/// The mode of a file that others than its owner can use, when they can.
pub(super) fn others_mode(metadata: &std::fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}
