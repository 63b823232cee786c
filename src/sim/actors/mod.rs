//! Stakers who act by themselves at each block: honest operators, liars, freeloaders, players.
//!
//! Promises: plain data, deterministic; they see the chain only and know the truth from whoever
//! supplies it, so nothing here depends on the tower. `content` says what they claim, `play` how
//! they play games over it, `slip` what they do wrong on purpose while playing.

mod content;
mod dissect;
mod play;
mod slip;

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use super::chain::Chain;
use super::context::Context;
use super::rollup::Rollup;
use super::rules::cement;
use super::trace::{Meddling, States};
use crate::protocol::operation::Action;
use crate::protocol::{Commitment, CommitmentHash, Level, PublicKeyHash, RollupAddress, StateHash};

pub use play::{Opens, Pace, Play, Timeouts};
pub use slip::{Slip, SlipKind};

use content::Claimant;

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

    /// The same period as a machine with other inputs has it.
    fn other_period(
        &mut self,
        _chain: &Chain,
        _rollup: &RollupAddress,
        _from: Level,
        _to: Level,
        _meddling: &Meddling,
    ) -> Option<Period> {
        None
    }

    /// Every state of the period; none when only its ends are known, and nobody can play over it.
    fn trace(
        &mut self,
        _chain: &Chain,
        _rollup: &RollupAddress,
        _from: Level,
        _to: Level,
        _meddling: Option<&Meddling>,
    ) -> Option<&mut dyn States> {
        None
    }
}

/// Where a lie begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct From {
    /// First inbox level lied about: every commitment that covers it is wrong.
    pub level: Level,
    /// Message of that level.
    #[serde(default)]
    pub message: u32,
    /// Ticks after the one that reads that message: the first tick whose state is wrong.
    #[serde(default)]
    pub tick: u64,
}

impl From {
    /// A lie from the first tick of `level` on.
    #[must_use]
    pub const fn level(level: Level) -> Self {
        Self::place(level, 0, 0)
    }

    /// A lie from a tick after the reading of a message on.
    #[must_use]
    pub const fn place(level: Level, message: u32, tick: u64) -> Self {
        Self {
            level,
            message,
            tick,
        }
    }
}

/// What a staker claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "strategy", rename_all = "snake_case")]
pub enum Strategy {
    /// What is true.
    Honest,
    /// True states up to a point, other states from there on.
    WrongState(From),
    /// The true state with this many ticks more or less.
    WrongTicks {
        /// Where the lie begins.
        from: From,
        /// Ticks added to the true number.
        by: i64,
    },
    /// Nothing changes from a point on: the state before the period.
    Frozen(From),
    /// States of zeros from a point on.
    Zeroed(From),
    /// States drawn at random from a point on.
    Random(From),
    /// The machine stops at a point.
    Stuck(From),
    /// What another account published, then wrong states from a point on.
    Freeloader {
        /// Index of the account copied.
        of: u32,
        /// Where it begins to differ; never, when absent.
        until: Option<From>,
    },
    /// What the machine gives with other inputs.
    OtherInputs(Meddling),
    /// Wrong states for the period of a point, and then what is true on top of what others claim:
    /// one staker on two branches.
    Straddles(From),
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

/// Which periods a staker publishes for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Publishing {
    /// Every one.
    #[default]
    Always,
    /// Those for which somebody else claims otherwise.
    AgainstOthers,
    /// None.
    Never,
}

/// A staker of one rollup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Index of its bootstrap account.
    pub account: u32,
    /// The rollup it stakes on.
    pub rollup: RollupAddress,
    /// What it claims.
    pub strategy: Strategy,
    /// Whether it cements.
    #[serde(default)]
    pub cementing: Cementing,
    /// What it publishes.
    #[serde(default)]
    pub publishing: Publishing,
    /// Blocks it lets pass after a level before it publishes for it; 2 is finality.
    #[serde(default = "finality")]
    pub patience: u32,
    /// How it plays; it does not, when absent.
    #[serde(default)]
    pub play: Option<Play>,
    /// Its fees, in usual fees: more than others have means to come before them in a block.
    #[serde(default = "usual")]
    pub fees: u32,
}

const fn finality() -> u32 {
    2
}

const fn usual() -> u32 {
    1
}

/// What an actor remembers of a game it plays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Moves sent.
    moves: u32,
    /// Wrong moves made on purpose since the last right one.
    slipped: u32,
    /// Level of the game's opening.
    start: Option<Level>,
}

/// What an actor remembers, by opponent.
pub(crate) type Memories = BTreeMap<PublicKeyHash, Memory>;

/// All an actor looks at when it decides.
pub(crate) struct View<'a> {
    /// The chain.
    pub chain: &'a Chain,
    /// Who knows the states.
    pub truth: &'a mut dyn Truth,
    /// Its own address.
    pub me: PublicKeyHash,
    /// Address of the account it copies.
    pub copied: Option<PublicKeyHash>,
}

impl Actor {
    /// A staker that waits for finality, does not cement and does not play.
    #[must_use]
    pub const fn new(account: u32, rollup: RollupAddress, strategy: Strategy) -> Self {
        Self {
            account,
            rollup,
            strategy,
            cementing: Cementing::Never,
            publishing: Publishing::Always,
            patience: finality(),
            play: None,
            fees: usual(),
        }
    }

    /// The same, cementing whatever can be cemented.
    #[must_use]
    pub const fn cementing(mut self) -> Self {
        self.cementing = Cementing::Always;
        self
    }

    /// The same, publishing less.
    #[must_use]
    pub const fn publishing(mut self, publishing: Publishing) -> Self {
        self.publishing = publishing;
        self
    }

    /// The same, playing.
    #[must_use]
    pub fn playing(mut self, play: Play) -> Self {
        self.play = Some(play);
        self
    }

    /// The same, with fees that come first in a block.
    #[must_use]
    pub const fn with_priority(mut self) -> Self {
        self.fees = 20;
        self
    }

    /// What it does now: a batch, empty when it does nothing.
    pub(crate) fn decide(&self, view: &mut View<'_>, memories: &mut Memories) -> Vec<Action> {
        let Ok(context) = view.chain.next_context() else {
            return Vec::new();
        };
        let Ok(rollup) = context.rollup(&self.rollup) else {
            return Vec::new();
        };
        // Who has lost its bond in a game does not come back.
        let has_played = memories.values().any(|memory| memory.start.is_some());
        if has_played && rollup.index_of(&view.me).is_err() {
            return Vec::new();
        }
        let claimant = Claimant {
            rollup: self.rollup,
            strategy: &self.strategy,
        };
        if let Some(play) = &self.play {
            let moves = play.decide(&claimant, view, &context, memories);
            if !moves.is_empty() {
                return moves;
            }
        }
        if self.cementing == Cementing::Always
            && let Some(action) = self.cementation(view.chain, &context, rollup)
        {
            return vec![action];
        }
        let commitment = self.publication(&claimant, view, &context, rollup);
        commitment
            .map(|commitment| Action::Publish {
                rollup: self.rollup,
                commitment,
            })
            .into_iter()
            .collect()
    }

    /// The next commitment that it wants to publish now.
    fn publication(
        &self,
        claimant: &Claimant<'_>,
        view: &mut View<'_>,
        context: &Context,
        rollup: &Rollup,
    ) -> Option<Commitment> {
        if self.publishing == Publishing::Never {
            return None;
        }
        let mut tip = standing(rollup, &view.me)?;
        loop {
            let level = context.next_commitment_level(tip.inbox_level)?;
            if view.chain.level() < level.plus(self.patience)? {
                return None;
            }
            let published = rollup.at_level(level);
            if self.publishing == Publishing::AgainstOthers && published.is_empty() {
                return None;
            }
            let claim = claimant.claim(view, rollup, &tip, level)?;
            // What others claim likewise needs no stake of one's own.
            let is_agreed = published.iter().all(|hash| *hash == claim.hash());
            if self.publishing == Publishing::Always || !is_agreed {
                return Some(claim);
            }
            tip = claim;
        }
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
