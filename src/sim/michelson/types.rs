//! Reading types (`parse_ty`), their equality, and which of them rollups may exchange with layer 1.

use serde_json::{Value, json};

use super::{DEPTH, Expr, Node};
use crate::protocol::Protocol;
use crate::sim::errors::RuleError;

/// Types without arguments. Those a rollup may exchange come first.
const PLAIN: [&str; 20] = [
    "unit",
    "int",
    "nat",
    "signature",
    "string",
    "bytes",
    "key_hash",
    "key",
    "timestamp",
    "address",
    "bls12_381_g1",
    "bls12_381_g2",
    "bls12_381_fr",
    "bool",
    "never",
    "chain_id",
    "mutez",
    "operation",
    "chest",
    "chest_key",
];
/// How many of them a rollup may exchange.
const EXCHANGED: usize = 16;

/// Types that are named when something else stands in their place.
const EXPECTED: [&str; 26] = [
    "bls12_381_fr",
    "bls12_381_g1",
    "bls12_381_g2",
    "bool",
    "bytes",
    "chain_id",
    "contract",
    "int",
    "key",
    "key_hash",
    "lambda",
    "list",
    "map",
    "mutez",
    "nat",
    "never",
    "operation",
    "option",
    "or",
    "pair",
    "set",
    "signature",
    "string",
    "ticket",
    "timestamp",
    "unit",
];

/// A type of Michelson.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    /// One without arguments, by name.
    Plain(&'static str),
    /// One with one type as argument: `option`, `list`, `set`, `ticket`, `contract`.
    One(&'static str, Box<Type>),
    /// One with two: `pair`, `or`, `map`, `big_map`, `lambda`.
    Two(&'static str, Box<Type>, Box<Type>),
    /// A state or transaction of Sapling, with its memo size.
    Sapling(&'static str, String),
}

/// Where a type stands decides what it may hold.
#[derive(Debug, Clone, Copy)]
struct Place {
    lazy_storage: bool,
    operations: bool,
    contracts: bool,
    tickets: bool,
}

const ANYWHERE: Place = Place {
    lazy_storage: true,
    operations: true,
    contracts: true,
    tickets: true,
};
const PASSED: Place = Place {
    operations: false,
    ..ANYWHERE
};
const COMPARED: Place = Place {
    lazy_storage: false,
    operations: false,
    contracts: false,
    tickets: false,
};

impl Type {
    /// Reads any type.
    ///
    /// # Errors
    /// The protocol's refusal.
    pub(crate) fn read(expr: &Expr) -> Result<Self, RuleError> {
        let mut reader = Reader::default();
        reader.read(expr, ANYWHERE, DEPTH)
    }

    /// Reads the type of what a contract or rollup takes; answers whether entrypoints are named.
    ///
    /// # Errors
    /// The protocol's refusal.
    pub(crate) fn read_parameter(expr: &Expr) -> Result<(Self, bool), RuleError> {
        let mut reader = Reader {
            names_doors: true,
            found_door: false,
        };
        let read = reader.read(expr, PASSED, DEPTH)?;
        Ok((read, reader.found_door))
    }

    /// Whether rollups and layer 1 may exchange values of it (`validate_ty`): nothing that moves
    /// money, no code, nothing in storage. What a contract takes is its own affair, and until Paris
    /// none could be told.
    pub(crate) fn is_exchanged(&self, protocol: Protocol) -> bool {
        match self {
            Self::Plain(name) => PLAIN.iter().take(EXCHANGED).any(|known| known == name),
            Self::One("contract", _) => protocol >= Protocol::Quebec,
            Self::One(_, inner) => inner.is_exchanged(protocol),
            Self::Two("big_map" | "lambda", ..) | Self::Sapling(..) => false,
            Self::Two(_, one, other) => one.is_exchanged(protocol) && other.is_exchanged(protocol),
        }
    }

    fn is_comparable(&self) -> bool {
        match self {
            Self::Plain(name) => !matches!(
                *name,
                "operation"
                    | "chest"
                    | "chest_key"
                    | "bls12_381_g1"
                    | "bls12_381_g2"
                    | "bls12_381_fr"
            ),
            Self::One("option", inner) => inner.is_comparable(),
            Self::Two("pair" | "or", one, other) => one.is_comparable() && other.is_comparable(),
            _ => false,
        }
    }

    /// The node's JSON for it, without names (`serialize_ty_for_error`).
    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Plain(name) => json!({ "prim": name }),
            Self::One(name, inner) => json!({"prim": name, "args": [inner.json()]}),
            Self::Two("pair", one, other) => {
                let mut args = vec![one.json()];
                match (&**other, other.json()) {
                    (Self::Two("pair", ..), Value::Object(mut rest)) => match rest.remove("args") {
                        Some(Value::Array(more)) => args.extend(more),
                        _ => args.push(rest.into()),
                    },
                    (_, last) => args.push(last),
                }
                json!({"prim": "pair", "args": args})
            }
            Self::Two(name, one, other) => {
                json!({"prim": name, "args": [one.json(), other.json()]})
            }
            Self::Sapling(name, memo) => json!({"prim": name, "args": [{"int": memo}]}),
        }
    }
}

/// Reads types; names on branches are entrypoints, or refused.
#[derive(Debug, Default)]
struct Reader {
    names_doors: bool,
    found_door: bool,
}

impl Reader {
    fn read(&mut self, expr: &Expr, place: Place, depth: usize) -> Result<Type, RuleError> {
        let depth = depth
            .checked_sub(1)
            .ok_or(RuleError::TooManyRecursiveCalls {})?;
        let loc = expr.location;
        let Node::Prim { name, args, annots } = &expr.node else {
            return Err(expr.unexpected("type", &EXPECTED));
        };
        let door = |annot: &&String| annot.starts_with('%');
        let annots = if self.names_doors && annots.iter().any(|annot| door(&annot)) {
            self.found_door = true;
            annots
                .iter()
                .filter(|annot| !door(annot))
                .cloned()
                .collect()
        } else {
            annots.clone()
        };
        let plain = PLAIN.iter().find(|known| *known == name).copied();
        // Names below this one are entrypoints only along the branches of `or`.
        let doors = std::mem::replace(&mut self.names_doors, false);
        match (name.as_str(), args.as_slice()) {
            ("operation", []) if !place.operations => Err(RuleError::UnexpectedOperation { loc }),
            (_, []) if plain.is_some() => {
                check_annotations(loc, &annots)?;
                Ok(Type::Plain(plain.unwrap_or_default()))
            }
            ("contract", [_]) if !place.contracts => Err(RuleError::UnexpectedContract { loc }),
            ("ticket", [_]) if !place.tickets => Err(RuleError::UnexpectedTicket { loc }),
            ("big_map" | "sapling_state", _) if !place.lazy_storage => {
                Err(RuleError::UnexpectedLazyStorage { loc })
            }
            ("contract" | "option" | "list" | "set" | "ticket", [inner]) => {
                check_annotations(loc, &annots)?;
                let (name, inner) = match name.as_str() {
                    "contract" => ("contract", self.read(inner, PASSED, depth)?),
                    "option" => ("option", self.read(inner, place, depth)?),
                    "list" => ("list", self.read(inner, place, depth)?),
                    "set" => ("set", self.compared(inner, depth)?),
                    _ => ("ticket", self.compared(inner, depth)?),
                };
                Ok(Type::One(name, Box::new(inner)))
            }
            ("pair", [_, _, ..]) => {
                check_annotations(loc, &annots)?;
                self.pair(args, place, depth)
            }
            ("or", [one, other]) => {
                check_annotations(loc, &annots)?;
                let mut branch = |branch: &Expr| {
                    self.names_doors = doors;
                    let branch = if doors {
                        branch.clone()
                    } else {
                        unnamed(branch)
                    };
                    self.read(&branch, place, depth)
                };
                let (one, other) = (branch(one)?, branch(other)?);
                Ok(Type::Two("or", Box::new(one), Box::new(other)))
            }
            ("lambda", [from, to]) => {
                check_annotations(loc, &annots)?;
                let from = self.read(from, ANYWHERE, depth)?;
                let to = self.read(to, ANYWHERE, depth)?;
                Ok(Type::Two("lambda", Box::new(from), Box::new(to)))
            }
            ("map" | "big_map", [key, value]) => {
                check_annotations(loc, &annots)?;
                let key = self.compared(key, depth)?;
                let (name, within) = match name.as_str() {
                    "map" => ("map", place),
                    _ => (
                        "big_map",
                        Place {
                            lazy_storage: false,
                            operations: false,
                            ..ANYWHERE
                        },
                    ),
                };
                let value = self.read(value, within, depth)?;
                Ok(Type::Two(name, Box::new(key), Box::new(value)))
            }
            ("sapling_transaction" | "sapling_state", [memo]) => {
                check_annotations(loc, &annots)?;
                let name = match name.as_str() {
                    "sapling_state" => "sapling_state",
                    _ => "sapling_transaction",
                };
                match &memo.node {
                    Node::Int(digits) if digits.parse::<u16>().is_ok() => {
                        Ok(Type::Sapling(name, digits.clone()))
                    }
                    _ => Err(memo.wrong_form("a positive 16-bit integer (between 0 and 65535)")),
                }
            }
            ("set" | "list" | "option" | "contract" | "ticket", _) => Err(expr.wrong_arity(1)),
            ("pair" | "or" | "map" | "lambda" | "big_map", _) => Err(expr.wrong_arity(2)),
            _ if plain.is_some() => Err(expr.wrong_arity(0)),
            _ => Err(expr.unexpected("type", &EXPECTED)),
        }
    }

    /// `pair t1 ... tn` is `pair t1 (... (pair tn-1 tn))`; names on its parts mean nothing.
    fn pair(&mut self, args: &[Expr], place: Place, depth: usize) -> Result<Type, RuleError> {
        let depth = depth
            .checked_sub(1)
            .ok_or(RuleError::TooManyRecursiveCalls {})?;
        let (one, other) = match args {
            [one, other] => (one, self.read(&unnamed(other), place, depth)),
            [one, rest @ ..] => (one, self.pair(rest, place, depth)),
            [] => return Err(RuleError::TooManyRecursiveCalls {}),
        };
        let one = self.read(&unnamed(one), place, depth)?;
        Ok(Type::Two("pair", Box::new(one), Box::new(other?)))
    }

    fn compared(&mut self, expr: &Expr, depth: usize) -> Result<Type, RuleError> {
        let read = self.read(expr, COMPARED, depth)?;
        if read.is_comparable() {
            return Ok(read);
        }
        Err(RuleError::ComparableTypeExpected {
            location: expr.location,
            wrong_type: expr.json(),
        })
    }
}

/// The same without the name of a field.
fn unnamed(expr: &Expr) -> Expr {
    let mut expr = expr.clone();
    if let Node::Prim { annots, .. } = &mut expr.node
        && annots.iter().filter(|annot| annot.starts_with('%')).count() == 1
    {
        annots.retain(|annot| !annot.starts_with('%'));
    }
    expr
}

/// A type may carry its own name and nothing else.
fn check_annotations(location: usize, annots: &[String]) -> Result<(), RuleError> {
    match annots {
        [] => Ok(()),
        [one] if one.starts_with(':') => Ok(()),
        _ => Err(RuleError::UnexpectedAnnotation { location }),
    }
}
