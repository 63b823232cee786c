//! Helpers that compute without changing the chain: simulation, forging, levels.
//!
//! Simulation evaluates at the level of the block asked, or with `successor_level` at the next one;
//! `latency` only bears on the node's cache (`RPC.ml`, `services_registration.ml`).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Reply, Request, View, blocks, flag, query, scripts, version};
use crate::protocol::operation::{Form, Operation, SignedOperation};
use crate::protocol::{ChainId, Mutez, OperationHash};
use crate::sim::apply::Pending;
use crate::sim::block::{Block, Rules};
use crate::sim::context::Context;
use crate::sim::errors::{RuleError, Trace};
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
        ["forge", "signed_operations"] => body().and_then(|body| forge_signed(form, &body)),
        ["parse", "operations"] => body().and_then(|body| parse(block, form, &body)),
        ["current_level"] => level_info(request, block),
        ["levels_in_current_cycle"] => cycle_levels(request, block),
        ["round"] => Ok(block.header.round.into()),
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
    let signed = SignedOperation::from_json(json, form).map_err(Reply::bad_request)?;
    let protocol = context.protocol;
    let refused = |errors: Trace| Reply::refused(&errors, protocol);
    validate(&context, form, &signed, signatures).map_err(refused)?;
    let hash = signed.hash(form).map_err(Reply::bad_request)?;
    Ok(applied(view, context, &signed, hash).0)
}

/// The receipts of a valid operation, and the state it leaves.
fn applied(
    view: View<'_>,
    context: Context,
    signed: &SignedOperation,
    hash: OperationHash,
) -> (Value, Context) {
    let mut pending = Pending {
        context,
        messages: Vec::new(),
        fees: Mutez(0),
        milligas: 0,
    };
    let included = pending.apply(signed, hash);
    let dialect = view.chain.config().dialect;
    let mut object = included.content_json(dialect, Shown::Receipts);
    object.remove("branch");
    (Value::Object(object), pending.context)
}

/// Applies signed operations one after the other, as a block would: all are validated in the state
/// before, one of each source.
fn preapply(view: View<'_>, context: &Context, form: Form, body: &Value) -> Result<Value, Reply> {
    let operations = body
        .as_array()
        .ok_or_else(|| Reply::bad_request("not a list"))?;
    let before = next(context)?;
    let refused = |errors: Trace| Reply::refused(&errors, before.protocol);
    let mut after = before.clone();
    let mut all = Vec::new();
    let mut managers = BTreeMap::new();
    for json in operations {
        let signed = SignedOperation::from_json(json, form).map_err(Reply::bad_request)?;
        let hash = signed.hash(form).map_err(Reply::bad_request)?;
        let valid = validate(&before, form, &signed, Signatures::Checked).map_err(refused)?;
        if let Some(existing) = managers.insert(valid.source, hash) {
            let restriction = RuleError::ManagerRestriction {
                source: valid.source,
                conflict: json!({"existing": existing, "new_operation": hash}),
            };
            return Err(refused(restriction.into()));
        }
        let (shown, state) = applied(view, after, &signed, hash);
        all.push(shown);
        after = state;
    }
    Ok(all.into())
}

fn forge(form: Form, body: &Value) -> Result<Value, Reply> {
    let operation = Operation::from_json(body, form).map_err(Reply::bad_request)?;
    let bytes = operation.to_bytes(form).map_err(Reply::bad_request)?;
    Ok(hex::encode(bytes).into())
}

fn forge_signed(form: Form, body: &Value) -> Result<Value, Reply> {
    let signed = SignedOperation::from_json(body, form).map_err(Reply::bad_request)?;
    let bytes = signed.to_bytes(form).map_err(Reply::bad_request)?;
    Ok(hex::encode(bytes).into())
}

/// The level `offset` blocks after the block, and where it stands in its cycle.
fn level_info(request: &Request<'_>, block: &Block) -> Result<Value, Reply> {
    let offset: i32 = query(request, "offset")
        .unwrap_or("0")
        .parse()
        .map_err(|_| Reply::bad_request("offset is no number"))?;
    let level = block.header.level.get().checked_add(offset);
    let level = level.filter(|level| *level >= 0);
    level
        .map(blocks::level_json)
        .ok_or_else(|| Reply::bad_request("no such level"))
}

/// First and last level of the block's cycle, or of the one `offset` cycles after.
fn cycle_levels(request: &Request<'_>, block: &Block) -> Result<Value, Reply> {
    let offset: i32 = query(request, "offset")
        .unwrap_or("0")
        .parse()
        .map_err(|_| Reply::bad_request("offset is no number"))?;
    let position = block.header.level.get().saturating_sub(1).max(0);
    let cycle = position / blocks::CYCLE_LENGTH;
    let first = cycle
        .checked_add(offset)
        .filter(|cycle| *cycle >= 0)
        .and_then(|cycle| cycle.checked_mul(blocks::CYCLE_LENGTH)?.checked_add(1))
        .ok_or_else(Reply::not_found)?;
    let last = first.saturating_add(blocks::CYCLE_LENGTH - 1);
    Ok(json!({"first": first, "last": last}))
}

fn parse(block: &Block, form: Form, body: &Value) -> Result<Value, Reply> {
    let operations = body.get("operations").and_then(Value::as_array);
    operations
        .ok_or_else(|| Reply::bad_request("no operations"))?
        .iter()
        .map(|json| parse_one(block.next_protocol, form, json))
        .collect()
}

fn parse_one(rules: Rules, form: Form, json: &Value) -> Result<Value, Reply> {
    let text = |key: &str| json.get(key).and_then(Value::as_str).unwrap_or_default();
    let branch: crate::protocol::BlockHash = text("branch").parse().map_err(Reply::bad_request)?;
    let mut bytes = branch.0.to_vec();
    bytes.extend(hex::decode(text("data")).map_err(Reply::bad_request)?);
    let signed = SignedOperation::from_bytes(form, &bytes).map_err(Reply::bad_request)?;
    let mut object = Map::new();
    object.insert("protocol".into(), rules.hash_text().into());
    if let Ok(Value::Object(fields)) = signed.to_json(form) {
        object.extend(fields);
    }
    Ok(object.into())
}
