//! Conditions that last: what is wrong with how the tower stands at a moment. Pure.
//!
//! Promises: the same standing gives the same signals, whoever asks; each is told once while it
//! lasts, and ends by itself. Refuses to know: where the numbers come from.

use super::rule::{Signal, severity};
use crate::journal::{Nature, Severity};
use crate::protocol::{Level, RollupAddress};

/// Silence of the tower's loop that means it hangs, in milliseconds.
const HUNG: i64 = 10 * 60_000;
/// Time without a new block that means the chain or every node stands still, in milliseconds.
const STALLED: i64 = 5 * 60_000;
/// How far a block may be ahead of this machine's clock, in milliseconds.
pub const SKEW: i64 = 30_000;
/// Levels behind the head that are too many, once the tower had caught up.
const BEHIND: u32 = 30;
/// Failures in a row after which an endpoint is down.
const DOWN: u64 = 5;
/// Blocks an operation may wait for inclusion.
const STUCK: u32 = 5;
/// Free bytes below which the disk is short.
const DISK: u64 = 2 << 30;

/// How the tower stands: everything that conditions look at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// When the tower's loop last finished a turn, in milliseconds since 1970.
    pub last_tick: i64,
    /// When the last block was taken in, in milliseconds since 1970.
    pub tip_seen: Option<i64>,
    /// Level of the last block taken in.
    pub tip: Option<Level>,
    /// Level of the node's head.
    pub head: Option<Level>,
    /// Every rollup under watch.
    pub rollups: Vec<RollupStanding>,
    /// Every node.
    pub endpoints: Vec<EndpointStanding>,
    /// Blocks the oldest operation of ours waits for inclusion.
    pub oldest_pending: Option<u32>,
    /// Money of the signing account, and what it needs, in mutez.
    pub balance: Option<(u64, u64)>,
    /// Free bytes where the data directory is.
    pub disk_free: Option<u64>,
    /// How far the last block was ahead of this machine's clock, in milliseconds.
    pub clock_skew: i64,
    /// Configured folders that are not there.
    pub absent_folders: Vec<String>,
    /// Why nothing can be written to the data directory, if so.
    pub disk_trouble: Option<String>,
}

/// How one rollup stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollupStanding {
    /// The rollup.
    pub address: RollupAddress,
    /// Level of the last known state.
    pub reached: Level,
    /// Whether it was at the head since the start.
    pub was_caught_up: bool,
    /// Why it cannot go on, if it cannot.
    pub blocked: Option<String>,
    /// The published commitment without a verdict that becomes final first.
    pub unverified: Option<Unverified>,
    /// Games that the operator plays on it.
    pub games: Vec<GameStanding>,
    /// Why nothing may be sent for it, if nothing may.
    pub brake: Option<String>,
}

/// A published commitment without a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unverified {
    /// Its inbox level.
    pub level: Level,
    /// Blocks until it can be cemented.
    pub blocks: u32,
    /// Blocks of the whole challenge window.
    pub window: u32,
}

/// A game of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GameStanding {
    /// The opponent.
    pub opponent: String,
    /// Inbox level of the disputed commitments.
    pub level: Level,
    /// Blocks left beyond those that the remaining moves take; none when it is not our turn.
    pub slack: Option<u32>,
    /// Blocks of a whole clock.
    pub clock: u32,
    /// Money at stake, in mutez.
    pub stake: u64,
    /// Why it cannot be played, if it cannot.
    pub unplayable: Option<String>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointStanding {
    /// Its name, without secrets.
    pub name: String,
    /// Failures since the last answer.
    pub errors: u64,
    /// Whether it lags or is not bootstrapped.
    pub is_behind: bool,
    /// Whether its final blocks differ from the others'.
    pub disagrees: bool,
}

fn condition(rule: &str, severity: Severity, subject: &str, message: String) -> Signal {
    Signal {
        rule: rule.into(),
        rollup: None,
        level: None,
        severity,
        nature: Nature::Condition,
        subject: subject.into(),
        message,
        slack: None,
        stake: None,
    }
}

/// Everything that is wrong at a moment.
#[must_use]
pub fn conditions(standing: &Standing, now: i64) -> Vec<Signal> {
    let mut found = Vec::new();
    liveness(standing, now, &mut found);
    for rollup in &standing.rollups {
        of_rollup(rollup, standing, &mut found);
    }
    of_endpoints(&standing.endpoints, &mut found);
    of_resources(standing, &mut found);
    found
}

fn liveness(standing: &Standing, now: i64, found: &mut Vec<Signal>) {
    let silent = now.saturating_sub(standing.last_tick);
    if standing.last_tick > 0 && silent > HUNG {
        let message = format!(
            "the tower's loop has been silent for {} minutes: restart it if blocks are being made",
            silent / 60_000
        );
        found.push(condition("hung", Severity::Critical, "", message));
        return;
    }
    if standing.clock_skew > SKEW {
        let message = format!(
            "this machine's clock is {} seconds behind the newest block: set it by NTP",
            standing.clock_skew / 1000
        );
        found.push(condition("clock-skew", Severity::Warning, "", message));
    }
    let Some(seen) = standing.tip_seen else {
        return;
    };
    let age = now.saturating_sub(seen);
    if age > STALLED {
        let message = format!(
            "no new block for {} minutes (the last has level {}): the chain stands still, or no node keeps up",
            age / 60_000,
            standing.tip.unwrap_or(Level::ZERO)
        );
        found.push(condition("stalled", Severity::Critical, "", message));
    }
}

fn of_rollup(rollup: &RollupStanding, standing: &Standing, found: &mut Vec<Signal>) {
    let about = |mut signal: Signal| {
        signal.rollup = Some(rollup.address);
        signal
    };
    if let Some(reason) = &rollup.blocked {
        let message = format!(
            "commitments above level {} are not judgeable: {reason}",
            rollup.reached
        );
        let mut signal = about(condition("not-judgeable", Severity::Critical, "", message));
        signal.level = Some(rollup.reached);
        found.push(signal);
    }
    let head = standing.head.max(standing.tip);
    let lag = head
        .and_then(|head| head.since(rollup.reached))
        .unwrap_or(0);
    if rollup.was_caught_up && rollup.blocked.is_none() && lag > BEHIND {
        let message = format!(
            "the last known state has level {}, {lag} levels behind the head",
            rollup.reached
        );
        found.push(about(condition("behind", Severity::Warning, "", message)));
    }
    if let Some(unverified) = &rollup.unverified {
        let loudness = severity(unverified.blocks, unverified.window, 0);
        if loudness > Severity::Notice {
            let message = format!(
                "a commitment for level {} has no verdict and can be cemented in {} blocks",
                unverified.level, unverified.blocks
            );
            let rule = "unverified-near-cementing";
            let mut signal = about(condition(rule, loudness, "", message));
            signal.level = Some(unverified.level);
            signal.slack = Some(unverified.blocks);
            found.push(signal);
        }
    }
    for game in &rollup.games {
        of_game(game, found, &about);
    }
    if let Some(reason) = &rollup.brake {
        let message = format!("nothing is sent for this rollup: {reason}");
        found.push(about(condition(
            "brake-on",
            Severity::Critical,
            "",
            message,
        )));
    }
}

fn of_game(game: &GameStanding, found: &mut Vec<Signal>, about: &impl Fn(Signal) -> Signal) {
    let subject = format!("{} {}", game.opponent, game.level);
    let mut tell = |rule: &str, severity: Severity, message: String| {
        let mut signal = about(condition(rule, severity, &subject, message));
        signal.level = Some(game.level);
        signal.slack = game.slack;
        signal.stake = Some(game.stake);
        found.push(signal);
    };
    if let Some(reason) = &game.unplayable {
        let message = format!(
            "the game against {} over level {} cannot be played: {reason}",
            game.opponent, game.level
        );
        tell("game-not-playable", Severity::Critical, message);
    }
    // A whole clock is comfortable; what counts is how fast it is eaten.
    let Some(slack) = game.slack else { return };
    let share = u64::from(slack).saturating_mul(4);
    if share <= u64::from(game.clock).saturating_mul(3) {
        let message = format!(
            "{slack} blocks of slack are left in the game against {} over level {}",
            game.opponent, game.level
        );
        let loudness = severity(slack, game.clock, game.stake);
        tell("game-slack", loudness, message);
    }
}

fn of_endpoints(endpoints: &[EndpointStanding], found: &mut Vec<Signal>) {
    let down = |one: &&EndpointStanding| one.errors >= DOWN;
    if !endpoints.is_empty() && endpoints.iter().filter(down).count() == endpoints.len() {
        let message = format!(
            "none of the {} nodes answers: the tower is blind",
            endpoints.len()
        );
        found.push(condition("no-endpoint", Severity::Critical, "", message));
    }
    for one in endpoints {
        let name = &one.name;
        let mut tell = |rule: &str, message: String| {
            found.push(condition(rule, Severity::Warning, name, message));
        };
        if down(&one) {
            let message = format!("{name} failed {} times in a row", one.errors);
            tell("endpoint-down", message);
        }
        if one.is_behind {
            tell(
                "endpoint-out-of-sync",
                format!("{name} lags behind the chain"),
            );
        }
        if one.disagrees {
            let message = format!("{name} has other final blocks than the other nodes");
            tell("endpoint-disagrees", message);
        }
    }
}

fn of_resources(standing: &Standing, found: &mut Vec<Signal>) {
    if let Some(blocks) = standing.oldest_pending.filter(|blocks| *blocks > STUCK) {
        let message = format!("an operation has been waiting for inclusion for {blocks} blocks");
        let loudness = if blocks > STUCK.saturating_mul(4) {
            Severity::Critical
        } else {
            Severity::Warning
        };
        found.push(condition("operation-stuck", loudness, "", message));
    }
    if let Some((has, needs)) = standing.balance.filter(|(has, needs)| has < needs) {
        let message = format!("the signing account has {has} mutez and needs {needs}");
        found.push(condition("balance-low", Severity::Warning, "", message));
    }
    for folder in &standing.absent_folders {
        let message = format!(
            "the preimages directory {folder} is not there: what the kernel reveals can come from preimage_endpoints only"
        );
        let signal = condition("preimages-absent", Severity::Warning, folder, message);
        found.push(signal);
    }
    if let Some(problem) = &standing.disk_trouble {
        let message = format!("nothing can be written, so nothing is sent: {problem}");
        found.push(condition("disk-failing", Severity::Critical, "", message));
    }
    if let Some(free) = standing.disk_free.filter(|free| *free < DISK) {
        let message = format!("{free} bytes are free where the data directory is");
        found.push(condition("disk-low", Severity::Critical, "", message));
    }
}
