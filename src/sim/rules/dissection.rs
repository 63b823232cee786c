//! When layer 1 accepts a dissection (`sc_rollup_dissection_chunk_repr.ml`, `sc_rollup_wasm.ml`).
//!
//! Promises: the default predicate and the WASM one, checks in the protocol's order.

use crate::protocol::operation::DissectionChunk;
use crate::protocol::{StateHash, Tick};
use crate::sim::errors::{Decimal, RuleError};

/// A claim about `tick`; no state means the machine is stopped there.
#[must_use]
pub(crate) const fn chunk(state: Option<StateHash>, tick: Tick) -> DissectionChunk {
    DissectionChunk { state, tick }
}

/// The section of `dissection` that starts at `choice`.
#[must_use]
pub(crate) fn section(
    dissection: &[DissectionChunk],
    choice: Tick,
) -> Option<(&DissectionChunk, &DissectionChunk)> {
    dissection
        .iter()
        .zip(dissection.iter().skip(1))
        .find(|(start, _)| start.tick == choice)
}

/// Accepts or refuses `proposed` as a dissection of the section from `start` to `stop`.
/// `snapshot` is the number of ticks per snapshot of the WASM PVM; none for other machines.
///
/// # Errors
/// The protocol's refusal.
pub(crate) fn check(
    snapshot: Option<u128>,
    sections: u8,
    start: &DissectionChunk,
    stop: &DissectionChunk,
    proposed: &[DissectionChunk],
) -> Result<(), RuleError> {
    let distance = stop.tick.0.abs_diff(start.tick.0);
    let given = proposed.len().saturating_sub(1) as u128;
    match snapshot {
        Some(snapshot) if distance > snapshot => {
            check_runs(snapshot, u128::from(sections), start, stop, proposed)
        }
        _ => {
            check_number(u128::from(sections), distance, given)?;
            check_shape(distance / 2, start, stop, proposed)
        }
    }
}

fn check_number(sections: u128, distance: u128, given: u128) -> Result<(), RuleError> {
    if distance <= 1 && distance < sections {
        return Err(RuleError::InvalidNumberOfSections {
            value: Decimal(given),
        });
    }
    equal_number(sections.min(distance), given)
}

fn equal_number(expected: u128, given: u128) -> Result<(), RuleError> {
    if given == expected {
        return Ok(());
    }
    Err(RuleError::NumberOfSectionsMismatch {
        expected: Decimal(expected),
        given: Decimal(given),
    })
}

/// More ticks than one `kernel_run`: sections are cut at snapshots.
fn check_runs(
    snapshot: u128,
    sections: u128,
    start: &DissectionChunk,
    stop: &DissectionChunk,
    proposed: &[DissectionChunk],
) -> Result<(), RuleError> {
    let distance = stop.tick.0.abs_diff(start.tick.0);
    let aligned = distance.is_multiple_of(snapshot);
    let whole_runs = if aligned {
        distance
    } else {
        (stop.tick.0 / snapshot)
            .saturating_mul(snapshot)
            .abs_diff(start.tick.0)
    };
    let longest = snapshot.max(whole_runs / 2);
    let expected = sections.min(distance.div_ceil(snapshot));
    equal_number(expected, proposed.len().saturating_sub(1) as u128)?;
    check_shape(longest, start, stop, proposed)?;
    let on_a_boundary = |chunk: &DissectionChunk| {
        chunk.tick == start.tick || chunk.tick == stop.tick || chunk.tick.0.is_multiple_of(snapshot)
    };
    if proposed.iter().all(on_a_boundary) {
        Ok(())
    } else {
        Err(RuleError::WasmInvalidDissectionDistribution {})
    }
}

fn check_shape(
    longest: u128,
    start: &DissectionChunk,
    stop: &DissectionChunk,
    proposed: &[DissectionChunk],
) -> Result<(), RuleError> {
    let (Some(first), Some(last)) = (proposed.first(), proposed.last()) else {
        return Err(RuleError::InvalidNumberOfSections { value: Decimal(0) });
    };
    if first.state.is_none() || first.state != start.state {
        return Err(RuleError::StartHashMismatch {
            expected: start.state,
            given: first.state,
        });
    }
    if last.state == stop.state {
        return Err(RuleError::StopHashMismatch { hash: stop.state });
    }
    if first.tick != start.tick || last.tick != stop.tick {
        return Err(RuleError::EdgeTicksMismatch {
            dissection_start_tick: Decimal(first.tick.0),
            dissection_stop_tick: Decimal(last.tick.0),
            chunk_start_tick: Decimal(start.tick.0),
            chunk_stop_tick: Decimal(stop.tick.0),
        });
    }
    for (one, next) in proposed.iter().zip(proposed.iter().skip(1)) {
        if one.state.is_none() && next.state.is_some() {
            return Err(RuleError::InvalidSuccessiveStatesShape {});
        }
        match next.tick.0.checked_sub(one.tick.0) {
            None | Some(0) => return Err(RuleError::TicksNotIncreasing {}),
            Some(length) if length > longest => {
                return Err(RuleError::InvalidDistribution {
                    section_max_size: Decimal(longest),
                });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(state: u8, tick: u128) -> DissectionChunk {
        super::chunk((state > 0).then_some(StateHash([state; 32])), Tick(tick))
    }

    fn even(states: u8, step: u128) -> Vec<DissectionChunk> {
        let mut chunks: Vec<_> = (0..states)
            .map(|n| chunk(n + 1, u128::from(n) * step))
            .collect();
        chunks.push(chunk(200, u128::from(states) * step));
        chunks
    }

    #[test]
    fn short_sections_are_cut_tick_by_tick() {
        let (start, stop) = (chunk(1, 0), chunk(99, 4));
        assert_eq!(check(None, 32, &start, &stop, &even(4, 1)), Ok(()));
        assert!(matches!(
            check(None, 32, &start, &stop, &even(3, 1)),
            Err(RuleError::NumberOfSectionsMismatch {
                expected: Decimal(4),
                given: Decimal(3)
            })
        ));
        assert!(matches!(
            check(None, 32, &start, &chunk(99, 1), &even(1, 1)),
            Err(RuleError::InvalidNumberOfSections { .. })
        ));
    }

    #[test]
    fn each_fault_has_its_error() {
        let (start, stop) = (chunk(1, 0), chunk(99, 64));
        let good = even(32, 2);
        assert_eq!(check(None, 32, &start, &stop, &good), Ok(()));
        let fault = |change: fn(&mut Vec<DissectionChunk>)| {
            let mut bad = good.clone();
            change(&mut bad);
            check(None, 32, &start, &stop, &bad).unwrap_err().id()
        };
        assert_eq!(
            fault(|d| d[0] = chunk(7, 0)),
            "smart_rollup_dissection_start_hash_mismatch"
        );
        assert_eq!(
            fault(|d| d[32] = chunk(99, 64)),
            "smart_rollup_dissection_stop_hash_mismatch"
        );
        assert_eq!(
            fault(|d| d[32] = chunk(98, 65)),
            "smart_rollup_dissection_edge_ticks_mismatch"
        );
        assert_eq!(
            fault(|d| d[5] = chunk(0, 10)),
            "smart_rollup_dissection_invalid_successive_states_shape"
        );
        assert_eq!(
            fault(|d| d[5].tick = Tick(8)),
            "smart_rollup_dissection_ticks_not_increasing"
        );
        assert_eq!(
            fault(|d| {
                for (at, chunk) in d.iter_mut().enumerate().take(32).skip(1) {
                    chunk.tick = Tick(32 + at as u128);
                }
            }),
            "smart_rollup_dissection_invalid_distribution"
        );
    }

    #[test]
    fn runs_are_cut_at_snapshots() {
        let (start, stop) = (chunk(1, 0), chunk(99, 40));
        assert_eq!(check(Some(10), 32, &start, &stop, &even(4, 10)), Ok(()));
        let mut off = even(4, 10);
        off[2].tick = Tick(19);
        assert_eq!(
            check(Some(10), 32, &start, &stop, &off).unwrap_err().id(),
            "smart_rollup_wasm_invalid_dissection_distribution"
        );
        // A machine stopped inside its fifth run: the last section holds the rest.
        let stop = chunk(99, 43);
        let mut stuck = even(4, 10);
        stuck[4].tick = Tick(40);
        stuck[4].state = Some(StateHash([5; 32]));
        stuck.push(chunk(0, 43));
        assert_eq!(check(Some(10), 32, &start, &stop, &stuck), Ok(()));
    }
}
