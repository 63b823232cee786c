//! Parts of a tree that are known by hash and read when needed.
//!
//! Promises: reading gives the record of that hash or an error, and tells the session that a proof
//! is made in, or checked in, what was read. Rule: Irmin's `Key` and `Pruned` node states.

use std::sync::{Arc, OnceLock, Weak};

use crate::crypto::Hash;

use super::digest::Preimage;
use super::item::{Entry, Item, Kind, Pair};
use super::numbered::Part;
use super::proof::{Partial, Recording};
use super::store::{Pack, Stored};
use super::tree::Maker;
use super::trie::{Branch, Child, Root, Sealed};
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
    /// Another item whose reading is recorded.
    Recorded(Item, Weak<Recording>),
    /// In the store.
    Stored(Stored),
    /// Made anew whenever it is read.
    Made(Arc<dyn Maker>),
    /// Whatever a proof shows of this hash.
    Proven(Weak<Partial>),
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
    /// In memory, seen as if it had just been committed.
    Settled(Child),
    /// In the store.
    Stored(Stored),
    /// Made anew whenever it is read.
    Made(Part),
    /// Another record; once read it stays, so that the proof shows it.
    Recorded {
        record: Child,
        session: Weak<Recording>,
        read: OnceLock<Child>,
    },
    /// Left out of a proof.
    Blinded(Weak<Partial>),
}

/// How a directory of a commit keeps its changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tracking {
    /// In its records at once.
    None,
    /// Apart, because applying them reads records: a proof is being made.
    Recording,
    /// Apart likewise: a proof is being checked.
    Proven,
}

impl Distant {
    fn item(hash: Hash, kind: Kind, source: Source) -> Item {
        Item::Distant(Arc::new(Self { hash, kind, source }))
    }

    /// The item as if it had just been committed.
    pub(super) fn settled(item: &Item) -> Result<Item, TreeError> {
        Ok(match item {
            Item::Fresh(bytes) | Item::Kept(bytes) => Item::Kept(bytes.clone()),
            Item::Distant(_) => item.clone(),
            Item::Dir(dir) => {
                Self::item(dir.hash()?, Kind::Directory, Source::Settled(item.clone()))
            }
        })
    }

    /// The item as if it had just been committed, with every reading of it recorded.
    pub(super) fn recorded(item: &Item, session: &Weak<Recording>) -> Result<Item, TreeError> {
        if let Item::Distant(distant) = item
            && let Source::Recorded(inner, ended) = &distant.source
            && ended.strong_count() == 0
        {
            // It was last read in a session that is over: in its place comes what lies below, so
            // that a step on the outcome of a step on the outcome… reads as directly as the first.
            let source = Source::Recorded(inner.clone(), session.clone());
            return Ok(Self::item(distant.hash, distant.kind, source));
        }
        let source = Source::Recorded(Self::settled(item)?, session.clone());
        Ok(Self::item(item.hash()?, item.kind(), source))
    }

    /// The item of this hash in the store.
    pub(super) fn stored(hash: Hash, kind: Kind, stored: Stored) -> Item {
        Self::item(hash, kind, Source::Stored(stored))
    }

    /// The directory of this hash, made when it is read.
    pub(super) fn made(hash: Hash, maker: Arc<dyn Maker>) -> Item {
        Self::item(hash, Kind::Directory, Source::Made(maker))
    }

    /// Where it lies, if it is in this pack.
    pub(super) fn place(&self, pack: &Arc<Pack>) -> Option<u64> {
        match &self.source {
            Source::Stored(stored) => stored.at(pack),
            _ => None,
        }
    }

    /// The item of a proof with this hash, shown there or not.
    pub(super) fn proven(hash: Hash, kind: Kind, session: &Weak<Partial>) -> Item {
        Self::item(hash, kind, Source::Proven(session.clone()))
    }

    /// What a tree becomes when a change of it failed half way.
    pub(super) fn failed(error: TreeError) -> Item {
        Self::item(Hash([0; 32]), Kind::Directory, Source::Failed(error))
    }

    /// Repeats the failure that lost this tree, if one did.
    pub(super) fn check(&self) -> Result<(), TreeError> {
        match &self.source {
            Source::Failed(error) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    pub(super) const fn tracking(&self) -> Tracking {
        match &self.source {
            Source::Settled(_) | Source::Stored(_) | Source::Made(_) | Source::Failed(_) => {
                Tracking::None
            }
            Source::Recorded(..) => Tracking::Recording,
            Source::Proven(_) => Tracking::Proven,
        }
    }

    /// Reads the bytes of a value; a directory has none.
    pub(super) fn value(&self) -> Result<Option<Bytes>, TreeError> {
        if self.kind == Kind::Directory {
            return self.check().map(|()| None);
        }
        match &self.source {
            Source::Settled(item) => value_of(item),
            Source::Made(_) => Ok(None),
            Source::Stored(stored) => stored.value(self.hash).map(Some),
            Source::Failed(error) => Err(error.clone()),
            Source::Recorded(item, session) => {
                let value = value_of(item)?;
                if let (Some(session), Some(value)) = (session.upgrade(), &value) {
                    session.saw_value(self.hash, value);
                }
                Ok(value)
            }
            Source::Proven(session) => match session.upgrade() {
                Some(session) => session.value(self.hash).map(Some),
                None => Err(TreeError::outside("value", self.hash)),
            },
        }
    }

    /// Reads the root record of a directory; a value has none.
    pub(super) fn root(&self) -> Result<Option<Arc<Root>>, TreeError> {
        if self.kind == Kind::Value {
            return Ok(None);
        }
        match &self.source {
            Source::Settled(item) => root_of(item, &View::Settled),
            Source::Made(maker) => {
                let made = maker.make()?;
                let found = made.hash()?;
                if found != self.hash {
                    let reason = format!("made with hash {found}");
                    return Err(TreeError::NotMade {
                        hash: self.hash,
                        reason,
                    });
                }
                root_of(&made.0, &View::Settled)
            }
            Source::Stored(stored) => stored.root(self.hash).map(Some),
            Source::Failed(error) => Err(error.clone()),
            Source::Recorded(item, session) => {
                let Some(recording) = session.upgrade() else {
                    return root_of(item, &View::Settled);
                };
                let view = View::Recorded(session);
                recording.directory(self.hash, || root_of(item, &view))
            }
            Source::Proven(session) => match session.upgrade() {
                Some(session) => session.directory(self.hash).map(Some),
                None => Err(TreeError::outside("directory", self.hash)),
            },
        }
    }
}

fn value_of(item: &Item) -> Result<Option<Bytes>, TreeError> {
    match item {
        Item::Fresh(bytes) | Item::Kept(bytes) => Ok(Some(bytes.clone())),
        Item::Distant(distant) => distant.value(),
        Item::Dir(_) => Ok(None),
    }
}

fn root_of(item: &Item, view: &View<'_>) -> Result<Option<Arc<Root>>, TreeError> {
    match item {
        Item::Dir(dir) => view.root(dir.root()?).map(Arc::new).map(Some),
        Item::Distant(distant) => match (distant.root()?, view) {
            (Some(root), View::Recorded(_)) => view.root(&root).map(Arc::new).map(Some),
            (root, _) => Ok(root),
        },
        Item::Fresh(_) | Item::Kept(_) => Ok(None),
    }
}

impl DistantChild {
    /// The record of this hash in the store.
    pub(super) fn stored(hash: Hash, stored: Stored) -> Child {
        let source = ChildSource::Stored(stored);
        Child::Distant(Arc::new(Self { hash, source }))
    }

    /// The record of this hash, made when it is read.
    pub(super) fn made(hash: Hash, part: Part) -> Child {
        let source = ChildSource::Made(part);
        Child::Distant(Arc::new(Self { hash, source }))
    }

    /// Where it lies, if it is in this pack.
    pub(super) fn place(&self, pack: &Arc<Pack>) -> Option<u64> {
        match &self.source {
            ChildSource::Stored(stored) => stored.at(pack),
            _ => None,
        }
    }

    /// A record that a proof leaves out.
    pub(super) fn blinded(hash: Hash, session: &Weak<Partial>) -> Child {
        Child::Distant(Arc::new(Self {
            hash,
            source: ChildSource::Blinded(session.clone()),
        }))
    }

    /// Reads the record.
    pub(super) fn load(&self) -> Result<Child, TreeError> {
        match &self.source {
            ChildSource::Settled(record) => View::Settled.record(record, self.hash),
            ChildSource::Stored(stored) => stored.child(self.hash),
            ChildSource::Made(part) => part.make(self.hash),
            ChildSource::Recorded {
                record,
                session,
                read,
            } => {
                if let Some(read) = read.get() {
                    return Ok(read.clone());
                }
                let record = View::Recorded(session).record(record, self.hash)?;
                Ok(read.get_or_init(|| record).clone())
            }
            ChildSource::Blinded(session) => {
                let error = TreeError::outside("directory record", self.hash);
                if let Some(session) = session.upgrade() {
                    session.missed(&error);
                }
                Err(error)
            }
        }
    }

    /// The record, if it was read while recording.
    pub(super) fn shown(&self) -> Option<&Child> {
        match &self.source {
            ChildSource::Recorded { read, .. } => read.get(),
            _ => None,
        }
    }
}

/// The record itself, where the session that read it is over.
fn below_ended(child: &Child) -> &Child {
    match child {
        Child::Distant(distant) => match &distant.source {
            ChildSource::Recorded {
                record, session, ..
            } if session.strong_count() == 0 => record,
            _ => child,
        },
        _ => child,
    }
}

/// How records in memory are shown to the reader of a distant directory.
enum View<'a> {
    Settled,
    Recorded(&'a Weak<Recording>),
}

impl View<'_> {
    fn item(&self, item: &Item) -> Result<Item, TreeError> {
        match self {
            Self::Settled => Distant::settled(item),
            Self::Recorded(session) => Distant::recorded(item, session),
        }
    }

    fn root(&self, root: &Root) -> Result<Root, TreeError> {
        match root {
            Root::Flat(pair) => self.pair(pair).map(Root::Flat),
            Root::Tree(branch) => self.branch(branch).map(Root::Tree),
        }
    }

    fn record(&self, record: &Child, hash: Hash) -> Result<Child, TreeError> {
        Ok(match record {
            Child::Absent => Child::Absent,
            Child::Bucket(pair) => {
                Child::Bucket(Arc::new(Sealed::known(self.pair(&pair.body)?, hash)))
            }
            Child::Branch(branch) => {
                Child::Branch(Arc::new(Sealed::known(self.branch(&branch.body)?, hash)))
            }
            Child::Distant(distant) => return self.record(&distant.load()?, hash),
        })
    }

    fn pair(&self, pair: &Pair) -> Result<Pair, TreeError> {
        let mut shown = Pair::default();
        for entry in pair.iter() {
            shown.push(Entry {
                name: entry.name.clone(),
                item: self.item(&entry.item)?,
            });
        }
        Ok(shown)
    }

    fn branch(&self, branch: &Branch) -> Result<Branch, TreeError> {
        Ok(Branch {
            length: branch.length,
            zero: self.child(&branch.zero)?,
            one: self.child(&branch.one)?,
        })
    }

    /// Records below were hashed with their directory, so their depth is not needed here.
    fn child(&self, child: &Child) -> Result<Child, TreeError> {
        let Some(hash) = child.hash(0, &mut Preimage::default())? else {
            return Ok(Child::Absent);
        };
        let source = match (self, child) {
            (Self::Settled, Child::Distant(_)) => return Ok(child.clone()),
            (Self::Settled, _) => ChildSource::Settled(child.clone()),
            (Self::Recorded(session), _) => ChildSource::Recorded {
                record: below_ended(child).clone(),
                session: Weak::clone(session),
                read: OnceLock::new(),
            },
        };
        Ok(Child::Distant(Arc::new(DistantChild { hash, source })))
    }
}
