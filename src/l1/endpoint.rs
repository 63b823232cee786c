//! One endpoint: requests with a deadline, a size limit and a bound on how many run at once.
//!
//! Promises: whatever a node or a proxy answers becomes a value or a [`Fault`]; what it did wrong
//! is counted. Refuses to know: other endpoints and whether to ask again.

use std::sync::Mutex;
use std::time::Duration;

use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore};

use super::error::{EndpointName, Fault, L1Error, NodeError};
use crate::protocol::ChainId;

/// No honest answer of a node is larger; a block's manager operations stay below 100 MB.
const MAX_ANSWER: usize = 512 * 1024 * 1024;
/// How much of a foreign answer is quoted.
const QUOTED: usize = 200;

/// How one endpoint is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSettings {
    /// The URL of the node's RPC.
    pub url: String,
    /// Longest wait for a whole answer.
    pub timeout: Duration,
    /// Longest silence of the head stream before it is opened again.
    pub silence: Duration,
    /// Requests at once.
    pub concurrency: usize,
}

impl EndpointSettings {
    /// An endpoint with the usual limits.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            timeout: Duration::from_secs(60),
            silence: Duration::from_secs(45),
            concurrency: 8,
        }
    }
}

/// What is known of an endpoint; errors, lag and disagreement are kept apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// Requests answered.
    pub answers: u64,
    /// Requests that failed through the endpoint's fault.
    pub errors: u64,
    /// Failures since the last answer.
    pub consecutive_errors: u64,
    /// Times others were turned to since it was silent, since the last answer.
    pub silences: u64,
    /// The last failure, as text.
    pub last_error: Option<String>,
    /// Whether it was last seen behind the chain or not bootstrapped.
    pub out_of_sync: bool,
    /// Times its blocks differed from the others' where blocks are final.
    pub disagreements: u64,
    /// Whether it differed the last time it was compared.
    pub disagrees: bool,
    /// Times it told of games what cannot be: others are asked before it.
    pub doubts: u64,
}

/// A node's RPC.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) name: EndpointName,
    base: Url,
    http: reqwest::Client,
    timeout: Duration,
    pub(super) silence: Duration,
    permits: Semaphore,
    health: Mutex<Health>,
    /// Set once the endpoint was seen to serve the chain followed.
    chain: OnceCell<()>,
}

impl Endpoint {
    pub(super) fn new(settings: &EndpointSettings) -> Result<Self, L1Error> {
        let base = node_url(&settings.url)?;
        let http = http_client(&base)?;
        Ok(Self {
            name: shown(&base),
            base,
            http,
            timeout: settings.timeout,
            silence: settings.silence,
            permits: Semaphore::new(settings.concurrency.max(1)),
            health: Mutex::default(),
            chain: OnceCell::new(),
        })
    }

    pub(super) fn health(&self) -> Health {
        self.note(|health| health.clone())
    }

    /// Reads or changes what is known of the endpoint.
    pub(super) fn note<T>(&self, change: impl FnOnce(&mut Health) -> T) -> T {
        let mut health = self
            .health
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut health)
    }

    fn note_outcome<T>(&self, path: &str, outcome: &Result<T, Fault>) {
        self.note(|health| match outcome {
            Err(fault) if fault.blames_endpoint() => {
                health.errors = health.errors.saturating_add(1);
                health.consecutive_errors = health.consecutive_errors.saturating_add(1);
                health.last_error = Some(format!("{path}: {fault}"));
            }
            _ => {
                health.answers = health.answers.saturating_add(1);
                health.consecutive_errors = 0;
                health.silences = 0;
            }
        });
    }

    /// It was silent for so long that others were turned to.
    pub(super) fn note_silence(&self, path: &str) {
        tracing::debug!(endpoint = %self.name, path, "silent: others are turned to");
        self.note(|health| health.silences = health.silences.saturating_add(1));
    }

    /// Asks for `path` and reads the answer, once.
    pub(super) async fn ask<T>(
        &self,
        path: &str,
        read: &(impl Fn(&[u8]) -> Result<T, Fault> + Sync),
    ) -> Result<T, Fault> {
        self.request(path, None, read).await
    }

    /// Posts `body` to `path` where there is one, else asks for it, and reads the answer, once.
    pub(super) async fn request<T>(
        &self,
        path: &str,
        body: Option<&Value>,
        read: &(impl Fn(&[u8]) -> Result<T, Fault> + Sync),
    ) -> Result<T, Fault> {
        let Ok(_permit) = self.permits.acquire().await else {
            return Err(Fault::Unreachable("the client is closed".into()));
        };
        let outcome = match tokio::time::timeout(self.timeout, self.bytes(path, body)).await {
            Ok(answer) => answer.and_then(|bytes| read(&bytes)),
            Err(_) => Err(Fault::TimedOut(self.timeout)),
        };
        self.note_outcome(path, &outcome);
        outcome
    }

    async fn bytes(&self, path: &str, body: Option<&Value>) -> Result<Vec<u8>, Fault> {
        let response = match body {
            None => self.open(path).await?,
            Some(body) => {
                let request = self.http.post(self.url(path)?).json(body);
                let request = request.header("accept", "application/json");
                request.send().await.map_err(|e| transport(&e))?
            }
        };
        let status = response.status();
        let body = whole(response).await;
        if status == StatusCode::OK {
            return body;
        }
        Err(refusal(status, &body.unwrap_or_default()))
    }

    /// Sends the request and waits for the head of the answer.
    async fn open(&self, path: &str) -> Result<reqwest::Response, Fault> {
        let url = self.url(path)?;
        self.http
            .get(url)
            .header("accept", "application/json")
            .send()
            .await
            .map_err(|e| transport(&e))
    }

    /// Opens a stream that does not end by itself.
    pub(super) async fn stream(&self, path: &str) -> Result<reqwest::Response, Fault> {
        let outcome = match tokio::time::timeout(self.timeout, self.open(path)).await {
            Err(_) => Err(Fault::TimedOut(self.timeout)),
            Ok(Ok(response)) if response.status() == StatusCode::OK => Ok(response),
            Ok(Ok(response)) => Err(refusal(response.status(), &[])),
            Ok(Err(fault)) => Err(fault),
        };
        self.note_outcome(path, &outcome);
        outcome
    }

    /// A stream that had been opened broke.
    pub(super) fn note_broken(&self, path: &str, fault: &Fault) {
        self.note_outcome::<()>(path, &Err(fault.clone()));
    }

    /// Makes sure, once, that the endpoint serves the chain that `expected` makes of the answer.
    pub(super) async fn verify_chain(
        &self,
        expected: impl Fn(ChainId) -> ChainId + Sync,
    ) -> Result<(), Fault> {
        let check = async || {
            let found: ChainId = self
                .ask("/chains/main/chain_id", &|bytes: &[u8]| json(bytes))
                .await?;
            let expected = expected(found);
            if found == expected {
                return Ok(());
            }
            let fault = Fault::WrongChain { expected, found };
            self.note_outcome::<()>("/chains/main/chain_id", &Err(fault.clone()));
            Err(fault)
        };
        self.chain.get_or_try_init(check).await.copied()
    }

    fn url(&self, path: &str) -> Result<Url, Fault> {
        let text = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        Url::parse(&text).map_err(|e| Fault::Unreachable(format!("{path:?}: {e}")))
    }
}

/// Reads an answer as JSON of type `T`.
pub(super) fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|e| {
        if e.is_data() {
            Fault::Unexpected(e.to_string())
        } else {
            Fault::NotJson(format!("{e}: {}", quoted(bytes)))
        }
    })
}

/// The client used for all HTTP of the tower; installs the TLS provider first.
pub(super) fn http_client(base: &Url) -> Result<reqwest::Client, L1Error> {
    // Fails only when one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("watchtower/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10));
    if is_local(base) {
        // A proxy configured for the machine must not stand between the tower and its own node.
        builder = builder.no_proxy();
    }
    builder.build().map_err(|e| L1Error::Setup(causes(&e)))
}

fn is_local(base: &Url) -> bool {
    matches!(base.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

/// Reads the URL of an endpoint.
pub(super) fn node_url(text: &str) -> Result<Url, L1Error> {
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let bad = |problem: String| L1Error::BadUrl {
        url: text.rsplit('@').next().unwrap_or_default().to_owned(),
        problem,
    };
    let url = Url::parse(&with_scheme).map_err(|e| bad(e.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.query().is_none() && url.fragment().is_none() => Ok(url),
        "http" | "https" => Err(bad("it has a query or fragment".into())),
        other => Err(bad(format!("{other} is neither http nor https"))),
    }
}

/// A URL without what must not reach a log.
pub(super) fn shown(url: &Url) -> EndpointName {
    let mut url = url.clone();
    // Both fail only for URLs that cannot carry them, and then there is nothing to hide.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    EndpointName(url.as_str().trim_end_matches('/').into())
}

/// Reads the whole body, up to the size limit.
async fn whole(mut response: reqwest::Response) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(e) => return Err(Fault::Cut(causes(&e))),
        }
        if body.len() > MAX_ANSWER {
            return Err(Fault::Oversized(MAX_ANSWER));
        }
    }
}

fn transport(error: &reqwest::Error) -> Fault {
    if error.is_connect() {
        Fault::Unreachable(causes(error))
    } else {
        Fault::Cut(causes(error))
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> Fault {
    match status.as_u16() {
        404 => Fault::NotFound,
        410 => Fault::Pruned,
        401 | 403 => Fault::Forbidden(status.as_u16()),
        code => match serde_json::from_slice::<Vec<NodeError>>(body) {
            Ok(errors) => Fault::Refused(errors),
            Err(_) => Fault::Status {
                code,
                body: quoted(body),
            },
        },
    }
}

/// The start of a foreign answer, on one line.
fn quoted(bytes: &[u8]) -> String {
    let start = bytes.get(..QUOTED).unwrap_or(bytes);
    let text = String::from_utf8_lossy(start);
    let line: Vec<_> = text.split_whitespace().collect();
    line.join(" ")
}

/// The causes of an error without its URL, which may carry a password.
fn causes(error: &reqwest::Error) -> String {
    let mut texts = Vec::new();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        texts.push(cause.to_string());
        next = cause.source();
    }
    texts.pop().unwrap_or_else(|| {
        if error.is_timeout() {
            "timed out".into()
        } else {
            "the connection failed".into()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_reaches_a_message() {
        let url = node_url("https://user:secret@node.example/rpc/").unwrap();
        assert_eq!(shown(&url).to_string(), "https://node.example/rpc");
        let error = node_url("ftp://user:secret@node.example").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn an_address_without_scheme_is_http() {
        let url = node_url("localhost:8732").unwrap();
        assert_eq!(url.as_str(), "http://localhost:8732/");
        assert!(is_local(&url));
    }
}
