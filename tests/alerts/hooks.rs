//! HTTP channels: each service gets the form it asks for; ours can be verified.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use watchtower::alert::{Channel, Channels, Hook, Kind, Located, Occasion, Preset, Settings};
use watchtower::journal::Severity;

use crate::receiver::Receiver;
use crate::{message, secret};

const SECRET: &str = "the secret";

fn settings(hook: Hook) -> Settings {
    Settings {
        name: "tower-1".into(),
        channels: vec![Channel {
            name: "hook".into(),
            kind: Kind::Hook(hook),
            least: Severity::Warning,
            from_escalation: 0,
        }],
        ..Settings::default()
    }
}

fn hook(folder: &std::path::Path, preset: Preset, url: &str) -> Hook {
    Hook {
        preset,
        url: Some(Located::File(secret(folder, "url", url))),
        secret_file: Some(secret(folder, "secret", SECRET)),
        chat: Some("-100200".into()),
    }
}

async fn deliver(preset: Preset, path: &str, occasion: Occasion) -> crate::receiver::Received {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    let url = format!("{}{path}", receiver.url);
    let channels = Channels::open(&settings(hook(folder.path(), preset, &url))).unwrap();
    let message = message(occasion, Severity::Critical);
    channels.deliver("hook", &message).await.unwrap();
    let mut received = receiver.take();
    assert_eq!(received.len(), 1);
    received.remove(0)
}

#[tokio::test]
async fn a_webhook_is_signed_over_time_and_body() {
    let received = deliver(Preset::Webhook, "/in", Occasion::Raised).await;
    assert_eq!(received.path, "/in");
    let time = received.header("x-watchtower-timestamp");
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{time}.").as_bytes());
    mac.update(&received.body);
    let expected = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    assert_eq!(received.header("x-watchtower-signature"), expected);
    assert_eq!(received.header("x-watchtower-notification"), "41");
    let body = received.json();
    assert_eq!(body["occasion"], "raised");
    assert_eq!(body["severity"], "critical");
    assert_eq!(body["alerts"][0]["id"], 7);
    assert_eq!(body["alerts"][0]["stake_mutez"], "10000000000");
    assert_eq!(
        body["alerts"][0]["acknowledge"],
        "https://tower.example/ack/7.1.ab"
    );
}

#[tokio::test]
async fn chat_services_get_their_forms() {
    let slack = deliver(Preset::Slack, "/services/T/B/x", Occasion::Raised)
        .await
        .json();
    let text = slack["text"].as_str().unwrap();
    assert!(text.starts_with("CRITICAL: commitment"), "{text}");
    assert!(text.contains("alert 7"), "{text}");

    let discord = deliver(Preset::Discord, "/api/webhooks/1/x", Occasion::Recovered)
        .await
        .json();
    assert!(discord["content"].as_str().unwrap().starts_with("over: "));
    assert_eq!(discord["allowed_mentions"], json!({"parse": []}));

    let telegram = deliver(Preset::Telegram, "", Occasion::Raised).await;
    assert_eq!(
        telegram.path,
        format!("/bot{SECRET}/sendMessage").replace(' ', "%20")
    );
    assert_eq!(telegram.json()["chat_id"], "-100200");
    assert_eq!(telegram.json()["disable_notification"], false);

    let ntfy = deliver(Preset::Ntfy, "/my-topic", Occasion::Raised).await;
    assert_eq!(ntfy.header("authorization"), format!("Bearer {SECRET}"));
    assert_eq!(ntfy.json()["topic"], "my-topic");
    assert_eq!(ntfy.json()["priority"], 5);
    assert_eq!(
        ntfy.json()["actions"][0]["url"],
        "https://tower.example/ack/7.1.ab"
    );
}

#[tokio::test]
async fn an_incident_opens_and_closes_under_one_key() {
    let opened = deliver(Preset::PagerDuty, "/v2/enqueue", Occasion::Raised)
        .await
        .json();
    let closed = deliver(Preset::PagerDuty, "/v2/enqueue", Occasion::Recovered)
        .await
        .json();
    assert_eq!(opened["event_action"], "trigger");
    assert_eq!(opened["routing_key"], SECRET);
    assert_eq!(opened["payload"]["severity"], "critical");
    assert_eq!(closed["event_action"], "resolve");
    assert_eq!(opened["dedup_key"], closed["dedup_key"]);
}

#[tokio::test]
async fn problems_never_quote_the_address_or_the_secret() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    receiver.answer(axum::http::StatusCode::FORBIDDEN);
    let url = format!("{}/services/hidden", receiver.url);
    let told = message(Occasion::Raised, Severity::Warning);
    let channels = Channels::open(&settings(hook(folder.path(), Preset::Slack, &url))).unwrap();
    let refused = channels.deliver("hook", &told).await.unwrap_err().0;
    assert_eq!(refused, "the server answered 403 Forbidden");

    // Nobody listens on a port that was just given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}/services/hidden");
    let channels = Channels::open(&settings(hook(folder.path(), Preset::Slack, &url))).unwrap();
    let dead = channels.deliver("hook", &told).await.unwrap_err().0;
    for problem in [refused, dead, format!("{channels:?}")] {
        assert!(
            !problem.contains("hidden") && !problem.contains(SECRET),
            "{problem}"
        );
    }
}

#[test]
fn what_a_channel_lacks_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut telegram = hook(folder.path(), Preset::Telegram, "http://127.0.0.1:1");
    telegram.chat = None;
    let error = Channels::open(&settings(telegram)).unwrap_err().to_string();
    assert_eq!(error, "channel \"hook\": chat is needed here");
    let mut webhook = hook(folder.path(), Preset::Webhook, "http://127.0.0.1:1");
    webhook.secret_file = Some(folder.path().join("absent"));
    let error = Channels::open(&settings(webhook)).unwrap_err().to_string();
    assert!(error.contains("absent"), "{error}");
}
