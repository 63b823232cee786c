//! What kernels, stored states and saved work can feed the machine: keys, reveal requests, stuck
//! states, compiled modules.
#![no_main]

use libfuzzer_sys::fuzz_target;
use watchtower::codec::Reader;
use watchtower::pvm::{Key, Request, Stuck};
use watchtower::wasm::run::Compiled;

fuzz_target!(|bytes: &[u8]| {
    let _ = Key::parse(bytes);
    let _ = Request::decode(bytes);
    let _ = Compiled::from_bytes(bytes);
    let _ = Stuck::read(&mut Reader::new(bytes));
});
