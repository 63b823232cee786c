//! Vector files that were tampered with: every format says where it differs, or what is malformed,
//! and never panics. The files are those of `tests/golden.rs`, one small one of each format.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

use std::path::{Path, PathBuf};

use serde_json::Value;
use watchtower::check::{self, CheckError};

/// One small file of each format.
const FILES: &[&str] = &[
    "oracle/scenarios/bad_magic.v6.jsonl",
    "oracle/scenarios/nop.v6.jsonl",
    "oracle/scenarios/bad_magic.v6.dump-stuck.jsonl",
    "oracle/echo/echo_real.v6.dump-eval_mid.jsonl",
    "oracle/delta/link_unknown_item.v6.delta.jsonl",
    "oracle/proofs/bad_magic.v6.proofs.jsonl",
    "oracle/irmin_binary_tree.jsonl",
    "oracle/initial_states.jsonl",
    "oracle/stuck_states.jsonl",
    "oracle/host_function_results.jsonl",
    "oracle/levels/trapkind_unreachable.v6.jsonl",
    "oracle/levels/commitments.counter.v6.jsonl",
    "oracle/levels/inbox_from_levels.jsonl",
    "oracle/proto025/commitments.jsonl",
    "oracle/proto025/dissection_checks.jsonl",
    "oracle/proto025/game_short.jsonl",
    "oracle/proto025/inbox.jsonl",
    "oracle/proto025/inbox_messages.jsonl",
    "oracle/proto025/merkelized_payload_hashes.jsonl",
    "oracle/proto025/misc.jsonl",
    "oracle/proto025/operations.jsonl",
    "oracle/proto025/output_proofs.jsonl",
];

/// What a file says about its own making, which nothing can be compared with.
const ABOUT: &[&str] = &[
    "name",
    "wat",
    "scenario",
    "run",
    "i",
    "next_i",
    "n",
    "op",
    "cheat_tick",
];

/// The same, in some files only.
const LABELS: &[(&str, &[&str])] = &[
    // Which kind of file it is, or which state of it: the bytes say it themselves.
    ("scenarios/", &["type"]),
    ("proofs/", &["version", "proof_version", "requested"]),
    ("initial_states", &["state"]),
    // Where the state was met: another file has the run.
    ("stuck_states", &["version", "tick", "hash"]),
    // What is asked: another question may have the same answer.
    (
        "dissection_checks",
        &["start", "stop", "dissection", "default_number_of_sections"],
    ),
    ("host_function_results", &["strings"]),
    ("output_proofs", &["messages"]),
    ("proto025/inbox.", &["counter"]),
    // A message of its own, that nothing else in the file depends on.
    ("misc", &["serialized"]),
    // The words of another program.
    ("inbox_messages", &["error"]),
];

/// Changes made to each file.
const CHANGES: usize = 12;

fn labels_of(file: &str) -> &'static [&'static str] {
    let found = LABELS.iter().find(|(part, _)| file.contains(part));
    found.map_or(&[], |(_, labels)| labels)
}

fn vectors() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors");
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

/// A folder where one file stands alone in its place, with everything it refers to around it.
struct Stage {
    folder: tempfile::TempDir,
    file: PathBuf,
}

impl Stage {
    fn new(vectors: &Path, file: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join(file);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        for part in ["kernels", "messages", "oracle"] {
            for entry in std::fs::read_dir(vectors.join(part)).unwrap() {
                let entry = entry.unwrap().path();
                let to = folder.path().join(entry.strip_prefix(vectors).unwrap());
                std::fs::create_dir_all(to.parent().unwrap()).unwrap();
                if !to.exists() && to != place {
                    std::os::unix::fs::symlink(&entry, &to).unwrap();
                }
            }
        }
        Self {
            folder,
            file: place,
        }
    }

    fn check(&self, text: &str) -> Result<check::Checked, CheckError> {
        assert!(self.folder.path().is_dir());
        std::fs::write(&self.file, text).unwrap();
        check::run(&self.file)
    }
}

/// Paths to all values of a line that carry something to compare.
fn places(json: &Value, path: &str, labels: &[&str], found: &mut Vec<String>) {
    match json {
        Value::Object(fields) => {
            for (key, value) in fields.iter().filter(|(key, _)| {
                !ABOUT.contains(&key.as_str()) && !labels.contains(&key.as_str())
            }) {
                let key = key.replace('~', "~0").replace('/', "~1");
                places(value, &format!("{path}/{key}"), labels, found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                places(value, &format!("{path}/{index}"), labels, found);
            }
        }
        Value::String(text) if text.is_empty() => {}
        Value::String(_) | Value::Number(_) => found.push(path.to_owned()),
        _ => {}
    }
}

/// The value with one character or one unit changed.
fn changed(value: &Value, random: &mut Random) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_i64().unwrap_or_default() + 1),
        Value::String(text) => {
            let mut bytes = text.clone().into_bytes();
            let at = random.below(bytes.len());
            bytes[at] = match bytes[at] {
                b'0' => b'1',
                digit @ b'1'..=b'9' => digit - 1,
                b'a' => b'b',
                letter @ b'b'..=b'z' => letter - 1,
                _ => b'a',
            };
            Value::from(String::from_utf8_lossy(&bytes).into_owned())
        }
        other => other.clone(),
    }
}

#[test]
fn a_changed_value_is_reported_with_its_place() {
    let Some(vectors) = vectors() else { return };
    let mut passed = Vec::new();
    for file in FILES {
        let stage = Stage::new(&vectors, file);
        let text = std::fs::read_to_string(vectors.join(file)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let mut random = Random(7);
        for _ in 0..CHANGES {
            let at = random.below(lines.len());
            let mut json: Value = serde_json::from_str(lines[at]).unwrap();
            let mut found = Vec::new();
            places(&json, "", labels_of(file), &mut found);
            if found.is_empty() {
                continue;
            }
            let place = &found[random.below(found.len())];
            let target = json.pointer_mut(place).unwrap();
            let before = target.clone();
            *target = changed(&before, &mut random);
            let after = target.clone();
            let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            lines[at] = json.to_string();
            match stage.check(&lines.join("\n")) {
                Ok(_) => passed.push(format!(
                    "{file}, line {}, {place}: {before} as {after}",
                    at + 1
                )),
                Err(CheckError::Different(difference)) => assert!(!difference.what.is_empty()),
                Err(_) => {}
            }
        }
    }
    assert!(passed.is_empty(), "unnoticed:\n{}", passed.join("\n"));
}

#[test]
fn lines_cut_short_left_out_or_in_another_order_are_answered() {
    let Some(vectors) = vectors() else { return };
    for file in FILES {
        let stage = Stage::new(&vectors, file);
        let text = std::fs::read_to_string(vectors.join(file)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let mut random = Random(11);
        let mut end = text.len() / 2;
        while !text.is_char_boundary(end) || text.as_bytes()[end - 1] == b'\n' {
            end -= 1;
        }
        assert!(stage.check(&text[..end]).is_err(), "{file} cut in a line");
        assert!(stage.check("").is_err(), "{file} emptied");
        // Some formats have lines that stand for themselves: then any order is equal.
        let mut swapped = lines.clone();
        let at = random.below(lines.len() - 1);
        swapped.swap(at, at + 1);
        let _ = stage.check(&swapped.join("\n"));
        let mut rest = lines.clone();
        rest.remove(0);
        let _ = stage.check(&rest.join("\n"));
    }
}

#[test]
fn a_run_without_its_end_is_not_equal() {
    let Some(vectors) = vectors() else { return };
    for file in [
        "oracle/scenarios/bad_magic.v6.jsonl",
        "oracle/levels/trapkind_unreachable.v6.jsonl",
    ] {
        let stage = Stage::new(&vectors, file);
        let text = std::fs::read_to_string(vectors.join(file)).unwrap();
        let shorter = text.trim_end().rsplit_once('\n').unwrap().0;
        let error = stage.check(shorter).unwrap_err().to_string();
        assert!(error.contains("final line"), "{file}: {error}");
    }
}

#[test]
fn names_of_files_do_not_decide_the_format() {
    let Some(vectors) = vectors() else { return };
    for file in FILES {
        let text = std::fs::read_to_string(vectors.join(file)).unwrap();
        let plain = Stage::new(&vectors, file).check(&text).unwrap();
        let renamed = Path::new(file).with_file_name("something.else");
        let renamed = Stage::new(&vectors, &renamed.to_string_lossy());
        assert_eq!(renamed.check(&text).unwrap(), plain, "{file}");
    }
}

#[test]
fn compressed_files_need_no_name_either() {
    use std::io::Write;
    let Some(vectors) = vectors() else { return };
    let file = "oracle/scenarios/bad_magic.v6.jsonl";
    let stage = Stage::new(&vectors, file);
    let text = std::fs::read(vectors.join(file)).unwrap();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&text).unwrap();
    let packed = packer.finish().unwrap();
    std::fs::write(&stage.file, &packed).unwrap();
    check::run(&stage.file).unwrap();
    std::fs::write(&stage.file, &packed[..packed.len() / 2]).unwrap();
    assert!(matches!(
        check::run(&stage.file),
        Err(CheckError::Source(_))
    ));
}

#[test]
fn a_changed_line_of_a_regression_run_is_reported() {
    let Some(vectors) = vectors() else { return };
    let name = "pvm-regressions/link_reveal.v0.hash.txt";
    for (name, line) in [
        (name, 0),
        (name, 77),
        ("pvm-regressions/link_reveal.v0.proof.txt", 12),
    ] {
        let text = std::fs::read_to_string(vectors.join(name)).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let last = lines[line].pop().unwrap();
        lines[line].push(if last == '1' { '2' } else { '1' });
        let stage = Stage::new(&vectors, name);
        match stage.check(&lines.join("\n")) {
            Err(CheckError::Different(difference)) => assert_eq!(difference.line, line + 1),
            other => panic!("{other:?}"),
        }
        let renamed = Stage::new(&vectors, "pvm-regressions/another name");
        renamed.check(&text).unwrap();
    }
}

#[test]
fn a_changed_result_of_a_script_is_reported() {
    let script = |result: &str| {
        format!(
            "(module (func (export \"add\") (param i32 i32) (result i32)\n\
             (i32.add (local.get 0) (local.get 1))))\n\
             (assert_return (invoke \"add\" (i32.const 1) (i32.const 2)) (i32.const {result}))"
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script");
    std::fs::write(&file, script("3")).unwrap();
    assert_eq!(check::run(&file).unwrap().compared, 2);
    std::fs::write(&file, script("4")).unwrap();
    match check::run(&file) {
        Err(CheckError::Different(difference)) => assert_eq!(difference.line, 3),
        other => panic!("{other:?}"),
    }
}
