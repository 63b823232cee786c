//! Helpers that compute without changing the chain, and injection, which changes it.

use serde_json::{Map, Value, json};

use super::{Reply, Request, View, query};
use crate::codec::Reader;
use crate::protocol::operation::{Form, Operation, SignedOperation};
use crate::protocol::{Mutez, OperationHash};
use crate::sim::apply::Pending;
use crate::sim::block::{Block, Rules};
use crate::sim::chain::Chain;
use crate::sim::context::Context;
use crate::sim::errors::{RuleError, Trace};
use crate::sim::receipts::Shown;
use crate::sim::validate::{Signatures, validate};

/// Blocks that simulation looks ahead unless told otherwise.
const DEFAULT_LATENCY: u32 = 3;

pub(super) fn answer(view: View<'_>, request: &Request<'_>, block: &Block, rest: &[&str]) -> Reply {
    let Some(context) = &block.context else {
        return Reply::not_found();
    };
    let body = || -> Result<Value, Reply> {
        serde_json::from_slice(request.body).map_err(Reply::bad_request)
    };
    let form = view.chain.form_of(context.protocol);
    let answered = match rest {
        ["scripts", "simulate_operation"] => {
            body().and_then(|body| simulate(view, request, context, form, &body))
        }
        ["scripts", "run_operation"] => body().and_then(|body| {
            run(
                view,
                context.clone(),
                form,
                body.get("operation"),
                Signatures::Ignored,
            )
        }),
        ["preapply", "operations"] => body().and_then(|body| preapply(view, context, form, &body)),
        ["forge", "operations"] => body().and_then(|body| forge(form, &body)),
        ["parse", "operations"] => body().and_then(|body| parse(block, form, &body)),
        _ => Err(Reply::not_found()),
    };
    answered.map_or_else(|reply| reply, Reply::Ok)
}

fn ahead(context: &Context, blocks: u32) -> Result<Context, Reply> {
    let mut context = context.clone();
    context.level = context
        .level
        .plus(blocks)
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
    let successor = matches!(
        query(request, "successor_level"),
        Some("true" | "yes" | "1" | "")
    );
    let latency = body
        .get("latency")
        .and_then(Value::as_u64)
        .and_then(|latency| u32::try_from(latency).ok())
        .unwrap_or(DEFAULT_LATENCY);
    let context = ahead(context, if successor { 1 } else { latency })?;
    run(
        view,
        context,
        form,
        body.get("operation"),
        Signatures::Ignored,
    )
}

/// Applies an operation to a copy of the state and shows its receipts.
fn run(
    view: View<'_>,
    context: Context,
    form: Form,
    operation: Option<&Value>,
    signatures: Signatures,
) -> Result<Value, Reply> {
    let json = operation.ok_or_else(|| Reply::bad_request("no operation"))?;
    let signed = SignedOperation::from_json(json, form).map_err(Reply::bad_request)?;
    let protocol = context.protocol;
    let refused = |errors: Trace| Reply::refused(&errors, protocol);
    validate(&context, form, &signed, signatures).map_err(refused)?;
    let mut pending = Pending {
        context,
        messages: Vec::new(),
        fees: Mutez(0),
        milligas: 0,
    };
    // The address of an origination depends on a hash that the real one will not have.
    let included = pending.apply(&signed, OperationHash([0; 32]));
    let dialect = view.chain.config().dialect;
    let mut object = included.content_json(dialect, Shown::Receipts);
    object.remove("branch");
    Ok(Value::Object(object))
}

fn preapply(view: View<'_>, context: &Context, form: Form, body: &Value) -> Result<Value, Reply> {
    let operations = body
        .as_array()
        .ok_or_else(|| Reply::bad_request("not a list"))?;
    let context = ahead(context, 1)?;
    operations
        .iter()
        .map(|json| run(view, context.clone(), form, Some(json), Signatures::Checked))
        .collect()
}

fn forge(form: Form, body: &Value) -> Result<Value, Reply> {
    let operation = Operation::from_json(body, form).map_err(Reply::bad_request)?;
    let bytes = operation.to_bytes(form).map_err(Reply::bad_request)?;
    Ok(hex::encode(bytes).into())
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

/// What an injection did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Injected {
    /// The answer.
    Answered(Reply),
    /// The request is no injection.
    Other,
}

/// Injects when the request asks for it. `loses` makes a node that forgets what it took.
pub(crate) fn injection(chain: &mut Chain, request: &Request<'_>, loses: bool) -> Injected {
    let path = request.path.trim_matches('/');
    if path != "injection/operation" && path != "private/injection/operation" {
        return Injected::Other;
    }
    let Some(bytes) = signed_bytes(request.body) else {
        return Injected::Answered(Reply::bad_request(
            "expected the hexadecimal bytes of an operation",
        ));
    };
    if loses {
        let hash = OperationHash(crate::crypto::blake2b(&bytes).0);
        return Injected::Answered(Reply::Ok(json!(hash)));
    }
    let protocol = chain.context().protocol;
    Injected::Answered(match chain.inject(&bytes) {
        Ok(hash) => Reply::Ok(json!(hash)),
        Err(errors) if is_asynchronous(request) && !is_malformed(&errors) => {
            Reply::Ok(json!(OperationHash(crate::crypto::blake2b(&bytes).0)))
        }
        Err(errors) => {
            let dialect = chain.config().dialect;
            Reply::Errors(crate::sim::dialect::outgoing(
                errors.json(protocol),
                dialect,
            ))
        }
    })
}

fn is_asynchronous(request: &Request<'_>) -> bool {
    matches!(query(request, "async"), Some("true" | "yes" | "1" | ""))
}

fn is_malformed(errors: &Trace) -> bool {
    matches!(
        errors.first(),
        Some(RuleError::ParseError {} | RuleError::OversizedOperation { .. })
    )
}

/// A JSON string of hexadecimal digits, or bytes behind their length.
fn signed_bytes(body: &[u8]) -> Option<Vec<u8>> {
    if let Ok(text) = serde_json::from_slice::<String>(body) {
        return hex::decode(text).ok();
    }
    let mut reader = Reader::new(body);
    let bytes = reader.dynamic("operation", body.len()).ok()?;
    reader.is_empty().then(|| bytes.to_vec())
}
