//! Properties of trees against a naive twin.
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::digest;
use super::{Tree, TreeError};
use crate::crypto::{Hash, blake2b};

/// The naive twin: a map, hashed from scratch by the definition.
#[derive(Clone, Debug, PartialEq)]
enum Twin {
    Value(Vec<u8>),
    Dir(BTreeMap<String, Twin>),
}

fn bit(name: &str, depth: usize) -> u8 {
    blake2b(name.as_bytes()).0[depth / 8] >> (7 - depth % 8) & 1
}

fn leb(mut number: usize, out: &mut Vec<u8>) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn twin_record(entries: &[(&String, &Twin)], depth: usize) -> Hash {
    let mut out = Vec::new();
    if entries.len() <= 2 && depth == 0 {
        out.extend((entries.len() as u64).to_be_bytes());
        for (name, twin) in entries {
            out.extend([
                if matches!(twin, Twin::Value(_)) {
                    0xff
                } else {
                    0
                },
                0,
                0,
                0,
                0,
                0,
                0,
                0,
            ]);
            leb(name.len(), &mut out);
            out.extend(name.as_bytes());
            out.extend([0, 0, 0, 0, 0, 0, 0, 32]);
            out.extend(twin.hash().0);
        }
    } else if entries.len() <= 2 {
        out.push(0);
        leb(entries.len(), &mut out);
        for (name, twin) in entries {
            leb(name.len(), &mut out);
            out.extend(name.as_bytes());
            out.push(u8::from(matches!(twin, Twin::Value(_))));
            out.extend(twin.hash().0);
        }
    } else {
        let sides: Vec<(u8, Vec<_>)> = [0, 1]
            .map(|side| {
                (
                    side,
                    entries
                        .iter()
                        .copied()
                        .filter(|(name, _)| bit(name, depth) == side)
                        .collect(),
                )
            })
            .into_iter()
            .filter(|(_, list): &(u8, Vec<(&String, &Twin)>)| !list.is_empty())
            .collect();
        out.push(1);
        leb(depth, &mut out);
        leb(entries.len(), &mut out);
        leb(sides.len(), &mut out);
        for (side, list) in &sides {
            out.push(*side);
            out.extend(twin_record(list, depth + 1).0);
        }
    }
    blake2b(&out)
}

impl Twin {
    fn hash(&self) -> Hash {
        match self {
            Twin::Value(bytes) => digest::value(bytes),
            Twin::Dir(map) => twin_record(&map.iter().collect::<Vec<_>>(), 0),
        }
    }

    fn add(&mut self, path: &[&str], twin: Twin) {
        let Some((step, rest)) = path.split_first() else {
            return *self = twin;
        };
        if let Twin::Value(_) = self {
            *self = Twin::Dir(BTreeMap::new());
        }
        let Twin::Dir(map) = self else { unreachable!() };
        map.entry((*step).to_owned())
            .or_insert_with(|| Twin::Dir(BTreeMap::new()))
            .add(rest, twin);
    }

    fn remove(&mut self, path: &[&str]) {
        let Some((step, rest)) = path.split_first() else {
            return *self = Twin::Dir(BTreeMap::new());
        };
        let Twin::Dir(map) = self else { return };
        let Some(below) = map.get_mut(*step) else {
            return;
        };
        below.remove(rest);
        if *below == Twin::Dir(BTreeMap::new()) {
            map.remove(*step);
        }
    }

    fn get(&self, path: &[&str]) -> Option<&Twin> {
        match (path.split_first(), self) {
            (None, _) => Some(self),
            (Some((step, rest)), Twin::Dir(map)) => map.get(*step)?.get(rest),
            (Some(_), Twin::Value(_)) => None,
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Add(Vec<String>, Vec<u8>),
    Remove(Vec<String>),
    Copy(Vec<String>, Vec<String>),
    Settle,
    Hash,
}

fn path() -> impl Strategy<Value = Vec<String>> {
    let name = prop_oneof![
        (0..12_u32).prop_map(|number| number.to_string()),
        "[a-c]".prop_map(String::from),
        Just("a name longer than fourteen bytes".to_owned()),
    ];
    proptest::collection::vec(name, 1..4)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (path(), proptest::collection::vec(any::<u8>(), 0..3)).prop_map(|(p, v)| Step::Add(p, v)),
        4 => path().prop_map(Step::Remove),
        1 => (path(), path()).prop_map(|(from, to)| Step::Copy(from, to)),
        1 => Just(Step::Settle),
        1 => Just(Step::Hash),
    ]
}

fn borrowed(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

fn apply(tree: &mut Tree, twin: &mut Twin, step: &Step) -> Result<(), TreeError> {
    match step {
        Step::Add(path, value) => {
            tree.add(&borrowed(path), value)?;
            twin.add(&borrowed(path), Twin::Value(value.clone()));
        }
        Step::Remove(path) => {
            tree.remove(&borrowed(path))?;
            twin.remove(&borrowed(path));
        }
        Step::Copy(from, to) => {
            if let Some(part) = tree.find_tree(&borrowed(from))? {
                tree.add_tree(&borrowed(to), &part)?;
                let part = twin.get(&borrowed(from)).unwrap().clone();
                twin.add(&borrowed(to), part);
            }
        }
        Step::Settle => *tree = tree.settled()?,
        Step::Hash => {
            tree.hash()?;
        }
    }
    Ok(())
}

fn same(tree: &Tree, twin: &Twin, path: &mut Vec<String>, root: &Tree) {
    match twin {
        Twin::Value(bytes) => {
            assert!(tree.is_value());
            assert_eq!(
                root.find(&borrowed(path)).unwrap().as_deref(),
                Some(bytes.as_slice())
            );
        }
        Twin::Dir(map) => {
            let mut listed = tree.list(&[], 0, None).unwrap();
            listed.sort_by(|(a, _), (b, _)| a.cmp(b));
            assert_eq!(tree.length(&[]).unwrap(), map.len());
            assert!(listed.iter().map(|(name, _)| name).eq(map.keys()));
            for ((name, below), twin) in listed.iter().zip(map.values()) {
                path.push(name.clone());
                same(below, twin, path, root);
                path.pop();
            }
        }
    }
    assert_eq!(tree.hash().unwrap(), twin.hash());
}

proptest! {
    #[test]
    fn any_history_gives_the_twin(steps in proptest::collection::vec(step(), 0..60)) {
        let mut tree = Tree::empty();
        let mut twin = Twin::Dir(BTreeMap::new());
        let mut kept = Vec::new();
        for step in &steps {
            apply(&mut tree, &mut twin, step).unwrap();
            kept.push((tree.clone(), twin.clone()));
        }
        for (tree, twin) in &kept {
            prop_assert_eq!(tree.hash().unwrap(), twin.hash());
        }
        same(&tree, &twin, &mut Vec::new(), &tree);
        same(&tree.settled().unwrap(), &twin, &mut Vec::new(), &tree);
    }

    #[test]
    fn building_at_once_is_adding_one_by_one(names in proptest::collection::vec("[0-9a-e]{1,3}", 0..200)) {
        let mut one_by_one = Tree::empty();
        for (number, name) in names.iter().enumerate() {
            one_by_one.add(&[name], &[number as u8]).unwrap();
        }
        let at_once = Tree::directory(
            names.iter().enumerate().map(|(number, name)| (name, Tree::value([number as u8]))),
        ).unwrap();
        prop_assert_eq!(at_once.hash().unwrap(), one_by_one.hash().unwrap());
    }

    #[test]
    fn pages_are_windows_on_the_whole_list(count in 0..40_usize, offset in 0..45_usize, length in 0..45_usize) {
        let mut tree = Tree::empty();
        for number in 0..count {
            tree.add(&[&number.to_string()], b"").unwrap();
        }
        for tree in [tree.clone(), tree.settled().unwrap()] {
            let names = |list: Vec<(String, Tree)>| list.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
            let all = names(tree.list(&[], 0, None).unwrap());
            let page = names(tree.list(&[], offset, Some(length)).unwrap());
            let expected: Vec<_> = all.into_iter().skip(offset).take(length).collect();
            prop_assert_eq!(page, expected);
        }
    }
}

fn names(tree: &Tree) -> Vec<String> {
    tree.list(&[], 0, None)
        .unwrap()
        .into_iter()
        .map(|(name, _)| name)
        .collect()
}

/// Pinned upstream: a changed directory lists by name, a committed one in the order of records.
#[test]
fn listing_order_follows_the_state_of_the_directory() {
    let mut tree = Tree::empty();
    for name in ["three", "@", "one"] {
        tree.add(&[name], name.as_bytes()).unwrap();
    }
    assert_eq!(names(&tree), ["@", "one", "three"]);
    tree.hash().unwrap();
    assert_eq!(
        names(&tree),
        ["@", "one", "three"],
        "hashing commits nothing"
    );
    let mut settled = tree.settled().unwrap();
    assert_eq!(names(&settled), ["@", "three", "one"]);
    settled.add(&["one"], b"other").unwrap();
    assert_eq!(names(&settled), ["@", "one", "three"]);
}

#[test]
fn a_removal_lists_by_name_until_the_record_is_computed() {
    let mut tree = Tree::empty();
    for name in ["three", "@", "one", "x"] {
        tree.add(&[name], name.as_bytes()).unwrap();
    }
    let mut tree = tree.settled().unwrap();
    tree.remove(&["x"]).unwrap();
    let (listed, mut hashed) = (tree.clone(), tree.clone());
    assert_eq!(names(&listed), ["@", "one", "three"]);
    hashed.remove(&["absent"]).unwrap();
    hashed.remove(&["three"]).unwrap();
    hashed.add(&["three"], b"new").unwrap();
    hashed.hash().unwrap();
    assert_eq!(names(&hashed), ["@", "one", "three"]);
    let mut again = listed.settled().unwrap();
    again.add(&["y"], b"").unwrap();
    again.remove(&["y"]).unwrap();
    assert_eq!(again.length(&[]).unwrap(), 3);
    assert_eq!(names(&again), ["@", "three", "one"]);
}

#[test]
fn writing_what_is_there_changes_nothing() {
    let mut tree = Tree::empty();
    for name in ["three", "@", "one"] {
        tree.add(&["d", name], name.as_bytes()).unwrap();
    }
    let mut tree = tree.settled().unwrap();
    tree.add(&["d", "one"], b"one").unwrap();
    let part = tree.find_tree(&["d"]).unwrap().unwrap();
    tree.add_tree(&["d"], &part).unwrap();
    tree.add_tree(&["e"], &Tree::empty()).unwrap();
    tree.remove(&["e", "f"]).unwrap();
    let dir = tree.find_tree(&["d"]).unwrap().unwrap();
    assert_eq!(names(&dir), ["@", "three", "one"]);
}

#[test]
fn empty_directories_do_not_survive() {
    let mut tree = Tree::empty();
    tree.add(&["a", "b", "c"], b"1").unwrap();
    tree.remove(&["a", "b", "c"]).unwrap();
    assert!(tree.is_empty().unwrap());
    tree.add(&["a", "b"], b"1").unwrap();
    tree.add_tree(&["a", "b"], &Tree::empty()).unwrap();
    assert_eq!(tree.hash().unwrap(), Tree::empty().hash().unwrap());
}

#[test]
fn very_deep_trees_hash_and_drop() {
    let mut tree = Tree::value(*b"leaf");
    for _ in 0..200_000 {
        tree = Tree::directory([("d", tree)]).unwrap();
    }
    let copy = tree.clone();
    tree.hash().unwrap();
    drop(tree);
    drop(copy);
}

/// When records are built does not show.
#[test]
fn large_directories_take_changes_before_and_after_hashing() {
    let mut tree = Tree::empty();
    let mut snapshots = Vec::new();
    for number in 0..3000_u32 {
        tree.add(&["d", &(number % 1700).to_string()], &number.to_be_bytes())
            .unwrap();
        if number % 3 == 0 {
            tree.remove(&["d", &(number / 2).to_string()]).unwrap();
        }
        if number % 700 == 0 {
            snapshots.push(tree.clone());
        }
        if number == 2000 {
            tree.hash().unwrap();
        }
    }
    snapshots.push(tree);
    for tree in snapshots {
        let listed = tree.list(&["d"], 0, None).unwrap();
        assert!(listed.is_sorted_by(|(a, _), (b, _)| a < b));
        assert_eq!(tree.length(&["d"]).unwrap(), listed.len());
        let again = Tree::directory([("d", Tree::directory(listed).unwrap())]).unwrap();
        assert_eq!(again.hash().unwrap(), tree.hash().unwrap());
    }
}
