//! The real tower in defend mode against every adversary of the drills: in each, the liars' bonds
//! go and ours stays. Chains move one block at a time, each once the tower has settled on the one
//! before; the seed is the drill's.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use watchtower::config::{Config, Mode, RollupConfig, SignerConfig};
use watchtower::crypto::Dialect;
use watchtower::journal::{Ending, Reader};
use watchtower::protocol::{Level, PublicKeyHash, RollupAddress};
use watchtower::signer::Key;
use watchtower::sim::{
    Drill, Endpoint, Engines, Options, Report, Role, Shared, Staged, Strategy, serve, suite,
};
use watchtower::tower::{Outcome, Status, TowerError, fast_engine, follow, reference_engine};

/// Longest real time that a tower may need to settle on a block; a test that waits longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);
/// The same where endpoints misbehave and a tower cannot settle on every block.
const UNDER_WEATHER: Duration = Duration::from_secs(3);

/// A drill with a tower at the defender's seat.
struct Arena {
    runtime: Runtime,
    shared: Shared,
    endpoints: Vec<Endpoint>,
    rollup: RollupAddress,
    defender: u32,
    drill: Drill,
    folder: TempDir,
    tower: Option<Tower>,
}

struct Tower {
    task: JoinHandle<Result<Outcome, Box<TowerError>>>,
    status: watch::Receiver<Status>,
    stop: CancellationToken,
}

impl Arena {
    fn new(drill: &Drill) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let engines = Engines {
            fast: fast_engine(None),
            reference: reference_engine(),
        };
        let Staged {
            scenario,
            rollup,
            defender,
            ..
        } = drill.stage(engines).unwrap();
        let shared = Shared::new(scenario);
        let weathers = if drill.endpoints.is_empty() {
            vec![Options::local().weather]
        } else {
            drill.endpoints.clone()
        };
        let endpoints = weathers
            .into_iter()
            .map(|weather| {
                let options = Options {
                    weather,
                    ..Options::local()
                };
                runtime.block_on(serve(shared.clone(), options)).unwrap()
            })
            .collect();
        Self {
            runtime,
            shared,
            endpoints,
            rollup,
            defender,
            drill: drill.clone(),
            folder: tempfile::tempdir().unwrap(),
            tower: None,
        }
    }

    fn account(&self) -> PublicKeyHash {
        let defender = self.defender;
        self.shared
            .with(|scenario| scenario.person(defender).unwrap().account())
    }

    fn config(&self, mode: Mode) -> Config {
        // What kernels reveal, where the operator keeps it.
        let preimages = self.folder.path().join("preimages");
        std::fs::create_dir_all(&preimages).unwrap();
        self.shared.with(|scenario| {
            let found = scenario.preimages().names();
            for name in found {
                let bytes = scenario.preimage(&name).unwrap();
                std::fs::write(preimages.join(name), &*bytes).unwrap();
            }
        });
        let usual = Config::default();
        Config {
            data_dir: self.folder.path().join("data"),
            node_timeout: match self.drill.endpoints.is_empty() {
                true => usual.node_timeout,
                false => UNDER_WEATHER,
            },
            endpoints: self.endpoints.iter().map(Endpoint::url).collect(),
            rollups: vec![RollupConfig {
                address: self.rollup,
                dialect: Dialect::Modern,
                kernel: None,
                preimages: Some(preimages),
                preimage_endpoints: Vec::new(),
            }],
            chosen_mode: Some(mode),
            signer: SignerConfig {
                account: Some(self.account()),
                ..SignerConfig::default()
            },
            ..usual
        }
    }

    fn start(&mut self, mode: Mode) {
        let config = self.config(mode);
        let defender = self.defender;
        let secret = self
            .shared
            .with(|scenario| scenario.person(defender).unwrap().secret_text().to_owned());
        let sends = mode.capabilities().sends;
        let key = sends.then(|| Key::local(secret.parse().unwrap()));
        let (sender, status) = watch::channel(Status::default());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        // The future holds a connection to the journal and so stays on one thread.
        let handle = self.runtime.handle().clone();
        let task = self.runtime.spawn_blocking(move || {
            handle
                .block_on(follow(&config, key, None, None, sender, stopped))
                .map_err(Box::new)
        });
        self.tower = Some(Tower { task, status, stop });
    }

    /// Lets the tower go, wherever it is.
    fn stop(&mut self) {
        let tower = self.tower.take().unwrap();
        tower.stop.cancel();
        self.runtime.block_on(tower.task).unwrap().unwrap();
    }

    /// Waits until the tower has nothing to do at the head.
    fn settle(&mut self) {
        let head = self.shared.with(|scenario| scenario.chain().head().hash);
        let tower = self.tower.as_mut().unwrap();
        let patience = if self.drill.endpoints.is_empty() {
            PATIENCE
        } else {
            UNDER_WEATHER
        };
        let settled = tower
            .status
            .wait_for(|status| status.play.settled.is_some_and(|place| place.block == head));
        let outcome = self
            .runtime
            .block_on(async { tokio::time::timeout(patience, settled).await.is_ok() });
        let is_alive = !tower.task.is_finished();
        assert!(is_alive, "{}: the tower ended", self.drill.name);
        assert!(
            outcome || !self.drill.endpoints.is_empty(),
            "{}: not settled: {:#?}",
            self.drill.name,
            *tower.status.borrow()
        );
    }

    fn report(&self) -> Report {
        let (rollup, defender) = (self.rollup, self.defender);
        self.shared
            .with(|scenario| Report::of(scenario, &rollup, defender))
    }

    /// One block, then whatever the tower does about it.
    fn step(&mut self) {
        self.shared.with(|scenario| scenario.advance().unwrap());
        self.settle();
    }

    /// Until everything is over, or the last level.
    fn run(&mut self) -> Report {
        self.run_until(self.drill.last)
    }

    /// Until everything is over, or the chain is at `last`.
    fn run_until(&mut self, last: Level) -> Report {
        loop {
            let report = self.report();
            let level = self.shared.with(|scenario| scenario.chain().level());
            if report.is_over || level >= last {
                return report;
            }
            self.step();
        }
    }

    fn reader(&self) -> Reader {
        Reader::open(&self.folder.path().join("data/journal.sqlite")).unwrap()
    }

    /// What must hold whatever happened: nothing asserted twice in two ways, no game lost, at most
    /// one operation of ours in a block.
    fn check_invariants(&self) {
        let (me, reader) = (self.account(), self.reader());
        for (game, end) in reader.games(&self.rollup).unwrap() {
            if let Some((_, ending)) = end {
                assert_ne!(ending, Ending::Draw, "{}: {game:?}", self.drill.name);
                assert_ne!(ending, Ending::Loser(me), "{}: {game:?}", self.drill.name);
            }
        }
        let mut published = BTreeSet::new();
        for row in reader.published(&self.rollup).unwrap() {
            let (level, hash) = (row.commitment.inbox_level, row.commitment.hash());
            if row.staker == me && row.block.is_some() {
                published.insert((level, hash));
            }
        }
        let levels: BTreeSet<_> = published.iter().map(|(level, _)| level).collect();
        assert_eq!(levels.len(), published.len(), "{}", self.drill.name);
    }
}

fn named(name: &str) -> Drill {
    let found = suite().into_iter().find(|drill| drill.name == name);
    found.unwrap_or_else(|| panic!("no drill {name}"))
}

fn liars(drill: &Drill) -> usize {
    let opponents = drill.opponents.iter();
    opponents
        .filter(|opponent| opponent.strategy != Strategy::Honest)
        .count()
}

/// What is wrong with how a drill ended.
fn complaint(report: &Report, drill: &Drill) -> Option<String> {
    let is_well = report.is_won() && report.slashed.len() == liars(drill) && report.failed == 0;
    (!is_well).then(|| format!("{}: {report:#?}", drill.name))
}

const fn mode(role: Role) -> Mode {
    match role {
        Role::Defend => Mode::Defend,
        Role::Operate => Mode::Operate,
        Role::Bailout => Mode::Bailout,
    }
}

fn defended(drill: &Drill) -> Option<String> {
    let mut arena = Arena::new(drill);
    arena.start(mode(drill.defence.role));
    arena.settle();
    if let Some(restart) = drill.defence.restart {
        arena.run_until(restart.after);
        arena.stop();
        arena.start(mode(restart.role));
        arena.settle();
    }
    let report = arena.run();
    arena.stop();
    arena.check_invariants();
    complaint(&report, drill)
}

/// The drills that `WATCHTOWER_DRILLS` names, or `all`: a campaign of its own, since whole games of
/// every adversary take long. Without it, the tests below and the demo play.
fn chosen() -> Vec<Drill> {
    let Ok(wanted) = std::env::var("WATCHTOWER_DRILLS") else {
        return Vec::new();
    };
    let mut drills = suite();
    if wanted != "all" {
        let names: Vec<_> = wanted.split(',').collect();
        drills.retain(|drill| names.contains(&drill.name.as_str()));
        assert_eq!(drills.len(), names.len(), "{wanted}: not all are drills");
    }
    drills
}

#[test]
fn in_every_drill_the_liars_lose_their_stakes_and_ours_is_safe() {
    let drills = chosen();
    let next = AtomicUsize::new(0);
    let failures = Arc::new(Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(drill) = drills.get(next.fetch_add(1, Ordering::Relaxed)) {
                    println!("drill {} with seed {}", drill.name, drill.seed);
                    failures.lock().unwrap().extend(defended(drill));
                }
            });
        }
    });
    let failures = failures.lock().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn shadow_decides_everything_and_sends_nothing() {
    let drill = named("pvm_proof_1");
    let mut arena = Arena::new(&drill);
    arena.start(Mode::Shadow);
    arena.settle();
    let me = arena.account();
    for _ in 0..30 {
        arena.step();
    }
    arena.stop();
    let is_staked = arena.shared.with(|scenario| {
        let context = scenario.chain().context();
        let rollup = context.rollup(&arena.rollup).unwrap();
        rollup.index_of(&me).is_ok()
    });
    assert!(!is_staked, "shadow staked");
    let steps = arena.reader().operation_steps().unwrap();
    assert!(
        steps.iter().any(|(_, row)| row.step == "would_send"),
        "{steps:?}"
    );
    assert!(steps.iter().all(|(_, row)| row.step != "signed"));
    let decisions = arena.reader().decisions(&arena.rollup, 10).unwrap();
    assert!(!decisions.is_empty());
}

#[test]
fn the_brake_stops_sending_beside_a_running_tower_and_games_go_on_after_it() {
    let drill = named("pvm_proof_1");
    let mut arena = Arena::new(&drill);
    arena.start(Mode::Defend);
    arena.settle();
    let data = arena.folder.path().join("data");
    watchtower::tower::pull(&data, "a test").unwrap();
    let me = arena.account();
    let mut status = arena.tower.as_ref().unwrap().status.clone();
    let held = |status: &Status| !status.play.holds.is_empty();
    arena
        .runtime
        .block_on(async { status.wait_for(held).await.map(|_| ()) })
        .unwrap();
    for _ in 0..25 {
        arena.step();
    }
    let staked = |arena: &Arena| {
        arena.shared.with(|scenario| {
            let context = scenario.chain().context();
            let rollup = context.rollup(&arena.rollup).unwrap();
            rollup.index_of(&me).is_ok()
        })
    };
    assert!(!staked(&arena), "sent in spite of the brake");
    watchtower::tower::release(&data).unwrap();
    arena
        .runtime
        .block_on(async { status.wait_for(|status| !held(status)).await.map(|_| ()) })
        .unwrap();
    arena.settle();
    let report = arena.run();
    arena.stop();
    assert_eq!(complaint(&report, &drill), None);
}
