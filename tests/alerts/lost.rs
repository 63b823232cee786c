//! Ways in which an alert that is journalled could reach nobody, or late: each was one once.

use axum::http::StatusCode;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use watchtower::alert::{GameStanding, RollupStanding, Standing};
use watchtower::config::Config;
use watchtower::journal::{Journal, Severity};
use watchtower::protocol::Level;
use watchtower::serve::attend;
use watchtower::tower::Status;

use crate::api::{ROLLUP, journal_of_a_liar};
use crate::delivery::{World, alarm, occasions};

const DAY: i64 = 24 * 60;

/// One game of somebody, with so much slack.
fn game(world: &World, slack: u32) -> Standing {
    let rollup = RollupStanding {
        address: ROLLUP,
        reached: Level::new(9),
        was_caught_up: true,
        blocked: None,
        unverified: None,
        games: vec![GameStanding {
            opponent: "tz1liar".into(),
            level: Level::new(9),
            slack: Some(slack),
            clock: 100,
            stake: 0,
            unplayable: None,
        }],
        brake: None,
    };
    Standing {
        rollups: vec![rollup],
        ..world.well()
    }
}

#[tokio::test]
async fn a_worsening_that_waits_for_a_digest_outlives_a_restart() {
    let mut world = World::new().await;
    // Of a rollup that the journal knows.
    journal_of_a_liar(&world.journal(), &[]);
    let mut office = world.office();
    let quiet = game(&world, 70);
    world.settle_with(&mut office, &quiet).await;
    world.alarm(Severity::Warning, "node", "one");
    world.settle_with(&mut office, &quiet).await;
    assert_eq!(world.first.take().len(), 3, "as many as an hour holds");
    let louder = game(&world, 40);
    world.settle_with(&mut office, &louder).await;
    assert!(world.first.take().is_empty(), "it waits");
    drop(office);
    let mut office = world.office();
    for _ in 0..7 {
        world.pass(10);
        let louder = game(&world, 40);
        world.settle_with(&mut office, &louder).await;
    }
    let told = occasions(&world.first);
    let is_told = told
        .iter()
        .any(|told| told.starts_with("digest: ") && told.contains("slack"));
    assert!(is_told, "{told:?}");
}

#[tokio::test]
async fn what_was_meant_for_a_channel_that_is_gone_goes_to_the_others() {
    let mut world = World::new().await;
    world.first.answer(StatusCode::BAD_GATEWAY);
    let mut office = world.office();
    world.alarm(Severity::Warning, "node", "strange");
    world.settle(&mut office).await;
    drop(office);
    // The operator gives up the channel; the other one is for what is critical.
    world.settings.channels.remove(0);
    let mut office = world.office();
    world.settle(&mut office).await;
    let handed = world.second.take();
    let body = handed.first().expect("nobody hears of it").json();
    assert_eq!(body["occasion"], "failover");
    assert_eq!(
        body["note"],
        "Channel first is configured no longer; this was meant for it."
    );
    drop(office);
    let mut office = world.office();
    world.settle(&mut office).await;
    assert!(world.second.take().is_empty(), "once");
}

#[tokio::test]
async fn a_channel_that_was_dead_before_a_restart_is_not_well_after_it() {
    let mut world = World::new().await;
    world.first.answer(StatusCode::BAD_GATEWAY);
    let mut office = world.office();
    world.alarm(Severity::Warning, "node", "strange");
    for _ in 0..4 {
        world.settle(&mut office).await;
        world.pass(5);
    }
    assert_eq!(office.desk().unreachable().len(), 1);
    drop(office);
    let mut office = world.office();
    assert_eq!(office.desk().unreachable().len(), 1);
    world.settle(&mut office).await;
    world.pass(4);
    world.settle(&mut office).await;
    let mut cases = office.desk().cases();
    let unreachable = cases.rfind(|case| case.row.rule == "channel-unreachable");
    assert_eq!(unreachable.unwrap().over, None, "nothing arrived");
}

#[tokio::test]
async fn what_a_dead_channel_could_not_hand_over_it_hands_over_later() {
    let mut world = World::new().await;
    world.first.answer(StatusCode::BAD_GATEWAY);
    world.second.answer(StatusCode::BAD_GATEWAY);
    let mut office = world.office();
    let live = async |world: &mut World, office: &mut _, minutes| {
        for _ in 0..minutes {
            world.settle(office).await;
            world.pass(1);
        }
    };
    world.alarm(Severity::Warning, "node", "strange");
    live(&mut world, &mut office, 6).await;
    // Both are known to be dead when this one comes.
    world.alarm(Severity::Warning, "node", "stranger");
    live(&mut world, &mut office, 6).await;
    world.second.take();
    world.second.answer(StatusCode::OK);
    live(&mut world, &mut office, 40).await;
    let told = occasions(&world.second);
    assert!(
        told.iter().any(|told| told == "failover: node stranger"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_clock_that_is_set_back_holds_nothing_back() {
    let mut world = World::new().await;
    world.first.answer(StatusCode::BAD_GATEWAY);
    let mut office = world.office();
    world.alarm(Severity::Warning, "node", "one");
    for _ in 0..4 {
        world.settle(&mut office).await;
        world.pass(2);
    }
    world.first.take();
    world.first.answer(StatusCode::OK);
    world.pass(-DAY);
    world.settle(&mut office).await;
    assert_eq!(occasions(&world.first), ["raised: node one"]);
    // Nor what comes after it: an hour that has not come yet is nobody's.
    for subject in ["two", "three", "four"] {
        world.alarm(Severity::Warning, "node", subject);
        world.settle(&mut office).await;
        assert_eq!(world.first.take().len(), 1, "{subject}");
    }
    world.pass(-DAY);
    world.alarm(Severity::Warning, "node", "five");
    world.settle(&mut office).await;
    assert_eq!(occasions(&world.first), ["raised: node five"]);
}

#[tokio::test]
async fn a_clock_that_is_set_back_before_a_restart_holds_nothing_back() {
    let mut world = World::new().await;
    world.first.answer(StatusCode::BAD_GATEWAY);
    let mut office = world.office();
    world.alarm(Severity::Warning, "node", "one");
    for _ in 0..4 {
        world.settle(&mut office).await;
        world.pass(2);
    }
    drop(office);
    world.first.take();
    world.first.answer(StatusCode::OK);
    world.pass(-DAY);
    let mut office = world.office();
    world.settle(&mut office).await;
    assert_eq!(occasions(&world.first), ["raised: node one"]);
}

#[tokio::test]
async fn a_clock_that_is_set_back_puts_off_no_escalation() {
    let mut world = World::new().await;
    let mut office = world.office();
    world.alarm(Severity::Critical, "node", "one");
    world.settle(&mut office).await;
    assert_eq!(occasions(&world.first), ["raised: node one"]);
    world.pass(-DAY);
    world.settle(&mut office).await;
    world.pass(61);
    world.settle(&mut office).await;
    assert_eq!(occasions(&world.first), ["escalated: node one"]);
}

#[tokio::test]
async fn a_clock_that_is_set_right_gives_no_message_up() {
    let mut world = World::new().await;
    world.first.answer(StatusCode::BAD_GATEWAY);
    let mut office = world.office();
    world.alarm(Severity::Warning, "node", "one");
    world.settle(&mut office).await;
    world.pass(400 * DAY);
    world.settle(&mut office).await;
    world.first.take();
    world.first.answer(StatusCode::OK);
    world.pass(20);
    world.settle(&mut office).await;
    assert!(occasions(&world.first).contains(&"raised: node one".to_owned()));
}

#[tokio::test]
async fn a_message_that_waited_while_hundreds_came_still_says_what_it_is_about() {
    let world = World::new().await;
    world.first.answer(StatusCode::BAD_GATEWAY);
    let mut office = world.office();
    world.alarm(Severity::Notice, "node", "one");
    world.settle(&mut office).await;
    let journal = Journal::open(&world.journal()).unwrap();
    let subjects = (0..600).map(|nth| format!("later {nth}"));
    let many = subjects.map(|subject| alarm(Severity::Notice, "node", &subject));
    journal.write(many.collect()).unwrap();
    world.settle(&mut office).await;
    drop(office);
    world.first.take();
    world.first.answer(StatusCode::OK);
    let mut office = world.office();
    world.settle(&mut office).await;
    let told = occasions(&world.first);
    assert!(told.contains(&"raised: node one".to_owned()), "{told:?}");
}

/// The journal cannot be opened when the tower starts; a while later it can.
#[tokio::test]
async fn alerts_that_could_not_run_at_first_run_later() {
    let world = World::new().await;
    let config = Config {
        data_dir: world.folder(),
        alerts: world.settings.clone(),
        ..Config::default()
    };
    let journal = world.journal();
    std::fs::create_dir(&journal).unwrap();
    let (sender, status) = watch::channel(Status::default());
    let stop = CancellationToken::new();
    let attended = attend(&config, status, &stop).await.unwrap();
    sender.send_modify(|_| {});
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    std::fs::remove_dir(&journal).unwrap();
    let journal = Journal::open(&journal).unwrap();
    journal
        .write(vec![alarm(Severity::Critical, "node", "one")])
        .unwrap();
    let arrived = async {
        loop {
            sender.send_modify(|_| {});
            if occasions(&world.first).contains(&"raised: node one".to_owned()) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let patience = std::time::Duration::from_secs(60);
    let came = tokio::time::timeout(patience, arrived).await;
    assert!(came.is_ok(), "nobody hears of anything");
    attended.end().await;
}
