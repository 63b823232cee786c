//! kill -9 at random points, then on: the same record, no row lost, none twice.

use std::process::Stdio;

use watchtower::crypto::{Dialect, blake2b_concat};
use watchtower::protocol::Level;

use crate::world::{PERIOD, RESTARTED, World, reader, rows, setup};

const KILLS: u64 = 20;

/// What the journal holds so far; 0 while there is none.
fn written(data: &std::path::Path) -> u64 {
    watchtower::journal::Reader::open(&data.join("journal.sqlite"))
        .and_then(|reader| reader.counts())
        .map_or(0, |counts| counts.iter().map(|(_, count)| count).sum())
}

#[test]
fn a_tower_killed_twenty_times_writes_the_same_record() {
    let seed: u64 = std::env::var("WATCHTOWER_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    println!("WATCHTOWER_TEST_SEED={seed}");
    let world = World::new(setup(Dialect::Modern));
    for blocks in (1..12 * PERIOD).step_by(4) {
        world.command(blocks, format!("W\x04/key{blocks}").as_bytes());
    }
    world.command(7, b"T");
    world.command(13, b"B\x02\0\0\0");
    world.hire_liar(3 * PERIOD + 1);
    let head = 12 * PERIOD + 4;
    world.advance(head);
    let until = world.level(head);

    let whole = world.folder().join("whole");
    let calm = world.follow_in(&whole, until).output().unwrap();
    assert_eq!(calm.status.code(), Some(10), "{calm:?}");
    let all = written(&whole);

    let killed = world.data();
    for turn in 0..KILLS {
        let hash = blake2b_concat(&[&seed.to_be_bytes(), &turn.to_be_bytes()]);
        let random = u64::from_be_bytes(hash.0[..8].try_into().unwrap());
        let at = all * turn / KILLS + random % (all / KILLS).max(1);
        let mut tower = world
            .follow_in(&killed, until)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while written(&killed) < at && tower.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        // Gone already is as good: it had reached the end.
        let _ = tower.kill();
        tower.wait().unwrap();
    }
    let last = world.follow_in(&killed, until).output().unwrap();
    assert_eq!(last.status.code(), Some(10), "{last:?}");
    assert_eq!(world.essence(&killed), world.essence(&whole));
    let (mut ours, theirs) = (rows(&killed), rows(&whole));
    assert_eq!(ours, theirs);
    let count = ours.len();
    ours.dedup();
    assert_eq!(ours.len(), count, "a row is there twice");
    let counts = reader(&killed).counts().unwrap();
    let count = |name: &str| counts.iter().find(|(kind, _)| *kind == name).unwrap().1;
    // One may have reached the end before it was to be killed.
    let (runs, ends) = (count("run"), count("run-end"));
    assert!(runs - ends > 1, "of {runs} runs {ends} reached an end");
    let told = |data: &std::path::Path| reader(data).alarms_of(RESTARTED).unwrap();
    assert_eq!(told(&whole), 0, "it ended in an orderly way");
    assert_eq!(told(&killed), runs - ends, "each kill is told, once");
    assert!(Level::ZERO < until);
}
