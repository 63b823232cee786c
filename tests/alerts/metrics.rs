//! Every name is in one registry: rules, board and reference page are held to it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use watchtower::alert::headings;
use watchtower::serve::{
    Figures, GameView, Metrics, OperationsView, PROCESS, PlayView, PurseView, View, Watched, fill,
    meters, reference,
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn watched() -> Watched {
    Watched {
        rollups: vec!["sr1a".into(), "sr1b".into()],
        endpoints: vec!["http://a".into()],
        channels: vec!["mail".into()],
    }
}

/// Words of a query that can only be names of series.
fn names(query: &str) -> BTreeSet<String> {
    query
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .filter(|word| word.starts_with("watchtower") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

#[track_caller]
fn known(queries: &[String], recorded: &[String], place: &str) {
    for query in queries {
        let found = names(query);
        assert!(
            !found.is_empty(),
            "{place}: {query} asks for no series of ours"
        );
        for name in found {
            let is_known = meters().iter().any(|meter| meter.name == name)
                || PROCESS.contains(&name.as_str())
                || recorded.contains(&name);
            assert!(is_known, "{place}: {name} is not in the registry");
        }
    }
}

fn field(text: &str, key: &str) -> Vec<String> {
    let prefix = format!("{key}: ");
    text.lines()
        .filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix(&prefix))
        .map(|value| value.trim_matches('\'').replace("''", "'"))
        .collect()
}

#[test]
fn the_reference_page_is_generated() {
    let path = root().join("contrib/metrics.md");
    if std::env::var_os("WATCHTOWER_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, reference()).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == reference(),
        "contrib/metrics.md is out of date: run this test with WATCHTOWER_WRITE_REFERENCE=1"
    );
}

#[test]
fn every_series_is_there_from_the_start_and_stays_the_same_set() {
    let metrics = Metrics::new(&watched()).unwrap();
    let series = |text: &str| -> BTreeSet<String> {
        text.lines()
            .filter(|line| line.starts_with("watchtower"))
            .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
            .collect()
    };
    let before = series(&metrics.text());
    for meter in meters() {
        assert!(
            before
                .iter()
                .any(|one| one.split('{').next() == Some(meter.name)),
            "{} has no series at the start",
            meter.name
        );
    }
    fill(
        &metrics,
        &Figures {
            view: view(),
            ..Figures::default()
        },
    );
    assert_eq!(
        series(&metrics.text()),
        before,
        "filling makes no new series"
    );
}

#[test]
fn names_carry_units_and_help() {
    let mut seen = BTreeSet::new();
    for meter in meters() {
        assert!(seen.insert(meter.name), "{} is there twice", meter.name);
        let is_counter = meter.kind == watchtower::serve::MeterKind::Counter;
        assert_eq!(is_counter, meter.name.ends_with("_total"), "{}", meter.name);
        assert!(meter.help.ends_with('.'), "{}", meter.name);
        assert!(meter.labels.len() <= 2, "{}", meter.name);
    }
}

fn view() -> View {
    View {
        tick_at: 5_000,
        seen_level: Some(90),
        seen_time: Some(4),
        seen_at: Some(3_500),
        head_level: Some(91),
        challenge_window: Some(1000),
        commitment_period: Some(60),
        rollups: vec![watchtower::serve::RollupView {
            address: "sr1a".into(),
            origination_level: 1,
            reached_level: 90,
            caught_up: true,
            judged_true: 3,
            judged_false: 2,
            not_judgeable: 1,
            blocked: Some("no preimage".into()),
            unverified: 1,
            unverified_level: Some(60),
            cementable_in: Some(17),
            run_levels: 90,
            run_seconds: 1.5,
            store_bytes: 4096,
        }],
        disk_free: Some(7),
        journal_bytes: 11,
        operations: OperationsView {
            pending: 2,
            oldest_pending_blocks: Some(9),
            replaced: 1,
            rejected: BTreeMap::from([("stop".into(), 3)]),
            fees: "1500".into(),
            ..OperationsView::default()
        },
        play: PlayView {
            mode: "defend".into(),
            balance: Some("70".into()),
            needed: Some("80".into()),
            won_mutez: "5000".into(),
            refused_by_gate: 4,
            hashes_known: 30,
            hashes_computed: 10,
            proofs: 2,
            proof_seconds: 1.5,
            proof_bytes: 600,
            purses: vec![PurseView {
                rollup: "sr1a".into(),
                staked: "10000".into(),
                recoverable: "0".into(),
            }],
            games: vec![game()],
            ..PlayView::default()
        },
        ..View::default()
    }
}

fn game() -> GameView {
    GameView {
        rollup: "sr1a".into(),
        opponent: "tz1".into(),
        level: 60,
        start_level: 70,
        turn: "ours",
        stage: "dissecting",
        width: "32".into(),
        our_blocks: 90,
        their_blocks: 100,
        slack: 80,
        forecast: "unknown".into(),
        clock_blocks: 100,
        stake: "10000".into(),
        obstacle: Some("reveal"),
        not_playable: Some("no preimage".into()),
    }
}

#[test]
fn what_is_seen_is_what_is_counted() {
    let metrics = Metrics::new(&watched()).unwrap();
    fill(
        &metrics,
        &Figures {
            view: view(),
            ..Figures::default()
        },
    );
    let text = metrics.text();
    for expected in [
        "watchtower_seen_level 90",
        "watchtower_head_level 91",
        "watchtower_last_tick_timestamp_seconds 5",
        "watchtower_verdicts{rollup=\"sr1a\",verdict=\"false\"} 2",
        "watchtower_blocked{rollup=\"sr1a\"} 1",
        "watchtower_blocked{rollup=\"sr1b\"} 0",
        "watchtower_unverified_cementable_blocks{rollup=\"sr1a\"} 17",
        "watchtower_oldest_unverified_level{rollup=\"sr1a\"} 60",
        "watchtower_run_seconds_total{rollup=\"sr1a\"} 1.5",
        "watchtower_state_latency_seconds{rollup=\"sr1a\"} 1",
        "watchtower_game_least_slack_blocks{rollup=\"sr1a\"} 80",
        "watchtower_game_least_slack_blocks{rollup=\"sr1b\"} inf",
        "watchtower_game_clock_blocks 100",
        "watchtower_games_not_playable{reason=\"reveal\",rollup=\"sr1a\"} 1",
        "watchtower_games_not_playable{reason=\"machine\",rollup=\"sr1a\"} 0",
        "watchtower_balance_mutez 70",
        "watchtower_needed_mutez 80",
        "watchtower_staked_mutez{rollup=\"sr1a\"} 10000",
        "watchtower_staked_mutez{rollup=\"sr1b\"} 0",
        "watchtower_recoverable_mutez{rollup=\"sr1a\"} 0",
        "watchtower_won_mutez_total 5000",
        "watchtower_lost_mutez_total 0",
        "watchtower_fees_mutez_total 1500",
        "watchtower_operations{state=\"pending\"} 2",
        "watchtower_oldest_pending_blocks 9",
        "watchtower_operations_replaced_total 1",
        "watchtower_operations_rejected_total{reason=\"stop\"} 3",
        "watchtower_operations_rejected_total{reason=\"mempool\"} 0",
        "watchtower_signature_refusals_total{by=\"gate\"} 4",
        "watchtower_ladder_hits_total 30",
        "watchtower_ladder_misses_total 10",
        "watchtower_proofs_total 2",
        "watchtower_proof_seconds_total 1.5",
        "watchtower_proof_bytes_total 600",
        "watchtower_journal_bytes 11",
        "watchtower_clock_skew_seconds 0.5",
        "watchtower_mode{mode=\"defend\"} 1",
        "watchtower_mode{mode=\"observe\"} 0",
        "watchtower_disk_free_bytes 7",
    ] {
        assert!(
            text.lines().any(|line| line == expected),
            "{expected} is not in\n{text}"
        );
    }
}

#[test]
fn rules_ask_only_for_series_that_exist_and_name_their_paragraph() {
    let rules = read("alerts/prometheus/watchtower.yml");
    let recorded = field(&rules, "record");
    known(
        &field(&rules, "expr")
            .into_iter()
            .filter(|e| e != ">-")
            .collect::<Vec<_>>(),
        &recorded,
        "rules",
    );
    let alerts = field(&rules, "alert");
    let runbooks = field(&rules, "runbook");
    assert_eq!(alerts.len(), runbooks.len());
    let headings: Vec<_> = headings().collect();
    for runbook in runbooks {
        let heading = runbook.strip_prefix("alerts/runbook.md#").unwrap();
        assert!(headings.contains(&heading), "no paragraph for {heading}");
    }
    // Each rule has a scenario in which it fires, and is silent in an honest run.
    let tests = read("alerts/prometheus/tests.yml");
    for alert in alerts {
        let fires = format!("- alertname: {alert}\n");
        let silent = format!("{{alertname: {alert}, eval_time: 20m, exp_alerts: []}}");
        assert!(tests.contains(&fires), "{alert} fires in no scenario");
        assert!(tests.contains(&silent), "{alert} is not held to silence");
    }
    known(&field(&tests, "series"), &recorded, "tests of the rules");
}

#[test]
fn rules_pass_their_unit_tests_where_promtool_is_installed() {
    let Ok(output) = Command::new("promtool")
        .args(["test", "rules"])
        .arg(root().join("alerts/prometheus/tests.yml"))
        .output()
    else {
        println!("promtool is not installed: .ci/run installs it and runs these");
        return;
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn the_board_asks_only_for_series_that_exist() {
    let board: serde_json::Value =
        serde_json::from_str(&read("contrib/grafana/watchtower.json")).unwrap();
    let rules = read("alerts/prometheus/watchtower.yml");
    let panels = board["panels"].as_array().unwrap();
    let queries: Vec<String> = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten()
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect();
    assert!(queries.len() > 20);
    known(&queries, &field(&rules, "record"), "board");
    let folder: PathBuf = root().join("contrib/grafana");
    assert_eq!(
        std::fs::read_dir(folder).unwrap().count(),
        1,
        "only this board"
    );
}
