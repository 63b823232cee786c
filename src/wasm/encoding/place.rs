//! Places in the tree: where a value is read from or written to.
//!
//! Writing goes through one root tree with full paths, as the original does: which directories
//! are touched, and in which order, decides what a proof contains.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use crate::codec::{Reader, Writer};
use crate::merkle::Tree;
use crate::wasm::encoding::Leaf;
use crate::wasm::fault::{Exception, Fault};

type Step = Cow<'static, str>;

/// How containers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Every binding that was read or written is removed and written again, as the original does:
    /// the only style for recorded ticks.
    Exact,
    /// Only what changed since the container was last written; same hash, and the containers
    /// remember the result.
    Changed,
}

/// Something with a place in the tree.
pub trait Stored: Sized + Clone + Send + Sync + 'static {
    /// Writes the value; containers may remember the written subtree.
    ///
    /// # Errors
    /// [`Fault`] when the tree cannot answer or the value has no encoding.
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault>;

    /// Reads the value; containers stay lazy.
    ///
    /// # Errors
    /// [`Fault`] when the tree cannot answer or holds something else.
    fn load(source: &Source) -> Result<Self, Fault>;

    /// The tree of the value, by [`Style::Changed`].
    ///
    /// # Errors
    /// As [`Self::store`].
    fn tree(&mut self) -> Result<Tree, Fault> {
        written(self)
    }
}

/// The tree of a value, leaf by leaf as far as its parts are.
pub(super) fn written<T: Stored>(value: &mut T) -> Result<Tree, Fault> {
    let mut tree = Tree::empty();
    value.store(&mut Target::new(&mut tree, Style::Changed))?;
    Ok(tree)
}

impl<T: Leaf + Clone + Send + Sync + 'static> Stored for T {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.leaf("", self)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        source.leaf("")
    }
}

/// A place that is read. Cheap to clone.
///
/// The way to a place is walked once, at the first read there or below: that reads the directories
/// above it, as walking anew for each read would.
#[derive(Debug, Clone)]
pub struct Source(Arc<Place>);

#[derive(Debug)]
struct Place {
    /// The place above, and the step from there; none at the root.
    above: Option<(Source, Step)>,
    /// What is here, once looked for.
    here: OnceLock<Option<Tree>>,
}

fn full<'a>(path: &'a [Step], key: &'a str) -> Vec<&'a str> {
    let mut steps = Vec::with_capacity(path.len().saturating_add(1));
    steps.extend(path.iter().map(AsRef::as_ref));
    if !key.is_empty() {
        steps.push(key);
    }
    steps
}

impl Source {
    /// The root of `tree`.
    #[must_use]
    pub fn new(tree: Tree) -> Self {
        Self(Arc::new(Place {
            above: None,
            here: OnceLock::from(Some(tree)),
        }))
    }

    /// The place one step below.
    #[must_use]
    pub fn at(&self, step: impl Into<Step>) -> Self {
        Self(Arc::new(Place {
            above: Some((self.clone(), step.into())),
            here: OnceLock::new(),
        }))
    }

    /// What is here, itself not read.
    fn here(&self) -> Result<Option<&Tree>, Fault> {
        if let Some(here) = self.0.here.get() {
            return Ok(here.as_ref());
        }
        let found = match &self.0.above {
            Some((above, step)) => match above.here()? {
                Some(tree) => tree.find_tree(&[step])?,
                None => None,
            },
            None => None,
        };
        Ok(self.0.here.get_or_init(|| found).as_ref())
    }

    /// The raw bytes at `key` (the place itself when empty), if there are any.
    ///
    /// # Errors
    /// [`Fault::Tree`].
    pub fn bytes(&self, key: &str) -> Result<Option<crate::merkle::Bytes>, Fault> {
        let Some(here) = self.here()? else {
            return Ok(None);
        };
        let below = [key];
        let path = if key.is_empty() { &[][..] } else { &below };
        Ok(here.find(path)?)
    }

    /// The path from the root to `key`, for messages.
    fn path(&self, key: &str) -> String {
        let mut steps = vec![key];
        let mut place = self;
        while let Some((above, step)) = &place.0.above {
            steps.push(step);
            place = above;
        }
        steps.retain(|step| !step.is_empty());
        steps.reverse();
        steps.join("/")
    }

    /// The value at `key`, if there is one.
    ///
    /// # Errors
    /// [`Fault::Tree`], [`Fault::Malformed`].
    pub fn leaf_option<T: Leaf>(&self, key: &str) -> Result<Option<T>, Fault> {
        let Some(bytes) = self.bytes(key)? else {
            return Ok(None);
        };
        let malformed = |error| Fault::malformed(self.path(key), &error);
        let mut reader = Reader::new(&bytes);
        let value = T::read(&mut reader).map_err(malformed)?;
        reader.finish().map_err(malformed)?;
        Ok(Some(value))
    }

    /// The value at `key`.
    ///
    /// # Errors
    /// As [`Self::leaf_option`], and an exception when there is none.
    pub fn leaf<T: Leaf>(&self, key: &str) -> Result<T, Fault> {
        self.leaf_option(key)?
            .ok_or(Fault::Raised(Exception::KeyNotFound))
    }

    /// What is stored under `key`.
    ///
    /// # Errors
    /// As the stored type's.
    pub fn load<T: Stored>(&self, key: &'static str) -> Result<T, Fault> {
        T::load(&self.at(key))
    }

    /// The tag of a union here.
    ///
    /// # Errors
    /// As [`Self::leaf`].
    pub fn tag(&self) -> Result<String, Fault> {
        self.leaf("tag")
    }

    /// The place of a union's payload.
    #[must_use]
    pub fn payload(&self) -> Self {
        self.at("value")
    }

    /// The subtree here; an empty one when there is none.
    ///
    /// # Errors
    /// [`Fault::Tree`].
    pub fn subtree(&self) -> Result<Tree, Fault> {
        Ok(self.here()?.cloned().unwrap_or_else(Tree::empty))
    }

    /// The error for a tag that no case has.
    #[must_use]
    pub fn unknown_tag(&self, tag: &str) -> Fault {
        Fault::Malformed {
            path: self.path("tag"),
            error: format!("unknown case {tag:?}"),
        }
    }
}

/// A place that is written.
#[derive(Debug)]
pub struct Target<'a> {
    tree: &'a mut Tree,
    path: Vec<Step>,
    style: Style,
}

impl<'a> Target<'a> {
    /// The root of `tree`.
    pub const fn new(tree: &'a mut Tree, style: Style) -> Self {
        Self {
            tree,
            path: Vec::new(),
            style,
        }
    }

    /// How containers are to be written.
    #[must_use]
    pub const fn style(&self) -> Style {
        self.style
    }

    /// Writes one step below.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn at(
        &mut self,
        step: impl Into<Step>,
        write: impl FnOnce(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.path.push(step.into());
        let written = write(self);
        self.path.pop();
        written
    }

    /// Writes raw bytes at `key` (the place itself when empty).
    ///
    /// # Errors
    /// [`Fault::Tree`].
    pub fn bytes(&mut self, key: &str, bytes: &[u8]) -> Result<(), Fault> {
        Ok(self.tree.add(&full(&self.path, key), bytes)?)
    }

    /// Writes raw bytes at the place itself; the tree shares them where no proof is recorded.
    ///
    /// # Errors
    /// [`Fault::Tree`].
    pub fn shared(&mut self, bytes: &crate::merkle::Bytes) -> Result<(), Fault> {
        match self.style {
            Style::Exact => self.bytes("", bytes),
            Style::Changed => self.graft(&Tree::value(bytes.clone())),
        }
    }

    /// Writes a value at `key`.
    ///
    /// # Errors
    /// [`Fault::Tree`], [`Fault::Unencodable`].
    pub fn leaf<T: Leaf>(&mut self, key: &str, value: &T) -> Result<(), Fault> {
        let mut writer = Writer::new();
        value.write(&mut writer)?;
        self.bytes(key, &writer.into_bytes())
    }

    /// Writes a value at `key`, or removes what is there.
    ///
    /// # Errors
    /// As [`Self::leaf`].
    pub fn leaf_option<T: Leaf>(&mut self, key: &str, value: Option<&T>) -> Result<(), Fault> {
        match value {
            Some(value) => self.leaf(key, value),
            None => self.remove(key),
        }
    }

    /// Writes an empty leaf at the place itself.
    ///
    /// # Errors
    /// [`Fault::Tree`].
    pub fn unit(&mut self) -> Result<(), Fault> {
        self.bytes("", &[])
    }

    /// Removes what is at `key`.
    ///
    /// # Errors
    /// [`Fault::Tree`].
    pub fn remove(&mut self, key: &str) -> Result<(), Fault> {
        Ok(self.tree.remove(&full(&self.path, key))?)
    }

    /// Puts a subtree at the place itself; an empty one removes.
    ///
    /// # Errors
    /// [`Fault::Tree`].
    pub fn graft(&mut self, tree: &Tree) -> Result<(), Fault> {
        Ok(self.tree.add_tree(&full(&self.path, ""), tree)?)
    }

    /// Stores a value under `key`.
    ///
    /// # Errors
    /// Those of the value.
    pub fn store<T: Stored>(&mut self, key: &'static str, value: &mut T) -> Result<(), Fault> {
        self.at(key, |target| value.store(target))
    }

    /// Writes the tag of a union and its payload.
    ///
    /// # Errors
    /// Those of `payload`.
    pub fn tagged(
        &mut self,
        tag: &str,
        payload: impl FnOnce(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut writer = Writer::new();
        writer.dynamic(tag.as_bytes());
        self.bytes("tag", &writer.into_bytes())?;
        self.at("value", payload)
    }

    /// The subtree here as it is now; an empty one when there is none.
    ///
    /// # Errors
    /// [`Fault::Tree`].
    pub fn subtree(&self) -> Result<Tree, Fault> {
        Ok(self
            .tree
            .find_tree(&full(&self.path, ""))?
            .unwrap_or_else(Tree::empty))
    }
}

/// An option is a union: its absence is written, as a tag.
impl<T: Stored> Stored for Option<T> {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Some(value) => target.tagged("Some", |target| value.store(target)),
            None => target.tagged("None", |_| Ok(())),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let Some(tag) = source.leaf_option::<String>("tag")? else {
            return Ok(None);
        };
        match tag.as_str() {
            "Some" => T::load(&source.payload()).map(Some),
            "None" => Ok(None),
            other => Err(source.unknown_tag(other)),
        }
    }
}
