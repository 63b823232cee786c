//! Inbox levels that commitments have: the lattice from origination on.
//!
//! Promises: the step is the one that the chain will demand, also around a change of the
//! commitment period. Rule: `next` of `sc_rollup_commitment_storage.ml`: an older period still
//! counts where a whole step of it ends before the protocol that changed it; the older dialect and
//! protocols up to 020 always step by the period in force.

use crate::protocol::{Level, Protocol};

/// The commitment periods of a chain, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lattice {
    /// Periods that are over, each with the last level it was in force.
    past: Vec<(u32, Level)>,
    /// The period in force.
    current: u32,
    /// The last level of the protocol before the one in force, if there was one.
    before: Option<Level>,
}

impl Lattice {
    /// A chain whose period has always been this one.
    #[must_use]
    pub const fn constant(period: u32) -> Self {
        Self {
            past: Vec::new(),
            current: period,
            before: None,
        }
    }

    /// `protocol` takes over after the block at `last`, with this period. The chain remembers the
    /// period before it from Quebec on.
    pub fn activate(&mut self, protocol: Protocol, period: u32, last: Level) {
        if protocol >= Protocol::Quebec {
            self.past.push((self.current, last));
        }
        self.current = period;
        self.before = Some(last);
    }

    /// The last level of the protocol before the one in force, if the chain has seen another.
    #[must_use]
    pub const fn before(&self) -> Option<Level> {
        self.before
    }

    /// The period in force.
    #[must_use]
    pub const fn current(&self) -> u32 {
        self.current
    }

    /// The inbox level after `level`; none beyond the last level there is.
    #[must_use]
    pub fn next(&self, level: Level) -> Option<Level> {
        self.past
            .iter()
            .find_map(|(period, end)| level.plus(*period).filter(|next| next <= end))
            .or_else(|| level.plus(self.current))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(lattice: &Lattice, from: u16, steps: usize) -> Vec<i32> {
        std::iter::successors(Some(Level::new(from)), |level| lattice.next(*level))
            .take(steps)
            .map(Level::get)
            .collect()
    }

    #[test]
    fn the_old_step_counts_while_it_fits_before_the_change() {
        let mut lattice = Lattice::constant(10);
        assert_eq!(walk(&lattice, 3, 4), [3, 13, 23, 33]);
        lattice.activate(Protocol::Quebec, 15, Level::new(30));
        assert_eq!(walk(&lattice, 3, 5), [3, 13, 23, 38, 53]);
        assert_eq!(walk(&lattice, 0, 5), [0, 10, 20, 30, 45]);
        lattice.activate(Protocol::Rio, 15, Level::new(50));
        assert_eq!(walk(&lattice, 0, 5), [0, 10, 20, 30, 45]);
    }

    #[test]
    fn protocols_before_quebec_forget_the_old_step() {
        let mut lattice = Lattice::constant(60);
        lattice.activate(Protocol::ParisB, 90, Level::new(1000));
        assert_eq!(walk(&lattice, 0, 3), [0, 90, 180]);
    }
}
