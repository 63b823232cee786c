//! The node's HTTP API over the simulated chain: paths, JSON and status codes.
//!
//! Promises: a pure function from chain, weather and request to answer; what the chain does not
//! have is a 404 as on a node, never an invention. Refuses to know sockets: `server` is the edge.
//! Sources: `src/lib_shell_services`, `lib_plugin/RPC.ml`.

mod blocks;
mod contracts;
mod delegates;
mod helpers;
mod pool;
mod rollups;
mod scripts;
mod shell;

use serde_json::{Value, json};

use super::block::Block;
use super::chain::Chain;
use super::dialect;
use super::errors::Trace;
use super::media::Form;
use super::weather::Weather;
use crate::protocol::{ChainId, Protocol};

pub(crate) use pool::{command, mempool_items, monitored};

/// What a client asks.
#[derive(Debug, Clone)]
pub(crate) struct Request<'a> {
    /// Whether it sends something.
    pub method: Method,
    /// Path without its query.
    pub path: &'a str,
    /// Decoded query pairs, in order.
    pub query: &'a [(String, String)],
    /// Body of a POST.
    pub body: &'a [u8],
    /// What the body is said to be.
    pub form: Form,
}

/// The methods a node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// Reads.
    Get,
    /// Sends.
    Post,
}

/// What a node answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    /// A value, with status 200.
    Ok(Value),
    /// A list of errors, with status 500.
    Errors(Value),
    /// A status and a text, possibly empty.
    Status(u16, String),
    /// A part of the path that is none of its sort: the part, the node's name of the sort, why.
    BadArgument(String, &'static str, String),
    /// The path takes only this other method.
    NotAllowed(&'static str),
    /// Raw bytes, with status 200.
    Bytes(Vec<u8>),
}

impl Reply {
    /// No such path or block.
    #[must_use]
    pub(crate) const fn not_found() -> Self {
        Self::Status(404, String::new())
    }

    /// The data was here once.
    #[must_use]
    pub(crate) const fn gone() -> Self {
        Self::Status(410, String::new())
    }

    /// A part of the path is none of its sort.
    #[must_use]
    pub(crate) fn bad_argument(text: &str, sort: &'static str, why: impl Into<String>) -> Self {
        Self::BadArgument(text.to_owned(), sort, why.into())
    }

    /// A part of the path should be a hash.
    #[must_use]
    fn bad_hash(text: &str, sort: &'static str) -> Self {
        let why = format!("failed to decode Base58Check-encoded data ({sort}): {text:?}");
        Self::bad_argument(text, sort, why)
    }

    /// A part of the path should be an account.
    #[must_use]
    pub(crate) fn bad_account(text: &str) -> Self {
        let name = "Signature.Public_key_hash";
        let why = format!("failed to decode Base58Check-encoded data ({name}): {text:?}");
        Self::bad_argument(text, "pkh", why)
    }

    /// The same as a node words it, which tells the path up to there.
    fn placed(self, segments: &[&str]) -> Self {
        let Self::BadArgument(text, sort, why) = self else {
            return self;
        };
        let at = segments.iter().rposition(|part| *part == text);
        let known = at.and_then(|at| segments.get(..=at)).unwrap_or(segments);
        Self::bad_request(format!(
            "Failed to parsed an argument in path. After \"{}\", the value \"{why}\" is not \
             acceptable for type \"{sort}\"",
            known.join("/")
        ))
    }

    /// A query or a body is malformed.
    #[must_use]
    pub(crate) fn bad_request(problem: impl std::fmt::Display) -> Self {
        Self::Status(400, problem.to_string())
    }

    /// A refusal of the protocol.
    #[must_use]
    pub(crate) fn refused(errors: &Trace, protocol: Protocol) -> Self {
        Self::Errors(errors.json(protocol))
    }
}

/// What an endpoint sees: the chain through its weather.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// The chain.
    pub chain: &'a Chain,
    /// State of the endpoint.
    pub weather: &'a Weather,
}

impl<'a> View<'a> {
    /// The newest block this endpoint knows.
    #[must_use]
    pub(crate) fn head(&self) -> &'a Block {
        let head = self.chain.head();
        let seen = head.header.level.minus(self.weather.lag);
        seen.and_then(|level| self.chain.at(level)).unwrap_or(head)
    }
}

/// Answers a request that changes nothing.
#[must_use]
pub(crate) fn answer(view: View<'_>, request: &Request<'_>) -> Reply {
    let segments: Vec<&str> = request
        .path
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let reply = route(view, request, &segments).placed(&segments);
    let told = match reply {
        Reply::Ok(value) => Reply::Ok(dialect::outgoing(value, view.chain.config().dialect)),
        Reply::Errors(value) => {
            Reply::Errors(dialect::outgoing(value, view.chain.config().dialect))
        }
        other => other,
    };
    shell::disagree(view, told)
}

fn route(view: View<'_>, request: &Request<'_>, segments: &[&str]) -> Reply {
    let reply = match segments {
        ["chains", chain, rest @ ..] => {
            if *chain != "main" && *chain != view.chain.id().to_string() {
                return other_chain(chain);
            }
            match rest {
                ["blocks", block, rest @ ..] => blocks::answer(view, request, block, rest),
                _ => shell::of_chain(view, request, rest),
            }
        }
        _ => shell::of_node(view, segments),
    };
    match (request.method, takes(segments)) {
        (Method::Get, Method::Post) => Reply::NotAllowed("POST"),
        (Method::Post, Method::Get) if reply != Reply::not_found() => Reply::NotAllowed("GET"),
        _ => reply,
    }
}

/// A chain that is not this one, or no chain at all (`parse_chain`).
fn other_chain(name: &str) -> Reply {
    if name == "test" || name.parse::<ChainId>().is_ok() {
        return Reply::not_found();
    }
    Reply::bad_argument(name, "chain_id", "Cannot parse chain identifier.")
}

/// Whether a path takes operations.
#[must_use]
pub(crate) fn injects(path: &str) -> bool {
    matches!(
        path.trim_matches('/'),
        "injection/operation" | "private/injection/operation"
    )
}

/// Whether a path that changes nothing is there.
#[must_use]
pub(crate) fn is_there(view: View<'_>, request: &Request<'_>) -> bool {
    !matches!(answer(view, request), Reply::Status(404, _))
}

/// The method of a path, if there is such a path.
fn takes(segments: &[&str]) -> Method {
    let is_sent = match segments {
        ["injection", _] | ["private", "injection", _] => true,
        ["chains", _, "mempool", leaf] => {
            leaf.ends_with("ban_operation") || leaf.starts_with("unban")
        }
        ["chains", _, "blocks", _, "helpers", kind, ..] => {
            matches!(
                *kind,
                "scripts" | "forge" | "preapply" | "parse" | "forge_block_header"
            )
        }
        [
            "chains",
            _,
            "blocks",
            _,
            "context",
            "contracts",
            _,
            leaf @ ..,
        ] => matches!(
            leaf,
            ["big_map_get" | "ticket_balance"] | ["script" | "storage", "normalized"]
        ),
        ["chains", _, "blocks", _, "context", rollups, .., leaf] => {
            matches!(*rollups, "smart_rollups" | "sc_rollups")
                && matches!(*leaf, "ticket_balance" | "origination_proof")
        }
        ["chains", _, "blocks", _, "context", "seed"] => true,
        _ => false,
    };
    if is_sent { Method::Post } else { Method::Get }
}

/// Whether a query flag is set: alone, or to a word that means yes.
fn flag(request: &Request<'_>, key: &str) -> bool {
    query(request, key).is_some_and(|text| {
        matches!(
            text.to_ascii_lowercase().as_str(),
            "" | "1" | "y" | "t" | "yes" | "true"
        )
    })
}

/// Refuses a version of an answer that the node does not know.
fn version(request: &Request<'_>, known: &[&str]) -> Result<(), Reply> {
    match query(request, "version") {
        Some(asked) if !known.contains(&asked) => Err(Reply::bad_request(format!(
            "Failed to parse the query string: Failed to parse argument 'version' ({asked:?}): \
             Unsupported version {asked} (supported versions {})",
            known.join(", ")
        ))),
        _ => Ok(()),
    }
}

/// The first value of a query key.
fn query<'a>(request: &'a Request<'_>, key: &str) -> Option<&'a str> {
    request
        .query
        .iter()
        .find(|(name, _)| name == key)
        .map(|(_, value)| value.as_str())
}

/// A block as the head stream of this endpoint shows it.
#[must_use]
pub(crate) fn stream_item(view: View<'_>, block: &Block) -> Value {
    let item = block.stream_json();
    match view.weather.disagree_from {
        None => item,
        Some(from) => shell::other_hashes(view, from, item),
    }
}

/// A block as `monitor/applied_blocks` shows it: header and operations as bytes.
#[must_use]
pub(crate) fn applied_item(view: View<'_>, block: &Block) -> Value {
    let mut header = block.stream_json();
    if let Value::Object(fields) = &mut header {
        fields.remove("hash");
    }
    let form = view.chain.form_of_block(block);
    let managers: Vec<Value> = block
        .operations
        .iter()
        .filter_map(|included| {
            let bytes = included.signed.to_bytes(form).ok()?;
            let data = bytes.get(32..).map(hex::encode)?;
            Some(json!({"branch": included.signed.operation.branch, "data": data}))
        })
        .collect();
    json!({
        "chain_id": view.chain.id(),
        "hash": block.hash,
        "header": header,
        "operations": [[], [], [], managers],
    })
}

/// A block as `monitor/bootstrapped` shows it.
#[must_use]
pub(crate) fn bootstrapped_item(block: &Block) -> Value {
    shell::bootstrapped_item(block)
}
