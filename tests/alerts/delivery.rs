//! From the journal to people, across restarts, dead channels and floods. Time moves when told.

use std::path::PathBuf;
use std::time::Duration;

use axum::http::StatusCode;
use watchtower::alert::Desk;
use watchtower::alert::{
    Channel, Channels, EndpointStanding, Heartbeat, Hook, Kind, Located, Office, Plan, Preset,
    RollupStanding, Service, Settings, Standing, Tokens, Unverified,
};
use watchtower::journal::{Alarm, Entry, Journal, Severity};
use watchtower::protocol::Level;

use crate::api::{ROLLUP, STAKER, journal_of_a_liar};
use crate::receiver::Receiver;
use crate::secret;

const START: i64 = 1_700_000_000_000;
const MINUTE: i64 = 60_000;

pub(crate) fn alarm(severity: Severity, kind: &'static str, subject: &str) -> Entry {
    Entry::Alarm(Alarm {
        rollup: None,
        level: None,
        severity,
        kind,
        subject: subject.into(),
        message: format!("{kind} {subject}"),
    })
}

/// A tower's data directory, two channels, and a clock that moves when told.
pub(crate) struct World {
    folder: tempfile::TempDir,
    pub(crate) first: Receiver,
    pub(crate) second: Receiver,
    pub(crate) settings: Settings,
    now: i64,
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (Receiver::start().await, Receiver::start().await);
        let channel = |name: &str, receiver: &Receiver, least, from_escalation| Channel {
            name: name.into(),
            kind: Kind::Hook(Hook {
                preset: Preset::Webhook,
                url: Some(Located::Here(receiver.url.clone())),
                secret_file: Some(secret(folder.path(), "secret", "key")),
                chat: None,
            }),
            least,
            from_escalation,
        };
        let settings = Settings {
            name: "tower-1".into(),
            channels: vec![
                channel("first", &first, Severity::Notice, 0),
                channel("second", &second, Severity::Critical, 1),
            ],
            public_url: Some("https://tower.example".into()),
            test_every: None,
            per_hour: 3,
            ..Settings::default()
        };
        Self {
            folder,
            first,
            second,
            settings,
            now: START,
        }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.path().join(Journal::FILE)
    }

    pub(crate) fn office(&self) -> Office {
        Office::open(
            &self.journal(),
            &self.settings,
            &Tokens::new([7; 32]),
            self.now,
        )
        .unwrap()
    }

    pub(crate) fn alarm(&self, severity: Severity, kind: &'static str, subject: &str) {
        let journal = Journal::open(&self.journal()).unwrap();
        journal.write(vec![alarm(severity, kind, subject)]).unwrap();
    }

    /// Turns until nothing is due at this moment.
    pub(crate) async fn settle(&self, office: &mut Office) {
        self.settle_with(office, &self.well()).await;
    }

    pub(crate) async fn settle_with(&self, office: &mut Office, standing: &Standing) {
        let channels = Channels::open(&self.settings).unwrap();
        loop {
            let jobs = office.turn(Some(standing), self.now).unwrap();
            if jobs.is_empty() {
                return;
            }
            for job in jobs {
                let outcome = channels.deliver(&job.channel, &job.message).await;
                let outcome = outcome.map(|_| ()).map_err(|problem| problem.0);
                office
                    .report(job.message.notification, outcome, self.now)
                    .unwrap();
            }
        }
    }

    /// Nothing is wrong.
    pub(crate) fn well(&self) -> Standing {
        Standing {
            last_tick: self.now,
            tip_seen: Some(self.now),
            ..Standing::default()
        }
    }

    pub(crate) fn pass(&mut self, minutes: i64) {
        self.now += minutes * MINUTE;
    }
}

pub(crate) fn occasions(receiver: &Receiver) -> Vec<String> {
    let each = receiver.take();
    each.iter()
        .map(|received| {
            let body = received.json();
            let alerts = body["alerts"].as_array().unwrap();
            let names = alerts
                .iter()
                .map(|alert| alert["message"].as_str().unwrap());
            let names: Vec<_> = names.collect();
            format!(
                "{}: {}",
                body["occasion"].as_str().unwrap(),
                names.join(" + ")
            )
        })
        .collect()
}

#[tokio::test]
async fn an_alert_is_told_once_and_escalates_until_somebody_answers() {
    let mut world = World::new().await;
    let mut office = world.office();
    world.alarm(Severity::Critical, "false commitment", "src1a");
    world.settle(&mut office).await;
    assert_eq!(occasions(&world.first), ["raised: false commitment src1a"]);
    assert!(
        occasions(&world.second).is_empty(),
        "only when it escalates"
    );

    world.pass(14);
    world.settle(&mut office).await;
    assert!(occasions(&world.first).is_empty(), "too early");
    for pause in [1, 30, 60, 60] {
        world.pass(pause);
        world.settle(&mut office).await;
        for receiver in [&world.first, &world.second] {
            assert_eq!(
                occasions(receiver),
                ["escalated: false commitment src1a"],
                "{pause}"
            );
        }
    }

    // Answered through the journal, as `watchtower alerts ack` does beside the running tower.
    let journal = Journal::open(&world.journal()).unwrap();
    let plan = Plan::from(&world.settings);
    let mut desk = Desk::from_journal(&journal.reader().unwrap(), plan, world.now).unwrap();
    let mut entries = Vec::new();
    assert!(desk.acknowledge(1, "ann", world.now, &mut entries));
    journal.write(entries).unwrap();
    for _ in 0..5 {
        world.pass(60);
        world.settle(&mut office).await;
    }
    assert!(occasions(&world.first).is_empty());
    let case = office.desk().case(1).unwrap();
    assert_eq!(case.acknowledged.as_deref(), Some("ann"));
    // And it stays so over a restart.
    assert_eq!(world.office().desk().case(1).unwrap(), case);
}

/// Somebody took care of a warning; what came of it is told as if nobody had, after a restart too.
#[tokio::test]
async fn an_answer_does_not_hold_for_what_became_worse_since() {
    let mut world = World::new().await;
    let mut office = world.office();
    let near = |world: &World, blocks| Standing {
        rollups: vec![RollupStanding {
            address: ROLLUP,
            reached: Level::new(9),
            was_caught_up: true,
            blocked: None,
            unverified: Some(Unverified {
                level: Level::new(8),
                blocks,
                window: 100,
            }),
            games: Vec::new(),
            brake: None,
        }],
        ..world.well()
    };
    world.settle_with(&mut office, &near(&world, 40)).await;
    let raised = occasions(&world.first);
    assert_eq!(raised.len(), 1, "{raised:?}");
    assert!(office.acknowledge(1, "ann", world.now).unwrap());
    world.settle_with(&mut office, &near(&world, 10)).await;
    let worse = occasions(&world.first);
    assert!(
        matches!(&*worse, [one] if one.starts_with("worsened: ")),
        "{worse:?}"
    );
    drop(office);
    let mut office = world.office();
    world.pass(16);
    world.settle_with(&mut office, &near(&world, 10)).await;
    let again = occasions(&world.second);
    assert!(
        matches!(&*again, [one] if one.starts_with("escalated: ")),
        "{again:?}"
    );
}

/// A tower that starts does not know the head yet.
#[tokio::test]
async fn what_happened_just_before_the_end_is_news_after_the_restart() {
    let world = World::new().await;
    let mut office = world.office();
    journal_of_a_liar(&world.journal(), &[STAKER]);
    world.settle(&mut office).await;
    let told = occasions(&world.first);
    assert!(
        told.iter().any(|told| told.contains(STAKER)),
        "nobody heard of the bond: {told:?}"
    );
}

#[tokio::test]
async fn a_restart_loses_nothing_and_repeats_nothing_that_arrived() {
    let mut world = World::new().await;
    world.first.answer(StatusCode::BAD_GATEWAY);
    let mut office = world.office();
    world.alarm(Severity::Warning, "node", "strange");
    world.settle(&mut office).await;
    assert_eq!(occasions(&world.first).len(), 1, "it was tried");
    drop(office);

    world.first.answer(StatusCode::OK);
    let mut office = world.office();
    world.settle(&mut office).await;
    assert_eq!(occasions(&world.first), ["raised: node strange"]);
    for _ in 0..3 {
        drop(office);
        world.pass(5);
        office = world.office();
        world.settle(&mut office).await;
        assert!(occasions(&world.first).is_empty(), "it had arrived");
    }
    // An alarm that nobody looked at before the restart is looked at after it.
    drop(office);
    world.alarm(Severity::Warning, "node", "stranger");
    office = world.office();
    world.settle(&mut office).await;
    assert_eq!(occasions(&world.first), ["raised: node stranger"]);
}

#[tokio::test]
async fn a_dead_channel_hands_over_to_the_others_and_they_say_so() {
    let mut world = World::new().await;
    world.first.answer(StatusCode::INTERNAL_SERVER_ERROR);
    let mut office = world.office();
    world.alarm(Severity::Warning, "node", "strange");
    world.settle(&mut office).await;
    assert!(
        occasions(&world.second).is_empty(),
        "one failure is no news"
    );
    world.pass(1);
    world.settle(&mut office).await;
    let handed = world.second.take();
    let body = handed.first().unwrap().json();
    assert_eq!(body["occasion"], "failover");
    assert_eq!(
        body["note"],
        "Channel first cannot be reached (the server answered 500 Internal Server Error); this was meant for it."
    );
    assert_eq!(body["alerts"][0]["message"], "node strange");
    let open = || {
        office
            .desk()
            .cases()
            .filter(|case| case.over.is_none())
            .collect::<Vec<_>>()
    };
    assert!(
        open()
            .iter()
            .any(|case| case.row.rule == "channel-unreachable")
    );

    // It comes back: what was meant for it arrives after all, and the condition ends.
    world.first.take();
    world.first.answer(StatusCode::OK);
    for _ in 0..4 {
        world.pass(2);
        world.settle(&mut office).await;
    }
    assert!(occasions(&world.first).contains(&"raised: node strange".to_owned()));
    assert!(
        office
            .desk()
            .cases()
            .all(|case| { case.row.rule != "channel-unreachable" || case.over.is_some() })
    );
    assert!(office.desk().waiting().is_empty());
}

#[tokio::test]
async fn a_flood_ends_in_one_digest_that_leaves_nobody_out() {
    let mut world = World::new().await;
    let mut office = world.office();
    for number in 0..10 {
        world.alarm(Severity::Warning, "node", &format!("n{number}"));
    }
    world.settle(&mut office).await;
    assert_eq!(
        occasions(&world.first).len(),
        3,
        "as many as an hour may have"
    );
    // Held ones survive a restart.
    office = world.office();
    world.pass(59);
    world.settle(&mut office).await;
    assert!(occasions(&world.first).is_empty());
    world.pass(2);
    world.settle(&mut office).await;
    let told = occasions(&world.first);
    assert_eq!(told.len(), 1, "{told:?}");
    for number in 3..10 {
        assert!(told[0].contains(&format!("node n{number}")), "{told:?}");
    }
    world.pass(120);
    world.settle(&mut office).await;
    assert!(occasions(&world.first).is_empty());
}

#[tokio::test]
async fn a_condition_is_one_alert_however_it_flickers_and_ends_quietly() {
    let mut world = World::new().await;
    let mut office = world.office();
    let down = |world: &World| Standing {
        endpoints: vec![
            EndpointStanding {
                name: "http://a".into(),
                errors: 9,
                is_behind: false,
                disagrees: false,
            },
            EndpointStanding {
                name: "http://b".into(),
                errors: 0,
                is_behind: false,
                disagrees: false,
            },
        ],
        ..world.well()
    };
    for _ in 0..5 {
        world.settle_with(&mut office, &down(&world)).await;
        world.pass(1);
        world.settle(&mut office).await;
        world.pass(1);
    }
    assert_eq!(
        occasions(&world.first),
        ["raised: http://a failed 9 times in a row"]
    );
    for _ in 0..3 {
        world.pass(2);
        world.settle(&mut office).await;
    }
    let told = world.first.take();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].json()["occasion"], "recovered");
    assert_eq!(told[0].json()["severity"], "notice", "quiet");
}

#[tokio::test]
async fn the_heart_beats_once_the_loop_turns_and_a_beat_that_is_lost_is_counted() {
    let mut world = World::new().await;
    let url = Receiver::start().await;
    world.settings.heartbeat = Some(Heartbeat {
        url: Located::Here(url.url.clone()),
        every: Duration::from_millis(1),
    });
    let channels = Channels::open(&world.settings).unwrap();
    let tokens = Tokens::new([7; 32]);
    let service =
        Service::start(&world.journal(), &world.settings, &tokens, channels.into()).unwrap();
    let handle = service.handle();
    handle.pulse();
    assert_eq!(
        handle.figures().heartbeat,
        None,
        "the loop has not turned yet"
    );
    assert!(url.take().is_empty());
    let now = jiff::Timestamp::now().as_millisecond();
    handle.standing(Standing {
        last_tick: now,
        tip_seen: Some(now),
        ..Standing::default()
    });
    while handle.figures().heartbeat.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!url.take().is_empty());
    url.answer(StatusCode::INTERNAL_SERVER_ERROR);
    while handle.figures().heartbeat_failures == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::task::spawn_blocking(|| service.stop())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_test_proves_every_channel_on_schedule() {
    let mut world = World::new().await;
    world.settings.test_every = Some(Duration::from_secs(24 * 3600));
    let mut office = world.office();
    world.pass(24 * 60 - 1);
    world.settle(&mut office).await;
    assert!(occasions(&world.first).is_empty());
    world.pass(1);
    world.settle(&mut office).await;
    for receiver in [&world.first, &world.second] {
        let told = occasions(receiver);
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("test: "), "{told:?}");
    }
    let counts = Journal::open(&world.journal()).unwrap().reader().unwrap();
    let counts = counts.deliveries().unwrap();
    for channel in ["first", "second"] {
        assert_eq!(counts[channel].last_test, Some(world.now));
    }
    // The next one a day later, restart or not.
    office = world.office();
    world.pass(23 * 60);
    world.settle(&mut office).await;
    assert!(occasions(&world.first).is_empty());
    world.pass(60);
    world.settle(&mut office).await;
    assert_eq!(occasions(&world.first).len(), 1);
}

#[tokio::test]
async fn a_tower_that_is_restarted_every_hour_sends_its_first_test_a_day_after_its_first_start() {
    let mut world = World::new().await;
    world.settings.test_every = Some(Duration::from_secs(24 * 3600));
    let journal = Journal::open(&world.journal()).unwrap();
    let started = || Entry::RunStarted {
        version: "1".into(),
        command: "follow".into(),
    };
    journal.write(vec![started()]).unwrap();
    world.now = journal.reader().unwrap().first_run().unwrap().unwrap();
    for hour in 0..24 {
        let mut office = world.office();
        world.settle(&mut office).await;
        assert!(occasions(&world.first).is_empty(), "after {hour} hours");
        journal.write(vec![started()]).unwrap();
        world.pass(60);
    }
    let mut office = world.office();
    world.settle(&mut office).await;
    assert_eq!(occasions(&world.first).len(), 1);
    // Once, however many alerts the desk has forgotten since.
    let troubles = (0..600).map(|nth| alarm(Severity::Notice, "node", &format!("trouble {nth}")));
    journal.write(troubles.collect()).unwrap();
    world.settle(&mut office).await;
    world.first.take();
    world.pass(60);
    let mut office = world.office();
    world.settle(&mut office).await;
    let again = occasions(&world.first);
    assert!(
        !again.iter().any(|told| told.starts_with("test")),
        "{again:?}"
    );
    // A clock that was a year ahead for a while does not put it off.
    world.now -= 400 * 24 * 60 * MINUTE;
    let mut office = world.office();
    world.settle(&mut office).await;
    world.pass(24 * 60);
    world.settle(&mut office).await;
    let told = occasions(&world.first);
    assert!(told.iter().any(|told| told.starts_with("test")), "{told:?}");
}

#[tokio::test]
async fn messages_carry_a_link_that_acknowledges_that_alert_only() {
    let world = World::new().await;
    let mut office = world.office();
    world.alarm(Severity::Critical, "false commitment", "src1a");
    world.settle(&mut office).await;
    let told = world.first.take();
    let link = told[0].json()["alerts"][0]["acknowledge"]
        .as_str()
        .unwrap()
        .to_owned();
    let token = link.strip_prefix("https://tower.example/ack/").unwrap();
    let tokens = Tokens::new([7; 32]);
    assert_eq!(tokens.check(token, world.now), Some(1));
    assert_eq!(
        tokens.check(token, world.now + 15 * 24 * 60 * MINUTE),
        None,
        "too old"
    );
    assert_eq!(
        Tokens::new([8; 32]).check(token, world.now),
        None,
        "another tower's"
    );
    let other = format!("2{}", &token[1..]);
    assert_eq!(tokens.check(&other, world.now), None, "another alert");
}
