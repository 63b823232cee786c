//! The program itself, as people run it: a configuration file, a key file, and a new configuration
//! in the middle of a game.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use watchtower::sim::Role;

use crate::arena::{Arena, named};
use crate::served::Serving;

fn watchtower(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_watchtower"));
    command
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null())
        .arg("--data-dir")
        .arg(folder.join("data"));
    command
}

fn private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn configure(arena: &Arena, folder: &Path, kept_levels: u32) {
    let text = format!(
        "mode = \"defend\"\n[node]\nendpoints = [\"{}\"]\n\
         [signer]\nkey = \"main\"\npassphrase_file = \"passphrase\"\n\
         [store]\nkept_levels = {kept_levels}\n\
         [serve]\nlisten = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\n\
         [[rollup]]\naddress = \"{}\"\n",
        arena.url(),
        arena.rollup
    );
    std::fs::write(folder.join("watchtower.toml"), text).unwrap();
}

/// Waits until the tower has done what it wants to at the head, or a while: it may have to wait.
fn let_act(arena: &Arena, tower: &Serving) {
    let level = i64::from(arena.level().get());
    let began = Instant::now();
    loop {
        let answer = tower.get("/api/v1/status");
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let status: Value = serde_json::from_str(body).unwrap();
        let play = &status["play"];
        let is_idle = play["working"] == 0
            && (play["wanted"] == 0 || status["operations"]["pending"].as_u64() > Some(0));
        let is_there = status["seen_level"].as_i64() == Some(level);
        if is_there && (is_idle || began.elapsed() > Duration::from_secs(1)) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{status:#}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn advance(arena: &Arena, tower: &Serving) {
    arena.shared.with(|scenario| scenario.advance().unwrap());
    let_act(arena, tower);
    assert!(arena.level() < arena.drill.last, "{:?}", arena.report());
}

#[test]
fn a_new_configuration_in_the_middle_of_a_game_loses_nothing_of_it() {
    let arena = Arena::new(&named("pvm_proof_1"));
    assert_eq!(arena.drill.defence.role, Role::Defend);
    let data = arena.data();
    let folder = data.parent().unwrap();
    private(&folder.join("passphrase"), "correct horse battery staple\n");
    private(&folder.join("secret"), &arena.secret());
    let imported = watchtower(folder)
        .args(["keys", "import", "main", "--file", "secret"])
        .args(["--passphrase-file", "passphrase"])
        .output()
        .unwrap();
    assert!(imported.status.success(), "{imported:?}");
    configure(&arena, folder, 240);

    let mut command = watchtower(folder);
    command.arg("follow");
    let mut tower = Serving::of(command);
    let_act(&arena, &tower);
    while arena.report().dissections == 0 {
        advance(&arena, &tower);
    }
    configure(&arena, folder, 77);
    tower.signal("-HUP");
    tower.logged(&["configuration read again", "\"starts_anew\":true"]);
    tower.moved();
    while !arena.is_done() {
        advance(&arena, &tower);
    }
    let report = arena.report();
    assert!(report.is_won(), "{report:?}");
    assert_eq!((report.slashed.len(), report.failed), (1, 0), "{report:?}");
    assert!(!report.is_bonded, "the bond is home");
    tower.signal("-TERM");
    assert!(tower.child.wait().unwrap().success(), "an orderly end");
    let counts = arena.reader().counts().unwrap();
    let count = |kind: &str| counts.iter().find(|(name, _)| *name == kind).unwrap().1;
    assert_eq!((count("run"), count("run-end")), (2, 2), "{counts:?}");
}
