//! A chain with a rollup and two stakers, and a data directory to follow it in.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::runtime::Runtime;
use watchtower::crypto::Dialect;
use watchtower::journal::{Judgement, LogFilter, LogKind, Reader};
use watchtower::protocol::{Dialected, Level, Protocol, PublicKeyHash, RollupAddress};
use watchtower::sim::{
    Act, Actor, Devnet, Engines, From, Options, Parameters, Person, Setup, Strategy, devnet,
};
use watchtower::tower::{fast_engine, reference_engine};

pub(crate) const COMMANDER: &[u8] = include_bytes!("../data/kernels/commander.wasm");
pub(crate) const SECOND: &[u8] = include_bytes!("../data/kernels/commander-second.wasm");

/// The alarm about a run that was not ended.
pub(crate) const RESTARTED: &str = "restarted after crash";

pub(crate) const PERIOD: u32 = 5;
pub(crate) const HONEST: u32 = 1;
pub(crate) const LIAR: u32 = 2;

pub(crate) struct World {
    runtime: Runtime,
    pub(crate) chain: Devnet,
    pub(crate) rollup: RollupAddress,
    pub(crate) dialect: Dialect,
    pub(crate) origin: Level,
    folder: TempDir,
}

/// Short periods; a window that never ends, so that nothing is cemented unless a test wants it.
pub(crate) fn setup(dialect: Dialect) -> Setup {
    let protocol = Protocol::Tallinn;
    let parameters = Parameters::mainnet(protocol).with_lengths(PERIOD, 1000, 1000);
    Setup {
        dialect,
        ..Setup::of(protocol, parameters)
    }
}

impl World {
    pub(crate) fn new(setup: Setup) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let dialect = setup.dialect;
        let engines = Engines {
            fast: fast_engine(None),
            reference: reference_engine(),
        };
        let chain = runtime
            .block_on(devnet(setup, Options::local(), Some(engines)))
            .unwrap();
        let (rollup, origin) = chain.shared.with(|scenario| {
            scenario.advance().unwrap();
            let rollup = scenario.originate(0, COMMANDER).unwrap();
            scenario.hire(Actor::new(HONEST, rollup, Strategy::Honest));
            (rollup, scenario.chain().level())
        });
        Self {
            runtime,
            chain,
            rollup,
            dialect,
            origin,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// The level `blocks` above the origination.
    pub(crate) fn level(&self, blocks: u32) -> Level {
        self.origin.plus(blocks).unwrap()
    }

    /// Lets a liar stake, who lies from `blocks` above the origination on.
    pub(crate) fn hire_liar(&self, blocks: u32) {
        let lie = From::level(self.level(blocks));
        self.chain.shared.with(|scenario| {
            scenario.hire(Actor::new(LIAR, self.rollup, Strategy::WrongState(lie)));
        });
    }

    /// Plans a command for the kernel, `blocks` above the origination.
    pub(crate) fn command(&self, blocks: u32, command: &[u8]) {
        let level = self.level(blocks);
        self.chain
            .shared
            .with(|scenario| scenario.plan(level, Act::messages(0, &[command])));
    }

    /// Bakes until the head is `blocks` above the origination.
    pub(crate) fn advance(&self, blocks: u32) {
        let level = self.level(blocks);
        self.chain.shared.with(|scenario| {
            scenario.advance_to(level).unwrap();
            assert_eq!(scenario.refusals(), [], "the script was refused");
        });
    }

    /// The hash of the block `blocks` above the origination.
    pub(crate) fn block_hash(&self, blocks: u32) -> String {
        let level = self.level(blocks);
        self.chain
            .shared
            .with_chain(|chain| chain.at(level).unwrap().hash.to_string())
    }

    /// Waits until a running tower has raised an alarm of a kind that names something.
    pub(crate) fn until_alarm(&self, kind: &str, names: &str) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while Instant::now() < deadline {
            let found = Reader::open(&self.data().join("journal.sqlite"))
                .and_then(|reader| reader.alarms(100))
                .unwrap_or_default();
            let mut kinds = found.iter().map(|(_, _, kind, text)| (kind, text));
            if kinds.any(|(found, text)| found == kind && text.contains(names)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("no alarm {kind:?} that names {names}");
    }

    pub(crate) fn account(&self, index: u32) -> PublicKeyHash {
        self.chain
            .shared
            .with(|scenario| scenario.person(index).map(Person::account).unwrap())
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn name(&self) -> String {
        self.rollup.text(self.dialect)
    }

    /// The binary with the data directory set.
    pub(crate) fn watchtower_in(&self, data: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_watchtower"));
        for (name, _) in std::env::vars() {
            if name.starts_with("WATCHTOWER_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.folder.path())
            .env("WATCHTOWER_SERVE_LISTEN", "none")
            .arg("--data-dir")
            .arg(data)
            .stdin(Stdio::null());
        command
    }

    /// `follow` until a level, over the real HTTP of the chain.
    pub(crate) fn follow_in(&self, data: &Path, until: Level) -> Command {
        let mut command = self.watchtower_in(data);
        command
            .args(["follow", &self.name(), "--node", &self.chain.endpoint.url()])
            .args(["--until", &until.to_string()]);
        command
    }

    /// Follows to `blocks` above the origination and answers the exit code.
    #[track_caller]
    pub(crate) fn follow(&self, blocks: u32, more: &[&str]) -> i32 {
        let output = self
            .follow_in(&self.data(), self.level(blocks))
            .args(more)
            .output()
            .unwrap();
        code(&output)
    }

    pub(crate) fn reader(&self) -> Reader {
        reader(&self.data())
    }

    /// Verdicts on what an account published, by inbox level above the origination.
    pub(crate) fn verdicts_of(&self, index: u32) -> Vec<(u32, Judgement)> {
        let reader = self.reader();
        let account = self.account(index);
        let verdicts = reader.verdicts(&self.rollup).unwrap();
        reader
            .published(&self.rollup)
            .unwrap()
            .into_iter()
            .filter(|row| row.staker == account)
            .filter_map(|row| {
                let hash = row.commitment.hash();
                let verdict = verdicts.iter().find(|verdict| verdict.commitment == hash)?;
                let blocks = verdict.level.since(self.origin).unwrap();
                Some((blocks, verdict.judgement.clone()))
            })
            .collect()
    }

    #[track_caller]
    pub(crate) fn assert_honest_true(&self, periods: u32) {
        let expected: Vec<_> = (1..=periods)
            .map(|period| (period * PERIOD, Judgement::True))
            .collect();
        assert_eq!(self.verdicts_of(HONEST), expected);
    }

    /// Everything that the journal holds of the chain in force, without times and numbers: what
    /// must not depend on how the tower got there.
    pub(crate) fn essence(&self, data: &Path) -> Vec<String> {
        let reader = reader(data);
        let (from, to) = (self.origin, reader.head().unwrap().unwrap().level);
        let mut essence = Vec::new();
        for block in reader.blocks_between(from, to).unwrap() {
            let inbox = reader.inbox(&block.hash).unwrap().unwrap();
            essence.push(format!("{} {} {}", block.level, block.hash, inbox.hash));
        }
        for row in reader.states_between(&self.rollup, from, to).unwrap() {
            essence.push(format!("{} {} {:?}", row.level, row.hash, row.edges));
        }
        for (block, own) in reader.own_commitments(&self.rollup).unwrap() {
            essence.push(format!("{block} {own:?}"));
        }
        for row in reader.published(&self.rollup).unwrap() {
            essence.push(format!("{row:?}"));
        }
        for row in reader.operations(&self.rollup).unwrap() {
            essence.push(format!("{row:?}"));
        }
        for row in reader.verdicts(&self.rollup).unwrap() {
            essence.push(format!("{row:?}"));
        }
        for row in reader.conflicts(&self.rollup).unwrap() {
            essence.push(format!("{} {} {}", row.level, row.staker, row.other_staker));
        }
        essence
    }
}

pub(crate) fn reader(data: &Path) -> Reader {
    Reader::open(&data.join("journal.sqlite")).unwrap()
}

/// Rows of a journal that could only be there twice by mistake: every kind but runs and what people
/// were told (which depends on when), each without its number and time.
pub(crate) fn rows(data: &Path) -> Vec<String> {
    let kinds = LogKind::ALL.into_iter();
    let filter = LogFilter {
        kinds: kinds
            .filter(|kind| !matches!(kind, LogKind::Run | LogKind::RunEnd) && !kind.is_telling())
            .collect(),
        ..LogFilter::default()
    };
    let mut rows: Vec<_> = reader(data)
        .log(&filter)
        .unwrap()
        .into_iter()
        // That it was killed is no part of what it saw.
        .filter(|row| row.data.get("kind").and_then(|kind| kind.as_str()) != Some(RESTARTED))
        .map(|row| format!("{} {:?} {:?}", row.kind.name(), row.level, row.data))
        .collect();
    rows.sort();
    rows
}

#[track_caller]
pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| {
        panic!(
            "ended by a signal:\n{}",
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

pub(crate) fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

impl Drop for World {
    fn drop(&mut self) {
        self.chain.endpoint.stop();
        // Streams that are still open end with the runtime.
        let _ = &self.runtime;
    }
}
