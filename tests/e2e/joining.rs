//! A rollup that joins a journal which is already past its origination.

use watchtower::crypto::Dialect;
use watchtower::journal::{Judgement, Reader};
use watchtower::protocol::{Level, RollupAddress};
use watchtower::sim::{Actor, From, Person, Strategy};

use crate::world::{COMMANDER, PERIOD, World, code, reader, setup};

const LATE_HONEST: u32 = 3;
const LATE_LIAR: u32 = 4;

/// What the journal holds of a rollup, without numbers and times. Positions count the operations on
/// all watched rollups of a block, so they depend on which are watched.
fn essence(reader: &Reader, rollup: &RollupAddress) -> Vec<String> {
    let mut essence = Vec::new();
    let head = reader.head().unwrap().unwrap().level;
    for row in reader.states_between(rollup, Level::ZERO, head).unwrap() {
        essence.push(format!("{} {}", row.level, row.hash));
    }
    for row in reader.published(rollup).unwrap() {
        essence.push(format!(
            "{:?} {} {:?}",
            row.block, row.staker, row.commitment
        ));
    }
    for row in reader.operations(rollup).unwrap() {
        essence.push(format!("{} {} {}", row.level, row.kind, row.detail));
    }
    for row in reader.verdicts(rollup).unwrap() {
        essence.push(format!("{} {:?}", row.commitment, row.judgement));
    }
    for row in reader.conflicts(rollup).unwrap() {
        essence.push(format!("{} {} {}", row.level, row.staker, row.other_staker));
    }
    // Rows of the past are written while newer ones are.
    essence.sort();
    essence
}

#[test]
fn a_late_rollup_catches_up_while_the_first_goes_on() {
    let world = World::new(setup(Dialect::Modern));
    world.advance(2);
    let late = world.chain.shared.with(|scenario| {
        let late = scenario.originate(LATE_HONEST, COMMANDER).unwrap();
        let from = scenario.chain().level().plus(PERIOD + 1).unwrap();
        scenario.hire(Actor::new(LATE_HONEST, late, Strategy::Honest));
        let lie = Strategy::WrongState(From::level(from));
        scenario.hire(Actor::new(LATE_LIAR, late, lie));
        late
    });
    let first_stop = 3 * PERIOD;
    world.advance(first_stop);
    assert_eq!(world.follow(first_stop, &[]), 0);

    let end = 5 * PERIOD;
    world.advance(end);
    let both = world
        .follow_in(&world.data(), world.level(end))
        .arg(late.to_string())
        .output()
        .unwrap();
    assert_eq!(code(&both), 10, "{}", String::from_utf8_lossy(&both.stderr));
    world.assert_honest_true(4);

    // The same as if it had been watched alone from its beginning.
    let alone = world.folder().join("alone");
    let node = world.chain.endpoint.url();
    let until = world.level(end).to_string();
    let output = world
        .watchtower_in(&alone)
        .args([
            "follow",
            &late.to_string(),
            "--node",
            &node,
            "--until",
            &until,
        ])
        .output()
        .unwrap();
    assert_eq!(code(&output), 10);
    let (together, alone) = (
        essence(&world.reader(), &late),
        essence(&reader(&alone), &late),
    );
    assert_eq!(together, alone);
    let liar = world
        .chain
        .shared
        .with(|scenario| scenario.person(LATE_LIAR).map(Person::account).unwrap());
    let reader = world.reader();
    let lies: Vec<_> = reader
        .published(&late)
        .unwrap()
        .into_iter()
        .filter(|row| row.staker == liar)
        .map(|row| row.commitment.hash())
        .collect();
    let caught = reader.verdicts(&late).unwrap();
    let caught = caught.iter().filter(|row| {
        matches!(row.judgement, Judgement::False { .. }) && lies.contains(&row.commitment)
    });
    assert!(caught.count() > 0);
    let rows = reader.backfills().unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows.first().unwrap().level, rows.first().unwrap().goal);
}

#[test]
fn what_the_chain_tells_kernels_is_kept_for_offline_runs() {
    let world = World::new(setup(Dialect::Modern));
    let head = 2 * PERIOD;
    world.advance(head);
    assert_eq!(world.follow(head, &[]), 0);
    let rows = world.reader().constants().unwrap();
    assert_eq!(
        rows.len(),
        1,
        "constants that do not change are written once"
    );
    let first = rows.first().unwrap();
    assert_eq!(first.level, world.origin);
    let [slots, lag, slot_size, page_size] = first.dal.unwrap();
    assert_eq!((slots, lag, slot_size, page_size), (32, 8, 126_944, 3_967));
    // The simulated chain answers nothing of its data-availability layer: it says so by levels that
    // never come, not by its switch.
    let never = Some(Level::try_from(i64::from(i32::MAX) - 1).unwrap());
    assert_eq!(first.reveals[2..], [never, never]);
    let replay = world
        .watchtower_in(&world.data())
        .arg("replay")
        .output()
        .unwrap();
    assert_eq!(code(&replay), 0);
}
