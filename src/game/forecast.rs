//! Who wins if both play the rest honestly, and how much time the rest takes.
//!
//! Promises: the forecast follows from the claims on the table and our states alone, before any
//! further move. Refuses to know: whether the opponent will play honestly.

use super::answer::{answer, disputed, state_at};
use super::truth::{Truth, Unplayable};
use super::{Dissectable, Machine, Outcome, Rules, Shape, Unchoosable, interior_ticks};
use crate::protocol::operation::{DissectionChunk, Stakers};
use crate::protocol::{Clock, Game, GameResult, GameState, Level, Player, PublicKeyHash, Tick};

/// How a game ends when both play the rest honestly.
#[derive(Debug)]
pub struct Forecast {
    /// The end; none when nothing can be said.
    pub outcome: Option<Outcome>,
    /// What keeps us from playing our part, or from knowing.
    pub obstacle: Option<Unplayable>,
}

impl Forecast {
    const fn of(outcome: Outcome) -> Self {
        Self {
            outcome: Some(outcome),
            obstacle: None,
        }
    }

    const fn unknown(obstacle: Unplayable) -> Self {
        Self {
            outcome: None,
            obstacle: Some(obstacle),
        }
    }
}

/// Who wins `game` if both play the rest honestly; where the next move is a proof of ours, it is
/// made, so that what stands in its way is told ahead.
pub fn forecast<R: Rules>(
    rules: &R,
    stakers: &Stakers,
    us: Player,
    game: &Game,
    truth: &mut dyn Truth,
) -> Forecast {
    let mut forecast = match &game.state {
        GameState::Dissecting { dissection, .. } => of_dissection(game.turn, dissection, truth),
        GameState::FinalMove {
            agreed_start,
            refuted_stop,
        } => of_final_move(game.turn, agreed_start, refuted_stop, truth),
    };
    if forecast.obstacle.is_none() && game.turn == us && is_proof_next(game, truth) {
        forecast.obstacle = answer(rules, stakers, us, game, truth).err();
    }
    forecast
}

/// The player to move wins where a claim on the table is false after a true one; with nothing
/// false to attack it cannot win a proof.
fn of_dissection(turn: Player, dissection: &[DissectionChunk], truth: &mut dyn Truth) -> Forecast {
    match disputed(dissection, truth) {
        Ok(_) => Forecast::of(Outcome::Loser(turn.opponent())),
        Err(Unplayable::Choice(Unchoosable::NothingDisputed)) => Forecast::of(Outcome::Loser(turn)),
        Err(obstacle) => Forecast::unknown(obstacle),
    }
}

/// Only a claim that is true at the very next tick can be confirmed.
fn of_final_move(
    turn: Player,
    start: &DissectionChunk,
    stop: &DissectionChunk,
    truth: &mut dyn Truth,
) -> Forecast {
    let next = Tick(start.tick.0.saturating_add(1));
    let states = state_at(start.tick, truth).and_then(|at| Ok((at, state_at(next, truth)?)));
    match states {
        Ok((at, _)) if at != start.state => Forecast::unknown(Unchoosable::DisputedStart.into()),
        Ok((None, _)) => Forecast::of(Outcome::Draw),
        Ok((_, after)) if after == stop.state => Forecast::of(Outcome::Loser(turn.opponent())),
        Ok(_) => Forecast::of(Outcome::Draw),
        Err(obstacle) => Forecast::unknown(obstacle),
    }
}

fn is_proof_next(game: &Game, truth: &mut dyn Truth) -> bool {
    match &game.state {
        GameState::FinalMove { .. } => true,
        GameState::Dissecting { dissection, .. } => {
            disputed(dissection, truth).is_ok_and(|section| section.distance() == 1)
        }
    }
}

/// The end of a game in which somebody lost its stake elsewhere: any move of the player whose turn
/// it is brings it about, before the move is looked at. Upstream: `check_stakes`.
pub fn forfeited(
    stakers: &Stakers,
    mut is_staked: impl FnMut(&PublicKeyHash) -> bool,
) -> Option<GameResult> {
    let lost = |loser| {
        Some(GameResult::Loser {
            reason: crate::protocol::LossReason::ConflictResolved,
            loser,
        })
    };
    match (is_staked(&stakers.alice()), is_staked(&stakers.bob())) {
        (true, true) => None,
        (false, true) => lost(stakers.alice()),
        (true, false) => lost(stakers.bob()),
        (false, false) => Some(GameResult::Draw),
    }
}

/// Moves still to come on either side, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovesLeft {
    /// Ours: dissections and one proof.
    pub ours: u32,
    /// The opponent's.
    pub theirs: u32,
}

/// Moves left when the opponent narrows as slowly as layer 1 allows and we as we do.
#[must_use]
pub fn moves_left(machine: Machine, game: &Game, us: Player) -> MovesLeft {
    let mut left = MovesLeft { ours: 0, theirs: 0 };
    let mut ours = game.turn == us;
    if let GameState::Dissecting {
        dissection,
        default_number_of_sections,
    } = &game.state
    {
        let mut section = longest(dissection);
        while section.1.saturating_sub(section.0) > 1 {
            section = narrowed(machine, section, *default_number_of_sections, ours);
            let count = if ours {
                &mut left.ours
            } else {
                &mut left.theirs
            };
            *count = count.saturating_add(1);
            ours = !ours;
        }
    }
    // Whoever proves first, the other may have to prove too.
    left.ours = left.ours.saturating_add(1);
    left.theirs = left.theirs.saturating_add(1);
    left
}

/// First and last tick of the longest section.
fn longest(dissection: &[DissectionChunk]) -> (u128, u128) {
    let pairs = dissection.iter().zip(dissection.iter().skip(1));
    let ends = pairs.map(|(start, stop)| (start.tick.0, stop.tick.0));
    ends.max_by_key(|(start, stop)| stop.saturating_sub(*start))
        .unwrap_or((0, 0))
}

fn narrowed(
    machine: Machine,
    (start, stop): (u128, u128),
    sections: u8,
    ours: bool,
) -> (u128, u128) {
    let chunk = |tick| DissectionChunk {
        state: None,
        tick: Tick(tick),
    };
    if ours {
        let shape = Shape {
            start: Tick(start),
            stop: Tick(stop),
            sections,
        };
        let mut chunks = vec![chunk(start)];
        chunks.extend(
            interior_ticks(machine, &shape)
                .iter()
                .map(|tick| chunk(tick.0)),
        );
        chunks.push(chunk(stop));
        let next = longest(&chunks);
        // Every honest shape narrows; should one not, the count must still end.
        if next != (start, stop) {
            return next;
        }
    }
    let interval = Dissectable {
        start: chunk(start),
        stop: chunk(stop),
        sections,
    };
    let half = stop.saturating_sub(start) / 2;
    let length = machine.longest_section(&interval).min(half.max(1));
    (start, start.saturating_add(length.max(1)))
}

/// Blocks to spare: those left on the clock of `us` when the chain stands at `head`, less those
/// our remaining moves take at the measured pace.
#[must_use]
pub fn slack(
    clock: &Clock,
    game: &Game,
    us: Player,
    head: Level,
    moves: MovesLeft,
    blocks_per_move: u32,
) -> i64 {
    let left = if game.turn == us {
        clock.blocks_left(us, head)
    } else {
        i64::from(clock.stored(us))
    };
    let needed = i64::from(moves.ours).saturating_mul(i64::from(blocks_per_move));
    left.saturating_sub(needed)
}
