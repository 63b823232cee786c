//! Alerts while the tower runs: one thread that takes turns at the desk, tasks that send.
//!
//! Promises: SQLite is only touched on the thread; a channel that hangs delays nobody else; the
//! heartbeat stops when the tower's loop does, not only when the process does. Refuses to know:
//! what is wrong with a rollup.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::channel::{Channels, Delivered, Undelivered};
use super::message::{Message, Occasion, Told};
use super::office::Office;
use super::settings::{Heartbeat, Settings};
use super::standing::Standing;
use super::token::Tokens;
use super::{AlertError, Secret, email, webhook};
use crate::journal::{JournalError, Nature, Severity};

/// Orders that may wait for the thread.
const WAITING: usize = 256;
/// The thread looks around at least so often.
const LONGEST_NAP: Duration = Duration::from_secs(20);
/// Silence of the tower's loop after which the heartbeat stops, in milliseconds.
const ALIVE: i64 = 10 * 60_000;
/// Time after which people are told once more that the journal takes nothing, in milliseconds.
const AGAIN: i64 = 3_600_000;

/// Turns in a row without a journal after which people are told past it.
const SPEECHLESS: u32 = 3;

/// What the thread is told.
enum Order {
    Pulse,
    Outcome(u64, Result<(), String>),
    Acknowledge(u64, String, oneshot::Sender<Acknowledgement>),
    Beat(Result<(), String>),
    Stop,
}

/// What came of an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledgement {
    /// It is in the journal.
    Taken,
    /// There is no such alert.
    Unknown,
    /// The journal refused; try again.
    Failed,
}

/// Figures for metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pulse {
    /// Alerts that are not over, by severity.
    pub open: BTreeMap<Severity, u64>,
    /// Those of them that nobody takes care of.
    pub unacknowledged: BTreeMap<Severity, u64>,
    /// Messages that have not arrived, by channel.
    pub waiting: BTreeMap<String, u64>,
    /// When the last heartbeat arrived, in milliseconds since 1970.
    pub heartbeat: Option<i64>,
    /// Heartbeats that did not arrive.
    pub heartbeat_failures: u64,
}

/// Reaches the running service.
#[derive(Debug, Clone)]
pub struct Handle {
    orders: SyncSender<Order>,
    pulse: Arc<Mutex<Pulse>>,
    /// How the tower stands, until the thread looks.
    newest: Arc<Mutex<Option<Standing>>>,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Order")
    }
}

impl Handle {
    /// Says that the record has grown.
    pub fn pulse(&self) {
        // A full queue wakes the thread anyway.
        let _ = self.orders.try_send(Order::Pulse);
    }

    /// Says how the tower stands now: however long the thread is busy, it looks at the newest.
    pub fn standing(&self, standing: Standing) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = Some(standing);
        drop(newest);
        self.pulse();
    }

    /// Notes that somebody takes care of an alert.
    pub async fn acknowledge(&self, id: u64, by: &str) -> Acknowledgement {
        let (sender, receiver) = oneshot::channel();
        let order = Order::Acknowledge(id, by.to_owned(), sender);
        if self.orders.try_send(order).is_err() {
            return Acknowledgement::Failed;
        }
        receiver.await.unwrap_or(Acknowledgement::Failed)
    }

    /// Figures as of the last turn.
    #[must_use]
    pub fn figures(&self) -> Pulse {
        let pulse = self.pulse.lock().unwrap_or_else(PoisonError::into_inner);
        pulse.clone()
    }
}

/// The running service; it ends with [`Service::stop`].
#[derive(Debug)]
pub struct Service {
    handle: Handle,
    thread: JoinHandle<()>,
}

impl Service {
    /// Starts the thread. Must be called inside the asynchronous runtime that is to send.
    ///
    /// # Errors
    /// [`AlertError`] when the journal or a channel cannot be used.
    pub fn start(
        journal: &Path,
        settings: &Settings,
        tokens: &Tokens,
        channels: Arc<Channels>,
    ) -> Result<Self, AlertError> {
        let office = Office::open(journal, settings, tokens, now())?;
        let (orders, received) = sync_channel(WAITING);
        let handle = Handle {
            orders: orders.clone(),
            pulse: Arc::default(),
            newest: Arc::default(),
        };
        let heart = settings.heartbeat.as_ref().map(Heart::new).transpose()?;
        let work = Work {
            office,
            standing: None,
            channels,
            heart,
            runtime: tokio::runtime::Handle::current(),
            orders,
            pulse: Arc::clone(&handle.pulse),
            newest: Arc::clone(&handle.newest),
            speechless: 0,
            cried: None,
        };
        let thread = std::thread::Builder::new()
            .name("alerts".into())
            .spawn(move || work.serve(&received))
            .map_err(AlertError::Thread)?;
        Ok(Self { handle, thread })
    }

    /// Reaches it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Lets it finish its turn. What has not arrived is tried again at the next start.
    pub fn stop(self) {
        // Gone already is as good.
        let _ = self.handle.orders.send(Order::Stop);
        let _ = self.thread.join();
    }
}

/// The dead man's switch.
#[derive(Debug)]
struct Heart {
    url: Secret,
    http: reqwest::Client,
    every: i64,
    last: Option<i64>,
}

impl Heart {
    fn new(heartbeat: &Heartbeat) -> Result<Self, AlertError> {
        let wrong = |problem: String| AlertError::Channel {
            name: "heartbeat".into(),
            problem,
        };
        let url = webhook::located(&heartbeat.url)?;
        let parsed = webhook::parsed(&url).map_err(wrong)?;
        Ok(Self {
            http: webhook::client(&parsed).map_err(wrong)?,
            url,
            every: i64::try_from(heartbeat.every.as_millis()).unwrap_or(i64::MAX),
            last: None,
        })
    }

    /// Whether to beat now: not before the tower's loop ran, and not after it fell silent.
    fn is_due(&self, standing: Option<&Standing>, now: i64) -> bool {
        // A tower that cannot write does nothing.
        let is_alive = standing.is_some_and(|standing| {
            standing.disk_trouble.is_none() && now.saturating_sub(standing.last_tick) < ALIVE
        });
        // A clock that was set back must not stop the heart.
        let is_time = self
            .last
            .is_none_or(|last| last > now || now.saturating_sub(last) >= self.every);
        is_alive && is_time
    }
}

struct Work {
    office: Office,
    standing: Option<Standing>,
    channels: Arc<Channels>,
    heart: Option<Heart>,
    runtime: tokio::runtime::Handle,
    orders: SyncSender<Order>,
    pulse: Arc<Mutex<Pulse>>,
    newest: Arc<Mutex<Option<Standing>>>,
    /// Turns in a row that the journal did not take.
    speechless: u32,
    /// When people were told past the journal, and what.
    cried: Option<(i64, String)>,
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

impl Work {
    fn serve(mut self, orders: &Receiver<Order>) {
        let mut is_stopping = false;
        while !is_stopping {
            let mut next = match orders.recv_timeout(self.nap()) {
                Ok(order) => Some(order),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            while let Some(order) = next {
                is_stopping |= self.obey(order);
                next = orders.try_recv().ok();
            }
            self.turn();
        }
    }

    /// How long nothing is due.
    fn nap(&self) -> Duration {
        let beat = self.heart.as_ref().map(|heart| {
            heart
                .last
                .map_or(0, |last| last.saturating_add(heart.every))
        });
        let next = self.office.desk().next_turn().into_iter().chain(beat).min();
        let wait = next.map_or(i64::MAX, |next| next.saturating_sub(now()));
        // At least a moment: a journal that refuses must not be asked in a tight loop.
        let wait = Duration::from_millis(wait.max(200).unsigned_abs());
        wait.min(LONGEST_NAP)
    }

    fn obey(&mut self, order: Order) -> bool {
        let outcome = match order {
            Order::Pulse => Ok(()),
            Order::Stop => return true,
            Order::Outcome(id, outcome) => self.office.report(id, outcome, now()),
            Order::Acknowledge(id, by, reply) => {
                let outcome = self.office.acknowledge(id, &by, now());
                let answer = match &outcome {
                    Ok(true) => Acknowledgement::Taken,
                    Ok(false) => Acknowledgement::Unknown,
                    Err(_) => Acknowledgement::Failed,
                };
                // Whoever asked may have gone.
                let _ = reply.send(answer);
                outcome.map(|_| ())
            }
            Order::Beat(outcome) => {
                self.note_beat(outcome);
                Ok(())
            }
        };
        if let Err(error) = outcome {
            complain(&error);
        }
        false
    }

    fn note_beat(&self, outcome: Result<(), String>) {
        let mut pulse = self.pulse.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => pulse.heartbeat = Some(now()),
            Err(problem) => {
                pulse.heartbeat_failures = pulse.heartbeat_failures.saturating_add(1);
                tracing::warn!(problem, "the heartbeat did not arrive");
            }
        }
    }

    fn turn(&mut self) {
        let now = now();
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(standing) = newest.take() {
            self.standing = Some(standing);
        }
        drop(newest);
        match self.office.turn(self.standing.as_ref(), now) {
            Ok(jobs) => {
                self.speechless = 0;
                if let Some((_, problem)) = self.cried.take() {
                    self.cry(Occasion::Recovered, &problem, now);
                }
                for job in jobs {
                    self.send(job);
                }
            }
            Err(error) => {
                // Once is enough: it goes on for as long as the disk is full.
                if self.speechless == 0 {
                    complain(&error);
                }
                self.speechless = self.speechless.saturating_add(1);
                let is_told = self
                    .cried
                    .as_ref()
                    .is_some_and(|(then, _)| now.saturating_sub(*then) < AGAIN);
                if self.speechless >= SPEECHLESS && !is_told {
                    let problem = error.to_string();
                    self.cry(Occasion::Raised, &problem, now);
                    self.cried = Some((now, problem));
                }
            }
        }
        self.beat(now);
        self.count();
    }

    /// The one message that does not go through the journal, since it is about the journal: once
    /// through every channel, whatever comes of it.
    fn cry(&self, occasion: Occasion, problem: &str, now: i64) {
        let told = Told {
            id: 0,
            rule: "disk-failing".into(),
            severity: Severity::Critical,
            rollup: None,
            level: None,
            message: format!("nothing can be written, so nothing is sent: {problem}"),
            time: now,
            slack: None,
            stake: None,
            link: None,
        };
        let message = Message {
            notification: 0,
            occasion,
            note: "This message could not be journalled.".into(),
            alerts: vec![told],
        };
        let names: Vec<_> = self.channels.names().map(str::to_owned).collect();
        for channel in names {
            let (channels, message) = (Arc::clone(&self.channels), message.clone());
            self.runtime.spawn(async move {
                if let Err(problem) = channels.deliver(&channel, &message).await {
                    tracing::warn!(channel, %problem, "alert not delivered");
                }
            });
        }
    }

    fn send(&self, job: super::Job) {
        let (channels, orders) = (Arc::clone(&self.channels), self.orders.clone());
        self.runtime.spawn(async move {
            let id = job.message.notification;
            let channel = job.channel.as_str();
            let message = job.message.clone();
            let name = job.channel.clone();
            let sending = async move { channels.deliver(&name, &message).await };
            let outcome = match ended(tokio::spawn(sending)).await {
                Ok(answer) => {
                    tracing::info!(
                        channel,
                        notification = id,
                        answer = answer.0,
                        "alert delivered"
                    );
                    Ok(())
                }
                Err(problem) => {
                    tracing::warn!(channel, notification = id, %problem, "alert not delivered");
                    Err(problem.0)
                }
            };
            report(&orders, Order::Outcome(id, outcome)).await;
        });
    }

    fn beat(&mut self, now: i64) {
        let Some(heart) = &mut self.heart else { return };
        if !heart.is_due(self.standing.as_ref(), now) {
            return;
        }
        heart.last = Some(now);
        let (http, url, orders) = (heart.http.clone(), heart.url.clone(), self.orders.clone());
        self.runtime.spawn(async move {
            let outcome = match http.get(url.reveal()).send().await {
                Ok(answer) if answer.status().is_success() => Ok(()),
                Ok(answer) => Err(format!("the server answered {}", answer.status())),
                Err(error) => Err(email::causes(&error.without_url())),
            };
            report(&orders, Order::Beat(outcome)).await;
        });
    }

    fn count(&self) {
        let desk = self.office.desk();
        let mut pulse = self.pulse.lock().unwrap_or_else(PoisonError::into_inner);
        pulse.open.clear();
        pulse.unacknowledged.clear();
        let open = desk
            .cases()
            .filter(|case| case.over.is_none() && case.row.nature != Nature::Test);
        for case in open {
            let count = pulse.open.entry(case.severity).or_default();
            *count = count.saturating_add(1);
            if case.acknowledged.is_none() {
                let count = pulse.unacknowledged.entry(case.severity).or_default();
                *count = count.saturating_add(1);
            }
        }
        pulse.waiting = desk
            .waiting()
            .into_iter()
            .map(|(channel, count)| (channel.to_owned(), count))
            .collect();
    }
}

/// How sending ended; a try that broke down failed like any other, or its channel would be taken for
/// busy for ever.
async fn ended(
    sending: tokio::task::JoinHandle<Result<Delivered, Undelivered>>,
) -> Result<Delivered, Undelivered> {
    let broken =
        |error: tokio::task::JoinError| Undelivered(format!("sending broke down: {error}"));
    sending.await.unwrap_or_else(|error| Err(broken(error)))
}

/// Brings an outcome to the thread, waiting while its queue is full.
async fn report(orders: &SyncSender<Order>, order: Order) {
    let mut order = order;
    loop {
        match orders.try_send(order) {
            Err(std::sync::mpsc::TrySendError::Full(back)) => order = back,
            // Disconnected: everything stops, and the journal says that it has not arrived.
            _ => return,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn complain(error: &JournalError) {
    tracing::error!(%error, "alerts cannot be journalled");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Located;

    #[test]
    fn a_silent_loop_has_no_heartbeat() {
        // Fails only when it was installed before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut heart = Heart::new(&Heartbeat {
            url: Located::Here("http://127.0.0.1:1/beat".into()),
            every: Duration::from_secs(60),
        })
        .unwrap();
        let now = 10 * ALIVE;
        let turned = |last_tick| Standing {
            last_tick,
            ..Standing::default()
        };
        assert!(!heart.is_due(None, now), "before the loop turned");
        assert!(heart.is_due(Some(&turned(now)), now));
        assert!(!heart.is_due(Some(&turned(now - ALIVE)), now), "it hangs");
        heart.last = Some(now - 59_000);
        assert!(!heart.is_due(Some(&turned(now)), now), "too early");
        heart.last = Some(now - 60_000);
        assert!(heart.is_due(Some(&turned(now)), now));
        heart.last = Some(now + 86_400_000);
        assert!(
            heart.is_due(Some(&turned(now)), now),
            "the clock was set back"
        );
    }

    #[test]
    fn how_the_tower_stands_is_known_however_many_orders_wait() {
        let (orders, _busy) = sync_channel(1);
        let handle = Handle {
            orders,
            pulse: Arc::default(),
            newest: Arc::default(),
        };
        for last_tick in 1..4 {
            handle.standing(Standing {
                last_tick,
                ..Standing::default()
            });
        }
        let newest = handle.newest.lock().unwrap().take();
        assert_eq!(newest.map(|standing| standing.last_tick), Some(3));
    }

    #[tokio::test]
    async fn a_try_that_breaks_down_ends() {
        let breaks = async { panic!("a test") };
        let outcome = ended(tokio::spawn(breaks)).await;
        assert!(outcome.unwrap_err().0.starts_with("sending broke down"));
    }
}
