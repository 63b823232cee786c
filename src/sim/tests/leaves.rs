//! Leaves of the API, asked without a socket: what is answered where there is nothing to answer.

use serde_json::{Value, json};

use super::{claim, genesis, short, with_rollup};
use crate::protocol::operation::Action;
use crate::protocol::{Level, Protocol, PublicKeyHash};
use crate::sim::chain::Abandoned;
use crate::sim::ledger::Owner;
use crate::sim::media::Form;
use crate::sim::parameters::Parameters;
use crate::sim::rpc::{self, Method, Reply, Request, View};
use crate::sim::rules::originate;
use crate::sim::scenario::Scenario;
use crate::sim::weather::Weather;

/// What the endpoint answers.
fn asked(scenario: &Scenario, method: Method, path: &str, body: &Value) -> Reply {
    let weather = Weather::default();
    let view = View {
        chain: scenario.chain(),
        weather: &weather,
    };
    let body = body.to_string();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let query: Vec<_> = pairs
        .map(|(key, value)| (key.into(), value.into()))
        .collect();
    let request = Request {
        method,
        path: &format!("/chains/main/blocks/head/{path}"),
        query: &query,
        body: body.as_bytes(),
        form: Form::Json,
    };
    rpc::answer(view, &request)
}

fn get(scenario: &Scenario, path: &str) -> Reply {
    asked(scenario, Method::Get, path, &Value::Null)
}

/// Fields of the one error of an answer besides its kind.
fn error(reply: Reply) -> Value {
    let Reply::Errors(Value::Array(errors)) = reply else {
        panic!("no refusal: {reply:?}");
    };
    let mut error = errors.first().unwrap().clone();
    error.as_object_mut().unwrap().remove("kind");
    error
}

const NOWHERE: &str = "context/smart_rollups/smart_rollup/sr1AE6U3GNzE8iKzj6sKS5wh1U32ogeULCoN";
const SOMEBODY: &str = "tz1gjaF81ZRRvdzjobyfVNsAeSC6PScjfQwN";
const SOMETHING: &str = "src12i7dL2z9VbgshFDdGFP5TPBoJu6WnZNWJXGa1QQgPTErVPPtd8";

#[test]
fn a_rollup_that_is_not_there_has_empty_tables() {
    let (scenario, _) = with_rollup(short(Protocol::Ushuaia));
    let told = |leaf: &str| get(&scenario, &format!("{NOWHERE}/{leaf}"));
    for leaf in [
        "kind",
        "genesis_info",
        "last_cemented_commitment_hash_with_level",
    ] {
        assert_eq!(
            error(told(leaf)),
            json!({
                "id": "proto.025-PsUshuai.smart_rollup_does_not_exist",
                "rollup": "sr1AE6U3GNzE8iKzj6sKS5wh1U32ogeULCoN",
            }),
            "{leaf}"
        );
    }
    let commitment = error(told(&format!("commitment/{SOMETHING}")));
    assert_eq!(
        commitment["id"],
        "proto.025-PsUshuai.smart_rollup_does_not_exist"
    );
    let staked = error(told(&format!("staker/{SOMEBODY}/staked_on_commitment")));
    assert_eq!(
        staked,
        json!({"id": "proto.025-PsUshuai.smart_rollup_not_staked"})
    );
    let pair = format!("staker1/{SOMEBODY}/staker2/{SOMEBODY}");
    for (leaf, nothing) in [
        ("stakers".into(), json!([])),
        ("whitelist".into(), Value::Null),
        ("last_whitelist_update".into(), Value::Null),
        ("consumed_outputs/3".into(), json!([])),
        ("inbox_level/3/commitments".into(), Value::Null),
        (format!("staker/{SOMEBODY}/games"), json!([])),
        (format!("staker/{SOMEBODY}/conflicts"), json!([])),
        (format!("{pair}/timeout"), Value::Null),
        (format!("{pair}/timeout_reached"), Value::Null),
        (
            format!("commitment/{SOMETHING}/can_be_cemented"),
            json!(false),
        ),
    ] {
        assert_eq!(told(&leaf), Reply::Ok(nothing), "{leaf}");
    }
    assert_eq!(told("dal_slot_subscriptions/3"), Reply::not_found());
}

#[test]
fn a_missing_place_of_storage_is_told_by_its_key() {
    let (scenario, rollup) = with_rollup(short(Protocol::Ushuaia));
    let leaf = format!("context/smart_rollups/smart_rollup/{rollup}");
    let told = error(get(&scenario, &format!("{leaf}/staker/{SOMEBODY}/index")));
    let somebody: PublicKeyHash = SOMEBODY.parse().unwrap();
    let PublicKeyHash::Tz1(hash) = somebody else {
        unreachable!("a tz1");
    };
    assert_eq!(
        told,
        json!({
            "id": "proto.025-PsUshuai.context.storage_error",
            "missing_key": [
                "smart_rollup", "index", hex::encode(rollup.0), "staker_index", "ed25519",
                hex::encode(hash), "len",
            ],
            "function": "get",
        })
    );
    let told = error(get(
        &scenario,
        &format!("{leaf}/commitment/{SOMETHING}/stakers_indexes"),
    ));
    assert_eq!(told["missing_key"][3], "commitments_stakers");
}

#[test]
fn a_rollup_has_no_tickets() {
    let (scenario, rollup) = with_rollup(short(Protocol::Ushuaia));
    let leaf = format!("context/smart_rollups/smart_rollup/{rollup}/ticket_balance");
    let ticket = json!({
        "ticketer": "KT1ThEdxfUcWUwqsdergy3QnbCWGHSUHeHJq",
        "content_type": {"prim": "string"}, "content": {"string": "red"},
    });
    let told = asked(&scenario, Method::Post, &leaf, &ticket);
    assert_eq!(told, Reply::Ok(json!("0")));
    assert_eq!(get(&scenario, &leaf), Reply::NotAllowed("POST"));
    let told = asked(&scenario, Method::Post, &leaf, &json!({}));
    assert!(matches!(told, Reply::Status(400, _)));
}

#[test]
fn delegates_and_their_delegators() {
    let mut scenario = Scenario::new(short(Protocol::Ushuaia)).unwrap();
    let account = |index| scenario.person(index).unwrap().account();
    let baker = scenario.chain().config().baker;
    let one = account(1);
    assert_eq!(
        get(&scenario, "context/delegates"),
        Reply::Ok(json!([baker]))
    );
    let delegate = format!("context/contracts/{one}/delegate");
    assert_eq!(get(&scenario, &delegate), Reply::not_found());
    let choice = Action::Delegation {
        delegate: Some(baker),
    };
    scenario.sign_and_inject(1, vec![choice]).unwrap();
    scenario.advance().unwrap();
    assert_eq!(get(&scenario, &delegate), Reply::Ok(json!(baker)));
    let Reply::Ok(told) = get(&scenario, &format!("context/delegates/{baker}/delegators")) else {
        panic!("no delegators");
    };
    let mut told: Vec<_> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|who| who.to_string())
        .collect();
    told.sort_unstable();
    let mut both = [json!(baker).to_string(), json!(one).to_string()];
    both.sort_unstable();
    assert_eq!(told, both);
    let told = error(get(
        &scenario,
        &format!("context/delegates/{one}/deactivated"),
    ));
    assert_eq!(told["id"], "proto.025-PsUshuai.delegate.not_registered");
    let refused = get(&scenario, &format!("context/delegates/{one}/full_balance"));
    let Reply::Errors(refused) = refused else {
        panic!("no refusal");
    };
    let ids = [&refused[0]["id"], &refused[1]["id"]].map(|id| id.as_str().unwrap().to_owned());
    assert!(ids[0].ends_with(".delegate_service.balance_rpc_on_non_delegate"));
    assert!(ids[1].ends_with(".delegate.not_registered"));
    let Reply::Ok(whole) = get(&scenario, &format!("context/contracts/{one}")) else {
        panic!("no account");
    };
    let keys: Vec<_> = whole.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["balance", "delegate", "counter", "revealed"]);
}

#[test]
fn what_a_delegate_is_follows_from_the_ledger() {
    let mut scenario = Scenario::new(short(Protocol::Ushuaia)).unwrap();
    let baker = scenario.chain().config().baker;
    let account = |index| Scenario::person(&scenario, index).unwrap().account();
    let (one, other) = (account(1), account(2));
    let balance = |scenario: &Scenario, of| scenario.chain().context().ledger.balance(of);
    let at_first = balance(&scenario, Owner::Implicit(baker));
    let choice = Action::Delegation {
        delegate: Some(baker),
    };
    scenario.sign_and_inject(1, vec![choice]).unwrap();
    scenario.advance().unwrap();
    let own = balance(&scenario, Owner::Implicit(baker)).0;
    let external = balance(&scenario, Owner::Implicit(one)).0;
    let told = |leaf: &str| match get(&scenario, &format!("context/delegates/{baker}{leaf}")) {
        Reply::Ok(told) => told,
        other => panic!("{leaf}: {other:?}"),
    };
    let whole = told("");
    for (leaf, value) in whole.as_object().unwrap() {
        assert_eq!(told(&format!("/{leaf}")), *value, "{leaf}");
    }
    assert_eq!(whole["own_full_balance"], json!(own.to_string()));
    assert_eq!(whole["external_delegated"], json!(external.to_string()));
    assert_eq!(
        whole["total_delegated"],
        json!((own + external).to_string())
    );
    assert_eq!(told("/staking_balance"), whole["total_delegated"]);
    assert_eq!(whole["consensus_key"]["active"]["pkh"], json!(baker));
    // Before anybody chose it, only its own money counted.
    let least = &whole["min_delegated_in_current_cycle"];
    assert_eq!(least["amount"], json!(at_first.0.to_string()));
    assert_eq!(least["level"]["level"], 1);
    // Two cycles to get rights in, two to be idle in.
    assert_eq!(whole["grace_period"], 4);
    assert_eq!(
        whole["total_unstaked_per_cycle"].as_array().unwrap().len(),
        1
    );
    let forbidden = format!("context/delegates/{other}/is_forbidden");
    assert_eq!(get(&scenario, &forbidden), Reply::Ok(false.into()));
    let poor = get(&scenario, "context/delegates?without_minimal_stake=true");
    assert_eq!(poor, Reply::Ok(json!([])));
    let leaf = |protocol, leaf: &str| {
        let scenario = Scenario::new(short(protocol)).unwrap();
        let baker = scenario.chain().config().baker;
        matches!(
            get(&scenario, &format!("context/delegates/{baker}/{leaf}")),
            Reply::Ok(_)
        )
    };
    assert!(leaf(Protocol::Mumbai, "full_balance") && !leaf(Protocol::Mumbai, "own_staked"));
    assert!(leaf(Protocol::Quebec, "own_staked") && !leaf(Protocol::Quebec, "companion_key"));
}

#[test]
fn money_and_protocols_are_told_of_the_whole_chain() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    scenario.advance().unwrap();
    let all = scenario.chain().context().ledger.supply();
    assert_eq!(
        get(&scenario, "context/total_supply"),
        Reply::Ok(json!(all))
    );
    assert_eq!(
        get(&scenario, "context/protocol/first_level"),
        Reply::Ok(1.into())
    );
    let count = format!("votes/proposal_count/{SOMEBODY}");
    assert_eq!(get(&scenario, &count), Reply::Ok(0.into()));
    assert_eq!(
        get(&scenario, "context/constants/errors"),
        Reply::not_found()
    );
    let relay = format!("context/contracts/{}/big_map_get", scenario.relay());
    let key = json!({"key": {"int": "1"}, "type": {"prim": "int"}});
    assert_eq!(
        asked(&scenario, Method::Post, &relay, &key),
        Reply::Ok(Value::Null)
    );
}

#[test]
fn the_one_baker_has_every_right() {
    let scenario = Scenario::new(short(Protocol::Ushuaia)).unwrap();
    let baker = scenario.chain().config().baker;
    let head = scenario.chain().head().header.level.get();
    let Reply::Ok(rights) = get(&scenario, "helpers/baking_rights") else {
        panic!("no rights");
    };
    assert_eq!(rights.as_array().unwrap().len(), 1);
    assert_eq!(rights[0]["level"], head + 1);
    assert_eq!(rights[0]["delegate"], json!(baker));
    let Reply::Ok(rights) = get(
        &scenario,
        "helpers/baking_rights?all=true&max_round=2&level=9",
    ) else {
        panic!("no rights");
    };
    let rounds: Vec<_> = rights
        .as_array()
        .unwrap()
        .iter()
        .map(|right| &right["round"])
        .collect();
    assert_eq!(rounds, [0, 1, 2]);
    let nobodys = format!("helpers/attestation_rights?delegate={SOMEBODY}");
    assert_eq!(get(&scenario, &nobodys), Reply::Ok(json!([])));
}

/// `endorsing_rights` had two names for two protocols, and the power three.
#[test]
fn rights_to_attest_have_the_names_of_their_time() {
    let power = |protocol, leaf: &str| {
        let scenario = Scenario::new(short(protocol)).unwrap();
        match get(&scenario, &format!("helpers/{leaf}")) {
            Reply::Ok(told) => {
                let rights = told[0]["delegates"][0].as_object().unwrap();
                rights.keys().find(|key| key.ends_with("power")).cloned()
            }
            reply => {
                assert_eq!(reply, Reply::not_found());
                None
            }
        }
    };
    for (protocol, older, newer) in [
        (Protocol::Mumbai, Some("endorsing_power"), None),
        (
            Protocol::Nairobi,
            Some("endorsing_power"),
            Some("attestation_power"),
        ),
        (
            Protocol::Oxford,
            Some("endorsing_power"),
            Some("attestation_power"),
        ),
        (Protocol::Seoul, None, Some("attestation_power")),
        (Protocol::Tallinn, None, Some("attesting_power")),
    ] {
        let told = (
            power(protocol, "endorsing_rights"),
            power(protocol, "attestation_rights"),
        );
        assert_eq!((told.0.as_deref(), told.1.as_deref()), (older, newer));
    }
}

#[test]
fn malformed_names_in_a_path_are_told() {
    let scenario = Scenario::new(short(Protocol::Ushuaia)).unwrap();
    let told = |path: &str| match get(&scenario, path) {
        Reply::Status(400, text) => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        told("operations/x"),
        "Failed to parsed an argument in path. After \"chains/main/blocks/head/operations/x\", the \
         value \"Invalid list offset (x)\" is not acceptable for type \"list_offset\""
    );
    assert!(told("operation_hashes/3/x").contains("\"Invalid operation offset (x)\""));
    assert!(told("context/contracts/x/balance").contains("\"Cannot parse contract id\""));
    assert_eq!(get(&scenario, "operations/3/9"), Reply::not_found());
    assert_eq!(get(&scenario, "operations/-1"), Reply::not_found());
    let weather = Weather::default();
    let view = View {
        chain: scenario.chain(),
        weather: &weather,
    };
    let of_chain = |chain: &str| {
        let request = Request {
            method: Method::Get,
            path: &format!("/chains/{chain}/chain_id"),
            query: &[],
            body: b"",
            form: Form::Json,
        };
        rpc::answer(view, &request)
    };
    assert!(matches!(of_chain("other"), Reply::Status(400, _)));
    assert_eq!(of_chain("test"), Reply::not_found());
    assert_eq!(of_chain("NetXdQprcVkpaWU"), Reply::not_found());
}

#[test]
fn metadata_has_what_each_protocol_tells() {
    let keys = |protocol| {
        let (scenario, _) = with_rollup(short(protocol));
        let Reply::Ok(Value::Object(metadata)) = get(&scenario, "metadata") else {
            panic!("no metadata");
        };
        let asked = [
            "adaptive_issuance_vote_ema",
            "dal_attestation",
            "all_bakers_attest_activation_level",
            "attestations",
        ];
        asked.map(|key| metadata.contains_key(key))
    };
    assert_eq!(keys(Protocol::Mumbai), [false, false, false, false]);
    assert_eq!(keys(Protocol::Oxford), [true, false, false, false]);
    assert_eq!(keys(Protocol::Quebec), [true, true, false, false]);
    assert_eq!(keys(Protocol::Tallinn), [false, true, true, true]);
}

/// The order is that of the tree behind them, read from its end: names of curves, then digits.
#[test]
fn lists_come_as_storage_gives_them() {
    let (mut scenario, rollup) = with_rollup(short(Protocol::Ushuaia));
    scenario.chain_mut().bake_many(11).unwrap();
    let root = genesis(scenario.chain().context(), &rollup);
    // Persons 6, 7 and 8 have a tz2, a tz3 and a tz4.
    for nth in 0_u8..9 {
        let commitment = claim(root, 12, nth);
        let publish = Action::Publish { rollup, commitment };
        scenario.sign_and_inject(nth.into(), vec![publish]).unwrap();
    }
    scenario.advance().unwrap();
    let told = |leaf: &str| {
        let leaf = format!("context/smart_rollups/smart_rollup/{rollup}/{leaf}");
        match get(&scenario, &leaf) {
            Reply::Ok(Value::Array(items)) => items,
            other => panic!("{other:?}"),
        }
    };
    let stakers = told("stakers");
    let curves: Vec<_> = stakers
        .iter()
        .map(|staker| &staker.as_str().unwrap()[..3])
        .collect();
    let mut expected = vec!["tz2", "tz3"];
    expected.extend(["tz1"; 6]);
    expected.push("tz4");
    assert_eq!(curves, expected);
    let me = stakers[8].as_str().unwrap();
    let mut others = told(&format!("staker/{me}/conflicts"));
    others.reverse();
    let others: Vec<_> = others
        .iter()
        .map(|conflict| conflict["other"].clone())
        .collect();
    assert_eq!(others, stakers[..8]);
}

#[test]
fn kernels_are_proved_for_who_originates_until_nairobi() {
    let body = json!({"kind": "wasm_2_0_0", "kernel": hex::encode(super::KERNEL)});
    let leaf = "context/smart_rollups/all/origination_proof";
    let told = |protocol| {
        let scenario = Scenario::new(short(protocol)).unwrap();
        asked(&scenario, Method::Post, leaf, &body)
    };
    let proof = originate::prove(Protocol::Mumbai, super::KERNEL).unwrap();
    assert_eq!(told(Protocol::Mumbai), Reply::Ok(hex::encode(proof).into()));
    assert_eq!(told(Protocol::Oxford), Reply::not_found());
}

#[test]
fn the_data_availability_layer_is_off() {
    for protocol in Protocol::ALL {
        let scenario = Scenario::new(short(protocol)).unwrap();
        let told = |leaf: &str| get(&scenario, &format!("context/dal/{leaf}"));
        let since = |first, reply: Reply| match protocol >= first {
            true => reply,
            false => Reply::not_found(),
        };
        let history = since(Protocol::ParisB, Reply::Ok(Value::Null));
        assert_eq!(told("commitments_history"), history, "{protocol:?}");
        let older = match protocol < Protocol::ParisB {
            true => Reply::Ok(Value::Null),
            false => Reply::not_found(),
        };
        assert_eq!(told("confirmed_slot_headers_history"), older);
        let cells = since(Protocol::Rio, Reply::Ok(json!([])));
        assert_eq!(told("skip_list_cells_of_level"), cells, "{protocol:?}");
        let off = error(told("shards"));
        assert!(
            off["id"]
                .as_str()
                .unwrap()
                .ends_with(".operation.dal_disabled")
        );
        match told("published_slot_headers") {
            Reply::Errors(errors) if protocol >= Protocol::ParisB => {
                assert_eq!(
                    errors[0]["level"],
                    json!(scenario.chain().head().header.level)
                );
            }
            reply => {
                assert_eq!(reply, Reply::not_found());
                assert!(protocol < Protocol::ParisB);
            }
        }
        match told("past_parameters/1") {
            Reply::Ok(parameters) => {
                assert!(protocol >= Protocol::Ushuaia);
                let Reply::Ok(constants) = get(&scenario, "context/constants") else {
                    panic!("constants");
                };
                assert_eq!(parameters, constants["dal_parametric"]);
            }
            reply => {
                assert_eq!(reply, Reply::not_found());
                assert!(protocol < Protocol::Ushuaia);
            }
        }
    }
}

#[test]
fn past_sizes_of_slots_are_told_in_the_shape_of_today() {
    let new = Parameters::mainnet(Protocol::Ushuaia);
    let setup = short(Protocol::Tallinn).migrating(Level::new(4), Protocol::Ushuaia, new);
    let mut scenario = Scenario::new(setup).unwrap();
    scenario.advance_to(Level::new(6)).unwrap();
    let told = |level: i32| {
        let leaf = format!("context/dal/past_parameters/{level}");
        let Reply::Ok(told) = get(&scenario, &leaf) else {
            panic!("no parameters at {level}");
        };
        assert_eq!(told["redundancy_factor"], 8);
        let keys = [
            "number_of_slots",
            "attestation_lag",
            "attestation_lags",
            "slot_size",
        ];
        keys.map(|key| told[key].clone())
    };
    let before = [json!(32), json!(8), json!([8]), json!(126_944)];
    let after = [json!(160), json!(5), json!([1, 2, 3, 4, 5]), json!(380_832)];
    assert_eq!(
        [1, 4, 5, 6].map(told),
        [before.clone(), before, after.clone(), after]
    );
}

#[test]
fn branches_are_listed_until_they_meet() {
    let mut scenario = Scenario::new(short(Protocol::Ushuaia)).unwrap();
    scenario.advance_to(Level::new(5)).unwrap();
    let old: Vec<_> = (2..=5)
        .rev()
        .map(|level| scenario.chain().at(Level::new(level)).unwrap().clone())
        .collect();
    scenario
        .chain_mut()
        .reorganise(2, 3, Abandoned::Lost)
        .unwrap();
    let head = scenario.chain().head().hash;
    let new: Vec<_> = (3..=6)
        .rev()
        .map(|level| scenario.chain().at(Level::new(level)).unwrap().hash)
        .collect();
    let told = |query: &str| {
        let weather = Weather::default();
        let view = View {
            chain: scenario.chain(),
            weather: &weather,
        };
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let query: Vec<_> = pairs
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        let request = Request {
            method: Method::Get,
            path: "/chains/main/blocks",
            query: &query,
            body: &[],
            form: Form::Json,
        };
        match rpc::answer(view, &request) {
            Reply::Ok(lists) => lists,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(told(""), json!([[head]]));
    let (lost, shared) = (old[0].hash, old[2].hash);
    let branches = told(&format!("head={lost}&head={head}&length=4"));
    let meets = json!([new, [lost, old[1].hash, shared]]);
    assert_eq!(branches, meets);
    let unknown = "BLockGenesisGenesisGenesisGenesisGenesisf79b5d1CoW2";
    let known = told(&format!("head={unknown}&head={lost}&min_date=1"));
    assert_eq!(known, json!([[lost]]));
    let later = told(&format!("head={lost}&min_date=2100-01-01T00:00:00Z"));
    assert_eq!(later, json!([]));
    let whole = told("length=100");
    assert_eq!(whole[0].as_array().unwrap().len(), 7);
}

#[test]
fn accounts_tell_of_stakes_since_there_are_any() {
    for protocol in [Protocol::Nairobi, Protocol::Oxford, Protocol::Quebec] {
        let scenario = Scenario::new(short(protocol)).unwrap();
        let delegate = scenario.chain().config().baker;
        let told =
            |of: String, leaf: &str| get(&scenario, &format!("context/contracts/{of}/{leaf}"));
        let since = |first, value: Value| match protocol >= first {
            true => Reply::Ok(value),
            false => Reply::not_found(),
        };
        let null = Value::Null;
        for (leaf, first, theirs, others) in [
            ("staked_balance", Protocol::Oxford, json!("0"), null.clone()),
            (
                "unstaked_frozen_balance",
                Protocol::Oxford,
                json!("0"),
                json!("0"),
            ),
            ("unstake_requests", Protocol::Oxford, null.clone(), null),
            (
                "staking_numerator",
                Protocol::Oxford,
                json!("0"),
                json!("0"),
            ),
            ("spendable", Protocol::Quebec, Value::Null, json!("0")),
        ] {
            let of_nobody = told(SOMEBODY.into(), leaf);
            assert_eq!(of_nobody, since(first, others), "{protocol:?} {leaf}");
            if leaf != "spendable" {
                let of_delegate = told(delegate.to_string(), leaf);
                assert_eq!(of_delegate, since(first, theirs), "{protocol:?} {leaf}");
            }
        }
    }
}
