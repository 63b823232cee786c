//! The kernel's memory as one piece of bytes, with a mark for every chunk that was written.
//!
//! A chunk that is written exists in the state from then on, even if it holds zeros: the marks are
//! part of the state, not only a saving.

use crate::wasm::eval::GuestMemory;
use crate::wasm::fault::{Exception, Fault};
use crate::wasm::instance::{MAX_PAGES, MemoryInst, PAGE};
use crate::wasm::lazy::CHUNK;

/// Flat memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct FlatMemory {
    pub(super) bytes: Vec<u8>,
    /// One mark for each chunk: written since the last settling.
    pub(super) written: Vec<u8>,
    pub(super) max: Option<u32>,
}

impl FlatMemory {
    pub(super) fn of(instance: &mut MemoryInst) -> Result<Self, Fault> {
        let bytes = instance.chunks.to_vec()?;
        Ok(Self {
            written: vec![0; bytes.len().div_ceil(CHUNK)],
            bytes,
            max: instance.ty.0.max.map(|max| max as u32),
        })
    }

    /// Zeros, none of them written.
    pub(super) fn zeroed(pages: u32, max: Option<u32>) -> Self {
        let length = pages as usize * PAGE as usize;
        Self {
            bytes: vec![0; length],
            written: vec![0; length.div_ceil(CHUNK)],
            max,
        }
    }

    pub(super) fn pages(&self) -> u32 {
        (self.bytes.len() / PAGE as usize) as u32
    }

    /// The old size, or -1 as a 32-bit value.
    pub(super) fn grow(&mut self, delta: u32) -> u32 {
        let old = self.pages();
        match old.checked_add(delta) {
            Some(new) if new <= MAX_PAGES && self.max.is_none_or(|max| new <= max) => {
                let length = new as usize * PAGE as usize;
                self.bytes.resize(length, 0);
                self.written.resize(length.div_ceil(CHUNK), 0);
                old
            }
            _ => u32::MAX,
        }
    }

    /// Marks the chunks of a range that was written.
    pub(super) fn mark(&mut self, start: usize, length: usize) {
        if length == 0 {
            return;
        }
        let first = start / CHUNK;
        let last = start.saturating_add(length - 1) / CHUNK;
        for mark in self.written.iter_mut().take(last + 1).skip(first) {
            *mark = 1;
        }
    }

    /// The range if it is inside.
    pub(super) fn range(&self, start: u32, length: u32) -> Option<std::ops::Range<usize>> {
        let start = start as usize;
        let end = start.checked_add(length as usize)?;
        (end <= self.bytes.len()).then_some(start..end)
    }

    /// Brings what was written into the memory of the state.
    pub(super) fn settle(&mut self, instance: &mut MemoryInst) -> Result<(), Fault> {
        let length = self.bytes.len() as i64;
        instance
            .chunks
            .grow(length.saturating_sub(instance.chunks.len()));
        instance.ty.0.min = self.pages() as i32;
        let chunks = self.bytes.chunks(CHUNK);
        for (index, (mark, chunk)) in self.written.iter_mut().zip(chunks).enumerate() {
            if *mark != 0 {
                *mark = 0;
                instance.chunks.set_chunk(index as i64, chunk);
            }
        }
        Ok(())
    }
}

impl GuestMemory for FlatMemory {
    fn size_in_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_range(&mut self, address: u64, length: usize) -> Result<Vec<u8>, Fault> {
        let start = usize::try_from(address).map_err(|_| Exception::BytesBounds)?;
        let end = start.checked_add(length).ok_or(Exception::BytesBounds)?;
        let range = self.bytes.get(start..end).ok_or(Exception::BytesBounds)?;
        Ok(range.to_vec())
    }

    fn write_range(&mut self, address: u64, bytes: &[u8]) -> Result<(), Fault> {
        let start = usize::try_from(address).map_err(|_| Exception::BytesBounds)?;
        let end = start
            .checked_add(bytes.len())
            .ok_or(Exception::BytesBounds)?;
        let range = self
            .bytes
            .get_mut(start..end)
            .ok_or(Exception::BytesBounds)?;
        range.copy_from_slice(bytes);
        self.mark(start, bytes.len());
        Ok(())
    }
}
