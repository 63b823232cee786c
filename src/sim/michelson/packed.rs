//! The forms in which data is written (`unparse_data`): for packing and hashing in mode
//! `Optimized_legacy`, for operations in mode `Optimized`, which writes long combs as sequences.

use serde_json::{Value, json};

use crate::codec::Writer;
use crate::crypto::{PublicKey, Signature};
use crate::protocol::{ChainId, ContractHash, PublicKeyHash, RollupAddress};

/// Depth of data that is followed.
const DEPTH: u32 = 1_000;

/// The form in which data of a plain type is packed; none when it is not of the type, or when the
/// type is not plain.
pub(crate) fn packable(of_type: &Value, data: &Value) -> Option<Value> {
    written(of_type, data, DEPTH)
}

/// The form in which data of a plain type goes from one operation to another.
pub(crate) fn optimized(of_type: &Value, data: &Value) -> Option<Value> {
    Some(folded(of_type, written(of_type, data, DEPTH)?))
}

/// The same with every comb of four parts or more as a sequence.
fn folded(of_type: &Value, data: Value) -> Value {
    match data {
        Value::Array(items) => {
            let inner = arguments(of_type);
            let items = items.into_iter().map(|item| match inner {
                [one] => folded(one, item),
                [_, value] => folded_elt(value, item),
                _ => item,
            });
            items.collect()
        }
        Value::Object(_) if of_type["prim"] == "pair" => {
            let mut parts = Vec::new();
            comb(of_type, data, &mut parts);
            match <[Value; 2]>::try_from(parts) {
                Ok([one, other]) => json!({"prim": "Pair", "args": [one, other]}),
                Err(parts) => match <[Value; 3]>::try_from(parts) {
                    Ok([one, other, last]) => json!({"prim": "Pair", "args": [
                        one, {"prim": "Pair", "args": [other, last]}
                    ]}),
                    Err(parts) => parts.into(),
                },
            }
        }
        Value::Object(mut object) => {
            let which = match object.get("prim").and_then(Value::as_str) {
                Some("Some" | "Left") => 0,
                Some("Right") => 1,
                _ => return object.into(),
            };
            let inner = arguments(of_type).get(which).cloned().unwrap_or_default();
            if let Some(Value::Array(args)) = object.get_mut("args") {
                for argument in args {
                    *argument = folded(&inner, argument.take());
                }
            }
            object.into()
        }
        other => other,
    }
}

fn folded_elt(of_value: &Value, mut elt: Value) -> Value {
    if let Some(value) = elt.pointer_mut("/args/1") {
        *value = folded(of_value, value.take());
    }
    elt
}

/// Parts of a right comb as long as its type is one, each in its form.
fn comb(of_type: &Value, mut data: Value, parts: &mut Vec<Value>) {
    let (one, rest) = match arguments(of_type) {
        [one, last] => (one, last.clone()),
        [one, more @ ..] => (one, json!({"prim": "pair", "args": more})),
        [] => return,
    };
    let mut part = |nth: &str| data.pointer_mut(nth).map(Value::take).unwrap_or_default();
    let (head, tail) = (part("/args/0"), part("/args/1"));
    parts.push(folded(one, head));
    if rest["prim"] == "pair" {
        comb(&rest, tail, parts);
    } else {
        parts.push(folded(&rest, tail));
    }
}

fn written(of_type: &Value, data: &Value, depth: u32) -> Option<Value> {
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
        ("key", []) => hash(data, |text| {
            let key = text.parse::<PublicKey>().ok()?;
            let (tag, bytes) = key.tagged();
            Some([&[tag], bytes].concat())
        }),
        ("signature", []) => hash(data, |text| {
            Some(text.parse::<Signature>().ok()?.as_bytes().to_vec())
        }),
        ("chain_id", []) => hash(data, |text| Some(text.parse::<ChainId>().ok()?.0.to_vec())),
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
            ("Some", [value]) => wrapped("Some", written(inner, value, depth)?),
            _ => None,
        },
        ("or", [left, right]) => match (data.get("prim")?.as_str()?, arguments(data)) {
            ("Left", [value]) => wrapped("Left", written(left, value, depth)?),
            ("Right", [value]) => wrapped("Right", written(right, value, depth)?),
            _ => None,
        },
        ("map", [of_key, of_value]) => {
            let items = data.as_array()?.iter();
            let elt = |item: &Value| match (item.get("prim")?.as_str()?, arguments(item)) {
                ("Elt", [key, value]) => {
                    let (key, value) = (
                        written(of_key, key, depth)?,
                        written(of_value, value, depth)?,
                    );
                    Some(json!({"prim": "Elt", "args": [key, value]}))
                }
                _ => None,
            };
            items.map(elt).collect()
        }
        ("list" | "set", [item]) => {
            let items = data.as_array()?.iter();
            items.map(|value| written(item, value, depth)).collect()
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
    let one = written(first, head, depth)?;
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
    let other = written(&rest, &tail, depth.checked_sub(1)?)?;
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
    if let Ok((rollup, _)) = RollupAddress::of_any_dialect(text) {
        writer.u8(3);
        writer.raw(rollup.as_bytes());
        writer.u8(0);
        let mut bytes = writer.into_bytes();
        if entrypoint != "default" {
            bytes.extend(entrypoint.as_bytes());
        }
        return Some(bytes);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn prim(name: &str, args: &[Value]) -> Value {
        json!({"prim": name, "args": args})
    }

    #[test]
    fn long_combs_become_sequences_between_operations() {
        let (int, one) = (json!({"prim": "int"}), json!({"int": "1"}));
        let of = |n: usize| prim("pair", &vec![int.clone(); n]);
        let flat = |n: usize| prim("Pair", &vec![one.clone(); n]);
        assert_eq!(optimized(&of(2), &flat(2)), Some(flat(2)));
        let nested = prim("Pair", &[one.clone(), flat(2)]);
        assert_eq!(optimized(&of(3), &flat(3)), Some(nested.clone()));
        assert_eq!(
            optimized(&of(3), &vec![one.clone(); 3].into()),
            Some(nested.clone())
        );
        for n in [4, 5] {
            let sequence = Value::from(vec![one.clone(); n]);
            assert_eq!(optimized(&of(n), &flat(n)), Some(sequence));
        }
        let packed = prim("Pair", &[one.clone(), nested]);
        assert_eq!(packable(&of(4), &flat(4)), Some(packed));
        // A pair on the left is no part of the comb around it; one inside a list is its own.
        let left = prim("pair", &[of(2), int.clone()]);
        let value = prim("Pair", &[flat(2), one.clone()]);
        assert_eq!(optimized(&left, &value), Some(value));
        let listed = optimized(&prim("list", &[of(4)]), &json!([flat(4)]));
        assert_eq!(listed, Some(json!([[one, one, one, one]])));
    }

    #[test]
    fn texts_become_bytes() {
        let told = |of_type: &str, text: &str| {
            optimized(&json!({"prim": of_type}), &json!({"string": text}))
        };
        let rollup = "sr1AE6U3GNzE8iKzj6sKS5wh1U32ogeULCoN";
        let bytes = told("address", rollup).unwrap()["bytes"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(bytes.starts_with("03") && bytes.ends_with("00") && bytes.len() == 44);
        let chain = told("chain_id", "NetXdQprcVkpaWU");
        assert_eq!(chain, Some(json!({"bytes": "7a06a770"})));
        assert_eq!(told("chain_id", "nonsense"), None);
        let of_type = prim(
            "map",
            &[json!({"prim": "string"}), json!({"prim": "address"})],
        );
        let elt = |value: Value| json!([prim("Elt", &[json!({"string": "a"}), value])]);
        let written = optimized(&of_type, &elt(json!({"string": rollup})));
        assert_eq!(written, Some(elt(json!({"bytes": bytes}))));
    }
}
