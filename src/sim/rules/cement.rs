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
    let (level, candidate, others) = match heeded {
        Some(named) => next_by_name(context, rollup, named)?,
        None => next(context, rollup)?,
    };
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
    let rollup = context.rollup(address);
    let next = rollup.and_then(|rollup| next(context, rollup));
    next.is_ok_and(|(_, candidate, _)| candidate == *hash)
}

/// A level, the commitment to cement there, and the others of it.
type Next = (Level, CommitmentHash, Vec<CommitmentHash>);

/// The commitment that comes next, its window being over.
fn next(context: &Context, rollup: &Rollup) -> Result<Next, RuleError> {
    let cemented = rollup.last_cemented()?.inbox_level;
    let level = context
        .next_commitment_level(cemented)
        .ok_or(RuleError::NoValidCommitmentToCement {})?;
    let (candidate, others) = candidate(context.protocol, rollup, level)?;
    check_window(context, rollup, &candidate)?;
    Ok((level, candidate, others))
}

/// The commitment that Mumbai was told to cement: on the last cemented one, its own window over, and
/// alone.
fn next_by_name(
    context: &Context,
    rollup: &Rollup,
    named: CommitmentHash,
) -> Result<Next, RuleError> {
    let commitment = rollup.commitment(&named)?;
    if commitment.predecessor != rollup.last_cemented {
        return Err(RuleError::ParentNotLcc {});
    }
    check_window(context, rollup, &named)?;
    let level = commitment.inbox_level;
    let (candidate, others) = candidate(context.protocol, rollup, level)?;
    if candidate == named {
        return Ok((level, candidate, others));
    }
    Err(RuleError::InvalidCommitmentToCement {
        valid_candidate: candidate,
        invalid_candidate: named,
    })
}

/// The one commitment of `level` on the last cemented one that has an active staker; and the rest.
/// Until Nairobi none was told like two.
fn candidate(
    protocol: Protocol,
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
    match found {
        Some(hash) => Ok((hash, others)),
        None if protocol < Protocol::Oxford => Err(RuleError::Disputed {}),
        None => Err(RuleError::NoValidCommitmentToCement {}),
    }
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
