//! Following the chain: heads become rollbacks and whole blocks, in order and without gap.
//!
//! Promises: blocks come in the order of the chain, each following the one before; blocks ahead
//! are fetched while one is worked on, never more than asked for. What to roll back is decided in
//! [`super::reorg`]. Refuses to know: what anybody does with a block.

use std::collections::VecDeque;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::block::{Block, BlockRef, Header, Interest};
use super::client::{BlockId, Client};
use super::error::{FailureKind, L1Error};
use super::heads::{Head, Heads};
use super::reader::Loose;
use super::reorg::{Branch, Keep, Plan, Step, Walk};
use crate::protocol::{BlockHash, Level};

/// What happened to the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainEvent {
    /// Blocks above `keep` are no longer part of the chain.
    RolledBack {
        /// What is still valid.
        keep: Keep,
    },
    /// The next block.
    Applied(Box<Block>),
    /// All blocks up to a head have been given.
    Reached {
        /// The head.
        head: BlockRef,
    },
}

/// Aborts its task when dropped, so that no fetch outlives its use.
#[derive(Debug)]
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Blocks on their way to a head.
#[derive(Debug)]
struct CatchUp {
    head: Head,
    /// Next level to ask for; none when all are asked for.
    next: Option<Level>,
    fetches: VecDeque<Task<Result<Loose, L1Error>>>,
}

type Latest = Option<Result<Head, L1Error>>;

/// Follows the chain from a first level on.
#[derive(Debug)]
pub struct Follower {
    client: Client,
    interest: Interest,
    /// Blocks fetched ahead.
    ahead: usize,
    branch: Branch,
    /// Header of the branch's tip, when it was read in this run.
    tip: Option<Header>,
    heads: watch::Receiver<Latest>,
    /// Only the newest head matters; the task ends with this value.
    _reader: Task<()>,
    catch_up: Option<CatchUp>,
    /// Whether a head was reached since the start.
    has_reached: bool,
    /// Failures since the last block.
    failed: u32,
}

impl Follower {
    /// Follows from the end of `branch`, fetching `ahead` blocks at once. Must be called within a
    /// tokio runtime.
    #[must_use]
    pub fn new(client: Client, branch: Branch, interest: Interest, ahead: usize) -> Self {
        let (sender, heads) = watch::channel(None);
        let stream = Heads::new(client.clone());
        Self {
            _reader: Task(tokio::spawn(read_heads(stream, sender))),
            client,
            interest,
            ahead: ahead.max(1),
            branch,
            tip: None,
            heads,
            catch_up: None,
            has_reached: false,
            failed: 0,
        }
    }

    /// The branch applied so far.
    #[must_use]
    pub const fn branch(&self) -> &Branch {
        &self.branch
    }

    /// No reorganisation reaches below `level` any more: older hashes are forgotten.
    pub fn forget_below(&mut self, level: Level) {
        self.branch.forget_below(level);
    }

    /// What is looked for in blocks from the next catch-up on.
    pub fn watch(&mut self, interest: Interest) {
        self.interest = interest;
    }

    /// Waits for the next event. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`L1Error`]: a transient failure is retried here and not reported; after any other, calling
    /// again goes on from the same place when the next head comes.
    pub async fn next(&mut self) -> Result<ChainEvent, L1Error> {
        loop {
            let outcome = match &mut self.catch_up {
                Some(_) => self.next_block().await.map(Some),
                None => self.next_plan().await,
            };
            match outcome {
                Ok(Some(event)) => return Ok(event),
                Ok(None) => {}
                Err(error) if error.kind() == FailureKind::Transient => {
                    self.catch_up = None;
                    self.failed = self.failed.saturating_add(1);
                    tracing::warn!(%error, failed = self.failed, "following is held up");
                    self.heads.mark_changed();
                    tokio::time::sleep(self.client.retries().pause(self.failed)).await;
                }
                Err(error) => {
                    self.catch_up = None;
                    return Err(error);
                }
            }
        }
    }

    /// Waits for a head and plans the way to it; gives a rollback when there is one.
    async fn next_plan(&mut self) -> Result<Option<ChainEvent>, L1Error> {
        let head = self.newest_head().await?;
        let plan = self.plan(&head).await?;
        self.catch_up = plan.apply_from.map(|from| CatchUp {
            head,
            next: Some(from),
            fetches: VecDeque::new(),
        });
        let Some(keep) = plan.rollback else {
            // Whoever starts at the head must hear that there is nothing to catch up with.
            let is_there = self.catch_up.is_none() && !self.has_reached;
            self.has_reached |= is_there;
            return Ok(is_there.then_some(ChainEvent::Reached { head: head.place }));
        };
        self.branch.roll_back(keep);
        self.tip = None;
        tracing::info!(head = %head.place.hash, level = %head.place.level, ?keep, "the chain was reorganised");
        Ok(Some(ChainEvent::RolledBack { keep }))
    }

    async fn newest_head(&mut self) -> Result<Head, L1Error> {
        loop {
            if self.heads.changed().await.is_err() {
                // The reader ends only after it has said why.
                let last = self.heads.borrow().clone();
                return last.unwrap_or(Err(L1Error::NoEndpoint));
            }
            if let Some(latest) = self.heads.borrow_and_update().clone() {
                return latest;
            }
        }
    }

    async fn plan(&self, head: &Head) -> Result<Plan, L1Error> {
        let mut walk = Walk::new(&self.branch, head.place, head.predecessor);
        loop {
            match walk.step()? {
                Step::Done(plan) => return Ok(plan),
                Step::Ask(level) => {
                    let hash = self.ancestor(head, level).await?;
                    walk.answer(level, hash);
                }
            }
        }
    }

    async fn ancestor(&self, head: &Head, level: Level) -> Result<BlockHash, L1Error> {
        let block = below(&head.place, level);
        self.client
            .get(&format!("/chains/main/blocks/{block}/hash"))
            .await
    }

    /// Gives the next block of the catch-up, or its end.
    async fn next_block(&mut self) -> Result<ChainEvent, L1Error> {
        self.fetch_ahead();
        let Some(catch_up) = &mut self.catch_up else {
            return Err(L1Error::NoEndpoint);
        };
        let Some(fetch) = catch_up.fetches.front_mut() else {
            let head = catch_up.head.place;
            self.catch_up = None;
            self.has_reached = true;
            return Ok(ChainEvent::Reached { head });
        };
        let loose = match (&mut fetch.0).await {
            Ok(outcome) => outcome?,
            Err(e) => return Err(L1Error::Setup(format!("a fetch was stopped: {e}"))),
        };
        let header = loose.header;
        let previous = match self.tip {
            Some(tip) => tip,
            None => self.client.header(header.predecessor.into()).await?,
        };
        let block = loose.after(previous)?;
        self.branch.apply(header.place(), header.predecessor)?;
        self.tip = Some(header);
        self.failed = 0;
        if let Some(catch_up) = &mut self.catch_up {
            catch_up.fetches.pop_front();
        }
        Ok(ChainEvent::Applied(Box::new(block)))
    }

    /// Keeps the wanted number of blocks on their way.
    fn fetch_ahead(&mut self) {
        let Some(catch_up) = &mut self.catch_up else {
            return;
        };
        while catch_up.fetches.len() < self.ahead {
            let Some(level) = catch_up.next else { return };
            catch_up.next = level
                .next()
                .filter(|next| *next <= catch_up.head.place.level);
            let block = below(&catch_up.head.place, level);
            let (client, interest) = (self.client.clone(), self.interest.clone());
            let fetch = async move { client.loose_block(block, &interest).await };
            catch_up.fetches.push_back(Task(tokio::spawn(fetch)));
        }
    }
}

fn below(head: &BlockRef, level: Level) -> BlockId {
    BlockId::Below(head.hash, head.level.since(level).unwrap_or(0))
}

/// Task `heads`: keeps the newest head in the channel until nobody listens.
async fn read_heads(mut stream: Heads, sender: watch::Sender<Latest>) {
    loop {
        let head = tokio::select! {
            head = stream.next() => head,
            () = sender.closed() => return,
        };
        let over = head.is_err();
        sender.send_replace(Some(head));
        if over {
            return;
        }
    }
}
