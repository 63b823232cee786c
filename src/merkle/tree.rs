//! The tree that everybody uses: paths, reading, changing.
//!
//! Rule: Irmin's tree operations. Writing what is already there changes nothing; an empty
//! directory below the root never survives; a path through a value finds nothing and, when
//! written, replaces it.

use std::fmt;
use std::sync::{Arc, LazyLock};

use crate::crypto::Hash;

use super::dir::Dir;
use super::distant::Distant;
use super::item::{Entry, Item, Kind};
use super::name::Name;
use super::numbered::{Numbered, Table};
use super::{Bytes, StoreError, digest};

/// Longest path that is accepted; the PVM stays far below.
const MAX_PATH: usize = 1000;

/// Why a tree cannot be read or changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TreeError {
    /// The proof that this partial tree comes from leaves out what was read.
    #[error("{what} {hash} is outside the proof")]
    OutsideProof {
        /// The kind of record.
        what: &'static str,
        /// Its hash.
        hash: Hash,
    },
    /// Three names agree on the first 50 bits of their hashes.
    #[error(
        "name {name} shares 50 hash bits with two others: the context tree has no place for it"
    )]
    NamesCollide {
        /// One of the names.
        name: String,
    },
    /// The store cannot give a record.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// A directory that is made when it is read could not be made.
    #[error("directory {hash} cannot be made: {reason}")]
    NotMade {
        /// Its hash.
        hash: Hash,
        /// What is wrong.
        reason: String,
    },
    /// A path has too many steps.
    #[error("path of {steps} steps is over the limit of {MAX_PATH}")]
    PathTooLong {
        /// Its steps.
        steps: usize,
    },
    /// A name in a listed directory is not text.
    #[error("entry name {name} is not utf-8")]
    NameNotText {
        /// The name in hexadecimal.
        name: String,
    },
}

impl TreeError {
    /// What was to be made when it is read is not known, so it has no hash either.
    pub(crate) fn unknown(reason: impl Into<String>) -> Self {
        Self::NotMade {
            hash: Hash([0; 32]),
            reason: reason.into(),
        }
    }

    pub(super) const fn outside(what: &'static str, hash: Hash) -> Self {
        Self::OutsideProof { what, hash }
    }
}

/// A value or a directory. Cloning costs nothing; clones share all that is equal.
#[derive(Clone)]
pub struct Tree(pub(super) Item);

/// Makes a directory again whose hash is known: what it takes is less than the directory itself.
pub trait Maker: Send + Sync + fmt::Debug {
    /// The directory.
    ///
    /// # Errors
    /// [`TreeError`].
    fn make(&self) -> Result<Tree, TreeError>;
}

/// What a change puts at the end of a path.
enum Leaf {
    Put(Item),
    Remove,
}

impl Tree {
    /// A directory without entries.
    #[must_use]
    pub fn empty() -> Self {
        Self(Item::Dir(Arc::new(Dir::empty())))
    }

    /// A directory known by its hash, made whenever it is read: reading is an error when what is
    /// made has another hash.
    #[must_use]
    pub fn made_when_read(hash: Hash, maker: Arc<dyn Maker>) -> Self {
        Self(Distant::made(hash, maker))
    }

    /// A value.
    #[must_use]
    pub fn value(bytes: impl Into<Bytes>) -> Self {
        Self(Item::Fresh(bytes.into()))
    }

    /// A directory of these entries, built at once: the quick way to a large one. Of equal names
    /// the last counts; empty directories are left out.
    ///
    /// # Errors
    /// [`TreeError`] when an entry cannot be read.
    pub fn directory<N: AsRef<[u8]>>(
        entries: impl IntoIterator<Item = (N, Self)>,
    ) -> Result<Self, TreeError> {
        let mut list = Vec::new();
        for (name, tree) in entries {
            if !tree.is_empty()? {
                list.push(Entry {
                    name: Name::new(name.as_ref()),
                    item: tree.0,
                });
            }
        }
        Ok(Self(Item::Dir(Arc::new(Dir::made(list)?))))
    }

    /// The directory of the entries with these numbers, no two of which are equal: its records are
    /// made when they are read.
    ///
    /// # Errors
    /// [`TreeError`] when one of the entries has no hash.
    pub fn numbered(entries: Arc<dyn Numbered>, numbers: &[u32]) -> Result<Self, TreeError> {
        let root = Table::new(entries, numbers).root()?;
        Ok(Self(Item::Dir(Arc::new(Dir::of_committed(root)))))
    }

    /// Whether it is a value and not a directory.
    #[must_use]
    pub fn is_value(&self) -> bool {
        self.0.kind() == Kind::Value
    }

    /// Whether it is a directory without entries.
    ///
    /// # Errors
    /// [`TreeError`] when a record is needed and cannot be read (so for all reads below).
    pub fn is_empty(&self) -> Result<bool, TreeError> {
        match &self.0 {
            Item::Fresh(_) | Item::Kept(_) => Ok(false),
            Item::Dir(dir) => dir.is_empty(),
            Item::Distant(distant) => {
                distant.check()?;
                Ok(distant.kind == Kind::Directory && distant.hash == empty_hash())
            }
        }
    }

    /// The hash: the state hash when this is the state of a PVM. Only what changed since the last
    /// call is hashed again.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn hash(&self) -> Result<Hash, TreeError> {
        if let Item::Distant(distant) = &self.0 {
            distant.check()?;
        }
        self.0.hash()
    }

    /// Whether it is as a commit left it, so that a directory lists in the order of its records.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        matches!(self.0, Item::Distant(_))
    }

    /// The same tree as a commit would leave it: directories list in the order of their records.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn settled(&self) -> Result<Self, TreeError> {
        Distant::settled(&self.0).map(Self)
    }

    /// The value at `path`; nothing when there is none or a directory.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn find(&self, path: &[&str]) -> Result<Option<Bytes>, TreeError> {
        match self.item(path)? {
            Some(Item::Fresh(bytes) | Item::Kept(bytes)) => Ok(Some(bytes)),
            Some(Item::Distant(distant)) => distant.value(),
            Some(Item::Dir(_)) | None => Ok(None),
        }
    }

    /// What is at `path`, itself not read.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn find_tree(&self, path: &[&str]) -> Result<Option<Self>, TreeError> {
        Ok(self.item(path)?.map(Self))
    }

    /// Number of entries of the directory at `path`; 0 when there is none or a value.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn length(&self, path: &[&str]) -> Result<usize, TreeError> {
        match self.item(path)? {
            Some(Item::Dir(dir)) => dir.length(),
            Some(Item::Distant(distant)) => Ok(distant.root()?.map_or(0, |root| root.length())),
            Some(Item::Fresh(_) | Item::Kept(_)) | None => Ok(0),
        }
    }

    /// Entries of the directory at `path` after the first `offset`, at most `length`. Committed
    /// directories list in the order of their records, changed ones by name.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn list(
        &self,
        path: &[&str],
        offset: usize,
        length: Option<usize>,
    ) -> Result<Vec<(String, Self)>, TreeError> {
        let entries = match self.item(path)? {
            Some(Item::Dir(dir)) => dir.page(offset, length)?,
            Some(Item::Distant(distant)) => match distant.root()? {
                Some(root) => root.page(offset, length)?,
                None => Vec::new(),
            },
            Some(Item::Fresh(_) | Item::Kept(_)) | None => Vec::new(),
        };
        let named = |entry: Entry| match std::str::from_utf8(entry.name.as_bytes()) {
            Ok(name) => Ok((name.to_owned(), Self(entry.item))),
            Err(_) => Err(TreeError::NameNotText {
                name: hex::encode(entry.name.as_bytes()),
            }),
        };
        entries.into_iter().map(named).collect()
    }

    /// Sets the value at `path`, replacing whatever was there.
    ///
    /// # Errors
    /// [`TreeError`]; when a change fails half way, every later access repeats the error.
    pub fn add(&mut self, path: &[&str], value: &[u8]) -> Result<(), TreeError> {
        if self.holds(path, value)? {
            return Ok(());
        }
        self.change(path, Leaf::Put(Item::Fresh(value.into())))
    }

    /// Puts a tree at `path`, replacing whatever was there; an empty one removes.
    ///
    /// # Errors
    /// As [`Tree::add`].
    pub fn add_tree(&mut self, path: &[&str], tree: &Self) -> Result<(), TreeError> {
        let old = self.item(path)?;
        if !path.is_empty() && tree.is_empty()? {
            return match old {
                Some(_) => self.change(path, Leaf::Remove),
                None => Ok(()),
            };
        }
        if let Some(old) = old
            && is_same(&old, &tree.0)?
        {
            return Ok(());
        }
        self.change(path, Leaf::Put(tree.0.clone()))
    }

    /// Removes what is at `path`, and every directory that becomes empty by it.
    ///
    /// # Errors
    /// As [`Tree::add`].
    pub fn remove(&mut self, path: &[&str]) -> Result<(), TreeError> {
        match self.item(path)? {
            Some(_) => self.change(path, Leaf::Remove),
            None => Ok(()),
        }
    }

    /// Whether `path` already has this value. Where all directories are open for changes anyway, the
    /// last one is not searched: the write itself sees what is there.
    fn holds(&self, path: &[&str], value: &[u8]) -> Result<bool, TreeError> {
        check_length(path)?;
        let mut here = self.0.clone();
        let mut open = true;
        for (left, step) in (1..=path.len()).rev().zip(path) {
            open = open && matches!(&here, Item::Dir(dir) if dir.is_open());
            if left == 1 && open {
                return Ok(false);
            }
            match step_into(&here, &Name::new(step.as_bytes()))? {
                Some(below) => here = below,
                None => return Ok(false),
            }
        }
        is_value(&here, value)
    }

    /// What is at `path`.
    fn item(&self, path: &[&str]) -> Result<Option<Item>, TreeError> {
        check_length(path)?;
        let mut here = self.0.clone();
        for step in path {
            match step_into(&here, &Name::new(step.as_bytes()))? {
                Some(below) => here = below,
                None => return Ok(None),
            }
        }
        Ok(Some(here))
    }

    /// Makes a change that is known to change something.
    fn change(&mut self, path: &[&str], leaf: Leaf) -> Result<(), TreeError> {
        let result = match (path, leaf) {
            ([], Leaf::Put(item)) => {
                self.0 = item;
                Ok(())
            }
            ([], Leaf::Remove) => {
                *self = Self::empty();
                Ok(())
            }
            (path, Leaf::Put(item)) => put(&mut self.0, path, item),
            (path, Leaf::Remove) => remove(&mut self.0, path).map(|_| ()),
        };
        if let Err(error) = &result {
            self.0 = Distant::failed(error.clone());
        }
        result
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.0.kind();
        match self.0.known_hash() {
            Some(hash) => write!(f, "{kind:?}({hash})"),
            None => write!(f, "{kind:?}(not hashed)"),
        }
    }
}

const fn check_length(path: &[&str]) -> Result<(), TreeError> {
    if path.len() > MAX_PATH {
        return Err(TreeError::PathTooLong { steps: path.len() });
    }
    Ok(())
}

/// Hash of the directory without entries.
fn empty_hash() -> Hash {
    static EMPTY: LazyLock<Hash> = LazyLock::new(|| digest::value(&[]));
    *EMPTY
}

fn step_into(item: &Item, name: &Name) -> Result<Option<Item>, TreeError> {
    match item {
        Item::Fresh(_) | Item::Kept(_) => Ok(None),
        Item::Dir(dir) => dir.find(name),
        Item::Distant(distant) => match distant.root()? {
            Some(root) => root.find(name),
            None => Ok(None),
        },
    }
}

/// Whether `item` is the value `bytes`, found out without reading it.
fn is_value(item: &Item, bytes: &[u8]) -> Result<bool, TreeError> {
    match item {
        Item::Fresh(old) | Item::Kept(old) => Ok(**old == *bytes),
        Item::Dir(_) => Ok(false),
        Item::Distant(old) => Ok(old.kind == Kind::Value && old.hash == digest::value(bytes)),
    }
}

/// Whether upstream takes two items for the same: by hash where both are known, else by identity.
fn is_same(old: &Item, new: &Item) -> Result<bool, TreeError> {
    match new {
        Item::Fresh(bytes) | Item::Kept(bytes) => is_value(old, bytes),
        Item::Dir(_) | Item::Distant(_) => {
            if old.kind() != new.kind() {
                return Ok(false);
            }
            if new.kind() == Kind::Value {
                return Ok(old.hash()? == new.hash()?);
            }
            if let (Item::Dir(old), Item::Dir(new)) = (old, new)
                && Arc::ptr_eq(old, new)
            {
                return Ok(true);
            }
            Ok(match (old.known_hash(), new.known_hash()) {
                (Some(old), Some(new)) => old == new,
                _ => false,
            })
        }
    }
}

/// The directory that `item` is, or becomes, for changing it.
fn opened(item: &mut Item) -> Result<&mut Dir, TreeError> {
    match item {
        Item::Dir(_) => {}
        Item::Fresh(_) | Item::Kept(_) => *item = Item::Dir(Arc::new(Dir::empty())),
        Item::Distant(distant) => {
            let dir = match distant.root()? {
                Some(root) => Dir::of_commit(&root, distant.tracking()),
                None => Dir::empty(),
            };
            *item = Item::Dir(Arc::new(dir));
        }
    }
    let Item::Dir(dir) = item else {
        unreachable!("every other kind of item was just replaced by a directory");
    };
    let dir = Arc::make_mut(dir);
    dir.reopen()?;
    Ok(dir)
}

fn put(item: &mut Item, path: &[&str], leaf: Item) -> Result<(), TreeError> {
    let Some((step, rest)) = path.split_first() else {
        *item = leaf;
        return Ok(());
    };
    let name = Name::new(step.as_bytes());
    let dir = opened(item)?;
    if rest.is_empty() {
        return dir.put(name, leaf);
    }
    dir.change(&name, |below| put(below, rest, leaf))
}

/// Removes what is at a path that exists; says whether nothing is left.
fn remove(item: &mut Item, path: &[&str]) -> Result<bool, TreeError> {
    let Some((step, rest)) = path.split_first() else {
        return Ok(true);
    };
    let name = Name::new(step.as_bytes());
    let dir = opened(item)?;
    if rest.is_empty() || dir.change(&name, |below| remove(below, rest))? {
        dir.remove(&name)?;
    }
    dir.is_empty()
}

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Tree>();
};
