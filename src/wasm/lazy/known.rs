//! Bindings that are known without being here: made when somebody asks for one.
//!
//! Why: a large kernel's blocks, parsed before, are hundreds of thousands of bindings of which a
//! question reads some dozens.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use crate::crypto::Hash;
use crate::merkle::{Numbered, Tree, TreeError};
use crate::wasm::fault::Fault;

/// Who knows the values, and as [`Numbered`] their trees.
pub trait Backing<T>: Numbered {
    /// The value of a key.
    ///
    /// # Errors
    /// [`Fault`] when it cannot be made.
    fn value(self: Arc<Self>, key: i32) -> Result<T, Fault>;
}

/// Neighbouring keys whose values somebody knows.
pub(super) struct Known<T> {
    backing: Arc<dyn Backing<T>>,
    keys: Range<i32>,
    /// End of those that were written to the tree.
    written: i32,
    /// Whether some of them may be bound otherwise by now.
    overruled: bool,
}

impl<T> Clone for Known<T> {
    fn clone(&self) -> Self {
        Self {
            backing: Arc::clone(&self.backing),
            keys: self.keys.clone(),
            written: self.written,
            overruled: self.overruled,
        }
    }
}

impl<T> Known<T> {
    pub(super) fn new(backing: &Arc<dyn Backing<T>>, keys: Range<i32>) -> Self {
        Self {
            backing: Arc::clone(backing),
            written: keys.start,
            overruled: false,
            keys,
        }
    }

    /// Whether this one knows the keys as well.
    pub(super) fn is_of(&self, backing: &Arc<dyn Backing<T>>) -> bool {
        Arc::ptr_eq(&self.backing, backing)
    }

    /// Knows more keys; all between are known too.
    pub(super) fn reach(&mut self, end: i32) {
        self.keys.end = self.keys.end.max(end);
    }

    pub(super) const fn keys(&self) -> &Range<i32> {
        &self.keys
    }

    pub(super) fn covers(&self, key: i32) -> bool {
        self.keys.contains(&key)
    }

    pub(super) fn value(&self, key: i32) -> Result<T, Fault> {
        Arc::clone(&self.backing).value(key)
    }

    pub(super) fn tree(&self, key: i32) -> Result<Tree, Fault> {
        Ok(Arc::clone(&self.backing).tree(key.cast_unsigned())?)
    }

    /// The directory of all of them and of others, by key, which come before; of some no entry is
    /// left.
    pub(super) fn directory(&self, others: BTreeMap<i32, Option<Tree>>) -> Result<Tree, Fault>
    where
        T: 'static,
    {
        let alone = match others.range(self.keys.clone()).next() {
            None => self.keys.clone(),
            Some(_) => 0..0,
        };
        let known = self.keys.clone();
        let known = known.filter(|key| alone.contains(key) || !others.contains_key(key));
        let here = others
            .iter()
            .filter_map(|(key, tree)| Some((*key, tree.as_ref()?)));
        let mut numbers: Vec<u32> = known.map(i32::cast_unsigned).collect();
        let (mut settled, mut fresh) = (HashMap::new(), Vec::new());
        for (key, tree) in here {
            // Others would be taken for parts of a commit.
            if key >= 0 && tree.is_settled() && !tree.is_value() {
                numbers.push(key.cast_unsigned());
                settled.insert(key.cast_unsigned(), (tree.hash()?, tree.clone()));
            } else {
                fresh.push((key, tree));
            }
        }
        let entries = Arc::new(Joined {
            known: Arc::clone(&self.backing) as Arc<dyn Numbered>,
            alone: alone.start.cast_unsigned()..alone.end.cast_unsigned(),
            others: settled,
        });
        let mut tree = Tree::numbered(entries, &numbers)?;
        for (key, entry) in fresh {
            tree.add_tree(&[&key.to_string()], entry)?;
        }
        Ok(tree)
    }

    /// Keys that are not written yet.
    pub(super) fn unwritten(&self) -> Range<i32> {
        self.written..self.keys.end
    }

    /// One of them gets another binding.
    pub(super) const fn overrule(&mut self) {
        self.overruled = true;
    }

    pub(super) const fn is_overruled(&self) -> bool {
        self.overruled
    }

    pub(super) const fn settle(&mut self) {
        self.written = self.keys.end;
    }
}

/// What is known, and others.
#[derive(Debug)]
struct Joined {
    known: Arc<dyn Numbered>,
    /// Numbers that are known and not among the others.
    alone: Range<u32>,
    others: HashMap<u32, (Hash, Tree)>,
}

impl Numbered for Joined {
    fn hash(&self, number: u32) -> Option<Hash> {
        if self.alone.contains(&number) {
            return self.known.hash(number);
        }
        match self.others.get(&number) {
            Some((hash, _)) => Some(*hash),
            None => self.known.hash(number),
        }
    }

    fn tree(self: Arc<Self>, number: u32) -> Result<Tree, TreeError> {
        match self.others.get(&number) {
            Some((_, tree)) => Ok(tree.clone()),
            None => Arc::clone(&self.known).tree(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wasm::encoding::{Source, Stored, Style, Target};
    use crate::wasm::lazy::LazyVec;

    /// A directory with a number in it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Cell(i32);

    impl Stored for Cell {
        fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
            target.leaf("n", &self.0)
        }

        fn load(source: &Source) -> Result<Self, Fault> {
            source.leaf("n").map(Self)
        }
    }

    /// Knows that every key is bound to its triple.
    #[derive(Debug)]
    struct Triples;

    fn triple(key: i32) -> Tree {
        Cell(3 * key).tree().unwrap().settled().unwrap()
    }

    impl Numbered for Triples {
        fn hash(&self, number: u32) -> Option<Hash> {
            triple(number.cast_signed()).hash().ok()
        }

        fn tree(self: Arc<Self>, number: u32) -> Result<Tree, TreeError> {
            Ok(triple(number.cast_signed()))
        }
    }

    impl Backing<Cell> for Triples {
        fn value(self: Arc<Self>, key: i32) -> Result<Cell, Fault> {
            Ok(Cell(3 * key))
        }
    }

    fn stored(vector: &mut LazyVec<Cell>, style: Style) -> Tree {
        let mut tree = Tree::empty();
        vector.store(&mut Target::new(&mut tree, style)).unwrap();
        tree.find_tree(&["contents"])
            .unwrap()
            .unwrap_or_else(Tree::empty)
    }

    fn naive(twin: &BTreeMap<i32, Cell>) -> Tree {
        let entries = twin
            .iter()
            .map(|(key, cell)| (key.to_string(), cell.clone().tree().unwrap()));
        Tree::directory(entries).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Whatever is known, appended by hand, changed, taken out or written in between: the tree is
        /// that of the bindings one by one.
        #[test]
        fn what_is_known_is_as_if_it_were_here(
            own in 0i32..5,
            operations in proptest::collection::vec((0u8..9, 0i32..300), 1..40),
        ) {
            let backing = Arc::new(Triples) as Arc<dyn Backing<Cell>>;
            let elsewhere = Arc::new(Triples) as Arc<dyn Backing<Cell>>;
            let mut vector = LazyVec::from_items((0..own).map(|key| Cell(-key)).collect());
            let mut twin: BTreeMap<i32, Cell> = (0..own).map(|key| (key, Cell(-key))).collect();
            let mut kept = Vec::new();
            for (operation, number) in operations {
                let length = vector.len();
                let at = number.checked_rem(length).unwrap_or(0);
                match operation {
                    0..3 => {
                        let who = if operation == 2 { &elsewhere } else { &backing };
                        vector.append_known(who, number).unwrap();
                        twin.extend((length..length + number).map(|key| (key, Cell(3 * key))));
                    }
                    // As the backing knows it.
                    3 => {
                        vector.append(Cell(3 * length)).unwrap();
                        twin.insert(length, Cell(3 * length));
                    }
                    4 if twin.contains_key(&at) => {
                        vector.write(at).unwrap().0 += 1;
                        twin.entry(at).and_modify(|cell| cell.0 += 1);
                    }
                    5 if number % 4 == 0 && length > 0 => {
                        vector.truncate(length - 1);
                        twin.remove(&(length - 1));
                    }
                    6 => prop_assert_eq!(
                        stored(&mut vector, Style::Changed).hash().unwrap(),
                        naive(&twin).hash().unwrap()
                    ),
                    7 => prop_assert_eq!(
                        stored(&mut vector.clone(), Style::Exact).hash().unwrap(),
                        naive(&twin).hash().unwrap()
                    ),
                    _ => kept.push((vector.clone(), twin.clone())),
                }
                prop_assert_eq!(vector.get(at).ok().cloned(), twin.get(&at).cloned());
            }
            kept.push((vector, twin));
            for (mut vector, twin) in kept {
                let tree = stored(&mut vector, Style::Changed);
                prop_assert_eq!(tree.hash().unwrap(), naive(&twin).hash().unwrap());
                for (key, cell) in &twin {
                    prop_assert_eq!(vector.get(*key).unwrap(), cell);
                }
            }
        }
    }
}
