//! The session in which a step is recorded, and the proof made of it.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::crypto::Hash;
use crate::merkle::item::{Item, Kind, Pair};
use crate::merkle::trie::{Branch, Child, Root};
use crate::merkle::{Bytes, Tree, TreeError};

use super::ProofError;
use super::shape::{Entries, Extender, Inner, Inode, Shown};

/// Most records in one proof; layer 1 takes a few hundred.
const LIMIT: usize = 1_000_000;

/// What was read so far, by hash: root records of directories, and values. Inner records are
/// remembered inside the root record that they were reached from.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    directories: Mutex<HashMap<Hash, Arc<Root>>>,
    values: Mutex<HashMap<Hash, Bytes>>,
}

/// Whatever happened to another thread, the table holds true readings.
fn locked<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recording {
    pub(crate) fn saw_value(&self, hash: Hash, value: &Bytes) {
        locked(&self.values)
            .entry(hash)
            .or_insert_with(|| value.clone());
    }

    /// The root record of a directory, read if it was not before.
    pub(crate) fn directory(
        &self,
        hash: Hash,
        read: impl FnOnce() -> Result<Option<Arc<Root>>, TreeError>,
    ) -> Result<Option<Arc<Root>>, TreeError> {
        if let Some(root) = locked(&self.directories).get(&hash) {
            return Ok(Some(root.clone()));
        }
        let Some(root) = read()? else {
            return Ok(None);
        };
        Ok(Some(match locked(&self.directories).entry(hash) {
            Slot::Occupied(known) => known.get().clone(),
            Slot::Vacant(free) => free.insert(root).clone(),
        }))
    }

    /// Everything read of `start`.
    pub(super) fn shown(&self, start: &Tree) -> Result<Shown, ProofError> {
        let mut writer = Writer {
            session: self,
            left: LIMIT,
        };
        writer.item(&start.0)
    }
}

struct Writer<'a> {
    session: &'a Recording,
    left: usize,
}

impl Writer<'_> {
    fn item(&mut self, item: &Item) -> Result<Shown, ProofError> {
        self.left = match self.left.checked_sub(1) {
            Some(left) => left,
            None => return Err(ProofError::TooLarge { limit: LIMIT }),
        };
        let hash = item.hash()?;
        if item.kind() == Kind::Value {
            return Ok(match locked(&self.session.values).get(&hash) {
                Some(value) => Shown::Value(value.clone()),
                None => Shown::BlindedValue(hash),
            });
        }
        let root = locked(&self.session.directories).get(&hash).cloned();
        Ok(match root.as_deref() {
            None => Shown::BlindedNode(hash),
            Some(Root::Flat(pair)) => Shown::Node(self.entries(pair)?),
            Some(Root::Tree(branch)) => match self.branch(branch)? {
                Chain::Tree(inode) => Shown::Inode(inode),
                Chain::Extender(extender) => Shown::Extender(extender),
            },
        })
    }

    fn entries(&mut self, pair: &Pair) -> Result<Entries, ProofError> {
        pair.iter()
            .map(|entry| Ok((entry.name.clone(), self.item(&entry.item)?)))
            .collect()
    }

    /// A record; with the one below it, if both have one side only, it makes a chain.
    fn branch(&mut self, branch: &Branch) -> Result<Chain, ProofError> {
        let zero = self.child(&branch.zero)?;
        let one = self.child(&branch.one)?;
        let length = branch.length as u64;
        let (side, below) = match (zero, one) {
            (Some(below), None) => (false, below),
            (None, Some(below)) => (true, below),
            (zero, one) => {
                return Ok(Chain::Tree(Inode {
                    length,
                    zero: zero.map(Box::new),
                    one: one.map(Box::new),
                }));
            }
        };
        let (next, end) = match below {
            Inner::Tree(Inode {
                zero: Some(end),
                one: None,
                ..
            }) => (vec![false], end),
            Inner::Tree(Inode {
                zero: None,
                one: Some(end),
                ..
            }) => (vec![true], end),
            Inner::Extender(Extender { segment, end, .. }) => (segment, end),
            below => {
                let below = Some(Box::new(below));
                let (zero, one) = if side { (None, below) } else { (below, None) };
                return Ok(Chain::Tree(Inode { length, zero, one }));
            }
        };
        let mut segment = vec![side];
        segment.extend(next);
        Ok(Chain::Extender(Extender {
            length,
            segment,
            end,
        }))
    }

    fn child(&mut self, child: &Child) -> Result<Option<Inner>, ProofError> {
        let Child::Distant(distant) = child else {
            return Ok(None);
        };
        Ok(Some(match distant.shown() {
            Some(Child::Bucket(pair)) => Inner::Values(self.entries(&pair.body)?),
            Some(Child::Branch(branch)) => match self.branch(&branch.body)? {
                Chain::Tree(inode) => Inner::Tree(inode),
                Chain::Extender(extender) => Inner::Extender(extender),
            },
            _ => Inner::Blinded(distant.hash),
        }))
    }
}

enum Chain {
    Tree(Inode),
    Extender(Extender),
}
