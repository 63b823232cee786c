//! Our next move: what an honest player answers, and nothing that our own judge does not accept.
//!
//! Promises: the reference player's move, byte for byte, for true states; a value with the reason
//! where there is none. Upstream: `game_move` of `refutation_game.ml`, `game_helpers.ml`.

use super::judge::{Rules, Ruling, judge};
use super::proof::Flaw;
use super::truth::{Truth, Unplayable};
use super::{Section, Shape, choose, interior_ticks};
use crate::codec::Writer;
use crate::protocol::operation::{DissectionChunk, Form, Refutation, Stakers, Step};
use crate::protocol::{Game, GameResult, GameState, Player, Protocol, StateHash, Tick};

/// Largest operation layer 1 takes.
pub const OPERATION_LIMIT: usize = 32 * 1024;
/// Most bytes of an operation around a move: branch, source, four numbers, rollup, opponent, and
/// the longest signature.
const AROUND_A_MOVE: usize = 32 + 1 + 21 + 4 * 10 + 20 + 21 + 98;

/// A move to send, already judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// What is sent.
    pub refutation: Refutation,
    /// The section it is about.
    pub section: Section,
    /// What layer 1 will make of it.
    pub ruling: Ruling,
    /// Bytes of the refutation.
    pub size: usize,
}

/// The move of `us` in a game of `stakers`, from our own states.
///
/// # Errors
/// [`Unplayable`] with the reason when there is none to send.
pub fn answer<R: Rules>(
    rules: &R,
    stakers: &Stakers,
    us: Player,
    game: &Game,
    truth: &mut dyn Truth,
) -> Result<Move, Unplayable> {
    if game.turn != us {
        return Err(Unplayable::NotOurTurn);
    }
    let (section, step) = match &game.state {
        GameState::Dissecting {
            dissection,
            default_number_of_sections,
        } => {
            let section = disputed(dissection, truth)?;
            let step = narrow(rules, game, &section, *default_number_of_sections, truth)?;
            (section, step)
        }
        GameState::FinalMove {
            agreed_start,
            refuted_stop,
        } => {
            let section = Section {
                start: *agreed_start,
                stop: *refuted_stop,
                ours: state_at(refuted_stop.tick, truth)?,
            };
            if agreed_start.state.is_none() {
                return Err(Unplayable::Indefensible {
                    distance: section.distance(),
                    flaw: Flaw::NoStart(agreed_start.tick),
                });
            }
            (section, Step::Proof(truth.prove(game, agreed_start.tick)?))
        }
    };
    let refutation = Refutation::Move {
        choice: section.start.tick,
        step,
    };
    let size = fit(&refutation)?;
    let ruling = judge(rules, stakers, game, &stakers.account(us), &refutation)?;
    check_ruling(&section, &ruling)?;
    Ok(Move {
        refutation,
        section,
        ruling,
        size,
    })
}

/// A proof of ours must win.
fn check_ruling(section: &Section, ruling: &Ruling) -> Result<(), Unplayable> {
    let (Ruling::Continues { flaw, .. } | Ruling::Ended { flaw, .. }) = ruling;
    let Some(flaw) = flaw.clone() else {
        return Ok(());
    };
    let distance = section.distance();
    let drawn = matches!(
        ruling,
        Ruling::Ended {
            result: GameResult::Draw,
            ..
        }
    );
    if drawn && distance != 1 && section.ours == section.stop.state {
        return Err(Unplayable::Indefensible { distance, flaw });
    }
    Err(Unplayable::Flawed(flaw))
}

/// Our state at one tick.
pub(super) fn state_at(tick: Tick, truth: &mut dyn Truth) -> Result<Option<StateHash>, Unplayable> {
    let states = truth.hashes(&[tick])?;
    states.first().copied().ok_or(Unplayable::NoState(tick))
}

/// The first section we dispute.
pub(super) fn disputed(
    dissection: &[DissectionChunk],
    truth: &mut dyn Truth,
) -> Result<Section, Unplayable> {
    Ok(choose(dissection, |chunk| state_at(chunk.tick, truth))??)
}

/// A dissection of the section, or the proof of its only tick.
fn narrow<R: Rules>(
    rules: &R,
    game: &Game,
    section: &Section,
    sections: u8,
    truth: &mut dyn Truth,
) -> Result<Step, Unplayable> {
    let shape = Shape {
        start: section.start.tick,
        stop: section.stop.tick,
        sections,
    };
    if section.distance() == 1 {
        return Ok(Step::Proof(truth.prove(game, shape.start)?));
    }
    let ticks = interior_ticks(rules.machine(), &shape);
    let states = truth.hashes(&ticks)?;
    if let Some(tick) = ticks.get(states.len()) {
        return Err(Unplayable::NoState(*tick));
    }
    let mut chunks = vec![section.start];
    chunks.extend(
        ticks
            .into_iter()
            .zip(states)
            .map(|(tick, state)| DissectionChunk { state, tick }),
    );
    chunks.push(DissectionChunk {
        state: section.ours,
        tick: section.stop.tick,
    });
    Ok(Step::Dissection(chunks))
}

/// Bytes of a move, if an operation has room for them.
///
/// # Errors
/// [`Unplayable::TooLarge`].
pub fn fit(refutation: &Refutation) -> Result<usize, Unplayable> {
    let limit = OPERATION_LIMIT.saturating_sub(AROUND_A_MOVE);
    let mut writer = Writer::new();
    let written = refutation.write(Form::Modern(Protocol::Ushuaia), &mut writer);
    // Only the opening of the older dialect has no such form; it is two bytes there.
    let size = written.map_or(2, |()| writer.into_bytes().len());
    if size > limit {
        return Err(Unplayable::TooLarge { size, limit });
    }
    Ok(size)
}
