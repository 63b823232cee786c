//! Errors a machine can be stuck with, as the bytes the state tree holds.
//!
//! Promises: every kind round-trips; texts are cut to 128 bytes, as in the protocol. Refuses to
//! know: which step of the interpreter raised which text. Upstream rule: `wasm_pvm_errors.ml`.

use std::fmt;

use crate::codec::{DecodeError, Reader, Writer};

/// Longest text kept of an error.
pub const TEXT_LIMIT: usize = 128;

/// A text of an error, cut to [`TEXT_LIMIT`] bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(Vec<u8>);

impl Text {
    /// The first bytes of `text`.
    #[must_use]
    pub fn new(text: impl Into<Vec<u8>>) -> Self {
        let mut text = text.into();
        text.truncate(TEXT_LIMIT);
        Self(text)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(
            reader
                .dynamic("error text", TEXT_LIMIT.saturating_mul(8))?
                .to_vec(),
        ))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// An exception of the interpreter: how it prints, and its message when it carries one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// The exception as the original prints it.
    pub raw: Text,
    /// The message inside, if any.
    pub explanation: Option<Text>,
}

impl Exception {
    /// An exception of the family that carries a location and a message.
    #[must_use]
    pub fn located(message: &str) -> Self {
        let quoted = quote(message.as_bytes());
        Self {
            raw: Text::new(format!("Error(_, {quoted})")),
            explanation: Some(Text::new(message)),
        }
    }

    /// An exception that prints as `raw`, with an explanation or none.
    #[must_use]
    pub fn named(raw: &str, explanation: Option<&str>) -> Self {
        Self {
            raw: Text::new(raw),
            explanation: explanation.map(Text::new),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let raw = Text::read(reader)?;
        let tag = reader.clone();
        let explanation = match reader.u8("explanation")? {
            0 => None,
            1 => Some(Text::read(reader)?),
            other => return Err(tag.invalid("explanation", format!("unknown tag {other}"))),
        };
        Ok(Self { raw, explanation })
    }

    fn write(&self, writer: &mut Writer) {
        writer.dynamic(&self.raw.0);
        match &self.explanation {
            None => writer.u8(0),
            Some(text) => writer.u8(1).dynamic(&text.0),
        };
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ raw_exception: {}; explanation: ", self.raw)?;
        match &self.explanation {
            None => f.write_str("None }"),
            Some(text) => write!(f, "Some: {text} }}"),
        }
    }
}

/// A string literal as the original's printer writes it.
#[must_use]
pub fn quote(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in bytes {
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\r' => text.push_str("\\r"),
            8 => text.push_str("\\b"),
            b' '..=b'~' => text.push(char::from(*byte)),
            other => text.push_str(&format!("\\{other:03}")),
        }
    }
    text.push('"');
    text
}

/// Why the previous kernel could not replace the failing one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The kernel did not parse.
    Decode(Exception),
    /// An import is unknown.
    Link(Text),
    /// Instantiation failed.
    Init(Exception),
}

/// What a stuck machine is stuck with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stuck {
    /// The kernel does not parse; the previous one is tried next.
    DecodeError(Exception),
    /// An import is unknown; the previous kernel is tried next.
    LinkError(Text),
    /// Instantiation failed; the previous kernel is tried next.
    InitError(Exception),
    /// Evaluation raised something that is not a trap.
    EvalError(Exception),
    /// A step that makes no sense in the state.
    InvalidState(Text),
    /// Any other exception.
    UnknownError(Text),
    /// A period was longer than its ticks.
    TooManyTicks,
    /// Known to the encoding, never produced.
    TooManyReboots,
    /// A kernel failed and no other can take its place.
    NoFallbackKernel(Cause),
}

impl Stuck {
    /// [`Self::InvalidState`] with a text.
    #[must_use]
    pub fn invalid_state(text: &str) -> Self {
        Self::InvalidState(Text::new(text))
    }

    /// [`Self::UnknownError`] with an exception as it prints.
    #[must_use]
    pub fn unknown(raw: &str) -> Self {
        Self::UnknownError(Text::new(raw))
    }

    /// The cause to keep when no other kernel can take over; none when the error is final as is.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Self::DecodeError(error) => Some(Cause::Decode(error.clone())),
            Self::LinkError(text) => Some(Cause::Link(text.clone())),
            Self::InitError(error) => Some(Cause::Init(error.clone())),
            _ => None,
        }
    }

    /// Reads the leaf of the state tree.
    ///
    /// # Errors
    /// [`DecodeError`] on anything that is not such a leaf.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        Ok(match reader.u8("stuck error")? {
            0 => Self::DecodeError(Exception::read(reader)?),
            1 => Self::LinkError(Text::read(reader)?),
            2 => Self::InitError(Exception::read(reader)?),
            3 => Self::EvalError(Exception::read(reader)?),
            4 => Self::InvalidState(Text::read(reader)?),
            5 => Self::UnknownError(Text::read(reader)?),
            6 => Self::TooManyTicks,
            7 => Self::TooManyReboots,
            8 => {
                let start = reader.clone();
                Self::NoFallbackKernel(match reader.u8("cause")? {
                    0 => Cause::Decode(Exception::read(reader)?),
                    1 => Cause::Link(Text::read(reader)?),
                    2 => Cause::Init(Exception::read(reader)?),
                    other => return Err(start.invalid("cause", format!("unknown tag {other}"))),
                })
            }
            other => return Err(start.invalid("stuck error", format!("unknown tag {other}"))),
        })
    }

    /// Writes the leaf of the state tree.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            Self::DecodeError(error) => error.write(writer.u8(0)),
            Self::LinkError(text) => drop(writer.u8(1).dynamic(&text.0)),
            Self::InitError(error) => error.write(writer.u8(2)),
            Self::EvalError(error) => error.write(writer.u8(3)),
            Self::InvalidState(text) => drop(writer.u8(4).dynamic(&text.0)),
            Self::UnknownError(text) => drop(writer.u8(5).dynamic(&text.0)),
            Self::TooManyTicks => drop(writer.u8(6)),
            Self::TooManyReboots => drop(writer.u8(7)),
            Self::NoFallbackKernel(cause) => {
                writer.u8(8);
                match cause {
                    Cause::Decode(error) => error.write(writer.u8(0)),
                    Cause::Link(text) => drop(writer.u8(1).dynamic(&text.0)),
                    Cause::Init(error) => error.write(writer.u8(2)),
                }
            }
        }
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DecodeError(error) => write!(f, "Decode_error {error}"),
            Self::LinkError(text) => write!(f, "Link_error {text}"),
            Self::InitError(error) => write!(f, "Init_error {error}"),
            Self::EvalError(error) => write!(f, "Eval_error {error}"),
            Self::InvalidState(text) => write!(f, "Invalid_state ({text})"),
            Self::UnknownError(text) => write!(f, "Unknown_error ({text})"),
            Self::TooManyTicks => f.write_str("Too_many_ticks"),
            Self::TooManyReboots => f.write_str("Too_many_reboots"),
            Self::NoFallbackKernel(Cause::Decode(error)) => {
                write!(f, "No_fallback_kernel (Decode_cause {error})")
            }
            Self::NoFallbackKernel(Cause::Link(text)) => {
                write!(f, "No_fallback_kernel (Link_cause {text})")
            }
            Self::NoFallbackKernel(Cause::Init(error)) => {
                write!(f, "No_fallback_kernel (Init_cause {error})")
            }
        }
    }
}
