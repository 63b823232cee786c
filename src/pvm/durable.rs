//! The kernel's durable storage: values and subkeys under keys, kept in the state tree.
//!
//! Promises: the tree after any sequence of operations is the judging machine's, chunk by chunk (a
//! stored zero makes a chunk, `create` makes none). Values being written are kept open so that a
//! kernel which writes a large value piece by piece does not walk the tree from its root for each
//! piece. Refuses to know: guest memory, error codes, who may write where.
//! Upstream rule: `durable.ml`.

use super::PvmError;
use super::encoding::{all_bytes, bytes_length, bytes_range, patch_bytes, put, put_bytes};
use super::key::{Key, StaticKey};
use crate::crypto::Hash;
use crate::merkle::Tree;

/// Name of the entry that holds the value of a key.
pub(crate) const VALUE: &str = "@";

/// Most bytes the machine reads as one value of its own (kernels are far smaller).
const MACHINE_VALUE_LIMIT: usize = 1 << 30;

/// The durable storage of one state. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Durable {
    tree: Tree,
    /// The value touched last, possibly not yet written back.
    open: Option<Open>,
    /// The directory listed last, in the judging machine's order.
    listed: Option<(Key, Tree)>,
}

#[derive(Debug, Clone)]
struct Open {
    key: Key,
    /// The entry [`VALUE`] of the key.
    value: Tree,
    length: i64,
    changed: bool,
}

/// In which order entries are listed.
///
/// The machine that judges replays one tick on a tree fresh from the store, which lists in the
/// order of the hash bits of the names. A run of many ticks, which is what every honest node
/// commits to, lists a directory that it has changed since the last commit by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListingOrder {
    /// As in a proof.
    Judge,
    /// As in the run of a node.
    #[default]
    Run,
}

/// What a directory entry is called in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nth {
    /// The entry at the index; empty for the value itself.
    Name(String),
    /// The key has neither value nor subkeys.
    NoNode,
    /// There is no such entry.
    NoEntry,
    /// A negative index.
    Negative,
}

impl Durable {
    /// The storage whose root is `tree`.
    #[must_use]
    pub fn new(tree: Tree) -> Self {
        Self {
            tree,
            open: None,
            listed: None,
        }
    }

    /// The root, with every pending write in it.
    ///
    /// # Errors
    /// [`PvmError`] when the tree cannot be read (likewise for every function below).
    pub fn tree(&mut self) -> Result<&Tree, PvmError> {
        self.flush()?;
        Ok(&self.tree)
    }

    /// Writes the open value back.
    fn flush(&mut self) -> Result<(), PvmError> {
        if let Some(open) = self.open.as_mut().filter(|open| open.changed) {
            self.tree.add_tree(&open.key.path(&[VALUE]), &open.value)?;
            open.changed = false;
            self.listed = None;
        }
        Ok(())
    }

    /// Writes everything back and forgets what was derived from the tree, which is about to change.
    fn close(&mut self) -> Result<(), PvmError> {
        self.flush()?;
        self.open = None;
        self.listed = None;
        Ok(())
    }

    /// The value of `key`, opened; none when it has no value.
    fn value(&mut self, key: &Key) -> Result<Option<&mut Open>, PvmError> {
        if self.open.as_ref().is_none_or(|open| open.key != *key) {
            self.flush()?;
            self.open = None;
            let Some(value) = self.tree.find_tree(&key.path(&[VALUE]))? else {
                return Ok(None);
            };
            self.open = Some(Open {
                key: key.clone(),
                length: bytes_length(&value, &[])?,
                value,
                changed: false,
            });
        }
        Ok(self.open.as_mut())
    }

    /// Whether the key has a value or subkeys.
    pub fn exists(&mut self, key: &Key) -> Result<bool, PvmError> {
        self.flush()?;
        Ok(self.tree.find_tree(&key.path(&[]))?.is_some())
    }

    /// Length of the value; none when the key has no value.
    pub fn length(&mut self, key: &Key) -> Result<Option<i64>, PvmError> {
        Ok(self.value(key)?.map(|open| open.length))
    }

    /// Number of entries below the key, its value counted as one.
    pub fn count(&mut self, key: &Key) -> Result<usize, PvmError> {
        self.flush()?;
        Ok(self.tree.length(&key.path(&[]))?)
    }

    /// The entry at `index` in the order asked for, and whether the other order has another there.
    pub fn nth(
        &mut self,
        key: &Key,
        index: i64,
        order: ListingOrder,
    ) -> Result<(Nth, bool), PvmError> {
        self.flush()?;
        let Some(node) = self.tree.find_tree(&key.path(&[]))? else {
            return Ok((Nth::NoNode, false));
        };
        let Ok(index) = usize::try_from(index) else {
            return Ok((Nth::Negative, false));
        };
        let nth = |node: &Tree| -> Result<Nth, PvmError> {
            let entries = node.list(&[], index, Some(1))?;
            Ok(match entries.first() {
                Some((name, _)) if name == VALUE => Nth::Name(String::new()),
                Some((name, _)) => Nth::Name(name.clone()),
                None => Nth::NoEntry,
            })
        };
        if node.is_settled() {
            // The one order there is. Nothing behind the entry is read: proofs hold no more.
            return Ok((nth(&node)?, false));
        }
        if self.listed.as_ref().is_none_or(|(listed, _)| listed != key) {
            // Hashing the node itself would change the order a run sees from then on; only the
            // names decide the order, so a directory of the same names is settled instead.
            let names = node.list(&[], 0, None)?.into_iter();
            let twin =
                Tree::directory(names.map(|(name, _)| (name.into_bytes(), Tree::value([]))))?;
            self.listed = Some((key.clone(), twin.settled()?));
        }
        let judged = match &self.listed {
            Some((_, settled)) => nth(settled)?,
            None => Nth::NoEntry,
        };
        let as_run = nth(&node)?;
        let differ = judged != as_run;
        Ok(match order {
            ListingOrder::Judge => (judged, differ),
            ListingOrder::Run => (as_run, differ),
        })
    }

    /// Names below the key in the order of their bytes, the value as the empty name; for people.
    pub fn names(&mut self, key: &Key) -> Result<Vec<String>, PvmError> {
        self.flush()?;
        let entries = self.tree.list(&key.path(&[]), 0, None)?;
        let mut names: Vec<_> = entries
            .into_iter()
            .map(|(name, _)| if name == VALUE { String::new() } else { name })
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Removes the key: its value and everything below.
    pub fn delete(&mut self, key: &Key) -> Result<(), PvmError> {
        self.close()?;
        Ok(self.tree.remove(&key.path(&[]))?)
    }

    /// Removes only the value.
    pub fn delete_value(&mut self, key: &Key) -> Result<(), PvmError> {
        self.close()?;
        Ok(self.tree.remove(&key.path(&[VALUE]))?)
    }

    /// Grafts everything at `from` over whatever is at `to`; false when there is nothing at `from`.
    pub fn copy(&mut self, from: &Key, to: &Key) -> Result<bool, PvmError> {
        self.close()?;
        let Some(node) = self.tree.find_tree(&from.path(&[]))? else {
            return Ok(false);
        };
        self.tree.add_tree(&to.path(&[]), &node)?;
        Ok(true)
    }

    /// As [`Self::copy`], `from` deleted before the graft.
    pub fn rename(&mut self, from: &Key, to: &Key) -> Result<bool, PvmError> {
        self.close()?;
        let Some(node) = self.tree.find_tree(&from.path(&[]))? else {
            return Ok(false);
        };
        self.tree.remove(&from.path(&[]))?;
        self.tree.add_tree(&to.path(&[]), &node)?;
        Ok(true)
    }

    /// Hash of the node of the key; none when it is absent.
    pub fn node_hash(&mut self, key: &Key) -> Result<Option<Hash>, PvmError> {
        self.flush()?;
        let node = self.tree.find_tree(&key.path(&[]))?;
        Ok(node.map(|node| node.hash()).transpose()?)
    }

    /// Hash of the value of the key; none when it has no value.
    pub fn value_hash(&mut self, key: &Key) -> Result<Option<Hash>, PvmError> {
        self.flush()?;
        let value = self.tree.find_tree(&key.path(&[VALUE]))?;
        Ok(value.map(|value| value.hash()).transpose()?)
    }

    /// A value of `size` zero bytes, none of them stored; false when there is a value already.
    pub fn create(&mut self, key: &Key, size: i64) -> Result<bool, PvmError> {
        self.close()?;
        let path = key.path(&[VALUE]);
        if self.tree.find_tree(&path)?.is_some() {
            return Ok(false);
        }
        put(&mut self.tree, &key.path(&[VALUE, "length"]), |w| {
            w.i64(size);
        })?;
        Ok(true)
    }

    /// Writes `bytes` at `offset`, which is not negative and not beyond the end; the value grows
    /// as needed and is made when there is none.
    pub fn write(&mut self, key: &Key, offset: i64, bytes: &[u8]) -> Result<(), PvmError> {
        if self.value(key)?.is_none() {
            self.close()?;
            self.open = Some(Open {
                key: key.clone(),
                value: Tree::empty(),
                length: 0,
                changed: true,
            });
            if let Some(open) = &mut self.open {
                put(&mut open.value, &["length"], |w| {
                    w.i64(0);
                })?;
            }
        }
        let Some(open) = &mut self.open else {
            return Err(PvmError::Missing(key.to_string()));
        };
        patch_bytes(&mut open.value, &[], offset, bytes)?;
        let end = i64::try_from(bytes.len())
            .ok()
            .and_then(|n| offset.checked_add(n));
        let end = end.ok_or_else(|| PvmError::TooLong(key.to_string()))?;
        if end > open.length {
            open.length = end;
            put(&mut open.value, &["length"], |w| {
                w.i64(end);
            })?;
        }
        open.changed = true;
        Ok(())
    }

    /// Reads `length` bytes at `offset`; the caller has checked them against the length.
    pub fn read(&mut self, key: &Key, offset: i64, length: usize) -> Result<Vec<u8>, PvmError> {
        match self.value(key)? {
            Some(open) => bytes_range(&open.value, &[], offset, length),
            None => Err(PvmError::Missing(key.to_string())),
        }
    }

    /// The whole value; none when the key has no value.
    pub fn get(&mut self, key: &Key) -> Result<Option<Vec<u8>>, PvmError> {
        match self.value(key)? {
            Some(open) => all_bytes(&open.value, &[], MACHINE_VALUE_LIMIT).map(Some),
            None => Ok(None),
        }
    }

    /// Replaces the value, every chunk written.
    pub fn set(&mut self, key: &Key, bytes: &[u8]) -> Result<(), PvmError> {
        self.close()?;
        put_bytes(&mut self.tree, &key.path(&[VALUE]), bytes)
    }

    /// Whether one of the machine's own keys has a value.
    pub(crate) fn has(&mut self, flag: StaticKey) -> Result<bool, PvmError> {
        Ok(self.length(&flag.key())?.is_some())
    }

    /// Raises one of the machine's flags: an existing value is left as it is.
    pub(crate) fn raise(&mut self, flag: StaticKey) -> Result<(), PvmError> {
        self.write(&flag.key(), 0, &[])
    }

    /// Lowers one of the machine's flags: value and subkeys go.
    pub(crate) fn lower(&mut self, flag: StaticKey) -> Result<(), PvmError> {
        self.delete(&flag.key())
    }
}
