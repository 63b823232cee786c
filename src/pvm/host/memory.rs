//! The guest's memory as host functions see it.

use super::{Code, Edge, Edges, Stop};
use crate::pvm::PvmError;

/// Memory 0 of the caller.
pub trait Memory {
    /// Its size in bytes.
    fn size(&self) -> u64;

    /// Bytes of a range that is inside the memory.
    ///
    /// # Errors
    /// [`PvmError`] when the engine keeps memory in a tree that cannot be read.
    fn read(&self, address: u64, length: usize) -> Result<Vec<u8>, PvmError>;

    /// Overwrites a range that is inside the memory.
    ///
    /// # Errors
    /// [`PvmError`] when the engine keeps memory in a tree that cannot be read.
    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), PvmError>;

    /// Looks at bytes from `address` up to the end of the memory, for the sake of proofs alone: a
    /// read that leaves the memory has read all bytes inside before it fails.
    ///
    /// # Errors
    /// As [`Self::read`].
    fn touch_end(&self, _address: u64) -> Result<(), PvmError> {
        Ok(())
    }
}

/// Addresses are unsigned and do not wrap around.
pub(super) fn unsigned(address: i32) -> u64 {
    u64::from(address.cast_unsigned())
}

/// Reads `length` bytes at `address`.
pub(super) fn load(
    memory: &dyn Memory,
    address: i32,
    length: i32,
    edges: &mut Edges,
) -> Result<Vec<u8>, Stop> {
    let length = usize::try_from(length).map_err(|_| Code::GenericInvalidAccess)?;
    let address = unsigned(address);
    if length == 0 {
        if address > memory.size() {
            edges.mark(Edge::EmptyReadBeyondEnd);
        }
        return Ok(Vec::new());
    }
    if address.saturating_add(length as u64) > memory.size() {
        memory.touch_end(address)?;
        return Err(Code::MemoryInvalidAccess.into());
    }
    Ok(memory.read(address, length)?)
}

/// Writes `bytes` at `address`: those in range even when others are not.
pub(super) fn store(
    memory: &mut dyn Memory,
    address: i32,
    bytes: &[u8],
    edges: &mut Edges,
) -> Result<(), Stop> {
    let address = unsigned(address);
    let room = memory.size().saturating_sub(address);
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    let inside = bytes.get(..room).unwrap_or(bytes);
    if !inside.is_empty() {
        memory.write(address, inside)?;
    }
    if inside.len() == bytes.len() {
        return Ok(());
    }
    if !inside.is_empty() {
        edges.mark(Edge::PartialWrite);
    }
    Err(Code::MemoryInvalidAccess.into())
}

/// The stricter check of `read_input`: the end of the range must lie inside the memory, too.
pub(super) fn check_strictly(memory: &dyn Memory, address: i32, length: i32) -> Result<(), Code> {
    let length = u64::try_from(length).map_err(|_| Code::MemoryInvalidAccess)?;
    if unsigned(address).saturating_add(length) < memory.size() {
        return Ok(());
    }
    Err(Code::MemoryInvalidAccess)
}
