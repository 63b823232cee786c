//! What the native engine runs, and what it leaves to the reference engine.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::*;
use crate::pvm::tests::about_to_run;
use crate::pvm::{MetadataAlone, NoReference};

pub(super) fn environment() -> Environment {
    Environment {
        reference: Arc::new(NoReference),
        ..Environment::without_fast(Arc::new(MetadataAlone([7; 24])))
    }
}

pub(super) fn assemble(text: &str) -> Vec<u8> {
    let buffer = wast::parser::ParseBuffer::new(text).unwrap();
    let mut module: wast::Wat = wast::parser::parse(&buffer).unwrap();
    module.encode().unwrap()
}

/// A state about to run this kernel.
pub(super) fn snapshot(version: PvmVersion, kernel: &[u8]) -> State {
    about_to_run(version, kernel, 50_000_000_000_000)
}

const HOST: &str = r#"
  (import "smart_rollup_core" "store_write" (func $write (param i32 i32 i32 i32 i32) (result i32)))
  (import "smart_rollup_core" "reveal_metadata" (func $metadata (param i32 i32) (result i32)))
  (import "smart_rollup_core" "reveal_preimage" (func $preimage (param i32 i32 i32 i32) (result i32)))
  (memory (export "mem") 1)
  (data (i32.const 0) "/a/b")
  (func $mark (drop (call $write (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 4))))
"#;

fn run_with(engine: &FastEngine, version: PvmVersion, body: &str) -> Result<Period, RunError> {
    let kernel = assemble(&format!("(module {HOST} {body})"));
    engine.run(&snapshot(version, &kernel), &environment())
}

fn run(body: &str) -> Result<Period, RunError> {
    let options = Options {
        cache: None,
        max_ticks: 3_000_000_000,
        max_host_calls: 10_000,
    };
    run_with(&FastEngine::new(options), PvmVersion::V6, body)
}

#[track_caller]
fn declined(body: &str) -> Declined {
    match run(body) {
        Err(RunError::Declined(declined)) => declined,
        other => panic!("{other:?}"),
    }
}

fn flags(period: &Period) -> (bool, bool) {
    let mut state = period.state.clone();
    let mark = "/a/b".parse().unwrap();
    (
        state.durable.get(&mark).unwrap().is_some(),
        state.durable.has(Key::STUCK).unwrap(),
    )
}

#[test]
fn a_run_that_returns_and_one_that_traps_both_end_their_period() {
    let returned = run(r#"(func (export "kernel_run") (call $mark))"#).unwrap();
    assert_eq!(flags(&returned), (true, false));
    assert_eq!(returned.state.ticks_left(), 0);
    for trap in [
        "unreachable",
        "(drop (i32.load (i32.const 0x10000)))",
        "(drop (i32.rem_u (i32.const 1) (i32.const 0)))",
        "(memory.fill (i32.const 0) (i32.const 0) (i32.const 0x10001))",
    ] {
        let body = format!(r#"(func (export "kernel_run") (call $mark) {trap})"#);
        assert_eq!(flags(&run(&body).unwrap()), (true, true), "{trap}");
    }
}

#[test]
fn traps_the_machine_may_see_otherwise_are_declined() {
    for trap in [
        "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))",
        "(call_indirect (i32.const 0))",
        "(call_indirect (i32.const 9))",
        "(drop (table.get (i32.const 9)))",
        "(call $deep)",
    ] {
        let body = format!(
            r#"(table 2 funcref) (func $deep (call $deep) (call $mark))
               (func (export "kernel_run") {trap})"#
        );
        assert!(matches!(declined(&body), Declined::Trap(_)), "{trap}");
    }
}

#[test]
fn asking_for_more_table_than_there_may_be_costs_little() {
    let grow = "(drop (table.grow (ref.null func) (i32.const -1)))".repeat(60);
    let body = format!(r#"(table 2 9 funcref) (func (export "kernel_run") {grow} (call $mark))"#);
    assert_eq!(flags(&run(&body).unwrap()), (true, false));
}

#[test]
fn endless_kernels_stop_by_themselves() {
    for body in [
        r#"(func (export "kernel_run") (loop $l (br $l)))"#,
        r#"(func (export "kernel_run") (loop $l (call $mark) (br $l)))"#,
        // Twice as many calls at each of 60 levels, no loop anywhere.
        r#"(func $f (param i32) (if (local.get 0) (then
             (call $f (i32.sub (local.get 0) (i32.const 1)))
             (call $f (i32.sub (local.get 0) (i32.const 1))))))
           (func (export "kernel_run") (call $f (i32.const 60)))"#,
    ] {
        let declined = declined(body);
        let stopped = matches!(declined, Declined::Ticks(_) | Declined::HostCalls);
        assert!(stopped, "{declined:?}");
    }
}

#[test]
fn bulk_operations_are_charged_by_their_length() {
    let loops = |count: u32| {
        format!(
            r#"(func (export "kernel_run") (local i32) (loop $l
                 (memory.fill (i32.const 0) (i32.const 1) (i32.const 6500))
                 (br_if $l (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1)))
                                     (i32.const {count})))))"#
        )
    };
    let period = run(&loops(100)).unwrap();
    assert!(matches!(period.ticks, RunTicks::AtMost(ticks) if ticks > 6500 * 100 * 42));
    assert!(matches!(declined(&loops(100_000)), Declined::Ticks(_)));
}

#[test]
fn growing_over_the_limit_fails_for_the_kernel_only() {
    let body = r#"(func (export "kernel_run")
        (if (i32.ne (memory.grow (i32.const 1)) (i32.const 1)) (then unreachable))
        (if (i32.ne (memory.size) (i32.const 2)) (then unreachable))
        (if (i32.ne (memory.grow (i32.const 65536)) (i32.const -1)) (then unreachable))
        (if (i32.ne (memory.grow (i32.const -1)) (i32.const -1)) (then unreachable))
        (call $mark))"#;
    assert_eq!(flags(&run(body).unwrap()), (true, false));
}

#[test]
fn kernels_that_the_reference_reads_otherwise_are_declined_before_compiling() {
    for body in [
        r#"(func (export "kernel_run") (drop (f32.const 1)))"#,
        r#"(func (param f64)) (func (export "kernel_run"))"#,
        r#"(func $two (result i32 i32) (i32.const 1) (i32.const 2)) (func (export "kernel_run"))"#,
        r#"(func (export "kernel_run") (result i32) (i32.const 1))"#,
        r#"(func (export "kernel_walk"))"#,
        r#"(func (export "kernel_run") (return_call $mark))"#,
        r#"(global (import "env" "g") i32) (func (export "kernel_run"))"#,
    ] {
        let text = format!("(module {HOST} {body})");
        let Ok(buffer) = wast::parser::ParseBuffer::new(&text) else {
            continue;
        };
        let Ok(mut module) = wast::parser::parse::<wast::Wat>(&buffer) else {
            continue;
        };
        let Ok(kernel) = module.encode() else {
            continue;
        };
        assert!(gate::admit(&kernel).is_err(), "{body}");
    }
    for kernel in [&b""[..], b"\0asm", b"\0asm\x01\0\0\0"] {
        assert!(gate::admit(kernel).is_err());
    }
}

#[test]
fn imports_must_exist_at_the_version_with_their_type() {
    let import = |name: &str, ty: &str| {
        assemble(&format!(
            r#"(module (import "smart_rollup_core" "{name}" (func {ty}))
               (memory (export "m") 1) (func (export "kernel_run")))"#
        ))
    };
    let engine = FastEngine::new(Options::default());
    let run = |version, kernel: &[u8]| engine.run(&snapshot(version, kernel), &environment());
    let exists = import("store_exists", "(param i32 i32) (result i32)");
    assert!(run(PvmVersion::V2, &exists).is_ok());
    for (version, kernel) in [
        (PvmVersion::V1, exists),
        (
            PvmVersion::V6,
            import("store_exists", "(param i32) (result i32)"),
        ),
        (PvmVersion::V6, import("no_such_function", "")),
    ] {
        let declined = run(version, &kernel);
        assert!(matches!(
            declined,
            Err(RunError::Declined(Declined::Import { .. }))
        ));
    }
    let nds = import("nds_registry_clear", "(param i64) (result i32)");
    assert!(matches!(
        run(PvmVersion::V6, &nds),
        Err(RunError::NotJudgeable(NotJudgeable::SecondStorage(_)))
    ));
}

#[test]
fn a_start_function_that_calls_the_host_is_declined() {
    let body = r#"(start $mark) (func (export "kernel_run"))"#;
    assert!(matches!(declined(body), Declined::Instantiation(_)));
}

#[test]
fn version_0_has_a_lower_limit_on_nested_calls() {
    let deep = |depth: u32| {
        format!(
            r#"(func $f (param i32) (if (local.get 0) (then
                 (call $f (i32.sub (local.get 0) (i32.const 1))))))
               (func (export "kernel_run") (call $f (i32.const {depth})) (call $mark))"#
        )
    };
    let engine = FastEngine::new(Options::default());
    let run = |version, depth| run_with(&engine, version, &deep(depth));
    assert!(run(PvmVersion::V0, 200).is_ok());
    assert!(matches!(
        run(PvmVersion::V0, 299),
        Err(RunError::Declined(Declined::Depth(_)))
    ));
    assert!(run(PvmVersion::V1, 2000).is_ok());
    assert!(run(PvmVersion::V1, 60_000).is_err());
}

#[test]
fn what_cannot_be_revealed_is_not_judgeable() {
    let body = r#"(func (export "kernel_run")
        (drop (call $preimage (i32.const 64) (i32.const 33) (i32.const 0) (i32.const 9))))"#;
    assert!(matches!(
        run(body),
        Err(RunError::NotJudgeable(NotJudgeable::Reveal(_)))
    ));
    let outside = r#"(func (export "kernel_run")
        (drop (call $metadata (i32.const 0xfffff) (i32.const 24))))"#;
    assert!(matches!(
        run(outside),
        Err(RunError::NotJudgeable(NotJudgeable::NoNextState {
            destination: 0xfffff
        }))
    ));
}

#[test]
fn a_run_stops_at_its_next_host_call_when_asked_to() {
    let kernel = assemble(&format!(
        r#"(module {HOST} (func (export "kernel_run") (loop $l (call $mark) (br $l))))"#
    ));
    let environment = environment();
    environment.interrupt.store(true, Ordering::Relaxed);
    let engine = FastEngine::new(Options::default());
    assert!(matches!(
        engine.run(&snapshot(PvmVersion::V6, &kernel), &environment),
        Err(RunError::NotJudgeable(NotJudgeable::Interrupted))
    ));
}

#[test]
fn compiled_kernels_are_kept_and_a_damaged_file_is_compiled_again() {
    let scratch = tempfile::tempdir().unwrap();
    let options = Options {
        cache: Some(scratch.path().to_owned()),
        ..Options::default()
    };
    let body = r#"(func (export "kernel_run") (call $mark))"#;
    let hash = || {
        let engine = FastEngine::new(options.clone());
        let mut period = run_with(&engine, PvmVersion::V6, body).unwrap();
        period.state.hash().unwrap()
    };
    let first = hash();
    let files = || -> Vec<_> {
        let entries = std::fs::read_dir(scratch.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let [file] = files().try_into().unwrap();
    assert_eq!(hash(), first);
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(hash(), first);
}
