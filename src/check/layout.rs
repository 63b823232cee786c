//! Every path template that a state was seen to have, with examples and phases.
//!
//! The listing is made again from the runs it was made from, which lie beside it in `delta/`: each
//! is replayed by the machine, and only what its encoder writes counts. Runs made after the listing
//! are left out: they write paths that it does not have, or make the writes too many.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::deltas::{self, Set};
use super::machine::{Line, has_keys};
use super::{CheckError, Difference, Format, Lines};

/// Listings of path templates.
pub(super) const FORMAT: Format = Format {
    name: "path templates of the state",
    recognises: |_, first| has_keys(first, &["template", "example_path", "phases"]),
    replay,
};

/// Values listed as examples of a template, at most.
const EXAMPLES: usize = 6;
/// Longest value listed whole, in digits, and how many are kept of a longer one.
const WHOLE: (usize, usize) = (160, 120);

/// What is known of a template.
#[derive(Debug, Default, Clone)]
struct Seen {
    writes: usize,
    phases: BTreeSet<String>,
    path: String,
    values: Vec<String>,
    first: (String, usize),
}

/// The template of a path: what a kernel names and what is counted is left open.
fn template(path: &str) -> String {
    let own = |below: &str| below.starts_with("kernel/") || below.starts_with("readonly/");
    if path
        .strip_prefix("durable/")
        .is_some_and(|below| !own(below))
    {
        return "durable/<key>".to_owned();
    }
    let counted = |step: &str| !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
    let steps = path
        .split('/')
        .map(|step| if counted(step) { "#" } else { step });
    steps.collect::<Vec<_>>().join("/")
}

fn shortened(value: &[u8]) -> String {
    let text = hex::encode(value);
    match text.get(..WHOLE.1) {
        Some(start) if text.len() > WHOLE.0 => format!("{start}...({} bytes)", value.len()),
        _ => text,
    }
}

/// Templates of one run.
type Run = BTreeMap<String, Seen>;

fn replayed(path: &Path) -> Result<Run, CheckError> {
    let lines = Lines::open(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_end_matches(".gz").to_owned();
    let mut run = Run::new();
    let mut index = 0;
    let mut note = |line: &Line, set: &Set| {
        let phase = line.text("phase").unwrap_or_default();
        let phase = phase.split(':').next().unwrap_or_default();
        for (path, value) in set {
            let seen = run.entry(template(path)).or_insert_with(|| Seen {
                path: path.clone(),
                first: (name.clone(), index),
                ..Seen::default()
            });
            seen.writes += 1;
            seen.phases.insert(phase.to_owned());
            add_example(&mut seen.values, shortened(value));
        }
        index += 1;
    };
    deltas::replay(&lines, &mut note).map_err(|error| match error {
        CheckError::Different(difference) => Difference {
            line: 0,
            what: format!("{}, line {}: {}", name, difference.line, difference.what),
            ..difference
        }
        .into(),
        other => other,
    })?;
    Ok(run)
}

fn add_example(values: &mut Vec<String>, value: String) {
    if values.len() < EXAMPLES && !values.contains(&value) {
        values.push(value);
    }
}

/// The runs beside the listing, in the order of their names.
fn runs(listing: &Path) -> Result<Vec<PathBuf>, CheckError> {
    let folder = listing.parent().unwrap_or(Path::new("")).join("delta");
    let entries = std::fs::read_dir(&folder).map_err(|error| CheckError::Malformed {
        line: 0,
        problem: format!("the runs of the listing, {}: {error}", folder.display()),
    })?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.sort();
    Ok(found)
}

fn replay(path: &Path, lines: Lines) -> Result<usize, CheckError> {
    let lines: Result<Vec<Line>, _> = lines.numbered().map(Line::parse).collect();
    let lines = lines?;
    let mut listed = BTreeSet::new();
    for line in &lines {
        if !listed.insert(line.text("template")?) {
            return Err(line.malformed("a template listed twice"));
        }
    }
    let mut all = Run::new();
    for run in chosen(&lines, path)? {
        merge(&mut all, run);
    }
    for line in &lines {
        compare(line, all.get(line.text("template")?))?;
    }
    Ok(6 * lines.len())
}

/// The runs the listing was made from: all that write nothing else, less those that it never
/// names and that would make the writes too many.
fn chosen(lines: &[Line], path: &Path) -> Result<Vec<Run>, CheckError> {
    let mut templates = BTreeSet::new();
    let mut named = BTreeSet::new();
    let mut wanted = 0_usize;
    for line in lines {
        templates.insert(line.text("template")?);
        wanted = wanted.saturating_add(line.number("writes")?);
        let first = line.json.pointer("/first_seen/0").and_then(Value::as_str);
        named.insert(first.unwrap_or_default());
    }
    let (mut certain, mut open) = (Vec::new(), Vec::new());
    for file in runs(path)? {
        let run = replayed(&file)?;
        if !run
            .keys()
            .all(|template| templates.contains(template.as_str()))
        {
            continue;
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let is_named = named.contains(name.trim_end_matches(".gz"));
        certain.push((is_named, run));
    }
    let writes = |run: &Run| -> usize { run.values().map(|seen| seen.writes).sum() };
    for (index, (is_named, run)) in certain.iter().enumerate() {
        if !is_named && open.len() < 12 {
            open.push((index, writes(run)));
        }
    }
    let total: usize = certain.iter().map(|(_, run)| writes(run)).sum();
    let too_many = total.checked_sub(wanted);
    let subset = too_many.and_then(|too_many| {
        (0..1_usize << open.len()).find(|subset| {
            let left_out = open.iter().enumerate();
            let sum: usize = left_out
                .filter(|(bit, _)| subset & (1 << bit) != 0)
                .map(|(_, (_, writes))| *writes)
                .sum();
            sum == too_many
        })
    });
    let subset = subset.unwrap_or_default();
    let is_left_out = |index: usize| {
        let mut bits = open.iter().enumerate();
        bits.any(|(bit, (left_out, _))| *left_out == index && subset & (1 << bit) != 0)
    };
    let runs = certain.into_iter().enumerate();
    Ok(runs
        .filter(|(index, _)| !is_left_out(*index))
        .map(|(_, (_, run))| run)
        .collect())
}

fn merge(all: &mut Run, run: Run) {
    for (template, seen) in run {
        match all.get_mut(&template) {
            None => drop(all.insert(template, seen)),
            Some(known) => {
                known.writes += seen.writes;
                known.phases.extend(seen.phases);
                for value in seen.values {
                    add_example(&mut known.values, value);
                }
            }
        }
    }
}

fn compare(line: &Line, found: Option<&Seen>) -> Result<(), CheckError> {
    let Some(seen) = found else {
        return Err(line.malformed("no run beside the listing writes this path"));
    };
    let template = line.text("template")?;
    let (file, index) = &seen.first;
    let expected = [
        ("writes", json!(seen.writes)),
        ("phases", json!(seen.phases)),
        ("example_path", json!(seen.path)),
        ("example_values", json!(seen.values)),
        ("first_seen", json!([file, index])),
    ];
    for (key, found) in expected {
        let expected = line.json.get(key).unwrap_or(&Value::Null);
        line.same(
            || format!("{key} of {template}"),
            &expected.to_string(),
            &found.to_string(),
        )?;
    }
    Ok(())
}
