//! What packages and operators get from the program itself: manual pages, completions, a first
//! configuration, copies of the journal; and that what lies in `contrib` names things that exist.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

use std::path::Path;

use assert_cmd::Command;
use watchtower::journal::{Entry, Journal};

fn watchtower(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("watchtower").unwrap();
    command
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("WATCHTOWER_DATA_DIR", folder.join("data"));
    command
}

fn said(command: &mut Command) -> String {
    let output = command.assert().success().get_output().stdout.clone();
    String::from_utf8(output).unwrap()
}

#[test]
fn every_command_has_a_manual_page_and_every_shell_its_completions() {
    let folder = tempfile::tempdir().unwrap();
    watchtower(folder.path())
        .args(["manual", "--output", "pages"])
        .assert()
        .success();
    for page in [
        "watchtower.1",
        "watchtower-follow.1",
        "watchtower-state-get.1",
    ] {
        let text = std::fs::read_to_string(folder.path().join("pages").join(page)).unwrap();
        assert!(text.contains(".SH NAME"), "{page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let text = said(watchtower(folder.path()).args(["completions", shell]));
        assert!(text.contains("follow"), "{shell}");
    }
}

#[test]
fn the_first_configuration_is_commented_whole_and_never_overwrites() {
    let folder = tempfile::tempdir().unwrap();
    let init = |more: &[&str]| {
        let mut command = watchtower(folder.path());
        command.args(["init", "--yes"]).args(more);
        command
    };
    init(&[]).assert().code(3);
    let answers = [
        "--node",
        "http://127.0.0.1:1",
        "sr1K3AUoYanTUup53MCb8DkbvLsiAmFuXfFm",
        "--preimages",
        "/nowhere",
    ];
    // The node and the folder are not there: the file is written all the same, doctor complains.
    init(&answers).assert().code(13);
    let text = std::fs::read_to_string(folder.path().join("watchtower.toml")).unwrap();
    for line in [
        "endpoints = [\"http://127.0.0.1:1\"]",
        "address = \"sr1K3AUoYanTUup53MCb8DkbvLsiAmFuXfFm\"",
        "preimages = \"/nowhere\"",
        "# timeout_seconds = 30",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
    }
    let uncommented: Vec<_> = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest)
                if rest.split_once(" = ").is_some_and(|(key, _)| {
                    key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                }) =>
            {
                rest
            }
            _ => line,
        })
        .collect();
    toml::from_str::<toml::Table>(&uncommented.join("\n")).unwrap();
    let output = init(&answers).assert().code(3).get_output().stderr.clone();
    assert!(String::from_utf8(output).unwrap().contains("exists"));
}

#[test]
fn the_journal_is_copied_checked_and_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("data/journal.sqlite");
    std::fs::create_dir_all(folder.path().join("data")).unwrap();
    let started = |command: &str| Entry::RunStarted {
        version: "1".into(),
        command: command.into(),
    };
    Journal::open(&journal)
        .unwrap()
        .write(vec![started("one")])
        .unwrap();
    let run = |arguments: &[&str]| said(watchtower(folder.path()).arg("journal").args(arguments));
    assert!(run(&["backup", "copy"]).contains("1 run"));
    assert!(run(&["check"]).contains("sound"));
    Journal::open(&journal)
        .unwrap()
        .write(vec![started("two")])
        .unwrap();
    assert!(run(&["check"]).contains("2 run"));
    assert!(run(&["restore", "copy"]).contains("replaced-1"));
    assert!(run(&["check"]).contains("1 run"));

    // Not beside a running tower.
    let lock = std::fs::File::create(folder.path().join("data/lock")).unwrap();
    lock.try_lock().unwrap();
    watchtower(folder.path())
        .args(["journal", "restore", "copy"])
        .assert()
        .code(5);
}

#[test]
fn the_unit_is_hardened_where_systemd_can_say_so() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/watchtower.service");
    let security = std::process::Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=20"])
        .arg(&unit)
        .output();
    let Ok(output) = security else {
        println!("systemd-analyze is not installed");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    // Older ones know no --offline.
    if said.contains("Overall exposure level") {
        assert!(output.status.success(), "exposed by more than 2.0:\n{said}");
    }
    let text = std::fs::read_to_string(unit).unwrap();
    assert!(text.contains("WatchdogSec=") && text.contains("ExecReload="));
}

#[test]
fn the_unit_and_the_container_start_commands_that_exist() {
    let contrib = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib");
    let unit = std::fs::read_to_string(contrib.join("watchtower.service")).unwrap();
    let start = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/watchtower "))
        .unwrap();
    let mut words = start.split(' ');
    let folder = tempfile::tempdir().unwrap();
    watchtower(folder.path())
        .args([words.next().unwrap(), "--help"])
        .assert()
        .success();
    assert_eq!(words.next(), Some("--config"));
}
