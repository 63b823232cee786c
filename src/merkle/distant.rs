//! Parts of a tree that are known by hash and read when needed.
//!
//! Promises: reading gives the record of that hash or an error. What is read is not kept here,
//! except where a proof must remember it.

use std::sync::Arc;

use crate::crypto::Hash;

use super::digest::Preimage;
use super::trie::{Branch, Child, Entry, Item, Kind, Pair, Root, Sealed};
use super::{Bytes, TreeError};

/// A value or directory of a commit.
#[derive(Debug)]
pub(super) struct Distant {
    pub(super) hash: Hash,
    pub(super) kind: Kind,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// In memory, seen as if it had just been committed.
    Settled(Item),
    /// Lost by a failed change; every access repeats the failure.
    Failed(TreeError),
}

/// An inner record of a directory of a commit.
#[derive(Debug)]
pub(super) struct DistantChild {
    pub(super) hash: Hash,
    source: ChildSource,
}

#[derive(Debug)]
enum ChildSource {
    Settled(Child),
}

impl Distant {
    /// The item as if it had just been committed.
    pub(super) fn settled(item: &Item) -> Result<Item, TreeError> {
        Ok(match item {
            Item::Fresh(bytes) | Item::Kept(bytes) => Item::Kept(bytes.clone()),
            Item::Distant(_) => item.clone(),
            Item::Dir(dir) => Item::Distant(Arc::new(Self {
                hash: dir.hash()?,
                kind: Kind::Directory,
                source: Source::Settled(item.clone()),
            })),
        })
    }

    /// What a tree becomes when a change of it failed half way.
    pub(super) fn failed(error: TreeError) -> Item {
        Item::Distant(Arc::new(Self {
            hash: Hash([0; 32]),
            kind: Kind::Directory,
            source: Source::Failed(error),
        }))
    }

    /// Repeats the failure that lost this tree, if one did.
    pub(super) fn check(&self) -> Result<(), TreeError> {
        match &self.source {
            Source::Failed(error) => Err(error.clone()),
            Source::Settled(_) => Ok(()),
        }
    }

    /// Reads the bytes of a value.
    pub(super) fn value(&self) -> Result<Option<Bytes>, TreeError> {
        match &self.source {
            Source::Settled(Item::Fresh(bytes) | Item::Kept(bytes)) => Ok(Some(bytes.clone())),
            Source::Settled(Item::Distant(inner)) => inner.value(),
            Source::Settled(Item::Dir(_)) => Ok(None),
            Source::Failed(error) => Err(error.clone()),
        }
    }

    /// Reads the root record of a directory; a value has none.
    pub(super) fn root(&self) -> Result<Option<Arc<Root>>, TreeError> {
        match &self.source {
            Source::Settled(Item::Dir(dir)) => {
                settled_root(&*dir.root()?).map(|r| Some(Arc::new(r)))
            }
            Source::Settled(Item::Distant(inner)) => inner.root(),
            Source::Settled(_) => Ok(None),
            Source::Failed(error) => Err(error.clone()),
        }
    }
}

impl DistantChild {
    /// Reads the record.
    pub(super) fn load(&self) -> Result<Child, TreeError> {
        match &self.source {
            ChildSource::Settled(Child::Bucket(pair)) => Ok(Child::Bucket(Arc::new(
                Sealed::known(settled_pair(&pair.body)?, self.hash),
            ))),
            ChildSource::Settled(Child::Branch(branch)) => Ok(Child::Branch(Arc::new(
                Sealed::known(settled_branch(&branch.body)?, self.hash),
            ))),
            ChildSource::Settled(child) => Ok(child.clone()),
        }
    }
}

fn settled_root(root: &Root) -> Result<Root, TreeError> {
    match root {
        Root::Flat(pair) => settled_pair(pair).map(Root::Flat),
        Root::Tree(branch) => settled_branch(branch).map(Root::Tree),
    }
}

fn settled_pair(pair: &Pair) -> Result<Pair, TreeError> {
    let mut settled = Pair::default();
    for entry in pair.iter() {
        settled.push(Entry {
            name: entry.name.clone(),
            item: Distant::settled(&entry.item)?,
        });
    }
    Ok(settled)
}

/// Records below were hashed with the directory that holds them, so their depth is not needed.
fn settled_branch(branch: &Branch) -> Result<Branch, TreeError> {
    let settled = |child: &Child| {
        Ok(match child.hash(0, &mut Preimage::default())? {
            Some(hash) if !matches!(child, Child::Distant(_)) => {
                Child::Distant(Arc::new(DistantChild {
                    hash,
                    source: ChildSource::Settled(child.clone()),
                }))
            }
            _ => child.clone(),
        })
    };
    Ok(Branch {
        length: branch.length,
        zero: settled(&branch.zero)?,
        one: settled(&branch.one)?,
    })
}
