//! The kernels of `contrib/kernels` as committed: their bytes match their checksums and they use
//! nothing that the PVM refuses.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

use std::path::Path;

use watchtower::crypto::blake2b;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/kernels")
}

#[test]
fn committed_bytes_match_their_checksums() {
    let sums = std::fs::read_to_string(folder().join("B2SUMS")).unwrap();
    let mut named = 0;
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        let bytes = std::fs::read(folder().join(name)).unwrap();
        assert_eq!(blake2b(&bytes).to_string(), sum, "{name}");
        named += 1;
    }
    let kernels = std::fs::read_dir(folder()).unwrap().filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .path()
            .extension()
            .is_some_and(|extension| extension == "wasm")
    });
    assert_eq!(kernels.count(), named, "every kernel has a checksum");
}

#[test]
fn kernels_validate_without_floats() {
    use wasmparser::{Validator, WasmFeatures};
    let plain = WasmFeatures::MUTABLE_GLOBAL;
    let extended = plain | WasmFeatures::SIGN_EXTENSION | WasmFeatures::BULK_MEMORY;
    for (name, features) in [
        ("commander", plain),
        ("commander-second", plain),
        ("commander-extended", extended),
    ] {
        let bytes = std::fs::read(folder().join(name).with_extension("wasm")).unwrap();
        Validator::new_with_features(features)
            .validate_all(&bytes)
            .unwrap();
        if features != plain {
            assert!(
                Validator::new_with_features(plain)
                    .validate_all(&bytes)
                    .is_err(),
                "{name} should need more"
            );
        }
    }
}
