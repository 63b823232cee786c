//! The byte stream under the parser: positions, integers, the checks on them.

use crate::wasm::fault::{Exception, Fault};
use crate::wasm::lazy::LazyBytes;

/// Where the bytes of a binary come from.
pub trait Binary {
    /// Number of bytes.
    fn length(&self) -> i64;

    /// The byte at `position`, which is inside.
    ///
    /// # Errors
    /// [`Fault`] when the tree it lives in cannot answer.
    fn byte_at(&mut self, position: i64) -> Result<u8, Fault>;

    /// `count` bytes from `position`, all inside.
    ///
    /// # Errors
    /// As [`Self::byte_at`].
    fn bytes_at(&mut self, position: i64, count: usize) -> Result<Vec<u8>, Fault>;
}

impl Binary for LazyBytes {
    fn length(&self) -> i64 {
        self.len()
    }

    fn byte_at(&mut self, position: i64) -> Result<u8, Fault> {
        self.byte(position)
    }

    fn bytes_at(&mut self, position: i64, count: usize) -> Result<Vec<u8>, Fault> {
        self.slice(position, count as i64)
    }
}

impl Binary for &[u8] {
    fn length(&self) -> i64 {
        self.len() as i64
    }

    fn byte_at(&mut self, position: i64) -> Result<u8, Fault> {
        usize::try_from(position)
            .ok()
            .and_then(|position| self.get(position))
            .copied()
            .ok_or(Fault::Raised(Exception::BytesBounds))
    }

    fn bytes_at(&mut self, position: i64, count: usize) -> Result<Vec<u8>, Fault> {
        let start = usize::try_from(position).map_err(|_| Exception::BytesBounds)?;
        let range = start..start.saturating_add(count);
        let bytes = self.get(range).ok_or(Exception::BytesBounds)?;
        Ok(bytes.to_vec())
    }
}

/// A cursor over a binary.
pub(super) struct Stream<'a> {
    binary: &'a mut dyn Binary,
    pos: i64,
    length: i64,
}

const END: &str = "unexpected end of section or function";

impl<'a> Stream<'a> {
    pub(super) fn new(binary: &'a mut dyn Binary, pos: i32) -> Self {
        let length = binary.length();
        Self {
            binary,
            pos: i64::from(pos),
            length,
        }
    }

    pub(super) fn pos(&self) -> i32 {
        // Kernels are bounded by what a rollup node can hold; the state has 31 bits for it.
        i32::try_from(self.pos).unwrap_or(i32::MAX)
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.pos == self.length
    }

    pub(super) fn peek(&mut self) -> Result<Option<u8>, Fault> {
        if self.is_at_end() {
            return Ok(None);
        }
        self.binary.byte_at(self.pos).map(Some)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Fault> {
        if self.pos.saturating_add(1) > self.length {
            return Err(Fault::located(END));
        }
        let byte = self.binary.byte_at(self.pos)?;
        self.pos = self.pos.saturating_add(1);
        Ok(byte)
    }

    /// `count` bytes, every one of them read; a negative count is the end of the data.
    pub(super) fn bytes(&mut self, count: i64) -> Result<Vec<u8>, Fault> {
        if count < 0 || self.pos.saturating_add(count) > self.length {
            return Err(Fault::located(END));
        }
        (0..count).map(|_| self.byte()).collect()
    }

    pub(super) fn expect(&mut self, byte: u8, otherwise: &str) -> Result<(), Fault> {
        if self.byte()? == byte {
            return Ok(());
        }
        Err(Fault::located(otherwise))
    }

    fn unsigned(&mut self, mut bits: u32) -> Result<u64, Fault> {
        let (mut value, mut shift) = (0, 0);
        loop {
            if bits == 0 {
                return Err(Fault::located("integer representation too long"));
            }
            let byte = self.byte()?;
            let group = u64::from(byte & 0x7f);
            if bits < 7 && group >> bits != 0 {
                return Err(Fault::located("integer too large"));
            }
            value |= group << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
            bits = bits.saturating_sub(7);
        }
    }

    fn signed(&mut self, mut bits: u32) -> Result<i64, Fault> {
        let (mut value, mut shift) = (0_i64, 0);
        loop {
            if bits == 0 {
                return Err(Fault::located("integer representation too long"));
            }
            let byte = self.byte()?;
            let group = i64::from(byte & 0x7f);
            if bits < 7 {
                let mask = (-1_i64 << (bits - 1)) & 0x7f;
                if group & mask != 0 && group & mask != mask {
                    return Err(Fault::located("integer too large"));
                }
            }
            value |= group << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                if byte & 0x40 != 0 && shift < 64 {
                    value |= -1_i64 << shift;
                }
                return Ok(value);
            }
            bits = bits.saturating_sub(7);
        }
    }

    pub(super) fn flag(&mut self) -> Result<bool, Fault> {
        Ok(self.unsigned(1)? == 1)
    }

    /// An unsigned 32-bit integer, as the signed one of the same bits.
    pub(super) fn vu32(&mut self) -> Result<i32, Fault> {
        Ok(self.unsigned(32)? as u32 as i32)
    }

    pub(super) fn vs7(&mut self) -> Result<i64, Fault> {
        self.signed(7)
    }

    pub(super) fn vs32(&mut self) -> Result<i32, Fault> {
        Ok(self.signed(32)? as i32)
    }

    pub(super) fn vs33(&mut self) -> Result<i32, Fault> {
        Ok(self.signed(33)? as i32)
    }

    pub(super) fn vs64(&mut self) -> Result<i64, Fault> {
        self.signed(64)
    }

    /// A count that cannot be more than the bytes that are left, its own included.
    pub(super) fn length(&mut self) -> Result<i32, Fault> {
        let left = self.length.saturating_sub(self.pos);
        let count = self.vu32()?;
        if i64::from(count as u32) <= left {
            Ok(count)
        } else {
            Err(Fault::located("length out of bounds"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: PartialEq + std::fmt::Debug>(
        bytes: &[u8],
        read: impl for<'a> FnOnce(&mut Stream<'a>) -> Result<T, Fault>,
        expected: Result<T, &str>,
    ) {
        let mut source = bytes;
        let found = read(&mut Stream::new(&mut source, 0));
        let found = found.map_err(|fault| match fault {
            Fault::Raised(exception) => exception.explanation().unwrap(),
            other => panic!("{other}"),
        });
        assert_eq!(found, expected.map_err(str::to_owned), "{bytes:02x?}");
    }

    #[test]
    fn integers_are_checked_like_the_original() {
        const LONG: &str = "integer representation too long";
        const LARGE: &str = "integer too large";
        check(&[0xff, 0xff, 0xff, 0xff, 0x0f], |s| s.vu32(), Ok(-1));
        check(&[0x80, 0x80, 0x80, 0x80, 0x00], |s| s.vu32(), Ok(0));
        check(&[0xff, 0xff, 0xff, 0xff, 0x1f], |s| s.vu32(), Err(LARGE));
        check(&[0x80, 0x80, 0x80, 0x80, 0x80, 0], |s| s.vu32(), Err(LONG));
        check(&[0x7f], |s| s.vs32(), Ok(-1));
        check(&[0x80, 0x80, 0x80, 0x80, 0x78], |s| s.vs32(), Ok(i32::MIN));
        check(&[0x80, 0x80, 0x80, 0x80, 0x70], |s| s.vs32(), Err(LARGE));
        check(&[0xff, 0xff, 0xff, 0xff, 0x07], |s| s.vs32(), Ok(i32::MAX));
        check(&[0x40], |s| s.vs7(), Ok(-64));
        check(&[0x80, 0], |s| s.vs7(), Err(LONG));
        let min = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f];
        check(&min, |s| s.vs64(), Ok(i64::MIN));
        check(&[], |s| s.vu32(), Err(END));
        check(&[2], |s| s.length(), Err("length out of bounds"));
        check(&[1], |s| s.length(), Ok(1));
    }
}
