//! Trees on disk: an append-only file of records that name each other by hash and place.
//!
//! Promises: a commit is there whole or not at all, whenever the process dies; what is read has the
//! hash that was asked for or the read fails; a commit costs what changed; memory stays within the
//! configured cache. One writer at a time. Refuses to know: what the trees mean.

mod cache;
mod files;
mod pack;
mod prune;
mod record;
mod write;

#[cfg(test)]
mod tests;

pub(super) use pack::{Pack, Stored};

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::crypto::Hash;

use super::item::Kind;
use super::{Tree, TreeError};
use files::{Committed, Generation, Roots};
use record::Place;
use write::{Appender, TreeWriter};

/// What the operator may choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of records kept in memory.
    pub cache_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 128 << 20,
        }
    }
}

/// Why the store cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// Another process writes here.
    #[error("{path} is held by another process: one writer at a time")]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// What lies on disk is not what was written.
    #[error(
        "{path} is damaged at byte {at}: {problem}; remove the folder of the store and start again: \
         it is rebuilt from the chain"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// What was found.
        problem: &'static str,
    },
    /// No commit has this root.
    #[error("the store has no root {hash}")]
    UnknownRoot {
        /// The root asked for.
        hash: Hash,
    },
    /// Only directories with entries can be roots, as upstream.
    #[error("only a directory with entries can be committed")]
    NotADirectory,
    /// A name or value does not fit a record.
    #[error("name or value of four gigabytes")]
    TooLong,
    /// The tree to be stored cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl StoreError {
    fn io(path: &Path, error: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            error,
        }
    }
}

impl From<StoreError> for TreeError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Tree(error) => error,
            error => Self::Store(Arc::new(error)),
        }
    }
}

/// How large a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Bytes of records, those of dropped roots included until the next prune.
    pub bytes: u64,
    /// Roots that can be checked out.
    pub roots: usize,
}

/// A store of trees in a folder of its own.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    options: Options,
    state: Mutex<State>,
    _lock: File,
}

#[derive(Debug)]
struct State {
    generation: u64,
    pack: Arc<Pack>,
    roots: Roots,
    by_hash: HashMap<Hash, u64>,
}

impl State {
    fn new(generation: Generation, options: &Options) -> Self {
        let Generation {
            number,
            nodes_path,
            nodes,
            roots,
        } = generation;
        let places = roots.list.iter().map(|entry| entry.root);
        Self {
            generation: number,
            by_hash: places.map(|root| (root.hash, root.at)).collect(),
            pack: Arc::new(Pack::new(nodes_path, nodes, options.cache_bytes)),
            roots,
        }
    }

    fn add_root(&mut self, entry: Committed) -> Result<(), StoreError> {
        self.roots.append(entry)?;
        self.by_hash.insert(entry.root.hash, entry.root.at);
        Ok(())
    }
}

impl Store {
    /// Opens the store in `folder`, or makes it; an interrupted commit or prune is undone.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has it, [`StoreError::Damaged`] when its files
    /// are not what was written.
    pub fn open(folder: &Path, options: Options) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(|error| StoreError::io(folder, error))?;
        let lock = files::lock(folder)?;
        let generation = match files::current(folder)? {
            Some(number) => {
                files::sweep(folder, number)?;
                files::open(folder, number)?
            }
            None if files::holds_records(folder)? => {
                return Err(StoreError::Damaged {
                    path: folder.join("current"),
                    at: 0,
                    problem: "missing beside records",
                });
            }
            None => {
                let generation = files::create(folder, 0)?;
                files::switch(folder, 0)?;
                generation
            }
        };
        Ok(Self {
            folder: folder.to_owned(),
            state: Mutex::new(State::new(generation, &options)),
            options,
            _lock: lock,
        })
    }

    /// The state is changed only after the files were, so a panic elsewhere leaves it true.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is new in `tree` and returns the tree as it lies on disk, to go on from.
    ///
    /// # Errors
    /// [`StoreError`]; the store is then as before.
    pub fn commit(&self, tree: &Tree) -> Result<Tree, StoreError> {
        if tree.0.kind() == Kind::Value || tree.is_empty()? {
            return Err(StoreError::NotADirectory);
        }
        let hash = tree.hash()?;
        let mut state = self.state();
        let pack = state.pack.clone();
        if let Some(at) = state.by_hash.get(&hash).copied() {
            return Ok(Tree(pack.tree(Place { hash, at })));
        }
        let mut writer = TreeWriter::new(Appender::new(&pack, state.roots.end()));
        let root = writer.directory(&tree.0)?;
        let end = writer.out.sync()?;
        state.add_root(Committed { root, end })?;
        Ok(Tree(pack.tree(root)))
    }

    /// The tree of a commit; its records are read when needed.
    ///
    /// # Errors
    /// [`StoreError::UnknownRoot`], or a damaged root record.
    pub fn checkout(&self, hash: &Hash) -> Result<Tree, StoreError> {
        let state = self.state();
        let at = *state
            .by_hash
            .get(hash)
            .ok_or(StoreError::UnknownRoot { hash: *hash })?;
        let tree = Tree(state.pack.tree(Place { hash: *hash, at }));
        drop(state);
        tree.length(&[])?;
        Ok(tree)
    }

    /// Roots in the order of their commits, the oldest first.
    #[must_use]
    pub fn roots(&self) -> Vec<Hash> {
        let state = self.state();
        state
            .roots
            .list
            .iter()
            .map(|entry| entry.root.hash)
            .collect()
    }

    /// Drops every root but those in `keep` and gives the space back. Trees checked out before stay
    /// readable, but committing one later copies it whole.
    ///
    /// # Errors
    /// [`StoreError`]; the store is then as before.
    pub fn prune(&self, keep: &[Hash]) -> Result<(), StoreError> {
        let mut state = self.state();
        if let Some(hash) = keep.iter().find(|hash| !state.by_hash.contains_key(hash)) {
            return Err(StoreError::UnknownRoot { hash: *hash });
        }
        let pruned = self.move_on(&mut state, keep);
        if pruned.is_err() {
            // Half a generation only takes space, on a disk that may have none left; the next
            // start sweeps, too.
            let _ = files::sweep(&self.folder, state.generation);
        }
        pruned
    }

    /// Copies what is kept into a new generation and makes it the one that counts.
    fn move_on(&self, state: &mut State, keep: &[Hash]) -> Result<(), StoreError> {
        let kept = state.roots.list.iter().map(|entry| entry.root);
        let kept: Vec<_> = kept.filter(|root| keep.contains(&root.hash)).collect();
        let number = state.generation + 1;
        let mut next = State::new(files::create(&self.folder, number)?, &self.options);
        let pack = next.pack.clone();
        let mut out = Appender::new(&pack, files::START);
        let moved = prune::copy(&state.pack, kept.iter().copied(), &mut out)?;
        let end = out.sync()?;
        for mut root in kept {
            let lost = || state.pack.damaged(root.at, "root that was not copied");
            root.at = moved.new_place(root.at).ok_or_else(lost)?;
            next.add_root(Committed { root, end })?;
        }
        let switched = files::switch(&self.folder, number);
        // Whatever happened, go on with the generation that a restart would find.
        if files::current(&self.folder)? == Some(number) {
            *state = next;
        }
        switched?;
        files::sweep(&self.folder, number)
    }

    /// How large the store is.
    #[must_use]
    pub fn size(&self) -> Size {
        let state = self.state();
        Size {
            bytes: state.roots.end(),
            roots: state.by_hash.len(),
        }
    }
}
