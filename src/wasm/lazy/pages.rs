//! An ordered map in pages that are shared until they are written.
//!
//! Why not a tree map: clones are taken at every checkpoint of a parser with half a million
//! blocks; here the next write copies one page and the list of pages, not the map. Appending and
//! reading in order, what the machine mostly does, touch the last page alone.

use std::sync::Arc;

/// Bindings in a page at most.
const CAPACITY: usize = 64;

#[derive(Clone)]
struct Page<K, V> {
    entries: Vec<(K, V)>,
    /// Whether something was written since the changes were last taken.
    changed: bool,
}

/// A page behind its first key.
type Keyed<K, V> = (K, Arc<Page<K, V>>);

/// The map.
#[derive(Clone)]
pub(super) struct Pages<K, V> {
    pages: Arc<Vec<Keyed<K, V>>>,
}

/// Whether a write is a change to report.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// The binding is as it was.
    Same,
    /// It is not.
    Changed,
}

impl<K, V> Default for Pages<K, V> {
    fn default() -> Self {
        Self {
            pages: Arc::new(Vec::new()),
        }
    }
}

impl<K: Ord, V> Page<K, V> {
    fn search(&self, key: &K) -> Result<usize, usize> {
        match self.entries.last() {
            Some((last, _)) if last < key => Err(self.entries.len()),
            Some((last, _)) if last == key => Ok(self.entries.len() - 1),
            _ => self.entries.binary_search_by(|(at, _)| at.cmp(key)),
        }
    }
}

impl<K, V> Pages<K, V> {
    pub(super) fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.pages.iter().flat_map(|(_, page)| page.entries.iter())
    }
}

impl<K: Ord + Clone, V: Clone> Pages<K, V> {
    /// The bindings of keys in ascending order; other orders lose bindings.
    pub(super) fn from_ascending(bindings: impl IntoIterator<Item = (K, V)>) -> Self {
        let mut pages = Vec::new();
        let mut bindings = bindings.into_iter().peekable();
        while let Some((first, _)) = bindings.peek() {
            let first = first.clone();
            let entries: Vec<_> = bindings.by_ref().take(CAPACITY).collect();
            let page = Page {
                entries,
                changed: true,
            };
            pages.push((first, Arc::new(page)));
        }
        Self {
            pages: Arc::new(pages),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Number of bindings.
    pub(super) fn len(&self) -> usize {
        self.pages.iter().map(|(_, page)| page.entries.len()).sum()
    }

    /// Bindings from the first key on for which `reached` holds, as it does for all after it.
    pub(super) fn from(&self, reached: impl Fn(&K) -> bool) -> impl Iterator<Item = &(K, V)> {
        let before = self.pages.partition_point(|(_, page)| {
            let last = page.entries.last();
            last.is_none_or(|(key, _)| !reached(key))
        });
        let pages = self.pages.iter().skip(before);
        let entries = pages.flat_map(|(_, page)| page.entries.iter());
        entries.skip_while(move |(key, _)| !reached(key))
    }

    pub(super) fn last_key(&self) -> Option<&K> {
        let (_, page) = self.pages.last()?;
        page.entries.last().map(|(key, _)| key)
    }

    /// Index of the page that holds a key, if any does.
    fn page_of(&self, key: &K) -> usize {
        match self.pages.last() {
            Some((first, _)) if first <= key => self.pages.len() - 1,
            _ => self
                .pages
                .partition_point(|(first, _)| first <= key)
                .saturating_sub(1),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        let (_, page) = self.pages.get(self.page_of(key))?;
        let at = page.search(key).ok()?;
        page.entries.get(at).map(|(_, value)| value)
    }

    /// The value of a key, to write on.
    pub(super) fn get_mut(&mut self, key: &K, mark: Mark) -> Option<&mut V> {
        let index = self.page_of(key);
        let (_, page) = self.pages.get(index)?;
        let at = page.search(key).ok()?;
        let (_, page) = Arc::make_mut(&mut self.pages).get_mut(index)?;
        let page = Arc::make_mut(page);
        page.changed |= mark == Mark::Changed;
        page.entries.get_mut(at).map(|(_, value)| value)
    }

    /// Binds a key and gives back what it was bound to.
    pub(super) fn insert(&mut self, key: K, value: V, mark: Mark) -> Option<V> {
        let index = self.page_of(&key);
        let pages = Arc::make_mut(&mut self.pages);
        let count = pages.len();
        let Some((first, page)) = pages.get_mut(index) else {
            pages.push(Self::page(key, value, mark));
            return None;
        };
        let page = Arc::make_mut(page);
        let at = match page.search(&key) {
            Ok(at) => {
                page.changed |= mark == Mark::Changed;
                let (_, old) = page.entries.get_mut(at)?;
                return Some(std::mem::replace(old, value));
            }
            Err(at) => at,
        };
        if page.entries.len() < CAPACITY {
            page.changed |= mark == Mark::Changed;
            if at == 0 {
                *first = key.clone();
            }
            page.entries.insert(at, (key, value));
        } else if at == CAPACITY && index + 1 == count {
            pages.push(Self::page(key, value, mark));
        } else if at == 0 {
            pages.insert(index, Self::page(key, value, mark));
        } else {
            let upper = page.entries.split_off(CAPACITY / 2);
            let upper = Page {
                entries: upper,
                changed: page.changed,
            };
            if let Some((first, _)) = upper.entries.first() {
                let first = first.clone();
                pages.insert(index + 1, (first, Arc::new(upper)));
            }
            return self.insert(key, value, mark);
        }
        None
    }

    fn page(key: K, value: V, mark: Mark) -> Keyed<K, V> {
        let page = Page {
            entries: vec![(key.clone(), value)],
            changed: mark == Mark::Changed,
        };
        (key, Arc::new(page))
    }

    /// Every binding, to write on without reporting it.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut (K, V)> {
        Arc::make_mut(&mut self.pages)
            .iter_mut()
            .flat_map(|(_, page)| Arc::make_mut(page).entries.iter_mut())
    }

    /// Bindings of pages that report changes.
    pub(super) fn changes(&self) -> impl Iterator<Item = &(K, V)> {
        let changed = self.pages.iter().filter(|(_, page)| page.changed);
        changed.flat_map(|(_, page)| page.entries.iter())
    }

    /// The same, to write on.
    pub(super) fn changes_mut(&mut self) -> impl Iterator<Item = &mut (K, V)> {
        Arc::make_mut(&mut self.pages)
            .iter_mut()
            .filter(|(_, page)| page.changed)
            .flat_map(|(_, page)| Arc::make_mut(page).entries.iter_mut())
    }

    /// Nothing is reported any more; of the pages that reported changes, what `keep` refuses is
    /// unbound.
    pub(super) fn settle(&mut self, mut keep: impl FnMut(&mut V) -> bool) {
        let pages = Arc::make_mut(&mut self.pages);
        let mut emptied = false;
        for (first, page) in pages.iter_mut().filter(|(_, page)| page.changed) {
            let page = Arc::make_mut(page);
            page.entries.retain_mut(|(_, value)| keep(value));
            page.changed = false;
            match page.entries.first() {
                Some((key, _)) if key != first => *first = key.clone(),
                Some(_) => {}
                None => emptied = true,
            }
        }
        if emptied {
            pages.retain(|(_, page)| !page.entries.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The same as a tree map under any operations, clones apart from each other.
        #[test]
        fn it_is_an_ordered_map(
            operations in proptest::collection::vec((-300i32..300, 0u8..5, any::<u16>()), 0..900),
            ascending in 0i32..200,
        ) {
            let mut pages = Pages::from_ascending((0..ascending).map(|key| (key, 0u16)));
            let mut twin: BTreeMap<i32, u16> = (0..ascending).map(|key| (key, 0)).collect();
            let mut kept = Vec::new();
            for (key, operation, value) in operations {
                match operation {
                    0 | 1 => prop_assert_eq!(
                        pages.insert(key, value, Mark::Changed),
                        twin.insert(key, value)
                    ),
                    2 => {
                        if let Some(found) = pages.get_mut(&key, Mark::Same) {
                            *found = value;
                        }
                        if let Some(found) = twin.get_mut(&key) {
                            *found = value;
                        }
                    }
                    3 => {
                        let refused = |value: u16| value.is_multiple_of(3);
                        pages.settle(|value| !refused(*value));
                        let left: Vec<i32> = pages.iter().map(|(key, _)| *key).collect();
                        twin.retain(|key, value| left.contains(key) || !refused(*value));
                    }
                    _ => kept.push((pages.clone(), twin.clone())),
                }
                prop_assert_eq!(pages.get(&key), twin.get(&key));
            }
            kept.push((pages, twin));
            for (pages, twin) in kept {
                prop_assert!(pages.iter().map(|(k, v)| (*k, *v)).eq(twin));
            }
        }
    }
}
