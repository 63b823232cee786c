//! Executing outbox messages: the checks that come before the proof (`sc_rollup_operations.ml`).
//!
//! Promises: a commitment that is not among the cemented ones is refused as the protocol does. The
//! output proof needs the machine and is refused by name for now.

use crate::protocol::{CommitmentHash, RollupAddress};
use crate::sim::context::Context;
use crate::sim::errors::{RuleError, Trace};

/// Judges an execution up to its proof.
///
/// # Errors
/// The protocol's refusal, or [`RuleError::NotSupported`] when only the proof is left to judge.
pub(crate) fn execute(
    context: &Context,
    rollup: &RollupAddress,
    cemented: &CommitmentHash,
) -> Result<(), Trace> {
    let rollup = context.rollup(rollup)?;
    let mut hash = rollup.last_cemented;
    loop {
        if hash == *cemented {
            return Err(RuleError::NotSupported {
                what: "judging an output proof".into(),
            }
            .into());
        }
        match rollup.commitments.get(&hash) {
            Some(commitment) => hash = commitment.predecessor,
            None => return Err(RuleError::InvalidLastCementedCommitment {}.into()),
        }
    }
}
