//! Pre-images of the three kinds of records and of values.
//!
//! Rule: schema "V1" of the binary context (flat directories and values) and the inode records of
//! Irmin's pack store with two entries per record.

use crate::crypto::{Hash, blake2b, blake2b_concat, blake2b_each};

use super::item::Kind;

/// Hash of a value: its length as eight bytes, then its bytes.
pub(super) fn value(bytes: &[u8]) -> Hash {
    blake2b_concat(&[&(bytes.len() as u64).to_be_bytes(), bytes])
}

/// Builds the pre-image of one record in a buffer that is reused from record to record.
#[derive(Debug, Default)]
pub(super) struct Preimage {
    bytes: Vec<u8>,
}

impl Preimage {
    /// A directory of at most two entries as such: names and hashes in the order of names.
    pub(super) fn flat<'a>(
        &mut self,
        entries: impl ExactSizeIterator<Item = (&'a [u8], Kind, Hash)>,
    ) -> Hash {
        self.bytes.clear();
        self.raw(&(entries.len() as u64).to_be_bytes());
        for (name, kind, hash) in entries {
            let marker = match kind {
                Kind::Value => 0xff,
                Kind::Directory => 0x00,
            };
            self.raw(&[marker, 0, 0, 0, 0, 0, 0, 0]);
            self.varint(name.len());
            self.raw(name);
            self.raw(&(hash.0.len() as u64).to_be_bytes());
            self.raw(&hash.0);
        }
        blake2b(&self.bytes)
    }

    /// A bucket of one or two entries inside a larger directory.
    pub(super) fn bucket<'a>(
        &mut self,
        entries: impl ExactSizeIterator<Item = (&'a [u8], Kind, Hash)>,
    ) -> Hash {
        self.bytes.clear();
        self.add_bucket(entries);
        blake2b(&self.bytes)
    }

    /// A branch at `depth` over `length` entries, with the hashes of its two sides.
    pub(super) fn branch(&mut self, depth: usize, length: usize, sides: [Option<Hash>; 2]) -> Hash {
        self.bytes.clear();
        self.add_branch(depth, length, sides);
        blake2b(&self.bytes)
    }

    fn add_bucket<'a>(&mut self, entries: impl ExactSizeIterator<Item = (&'a [u8], Kind, Hash)>) {
        self.bytes.push(0x00);
        self.varint(entries.len());
        for (name, kind, hash) in entries {
            self.varint(name.len());
            self.raw(name);
            self.bytes.push(match kind {
                Kind::Value => 0x01,
                Kind::Directory => 0x00,
            });
            self.raw(&hash.0);
        }
    }

    fn add_branch(&mut self, depth: usize, length: usize, sides: [Option<Hash>; 2]) {
        self.bytes.push(0x01);
        self.varint(depth);
        self.varint(length);
        self.varint(sides.iter().flatten().count());
        for (side, hash) in (0..).zip(sides) {
            if let Some(hash) = hash {
                self.bytes.push(side);
                self.raw(&hash.0);
            }
        }
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn varint(&mut self, mut number: usize) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }
}

/// Pre-images hashed together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    preimages: Preimage,
    ends: Vec<usize>,
}

impl Batch {
    pub(super) fn value(&mut self, bytes: &[u8]) {
        self.preimages.raw(&(bytes.len() as u64).to_be_bytes());
        self.preimages.raw(bytes);
        self.end();
    }

    pub(super) fn bucket<'a>(
        &mut self,
        entries: impl ExactSizeIterator<Item = (&'a [u8], Kind, Hash)>,
    ) {
        self.preimages.add_bucket(entries);
        self.end();
    }

    pub(super) fn branch(&mut self, depth: usize, length: usize, sides: [Option<Hash>; 2]) {
        self.preimages.add_branch(depth, length, sides);
        self.end();
    }

    fn end(&mut self) {
        self.ends.push(self.preimages.bytes.len());
    }

    /// Hashes of all pre-images in their order; the batch is empty then.
    pub(super) fn hashes(&mut self) -> Vec<Hash> {
        let mut rest = self.preimages.bytes.as_slice();
        let mut start = 0;
        let inputs = self.ends.iter().map(|end| {
            let (input, left) = rest.split_at(end - start);
            (rest, start) = (left, *end);
            input
        });
        let hashes = blake2b_each(inputs);
        self.preimages.bytes.clear();
        self.ends.clear();
        hashes
    }
}
