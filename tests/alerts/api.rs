//! What is served: held to its description, for our own names only, and changing nothing but what
//! a signed link may.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use watchtower::alert::{Channels, Plan, Service, Settings, Tokens};
use watchtower::crypto::{Dialect, Hash};
use watchtower::journal::{
    Alarm, BlockRow, Entry, Journal, Judgement, OperationRow, PublishedRow, RollupRow, Severity,
    VerdictRow,
};
use watchtower::protocol::{
    BlockHash, ChainId, Commitment, Dialected, Level, ProtocolHash, PublicKeyHash, RollupAddress,
    StateHash,
};
use watchtower::serve::{
    GameView, Limits, Metrics, OPENAPI, PlayView, PurseView, RollupView, Site, SourceView, View,
    Watched, router, serve,
};

pub(crate) const ROLLUP: RollupAddress = RollupAddress([3; 20]);
pub(crate) const STAKER: &str = "tz1VSUr8wwNhLAzempoch5d6hLRiTh8Cjcjb";

struct World {
    folder: tempfile::TempDir,
    address: std::net::SocketAddr,
    view: watch::Sender<Arc<View>>,
    site: Arc<Site>,
    tokens: Tokens,
    stop: CancellationToken,
}

/// Of these the last operation takes the bonds.
pub(crate) fn journal_of_a_liar(path: &std::path::Path, unstaked: &[&str]) {
    let genesis = Commitment::genesis(StateHash([5; 32]), Level::new(1));
    let block = |level: u16| BlockHash([u8::try_from(level).unwrap(); 32]);
    let blocks = (1..=14).map(|level| {
        Entry::Block(BlockRow {
            hash: block(level),
            level: Level::new(level),
            predecessor: block(level - 1),
            timestamp: 1_700_000_000 + i64::from(level) * 8,
            protocol: ProtocolHash([9; 32]),
            period: 10,
            opens_protocol: false,
        })
    });
    let claim = |state: u8| Commitment {
        compressed_state: StateHash([state; 32]),
        inbox_level: Level::new(11),
        predecessor: genesis.hash(),
        number_of_ticks: 12_345_678_901_234,
    };
    let staker: PublicKeyHash = STAKER.parse().unwrap();
    let published = |state: u8, position: u32| {
        Entry::Published(PublishedRow {
            rollup: ROLLUP,
            block: Some(block(13)),
            published_level: Some(Level::new(13)),
            position,
            staker,
            commitment: claim(state),
        })
    };
    let mut entries = vec![Entry::Rollup(RollupRow {
        address: ROLLUP,
        dialect: Dialect::Modern,
        chain: ChainId([1, 2, 3, 4]),
        origination_level: Level::new(1),
        genesis_commitment: genesis.hash(),
        genesis_state: StateHash([5; 32]),
        kernel: Hash([6; 32]),
        protocol: ProtocolHash([9; 32]),
    })];
    entries.extend(blocks);
    entries.extend([
        Entry::Own {
            rollup: ROLLUP,
            block: block(11),
            commitment: claim(7),
        },
        published(8, 0),
        published(9, 1),
        Entry::Verdict(VerdictRow {
            rollup: ROLLUP,
            block: Some(block(11)),
            commitment: claim(8).hash(),
            level: Level::new(11),
            judgement: Judgement::False {
                field: "compressed_state",
                claimed: "srs1a".into(),
                computed: "srs1b".into(),
            },
        }),
        Entry::Operation(OperationRow {
            rollup: ROLLUP,
            block: block(14),
            level: Level::new(14),
            position: 0,
            kind: "timeout".into(),
            source: staker,
            detail: serde_json::json!({ "unstaked": unstaked }).to_string(),
        }),
        Entry::Alarm(Alarm {
            rollup: Some(ROLLUP),
            level: Some(Level::new(11)),
            severity: Severity::Critical,
            kind: "false commitment",
            subject: "src1".into(),
            message: "a commitment is false".into(),
        }),
    ]);
    Journal::open(path).unwrap().write(entries).unwrap();
}

fn game_view() -> GameView {
    GameView {
        rollup: ROLLUP.text(Dialect::Modern),
        opponent: STAKER.into(),
        level: 11,
        start_level: 14,
        turn: "ours",
        stage: "dissecting",
        width: "1000".into(),
        our_blocks: 90,
        their_blocks: 100,
        slack: 80,
        forecast: "ours".into(),
        clock_blocks: 100,
        stake: "10000000000".into(),
        obstacle: None,
        not_playable: None,
    }
}

fn rollup_view() -> RollupView {
    RollupView {
        address: ROLLUP.text(Dialect::Modern),
        origination_level: 1,
        reached_level: 14,
        caught_up: true,
        judged_true: 0,
        judged_false: 1,
        not_judgeable: 0,
        blocked: None,
        unverified: 1,
        unverified_level: Some(11),
        cementable_in: Some(999),
        run_levels: 14,
        run_seconds: 0.5,
        store_bytes: 1,
    }
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Journal::FILE);
        journal_of_a_liar(&path, &[]);
        let (view, watching) = watch::channel(Arc::new(View {
            tick_at: jiff::Timestamp::now().as_millisecond(),
            seen_level: Some(14),
            seen_time: Some(1_700_000_112),
            head_level: Some(14),
            challenge_window: Some(1000),
            commitment_period: Some(10),
            rollups: vec![rollup_view()],
            sources: vec![SourceView {
                name: "http://a".into(),
                answers: 9,
                errors: 1,
                errors_in_a_row: 0,
                out_of_sync: false,
                disagreements: 0,
                disagrees: false,
            }],
            play: PlayView {
                games: vec![game_view()],
                purses: vec![PurseView {
                    rollup: ROLLUP.text(Dialect::Modern),
                    staked: "10000000000".into(),
                    recoverable: "0".into(),
                }],
                ..View::unknown("defend").play
            },
            ..View::unknown("defend")
        }));
        let tokens = Tokens::new([7; 32]);
        let metrics = Metrics::new(&Watched::default()).unwrap();
        let plan = Plan::from(&Settings::default());
        let site = Arc::new(Site::new(watching, path, metrics, tokens.clone(), plan));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let hosts = vec!["tower.example".into()];
        let limits = Limits::default();
        tokio::spawn(serve(
            listener,
            router(Arc::clone(&site)),
            hosts,
            limits,
            stop.clone(),
        ));
        Self {
            folder,
            address,
            view,
            site,
            tokens,
            stop,
        }
    }

    /// Starts alerts, and waits until they have raised what the journal holds.
    async fn alerts(&self) -> Service {
        let path = self.folder.path().join(Journal::FILE);
        let settings = Settings::default();
        let channels = Channels::open(&settings).unwrap();
        let service = Service::start(&path, &settings, &self.tokens, channels.into()).unwrap();
        self.site.alerts_run(service.handle());
        while service.handle().figures().open.is_empty() {
            service.handle().pulse();
            tokio::task::yield_now().await;
        }
        service
    }

    /// One request over a fresh connection: status and headers, then body.
    async fn request(&self, method: &str, path: &str, host: &str) -> (u16, String, String) {
        let mut stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = if head.to_lowercase().contains("transfer-encoding: chunked") {
            body.lines().skip(1).step_by(2).collect()
        } else {
            body.to_owned()
        };
        (status, head.to_lowercase(), body)
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let (status, _, body) = self.request("GET", path, "localhost").await;
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }
}

/// What is wrong with a value by a schema, as far as the description uses the language.
fn faults(schema: &Value, value: &Value, place: &str, all: &Value) -> Vec<String> {
    let wrong = |what: &str| vec![format!("{place}: {value} {what}")];
    if let Some(name) = schema["$ref"].as_str() {
        let target = name.strip_prefix("#").unwrap();
        return faults(all.pointer(target).unwrap(), value, place, all);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fitting = choices
            .iter()
            .filter(|one| faults(one, value, place, all).is_empty());
        return if fitting.count() == 1 {
            Vec::new()
        } else {
            wrong("fits none or several")
        };
    }
    let fits = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other} is no type"),
    };
    let is_fitting = match &schema["type"] {
        Value::String(kind) => fits(kind),
        Value::Array(kinds) => kinds.iter().any(|kind| fits(kind.as_str().unwrap())),
        _ => true,
    };
    if !is_fitting {
        return wrong(&format!("is not {}", schema["type"]));
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        return wrong("is none of the words");
    }
    let mut found = Vec::new();
    if let (Some(items), Some(list)) = (schema.get("items"), value.as_array()) {
        for (index, item) in list.iter().enumerate() {
            found.extend(faults(items, item, &format!("{place}[{index}]"), all));
        }
    }
    if let (Some(properties), Some(object)) = (schema["properties"].as_object(), value.as_object())
    {
        for name in schema["required"].as_array().into_iter().flatten() {
            if !object.contains_key(name.as_str().unwrap()) {
                found.push(format!("{place}: {name} is missing"));
            }
        }
        for (name, inner) in object {
            match properties.get(name) {
                Some(schema) => {
                    found.extend(faults(schema, inner, &format!("{place}.{name}"), all))
                }
                None if schema["additionalProperties"] == Value::Bool(false) => {
                    found.push(format!("{place}: {name} is not described"));
                }
                None => {}
            }
        }
    }
    found
}

#[tokio::test]
async fn every_answer_is_as_described_and_every_path_is_asked() {
    let world = World::new().await;
    let service = world.alerts().await;
    let description: Value = serde_json::from_str(OPENAPI).unwrap();
    let rollup = ROLLUP.text(Dialect::Modern);
    let mut answers = BTreeMap::new();
    for path in description["paths"].as_object().unwrap().keys() {
        if path == "/api/v1/events" {
            continue; // a stream: below
        }
        let asked = path.replace("{rollup}", &rollup);
        let (status, head, body) = world.request("GET", &asked, "localhost").await;
        assert_eq!(status, 200, "{asked}: {body}");
        let content = &description["paths"][path]["get"]["responses"]["200"]["content"];
        let (kind, described) = content.as_object().unwrap().iter().next().unwrap();
        assert!(
            head.contains(&format!("content-type: {kind}")),
            "{asked}: {head}"
        );
        if kind != "application/json" {
            continue;
        }
        let value: Value = serde_json::from_str(&body).unwrap();
        let found = faults(&described["schema"], &value, path, &description);
        assert!(found.is_empty(), "{found:#?}");
        answers.insert(path.clone(), value);
    }
    // They say something, too.
    let tree = &answers["/api/v1/rollups/{rollup}/commitments"]["commitments"];
    let verdicts: Vec<_> = tree
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["verdict"]["verdict"])
        .collect();
    assert_eq!(tree.as_array().unwrap().len(), 3, "{tree}");
    assert!(verdicts.contains(&&Value::from("false")), "{tree}");
    let alert = &answers["/api/v1/alerts"][0];
    assert_eq!(alert["rule"], "false-commitment");
    assert_eq!(alert["rollup"], rollup.as_str());
    assert_eq!(
        answers["/api/v1/rollups/{rollup}/operations"][0]["kind"],
        "timeout"
    );
    tokio::task::spawn_blocking(|| service.stop())
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_absent_or_wrong_is_said_as_described() {
    let world = World::new().await;
    let description: Value = serde_json::from_str(OPENAPI).unwrap();
    let error = description.pointer("/components/schemas/Error").unwrap();
    for (path, expected) in [
        ("/api/v1/rollups/sr1nobody", 404),
        ("/api/v1/rollups/sr1nobody/commitments", 404),
        ("/api/v1/rollups/sr1nobody/operations", 404),
        ("/nothing", 404),
        ("/api/v1/log?after=-1", 400),
    ] {
        let (status, body) = world.get(path).await;
        assert_eq!(status, expected, "{path}");
        assert!(
            faults(error, &body, path, &description).is_empty(),
            "{body}"
        );
    }
    let (status, _, _) = world
        .request("GET", "/api/v1/log?after=x", "localhost")
        .await;
    assert_eq!(status, 400);
    for method in ["POST", "PUT", "DELETE"] {
        let (status, _, _) = world.request(method, "/api/v1/status", "localhost").await;
        assert_eq!(status, 405, "{method} changes nothing");
    }
}

#[tokio::test]
async fn only_our_own_names_are_answered_and_nobody_else_may_read() {
    let world = World::new().await;
    let port = world.address.port();
    for host in ["localhost", "127.0.0.1", "tower.example", "[::1]"] {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            let (status, head, _) = world.request("GET", "/healthz", &host).await;
            assert_eq!(status, 200, "{host}");
            assert!(!head.contains("access-control"), "{head}");
            assert!(head.contains("x-content-type-options: nosniff"), "{head}");
        }
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "",
        "127.0.0.1.evil:80",
    ] {
        let (status, _, _) = world.request("GET", "/api/v1/status", host).await;
        assert_eq!(status, 421, "{host}");
    }
}

#[tokio::test]
async fn health_and_readiness_follow_what_is_seen() {
    let world = World::new().await;
    assert_eq!(world.get("/readyz").await.0, 200);
    let change = |change: &dyn Fn(&mut View)| {
        let mut view = (**world.view.borrow()).clone();
        change(&mut view);
        world.view.send_replace(Arc::new(view));
    };
    change(&|view| view.head_level = Some(30));
    let (status, body) = world.get("/readyz").await;
    assert_eq!(status, 503);
    assert!(
        body["reasons"][0]
            .as_str()
            .unwrap()
            .contains("16 levels behind"),
        "{body}"
    );
    change(&|view| view.head_level = Some(14));
    change(&|view| view.rollups[0].blocked = Some("no preimage".into()));
    assert_eq!(world.get("/readyz").await.0, 503);
    assert_eq!(world.get("/healthz").await.0, 200, "blocked, but alive");
    let (view, started) = (View::default(), 1_000);
    assert!(watchtower::serve::health(&view, started, 2_000).is_well);
    assert!(!watchtower::serve::health(&view, started, 3_600_000).is_well);
}

#[tokio::test]
async fn events_begin_with_the_status_and_continue_after_a_row() {
    let world = World::new().await;
    let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let request = "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 16\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut until = async |wanted: &str| {
        while !text.contains(wanted) {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).await.unwrap();
            assert!(count > 0, "the stream ended: {text}");
            text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        text.clone()
    };
    let first = until("event: status").await;
    assert!(
        first
            .to_lowercase()
            .contains("content-type: text/event-stream"),
        "{first}"
    );
    let missed = until("a commitment is false").await;
    assert!(missed.contains("event: news"), "{missed}");
    assert!(!missed.contains("\nid: 16\n"), "seen already: {missed}");
    // A new row and a change of status arrive by themselves.
    let path = world.folder.path().join(Journal::FILE);
    let alarm = Alarm {
        rollup: None,
        level: None,
        severity: Severity::Warning,
        kind: "node",
        subject: "odd".into(),
        message: "an odd node".into(),
    };
    Journal::open(&path)
        .unwrap()
        .write(vec![Entry::Alarm(alarm)])
        .unwrap();
    let mut view = (**world.view.borrow()).clone();
    view.seen_level = Some(4321);
    world.view.send_replace(Arc::new(view));
    until("\"seen_level\":4321").await;
    until("an odd node").await;
}

#[tokio::test]
async fn a_signed_link_asks_first_and_acknowledges_only_with_the_button() {
    let world = World::new().await;
    let service = world.alerts().await;
    let now = jiff::Timestamp::now().as_millisecond();
    let path = format!("/ack/{}", world.tokens.issue(1, now).unwrap());
    let (status, _, page) = world.request("GET", &path, "tower.example").await;
    assert_eq!(status, 200);
    assert!(page.contains("<form method=\"post\">"), "{page}");
    let acknowledged =
        async || world.get("/api/v1/alerts?all=true").await.1[0]["acknowledged_by"].clone();
    assert_eq!(acknowledged().await, Value::Null, "looking changes nothing");
    let forged = format!("/ack/{}", Tokens::new([8; 32]).issue(1, now).unwrap());
    assert_eq!(world.request("POST", &forged, "tower.example").await.0, 403);
    assert_eq!(acknowledged().await, Value::Null);
    assert_eq!(world.request("POST", &path, "tower.example").await.0, 200);
    assert_eq!(acknowledged().await, "the link in a message");
    let unknown = format!("/ack/{}", world.tokens.issue(99, now).unwrap());
    assert_eq!(
        world.request("POST", &unknown, "tower.example").await.0,
        404
    );
    tokio::task::spawn_blocking(|| service.stop())
        .await
        .unwrap();
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
