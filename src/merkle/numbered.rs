//! Large directories of numbered entries whose hashes are known: made, record by record, when
//! somebody reads them.
//!
//! Why: a state after parsing holds hundreds of thousands of blocks, and a proof reads a few.
//! Promises: the directory that [`Tree::directory`](super::Tree::directory) makes of the same
//! entries, in a fraction of its time and memory. Refuses to know: what the entries are.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::crypto::Hash;

use super::TreeError;
use super::digest::Preimage;
use super::distant::DistantChild;
use super::item::{Entry, Kind, Pair, PairHashes};
use super::name::{Name, NameBits, zeros};
use super::parallel::in_parts;
use super::tree::Tree;
use super::trie::{Branch, Child, Root, Sealed};

/// Entries of a part that is made at once, at most.
const PART: usize = 256;
/// Entries from which a second thread is worth its start.
const WORTH_A_THREAD: usize = 4_000;

/// Directories named by decimal numbers.
pub trait Numbered: Send + Sync + fmt::Debug {
    /// Hash of an entry; none when there is no such entry.
    fn hash(&self, number: u32) -> Option<Hash>;

    /// An entry.
    ///
    /// # Errors
    /// [`TreeError`].
    fn tree(self: Arc<Self>, number: u32) -> Result<Tree, TreeError>;
}

/// Entries in the order of the bits of their names.
#[derive(Debug)]
pub(super) struct Table {
    entries: Arc<dyn Numbered>,
    sorted: Vec<(NameBits, u32)>,
}

/// A record over neighbouring entries.
#[derive(Debug)]
pub(super) struct Part {
    table: Arc<Table>,
    depth: usize,
    places: Range<usize>,
}

fn name(number: u32) -> Name {
    Name::new(number.to_string().as_bytes())
}

impl Table {
    pub(super) fn new(entries: Arc<dyn Numbered>, numbers: &[u32]) -> Self {
        let named = in_parts(numbers.len(), (4 * PART, WORTH_A_THREAD), |part| {
            let numbers = numbers.get(part).unwrap_or_default();
            let bits = |number: &u32| (NameBits::of_number(*number), *number);
            numbers.iter().map(bits).collect::<Vec<_>>()
        });
        let mut sorted = named.concat();
        sorted.sort_unstable();
        Self { entries, sorted }
    }

    /// The directory.
    pub(super) fn root(self) -> Result<Root, TreeError> {
        if self.sorted.len() <= 2 {
            let mut pair = Pair::default();
            for (_, entry) in self.listed(0..self.sorted.len())? {
                pair.push(entry);
            }
            return Ok(Root::Flat(pair));
        }
        let mut parts = Vec::new();
        self.parts(0, 0..self.sorted.len(), &mut parts)?;
        let hashes = in_parts(parts.len(), (1, WORTH_A_THREAD / PART), |part| {
            let mut preimage = Preimage::default();
            let parts = parts.get(part).unwrap_or_default();
            let hashed = |(depth, places): &(usize, Range<usize>)| {
                self.hash(*depth, places.clone(), &mut preimage)
            };
            parts.iter().map(hashed).collect::<Result<Vec<_>, _>>()
        });
        let hashes: Result<Vec<_>, _> = hashes.into_iter().collect();
        let table = Arc::new(self);
        let mut hashes = hashes?.into_iter().flatten();
        let all = 0..table.sorted.len();
        Self::branch(&table, 0, all, &mut hashes).map(Root::Tree)
    }

    fn at(&self, places: Range<usize>) -> &[(NameBits, u32)] {
        self.sorted.get(places).unwrap_or_default()
    }

    fn entry_hash(&self, number: u32) -> Result<Hash, TreeError> {
        let hash = self.entries.hash(number);
        hash.ok_or_else(|| TreeError::unknown(format!("entry {number} is not known")))
    }

    /// Both sides of a record at `depth` over more than two entries.
    fn sides(&self, depth: usize, places: Range<usize>) -> Result<[Range<usize>; 2], TreeError> {
        let zeros = zeros(self.at(places.clone()), depth, u32::to_string)?;
        let middle = places.start + zeros;
        Ok([places.start..middle, middle..places.end])
    }

    /// The parts that are made at once, in their order.
    fn parts(
        &self,
        depth: usize,
        places: Range<usize>,
        found: &mut Vec<(usize, Range<usize>)>,
    ) -> Result<(), TreeError> {
        // The root record itself is always there.
        if depth > 0 && places.len() <= PART {
            found.push((depth, places));
            return Ok(());
        }
        for side in self.sides(depth, places)? {
            self.parts(depth + 1, side, found)?;
        }
        Ok(())
    }

    /// Hash of the record over these entries; none of no entries.
    fn hash(
        &self,
        depth: usize,
        places: Range<usize>,
        preimage: &mut Preimage,
    ) -> Result<Option<Hash>, TreeError> {
        let entries = self.at(places.clone());
        if entries.len() > 2 {
            let [zero, one] = self.sides(depth, places)?;
            let zero = self.hash(depth + 1, zero, preimage)?;
            let one = self.hash(depth + 1, one, preimage)?;
            return Ok(Some(preimage.branch(depth, entries.len(), [zero, one])));
        }
        let mut names = [None, None];
        for (place, (_, number)) in names.iter_mut().zip(entries) {
            *place = Some((name(*number), self.entry_hash(*number)?));
        }
        if let [Some((first, _)), Some((second, _))] = &names
            && second < first
        {
            names.reverse();
        }
        let list = names.each_ref().map(|entry| {
            let (name, hash) = entry.as_ref()?;
            Some((name.as_bytes(), Kind::Directory, *hash))
        });
        Ok((!entries.is_empty()).then(|| preimage.bucket(PairHashes::of(list))))
    }

    /// The record at `depth`, over more than two entries.
    fn branch(
        table: &Arc<Self>,
        depth: usize,
        places: Range<usize>,
        hashes: &mut impl Iterator<Item = Option<Hash>>,
    ) -> Result<Branch, TreeError> {
        let length = places.len();
        let [zero, one] = table.sides(depth, places)?;
        Ok(Branch {
            length,
            zero: Self::child(table, depth + 1, zero, hashes)?,
            one: Self::child(table, depth + 1, one, hashes)?,
        })
    }

    fn child(
        table: &Arc<Self>,
        depth: usize,
        places: Range<usize>,
        hashes: &mut impl Iterator<Item = Option<Hash>>,
    ) -> Result<Child, TreeError> {
        if places.len() > PART {
            let branch = Self::branch(table, depth, places, hashes)?;
            return Ok(Child::Branch(Arc::new(Sealed::open(branch))));
        }
        let part = Part {
            table: Arc::clone(table),
            depth,
            places,
        };
        Ok(match hashes.next().flatten() {
            Some(hash) => DistantChild::made(hash, part),
            None => Child::Absent,
        })
    }

    fn listed(&self, places: Range<usize>) -> Result<Vec<(NameBits, Entry)>, TreeError> {
        let entry = |(bits, number): &(NameBits, u32)| {
            let entry = Entry {
                name: name(*number),
                item: Arc::clone(&self.entries).tree(*number)?.0,
            };
            Ok((*bits, entry))
        };
        self.at(places).iter().map(entry).collect()
    }
}

impl Part {
    /// The record, which must have this hash.
    pub(super) fn make(&self, hash: Hash) -> Result<Child, TreeError> {
        let entries = self.table.listed(self.places.clone())?;
        let length = entries.len();
        let child = Child::build(self.depth, length, &mut entries.into_iter())?;
        let found = child.hash(self.depth, &mut Preimage::default())?;
        if found == Some(hash) {
            return Ok(child);
        }
        let reason = format!("a part of it was made with hash {found:?}");
        Err(TreeError::NotMade { hash, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries that differ from each other.
    #[derive(Debug)]
    struct Entries;

    impl Numbered for Entries {
        fn hash(&self, number: u32) -> Option<Hash> {
            entry(number).ok()?.hash().ok()
        }

        fn tree(self: Arc<Self>, number: u32) -> Result<Tree, TreeError> {
            entry(number)
        }
    }

    fn entry(number: u32) -> Result<Tree, TreeError> {
        Tree::directory([("n", Tree::value(number.to_be_bytes()))])?.settled()
    }

    fn numbered(numbers: Range<u32>) -> Tree {
        Tree::numbered(Arc::new(Entries), &Vec::from_iter(numbers)).unwrap()
    }

    fn twin(numbers: Range<u32>) -> Tree {
        let named = |number: u32| (number.to_string(), entry(number).unwrap());
        Tree::directory(numbers.map(named)).unwrap()
    }

    #[test]
    fn it_is_the_directory_of_its_entries() {
        let ranges = [0..0, 0..1, 1..3, 0..3, 7..40, 5..600, 1..9_000];
        for numbers in ranges {
            let (made, twin) = (numbered(numbers.clone()), twin(numbers.clone()));
            assert_eq!(made.hash().unwrap(), twin.hash().unwrap(), "{numbers:?}");
            assert_eq!(made.length(&[]).unwrap(), numbers.len());
            let listed = |tree: &Tree| {
                let entries = tree.list(&[], 3, Some(50)).unwrap();
                let hashed = entries
                    .into_iter()
                    .map(|(n, tree)| (n, tree.hash().unwrap()));
                hashed.collect::<Vec<_>>()
            };
            assert_eq!(listed(&made), listed(&twin), "{numbers:?}");
            let (made, twin) = (made.settled().unwrap(), twin.settled().unwrap());
            assert_eq!(listed(&made), listed(&twin), "{numbers:?}, committed");
            for number in [0, 1, 5, 599, 8_999, 9_000] {
                let path = [&*number.to_string(), "n"];
                assert_eq!(made.find(&path).unwrap(), twin.find(&path).unwrap());
            }
        }
    }

    #[test]
    fn changes_and_proofs_are_those_of_the_directory() {
        let mut state = 7_u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        let (mut made, mut twin) = (numbered(3..2_000), twin(3..2_000));
        for round in 0..400 {
            let name = random(2_100).to_string();
            for tree in [&mut made, &mut twin] {
                match round % 3 {
                    0 => tree.remove(&[&name]).unwrap(),
                    1 => tree.add(&[&name, "n"], b"changed").unwrap(),
                    _ => tree.add(&[&name, "more"], b"added").unwrap(),
                }
            }
            if round % 40 == 0 {
                assert_eq!(made.hash().unwrap(), twin.hash().unwrap(), "{round}");
            }
        }
        assert_eq!(made.hash().unwrap(), twin.hash().unwrap());
        for number in [3, 4, 1_999, 2_050] {
            let path = [&*number.to_string(), "n"];
            let [one, other] = [&made, &twin].map(|tree| {
                let step = |tree: &mut Tree| {
                    tree.find(&path)?;
                    tree.remove(&["77"])
                };
                let (proof, done) = super::super::Proof::produce(tree, step).unwrap();
                done.unwrap();
                proof
            });
            assert_eq!(one, other, "{number}");
        }
    }

    /// Hashes that are not those of the entries.
    #[derive(Debug)]
    struct Lies;

    impl Numbered for Lies {
        fn hash(&self, number: u32) -> Option<Hash> {
            (number < 500).then_some(Hash([7; 32]))
        }

        fn tree(self: Arc<Self>, number: u32) -> Result<Tree, TreeError> {
            entry(number)
        }
    }

    #[test]
    fn entries_that_are_not_what_their_hashes_say_are_an_error() {
        let made = Tree::numbered(Arc::new(Lies), &Vec::from_iter(0..400)).unwrap();
        let error = made.find(&["5", "n"]).unwrap_err().to_string();
        assert!(error.contains("cannot be made"), "{error}");
        let error = Tree::numbered(Arc::new(Lies), &Vec::from_iter(0..600)).unwrap_err();
        assert!(error.to_string().contains("is not known"), "{error}");
    }
}
