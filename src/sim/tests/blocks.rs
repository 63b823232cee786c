use serde_json::{Value, json};

use super::{KERNEL, short, with_rollup};
use crate::codec::Micheline;
use crate::crypto::Dialect;
use crate::inbox::{InternalMessage, Message};
use crate::protocol::operation::{Action, Contract};
use crate::protocol::{Level, Mutez, Protocol};
use crate::sim::acts::{Act, ActError, Deed};
use crate::sim::chain::Abandoned;
use crate::sim::errors::Trace;
use crate::sim::parameters::Parameters;
use crate::sim::receipts::Shown;
use crate::sim::scenario::Scenario;
use crate::sim::setup::Setup;

/// Receipts of the head's operations.
fn receipts(scenario: &Scenario) -> Vec<Value> {
    let chain = scenario.chain();
    let head = chain.head();
    head.operations
        .iter()
        .map(|included| included.json(chain.id(), Dialect::Modern, Shown::Receipts))
        .collect()
}

fn messages(scenario: &Scenario) -> Vec<Message> {
    let head = scenario.chain().head();
    let level = head.messages.as_ref().unwrap();
    level
        .messages()
        .iter()
        .map(|bytes| Message::parse(bytes).unwrap())
        .collect()
}

fn refusal(result: Result<impl std::fmt::Debug, ActError>) -> &'static str {
    Trace::try_from(result.unwrap_err())
        .unwrap()
        .first()
        .unwrap()
        .id()
}

#[test]
fn ten_thousand_empty_blocks_take_seconds_at_most() {
    let mut scenario = Scenario::new(Setup::mainnet(Protocol::Ushuaia)).unwrap();
    scenario.chain_mut().bake_many(10_000).unwrap();
    let head = scenario.chain().head();
    assert_eq!(head.header.level.get(), 10_001);
    assert_eq!(
        head.header.timestamp - scenario.chain().at(Level::ZERO).unwrap().header.timestamp,
        1 + 60_000
    );
    assert_eq!(scenario.chain().context().inbox.cell.index, 10_000);
}

#[test]
fn the_same_commands_give_the_same_chain() {
    let run = |seed| {
        let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia).seeded(seed));
        scenario.plan(Level::new(5), Act::messages(1, &[b"hello"]));
        scenario.advance_to(Level::new(8)).unwrap();
        scenario
            .chain_mut()
            .reorganise(2, 4, Abandoned::Returned)
            .unwrap();
        scenario.chain().head().hash
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn every_curve_signs_and_forgeries_are_refused() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    for by in [0, 6, 7, 8] {
        scenario.act(&Act::messages(by, &[b"hello"])).unwrap();
    }
    scenario.advance().unwrap();
    assert_eq!(receipts(&scenario).len(), 4);
    let action = Action::AddMessages {
        messages: vec![b"x".to_vec()],
    };
    let mut bytes = scenario.sign(0, vec![action]).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let refused = scenario.chain_mut().inject(&bytes).unwrap_err();
    assert_eq!(refused.first().unwrap().id(), "operation.invalid_signature");
    let refused = scenario.chain_mut().inject(&bytes[..40]).unwrap_err();
    assert_eq!(
        refused.first().unwrap().id(),
        "node.prevalidation.parse_error"
    );
}

#[test]
fn external_messages_enter_the_inbox_in_order() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    scenario.act(&Act::messages(1, &[b"one", b"two"])).unwrap();
    scenario.act(&Act::messages(2, &[b"three"])).unwrap();
    scenario.advance().unwrap();
    let found = messages(&scenario);
    assert_eq!(found.len(), 6);
    assert_eq!(
        found[2..5],
        ["one", "two", "three"].map(|text| Message::External(text.into()))
    );
    let level = scenario.chain().head().messages.as_ref().unwrap().clone();
    let inbox = &scenario.chain().context().inbox;
    assert_eq!(inbox.cell.witness, level.witness());
    assert_eq!(
        receipts(&scenario)[0]["contents"][0]["metadata"]["operation_result"]["status"],
        "applied"
    );
}

#[test]
fn a_relay_call_becomes_a_transfer_message() {
    let (mut scenario, rollup) = with_rollup(short(Protocol::Ushuaia));
    scenario
        .act(&Act::transfer(1, &rollup, &Micheline::bytes(b"payload")))
        .unwrap();
    scenario.advance().unwrap();
    let Message::Internal(InternalMessage::Transfer(transfer)) = &messages(&scenario)[2] else {
        panic!("no transfer");
    };
    assert_eq!(transfer.destination, rollup);
    assert_eq!(transfer.sender, scenario.relay());
    assert_eq!(transfer.source, scenario.person(1).unwrap().account());
    assert_eq!(transfer.payload, Micheline::bytes(b"payload"));
    let receipt =
        &receipts(&scenario)[0]["contents"][0]["metadata"]["internal_operation_results"][0];
    assert_eq!(receipt["destination"], rollup.to_string());
    assert_eq!(
        receipt["parameters"]["value"],
        json!({"bytes": hex::encode(b"payload")})
    );
    assert_eq!(receipt["result"]["status"], "applied");
}

#[test]
fn nested_internal_operations_run_depth_first() {
    let (mut scenario, rollup) = with_rollup(short(Protocol::Ushuaia));
    let relay = scenario.relay().to_string();
    let inner =
        json!([{"prim": "Pair", "args": [{"string": rollup.to_string()}, {"bytes": "01"}]}]);
    let act = Act::one(
        1,
        Deed::Relay {
            transfers: vec![(relay, inner), (rollup.to_string(), json!({"bytes": "02"}))],
        },
    );
    scenario.act(&act).unwrap();
    scenario.advance().unwrap();
    let payloads: Vec<_> = messages(&scenario)
        .iter()
        .filter_map(|message| match message {
            Message::Internal(InternalMessage::Transfer(transfer)) => {
                Some(transfer.payload.to_json())
            }
            _ => None,
        })
        .collect();
    assert_eq!(payloads, [json!({"bytes": "01"}), json!({"bytes": "02"})]);
    let internal = &receipts(&scenario)[0]["contents"][0]["metadata"]["internal_operation_results"];
    let nonces: Vec<_> = internal
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["nonce"].clone())
        .collect();
    assert_eq!(nonces, [0, 2, 1]);
}

#[test]
fn a_failing_internal_operation_undoes_its_batch() {
    let (mut scenario, rollup) = with_rollup(short(Protocol::Ushuaia));
    let relay = scenario.relay().to_string();
    let transfers = vec![
        (rollup.to_string(), json!({"bytes": "01"})),
        (relay, json!({"string": "fail"})),
        (rollup.to_string(), json!({"bytes": "02"})),
    ];
    let act = Act {
        by: 1,
        deeds: vec![
            Deed::Messages {
                messages: vec!["00".into()],
            },
            Deed::Relay { transfers },
            Deed::Messages {
                messages: vec!["01".into()],
            },
        ],
    };
    let before = scenario.chain().context().ledger.clone();
    scenario.act(&act).unwrap();
    scenario.advance().unwrap();
    assert_eq!(messages(&scenario).len(), 3);
    let operation = &receipts(&scenario)[0];
    let status =
        |n: usize| operation["contents"][n]["metadata"]["operation_result"]["status"].clone();
    assert_eq!(
        [status(0), status(1), status(2)],
        ["backtracked", "backtracked", "skipped"]
    );
    let internal = &operation["contents"][1]["metadata"]["internal_operation_results"];
    let statuses: Vec<_> = (0..3)
        .map(|n| internal[n]["result"]["status"].clone())
        .collect();
    assert_eq!(statuses, ["backtracked", "failed", "skipped"]);
    let owner = Contract::Implicit(scenario.person(1).unwrap().account());
    let after = &scenario.chain().context().ledger;
    assert_eq!(after.account(owner).unwrap().counter.0, 3);
    assert!(after.balance(owner) < before.balance(owner));
}

#[test]
fn an_originated_rollup_has_its_address_and_genesis() {
    let (scenario, rollup) = with_rollup(short(Protocol::Ushuaia));
    let result = &receipts(&scenario)[0]["contents"][0]["metadata"]["operation_result"];
    assert_eq!(result["address"], rollup.to_string());
    let stored = scenario.chain().context().rollup(&rollup).unwrap();
    assert_eq!(
        result["genesis_commitment_hash"],
        stored.genesis.to_string()
    );
    assert_eq!(
        stored.commitment(&stored.genesis).unwrap().inbox_level,
        Level::new(2)
    );
    assert_eq!(stored.kernel.as_ref(), KERNEL);
}

#[test]
fn a_second_operation_of_a_source_replaces_or_waits() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    let messages = |text: &[u8]| Action::AddMessages {
        messages: vec![text.to_vec()],
    };
    let cheap = scenario.sign(1, vec![messages(b"1")]).unwrap();
    let rival = scenario.sign(1, vec![messages(b"2")]).unwrap();
    let later = scenario.chain_mut().inject(&cheap).unwrap();
    let refused = scenario.chain_mut().inject(&rival).unwrap_err();
    assert_eq!(
        refused.first().unwrap().id(),
        "prevalidation.operation_conflict"
    );
    scenario.act(&Act::messages(1, &[b"3"])).unwrap();
    scenario.advance().unwrap();
    let head = scenario.chain().head().clone();
    assert_eq!(
        head.operations.iter().map(|o| o.hash).collect::<Vec<_>>(),
        [later]
    );
    scenario.advance().unwrap();
    assert_eq!(scenario.chain().head().operations.len(), 1);
    assert_eq!(
        refusal(scenario.act(&Act::one(1, Deed::Messages { messages: vec![] }))),
        "smart_rollup_add_zero_messages"
    );
}

#[test]
fn a_reorganisation_brings_operations_back_and_states_with_them() {
    let (mut scenario, rollup) = with_rollup(short(Protocol::Ushuaia));
    scenario.advance_to(Level::new(12)).unwrap();
    scenario.act(&Act::messages(1, &[b"kept"])).unwrap();
    scenario.advance().unwrap();
    let old = scenario.chain().head().clone();
    let inbox = scenario.chain().context().inbox.hash();
    scenario
        .chain_mut()
        .reorganise(1, 2, Abandoned::Returned)
        .unwrap();
    let chain = scenario.chain();
    assert_eq!(chain.level(), Level::new(14));
    let new = chain.at(Level::new(13)).unwrap();
    assert_ne!(new.hash, old.hash);
    assert_eq!(new.header.round, 1);
    assert_eq!(new.operations.len(), 1);
    assert_eq!(
        chain
            .block(&old.hash)
            .unwrap()
            .context
            .as_ref()
            .unwrap()
            .inbox
            .hash(),
        inbox
    );
    assert!(chain.context().rollup(&rollup).is_ok());
    scenario.chain_mut().switch_to(&old.hash).unwrap();
    assert_eq!(scenario.chain().head().hash, old.hash);
    assert!(
        scenario
            .chain_mut()
            .reorganise(13, 14, Abandoned::Lost)
            .is_err()
    );
}

#[test]
fn a_migration_is_announced_in_the_first_level_of_the_new_protocol() {
    let new = Parameters::mainnet(Protocol::Ushuaia).with_lengths(10, 40, 20);
    let setup = short(Protocol::Tallinn).migrating(Level::new(6), Protocol::Ushuaia, new);
    let (mut scenario, _) = with_rollup(setup);
    let announced = |scenario: &Scenario| {
        messages(scenario).iter().any(|message| {
            *message == Message::Internal(InternalMessage::ProtocolMigration(b"u025_025".to_vec()))
        })
    };
    scenario.advance_to(Level::new(6)).unwrap();
    assert!(!announced(&scenario));
    let head = scenario.chain().head();
    assert_ne!(head.protocol, head.next_protocol);
    assert_eq!(head.header.proto, 2);
    assert_eq!(scenario.chain().context().protocol, Protocol::Ushuaia);
    scenario.advance().unwrap();
    assert!(announced(&scenario));
    assert_eq!(scenario.chain().head().header.proto, 2);
    scenario.advance().unwrap();
    assert!(!announced(&scenario));
}

#[test]
fn money_is_conserved_but_for_what_is_burned() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    let total = |scenario: &Scenario| -> u64 {
        let ledger = &scenario.chain().context().ledger;
        ledger
            .owners()
            .map(|(_, account)| account.balance.0 + account.frozen_bonds().0)
            .sum()
    };
    let before = total(&scenario);
    let stranger = "tz1VSUr8wwNhLAzempoch5d6hLRiTh8Cjcjb";
    let pay = Deed::Pay {
        to: stranger.into(),
        mutez: 1_000_000,
    };
    scenario.act(&Act::one(1, pay)).unwrap();
    scenario.advance().unwrap();
    assert_eq!(before - total(&scenario), 257 * 250);
    let born = stranger.parse::<Contract>().unwrap();
    assert_eq!(
        scenario.chain().context().ledger.balance(born),
        Mutez(1_000_000)
    );
    let result = &receipts(&scenario)[0]["contents"][0]["metadata"]["operation_result"];
    assert_eq!(result["allocated_destination_contract"], true);
}

/// The protocol never starts its numbering anew within a block.
#[test]
fn internal_operations_are_numbered_through_their_block() {
    let (mut scenario, rollup) = with_rollup(short(Protocol::Ushuaia));
    let relay = scenario.relay().to_string();
    let to_rollup = || (rollup.to_string(), json!({"bytes": "01"}));
    let calls = |by, transfers| Act::one(by, Deed::Relay { transfers });
    scenario
        .act(&calls(1, vec![to_rollup(), to_rollup()]))
        .unwrap();
    // What is undone gives its numbers back.
    let undone = vec![to_rollup(), (relay, json!({"string": "fail"}))];
    scenario.act(&calls(2, undone)).unwrap();
    scenario.act(&calls(3, vec![to_rollup()])).unwrap();
    let of_head = |scenario: &Scenario| -> Vec<Vec<Value>> {
        let all = receipts(scenario);
        let of = |operation: &Value| {
            let metadata = &operation["contents"][0]["metadata"];
            let internal = metadata["internal_operation_results"].as_array().unwrap();
            internal.iter().map(|item| item["nonce"].clone()).collect()
        };
        all.iter().map(of).collect()
    };
    scenario.advance().unwrap();
    assert_eq!(of_head(&scenario), [vec![0, 1], vec![2, 3], vec![2]]);
    scenario.act(&calls(1, vec![to_rollup()])).unwrap();
    scenario.advance().unwrap();
    assert_eq!(of_head(&scenario), [vec![0]]);
}

#[test]
fn an_account_is_not_paid_nothing_by_a_contract_either() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    let somebody = scenario.person(3).unwrap().account().to_string();
    let transfers = vec![(somebody.clone(), json!({"prim": "Unit"}))];
    scenario
        .act(&Act::one(1, Deed::Relay { transfers }))
        .unwrap();
    scenario.advance().unwrap();
    let metadata = &receipts(&scenario)[0]["contents"][0]["metadata"];
    let refused = &metadata["internal_operation_results"][0]["result"];
    assert_eq!(refused["status"], "failed");
    assert_eq!(
        refused["errors"],
        json!([{
            "kind": "branch", "id": "proto.025-PsUshuai.contract.empty_transaction",
            "contract": somebody,
        }])
    );
}
