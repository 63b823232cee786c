//! Vector files as numbered lines, decompressed when their first bytes say so.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

/// What a compressed file begins with, whatever its name.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A vector file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {error}")]
pub struct SourceError {
    path: PathBuf,
    #[source]
    error: std::io::Error,
}

/// The text of a vector file.
#[derive(Debug)]
pub struct Lines {
    text: String,
}

impl Lines {
    /// Reads the whole file.
    ///
    /// # Errors
    /// [`SourceError`] when it is missing, damaged, or not text. A binary file (a kernel, a
    /// message) gives its bytes as hexadecimal text, so that every file has lines.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let fail = |error| SourceError {
            path: path.to_owned(),
            error,
        };
        let mut bytes = std::fs::read(path).map_err(fail)?;
        if bytes.starts_with(&GZIP) {
            let mut plain = Vec::new();
            MultiGzDecoder::new(bytes.as_slice())
                .read_to_end(&mut plain)
                .map_err(fail)?;
            bytes = plain;
        }
        let text = String::from_utf8(bytes).unwrap_or_else(|error| hex::encode(error.as_bytes()));
        Ok(Self { text })
    }

    /// The first line, if there is one.
    #[must_use]
    pub fn first(&self) -> Option<&str> {
        self.numbered().next().map(|(_, line)| line)
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Lines with their numbers from 1, empty ones left out.
    pub fn numbered(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..)
            .zip(self.text.lines())
            .filter(|(_, line)| !line.trim().is_empty())
    }
}
