//! An alert from its first sign to its end, and the plan by which people hear of it. Pure.

use std::collections::BTreeSet;

use super::rule::Signal;
use crate::journal::{AlertRow, AlertStepRow, Nature, Severity, Step};

/// A channel, as far as the desk cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// The least severity it is told of.
    pub least: Severity,
    /// Escalations before it is used.
    pub from_escalation: u32,
}

/// Whom to tell when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The channels.
    pub routes: Vec<Route>,
    /// Time until a critical alert is told again, in milliseconds.
    pub escalate_after: i64,
    /// Alerts told in an hour before the others wait; critical ones may be four times as many.
    pub per_hour: u32,
    /// Time between tests, in milliseconds.
    pub test_every: Option<i64>,
}

/// An alert and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// How it began.
    pub row: AlertRow,
    /// How loud it is now.
    pub severity: Severity,
    /// Who takes care of it.
    pub acknowledged: Option<String>,
    /// When it was over.
    pub over: Option<i64>,
    /// Times people were told again because nobody answered.
    pub escalations: u32,
    /// Whether it waits for a digest.
    pub is_held: bool,
    pub(super) told_at: i64,
    pub(super) channels: BTreeSet<String>,
    pub(super) absent_since: Option<i64>,
}

impl Case {
    pub(super) fn new(row: AlertRow) -> Self {
        Self {
            severity: row.severity,
            acknowledged: None,
            over: (row.nature == Nature::Test || is_only_news(&row)).then_some(row.time),
            escalations: 0,
            is_held: false,
            told_at: row.time,
            channels: BTreeSet::new(),
            absent_since: None,
            row,
        }
    }

    pub(super) fn take(&mut self, step: &AlertStepRow) {
        match step.step {
            Step::Held => self.is_held = true,
            Step::Repeated => {}
            Step::Worsened => {
                self.severity = step.severity;
                self.acknowledged = None;
                self.told_at = step.time;
            }
            Step::Escalated => {
                self.escalations = self.escalations.saturating_add(1);
                self.told_at = step.time;
            }
            Step::Acknowledged => {
                self.acknowledged = Some(step.detail.clone());
                if self.row.nature == Nature::Event {
                    self.over = Some(step.time);
                }
            }
            Step::Recovered => self.over = Some(step.time),
        }
    }

    pub(super) fn is_about(&self, signal: &Signal) -> bool {
        self.over.is_none()
            && self.row.rule == signal.rule
            && self.row.rollup == signal.rollup
            && self.row.subject == signal.subject
    }
}

/// News that nobody has to act on is over as soon as it is told.
fn is_only_news(row: &AlertRow) -> bool {
    row.nature == Nature::Event && row.severity == Severity::Notice
}
