//! Which journal rows people must hear of, and how loudly: pure, row by row.

use serde_json::Value;

use crate::journal::{LogKind, LogRow, Nature, Severity};
use crate::protocol::{Level, RollupAddress};

/// Blocks below the head that are final: a deeper reorganisation breaks what consensus promises.
const FINALITY: i64 = 2;

/// What a rule says about one row or one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// The rule; also its heading in the runbook.
    pub rule: String,
    /// The rollup concerned, if one.
    pub rollup: Option<RollupAddress>,
    /// The level concerned, if one.
    pub level: Option<Level>,
    /// How loudly.
    pub severity: Severity,
    /// How it ends.
    pub nature: Nature,
    /// What it is about: the same subject of the same rule is told once.
    pub subject: String,
    /// One line for people.
    pub message: String,
    /// Blocks left to act.
    pub slack: Option<u32>,
    /// Money at stake, in mutez.
    pub stake: Option<u64>,
}

/// Every rule of the program, in the order of the runbook. Alarms of the tower are rules too: the
/// kind of an alarm, with dashes, is its rule.
pub const RULES: &[&str] = &[
    "false-commitment",
    "false-commitment-cemented",
    "not-judgeable",
    "inbox-mismatch",
    "off-the-lattice",
    "unverified-near-cementing",
    "game-opened",
    "game-slack",
    "game-not-playable",
    "not-playable",
    "clock-in-danger",
    "proof-rejected",
    "game-lost",
    "game-won",
    "bond-recovered",
    "contradiction",
    "engine-disagreement",
    "curfew-missed",
    "bond-held-up",
    "cannot-judge",
    "cannot-stake",
    "operation",
    "hold",
    "play",
    "staker-slashed",
    "operation-stuck",
    "balance-low",
    "brake-on",
    "stalled",
    "behind",
    "hung",
    "restarted-after-crash",
    "no-endpoint",
    "endpoint-down",
    "endpoint-out-of-sync",
    "endpoint-disagrees",
    "node",
    "deep-reorganisation",
    "clock-skew",
    "preimages-absent",
    "store-size",
    "disk-low",
    "disk-failing",
    "channel-unreachable",
    "test",
    "other",
];

/// How loud something is that must happen within a number of blocks: by the share of them that is
/// left, and by whether the operator's own money depends on it.
#[must_use]
pub fn severity(slack: u32, of: u32, stake: u64) -> Severity {
    let left = u64::from(slack).saturating_mul(100);
    let share = left.checked_div(u64::from(of)).unwrap_or(0);
    match (stake > 0, share) {
        (true, 0..=50) | (false, 0..=25) => Severity::Critical,
        (true, _) | (false, 26..=50) => Severity::Warning,
        (false, _) => Severity::Notice,
    }
}

/// What a row of the record means for people; most mean nothing.
#[must_use]
pub fn signal_of(row: &LogRow) -> Option<Signal> {
    match row.kind {
        LogKind::Alarm => alarm(row),
        LogKind::Reorganisation => reorganisation(row),
        LogKind::Operation => slashed(row),
        _ => None,
    }
}

fn signal(row: &LogRow, rule: String, severity: Severity) -> Signal {
    let rollup = row
        .rollup
        .as_ref()
        .and_then(|text| RollupAddress::of_any_dialect(text).ok());
    Signal {
        rule,
        rollup: rollup.map(|(address, _)| address),
        level: row.level.and_then(|level| Level::try_from(level).ok()),
        severity,
        nature: Nature::Event,
        subject: String::new(),
        message: String::new(),
        slack: None,
        stake: None,
    }
}

fn text<'a>(row: &'a LogRow, key: &str) -> &'a str {
    row.data.get(key).and_then(Value::as_str).unwrap_or("")
}

/// The tower's own alarms, severity and words as they are.
fn alarm(row: &LogRow) -> Option<Signal> {
    let severity = match text(row, "severity") {
        "notice" => Severity::Notice,
        "warning" => Severity::Warning,
        // A word of a newer program: better loud than lost.
        _ => Severity::Critical,
    };
    let rule = text(row, "kind").replace(' ', "-");
    let mut signal = signal(row, rule, severity);
    signal.subject = text(row, "subject").to_owned();
    signal.message = text(row, "message").to_owned();
    if signal.rule == "not-judgeable" {
        // It lasts while the rollup is blocked, whatever it is that blocks it.
        signal.nature = Nature::Condition;
        signal.subject = String::new();
    }
    if signal.rule == "balance-low" {
        // As long as the account is short, whichever rollup said so first.
        signal.nature = Nature::Condition;
        signal.subject = String::new();
        signal.rollup = None;
        signal.level = None;
    }
    Some(signal)
}

/// Blocks that were final left the chain.
fn reorganisation(row: &LogRow) -> Option<Signal> {
    let old = row.data.get("old_level").and_then(Value::as_i64)?;
    let depth = old.checked_sub(row.level?)?;
    if depth <= FINALITY {
        return None;
    }
    let mut signal = signal(row, "deep-reorganisation".into(), Severity::Warning);
    signal.subject = format!("{} {old}", text(row, "old_block"));
    signal.message = format!(
        "{depth} blocks left the chain, down to level {}: blocks that deep should be final",
        row.level.unwrap_or(0)
    );
    Some(signal)
}

/// A bond is gone by a game or a timeout; recovering one's own bond is not news.
fn slashed(row: &LogRow) -> Option<Signal> {
    let kind = text(row, "kind");
    if kind.ends_with("recover_bond") {
        return None;
    }
    let detail = row.data.get("detail")?;
    let stakers: Vec<_> = detail
        .get("unstaked")?
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    if stakers.is_empty() {
        return None;
    }
    let mut signal = signal(row, "staker-slashed".into(), Severity::Notice);
    signal.subject = format!("{} {}", row.level.unwrap_or(0), stakers.join(" "));
    signal.message = format!("{} lost the bond ({kind})", stakers.join(" and "));
    Some(signal)
}
