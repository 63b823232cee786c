//! Values and directories as entries, and the two of them that a record holds.
//!
//! Promises: entries in the order of their names; whether a commit holds an item is always known,
//! since listing order and the cost of commits depend on it.

use std::sync::Arc;

use crate::crypto::Hash;

use super::digest::{self, Batch};
use super::dir::Dir;
use super::distant::Distant;
use super::name::Name;
use super::{Bytes, TreeError};

/// What an entry of a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    Value,
    /// A directory.
    Directory,
}

/// A value or a directory, wherever it is.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// A value made in memory since the last commit.
    Fresh(Bytes),
    /// A value that is part of a commit.
    Kept(Bytes),
    /// A directory changed or made since the last commit.
    Dir(Arc<Dir>),
    /// Known by hash, part of a commit; read when needed.
    Distant(Arc<Distant>),
}

impl Item {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Fresh(_) | Self::Kept(_) => Kind::Value,
            Self::Dir(_) => Kind::Directory,
            Self::Distant(distant) => distant.kind,
        }
    }

    /// Whether no commit holds it yet (upstream: it has no key).
    pub(super) const fn is_fresh(&self) -> bool {
        matches!(self, Self::Fresh(_) | Self::Dir(_))
    }

    /// Whether this is the committed value `old` written once more.
    pub(super) fn is_new_form_of(&self, old: &Self) -> bool {
        match (self, old) {
            (Self::Fresh(new), Self::Kept(old)) => new == old,
            (Self::Fresh(new), Self::Distant(old)) => {
                old.kind == Kind::Value && old.hash == digest::value(new)
            }
            _ => false,
        }
    }

    /// The hash when finding it takes no hashing.
    pub(super) fn known_hash(&self) -> Option<Hash> {
        match self {
            Self::Fresh(_) | Self::Kept(_) => None,
            Self::Dir(dir) => dir.known_hash(),
            Self::Distant(distant) => Some(distant.hash),
        }
    }

    /// Gives a value in memory to a batch.
    pub(super) fn batch(&self, batch: &mut Batch) {
        if let Self::Fresh(bytes) | Self::Kept(bytes) = self {
            batch.value(bytes);
        }
    }

    pub(super) fn hash(&self) -> Result<Hash, TreeError> {
        match self {
            Self::Fresh(bytes) | Self::Kept(bytes) => Ok(digest::value(bytes)),
            Self::Dir(dir) => dir.hash(),
            Self::Distant(distant) => Ok(distant.hash),
        }
    }
}

/// A name and what it stands for.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Name,
    pub(super) item: Item,
}

/// At most two entries in the order of their names; `second` is only there beside `first`.
#[derive(Clone, Debug, Default)]
pub(super) struct Pair {
    first: Option<Entry>,
    second: Option<Entry>,
}

impl Pair {
    pub(super) fn one(entry: Entry) -> Self {
        Self {
            first: Some(entry),
            second: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + usize::from(self.second.is_some())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.first.iter().chain(&self.second)
    }

    pub(super) fn slot(&mut self, name: &Name) -> Option<&mut Item> {
        self.first
            .iter_mut()
            .chain(&mut self.second)
            .find(|entry| entry.name == *name)
            .map(|entry| &mut entry.item)
    }

    /// Sets the item of a name that is there. A committed value is kept when the new one is equal:
    /// upstream takes that for no change.
    pub(super) fn replace(&mut self, entry: Entry) -> Result<Item, Entry> {
        match self.slot(&entry.name) {
            None => Err(entry),
            Some(slot) if entry.item.is_new_form_of(slot) => Ok(entry.item),
            Some(slot) => Ok(std::mem::replace(slot, entry.item)),
        }
    }

    pub(super) fn find(&self, name: &Name) -> Option<&Item> {
        self.iter()
            .find(|entry| entry.name == *name)
            .map(|entry| &entry.item)
    }

    /// Adds an entry whose name is not there; gives it back when there is no room.
    pub(super) fn push(&mut self, entry: Entry) -> Option<Entry> {
        match (&mut self.first, &mut self.second) {
            (_, Some(_)) => return Some(entry),
            (Some(first), second) if entry.name < first.name => {
                *second = Some(std::mem::replace(first, entry));
            }
            (Some(_), second) => *second = Some(entry),
            (first, None) => *first = Some(entry),
        }
        None
    }

    pub(super) fn remove(&mut self, name: &Name) -> Option<Item> {
        let matches = |entry: &Option<Entry>| entry.as_ref().is_some_and(|e| e.name == *name);
        let removed = if matches(&self.first) {
            std::mem::replace(&mut self.first, self.second.take())
        } else if matches(&self.second) {
            self.second.take()
        } else {
            None
        };
        removed.map(|entry| entry.item)
    }

    pub(super) fn unsealed<'a>(&'a self, found: &mut Vec<&'a Arc<Dir>>) {
        for entry in self.iter() {
            if let Item::Dir(dir) = &entry.item
                && dir.known_hash().is_none()
            {
                found.push(dir);
            }
        }
    }

    pub(super) fn dismantle(self, found: &mut Vec<Arc<Dir>>) {
        for entry in self.into_entries() {
            if let Item::Dir(dir) = entry.item {
                found.push(dir);
            }
        }
    }

    pub(super) fn into_entries(self) -> impl Iterator<Item = Entry> {
        self.first.into_iter().chain(self.second)
    }

    /// As [`Pair::hashed`], with the hashes of values computed before, in order.
    pub(super) fn hashed_from(
        &self,
        values: &mut impl Iterator<Item = Hash>,
    ) -> Result<PairHashes<'_>, TreeError> {
        let mut list = [None, None];
        for (place, entry) in list.iter_mut().zip(self.iter()) {
            let hash = match &entry.item {
                Item::Fresh(bytes) | Item::Kept(bytes) => {
                    values.next().unwrap_or_else(|| digest::value(bytes))
                }
                item => item.hash()?,
            };
            *place = Some((entry.name.as_bytes(), entry.item.kind(), hash));
        }
        Ok(PairHashes { list, next: 0 })
    }

    /// Hashes of the entries, in a form that the pre-images take.
    pub(super) fn hashed(&self) -> Result<PairHashes<'_>, TreeError> {
        let mut list = [None, None];
        for (place, entry) in list.iter_mut().zip(self.iter()) {
            let hash = entry.item.hash()?;
            *place = Some((entry.name.as_bytes(), entry.item.kind(), hash));
        }
        Ok(PairHashes { list, next: 0 })
    }
}

pub(super) struct PairHashes<'a> {
    list: [Option<(&'a [u8], Kind, Hash)>; 2],
    next: usize,
}

impl<'a> PairHashes<'a> {
    /// At most two entries in the order of their names.
    pub(super) const fn of(list: [Option<(&'a [u8], Kind, Hash)>; 2]) -> Self {
        Self { list, next: 0 }
    }
}

impl<'a> Iterator for PairHashes<'a> {
    type Item = (&'a [u8], Kind, Hash);

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.list.get(self.next).copied().flatten();
        self.next += 1;
        entry
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.list.iter().skip(self.next).flatten().count();
        (left, Some(left))
    }
}

impl ExactSizeIterator for PairHashes<'_> {}
