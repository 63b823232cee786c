use std::path::Path;
use std::time::Duration;

use tokio::runtime::Handle;

use super::node::{Node, Reply};
use crate::crypto::{Hash, Prefix, blake2b};
use crate::l1::{MAX_PAGE, PreimageError, Preimages};

const PAGE: &str = "a page";

fn page() -> Hash {
    blake2b(PAGE.as_bytes())
}

async fn fetch(data: &Path, nodes: &[&Node], hash: Hash) -> Result<Vec<u8>, PreimageError> {
    let urls: Vec<_> = nodes
        .iter()
        .map(|node| format!("{}/pages/", node.url))
        .collect();
    let preimages =
        Preimages::new(data, &urls, Duration::from_secs(30), Handle::current()).unwrap();
    // As the machine does: from a thread that is none of the runtime's workers.
    tokio::task::spawn_blocking(move || preimages.fetch(&hash))
        .await
        .unwrap()
}

fn path(hash: &Hash) -> String {
    format!("/pages/{}", Preimages::name(hash))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_page_is_checked_kept_and_then_needs_no_source() {
    let data = tempfile::tempdir().unwrap();
    let (wrong, right) = (Node::start().await, Node::start().await);
    wrong.plays(&path(&page()), [Reply::Text(200, "another page".into())]);
    right.plays(&path(&page()), [Reply::Text(200, PAGE.into())]);
    assert_eq!(
        fetch(data.path(), &[&wrong, &right], page()).await.unwrap(),
        PAGE.as_bytes()
    );
    let kept = data.path().join("wasm_2_0_0").join(format!("00{}", page()));
    assert_eq!(std::fs::read(&kept).unwrap(), PAGE.as_bytes());
    assert_eq!(
        std::fs::read_dir(kept.parent().unwrap()).unwrap().count(),
        1
    );
    assert_eq!(
        fetch(data.path(), &[], page()).await.unwrap(),
        PAGE.as_bytes()
    );
    assert_eq!(right.asked(&path(&page())), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_source_that_failed_is_named() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().join("wasm_2_0_0");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join(Preimages::name(&page())), "damaged").unwrap();
    let nodes = [
        Node::start().await,
        Node::start().await,
        Node::start().await,
    ];
    nodes[1].plays(&path(&page()), [Reply::Cut]);
    nodes[2].plays(&path(&page()), [Reply::Text(200, "x".repeat(MAX_PAGE + 1))]);
    let error = fetch(data.path(), &[&nodes[0], &nodes[1], &nodes[2]], page())
        .await
        .unwrap_err();
    let text = error.to_string();
    for told in [
        "its content hashes to 00",
        "HTTP status 404",
        "broke off",
        "more than 4096 bytes",
        &nodes[1].url,
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_page_kept_under_its_base58_name_is_found() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().join("wasm_2_0_0");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join(Prefix::REVEAL.encode(&page().0)), PAGE).unwrap();
    assert_eq!(
        fetch(data.path(), &[], page()).await.unwrap(),
        PAGE.as_bytes()
    );
}
