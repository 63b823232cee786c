//! The reference machine: a long run over much memory, single ticks with proofs, and a stand-in of
//! mainnet's largest kernel; seconds to each answer, each with its bar.
//!
//! Not a loop: what is new only once is measured once. `cargo bench --bench reference -- echo` runs
//! one part (`long`, `echo`, `tx-kernel`, `stand-in`); `small` takes a tenth of the stand-in, whose
//! first questions are asked in processes of their own. Kernels of the reference's vectors are read
//! beside the checkout and left out when they are not there.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use watchtower::protocol::{Level, PvmVersion};
use watchtower::pvm::slow::{Course, Openings, Purpose};
use watchtower::pvm::standin::{Shape, kernel};
use watchtower::pvm::{
    Environment, InputInfo, ListingOrder, MetadataAlone, Origination, State, Timeline,
};

fn environment() -> Environment {
    Environment {
        listing: ListingOrder::Judge,
        ..Environment::without_fast(Arc::new(MetadataAlone([7; 24])))
    }
}

/// Prints the time that something took, and the processor's time for it: on a shared machine the
/// bars are about the latter.
fn timed<T>(what: &str, bar: &str, work: impl FnOnce() -> T) -> (T, Duration) {
    let (start, used) = (Instant::now(), processor());
    let done = work();
    let (spent, used) = (start.elapsed(), processor() - used);
    println!(
        "{what:<58} {:>9.3} s  cpu {used:>8.2} s   {bar}",
        spent.as_secs_f64()
    );
    (done, spent)
}

/// Seconds that the processors spent on this process.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let fields = fields.split_whitespace().skip(11).take(2);
    fields
        .filter_map(|field| field.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.unwrap_or_default().to_owned()
    };
    format!("{}  {}", line("VmRSS"), line("VmHWM"))
}

fn messages() -> Arc<[Vec<u8>]> {
    vec![vec![0, 1], b"\x01external".to_vec(), vec![0, 2]].into()
}

/// The state right before the tick that begins the kernel run.
fn started(kernel: &[u8], messages: &[Vec<u8>]) -> State {
    let origination = Origination {
        version: PvmVersion::V5,
        ticks_per_snapshot: 50_000_000_000_000,
        outbox_validity_period: 10,
        outbox_message_limit: 100,
    };
    let start = State::originate(&origination, kernel).expect("a state");
    let mut course = Course::new(start, &environment(), Purpose::Reach).expect("a course");
    for (counter, payload) in (0..).zip(messages) {
        let level = Level::new(5);
        let given = course.set_input(InputInfo { level, counter }, payload, &environment());
        given.expect("an input");
    }
    course.advance(BEGIN, &environment()).expect("padding");
    let machine = course.into_machine(&environment()).expect("a state");
    machine.state().clone()
}

fn timeline(kernel: &[u8], messages: Arc<[Vec<u8>]>) -> Timeline {
    timeline_in(environment(), kernel, messages)
}

fn timeline_in(environment: Environment, kernel: &[u8], messages: Arc<[Vec<u8>]>) -> Timeline {
    let origination = Origination {
        version: PvmVersion::V5,
        ticks_per_snapshot: 50_000_000_000_000,
        outbox_validity_period: 10,
        outbox_message_limit: 100,
    };
    let start = State::originate(&origination, kernel).expect("a state");
    let levels = vec![(Level::new(5), messages)];
    Timeline::new(start, levels, environment).expect("a timeline")
}

/// First tick of the kernel run of the level.
const BEGIN: u128 = 50_000_000_000_000;

fn long_run() {
    let kernel = support::memory_loop(u32::MAX);
    let mut line = timeline(&kernel, messages());
    let points: Vec<u128> = (1..=33).map(|point| BEGIN + point * 30_303_030).collect();
    timed(
        "33 hashes over 10^9 ticks, 16 MiB of memory",
        "bar 5",
        || line.hashes(&points).expect("hashes"),
    );
    let narrow: Vec<u128> = (1..=33)
        .map(|point| BEGIN + 303_030_300 + point * 900_000)
        .collect();
    timed("33 hashes between two of them", "", || {
        line.hashes(&narrow).expect("hashes")
    });
    println!("{}", resident());
}

fn vector(name: &str) -> Option<Vec<u8>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/vectors/");
    std::fs::read(format!("{path}{name}")).ok()
}

fn echo() {
    let Some(kernel) = vector("kernels/echo.wasm") else {
        return;
    };
    let mut line = timeline(&kernel, messages());
    let begin = BEGIN + 1;
    const COUNT: u128 = 2_000;
    let (_, spent) = timed("2,000 single ticks of echo, each proved", "bar 1", || {
        for tick in begin..begin + COUNT {
            line.prove(tick).expect("a proof");
        }
    });
    println!(
        "{:.0} ticks with proof a second",
        COUNT as f64 / spent.as_secs_f64()
    );
}

/// Ticks a second of run mode in the evaluation of tx-kernel over a full level, nothing hashed.
fn tx_speed(kernel: &[u8], deposit: &[u8], withdrawal: &[u8]) {
    const PAIRS: usize = 500;
    let [start, deposit, withdrawal, end] = &*line_messages(deposit, withdrawal) else {
        return;
    };
    let pairs = std::iter::repeat_n([deposit.clone(), withdrawal.clone()], PAIRS).flatten();
    let messages: Vec<Vec<u8>> = std::iter::once(start.clone())
        .chain(pairs)
        .chain([end.clone()])
        .collect();
    let environment = environment();
    let mut course = Course::new(started(kernel, &messages), &environment, Purpose::Reach);
    let course = course.as_mut().expect("a course");
    let (mut runs, mut ticks, mut spent) = (0, 0.0, Duration::ZERO);
    // A run takes a message or two and asks for the next one: the level is many runs.
    for run in 1..=1_000 {
        course
            .advance(run * BEGIN + 1, &environment)
            .expect("a tick");
        let Some(begins) = course.evaluation_begins().expect("an opening") else {
            break;
        };
        course.advance(begins, &environment).expect("a tick");
        let start = Instant::now();
        let ended = course.finish_run(1 << 40, &environment);
        ended.expect("the run has an end");
        spent += start.elapsed();
        ticks += (course.tick() - begins) as f64 / 1e6;
        runs += 1;
    }
    println!(
        "run mode on tx-kernel, {} messages in {runs} runs: {ticks:.1} million ticks, {:.0} million/s   bar 500",
        messages.len(),
        ticks / spent.as_secs_f64(),
    );
}

fn tx_kernel() {
    let (Some(kernel), Some(deposit), Some(withdrawal)) = (
        vector("kernels/tx-kernel-no-verif.wasm"),
        vector("messages/deposit.out"),
        vector("messages/withdrawal.out"),
    ) else {
        return;
    };
    let mut line = timeline(&kernel, line_messages(&deposit, &withdrawal));
    let phase = |line: &mut Timeline, tick: u128| line.describe(tick).expect("a state").phase;
    let (mut low, mut high) = (BEGIN, BEGIN + 1_000_000_000);
    while high - low > 1 {
        let middle = (low + high) / 2;
        if matches!(phase(&mut line, middle).as_str(), "padding" | "stuck") {
            high = middle;
        } else {
            low = middle;
        }
    }
    let width = high - BEGIN;
    println!("tx-kernel-no-verif: {width} ticks to the end of its run");
    tx_speed(&kernel, &deposit, &withdrawal);
    let mut fresh = timeline(&kernel, line_messages(&deposit, &withdrawal));
    timed(
        "first hash near the end, nothing known but the opening",
        "",
        || fresh.hashes(&[high - 100]).expect("a hash"),
    );
    let mut worst = Duration::ZERO;
    for point in 1..=40 {
        let tick = BEGIN + width / 41 * point;
        let start = Instant::now();
        line.prove(tick).expect("a proof");
        let reached = start.elapsed();
        let start = Instant::now();
        line.prove(tick + 1).expect("a proof");
        worst = worst.max(start.elapsed());
        if point % 13 == 0 {
            println!(
                "  proof at {tick}: {:.1} ms with the way there",
                reached.as_secs_f64() * 1e3
            );
        }
    }
    println!(
        "slowest of 40 proofs of tx-kernel: {:.1} ms   bar 50",
        worst.as_secs_f64() * 1e3
    );
}

fn line_messages(deposit: &[u8], withdrawal: &[u8]) -> Arc<[Vec<u8>]> {
    let external = |bytes: &[u8]| [&[0, 0][..], bytes].concat();
    vec![
        vec![0, 1],
        external(deposit),
        external(withdrawal),
        vec![0, 2],
    ]
    .into()
}

fn main() {
    let parts: [(&str, fn()); 4] = [
        ("long", long_run),
        ("echo", echo),
        ("tx-kernel", tx_kernel),
        ("stand-in", stand_in),
    ];
    let asked: Vec<String> = std::env::args().skip(1).collect();
    if let [command, what, tick, folder, ..] = asked.as_slice()
        && command == FIRST_PROOF
    {
        first_proof(what, tick.parse().expect("a tick"), folder);
        return;
    }
    let named = |name: &str| asked.iter().any(|argument| argument == name);
    let all = !parts.iter().any(|(name, _)| named(name));
    for (name, part) in parts {
        if all || named(name) {
            part();
        }
    }
}

fn shape() -> Shape {
    let small = std::env::args().any(|argument| argument == "small");
    if small {
        Shape {
            functions: 1_300,
            data: 181_000,
            seed: 7,
        }
    } else {
        Shape::MAINNET
    }
}

/// First argument of a process that asks one question.
const FIRST_PROOF: &str = "first-proof";

/// Asks a new process for the proof of a tick. Without a folder nothing is known of the kernel.
fn first_question(what: &str, tick: u128, folder: &str) {
    let program = std::env::current_exe().expect("this program");
    let mut asked = std::process::Command::new(program);
    asked.args([FIRST_PROOF, what, &tick.to_string(), folder]);
    asked.args(std::env::args().filter(|argument| argument == "small"));
    assert!(asked.status().expect("a process").success());
}

fn first_proof(what: &str, tick: u128, folder: &str) {
    let openings = match folder {
        "" => Openings::default(),
        folder => Openings::kept_in(folder.into()),
    };
    let environment = Environment {
        openings: openings.clone(),
        ..environment()
    };
    let mut line = timeline_in(environment, &kernel(shape()), messages());
    timed(
        &format!("first question: proof {what}"),
        "bar 1, kernel known",
        || line.prove(tick).expect("a proof"),
    );
    timed("the next one, a tick later", "bar 1", || {
        line.prove(tick + 1).expect("a proof")
    });
    openings.settle();
}

fn stand_in() {
    let shape = shape();
    let (kernel, _) = timed("generating the stand-in", "", || kernel(shape));
    println!("{} bytes, {} functions", kernel.len(), shape.functions);
    let (state, begin) = (started(&kernel, &messages()), BEGIN);
    let folder = std::env::temp_dir().join(format!("openings-{}", std::process::id()));
    let environment = Environment {
        openings: Openings::kept_in(folder.clone()),
        ..environment()
    };
    let course = || Course::new(state.clone(), &environment, Purpose::Hashes).expect("a course");

    let mut bare = course();
    bare.advance(begin + 1, &environment).expect("a tick");
    let (first, spent) = timed("decode, link and init, no hash", "", || {
        bare.evaluation_begins()
            .expect("it ends")
            .expect("it evaluates")
    });
    let ticks = (first - begin) as f64;
    println!(
        "{ticks} ticks, {:.1} million a second",
        ticks / 1e6 / spent.as_secs_f64()
    );
    let mut new = course();
    timed(
        "first eval tick, its blocks written and hashed, compiled",
        "bar 10, new",
        || new.advance(first, &environment).expect("the first tick"),
    );
    timed("state hash there", "bar 10, with the line before", || {
        new.hash(&environment).expect("a hash")
    });
    for point in 1..=3_u32 {
        let target = first + u128::from(point) * 100_000;
        timed("100,000 ticks on, and the hash there", "bar 0.1", || {
            new.advance(target, &environment).expect("a later tick");
            new.hash(&environment).expect("a hash")
        });
    }
    let mut again = course();
    timed("first eval tick of another run", "bar 0.5", || {
        again.advance(first, &environment).expect("the first tick")
    });
    println!("{}", resident());
    environment.openings.settle();
    let next = Environment {
        openings: environment.openings.afresh(),
        ..environment.clone()
    };
    let mut later = course();
    timed("first eval tick after a restart", "bar 0.5", || {
        later.advance(first, &next).expect("the first tick")
    });
    timed("state hash there", "bar 10", || {
        later.hash(&next).expect("a hash")
    });
    for point in 1..=3_u32 {
        let target = first + u128::from(point) * 100_000;
        timed("100,000 ticks on, and the hash there", "bar 0.1", || {
            later.advance(target, &next).expect("a tick");
            later.hash(&next).expect("a hash")
        });
    }
    println!("{}", resident());

    let parts = bare.opening().expect("parts").expect("an opening");
    let (parsed, linked) = (parts.parsed, parts.linked);
    // Half way through the elements of the table: such ticks read blocks.
    let elements = linked + u128::from(shape.functions) * 11 / 2;
    let known = folder.to_str().expect("a path");
    for (what, tick) in [
        ("in parsing", begin + (parsed - begin) / 5),
        ("in the midst of parsing", begin + (parsed - begin) / 2),
        ("as parsing ends", parsed - 30_000),
        ("as initialising begins", linked + 1),
        ("as elements are initialised", elements),
        (
            "in the midst of initialising",
            linked + (first - linked) / 2,
        ),
        ("as initialising ends", first - 2),
        ("as evaluation begins", first),
    ] {
        first_question(what, tick, known);
    }
    first_question("in parsing, new kernel", begin + (parsed - begin) / 5, "");
    println!("{}", resident());
    std::fs::remove_dir_all(folder).expect("its own folder");

    let mut line = timeline(&kernel, messages());
    let width = (first - begin) / 34;
    let points: Vec<u128> = (1..=33).map(|point| begin + point * width).collect();
    timed("33 hashes over decode and init", "bar 15", || {
        line.hashes(&points).expect("hashes")
    });
    let narrow: Vec<u128> = (1..=33)
        .map(|point| begin + 2 * width + point * (width / 34))
        .collect();
    timed("33 hashes between two of them", "bar 15", || {
        line.hashes(&narrow).expect("hashes")
    });
    for (where_to, tick) in [
        ("decode", begin + 1_234_567.min((first - begin) / 20)),
        ("init", begin + (first - begin) / 2),
        ("eval", first + 50_000),
    ] {
        timed(
            &format!("proof of a tick in {where_to}, reached first"),
            "",
            || line.prove(tick).expect("a proof"),
        );
        timed(
            &format!("proof of the next tick in {where_to}"),
            "bar 1",
            || line.prove(tick + 1).expect("a proof"),
        );
    }
    println!("{}", resident());
}
