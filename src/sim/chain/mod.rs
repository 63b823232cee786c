//! The simulated chain: every block it ever had, which one is the head, and what waits.
//!
//! Promises: blocks move when told and only then; times follow from levels and rounds, so the same
//! commands give the same chain on every machine; every block keeps its state, so the past can be
//! queried and a reorganisation is cheap. Refuses to know sockets, clocks and the tower.

mod forge;
mod pool;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::block::{self, Block, Rules};
use super::context::Context;
use super::ledger::Ledger;
use super::mempool::Mempool;
use super::parameters::Parameters;
use super::weather::Carriage;
use crate::crypto::Dialect;
use crate::inbox;
use crate::protocol::operation::Form;
use crate::protocol::{BlockHash, ChainId, Level, OperationHash, Protocol, PublicKeyHash};
use pool::Moved;

/// What fixes a chain before its first block.
#[derive(Debug, Clone)]
pub struct Config {
    /// Labels and names it speaks to clients.
    pub dialect: Dialect,
    /// Makes its genesis, hence its identifier, its own.
    pub seed: u64,
    /// Time of the genesis block, in seconds since 1970.
    pub genesis_time: i64,
    /// Name shown by `version`.
    pub name: String,
    /// Protocol activated by the block of each level; the first is that of level 1.
    pub protocols: BTreeMap<Level, (Protocol, Arc<Parameters>)>,
    /// Accounts and contracts at activation.
    pub ledger: Ledger,
    /// Who gets the fees.
    pub baker: PublicKeyHash,
}

/// A command that the chain cannot follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Nothing is activated at level 1.
    #[error("the chain has no protocol at level 1")]
    NoProtocol,
    /// A reorganisation would replace the activation block.
    #[error(
        "a reorganisation of {depth} blocks from level {head} would replace the activation block"
    )]
    TooDeep {
        /// Blocks asked for.
        depth: u32,
        /// Level of the head.
        head: Level,
    },
    /// The chain has as many blocks as levels allow.
    #[error("no level above {0}")]
    NoLevel(Level),
    /// No such block.
    #[error("no block {0}")]
    UnknownBlock(BlockHash),
    /// The inbox refuses a level.
    #[error(transparent)]
    Inbox(#[from] inbox::InboxError),
}

/// What becomes of the operations of abandoned blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Abandoned {
    /// They wait again, as on a node.
    Returned,
    /// They are lost.
    Lost,
}

/// The chain.
#[derive(Debug, Clone)]
pub struct Chain {
    config: Arc<Config>,
    id: ChainId,
    blocks: HashMap<BlockHash, Arc<Block>>,
    /// The branch of the head, by level.
    main: Vec<Arc<Block>>,
    /// Every head there was, in order.
    heads: Vec<Arc<Block>>,
    /// Every block there was, in order of application.
    applied: Vec<Arc<Block>>,
    mempool: Mempool,
    carriage: Carriage,
    /// Number and level of arrival of what came in while the carriage was not plain.
    arrivals: HashMap<OperationHash, Level>,
    arrived: u32,
}

impl Chain {
    /// A chain with its genesis block and its activation block.
    ///
    /// # Errors
    /// [`ChainError::NoProtocol`] when nothing is activated at level 1.
    pub fn new(config: Config) -> Result<Self, ChainError> {
        let genesis = forge::genesis_block(&config);
        let mut chain = Self {
            id: block::chain_id(&genesis.hash),
            config: Arc::new(config),
            blocks: HashMap::new(),
            main: Vec::new(),
            heads: Vec::new(),
            applied: Vec::new(),
            mempool: Mempool::default(),
            carriage: Carriage::default(),
            arrivals: HashMap::new(),
            arrived: 0,
        };
        chain.adopt(Arc::new(genesis));
        let activation = chain.activation_block()?;
        chain.adopt(Arc::new(activation));
        Ok(chain)
    }

    /// Its identifier.
    #[must_use]
    pub const fn id(&self) -> ChainId {
        self.id
    }

    /// What it was made from.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The newest block.
    #[must_use]
    pub fn head(&self) -> &Arc<Block> {
        self.main
            .last()
            .expect("a chain has its genesis block from the start")
    }

    /// Level of the newest block.
    #[must_use]
    pub fn level(&self) -> Level {
        self.head().header.level
    }

    /// The block of `level` on the head's branch.
    #[must_use]
    pub fn at(&self, level: Level) -> Option<&Arc<Block>> {
        self.main.get(usize::try_from(level.get()).ok()?)
    }

    /// Any block there ever was.
    #[must_use]
    pub fn block(&self, hash: &BlockHash) -> Option<&Arc<Block>> {
        self.blocks.get(hash)
    }

    /// Every head there was, in order, for streams.
    #[must_use]
    pub fn heads(&self) -> &[Arc<Block>] {
        &self.heads
    }

    /// Every block there was, in order of application, for streams.
    #[must_use]
    pub fn applied(&self) -> &[Arc<Block>] {
        &self.applied
    }

    /// What waits.
    #[must_use]
    pub const fn mempool(&self) -> &Mempool {
        &self.mempool
    }

    /// Changes how operations reach bakers from now on.
    pub const fn carry(&mut self, carriage: Carriage) {
        self.carriage = carriage;
    }

    /// State after the head.
    #[must_use]
    pub fn context(&self) -> &Context {
        self.head()
            .context
            .as_ref()
            .expect("the activation block is adopted before anybody sees the chain")
    }

    /// The form operations have under the head's next protocol.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form_of(self.context().protocol)
    }

    /// The form operations have under `protocol`.
    #[must_use]
    pub fn form_of(&self, protocol: Protocol) -> Form {
        match self.config.dialect {
            Dialect::Modern => Form::Modern(protocol),
            Dialect::Scr1 => Form::Scr1,
        }
    }

    /// The form of the operations in `block`.
    #[must_use]
    pub fn form_of_block(&self, block: &Block) -> Form {
        match block.protocol {
            Rules::Of(protocol) => self.form_of(protocol),
            Rules::BeforeGenesis | Rules::Genesis => self.form(),
        }
    }

    /// Whether originations carry a proof and cements name their commitment, as until Nairobi.
    #[must_use]
    pub fn speaks_before_oxford(&self) -> bool {
        match self.form() {
            Form::Modern(protocol) => protocol < Protocol::Oxford,
            Form::Scr1 => true,
        }
    }

    /// State in which the next block starts, at its level.
    ///
    /// # Errors
    /// [`ChainError::NoLevel`] above the last level.
    pub fn next_context(&self) -> Result<Context, ChainError> {
        let mut context = self.context().clone();
        context.level = self
            .level()
            .next()
            .ok_or_else(|| ChainError::NoLevel(self.level()))?;
        Ok(context)
    }

    /// Blocks whose hash an operation may name as its branch.
    #[must_use]
    pub fn live_blocks(&self, head: &Block) -> Vec<BlockHash> {
        let ttl = head
            .context
            .as_ref()
            .map_or(0, |c| c.parameters.rollup.operation_ttl);
        let mut live = Vec::new();
        let mut next = Some(head);
        while let Some(block) = next {
            live.push(block.hash);
            if live.len() > ttl as usize || block.header.level == Level::ZERO {
                break;
            }
            next = self.blocks.get(&block.header.predecessor).map(Arc::as_ref);
        }
        live
    }

    fn is_live(&self, branch: &BlockHash) -> bool {
        let ttl = self.context().parameters.rollup.operation_ttl;
        self.blocks.get(branch).is_some_and(|block| {
            let level = block.header.level;
            let on_main = self.at(level).is_some_and(|main| main.hash == *branch);
            on_main && self.level().since(level).is_some_and(|age| age <= ttl)
        })
    }

    /// Bakes one block from what waits.
    ///
    /// # Errors
    /// [`ChainError::NoLevel`] above the last level.
    pub fn bake(&mut self) -> Result<Arc<Block>, ChainError> {
        let block = Arc::new(self.propose(0)?);
        self.adopt(Arc::clone(&block));
        self.reclassify(Moved::Ahead);
        if self.carriage.duplicates {
            self.repeat(&block);
        }
        Ok(block)
    }

    /// Bakes `count` blocks.
    ///
    /// # Errors
    /// [`ChainError::NoLevel`] above the last level.
    pub fn bake_many(&mut self, count: u32) -> Result<(), ChainError> {
        for _ in 0..count {
            self.bake()?;
        }
        Ok(())
    }

    /// Replaces the newest `depth` blocks by `blocks` others. The new blocks become heads one by
    /// one from where they outweigh the old head; when there are too few of them, the last one does
    /// all the same, as when a node is rolled back.
    ///
    /// # Errors
    /// [`ChainError::TooDeep`] when the activation block would go.
    pub fn reorganise(
        &mut self,
        depth: u32,
        blocks: u32,
        abandoned: Abandoned,
    ) -> Result<(), ChainError> {
        let head = Arc::clone(self.head());
        let too_deep = || ChainError::TooDeep {
            depth,
            head: head.header.level,
        };
        let kept = head.header.level.minus(depth).ok_or_else(too_deep)?;
        if kept < Level::new(1) {
            return Err(too_deep());
        }
        let keep = usize::try_from(kept.get()).unwrap_or(0).saturating_add(1);
        let gone = self.main.split_off(keep);
        if abandoned == Abandoned::Returned {
            self.return_operations(&gone);
        }
        self.reclassify(Moved::Across);
        let mut shown = false;
        for nth in 0..blocks {
            let round = if nth == 0 { self.next_round() } else { 0 };
            let block = Arc::new(self.propose(round)?);
            let fitter = block::is_fitter(&block.header.fitness, &head.header.fitness);
            shown = fitter;
            self.extend(&block, fitter);
            self.reclassify(Moved::Ahead);
        }
        if !shown {
            self.heads.push(Arc::clone(self.head()));
        }
        Ok(())
    }

    /// Makes any known block the head again: a node that flaps between two branches.
    ///
    /// # Errors
    /// [`ChainError::UnknownBlock`].
    pub fn switch_to(&mut self, hash: &BlockHash) -> Result<(), ChainError> {
        let mut branch = Vec::new();
        let mut next = *hash;
        loop {
            let block = self
                .blocks
                .get(&next)
                .ok_or(ChainError::UnknownBlock(next))?;
            branch.push(Arc::clone(block));
            if block.header.level == Level::ZERO {
                break;
            }
            next = block.header.predecessor;
        }
        branch.reverse();
        self.main = branch;
        self.heads.push(Arc::clone(self.head()));
        self.reclassify(Moved::Across);
        Ok(())
    }

    /// Makes the newest block that another branch ends in the head: of two branches, the one left.
    /// Nothing happens where there is none.
    ///
    /// # Errors
    /// None for a branch that is known.
    pub fn switch_back(&mut self) -> Result<(), ChainError> {
        let is_left = |block: &&Arc<Block>| {
            let level = block.header.level;
            self.at(level).is_none_or(|main| main.hash != block.hash)
        };
        match self.applied.iter().rev().find(is_left) {
            Some(block) => self.switch_to(&block.hash.clone()),
            None => Ok(()),
        }
    }

    /// First round that no known block on the head has.
    fn next_round(&self) -> u32 {
        let head = self.head().hash;
        let siblings = self
            .blocks
            .values()
            .filter(|block| block.header.predecessor == head);
        siblings
            .map(|block| block.header.round.saturating_add(1))
            .max()
            .unwrap_or(0)
    }

    fn adopt(&mut self, block: Arc<Block>) {
        self.extend(&block, true);
    }

    fn extend(&mut self, block: &Arc<Block>, as_head: bool) {
        self.blocks.insert(block.hash, Arc::clone(block));
        self.applied.push(Arc::clone(block));
        self.main.push(Arc::clone(block));
        if as_head {
            self.heads.push(Arc::clone(block));
        }
    }
}
