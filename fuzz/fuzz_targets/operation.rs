//! Signed operations of every era: what decodes encodes back to the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use watchtower::protocol::Protocol;
use watchtower::protocol::operation::{Form, SignedOperation};

fuzz_target!(|bytes: &[u8]| {
    let Some((&era, bytes)) = bytes.split_first() else {
        return;
    };
    let protocol = Protocol::ALL[usize::from(era) % Protocol::ALL.len()];
    let form = if era & 0x80 == 0 {
        Form::Modern(protocol)
    } else {
        Form::Scr1
    };
    // As in the protocol, some bytes are read as what has a shorter or a sorted form.
    if let Ok(operation) = SignedOperation::from_bytes(form, bytes) {
        let again = operation
            .to_bytes(form)
            .expect("what was read has this form");
        assert_eq!(SignedOperation::from_bytes(form, &again), Ok(operation));
    }
});
