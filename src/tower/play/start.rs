//! A player put together.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::desk::{Desk, Done, Order};
use super::hands::{Hands, HandsError};
use super::player::{Player, Tidings};
use super::table::Table;
use super::workers::Pool;
use crate::config::Config;
use crate::journal::{Journal, RollupRow};
use crate::l1::{BlockId, Client};
use crate::merkle::Store;
use crate::protocol::{PublicKeyHash, RollupAddress};
use crate::pvm::Environment;
use crate::signer::Key;
use crate::tower::chain_facts::ChainFacts;
use crate::tower::event::Event;
use crate::tower::run::Listener;
use crate::tower::setup::TowerError;
use crate::tower::status::Status;

/// Results that may wait for the player.
const RESULTS: usize = 256;

/// One rollup's parts, shared with the worker that follows it.
pub(in crate::tower) struct Parts {
    pub(in crate::tower) row: RollupRow,
    pub(in crate::tower) store: Arc<Store>,
    pub(in crate::tower) kernel: Vec<u8>,
    pub(in crate::tower) environment: Environment,
}

/// What a player stands on.
pub(in crate::tower) struct Setting<'a> {
    pub(in crate::tower) config: &'a Config,
    pub(in crate::tower) key: Option<Key>,
    pub(in crate::tower) client: Client,
    pub(in crate::tower) journal: Journal,
    pub(in crate::tower) chain: ChainFacts,
    pub(in crate::tower) parts: Vec<Parts>,
    pub(in crate::tower) events: mpsc::Sender<Event>,
    pub(in crate::tower) listener: Option<Listener>,
    pub(in crate::tower) status: watch::Sender<Status>,
    pub(in crate::tower) stop: CancellationToken,
}

/// A player that runs: where it is told things, and its task.
pub(in crate::tower) struct Running {
    pub(in crate::tower) tidings: mpsc::UnboundedSender<Tidings>,
    pub(in crate::tower) task: JoinHandle<()>,
}

/// The account that a mode acts for; none where it decides nothing.
pub(in crate::tower) fn account(config: &Config, key: Option<&Key>) -> Option<PublicKeyHash> {
    let can = config.mode().capabilities();
    if !can.decides {
        None
    } else if can.sends {
        key.map(Key::account)
    } else {
        config.signer.account
    }
}

/// Starts a player where the mode decides anything.
pub(in crate::tower) async fn start(setting: Setting<'_>) -> Result<Option<Running>, TowerError> {
    let Setting {
        config,
        key,
        client,
        journal,
        chain,
        parts,
        events,
        listener,
        status,
        stop,
    } = setting;
    let mode = config.mode();
    if !mode.capabilities().decides {
        return Ok(None);
    }
    let addresses: Vec<RollupAddress> = parts.iter().map(|part| part.row.address).collect();
    let stake = client.constants(BlockId::Head).await?.rollup.stake_amount;
    let hands = Hands::new(
        mode,
        config.signer.account,
        key,
        addresses,
        (&config.signer, stake),
        &client,
        &journal,
    )
    .await?;
    let me = hands.account();
    let reader = journal.reader()?;
    let mut tables = BTreeMap::new();
    let mut desks = BTreeMap::new();
    let mut interrupts = Vec::new();
    let mut asked = Vec::new();
    for part in parts {
        let address = part.row.address;
        let mut table = Table::from_journal(&reader, part.row.clone(), me)?;
        if let Some(reason) = table.frozen.as_ref() {
            hands.freeze(address, Some(reason));
        }
        table.is_retrying = false;
        tables.insert(address, table);
        let desk = Desk::new(
            part.row,
            config.journal_path(),
            Some(part.store),
            part.kernel,
            part.environment,
        );
        interrupts.push(Arc::clone(&desk.environment.interrupt));
        asked.push(Arc::clone(&desk.asked));
        desks.insert(address, Arc::new(desk));
    }
    let (finish, done) = mpsc::channel(RESULTS);
    let pool = pool(config.play.threads, desks, finish.clone())?;
    let (sender, tidings) = mpsc::unbounded_channel();
    let player = Player {
        config: config.play.clone(),
        mode,
        data_dir: config.data_dir.clone(),
        client,
        journal,
        reader,
        chain,
        hands,
        pool,
        done,
        finish,
        tidings,
        events,
        listener,
        status,
        stop,
        tables,
        brief: None,
        seen: BTreeMap::new(),
        given: None,
        brake: None,
        looks: 0,
        finishing: None,
        is_failing: false,
        interrupts,
        asked,
        refusals: [0; 2],
        is_due: false,
        is_settled: false,
    };
    Ok(Some(Running {
        tidings: sender,
        task: tokio::spawn(player.run()),
    }))
}

fn pool(
    threads: usize,
    desks: BTreeMap<RollupAddress, Arc<Desk>>,
    finish: mpsc::Sender<Done>,
) -> Result<Pool<Order>, HandsError> {
    let failures = finish.clone();
    let work = move |order: Order, patience: &super::workers::Patience<Order>| {
        if let Some(desk) = desks.get(&order.rollup) {
            // Nobody listens any more only when everything stops.
            let _ = finish.blocking_send(desk.work(order, patience));
        }
    };
    let failed = move |key, message| {
        let _ = failures.blocking_send(Done::Panicked(key, message));
    };
    Pool::start("game", threads, work, failed).map_err(HandsError::Threads)
}
