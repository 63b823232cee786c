//! Commitments of recorded games, published as they were, then with one thing changed: each change
//! has its refusal. What differs in its state or ticks alone is another claim, which the chain cannot
//! tell from the true one; but nobody stands on two.

use std::path::PathBuf;

use super::recorded::{Setup, chain, commitment, files};
use crate::check::Lines;
use crate::protocol::{Commitment, Level};
use crate::sim::context::Context;
use crate::sim::errors::Trace;
use crate::sim::rules::{game, stake};

fn recorded() -> Vec<Setup> {
    let first = |path: &PathBuf| {
        let lines = Lines::open(path).unwrap();
        let (_, first) = lines.numbered().next().unwrap();
        serde_json::from_str(first).unwrap()
    };
    files().iter().map(first).collect()
}

fn id(refused: Trace) -> &'static str {
    refused.first().unwrap().id()
}

#[test]
fn a_changed_commitment_is_refused_with_its_id() {
    for recorded in recorded() {
        let truth = commitment(&recorded.honest_commitment);
        let lie = commitment(&recorded.cheat_commitment);
        let before = chain(&recorded);
        let (rollup, honest) = (recorded.rollup, recorded.honest);
        let told = |change: fn(&mut Commitment)| {
            let mut changed = truth;
            change(&mut changed);
            id(stake::publish(&mut before.clone(), rollup, honest, &changed).unwrap_err())
        };
        assert_eq!(
            told(|c| c.number_of_ticks = 0),
            "smart_rollup_zero_tick_commitment"
        );
        assert_eq!(
            told(|c| c.inbox_level = c.inbox_level.next().unwrap()),
            "smart_rollup_bad_inbox_level"
        );
        assert_eq!(
            told(|c| c.inbox_level = c.inbox_level.minus(1).unwrap()),
            if truth.inbox_level.minus(1) == Some(recorded.origination_level) {
                "smart_rollup_commitment_too_old"
            } else {
                "smart_rollup_bad_inbox_level"
            }
        );
        assert_eq!(
            told(|c| c.inbox_level = Level::ZERO),
            "smart_rollup_commitment_too_old"
        );
        assert_eq!(
            told(|c| c.inbox_level = Level::new(u16::MAX)),
            "smart_rollup_too_far_ahead"
        );
        for byte in 0..32 {
            let mut changed = truth;
            changed.predecessor.0[byte] ^= 1;
            let refused = stake::publish(&mut before.clone(), rollup, honest, &changed);
            assert_eq!(id(refused.unwrap_err()), "smart_rollup_unknown_commitment");
        }
        let mut early = before.clone();
        early.level = truth.inbox_level;
        let refused = stake::publish(&mut early, rollup, honest, &truth);
        assert_eq!(
            id(refused.unwrap_err()),
            "smart_rollup_commitment_from_future"
        );

        let mut after = before.clone();
        let published = stake::publish(&mut after, rollup, honest, &truth).unwrap();
        assert_eq!(published.staked_hash, truth.hash());
        let refused = stake::publish(&mut after.clone(), rollup, honest, &truth);
        assert_eq!(id(refused.unwrap_err()), "smart_rollup_double_publish");
        for byte in 0..32 {
            let mut other = truth;
            other.compressed_state.0[byte] ^= 1;
            assert_ne!(other.hash(), truth.hash());
            let refused = stake::publish(&mut after.clone(), rollup, honest, &other);
            assert_eq!(id(refused.unwrap_err()), "smart_rollup_staker_double_stake");
        }
        check_openings(&mut after, &recorded, &truth, &lie);
    }
}

/// Openings that name other commitments than the two that are there.
fn check_openings(context: &mut Context, recorded: &Setup, truth: &Commitment, lie: &Commitment) {
    let (rollup, honest, cheater) = (recorded.rollup, recorded.honest, recorded.cheater);
    stake::publish(context, rollup, cheater, lie).unwrap();
    let told = |ours: Commitment, theirs: Commitment| {
        let (ours, theirs) = ((honest, ours.hash()), (cheater, theirs.hash()));
        game::open(&mut context.clone(), rollup, ours, theirs)
    };
    assert!(told(*truth, *lie).is_ok());
    for byte in 0..32 {
        let mut changed = *truth;
        changed.compressed_state.0[byte] ^= 1;
        let nobodys = "smart_rollup_wrong_staker_for_conflict_commitment";
        assert_eq!(id(told(changed, *lie).unwrap_err()), nobodys);
        assert_eq!(id(told(*truth, changed).unwrap_err()), nobodys);
    }
    assert_eq!(
        id(told(*lie, *truth).unwrap_err()),
        "smart_rollup_wrong_staker_for_conflict_commitment"
    );
}
