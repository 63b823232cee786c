//! What every answer of the chain means for an intention: a closed table.
//!
//! Promises: each error that the protocols raise for the operations a tower sends has one meaning;
//! an error that is not in the table is a disagreement, and alarms. Ids are matched by what follows
//! the protocol's name, so one table serves all protocols. Source: `sc_rollup_errors.ml` and the
//! modules of the validation; `validation_errors.ml` of the shell.

use crate::l1::{NodeError, Status};

/// What to make of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It took effect, now or before.
    Included,
    /// The chain moved on: nothing to do any more, what is wanted is derived again.
    Obsolete,
    /// Too early, or the place is taken: the same may be accepted later.
    Wait,
    /// Nothing is wrong with the move: send it again, in another operation.
    Retry,
    /// Something outside has to change: money, key, permission. Told, and tried again rarely.
    Stop,
    /// The chain does not think of the move what we think of it. Told, and not sent again as it is.
    Disagreement,
}

impl Outcome {
    /// The word in the journal.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Included => "included",
            Self::Obsolete => "obsolete",
            Self::Wait => "wait",
            Self::Retry => "retry",
            Self::Stop => "stop",
            Self::Disagreement => "disagreement",
        }
    }

    /// The outcome of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [
            Self::Included,
            Self::Obsolete,
            Self::Wait,
            Self::Retry,
            Self::Stop,
            Self::Disagreement,
        ]
        .into_iter()
        .find(|outcome| outcome.word() == word)
    }
}

use Outcome::{Disagreement, Included, Obsolete, Retry, Stop, Wait};

/// Every error known, by the end of its id, and what it means.
pub const KNOWN: &[(&str, Outcome)] = &[
    // Games.
    ("smart_rollup_game_already_started", Obsolete),
    ("smart_rollup_no_game", Obsolete),
    ("smart_rollup_wrong_turn", Wait),
    ("smart_rollup_timeout_level_not_reached", Wait),
    ("smart_rollup_no_conflict", Obsolete),
    ("smart_rollup_not_valid_commitments_conflict", Disagreement),
    (
        "smart_rollup_wrong_staker_for_conflict_commitment",
        Obsolete,
    ),
    (
        "smart_rollup_maximal_number_of_parallel_games_reached",
        Wait,
    ),
    (
        "smart_rollup_dissection_number_of_sections_mismatch",
        Disagreement,
    ),
    (
        "smart_rollup_dissection_invalid_number_of_sections",
        Disagreement,
    ),
    ("smart_rollup_dissection_start_hash_mismatch", Disagreement),
    ("smart_rollup_dissection_stop_hash_mismatch", Disagreement),
    ("smart_rollup_dissection_edge_ticks_mismatch", Disagreement),
    ("smart_rollup_dissection_ticks_not_increasing", Disagreement),
    ("smart_rollup_dissection_invalid_distribution", Disagreement),
    (
        "smart_rollup_dissection_invalid_successive_states_shape",
        Disagreement,
    ),
    (
        "smart_rollup_wasm_invalid_dissection_distribution",
        Disagreement,
    ),
    ("smart_rollup_proof_check", Disagreement),
    ("smart_rollup_invalid_serialized_inbox_proof", Disagreement),
    ("internal.smart_rollup_inbox_proof_error", Disagreement),
    (
        "internal.smart_rollup_merklized_payload_hashes_proof",
        Disagreement,
    ),
    ("smart_rollup_wasm_proof_production_failed", Disagreement),
    ("smart_rollup_wasm_proof_verification_failed", Disagreement),
    ("Dissection_choice_not_found", Disagreement),
    ("Dissection_unexpected_section_size", Disagreement),
    ("Dissecting_during_final_move", Disagreement),
    ("Proof_start_state_hash_mismatch", Disagreement),
    ("Proof_stop_state_hash_failed_to_refute", Disagreement),
    ("Proof_stop_state_hash_failed_to_validate", Disagreement),
    (
        "validate.operation.sc_rollup_refutation_game_start_too_early",
        Wait,
    ),
    ("smart_rollup_staker_in_game", Wait),
    // Commitments and bonds.
    ("smart_rollup_does_not_exist", Stop),
    ("smart_rollup_unknown_commitment", Obsolete),
    ("smart_rollup_bad_inbox_level", Disagreement),
    ("smart_rollup_too_far_ahead", Wait),
    ("smart_rollup_commitment_from_future", Wait),
    ("smart_rollup_commitment_past_curfew", Stop),
    ("smart_rollup_commitment_too_old", Obsolete),
    ("smart_rollup_commitment_too_recent", Wait),
    ("smart_rollup_zero_tick_commitment", Disagreement),
    ("smart_rollup_bad_commitment_serialization", Disagreement),
    ("smart_rollup_double_publish", Included),
    ("smart_rollup_staker_double_stake", Disagreement),
    ("smart_rollup_staker_funds_too_low", Stop),
    ("smart_rollup_staker_not_in_whitelist", Stop),
    ("smart_rollup_not_staked", Obsolete),
    ("smart_rollup_not_staked_on_lcc_or_ancestor", Wait),
    ("smart_rollup_commitment_disputed", Wait),
    ("smart_rollup_no_valid_commitment_to_cement", Wait),
    ("smart_rollup_no_commitment_to_cement", Wait),
    ("smart_rollup_invalid_commitment_to_cement", Disagreement),
    ("smart_rollup_parent_not_lcc", Wait),
    ("smart_rollup_no_stakers", Obsolete),
    ("smart_rollup_remove_lcc_or_ancestor", Obsolete),
    (
        "smart_rollup_max_number_of_messages_reached_for_commitment_period",
        Wait,
    ),
    // Accounts and operations.
    ("contract.counter_in_the_past", Retry),
    ("contract.counter_in_the_future", Retry),
    ("contract.balance_too_low", Stop),
    ("tez.subtraction_underflow", Stop),
    ("contract.non_existing_contract", Stop),
    ("implicit.empty_implicit_contract", Stop),
    ("contract.unrevealed_key", Retry),
    ("contract.previously_revealed_key", Retry),
    ("contract.manager.inconsistent_hash", Disagreement),
    ("contract.manager.inconsistent_public_key", Disagreement),
    ("contract.missing_manager_contract", Stop),
    ("contract.negative_storage_input", Disagreement),
    ("implicit.empty_implicit_delegated_contract", Stop),
    ("frozen_bonds.must_be_spent_at_once", Disagreement),
    ("operation.error_while_taking_fees", Retry),
    ("contract.cannot_pay_storage_fee", Stop),
    ("storage_exhausted.operation", Disagreement),
    ("gas_exhausted.operation", Retry),
    ("gas_exhausted.block", Retry),
    ("gas_limit_too_high", Disagreement),
    ("storage_limit_too_high", Disagreement),
    ("validate.operation.manager_restriction", Wait),
    ("validate.operation.inconsistent_sources", Disagreement),
    ("validate.operation.inconsistent_counters", Disagreement),
    ("validate.operation.incorrect_reveal_position", Disagreement),
    ("validate.operation.missing_bls_proof", Disagreement),
    ("validate.operation.incorrect_bls_proof", Stop),
    ("validate.operation.unused_bls_proof", Disagreement),
    (
        "validate.operation.gas_quota_exceeded_init_deserialize",
        Disagreement,
    ),
    (
        "validate.operation.insufficient_gas_for_manager",
        Disagreement,
    ),
    ("operation.invalid_signature", Stop),
    ("operation.missing_signature", Stop),
    ("operation.contents_list_error", Disagreement),
    // The shell and its mempool.
    ("prevalidation.operation_conflict", Retry),
    ("prevalidation.operation_replacement", Wait),
    ("prevalidation.future_or_unknown_branch", Retry),
    ("node.mempool.rejected_by_full_mempool", Retry),
    ("node.mempool.removed_from_full_mempool", Retry),
    ("node.prevalidation.oversized_operation", Disagreement),
    ("node.prevalidation.parse_error", Disagreement),
    ("prefilter.fees_too_low", Retry),
    // A refused injection names its errors in a text only: nothing is known of the move, and the
    // next simulation tells them by their ids.
    ("async_injection_failed", Retry),
];

/// Carries text around another error and means nothing by itself.
const WRAPPER: &str = "failure";

/// What an id means; none when it is unknown.
#[must_use]
pub fn of_id(id: &str) -> Option<Outcome> {
    let local = local(id);
    KNOWN
        .iter()
        .find(|(known, _)| *known == local)
        .map(|(_, outcome)| *outcome)
}

/// The id without the protocol in front, in today's spelling.
fn local(id: &str) -> String {
    let rest = id.strip_prefix("proto.").map_or(id, |rest| {
        rest.split_once('.').map_or(rest, |(_, local)| local)
    });
    // The older dialect capitalised: `Sc_rollup_not_staked`.
    for old in ["Sc_rollup_", "sc_rollup_"] {
        if let Some(name) = rest.strip_prefix(old) {
            return format!("smart_rollup_{name}");
        }
    }
    rest.to_owned()
}

/// What a list of errors means: the gravest of them, wrappers left out.
#[must_use]
pub fn of_errors(errors: &[NodeError]) -> Outcome {
    errors
        .iter()
        .filter(|error| local(&error.id) != WRAPPER)
        .map(|error| of_id(&error.id).unwrap_or(Disagreement))
        .max()
        .unwrap_or(Disagreement)
}

/// What the receipt of a content means.
#[must_use]
pub fn of_receipt(status: Status, errors: &[NodeError]) -> Outcome {
    match status {
        Status::Applied => Included,
        // Undone or not tried because of another content.
        Status::Skipped | Status::Backtracked if errors.is_empty() => Retry,
        Status::Skipped | Status::Backtracked | Status::Failed => of_errors(errors),
    }
}
