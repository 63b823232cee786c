//! A drill with a real tower at the defender's seat: chains move one block at a time, each once the
//! tower has settled on the one before, so that a run is the same whenever its drill is.

use std::path::PathBuf;
use std::time::Duration;

use crate::receiver::Receiver;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use watchtower::alert::{Channel, Hook, Kind, Located, Preset, Settings};
use watchtower::config::{Config, Mode, RollupConfig, SignerConfig};
use watchtower::crypto::Dialect;
use watchtower::journal::{Reader, Severity};
use watchtower::protocol::operation::{Action, Refutation, Step};
use watchtower::protocol::{BlockHash, Level, Mutez, PublicKeyHash, RollupAddress};
use watchtower::serve::{Attended, attend};
use watchtower::signer::Key;
use watchtower::sim::{
    Drill, Endpoint, Engines, Hold, Options, Report, Role, Shared, Staged, serve, suite,
};
use watchtower::tower::{Outcome, Status, TowerError, fast_engine, follow, reference_engine};

/// Longest real time that a tower may need to settle on a block; a test that waits longer hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// The same where endpoints misbehave and a tower cannot settle on every block.
const UNDER_WEATHER: Duration = Duration::from_secs(3);

/// What a test wants otherwise in a configuration.
pub(crate) type Change = Box<dyn Fn(&mut Config)>;

pub(crate) struct Arena {
    runtime: Runtime,
    pub(crate) shared: Shared,
    endpoints: Vec<Endpoint>,
    pub(crate) rollup: RollupAddress,
    pub(crate) defender: u32,
    pub(crate) drill: Drill,
    folder: TempDir,
    /// Who is told, over HTTP.
    pub(crate) people: Receiver,
    pub(crate) tower: Option<Tower>,
    /// What the defender could spend at first.
    pub(crate) initial: Mutez,
    /// Changes the configuration of a tower that serves; without it none does.
    pub(crate) serving: Option<Change>,
    attended: Option<Attended>,
}

pub(crate) struct Tower {
    thread: std::thread::JoinHandle<Option<Result<Outcome, Box<TowerError>>>>,
    status: watch::Receiver<Status>,
    /// Asks it to stop.
    stop: CancellationToken,
    /// Ends it wherever it waits.
    crash: CancellationToken,
}

/// How far a step came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// The tower has nothing to do at the head.
    Settled,
    /// The tower waits for an answer that does not come.
    Held,
    /// The tower is done and has ended.
    Ended,
}

/// What an operation of the defender does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deed {
    Publication,
    Opening,
    Dissection,
    Proof,
    Timeout,
    Cementation,
    Recovery,
}

impl Deed {
    fn of(action: &Action) -> Option<Self> {
        Some(match action {
            Action::Publish { .. } => Self::Publication,
            Action::Refute { refutation, .. } => match refutation {
                Refutation::Move {
                    step: Step::Proof(_),
                    ..
                } => Self::Proof,
                Refutation::Move { .. } => Self::Dissection,
                Refutation::Start { .. } | Refutation::StartOnConflict => Self::Opening,
            },
            Action::Timeout { .. } => Self::Timeout,
            Action::Cement { .. } => Self::Cementation,
            Action::RecoverBond { .. } => Self::Recovery,
            _ => return None,
        })
    }
}

impl Arena {
    pub(crate) fn new(drill: &Drill) -> Self {
        Self::staged(drill, None)
    }

    /// An arena for a drill with another kernel than its own.
    pub(crate) fn staged(drill: &Drill, kernel: Option<&[u8]>) -> Self {
        println!("drill {} with seed {}", drill.name, drill.seed);
        let runtime = two_threads();
        let engines = Engines {
            fast: fast_engine(None),
            reference: reference_engine(),
        };
        let Staged {
            scenario,
            rollup,
            defender,
            ..
        } = match kernel {
            Some(kernel) => drill.stage_with(engines, kernel).unwrap(),
            None => drill.stage(engines).unwrap(),
        };
        let people = runtime.block_on(Receiver::start());
        let initial = Report::of(&scenario, &rollup, defender).balance;
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
            people,
            tower: None,
            initial,
            serving: None,
            attended: None,
        }
    }

    /// Another machine with the same key, on the same chain.
    pub(crate) fn beside(other: &Self) -> Self {
        let runtime = two_threads();
        let (shared, people) = (other.shared.clone(), runtime.block_on(Receiver::start()));
        let endpoint = runtime.block_on(serve(shared.clone(), Options::local()));
        Self {
            endpoints: vec![endpoint.unwrap()],
            runtime,
            shared,
            rollup: other.rollup,
            defender: other.defender,
            drill: other.drill.clone(),
            folder: tempfile::tempdir().unwrap(),
            people,
            tower: None,
            initial: other.initial,
            serving: None,
            attended: None,
        }
    }

    /// An arena whose tower has settled on the origination.
    pub(crate) fn defended(drill: &Drill) -> Self {
        let mut arena = Self::new(drill);
        arena.start(arena.mode());
        arena.settle();
        arena
    }

    /// The mode that the drill is for.
    pub(crate) const fn mode(&self) -> Mode {
        let defence = &self.drill.defence;
        mode(defence.role)
    }

    /// Whether the bond comes home once nobody is left: who publishes every period keeps it.
    pub(crate) fn bond_comes_home(&self) -> bool {
        let defence = &self.drill.defence;
        let last = defence.restart.map_or(defence.role, |restart| restart.role);
        last != Role::Operate
    }

    pub(crate) fn account(&self) -> PublicKeyHash {
        let defender = self.defender;
        self.shared
            .with(|scenario| scenario.person(defender).unwrap().account())
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
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
            data_dir: self.data(),
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
            alerts: self.alerts(),
            listen: None,
            signer: SignerConfig {
                account: Some(self.account()),
                // Blocks come within milliseconds here: an hour holds whole games.
                hourly_cap: 100_000,
                ..SignerConfig::default()
            },
            ..usual
        }
    }

    /// People hear of everything at once, however little it is.
    fn alerts(&self) -> Settings {
        let secret = self.folder.path().join("webhook-secret");
        std::fs::write(&secret, "a secret").unwrap();
        Settings {
            channels: vec![Channel {
                name: "people".into(),
                kind: Kind::Hook(Hook {
                    preset: Preset::Webhook,
                    url: Some(Located::Here(self.people.url.clone())),
                    secret_file: Some(secret),
                    chat: None,
                }),
                least: Severity::Notice,
                from_escalation: 0,
            }],
            test_every: None,
            per_hour: 100_000,
            ..Settings::default()
        }
    }

    pub(crate) fn start(&mut self, mode: Mode) {
        let mut config = self.config(mode);
        let secret = self.secret();
        let sends = mode.capabilities().sends;
        let key = sends.then(|| Key::local(secret.parse().unwrap()));
        let (sender, status) = watch::channel(Status::default());
        let (stop, crash) = (CancellationToken::new(), CancellationToken::new());
        if let Some(change) = &self.serving {
            config.listen = Some(([127, 0, 0, 1], 0).into());
            change(&mut config);
            let attending = attend(&config, status.clone(), &stop);
            self.attended = Some(self.runtime.block_on(attending).unwrap());
        }
        let (stopped, crashed) = (stop.clone(), crash.clone());
        // What serves here outlives the tower's own threads.
        let shown = self.serving.is_none().then(|| status.clone());
        let thread = std::thread::spawn(move || {
            let runtime = two_threads();
            let outcome = runtime.block_on(async {
                let attended = match shown {
                    Some(shown) => Some(attend(&config, shown, &stopped).await.unwrap()),
                    None => None,
                };
                let outcome = tokio::select! {
                    biased;
                    () = crashed.cancelled() => None,
                    outcome = follow(&config, key, None, None, sender, stopped) => {
                        Some(outcome.map_err(Box::new))
                    }
                };
                if let Some(attended) = attended {
                    attended.end().await;
                }
                outcome
            });
            // All of its tasks end where they wait.
            runtime.shutdown_timeout(PATIENCE);
            outcome
        });
        self.tower = Some(Tower {
            thread,
            status,
            stop,
            crash,
        });
    }

    /// Lets the tower go, wherever it is.
    pub(crate) fn stop(&mut self) {
        let tower = self.tower.take().unwrap();
        tower.stop.cancel();
        tower.thread.join().unwrap().unwrap().unwrap();
        if let Some(attended) = self.attended.take() {
            self.runtime.block_on(attended.end());
        }
    }

    /// The defender's secret key.
    pub(crate) fn secret(&self) -> String {
        let defender = self.defender;
        self.shared
            .with(|scenario| scenario.person(defender).unwrap().secret_text().to_owned())
    }

    /// Where the chain is served.
    pub(crate) fn url(&self) -> String {
        self.endpoints[0].url()
    }

    /// Where the tower serves.
    pub(crate) fn address(&self) -> String {
        let address = self.attended.as_ref().and_then(Attended::address);
        address.unwrap().to_string()
    }

    /// Seconds between two blocks of the chain.
    pub(crate) fn block_seconds(&self) -> i64 {
        self.shared.with(|scenario| {
            let head = scenario.chain().head();
            let before = scenario.chain().at(head.header.level.previous().unwrap());
            head.header.timestamp - before.unwrap().header.timestamp
        })
    }

    /// Ends the tower where it waits: nothing that follows is done.
    pub(crate) fn crash(&mut self) {
        let tower = self.tower.take().unwrap();
        tower.crash.cancel();
        let _ = tower.thread.join().unwrap();
        self.hold(None);
    }

    /// Starts the tower again, as a service manager does: threads of one that ended in this process
    /// may have its files open for a moment still.
    pub(crate) fn restart(&mut self) {
        let mut last = None;
        let began = std::time::Instant::now();
        while began.elapsed() < PATIENCE {
            self.start(self.mode());
            if self.settle() == Came::Settled {
                return;
            }
            let tower = self.tower.take().unwrap();
            last = Some(tower.thread.join().unwrap());
            std::thread::yield_now();
        }
        panic!("{}: does not start again: {last:?}", self.drill.name);
    }

    /// Holds a request to come, or none any more.
    pub(crate) fn hold(&self, hold: Option<Hold>) {
        for endpoint in &self.endpoints {
            endpoint.hold(hold.clone());
        }
    }

    pub(crate) fn status(&self) -> watch::Receiver<Status> {
        self.tower.as_ref().unwrap().status.clone()
    }

    /// Waits until the status fits.
    pub(crate) fn wait(&self, fits: impl FnMut(&Status) -> bool) {
        let mut status = self.status();
        let waiting = async { tokio::time::timeout(PATIENCE, status.wait_for(fits)).await };
        let came = self.runtime.block_on(waiting).is_ok();
        assert!(came, "{}: {:#?}", self.drill.name, *self.status().borrow());
    }

    /// The newest block that an endpoint shows.
    fn newest_seen(&self) -> BlockHash {
        let drill = &self.drill;
        let newest = self.shared.with(|scenario| drill.newest_seen(scenario));
        newest.unwrap()
    }

    /// Waits until the tower has nothing to do at the newest block it can see, or is held.
    pub(crate) fn settle(&mut self) -> Came {
        let head = self.newest_seen();
        let tower = self.tower.as_mut().unwrap();
        let patience = if self.drill.endpoints.is_empty() {
            PATIENCE
        } else {
            UNDER_WEATHER
        };
        let mut holding = self.endpoints[0].holding();
        let status = &mut tower.status;
        let waiting = async {
            let settled = status
                .wait_for(|status| status.play.settled.is_some_and(|place| place.block == head));
            tokio::select! {
                settled = settled => match settled {
                    Ok(_) => Came::Settled,
                    Err(_) => Came::Ended,
                },
                _ = holding.wait_for(|holds| *holds) => Came::Held,
            }
        };
        let came = self
            .runtime
            .block_on(async { tokio::time::timeout(patience, waiting).await });
        came.unwrap_or_else(|_| {
            assert!(
                !self.drill.endpoints.is_empty(),
                "{} (seed {}): not settled: {:#?}",
                self.drill.name,
                self.drill.seed,
                *self.status().borrow()
            );
            Came::Settled
        })
    }

    /// Waits until the tower has nothing to do at the newest block, with a request of its being held.
    pub(crate) fn settle_whatever_is_held(&self) {
        let head = self.newest_seen();
        self.wait(|status| status.play.settled.is_some_and(|place| place.block == head));
    }

    pub(crate) fn report(&self) -> Report {
        let (rollup, defender) = (self.rollup, self.defender);
        self.shared
            .with(|scenario| Report::of(scenario, &rollup, defender))
    }

    pub(crate) fn level(&self) -> Level {
        self.shared.with(|scenario| scenario.chain().level())
    }

    /// One block, then whatever the tower does about it.
    pub(crate) fn step(&mut self) -> Came {
        self.shared.with(|scenario| scenario.advance().unwrap());
        self.settle()
    }

    /// Whether everything is over, the bond home included; or the last level is reached.
    pub(crate) fn is_done(&self) -> bool {
        let report = self.report();
        let is_home = !report.is_bonded || !self.bond_comes_home();
        report.is_over && is_home || self.level() >= self.drill.last
    }

    /// Until everything is over and the tower can know it.
    pub(crate) fn run(&mut self) {
        while !self.is_done() {
            self.step_on();
        }
        for _ in 0..self.drill.unseen() {
            self.step_on();
        }
    }

    fn step_on(&mut self) {
        let came = self.step();
        // A tower in bailout ends by itself.
        let is_fine = came == Came::Settled || self.is_done();
        assert!(is_fine, "{}: {came:?}", self.drill.name);
    }

    /// What the defender's operations in the newest block did, in order.
    pub(crate) fn newest_deeds(&self) -> Vec<Deed> {
        let me = self.account();
        self.shared.with(|scenario| {
            let head = scenario.chain().head();
            let operations = head.operations.iter();
            let contents = operations.flat_map(|included| &included.signed.operation.contents);
            contents
                .filter(|content| content.source == me)
                .filter_map(|content| Deed::of(&content.action))
                .collect()
        })
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::open(&self.data().join("journal.sqlite")).unwrap()
    }
}

pub(crate) const fn mode(role: Role) -> Mode {
    match role {
        Role::Defend => Mode::Defend,
        Role::Operate => Mode::Operate,
        Role::Bailout => Mode::Bailout,
    }
}

fn two_threads() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

pub(crate) fn named(name: &str) -> Drill {
    let found = suite().into_iter().find(|drill| drill.name == name);
    found.unwrap_or_else(|| panic!("no drill {name}"))
}
