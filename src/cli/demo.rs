//! `watchtower demo`: a whole network on this machine, with a liar, watched through HTTP.
//!
//! Promises: nothing leaves this machine; the tower is the one of `follow`, and sees the chain as
//! it would see a node. The exit code is 0 only if the liar was caught and every commitment of the
//! honest operator was judged true.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::args::DemoArgs;
use super::devnet::operator_engines;
use super::exit::{Exit, Failure};
use super::follow::{listener, stop_on_signals};
use super::output::{line, runtime, start_logs};
use crate::config::{Config, RollupConfig};
use crate::crypto::Dialect;
use crate::journal::{Judgement, Reader};
use crate::protocol::{CommitmentHash, Dialected, Level, Protocol, PublicKeyHash, RollupAddress};
use crate::sim::{Act, Actor, Devnet, From, Options, Setup, Shared, Strategy, devnet};
use crate::tower::{News, Status, follow};

/// A kernel of ours that does what messages tell it to.
pub(super) const KERNEL: &[u8] = include_bytes!("../../tests/data/kernels/commander.wasm");

/// Blocks between commitments.
const PERIOD: u32 = 8;
/// The period in which the liar begins to lie, counted from 1.
const LIE: u32 = 3;
/// Periods of the story.
const PERIODS: u32 = 5;
const USER: u32 = 0;
const HONEST: u32 = 1;
const LIAR: u32 = 2;

/// What the story is about.
struct Story {
    rollup: RollupAddress,
    dialect: Dialect,
    origin: Level,
    honest: PublicKeyHash,
    liar: PublicKeyHash,
    last: Level,
}

pub(super) fn run(config: &Config, command: &DemoArgs) -> Result<Exit, Failure> {
    start_logs(&Config {
        // The account below tells the story; logs only on request.
        log: if config.log == Config::default().log {
            "error,watchtower::tower::announce=off".into()
        } else {
            config.log.clone()
        },
        ..config.clone()
    })?;
    let scratch = Scratch::new()?;
    let dialect = if command.dialect == "scr1" {
        Dialect::Scr1
    } else {
        Dialect::Modern
    };
    let pace = Duration::from_millis(command.block_milliseconds);
    let started = Instant::now();
    let exit = runtime()?.block_on(play(&scratch.0, dialect, pace))?;
    line(format!(
        "\n{:.1} s in all.",
        started.elapsed().as_secs_f64()
    ))?;
    line(NEXT)?;
    Ok(exit)
}

const NEXT: &str = "
What next:
  watchtower follow sr1… --node http://127.0.0.1:8732     guard a real rollup through your node
  watchtower doctor sr1… --node http://127.0.0.1:8732     first check that everything needed is there
  watchtower devnet                                       the simulated chain, to play with yourself
  watchtower help                                         everything else";

/// A data directory that goes away with the demo.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new() -> Result<Self, Failure> {
        let name = format!("watchtower-demo-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is in a folder for temporary files anyway.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn play(folder: &std::path::Path, dialect: Dialect, pace: Duration) -> Result<Exit, Failure> {
    let setup = Setup {
        dialect,
        ..Setup::small(Protocol::Ushuaia, PERIOD)
    };
    let chain = devnet(setup, Options::local(), Some(operator_engines()))
        .await
        .map_err(|error| Failure::new(Exit::Failed, error))?;
    let story = chain
        .shared
        .with(|scenario| write_story(scenario, dialect))?;
    introduce(&chain, &story)?;

    let config = Config {
        data_dir: folder.to_owned(),
        endpoints: vec![chain.endpoint.url()],
        rollups: vec![RollupConfig {
            address: story.rollup,
            dialect,
            kernel: None,
            preimages: None,
            preimage_endpoints: Vec::new(),
        }],
        ..Config::default()
    };
    let names = BTreeMap::from([(story.honest, "honest operator"), (story.liar, "liar")]);
    let told = Mutex::new(Names {
        people: names,
        authors: BTreeMap::new(),
        dialect,
    });
    let hear = listener(move |news| {
        let mut names = told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = names.tell(news) {
            // A closed terminal ends the telling, not the demo.
            let _ = line(text);
        }
    });
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone());
    let blocks = tokio::spawn(bake(chain.shared.clone(), story.last, pace, stop.clone()));
    let (status, _) = watch::channel(Status::default());
    let outcome = follow(&config, Some(story.last), Some(hear), status, stop.clone()).await;
    let was_stopped = stop.is_cancelled() && outcome.is_ok() && !blocks.is_finished();
    stop.cancel();
    let _ = blocks.await;
    outcome?;
    if was_stopped {
        return Err(Failure::said(Exit::Failed, "stopped before the end"));
    }
    judge(&config, &story)
}

/// The rollup, what its users send, and who stakes on it.
fn write_story(scenario: &mut crate::sim::Scenario, dialect: Dialect) -> Result<Story, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::said(Exit::Failed, error.to_string());
    scenario.advance().map_err(|error| failed(&error))?;
    let rollup = scenario
        .originate(USER, KERNEL)
        .map_err(|error| failed(&error))?;
    let origin = scenario.chain().level();
    let at = |blocks: u32| origin.plus(blocks).unwrap_or(origin);
    let last = at(PERIOD * PERIODS + 6);
    for step in (1..PERIOD * PERIODS).step_by(3) {
        let text = format!("W\x08/greetingblock {step}");
        scenario.plan(at(step), Act::messages(USER, &[text.as_bytes()]));
    }
    let lie = From::level(at(PERIOD * (LIE - 1) + 1));
    scenario.hire(Actor::new(HONEST, rollup, Strategy::Honest).cementing());
    scenario.hire(Actor::new(LIAR, rollup, Strategy::WrongState(lie)));
    let account = |index| {
        scenario
            .person(index)
            .map(crate::sim::Person::account)
            .ok_or_else(|| failed(&"the simulated chain lacks an account"))
    };
    Ok(Story {
        rollup,
        dialect,
        origin,
        honest: account(HONEST)?,
        liar: account(LIAR)?,
        last,
    })
}

fn introduce(chain: &Devnet, story: &Story) -> Result<(), Failure> {
    line(format!(
        "A simulated layer 1 listens on {} and behaves like a node.",
        chain.endpoint.url()
    ))?;
    line(format!(
        "Rollup {} began at level {}; a commitment is due every {PERIOD} blocks.",
        story.rollup.text(story.dialect),
        story.origin
    ))?;
    line(format!(
        "Two stakers: an honest operator ({}),",
        story.honest
    ))?;
    line(format!(
        "             and a liar       ({}), who turns at period {LIE}.",
        story.liar
    ))?;
    Ok(line(
        "The tower knows none of this. It reads blocks over HTTP and runs the kernel itself.\n",
    )?)
}

async fn bake(shared: Shared, last: Level, pace: Duration, stop: CancellationToken) {
    let mut tick = tokio::time::interval(pace.max(Duration::from_millis(1)));
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        let chain = shared.clone();
        let advanced = tokio::task::spawn_blocking(move || {
            chain.with(|scenario| scenario.advance().map(|()| scenario.chain().level()))
        });
        match advanced.await {
            Ok(Ok(level)) if level < last => {}
            _ => return,
        }
    }
}

/// Turns news into sentences about people.
struct Names {
    people: BTreeMap<PublicKeyHash, &'static str>,
    authors: BTreeMap<CommitmentHash, Vec<PublicKeyHash>>,
    dialect: Dialect,
}

impl Names {
    fn name(&self, account: &PublicKeyHash) -> String {
        let known = self.people.get(account).map(|name| format!("the {name}"));
        known.unwrap_or_else(|| account.to_string())
    }

    fn author(&self, commitment: &CommitmentHash) -> String {
        let authors = self.authors.get(commitment).into_iter().flatten();
        let names: Vec<_> = authors.map(|account| self.name(account)).collect();
        names.join(" and ")
    }

    fn tell(&mut self, news: &News) -> Option<String> {
        match news {
            News::Own { commitment, .. } if commitment.number_of_ticks > 0 => Some(format!(
                "level {:>3}  tower: the kernel ends this period in {}… ({} ticks)",
                commitment.inbox_level,
                short(&commitment.compressed_state.text(self.dialect)),
                commitment.number_of_ticks
            )),
            News::Published(row) => {
                let hash = row.commitment.hash();
                self.authors.entry(hash).or_default().push(row.staker);
                Some(format!(
                    "level {:>3}  {} publishes {}… for level {}",
                    row.published_level.map_or(0, Level::get),
                    self.name(&row.staker),
                    short(&hash.text(self.dialect)),
                    row.commitment.inbox_level
                ))
            }
            News::Verdict(row) => Some(match &row.judgement {
                Judgement::True => format!(
                    "           verdict: TRUE ({})",
                    self.author(&row.commitment)
                ),
                Judgement::False {
                    field,
                    claimed,
                    computed,
                } => format!(
                    "           verdict: FALSE ({}): {field} is {}…, {}… is true",
                    self.author(&row.commitment),
                    short(claimed),
                    short(computed)
                ),
                Judgement::NotJudgeable { reason, detail } => {
                    format!("           verdict: not judgeable, {reason} ({detail})")
                }
            }),
            News::Conflict(row) => Some(format!(
                "           conflict at level {}: {} against {}",
                row.level,
                self.name(&row.staker),
                self.name(&row.other_staker)
            )),
            News::Alarm(alarm) => Some(format!("  ALARM    {}: {}", alarm.kind, alarm.message)),
            News::RolledBack { level, depth } => {
                Some(format!("level {level:>3}  {depth} blocks left the chain"))
            }
            _ => None,
        }
    }
}

fn short(text: &str) -> &str {
    text.get(..14).unwrap_or(text)
}

/// The liar was caught, and every honest commitment was judged true?
fn judge(config: &Config, story: &Story) -> Result<Exit, Failure> {
    let reader = Reader::open(&config.journal_path())?;
    let verdicts: BTreeMap<_, _> = reader
        .verdicts(&story.rollup)?
        .into_iter()
        .map(|row| (row.commitment, row.judgement))
        .collect();
    let (mut honest, mut trusted, mut lies, mut caught) = (0, 0, 0, 0);
    for row in reader.published(&story.rollup)? {
        let verdict = verdicts.get(&row.commitment.hash());
        let is_lie = row.staker == story.liar && row.commitment.inbox_level >= story.lie();
        if is_lie {
            lies += 1;
            caught += i32::from(matches!(verdict, Some(Judgement::False { .. })));
        } else {
            honest += 1;
            trusted += i32::from(verdict == Some(&Judgement::True));
        }
    }
    line(format!(
        "\n{trusted} of {honest} true commitments were judged true, {caught} of {lies} lies were caught."
    ))?;
    let is_well = lies > 0 && caught == lies && honest > 0 && trusted == honest;
    line(if is_well {
        "The liar was caught."
    } else {
        "Something is wrong: please report this."
    })?;
    Ok(if is_well { Exit::Fine } else { Exit::Failed })
}

impl Story {
    /// First level lied about.
    fn lie(&self) -> Level {
        let blocks = PERIOD * (LIE - 1) + 1;
        self.origin.plus(blocks).unwrap_or(self.origin)
    }
}
