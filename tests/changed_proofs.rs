//! Proofs of the reference machine that were tampered with: none holds, none makes us panic, and
//! what a proof does not show is a failed proof, never an outcome of the machine.
//!
//! A proof may show more than its tick reads: layer 1 accepts that (`Context.verify_tree_proof`
//! asks for both hashes and for nothing to be missing), and so do we.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

use std::path::{Path, PathBuf};

use serde_json::Value;
use watchtower::check::Lines;
use watchtower::merkle::{Proof, ProofError, TreeError};
use watchtower::protocol::Level;
use watchtower::pvm::InputInfo;
use watchtower::pvm::slow::{self, Input, ProveError};

/// Environment variable with the number of changes to each proof, for a long campaign over all
/// files.
const CAMPAIGN: &str = "WATCHTOWER_PROOF_CHANGES";

fn vectors() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/oracle/proofs");
    folder.is_dir().then_some(folder)
}

/// splitmix64
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

fn input(line: &Value) -> Input {
    let message = &line["input"]["inbox"];
    match message["payload"].as_str() {
        None => Input::None,
        Some(payload) => Input::Message {
            info: InputInfo {
                level: Level::try_from(message["level"].as_i64().unwrap()).unwrap(),
                counter: u128::from(message["counter"].as_u64().unwrap()),
            },
            payload: hex::decode(payload).unwrap(),
        },
    }
}

/// The proofs to change: some of each of some files, or in a campaign all of all.
fn chosen(folder: &Path, campaign: bool) -> Vec<(String, Vec<u8>, Input)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let lines = Lines::open(&file).unwrap();
        for (number, text) in lines.numbered() {
            if !campaign && number % 9 != 0 {
                continue;
            }
            let line: Value = serde_json::from_str(text).unwrap();
            let raw = hex::decode(line["proof"].as_str().unwrap()).unwrap();
            let name = format!("{}, line {number}", file.display());
            found.push((name, raw, input(&line)));
        }
    }
    assert!(found.len() > 50, "only {} proofs", found.len());
    found
}

fn holds(raw: &[u8], input: &Input) -> bool {
    Proof::decode(raw).is_ok_and(|proof| slow::verify(&proof, input).is_ok())
}

#[test]
fn no_changed_proof_holds() {
    let Some(folder) = vectors() else { return };
    let count = std::env::var(CAMPAIGN)
        .ok()
        .and_then(|text| text.parse().ok());
    for (name, raw, input) in chosen(&folder, count.is_some()) {
        let mut random = Random(raw.len() as u64);
        assert!(holds(&raw, &input), "{name}");
        assert!(
            !holds(&[raw.as_slice(), &[0]].concat(), &input),
            "{name}: longer"
        );
        for _ in 0..count.unwrap_or(12) {
            let mut other = raw.clone();
            let at = random.below(raw.len());
            let what = random.below(4);
            match what {
                0 => other[at] ^= 1 << random.below(8),
                1 => other.truncate(at),
                2 => drop(other.remove(at)),
                _ => other.insert(at, u8::try_from(random.below(256)).unwrap()),
            }
            if other != raw {
                assert!(!holds(&other, &input), "{name}: change {what} at byte {at}");
            }
        }
    }
}

#[test]
fn no_proof_holds_for_another_input() {
    let Some(folder) = vectors() else { return };
    for (name, raw, input) in chosen(&folder, false) {
        let Input::Message { info, payload } = &input else {
            continue;
        };
        let with = |info: InputInfo, payload: Vec<u8>| Input::Message { info, payload };
        let later = InputInfo {
            counter: info.counter + 1,
            ..*info
        };
        let longer = [payload.as_slice(), &[0]].concat();
        for other in [
            Input::None,
            Input::Revealed(payload.clone()),
            with(later, payload.clone()),
            with(*info, longer),
        ] {
            assert!(!holds(&raw, &other), "{name}: {other:?}");
        }
    }
}

#[test]
fn a_proof_that_shows_too_little_fails_as_a_proof() {
    let Some(folder) = vectors() else { return };
    for (name, raw, input) in chosen(&folder, false) {
        let proof = Proof::decode(&raw).unwrap();
        let mut small = None;
        let _ = proof.verify(|tree| {
            small = Some(Proof::produce(tree, |tree| {
                tree.find(&["wasm", "current_tick"])
            }));
        });
        let (small, _) = small.unwrap().unwrap();
        match slow::verify(&small, &input) {
            Err(ProveError::Proof(ProofError::Tree(TreeError::OutsideProof { .. }))) => {}
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn two_ticks_do_not_fit_into_one_proof() {
    let Some(folder) = vectors() else { return };
    for (name, raw, input) in chosen(&folder, false) {
        let proof = Proof::decode(&raw).unwrap();
        if input != Input::None {
            continue;
        }
        let twice = proof.verify(|tree| {
            let _ = slow::Machine::decode(tree).and_then(|mut machine| {
                machine.tick()?;
                let _ = machine.tick();
                *tree = machine
                    .encode(watchtower::wasm::encoding::Style::Exact)?
                    .clone();
                Ok(())
            });
        });
        assert!(twice.is_err(), "{name}");
    }
}
