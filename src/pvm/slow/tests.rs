//! Start functions that take long, which run natively inside of initialisation.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::*;
use crate::crypto::Hash;
use crate::protocol::PvmVersion;
use crate::pvm::{
    Declined, Environment, MetadataAlone, NotJudgeable, Phase, ReferenceEngine, RunError, Running,
    State, Stuck, tests,
};
use crate::wasm::testing::binary;

/// A kernel whose start function writes so many numbers and then does `then`.
fn kernel(rounds: u32, then: &str) -> Vec<u8> {
    binary(&format!(
        r#"(module
        (import "smart_rollup_core" "write_debug" (func $debug (param i32 i32)))
        (import "smart_rollup_core" "reveal_metadata" (func $reveal (param i32 i32) (result i32)))
        (memory (export "mem") 1)
        (global $done (mut i32) (i32.const 0))
        (func $start (local $i i32)
            (loop $again
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (i32.store (i32.and (i32.mul (local.get $i) (i32.const 4)) (i32.const 0xfffc)) (local.get $i))
                (br_if $again (i32.lt_u (local.get $i) (i32.const {rounds}))))
            (global.set $done (local.get $i))
            {then})
        (start $start)
        (func (export "kernel_run")
            (i32.store (i32.const 0) (i32.add (global.get $done) (i32.load (i32.const 400))))))"#
    ))
}

/// The kernel, about to run in a period of so many ticks.
fn about_to_run(kernel: &[u8], period: u64) -> State {
    tests::about_to_run(PvmVersion::V5, kernel, period)
}

fn environment() -> Environment {
    Environment::without_fast(Arc::new(MetadataAlone([7; 24])))
}

/// Single ticks to the end of the run: hashes of the states that are asked for, and the last.
fn singly(start: &State, wanted: impl Fn(&Machine) -> bool) -> (Vec<(u128, Hash)>, Machine) {
    let mut machine = Machine::new(start.clone()).unwrap();
    let mut hashes = Vec::new();
    loop {
        if wanted(&machine) {
            hashes.push((machine.state().current_tick, machine.hash().unwrap()));
        }
        match machine.state().phase {
            Phase::Padding | Phase::Stuck(_) => return (hashes, machine),
            _ => machine.tick().unwrap(),
        };
    }
}

fn stuck(phase: &Phase) -> Option<Stuck> {
    match phase {
        Phase::Stuck(error) => Some(error.clone()),
        _ => None,
    }
}

/// Run mode from the state to the end, in one pass with hashes on the way and in one alone.
#[track_caller]
fn same_as_single_ticks(start: &State) -> Option<Stuck> {
    let mut seen = (0, "");
    let wanted = std::cell::RefCell::new(&mut seen);
    // All states about a change of the phase, and one in many others.
    let (hashes, last) = singly(start, |machine| {
        let mut seen = wanted.borrow_mut();
        let tag = machine.state().phase.tag();
        if tag != seen.1 {
            **seen = (0, tag);
        }
        seen.0 += 1;
        seen.0 < 4 || seen.0 % 9_973 == 0
    });
    let environment = environment();
    let mut course = Course::new(start.clone(), &environment, Purpose::Hashes).unwrap();
    for (tick, hash) in hashes {
        course.advance(tick, &environment).unwrap();
        assert_eq!(course.hash(&environment).unwrap(), hash, "tick {tick}");
        course = course.folded().unwrap();
    }
    for purpose in [Purpose::Reach, Purpose::Hashes] {
        let mut course = Course::new(start.clone(), &environment, purpose).unwrap();
        course.finish_run(u128::MAX, &environment).unwrap();
        assert_eq!(course.tick(), last.state().current_tick);
        assert_eq!(stuck(course.phase()), stuck(&last.state().phase));
        let hash = course.hash(&environment).unwrap();
        assert_eq!(hash, last.clone().hash().unwrap());
    }
    stuck(&last.state().phase)
}

#[test]
fn long_start_functions_run_natively_to_the_same_states() {
    let period = 1_000_000;
    let returned = about_to_run(&kernel(1_600, ""), period);
    assert_eq!(same_as_single_ticks(&returned), None);
    for (then, expected) in [
        ("unreachable", "unreachable executed"),
        (
            "(call $debug (i32.const 0) (i32.const 1))",
            "host functions must not access memory during initialisation",
        ),
        (
            "(drop (call $reveal (i32.const 0) (i32.const 24)))",
            "Invoke_step: The reveal tick cannot be evaluated as is",
        ),
    ] {
        let Some(Stuck::InitError(error)) =
            same_as_single_ticks(&about_to_run(&kernel(1_600, then), period))
        else {
            panic!("{then} ends otherwise");
        };
        assert_eq!(error.explanation.unwrap().to_string(), expected);
    }
    // The period ends in the middle.
    let cut = about_to_run(&kernel(100_000_000, ""), 150_000);
    assert_eq!(same_as_single_ticks(&cut), Some(Stuck::TooManyTicks));
}

#[test]
fn an_endless_start_function_is_given_up_and_stops_by_the_signal() {
    let start = about_to_run(&kernel(u32::MAX, ""), 50_000_000_000_000);
    let environment = environment();
    let engine = SlowEngine {
        max_ticks: 3_000_000,
    };
    let ended = engine.run(&start, &Declined::NotBuilt, &environment);
    assert!(matches!(
        ended,
        Err(RunError::NotJudgeable(NotJudgeable::TooLong(3_000_000)))
    ));
    let mut course = Course::new(start.clone(), &environment, Purpose::Reach).unwrap();
    let begun = course.tick();
    course.advance(begun + 2_000_000, &environment).unwrap();
    assert!(matches!(course.phase(), Phase::Running(Running::Init, _)));
    environment.interrupt.store(true, Ordering::Relaxed);
    assert!(matches!(
        course.advance(begun + 4_000_000, &environment),
        Err(RunError::NotJudgeable(NotJudgeable::Interrupted))
    ));
}

/// The proof of the first tick that calls this host function, in the kernel that does so.
fn proof_of_call(name: &str, call: &str) -> crate::merkle::Proof {
    let kernel = binary(&format!(
        r#"(module
        (import "smart_rollup_core" "write_debug" (func $write_debug (param i32 i32)))
        (import "smart_rollup_core" "write_output" (func $write_output (param i32 i32) (result i32)))
        (import "smart_rollup_core" "store_write"
            (func $store_write (param i32 i32 i32 i32 i32) (result i32)))
        (import "smart_rollup_core" "store_get_nth_key"
            (func $store_get_nth_key (param i32 i32 i64 i32 i32) (result i32)))
        (memory (export "mem") 1)
        (data (i32.const 0) "/many/key_a")
        (data (i32.const 65500) "SEEN BY THE CALL")
        (func (export "kernel_run") (local $i i32)
            (loop $again
                (i32.store8 (i32.const 10) (i32.add (local.get $i) (i32.const 97)))
                (drop (call $store_write
                    (i32.const 0) (i32.const 11) (i32.const 0) (i32.const 10) (i32.const 1)))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (i32.const 20))))
            (block {call})))"#
    ));
    let environment = environment();
    let start = about_to_run(&kernel, 1_000_000);
    let mut course = Course::new(start, &environment, Purpose::Hashes).unwrap();
    course.advance(course.tick() + 1, &environment).unwrap();
    let begins = course.evaluation_begins().unwrap().unwrap();
    course.advance(begins, &environment).unwrap();
    let mut machine = course.exact(&environment).unwrap().clone();
    while machine.calls() != Some(name) {
        assert!(
            !matches!(machine.state().phase, Phase::Padding),
            "no call of {name}"
        );
        machine.tick().unwrap();
    }
    let tree = machine
        .encode(crate::wasm::encoding::Style::Changed)
        .unwrap()
        .settled()
        .unwrap();
    let proof = prove(&tree, &Input::None).unwrap().proof;
    verify(&proof, &Input::None).unwrap();
    proof
}

fn shows(proof: &crate::merkle::Proof, bytes: &[u8]) -> bool {
    let proof = proof.encode().unwrap();
    proof.windows(bytes.len()).any(|window| window == bytes)
}

/// `guard` and `load_bytes` of `host_funcs.ml` and `partial_memory.ml`: all bytes are loaded, in the
/// order of their addresses, before the failure of those outside counts.
#[test]
fn a_read_that_leaves_memory_shows_what_it_read() {
    let call = "(drop (call $write_output (i32.const 65490) (i32.const 100)))";
    assert!(shows(
        &proof_of_call("tezos_write_output", call),
        b"SEEN BY THE CALL"
    ));
    let outside = "(drop (call $write_output (i32.const 65536) (i32.const 100)))";
    assert!(!shows(
        &proof_of_call("tezos_write_output", outside),
        b"SEEN BY THE CALL"
    ));
}

/// `write_debug_impl` of `host_funcs.ml` does not look at memory.
#[test]
fn a_proof_of_printing_shows_no_memory() {
    let call = "(call $write_debug (i32.const 65500) (i32.const 16))";
    assert!(!shows(
        &proof_of_call("tezos_write_debug", call),
        b"SEEN BY THE CALL"
    ));
}

/// `subtree_name_at` of `durable.ml` lists one entry: what lies behind it is not read.
#[test]
fn a_proof_of_the_first_key_does_not_show_all_keys() {
    let call = "(drop (call $store_get_nth_key (i32.const 0) (i32.const 5) (i64.const 0)
        (i32.const 100) (i32.const 9)))";
    let proof = proof_of_call("tezos_store_get_nth_key_list", call)
        .encode()
        .unwrap();
    let names = proof.windows(4).filter(|window| window == b"key_").count();
    // One is in memory, the others are about the path to the first.
    assert!((1..8).contains(&names), "{names} of 20 names");
}

/// `maybe_activate_nds` of `wasm_vm.ml` looks at no key while its feature is off: the proof of the
/// end of a period is as long from version 6 on as before.
#[test]
fn the_end_of_a_period_shows_no_request_for_a_second_storage() {
    let length = |version: PvmVersion| {
        let mut state = tests::loaded(version, b"kernel", 1_000);
        for name in 0..40 {
            let key = format!("/kernel/env/{name}").parse().unwrap();
            state.durable.set(&key, b"beside it").unwrap();
        }
        let tree = state.encode().unwrap().settled().unwrap();
        let proof = prove(&tree, &Input::None).unwrap().proof;
        proof.encode().unwrap().len()
    };
    assert_eq!(length(PvmVersion::V5), length(PvmVersion::V6));
}
