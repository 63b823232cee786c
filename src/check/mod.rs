//! Replays vector files through the product's own code and reports the first difference.
//!
//! Promises: a file is equal only if every line of it was compared; an unknown format is an error,
//! never a pass. Refuses to know: where files come from. `watchtower check` and the golden tests
//! call the same [`run`], so what the tests prove is what an operator can repeat.

mod deltas;
mod dissections;
mod facts;
mod games;
mod host_calls;
mod inbox;
mod layout;
mod leaves;
mod levels;
mod machine;
mod outputs;
mod proofs;
mod protocol;
mod regressions;
mod rollup;
mod scripts;
mod source;
mod states;
mod ticks;
mod traces;
mod tree;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

pub use scripts::LeftOut;
pub use source::{Lines, SourceError};

/// A file was compared whole and is equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The format it was recognised as.
    pub format: &'static str,
    /// Number of facts compared.
    pub compared: usize,
    /// What the reference deliberately does otherwise, in scripts of the WebAssembly standard.
    pub left_out: BTreeMap<LeftOut, usize>,
}

/// The first place where a file and the program differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Line in the file, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What was compared there, such as `hash at tick 17` or a path in the tree.
    pub what: String,
    /// What the file says.
    pub expected: String,
    /// What the program computed.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}: {}\n  expected {}\n  found    {}",
            self.line, self.what, self.expected, self.found
        )
    }
}

/// Why a file did not check.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The file cannot be read as lines.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// No checker knows this format.
    #[error("{0}: unknown vector format")]
    UnknownFormat(PathBuf),
    /// A line does not have the form of its format.
    #[error("line {line}: {problem}")]
    Malformed {
        /// Line in the file, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The program and the file disagree.
    #[error("{0}")]
    Different(Difference),
}

impl From<Difference> for CheckError {
    fn from(difference: Difference) -> Self {
        Self::Different(difference)
    }
}

/// Compares one fact; the helper every format uses.
///
/// # Errors
/// [`CheckError::Different`] when the two values are not equal.
pub fn same<T: PartialEq + fmt::Display>(
    line: usize,
    what: impl FnOnce() -> String,
    expected: &T,
    found: &T,
) -> Result<(), CheckError> {
    if expected == found {
        return Ok(());
    }
    Err(Difference {
        line,
        what: what(),
        expected: expected.to_string(),
        found: found.to_string(),
    }
    .into())
}

/// One vector format: how to recognise it and how to replay it.
struct Format {
    name: &'static str,
    /// Decides by path and first line (already decompressed).
    recognises: fn(&Path, &str) -> bool,
    /// Compares all lines and returns the number of facts compared.
    replay: fn(&Path, Lines) -> Result<usize, CheckError>,
}

/// Every format, most specific first. One line each: owners add theirs here.
const FORMATS: &[Format] = &[
    tree::TREES,
    tree::DUMP,
    proofs::FORMAT,
    tree::PROOFS,
    dissections::FORMAT,
    traces::FORMAT,
    host_calls::FORMAT,
    levels::FORMAT,
    states::INITIAL,
    states::STUCK,
    games::FORMAT,
    protocol::COMMITMENTS,
    protocol::OPERATIONS,
    protocol::MISC,
    outputs::FORMAT,
    inbox::MESSAGES,
    inbox::PAYLOADS,
    inbox::LEVELS,
    regressions::FORMAT,
    ticks::FORMAT,
    deltas::FORMAT,
    layout::FORMAT,
];

/// Replays one vector file.
///
/// # Errors
/// [`CheckError`] when the file is unreadable, of no known format, malformed, or different.
pub fn run(path: &Path) -> Result<Checked, CheckError> {
    let lines = Lines::open(path)?;
    if scripts::recognises(lines.text()) {
        let scripts::Script { compared, left_out } = scripts::replay(&lines)?;
        return Ok(Checked {
            format: scripts::NAME,
            compared,
            left_out,
        });
    }
    let first = lines.first().unwrap_or_default();
    let format = FORMATS
        .iter()
        .find(|format| (format.recognises)(path, first))
        .ok_or_else(|| CheckError::UnknownFormat(path.to_owned()))?;
    let compared = (format.replay)(path, lines)?;
    Ok(Checked {
        format: format.name,
        compared,
        left_out: BTreeMap::new(),
    })
}
