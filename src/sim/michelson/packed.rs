//! The form in which data is packed and hashed (`unparse_data`, mode `Optimized_legacy`).

use serde_json::{Value, json};

use crate::codec::Writer;
use crate::protocol::{ContractHash, PublicKeyHash};

/// Depth of data that is followed.
const DEPTH: u32 = 1_000;

/// The form in which data of a plain type is packed; none when it is not of the type, or when the
/// type is not plain.
pub(crate) fn packable(of_type: &Value, data: &Value) -> Option<Value> {
    optimized(of_type, data, DEPTH)
}

fn optimized(of_type: &Value, data: &Value, depth: u32) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let name = of_type.get("prim")?.as_str()?;
    let types = arguments(of_type);
    match (name, types) {
        ("int" | "nat" | "mutez" | "timestamp", []) => {
            let digits = data.get("int")?.as_str()?;
            let is_signed = matches!(name, "int" | "timestamp");
            (is_signed || !digits.starts_with('-')).then(|| json!({"int": digits}))
        }
        ("string", []) => Some(json!({"string": data.get("string")?.as_str()?})),
        ("bytes", []) => Some(json!({"bytes": data.get("bytes")?.as_str()?})),
        ("key_hash", []) => hash(data, |text| {
            let mut writer = Writer::new();
            text.parse::<PublicKeyHash>().ok()?.write(&mut writer);
            Some(writer.into_bytes())
        }),
        ("address", []) => hash(data, address),
        ("unit" | "bool", []) => {
            let value = data.get("prim")?.as_str()?;
            let fits = match name {
                "unit" => value == "Unit",
                _ => matches!(value, "True" | "False"),
            };
            (fits && arguments(data).is_empty()).then(|| json!({"prim": value}))
        }
        ("option", [inner]) => match (data.get("prim")?.as_str()?, arguments(data)) {
            ("None", []) => Some(json!({"prim": "None"})),
            ("Some", [value]) => wrapped("Some", optimized(inner, value, depth)?),
            _ => None,
        },
        ("or", [left, right]) => match (data.get("prim")?.as_str()?, arguments(data)) {
            ("Left", [value]) => wrapped("Left", optimized(left, value, depth)?),
            ("Right", [value]) => wrapped("Right", optimized(right, value, depth)?),
            _ => None,
        },
        ("list", [item]) => {
            let items = data.as_array()?.iter();
            items.map(|value| optimized(item, value, depth)).collect()
        }
        ("pair", [_, _, ..]) => pair(types, data, depth),
        _ => None,
    }
}

/// A pair, as nested pairs of two.
fn pair(types: &[Value], data: &Value, depth: u32) -> Option<Value> {
    let [first, rest @ ..] = types else {
        return None;
    };
    let values = match data.as_array() {
        Some(values) => values.as_slice(),
        None if data.get("prim")?.as_str()? == "Pair" => arguments(data),
        None => return None,
    };
    let [head, tail @ ..] = values else {
        return None;
    };
    let one = optimized(first, head, depth)?;
    // Both the type and the value may be written as a comb, each in its own way.
    let tail = match tail {
        [] => return None,
        [last] => last.clone(),
        more => json!({"prim": "Pair", "args": more}),
    };
    let rest = match rest {
        [last] => last.clone(),
        more => json!({"prim": "pair", "args": more}),
    };
    let other = optimized(&rest, &tail, depth.checked_sub(1)?)?;
    Some(json!({"prim": "Pair", "args": [one, other]}))
}

fn arguments(expression: &Value) -> &[Value] {
    let arguments = expression.get("args").and_then(Value::as_array);
    arguments.map_or(&[], Vec::as_slice)
}

fn wrapped(prim: &str, value: Value) -> Option<Value> {
    Some(json!({"prim": prim, "args": [value]}))
}

/// A hash, already as bytes or as text that `read` knows.
fn hash(data: &Value, read: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Value> {
    if let Some(bytes) = data.get("bytes") {
        return Some(json!({"bytes": bytes.as_str()?}));
    }
    let bytes = read(data.get("string")?.as_str()?)?;
    Some(json!({"bytes": hex::encode(bytes)}))
}

/// An account or contract, and its entrypoint when it is not the usual one.
fn address(text: &str) -> Option<Vec<u8>> {
    let (text, entrypoint) = text.split_once('%').unwrap_or((text, ""));
    let mut writer = Writer::new();
    match text.parse::<PublicKeyHash>() {
        Ok(account) => {
            writer.u8(0);
            account.write(&mut writer);
        }
        Err(_) => {
            writer.u8(1);
            writer.raw(text.parse::<ContractHash>().ok()?.as_bytes());
            writer.u8(0);
        }
    }
    let mut bytes = writer.into_bytes();
    if entrypoint != "default" {
        bytes.extend(entrypoint.as_bytes());
    }
    Some(bytes)
}
