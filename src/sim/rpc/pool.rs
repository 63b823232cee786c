//! Injection and the mempool: what changes the chain's mempool, and what shows it.
//!
//! A refused injection answers the node's trace as text inside one `failure`, as `on_inject` has
//! it; ids of protocol errors appear only where operations are simulated or listed as refused.

use serde_json::{Value, json};

use super::{Method, Reply, Request, View, flag, query, version};
use crate::codec::Reader;
use crate::crypto::blake2b;
use crate::protocol::OperationHash;
use crate::sim::chain::Chain;
use crate::sim::dialect;
use crate::sim::errors::{RuleError, Trace};
use crate::sim::fees::Thresholds;
use crate::sim::media::Form;
use crate::sim::mempool::{Class, Waiting, Wanted};
use crate::sim::weather::Weather;

/// Does what the request asks for when it changes the mempool; nothing otherwise.
pub(crate) fn command(
    chain: &mut Chain,
    request: &Request<'_>,
    weather: &Weather,
) -> Option<Reply> {
    if request.method != Method::Post {
        return None;
    }
    let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    Some(match segments.as_slice() {
        ["injection", "operation"] => {
            inject(chain, request, weather.loses_operations, Chain::inject)
        }
        ["private", "injection", "operation"] => {
            inject(chain, request, weather.loses_operations, Chain::force)
        }
        ["chains", name, "mempool", leaf] => {
            if *name != "main" && *name != chain.id().to_string() {
                return None;
            }
            match *leaf {
                "filter" => set_thresholds(chain, request),
                leaf => ban(chain, request, leaf)?,
            }
        }
        _ => return None,
    })
}

/// All thresholds, or only those that were changed.
fn thresholds(chain: &Chain, request: &Request<'_>) -> Value {
    let is_whole = query(request, "include_default").is_none() || flag(request, "include_default");
    chain.mempool().thresholds.json(is_whole)
}

/// What is no configuration changes nothing.
fn set_thresholds(chain: &mut Chain, request: &Request<'_>) -> Reply {
    let body: Value = match serde_json::from_slice(request.body) {
        Ok(body) => body,
        Err(problem) => return Reply::bad_request(problem),
    };
    if let Some(set) = Thresholds::from_json(&body) {
        chain.set_thresholds(set);
    }
    Reply::Ok(chain.mempool().thresholds.json(true))
}

/// `loses` makes a node that forgets what it took.
fn inject(
    chain: &mut Chain,
    request: &Request<'_>,
    loses: bool,
    door: fn(&mut Chain, &[u8]) -> Result<OperationHash, Trace>,
) -> Reply {
    let bytes = match signed_bytes(request) {
        Ok(bytes) => bytes,
        Err(reply) => return reply,
    };
    let protocol = chain.context().protocol;
    // The shell reads a branch and takes the rest as it is.
    if bytes.len() < 32 {
        let msg = "Can't parse the operation".into();
        return Reply::refused(&RuleError::Failure { msg }.into(), protocol);
    }
    let hash = OperationHash(blake2b(&bytes).0);
    if loses {
        return Reply::Ok(json!(hash));
    }
    match door(chain, &bytes) {
        Ok(hash) => Reply::Ok(json!(hash)),
        Err(_) if flag(request, "async") => Reply::Ok(json!(hash)),
        Err(errors) => {
            let live = chain.live_blocks(chain.head()).len();
            let told = errors.of_injection(hash, live).json(protocol);
            Reply::Errors(dialect::outgoing(told, chain.config().dialect))
        }
    }
}

/// A JSON string of hexadecimal digits, or bytes behind their length.
fn signed_bytes(request: &Request<'_>) -> Result<Vec<u8>, Reply> {
    let body = request.body;
    let bad = |problem: &dyn std::fmt::Display| {
        Reply::bad_request(format!("Failed to parse the request body: {problem}"))
    };
    if request.form == Form::Json {
        let text: String = serde_json::from_slice(body).map_err(|problem| bad(&problem))?;
        return hex::decode(text).map_err(|problem| bad(&problem));
    }
    let mut reader = Reader::new(body);
    let bytes = reader
        .dynamic("operation", body.len())
        .map_err(|problem| bad(&problem))?
        .to_vec();
    if reader.is_empty() {
        Ok(bytes)
    } else {
        Err(bad(&"bytes after the operation"))
    }
}

fn ban(chain: &mut Chain, request: &Request<'_>, leaf: &str) -> Option<Reply> {
    let hash = || {
        serde_json::from_slice::<String>(request.body)
            .map_err(Reply::bad_request)
            .and_then(|text| text.parse::<OperationHash>().map_err(Reply::bad_request))
    };
    let done = match leaf {
        "ban_operation" => hash().map(|hash| chain.ban(hash)),
        "unban_operation" => hash().map(|hash| chain.unban(Some(&hash))),
        "unban_all_operations" => {
            chain.unban(None);
            Ok(())
        }
        _ => return None,
    };
    Some(done.map_or_else(|reply| reply, |()| Reply::Ok(json!({}))))
}

/// Paths under `mempool` that only read.
pub(super) fn answer(view: View<'_>, request: &Request<'_>, rest: &[&str]) -> Reply {
    match rest {
        ["pending_operations"] => {
            let shown = version(request, &["2"])
                .and_then(|()| wanted(request, |_| true, "source"))
                .map(|wanted| {
                    let protocol = view.chain.context().protocol;
                    let mempool = view.chain.mempool();
                    mempool.json(&wanted, view.chain.form(), protocol)
                });
            shown.map_or_else(|reply| reply, Reply::Ok)
        }
        ["filter"] => Reply::Ok(thresholds(view.chain, request)),
        _ => Reply::not_found(),
    }
}

/// What a stream of the mempool was asked to tell.
pub(crate) fn monitored(request: &Request<'_>) -> Result<Wanted, Reply> {
    version(request, &["1"])?;
    let by_default = |class| matches!(class, Class::Validated | Class::BranchDelayed);
    // A stream is not asked for hashes.
    Ok(Wanted {
        hashes: vec![],
        ..wanted(request, by_default, "sources")?
    })
}

fn wanted(
    request: &Request<'_>,
    by_default: fn(Class) -> bool,
    sources: &str,
) -> Result<Wanted, Reply> {
    let values = |key: &str| -> Vec<&str> {
        let pairs = request.query.iter().filter(|(name, _)| name == key);
        pairs.map(|(_, value)| value.as_str()).collect()
    };
    fn parsed<T: std::str::FromStr>(texts: &[&str]) -> Result<Vec<T>, Reply>
    where
        T::Err: std::fmt::Display,
    {
        let all = texts.iter().map(|text| text.parse());
        all.collect::<Result<_, T::Err>>().map_err(|problem| {
            Reply::bad_request(format!("Failed to parse the query string: {problem}"))
        })
    }
    let shows = |class: &Class| match query(request, class.name()) {
        None => by_default(*class),
        Some(_) => flag(request, class.name()),
    };
    Ok(Wanted {
        classes: Class::ALL.into_iter().filter(shows).collect(),
        sources: parsed(&values(sources))?,
        passes: parsed(&values("validation_pass"))?,
        hashes: parsed(&values("operation_hash"))?,
    })
}

/// Operations as a stream of the mempool shows them: a list.
#[must_use]
pub(crate) fn mempool_items<'a>(
    view: View<'_>,
    waiting: impl Iterator<Item = &'a Waiting>,
    wanted: &Wanted,
) -> Value {
    let protocol = view.chain.context().protocol;
    waiting
        .filter(|waiting| wanted.has(waiting))
        .map(|waiting| waiting.json(view.chain.form(), Some(protocol)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_as_text() {
        let errors = Trace::from(RuleError::EmptyTransaction {
            contract: "KT1".into(),
        });
        let told = errors.of_injection(OperationHash([0; 32]), 3);
        assert_eq!(told.0[0].id(), "async_injection_failed");
        let text = told.0[1].to_string();
        assert!(
            text.starts_with("Error while validating injected operation o"),
            "{text}"
        );
        assert!(text.ends_with(
            ":\nError:\n  Transactions of 0ꜩ towards a contract without code are forbidden (KT1).\n"
        ));
    }
}
