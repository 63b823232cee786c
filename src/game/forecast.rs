//! Who wins if both play the rest honestly, and how much time the rest takes.
//!
//! Promises: the forecast follows from the claims on the table and our states alone, before any
//! further move. Refuses to know: whether the opponent will play honestly.

use super::answer::{answer, disputed, state_at};
use super::truth::{Truth, Unplayable};
use super::{Machine, Outcome, Rules, Unchoosable};
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

/// Who wins `game` if both play the rest honestly, from the claims on the table alone: what may
/// keep a proof from being made is not looked for.
pub fn foresee(game: &Game, truth: &mut dyn Truth) -> Forecast {
    match &game.state {
        GameState::Dissecting { dissection, .. } => of_dissection(game.turn, dissection, truth),
        GameState::FinalMove {
            agreed_start,
            refuted_stop,
        } => of_final_move(game.turn, agreed_start, refuted_stop, truth),
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
    let mut forecast = foresee(game, truth);
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

/// Moves left at most: the opponent narrows as slowly as layer 1 allows, and picks sections in which
/// our own shape narrows slowly too.
#[must_use]
pub fn moves_left(machine: Machine, game: &Game, us: Player) -> MovesLeft {
    let mut left = MovesLeft { ours: 0, theirs: 0 };
    let mut ours = game.turn == us;
    if let GameState::Dissecting {
        dissection,
        default_number_of_sections,
    } = &game.state
    {
        let sections = u128::from(*default_number_of_sections);
        let mut width = widest(dissection);
        while width > 1 {
            width = narrowed(machine, width, sections, ours);
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

fn widest(dissection: &[DissectionChunk]) -> u128 {
    let pairs = dissection.iter().zip(dissection.iter().skip(1));
    let widths = pairs.map(|(start, stop)| stop.tick.0.saturating_sub(start.tick.0));
    widths.max().unwrap_or(0)
}

/// The widest section that a move in one of up to `width` ticks can leave; narrower than it.
fn narrowed(machine: Machine, width: u128, sections: u128, ours: bool) -> u128 {
    let snapshot = match machine {
        Machine::Wasm { ticks_per_snapshot } => u128::from(ticks_per_snapshot).max(1),
        Machine::Plain => u128::MAX,
    };
    let runs = width.div_ceil(snapshot);
    let next = match (runs > 1, ours) {
        (true, true) => {
            // One section may be lost to a run that is cut short.
            let sections = sections.saturating_sub(1).max(2);
            runs.div_ceil(sections).saturating_mul(snapshot)
        }
        (true, false) => (runs / 2).max(1).saturating_mul(snapshot),
        (false, true) => widest_of_ours(width, sections),
        (false, false) => width / 2,
    };
    next.min(width.saturating_sub(1)).max(1)
}

/// The widest section of our own shape in any interval of up to `width` ticks: it takes the
/// remainder, so a shorter interval can leave a wider one.
fn widest_of_ours(width: u128, sections: u128) -> u128 {
    let (Some(length), Some(rest)) = (width.checked_div(sections), width.checked_rem(sections))
    else {
        return width;
    };
    let largest_rest = sections.saturating_sub(1);
    match length {
        0 => 1,
        1 => rest.max(1),
        2 => length.saturating_add(rest).max(largest_rest),
        _ => length
            .saturating_add(rest)
            .max(length.saturating_sub(1).saturating_add(largest_rest)),
    }
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
