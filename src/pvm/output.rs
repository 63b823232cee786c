//! Proof that the outbox of a state holds a message, as layer 1 takes it for execution.
//!
//! Promises: the bytes of the reference for the same state, place and message. Refuses to know:
//! what the message asks for and whether it was executed. Upstream: `produce_output_proof` of
//! `sc_rollup_wasm.ml`, `get_output` of `wasm_pvm.ml`.

use super::buffers::Buffers;
use super::encoding::leaf;
use super::{PvmError, State};
use crate::codec::Writer;
use crate::crypto::Hash;
use crate::merkle::{Proof, ProofError, Tree};
use crate::protocol::Level;

/// A message of the outbox and the proof that a state holds it.
#[derive(Debug, Clone)]
pub struct OutputProof {
    /// What of the state shows it.
    pub proof: Proof,
    /// Level of the outbox.
    pub level: Level,
    /// Place in the outbox of the level.
    pub index: u64,
    /// The message, serialized.
    pub message: Vec<u8>,
}

/// There is no such proof.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] PvmError),
    /// The proof cannot be made or does not hold.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The outbox has no such message.
    #[error("the outbox of level {level} has no message {index}")]
    NoMessage {
        /// The level.
        level: Level,
        /// The place.
        index: u64,
    },
    /// The state shown holds another message there.
    #[error(
        "the state shown holds another message at place {index} of the outbox of level {level}"
    )]
    OtherMessage {
        /// The level.
        level: Level,
        /// The place.
        index: u64,
    },
}

/// Reads the buffers and nothing else of a state.
fn message(tree: &Tree, level: Level, index: u64) -> Result<Option<Vec<u8>>, PvmError> {
    let tag = leaf(tree, &["tag"], |r| r.dynamic("tag", 64).map(<[u8]>::to_vec))?;
    if tag.as_deref() != Some(b"Some") {
        return Ok(None);
    }
    Buffers::decode(tree)?
        .output
        .message(level.get(), u128::from(index))
}

impl OutputProof {
    /// Proves the message at a place of the outbox of a state.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn produce(state: &mut State, level: Level, index: u64) -> Result<Self, OutputError> {
        let tree = state.encode()?;
        let (proof, found) = Proof::produce(tree, |tree| message(tree, level, index))?;
        let message = found?.ok_or(OutputError::NoMessage { level, index })?;
        Ok(Self {
            proof,
            level,
            index,
            message,
        })
    }

    /// The state that holds the message, if the proof holds.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn verify(&self) -> Result<Hash, OutputError> {
        let (level, index) = (self.level, self.index);
        let found = self.proof.verify(|tree| message(tree, level, index))??;
        let found = found.ok_or(OutputError::NoMessage { level, index })?;
        if found != self.message {
            return Err(OutputError::OtherMessage { level, index });
        }
        Ok(self.proof.before().hash())
    }

    /// The bytes that an execution carries.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, OutputError> {
        let mut writer = Writer::new();
        writer.raw(&self.proof.encode()?);
        writer.i32(self.level.get()).n(u128::from(self.index));
        writer.raw(&self.message);
        Ok(writer.into_bytes())
    }
}
