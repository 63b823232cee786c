//! The context tree at the size of a large rollup: building, hashing, storing, reading.

use divan::{Bencher, black_box};
use watchtower::merkle::{Bytes, Tree};

fn main() {
    divan::main();
}

const LEAVES: u32 = 1_000_000;
/// 512-byte chunks of one gigabyte.
const CHUNKS: u32 = 2_000_000;

fn added(leaves: u32) -> Tree {
    let mut tree = Tree::empty();
    for number in 0..leaves {
        tree.add(
            &["durable", "contents", &number.to_string()],
            &number.to_be_bytes(),
        )
        .expect("a tree in memory");
    }
    tree
}

fn at_once(leaves: u32) -> Tree {
    let entries = (0..leaves).map(|number| (number.to_string(), Tree::value(number.to_be_bytes())));
    Tree::directory(entries).expect("a tree in memory")
}

/// A state of one gigabyte. Equal chunks keep the bench itself small; they are hashed all the same.
fn gigabyte() -> Tree {
    let chunk: Bytes = [7; 512].into();
    let entries = (0..CHUNKS).map(|number| (number.to_string(), Tree::value(chunk.clone())));
    let tree = Tree::directory(entries).expect("a tree in memory");
    tree.hash().expect("a tree in memory");
    tree
}

fn change(tree: &mut Tree, round: u32, changes: u32) {
    for number in 0..changes {
        let chunk = (round * changes + number) * 7919 % CHUNKS;
        let mut bytes = [3; 512];
        bytes[..4].copy_from_slice(&round.to_be_bytes());
        tree.add(&[&chunk.to_string()], &bytes)
            .expect("a tree in memory");
    }
}

#[divan::bench(sample_count = 3)]
fn add_a_million_leaves(bencher: Bencher) {
    bencher.bench_local(|| added(black_box(LEAVES)));
}

#[divan::bench(sample_count = 3)]
fn build_a_million_leaves_at_once(bencher: Bencher) {
    bencher.bench_local(|| at_once(black_box(LEAVES)));
}

#[divan::bench(sample_count = 3)]
fn hash_a_million_leaves(bencher: Bencher) {
    bencher
        .with_inputs(|| at_once(LEAVES))
        .bench_local_refs(|tree| tree.hash().expect("a tree in memory"));
}

#[divan::bench(sample_count = 10)]
fn change_and_hash_a_thousand_chunks_of_a_gigabyte(bencher: Bencher) {
    let mut tree = gigabyte();
    let mut round = 0;
    bencher.bench_local(|| {
        round += 1;
        change(&mut tree, round, 1000);
        tree.hash().expect("a tree in memory")
    });
}

#[divan::bench(sample_count = 10)]
fn the_same_with_a_snapshot_kept(bencher: Bencher) {
    let mut tree = gigabyte();
    let mut round = 0;
    bencher.bench_local(|| {
        let snapshot = tree.clone();
        round += 1;
        change(&mut tree, round, 1000);
        tree.hash().expect("a tree in memory");
        snapshot
    });
}
