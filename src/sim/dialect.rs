//! The dialect of the first manual (moment B), as a coat over today's JSON.
//!
//! Promises: labels, keys, error ids and constant keys are renamed on the way out and labels back on
//! the way in; rules and PVM stay today's. The shapes of operations are `protocol::operation`'s
//! business. Source: the history of `sc_rollup_*` names, December 2022.

use serde_json::{Map, Value};

use crate::crypto::{Dialect, Prefix};

/// Modern label, older label.
const LABELS: [(Prefix, Prefix); 6] = [
    (Prefix::ROLLUP, Prefix::SCR1_ROLLUP),
    (Prefix::COMMITMENT, Prefix::SCR1_COMMITMENT),
    (Prefix::STATE, Prefix::SCR1_STATE),
    (Prefix::INBOX, Prefix::SCR1_INBOX),
    (Prefix::PAYLOADS, Prefix::SCR1_PAYLOADS),
    (Prefix::MESSAGE, Prefix::SCR1_MESSAGE),
];

/// Error ids whose older name is not the modern one in capitals.
const ERRORS: [(&str, &str); 8] = [
    ("smart_rollup_commitment_disputed", "Sc_rollup_disputed"),
    (
        "smart_rollup_not_staked_on_lcc_or_ancestor",
        "Sc_rollup_not_staked_on_lcc",
    ),
    (
        "smart_rollup_remove_lcc_or_ancestor",
        "Sc_rollup_remove_lcc",
    ),
    (
        "smart_rollup_add_zero_messages",
        "sc_rollup_errors.sc_rollup_add_zero_messages",
    ),
    (
        "smart_rollup_dissection_number_of_sections_mismatch",
        "Dissection_number_of_sections_mismatch",
    ),
    (
        "smart_rollup_dissection_start_hash_mismatch",
        "Dissection_start_hash_mismatch",
    ),
    (
        "smart_rollup_dissection_stop_hash_mismatch",
        "Dissection_stop_hash_mismatch",
    ),
    (
        "smart_rollup_dissection_invalid_distribution",
        "Dissection_invalid_distribution",
    ),
];

/// Turns the modern answer `json` into the one of `dialect`.
#[must_use]
pub(crate) fn outgoing(json: Value, dialect: Dialect) -> Value {
    match dialect {
        Dialect::Modern => json,
        Dialect::Scr1 => older(json),
    }
}

/// The modern form of a text of `dialect`: a label in a path or a query.
#[must_use]
pub(crate) fn incoming_text(text: &str, dialect: Dialect) -> String {
    match dialect {
        Dialect::Modern => text.to_owned(),
        Dialect::Scr1 => {
            relabel(text, |(modern, older)| (*older, *modern)).unwrap_or_else(|| text.to_owned())
        }
    }
}

fn older(json: Value) -> Value {
    match json {
        Value::String(text) => Value::String(older_text(text)),
        Value::Array(items) => items.into_iter().map(older).collect(),
        Value::Object(object) => object
            .into_iter()
            .map(|(key, value)| (rename(&key, "smart_rollup", "sc_rollup"), older(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}

fn older_text(text: String) -> String {
    if let Some(id) = text.strip_prefix("proto.") {
        let local = id.split_once('.').map_or(id, |(_, local)| local);
        let renamed = ERRORS
            .iter()
            .find(|(modern, _)| *modern == local)
            .map(|(_, older)| (*older).to_owned());
        let renamed = renamed.unwrap_or_else(|| match local.strip_prefix("smart_rollup_") {
            Some(rest) => format!("Sc_rollup_{rest}"),
            None => local.to_owned(),
        });
        return format!("proto.alpha.{renamed}");
    }
    if text.starts_with("smart_rollup_") {
        return rename(&text, "smart_rollup", "sc_rollup");
    }
    relabel(&text, |(modern, older)| (*modern, *older)).unwrap_or(text)
}

fn rename(text: &str, from: &str, to: &str) -> String {
    match text.strip_prefix(from) {
        Some(rest) if rest.is_empty() || rest.starts_with('_') => format!("{to}{rest}"),
        _ => text.to_owned(),
    }
}

fn relabel(text: &str, direction: fn(&(Prefix, Prefix)) -> (Prefix, Prefix)) -> Option<String> {
    // Longest labels first would be needed if one began another; they only do across eras.
    if !text.starts_with('s') || text.len() > 64 {
        return None;
    }
    LABELS.iter().map(direction).find_map(|(from, to)| {
        text.starts_with(from.text)
            .then(|| from.decode(text).ok())
            .flatten()
            .map(|payload| to.encode(&payload))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn publications_take_the_older_names() {
        let content = json!({
            "kind": "smart_rollup_publish",
            "rollup": "sr1AE6U3GNzE8iKzj6sKS5wh1U32ogeULCoN",
            "commitment": {"compressed_state": "srs13FywcbcZV9VvHxdVkYK83Ch4477cqHMgM8d5oT955yf4XXMvKS", "inbox_level": 7}
        });
        let older = outgoing(content, Dialect::Scr1);
        assert_eq!(older["kind"], "sc_rollup_publish");
        assert!(older["rollup"].as_str().unwrap().starts_with("scr1"));
        assert!(
            older["commitment"]["compressed_state"]
                .as_str()
                .unwrap()
                .starts_with("scs1")
        );
    }

    #[test]
    fn error_ids_take_their_older_names() {
        let told = |id: &str| outgoing(json!({ "id": id }), Dialect::Scr1)["id"].clone();
        assert_eq!(
            told("proto.025-PsUshuai.smart_rollup_no_game"),
            "proto.alpha.Sc_rollup_no_game"
        );
        assert_eq!(
            told("proto.025-PsUshuai.smart_rollup_commitment_disputed"),
            "proto.alpha.Sc_rollup_disputed"
        );
    }
}
