//! Whole games against a synthetic liar, on the real history of a rollup, in memory.
//!
//! Promises: the liar runs the true machine up to a tick of our choice and lies from there on; each
//! move of both passes the judge; what our moves took is measured. Lies are drawn so that each kind
//! of tick is disputed: drawn evenly, nearly all would be in padding. Refuses to know: the chain.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::archive::Archive;
use super::brief::Period;
use super::desk::{AnswerError, Desk};
use crate::game::{
    self, Facts, NoRuling, Ruling, Shape, Snapshots, Truth, Unplayable, Witness, choose,
    interior_ticks,
};
use crate::protocol::operation::{DissectionChunk, Proof, Refutation, Stakers, Step};
use crate::protocol::{
    Commitment, DalSnapshot, Game, GameResult, GameState, Level, Player, Protocol, PublicKeyHash,
    StateHash, Tick,
};
use crate::pvm::Doing;

/// Moves after which a rehearsal is given up: no real game is near as long.
const MOVES: u32 = 200;

/// Who opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We attack the lie.
    Refuter,
    /// The liar attacks us.
    Defender,
}

impl Role {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refuter => "refuter",
            Self::Defender => "defender",
        }
    }
}

/// How a rehearsed game went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsed {
    /// Our role.
    pub role: Role,
    /// The first tick lied about.
    pub wrong_from: u128,
    /// Whether we won: then every move of ours, the last proof among them, was accepted.
    pub is_won: bool,
    /// Our moves, with what each took and its bytes.
    pub moves: Vec<(Duration, usize)>,
    /// Bytes of our last proof.
    pub proof: Option<usize>,
    /// Why it ended early, if it did.
    pub problem: Option<String>,
}

impl Rehearsed {
    /// The longest of our moves.
    #[must_use]
    pub fn slowest(&self) -> Duration {
        self.sorted().pop().unwrap_or_default()
    }

    /// The one in the middle.
    #[must_use]
    pub fn median(&self) -> Duration {
        let sorted = self.sorted();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    /// All together.
    #[must_use]
    pub fn whole(&self) -> Duration {
        self.moves.iter().map(|(took, _)| *took).sum()
    }

    fn sorted(&self) -> Vec<Duration> {
        let mut all: Vec<_> = self.moves.iter().map(|(took, _)| *took).collect();
        all.sort_unstable();
        all
    }
}

/// A lie to rehearse: about a tick of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lie {
    /// What the machine does in the step that is disputed in the end.
    pub about: Doing,
    /// The first tick lied about.
    pub from: u128,
}

/// The true machine, with a lie from one tick on.
struct Liar<'a> {
    truth: &'a mut dyn Truth,
    wrong_from: u128,
}

fn lie(state: StateHash) -> StateHash {
    let mut bytes = state.0;
    if let Some(last) = bytes.last_mut() {
        *last ^= 0x5a;
    }
    StateHash(bytes)
}

impl Truth for Liar<'_> {
    fn hashes(&mut self, ticks: &[Tick]) -> Result<Vec<Option<StateHash>>, Unplayable> {
        let states = self.truth.hashes(ticks)?;
        let claimed = ticks.iter().zip(states).map(|(tick, state)| {
            if tick.0 >= self.wrong_from {
                state.map(lie)
            } else {
                state
            }
        });
        Ok(claimed.collect())
    }

    fn prove(&mut self, game: &Game, tick: Tick) -> Result<Proof, Unplayable> {
        self.truth.prove(game, tick)
    }
}

/// The liar's move: as an honest player's would be, whatever the judge thinks of it.
fn lying_move(facts: &Facts, game: &Game, truth: &mut dyn Truth) -> Result<Refutation, Unplayable> {
    let (dissection, sections) = match &game.state {
        GameState::Dissecting {
            dissection,
            default_number_of_sections,
        } => (dissection, *default_number_of_sections),
        GameState::FinalMove { agreed_start, .. } => {
            let proof = truth.prove(game, agreed_start.tick)?;
            return Ok(Refutation::Move {
                choice: agreed_start.tick,
                step: Step::Proof(proof),
            });
        }
    };
    let section = choose(dissection, |chunk| {
        truth
            .hashes(&[chunk.tick])
            .map(|states| states.first().copied().flatten())
    })??;
    let shape = Shape {
        start: section.start.tick,
        stop: section.stop.tick,
        sections,
    };
    let step = if shape.stop.0.abs_diff(shape.start.0) == 1 {
        Step::Proof(truth.prove(game, shape.start)?)
    } else {
        let ticks = interior_ticks(facts.machine, &shape);
        let states = truth.hashes(&ticks)?;
        let mut chunks = vec![section.start];
        let between = ticks.into_iter().zip(states);
        chunks.extend(between.map(|(tick, state)| DissectionChunk { state, tick }));
        chunks.push(DissectionChunk {
            state: section.ours,
            tick: section.stop.tick,
        });
        Step::Dissection(chunks)
    };
    Ok(Refutation::Move {
        choice: section.start.tick,
        step,
    })
}

const US: PublicKeyHash = PublicKeyHash::Tz1([1; 20]);
const THEM: PublicKeyHash = PublicKeyHash::Tz1([2; 20]);

/// Plays one game of a period.
pub(super) fn play(
    desk: &Desk,
    period: &Period,
    facts: &Facts,
    role: Role,
    wrong_from: u128,
) -> Result<Rehearsed, AnswerError> {
    let mut rehearsed = Rehearsed {
        role,
        wrong_from,
        is_won: false,
        moves: Vec::new(),
        proof: None,
        problem: None,
    };
    let Some(inbox) = Archive::newest(&desk.journal)? else {
        rehearsed.problem = Some("the journal is empty".into());
        return Ok(rehearsed);
    };
    let archive = Archive::open(&desk.journal, &inbox)?;
    let timeline = desk.timeline(period)?;
    let own = period.own.commitment;
    let false_claim = Commitment {
        compressed_state: lie(own.compressed_state),
        ..own
    };
    let (refuter, defender, defended) = match role {
        Role::Refuter => (US, THEM, false_claim),
        Role::Defender => (THEM, US, own),
    };
    let snapshots = Snapshots {
        start_level: inbox.level.next().unwrap_or(inbox.level),
        inbox,
        dal: DalSnapshot::Legacy([0; 57]),
        sections: 32,
    };
    let stakers = Stakers::new(US, THEM);
    let us = Player::seat(&US, &THEM);
    let parent = period.parent.commitment;
    let mut game = game::opened(&refuter, &defender, &parent, &defended, &snapshots);
    for _ in 0..MOVES {
        // Other games about this period may be played meanwhile.
        let mut timeline = timeline.lock().unwrap_or_else(PoisonError::into_inner);
        let mut witness = Witness::new(facts, &mut timeline, &archive);
        let is_ours = game.turn == us;
        let began = Instant::now();
        let refutation = if is_ours {
            game::answer(facts, &stakers, us, &game, &mut witness).map(|found| {
                rehearsed.moves.push((began.elapsed(), found.size));
                if matches!(
                    found.refutation,
                    Refutation::Move {
                        step: Step::Proof(_),
                        ..
                    }
                ) {
                    rehearsed.proof = Some(found.size);
                }
                found.refutation
            })
        } else {
            let mut liar = Liar {
                truth: &mut witness,
                wrong_from,
            };
            lying_move(facts, &game, &mut liar)
        };
        let refutation = match refutation {
            Ok(refutation) => refutation,
            // A liar without a move loses by the clock.
            Err(_) if !is_ours => {
                rehearsed.is_won = true;
                return Ok(rehearsed);
            }
            Err(error) => {
                rehearsed.problem = Some(error.to_string());
                return Ok(rehearsed);
            }
        };
        let player = stakers.account(game.turn);
        match game::judge(facts, &stakers, &game, &player, &refutation) {
            Ok(Ruling::Continues { game: next, .. }) => game = *next,
            Ok(Ruling::Ended { result, .. }) => {
                rehearsed.is_won =
                    matches!(result, GameResult::Loser { loser, .. } if loser == THEM);
                if !rehearsed.is_won {
                    rehearsed.problem = Some(format!("the game ends with {result:?}"));
                }
                return Ok(rehearsed);
            }
            Err(NoRuling::Refused(_)) if !is_ours => {
                rehearsed.is_won = true;
                return Ok(rehearsed);
            }
            Err(error) => {
                rehearsed.problem = Some(error.to_string());
                return Ok(rehearsed);
            }
        }
    }
    rehearsed.problem = Some(format!("not over after {MOVES} moves"));
    Ok(rehearsed)
}

/// A number below a bound that depends on nothing but the period.
fn drawn(period: &Period, salt: (u64, u8), bound: u128) -> u128 {
    let (number, kind) = salt;
    let digest =
        crate::crypto::blake2b_concat(&[&period.own.hash.0, &number.to_be_bytes(), &[kind]]);
    let number = digest.as_bytes().iter().take(16).fold(0_u128, |sum, byte| {
        sum.wrapping_mul(256).wrapping_add(u128::from(*byte))
    });
    number.checked_rem(bound).unwrap_or(0)
}

/// One lie about each kind of tick that there is around some place of the period.
pub(super) fn lies(desk: &Desk, period: &Period, salt: u64) -> Result<Vec<Lie>, AnswerError> {
    let timeline = desk.timeline(period)?;
    let mut timeline = timeline.lock().unwrap_or_else(PoisonError::into_inner);
    let ticks = u128::from(period.own.commitment.number_of_ticks).max(1);
    let mut stretches = timeline.stretches(drawn(period, (salt, 0), ticks))?;
    // Only at the beginning of a level are messages taken, and the period begins with one.
    stretches.extend(timeline.stretches(0)?);
    let mut of_kind = BTreeMap::new();
    for stretch in stretches {
        of_kind.entry(stretch.doing).or_insert(stretch);
    }
    Ok(of_kind
        .into_iter()
        .map(|(about, stretch)| {
            let offset = drawn(period, (salt, 1 + about as u8), stretch.ticks());
            let from = stretch.first.saturating_add(offset).saturating_add(1);
            Lie {
                about,
                from: from.min(ticks),
            }
        })
        .collect())
}

/// One game about each kind of tick before the first stake; `Err` inside says why one was not won.
pub(super) fn before_staking(
    desk: &Desk,
    period: &Period,
    facts: &Facts,
) -> Result<Result<String, String>, AnswerError> {
    let (mut kinds, mut slowest, mut proof) = (Vec::new(), Duration::ZERO, 0);
    for lie in lies(desk, period, 0)? {
        let rehearsed = play(desk, period, facts, Role::Refuter, lie.from)?;
        if !rehearsed.is_won {
            return Ok(Err(format!(
                "a rehearsed game about a lie in {} from tick {} on was not won: {}",
                lie.about.name(),
                lie.from,
                rehearsed.problem.as_deref().unwrap_or("no reason")
            )));
        }
        kinds.push(lie.about.name());
        slowest = slowest.max(rehearsed.slowest());
        proof = proof.max(rehearsed.proof.unwrap_or(0));
    }
    Ok(Ok(format!(
        "rehearsed games about {} were won, the slowest move took {} ms, the largest proof has {proof} bytes",
        kinds.join(", "),
        slowest.as_millis()
    )))
}

/// A period of a data directory, ready for rehearsals.
#[derive(Debug)]
pub struct Rehearsal {
    desk: Desk,
    period: Period,
    facts: Facts,
}

/// Why there is no rehearsal.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] crate::journal::JournalError),
    /// The data directory lacks something.
    #[error(transparent)]
    Tower(Box<crate::tower::TowerError>),
    /// There is no such period.
    #[error("no commitment of ours at level {0}: `watchtower status` tells the newest")]
    NoPeriod(Level),
    /// The protocol of the rollup's chain is unknown here.
    #[error("the head belongs to a protocol that this program does not know")]
    UnknownProtocol,
    /// The game cannot be played.
    #[error("{0}")]
    Play(String),
}

impl From<crate::tower::TowerError> for RehearsalError {
    fn from(error: crate::tower::TowerError) -> Self {
        Self::Tower(Box::new(error))
    }
}

impl Rehearsal {
    /// The period up to `level`, or the newest one.
    ///
    /// # Errors
    /// [`RehearsalError`].
    pub fn open(
        config: &crate::config::Config,
        rollup: &crate::journal::RollupRow,
        reveals: std::sync::Arc<dyn crate::pvm::Reveals>,
        from: crate::tower::States,
        level: Option<Level>,
    ) -> Result<Self, RehearsalError> {
        let reader = crate::journal::Reader::open(&config.journal_path())?;
        let own = reader.own_commitments(&rollup.address)?;
        let last = own
            .last()
            .map_or(rollup.origination_level, |(_, own)| own.inbox_level);
        let wanted = level.unwrap_or(last);
        let find = |at: &dyn Fn(&Commitment) -> bool| {
            let found = own.iter().find(|(_, own)| at(own));
            found.map(|(block, commitment)| crate::tower::model::Own {
                commitment: *commitment,
                hash: commitment.hash(),
                block: *block,
            })
        };
        let period = find(&|own| own.inbox_level == wanted)
            .and_then(|own| {
                let parent = find(&|before| before.hash() == own.commitment.predecessor)?;
                Some(Period { parent, own })
            })
            .ok_or(RehearsalError::NoPeriod(wanted))?;
        let head = reader.head()?.ok_or(RehearsalError::NoPeriod(wanted))?;
        let protocol =
            Protocol::from_hash(&head.protocol).ok_or(RehearsalError::UnknownProtocol)?;
        let facts = Facts {
            activation: reveals.activation(),
            ..Facts::wasm(protocol, rollup.address, rollup.origination_level)
        };
        let (store, kernel, environment) =
            crate::tower::setup::offline_parts(config, rollup, reveals, from)?;
        let desk = Desk::new(
            rollup.clone(),
            config.journal_path(),
            store,
            kernel,
            environment,
        );
        Ok(Self {
            desk,
            period,
            facts,
        })
    }

    /// Inbox level of the period's commitment.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.period.own.commitment.inbox_level
    }

    /// Ticks of the period.
    #[must_use]
    pub const fn ticks(&self) -> u64 {
        self.period.own.commitment.number_of_ticks
    }

    /// A lie about each kind of tick there is; which, within a kind, follows from `number`.
    ///
    /// # Errors
    /// [`RehearsalError::Play`] when the machine cannot be run.
    pub fn lies(&self, number: u64) -> Result<Vec<Lie>, RehearsalError> {
        lies(&self.desk, &self.period, number)
            .map_err(|error| RehearsalError::Play(error.to_string()))
    }

    /// Plays a game in a role against a lie from a tick on.
    ///
    /// # Errors
    /// [`RehearsalError::Play`] when the machine cannot be run.
    pub fn play_from(&self, role: Role, wrong_from: u128) -> Result<Rehearsed, RehearsalError> {
        play(&self.desk, &self.period, &self.facts, role, wrong_from)
            .map_err(|error| RehearsalError::Play(error.to_string()))
    }
}
