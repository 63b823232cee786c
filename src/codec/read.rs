//! The reading half: a cursor that never reads past its end and says where it stood.

/// Why bytes are not the encoding of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ends inside a value.
    #[error("{what} at byte {offset} needs {needed} bytes, {left} are left")]
    Short {
        /// What was being read.
        what: &'static str,
        /// Where it starts, in bytes from the start of the outermost input.
        offset: usize,
        /// Bytes it needs.
        needed: usize,
        /// Bytes there are.
        left: usize,
    },
    /// A value is outside what its type allows.
    #[error("{what} at byte {offset}: {problem}")]
    Invalid {
        /// What was being read.
        what: &'static str,
        /// Where it starts.
        offset: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// Bytes follow the end of the value.
    #[error("{left} bytes left over at byte {offset}")]
    LeftOver {
        /// Where they start.
        offset: usize,
        /// How many.
        left: usize,
    },
}

/// A bounded cursor over bytes.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    /// Offset of `bytes` in the outermost input, for messages.
    offset: usize,
}

impl<'a> Reader<'a> {
    /// A cursor at the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// Where the cursor stands, in bytes from the start of the outermost input.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Number of bytes left.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// An error at the place of the cursor.
    pub fn invalid(&self, what: &'static str, problem: impl Into<String>) -> DecodeError {
        DecodeError::Invalid {
            what,
            offset: self.offset,
            problem: problem.into(),
        }
    }

    /// Ends reading: nothing may be left.
    ///
    /// # Errors
    /// [`DecodeError::LeftOver`] when bytes follow.
    pub const fn finish(self) -> Result<(), DecodeError> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        Err(DecodeError::LeftOver {
            offset: self.offset,
            left: self.bytes.len(),
        })
    }

    /// The next `length` raw bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`] when fewer are left (likewise for every reading function below).
    pub fn raw(&mut self, what: &'static str, length: usize) -> Result<&'a [u8], DecodeError> {
        let Some((head, tail)) = self.bytes.split_at_checked(length) else {
            return Err(DecodeError::Short {
                what,
                offset: self.offset,
                needed: length,
                left: self.bytes.len(),
            });
        };
        self.bytes = tail;
        self.offset = self.offset.saturating_add(length);
        Ok(head)
    }

    /// All bytes that are left.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = self.bytes;
        self.offset = self.offset.saturating_add(rest.len());
        self.bytes = &[];
        rest
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let at = self.offset;
        let bytes = self.raw(what, N)?;
        bytes.try_into().map_err(|_| DecodeError::Short {
            what,
            offset: at,
            needed: N,
            left: bytes.len(),
        })
    }

    /// One byte.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        Ok(u8::from_be_bytes(self.array(what)?))
    }

    /// `ff` true, `00` false.
    ///
    /// # Errors
    /// [`DecodeError`] when short or another byte.
    pub fn bool(&mut self, what: &'static str) -> Result<bool, DecodeError> {
        let at = self.clone();
        match self.u8(what)? {
            0xff => Ok(true),
            0x00 => Ok(false),
            other => Err(at.invalid(what, format!("{other:#04x} is not a truth value"))),
        }
    }

    /// Two bytes, big-endian.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array(what)?))
    }

    /// Two bytes, big-endian two's complement.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn i16(&mut self, what: &'static str) -> Result<i16, DecodeError> {
        Ok(i16::from_be_bytes(self.array(what)?))
    }

    /// Four bytes, big-endian.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    /// Four bytes, big-endian two's complement.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn i32(&mut self, what: &'static str) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array(what)?))
    }

    /// Eight bytes, big-endian two's complement.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn i64(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.array(what)?))
    }

    /// Zarith natural of at most 128 bits, in its shortest form.
    ///
    /// # Errors
    /// [`DecodeError`] when short, longer than needed, or over 128 bits.
    pub fn n(&mut self, what: &'static str) -> Result<u128, DecodeError> {
        let start = self.clone();
        self.groups(what, &start, 0, 0)
    }

    /// Zarith integer whose magnitude fits 127 bits, in its shortest form.
    ///
    /// # Errors
    /// [`DecodeError`] when short, longer than needed, or too large.
    pub fn z(&mut self, what: &'static str) -> Result<i128, DecodeError> {
        let start = self.clone();
        let first = self.u8(what)?;
        let low = u128::from(first & 0x3f);
        let magnitude = if first & 0x80 == 0 {
            low
        } else {
            self.groups(what, &start, low, 6)?
        };
        let magnitude =
            i128::try_from(magnitude).map_err(|_| start.invalid(what, "number over 127 bits"))?;
        Ok(if first & 0x40 == 0 {
            magnitude
        } else {
            -magnitude
        })
    }

    /// Groups of seven bits from bit `shift` on, added to `value`; the last group may be zero
    /// only when it is the whole number.
    fn groups(
        &mut self,
        what: &'static str,
        start: &Self,
        value: u128,
        shift: u32,
    ) -> Result<u128, DecodeError> {
        let (mut value, mut shift) = (value, shift);
        loop {
            let byte = self.u8(what)?;
            let group = u128::from(byte & 0x7f);
            let placed = group
                .checked_shl(shift)
                .filter(|placed| placed >> shift == group)
                .ok_or_else(|| start.invalid(what, "number over 128 bits"))?;
            value |= placed;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 {
                    Err(start.invalid(what, "number not in its shortest form"))
                } else {
                    Ok(value)
                };
            }
            shift = shift.saturating_add(7);
        }
    }

    /// Bytes behind their length as four bytes; at most `limit` of them.
    ///
    /// # Errors
    /// [`DecodeError`] when short or longer than `limit`.
    pub fn dynamic(&mut self, what: &'static str, limit: usize) -> Result<&'a [u8], DecodeError> {
        let start = self.clone();
        let length = self.u32(what)?;
        match usize::try_from(length) {
            Ok(length) if length <= limit => self.raw(what, length),
            _ => Err(start.invalid(
                what,
                format!("length {length} is over the limit of {limit} bytes"),
            )),
        }
    }

    /// A cursor over the bytes behind a four-byte length, for the items of a list.
    ///
    /// # Errors
    /// [`DecodeError`] when short.
    pub fn sized(&mut self, what: &'static str) -> Result<Self, DecodeError> {
        let length = self.u32(what)? as usize;
        let offset = self.offset;
        Ok(Self {
            bytes: self.raw(what, length)?,
            offset,
        })
    }

    /// Nothing for `00`, what `item` reads for `ff`.
    ///
    /// # Errors
    /// [`DecodeError`] when short or another tag byte.
    pub fn option<T>(
        &mut self,
        what: &'static str,
        item: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if self.bool(what)? {
            item(self).map(Some)
        } else {
            Ok(None)
        }
    }
}
