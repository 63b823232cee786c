//! A directory that was changed or made in memory: its entries, hash and listing order.
//!
//! Rule: node states of Irmin's tree. A directory made from nothing lists by name until it is
//! committed; one changed since a commit lists by name too, until its hash or length is computed
//! while everything added to it is itself committed: then upstream caches the new record and
//! lists it in record order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::crypto::Hash;

use super::TreeError;
use super::digest::Preimage;
use super::name::Name;
use super::trie::{Entry, Item, Root};

/// Entries of a directory; changes keep the rest shared.
#[derive(Debug)]
pub(super) struct Dir {
    hash: OnceLock<Hash>,
    root: Root,
    /// Entries not in any commit.
    fresh: usize,
    /// Made from nothing (or listed while changed), so that names decide the order.
    by_name: bool,
    /// The length was asked for, so that upstream carries it along and computes no record for it.
    counted: AtomicBool,
    /// Entries in the order of names, once listed.
    sorted: OnceLock<Arc<[Entry]>>,
}

impl Clone for Dir {
    fn clone(&self) -> Self {
        Self {
            hash: self.hash.clone(),
            root: self.root.clone(),
            fresh: self.fresh,
            by_name: self.by_name,
            counted: AtomicBool::new(self.counted.load(Ordering::Relaxed)),
            sorted: self.sorted.clone(),
        }
    }
}

impl Drop for Dir {
    /// Nested directories are dropped from a list: their depth is not bounded by any stack.
    fn drop(&mut self) {
        if !self.root.holds_dirs() {
            return;
        }
        let mut left = Vec::new();
        std::mem::replace(&mut self.root, Root::empty()).dismantle(&mut left);
        while let Some(dir) = left.pop() {
            if let Some(mut dir) = Arc::into_inner(dir) {
                std::mem::replace(&mut dir.root, Root::empty()).dismantle(&mut left);
            }
        }
    }
}

impl Dir {
    pub(super) fn empty() -> Self {
        Self::of(Root::empty(), 0, true)
    }

    /// A directory made from nothing with these entries.
    pub(super) fn made(entries: Vec<Entry>) -> Result<Self, TreeError> {
        let fresh = entries.iter().filter(|entry| entry.item.is_fresh()).count();
        Ok(Self::of(Root::build(entries)?, fresh, true))
    }

    /// A committed directory about to be changed.
    pub(super) fn of_commit(root: &Root) -> Self {
        Self::of(root.clone(), 0, false)
    }

    fn of(root: Root, fresh: usize, by_name: bool) -> Self {
        Self {
            hash: OnceLock::new(),
            root,
            fresh,
            by_name,
            counted: AtomicBool::new(false),
            sorted: OnceLock::new(),
        }
    }

    pub(super) fn known_hash(&self) -> Option<Hash> {
        self.hash.get().copied()
    }

    /// The hash; directories below are hashed first, from a list, since they may be deep.
    pub(super) fn hash(&self) -> Result<Hash, TreeError> {
        let mut preimage = Preimage::default();
        let mut open: Vec<&Arc<Self>> = Vec::new();
        self.root_unsealed(&mut open);
        while let Some(dir) = open.last().copied() {
            let before = open.len();
            dir.root_unsealed(&mut open);
            if open.len() == before {
                dir.seal(&mut preimage)?;
                open.pop();
            }
        }
        self.seal(&mut preimage)
    }

    fn root_unsealed<'a>(&'a self, open: &mut Vec<&'a Arc<Self>>) {
        if self.hash.get().is_none() {
            self.root.unsealed(open);
        }
    }

    fn seal(&self, preimage: &mut Preimage) -> Result<Hash, TreeError> {
        if let Some(hash) = self.hash.get() {
            return Ok(*hash);
        }
        let hash = self.root.hash(preimage)?;
        Ok(*self.hash.get_or_init(|| hash))
    }

    /// The root record with all changes in it.
    pub(super) fn root(&self) -> Result<&Root, TreeError> {
        Ok(&self.root)
    }

    pub(super) fn is_empty(&self) -> Result<bool, TreeError> {
        Ok(self.root.length() == 0)
    }

    pub(super) fn find(&self, name: &Name) -> Result<Option<Item>, TreeError> {
        self.root.find(name)
    }

    pub(super) fn length(&self) -> Result<usize, TreeError> {
        if !self.by_name && !self.counted.swap(true, Ordering::Relaxed) && self.fresh == 0 {
            self.hash()?;
        }
        Ok(self.root.length())
    }

    pub(super) fn page(
        &self,
        offset: usize,
        length: Option<usize>,
    ) -> Result<Vec<Entry>, TreeError> {
        let as_committed = self.fresh == 0 && self.hash.get().is_some();
        if self.sorted.get().is_none() && !self.by_name && as_committed {
            return self.root.page(offset, length);
        }
        let sorted = self.sorted()?;
        let window = sorted.iter().skip(offset);
        Ok(match length {
            Some(length) => window.take(length).cloned().collect(),
            None => window.cloned().collect(),
        })
    }

    fn sorted(&self) -> Result<Arc<[Entry]>, TreeError> {
        if let Some(sorted) = self.sorted.get() {
            return Ok(sorted.clone());
        }
        let mut entries = self.root.page(0, None)?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(self.sorted.get_or_init(|| entries.into()).clone())
    }

    /// Forgets what a change makes untrue.
    pub(super) fn reopen(&mut self) {
        self.hash.take();
        if self.sorted.take().is_some() {
            self.by_name = true;
        }
    }

    /// Sets an entry.
    pub(super) fn put(&mut self, name: Name, item: Item) -> Result<(), TreeError> {
        let added = usize::from(item.is_fresh());
        let replaced = self.root.insert(Entry { name, item })?;
        let gone = replaced.is_some_and(|item| item.is_fresh());
        self.fresh = self.fresh + added - usize::from(gone);
        Ok(())
    }

    /// Removes an entry, if it is there.
    pub(super) fn remove(&mut self, name: &Name) -> Result<(), TreeError> {
        let removed = self.root.remove(name)?;
        let gone = removed.is_some_and(|item| item.is_fresh());
        self.fresh -= usize::from(gone);
        Ok(())
    }

    /// Changes the entry of a name in place; an absent one starts as an empty directory.
    pub(super) fn change<T>(
        &mut self,
        name: &Name,
        change: impl FnOnce(&mut Item) -> Result<T, TreeError>,
    ) -> Result<T, TreeError> {
        let Some(item) = self.root.slot(name)? else {
            let mut item = Item::Dir(Arc::new(Self::empty()));
            let result = change(&mut item)?;
            self.put(name.clone(), item)?;
            return Ok(result);
        };
        let before = usize::from(item.is_fresh());
        let result = change(item)?;
        let after = usize::from(item.is_fresh());
        self.fresh = self.fresh + after - before;
        Ok(result)
    }
}
