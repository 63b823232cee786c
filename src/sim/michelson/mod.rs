//! Types and data of Michelson, as far as outbox messages and originations are judged by them
//! (`script_ir_translator.ml`, `script_tc_errors_registration.ml`).
//!
//! Promises: a type is read, and a value checked against it, with the protocol's errors, their
//! places and their traces. Refuses to know code: a value of a type that holds code, or that points
//! into storage or at the entrypoints of a contract, is not looked into.

mod data;
mod packed;
mod types;

use serde_json::{Value, json};

use super::errors::RuleError;
use crate::codec::Micheline;

pub(crate) use data::{Ticket, check};
pub(crate) use packed::{optimized, packable};
pub(crate) use types::Type;

/// Deepest expression that is followed. The protocol follows 10,000, more than a message can nest
/// with values that mean anything.
const DEPTH: usize = 1_000;

/// An expression whose nodes know their place: their number, counted from the outside in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expr {
    location: usize,
    node: Node,
}

/// What stands at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Int(String),
    Text(String),
    Bytes(String),
    Seq(Vec<Expr>),
    Prim {
        name: String,
        args: Vec<Expr>,
        annots: Vec<String>,
    },
}

impl Expr {
    /// The expression with its places.
    ///
    /// # Errors
    /// [`RuleError::TooManyRecursiveCalls`] when it nests too deep.
    pub(crate) fn of(plain: &Micheline) -> Result<Self, RuleError> {
        let mut next = 0;
        Self::read(&plain.to_json(), &mut next, DEPTH)
    }

    fn read(json: &Value, next: &mut usize, depth: usize) -> Result<Self, RuleError> {
        let depth = depth
            .checked_sub(1)
            .ok_or(RuleError::TooManyRecursiveCalls {})?;
        let location = *next;
        *next = next.saturating_add(1);
        let text = |key: &str| json.get(key).and_then(Value::as_str).map(str::to_owned);
        let mut all = |items: &[Value]| -> Result<Vec<Self>, RuleError> {
            items
                .iter()
                .map(|item| Self::read(item, next, depth))
                .collect()
        };
        let node = if let Some(items) = json.as_array() {
            Node::Seq(all(items)?)
        } else if let Some(name) = text("prim") {
            let annots = json.get("annots").and_then(Value::as_array);
            let annots = annots.into_iter().flatten().filter_map(Value::as_str);
            let args = json.get("args").and_then(Value::as_array);
            Node::Prim {
                name,
                args: all(args.map_or(&[], Vec::as_slice))?,
                annots: annots.map(str::to_owned).collect(),
            }
        } else if let Some(digits) = text("int") {
            Node::Int(digits)
        } else if let Some(bytes) = text("bytes") {
            Node::Bytes(bytes)
        } else {
            Node::Text(text("string").unwrap_or_default())
        };
        Ok(Self { location, node })
    }

    /// The node's JSON form.
    pub(crate) fn json(&self) -> Value {
        let all = |items: &[Self]| items.iter().map(Self::json).collect::<Vec<_>>();
        match &self.node {
            Node::Int(digits) => json!({ "int": digits }),
            Node::Text(text) => json!({ "string": text }),
            Node::Bytes(bytes) => json!({ "bytes": bytes }),
            Node::Seq(items) => all(items).into(),
            Node::Prim { name, args, annots } => {
                let mut object = serde_json::Map::new();
                object.insert("prim".into(), name.as_str().into());
                if !args.is_empty() {
                    object.insert("args".into(), all(args).into());
                }
                if !annots.is_empty() {
                    object.insert("annots".into(), json!(annots));
                }
                object.into()
            }
        }
    }

    /// The node's word for what it is.
    const fn kind(&self) -> &'static str {
        match &self.node {
            Node::Int(_) => "integer",
            Node::Text(_) => "string",
            Node::Bytes(_) => "bytes",
            Node::Seq(_) => "sequence",
            Node::Prim { .. } => "primitiveApplication",
        }
    }

    fn wrong_kind(&self, expected: &[&'static str]) -> RuleError {
        RuleError::InvalidExpressionKind {
            location: self.location,
            expected_kinds: expected.to_vec(),
            wrong_kind: self.kind(),
        }
    }

    /// Anything but one of these primitives of a namespace (`unexpected`).
    fn unexpected(&self, namespace: &'static str, expected: &[&'static str]) -> RuleError {
        let Node::Prim { name, .. } = &self.node else {
            return self.wrong_kind(&["primitiveApplication"]);
        };
        let location = self.location;
        match namespace_of(name) {
            of if of == namespace => RuleError::InvalidPrimitive {
                location,
                expected_primitive_names: expected.to_vec(),
                wrong_primitive_name: name.clone(),
            },
            wrong_namespace => RuleError::InvalidNamespace {
                location,
                primitive_name: name.clone(),
                expected_namespace: namespace,
                wrong_namespace,
            },
        }
    }

    fn wrong_arity(&self, expected_arity: usize) -> RuleError {
        let (name, wrong_arity) = match &self.node {
            Node::Prim { name, args, .. } => (name.clone(), args.len()),
            _ => (String::new(), 0),
        };
        RuleError::InvalidArity {
            location: self.location,
            primitive_name: name,
            expected_arity,
            wrong_arity,
        }
    }
}

/// Which sort of word a primitive is, told by its spelling (`michelson_v1_primitives.ml`).
fn namespace_of(name: &str) -> &'static str {
    let first_is = |test: fn(char) -> bool| name.starts_with(test);
    match name {
        "parameter" | "storage" | "code" | "view" => "keyword",
        "constant" => "constant_hash",
        _ if first_is(|c| c.is_ascii_lowercase()) => "type",
        _ if name.chars().any(|c| c.is_ascii_lowercase()) => "constant",
        _ => "instruction",
    }
}
