//! The shape of an honest dissection: the reference player's, tick for tick.
//!
//! Layer 1 accepts it for four sections or more; it requires 32. With fewer, some lengths divide so
//! badly that the last section is longer than half.

use super::Machine;
use crate::protocol::Tick;

/// What is to be dissected: from an agreed tick to our own stop tick, into at most so many sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The agreed tick.
    pub start: Tick,
    /// The tick of our version of the disputed end.
    pub stop: Tick,
    /// Sections of a long interval.
    pub sections: u8,
}

/// The ticks strictly between start and stop at which our dissection shows a state, in order.
/// Empty when the interval is one tick long: then a proof is due.
#[must_use]
pub fn interior_ticks(machine: Machine, shape: &Shape) -> Vec<Tick> {
    let distance = shape.stop.0.saturating_sub(shape.start.0);
    match machine {
        Machine::Wasm { ticks_per_snapshot } if distance > u128::from(ticks_per_snapshot) => {
            on_snapshots(u128::from(ticks_per_snapshot), shape)
        }
        Machine::Wasm { .. } | Machine::Plain => evenly(distance, shape),
    }
}

/// Sections of equal length, the surplus at the end; where that length would be one tick the first
/// section takes the surplus, lest the last one be too long.
fn evenly(distance: u128, shape: &Shape) -> Vec<Tick> {
    let sections = u128::from(shape.sections).min(distance);
    let (Some(length), Some(rest)) = (
        distance.checked_div(sections),
        distance.checked_rem(sections),
    ) else {
        return Vec::new();
    };
    let first = if length == 1 && rest != 0 {
        rest
    } else {
        length
    };
    (0..sections.saturating_sub(1))
        .map(|index| {
            Tick(
                shape
                    .start
                    .0
                    .saturating_add(first)
                    .saturating_add(length.saturating_mul(index)),
            )
        })
        .collect()
}

/// Sections of whole kernel runs, the longer ones last; a stop inside a run keeps that run's
/// beginning as its last interior tick.
fn on_snapshots(snapshot: u128, shape: &Shape) -> Vec<Tick> {
    let runs_end = shape
        .stop
        .0
        .checked_div(snapshot)
        .unwrap_or(0)
        .saturating_mul(snapshot);
    let surplus = runs_end != shape.stop.0;
    let available = u128::from(shape.sections).saturating_sub(u128::from(surplus));
    let mut left = runs_end.saturating_sub(shape.start.0);
    let mut sections = available.min(left.checked_div(snapshot).unwrap_or(0));
    let mut ticks = Vec::new();
    let mut tick = shape.start.0;
    while sections > 1 {
        let runs = left
            .checked_div(snapshot.saturating_mul(sections))
            .unwrap_or(0);
        let length = runs.saturating_mul(snapshot);
        tick = tick.saturating_add(length);
        left = left.saturating_sub(length);
        sections = sections.saturating_sub(1);
        ticks.push(Tick(tick));
    }
    if surplus {
        ticks.push(Tick(runs_end));
    }
    ticks
}
