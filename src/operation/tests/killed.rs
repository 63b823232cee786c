//! Killed between any two of: decided, written down, signed, injected. One operation comes of it.

use std::collections::BTreeSet;

use super::super::*;
use super::http::rig;

/// A tower that is killed as soon as a row of this kind is on disk, and started again twice.
async fn killed_after(word: &'static str) {
    let mut rig = rig(Settings::default()).await;
    let claim = [rig.claim(1).await];
    rig.driver.scribe_mut().killed_after = Some(word);
    rig.told(&claim).await.unwrap_err();
    let before = rig.entries();
    assert_eq!(before.last().map(Entry::word), Some(word));
    let was_sent = word == "injected";
    assert_eq!(rig.waiting(), usize::from(was_sent), "after {word}");

    // What was admitted once is the only thing that may be said about that level, signed or not.
    rig.restart().await;
    let other = [rig.claim(2).await];
    rig.tell(&other).await;
    let signed_since = rig.entries()[before.len()..]
        .iter()
        .any(|entry| matches!(entry, Entry::Signed { .. }));
    assert!(!signed_since, "after {word}: {:?}", rig.words());

    rig.restart().await;
    rig.tell(&claim).await;
    assert_eq!(rig.waiting(), 1, "after {word}");
    rig.bake(1);
    for _ in 0..3 {
        rig.tell(&[]).await;
        rig.bake(1);
    }
    assert_eq!(rig.waiting(), 0, "after {word}");
    assert_eq!(rig.outcomes(), [Outcome::Included], "after {word}");
    // One operation of this account, whose bytes were signed once.
    let bytes: BTreeSet<_> = rig
        .entries()
        .into_iter()
        .filter_map(|entry| match entry {
            Entry::Signed { bytes, .. } => Some(bytes),
            _ => None,
        })
        .collect();
    assert_eq!(bytes.len(), 1, "after {word}");
    let account = rig.driver.gate().account();
    let included = rig.shared.with_chain(|chain| {
        let levels = 1..=chain.level().get();
        let blocks = levels.filter_map(|level| chain.at(level.try_into().ok()?));
        blocks
            .flat_map(|block| &block.operations)
            .filter(|included| {
                let contents = &included.signed.operation.contents;
                contents.iter().any(|content| content.source == account)
            })
            .count()
    });
    assert_eq!(included, 1, "after {word}");
}

#[tokio::test]
async fn killed_before_signing_it_signs_once() {
    killed_after("admitted").await;
}

#[tokio::test]
async fn killed_before_injecting_it_sends_what_it_had_signed() {
    killed_after("signed").await;
}

#[tokio::test]
async fn killed_after_injecting_it_sends_nothing_else() {
    killed_after("injected").await;
}
