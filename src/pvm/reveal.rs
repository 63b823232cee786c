//! What kernels may ask to be revealed, and who answers.
//!
//! Promises: a request is decoded and replaced exactly as the protocol does it; an answer to a
//! hash is checked against the hash. Refuses to know: where data is fetched from; an answer that
//! cannot be had is an error with its reason, never a guess.
//! Upstream rule: `sc_rollup_PVM_sig.ml` (`reveal_encoding`), `get_status` in `sc_rollup_wasm.ml`.

use std::path::PathBuf;

use super::PvmError;
use crate::codec::{DecodeError, Reader};
use crate::crypto::blake2b;
use crate::protocol::Level;

/// Hash of the empty string: what an undecodable or inactive request is replaced by.
pub const WELL_KNOWN_PREIMAGE_HASH: [u8; 33] = [
    0x00, 0x0e, 0x57, 0x51, 0xc0, 0x26, 0xe5, 0x43, 0xb2, 0xe8, 0xab, 0x2e, 0xb0, 0x60, 0x99, 0xda,
    0xa1, 0xd1, 0xe5, 0xdf, 0x47, 0x77, 0x8f, 0x77, 0x87, 0xfa, 0xab, 0x45, 0xcd, 0xf1, 0x2f, 0xe3,
    0xa8,
];

/// A page of the data availability layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageId {
    /// Level at which its slot was published.
    pub published_level: Level,
    /// Slot of that level.
    pub slot_index: u8,
    /// Page of that slot.
    pub page_index: i16,
}

/// What a machine asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// The preimage of a hash.
    Preimage([u8; 33]),
    /// Address and origination level of the rollup.
    Metadata,
    /// A page of the data availability layer.
    DalPage(PageId),
    /// Parameters of the data availability layer.
    DalParameters,
    /// A page with an own threshold: decodable, never active so far.
    AdaptiveDalPage,
}

/// From which level on each kind of request is answered; none = never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activation {
    /// Preimages.
    pub preimage: Option<Level>,
    /// Metadata.
    pub metadata: Option<Level>,
    /// Pages.
    pub dal_page: Option<Level>,
    /// Parameters.
    pub dal_parameters: Option<Level>,
}

impl Activation {
    /// Preimages and metadata always, the data availability layer never.
    pub const BASIC: Self = Self {
        preimage: Some(Level::ZERO),
        metadata: Some(Level::ZERO),
        dal_page: None,
        dal_parameters: None,
    };

    /// Everything from the start.
    pub const ALL: Self = Self {
        dal_page: Some(Level::ZERO),
        dal_parameters: Some(Level::ZERO),
        ..Self::BASIC
    };
}

impl Request {
    /// The request that the protocol sees in these bytes at this level.
    #[must_use]
    pub fn resolve(bytes: &[u8], last_input: Option<Level>, activation: &Activation) -> Self {
        let well_known = Self::Preimage(WELL_KNOWN_PREIMAGE_HASH);
        let request = Self::decode(bytes).unwrap_or(well_known);
        let since = match request {
            Self::Preimage(_) => activation.preimage,
            Self::Metadata => activation.metadata,
            Self::DalPage(_) => activation.dal_page,
            Self::DalParameters => activation.dal_parameters,
            Self::AdaptiveDalPage => None,
        };
        match (last_input, since) {
            (Some(level), Some(since)) if level >= since => request,
            _ => well_known,
        }
    }

    /// Decodes the bytes a kernel passes.
    ///
    /// # Errors
    /// [`DecodeError`] when the protocol could not decode them either.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let start = reader.clone();
        let request = match reader.u8("reveal request")? {
            0 => {
                let hash: [u8; 33] = reader.array("reveal hash")?;
                if hash.first() != Some(&0) {
                    return Err(start.invalid("reveal hash", "unknown scheme"));
                }
                Self::Preimage(hash)
            }
            1 => Self::Metadata,
            2 => Self::DalPage(page(&mut reader)?),
            3 => Self::DalParameters,
            4 => {
                page(&mut reader)?;
                reader.u8("attestation threshold")?;
                reader.rest();
                Self::AdaptiveDalPage
            }
            other => return Err(start.invalid("reveal request", format!("unknown tag {other}"))),
        };
        reader.finish()?;
        Ok(request)
    }
}

fn page(reader: &mut Reader<'_>) -> Result<PageId, DecodeError> {
    let start = reader.clone();
    let level = reader.i32("published level")?;
    Ok(PageId {
        published_level: Level::try_from(level)
            .map_err(|error| start.invalid("published level", error.to_string()))?,
        slot_index: reader.u8("slot index")?,
        page_index: reader.i16("page index")?,
    })
}

/// Data that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevealError {
    /// Nobody has the preimage.
    #[error("the preimage of {hash} cannot be had: {reason}")]
    NoPreimage {
        /// The hash in hexadecimal.
        hash: String,
        /// Why.
        reason: String,
    },
    /// What was offered as a preimage has another hash.
    #[error("what was offered as the preimage of {hash} has hash {found}")]
    WrongPreimage {
        /// The hash asked for.
        hash: String,
        /// The hash of what was offered.
        found: String,
    },
    /// A page of the data availability layer.
    #[error("page {page} of slot {slot} published at level {level} cannot be had: {reason}")]
    NoPage {
        /// Level of the slot.
        level: Level,
        /// Slot.
        slot: u8,
        /// Page.
        page: i16,
        /// Why.
        reason: String,
    },
    /// Parameters of the data availability layer.
    #[error("the parameters of the data availability layer cannot be had: {0}")]
    NoParameters(String),
}

/// Who answers. Calls may block; they come from the thread that runs the kernel.
pub trait Reveals: Send + Sync {
    /// The preimage of a hash.
    ///
    /// # Errors
    /// [`RevealError`] when it cannot be had (likewise below).
    fn preimage(&self, hash: &[u8; 33]) -> Result<Vec<u8>, RevealError>;

    /// Rollup address, then origination level.
    fn metadata(&self) -> [u8; 24];

    /// Encoded parameters of the data availability layer in force at the level of the last input.
    ///
    /// # Errors
    /// [`RevealError`].
    fn dal_parameters(&self, last_input: Level) -> Result<Vec<u8>, RevealError>;

    /// A page; empty when its slot was not attested.
    ///
    /// # Errors
    /// [`RevealError`].
    fn dal_page(&self, page: &PageId) -> Result<Vec<u8>, RevealError>;

    /// Which requests are answered at all.
    fn activation(&self) -> Activation;

    /// Answers the bytes a kernel passes as the protocol would, hashes checked.
    ///
    /// # Errors
    /// [`RevealError`].
    fn answer(&self, request: &[u8], last_input: Option<Level>) -> Result<Vec<u8>, RevealError> {
        match Request::resolve(request, last_input, &self.activation()) {
            Request::Preimage(hash) if hash == WELL_KNOWN_PREIMAGE_HASH => Ok(Vec::new()),
            Request::Preimage(hash) => {
                let data = self.preimage(&hash)?;
                let found = blake2b(&data);
                if hash.get(1..) != Some(found.as_bytes().as_slice()) {
                    return Err(RevealError::WrongPreimage {
                        hash: hex::encode(hash),
                        found: found.to_string(),
                    });
                }
                Ok(data)
            }
            Request::Metadata => Ok(self.metadata().to_vec()),
            Request::DalPage(page) => self.dal_page(&page),
            Request::DalParameters => self.dal_parameters(last_input.unwrap_or(Level::ZERO)),
            Request::AdaptiveDalPage => Ok(Vec::new()),
        }
    }
}

/// Knows a rollup's metadata and nothing else, as for kernels run apart from any rollup.
#[derive(Debug, Clone, Copy)]
pub struct MetadataAlone(pub [u8; 24]);

impl Reveals for MetadataAlone {
    fn preimage(&self, hash: &[u8; 33]) -> Result<Vec<u8>, RevealError> {
        Err(RevealError::NoPreimage {
            hash: hex::encode(hash),
            reason: "only the metadata is known here".to_owned(),
        })
    }

    fn metadata(&self) -> [u8; 24] {
        self.0
    }

    fn dal_parameters(&self, _: Level) -> Result<Vec<u8>, RevealError> {
        let reason = "only the metadata is known here";
        Err(RevealError::NoParameters(reason.to_owned()))
    }

    fn dal_page(&self, _: &PageId) -> Result<Vec<u8>, RevealError> {
        Ok(Vec::new())
    }

    fn activation(&self) -> Activation {
        Activation::BASIC
    }
}

/// Preimages kept as files named by their hash, as rollup nodes keep them (`wasm_2_0_0/<hash>`).
#[derive(Debug, Clone)]
pub struct PreimageFolder {
    folder: PathBuf,
}

impl PreimageFolder {
    /// The folder, which need not exist.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The preimage of a hash; a file whose content has another hash is as good as none.
    ///
    /// # Errors
    /// [`RevealError`] when there is no such file, or it is damaged.
    pub fn preimage(&self, hash: &[u8; 33]) -> Result<Vec<u8>, RevealError> {
        let name = hex::encode(hash);
        let data =
            std::fs::read(self.folder.join(&name)).map_err(|error| RevealError::NoPreimage {
                hash: name.clone(),
                reason: format!("{}: {error}", self.folder.display()),
            })?;
        let found = blake2b(&data);
        if hash.get(1..) == Some(found.as_bytes().as_slice()) {
            return Ok(data);
        }
        Err(RevealError::WrongPreimage {
            hash: name,
            found: found.to_string(),
        })
    }

    /// Keeps a preimage fetched elsewhere, under its own hash.
    ///
    /// # Errors
    /// The I/O error.
    pub fn keep(&self, data: &[u8]) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let name = format!("00{}", blake2b(data));
        let unfinished = self.folder.join(format!("{name}.part"));
        std::fs::write(&unfinished, data)?;
        std::fs::rename(unfinished, self.folder.join(name))
    }
}

impl From<RevealError> for super::NotJudgeable {
    fn from(error: RevealError) -> Self {
        Self::Reveal(error)
    }
}

impl From<PvmError> for super::LevelError {
    fn from(error: PvmError) -> Self {
        Self::State(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_well_known_hash_is_that_of_the_empty_string() {
        assert_eq!(
            WELL_KNOWN_PREIMAGE_HASH.get(1..),
            Some(blake2b(&[]).as_bytes().as_slice())
        );
    }

    #[test]
    fn requests_that_are_undecodable_or_inactive_become_the_well_known_one() {
        let at = |bytes: &[u8], level| Request::resolve(bytes, level, &Activation::BASIC);
        let level = Some(Level::new(10));
        let well_known = Request::Preimage(WELL_KNOWN_PREIMAGE_HASH);
        assert_eq!(at(&[1], level), Request::Metadata);
        assert_eq!(at(&[1], None), well_known);
        assert_eq!(at(&[1, 0], level), well_known);
        assert_eq!(at(&[3], level), well_known);
        assert_eq!(at(&[], level), well_known);
        let mut hash = vec![0];
        hash.extend([0; 33]);
        assert_eq!(at(&hash, level), Request::Preimage([0; 33]));
        hash[1] = 1;
        assert_eq!(at(&hash, level), well_known);
    }

    proptest! {
        #[test]
        fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Request::decode(&bytes);
        }
    }
}
