//! Money: enough of it, made final, and brought home.

use super::super::*;
use super::world::{ME, STAKE, WINDOW, World, level, who};
use crate::config::Mode;
use crate::protocol::Mutez;
use crate::tower::stakes::Fact;

#[test]
fn too_little_money_is_told_before_it_is_needed() {
    let mut world = World::new(Mode::Defend, 1);
    world.account.balance = Mutez(STAKE);
    assert!(matches!(
        world.plan().concerns[..],
        [Concern::LowBalance { .. }]
    ));
    world.stand(1);
    assert_eq!(world.plan().concerns, []);
    world.account.balance = Mutez(1);
    assert!(matches!(
        world.plan().concerns[..],
        [Concern::LowBalance { .. }]
    ));
}

#[test]
fn cementing_waits_for_the_window_and_needs_the_truth_alone() {
    let mut world = World::new(Mode::Defend, 1);
    world.stand(1);
    let due = level(1).plus(2 + WINDOW).unwrap();
    world.head = due.minus(2).unwrap();
    assert_eq!(world.wishes(), [""; 0]);
    world.head = due.minus(1).unwrap();
    assert_eq!(world.wishes(), ["cement"]);
    let mut disputed = world.clone();
    disputed.lie(1, 1);
    assert_eq!(disputed.wishes(), ["open 1"]);
    // A lie alone is never cemented by us.
    let mut lie = World::new(Mode::Operate, 1);
    lie.lie(1, 1);
    lie.head = due;
    assert!(!lie.wishes().contains(&"cement".to_owned()));
    // Without a bond of ours it is no business of defend.
    let mut stranger = World::new(Mode::Defend, 1);
    let truth = stranger.truth(1);
    stranger.publish(9, truth);
    stranger.head = due;
    assert_eq!(stranger.wishes(), [""; 0]);
}

#[test]
fn the_bond_comes_home_when_nothing_needs_it() {
    let cemented = |world: &mut World, period: u32| {
        let hash = world.truth(period).hash();
        world.stakes.apply(&Fact::Cemented {
            level: level(period),
            hash: Some(hash),
        });
    };
    let mut world = World::new(Mode::Defend, 2);
    world.stand(1);
    assert_eq!(world.wishes(), [""; 0], "not final yet");
    cemented(&mut world, 1);
    assert_eq!(world.wishes(), ["recover"]);
    world.mode = Mode::Operate;
    assert_eq!(world.wishes(), ["publish 2"], "an operator stays");
    world.mode = Mode::Defend;
    world.lie(1, 2);
    assert_eq!(world.wishes(), ["publish 2"], "another lie needs it");
    world.mode = Mode::Bailout;
    assert_eq!(world.wishes(), ["recover"], "bailout takes no new stake");
    world.play(ME, 3, 1, 3, 10);
    assert_eq!(world.wishes(), [""; 0], "a game still runs");
    world.games.clear();
    assert!(!world.plan().is_finished);
    world.account.is_bonded = false;
    let plan = world.plan();
    assert_eq!(plan.wishes, []);
    assert!(plan.is_finished);
}

/// Bailout publishes nothing, so it says what stays where it is, and until when that can be helped.
#[test]
fn bailout_says_what_keeps_the_bond_from_coming_home() {
    let mut world = World::new(Mode::Bailout, 3);
    world.stand(2);
    let below = world.truth(1);
    let held_up = |world: &World| {
        let concerns = world.plan().concerns.into_iter();
        let found: Vec<_> = concerns
            .filter_map(|concern| match concern {
                Concern::BondHeldUp {
                    commitment,
                    level: at,
                    bond,
                    until,
                } => Some((commitment == below.hash(), at, bond, until)),
                _ => None,
            })
            .collect();
        assert!(found.len() <= 1, "{found:?}");
        found.first().copied()
    };
    // Whoever is honest holds it up.
    world.publish(4, below);
    assert_eq!(held_up(&world), None);
    // A liar about the next period, on the way there, will be gone.
    let mut liars = World::new(Mode::Bailout, 3);
    liars.stand(2);
    liars.publish(1, below);
    liars.lie(1, 2);
    let curfew = level(1).plus(2 + WINDOW - 1);
    assert_eq!(held_up(&liars), Some((true, level(1), level(2), curfew)));
    assert!(liars.wishes().iter().all(|wish| wish != "publish 1"));
    liars.mode = Mode::Defend;
    assert_eq!(held_up(&liars), None);
    assert!(liars.wishes().contains(&"publish 1".to_owned()));
    // A lie where somebody else stands, but not we: it is not ours to open.
    let mut contested = world.clone();
    contested.lie(3, 1);
    assert_eq!(
        held_up(&contested),
        Some((true, level(1), level(2), curfew))
    );
    // Once the curfew is over a liar who still stands is enough for the cementation.
    liars.mode = Mode::Bailout;
    liars.head = curfew.unwrap().next().unwrap();
    assert_eq!(held_up(&liars), None);
    assert!(liars.wishes().contains(&"cement".to_owned()));
    // Nobody any more: it stays, in every mode.
    liars.stakes.apply(&Fact::Unstaked { staker: who(1) });
    for mode in [Mode::Bailout, Mode::Defend, Mode::Operate] {
        liars.mode = mode;
        assert_eq!(
            held_up(&liars),
            Some((true, level(1), level(2), None)),
            "{mode}"
        );
        assert!(
            liars.wishes().iter().all(|wish| wish != "publish 1"),
            "{mode}"
        );
    }
}
