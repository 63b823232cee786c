//! Tree proofs: what decodes encodes back to the same bytes; checking one never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use watchtower::merkle::Proof;

fuzz_target!(|bytes: &[u8]| {
    let Ok(proof) = Proof::decode(bytes) else {
        return;
    };
    let again = proof.encode().expect("what was decoded fits its own form");
    assert_eq!(again, bytes);
    let _ = proof.verify(|tree| tree.find(&["wasm", "tag"]).map(|_| ()));
});
