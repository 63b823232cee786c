//! Keys, encrypted keys and signatures as text, and entries about operations: what parses prints
//! back to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use watchtower::crypto::{EncryptedKey, PublicKey, SecretKey, Signature};
use watchtower::operation::Entry;

fuzz_target!(|text: &str| {
    if let Ok(key) = text.parse::<EncryptedKey>() {
        let bare = text.trim().trim_start_matches("encrypted:");
        assert_eq!(key.to_string(), bare);
    }
    if let Ok(key) = text.parse::<PublicKey>() {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(signature) = text.parse::<Signature>() {
        assert_eq!(signature.to_string(), text);
    }
    if let Ok(entry) = Entry::from_json(text) {
        assert_eq!(Entry::from_json(&entry.to_json()), Ok(entry));
    }
    // Nothing to print back: it must only survive.
    let _ = text.parse::<SecretKey>();
});
