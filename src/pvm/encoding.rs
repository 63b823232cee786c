//! Leaves and byte vectors of the state tree.
//!
//! Why: every component of a state is written with the same three shapes (a leaf, a byte vector in
//! 512-byte chunks, a vector with absolute keys). Promises: only the leaves named are touched, so
//! that what a step reads is what the protocol's own encoder reads. Refuses to know: what the
//! bytes mean. Upstream rule: `lib_tree_encoding`, `lib_lazy_containers`.

use super::PvmError;
use crate::codec::{DecodeError, Reader, Writer};
use crate::merkle::Tree;

/// Bytes of a chunk of a byte vector.
pub(crate) const CHUNK: usize = 512;

/// Decodes the leaf at `path`, which must be the whole encoding; none when it is absent.
pub(crate) fn leaf<T>(
    tree: &Tree,
    path: &[&str],
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Option<T>, PvmError> {
    let Some(bytes) = tree.find(path)? else {
        return Ok(None);
    };
    let mut reader = Reader::new(&bytes);
    let value = read(&mut reader).and_then(|value| reader.finish().map(|()| value));
    value.map(Some).map_err(|error| PvmError::Malformed {
        path: path.join("/"),
        error,
    })
}

/// Decodes the leaf at `path`, which must exist.
pub(crate) fn required<T>(
    tree: &Tree,
    path: &[&str],
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<T, PvmError> {
    leaf(tree, path, read)?.ok_or_else(|| PvmError::Missing(path.join("/")))
}

/// Writes a leaf.
pub(crate) fn put(
    tree: &mut Tree,
    path: &[&str],
    write: impl FnOnce(&mut Writer),
) -> Result<(), PvmError> {
    let mut writer = Writer::new();
    write(&mut writer);
    Ok(tree.add(path, &writer.into_bytes())?)
}

/// `path` followed by `tail`.
pub(crate) fn join<'a>(path: &[&'a str], tail: &[&'a str]) -> Vec<&'a str> {
    [path, tail].concat()
}

/// Replaces the byte vector at `path` by one that holds `bytes`, every chunk written.
pub(crate) fn put_bytes(tree: &mut Tree, path: &[&str], bytes: &[u8]) -> Result<(), PvmError> {
    tree.remove(&join(path, &["contents"]))?;
    for (index, chunk) in bytes.chunks(CHUNK).enumerate() {
        let mut padded = [0; CHUNK];
        padded[..chunk.len()].copy_from_slice(chunk);
        tree.add(&join(path, &["contents", &index.to_string()]), &padded)?;
    }
    let length = i64::try_from(bytes.len()).map_err(|_| PvmError::TooLong(path.join("/")))?;
    put(tree, &join(path, &["length"]), |w| {
        w.i64(length);
    })
}

/// Length of the byte vector at `path`.
pub(crate) fn bytes_length(tree: &Tree, path: &[&str]) -> Result<i64, PvmError> {
    required(tree, &join(path, &["length"]), |r| r.i64("length"))
}

/// One chunk of the byte vector at `path`; zeros when it was never written.
pub(crate) fn chunk(tree: &Tree, path: &[&str], index: i64) -> Result<[u8; CHUNK], PvmError> {
    let index = index.to_string();
    let place = join(path, &["contents", &index]);
    let Some(bytes) = tree.find(&place)? else {
        return Ok([0; CHUNK]);
    };
    bytes
        .as_ref()
        .try_into()
        .map_err(|_| PvmError::ChunkLength {
            path: place.join("/"),
            found: bytes.len(),
        })
}

/// The bytes `offset .. offset + length` of the byte vector at `path`; the caller has checked them
/// against its length.
pub(crate) fn bytes_range(
    tree: &Tree,
    path: &[&str],
    offset: i64,
    length: usize,
) -> Result<Vec<u8>, PvmError> {
    let mut bytes = Vec::with_capacity(length);
    let mut position = usize::try_from(offset).map_err(|_| PvmError::TooLong(path.join("/")))?;
    while bytes.len() < length {
        let within = position % CHUNK;
        let index = i64::try_from(position / CHUNK).unwrap_or(i64::MAX);
        let chunk = chunk(tree, path, index)?;
        let part = (CHUNK - within).min(length - bytes.len());
        bytes.extend_from_slice(&chunk[within..within + part]);
        position = position.saturating_add(part);
    }
    Ok(bytes)
}

/// Overwrites part of the byte vector at `path`, reading each chunk it touches first, as the
/// protocol's machine does.
pub(crate) fn patch_bytes(
    tree: &mut Tree,
    path: &[&str],
    offset: i64,
    bytes: &[u8],
) -> Result<(), PvmError> {
    let mut position = usize::try_from(offset).map_err(|_| PvmError::TooLong(path.join("/")))?;
    let mut left = bytes;
    while !left.is_empty() {
        let within = position % CHUNK;
        let index = i64::try_from(position / CHUNK).unwrap_or(i64::MAX);
        let mut patched = chunk(tree, path, index)?;
        let (part, rest) = left.split_at((CHUNK - within).min(left.len()));
        patched[within..within + part.len()].copy_from_slice(part);
        tree.add(&join(path, &["contents", &index.to_string()]), &patched)?;
        position = position.saturating_add(part.len());
        left = rest;
    }
    Ok(())
}

/// All bytes of the byte vector at `path`, which may not be longer than `limit`.
pub(crate) fn all_bytes(tree: &Tree, path: &[&str], limit: usize) -> Result<Vec<u8>, PvmError> {
    let length = bytes_length(tree, path)?;
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= limit)
        .ok_or_else(|| PvmError::TooLong(path.join("/")))?;
    bytes_range(tree, path, 0, length)
}
