//! What a store keeps, through every kind of end and every kind of damage.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use proptest::prelude::*;

use super::{Options, Size, Store, StoreError};
use crate::crypto::Hash;
use crate::merkle::{Proof, Tree, TreeError};

fn open(folder: &Path) -> Result<Store, StoreError> {
    Store::open(
        folder,
        Options {
            cache_bytes: 1 << 16,
        },
    )
}

/// A tree with small and large directories, chunks, long values and nesting.
fn sample(seed: u8) -> Tree {
    let mut tree = Tree::empty();
    for number in 0..20_u8 {
        tree.add(&["chunks", &number.to_string()], &[seed ^ number; 512])
            .unwrap();
        tree.add(&["d", "e", &number.to_string(), "tag"], &[number])
            .unwrap();
    }
    tree.add(&["long"], &vec![seed; 5000]).unwrap();
    tree.add(&["d", "empty value"], b"").unwrap();
    tree
}

/// Every leaf, as path and bytes.
fn leaves(tree: &Tree) -> Result<Vec<(String, Vec<u8>)>, TreeError> {
    fn walk(tree: &Tree, path: &str, found: &mut Vec<(String, Vec<u8>)>) -> Result<(), TreeError> {
        if let Some(value) = tree.find(&[])? {
            found.push((path.to_owned(), value.to_vec()));
        }
        for (name, below) in tree.list(&[], 0, None)? {
            walk(&below, &format!("{path}/{name}"), found)?;
        }
        Ok(())
    }
    let mut found = Vec::new();
    walk(tree, "", &mut found)?;
    found.sort();
    Ok(found)
}

fn assert_same(one: &Tree, other: &Tree) {
    assert_eq!(one.hash().unwrap(), other.hash().unwrap());
    assert_eq!(leaves(one).unwrap(), leaves(other).unwrap());
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_commit_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (sample(1), sample(2));
    {
        let store = open(folder.path()).unwrap();
        let clean = store.commit(&first).unwrap();
        assert_same(&clean, &first);
        assert_same(&store.commit(&second).unwrap(), &second);
    }
    let store = open(folder.path()).unwrap();
    let hashes = [first.hash().unwrap(), second.hash().unwrap()];
    assert_eq!(store.roots(), hashes);
    assert_same(&store.checkout(&hashes[0]).unwrap(), &first);
    assert_same(&store.checkout(&hashes[1]).unwrap(), &second);
    let unknown = store.checkout(&Hash([9; 32]));
    assert!(matches!(unknown, Err(StoreError::UnknownRoot { .. })));
    assert!(matches!(
        store.commit(&Tree::empty()),
        Err(StoreError::NotADirectory)
    ));
}

#[test]
fn a_commit_costs_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let mut tree = Tree::empty();
    for number in 0..2000 {
        tree.add(&["c", &number.to_string()], &[1; 512]).unwrap();
    }
    let mut clean = store.commit(&tree).unwrap();
    let whole = store.size().bytes;
    assert!(whole > 2000 * 512);
    clean.add(&["c", "77"], &[2; 512]).unwrap();
    tree.add(&["c", "77"], &[2; 512]).unwrap();
    let again = store.commit(&clean).unwrap();
    assert_eq!(again.hash().unwrap(), tree.hash().unwrap());
    let grown = store.size().bytes - whole;
    assert!(grown < 4000, "one chunk took {grown} bytes");
    store.commit(&again).unwrap();
    assert_eq!(
        store.size(),
        Size {
            bytes: whole + grown,
            roots: 2
        }
    );
    let part = again.find_tree(&["c"]).unwrap().unwrap();
    store.commit(&part).unwrap();
    assert_eq!(store.size().bytes, whole + grown, "a part is there already");
}

#[test]
fn stored_trees_list_and_prove_as_committed_ones() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let tree = sample(5);
    let clean = store.commit(&tree).unwrap();
    let names = |tree: &Tree| -> Vec<String> {
        let list = tree.list(&["chunks"], 3, Some(9)).unwrap();
        list.into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(&clean), names(&tree.settled().unwrap()));
    let step = |tree: &mut Tree| -> Result<(), TreeError> {
        tree.find(&["chunks", "3"])?;
        tree.remove(&["d", "e", "4", "tag"])?;
        tree.list(&["d", "e"], 2, Some(3))?;
        tree.add(&["chunks", "new"], b"value")
    };
    let (one, _) = Proof::produce(&tree, step).unwrap();
    let (two, _) = Proof::produce(&clean, step).unwrap();
    assert_eq!(one, two);
}

#[test]
fn one_writer_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let second = open(folder.path());
    assert!(matches!(second, Err(StoreError::Locked { .. })));
    drop(store);
    open(folder.path()).unwrap();
}

/// Whatever the last commit left behind when the process died, the one before is whole.
#[test]
fn every_cut_of_the_tail_leaves_a_whole_root() {
    let folder = tempfile::tempdir().unwrap();
    let (first, mut second) = (sample(1), sample(1));
    second.add(&["d", "e", "7", "tag"], b"changed").unwrap();
    let store = open(folder.path()).unwrap();
    let clean = store.commit(&first).unwrap();
    let (nodes, roots) = (folder.path().join("nodes.0"), folder.path().join("roots.0"));
    let before = [&nodes, &roots].map(|path| fs::metadata(path).unwrap().len());
    let mut changed = clean;
    changed.add(&["d", "e", "7", "tag"], b"changed").unwrap();
    store.commit(&changed).unwrap();
    drop(store);
    let whole = [&nodes, &roots].map(|path| fs::read(path).unwrap());
    let check = |nodes_length: usize, roots_length: usize| {
        fs::write(&nodes, &whole[0][..nodes_length]).unwrap();
        fs::write(&roots, &whole[1][..roots_length]).unwrap();
        let store = open(folder.path()).unwrap();
        let last = *store.roots().last().unwrap();
        let is_whole = nodes_length == whole[0].len() && roots_length == whole[1].len();
        let expected = if is_whole { &second } else { &first };
        assert_same(&store.checkout(&last).unwrap(), expected);
        if !nodes_length.is_multiple_of(41) {
            return;
        }
        let mut again = store.checkout(&first.hash().unwrap()).unwrap();
        again.add(&["d", "e", "7", "tag"], b"changed").unwrap();
        assert_same(&store.commit(&again).unwrap(), &second);
    };
    for cut in before[0] as usize..=whole[0].len() {
        check(cut, whole[1].len());
        if cut.is_multiple_of(9) {
            check(cut, before[1] as usize);
        }
    }
    for cut in before[1] as usize..=whole[1].len() {
        check(whole[0].len(), cut);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_store_is_a_tree_that_lasts(
        steps in proptest::collection::vec((0..6_u8, 0..12_u8, 0..12_u8, 0..40_usize), 0..60),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(folder.path()).unwrap();
        let (mut stored, mut plain) = (Tree::empty(), Tree::empty());
        for (step, a, b, size) in &steps {
            let (a, b) = (a.to_string(), b.to_string());
            match step {
                0..3 => for tree in [&mut stored, &mut plain] {
                    tree.add(&[&a, &b], &vec![*size as u8; size * size]).unwrap();
                },
                3 => for tree in [&mut stored, &mut plain] {
                    tree.remove(&[&a, &b]).unwrap();
                },
                4 if !plain.is_empty().unwrap() => {
                    stored = store.commit(&stored).unwrap();
                    if size % 3 == 0 {
                        store.prune(&[stored.hash().unwrap()]).unwrap();
                    }
                }
                5 => if let Some(last) = store.roots().last() {
                    drop(store);
                    store = open(folder.path()).unwrap();
                    stored = store.checkout(last).unwrap();
                    plain = Tree::empty();
                    for (path, value) in leaves(&stored).unwrap() {
                        plain.add(&path.split('/').skip(1).collect::<Vec<_>>(), &value).unwrap();
                    }
                    prop_assert_eq!(stored.hash().unwrap(), *last);
                },
                _ => {}
            }
            prop_assert_eq!(stored.hash().unwrap(), plain.hash().unwrap());
        }
        prop_assert_eq!(leaves(&stored).unwrap(), leaves(&plain).unwrap());
    }
}

#[test]
fn pruning_keeps_exactly_what_is_reachable() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let mut tree = sample(0);
    let mut hashes = Vec::new();
    for number in 0..30_u8 {
        tree.add(&["chunks", &number.to_string()], &[number; 500])
            .unwrap();
        tree = store.commit(&tree).unwrap();
        hashes.push(tree.hash().unwrap());
    }
    let kept = [hashes[3], hashes[29]];
    let before: Vec<_> = kept
        .iter()
        .map(|hash| leaves(&store.checkout(hash).unwrap()).unwrap())
        .collect();
    let old = store.checkout(&hashes[10]).unwrap();
    let expected_old = leaves(&old).unwrap();
    store.prune(&kept).unwrap();
    assert_eq!(store.roots(), kept);
    let alone = tempfile::tempdir().unwrap();
    let fresh = open(alone.path()).unwrap();
    let mut copied = fresh.commit(&store.checkout(&kept[0]).unwrap()).unwrap();
    for number in 4..30_u8 {
        copied
            .add(&["chunks", &number.to_string()], &[number; 500])
            .unwrap();
    }
    fresh.commit(&copied).unwrap();
    assert_eq!(store.size().bytes, fresh.size().bytes);
    assert!(matches!(
        store.checkout(&hashes[10]),
        Err(StoreError::UnknownRoot { .. })
    ));
    assert_eq!(
        leaves(&old).unwrap(),
        expected_old,
        "trees checked out before stay readable"
    );
    let back = store.commit(&old).unwrap();
    assert_eq!(leaves(&back).unwrap(), expected_old);
    drop(store);
    let store = open(folder.path()).unwrap();
    for (hash, expected) in kept.iter().zip(before) {
        assert_eq!(leaves(&store.checkout(hash).unwrap()).unwrap(), expected);
    }
    let files: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(files.len(), 4, "{files:?}");
}

/// A prune that dies before the rename never happened; after it, only the old files are left over.
#[test]
fn an_interrupted_prune_is_undone_or_finished() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (sample(1), sample(2));
    let hashes = [first.hash().unwrap(), second.hash().unwrap()];
    let store = open(folder.path()).unwrap();
    store.commit(&first).unwrap();
    store.commit(&second).unwrap();
    let before = tempfile::tempdir().unwrap();
    copy_folder(folder.path(), before.path());
    store.prune(&hashes[1..]).unwrap();
    drop(store);
    let after = |name: &str| fs::read(folder.path().join(name)).unwrap();
    let parts = [("nodes.1", after("nodes.1")), ("roots.1", after("roots.1"))];
    let start = |files: &[(&str, Vec<u8>)]| {
        let scratch = tempfile::tempdir().unwrap();
        copy_folder(before.path(), scratch.path());
        for (name, bytes) in files {
            fs::write(scratch.path().join(name), bytes).unwrap();
        }
        let store = open(scratch.path()).unwrap();
        let roots = store.roots();
        assert_same(&store.checkout(&hashes[1]).unwrap(), &second);
        store.prune(&roots).unwrap();
        assert_same(&store.checkout(&hashes[1]).unwrap(), &second);
        roots
    };
    let half = parts
        .clone()
        .map(|(name, bytes)| (name, bytes[..bytes.len() / 2].to_vec()));
    assert_eq!(start(&half[..1]), hashes);
    assert_eq!(start(&half), hashes);
    assert_eq!(start(&parts), hashes);
    let mut named = parts.to_vec();
    named.push(("current.new", b"1\n".to_vec()));
    assert_eq!(start(&named), hashes);
    let mut renamed = parts.to_vec();
    renamed.push(("current", b"1\n".to_vec()));
    assert_eq!(start(&renamed), hashes[1..]);
}

#[test]
fn what_is_no_store_is_an_error_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).unwrap().commit(&sample(1)).unwrap();
    let path = folder.path().join("current");
    for text in ["", "one\n", "0"] {
        fs::write(&path, text).unwrap();
        let error = open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("rebuilt from the chain"), "{error}");
    }
    fs::remove_file(&path).unwrap();
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("missing beside records"), "{error}");
}

#[test]
fn very_deep_trees_are_stored() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let mut tree = Tree::value(*b"leaf");
    for _ in 0..20_000 {
        tree = Tree::directory([("d", tree)]).unwrap();
    }
    let clean = store.commit(&tree).unwrap();
    store.prune(&[clean.hash().unwrap()]).unwrap();
    let clean = store.checkout(&tree.hash().unwrap()).unwrap();
    assert_eq!(clean.length(&["d"; 900]).unwrap(), 1);
}

/// The files of a store with two commits, by name.
fn two_commits() -> &'static [(std::ffi::OsString, Vec<u8>)] {
    static FILES: OnceLock<Vec<(std::ffi::OsString, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).unwrap();
        store.commit(&sample(1)).unwrap();
        store.commit(&sample(2)).unwrap();
        let entries = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap());
        entries
            .map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap()))
            .collect()
    })
}

proptest! {
    /// A flipped bit is an error, or was in something that no longer counts.
    #[test]
    fn a_flipped_bit_never_gives_a_wrong_tree(place in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut files = two_commits().to_vec();
        let mut at = place.index(files.iter().map(|(_, bytes)| bytes.len()).sum());
        for (_, bytes) in &mut files {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << bit;
                break;
            }
            at -= bytes.len();
        }
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        if let Ok(store) = open(folder.path()) {
            for tree in [sample(1), sample(2)] {
                if let Ok(found) = store.checkout(&tree.hash().unwrap())
                    && let Ok(found) = leaves(&found)
                {
                    prop_assert_eq!(found, leaves(&tree).unwrap());
                }
            }
        }
    }
}
