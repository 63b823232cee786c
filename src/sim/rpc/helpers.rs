//! Helpers that compute without changing the chain: simulation, forging, levels.
//!
//! Simulation evaluates at the level of the block asked, or with `successor_level` at the next one;
//! `latency` only bears on the node's cache (`RPC.ml`, `services_registration.ml`).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Reply, Request, View, blocks, flag, query, scripts, version};
use crate::protocol::operation::{Action, Content, Form, SignedOperation};
use crate::protocol::{ChainId, Level, OperationHash, Protocol};
use crate::sim::apply::Pending;
use crate::sim::block::{Block, timestamp_text};
use crate::sim::context::Context;
use crate::sim::errors::{RuleError, Trace};
use crate::sim::parameters::blocks_per_cycle;
use crate::sim::receipts::Shown;
use crate::sim::validate::{Signatures, validate};

pub(super) fn answer(view: View<'_>, request: &Request<'_>, block: &Block, rest: &[&str]) -> Reply {
    let Some(context) = &block.context else {
        return Reply::not_found();
    };
    let body = || -> Result<Value, Reply> {
        serde_json::from_slice(request.body).map_err(Reply::bad_request)
    };
    let form = view.chain.form_of(context.protocol);
    let since = |protocol| context.protocol >= protocol;
    let answered = match rest {
        ["scripts", "simulate_operation"] => version(request, &["1"])
            .and_then(|()| body())
            .and_then(|body| simulate(view, request, context, form, &body)),
        ["scripts", "run_operation"] => version(request, &["1"])
            .and_then(|()| body())
            .and_then(|body| run_asked(view, context.clone(), form, &body)),
        ["scripts", leaf] => scripts::answer(context, leaf, body),
        ["preapply", "operations"] => body().and_then(|body| preapply(view, context, form, &body)),
        ["forge", "operations"] => body().and_then(|body| forge(form, &body)),
        ["forge", "signed_operations"] if since(Protocol::Seoul) => {
            body().and_then(|body| forge_signed(form, &body))
        }
        ["parse", "operations"] => version(request, &["1"])
            .and_then(|()| body())
            .and_then(|body| parse(context.protocol, form, &body)),
        ["current_level"] => level_info(request, block, context.protocol),
        ["levels_in_current_cycle"] => cycle_levels(request, block, context.protocol),
        ["round"] => Ok(block.header.round.into()),
        ["consecutive_round_zero"] if since(Protocol::Rio) => Ok(rounds_zero(view, block).into()),
        ["baking_rights"] => baking_rights(view, request, block, context),
        ["endorsing_rights"] if !since(Protocol::ParisB) => {
            Ok(attestation_rights(view, request, block, "endorsing_power"))
        }
        ["attestation_rights"] if since(Protocol::Nairobi) => {
            let power = match since(Protocol::Tallinn) {
                true => "attesting_power",
                false => "attestation_power",
            };
            Ok(attestation_rights(view, request, block, power))
        }
        _ => Err(Reply::not_found()),
    };
    answered.map_or_else(|reply| reply, Reply::Ok)
}

fn next(context: &Context) -> Result<Context, Reply> {
    let mut context = context.clone();
    context.level = context
        .level
        .next()
        .ok_or_else(|| Reply::bad_request("no such level"))?;
    Ok(context)
}

fn simulate(
    view: View<'_>,
    request: &Request<'_>,
    context: &Context,
    form: Form,
    body: &Value,
) -> Result<Value, Reply> {
    let context = if flag(request, "successor_level") {
        next(context)?
    } else {
        context.clone()
    };
    run_asked(view, context, form, body)
}

fn run_asked(view: View<'_>, context: Context, form: Form, body: &Value) -> Result<Value, Reply> {
    let missing =
        |what: &str| Reply::bad_request(format!("Failed to parse the request body: no {what}"));
    let operation = body.get("operation").ok_or_else(|| missing("operation"))?;
    let chain = body.get("chain_id").and_then(Value::as_str);
    chain
        .ok_or_else(|| missing("chain_id"))?
        .parse::<ChainId>()
        .map_err(Reply::bad_request)?;
    run(view, context, form, operation, Signatures::Ignored)
}

/// Validates an operation and applies it to a copy of the state; shows its receipts.
fn run(
    view: View<'_>,
    context: Context,
    form: Form,
    json: &Value,
    signatures: Signatures,
) -> Result<Value, Reply> {
    let signed = read(json, form)?;
    let protocol = context.protocol;
    let refused = |errors: Trace| Reply::refused(&errors, protocol);
    let is_refutation = |content: &Content| matches!(content.action, Action::Refute { .. });
    let refutes = signed.operation.contents.iter().any(is_refutation);
    if refutes && view.weather.refuses_refutations {
        return Err(refused(RuleError::WrongTurn {}.into()));
    }
    if refutes && view.weather.simulates_no_refutations {
        return Err(Reply::Status(503, String::new()));
    }
    validate(&context, form, &signed, signatures).map_err(refused)?;
    let hash = signed.hash(form).map_err(Reply::bad_request)?;
    let mut shown = applied(view, &mut Pending::on(context), &signed, hash);
    if let Some(milligas) = view.weather.gas_told {
        falsify_gas(&mut shown, milligas);
    }
    Ok(shown)
}

/// Another gas than was used.
fn falsify_gas(shown: &mut Value, milligas: u64) {
    let contents = shown.get_mut("contents").and_then(Value::as_array_mut);
    for content in contents.into_iter().flatten() {
        let result = content.pointer_mut("/metadata/operation_result");
        if let Some(result) = result.and_then(Value::as_object_mut) {
            result.insert("consumed_milligas".into(), milligas.to_string().into());
        }
    }
}

/// The receipts of a valid operation.
fn applied(
    view: View<'_>,
    pending: &mut Pending,
    signed: &SignedOperation,
    hash: OperationHash,
) -> Value {
    let form = view.chain.form_of(pending.context.protocol);
    let included = pending.apply(signed, form, hash);
    let dialect = view.chain.config().dialect;
    let mut object = included.content_json(dialect, Shown::Receipts);
    object.remove("branch");
    Value::Object(object)
}

/// Applies signed operations one after the other, as a block would: all are validated in the state
/// before, one of each source.
fn preapply(view: View<'_>, context: &Context, form: Form, body: &Value) -> Result<Value, Reply> {
    let operations = body
        .as_array()
        .ok_or_else(|| Reply::bad_request("not a list"))?;
    let before = next(context)?;
    let refused = |errors: Trace| Reply::refused(&errors, before.protocol);
    let mut after = Pending::on(before.clone());
    let mut all = Vec::new();
    let mut managers = BTreeMap::new();
    for json in operations {
        // They name the protocol that is to apply them.
        let named = json.get("protocol").and_then(Value::as_str);
        if named != Some(before.protocol.hash_text()) {
            let expected = before.protocol.hash_text();
            return Err(Reply::bad_request(format!(
                "Failed to parse the request body: At /protocol, expected {expected}"
            )));
        }
        let signed = read(json, form)?;
        let hash = signed.hash(form).map_err(Reply::bad_request)?;
        let valid = validate(&before, form, &signed, Signatures::Checked).map_err(refused)?;
        if let Some(existing) = managers.insert(valid.source, hash) {
            let restriction = RuleError::ManagerRestriction {
                source: valid.source,
                conflict: json!({"existing": existing, "new_operation": hash}),
            };
            return Err(refused(restriction.into()));
        }
        all.push(applied(view, &mut after, &signed, hash));
    }
    Ok(all.into())
}

/// An operation, which has some content.
fn read(json: &Value, form: Form) -> Result<SignedOperation, Reply> {
    let signed = SignedOperation::from_json(json, form).map_err(Reply::bad_request)?;
    match signed.operation.contents.is_empty() {
        false => Ok(signed),
        true => Err(Reply::bad_request(
            "Failed to parse the request body: Empty contents list.",
        )),
    }
}

fn forge(form: Form, body: &Value) -> Result<Value, Reply> {
    let bytes = read(body, form)?
        .operation
        .to_bytes(form)
        .map_err(Reply::bad_request)?;
    Ok(hex::encode(bytes).into())
}

fn forge_signed(form: Form, body: &Value) -> Result<Value, Reply> {
    let signed = read(body, form)?;
    let bytes = signed.to_bytes(form).map_err(Reply::bad_request)?;
    Ok(hex::encode(bytes).into())
}

/// The level `offset` blocks after the block, and where it stands in its cycle.
fn level_info(request: &Request<'_>, block: &Block, protocol: Protocol) -> Result<Value, Reply> {
    let offset: i32 = query(request, "offset")
        .unwrap_or("0")
        .parse()
        .map_err(|_| Reply::bad_request("offset is no number"))?;
    let level = block.header.level.get().checked_add(offset);
    let level = level.filter(|level| *level >= 0);
    level
        .map(|level| blocks::level_json(level, protocol))
        .ok_or_else(|| Reply::bad_request("no such level"))
}

/// First and last level of the block's cycle, or of the one `offset` cycles after.
fn cycle_levels(request: &Request<'_>, block: &Block, protocol: Protocol) -> Result<Value, Reply> {
    let offset: i32 = query(request, "offset")
        .unwrap_or("0")
        .parse()
        .map_err(|_| Reply::bad_request("offset is no number"))?;
    let position = block.header.level.get().saturating_sub(1).max(0);
    let length = blocks_per_cycle(protocol);
    let cycle = position / length;
    let first = cycle
        .checked_add(offset)
        .filter(|cycle| *cycle >= 0)
        .and_then(|cycle| cycle.checked_mul(length)?.checked_add(1))
        .ok_or_else(Reply::not_found)?;
    let last = first.saturating_add(length).saturating_sub(1);
    Ok(json!({"first": first, "last": last}))
}

/// Blocks of round 0 up to this one, in a row.
fn rounds_zero(view: View<'_>, block: &Block) -> u32 {
    let mut count: u32 = 0;
    let mut at = Some(block);
    while let Some(here) =
        at.filter(|here| here.header.round == 0 && here.header.level > Level::ZERO)
    {
        count = count.saturating_add(1);
        at = view
            .chain
            .block(&here.header.predecessor)
            .map(AsRef::as_ref);
    }
    count
}

/// Levels asked for, or the usual one.
fn levels(request: &Request<'_>, usual: i32) -> Vec<i32> {
    let asked = request.query.iter().filter(|(key, _)| key == "level");
    let asked: Vec<_> = asked.filter_map(|(_, text)| text.parse().ok()).collect();
    if asked.is_empty() { vec![usual] } else { asked }
}

/// Whether the one baker is among the delegates asked for.
fn asks_for_baker(view: View<'_>, request: &Request<'_>) -> bool {
    let baker = view.chain.config().baker.to_string();
    let mut asked = request
        .query
        .iter()
        .filter(|(key, _)| key == "delegate")
        .peekable();
    asked.peek().is_none() || asked.any(|(_, delegate)| *delegate == baker)
}

/// The one baker has the right to every round; the first is told, as a node does unless asked for
/// all.
fn baking_rights(
    view: View<'_>,
    request: &Request<'_>,
    block: &Block,
    context: &Context,
) -> Result<Value, Reply> {
    let baker = view.chain.config().baker;
    if !asks_for_baker(view, request) {
        return Ok(json!([]));
    }
    let max_round: u32 = query(request, "max_round")
        .unwrap_or("64")
        .parse()
        .map_err(|_| Reply::bad_request("max_round is no number"))?;
    let rounds = if flag(request, "all") { max_round } else { 0 };
    let (head, delay) = (&block.header, i64::from(context.parameters.block_delay));
    let increment = i64::from(context.parameters.round_increment());
    let mut rights = Vec::new();
    for level in levels(request, head.level.get().saturating_add(1)) {
        for round in 0..=rounds.min(1_000) {
            let mut right = Map::new();
            right.insert("level".into(), level.into());
            right.insert("delegate".into(), json!(baker));
            right.insert("round".into(), round.into());
            let ahead = i64::from(level.saturating_sub(head.level.get()));
            if ahead > 0 {
                let round = i64::from(round);
                let waited = round
                    .saturating_mul(delay)
                    .saturating_add(increment.saturating_mul(round.saturating_mul(round - 1) / 2));
                let time = head.timestamp.saturating_add(delay.saturating_mul(ahead));
                let time = timestamp_text(time.saturating_add(waited));
                right.insert("estimated_time".into(), time.into());
            }
            right.insert("consensus_key".into(), json!(baker));
            rights.push(Value::Object(right));
        }
    }
    Ok(rights.into())
}

/// All slots of the committee are the one baker's.
fn attestation_rights(view: View<'_>, request: &Request<'_>, block: &Block, power: &str) -> Value {
    let baker = view.chain.config().baker;
    if !asks_for_baker(view, request) {
        return json!([]);
    }
    let of_level = |level: i32| {
        json!({"level": level, "delegates": [{
            "delegate": baker, "first_slot": 0, power: 7_000, "consensus_key": baker,
        }]})
    };
    let levels = levels(request, block.header.level.get());
    levels.into_iter().map(of_level).collect()
}

/// Operations as their bytes say; signatures are not looked at, as on a node.
fn parse(protocol: Protocol, form: Form, body: &Value) -> Result<Value, Reply> {
    let operations = body.get("operations").and_then(Value::as_array);
    operations
        .ok_or_else(|| Reply::bad_request("Failed to parse the request body: no operations"))?
        .iter()
        .map(|json| parse_one(protocol, form, json))
        .collect()
}

fn parse_one(protocol: Protocol, form: Form, json: &Value) -> Result<Value, Reply> {
    let text = |key: &str| json.get(key).and_then(Value::as_str).unwrap_or_default();
    let branch: crate::protocol::BlockHash = text("branch").parse().map_err(Reply::bad_request)?;
    let mut bytes = branch.0.to_vec();
    bytes.extend(hex::decode(text("data")).map_err(Reply::bad_request)?);
    let no_operation = |_| Reply::refused(&RuleError::CannotParse {}.into(), protocol);
    let signed = SignedOperation::from_bytes(form, &bytes).map_err(no_operation)?;
    signed.to_json(form).map_err(Reply::bad_request)
}
