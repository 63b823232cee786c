//! Outbox messages with the reference's own output proofs, then with damaged and late ones.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::short;
use crate::codec::{Micheline, Writer};
use crate::merkle::Proof;
use crate::protocol::operation::{Entrypoint, PvmKind};
use crate::protocol::{
    Commitment, CommitmentHash, ContractHash, Counter, Level, Mutez, OutboxMessage,
    OutboxTransaction, Protocol, PublicKeyHash, RollupAddress, StateHash,
};
use crate::pvm::{Buffers, State};
use crate::sim::context::Context;
use crate::sim::contracts::Script;
use crate::sim::errors::Trace;
use crate::sim::ledger::{Account, Owner};
use crate::sim::michelson::{Expr, Type};
use crate::sim::rollup::Rollup;
use crate::sim::rules::originate::machine_of;
use crate::sim::rules::outbox::{Executed, execute};
use crate::sim::scenario::Scenario;

const ADDRESS: RollupAddress = RollupAddress([7; 20]);

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    Setup {
        state_hash: String,
        inbox_level: Level,
    },
    Outbox {},
    OutputProof {
        message: String,
        output_proof: String,
    },
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

/// A chain on which a commitment with this state and level is the last cemented one.
fn chain(
    state: StateHash,
    level: Level,
    whitelist: Option<Vec<PublicKeyHash>>,
) -> (Context, CommitmentHash) {
    let scenario = Scenario::new(short(Protocol::Ushuaia)).unwrap();
    let mut context = scenario.chain().context().clone();
    let genesis = Commitment::genesis(state, level);
    let mut rollup = Rollup::originated(PvmKind::Wasm, Arc::from([]), genesis);
    rollup.whitelist = whitelist;
    rollup.last_whitelist_update.outbox_level = Level::ZERO;
    context.insert_rollup(ADDRESS, rollup);
    context.level = level.plus(20).unwrap();
    (context, genesis.hash())
}

fn give_script(context: &mut Context, contract: ContractHash, script: Script) {
    let mut account = Account::new(Mutez(0), Counter(0));
    account.script = Some(script);
    context
        .ledger_mut()
        .insert(Owner::Originated(contract), account);
}

fn somebody() -> PublicKeyHash {
    PublicKeyHash::Tz1([9; 20])
}

fn id(result: Result<Executed, Trace>) -> &'static str {
    result.unwrap_err().first().unwrap().id()
}

#[test]
fn recorded_output_proofs_execute_once_and_damaged_ones_never() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/oracle/proto025");
    let Ok(text) = std::fs::read_to_string(folder.join("output_proofs.jsonl")) else {
        return;
    };
    let mut ready = None;
    for line in text.lines() {
        match serde_json::from_str(line).unwrap() {
            Line::Setup {
                state_hash,
                inbox_level,
            } => {
                let state = StateHash(bytes(&state_hash).try_into().unwrap());
                ready = Some(chain(state, inbox_level, Some(vec![somebody()])));
            }
            Line::Outbox {} => {}
            Line::OutputProof {
                message,
                output_proof,
            } => {
                let (context, cemented) = ready.as_mut().unwrap();
                let message = OutboxMessage::parse(&bytes(&message)).unwrap();
                check(context, cemented, &message, &bytes(&output_proof));
            }
        }
    }
}

fn check(context: &mut Context, cemented: &CommitmentHash, message: &OutboxMessage, proof: &[u8]) {
    if let OutboxMessage::Transactions { transactions, .. } = message {
        for transaction in transactions {
            let owner = Owner::Originated(transaction.destination);
            if context.ledger.account(owner).is_none() {
                assert_eq!(
                    id(execute(&mut context.clone(), &ADDRESS, cemented, proof)),
                    "smart_rollup_management_protocol_invalid_destination"
                );
            }
            give_script(context, transaction.destination, Script::Sink);
        }
    }
    let mut after = context.clone();
    let done = execute(&mut after, &ADDRESS, cemented, proof).unwrap();
    match message {
        OutboxMessage::Transactions { transactions, .. } => {
            assert_eq!(done.calls.len(), transactions.len());
            assert_eq!(
                id(execute(&mut after, &ADDRESS, cemented, proof)),
                "smart_rollup_outbox_message_already_applied"
            );
        }
        _ => {
            assert_eq!(done.fields["whitelist_update"]["kind"], "public");
            assert_eq!(
                id(execute(&mut after, &ADDRESS, cemented, proof)),
                "smart_rollup_rollup_is_public"
            );
        }
    }
    for place in (0..proof.len()).step_by(3) {
        let mut damaged = proof.to_vec();
        damaged[place] ^= 1 << (place % 8);
        let refused = id(execute(&mut context.clone(), &ADDRESS, cemented, &damaged));
        let known = [
            "smart_rollup_invalid_output_proof",
            "smart_rollup_wasm_output_proof_verification_failed",
        ];
        assert!(known.contains(&refused), "byte {place}: {refused}");
    }
    assert_eq!(
        id(execute(
            &mut context.clone(),
            &ADDRESS,
            &CommitmentHash([1; 32]),
            proof
        )),
        "smart_rollup_invalid_last_cemented_commitment"
    );
}

/// A state whose outbox of `level` holds `messages`.
fn state_with(level: u16, messages: &[OutboxMessage]) -> State {
    let mut state = State::originate(&machine_of(Protocol::Ushuaia), b"").unwrap();
    state.buffers.output.advance(i32::from(level)).unwrap();
    for message in messages {
        state
            .buffers
            .output
            .push(&message.serialize())
            .unwrap()
            .unwrap();
    }
    state
}

fn output_proof(state: &mut State, level: u16, index: u128, message: &OutboxMessage) -> Vec<u8> {
    let tree = state.encode().unwrap();
    let (proof, _) = Proof::produce(tree, |tree| {
        let buffers = Buffers::decode(tree).unwrap();
        buffers.output.message(i32::from(level), index).unwrap()
    })
    .unwrap();
    let mut writer = Writer::new();
    writer.raw(&proof.encode().unwrap());
    writer
        .i32(i32::from(level))
        .n(index)
        .raw(&message.serialize());
    writer.into_bytes()
}

#[test]
fn a_whitelist_changes_forward_only() {
    let list = |byte: u8| OutboxMessage::Whitelist(Some(vec![PublicKeyHash::Tz1([byte; 20])]));
    let twice = OutboxMessage::Whitelist(Some(vec![somebody(), somebody()]));
    let messages = [
        list(1),
        list(2),
        OutboxMessage::Whitelist(Some(Vec::new())),
        twice,
    ];
    let mut state = state_with(30, &messages);
    let hash = StateHash::from(state.hash().unwrap());
    let (mut context, cemented) = chain(hash, Level::new(31), Some(vec![somebody()]));
    let proof =
        |state: &mut State, index: usize| output_proof(state, 30, index as u128, &messages[index]);
    let second = proof(&mut state, 1);
    let done = execute(&mut context, &ADDRESS, &cemented, &second).unwrap();
    assert_eq!(done.fields["whitelist_update"]["kind"], "update");
    let stored = context.rollup(&ADDRESS).unwrap().whitelist.clone();
    assert_eq!(stored, Some(vec![PublicKeyHash::Tz1([2; 20])]));
    let first = proof(&mut state, 0);
    let outdated = execute(&mut context, &ADDRESS, &cemented, &first).unwrap_err();
    let json = outdated.json(Protocol::Ushuaia);
    assert_eq!(
        json[0].to_string(),
        concat!(
            r#"{"kind":"permanent","id":"proto.025-PsUshuai.smart_rollup_outdated_whitelist_update","#,
            r#""message_index":"0","last_whitelist_update":{"message_index":"1","outbox_level":30}}"#
        )
    );
    let empty = proof(&mut state, 2);
    assert_eq!(
        id(execute(&mut context, &ADDRESS, &cemented, &empty)),
        "smart_rollup_empty_whitelist"
    );
    let twice = proof(&mut state, 3);
    assert_eq!(
        id(execute(&mut context, &ADDRESS, &cemented, &twice)),
        "smart_rollup_duplicated_key_in_whitelist"
    );
    let (mut public, cemented) = chain(hash, Level::new(31), None);
    assert_eq!(
        id(execute(&mut public, &ADDRESS, &cemented, &first)),
        "smart_rollup_rollup_is_public"
    );
}

#[test]
fn an_outbox_level_is_active_for_its_time() {
    let signal = OutboxMessage::Signal(b"now".to_vec());
    let mut state = state_with(30, std::slice::from_ref(&signal));
    let hash = StateHash::from(state.hash().unwrap());
    let proof = output_proof(&mut state, 30, 0, &signal);
    let with = |cemented_level: u16, active: u32| {
        let (mut context, cemented) = chain(hash, Level::new(cemented_level), None);
        let mut parameters = (*context.parameters).clone();
        parameters.rollup.max_active_outbox_levels = active;
        context.parameters = Arc::new(parameters);
        execute(&mut context, &ADDRESS, &cemented, &proof)
    };
    assert!(with(30, 1).is_ok());
    assert!(with(39, 10).is_ok());
    assert_eq!(id(with(40, 10)), "smart_rollup_invalid_outbox_level");
    assert_eq!(id(with(29, 10)), "smart_rollup_invalid_outbox_level");
}

/// A typed batch of one call.
fn typed(of_type: &serde_json::Value, value: &serde_json::Value) -> OutboxMessage {
    OutboxMessage::Transactions {
        transactions: vec![OutboxTransaction {
            parameters: Micheline::from_json(value).unwrap(),
            parameters_type: Some(Micheline::from_json(of_type).unwrap()),
            destination: ContractHash([4; 20]),
            entrypoint: Entrypoint::default(),
        }],
        is_typed: true,
    }
}

/// What the chain says to a typed batch of one call.
fn told(of_type: &serde_json::Value, value: &serde_json::Value) -> Result<Executed, Trace> {
    let message = typed(of_type, value);
    let mut state = state_with(30, std::slice::from_ref(&message));
    let hash = StateHash::from(state.hash().unwrap());
    let proof = output_proof(&mut state, 30, 0, &message);
    let (mut context, cemented) = chain(hash, Level::new(31), None);
    execute(&mut context, &ADDRESS, &cemented, &proof)
}

fn of(prim: &str, args: &[serde_json::Value]) -> serde_json::Value {
    json!({"prim": prim, "args": args})
}

fn simple(prim: &str) -> serde_json::Value {
    json!({ "prim": prim })
}

#[test]
fn typed_calls_say_what_they_carry() {
    let (int, string) = (simple("int"), simple("string"));
    let number = |digits: &str| json!({ "int": digits });
    let text = |text: &str| json!({ "string": text });
    let comb = of("pair", &[int.clone(), string.clone(), simple("bool")]);
    let elt = |key: &str| of("Elt", &[text(key), number("1")]);
    let tz1 = text("tz1gjaF81ZRRvdzjobyfVNsAeSC6PScjfQwN");
    let accepted = [
        (int.clone(), number("-7")),
        (
            comb.clone(),
            of("Pair", &[number("1"), text("a"), simple("True")]),
        ),
        (
            comb.clone(),
            of(
                "Pair",
                &[number("1"), of("Pair", &[text("a"), simple("True")])],
            ),
        ),
        (
            comb.clone(),
            json!([number("1"), text("a"), simple("False")]),
        ),
        (
            of("map", &[string.clone(), int.clone()]),
            json!([elt("a"), elt("b")]),
        ),
        (
            of("set", std::slice::from_ref(&int)),
            json!([number("-10"), number("-9"), number("2")]),
        ),
        (
            of("option", &[simple("key_hash")]),
            of("Some", std::slice::from_ref(&tz1)),
        ),
        (
            simple("address"),
            text("tz1gjaF81ZRRvdzjobyfVNsAeSC6PScjfQwN%door"),
        ),
        (simple("timestamp"), text("2023-01-01T00:00:00Z")),
        (of("contract", &[simple("unit")]), tz1),
    ];
    for (of_type, value) in accepted {
        let done = told(&of_type, &value).unwrap();
        assert_eq!(done.calls.len(), 1, "{of_type} {value}");
    }
    let constant = "michelson_v1.invalid_constant";
    let ill_typed = [
        (
            int.clone(),
            text("7"),
            "michelson_v1.invalid_expression_kind",
        ),
        (
            simple("nat"),
            number("-7"),
            "michelson_v1.invalid_syntactic_constant",
        ),
        (
            simple("unit"),
            simple("None"),
            "michelson_v1.invalid_primitive",
        ),
        (
            simple("unit"),
            simple("int"),
            "michelson_v1.invalid_primitive_namespace",
        ),
        (comb, of("Pair", &[number("1"), text("a")]), constant),
        (
            simple("address"),
            text("tz1gjaF81ZRRvdzjobyfVNsAeSC6PScjfQwN%default"),
            "michelson_v1.unexpected_default_entrypoint",
        ),
        (
            of("set", std::slice::from_ref(&int)),
            json!([number("2"), number("2")]),
            "michelson_v1.duplicate_set_values_in_literal",
        ),
        (
            of("map", &[string.clone(), int.clone()]),
            json!([elt("b"), elt("a")]),
            "michelson_v1.unordered_map_literal",
        ),
        (
            simple("never"),
            number("1"),
            "michelson_v1.invalid_never_expr",
        ),
    ];
    for (of_type, value, cause) in ill_typed {
        let refused = told(&of_type, &value).unwrap_err();
        assert_eq!(refused.0[0].id(), constant, "{of_type} {value}");
        assert_eq!(refused.0[1].id(), cause, "{of_type} {value}");
    }
    // What is well typed and still not for a rollup to send; what is no type.
    let refused = |of_type, value| id(told(&of_type, &value));
    let invalid = "smart_rollup_invalid_parameters_type";
    assert_eq!(refused(simple("mutez"), number("1")), invalid);
    let code = of("lambda", &[int.clone(), int.clone()]);
    assert_eq!(refused(of("option", &[code]), simple("None")), invalid);
    assert_eq!(
        refused(of("int", std::slice::from_ref(&int)), number("1")),
        "michelson_v1.invalid_arity"
    );
    assert_eq!(
        refused(simple("tx_rollup_l2_address"), number("1")),
        "michelson_v1.invalid_primitive"
    );
}

#[test]
fn a_rollup_owns_no_ticket_to_send() {
    let ticket = of("ticket", &[simple("string")]);
    let amount = |amount: &str| {
        of(
            "Pair",
            &[
                json!({"string": "KT1ThEdxfUcWUwqsdergy3QnbCWGHSUHeHJq"}),
                json!({"string": "red"}),
                json!({ "int": amount }),
            ],
        )
    };
    let refused = told(&ticket, &amount("2")).unwrap_err();
    let json = refused.json(Protocol::Ushuaia);
    assert_eq!(json[0]["id"], "proto.025-PsUshuai.Negative_ticket_balance");
    assert_eq!(json[0]["balance"], "-2");
    assert!(json[0]["key"].as_str().unwrap().starts_with("expr"));
    let nothing = told(&ticket, &amount("0")).unwrap_err();
    assert_eq!(
        nothing.0[1].id(),
        "michelson_v1.forbidden_zero_amount_ticket"
    );
}

#[test]
fn a_contract_takes_arguments_of_its_type() {
    let read = |json: &serde_json::Value| Micheline::from_json(json).unwrap();
    let call = |of_type: &serde_json::Value, value: &serde_json::Value| {
        let of_type = Type::read(&Expr::of(&read(of_type)).unwrap()).unwrap();
        Script::Relay.call(
            &ContractHash([4; 20]),
            &Entrypoint::default(),
            Some(&read(value)),
            Some(&of_type),
        )
    };
    assert_eq!(call(&simple("unit"), &simple("Unit")), Ok(Vec::new()));
    let refused = call(&simple("int"), &json!({"int": "1"})).unwrap_err();
    let ids: Vec<_> = refused.0.iter().map(|error| error.id()).collect();
    assert_eq!(
        ids,
        [
            "michelson_v1.bad_contract_parameter",
            "michelson_v1.inconsistent_types"
        ]
    );
    // Without a type, the contract's own counts already when the message is read.
    let message = OutboxMessage::Transactions {
        transactions: vec![OutboxTransaction {
            parameters: read(&json!({"int": "1"})),
            parameters_type: None,
            destination: ContractHash([4; 20]),
            entrypoint: Entrypoint::default(),
        }],
        is_typed: false,
    };
    let mut state = state_with(30, std::slice::from_ref(&message));
    let hash = StateHash::from(state.hash().unwrap());
    let proof = output_proof(&mut state, 30, 0, &message);
    let (mut context, cemented) = chain(hash, Level::new(31), None);
    let mut told = || id(execute(&mut context, &ADDRESS, &cemented, &proof));
    assert_eq!(
        told(),
        "smart_rollup_management_protocol_invalid_destination"
    );
    give_script(&mut context, ContractHash([4; 20]), Script::Relay);
    let told = id(execute(&mut context, &ADDRESS, &cemented, &proof));
    assert_eq!(told, "michelson_v1.invalid_constant");
}

/// Mumbai and Nairobi forgot to look at what a proof showed.
#[test]
fn the_first_protocols_take_any_readable_proof() {
    let (told, other) = (
        OutboxMessage::Signal(b"now".to_vec()),
        OutboxMessage::Transactions {
            transactions: Vec::new(),
            is_typed: false,
        },
    );
    let mut state = state_with(30, std::slice::from_ref(&told));
    let hash = StateHash::from(state.hash().unwrap());
    // The proof is of the message that is there; what follows is another.
    let place = output_proof(&mut state, 30, 0, &told).len() - told.serialize().len();
    let mut proof = output_proof(&mut state, 30, 0, &told);
    proof.truncate(place);
    proof.extend(other.serialize());
    // They named the state beside the proof, and believed it.
    let named = |state: StateHash| {
        let mut proof = proof.clone();
        let place = place - 5;
        proof.splice(place..place, state.0);
        proof
    };
    let under = |protocol, cemented_state, proof: &[u8]| {
        let (mut context, cemented) = chain(cemented_state, Level::new(31), None);
        context.protocol = protocol;
        execute(&mut context, &ADDRESS, &cemented, proof)
    };
    let another = StateHash([8; 32]);
    for protocol in [Protocol::Mumbai, Protocol::Nairobi] {
        assert!(under(protocol, hash, &named(hash)).is_ok());
        assert!(under(protocol, another, &named(another)).is_ok());
        for (cemented, proof) in [(another, named(hash)), (hash, proof.clone())] {
            let id = id(under(protocol, cemented, &proof));
            assert_eq!(id, "smart_rollup_invalid_output_proof");
        }
    }
    for protocol in [Protocol::Oxford, Protocol::Ushuaia] {
        let told = id(under(protocol, hash, &proof));
        assert_eq!(told, "smart_rollup_wasm_output_proof_verification_failed");
        let told = id(under(protocol, hash, &named(hash)));
        assert_eq!(told, "smart_rollup_invalid_output_proof");
    }
}
