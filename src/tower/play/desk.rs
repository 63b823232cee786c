//! The desk of one rollup: periods put together for the machine, moves found.
//!
//! Promises: a move is found from the state both players agree on and the journalled messages, and
//! has passed our own judge; games about one period share its states. Refuses to know: when a move
//! is wanted and how it is sent.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use super::archive::Archive;
use super::brief::Period;
use super::consent::{Opinion, Repeat};
use super::workers::{Order as Ordered, Patience};
use crate::codec::Writer;
use crate::config::EdgePolicy;
use crate::crypto::Hash;
use crate::game::{self, Facts, Forecast, Move, Obstacle, Outcome, Ruling, Unplayable, Witness};
use crate::journal::{Foreseen, GameName, Reader, RollupRow};
use crate::merkle::Store;
use crate::protocol::operation::{DissectionChunk, Form, Refutation, Step};
use crate::protocol::{GameState, Level, Player, Protocol, RollupAddress, StateHash};
use crate::pvm::{Environment, State, Timeline};
use crate::tower::policy::{Answer, Position, SeenGame};
use crate::tower::runner::{Runner, RunnerError};

/// Periods whose states are kept at once.
const TIMELINES: usize = 4;

/// Something to compute.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) rollup: RollupAddress,
    pub(super) period: Period,
    pub(super) facts: Facts,
    pub(super) task: Task,
    /// Blocks that can still be lost.
    pub(super) slack: i64,
}

/// What to compute.
#[derive(Debug, Clone)]
pub(super) enum Task {
    /// Whether we may stake on the period's commitment.
    Consent(EdgePolicy),
    /// Our move.
    Answer(GameName, Box<SeenGame>, Player),
    /// The states that the next answer may need.
    Prepare(GameName, Box<SeenGame>),
}

/// What names an order: kind, and the commitment or position.
pub(super) type OrderKey = (RollupAddress, &'static str, [u8; 32]);

impl Ordered for Order {
    type Key = OrderKey;

    fn key(&self) -> OrderKey {
        let (kind, name) = match &self.task {
            Task::Consent(_) => ("consent", self.period.own.hash.0),
            Task::Answer(_, game, _) => ("answer", game.position(&self.rollup).0.0),
            Task::Prepare(_, game) => ("prepare", game.position(&self.rollup).0.0),
        };
        (self.rollup, kind, name)
    }
}

/// A move found, or the reason why there is none.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) position: Position,
    pub(super) answer: Answer,
    pub(super) foreseen: Foreseen,
    pub(super) milliseconds: u64,
    pub(super) detail: Value,
    /// The kind of what stands in the way.
    pub(super) obstacle: Option<&'static str>,
}

impl Found {
    /// The kind as journalled.
    pub(super) fn kind(&self) -> &'static str {
        match &self.answer {
            Answer::Move(refutation) => match refutation.as_ref() {
                Refutation::Move {
                    step: Step::Proof(_),
                    ..
                } => "proof",
                _ => "dissection",
            },
            Answer::NotPlayable(_) | Answer::Indefensible(_) => "none",
        }
    }

    /// The move as journalled.
    pub(super) fn bytes(&self) -> Option<Vec<u8>> {
        let Answer::Move(refutation) = &self.answer else {
            return None;
        };
        move_bytes(refutation)
    }
}

/// Moves have the same bytes under every protocol of today's dialect, which the journal uses.
const FORM: Form = Form::Modern(Protocol::Ushuaia);

/// A move in the encoding of the journal.
pub(in crate::tower) fn move_bytes(refutation: &Refutation) -> Option<Vec<u8>> {
    let mut writer = Writer::new();
    refutation.write(FORM, &mut writer).ok()?;
    Some(writer.into_bytes())
}

/// The move behind the bytes of the journal.
pub fn move_of(bytes: &[u8]) -> Option<Refutation> {
    Refutation::read(FORM, &mut crate::codec::Reader::new(bytes)).ok()
}

/// How often a hash that a game asked for was known already.
#[derive(Debug, Default)]
pub(super) struct Asked {
    known: AtomicU64,
    computed: AtomicU64,
}

impl Asked {
    fn add(&self, (known, computed): (u64, u64)) {
        self.known.fetch_add(known, Ordering::Relaxed);
        self.computed.fetch_add(computed, Ordering::Relaxed);
    }

    /// Known, and computed.
    pub(super) fn counts(&self) -> [u64; 2] {
        [
            self.known.load(Ordering::Relaxed),
            self.computed.load(Ordering::Relaxed),
        ]
    }
}

/// What became of an order.
#[derive(Debug)]
pub(super) enum Done {
    /// May we stake? An error is worth another try.
    Consent(RollupAddress, Period, Result<Opinion, String>),
    /// A move, or that there is none for good.
    Found(RollupAddress, GameName, Box<Found>),
    /// No move this time: the kind of what stands in the way, and what it says.
    NotYet(RollupAddress, GameName, Position, &'static str, String),
    /// States are ready, and who wins from here.
    Prepared(RollupAddress, GameName, Position, Foreseen),
    /// It panicked.
    Panicked(OrderKey, String),
    /// What the endpoints say of the block that ends a period.
    Agreement(RollupAddress, Period, Result<(), String>),
}

/// Where the parts of a period are found.
pub(super) struct Desk {
    pub(super) rollup: RollupRow,
    pub(super) journal: PathBuf,
    pub(super) store: Option<Arc<Store>>,
    pub(super) kernel: Vec<u8>,
    pub(super) environment: Environment,
    timelines: Mutex<VecDeque<(Hash, Arc<Mutex<Timeline>>)>>,
    /// Periods that the reference machine has begun to repeat.
    pub(super) repeats: Mutex<BTreeMap<Hash, Repeat>>,
    pub(super) asked: Arc<Asked>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk")
            .field("rollup", &self.rollup.address)
            .finish_non_exhaustive()
    }
}

/// Why a period cannot be put together.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeskError {
    /// Its states cannot be reached.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// The machine cannot begin.
    #[error(transparent)]
    Run(#[from] crate::pvm::RunError),
    /// The state before it is not the one its commitment claims.
    #[error("the state of level {level} is {found}, the commitment there has {expected}")]
    OtherParent {
        level: Level,
        found: StateHash,
        expected: StateHash,
    },
}

impl From<crate::journal::JournalError> for DeskError {
    fn from(error: crate::journal::JournalError) -> Self {
        Self::Runner(error.into())
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in the middle of a question leaves states that are kept whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    pub(super) fn new(
        rollup: RollupRow,
        journal: PathBuf,
        store: Option<Arc<Store>>,
        kernel: Vec<u8>,
        environment: Environment,
    ) -> Self {
        // Not the following worker's: its deadline must not stop a game.
        let environment = Environment {
            interrupt: Arc::default(),
            debug: Arc::new(|_| {}),
            ..environment
        };
        Self {
            rollup,
            journal,
            store,
            kernel,
            environment,
            timelines: Mutex::default(),
            repeats: Mutex::default(),
            asked: Arc::default(),
        }
    }

    /// Does one order.
    pub(super) fn work(&self, order: Order, patience: &Patience<Order>) -> Done {
        let done = self.done(order, patience);
        for (_, timeline) in locked(&self.timelines).iter() {
            // Where another worker asks just now, its counts come with the next order.
            if let Ok(mut timeline) = timeline.try_lock() {
                self.asked.add(timeline.take_counts());
            }
        }
        done
    }

    fn done(&self, order: Order, patience: &Patience<Order>) -> Done {
        let Order {
            rollup,
            period,
            facts,
            task,
            slack,
        } = order;
        match task {
            Task::Consent(edges) => {
                let is_late = || patience.is_over(slack);
                let consent = self.consent(&period, &facts, edges, &is_late);
                Done::Consent(rollup, period, consent.map_err(|error| error.to_string()))
            }
            Task::Answer(name, game, seat) => match self.answer(&period, &facts, &game, seat) {
                Ok(found) => Done::Found(rollup, name, Box::new(found)),
                Err(error) => {
                    let (position, reason) = (game.position(&rollup), error.to_string());
                    Done::NotYet(rollup, name, position, error.kind(), reason)
                }
            },
            Task::Prepare(name, game) => {
                let foreseen = self.foresee(&period, &facts, &game);
                if let Err(error) = self.prepare(&period, &facts, &game, slack, patience) {
                    tracing::debug!(%error, "states could not be prepared");
                }
                let foreseen = foreseen.unwrap_or_else(|error| {
                    tracing::debug!(%error, "a game cannot be foreseen");
                    Foreseen::Unknown
                });
                Done::Prepared(rollup, name, game.position(&rollup), foreseen)
            }
        }
    }

    /// The machine over a period, shared by all that ask about it.
    pub(super) fn timeline(&self, period: &Period) -> Result<Arc<Mutex<Timeline>>, DeskError> {
        let name = Self::name(period);
        // Held while a period is put together: a second asker then finds it.
        let mut timelines = locked(&self.timelines);
        if let Some((_, found)) = timelines.iter().find(|(known, _)| *known == name) {
            return Ok(Arc::clone(found));
        }
        let timeline = Arc::new(Mutex::new(self.assemble(period)?));
        timelines.push_back((name, Arc::clone(&timeline)));
        if timelines.len() > TIMELINES {
            timelines.pop_front();
        }
        Ok(timeline)
    }

    /// Names a period with the chain under it.
    pub(super) fn name(period: &Period) -> Hash {
        let predecessor = &period.own.commitment.predecessor;
        crate::crypto::blake2b_concat(&[&period.own.block.0, &predecessor.0])
    }

    pub(super) fn runner(&self) -> Result<Runner, DeskError> {
        Ok(Runner::new(
            self.rollup.clone(),
            Reader::open(&self.journal)?,
            self.store.clone(),
            self.kernel.clone(),
            self.environment.clone(),
        ))
    }

    /// The state that a period begins in, which its commitment's predecessor must claim.
    pub(super) fn agreed_state(
        &self,
        runner: &mut Runner,
        period: &Period,
    ) -> Result<State, DeskError> {
        let level = period.parent.commitment.inbox_level;
        let mut state = runner.state_at(level)?;
        let found = StateHash::from(state.hash().map_err(RunnerError::from)?);
        let expected = period.parent.commitment.compressed_state;
        if found != expected {
            return Err(DeskError::OtherParent {
                level,
                found,
                expected,
            });
        }
        Ok(state)
    }

    fn assemble(&self, period: &Period) -> Result<Timeline, DeskError> {
        let reader = Reader::open(&self.journal)?;
        let from = period.parent.commitment.inbox_level;
        let to = period.own.commitment.inbox_level;
        let state = self.agreed_state(&mut self.runner()?, period)?;
        let first = from.next().unwrap_or(to);
        let mut levels = Vec::new();
        for block in reader.blocks_between(first, to)? {
            let inbox = reader.inbox(&block.hash)?.ok_or(RunnerError::Absent {
                what: "inbox",
                level: block.level,
            })?;
            levels.push((block.level, Arc::from(inbox.messages)));
        }
        Ok(Timeline::new(state, levels, self.environment.clone())?)
    }

    /// Our move in a game; transient obstacles are errors.
    fn answer(
        &self,
        period: &Period,
        facts: &Facts,
        game: &SeenGame,
        seat: Player,
    ) -> Result<Found, AnswerError> {
        let began = Instant::now();
        let timeline = self.timeline(period)?;
        let archive = Archive::open(&self.journal, &game.game.inbox_snapshot)?;
        let (foreseen, outcome) = {
            let mut timeline = locked(&timeline);
            let mut witness = Witness::new(facts, &mut timeline, &archive);
            let foreseen = game::foresee(&game.game, &mut witness);
            let answer = game::answer(facts, &game.stakers, seat, &game.game, &mut witness);
            (told_ahead(game, &foreseen), answer)
        };
        let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let position = game.position(&self.rollup.address);
        match outcome {
            Ok(found) => Ok(Found {
                position,
                detail: told(&found),
                answer: Answer::Move(Box::new(found.refutation)),
                foreseen,
                milliseconds,
                obstacle: None,
            }),
            Err(error) if error.obstacle() == Obstacle::Transient => Err(error.into()),
            Err(error) => {
                let (reason, kind) = (error.to_string(), error.kind());
                let (answer, foreseen) = match error {
                    Unplayable::Indefensible { .. } => {
                        (Answer::Indefensible(reason.clone()), Foreseen::Draw)
                    }
                    // Who would win cannot be said of a player who cannot play.
                    _ => (Answer::NotPlayable(reason.clone()), Foreseen::Unknown),
                };
                Ok(Found {
                    position,
                    detail: json!({"reason": reason}),
                    answer,
                    foreseen,
                    milliseconds,
                    obstacle: Some(kind),
                })
            }
        }
    }

    /// Who wins from the opponent's position on.
    fn foresee(
        &self,
        period: &Period,
        facts: &Facts,
        game: &SeenGame,
    ) -> Result<Foreseen, AnswerError> {
        let timeline = self.timeline(period)?;
        let archive = Archive::open(&self.journal, &game.game.inbox_snapshot)?;
        let mut timeline = locked(&timeline);
        let mut witness = Witness::new(facts, &mut timeline, &archive);
        Ok(told_ahead(game, &game::foresee(&game.game, &mut witness)))
    }

    /// Asks for the states at the ticks that an answer to each section would show, one section at a
    /// time, as long as nothing more urgent waits.
    fn prepare(
        &self,
        period: &Period,
        facts: &Facts,
        game: &SeenGame,
        slack: i64,
        patience: &Patience<Order>,
    ) -> Result<(), AnswerError> {
        let GameState::Dissecting {
            dissection,
            default_number_of_sections,
        } = &game.game.state
        else {
            return Ok(());
        };
        let timeline = self.timeline(period)?;
        for (start, stop) in dissection.iter().zip(dissection.iter().skip(1)) {
            let shape = game::Shape {
                start: start.tick,
                stop: stop.tick,
                sections: *default_number_of_sections,
            };
            let mut ticks: Vec<_> = game::interior_ticks(facts.machine, &shape)
                .into_iter()
                .map(|tick| tick.0)
                .collect();
            ticks.push(stop.tick.0);
            if patience.is_over(slack) {
                return Ok(());
            }
            locked(&timeline).hashes(&ticks)?;
        }
        Ok(())
    }
}

/// Why there is no answer this time.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    /// The period cannot be put together.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// The move cannot be made.
    #[error(transparent)]
    Game(#[from] Unplayable),
    /// The machine has no result.
    #[error(transparent)]
    Run(#[from] crate::pvm::RunError),
    /// It waits for its turn.
    #[error("something more urgent comes first")]
    Later,
}

impl AnswerError {
    /// Its kind, in the words of the game.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Game(error) => error.kind(),
            Self::Desk(_) | Self::Run(_) | Self::Later => "machine",
        }
    }
}

impl From<crate::journal::JournalError> for AnswerError {
    fn from(error: crate::journal::JournalError) -> Self {
        Self::Desk(error.into())
    }
}

/// A forecast as it is journalled.
fn told_ahead(game: &SeenGame, forecast: &Forecast) -> Foreseen {
    match forecast.outcome {
        Some(Outcome::Loser(seat)) => Foreseen::Loser(game.stakers.account(seat)),
        Some(Outcome::Draw) => Foreseen::Draw,
        None => Foreseen::Unknown,
    }
}

/// What a move says, for people and evidence.
fn told(found: &Move) -> Value {
    let state = |state: Option<StateHash>| state.map(|state| state.to_string());
    let chunk = |chunk: &DissectionChunk| json!({"tick": chunk.tick.to_string(), "state": state(chunk.state)});
    let expected = match &found.ruling {
        Ruling::Continues { .. } => "the game goes on",
        Ruling::Ended { .. } => "the game ends",
    };
    json!({
        "agreed": chunk(&found.section.start),
        "disputed": chunk(&found.section.stop),
        "ours": state(found.section.ours),
        "size": found.size,
        "expected": expected,
    })
}
