//! Where we would contradict ourselves, or stand on something false, nothing more is sent; a brake
//! that is on when a tower starts keeps its first operation back; two towers do not fight.

use watchtower::config::Mode;
use watchtower::journal::{AssertionRow, Entry, Journal, PlayEntry};
use watchtower::protocol::{BlockHash, Commitment, StateHash, Tick};
use watchtower::sim::{Act, Deed};
use watchtower::tower::TowerError;

use crate::arena::{Arena, Came, named};

/// What the tower finds to be true of the first period, and the block of its end; nothing is said.
fn first_truth(arena: &mut Arena) -> (BlockHash, Commitment) {
    arena.start(Mode::Observe);
    let truth = loop {
        arena.shared.with(|scenario| scenario.advance().unwrap());
        let head = arena.level();
        arena.wait(|status| status.tip == Some(head));
        let own = arena.reader().own_commitments(&arena.rollup).unwrap();
        let found = own.into_iter().find(|(_, own)| own.number_of_ticks > 0);
        if let Some(found) = found {
            break found;
        }
    };
    arena.stop();
    truth
}

fn signed(arena: &Arena) -> usize {
    let steps = arena.reader().operation_steps().unwrap();
    steps.iter().filter(|(_, row)| row.step == "signed").count()
}

/// Plays on without a signature, and says whether people heard of the contradiction.
fn nothing_is_sent(arena: &mut Arena, blocks: u32, before: usize) -> bool {
    for _ in 0..blocks {
        arena.step();
    }
    let story = || {
        arena
            .shared
            .with(|scenario| watchtower::sim::story(scenario))
    };
    let story = story().join("\n");
    assert_eq!(
        signed(arena),
        before,
        "sent in spite of a contradiction: {story}"
    );
    let heard = arena.heard();
    heard
        .iter()
        .any(|(rule, severity, _)| rule == "contradiction" && severity == "critical")
}

#[test]
fn what_contradicts_an_earlier_assertion_is_not_sent() {
    let mut arena = Arena::new(&named("pvm_proof_1"));
    let (block, truth) = first_truth(&mut arena);
    // The same tick of the same period was once said to have another state.
    let journal = Journal::open(&arena.data().join("journal.sqlite")).unwrap();
    journal
        .write(vec![Entry::from(PlayEntry::Assertion(AssertionRow {
            rollup: arena.rollup,
            period: block,
            parent: truth.predecessor,
            level: truth.inbox_level,
            tick: Tick(truth.number_of_ticks.into()),
            state: Some(StateHash([7; 32])),
        }))])
        .unwrap();
    drop(journal);
    arena.start(Mode::Defend);
    arena.settle();
    assert!(nothing_is_sent(&mut arena, 12, 0), "nobody heard of it");
    let holds = arena.status().borrow().play.holds.clone();
    assert!(
        holds.iter().any(|(_, hold)| *hold == "contradiction"),
        "{holds:?}"
    );
    assert!(!arena.report().is_bonded);
    // It outlives the tower.
    arena.stop();
    arena.start(Mode::Defend);
    arena.settle();
    nothing_is_sent(&mut arena, 3, 0);
    arena.stop();
}

#[test]
fn who_stands_on_something_false_sends_nothing_more() {
    let mut arena = Arena::new(&named("pvm_proof_1"));
    let (_, truth) = first_truth(&mut arena);
    let (rollup, defender) = (arena.rollup, arena.defender);
    let commitment = Commitment {
        compressed_state: StateHash([7; 32]),
        ..truth
    };
    arena.shared.with(|scenario| {
        let publish = Act::one(defender, Deed::Publish { rollup, commitment });
        scenario.act(&publish).unwrap();
        scenario.advance().unwrap();
    });
    assert!(arena.report().is_bonded);
    arena.start(Mode::Defend);
    arena.settle();
    // Longer than it stands by because the publication was not its own.
    assert!(nothing_is_sent(&mut arena, 40, 0), "nobody heard of it");
    arena.stop();
}

#[test]
fn a_brake_that_is_on_at_the_start_keeps_the_first_operation_back() {
    let mut arena = Arena::defended(&named("pvm_proof_1"));
    while arena.report().dissections == 0 {
        assert_eq!(arena.step(), Came::Settled);
    }
    arena.stop();
    // The opponent moves while the tower is away: an answer is due at once.
    arena.shared.with(|scenario| scenario.advance().unwrap());
    watchtower::tower::pull(&arena.data(), "a test").unwrap();
    let before = signed(&arena);
    arena.start(Mode::Defend);
    arena.settle();
    arena.step();
    assert_eq!(signed(&arena), before, "in spite of the brake");
    watchtower::tower::release(&arena.data()).unwrap();
    arena.wait(|status| status.play.holds.is_empty());
    arena.run();
    assert_eq!(arena.verdict(), None);
}

#[test]
fn a_running_tower_holds_its_data_directory_until_it_ends() {
    let mut arena = Arena::defended(&named("pvm_proof_1"));
    arena.step();
    let second = watchtower::tower::lock(&arena.data());
    assert!(matches!(second, Err(TowerError::InUse(_))), "{second:?}");
    arena.stop();
    watchtower::tower::lock(&arena.data()).unwrap();
}

/// Whoever is second notices that the key is in use, or says the very same; when the first is gone,
/// it takes over.
#[test]
fn two_machines_with_one_key_do_not_fight_and_one_is_enough() {
    let mut first = Arena::defended(&named("pvm_proof_1"));
    let mut second = Arena::beside(&first);
    second.start(Mode::Defend);
    second.settle();
    while first.report().dissections < 2 {
        assert_eq!(first.step(), Came::Settled);
        assert_eq!(second.settle(), Came::Settled);
    }
    first.stop();
    second.run();
    assert_eq!(second.verdict(), None);
}

#[test]
fn a_machine_that_finds_its_key_in_use_stands_by_says_so_and_takes_over() {
    let mut first = Arena::defended(&named("pvm_proof_1"));
    while first.report().dissections == 0 {
        assert_eq!(first.step(), Came::Settled);
    }
    let mut second = Arena::beside(&first);
    second.start(Mode::Defend);
    second.settle();
    while first.report().dissections < 3 {
        assert_eq!(first.step(), Came::Settled);
        assert_eq!(second.settle(), Came::Settled);
    }
    let holds = second.status().borrow().play.holds.clone();
    assert!(
        holds.iter().any(|(_, hold)| *hold == "stand by"),
        "{holds:?}"
    );
    assert_eq!(signed(&second), 0, "beside the first");
    first.stop();
    second.run();
    let alarms = second.reader().alarms(u32::MAX).unwrap();
    let is_told = alarms
        .iter()
        .any(|(.., message)| message.contains("another program has the key"));
    assert!(is_told, "{alarms:?}");
    assert_eq!(second.verdict(), None);
}
