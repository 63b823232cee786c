//! Values against types (`parse_data`), forged tickets allowed, as in what a rollup sends.

use std::cmp::Ordering;

use super::{DEPTH, Expr, Node, Type};
use crate::codec::{Integer, Reader};
use crate::crypto::{PublicKey, Signature};
use crate::protocol::operation::{Contract, Entrypoint};
use crate::protocol::{ChainId, PublicKeyHash, RollupAddress};
use crate::sim::errors::{RuleError, Trace};

/// A ticket inside a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Where in the value it stands.
    pub location: usize,
    /// Who made it, as the bytes of an address.
    pub ticketer: Vec<u8>,
    /// Type of what it says.
    pub of_type: Type,
    /// What it says.
    pub contents: Expr,
    /// How many.
    pub amount: Integer,
}

/// A value as far as order counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Datum {
    Nothing,
    Flag(bool),
    Number(Signed),
    Bytes(Vec<u8>),
    Pair(Box<Datum>, Box<Datum>),
    Either(bool, Box<Datum>),
    Maybe(Option<Box<Datum>>),
}

/// An integer in the order of integers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Signed(Integer);

impl Ord for Signed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let by_size = |one: &Self, other: &Self| {
            let (one, other) = (one.0.to_string(), other.0.to_string());
            one.len().cmp(&other.len()).then(one.cmp(&other))
        };
        match (self.0.is_negative(), other.0.is_negative()) {
            (true, false) => std::cmp::Ordering::Less,
            (false, true) => std::cmp::Ordering::Greater,
            (false, false) => by_size(self, other),
            (true, true) => by_size(other, self),
        }
    }
}

impl PartialOrd for Signed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Whether `value` is of `of_type`; answers the tickets in it, outermost first.
///
/// # Errors
/// The protocol's refusal.
pub(crate) fn check(of_type: &Type, value: &Expr) -> Result<Vec<Ticket>, Trace> {
    let mut checker = Checker::default();
    checker.check(of_type, value, DEPTH)?;
    Ok(checker.tickets)
}

#[derive(Debug, Default)]
struct Checker {
    tickets: Vec<Ticket>,
}

impl Checker {
    /// Checks, and puts the type in front of what is wrong inside.
    fn check(&mut self, of_type: &Type, value: &Expr, depth: usize) -> Result<Datum, Trace> {
        let depth = depth
            .checked_sub(1)
            .ok_or(RuleError::TooManyRecursiveCalls {})?;
        let inside = match of_type {
            Type::Plain("never") => {
                let location = value.location;
                Err(RuleError::InvalidNeverExpr { location }.into())
            }
            Type::Plain(name) => plain(name, value).map_err(Trace::from),
            Type::One("ticket", inner) => return self.ticket(of_type, inner, value, depth),
            Type::One("option", inner) => self.option(inner, value, depth),
            Type::One("contract", _) => plain("address", value).map_err(Trace::from),
            Type::One(name, inner) => self.items(name, inner, value, depth),
            Type::Two("pair", one, other) => self.pair(one, other, value, depth),
            Type::Two("or", one, other) => self.either(one, other, value, depth),
            Type::Two("map", key, inner) => self.map(key, inner, value, depth),
            Type::Two(..) | Type::Sapling(..) => Ok(Datum::Nothing),
        };
        inside.map_err(|cause| cause.under(not_of(of_type, value)))
    }

    fn option(&mut self, inner: &Type, value: &Expr, depth: usize) -> Result<Datum, Trace> {
        match constructor(value, &["Some", "None"], &[1, 0])? {
            ("Some", [some]) => {
                let some = self.check(inner, some, depth)?;
                Ok(Datum::Maybe(Some(Box::new(some))))
            }
            _ => Ok(Datum::Maybe(None)),
        }
    }

    fn either(
        &mut self,
        one: &Type,
        other: &Type,
        value: &Expr,
        depth: usize,
    ) -> Result<Datum, Trace> {
        let (name, args) = constructor(value, &["Left", "Right"], &[1, 1])?;
        let is_right = name == "Right";
        let of_type = if is_right { other } else { one };
        let [inner] = args else {
            return Err(value.wrong_arity(1).into());
        };
        let inner = self.check(of_type, inner, depth)?;
        Ok(Datum::Either(is_right, Box::new(inner)))
    }

    /// Two values, written as a pair, a longer comb or a sequence.
    fn pair(
        &mut self,
        one: &Type,
        other: &Type,
        value: &Expr,
        depth: usize,
    ) -> Result<Datum, Trace> {
        let location = value.location;
        let args = match &value.node {
            Node::Prim { name, args, annots } if name == "Pair" => {
                if args.is_empty() {
                    return Err(value.wrong_arity(2).into());
                }
                if !annots.is_empty() {
                    return Err(RuleError::UnexpectedAnnotation { location }.into());
                }
                args
            }
            Node::Seq(items) if items.len() >= 2 => items,
            Node::Seq(items) => {
                return Err(RuleError::InvalidSeqArity {
                    location,
                    minimal_expected_arity: 2,
                    wrong_arity: items.len(),
                }
                .into());
            }
            _ => return Err(value.unexpected("constant", &["Pair"]).into()),
        };
        let [head, tail @ ..] = args.as_slice() else {
            return Err(value.wrong_arity(2).into());
        };
        let head = self.check(one, head, depth)?;
        let wrong = || RuleError::InvalidArity {
            location,
            primitive_name: "Pair".into(),
            expected_arity: 2,
            wrong_arity: args.len(),
        };
        let rest = match (tail, other) {
            ([], _) => return Err(wrong().into()),
            ([last], _) => last.clone(),
            (more, Type::Two("pair", ..)) => Expr {
                location,
                node: Node::Prim {
                    name: "Pair".into(),
                    args: more.to_vec(),
                    annots: Vec::new(),
                },
            },
            _ => return Err(wrong().into()),
        };
        let tail = self.check(other, &rest, depth)?;
        Ok(Datum::Pair(Box::new(head), Box::new(tail)))
    }

    /// A list, or a set, whose values go up.
    fn items(
        &mut self,
        name: &str,
        inner: &Type,
        value: &Expr,
        depth: usize,
    ) -> Result<Datum, Trace> {
        let items = value.sequence()?;
        // Lists are read from their end.
        if name == "list" {
            for item in items.iter().rev() {
                self.check(inner, item, depth)?;
            }
            return Ok(Datum::Nothing);
        }
        let mut last = None;
        for item in items {
            let item = self.check(inner, item, depth)?;
            let (location, shown) = (value.location, || value.json());
            match last.as_ref().map(|last| item.cmp(last)) {
                None | Some(Ordering::Greater) => {}
                Some(Ordering::Equal) => {
                    let value = shown();
                    return Err(RuleError::DuplicateSetValues { location, value }.into());
                }
                Some(Ordering::Less) => {
                    let value = shown();
                    return Err(RuleError::UnorderedSetValues { location, value }.into());
                }
            }
            last = Some(item);
        }
        Ok(Datum::Nothing)
    }

    fn map(
        &mut self,
        key_type: &Type,
        inner: &Type,
        value: &Expr,
        depth: usize,
    ) -> Result<Datum, Trace> {
        let items = value.sequence()?;
        let mut last = None;
        for item in items {
            let (location, Node::Prim { name, args, annots }) = (item.location, &item.node) else {
                return Err(not_of(
                    &Type::Two("map", Box::new(key_type.clone()), Box::new(inner.clone())),
                    value,
                )
                .into());
            };
            let (key, bound) = match (name.as_str(), args.as_slice()) {
                ("Elt", [key, bound]) => (key, bound),
                ("Elt", _) => return Err(item.wrong_arity(2).into()),
                _ => {
                    return Err(RuleError::InvalidPrimitive {
                        location,
                        expected_primitive_names: vec!["Elt"],
                        wrong_primitive_name: name.clone(),
                    }
                    .into());
                }
            };
            if !annots.is_empty() {
                return Err(RuleError::UnexpectedAnnotation { location }.into());
            }
            let key = self.check(key_type, key, depth)?;
            self.check(inner, bound, depth)?;
            let shown = || value.json();
            match last.as_ref().map(|last| key.cmp(last)) {
                None | Some(Ordering::Greater) => {}
                Some(Ordering::Equal) => {
                    let item = shown();
                    return Err(RuleError::DuplicateMapKeys { location, item }.into());
                }
                Some(Ordering::Less) => {
                    let item = shown();
                    return Err(RuleError::UnorderedMapKeys { location, item }.into());
                }
            }
            last = Some(key);
        }
        Ok(Datum::Nothing)
    }

    /// `Ticket ticketer type contents amount`, or a pair of the same without the type.
    fn ticket(
        &mut self,
        whole: &Type,
        inner: &Type,
        value: &Expr,
        depth: usize,
    ) -> Result<Datum, Trace> {
        let (address, nat) = (Type::Plain("address"), Type::Plain("nat"));
        let (ticketer, contents, amount) = match &value.node {
            Node::Prim { name, args, .. } if name == "Ticket" => {
                let [ticketer, told, contents, amount] = args.as_slice() else {
                    return Err(value.unexpected("constant", &["Ticket", "Pair"]).into());
                };
                let told = Type::read(told)?;
                if told != *inner {
                    return Err(RuleError::InconsistentTypes {
                        loc: i64::try_from(value.location).unwrap_or(-1),
                        first_type: Box::new(inner.json()),
                        other_type: Box::new(told.json()),
                    }
                    .into());
                }
                self.check(&address, ticketer, depth)?;
                self.check(inner, contents, depth)?;
                self.check(&nat, amount, depth)?;
                (ticketer, contents.clone(), amount)
            }
            Node::Prim { name, .. } if name == "Pair" => {
                let said = Type::Two("pair", Box::new(inner.clone()), Box::new(nat));
                let open = Type::Two("pair", Box::new(address), Box::new(said));
                self.check(&open, value, depth)?;
                opened(value).ok_or_else(|| value.wrong_arity(2))?
            }
            _ => {
                return Err(value.unexpected("constant", &["Ticket", "Pair"]).into());
            }
        };
        let amount = match &amount.node {
            Node::Int(digits) => digits.parse().unwrap_or_default(),
            _ => Integer::default(),
        };
        if amount == Integer::default() {
            return Err(Trace::from(RuleError::ForbiddenZeroTicket {}).under(not_of(whole, value)));
        }
        let ticketer = address_bytes(ticketer).unwrap_or_default();
        if let Some((3, rollup)) = ticketer.split_first().map(|(tag, rest)| (*tag, rest)) {
            let rollup = rollup.get(..20).and_then(|bytes| bytes.try_into().ok());
            let ticketer = RollupAddress(rollup.unwrap_or_default());
            return Err(RuleError::UnexpectedTicketOwner { ticketer }.into());
        }
        self.tickets.push(Ticket {
            location: value.location,
            ticketer,
            of_type: inner.clone(),
            contents,
            amount,
        });
        Ok(Datum::Nothing)
    }
}

/// The parts of a ticket written as nested pairs or a comb.
fn opened(value: &Expr) -> Option<(&Expr, Expr, &Expr)> {
    let parts = |expr: &'_ Expr| match &expr.node {
        Node::Prim { args, .. } => Some(args.clone()),
        Node::Seq(items) => Some(items.clone()),
        _ => None,
    };
    let (Node::Prim { args, .. } | Node::Seq(args)) = &value.node else {
        return None;
    };
    match args.as_slice() {
        [ticketer, contents, amount] => Some((ticketer, contents.clone(), amount)),
        [ticketer, rest] => {
            let contents = parts(rest)?.first()?.clone();
            let (Node::Prim { args: rest, .. } | Node::Seq(rest)) = &rest.node else {
                return None;
            };
            Some((ticketer, contents, rest.get(1)?))
        }
        _ => None,
    }
}

fn not_of(of_type: &Type, value: &Expr) -> RuleError {
    RuleError::InvalidConstant {
        location: value.location,
        expected_type: Box::new(of_type.json()),
        wrong_expression: Box::new(value.json()),
    }
}

impl Expr {
    /// Its parts, where it is a sequence.
    fn sequence(&self) -> Result<&[Expr], RuleError> {
        match &self.node {
            Node::Seq(items) => Ok(items),
            _ => Err(self.wrong_kind(&["sequence"])),
        }
    }

    /// A constant that is not spelt as it should be.
    pub(super) fn wrong_form(&self, expected_form: &'static str) -> RuleError {
        RuleError::InvalidSyntacticConstant {
            location: self.location,
            expected_form,
            wrong_expression: self.json(),
        }
    }
}

/// One of the constructors, each with so many arguments.
fn constructor<'a>(
    value: &'a Expr,
    names: &[&'static str],
    arities: &[usize],
) -> Result<(&'static str, &'a [Expr]), RuleError> {
    let Node::Prim { name, args, annots } = &value.node else {
        return Err(value.unexpected("constant", names));
    };
    let known = names.iter().zip(arities).find(|(known, _)| *known == name);
    let Some((known, arity)) = known else {
        return Err(value.unexpected("constant", names));
    };
    if args.len() != *arity {
        return Err(value.wrong_arity(*arity));
    }
    if !annots.is_empty() {
        let location = value.location;
        return Err(RuleError::UnexpectedAnnotation { location });
    }
    Ok((known, args))
}

/// A value of a type without arguments.
fn plain(name: &str, value: &Expr) -> Result<Datum, RuleError> {
    let number = |test: fn(&Integer) -> bool, form: &'static str| match &value.node {
        Node::Int(digits) => {
            let number: Integer = digits.parse().unwrap_or_default();
            if test(&number) {
                Ok(Datum::Number(Signed(number)))
            } else {
                Err(value.wrong_form(form))
            }
        }
        _ => Err(value.wrong_kind(&["integer"])),
    };
    match name {
        "unit" => constructor(value, &["Unit"], &[0]).map(|_| Datum::Nothing),
        "bool" => {
            let (name, _) = constructor(value, &["True", "False"], &[0, 0])?;
            Ok(Datum::Flag(name == "True"))
        }
        "int" => number(|_| true, ""),
        "nat" => number(|n| !n.is_negative(), "a non-negative integer"),
        "mutez" => number(
            |n| {
                n.to_string()
                    .parse::<u64>()
                    .is_ok_and(|n| n <= i64::MAX as u64)
            },
            "a valid mutez amount",
        ),
        "string" => match &value.node {
            Node::Text(text) => {
                if text.bytes().all(|b| b == b'\n' || (32..=126).contains(&b)) {
                    Ok(Datum::Bytes(text.clone().into()))
                } else {
                    Err(value.wrong_form("a printable ascii string"))
                }
            }
            _ => Err(value.wrong_kind(&["string"])),
        },
        "bytes" | "chest" | "chest_key" => match &value.node {
            Node::Bytes(bytes) => Ok(Datum::Bytes(hex::decode(bytes).unwrap_or_default())),
            _ => Err(value.wrong_kind(&["bytes"])),
        },
        "timestamp" => timestamp(value),
        "bls12_381_g1" | "bls12_381_g2" => match &value.node {
            Node::Bytes(_) => Ok(Datum::Nothing),
            _ => Err(value.wrong_kind(&["bytes"])),
        },
        "bls12_381_fr" => match &value.node {
            Node::Bytes(_) | Node::Int(_) => Ok(Datum::Nothing),
            _ => Err(value.wrong_kind(&["bytes"])),
        },
        "operation" => Ok(Datum::Nothing),
        _ => named(name, value),
    }
}

fn timestamp(value: &Expr) -> Result<Datum, RuleError> {
    match &value.node {
        Node::Int(digits) => Ok(Datum::Number(Signed(digits.parse().unwrap_or_default()))),
        Node::Text(text) => {
            let seconds = text.parse::<Integer>().ok().or_else(|| {
                let time = text.parse::<jiff::Timestamp>().ok()?;
                Some(time.as_second().into())
            });
            seconds
                .map(|seconds| Datum::Number(Signed(seconds)))
                .ok_or_else(|| value.wrong_form("a valid timestamp"))
        }
        _ => Err(value.wrong_kind(&["string", "integer"])),
    }
}

/// What is written as text or as bytes: keys, hashes, signatures, addresses.
fn named(name: &str, value: &Expr) -> Result<Datum, RuleError> {
    let form = match name {
        "key" => "a valid public key",
        "key_hash" => "a valid key hash",
        "signature" => "a valid signature",
        "chain_id" => "a valid chain id",
        _ => "a valid address",
    };
    if !matches!(value.node, Node::Bytes(_) | Node::Text(_)) {
        return Err(value.wrong_kind(&["string", "bytes"]));
    }
    if let ("address", Node::Text(text)) = (name, &value.node)
        && text.ends_with("%default")
    {
        let location = value.location;
        return Err(RuleError::UnexpectedDefault { location });
    }
    let bytes = match (name, &value.node) {
        ("address", _) => address_bytes(value),
        (_, Node::Bytes(bytes)) => {
            let bytes = hex::decode(bytes).unwrap_or_default();
            is_named(name, &bytes).then_some(bytes)
        }
        (_, Node::Text(text)) => text_bytes(name, text),
        _ => None,
    };
    bytes
        .map(Datum::Bytes)
        .ok_or_else(|| value.wrong_form(form))
}

fn is_named(name: &str, bytes: &[u8]) -> bool {
    let mut reader = Reader::new(bytes);
    match name {
        "key" => bytes
            .split_first()
            .is_some_and(|(tag, key)| PublicKey::from_tagged(*tag, key).is_some()),
        "key_hash" => PublicKeyHash::read(&mut reader).is_ok() && reader.is_empty(),
        "chain_id" => bytes.len() == 4,
        _ => matches!(bytes.len(), 64 | 96),
    }
}

fn text_bytes(name: &str, text: &str) -> Option<Vec<u8>> {
    let mut writer = crate::codec::Writer::new();
    match name {
        "key" => {
            let key = text.parse::<PublicKey>().ok()?;
            let (tag, bytes) = key.tagged();
            writer.u8(tag).raw(bytes);
        }
        "key_hash" => text.parse::<PublicKeyHash>().ok()?.write(&mut writer),
        "chain_id" => return Some(text.parse::<ChainId>().ok()?.0.into()),
        _ => {
            let signature = text.parse::<Signature>().ok()?;
            writer.raw(signature.as_bytes());
        }
    };
    Some(writer.into_bytes())
}

/// What may name a door of an address: the usual one goes unnamed (`of_string_strict` of
/// `entrypoint_repr.ml`).
fn is_door(name: &str) -> bool {
    name != "default" && name.parse::<Entrypoint>().is_ok()
}

/// The bytes of an address and its entrypoint, when it is one of an account, contract or rollup.
fn address_bytes(value: &Expr) -> Option<Vec<u8>> {
    match &value.node {
        Node::Bytes(bytes) => {
            let bytes = hex::decode(bytes).ok()?;
            let (owner, door) = bytes.split_at_checked(22)?;
            let name = std::str::from_utf8(door).ok()?;
            let is_owner = match owner.split_first()? {
                (3, rollup) => rollup.last() == Some(&0),
                _ => {
                    let mut reader = Reader::new(owner);
                    Contract::read(&mut reader).is_ok() && reader.is_empty()
                }
            };
            (is_owner && is_door(name)).then_some(bytes)
        }
        Node::Text(text) => {
            let (text, door) = text.split_once('%').unwrap_or((text, ""));
            if !is_door(door) {
                return None;
            }
            let mut writer = crate::codec::Writer::new();
            match text.parse::<Contract>() {
                Ok(owner) => owner.write(&mut writer),
                Err(_) => {
                    let rollup = text.parse::<RollupAddress>().ok()?;
                    writer.u8(3).raw(&rollup.0).u8(0);
                }
            }
            let mut bytes = writer.into_bytes();
            bytes.extend(door.as_bytes());
            Some(bytes)
        }
        _ => None,
    }
}
