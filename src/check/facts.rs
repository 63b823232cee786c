//! Small tools that several formats share: typed lines, hexadecimal, error texts.

use std::str::FromStr;

use serde::Deserialize;

use super::CheckError;

/// A malformed line, for any reason.
pub(super) fn malformed(line: usize, problem: impl ToString) -> CheckError {
    CheckError::Malformed {
        line,
        problem: problem.to_string(),
    }
}

/// Bytes given as hexadecimal text.
pub(super) fn bytes(line: usize, text: &str) -> Result<Vec<u8>, CheckError> {
    hex::decode(text).map_err(|error| malformed(line, error))
}

/// A line as its type.
pub(super) fn parsed<'a, T: Deserialize<'a>>(line: usize, text: &'a str) -> Result<T, CheckError> {
    serde_json::from_str(text).map_err(|error| malformed(line, error))
}

/// What the product says of bytes that it must understand.
pub(super) fn understood<T, E: ToString>(
    line: usize,
    what: &str,
    result: Result<T, E>,
) -> Result<T, CheckError> {
    result.map_err(|error| {
        CheckError::Different(super::Difference {
            line,
            what: what.into(),
            expected: "something the program understands".into(),
            found: error.to_string(),
        })
    })
}

/// A number, also as text where it may be too large for readers of JSON.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Number {
    Text(String),
    Plain(i64),
}

impl Number {
    /// The number as the type that is wanted.
    pub(super) fn get<T: FromStr<Err: ToString>>(&self, line: usize) -> Result<T, CheckError> {
        let parsed = match self {
            Self::Text(text) => text.parse(),
            Self::Plain(number) => number.to_string().parse(),
        };
        parsed.map_err(|error: T::Err| malformed(line, error))
    }
}
