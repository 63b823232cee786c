//! Hashes of directories that nobody reads: from the hashes of their entries, without a tree.
//!
//! Promises: the hash that [`Tree::directory`](super::Tree::directory) of the same entries has. The
//! shape depends on the names alone, so it is worked out once for all directories with equal names.

use crate::crypto::Hash;

use super::TreeError;
use super::digest::{self, Preimage};
use super::item::{Kind, PairHashes};
use super::name::{Name, NameBits, zeros};

/// Hash of a value.
#[must_use]
pub fn value_hash(bytes: &[u8]) -> Hash {
    digest::value(bytes)
}

/// Memory for hashing that is used again and again.
#[derive(Debug, Default)]
pub struct Scratch {
    preimage: Preimage,
    sides: Vec<Hash>,
}

/// The shape of a directory with certain names.
#[derive(Debug, Clone)]
pub struct Plan {
    names: Vec<Name>,
    steps: Vec<Step>,
}

/// Places of at most two names, in the order of the names.
type Places = [Option<u32>; 2];

/// A record, after those below it.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The whole directory.
    Flat(Places),
    Bucket(Places),
    Branch {
        depth: usize,
        length: usize,
        /// Which sides there are.
        sides: [bool; 2],
    },
}

impl Plan {
    /// The shape for these names, no two of which are equal.
    ///
    /// # Errors
    /// [`TreeError::NamesCollide`].
    pub fn new<N: AsRef<[u8]>>(names: impl IntoIterator<Item = N>) -> Result<Self, TreeError> {
        let names = names.into_iter().map(|name| Name::new(name.as_ref()));
        let mut plan = Self {
            names: names.collect(),
            steps: Vec::new(),
        };
        let mut placed: Vec<(NameBits, u32)> = (0..)
            .zip(&plan.names)
            .map(|(place, name)| (NameBits::of(name.as_bytes()), place))
            .collect();
        placed.sort_unstable();
        if placed.len() > 2 {
            plan.add(0, &placed)?;
        } else {
            plan.steps.push(Step::Flat(plan.places(&placed)));
        }
        Ok(plan)
    }

    fn name(&self, place: u32) -> &[u8] {
        self.names
            .get(place as usize)
            .map_or(&[], |name| name.as_bytes())
    }

    fn places(&self, placed: &[(NameBits, u32)]) -> Places {
        let mut places = placed.iter().map(|(_, place)| *place);
        match (places.next(), places.next()) {
            (Some(a), Some(b)) if self.name(b) < self.name(a) => [Some(b), Some(a)],
            (a, b) => [a, b],
        }
    }

    /// Adds the record at `depth` over names in the order of their bits; says whether there is one.
    fn add(&mut self, depth: usize, placed: &[(NameBits, u32)]) -> Result<bool, TreeError> {
        if placed.len() > 2 {
            let text = |place: &u32| String::from_utf8_lossy(self.name(*place)).into_owned();
            let (zero, one) = placed.split_at(zeros(placed, depth, text)?);
            let sides = [self.add(depth + 1, zero)?, self.add(depth + 1, one)?];
            let length = placed.len();
            self.steps.push(Step::Branch {
                depth,
                length,
                sides,
            });
        } else if !placed.is_empty() {
            self.steps.push(Step::Bucket(self.places(placed)));
        }
        Ok(!placed.is_empty())
    }

    fn pair<'a>(&'a self, places: Places, entries: &[(Kind, Hash)]) -> PairHashes<'a> {
        PairHashes::of(places.map(|place| {
            let (kind, hash) = entries.get(place? as usize)?;
            Some((self.name(place?), *kind, *hash))
        }))
    }

    /// The hash of the directory whose names stand for these entries, in the order in which the
    /// names were given.
    #[must_use]
    pub fn hash(&self, scratch: &mut Scratch, entries: &[(Kind, Hash)]) -> Hash {
        let Scratch { preimage, sides } = scratch;
        sides.clear();
        for step in &self.steps {
            let hash = match step {
                Step::Flat(places) => preimage.flat(self.pair(*places, entries)),
                Step::Bucket(places) => preimage.bucket(self.pair(*places, entries)),
                Step::Branch {
                    depth,
                    length,
                    sides: [zero, one],
                } => {
                    let one = one.then(|| sides.pop()).flatten();
                    let zero = zero.then(|| sides.pop()).flatten();
                    preimage.branch(*depth, *length, [zero, one])
                }
            };
            sides.push(hash);
        }
        sides.pop().unwrap_or_else(|| digest::value(&[]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Tree;
    use super::*;

    #[test]
    fn a_plan_hashes_like_the_tree() {
        let mut scratch = Scratch::default();
        let numbers = |count: u32| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        let mut lists: Vec<Vec<String>> = (0..40).chain([411, 5_000]).map(numbers).collect();
        lists.push(["length", "contents", "head"].map(str::to_owned).into());
        lists.push(["value", "tag"].map(str::to_owned).into());
        for names in lists {
            let below = Tree::directory([("$1", Tree::value(*b"below"))]).unwrap();
            let entries: Vec<(String, Tree)> = (0_u8..)
                .cycle()
                .zip(&names)
                .map(|(n, name)| match n % 3 {
                    0 => (name.clone(), below.clone()),
                    _ => (name.clone(), Tree::value([n; 5])),
                })
                .collect();
            let hashes: Vec<(Kind, Hash)> = entries
                .iter()
                .map(|(_, tree)| match tree.is_value() {
                    true => (Kind::Value, tree.hash().unwrap()),
                    false => (Kind::Directory, tree.hash().unwrap()),
                })
                .collect();
            let plan = Plan::new(&names).unwrap();
            let tree = Tree::directory(entries).unwrap();
            assert_eq!(plan.hash(&mut scratch, &hashes), tree.hash().unwrap());
        }
    }
}
