//! The one built-in contract: a relay whose argument says which internal transactions it emits.
//!
//! Promises: transfers to rollups, nested calls, failures half-way, all of them by argument alone,
//! so that a test can produce every shape of internal receipts. No Michelson is interpreted: this
//! contract's effect is fixed here. Amounts are always zero, as transfers to rollups must be.
//!
//! Argument: `Unit` or `{}` emits nothing; a sequence emits, for each `Pair "<address>" <value>` in
//! order, a transaction to that account, contract or rollup with that value; the string `"fail"`
//! makes the call fail.

use serde_json::{Value, json};

use super::errors::RuleError;
use crate::codec::{Micheline, Primitive};
use crate::protocol::operation::{Contract, Entrypoint};
use crate::protocol::{ContractHash, RollupAddress};

/// What a contract does when called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Emits the transactions its argument lists.
    Relay,
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
}

impl Script {
    /// What a call with `argument` emits, in order.
    ///
    /// # Errors
    /// The refusal that the call's receipt shows.
    pub fn call(
        self,
        contract: &ContractHash,
        entrypoint: &Entrypoint,
        argument: Option<&Micheline>,
    ) -> Result<Vec<(Destination, Micheline)>, RuleError> {
        let Self::Relay = self;
        if entrypoint.name() != "default" {
            return Err(RuleError::NoSuchEntrypoint {
                entrypoint: entrypoint.name().to_owned(),
            });
        }
        let Some(argument) = argument.filter(|argument| !argument.is_unit()) else {
            return Ok(Vec::new());
        };
        let json = argument.to_json();
        if json.get("string").and_then(Value::as_str) == Some("fail") {
            return Err(RuleError::ScriptRejected {
                location: 0,
                with: json,
            });
        }
        let bad = || RuleError::BadContractParameter {
            contract: contract.to_string(),
        };
        let items = json.as_array().ok_or_else(bad)?;
        items
            .iter()
            .map(|item| instruction(item).ok_or_else(bad))
            .collect()
    }

    /// What it keeps.
    #[must_use]
    pub fn storage_json(self) -> Value {
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
        json!({"prim": "list", "args": [
            {"prim": "pair", "args": [{"prim": "string"}, {"prim": "bytes"}]}
        ]})
    }

    /// Its code as clients may ask for it: it takes anything the relay does, as one type cannot say.
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

fn instruction(item: &Value) -> Option<(Destination, Micheline)> {
    if item.get("prim")?.as_str()? != "Pair" {
        return None;
    }
    let [address, value] = item.get("args")?.as_array()?.as_slice() else {
        return None;
    };
    let address = address.get("string")?.as_str()?;
    let destination = match RollupAddress::of_any_dialect(address) {
        Ok((rollup, _)) => Destination::Rollup(rollup),
        Err(_) => Destination::Contract(address.parse().ok()?),
    };
    Some((destination, Micheline::from_json(value).ok()?))
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
