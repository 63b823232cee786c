//! The whole timeline against single ticks of the reference machine, on small kernels.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::protocol::PvmVersion;
use crate::pvm::slow::{Machine, verify};
use crate::pvm::{ListingOrder, MetadataAlone, Origination, Running, standin};
use crate::wasm::testing::binary;

fn environment() -> Environment {
    Environment {
        listing: ListingOrder::Judge,
        ..Environment::without_fast(Arc::new(MetadataAlone([7; 24])))
    }
}

/// Reads its inputs, asks for the metadata, and at a new level asks once to run again.
const CURIOUS: &str = r#"(module
    (import "smart_rollup_core" "read_input" (func $read (param i32 i32 i32) (result i32)))
    (import "smart_rollup_core" "reveal_metadata" (func $meta (param i32 i32) (result i32)))
    (import "smart_rollup_core" "store_has" (func $has (param i32 i32) (result i32)))
    (import "smart_rollup_core" "store_delete" (func $delete (param i32 i32) (result i32)))
    (import "smart_rollup_core" "store_write"
        (func $write (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (table 2 funcref)
    (elem (i32.const 0) $small $small)
    (data (i32.const 100) "/kernel/env/reboot")
    (data (i32.const 200) "/seen")
    (data (i32.const 4000) "some bytes that initialisation copies, one at a time")
    (global $sum (mut i64) (i64.const 3))
    (func $small (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3)))
    (func (export "kernel_run") (local $i i32)
        (block $done
            (loop $next
                (br_if $done (i32.eqz (call $read (i32.const 600) (i32.const 700) (i32.const 64))))
                (br $next)))
        (drop (call $meta (i32.const 900) (i32.const 24)))
        (loop $more
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (i32.store (i32.mul (local.get $i) (i32.const 700))
                (call_indirect (param i32) (result i32) (local.get $i) (i32.const 1)))
            (global.set $sum (i64.add (global.get $sum) (i64.load (i32.const 900))))
            (br_if $more (i32.lt_u (local.get $i) (i32.const 12))))
        (memory.fill (i32.const 1500) (i32.const 7) (i32.const 33))
        (if (i32.eqz (call $has (i32.const 200) (i32.const 5)))
            (then
                (drop (call $write (i32.const 200) (i32.const 5)
                    (i32.const 0) (i32.const 900) (i32.const 24)))
                (drop (call $write (i32.const 100) (i32.const 18)
                    (i32.const 0) (i32.const 0) (i32.const 0))))
            (else (drop (call $delete (i32.const 200) (i32.const 5)))))
        (i32.load (i32.const 600))
        (if (i32.eq (i32.const 3)) (then unreachable))))"#;

fn kernels() -> Vec<(&'static str, Vec<u8>)> {
    let stuck = |body: &str| binary(&format!("(module (memory (export \"m\") 1) {body})"));
    vec![
        ("curious", binary(CURIOUS)),
        (
            "trapping",
            stuck(r#"(func (export "kernel_run") unreachable)"#),
        ),
        (
            "endless",
            stuck(r#"(func (export "kernel_run") (loop (br 0)))"#),
        ),
        (
            "deep",
            stuck(r#"(func $f (export "kernel_run") (call $f))"#),
        ),
        ("without entry point", stuck(r#"(func (export "other"))"#)),
        (
            "with an unknown import",
            binary(
                r#"(module (import "smart_rollup_core" "nonsense" (func)) (memory (export "m") 1))"#,
            ),
        ),
        ("not wasm", b"\0asm\x01\0\0\0\x01".to_vec()),
        ("empty", Vec::new()),
    ]
}

fn start(version: PvmVersion, ticks_per_snapshot: u64, kernel: &[u8]) -> State {
    let origination = Origination {
        version,
        ticks_per_snapshot,
        outbox_validity_period: 10,
        outbox_message_limit: 100,
    };
    State::originate(&origination, kernel).unwrap()
}

/// Two levels; the second brings a migration where there is a later version.
fn levels() -> Vec<(Level, Arc<[Vec<u8>]>)> {
    let migration = [&[0, 4, 0, 0, 0, 8][..], b"u025_025"].concat();
    vec![
        (
            Level::new(5),
            vec![vec![0, 1], b"\x01hello".to_vec(), vec![0, 2]].into(),
        ),
        (
            Level::new(6),
            vec![vec![0, 1], migration, b"\x01again".to_vec(), vec![0, 2]].into(),
        ),
    ]
}

/// Hashes by single ticks.
struct Twin {
    hashes: BTreeMap<u128, Hash>,
    length: u128,
}

/// Hashes at two ticks of every `stride`; padding between them is passed over.
fn twin(start: &State, levels: &[(Level, Arc<[Vec<u8>]>)], stride: u128) -> Twin {
    let mut machine = Machine::new(start.clone()).unwrap();
    let mut inputs = levels.iter().flat_map(|(level, messages)| {
        (0..).zip(messages.iter()).map(|(counter, payload)| {
            (
                InputInfo {
                    level: *level,
                    counter,
                },
                payload,
            )
        })
    });
    let first = start.current_tick;
    let mut hashes = BTreeMap::new();
    loop {
        let tick = machine.state().current_tick - first;
        if tick % stride < 2 {
            hashes.insert(tick, machine.hash().unwrap());
        }
        machine.pad((stride - tick % stride).saturating_sub(2));
        match machine.expects() {
            Expects::Nothing => {
                machine.tick().unwrap();
            }
            Expects::Reveal(_) => machine.reveal(&[7; 24]).unwrap(),
            Expects::Input(_) => match inputs.next() {
                Some((info, payload)) => machine.set_input(info, payload).unwrap(),
                None => {
                    hashes.insert(tick, machine.hash().unwrap());
                    return Twin {
                        hashes,
                        length: tick,
                    };
                }
            },
        }
    }
}

const PERIOD: u64 = 30_000;

/// Every state of a kernel that reads, reveals, reboots and traps: hashes in one pass, in random
/// order, and the length.
#[test]
fn hashes_are_those_of_single_ticks() {
    for (name, kernel) in kernels() {
        for version in [PvmVersion::V0, PvmVersion::V5] {
            let period = if name == "curious" { PERIOD } else { 6_000 };
            let start = start(version, period, &kernel);
            let twin = twin(&start, &levels(), 97);
            let all: Vec<u128> = twin.hashes.keys().copied().collect();
            let mut line = Timeline::new(start.clone(), levels(), environment()).unwrap();
            let found = line.hashes(&all).unwrap();
            for (tick, found) in all.iter().zip(found) {
                assert_eq!(
                    found,
                    twin.hashes.get(tick).copied(),
                    "{name} {version:?} at {tick}"
                );
            }
            assert_eq!(line.length().unwrap(), twin.length, "{name}");
            let beyond = [twin.length + 1, twin.length + 1_000_000];
            assert_eq!(line.hashes(&beyond).unwrap(), vec![None, None], "{name}");
            // Each afresh, the last first: nothing depends on what was asked before.
            for tick in all.iter().rev().step_by(41) {
                let mut line = Timeline::new(start.clone(), levels(), environment()).unwrap();
                let found = line.hashes(&[*tick]).unwrap();
                assert_eq!(found, vec![twin.hashes.get(tick).copied()], "{name} {tick}");
            }
        }
    }
}

/// A dissection of a dissection of a dissection.
#[test]
fn narrowing_questions_are_answered_alike() {
    let start = start(PvmVersion::V5, PERIOD, &binary(CURIOUS));
    let mut line = Timeline::new(start.clone(), levels(), environment()).unwrap();
    let length = line.length().unwrap();
    let (mut from, mut to) = (0, length);
    while to - from > 1 {
        let step = ((to - from) / 32).max(1);
        let ticks: Vec<u128> = (0..=32)
            .map(|n| from + n * step)
            .take_while(|t| *t <= to)
            .collect();
        let found = line.hashes(&ticks).unwrap();
        let mut fresh = Timeline::new(start.clone(), levels(), environment()).unwrap();
        assert_eq!(found, fresh.hashes(&ticks).unwrap(), "{from} to {to}");
        (from, to) = (ticks[ticks.len() / 2 - 1], ticks[ticks.len() / 2]);
    }
}

#[test]
fn every_kind_of_tick_is_proved() {
    let start = start(PvmVersion::V5, PERIOD, &binary(CURIOUS));
    let mut line = Timeline::new(start, levels(), environment()).unwrap();
    let length = line.length().unwrap();
    let mut seen = std::collections::HashMap::new();
    let ticks = (0..length).filter(|tick| tick % 1_009 == 0 || *tick < 4);
    for tick in ticks {
        let proved = line.prove(tick).unwrap();
        let after = line.hashes(&[tick, tick + 1]).unwrap();
        assert_eq!(
            after,
            vec![Some(proved.before), Some(proved.after)],
            "{tick}"
        );
        assert_eq!(
            verify(&proved.proof, &proved.input).unwrap(),
            proved.expects
        );
        *seen
            .entry(std::mem::discriminant(&proved.input))
            .or_insert(0) += 1;
    }
    assert!(seen.len() >= 2, "proofs without and with an input");
    assert!(matches!(
        line.prove(length),
        Err(TimelineError::NoMessage { .. })
    ));
    assert!(matches!(
        line.prove(length + 1),
        Err(TimelineError::NoState { .. })
    ));
}

/// Each of them begins where the one before ended; backwards none does.
#[test]
fn ticks_proved_in_a_row_are_proved_as_alone() {
    for (name, kernel) in kernels() {
        let start = start(PvmVersion::V5, PERIOD, &kernel);
        let mut forward = Timeline::new(start.clone(), levels(), environment()).unwrap();
        let mut backward = Timeline::new(start, levels(), environment()).unwrap();
        let length = forward.length().unwrap();
        let period = u128::from(PERIOD);
        let mut followed = 0;
        for from in (0..length)
            .step_by(7_001)
            .chain([period - 9, 2 * period - 9])
        {
            let ticks = from..(from + 12).min(length);
            let proofs: Vec<_> = ticks
                .map(|tick| {
                    let (at, _) = forward.proved.clone().unzip();
                    followed += u32::from(at == Some(tick));
                    (tick, forward.prove(tick).unwrap())
                })
                .collect();
            for (tick, proved) in proofs.into_iter().rev() {
                let alone = backward.prove(tick).unwrap();
                assert_eq!(
                    proved.proof.encode().unwrap(),
                    alone.proof.encode().unwrap(),
                    "{name} at {tick}"
                );
                assert_eq!(
                    (proved.before, proved.after, proved.expects, proved.input),
                    (alone.before, alone.after, alone.expects, alone.input)
                );
            }
        }
        assert!(followed > 30, "{name}: {followed}");
    }
}

/// Every tick of a stretch is in the phase that it says, and stretches leave no gap.
#[test]
fn stretches_are_what_single_ticks_do() {
    let start = start(PvmVersion::V5, PERIOD, &binary(CURIOUS));
    let mut line = Timeline::new(start, levels(), environment()).unwrap();
    let length = line.length().unwrap();
    let mut met = std::collections::BTreeSet::new();
    for tick in (0..length).step_by(usize::try_from(length / 7).unwrap()) {
        let stretches = line.stretches(tick).unwrap();
        for (before, after) in stretches.iter().zip(stretches.iter().skip(1)) {
            assert_eq!(before.last + 1, after.first, "{stretches:?}");
        }
        for stretch in stretches {
            for tick in [
                stretch.first,
                stretch.first.midpoint(stretch.last),
                stretch.last,
            ] {
                let phase = line.describe(tick).unwrap().phase;
                let doing = match stretch.doing {
                    Doing::Input => "collect",
                    other => other.name(),
                };
                assert_eq!(phase, doing, "at {tick} of {stretch:?}");
            }
            met.insert(stretch.doing.name());
        }
    }
    let all = [
        "decode", "eval", "init", "input", "link", "padding", "snapshot",
    ];
    assert_eq!(met.into_iter().collect::<Vec<_>>(), all);
}

/// The tick at which the kernel waits for the metadata, by asking what states expect.
#[test]
fn a_reveal_is_proved_with_its_answer() {
    let start = start(PvmVersion::V5, PERIOD, &binary(CURIOUS));
    let mut line = Timeline::new(start, levels(), environment()).unwrap();
    let length = line.length().unwrap();
    let reveal = (1_500..length)
        .find(|tick| matches!(line.expects(*tick), Ok(Expects::Reveal(_))))
        .unwrap();
    let proved = line.prove(reveal).unwrap();
    assert_eq!(proved.expects, Expects::Reveal(vec![1]));
    assert_eq!(proved.input, Input::Revealed(vec![7; 24]));
    verify(&proved.proof, &proved.input).unwrap();
    let shown = line.describe(reveal).unwrap();
    assert_eq!(shown.phase, Running::Eval.tag());
    assert_eq!(shown.waits_for.as_deref(), Some("the reveal of 01"));
}

#[test]
fn states_are_described() {
    let start = start(PvmVersion::V5, PERIOD, &binary(CURIOUS));
    let mut line = Timeline::new(start, levels(), environment()).unwrap();
    let length = line.length().unwrap();
    let mut nexts = BTreeMap::new();
    for tick in (0..=length).step_by(11) {
        let shown = line.describe(tick).unwrap();
        assert!(!shown.to_string().is_empty());
        *nexts.entry(shown.next).or_insert(0) += 1;
    }
    assert!(
        nexts.keys().any(|next| next.contains("LocalGet")),
        "{nexts:?}"
    );
    assert!(nexts.keys().any(|next| next.starts_with("parse at byte")));
}

/// A kernel of the shape of a real one, at a few hundred ticks of all its phases.
#[test]
fn a_slice_of_a_stand_in_is_hashed_like_single_ticks() {
    let kernel = standin::kernel(standin::Shape::SLICE);
    let start = start(PvmVersion::V5, 50_000_000_000_000, &kernel);
    let one = levels().remove(0);
    let mut machine = Machine::new(start.clone()).unwrap();
    for (counter, payload) in (0..).zip(one.1.iter()) {
        let info = InputInfo {
            level: one.0,
            counter,
        };
        machine.set_input(info, payload).unwrap();
    }
    machine.pad(u128::MAX);
    machine.tick().unwrap();
    let begun = machine.state().current_tick;
    let mut wanted = Vec::new();
    let mut expected = Vec::new();
    while machine.state().phase.tag() != "padding" {
        let tick = machine.state().current_tick - begun;
        if tick.is_multiple_of(4_999) {
            wanted.push(tick + begun);
            expected.push(Some(machine.hash().unwrap()));
        }
        machine.tick().unwrap();
    }
    wanted.push(machine.state().current_tick);
    expected.push(Some(machine.hash().unwrap()));
    assert!(wanted.len() > 30, "{} points", wanted.len());
    let mut line = Timeline::new(start.clone(), vec![one.clone()], environment()).unwrap();
    let found = line.hashes(&wanted).unwrap();
    for ((tick, found), expected) in wanted.iter().zip(found).zip(&expected) {
        assert_eq!(found, *expected, "at {tick}");
    }
    // The module is known by now: states of its parsing take from it what they share with it.
    for (tick, expected) in wanted.iter().zip(&expected).rev().step_by(3) {
        let mut line = Timeline::new(start.clone(), vec![one.clone()], environment()).unwrap();
        let proved = line.prove(*tick).unwrap();
        assert_eq!(Some(proved.before), *expected, "at {tick}");
        verify(&proved.proof, &proved.input).unwrap();
    }
}

/// For whole kernel runs the end state of run mode is that of the fast engine.
#[cfg(feature = "fast")]
#[test]
fn whole_runs_end_as_on_the_fast_engine() {
    use crate::pvm::fast::{FastEngine, Options};
    use crate::pvm::{Quiet, run_level};

    let fast = Arc::new(FastEngine::new(Options::default()));
    let kernels = [
        ("curious", binary(CURIOUS)),
        ("stand-in", standin::kernel(standin::Shape::SLICE)),
    ];
    for (name, kernel) in kernels {
        let mut state = start(PvmVersion::V5, 50_000_000_000_000, &kernel);
        let begin = state.clone();
        let with_fast = Environment {
            fast: Some(fast.clone()),
            ..environment()
        };
        for (level, messages) in levels() {
            let run = |environment: &Environment| {
                let messages = messages.iter().map(Vec::as_slice);
                let outcome = run_level(&state, level, messages, environment, &mut Quiet);
                let mut outcome = outcome.unwrap();
                let hash = outcome.state.hash().unwrap();
                (hash, outcome)
            };
            let (by_fast, outcome) = run(&with_fast);
            let (by_reference, declined) = run(&environment());
            assert!(
                outcome.declined.is_empty(),
                "{name}: {:?}",
                outcome.declined
            );
            assert!(!declined.declined.is_empty());
            assert_eq!(by_fast, by_reference, "{name} at {level}");
            state = outcome.state;
        }
        // The timeline passes over whole runs, and pads, by the fast engine.
        let mut quick = Timeline::new(begin.clone(), levels(), with_fast).unwrap();
        let mut slow = Timeline::new(begin, levels(), environment()).unwrap();
        let length = quick.length().unwrap();
        assert_eq!(length, slow.length().unwrap(), "{name}");
        let ticks: Vec<u128> = (0..=16).map(|n| length / 16 * n).collect();
        assert_eq!(
            quick.hashes(&ticks).unwrap(),
            slow.hashes(&ticks).unwrap(),
            "{name}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Whatever is asked, in whatever order.
    #[test]
    fn questions_in_any_order_are_answered_alike(
        ticks in proptest::collection::vec(0u128..200_000, 1..12),
    ) {
        let start = start(PvmVersion::V5, PERIOD, &binary(CURIOUS));
        let mut line = Timeline::new(start.clone(), levels(), environment()).unwrap();
        for tick in ticks {
            let found = line.hashes(&[tick]).unwrap();
            let mut fresh = Timeline::new(start.clone(), levels(), environment()).unwrap();
            prop_assert_eq!(found, fresh.hashes(&[tick]).unwrap());
        }
    }
}
