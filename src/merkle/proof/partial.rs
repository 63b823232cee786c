//! The partial tree that a proof shows, and the session in which a step runs on it.
//!
//! Rule: `load_proof` and `of_proof` of Irmin: everything shown is rebuilt and hashed bottom-up;
//! what is left out is known by its hash alone.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};

use crate::crypto::Hash;
use crate::merkle::digest::{self, Preimage};
use crate::merkle::distant::{Distant, DistantChild};
use crate::merkle::item::{Entry, Item, Kind, Pair};
use crate::merkle::name::MAX_DEPTH;
use crate::merkle::trie::{Branch, Child, Root, Sealed};
use crate::merkle::{Bytes, Tree, TreeError};

use super::ProofError;
use super::shape::{Entries, Extender, Inner, Inode, Shown};

/// What a proof shows, by hash, and the first access to anything else.
#[derive(Debug, Default)]
pub(crate) struct Partial {
    shown: OnceLock<Tables>,
    missed: OnceLock<TreeError>,
}

#[derive(Debug, Default)]
struct Tables {
    directories: HashMap<Hash, Arc<Root>>,
    values: HashMap<Hash, Bytes>,
}

impl Partial {
    pub(crate) fn missed(&self, error: &TreeError) {
        self.missed.get_or_init(|| error.clone());
    }

    pub(super) fn first_missed(&self) -> Option<TreeError> {
        self.missed.get().cloned()
    }

    fn found<T>(&self, found: Option<T>, what: &'static str, hash: Hash) -> Result<T, TreeError> {
        found.ok_or_else(|| {
            let error = TreeError::outside(what, hash);
            self.missed(&error);
            error
        })
    }

    pub(crate) fn value(&self, hash: Hash) -> Result<Bytes, TreeError> {
        let value = self.shown.get().and_then(|shown| shown.values.get(&hash));
        self.found(value.cloned(), "value", hash)
    }

    pub(crate) fn directory(&self, hash: Hash) -> Result<Arc<Root>, TreeError> {
        let shown = self.shown.get();
        let root = shown.and_then(|shown| shown.directories.get(&hash));
        self.found(root.cloned(), "directory", hash)
    }

    /// The tree that `state` shows.
    pub(super) fn open(self: &Arc<Self>, state: &Shown) -> Result<Tree, ProofError> {
        let mut loader = Loader {
            session: Arc::downgrade(self),
            tables: Tables::default(),
            preimage: Preimage::default(),
        };
        let item = loader.item(state)?;
        self.shown.get_or_init(|| loader.tables);
        Ok(Tree(item))
    }
}

struct Loader {
    session: Weak<Partial>,
    tables: Tables,
    preimage: Preimage,
}

/// How many entries are below what is shown: exactly, or at least when something is left out.
#[derive(Clone, Copy)]
struct Count {
    seen: u64,
    exact: bool,
}

impl Count {
    const fn agrees(self, claimed: u64) -> bool {
        if self.exact {
            self.seen == claimed
        } else {
            self.seen <= claimed
        }
    }
}

const fn malformed<T>(problem: &'static str) -> Result<T, ProofError> {
    Err(ProofError::Malformed(problem))
}

impl Loader {
    fn item(&mut self, shown: &Shown) -> Result<Item, ProofError> {
        let (kind, hash) = match shown {
            Shown::BlindedValue(hash) => (Kind::Value, *hash),
            Shown::BlindedNode(hash) => (Kind::Directory, *hash),
            Shown::Value(value) => {
                let hash = digest::value(value);
                self.tables.values.insert(hash, value.clone());
                (Kind::Value, hash)
            }
            Shown::Node(entries) => {
                let root = self.node(entries)?;
                (Kind::Directory, self.keep(root)?)
            }
            Shown::Inode(inode) => {
                let (branch, _) = self.inode(inode, 0)?;
                (Kind::Directory, self.keep_tree(branch)?)
            }
            Shown::Extender(extender) => {
                let root = self.root_extender(extender)?;
                (Kind::Directory, root)
            }
        };
        Ok(Distant::proven(hash, kind, &self.session))
    }

    fn keep(&mut self, root: Root) -> Result<Hash, ProofError> {
        let hash = root.hash(&mut self.preimage)?;
        self.tables.directories.insert(hash, Arc::new(root));
        Ok(hash)
    }

    /// A root record of at most two entries hashes as a flat directory, so it must be all there.
    fn keep_tree(&mut self, branch: Branch) -> Result<Hash, ProofError> {
        if branch.length > 2 {
            return self.keep(Root::Tree(branch));
        }
        let mut pair = Pair::default();
        for entry in Root::Tree(branch).page(0, None)? {
            pair.push(entry);
        }
        self.keep(Root::Flat(pair))
    }

    /// A directory given by its entries, in any order; of equal names the last counts.
    fn node(&mut self, entries: &Entries) -> Result<Root, ProofError> {
        let mut root = Root::empty();
        for (name, shown) in entries {
            let item = self.item(shown)?;
            let name = name.clone();
            root.insert(Entry { name, item })?;
        }
        Ok(root)
    }

    fn root_extender(&mut self, extender: &Extender) -> Result<Hash, ProofError> {
        if !extender.segment.is_empty() {
            let (child, _) = self.extender(extender, 0)?;
            return match child {
                Child::Branch(branch) => self.keep_tree(branch.body.clone()),
                _ => malformed("extender without a record"),
            };
        }
        match &*extender.end {
            Inner::Blinded(_) => malformed("extender over a blinded root"),
            Inner::Values(entries) => {
                let pair = self.values(entries)?;
                self.keep(Root::Flat(pair))
            }
            Inner::Tree(inode) => {
                let (branch, _) = self.inode(inode, 0)?;
                self.keep_tree(branch)
            }
            Inner::Extender(extender) => self.root_extender(extender),
        }
    }

    fn inner(&mut self, inner: &Inner, depth: usize) -> Result<(Child, Count), ProofError> {
        match inner {
            Inner::Blinded(hash) => {
                let child = DistantChild::blinded(*hash, &self.session);
                Ok((
                    child,
                    Count {
                        seen: 0,
                        exact: false,
                    },
                ))
            }
            Inner::Values(entries) => {
                let pair = self.values(entries)?;
                let seen = pair.len() as u64;
                let child = Child::Bucket(Arc::new(Sealed::open(pair)));
                Ok((self.sealed(child, depth)?, Count { seen, exact: true }))
            }
            Inner::Tree(inode) => {
                let (branch, count) = self.inode(inode, depth)?;
                let child = Child::Branch(Arc::new(Sealed::open(branch)));
                Ok((self.sealed(child, depth)?, count))
            }
            Inner::Extender(extender) => self.extender(extender, depth),
        }
    }

    /// Hashes a record at once, while its depth is known.
    fn sealed(&mut self, child: Child, depth: usize) -> Result<Child, ProofError> {
        child.hash(depth, &mut self.preimage)?;
        Ok(child)
    }

    fn values(&mut self, entries: &Entries) -> Result<Pair, ProofError> {
        let sorted = |pair: &[(_, Shown)]| matches!(pair, [(a, _), (b, _)] if a < b);
        if entries.is_empty() || entries.len() > 2 {
            return malformed("bucket without entries or with more than two");
        }
        if !entries.windows(2).all(sorted) {
            return malformed("names of a bucket not in order");
        }
        let mut pair = Pair::default();
        for (name, shown) in entries {
            let name = name.clone();
            let item = self.item(shown)?;
            pair.push(Entry { name, item });
        }
        Ok(pair)
    }

    fn inode(&mut self, inode: &Inode, depth: usize) -> Result<(Branch, Count), ProofError> {
        if depth > MAX_DEPTH {
            return malformed("directory records nested too deep");
        }
        let mut count = Count {
            seen: 0,
            exact: true,
        };
        let mut side = |shown: &Option<Box<Inner>>| -> Result<Child, ProofError> {
            let Some(shown) = shown else {
                return Ok(Child::Absent);
            };
            let (child, below) = self.inner(shown, depth + 1)?;
            count.seen = count.seen.saturating_add(below.seen);
            count.exact &= below.exact;
            Ok(child)
        };
        let (zero, one) = (side(&inode.zero)?, side(&inode.one)?);
        let length = claimed(count, inode.length)?;
        Ok((Branch { length, zero, one }, count))
    }

    /// A chain of records with one side each.
    fn extender(
        &mut self,
        extender: &Extender,
        depth: usize,
    ) -> Result<(Child, Count), ProofError> {
        if extender.segment.len() > MAX_DEPTH {
            return malformed("directory records nested too deep");
        }
        let end = depth + extender.segment.len();
        if end > MAX_DEPTH {
            return malformed("directory records nested too deep");
        }
        let (mut child, count) = self.inner(&extender.end, end)?;
        for (depth, side) in (depth..end).zip(&extender.segment).rev() {
            let length = claimed(count, extender.length)?;
            let (zero, one) = if *side {
                (Child::Absent, child)
            } else {
                (child, Child::Absent)
            };
            let branch = Branch { length, zero, one };
            let record = Child::Branch(Arc::new(Sealed::open(branch)));
            child = self.sealed(record, depth)?;
        }
        Ok((child, count))
    }
}

/// The claimed length, if what is shown agrees with it.
fn claimed(count: Count, length: u64) -> Result<usize, ProofError> {
    match usize::try_from(length) {
        Ok(claimed) if count.agrees(length) => Ok(claimed),
        _ => malformed("length does not agree with the entries shown"),
    }
}
