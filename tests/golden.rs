//! Every vector under `../shared/vectors` is replayed by the product's own `check`; one that no
//! test uses is a failure. Without that folder (a plain clone) there is nothing to replay here:
//! `tests/data` carries golden files of our own.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use watchtower::check::LeftOut;

/// What the machine deliberately does otherwise than the WebAssembly standard, with the number of
/// script directives it concerns. Everything else in the scripts holds, on the exact machine and in
/// run mode.
const OTHERWISE: &[(LeftOut, usize)] = &[
    // A float type or instruction anywhere is an error of decoding, so nothing of such a module
    // can be asked: `Binary_exn.Floating_point`, `allow_floats:false` in `wasm_vm.ml`.
    (LeftOut::Floats, 3196),
    // `wasm_vm.ml` never calls `Valid.check_module`: ill-typed code fails where it runs, or not.
    (LeftOut::NotValidated, 1423),
    // Malformed text is a matter of the text parser; the machine is given binaries.
    (LeftOut::TextForm, 466),
    // Imports are host functions only; tables, memories and globals lie by value in an instance.
    (LeftOut::Shared, 90),
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
    let replayed: Vec<_> = all.iter().filter(|path| !listed(INPUTS, path)).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let failures = std::sync::Mutex::new(Vec::new());
    let otherwise = std::sync::Mutex::new(BTreeMap::<LeftOut, usize>::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(path) =
                    replayed.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    match watchtower::check::run(path) {
                        Ok(checked) => {
                            let mut otherwise = otherwise.lock().unwrap();
                            for (reason, count) in checked.left_out {
                                *otherwise.entry(reason).or_default() += count;
                            }
                        }
                        Err(error) => {
                            let failure = format!("{}: {error}", path.display());
                            failures.lock().unwrap().push(failure);
                        }
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
    let listed: BTreeMap<_, _> = OTHERWISE.iter().copied().collect();
    assert_eq!(otherwise.into_inner().unwrap(), listed);
}
