//! Publishing, bonds and their return (`sc_rollup_stake_storage.ml`).
//!
//! Promises: the protocol's checks in the protocol's order, hence its errors. An operation that
//! fails is undone as a whole by the caller, so checks may follow changes as they do upstream.

use crate::protocol::{Commitment, CommitmentHash, Level, Protocol, PublicKeyHash, RollupAddress};
use crate::sim::context::Context;
use crate::sim::errors::{RuleError, Trace};
use crate::sim::ledger::{Holder, Movement, Owner};
use crate::sim::rollup::{Rollup, StakerIndex};

/// What a publication did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    /// Hash of the commitment.
    pub staked_hash: CommitmentHash,
    /// Level of its first publication by anybody.
    pub published_at_level: Level,
    /// The bond, when this was the staker's first.
    pub movements: Vec<Movement>,
}

/// Publishes `commitment` on behalf of `staker`.
///
/// # Errors
/// The protocol's refusal.
pub(crate) fn publish(
    context: &mut Context,
    address: RollupAddress,
    staker: PublicKeyHash,
    commitment: &Commitment,
) -> Result<Published, Trace> {
    let rollup = context.rollup(&address)?;
    let private = context.parameters.private_rollups;
    if private
        && rollup
            .whitelist
            .as_ref()
            .is_some_and(|list| !list.contains(&staker))
    {
        return Err(RuleError::StakerNotInWhitelist {}.into());
    }
    if commitment.number_of_ticks == 0 {
        return Err(RuleError::ZeroTickCommitment {}.into());
    }
    let (index, movements) = match rollup.index_of(&staker) {
        Ok(index) => (index, Vec::new()),
        Err(_) => deposit(context, address, staker)?,
    };
    check_level(context, &address, commitment)?;
    check_curfew(context, &address, commitment.inbox_level)?;
    let level = context.level;
    if commitment.inbox_level >= level {
        return Err(RuleError::CommitmentFromFuture {
            current_level: level,
            inbox_level: commitment.inbox_level,
        }
        .into());
    }
    let double_publish_fails = context.protocol >= Protocol::Nairobi;
    let rollup = context.rollup_mut(&address)?;
    let published_at_level = stand(rollup, index, commitment, level, double_publish_fails)?;
    Ok(Published {
        staked_hash: commitment.hash(),
        published_at_level,
        movements,
    })
}

/// Freezes the bond and gives the staker an index.
fn deposit(
    context: &mut Context,
    address: RollupAddress,
    staker: PublicKeyHash,
) -> Result<(StakerIndex, Vec<Movement>), Trace> {
    let bond = context.parameters.rollup.stake_amount;
    let owner = Owner::Implicit(staker);
    let balance = context.ledger.balance(owner);
    let movements = context
        .ledger_mut()
        .transfer(
            Holder::Spendable(owner),
            Holder::Bond(staker, address),
            bond,
        )
        .map_err(|cause| {
            cause.under(RuleError::StakerFundsTooLow {
                staker,
                smart_rollup: address,
                staker_balance: balance,
                min_expected_balance: bond,
            })
        })?;
    let rollup = context.rollup_mut(&address)?;
    let index = StakerIndex(rollup.next_index);
    rollup.next_index = rollup.next_index.saturating_add(1);
    rollup.staker_index.insert(staker, index);
    rollup.highest_stake.insert(index, Level::ZERO);
    Ok((index, movements))
}

fn check_level(
    context: &Context,
    address: &RollupAddress,
    commitment: &Commitment,
) -> Result<(), Trace> {
    let rollup = context.rollup(address)?;
    let cemented = rollup.last_cemented()?.inbox_level;
    let ahead = match commitment.inbox_level.since(cemented) {
        Some(blocks) if blocks > 0 => blocks,
        _ => {
            return Err(RuleError::CommitmentTooOld {
                last_cemented_inbox_level: cemented,
                commitment_inbox_level: commitment.inbox_level,
            }
            .into());
        }
    };
    if ahead > context.parameters.rollup.max_lookahead {
        return Err(RuleError::TooFarAhead {}.into());
    }
    let predecessor = rollup.commitment(&commitment.predecessor)?;
    let expected = context.next_commitment_level(predecessor.inbox_level);
    if Some(commitment.inbox_level) == expected {
        return Ok(());
    }
    Err(match expected {
        Some(expected) if context.protocol >= Protocol::Quebec => RuleError::BadInboxLevel {
            expected,
            provided: commitment.inbox_level,
        },
        _ => RuleError::BadInboxLevelUnnamed {},
    }
    .into())
}

fn check_curfew(
    context: &mut Context,
    address: &RollupAddress,
    inbox_level: Level,
) -> Result<(), Trace> {
    let (level, window) = (context.level, context.parameters.rollup.challenge_window);
    let rollup = context.rollup_mut(address)?;
    let first = *rollup.first_publication.entry(inbox_level).or_insert(level);
    if level.since(first).is_some_and(|blocks| blocks > window) {
        return Err(RuleError::CommitmentPastCurfew {}.into());
    }
    Ok(())
}

/// Records the stake; answers the level of the commitment's first publication.
fn stand(
    rollup: &mut Rollup,
    index: StakerIndex,
    commitment: &Commitment,
    level: Level,
    double_publish_fails: bool,
) -> Result<Level, RuleError> {
    let (hash, inbox_level) = (commitment.hash(), commitment.inbox_level);
    rollup.commitments.insert(hash, *commitment);
    let added = *rollup.added.entry(hash).or_insert(level);
    if let Some(highest) = rollup.highest_stake.get_mut(&index) {
        *highest = (*highest).max(inbox_level);
    }
    let stakers = rollup.stakers_of.entry(hash).or_default();
    if !stakers.contains(&index) {
        stakers.insert(0, index);
    } else if double_publish_fails {
        return Err(RuleError::DoublePublish {
            commitment_hash: hash,
        });
    }
    let siblings = rollup.per_level.entry(inbox_level).or_default();
    if !siblings.contains(&hash) {
        siblings.insert(0, hash);
    }
    let stakes = rollup
        .at_level(inbox_level)
        .iter()
        .filter(|sibling| rollup.stands_on(index, sibling))
        .count();
    if stakes > 1 {
        return Err(RuleError::StakerDoubleStake {});
    }
    Ok(added)
}

/// Gives the bond of `staker` back; anybody may ask for it.
///
/// # Errors
/// The protocol's refusal.
pub(crate) fn recover_bond(
    context: &mut Context,
    address: RollupAddress,
    staker: PublicKeyHash,
) -> Result<Vec<Movement>, Trace> {
    let rollup = context.rollup(&address)?;
    let cemented = rollup.last_cemented()?.inbox_level;
    let index = rollup.index_of(&staker)?;
    let highest = rollup
        .highest_stake
        .get(&index)
        .copied()
        .unwrap_or(Level::ZERO);
    if highest > cemented {
        return Err(RuleError::NotStakedOnLccOrAncestor {}.into());
    }
    let bond = context.parameters.rollup.stake_amount;
    let movements = context.ledger_mut().transfer(
        Holder::Bond(staker, address),
        Holder::Spendable(Owner::Implicit(staker)),
        bond,
    )?;
    forget(context.rollup_mut(&address)?, &staker);
    Ok(movements)
}

/// Burns the bond of a staker that lost; nothing when another game took it already.
///
/// # Errors
/// A trace when the bond is not there, which the rules never let happen.
pub(crate) fn slash(
    context: &mut Context,
    address: RollupAddress,
    staker: PublicKeyHash,
) -> Result<Vec<Movement>, Trace> {
    if context.rollup(&address)?.index_of(&staker).is_err() {
        return Ok(Vec::new());
    }
    let bond = context.parameters.rollup.stake_amount;
    let movements =
        context
            .ledger_mut()
            .transfer(Holder::Bond(staker, address), Holder::Punishments, bond)?;
    forget(context.rollup_mut(&address)?, &staker);
    Ok(movements)
}

/// A staker without its index stands on nothing, whatever marks it left.
fn forget(rollup: &mut Rollup, staker: &PublicKeyHash) {
    if let Some(index) = rollup.staker_index.remove(staker) {
        rollup.highest_stake.remove(&index);
    }
}
