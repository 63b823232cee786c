//! Closed tables: what errors mean, and the text of entries.

use std::collections::BTreeSet;

use super::super::*;
use crate::crypto::Hash;
use crate::l1::{NodeError, Status};
use crate::protocol::operation::Form;
use crate::protocol::{BlockHash, CommitmentHash, Level, OperationHash, Protocol};
use crate::signer::Turn;

fn error(id: &str) -> NodeError {
    NodeError {
        id: id.into(),
        kind: "temporary".into(),
        msg: None,
        needed_fee: None,
    }
}

fn meaning(ids: &[&str]) -> Outcome {
    of_errors(&ids.iter().map(|id| error(id)).collect::<Vec<_>>())
}

#[test]
fn every_error_is_known_once_and_under_every_protocol() {
    let ids: BTreeSet<_> = KNOWN.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids.len(), KNOWN.len());
    for (id, outcome) in KNOWN {
        assert_eq!(of_id(id), Some(*outcome), "{id}");
        for protocol in Protocol::ALL {
            let whole = format!("proto.{}.{id}", protocol.error_name());
            assert_eq!(of_id(&whole), Some(*outcome), "{whole}");
        }
    }
}

/// Every error that the modules of Ushuaia (proto_025) register for rollups, and those of accounts,
/// fees, gas and validation that a manager operation can meet, by the module that registers it.
const RAISED: &[(&str, &[&str])] = &[
    (
        "sc_rollup_errors.ml",
        &[
            "smart_rollup_staker_in_game",
            "smart_rollup_timeout_level_not_reached",
            "smart_rollup_game_already_started",
            "smart_rollup_no_game",
            "smart_rollup_wrong_turn",
            "smart_rollup_max_number_of_messages_reached_for_commitment_period",
            "smart_rollup_add_zero_messages",
            "smart_rollup_no_valid_commitment_to_cement",
            "smart_rollup_commitment_disputed",
            "smart_rollup_does_not_exist",
            "smart_rollup_no_conflict",
            "smart_rollup_no_stakers",
            "smart_rollup_not_staked",
            "smart_rollup_not_staked_on_lcc_or_ancestor",
            "smart_rollup_parent_not_lcc",
            "smart_rollup_remove_lcc_or_ancestor",
            "smart_rollup_staker_double_stake",
            "smart_rollup_too_far_ahead",
            "smart_rollup_commitment_too_recent",
            "smart_rollup_unknown_commitment",
            "smart_rollup_bad_inbox_level",
            "smart_rollup_invalid_outbox_message_index",
            "smart_rollup_outbox_level_expired",
            "smart_rollup_outbox_message_already_applied",
            "smart_rollup_staker_funds_too_low",
            "smart_rollup_bad_commitment_serialization",
            "smart_rollup_commitment_from_future",
            "smart_rollup_commitment_past_curfew",
            "smart_rollup_address_generation",
            "smart_rollup_zero_tick_commitment",
            "smart_rollup_maximal_number_of_parallel_games_reached",
            "smart_rollup_not_valid_commitments_conflict",
            "smart_rollup_wrong_staker_for_conflict_commitment",
            "smart_rollup_commitment_too_old",
            "smart_rollup_no_commitment_to_cement",
            "smart_rollup_double_publish",
            "smart_rollup_empty_whitelist",
            "smart_rollup_whitelist_disabled",
            "smart_rollup_staker_not_in_whitelist",
            "smart_rollup_duplicated_key_in_whitelist",
            "smart_rollup_rollup_is_public",
        ],
    ),
    (
        "sc_rollup_dissection_chunk_repr.ml",
        &[
            "smart_rollup_dissection_number_of_sections_mismatch",
            "smart_rollup_dissection_invalid_number_of_sections",
            "smart_rollup_dissection_start_hash_mismatch",
            "smart_rollup_dissection_stop_hash_mismatch",
            "smart_rollup_dissection_edge_ticks_mismatch",
            "smart_rollup_dissection_ticks_not_increasing",
            "smart_rollup_dissection_invalid_distribution",
            "smart_rollup_dissection_invalid_successive_states_shape",
        ],
    ),
    (
        "sc_rollup_game_repr.ml",
        &[
            "Dissection_choice_not_found",
            "Dissection_unexpected_section_size",
            "Proof_start_state_hash_mismatch",
            "Proof_stop_state_hash_failed_to_refute",
            "Proof_stop_state_hash_failed_to_validate",
            "Dissecting_during_final_move",
        ],
    ),
    (
        "sc_rollup_inbox_merkelized_payload_hashes_repr.ml",
        &["internal.smart_rollup_merklized_payload_hashes_proof"],
    ),
    (
        "sc_rollup_inbox_message_repr.ml",
        &[
            "smart_rollup_inbox_message_encoding",
            "smart_rollup_inbox_message_decoding",
        ],
    ),
    (
        "sc_rollup_inbox_repr.ml",
        &[
            "internal.smart_rollup_inbox_proof_error",
            "internal.smart_rollup_add_zero_messages",
            "smart_rollup_inbox_level_reached_message_limit",
        ],
    ),
    (
        "sc_rollup_management_protocol.ml",
        &["smart_rollup_management_protocol_invalid_destination"],
    ),
    (
        "sc_rollup_operations.ml",
        &[
            "smart_rollup_invalid_parameters_type",
            "smart_rollup_invalid_last_cemented_commitment",
            "smart_rollup_invalid_output_proof",
            "smart_rollup_invalid_outbox_level",
            "smart_rollup_outdated_whitelist_update",
        ],
    ),
    (
        "sc_rollup_outbox_message_repr.ml",
        &[
            "smart_rollup_outbox_message_repr.error_encoding_outbox_message",
            "smart_rollup_outbox_message_repr.error_decoding_outbox_message",
        ],
    ),
    (
        "sc_rollup_proof_repr.ml",
        &[
            "smart_rollup_proof_check",
            "smart_rollup_invalid_serialized_inbox_proof",
        ],
    ),
    (
        "sc_rollup_arith.ml",
        &[
            "smart_rollup_arith_invalid_claim_about_outbox",
            "smart_rollup_arith_output_proof_production_failed",
            "smart_rollup_arith_proof_production_failed",
        ],
    ),
    (
        "sc_rollup_riscv.ml",
        &[
            "smart_rollup_riscv_proof_production_failed",
            "smart_rollup_riscv_proof_verification_failed",
            "smart_rollup_riscv_output_proof_verification_failed",
        ],
    ),
    (
        "sc_rollup_wasm.ml",
        &[
            "smart_rollup_wasm_invalid_claim_about_outbox",
            "smart_rollup_wasm_output_proof_production_failed",
            "smart_rollup_wasm_output_proof_verification_failed",
            "smart_rollup_wasm_proof_production_failed",
            "smart_rollup_wasm_proof_verification_failed",
            "smart_rollup_wasm_invalid_dissection_distribution",
        ],
    ),
    (
        "contract_storage.ml",
        &[
            "contract.balance_too_low",
            "contract.counter_in_the_future",
            "contract.counter_in_the_past",
            "contract.non_existing_contract",
            "contract.manager.inconsistent_public_key",
            "contract.failure",
            "implicit.empty_implicit_contract",
            "implicit.empty_implicit_delegated_contract",
            "frozen_bonds.must_be_spent_at_once",
        ],
    ),
    (
        "contract_manager_storage.ml",
        &[
            "contract.unrevealed_key",
            "contract.manager.inconsistent_hash",
            "contract.previously_revealed_key",
            "contract.missing_manager_contract",
        ],
    ),
    (
        "fees_storage.ml",
        &[
            "contract.cannot_pay_storage_fee",
            "contract.negative_storage_input",
            "storage_exhausted.operation",
            "storage_limit_too_high",
        ],
    ),
    ("gas_limit_repr.ml", &["gas_limit_too_high"]),
    (
        "raw_context.ml",
        &["gas_exhausted.operation", "gas_exhausted.block"],
    ),
    (
        "operation_repr.ml",
        &[
            "operation.invalid_signature",
            "operation.missing_signature",
            "operation.contents_list_error",
        ],
    ),
    ("apply.ml", &["operation.error_while_taking_fees"]),
    (
        "validate_errors.ml",
        &[
            "validate.operation.manager_restriction",
            "validate.operation.inconsistent_sources",
            "validate.operation.inconsistent_counters",
            "validate.operation.incorrect_reveal_position",
            "validate.operation.missing_bls_proof",
            "validate.operation.incorrect_bls_proof",
            "validate.operation.unused_bls_proof",
            "validate.operation.insufficient_gas_for_manager",
            "validate.operation.gas_quota_exceeded_init_deserialize",
            "validate.operation.sc_rollup_refutation_game_start_too_early",
        ],
    ),
];

/// Errors of what a tower never sends: messages, outputs, originations, whitelists, the other
/// machines, scripts. One of them would be a disagreement, as anything unknown is.
const NOT_OURS: &[&str] = &[
    "smart_rollup_add_zero_messages",
    "internal.smart_rollup_add_zero_messages",
    "smart_rollup_inbox_message_encoding",
    "smart_rollup_inbox_message_decoding",
    "smart_rollup_inbox_level_reached_message_limit",
    "smart_rollup_invalid_outbox_message_index",
    "smart_rollup_outbox_level_expired",
    "smart_rollup_outbox_message_already_applied",
    "smart_rollup_invalid_output_proof",
    "smart_rollup_invalid_outbox_level",
    "smart_rollup_outbox_message_repr.error_encoding_outbox_message",
    "smart_rollup_outbox_message_repr.error_decoding_outbox_message",
    "smart_rollup_wasm_invalid_claim_about_outbox",
    "smart_rollup_wasm_output_proof_production_failed",
    "smart_rollup_wasm_output_proof_verification_failed",
    "smart_rollup_management_protocol_invalid_destination",
    "smart_rollup_address_generation",
    "smart_rollup_invalid_parameters_type",
    "smart_rollup_invalid_last_cemented_commitment",
    "smart_rollup_empty_whitelist",
    "smart_rollup_whitelist_disabled",
    "smart_rollup_duplicated_key_in_whitelist",
    "smart_rollup_rollup_is_public",
    "smart_rollup_outdated_whitelist_update",
    "smart_rollup_arith_invalid_claim_about_outbox",
    "smart_rollup_arith_output_proof_production_failed",
    "smart_rollup_arith_proof_production_failed",
    "smart_rollup_riscv_proof_production_failed",
    "smart_rollup_riscv_proof_verification_failed",
    "smart_rollup_riscv_output_proof_verification_failed",
    "contract.failure",
];

/// Errors of earlier protocols, which towers still meet in the past of a chain.
const EARLIER: &[&str] = &["smart_rollup_invalid_commitment_to_cement"];

#[test]
fn every_error_that_the_newest_protocol_registers_has_a_meaning_or_is_of_other_operations() {
    let mut raised = BTreeSet::new();
    for (module, ids) in RAISED {
        for id in *ids {
            assert!(raised.insert(*id), "{module}: {id} twice");
            let is_known = of_id(id).is_some();
            assert_eq!(is_known, !NOT_OURS.contains(id), "{module}: {id}");
        }
    }
    assert!(NOT_OURS.iter().all(|id| raised.contains(id)));
    // And no meaning is given to what nothing raises.
    for (id, _) in KNOWN {
        let is_of_rollups = id.contains("rollup") || id.starts_with(|c: char| c.is_uppercase());
        assert!(
            !is_of_rollups || raised.contains(id) || EARLIER.contains(id),
            "{id}"
        );
    }
}

#[test]
fn the_older_spelling_means_the_same() {
    let old = "proto.alpha.Sc_rollup_not_staked";
    assert_eq!(of_id(old), Some(Outcome::Obsolete));
}

#[test]
fn the_unknown_is_a_disagreement_and_wrappers_mean_nothing() {
    let id = "proto.025-PsUshuai.smart_rollup_something_new";
    assert_eq!(meaning(&[id]), Outcome::Disagreement);
    assert_eq!(meaning(&[]), Outcome::Disagreement);
    assert_eq!(meaning(&["failure"]), Outcome::Disagreement);
    // What a node answers when its mempool refuses: why stands in the text alone.
    let refused = ["async_injection_failed", "failure"];
    assert_eq!(meaning(&refused), Outcome::Retry);
    let past = "proto.025-PsUshuai.contract.counter_in_the_past";
    assert_eq!(meaning(&["failure", past]), Outcome::Retry);
    assert_eq!(meaning(&[past, id]), Outcome::Disagreement);
    let poor = [
        "proto.025-PsUshuai.contract.balance_too_low",
        "proto.025-PsUshuai.tez.subtraction_underflow",
    ];
    assert_eq!(meaning(&poor), Outcome::Stop);
    // A name is not known by being the end of another one.
    assert_eq!(
        meaning(&["proto.alpha.xcontract.counter_in_the_past"]),
        Outcome::Disagreement
    );
}

#[test]
fn receipts_by_status() {
    let wait = [error(
        "proto.025-PsUshuai.smart_rollup_commitment_too_recent",
    )];
    for (status, errors, outcome) in [
        (Status::Applied, &[][..], Outcome::Included),
        (Status::Skipped, &[], Outcome::Retry),
        (Status::Backtracked, &[], Outcome::Retry),
        (Status::Failed, &[], Outcome::Disagreement),
        (Status::Failed, &wait, Outcome::Wait),
        (Status::Backtracked, &wait, Outcome::Wait),
    ] {
        assert_eq!(of_receipt(status, errors), outcome, "{status:?} {errors:?}");
    }
}

#[test]
fn entries_read_back_the_same() {
    let (hash, block, level) = (OperationHash([1; 32]), BlockHash([2; 32]), Level::new(7));
    let forms = [Form::Modern(Protocol::Ushuaia), Form::Scr1];
    let turn = Some(Turn(Hash([3; 32])));
    let items = vec![
        Item {
            turn,
            cements: None,
            deadline: Some(level),
        },
        Item {
            turn: None,
            cements: Some(CommitmentHash([4; 32])),
            deadline: None,
        },
    ];
    let (unsigned, reason) = (vec![0, 0xff], "because".to_owned());
    for form in forms {
        for entry in [
            Entry::WouldSend {
                unsigned: unsigned.clone(),
                form,
                level,
                items: items.clone(),
            },
            Entry::Admitted {
                unsigned: unsigned.clone(),
                form,
                turns: vec![None, turn],
                at: -1,
            },
            Entry::Refused {
                unsigned: unsigned.clone(),
                level,
                reason: reason.clone(),
            },
            Entry::Signed {
                hash,
                bytes: unsigned.clone(),
                form,
                branch_level: level,
                level,
                items: items.clone(),
            },
            Entry::Injected {
                hash,
                level,
                accepted: vec!["a".into()],
                refused: vec![("b".into(), reason.clone())],
            },
            Entry::Included {
                hash,
                block,
                level,
                outcomes: vec![Outcome::Included, Outcome::Stop],
                errors: vec!["e".into()],
            },
            Entry::Undone { hash, level },
            Entry::Final { hash, level },
            Entry::Dropped {
                hash,
                level,
                reason: reason.clone(),
            },
            Entry::Held {
                what: "x".into(),
                outcome: Outcome::Wait,
                errors: Vec::new(),
                until: level,
            },
            Entry::Unadvised {
                what: vec!["x".into()],
                level,
                reasons: vec![reason.clone()],
            },
            Entry::Foreign {
                hash,
                block: None,
                level,
            },
            Entry::Foreign {
                hash,
                block: Some(block),
                level,
            },
            Entry::Resumed {
                level,
                reason: reason.clone(),
            },
        ] {
            let text = entry.to_json();
            assert!(!text.contains('\n'), "{text}");
            assert!(
                text.contains(&format!("\"entry\":\"{}\"", entry.word())),
                "{text}"
            );
            assert_eq!(Entry::from_json(&text).as_ref(), Ok(&entry), "{text}");
        }
    }
    assert!(matches!(Entry::from_json("{}"), Err(EntryError::Text(_))));
}
