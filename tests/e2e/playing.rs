//! The real tower in defend mode against the adversaries of the drills: in each, the liars' bonds
//! go, ours comes home, and every invariant holds.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use watchtower::config::Mode;
use watchtower::protocol::Level;
use watchtower::sim::{Act, Deed, Drill, Strategy, Weather, suite};

use crate::arena::{self, Arena, Came, mode, named};

/// Played in every run: one of each kind of opponent and of fault.
const SLICE: &[&str] = &[
    "arith_inbox_proof_at_genesis",
    "inbox_proof_0",
    "pvm_proof_1",
    "pvm_proof_3",
    "pvm_proof_second_period",
    "timeout",
    "migration_ongoing_game_pvm",
    "more_ticks",
    "stuck",
    "wrong_reveal",
    "duplicate_move",
    "invalid_proof_first",
    "opens_and_leaves",
    "many_lies",
    "freeloader",
    "reorg_of_two",
    "operations_lost",
    "operations_delayed",
    "endpoint_other_branch",
    "endpoint_lags",
    "flapping",
    "node_hides_disputes",
    "node_hides_games",
    "node_hides_bonds",
    "node_refuses_moves",
    "node_lacks_games",
    "node_invents_final_moves",
];

/// The drills that `WATCHTOWER_DRILLS` names, or `all` of them: a campaign of its own, since whole
/// games of every adversary take long. Without it, the slice.
fn chosen() -> Vec<Drill> {
    let wanted = std::env::var("WATCHTOWER_DRILLS").ok();
    let mut drills = suite();
    let names: Vec<_> = match wanted.as_deref() {
        Some("all") => return drills,
        Some(wanted) => wanted.split(',').collect(),
        None => SLICE.to_vec(),
    };
    drills.retain(|drill| names.contains(&drill.name.as_str()));
    assert_eq!(drills.len(), names.len(), "{names:?}: not all are drills");
    drills
}

fn defended(drill: &Drill) -> Option<String> {
    let mut arena = Arena::defended(drill);
    if let Some(restart) = drill.defence.restart {
        while !arena.is_done() && arena.level() < restart.after {
            arena.step();
        }
        arena.stop();
        arena.start(mode(restart.role));
        arena.settle();
    }
    arena.run();
    arena.verdict()
}

#[test]
fn in_every_drill_the_liars_lose_their_stakes_and_ours_is_safe() {
    let drills = chosen();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(drill) = drills.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let complaint = defended(drill);
                    if let Some(complaint) = &complaint {
                        println!("{complaint}");
                    }
                    failures.lock().unwrap().extend(complaint);
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn shadow_decides_everything_and_sends_nothing() {
    let drill = named("pvm_proof_1");
    let mut arena = Arena::new(&drill);
    arena.start(Mode::Shadow);
    arena.settle();
    for _ in 0..30 {
        arena.step();
    }
    assert!(!arena.report().is_bonded, "shadow staked");
    arena.stop();
    let steps = arena.reader().operation_steps().unwrap();
    assert!(
        steps.iter().any(|(_, row)| row.step == "would_send"),
        "{steps:?}"
    );
    assert!(steps.iter().all(|(_, row)| row.step != "signed"));
    let decisions = arena.reader().decisions(&arena.rollup, 10).unwrap();
    assert!(!decisions.is_empty());
}

#[test]
fn the_brake_stops_sending_beside_a_running_tower_and_the_next_block_after_it_has_what_was_held() {
    let mut arena = Arena::defended(&named("pvm_proof_1"));
    let data = arena.data();
    watchtower::tower::pull(&data, "a test").unwrap();
    arena.wait(|status| !status.play.holds.is_empty());
    for _ in 0..25 {
        arena.step();
    }
    assert!(!arena.report().is_bonded, "sent in spite of the brake");
    watchtower::tower::release(&data).unwrap();
    arena.wait(|status| status.play.holds.is_empty() && status.play.wanted > 0);
    arena.settle();
    arena.step();
    assert!(arena.report().is_bonded, "not in the next block");
    arena.run();
    assert_eq!(arena.verdict(), None);
}

#[test]
fn a_brake_in_the_middle_of_a_game_holds_back_no_longer_than_it_is_on() {
    let mut arena = Arena::defended(&named("pvm_proof_1"));
    while arena.report().dissections == 0 {
        assert_eq!(arena.step(), Came::Settled);
    }
    let data = arena.data();
    watchtower::tower::pull(&data, "a test").unwrap();
    arena.wait(|status| !status.play.holds.is_empty());
    arena.step();
    arena.step();
    let before = arena.report().dissections;
    watchtower::tower::release(&data).unwrap();
    arena.wait(|status| status.play.holds.is_empty());
    arena.settle();
    arena.step();
    assert_eq!(arena.report().dissections, before + 1, "in the next block");
    arena.run();
    assert_eq!(arena.verdict(), None);
}

#[test]
fn where_two_endpoints_are_on_two_branches_nothing_is_staked_and_people_hear_of_it() {
    let other = Weather {
        disagree_from: Some(Level::new(9)),
        ..Weather::default()
    };
    let mut arena = Arena::defended(&Drill {
        endpoints: vec![Weather::default(), other],
        ..named("pvm_proof_1")
    });
    for _ in 0..16 {
        arena.step();
    }
    assert!(
        !arena.report().is_bonded,
        "staked on what one endpoint says"
    );
    let alarms = arena.reader().alarms(u32::MAX).unwrap();
    let mut of = alarms
        .iter()
        .filter(|(_, _, kind, _)| kind == "cannot judge");
    assert!(
        of.any(|(_, _, _, message)| message.contains("no stake yet")),
        "{alarms:?}"
    );
    arena.stop();
}

#[test]
fn bailout_plays_what_is_staked_gets_the_bond_home_and_ends() {
    let mut arena = Arena::defended(&named("pvm_proof_1"));
    while arena.report().games.is_empty() {
        assert_eq!(arena.step(), Came::Settled);
    }
    arena.stop();
    arena.start(Mode::Bailout);
    arena.settle();
    let mut came = Came::Settled;
    while !arena.is_done() && came == Came::Settled {
        came = arena.step();
    }
    // It ends by itself once the bond is home.
    if came == Came::Settled {
        arena.step();
    }
    assert_eq!(arena.verdict(), None);
}

#[test]
fn where_nobody_lies_nothing_is_sent_and_nobody_is_woken() {
    let mut drill = named("pvm_proof_1");
    for opponent in &mut drill.opponents {
        opponent.strategy = Strategy::Honest;
    }
    let mut arena = Arena::defended(&drill);
    for _ in 0..35 {
        assert_eq!(arena.step(), Came::Settled);
    }
    arena.stop();
    assert!(!arena.report().is_bonded, "staked against nobody");
    assert_eq!(arena.heard(), []);
    let alarms = arena.reader().alarms(u32::MAX).unwrap();
    assert!(alarms.is_empty(), "{alarms:?}");
    assert!(arena.reader().operation_steps().unwrap().is_empty());
}

/// Our bond lies above a true commitment that nobody but a liar stands on: bailout, which publishes
/// nothing, says until when that can be helped; defend helps, and the bond comes home.
#[test]
fn bailout_says_what_it_may_not_do_for_the_bond_and_defend_does_it() {
    let mut arena = Arena::new(&named("pvm_proof_second_period"));
    // Knows the truth and sends nothing.
    arena.start(Mode::Shadow);
    arena.settle();
    while arena.reader().own_commitments(&arena.rollup).unwrap().len() < 3 {
        assert_eq!(arena.step(), Came::Settled);
    }
    arena.step();
    let own = arena.reader().own_commitments(&arena.rollup).unwrap();
    arena.stop();
    let (rollup, defender) = (arena.rollup, arena.defender);
    let commitment = own.last().unwrap().1;
    let publish = Act::one(defender, Deed::Publish { rollup, commitment });
    arena.shared.with(|scenario| {
        scenario.act(&publish).unwrap();
        scenario.advance().unwrap();
    });
    assert!(arena.report().is_bonded);
    let alarms_of = |arena: &Arena| {
        let all = arena.reader().alarms(u32::MAX).unwrap().into_iter();
        let of = all.filter(|(_, _, kind, _)| kind == "bond held up");
        of.map(|(.., message)| message).collect::<Vec<_>>()
    };

    arena.start(Mode::Bailout);
    arena.settle();
    for _ in 0..5 {
        if alarms_of(&arena).is_empty() {
            arena.step();
        }
    }
    let said = alarms_of(&arena);
    assert!(
        matches!(&said[..], [one] if one.contains("start the tower in defend before level")),
        "{said:?}"
    );
    let published = |arena: &Arena| arena.newest_deeds().contains(&arena::Deed::Publication);
    assert!(!published(&arena));
    arena.stop();

    arena.start(Mode::Defend);
    arena.settle();
    // At first it stands by: what put the bond there was sent from its account, and not by it.
    for _ in 0..30 {
        if !published(&arena) {
            arena.step();
        }
    }
    let holds = arena.status().borrow().play.holds.clone();
    assert!(published(&arena), "what the bond rests on: {holds:?}");
    arena.run();
    let report = arena.report();
    assert!(report.is_won() && !report.is_bonded, "{report:?}");
    arena.stop();
    assert_eq!(alarms_of(&arena), said, "nothing was held up any more");
}
