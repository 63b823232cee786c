//! Refutation games as the operations of the blocks tell them, beside what a node says of games.
//!
//! Promises: a pure fold over the record. Layer 1 says of each opening and each move whether it took
//! effect, so where a game stands follows from them alone, and nobody who is asked can make it
//! otherwise. Refuses to know: whether moves are good. Upstream: `initial` and `play` of
//! `sc_rollup_game_repr.ml`, `start_game` and `game_move` of `sc_rollup_refutation_storage.ml`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::play::{move_bytes, move_of};
use super::stakes::Stakes;
use crate::game;
use crate::journal::OperationRow;
use crate::protocol::operation::{DissectionChunk, Refutation, Stakers, Step};
use crate::protocol::{
    Clock, Commitment, DalSnapshot, Game, GameState, HistoryCell, Level, Player, PublicKeyHash,
    Tick,
};

/// Every game under way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Played {
    /// None for a game whose rows do not tell where it stands: the older dialect's openings do not
    /// name commitments, and rows of an older journal hold no moves.
    games: BTreeMap<Stakers, Option<Course>>,
}

/// The course of one game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Course {
    opener: Player,
    start: Level,
    inbox_level: Level,
    turn: Player,
    /// With sections still to be counted.
    state: GameState,
    /// With nothing on either side at first: what was used is below zero.
    clock: Clock,
}

/// What is not in the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Surroundings {
    /// Newest cell of the inbox below the opening.
    pub(super) inbox: HistoryCell,
    /// The data-availability history, which is followed by nobody here.
    pub(super) dal: DalSnapshot,
    /// Sections of a dissection.
    pub(super) sections: u8,
    /// Blocks of a clock.
    pub(super) timeout: u32,
}

/// Adds what a move says to the detail of its row; of a proof, whose bytes are in the block, where
/// it starts.
pub(super) fn add_move(detail: &mut Map<String, Value>, refutation: &Refutation) {
    if let Refutation::Move {
        choice,
        step: Step::Proof(_),
    } = refutation
    {
        detail.insert("choice".into(), choice.to_string().into());
    } else if let Some(bytes) = move_bytes(refutation) {
        detail.insert("refutation".into(), hex::encode(bytes).into());
    }
}

/// A move as a row tells it.
enum Told {
    /// Of siblings: the attacked one.
    Opening(Box<Commitment>, Box<Commitment>),
    Dissection(Vec<DissectionChunk>),
    Proof(Tick),
}

impl Told {
    fn of(detail: &Value, stakes: &Stakes) -> Option<Self> {
        if let Some(choice) = detail.get("choice") {
            return Some(Self::Proof(Tick(choice.as_str()?.parse().ok()?)));
        }
        let bytes = hex::decode(detail.get("refutation")?.as_str()?).ok()?;
        match move_of(&bytes)? {
            Refutation::Start {
                opponent_commitment,
                ..
            } => {
                let defended = stakes.claim(&opponent_commitment)?.commitment;
                let parent = stakes.claim(&defended.predecessor)?.commitment;
                Some(Self::Opening(Box::new(parent), Box::new(defended)))
            }
            Refutation::Move {
                step: Step::Dissection(chunks),
                ..
            } => Some(Self::Dissection(chunks)),
            _ => None,
        }
    }
}

impl Played {
    /// Takes in one operation, `stakes` being the tree before it.
    pub(super) fn take(&mut self, row: &OperationRow, stakes: &Stakes) {
        let Ok(detail) = serde_json::from_str::<Value>(&row.detail) else {
            return;
        };
        let account = |key: &str| -> Option<PublicKeyHash> {
            let text = detail.get(key)?.as_str()?;
            text.parse().ok()
        };
        let stakers = match row.kind.as_str() {
            "refute" => account("opponent").map(|opponent| Stakers::new(row.source, opponent)),
            "timeout" => account("alice")
                .zip(account("bob"))
                .map(|(alice, bob)| Stakers::new(alice, bob)),
            _ => None,
        };
        let Some(stakers) = stakers else { return };
        if detail.get("result").is_some() {
            self.games.remove(&stakers);
            return;
        }
        let told = Told::of(&detail, stakes);
        let is_opening = detail.get("move").and_then(Value::as_str) == Some("start");
        let before = self.games.remove(&stakers).flatten();
        let after = match (told, before) {
            (Some(Told::Opening(parent, defended)), _) if is_opening => {
                let seat = seat(&stakers, &row.source);
                seat.map(|seat| Course::opened(seat, &parent, &defended, row.level))
            }
            (Some(told), Some(course)) => course.moved(&stakers, row, told),
            _ => None,
        };
        self.games.insert(stakers, after);
    }

    /// Every game, with its course where that is known.
    pub(super) fn games(&self) -> impl Iterator<Item = (&Stakers, Option<&Course>)> {
        self.games
            .iter()
            .map(|(stakers, course)| (stakers, course.as_ref()))
    }

    /// The course of the game of two, where it is known.
    pub(super) fn course(&self, stakers: &Stakers) -> Option<&Course> {
        self.games.get(stakers)?.as_ref()
    }

    /// Whether two play, however the game stands.
    pub(super) fn is_played(&self, stakers: &Stakers) -> bool {
        self.games.contains_key(stakers)
    }

    /// Whether the course of every game of an account is known.
    pub(super) fn is_whole(&self, account: &PublicKeyHash) -> bool {
        let mut of = self
            .games
            .iter()
            .filter(|(stakers, _)| seat(stakers, account).is_some());
        of.all(|(_, course)| course.is_some())
    }
}

fn seat(stakers: &Stakers, account: &PublicKeyHash) -> Option<Player> {
    [Player::Alice, Player::Bob]
        .into_iter()
        .find(|player| stakers.account(*player) == *account)
}

impl Course {
    fn opened(refuter: Player, parent: &Commitment, defended: &Commitment, start: Level) -> Self {
        Self {
            opener: refuter,
            start,
            inbox_level: defended.inbox_level,
            turn: refuter,
            state: GameState::Dissecting {
                dissection: game::initial_dissection(parent, defended).to_vec(),
                default_number_of_sections: 0,
            },
            clock: Clock::start(start, 0),
        }
    }

    /// The course after a move that layer 1 took; none when it is not one that this game could take.
    fn moved(self, stakers: &Stakers, row: &OperationRow, told: Told) -> Option<Self> {
        let seat = seat(stakers, &row.source)?;
        if seat != self.turn {
            return None;
        }
        let state = match (&self.state, told) {
            (GameState::Dissecting { .. }, Told::Dissection(dissection)) => GameState::Dissecting {
                dissection,
                default_number_of_sections: 0,
            },
            (GameState::Dissecting { dissection, .. }, Told::Proof(choice)) => {
                let (agreed_start, refuted_stop) = game::section_at(dissection, choice).ok()?;
                GameState::FinalMove {
                    agreed_start,
                    refuted_stop,
                }
            }
            _ => return None,
        };
        Some(Self {
            turn: seat.opponent(),
            clock: self.clock.moved(seat, row.level),
            state,
            ..self
        })
    }

    /// Who opened it.
    pub(super) const fn opener(&self) -> Player {
        self.opener
    }

    /// Level of the opening.
    pub(super) const fn start(&self) -> Level {
        self.start
    }

    /// Inbox level of what is disputed.
    pub(super) const fn inbox_level(&self) -> Level {
        self.inbox_level
    }

    /// The game as layer 1 keeps it, and its clock.
    pub(super) fn game(&self, around: Surroundings) -> (Game, Clock) {
        let state = match &self.state {
            GameState::Dissecting { dissection, .. } => GameState::Dissecting {
                dissection: dissection.clone(),
                default_number_of_sections: around.sections,
            },
            last @ GameState::FinalMove { .. } => last.clone(),
        };
        let budget = i32::try_from(around.timeout).unwrap_or(i32::MAX);
        let clock = Clock {
            alice: self.clock.alice.saturating_add(budget),
            bob: self.clock.bob.saturating_add(budget),
            last_turn: self.clock.last_turn,
        };
        let game = Game {
            turn: self.turn,
            inbox_snapshot: around.inbox,
            dal_snapshot: around.dal,
            start_level: self.start,
            inbox_level: self.inbox_level,
            state,
        };
        (game, clock)
    }
}
