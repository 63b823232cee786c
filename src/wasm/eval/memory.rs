//! Access to a linear memory, byte by byte where the reference goes byte by byte.
//!
//! Which chunks are read and which are written before a trap is visible in proofs and hashes, so
//! the order of accesses is the reference's (`runtime/partial_memory.ml`). Out of bounds is `None`.

use crate::wasm::ast::{Extension, Limits, MemoryType, Num, NumType, PackSize, V128, VecExtension};
use crate::wasm::fault::{Exception, Fault};
use crate::wasm::instance::{MAX_PAGES, MemoryInst, PAGE};
use crate::wasm::numeric;

/// A failed assertion of the original; its text names a place in the original's sources.
pub(crate) fn assertion(file: &str, line: u32) -> Fault {
    Fault::Raised(Exception::Other {
        raw: format!(
            "File \"src/lib_webassembly/runtime/{file}\", line {line}, characters 2-8: Assertion failed"
        ),
        explanation: None,
        interpreter: false,
    })
}

/// Out of bounds becomes `None`, everything else stays.
fn bounded<T>(result: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Fault::Raised(Exception::BytesBounds)) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Address and offset added; no wrap-around.
fn effective(address: i32, offset: i32) -> Option<i64> {
    (address as u32).checked_add(offset as u32).map(i64::from)
}

impl MemoryInst {
    /// Length in bytes.
    #[must_use]
    pub const fn bound(&self) -> i64 {
        self.chunks.len()
    }

    /// Size in pages.
    #[must_use]
    pub const fn size(&self) -> i32 {
        (self.chunks.len() / PAGE) as i32
    }

    /// Grows by `delta` pages and returns the old size, or -1.
    pub(crate) fn grow(&mut self, delta: i32) -> Result<i32, Fault> {
        let MemoryType(limits) = self.ty;
        if limits.min != self.size() {
            return Err(assertion("partial_memory.ml", 97));
        }
        let new = limits.min.wrapping_add(delta);
        if (limits.min as u32) > (new as u32) || (new as u32) > MAX_PAGES {
            return Ok(-1);
        }
        let grown = Limits { min: new, ..limits };
        if !grown.is_valid() {
            return Ok(-1);
        }
        self.ty = MemoryType(grown);
        self.chunks.grow(i64::from(delta).wrapping_mul(PAGE));
        Ok(limits.min)
    }

    /// `count` bytes from `address`; those in range are read even if others are not.
    ///
    /// # Errors
    /// [`Fault`] when a chunk cannot be read.
    pub fn load_bytes(&mut self, address: i32, count: u32) -> Result<Option<Vec<u8>>, Fault> {
        let start = i64::from(address as u32);
        let inside = self
            .bound()
            .saturating_sub(start)
            .clamp(0, i64::from(count));
        let bytes = self.chunks.slice(start, inside);
        if inside == i64::from(count) {
            return if count == 0 {
                Ok(Some(Vec::new()))
            } else {
                bytes.map(Some)
            };
        }
        if inside > 0 {
            bytes?;
        }
        Ok(None)
    }

    /// Writes `bytes` at `address`; those in range are written even if others are not. Whether
    /// all were.
    ///
    /// # Errors
    /// [`Fault`] when a chunk cannot be read.
    pub fn store_bytes(&mut self, address: i32, bytes: &[u8]) -> Result<bool, Fault> {
        let start = i64::from(address as u32);
        let inside = usize::try_from(self.bound().saturating_sub(start).max(0))
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        if inside > 0 {
            let part = bytes.get(..inside).unwrap_or(bytes);
            self.chunks.write(start, part)?;
        }
        Ok(inside == bytes.len())
    }

    /// Little-endian integer of `width` bytes. Nothing is read when the last byte is out of range.
    fn load_le(&mut self, address: i32, offset: i32, width: u32) -> Result<Option<u64>, Fault> {
        let Some(start) = effective(address, offset) else {
            return Ok(None);
        };
        if start.saturating_add(i64::from(width)) > self.bound() {
            return Ok(None);
        }
        let bytes = self.chunks.slice(start, i64::from(width))?;
        Ok(Some(
            bytes
                .iter()
                .rev()
                .fold(0, |value, byte| (value << 8) | u64::from(*byte)),
        ))
    }

    /// Whether the value is stored; nothing is written when the last byte is out of range.
    fn store_le(
        &mut self,
        address: i32,
        offset: i32,
        width: u32,
        value: u64,
    ) -> Result<bool, Fault> {
        let Some(start) = effective(address, offset) else {
            return Ok(false);
        };
        let bytes = value.to_le_bytes();
        let bytes = bytes
            .get(..width as usize)
            .expect("no scalar is wider than eight bytes");
        Ok(bounded(self.chunks.write(start, bytes))?.is_some())
    }

    pub(crate) fn load_num(
        &mut self,
        ty: NumType,
        address: i32,
        offset: i32,
        pack: Option<(PackSize, Extension)>,
    ) -> Result<Option<Num>, Fault> {
        let full = match ty {
            NumType::I32 => 4,
            NumType::I64 => 8,
        };
        let width = pack.map_or(full, |(size, _)| size.bytes());
        let Some(raw) = self.load_le(address, offset, width)? else {
            return Ok(None);
        };
        let value = match pack {
            Some((_, Extension::Signed)) => {
                numeric::scalar::int64::extend_s(raw as i64, width.wrapping_mul(8))
            }
            _ => raw as i64,
        };
        Ok(Some(match ty {
            NumType::I32 => Num::I32(value as i32),
            NumType::I64 => Num::I64(value),
        }))
    }

    /// The width stored is that of the operand, whatever the instruction says.
    pub(crate) fn store_num(
        &mut self,
        num: Num,
        address: i32,
        offset: i32,
        pack: Option<PackSize>,
    ) -> Result<bool, Fault> {
        let (full, raw) = match num {
            Num::I32(value) => (4, value as u32 as u64),
            Num::I64(value) => (8, value as u64),
        };
        let width = pack.map_or(full, PackSize::bytes);
        self.store_le(address, offset, width, raw)
    }

    pub(crate) fn load_vec(
        &mut self,
        address: i32,
        offset: i32,
        pack: Option<(PackSize, VecExtension)>,
    ) -> Result<Option<V128>, Fault> {
        if let Some((size, extension)) = pack {
            return self
                .load_le(address, offset, size.bytes())?
                .map(|raw| numeric::load_extended(size, extension, raw))
                .transpose();
        }
        let Some(start) = effective(address, offset) else {
            return Ok(None);
        };
        let Some(bytes) = self.load_bytes(start as u32 as i32, 16)? else {
            return Ok(None);
        };
        let mut vector = V128::default();
        for (to, from) in vector.0.iter_mut().zip(bytes) {
            *to = from;
        }
        Ok(Some(vector))
    }

    /// Bytes in range are written even if others are not.
    pub(crate) fn store_vec(
        &mut self,
        vector: V128,
        address: i32,
        offset: i32,
    ) -> Result<bool, Fault> {
        let Some(start) = effective(address, offset) else {
            return Ok(false);
        };
        self.store_bytes(start as u32 as i32, &vector.0)
    }
}
