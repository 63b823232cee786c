//! What can go wrong between the tower and a node, sorted by what to do about it.
//!
//! Three kinds: *transient* (ask again), *permanent* (asking again changes nothing), *disagreement*
//! (two sources differ: never retried away, always told). Refuses to know: who asked and why.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::crypto::Dialect;
use crate::protocol::{
    BlockHash, ChainId, ConstantsError, Level, Mutez, OperationHash, Protocol, ProtocolHash,
};

/// What retry logic needs to know of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    /// The same question may be answered later or elsewhere.
    Transient,
    /// Asking again changes nothing until somebody acts.
    Permanent,
    /// Two sources say different things; somebody has to look.
    Disagreement,
}

/// How an endpoint is called in messages: its URL without user, password and query.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointName(pub(super) std::sync::Arc<str>);

impl EndpointName {
    /// A name, for what is not asked through a client.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for EndpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One error of a node's error list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NodeError {
    /// Full identifier, such as `proto.025-PsUshuai.smart_rollup_not_staked`.
    pub id: String,
    /// `temporary`, `permanent`, `branch` or `outdated`.
    #[serde(default)]
    pub kind: String,
    /// Text some errors carry.
    #[serde(default)]
    pub msg: Option<String>,
    /// What a replacement of the waiting operation must offer, where the node says so.
    #[serde(default, rename = "needed_fee_in_mutez", deserialize_with = "lenient")]
    pub needed_fee: Option<Mutez>,
}

/// An amount, or nothing where there is something else.
fn lenient<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Mutez>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let number = value
        .as_u64()
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    Ok(number.map(Mutez))
}

impl NodeError {
    /// Whether a protocol raised it: then every node on this block says the same.
    #[must_use]
    pub fn is_of_protocol(&self) -> bool {
        self.id.starts_with("proto.")
    }

    /// Identifiers of errors, for people.
    #[must_use]
    pub fn ids(errors: &[Self]) -> String {
        let ids: Vec<_> = errors.iter().map(|error| error.id.as_str()).collect();
        ids.join(", ")
    }

    /// Whether its text says this, however the node broke its lines: a refused injection tells
    /// errors in no other way (`on_inject` of `prevalidator.ml`).
    #[must_use]
    pub fn says(&self, phrase: &str) -> bool {
        let words: Vec<_> = self.words().collect();
        let wanted: Vec<_> = phrase.split_whitespace().collect();
        !wanted.is_empty() && words.windows(wanted.len()).any(|words| words == wanted)
    }

    /// The fee with which it would be taken: of its field, or of its text (`validation_errors.ml`).
    #[must_use]
    pub fn asked_fee(&self) -> Option<Mutez> {
        let words: Vec<_> = self.words().collect();
        let told = words.windows(6).find_map(|words| match words {
            ["fee", "of", "at", "least", fee, unit] if unit.starts_with("mutez") => {
                fee.parse().ok().map(Mutez)
            }
            _ => None,
        });
        self.needed_fee.or(told)
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.msg.iter().flat_map(|text| text.split_whitespace())
    }

    /// Whether its identifier ends in `name`, whatever the protocol in front and the dialect's
    /// capitals (`Sc_rollup_not_staked` and `smart_rollup_not_staked` are the same `not_staked`).
    #[must_use]
    pub fn is_rollup_error(&self, name: &str) -> bool {
        let last = self.id.rsplit('.').next().unwrap_or_default();
        ["smart_rollup_", "Sc_rollup_", "sc_rollup_"]
            .iter()
            .any(|prefix| last.strip_prefix(prefix) == Some(name))
    }

    /// Whether the protocol looked for something in its storage that is not there.
    #[must_use]
    pub fn is_missing_in_storage(&self) -> bool {
        self.id.ends_with(".context.storage_error")
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        self.msg
            .as_ref()
            .map_or(Ok(()), |msg| write!(f, " ({msg})"))
    }
}

/// Why a receipt is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingReceipt {
    /// The node threw it away at once because of its size.
    TooLarge,
    /// The node has the operation but not (or no longer) what became of it.
    Pruned,
}

impl fmt::Display for MissingReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => {
                "its receipt was over the node's size limit and was not kept, nor could it be recomputed: run the node with --metadata-size-limit unlimited, or add an endpoint that does"
            }
            Self::Pruned => {
                "the node no longer has its receipt: use a node in archive mode, or in full or rolling mode with more cycles kept (--history-mode archive, full:<cycles> or rolling:<cycles>)"
            }
        })
    }
}

/// What went wrong with one request to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No connection could be made.
    #[error("cannot connect: {0}")]
    Unreachable(String),
    /// No whole answer in time.
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// It was silent where others were not.
    #[error("no answer yet: others were faster")]
    NotWaitedFor,
    /// The answer broke off.
    #[error("the answer broke off: {0}")]
    Cut(String),
    /// A status that no node gives for this, most often a proxy's.
    #[error("HTTP status {code}{}", after_colon(.body))]
    Status {
        /// The HTTP status.
        code: u16,
        /// Start of what came with it.
        body: String,
    },
    /// The node's access rules or a proxy refuse the path.
    #[error("HTTP status {0}: the endpoint does not allow this path")]
    Forbidden(u16),
    /// The node does not know the block or the path.
    #[error("not found: the block is unknown to this node, or the path to its protocol")]
    NotFound,
    /// The node pruned the data.
    #[error(
        "pruned (HTTP 410): the node no longer keeps this block's data; use a node in archive mode or one that keeps more cycles (--history-mode)"
    )]
    Pruned,
    /// The node answered with its own errors.
    #[error("the node refuses: {}", list(.0))]
    Refused(Vec<NodeError>),
    /// The answer is not JSON at all.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// The answer is JSON of another shape or with an impossible value.
    #[error("unexpected answer: {0}")]
    Unexpected(String),
    /// The answer is larger than any honest one.
    #[error("the answer is over {0} bytes")]
    Oversized(usize),
    /// The endpoint serves another chain.
    #[error("wrong chain: this endpoint is on {found}, the tower follows {expected}")]
    WrongChain {
        /// The chain followed.
        expected: ChainId,
        /// The chain the endpoint serves.
        found: ChainId,
    },
    /// A protocol this program does not know.
    #[error(
        "protocol {0} is not one this version of the tower knows ({known}): levels under it cannot be judged",
        known = format_args!("{} to {}", Protocol::Mumbai, Protocol::Ushuaia)
    )]
    UnknownProtocol(ProtocolHash),
    /// What became of an operation cannot be known from this endpoint.
    #[error("operation {operation} of the block: {reason}")]
    Receipt {
        /// The operation.
        operation: OperationHash,
        /// Why its receipt is missing.
        reason: MissingReceipt,
    },
    /// A constant of the chain is missing or unusable.
    #[error("{0}")]
    Constants(ConstantsError),
}

fn after_colon(body: &str) -> String {
    if body.is_empty() {
        String::new()
    } else {
        format!(": {body}")
    }
}

fn list(errors: &[NodeError]) -> String {
    if errors.is_empty() {
        return "an empty list of errors".into();
    }
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

impl Fault {
    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Unreachable(_)
            | Self::TimedOut(_)
            | Self::NotWaitedFor
            | Self::Cut(_)
            | Self::Status { .. }
            | Self::NotFound
            | Self::NotJson(_) => FailureKind::Transient,
            Self::Refused(errors) => {
                if errors.iter().any(NodeError::is_of_protocol)
                    || errors.iter().any(|e| e.kind == "permanent")
                {
                    FailureKind::Permanent
                } else {
                    FailureKind::Transient
                }
            }
            Self::Forbidden(_)
            | Self::Pruned
            | Self::Unexpected(_)
            | Self::Oversized(_)
            | Self::WrongChain { .. }
            | Self::UnknownProtocol(_)
            | Self::Receipt { .. }
            | Self::Constants(_) => FailureKind::Permanent,
        }
    }

    /// Whether every honest endpoint would say the same, so that no other one is asked.
    #[must_use]
    pub(super) fn settles(&self) -> bool {
        match self {
            Self::Refused(errors) => errors.iter().any(NodeError::is_of_protocol),
            Self::UnknownProtocol(_) => true,
            _ => false,
        }
    }

    /// Whether it says something about the health of the endpoint, rather than about the question.
    #[must_use]
    pub(super) fn blames_endpoint(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_)
                | Self::TimedOut(_)
                | Self::Cut(_)
                | Self::Status { .. }
                | Self::NotJson(_)
                | Self::Unexpected(_)
                | Self::Oversized(_)
                | Self::WrongChain { .. }
        )
    }
}

/// Why the chain could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum L1Error {
    /// One endpoint was asked, or one settled the question.
    #[error("{endpoint}{path}: {fault}")]
    Request {
        /// The endpoint asked.
        endpoint: EndpointName,
        /// The path asked for.
        path: String,
        /// What went wrong.
        fault: Fault,
    },
    /// Every endpoint failed.
    #[error("no endpoint answered {path}: {}", each(.failures))]
    AllFailed {
        /// The path asked for.
        path: String,
        /// The last failure of each endpoint.
        failures: Vec<(EndpointName, Fault)>,
    },
    /// Endpoints have different blocks where blocks are final.
    #[error("endpoints disagree on the block at level {level}: {}", claims(.answers))]
    Disagreement {
        /// The level.
        level: Level,
        /// What each endpoint says.
        answers: Vec<(EndpointName, BlockHash)>,
    },
    /// A block does not follow the one before it.
    #[error(
        "block {block} at level {level} does not follow {previous}: its predecessor is {predecessor}"
    )]
    Unlinked {
        /// The block.
        block: BlockHash,
        /// Its level.
        level: Level,
        /// The block expected before it.
        previous: BlockHash,
        /// The predecessor it names.
        predecessor: BlockHash,
    },
    /// A reorganisation reaches below the blocks still remembered.
    #[error(
        "the chain was reorganised below level {oldest}, the oldest block kept: restart from an older state"
    )]
    TooDeep {
        /// The lowest level remembered.
        oldest: Level,
    },
    /// No endpoint was given.
    #[error("no endpoint is configured: give the URL of a node's RPC")]
    NoEndpoint,
    /// An endpoint's address is unusable.
    #[error("{url:?} is not the URL of a node: {problem}")]
    BadUrl {
        /// The text given (user and password left out).
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The HTTP client cannot be set up on this machine.
    #[error("cannot set up HTTP: {0}")]
    Setup(String),
    /// The address is written in the labels of another era than the chain's.
    #[error(
        "{given} is written in the {} form, this chain uses the {} one: there it is {there}",
        form(*.dialect, true), form(*.dialect, false)
    )]
    OtherDialect {
        /// The text given.
        given: String,
        /// The same address as this chain writes it.
        there: String,
        /// The dialect of the chain.
        dialect: Dialect,
    },
    /// The chain has no such rollup.
    #[error("there is no rollup {rollup} on this chain at block {block}")]
    NoSuchRollup {
        /// The address, in the chain's dialect.
        rollup: String,
        /// The block asked about.
        block: String,
    },
    /// The origination is not where the rollup says it began.
    #[error(
        "block {block} at level {level} has no applied origination of {rollup}: give its kernel by file"
    )]
    NoOrigination {
        /// The rollup, in the chain's dialect.
        rollup: String,
        /// Its origination level.
        level: Level,
        /// The block read.
        block: BlockHash,
    },
}

fn each(failures: &[(EndpointName, Fault)]) -> String {
    let texts: Vec<_> = failures
        .iter()
        .map(|(e, fault)| format!("{e}: {fault}"))
        .collect();
    texts.join("; ")
}

fn claims(answers: &[(EndpointName, BlockHash)]) -> String {
    let texts: Vec<_> = answers
        .iter()
        .map(|(e, hash)| format!("{e} has {hash}"))
        .collect();
    texts.join(", ")
}

const fn form(chain: Dialect, opposite: bool) -> &'static str {
    match (chain, opposite) {
        (Dialect::Modern, false) | (Dialect::Scr1, true) => "sr1",
        (Dialect::Scr1, false) | (Dialect::Modern, true) => "scr1",
    }
}

impl L1Error {
    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Request { fault, .. } => fault.kind(),
            Self::AllFailed { failures, .. } => failures
                .iter()
                .map(|(_, fault)| fault.kind())
                .min()
                .unwrap_or(FailureKind::Permanent),
            // The node switched branches between two answers: the next head sorts it out.
            Self::Unlinked { .. } => FailureKind::Transient,
            Self::Disagreement { .. } => FailureKind::Disagreement,
            Self::TooDeep { .. }
            | Self::NoEndpoint
            | Self::BadUrl { .. }
            | Self::Setup(_)
            | Self::OtherDialect { .. }
            | Self::NoSuchRollup { .. }
            | Self::NoOrigination { .. } => FailureKind::Permanent,
        }
    }

    /// The errors of the node, when it is the node that refused.
    #[must_use]
    pub fn node_errors(&self) -> &[NodeError] {
        match self {
            Self::Request {
                fault: Fault::Refused(errors),
                ..
            } => errors,
            _ => &[],
        }
    }

    /// Whether no endpoint knows the block or path.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Request { fault, .. } => *fault == Fault::NotFound,
            Self::AllFailed { failures, .. } => {
                failures.iter().all(|(_, fault)| *fault == Fault::NotFound)
            }
            _ => false,
        }
    }
}
