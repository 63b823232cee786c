//! `watchtower doctor`: looks at everything the tower needs and says what to fix.

use std::path::Path;

use super::exit::{Exit, Failure};
use super::output::{line, runtime};
use crate::alert::Channels;
use crate::config::{Config, RollupConfig};
use crate::journal::{JournalError, Reader};
use crate::l1::{Condition, Needs};
use crate::protocol::{Dialected, Level, Timestamp};
use crate::tower;

/// Free space below which the disk is short, in GiB; an alert tells of it while a tower runs.
const LEAST_FREE: u64 = 2;

#[derive(Default)]
struct Findings {
    wrong: usize,
}

impl Findings {
    fn good(&mut self, what: impl AsRef<str>) -> Result<(), Failure> {
        Ok(line(format!("ok    {}", what.as_ref()))?)
    }

    fn note(&mut self, what: impl AsRef<str>) -> Result<(), Failure> {
        Ok(line(format!("note  {}", what.as_ref()))?)
    }

    fn bad(&mut self, what: impl AsRef<str>, fix: &str) -> Result<(), Failure> {
        self.wrong = self.wrong.saturating_add(1);
        line(format!("FIX   {}", what.as_ref()))?;
        Ok(line(format!("      {fix}"))?)
    }
}

pub(super) fn run(config: &Config) -> Result<Exit, Failure> {
    let mut findings = Findings::default();
    data_directory(config, &mut findings)?;
    if config.rollups.is_empty() {
        findings.bad(
            "no rollup is configured",
            "name one on the command line or in a [[rollup]] table",
        )?;
    }
    for rollup in &config.rollups {
        preimages(rollup, &mut findings)?;
    }
    keys(config, &mut findings)?;
    people(config, &mut findings)?;
    runtime()?.block_on(nodes(config, &mut findings))?;
    if findings.wrong == 0 {
        line("all is well")?;
        return Ok(Exit::Fine);
    }
    line(format!("{} to fix", findings.wrong))?;
    Ok(Exit::Unwell)
}

fn data_directory(config: &Config, findings: &mut Findings) -> Result<(), Failure> {
    let path = &config.data_dir;
    if let Err(error) = writable(path) {
        let what = format!("data directory {}: {error}", path.display());
        return findings.bad(what, "make it writable, or choose another with --data-dir");
    }
    findings.good(format!("data directory {} is writable", path.display()))?;
    match crate::serve::disk_free(path) {
        Ok(free) => {
            let free = free >> 30;
            let what = format!("disk: {free} GiB are free there");
            if free < LEAST_FREE {
                findings.bad(what, "make room: a tower that cannot write sends nothing")?;
            } else {
                findings.good(what)?;
            }
        }
        Err(error) => findings.note(format!("disk: its free space is not known ({error})"))?,
    }
    match Reader::open(&config.journal_path()) {
        Ok(reader) => match reader.head()? {
            Some(block) => findings.good(format!("journal is at level {}", block.level)),
            None => findings.good("journal is empty"),
        },
        Err(JournalError::Absent(_)) => findings.note("there is no journal yet"),
        Err(error) => findings.bad(
            error.to_string(),
            "use the program that wrote it, or another data directory",
        ),
    }
}

fn writable(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(path)?;
    let probe = path.join(".doctor");
    std::fs::write(&probe, b"ok")?;
    std::fs::remove_file(probe)
}

/// Who signs, by what is configured; nothing is opened or asked here.
fn keys(config: &Config, findings: &mut Findings) -> Result<(), Failure> {
    let mode = config.mode();
    let signer = &config.signer;
    if !mode.capabilities().sends {
        let what = format!("keys: mode {} signs nothing and needs none", mode.name());
        return findings.good(what);
    }
    if let Some(remote) = &signer.remote {
        return findings.note(format!(
            "keys: mode {} signs at {remote}; `watchtower follow` says whether it answers",
            mode.name()
        ));
    }
    let path = config.key_path();
    if signer.is_given() && path.is_file() {
        let what = format!("keys: mode {} signs with {}", mode.name(), path.display());
        return findings.good(what);
    }
    findings.bad(
        format!("keys: mode {} signs, and no key is at {}", mode.name(), path.display()),
        "name a remote signer, or make a key with `watchtower keys generate` and name it as signer.key",
    )
}

/// Who is told when something is wrong.
fn people(config: &Config, findings: &mut Findings) -> Result<(), Failure> {
    if config.alerts.channels.is_empty() {
        return findings.note(
            "alerts: nobody is told of anything: add a [[channel]] table, then prove it with `watchtower alerts test`",
        );
    }
    match Channels::open(&config.alerts) {
        Ok(channels) => findings.good(format!(
            "alerts: go to {}; `watchtower alerts test` proves that they arrive",
            channels.names().collect::<Vec<_>>().join(", ")
        )),
        Err(error) => findings.bad(format!("alerts: {error}"), "correct its [[channel]] table"),
    }
}

fn preimages(rollup: &RollupConfig, findings: &mut Findings) -> Result<(), Failure> {
    let name = rollup.address.text(rollup.dialect);
    match &rollup.preimages {
        Some(path) => match std::fs::read_dir(path) {
            Ok(entries) => findings.good(format!(
                "preimages of {name}: {} has {} entries",
                path.display(),
                entries.count()
            )),
            Err(error) => findings.bad(
                format!("preimages of {name}: {}: {error}", path.display()),
                "point --preimages at the wasm_2_0_0 folder of a rollup node",
            ),
        },
        None if rollup.preimage_endpoints.is_empty() => findings.note(format!(
            "preimages of {name}: no folder and no endpoint; periods that reveal data will not be judgeable"
        )),
        None => findings.good(format!(
            "preimages of {name}: from {}",
            rollup.preimage_endpoints.join(", ")
        )),
    }
}

/// The node's examination, once for each rollup: what concerns the endpoints alone is told once.
async fn nodes(config: &Config, findings: &mut Findings) -> Result<(), Failure> {
    let client = match tower::client(config) {
        Ok(client) => client,
        Err(error) => return findings.bad(error.to_string(), "name a node with --node"),
    };
    let needs = |rollup: Option<&RollupConfig>| Needs {
        rollup: rollup.map(|rollup| (rollup.address, rollup.dialect)),
        from: rollup.and_then(|rollup| journalled(config, rollup)),
        now: Timestamp(jiff::Timestamp::now().as_second()),
    };
    let wanted: Vec<_> = match config.rollups.as_slice() {
        [] => vec![None],
        rollups => rollups.iter().map(Some).collect(),
    };
    for (nth, rollup) in wanted.into_iter().enumerate() {
        for finding in client.examine(&needs(rollup)).await {
            let is_of_rollup = matches!(finding.check, "rollup" | "history");
            if nth > 0 && !is_of_rollup {
                continue;
            }
            let name = rollup
                .filter(|_| is_of_rollup)
                .map(|rollup| format!("{}: ", rollup.address.text(rollup.dialect)))
                .unwrap_or_default();
            let what = format!(
                "{}: {name}{}: {}",
                finding.subject, finding.check, finding.found
            );
            match finding.condition {
                Condition::Good => findings.good(what)?,
                Condition::Warning => findings.note(format!("{what}; {}", finding.fix))?,
                Condition::Bad => findings.bad(what, &finding.fix)?,
            }
        }
    }
    Ok(())
}

/// The level that following goes on from, when the journal watches the rollup already.
fn journalled(config: &Config, rollup: &RollupConfig) -> Option<Level> {
    let reader = Reader::open(&config.journal_path()).ok()?;
    reader.rollup(&rollup.address).ok()??;
    let is_late =
        |row: &crate::journal::BackfillRow| row.rollup == rollup.address && row.level < row.goal;
    match reader.backfills().ok()?.into_iter().find(is_late) {
        Some(late) => Some(late.level),
        None => Some(reader.head().ok()??.level),
    }
}
