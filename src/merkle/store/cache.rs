//! Records read lately, bounded in bytes.
//!
//! Two generations per shard: a hit in the old one moves to the young one; when the young one is
//! full it becomes the old one. That is nearly as good as exact recency and needs no list.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Shards, so that readers seldom wait for each other.
const SHARDS: usize = 16;

#[derive(Debug)]
pub(super) struct Cache<T> {
    shards: Vec<Mutex<Shard<T>>>,
    /// Bytes of one generation of one shard.
    limit: usize,
}

#[derive(Debug)]
struct Shard<T> {
    young: HashMap<u64, (T, usize)>,
    old: HashMap<u64, (T, usize)>,
    bytes: usize,
}

impl<T: Clone> Cache<T> {
    pub(super) fn new(bytes: usize) -> Self {
        let shard = || {
            Mutex::new(Shard {
                young: HashMap::new(),
                old: HashMap::new(),
                bytes: 0,
            })
        };
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            limit: bytes / SHARDS / 2,
        }
    }

    fn shard<R>(&self, key: u64, run: impl FnOnce(&mut Shard<T>) -> R) -> Option<R> {
        let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60;
        let shard = self.shards.get(mixed as usize)?;
        Some(run(&mut shard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)))
    }

    pub(super) fn find(&self, key: u64) -> Option<T> {
        self.shard(key, |shard| {
            if let Some((found, _)) = shard.young.get(&key) {
                return Some(found.clone());
            }
            let (found, size) = shard.old.remove(&key)?;
            shard.put(key, found.clone(), size, self.limit);
            Some(found)
        })?
    }

    pub(super) fn keep(&self, key: u64, value: T, size: usize) {
        self.shard(key, |shard| shard.put(key, value, size, self.limit));
    }
}

impl<T> Shard<T> {
    fn put(&mut self, key: u64, value: T, size: usize, limit: usize) {
        if size > limit {
            return;
        }
        if self.bytes + size > limit {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        if self.young.insert(key, (value, size)).is_none() {
            self.bytes += size;
        }
    }
}
