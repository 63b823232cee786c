//! How many blocks one of our moves takes, by what the last ones took to find.
//!
//! Promises: never less than a move that takes no time; the slowest of the last moves counts, and
//! one slow move is forgotten in the end. Refuses to know: how moves are found.

use std::collections::VecDeque;

/// Moves that are remembered.
const REMEMBERED: usize = 32;
/// Blocks from a move found to its inclusion: the next one, and one more should that miss it.
const ROAD: u32 = 2;
/// Seconds between blocks where the chain does not tell: as many as the fastest protocol has.
const DELAY: u64 = 6;

/// What the last moves took, in milliseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace(VecDeque<u64>);

impl Pace {
    /// A move was found in so many milliseconds.
    pub(super) fn took(&mut self, milliseconds: u64) {
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(milliseconds);
    }

    /// Blocks from a position seen to our move in a block, given the seconds between blocks.
    pub(super) fn blocks_per_move(&self, delay: Option<u64>) -> u32 {
        let delay = delay.unwrap_or(DELAY).max(1).saturating_mul(1_000);
        let slowest = self.0.iter().max().copied().unwrap_or(0);
        let finding = u32::try_from(slowest.div_ceil(delay)).unwrap_or(u32::MAX);
        ROAD.saturating_add(finding.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_of_the_last_moves_counts() {
        let mut pace = Pace::default();
        assert_eq!(pace.blocks_per_move(Some(8)), 3, "nothing measured");
        pace.took(8_000);
        assert_eq!(pace.blocks_per_move(Some(8)), 3);
        pace.took(41_000);
        pace.took(100);
        assert_eq!(pace.blocks_per_move(Some(8)), 8);
        assert_eq!(pace.blocks_per_move(None), 9);
        assert_eq!(pace.blocks_per_move(Some(0)), 43);
        for _ in 0..REMEMBERED {
            pace.took(0);
        }
        assert_eq!(pace.blocks_per_move(Some(8)), 3, "forgotten");
        pace.took(u64::MAX);
        assert!(pace.blocks_per_move(Some(1)) > 1_000_000);
    }
}
