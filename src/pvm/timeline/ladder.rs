//! States on the way, kept in bounded number.
//!
//! When it is full, first what lies outside the range in question goes, then every second one.

use std::collections::BTreeMap;

use super::Next;
use crate::crypto::Hash;
use crate::pvm::RunError;
use crate::pvm::slow::Course;

/// States kept at most.
const RUNGS: usize = 96;
/// States kept however large they are.
const FEWEST: usize = 12;
/// Bytes that kept states may take, roughly.
const BYTES: usize = 768 << 20;
/// Hashes kept at most.
const HASHES: usize = 1 << 16;

/// A place on the timeline.
#[derive(Debug, Clone)]
pub(super) struct Stand {
    pub(super) course: Course,
    /// The message that is given next.
    pub(super) next: Next,
}

/// Kept states and hashes by tick.
#[derive(Debug)]
pub(super) struct Ladder {
    first: Stand,
    rungs: BTreeMap<u128, Stand>,
    hashes: BTreeMap<u128, Hash>,
    /// The range in question.
    range: (u128, u128),
}

impl Ladder {
    pub(super) const fn new(first: Stand) -> Self {
        Self {
            first,
            rungs: BTreeMap::new(),
            hashes: BTreeMap::new(),
            range: (0, u128::MAX),
        }
    }

    /// The hash at a tick, if it was asked before.
    pub(super) fn hash(&self, tick: u128) -> Option<Hash> {
        self.hashes.get(&tick).copied()
    }

    pub(super) fn learn(&mut self, tick: u128, hash: Hash) {
        if self.hashes.len() >= HASHES {
            self.hashes.clear();
        }
        self.hashes.insert(tick, hash);
    }

    /// Questions are about this range now.
    pub(super) const fn centre(&mut self, first: u128, last: u128) {
        self.range = (first, last);
    }

    /// The nearest kept state at or before a tick.
    pub(super) fn below(&self, tick: u128) -> Option<&Stand> {
        let nearest = self.rungs.range(..=tick).next_back();
        Some(nearest.map_or(&self.first, |(_, stand)| stand))
    }

    pub(super) fn keep(&mut self, tick: u128, stand: &mut Stand) -> Result<(), RunError> {
        if self.rungs.contains_key(&tick) {
            return Ok(());
        }
        // A state of native evaluation may hold three forms of its memory that no other shares.
        let weight = stand.course.weight().saturating_mul(3).max(1);
        let most = RUNGS.min((BYTES / weight).max(FEWEST));
        while self.rungs.len() >= most {
            self.thin(most);
        }
        let kept = Stand {
            course: stand.course.folded()?,
            next: stand.next,
        };
        self.rungs.insert(tick, kept);
        Ok(())
    }

    fn thin(&mut self, most: usize) {
        let (first, last) = self.range;
        let before = self
            .rungs
            .range(..=first)
            .next_back()
            .map(|(tick, _)| *tick);
        self.rungs
            .retain(|tick, _| (first..=last).contains(tick) || Some(*tick) == before);
        if self.rungs.len() >= most {
            let mut odd = true;
            self.rungs.retain(|tick, _| {
                odd = !odd;
                odd || Some(*tick) == before
            });
        }
    }
}
