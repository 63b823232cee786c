//! `watchtower demo`: a whole network on this machine, with a liar, watched through HTTP.
//!
//! Promises: nothing leaves this machine; the tower is the one of `follow --mode defend`, and sees
//! the chain as it would see a node. The exit code is 0 only if the liar was caught and lost its
//! stake, ours is there, and every true commitment was judged true.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::args::DemoArgs;
use super::devnet::operator_engines;
use super::exit::{Exit, Failure};
use super::follow::{listener, stop_on_signals};
use super::output::{line, runtime, start_quiet_logs};
use crate::config::{Config, Mode, RollupConfig};
use crate::crypto::Dialect;
use crate::journal::{Ending, Judgement, Reader};
use crate::protocol::{
    BlockHash, CommitmentHash, Dialected, Level, Protocol, PublicKeyHash, RollupAddress,
};
use crate::serve::{Attended, attend};
use crate::signer::Key;
use crate::sim::{Act, Actor, Devnet, From, Options, Play, Setup, Shared, Strategy, devnet};
use crate::tower::{News, PlayNews, Stage, Status, Turn, follow};

/// A kernel of ours that does what messages tell it to.
pub(super) const KERNEL: &[u8] = include_bytes!("../../tests/data/kernels/commander.wasm");

/// Blocks between commitments.
const PERIOD: u32 = 8;
/// The period in which the liar begins to lie, counted from 1.
const LIE: u32 = 3;
/// Periods with users' messages.
const PERIODS: u32 = 5;
const USER: u32 = 0;
const HONEST: u32 = 1;
const LIAR: u32 = 2;
const TOWER: u32 = 3;
/// Blocks after which something must have gone wrong.
const PATIENCE: u32 = 200;
/// Longest time that blocks wait for the tower.
const SLOWEST: Duration = Duration::from_secs(20);
/// Blocks baked after the liar has fallen, so that everything is told.
const EPILOGUE: u32 = 3;

/// What the story is about.
struct Story {
    rollup: RollupAddress,
    dialect: Dialect,
    origin: Level,
    honest: PublicKeyHash,
    liar: PublicKeyHash,
    tower: PublicKeyHash,
    last: Level,
}

pub(super) fn run(config: &Config, command: &DemoArgs) -> Result<Exit, Failure> {
    start_quiet_logs(config)?;
    let scratch = Scratch::new()?;
    let dialect = if command.dialect == "scr1" {
        Dialect::Scr1
    } else {
        Dialect::Modern
    };
    let pace = Duration::from_millis(command.block_milliseconds);
    let started = Instant::now();
    let exit = runtime()?.block_on(async {
        let (status, shown) = watch::channel(Status::default());
        let (exit, attended, _chain) =
            play(&scratch.0, dialect, pace, command, (status.clone(), shown)).await?;
        line(format!(
            "\n{:.1} s in all.",
            started.elapsed().as_secs_f64()
        ))?;
        line(NEXT)?;
        if command.stay {
            line("\nThe page and the chain are still there; interrupt this to end them.")?;
            let stop = CancellationToken::new();
            stop_on_signals(stop.clone());
            stop.cancelled().await;
        }
        drop(status);
        attended.end().await;
        Ok::<_, Failure>(exit)
    })?;
    Ok(exit)
}

const NEXT: &str = "
What next:
  watchtower follow sr1… --node http://127.0.0.1:8732     guard a real rollup through your node
  watchtower doctor sr1… --node http://127.0.0.1:8732     first check that everything needed is there
  watchtower devnet                                       the simulated chain, to play with yourself
  watchtower help                                         everything else";

/// A data directory that goes away with the demo.
pub(super) struct Scratch(pub(super) std::path::PathBuf);

impl Scratch {
    pub(super) fn new() -> Result<Self, Failure> {
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

async fn play(
    folder: &std::path::Path,
    dialect: Dialect,
    pace: Duration,
    command: &DemoArgs,
    (status, shown): (watch::Sender<Status>, watch::Receiver<Status>),
) -> Result<(Exit, Attended, Devnet), Failure> {
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
        chosen_mode: Some(Mode::Defend),
        listen: Some(command.listen),
        ..Config::default()
    };
    let attended = attend(&config, shown.clone(), &CancellationToken::new()).await?;
    match attended.address() {
        Some(address) => line(format!(
            "Watch the game in a browser: http://{address}/ (slower with --block-milliseconds 2000)\n"
        ))?,
        None => line(format!(
            "No page: {} is taken; --listen names another address.\n",
            command.listen
        ))?,
    }
    let names = BTreeMap::from([
        (story.honest, "honest operator"),
        (story.liar, "liar"),
        (story.tower, "tower"),
    ]);
    let told = Mutex::new(Names {
        people: names,
        authors: BTreeMap::new(),
        dialect,
    });
    let fallen = Arc::new(AtomicBool::new(false));
    let (is_fallen, liar) = (Arc::clone(&fallen), story.liar);
    let hear = listener(move |news| {
        if let News::Play(PlayNews::Ended { ending, .. }) = news
            && *ending == Ending::Loser(liar)
        {
            is_fallen.store(true, Ordering::Relaxed);
        }
        let mut names = told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = names.tell(news) {
            // A closed terminal ends the telling, not the demo.
            let _ = line(text);
        }
    });
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone());
    let pace = Pace {
        pace,
        fallen,
        status: shown,
    };
    let blocks = tokio::spawn(bake(chain.shared.clone(), story.last, pace, stop.clone()));
    let key = secret(&chain)?;
    let outcome = follow(&config, Some(key), None, Some(hear), status, stop.clone()).await;
    let is_told = matches!(blocks.await, Ok(true));
    outcome?;
    if !is_told {
        return Err(Failure::said(Exit::Failed, "stopped before the end"));
    }
    Ok((judge(&config, &story, &chain)?, attended, chain))
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
    let last = at(PATIENCE);
    for step in (1..PERIOD * PERIODS).step_by(3) {
        let text = format!("W\x08/greetingblock {step}");
        scenario.plan(at(step), Act::messages(USER, &[text.as_bytes()]));
    }
    // In the middle of the kernel's run over that level.
    let lie = From::place(at(PERIOD * (LIE - 1) + 1), 0, 60_000);
    scenario.hire(Actor::new(HONEST, rollup, Strategy::Honest).cementing());
    scenario.hire(Actor::new(LIAR, rollup, Strategy::WrongState(lie)).playing(Play::default()));
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
        tower: account(TOWER)?,
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
        "Two stakers: an honest operator ({}), who does not play,",
        story.honest
    ))?;
    line(format!(
        "             and a liar       ({}), who turns at period {LIE}.",
        story.liar
    ))?;
    line(format!(
        "The tower defends with {} and knows none of this:",
        story.tower
    ))?;
    Ok(line(
        "it reads blocks over HTTP, runs the kernel itself, and sends what it has to.\n",
    )?)
}

/// How fast blocks come, and whether the liar has fallen.
struct Pace {
    pace: Duration,
    fallen: Arc<AtomicBool>,
    status: watch::Receiver<Status>,
}

impl Pace {
    /// Waits until the tower has nothing to do at a block: the show does not depend on how fast the
    /// machine is.
    async fn tower_is_ready(&mut self, head: BlockHash) {
        let settled = self
            .status
            .wait_for(|status| status.play.settled.is_some_and(|place| place.block == head));
        // Where it takes too long, the clocks of the game run all the same.
        let _ = tokio::time::timeout(SLOWEST, settled).await;
    }
}

/// Bakes until the liar has fallen and everything is told; whether it came to that.
async fn bake(shared: Shared, last: Level, mut pace: Pace, stop: CancellationToken) -> bool {
    let mut tick = tokio::time::interval(pace.pace.max(Duration::from_millis(1)));
    let mut after = 0_u32;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return false,
        }
        let head = shared.with(|scenario| scenario.chain().head().hash);
        tokio::select! {
            () = pace.tower_is_ready(head) => {}
            () = stop.cancelled() => return false,
        }
        if pace.fallen.load(Ordering::Relaxed) {
            after = after.saturating_add(1);
        }
        if after > EPILOGUE {
            stop.cancel();
            return true;
        }
        let chain = shared.clone();
        let advanced = tokio::task::spawn_blocking(move || {
            chain.with(|scenario| scenario.advance().map(|()| scenario.chain().level()))
        });
        match advanced.await {
            Ok(Ok(level)) if level < last => {}
            _ => {
                stop.cancel();
                return true;
            }
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
            News::Play(news) => self.tell_play(news),
            News::RolledBack { level, depth } => {
                Some(format!("level {level:>3}  {depth} blocks left the chain"))
            }
            _ => None,
        }
    }
}

impl Names {
    /// The game, as a running account with both clocks.
    fn tell_play(&self, news: &PlayNews) -> Option<String> {
        Some(match news {
            PlayNews::Consent {
                level,
                is_given,
                detail,
                ..
            } => format!(
                "           tower: {} stake on level {level}: {detail}",
                if *is_given { "may" } else { "must not" }
            ),
            PlayNews::Wanted { what, why, .. } => {
                format!("           tower: wants to {what}, to {why}")
            }
            PlayNews::Position {
                turn,
                stage,
                width,
                ours_left,
                theirs_left,
                is_new,
                ..
            } => format!(
                "  GAME     {}{}: {width} ticks in dispute; blocks left: tower {ours_left}, liar {theirs_left}",
                if *is_new { "opened, " } else { "" },
                match (turn, stage) {
                    (Turn::Ours, Stage::Dissecting) => "the tower is to move",
                    (Turn::Theirs, Stage::Dissecting) => "the liar is to move",
                    (Turn::Ours, Stage::FinalMove) =>
                        "the liar's proof failed, the tower may prove",
                    (Turn::Theirs, Stage::FinalMove) => "the tower's proof failed",
                }
            ),
            PlayNews::Found {
                kind, milliseconds, ..
            } => format!("           tower: found its {kind} in {milliseconds} ms"),
            PlayNews::Ended {
                opponent, ending, ..
            } => match ending {
                Ending::Loser(loser) => format!("  GAME     over: {} lost", self.name(loser)),
                Ending::Draw => "  GAME     over: both lost".into(),
                Ending::Gone => format!("  GAME     with {} is gone", self.name(opponent)),
            },
            PlayNews::Included { .. } | PlayNews::Finished => return None,
        })
    }
}

/// The key of the account that the tower defends with.
fn secret(chain: &Devnet) -> Result<Key, Failure> {
    let text = chain.shared.with(|scenario| {
        scenario
            .person(TOWER)
            .map(|person| person.secret_text().to_owned())
    });
    let parsed = text.and_then(|text| text.parse().ok());
    parsed
        .map(Key::local)
        .ok_or_else(|| Failure::said(Exit::Failed, "the simulated chain lacks an account"))
}

fn short(text: &str) -> &str {
    text.get(..14).unwrap_or(text)
}

/// The liar was caught, and every honest commitment was judged true?
fn judge(config: &Config, story: &Story, chain: &Devnet) -> Result<Exit, Failure> {
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
    let (is_slashed, is_safe) = chain.shared.with(|scenario| {
        let context = scenario.chain().context();
        let rollup = context.rollup(&story.rollup).ok();
        let has = |staker| rollup.is_some_and(|rollup| rollup.index_of(staker).is_ok());
        (!has(&story.liar), has(&story.tower))
    });
    let is_well =
        lies > 0 && caught == lies && honest > 0 && trusted == honest && is_slashed && is_safe;
    line(if is_well {
        "The liar was caught and has lost its stake; ours is where it was."
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
