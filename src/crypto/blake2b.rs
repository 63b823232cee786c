//! BLAKE2b without key or personalisation, in the two digest lengths the protocol uses.

use std::fmt;

use blake2::digest::consts::{U20, U32};
use blake2::{Blake2b, Digest};

/// A 32-byte BLAKE2b digest whose meaning is fixed by its context (tree nodes above all).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

/// The bytes offered as a hash do not have its length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a hash has 32 bytes, found {found}")]
pub struct HashLengthError {
    /// Number of bytes offered.
    pub found: usize,
}

impl Hash {
    /// The raw 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Hash {
    type Error = HashLengthError;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        <[u8; 32]>::try_from(bytes)
            .map(Self)
            .map_err(|_| HashLengthError { found: bytes.len() })
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// BLAKE2b with a 32-byte digest.
#[must_use]
pub fn blake2b(bytes: &[u8]) -> Hash {
    Hash(Blake2b::<U32>::digest(bytes).into())
}

/// BLAKE2b with a 32-byte digest of the concatenation of `parts`.
#[must_use]
pub fn blake2b_concat(parts: &[&[u8]]) -> Hash {
    let mut hasher = Blake2b::<U32>::new();
    for part in parts {
        hasher.update(part);
    }
    Hash(hasher.finalize().into())
}

/// BLAKE2b with a 32-byte digest of each input.
#[must_use]
pub fn blake2b_each<'a>(inputs: impl IntoIterator<Item = &'a [u8]>) -> Vec<Hash> {
    inputs.into_iter().map(blake2b).collect()
}

/// BLAKE2b with a 20-byte digest: addresses and key hashes.
#[must_use]
pub fn blake2b_20(bytes: &[u8]) -> [u8; 20] {
    Blake2b::<U20>::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_at_once_are_each_alone() {
        let inputs: Vec<Vec<u8>> = (0..40).map(|n| vec![n; usize::from(n) * 17]).collect();
        let each = blake2b_each(inputs.iter().map(Vec::as_slice));
        let alone: Vec<_> = inputs.iter().map(|input| blake2b(input)).collect();
        assert_eq!(each, alone);
        let parts: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        assert_eq!(blake2b_concat(&parts), blake2b(&inputs.concat()));
    }
}
