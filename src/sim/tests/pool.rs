//! Operations on their way into a block: injection, the mempool over HTTP, simulation.

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::http::{HEAD, client, get, post, served, status_and_body};
use super::{short, with_rollup};
use crate::protocol::operation::{Action, Content, Contract, Operation, SignedOperation};
use crate::protocol::{Counter, Gas, Level, Mutez, Protocol};
use crate::sim::acts::{Act, Deed};
use crate::sim::fees::Thresholds;
use crate::sim::mempool::Class;
use crate::sim::scenario::Scenario;
use crate::sim::validate::bls_suite;

/// A signed transfer of account `by`, with this fee and so many blocks of counters ahead.
pub(super) fn transfer(scenario: &Scenario, by: u32, fee: u64, amount: u64, ahead: u64) -> Vec<u8> {
    let pay = Action::Transaction {
        amount: Mutez(amount),
        destination: Contract::Implicit(scenario.person(5).unwrap().account()),
        parameters: None,
    };
    changed(scenario, by, vec![pay], |content| {
        content.fee = Mutez(fee);
        content.counter = Counter(content.counter.0 + ahead);
        content.gas_limit = Gas(1000);
    })
}

/// A signed transfer of account `by` to account `to`.
pub(super) fn transfer_to(scenario: &Scenario, by: u32, to: u32, amount: u64) -> Vec<u8> {
    let pay = Action::Transaction {
        amount: Mutez(amount),
        destination: Contract::Implicit(scenario.person(to).unwrap().account()),
        parameters: None,
    };
    changed(scenario, by, vec![pay], |content| content.fee = Mutez(1000))
}

/// A batch of account `by`, signed after `change`.
pub(super) fn changed(
    scenario: &Scenario,
    by: u32,
    actions: Vec<Action>,
    change: impl Fn(&mut Content),
) -> Vec<u8> {
    let form = scenario.chain().form();
    let bytes = scenario.sign(by, actions).unwrap();
    let mut operation = SignedOperation::from_bytes(form, &bytes).unwrap().operation;
    operation.contents.iter_mut().for_each(change);
    signed(scenario, by, operation)
}

fn signed(scenario: &Scenario, by: u32, operation: Operation) -> Vec<u8> {
    let form = scenario.chain().form();
    let message = operation.to_sign(form).unwrap();
    let suite = bls_suite(scenario.chain().context().protocol);
    let key = scenario.person(by).unwrap().key();
    let signature = key.sign(&message, suite).unwrap();
    SignedOperation {
        operation,
        signature,
    }
    .to_bytes(form)
    .unwrap()
}

pub(super) fn waiting(scenario: &Scenario) -> Vec<(Class, u64)> {
    let pool = scenario.chain().mempool().waiting().iter();
    pool.map(|w| (w.class, w.signed.operation.contents[0].fee.0))
        .collect()
}

#[test]
fn a_better_fee_replaces_and_a_worse_one_is_told_what_it_takes() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    let first = transfer(&scenario, 1, 1000, 1, 0);
    // Signed before the first waits, so that both have the same counter.
    let (worse, better) = (
        transfer(&scenario, 1, 1049, 2, 0),
        transfer(&scenario, 1, 1050, 3, 0),
    );
    let chain = scenario.chain_mut();
    chain.inject(&first).unwrap();
    let refused = chain.inject(&worse).unwrap_err();
    let json = refused.json(Protocol::Ushuaia);
    assert_eq!(json[0]["id"], "prevalidation.operation_conflict");
    assert_eq!(json[0]["needed_fee_in_mutez"], "1050");
    chain.inject(&better).unwrap();
    let expected = [(Class::BranchDelayed, 1000), (Class::Validated, 1050)];
    assert_eq!(waiting(&scenario), expected);
    scenario.advance().unwrap();
    // The counter is used now: the one that was replaced has no place on this branch.
    assert_eq!(waiting(&scenario), [(Class::BranchRefused, 1000)]);
    assert_eq!(scenario.chain().head().operations.len(), 1);
}

#[test]
fn what_is_injected_must_fit_the_next_block_and_a_peers_may_wait() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    let ahead = transfer(&scenario, 1, 1000, 1, 1);
    let now = transfer(&scenario, 1, 1000, 1, 0);
    let chain = scenario.chain_mut();
    let refused = chain.inject(&ahead).unwrap_err();
    assert_eq!(
        refused.first().unwrap().id(),
        "contract.counter_in_the_future"
    );
    assert!(chain.mempool().waiting().is_empty());
    chain.receive(&ahead).unwrap_err();
    assert_eq!(waiting(&scenario), [(Class::BranchDelayed, 1000)]);
    scenario.chain_mut().inject(&now).unwrap();
    scenario.advance().unwrap();
    assert_eq!(waiting(&scenario), [(Class::Validated, 1000)]);
    scenario.advance().unwrap();
    assert!(waiting(&scenario).is_empty());
}

#[test]
fn a_low_fee_passes_injection_but_no_baker_takes_it() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    // 100 mutez, 1000 gas units and the bytes: well over 300.
    let low = transfer(&scenario, 1, 300, 1, 0);
    scenario.chain_mut().inject(&low).unwrap();
    assert_eq!(waiting(&scenario), [(Class::Validated, 300)]);
    scenario.advance().unwrap();
    assert!(scenario.chain().head().operations.is_empty());
    assert_eq!(waiting(&scenario), [(Class::Refused, 300)]);
    let error = scenario.chain().mempool().waiting()[0].error.clone();
    assert_eq!(
        error.unwrap().first().unwrap().id(),
        "prefilter.fees_too_low"
    );
}

#[test]
fn a_full_block_takes_what_pays_most() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    let limit = scenario.chain().context().parameters.gas_per_block;
    for (by, fee) in [(1, 200_000), (2, 400_000), (3, 300_000)] {
        let pay = Action::Transaction {
            amount: Mutez(1),
            destination: Contract::Implicit(scenario.person(5).unwrap().account()),
            parameters: None,
        };
        let bytes = changed(&scenario, by, vec![pay], |content| {
            content.fee = Mutez(fee);
            content.gas_limit = Gas(limit / 2);
        });
        scenario.chain_mut().inject(&bytes).unwrap();
    }
    scenario.advance().unwrap();
    let fees = |scenario: &Scenario| -> Vec<u64> {
        let operations = scenario.chain().head().operations.iter();
        operations
            .map(|included| included.signed.operation.contents[0].fee.0)
            .collect()
    };
    assert_eq!(fees(&scenario), [400_000, 300_000]);
    scenario.advance().unwrap();
    assert_eq!(fees(&scenario), [200_000]);
}

#[test]
fn limits_and_shapes_are_refused_with_the_protocols_ids() {
    let (scenario, _) = with_rollup(short(Protocol::Ushuaia));
    let pay = |amount| Action::Transaction {
        amount: Mutez(amount),
        destination: Contract::Implicit(scenario.person(5).unwrap().account()),
        parameters: None,
    };
    let ids = |bytes: &[u8]| -> Vec<String> {
        let mut chain = scenario.chain().clone();
        let errors = chain.inject(bytes).unwrap_err();
        errors.0.iter().map(|error| error.id().to_owned()).collect()
    };
    type Change = fn(&mut Content);
    let cases: [(Change, &[&str]); 5] = [
        (|c| c.gas_limit = Gas(1_040_001), &["gas_limit_too_high"]),
        (
            |c| c.gas_limit = Gas(100),
            &[
                "validate.operation.insufficient_gas_for_manager",
                "gas_exhausted.operation",
            ],
        ),
        (
            |c| c.storage_limit = crate::protocol::StorageBytes(60_001),
            &["storage_limit_too_high"],
        ),
        (
            |c| c.fee = Mutez(u64::MAX / 2),
            &["contract.balance_too_low", "tez.subtraction_underflow"],
        ),
        (
            |c| c.counter = Counter(0),
            &["contract.counter_in_the_past"],
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(ids(&changed(&scenario, 1, vec![pay(1)], change)), expected);
    }
    // Two contents that ask for more gas together than a block has.
    let half = |c: &mut crate::protocol::operation::Content| c.gas_limit = Gas(600_000);
    assert_eq!(
        ids(&changed(&scenario, 1, vec![pay(1), pay(2)], half)),
        ["gas_limit_too_high", "gas_exhausted.block"]
    );
    // Reading what is sent costs beyond what any content costs, even if it is `Unit`.
    let short_second = |gas: u64| {
        move |c: &mut Content| {
            if matches!(
                c.action,
                Action::Transaction {
                    amount: Mutez(2),
                    ..
                }
            ) {
                c.gas_limit = Gas(gas);
            }
        }
    };
    assert_eq!(
        ids(&changed(
            &scenario,
            1,
            vec![pay(1), pay(2)],
            short_second(100)
        )),
        [
            "validate.operation.gas_quota_exceeded_init_deserialize",
            "gas_exhausted.operation"
        ]
    );
    let enough = changed(&scenario, 1, vec![pay(1), pay(2)], short_second(101));
    scenario.chain().clone().inject(&enough).unwrap();
    // Consistency comes before anything the state says.
    let stranger = scenario.person(2).unwrap().account();
    let form = scenario.chain().form();
    let bytes = scenario.sign(1, vec![pay(1), pay(2)]).unwrap();
    let mut operation = SignedOperation::from_bytes(form, &bytes).unwrap().operation;
    operation.contents[1].source = stranger;
    assert_eq!(
        ids(&signed(&scenario, 1, operation.clone())),
        ["validate.operation.inconsistent_sources"]
    );
    operation.contents[1].source = operation.contents[0].source;
    operation.contents[1].counter = operation.contents[0].counter;
    assert_eq!(
        ids(&signed(&scenario, 1, operation)),
        ["validate.operation.inconsistent_counters"]
    );
}

#[tokio::test]
async fn a_refused_injection_tells_the_trace_as_text() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    scenario.act(&Act::messages(1, &[b"x"])).unwrap();
    let old = transfer(&scenario, 2, 1000, 1, 0);
    scenario
        .act(&Act::one(
            2,
            Deed::Pay {
                to: scenario.person(3).unwrap().account().to_string(),
                mutez: 5,
            },
        ))
        .unwrap();
    scenario.advance().unwrap();
    let account = scenario.person(2).unwrap().account();
    let (_, endpoint) = served(scenario).await;
    let (status, errors) = post(&endpoint, "/injection/operation", &json!(hex::encode(&old))).await;
    assert_eq!(status, 500);
    assert_eq!(
        errors[0],
        json!({"kind": "permanent", "id": "async_injection_failed"})
    );
    assert_eq!(errors[1]["id"], "failure");
    let text = errors[1]["msg"].as_str().unwrap();
    let counter = format!("already used for contract {account} (expected ");
    assert!(text.contains(&counter), "{text}");
    // Nobody waits for the verdict: the hash is answered, and nothing is kept.
    let path = "/injection/operation?async=True";
    assert_eq!(
        post(&endpoint, path, &json!(hex::encode(&old))).await.0,
        200
    );
    let pending = get(&endpoint, "/chains/main/mempool/pending_operations").await;
    assert_eq!(pending["branch_refused"], json!([]));
    let (status, errors) = post(&endpoint, "/injection/operation", &json!("00")).await;
    assert_eq!(
        (status, errors),
        (
            500,
            json!([{"kind": "temporary", "id": "failure", "msg": "Can't parse the operation"}])
        )
    );
    assert_eq!(
        post(&endpoint, "/injection/operation", &json!("no hex"))
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn the_mempool_is_listed_filtered_and_streamed_until_the_next_head() {
    let (scenario, _) = with_rollup(short(Protocol::Ushuaia));
    let (one, two) = (
        transfer(&scenario, 1, 1000, 1, 0),
        transfer(&scenario, 2, 1000, 1, 0),
    );
    let source = scenario.person(2).unwrap().account();
    let (shared, endpoint) = served(scenario).await;
    shared.with_chain(|chain| chain.inject(&one).unwrap());
    let url = format!("{}/chains/main/mempool/monitor_operations", endpoint.url());
    let mut stream = client().get(url).send().await.unwrap().bytes_stream();
    let mut next = async || -> Option<Value> {
        let part = stream.next().await?.unwrap();
        Some(serde_json::from_slice(&part).unwrap())
    };
    assert_eq!(next().await.unwrap().as_array().unwrap().len(), 1);
    let hash = shared.with_chain(|chain| chain.inject(&two).unwrap());
    let told = next().await.unwrap();
    assert_eq!(told[0]["hash"], json!(hash));
    assert_eq!(told[0]["protocol"], Protocol::Ushuaia.hash_text());
    let pending = async |query: &str| {
        let path = format!("/chains/main/mempool/pending_operations{query}");
        get(&endpoint, &path).await["validated"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(pending("").await, 2);
    assert_eq!(pending(&format!("?source={source}")).await, 1);
    assert_eq!(
        pending(&format!("?operation_hash={hash}&version=2")).await,
        1
    );
    assert_eq!(pending("?validated=false").await, 0);
    assert_eq!(pending("?validation_pass=0").await, 0);
    let old = "/chains/main/mempool/pending_operations?version=1";
    assert_eq!(status_and_body(&endpoint, old).await.0, 400);
    let ban = "/chains/main/mempool/ban_operation";
    assert_eq!(post(&endpoint, ban, &json!(hash)).await, (200, json!({})));
    assert_eq!(pending("").await, 1);
    shared.with(|scenario| scenario.advance().unwrap());
    // Banning a validated operation flushes the mempool, which ends its streams as a head does.
    assert!(next().await.is_none());
}

#[tokio::test]
async fn applied_blocks_are_streamed_on_every_branch() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    scenario.advance_to(Level::new(5)).unwrap();
    scenario.act(&Act::messages(1, &[b"seen"])).unwrap();
    let (shared, endpoint) = served(scenario).await;
    let url = format!("{}/monitor/applied_blocks", endpoint.url());
    let mut stream = client().get(url).send().await.unwrap().bytes_stream();
    shared.with(|scenario| scenario.advance().unwrap());
    shared.with_chain(|chain| {
        chain
            .reorganise(1, 2, crate::sim::chain::Abandoned::Lost)
            .unwrap();
    });
    let mut text = Vec::new();
    let mut blocks: Vec<Value> = Vec::new();
    while blocks.len() < 3 {
        text.extend(stream.next().await.unwrap().unwrap());
        let whole = serde_json::Deserializer::from_slice(&text).into_iter::<Value>();
        blocks = whole.filter_map(Result::ok).collect();
    }
    let levels: Vec<_> = blocks
        .iter()
        .map(|b| b["header"]["level"].clone())
        .collect();
    assert_eq!(levels, [6, 6, 7]);
    assert_ne!(blocks[0]["hash"], blocks[1]["hash"]);
    let data = blocks[0]["operations"][3][0]["data"].as_str().unwrap();
    assert!(data.contains(&hex::encode(b"seen")));
}

#[tokio::test]
async fn simulation_runs_at_the_level_asked_and_preapplication_in_sequence() {
    let (scenario, _) = with_rollup(short(Protocol::Ushuaia));
    let source = scenario.person(4).unwrap().account();
    let form = scenario.chain().form();
    let balance = scenario
        .chain()
        .context()
        .ledger
        .balance(Contract::Implicit(source));
    // The receiver passes on more than it had: that works after the first payment only.
    let json = |bytes: Vec<u8>| {
        let signed = SignedOperation::from_bytes(form, &bytes).unwrap();
        let mut json = signed.to_json(form).unwrap();
        json["protocol"] = Protocol::Ushuaia.hash_text().into();
        json
    };
    let first = json(transfer(&scenario, 4, 1000, balance.0 - 10_000, 0));
    let onward = json(transfer_to(&scenario, 5, 3, balance.0 + 10_000));
    let again = json(transfer(&scenario, 4, 2000, 1, 0));
    let next = json(transfer(&scenario, 4, 2000, 1, 1));
    let (_, endpoint) = served(scenario).await;
    let path = format!("{HEAD}/helpers/preapply/operations");
    let (status, applied) = post(&endpoint, &path, &json!([first, onward])).await;
    assert_eq!(status, 200, "{applied}");
    for nth in [0, 1] {
        let result = &applied[nth]["contents"][0]["metadata"]["operation_result"];
        assert_eq!(result["status"], "applied", "{applied}");
    }
    let mut other = first.clone();
    other["protocol"] = Protocol::Tallinn.hash_text().into();
    assert_eq!(post(&endpoint, &path, &json!([other])).await.0, 400);
    let refused = |errors: Value| errors[0]["id"].as_str().unwrap().to_owned();
    let (status, errors) = post(&endpoint, &path, &json!([first, again])).await;
    assert_eq!(status, 500);
    assert_eq!(errors[0]["source"], source.to_string());
    assert_eq!(
        refused(errors),
        "proto.025-PsUshuai.validate.operation.manager_restriction"
    );
    let (_, errors) = post(&endpoint, &path, &json!([first, next])).await;
    assert_eq!(
        refused(errors),
        "proto.025-PsUshuai.contract.counter_in_the_future"
    );
    let chain = get(&endpoint, "/chains/main/chain_id").await;
    let run = format!("{HEAD}/helpers/scripts/run_operation");
    let body = json!({"operation": first, "chain_id": chain});
    assert_eq!(post(&endpoint, &run, &body).await.0, 200);
    assert_eq!(
        post(&endpoint, &run, &json!({"operation": first})).await.0,
        400
    );
    // Validation refuses with the protocol's own trace.
    let body = json!({"operation": next, "chain_id": chain});
    let (status, errors) = post(&endpoint, &run, &body).await;
    assert_eq!(status, 500);
    assert_eq!(
        errors[0]["id"],
        "proto.025-PsUshuai.contract.counter_in_the_future"
    );
}

#[tokio::test]
async fn paths_are_named_and_refused_as_on_a_node() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    scenario.advance_to(Level::new(9)).unwrap();
    let relay = scenario.relay();
    let nobody = "tz1burnburnburnburnburnburnburjAYjjX";
    let (_, endpoint) = served(scenario).await;
    let level = async |name: &str| {
        let path = format!("/chains/main/blocks/{name}/header");
        status_and_body(&endpoint, &path)
            .await
            .1
            .map_or(Value::Null, |header| header["level"].clone())
    };
    assert_eq!(level("genesis+3").await, 3);
    assert_eq!(level("7-2").await, 5);
    assert_eq!(level("5+2").await, 7);
    assert_eq!(level("checkpoint").await, 7);
    assert_eq!(level("caboose+1").await, 1);
    assert_eq!(level("head~10").await, Value::Null);
    assert_eq!(level("head+1").await, Value::Null);
    for (path, status) in [
        ("/injection/operation", 405),
        ("/chains/main/blocks/head/helpers/forge/operations", 405),
        ("/chains/main/mempool/nonsense", 404),
        ("/monitor/heads/test", 404),
        ("/chains/main/blocks/head/operations?version=0", 400),
    ] {
        assert_eq!(status_and_body(&endpoint, path).await.0, status, "{path}");
    }
    let header = format!("{HEAD}/header");
    assert_eq!(post(&endpoint, &header, &Value::Null).await.0, 405);
    let contracts = format!("{HEAD}/context/contracts");
    let account = get(&endpoint, &format!("{contracts}/{nobody}")).await;
    assert_eq!(account["balance"], "0");
    assert_eq!(account["revealed"], false);
    assert_eq!(
        get(&endpoint, &format!("{contracts}/{relay}/entrypoints")).await,
        json!({"unreachable": [], "entrypoints": {}})
    );
    assert_eq!(
        get(
            &endpoint,
            &format!("{contracts}/{relay}/entrypoints/default")
        )
        .await["prim"],
        "list"
    );
    for leaf in ["delegate", "script", "nonsense"] {
        let path = format!("{contracts}/{nobody}/{leaf}");
        assert_eq!(status_and_body(&endpoint, &path).await.0, 404, "{leaf}");
    }
    let protocols = get(&endpoint, "/chains/main/protocols").await;
    assert_eq!(protocols[1]["protocol"], Protocol::Ushuaia.hash_text());
    assert_eq!(protocols[1]["activation_block"]["level"], 1);
    let level = get(&endpoint, &format!("{HEAD}/helpers/current_level?offset=1")).await;
    assert_eq!(level["level"], 10);
}

#[test]
fn a_full_mempool_keeps_what_pays_most_for_its_gas() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    let few = Thresholds::from_json(&json!({"max_operations": 2})).unwrap();
    scenario.chain_mut().set_thresholds(few);
    let dearer = transfer(&scenario, 2, 3_000, 1, 0);
    let mut send = |by, fee| {
        let bytes = transfer(&scenario, by, fee, 1, 0);
        scenario.chain_mut().inject(&bytes)
    };
    let cheap = send(1, 1_000).unwrap();
    send(2, 2_000).unwrap();
    let refused = send(3, 1_000).unwrap_err().json(Protocol::Ushuaia);
    assert_eq!(refused[0]["id"], "node.mempool.rejected_by_full_mempool");
    assert_eq!(refused[0]["needed_fee_in_mutez"], "1001");
    send(3, 1_001).unwrap();
    // A replacement takes the place of what it replaces.
    scenario.chain_mut().inject(&dearer).unwrap();
    let mempool = scenario.chain().mempool();
    let of = |hash| {
        mempool
            .waiting()
            .iter()
            .find(|waiting| waiting.hash == hash)
            .unwrap()
    };
    assert_eq!(of(cheap).class, Class::BranchDelayed);
    let why = of(cheap).error.as_ref().unwrap().first().unwrap().id();
    assert_eq!(why, "node.mempool.removed_from_full_mempool");
    let validated = mempool
        .waiting()
        .iter()
        .filter(|waiting| waiting.class == Class::Validated);
    assert_eq!(validated.count(), 2);
}

#[tokio::test]
async fn the_thresholds_of_a_mempool_are_shown_and_set() {
    let (scenario, _) = with_rollup(short(Protocol::Ushuaia));
    let (shared, endpoint) = served(scenario).await;
    let filter = "/chains/main/mempool/filter";
    let usual = get(&endpoint, filter).await;
    assert_eq!(usual["replace_by_fee_factor"], json!(["21", "20"]));
    let changed = format!("{filter}?include_default=false");
    assert_eq!(get(&endpoint, &changed).await, json!({}));
    let dearer = json!({"minimal_fees": "5000", "replace_by_fee_factor": ["2", "1"]});
    let (status, set) = post(&endpoint, filter, &dearer).await;
    assert_eq!((status, &set["minimal_fees"]), (200, &json!("5000")));
    assert_eq!(get(&endpoint, &changed).await, dearer);
    // Twice the fee is what a replacement costs now; what comes from peers pays the new minimum.
    let refused = shared.with(|scenario| {
        let (first, second) = (
            transfer(scenario, 1, 1_000, 1, 0),
            transfer(scenario, 1, 1_999, 2, 0),
        );
        scenario.chain_mut().inject(&first).unwrap();
        let conflict = scenario.chain_mut().inject(&second).unwrap_err();
        let cheap = transfer(scenario, 2, 1_000, 1, 0);
        [conflict, scenario.chain_mut().receive(&cheap).unwrap_err()]
    });
    let [conflict, cheap] = refused.map(|refused| refused.json(Protocol::Ushuaia));
    assert_eq!(conflict[0]["needed_fee_in_mutez"], "2000");
    assert_eq!(cheap[0]["id"], "proto.025-PsUshuai.prefilter.fees_too_low");
    // What is no configuration leaves it as it is.
    let (status, still) = post(&endpoint, filter, &json!({"nonsense": 1})).await;
    assert_eq!((status, &still), (200, &set));
}

/// A replacement that came too cheap goes first once all are judged anew.
#[test]
fn what_pays_most_is_judged_first_after_a_flush() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    let [first, second, other] = [
        transfer(&scenario, 1, 1_000, 1, 0),
        transfer(&scenario, 1, 1_040, 2, 0),
        transfer(&scenario, 2, 1_000, 1, 0),
    ];
    let chain = scenario.chain_mut();
    chain.inject(&first).unwrap();
    chain.receive(&second).unwrap_err();
    let other = chain.inject(&other).unwrap();
    chain.ban(other);
    let judged = [(Class::BranchDelayed, 1_000), (Class::Validated, 1_040)];
    assert_eq!(waiting(&scenario), judged);
}
