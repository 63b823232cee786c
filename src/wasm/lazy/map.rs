//! A map over a subtree: bindings are read on demand and remembered.

use std::borrow::Cow;
use std::fmt;

use super::pages::{Mark, Pages};
use crate::merkle::Tree;
use crate::wasm::encoding::{Source, Stored, Style, Target};
use crate::wasm::fault::{Exception, Fault};

/// The key of a binding and its step in the tree. Its order is the order of writing.
pub trait LazyKey: Ord + Clone {
    /// The step in the tree.
    fn step(&self) -> Cow<'static, str>;
}

impl LazyKey for i32 {
    fn step(&self) -> Cow<'static, str> {
        self.to_string().into()
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
    /// Equal to what the origin holds.
    Loaded(T),
    /// Differs from what the origin holds.
    Changed(T),
}

/// Bindings over an optional subtree.
#[derive(Clone)]
pub struct LazyMap<K, T> {
    origin: Option<Tree>,
    slots: Pages<K, Slot<T>>,
    /// Whether the origin may lack something of the slots.
    changed: bool,
    /// Whether the slots may lack something of the origin.
    partial: bool,
}

impl<K, T> Default for LazyMap<K, T> {
    fn default() -> Self {
        Self {
            origin: None,
            slots: Pages::default(),
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
            slots,
        }
    }

    /// Whether nothing is loaded and no tree is behind.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.origin.is_none() && self.slots.is_empty()
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
        self.changed = true;
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
        self.changed = true;
        self.slots.insert(key, Slot::Changed(value), Mark::Changed);
    }

    /// Unbinds `key`; what the tree holds for it is gone at the next writing.
    pub fn remove(&mut self, key: K) {
        self.changed = true;
        self.slots.insert(key, Slot::Removed, Mark::Changed);
    }

    /// Takes the value of `key` out.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn take(&mut self, key: &K) -> Result<T, Fault> {
        self.ensure(key)?;
        self.changed = true;
        match self.slots.insert(key.clone(), Slot::Removed, Mark::Changed) {
            Some(Slot::Loaded(value) | Slot::Changed(value)) => Ok(value),
            _ => Err(Exception::KeyNotFound.into()),
        }
    }

    /// Every binding, if there are so many, none was removed and no tree is behind.
    #[must_use]
    pub fn unbacked(&self, count: usize) -> Option<impl Iterator<Item = (&K, &T)>> {
        let whole = self.origin.is_none()
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
        match &self.origin {
            Some(origin) => target.graft(origin)?,
            None => target.remove("")?,
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
            let tree = match &self.origin {
                None => self.made_anew()?,
                // Building a directory at once is quicker than changing all of it.
                Some(_) if !self.partial && self.all_changed() => self.made_anew()?,
                Some(origin) => {
                    let origin = origin.clone();
                    self.brought_up(origin)?
                }
            };
            self.origin = Some(tree);
            self.slots.settle(settle);
            self.changed = false;
        }
        match &self.origin {
            Some(origin) => target.graft(origin),
            None => target.remove(""),
        }
    }

    fn all_changed(&self) -> bool {
        let changed = |slot: &Slot<T>| matches!(slot, Slot::Changed(_));
        self.slots.iter().all(|(_, slot)| changed(slot))
    }

    /// The tree of the changed bindings alone.
    fn made_anew(&mut self) -> Result<Tree, Fault> {
        let mut entries = Vec::new();
        for (key, slot) in self.slots.changes_mut() {
            if let Slot::Changed(value) = slot {
                entries.push((key.step().into_owned(), value.tree()?));
            }
        }
        Ok(Tree::directory(entries)?)
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
            changed: false,
            partial: true,
        })
    }
}
