//! Every alert rule of `alerts/prometheus/watchtower.yml` fires in its scenario, played by a real
//! tower whose `/metrics` are scraped, and none fires in an honest run.

mod record;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use watchtower::alert::{Channel, Heartbeat, Hook, Kind, Located, Preset};
use watchtower::config::{Config, Mode};
use watchtower::crypto::Dialect;
use watchtower::journal::Severity;
use watchtower::protocol::{Level, Protocol};
use watchtower::sim::{Carriage, Drill, Event, Parameters, Role, Setup, Weather, WrongGames};

use crate::arena::{Arena, named};
use crate::refusals::mount;
use crate::served::Serving;
use crate::world::{PERIOD, World, setup};
use record::{Record, Scrape};

/// A situation, the rules it is for (none in an honest run), and how it is played; nothing where this
/// machine cannot.
struct Scenario {
    name: &'static str,
    rules: &'static [&'static str],
    play: fn() -> Option<Record>,
}

/// Every rule is in one of these. What cannot be played everywhere is said when it is not, and fires
/// on invented series in `alerts/prometheus/tests.yml` as all others do.
const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "an honest run",
        rules: &[],
        play: honest,
    },
    Scenario {
        name: "several nodes are unwell",
        rules: &[
            "WatchtowerEndpointDown",
            "WatchtowerSourceErrors",
            "WatchtowerEndpointOutOfSync",
            "WatchtowerEndpointDisagrees",
        ],
        play: nodes,
    },
    Scenario {
        name: "a liar, and nobody answers the alert",
        rules: &["WatchtowerFalseCommitment", "WatchtowerUnacknowledged"],
        play: liar,
    },
    Scenario {
        name: "a preimage that nobody has",
        rules: &[
            "WatchtowerNotJudgeable",
            "WatchtowerUnverifiedNearCementing",
            "WatchtowerBehind",
        ],
        play: blind,
    },
    Scenario {
        name: "the brake during a game, until it is lost",
        rules: &[
            "WatchtowerHeld",
            "WatchtowerGameOpened",
            "WatchtowerGameSlack",
            "WatchtowerGameLost",
        ],
        play: brake,
    },
    Scenario {
        name: "the node goes away",
        rules: &["WatchtowerNoEndpoint", "WatchtowerStalled"],
        play: no_node,
    },
    Scenario {
        name: "the loop stands still",
        rules: &["WatchtowerHung"],
        play: hung,
    },
    Scenario {
        name: "the tower is gone",
        rules: &["WatchtowerMetricsMissing"],
        play: gone,
    },
    Scenario {
        name: "the clock is behind",
        rules: &["WatchtowerClockSkew"],
        play: clock,
    },
    Scenario {
        name: "people cannot be reached",
        rules: &[
            "WatchtowerHeartbeatLate",
            "WatchtowerChannelUnreachable",
            "WatchtowerTestOverdue",
        ],
        play: people,
    },
    Scenario {
        name: "a gate that lets nothing pass",
        rules: &["WatchtowerSignerRefusals", "WatchtowerOperationRejected"],
        play: gate,
    },
    Scenario {
        name: "operations that bakers hear of late",
        rules: &["WatchtowerOperationStuck"],
        play: stuck,
    },
    Scenario {
        name: "an account that was emptied",
        rules: &["WatchtowerBalanceLow"],
        play: poor,
    },
    Scenario {
        name: "a node that tells impossible games, with a journal that lacks the moves",
        rules: &["WatchtowerGameNotPlayable"],
        play: unplayable,
    },
    Scenario {
        name: "a state that comes out otherwise when run again",
        rules: &["WatchtowerEngineDisagreement"],
        play: engines,
    },
    Scenario {
        name: "files that may not grow",
        rules: &["WatchtowerDiskFailing"],
        play: disk_failing,
    },
    Scenario {
        name: "a small disk",
        rules: &["WatchtowerDiskLow"],
        play: disk_low,
    },
];

#[test]
fn every_rule_fires_in_its_scenario_and_none_in_an_honest_run() {
    if Command::new("promtool").arg("--version").output().is_err() {
        println!("promtool is not installed: .ci/run installs it and runs these");
        return;
    }
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(scenario) = SCENARIOS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // One that breaks down keeps no other from being played.
                    let found = std::panic::catch_unwind(|| wrong(scenario));
                    let found = found.unwrap_or_else(|_| Some("broke down".into()));
                    let found = found.map(|found| format!("{}: {found}", scenario.name));
                    failures.lock().unwrap().extend(found);
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What is wrong with the rules that fire in a scenario: one of its own does not, or any does where
/// none should.
fn wrong(scenario: &Scenario) -> Option<String> {
    let (name, rules) = (scenario.name, scenario.rules);
    let Some(record) = (scenario.play)() else {
        println!("{name}: cannot be played here");
        return None;
    };
    let fired = record.fired(name);
    println!("{name}: {fired:?}");
    let is_wrong = match rules {
        [] => !fired.is_empty(),
        rules => rules.iter().any(|rule| !fired.contains(*rule)),
    };
    is_wrong.then(|| format!("{rules:?} expected, {fired:?} fire"))
}

#[test]
fn every_rule_has_a_scenario() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rules = std::fs::read_to_string(root.join("alerts/prometheus/watchtower.yml")).unwrap();
    let rules: BTreeSet<_> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    let played = SCENARIOS.iter().flat_map(|scenario| scenario.rules);
    let played: BTreeSet<_> = played.copied().collect();
    assert_eq!(rules, played);
    let honest = SCENARIOS
        .iter()
        .filter(|scenario| scenario.rules.is_empty());
    assert_eq!(honest.count(), 1);
}

/// A drill whose tower serves what it has to say.
fn served(drill: &Drill, mode: Mode, change: fn(&mut Config)) -> (Arena, Record) {
    let mut arena = Arena::new(drill);
    arena.serving = Some(Box::new(change));
    arena.start(mode);
    arena.settle();
    let mut record = Record::every(arena.block_seconds());
    record.take(&seen(&arena));
    (arena, record)
}

/// What is served once the newest block is taken in.
fn seen(arena: &Arena) -> Scrape {
    let level = f64::from(arena.level().get());
    Scrape::until(&arena.address(), "the newest block", |scrape| {
        scrape.most("watchtower_seen_level") == level
    })
}

fn steps(arena: &mut Arena, record: &mut Record, count: u32) {
    for _ in 0..count {
        arena.step();
        record.take(&seen(arena));
    }
}

/// Steps until a series is above 0.
fn until(arena: &mut Arena, record: &mut Record, series: &str) {
    until_above(arena, record, series, 0.0);
}

fn until_above(arena: &mut Arena, record: &mut Record, series: &str, bound: f64) {
    for _ in 0..100 {
        if seen(arena).most(series) > bound {
            // It may have come between the scrape of the step and this one.
            record.take(&seen(arena));
            return;
        }
        steps(arena, record, 1);
    }
    let last = seen(arena);
    panic!(
        "{}: {series} stays at most {bound}: {last:#?}",
        arena.drill.name
    );
}

const fn as_it_is(_: &mut Config) {}

/// Nobody lies: periods are published, cemented and judged, somebody hears the heart beat.
fn honest() -> Option<Record> {
    let drill = Drill {
        opponents: Vec::new(),
        ..named("pvm_proof_1")
    };
    let drill = Drill {
        defence: watchtower::sim::Defence {
            role: Role::Operate,
            ..drill.defence.clone()
        },
        ..drill
    };
    let (mut arena, mut record) = served(&drill, Mode::Operate, |config| {
        config.alerts.heartbeat = Some(Heartbeat {
            url: Located::Here(receiver(Arc::default())),
            every: Duration::from_secs(1),
        });
        config.alerts.channels = vec![chat("chat", receiver(Arc::default()))];
        config.alerts.test_every = Some(Duration::from_secs(1));
    });
    steps(&mut arena, &mut record, 120);
    let last = seen(&arena);
    assert!(last.most("watchtower_bonded") == 1.0, "it publishes");
    assert!(last.most("watchtower_operations{state=\"final\"}") > 5.0);
    arena.stop();
    Some(record)
}

fn liar() -> Option<Record> {
    let (mut arena, mut record) = served(&named("pvm_proof_1"), Mode::Defend, as_it_is);
    let unanswered = "watchtower_alerts_unacknowledged{severity=\"critical\"}";
    until(&mut arena, &mut record, unanswered);
    let lies = "watchtower_verdicts{rollup=\"";
    assert!(seen(&arena).most(lies) > 0.0);
    record.pass(17);
    arena.stop();
    Some(record)
}

/// Others know the preimage, and publish.
fn blind() -> Option<Record> {
    let window = 40;
    let protocol = Protocol::Tallinn;
    let parameters = Parameters::mainnet(protocol).with_lengths(PERIOD, window, window);
    let world = World::new(Setup::of(protocol, parameters));
    let page = b"revealed".to_vec();
    let mut command = b"R\x00".to_vec();
    command.extend(watchtower::crypto::blake2b(&page).0);
    let keeps = |scenario: &mut watchtower::sim::Scenario| scenario.keep_preimage(page.clone());
    world.chain.shared.with(keeps);
    world.command(PERIOD + 2, &command);
    world.advance(PERIOD);
    let tower = Serving::start(&world);
    let mut record = Record::every(8);
    record.take(&at(&world, &tower, PERIOD));
    for blocks in PERIOD + 1..PERIOD + window + 10 {
        world.advance(blocks);
        let level = f64::from(world.level(blocks).get());
        let scrape = Scrape::until(&tower.address, "the newest block", |scrape| {
            scrape.most("watchtower_seen_level") == level
        });
        record.take(&scrape);
    }
    record.pass(12);
    Some(record)
}

fn brake() -> Option<Record> {
    let (mut arena, mut record) = served(&named("pvm_proof_1"), Mode::Defend, as_it_is);
    while arena.report().dissections == 0 {
        steps(&mut arena, &mut record, 1);
    }
    watchtower::tower::pull(&arena.data(), "a test").unwrap();
    until(&mut arena, &mut record, "watchtower_holds");
    let lost = "watchtower_games_ended_total{outcome=\"lost\"}";
    until(&mut arena, &mut record, lost);
    arena.stop();
    Some(record)
}

fn nodes() -> Option<Record> {
    let good = Weather::default;
    let mut drill = named("pvm_proof_1");
    drill.endpoints = vec![
        good(),
        good(),
        Weather { lag: 3, ..good() },
        Weather {
            disagree_from: Some(Level::new(9)),
            ..good()
        },
        Weather {
            status: Some(503),
            ..good()
        },
    ];
    let (mut arena, mut record) = served(&drill, Mode::Defend, as_it_is);
    steps(&mut arena, &mut record, 14);
    // All nodes are compared now and then.
    let compared = Scrape::until(&arena.address(), "what is wrong with the nodes", |scrape| {
        scrape.most("watchtower_source_out_of_sync") == 1.0
            && scrape.most("watchtower_source_disagrees") == 1.0
            && scrape.most("watchtower_source_errors_in_a_row") >= 5.0
    });
    record.take(&compared);
    record.pass(20);
    arena.stop();
    Some(record)
}

fn hung() -> Option<Record> {
    let (mut arena, mut record) = served(&named("pvm_proof_1"), Mode::Defend, as_it_is);
    steps(&mut arena, &mut record, 2);
    // The loop ends in its tracks; what serves goes on.
    arena.crash();
    record.take(&Scrape::of(&arena.address()));
    record.hang(13);
    Some(record)
}

fn gone() -> Option<Record> {
    let (mut arena, mut record) = served(&named("pvm_proof_1"), Mode::Defend, as_it_is);
    steps(&mut arena, &mut record, 2);
    arena.stop();
    record.vanish(7);
    Some(record)
}

fn gate() -> Option<Record> {
    let (mut arena, mut record) = served(&named("pvm_proof_1"), Mode::Defend, |config| {
        config.signer.hourly_cap = 0;
    });
    let refused = "watchtower_signature_refusals_total";
    until(&mut arena, &mut record, refused);
    let rejected = "watchtower_operations_rejected_total{reason=\"stop\"}";
    until(&mut arena, &mut record, rejected);
    record.pass(2);
    arena.stop();
    Some(record)
}

fn stuck() -> Option<Record> {
    let mut drill = named("pvm_proof_1");
    let slow = Carriage {
        delay: 30,
        ..Carriage::default()
    };
    drill.events.push((Level::new(16), Event::Carry(slow)));
    let (mut arena, mut record) = served(&drill, Mode::Defend, as_it_is);
    // Every operation is pending for a moment after the block that it is in.
    let pending = "watchtower_oldest_pending_blocks";
    until_above(&mut arena, &mut record, pending, 5.0);
    record.pass(2);
    arena.stop();
    Some(record)
}

fn poor() -> Option<Record> {
    let mut drill = named("pvm_proof_1");
    let spent = Event::Spend {
        account: 1,
        leaves: 1_000_000,
    };
    drill.events.push((Level::new(6), spent));
    let (mut arena, mut record) = served(&drill, Mode::Defend, as_it_is);
    steps(&mut arena, &mut record, 8);
    let poor = Scrape::until(&arena.address(), "the low balance", |scrape| {
        scrape.most("watchtower_balance_mutez") < scrape.most("watchtower_needed_mutez")
    });
    record.take(&poor);
    record.pass(7);
    arena.stop();
    Some(record)
}

fn unplayable() -> Option<Record> {
    let mut drill = named("pvm_proof_1");
    drill.endpoints = vec![Weather {
        wrong_games: Some(WrongGames::Contradictory),
        ..Weather::default()
    }];
    let (mut arena, mut record) = served(&drill, Mode::Defend, as_it_is);
    until(&mut arena, &mut record, "watchtower_games{");
    arena.stop();
    // A journal of before moves were kept: what the node tells of a game cannot be held to them.
    let journal = rusqlite::Connection::open(arena.data().join("journal.sqlite")).unwrap();
    let changed = journal.execute(
        "UPDATE rollup_operation SET detail = json_remove(detail, '$.refutation', '$.choice')
         WHERE kind = 'refute'",
        [],
    );
    assert!(changed.is_ok_and(|count| count > 0));
    drop(journal);
    arena.start(Mode::Defend);
    arena.settle();
    until(&mut arena, &mut record, "watchtower_games_not_playable");
    record.pass(2);
    arena.stop();
    Some(record)
}

fn chat(name: &str, url: String) -> Channel {
    Channel {
        name: name.into(),
        kind: Kind::Hook(Hook {
            preset: Preset::Slack,
            url: Some(Located::Here(url)),
            secret_file: None,
            chat: None,
        }),
        least: Severity::Notice,
        from_escalation: 0,
    }
}

/// Answers every request, with 200 until it is unwell.
fn receiver(is_unwell: Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let status = if is_unwell.load(Ordering::Relaxed) {
                "500 Internal Server Error"
            } else {
                "200 OK"
            };
            // Small requests come at once; whoever left has no answer.
            let _ = stream.read(&mut [0; 65536]);
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(head.as_bytes());
        }
    });
    url
}

fn people() -> Option<Record> {
    let is_unwell = Arc::new(AtomicBool::new(false));
    let heart = receiver(Arc::clone(&is_unwell));
    let mut arena = Arena::new(&named("pvm_proof_1"));
    arena.serving = Some(Box::new(move |config: &mut Config| {
        config.alerts.heartbeat = Some(Heartbeat {
            url: Located::Here(heart.clone()),
            every: Duration::from_secs(1),
        });
        config.alerts.channels = vec![
            chat("chat", receiver(Arc::default())),
            // Nobody listens at this port.
            chat("dead", "http://127.0.0.1:1/".into()),
        ];
        config.alerts.test_every = Some(Duration::from_secs(1));
    }));
    let mut record = Record::every(60);
    arena.start(Mode::Defend);
    arena.settle();
    record.take(&seen(&arena));
    let told = Scrape::until(
        &arena.address(),
        "a test that arrives and one that does not",
        |s| {
            s.most("watchtower_heartbeat_timestamp_seconds") > 0.0
                && s.most("watchtower_alert_test_timestamp_seconds{channel=\"chat\"}") > 0.0
                && s.most("watchtower_notifications_failed_total{channel=\"dead\"}") > 0.0
        },
    );
    record.take(&told);
    is_unwell.store(true, Ordering::Relaxed);
    let unheard = Scrape::until(&arena.address(), "a beat that is not heard", |scrape| {
        scrape.most("watchtower_heartbeat_failures_total") > 0.0
    });
    record.take(&unheard);
    arena.stop();
    record.pass(49 * 60);
    Some(record)
}

/// What a program that follows serves, once it has seen a level.
fn at(world: &World, tower: &Serving, blocks: u32) -> Scrape {
    let level = f64::from(world.level(blocks).get());
    Scrape::until(&tower.address, "the head", |scrape| {
        scrape.most("watchtower_reached_level") == level
    })
}

fn no_node() -> Option<Record> {
    let world = World::new(setup(Dialect::Modern));
    world.advance(PERIOD);
    let tower = Serving::start(&world);
    let mut record = Record::every(15);
    record.take(&at(&world, &tower, PERIOD));
    let endpoint = &world.chain.endpoint;
    endpoint.change_weather(|weather| weather.status = Some(503));
    let alone = Scrape::until(&tower.address, "a node that does not answer", |scrape| {
        scrape.most("watchtower_source_errors_in_a_row") >= 5.0
    });
    record.take(&alone);
    record.pass(8);
    Some(record)
}

fn clock() -> Option<Record> {
    let now = jiff::Timestamp::now().as_second();
    let world = World::new(Setup {
        genesis_time: now + 3600,
        ..setup(Dialect::Modern)
    });
    world.advance(PERIOD);
    let tower = Serving::start(&world);
    let mut record = Record::every(15);
    record.take(&at(&world, &tower, PERIOD));
    record.pass(2);
    Some(record)
}

fn engines() -> Option<Record> {
    let world = World::new(setup(Dialect::Modern));
    world.advance(PERIOD);
    let mut record = Record::every(15);
    let mut tower = Serving::start(&world);
    record.take(&at(&world, &tower, PERIOD));
    tower.signal("-TERM");
    assert!(tower.child.wait().unwrap().success());
    // What one engine found yesterday is not what is found today.
    let journal = rusqlite::Connection::open(world.data().join("journal.sqlite")).unwrap();
    let changed = journal.execute(
        "UPDATE state SET hash = zeroblob(32) WHERE level = (SELECT max(level) FROM state)",
        [],
    );
    assert_eq!(changed, Ok(1));
    drop(journal);
    let tower = Serving::start(&world);
    world.advance(PERIOD + 1);
    let found = Scrape::until(&tower.address, "the disagreement", |scrape| {
        scrape.most("watchtower_engine_disagreements_total") > 0.0
    });
    record.take(&found);
    record.pass(2);
    Some(record)
}

fn disk_failing() -> Option<Record> {
    let world = World::new(setup(Dialect::Modern));
    world.advance(PERIOD);
    let tower = Serving::start(&world);
    let mut record = Record::every(15);
    record.take(&at(&world, &tower, PERIOD));
    let limited = Command::new("prlimit")
        .args([
            "--fsize=1:unlimited",
            "--pid",
            &tower.child.id().to_string(),
        ])
        .status();
    assert!(limited.unwrap().success());
    world.advance(PERIOD + 2);
    let troubled = Scrape::until(&tower.address, "the trouble", |scrape| {
        scrape.most("watchtower_disk_failing") == 1.0
    });
    record.take(&troubled);
    record.pass(2);
    Some(record)
}

fn disk_low() -> Option<Record> {
    let world = World::new(setup(Dialect::Modern));
    std::fs::create_dir_all(world.data()).unwrap();
    let _mounted = mount(&world.data(), "size=64m")?;
    world.advance(PERIOD);
    let tower = Serving::start(&world);
    let mut record = Record::every(15);
    record.take(&at(&world, &tower, PERIOD));
    record.pass(2);
    Some(record)
}
