//! The obvious way to choose a section and to cut it: sections as equal as the protocol lets them be.
//!
//! Promises: an accepted shape whatever the states are. Written for players inside the simulation,
//! apart from what a tower plays with, which cuts differently.

use crate::protocol::operation::DissectionChunk;
use crate::protocol::{StateHash, Tick};

/// The section to attack: the last chunk where both sides agree, and the next one.
///
/// None when nothing is disputed.
pub(super) fn disputed(
    dissection: &[DissectionChunk],
    mut mine: impl FnMut(u128) -> Option<StateHash>,
) -> Option<(DissectionChunk, DissectionChunk)> {
    let mut agreed = *dissection.first()?;
    for chunk in dissection.iter().skip(1) {
        if chunk.state != mine(chunk.tick.0) {
            return Some((agreed, *chunk));
        }
        agreed = *chunk;
    }
    None
}

/// Ticks that cut the section from `start` to `stop`, ends included. `run` is the number of ticks of
/// a kernel run: longer sections are cut between runs only.
pub(super) fn cuts(start: u128, stop: u128, sections: u8, run: u128) -> Vec<u128> {
    let distance = stop.saturating_sub(start);
    let unit = if distance > run { run.max(1) } else { 1 };
    let units = distance.div_ceil(unit);
    let sections = u128::from(sections).min(units).max(1);
    let inner = (1..sections).map(|nth| {
        let whole = nth.saturating_mul(units) / sections;
        start.saturating_add(whole.saturating_mul(unit))
    });
    std::iter::once(start)
        .chain(inner)
        .chain(std::iter::once(stop))
        .collect()
}

/// The dissection of a section by the states that `mine` tells.
pub(super) fn dissection(
    start: &DissectionChunk,
    stop: u128,
    sections: u8,
    run: u128,
    mut mine: impl FnMut(u128) -> Option<StateHash>,
) -> Vec<DissectionChunk> {
    let mut stopped = false;
    cuts(start.tick.0, stop, sections, run)
        .into_iter()
        .map(|tick| {
            let state = if tick == start.tick.0 {
                start.state
            } else if stopped {
                None
            } else {
                mine(tick)
            };
            stopped = state.is_none();
            DissectionChunk {
                state,
                tick: Tick(tick),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sim::rules::dissection::check;

    fn state(tick: u128) -> StateHash {
        StateHash::from(crate::crypto::blake2b(&tick.to_be_bytes()))
    }

    proptest! {
        /// What is cut this way is a dissection, whatever the section.
        #[test]
        fn every_cut_is_accepted(
            runs in 0_u128..200, rest in 0_u128..50, run in 40_u128..50, stops in any::<bool>(),
        ) {
            let stop = runs * run + rest;
            prop_assume!(stop > 1);
            let start = DissectionChunk { state: Some(state(0)), tick: Tick(0) };
            let disputed = DissectionChunk { state: Some(state(1)), tick: Tick(stop) };
            let mine = |tick: u128| (!stops || tick < stop / 2).then(|| state(tick + 7));
            let proposed = dissection(&start, stop, 32, run, mine);
            prop_assert_eq!(check(Some(run), 32, &start, &disputed, &proposed), Ok(()));
        }
    }
}
