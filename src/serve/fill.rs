//! From the picture to the series: pure, all at once, at every scrape.

use std::collections::BTreeMap;

use super::metrics as m;
use super::view::View;
use crate::alert::Pulse;
use crate::game::OBSTACLES;
use crate::journal::{ChannelCount, Severity};

/// Everything that metrics are made of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// How the tower stands.
    pub view: View,
    /// How alerts stand.
    pub alerts: Pulse,
    /// Deliveries by channel.
    pub deliveries: BTreeMap<String, ChannelCount>,
    /// Alarms of engine disagreement.
    pub disagreements: u64,
    /// Now, in milliseconds since 1970.
    pub now: i64,
}

#[allow(clippy::cast_precision_loss)] // levels, bytes and counts are far below 2^53
fn number(value: impl TryInto<i64>) -> f64 {
    value.try_into().map_or(f64::INFINITY, |value| value as f64)
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

/// Decimal text as a number; nothing is 0.
fn mutez(text: &str) -> f64 {
    text.parse().unwrap_or(0.0)
}

fn seconds(millis: i64) -> f64 {
    number(millis) / 1000.0
}

/// Sets every series.
pub fn fill(metrics: &m::Metrics, figures: &Figures) {
    let view = &figures.view;
    liveness(metrics, figures);
    for rollup in &view.rollups {
        of_rollup(metrics, view, rollup, figures.now);
        games(metrics, view, &rollup.address);
    }
    for source in &view.sources {
        let labels = &[source.name.as_str()];
        metrics.set(&m::ANSWERS, labels, number(source.answers));
        metrics.set(&m::ERRORS, labels, number(source.errors));
        metrics.set(&m::ERRORS_IN_A_ROW, labels, number(source.errors_in_a_row));
        metrics.set(&m::OUT_OF_SYNC, labels, flag(source.out_of_sync));
        metrics.set(&m::SOURCE_DISAGREES, labels, flag(source.disagrees));
        metrics.set(
            &m::SOURCE_DISAGREEMENTS,
            labels,
            number(source.disagreements),
        );
    }
    play(metrics, view);
    operations(metrics, view);
    machines(metrics, view);
    alerts(metrics, figures);
}

fn liveness(metrics: &m::Metrics, figures: &Figures) {
    let view = &figures.view;
    let level = |level: Option<i32>| number(level.unwrap_or(0));
    metrics.set(&m::BUILD, &[env!("CARGO_PKG_VERSION")], 1.0);
    metrics.set(&m::HEAD, &[], level(view.head_level));
    metrics.set(&m::SEEN, &[], level(view.seen_level));
    metrics.set(&m::TICK, &[], seconds(view.tick_at));
    metrics.set(&m::SKEW, &[], seconds(view.clock_skew()));
    metrics.set(&m::TIP_TIME, &[], number(view.seen_time.unwrap_or(0)));
    metrics.set(&m::WINDOW, &[], number(view.challenge_window.unwrap_or(0)));
    metrics.set(&m::PERIOD, &[], number(view.commitment_period.unwrap_or(0)));
    let heartbeat = figures.alerts.heartbeat.unwrap_or(0);
    metrics.set(&m::HEARTBEAT, &[], seconds(heartbeat));
    let failures = number(figures.alerts.heartbeat_failures);
    metrics.set(&m::HEARTBEAT_FAILURES, &[], failures);
    metrics.set(&m::DISAGREEMENTS, &[], number(figures.disagreements));
    let free = view.disk_free.map_or(f64::NAN, number);
    metrics.set(&m::DISK_FREE, &[], free);
    metrics.set(&m::DISK_FAILING, &[], flag(view.disk_trouble.is_some()));
}

fn of_rollup(metrics: &m::Metrics, view: &View, rollup: &super::RollupView, now: i64) {
    let name = rollup.address.as_str();
    let labels = &[name];
    metrics.set(&m::REACHED, labels, number(rollup.reached_level));
    for (verdict, count) in [
        ("true", rollup.judged_true),
        ("false", rollup.judged_false),
        ("not_judgeable", rollup.not_judgeable),
    ] {
        metrics.set(&m::VERDICTS, &[name, verdict], number(count));
    }
    metrics.set(&m::UNVERIFIED, labels, number(rollup.unverified));
    let oldest = rollup.unverified_level.unwrap_or(0);
    metrics.set(&m::OLDEST_UNVERIFIED, labels, number(oldest));
    let left = rollup.cementable_in.map_or(f64::INFINITY, number);
    metrics.set(&m::CEMENTABLE, labels, left);
    metrics.set(&m::BLOCKED, labels, flag(rollup.blocked.is_some()));
    metrics.set(&m::RUN_LEVELS, labels, number(rollup.run_levels));
    metrics.set(&m::RUN_SECONDS, labels, rollup.run_seconds);
    metrics.set(&m::STORE, labels, number(rollup.store_bytes));
    let is_there = view.seen_level == Some(rollup.reached_level);
    if let Some(time) = view.seen_time {
        let known = if is_there { view.tick_at } else { now };
        let latency = known.saturating_sub(time.saturating_mul(1000)).max(0);
        metrics.set(&m::STATE_LATENCY, labels, seconds(latency));
    }
}

fn games(metrics: &m::Metrics, view: &View, rollup: &str) {
    let games = || view.play.games.iter().filter(|game| game.rollup == rollup);
    let count = |wanted: &dyn Fn(&super::GameView) -> bool| {
        number(i64::try_from(games().filter(|game| wanted(game)).count()).unwrap_or(i64::MAX))
    };
    let least =
        |read: fn(&super::GameView) -> i64| games().map(read).min().map_or(f64::INFINITY, number);
    for turn in ["ours", "theirs"] {
        metrics.set(&m::GAMES, &[rollup, turn], count(&|game| game.turn == turn));
    }
    for forecast in ["ours", "theirs", "draw", "unknown"] {
        let games = count(&|game| game.forecast == forecast);
        metrics.set(&m::GAME_FORECAST, &[rollup, forecast], games);
    }
    metrics.set(&m::GAME_SLACK, &[rollup], least(|game| game.slack));
    metrics.set(&m::GAME_OUR_CLOCK, &[rollup], least(|game| game.our_blocks));
    metrics.set(
        &m::GAME_THEIR_CLOCK,
        &[rollup],
        least(|game| game.their_blocks),
    );
    for obstacle in OBSTACLES {
        let stuck = count(&|game| game.obstacle == Some(obstacle));
        metrics.set(&m::GAME_UNPLAYABLE, &[rollup, obstacle], stuck);
    }
    let bonded = view.play.bonded.iter().any(|name| name == rollup);
    metrics.set(&m::BONDED, &[rollup], flag(bonded));
    let purse = view.play.purses.iter().find(|purse| purse.rollup == rollup);
    metrics.set(
        &m::STAKED,
        &[rollup],
        purse.map_or(0.0, |p| mutez(&p.staked)),
    );
    let free = purse.map_or(0.0, |purse| mutez(&purse.recoverable));
    metrics.set(&m::RECOVERABLE, &[rollup], free);
}

fn operations(metrics: &m::Metrics, view: &View) {
    let operations = &view.operations;
    for (state, count) in [
        ("pending", operations.pending),
        ("included", operations.included),
        ("final", operations.last),
        ("dropped", operations.dropped),
    ] {
        metrics.set(&m::OPERATIONS, &[state], number(count));
    }
    let oldest = operations.oldest_pending_blocks.unwrap_or(0);
    metrics.set(&m::OLDEST_PENDING, &[], number(oldest));
    metrics.set(&m::REPLACED, &[], number(operations.replaced));
    for (reason, count) in &operations.rejected {
        metrics.set(&m::REJECTED, &[reason], number(*count));
    }
    metrics.set(&m::FEES, &[], mutez(&operations.fees));
}

fn machines(metrics: &m::Metrics, view: &View) {
    let play = &view.play;
    metrics.set(&m::LADDER_HITS, &[], number(play.hashes_known));
    metrics.set(&m::LADDER_MISSES, &[], number(play.hashes_computed));
    metrics.set(&m::PROOFS, &[], number(play.proofs));
    metrics.set(&m::PROOF_SECONDS, &[], play.proof_seconds);
    metrics.set(&m::PROOF_BYTES, &[], number(play.proof_bytes));
    metrics.set(&m::JOURNAL, &[], number(view.journal_bytes));
}

fn play(metrics: &m::Metrics, view: &View) {
    let play = &view.play;
    for mode in ["observe", "shadow", "defend", "operate", "bailout"] {
        metrics.set(&m::MODE, &[mode], flag(play.mode == mode));
    }
    for (outcome, count) in [
        ("won", play.won),
        ("lost", play.lost),
        ("drawn", play.drawn),
    ] {
        metrics.set(&m::GAMES_ENDED, &[outcome], number(count));
    }
    let holds = i64::try_from(play.holds.len()).unwrap_or(i64::MAX);
    metrics.set(&m::BRAKE, &[], number(holds));
    metrics.set(&m::WANTED, &[], number(play.wanted));
    metrics.set(&m::WORKING, &[], number(play.working));
    let balance = play.balance.as_deref().map_or(f64::NAN, mutez);
    metrics.set(&m::BALANCE, &[], balance);
    let needed = play.needed.as_deref().map_or(0.0, mutez);
    metrics.set(&m::NEEDED, &[], needed);
    metrics.set(&m::WON, &[], mutez(&play.won_mutez));
    metrics.set(&m::LOST, &[], mutez(&play.lost_mutez));
    metrics.set(&m::REFUSALS, &["gate"], number(play.refused_by_gate));
    metrics.set(&m::REFUSALS, &["key"], number(play.refused_by_key));
    let clocks = play.games.iter().map(|game| game.clock_blocks);
    if let Some(clock) = clocks.max() {
        metrics.set(&m::GAME_CLOCK, &[], number(clock));
    }
}

fn alerts(metrics: &m::Metrics, figures: &Figures) {
    for severity in [Severity::Notice, Severity::Warning, Severity::Critical] {
        let labels = &[severity.word()];
        let count =
            |counts: &BTreeMap<Severity, u64>| number(counts.get(&severity).copied().unwrap_or(0));
        metrics.set(&m::ALERTS_OPEN, labels, count(&figures.alerts.open));
        let unanswered = count(&figures.alerts.unacknowledged);
        metrics.set(&m::ALERTS_UNANSWERED, labels, unanswered);
    }
    for (channel, count) in &figures.deliveries {
        let labels = &[channel.as_str()];
        metrics.set(&m::DELIVERED, labels, number(count.delivered));
        metrics.set(&m::FAILED, labels, number(count.failed));
        metrics.set(&m::LAST_TEST, labels, seconds(count.last_test.unwrap_or(0)));
        let waiting = figures.alerts.waiting.get(channel).copied();
        metrics.set(&m::WAITING, labels, number(waiting.unwrap_or(0)));
    }
}
