//! Names of directory entries, and the bits of their hash that place them in a directory.
//!
//! Rule: the child index at depth `d` is bit `d` of BLAKE2b-256 of the name, most significant bit
//! first (`Hash_bits` order of the binary context). Small decimal names dominate a PVM state, so
//! their bits are tabulated.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::fmt;
use std::sync::{Arc, OnceLock};

use super::TreeError;
use crate::crypto::blake2b;

/// Longest name kept without an allocation.
const INLINE: usize = 14;

/// The name of a directory entry: raw bytes, ordered bytewise with the shorter prefix first.
#[derive(Clone)]
pub(super) enum Name {
    Inline { length: u8, bytes: [u8; INLINE] },
    Long(Arc<Box<[u8]>>),
}

impl Name {
    pub(super) fn new(text: &[u8]) -> Self {
        let mut bytes = [0; INLINE];
        match bytes.get_mut(..text.len()) {
            Some(head) => {
                head.copy_from_slice(text);
                Self::Inline {
                    length: text.len() as u8,
                    bytes,
                }
            }
            None => Self::Long(Arc::new(text.into())),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Inline { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(self.as_bytes()), f)
    }
}

/// The first 64 bits of the hash of a name; directories use at most 50 of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct NameBits(u64);

/// Deepest level of a directory's inner tree; reaching it is an error upstream too.
pub(super) const MAX_DEPTH: usize = 50;

impl NameBits {
    /// Bits of `name`, from a table when it is a small decimal number or was seen lately.
    pub(super) fn of(name: &[u8]) -> Self {
        match small_decimal(name) {
            Some(number) => decimal_bits(number),
            None => recent_bits(name),
        }
    }

    /// Bits of the decimal text of `number`.
    pub(super) fn of_number(number: u32) -> Self {
        decimal_bits(number as usize)
    }

    fn computed(name: &[u8]) -> Self {
        let hash = blake2b(name);
        let (head, _) = hash.0.split_at(8);
        Self(
            head.iter()
                .fold(0, |bits, byte| bits << 8 | u64::from(*byte)),
        )
    }

    /// The side, 0 or 1, that the name takes below a record at `depth`.
    pub(super) const fn side(self, depth: usize) -> usize {
        (self.0 >> (63 - depth) & 1) as usize
    }
}

/// How many of some entries take side 0 below a record at `depth`. They are in the order of their
/// bits, agree above, and do not fit into one bucket.
///
/// # Errors
/// [`TreeError::NamesCollide`], by what `name` says of the first, when there is no place below.
pub(super) fn zeros<T>(
    sorted: &[(NameBits, T)],
    depth: usize,
    name: impl FnOnce(&T) -> String,
) -> Result<usize, TreeError> {
    match sorted.first() {
        Some((_, first)) if depth >= MAX_DEPTH => {
            Err(TreeError::NamesCollide { name: name(first) })
        }
        _ => Ok(sorted.partition_point(|(bits, _)| bits.side(depth) == 0)),
    }
}

/// Numbers per block of the table, and blocks: names `0` to `1048575` are tabulated.
const BLOCK: usize = 4096;
const BLOCKS: usize = 256;

/// The number that `name` is the shortest decimal text of, when the table has it.
fn small_decimal(name: &[u8]) -> Option<usize> {
    if name.is_empty() || name.len() > 7 || (name.len() > 1 && name.starts_with(b"0")) {
        return None;
    }
    let mut number = 0_usize;
    for byte in name {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number * 10 + usize::from(byte - b'0');
    }
    (number < BLOCK * BLOCKS).then_some(number)
}

fn decimal_bits(number: usize) -> NameBits {
    static TABLE: [OnceLock<Box<[NameBits]>>; BLOCKS] = [const { OnceLock::new() }; BLOCKS];
    let first = number / BLOCK * BLOCK;
    let computed = || NameBits::computed(number.to_string().as_bytes());
    TABLE
        .get(number / BLOCK)
        .map(|block| {
            block.get_or_init(|| {
                (first..first + BLOCK)
                    .map(|number| NameBits::computed(number.to_string().as_bytes()))
                    .collect()
            })
        })
        .and_then(|block| block.get(number - first).copied())
        .unwrap_or_else(computed)
}

/// Slots of the table of lately used names.
const SLOTS: usize = 512;

fn recent_bits(name: &[u8]) -> NameBits {
    thread_local! {
        static RECENT: RefCell<Vec<Option<(Name, NameBits)>>> = RefCell::new(vec![None; SLOTS]);
    }
    if name.len() > INLINE {
        return NameBits::computed(name);
    }
    let slot = name.iter().fold(0_usize, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(usize::from(*byte))
    }) % SLOTS;
    RECENT.with_borrow_mut(|recent| {
        let Some(entry) = recent.get_mut(slot) else {
            return NameBits::computed(name);
        };
        match entry {
            Some((known, bits)) if known.as_bytes() == name => *bits,
            _ => {
                let bits = NameBits::computed(name);
                *entry = Some((Name::new(name), bits));
                bits
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First bits of some names of the PVM, from the reference.
    #[test]
    fn names_have_their_known_bits() {
        let check = |name: &str, expected: u8| {
            let bits = NameBits::of(name.as_bytes());
            let found = (0..8).fold(0, |byte, depth| byte << 1 | bits.side(depth) as u8);
            assert_eq!(found, expected, "{name}");
        };
        check("@", 0b0011_1001);
        check("durable", 0b0001_1000);
        check("contents", 0b1111_0010);
        check("boot.wasm", 0b0101_0000);
        check("0", 0b0000_1111);
        check("1", 0b1001_0010);
        check("4", 0b1110_1011);
    }

    #[test]
    fn tables_agree_with_the_hash() {
        for number in [0, 7, 4095, 4096, 1_048_575, 1_048_576, u32::MAX] {
            let text = number.to_string();
            assert_eq!(
                NameBits::of_number(number),
                NameBits::computed(text.as_bytes())
            );
        }
        for name in [
            "0", "00", "7", "4095", "4096", "1048575", "1048576", "-1", "", "length",
        ] {
            for _ in 0..2 {
                assert_eq!(
                    NameBits::of(name.as_bytes()),
                    NameBits::computed(name.as_bytes())
                );
            }
        }
        let long = "a_name_that_is_longer_than_fourteen_bytes";
        assert_eq!(
            NameBits::of(long.as_bytes()),
            NameBits::computed(long.as_bytes())
        );
    }

    #[test]
    fn names_are_small_and_ordered_bytewise() {
        assert_eq!(size_of::<Name>(), 16);
        assert!(Name::new(b"a") < Name::new(b"aa"));
        assert!(Name::new(b"aa") < Name::new(b"b"));
        assert!(Name::new(&[b'a'; 30]) < Name::new(b"b"));
    }
}
