//! The stream of heads: one endpoint at a time, opened again whenever it breaks or falls silent.
//!
//! Promises: after every opening the current head comes first, so no head is lost for good.
//! Refuses to know: what lies between two heads.

use serde::Deserialize;

use super::block::BlockRef;
use super::client::Client;
use super::endpoint::Endpoint;
use super::error::{FailureKind, Fault, L1Error};
use super::splitter::Splitter;
use crate::protocol::{BlockHash, Level};

const PATH: &str = "/monitor/heads/main";

/// A head as the stream announces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its place in the chain.
    pub place: BlockRef,
    /// The block before it.
    pub predecessor: BlockHash,
}

#[derive(Deserialize)]
struct RawHead {
    hash: BlockHash,
    level: Level,
    predecessor: BlockHash,
}

impl From<RawHead> for Head {
    fn from(raw: RawHead) -> Self {
        Self {
            place: BlockRef {
                level: raw.level,
                hash: raw.hash,
            },
            predecessor: raw.predecessor,
        }
    }
}

/// The heads of the chain, for as long as anybody asks.
#[derive(Debug)]
pub struct Heads {
    client: Client,
    open: Option<Open>,
    /// Openings without a head since the last head.
    failed: u32,
}

#[derive(Debug)]
struct Open {
    /// Position of the endpoint in the client.
    endpoint: usize,
    response: reqwest::Response,
    splitter: Splitter,
}

impl Open {
    async fn next(&mut self, endpoint: &Endpoint) -> Result<Head, Fault> {
        loop {
            if let Some(head) = self.splitter.next::<RawHead>()? {
                return Ok(head.into());
            }
            let chunk = tokio::time::timeout(endpoint.silence, self.response.chunk()).await;
            match chunk {
                Err(_) => return Err(Fault::TimedOut(endpoint.silence)),
                Ok(Ok(Some(chunk))) => self.splitter.push(&chunk),
                Ok(Ok(None)) => return Err(Fault::Cut("the node ended the stream".into())),
                Ok(Err(_)) => return Err(Fault::Cut("the stream broke".into())),
            }
        }
    }
}

impl Heads {
    /// The heads seen by `client`; nothing is opened yet.
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self {
            client,
            open: None,
            failed: 0,
        }
    }

    /// Waits for the next head, however often the stream has to be opened again. Dropping the
    /// future loses nothing.
    ///
    /// # Errors
    /// [`L1Error`] only when no endpoint can ever be used, such as when all are on other chains.
    pub async fn next(&mut self) -> Result<Head, L1Error> {
        loop {
            let Some(open) = &mut self.open else {
                self.reopen().await?;
                continue;
            };
            let Some(endpoint) = self.client.endpoints().get(open.endpoint) else {
                self.open = None;
                continue;
            };
            match open.next(endpoint).await {
                Ok(head) => {
                    self.failed = 0;
                    return Ok(head);
                }
                Err(fault) => {
                    tracing::warn!(endpoint = %endpoint.name, %fault, "the head stream broke");
                    endpoint.note_broken(PATH, &fault);
                    self.open = None;
                    self.failed = self.failed.saturating_add(1);
                }
            }
        }
    }

    async fn reopen(&mut self) -> Result<(), L1Error> {
        if self.failed > 0 {
            tokio::time::sleep(self.client.retries().pause(self.failed)).await;
        }
        let mut failures = Vec::new();
        let mut others = self.client.in_order().into_iter();
        while let Some(endpoint) = others.next() {
            let opening = async {
                self.client.verify(endpoint).await?;
                endpoint.stream(PATH).await
            };
            let patience = self.client.patience_before(others.len());
            let opened = tokio::time::timeout(patience, opening).await;
            let outcome = opened.unwrap_or_else(|_| {
                endpoint.note_silence(PATH);
                Err(Fault::NotWaitedFor)
            });
            match outcome {
                Ok(response) => {
                    let all = self.client.endpoints();
                    let place = all.iter().position(|one| std::ptr::eq(one, endpoint));
                    self.open = Some(Open {
                        endpoint: place.unwrap_or_default(),
                        response,
                        splitter: Splitter::default(),
                    });
                    return Ok(());
                }
                Err(fault) => failures.push((endpoint.name.clone(), fault)),
            }
        }
        self.failed = self.failed.saturating_add(1);
        let error = L1Error::AllFailed {
            path: PATH.into(),
            failures,
        };
        if error.kind() == FailureKind::Transient {
            tracing::warn!(%error, "no head stream can be opened");
            return Ok(());
        }
        Err(error)
    }
}
