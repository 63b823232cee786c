//! Proofs of ticks whose state is anything at all: who makes a proof chooses what it shows, and the
//! judge has to step it. The hash of what is shown is put in, since guessing it is not the point.
#![no_main]

use libfuzzer_sys::fuzz_target;
use watchtower::merkle::{KindedHash, Proof};
use watchtower::protocol::Level;
use watchtower::pvm::InputInfo;
use watchtower::pvm::slow::{Input, last_level, verify};

/// Where the hash of the state before stands, and the bit that tells its kind.
const BEFORE: std::ops::Range<usize> = 3..35;
const IS_NODE: u8 = 1;

fn consistent(proof: &Proof) -> Option<Proof> {
    let hash = proof.state_hash().ok()?;
    let mut bytes = proof.encode().ok()?;
    bytes[BEFORE].copy_from_slice(&hash.hash().0);
    bytes[0] &= !IS_NODE;
    bytes[0] |= u8::from(matches!(hash, KindedHash::Node(_)));
    Proof::decode(&bytes).ok()
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&given, bytes)) = bytes.split_first() else {
        return;
    };
    let Some(proof) = Proof::decode(bytes).ok().as_ref().and_then(consistent) else {
        return;
    };
    let input = match given % 3 {
        0 => Input::None,
        1 => Input::Message {
            info: InputInfo {
                level: Level::new(7),
                counter: 3,
            },
            payload: vec![1; usize::from(given)],
        },
        _ => Input::Revealed(vec![given; usize::from(given)]),
    };
    let _ = last_level(&proof);
    let _ = verify(&proof, &input);
});
