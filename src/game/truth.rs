//! The seam between the game and the machine: our own states, and why a move cannot be made.

use super::judge::NoRuling;
use super::proof::{Beyond, Flaw};
use super::{Refusal, Unchoosable};
use crate::inbox::InboxProofError;
use crate::protocol::operation::Proof;
use crate::protocol::{Game, Level, StateHash, Tick};
use crate::pvm::{NotJudgeable, PageId, PvmError, RevealError, RunError};

/// Our states at the ticks of a disputed period. Ticks are relative to the parent commitment.
pub trait Truth {
    /// The state hashes at these ticks, given in ascending order; none where the machine has no
    /// state: it waits for a message beyond the period.
    ///
    /// # Errors
    /// [`Unplayable`] when they cannot be had.
    fn hashes(&mut self, ticks: &[Tick]) -> Result<Vec<Option<StateHash>>, Unplayable>;

    /// Proves the tick that the state at `tick` takes, with the proof of what it is given,
    /// relative to the snapshots of `game`.
    ///
    /// # Errors
    /// [`Unplayable`] when it cannot be proved.
    fn prove(&mut self, game: &Game, tick: Tick) -> Result<Proof, Unplayable>;
}

/// Why we have no move to send.
#[derive(Debug, thiserror::Error)]
pub enum Unplayable {
    /// The opponent is to move.
    #[error("it is not our turn")]
    NotOurTurn,
    /// The claims on the table leave us nothing to attack.
    #[error(transparent)]
    Choice(#[from] Unchoosable),
    /// The machine could not be run.
    #[error(transparent)]
    Machine(#[from] RunError),
    /// The states given were not as many as asked for, or there is none to start a proof from.
    #[error("our machine has no state at tick {0}")]
    NoState(Tick),
    /// The step could not be proved.
    #[error("the step at tick {tick} could not be proved: {reason}")]
    Step {
        /// Where it starts.
        tick: Tick,
        /// Why.
        reason: String,
    },
    /// The inbox proof cannot be made.
    #[error(transparent)]
    Inbox(#[from] InboxProofError),
    /// The messages of a level are not kept here.
    #[error("the messages of level {0} are not at hand")]
    MessagesMissing(Level),
    /// Revealed data cannot be had.
    #[error(transparent)]
    Reveal(#[from] RevealError),
    /// The tick reads a page of the data-availability layer.
    #[error(
        "the disputed tick reads page {} of slot {} published at level {}: this program cannot prove pages",
        .0.page_index, .0.slot_index, .0.published_level
    )]
    DalPage(PageId),
    /// A wrong proof left a claim of ours that no proof can confirm, true as it is: of a section of
    /// several ticks (bakers' validation keeps such proofs out of blocks, the protocol does not),
    /// or of one that starts where we said that the machine is stuck (nothing keeps those out).
    /// Playing draws, and so does the clock. Only the opponent's losing its stake elsewhere helps.
    #[error("a section of {distance} ticks is to be confirmed, which no proof can: {flaw}")]
    Indefensible {
        /// Ticks of the section.
        distance: u128,
        /// What our judge says of our proof.
        flaw: Flaw,
    },
    /// No operation has room for the move.
    #[error("the move has {size} bytes, an operation has room for {limit}")]
    TooLarge {
        /// Its bytes.
        size: usize,
        /// Bytes there are.
        limit: usize,
    },
    /// Our own judge refuses our move.
    #[error("layer 1 would refuse our move: {0}")]
    Refused(#[from] Refusal),
    /// Our own judge says that our proof does not win.
    #[error("our proof would not win: {0}")]
    Flawed(Flaw),
    /// Our own judge cannot rule on our move.
    #[error(transparent)]
    Beyond(#[from] Beyond),
}

/// What should be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// Try again: data may come, a run may be repeated.
    Transient,
    /// Nothing helps.
    Permanent,
    /// We and the chain, or we and ourselves, contradict each other: somebody must look.
    Disagreement,
}

/// What [`Unplayable::kind`] can say.
pub const OBSTACLES: &[&str] = &[
    "claims",
    "machine",
    "messages",
    "reveal",
    "page",
    "indefensible",
    "too_large",
    "judge",
];

impl Unplayable {
    /// Its kind, one of [`OBSTACLES`].
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotOurTurn | Self::Choice(_) => "claims",
            Self::Machine(RunError::NotJudgeable(NotJudgeable::Reveal(_))) | Self::Reveal(_) => {
                "reveal"
            }
            Self::Machine(_) | Self::NoState(_) | Self::Step { .. } => "machine",
            Self::Inbox(_) | Self::MessagesMissing(_) => "messages",
            Self::DalPage(_) | Self::Beyond(_) => "page",
            Self::Indefensible { .. } => "indefensible",
            Self::TooLarge { .. } => "too_large",
            Self::Refused(_) | Self::Flawed(_) => "judge",
        }
    }

    /// What should be done about it.
    #[must_use]
    pub const fn obstacle(&self) -> Obstacle {
        match self {
            Self::NotOurTurn
            | Self::Machine(_)
            | Self::MessagesMissing(_)
            | Self::Reveal(_)
            | Self::Inbox(InboxProofError::CellMissing(_))
            | Self::Beyond(Beyond::DalParameters(_)) => Obstacle::Transient,
            Self::DalPage(_)
            | Self::Indefensible { .. }
            | Self::TooLarge { .. }
            | Self::Beyond(Beyond::DalPage(_)) => Obstacle::Permanent,
            Self::Choice(_)
            | Self::NoState(_)
            | Self::Step { .. }
            | Self::Inbox(_)
            | Self::Refused(_)
            | Self::Flawed(_) => Obstacle::Disagreement,
        }
    }
}

impl From<PvmError> for Unplayable {
    fn from(error: PvmError) -> Self {
        Self::Machine(error.into())
    }
}

impl From<NoRuling> for Unplayable {
    fn from(error: NoRuling) -> Self {
        match error {
            NoRuling::Refused(refusal) => refusal.into(),
            NoRuling::Beyond(beyond) => beyond.into(),
        }
    }
}
