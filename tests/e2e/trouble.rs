//! What cannot be judged is said, never guessed; and judged once it can be.

use watchtower::crypto::{Dialect, blake2b};
use watchtower::journal::{Judgement, Severity};
use watchtower::sim::Failing;

use crate::world::{HONEST, PERIOD, World, setup};

fn reasons(world: &World) -> Vec<(u32, String)> {
    world
        .verdicts_of(HONEST)
        .into_iter()
        .filter_map(|(level, judgement)| match judgement {
            Judgement::NotJudgeable { reason, .. } => Some((level, reason)),
            _ => None,
        })
        .collect()
}

#[track_caller]
fn assert_alarm(world: &World, kind: &str) {
    let alarms = world.reader().alarms(100).unwrap();
    let found = alarms
        .iter()
        .any(|(_, severity, found, _)| found == kind && *severity == Severity::Critical);
    assert!(found, "no critical {kind:?} among {alarms:?}");
}

#[test]
fn a_missing_preimage_blinds_from_its_level_on_until_it_is_there() {
    let world = World::new(setup(Dialect::Modern));
    let page = b"revealed".to_vec();
    let mut command = b"R\x00".to_vec();
    command.extend(blake2b(&page).0);
    let name = world
        .chain
        .shared
        .with(|scenario| scenario.keep_preimage(page.clone()));
    world.command(PERIOD + 2, &command);
    let head = 3 * PERIOD + 4;
    world.advance(head);

    assert_eq!(world.follow(head, &[]), 11);
    let missing = "missing preimage".to_owned();
    assert_eq!(
        reasons(&world),
        [(2 * PERIOD, missing.clone()), (3 * PERIOD, missing)]
    );
    assert_alarm(&world, "not judgeable");
    let status = world
        .watchtower_in(&world.data())
        .arg("status")
        .output()
        .unwrap();
    assert_eq!(status.status.code(), Some(11));
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(said.contains(&name), "{said}");

    let pages = world.folder().join("pages/wasm_2_0_0");
    std::fs::create_dir_all(&pages).unwrap();
    std::fs::write(pages.join(&name), &page).unwrap();
    let folder = world.folder().join("pages").display().to_string();
    assert_eq!(world.follow(head, &["--preimages", &folder]), 0);
    world.assert_honest_true(3);
}

#[test]
fn an_inbox_that_the_node_contradicts_stops_the_verdicts() {
    let world = World::new(setup(Dialect::Modern));
    let head = 2 * PERIOD + 4;
    world.advance(head);
    let wrong = world.level(PERIOD + 2);
    world
        .chain
        .endpoint
        .change_weather(|weather| weather.wrong_inbox_at = Some(wrong));
    assert_eq!(world.follow(head, &[]), 11);
    assert_eq!(reasons(&world), [(2 * PERIOD, "inbox mismatch".into())]);
    assert_alarm(&world, "inbox mismatch");
}

#[test]
fn a_block_that_the_node_cannot_tell_is_read_again_until_it_can() {
    let world = World::new(setup(Dialect::Modern));
    let head = 2 * PERIOD + 4;
    world.advance(head);
    let silent = world.block_hash(PERIOD + 2);
    world.chain.endpoint.change_weather(|weather| {
        weather.failing = vec![Failing {
            path: format!("{silent}/protocols"),
            status: 404,
        }];
    });
    let mut tower = world
        .follow_in(&world.data(), world.level(head))
        .spawn()
        .unwrap();
    // The tower says what it cannot read and waits: it neither skips the block nor ends.
    world.until_alarm("node", &silent);
    assert_eq!(tower.try_wait().unwrap(), None);
    assert!(world.verdicts_of(HONEST).len() < 2);
    world
        .chain
        .endpoint
        .change_weather(|weather| weather.failing.clear());
    assert_eq!(tower.wait().unwrap().code(), Some(0));
    world.assert_honest_true(2);
}

#[test]
fn an_endless_kernel_is_not_judgeable_and_the_tower_lives() {
    let world = World::new(setup(Dialect::Modern));
    world.command(PERIOD + 2, b"L\xff\xff\xff\xff");
    let head = 2 * PERIOD + 4;
    world.advance(head);
    assert_eq!(world.follow(head, &[]), 11);
    assert_alarm(&world, "not judgeable");
}
