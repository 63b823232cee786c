//! Why the gate refuses: values with the numbers involved, for the journal.

use super::{Authority, Turn};
use crate::protocol::operation::Kind;
use crate::protocol::{CommitmentHash, Level, Mutez, PublicKeyHash, RollupAddress};

/// Why something is not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// All signing is stopped.
    #[error("the brake is on: {reason}")]
    Braked {
        /// Why.
        reason: String,
    },
    /// Signing for a rollup is stopped.
    #[error("content {index} is about rollup {rollup}, which is frozen: {reason}")]
    Frozen {
        /// Position of the content.
        index: usize,
        /// The rollup.
        rollup: RollupAddress,
        /// Why.
        reason: String,
    },
    /// The bytes are no operation of the protocol.
    #[error("the bytes are no operation: {problem}")]
    Unreadable {
        /// What is wrong with them.
        problem: String,
    },
    /// The bytes are not those that the operation they decode to is written as.
    #[error("the bytes are not the canonical form of their operation")]
    NotCanonical,
    /// An operation of nothing.
    #[error("the operation has no content")]
    Empty,
    /// Somebody else's operation.
    #[error("content {index} has source {source_account}, the key is that of {account}")]
    NotOurs {
        /// Position of the content.
        index: usize,
        /// Its source.
        source_account: PublicKeyHash,
        /// Our account.
        account: PublicKeyHash,
    },
    /// A kind that the mode does not reach.
    #[error("content {index} is a {kind}, which mode {} does not sign", authority.name())]
    Kind {
        /// Position of the content.
        index: usize,
        /// Its kind.
        kind: Kind,
        /// The authority.
        authority: Authority,
    },
    /// A rollup that is not configured.
    #[error("content {index} is about rollup {rollup}, which is not configured")]
    Rollup {
        /// Position of the content.
        index: usize,
        /// The rollup.
        rollup: RollupAddress,
    },
    /// Another key than ours would be revealed, or without the proof it needs.
    #[error("the reveal is not one of our own key with its proof of possession")]
    Reveal,
    /// The bond of somebody else.
    #[error("content {index} would recover the bond of {staker}, not ours")]
    Bond {
        /// Position of the content.
        index: usize,
        /// Whose bond.
        staker: PublicKeyHash,
    },
    /// A move without the turn it answers, or a turn where no move is.
    #[error(
        "content {index} does not say which turn it answers, or answers one without being a move"
    )]
    Turn {
        /// Position of the content.
        index: usize,
    },
    /// A content may burn money for storage, which none of ours needs.
    #[error("content {index} allows {bytes} bytes of storage, ours need none")]
    Storage {
        /// Position of the content.
        index: usize,
        /// Its storage limit.
        bytes: u64,
    },
    /// Too much would be at stake.
    #[error("{at_stake} mutez would be at stake or lost, the cap is {cap}")]
    Stake {
        /// What would be at stake, what is lost included.
        at_stake: Mutez,
        /// The cap.
        cap: Mutez,
    },
    /// The operation is too dear.
    #[error("the operation offers {fee} mutez in fees, the cap is {cap}")]
    Fee {
        /// What it offers.
        fee: Mutez,
        /// The cap.
        cap: Mutez,
    },
    /// The day was too dear.
    #[error("{spent} mutez in fees were offered in 24 hours, this one included; the cap is {cap}")]
    DailyFees {
        /// What would have been offered.
        spent: Mutez,
        /// The cap.
        cap: Mutez,
    },
    /// Too many signatures.
    #[error("{signed} operations were signed within an hour, the cap is {cap}")]
    Rate {
        /// Signatures of the last hour.
        signed: u32,
        /// The cap.
        cap: u32,
    },
    /// Another commitment was signed for the level.
    #[error("commitment {asked} of {rollup} at level {level} contradicts {signed}, signed before")]
    OtherCommitment {
        /// Position of the content.
        index: usize,
        /// The rollup.
        rollup: RollupAddress,
        /// The inbox level.
        level: Level,
        /// What was signed.
        signed: CommitmentHash,
        /// What is asked for.
        asked: CommitmentHash,
    },
    /// Another move was signed for the turn.
    #[error("another move against {opponent} on {rollup} was signed for turn {turn}")]
    OtherMove {
        /// Position of the content.
        index: usize,
        /// The rollup.
        rollup: RollupAddress,
        /// The opponent.
        opponent: PublicKeyHash,
        /// The turn.
        turn: Turn,
    },
    /// Sums that do not fit.
    #[error("the amounts of the operation do not add up to an amount")]
    Overflow,
}

impl Refusal {
    /// Position of the content at fault, where it is one.
    #[must_use]
    pub const fn index(&self) -> Option<usize> {
        match self {
            Self::Frozen { index, .. }
            | Self::NotOurs { index, .. }
            | Self::Kind { index, .. }
            | Self::Rollup { index, .. }
            | Self::Bond { index, .. }
            | Self::Turn { index }
            | Self::Storage { index, .. }
            | Self::OtherCommitment { index, .. }
            | Self::OtherMove { index, .. } => Some(*index),
            Self::Braked { .. }
            | Self::Unreadable { .. }
            | Self::NotCanonical
            | Self::Empty
            | Self::Reveal
            | Self::Stake { .. }
            | Self::Fee { .. }
            | Self::DailyFees { .. }
            | Self::Rate { .. }
            | Self::Overflow => None,
        }
    }
}
