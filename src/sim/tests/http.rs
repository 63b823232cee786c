use futures_util::StreamExt;
use serde_json::{Value, json};

use super::{Invented, KERNEL, short, with_rollup};
use crate::protocol::{Level, Protocol};
use crate::sim::actors::{Actor, From, Strategy};
use crate::sim::acts::Act;
use crate::sim::scenario::Scenario;
use crate::sim::server::{Control, Endpoint, Options, Shared, serve};
use crate::sim::setup::Setup;

pub(super) async fn served(scenario: Scenario) -> (Shared, Endpoint) {
    let shared = Shared::new(scenario);
    let options = Options {
        control: Control::On,
        ..Options::local()
    };
    let endpoint = serve(shared.clone(), options).await.unwrap();
    (shared, endpoint)
}

pub(super) async fn status_and_body(endpoint: &Endpoint, path: &str) -> (u16, Option<Value>) {
    let url = format!("{}{path}", endpoint.url());
    let answer = client().get(url).send().await.unwrap();
    let status = answer.status().as_u16();
    (
        status,
        answer
            .bytes()
            .await
            .ok()
            .and_then(|body| serde_json::from_slice(&body).ok()),
    )
}

pub(super) async fn get(endpoint: &Endpoint, path: &str) -> Value {
    let (status, body) = status_and_body(endpoint, path).await;
    assert_eq!(status, 200, "{path}");
    body.unwrap()
}

pub(super) async fn post(endpoint: &Endpoint, path: &str, body: &Value) -> (u16, Value) {
    let url = format!("{}{path}", endpoint.url());
    let answer = client().post(url).json(body).send().await.unwrap();
    let status = answer.status().as_u16();
    let bytes = answer.bytes().await.unwrap();
    (
        status,
        serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    )
}

pub(super) fn client() -> reqwest::Client {
    // A second installation fails, and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub(super) const HEAD: &str = "/chains/main/blocks/head";

#[tokio::test]
async fn blocks_are_named_as_on_a_node() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    scenario.advance_to(Level::new(9)).unwrap();
    let (_, endpoint) = served(scenario).await;
    let head = get(&endpoint, &format!("{HEAD}/header")).await;
    let hash = head["hash"].as_str().unwrap();
    let before = get(&endpoint, &format!("{HEAD}~3/header")).await;
    assert_eq!(before["level"], 6);
    assert_eq!(
        get(&endpoint, &format!("/chains/main/blocks/{hash}~3/hash")).await,
        before["hash"]
    );
    assert_eq!(
        get(&endpoint, "/chains/main/blocks/6/hash").await,
        before["hash"]
    );
    let by_chain = format!(
        "/chains/{}/blocks/head/hash",
        head["chain_id"].as_str().unwrap()
    );
    assert_eq!(get(&endpoint, &by_chain).await, head["hash"]);
    assert_eq!(
        get(&endpoint, "/chains/main/blocks/genesis/header").await["level"],
        0
    );
    let protocols = get(&endpoint, "/chains/main/blocks/1/protocols").await;
    assert_eq!(protocols["next_protocol"], Protocol::Ushuaia.hash_text());
    for (path, status) in [
        ("/chains/main/blocks/10/hash", 404),
        ("/chains/main/blocks/nonsense/hash", 400),
        ("/chains/main/blocks/head/nonsense", 404),
        ("/nonsense", 404),
        ("/chains/test/blocks/head/hash", 404),
    ] {
        assert_eq!(status_and_body(&endpoint, path).await.0, status, "{path}");
    }
    let shell = get(&endpoint, &format!("{HEAD}/header/shell")).await;
    assert_eq!(shell["timestamp"], head["timestamp"]);
    assert!(head["timestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!(
        get(&endpoint, "/chains/main/is_bootstrapped").await["bootstrapped"],
        true
    );
    assert_eq!(
        get(&endpoint, "/config/history_mode").await["history_mode"],
        "archive"
    );
    assert_eq!(
        get(&endpoint, &format!("{HEAD}/live_blocks"))
            .await
            .as_array()
            .unwrap()
            .len(),
        10
    );
}

#[tokio::test]
async fn operations_and_rollups_have_the_nodes_json() {
    let (mut scenario, rollup) = with_rollup(short(Protocol::Ushuaia));
    let wrong = From::level(Level::new(12));
    scenario.employ(
        [
            Actor::new(1, rollup, Strategy::Honest),
            Actor::new(2, rollup, Strategy::WrongState(wrong)),
        ],
        Box::new(Invented),
    );
    scenario.advance_to(Level::new(15)).unwrap();
    let (_, endpoint) = served(scenario).await;
    let operations = get(&endpoint, &format!("{HEAD}/operations/3")).await;
    let content = &operations[0]["contents"][0];
    assert_eq!(content["kind"], "smart_rollup_publish");
    let result = &content["metadata"]["operation_result"];
    assert_eq!(result["published_at_level"], 15);
    assert_eq!(
        result["balance_updates"][1]["bond_id"]["smart_rollup"],
        rollup.to_string()
    );
    assert_eq!(
        get(&endpoint, &format!("{HEAD}/operation_hashes/3")).await[0],
        operations[0]["hash"]
    );
    let all = get(&endpoint, &format!("{HEAD}/operations")).await;
    assert_eq!(all.as_array().unwrap().len(), 4);
    assert_eq!(all[3], operations);
    let base = format!("{HEAD}/context/smart_rollups/smart_rollup/{rollup}");
    assert_eq!(get(&endpoint, &format!("{base}/kind")).await, "wasm_2_0_0");
    let genesis = get(&endpoint, &format!("{base}/genesis_info")).await;
    assert_eq!(genesis["level"], 2);
    let lcc = get(
        &endpoint,
        &format!("{base}/last_cemented_commitment_hash_with_level"),
    )
    .await;
    assert_eq!(lcc, json!({"hash": genesis["commitment_hash"], "level": 2}));
    let published = get(&endpoint, &format!("{base}/inbox_level/12/commitments")).await;
    assert_eq!(published.as_array().unwrap().len(), 2);
    assert_eq!(
        get(&endpoint, &format!("{base}/inbox_level/22/commitments")).await,
        Value::Null
    );
    let stakers = get(&endpoint, &format!("{base}/stakers")).await;
    assert_eq!(stakers.as_array().unwrap().len(), 2);
    let staker = stakers[0].as_str().unwrap();
    let conflicts = get(&endpoint, &format!("{base}/staker/{staker}/conflicts")).await;
    assert_eq!(conflicts[0]["other"], stakers[1]);
    assert_eq!(
        conflicts[0]["parent_commitment"],
        genesis["commitment_hash"]
    );
    let staked = get(
        &endpoint,
        &format!("{base}/staker/{staker}/staked_on_commitment"),
    )
    .await;
    let hash = staked["hash"].as_str().unwrap();
    let commitment = get(&endpoint, &format!("{base}/commitment/{hash}")).await;
    assert_eq!(commitment["inbox_level"], 12);
    assert_eq!(
        get(
            &endpoint,
            &format!("{base}/commitment/{hash}/can_be_cemented")
        )
        .await,
        false
    );
    assert_eq!(
        get(&endpoint, &format!("{base}/staker/{staker}/games")).await,
        json!([])
    );
    let inbox = get(
        &endpoint,
        &format!("{HEAD}/context/smart_rollups/all/inbox"),
    )
    .await;
    assert_eq!(
        (&inbox["level"], &inbox["old_levels_messages"]["index"]),
        (&json!(15), &json!("14"))
    );
    let unknown = "sr1AE6U3GNzE8iKzj6sKS5wh1U32ogeULCoN";
    let path = format!("{HEAD}/context/smart_rollups/smart_rollup/{unknown}/kind");
    let (status, errors) = status_and_body(&endpoint, &path).await;
    assert_eq!(status, 500);
    assert_eq!(
        errors.unwrap()[0]["id"],
        "proto.025-PsUshuai.smart_rollup_does_not_exist"
    );
    // The past stays readable.
    let past =
        format!("/chains/main/blocks/14/context/smart_rollups/smart_rollup/{rollup}/stakers");
    assert_eq!(get(&endpoint, &past).await, json!([]));
}

#[tokio::test]
async fn heads_stream_in_order_across_a_reorganisation() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    scenario.advance_to(Level::new(5)).unwrap();
    let (shared, endpoint) = served(scenario).await;
    let url = format!("{}/monitor/heads/main", endpoint.url());
    let mut stream = client().get(url).send().await.unwrap().bytes_stream();
    let mut text = Vec::new();
    let mut levels = Vec::new();
    shared.with(|scenario| scenario.advance().unwrap());
    shared.with_chain(|chain| {
        chain
            .reorganise(2, 3, crate::sim::chain::Abandoned::Returned)
            .unwrap();
    });
    // The first replacement has a later round, so only a longer branch outweighs the old one.
    while levels.len() < 3 {
        text.extend(stream.next().await.unwrap().unwrap());
        let whole = serde_json::Deserializer::from_slice(&text).into_iter::<Value>();
        levels = whole
            .filter_map(Result::ok)
            .map(|head| head["level"].clone())
            .collect();
    }
    assert_eq!(levels, [5, 6, 7]);
}

#[tokio::test]
async fn injected_bytes_are_included_and_simulation_tells_why_not() {
    let (scenario, rollup) = with_rollup(short(Protocol::Ushuaia));
    let action = scenario.sign(
        3,
        vec![crate::protocol::operation::Action::AddMessages {
            messages: vec![b"by hand".to_vec()],
        }],
    );
    let bytes = hex::encode(action.unwrap());
    let (_, endpoint) = served(scenario).await;
    let (status, hash) = post(&endpoint, "/injection/operation", &json!(bytes)).await;
    assert_eq!(status, 200);
    let pending = get(&endpoint, "/chains/main/mempool/pending_operations").await;
    assert_eq!(pending["validated"][0]["hash"], hash);
    let (status, _) = post(&endpoint, "/devnet/bake?count=1", &Value::Null).await;
    assert_eq!(status, 200);
    assert_eq!(
        get(&endpoint, &format!("{HEAD}/operation_hashes/3")).await,
        json!([hash])
    );
    // What is in a recent block already is no news, and no error.
    assert_eq!(
        post(&endpoint, "/injection/operation", &json!(bytes)).await,
        (200, hash)
    );
    let source = get(&endpoint, "/devnet").await["accounts"][3]["address"].clone();
    let branch = get(&endpoint, &format!("{HEAD}/hash")).await;
    let cement = json!({"operation": {"branch": branch, "contents": [{
        "kind": "smart_rollup_cement", "source": source, "fee": "0", "counter": "2",
        "gas_limit": "100000", "storage_limit": "0", "rollup": rollup,
    }]}, "chain_id": get(&endpoint, "/chains/main/chain_id").await});
    let path = format!("{HEAD}/helpers/scripts/simulate_operation?successor_level=true");
    let (status, answer) = post(&endpoint, &path, &cement).await;
    assert_eq!(status, 200);
    let result = &answer["contents"][0]["metadata"]["operation_result"];
    assert_eq!(result["status"], "failed");
    assert_eq!(
        result["errors"][0]["id"],
        "proto.025-PsUshuai.smart_rollup_no_valid_commitment_to_cement"
    );
    let forged = post(
        &endpoint,
        &format!("{HEAD}/helpers/forge/operations"),
        &cement["operation"],
    )
    .await;
    assert_eq!(forged.0, 200);
    assert!(forged.1.as_str().unwrap().len() > 100);
}

#[tokio::test]
async fn the_older_dialect_has_its_own_paths_and_labels() {
    let (mut scenario, rollup) = with_rollup(Setup::of_the_first_manual(Protocol::Ushuaia));
    scenario.act(&Act::messages(1, &[b"hello"])).unwrap();
    scenario.employ(
        [Actor::new(1, rollup, Strategy::Honest)],
        Box::new(Invented),
    );
    scenario.advance_to(Level::new(35)).unwrap();
    let (_, endpoint) = served(scenario).await;
    let all = get(&endpoint, &format!("{HEAD}/context/sc_rollups/all")).await;
    let address = all[0].as_str().unwrap();
    assert!(address.starts_with("scr1"));
    let base = format!("{HEAD}/context/sc_rollups/sc_rollup/{address}");
    let genesis = get(&endpoint, &format!("{base}/genesis_info")).await;
    assert!(
        genesis["commitment_hash"]
            .as_str()
            .unwrap()
            .starts_with("scc1")
    );
    assert_eq!(
        get(&endpoint, &format!("{base}/boot_sector")).await,
        hex::encode(KERNEL)
    );
    let constants = get(&endpoint, &format!("{HEAD}/context/constants")).await;
    assert_eq!(constants["sc_rollup_commitment_period_in_blocks"], 30);
    let published = get(&endpoint, &format!("{base}/stakers_commitments")).await;
    assert!(
        published[0]["commitment"]
            .as_str()
            .unwrap()
            .starts_with("scc1")
    );
    let operations = get(&endpoint, &format!("{HEAD}/operations/3")).await;
    assert_eq!(operations[0]["contents"][0]["kind"], "sc_rollup_publish");
    let state = &operations[0]["contents"][0]["commitment"]["compressed_state"];
    assert!(state.as_str().unwrap().starts_with("scs1"));
    let modern = format!("{HEAD}/context/smart_rollups/all");
    assert_eq!(status_and_body(&endpoint, &modern).await.0, 404);
    let inbox = get(&endpoint, &format!("{HEAD}/context/sc_rollups/all/inbox")).await;
    let pointer = inbox["old_levels_messages"]["back_pointers"][0]
        .as_str()
        .unwrap();
    assert!(pointer.starts_with("scib1"));
}

#[tokio::test]
async fn weather_is_what_the_switches_say() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    scenario.act(&Act::messages(1, &[b"hello"])).unwrap();
    scenario.advance_to(Level::new(9)).unwrap();
    let (shared, endpoint) = served(scenario).await;
    let other = serve(shared.clone(), Options::local()).await.unwrap();
    endpoint.change_weather(|weather| weather.lag = 2);
    assert_eq!(get(&endpoint, &format!("{HEAD}/header")).await["level"], 7);
    endpoint.change_weather(|weather| {
        weather.lag = 0;
        weather.too_large_at = Some(Level::new(3));
    });
    let large = get(&endpoint, "/chains/main/blocks/3/operations/3").await;
    assert_eq!(large[0]["metadata"], "too large");
    assert_eq!(large[0]["contents"][0].get("metadata"), None);
    let whole = get(
        &endpoint,
        "/chains/main/blocks/3/operations/3?metadata=always",
    )
    .await;
    assert_eq!(
        whole[0]["contents"][0]["metadata"]["operation_result"]["status"],
        "applied"
    );
    endpoint.change_weather(|weather| weather.pruned_receipts_up_to = Some(Level::new(5)));
    let pruned = get(
        &endpoint,
        "/chains/main/blocks/3/operations/3?metadata=always",
    )
    .await;
    assert_eq!(
        (
            pruned[0].get("metadata"),
            pruned[0]["contents"][0].get("metadata")
        ),
        (None, None)
    );
    endpoint.change_weather(|weather| weather.disagree_from = Some(Level::new(8)));
    let path = "/chains/main/blocks/8/header";
    let (here, there) = (get(&endpoint, path).await, get(&other, path).await);
    assert_ne!(here["hash"], there["hash"]);
    assert_eq!(here["predecessor"], there["predecessor"]);
    let by_hash = format!(
        "/chains/main/blocks/{}/header",
        here["hash"].as_str().unwrap()
    );
    assert_eq!(get(&endpoint, &by_hash).await, here);
    assert_eq!(status_and_body(&other, &by_hash).await.0, 404);
    endpoint.change_weather(|weather| weather.half_body_every = Some(1));
    assert_eq!(status_and_body(&endpoint, path).await.1, None);
    endpoint.change_weather(|weather| weather.bad_gateway_every = Some(1));
    assert_eq!(status_and_body(&endpoint, path).await.0, 502);
    endpoint.change_weather(|weather| {
        *weather = crate::sim::Weather {
            gone_up_to: Some(Level::new(4)),
            wrong_inbox_at: Some(Level::new(6)),
            ..Default::default()
        };
    });
    assert_eq!(
        status_and_body(&endpoint, "/chains/main/blocks/4/operations")
            .await
            .0,
        410
    );
    let inbox = "/chains/main/blocks/6/context/smart_rollups/all/inbox";
    assert_ne!(get(&endpoint, inbox).await, get(&other, inbox).await);
}

#[tokio::test]
async fn the_control_surface_commands_and_a_plain_endpoint_has_none() {
    let (scenario, _) = with_rollup(short(Protocol::Ushuaia));
    let (shared, endpoint) = served(scenario).await;
    let plain = serve(shared, Options::local()).await.unwrap();
    assert_eq!(status_and_body(&plain, "/devnet").await.0, 404);
    let act = json!({"by": 1, "deeds": [{"kind": "originate", "kernel": hex::encode(KERNEL)}]});
    let (status, hash) = post(&endpoint, "/devnet/act", &act).await;
    assert_eq!(status, 200, "{hash}");
    post(&endpoint, "/devnet/bake?count=3", &Value::Null).await;
    let summary = get(&endpoint, "/devnet").await;
    assert_eq!(summary["rollups"].as_array().unwrap().len(), 2);
    assert_eq!(summary["head"]["level"], 5);
    let (status, head) = post(&endpoint, "/devnet/reorg?depth=2", &Value::Null).await;
    assert_eq!((status, &head["level"]), (200, &json!(6)));
    let (status, name) = post(&endpoint, "/devnet/preimage", &json!("aabb")).await;
    assert_eq!(status, 200);
    let url = format!(
        "{}/devnet/wasm_2_0_0/{}",
        endpoint.url(),
        name.as_str().unwrap()
    );
    let page = client()
        .get(url)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!(page.as_ref(), [0xaa, 0xbb]);
    let (status, _) = post(&endpoint, "/devnet/weather", &json!({"lag": 1})).await;
    assert_eq!(status, 200);
    assert_eq!(get(&endpoint, &format!("{HEAD}/header")).await["level"], 5);
}

#[tokio::test]
async fn forms_and_methods_are_agreed_as_on_a_node() {
    let (scenario, _) = with_rollup(short(Protocol::Ushuaia));
    let (_, endpoint) = served(scenario).await;
    let accepting = async |path: &str, accepted: &str| {
        let asked = client().get(format!("{}{path}", endpoint.url()));
        let answer = asked.header("accept", accepted).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let header = format!("{HEAD}/header");
    let bytes = "application/octet-stream";
    assert_eq!(accepting(&header, "*/*").await.0, 200);
    let refused = (406, "application/json".to_owned());
    assert_eq!(accepting(&header, bytes).await, refused);
    assert_eq!(accepting("/monitor/heads/main", bytes).await, refused);
    assert_eq!(accepting("/nonsense", bytes).await.0, 404);
    let sending = async |path: &str, form: &str, body: Vec<u8>| {
        let asked = client().post(format!("{}{path}", endpoint.url()));
        let answer = asked.header("content-type", form).body(body).send().await;
        answer.unwrap().status().as_u16()
    };
    let forge = format!("{HEAD}/helpers/forge/operations");
    assert_eq!(sending(&forge, bytes, vec![0; 4]).await, 415);
    let injection = "/injection/operation";
    let form = "application/x-www-form-urlencoded";
    assert_eq!(sending(injection, form, b"\"00\"".to_vec()).await, 415);
    assert_eq!(sending(injection, bytes, vec![0, 0, 0, 9]).await, 400);
    assert_eq!(sending(injection, bytes, vec![0, 0, 0, 1, 7]).await, 500);
    let head = client().head(format!("{}{header}", endpoint.url()));
    assert_eq!(head.send().await.unwrap().status().as_u16(), 501);
    let put = client().put(format!("{}{header}", endpoint.url()));
    assert_eq!(put.send().await.unwrap().status().as_u16(), 405);
    assert_eq!(get(&endpoint, "/health/ready").await["ready"], true);
}
