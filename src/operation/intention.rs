//! What the tower wants done on the chain, before it is an operation.

use std::fmt;

use crate::protocol::operation::{Action, Kind, Refutation, Stakers};
use crate::protocol::{Commitment, CommitmentHash, Level, PublicKeyHash, RollupAddress};
use crate::signer::Turn;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intention {
    /// Stake on a commitment.
    Publish {
        /// The rollup.
        rollup: RollupAddress,
        /// The claim.
        commitment: Commitment,
    },
    /// Open or play a game.
    Refute {
        /// The rollup.
        rollup: RollupAddress,
        /// The other player.
        opponent: PublicKeyHash,
        /// The move.
        refutation: Refutation,
        /// The turn it answers; none for an opening.
        turn: Option<Turn>,
    },
    /// End a game by the clock.
    Timeout {
        /// The rollup.
        rollup: RollupAddress,
        /// The players.
        stakers: Stakers,
    },
    /// Make a commitment final.
    Cement {
        /// The rollup.
        rollup: RollupAddress,
        /// The commitment. Operations name it until Nairobi only.
        commitment: CommitmentHash,
    },
    /// Take a bond back.
    RecoverBond {
        /// The rollup.
        rollup: RollupAddress,
        /// Whose: ours.
        staker: PublicKeyHash,
    },
}

/// What makes two intentions the same move: a later derivation of the same move has the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IntentionKey {
    /// A publication.
    Publish(RollupAddress, CommitmentHash),
    /// An opening: on which commitments, ours first.
    Open(RollupAddress, PublicKeyHash, CommitmentHash, CommitmentHash),
    /// A move.
    Move(RollupAddress, PublicKeyHash, Turn),
    /// A timeout.
    Timeout(RollupAddress, Stakers),
    /// A cementation.
    Cement(RollupAddress, CommitmentHash),
    /// A recovery.
    RecoverBond(RollupAddress, PublicKeyHash),
}

impl IntentionKey {
    /// The rollup it is about.
    #[must_use]
    pub const fn rollup(&self) -> RollupAddress {
        match self {
            Self::Publish(rollup, _)
            | Self::Open(rollup, ..)
            | Self::Move(rollup, ..)
            | Self::Timeout(rollup, _)
            | Self::Cement(rollup, _)
            | Self::RecoverBond(rollup, _) => *rollup,
        }
    }
}

/// An intention that should be on the chain soon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What to do.
    pub what: Intention,
    /// The last level at which it still helps; none when it can wait.
    pub deadline: Option<Level>,
}

impl Intention {
    /// What identifies it.
    #[must_use]
    pub fn key(&self) -> IntentionKey {
        match self {
            Self::Publish { rollup, commitment } => {
                IntentionKey::Publish(*rollup, commitment.hash())
            }
            Self::Refute {
                rollup,
                opponent,
                refutation,
                turn,
            } => match (refutation, turn) {
                (
                    Refutation::Start {
                        player_commitment,
                        opponent_commitment,
                    },
                    _,
                ) => {
                    IntentionKey::Open(*rollup, *opponent, *player_commitment, *opponent_commitment)
                }
                // A move without its turn never passes the gate; it still needs a key.
                (_, turn) => IntentionKey::Move(
                    *rollup,
                    *opponent,
                    turn.unwrap_or(Turn(crate::crypto::Hash([0; 32]))),
                ),
            },
            Self::Timeout { rollup, stakers } => IntentionKey::Timeout(*rollup, *stakers),
            Self::Cement { rollup, commitment } => IntentionKey::Cement(*rollup, *commitment),
            Self::RecoverBond { rollup, staker } => IntentionKey::RecoverBond(*rollup, *staker),
        }
    }

    /// The rollup it is about.
    #[must_use]
    pub const fn rollup(&self) -> RollupAddress {
        match self {
            Self::Publish { rollup, .. }
            | Self::Refute { rollup, .. }
            | Self::Timeout { rollup, .. }
            | Self::Cement { rollup, .. }
            | Self::RecoverBond { rollup, .. } => *rollup,
        }
    }

    /// The turn it answers, when it is a move.
    #[must_use]
    pub const fn turn(&self) -> Option<Turn> {
        match self {
            Self::Refute { turn, .. } => *turn,
            _ => None,
        }
    }

    /// The content that does it; `names_commitment` where a cementation names its commitment.
    #[must_use]
    pub fn action(&self, names_commitment: NamesCommitment) -> Action {
        match self {
            Self::Publish { rollup, commitment } => Action::Publish {
                rollup: *rollup,
                commitment: *commitment,
            },
            Self::Refute {
                rollup,
                opponent,
                refutation,
                ..
            } => Action::Refute {
                rollup: *rollup,
                opponent: *opponent,
                refutation: refutation.clone(),
            },
            Self::Timeout { rollup, stakers } => Action::Timeout {
                rollup: *rollup,
                stakers: *stakers,
            },
            Self::Cement { rollup, commitment } => Action::Cement {
                rollup: *rollup,
                commitment: match names_commitment {
                    NamesCommitment::Yes => Some(*commitment),
                    NamesCommitment::No => None,
                },
            },
            Self::RecoverBond { rollup, staker } => Action::RecoverBond {
                rollup: *rollup,
                staker: *staker,
            },
        }
    }

    /// The intention behind a content; none for kinds that the tower does not send, or a
    /// cementation that does not name its commitment.
    #[must_use]
    pub fn of(action: &Action, turn: Option<Turn>) -> Option<Self> {
        Some(match action {
            Action::Publish { rollup, commitment } => Self::Publish {
                rollup: *rollup,
                commitment: *commitment,
            },
            Action::Refute {
                rollup,
                opponent,
                refutation,
            } => Self::Refute {
                rollup: *rollup,
                opponent: *opponent,
                refutation: refutation.clone(),
                turn,
            },
            Action::Timeout { rollup, stakers } => Self::Timeout {
                rollup: *rollup,
                stakers: *stakers,
            },
            Action::Cement { rollup, commitment } => Self::Cement {
                rollup: *rollup,
                commitment: (*commitment)?,
            },
            Action::RecoverBond { rollup, staker } => Self::RecoverBond {
                rollup: *rollup,
                staker: *staker,
            },
            _ => return None,
        })
    }

    /// Its kind of operation.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Publish { .. } => Kind::Publish,
            Self::Refute { .. } => Kind::Refute,
            Self::Timeout { .. } => Kind::Timeout,
            Self::Cement { .. } => Kind::Cement,
            Self::RecoverBond { .. } => Kind::RecoverBond,
        }
    }

    /// Position in a batch: what others rest on goes first, then what a clock runs for.
    #[must_use]
    pub(super) fn rank(&self) -> (u8, i32) {
        match self {
            Self::Publish { commitment, .. } => (0, commitment.inbox_level.get()),
            Self::Refute { .. } => (1, 0),
            Self::Timeout { .. } => (2, 0),
            Self::Cement { .. } => (3, 0),
            Self::RecoverBond { .. } => (4, 0),
        }
    }
}

/// Whether cementations of a protocol name their commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamesCommitment {
    /// Until Nairobi.
    Yes,
    /// Since Oxford.
    No,
}

impl fmt::Display for IntentionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish(rollup, commitment) => write!(f, "publish {commitment} on {rollup}"),
            Self::Open(rollup, opponent, ours, theirs) => {
                write!(
                    f,
                    "open a game against {opponent} on {rollup}: {ours} versus {theirs}"
                )
            }
            Self::Move(rollup, opponent, turn) => {
                write!(f, "move against {opponent} on {rollup} in turn {turn}")
            }
            Self::Timeout(rollup, stakers) => write!(
                f,
                "timeout of {} and {} on {rollup}",
                stakers.alice(),
                stakers.bob()
            ),
            Self::Cement(rollup, commitment) => write!(f, "cement {commitment} on {rollup}"),
            Self::RecoverBond(rollup, staker) => {
                write!(f, "recover the bond of {staker} on {rollup}")
            }
        }
    }
}
