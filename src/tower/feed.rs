//! From the chain to events: whole blocks, their inbox, and what happened to watched rollups.
//!
//! Promises: blocks come in order with the inbox hash recomputed from their messages and, beside
//! it, what the node says. Refuses to know: what is decided about them. Two tasks: one reads the
//! chain ahead, one turns what was read into events in the same order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::alarms;
use super::chain_facts::ChainFacts;
use super::event::{Event, SeenBlock};
use super::facts::{add_settlement, add_unstaked, cement_detail};
use super::played::add_move;
use crate::codec::Writer;
use crate::inbox::{InboxError, messages_of, next_inbox};
use crate::journal::{BlockRow, InboxRow, OperationRow, PublishedRow};
use crate::l1::{
    Block, BlockId, ChainConstants, ChainEvent, Client, Follower, GameStatus, Happening, InboxCell,
    Interest, Keep, L1Error, RollupEvent,
};
use crate::protocol::operation::{Refutation, Step};
use crate::protocol::{BlockHash, HistoryCell, Inbox, InboxHash, Level, PublicKeyHash};

/// Inbox cells of recent blocks, so that a short reorganisation needs no journal.
const REMEMBERED: usize = 4096;

/// Items read on while a block cannot be taken in.
const QUEUED: usize = 1024;
/// Waits before a block that could not be taken in is read again.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LAST_WAIT: Duration = Duration::from_secs(60);

fn keep_is_below(keep: Keep, level: Level) -> bool {
    match keep {
        Keep::UpTo(place) => place.level < level,
        Keep::Nothing => true,
    }
}

/// What the reading task hands over, in the order of the chain.
enum Item {
    Block(Box<Block>, JoinHandle<Extras>),
    RolledBack(Keep),
    Reached(Level),
    Failed(L1Error),
}

/// What is asked about a block besides the block.
struct Extras {
    node_inbox: Result<InboxCell, L1Error>,
    constants: Result<Arc<ChainConstants>, L1Error>,
}

/// The history cell of the node's answer.
pub(super) fn cell_of(answer: InboxCell) -> HistoryCell {
    HistoryCell {
        index: answer.index,
        witness: answer.witness,
        level: answer.level,
        back_pointers: answer.back_pointers,
    }
}

/// The bytes of a history cell, as journalled.
pub(super) fn cell_bytes(cell: &HistoryCell) -> Vec<u8> {
    let mut writer = Writer::new();
    cell.write(&mut writer);
    writer.into_bytes()
}

/// A look into the journal for the inbox of a block.
pub(super) type StoredInboxes = Box<dyn Fn(&BlockHash) -> Option<Inbox> + Send>;

/// Reads the chain until told to stop or nobody listens.
pub(super) struct Feed {
    pub(super) client: Client,
    pub(super) follower: Follower,
    /// The inbox at the tip of what is journalled.
    pub(super) inbox: (BlockHash, Inbox),
    /// Inboxes of blocks before, by a look into the journal.
    pub(super) stored: StoredInboxes,
    pub(super) chain: ChainFacts,
    pub(super) ahead: usize,
    /// What to look for in a block that has to be read again.
    pub(super) interest: Interest,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) stop: CancellationToken,
}

impl Feed {
    /// Starts both tasks.
    pub(super) fn start(self) -> JoinHandle<()> {
        let (sender, receiver) = mpsc::channel(self.ahead.max(1));
        let reading = tokio::spawn(read(
            self.client.clone(),
            self.follower,
            sender,
            self.stop.clone(),
        ));
        let mut assembler = Assembler {
            client: self.client,
            interest: self.interest,
            stop: self.stop,
            queued: VecDeque::new(),
            remembered: VecDeque::from([self.inbox]),
            stored: self.stored,
            chain: self.chain,
            events: self.events,
        };
        tokio::spawn(async move {
            assembler.run(receiver).await;
            reading.abort();
        })
    }
}

async fn read(
    client: Client,
    mut follower: Follower,
    sender: mpsc::Sender<Item>,
    stop: CancellationToken,
) {
    loop {
        let event = tokio::select! {
            event = follower.next() => event,
            () = stop.cancelled() => return,
        };
        let item = match event {
            Ok(ChainEvent::Applied(block)) => {
                let extras = tokio::spawn(extras(client.clone(), block.header.hash));
                Item::Block(block, extras)
            }
            Ok(ChainEvent::RolledBack { keep }) => Item::RolledBack(keep),
            Ok(ChainEvent::Reached { head }) => Item::Reached(head.level),
            Err(error) => Item::Failed(error),
        };
        if sender.send(item).await.is_err() {
            return;
        }
    }
}

async fn extras(client: Client, block: BlockHash) -> Extras {
    Extras {
        node_inbox: client.inbox(BlockId::Hash(block)).await,
        constants: client.constants(BlockId::Hash(block)).await,
    }
}

struct Assembler {
    client: Client,
    interest: Interest,
    remembered: VecDeque<(BlockHash, Inbox)>,
    stored: StoredInboxes,
    chain: ChainFacts,
    events: mpsc::Sender<Event>,
    stop: CancellationToken,
    /// Read from the chain while a block could not be taken in.
    queued: VecDeque<Item>,
}

/// Nobody listens any more, or everything stops.
struct Ended;

impl Assembler {
    async fn run(&mut self, mut items: mpsc::Receiver<Item>) {
        loop {
            let item = match self.queued.pop_front() {
                Some(item) => item,
                None => match items.recv().await {
                    Some(item) => item,
                    None => return,
                },
            };
            if self.item(item, &mut items).await.is_err() {
                return;
            }
        }
    }

    async fn item(&mut self, item: Item, items: &mut mpsc::Receiver<Item>) -> Result<(), Ended> {
        let event = match item {
            Item::Block(block, extras) => {
                let first = self.block(&block, extras).await;
                return match first {
                    Ok(events) => self.tell(events).await,
                    Err(problem) => self.insist(*block, problem, items).await,
                };
            }
            Item::RolledBack(Keep::UpTo(place)) => Event::RolledBack {
                fork: place.hash,
                level: place.level,
            },
            Item::RolledBack(Keep::Nothing) => {
                let message = "the chain was reorganised below the first journalled block: remove the data directory to begin again";
                self.trouble(message.into()).await?;
                // Nothing that comes can be joined to what is journalled.
                return Err(Ended);
            }
            Item::Reached(level) => Event::Head(level),
            Item::Failed(error) => return self.trouble(error.to_string()).await,
        };
        self.tell(vec![event]).await
    }

    async fn tell(&mut self, events: Vec<Event>) -> Result<(), Ended> {
        for event in events {
            self.events.send(event).await.map_err(|_| Ended)?;
        }
        Ok(())
    }

    async fn trouble(&mut self, message: String) -> Result<(), Ended> {
        let alarm = alarms::node(message.clone(), message);
        self.tell(vec![Event::Trouble(alarm)]).await
    }

    /// A block that could not be taken in is read again, ever more slowly, until it can be or the
    /// chain abandons it: nothing after it can be taken in without it.
    async fn insist(
        &mut self,
        block: Block,
        problem: String,
        items: &mut mpsc::Receiver<Item>,
    ) -> Result<(), Ended> {
        let header = block.header;
        self.trouble(problem).await?;
        let mut wait = FIRST_WAIT;
        loop {
            let deadline = tokio::time::Instant::now() + wait;
            loop {
                let has_room = self.queued.len() < QUEUED;
                tokio::select! {
                    () = self.stop.cancelled() => return Err(Ended),
                    () = tokio::time::sleep_until(deadline) => break,
                    item = items.recv(), if has_room => match item {
                        None => return Err(Ended),
                        Some(Item::RolledBack(keep)) if keep_is_below(keep, header.level) => {
                            // What was read on top of it goes with it.
                            self.queued.clear();
                            self.queued.push_back(Item::RolledBack(keep));
                            return Ok(());
                        }
                        Some(item) => self.queued.push_back(item),
                    }
                }
            }
            wait = wait.saturating_mul(2).min(LAST_WAIT);
            let again = self
                .client
                .block(BlockId::Hash(header.hash), &self.interest)
                .await;
            let outcome = match again {
                Ok(block) => {
                    let extras = tokio::spawn(extras(self.client.clone(), header.hash));
                    self.block(&block, extras).await
                }
                Err(error) => Err(error.to_string()),
            };
            match outcome {
                Ok(events) => {
                    tracing::info!(level = %header.level, "the block could be taken in after all");
                    return self.tell(events).await;
                }
                Err(problem) => {
                    tracing::warn!(level = %header.level, %problem, "a block still cannot be taken in");
                }
            }
        }
    }

    async fn block(
        &mut self,
        block: &Block,
        extras: JoinHandle<Extras>,
    ) -> Result<Vec<Event>, String> {
        let header = &block.header;
        let at = |problem: &dyn std::fmt::Display| {
            format!("block {} at level {}: {problem}", header.hash, header.level)
        };
        let extras = extras.await.map_err(|error| at(&error))?;
        let constants = extras.constants.map_err(|error| at(&error))?;
        let node_inbox = match extras.node_inbox {
            Ok(cell) => Some(cell_of(cell).hash()),
            Err(error) => {
                tracing::warn!(level = %header.level, %error, "the node does not tell its inbox");
                None
            }
        };
        let previous = self
            .inbox_of(&header.predecessor)
            .ok_or_else(|| at(&"the inbox before it is not known"))?;
        let (inbox, messages) = next(&previous, block).map_err(|error| at(&error))?;
        let learnt = self.chain.learn(header.hash, header.level, &constants);
        self.remembered.push_back((header.hash, inbox.clone()));
        if self.remembered.len() > REMEMBERED {
            self.remembered.pop_front();
        }
        let period = constants.rollup.commitment_period;
        let seen = seen(block, &inbox, messages, node_inbox, period);
        let mut events = vec![Event::Block(Box::new(seen))];
        events.extend(learnt.map(Event::Constants));
        Ok(events)
    }

    fn inbox_of(&self, block: &BlockHash) -> Option<Inbox> {
        let mut newest_first = self.remembered.iter().rev();
        newest_first
            .find(|(hash, _)| hash == block)
            .map(|(_, inbox)| inbox.clone())
            .or_else(|| (self.stored)(block))
    }
}

/// The inbox after a block, with the block's messages.
fn next(previous: &Inbox, block: &Block) -> Result<(Inbox, Vec<Vec<u8>>), InboxError> {
    let messages = messages_of(&block.inbox_input())?;
    let inbox = next_inbox(previous, block.header.level, messages.witness())?;
    Ok((inbox, messages.messages().to_vec()))
}

fn seen(
    block: &Block,
    inbox: &Inbox,
    messages: Vec<Vec<u8>>,
    node_hash: Option<InboxHash>,
    period: u32,
) -> SeenBlock {
    let header = &block.header;
    let (publications, operations) = rows_of(block);
    SeenBlock {
        block: BlockRow {
            hash: header.hash,
            level: header.level,
            predecessor: header.predecessor,
            timestamp: header.timestamp,
            protocol: header.protocol,
            period,
            opens_protocol: block.is_first_of_protocol,
        },
        inbox: InboxRow {
            block: header.hash,
            level: header.level,
            hash: inbox.hash(),
            cell: cell_bytes(&inbox.cell),
            messages,
            node_hash,
        },
        publications,
        operations,
        receipts: block.effects.receipts.clone(),
        is_back: false,
    }
}

/// Publications and other operations on the rollups looked for, as journal rows.
pub(super) fn rows_of(block: &Block) -> (Vec<PublishedRow>, Vec<OperationRow>) {
    let header = &block.header;
    let mut publications = Vec::new();
    let mut operations = Vec::new();
    for (position, event) in (0..).zip(&block.effects.events) {
        if let Happening::Published { commitment, .. } = &event.what {
            publications.push(PublishedRow {
                rollup: event.rollup,
                block: Some(header.hash),
                published_level: Some(header.level),
                position,
                staker: event.by,
                commitment: *commitment,
            });
        } else {
            operations.push(operation(event, header.hash, header.level, position));
        }
    }
    (publications, operations)
}

fn operation(event: &RollupEvent, block: BlockHash, level: Level, position: u32) -> OperationRow {
    let (kind, mut detail) = told(event);
    detail.insert("operation".into(), event.operation.to_string().into());
    OperationRow {
        rollup: event.rollup,
        block,
        level,
        position,
        kind: kind.into(),
        source: event.by,
        detail: Value::Object(detail).to_string(),
    }
}

fn told(event: &RollupEvent) -> (&'static str, Map<String, Value>) {
    let mut detail = Map::new();
    let mut put = |name: &str, value: String| detail.insert(name.into(), value.into());
    match &event.what {
        Happening::Originated {
            genesis_commitment, ..
        } => {
            put("genesis_commitment", genesis_commitment.to_string());
            ("originate", detail)
        }
        // Publications have rows of their own.
        Happening::Published { staked_hash, .. } => {
            put("commitment", staked_hash.to_string());
            ("publish", detail)
        }
        Happening::Cemented {
            inbox_level,
            commitment,
        } => ("cement", cement_detail(*inbox_level, commitment.as_ref())),
        Happening::Refuted {
            opponent,
            refutation,
            status,
            settlement,
        } => {
            put("opponent", opponent.to_string());
            put("move", move_name(refutation).into());
            add_move(&mut detail, refutation);
            end(&mut detail, status, &[event.by, *opponent]);
            add_settlement(&mut detail, settlement);
            ("refute", detail)
        }
        Happening::TimedOut {
            stakers,
            status,
            settlement,
        } => {
            let players = [stakers.alice(), stakers.bob()];
            put("alice", players[0].to_string());
            put("bob", players[1].to_string());
            end(&mut detail, status, &players);
            add_settlement(&mut detail, settlement);
            ("timeout", detail)
        }
        Happening::BondRecovered { staker } => {
            put("staker", staker.to_string());
            add_unstaked(&mut detail, &[*staker]);
            ("recover_bond", detail)
        }
        Happening::OutboxExecuted { commitment, .. } => {
            put("commitment", commitment.to_string());
            ("execute_outbox_message", detail)
        }
    }
}

const fn move_name(refutation: &Refutation) -> &'static str {
    match refutation {
        Refutation::Start { .. } | Refutation::StartOnConflict => "start",
        Refutation::Move {
            step: Step::Dissection(_),
            ..
        } => "dissection",
        Refutation::Move {
            step: Step::Proof(_),
            ..
        } => "proof",
    }
}

/// How a game ended, if it did: losers lose their bond.
fn end(detail: &mut Map<String, Value>, status: &GameStatus, players: &[PublicKeyHash]) {
    match status {
        GameStatus::Ongoing => {}
        GameStatus::Loser { reason, player } => {
            detail.insert("result".into(), "loser".into());
            detail.insert("reason".into(), reason.clone().into());
            detail.insert("loser".into(), player.to_string().into());
            add_unstaked(detail, &[*player]);
        }
        GameStatus::Draw => {
            detail.insert("result".into(), "draw".into());
            add_unstaked(detail, players);
        }
    }
}
