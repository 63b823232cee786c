//! The context tree at the size of a large rollup: building, hashing, storing, reading.

use std::sync::{Mutex, OnceLock};

use divan::{Bencher, black_box};
use tempfile::TempDir;
use watchtower::merkle::{Bytes, Options, Store, Tree};

fn main() {
    divan::main();
    // The store promises a bounded memory: run with the filter `store` to see it alone.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM"));
    println!("peak memory: {}", peak.unwrap_or("unknown"));
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

/// A store that a state of one gigabyte grew in, and that state.
struct Grown {
    store: Store,
    tree: Mutex<Tree>,
    _folder: TempDir,
}

fn grown() -> &'static Grown {
    static GROWN: OnceLock<Grown> = OnceLock::new();
    GROWN.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let store = Store::open(folder.path(), Options::default()).expect("a new store");
        let mut tree = Tree::empty();
        for number in 0..CHUNKS {
            let mut chunk = [0; 512];
            chunk[..4].copy_from_slice(&number.to_be_bytes());
            tree.add(&[&number.to_string()], &chunk)
                .expect("a tree in memory");
            if number % 50_000 == 49_999 {
                tree = store.commit(&tree).expect("space on disk");
            }
        }
        println!("store of {} bytes", store.size().bytes);
        Grown {
            store,
            tree: Mutex::new(tree),
            _folder: folder,
        }
    })
}

#[divan::bench(sample_count = 20)]
fn store_commit_after_a_thousand_changes(bencher: Bencher) {
    let grown = grown();
    let mut round = 0;
    bencher.bench_local(|| {
        let mut tree = grown.tree.lock().expect("no panic before");
        round += 1;
        change(&mut tree, round, 1000);
        *tree = grown.store.commit(&tree).expect("space on disk");
    });
}

#[divan::bench(sample_count = 20)]
fn store_a_thousand_random_reads(bencher: Bencher) {
    let grown = grown();
    let mut next = 1_u32;
    bencher.bench_local(|| {
        let tree = grown.tree.lock().expect("no panic before");
        for _ in 0..1000 {
            next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let chunk = (next % CHUNKS).to_string();
            black_box(tree.find(&[&chunk]).expect("a whole store"));
        }
    });
}
