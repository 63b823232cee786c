//! The writing half: big-endian integers, zarith numbers, length-prefixed data.

/// Appends protocol encodings to a growing buffer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Raw bytes, no length.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    /// `ff` for true, `00` for false.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.u8(if value { 0xff } else { 0x00 })
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Two bytes, big-endian two's complement.
    pub fn i16(&mut self, value: i16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Four bytes, big-endian two's complement.
    pub fn i32(&mut self, value: i32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Eight bytes, big-endian two's complement.
    pub fn i64(&mut self, value: i64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Zarith natural: groups of seven bits, low group first, high bit = more follow.
    pub fn n(&mut self, mut value: u128) -> &mut Self {
        loop {
            let group = (value & 0x7f) as u8;
            value >>= 7;
            if value == 0 {
                return self.u8(group);
            }
            self.u8(group | 0x80);
        }
    }

    /// Zarith integer: six value bits and a sign in the first byte, then groups of seven bits.
    pub fn z(&mut self, value: i128) -> &mut Self {
        let magnitude = value.unsigned_abs();
        let sign = if value < 0 { 0x40 } else { 0x00 };
        let first = (magnitude & 0x3f) as u8 | sign;
        let rest = magnitude >> 6;
        if rest == 0 {
            return self.u8(first);
        }
        self.u8(first | 0x80).n(rest)
    }

    /// Bytes behind their length as four bytes. Data of 4 GiB and more cannot be written: the
    /// length is then cut to the largest one, which every reader refuses.
    pub fn dynamic(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX))
            .raw(bytes)
    }

    /// What `fill` writes, behind its length in bytes.
    pub fn sized(&mut self, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let mut inner = Self::new();
        fill(&mut inner);
        self.dynamic(&inner.bytes)
    }

    /// `00` for nothing, `ff` and what `fill` writes for something.
    pub fn option<T>(&mut self, value: Option<T>, fill: impl FnOnce(&mut Self, T)) -> &mut Self {
        match value {
            None => self.u8(0x00),
            Some(value) => {
                self.u8(0xff);
                fill(self, value);
                self
            }
        }
    }
}
