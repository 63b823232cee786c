//! `watchtower follow`: the tower itself.

use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::args::FollowArgs;
use super::exit::{Exit, Failure};
use super::keys::signing_key;
use super::output::{Logs, is_terminal, runtime, start_logs};
use crate::config::{Config, ConfigError, LogFormat};
use crate::protocol::Level;
use crate::serve::attend;
use crate::signer::Key;
use crate::tower::{Outcome, Status, TowerError, follow};

/// SIGXFSZ, where Linux runs our targets.
const FILE_SIZE: std::ffi::c_int = 25;

/// Runs until stopped or done. A hang-up signal reads the configuration again: what is logged
/// changes at once, anything else by an orderly restart in here, which games do not notice.
pub(super) fn run(
    load: &dyn Fn() -> Result<Config, ConfigError>,
    command: &FollowArgs,
) -> Result<Exit, Failure> {
    let mut config = checked(load)?;
    let until = command
        .until
        .map(Level::try_from)
        .transpose()
        .map_err(|error| Failure::said(Exit::Configuration, format!("--until: {error}")))?;
    let logs = start_logs(&config)?;
    let outcome = runtime()?.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signals(stop.clone());
        let mut hang_ups = signal(SignalKind::hangup())?;
        // A file at the limit of its size is a failed write, as a full disk is, not the end.
        let _at_limit = signal(SignalKind::from_raw(FILE_SIZE))?;
        loop {
            let next = {
                let round = stop.child_token();
                let running = one_run(&config, until, round.clone());
                tokio::pin!(running);
                let next = loop {
                    tokio::select! {
                        outcome = &mut running => return outcome,
                        _ = hang_ups.recv() => {}
                    }
                    if let Some(next) = read_again(load, &config, &logs) {
                        break next;
                    }
                };
                round.cancel();
                running.await?;
                next
            };
            config = next;
        }
    })?;
    Ok(if until.is_some() {
        verdict(&outcome)
    } else {
        Exit::Fine
    })
}

/// The configuration as it reads now, where the tower must start anew with it.
fn read_again(
    load: &dyn Fn() -> Result<Config, ConfigError>,
    config: &Config,
    logs: &Logs,
) -> Option<Config> {
    let read = checked(load).and_then(|next| logs.follow(&next).map(|()| next));
    match read {
        Ok(next) => {
            let same = Config {
                log: next.log.clone(),
                ..config.clone()
            };
            let is_same = next == same;
            tracing::info!(starts_anew = !is_same, "configuration read again");
            (!is_same).then_some(next)
        }
        Err(failure) => {
            let error = failure.error;
            tracing::error!(%error, "the configuration is refused, the old one stays");
            None
        }
    }
}

fn checked(load: &dyn Fn() -> Result<Config, ConfigError>) -> Result<Config, Failure> {
    let config = load()?;
    config.needs_rollups()?;
    config.needs_endpoints()?;
    Ok(config)
}

/// The tower with one configuration.
async fn one_run(
    config: &Config,
    until: Option<Level>,
    stop: CancellationToken,
) -> Result<Outcome, Failure> {
    let (sender, receiver) = watch::channel(Status::default());
    for folder in config.rollups.iter().filter_map(|r| r.preimages.as_ref()) {
        if !folder.is_dir() {
            // Not refused: the folder may be mounted later, and a game may be waiting for us.
            tracing::warn!(folder = %folder.display(), "the preimages directory is not there");
        }
    }
    let key = key(config).await?;
    let attended = attend(config, receiver.clone(), &stop).await?;
    tokio::spawn(tell_service(receiver.clone()));
    if is_terminal() && config.log_format == LogFormat::Human {
        tokio::spawn(show_progress(receiver));
    }
    let outcome = follow(config, key, until, None, sender, stop).await;
    attended.end().await;
    Ok(outcome?)
}

/// Tells the service manager, where one started us: ready at the first picture of the loop, alive
/// at each one. The loop shows itself also while nothing happens.
async fn tell_service(mut status: watch::Receiver<Status>) {
    use sd_notify::NotifyState;
    let mut states: &[NotifyState<'_>] = &[NotifyState::Ready, NotifyState::Watchdog];
    while status.changed().await.is_ok() {
        status.borrow_and_update();
        // Fails only where a manager was named and is gone; the tower goes on without it.
        if let Err(error) = sd_notify::notify(states) {
            tracing::debug!(%error, "the service manager does not hear");
        }
        states = &[NotifyState::Watchdog];
    }
}

/// Whoever signs, where the mode sends anything.
async fn key(config: &Config) -> Result<Option<Key>, Failure> {
    if !config.mode().capabilities().sends || !config.signer.is_given() {
        return Ok(None);
    }
    signing_key(config).await.map(Some)
}

/// What scripts learn from a run that was to end at a level.
pub(super) const fn verdict(outcome: &Outcome) -> Exit {
    if outcome.tally.wrong > 0 {
        Exit::FalseCommitment
    } else if outcome.tally.not_judgeable > 0 || outcome.is_blind {
        Exit::NotJudgeable
    } else {
        Exit::Fine
    }
}

/// Interrupt and terminate end everything in an orderly way.
pub(super) fn stop_on_signals(stop: CancellationToken) {
    tokio::spawn(async move {
        let Ok(mut terminate) = signal(SignalKind::terminate()) else {
            return;
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping");
        stop.cancel();
    });
}

/// A bar for the slowest rollup while it is far behind the head.
async fn show_progress(mut status: watch::Receiver<Status>) {
    const FAR: u32 = 200;
    const BAR: &str = "{prefix:.bold} {wide_bar} level {pos} of {len}, {per_sec}, {eta} left";
    let mut bar: Option<ProgressBar> = None;
    while status.changed().await.is_ok() {
        let now = status.borrow_and_update().clone();
        let goal = now.head.max(now.tip);
        let slowest = now.rollups.iter().min_by_key(|rollup| rollup.reached);
        let (Some(goal), Some(rollup)) = (goal, slowest) else {
            continue;
        };
        let behind = goal.since(rollup.reached).unwrap_or(0);
        if behind == 0 {
            if let Some(bar) = bar.take() {
                bar.finish_and_clear();
            }
            continue;
        }
        if bar.is_none() && behind < FAR {
            continue;
        }
        let bar = bar.get_or_insert_with(|| {
            let bar = ProgressBar::new(0).with_prefix("catching up");
            bar.enable_steady_tick(Duration::from_millis(500));
            if let Ok(style) = ProgressStyle::with_template(BAR) {
                bar.set_style(style);
            }
            bar
        });
        bar.set_length(u64::try_from(goal.get()).unwrap_or(0));
        bar.set_position(u64::try_from(rollup.reached.get()).unwrap_or(0));
    }
}

impl From<TowerError> for Failure {
    fn from(error: TowerError) -> Self {
        use crate::tower::{GenesisError, HandsError};
        let exit = match &error {
            TowerError::Config(_) => Exit::Configuration,
            TowerError::Node(error) => of_node(error),
            TowerError::Genesis(GenesisError::Node(error)) => of_node(error),
            TowerError::Genesis(GenesisError::KernelFile { .. }) => Exit::Configuration,
            TowerError::Genesis(GenesisError::Mismatch { .. }) => Exit::Difference,
            TowerError::Genesis(_) => Exit::NotJudgeable,
            TowerError::Journal(_)
            | TowerError::Resume(_)
            | TowerError::Store(_)
            | TowerError::Io { .. }
            | TowerError::InUse(_)
            | TowerError::OtherChain { .. }
            | TowerError::BeforeJournal { .. } => Exit::Data,
            TowerError::Hands(HandsError::NoSigner(_) | HandsError::NoAccount) => {
                Exit::Configuration
            }
            TowerError::Hands(_) | TowerError::Runner(_) => Exit::Failed,
        };
        Self::new(exit, error)
    }
}

/// Some refusals of the node are the operator's words, not the node's state.
const fn of_node(error: &crate::l1::L1Error) -> Exit {
    use crate::l1::L1Error;
    match error {
        L1Error::BadUrl { .. }
        | L1Error::NoEndpoint
        | L1Error::OtherDialect { .. }
        | L1Error::NoSuchRollup { .. } => Exit::Configuration,
        _ => Exit::Node,
    }
}

/// Keeps the type of the listener in one place.
pub(super) fn listener(
    hear: impl Fn(&crate::tower::News) + Send + Sync + 'static,
) -> crate::tower::Listener {
    Arc::new(hear)
}
