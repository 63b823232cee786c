//! Drills put together by chance out of the parts of the others.
//!
//! Promises: one drill for each seed, the same on every machine, as plain data; each of its parts is
//! one that a drill of the list has alone.

use super::{Drill, environment, lies, people};
use crate::crypto::blake2b_concat;
use crate::protocol::Level;

/// What their names begin with; the seed follows.
const PREFIX: &str = "composed_";
/// Opponents at most.
const OPPONENTS: u32 = 3;
/// Time for the slowest of them, one after the other.
const LAST: u16 = 400;

/// Numbers drawn from a seed.
struct Draw {
    seed: u64,
    nth: u64,
}

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.nth = self.nth.saturating_add(1);
        let parts: [&[u8]; 3] = [
            b"composed drill",
            &self.seed.to_be_bytes(),
            &self.nth.to_be_bytes(),
        ];
        let [a, b, c, d, ..] = blake2b_concat(&parts).0;
        (u32::from_be_bytes([a, b, c, d]) as usize)
            .checked_rem(bound)
            .unwrap_or(0)
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    /// One of the drills.
    fn of(&mut self, drills: Vec<Drill>) -> Option<Drill> {
        let at = self.below(drills.len());
        drills.into_iter().nth(at)
    }
}

/// The drill of a name: of the list, or `composed_` and a number.
#[must_use]
pub fn drill_named(name: &str) -> Option<Drill> {
    match name.strip_prefix(PREFIX) {
        Some(seed) => seed.parse().ok().and_then(composed),
        None => super::suite().into_iter().find(|drill| drill.name == name),
    }
}

/// Liars, what they do wrong while they play, how fast they are, and what befalls the chain.
fn composed(seed: u64) -> Option<Drill> {
    let mut draw = Draw { seed, nth: 0 };
    let mut parts = Vec::new();
    let mut drill = draw.of([lies::contents(), lies::inputs()].concat())?;
    parts.push(std::mem::take(&mut drill.about));
    let more = draw.below(OPPONENTS as usize);
    for _ in 0..more {
        let other = draw.of(lies::contents())?;
        drill.opponents.extend(other.opponents);
        parts.push(other.about);
    }
    for opponent in &mut drill.opponents {
        if draw.coin() {
            let paced = draw.of(people::timings())?;
            opponent.play.pace = paced.opponents.first()?.play.pace;
            parts.push(paced.about);
        }
        if draw.coin() {
            let slips = draw.of(lies::moves())?;
            opponent
                .play
                .slips
                .clone_from(&slips.opponents.first()?.play.slips);
            parts.push(slips.name.replace('_', " "));
        }
    }
    for happening in [environment::chains(), environment::carriage()] {
        if draw.coin() {
            let happening = draw.of(happening)?;
            drill.events.extend(happening.events);
            parts.push(happening.about);
        }
    }
    drill.name = format!("{PREFIX}{seed}");
    drill.about = parts.join("; ");
    drill.seed = seed;
    drill.last = Level::new(LAST);
    Some(drill)
}
