//! Paths of the node and of the chain as a whole.

use serde_json::{Value, json};

use super::{Reply, Request, View, query};
use crate::protocol::{BlockHash, Level, Protocol};
use crate::sim::block::{Block, Rules, timestamp_text};

/// Paths outside `chains`.
pub(super) fn of_node(view: View<'_>, segments: &[&str]) -> Reply {
    match segments {
        ["version"] => Reply::Ok(version(view)),
        ["network", "version"] => Reply::Ok(network_version(view)),
        ["config", "history_mode"] => Reply::Ok(json!({"history_mode": history_mode(view)})),
        ["config", "network", "user_activated_upgrades"]
        | ["config", "network", "user_activated_protocol_overrides"] => Reply::Ok(json!([])),
        ["health"] => Reply::Ok(json!({})),
        ["protocols"] => Reply::Ok(protocols(view)),
        _ => Reply::not_found(),
    }
}

/// Paths of the chain that are not of one block.
pub(super) fn of_chain(view: View<'_>, request: &Request<'_>, rest: &[&str]) -> Reply {
    match rest {
        ["chain_id"] => Reply::Ok(json!(view.chain.id())),
        ["is_bootstrapped"] => Reply::Ok(bootstrapped(view)),
        ["blocks"] => Reply::Ok(block_list(view, request)),
        ["invalid_blocks"] => Reply::Ok(json!([])),
        ["levels", "caboose" | "savepoint"] => {
            let level = view
                .weather
                .gone_up_to
                .and_then(Level::next)
                .unwrap_or(Level::ZERO);
            place(view.chain.at(level).map(AsRef::as_ref))
        }
        ["levels", "checkpoint"] => {
            let level = view.head().header.level.minus(2).unwrap_or(Level::ZERO);
            place(view.chain.at(level).map(AsRef::as_ref))
        }
        ["protocols"] => Reply::Ok(protocols(view)),
        ["protocols", hash] => protocol(view, hash),
        ["mempool", rest @ ..] => mempool(view, rest),
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

fn place(block: Option<&Block>) -> Reply {
    block.map_or_else(Reply::not_found, |block| {
        Reply::Ok(json!({"block_hash": block.hash, "level": block.header.level}))
    })
}

fn block_list(view: View<'_>, request: &Request<'_>) -> Value {
    let length: usize = query(request, "length")
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let head = view.head().header.level;
    let hashes: Vec<_> = (0..length.min(10_000))
        .filter_map(|back| head.minus(u32::try_from(back).ok()?))
        .filter_map(|level| view.chain.at(level))
        .map(|block| block.hash)
        .collect();
    json!([hashes])
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

fn protocol(view: View<'_>, hash: &str) -> Reply {
    let found = activations(view)
        .into_iter()
        .enumerate()
        .find(|(_, (_, protocol))| protocol.hash_text() == hash);
    let Some((nth, (level, _))) = found else {
        return Reply::not_found();
    };
    let block = view.chain.at(level).map(|block| block.hash);
    Reply::Ok(json!({
        "protocol": hash,
        "proto_level": nth.saturating_add(1),
        "activation_block": {"block_hash": block, "level": level},
    }))
}

fn mempool(view: View<'_>, rest: &[&str]) -> Reply {
    match rest {
        ["pending_operations"] => {
            let protocol = view.chain.context().protocol;
            Reply::Ok(view.chain.mempool().json(view.chain.form(), protocol))
        }
        ["filter"] => Reply::Ok(json!({
            "minimal_fees": "100",
            "minimal_nanotez_per_gas_unit": ["100", "1"],
            "minimal_nanotez_per_byte": ["1000", "1"],
            "replace_by_fee_factor": ["21", "20"],
        })),
        _ => Reply::not_found(),
    }
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
