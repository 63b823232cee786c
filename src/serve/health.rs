//! Alive? Ready? Pure answers for supervisors and load balancers.

use super::view::View;
use crate::alert::SKEW;

/// Silence of the loop after which it is not alive, in milliseconds.
const SILENT: i64 = 10 * 60_000;
/// Levels a state may lag behind the head and still be ready.
const LAG: i32 = 3;

/// An answer with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether all is well.
    pub is_well: bool,
    /// What is not.
    pub reasons: Vec<String>,
}

impl Health {
    fn of(reasons: Vec<String>) -> Self {
        Self {
            is_well: reasons.is_empty(),
            reasons,
        }
    }
}

/// Whether the loop turns. Before its first turn it is given the time since `started`.
#[must_use]
pub fn health(view: &View, started: i64, now: i64) -> Health {
    let last = view.tick_at.max(started);
    let silent = now.saturating_sub(last);
    let reason = || format!("the loop has been silent for {} seconds", silent / 1000);
    Health::of((silent > SILENT).then(reason).into_iter().collect())
}

/// Whether every rollup is guarded at the head of the chain.
#[must_use]
pub fn readiness(view: &View) -> Health {
    let mut reasons = Vec::new();
    let head = view.head_level.max(view.seen_level);
    let Some(head) = head else {
        return Health::of(vec!["no block has been seen yet".into()]);
    };
    for rollup in &view.rollups {
        let lag = head.saturating_sub(rollup.reached_level);
        if let Some(blocked) = &rollup.blocked {
            reasons.push(format!("{} is not judgeable: {blocked}", rollup.address));
        } else if lag > LAG {
            reasons.push(format!("{} is {lag} levels behind", rollup.address));
        }
    }
    for folder in &view.absent_folders {
        reasons.push(format!("the preimages directory {folder} is not there"));
    }
    if let Some(problem) = &view.disk_trouble {
        reasons.push(format!("nothing can be written: {problem}"));
    }
    if view.clock_skew() > SKEW {
        let seconds = view.clock_skew() / 1000;
        reasons.push(format!(
            "this machine's clock is {seconds} seconds behind the newest block"
        ));
    }
    let failing = |source: &super::SourceView| source.errors_in_a_row > 0;
    if !view.sources.is_empty() && view.sources.iter().all(failing) {
        reasons.push("no node answers".into());
    }
    Health::of(reasons)
}
