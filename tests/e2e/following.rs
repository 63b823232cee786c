//! Following a healthy chain: every verdict right, in both dialects, over reorganisations.

use watchtower::crypto::Dialect;
use watchtower::journal::Judgement;
use watchtower::protocol::{Level, Protocol};
use watchtower::sim::{Abandoned, Parameters};

use crate::world::{LIAR, PERIOD, SECOND, World, setup};

fn busy(world: &World) {
    world.command(1, b"W\x06/greethello");
    world.command(3, b"B\x03\0\0\0");
    world.command(4, b"M");
    world.command(6, b"T");
    world.command(8, b"W\x06/againworks");
    world.command(9, b"L\x00\x10\0\0");
    world.command(12, b"D still here");
}

fn a_liar_is_told_from_the_honest(dialect: Dialect) {
    let world = World::new(setup(dialect));
    busy(&world);
    world.hire_liar(PERIOD + 1);
    world.advance(3 * PERIOD + 4);
    assert_eq!(world.follow(3 * PERIOD + 4, &[]), 10);
    world.assert_honest_true(3);
    let lies = world.verdicts_of(LIAR);
    assert_eq!(lies.len(), 3, "{lies:?}");
    for (level, verdict) in lies {
        match verdict {
            Judgement::True => assert!(level <= PERIOD, "a lie at {level} was believed"),
            Judgement::False { field, .. } => {
                assert!(level > PERIOD);
                assert_eq!(field, "compressed_state");
            }
            other => panic!("{other:?}"),
        }
    }
    let conflicts = world.reader().conflicts(&world.rollup).unwrap();
    assert_eq!(conflicts.len(), 1, "only the first pair are siblings");
    assert_eq!(conflicts.first().unwrap().level, world.level(2 * PERIOD));
}

#[test]
fn a_liar_is_told_from_the_honest_in_todays_dialect() {
    a_liar_is_told_from_the_honest(Dialect::Modern);
}

#[test]
fn a_liar_is_told_from_the_honest_in_the_scr1_dialect() {
    a_liar_is_told_from_the_honest(Dialect::Scr1);
}

#[test]
fn upgrades_preimages_and_a_protocol_migration_are_followed() {
    let parameters = Parameters::mainnet(Protocol::Ushuaia).with_lengths(PERIOD, 1000, 1000);
    let migrating = setup(Dialect::Modern).migrating(Level::new(9), Protocol::Ushuaia, parameters);
    let world = World::new(migrating);
    let pages = world.folder().join("preimages");
    std::fs::create_dir(&pages).unwrap();
    let mut upgrade = b"U".to_vec();
    for page in SECOND.chunks(4096) {
        let name = world
            .chain
            .shared
            .with(|scenario| scenario.keep_preimage(page.to_vec()));
        std::fs::write(pages.join(&name), page).unwrap();
        upgrade.extend(hex::decode(name).unwrap());
    }
    world.command(4, &upgrade);
    world.command(11, b"W\x06/greethello");
    world.advance(3 * PERIOD + 4);
    let folder = pages.display().to_string();
    assert_eq!(world.follow(3 * PERIOD + 4, &["--preimages", &folder]), 0);
    world.assert_honest_true(3);

    // Offline, on kept preimages alone, from the store and from the kernel.
    std::fs::remove_dir_all(&pages).unwrap();
    for more in [&[][..], &["--from-kernel"]] {
        let replay = world
            .watchtower_in(&world.data())
            .arg("replay")
            .args(more)
            .output()
            .unwrap();
        assert!(replay.status.success(), "{replay:?}");
    }
    let version = world
        .watchtower_in(&world.data())
        .args(["state", "get", "/version"])
        .output()
        .unwrap();
    assert_eq!(version.stdout, b"2", "{version:?}");
}

#[test]
fn reorganisations_of_any_depth_end_in_the_same_record_as_the_final_chain() {
    let world = World::new(setup(Dialect::Modern));
    busy(&world);
    world.hire_liar(PERIOD + 1);
    let mut head = 2 * PERIOD;
    world.advance(head);
    for depth in [1, 2, PERIOD, 2 * PERIOD - 1, 3] {
        world.follow(head, &[]);
        world.chain.shared.with(|scenario| {
            let blocks = depth + 1;
            scenario
                .chain_mut()
                .reorganise(depth, blocks, Abandoned::Returned)
                .unwrap();
        });
        head += 3;
        world.advance(head);
    }
    world.follow(head, &[]);
    let fresh = world.folder().join("fresh");
    let output = world.follow_in(&fresh, world.level(head)).output().unwrap();
    assert!(output.status.code().is_some(), "{output:?}");
    assert_eq!(world.essence(&world.data()), world.essence(&fresh));
}
