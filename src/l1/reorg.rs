//! Which blocks to forget and which to apply when the head changes: pure, for any depth.
//!
//! Promises: after the planned rollback and applications the known branch is exactly the new
//! head's, with few questions even over long gaps and deep reorganisations (the common ancestor is
//! galloped to, not walked to). Refuses to know: sockets; answers are handed in.

use std::collections::VecDeque;

use super::block::BlockRef;
use super::error::L1Error;
use crate::protocol::{BlockHash, Level};

/// The branch applied so far, without gap, from a first level on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// Level of the oldest block remembered (or, while empty, of the first to apply).
    oldest: Level,
    /// Whether blocks below `oldest` were applied and forgotten.
    forgot: bool,
    hashes: VecDeque<BlockHash>,
}

impl Branch {
    /// An empty branch: the next block to apply is the one at `first`.
    #[must_use]
    pub const fn starting_at(first: Level) -> Self {
        Self {
            oldest: first,
            forgot: false,
            hashes: VecDeque::new(),
        }
    }

    /// A branch taken up again after `blocks`, which are consecutive and end at the newest one
    /// applied; none when they are not consecutive or there are none.
    #[must_use]
    pub fn resumed(blocks: &[BlockRef]) -> Option<Self> {
        let first = blocks.first()?;
        let mut branch = Self {
            oldest: first.level,
            forgot: true,
            hashes: VecDeque::new(),
        };
        for block in blocks {
            if branch.next_level() != Some(block.level) {
                return None;
            }
            branch.hashes.push_back(block.hash);
        }
        Some(branch)
    }

    /// The newest block applied.
    #[must_use]
    pub fn tip(&self) -> Option<BlockRef> {
        let above = u32::try_from(self.hashes.len()).ok()?.checked_sub(1)?;
        Some(BlockRef {
            level: self.oldest.plus(above)?,
            hash: *self.hashes.back()?,
        })
    }

    /// Hash of the block applied at `level`, as far as remembered.
    #[must_use]
    pub fn hash_at(&self, level: Level) -> Option<BlockHash> {
        let index = usize::try_from(level.since(self.oldest)?).ok()?;
        self.hashes.get(index).copied()
    }

    /// Level of the next block to apply.
    #[must_use]
    pub fn next_level(&self) -> Option<Level> {
        self.oldest.plus(u32::try_from(self.hashes.len()).ok()?)
    }

    /// Forgets what lies below `level`: no reorganisation reaches it any more.
    pub fn forget_below(&mut self, level: Level) {
        // The newest block stays, or the branch would lose its place.
        while self.oldest < level && self.hashes.len() > 1 {
            let Some(next) = self.oldest.next() else {
                return;
            };
            self.hashes.pop_front();
            self.oldest = next;
            self.forgot = true;
        }
    }

    /// Takes up `block` as the new tip.
    ///
    /// # Errors
    /// [`L1Error::Unlinked`] when it does not follow the tip.
    pub fn apply(&mut self, block: BlockRef, predecessor: BlockHash) -> Result<(), L1Error> {
        let linked = self.tip().is_none_or(|tip| tip.hash == predecessor);
        if !linked || self.next_level() != Some(block.level) {
            return Err(L1Error::Unlinked {
                block: block.hash,
                level: block.level,
                previous: self.tip().map_or(predecessor, |tip| tip.hash),
                predecessor,
            });
        }
        self.hashes.push_back(block.hash);
        Ok(())
    }

    /// Forgets all blocks above `keep`; what lies below the oldest one remembered stays.
    pub fn roll_back(&mut self, keep: Keep) {
        let kept = match keep {
            Keep::Nothing => 0,
            Keep::UpTo(block) => block
                .level
                .since(self.oldest)
                .map_or(0, |above| above.saturating_add(1) as usize),
        };
        self.hashes.truncate(kept);
    }
}

/// What survives a reorganisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// This block and all below it.
    UpTo(BlockRef),
    /// No block of the branch: start again at its first level.
    Nothing,
}

/// What to do to reach a new head; nothing when the head was passed already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// What to keep, when blocks have to be rolled back.
    pub rollback: Option<Keep>,
    /// Level of the first block to apply; all up to the head's follow. None when nothing is new.
    pub apply_from: Option<Level>,
}

/// Where the search for the common ancestor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The hash of the new head's ancestor at this level is needed.
    Ask(Level),
    /// The search is over.
    Done(Plan),
}

/// The search for the newest block that the known branch and a new head share.
#[derive(Debug)]
pub struct Walk<'b> {
    branch: &'b Branch,
    head: BlockRef,
    /// The predecessor named by the head, which saves a question in the usual case.
    predecessor: BlockHash,
    /// Highest level known to be shared.
    shared: Option<Level>,
    /// Lowest level known to differ (or the one above the highest that can be shared).
    differs: Level,
    /// How far below `differs` to look next.
    stride: u32,
}

impl<'b> Walk<'b> {
    /// Starts the search for a head whose header names `predecessor`.
    #[must_use]
    pub fn new(branch: &'b Branch, head: BlockRef, predecessor: BlockHash) -> Self {
        let above_tip = branch.next_level().unwrap_or(head.level);
        let above_head = head.level.next().unwrap_or(head.level);
        Self {
            branch,
            head,
            predecessor,
            shared: None,
            differs: above_tip.min(above_head),
            stride: 1,
        }
    }

    /// What is needed next; answers known from the head's own header are not asked for.
    ///
    /// # Errors
    /// [`L1Error::TooDeep`] when the common ancestor lies below what is remembered.
    pub fn step(&mut self) -> Result<Step, L1Error> {
        loop {
            let Some(level) = self.probe() else {
                return self.plan().map(Step::Done);
            };
            match self.told_by_head(level) {
                Some(hash) => self.answer(level, hash),
                None => return Ok(Step::Ask(level)),
            }
        }
    }

    /// Takes the hash of the new head's ancestor at a level asked for.
    pub fn answer(&mut self, level: Level, hash: BlockHash) {
        if self.branch.hash_at(level) == Some(hash) {
            self.shared = Some(level);
        } else {
            self.differs = level;
            self.stride = self.stride.saturating_mul(2);
        }
    }

    fn told_by_head(&self, level: Level) -> Option<BlockHash> {
        match self.head.level.since(level)? {
            0 => Some(self.head.hash),
            1 => Some(self.predecessor),
            _ => None,
        }
    }

    /// The next level to compare; none when the boundary is found.
    fn probe(&self) -> Option<Level> {
        let lowest = self.branch.oldest;
        match self.shared {
            None => {
                let top = self.differs.previous().filter(|top| *top >= lowest)?;
                let down = self.stride.saturating_sub(1);
                Some(top.minus(down).map_or(lowest, |level| level.max(lowest)))
            }
            Some(shared) => {
                let gap = self.differs.since(shared)?;
                if gap <= 1 { None } else { shared.plus(gap / 2) }
            }
        }
    }

    fn plan(&self) -> Result<Plan, L1Error> {
        // Levels never go down on a chain: a head already passed comes from a node that lags.
        if self.branch.hash_at(self.head.level) == Some(self.head.hash) {
            return Ok(Plan {
                rollback: None,
                apply_from: None,
            });
        }
        let (keep, apply_from) = match self.shared {
            Some(level) => {
                let hash = self.branch.hash_at(level).unwrap_or(self.head.hash);
                (Keep::UpTo(BlockRef { level, hash }), level.next())
            }
            None if self.branch.forgot => {
                return Err(L1Error::TooDeep {
                    oldest: self.branch.oldest,
                });
            }
            None => (Keep::Nothing, Some(self.branch.oldest)),
        };
        let keeps_all = match (keep, self.branch.tip()) {
            (Keep::UpTo(kept), Some(tip)) => kept == tip,
            (_, tip) => tip.is_none(),
        };
        Ok(Plan {
            rollback: (!keeps_all).then_some(keep),
            apply_from: apply_from.filter(|level| *level <= self.head.level),
        })
    }
}

#[cfg(test)]
#[path = "reorg_tests.rs"]
mod tests;
