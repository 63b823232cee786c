use super::*;
use crate::journal::{LogKind, LogRow, Nature, Severity};
use crate::protocol::{Level, RollupAddress};

const ROLLUP: RollupAddress = RollupAddress([3; 20]);

fn row(kind: LogKind, level: i64, data: serde_json::Value) -> LogRow {
    LogRow {
        seq: 1,
        at: 0,
        kind,
        level: Some(level),
        rollup: None,
        data: data.as_object().unwrap().clone(),
    }
}

#[test]
fn severity_follows_slack_and_money() {
    #[track_caller]
    fn check(slack: u32, of: u32, stake: u64, expected: Severity) {
        assert_eq!(severity(slack, of, stake), expected);
    }
    check(100, 100, 0, Severity::Notice);
    check(50, 100, 0, Severity::Warning);
    check(25, 100, 0, Severity::Critical);
    check(100, 100, 1, Severity::Warning);
    check(50, 100, 1, Severity::Critical);
    check(0, 0, 0, Severity::Critical);
    check(u32::MAX, u32::MAX, u64::MAX, Severity::Warning);
}

proptest::proptest! {
    #[test]
    fn less_slack_or_more_money_is_never_quieter(
        slack in 0_u32..10_000, less in 0_u32..10_000, of in 1_u32..10_000, stake in 0_u64..2,
    ) {
        let calm = severity(slack, of, stake);
        proptest::prop_assert!(severity(slack.saturating_sub(less), of, stake) >= calm);
        proptest::prop_assert!(severity(slack, of, stake + 1) >= calm);
    }

    /// Whatever a value holds, filling it in neither panics nor reads it as a template.
    #[test]
    fn values_are_never_templates(text in "\\PC{0,80}") {
        let templates = Templates::load(None, "tower", None).unwrap();
        let mut told = told();
        told.message.clone_from(&text);
        let message = Message {
            notification: 1,
            occasion: Occasion::Raised,
            note: String::new(),
            alerts: vec![told],
        };
        let trimmed: Vec<_> = text.split_whitespace().collect();
        proptest::prop_assert!(templates.subject(&message).contains(&trimmed.join(" ")));
        proptest::prop_assert!(templates.text(&message).contains(&text));
        let html = templates.html(&message);
        let raw = "{message}";
        proptest::prop_assert!(!html.contains(raw) || text.contains(raw));
    }
}

fn told() -> Told {
    Told {
        id: 7,
        rule: "node".into(),
        severity: Severity::Warning,
        rollup: None,
        level: None,
        message: "odd".into(),
        time: 0,
        slack: None,
        stake: None,
        link: None,
    }
}

#[test]
fn every_rule_has_a_paragraph_in_the_runbook() {
    let headings: Vec<_> = headings().collect();
    for rule in RULES {
        assert!(headings.contains(rule), "no paragraph for {rule}");
        assert!(advice(rule).len() > 10, "nothing to do about {rule}");
    }
    assert_eq!(advice("something new"), advice("other"));
}

#[test]
fn every_alarm_of_the_tower_is_a_rule() {
    let source = include_str!("../tower/alarms.rs");
    let kinds = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub(super) const ")?.split('"').nth(1));
    let mut count = 0;
    for kind in kinds {
        count += 1;
        let rule = kind.replace(' ', "-");
        assert!(RULES.contains(&rule.as_str()), "{kind} has no rule {rule}");
    }
    assert!(count > 5);
}

#[test]
fn rows_become_signals_only_when_people_must_hear() {
    let alarm = row(
        LogKind::Alarm,
        9,
        serde_json::json!({"severity": "critical", "kind": "false commitment", "subject": "src1", "message": "m"}),
    );
    let signal = signal_of(&alarm).unwrap();
    assert_eq!(signal.rule, "false-commitment");
    assert_eq!(signal.nature, Nature::Event);
    assert_eq!(signal.severity, Severity::Critical);

    let shallow = row(
        LogKind::Reorganisation,
        10,
        serde_json::json!({"old_level": 12}),
    );
    assert_eq!(signal_of(&shallow), None);
    let deep = row(
        LogKind::Reorganisation,
        10,
        serde_json::json!({"old_level": 13}),
    );
    assert_eq!(signal_of(&deep).unwrap().rule, "deep-reorganisation");

    let slashed = serde_json::json!({"kind": "timeout", "detail": {"unstaked": ["tz1liar"]}});
    let signal = signal_of(&row(LogKind::Operation, 10, slashed)).unwrap();
    assert_eq!(signal.severity, Severity::Notice);
    let own = serde_json::json!({"kind": "recover_bond", "detail": {"unstaked": ["tz1me"]}});
    assert_eq!(signal_of(&row(LogKind::Operation, 10, own)), None);
    assert_eq!(
        signal_of(&row(LogKind::Block, 10, serde_json::json!({}))),
        None
    );
}

fn rollup() -> RollupStanding {
    RollupStanding {
        address: ROLLUP,
        reached: Level::new(100),
        was_caught_up: true,
        blocked: None,
        unverified: None,
        games: Vec::new(),
        brake: None,
    }
}

fn well() -> Standing {
    Standing {
        last_tick: 1_000_000_000,
        tip_seen: Some(1_000_000_000),
        tip: Some(Level::new(100)),
        head: Some(Level::new(100)),
        rollups: vec![rollup()],
        disk_free: Some(u64::MAX),
        balance: Some((5, 5)),
        ..Standing::default()
    }
}

#[track_caller]
fn wrong(standing: &Standing, expected: &[(&str, Severity)]) {
    let found = conditions(standing, 1_000_000_000);
    let found: Vec<_> = found
        .iter()
        .map(|s| (s.rule.as_str(), s.severity))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_healthy_tower_is_silent() {
    wrong(&well(), &[]);
    wrong(&Standing::default(), &[]);
}

#[test]
fn each_condition_is_seen_and_named() {
    let change = |change: &dyn Fn(&mut Standing)| {
        let mut standing = well();
        change(&mut standing);
        standing
    };
    let of_rollup = |change: &dyn Fn(&mut RollupStanding)| {
        let mut one = rollup();
        change(&mut one);
        Standing {
            rollups: vec![one],
            ..well()
        }
    };
    wrong(
        &change(&|s| s.last_tick = 1),
        &[("hung", Severity::Critical)],
    );
    wrong(
        &change(&|s| s.tip_seen = Some(1)),
        &[("stalled", Severity::Critical)],
    );
    // Far behind is what a tower is that catches up.
    let catching_up = change(&|s| {
        s.head = Some(Level::new(9000));
        s.rollups = Vec::new();
    });
    wrong(&catching_up, &[]);
    wrong(
        &change(&|s| s.head = Some(Level::new(131))),
        &[("behind", Severity::Warning)],
    );
    wrong(
        &of_rollup(&|r| r.blocked = Some("no preimage".into())),
        &[("not-judgeable", Severity::Critical)],
    );
    let unverified = |blocks| {
        of_rollup(&|r| {
            r.unverified = Some(Unverified {
                level: Level::new(90),
                blocks,
                window: 1000,
            });
        })
    };
    wrong(&unverified(900), &[]);
    wrong(
        &unverified(500),
        &[("unverified-near-cementing", Severity::Warning)],
    );
    wrong(
        &unverified(100),
        &[("unverified-near-cementing", Severity::Critical)],
    );
    let game = |slack, unplayable: Option<&str>| {
        of_rollup(&|r| {
            r.games = vec![GameStanding {
                opponent: "tz1".into(),
                level: Level::new(90),
                slack,
                clock: 100,
                stake: 10,
                unplayable: unplayable.map(str::to_owned),
            }];
        })
    };
    wrong(&game(Some(90), None), &[]);
    wrong(&game(None, None), &[]);
    wrong(&game(Some(60), None), &[("game-slack", Severity::Warning)]);
    wrong(&game(Some(10), None), &[("game-slack", Severity::Critical)]);
    wrong(
        &game(None, Some("no preimage")),
        &[("game-not-playable", Severity::Critical)],
    );
    wrong(
        &of_rollup(&|r| r.brake = Some("two answers".into())),
        &[("brake-on", Severity::Critical)],
    );
    let endpoint = |errors, is_behind, disagrees| {
        change(&|s| {
            s.endpoints = vec![EndpointStanding {
                name: "http://a".into(),
                errors,
                is_behind,
                disagrees,
            }];
        })
    };
    wrong(&endpoint(4, false, false), &[]);
    wrong(
        &endpoint(5, false, false),
        &[
            ("no-endpoint", Severity::Critical),
            ("endpoint-down", Severity::Warning),
        ],
    );
    wrong(
        &endpoint(0, true, false),
        &[("endpoint-out-of-sync", Severity::Warning)],
    );
    wrong(
        &endpoint(0, false, true),
        &[("endpoint-disagrees", Severity::Warning)],
    );
    wrong(
        &change(&|s| s.oldest_pending = Some(6)),
        &[("operation-stuck", Severity::Warning)],
    );
    wrong(
        &change(&|s| s.oldest_pending = Some(21)),
        &[("operation-stuck", Severity::Critical)],
    );
    wrong(
        &change(&|s| s.balance = Some((4, 5))),
        &[("balance-low", Severity::Warning)],
    );
    wrong(
        &change(&|s| s.clock_skew = 31_000),
        &[("clock-skew", Severity::Warning)],
    );
    wrong(&change(&|s| s.clock_skew = 29_000), &[]);
    wrong(
        &change(&|s| s.absent_folders = vec!["/nowhere".into()]),
        &[("preimages-absent", Severity::Warning)],
    );
    wrong(
        &change(&|s| s.disk_trouble = Some("full".into())),
        &[("disk-failing", Severity::Critical)],
    );
    wrong(
        &change(&|s| s.disk_free = Some(1)),
        &[("disk-low", Severity::Critical)],
    );
}

#[test]
fn templates_can_be_replaced_and_wrong_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("subject.txt"), "{severity}/{first}\n").unwrap();
    let load = || Templates::load(Some(folder.path()), "tower", None);
    let message = Message {
        notification: 1,
        occasion: Occasion::Raised,
        note: String::new(),
        alerts: vec![told(), told()],
    };
    assert_eq!(
        load().unwrap().subject(&message),
        "warning/odd (and 1 more)"
    );
    let text = load().unwrap().text(&message);
    assert!(
        !text.contains("at stake"),
        "a line without a value is left out: {text}"
    );
    std::fs::write(folder.path().join("item.txt"), "one\n{mesage}\n").unwrap();
    let error = load().unwrap_err().to_string();
    assert!(
        error.starts_with("template item.txt: line 2: {mesage} is none of id,"),
        "{error}"
    );
}

#[test]
fn a_key_is_made_once_and_kept_from_others() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let token = Tokens::kept(&path).unwrap().issue(5, 0).unwrap();
    assert_eq!(Tokens::kept(&path).unwrap().check(&token, 0), Some(5));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for broken in [
        "",
        "5",
        "5.9",
        "5.9.zz",
        "x.y.z",
        &format!("{token}.1"),
        &token[..token.len() - 2],
    ] {
        assert_eq!(
            Tokens::kept(&path).unwrap().check(broken, 0),
            None,
            "{broken}"
        );
    }
    std::fs::write(&path, "short").unwrap();
    assert!(Tokens::kept(&path).is_err());
}
