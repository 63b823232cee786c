//! Every vector under `../shared/vectors` is replayed by the product's own `check`; one that no
//! test uses is a failure. Without that folder (a plain clone) there is nothing to replay here:
//! `tests/data` carries golden files of our own.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

use std::path::{Path, PathBuf};

/// Vectors whose subject is not built yet, as path fragments. It only ever gets shorter.
const PENDING: &[&str] = &[
    // The scripts take long invocations: they wait for run mode to take arguments.
    "wasm-spec/",
    // A listing of path templates inside runs, whose leaves the deltas and dumps already compare.
    "oracle/layout_paths",
];

/// Files that other vectors refer to, used through those; and descriptions.
const INPUTS: &[&str] = &["README.md", "kernels/", "messages/"];

fn vectors() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors");
    folder.is_dir().then_some(folder)
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            files(&entry, found)
        } else {
            found.push(entry)
        }
    }
}

fn listed(list: &[&str], path: &Path) -> bool {
    let text = path.to_string_lossy();
    list.iter().any(|part| text.contains(part))
}

#[test]
fn every_vector_is_equal_and_none_is_unused() {
    let Some(folder) = vectors() else { return };
    let mut all = Vec::new();
    files(&folder, &mut all);
    let replayed: Vec<_> = all
        .iter()
        .filter(|path| !listed(INPUTS, path) && !listed(PENDING, path))
        .collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let failures = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(path) =
                    replayed.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    if let Err(error) = watchtower::check::run(path) {
                        failures
                            .lock()
                            .unwrap()
                            .push(format!("{}: {error}", path.display()));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} of {} files:\n{}",
        failures.len(),
        replayed.len(),
        failures.join("\n")
    );
}

#[test]
fn the_pending_list_names_only_vectors_that_exist() {
    let Some(folder) = vectors() else { return };
    let mut all = Vec::new();
    files(&folder, &mut all);
    for part in PENDING {
        assert!(
            all.iter().any(|path| path.to_string_lossy().contains(part)),
            "{part} matches no vector"
        );
    }
}
