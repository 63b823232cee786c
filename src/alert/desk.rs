//! The desk: alerts from their first sign to their end, and whom to tell when. Pure.
//!
//! Promises: what it remembers is what its entries say, so it can be taken up from the journal; the
//! same trouble is one alert until it is over; critical alerts are told again until somebody
//! acknowledges them; beyond so many an hour the rest waits for a digest, and none is dropped.
//! Refuses to know: clocks, sockets, files.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::message::Occasion;
use super::queue::Queue;
use super::rule::Signal;
use crate::journal::{
    AlertRow, AlertStepRow, Entry, JournalError, Nature, NotificationRow, Reader, Severity, Step,
};

/// How long a condition must be gone before it is over, in milliseconds.
const QUIET: i64 = 2 * 60_000;
const HOUR: i64 = 3_600_000;
/// Ended alerts remembered.
const REMEMBERED: u32 = 500;

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
    told_at: i64,
    channels: BTreeSet<String>,
    absent_since: Option<i64>,
}

impl Case {
    fn new(row: AlertRow) -> Self {
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

    fn take(&mut self, step: &AlertStepRow) {
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

    fn is_about(&self, signal: &Signal) -> bool {
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

/// All alerts and the messages about them.
#[derive(Debug, Clone)]
pub struct Desk {
    plan: Plan,
    cases: BTreeMap<u64, Case>,
    queue: Queue,
    last_alert: u64,
    last_notification: u64,
    /// Times at which people were told something, in the last hour.
    spoken: VecDeque<i64>,
    last_test: i64,
    /// The last row of the record that was looked at.
    read: i64,
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
            last_test: now,
            read,
        };
        desk.take_up_messages(reader, first, now)?;
        let tests = desk.cases.values().filter(|c| c.row.nature == Nature::Test);
        desk.last_test = tests.map(|case| case.row.time).max().unwrap_or(now);
        Ok(desk)
    }

    fn take_up_messages(
        &mut self,
        reader: &Reader,
        first: u64,
        now: i64,
    ) -> Result<(), JournalError> {
        for (alert, channel) in reader.told_through(first)? {
            if let Some(case) = self.cases.get_mut(&alert) {
                case.channels.insert(channel);
                case.is_held = false;
            }
        }
        let mut spoken = BTreeSet::new();
        for (row, waiting) in reader.notifications(now.saturating_sub(HOUR))? {
            if row.time > now.saturating_sub(HOUR) {
                spoken.insert((row.time, row.alerts.clone()));
            }
            if let Some(waiting) = waiting {
                // A channel that is configured no longer gets nothing more.
                if self
                    .plan
                    .routes
                    .iter()
                    .any(|route| route.name == row.channel)
                {
                    let severity = self.loudest(&row.alerts);
                    self.queue.resume(waiting, severity);
                }
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

    fn loudest(&self, alerts: &[u64]) -> Severity {
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

    fn step(
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
            let since = *case.absent_since.get_or_insert(now);
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

    /// Whether one more alert may be told now.
    fn may_speak(&mut self, severity: Severity, now: i64) -> bool {
        while self
            .spoken
            .front()
            .is_some_and(|at| now.saturating_sub(*at) >= HOUR)
        {
            self.spoken.pop_front();
        }
        let allowed = if severity == Severity::Critical {
            self.plan.per_hour.saturating_mul(4)
        } else {
            self.plan.per_hour
        };
        self.spoken.len() < allowed as usize
    }

    /// Queues messages about one alert, or holds it for a digest.
    fn tell(&mut self, id: u64, occasion: Occasion, now: i64, out: &mut Vec<Entry>) {
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

    fn queue_message(
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
    fn digest(&mut self, now: i64, out: &mut Vec<Entry>) {
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

    /// Notes how sending a message ended; the second failure hands it over to the other channels.
    pub fn settle(&mut self, id: u64, outcome: Result<(), String>, now: i64, out: &mut Vec<Entry>) {
        let Some((row, failure)) = self.queue.settle(id, outcome, now) else {
            return;
        };
        out.push(Entry::Delivery(row));
        let Some(failure) = failure.filter(|failure| failure.attempt == 2) else {
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
        let others: Vec<String> = self
            .plan
            .routes
            .iter()
            .map(|route| route.name.clone())
            .collect();
        for other in others.into_iter().filter(|name| !broken.contains(name)) {
            let untold: Vec<u64> = failure
                .notification
                .alerts
                .iter()
                .copied()
                .filter(|alert| {
                    self.cases.get(alert).is_some_and(|case| {
                        case.row.nature != Nature::Test && !case.channels.contains(&other)
                    })
                })
                .collect();
            if !untold.is_empty() {
                self.queue_message(other, Occasion::Failover, note.clone(), untold, now, out);
            }
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
