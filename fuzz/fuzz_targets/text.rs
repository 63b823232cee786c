//! Identifiers: what parses prints back to the same text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use watchtower::crypto::Prefix;

fuzz_target!(|text: &str| {
    for prefix in Prefix::ALL {
        if let Ok(payload) = prefix.decode(text) {
            assert_eq!(prefix.encode(&payload), text);
        }
    }
});
