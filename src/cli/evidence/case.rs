//! What is read out of a file of evidence.

use std::collections::BTreeMap;

use serde_json::Value;

use super::FORMAT;
use crate::codec::Reader as Bytes;
use crate::game::Facts;
use crate::protocol::operation::{Form, Refutation, SignedOperation, Stakers};
use crate::protocol::{
    Clock, Commitment, Game, Level, OperationHash, Protocol, PublicKeyHash, RollupAddress,
    StateHash, Tick,
};
use crate::pvm::Activation;
use crate::tower::move_of;

/// The journal's form of moves.
pub(super) struct Seen {
    pub(super) name: Vec<u8>,
    pub(super) game: Game,
    pub(super) content: Vec<u8>,
    pub(super) clock: Clock,
    /// Our move there, if we made one.
    pub(super) ours: Option<Refutation>,
}

/// An operation of ours in a block.
pub(super) struct Sent {
    pub(super) operation: SignedOperation,
    pub(super) included: Level,
}

/// Everything.
pub(super) struct Case {
    pub(super) facts: Facts,
    pub(super) stakers: Stakers,
    pub(super) start: Level,
    pub(super) inbox_level: Level,
    pub(super) parent: Commitment,
    pub(super) ours: Commitment,
    pub(super) claims: Vec<(PublicKeyHash, Commitment, bool)>,
    pub(super) course: Vec<Seen>,
    pub(super) states: BTreeMap<Tick, Option<StateHash>>,
    pub(super) sent: Vec<Sent>,
}

pub(super) fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str, String> {
    let found = value.get(key).and_then(Value::as_str);
    found.ok_or_else(|| format!("{key} is missing"))
}

fn number(value: &Value, key: &str) -> Result<i64, String> {
    let found = value.get(key).and_then(Value::as_i64);
    found.ok_or_else(|| format!("{key} is missing"))
}

pub(super) fn level(value: &Value, key: &str) -> Result<Level, String> {
    Level::try_from(number(value, key)?).map_err(|error| error.to_string())
}

pub(super) fn list<'a>(value: &'a Value, key: &str) -> Result<&'a [Value], String> {
    let found = value.get(key).and_then(Value::as_array);
    found
        .map(Vec::as_slice)
        .ok_or_else(|| format!("{key} is missing"))
}

pub(super) fn bytes(value: &Value, key: &str) -> Result<Vec<u8>, String> {
    hex::decode(text(value, key)?).map_err(|error| format!("{key}: {error}"))
}

fn account(value: &Value, key: &str) -> Result<PublicKeyHash, String> {
    let read = text(value, key)?.parse();
    read.map_err(|error| format!("{key}: {error}"))
}

impl Case {
    pub(super) fn read(evidence: &Value) -> Result<Self, String> {
        let form = text(evidence, "format")?;
        if form != FORMAT {
            return Err(format!(
                "the format is {form:?}, this program checks {FORMAT}"
            ));
        }
        let (rollup, dialect) = RollupAddress::of_any_dialect(text(evidence, "rollup")?)
            .map_err(|error| error.to_string())?;
        let protocol = Protocol::from_version_text(text(evidence, "protocol")?)
            .ok_or("the protocol is not one this program knows")?;
        let commitment = |value: &Value, key: &str| {
            let json = value.get(key).unwrap_or(&Value::Null);
            Commitment::from_json(json, dialect).map_err(|error| format!("{key}: {error}"))
        };
        let context = evidence.get("context").unwrap_or(&Value::Null);
        let mut claims = Vec::new();
        for claim in list(evidence, "claims")? {
            let is_true = claim.get("is_true").and_then(Value::as_bool);
            let is_true = is_true.ok_or("is_true is missing")?;
            claims.push((
                account(claim, "staker")?,
                commitment(claim, "commitment")?,
                is_true,
            ));
        }
        let (alice, bob) = (account(evidence, "alice")?, account(evidence, "bob")?);
        let stakers = Stakers::new(alice, bob);
        if stakers.alice() != alice {
            return Err("alice is not the smaller account".into());
        }
        Ok(Self {
            facts: facts(protocol, rollup, context)?,
            stakers,
            start: level(evidence, "start_level")?,
            inbox_level: level(evidence, "inbox_level")?,
            parent: commitment(evidence, "parent")?,
            ours: commitment(evidence, "ours")?,
            claims,
            course: course(evidence)?,
            states: states(evidence)?,
            sent: sent(evidence)?,
        })
    }
}

fn facts(protocol: Protocol, rollup: RollupAddress, context: &Value) -> Result<Facts, String> {
    let mut facts = Facts::wasm(protocol, rollup, level(context, "origination_level")?);
    for row in list(context, "constants")? {
        let from = level(row, "level")?;
        let reveals = list(row, "reveals")?;
        let of = |place: usize| -> Option<Level> {
            let number = reveals.get(place)?.as_i64()?;
            Level::try_from(number).ok()
        };
        facts.activation = Activation {
            preimage: of(0),
            metadata: of(1),
            dal_page: of(2),
            dal_parameters: of(3),
        };
        if let Some(numbers) = row.get("dal").and_then(Value::as_array) {
            let mut parameters = [0; 32];
            for (place, number) in parameters.chunks_mut(8).zip(numbers) {
                let number = number.as_i64().ok_or("dal is not made of numbers")?;
                place.copy_from_slice(&number.to_be_bytes());
            }
            facts.dal_parameters.insert(from, parameters);
        }
    }
    Ok(facts)
}

fn course(evidence: &Value) -> Result<Vec<Seen>, String> {
    let mut moves = BTreeMap::new();
    for row in list(evidence, "moves")? {
        let kind = text(row, "kind")?;
        let refutation = match row.get("refutation") {
            Some(Value::String(_)) => {
                Some(move_of(&bytes(row, "refutation")?).ok_or("a move of ours cannot be read")?)
            }
            _ => None,
        };
        if kind != kind_of(refutation.as_ref()) {
            return Err(format!("a move is called {kind} and is none"));
        }
        moves.insert(bytes(row, "position")?, refutation);
    }
    let mut course = Vec::new();
    for row in list(evidence, "positions")? {
        let content = bytes(row, "game")?;
        let mut reader = Bytes::new(&content);
        let game = Game::read(&mut reader).map_err(|error| error.to_string())?;
        reader.finish().map_err(|error| error.to_string())?;
        let left = |key| -> Result<i32, String> {
            i32::try_from(number(row, key)?).map_err(|error| format!("{key}: {error}"))
        };
        let name = bytes(row, "position")?;
        course.push(Seen {
            clock: Clock {
                alice: left("alice_left")?,
                bob: left("bob_left")?,
                last_turn: level(row, "last_turn_level")?,
            },
            ours: moves.remove(&name).flatten(),
            game,
            content,
            name,
        });
    }
    if moves.is_empty() {
        Ok(course)
    } else {
        Err("a move of ours answers no position of the game".into())
    }
}

fn kind_of(refutation: Option<&Refutation>) -> &'static str {
    match refutation {
        Some(Refutation::Move {
            step: crate::protocol::operation::Step::Proof(_),
            ..
        }) => "proof",
        Some(_) => "dissection",
        None => "none",
    }
}

fn states(evidence: &Value) -> Result<BTreeMap<Tick, Option<StateHash>>, String> {
    let mut states = BTreeMap::new();
    for row in list(evidence, "states")? {
        let tick: u128 = text(row, "tick")?
            .parse()
            .map_err(|error| format!("a tick of states: {error}"))?;
        let state = match row.get("ours") {
            Some(Value::Null) => None,
            _ => {
                let read: Result<[u8; 32], _> = bytes(row, "ours")?.try_into();
                Some(StateHash(read.map_err(|_| "a state has not 32 bytes")?))
            }
        };
        if states.insert(Tick(tick), state).is_some() {
            return Err(format!("two states are given for tick {tick}"));
        }
    }
    Ok(states)
}

fn sent(evidence: &Value) -> Result<Vec<Sent>, String> {
    let mut sent = Vec::new();
    for row in list(evidence, "operations")? {
        let form = match text(row, "form")? {
            "scr1" => Form::Scr1,
            version => Form::Modern(
                Protocol::from_version_text(version)
                    .ok_or_else(|| format!("{version} is no form of operations"))?,
            ),
        };
        let bytes = bytes(row, "bytes")?;
        let operation =
            SignedOperation::from_bytes(form, &bytes).map_err(|error| error.to_string())?;
        let hash = OperationHash(crate::crypto::blake2b(&bytes).0);
        if text(row, "hash")? != hash.to_string() {
            return Err(format!(
                "the operation called {} is {hash}",
                text(row, "hash")?
            ));
        }
        sent.push(Sent {
            operation,
            included: level(row, "included_level")?,
        });
    }
    Ok(sent)
}
