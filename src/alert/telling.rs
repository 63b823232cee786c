//! Telling: which channels hear of an alert, what waits for a digest, who takes over from a dead
//! channel. Pure, like the desk it belongs to.

use std::collections::BTreeSet;

use super::desk::{Desk, HOUR};
use super::message::Occasion;
use super::rule::Signal;
use crate::journal::{
    DeliveryOutcome, DeliveryRow, Entry, Nature, NotificationRow, Severity, Step,
};

impl Desk {
    /// Whether one more alert may be told now.
    pub(super) fn may_speak(&mut self, severity: Severity, now: i64) -> bool {
        // What is ahead of the clock was said before it was set back, whenever that was.
        self.spoken
            .retain(|at| *at <= now && now.saturating_sub(*at) < HOUR);
        let allowed = if severity == Severity::Critical {
            self.plan.per_hour.saturating_mul(4)
        } else {
            self.plan.per_hour
        };
        self.spoken.len() < allowed as usize
    }

    /// Queues messages about one alert, or holds it for a digest.
    pub(super) fn tell(&mut self, id: u64, occasion: Occasion, now: i64, out: &mut Vec<Entry>) {
        let Some(case) = self.cases.get(&id) else {
            return;
        };
        let (severity, escalations) = (case.severity, case.escalations);
        let unreachable =
            (case.row.rule == "channel-unreachable").then(|| case.row.subject.clone());
        let told = case.channels.clone();
        let channels: Vec<String> = self
            .plan
            .routes
            .iter()
            .filter(|route| match occasion {
                Occasion::Test => true,
                Occasion::Recovered => told.contains(&route.name),
                _ => severity >= route.least && escalations >= route.from_escalation,
            })
            .map(|route| route.name.clone())
            .filter(|name| unreachable.as_ref() != Some(name))
            .collect();
        if channels.is_empty() {
            return;
        }
        if occasion != Occasion::Test && !self.may_speak(severity, now) {
            if occasion != Occasion::Recovered {
                self.step(id, Step::Held, severity, String::new(), now, out);
            }
            return;
        }
        self.spoken.push_back(now);
        for channel in channels {
            self.queue_message(channel, occasion, String::new(), vec![id], now, out);
        }
    }

    pub(super) fn queue_message(
        &mut self,
        channel: String,
        occasion: Occasion,
        note: String,
        alerts: Vec<u64>,
        now: i64,
        out: &mut Vec<Entry>,
    ) {
        for id in &alerts {
            if let Some(case) = self.cases.get_mut(id) {
                case.channels.insert(channel.clone());
            }
        }
        self.last_notification = self.last_notification.saturating_add(1);
        let row = NotificationRow {
            id: self.last_notification,
            time: now,
            channel,
            occasion: occasion.word().into(),
            note,
            alerts,
        };
        let severity = self.loudest(&row.alerts);
        out.push(Entry::Notification(row.clone()));
        self.queue.push(row, severity);
    }

    /// Tells of everything held back, once there is room for it.
    pub(super) fn digest(&mut self, now: i64, out: &mut Vec<Entry>) {
        let held: Vec<u64> = self
            .cases
            .values()
            .filter(|case| case.is_held)
            .map(|case| case.row.id)
            .collect();
        if held.is_empty() || !self.may_speak(self.loudest(&held), now) {
            return;
        }
        self.spoken.push_back(now);
        for route in self.plan.routes.clone() {
            let fitting: Vec<u64> = held
                .iter()
                .copied()
                .filter(|id| {
                    self.cases.get(id).is_some_and(|case| {
                        case.severity >= route.least && case.escalations >= route.from_escalation
                    })
                })
                .collect();
            if !fitting.is_empty() {
                self.queue_message(
                    route.name,
                    Occasion::Digest,
                    String::new(),
                    fitting,
                    now,
                    out,
                );
            }
        }
        for id in held {
            if let Some(case) = self.cases.get_mut(&id) {
                case.is_held = false;
                case.told_at = now;
            }
        }
    }

    /// Messages to send now; each is in flight until [`Desk::settle`].
    pub fn take_due(&mut self, now: i64) -> Vec<NotificationRow> {
        self.queue.take_due(now)
    }

    /// Notes how sending a message ended; from the second failure on it is handed over to the other
    /// channels, to each once.
    pub fn settle(&mut self, id: u64, outcome: Result<(), String>, now: i64, out: &mut Vec<Entry>) {
        let Some((row, failure)) = self.queue.settle(id, outcome, now) else {
            return;
        };
        out.push(Entry::Delivery(row));
        let Some(failure) = failure.filter(|failure| failure.attempt >= 2) else {
            return;
        };
        let broken: BTreeSet<String> = self
            .queue
            .broken()
            .map(|(name, _)| name.to_owned())
            .collect();
        let note = format!(
            "Channel {} cannot be reached ({}); this was meant for it.",
            failure.notification.channel, failure.problem
        );
        self.hand_over(&failure.notification, &note, &broken, now, out);
    }

    /// Tells the other channels what did not arrive, each of what it was not told yet.
    fn hand_over(
        &mut self,
        lost: &NotificationRow,
        note: &str,
        broken: &BTreeSet<String>,
        now: i64,
        out: &mut Vec<Entry>,
    ) {
        let routes = self.plan.routes.iter();
        let others: Vec<String> = routes.map(|route| route.name.clone()).collect();
        for other in others.into_iter().filter(|name| !broken.contains(name)) {
            let alerts = lost.alerts.iter().copied();
            let untold: Vec<u64> = alerts
                .filter(|alert| {
                    self.cases.get(alert).is_some_and(|case| {
                        case.row.nature != Nature::Test && !case.channels.contains(&other)
                    })
                })
                .collect();
            if !untold.is_empty() {
                self.queue_message(other, Occasion::Failover, note.to_owned(), untold, now, out);
            }
        }
    }

    /// Hands over what waited for channels that are configured no longer, and gives it up there.
    pub(super) fn rescue(&mut self, now: i64, out: &mut Vec<Entry>) {
        for (lost, attempts) in std::mem::take(&mut self.orphans) {
            let problem = "this channel is configured no longer";
            out.push(Entry::Delivery(DeliveryRow {
                notification: lost.id,
                time: now,
                attempt: attempts.saturating_add(1),
                outcome: DeliveryOutcome::GivenUp,
                problem: Some(problem.into()),
                retry: None,
            }));
            let note = format!(
                "Channel {} is configured no longer; this was meant for it.",
                lost.channel
            );
            self.hand_over(&lost, &note, &BTreeSet::new(), now, out);
        }
    }

    /// Channels that cannot be reached, as a condition like any other.
    #[must_use]
    pub fn unreachable(&self) -> Vec<Signal> {
        let all = self.plan.routes.len();
        let broken: Vec<_> = self.queue.broken().collect();
        let severity = if broken.len() >= all {
            Severity::Critical
        } else {
            Severity::Warning
        };
        let signal = |(name, problem): &(&str, &str)| Signal {
            rule: "channel-unreachable".into(),
            rollup: None,
            level: None,
            severity,
            nature: Nature::Condition,
            subject: (*name).to_owned(),
            message: format!("alerts cannot be sent through {name}: {problem}"),
            slack: None,
            stake: None,
        };
        broken.iter().map(signal).collect()
    }
}
