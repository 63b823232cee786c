//! Writing what a tree holds beyond the store, records below before records above.
//!
//! Cost follows the change: parts that lie in this pack are named, not visited.

use std::collections::HashMap;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::crypto::Hash;
use crate::merkle::TreeError;
use crate::merkle::distant::Distant;
use crate::merkle::item::{Item, Kind, Pair};
use crate::merkle::trie::{Branch, Child, Root};

use super::StoreError;
use super::pack::Pack;
use super::record::{INLINE, Place, Record, Slot, TooLong, What};

/// Bytes gathered before they go to the file.
const GATHER: usize = 1 << 20;

/// Appends records to a pack from a place on.
#[derive(Debug)]
pub(super) struct Appender<'a> {
    pack: &'a Arc<Pack>,
    /// Where `gathered` begins in the file.
    start: u64,
    gathered: Vec<u8>,
}

impl<'a> Appender<'a> {
    pub(super) const fn new(pack: &'a Arc<Pack>, start: u64) -> Self {
        Self {
            pack,
            start,
            gathered: Vec::new(),
        }
    }

    /// Where the next record will lie.
    pub(super) fn end(&self) -> u64 {
        self.start + self.gathered.len() as u64
    }

    pub(super) fn append(&mut self, record: &Record) -> Result<u64, StoreError> {
        let at = self.end();
        record
            .append(&mut self.gathered)
            .map_err(|TooLong| StoreError::TooLong)?;
        if self.gathered.len() >= GATHER {
            self.flush()?;
        }
        Ok(at)
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.pack
            .file
            .write_all_at(&self.gathered, self.start)
            .map_err(|error| StoreError::io(&self.pack.path, error))?;
        self.start = self.end();
        self.gathered.clear();
        Ok(())
    }

    /// Brings everything to the disk; returns where it ends.
    pub(super) fn sync(mut self) -> Result<u64, StoreError> {
        self.flush()?;
        self.pack
            .file
            .sync_data()
            .map_err(|error| StoreError::io(&self.pack.path, error))?;
        Ok(self.start)
    }
}

/// Writes one tree.
#[derive(Debug)]
pub(super) struct TreeWriter<'a> {
    pub(super) out: Appender<'a>,
    /// Directories written here, by hash: equal ones are written once.
    written: HashMap<Hash, u64>,
}

impl<'a> TreeWriter<'a> {
    pub(super) fn new(out: Appender<'a>) -> Self {
        Self {
            out,
            written: HashMap::new(),
        }
    }

    /// Writes a directory with all below that is not here yet. Nested directories wait in a list,
    /// since their depth is not bounded by any stack.
    pub(super) fn directory(&mut self, item: &Item) -> Result<Place, StoreError> {
        let mut waiting = vec![item.clone()];
        while let Some(top) = waiting.last().cloned() {
            let known = self.place(&top)?;
            if known.is_some() {
                waiting.pop();
                continue;
            }
            let before = waiting.len();
            self.with_root(&top, |writer, root| writer.missing(root, &mut waiting))?;
            if waiting.len() == before {
                let at = self.with_root(&top, Self::root)?;
                self.written.insert(top.hash()?, at);
                waiting.pop();
            }
        }
        self.place(item)?.ok_or(StoreError::NotADirectory)
    }

    fn with_root<T>(
        &mut self,
        item: &Item,
        run: impl FnOnce(&mut Self, &Root) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match item {
            Item::Dir(dir) => run(self, dir.root()?),
            Item::Distant(distant) => match distant.root()? {
                Some(root) => run(self, &root),
                None => Err(StoreError::NotADirectory),
            },
            Item::Fresh(_) | Item::Kept(_) => Err(StoreError::NotADirectory),
        }
    }

    /// Where a directory lies, if it is here.
    fn place(&self, item: &Item) -> Result<Option<Place>, TreeError> {
        let hash = item.hash()?;
        let here = match item {
            Item::Distant(distant) => distant.place(self.out_pack()),
            _ => None,
        };
        let at = here.or_else(|| self.written.get(&hash).copied());
        Ok(at.map(|at| Place { hash, at }))
    }

    const fn out_pack(&self) -> &Arc<Pack> {
        self.out.pack
    }

    /// Directories right below `root` that are not here yet.
    fn missing(&self, root: &Root, found: &mut Vec<Item>) -> Result<(), StoreError> {
        match root {
            Root::Flat(pair) => self.missing_in_pair(pair, found),
            Root::Tree(branch) => self.missing_in_branch(branch, found),
        }
    }

    fn missing_in_pair(&self, pair: &Pair, found: &mut Vec<Item>) -> Result<(), StoreError> {
        for entry in pair.iter() {
            if entry.item.kind() == Kind::Directory && self.place(&entry.item)?.is_none() {
                found.push(entry.item.clone());
            }
        }
        Ok(())
    }

    fn missing_in_branch(&self, branch: &Branch, found: &mut Vec<Item>) -> Result<(), StoreError> {
        for (_, child) in branch.children() {
            self.missing_in_child(child, found)?;
        }
        Ok(())
    }

    fn missing_in_child(&self, child: &Child, found: &mut Vec<Item>) -> Result<(), StoreError> {
        match child {
            Child::Absent => Ok(()),
            Child::Bucket(pair) => self.missing_in_pair(&pair.body, found),
            Child::Branch(branch) => self.missing_in_branch(&branch.body, found),
            Child::Distant(distant) if distant.place(self.out_pack()).is_some() => Ok(()),
            Child::Distant(distant) => self.missing_in_child(&distant.load()?, found),
        }
    }

    fn root(&mut self, root: &Root) -> Result<u64, StoreError> {
        let record = match root {
            Root::Flat(pair) => Record::Flat(self.slots(pair)?),
            Root::Tree(branch) => self.branch(branch, 0)?,
        };
        self.out.append(&record)
    }

    fn branch(&mut self, branch: &Branch, depth: usize) -> Result<Record, StoreError> {
        let zero = self.child(&branch.zero, depth + 1)?;
        let one = self.child(&branch.one, depth + 1)?;
        Ok(Record::Branch {
            depth: depth as u8,
            length: branch.length as u64,
            sides: [zero, one],
        })
    }

    fn child(&mut self, child: &Child, depth: usize) -> Result<Option<Place>, StoreError> {
        let hash = match child.hash(depth, &mut Default::default())? {
            Some(hash) => hash,
            None => return Ok(None),
        };
        let record = match child {
            Child::Absent => return Ok(None),
            Child::Bucket(pair) => Record::Bucket(self.slots(&pair.body)?),
            Child::Branch(branch) => self.branch(&branch.body, depth)?,
            Child::Distant(distant) => {
                return match distant.place(self.out_pack()) {
                    Some(at) => Ok(Some(Place { hash, at })),
                    None => self.child(&distant.load()?, depth),
                };
            }
        };
        let at = self.out.append(&record)?;
        Ok(Some(Place { hash, at }))
    }

    fn slots(&mut self, pair: &Pair) -> Result<Vec<Slot>, StoreError> {
        let mut slots = Vec::with_capacity(2);
        for entry in pair.iter() {
            let what = match entry.item.kind() {
                Kind::Value => self.value(&entry.item)?,
                Kind::Directory => match self.place(&entry.item)? {
                    Some(place) => What::Directory(place),
                    None => return Err(StoreError::NotADirectory),
                },
            };
            let name = entry.name.clone();
            slots.push(Slot { name, what });
        }
        Ok(slots)
    }

    fn value(&mut self, item: &Item) -> Result<What, StoreError> {
        let bytes = match item {
            Item::Fresh(bytes) | Item::Kept(bytes) => bytes.clone(),
            Item::Dir(_) => return Err(StoreError::NotADirectory),
            Item::Distant(distant) => {
                let hash = distant.hash;
                if let Some(at) = distant.place(self.out_pack()) {
                    return Ok(What::Value(Place { hash, at }));
                }
                value_of(distant)?
            }
        };
        if bytes.len() <= INLINE {
            return Ok(What::Inline(bytes));
        }
        let hash = item.hash()?;
        let at = self.out.append(&Record::Value(bytes))?;
        Ok(What::Value(Place { hash, at }))
    }
}

fn value_of(distant: &Distant) -> Result<crate::merkle::Bytes, StoreError> {
    distant.value()?.ok_or(StoreError::NotADirectory)
}
