use serde_json::{Value, json};

use super::chain::Chain;
use super::node::{CHAIN, Node, OTHER_CHAIN, Reply, client, settings};
use crate::crypto::Dialect;
use crate::l1::{Client, Condition, Finding, Needs, Settings};
use crate::protocol::{CommitmentHash, Dialected, RollupAddress, Timestamp};

const ROLLUP: RollupAddress = RollupAddress([7; 20]);
const CONTEXT: &str = "/chains/main/blocks/head/context/smart_rollups/smart_rollup";

/// The time of the chain's blocks.
fn noon() -> Timestamp {
    let time: jiff::Timestamp = "2026-11-22T12:00:05Z".parse().unwrap();
    Timestamp(time.as_second())
}

/// A node fit for everything.
async fn fit() -> (Node, Chain) {
    let node = Node::start().await;
    let chain = Chain::new(Dialect::Modern);
    chain.on(&node);
    chain.grow(None, "", 9);
    node.says(
        "/chains/main/is_bootstrapped",
        json!({"bootstrapped": true, "sync_state": "synced"}),
    );
    node.says("/config/history_mode", json!({"history_mode": "archive"}));
    node.says(&format!("{CONTEXT}/{ROLLUP}/kind"), json!("wasm_2_0_0"));
    let genesis = json!({"level": 3, "commitment_hash": CommitmentHash([1; 32])});
    node.says(&format!("{CONTEXT}/{ROLLUP}/genesis_info"), genesis);
    for level in [3, 8] {
        let inbox = format!("/chains/main/blocks/{level}/context/smart_rollups/all/inbox");
        node.says(&inbox, json!({"level": level}));
    }
    drop(node.stream());
    (node, chain)
}

fn needs() -> Needs {
    Needs {
        rollup: Some((ROLLUP, Dialect::Modern)),
        from: None,
        now: noon(),
    }
}

fn worst<'f>(findings: &'f [Finding], check: &str) -> &'f Finding {
    let of_check = findings.iter().filter(|finding| finding.check == check);
    of_check.max_by_key(|finding| finding.condition).unwrap()
}

/// Something is wrong: exactly this check says so, with what to do.
async fn finds(path: &str, reply: Reply, check: &str, condition: Condition, told: &str, fix: &str) {
    let (node, _) = fit().await;
    node.plays(path, [reply]);
    let findings = client(&[&node]).examine(&needs()).await;
    let finding = worst(&findings, check);
    assert_eq!(finding.condition, condition, "{findings:#?}");
    assert!(finding.found.contains(told), "{finding}");
    assert!(finding.fix.contains(fix), "{finding}");
}

#[tokio::test]
async fn fit_nodes_have_nothing_but_good_findings() {
    let ((one, chain), (two, _)) = (fit().await, fit().await);
    chain.on(&two);
    let findings = client(&[&one, &two]).examine(&needs()).await;
    assert!(
        findings
            .iter()
            .all(|finding| finding.condition == Condition::Good),
        "{findings:#?}"
    );
    assert!(
        findings.iter().all(|finding| finding.fix.is_empty()),
        "{findings:#?}"
    );
    assert_eq!(findings.len(), 2 * 7 + 1);
}

#[tokio::test]
async fn each_trouble_is_found_with_what_to_do() {
    let (bad, warning) = (Condition::Bad, Condition::Warning);
    let synced = "/chains/main/is_bootstrapped";
    finds(
        synced,
        Reply::Json(json!({"bootstrapped": true, "sync_state": "stuck"})),
        "synced",
        bad,
        "stuck",
        "peers",
    )
    .await;
    finds(
        synced,
        Reply::Json(json!({"bootstrapped": false})),
        "synced",
        bad,
        "bootstrapping",
        "caught up",
    )
    .await;
    finds(
        synced,
        Reply::Text(403, String::new()),
        "synced",
        warning,
        "does not allow",
        "allow",
    )
    .await;
    finds(
        "/chains/main/chain_id",
        Reply::Text(502, String::new()),
        "reachable",
        bad,
        "502",
        "--rpc-addr",
    )
    .await;
    let kind = format!("{CONTEXT}/{ROLLUP}/kind");
    finds(
        &kind,
        Reply::Json(json!("arith")),
        "rollup",
        bad,
        "arith",
        "wasm_2_0_0",
    )
    .await;
    finds(
        &kind,
        Reply::Text(404, String::new()),
        "rollup",
        bad,
        "there is no sr1",
        "network",
    )
    .await;
    let inbox = "/chains/main/blocks/3/context/smart_rollups/all/inbox";
    finds(
        inbox,
        Reply::Text(410, String::new()),
        "history",
        bad,
        "no context at level 3 (history mode \"archive\")",
        "archive",
    )
    .await;
    let operations = "/chains/main/blocks/3/operations/3?metadata=always&force_metadata=true";
    let hash = crate::crypto::Prefix::OPERATION.encode(&[1; 32]);
    let large =
        json!([{"hash": hash, "contents": [{"kind": "transaction"}], "metadata": "too large"}]);
    finds(
        operations,
        Reply::Json(large),
        "history",
        bad,
        "no receipts at level 3",
        "--metadata-size-limit unlimited",
    )
    .await;
    finds(
        "/nothing",
        Reply::Json(Value::Null),
        "agreement",
        warning,
        "only one",
        "second one",
    )
    .await;
}

#[tokio::test]
async fn a_clock_that_is_off_is_found_both_ways() {
    for (shift, told) in [(-60, "in the future"), (600, "seconds old")] {
        let (node, _) = fit().await;
        let needs = Needs {
            now: Timestamp(noon().0 + shift),
            ..needs()
        };
        let findings = client(&[&node]).examine(&needs).await;
        let finding = worst(&findings, "clock");
        assert_eq!(finding.condition, Condition::Warning);
        assert!(
            finding.found.contains(told) && finding.fix.contains("NTP"),
            "{finding}"
        );
    }
}

#[tokio::test]
async fn a_wrong_chain_a_wrong_label_and_a_closed_stream_are_found() {
    let (node, _) = fit().await;
    let strict = Settings {
        chain: Some(OTHER_CHAIN.parse().unwrap()),
        ..settings(&[&node])
    };
    let findings = Client::new(&strict).unwrap().examine(&needs()).await;
    let finding = worst(&findings, "chain");
    assert!(
        finding.condition == Condition::Bad && finding.found.contains(CHAIN),
        "{finding}"
    );

    let needs = Needs {
        rollup: Some((ROLLUP, Dialect::Scr1)),
        ..needs()
    };
    let client = client(&[&node]);
    let findings = client.examine(&needs).await;
    let finding = worst(&findings, "rollup");
    assert!(
        finding.found.contains(&ROLLUP.text(Dialect::Modern)),
        "{finding}"
    );
    // The script had one stream.
    let findings = client.examine(&needs).await;
    assert_eq!(worst(&findings, "head stream").condition, Condition::Bad);
}
