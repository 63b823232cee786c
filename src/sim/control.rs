//! The control surface of `devnet`, under `/devnet/`: the one place that lists it.
//!
//! | path | body or query | effect |
//! |---|---|---|
//! | `GET /devnet` | | accounts, rollups, relay contract, head |
//! | `POST /devnet/bake?count=n` | | bakes n blocks (1) |
//! | `POST /devnet/reorg?depth=d&blocks=n` | | replaces the newest d blocks by n others (d + 1) |
//! | `POST /devnet/switch?hash=B…` | | makes any known block the head |
//! | `POST /devnet/act` | an [`Act`](super::acts::Act) as JSON | signs and injects an operation of a bootstrap account |
//! | `POST /devnet/hire` | an [`Actor`] as JSON | a staker that acts by itself from now on |
//! | `GET`, `POST /devnet/weather` | a [`Weather`] as JSON | reads or changes this endpoint's weather |
//! | `GET /devnet/wasm_2_0_0/<hash>` | | a preimage, raw: what a reveal endpoint serves |
//! | `POST /devnet/preimage` | JSON string of hex digits | keeps a preimage, answers its hash |
//!
//! Answers are JSON. A refused operation answers 500 with the node's errors.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::actors::Actor;
use super::chain::{Abandoned, ChainError};
use super::errors::Trace;
use super::rpc::{Method, Reply, Request};
use super::scenario::Scenario;
use super::server::Shared;
use super::weather::Weather;
use crate::protocol::BlockHash;

const PREFIX: &str = "devnet";

/// Whether a path belongs here.
#[must_use]
pub(crate) fn is_control(path: &str) -> bool {
    path.trim_start_matches('/').split('/').next() == Some(PREFIX)
}

/// Answers a control request.
#[must_use]
pub(crate) fn answer(shared: &Shared, weather: &Mutex<Weather>, request: &Request<'_>) -> Reply {
    let path = request.path.trim_matches('/');
    let leaf = path
        .strip_prefix(PREFIX)
        .unwrap_or_default()
        .trim_start_matches('/');
    match (request.method, leaf) {
        (Method::Get, "") => Reply::Ok(shared.with(|scenario| scenario.summary())),
        (Method::Get, "weather") => {
            let weather = weather.lock().unwrap_or_else(PoisonError::into_inner);
            Reply::Ok(json!(*weather))
        }
        (Method::Post, "weather") => match serde_json::from_slice(request.body) {
            Ok(new) => {
                *weather.lock().unwrap_or_else(PoisonError::into_inner) = new;
                Reply::Ok(Value::Null)
            }
            Err(problem) => Reply::bad_request(problem),
        },
        (Method::Post, _) => shared.with(|scenario| command(scenario, request, leaf)),
        (Method::Get, _) => match leaf.strip_prefix("wasm_2_0_0/") {
            Some(hash) => shared.with(|scenario| preimage(scenario, hash)),
            None => Reply::not_found(),
        },
    }
}

fn command(scenario: &mut Scenario, request: &Request<'_>, leaf: &str) -> Reply {
    let number = |key: &str, default: u32| -> Result<u32, Reply> {
        let given = request.query.iter().find(|(name, _)| name == key);
        given.map_or(Ok(default), |(_, text)| {
            text.parse()
                .map_err(|_| Reply::bad_request(format!("{key} is {text:?}, not a number")))
        })
    };
    let done = match leaf {
        "bake" => number("count", 1).and_then(|count| {
            (0..count)
                .try_for_each(|_| scenario.advance())
                .map_err(refused)
        }),
        "reorg" => number("depth", 1).and_then(|depth| {
            let blocks = number("blocks", depth.saturating_add(1))?;
            scenario
                .chain_mut()
                .reorganise(depth, blocks, Abandoned::Returned)
                .map_err(refused)
        }),
        "switch" => switch(scenario, request),
        "act" => return act(scenario, request.body),
        "hire" => match serde_json::from_slice::<Actor>(request.body) {
            Ok(actor) => {
                scenario.hire(actor);
                Ok(())
            }
            Err(problem) => Err(Reply::bad_request(problem)),
        },
        "preimage" => return keep_preimage(scenario, request.body),
        _ => return Reply::not_found(),
    };
    match done {
        Ok(()) => {
            let head = scenario.chain().head();
            Reply::Ok(json!({"hash": head.hash, "level": head.header.level}))
        }
        Err(reply) => reply,
    }
}

fn refused(error: ChainError) -> Reply {
    Reply::bad_request(error)
}

fn switch(scenario: &mut Scenario, request: &Request<'_>) -> Result<(), Reply> {
    let given = request.query.iter().find(|(name, _)| name == "hash");
    let text = given.map(|(_, text)| text.as_str()).unwrap_or_default();
    let hash: BlockHash = text.parse().map_err(Reply::bad_request)?;
    scenario.chain_mut().switch_to(&hash).map_err(refused)
}

fn act(scenario: &mut Scenario, body: &[u8]) -> Reply {
    let act = match serde_json::from_slice(body) {
        Ok(act) => act,
        Err(problem) => return Reply::bad_request(problem),
    };
    let protocol = scenario.chain().context().protocol;
    match scenario.act(&act) {
        Ok(hash) => Reply::Ok(json!(hash)),
        Err(error) => match Trace::try_from(error) {
            Ok(errors) => Reply::refused(&errors, protocol),
            Err(error) => Reply::bad_request(error),
        },
    }
}

fn preimage(scenario: &Scenario, hash: &str) -> Reply {
    match scenario.preimage(hash) {
        Some(bytes) => Reply::Bytes(bytes.to_vec()),
        None => Reply::not_found(),
    }
}

fn keep_preimage(scenario: &mut Scenario, body: &[u8]) -> Reply {
    let bytes = serde_json::from_slice::<String>(body)
        .ok()
        .and_then(|text| hex::decode(text).ok());
    match bytes {
        Some(bytes) => Reply::Ok(scenario.keep_preimage(bytes).into()),
        None => Reply::bad_request("expected a JSON string of hexadecimal digits"),
    }
}
