//! What can happen to the tower, and what it can do about it: two closed lists.

use super::play::PlayNews;
use crate::journal::{
    Alarm, BackfillRow, BlockRow, ConflictRow, ConstantsRow, Entry, InboxRow, OperationRow,
    PublishedRow, StateRow, UnknownRow, VerdictRow,
};
use crate::l1::Receipt;
use crate::protocol::{BlockHash, Commitment, Level, RollupAddress};

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The chain gained a block; it follows the last one told.
    Block(Box<SeenBlock>),
    /// All blocks above this one left the chain.
    RolledBack {
        /// The block that is the tip now.
        fork: BlockHash,
        /// Its level.
        level: Level,
    },
    /// The node's head is at this level.
    Head(Level),
    /// A worker finished levels, in order and without gap.
    Ran {
        /// The epoch of the request that it worked on.
        epoch: u64,
        /// The rollup.
        rollup: RollupAddress,
        /// The block whose state the first one continues.
        after: BlockHash,
        /// The new states.
        states: Vec<StateRow>,
    },
    /// A worker cannot get past a level for now.
    Blocked {
        /// The epoch of the request that it worked on.
        epoch: u64,
        /// Where and why.
        unknown: UnknownRow,
    },
    /// Commitments with their stakers, as the node's storage had them.
    Stored {
        /// The rollup.
        rollup: RollupAddress,
        /// The block whose storage was read.
        at: BlockHash,
        /// What the node said.
        publications: Vec<PublishedRow>,
    },
    /// Constants that a kernel can see, where they are new.
    Constants(ConstantsRow),
    /// Operations on a rollup that joined late, from blocks taken in before it did.
    Backfilled {
        /// How far it is now.
        progress: BackfillRow,
        /// Publications.
        publications: Vec<PublishedRow>,
        /// Other operations.
        operations: Vec<OperationRow>,
    },
    /// Something outside the chain went wrong that people must hear of.
    Trouble(Alarm),
}

/// A block as the tower sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenBlock {
    /// Its place and protocol.
    pub block: BlockRow,
    /// Its inbox.
    pub inbox: InboxRow,
    /// Publications in it, of watched rollups.
    pub publications: Vec<PublishedRow>,
    /// Other operations in it, on watched rollups.
    pub operations: Vec<OperationRow>,
    /// Receipts of our own account in it.
    pub receipts: Vec<Receipt>,
    /// Whether it was in the chain before and is back: what was found out about it then, too.
    pub is_back: bool,
}

/// Something to do, after the entries of its decision are on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Bring a rollup's state up to a block.
    Wake {
        /// The rollup.
        rollup: RollupAddress,
        /// The block to reach.
        block: BlockHash,
        /// Its level.
        level: Level,
        /// Which memory of the chain this belongs to: it changes with every reorganisation.
        epoch: u64,
    },
    /// Read the stakes of a rollup from the node's storage.
    ReadStakes {
        /// The rollup.
        rollup: RollupAddress,
        /// The block whose storage to read.
        at: BlockHash,
        /// Its level.
        level: Level,
    },
    /// Forget what is in memory and take it up again from the journal.
    Reload,
    /// Tell people.
    Tell(News),
    /// What was asked for is done.
    Finish,
}

/// Something worth telling, journalled already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Our own commitment of a period.
    Own {
        /// The rollup.
        rollup: RollupAddress,
        /// What is true.
        commitment: Commitment,
    },
    /// A staker published.
    Published(PublishedRow),
    /// Another operation on a watched rollup.
    Operation(OperationRow),
    /// A judgement.
    Verdict(VerdictRow),
    /// Two stakers against each other.
    Conflict(ConflictRow),
    /// An alarm.
    Alarm(Alarm),
    /// Something of play.
    Play(PlayNews),
    /// Blocks left the chain.
    RolledBack {
        /// Level of the tip now.
        level: Level,
        /// Blocks that left.
        depth: u32,
    },
    /// A rollup's state is at the head.
    CaughtUp {
        /// The rollup.
        rollup: RollupAddress,
        /// The level reached.
        level: Level,
    },
}

/// What was decided about one event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// To be journalled first, in one transaction.
    pub entries: Vec<Entry>,
    /// To be done then, in order.
    pub effects: Vec<Effect>,
}
