//! What kernels and stored states can feed the machine: keys, reveal requests, stuck states.
#![no_main]

use libfuzzer_sys::fuzz_target;
use watchtower::codec::Reader;
use watchtower::pvm::{Key, Request, Stuck};

fuzz_target!(|bytes: &[u8]| {
    let _ = Key::parse(bytes);
    let _ = Request::decode(bytes);
    let _ = Stuck::read(&mut Reader::new(bytes));
});
