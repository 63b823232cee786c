//! Micheline: what decodes encodes back to the same bytes, and its JSON means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use watchtower::codec::{Micheline, Reader, Writer};

fuzz_target!(|bytes: &[u8]| {
    let mut reader = Reader::new(bytes);
    let Ok(value) = Micheline::read(&mut reader) else {
        return;
    };
    let mut writer = Writer::new();
    value.write(&mut writer);
    // Annotations may be there and empty: the shorter form is written.
    let again = writer.into_bytes();
    assert!(again.len() <= reader.offset());
    assert_eq!(Micheline::read(&mut Reader::new(&again)), Ok(value));
});
