//! The abstract form of a proof.

use crate::crypto::Hash;
use crate::merkle::Bytes;
use crate::merkle::name::Name;

/// Entries with what the proof shows of each.
pub(super) type Entries = Vec<(Name, Shown)>;

/// What a proof shows of a value or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Value(Bytes),
    BlindedValue(Hash),
    /// A directory by its entries.
    Node(Entries),
    BlindedNode(Hash),
    /// A directory by its root record.
    Inode(Inode),
    /// A directory by a chain of records with one side.
    Extender(Extender),
}

/// What a proof shows of an inner record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Inner {
    Blinded(Hash),
    Values(Entries),
    Tree(Inode),
    Extender(Extender),
}

/// A record with two sides, of which at least one is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inode {
    pub(super) length: u64,
    pub(super) zero: Option<Box<Inner>>,
    pub(super) one: Option<Box<Inner>>,
}

/// Records with one side each, all of the same length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extender {
    pub(super) length: u64,
    pub(super) segment: Vec<bool>,
    pub(super) end: Box<Inner>,
}
