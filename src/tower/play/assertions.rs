//! Every hash we assert about a point of a period, and whether it is the one we asserted before.
//!
//! Promises: pure; the same point of the same period never gets two answers unnoticed.

use std::collections::BTreeMap;

use crate::journal::AssertionRow;
use crate::protocol::operation::{Action, Refutation, Step};
use crate::protocol::{BlockHash, CommitmentHash, RollupAddress, StateHash, Tick};

use super::brief::{Period, RollupBrief};

/// A point of a period: which messages (by the block of its end), after which commitment, which tick.
type Point = (RollupAddress, BlockHash, CommitmentHash, Tick);

/// Everything asserted so far, of the periods looked at.
#[derive(Debug, Default)]
pub(super) struct Assertions {
    known: BTreeMap<Point, Option<StateHash>>,
}

/// We would contradict ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "tick {tick} of the period up to level {level}: asserted {} before, {} now",
    text(*.before),
    text(*.now)
)]
pub(super) struct SelfContradiction {
    pub(super) tick: Tick,
    pub(super) level: crate::protocol::Level,
    pub(super) before: Option<StateHash>,
    pub(super) now: Option<StateHash>,
}

fn text(state: Option<StateHash>) -> String {
    state.map_or_else(|| "no state".into(), |state| state.to_string())
}

impl Assertions {
    /// Takes in what the journal holds.
    pub(super) fn learn(&mut self, rows: impl IntoIterator<Item = AssertionRow>) {
        for row in rows {
            self.known.entry(point(&row)).or_insert(row.state);
        }
    }

    /// The rows that are new, to be journalled before anything of them is sent.
    ///
    /// # Errors
    /// [`SelfContradiction`] when one differs from what was asserted before.
    pub(super) fn check(
        &self,
        rows: &[AssertionRow],
    ) -> Result<Vec<AssertionRow>, SelfContradiction> {
        let mut new = Vec::new();
        for row in rows {
            match self.known.get(&point(row)) {
                None => new.push(*row),
                Some(before) if *before == row.state => {}
                Some(before) => {
                    return Err(SelfContradiction {
                        tick: row.tick,
                        level: row.level,
                        before: *before,
                        now: row.state,
                    });
                }
            }
        }
        Ok(new)
    }
}

fn point(row: &AssertionRow) -> Point {
    (row.rollup, row.period, row.parent, row.tick)
}

/// The period an operation asserts something about, and what.
pub(super) fn asserted(
    brief: &RollupBrief,
    action: &Action,
    game_level: Option<crate::protocol::Level>,
) -> Option<(Period, Vec<AssertionRow>)> {
    match action {
        Action::Publish { rollup, commitment } => {
            let period = brief.period(commitment.inbox_level)?;
            let tick = Tick(u128::from(commitment.number_of_ticks));
            let state = Some(commitment.compressed_state);
            Some((period, vec![row(*rollup, &period, tick, state)]))
        }
        Action::Refute {
            rollup,
            refutation:
                Refutation::Move {
                    step: Step::Dissection(chunks),
                    ..
                },
            ..
        } => {
            let period = brief.period(game_level?)?;
            let rows = chunks
                .iter()
                .map(|chunk| row(*rollup, &period, chunk.tick, chunk.state));
            Some((period, rows.collect()))
        }
        _ => None,
    }
}

fn row(
    rollup: RollupAddress,
    period: &Period,
    tick: Tick,
    state: Option<StateHash>,
) -> AssertionRow {
    AssertionRow {
        rollup,
        period: period.own.block,
        parent: period.own.commitment.predecessor,
        level: period.own.commitment.inbox_level,
        tick,
        state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Level;

    fn at(tick: u128, state: Option<u8>) -> AssertionRow {
        AssertionRow {
            rollup: RollupAddress([1; 20]),
            period: BlockHash([2; 32]),
            parent: CommitmentHash([3; 32]),
            level: Level::new(9),
            tick: Tick(tick),
            state: state.map(|byte| StateHash([byte; 32])),
        }
    }

    #[test]
    fn one_point_has_one_answer() {
        let mut assertions = Assertions::default();
        let first = [at(0, Some(1)), at(5, Some(2)), at(9, None)];
        assert_eq!(assertions.check(&first).unwrap().len(), 3);
        assertions.learn(first);
        assert_eq!(assertions.check(&first).unwrap(), []);
        let more = [at(5, Some(2)), at(6, Some(7))];
        assert_eq!(assertions.check(&more).unwrap(), [at(6, Some(7))]);
        let error = assertions.check(&[at(5, None)]).unwrap_err();
        assert_eq!((error.before, error.now), (Some(StateHash([2; 32])), None));
        assert!(assertions.check(&[at(9, Some(1))]).is_err());
        // Other messages make another period.
        let elsewhere = AssertionRow {
            period: BlockHash([8; 32]),
            ..at(5, Some(9))
        };
        assert_eq!(assertions.check(&[elsewhere]).unwrap(), [elsewhere]);
    }
}
