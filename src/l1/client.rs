//! The client over all endpoints: what it is made of, which of them comes first, the chain they
//! must be on. Refuses to know: how a question is put, and what blocks and rollups look like.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;

use super::constants::ChainConstants;
use super::endpoint::{Endpoint, EndpointSettings, Health};
use super::error::{EndpointName, Fault, L1Error};
use crate::crypto::Dialect;
use crate::protocol::{BlockHash, ChainId, Level, ProtocolHash};

/// How often and how fast a failing question is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Times all endpoints are gone through.
    pub rounds: u32,
    /// Pause after the first round; it doubles after each.
    pub first_pause: Duration,
    /// Longest pause.
    pub longest_pause: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            rounds: 4,
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(15),
        }
    }
}

impl Retries {
    /// The pause after `failed` rounds without success.
    #[must_use]
    pub fn pause(&self, failed: u32) -> Duration {
        let factor = 2_u32.saturating_pow(failed.saturating_sub(1).min(16));
        self.first_pause
            .saturating_mul(factor)
            .min(self.longest_pause)
    }
}

/// What a client is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The endpoints, preferred ones first.
    pub endpoints: Vec<EndpointSettings>,
    /// The chain they must be on; when not given, that of the first one that answers.
    pub chain: Option<ChainId>,
    /// How failures are retried.
    pub retries: Retries,
    /// Longest silence of an endpoint before others are turned to: one that stalls must not cost a
    /// move its block.
    pub impatience: Duration,
}

impl Settings {
    /// The usual settings over these URLs.
    #[must_use]
    pub fn new<T: Into<String>>(urls: impl IntoIterator<Item = T>) -> Self {
        Self {
            endpoints: urls.into_iter().map(EndpointSettings::new).collect(),
            chain: None,
            retries: Retries::default(),
            impatience: Duration::from_secs(1),
        }
    }
}

/// A way to name a block to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockId {
    /// The head of the node.
    Head,
    /// A block by its hash.
    Hash(BlockHash),
    /// The block that many levels below another.
    Below(BlockHash, u32),
    /// The block of the node's current branch at a level.
    Level(Level),
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("head"),
            Self::Hash(hash) | Self::Below(hash, 0) => hash.fmt(f),
            Self::Below(hash, distance) => write!(f, "{hash}~{distance}"),
            Self::Level(level) => level.fmt(f),
        }
    }
}

impl From<BlockHash> for BlockId {
    fn from(hash: BlockHash) -> Self {
        Self::Hash(hash)
    }
}

/// Reads a chain through its nodes. Cheap to clone; clones share health and limits.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
    /// Whether what is not found is asked for again.
    insists: bool,
}

type ConstantsByProtocol = BTreeMap<ProtocolHash, Arc<ChainConstants>>;

#[derive(Debug)]
struct Inner {
    endpoints: Vec<Endpoint>,
    retries: Retries,
    impatience: Duration,
    chain: OnceLock<ChainId>,
    dialect: OnceCell<Dialect>,
    constants: Mutex<ConstantsByProtocol>,
}

impl Client {
    /// A client over the given endpoints; nothing is asked yet.
    ///
    /// # Errors
    /// [`L1Error`] when there is no endpoint or one has an unusable URL.
    pub fn new(settings: &Settings) -> Result<Self, L1Error> {
        if settings.endpoints.is_empty() {
            return Err(L1Error::NoEndpoint);
        }
        let endpoints = settings.endpoints.iter().map(Endpoint::new);
        Ok(Self {
            inner: Arc::new(Inner {
                endpoints: endpoints.collect::<Result<_, _>>()?,
                retries: settings.retries,
                impatience: settings.impatience,
                chain: settings.chain.map_or_else(OnceLock::new, OnceLock::from),
                dialect: OnceCell::new(),
                constants: Mutex::default(),
            }),
            insists: true,
        })
    }

    /// What is known of each endpoint, in the order of the settings.
    #[must_use]
    pub fn health(&self) -> Vec<(EndpointName, Health)> {
        self.endpoints()
            .iter()
            .map(|endpoint| (endpoint.name.clone(), endpoint.health()))
            .collect()
    }

    pub(super) fn endpoints(&self) -> &[Endpoint] {
        &self.inner.endpoints
    }

    pub(super) fn retries(&self) -> &Retries {
        &self.inner.retries
    }

    pub(super) fn impatience(&self) -> Duration {
        self.inner.impatience
    }

    /// How long an endpoint may be silent while this many others have not been asked yet.
    pub(super) fn patience_before(&self, others: usize) -> Duration {
        match others {
            0 => Duration::MAX,
            _ => self.impatience(),
        }
    }

    pub(super) const fn insists(&self) -> bool {
        self.insists
    }

    /// The same client, which takes it for an answer that something is not found: for what is known
    /// without the node, at a block that it has.
    #[must_use]
    pub fn without_insisting(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            insists: false,
        }
    }

    pub(super) fn dialect_cell(&self) -> &OnceCell<Dialect> {
        &self.inner.dialect
    }

    /// Never held across an await.
    pub(super) fn constants_cache(&self) -> MutexGuard<'_, ConstantsByProtocol> {
        let lock = self.inner.constants.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }

    /// A fault that the answers of whichever endpoint comes first led to.
    pub(super) fn settled(&self, path: String, fault: Fault) -> L1Error {
        match self.in_order().first() {
            None => L1Error::NoEndpoint,
            Some(endpoint) => L1Error::Request {
                endpoint: endpoint.name.clone(),
                path,
                fault,
            },
        }
    }

    /// Healthy endpoints first, then by the order of the settings.
    pub(super) fn in_order(&self) -> Vec<&Endpoint> {
        let mut order: Vec<_> = self
            .endpoints()
            .iter()
            .map(|endpoint| {
                let health = endpoint.health();
                let failing = health.consecutive_errors.saturating_add(health.silences);
                ((health.out_of_sync, failing, health.doubts), endpoint)
            })
            .collect();
        order.sort_by_key(|(rank, _)| *rank);
        order.into_iter().map(|(_, endpoint)| endpoint).collect()
    }

    /// What was answered last makes no sense beside what we know to be true: whoever is asked first
    /// may be lying, so the next question goes to another endpoint.
    pub fn doubt(&self) {
        if let Some(endpoint) = self.in_order().first() {
            endpoint.note(|health| health.doubts = health.doubts.saturating_add(1));
        }
    }

    /// Makes sure `endpoint` is on the chain followed; the first endpoint asked fixes the chain
    /// when none was configured.
    pub(super) async fn verify(&self, endpoint: &Endpoint) -> Result<(), Fault> {
        endpoint
            .verify_chain(|found| *self.inner.chain.get_or_init(|| found))
            .await
    }

    /// The chain followed.
    ///
    /// # Errors
    /// [`L1Error`] when no endpoint tells (likewise for every question below).
    pub async fn chain_id(&self) -> Result<ChainId, L1Error> {
        if let Some(chain) = self.inner.chain.get() {
            return Ok(*chain);
        }
        self.get("/chains/main/chain_id").await
    }
}
