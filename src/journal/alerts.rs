//! What people were told, as rows: alerts, what became of each, messages queued and delivered.
//!
//! Promises: open alerts and undelivered messages are found again exactly as they were left.
//! Refuses to know: which events deserve an alert and how messages travel.

use std::collections::BTreeMap;

use rusqlite::Row;

use super::entry::Severity;
use super::query::{Unknown, bad, level, severity};
use super::{JournalError, Reader};
use crate::protocol::{Level, RollupAddress};

/// How an alert ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nature {
    /// Something happened: it ends when somebody acknowledges it.
    Event,
    /// Something lasts: it ends when it no longer does.
    Condition,
    /// Proves that messages arrive; nobody has to act.
    Test,
}

impl Nature {
    /// The word in the journal.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Condition => "condition",
            Self::Test => "test",
        }
    }
}

/// An alert raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRow {
    /// Its number, for people.
    pub id: u64,
    /// When, in milliseconds since 1970.
    pub time: i64,
    /// The rollup concerned, if one.
    pub rollup: Option<RollupAddress>,
    /// The level concerned, if one.
    pub level: Option<Level>,
    /// How loudly.
    pub severity: Severity,
    /// How it ends.
    pub nature: Nature,
    /// The rule that raised it; also its heading in the runbook.
    pub rule: String,
    /// What it is about, within the rule.
    pub subject: String,
    /// One line for people.
    pub message: String,
    /// Blocks left to act, where that is known.
    pub slack: Option<u32>,
    /// Money that may be lost, in mutez, where that is known.
    pub stake: Option<u64>,
    /// The last row of the record that had been looked at.
    pub source: i64,
}

/// What became of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Too many messages: it waits for the next digest.
    Held,
    /// The same thing happened again; nobody was told again.
    Repeated,
    /// It became more severe.
    Worsened,
    /// Nobody acknowledged it in time: people were told again, and more of them.
    Escalated,
    /// Somebody takes care of it.
    Acknowledged,
    /// It no longer holds.
    Recovered,
}

impl Step {
    const ALL: [Self; 6] = [
        Self::Held,
        Self::Repeated,
        Self::Worsened,
        Self::Escalated,
        Self::Acknowledged,
        Self::Recovered,
    ];

    /// The word in the journal.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Repeated => "repeated",
            Self::Worsened => "worsened",
            Self::Escalated => "escalated",
            Self::Acknowledged => "acknowledged",
            Self::Recovered => "recovered",
        }
    }
}

/// Something that became of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertStepRow {
    /// The alert.
    pub alert: u64,
    /// When, in milliseconds since 1970.
    pub time: i64,
    /// What.
    pub step: Step,
    /// How loud the alert is from then on.
    pub severity: Severity,
    /// Who, or what it says now.
    pub detail: String,
    /// The last row of the record that had been looked at.
    pub source: i64,
}

/// A message queued for one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationRow {
    /// Its number.
    pub id: u64,
    /// When it was queued, in milliseconds since 1970.
    pub time: i64,
    /// The channel.
    pub channel: String,
    /// Why people are written to.
    pub occasion: String,
    /// A sentence about the delivery itself, or nothing.
    pub note: String,
    /// The alerts it tells of.
    pub alerts: Vec<u64>,
}

/// How a try to deliver ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeliveryOutcome {
    /// The channel took it.
    Delivered,
    /// It did not; it is tried again.
    Failed,
    /// It did not for too long.
    GivenUp,
}

impl DeliveryOutcome {
    /// The word in the journal.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::GivenUp => "given up",
        }
    }
}

/// A try to deliver a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// The message.
    pub notification: u64,
    /// When, in milliseconds since 1970.
    pub time: i64,
    /// Which try, from 1.
    pub attempt: u32,
    /// How it ended.
    pub outcome: DeliveryOutcome,
    /// What went wrong, without secrets.
    pub problem: Option<String>,
    /// When it is tried again.
    pub retry: Option<i64>,
}

/// A message that has not arrived yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The message.
    pub notification: NotificationRow,
    /// Tries so far.
    pub attempts: u32,
    /// When to try next.
    pub due: i64,
}

/// Deliveries of one channel, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChannelCount {
    /// Messages that arrived.
    pub delivered: u64,
    /// Tries that failed.
    pub failed: u64,
    /// When the last test arrived.
    pub last_test: Option<i64>,
}

type Result<T> = std::result::Result<T, JournalError>;

const ALERTS: &str =
    "SELECT alert.id, time, rollup.address, alert.level, severity, nature, rule, subject,
        message, slack, stake, source
     FROM alert LEFT JOIN rollup ON alert.rollup = rollup.seq";

impl Reader {
    /// The newest alerts and all that nobody ended or that a message on its way tells of, oldest first.
    ///
    /// # Errors
    /// [`JournalError`] (likewise for every query below).
    pub fn alerts(&self, newest: u32) -> Result<Vec<AlertRow>> {
        let sql = format!(
            "WITH waiting AS MATERIALIZED
                (SELECT ',' || alerts || ',' AS alerts FROM notification AS n
                 WHERE NOT EXISTS (SELECT 1 FROM delivery AS d
                                   WHERE d.notification = n.id AND d.outcome <> 'failed'))
             {ALERTS} WHERE alert.id IN (SELECT id FROM alert ORDER BY id DESC LIMIT ?1)
                OR EXISTS (SELECT 1 FROM waiting WHERE instr(waiting.alerts, ',' || alert.id || ',') > 0)
                OR NOT EXISTS (SELECT 1 FROM alert_step AS s WHERE s.alert = alert.id
                               AND s.step IN ('acknowledged', 'recovered'))
                OR (nature = 'condition' AND NOT EXISTS
                    (SELECT 1 FROM alert_step AS s WHERE s.alert = alert.id AND s.step = 'recovered'))
             ORDER BY alert.id"
        );
        self.many(&sql, [newest], alert)
    }

    /// What became of every alert from `first` on, oldest first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn alert_steps(&self, first: u64) -> Result<Vec<AlertStepRow>> {
        self.steps("WHERE alert >= ?1", signed(first))
    }

    /// Acknowledgements written after a row of the record.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn acknowledgements(&self, after: i64) -> Result<Vec<(i64, AlertStepRow)>> {
        let rows: Vec<(i64, AlertStepRow)> = self.many(
            "SELECT alert, time, step, severity, detail, source, seq FROM alert_step
             WHERE seq > ?1 AND step = 'acknowledged' ORDER BY seq",
            [after],
            |row| Ok((row.get(6)?, step_row(row)?)),
        )?;
        Ok(rows)
    }

    fn steps(&self, condition: &str, value: i64) -> Result<Vec<AlertStepRow>> {
        let sql = format!(
            "SELECT alert, time, step, severity, detail, source FROM alert_step {condition} ORDER BY seq"
        );
        self.many(&sql, [value], step_row)
    }

    /// Messages queued since a time, and all that have not arrived, oldest first; with each the
    /// state of its delivery where it has not arrived.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn notifications(&self, since: i64) -> Result<Vec<(NotificationRow, Option<Waiting>)>> {
        self.many(
            "SELECT n.id, n.time, n.channel, n.occasion, n.note, n.alerts,
                    (SELECT count(*) FROM delivery AS d WHERE d.notification = n.id),
                    (SELECT max(d.retry) FROM delivery AS d WHERE d.notification = n.id),
                    EXISTS (SELECT 1 FROM delivery AS d
                            WHERE d.notification = n.id AND d.outcome <> 'failed')
             FROM notification AS n
             WHERE n.time >= ?1 OR NOT EXISTS (SELECT 1 FROM delivery AS d
                                WHERE d.notification = n.id AND d.outcome <> 'failed')
             ORDER BY n.id",
            [since],
            |row| {
                let notification = notification(row)?;
                let is_settled: bool = row.get(8)?;
                let waiting = (!is_settled).then_some(Waiting {
                    attempts: row.get(6)?,
                    due: row.get::<_, Option<i64>>(7)?.unwrap_or(notification.time),
                    notification: notification.clone(),
                });
                Ok((notification, waiting))
            },
        )
    }

    /// Channels that alerts from `first` on were told through, and have arrived or will; with the last
    /// row that told of them.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn told_through(&self, first: u64) -> Result<Vec<(u64, String, i64)>> {
        let rows: Vec<(String, String, i64)> = self.many(
            "SELECT channel, alerts, max(seq) FROM notification GROUP BY channel, alerts",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let mut told = BTreeMap::new();
        for (channel, alerts, seq) in &rows {
            for alert in numbers(alerts).filter(|alert| *alert >= first) {
                let last = told.entry((alert, channel.clone())).or_insert(*seq);
                *last = (*last).max(*seq);
            }
        }
        let told = told.into_iter();
        Ok(told
            .map(|((alert, channel), seq)| (alert, channel, seq))
            .collect())
    }

    /// When alerts from `first` on were last held back for a digest.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn held_alerts(&self, first: u64) -> Result<BTreeMap<u64, i64>> {
        let rows: Vec<(i64, i64)> = self.many(
            "SELECT alert, max(seq) FROM alert_step WHERE step = 'held' AND alert >= ?1 GROUP BY alert",
            [signed(first)],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let rows = rows.into_iter();
        Ok(rows
            .map(|(alert, seq)| (alert.unsigned_abs(), seq))
            .collect())
    }

    /// Channels whose last try failed, with the problem and the failures since one arrived.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn failing_channels(&self) -> Result<BTreeMap<String, (String, u32)>> {
        let rows: Vec<(String, String, i64)> = self.many(
            "WITH tried AS (SELECT channel, outcome, problem, delivery.seq AS seq
                            FROM delivery JOIN notification ON delivery.notification = notification.id),
                  arrived AS (SELECT channel, max(seq) AS seq FROM tried
                              WHERE outcome = 'delivered' GROUP BY channel)
             SELECT tried.channel, ifnull(problem, ''), count(*) OVER (PARTITION BY tried.channel)
             FROM tried LEFT JOIN arrived ON arrived.channel = tried.channel
             WHERE tried.seq > ifnull(arrived.seq, 0) ORDER BY tried.seq",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let failures = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let rows = rows.into_iter();
        Ok(rows
            .map(|(channel, problem, count)| (channel, (problem, failures(count))))
            .collect())
    }

    /// Highest numbers given to an alert and to a message, and the last row looked at.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn alert_marks(&self) -> Result<(u64, u64, i64)> {
        let marks: Option<(i64, i64, i64)> = self.one(
            "SELECT ifnull((SELECT max(id) FROM alert), 0), ifnull((SELECT max(id) FROM notification), 0),
                    max(ifnull((SELECT max(source) FROM alert), 0),
                        ifnull((SELECT max(source) FROM alert_step), 0))",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let (alert, notification, source) = marks.unwrap_or_default();
        Ok((alert.unsigned_abs(), notification.unsigned_abs(), source))
    }

    /// When the last alert that only proves delivery was raised, before a moment.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn last_test(&self, now: i64) -> Result<Option<i64>> {
        let newest = "SELECT max(time) FROM alert WHERE nature = 'test' AND time <= ?1";
        Ok(self.one(newest, [now], |row| row.get(0))?.flatten())
    }

    /// When the journal was first run, in milliseconds since 1970.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn first_run(&self) -> Result<Option<i64>> {
        let first = "SELECT min(at) FROM run";
        Ok(self.one(first, [], |row| row.get(0))?.flatten())
    }

    /// Deliveries of every channel, counted.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn deliveries(&self) -> Result<BTreeMap<String, ChannelCount>> {
        let rows = self.many(
            "SELECT channel, sum(outcome = 'delivered'), sum(outcome <> 'delivered'),
                    max(CASE WHEN outcome = 'delivered' AND occasion = 'test' THEN delivery.time END)
             FROM delivery JOIN notification ON delivery.notification = notification.id
             GROUP BY channel",
            [],
            |row| {
                let count = ChannelCount {
                    delivered: row.get::<_, i64>(1)?.unsigned_abs(),
                    failed: row.get::<_, i64>(2)?.unsigned_abs(),
                    last_test: row.get(3)?,
                };
                Ok((row.get(0)?, count))
            },
        )?;
        Ok(rows.into_iter().collect())
    }

    /// Every try to deliver a message, oldest first.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn tries(&self, notification: u64) -> Result<Vec<DeliveryRow>> {
        self.many(
            "SELECT time, attempt, outcome, problem, retry FROM delivery
             WHERE notification = ?1 ORDER BY seq",
            [signed(notification)],
            |row| {
                let word: String = row.get(2)?;
                let outcome = [
                    DeliveryOutcome::Delivered,
                    DeliveryOutcome::Failed,
                    DeliveryOutcome::GivenUp,
                ]
                .into_iter()
                .find(|outcome| outcome.word() == word)
                .ok_or_else(|| bad(2, Unknown(word)))?;
                Ok(DeliveryRow {
                    notification,
                    time: row.get(0)?,
                    attempt: row.get(1)?,
                    outcome,
                    problem: row.get(3)?,
                    retry: row.get(4)?,
                })
            },
        )
    }
}

/// Numbers are counted from 1 here; none is ever so large.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Numbers as a column holds them.
pub(super) fn joined(numbers: &[u64]) -> String {
    let texts: Vec<_> = numbers.iter().map(u64::to_string).collect();
    texts.join(",")
}

fn numbers(text: &str) -> impl Iterator<Item = u64> + '_ {
    text.split(',').filter_map(|number| number.parse().ok())
}

fn alert(row: &Row<'_>) -> rusqlite::Result<AlertRow> {
    let nature: String = row.get(5)?;
    let nature = [Nature::Event, Nature::Condition, Nature::Test]
        .into_iter()
        .find(|known| known.word() == nature)
        .ok_or_else(|| bad(5, Unknown(nature)))?;
    let at: Option<i64> = row.get(3)?;
    Ok(AlertRow {
        id: row.get::<_, i64>(0)?.unsigned_abs(),
        time: row.get(1)?,
        rollup: row.get::<_, Option<[u8; 20]>>(2)?.map(RollupAddress),
        level: at.map(|_| level(row, 3)).transpose()?,
        severity: severity_in(row, 4)?,
        nature,
        rule: row.get(6)?,
        subject: row.get(7)?,
        message: row.get(8)?,
        slack: row.get(9)?,
        stake: row.get::<_, Option<i64>>(10)?.map(i64::unsigned_abs),
        source: row.get(11)?,
    })
}

fn step_row(row: &Row<'_>) -> rusqlite::Result<AlertStepRow> {
    let word: String = row.get(2)?;
    let step = Step::ALL
        .into_iter()
        .find(|step| step.word() == word)
        .ok_or_else(|| bad(2, Unknown(word)))?;
    Ok(AlertStepRow {
        alert: row.get::<_, i64>(0)?.unsigned_abs(),
        time: row.get(1)?,
        step,
        severity: severity_in(row, 3)?,
        detail: row.get(4)?,
        source: row.get(5)?,
    })
}

fn notification(row: &Row<'_>) -> rusqlite::Result<NotificationRow> {
    let alerts: String = row.get(5)?;
    Ok(NotificationRow {
        id: row.get::<_, i64>(0)?.unsigned_abs(),
        time: row.get(1)?,
        channel: row.get(2)?,
        occasion: row.get(3)?,
        note: row.get(4)?,
        alerts: numbers(&alerts).collect(),
    })
}

fn severity_in(row: &Row<'_>, column: usize) -> rusqlite::Result<Severity> {
    let word: String = row.get(column)?;
    severity(&word).ok_or_else(|| bad(column, Unknown(word)))
}
