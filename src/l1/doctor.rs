//! Are the endpoints fit to follow a rollup? One finding per check, each with what to do.
//!
//! Promises: what the tower will ask for later is asked for here, once, of every endpoint.
//! Refuses to know: keys, disk and everything else that is not a node.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::agreement::FINALITY;
use super::block::{BlockRef, Interest};
use super::client::{BlockId, Client};
use super::constants::{ChainConstants, Protocols, known};
use super::dialect::{rollup_path, shared_path};
use super::endpoint::Endpoint;
use super::error::{Fault, L1Error, MissingReceipt};
use super::reader::RawHeader;
use super::receipts::effects;
use crate::crypto::Dialect;
use crate::protocol::operation::{Form, PvmKind};
use crate::protocol::{Dialected, Level, RollupAddress, Timestamp};

/// Clocks may differ by this many seconds, and blocks be late by as many.
const TOLERATED_SKEW: i64 = 10;
/// A head older than this many block times is old.
const OLD_HEAD: i64 = 10;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// As it should be.
    Good,
    /// It works, with a risk.
    Warning,
    /// Following will not work.
    Bad,
}

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The endpoint, or what else was checked.
    pub subject: String,
    /// What was checked, in a word or two.
    pub check: &'static str,
    /// How it ended.
    pub condition: Condition,
    /// What was found.
    pub found: String,
    /// What to do about it; empty when it is good.
    pub fix: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            subject,
            check,
            found,
            fix,
            ..
        } = self;
        write!(f, "{subject}: {check}: {found}")?;
        if fix.is_empty() {
            return Ok(());
        }
        write!(f, "; {fix}")
    }
}

/// What the nodes are needed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// The rollup, and the labels its address was given in.
    pub rollup: Option<(RollupAddress, Dialect)>,
    /// The oldest level still to be read; its origination level when not given.
    pub from: Option<Level>,
    /// What this machine's clock says.
    pub now: Timestamp,
}

impl Client {
    /// Checks every endpoint and what they say together.
    pub async fn examine(&self, needs: &Needs) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut heads = Vec::new();
        for endpoint in self.endpoints() {
            let mut examination = Examination {
                client: self,
                endpoint,
                findings: Vec::new(),
            };
            heads.extend(examination.run(needs).await);
            findings.append(&mut examination.findings);
        }
        findings.push(self.sources(&heads).await);
        findings
    }

    /// Do the endpoints back each other up?
    async fn sources(&self, heads: &[Level]) -> Finding {
        let finding = |condition, found: String, fix: &str| Finding {
            subject: "all endpoints".into(),
            check: "agreement",
            condition,
            found,
            fix: fix.into(),
        };
        if self.endpoints().len() < 2 {
            let found = "there is only one".into();
            let fix = "add a second one, run by somebody else: what one node says alone is never enough to stake money";
            return finding(Condition::Warning, found, fix);
        }
        let lowest = heads.iter().min().and_then(|head| head.minus(FINALITY));
        let Some(level) = lowest else {
            let fix = "see the findings of each";
            return finding(Condition::Bad, "none could be compared".into(), fix);
        };
        match self.compare(level).await {
            Ok(count) => finding(
                Condition::Good,
                format!(
                    "{count} of {} have the same block at level {level}",
                    self.endpoints().len()
                ),
                "",
            ),
            Err(error) => finding(
                Condition::Bad,
                error.to_string(),
                "find out which one is wrong, with a third source, and take it out",
            ),
        }
    }

    async fn compare(&self, level: Level) -> Result<usize, L1Error> {
        let header = self.header(BlockId::Level(level)).await?;
        let block = BlockRef {
            level,
            hash: header.hash,
        };
        Ok(self.agreement(block).await?.agree.len())
    }
}

#[derive(Deserialize)]
struct RawBootstrapped {
    bootstrapped: bool,
    #[serde(default)]
    sync_state: Option<String>,
}

#[derive(Deserialize)]
struct RawGenesis {
    level: Level,
}

/// One endpoint under examination.
struct Examination<'c> {
    client: &'c Client,
    endpoint: &'c Endpoint,
    findings: Vec<Finding>,
}

impl Examination<'_> {
    fn note(
        &mut self,
        check: &'static str,
        condition: Condition,
        found: impl fmt::Display,
        fix: &str,
    ) {
        self.findings.push(Finding {
            subject: self.endpoint.name.to_string(),
            check,
            condition,
            found: found.to_string(),
            fix: fix.to_owned(),
        });
    }

    async fn ask<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        self.client.ask_one(self.endpoint, path).await
    }

    /// Runs all checks that make sense; gives the level of the head.
    async fn run(&mut self, needs: &Needs) -> Option<Level> {
        if !self.reachable().await {
            return None;
        }
        self.synced().await;
        let header: RawHeader = match self.ask("/chains/main/blocks/head/header").await {
            Ok(header) => header,
            Err(fault) => {
                self.note("head", Condition::Bad, fault, "the node must answer /chains/main/blocks: check its access rules (--allow-all-rpc, --acl)");
                return None;
            }
        };
        let head = header.level;
        let Some(constants) = self.protocol().await else {
            return Some(head);
        };
        self.clock(&header, &constants, needs.now);
        self.stream().await;
        let origin = match &needs.rollup {
            Some((rollup, label)) => self.rollup(rollup, *label, &constants).await,
            None => None,
        };
        if let Some(from) = needs.from.or(origin) {
            self.history(from, head, &constants).await;
        }
        Some(head)
    }

    async fn reachable(&mut self) -> bool {
        match self.client.verify(self.endpoint).await {
            Ok(()) => {
                let chain = self.ask::<String>("/chains/main/chain_id").await;
                let found = chain.map_or_else(|fault| fault.to_string(), |id| format!("on {id}"));
                self.note("chain", Condition::Good, found, "");
                true
            }
            Err(fault @ Fault::WrongChain { .. }) => {
                self.note(
                    "chain",
                    Condition::Bad,
                    fault,
                    "take the endpoint out, or correct the chain in the configuration",
                );
                false
            }
            Err(fault @ Fault::Forbidden(_)) => {
                self.note(
                    "chain",
                    Condition::Bad,
                    fault,
                    "let the tower through the node's access rules (--acl) or use another endpoint",
                );
                false
            }
            Err(fault) => {
                self.note("reachable", Condition::Bad, fault, "check that the node runs, that its RPC listens there (--rpc-addr) and that nothing stands between");
                false
            }
        }
    }

    async fn synced(&mut self) {
        let fix = "wait until the node has caught up; if it stays so, check its peers";
        match self
            .ask::<RawBootstrapped>("/chains/main/is_bootstrapped")
            .await
        {
            Err(fault) => self.note(
                "synced",
                Condition::Warning,
                fault,
                "allow /chains/main/is_bootstrapped, so that a node that lags is noticed",
            ),
            Ok(state) => {
                let word = state.sync_state.as_deref().unwrap_or("synced");
                match (state.bootstrapped, word) {
                    (true, "synced") => self.note("synced", Condition::Good, "yes", ""),
                    (true, other) => self.note("synced", Condition::Bad, other, fix),
                    (false, _) => self.note("synced", Condition::Bad, "still bootstrapping", fix),
                }
            }
        }
    }

    async fn protocol(&mut self) -> Option<ChainConstants> {
        let block = "/chains/main/blocks/head";
        let protocol = match self.ask::<Protocols>(&format!("{block}/protocols")).await {
            Ok(protocols) => known(&protocols.next_protocol),
            Err(fault) => Err(fault),
        };
        let constants = match protocol {
            Err(fault) => Err(fault),
            Ok(protocol) => self
                .ask::<Value>(&format!("{block}/context/constants"))
                .await
                .and_then(|json| ChainConstants::from_json(&json, protocol)),
        };
        match constants {
            Ok(constants) => {
                self.note("protocol", Condition::Good, constants.protocol, "");
                Some(constants)
            }
            Err(fault) => {
                self.note(
                    "protocol",
                    Condition::Bad,
                    fault,
                    "use a version of the tower that knows the protocol, or a node that answers",
                );
                None
            }
        }
    }

    fn clock(&mut self, head: &RawHeader, constants: &ChainConstants, now: Timestamp) {
        let age = now.0.saturating_sub(head.timestamp.as_second());
        let delay = constants.minimal_block_delay.unwrap_or(30);
        let old = i64::try_from(delay)
            .unwrap_or(i64::MAX)
            .saturating_mul(OLD_HEAD);
        if age < -TOLERATED_SKEW {
            let found = format!("the head is {} seconds in the future", age.unsigned_abs());
            self.note(
                "clock",
                Condition::Warning,
                found,
                "set this machine's clock (enable NTP)",
            );
        } else if age > old.saturating_add(TOLERATED_SKEW) {
            let found = format!("the head is {age} seconds old");
            self.note("clock", Condition::Warning, found, "the node lags or the chain stands still; or this machine's clock is ahead (enable NTP)");
        } else {
            self.note(
                "clock",
                Condition::Good,
                format!("the head is {age} seconds old"),
                "",
            );
        }
    }

    async fn stream(&mut self) {
        match self.endpoint.stream("/monitor/heads/main").await {
            Ok(_) => self.note("head stream", Condition::Good, "opens", ""),
            Err(fault) => self.note(
                "head stream",
                Condition::Bad,
                fault,
                "allow /monitor/heads/main, and let no proxy hold back or cut streams",
            ),
        }
    }

    /// Checks the rollup and gives its origination level.
    async fn rollup(
        &mut self,
        rollup: &RollupAddress,
        label: Dialect,
        constants: &ChainConstants,
    ) -> Option<Level> {
        let dialect = constants.dialect;
        if dialect != label {
            let found = L1Error::OtherDialect {
                given: rollup.text(label),
                there: rollup.text(dialect),
                dialect,
            };
            self.note(
                "rollup",
                Condition::Bad,
                found,
                "give the address in that form",
            );
            return None;
        }
        let path = |leaf: &str| {
            let leaf = rollup_path(dialect, rollup, leaf);
            format!("/chains/main/blocks/head/{leaf}")
        };
        let kind = self.ask::<String>(&path("kind")).await;
        match kind.as_deref().map(PvmKind::from_name) {
            Ok(Some(PvmKind::Wasm)) => {}
            Ok(other) => {
                let kind = other.map_or("unknown", PvmKind::name);
                let found = format!("{} runs a machine of kind {kind}", rollup.text(dialect));
                self.note(
                    "rollup",
                    Condition::Bad,
                    found,
                    "only wasm_2_0_0 rollups can be judged",
                );
                return None;
            }
            Err(Fault::NotFound) => {
                let found = format!("there is no {} on this chain", rollup.text(dialect));
                self.note(
                    "rollup",
                    Condition::Bad,
                    found,
                    "check the address and the network",
                );
                return None;
            }
            Err(fault) => {
                self.note(
                    "rollup",
                    Condition::Bad,
                    fault,
                    "the node must answer questions about the rollup's context",
                );
                return None;
            }
        }
        match self.ask::<RawGenesis>(&path("genesis_info")).await {
            Ok(genesis) => {
                let found = format!("originated at level {}", genesis.level);
                self.note("rollup", Condition::Good, found, "");
                Some(genesis.level)
            }
            Err(fault) => {
                self.note(
                    "rollup",
                    Condition::Bad,
                    fault,
                    "the node must answer questions about the rollup's context",
                );
                None
            }
        }
    }

    /// Are receipts and contexts there as far back as they are needed?
    async fn history(&mut self, from: Level, head: Level, constants: &ChainConstants) {
        let mode = self.ask::<Value>("/config/history_mode").await.ok();
        let mode = mode
            .as_ref()
            .and_then(|mode| mode.get("history_mode"))
            .map(Value::to_string);
        let mode = mode
            .map(|mode| format!(" (history mode {mode})"))
            .unwrap_or_default();
        let far = "use a node in archive mode, or give the tower a start from a snapshot of its own data on a node that keeps more cycles (--history-mode)";
        let too_large = "run the node with --metadata-size-limit unlimited";
        for level in BTreeSet::from([from, head]) {
            let dialect = constants.dialect;
            let block = format!("/chains/main/blocks/{level}");
            let context = format!("{block}/{}", shared_path(dialect, "/inbox"));
            if let Err(fault) = self.ask::<Value>(&context).await {
                let found = format!("no context at level {level}{mode}: {fault}");
                self.note("history", Condition::Bad, found, far);
                return;
            }
            let outcome = self.receipts(level, dialect).await;
            if let Err(fault) = outcome {
                let fix = match fault {
                    Fault::Receipt {
                        reason: MissingReceipt::TooLarge,
                        ..
                    } => too_large,
                    _ => far,
                };
                let found = format!("no receipts at level {level}{mode}: {fault}");
                self.note("history", Condition::Bad, found, fix);
                return;
            }
        }
        let found = format!("receipts and contexts from level {from} on{mode}");
        self.note("history", Condition::Good, found, "");
    }

    async fn receipts(&self, level: Level, dialect: Dialect) -> Result<(), Fault> {
        let block = format!("/chains/main/blocks/{level}");
        let protocols: Protocols = self.ask(&format!("{block}/protocols")).await?;
        let form = match dialect {
            Dialect::Modern => Form::Modern(known(&protocols.protocol)?),
            Dialect::Scr1 => Form::Scr1,
        };
        let interest = Interest::default();
        let path = format!("{block}/operations/3?metadata=always&force_metadata=true");
        let read = |bytes: &[u8]| effects(bytes, form, &interest);
        self.endpoint.ask(&path, &read).await.map(|_| ())
    }
}
