//! The file that records lie in, and reading them.
//!
//! Promises: what is read has the hash that was asked for, or the read fails. The page cache is
//! used by plain reads, not by a mapping, so that a large store does not count as our memory.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::crypto::Hash;
use crate::merkle::distant::{Distant, DistantChild};
use crate::merkle::item::{Entry, Item, Kind, Pair};
use crate::merkle::trie::{Branch, Child, Root, Sealed};
use crate::merkle::{Bytes, TreeError};

use super::StoreError;
use super::cache::Cache;
use super::record::{Place, Record, Slot, What};

/// Bytes of one read; most records are shorter.
const READ: usize = 1536;
/// What a cached record takes besides its bytes, about.
const OVERHEAD: usize = 256;

/// One generation of the store's records.
#[derive(Debug)]
pub(crate) struct Pack {
    pub(super) path: PathBuf,
    pub(super) file: File,
    /// With the hash, since a damaged place could lead to another record.
    cache: Cache<(Hash, Ready)>,
}

/// A record in the form that trees use.
#[derive(Clone, Debug)]
enum Ready {
    Value(Bytes),
    Root(Arc<Root>),
    Child(Child),
}

/// Where a record lies.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pack: Arc<Pack>,
    at: u64,
}

impl Stored {
    /// The place, if it is in this pack.
    pub(crate) fn at(&self, pack: &Arc<Pack>) -> Option<u64> {
        Arc::ptr_eq(&self.pack, pack).then_some(self.at)
    }

    pub(crate) fn value(&self, hash: Hash) -> Result<Bytes, TreeError> {
        match self.pack.ready(hash, self.at)? {
            Ready::Value(bytes) => Ok(bytes),
            _ => self.wrong_kind(),
        }
    }

    pub(crate) fn root(&self, hash: Hash) -> Result<Arc<Root>, TreeError> {
        match self.pack.ready(hash, self.at)? {
            Ready::Root(root) => Ok(root),
            _ => self.wrong_kind(),
        }
    }

    pub(crate) fn child(&self, hash: Hash) -> Result<Child, TreeError> {
        match self.pack.ready(hash, self.at)? {
            Ready::Child(child) => Ok(child),
            _ => self.wrong_kind(),
        }
    }

    fn wrong_kind<T>(&self) -> Result<T, TreeError> {
        Err(self.pack.damaged(self.at, "record of another kind").into())
    }
}

impl Pack {
    pub(super) fn new(path: PathBuf, file: File, cache: usize) -> Self {
        let cache = Cache::new(cache);
        Self { path, file, cache }
    }

    pub(super) fn damaged(&self, at: u64, problem: &'static str) -> StoreError {
        StoreError::Damaged {
            path: self.path.clone(),
            at,
            problem,
        }
    }

    /// The tree whose root record lies at a place.
    pub(super) fn tree(self: &Arc<Self>, place: Place) -> Item {
        Distant::stored(place.hash, Kind::Directory, self.stored(place))
    }

    fn stored(self: &Arc<Self>, place: Place) -> Stored {
        Stored {
            pack: self.clone(),
            at: place.at,
        }
    }

    /// Reads a record and checks it against its hash.
    pub(super) fn record(&self, place: Place) -> Result<(Record, usize), StoreError> {
        let body = self.body(place.at)?;
        let record = Record::parse(&body).ok_or_else(|| self.damaged(place.at, "no record"))?;
        if record.hash()? != place.hash {
            return Err(self.damaged(place.at, "record with another hash"));
        }
        Ok((record, body.len()))
    }

    fn body(&self, at: u64) -> Result<Vec<u8>, StoreError> {
        let failed = |error| StoreError::io(&self.path, error);
        let mut bytes = vec![0; READ];
        let read = read_up_to(&self.file, &mut bytes, at).map_err(failed)?;
        bytes.truncate(read);
        let Some((head, _)) = bytes.split_first_chunk::<4>() else {
            return Err(self.damaged(at, "place beyond the end"));
        };
        let length = u32::from_le_bytes(*head) as usize;
        let have = bytes.len() - 4;
        if length > have {
            let end = self.file.metadata().map_err(failed)?.len();
            if at.saturating_add(4 + length as u64) > end {
                return Err(self.damaged(at, "record longer than the file"));
            }
            bytes.resize(4 + length, 0);
            let rest = bytes.get_mut(4 + have..).unwrap_or_default();
            let from = at.saturating_add(4 + have as u64);
            self.file.read_exact_at(rest, from).map_err(failed)?;
        }
        bytes.truncate(4 + length);
        bytes.drain(..4);
        Ok(bytes)
    }

    fn ready(self: &Arc<Self>, hash: Hash, at: u64) -> Result<Ready, StoreError> {
        if let Some((found, ready)) = self.cache.find(at) {
            if found != hash {
                return Err(self.damaged(at, "record with another hash"));
            }
            return Ok(ready);
        }
        let (record, size) = self.record(Place { hash, at })?;
        let ready = self.made_ready(record, hash);
        self.cache.keep(at, (hash, ready.clone()), size + OVERHEAD);
        Ok(ready)
    }

    fn made_ready(self: &Arc<Self>, record: Record, hash: Hash) -> Ready {
        match record {
            Record::Value(bytes) => Ready::Value(bytes),
            Record::Flat(slots) => Ready::Root(Arc::new(Root::Flat(self.pair(slots)))),
            Record::Bucket(slots) => Ready::Child(Child::Bucket(Arc::new(Sealed::known(
                self.pair(slots),
                hash,
            )))),
            Record::Branch {
                depth,
                length,
                sides: [zero, one],
            } => {
                let branch = Branch {
                    length: length as usize,
                    zero: self.side(zero),
                    one: self.side(one),
                };
                if depth == 0 {
                    Ready::Root(Arc::new(Root::Tree(branch)))
                } else {
                    Ready::Child(Child::Branch(Arc::new(Sealed::known(branch, hash))))
                }
            }
        }
    }

    fn side(self: &Arc<Self>, place: Option<Place>) -> Child {
        match place {
            Some(place) => DistantChild::stored(place.hash, self.stored(place)),
            None => Child::Absent,
        }
    }

    fn pair(self: &Arc<Self>, slots: Vec<Slot>) -> Pair {
        let mut pair = Pair::default();
        for Slot { name, what } in slots {
            let item = match what {
                What::Inline(bytes) => Item::Kept(bytes),
                What::Value(place) => Distant::stored(place.hash, Kind::Value, self.stored(place)),
                What::Directory(place) => self.tree(place),
            };
            pair.push(Entry { name, item });
        }
        pair
    }
}

/// Reads until the buffer is full or the file ends.
fn read_up_to(file: &File, buffer: &mut [u8], at: u64) -> std::io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at.saturating_add(done as u64)) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
