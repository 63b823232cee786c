//! How an actor plays: which games it opens, which move it makes, how fast, and what it does when
//! its clock or its opponent's runs out.
//!
//! Promises: a player with true states, without slips and in time never loses. Choices are the
//! actor's own; whether they are allowed is for `rules` to say.

use serde::{Deserialize, Serialize};

use super::content::{Claimant, Told};
use super::slip::{Slip, SlipKind, anything};
use super::{Memories, Memory, View, dissect};
use crate::protocol::operation::{Action, DissectionChunk, Refutation, Stakers, Step};
use crate::protocol::{PublicKeyHash, Tick};
use crate::sim::context::Context;
use crate::sim::rollup::Rollup;
use crate::sim::rules::game::{self, Game, Side, State, staker_on};

/// Dissections sent in one batch at most; a proof travels alone.
const BATCH: usize = 4;

/// When an actor moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// As soon as it is its turn.
    #[default]
    Prompt,
    /// Never.
    Never,
    /// As soon as it is its turn, this many times, then never.
    Until(u32),
    /// In the last block in which nobody can end the game by the clock.
    LastBlock,
    /// This many blocks after the opponent's move.
    After(u32),
    /// At once and this many blocks later, in turn.
    Alternates(u32),
}

/// Which games an actor opens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opens {
    /// One against everybody it is in conflict with.
    #[default]
    All,
    /// None.
    None,
}

/// Whether an actor ends games of opponents who are late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timeouts {
    /// As soon as the clock allows.
    #[default]
    Claimed,
    /// Never.
    Ignored,
}

/// How an actor plays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Play {
    /// Games it opens.
    pub opens: Opens,
    /// When it moves.
    pub pace: Pace,
    /// Wrong moves on purpose.
    pub slips: Vec<Slip>,
    /// What it does about late opponents.
    pub timeouts: Timeouts,
}

/// A game as one of its players sees it.
struct Table<'a> {
    players: Stakers,
    opponent: PublicKeyHash,
    game: &'a Game,
    is_mine: bool,
    /// Blocks left for a move in the next block; zero is the last one.
    left: i64,
    waited: i64,
}

impl Play {
    /// Moves, timeouts and openings for the next block.
    pub(super) fn decide(
        &self,
        claimant: &Claimant<'_>,
        view: &mut View<'_>,
        context: &Context,
        memories: &mut Memories,
    ) -> Vec<Action> {
        let Ok(rollup) = context.rollup(&claimant.rollup) else {
            return Vec::new();
        };
        let mut actions = Vec::new();
        for table in tables(rollup, view.me, context) {
            if let Some(action) = self.late(claimant, &table) {
                return vec![action];
            }
            let memory = memories.entry(table.opponent).or_default();
            if memory.start != Some(table.game.start_level) {
                *memory = Memory {
                    start: Some(table.game.start_level),
                    ..Memory::default()
                };
            }
            for action in self.turn(claimant, view, context, rollup, &table, memory) {
                let is_proof = matches!(
                    &action,
                    Action::Refute {
                        refutation: Refutation::Move {
                            step: Step::Proof(_),
                            ..
                        },
                        ..
                    }
                );
                if is_proof {
                    return vec![action];
                }
                actions.push(action);
            }
            if actions.len() >= BATCH {
                return actions;
            }
        }
        if actions.is_empty() && self.opens == Opens::All {
            actions.extend(open(claimant, view, context, rollup));
        }
        actions
    }

    fn late(&self, claimant: &Claimant<'_>, table: &Table<'_>) -> Option<Action> {
        let is_over = !table.is_mine && table.left < 0 && self.timeouts == Timeouts::Claimed;
        is_over.then_some(Action::Timeout {
            rollup: claimant.rollup,
            stakers: table.players,
        })
    }

    fn turn(
        &self,
        claimant: &Claimant<'_>,
        view: &mut View<'_>,
        context: &Context,
        rollup: &Rollup,
        table: &Table<'_>,
        memory: &mut Memory,
    ) -> Vec<Action> {
        let next = memory.moves.saturating_add(1);
        let due = self.slips.iter().filter(|slip| slip.at == next);
        let slip = due.map(|slip| slip.kind).nth(memory.slipped as usize);
        let is_out_of_turn = slip == Some(SlipKind::OutOfTurn) && !table.is_mine;
        // On its own turn an actor cannot be out of turn.
        let slip = slip.filter(|kind| *kind != SlipKind::OutOfTurn || is_out_of_turn);
        let moves_now = match self.pace {
            Pace::Prompt => true,
            Pace::Never => false,
            Pace::Until(most) => memory.moves < most,
            Pace::LastBlock => table.left == 0,
            Pace::After(blocks) => table.waited >= i64::from(blocks),
            Pace::Alternates(blocks) => next % 2 == 1 || table.waited >= i64::from(blocks),
        };
        let moves_now = if table.is_mine {
            moves_now
        } else {
            is_out_of_turn
        };
        if !moves_now {
            return Vec::new();
        }
        let Some((choice, step)) = answer(claimant, view, context, rollup, table, slip) else {
            return Vec::new();
        };
        let action = Action::Refute {
            rollup: claimant.rollup,
            opponent: table.opponent,
            refutation: Refutation::Move { choice, step },
        };
        // What the protocol lets pass counts as a move.
        match slip {
            Some(SlipKind::ShiftedStates | SlipKind::InvalidProof) | None => {
                memory.moves = next;
                memory.slipped = 0;
            }
            Some(_) => memory.slipped = memory.slipped.saturating_add(1),
        }
        if slip == Some(SlipKind::Duplicate) {
            return vec![action.clone(), action];
        }
        vec![action]
    }
}

fn tables<'a>(rollup: &'a Rollup, me: PublicKeyHash, context: &Context) -> Vec<Table<'a>> {
    let games = rollup.games.iter();
    games
        .filter_map(|(players, game)| {
            let opponent = players.opponent_of(&me)?;
            let clock = rollup.timeouts.get(players)?;
            let budget = match game.turn {
                Side::Alice => clock.alice,
                Side::Bob => clock.bob,
            };
            let waited = i64::from(context.level.get()) - i64::from(clock.last_turn.get());
            Some(Table {
                players: *players,
                opponent,
                game,
                is_mine: staker_on(players, game.turn) == me,
                left: budget.saturating_sub(waited),
                waited,
            })
        })
        .collect()
}

/// The move that follows from the states this player tells.
fn answer(
    claimant: &Claimant<'_>,
    view: &mut View<'_>,
    context: &Context,
    rollup: &Rollup,
    table: &Table<'_>,
    slip: Option<SlipKind>,
) -> Option<(Tick, Step)> {
    let index = rollup.index_of(&view.me).ok()?;
    let stake = rollup.stake_at(index, table.game.inbox_level)?;
    let parent = rollup.commitment(&stake).ok()?.predecessor;
    let parent = *rollup.commitment(&parent).ok()?;
    let run = u128::from(context.protocol.ticks_per_snapshot());
    let chain = view.chain;
    let mut told = claimant.told(view, &parent, table.game.inbox_level)?;
    let (dissection, sections) = match &table.game.state {
        State::Dissecting {
            dissection,
            sections,
        } => (dissection, *sections),
        State::FinalMove { agreed_start, .. } => {
            let tick = agreed_start.tick;
            let proof = told
                .trace
                .proof(chain, &table.game.inbox_snapshot, tick.0)?;
            return Some((tick, Step::Proof(proof)));
        }
    };
    let (start, stop) = section(dissection, &mut told)?;
    let distance = stop.tick.0.saturating_sub(start.tick.0);
    let step = if slip == Some(SlipKind::OutOfTurn) {
        anything(&start, stop.tick.0, sections, run)
    } else if distance == 1 {
        let tick = start.tick.0;
        let snapshot = &table.game.inbox_snapshot;
        Step::Proof(told.trace.proof(chain, snapshot, tick)?)
    } else {
        let mut chunks =
            dissect::dissection(&start, stop.tick.0, sections, run, |tick| told.state(tick));
        disagree(&mut chunks, &stop);
        Step::Dissection(chunks)
    };
    let Some(slip) = slip else {
        return Some((start.tick, step));
    };
    let other = (slip == SlipKind::InvalidProof)
        .then(|| {
            let tick = if start.tick.0 == 0 { 1 } else { 0 };
            told.trace.proof(chain, &table.game.inbox_snapshot, tick)
        })
        .flatten();
    Some(slip.spoil((start.tick, step), &stop, &mut told, other))
}

/// The disputed section; the last one for a liar that finds nothing to dispute.
fn section(
    dissection: &[DissectionChunk],
    told: &mut Told<'_>,
) -> Option<(DissectionChunk, DissectionChunk)> {
    if let Some(found) = dissect::disputed(dissection, |tick| told.state(tick)) {
        return Some(found);
    }
    let [.., start, stop] = dissection else {
        return None;
    };
    Some((*start, *stop))
}

/// A liar caught between two lies says anything rather than agree.
fn disagree(chunks: &mut [DissectionChunk], stop: &DissectionChunk) {
    let before = chunks.len().checked_sub(2).and_then(|at| chunks.get(at));
    let before = before.and_then(|chunk| chunk.state);
    if let Some(last) = chunks.last_mut()
        && last.state == stop.state
    {
        last.state = match stop.state {
            Some(_) => None,
            None => before,
        };
    }
}

/// Opens one game against a staker it is in conflict with.
fn open(
    claimant: &Claimant<'_>,
    view: &View<'_>,
    context: &Context,
    rollup: &Rollup,
) -> Option<Action> {
    let me = view.me;
    rollup.index_of(&me).ok()?;
    let most = context.parameters.rollup.max_parallel_games as usize;
    let is_free = |staker: &PublicKeyHash| rollup.games_of(staker) < most;
    if !is_free(&me) {
        return None;
    }
    let others = rollup.staker_index.keys().filter(|other| **other != me);
    for other in others.filter(|other| is_free(other)) {
        if rollup.games.contains_key(&Stakers::new(me, *other)) {
            continue;
        }
        let found = game::first_conflict(context, &claimant.rollup, &me, other);
        let Ok(Some((ours, theirs))) = found else {
            continue;
        };
        let level = rollup.commitment(&theirs).ok()?.inbox_level;
        let earliest = level.plus(context.parameters.rollup.commitment_period)?;
        if context.level < earliest {
            continue;
        }
        return Some(Action::Refute {
            rollup: claimant.rollup,
            opponent: *other,
            refutation: Refutation::Start {
                player_commitment: ours,
                opponent_commitment: theirs,
            },
        });
    }
    None
}
