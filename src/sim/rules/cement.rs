//! Cementation and the pruning that goes with it (`sc_rollup_stake_storage.ml`).
//!
//! Promises: one active commitment per level is cemented once its window is over, everything else
//! of that level goes, and the oldest kept cemented commitment falls out.

use crate::protocol::{CommitmentHash, Level, Protocol, RollupAddress};
use crate::sim::context::Context;
use crate::sim::errors::{RuleError, Trace};
use crate::sim::rollup::Rollup;

/// What a cementation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cemented {
    /// Its inbox level.
    pub inbox_level: Level,
    /// The commitment cemented.
    pub commitment_hash: CommitmentHash,
}

/// Cements the next commitment of the rollup. `named` is the one the operation names, which only
/// Mumbai heeds.
///
/// # Errors
/// The protocol's refusal.
pub(crate) fn cement(
    context: &mut Context,
    address: RollupAddress,
    named: Option<CommitmentHash>,
) -> Result<Cemented, Trace> {
    let rollup = context.rollup(&address)?;
    let old = rollup.last_cemented;
    let heeded = named.filter(|_| context.protocol == Protocol::Mumbai);
    if let Some(named) = heeded
        && rollup.commitment(&named)?.predecessor != old
    {
        return Err(RuleError::ParentNotLcc {}.into());
    }
    let level = context
        .next_commitment_level(rollup.last_cemented()?.inbox_level)
        .ok_or(RuleError::NoValidCommitmentToCement {})?;
    let (candidate, others) = candidate(rollup, level)?;
    check_window(context, rollup, &candidate)?;
    if heeded.is_some_and(|named| named != candidate) {
        return Err(RuleError::InvalidCommitmentToCement {}.into());
    }
    let keep = context.parameters.rollup.max_stored_cemented;
    let rollup = context.rollup_mut(&address)?;
    rollup.last_cemented = candidate;
    prune_level(rollup, level, candidate, &others);
    prune_oldest(rollup, old, keep);
    Ok(Cemented {
        inbox_level: level,
        commitment_hash: candidate,
    })
}

/// Whether the next cementation would take `hash`, judged at the context's level.
#[must_use]
pub(crate) fn is_cementable(
    context: &Context,
    address: &RollupAddress,
    hash: &CommitmentHash,
) -> bool {
    let judged = || -> Result<bool, Trace> {
        let rollup = context.rollup(address)?;
        let level = context
            .next_commitment_level(rollup.last_cemented()?.inbox_level)
            .ok_or(RuleError::NoValidCommitmentToCement {})?;
        let (candidate, _) = candidate(rollup, level)?;
        check_window(context, rollup, &candidate)?;
        Ok(candidate == *hash)
    };
    judged().unwrap_or(false)
}

/// The one commitment of `level` on the last cemented one that has an active staker; and the rest.
fn candidate(
    rollup: &Rollup,
    level: Level,
) -> Result<(CommitmentHash, Vec<CommitmentHash>), RuleError> {
    let mut found = None;
    let mut others = Vec::new();
    for hash in rollup.at_level(level) {
        let on_top = rollup.commitment(hash)?.predecessor == rollup.last_cemented;
        let active = rollup
            .stakers_of
            .get(hash)
            .is_some_and(|stakers| stakers.iter().any(|index| rollup.is_active(*index)));
        match found {
            Some(_) if on_top && active => return Err(RuleError::Disputed {}),
            None if on_top && active => found = Some(*hash),
            _ => others.push(*hash),
        }
    }
    found
        .map(|hash| (hash, others))
        .ok_or(RuleError::NoValidCommitmentToCement {})
}

fn check_window(
    context: &Context,
    rollup: &Rollup,
    candidate: &CommitmentHash,
) -> Result<(), RuleError> {
    let window = context.parameters.rollup.challenge_window;
    let cementable_from = rollup
        .added
        .get(candidate)
        .and_then(|added| added.plus(window))
        .ok_or(RuleError::UnknownCommitment {
            commitment: *candidate,
        })?;
    if context.level < cementable_from {
        return Err(RuleError::CommitmentTooRecent {
            current_level: context.level,
            min_level: cementable_from,
        });
    }
    Ok(())
}

fn prune_level(rollup: &mut Rollup, level: Level, kept: CommitmentHash, others: &[CommitmentHash]) {
    rollup.per_level.remove(&level);
    rollup.first_publication.remove(&level);
    for hash in others {
        rollup.commitments.remove(hash);
        rollup.added.remove(hash);
        rollup.stakers_of.remove(hash);
    }
    rollup.added.remove(&kept);
    rollup.stakers_of.remove(&kept);
}

/// Walks back from the previously cemented commitment to the one that falls out of the window.
fn prune_oldest(rollup: &mut Rollup, old: CommitmentHash, keep: u32) {
    let mut hash = old;
    for _ in 1..keep {
        match rollup.commitments.get(&hash) {
            Some(commitment) => hash = commitment.predecessor,
            None => return,
        }
    }
    rollup.commitments.remove(&hash);
}
