//! Stakers who act by themselves at each block: an honest operator, liars, a freeloader.
//!
//! Promises: plain data, deterministic; they see the chain only and know the truth from whoever
//! supplies it, so nothing here depends on the tower. Refuses to know how games are played.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use super::chain::Chain;
use super::context::Context;
use super::rollup::Rollup;
use super::rules::cement;
use crate::crypto::blake2b_concat;
use crate::protocol::operation::Action;
use crate::protocol::{Commitment, CommitmentHash, Level, PublicKeyHash, RollupAddress, StateHash};

/// What really happens in a commitment period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// State at its end.
    pub state: StateHash,
    /// Ticks from the state at its start.
    pub ticks: u64,
}

/// Who knows the true states: a follower, a PVM, or a test.
pub trait Truth: Debug + Send {
    /// The period of `rollup` after inbox level `from`, up to and including `to`, on the chain as it
    /// is; none when it is not known (yet), and the actor then waits.
    fn period(
        &mut self,
        chain: &Chain,
        rollup: &RollupAddress,
        from: Level,
        to: Level,
    ) -> Option<Period>;
}

/// Where a lie begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct From {
    /// First inbox level lied about: every commitment that covers it is wrong.
    pub level: Level,
    /// Message of that level; it changes which wrong state is claimed.
    #[serde(default)]
    pub message: u32,
}

/// How a staker behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "strategy", rename_all = "snake_case")]
pub enum Strategy {
    /// Publishes what is true.
    Honest,
    /// Claims another state from a point on.
    WrongState(From),
    /// Claims the true state with this many ticks more or less.
    WrongTicks {
        /// Where the lie begins.
        from: From,
        /// Ticks added to the true number.
        by: i64,
    },
    /// Claims that nothing changed: the state before the period, from a point on.
    Frozen(From),
    /// Publishes what another account published, then lies from a point on.
    Freeloader {
        /// Index of the account copied.
        of: u32,
        /// Where it begins to differ; never, when absent.
        until: Option<From>,
    },
}

/// Whether a staker also cements what can be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cementing {
    /// No.
    #[default]
    Never,
    /// At each block where it is possible.
    Always,
}

/// A staker of one rollup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Index of its bootstrap account.
    pub account: u32,
    /// The rollup it stakes on.
    pub rollup: RollupAddress,
    /// How it behaves.
    pub strategy: Strategy,
    /// Whether it cements.
    #[serde(default)]
    pub cementing: Cementing,
    /// Blocks it lets pass after a level before it publishes for it; 2 is finality.
    #[serde(default = "finality")]
    pub patience: u32,
}

const fn finality() -> u32 {
    2
}

impl Actor {
    /// A staker that waits for finality and does not cement.
    #[must_use]
    pub const fn new(account: u32, rollup: RollupAddress, strategy: Strategy) -> Self {
        Self {
            account,
            rollup,
            strategy,
            cementing: Cementing::Never,
            patience: finality(),
        }
    }

    /// The same, cementing whatever can be cemented.
    #[must_use]
    pub const fn cementing(mut self) -> Self {
        self.cementing = Cementing::Always;
        self
    }

    /// What it does now, if anything. `me` is its address, `copied` that of the account it copies.
    pub fn decide(
        &self,
        chain: &Chain,
        truth: &mut dyn Truth,
        me: PublicKeyHash,
        copied: Option<PublicKeyHash>,
    ) -> Option<Action> {
        let context = chain.next_context().ok()?;
        let rollup = context.rollup(&self.rollup).ok()?;
        if self.cementing == Cementing::Always
            && let Some(action) = self.cementation(chain, &context, rollup)
        {
            return Some(action);
        }
        let tip = standing(rollup, &me)?;
        let level = context.next_commitment_level(tip.inbox_level)?;
        if chain.level() < level.plus(self.patience)? {
            return None;
        }
        let commitment = match self.strategy {
            Strategy::Freeloader { until, .. } => {
                let copied = claimed_by(rollup, &copied?, level)?;
                match until.filter(|from| level >= from.level) {
                    None => copied,
                    Some(from) => wrong_state(copied, from),
                }
            }
            _ => self.claim(chain, truth, &tip, level)?,
        };
        let commitment = Commitment {
            predecessor: tip.hash(),
            ..commitment
        };
        Some(Action::Publish {
            rollup: self.rollup,
            commitment,
        })
    }

    fn cementation(&self, chain: &Chain, context: &Context, rollup: &Rollup) -> Option<Action> {
        let level = context.next_commitment_level(rollup.last_cemented().ok()?.inbox_level)?;
        let ready = rollup
            .at_level(level)
            .iter()
            .find(|hash| cement::is_cementable(context, &self.rollup, hash))?;
        Some(Action::Cement {
            rollup: self.rollup,
            commitment: chain.speaks_before_oxford().then_some(*ready),
        })
    }

    fn claim(
        &self,
        chain: &Chain,
        truth: &mut dyn Truth,
        tip: &Commitment,
        level: Level,
    ) -> Option<Commitment> {
        let period = truth.period(chain, &self.rollup, tip.inbox_level, level)?;
        let truth = Commitment {
            compressed_state: period.state,
            inbox_level: level,
            predecessor: tip.hash(),
            number_of_ticks: period.ticks,
        };
        let lies = |from: From| level >= from.level;
        Some(match self.strategy {
            Strategy::WrongState(from) if lies(from) => wrong_state(truth, from),
            Strategy::WrongTicks { from, by } if lies(from) => Commitment {
                number_of_ticks: truth.number_of_ticks.saturating_add_signed(by).max(1),
                ..truth
            },
            Strategy::Frozen(from) if lies(from) => Commitment {
                compressed_state: tip.compressed_state,
                ..truth
            },
            _ => truth,
        })
    }
}

/// A wrong state that only depends on the truth and on where the lie begins.
fn wrong_state(truth: Commitment, from: From) -> Commitment {
    let wrong = blake2b_concat(&[
        b"wrong state",
        truth.compressed_state.as_bytes(),
        &from.level.get().to_be_bytes(),
        &from.message.to_be_bytes(),
    ]);
    Commitment {
        compressed_state: StateHash::from(wrong),
        ..truth
    }
}

/// The commitment `staker` stands on highest, or the last cemented one.
fn standing(rollup: &Rollup, staker: &PublicKeyHash) -> Option<Commitment> {
    let stake = rollup.index_of(staker).ok().and_then(|index| {
        let level = rollup.highest_stake.get(&index)?;
        rollup.stake_at(index, *level)
    });
    let hash: CommitmentHash = stake.unwrap_or(rollup.last_cemented);
    rollup.commitments.get(&hash).copied()
}

fn claimed_by(rollup: &Rollup, staker: &PublicKeyHash, level: Level) -> Option<Commitment> {
    let index = rollup.index_of(staker).ok()?;
    let hash = rollup.stake_at(index, level)?;
    rollup.commitments.get(&hash).copied()
}
