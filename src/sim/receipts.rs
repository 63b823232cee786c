//! What an operation did, and the node's JSON for it (`apply_results.ml`, `apply_internal_results.ml`).
//!
//! Promises: the four statuses, fees beside results, internal operations in order of execution,
//! and the three shapes of an operation: with receipts, "too large", without.

use serde_json::{Map, Value, json};

use super::contracts::Emitted;
use super::errors::Trace;
use super::ledger::Movement;
use crate::crypto::Dialect;
use crate::protocol::operation::{Form, SignedOperation};
use crate::protocol::{ChainId, OperationHash, Protocol};

/// Effects of something that was applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// Money moved, fees excluded.
    pub movements: Vec<Movement>,
    /// Fields of its kind, in the node's JSON.
    pub fields: Map<String, Value>,
    /// Gas used.
    pub milligas: u64,
    /// Whether its kind shows balance updates even when there are none.
    pub shows_balances: bool,
}

/// How a content or an internal operation went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It took effect.
    Applied(Effects),
    /// It failed.
    Failed(Trace),
    /// Something before it failed.
    Skipped,
    /// It worked, then something after it failed, or the storage it takes could not be paid.
    Backtracked(Effects, Option<Trace>),
}

impl Status {
    /// Undoes it because something later failed.
    pub fn backtrack(&mut self) {
        if let Self::Applied(effects) = self {
            *self = Self::Backtracked(std::mem::take(effects), None);
        }
    }

    /// Whether it took effect.
    #[must_use]
    pub const fn is_applied(&self) -> bool {
        matches!(self, Self::Applied(_))
    }

    const fn milligas(&self) -> u64 {
        match self {
            Self::Applied(effects) | Self::Backtracked(effects, _) => effects.milligas,
            Self::Failed(_) | Self::Skipped => 0,
        }
    }

    fn json(&self, protocol: Protocol) -> Value {
        match self {
            Self::Applied(effects) => effects.json("applied", None),
            Self::Backtracked(effects, errors) => {
                let errors = errors.as_ref().map(|errors| errors.json(protocol));
                effects.json("backtracked", errors)
            }
            Self::Failed(errors) => json!({"status": "failed", "errors": errors.json(protocol)}),
            Self::Skipped => json!({"status": "skipped"}),
        }
    }
}

impl Effects {
    fn json(&self, status: &str, errors: Option<Value>) -> Value {
        let mut object = Map::new();
        object.insert("status".into(), status.into());
        if let Some(errors) = errors {
            object.insert("errors".into(), errors);
        }
        if self.shows_balances || !self.movements.is_empty() {
            object.insert(
                "balance_updates".into(),
                Movement::all_json(&self.movements),
            );
        }
        object.extend(self.fields.clone());
        if self.milligas > 0 {
            object.insert("consumed_milligas".into(), self.milligas.to_string().into());
        }
        Value::Object(object)
    }
}

/// Receipt of one content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its fee.
    pub fees: Vec<Movement>,
    /// How it went.
    pub status: Status,
    /// Internal operations, in order of execution.
    pub internal: Vec<(Emitted, Status)>,
}

impl Receipt {
    fn json(&self, protocol: Protocol) -> Value {
        let mut object = Map::new();
        if !self.fees.is_empty() {
            object.insert("balance_updates".into(), Movement::all_json(&self.fees));
        }
        object.insert("operation_result".into(), self.status.json(protocol));
        if !self.internal.is_empty() {
            let internal = self
                .internal
                .iter()
                .map(|(emitted, status)| internal_json(emitted, status, protocol))
                .collect();
            object.insert("internal_operation_results".into(), internal);
        }
        Value::Object(object)
    }
}

fn internal_json(emitted: &Emitted, status: &Status, protocol: Protocol) -> Value {
    let mut object = Map::new();
    object.insert("kind".into(), "transaction".into());
    object.insert("source".into(), emitted.sender.to_string().into());
    object.insert("nonce".into(), emitted.nonce.into());
    object.insert("amount".into(), "0".into());
    object.insert("destination".into(), emitted.destination.to_string().into());
    // The node leaves the default call with `Unit` out.
    let entrypoint = emitted.entrypoint.name();
    if entrypoint != "default" || !emitted.value.is_unit() {
        object.insert(
            "parameters".into(),
            json!({"entrypoint": entrypoint, "value": emitted.value.to_json()}),
        );
    }
    object.insert("result".into(), status.json(protocol));
    Value::Object(object)
}

/// An operation inside a block.
#[derive(Debug, Clone)]
pub struct Included {
    /// The operation as signed.
    pub signed: SignedOperation,
    /// Its hash.
    pub hash: OperationHash,
    /// What each content did.
    pub receipts: Vec<Receipt>,
    /// Protocol that applied it.
    pub protocol: Protocol,
}

/// Which receipts to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All of them.
    Receipts,
    /// The mark of receipts over the node's limit.
    TooLarge,
    /// None: pruned, or not asked for.
    Nothing,
}

impl Included {
    /// Gas it used, in thousandths of a unit.
    #[must_use]
    pub fn milligas(&self) -> u64 {
        let statuses = self.receipts.iter().flat_map(|receipt| {
            let internal = receipt.internal.iter().map(|(_, status)| status);
            std::iter::once(&receipt.status).chain(internal)
        });
        statuses.map(Status::milligas).fold(0, u64::saturating_add)
    }

    /// The form its bytes and JSON take.
    #[must_use]
    pub const fn form(&self, dialect: Dialect) -> Form {
        match dialect {
            Dialect::Modern => Form::Modern(self.protocol),
            Dialect::Scr1 => Form::Scr1,
        }
    }

    /// The node's JSON for it.
    #[must_use]
    pub fn json(&self, chain: ChainId, dialect: Dialect, shown: Shown) -> Value {
        let mut object = Map::new();
        object.insert("protocol".into(), self.protocol.hash_text().into());
        object.insert("chain_id".into(), json!(chain));
        object.insert("hash".into(), json!(self.hash));
        object.extend(self.content_json(dialect, shown));
        Value::Object(object)
    }

    /// Branch, contents and signature.
    #[must_use]
    pub fn content_json(&self, dialect: Dialect, shown: Shown) -> Map<String, Value> {
        let mut object = match self.signed.to_json(self.form(dialect)) {
            Ok(Value::Object(object)) => object,
            _ => Map::new(),
        };
        match shown {
            Shown::Nothing => {}
            Shown::TooLarge => {
                let signature = object.remove("signature");
                object.insert("metadata".into(), "too large".into());
                object.extend(signature.map(|signature| ("signature".to_owned(), signature)));
            }
            Shown::Receipts => self.add_receipts(&mut object, dialect),
        }
        object
    }

    fn add_receipts(&self, object: &mut Map<String, Value>, dialect: Dialect) {
        let Some(contents) = object.get_mut("contents").and_then(Value::as_array_mut) else {
            return;
        };
        for (content, receipt) in contents.iter_mut().zip(&self.receipts) {
            let Value::Object(content) = content else {
                continue;
            };
            let mut metadata = receipt.json(self.protocol);
            // Receipts of then did not repeat the commitment that the operation names.
            if dialect == Dialect::Scr1
                && let Some(Value::Object(result)) = metadata.get_mut("operation_result")
            {
                result.remove("commitment_hash");
            }
            content.insert("metadata".into(), metadata);
        }
    }
}
