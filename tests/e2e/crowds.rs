//! From one opponent to more than the chain lets us play at once, both openers, and other kernels, at
//! mainnet's tick constants.

use std::path::Path;

use watchtower::sim::{Drill, Opens, crowd};

use crate::arena::Arena;

fn defended(drill: &Drill, kernel: Option<&[u8]>) {
    let mut arena = Arena::staged(drill, kernel);
    arena.start(arena.mode());
    arena.settle();
    let mut most = 0;
    while !arena.is_done() {
        arena.step();
        let playing = arena.status().borrow().play.games.len();
        assert!(playing <= 32, "{playing} games at once");
        most = most.max(playing);
    }
    let liars = drill.opponents.len();
    println!(
        "{} is over at level {}, {most} at once",
        drill.name,
        arena.level()
    );
    assert!(most >= liars.min(32) / 2, "{most} games at once at most");
    if let Some(complaint) = arena.verdict() {
        panic!("{complaint}");
    }
}

/// Large crowds and large kernels take minutes: a campaign, like all drills.
fn is_campaign() -> bool {
    std::env::var("WATCHTOWER_DRILLS").is_ok_and(|wanted| wanted == "all")
}

#[test]
fn a_crowd_that_waits_to_be_opened_against_is_beaten() {
    defended(&crowd(6, Opens::None), None);
    if is_campaign() {
        defended(&crowd(17, Opens::None), None);
        defended(&crowd(40, Opens::None), None);
    }
}

#[test]
fn a_crowd_that_opens_by_itself_is_beaten() {
    defended(&crowd(3, Opens::All), None);
    if is_campaign() {
        defended(&crowd(16, Opens::All), None);
        defended(&crowd(40, Opens::All), None);
    }
}

/// A kernel of the reference's, beside the checkout; none where it is not.
fn kernel_beside(name: &str) -> Option<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/kernels");
    let found = std::fs::read(folder.join(name)).ok();
    if found.is_none() {
        println!("{name} is not beside the checkout: not played with");
    }
    found
}

fn with_kernel(name: &str, liars: u32, opens: Opens) {
    let Some(kernel) = kernel_beside(name) else {
        return;
    };
    let drill = crowd(liars, opens);
    let named = Drill {
        name: format!("{}_{name}", drill.name),
        ..drill
    };
    defended(&named, Some(&kernel));
}

#[test]
fn liars_about_the_echo_kernel_are_beaten() {
    with_kernel("echo.wasm", 2, Opens::None);
    if is_campaign() {
        with_kernel("echo.wasm", 16, Opens::All);
        with_kernel("echo.wasm", 40, Opens::None);
    }
}

/// In every run one of either kind; the campaign has more.
#[test]
fn liars_about_the_transaction_kernel_are_beaten() {
    with_kernel("tx-kernel-no-verif.wasm", 1, Opens::All);
    if is_campaign() {
        with_kernel("tx-kernel-no-verif.wasm", 4, Opens::None);
        with_kernel("tx-kernel-no-verif.wasm", 16, Opens::All);
    }
}
