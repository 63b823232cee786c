//! Messages on their way: one at a time per channel, tried again until they arrive. Pure.
//!
//! Promises: a message is never forgotten before it arrived or was given up after two days; the
//! most severe goes first, and the end of a matter after its beginning. Refuses to know: what
//! messages say.

use std::collections::BTreeMap;

use super::message::Occasion;
use crate::journal::{DeliveryOutcome, DeliveryRow, NotificationRow, Severity, Waiting};

/// The first pause after a failure, in milliseconds; it doubles up to [`LONGEST`].
const FIRST: i64 = 15_000;
/// The longest pause.
const LONGEST: i64 = 15 * 60_000;
/// How long a message is tried, and how often at least: a clock that is set right may add days at once.
const GIVE_UP: i64 = 48 * 3_600_000;
const ENOUGH: u32 = 100;

/// A message on its way.
#[derive(Debug, Clone)]
struct Item {
    row: NotificationRow,
    severity: Severity,
    attempts: u32,
    due: i64,
    is_in_flight: bool,
}

/// All messages on their way.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue {
    items: BTreeMap<u64, Item>,
    /// Channels whose last try failed, with the problem and the failures in a row.
    broken: BTreeMap<String, (String, u32)>,
}

/// What a failed try means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) notification: NotificationRow,
    pub(super) problem: String,
    pub(super) attempt: u32,
}

impl Queue {
    /// Queues a message.
    pub(super) fn push(&mut self, row: NotificationRow, severity: Severity) {
        let item = Item {
            severity,
            attempts: 0,
            due: row.time,
            is_in_flight: false,
            row,
        };
        self.items.insert(item.row.id, item);
    }

    /// Takes up what a channel did before a restart: failures in a row, with the last problem.
    pub(super) fn recall(&mut self, channel: String, problem: String, failures: u32) {
        self.broken.insert(channel, (problem, failures));
    }

    /// Takes up a message where a restart left it: it is tried at once.
    pub(super) fn resume(&mut self, waiting: Waiting, severity: Severity, now: i64) {
        let item = Item {
            severity,
            attempts: waiting.attempts,
            due: waiting.notification.time.min(now),
            is_in_flight: false,
            row: waiting.notification,
        };
        self.items.insert(item.row.id, item);
    }

    /// Messages to try now; they are in flight from then on.
    pub(super) fn take_due(&mut self, now: i64) -> Vec<NotificationRow> {
        // No pause is so long: the clock was set back.
        for item in self.items.values_mut() {
            if item.due.saturating_sub(now) > LONGEST {
                item.due = now;
            }
        }
        let busy: Vec<String> = self
            .items
            .values()
            .filter(|item| item.is_in_flight)
            .map(|item| item.row.channel.clone())
            .collect();
        let mut chosen: BTreeMap<String, (std::cmp::Reverse<Severity>, u64)> = BTreeMap::new();
        for (id, item) in &self.items {
            let is_due = item.due <= now && !busy.contains(&item.row.channel);
            if !is_due || self.is_premature(item) {
                continue;
            }
            let rank = (std::cmp::Reverse(item.severity), *id);
            let best = chosen.entry(item.row.channel.clone()).or_insert(rank);
            *best = (*best).min(rank);
        }
        let ids = chosen.into_values().map(|(_, id)| id);
        let mut taken = Vec::new();
        for id in ids {
            if let Some(item) = self.items.get_mut(&id) {
                item.is_in_flight = true;
                taken.push(item.row.clone());
            }
        }
        taken
    }

    /// Nobody hears that something is over before what they are still to hear of it.
    fn is_premature(&self, item: &Item) -> bool {
        let earlier = self.items.range(..item.row.id).map(|(_, earlier)| earlier);
        let mut here = earlier.filter(|earlier| earlier.row.channel == item.row.channel);
        let is_shared = |alert| item.row.alerts.contains(alert);
        item.row.occasion == Occasion::Recovered.word()
            && here.any(|earlier| earlier.row.alerts.iter().any(is_shared))
    }

    /// Notes how a try ended.
    pub(super) fn settle(
        &mut self,
        id: u64,
        outcome: Result<(), String>,
        now: i64,
    ) -> Option<(DeliveryRow, Option<Failure>)> {
        let item = self.items.get_mut(&id)?;
        item.is_in_flight = false;
        item.attempts = item.attempts.saturating_add(1);
        let mut row = DeliveryRow {
            notification: id,
            time: now,
            attempt: item.attempts,
            outcome: DeliveryOutcome::Delivered,
            problem: None,
            retry: None,
        };
        let Err(problem) = outcome else {
            self.broken.remove(&item.row.channel);
            self.items.remove(&id);
            return Some((row, None));
        };
        let failures = self.broken.get(&item.row.channel);
        let failures = failures.map_or(0, |(_, count)| *count).saturating_add(1);
        let channel = item.row.channel.clone();
        let failure = Failure {
            notification: item.row.clone(),
            problem: problem.clone(),
            attempt: item.attempts,
        };
        row.problem = Some(problem.clone());
        let is_old = now.saturating_sub(item.row.time) > GIVE_UP;
        if is_old && item.attempts >= ENOUGH {
            row.outcome = DeliveryOutcome::GivenUp;
            self.items.remove(&id);
        } else {
            let doubled = item.attempts.saturating_sub(1).min(10);
            let pause = FIRST.saturating_mul(1 << doubled).min(LONGEST);
            item.due = now.saturating_add(pause);
            row.outcome = DeliveryOutcome::Failed;
            row.retry = Some(item.due);
        }
        self.broken.insert(channel, (problem, failures));
        Some((row, Some(failure)))
    }

    /// Channels that failed at least twice in a row, with the last problem.
    pub(super) fn broken(&self) -> impl Iterator<Item = (&str, &str)> {
        let failing = self.broken.iter().filter(|(_, (_, count))| *count >= 2);
        failing.map(|(channel, (problem, _))| (channel.as_str(), problem.as_str()))
    }

    /// Messages that wait or are in flight, by channel.
    pub(super) fn waiting(&self) -> BTreeMap<&str, u64> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for item in self.items.values() {
            let count = counts.entry(item.row.channel.as_str()).or_default();
            *count = count.saturating_add(1);
        }
        counts
    }

    /// When the next message is due, if none is due yet.
    pub(super) fn next_due(&self) -> Option<i64> {
        let is_next = |item: &&Item| !item.is_in_flight && !self.is_premature(item);
        let idle = self.items.values().filter(is_next);
        idle.map(|item| item.due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u64, occasion: Occasion, alert: u64) -> NotificationRow {
        NotificationRow {
            id,
            time: 0,
            channel: "people".into(),
            occasion: occasion.word().into(),
            note: String::new(),
            alerts: vec![alert],
        }
    }

    fn taken(queue: &mut Queue, now: i64) -> Option<u64> {
        queue.take_due(now).first().map(|row| row.id)
    }

    /// The first message, about alert 7, waits for its next try.
    fn after_a_failure() -> Queue {
        let mut queue = Queue::default();
        queue.push(row(1, Occasion::Raised, 7), Severity::Warning);
        assert_eq!(taken(&mut queue, 0), Some(1));
        queue.settle(1, Err("no route".into()), 0);
        queue
    }

    #[test]
    fn what_is_over_is_told_after_its_beginning() {
        let mut queue = after_a_failure();
        queue.push(row(2, Occasion::Recovered, 7), Severity::Warning);
        queue.push(row(3, Occasion::Recovered, 8), Severity::Notice);
        // Of what concerns others, people hear meanwhile.
        assert_eq!(taken(&mut queue, 1), Some(3));
        queue.settle(3, Ok(()), 1);
        assert_eq!(
            (taken(&mut queue, 2), queue.next_due()),
            (None, Some(FIRST))
        );
        assert_eq!(taken(&mut queue, FIRST), Some(1));
        queue.settle(1, Ok(()), FIRST);
        assert_eq!(taken(&mut queue, FIRST), Some(2));
    }

    #[test]
    fn what_gets_worse_waits_for_nothing() {
        let mut queue = after_a_failure();
        queue.push(row(2, Occasion::Worsened, 7), Severity::Critical);
        assert_eq!(taken(&mut queue, 1), Some(2));
    }
}
