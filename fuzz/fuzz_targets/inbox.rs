//! Inbox messages and inbox proofs: what decodes encodes back to the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use watchtower::inbox::{InboxProof, Message};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = Message::parse(bytes) {
        let again = message
            .serialize()
            .expect("what was parsed is within the limit");
        // As in the protocol, an expression may be longer than it has to be.
        assert_eq!(Message::parse(&again), Ok(message));
    }
    if let Ok(proof) = InboxProof::from_bytes(bytes) {
        assert_eq!(proof.to_bytes(), bytes);
    }
});
