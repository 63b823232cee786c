//! `watchtower doctor`: looks at everything the tower needs and says what to fix.

use std::path::Path;

use super::exit::{Exit, Failure};
use super::output::{line, runtime};
use crate::config::{Config, RollupConfig};
use crate::journal::{JournalError, Reader};
use crate::l1::{BlockId, Client};
use crate::protocol::operation::PvmKind;
use crate::protocol::{Dialected, Level};
use crate::tower;

/// How far the node's head may lag behind the clock, in seconds, before it is called late.
const LATE: i64 = 300;

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
    findings.note("keys: none are needed, this program only watches so far")?;
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

async fn nodes(config: &Config, findings: &mut Findings) -> Result<(), Failure> {
    let client = match tower::client(config) {
        Ok(client) => client,
        Err(error) => return findings.bad(error.to_string(), "name a node with --node"),
    };
    let chain = match client.chain_id().await {
        Ok(chain) => chain,
        Err(error) => {
            return findings.bad(
                error.to_string(),
                "check that the node runs and that its RPC address is the one given",
            );
        }
    };
    findings.good(format!("the node is on chain {chain}"))?;
    for progress in client.probe(2).await {
        match progress.head {
            Ok(head) if progress.synced => {
                findings.good(format!("{}: at level {}", progress.endpoint, head.level))?;
            }
            Ok(head) => findings.bad(
                format!("{}: at level {}, not synced", progress.endpoint, head.level),
                "wait until the node is bootstrapped",
            )?,
            Err(fault) => findings.bad(
                format!("{}: {fault}", progress.endpoint),
                "check this endpoint, or remove it",
            )?,
        }
    }
    clock(&client, findings).await?;
    for rollup in &config.rollups {
        if let Err(error) = of_rollup(&client, rollup, findings).await? {
            findings.bad(
                error.to_string(),
                "see the message; addresses and history depth are the usual causes",
            )?;
        }
    }
    Ok(())
}

async fn clock(client: &Client, findings: &mut Findings) -> Result<(), Failure> {
    let Ok(head) = client.header(BlockId::Head).await else {
        return Ok(());
    };
    let age = jiff::Timestamp::now()
        .as_second()
        .saturating_sub(head.timestamp);
    if age.abs() > LATE {
        return findings.note(format!(
            "the head is {age} seconds old by this machine's clock: the chain is slow, or the clock is wrong"
        ));
    }
    findings.good(format!("the head is {age} seconds old"))
}

/// What a node must have for a rollup: the rollup, and every block from its origination on with
/// receipts.
async fn of_rollup(
    client: &Client,
    config: &RollupConfig,
    findings: &mut Findings,
) -> Result<Result<(), crate::l1::L1Error>, Failure> {
    let name = config.address.text(config.dialect);
    let asked = async {
        client.accept_label(&config.address, config.dialect).await?;
        let rollup = client.rollup(config.address, BlockId::Head).await?;
        Ok((rollup.kind().await?, rollup.genesis().await?.level))
    };
    let (kind, origin): (PvmKind, Level) = match asked.await {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    if kind != PvmKind::Wasm {
        findings.bad(
            format!("{name} runs the {} machine", kind.name()),
            "only wasm_2_0_0 rollups can be judged",
        )?;
        return Ok(Ok(()));
    }
    findings.good(format!("{name} began at level {origin}"))?;
    let interest = crate::l1::Interest::default();
    let next = origin.next().unwrap_or(origin);
    match client.block(BlockId::Level(next), &interest).await {
        Ok(_) => findings.good(format!("the node has level {next} with receipts"))?,
        Err(error) => findings.bad(
            format!("level {next} cannot be read: {error}"),
            "use a node in archive mode: every level since the origination has to be run",
        )?,
    }
    Ok(Ok(()))
}
