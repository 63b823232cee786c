use std::time::Duration;

use serde_json::json;

use super::node::{CHAIN, Node, OTHER_CHAIN, Reply, client, settings};
use crate::l1::{BlockId, Client, FailureKind, Fault, L1Error, Settings};
use crate::protocol::{BlockHash, Level, ProtocolHash};

const PATH: &str = "/chains/main/blocks/head/hash";

fn hash(byte: u8) -> BlockHash {
    BlockHash([byte; 32])
}

async fn head_hash(client: &Client) -> Result<BlockHash, L1Error> {
    client.get(PATH).await
}

/// The first node shows a fault, the second is well: the answer comes, the fault is counted.
async fn fails_over(reply: Reply) -> String {
    let (bad, good) = (Node::start().await, Node::start().await);
    bad.plays(PATH, [reply]);
    good.says(PATH, json!(hash(7)));
    let mut settings = settings(&[&bad, &good]);
    settings.endpoints[0].timeout = Duration::from_millis(200);
    let client = Client::new(&settings).unwrap();
    assert_eq!(head_hash(&client).await, Ok(hash(7)));
    let health = client.health();
    assert_eq!(health[0].1.consecutive_errors, 1);
    assert_eq!(health[1].1.errors, 0);
    // The next question goes to the healthy one at once.
    assert_eq!(head_hash(&client).await, Ok(hash(7)));
    assert_eq!((bad.asked(PATH), good.asked(PATH)), (1, 2));
    health[0].1.last_error.clone().unwrap()
}

#[tokio::test]
async fn every_fault_of_an_endpoint_leads_to_the_next() {
    let cases = [
        (
            Reply::Text(502, "<html>Bad Gateway".into()),
            "HTTP status 502: <html>Bad Gateway",
        ),
        (Reply::Text(200, "<html>hello".into()), "not JSON"),
        (Reply::Text(200, "\"BL".into()), "not JSON"),
        (Reply::Json(json!({"no": "hash"})), "unexpected answer"),
        (Reply::Stall, "no answer within 200 ms"),
        (Reply::Cut, "broke off"),
    ];
    for (reply, told) in cases {
        let text = format!("{reply:?}");
        let error = fails_over(reply).await;
        assert!(error.starts_with(PATH), "{error}");
        assert!(error.contains(told), "{text}: {error}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_named_with_the_path() {
    let settings = Settings {
        retries: settings(&[]).retries,
        ..Settings::new(["http://127.0.0.1:1"])
    };
    let error = head_hash(&Client::new(&settings).unwrap())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), FailureKind::Transient);
    let text = error.to_string();
    assert!(
        text.contains("http://127.0.0.1:1") && text.contains("cannot connect"),
        "{text}"
    );
}

#[tokio::test]
async fn a_passing_fault_is_asked_again() {
    let node = Node::start().await;
    let bad = || Reply::Text(503, String::new());
    node.plays(PATH, [bad(), bad(), Reply::Json(json!(hash(1)))]);
    assert_eq!(head_hash(&client(&[&node])).await, Ok(hash(1)));
    assert_eq!(node.asked(PATH), 3);
}

#[tokio::test]
async fn a_lasting_fault_is_not() {
    let node = Node::start().await;
    node.plays(PATH, [Reply::Text(410, String::new())]);
    let error = head_hash(&client(&[&node])).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Permanent);
    assert!(error.to_string().contains("--history-mode"), "{error}");
    assert_eq!(node.asked(PATH), 1);
}

#[tokio::test]
async fn all_failures_are_told() {
    let (one, two) = (Node::start().await, Node::start().await);
    one.plays(PATH, [Reply::Text(502, String::new())]);
    two.plays(PATH, [Reply::Text(403, String::new())]);
    let error = head_hash(&client(&[&one, &two])).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Transient);
    let text = error.to_string();
    assert!(
        text.contains(&one.url) && text.contains(&two.url) && text.contains(PATH),
        "{text}"
    );
}

#[tokio::test]
async fn what_the_protocol_refuses_no_other_node_is_asked() {
    let (one, two) = (Node::start().await, Node::start().await);
    let errors = json!([{"kind": "temporary", "id": "proto.023-PtSeouLo.smart_rollup_not_staked"}]);
    one.plays(PATH, [Reply::Text(500, errors.to_string())]);
    two.says(PATH, json!(hash(1)));
    let error = head_hash(&client(&[&one, &two])).await.unwrap_err();
    assert!(error.node_errors()[0].is_rollup_error("not_staked"));
    assert_eq!(two.asked(PATH), 0);
}

#[tokio::test]
async fn a_node_of_another_chain_is_never_believed() {
    let (stranger, good) = (Node::start().await, Node::start().await);
    stranger.says("/chains/main/chain_id", json!(OTHER_CHAIN));
    stranger.says(PATH, json!(hash(9)));
    good.says(PATH, json!(hash(1)));
    let settings = Settings {
        chain: Some(CHAIN.parse().unwrap()),
        ..settings(&[&stranger, &good])
    };
    assert_eq!(
        head_hash(&Client::new(&settings).unwrap()).await,
        Ok(hash(1))
    );
    assert_eq!(stranger.asked(PATH), 0);

    let alone = Settings {
        endpoints: settings.endpoints[..1].to_vec(),
        ..settings
    };
    let error = head_hash(&Client::new(&alone).unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Permanent);
    let text = error.to_string();
    assert!(text.contains(CHAIN) && text.contains(OTHER_CHAIN), "{text}");
}

#[tokio::test]
async fn an_unknown_protocol_is_told_with_its_hash() {
    let node = Node::start().await;
    let genesis = &ProtocolHash([1; 32]).to_string();
    let next = json!({"protocol": genesis, "next_protocol": genesis});
    node.says("/chains/main/blocks/head/protocols", next);
    node.says("/chains/main/blocks/head/context/constants", json!({}));
    let error = client(&[&node]).constants(BlockId::Head).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Permanent);
    let text = error.to_string();
    assert!(
        text.contains(genesis) && text.contains("mumbai_016 to u025_025"),
        "{text}"
    );
}

#[tokio::test]
async fn endpoints_that_differ_on_a_final_block_are_told_apart_from_those_that_lag() {
    let nodes = [
        Node::start().await,
        Node::start().await,
        Node::start().await,
    ];
    nodes[0].says("/chains/main/blocks/5/hash", json!(hash(1)));
    let client = client(&[&nodes[0], &nodes[1], &nodes[2]]);
    let block = crate::l1::BlockRef {
        level: Level::new(5),
        hash: hash(1),
    };
    let alone = client.agreement(block).await.unwrap();
    assert_eq!(alone.agree.len(), 1);
    assert!(alone.is_enough(1) && !alone.is_enough(2) && !alone.is_enough(3));
    nodes[1].says("/chains/main/blocks/5/hash", json!(hash(1)));
    let agreement = client.agreement(block).await.unwrap();
    assert_eq!(agreement.agree.len(), 2);
    assert_eq!(agreement.silent[0].1, Fault::NotFound);
    assert!(agreement.is_enough(3) && agreement.is_enough(1));

    nodes[2].says("/chains/main/blocks/5/hash", json!(hash(2)));
    let error = client.agreement(block).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Disagreement);
    assert!(error.to_string().contains(&nodes[2].url), "{error}");
    let health = client.health();
    assert!(health[2].1.disagrees && !health[0].1.disagrees);
    assert_eq!(health[2].1.errors, 0);
}

#[tokio::test]
async fn an_endpoint_that_lags_is_asked_last() {
    let (slow, quick) = (Node::start().await, Node::start().await);
    for (node, level, state) in [(&slow, 10, "unsynced"), (&quick, 20, "synced")] {
        node.says(
            "/chains/main/blocks/head/header",
            json!({"hash": hash(1), "level": level}),
        );
        node.says(
            "/chains/main/is_bootstrapped",
            json!({"bootstrapped": true, "sync_state": state}),
        );
        node.says(PATH, json!(hash(1)));
    }
    let client = client(&[&slow, &quick]);
    let progress = client.probe(3).await;
    assert_eq!(progress[0].head.as_ref().unwrap().level, Level::new(10));
    assert!(client.health()[0].1.out_of_sync && !client.health()[1].1.out_of_sync);
    assert_eq!(head_hash(&client).await, Ok(hash(1)));
    assert_eq!(slow.asked(PATH), 0);
}
