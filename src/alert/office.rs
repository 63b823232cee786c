//! The desk with its journal: every turn reads what is new, decides, writes, and only then hands
//! out messages to send.
//!
//! Promises: what was decided is on disk before anybody is told; after a failed write the desk is
//! taken up from the journal again. Refuses to know: clocks and sockets.

use std::collections::BTreeMap;
use std::path::Path;

use super::case::{Case, Plan, Route};
use super::desk::Desk;
use super::message::{Message, Occasion, Told};
use super::rule::signal_of;
use super::settings::Settings;
use super::standing::{Standing, conditions};
use super::token::Tokens;
use crate::journal::{
    Entry, Journal, JournalError, LogFilter, LogKind, LogRow, NotificationRow, Reader,
};
use crate::protocol::{Dialected, Level, RollupAddress};

/// Kinds of rows that rules look at.
const READ: [LogKind; 3] = [LogKind::Alarm, LogKind::Reorganisation, LogKind::Operation];
/// Operations further below the head are history, seen while catching up.
const HISTORY: i64 = 100;

/// A message to send through a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The channel.
    pub channel: String,
    /// The message.
    pub message: Message,
}

/// Links in messages: where they lead and what makes them ours.
#[derive(Debug, Clone)]
struct Links {
    tokens: Tokens,
    base: String,
}

/// The desk and its journal.
#[derive(Debug)]
pub struct Office {
    journal: Journal,
    reader: Reader,
    plan: Plan,
    desk: Desk,
    links: Option<Links>,
    rollups: BTreeMap<RollupAddress, String>,
    acknowledged: i64,
    is_stale: bool,
}

impl From<&Settings> for Plan {
    fn from(settings: &Settings) -> Self {
        let millis =
            |time: std::time::Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let routes = settings.channels.iter().map(|channel| Route {
            name: channel.name.clone(),
            least: channel.least,
            from_escalation: channel.from_escalation,
        });
        Self {
            routes: routes.collect(),
            escalate_after: millis(settings.escalate_after).max(60_000),
            per_hour: settings.per_hour.max(1),
            test_every: settings.test_every.map(millis),
        }
    }
}

impl Office {
    /// Opens the journal and takes up the desk.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(
        journal: &Path,
        settings: &Settings,
        tokens: &Tokens,
        now: i64,
    ) -> Result<Self, JournalError> {
        let journal = Journal::open(journal)?;
        let reader = journal.reader()?;
        let plan = Plan::from(settings);
        // Read before the desk: an acknowledgement in between is only taken in twice, while one
        // that is older than a worsening must not be taken in after it.
        let acknowledged = reader.newest()?;
        let desk = Desk::from_journal(&reader, plan.clone(), now)?;
        let links = settings.public_url.as_ref().map(|url| Links {
            tokens: tokens.clone(),
            base: url.trim_end_matches('/').to_owned(),
        });
        Ok(Self {
            journal,
            reader,
            plan,
            desk,
            links,
            rollups: BTreeMap::new(),
            acknowledged,
            is_stale: false,
        })
    }

    /// The desk as it stands.
    #[must_use]
    pub const fn desk(&self) -> &Desk {
        &self.desk
    }

    /// One turn: what happened since the last one, what is wrong now, what is due. Answers the
    /// messages to send.
    ///
    /// # Errors
    /// [`JournalError`]; then nothing may be sent, and the next turn starts from the journal.
    pub fn turn(
        &mut self,
        standing: Option<&Standing>,
        now: i64,
    ) -> Result<Vec<Job>, JournalError> {
        // What was taken in or handed out and came to nothing is in the journal still.
        self.turned(standing, now)
            .inspect_err(|_| self.is_stale = true)
    }

    fn turned(&mut self, standing: Option<&Standing>, now: i64) -> Result<Vec<Job>, JournalError> {
        if self.is_stale {
            self.acknowledged = self.reader.newest()?;
            self.desk = Desk::from_journal(&self.reader, self.plan.clone(), now)?;
            self.is_stale = false;
        }
        let mut out = Vec::new();
        self.read_acknowledgements()?;
        self.read_record(standing, now, &mut out)?;
        if let Some(standing) = standing {
            let mut held = conditions(standing, now);
            held.extend(self.desk.unreachable());
            self.desk.conditions(held, now, &mut out);
        }
        self.desk.tick(now, &mut out);
        self.write(out)?;
        let due = self.desk.take_due(now);
        due.into_iter().map(|row| self.job(row, now)).collect()
    }

    /// Notes how sending a message ended.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn report(
        &mut self,
        notification: u64,
        outcome: Result<(), String>,
        now: i64,
    ) -> Result<(), JournalError> {
        let mut out = Vec::new();
        self.desk.settle(notification, outcome, now, &mut out);
        self.write(out)
    }

    /// Notes that somebody takes care of an alert; whether there is such an alert.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn acknowledge(&mut self, id: u64, by: &str, now: i64) -> Result<bool, JournalError> {
        let mut out = Vec::new();
        self.desk.acknowledge(id, by, now, &mut out);
        self.write(out)?;
        Ok(self.desk.case(id).is_some())
    }

    fn write(&mut self, entries: Vec<Entry>) -> Result<(), JournalError> {
        if entries.is_empty() {
            return Ok(());
        }
        self.journal
            .write(entries)
            .inspect_err(|_| self.is_stale = true)
    }

    fn read_acknowledgements(&mut self) -> Result<(), JournalError> {
        for (seq, step) in self.reader.acknowledgements(self.acknowledged)? {
            self.desk.learn(&step);
            self.acknowledged = seq;
        }
        Ok(())
    }

    fn read_record(
        &mut self,
        standing: Option<&Standing>,
        now: i64,
        out: &mut Vec<Entry>,
    ) -> Result<(), JournalError> {
        let rows = self.reader.log(&LogFilter {
            kinds: READ.to_vec(),
            after: self.desk.read(),
            ..LogFilter::default()
        })?;
        // Before the alerts it leads to: they name the row up to which all was looked at.
        if let Some(last) = rows.last() {
            self.desk.mark_read(last.seq);
        }
        let has_operations = rows.iter().any(|row| row.kind == LogKind::Operation);
        let head = match has_operations {
            true => self.head(standing)?,
            false => None,
        };
        for row in &rows {
            if row.kind == LogKind::Operation && !is_fresh(row, head) {
                continue;
            }
            if let Some(signal) = signal_of(row) {
                self.desk.signal(signal, now, out);
            }
        }
        Ok(())
    }

    /// The newest block known. Until a tower that starts has seen one, it is the journal's: what
    /// happened just before the last end is news still.
    fn head(&self, standing: Option<&Standing>) -> Result<Option<Level>, JournalError> {
        let told = standing.and_then(|standing| standing.head.max(standing.tip));
        let journalled = self.reader.head()?.map(|block| block.level);
        Ok(told.max(journalled))
    }

    fn job(&mut self, row: NotificationRow, now: i64) -> Result<Job, JournalError> {
        let mut cases: Vec<Case> = row
            .alerts
            .iter()
            .filter_map(|id| self.desk.case(*id).cloned())
            .collect();
        cases.sort_by_key(|case| (std::cmp::Reverse(case.severity), case.row.id));
        let mut alerts = Vec::new();
        for case in &cases {
            alerts.push(self.told(case, now)?);
        }
        Ok(Job {
            channel: row.channel,
            message: Message {
                notification: row.id,
                occasion: Occasion::from_word(&row.occasion).unwrap_or(Occasion::Raised),
                note: row.note,
                alerts,
            },
        })
    }

    fn told(&mut self, case: &Case, now: i64) -> Result<Told, JournalError> {
        let rollup = match case.row.rollup {
            Some(address) => Some(self.name(address)?),
            None => None,
        };
        let needs_answer = case.acknowledged.is_none() && case.over.is_none();
        let links = self.links.as_ref().filter(|_| needs_answer);
        let token = links.and_then(|links| {
            let token = links.tokens.issue(case.row.id, now)?;
            Some(format!("{}/ack/{token}", links.base))
        });
        Ok(Told {
            id: case.row.id,
            rule: case.row.rule.clone(),
            severity: case.severity,
            rollup,
            level: case.row.level.map(|level| level.get()),
            message: case.row.message.clone(),
            time: case.row.time,
            slack: case.row.slack,
            stake: case.row.stake,
            link: token,
        })
    }

    fn name(&mut self, address: RollupAddress) -> Result<String, JournalError> {
        if !self.rollups.contains_key(&address) {
            for row in self.reader.rollups()? {
                self.rollups
                    .insert(row.address, row.address.text(row.dialect));
            }
        }
        let known = self.rollups.get(&address).cloned();
        Ok(known.unwrap_or_else(|| address.to_string()))
    }
}

fn is_fresh(row: &LogRow, head: Option<Level>) -> bool {
    match (head, row.level) {
        (Some(head), Some(level)) => level.saturating_add(HISTORY) >= i64::from(head.get()),
        _ => false,
    }
}
