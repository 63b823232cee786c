//! The dependency rules of `ARCHITECTURE.md`, read from the sources.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What each module may use besides itself.
const MAY_USE: &[(&str, &[&str])] = &[
    ("crypto", &[]),
    ("codec", &[]),
    ("protocol", &["crypto", "codec"]),
    ("merkle", &["crypto", "codec"]),
    ("wasm", &["crypto", "codec", "merkle"]),
    ("inbox", &["crypto", "codec", "protocol"]),
    (
        "pvm",
        &["crypto", "codec", "protocol", "merkle", "wasm", "inbox"],
    ),
    (
        "game",
        &["crypto", "codec", "protocol", "merkle", "inbox", "pvm"],
    ),
    ("l1", &["crypto", "codec", "protocol", "inbox"]),
    ("signer", &["crypto", "codec", "protocol"]),
    (
        "operation",
        &["crypto", "codec", "protocol", "l1", "signer"],
    ),
    ("journal", &["crypto", "codec", "protocol"]),
    // The judge knows the protocol's rules and nothing of how a tower plays.
    (
        "sim",
        &["crypto", "codec", "protocol", "merkle", "inbox", "pvm"],
    ),
    ("alert", &["crypto", "protocol", "journal"]),
];

/// Crates that only some modules may name.
const CONFINED: &[(&str, &[&str])] = &[
    ("wasmer", &["pvm/fast"]),
    ("rusqlite", &["journal"]),
    (
        "tokio",
        &[
            "l1",
            "signer",
            "operation",
            "alert",
            "serve",
            "tower",
            "sim",
            "cli",
        ],
    ),
    (
        "reqwest",
        &["l1", "signer", "alert", "serve", "sim", "tower"],
    ),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
}

fn all_sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    let name = |path: &Path| {
        path.strip_prefix(&root)
            .unwrap()
            .to_string_lossy()
            .into_owned()
    };
    found
        .iter()
        .map(|path| (name(path), std::fs::read_to_string(path).unwrap()))
        .collect()
}

/// Modules of this crate that a source names after `crate::`, tests left out.
fn used_modules(text: &str) -> BTreeSet<String> {
    let code = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(text);
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| {
            rest.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        })
        .collect()
}

/// Tests may stand on anything.
fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("tests.rs")
}

#[test]
fn modules_use_only_what_lies_below_them() {
    for (path, text) in all_sources() {
        if is_test(&path) {
            continue;
        }
        let top = path.split('/').next().unwrap_or_default();
        let Some((_, allowed)) = MAY_USE.iter().find(|(module, _)| *module == top) else {
            continue;
        };
        for used in used_modules(&text) {
            let known = MAY_USE.iter().any(|(module, _)| *module == used)
                || ["tower", "sim", "serve", "cli", "config", "check"].contains(&used.as_str());
            if known && used != top {
                assert!(
                    allowed.contains(&used.as_str()),
                    "{path} uses crate::{used}: {top} may use {allowed:?}"
                );
            }
        }
    }
}

/// What the rule above cannot read is not written: several modules in one `use`, or the crate as a
/// whole. So that the judge's rules and the player's choices stay apart, in both directions.
#[test]
fn modules_are_used_by_name() {
    for (path, text) in all_sources() {
        for written in ["crate::{", "crate::*", "use crate;", "crate as "] {
            assert!(!text.contains(written), "{path} writes {written}");
        }
    }
    let of = |name: &str| MAY_USE.iter().find(|(module, _)| *module == name);
    for (one, other) in [("sim", "game"), ("game", "sim")] {
        let (_, allowed) = of(one).unwrap();
        assert!(!allowed.contains(&other), "{one} may use {other}");
    }
}

#[test]
fn confined_crates_stay_where_they_belong() {
    for (path, text) in all_sources() {
        for (name, homes) in CONFINED {
            let named = text.lines().any(|line| {
                !line.trim_start().starts_with("//")
                    && (line.contains(&format!("{name}::"))
                        || line.contains(&format!("use {name}")))
            });
            let home = homes.iter().any(|home| path.starts_with(home));
            assert!(
                !named || home,
                "{path} names {name}, which belongs in {homes:?}"
            );
        }
    }
}

#[test]
fn secret_keys_are_held_behind_the_gate() {
    let homes = ["crypto/", "signer/", "sim/accounts.rs", "cli/keys.rs"];
    for (path, text) in all_sources() {
        let is_home = homes.iter().any(|home| path.starts_with(home));
        assert!(
            is_test(&path) || is_home || !text.contains("SecretKey"),
            "{path} handles a secret key: only the gate signs operations"
        );
    }
}

#[test]
fn no_file_is_a_dumping_ground() {
    /// Tables and tests may be longer, with the reason beside the name.
    const LONG: &[(&str, &str)] = &[
        (
            "cli/args.rs",
            "the table of commands and flags, with their help",
        ),
        (
            "config/settings.rs",
            "the table of settings: each once, with its help and its check",
        ),
    ];
    for (path, text) in all_sources() {
        let lines = text.lines().count();
        let excused = LONG.iter().any(|(name, _)| *name == path);
        assert!(
            lines <= 700 || excused,
            "{path} has {lines} lines: split it"
        );
    }
}

#[test]
fn every_rule_on_money_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let (_, section) = text.split_once("## Rules on money").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        sources(&root.join(folder), &mut files);
    }
    let mut all = String::new();
    for file in files {
        all.push_str(&std::fs::read_to_string(file).unwrap());
    }
    let rows: Vec<_> = section
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1)
        .collect();
    assert_eq!(rows.len(), 14, "one row for each rule");
    for row in rows {
        let (_, tests) = row.trim_end_matches('|').rsplit_once('|').unwrap();
        let names: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{row}");
        for name in names {
            assert!(all.contains(&format!("fn {name}(")), "{name} is no test");
        }
    }
}
