//! Paths of one block: naming it, its header, metadata, operations; and on to its context.

use serde_json::{Map, Value, json};

use super::{Reply, Request, View, contracts, delegates, helpers, query, rollups, shell, version};
use crate::crypto::Dialect;
use crate::protocol::{BlockHash, Level, Protocol, PublicKeyHash};
use crate::sim::block::{Block, PASSES, Rules};
use crate::sim::context::Context;
use crate::sim::errors::RuleError;
use crate::sim::parameters::blocks_per_cycle;
use crate::sim::receipts::Shown;

pub(super) fn answer(view: View<'_>, request: &Request<'_>, name: &str, rest: &[&str]) -> Reply {
    let block = match find(view, name) {
        Ok(block) => block,
        Err(reply) => return reply,
    };
    let level = block.header.level;
    if view.weather.is_gone(level) && !matches!(rest, ["hash"] | ["header", ..]) {
        return Reply::gone();
    }
    if matches!(rest, [] | ["metadata" | "operations", ..])
        && let Err(reply) = version(request, &["1"])
    {
        return reply;
    }
    match rest {
        [] => Reply::Ok(whole(view, request, block)),
        ["hash"] => Reply::Ok(json!(block.hash)),
        ["header"] => Reply::Ok(block.header_json(view.chain.id())),
        ["header", "shell"] => Reply::Ok(block.header.shell_json().into()),
        ["header", "raw"] => Reply::Ok(hex::encode(block.header.to_bytes()).into()),
        ["header", "protocol_data"] => Reply::Ok(protocol_data(block)),
        ["header", "protocol_data", "raw"] => {
            Reply::Ok(hex::encode(block.header.protocol_data()).into())
        }
        ["protocols"] => Reply::Ok(json!({
            "protocol": block.protocol.hash_text(),
            "next_protocol": block.next_protocol.hash_text(),
        })),
        ["metadata"] => Reply::Ok(metadata(view, block)),
        ["live_blocks"] => Reply::Ok(json!(view.chain.live_blocks(block))),
        ["operation_hashes", rest @ ..] => operation_hashes(block, rest),
        ["operations", rest @ ..] => operations(view, request, block, rest),
        ["context", rest @ ..] => context(view, request, block, rest),
        ["helpers", rest @ ..] => helpers::answer(view, request, block, rest),
        ["votes", rest @ ..] => votes(block, rest),
        _ => Reply::not_found(),
    }
}

/// The block a name means (`parse_block`, `block_of_identifier`): an alias, a level or a hash, then
/// `~n` or `-n` blocks back, or `+n` ahead on the head's branch.
fn find<'a>(view: View<'a>, name: &str) -> Result<&'a Block, Reply> {
    let bad = || bad_name(name);
    let delimiter = name.find(['~', '-', '+']);
    let (base, offset) = match delimiter {
        None => (name, 0),
        Some(at) => {
            let (base, rest) = name.split_at(at);
            let mut rest = rest.chars();
            let ahead = rest.next() == Some('+');
            let count: i64 = rest.as_str().parse::<u32>().map_err(|_| bad())?.into();
            (base, if ahead { -count } else { count })
        }
    };
    let at = |level: i64| {
        let level = Level::try_from(level).ok()?;
        (level <= view.head().header.level)
            .then(|| view.chain.at(level))
            .flatten()
            .map(AsRef::as_ref)
    };
    let found = match base {
        "head" if offset < 0 => None,
        "head" => back(view, view.head(), offset),
        "genesis" if offset > 0 => return Err(bad()),
        "genesis" => at(-offset),
        "checkpoint" | "savepoint" | "caboose" => {
            let level = shell::place_of(view, base);
            at(i64::from(level.get()).saturating_sub(offset))
        }
        _ => match base.parse::<i64>() {
            Ok(level) if level < 0 => return Err(bad()),
            Ok(0) => at(0),
            Ok(level) => at(level.saturating_sub(offset)),
            Err(_) => {
                let hash: BlockHash = base.parse().map_err(|_| bad())?;
                named(view, hash).and_then(|block| back(view, block, offset))
            }
        },
    };
    found.ok_or_else(Reply::not_found)
}

fn back<'a>(view: View<'a>, start: &'a Block, offset: i64) -> Option<&'a Block> {
    let level = i64::from(start.header.level.get()).checked_sub(offset)?;
    match u32::try_from(offset) {
        Ok(back) => ancestor(view, start, back),
        Err(_) => {
            let level = Level::try_from(level).ok()?;
            let known = level <= view.head().header.level;
            known
                .then(|| view.chain.at(level))
                .flatten()
                .map(AsRef::as_ref)
        }
    }
}

fn bad_name(name: &str) -> Reply {
    let why = format!("Cannot parse block identifier: {name}");
    Reply::bad_argument(name, "block_id", why)
}

/// The block of a hash, as this endpoint shows hashes.
fn named<'a>(view: View<'a>, hash: BlockHash) -> Option<&'a Block> {
    let known = view.chain.block(&hash).map(AsRef::as_ref);
    let Some(from) = view.weather.disagree_from else {
        return known;
    };
    let other = view
        .chain
        .block(&shell::other_hash(hash))
        .map(AsRef::as_ref);
    known
        .filter(|block| block.header.level < from)
        .or(other.filter(|block| block.header.level >= from))
}

fn ancestor<'a>(view: View<'a>, start: &'a Block, back: u32) -> Option<&'a Block> {
    let level = start.header.level.minus(back)?;
    let mut block = start;
    while block.header.level > level {
        // Once on the head's branch, levels lead straight there.
        if view
            .chain
            .at(block.header.level)
            .is_some_and(|main| main.hash == block.hash)
        {
            return view.chain.at(level).map(AsRef::as_ref);
        }
        block = view.chain.block(&block.header.predecessor)?;
    }
    Some(block)
}

fn protocol_data(block: &Block) -> Value {
    let mut object = Map::new();
    object.insert("protocol".into(), block.protocol.hash_text().into());
    object.extend(block.header.protocol_json(block.protocol));
    object.into()
}

fn whole(view: View<'_>, request: &Request<'_>, block: &Block) -> Value {
    json!({
        "protocol": block.protocol.hash_text(),
        "chain_id": view.chain.id(),
        "hash": block.hash,
        "header": block.raw_header_json(),
        "metadata": metadata(view, block),
        "operations": operation_lists(view, request, block),
    })
}

fn metadata(view: View<'_>, block: &Block) -> Value {
    let mut object = Map::new();
    object.insert("protocol".into(), block.protocol.hash_text().into());
    object.insert(
        "next_protocol".into(),
        block.next_protocol.hash_text().into(),
    );
    object.insert("test_chain_status".into(), json!({"status": "not_running"}));
    let Some(context) = &block.context else {
        object.insert("max_operations_ttl".into(), 0.into());
        object.insert("max_operation_data_length".into(), 0.into());
        object.insert("max_block_header_length".into(), 115.into());
        object.insert("max_operation_list_length".into(), json!([]));
        return object.into();
    };
    let parameters = &context.parameters;
    let ttl = parameters.rollup.operation_ttl;
    let level = block.header.level;
    let age = u32::try_from(level.get()).unwrap_or(0);
    object.insert("max_operations_ttl".into(), ttl.min(age).into());
    object.insert(
        "max_operation_data_length".into(),
        parameters.operation_size.into(),
    );
    object.insert("max_block_header_length".into(), 289.into());
    object.insert(
        "max_operation_list_length".into(),
        json!([
            {"max_size": 4_194_304, "max_op": 2048},
            {"max_size": 32_768},
            {"max_size": 135_168, "max_op": 132},
            {"max_size": 524_288},
        ]),
    );
    if block.protocol == Rules::Genesis {
        return object.into();
    }
    let baker = view.chain.config().baker;
    object.insert("proposer".into(), json!(baker));
    object.insert("baker".into(), json!(baker));
    object.insert(
        "level_info".into(),
        level_json(level.get(), context.protocol),
    );
    object.insert("voting_period_info".into(), voting_period(level.get()));
    object.insert("nonce_hash".into(), Value::Null);
    object.insert("deactivated".into(), json!([]));
    object.insert("balance_updates".into(), json!([]));
    object.insert("liquidity_baking_toggle_ema".into(), 0.into());
    let Rules::Of(protocol) = block.protocol else {
        return object.into();
    };
    if (Protocol::Oxford..=Protocol::Seoul).contains(&protocol) {
        object.insert("adaptive_issuance_vote_ema".into(), 0.into());
    }
    object.insert("implicit_operations_results".into(), json!([]));
    object.insert("proposer_consensus_key".into(), json!(baker));
    object.insert("baker_consensus_key".into(), json!(baker));
    object.insert(
        "consumed_milligas".into(),
        block.consumed_milligas.to_string().into(),
    );
    if protocol >= Protocol::ParisB {
        object.insert("dal_attestation".into(), "0".into());
    }
    if protocol >= Protocol::Tallinn {
        for unknown in [
            "all_bakers_attest_activation_level",
            "attestations",
            "preattestations",
        ] {
            object.insert(unknown.into(), Value::Null);
        }
    }
    object.into()
}

/// Where a level stands in its cycle, counted in cycles of the protocol's length.
pub(super) fn level_json(level: i32, protocol: Protocol) -> Value {
    let position = level.saturating_sub(1).max(0);
    let length = blocks_per_cycle(protocol);
    json!({
        "level": level,
        "level_position": position,
        "cycle": position / length,
        "cycle_position": position % length,
        "expected_commitment": false,
    })
}

/// The one voting period, in which nothing is ever proposed.
fn voting_period(level: i32) -> Value {
    let position = level.saturating_sub(1).max(0);
    json!({
        "voting_period": {"index": 0, "kind": "proposal", "start_position": 0},
        "position": position,
        "remaining": i32::MAX.saturating_sub(position),
    })
}

fn votes(block: &Block, rest: &[&str]) -> Reply {
    let level = block.header.level.get();
    match rest {
        ["listings" | "proposals" | "ballot_list"] => Reply::Ok(json!([])),
        ["ballots"] => Reply::Ok(json!({"yay": "0", "nay": "0", "pass": "0"})),
        ["current_proposal"] => Reply::Ok(Value::Null),
        ["current_quorum"] => Reply::Ok(5_000.into()),
        ["current_period"] => Reply::Ok(voting_period(level)),
        ["successor_period"] => Reply::Ok(voting_period(level.saturating_add(1))),
        ["total_voting_power"] => Reply::Ok("0".into()),
        ["proposal_count", account] => match account.parse::<PublicKeyHash>() {
            Ok(_) => Reply::Ok(0.into()),
            Err(_) => Reply::bad_account(account),
        },
        _ => Reply::not_found(),
    }
}

fn operation_hashes(block: &Block, rest: &[&str]) -> Reply {
    let managers: Vec<_> = block
        .operations
        .iter()
        .map(|included| included.hash)
        .collect();
    let passes = if block.header.level == Level::ZERO {
        0
    } else {
        usize::from(PASSES)
    };
    let mut lists = vec![Vec::new(); passes];
    if let Some(last) = lists.last_mut() {
        *last = managers;
    }
    of_lists(lists, rest)
}

/// Lists of a block's passes, one of them, or one item of one.
fn of_lists<T: serde::Serialize>(lists: Vec<Vec<T>>, rest: &[&str]) -> Reply {
    let offset = |name: &'static str, of: &str, text: &str| -> Result<i64, Reply> {
        let bad = |_| Reply::bad_argument(text, name, format!("Invalid {of} offset ({text})"));
        text.parse().map_err(bad)
    };
    let nth_pass = |pass| offset("list_offset", "list", pass);
    let nth_item = |nth| offset("operation_offset", "operation", nth);
    let told = match rest {
        [] => Ok(Some(json!(lists))),
        [pass] => nth_pass(pass).map(|pass| at(&lists, pass).map(|list| json!(list))),
        [pass, nth] => nth_pass(pass).and_then(|pass| {
            let nth = nth_item(nth)?;
            Ok(at(&lists, pass)
                .and_then(|list| at(list, nth))
                .map(|item| json!(item)))
        }),
        _ => Ok(None),
    };
    match told {
        Ok(found) => found.map_or_else(Reply::not_found, Reply::Ok),
        Err(reply) => reply,
    }
}

fn at<T>(items: &[T], index: i64) -> Option<&T> {
    items.get(usize::try_from(index).ok()?)
}

fn shown(view: View<'_>, request: &Request<'_>, level: Level) -> Shown {
    let asked = query(request, "metadata");
    if asked == Some("never") {
        return Shown::Nothing;
    }
    if view
        .weather
        .pruned_receipts_up_to
        .is_some_and(|pruned| level <= pruned)
    {
        return Shown::Nothing;
    }
    let forced = asked == Some("always") || query(request, "force_metadata").is_some();
    if view.weather.too_large_at == Some(level) && !forced {
        return Shown::TooLarge;
    }
    Shown::Receipts
}

fn operation_lists(view: View<'_>, request: &Request<'_>, block: &Block) -> Vec<Vec<Value>> {
    if block.header.level == Level::ZERO {
        return Vec::new();
    }
    let shown = shown(view, request, block.header.level);
    let (chain, dialect) = (view.chain.id(), view.chain.config().dialect);
    let managers = block
        .operations
        .iter()
        .map(|included| included.json(chain, dialect, shown))
        .collect();
    vec![Vec::new(), Vec::new(), Vec::new(), managers]
}

fn operations(view: View<'_>, request: &Request<'_>, block: &Block, rest: &[&str]) -> Reply {
    of_lists(operation_lists(view, request, block), rest)
}

/// The data-availability layer, which is off here, as on a sandbox: nothing is ever published on it.
fn dal(context: &Context, request: &Request<'_>, rest: &[&str]) -> Reply {
    let protocol = context.protocol;
    let refused = |error: RuleError| Reply::refused(&error.into(), protocol);
    let level_of = |text: &str| {
        let number = text.parse::<i64>().ok();
        number.and_then(|level| Level::try_from(level).ok())
    };
    match rest {
        ["confirmed_slot_headers_history"] if protocol < Protocol::ParisB => Reply::Ok(Value::Null),
        ["commitments_history"] if protocol >= Protocol::ParisB => Reply::Ok(Value::Null),
        ["skip_list_cells_of_level"] if protocol >= Protocol::Rio => Reply::Ok(json!([])),
        ["published_slot_headers"] if protocol >= Protocol::ParisB => {
            let asked = query(request, "level").map_or(Some(context.level), level_of);
            asked.map_or_else(
                || Reply::bad_request("level is no level"),
                |level| refused(RuleError::PublishedSlotHeadersNotInitialized { level }),
            )
        }
        ["past_parameters", text] if protocol >= Protocol::Ushuaia => level_of(text).map_or_else(
            || Reply::bad_argument(text, "block_level", "Cannot parse level"),
            |level| Reply::Ok(past_parameters(context, level)),
        ),
        ["shards"] => refused(RuleError::DalDisabled {}),
        _ => Reply::not_found(),
    }
}

/// The layer's parameters as they were at `level`, in today's shape.
fn past_parameters(context: &Context, level: Level) -> Value {
    let mut then = context.parameters.dal_parametric(context.protocol);
    let past = context.past_sizes.iter().find(|(until, _)| level <= *until);
    if let (Some((_, sizes)), Some(then)) = (past, then.as_object_mut()) {
        then.extend(sizes.json());
        then.insert("dynamic_lag_enable".into(), false.into());
        then.insert("attestation_lags".into(), json!([sizes.attestation_lag]));
    }
    then
}

/// What there is of money, and of money at stake.
fn issuance(context: &Context, leaf: &str) -> Reply {
    match leaf {
        "total_supply" => Reply::Ok(json!(context.ledger.supply())),
        "total_frozen_stake" => Reply::Ok("0".into()),
        "adaptive_issuance_launch_cycle" => Reply::Ok(0.into()),
        "total_currently_staked" if context.protocol >= Protocol::ParisB => {
            Reply::Ok(json!({"delegates": "0", "delegators": "0", "overstaked": "0"}))
        }
        _ => Reply::not_found(),
    }
}

/// Level of the block that handed the chain over to the protocol that answers.
fn first_level(view: View<'_>, block: &Block) -> Reply {
    let all = view.chain.config().protocols.range(..=block.header.level);
    all.last()
        .map_or_else(Reply::not_found, |(level, _)| Reply::Ok(json!(level)))
}

fn context(view: View<'_>, request: &Request<'_>, block: &Block, rest: &[&str]) -> Reply {
    let Some(context) = &block.context else {
        return Reply::not_found();
    };
    let dialect = view.chain.config().dialect;
    match (rest, dialect) {
        (["constants"], _) => Reply::Ok(context.parameters.json(context.protocol, dialect)),
        (["constants", "parametric"], _) => Reply::Ok(
            context
                .parameters
                .parametric_json(context.protocol, dialect),
        ),
        (["contracts"], _) => Reply::Ok(contracts::all(context)),
        (["contracts", contract, rest @ ..], _) => {
            contracts::answer(context, request, contract, rest)
        }
        (["denunciations"], _) => Reply::Ok(json!([])),
        (["delegates", rest @ ..], _) => delegates::answer(view, request, context, rest),
        ([leaf], Dialect::Modern) if context.protocol >= Protocol::Oxford => {
            issuance(context, leaf)
        }
        (["protocol", "first_level"], Dialect::Modern) if context.protocol >= Protocol::Rio => {
            first_level(view, block)
        }
        (["dal", rest @ ..], _) => dal(context, request, rest),
        (["smart_rollups", rest @ ..], Dialect::Modern)
        | (["sc_rollups", rest @ ..], Dialect::Scr1) => {
            rollups::answer(view, request, context, rest)
        }
        _ => Reply::not_found(),
    }
}
