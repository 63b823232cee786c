//! The skip list of basis 4 that both lists of the inbox use.
//!
//! Source: `src/lib_base/skip_list.ml`. Cells are named by their position, from 0.

const BASIS: u64 = 4;

/// Powers of the basis up to `index`: one back pointer each.
fn powers(index: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(1_u64), |power| power.checked_mul(BASIS))
        .take_while(move |power| *power <= index)
}

/// Position that the pointer of `power` of cell `index` leads to; none for the first cell.
fn target(index: u64, power: u64) -> Option<u64> {
    index.checked_sub(index.checked_rem(power)?)?.checked_sub(1)
}

/// Back pointers of the cell after one at `index` with `pointer` and `pointers`.
pub(super) fn next_pointers<P: Copy>(index: u64, pointer: P, pointers: &[P]) -> Vec<P> {
    let next = index.saturating_add(1);
    let mut old = pointers.iter();
    powers(next)
        .map(|power| {
            let kept = old.next().copied();
            match kept {
                Some(kept) if !next.is_multiple_of(power) => kept,
                _ => pointer,
            }
        })
        .collect()
}

/// Positions on the only path the protocol accepts from cell `from` back to `to`, both included;
/// none when `to` is above `from`.
#[must_use]
pub fn minimal_path(from: u64, to: u64) -> Option<Vec<u64>> {
    if to > from {
        return None;
    }
    let (mut path, mut at) = (vec![from], from);
    while at != to {
        let reachable = powers(at).filter_map(|power| target(at, power));
        at = reachable.filter(|reached| *reached >= to).min()?;
        path.push(at);
    }
    Some(path)
}

/// A cell as a verifier sees it: its own claims and the pointer computed from them.
pub(super) trait Cell {
    /// Hash of a cell.
    type Pointer: Copy + Ord;

    /// The position it claims.
    fn index(&self) -> u64;

    /// The pointers it claims.
    fn pointers(&self) -> &[Self::Pointer];

    /// Its own pointer.
    fn pointer(&self) -> Self::Pointer;
}

/// Whether `cells` is the path that layer 1 accepts from `head` to the last of them.
///
/// Positions are not covered by pointers, so layer 1 believes what cells claim; so do we, to
/// reach its verdict also on proofs that lie.
pub(super) fn is_accepted_path<C: Cell>(head: C::Pointer, cells: &[C]) -> bool {
    let pointers: Vec<C::Pointer> = cells.iter().map(Cell::pointer).collect();
    // A pointer given twice names the last cell that carries it.
    let find = |pointer: C::Pointer| {
        let place = pointers.iter().rposition(|known| *known == pointer)?;
        cells.get(place)
    };
    let (Some(first), Some(last)) = (pointers.first(), pointers.last()) else {
        return false;
    };
    let (Some(start), Some(target)) = (find(head), find(*last)) else {
        return false;
    };
    if *first != head {
        return false;
    }
    let powers: Vec<u64> = std::iter::successors(Some(1_u64), |power| power.checked_mul(BASIS))
        .take(start.pointers().len())
        .collect();
    let (mut cell, mut pointer) = (start, head);
    for next in pointers.iter().skip(1) {
        if best_pointer(cell, target.index(), &powers) != Some(*next) {
            return false;
        }
        let Some(found) = find(*next) else {
            return false;
        };
        (cell, pointer) = (found, *next);
    }
    pointer == *last && cell.index() == target.index()
}

/// The pointer the verifier takes: a binary search over the claimed positions, whose answer on
/// honest cells is the farthest one that does not jump over the target.
fn best_pointer<C: Cell>(cell: &C, wanted: u64, powers: &[u64]) -> Option<C::Pointer> {
    let pointed = |place: usize| -> Option<i128> {
        let (index, power) = (i128::from(cell.index()), i128::from(*powers.get(place)?));
        index.checked_sub(index.checked_rem(power)?)?.checked_sub(1)
    };
    let wanted = i128::from(wanted);
    let (mut low, mut high) = (0_usize, cell.pointers().len().checked_sub(1)?);
    let place = loop {
        if low >= high {
            break low;
        }
        let middle = low.midpoint(high);
        let here = pointed(middle)?;
        if here == wanted {
            break middle;
        }
        if here < wanted {
            match middle.checked_sub(1) {
                Some(below) => high = below,
                None => break low,
            }
            continue;
        }
        let after = middle.checked_add(1)?;
        let beyond = pointed(after)?;
        if beyond == wanted {
            break after;
        }
        if beyond < wanted {
            break middle;
        }
        low = after;
    };
    cell.pointers().get(place).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Positions of all pointers, straight from the definition.
    fn naive_pointers(index: u64) -> Vec<u64> {
        powers(index)
            .filter_map(|power| target(index, power))
            .collect()
    }

    struct Named {
        index: u64,
        pointers: Vec<u64>,
    }

    impl Cell for Named {
        type Pointer = u64;

        fn index(&self) -> u64 {
            self.index
        }

        fn pointers(&self) -> &[u64] {
            &self.pointers
        }

        fn pointer(&self) -> u64 {
            self.index
        }
    }

    fn cells(path: &[u64]) -> Vec<Named> {
        path.iter()
            .map(|index| Named {
                index: *index,
                pointers: naive_pointers(*index),
            })
            .collect()
    }

    #[test]
    fn pointers_built_one_by_one_are_those_of_the_definition() {
        let mut pointers = Vec::new();
        for index in 0..5_000 {
            assert_eq!(pointers, naive_pointers(index), "cell {index}");
            pointers = next_pointers(index, index, &pointers);
        }
    }

    proptest! {
        /// The naive twin walks by repeated search for the farthest admissible pointer.
        #[test]
        fn minimal_paths_are_accepted_and_others_are_not(from in 0_u64..100_000, back in 0_u64..100_000, drop: proptest::sample::Index) {
            let to = from.saturating_sub(back);
            let path = minimal_path(from, to).unwrap();
            prop_assert!(is_accepted_path(from, &cells(&path)));
            prop_assert!(path.windows(2).all(|pair| naive_pointers(pair[0]).contains(&pair[1])));
            if path.len() > 2 {
                let mut shorter = path.clone();
                shorter.remove(1 + drop.index(path.len() - 2));
                prop_assert!(!is_accepted_path(from, &cells(&shorter)));
            }
            if back > 0 {
                let slow: Vec<u64> = (to..=from).rev().take(50).collect();
                let minimal = slow == path;
                if slow.last() == Some(&to) {
                    prop_assert_eq!(is_accepted_path(from, &cells(&slow)), minimal);
                }
            }
        }
    }
}
