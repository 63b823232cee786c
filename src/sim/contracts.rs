//! The built-in contracts: a relay whose argument says which internal transactions it emits, and a
//! sink that takes numbers.
//!
//! Promises: transfers to rollups, nested calls, failures half-way, all of them by argument alone,
//! so that a test can produce every shape of internal receipts. No Michelson is interpreted: what
//! these contracts do is fixed here. Amounts are always zero, as transfers to rollups must be.
//!
//! The relay's argument: `Unit` or `{}` emits nothing; a sequence emits, for each `Pair "<address>"
//! <value>` in order, a transaction to that account, contract or rollup with that value; the string
//! `"fail"` makes the call fail. An address of a rollup means a `contract` of the rollup's type: where
//! the value is of another, the call fails as where a script's argument is.

use serde_json::{Value, json};

use super::errors::{RuleError, Trace};
use super::michelson::{self, Expr, Type};
use crate::codec::{Micheline, Primitive, Reader};
use crate::protocol::operation::{Contract, Entrypoint};
use crate::protocol::{ContractHash, RollupAddress};

/// What a contract does when called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Emits the transactions its argument lists.
    Relay,
    /// Takes an integer, and does nothing with it.
    Sink,
}

/// Receiver of an internal transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// An account or contract.
    Contract(Contract),
    /// A rollup.
    Rollup(RollupAddress),
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Contract(contract) => contract.fmt(f),
            Self::Rollup(rollup) => rollup.fmt(f),
        }
    }
}

/// Who asks for an internal transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// A contract.
    Contract(ContractHash),
    /// A rollup, by its outbox.
    Rollup(RollupAddress),
}

impl std::fmt::Display for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Contract(contract) => contract.fmt(f),
            Self::Rollup(rollup) => rollup.fmt(f),
        }
    }
}

/// A transaction that a contract or an outbox message asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emitted {
    /// Who asked.
    pub sender: Sender,
    /// Its number among the internal operations of the batch's content.
    pub nonce: u16,
    /// Who receives it.
    pub destination: Destination,
    /// By which door.
    pub entrypoint: Entrypoint,
    /// With what.
    pub value: Micheline,
    /// Type of the argument, where who asks says it.
    pub(crate) of_type: Option<Type>,
}

impl Script {
    /// Whether there is such a door.
    ///
    /// # Errors
    /// The protocol's refusal.
    pub(crate) fn check_entrypoint(self, entrypoint: &Entrypoint) -> Result<(), RuleError> {
        if entrypoint.name() == "default" {
            return Ok(());
        }
        Err(RuleError::NoSuchEntrypoint {
            entrypoint: entrypoint.name().to_owned(),
        })
    }

    /// Whether an argument is one it takes.
    ///
    /// # Errors
    /// The protocol's refusal.
    pub(crate) fn check_argument(self, argument: &Micheline) -> Result<(), Trace> {
        if self == Self::Sink {
            return michelson::check(&SUNK, &Expr::of(argument)?).map(|_| ());
        }
        let json = argument.to_json();
        if argument.is_unit() || is_fail(&json) {
            return Ok(());
        }
        let is_taken = json
            .as_array()
            .is_some_and(|items| items.iter().all(|item| instruction(item).is_some()));
        if is_taken {
            return Ok(());
        }
        Err(RuleError::InvalidConstant {
            location: 0,
            expected_type: Box::new(self.parameter_json()),
            wrong_expression: Box::new(json),
        }
        .into())
    }

    /// Whether arguments of a type are ones it takes; for the relay nothing, a text, a list of pairs
    /// of an address and whatever is to be sent there.
    ///
    /// # Errors
    /// The protocol's refusal.
    pub(crate) fn check_type(self, of_type: &Type) -> Result<(), RuleError> {
        let is_taken = match of_type {
            _ if self == Self::Sink => *of_type == SUNK,
            Type::Plain("unit" | "string") => true,
            Type::One("list", item) => matches!(
                &**item,
                Type::Two("pair", to, _) if matches!(**to, Type::Plain("string" | "address"))
            ),
            _ => false,
        };
        if is_taken {
            return Ok(());
        }
        Err(RuleError::InconsistentTypes {
            loc: -1,
            first_type: Box::new(self.parameter_json()),
            other_type: Box::new(of_type.json()),
        })
    }

    /// What a call with `argument` emits, in order.
    ///
    /// # Errors
    /// The refusal that the call's receipt shows.
    pub(crate) fn call(
        self,
        contract: &ContractHash,
        entrypoint: &Entrypoint,
        argument: Option<&Micheline>,
        of_type: Option<&Type>,
    ) -> Result<Vec<Asked>, Trace> {
        let bad = |cause: Trace| {
            let contract = contract.to_string();
            cause.under(RuleError::BadContractParameter { contract })
        };
        let unit = Micheline::unit();
        let argument = argument.unwrap_or(&unit);
        let fits = || -> Result<(), Trace> {
            self.check_entrypoint(entrypoint)?;
            match of_type {
                Some(of_type) => Ok(self.check_type(of_type)?),
                None => self.check_argument(argument),
            }
        };
        fits().map_err(bad)?;
        if self == Self::Sink || argument.is_unit() {
            return Ok(Vec::new());
        }
        self.check_argument(argument).map_err(bad)?;
        let json = argument.to_json();
        if is_fail(&json) {
            let failed = RuleError::ScriptRejected {
                location: 0,
                with: json,
            };
            return Err(Trace::from(failed).under(RuleError::RuntimeError {
                contract_handle: contract.to_string(),
                contract_code: "Deprecated".into(),
            }));
        }
        let items = json.as_array().map_or(&[] as &[Value], Vec::as_slice);
        Ok(items.iter().filter_map(instruction).collect())
    }

    /// What it keeps.
    #[must_use]
    pub fn storage_json(self) -> Value {
        // Neither contract keeps anything.
        json!({"prim": "Unit"})
    }

    /// Bytes it takes in the chain's storage.
    #[must_use]
    pub fn size_json(self) -> Value {
        "60".into()
    }

    /// The type of its parameter, as far as one type can say it.
    #[must_use]
    pub fn parameter_json(self) -> Value {
        if self == Self::Sink {
            return SUNK.json();
        }
        json!({"prim": "list", "args": [
            {"prim": "pair", "args": [{"prim": "string"}, {"prim": "bytes"}]}
        ]})
    }

    /// Its code as clients may ask for it; the relay's does less than the relay, which one type and
    /// script cannot say.
    #[must_use]
    pub fn script_json(self) -> Value {
        json!({
            "code": [
                {"prim": "parameter", "args": [self.parameter_json()]},
                {"prim": "storage", "args": [{"prim": "unit"}]},
                {"prim": "code", "args": [[{"prim": "CDR"}, {"prim": "NIL", "args": [{"prim": "operation"}]}, {"prim": "PAIR"}]]}
            ],
            "storage": self.storage_json(),
        })
    }
}

/// What the sink takes.
const SUNK: Type = Type::Plain("int");

/// A transaction that a contract is told to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// To whom.
    pub destination: Destination,
    /// By which door.
    pub entrypoint: Entrypoint,
    /// With what.
    pub value: Micheline,
}

fn instruction(item: &Value) -> Option<Asked> {
    if item.get("prim")?.as_str()? != "Pair" {
        return None;
    }
    let [address, value] = item.get("args")?.as_array()?.as_slice() else {
        return None;
    };
    let (destination, entrypoint) = match address.get("bytes").and_then(Value::as_str) {
        Some(bytes) => of_bytes(&hex::decode(bytes).ok()?)?,
        None => of_text(address.get("string")?.as_str()?)?,
    };
    Some(Asked {
        destination,
        entrypoint,
        value: Micheline::from_json(value).ok()?,
    })
}

/// An address, and a door when it names one.
fn of_text(text: &str) -> Option<(Destination, Entrypoint)> {
    let (text, door) = match text.split_once('%') {
        Some((text, door)) => (text, door.parse().ok()?),
        None => (text, Entrypoint::default()),
    };
    let destination = match RollupAddress::of_any_dialect(text) {
        Ok((rollup, _)) => Destination::Rollup(rollup),
        Err(_) => Destination::Contract(text.parse().ok()?),
    };
    Some((destination, door))
}

/// An address in its short form.
fn of_bytes(bytes: &[u8]) -> Option<(Destination, Entrypoint)> {
    let (address, door) = bytes.split_at_checked(22)?;
    let door = match door {
        [] => Entrypoint::default(),
        door => std::str::from_utf8(door).ok()?.parse().ok()?,
    };
    if let [3, rollup @ .., 0] = address {
        let rollup = RollupAddress(rollup.try_into().ok()?);
        return Some((Destination::Rollup(rollup), door));
    }
    let mut reader = Reader::new(address);
    let contract = Contract::read(&mut reader).ok()?;
    Some((Destination::Contract(contract), door))
}

fn is_fail(json: &Value) -> bool {
    json.get("string").and_then(Value::as_str) == Some("fail")
}

fn pair() -> Primitive {
    Primitive::of_name("Pair").expect("Michelson has pairs")
}

/// The argument that makes a relay send each value to its destination.
#[must_use]
pub(crate) fn relay_argument(transfers: &[(Destination, Micheline)]) -> Micheline {
    Micheline::seq(transfers.iter().map(|(destination, value)| {
        let address = Micheline::string(&destination.to_string());
        Micheline::prim(pair(), [address, value.clone()])
    }))
}
