//! What may be signed: by whom it was allowed, for which rollups, for how much.

use std::collections::BTreeSet;

use crate::protocol::operation::Kind;
use crate::protocol::{Mutez, RollupAddress, Timestamp};

/// What the operator's mode lets the gate sign. Observing and shadowing towers have no authority:
/// there is no value of this type for them, hence no gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Authority {
    /// Plays against false commitments.
    Defend,
    /// Also publishes every period.
    Operate,
    /// Only brings home what is staked.
    Bailout,
}

impl Authority {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Defend, Self::Operate, Self::Bailout];

    /// Its name, which is that of the mode.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Defend => "defend",
            Self::Operate => "operate",
            Self::Bailout => "bailout",
        }
    }

    /// Whether it reaches operations of this kind.
    #[must_use]
    pub const fn allows(self, kind: Kind) -> bool {
        match kind {
            Kind::Reveal | Kind::Refute | Kind::Timeout | Kind::Cement | Kind::RecoverBond => true,
            Kind::Publish => !matches!(self, Self::Bailout),
            Kind::Transaction
            | Kind::Delegation
            | Kind::Originate
            | Kind::AddMessages
            | Kind::ExecuteOutboxMessage => false,
        }
    }
}

/// The rules of a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What its mode lets it sign.
    pub authority: Authority,
    /// The rollups it may act on.
    pub rollups: BTreeSet<RollupAddress>,
    /// Most money that may be frozen in bonds or have been lost with them, over all rollups.
    pub stake_cap: Mutez,
    /// Most that one operation may offer in fees.
    pub fee_cap: Mutez,
    /// Most that the operations of any 24 hours may offer in fees, replaced ones counted once.
    pub daily_fee_cap: Mutez,
    /// Most signatures in any hour.
    pub hourly_cap: u32,
}

/// What the gate has to know of the world when it judges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The time.
    pub now: Timestamp,
    /// The bond that a first publication freezes.
    pub stake: Mutez,
    /// Rollups on which the account has a bond at the head.
    pub bonded: BTreeSet<RollupAddress>,
    /// Bonds of the account that were slashed.
    pub lost: Mutez,
}
