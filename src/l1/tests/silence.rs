//! Endpoints that take questions and leave them without an answer. Their limits are hours here:
//! whoever waited for them would never end.

use std::time::Duration;

use serde_json::json;

use super::node::{Node, Reply, settings};
use crate::l1::{BlockId, Client, Fault, Settings};
use crate::protocol::{BlockHash, OperationHash};

const PATH: &str = "/chains/main/blocks/head/hash";
const INJECTION: &str = "/injection/operation?chain=main";

fn impatient(nodes: &[&Node]) -> Settings {
    let mut settings = settings(nodes);
    settings.impatience = Duration::from_millis(20);
    for endpoint in &mut settings.endpoints {
        endpoint.timeout = Duration::from_secs(3600);
    }
    settings
}

async fn two() -> (Node, Node, Client) {
    let (silent, good) = (Node::start().await, Node::start().await);
    let client = Client::new(&impatient(&[&silent, &good])).unwrap();
    (silent, good, client)
}

/// The first one ends its silence by itself.
const LIMIT: Duration = Duration::from_millis(200);

async fn slow_and_bad(path: &str) -> (Node, Node, Client) {
    let (slow, bad) = (Node::start().await, Node::start().await);
    let mut settings = impatient(&[&slow, &bad]);
    settings.endpoints[0].timeout = LIMIT;
    let client = Client::new(&settings).unwrap();
    bad.plays(path, [Reply::Text(502, String::new())]);
    (slow, bad, client)
}

async fn head(client: &Client) -> BlockHash {
    client.get(PATH).await.unwrap()
}

#[tokio::test]
async fn another_is_asked_beside_a_silent_one_and_before_it_from_then_on() {
    let (silent, good, client) = two().await;
    let hash = BlockHash([7; 32]);
    silent.plays(PATH, [Reply::Stall]);
    good.says(PATH, json!(hash));
    assert_eq!(head(&client).await, hash);
    assert_eq!(client.health()[0].1.silences, 1);
    assert_eq!(head(&client).await, hash);
    assert_eq!((silent.asked(PATH), good.asked(PATH)), (1, 2));
}

#[tokio::test]
async fn one_that_is_silent_about_its_chain_holds_nothing_up() {
    let (silent, good, client) = two().await;
    silent.plays("/chains/main/chain_id", [Reply::Stall]);
    good.says(PATH, json!(BlockHash([7; 32])));
    assert_eq!(head(&client).await, BlockHash([7; 32]));
    assert_eq!(silent.asked(PATH), 0);
}

#[tokio::test]
async fn where_the_other_fails_the_silent_one_may_take_its_time() {
    let (slow, _bad, client) = slow_and_bad(PATH).await;
    slow.plays(PATH, [Reply::Stall, Reply::Json(json!(BlockHash([7; 32])))]);
    assert_eq!(head(&client).await, BlockHash([7; 32]));
    // An answer makes good for the silence.
    let health = client.health();
    assert_eq!((health[0].1.silences, health[0].1.errors), (0, 1));
}

#[tokio::test]
async fn an_operation_reaches_all_and_is_under_way_when_one_has_it() {
    let (silent, good, client) = two().await;
    let hash = OperationHash([9; 32]);
    silent.plays(INJECTION, [Reply::Stall]);
    good.says(INJECTION, json!(hash));
    for round in 1..=2 {
        let outcomes: Vec<_> = client.inject(b"bytes").await;
        let outcomes: Vec<_> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
        assert_eq!(outcomes, [Err(Fault::NotWaitedFor), Ok(hash)]);
        while silent.asked(INJECTION) < round {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_refusal_by_one_is_no_reason_not_to_hear_the_other() {
    let (slow, _bad, client) = slow_and_bad(INJECTION).await;
    slow.plays(INJECTION, [Reply::Stall]);
    let outcomes = client.inject(b"bytes").await;
    assert_eq!(outcomes[0].1, Err(Fault::TimedOut(LIMIT)));
    assert!(matches!(
        outcomes[1].1,
        Err(Fault::Status { code: 502, .. })
    ));
}

#[tokio::test]
async fn a_silent_mempool_is_unknown_and_the_others_are_read() {
    let (silent, good, client) = two().await;
    let account = "tz1VSUr8wwNhLAzempoch5d6hLRiTh8Cjcjb".parse().unwrap();
    let path =
        format!("/chains/main/mempool/pending_operations?validation_pass=3&source={account}");
    silent.plays(&path, [Reply::Stall]);
    good.says(&path, json!({ "validated": [] }));
    let read = client.waiting(&account).await;
    assert_eq!(read[0].1, Err(Fault::NotWaitedFor));
    assert_eq!(read[1].1, Ok(Vec::new()));
}

#[tokio::test]
async fn a_lone_endpoint_is_given_its_time() {
    let node = Node::start().await;
    let mut settings = impatient(&[&node]);
    settings.endpoints[0].timeout = LIMIT;
    let client = Client::new(&settings).unwrap();
    node.plays(PATH, [Reply::Stall]);
    let error = client.header(BlockId::Head).await;
    assert!(error.is_err());
    assert_eq!(client.health()[0].1.silences, 0);
}
