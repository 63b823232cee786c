//! A directory that was changed or made in memory: its entries, hash and listing order.
//!
//! Rule: node states of Irmin's tree. A directory made from nothing lists by name until it is
//! committed; one changed since a commit lists by name too, until its hash or length is computed
//! while everything added to it is itself committed: then upstream caches the new record and
//! lists it in record order. While a proof is made or checked, changes wait in the order of their
//! names, because applying them reads records. Entries put together from nothing are kept by name
//! until records are needed: sorting them once is several times quicker than placing each.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::crypto::Hash;

use super::TreeError;
use super::digest::Preimage;
use super::distant::Tracking;
use super::item::{Entry, Item};
use super::name::Name;
use super::trie::Root;

/// Entries of a directory; changes keep the rest shared.
#[derive(Debug)]
pub(super) struct Dir {
    hash: OnceLock<Hash>,
    /// The root record; not there while `made` holds the entries.
    root: OnceLock<Root>,
    /// Entries put together from nothing.
    made: Option<Box<Mutex<Made>>>,
    /// Changes that are not in `root` yet.
    waiting: Option<Box<Waiting>>,
    /// Entries not in any commit.
    fresh: usize,
    /// Made from nothing (or listed while changed), so that names decide the order.
    by_name: bool,
    /// The length was asked for, so that upstream carries it along and computes no record for it.
    counted: AtomicBool,
    /// Entries in the order of names, once listed.
    sorted: OnceLock<Arc<[Entry]>>,
}

type Made = BTreeMap<Name, Item>;

/// Whatever happened to another thread, entries are only taken out once the record is built.
fn locked(made: &Mutex<Made>) -> MutexGuard<'_, Made> {
    made.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Changes of a directory whose reading is tracked.
#[derive(Clone, Debug)]
struct Waiting {
    tracking: Tracking,
    /// What each changed name stands for now.
    changes: BTreeMap<Name, Option<Item>>,
    /// The record with the changes in it, once computed.
    applied: OnceLock<Root>,
}

impl Waiting {
    fn added(&self) -> impl Iterator<Item = &Item> {
        self.changes.values().flatten()
    }
}

impl Clone for Dir {
    /// Builds the record first, so that both share it.
    fn clone(&self) -> Self {
        let made = match (self.base(), &self.made) {
            (Err(_), Some(made)) => Some(Box::new(Mutex::new(locked(made).clone()))),
            _ => None,
        };
        Self {
            hash: self.hash.clone(),
            root: self.root.clone(),
            made,
            waiting: self.waiting.clone(),
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
        let mut left = Vec::new();
        self.dismantle(&mut left);
        while let Some(dir) = left.pop() {
            if let Some(mut dir) = Arc::into_inner(dir) {
                dir.dismantle(&mut left);
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

    /// A directory made from nothing, of entries that are parts of commits.
    pub(super) fn of_committed(root: Root) -> Self {
        Self::of(root, 0, true)
    }

    /// A committed directory about to be changed.
    pub(super) fn of_commit(root: &Root, tracking: Tracking) -> Self {
        let mut dir = Self::of(root.clone(), 0, false);
        if tracking != Tracking::None {
            dir.waiting = Some(Box::new(Waiting {
                tracking,
                changes: BTreeMap::new(),
                applied: OnceLock::new(),
            }));
        }
        dir
    }

    fn of(root: Root, fresh: usize, by_name: bool) -> Self {
        Self {
            hash: OnceLock::new(),
            root: OnceLock::from(root),
            made: None,
            waiting: None,
            fresh,
            by_name,
            counted: AtomicBool::new(false),
            sorted: OnceLock::new(),
        }
    }

    fn dismantle(&mut self, left: &mut Vec<Arc<Self>>) {
        if let Some(waiting) = self.waiting.take() {
            left.extend(waiting.changes.into_values().filter_map(|item| match item {
                Some(Item::Dir(dir)) => Some(dir),
                _ => None,
            }));
        }
        if let Some(made) = self.made.take() {
            let made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
            left.extend(made.into_values().filter_map(|item| match item {
                Item::Dir(dir) => Some(dir),
                _ => None,
            }));
        }
        if self.root.get().is_some_and(Root::holds_dirs)
            && let Some(root) = self.root.take()
        {
            root.dismantle(left);
        }
    }

    /// The root record without the changes that wait.
    fn base(&self) -> Result<&Root, TreeError> {
        if let Some(root) = self.root.get() {
            return Ok(root);
        }
        let Some(made) = &self.made else {
            return Ok(self.root.get_or_init(Root::empty));
        };
        let mut made = locked(made);
        if let Some(root) = self.root.get() {
            return Ok(root);
        }
        let entries = made.iter().map(|(name, item)| Entry {
            name: name.clone(),
            item: item.clone(),
        });
        let root = Root::build(entries)?;
        made.clear();
        Ok(self.root.get_or_init(|| root))
    }

    /// The root record, for changing it.
    fn base_mut(&mut self) -> Result<&mut Root, TreeError> {
        self.base()?;
        self.made = None;
        if self.root.get().is_none() {
            self.root = OnceLock::from(Root::empty());
        }
        Ok(self.root.get_mut().expect("set just above"))
    }

    /// The entries put together from nothing, while no record holds them.
    fn gathered(&self) -> Option<MutexGuard<'_, Made>> {
        let made = locked(self.made.as_ref()?);
        self.root.get().is_none().then_some(made)
    }

    fn gathered_mut(&mut self) -> Option<&mut Made> {
        if self.root.get().is_some() {
            return None;
        }
        let made = self.made.as_mut()?;
        Some(made.get_mut().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps the entries by name from the third on, if they were put together from nothing.
    fn gather(&mut self, name: &Name) {
        let Some(Root::Flat(pair)) = self.root.get() else {
            return;
        };
        let starts = self.by_name && self.waiting.is_none();
        if starts && pair.len() == 2 && pair.find(name).is_none() {
            let entries = pair.iter().map(|e| (e.name.clone(), e.item.clone()));
            self.made = Some(Box::new(Mutex::new(entries.collect())));
            self.root = OnceLock::new();
        }
    }

    /// Whether nothing about this directory is remembered that a change would make untrue.
    pub(super) fn is_open(&self) -> bool {
        self.hash.get().is_none() && self.sorted.get().is_none() && self.waiting.is_none()
    }

    pub(super) fn known_hash(&self) -> Option<Hash> {
        self.hash.get().copied()
    }

    /// The hash; directories below are hashed first, from a list, since they may be deep.
    pub(super) fn hash(&self) -> Result<Hash, TreeError> {
        let mut preimage = Preimage::default();
        let mut open: Vec<&Arc<Self>> = Vec::new();
        self.unsealed(&mut open)?;
        while let Some(dir) = open.last().copied() {
            let before = open.len();
            dir.unsealed(&mut open)?;
            if open.len() == before {
                dir.seal(&mut preimage)?;
                open.pop();
            }
        }
        self.seal(&mut preimage)
    }

    /// Directories right below whose hash has to be computed first.
    fn unsealed<'a>(&'a self, open: &mut Vec<&'a Arc<Self>>) -> Result<(), TreeError> {
        if self.hash.get().is_some() {
            return Ok(());
        }
        self.base()?.unsealed(open);
        if let Some(waiting) = &self.waiting {
            open.extend(waiting.added().filter_map(|item| match item {
                Item::Dir(dir) if dir.hash.get().is_none() => Some(dir),
                _ => None,
            }));
        }
        Ok(())
    }

    fn seal(&self, preimage: &mut Preimage) -> Result<Hash, TreeError> {
        if let Some(hash) = self.hash.get() {
            return Ok(*hash);
        }
        let hash = self.applied()?.hash(preimage)?;
        Ok(*self.hash.get_or_init(|| hash))
    }

    /// The root record with all changes in it, applied in the order of their names.
    fn applied(&self) -> Result<&Root, TreeError> {
        let Some(waiting) = &self.waiting else {
            return self.base();
        };
        if let Some(root) = waiting.applied.get() {
            return Ok(root);
        }
        let mut root = self.base()?.clone();
        for (name, item) in &waiting.changes {
            match item {
                None => {
                    root.remove(name)?;
                }
                Some(item) => {
                    let (name, item) = (name.clone(), item.clone());
                    root.insert(Entry { name, item })?;
                }
            }
        }
        Ok(waiting.applied.get_or_init(|| root))
    }

    /// The root record with all changes in it and all hashes known.
    pub(super) fn root(&self) -> Result<&Root, TreeError> {
        self.hash()?;
        self.applied()
    }

    /// Upstream reads every record only when the removals might be all there was.
    pub(super) fn is_empty(&self) -> Result<bool, TreeError> {
        if let Some(made) = self.gathered() {
            return Ok(made.is_empty());
        }
        let length = self.base()?.length();
        match &self.waiting {
            None => Ok(length == 0),
            Some(waiting) => {
                if waiting.added().next().is_some() {
                    return Ok(false);
                }
                if length == 0 || length > waiting.changes.len() {
                    return Ok(length == 0);
                }
                let entries = self.base()?.page(0, None)?;
                let removed = |entry: &Entry| waiting.changes.contains_key(&entry.name);
                Ok(entries.iter().all(removed))
            }
        }
    }

    pub(super) fn find(&self, name: &Name) -> Result<Option<Item>, TreeError> {
        if let Some(made) = self.gathered() {
            return Ok(made.get(name).cloned());
        }
        match self.waiting.as_ref().and_then(|w| w.changes.get(name)) {
            Some(changed) => Ok(changed.clone()),
            None => self.base()?.find(name),
        }
    }

    pub(super) fn length(&self) -> Result<usize, TreeError> {
        if let Some(made) = self.gathered() {
            return Ok(made.len());
        }
        if self.waiting.is_some() {
            return self.root().map(Root::length);
        }
        if !self.by_name && !self.counted.swap(true, Ordering::Relaxed) && self.fresh == 0 {
            self.hash()?;
        }
        Ok(self.base()?.length())
    }

    /// Whether upstream would have the record of this directory at hand.
    fn is_as_committed(&self) -> bool {
        let all_committed = match &self.waiting {
            None => self.fresh == 0,
            Some(waiting) => {
                waiting.tracking == Tracking::Recording
                    && waiting.added().all(|item| !item.is_fresh())
            }
        };
        !self.by_name && all_committed && self.hash.get().is_some()
    }

    pub(super) fn page(
        &self,
        offset: usize,
        length: Option<usize>,
    ) -> Result<Vec<Entry>, TreeError> {
        if self.sorted.get().is_none() && self.is_as_committed() {
            return self.applied()?.page(offset, length);
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
        let mut entries = self.base()?.page(0, None)?;
        if let Some(waiting) = &self.waiting {
            entries.retain(|entry| !waiting.changes.contains_key(&entry.name));
            entries.extend(waiting.changes.iter().filter_map(|(name, item)| {
                Some(Entry {
                    name: name.clone(),
                    item: item.clone()?,
                })
            }));
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(self.sorted.get_or_init(|| entries.into()).clone())
    }

    /// Prepares for a change: forgets what it makes untrue.
    pub(super) fn reopen(&mut self) -> Result<(), TreeError> {
        if let Some(sorted) = self.sorted.take() {
            if self.waiting.take().is_some() {
                self.fresh = sorted.iter().filter(|e| e.item.is_fresh()).count();
                self.root = OnceLock::from(Root::build(sorted.iter().cloned())?);
            }
            self.by_name = true;
        }
        let as_committed = self.is_as_committed();
        if let Some(waiting) = &mut self.waiting {
            let applied = waiting.applied.take();
            if let (true, Some(applied)) = (as_committed, applied) {
                self.root = OnceLock::from(applied);
                waiting.changes.clear();
            }
        }
        self.hash.take();
        Ok(())
    }

    /// Sets an entry.
    pub(super) fn put(&mut self, name: Name, item: Item) -> Result<(), TreeError> {
        if let Some(waiting) = &mut self.waiting {
            waiting.changes.insert(name, Some(item));
            return Ok(());
        }
        let added = usize::from(item.is_fresh());
        self.gather(&name);
        let replaced = match self.gathered_mut() {
            Some(made) => match made.entry(name) {
                Slot::Vacant(free) => {
                    free.insert(item);
                    None
                }
                Slot::Occupied(known) if item.is_new_form_of(known.get()) => Some(item),
                Slot::Occupied(mut known) => Some(known.insert(item)),
            },
            None => self.base_mut()?.insert(Entry { name, item })?,
        };
        let gone = replaced.is_some_and(|item| item.is_fresh());
        self.fresh = self.fresh + added - usize::from(gone);
        Ok(())
    }

    /// Removes an entry, if it is there.
    pub(super) fn remove(&mut self, name: &Name) -> Result<(), TreeError> {
        if let Some(waiting) = &mut self.waiting {
            waiting.changes.insert(name.clone(), None);
            return Ok(());
        }
        let removed = match self.gathered_mut() {
            Some(made) => made.remove(name),
            None => self.base_mut()?.remove(name)?,
        };
        let gone = removed.is_some_and(|item| item.is_fresh());
        self.fresh -= usize::from(gone);
        Ok(())
    }

    /// Changes the entry of a name, in place where nobody else holds it; an absent one starts as
    /// an empty directory.
    pub(super) fn change<T>(
        &mut self,
        name: &Name,
        change: impl FnOnce(&mut Item) -> Result<T, TreeError>,
    ) -> Result<T, TreeError> {
        if let Some(waiting) = &mut self.waiting {
            let item = match waiting.changes.remove(name) {
                Some(changed) => changed,
                None => self.root.get().map_or(Ok(None), |root| root.find(name))?,
            };
            let mut item = item.unwrap_or_else(|| Item::Dir(Arc::new(Self::empty())));
            let result = change(&mut item)?;
            waiting.changes.insert(name.clone(), Some(item));
            return Ok(result);
        }
        let slot = match self.gathered_mut() {
            // Looked up twice, since the borrow checker does not let a failed look-up go.
            Some(made) if made.contains_key(name) => {
                self.gathered_mut().and_then(|m| m.get_mut(name))
            }
            Some(_) => None,
            None => self.base_mut()?.slot(name)?,
        };
        let Some(item) = slot else {
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
