//! What several benches begin with.

/// Adds up and writes 16 MiB of memory, so many rounds.
const MEMORY_LOOP: &str = r#"(module
    (memory (export "memory") 256)
    (func (export "kernel_run") (local $i i32) (local $sum i64) (local $round i32)
        (loop $again
            (local.set $i (i32.const 0))
            (loop $l
                (local.set $sum (i64.add (local.get $sum)
                    (i64.xor (i64.load (local.get $i)) (i64.extend_i32_u (local.get $i)))))
                (i64.store (local.get $i) (local.get $sum))
                (local.set $i (i32.add (local.get $i) (i32.const 8)))
                (br_if $l (i32.lt_u (local.get $i) (i32.const 16777216))))
            (local.set $round (i32.add (local.get $round) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $round) (i32.const ROUNDS))))))"#;

/// The binary of the loop over memory: some 29,360,000 ticks a round.
pub(crate) fn memory_loop(rounds: u32) -> Vec<u8> {
    let text = MEMORY_LOOP.replace("ROUNDS", &rounds.to_string());
    let buffer = wast::parser::ParseBuffer::new(&text).expect("text");
    let mut wat = wast::parser::parse::<wast::Wat<'_>>(&buffer).expect("a module");
    wat.encode().expect("a module")
}
