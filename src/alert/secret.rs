//! Passwords and tokens: read from files, shown to nobody.

use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

use super::AlertError;

/// A text that must not be seen; it leaves memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text that is known already.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Reads a file; white space around the secret does not belong to it.
    ///
    /// # Errors
    /// [`AlertError::File`] when it cannot be read or is empty.
    pub fn from_file(path: &Path) -> Result<Self, AlertError> {
        let wrong = |problem: String| AlertError::File {
            path: path.to_owned(),
            problem,
        };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let text = Zeroizing::new(text);
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(wrong("a secret is expected here, the file is empty".into()));
        }
        Ok(Self::new(trimmed))
    }

    /// The text itself, for the moment of use.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
