//! What the policy answers: wishes, work to be done for them, and what people must hear.

use std::fmt;

use super::facts::{Hold, Position};
use crate::protocol::operation::Action;
use crate::protocol::{CommitmentHash, Level, PublicKeyHash};

/// Everything wanted at one block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Operations wanted on the chain, most urgent first.
    pub wishes: Vec<Wish>,
    /// What must be computed, most urgent first.
    pub work: Vec<Work>,
    /// What is wanted but cannot be yet.
    pub waits: Vec<Wait>,
    /// What people must hear of.
    pub concerns: Vec<Concern>,
    /// Why nothing of it is sent, if so.
    pub hold: Option<Hold>,
    /// Whether everything this mode is for is done.
    pub is_finished: bool,
}

/// An operation wanted on the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// What it does.
    pub action: Action,
    /// What for.
    pub purpose: Purpose,
    /// Last level at which it still helps; none when there is no hurry.
    pub deadline: Option<Level>,
    /// Blocks that can still be lost before it is too late for this and all that must follow.
    pub slack: i64,
}

/// Slack of what has no deadline.
pub(super) const NO_HURRY: i64 = i64::MAX;

/// What an operation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Stands against this false commitment.
    Contest(CommitmentHash),
    /// Leads from the last agreed commitment to a disputed one.
    LeadTo(Level),
    /// Publishes a period.
    Operate,
    /// Opens a game about this false commitment.
    Open(CommitmentHash),
    /// Answers a position of a game.
    Answer(Position),
    /// Ends a game with an opponent who has lost its stake elsewhere.
    TakeForfeit(Position),
    /// Takes the stake of an opponent who let the clock run out.
    TakeByClock,
    /// Ends an expired game between strangers.
    EndStrangers,
    /// Makes what is true final.
    Cement,
    /// Gets our bond back.
    Recover,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contest(hash) => write!(f, "contest the false commitment {hash}"),
            Self::LeadTo(level) => write!(f, "lead up to the disputed level {level}"),
            Self::Operate => f.write_str("publish the period"),
            Self::Open(hash) => write!(f, "open a game about the false commitment {hash}"),
            Self::Answer(_) => f.write_str("answer the opponent's move"),
            Self::TakeForfeit(_) => f.write_str("the opponent has lost its stake elsewhere"),
            Self::TakeByClock => f.write_str("the opponent's clock has run out"),
            Self::EndStrangers => f.write_str("end an expired game between others"),
            Self::Cement => f.write_str("make a true commitment final"),
            Self::Recover => f.write_str("recover our bond"),
        }
    }
}

/// Something to compute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// What.
    pub task: Task,
    /// Blocks that can still be lost.
    pub slack: i64,
}

/// What to compute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Find out whether we may stake on our own commitment of a level.
    Consent {
        /// The commitment.
        commitment: CommitmentHash,
        /// Its inbox level.
        level: Level,
    },
    /// Find our move in a position.
    Answer {
        /// The opponent.
        opponent: PublicKeyHash,
        /// The position.
        position: Position,
    },
    /// Get the states ready that the next answer may need.
    Prepare {
        /// The opponent.
        opponent: PublicKeyHash,
        /// The position the opponent thinks about.
        position: Position,
    },
}

/// Something wanted that cannot be yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// What for.
    pub purpose: Purpose,
    /// Against whom, if anybody.
    pub opponent: Option<PublicKeyHash>,
    /// Why not yet.
    pub reason: WaitReason,
}

/// Why something is not wanted yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaitReason {
    /// The protocol refuses openings before this level.
    TooEarly(Level),
    /// We play as many games as allowed.
    WePlayTooMany,
    /// The opponent plays as many games as allowed.
    OpponentPlaysTooMany,
    /// Our own commitment is not on the chain yet.
    NotStakedYet,
    /// It is being verified.
    Consent,
    /// It is being computed.
    Computing,
    /// No move wins, and none is better than the end of our clock.
    NothingWins,
    /// The challenge window ends at this level.
    Window(Level),
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooEarly(level) => write!(f, "not allowed before level {level}"),
            Self::WePlayTooMany => f.write_str("we play as many games as the chain allows"),
            Self::OpponentPlaysTooMany => {
                f.write_str("the opponent plays as many games as the chain allows")
            }
            Self::NotStakedYet => f.write_str("our commitment is not on the chain yet"),
            Self::Consent => f.write_str("our commitment is being verified"),
            Self::Computing => f.write_str("our move is being computed"),
            Self::NothingWins => f.write_str(
                "no move wins: the opponent may lose its stake elsewhere before our clock ends",
            ),
            Self::Window(level) => write!(f, "the challenge window ends at level {level}"),
        }
    }
}

/// Something people must hear of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    /// What is final on the chain is not what is true: nothing can be published on top.
    FalseFinality {
        /// Where.
        level: Level,
    },
    /// We stand on something else than what is true.
    Contradiction {
        /// Where.
        level: Level,
        /// What we stand on.
        staked: CommitmentHash,
        /// What is true.
        own: CommitmentHash,
    },
    /// A false commitment stands and ours can no longer be published.
    CurfewMissed {
        /// The false commitment.
        commitment: CommitmentHash,
        /// Its level.
        level: Level,
    },
    /// Our bond cannot come home as things are: a true commitment below it has nobody but liars on it,
    /// or is contested where we do not stand.
    BondHeldUp {
        /// The commitment.
        commitment: CommitmentHash,
        /// Its level.
        level: Level,
        /// The level that our bond lies on.
        bond: Level,
        /// Last level at which a publication of ours would help; none when that is over.
        until: Option<Level>,
    },
    /// A false commitment stands and we may not stake against it.
    Abstained {
        /// The false commitment.
        commitment: CommitmentHash,
        /// Its level.
        level: Level,
        /// Why we may not.
        reason: String,
    },
    /// A false commitment stands and there is too little money to stake against it.
    CannotStake {
        /// Mutez there are.
        balance: u64,
        /// Mutez needed.
        needed: u64,
    },
    /// Too little money to stake, should it be needed.
    LowBalance {
        /// Mutez there are.
        balance: u64,
        /// Mutez needed.
        needed: u64,
    },
    /// A position of a game that we cannot answer.
    NotPlayable {
        /// The opponent.
        opponent: PublicKeyHash,
        /// Level of the opening.
        start: Level,
        /// Why.
        reason: String,
    },
    /// A true claim of ours that no proof can confirm: both lose their stake when our clock ends,
    /// unless the opponent loses its own elsewhere before.
    Indefensible {
        /// The opponent.
        opponent: PublicKeyHash,
        /// Level of the opening.
        start: Level,
        /// Last level of our clock.
        clock_ends: i64,
        /// Why.
        reason: String,
    },
    /// Our final proof was not accepted: the opponent may prove, or time runs out for both.
    ProofRejected {
        /// The opponent.
        opponent: PublicKeyHash,
        /// Level of the opening.
        start: Level,
    },
    /// A clock of ours is in danger.
    ClockInDanger {
        /// The opponent.
        opponent: PublicKeyHash,
        /// Level of the opening.
        start: Level,
        /// Blocks left on our clock.
        blocks_left: i64,
    },
}
