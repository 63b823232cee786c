use super::*;
use crate::wasm::eval::reveal_step;
use crate::wasm::testing::{TestHost, binary, evaluation, leaves, tree_of};

const ANSWER: &[u8] = b"what was asked for";

/// How an evaluation ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Finished,
    Trapped(String),
    Raised(Exception),
    Cut,
}

/// States of single ticks, the first at tick 0, and how they end.
pub(super) fn exact(first: &EvalState, limit: usize) -> (Vec<EvalState>, End) {
    let mut host = TestHost::default();
    let mut states = vec![first.clone()];
    let mut state = first.clone();
    loop {
        match &state.config.step {
            StepKont::Result(_) => return (states, End::Finished),
            StepKont::Trapped(message) => return (states, End::Trapped(message.clone())),
            _ if states.len() > limit => return (states, End::Cut),
            _ => {}
        }
        let EvalState { config, registry } = &mut state;
        let stepped = if config.reveal_request().is_some() {
            reveal_step(config, registry, ANSWER)
        } else {
            eval::step(config, registry, &mut host, Moment::Run)
        };
        match stepped {
            Ok(()) => states.push(state.clone()),
            Err(Fault::Raised(exception)) => return (states, End::Raised(exception)),
            Err(other) => panic!("{other}"),
        }
    }
}

/// The state at `target` by run mode, or how the run ended before.
fn by_run(run: &mut Run, host: &mut TestHost, target: u64) -> Result<EvalState, Status> {
    loop {
        let (mut state, tick) = match run.advance(target, host).unwrap() {
            Status::Near => run.state().unwrap(),
            Status::Reveals { tick, .. } if tick < target => {
                run.answer(ANSWER).unwrap();
                continue;
            }
            Status::Reveals { .. } | Status::Declined { .. } => run.state().unwrap(),
            ended => return Err(ended),
        };
        assert!(tick <= target, "the state of {tick} is past {target}");
        let mut preview = host.clone();
        let mut left = target - tick;
        while left > 0 {
            left = pass(&mut state, left, &mut preview).unwrap();
            if left > 0 && state.config.reveal_request().is_some() {
                reveal_step(&mut state.config, &mut state.registry, ANSWER).unwrap();
                left -= 1;
            } else {
                assert_eq!(left, 0, "the state at {target} is after the end");
            }
        }
        return Ok(state);
    }
}

fn assert_same(found: &EvalState, expected: &EvalState, tick: u64) {
    let (found, expected) = (tree_of(found), tree_of(expected));
    if found.hash().unwrap() == expected.hash().unwrap() {
        return;
    }
    let (mut a, mut b) = (Vec::new(), Vec::new());
    leaves(&found, "", &mut a);
    leaves(&expected, "", &mut b);
    let only = |x: &[String], y: &[String]| -> Vec<String> {
        let y: std::collections::BTreeSet<_> = y.iter().collect();
        x.iter()
            .filter(|leaf| !y.contains(leaf))
            .take(8)
            .cloned()
            .collect()
    };
    panic!(
        "tick {tick}: run mode has {:#?}, single ticks have {:#?}",
        only(&a, &b),
        only(&b, &a)
    );
}

/// Compares at the given ticks, each reached afresh and all in one pass, and the ends.
pub(super) fn check_at(
    binary: &[u8],
    limit: usize,
    ticks: impl Fn(usize) -> Vec<u64>,
) -> Option<(usize, End)> {
    let mut first = evaluation(binary).ok()?;
    let (states, end) = exact(&first, limit);
    let compiled = match Compiled::new(&mut first) {
        Ok(compiled) => compiled,
        Err(RunError::Declined(_)) => return None,
        Err(RunError::Fault(fault)) => panic!("{fault}"),
    };
    let mut one = match Run::new(&compiled, first.clone()) {
        Ok(run) => run,
        Err(RunError::Declined(_)) => return None,
        Err(RunError::Fault(fault)) => panic!("{fault}"),
    };
    let mut one_host = TestHost::default();
    for tick in ticks(states.len()) {
        let expected = &states[tick as usize];
        let mut fresh = Run::new(&compiled, first.clone()).unwrap();
        let mut host = TestHost::default();
        match by_run(&mut fresh, &mut host, tick) {
            Ok(found) => assert_same(&found, expected, tick),
            Err(ended) => assert_ended(&ended, &end, states.len(), tick),
        }
        match by_run(&mut one, &mut one_host, tick) {
            Ok(found) => assert_same(&found, expected, tick),
            Err(ended) => assert_ended(&ended, &end, states.len(), tick),
        }
    }
    if end != End::Cut {
        check_end(&compiled, &first, &end, states.len());
    }
    Some((states.len(), end))
}

/// A run may say that it ended when asked for the very last states.
fn assert_ended(status: &Status, end: &End, count: usize, tick: u64) {
    let last = (count - 1) as u64;
    match (status, end) {
        (Status::Finished { tick: at }, End::Finished) => assert_eq!((*at, last), (tick, tick)),
        (Status::Trapped { tick: at, message }, End::Trapped(text)) => {
            assert_eq!((*at, message), (last, text));
        }
        (
            Status::Raised {
                tick: at,
                exception,
            },
            End::Raised(raised),
        ) => {
            assert_eq!((*at, exception), (last, raised));
        }
        other => panic!("at tick {tick} of {count}: {other:?}"),
    }
}

fn check_end(compiled: &Compiled, first: &EvalState, end: &End, count: usize) {
    let mut run = Run::new(compiled, first.clone()).unwrap();
    let mut host = TestHost::default();
    let far = count as u64 + 1_000_000;
    loop {
        match run.advance(far, &mut host).unwrap() {
            Status::Reveals { .. } => run.answer(ANSWER).unwrap(),
            Status::Declined { .. } => return,
            Status::Near => panic!("the run goes on after {count} ticks"),
            ended => return assert_ended(&ended, end, count, (count - 1) as u64),
        }
    }
}

/// Every tick of a kernel whose module has one page of memory, exported.
fn check(body: &str) -> (usize, End) {
    let text = format!(
        r#"(module
            (import "host" "add" (func $add (param i32 i32 i32) (result i32)))
            (import "host" "poke" (func $poke (param i32 i32)))
            (import "host" "ask" (func $ask (param i32 i32) (result i32)))
            (memory (export "memory") 1 3)
            (global $g (mut i32) (i32.const 5))
            (global $h (mut i64) (i64.const -5))
            {body})"#
    );
    // All ticks of a short evaluation; of a long one some, and the last.
    let chosen = |count: usize| {
        let stride = (count / 4_000 * 499).max(1);
        let last = count.saturating_sub(30);
        let some = (0..count).filter(|tick| tick % stride == 0 || (stride == 1 || *tick > last));
        some.map(|tick| tick as u64).collect()
    };
    check_at(&binary(&text), 100_000, chosen).expect("run mode takes this kernel")
}

#[test]
fn straight_code_is_the_same_at_every_tick() {
    let (_, end) = check(
        r#"(func (export "kernel_run") (local i32 i64)
            i32.const 7 local.set 0
            local.get 0 i32.const 3 i32.mul local.tee 0 drop
            local.get 0 local.get 0 i32.add global.set $g
            i64.const 1 i64.const 40 i64.shl local.set 1
            local.get 1 global.get $h i64.sub global.set $h
            i32.const 8 local.get 1 i64.store offset=4
            i32.const 12 i64.load8_s i64.const 1 i64.eq
            i32.const 1 i32.const 2 local.get 0 select drop drop
            nop)"#,
    );
    assert_eq!(end, End::Finished);
}

#[test]
fn blocks_and_branches_are_the_same_at_every_tick() {
    check(
        r#"(func (export "kernel_run") (local $i i32)
            i32.const 11 i64.const 12
            (block (result i32)
                i32.const 1
                (block (param i32) (result i32 i64)
                    i32.const 2 i32.add i64.const 3)
                drop
                i32.const 4
                (br_if 0 (i32.const 1))
                drop)
            (if (then nop) (else unreachable))
            (if (result i32) (i32.const 0) (then (i32.const 1)) (else (i32.const 2)))
            drop drop drop
            (loop $l
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (block $a (block $b (block $c
                    (br_table $a $b $c (local.get $i)))
                    (br $a))
                    nop)
                (br_if $l (i32.lt_s (local.get $i) (i32.const 5))))
            i32.const 30
            (loop $m (param i32) (result i32)
                i32.const 1 i32.sub
                (block (br_if 0 (i32.const 0)) i32.const 9 drop)
                local.tee $i
                local.get $i
                i32.const 27
                i32.gt_u
                br_if $m)
            (block (loop (br 1)) unreachable)
            drop)"#,
    );
}

#[test]
fn loops_that_begin_over_operands_remember_how_they_were_entered() {
    check(
        r#"(func (export "kernel_run") (local $i i32)
            i32.const 1 i32.const 2 i32.const 3 drop
            (call $add (i32.const 4) (i32.const 5) (i32.const 6))
            (loop $l
                (call $add (i32.const 1) (i32.const 2) (local.get $i))
                (block
                    (local.set $i (i32.add (local.get $i) (i32.const 1)))
                    (loop $m
                        (drop (call $add (i32.const 1) (i32.const 2) (local.get $i)))
                        (local.set $i (i32.add (local.get $i) (i32.const 1)))
                        (br_if $m (i32.rem_u (local.get $i) (i32.const 3)))))
                drop
                (br_if $l (i32.lt_s (local.get $i) (i32.const 7))))
            drop drop drop)"#,
    );
}

#[test]
fn calls_are_the_same_at_every_tick() {
    check(
        r#"(type $binary (func (param i32 i32) (result i32)))
        (table 4 funcref)
        (elem (i32.const 0) $sub $fib $pair)
        (func $sub (param i32 i32) (result i32) (local i64)
            (i32.sub (local.get 0) (local.get 1)))
        (func $pair (param i32) (result i32 i32) (return (local.get 0) (i32.const 3)))
        (func $fib (param i32) (result i32)
            (if (result i32) (i32.lt_s (local.get 0) (i32.const 2))
                (then (return (local.get 0)))
                (else
                    (i32.add
                        (call $fib (i32.sub (local.get 0) (i32.const 1)))
                        (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
        (func (export "kernel_run")
            i32.const 77
            (call_indirect (type $binary) (i32.const 9) (i32.const 4) (i32.const 0))
            drop
            (call $fib (i32.const 5))
            (call $pair (call $fib (i32.const 3)))
            (call $poke (i32.const 600) (i32.const -2))
            (call $add)
            drop
            (call_indirect (type $binary) (i32.const 9) (i32.const 4) (i32.const 1))
            drop drop)"#,
    );
}

#[test]
fn host_calls_leave_their_arguments_behind() {
    check(
        r#"(func (export "kernel_run") (local $x i32)
            i32.const 1
            (call $add (i32.const 10) (i32.const 20) (i32.const 30))
            (if (then (local.set $x (i32.add (i32.const 1) (i32.const 2)))))
            (call $poke (i32.const 0) (i32.const 1))
            (block
                (call $add (i32.const 10) (i32.const 21) (i32.const 30))
                (block (drop (i32.const 5)))
                (block (param i32) (drop) i32.const 1 i32.const 2 i32.const 3 drop drop drop)
                (call $poke (i32.const 1) (i32.const 1))
                (local.set $x (i32.const 4)) (drop (i32.load (i32.const 0))))
            (call $ask (i32.const 100) (i32.const 9))
            i32.add
            (block (call $ask (i32.const 65530) (i32.const 2)) drop)
            (drop (call $ask (i32.const -1) (i32.const 0)))
            drop)"#,
    );
}

#[test]
fn memory_is_the_same_at_every_tick() {
    check(
        r#"(data $d "some bytes of a passive segment")
        (func (export "kernel_run")
            (call $poke (i32.const 4) (i32.const 9))
            (memory.fill (i32.const 100) (i32.const 7) (i32.const 20))
            (memory.copy (i32.const 105) (i32.const 100) (i32.const 9))
            (memory.copy (i32.const 100) (i32.const 105) (i32.const 9))
            (memory.init $d (i32.const 508) (i32.const 5) (i32.const 12))
            (memory.fill (i32.const 0) (i32.const 7) (i32.const 0))
            (data.drop $d)
            (drop (memory.grow (i32.const 1)))
            (drop (memory.grow (i32.const 9)))
            (i64.store (i32.const 65532) (i64.const -1))
            (drop (i32.mul (memory.size) (i32.load16_s (i32.const 65534))))
            (memory.init $d (i32.const 1) (i32.const 0) (i32.const 1)))"#,
    );
}

#[test]
fn traps_and_errors_come_at_their_tick() {
    let trap = |text: &str| End::Trapped(text.to_owned());
    let raised = |text: &str| End::Raised(Exception::Located(text.to_owned()));
    let cases = [
        (
            "(drop (i32.div_s (i32.const 1) (i32.const 0))) nop nop",
            trap("integer divide by zero"),
        ),
        (
            "(drop (i64.div_s (i64.const -9223372036854775808) (i64.const -1))) nop",
            trap("integer overflow"),
        ),
        ("nop unreachable nop", trap("unreachable executed")),
        (
            "(drop (i32.load (i32.const -4))) nop",
            trap("out of bounds memory access"),
        ),
        (
            "(i64.store offset=4294967295 (i32.const 65529) (i64.const 1)) nop",
            trap("out of bounds memory access"),
        ),
        (
            "(memory.fill (i32.const 65530) (i32.const 1) (i32.const 7))",
            trap("out of bounds memory access"),
        ),
        (
            "(call_indirect (i32.const 0)) nop",
            trap("indirect call type mismatch"),
        ),
        (
            "(call_indirect (i32.const 2))",
            raised("uninitialized element 2"),
        ),
        (
            "(call_indirect (i32.const -3))",
            raised("undefined element -3"),
        ),
        (
            "nop (call $poke (i32.const 65534) (i32.const 1)) nop",
            raised("poked outside"),
        ),
        ("(call $forever)", raised("call stack exhausted")),
        (
            "(call_indirect (i32.const 1))",
            raised("call stack exhausted"),
        ),
    ];
    for (body, expected) in cases {
        let (_, end) = check(&format!(
            r#"(table 3 funcref) (elem (i32.const 0) $other $again)
            (func $other (param i32))
            (func $again (call_indirect (i32.const 1)))
            (func $forever (call $forever))
            (func (export "kernel_run") {body})"#
        ));
        assert_eq!(end, expected, "{body}");
    }
}

#[test]
fn what_only_the_exact_machine_does_goes_on_there() {
    for body in [
        "(drop (i8x16.extract_lane_s 3 (v128.const i32x4 1 2 3 4)))",
        "i32.const 5 i32.const 6 (call $surplus) i32.add drop drop",
        "(drop (table.grow $t (ref.null func) (i32.const 2)))",
        "(call_indirect (type $b) (i32.const 1) (i32.const 2) (i32.const 0))",
    ] {
        let (_, end) = check(&format!(
            r#"(type $b (func (param i32 i32))) (table $t 3 funcref) (elem (i32.const 0) $poke)
            (func $surplus (result i32) i32.const 1 i32.const 2 return)
            (func (export "kernel_run") nop {body})"#
        ));
        assert_eq!(end, End::Finished, "{body}");
    }
}
