//! Bytes in chunks of 512: memories, data segments, durable values, payloads.
//!
//! A chunk exists only once written; reading a missing one gives zeros and stores nothing.

use std::sync::Arc;

use crate::merkle::Bytes;
use crate::wasm::encoding::{Source, Stored, Target};
use crate::wasm::fault::{Exception, Fault};
use crate::wasm::lazy::LazyMap;

/// Bytes in a chunk.
pub const CHUNK: usize = 512;

/// Always written as 512 bytes.
#[derive(Debug, Clone)]
struct Chunk(Bytes);

impl Stored for Chunk {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.shared(&self.0)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let bytes = source
            .bytes("")?
            .ok_or(Fault::Raised(Exception::KeyNotFound))?;
        if bytes.len() == CHUNK {
            return Ok(Self(bytes));
        }
        let mut whole = vec![0; CHUNK];
        for (to, from) in whole.iter_mut().zip(bytes.iter()) {
            *to = *from;
        }
        Ok(Self(whole.into()))
    }
}

fn zeros() -> Bytes {
    Arc::from([0; CHUNK])
}

/// A byte vector of fixed or growing length.
#[derive(Debug, Clone, Default)]
pub struct LazyBytes {
    length: i64,
    chunks: LazyMap<i64, Chunk>,
}

const fn chunk_of(address: i64) -> i64 {
    address >> 9
}

fn offset_of(address: i64) -> usize {
    usize::try_from(address & 511).expect("nine bits fit a usize")
}

impl LazyBytes {
    /// Zeros, no chunk stored.
    #[must_use]
    pub fn zeroed(length: i64) -> Self {
        Self {
            length,
            chunks: LazyMap::default(),
        }
    }

    /// The given bytes, every chunk stored.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Self {
        let chunks = bytes.chunks(CHUNK).map(|part| {
            let mut whole = vec![0; CHUNK];
            for (to, from) in whole.iter_mut().zip(part) {
                *to = *from;
            }
            Chunk(whole.into())
        });
        Self {
            length: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
            chunks: LazyMap::from_bindings((0..).zip(chunks)),
        }
    }

    /// Length in bytes.
    #[must_use]
    pub const fn len(&self) -> i64 {
        self.length
    }

    /// Whether the length is zero.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds zeros at the end; stores no chunk.
    pub fn grow(&mut self, delta: i64) {
        if delta > 0 {
            self.length = self.length.saturating_add(delta);
        }
    }

    fn inside(&self, address: i64) -> Result<(), Fault> {
        if address >= self.length || address < 0 {
            return Err(Exception::BytesBounds.into());
        }
        Ok(())
    }

    /// The chunk with its binding; a missing one is zeros.
    fn chunk(&mut self, index: i64) -> Result<Bytes, Fault> {
        match self.chunks.get(&index) {
            Ok(chunk) => Ok(chunk.0.clone()),
            Err(Fault::Raised(_)) => Ok(zeros()),
            Err(other) => Err(other),
        }
    }

    fn change(&mut self, index: i64, change: impl FnOnce(&mut [u8])) -> Result<(), Fault> {
        match self.chunks.write(&index) {
            Ok(chunk) => change(unshared(&mut chunk.0)),
            Err(Fault::Raised(_)) => {
                let mut bytes = zeros();
                change(unshared(&mut bytes));
                self.chunks.set(index, Chunk(bytes));
            }
            Err(other) => return Err(other),
        }
        Ok(())
    }

    /// The byte at `address`.
    ///
    /// # Errors
    /// [`Exception::BytesBounds`], or what reading its chunk gives.
    pub fn byte(&mut self, address: i64) -> Result<u8, Fault> {
        self.inside(address)?;
        let chunk = self.chunk(chunk_of(address))?;
        Ok(chunk.get(offset_of(address)).copied().unwrap_or_default())
    }

    /// Writes one byte.
    ///
    /// # Errors
    /// As [`Self::byte`].
    pub fn set_byte(&mut self, address: i64, byte: u8) -> Result<(), Fault> {
        self.inside(address)?;
        self.change(chunk_of(address), |chunk| {
            if let Some(place) = chunk.get_mut(offset_of(address)) {
                *place = byte;
            }
        })
    }

    /// `length` bytes from `offset`.
    ///
    /// # Errors
    /// As [`Self::byte`].
    pub fn slice(&mut self, offset: i64, length: i64) -> Result<Vec<u8>, Fault> {
        let end = offset.wrapping_add(length);
        if offset < 0 || length < 0 || end.wrapping_sub(1) >= self.length {
            return Err(Exception::BytesBounds.into());
        }
        let mut out = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        let mut at = offset;
        while at < end {
            let chunk = self.chunk(chunk_of(at))?;
            let start = offset_of(at);
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            let part = chunk.get(start..).unwrap_or_default();
            let part = part.get(..left).unwrap_or(part);
            out.extend_from_slice(part);
            at = at.saturating_add(part.len() as i64);
        }
        Ok(out)
    }

    /// Writes `bytes` from `offset`.
    ///
    /// # Errors
    /// As [`Self::byte`].
    pub fn write(&mut self, offset: i64, bytes: &[u8]) -> Result<(), Fault> {
        let length = bytes.len() as i64;
        if offset < 0 || offset.wrapping_add(length).wrapping_sub(1) >= self.length {
            return Err(Exception::BytesBounds.into());
        }
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let start = offset_of(at);
            let (part, tail) = rest.split_at(rest.len().min(CHUNK - start));
            self.change(chunk_of(at), |chunk| {
                for (to, from) in chunk.iter_mut().skip(start).zip(part) {
                    *to = *from;
                }
            })?;
            at = at.saturating_add(part.len() as i64);
            rest = tail;
        }
        Ok(())
    }

    /// Replaces a whole chunk, without reading it first as [`Self::write`] does.
    pub fn set_chunk(&mut self, index: i64, bytes: &[u8]) {
        let mut whole = [0; CHUNK];
        for (to, from) in whole.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.chunks.set(index, Chunk(Arc::from(whole)));
    }

    /// All bytes.
    ///
    /// # Errors
    /// As [`Self::slice`].
    pub fn to_vec(&mut self) -> Result<Vec<u8>, Fault> {
        self.slice(0, self.length)
    }
}

/// The bytes to write on, copied first when somebody else holds them.
fn unshared(bytes: &mut Bytes) -> &mut [u8] {
    if Arc::get_mut(bytes).is_none() {
        *bytes = Arc::from(&bytes[..]);
    }
    Arc::get_mut(bytes).expect("a fresh copy is held once")
}

impl Stored for LazyBytes {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.store("contents", &mut self.chunks)?;
        target.leaf("length", &self.length)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            chunks: source.load("contents")?,
            length: source.leaf("length")?,
        })
    }
}
