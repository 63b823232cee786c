//! `watchtower pvm` through the binary, against the hashes of a recorded run.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::{Value, json};

struct Recorded {
    folder: tempfile::TempDir,
    hashes: BTreeMap<u128, String>,
    /// First tick of each phase.
    phases: BTreeMap<String, u128>,
}

/// A recorded run as files: the kernel, and its inputs in the form of the command.
fn recorded() -> Option<Recorded> {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/oracle");
    let text = std::fs::read_to_string(vectors.join("scenarios/nop.v6.jsonl")).ok()?;
    let mut lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let header = lines.next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kernel = hex::decode(header["kernel"].as_str().unwrap()).unwrap();
    std::fs::write(folder.path().join("kernel"), kernel).unwrap();
    let (mut hashes, mut phases) = (BTreeMap::new(), BTreeMap::new());
    let mut levels: Vec<(Value, Vec<Value>)> = Vec::new();
    for line in lines.filter(|line| line.get("event").is_some()) {
        let tick: u128 = line["tick"].as_str().unwrap().parse().unwrap();
        hashes.insert(tick, line["hash"].as_str().unwrap().to_owned());
        let phase = line["phase"].as_str().unwrap().to_owned();
        phases.entry(phase).or_insert(tick);
        if line["event"] == "input" {
            let level = line["level"].clone();
            if levels.last().is_none_or(|(last, _)| *last != level) {
                levels.push((level, Vec::new()));
            }
            let (_, messages) = levels.last_mut().unwrap();
            messages.push(line["payload"].clone());
        }
    }
    let levels: Vec<_> = levels
        .into_iter()
        .map(|(level, messages)| json!({"level": level, "messages": messages}))
        .collect();
    let ticks: u64 = header["ticks_per_snapshot"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let inputs = json!({
        "version": header["version"],
        "ticks_per_snapshot": ticks,
        "outbox_validity_period": header["outbox_validity_period"],
        "outbox_message_limit": header["outbox_message_limit"],
        "levels": levels,
    });
    std::fs::write(folder.path().join("inputs"), inputs.to_string()).unwrap();
    Some(Recorded {
        folder,
        hashes,
        phases,
    })
}

impl Recorded {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn pvm(&self, command: &str) -> Command {
        let mut program = Command::cargo_bin("watchtower").unwrap();
        program
            .args(["pvm", command, "--kernel"])
            .arg(self.file("kernel"));
        program.arg("--inputs").arg(self.file("inputs"));
        program.env("HOME", self.folder.path());
        program
    }
}

fn said(command: &mut Command) -> String {
    let output = command.assert().success().get_output().stdout.clone();
    String::from_utf8(output).unwrap()
}

#[test]
fn hashes_at_ticks_are_the_recorded_ones() {
    let Some(recorded) = recorded() else { return };
    let chosen: Vec<_> = recorded.hashes.iter().step_by(23).collect();
    let ticks: Vec<String> = chosen.iter().map(|(tick, _)| tick.to_string()).collect();
    let found = said(recorded.pvm("trace").args(["--ticks", &ticks.join(",")]));
    let expected: String = chosen
        .iter()
        .map(|(tick, hash)| format!("{tick} {hash}\n"))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn proofs_of_every_phase_verify_and_check() {
    let Some(recorded) = recorded() else { return };
    let file = recorded.file("proof");
    for (phase, tick) in &recorded.phases {
        if !recorded.hashes.contains_key(&(tick + 1)) {
            continue;
        }
        let mut prove = recorded.pvm("prove");
        let told = said(
            prove
                .args(["--tick", &tick.to_string()])
                .arg("--output")
                .arg(&file),
        );
        assert!(told.contains(&recorded.hashes[tick]), "{phase}: {told}");
        let mut verify = Command::cargo_bin("watchtower").unwrap();
        let told = said(verify.args(["pvm", "verify"]).arg(&file));
        assert!(
            told.contains(&recorded.hashes[&(tick + 1)]),
            "{phase}: {told}"
        );
        let mut check = Command::cargo_bin("watchtower").unwrap();
        check.arg("check").arg(&file).assert().success();
    }
    let damaged = std::fs::read_to_string(&file)
        .unwrap()
        .replacen("0300", "0301", 1);
    std::fs::write(&file, damaged).unwrap();
    let mut verify = Command::cargo_bin("watchtower").unwrap();
    verify.args(["pvm", "verify"]).arg(&file).assert().code(12);
}

#[test]
fn a_dump_is_one_that_check_reads() {
    let Some(recorded) = recorded() else { return };
    let tick = recorded.phases["eval:next"];
    let text = said(recorded.pvm("dump").args(["--tick", &tick.to_string()]));
    assert!(text.contains(&recorded.hashes[&tick]));
    let file = recorded.file("dump");
    std::fs::write(&file, text).unwrap();
    let mut check = Command::cargo_bin("watchtower").unwrap();
    check.arg("check").arg(&file).assert().success();
}

#[test]
fn a_state_is_described_with_its_phase() {
    let Some(recorded) = recorded() else { return };
    for phase in ["collect", "decode", "init:exports", "eval:start", "padding"] {
        let tick = recorded.phases[phase];
        let text = said(recorded.pvm("state").args(["--tick", &tick.to_string()]));
        let phase = phase.split(':').next().unwrap();
        assert!(
            text.contains(phase) && text.contains(&tick.to_string()),
            "{text}"
        );
    }
}
