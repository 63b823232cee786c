//! Several rollups in one process, and one process under a service manager.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use watchtower::crypto::{Dialect, blake2b};
use watchtower::journal::Judgement;
use watchtower::sim::{Actor, From, Strategy};

use crate::served::Serving;
use crate::world::{PERIOD, World, complaint, setup};

const RECKONER: &[u8] = include_bytes!("../data/kernels/reckoner.wasm");
const HONEST: u32 = 3;
const LIAR: u32 = 4;

#[test]
fn a_rollup_that_cannot_be_judged_keeps_no_other_from_being_judged() {
    let world = World::new(setup(Dialect::Modern));
    world.advance(1);
    let other = world.chain.shared.with(|scenario| {
        let other = scenario.originate(HONEST, RECKONER).unwrap();
        scenario.hire(Actor::new(HONEST, other, Strategy::Honest));
        let from = scenario.chain().level().plus(2 * PERIOD + 1).unwrap();
        let lie = Strategy::WrongState(From::level(from));
        scenario.hire(Actor::new(LIAR, other, lie));
        other
    });
    // Every rollup gets every message; this one means something to the first one's kernel alone.
    let page = b"revealed".to_vec();
    let mut command = b"R\x00".to_vec();
    command.extend(blake2b(&page).0);
    world
        .chain
        .shared
        .with(|scenario| scenario.keep_preimage(page));
    world.command(PERIOD + 2, &command);
    let end = 5 * PERIOD;
    world.advance(end);

    let output = world
        .follow_in(&world.data(), world.level(end))
        .arg(other.to_string())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(10), "{}", complaint(&output));
    let reader = world.reader();
    assert!(reader.unknown(&world.rollup).unwrap().is_some());
    assert!(reader.unknown(&other).unwrap().is_none());
    let reached = reader.last_state(&other).unwrap().unwrap().level;
    assert_eq!(reached, world.level(end));
    let verdicts = reader.verdicts(&other).unwrap();
    let of = |fits: fn(&Judgement) -> bool| {
        let found = verdicts.iter().filter(|verdict| fits(&verdict.judgement));
        found.count()
    };
    let right = of(|judgement| *judgement == Judgement::True);
    let wrong = of(|judgement| matches!(judgement, Judgement::False { .. }));
    assert!(right >= 3 && wrong >= 1, "{verdicts:?}");
    assert_eq!(right + wrong, verdicts.len(), "{verdicts:?}");
}

#[test]
fn a_service_manager_hears_that_it_is_ready_and_alive() {
    let world = World::new(setup(Dialect::Modern));
    world.advance(PERIOD);
    let path = world.folder().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let patience = Some(Duration::from_secs(60));
    manager.set_read_timeout(patience).unwrap();
    let heard = || {
        let mut bytes = [0; 4096];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let mut command = world.watchtower_in(&world.data());
    command
        .env("NOTIFY_SOCKET", &path)
        .args(["follow", &world.name()])
        .args(["--node", &world.chain.endpoint.url()])
        .args(["--listen", "127.0.0.1:0", "--log-format", "json"]);
    let mut tower = Serving::of(command);
    assert!(heard().contains("READY=1"), "first of all");
    world.advance(PERIOD + 1);
    assert!(heard().contains("WATCHDOG=1"), "with each turn of the loop");
    tower.signal("-TERM");
    assert!(tower.child.wait().unwrap().success(), "an orderly end");
}
