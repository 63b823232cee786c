//! What people see of a game, on the data directory that a drill leaves behind: `games`, `explain`,
//! and evidence, whole and damaged.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Output of the program; it must end with this code.
fn told(data: &Path, arguments: &[&str], code: i32) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_watchtower"))
        .env_clear()
        .args(arguments)
        .arg("--data-dir")
        .arg(data)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}: {text}{errors}"
    );
    text
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Another value of the same kind.
fn changed(value: &Value) -> Option<Value> {
    match value {
        Value::Number(number) => Some((number.as_i64()? + 1).into()),
        Value::Bool(truth) => Some((!truth).into()),
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => {
            // In the middle: ends of labels are checksums, which would be caught too easily.
            let middle = text.len() / 2;
            let with = |digit: char| {
                let rest = text.get(middle + 1..)?;
                Some(format!("{}{digit}{rest}", text.get(..middle)?))
            };
            let other = if text.as_bytes().get(middle) == Some(&b'1') {
                '2'
            } else {
                '1'
            };
            with(other).map(Value::from)
        }
        _ => None,
    }
}

/// The places of everything that is not a list or an object, as JSON pointers.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, &format!("{at}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for (key, item) in fields {
                leaves(item, &format!("{at}/{key}"), found);
            }
        }
        _ => found.push(at.to_owned()),
    }
}

#[test]
fn a_drilled_game_is_explained_and_its_evidence_holds_until_anything_in_it_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("drill");
    let data = kept.join("data");
    let keep = kept.to_str().unwrap();
    told(&data, &["drill", "pvm_proof_3", "--keep", keep], 0);
    let games = parsed(&told(&data, &["games", "--all", "--json"], 0));
    let games = games.as_array().unwrap();
    assert!(!games.is_empty());
    for game in games {
        let number = game["number"].to_string();
        // Foreseen when it was played, and so it came.
        assert_eq!(game["forecast"]["loser"], game["loser"], "{game}");
        let explained = told(&data, &["explain", &number], 0);
        let costs = parsed(&told(&data, &["explain", &number, "--json"], 0));
        assert!(explained.contains("lost its stake"), "{explained}");
        assert_eq!(costs["cost"]["stake"], "10000000000", "{costs}");
        let fee: u64 = costs["cost"]["fee"]["mutez"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(fee > 100, "{costs}");
        let verdicts: Vec<_> = costs["claims"].as_array().unwrap().iter().collect();
        assert!(
            verdicts.iter().any(|claim| claim["verdict"] == "true"),
            "{costs}"
        );
    }
    rehearsals(&data);
    let file = folder.path().join("evidence.json");
    let name = file.to_str().unwrap();
    told(&data, &["evidence", "export", "1", "--output", name], 0);
    let whole = std::fs::read_to_string(&file).unwrap();
    let verified = told(&data, &["evidence", "verify", name], 0);
    assert!(verified.contains("Everything holds"), "{verified}");
    assert!(verified.contains("partial tree"), "{verified}");
    damage(&data, &parsed(&whole), &file);
    bad_files(&data, &whole, &file);
    bad_input(&data, folder.path());
}

/// One game about each kind of tick, in both roles, with what it took.
fn rehearsals(data: &Path) {
    let told = told(data, &["rehearse"], 0);
    let lines: Vec<_> = told.lines().skip(1).collect();
    for kind in ["decode", "init", "eval", "input", "padding"] {
        let mut of = lines.iter().filter(|line| {
            line.split_whitespace().next() == Some(kind) && line.contains(": won in")
        });
        let line = of
            .next()
            .unwrap_or_else(|| panic!("nothing about {kind}: {told}"));
        assert!(line.contains("proof") && line.contains("median"), "{line}");
    }
    for role in ["as refuter", "as defender"] {
        assert!(lines.iter().any(|line| line.contains(role)), "{told}");
    }
}

/// Whatever is changed, taken away or swapped, outside the context, is noticed.
fn damage(data: &Path, evidence: &Value, file: &Path) {
    let mut places = Vec::new();
    leaves(evidence, "", &mut places);
    places.retain(|place| !place.starts_with("/context"));
    // A process for each: some of every kind, the same ones each time.
    let mut kinds: std::collections::BTreeMap<String, Vec<String>> =
        std::collections::BTreeMap::new();
    for place in places {
        let kind: String = place
            .split('/')
            .filter(|part| part.parse::<u64>().is_err())
            .collect::<Vec<_>>()
            .join("/");
        kinds.entry(kind).or_default().push(place);
    }
    let notices = |damaged: &Value, what: &str| {
        std::fs::write(file, damaged.to_string()).unwrap();
        let told = told(data, &["evidence", "verify", file.to_str().unwrap()], 12);
        assert!(told.contains("DOES NOT HOLD"), "{what}: {told}");
    };
    for places in kinds.values() {
        for place in [places.first(), places.get(places.len() / 2), places.last()] {
            let place = place.unwrap();
            let mut damaged = evidence.clone();
            let target = damaged.pointer_mut(place).unwrap();
            let Some(other) = changed(target) else {
                continue;
            };
            *target = other;
            notices(&damaged, place);
        }
    }
    for list in [
        "inbox",
        "states",
        "positions",
        "moves",
        "operations",
        "claims",
    ] {
        let mut damaged = evidence.clone();
        let items = damaged[list].as_array_mut().unwrap();
        let middle = items.len() / 2;
        items.remove(middle);
        // A claim may be one of several; that of the opening may not go.
        if list != "claims" {
            notices(&damaged, list);
        }
    }
}

/// Cut off, of another version, with a section of another sort: each is one line, none a panic.
fn bad_files(data: &Path, whole: &str, file: &Path) {
    let name = file.to_str().unwrap();
    let refused = |content: &[u8], said: &str, what: &str| {
        std::fs::write(file, content).unwrap();
        let told = told(data, &["evidence", "verify", name], 12);
        assert!(told.starts_with("DOES NOT HOLD: "), "{what}: {told}");
        assert!(
            told.contains(said) && told.lines().count() == 1,
            "{what}: {told}"
        );
    };
    let cut = format!("{name} is cut off or no JSON");
    for part in [0, 1, 2, 5, 9] {
        let length = whole.len() * part / 10;
        refused(
            &whole.as_bytes()[..length],
            &cut,
            &format!("{length} bytes"),
        );
    }
    refused(b"\xff\xfe", &cut, "no text");
    refused(b"[]", "format is missing", "a list");
    let evidence = parsed(whole);
    let mut newer = evidence.clone();
    newer["format"] = "watchtower-evidence-3".into();
    refused(
        newer.to_string().as_bytes(),
        "watchtower-evidence-3",
        "newer",
    );
    let sections: Vec<_> = evidence.as_object().unwrap().keys().cloned().collect();
    for section in sections {
        for other in [
            Value::Null,
            Value::from(-1),
            "zz".into(),
            Value::Array(Vec::new()),
            serde_json::json!({}),
            serde_json::json!([null, 1, {"level": 1}]),
        ] {
            // Without an end it is evidence of a game that goes on.
            let goes_on = section == "end" && other.is_null();
            if evidence[&section] == other || goes_on {
                continue;
            }
            let mut damaged = evidence.clone();
            let what = format!("{section} as {other}");
            damaged[&section] = other;
            refused(damaged.to_string().as_bytes(), "", &what);
        }
    }
}

/// The last line of complaints, which must be the only one of the program's.
fn complaint(data: &Path, arguments: &[&str], code: i32) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_watchtower"))
        .env_clear()
        .args(arguments)
        .arg("--data-dir")
        .arg(data)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    let own = errors
        .lines()
        .filter(|line| line.starts_with("watchtower: "));
    assert_eq!(own.count(), 1, "{arguments:?}: {errors}");
    errors
}

/// Names that are none, files that cannot be, on a journal with a game in it.
fn bad_input(data: &Path, folder: &Path) {
    let nobody = "tz1burnburnburnburnburnburnburjAYjjX";
    let nowhere = folder.join("nowhere").join("evidence.json");
    let nowhere = nowhere.to_str().unwrap();
    let here = folder.to_str().unwrap();
    let unwatched = "sr1JPVatbbPoGp4vb6VfQ1jzEPMrYFcKq6VG";
    let cases: &[(&[&str], i32, &str)] = &[
        (&["explain", "99"], 3, "\"99\" is no game"),
        (&["explain", "0"], 3, "\"0\" is no game"),
        (&["explain", ""], 3, "\"\" is no game"),
        (&["explain", nobody, "--json"], 3, nobody),
        (&["evidence", "export", "99", "--output", nowhere], 3, "99"),
        (
            &["evidence", "export", "1", "--output", nowhere],
            1,
            nowhere,
        ),
        (&["evidence", "export", "1", "--output", here], 1, here),
        (&["evidence", "verify", nowhere], 3, nowhere),
        (&["evidence", "verify", here], 3, here),
        (&["rehearse", "--rollup", "sr1typo"], 3, "sr1typo"),
        (&["rehearse", "--rollup", unwatched], 3, unwatched),
        (&["rehearse", "--level=-1"], 3, "--level"),
        (&["rehearse", "--level", "999999"], 5, "999999"),
        (&["alerts", "ack", "99999"], 3, "99999"),
        (&["alerts", "test"], 3, "no channel"),
        (&["alerts", "test", "--channel", "people"], 3, "people"),
    ];
    for (arguments, code, said) in cases {
        let told = complaint(data, arguments, *code);
        assert!(told.contains(said), "{arguments:?}: {told}");
    }
    // Nothing is left of a file that could not be, and one that was there stays.
    let parts = std::fs::read_dir(folder).unwrap().flatten();
    let parts: Vec<_> = parts
        .filter(|entry| entry.path().extension().is_some_and(|end| end == "part"))
        .collect();
    assert!(parts.is_empty(), "{parts:?}");
}

#[test]
fn without_a_journal_every_question_says_so_and_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("nothing");
    let file = folder.path().join("evidence.json");
    for arguments in [
        &["games"] as &[&str],
        &["games", "--all", "--json"],
        &["explain", "1"],
        &[
            "evidence",
            "export",
            "1",
            "--output",
            file.to_str().unwrap(),
        ],
        &["rehearse"],
        &["alerts", "list"],
        &["alerts", "ack", "1"],
    ] {
        let told = complaint(&data, arguments, 5);
        assert!(told.contains("no journal at"), "{arguments:?}: {told}");
        assert!(
            told.contains(data.to_str().unwrap()),
            "{arguments:?}: {told}"
        );
    }
    for arguments in [&["brake", "on"], &["brake", "off"]] {
        let told = complaint(&data, arguments, 5);
        assert!(
            told.contains(data.to_str().unwrap()),
            "{arguments:?}: {told}"
        );
    }
    assert!(!data.exists() && !file.exists());
}

#[test]
fn the_brake_keeps_the_reason_that_it_was_first_pulled_for() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let first = told(data, &["brake", "on", "--reason", "the first"], 0);
    assert!(first.starts_with("The brake is on: "), "{first}");
    let again = told(data, &["brake", "on", "--reason", "the second"], 0);
    assert!(
        again.starts_with("The brake was on already (the first): "),
        "{again}"
    );
    let kept = std::fs::read_to_string(data.join("brake")).unwrap();
    assert_eq!(kept, "the first\n");
    for _ in 0..2 {
        assert!(told(data, &["brake", "off"], 0).starts_with("The brake is off"));
        assert!(!data.join("brake").exists());
    }
    // What is in the way is named, and the brake counts as on.
    std::fs::create_dir(data.join("brake")).unwrap();
    assert!(told(data, &["brake", "on"], 0).contains("was on already"));
    let complaint = complaint(data, &["brake", "off"], 5);
    assert!(complaint.contains(data.to_str().unwrap()), "{complaint}");
}
