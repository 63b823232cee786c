//! A vector over a subtree, with 32-bit keys: element `i` lives at key `first + i`.
//!
//! Keys run below zero when elements are put in front, and both halves of a split keep every
//! binding of the whole: the tree shows it, so the state hash depends on it.

use std::sync::Arc;

use crate::crypto::Hash;
use crate::merkle::Tree;
use crate::wasm::encoding::{Source, Stored, Target};
use crate::wasm::fault::{Exception, Fault};
use crate::wasm::lazy::{Backing, LazyMap};

/// A vector of values that are read from the tree on demand.
#[derive(Debug, Clone)]
pub struct LazyVec<T> {
    first: i32,
    length: i32,
    map: LazyMap<i32, T>,
}

impl<T> Default for LazyVec<T> {
    fn default() -> Self {
        Self {
            first: 0,
            length: 0,
            map: LazyMap::default(),
        }
    }
}

const fn below(index: i32, length: i32) -> bool {
    (index as u32) < (length as u32)
}

impl<T: Stored> LazyVec<T> {
    /// A vector of `length` elements, none of them bound.
    #[must_use]
    pub fn unbound(length: i32) -> Self {
        Self {
            length,
            ..Self::default()
        }
    }

    /// The vector of `items`.
    #[must_use]
    pub fn from_items(items: Vec<T>) -> Self {
        let length = i32::try_from(items.len()).unwrap_or(i32::MAX);
        Self {
            first: 0,
            length,
            map: LazyMap::from_ascending((0..).zip(items)),
        }
    }

    /// A vector of `length` elements from key `first` on, with these bindings and no others.
    #[must_use]
    pub fn from_bindings(
        first: i32,
        length: i32,
        bindings: impl IntoIterator<Item = (i32, T)>,
    ) -> Self {
        Self {
            first,
            length,
            map: LazyMap::from_bindings(bindings),
        }
    }

    /// Whether it is empty and always was.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.length == 0 && self.first == 0 && self.map.is_untouched()
    }

    /// The elements in order if they are all here and no tree backs them.
    #[must_use]
    pub fn elements(&self) -> Option<impl Iterator<Item = (&i32, &T)>> {
        self.map.unbacked(self.length as u32 as usize)
    }

    /// The directory of the bindings, if nothing changed since it was written.
    #[must_use]
    pub const fn written(&self) -> Option<&Tree> {
        self.map.written()
    }

    /// Takes it that the directory of the bindings has this hash, unless it is there already: it is
    /// made when somebody reads it.
    pub fn believe(&mut self, hash: Hash) {
        self.map.believe(hash);
    }

    /// Elements by index that were loaded or written.
    pub fn loaded(&self) -> impl Iterator<Item = (i32, &T)> {
        let loaded = self.map.loaded();
        loaded.map(|(key, item)| (key.wrapping_sub(self.first), item))
    }

    /// Elements by index that were changed since the vector was last written.
    pub fn changed(&self) -> impl Iterator<Item = (i32, &T)> {
        let changed = self.map.changed();
        changed.map(|(key, item)| (key.wrapping_sub(self.first), item))
    }

    /// Element `index`, if it was loaded or written.
    #[must_use]
    pub fn peek(&self, index: i32) -> Option<&T> {
        self.map.peek(&self.key(index).ok()?)
    }

    /// The vector of one element.
    #[must_use]
    pub fn singleton(item: T) -> Self {
        Self::from_items(vec![item])
    }

    /// Number of elements, to be read as unsigned.
    #[must_use]
    pub const fn len(&self) -> i32 {
        self.length
    }

    /// Whether there is no element.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Key of the first element.
    #[must_use]
    pub const fn first_key(&self) -> i32 {
        self.first
    }

    fn key(&self, index: i32) -> Result<i32, Fault> {
        if below(index, self.length) {
            Ok(self.first.wrapping_add(index))
        } else {
            Err(Exception::VectorBounds.into())
        }
    }

    /// Element `index`.
    ///
    /// # Errors
    /// [`Exception::VectorBounds`], or what reading it gives.
    pub fn get(&mut self, index: i32) -> Result<&T, Fault> {
        let key = self.key(index)?;
        self.map.get(&key)
    }

    /// Element `index`, to read through: what is inside may load more, but must not change.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn read(&mut self, index: i32) -> Result<&mut T, Fault> {
        let key = self.key(index)?;
        self.map.read(&key)
    }

    /// Element `index`, to change in place.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn write(&mut self, index: i32) -> Result<&mut T, Fault> {
        let key = self.key(index)?;
        self.map.write(&key)
    }

    /// Replaces element `index`.
    ///
    /// # Errors
    /// [`Exception::VectorBounds`].
    pub fn set(&mut self, index: i32, value: T) -> Result<(), Fault> {
        let key = self.key(index)?;
        self.map.set(key, value);
        Ok(())
    }

    fn longer(&self, by: i32) -> Result<i32, Fault> {
        let length = self.length.wrapping_add(by);
        if (self.length as u32) > (length as u32) {
            return Err(Exception::VectorOverflow.into());
        }
        Ok(length)
    }

    /// Puts an element in front.
    ///
    /// # Errors
    /// [`Exception::VectorOverflow`].
    pub fn cons(&mut self, value: T) -> Result<(), Fault> {
        self.length = self.longer(1)?;
        self.first = self.first.wrapping_sub(1);
        self.map.set(self.first, value);
        Ok(())
    }

    /// Puts `items` in front, the first of them first.
    ///
    /// # Errors
    /// As [`Self::cons`].
    pub fn prepend(
        &mut self,
        items: impl IntoIterator<Item = T, IntoIter: DoubleEndedIterator>,
    ) -> Result<(), Fault> {
        items.into_iter().rev().try_for_each(|item| self.cons(item))
    }

    /// Puts an element at the end and returns its index.
    ///
    /// # Errors
    /// [`Exception::VectorOverflow`].
    pub fn append(&mut self, value: T) -> Result<i32, Fault> {
        let index = self.length;
        self.length = self.longer(1)?;
        self.map.set(self.first.wrapping_add(index), value);
        Ok(index)
    }

    /// Puts so many elements at the end, which `backing` knows by their keys.
    ///
    /// # Errors
    /// [`Exception::VectorOverflow`], or what reading elements gives.
    pub fn append_known(&mut self, backing: &Arc<dyn Backing<T>>, count: i32) -> Result<(), Fault> {
        let (from, length) = (self.first.wrapping_add(self.length), self.longer(count)?);
        let keys = from..from.wrapping_add(count);
        if keys.start >= 0 && keys.end >= keys.start && self.map.know(backing, keys.clone())? {
            self.length = length;
            return Ok(());
        }
        for key in keys {
            self.append(Arc::clone(backing).value(key)?)?;
        }
        Ok(())
    }

    /// Takes the first element out.
    ///
    /// # Errors
    /// [`Exception::VectorBounds`] when empty, or what reading it gives.
    pub fn pop(&mut self) -> Result<T, Fault> {
        let key = self.key(0)?;
        let value = self.map.take(&key)?;
        self.first = self.first.wrapping_add(1);
        self.length = self.length.wrapping_sub(1);
        Ok(value)
    }

    /// The first `at` elements and the others; both keep every binding.
    ///
    /// # Errors
    /// [`Exception::VectorBounds`].
    pub fn split(self, at: i32) -> Result<(Self, Self), Fault> {
        if (self.length as u32) < (at as u32) {
            return Err(Exception::VectorBounds.into());
        }
        let rest = Self {
            first: self.first.wrapping_add(at),
            length: self.length.wrapping_sub(at),
            map: self.map.clone(),
        };
        Ok((Self { length: at, ..self }, rest))
    }

    /// Adds `delta` elements equal to `value` (nothing when `delta` is not positive as signed).
    ///
    /// # Errors
    /// [`Exception::VectorOverflow`].
    pub fn grow(&mut self, delta: i32, value: &T) -> Result<(), Fault> {
        self.longer(delta)?;
        for _ in 0..delta.max(0) {
            self.append(value.clone())?;
        }
        Ok(())
    }

    /// Unbinds what is beyond so many elements.
    pub fn truncate(&mut self, length: i32) {
        for index in length..self.length {
            self.map.remove(self.first.wrapping_add(index));
        }
        self.length = self.length.min(length);
    }

    /// All elements in order.
    ///
    /// # Errors
    /// What reading them gives.
    pub fn to_items(&mut self) -> Result<Vec<T>, Fault> {
        if let Some(elements) = self.elements() {
            return Ok(elements.map(|(_, item)| item.clone()).collect());
        }
        // The original reads from the last to the first.
        let mut items = Vec::new();
        for index in (0..self.length as u32).rev() {
            items.push(self.get(index as i32)?.clone());
        }
        items.reverse();
        Ok(items)
    }
}

impl<T: Stored> Stored for LazyVec<T> {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.store("contents", &mut self.map)?;
        target.leaf("length", &self.length)?;
        target.leaf("head", &self.first)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            map: source.load("contents")?,
            length: source.leaf("length")?,
            first: source.leaf("head")?,
        })
    }
}
