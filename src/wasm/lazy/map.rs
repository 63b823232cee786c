//! A map over a subtree: bindings are read on demand and remembered.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

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
    slots: Arc<BTreeMap<K, Slot<T>>>,
}

impl<K, T> Default for LazyMap<K, T> {
    fn default() -> Self {
        Self {
            origin: None,
            slots: Arc::new(BTreeMap::new()),
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
        let slots = bindings
            .into_iter()
            .map(|(key, value)| (key, Slot::Changed(value)))
            .collect();
        Self {
            origin: None,
            slots: Arc::new(slots),
        }
    }

    /// Whether nothing is loaded and no tree is behind.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.origin.is_none() && self.slots.is_empty()
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
                Arc::make_mut(&mut self.slots).insert(key.clone(), Slot::Loaded(value));
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
        match self.slots.get(key) {
            Some(Slot::Loaded(value) | Slot::Changed(value)) => Ok(value),
            _ => Err(Exception::KeyNotFound.into()),
        }
    }

    /// The value of `key`, to read through: what is inside may load more, but must not change.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn read(&mut self, key: &K) -> Result<&mut T, Fault> {
        self.ensure(key)?;
        match Arc::make_mut(&mut self.slots).get_mut(key) {
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
        let Some(slot) = Arc::make_mut(&mut self.slots).get_mut(key) else {
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
        Arc::make_mut(&mut self.slots).insert(key, Slot::Changed(value));
    }

    /// Unbinds `key`; what the tree holds for it is gone at the next writing.
    pub fn remove(&mut self, key: K) {
        Arc::make_mut(&mut self.slots).insert(key, Slot::Removed);
    }

    /// Takes the value of `key` out.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn take(&mut self, key: &K) -> Result<T, Fault> {
        self.ensure(key)?;
        match Arc::make_mut(&mut self.slots).insert(key.clone(), Slot::Removed) {
            Some(Slot::Loaded(value) | Slot::Changed(value)) => Ok(value),
            _ => Err(Exception::KeyNotFound.into()),
        }
    }

    fn store_exact(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match &self.origin {
            Some(origin) => target.graft(origin)?,
            None => target.remove("")?,
        }
        for (key, slot) in Arc::make_mut(&mut self.slots) {
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
        match &self.origin {
            Some(origin) => target.graft(origin)?,
            None => target.remove("")?,
        }
        let settled = self
            .slots
            .values()
            .all(|slot| matches!(slot, Slot::Loaded(_)));
        if settled {
            return Ok(());
        }
        let slots = Arc::make_mut(&mut self.slots);
        for (key, slot) in slots.iter_mut() {
            match slot {
                Slot::Removed => target.remove(&key.step())?,
                Slot::Loaded(_) => {}
                Slot::Changed(value) => target.at(key.step(), |target| {
                    target.remove("")?;
                    value.store(target)
                })?,
            }
        }
        self.origin = Some(target.subtree()?);
        slots.retain(|_, slot| !matches!(slot, Slot::Removed));
        for slot in slots.values_mut() {
            if let Slot::Changed(_) = slot
                && let Slot::Changed(value) = std::mem::replace(slot, Slot::Removed)
            {
                *slot = Slot::Loaded(value);
            }
        }
        Ok(())
    }
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
            slots: Arc::new(BTreeMap::new()),
        })
    }
}
