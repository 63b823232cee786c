//! Crash-only: whatever a tower was doing when it ended, the next one goes on from chain and journal,
//! wins the same game, and nothing is done twice.

use watchtower::sim::{Hold, When};

use crate::arena::{Arena, Came, named};

#[test]
fn a_tower_that_ends_at_every_block_goes_on_from_chain_and_journal() {
    let mut arena = Arena::defended(&named("pvm_proof_1"));
    while !arena.is_done() {
        arena.shared.with(|scenario| scenario.advance().unwrap());
        // Stopped or ended, before it has settled or after.
        let turn = arena.level().get() % 4;
        if turn < 2 {
            arena.settle();
        }
        if turn % 2 == 0 {
            arena.stop();
        } else {
            arena.crash();
        }
        arena.restart();
    }
    assert_eq!(arena.verdict(), None);
}

/// Plays a game in which the tower ends at this request of every block, if it comes to it.
fn ended_at(drill: &str, hold: impl Fn(u32) -> Hold) -> u32 {
    let mut arena = Arena::defended(&named(drill));
    let mut crashes = 0;
    while !arena.is_done() {
        arena.hold(Some(hold(arena.level().get().unsigned_abs())));
        if arena.step() == Came::Held {
            arena.crash();
            crashes += 1;
            arena.restart();
        }
        arena.hold(None);
    }
    assert_eq!(arena.verdict(), None);
    crashes
}

fn at(path: &'static str, when: When) -> impl Fn(u32) -> Hold {
    move |_| Hold { path, nth: 1, when }
}

const INJECTION: &str = "/injection/operation";
const SIMULATION: &str = "/scripts/simulate_operation";

#[test]
fn a_tower_that_ends_after_signing_and_before_sending_sends_what_it_signed() {
    let crashes = ended_at("pvm_proof_1", at(INJECTION, When::Before));
    assert!(crashes >= 8, "{crashes}");
}

#[test]
fn a_tower_that_ends_after_sending_and_before_knowing_sends_nothing_twice() {
    let crashes = ended_at("timeout", at(INJECTION, When::After));
    assert!(crashes >= 5, "{crashes}");
}

#[test]
fn a_tower_that_ends_while_it_plans_plans_again() {
    let crashes = ended_at("inbox_proof_0", at(SIMULATION, When::Before));
    assert!(crashes >= 4, "{crashes}");
}

#[test]
fn a_tower_that_ends_at_any_other_question_to_the_node_asks_again() {
    // Another question at each block: reading it, its games and clocks, the account, the mempool.
    let crashes = ended_at("pvm_proof_3", |level| Hold {
        path: "/",
        nth: 1 + level * 7 % 31,
        when: if level % 2 == 0 {
            When::Before
        } else {
            When::After
        },
    });
    assert!(crashes >= 20, "{crashes}");
}

#[test]
fn stakes_that_the_storage_had_before_they_were_lost_come_too_late() {
    let mut arena = Arena::defended(&named("pvm_proof_1"));
    while arena.report().dissections == 0 {
        arena.step();
    }
    arena.crash();
    arena.hold(Some(Hold {
        path: "/commitments",
        nth: 1,
        when: When::After,
    }));
    arena.start(arena.mode());
    // The game is won while the tower that was started anew still reads who has which stake.
    while arena.report().slashed.is_empty() {
        arena.settle_whatever_is_held();
        arena.shared.with(|scenario| scenario.advance().unwrap());
    }
    arena.settle_whatever_is_held();
    arena.hold(None);
    while !arena.is_done() {
        arena.step();
    }
    assert_eq!(arena.verdict(), None);
}
