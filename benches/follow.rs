//! Following as operators see it: the real binary against a chain served over HTTP.
//!
//! Prints, for empty levels and for `tx-kernel` under load: levels per second of the tower's own
//! processor time (the node, here in the same machine, is left out), peak memory, bytes on disk
//! per level, and what pruning to the newest 4 states leaves. Linux only: it reads `/proc`.
//! `WATCHTOWER_BENCH_LEVELS` sets the number of levels.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use watchtower::crypto::Hash;
use watchtower::journal::Reader;
use watchtower::merkle::{Options as StoreOptions, Store};
use watchtower::protocol::{Level, Protocol};
use watchtower::sim::{Act, Devnet, Options, Parameters, Setup, devnet};

const COMMANDER: &[u8] = include_bytes!("../tests/data/kernels/commander.wasm");
/// Clock ticks of `/proc/<pid>/stat` per second, the same on every Linux.
const TICKS: f64 = 100.0;
/// Newest states that the pruned store keeps: few, to show what each of them costs.
const KEPT: usize = 4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let levels = std::env::var("WATCHTOWER_BENCH_LEVELS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(3000);
    println!(
        "{:<34}{:>10}{:>12}{:>12}{:>14}",
        "", "levels", "per second", "peak MiB", "wall per s"
    );
    run("empty levels", COMMANDER, levels, 0)?;
    run("20 messages in each level", COMMANDER, levels / 3, 20)?;
    let beside =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/kernels/tx-kernel.wasm");
    match std::fs::read(&beside) {
        Ok(kernel) => run("tx-kernel, 20 messages", &kernel, levels / 3, 20)?,
        Err(error) => println!("tx-kernel is not measured: {}: {error}", beside.display()),
    }
    Ok(())
}

fn run(
    name: &str,
    kernel: &[u8],
    levels: u32,
    messages: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut parameters = Parameters::mainnet(Protocol::Ushuaia);
    // A kernel of this size is originated by an installer on a public network.
    parameters.operation_size = 1 << 20;
    parameters.storage_per_operation = 1 << 20;
    let setup = Setup::of(Protocol::Ushuaia, parameters);
    let chain: Devnet = runtime.block_on(devnet(setup, Options::local(), None))?;
    let (rollup, origin) = chain.shared.with(|scenario| {
        scenario.advance().expect("a fresh chain");
        let rollup = scenario.originate(0, kernel).expect("a fresh chain");
        let origin = scenario.chain().level();
        for _ in 0..levels {
            if messages > 0 {
                let batch: Vec<Vec<u8>> = (0..messages)
                    .map(|n| format!("message {n}").into())
                    .collect();
                let batch: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
                scenario.act(&Act::messages(1, &batch)).expect("funded");
            }
            scenario.advance().expect("far from the last level");
        }
        (rollup, origin)
    });
    let until = origin.plus(levels).ok_or("too many levels")?;
    let folder = TempDir::new()?;
    let measured = follow(
        &chain.endpoint.url(),
        &rollup.to_string(),
        until,
        folder.path(),
    )?;
    let per_second = f64::from(levels) / measured.processor.as_secs_f64();
    let wall = f64::from(levels) / measured.wall.as_secs_f64();
    let peak = measured.peak_kib / 1024;
    println!("{name:<34}{levels:>10}{per_second:>12.0}{peak:>12}{wall:>14.0}");
    disk(folder.path(), &rollup.to_string(), until, levels)?;
    chain.endpoint.stop();
    Ok(())
}

struct Measured {
    wall: Duration,
    processor: Duration,
    peak_kib: u64,
}

/// Runs `watchtower follow` to the end, watching it through `/proc`.
fn follow(
    node: &str,
    rollup: &str,
    until: Level,
    data: &Path,
) -> Result<Measured, Box<dyn std::error::Error>> {
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_watchtower"))
        .args(["--log-level", "warn", "--data-dir"])
        .arg(data)
        .args([
            "follow",
            rollup,
            "--node",
            node,
            "--until",
            &until.to_string(),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let (mut peak_kib, mut ticks) = (0, 0);
    let status = loop {
        // An ended child keeps its times until it is waited for.
        ticks = spent(child.id()).unwrap_or(ticks);
        peak_kib = peak(child.id()).unwrap_or(peak_kib);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    if !status.success() {
        return Err(format!("follow ended with {status}").into());
    }
    Ok(Measured {
        wall: started.elapsed(),
        processor: Duration::from_secs_f64(ticks as f64 / TICKS),
        peak_kib,
    })
}

/// User and system time of a process, in clock ticks.
fn spent(process: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn peak(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn disk(
    data: &Path,
    rollup: &str,
    until: Level,
    levels: u32,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut journal = 0;
    for entry in std::fs::read_dir(data)? {
        let entry = entry?;
        // With what is not yet moved from the write-ahead log.
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("journal.sqlite") && !name.ends_with("-shm") {
            journal += entry.metadata()?.len();
        }
    }
    let folder = data.join(rollup).join("states");
    let store = Store::open(&folder, StoreOptions::default())?;
    let before = store.size();
    let reader = Reader::open(&data.join("journal.sqlite"))?;
    let address = rollup.parse()?;
    let states = reader.states_between(&address, Level::ZERO, until)?;
    let known = store.roots();
    let mut keep: Vec<Hash> = states
        .iter()
        .rev()
        .map(|row| Hash(row.hash.0))
        .filter(|root| known.contains(root))
        .take(KEPT)
        .collect();
    keep.sort_unstable_by_key(|root| root.0);
    keep.dedup();
    let pruning = Instant::now();
    store.prune(&keep)?;
    let took = pruning.elapsed();
    println!(
        "    disk: journal {} bytes per level, states {} per level ({} roots); pruned to {} roots: {} of {} bytes, in {:.1} ms",
        journal / u64::from(levels),
        before.bytes / u64::from(levels),
        before.roots,
        keep.len(),
        store.size().bytes,
        before.bytes,
        took.as_secs_f64() * 1000.0,
    );
    Ok(())
}
