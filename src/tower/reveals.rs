//! What kernels ask to be revealed, answered from folders, HTTP endpoints and the chain.
//!
//! Promises: a preimage is checked against its hash and kept beside the states at first sight;
//! what cannot be had is an error that says where it was looked for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::runtime::Handle;

use super::chain_facts::ChainFacts;
use crate::config::RollupConfig;
use crate::crypto::Hash;
use crate::journal::{JournalError, Reader, RollupRow};
use crate::l1::{L1Error, Preimages};
use crate::protocol::{Level, RollupAddress};
use crate::pvm::{Activation, PageId, PreimageFolder, RevealError, Reveals};

/// Longest wait for one page from one endpoint.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The sources of one rollup.
#[derive(Debug)]
pub(super) struct Sources {
    metadata: [u8; 24],
    /// The operator's folder, as it is and as a rollup node's data directory.
    folders: Vec<PreimageFolder>,
    /// Kept pages, then HTTP endpoints.
    pages: Preimages,
    kept: PreimageFolder,
    chain: ChainFacts,
}

impl Sources {
    /// Pages kept below `data`, then the operator's folder, then the endpoints.
    pub(super) fn new(
        data: &Path,
        config: &RollupConfig,
        origination: Level,
        chain: ChainFacts,
        runtime: Handle,
    ) -> Result<Self, L1Error> {
        let folders = |folder: &PathBuf| {
            [
                PreimageFolder::new(folder.clone()),
                PreimageFolder::new(folder.join("wasm_2_0_0")),
            ]
        };
        Ok(Self {
            metadata: metadata(&config.address, origination),
            folders: config.preimages.iter().flat_map(folders).collect(),
            pages: Preimages::new(data, &config.preimage_endpoints, TIMEOUT, runtime)?,
            kept: PreimageFolder::new(data.join("wasm_2_0_0")),
            chain,
        })
    }
}

/// What is kept beside the states, for offline runs: nothing is fetched.
#[derive(Debug)]
pub struct KeptReveals {
    metadata: [u8; 24],
    kept: PreimageFolder,
    /// None for a journal of before they were kept.
    chain: Option<ChainFacts>,
}

impl KeptReveals {
    /// The kept preimages of a rollup, and what its journal says of the chain.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn new(
        rollup: &RollupRow,
        kept: PreimageFolder,
        journal: &Reader,
    ) -> Result<Self, JournalError> {
        Ok(Self {
            metadata: metadata(&rollup.address, rollup.origination_level),
            kept,
            chain: ChainFacts::of_journal(journal)?,
        })
    }
}

impl Reveals for KeptReveals {
    fn preimage(&self, hash: &[u8; 33]) -> Result<Vec<u8>, RevealError> {
        self.kept.preimage(hash)
    }

    fn metadata(&self) -> [u8; 24] {
        self.metadata
    }

    fn dal_parameters(&self, last_input: Level) -> Result<Vec<u8>, RevealError> {
        let known = self.chain.as_ref();
        known
            .and_then(|chain| chain.dal_parameters(last_input))
            .ok_or_else(|| {
                RevealError::NoParameters(
                    "the journal has none: follow the chain once more to have them kept".into(),
                )
            })
    }

    fn dal_page(&self, page: &PageId) -> Result<Vec<u8>, RevealError> {
        Err(RevealError::NoPage {
            level: page.published_level,
            slot: page.slot_index,
            page: page.page_index,
            reason: "pages are not kept".into(),
        })
    }

    fn activation(&self) -> Activation {
        let known = self.chain.as_ref();
        known.map_or(Activation::ALL, ChainFacts::activation)
    }
}

pub(super) fn metadata(rollup: &RollupAddress, origination: Level) -> [u8; 24] {
    let mut bytes = [0; 24];
    let (address, level) = bytes.split_at_mut(20);
    address.copy_from_slice(&rollup.0);
    level.copy_from_slice(&origination.get().to_be_bytes());
    bytes
}

impl Reveals for Sources {
    fn preimage(&self, hash: &[u8; 33]) -> Result<Vec<u8>, RevealError> {
        if let Ok(page) = self.kept.preimage(hash) {
            return Ok(page);
        }
        for folder in &self.folders {
            if let Ok(page) = folder.preimage(hash) {
                if let Err(error) = self.kept.keep(&page) {
                    tracing::warn!(%error, "a preimage cannot be kept");
                }
                return Ok(page);
            }
        }
        let name = hex::encode(hash);
        let digest = hash
            .get(1..)
            .and_then(|bytes| Hash::try_from(bytes).ok())
            .ok_or_else(|| RevealError::NoPreimage {
                hash: name.clone(),
                reason: "not a hash".into(),
            })?;
        self.pages
            .fetch(&digest)
            .map_err(|error| RevealError::NoPreimage {
                hash: name,
                reason: error.to_string(),
            })
    }

    fn metadata(&self) -> [u8; 24] {
        self.metadata
    }

    fn dal_parameters(&self, last_input: Level) -> Result<Vec<u8>, RevealError> {
        self.chain
            .dal_parameters(last_input)
            .ok_or_else(|| RevealError::NoParameters("the node told none".into()))
    }

    fn dal_page(&self, page: &PageId) -> Result<Vec<u8>, RevealError> {
        Err(RevealError::NoPage {
            level: page.published_level,
            slot: page.slot_index,
            page: page.page_index,
            reason: "this program cannot fetch pages yet".into(),
        })
    }

    fn activation(&self) -> Activation {
        self.chain.activation()
    }
}
