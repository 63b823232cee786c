//! The judgement of one published commitment: pure.

use crate::crypto::Dialect;
use crate::journal::Judgement;
use crate::protocol::{Commitment, Dialected};

/// Compares a claim with what is true at its inbox level, field by field in the order of the
/// encoding. Both have the same inbox level.
#[must_use]
pub fn compare(claim: &Commitment, truth: &Commitment, dialect: Dialect) -> Judgement {
    let differs = |field, claimed: String, computed: String| Judgement::False {
        field,
        claimed,
        computed,
    };
    if claim.compressed_state != truth.compressed_state {
        return differs(
            "compressed_state",
            claim.compressed_state.text(dialect),
            truth.compressed_state.text(dialect),
        );
    }
    if claim.inbox_level != truth.inbox_level {
        return differs(
            "inbox_level",
            claim.inbox_level.to_string(),
            truth.inbox_level.to_string(),
        );
    }
    if claim.predecessor != truth.predecessor {
        return differs(
            "predecessor",
            claim.predecessor.text(dialect),
            truth.predecessor.text(dialect),
        );
    }
    if claim.number_of_ticks != truth.number_of_ticks {
        return differs(
            "number_of_ticks",
            claim.number_of_ticks.to_string(),
            truth.number_of_ticks.to_string(),
        );
    }
    Judgement::True
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{CommitmentHash, Level, StateHash};

    #[test]
    fn the_first_differing_field_is_named_with_both_values() {
        let truth = Commitment {
            compressed_state: StateHash([1; 32]),
            inbox_level: Level::new(30),
            predecessor: CommitmentHash([2; 32]),
            number_of_ticks: 7,
        };
        let told = |claim: &Commitment| match compare(claim, &truth, Dialect::Scr1) {
            Judgement::False {
                field,
                claimed,
                computed,
            } => format!("{field} {claimed} {computed}"),
            other => other.word().into(),
        };
        assert_eq!(told(&truth), "true");
        let ticks = Commitment {
            number_of_ticks: 8,
            ..truth
        };
        assert_eq!(told(&ticks), "number_of_ticks 8 7");
        let predecessor = Commitment {
            predecessor: CommitmentHash([3; 32]),
            ..ticks
        };
        assert!(told(&predecessor).starts_with("predecessor scc1"));
        let state = Commitment {
            compressed_state: StateHash([3; 32]),
            ..predecessor
        };
        assert!(told(&state).starts_with("compressed_state scs1"));
        assert_eq!(
            compare(&state, &truth, Dialect::Scr1),
            compare(&state, &truth, Dialect::Scr1)
        );
    }
}
