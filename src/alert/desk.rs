//! The desk: alerts from their first sign to their end, and whom to tell when. Pure.
//!
//! Promises: what it remembers is what its entries say, so it can be taken up from the journal; the
//! same trouble is one alert until it is over; critical alerts are told again until somebody
//! acknowledges them; beyond so many an hour the rest waits for a digest, and none is dropped.
//! Refuses to know: clocks, sockets, files.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::case::{Case, Plan};
use super::message::Occasion;
use super::queue::Queue;
use super::rule::Signal;
use crate::journal::{
    AlertRow, AlertStepRow, Entry, JournalError, Nature, NotificationRow, Reader, Severity, Step,
};

/// How long a condition must be gone before it is over, in milliseconds.
const QUIET: i64 = 2 * 60_000;
pub(super) const HOUR: i64 = 3_600_000;
/// Ended alerts remembered.
const REMEMBERED: u32 = 500;

/// All alerts and the messages about them.
#[derive(Debug, Clone)]
pub struct Desk {
    pub(super) plan: Plan,
    pub(super) cases: BTreeMap<u64, Case>,
    pub(super) queue: Queue,
    last_alert: u64,
    pub(super) last_notification: u64,
    /// Times at which people were told something, in the last hour.
    pub(super) spoken: VecDeque<i64>,
    last_test: i64,
    /// The last row of the record that was looked at.
    read: i64,
    /// What waited for channels that are gone, with the tries so far.
    pub(super) orphans: Vec<(NotificationRow, u32)>,
}

impl Desk {
    /// Takes the desk up from the journal.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn from_journal(reader: &Reader, plan: Plan, now: i64) -> Result<Self, JournalError> {
        let rows = reader.alerts(REMEMBERED)?;
        let (last_alert, last_notification, read) = reader.alert_marks()?;
        let first = rows.first().map_or(last_alert, |row| row.id);
        let mut cases: BTreeMap<u64, Case> = rows
            .into_iter()
            .map(|row| (row.id, Case::new(row)))
            .collect();
        for step in reader.alert_steps(first)? {
            if let Some(case) = cases.get_mut(&step.alert) {
                case.take(&step);
            }
        }
        let mut desk = Self {
            plan,
            cases,
            queue: Queue::default(),
            last_alert,
            last_notification,
            spoken: VecDeque::new(),
            last_test: last_test(reader, now)?,
            read,
            orphans: Vec::new(),
        };
        desk.take_up_messages(reader, first, now)?;
        Ok(desk)
    }

    fn take_up_messages(
        &mut self,
        reader: &Reader,
        first: u64,
        now: i64,
    ) -> Result<(), JournalError> {
        let held = reader.held_alerts(first)?;
        for (alert, channel, seq) in reader.told_through(first)? {
            if let Some(case) = self.cases.get_mut(&alert) {
                case.channels.insert(channel);
                // Held since it was last told: it waits still.
                case.is_held &= held.get(&alert).is_some_and(|held| *held > seq);
            }
        }
        let mut spoken = BTreeSet::new();
        for (row, waiting) in reader.notifications(now.saturating_sub(HOUR))? {
            if row.time > now.saturating_sub(HOUR) {
                spoken.insert((row.time, row.alerts.clone()));
            }
            if let Some(waiting) = waiting {
                let mut routes = self.plan.routes.iter();
                if routes.any(|route| route.name == row.channel) {
                    let severity = self.loudest(&row.alerts);
                    self.queue.resume(waiting, severity, now);
                } else {
                    self.orphans.push((row, waiting.attempts));
                }
            }
        }
        for (channel, (problem, failures)) in reader.failing_channels()? {
            // What waits there will show whether it is well again.
            if self.queue.waiting().contains_key(channel.as_str()) {
                self.queue.recall(channel, problem, failures);
            }
        }
        self.spoken = spoken.into_iter().map(|(time, _)| time).collect();
        Ok(())
    }

    /// The last row of the record that was looked at.
    #[must_use]
    pub const fn read(&self) -> i64 {
        self.read
    }

    /// Notes that the record was looked at up to a row.
    pub fn mark_read(&mut self, row: i64) {
        self.read = self.read.max(row);
    }

    /// Every alert remembered, oldest first.
    pub fn cases(&self) -> impl DoubleEndedIterator<Item = &Case> {
        self.cases.values()
    }

    /// One alert.
    #[must_use]
    pub fn case(&self, id: u64) -> Option<&Case> {
        self.cases.get(&id)
    }

    /// Messages that have not arrived, by channel.
    #[must_use]
    pub fn waiting(&self) -> BTreeMap<&str, u64> {
        self.queue.waiting()
    }

    pub(super) fn loudest(&self, alerts: &[u64]) -> Severity {
        let known = alerts.iter().filter_map(|id| self.cases.get(id));
        known
            .map(|case| case.severity)
            .max()
            .unwrap_or(Severity::Notice)
    }

    /// Takes in one signal.
    pub fn signal(&mut self, signal: Signal, now: i64, out: &mut Vec<Entry>) {
        let known = self
            .cases
            .values_mut()
            .rev()
            .find(|case| case.is_about(&signal));
        let Some(case) = known else {
            return self.raise(signal, now, out);
        };
        case.absent_since = None;
        let id = case.row.id;
        if signal.severity > case.severity {
            self.step(
                id,
                Step::Worsened,
                signal.severity,
                signal.message,
                now,
                out,
            );
            self.tell(id, Occasion::Worsened, now, out);
        } else if signal.nature == Nature::Event {
            let severity = case.severity;
            self.step(id, Step::Repeated, severity, signal.message, now, out);
        }
    }

    fn raise(&mut self, signal: Signal, now: i64, out: &mut Vec<Entry>) {
        self.last_alert = self.last_alert.saturating_add(1);
        let row = AlertRow {
            id: self.last_alert,
            time: now,
            rollup: signal.rollup,
            level: signal.level,
            severity: signal.severity,
            nature: signal.nature,
            rule: signal.rule,
            subject: signal.subject,
            message: signal.message,
            slack: signal.slack,
            stake: signal.stake,
            source: self.read,
        };
        let (id, nature) = (row.id, row.nature);
        out.push(Entry::Alert(row.clone()));
        self.cases.insert(id, Case::new(row));
        let occasion = if nature == Nature::Test {
            Occasion::Test
        } else {
            Occasion::Raised
        };
        self.tell(id, occasion, now, out);
    }

    pub(super) fn step(
        &mut self,
        id: u64,
        step: Step,
        severity: Severity,
        detail: String,
        now: i64,
        out: &mut Vec<Entry>,
    ) {
        let row = AlertStepRow {
            alert: id,
            time: now,
            step,
            severity,
            detail,
            source: self.read,
        };
        if let Some(case) = self.cases.get_mut(&id) {
            case.take(&row);
        }
        out.push(Entry::AlertStep(row));
    }

    /// Takes in everything that is wrong now; conditions that are gone long enough are over.
    pub fn conditions(&mut self, held: Vec<Signal>, now: i64, out: &mut Vec<Entry>) {
        let mut gone = Vec::new();
        for case in self.cases.values_mut() {
            let lasts = held.iter().any(|signal| case.is_about(signal));
            if case.row.nature != Nature::Condition || case.over.is_some() || lasts {
                continue;
            }
            // Never ahead of a clock that was set back.
            let since = case.absent_since.map_or(now, |since| since.min(now));
            case.absent_since = Some(since);
            if now.saturating_sub(since) >= QUIET {
                gone.push((case.row.id, case.severity));
            }
        }
        for (id, severity) in gone {
            self.step(id, Step::Recovered, severity, String::new(), now, out);
            self.tell(id, Occasion::Recovered, now, out);
        }
        for signal in held {
            self.signal(signal, now, out);
        }
    }

    /// Notes that somebody takes care of an alert; whether that is news.
    pub fn acknowledge(&mut self, id: u64, by: &str, now: i64, out: &mut Vec<Entry>) -> bool {
        let Some(case) = self.cases.get(&id) else {
            return false;
        };
        if case.acknowledged.is_some() {
            return false;
        }
        let severity = case.severity;
        self.step(id, Step::Acknowledged, severity, by.to_owned(), now, out);
        true
    }

    /// Takes in an acknowledgement that somebody else wrote into the journal.
    pub fn learn(&mut self, step: &AlertStepRow) {
        if let Some(case) = self.cases.get_mut(&step.alert) {
            case.take(step);
        }
    }

    /// What is due by the clock alone: tests, escalations, digests.
    pub fn tick(&mut self, now: i64, out: &mut Vec<Entry>) {
        self.rescue(now, out);
        // A clock that was set back puts nothing off.
        self.last_test = self.last_test.min(now);
        for case in self.cases.values_mut() {
            case.told_at = case.told_at.min(now);
        }
        if let Some(every) = self.plan.test_every
            && now.saturating_sub(self.last_test) >= every
        {
            self.last_test = now;
            self.raise(test_signal(now), now, out);
        }
        let overdue: Vec<_> = self
            .cases
            .values()
            .filter(|case| self.next_escalation(case).is_some_and(|due| due <= now))
            .map(|case| (case.row.id, case.severity))
            .collect();
        for (id, severity) in overdue {
            self.step(id, Step::Escalated, severity, String::new(), now, out);
            self.tell(id, Occasion::Escalated, now, out);
        }
        self.digest(now, out);
    }

    /// When a case is told again if nobody answers: each pause twice the one before, up to four
    /// times the first.
    fn next_escalation(&self, case: &Case) -> Option<i64> {
        let needs_answer = case.severity == Severity::Critical
            && case.row.nature != Nature::Test
            && case.acknowledged.is_none()
            && case.over.is_none()
            && !case.is_held;
        let pause = self.plan.escalate_after << case.escalations.min(2);
        needs_answer.then(|| case.told_at.saturating_add(pause))
    }

    /// When the clock alone brings something.
    #[must_use]
    pub fn next_turn(&self) -> Option<i64> {
        let test = self.plan.test_every;
        let test = test.map(|every| self.last_test.saturating_add(every));
        let escalations = self
            .cases
            .values()
            .filter_map(|case| self.next_escalation(case));
        let held = self.cases.values().any(|case| case.is_held);
        let digest = self.spoken.front().filter(|_| held);
        let digest = digest.map(|first| first.saturating_add(HOUR));
        let all = escalations.chain(test).chain(digest);
        all.chain(self.queue.next_due()).min()
    }
}

/// When people were last sent a test. Without any, the first start of all counts: a tower that is
/// restarted every day must not put its tests off for ever.
fn last_test(reader: &Reader, now: i64) -> Result<i64, JournalError> {
    let known = match reader.last_test(now)? {
        Some(time) => Some(time),
        None => reader.first_run()?,
    };
    // A clock that was set back must not, either.
    Ok(known.unwrap_or(now).min(now))
}

fn test_signal(now: i64) -> Signal {
    Signal {
        rule: "test".into(),
        rollup: None,
        level: None,
        severity: Severity::Notice,
        nature: Nature::Test,
        subject: now.to_string(),
        message: "this only proves that alerts arrive; nothing is wrong".into(),
        slack: None,
        stake: None,
    }
}
