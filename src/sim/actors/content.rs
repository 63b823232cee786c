//! What an actor claims: commitments, and the states in between that go with them.
//!
//! Promises: the states of a liar are the true ones before its lie begins and differ from there on,
//! and end in the state it published; so a game over them ends at the first wrong tick.

use super::{From, Period, Strategy, View};
use crate::crypto::blake2b_concat;
use crate::protocol::{Commitment, Level, PublicKeyHash, RollupAddress, StateHash};
use crate::sim::rollup::Rollup;
use crate::sim::trace::{Meddling, States};

/// A staker as the author of its claims.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claimant<'a> {
    /// The rollup.
    pub rollup: RollupAddress,
    /// What it claims.
    pub strategy: &'a Strategy,
}

/// How wrong states are made from true ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// Nothing is wrong.
    No,
    /// Another state, fixed by the true one and the place of the lie.
    Other(From),
    /// Always this state.
    Always(StateHash),
    /// One state per tick.
    PerTick(From),
    /// None: the machine has stopped.
    Stopped,
}

/// The states a staker stands for.
pub(super) struct Told<'a> {
    /// The machine's states; with other inputs, where that is the lie.
    pub trace: &'a mut dyn States,
    /// First wrong tick.
    from: u128,
    wrong: Wrong,
    /// Ticks that the commitment has.
    claimed: u128,
}

impl Told<'_> {
    /// The state at a tick as this staker tells it.
    pub(super) fn state(&mut self, tick: u128) -> Option<StateHash> {
        if tick > self.claimed {
            return None;
        }
        let length = self.trace.length();
        let state = self.trace.state(tick.min(length))?;
        if tick < self.from {
            return Some(state);
        }
        match self.wrong {
            Wrong::No => Some(state),
            Wrong::Other(from) => Some(other_state(state, from)),
            Wrong::Always(state) => Some(state),
            Wrong::PerTick(from) => Some(state_of_tick(from, tick)),
            Wrong::Stopped => None,
        }
    }

    /// Ticks that the commitment has.
    pub(super) const fn claimed(&self) -> u128 {
        self.claimed
    }
}

/// A wrong state that only depends on the truth and on where the lie begins.
fn other_state(truth: StateHash, from: From) -> StateHash {
    StateHash::from(blake2b_concat(&[
        b"wrong state",
        truth.as_bytes(),
        &from.level.get().to_be_bytes(),
        &from.message.to_be_bytes(),
        &from.tick.to_be_bytes(),
    ]))
}

fn state_of_tick(from: From, tick: u128) -> StateHash {
    StateHash::from(blake2b_concat(&[
        b"random state",
        &from.level.get().to_be_bytes(),
        &tick.to_be_bytes(),
    ]))
}

impl Claimant<'_> {
    fn meddling(&self) -> Option<&Meddling> {
        match self.strategy {
            Strategy::OtherInputs(meddling) => Some(meddling),
            _ => None,
        }
    }

    /// Where this staker begins to lie, if that is a place in the true states.
    fn lie(&self) -> Option<From> {
        match self.strategy {
            Strategy::Honest | Strategy::OtherInputs(_) => None,
            Strategy::WrongState(from)
            | Strategy::WrongTicks { from, .. }
            | Strategy::Frozen(from)
            | Strategy::Zeroed(from)
            | Strategy::Random(from)
            | Strategy::Stuck(from)
            | Strategy::Straddles(from) => Some(*from),
            Strategy::Freeloader { until, .. } => *until,
        }
    }

    fn period(&self, view: &mut View<'_>, from: Level, to: Level) -> Option<Period> {
        match self.meddling() {
            None => view.truth.period(view.chain, &self.rollup, from, to),
            Some(meddling) => view
                .truth
                .other_period(view.chain, &self.rollup, from, to, meddling),
        }
    }

    /// The commitment for `level` on top of `tip`.
    pub(super) fn claim(
        &self,
        view: &mut View<'_>,
        rollup: &Rollup,
        tip: &Commitment,
        level: Level,
    ) -> Option<Commitment> {
        if let Strategy::Freeloader { until, .. } = self.strategy {
            let copied = claimed_by(rollup, &view.copied?, level)?;
            let lie = until.filter(|from| level >= from.level);
            let state = lie.map_or(copied.compressed_state, |from| {
                other_state(copied.compressed_state, from)
            });
            return Some(Commitment {
                predecessor: tip.hash(),
                compressed_state: state,
                ..copied
            });
        }
        let period = self.period(view, tip.inbox_level, level)?;
        if let Strategy::Straddles(from) = self.strategy
            && from.level <= tip.inbox_level
        {
            let others = rollup.at_level(tip.inbox_level).iter();
            let mut others = others.filter(|hash| **hash != tip.hash());
            return Some(Commitment {
                compressed_state: period.state,
                inbox_level: level,
                predecessor: *others.next()?,
                number_of_ticks: period.ticks,
            });
        }
        let truth = Commitment {
            compressed_state: period.state,
            inbox_level: level,
            predecessor: tip.hash(),
            number_of_ticks: period.ticks,
        };
        let Some(from) = self.lie().filter(|from| level >= from.level) else {
            return Some(truth);
        };
        let with_state = |compressed_state| Commitment {
            compressed_state,
            ..truth
        };
        Some(match self.strategy {
            Strategy::WrongState(from) | Strategy::Straddles(from) => {
                with_state(other_state(period.state, *from))
            }
            Strategy::WrongTicks { by, .. } => Commitment {
                number_of_ticks: truth.number_of_ticks.saturating_add_signed(*by).max(1),
                ..truth
            },
            Strategy::Frozen(_) => with_state(tip.compressed_state),
            Strategy::Zeroed(_) => with_state(StateHash([0; 32])),
            Strategy::Random(_) => with_state(state_of_tick(from, period.ticks.into())),
            Strategy::Stuck(_) => {
                let told = self.told(view, tip, level)?;
                let last = told.claimed();
                Commitment {
                    compressed_state: told.trace.state(last)?,
                    number_of_ticks: u64::try_from(last).ok()?,
                    ..truth
                }
            }
            _ => truth,
        })
    }

    /// The states that go with this staker's commitment for `level` on top of `tip`.
    pub(super) fn told<'a>(
        &self,
        view: &'a mut View<'_>,
        tip: &Commitment,
        level: Level,
    ) -> Option<Told<'a>> {
        let (chain, start) = (view.chain, tip.inbox_level);
        let meddling = self.meddling();
        let trace = view
            .truth
            .trace(chain, &self.rollup, start, level, meddling)?;
        let length = trace.length();
        let Some(lie) = self.lie().filter(|lie| lie.level <= level) else {
            return Some(Told {
                trace,
                from: 0,
                wrong: Wrong::No,
                claimed: length,
            });
        };
        let begins = match trace.reading(lie.level, lie.message) {
            Some(read) => read.saturating_add(lie.tick.into()).min(length),
            // The lie began before this period.
            None => 1,
        };
        let (wrong, claimed) = match self.strategy {
            Strategy::Frozen(_) => (Wrong::Always(tip.compressed_state), length),
            Strategy::Zeroed(_) => (Wrong::Always(StateHash([0; 32])), length),
            Strategy::Random(from) => (Wrong::PerTick(*from), length),
            Strategy::Stuck(_) => (Wrong::Stopped, begins.saturating_sub(1).max(1)),
            Strategy::WrongTicks { by, .. } => {
                let ticks = u64::try_from(length).ok()?;
                let ticks = ticks.saturating_add_signed(*by).max(1);
                (Wrong::No, ticks.into())
            }
            _ => (Wrong::Other(lie), length),
        };
        Some(Told {
            trace,
            from: begins,
            wrong,
            claimed,
        })
    }
}

fn claimed_by(rollup: &Rollup, staker: &PublicKeyHash, level: Level) -> Option<Commitment> {
    let index = rollup.index_of(staker).ok()?;
    let hash = rollup.stake_at(index, level)?;
    rollup.commitments.get(&hash).copied()
}
