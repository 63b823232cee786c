//! Work that all processors share.

use std::num::NonZero;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Does `work` on `0..count` in parts of `at_once`, by all processors once there are `worth` of
/// them; what came of the parts, in their order.
pub fn in_parts<R: Send>(
    count: usize,
    (at_once, worth): (usize, usize),
    work: impl Fn(Range<usize>) -> R + Sync,
) -> Vec<R> {
    let threads = match count {
        count if count < worth => 1,
        _ => std::thread::available_parallelism().map_or(1, NonZero::get),
    };
    let parts = (0..count).step_by(at_once.max(1));
    let parts = Mutex::new(parts.map(|from| from..count.min(from + at_once.max(1))));
    let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
    let some = || {
        let mut done = Vec::new();
        while let Some(part) = next() {
            done.push((part.start, work(part)));
        }
        done
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(some)).collect();
        let mut done = some();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_by_key(|(from, _)| *from);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_done_once_and_in_its_place() {
        for (count, at_once) in [(0, 3), (1, 3), (9, 3), (10, 3), (1_000, 7), (5, 0)] {
            for worth in [0, 2_000] {
                let done = in_parts(count, (at_once, worth), Vec::from_iter);
                let all: Vec<usize> = done.into_iter().flatten().collect();
                assert_eq!(all, (0..count).collect::<Vec<_>>());
            }
        }
    }
}
