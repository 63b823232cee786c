//! What the chain accepts: the dissection predicate and the turns of a game.

use super::{Player, Refusal};
use crate::protocol::operation::DissectionChunk;
use crate::protocol::{Commitment, GameState, Protocol, Tick};

/// The machine whose states are dissected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// WASM: while more than one snapshot is disputed, interior ticks are snapshots.
    Wasm {
        /// Ticks from one snapshot to the next.
        ticks_per_snapshot: u64,
    },
    /// Any machine without snapshots.
    Plain,
}

impl Machine {
    /// The WASM machine under a protocol.
    #[must_use]
    pub fn of(protocol: Protocol) -> Self {
        Self::Wasm {
            ticks_per_snapshot: protocol.ticks_per_snapshot(),
        }
    }

    /// Longest section the chain accepts in a dissection of `interval`.
    #[must_use]
    pub fn longest_section(self, interval: &Dissectable) -> u128 {
        let distance = interval.distance();
        match self {
            Self::Wasm { ticks_per_snapshot } if distance > u128::from(ticks_per_snapshot) => {
                longest_of_snapshots(u128::from(ticks_per_snapshot), interval)
            }
            Self::Wasm { .. } | Self::Plain => distance / 2,
        }
    }
}

/// Half of the whole kernel runs, but at least one run.
fn longest_of_snapshots(snapshot: u128, interval: &Dissectable) -> u128 {
    let distance = interval.distance();
    let considered = if distance.is_multiple_of(snapshot) {
        distance
    } else {
        let runs = interval.stop.tick.0.checked_div(snapshot).unwrap_or(0);
        let last = runs.saturating_mul(snapshot);
        last.abs_diff(interval.start.tick.0)
    };
    snapshot.max(considered / 2)
}

/// An interval somebody disputes: agreed at its start, disputed at its stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dissectable {
    /// The agreed end.
    pub start: DissectionChunk,
    /// The disputed end.
    pub stop: DissectionChunk,
    /// Number of sections a long interval is cut into.
    pub sections: u8,
}

impl Dissectable {
    /// Ticks from start to stop, in either direction as the protocol counts.
    #[must_use]
    pub const fn distance(&self) -> u128 {
        self.stop.tick.0.abs_diff(self.start.tick.0)
    }
}

/// The dissection a game opens with. Ticks are relative to the parent commitment; the third chunk
/// lets the refuter claim that the machine runs further than the defender says.
#[must_use]
pub fn initial_dissection(parent: &Commitment, defender: &Commitment) -> [DissectionChunk; 3] {
    let end = u128::from(defender.number_of_ticks);
    [
        DissectionChunk {
            state: Some(parent.compressed_state),
            tick: Tick(0),
        },
        DissectionChunk {
            state: Some(defender.compressed_state),
            tick: Tick(end),
        },
        DissectionChunk {
            state: None,
            tick: Tick(end.saturating_add(1)),
        },
    ]
}

/// Whether the chain accepts `dissection` of the disputed interval.
///
/// # Errors
/// The protocol's [`Refusal`], in its order of checks.
pub fn check_dissection(
    machine: Machine,
    interval: &Dissectable,
    dissection: &[DissectionChunk],
) -> Result<(), Refusal> {
    let distance = interval.distance();
    match machine {
        Machine::Wasm { ticks_per_snapshot } if distance > u128::from(ticks_per_snapshot) => {
            check_snapshots(u128::from(ticks_per_snapshot), interval, dissection)
        }
        Machine::Wasm { .. } | Machine::Plain => {
            check_number(required_sections(interval.sections, distance), dissection)?;
            check_shape(distance / 2, interval, dissection)
        }
    }
}

/// Sections an interval of single ticks must be cut into; none when it is too short.
fn required_sections(sections: u8, distance: u128) -> Option<u128> {
    let sections = u128::from(sections);
    if sections <= distance {
        Some(sections)
    } else if distance > 1 {
        Some(distance)
    } else {
        None
    }
}

fn check_number(required: Option<u128>, dissection: &[DissectionChunk]) -> Result<(), Refusal> {
    let given = dissection.len().saturating_sub(1) as u128;
    match required {
        Some(expected) if expected == given => Ok(()),
        Some(expected) => Err(Refusal::SectionsMismatch { expected, given }),
        None => Err(Refusal::ImpossibleSections(given)),
    }
}

/// The predicate while several kernel runs are disputed.
fn check_snapshots(
    snapshot: u128,
    interval: &Dissectable,
    dissection: &[DissectionChunk],
) -> Result<(), Refusal> {
    let distance = interval.distance();
    // `snapshot` is below `distance` here, and a snapshot has at least one tick.
    let required = u128::from(interval.sections).min(distance.div_ceil(snapshot.max(1)));
    check_number(Some(required), dissection)?;
    check_shape(
        longest_of_snapshots(snapshot, interval),
        interval,
        dissection,
    )?;
    let placed = |chunk: &DissectionChunk| {
        chunk.tick.0.is_multiple_of(snapshot)
            || chunk.tick == interval.start.tick
            || chunk.tick == interval.stop.tick
    };
    if dissection.iter().all(placed) {
        Ok(())
    } else {
        Err(Refusal::OffSnapshot)
    }
}

/// The rules every machine shares.
fn check_shape(
    longest: u128,
    interval: &Dissectable,
    dissection: &[DissectionChunk],
) -> Result<(), Refusal> {
    let (Some(first), Some(last)) = (dissection.first(), dissection.last()) else {
        return Err(Refusal::ImpossibleSections(0));
    };
    if first.state != interval.start.state || first.state.is_none() {
        return Err(Refusal::StartHash {
            expected: interval.start.state,
            given: first.state,
        });
    }
    if last.state == interval.stop.state {
        return Err(Refusal::StopHash(interval.stop.state));
    }
    if first.tick != interval.start.tick || last.tick != interval.stop.tick {
        return Err(Refusal::EdgeTicks {
            start: first.tick,
            stop: last.tick,
            chunk_start: interval.start.tick,
            chunk_stop: interval.stop.tick,
        });
    }
    for (here, next) in dissection.iter().zip(dissection.iter().skip(1)) {
        if here.state.is_none() && next.state.is_some() {
            return Err(Refusal::Unblocked);
        }
        if here.tick >= next.tick {
            return Err(Refusal::TicksNotIncreasing);
        }
        if next.tick.0.abs_diff(here.tick.0) > longest {
            return Err(Refusal::SectionTooLong(longest));
        }
    }
    Ok(())
}

/// A move, with what the caller found out about its proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply<'a> {
    /// A narrower dissection.
    Dissection(&'a [DissectionChunk]),
    /// A proof of one tick.
    Proof,
}

/// What becomes of the game after an accepted move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, the other player to move.
    Continues(GameState),
    /// This player lost.
    Lost(Player),
    /// Both lost.
    Draw,
}

/// What a proof shows, asked only when the rules need it: whether it starts in `start`, verifies,
/// and ends in a state that differs from `stop` (first final move) or equals it (second one).
pub type ProofShows<'a> =
    dyn FnMut(&DissectionChunk, &DissectionChunk, FinalMove) -> Result<bool, Refusal> + 'a;

/// Which of the two proofs a final move is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinalMove {
    /// Refutes the claim at the end of the section.
    First,
    /// Confirms the claim that a wrong proof attacked.
    Second,
}

/// One move of `player`, whose turn it must be, attacking the section that starts at `choice`.
///
/// # Errors
/// The protocol's [`Refusal`]; the game is then unchanged.
pub fn play(
    machine: Machine,
    state: &GameState,
    player: Player,
    choice: Tick,
    reply: &Reply<'_>,
    proof_shows: &mut ProofShows<'_>,
) -> Result<Verdict, Refusal> {
    match (state, reply) {
        (
            GameState::Dissecting {
                dissection,
                default_number_of_sections,
            },
            Reply::Dissection(next),
        ) => {
            let (start, stop) = section_at(dissection, choice)?;
            check_dissection(
                machine,
                &Dissectable {
                    start,
                    stop,
                    sections: *default_number_of_sections,
                },
                next,
            )?;
            Ok(Verdict::Continues(GameState::Dissecting {
                dissection: next.to_vec(),
                default_number_of_sections: *default_number_of_sections,
            }))
        }
        (GameState::FinalMove { .. }, Reply::Dissection(_)) => {
            Err(Refusal::DissectingDuringFinalMove)
        }
        (GameState::Dissecting { dissection, .. }, Reply::Proof) => {
            let (start, stop) = section_at(dissection, choice)?;
            let shown = proof_shows(&start, &stop, FinalMove::First)?;
            if shown && stop.tick.0.abs_diff(start.tick.0) == 1 {
                return Ok(Verdict::Lost(player.opponent()));
            }
            Ok(Verdict::Continues(GameState::FinalMove {
                agreed_start: start,
                refuted_stop: stop,
            }))
        }
        (
            GameState::FinalMove {
                agreed_start,
                refuted_stop,
            },
            Reply::Proof,
        ) => {
            let shown = proof_shows(agreed_start, refuted_stop, FinalMove::Second)?;
            Ok(if shown {
                Verdict::Lost(player.opponent())
            } else {
                Verdict::Draw
            })
        }
    }
}

/// The first chunk at `choice` that has a successor, with that successor.
///
/// # Errors
/// [`Refusal::ChoiceNotFound`].
pub fn section_at(
    dissection: &[DissectionChunk],
    choice: Tick,
) -> Result<(DissectionChunk, DissectionChunk), Refusal> {
    dissection
        .iter()
        .zip(dissection.iter().skip(1))
        .find(|(start, _)| start.tick == choice)
        .map(|(start, stop)| (*start, *stop))
        .ok_or(Refusal::ChoiceNotFound(choice))
}
