use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::chain::Chain;
use super::node::{Node, Reply, client};
use crate::codec::Micheline;
use crate::crypto::{Dialect, Prefix};
use crate::l1::{
    BlockId, Contribution, Effects, FailureKind, Fault, GameStatus, Happening, Interest,
    Settlement, Status, effects,
};
use crate::protocol::operation::{Form, Kind, PvmKind, Refutation, Step};
use crate::protocol::{
    Commitment, CommitmentHash, Dialected, Level, Mutez, Protocol, PublicKeyHash, RollupAddress,
    StateHash,
};

const ALICE: PublicKeyHash = PublicKeyHash::Tz1([1; 20]);
const BOB: PublicKeyHash = PublicKeyHash::Tz4([2; 20]);
const ROLLUP: RollupAddress = RollupAddress([7; 20]);
const MODERN: Form = Form::Modern(Protocol::Seoul);

fn kt1() -> String {
    Prefix::KT1.encode(&[9; 20])
}

fn operation(id: u8, contents: Vec<Value>) -> Value {
    let hash = Prefix::OPERATION.encode(&[id; 32]);
    json!({"protocol": Protocol::Seoul.hash_text(), "chain_id": super::node::CHAIN, "hash": hash, "branch": "x", "contents": contents, "signature": "x"})
}

fn content(
    kind: Kind,
    dialect: Dialect,
    fields: Value,
    result: Value,
    internal: Vec<Value>,
) -> Value {
    let mut content = json!({"kind": kind.name(dialect), "source": ALICE, "fee": "1", "counter": "12", "gas_limit": "3", "storage_limit": "0"});
    for (name, value) in fields.as_object().unwrap() {
        content[name] = value.clone();
    }
    let mut metadata = json!({"balance_updates": [], "operation_result": result});
    if !internal.is_empty() {
        metadata["internal_operation_results"] = internal.into();
    }
    content["metadata"] = metadata;
    content
}

fn messages(texts: &[&str], status: &str) -> Value {
    let hex: Vec<_> = texts.iter().map(hex::encode).collect();
    content(
        Kind::AddMessages,
        Dialect::Modern,
        json!({"message": hex}),
        json!({"status": status}),
        vec![],
    )
}

fn internal(source: &str, destination: &str, value: Option<Value>, status: &str) -> Value {
    let mut call = json!({"kind": "transaction", "source": source, "nonce": 0, "amount": "0", "destination": destination, "result": {"status": status}});
    if let Some(value) = value {
        call["parameters"] = json!({"entrypoint": "default", "value": value});
    }
    call
}

fn call(status: &str, internal: Vec<Value>) -> Value {
    content(
        Kind::Transaction,
        Dialect::Modern,
        json!({"amount": "0", "destination": kt1(), "parameters": {"entrypoint": "default", "value": {"prim": "Unit"}}}),
        json!({"status": status}),
        internal,
    )
}

fn read(operations: &[Value], form: Form, interest: &Interest) -> Result<Effects, Fault> {
    effects(json!(operations).to_string().as_bytes(), form, interest)
}

fn transfer(payload: Micheline) -> Contribution {
    Contribution::Transfer {
        payload,
        sender: kt1().parse().unwrap(),
        source: ALICE,
        destination: ROLLUP,
    }
}

fn external(text: &str) -> Contribution {
    Contribution::External(text.into())
}

#[test]
fn contributions_come_in_the_order_of_the_protocol_and_only_if_applied() {
    let rollup = ROLLUP.to_string();
    let int = json!({"int": "5"});
    let operations = [
        operation(
            1,
            vec![
                messages(&["a", ""], "applied"),
                call(
                    "applied",
                    vec![
                        internal(&kt1(), &rollup, Some(int.clone()), "applied"),
                        internal(&kt1(), &ALICE.to_string(), None, "applied"),
                        json!({"kind": "event", "source": kt1(), "nonce": 1, "type": {"prim": "nat"}, "result": {"status": "applied"}}),
                        internal(&kt1(), &rollup, None, "applied"),
                        internal(&kt1(), &rollup, Some(int.clone()), "backtracked"),
                        internal(&rollup, &rollup, Some(int.clone()), "applied"),
                    ],
                ),
                messages(&["b"], "applied"),
            ],
        ),
        operation(
            2,
            vec![
                messages(&["lost"], "backtracked"),
                call(
                    "failed",
                    vec![internal(&kt1(), &rollup, Some(int.clone()), "skipped")],
                ),
                messages(&["never"], "skipped"),
            ],
        ),
        operation(3, vec![messages(&["c"], "applied")]),
    ];
    let found = read(&operations, MODERN, &Interest::default()).unwrap();
    let expected = [
        external("a"),
        external(""),
        transfer(Micheline::int(5)),
        transfer(Micheline::unit()),
        external("b"),
        external("c"),
    ];
    assert_eq!(found.contributions, expected);
    assert!(found.events.is_empty() && found.receipts.is_empty());
}

#[test]
fn a_payload_nested_deeper_than_json_may_be_is_read() {
    let deep = format!(
        "{}{{\"int\":\"1\"}}{}",
        "[".repeat(9_000),
        "]".repeat(9_000)
    );
    let shallow = json!([operation(
        1,
        vec![call(
            "applied",
            vec![internal(
                &kt1(),
                &ROLLUP.to_string(),
                Some(json!("HERE")),
                "applied"
            )]
        )]
    )]);
    let text = shallow.to_string().replace("\"HERE\"", &deep);
    let found = effects(text.as_bytes(), MODERN, &Interest::default()).unwrap();
    assert_eq!(found.contributions.len(), 1);
    // The same where nobody looks at it: in the parameters of an ordinary call.
    let text = text.replace("{\"prim\":\"Unit\"}", &deep);
    assert_eq!(
        effects(text.as_bytes(), MODERN, &Interest::default()),
        Ok(found)
    );
}

fn commitment() -> Commitment {
    Commitment {
        compressed_state: StateHash([3; 32]),
        inbox_level: Level::new(60),
        predecessor: CommitmentHash([4; 32]),
        number_of_ticks: 11_000_000_000,
    }
}

fn events(dialect: Dialect) -> Vec<Value> {
    let rollup = ROLLUP.text(dialect);
    let (state, predecessor) = (
        StateHash([3; 32]).text(dialect),
        CommitmentHash([4; 32]).text(dialect),
    );
    let hash = commitment().hash().text(dialect);
    let claim = json!({"compressed_state": state, "inbox_level": 60, "predecessor": predecessor, "number_of_ticks": "11000000000"});
    let kernel = match dialect {
        Dialect::Modern => "kernel",
        Dialect::Scr1 => "boot_sector",
    };
    let start = match dialect {
        Dialect::Modern => {
            json!({"rollup": rollup, "opponent": BOB, "refutation": {"refutation_kind": "start", "player_commitment_hash": hash, "opponent_commitment_hash": predecessor}})
        }
        Dialect::Scr1 => json!({"rollup": rollup, "opponent": BOB}),
    };
    let mut dissection =
        json!({"choice": "0", "step": [{"state": state, "tick": "0"}, {"tick": "8"}]});
    if dialect == Dialect::Modern {
        dissection["refutation_kind"] = json!("move");
    }
    let applied = |mut result: Value| {
        result["status"] = json!("applied");
        result
    };
    let one = |kind, fields, result| content(kind, dialect, fields, applied(result), vec![]);
    vec![
        one(
            Kind::Originate,
            json!({"pvm_kind": "wasm_2_0_0", kernel: "0061736d", "origination_proof": "03", "parameters_ty": {"prim": "bytes"}}),
            json!({"address": rollup, "genesis_commitment_hash": predecessor, "size": "9"}),
        ),
        one(
            Kind::Publish,
            json!({"rollup": rollup, "commitment": claim}),
            json!({"staked_hash": hash, "published_at_level": 61}),
        ),
        one(
            Kind::Cement,
            json!({"rollup": rollup, "commitment": hash}),
            json!({"inbox_level": 60}),
        ),
        one(Kind::Refute, start, json!({"game_status": "ongoing"})),
        one(
            Kind::Refute,
            json!({"rollup": rollup, "opponent": BOB, "refutation": dissection}),
            json!({"game_status": {"result": {"kind": "draw"}}}),
        ),
        one(
            Kind::Timeout,
            json!({"rollup": rollup, "stakers": {"alice": ALICE, "bob": BOB}}),
            json!({
                "game_status": {"result": {"kind": "loser", "reason": "timeout", "player": BOB}},
                "balance_updates": [
                    {"kind": "freezer", "category": "bonds", "contract": BOB,
                     "bond_id": {"smart_rollup": rollup}, "change": "-10000", "origin": "block"},
                    {"kind": "burned", "category": "smart_rollup_refutation_punishments",
                     "change": "10000", "origin": "block"},
                    {"kind": "minted", "category": "smart_rollup_refutation_rewards",
                     "change": "-5000", "origin": "block"},
                    {"kind": "contract", "contract": ALICE, "change": "5000", "origin": "block"},
                ],
            }),
        ),
        one(
            Kind::RecoverBond,
            json!({"rollup": rollup, "staker": ALICE}),
            json!({}),
        ),
        one(
            Kind::ExecuteOutboxMessage,
            json!({"rollup": rollup, "cemented_commitment": hash, "output_proof": "0102"}),
            json!({}),
        ),
    ]
}

fn interest() -> Interest {
    Interest {
        rollups: BTreeSet::from([ROLLUP]),
        accounts: BTreeSet::new(),
    }
}

#[test]
fn events_of_followed_rollups_are_read_in_both_dialects() {
    for form in [Form::Modern(Protocol::Nairobi), Form::Scr1] {
        let operations = [operation(1, events(form.dialect()))];
        let found = read(&operations, form, &interest()).unwrap().events;
        let kinds: Vec<_> = found.iter().map(|event| (event.by, event.rollup)).collect();
        assert_eq!(kinds, vec![(ALICE, ROLLUP); 8]);
        let what: Vec<_> = found.into_iter().map(|event| event.what).collect();
        let Happening::Originated {
            origination,
            genesis_commitment,
        } = &what[0]
        else {
            panic!("{what:?}");
        };
        assert_eq!(
            (origination.pvm, origination.kernel.as_slice()),
            (PvmKind::Wasm, &b"\0asm"[..])
        );
        assert_eq!(*genesis_commitment, CommitmentHash([4; 32]));
        let published = Happening::Published {
            commitment: commitment(),
            staked_hash: commitment().hash(),
            published_at: Level::new(61),
        };
        assert_eq!(what[1], published);
        let cemented = Happening::Cemented {
            inbox_level: Level::new(60),
            commitment: Some(commitment().hash()),
        };
        assert_eq!(what[2], cemented);
        let Happening::Refuted {
            refutation, status, ..
        } = &what[3]
        else {
            panic!("{what:?}");
        };
        assert_eq!(
            *refutation == Refutation::StartOnConflict,
            form == Form::Scr1
        );
        assert_eq!(*status, GameStatus::Ongoing);
        let Happening::Refuted {
            refutation:
                Refutation::Move {
                    step: Step::Dissection(chunks),
                    ..
                },
            status,
            ..
        } = &what[4]
        else {
            panic!("{what:?}");
        };
        assert_eq!((chunks.len(), status), (2, &GameStatus::Draw));
        assert!(
            matches!(&what[5], Happening::TimedOut { status: GameStatus::Loser { player, .. }, settlement, .. }
            if *player == BOB && *settlement == Settlement {
                rewards: vec![(ALICE, Mutez(5_000))],
                punishments: vec![(BOB, Mutez(10_000))],
            })
        );
        assert_eq!(what[6], Happening::BondRecovered { staker: ALICE });
        assert!(matches!(&what[7], Happening::OutboxExecuted { proof, .. } if *proof == [1, 2]));

        let strangers = read(&operations, form, &Interest::default()).unwrap();
        assert_eq!(strangers, Effects::default());
    }
}

#[test]
fn receipts_of_watched_accounts_tell_how_they_ended() {
    let errors = json!([{"kind": "temporary", "id": "proto.023-PtSeouLo.smart_rollup_no_game", "loc": {"deep": []}}]);
    let failed = content(
        Kind::Timeout,
        Dialect::Modern,
        json!({"rollup": ROLLUP.to_string(), "stakers": {"alice": ALICE, "bob": BOB}}),
        json!({"status": "failed", "errors": errors}),
        vec![],
    );
    let watched = Interest {
        accounts: BTreeSet::from([ALICE]),
        ..interest()
    };
    let found = read(&[operation(5, vec![failed])], MODERN, &watched).unwrap();
    assert!(found.events.is_empty());
    assert_eq!(found.receipts.len(), 1);
    assert_eq!(found.receipts[0].status, Status::Failed);
    assert!(found.receipts[0].errors[0].is_rollup_error("no_game"));
}

#[tokio::test]
async fn a_missing_receipt_is_asked_for_again_and_never_taken_for_not_applied() {
    let node = Node::start().await;
    let chain = Chain::new(Dialect::Modern);
    chain.on(&node);
    let mut large = messages(&["a"], "applied");
    large.as_object_mut().unwrap().remove("metadata");
    let mut too_large = operation(1, vec![large]);
    let pruned = too_large.clone();
    too_large["metadata"] = json!("too large");
    let parent = chain.grow(None, "", 2);
    let block = chain.bake_with(Some(parent), "", Protocol::Seoul, json!([too_large]));
    let client = client(&[&node]);
    let path =
        format!("/chains/main/blocks/{block}/operations/3?metadata=always&force_metadata=true");
    let interest = Interest::default();

    node.says(&path, json!([too_large]));
    let error = client
        .block(BlockId::Hash(block), &interest)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), FailureKind::Permanent);
    assert!(
        error
            .to_string()
            .contains("--metadata-size-limit unlimited"),
        "{error}"
    );

    node.says(&path, json!([pruned]));
    let error = client
        .block(BlockId::Hash(block), &interest)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("archive mode"), "{error}");

    node.plays(&path, [Reply::Text(410, String::new())]);
    let error = client
        .block(BlockId::Hash(block), &interest)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("pruned"), "{error}");

    node.says(
        &path,
        json!([operation(1, vec![messages(&["a"], "applied")])]),
    );
    let read = client.block(BlockId::Hash(block), &interest).await.unwrap();
    assert_eq!(read.effects.contributions, [external("a")]);
}

#[tokio::test]
async fn attested_slots_are_those_of_accounts_that_the_protocol_attests() {
    let node = Node::start().await;
    let chain = Chain::new(Dialect::Modern);
    chain.on(&node);
    let parent = chain.bake_with(None, "", Protocol::Ushuaia, json!([]));
    let block = chain.bake_with(Some(parent), "", Protocol::Ushuaia, json!([]));
    let cell = |level: u8, index: u8, publisher: &str, attested: bool| {
        let content = json!({"kind": "published", "publisher": publisher, "is_proto_attested": attested, "attested_shards": 1, "total_shards": 2, "attestation_lag": 5, "version": "0", "level": level, "index": index, "commitment": "sh"});
        json!(["dask1", {"kind": "dal_skip_list", "skip_list": {"index": "1", "content": content, "back_pointers": []}}])
    };
    let (alice, bob) = (ALICE.to_string(), BOB.to_string());
    let empty = json!(["dask1", {"kind": "dal_skip_list", "skip_list": {"index": "1", "content": {"kind": "unpublished", "level": 9, "index": 3}, "back_pointers": []}}]);
    let legacy = json!(["dask1", {"kind": "dal_skip_list_legacy", "skip_list": "00"}]);
    let cells = json!([
        cell(9, 5, &bob, true),
        cell(9, 1, &alice, true),
        cell(9, 0, &bob, true),
        cell(9, 2, &alice, false),
        cell(9, 4, &kt1(), true),
        cell(8, 4, &alice, true),
        empty,
        legacy
    ]);
    let context = format!("/chains/main/blocks/{block}/context/dal");
    node.says(&format!("{context}/skip_list_cells_of_level"), cells);
    let parameters = json!({"feature_enable": true, "number_of_slots": 32, "attestation_lag": 8, "slot_size": 126_944, "page_size": 3967, "more": {}});
    for level in [8, 9] {
        node.says(
            &format!("{context}/past_parameters/{level}"),
            parameters.clone(),
        );
    }
    let read = client(&[&node])
        .block(BlockId::Hash(block), &Interest::default())
        .await
        .unwrap();
    let told: Vec<_> = read
        .attested
        .iter()
        .map(|slots| (slots.published_level.get(), slots.publishers.clone()))
        .collect();
    let set = |slots: &[u16]| slots.iter().copied().collect::<BTreeSet<_>>();
    assert_eq!(
        told,
        [
            (8, vec![(ALICE, set(&[4]))]),
            (9, vec![(ALICE, set(&[1])), (BOB, set(&[0, 5]))])
        ]
    );
    assert_eq!(
        (read.attested[0].slot_size, read.attested[0].page_size),
        (126_944, 3967)
    );
}

/// A JSON value of any shape.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop_oneof![
            Just("applied".to_owned()),
            Just("too large".to_owned()),
            ".{0,8}"
        ]
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(".{0,6}", inner, 0..4)
                .prop_map(|fields: BTreeMap<_, _>| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// All places in a document.
fn pointers(json: &Value, here: &str, found: &mut Vec<String>) {
    found.push(here.to_owned());
    match json {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, &format!("{here}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                pointers(field, &format!("{here}/{name}"), found);
            }
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn arbitrary_json_and_bytes_never_panic(json in any_json(), bytes: Vec<u8>) {
        let _ = effects(json.to_string().as_bytes(), MODERN, &interest());
        let _ = effects(&bytes, Form::Scr1, &interest());
    }

    #[test]
    fn any_damage_to_a_block_is_an_error_or_a_reading(place: prop::sample::Index, with in any_json(), scr1: bool) {
        let form = if scr1 { Form::Scr1 } else { MODERN };
        let mut contents = events(form.dialect());
        contents.push(call("applied", vec![internal(&kt1(), &ROLLUP.to_string(), Some(json!([{"int": "1"}])), "applied")]));
        let mut document = json!([operation(1, contents)]);
        let mut all = Vec::new();
        pointers(&document, "", &mut all);
        if let Some(spot) = document.pointer_mut(place.get::<String>(&all)) {
            *spot = with;
        }
        let _ = effects(document.to_string().as_bytes(), form, &interest());
    }
}

/// Where a network enables the newest curve, its accounts act in blocks like all others.
#[test]
fn accounts_of_the_newest_curve_do_not_hide_a_block() {
    let new = PublicKeyHash::Tz5([5; 20]);
    let form = Form::Modern(Protocol::Ushuaia);
    let mut sent = messages(&["a"], "applied");
    sent["source"] = json!(new);
    let inner = internal(&kt1(), &ROLLUP.to_string(), None, "applied");
    let mut called = call("applied", vec![inner]);
    called["source"] = json!(new);
    let found = read(
        &[operation(1, vec![sent, called])],
        form,
        &Interest::default(),
    );
    let Contribution::Transfer { source, .. } = &found.as_ref().unwrap().contributions[1] else {
        panic!("{found:?}");
    };
    assert_eq!(*source, new);
}
