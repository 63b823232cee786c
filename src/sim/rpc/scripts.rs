//! `helpers/scripts` besides simulation: Michelson asked for without an operation.
//!
//! Promises: data of plain types is packed as on a node (`Script_ir_translator.pack_data`, mode
//! `Optimized_legacy`). Everything that needs the interpreter or its type checker is refused with an
//! error in the node's shape: this chain judges rollups and runs no contracts of others, and an
//! invented answer would be worse than none. The gas is never counted.

use serde_json::{Value, json};

use super::Reply;
use crate::codec::Micheline;
use crate::sim::context::Context;
use crate::sim::errors::RuleError;
use crate::sim::michelson::packable;

/// What a node has under `helpers/scripts` and this chain refuses.
const INTERPRETED: [&str; 14] = [
    "run_code",
    "trace_code",
    "run_view",
    "run_script_view",
    "run_instruction",
    "typecheck_code",
    "typecheck_data",
    "script_size",
    "normalize_data",
    "normalize_stack",
    "normalize_script",
    "normalize_type",
    "entrypoint",
    "entrypoints",
];

/// Tag of packed data.
const PACKED: u8 = 5;

pub(super) fn answer(
    context: &Context,
    leaf: &str,
    body: impl FnOnce() -> Result<Value, Reply>,
) -> Result<Value, Reply> {
    if leaf == "pack_data" {
        return pack(context, &body()?);
    }
    if INTERPRETED.contains(&leaf) {
        return Err(refused(
            context,
            format!("the interpreter of Michelson ({leaf})"),
        ));
    }
    Err(Reply::not_found())
}

fn refused(context: &Context, what: String) -> Reply {
    Reply::refused(&RuleError::NotSupported { what }.into(), context.protocol)
}

fn pack(context: &Context, body: &Value) -> Result<Value, Reply> {
    let part = |key: &str| {
        let missing = || Reply::bad_request(format!("Failed to parse the request body: no {key}"));
        body.get(key).ok_or_else(missing)
    };
    let (of_type, data) = (part("type")?, part("data")?);
    let Some(plain) = packable(of_type, data) else {
        let what = format!("packing of {data} as {of_type}");
        return Err(refused(context, what));
    };
    let plain = Micheline::from_json(&plain).map_err(Reply::bad_request)?;
    let mut bytes = vec![PACKED];
    bytes.extend(plain.to_bytes());
    Ok(json!({"packed": hex::encode(bytes), "gas": "unaccounted"}))
}
