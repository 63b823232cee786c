//! Integers of any size, for Michelson numbers and slot sets: text, bytes and single bits only.

use std::fmt;
use std::str::FromStr;

use super::{DecodeError, Reader, Writer};

/// Digits that fit a limb-wise step of the decimal conversions.
const CHUNK: usize = 9;
const CHUNK_BASE: u64 = 1_000_000_000;

/// The longest decimal text accepted; more digits than any operation or message can carry.
const MAX_DIGITS: usize = 100_000;

/// An integer of any size; zero has no sign.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Integer {
    negative: bool,
    /// Magnitude in base 2^32, low limb first, no zero limb at the end.
    limbs: Vec<u32>,
}

/// A text is not a decimal integer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntegerError {
    /// Something else than digits, or no digit.
    #[error("{0:?} is not a decimal integer")]
    NotDecimal(String),
    /// More digits than anything on the chain can have.
    #[error("an integer of {0} digits is over the limit of {MAX_DIGITS}")]
    TooLong(usize),
}

impl Integer {
    fn new(negative: bool, mut limbs: Vec<u32>) -> Self {
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
        Self {
            negative: negative && !limbs.is_empty(),
            limbs,
        }
    }

    /// The non-negative integer with exactly these bits set.
    #[must_use]
    pub fn of_bits(bits: impl IntoIterator<Item = u16>) -> Self {
        let mut limbs = Vec::new();
        for bit in bits {
            let index = usize::from(bit / 32);
            if limbs.len() <= index {
                limbs.resize(index.saturating_add(1), 0);
            }
            if let Some(limb) = limbs.get_mut(index) {
                *limb |= 1 << (bit % 32);
            }
        }
        Self::new(false, limbs)
    }

    /// Whether bit `bit` of the magnitude is set.
    #[must_use]
    pub fn bit(&self, bit: u16) -> bool {
        self.limbs
            .get(usize::from(bit / 32))
            .is_some_and(|limb| limb >> (bit % 32) & 1 == 1)
    }

    /// Whether it is below zero.
    #[must_use]
    pub const fn is_negative(&self) -> bool {
        self.negative
    }

    /// Number of bits of the magnitude.
    fn bits(&self) -> usize {
        let top = self
            .limbs
            .last()
            .map_or(0, |limb| 32 - limb.leading_zeros());
        (self.limbs.len().saturating_sub(1) * 32).saturating_add(top as usize)
    }

    /// `count` (at most 7) bits of the magnitude from bit `from` on.
    fn group(&self, from: usize, count: u32) -> u8 {
        let (index, shift) = (from / 32, from % 32);
        let low = self.limbs.get(index).copied().unwrap_or(0);
        let high = self
            .limbs
            .get(index.saturating_add(1))
            .copied()
            .unwrap_or(0);
        let joined = u64::from(low) | u64::from(high) << 32;
        ((joined >> shift) & ((1 << count) - 1)) as u8
    }

    /// Length of its binary form in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.bits().saturating_sub(6).div_ceil(7).saturating_add(1)
    }

    /// Appends the zarith form: six bits and the sign first, then groups of seven bits.
    pub fn write(&self, writer: &mut Writer) {
        let length = self.encoded_len();
        let more = |at: usize| if at < length { 0x80 } else { 0 };
        let sign = if self.negative { 0x40 } else { 0 };
        writer.u8(self.group(0, 6) | sign | more(1));
        for at in 1..length {
            let from = (at * 7).saturating_sub(1);
            writer.u8(self.group(from, 7) | more(at.saturating_add(1)));
        }
    }

    /// Reads the zarith form, which must be the shortest.
    ///
    /// # Errors
    /// [`DecodeError`] when short or longer than needed.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        let first = reader.u8("integer")?;
        let mut limbs = Vec::new();
        let (mut pending, mut held) = (u64::from(first & 0x3f), 6_u32);
        let mut byte = first;
        while byte & 0x80 != 0 {
            byte = reader.u8("integer")?;
            if byte == 0 {
                return Err(start.invalid("integer", "number not in its shortest form"));
            }
            pending |= u64::from(byte & 0x7f) << held;
            held += 7;
            if held >= 32 {
                limbs.push(pending as u32);
                pending >>= 32;
                held -= 32;
            }
        }
        limbs.push(pending as u32);
        Ok(Self::new(first & 0x40 != 0, limbs))
    }

    /// `self * base + digit` on the magnitude.
    fn shift_in(&mut self, base: u64, digit: u64) {
        let mut carry = digit;
        for limb in &mut self.limbs {
            let sum = u64::from(*limb) * base + carry;
            *limb = sum as u32;
            carry = sum >> 32;
        }
        if carry != 0 {
            self.limbs.push(carry as u32);
        }
    }
}

impl From<i64> for Integer {
    fn from(value: i64) -> Self {
        let magnitude = value.unsigned_abs();
        Self::new(value < 0, vec![magnitude as u32, (magnitude >> 32) as u32])
    }
}

impl FromStr for Integer {
    type Err = IntegerError;

    fn from_str(text: &str) -> Result<Self, IntegerError> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(IntegerError::NotDecimal(text.chars().take(80).collect()));
        }
        if digits.len() > MAX_DIGITS {
            return Err(IntegerError::TooLong(digits.len()));
        }
        let mut value = Self::default();
        for chunk in digits.as_bytes().chunks(CHUNK) {
            let (base, digit) = chunk.iter().fold((1, 0), |(base, digit), byte| {
                (base * 10, digit * 10 + u64::from(byte - b'0'))
            });
            value.shift_in(base, digit);
        }
        Ok(Self::new(text.starts_with('-'), value.limbs))
    }
}

impl fmt::Display for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut limbs = self.limbs.clone();
        let mut chunks = Vec::new();
        while !limbs.is_empty() {
            let mut rest = 0;
            for limb in limbs.iter_mut().rev() {
                let value = rest << 32 | u64::from(*limb);
                *limb = (value / CHUNK_BASE) as u32;
                rest = value % CHUNK_BASE;
            }
            while limbs.last() == Some(&0) {
                limbs.pop();
            }
            chunks.push(rest);
        }
        let mut text = chunks.pop().unwrap_or(0).to_string();
        for chunk in chunks.iter().rev() {
            text.push_str(&format!("{chunk:09}"));
        }
        f.pad_integral(!self.negative, "", &text)
    }
}

impl fmt::Debug for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(value: &Integer) -> Vec<u8> {
        let mut writer = Writer::new();
        value.write(&mut writer);
        writer.into_bytes()
    }

    proptest! {
        #[test]
        fn it_agrees_with_machine_integers(value in -i128::MAX..=i128::MAX) {
            let big: Integer = value.to_string().parse().unwrap();
            prop_assert_eq!(big.to_string(), value.to_string());
            let mut writer = Writer::new();
            writer.z(value);
            prop_assert_eq!(bytes(&big), writer.into_bytes());
            prop_assert_eq!(bytes(&big).len(), big.encoded_len());
        }

        #[test]
        fn any_size_round_trips(digits in "-?[1-9][0-9]{0,600}") {
            let big: Integer = digits.parse().unwrap();
            prop_assert_eq!(big.to_string(), digits);
            let encoded = bytes(&big);
            let mut reader = Reader::new(&encoded);
            prop_assert_eq!(Integer::read(&mut reader), Ok(big));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn arbitrary_bytes_are_read_or_refused(input: Vec<u8>) {
            let mut reader = Reader::new(&input);
            if let Ok(value) = Integer::read(&mut reader) {
                prop_assume!(input.first() != Some(&0x40));
                prop_assert_eq!(bytes(&value), &input[..reader.offset()]);
            }
        }

        #[test]
        fn bits_are_found_again(bits in proptest::collection::btree_set(0_u16..400, 0..40)) {
            let set = Integer::of_bits(bits.iter().copied());
            for bit in 0..410 {
                prop_assert_eq!(set.bit(bit), bits.contains(&bit));
            }
        }
    }
}
