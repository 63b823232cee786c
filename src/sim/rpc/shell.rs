//! Paths of the node and of the chain as a whole.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Reply, Request, View, pool, query};
use crate::protocol::{BlockHash, Level, Protocol};
use crate::sim::block::{Block, Rules, by_fitness, timestamp_text};

/// Paths outside `chains`.
pub(super) fn of_node(view: View<'_>, segments: &[&str]) -> Reply {
    match segments {
        ["version"] => Reply::Ok(version(view)),
        ["network", "version"] => Reply::Ok(network_version(view)),
        ["config", "history_mode"] => Reply::Ok(json!({"history_mode": history_mode(view)})),
        ["config", "network", "user_activated_upgrades"]
        | ["config", "network", "user_activated_protocol_overrides"] => Reply::Ok(json!([])),
        ["network", "connections" | "peers" | "points"] => Reply::Ok(json!([])),
        ["health", "ready"] => Reply::Ok(json!({"ready": true})),
        ["protocols"] => Reply::Ok(protocols(view)),
        _ => Reply::not_found(),
    }
}

/// Paths of the chain that are not of one block.
pub(super) fn of_chain(view: View<'_>, request: &Request<'_>, rest: &[&str]) -> Reply {
    match rest {
        ["chain_id"] => Reply::Ok(json!(view.chain.id())),
        ["is_bootstrapped"] => Reply::Ok(bootstrapped(view)),
        ["blocks"] => block_list(view, request),
        ["invalid_blocks"] => Reply::Ok(json!([])),
        ["levels", name @ ("caboose" | "savepoint" | "checkpoint")] => {
            place(view.chain.at(place_of(view, name)).map(AsRef::as_ref))
        }
        ["protocols"] => Reply::Ok(activated(view).into()),
        ["protocols", hash] => protocol(view, hash),
        ["mempool", rest @ ..] => pool::answer(view, request, rest),
        _ => Reply::not_found(),
    }
}

fn version(view: View<'_>) -> Value {
    json!({
        "version": {"product": "octez", "major": 24, "minor": 0, "build": 0, "additional_info": "release"},
        "network_version": network_version(view),
        "commit_info": null,
    })
}

fn network_version(view: View<'_>) -> Value {
    json!({
        "chain_name": view.chain.config().name,
        "distributed_db_version": 2,
        "p2p_version": 1,
    })
}

fn history_mode(view: View<'_>) -> Value {
    match view.weather.gone_up_to {
        None => "archive".into(),
        Some(_) => json!({"rolling": {"additional_cycles": 1}}),
    }
}

fn bootstrapped(view: View<'_>) -> Value {
    if view.weather.unsynced {
        json!({"bootstrapped": false, "sync_state": "unsynced"})
    } else {
        json!({"bootstrapped": true, "sync_state": "synced"})
    }
}

/// What `monitor/bootstrapped` streams.
pub(in crate::sim) fn bootstrapped_item(block: &Block) -> Value {
    json!({"block": block.hash, "timestamp": timestamp_text(block.header.timestamp)})
}

/// Level of the block that `caboose`, `savepoint` or `checkpoint` names.
pub(super) fn place_of(view: View<'_>, name: &str) -> Level {
    if name == "checkpoint" {
        return view.head().header.level.minus(2).unwrap_or(Level::ZERO);
    }
    let gone = view.weather.gone_up_to.and_then(Level::next);
    gone.unwrap_or(Level::ZERO)
}

fn place(block: Option<&Block>) -> Reply {
    block.map_or_else(Reply::not_found, |block| {
        Reply::Ok(json!({"block_hash": block.hash, "level": block.header.level}))
    })
}

/// A branch of hashes for each block asked for, the fittest first; a branch ends where it meets one
/// told before (`list_blocks`).
fn block_list(view: View<'_>, request: &Request<'_>) -> Reply {
    let bad = |key: &str| Reply::bad_request(format!("Failed to parse the query string: {key}"));
    let Ok(length) = query(request, "length").unwrap_or("1").parse::<u32>() else {
        return bad("length");
    };
    let heads = request.query.iter().filter(|(key, _)| key == "head");
    let heads: Result<Vec<BlockHash>, _> = heads.map(|(_, text)| text.parse()).collect();
    let Ok(heads) = heads else {
        return bad("head");
    };
    let since = match query(request, "min_date").map(time_of) {
        None => i64::MIN,
        Some(Some(seconds)) => seconds,
        Some(None) => return bad("min_date"),
    };
    let found = heads.iter().filter_map(|hash| view.chain.block(hash));
    let mut found: Vec<&Block> = found
        .map(AsRef::as_ref)
        .filter(|block| block.header.timestamp >= since)
        .collect();
    if heads.is_empty() {
        found.push(view.head());
    }
    found.sort_by(|one, other| by_fitness(&other.header.fitness, &one.header.fitness));
    let mut told = BTreeSet::new();
    let branches = found.into_iter().map(|head| {
        let branch = branch(view, head, length, &told);
        told.extend(branch.iter().copied());
        json!(branch)
    });
    Reply::Ok(branches.collect())
}

/// Hashes of `head` and its predecessors, up to the first of those `told`.
fn branch(view: View<'_>, head: &Block, length: u32, told: &BTreeSet<BlockHash>) -> Vec<BlockHash> {
    let mut hashes = vec![head.hash];
    let mut at = head;
    for _ in 1..length {
        let before = view.chain.block(&at.header.predecessor);
        let before = before.filter(|_| at.header.level > Level::ZERO);
        let Some(before) = before.filter(|_| !told.contains(&at.hash)) else {
            break;
        };
        hashes.push(before.hash);
        at = before;
    }
    hashes
}

/// A time in seconds, or as the node writes it.
fn time_of(text: &str) -> Option<i64> {
    let written = || text.parse::<Timestamp>().ok().map(Timestamp::as_second);
    text.parse().ok().or_else(written)
}

/// Level and rules of every activation up to the head.
fn activations<'a>(view: View<'a>) -> Vec<(Level, Protocol)> {
    let head = view.head().header.level;
    let all = view.chain.config().protocols.iter();
    all.filter(|(level, _)| **level <= head)
        .map(|(level, (protocol, _))| (*level, *protocol))
        .collect()
}

fn protocols(view: View<'_>) -> Value {
    let mut hashes = vec![Rules::BeforeGenesis.hash_text(), Rules::Genesis.hash_text()];
    for (_, protocol) in activations(view) {
        hashes.push(protocol.hash_text());
    }
    json!(hashes)
}

/// The protocols of the chain and the blocks that activated them, oldest first.
fn activated(view: View<'_>) -> Vec<Value> {
    let first = [(Level::ZERO, Rules::Genesis.hash_text())];
    let later = activations(view)
        .into_iter()
        .map(|(level, protocol)| (level, protocol.hash_text()));
    let all = first.into_iter().chain(later).enumerate();
    all.map(|(nth, (level, hash))| {
        let block = view.chain.at(level).map(|block| block.hash);
        json!({
            "protocol": hash,
            "proto_level": nth,
            "activation_block": {"block_hash": block, "level": level},
        })
    })
    .collect()
}

fn protocol(view: View<'_>, hash: &str) -> Reply {
    activated(view)
        .into_iter()
        .find(|item| item.get("protocol").and_then(Value::as_str) == Some(hash))
        .map_or_else(Reply::not_found, Reply::Ok)
}

/// On an endpoint of another branch, every block from the level on has another hash, wherever its
/// hash is shown.
pub(super) fn disagree(view: View<'_>, reply: Reply) -> Reply {
    let Some(from) = view.weather.disagree_from else {
        return reply;
    };
    match reply {
        Reply::Ok(value) => Reply::Ok(other_hashes(view, from, value)),
        other => other,
    }
}

/// Replaces the hashes of blocks from `from` on in any answer.
pub(in crate::sim) fn other_hashes(view: View<'_>, from: Level, value: Value) -> Value {
    match value {
        Value::String(text) => {
            let hash = text
                .starts_with('B')
                .then(|| text.parse::<BlockHash>().ok())
                .flatten();
            let level = hash
                .and_then(|hash| view.chain.block(&hash))
                .map(|block| block.header.level);
            match (hash, level) {
                (Some(hash), Some(level)) if level >= from => other_hash(hash).to_string().into(),
                _ => text.into(),
            }
        }
        Value::Array(items) => items
            .into_iter()
            .map(|item| other_hashes(view, from, item))
            .collect(),
        Value::Object(object) => object
            .into_iter()
            .map(|(key, value)| (key, other_hashes(view, from, value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}

/// The other hash of a block, and back.
pub(super) fn other_hash(mut hash: BlockHash) -> BlockHash {
    for byte in &mut hash.0 {
        *byte = !*byte;
    }
    hash
}
