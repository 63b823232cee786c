//! Proofs of what a step does to a tree: made by recording its reads, checked on what they show.
//!
//! Rule: Irmin's `produce_proof` and `verify_proof` with set proofs of the binary context. A proof
//! shows the records that were read, by hash: two equal parts are both shown when one was read.
//! Reading anything else while checking fails the proof, even when the step hides the error.

mod codec;
mod partial;
mod recording;
mod shape;

#[cfg(test)]
mod tests;

pub(super) use partial::Partial;
pub(super) use recording::Recording;

use std::sync::Arc;

use crate::codec::DecodeError;
use crate::crypto::Hash;

use super::distant::Distant;
use super::item::Kind;
use super::{Tree, TreeError};
use shape::Shown;

/// The hash of a value or of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KindedHash {
    /// Of a value.
    Value(Hash),
    /// Of a directory.
    Node(Hash),
}

impl KindedHash {
    /// The hash alone.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        match self {
            Self::Value(hash) | Self::Node(hash) => *hash,
        }
    }

    const fn new(kind: Kind, hash: Hash) -> Self {
        match kind {
            Kind::Value => Self::Value(hash),
            Kind::Directory => Self::Node(hash),
        }
    }

    fn of(tree: &Tree) -> Result<Self, TreeError> {
        Ok(Self::new(tree.0.kind(), tree.hash()?))
    }
}

/// A proof that a step leads from one tree to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    before: KindedHash,
    after: KindedHash,
    state: Shown,
}

/// Why a proof cannot be made, or does not hold.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProofError {
    /// A record is needed that is not shown, or cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The bytes are not a proof.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The parts shown do not fit together.
    #[error("malformed proof: {0}")]
    Malformed(&'static str),
    /// The parts shown are not those of the tree before the step.
    #[error("the proof shows a tree {found:?}, it claims to start from {claimed:?}")]
    Before {
        /// What the header says.
        claimed: KindedHash,
        /// What the parts hash to.
        found: KindedHash,
    },
    /// The step leads elsewhere.
    #[error("the step leads to {found:?}, the proof claims {claimed:?}")]
    After {
        /// What the header says.
        claimed: KindedHash,
        /// Where the step leads.
        found: KindedHash,
    },
    /// Upstream cannot commit an empty tree, so no proof starts there.
    #[error("no proof starts from the empty tree")]
    Empty,
    /// Equal parts shown again and again make the proof explode.
    #[error("the proof has over {limit} records")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// A part does not fit the encoding.
    #[error("entry name of {length} bytes is too long for a proof")]
    LongName {
        /// Its length.
        length: usize,
    },
}

impl Proof {
    /// Runs `step` on `tree`, taken as just committed, and proves what it did.
    ///
    /// # Errors
    /// [`ProofError`] when the tree cannot be read or a proof of it cannot exist.
    pub fn produce<R>(
        tree: &Tree,
        step: impl FnOnce(&mut Tree) -> R,
    ) -> Result<(Self, R), ProofError> {
        if tree.is_empty()? {
            return Err(ProofError::Empty);
        }
        let before = KindedHash::of(tree)?;
        let session = Arc::new(Recording::default());
        let start = Tree(Distant::recorded(&tree.0, &Arc::downgrade(&session))?);
        let mut stepped = start.clone();
        let result = step(&mut stepped);
        let after = KindedHash::of(&stepped)?;
        let state = session.shown(&start)?;
        let proof = Self {
            before,
            after,
            state,
        };
        Ok((proof, result))
    }

    /// Runs `step` on what the proof shows and compares both ends.
    ///
    /// # Errors
    /// [`ProofError`] when the parts shown do not give the tree before, when `step` reads anything
    /// else, or when it leads elsewhere.
    pub fn verify<R>(&self, step: impl FnOnce(&mut Tree) -> R) -> Result<R, ProofError> {
        let session = Arc::new(Partial::default());
        let mut tree = session.open(&self.state)?;
        let found = KindedHash::of(&tree)?;
        if found != self.before {
            return Err(ProofError::Before {
                claimed: self.before,
                found,
            });
        }
        let result = step(&mut tree);
        let after = KindedHash::of(&tree);
        if let Some(error) = session.first_missed() {
            return Err(error.into());
        }
        let found = after?;
        if found != self.after {
            return Err(ProofError::After {
                claimed: self.after,
                found,
            });
        }
        Ok(result)
    }

    /// Reads the tree before the step, on what the proof shows; where the step leads is not asked.
    ///
    /// # Errors
    /// [`ProofError`] when the parts shown do not give the tree before, or when `look` reads
    /// anything else.
    pub fn look<R>(&self, look: impl FnOnce(&Tree) -> R) -> Result<R, ProofError> {
        let unchanged = Self {
            after: self.before,
            ..self.clone()
        };
        unchanged.verify(|tree| look(tree))
    }

    /// What the parts shown hash to.
    ///
    /// # Errors
    /// [`ProofError::Malformed`] when they do not fit together.
    pub fn state_hash(&self) -> Result<KindedHash, ProofError> {
        let session = Arc::new(Partial::default());
        Ok(KindedHash::of(&session.open(&self.state)?)?)
    }

    /// The tree the proof starts from.
    #[must_use]
    pub const fn before(&self) -> KindedHash {
        self.before
    }

    /// The tree it leads to.
    #[must_use]
    pub const fn after(&self) -> KindedHash {
        self.after
    }
}
