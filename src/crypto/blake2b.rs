//! BLAKE2b without key or personalisation, in the two digest lengths the protocol uses.

use std::fmt;

use blake2b_simd::Params;
use blake2b_simd::many::{HashManyJob, hash_many};

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

fn params(length: usize) -> Params {
    let mut params = Params::new();
    params.hash_length(length);
    params
}

/// The digest that parameters of the same length gave.
fn taken<const N: usize>(digest: &blake2b_simd::Hash) -> [u8; N] {
    let mut bytes = [0; N];
    for (place, byte) in bytes.iter_mut().zip(digest.as_bytes()) {
        *place = *byte;
    }
    bytes
}

/// BLAKE2b with a 32-byte digest.
#[must_use]
pub fn blake2b(bytes: &[u8]) -> Hash {
    Hash(taken(&params(32).hash(bytes)))
}

/// BLAKE2b with a 32-byte digest of the concatenation of `parts`.
#[must_use]
pub fn blake2b_concat(parts: &[&[u8]]) -> Hash {
    let mut hasher = params(32).to_state();
    for part in parts {
        hasher.update(part);
    }
    Hash(taken(&hasher.finalize()))
}

/// BLAKE2b with a 32-byte digest of each input: twice as quick as one by one.
#[must_use]
pub fn blake2b_each<'a>(inputs: impl IntoIterator<Item = &'a [u8]>) -> Vec<Hash> {
    let params = params(32);
    let mut jobs: Vec<_> = inputs
        .into_iter()
        .map(|input| HashManyJob::new(&params, input))
        .collect();
    hash_many(&mut jobs);
    jobs.iter().map(|job| Hash(taken(&job.to_hash()))).collect()
}

/// BLAKE2b with a 20-byte digest: addresses and key hashes.
#[must_use]
pub fn blake2b_20(bytes: &[u8]) -> [u8; 20] {
    taken(&params(20).hash(bytes))
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
