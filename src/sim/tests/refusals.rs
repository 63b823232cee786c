//! What whole operations are refused with: each id once, in a block or before it.

use serde_json::{Value, json};

use super::{ids, short, why_failed, with_rollup};
use crate::codec::Micheline;
use crate::crypto::{PublicKey, Signature};
use crate::protocol::operation::{
    Action, Contract, Entrypoint, Operation, Origination, Parameters, PvmKind, SignedOperation,
};
use crate::protocol::{
    BlockHash, ContractHash, Counter, Gas, Mutez, Protocol, PublicKeyHash, RollupAddress,
    StorageBytes,
};
use crate::sim::accounts::Person;
use crate::sim::acts::content;
use crate::sim::ledger::Owner;
use crate::sim::receipts::{Shown, Status};
use crate::sim::scenario::Scenario;
use crate::sim::setup::Setup;
use crate::sim::validate::bls_suite;

pub(super) fn world(protocol: Protocol) -> Scenario {
    with_rollup(short(protocol)).0
}

/// Why the first of these actions that failed in a block did; nothing when all took effect.
pub(super) fn in_block(
    scenario: &mut Scenario,
    by: u32,
    actions: Vec<Action>,
) -> Vec<&'static str> {
    scenario.sign_and_inject(by, actions).unwrap();
    scenario.advance().unwrap();
    why_failed(scenario)
}

/// Why these bytes do not enter a node.
pub(super) fn at_the_door(scenario: &Scenario, bytes: &[u8]) -> Vec<&'static str> {
    ids(&scenario.chain().clone().inject(bytes).unwrap_err())
}

pub(super) fn origination(
    of_type: serde_json::Value,
    whitelist: Option<Vec<PublicKeyHash>>,
) -> Action {
    Action::Originate(Box::new(Origination {
        pvm: PvmKind::Wasm,
        kernel: super::KERNEL.to_vec(),
        origination_proof: None,
        parameters_type: Micheline::from_json(&of_type).unwrap(),
        whitelist,
    }))
}

fn call(destination: Contract, entrypoint: &str, value: &serde_json::Value) -> Action {
    Action::Transaction {
        amount: Mutez(0),
        destination,
        parameters: Some(Parameters {
            entrypoint: entrypoint.parse::<Entrypoint>().unwrap(),
            value: Micheline::from_json(value).unwrap(),
        }),
    }
}

#[test]
fn accounts_of_the_newest_curve_are_not_enabled() {
    let scenario = world(Protocol::Ushuaia);
    let new = PublicKeyHash::Tz5([5; 20]);
    let disabled = ["validate.operation.tz5_account_disabled"];
    let paid = scenario.sign(0, vec![pay(new, 1)]).unwrap();
    assert_eq!(at_the_door(&scenario, &paid), disabled);
    let from_it = |operation: &mut Operation| operation.contents[0].source = new;
    let bytes = signed(&scenario, &Person::derived(0, 1), pay(new, 1), from_it);
    assert_eq!(at_the_door(&scenario, &bytes), disabled);
}

#[test]
fn an_inbox_takes_messages_up_to_its_limits() {
    let mut setup = short(Protocol::Ushuaia);
    for (_, parameters) in setup.protocols.values_mut() {
        parameters.messages_per_level = 3;
    }
    let mut scenario = Scenario::new(setup).unwrap();
    let messages = |count: usize, size: usize| Action::AddMessages {
        messages: vec![vec![7; size]; count],
    };
    assert_eq!(
        in_block(&mut scenario, 0, vec![messages(4, 1)]),
        ["smart_rollup_inbox_level_reached_message_limit"]
    );
    assert_eq!(
        in_block(&mut scenario, 0, vec![messages(1, 4_096)]),
        ["smart_rollup_inbox_message_encoding"]
    );
    assert_eq!(
        in_block(&mut scenario, 0, vec![messages(1, 4_095)]),
        [""; 0]
    );
}

#[test]
fn money_goes_where_somebody_is() {
    let mut scenario = world(Protocol::Ushuaia);
    let relay = Contract::Originated(scenario.relay());
    let nowhere = Contract::Originated(ContractHash([9; 20]));
    let unit = json!({"prim": "Unit"});
    let mut told = |action| in_block(&mut scenario, 1, vec![action]);
    assert_eq!(
        told(call(nowhere, "default", &unit)),
        ["contract.non_existing_contract"]
    );
    assert_eq!(
        told(call(relay, "elsewhere", &unit)),
        [
            "michelson_v1.bad_contract_parameter",
            "michelson_v1.no_such_entrypoint"
        ]
    );
    assert_eq!(
        told(call(relay, "default", &json!({"string": "fail"}))),
        ["michelson_v1.runtime_error", "michelson_v1.script_rejected"]
    );
    assert_eq!(
        told(call(relay, "default", &json!([{"int": "1"}]))),
        [
            "michelson_v1.bad_contract_parameter",
            "michelson_v1.invalid_constant"
        ]
    );
    let somebody = Contract::Implicit(PublicKeyHash::Tz1([5; 20]));
    let Action::Transaction { parameters, .. } = call(somebody, "default", &json!({"int": "1"}))
    else {
        unreachable!("a call is a transaction");
    };
    assert_eq!(
        told(Action::Transaction {
            amount: Mutez(1),
            destination: somebody,
            parameters,
        }),
        ["michelson_v1.bad_contract_parameter"]
    );
}

/// The signed bytes of one content of somebody who is perhaps unknown.
fn signed(
    scenario: &Scenario,
    person: &Person,
    action: Action,
    change: impl FnOnce(&mut Operation),
) -> Vec<u8> {
    let form = scenario.chain().form();
    let ledger = &scenario.chain().context().ledger;
    let known = ledger.account(Contract::Implicit(person.account()));
    let next = Counter(known.map_or(0, |account| account.counter.0) + 1);
    let protocol = scenario.chain().context().protocol;
    let mut operation = Operation {
        branch: scenario.chain().head().hash,
        contents: vec![content(protocol, person.account(), next, action)],
    };
    change(&mut operation);
    let message = operation.to_sign(form).unwrap();
    let suite = bls_suite(protocol);
    let signature = person.key().sign(&message, suite).unwrap();
    SignedOperation {
        operation,
        signature,
    }
    .to_bytes(form)
    .unwrap()
}

fn pay(to: PublicKeyHash, mutez: u64) -> Action {
    Action::Transaction {
        amount: Mutez(mutez),
        destination: Contract::Implicit(to),
        parameters: None,
    }
}

#[test]
fn storage_is_paid_for_and_within_its_limit() {
    let stranger = Person::derived(99, 0).account();
    let mut scenario = world(Protocol::Ushuaia);
    let small = |operation: &mut Operation| operation.contents[0].storage_limit = StorageBytes(100);
    let person = Person::derived(0, 3);
    let bytes = signed(&scenario, &person, pay(stranger, 1), small);
    scenario.chain_mut().inject(&bytes).unwrap();
    scenario.advance().unwrap();
    let receipts = scenario.chain().head().operations[0].receipts.clone();
    let Status::Backtracked(_, Some(trace)) = &receipts[0].status else {
        panic!("{receipts:?}");
    };
    assert_eq!(ids(trace), ["storage_exhausted.operation"]);
    // It worked but for that, and says what it did.
    let head = scenario.chain().head();
    let json = head.operations[0].content_json(crate::crypto::Dialect::Modern, Shown::Receipts);
    let result = &json["contents"][0]["metadata"]["operation_result"];
    assert_eq!(result["status"], "backtracked");
    assert_eq!(
        result["errors"][0]["id"],
        "proto.025-PsUshuai.storage_exhausted.operation"
    );
    assert_eq!(result["allocated_destination_contract"], true);
    let mut setup = short(Protocol::Ushuaia);
    // Enough for fee and amount, not for the new account.
    setup.money.insert(3, Mutez(30_000));
    let mut poor = Scenario::new(setup).unwrap();
    let told = in_block(&mut poor, 3, vec![pay(stranger, 1_000)]);
    assert_eq!(told.first(), Some(&"contract.cannot_pay_storage_fee"));
}

#[test]
fn a_key_is_revealed_once_first_by_its_owner() {
    let mut scenario = world(Protocol::Ushuaia);
    let (new, other) = (Person::derived(99, 0), Person::derived(99, 1));
    let reveal = |of: &Person| Action::Reveal {
        public_key: *of.key().public(),
        proof: None,
    };
    let same = |_: &mut Operation| {};
    let door =
        |scenario: &Scenario, action| at_the_door(scenario, &signed(scenario, &new, action, same));
    assert_eq!(
        door(&scenario, pay(other.account(), 1)),
        ["implicit.empty_implicit_contract"]
    );
    assert_eq!(
        in_block(&mut scenario, 0, vec![pay(new.account(), 10_000_000)]),
        [""; 0]
    );
    assert_eq!(
        door(&scenario, pay(other.account(), 1)),
        ["contract.unrevealed_key"]
    );
    assert_eq!(
        door(&scenario, reveal(&other)),
        ["contract.manager.inconsistent_hash"]
    );
    let late = |operation: &mut Operation| {
        let mut second = operation.contents[0].clone();
        operation.contents[0].action = pay(other.account(), 1);
        second.counter = Counter(second.counter.0 + 1);
        operation.contents.push(second);
    };
    assert_eq!(
        at_the_door(&scenario, &signed(&scenario, &new, reveal(&new), late)),
        ["validate.operation.incorrect_reveal_position"]
    );
    let bytes = signed(&scenario, &new, reveal(&new), same);
    scenario.chain_mut().inject(&bytes).unwrap();
    scenario.advance().unwrap();
    let again = signed(&scenario, &new, reveal(&new), same);
    scenario.chain_mut().inject(&again).unwrap();
    scenario.advance().unwrap();
    let included = scenario.chain().head().operations[0].clone();
    let Status::Failed(trace) = &included.receipts[0].status else {
        panic!("{included:?}");
    };
    assert_eq!(ids(trace), ["contract.previously_revealed_key"]);
}

/// Index 8 is a tz4 account; from Seoul on its key comes with a proof that somebody holds it.
#[test]
fn a_bls_key_is_revealed_with_the_proof_of_its_possession() {
    for protocol in [Protocol::Seoul, Protocol::Tallinn, Protocol::Ushuaia] {
        let mut scenario = world(protocol);
        let (new, other) = (Person::derived(99, 8), Person::derived(98, 8));
        let plain = Person::derived(99, 0);
        for to in [new.account(), plain.account()] {
            assert_eq!(
                in_block(&mut scenario, 0, vec![pay(to, 10_000_000)]),
                [""; 0]
            );
        }
        let reveal = |of: &Person, proof: Option<Signature>| {
            let action = Action::Reveal {
                public_key: *of.key().public(),
                proof,
            };
            let ample = |operation: &mut Operation| {
                operation.contents[0].gas_limit = Gas(10_000);
                operation.contents[0].fee = Mutez(5_000);
            };
            signed(&scenario, of, action, ample)
        };
        assert!(matches!(new.key().public(), PublicKey::Bls(_)));
        assert_eq!(
            at_the_door(&scenario, &reveal(&new, None)),
            ["validate.operation.missing_bls_proof"]
        );
        let proof = |of: &Person| of.key().prove_possession();
        assert_eq!(
            at_the_door(&scenario, &reveal(&plain, proof(&other))),
            ["validate.operation.unused_bls_proof"]
        );
        let scarce = |operation: &mut Operation| operation.contents[0].gas_limit = Gas(3_000);
        let action = Action::Reveal {
            public_key: *new.key().public(),
            proof: proof(&new),
        };
        assert_eq!(
            at_the_door(&scenario, &signed(&scenario, &new, action, scarce)),
            [
                "validate.operation.insufficient_gas_for_manager",
                "gas_exhausted.operation"
            ]
        );
        // The proof itself is looked at when the operation is applied.
        let (wrong, right) = (reveal(&new, proof(&other)), reveal(&new, proof(&new)));
        let outcome = |bytes: &[u8]| {
            let mut scenario = scenario.chain().clone();
            scenario.inject(bytes).unwrap();
            scenario.bake().unwrap();
            let included = scenario.head().operations[0].clone();
            match &included.receipts[0].status {
                Status::Failed(trace) => ids(trace),
                _ => Vec::new(),
            }
        };
        assert_eq!(outcome(&wrong), ["validate.operation.incorrect_bls_proof"]);
        assert_eq!(outcome(&right), [""; 0]);
    }
}

#[test]
fn what_is_no_operation_of_this_chain_stays_outside() {
    let scenario = world(Protocol::Ushuaia);
    let someone = scenario.person(2).unwrap().account();
    let form = scenario.chain().form();
    let bytes = scenario.sign(1, vec![pay(someone, 1)]).unwrap();
    let mut signed = SignedOperation::from_bytes(form, &bytes).unwrap();
    signed.signature = Signature::ABSENT;
    assert_eq!(
        at_the_door(&scenario, &signed.to_bytes(form).unwrap()),
        ["operation.missing_signature"]
    );
    signed.operation.branch = BlockHash([3; 32]);
    assert_eq!(
        at_the_door(&scenario, &signed.to_bytes(form).unwrap()),
        ["prevalidation.future_or_unknown_branch"]
    );
    let mut large = vec![0; 32_769];
    large[..32].copy_from_slice(&bytes[..32]);
    assert_eq!(
        at_the_door(&scenario, &large),
        ["node.prevalidation.oversized_operation"]
    );
    // Branch and signature around nothing.
    assert_eq!(
        at_the_door(&scenario, &large[..96]),
        ["node.prevalidation.parse_error"]
    );
}

#[test]
fn a_delegate_is_registered_chosen_and_left() {
    let mut scenario = world(Protocol::Ushuaia);
    let account = |scenario: &Scenario, index| scenario.person(index).unwrap().account();
    let (one, other) = (account(&scenario, 1), account(&scenario, 2));
    let mut choose =
        |who, delegate| in_block(&mut scenario, who, vec![Action::Delegation { delegate }]);
    assert_eq!(
        choose(1, Some(other)),
        ["contract.manager.unregistered_delegate"]
    );
    assert_eq!(choose(2, Some(other)), [""; 0]);
    assert_eq!(choose(2, Some(other)), ["delegate.already_active"]);
    assert_eq!(choose(2, None), ["delegate.no_deletion"]);
    assert_eq!(choose(2, Some(one)), ["delegate.no_deletion"]);
    assert_eq!(choose(1, None), [""; 0]);
    assert_eq!(choose(1, Some(other)), [""; 0]);
    assert_eq!(choose(1, Some(other)), ["delegate.unchanged"]);
    let ledger = &scenario.chain().context().ledger;
    let delegate = |pkh| ledger.account(Owner::Implicit(pkh)).unwrap().delegate;
    assert_eq!((delegate(one), delegate(other)), (Some(other), Some(other)));
    assert!(ledger.is_delegate(other) && !ledger.is_delegate(one));
    let mut choose =
        |who, delegate| in_block(&mut scenario, who, vec![Action::Delegation { delegate }]);
    assert_eq!(choose(1, None), [""; 0]);
    assert_eq!(choose(1, Some(one)), [""; 0]);
    let receipt = scenario.chain().head().operations[0].clone();
    let json = receipt.content_json(crate::crypto::Dialect::Modern, Shown::Receipts);
    assert_eq!(
        json["contents"][0]["metadata"]["operation_result"].to_string(),
        r#"{"status":"applied","consumed_milligas":"168516"}"#
    );
}

#[test]
fn accounts_have_few_doors() {
    let mut scenario = world(Protocol::Ushuaia);
    let unit = json!({"prim": "Unit"});
    let (mine, other) = (1, 2);
    let to = |index| Contract::Implicit(Scenario::person(&scenario, index).unwrap().account());
    let (myself, another) = (to(mine), to(other));
    let mut told = |to, door: &str, value: &serde_json::Value, amount| {
        let mut action = call(to, door, value);
        if let Action::Transaction { amount: sent, .. } = &mut action {
            *sent = Mutez(amount);
        }
        in_block(&mut scenario, mine, vec![action])
    };
    assert_eq!(
        told(another, "door", &unit, 1),
        ["michelson_v1.no_such_entrypoint"]
    );
    assert_eq!(
        told(another, "default", &json!({"int": "1"}), 1),
        ["michelson_v1.bad_contract_parameter"]
    );
    assert_eq!(
        told(another, "default", &unit, 0),
        ["contract.empty_transaction"]
    );
    assert_eq!(
        told(another, "stake", &unit, 1),
        ["operations.invalid_self_transaction_destination"]
    );
    assert_eq!(
        told(myself, "stake", &unit, 1),
        ["operations.stake_modification_with_no_delegate_set"]
    );
    assert_eq!(
        told(myself, "finalize_unstake", &unit, 1),
        ["operations.invalid_nonzero_transaction_amount"]
    );
    assert_eq!(told(myself, "finalize_unstake", &unit, 0), [""; 0]);
}

/// The lengths of every protocol, as its mainnet has them, and what comes with them.
#[test]
fn every_protocol_has_the_constants_of_its_mainnet() {
    // Period, window, timeout, lookahead, block delay: from the protocols' own parameters.
    let lengths = [
        (Protocol::Mumbai, 60, 80_640, 40_320, 172_800, 15),
        (Protocol::Nairobi, 60, 80_640, 40_320, 172_800, 15),
        (Protocol::Oxford, 60, 80_640, 40_320, 172_800, 15),
        (Protocol::ParisB, 90, 120_960, 60_480, 259_200, 10),
        (Protocol::ParisC, 90, 120_960, 60_480, 259_200, 10),
        (Protocol::Quebec, 112, 151_200, 75_600, 324_000, 8),
        (Protocol::Rio, 112, 151_200, 75_600, 324_000, 8),
        (Protocol::Seoul, 112, 151_200, 75_600, 324_000, 8),
        (Protocol::Tallinn, 150, 201_600, 100_800, 432_000, 6),
        (Protocol::Ushuaia, 150, 201_600, 100_800, 432_000, 6),
    ];
    for (protocol, period, window, timeout, lookahead, delay) in lengths {
        let scenario = Scenario::new(Setup::mainnet(protocol)).unwrap();
        let parameters = &scenario.chain().context().parameters;
        let rollup = &parameters.rollup;
        let found = (
            rollup.commitment_period,
            rollup.challenge_window,
            rollup.timeout_period,
        );
        assert_eq!(found, (period, window, timeout), "{protocol:?}");
        assert_eq!(
            (rollup.max_lookahead, parameters.block_delay),
            (lookahead, delay)
        );
        let days = u64::from(window) * u64::from(delay);
        assert_eq!(days, 14 * 86_400, "two weeks under {protocol:?}");
        assert_eq!(rollup.stake_amount, Mutez(10_000_000_000));
        assert_eq!(
            (rollup.number_of_sections, rollup.max_parallel_games),
            (32, 32)
        );
    }
}

/// As the reference's client tells it of a rollup that takes strings.
#[test]
fn an_origination_burns_for_what_is_stored() {
    let mut scenario = world(Protocol::Ushuaia);
    let action = origination(json!({"prim": "string"}), None);
    scenario.sign_and_inject(1, vec![action]).unwrap();
    scenario.advance().unwrap();
    let receipt = &scenario.chain().head().operations[0].receipts[0];
    let Status::Applied(effects) = &receipt.status else {
        panic!("not applied: {:?}", receipt.status);
    };
    assert_eq!(effects.fields["size"], "6552");
    assert_eq!(effects.movements[0].amount, Mutez(1_638_000));
}

#[test]
fn a_contract_sends_a_rollup_what_it_takes() {
    let mut scenario = world(Protocol::Ushuaia);
    let relay = Contract::Originated(scenario.relay());
    let address = |rollup: &RollupAddress, door: &str| json!({"string": format!("{rollup}{door}")});
    let mut originated = |of_type: Value| {
        let action = origination(of_type, None);
        let before: Vec<_> = scenario.chain().context().rollups.keys().copied().collect();
        assert_eq!(in_block(&mut scenario, 0, vec![action]), [""; 0]);
        let mut now = scenario.chain().context().rollups.keys();
        *now.find(|rollup| !before.contains(rollup)).unwrap()
    };
    let four = json!({"prim": "pair", "args": vec![json!({"prim": "int"}); 4]});
    let ticket = json!({"prim": "ticket", "args": [{"prim": "string"}]});
    let (numbers, tickets) = (originated(four), originated(ticket));
    let mut told = |to: Value, value: Value| {
        let argument = json!([{"prim": "Pair", "args": [to, value]}]);
        in_block(&mut scenario, 1, vec![call(relay, "default", &argument)])
    };
    let one = json!({"int": "1"});
    let comb = json!({"prim": "Pair", "args": vec![one.clone(); 4]});
    assert_eq!(told(address(&numbers, ""), comb.clone()), [""; 0]);
    assert_eq!(told(address(&numbers, "%default"), comb.clone()), [""; 0]);
    let bad = "michelson_v1.bad_contract_parameter";
    let ill = "michelson_v1.invalid_constant";
    assert_eq!(
        told(address(&numbers, "%door"), comb.clone()),
        [bad, "michelson_v1.no_such_entrypoint"]
    );
    let refused = told(address(&numbers, ""), json!({"string": "one"}));
    assert_eq!(refused[..2], [bad, ill]);
    let nowhere = "sr1AE6U3GNzE8iKzj6sKS5wh1U32ogeULCoN".parse().unwrap();
    assert_eq!(
        told(address(&nowhere, ""), comb),
        [bad, "smart_rollup_does_not_exist"]
    );
    let forged = json!({"prim": "Pair", "args": [
        {"string": "KT1PWx2mnDueood7fEmfbBDKx1D9BAnnXitn"},
        {"prim": "Pair", "args": [{"string": "red"}, {"int": "3"}]}
    ]});
    assert_eq!(
        told(address(&tickets, ""), forged),
        [bad, "michelson_v1.unexpected_forged_value"]
    );
    // In the inbox is the shortest form, whatever was written.
    let of_type = &scenario
        .chain()
        .context()
        .rollup(&numbers)
        .unwrap()
        .parameters_type;
    assert!(!of_type.is_empty());
    let taken = told_payload(&mut scenario, relay, &address(&numbers, ""), &one);
    assert_eq!(taken, json!(vec![one; 4]));
}

/// What the inbox holds after a call that sends four times `part` as nested pairs.
fn told_payload(scenario: &mut Scenario, relay: Contract, to: &Value, part: &Value) -> Value {
    let pair = |one: &Value, other: Value| json!({"prim": "Pair", "args": [one, other]});
    let nested = pair(part, pair(part, pair(part, part.clone())));
    let argument = json!([pair(to, nested)]);
    let action = call(relay, "default", &argument);
    assert_eq!(in_block(scenario, 1, vec![action]), [""; 0]);
    let receipt = scenario.chain().head().operations[0].clone();
    let json = receipt.content_json(crate::crypto::Dialect::Modern, Shown::Receipts);
    json["contents"][0]["metadata"]["internal_operation_results"][0]["parameters"]["value"].clone()
}
