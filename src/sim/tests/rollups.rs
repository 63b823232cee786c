//! What operations on rollups are refused with: originations, cementations, lists, games of none.

use serde_json::json;

use super::refusals::{at_the_door, in_block, origination, world};
use super::{claim, context_at, genesis, ids, short};
use crate::protocol::operation::{Action, PvmKind, Stakers, Step};
use crate::protocol::{CommitmentHash, Level, Protocol, RollupAddress, Tick};
use crate::sim::context::Context;
use crate::sim::rules::{cement, game, originate, stake};
use crate::sim::scenario::Scenario;

#[test]
fn an_origination_names_a_type_and_a_list_that_may_be() {
    let mut scenario = world(Protocol::Ushuaia);
    let someone = scenario.person(1).unwrap().account();
    let bytes = || json!({"prim": "bytes"});
    let mut told =
        |of_type, whitelist| in_block(&mut scenario, 0, vec![origination(of_type, whitelist)]);
    let invalid = ["smart_rollup_invalid_parameters_type"];
    for of_type in [
        json!({"prim": "mutez"}),
        json!({"prim": "bytes", "annots": ["%door"]}),
        json!({"prim": "lambda", "args": [bytes(), bytes()]}),
        json!({"prim": "option", "args": [{"prim": "big_map", "args": [bytes(), bytes()]}]}),
        json!({"prim": "or", "args": [bytes(), {"prim": "unit", "annots": ["%door"]}]}),
    ] {
        assert_eq!(told(of_type.clone(), None), invalid, "{of_type}");
    }
    let set = |inner| json!({"prim": "set", "args": [inner]});
    for (of_type, id) in [
        (json!({"prim": "operation"}), "unexpected_operation"),
        (json!({"int": "1"}), "invalid_expression_kind"),
        (json!({"prim": "bytes", "args": [bytes()]}), "invalid_arity"),
        (json!({"prim": "PAIR"}), "invalid_primitive_namespace"),
        (json!({"prim": "Pair"}), "invalid_primitive_namespace"),
        (set(set(bytes())), "comparable_type_expected"),
        (
            set(json!({"prim": "ticket", "args": [bytes()]})),
            "unexpected_ticket",
        ),
        (
            json!({"prim": "bytes", "annots": ["@var"]}),
            "unexpected_annotation",
        ),
    ] {
        let refused = told(of_type.clone(), None);
        assert_eq!(refused, [format!("michelson_v1.{id}")], "{of_type}");
    }
    let pair = json!({"prim": "pair", "args": [
        {"prim": "ticket", "args": [{"prim": "string"}]}, {"prim": "bytes", "annots": ["%field"]},
    ]});
    assert_eq!(told(pair, None), [""; 0]);
    assert_eq!(
        told(bytes(), Some(vec![])),
        ["smart_rollup_empty_whitelist"]
    );
    assert_eq!(
        told(bytes(), Some(vec![someone, someone])),
        [
            "smart_rollup_duplicated_key_in_whitelist",
            "context.storage_error"
        ]
    );
    assert_eq!(told(bytes(), Some(vec![someone])), [""; 0]);
    let mut setup = short(Protocol::Ushuaia);
    for (_, parameters) in setup.protocols.values_mut() {
        parameters.private_rollups = false;
    }
    let mut public = Scenario::new(setup).unwrap();
    assert_eq!(
        in_block(
            &mut public,
            0,
            vec![origination(bytes(), Some(vec![someone]))]
        ),
        ["smart_rollup_whitelist_disabled"]
    );
}

#[test]
fn only_the_wasm_machine_is_enabled() {
    let scenario = world(Protocol::Ushuaia);
    let of_kind = |pvm| {
        let Action::Originate(mut origination) = origination(json!({"prim": "bytes"}), None) else {
            unreachable!("an origination is one");
        };
        origination.pvm = pvm;
        let bytes = scenario.sign(0, vec![Action::Originate(origination)]);
        at_the_door(&scenario, &bytes.unwrap())
    };
    assert_eq!(of_kind(PvmKind::Arith), ["operation.arith_pvm_disabled"]);
    assert_eq!(of_kind(PvmKind::Riscv), ["operation.riscv_pvm_disabled"]);
}

#[test]
fn a_private_rollup_takes_the_stakes_of_its_list_alone() {
    let (mut context, rollup, people) = context_at(Protocol::Ushuaia, 13);
    let root = genesis(&context, &rollup);
    context.rollup_mut(&rollup).unwrap().whitelist = Some(vec![people[1]]);
    let refused = stake::publish(&mut context, rollup, people[2], &claim(root, 12, 1));
    assert_eq!(
        ids(&refused.unwrap_err()),
        ["smart_rollup_staker_not_in_whitelist"]
    );
    stake::publish(&mut context, rollup, people[1], &claim(root, 12, 1)).unwrap();
}

/// Mumbai heeds the commitment that a cementation names.
#[test]
fn a_named_cementation_must_name_the_next_one() {
    let (mut context, rollup, people) = context_at(Protocol::Mumbai, 13);
    let root = genesis(&context, &rollup);
    let first = claim(root, 12, 1);
    let wrong = claim(root, 12, 2);
    stake::publish(&mut context, rollup, people[1], &first).unwrap();
    stake::publish(&mut context, rollup, people[2], &wrong).unwrap();
    stake::slash(&mut context, rollup, people[2]).unwrap();
    context.level = Level::new(24);
    let second = claim(first.hash(), 22, 1);
    stake::publish(&mut context, rollup, people[1], &second).unwrap();
    let named = |context: &Context, hash| {
        ids(&cement::cement(&mut context.clone(), rollup, Some(hash)).unwrap_err())
    };
    // The window of the one that is named comes before the question whether it is alone.
    context.level = Level::new(52);
    let recent = "smart_rollup_commitment_too_recent";
    assert_eq!(named(&context, wrong.hash()), [recent]);
    context.level = Level::new(70);
    let unknown = CommitmentHash([9; 32]);
    assert_eq!(
        named(&context, unknown),
        ["smart_rollup_unknown_commitment"]
    );
    let mut deserted = context.clone();
    stake::slash(&mut deserted, rollup, people[1]).unwrap();
    let disputed = "smart_rollup_commitment_disputed";
    assert_eq!(named(&deserted, first.hash()), [disputed], "nobody's");
    let named = |hash| named(&context, hash);
    assert_eq!(named(second.hash()), ["smart_rollup_parent_not_lcc"]);
    assert_eq!(named(root), ["smart_rollup_parent_not_lcc"]);
    assert_eq!(
        named(wrong.hash()),
        ["smart_rollup_invalid_commitment_to_cement"]
    );
    let told = cement::cement(&mut context.clone(), rollup, Some(wrong.hash())).unwrap_err();
    assert_eq!(
        told.json(Protocol::Mumbai)[0],
        json!({
            "kind": "permanent",
            "id": "proto.016-PtMumbai.smart_rollup_invalid_commitment_to_cement",
            "valid_candidate": first.hash(),
            "invalid_candidate": wrong.hash(),
        })
    );
    cement::cement(&mut context, rollup, Some(first.hash())).unwrap();
}

/// Nairobi names none, and tells no candidate like two.
#[test]
fn a_level_without_commitments_was_disputed_until_oxford() {
    for (protocol, told) in [
        (Protocol::Nairobi, "smart_rollup_commitment_disputed"),
        (
            Protocol::Oxford,
            "smart_rollup_no_valid_commitment_to_cement",
        ),
    ] {
        let (mut context, rollup, _) = context_at(protocol, 70);
        let refused = cement::cement(&mut context, rollup, None).unwrap_err();
        assert_eq!(ids(&refused), [told]);
    }
}

/// Until Nairobi an origination proved its first state.
#[test]
fn a_kernel_was_proved_until_oxford() {
    let mut scenario = Scenario::new(short(Protocol::Nairobi)).unwrap();
    let proof = originate::prove(Protocol::Nairobi, super::KERNEL).unwrap();
    let others = originate::prove(Protocol::Nairobi, b"another").unwrap();
    let mut told = |proof: &[u8]| {
        let Action::Originate(mut origination) = origination(json!({"prim": "bytes"}), None) else {
            unreachable!("an origination is one");
        };
        origination.origination_proof = Some(proof.to_vec());
        in_block(&mut scenario, 0, vec![Action::Originate(origination)])
    };
    assert_eq!(told(b""), ["smart_rollup_proof_check"]);
    assert_eq!(told(&others), ["smart_rollup_proof_check"]);
    assert_eq!(told(&proof), [""; 0]);
    // A contract could not be told until Paris.
    let contract = json!({"prim": "contract", "args": [{"prim": "unit"}]});
    for (protocol, refused) in [
        (
            Protocol::ParisC,
            vec!["smart_rollup_invalid_parameters_type"],
        ),
        (Protocol::Quebec, vec![]),
    ] {
        let mut scenario = Scenario::new(short(protocol)).unwrap();
        let action = origination(contract.clone(), None);
        assert_eq!(in_block(&mut scenario, 0, vec![action]), refused);
    }
}

/// Its tables are empty: nobody stakes there and nobody plays.
#[test]
fn nobody_plays_on_a_rollup_that_is_not_there() {
    let (mut context, _, people) = context_at(Protocol::Ushuaia, 30);
    let nowhere = RollupAddress([9; 20]);
    let (one, other) = (people[1], people[2]);
    let claims = (
        (one, CommitmentHash([1; 32])),
        (other, CommitmentHash([2; 32])),
    );
    let at_the_door = game::check_opening_before_inclusion(&context, &nowhere, claims.0, claims.1);
    let told = at_the_door.unwrap_err();
    assert_eq!(
        ids(&told),
        ["smart_rollup_wrong_staker_for_conflict_commitment"]
    );
    let opened = game::open(&mut context, nowhere, claims.0, claims.1);
    assert_eq!(ids(&opened.unwrap_err()), ["smart_rollup_not_staked"]);
    let step = Step::Dissection(Vec::new());
    let played = game::play(&mut context, nowhere, one, other, Tick(0), &step);
    assert_eq!(ids(&played.unwrap_err()), ["smart_rollup_no_game"]);
    let ended = game::timeout(&mut context, nowhere, Stakers::new(one, other));
    assert_eq!(ids(&ended.unwrap_err()), ["smart_rollup_no_game"]);
    let back = stake::recover_bond(&mut context, nowhere, one);
    assert_eq!(ids(&back.unwrap_err()), ["smart_rollup_does_not_exist"]);
}
