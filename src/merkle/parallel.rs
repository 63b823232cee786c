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
    let at_once = at_once.max(1);
    let parts = (0..count).step_by(at_once);
    let parts = parts.map(|from| from..count.min(from + at_once));
    shared(parts, count >= worth, work)
}

/// The same on all of a list that may be changed.
pub fn in_parts_mut<T: Send, R: Send>(
    list: &mut [T],
    (at_once, worth): (usize, usize),
    work: impl Fn(&mut [T]) -> R + Sync,
) -> Vec<R> {
    let is_worth_it = list.len() >= worth;
    shared(list.chunks_mut(at_once.max(1)), is_worth_it, work)
}

fn shared<P: Send, R: Send>(
    parts: impl Iterator<Item = P> + Send,
    is_worth_it: bool,
    work: impl Fn(P) -> R + Sync,
) -> Vec<R> {
    if !is_worth_it {
        return parts.map(work).collect();
    }
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let parts = Mutex::new(parts.enumerate());
    let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
    let some = || {
        let mut done = Vec::new();
        while let Some((place, part)) = next() {
            done.push((place, work(part)));
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
    done.sort_by_key(|(place, _)| *place);
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
                let mut all: Vec<usize> = done.into_iter().flatten().collect();
                assert_eq!(all, (0..count).collect::<Vec<_>>());
                let done = in_parts_mut(&mut all, (at_once, worth), |part| {
                    part.iter_mut().for_each(|number| *number += 1);
                    part.to_vec()
                });
                assert_eq!(done.concat(), (1..=count).collect::<Vec<_>>());
                assert_eq!(all, done.concat());
            }
        }
    }
}
