//! Destinations of transactions and what contracts are called with.

use std::fmt;
use std::str::FromStr;

use super::Form;
use crate::codec::{DecodeError, Micheline, Reader, Writer};
use crate::protocol::{ContractHash, PublicKeyHash};

/// An account or an originated contract.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Contract {
    /// The account behind a key.
    Implicit(PublicKeyHash),
    /// A contract with code.
    Originated(ContractHash),
}

/// A text is neither an account nor a contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a contract: expected KT1… or tz1… to tz5…")]
pub struct ContractTextError(pub String);

impl Contract {
    /// Appends its bytes.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            Self::Implicit(account) => account.write(writer.u8(0)),
            Self::Originated(contract) => {
                contract.write(writer.u8(1));
                writer.u8(0);
            }
        }
    }

    /// Reads its bytes.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        match reader.u8("contract")? {
            0 => PublicKeyHash::read(reader).map(Self::Implicit),
            1 => {
                let contract = ContractHash::read(reader)?;
                match reader.u8("contract padding")? {
                    0 => Ok(Self::Originated(contract)),
                    other => Err(start.invalid("contract", format!("padding byte is {other}"))),
                }
            }
            other => Err(start.invalid("contract", format!("unknown tag {other}"))),
        }
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Implicit(account) => account.fmt(f),
            Self::Originated(contract) => contract.fmt(f),
        }
    }
}

impl fmt::Debug for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Contract {
    type Err = ContractTextError;

    fn from_str(text: &str) -> Result<Self, ContractTextError> {
        let account = text.parse().map(Self::Implicit);
        account
            .or_else(|_| text.parse().map(Self::Originated))
            .map_err(|_| ContractTextError(text.into()))
    }
}

/// What a contract is called with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// Which of its doors.
    pub entrypoint: Entrypoint,
    /// The argument.
    pub value: Micheline,
}

impl Parameters {
    /// Whether they are those of a transaction without any. The protocol then forgets that they were
    /// there: what it shows, prices and expects to be signed has none (`transaction_case` of
    /// `operation_repr.ml`).
    #[must_use]
    pub fn say_nothing(&self) -> bool {
        self.entrypoint == Entrypoint::default() && self.value.is_unit()
    }
}

/// Name of an entrypoint: a text of at most 31 bytes, whatever they are; none is `default`
/// (`of_string_lax` of `entrypoint_repr.ml`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entrypoint(String);

/// A text is not the name of an entrypoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an entrypoint: names have at most 31 bytes")]
pub struct EntrypointError(pub String);

/// Names with a tag of their own; the last four since Oxford.
const SHORT: [&str; 10] = [
    "default",
    "root",
    "do",
    "set_delegate",
    "remove_delegate",
    "deposit",
    "stake",
    "unstake",
    "finalize_unstake",
    "set_delegate_parameters",
];
const BEFORE_STAKING: usize = 6;
const NAMED: u8 = 0xff;
const MAX_NAME: usize = 31;

impl Default for Entrypoint {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl Entrypoint {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    fn short_names(form: Form) -> &'static [&'static str] {
        if form.has_staking_entrypoints() {
            &SHORT
        } else {
            SHORT.get(..BEFORE_STAKING).unwrap_or_default()
        }
    }

    pub(super) fn write(&self, form: Form, writer: &mut Writer) {
        let mut short = Self::short_names(form).iter();
        match short
            .position(|name| *name == self.0)
            .and_then(|tag| u8::try_from(tag).ok())
        {
            Some(tag) => writer.u8(tag),
            // At most 31 bytes by construction.
            None => writer
                .u8(NAMED)
                .u8(self.0.len() as u8)
                .raw(self.0.as_bytes()),
        };
    }

    pub(super) fn read(form: Form, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        let tag = reader.u8("entrypoint")?;
        let short = Self::short_names(form);
        if let Some(name) = short.get(usize::from(tag)) {
            return Ok(Self((*name).into()));
        }
        if tag != NAMED {
            return Err(start.invalid("entrypoint", format!("unknown tag {tag}")));
        }
        let length = reader.u8("entrypoint")?;
        let bytes = reader.raw("entrypoint", usize::from(length))?;
        Self::of_bytes(bytes).map_err(|error| start.invalid("entrypoint", error.to_string()))
    }

    /// The name that bytes spell.
    ///
    /// # Errors
    /// [`EntrypointError`] when they are too many, or no text.
    pub(in crate::protocol) fn of_bytes(bytes: &[u8]) -> Result<Self, EntrypointError> {
        match std::str::from_utf8(bytes) {
            Ok(name) => name.parse(),
            Err(_) => Err(EntrypointError(hex::encode(bytes))),
        }
    }
}

impl FromStr for Entrypoint {
    type Err = EntrypointError;

    fn from_str(text: &str) -> Result<Self, EntrypointError> {
        match text.len() {
            0 => Ok(Self::default()),
            1..=MAX_NAME => Ok(Self(text.into())),
            _ => Err(EntrypointError(text.chars().take(80).collect())),
        }
    }
}
