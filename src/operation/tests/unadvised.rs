//! A node that lies about simulations: our moves are sent in spite of it, our bonds never.

use super::super::*;
use super::network::{Lie, World, a_move, wanted};
use crate::protocol::operation::Content;
use crate::protocol::{Gas, Mutez, StorageBytes};

/// Every answer that keeps a move back.
const LIES: [Lie; 7] = [
    Lie::Unfit("smart_rollup_wrong_turn"),
    Lie::Unfit("contract.counter_in_the_past"),
    Lie::Unfit("contract.balance_too_low"),
    Lie::Fails("smart_rollup_proof_check"),
    Lie::Fails("gas_exhausted.operation"),
    Lie::Burns,
    Lie::Silent,
];

fn step(world: &mut World) {
    world.bake(world.best());
    world.tell();
}

/// Blocks until something is alive, at most so many.
fn waited(world: &mut World, most: u16) -> Option<u16> {
    world.tell();
    for blocks in 0..most {
        if !world.carrier.alive().is_empty() {
            return Some(blocks);
        }
        world.bake(None);
        world.tell();
    }
    None
}

fn words(world: &World) -> Vec<&'static str> {
    world.entries.iter().map(Entry::word).collect()
}

fn gas(contents: &[Content]) -> Vec<Gas> {
    contents.iter().map(|content| content.gas_limit).collect()
}

#[test]
fn a_move_that_no_simulation_vouches_for_is_in_a_block_before_the_clock_ends() {
    for lie in LIES {
        for deadline in [7, 8, 10, 14, 20, 40, 200] {
            let mut world = World::new(Settings::default());
            world.lie = Some(lie);
            world.wanted = vec![a_move(1, Some(deadline))];
            let what = format!("{lie:?} until {deadline}");
            let most = deadline - world.level() + 1;
            let blocks = waited(&mut world, most);
            assert!(
                blocks.is_some_and(|blocks| blocks <= 12),
                "{what}: {blocks:?}"
            );
            step(&mut world);
            assert_eq!(world.done(), [a_move(1, None).what.key()], "{what}");
            assert!(world.level() <= deadline, "{what}");
            let words = words(&world);
            let at = |word| words.iter().position(|other| *other == word);
            assert!(
                at("unadvised").unwrap() < at("signed").unwrap(),
                "{words:?}"
            );
            let told = world.notices.iter().filter(
                |notice| matches!(notice, Notice::Unadvised { reason, .. } if reason.contains("since level 3")),
            );
            assert_eq!(told.clone().count(), 1, "{what}");
            assert!(told.clone().all(Notice::is_alarm));
            let [content] = &world.newest()[..] else {
                panic!("{what}");
            };
            assert_eq!(content.gas_limit, Gas(50_000));
            assert_eq!(content.storage_limit, StorageBytes(0));
        }
    }
}

#[test]
fn without_a_clock_a_move_waits_longest_and_is_sent_all_the_same() {
    let mut world = World::new(Settings::default());
    world.lie = Some(LIES[0]);
    world.wanted = vec![a_move(1, None)];
    assert_eq!(waited(&mut world, 30), Some(10));
}

#[test]
fn no_stake_is_sent_against_advice_however_urgent() {
    let refusal = vec![super::network::node_error("smart_rollup_bad_inbox_level")];
    let answers = [
        |id, refusal| Observation::Unfit(id, refusal),
        |id, _| Observation::NotSimulated(id, "no answer".into()),
    ];
    for answer in answers {
        let mut world = World::new(Settings::default());
        world.wanted = vec![wanted(1, Some(4))];
        let (mut carrier, draft) = super::carrier::first_draft_of(&mut world);
        for effect in carrier.step(answer(draft.id, refusal.clone())) {
            assert!(!matches!(effect, Effect::Sign(_)), "{effect:?}");
        }
        assert_eq!(carrier.alive(), []);
    }
}

#[test]
fn a_node_shown_to_be_wrong_is_not_believed_again_until_it_is_right() {
    let mut world = World::new(Settings::default());
    world.lie = Some(LIES[0]);
    world.wanted = vec![a_move(1, Some(100))];
    assert_eq!(waited(&mut world, 30), Some(10));
    step(&mut world);
    world.wanted = vec![a_move(2, Some(100))];
    assert_eq!(waited(&mut world, 30), Some(0), "at once");
    // Now the chain refuses too.
    world.fails_with = Some("smart_rollup_proof_check");
    step(&mut world);
    world.fails_with = None;
    world.wanted = vec![a_move(3, Some(100))];
    assert!(waited(&mut world, 30) >= Some(9), "as patient as at first");
}

#[test]
fn several_go_together_the_most_urgent_first_and_what_is_vouched_for_goes_before_what_can_wait() {
    let mut world = World::new(Settings {
        batch: 4,
        ..Settings::default()
    });
    world.lie = Some(Lie::Fails("smart_rollup_wrong_turn"));
    world.wanted = (1..=6)
        .map(|nth| a_move(nth, Some(60 - u16::from(nth))))
        .collect();
    waited(&mut world, 30).unwrap();
    let keys: Vec<_> = (3..=6)
        .rev()
        .map(|nth| a_move(nth, None).what.key())
        .collect();
    assert_eq!(world.carrier.carried(), keys);
    assert!(gas(&world.newest()).iter().all(|gas| *gas == Gas(50_000)));

    for (deadline, expected) in [(5, wanted(9, None)), (40, a_move(1, None))] {
        let mut world = World::new(Settings::default());
        world.lie = Some(Lie::Fails("smart_rollup_wrong_turn"));
        world.wanted = vec![a_move(1, Some(14)), wanted(9, Some(deadline))];
        world.is_deaf = true;
        world.tell();
        for _ in 0..6 {
            world.bake(None);
            world.tell();
        }
        assert_eq!(world.carrier.carried(), [expected.what.key()], "{deadline}");
    }
}

#[test]
fn the_fee_cap_holds_against_advice_too() {
    let mut world = World::new(Settings {
        fee_cap: Mutez(5_000),
        ..Settings::default()
    });
    world.lie = Some(LIES[0]);
    world.wanted = vec![a_move(1, Some(30))];
    assert_eq!(waited(&mut world, 40), None);
    assert!(
        world
            .notices
            .contains(&Notice::FeeCap { cap: Mutez(5_000) })
    );
    assert!(!words(&world).contains(&"signed"));
}

#[test]
fn gas_told_too_low_is_found_out_by_the_chain_and_too_high_is_cut_to_what_there_is() {
    let mut world = World::new(Settings::default());
    world.lie = Some(Lie::Gas(1));
    world.wanted = vec![a_move(1, Some(1000))];
    world.tell();
    assert_eq!(gas(&world.newest()), [Gas(301)]);
    world.fails_with = Some("gas_exhausted.operation");
    step(&mut world);
    world.fails_with = None;
    // The world counts what it included as done.
    world.wanted = vec![a_move(2, Some(1000))];
    world.tell();
    assert_eq!(gas(&world.newest()), [Gas(50_000)]);

    // With little time nobody waits to be shown.
    let mut world = World::new(Settings::default());
    world.lie = Some(Lie::Gas(1));
    world.wanted = vec![a_move(1, Some(12))];
    world.tell();
    assert_eq!(gas(&world.newest()), [Gas(50_000)]);

    let mut world = World::new(Settings::default());
    world.lie = Some(Lie::Gas(u64::MAX));
    world.wanted = vec![a_move(1, Some(1000)), a_move(2, Some(1000))];
    world.tell();
    assert_eq!(gas(&world.newest()), [Gas(500_000), Gas(1_300)]);
}
