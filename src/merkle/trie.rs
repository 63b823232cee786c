//! The shape of one directory: buckets of at most two entries under a binary tree of name bits.
//!
//! Rule: Irmin's inode construction with two entries per record and a stable hash of two. The
//! shape depends only on the set of names. A directory whose length falls to two becomes flat
//! again; while doing so all its remaining records are read, exactly as upstream, because reads
//! end up in proofs.

use std::sync::{Arc, OnceLock};

use crate::crypto::Hash;

use super::TreeError;
use super::digest::{Batch, Preimage};
use super::dir::Dir;
use super::distant::DistantChild;
use super::item::{Entry, Item, Pair};
use super::name::{MAX_DEPTH, Name, NameBits, zeros};

/// A record with its hash, once computed.
#[derive(Clone, Debug)]
pub(super) struct Sealed<T> {
    pub(super) hash: OnceLock<Hash>,
    pub(super) body: T,
}

impl<T> Sealed<T> {
    pub(super) const fn open(body: T) -> Self {
        Self {
            hash: OnceLock::new(),
            body,
        }
    }

    pub(super) fn known(body: T, hash: Hash) -> Self {
        Self {
            hash: OnceLock::from(hash),
            body,
        }
    }

    fn hash(&self, compute: impl FnOnce(&T) -> Result<Hash, TreeError>) -> Result<Hash, TreeError> {
        if let Some(hash) = self.hash.get() {
            return Ok(*hash);
        }
        let hash = compute(&self.body)?;
        Ok(*self.hash.get_or_init(|| hash))
    }
}

/// The body of a shared record, for changing it: copied when shared, its hash forgotten.
fn reopened<T: Clone>(record: &mut Arc<Sealed<T>>) -> &mut T {
    let sealed = Arc::make_mut(record);
    sealed.hash.take();
    &mut sealed.body
}

/// Two sides over `length` entries.
#[derive(Clone, Debug, Default)]
pub(super) struct Branch {
    pub(super) length: usize,
    pub(super) zero: Child,
    pub(super) one: Child,
}

/// One side of a branch.
#[derive(Clone, Debug, Default)]
pub(super) enum Child {
    /// Nothing.
    #[default]
    Absent,
    /// One or two entries.
    Bucket(Arc<Sealed<Pair>>),
    /// Three entries or more.
    Branch(Arc<Sealed<Branch>>),
    /// Known by hash; read when needed.
    Distant(Arc<DistantChild>),
}

/// The root record of a directory.
#[derive(Clone, Debug)]
pub(super) enum Root {
    /// At most two entries.
    Flat(Pair),
    /// More.
    Tree(Branch),
}

/// What is left of a record after a removal.
enum Left {
    Smaller,
    Collapsed(Pair),
}

impl Child {
    fn bucket(pair: Pair) -> Self {
        Self::Bucket(Arc::new(Sealed::open(pair)))
    }

    /// Number of entries below; reads the record.
    fn length(&self) -> Result<usize, TreeError> {
        Ok(match self {
            Self::Absent => 0,
            Self::Bucket(pair) => pair.body.len(),
            Self::Branch(branch) => branch.body.length,
            Self::Distant(distant) => return distant.load()?.length(),
        })
    }

    pub(super) fn hash(
        &self,
        depth: usize,
        preimage: &mut Preimage,
    ) -> Result<Option<Hash>, TreeError> {
        Ok(Some(match self {
            Self::Absent => return Ok(None),
            Self::Bucket(pair) => pair.hash(|pair| Ok(preimage.bucket(pair.hashed()?)))?,
            Self::Branch(branch) => branch.hash(|branch| branch.hash(depth, preimage))?,
            Self::Distant(distant) => distant.hash,
        }))
    }

    /// Brings a distant record here, so that it can be changed.
    fn fetch(&mut self) -> Result<(), TreeError> {
        if let Self::Distant(distant) = self {
            *self = distant.load()?;
        }
        Ok(())
    }

    fn find(&self, depth: usize, name: &Name, bits: NameBits) -> Result<Option<Item>, TreeError> {
        match self {
            Self::Absent => Ok(None),
            Self::Bucket(pair) => Ok(pair.body.find(name).cloned()),
            Self::Branch(branch) => branch.body.find(depth, name, bits),
            Self::Distant(distant) => distant.load()?.find(depth, name, bits),
        }
    }

    fn slot(
        &mut self,
        depth: usize,
        name: &Name,
        bits: NameBits,
    ) -> Result<Option<&mut Item>, TreeError> {
        self.fetch()?;
        match self {
            Self::Absent | Self::Distant(_) => Ok(None),
            Self::Bucket(pair) => Ok(reopened(pair).slot(name)),
            Self::Branch(branch) => reopened(branch).slot(depth, name, bits),
        }
    }

    fn insert(
        &mut self,
        depth: usize,
        entry: Entry,
        bits: NameBits,
    ) -> Result<Option<Item>, TreeError> {
        self.fetch()?;
        match self {
            Self::Absent | Self::Distant(_) => {
                *self = Self::bucket(Pair::one(entry));
                Ok(None)
            }
            Self::Branch(branch) => reopened(branch).insert(depth, entry, bits),
            Self::Bucket(pair) => {
                let pair = reopened(pair);
                let entry = match pair.replace(entry) {
                    Ok(replaced) => return Ok(Some(replaced)),
                    Err(entry) => entry,
                };
                if let Some(third) = pair.push(entry) {
                    let branch = Branch::split(depth, std::mem::take(pair), third)?;
                    *self = Self::Branch(Arc::new(Sealed::open(branch)));
                }
                Ok(None)
            }
        }
    }

    /// Removes a name that is known to be there.
    fn remove(
        &mut self,
        depth: usize,
        name: &Name,
        bits: NameBits,
    ) -> Result<Option<Item>, TreeError> {
        self.fetch()?;
        match self {
            Self::Absent | Self::Distant(_) => Ok(None),
            Self::Bucket(pair) => {
                let pair = reopened(pair);
                let removed = pair.remove(name);
                if pair.len() == 0 {
                    *self = Self::Absent;
                }
                Ok(removed)
            }
            Self::Branch(branch) => {
                let (removed, left) = reopened(branch).remove(depth, name, bits)?;
                if let Left::Collapsed(pair) = left {
                    *self = Self::bucket(pair);
                }
                Ok(removed)
            }
        }
    }

    /// Takes entries in the order of the records: `page.skip` are passed over.
    fn walk(&self, page: &mut Page) -> Result<(), TreeError> {
        match self {
            Self::Absent => Ok(()),
            Self::Bucket(pair) => {
                page.take(&pair.body);
                Ok(())
            }
            Self::Branch(branch) => branch.body.walk(page),
            Self::Distant(distant) => distant.load()?.walk(page),
        }
    }
}

/// A window on the entries of a directory.
#[derive(Debug)]
pub(super) struct Page {
    skip: usize,
    left: usize,
    pub(super) found: Vec<Entry>,
}

impl Page {
    pub(super) const fn new(offset: usize, length: Option<usize>) -> Self {
        Self {
            skip: offset,
            left: match length {
                Some(length) => length,
                None => usize::MAX,
            },
            found: Vec::new(),
        }
    }

    fn take(&mut self, pair: &Pair) {
        for entry in pair.iter() {
            if self.skip > 0 {
                self.skip -= 1;
            } else if self.left > 0 {
                self.left -= 1;
                self.found.push(entry.clone());
            }
        }
    }
}

impl Branch {
    fn side(&self, side: usize) -> &Child {
        if side == 0 { &self.zero } else { &self.one }
    }

    fn side_mut(&mut self, side: usize) -> &mut Child {
        if side == 0 {
            &mut self.zero
        } else {
            &mut self.one
        }
    }

    /// Children with their sides, absent ones left out.
    pub(super) fn children(&self) -> impl Iterator<Item = (usize, &Child)> {
        [(0, &self.zero), (1, &self.one)]
            .into_iter()
            .filter(|(_, child)| !matches!(child, Child::Absent))
    }

    /// A branch at `depth` over three entries.
    fn split(depth: usize, pair: Pair, third: Entry) -> Result<Self, TreeError> {
        let mut branch = Self::default();
        for entry in pair.into_entries().chain([third]) {
            let bits = NameBits::of(entry.name.as_bytes());
            branch.insert(depth, entry, bits)?;
        }
        Ok(branch)
    }

    fn hash(&self, depth: usize, preimage: &mut Preimage) -> Result<Hash, TreeError> {
        let zero = self.zero.hash(depth + 1, preimage)?;
        let one = self.one.hash(depth + 1, preimage)?;
        Ok(preimage.branch(depth, self.length, [zero, one]))
    }

    fn find(&self, depth: usize, name: &Name, bits: NameBits) -> Result<Option<Item>, TreeError> {
        let side = index(depth, name, bits)?;
        self.side(side).find(depth + 1, name, bits)
    }

    fn slot(
        &mut self,
        depth: usize,
        name: &Name,
        bits: NameBits,
    ) -> Result<Option<&mut Item>, TreeError> {
        let side = index(depth, name, bits)?;
        self.side_mut(side).slot(depth + 1, name, bits)
    }

    fn insert(
        &mut self,
        depth: usize,
        entry: Entry,
        bits: NameBits,
    ) -> Result<Option<Item>, TreeError> {
        let side = index(depth, &entry.name, bits)?;
        let replaced = self.side_mut(side).insert(depth + 1, entry, bits)?;
        self.length += usize::from(replaced.is_none());
        Ok(replaced)
    }

    /// Removes a name that is known to be there. With two entries left, all of them are gathered.
    fn remove(
        &mut self,
        depth: usize,
        name: &Name,
        bits: NameBits,
    ) -> Result<(Option<Item>, Left), TreeError> {
        if self.length <= 3 {
            let mut page = Page::new(0, None);
            self.walk(&mut page)?;
            let mut pair = Pair::default();
            let mut removed = None;
            for entry in page.found {
                if entry.name == *name {
                    removed = Some(entry.item);
                } else {
                    pair.push(entry);
                }
            }
            return Ok((removed, Left::Collapsed(pair)));
        }
        let side = index(depth, name, bits)?;
        let removed = self.side_mut(side).remove(depth + 1, name, bits)?;
        self.length -= usize::from(removed.is_some());
        Ok((removed, Left::Smaller))
    }

    /// Each child is read to learn its length, even when all of it is passed over; nothing is
    /// read once the page is full.
    fn walk(&self, page: &mut Page) -> Result<(), TreeError> {
        for (_, child) in self.children() {
            if page.left == 0 {
                return Ok(());
            }
            let length = if page.skip == 0 { 0 } else { child.length()? };
            if page.skip > 0 && page.skip >= length {
                page.skip -= length;
            } else {
                child.walk(page)?;
            }
        }
        Ok(())
    }
}

/// The side of `name` at `depth`.
fn index(depth: usize, name: &Name, bits: NameBits) -> Result<usize, TreeError> {
    if depth >= MAX_DEPTH {
        return Err(TreeError::NamesCollide {
            name: format!("{name:?}"),
        });
    }
    Ok(bits.side(depth))
}

impl Root {
    pub(super) fn empty() -> Self {
        Self::Flat(Pair::default())
    }

    pub(super) fn length(&self) -> usize {
        match self {
            Self::Flat(pair) => pair.len(),
            Self::Tree(branch) => branch.length,
        }
    }

    pub(super) fn hash(&self, preimage: &mut Preimage) -> Result<Hash, TreeError> {
        match self {
            Self::Flat(pair) => Ok(preimage.flat(pair.hashed()?)),
            Self::Tree(branch) => {
                branch.seal_below()?;
                branch.hash(0, preimage)
            }
        }
    }

    pub(super) fn find(&self, name: &Name) -> Result<Option<Item>, TreeError> {
        match self {
            Self::Flat(pair) => Ok(pair.find(name).cloned()),
            Self::Tree(branch) => branch.find(0, name, NameBits::of(name.as_bytes())),
        }
    }

    /// The item of a name, for changing it; hashes on the way are forgotten.
    pub(super) fn slot(&mut self, name: &Name) -> Result<Option<&mut Item>, TreeError> {
        match self {
            Self::Flat(pair) => Ok(pair.slot(name)),
            Self::Tree(branch) => branch.slot(0, name, NameBits::of(name.as_bytes())),
        }
    }

    /// Sets an entry and gives back what the name stood for.
    pub(super) fn insert(&mut self, entry: Entry) -> Result<Option<Item>, TreeError> {
        match self {
            Self::Tree(branch) => {
                let bits = NameBits::of(entry.name.as_bytes());
                branch.insert(0, entry, bits)
            }
            Self::Flat(pair) => {
                let entry = match pair.replace(entry) {
                    Ok(replaced) => return Ok(Some(replaced)),
                    Err(entry) => entry,
                };
                if let Some(third) = pair.push(entry) {
                    *self = Self::Tree(Branch::split(0, std::mem::take(pair), third)?);
                }
                Ok(None)
            }
        }
    }

    /// Removes a name; reads as upstream: first the path of the name, then what a collapse needs.
    pub(super) fn remove(&mut self, name: &Name) -> Result<Option<Item>, TreeError> {
        match self {
            Self::Flat(pair) => Ok(pair.remove(name)),
            Self::Tree(branch) => {
                let bits = NameBits::of(name.as_bytes());
                if branch.find(0, name, bits)?.is_none() {
                    return Ok(None);
                }
                let (removed, left) = branch.remove(0, name, bits)?;
                if let Left::Collapsed(pair) = left {
                    *self = Self::Flat(pair);
                }
                Ok(removed)
            }
        }
    }

    /// Entries in the order of the records.
    pub(super) fn page(
        &self,
        offset: usize,
        length: Option<usize>,
    ) -> Result<Vec<Entry>, TreeError> {
        let mut page = Page::new(offset, length);
        match self {
            Self::Flat(pair) => page.take(pair),
            Self::Tree(branch) => branch.walk(&mut page)?,
        }
        Ok(page.found)
    }

    /// Builds the directory of `entries` at once; of equal names the last one counts.
    pub(super) fn build(entries: impl IntoIterator<Item = Entry>) -> Result<Self, TreeError> {
        let mut keyed: Vec<_> = entries
            .into_iter()
            .map(|entry| (NameBits::of(entry.name.as_bytes()), entry))
            .collect();
        keyed.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.name.cmp(&y.name)));
        keyed.reverse();
        keyed.dedup_by(|(_, dropped), (_, kept)| dropped.name == kept.name);
        keyed.reverse();
        if keyed.len() <= 2 {
            let mut pair = Pair::default();
            for (_, entry) in keyed {
                pair.push(entry);
            }
            return Ok(Self::Flat(pair));
        }
        let length = keyed.len();
        Branch::build(0, length, &mut keyed.into_iter()).map(Self::Tree)
    }

    /// Directories below whose hash is not known, at the first level.
    pub(super) fn unsealed<'a>(&'a self, found: &mut Vec<&'a Arc<Dir>>) {
        match self {
            Self::Flat(pair) => pair.unsealed(found),
            Self::Tree(branch) => branch.unsealed(found),
        }
    }

    /// Moves out the directories that only this one holds, so that dropping needs no deep stack.
    pub(super) fn dismantle(self, found: &mut Vec<Arc<Dir>>) {
        match self {
            Self::Flat(pair) => pair.dismantle(found),
            Self::Tree(branch) => branch.dismantle(found),
        }
    }

    pub(super) fn holds_dirs(&self) -> bool {
        match self {
            Self::Flat(pair) => pair.iter().any(|entry| matches!(entry.item, Item::Dir(_))),
            Self::Tree(_) => true,
        }
    }
}

/// Records hashed at once.
const AT_ONCE: usize = 64;

/// Records whose hash is not known, branches with their depth.
#[derive(Default)]
struct Open<'a> {
    buckets: Vec<&'a Sealed<Pair>>,
    branches: Vec<(usize, &'a Sealed<Branch>)>,
}

type Keyed = std::vec::IntoIter<(NameBits, Entry)>;

impl Child {
    /// Builds one side over the next `length` entries.
    pub(super) fn build(
        depth: usize,
        length: usize,
        sorted: &mut Keyed,
    ) -> Result<Self, TreeError> {
        if length > 2 {
            let branch = Branch::build(depth, length, sorted)?;
            return Ok(Self::Branch(Arc::new(Sealed::open(branch))));
        }
        let mut pair = Pair::default();
        for (_, entry) in sorted.take(length) {
            pair.push(entry);
        }
        Ok(if pair.len() == 0 {
            Self::Absent
        } else {
            Self::bucket(pair)
        })
    }
}

impl Branch {
    /// Builds a branch over the next `length` entries, which are in the order of their bits and
    /// agree above `depth`.
    fn build(depth: usize, length: usize, sorted: &mut Keyed) -> Result<Self, TreeError> {
        let next = sorted.as_slice().get(..length).unwrap_or_default();
        let zeros = zeros(next, depth, |entry| format!("{:?}", entry.name))?;
        Ok(Self {
            length,
            zero: Child::build(depth + 1, zeros, sorted)?,
            one: Child::build(depth + 1, length - zeros, sorted)?,
        })
    }

    /// Computes the hashes of all records below, many at a time; directories in them have theirs.
    fn seal_below(&self) -> Result<(), TreeError> {
        let mut open = Open::default();
        self.open_below(0, &mut open);
        let mut batch = Batch::default();
        for buckets in open.buckets.chunks(AT_ONCE) {
            let pairs = buckets.iter().flat_map(|bucket| bucket.body.iter());
            pairs.for_each(|entry| entry.item.batch(&mut batch));
            let mut values = batch.hashes().into_iter();
            for bucket in buckets {
                batch.bucket(bucket.body.hashed_from(&mut values)?);
            }
            for (bucket, hash) in buckets.iter().zip(batch.hashes()) {
                bucket.hash.get_or_init(|| hash);
            }
        }
        open.branches
            .sort_by_key(|(depth, _)| std::cmp::Reverse(*depth));
        for level in open.branches.chunk_by(|(a, _), (b, _)| a == b) {
            for branches in level.chunks(AT_ONCE) {
                for (depth, branch) in branches {
                    let below = |child: &Child| child.hash(depth + 1, &mut Preimage::default());
                    let sides = [below(&branch.body.zero)?, below(&branch.body.one)?];
                    batch.branch(*depth, branch.body.length, sides);
                }
                for ((_, branch), hash) in branches.iter().zip(batch.hashes()) {
                    branch.hash.get_or_init(|| hash);
                }
            }
        }
        Ok(())
    }

    fn open_below<'a>(&'a self, depth: usize, open: &mut Open<'a>) {
        for (_, child) in self.children() {
            match child {
                Child::Bucket(pair) if pair.hash.get().is_none() => open.buckets.push(pair),
                Child::Branch(branch) if branch.hash.get().is_none() => {
                    open.branches.push((depth + 1, branch));
                    branch.body.open_below(depth + 1, open);
                }
                _ => {}
            }
        }
    }

    fn unsealed<'a>(&'a self, found: &mut Vec<&'a Arc<Dir>>) {
        for (_, child) in self.children() {
            match child {
                Child::Bucket(pair) if pair.hash.get().is_none() => pair.body.unsealed(found),
                Child::Branch(branch) if branch.hash.get().is_none() => branch.body.unsealed(found),
                _ => {}
            }
        }
    }

    fn dismantle(self, found: &mut Vec<Arc<Dir>>) {
        for child in [self.zero, self.one] {
            match child {
                Child::Bucket(pair) => {
                    if let Some(pair) = Arc::into_inner(pair) {
                        pair.body.dismantle(found);
                    }
                }
                Child::Branch(branch) => {
                    if let Some(branch) = Arc::into_inner(branch) {
                        branch.body.dismantle(found);
                    }
                }
                Child::Absent | Child::Distant(_) => {}
            }
        }
    }
}
