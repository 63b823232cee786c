//! Everything between a configuration and a running loop: lock, journal, node, genesis, workers.
//!
//! Promises: nothing is followed on the wrong chain, from a wrong genesis, or beside another tower
//! on the same data; each refusal is one line that says what to do.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::alarms;
use super::backfill::Backfill;
use super::chain_facts::ChainFacts;
use super::engines::environment;
use super::feed::Feed;
use super::genesis::{GenesisError, Started, base, first_entries, kernel_path, start};
use super::model::Model;
use super::outlook::compare_nodes;
use super::play::{self, HandsError, Parts};
use super::resume::ResumeError;
use super::reveals::Sources;
use super::run::{Listener, Loop, Outcome, write};
use super::runner::{Runner, RunnerError};
use super::status::Status;
use super::worker::{Limits, Worker};
use crate::codec::Reader as Bytes;
use crate::config::{Config, ConfigError, RollupConfig};
use crate::journal::{BackfillRow, Entry, Journal, JournalError, Reader, RollupRow};
use crate::l1::{
    BlockId, BlockRef, Branch, Client, EndpointSettings, Follower, Interest, L1Error, Settings,
};
use crate::merkle::{Options, Store, StoreError};
use crate::protocol::{
    BlockHash, ChainId, Commitment, Dialected, HistoryCell, Inbox, Level, RollupAddress,
};
use crate::signer::Key;

/// Blocks remembered for finding common ancestors: deeper reorganisations are refused.
const BRANCH: u32 = 100_000;
/// Events that may wait for the loop.
const WAITING: usize = 512;

/// Why the tower cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum TowerError {
    /// The configuration lacks something.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The node cannot be used.
    #[error(transparent)]
    Node(#[from] L1Error),
    /// A rollup cannot be followed from its beginning.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The journal cannot be continued.
    #[error(transparent)]
    Resume(#[from] ResumeError),
    /// A state store cannot be used.
    #[error("state store: {0}")]
    Store(#[from] StoreError),
    /// States cannot be computed.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// Nobody can play.
    #[error(transparent)]
    Hands(#[from] HandsError),
    /// The data directory cannot be used.
    #[error("{path}: {error}")]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// Another tower uses the data directory.
    #[error("{0} is in use by another watchtower: stop it, or give this one its own --data-dir")]
    InUse(PathBuf),
    /// The data directory belongs to another chain.
    #[error("{path} belongs to chain {ours}, the node is on {theirs}: use another --data-dir")]
    OtherChain {
        /// The data directory.
        path: PathBuf,
        /// Chain of the journal.
        ours: ChainId,
        /// Chain of the node.
        theirs: ChainId,
    },
    /// A rollup is new to a journal that begins after its origination.
    #[error(
        "{rollup} began at level {level}, before the first block of this journal: give it its own --data-dir, or begin a new journal with both"
    )]
    BeforeJournal {
        /// The rollup.
        rollup: String,
        /// Level of its origination.
        level: Level,
    },
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> TowerError + '_ {
    |error| TowerError::Io {
        path: path.to_owned(),
        error,
    }
}

/// What stays the same while the tower runs.
pub(super) struct Ready {
    pub(super) journal: Journal,
    pub(super) client: Client,
    pub(super) chain: ChainFacts,
    /// Held for as long as the tower runs.
    _lock: File,
}

/// The folder of a rollup below the data directory.
#[must_use]
pub fn rollup_folder(data_dir: &Path, rollup: &RollupRow) -> PathBuf {
    data_dir.join(rollup.address.text(rollup.dialect))
}

/// The client for the configured nodes.
///
/// # Errors
/// [`TowerError`] when none is configured or a URL is unusable.
pub fn client(config: &Config) -> Result<Client, TowerError> {
    let endpoint = |url: &String| {
        let mut settings = EndpointSettings::new(url.clone());
        settings.timeout = config.node_timeout;
        settings.concurrency = config.node_parallel;
        settings
    };
    let mut settings = Settings::new(Vec::<String>::new());
    settings.endpoints = config.needs_endpoints()?.iter().map(endpoint).collect();
    settings.chain = config.chain;
    settings.impatience = settings.impatience.min(config.node_timeout);
    Ok(Client::new(&settings)?)
}

/// Follows the configured rollups until stopped, or until a level is reached and judged. What the
/// mode sends is signed with `key`.
///
/// # Errors
/// [`TowerError`] when it cannot start, or what it writes can no longer be written.
pub async fn follow(
    config: &Config,
    key: Option<Key>,
    until: Option<Level>,
    listener: Option<Listener>,
    status: watch::Sender<Status>,
    stop: CancellationToken,
) -> Result<Outcome, TowerError> {
    let rollups = config.needs_rollups()?;
    let client = client(config)?;
    std::fs::create_dir_all(&config.data_dir).map_err(io(&config.data_dir))?;
    let lock = lock(&config.data_dir)?;
    let journal = Journal::open(&config.journal_path())?;
    let mut started = Vec::new();
    for rollup in rollups {
        let folder = config.data_dir.join(rollup.address.text(rollup.dialect));
        std::fs::create_dir_all(&folder).map_err(io(&folder))?;
        let ready = start(&client, rollup, &folder).await?;
        keep_kernel(&folder, &ready)?;
        started.push((rollup, ready));
    }
    enter(config, &client, &journal, &started).await?;
    let begun = Begun {
        client,
        journal: journal.clone(),
        lock,
        started,
    };
    let outcome = go_on(config, key, until, (listener, status, stop), begun).await;
    if let Err(error) = &outcome {
        let ending = Entry::RunEnded {
            outcome: error.to_string(),
        };
        // What ended the run may be the journal itself; the next start says so then.
        let _ = write(&journal, vec![ending]).await;
    }
    outcome
}

/// A run that is written down as begun.
struct Begun<'a> {
    client: Client,
    journal: Journal,
    lock: File,
    started: Vec<(&'a RollupConfig, Started)>,
}

async fn go_on(
    config: &Config,
    key: Option<Key>,
    until: Option<Level>,
    (listener, status, stop): (Option<Listener>, watch::Sender<Status>, CancellationToken),
    begun: Begun<'_>,
) -> Result<Outcome, TowerError> {
    let Begun {
        client,
        journal,
        lock,
        started,
    } = begun;
    let rollups = config.needs_rollups()?;
    let addresses: Vec<RollupAddress> = rollups.iter().map(|rollup| rollup.address).collect();
    let reader = journal.reader()?;
    let late: BTreeMap<_, _> = reader
        .backfills()?
        .into_iter()
        .filter(|row| row.level < row.goal && addresses.contains(&row.rollup))
        .map(|row| (row.rollup, row))
        .collect();
    let ready: Vec<_> = addresses
        .iter()
        .copied()
        .filter(|address| !late.contains_key(address))
        .collect();
    let mut model = Model::from_journal(&reader, &ready, 0, until)?;
    model.late = late.keys().copied().collect();
    model.retry();
    let chain = learn(&client, &journal, &reader).await?;
    let (sender, events) = mpsc::channel(WAITING);
    let mut workers = BTreeMap::new();
    let mut parts = Vec::new();
    for (rollup, ready) in started {
        let address = rollup.address;
        let (worker, part) = worker(config, rollup, ready, &journal, &chain, &sender)?;
        workers.insert(address, worker);
        parts.push(part);
    }
    let known = chain.clone();
    let interest = Interest {
        rollups: addresses.iter().copied().collect(),
        accounts: play::account(config, key.as_ref()).into_iter().collect(),
    };
    let player = play::start(play::Setting {
        config,
        key,
        client: client.clone(),
        journal: journal.clone(),
        chain: chain.clone(),
        parts,
        events: sender.clone(),
        listener: listener.clone(),
        status: status.clone(),
        stop: stop.clone(),
    })
    .await?;
    let feed = feed(config, &client, &journal, chain, interest, &sender, &stop)?;
    let comparing = compare_nodes(
        client.clone(),
        journal.reader()?,
        known.clone(),
        stop.child_token(),
    );
    let comparing = tokio::spawn(comparing);
    let feed = feed.start();
    let mut backfills = Vec::new();
    for row in late.into_values() {
        let backfill = Backfill {
            client: client.clone(),
            reader: journal.reader()?,
            row,
            ahead: config.node_parallel,
            events: sender.clone(),
            stop: stop.clone(),
        };
        backfills.push(tokio::spawn(backfill.run()));
    }
    let ready = Ready {
        journal,
        client,
        chain: known,
        _lock: lock,
    };
    let running = Loop {
        reader: ready.journal.reader()?,
        ready,
        model,
        workers,
        events,
        sender,
        listener,
        status,
        stop,
        player,
    };
    running.ready.journal.wait_for_disk();
    let outcome = running.run().await;
    feed.abort();
    comparing.abort();
    backfills.iter().for_each(tokio::task::JoinHandle::abort);
    outcome
}

/// The lock that a running tower holds on its data directory, for as long as the file is open.
///
/// # Errors
/// [`TowerError::InUse`] while another process holds it, [`TowerError::Io`].
pub fn lock(data_dir: &Path) -> Result<File, TowerError> {
    let path = data_dir.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(TowerError::InUse(data_dir.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(io(&path)(error)),
    }
}

fn keep_kernel(folder: &Path, started: &Started) -> Result<(), TowerError> {
    let path = kernel_path(folder);
    if path.is_file() && std::fs::read(&path).is_ok_and(|kept| kept == started.kernel) {
        return Ok(());
    }
    let unfinished = path.with_extension("part");
    std::fs::write(&unfinished, &started.kernel).map_err(io(&unfinished))?;
    std::fs::rename(&unfinished, &path).map_err(io(&path))
}

/// Writes down that a run starts, the rollups that are new, and the first block of a new journal.
async fn enter(
    config: &Config,
    client: &Client,
    journal: &Journal,
    started: &[(&RollupConfig, Started)],
) -> Result<(), TowerError> {
    let reader = journal.reader()?;
    let known = reader.rollups()?;
    let theirs = client.chain_id().await?;
    if let Some(other) = known.iter().find(|row| row.chain != theirs) {
        return Err(TowerError::OtherChain {
            path: config.data_dir.clone(),
            ours: other.chain,
            theirs,
        });
    }
    let names = started.iter().map(|(rollup, _)| rollup.address.to_string());
    let mut entries = vec![Entry::RunStarted {
        version: env!("CARGO_PKG_VERSION").into(),
        command: format!("follow {}", names.collect::<Vec<_>>().join(" ")),
    }];
    // The lock is ours: whoever began that run is gone.
    if let Some((run, began)) = reader.unended_run()? {
        entries.push(Entry::Alarm(alarms::restarted(run, &began)));
    }
    let head = reader.head()?;
    let tip = head.as_ref().map(|block| block.level);
    let origins = started.iter().map(|(_, ready)| &ready.origin);
    let first = origins.min_by_key(|origin| origin.level);
    if let (None, Some(origin)) = (tip, first) {
        entries.extend(base(client, origin).await?);
    }
    for (rollup, ready) in started {
        let row = &ready.row;
        if known.iter().any(|old| old.address == row.address) {
            continue;
        }
        entries.push(Entry::Rollup(row.clone()));
        if let Some(goal) = tip.filter(|tip| *tip >= row.origination_level) {
            // Blocks and inboxes are shared: only the operations on it are still to be read.
            let begun = reader.block_at(row.origination_level)?;
            if begun.is_none_or(|block| block.hash != ready.origin.hash) {
                return Err(TowerError::BeforeJournal {
                    rollup: rollup.address.text(rollup.dialect),
                    level: row.origination_level,
                });
            }
            let genesis = Commitment::genesis(row.genesis_state, row.origination_level);
            entries.extend(first_entries(row.address, &genesis, ready.origin.hash));
            entries.push(Entry::Backfill(BackfillRow {
                rollup: row.address,
                level: row.origination_level,
                goal,
            }));
            continue;
        }
        if first.is_some_and(|origin| origin.level == row.origination_level) && tip.is_none() {
            let genesis = Commitment::genesis(row.genesis_state, row.origination_level);
            let first = first_entries(row.address, &genesis, ready.origin.hash);
            entries.extend(first);
        }
    }
    Ok(write(journal, entries).await?)
}

/// Constants of the blocks where they may have changed, those not journalled asked of the node.
async fn learn(
    client: &Client,
    journal: &Journal,
    reader: &Reader,
) -> Result<ChainFacts, TowerError> {
    let chain = ChainFacts::default();
    let known = reader.constants()?;
    let mut new = Vec::new();
    let mut blocks = Vec::new();
    blocks.extend(reader.lowest()?);
    blocks.extend(reader.protocol_openings()?);
    blocks.sort_by_key(|block| block.level);
    for block in blocks {
        if known.iter().any(|row| row.block == block.hash) {
            continue;
        }
        let constants = client.constants(BlockId::Hash(block.hash)).await?;
        new.extend(chain.learn(block.hash, block.level, &constants));
    }
    let mut all: Vec<_> = known.iter().chain(&new).collect();
    all.sort_by_key(|row| row.level);
    let chain = ChainFacts::default();
    for row in all {
        chain.take(row);
    }
    write(journal, new.into_iter().map(Entry::Constants).collect()).await?;
    Ok(chain)
}

fn worker(
    config: &Config,
    rollup: &RollupConfig,
    started: Started,
    journal: &Journal,
    chain: &ChainFacts,
    events: &mpsc::Sender<super::Event>,
) -> Result<(Worker, Parts), TowerError> {
    let folder = rollup_folder(&config.data_dir, &started.row);
    let options = Options {
        cache_bytes: usize::try_from(config.store_cache).unwrap_or(usize::MAX),
    };
    let store = Arc::new(Store::open(&folder.join("states"), options)?);
    let sources = Sources::new(
        &folder,
        rollup,
        started.row.origination_level,
        chain.clone(),
        tokio::runtime::Handle::current(),
    )?;
    let name = rollup.address.text(rollup.dialect);
    let environment = environment(name.clone(), config, Arc::new(sources));
    let parts = Parts {
        row: started.row.clone(),
        store: Arc::clone(&store),
        kernel: started.kernel.clone(),
        environment: environment.clone(),
    };
    let runner = Runner::new(
        started.row,
        journal.reader()?,
        Some(store),
        started.kernel,
        environment,
    );
    let limits = Limits {
        run_deadline: config.run_deadline,
        kept_levels: config.kept_levels,
        store_bytes: config.store_limit,
    };
    let short = name.get(..8).unwrap_or(&name).to_owned();
    let worker = Worker::start(&short, runner, limits, events.clone()).map_err(io(&folder))?;
    Ok((worker, parts))
}

fn feed(
    config: &Config,
    client: &Client,
    journal: &Journal,
    chain: ChainFacts,
    interest: Interest,
    events: &mpsc::Sender<super::Event>,
    stop: &CancellationToken,
) -> Result<Feed, TowerError> {
    let reader = journal.reader()?;
    let tip = reader.head()?.ok_or(ResumeError::Empty)?;
    let oldest = tip.level.minus(BRANCH).unwrap_or(Level::ZERO);
    let blocks: Vec<_> = reader
        .blocks_between(oldest, tip.level)?
        .into_iter()
        .map(|block| BlockRef {
            level: block.level,
            hash: block.hash,
        })
        .collect();
    let branch = Branch::resumed(&blocks).ok_or(ResumeError::Empty)?;
    let inbox = stored_inbox(&reader, &tip.hash)?.ok_or(RunnerError::Absent {
        what: "inbox",
        level: tip.level,
    })?;
    let ahead = config.node_parallel;
    let wanted = interest.clone();
    Ok(Feed {
        client: client.clone(),
        follower: Follower::new(client.clone(), branch, interest, ahead),
        inbox: (tip.hash, inbox),
        stored: Box::new(move |block| stored_inbox(&reader, block).ok().flatten()),
        chain,
        ahead,
        interest: wanted,
        events: events.clone(),
        stop: stop.clone(),
    })
}

fn stored_inbox(reader: &Reader, block: &BlockHash) -> Result<Option<Inbox>, JournalError> {
    let Some(row) = reader.inbox(block)? else {
        return Ok(None);
    };
    let mut bytes = Bytes::new(&row.cell);
    Ok(HistoryCell::read(&mut bytes)
        .ok()
        .map(|cell| Inbox { cell }))
}

/// A runner that works offline on what a data directory holds. Without the state store it starts
/// from the kernel, and can run beside a following tower.
///
/// # Errors
/// [`TowerError`] when the directory lacks something or is in use.
pub fn offline(
    config: &Config,
    rollup: &RollupRow,
    reveals: Arc<dyn crate::pvm::Reveals>,
    from: States,
) -> Result<Runner, TowerError> {
    let (store, kernel, environment) = offline_parts(config, rollup, reveals, from)?;
    Ok(Runner::new(
        rollup.clone(),
        Reader::open(&config.journal_path())?,
        store,
        kernel,
        environment,
    ))
}

/// What a machine needs: the store of states, the kernel, and what kernels may ask for.
type MachineParts = (Option<Arc<Store>>, Vec<u8>, crate::pvm::Environment);

/// Store, kernel and environment of a rollup that nobody follows now.
pub(super) fn offline_parts(
    config: &Config,
    rollup: &RollupRow,
    reveals: Arc<dyn crate::pvm::Reveals>,
    from: States,
) -> Result<MachineParts, TowerError> {
    let folder = rollup_folder(&config.data_dir, rollup);
    let path = kernel_path(&folder);
    let kernel = std::fs::read(&path).map_err(io(&path))?;
    let store = match from {
        States::Kernel => None,
        States::Store => {
            let store = Store::open(&folder.join("states"), Options::default())?;
            Some(Arc::new(store))
        }
    };
    let environment = environment(rollup.address.text(rollup.dialect), config, reveals);
    Ok((store, kernel, environment))
}

/// Where an offline run takes its first state from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum States {
    /// The state store.
    Store,
    /// The kernel alone: everything from origination on is run again.
    Kernel,
}
