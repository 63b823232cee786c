//! The desk of one rollup: periods put together for the machine, moves found, consents given.
//!
//! Promises: a move is found from the state both players agree on and the journalled messages, and
//! has passed our own judge; games about one period share its states. Refuses to know: when a move
//! is wanted and how it is sent.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use super::archive::Archive;
use super::brief::Period;
use super::workers::{Order as Ordered, Patience};
use crate::codec::Writer;
use crate::config::EdgePolicy;
use crate::crypto::Hash;
use crate::game::{self, Facts, Forecast, Move, Obstacle, Outcome, Ruling, Unplayable, Witness};
use crate::journal::{Foreseen, GameName, Reader, RollupRow};
use crate::merkle::Store;
use crate::protocol::operation::{DissectionChunk, Form, Refutation, Step};
use crate::protocol::{GameState, Level, Player, Protocol, RollupAddress, StateHash};
use crate::pvm::{Environment, Timeline};
use crate::tower::policy::{Answer, Consent, Position, SeenGame};
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
pub(super) fn move_bytes(refutation: &Refutation) -> Option<Vec<u8>> {
    let mut writer = Writer::new();
    refutation.write(FORM, &mut writer).ok()?;
    Some(writer.into_bytes())
}

/// The move behind the bytes of the journal.
pub fn move_of(bytes: &[u8]) -> Option<Refutation> {
    Refutation::read(FORM, &mut crate::codec::Reader::new(bytes)).ok()
}

/// Whether we may stake on a period's commitment.
#[derive(Debug)]
pub(super) struct Opinion {
    pub(super) consent: Consent,
    /// What was compared, or why not.
    pub(super) detail: String,
    /// Whether the two engines gave different states.
    pub(super) engines_differ: bool,
}

impl Opinion {
    fn refused(reason: String) -> Self {
        Self {
            consent: Consent::Refused(reason.clone()),
            detail: reason,
            engines_differ: false,
        }
    }
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

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
                let consent = self.consent(&period, &facts, edges);
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
        let name = crate::crypto::blake2b_concat(&[
            &period.own.block.0,
            &period.own.commitment.predecessor.0,
        ]);
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

    fn assemble(&self, period: &Period) -> Result<Timeline, DeskError> {
        let reader = Reader::open(&self.journal)?;
        let from = period.parent.commitment.inbox_level;
        let to = period.own.commitment.inbox_level;
        let mut runner = Runner::new(
            self.rollup.clone(),
            Reader::open(&self.journal)?,
            self.store.clone(),
            self.kernel.clone(),
            self.environment.clone(),
        );
        let mut state = runner.state_at(from)?;
        let found = StateHash::from(state.hash().map_err(RunnerError::from)?);
        let expected = period.parent.commitment.compressed_state;
        if found != expected {
            return Err(DeskError::OtherParent {
                level: from,
                found,
                expected,
            });
        }
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

    /// Whether we may stake: no edge touched, both engines at one, a rehearsed game won.
    fn consent(
        &self,
        period: &Period,
        facts: &Facts,
        edges: EdgePolicy,
    ) -> Result<Opinion, AnswerError> {
        let own = period.own.commitment;
        if edges == EdgePolicy::Refuse
            && let Some(reason) = self.edges(period)?
        {
            return Ok(Opinion::refused(reason));
        }
        let timeline = self.timeline(period)?;
        let (ticks, end) = {
            let mut timeline = locked(&timeline);
            let ticks = timeline.length()?;
            let end = timeline.hashes(&[ticks])?.pop().flatten();
            (ticks, end.map(StateHash::from))
        };
        if ticks != u128::from(own.number_of_ticks) || end != Some(own.compressed_state) {
            let end = end.map_or_else(|| "no state".to_owned(), |end| end.to_string());
            let reason = format!(
                "the reference machine ends level {} in {end} after {ticks} ticks, the fast one in {} after {}",
                own.inbox_level, own.compressed_state, own.number_of_ticks
            );
            return Ok(Opinion {
                engines_differ: true,
                ..Opinion::refused(reason)
            });
        }
        let rehearsed = super::rehearsal::before_staking(self, period, facts)?;
        Ok(match rehearsed {
            Ok(summary) => Opinion {
                consent: Consent::Given,
                detail: format!("both engines agree on {ticks} ticks; {summary}"),
                engines_differ: false,
            },
            Err(reason) => Opinion::refused(reason),
        })
    }

    fn edges(&self, period: &Period) -> Result<Option<String>, DeskError> {
        let reader = Reader::open(&self.journal)?;
        let to = period.own.commitment.inbox_level;
        let from = period.parent.commitment.inbox_level.next().unwrap_or(to);
        let states = reader.states_between(&self.rollup.address, from, to)?;
        let touched = states.into_iter().find(|state| !state.edges.is_empty());
        Ok(touched.map(|state| {
            format!(
                "level {} passes where the engines are known to be able to differ: {}",
                state.level,
                state.edges.join(", ")
            )
        }))
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
}

impl AnswerError {
    /// Its kind, in the words of the game.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Game(error) => error.kind(),
            Self::Desk(_) | Self::Run(_) => "machine",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Dialect;
    use crate::journal::{BlockRow, Entry, Journal, StateRow};
    use crate::protocol::{BlockHash, ChainId, Commitment, ProtocolHash};
    use crate::tower::chain_facts::ChainFacts;
    use crate::tower::model::Own;

    const ROLLUP: RollupAddress = RollupAddress([3; 20]);

    fn protocol() -> ProtocolHash {
        Protocol::Ushuaia.hash_text().parse().unwrap()
    }

    fn block(level: u16) -> BlockHash {
        BlockHash([u8::try_from(level).unwrap(); 32])
    }

    fn own(level: u16, before: Option<&Own>) -> Own {
        let commitment = Commitment {
            compressed_state: StateHash([9; 32]),
            inbox_level: Level::new(level),
            predecessor: before.map_or(
                Commitment::genesis(StateHash([0; 32]), Level::new(1)).hash(),
                |b| b.hash,
            ),
            number_of_ticks: 10,
        };
        Own {
            commitment,
            hash: commitment.hash(),
            block: block(level),
        }
    }

    struct NoReveals;

    impl crate::pvm::Reveals for NoReveals {
        fn preimage(&self, _: &[u8; 33]) -> Result<Vec<u8>, crate::pvm::RevealError> {
            Err(crate::pvm::RevealError::NoParameters("a test".into()))
        }
        fn metadata(&self) -> [u8; 24] {
            [0; 24]
        }
        fn dal_parameters(&self, _: Level) -> Result<Vec<u8>, crate::pvm::RevealError> {
            Err(crate::pvm::RevealError::NoParameters("a test".into()))
        }
        fn dal_page(&self, _: &crate::pvm::PageId) -> Result<Vec<u8>, crate::pvm::RevealError> {
            Ok(Vec::new())
        }
        fn activation(&self) -> crate::pvm::Activation {
            ChainFacts::default().activation()
        }
    }

    /// Levels 1 to 6, of which one touched an edge.
    #[test]
    fn a_period_that_touches_an_edge_is_not_staked_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        let journal = Journal::open(&path).unwrap();
        let genesis = Commitment::genesis(StateHash([0; 32]), Level::new(1));
        let row = RollupRow {
            address: ROLLUP,
            dialect: Dialect::Modern,
            chain: ChainId([1; 4]),
            origination_level: Level::new(1),
            genesis_commitment: genesis.hash(),
            genesis_state: StateHash([0; 32]),
            kernel: Hash([5; 32]),
            protocol: protocol(),
        };
        let mut entries = vec![Entry::Rollup(row.clone())];
        for level in 1..=6_u16 {
            entries.push(Entry::Block(BlockRow {
                hash: block(level),
                level: Level::new(level),
                predecessor: block(level - 1),
                timestamp: level.into(),
                protocol: protocol(),
                period: 2,
                opens_protocol: false,
            }));
            entries.push(Entry::State(StateRow {
                rollup: ROLLUP,
                block: block(level),
                level: Level::new(level),
                hash: StateHash([u8::try_from(level).unwrap(); 32]),
                ticks: 5,
                status: "collect".into(),
                edges: if level == 4 {
                    vec!["store_list_size at the end of memory".into()]
                } else {
                    Vec::new()
                },
            }));
        }
        journal.write(entries).unwrap();
        let environment = Environment::without_fast(Arc::new(NoReveals));
        let desk = Desk::new(row, path, None, Vec::new(), environment);
        let facts = Facts::wasm(Protocol::Ushuaia, ROLLUP, Level::new(1));
        let first = own(2, None);
        let second = own(4, Some(&first));
        let third = own(6, Some(&second));
        for (parent, own, is_marked) in [(first, second, true), (second, third, false)] {
            let period = Period { parent, own };
            let found = desk.edges(&period).unwrap();
            assert_eq!(found.is_some(), is_marked);
            if is_marked {
                // The machine, which could not run here, is not even asked.
                let opinion = desk.consent(&period, &facts, EdgePolicy::Refuse).unwrap();
                let reason = &opinion.detail;
                assert!(matches!(opinion.consent, Consent::Refused(_)), "{reason}");
                assert!(reason.contains("store_list_size"), "{reason}");
                assert!(!opinion.engines_differ, "they were not asked");
            } else {
                let outcome = desk.consent(&period, &facts, EdgePolicy::Refuse);
                assert!(outcome.is_err(), "no machine, no consent");
            }
        }
    }
}
