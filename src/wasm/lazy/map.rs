//! A map over a subtree: bindings are read on demand and remembered.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::known::{Backing, Known};
use super::pages::{Mark, Pages};
use crate::crypto::Hash;
use crate::merkle::{Maker, Tree, TreeError, in_parts_mut};
use crate::wasm::encoding::{Source, Stored, Style, Target};
use crate::wasm::fault::{Exception, Fault};

/// Bindings that a thread writes at once.
const AT_ONCE: usize = 200;
/// Bindings from which a second thread is worth its start.
const WORTH_A_THREAD: usize = 2_000;

/// The key of a binding and its step in the tree. Its order is the order of writing.
pub trait LazyKey: Ord + Clone + Send + Sync + 'static {
    /// The step in the tree.
    fn step(&self) -> Cow<'static, str>;

    /// The key as a number, where it is one that others may know the value of.
    fn number(&self) -> Option<i32> {
        None
    }
}

impl LazyKey for i32 {
    fn step(&self) -> Cow<'static, str> {
        self.to_string().into()
    }

    fn number(&self) -> Option<i32> {
        Some(*self)
    }
}

impl LazyKey for i64 {
    fn step(&self) -> Cow<'static, str> {
        self.to_string().into()
    }
}

#[derive(Clone)]
enum Slot<T> {
    Removed,
    /// Equal to what the origin holds, or to what is known.
    Loaded(T),
    /// Differs from what the origin holds.
    Changed(T),
}

/// Bindings over an optional subtree.
#[derive(Clone)]
pub struct LazyMap<K, T> {
    origin: Option<Tree>,
    slots: Pages<K, Slot<T>>,
    /// Bindings beside the slots, which come before it.
    known: Option<Box<Known<T>>>,
    /// Whether the origin may lack something of the slots.
    changed: bool,
    /// Whether slots and what is known may lack something of the origin.
    partial: bool,
}

impl<K, T> Default for LazyMap<K, T> {
    fn default() -> Self {
        Self {
            origin: None,
            slots: Pages::default(),
            known: None,
            changed: false,
            partial: false,
        }
    }
}

impl<K: fmt::Debug, T: fmt::Debug> fmt::Debug for LazyMap<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.slots.iter().filter_map(|(key, slot)| match slot {
                Slot::Removed => None,
                Slot::Loaded(value) | Slot::Changed(value) => Some((key, value)),
            }))
            .finish()
    }
}

impl<K: LazyKey, T: Stored> LazyMap<K, T> {
    /// Bindings that no tree backs.
    #[must_use]
    pub fn from_bindings(bindings: impl IntoIterator<Item = (K, T)>) -> Self {
        let mut map = Self::default();
        for (key, value) in bindings {
            map.set(key, value);
        }
        map
    }

    /// Bindings that no tree backs, of keys in ascending order.
    #[must_use]
    pub fn from_ascending(bindings: impl IntoIterator<Item = (K, T)>) -> Self {
        let slots = bindings
            .into_iter()
            .map(|(key, value)| (key, Slot::Changed(value)));
        let slots = Pages::from_ascending(slots);
        Self {
            origin: None,
            changed: !slots.is_empty(),
            partial: false,
            known: None,
            slots,
        }
    }

    /// Whether nothing is loaded and no tree is behind.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.origin.is_none() && self.known.is_none() && self.slots.is_empty()
    }

    /// Binds these keys, which were not bound, to what `backing` knows of them, unless that would not
    /// do: says whether it did. Others may be known already, from the same source, if it knows all
    /// between, too.
    pub(super) fn know(
        &mut self,
        backing: &Arc<dyn Backing<T>>,
        keys: Range<i32>,
    ) -> Result<bool, Fault> {
        // What was unbound here and not written yet has a slot that says so.
        let last = self.slots.last_key().and_then(LazyKey::number);
        if last.is_some_and(|last| last >= keys.start) {
            return Ok(false);
        }
        let first = match &self.known {
            None => keys.start,
            Some(known) if known.is_of(backing) => known.keys().end,
            Some(_) => return Ok(false),
        };
        if first > keys.start || !self.are_as_known(backing, first..keys.start)? {
            return Ok(false);
        }
        match &mut self.known {
            Some(known) => known.reach(keys.end),
            None => self.known = Some(Box::new(Known::new(backing, keys))),
        }
        self.changed = true;
        Ok(true)
    }

    /// Whether all of these are here and as somebody knows them.
    fn are_as_known(&self, backing: &Arc<dyn Backing<T>>, keys: Range<i32>) -> Result<bool, Fault> {
        let mut found = 0;
        let slots = self.slots.from(|key| key.number() >= Some(keys.start));
        for (key, slot) in slots {
            let Some(key) = key.number().filter(|key| keys.contains(key)) else {
                break;
            };
            let (Slot::Loaded(value) | Slot::Changed(value)) = slot else {
                return Ok(false);
            };
            let hash = value.clone().tree()?.hash()?;
            if backing.hash(key.cast_unsigned()) != Some(hash) {
                return Ok(false);
            }
            found += 1;
        }
        Ok(found == keys.len())
    }

    /// Notes that a binding is about to change.
    fn change(&mut self, key: &K) {
        self.changed = true;
        if let (Some(known), Some(key)) = (&mut self.known, key.number())
            && known.covers(key)
        {
            known.overrule();
        }
    }

    /// What is known of a key, where it has no slot.
    fn known_of(&self, key: &K) -> Option<(&Known<T>, i32)> {
        let (known, key) = (self.known.as_deref()?, key.number()?);
        known.covers(key).then_some((known, key))
    }

    /// The value of `key`, if it was loaded or written.
    #[must_use]
    pub fn peek(&self, key: &K) -> Option<&T> {
        match self.slots.get(key) {
            Some(Slot::Loaded(value) | Slot::Changed(value)) => Some(value),
            _ => None,
        }
    }

    fn produce(&self, key: &K) -> Result<T, Fault> {
        if let Some((known, key)) = self.known_of(key) {
            return known.value(key);
        }
        match &self.origin {
            Some(origin) => T::load(&Source::new(origin.clone()).at(key.step())),
            None => Err(Exception::KeyNotFound.into()),
        }
    }

    fn ensure(&mut self, key: &K) -> Result<(), Fault> {
        match self.slots.get(key) {
            Some(Slot::Loaded(_) | Slot::Changed(_)) => Ok(()),
            Some(Slot::Removed) => Err(Exception::KeyNotFound.into()),
            None => {
                let value = self.produce(key)?;
                self.slots
                    .insert(key.clone(), Slot::Loaded(value), Mark::Same);
                Ok(())
            }
        }
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// [`Fault`] when there is none or it cannot be read.
    pub fn get(&mut self, key: &K) -> Result<&T, Fault> {
        self.ensure(key)?;
        self.peek(key).ok_or(Fault::Raised(Exception::KeyNotFound))
    }

    /// The value of `key`, to read through: what is inside may load more, but must not change.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn read(&mut self, key: &K) -> Result<&mut T, Fault> {
        self.ensure(key)?;
        match self.slots.get_mut(key, Mark::Same) {
            Some(Slot::Loaded(value) | Slot::Changed(value)) => Ok(value),
            _ => Err(Exception::KeyNotFound.into()),
        }
    }

    /// The value of `key`, to change in place.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn write(&mut self, key: &K) -> Result<&mut T, Fault> {
        self.ensure(key)?;
        self.change(key);
        let Some(slot) = self.slots.get_mut(key, Mark::Changed) else {
            return Err(Exception::KeyNotFound.into());
        };
        if let Slot::Loaded(_) = slot
            && let Slot::Loaded(value) = std::mem::replace(slot, Slot::Removed)
        {
            *slot = Slot::Changed(value);
        }
        match slot {
            Slot::Changed(value) => Ok(value),
            _ => Err(Exception::KeyNotFound.into()),
        }
    }

    /// Binds `key`.
    pub fn set(&mut self, key: K, value: T) {
        self.change(&key);
        self.slots.insert(key, Slot::Changed(value), Mark::Changed);
    }

    /// Unbinds `key`; what the tree holds for it is gone at the next writing.
    pub fn remove(&mut self, key: K) {
        self.change(&key);
        self.slots.insert(key, Slot::Removed, Mark::Changed);
    }

    /// Takes the value of `key` out.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn take(&mut self, key: &K) -> Result<T, Fault> {
        self.ensure(key)?;
        self.change(key);
        match self.slots.insert(key.clone(), Slot::Removed, Mark::Changed) {
            Some(Slot::Loaded(value) | Slot::Changed(value)) => Ok(value),
            _ => Err(Exception::KeyNotFound.into()),
        }
    }

    /// Every binding, if there are so many, none was removed and no tree is behind.
    #[must_use]
    pub fn unbacked(&self, count: usize) -> Option<impl Iterator<Item = (&K, &T)>> {
        let whole = self.origin.is_none()
            && self.known.is_none()
            && self.slots.len() == count
            && self
                .slots
                .iter()
                .all(|(_, slot)| !matches!(slot, Slot::Removed));
        whole.then(|| {
            self.slots.iter().filter_map(|(key, slot)| match slot {
                Slot::Loaded(value) | Slot::Changed(value) => Some((key, value)),
                Slot::Removed => None,
            })
        })
    }

    /// The tree, if nothing changed since it was written.
    #[must_use]
    pub const fn written(&self) -> Option<&Tree> {
        match &self.origin {
            Some(origin) if !self.changed => Some(origin),
            _ => None,
        }
    }

    /// Bindings that were loaded or written.
    pub fn loaded(&self) -> impl Iterator<Item = (&K, &T)> {
        self.slots.iter().filter_map(|(key, slot)| match slot {
            Slot::Loaded(value) | Slot::Changed(value) => Some((key, value)),
            Slot::Removed => None,
        })
    }

    /// Bindings that were changed since the map was last written, by [`Style::Changed`].
    pub fn changed(&self) -> impl Iterator<Item = (&K, &T)> {
        self.slots.changes().filter_map(|(key, slot)| match slot {
            Slot::Changed(value) => Some((key, value)),
            Slot::Loaded(_) | Slot::Removed => None,
        })
    }

    fn store_exact(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match (self.origin.clone(), &self.known) {
            (Some(origin), None) => target.graft(&origin)?,
            (None, None) => target.remove("")?,
            (Some(origin), Some(known)) => target.graft(&self.joined_by(known, origin)?)?,
            (None, Some(known)) => target.graft(&known.directory(BTreeMap::new())?)?,
        }
        for (key, slot) in self.slots.iter_mut() {
            target.at(key.step(), |target| {
                target.remove("")?;
                match slot {
                    Slot::Removed => Ok(()),
                    Slot::Loaded(value) | Slot::Changed(value) => value.store(target),
                }
            })?;
        }
        Ok(())
    }

    fn store_changed(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        if self.changed {
            let tree = match (self.origin.clone(), self.known.clone()) {
                (None, None) => self.made_anew()?,
                (None, Some(known)) => self.made_around(&known)?,
                (Some(_), Some(known)) if self.is_soon_made_around(&known) => {
                    self.made_around(&known)?
                }
                (Some(origin), Some(known)) => {
                    let origin = self.joined_by(&known, origin)?;
                    self.brought_up(origin)?
                }
                // Building a directory at once is quicker than changing all of it.
                (Some(_), None) if !self.partial && self.all_changed() => self.made_anew()?,
                (Some(origin), None) => self.brought_up(origin)?,
            };
            self.settle_on(tree);
        }
        match &self.origin {
            Some(origin) => target.graft(origin),
            None => target.remove(""),
        }
    }

    /// Everything is in this tree.
    fn settle_on(&mut self, tree: Tree) {
        self.origin = Some(tree);
        if self.unbinds_known() {
            // What was unbound has no slot any more: only the tree tells what is left.
            self.known = None;
            self.partial = true;
        }
        if let Some(known) = &mut self.known {
            known.settle();
        }
        self.slots.settle(settle);
        self.changed = false;
    }

    /// Takes it that the tree of the bindings has this hash, unless there is a tree already: it is
    /// made when somebody reads it.
    pub fn believe(&mut self, hash: Hash)
    where
        T: 'static,
    {
        if self.changed && self.origin.is_none() {
            let bindings = Arc::new(Bindings {
                map: self.clone(),
                made: OnceLock::new(),
            });
            self.settle_on(Tree::made_when_read(hash, bindings));
        }
    }

    fn all_changed(&self) -> bool {
        let changed = |slot: &Slot<T>| matches!(slot, Slot::Changed(_));
        self.slots.iter().all(|(_, slot)| changed(slot))
    }

    fn unbinds_known(&self) -> bool {
        let changes = &mut self.slots.changes();
        self.known.is_some()
            && changes
                .any(|(key, slot)| matches!(slot, Slot::Removed) && self.known_of(key).is_some())
    }

    /// The tree of the changed bindings alone.
    fn made_anew(&mut self) -> Result<Tree, Fault> {
        let mut changed: Vec<(&K, &mut T)> = Vec::new();
        for (key, slot) in self.slots.changes_mut() {
            if let Slot::Changed(value) = slot {
                changed.push((key, value));
            }
        }
        let trees = trees_of(changed, |key| key.step().into_owned())?;
        Ok(Tree::directory(trees.into_iter().flatten())?)
    }

    /// The tree with the bindings that changed.
    fn brought_up(&mut self, mut tree: Tree) -> Result<Tree, Fault> {
        for (key, slot) in self.slots.changes_mut() {
            match slot {
                Slot::Removed => tree.remove(&[&key.step()])?,
                Slot::Loaded(_) => {}
                Slot::Changed(value) => tree.add_tree(&[&key.step()], &value.tree()?)?,
            }
        }
        Ok(tree)
    }

    /// The tree with what is known and not written yet.
    fn joined_by(&self, known: &Known<T>, mut tree: Tree) -> Result<Tree, Fault> {
        for key in known.unwritten() {
            tree.add_tree(&[&key.step()], &known.tree(key)?)?;
        }
        Ok(tree)
    }

    /// Whether so much is known and not written that making the tree anew is quicker.
    fn is_soon_made_around(&self, known: &Known<T>) -> bool {
        let all = known.keys().len() + self.slots.len();
        !self.partial && !known.is_overruled() && known.unwritten().len() > all / 4
    }

    /// The tree of what is known, with the other bindings.
    fn made_around(&mut self, known: &Known<T>) -> Result<Tree, Fault> {
        let (mut others, mut here) = (BTreeMap::new(), Vec::new());
        for (key, slot) in self.slots.iter_mut() {
            // Where others know values, keys are numbers.
            let Some(key) = key.number() else { continue };
            match slot {
                Slot::Removed => drop(others.insert(key, None)),
                Slot::Loaded(_) if known.covers(key) => {}
                Slot::Loaded(value) | Slot::Changed(value) => here.push((key, value)),
            }
        }
        let trees = trees_of(here, |key| *key)?;
        let trees = trees.into_iter().flatten();
        others.extend(trees.map(|(key, tree)| (key, Some(tree))));
        known.directory(others)
    }
}

/// The trees of these values, hashed, by all processors, in parts; each behind what names it.
fn trees_of<K: Send, N: Send, T: Stored>(
    mut values: Vec<(K, &mut T)>,
    name: impl Fn(&K) -> N + Sync,
) -> Result<Vec<Vec<(N, Tree)>>, Fault> {
    let parts = in_parts_mut(&mut values, (AT_ONCE, WORTH_A_THREAD), |part| {
        let entries = part.iter_mut().map(|(key, value)| {
            let tree = value.tree()?;
            tree.hash()?;
            Ok((name(key), tree))
        });
        entries.collect()
    });
    parts.into_iter().collect()
}

/// Bindings whose tree is made when somebody reads it, once.
struct Bindings<K, T> {
    map: LazyMap<K, T>,
    made: OnceLock<Result<Tree, TreeError>>,
}

impl<K, T> fmt::Debug for Bindings<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bindings").finish_non_exhaustive()
    }
}

impl<K: LazyKey, T: Stored> Maker for Bindings<K, T> {
    fn make(&self) -> Result<Tree, TreeError> {
        let make = || self.map.clone().tree().map_err(Fault::into_tree_error);
        self.made.get_or_init(make).clone()
    }
}

/// A slot as it is once written; whether it is still needed.
fn settle<T>(slot: &mut Slot<T>) -> bool {
    if let Slot::Changed(_) = slot
        && let Slot::Changed(value) = std::mem::replace(slot, Slot::Removed)
    {
        *slot = Slot::Loaded(value);
    }
    !matches!(slot, Slot::Removed)
}

impl<K: LazyKey, T: Stored> Stored for LazyMap<K, T> {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match target.style() {
            Style::Exact => self.store_exact(target),
            Style::Changed => self.store_changed(target),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            origin: Some(source.subtree()?),
            slots: Pages::default(),
            known: None,
            changed: false,
            partial: true,
        })
    }
}
