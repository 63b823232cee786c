//! The mind against worlds made of random steps: after each one, memory is what the journal says,
//! and every verdict is the one that follows from the chain.

mod world;

use proptest::prelude::*;

use super::event::{Decision, Effect, Event, News, SeenBlock};
use crate::journal::{Alarm, StateRow};
use crate::protocol::{BlockHash, InboxHash, Level, PublicKeyHash, StateHash};

use world::{OLD, ORIGIN, ROLLUP, World, block_row, inbox_row};

/// One random step of a world.
#[derive(Debug, Clone, Copy)]
enum Move {
    Bake,
    Honest(u8, u32),
    Lie(u8, u32, u8),
    Unstake(u8),
    Cement(u32),
    Run(usize),
    Block,
    RollBack(usize),
    Restart,
    Head,
    Answer,
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => Just(Move::Bake),
        2 => (1..4_u8, 1..5_u32).prop_map(|(staker, nth)| Move::Honest(staker, nth)),
        2 => (1..4_u8, 1..5_u32, 10..16_u8).prop_map(|(s, nth, kind)| Move::Lie(s, nth, kind)),
        2 => prop_oneof![1..4_u8, Just(7)].prop_map(Move::Unstake),
        1 => (1..4_u32).prop_map(Move::Cement),
        5 => (1..6_usize).prop_map(Move::Run),
        1 => Just(Move::Block),
        1 => (1..5_usize).prop_map(Move::RollBack),
        1 => Just(Move::Restart),
        3 => Just(Move::Head),
        2 => Just(Move::Answer),
    ]
}

fn step(world: &mut World, next: Move) {
    match next {
        Move::Bake => world.bake(vec![], vec![]),
        Move::Honest(staker, nth) => {
            if let Some(right) = world.right(nth) {
                world.bake(vec![(staker, right)], vec![]);
            }
        }
        Move::Lie(staker, nth, kind) => {
            if let Some(lie) = world.lie(nth, kind) {
                world.bake(vec![(staker, lie)], vec![]);
            }
        }
        Move::Unstake(staker) => {
            let mut detail = serde_json::Map::new();
            let staker = PublicKeyHash::Tz1([staker; 20]);
            super::facts::add_unstaked(&mut detail, &[staker]);
            let detail = serde_json::Value::Object(detail).to_string();
            world.bake(vec![], vec![("recover_bond", detail)]);
        }
        Move::Cement(nth) => {
            if let Some(right) = world.right(nth) {
                let hash = right.hash();
                let detail = super::facts::cement_detail(right.inbox_level, Some(&hash));
                let detail = serde_json::Value::Object(detail).to_string();
                world.bake(vec![], vec![("cement", detail)]);
            }
        }
        Move::Run(count) => {
            world.run(count);
        }
        Move::Block => world.block_next(),
        Move::RollBack(depth) => world.roll_back(depth),
        Move::Restart => {
            world.reading = None;
            for rollup in world.model.rollups.values_mut() {
                rollup.reading = None;
                rollup.is_caught_up = false;
            }
            world.restart();
        }
        Move::Head => {
            let level = world.tip().level;
            world.take(Event::Head(level));
        }
        Move::Answer => world.answer(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn memory_is_what_the_journal_says_and_verdicts_follow_from_the_chain(
        story in proptest::collection::vec(moves(), 1..40)
    ) {
        let mut world = World::new();
        for next in story {
            step(&mut world, next);
            world.assert_verdicts();
            world.assert_stakes();
        }
    }
}

#[test]
fn who_left_while_the_storage_was_read_has_left() {
    let mut world = World::of_a_period();
    let (lie, right) = (world.lie(1, 12).unwrap(), world.right(1).unwrap());
    world.bake(vec![(1, lie), (2, right)], vec![]);
    world.run(10);
    step(&mut world, Move::Head);
    assert_eq!(world.reading.as_ref().unwrap().2.len(), 3);
    step(&mut world, Move::Unstake(1));
    step(&mut world, Move::Unstake(7));
    step(&mut world, Move::Answer);
    world.assert_stakes();
    let stakes = &world.model.rollups[&ROLLUP].stakes;
    assert_eq!(stakes.bonded().count(), 1);
    assert_eq!(stakes.conflicts(), []);
    // Where the block in which somebody left is gone, so is the leaving.
    world.roll_back(1);
    world.assert_stakes();
    let stakes = &world.model.rollups[&ROLLUP].stakes;
    assert!(stakes.is_bonded(&OLD));
}

fn alarms(world: &World) -> Vec<&Alarm> {
    world
        .news
        .iter()
        .filter_map(|news| match news {
            News::Alarm(alarm) => Some(alarm),
            _ => None,
        })
        .collect()
}

#[test]
fn a_lie_alarms_once_however_often_it_is_staked_on() {
    let mut world = World::of_a_period();
    let lie = world.lie(1, 12).unwrap();
    let right = world.right(1).unwrap();
    world.bake(vec![(1, lie), (2, right), (3, lie)], vec![]);
    let alarms = alarms(&world);
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert!(alarms.first().unwrap().message.contains("is false"));
    let conflicts = world
        .news
        .iter()
        .filter(|news| matches!(news, News::Conflict(_)));
    assert_eq!(conflicts.count(), 2);
}

#[test]
fn a_false_commitment_that_is_cemented_alarms_whichever_is_known_first() {
    for run_first in [true, false] {
        let mut world = World::new();
        for _ in 0..4 {
            world.bake(vec![], vec![]);
        }
        let lie = world.lie(1, 12).unwrap();
        if run_first {
            world.run(10);
        }
        let detail = super::facts::cement_detail(lie.inbox_level, Some(&lie.hash()));
        let detail = serde_json::Value::Object(detail).to_string();
        world.bake(vec![(1, lie)], vec![]);
        world.bake(vec![], vec![("cement", detail)]);
        if !run_first {
            world.run(10);
        }
        let kinds: Vec<_> = alarms(&world).iter().map(|alarm| alarm.kind).collect();
        assert!(
            kinds.contains(&super::alarms::FALSE_CEMENTED),
            "{run_first}: {kinds:?}"
        );
    }
}

#[test]
fn work_of_another_epoch_is_ignored() {
    let mut world = World::new();
    world.bake(vec![], vec![]);
    let stale = world.model.epoch;
    world.roll_back(1);
    world.bake(vec![], vec![]);
    let reached = world.model.rollups[&ROLLUP].reached;
    let block = world.tip();
    let decision = world.take(Event::Ran {
        epoch: stale,
        rollup: ROLLUP,
        after: reached.block,
        states: vec![StateRow {
            rollup: ROLLUP,
            block: block.hash,
            level: block.level,
            hash: StateHash([9; 32]),
            ticks: 1,
            status: "collect".into(),
            edges: vec![],
        }],
    });
    assert_eq!(decision, Decision::default());
}

/// A head that goes back and forth between two branches: what was computed on the first one counts
/// as soon as its blocks do, and what follows is computed on top of it.
#[test]
fn blocks_that_come_back_bring_their_states_with_them() {
    let mut world = World::new();
    for _ in 0..5 {
        world.bake(vec![], vec![]);
    }
    world.run(5);
    let left: Vec<_> = world.chain.values().rev().take(3).rev().cloned().collect();
    world.roll_back(3);
    world.bake(vec![], vec![]);
    world.run(1);
    world.roll_back(1);
    for row in left {
        world.chain.insert(row.level, row.clone());
        world.take(Event::Block(Box::new(SeenBlock {
            inbox: inbox_row(row.hash, row.level),
            block: row,
            publications: vec![],
            operations: vec![],
            receipts: vec![],
            is_back: true,
        })));
    }
    let tip = world.tip();
    assert_eq!(world.model.rollups[&ROLLUP].reached.block, tip.hash);
    world.bake(vec![], vec![]);
    world.run(1);
    world.assert_verdicts();
    let reached = world.model.rollups[&ROLLUP].reached;
    assert_eq!(reached.block, world.tip().hash);
    assert!(world.right(2).is_some());
}

#[test]
fn an_inbox_that_the_node_contradicts_stops_verdicts_until_it_leaves_the_chain() {
    let mut world = World::new();
    for _ in 0..4 {
        world.bake(vec![], vec![]);
    }
    let tip = world.tip();
    let level = tip.level.next().unwrap();
    let hash = BlockHash([0x77; 32]);
    let block = block_row(hash, level, tip.hash);
    let mut inbox = inbox_row(hash, level);
    inbox.node_hash = Some(InboxHash([8; 32]));
    world.chain.insert(level, block.clone());
    let decision = world.take(Event::Block(Box::new(SeenBlock {
        block,
        inbox,
        publications: vec![],
        operations: vec![],
        receipts: vec![],
        is_back: false,
    })));
    let wakes = decision.effects.iter().filter_map(|effect| match effect {
        Effect::Wake { block, .. } => Some(*block),
        _ => None,
    });
    assert_eq!(
        wakes.collect::<Vec<_>>(),
        [tip.hash],
        "nothing is run on messages that are in doubt"
    );
    assert_eq!(alarms(&world).len(), 1);
    assert!(world.model.is_blind());
    world.roll_back(1);
    assert!(!world.model.is_blind());
}

#[test]
fn a_run_with_an_end_finishes_there_and_not_before() {
    let mut world = World::new();
    world.model.until = Some(Level::new(ORIGIN + 2));
    let finishes = |decision: &Decision| decision.effects.contains(&Effect::Finish);
    let block = |world: &mut World| {
        let tip = world.tip();
        let level = tip.level.next().unwrap();
        let hash = BlockHash([level.get() as u8; 32]);
        world.chain.insert(level, block_row(hash, level, tip.hash));
        world.model.decide(Event::Block(Box::new(SeenBlock {
            block: block_row(hash, level, tip.hash),
            inbox: inbox_row(hash, level),
            publications: vec![],
            operations: vec![],
            receipts: vec![],
            is_back: false,
        })))
    };
    for _ in 0..2 {
        let decision = block(&mut world);
        assert!(!finishes(&decision));
        world.journal.write(decision.entries).unwrap();
    }
    let rollup = world.model.rollups.get_mut(&ROLLUP).unwrap();
    rollup.reached.level = Level::new(ORIGIN + 2);
    assert!(finishes(&world.model.decide(Event::Head(Level::new(9)))));
    assert!(!finishes(&world.model.decide(Event::Head(Level::new(9)))));
}
