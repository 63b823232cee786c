//! Copying what kept roots reach into a new generation.
//!
//! A record always lies after the records it names. So one pass from the end downwards finds
//! everything reachable, and one pass upwards copies it, with two numbers per record in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::crypto::Hash;

use super::StoreError;
use super::pack::Pack;
use super::record::Place;
use super::write::Appender;

/// Where records went.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// Old places in order, each with the new one.
    places: Vec<(u64, u64)>,
}

impl Moved {
    pub(super) fn new_place(&self, old: u64) -> Option<u64> {
        let found = self.places.binary_search_by_key(&old, |(old, _)| *old);
        found
            .ok()
            .and_then(|index| self.places.get(index))
            .map(|(_, new)| *new)
    }
}

/// Copies all that `roots` reach; every record is checked on the way.
pub(super) fn copy(
    old: &Arc<Pack>,
    roots: impl Iterator<Item = Place>,
    out: &mut Appender<'_>,
) -> Result<Moved, StoreError> {
    let live = reachable(old, roots)?;
    let mut moved = Moved {
        places: Vec::with_capacity(live.len()),
    };
    for place in live.iter().rev() {
        let (mut record, _) = old.record(*place)?;
        for (_, below) in record.places_mut() {
            below.at = moved
                .new_place(below.at)
                .ok_or_else(|| old.damaged(place.at, "record that names a later one"))?;
        }
        moved.places.push((place.at, out.append(&record)?));
    }
    Ok(moved)
}

/// Every record that `roots` reach, the last one first.
fn reachable(
    pack: &Arc<Pack>,
    roots: impl Iterator<Item = Place>,
) -> Result<Vec<Place>, StoreError> {
    let mut waiting: BTreeMap<u64, Hash> = roots.map(|root| (root.at, root.hash)).collect();
    let mut live = Vec::new();
    while let Some((at, hash)) = waiting.pop_last() {
        let place = Place { hash, at };
        let (mut record, _) = pack.record(place)?;
        for (_, below) in record.places_mut() {
            if below.at >= at {
                return Err(pack.damaged(at, "record that names a later one"));
            }
            waiting.insert(below.at, below.hash);
        }
        live.push(place);
    }
    Ok(live)
}
