//! Play at mainnet's tick constants: the real tower, over HTTP, against liars on a simulated chain.
//! From a block with the opponent's move to our move injected; whole games; many at once.
//!
//! Not a loop: a game is played once. `cargo bench --bench play -- tx-kernel` plays one of
//! `tx-kernel`, `crowd`, `tx-crowd`, `long-run`, `stand-in`. The liars of the chain walk the machine
//! tick by tick, which the last three are too long for: they are followed on the chain and played in
//! rehearsals, two at a time, where the time of each of our moves is what is told. Kernels larger
//! than an operation come through an installer. The chain, the liars and the tower share the
//! processors. Kernels of the reference's vectors are read beside the checkout, and their games left
//! out when they are not there.

#![allow(clippy::unwrap_used)] // a bench that cannot go on should stop

mod support;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use watchtower::config::{Config, Mode, RollupConfig};
use watchtower::crypto::Dialect;
use watchtower::journal::Reader;
use watchtower::operation::Entry;
use watchtower::protocol::{Level, Protocol, RollupAddress};
use watchtower::pvm::{Doing, PreimageFolder, standin};
use watchtower::signer::Key;
use watchtower::sim::{
    Act, Actor, Engines, From, MachineTruth, Options, Parameters, Play, Report, Scenario, Setup,
    Shared, Strategy, serve,
};
use watchtower::tower::{
    KeptReveals, Rehearsal, Role, States, Status, fast_engine, follow, reference_engine,
};

/// Account that originates and writes to the rollup.
const WRITER: u32 = 0;
/// Account that defends.
const DEFENDER: u32 = 1;
/// Account of the first liar.
const LIARS: u32 = 2;
/// Ticks of a kernel run.
const RUN: u64 = 50_000_000_000_000;
/// Blocks between commitments.
const PERIOD: u32 = 10;
/// Longest real time that a tower may need for a block.
const PATIENCE: Duration = Duration::from_secs(1_200);
/// Level lied about.
const LIE: u16 = 6;

/// Does what messages tell it to: small enough for 32 liars that walk it.
const COMMANDER: &[u8] = include_bytes!("../tests/data/kernels/commander.wasm");

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    if is_wanted("long-run") {
        rehearse(
            "a run of 1,000,000,000 ticks",
            &support::memory_loop(36),
            &[],
            KINDS.len(),
        );
    }
    if is_wanted("stand-in") {
        let kernel = standin::kernel(standin::Shape::MAINNET);
        rehearse("a stand-in of a mainnet kernel", &kernel, &[], KINDS.len());
    }
    let tx_kernel = vector("kernels/tx-kernel-no-verif.wasm");
    let messages: Vec<_> = ["messages/deposit.out", "messages/withdrawal.out"]
        .into_iter()
        .filter_map(vector)
        .collect();
    if let Some(kernel) = tx_kernel.as_ref().filter(|_| is_wanted("tx-crowd")) {
        rehearse("32 games about tx-kernel", kernel, &messages, 32);
    }
    if let Some(kernel) = tx_kernel.filter(|_| is_wanted("tx-kernel")) {
        // In its decoding, its initialisation, its evaluation.
        for tick in [400_000, 4_000_000, 8_000_000] {
            play("tx-kernel", &kernel, &messages, &[RUN + tick]);
        }
    }
    if is_wanted("crowd") {
        // All about one period, at ticks of its decoding, its initialisation and its evaluation.
        let lies: Vec<_> = (0..32).map(|liar| RUN + 1_500 * (liar + 1)).collect();
        play("32 games at once", COMMANDER, &[], &lies);
    }
}

fn vector(name: &str) -> Option<Vec<u8>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/vectors/");
    std::fs::read(format!("{path}{name}")).ok()
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.unwrap_or("memory unknown").to_owned()
}

/// A chain on which each liar lies from a tick on, counted from the end of a level's messages.
fn staged(kernel: &[u8], messages: &[Vec<u8>], lies: &[u64]) -> (Scenario, RollupAddress) {
    let protocol = Protocol::Ushuaia;
    let parameters = Parameters::mainnet(protocol).with_lengths(PERIOD, PERIOD * 4, 60);
    let mut setup = Setup::of(protocol, parameters).seeded(7);
    setup.accounts = LIARS + u32::try_from(lies.len()).unwrap();
    let mut scenario = Scenario::new(setup).unwrap();
    let engines = Engines {
        fast: fast_engine(None),
        reference: reference_engine(),
    };
    let truth = MachineTruth::new(engines, scenario.preimages().clone());
    scenario.employ(std::iter::empty::<Actor>(), Box::new(truth));
    let rollup = scenario.install(WRITER, kernel).unwrap();
    let sent: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    for level in 3..12_u16 {
        if !sent.is_empty() {
            scenario.plan(Level::new(level), Act::messages(WRITER, &sent));
        }
    }
    // The start of the level, its information, the messages of users, its end.
    let end = 2 + u32::try_from(messages.len()).unwrap();
    for (account, tick) in (LIARS..).zip(lies) {
        let lie = Strategy::WrongState(From::place(Level::new(LIE), end, *tick));
        scenario.hire(Actor::new(account, rollup, lie).playing(Play::default()));
    }
    (scenario, rollup)
}

fn configured(
    shared: &Shared,
    folder: &Path,
    endpoint: &str,
    rollup: RollupAddress,
    mode: Mode,
) -> Config {
    // What kernels reveal, where the operator keeps it.
    let preimages = folder.join("preimages");
    std::fs::create_dir_all(&preimages).unwrap();
    shared.with(|scenario| {
        for name in scenario.preimages().names() {
            let bytes = scenario.preimage(&name).unwrap();
            std::fs::write(preimages.join(name), &*bytes).unwrap();
        }
    });
    Config {
        data_dir: folder.join("data"),
        endpoints: vec![endpoint.to_owned()],
        rollups: vec![RollupConfig {
            address: rollup,
            dialect: Dialect::Modern,
            kernel: None,
            preimages: Some(preimages),
            preimage_endpoints: Vec::new(),
        }],
        chosen_mode: Some(mode),
        ..Config::default()
    }
}

/// Plays to the end and prints what it took.
fn play(name: &str, kernel: &[u8], messages: &[Vec<u8>], lies: &[u64]) {
    let began = Instant::now();
    let (scenario, rollup) = staged(kernel, messages, lies);
    let secret = scenario
        .person(DEFENDER)
        .unwrap()
        .secret_text()
        .parse()
        .unwrap();
    let key = Key::local(secret);
    let shared = Shared::new(scenario);
    let runtime = Runtime::new().unwrap();
    let endpoint = runtime
        .block_on(serve(shared.clone(), Options::local()))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = configured(
        &shared,
        folder.path(),
        &endpoint.url(),
        rollup,
        Mode::Defend,
    );
    let (sender, mut status) = watch::channel(Status::default());
    let stop = CancellationToken::new();
    let (stopped, data) = (stop.clone(), config.data_dir.clone());
    let handle = runtime.handle().clone();
    let tower = runtime.spawn_blocking(move || {
        handle
            .block_on(follow(&config, Some(key), None, None, sender, stopped))
            .map_err(Box::new)
    });
    let mut answers = Vec::new();
    let mut settle = |after: i64| {
        let head = shared.with(|scenario| scenario.chain().head().hash);
        let settled =
            status.wait_for(|status| status.play.settled.is_some_and(|place| place.block == head));
        let waited =
            runtime.block_on(async { tokio::time::timeout(PATIENCE, settled).await.is_ok() });
        assert!(waited, "{name}: the tower does not settle");
        answers.extend(answer_after(&data, &rollup, after));
    };
    settle(now());
    let report = loop {
        let report = shared.with(|scenario| Report::of(scenario, &rollup, DEFENDER));
        // A liar who still has money may stake again afterwards: that is no longer these games.
        let is_over = report.slashed.len() == lies.len();
        if is_over || shared.with(|scenario| scenario.chain().level()) >= Level::new(200) {
            break report;
        }
        shared.with(|scenario| scenario.advance().unwrap());
        settle(now());
    };
    stop.cancel();
    runtime.block_on(tower).unwrap().unwrap();
    let is_won = report.slashed.len() == lies.len() && !report.lost;
    tell(name, is_won, answers, &data, &rollup, began.elapsed());
}

/// Kinds of ticks that lies are about.
const KINDS: [Doing; 5] = [
    Doing::Decode,
    Doing::Init,
    Doing::Eval,
    Doing::Input,
    Doing::Padding,
];

/// Follows a chain with this kernel, and plays games about its last period in memory, on two
/// threads: about each kind of tick by turns, in both roles.
fn rehearse(name: &str, kernel: &[u8], messages: &[Vec<u8>], games: usize) {
    let (mut scenario, rollup) = staged(kernel, messages, &[]);
    scenario.advance_to(Level::new(16)).unwrap();
    let shared = Shared::new(scenario);
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let served = serve(shared.clone(), Options::local());
    let endpoint = runtime.block_on(served).unwrap();
    let config = configured(
        &shared,
        folder.path(),
        &endpoint.url(),
        rollup,
        Mode::Observe,
    );
    let until = Some(Level::new(12));
    let (sender, _status) = watch::channel(Status::default());
    let following = follow(&config, None, until, None, sender, CancellationToken::new());
    runtime.block_on(following).unwrap();
    let reader = Reader::open(&config.data_dir.join("journal.sqlite")).unwrap();
    let row = reader.rollups().unwrap().remove(0);
    let preimages = PreimageFolder::new(config.rollups[0].preimages.clone().unwrap());
    let reveals = Arc::new(KeptReveals::new(&row, preimages, &reader).unwrap());
    let rehearsal = Rehearsal::open(&config, &row, reveals, States::Store, None).unwrap();
    println!("{name}: a period of {} ticks", rehearsal.ticks());
    let began = Instant::now();
    let lies: Vec<_> = (0..)
        .flat_map(|round| rehearsal.lies(round).unwrap())
        .filter(|lie| KINDS.contains(&lie.about))
        .take(games)
        .collect();
    println!(
        "  found its phases in {:.3} s",
        began.elapsed().as_secs_f64()
    );
    let (next, all) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(lie) = lies.get(number) else { return };
                let role = [Role::Refuter, Role::Defender][number % 2];
                let game = rehearsal.play_from(role, lie.from).unwrap();
                let moves = game.moves.iter().map(|(took, _)| took.as_secs_f64());
                all.lock().unwrap().extend(moves);
                println!(
                    "  {} as {}: {} in {} moves, proof of {} bytes; median {:.3} s, worst {:.3} s, all {:.3} s{}",
                    lie.about.name(),
                    role.name(),
                    if game.is_won { "won" } else { "NOT WON" },
                    game.moves.len(),
                    game.proof.unwrap_or(0),
                    game.median().as_secs_f64(),
                    game.slowest().as_secs_f64(),
                    game.whole().as_secs_f64(),
                    game.problem
                        .map_or(String::new(), |problem| format!(": {problem}"))
                );
            }
        };
        for number in 0..2 {
            let thread = std::thread::Builder::new().name(format!("game {number}"));
            // The reference machine recurses over trees.
            thread
                .stack_size(64 << 20)
                .spawn_scoped(scope, work)
                .unwrap();
        }
    });
    let mut moves = all.into_inner().unwrap();
    moves.sort_by(f64::total_cmp);
    println!(
        "  {} games in {:.1} s; of {} moves the median took {:.3} s, the worst {:.3} s; {}",
        lies.len(),
        began.elapsed().as_secs_f64(),
        moves.len(),
        moves.get(moves.len() / 2).copied().unwrap_or(0.0),
        moves.last().copied().unwrap_or(0.0),
        resident()
    );
}

/// Milliseconds from a block with moves of opponents to the last of our answers injected.
fn answer_after(data: &Path, rollup: &RollupAddress, after: i64) -> Option<i64> {
    let reader = Reader::open(&data.join("journal.sqlite")).ok()?;
    let head = reader.head().ok()??.level;
    let games = reader.games(rollup).ok()?;
    let is_ours = games.iter().any(|(game, end)| {
        let last = reader.positions(game).ok().and_then(|mut all| all.pop());
        let is_due = |last: &watchtower::journal::StoredPosition| {
            last.level == head
                && reader
                    .moves(game)
                    .is_ok_and(|moves| moves.iter().any(|found| found.position == last.position))
        };
        end.is_none() && last.as_ref().is_some_and(is_due)
    });
    let steps = reader.operation_steps().ok()?;
    let injected = steps.iter().rev().find_map(|(at, row)| {
        matches!(Entry::from_json(&row.detail), Ok(Entry::Injected { .. })).then_some(*at)
    })?;
    (is_ours && injected >= after).then(|| injected - after)
}

fn tell(
    name: &str,
    is_won: bool,
    mut answers: Vec<i64>,
    data: &Path,
    rollup: &RollupAddress,
    whole: Duration,
) {
    let reader = Reader::open(&data.join("journal.sqlite")).unwrap();
    let games = reader.games(rollup).unwrap();
    let moves: Vec<u64> = games
        .iter()
        .flat_map(|(game, _)| reader.moves(game).unwrap())
        .map(|found| found.milliseconds)
        .collect();
    answers.sort_unstable();
    let seconds =
        |milliseconds: i64| Duration::from_millis(milliseconds.unsigned_abs()).as_secs_f64();
    let ours: u64 = moves.iter().sum();
    println!("{name}");
    println!(
        "  {} games, {} moves, {}",
        games.len(),
        moves.len(),
        if is_won { "won" } else { "NOT WON" }
    );
    println!(
        "  block to injection: median {:.3} s, worst {:.3} s, of {} answers",
        seconds(answers.get(answers.len() / 2).copied().unwrap_or(0)),
        seconds(answers.last().copied().unwrap_or(0)),
        answers.len()
    );
    println!(
        "  finding moves: {:.3} s in all, slowest {:.3} s; our time with all else {:.3} s",
        Duration::from_millis(ours).as_secs_f64(),
        Duration::from_millis(moves.iter().copied().max().unwrap_or(0)).as_secs_f64(),
        seconds(answers.iter().sum())
    );
    println!(
        "  {:.1} s with chain and liars; {}",
        whole.as_secs_f64(),
        resident()
    );
}
