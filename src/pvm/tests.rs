//! States: round trips, and trees that are not states.

use proptest::prelude::*;

use super::*;
use crate::merkle::Tree;
use crate::protocol::{Level, PvmVersion};

fn origination(ticks_per_snapshot: u64) -> Origination {
    Origination {
        version: PvmVersion::V6,
        ticks_per_snapshot,
        outbox_validity_period: 3,
        outbox_message_limit: 2,
    }
}

/// A period of so many ticks whose one level without messages is read: the kernel's snapshot.
pub(super) fn loaded(version: PvmVersion, kernel: &[u8], period: u64) -> State {
    let origination = Origination {
        version,
        ticks_per_snapshot: period,
        outbox_validity_period: 10,
        outbox_message_limit: 100,
    };
    let mut state = State::originate(&origination, kernel).unwrap();
    for (counter, payload) in (0..).zip([&[0, 1][..], &[0, 2]]) {
        let level = Level::new(1);
        let info = InputInfo { level, counter };
        state.set_input(info, payload).unwrap();
    }
    state.pad(u128::MAX);
    state
}

/// The same, about to run the kernel.
pub(super) fn about_to_run(version: PvmVersion, kernel: &[u8], period: u64) -> State {
    let mut state = loaded(version, kernel, period);
    state.tick_at_rest().unwrap();
    state
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(vec![0, 1]),
        Just(vec![0, 2]),
        Just(b"\x00\x04\x00\x00\x00\x09paris_019".to_vec()),
        Just(b"\x00\x04\x00\x00\x00\x09paris".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..1200),
    ]
}

proptest! {
    /// Whatever messages come, in whatever order: the state decoded from the tree is the state.
    #[test]
    fn states_survive_their_tree(
        messages in proptest::collection::vec((0i32..3, 0u8..6, message()), 0..12),
        pops in 0usize..4,
    ) {
        let mut state = State::originate(&origination(20), b"kernel").unwrap();
        for (level, counter, payload) in messages {
            let level = Level::try_from(level).unwrap();
            let info = InputInfo { level, counter: u128::from(counter) };
            let mut decoded = State::decode(state.encode().unwrap()).unwrap();
            state.set_input(info, &payload).unwrap();
            decoded.set_input(info, &payload).unwrap();
            prop_assert_eq!(state.hash().unwrap(), decoded.hash().unwrap());
            state.pad(u128::MAX);
            while state.input_request() == InputRequest::Nothing
                && state.tick_at_rest().is_ok()
            {
                state.pad(u128::MAX);
            }
            let _ = state.buffers.output.push(&payload).unwrap();
        }
        for _ in 0..pops {
            state.buffers.input.pop().unwrap();
        }
        let hash = state.hash().unwrap();
        let mut decoded = State::decode(state.encode().unwrap()).unwrap();
        prop_assert_eq!(decoded.hash().unwrap(), hash);
        prop_assert_eq!(decoded.phase.tag(), state.phase.tag());
        prop_assert_eq!(decoded.input_request(), state.input_request());
    }

    /// Trees that come from anywhere are refused, never a panic.
    #[test]
    fn damaged_trees_are_refused_without_a_panic(
        damages in proptest::collection::vec(
            (any::<prop::sample::Index>(), proptest::collection::vec(any::<u8>(), 0..40)),
            1..4,
        ),
    ) {
        let mut state = State::originate(&origination(1000), b"kernel").unwrap();
        for (counter, payload) in (0..).zip([&[0, 1][..], &[1, 2, 3], &[0, 4, 9]]) {
            let info = InputInfo { level: Level::new(1), counter };
            state.set_input(info, payload).unwrap();
        }
        let mut tree = state.encode().unwrap().clone();
        for (index, bytes) in damages {
            let path = index.get(PATHS);
            let path: Vec<_> = path.split('/').collect();
            if bytes.is_empty() {
                tree.remove(&path).unwrap();
            } else {
                tree.add(&path, &bytes).unwrap();
            }
        }
        if let Ok(mut state) = State::decode(&tree) {
            let info = InputInfo { level: Level::new(2), counter: 0 };
            let _ = state.version();
            let _ = state.set_input(info, &[0, 1]);
            let _ = state.buffers.input.pop();
            let _ = state.buffers.output.push(b"message");
            let _ = state.buffers.output.messages(1);
            let _ = state.pad(u128::MAX);
            let _ = state.tick_at_rest();
            let _ = state.hash();
        }
    }

    #[test]
    fn reading_stuck_errors_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut reader = crate::codec::Reader::new(&bytes);
        if let Ok(stuck) = Stuck::read(&mut reader) {
            let mut writer = crate::codec::Writer::new();
            stuck.write(&mut writer);
            prop_assert!(bytes.starts_with(&writer.into_bytes()));
        }
    }
}

const PATHS: &[&str] = &[
    "tag",
    "wasm",
    "wasm/tag",
    "wasm/input",
    "wasm/current_tick",
    "wasm/reboot_counter",
    "wasm/value",
    "pvm",
    "pvm/max_nb_ticks",
    "pvm/last_top_level_call",
    "pvm/outbox_message_limit",
    "value/pvm/buffers/input/length",
    "value/pvm/buffers/input/head",
    "value/pvm/buffers/input/contents/1/length",
    "value/pvm/buffers/input/contents/2/contents/0",
    "value/pvm/buffers/input/contents/2/message-counter",
    "value/pvm/buffers/output/1/outboxes/1/length",
    "value/pvm/buffers/output/1/outboxes/1",
    "value/pvm/buffers/output/2/last_level",
    "value/pvm/buffers/output/3/validity_period",
    "value/pvm/buffers/output/4/message_limit",
    "durable",
    "durable/readonly/wasm_version/@/length",
    "durable/readonly/wasm_version/@/contents/0",
    "durable/kernel/env/reboot/@/length",
];

#[test]
fn a_period_ends_once_its_ticks_are_spent() {
    let mut state = State::originate(&origination(10), b"kernel").unwrap();
    let info = |counter| InputInfo {
        level: Level::new(1),
        counter,
    };
    state.set_input(info(0), &[0, 1]).unwrap();
    state.set_input(info(1), &[0, 2]).unwrap();
    assert_eq!(state.pad(3), 3);
    assert_eq!(state.pad(u128::MAX), 4);
    assert!(state.is_expired());
    let status = state.tick_at_rest().unwrap();
    assert_eq!((status, state.current_tick), (Status::Reboot, 10));
    assert_eq!(state.last_top_level_call, 10);
    assert_eq!(state.reboot_counter, 1000);
    assert!(matches!(
        state.tick_at_rest(),
        Err(PvmError::NeedsEngine("snapshot"))
    ));
}

#[test]
fn a_message_that_is_not_later_leaves_the_machine_stuck_for_ever() {
    let mut state = State::originate(&origination(10), b"kernel").unwrap();
    let info = InputInfo {
        level: Level::new(1),
        counter: 4,
    };
    state.set_input(info, b"\x01a").unwrap();
    state.set_input(info, b"\x01b").unwrap();
    assert_eq!(
        match &state.phase {
            Phase::Stuck(error) => error.to_string(),
            other => other.tag().to_owned(),
        },
        "Unknown_error (Tezos_webassembly_interpreter.Input_buffer.Cannot_store_an_earlier_message)"
    );
    state.set_input(info, b"\x00\x02").unwrap();
    assert_eq!(state.phase.tag(), "stuck");
    assert_eq!(state.current_tick, 3);
    assert_eq!(state.input_request(), InputRequest::After(info));
}

#[test]
fn an_empty_tree_is_not_a_state() {
    assert!(matches!(
        State::decode(&Tree::empty()),
        Err(PvmError::Missing(_))
    ));
}
