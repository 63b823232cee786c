//! Every series of the tower: name, unit, labels, meaning. The only place where one is named.
//!
//! Promises: all series are there from the start, so that "absent" never means "fine"; labels come
//! from the configuration or from closed lists. Refuses to know: where the values come from (`fill`).

use std::collections::BTreeMap;

use prometheus::process_collector::ProcessCollector;
use prometheus::{CounterVec, Encoder, GaugeVec, Opts, Registry, TextEncoder};

use super::ledger::REASONS;
use crate::game::OBSTACLES;

/// Whether a series may fall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeterKind {
    /// It may.
    Gauge,
    /// It only grows, until a restart.
    Counter,
}

/// A family of series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meter {
    /// What it belongs to.
    pub group: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Whether it may fall.
    pub kind: MeterKind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

macro_rules! meters {
    ($($group:literal { $($id:ident $kind:ident $name:literal [$($label:literal),*] $help:literal)* })*) => {
        $($(pub(super) const $id: Meter = Meter {
            group: $group, name: $name, kind: MeterKind::$kind, labels: &[$($label),*], help: $help,
        };)*)*
        /// All families, by group.
        const METERS: &[Meter] = &[$($($id),*),*];
    };
}

meters! {
    "liveness" {
        BUILD Gauge "watchtower_build_info" ["version"] "1, with the version of the program."
        HEAD Gauge "watchtower_head_level" [] "Level of the node's head, as last heard."
        SEEN Gauge "watchtower_seen_level" [] "Level of the last block taken in."
        REACHED Gauge "watchtower_reached_level" ["rollup"] "Level of the last state computed: acted on up to here."
        TICK Gauge "watchtower_last_tick_timestamp_seconds" [] "When the tower's loop last finished a turn."
        SKEW Gauge "watchtower_clock_skew_seconds" [] "How far the last block taken in was ahead of this machine's clock; 0 when it was not."
        TIP_TIME Gauge "watchtower_seen_block_timestamp_seconds" [] "Timestamp of the last block taken in."
        HEARTBEAT Gauge "watchtower_heartbeat_timestamp_seconds" [] "When the last heartbeat arrived at its URL; 0 before the first and without one."
        HEARTBEAT_FAILURES Counter "watchtower_heartbeat_failures_total" [] "Heartbeats that did not arrive."
    }
    "verification" {
        VERDICTS Gauge "watchtower_verdicts" ["rollup", "verdict"] "Published commitments by the verdict in force: true, false, not_judgeable."
        UNVERIFIED Gauge "watchtower_unverified_commitments" ["rollup"] "Published commitments above the last cemented one that are neither true nor false by any verdict."
        OLDEST_UNVERIFIED Gauge "watchtower_oldest_unverified_level" ["rollup"] "Inbox level of the first of them to become final; 0 when there is none."
        CEMENTABLE Gauge "watchtower_unverified_cementable_blocks" ["rollup"] "Blocks until the first of them can be cemented; +Inf when there is none."
        WINDOW Gauge "watchtower_challenge_window_blocks" [] "Blocks before a commitment can be cemented."
        PERIOD Gauge "watchtower_commitment_period_blocks" [] "Blocks between commitments."
        BLOCKED Gauge "watchtower_blocked" ["rollup"] "1 while the rollup's state cannot be computed (a missing input, an inbox that differs)."
        DISAGREEMENTS Counter "watchtower_engine_disagreements_total" [] "Levels and periods that gave different states on the other engine, or when run again."
        RUN_LEVELS Counter "watchtower_run_levels_total" ["rollup"] "Levels run since the start."
        RUN_SECONDS Counter "watchtower_run_seconds_total" ["rollup"] "Time spent running them; per level times the period is seconds per period."
    }
    "sources" {
        ANSWERS Counter "watchtower_source_answers_total" ["endpoint"] "Requests that a node answered."
        ERRORS Counter "watchtower_source_errors_total" ["endpoint"] "Requests that failed through a node's fault."
        ERRORS_IN_A_ROW Gauge "watchtower_source_errors_in_a_row" ["endpoint"] "Failures since its last answer."
        OUT_OF_SYNC Gauge "watchtower_source_out_of_sync" ["endpoint"] "1 while it lags behind the chain or is bootstrapping."
        SOURCE_DISAGREES Gauge "watchtower_source_disagrees" ["endpoint"] "1 while its final blocks differ from those followed."
        SOURCE_DISAGREEMENTS Counter "watchtower_source_disagreements_total" ["endpoint"] "Comparisons in which they differed."
    }
    "games" {
        GAMES Gauge "watchtower_games" ["rollup", "turn"] "Refutation games of ours by whose turn it is: ours, theirs."
        GAME_SLACK Gauge "watchtower_game_least_slack_blocks" ["rollup"] "Blocks we can lose in the tightest game and still make all moves; +Inf without a game."
        GAME_OUR_CLOCK Gauge "watchtower_game_least_own_clock_blocks" ["rollup"] "Least blocks left on one of our clocks; +Inf without a game."
        GAME_THEIR_CLOCK Gauge "watchtower_game_least_opponent_clock_blocks" ["rollup"] "Least blocks left on an opponent's clock; +Inf without a game."
        GAME_FORECAST Gauge "watchtower_games_forecast" ["rollup", "forecast"] "Games by who wins if both play the rest honestly: ours, theirs, draw, unknown."
        GAME_CLOCK Gauge "watchtower_game_clock_blocks" [] "Blocks of a whole clock; 0 before the first game."
        GAME_UNPLAYABLE Gauge "watchtower_games_not_playable" ["rollup", "reason"] "Games whose next move the tower cannot make, by what stands in the way: claims, machine, messages, reveal, page, indefensible, too_large, judge. The API says more."
        GAMES_ENDED Counter "watchtower_games_ended_total" ["outcome"] "Games of ours that ended, as far back as the journal goes: won, lost, drawn."
    }
    "compute" {
        STATE_LATENCY Gauge "watchtower_state_latency_seconds" ["rollup"] "Age of the newest block when the state at the tip was known; grows while the state lags."
        LADDER_HITS Counter "watchtower_ladder_hits_total" [] "State hashes that a game asked for and that were known already."
        LADDER_MISSES Counter "watchtower_ladder_misses_total" [] "State hashes that had to be computed."
        PROOFS Counter "watchtower_proofs_total" [] "Proofs of ours, as far back as the journal goes."
        PROOF_SECONDS Counter "watchtower_proof_seconds_total" [] "Time that finding them took."
        PROOF_BYTES Counter "watchtower_proof_bytes_total" [] "Bytes of those moves."
        STORE Gauge "watchtower_store_bytes" ["rollup"] "Size of the state store."
        JOURNAL Gauge "watchtower_journal_bytes" [] "Size of the journal."
        DISK_FREE Gauge "watchtower_disk_free_bytes" [] "Free bytes where the data directory is."
        DISK_FAILING Gauge "watchtower_disk_failing" [] "1 while nothing can be written to the data directory: what is to be written, and all that would follow, waits."
        WORKING Gauge "watchtower_game_tasks" [] "Moves being computed or waiting for a worker."
    }
    "operations" {
        WANTED Gauge "watchtower_operations_wanted" [] "Operations wanted and not yet on the chain."
        OPERATIONS Gauge "watchtower_operations" ["state"] "Signed operations: pending, included, final, dropped; the last two as far back as the journal goes."
        OLDEST_PENDING Gauge "watchtower_oldest_pending_blocks" [] "Blocks since the oldest pending operation was signed, those counted that it replaced; 0 when none is pending."
        REPLACED Counter "watchtower_operations_replaced_total" [] "Operations signed in place of one that waited."
        REJECTED Counter "watchtower_operations_rejected_total" ["reason"] "Answers that set something wanted aside, by what they mean: obsolete, wait, retry, stop, disagreement, and mempool where no node took an operation."
    }
    "money" {
        BALANCE Gauge "watchtower_balance_mutez" [] "Money the signing account can spend; NaN without an account."
        NEEDED Gauge "watchtower_needed_mutez" [] "Money it should be able to spend, should it come to a game; 0 in modes that stake nothing."
        STAKED Gauge "watchtower_staked_mutez" ["rollup"] "Our bond on the rollup."
        RECOVERABLE Gauge "watchtower_recoverable_mutez" ["rollup"] "As much of it as could be taken back in the next block."
        FEES Counter "watchtower_fees_mutez_total" [] "Fees of our operations in final blocks, as far back as the journal goes."
        WON Counter "watchtower_won_mutez_total" [] "Rewards that receipts paid us: half a bond for each staker whom we beat first."
        LOST Counter "watchtower_lost_mutez_total" [] "Bonds of ours that were slashed, by receipts."
        BONDED Gauge "watchtower_bonded" ["rollup"] "1 while a bond of ours lies on the rollup."
    }
    "alerts" {
        ALERTS_OPEN Gauge "watchtower_alerts_open" ["severity"] "Alerts that are not over."
        ALERTS_UNANSWERED Gauge "watchtower_alerts_unacknowledged" ["severity"] "Those of them that nobody takes care of."
        DELIVERED Counter "watchtower_notifications_delivered_total" ["channel"] "Messages that arrived."
        FAILED Counter "watchtower_notifications_failed_total" ["channel"] "Tries that failed."
        WAITING Gauge "watchtower_notifications_waiting" ["channel"] "Messages that have not arrived yet."
        LAST_TEST Gauge "watchtower_alert_test_timestamp_seconds" ["channel"] "When a test last arrived; 0 before the first."
    }
    "safety" {
        BRAKE Gauge "watchtower_holds" [] "Reasons for which nothing is sent: the brake, a contradiction, missing consent."
        REFUSALS Counter "watchtower_signature_refusals_total" ["by"] "Signatures refused since the start, by whom: gate (its caps and rules), key (the signer)."
        MODE Gauge "watchtower_mode" ["mode"] "1 for the mode in force: observe, shadow, defend, operate, bailout."
    }
}

/// Series of the process itself, which the library names.
pub const PROCESS: &[&str] = &[
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_threads",
    "process_virtual_memory_bytes",
];

/// Least of something: without any of it, there is no end.
const UNBOUNDED: &[&str] = &[
    CEMENTABLE.name,
    GAME_SLACK.name,
    GAME_OUR_CLOCK.name,
    GAME_THEIR_CLOCK.name,
];

/// All families, by group.
#[must_use]
pub const fn meters() -> &'static [Meter] {
    METERS
}

/// What is watched, as the configuration says: the values of labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// Rollups.
    pub rollups: Vec<String>,
    /// Nodes.
    pub endpoints: Vec<String>,
    /// Alert channels.
    pub channels: Vec<String>,
}

impl Watched {
    /// Every value a label can have.
    fn values(&self, meter: &str, label: &str) -> Vec<&str> {
        let texts = |list: &'static [&'static str]| list.to_vec();
        match label {
            "rollup" => self.rollups.iter().map(String::as_str).collect(),
            "endpoint" => self.endpoints.iter().map(String::as_str).collect(),
            "channel" => self.channels.iter().map(String::as_str).collect(),
            "version" => texts(&[env!("CARGO_PKG_VERSION")]),
            "verdict" => texts(&["true", "false", "not_judgeable"]),
            "turn" => texts(&["ours", "theirs"]),
            "forecast" => texts(&["ours", "theirs", "draw", "unknown"]),
            "outcome" => texts(&["won", "lost", "drawn"]),
            "reason" if meter == REJECTED.name => texts(REASONS),
            "reason" => texts(OBSTACLES),
            "state" => texts(&["pending", "included", "final", "dropped"]),
            "by" => texts(&["gate", "key"]),
            "severity" => texts(&["notice", "warning", "critical"]),
            "mode" => texts(&["observe", "shadow", "defend", "operate", "bailout"]),
            _ => Vec::new(),
        }
    }

    /// Every combination of label values of a family.
    fn series(&self, meter: &Meter) -> Vec<Vec<&str>> {
        let mut all = vec![Vec::new()];
        for label in meter.labels {
            let values = self.values(meter.name, label);
            all = all
                .into_iter()
                .flat_map(|one: Vec<&str>| {
                    values.iter().map(move |value| {
                        let mut longer = one.clone();
                        longer.push(value);
                        longer
                    })
                })
                .collect();
        }
        all
    }
}

enum Family {
    Gauge(GaugeVec),
    Counter(CounterVec),
}

/// The registry.
pub struct Metrics {
    registry: Registry,
    families: BTreeMap<&'static str, Family>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Registers every family and makes every series.
    ///
    /// # Errors
    /// What the library has against the table above; a test holds that it has nothing.
    pub fn new(watched: &Watched) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let mut families = BTreeMap::new();
        for meter in METERS {
            let options = Opts::new(meter.name, meter.help);
            let family = match meter.kind {
                MeterKind::Gauge => {
                    let family = GaugeVec::new(options, meter.labels)?;
                    registry.register(Box::new(family.clone()))?;
                    let first = if UNBOUNDED.contains(&meter.name) {
                        f64::INFINITY
                    } else {
                        0.0
                    };
                    for values in watched.series(meter) {
                        family.with_label_values(&values).set(first);
                    }
                    Family::Gauge(family)
                }
                MeterKind::Counter => {
                    let family = CounterVec::new(options, meter.labels)?;
                    registry.register(Box::new(family.clone()))?;
                    for values in watched.series(meter) {
                        family.with_label_values(&values);
                    }
                    Family::Counter(family)
                }
            };
            families.insert(meter.name, family);
        }
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(Self { registry, families })
    }

    /// Sets one series. A counter never falls: a smaller total leaves it where it is.
    pub(super) fn set(&self, meter: &Meter, labels: &[&str], value: f64) {
        match self.families.get(meter.name) {
            Some(Family::Gauge(family)) => {
                if let Ok(gauge) = family.get_metric_with_label_values(labels) {
                    gauge.set(value);
                }
            }
            Some(Family::Counter(family)) => {
                if let Ok(counter) = family.get_metric_with_label_values(labels) {
                    let more = value - counter.get();
                    if more > 0.0 {
                        counter.inc_by(more);
                    }
                }
            }
            None => {}
        }
    }

    /// The text that Prometheus reads.
    #[must_use]
    pub fn text(&self) -> String {
        let mut bytes = Vec::new();
        // Writing into memory does not fail.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The reference page, generated from the table.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "# Metrics\n\nServed under `/metrics`. Generated from `src/serve/metrics.rs`; a test keeps it equal. Every series is\nthere from the start.\n",
    );
    let mut group = "";
    for meter in METERS {
        if meter.group != group {
            group = meter.group;
            page.push_str(&format!(
                "\n## {group}\n\n| name | kind | labels | meaning |\n|---|---|---|---|\n"
            ));
        }
        let kind = match meter.kind {
            MeterKind::Gauge => "gauge",
            MeterKind::Counter => "counter",
        };
        let labels = meter.labels.join(", ");
        page.push_str(&format!(
            "| `{}` | {kind} | {labels} | {} |\n",
            meter.name, meter.help
        ));
    }
    page.push_str("\n## process\n\nMemory, processor time and open files of the process, as the Prometheus library names them:\n");
    let names: Vec<_> = PROCESS.iter().map(|name| format!("`{name}`")).collect();
    page.push_str(&names.join(",\n"));
    page.push_str(".\n");
    page
}
