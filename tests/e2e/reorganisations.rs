//! Blocks with each kind of our operations leave the chain: what is wanted is derived again, and the
//! game is won on the branch that is left.

use std::collections::BTreeSet;

use watchtower::sim::Abandoned;

use crate::arena::{Arena, Came, Deed, named};

/// Plays a drill in which the first block with each kind of our operations is replaced, together
/// with `depth - 1` blocks above it.
fn reorganised(drill: &str, depth: u32, abandoned: Abandoned) -> BTreeSet<Deed> {
    let mut arena = Arena::defended(&named(drill));
    let mut undone = BTreeSet::new();
    while !arena.is_done() {
        assert_eq!(arena.step(), Came::Settled);
        let news = arena.newest_deeds();
        let Some(deed) = news.into_iter().find(|deed| undone.insert(*deed)) else {
            continue;
        };
        println!("replacing the block of our {deed:?} at {}", arena.level());
        for _ in 1..depth {
            assert_eq!(arena.step(), Came::Settled);
        }
        arena
            .shared
            .with_chain(|chain| chain.reorganise(depth, depth + 1, abandoned))
            .unwrap();
        assert_eq!(arena.settle(), Came::Settled);
    }
    assert_eq!(arena.verdict(), None);
    undone
}

const BY_THE_CLOCK: [Deed; 6] = [
    Deed::Publication,
    Deed::Opening,
    Deed::Dissection,
    Deed::Timeout,
    Deed::Cementation,
    Deed::Recovery,
];

#[test]
fn operations_of_one_lost_block_are_sent_again() {
    let undone = reorganised("timeout", 1, Abandoned::Lost);
    assert_eq!(undone, BY_THE_CLOCK.into());
}

#[test]
fn operations_of_two_lost_blocks_are_sent_again() {
    let undone = reorganised("timeout", 2, Abandoned::Lost);
    assert_eq!(undone, BY_THE_CLOCK.into());
}

#[test]
fn operations_that_come_back_from_lost_blocks_are_not_sent_twice() {
    let undone = reorganised("pvm_proof_1", 2, Abandoned::Returned);
    let mut expected = BTreeSet::from(BY_THE_CLOCK);
    expected.remove(&Deed::Timeout);
    expected.insert(Deed::Proof);
    assert_eq!(undone, expected);
}
