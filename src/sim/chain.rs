//! The simulated chain: every block it ever had, which one is the head, and what waits.
//!
//! Promises: blocks move when told and only then; times follow from levels and rounds, so the same
//! commands give the same chain on every machine; every block keeps its state, so the past can be
//! queried and a reorganisation is cheap. Refuses to know sockets, clocks and the tower.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::apply::Pending;
use super::block::{self, Block, Header, Rules};
use super::context::Context;
use super::errors::{Decimal, RuleError, Trace};
use super::ledger::Ledger;
use super::mempool::{Class, Mempool, Waiting, needed_fee};
use super::parameters::Parameters;
use super::validate::{Signatures, validate};
use crate::crypto::{Dialect, blake2b, blake2b_concat};
use crate::inbox::{self, Info, InternalMessage, LevelMessages, Message};
use crate::protocol::operation::{Form, SignedOperation};
use crate::protocol::{
    BlockHash, ChainId, ContextHash, Level, Mutez, OperationHash, Protocol, PublicKeyHash,
    Timestamp,
};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    mempool: Mempool,
}

impl Chain {
    /// A chain with its genesis block and its activation block.
    ///
    /// # Errors
    /// [`ChainError::NoProtocol`] when nothing is activated at level 1.
    pub fn new(config: Config) -> Result<Self, ChainError> {
        let genesis = genesis_block(&config);
        let mut chain = Self {
            id: block::chain_id(&genesis.hash),
            config: Arc::new(config),
            blocks: HashMap::new(),
            main: Vec::new(),
            heads: Vec::new(),
            mempool: Mempool::default(),
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

    /// What waits.
    #[must_use]
    pub const fn mempool(&self) -> &Mempool {
        &self.mempool
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

    /// Takes a signed operation into the mempool.
    ///
    /// # Errors
    /// The refusal; the operation is kept only if it may become valid later.
    pub fn inject(&mut self, bytes: &[u8]) -> Result<OperationHash, Trace> {
        let form = self.form();
        let max_size = self.context().parameters.operation_size;
        if bytes.len() > max_size {
            return Err(RuleError::OversizedOperation {
                size: bytes.len(),
                max_size,
            }
            .into());
        }
        let signed =
            SignedOperation::from_bytes(form, bytes).map_err(|_| RuleError::ParseError {})?;
        let hash = OperationHash(blake2b(bytes).0);
        let waiting = self.classify(signed, hash);
        let error = waiting.error.clone();
        self.mempool.remove(&hash);
        if waiting.class == Class::Validated
            && let Some(valid) = waiting.valid
            && let Some(replaced) = self.mempool.of_source(valid.source).map(|old| old.hash)
        {
            self.mempool.remove(&replaced);
        }
        if !matches!(waiting.class, Class::Refused) {
            self.mempool.waiting.push(waiting);
        }
        error.map_or(Ok(hash), Err)
    }

    fn classify(&self, signed: SignedOperation, hash: OperationHash) -> Waiting {
        match self.judge(&signed, hash) {
            Ok(valid) => Waiting {
                signed,
                hash,
                class: Class::Validated,
                error: None,
                valid: Some(valid),
            },
            Err(error) => Waiting {
                signed,
                hash,
                class: Class::of(&error),
                error: Some(error),
                valid: None,
            },
        }
    }

    fn judge(
        &self,
        signed: &SignedOperation,
        hash: OperationHash,
    ) -> Result<super::validate::Valid, Trace> {
        let branch = signed.operation.branch;
        if !self.is_live(&branch) {
            return Err(RuleError::UnknownBranch {
                branch: branch.to_string(),
            }
            .into());
        }
        let context = self.next_context().map_err(|error| RuleError::Failure {
            msg: error.to_string(),
        })?;
        let valid = validate(&context, self.form(), signed, Signatures::Checked)?;
        if let Some(old) = self.mempool.of_source(valid.source)
            && old.hash != hash
            && let Some(old) = &old.valid
        {
            let needed = needed_fee(old, valid.gas);
            if u128::from(valid.fee.0) < needed {
                return Err(RuleError::OperationConflict {
                    new_hash: hash,
                    needed_fee_in_mutez: Decimal(needed),
                }
                .into());
            }
        }
        Ok(valid)
    }

    /// Bakes one block from what waits.
    ///
    /// # Errors
    /// [`ChainError::NoLevel`] above the last level.
    pub fn bake(&mut self) -> Result<Arc<Block>, ChainError> {
        let block = Arc::new(self.propose(0)?);
        self.adopt(Arc::clone(&block));
        self.reclassify();
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
        self.reclassify();
        let mut shown = false;
        for nth in 0..blocks {
            let round = if nth == 0 { self.next_round() } else { 0 };
            let block = Arc::new(self.propose(round)?);
            let fitter = block::is_fitter(&block.header.fitness, &head.header.fitness);
            shown = fitter;
            self.extend(&block, fitter);
            self.reclassify();
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
        self.reclassify();
        Ok(())
    }

    fn return_operations(&mut self, gone: &[Arc<Block>]) {
        let mut returned: Vec<_> = gone
            .iter()
            .flat_map(|block| &block.operations)
            .map(|included| Waiting {
                signed: included.signed.clone(),
                hash: included.hash,
                class: Class::BranchDelayed,
                error: None,
                valid: None,
            })
            .collect();
        returned.append(&mut self.mempool.waiting);
        self.mempool.waiting = returned;
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
        self.main.push(Arc::clone(block));
        if as_head {
            self.heads.push(Arc::clone(block));
        }
    }

    /// Judges everything that waits anew, after the head moved.
    fn reclassify(&mut self) {
        if self.mempool.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.mempool.waiting);
        for old in waiting {
            let new = self.classify(old.signed, old.hash);
            let is_past = new
                .error
                .as_ref()
                .and_then(Trace::first)
                .is_some_and(|error| matches!(error, RuleError::CounterInThePast { .. }));
            if !is_past && new.class != Class::Refused {
                self.mempool.waiting.push(new);
            }
        }
    }

    fn propose(&self, round: u32) -> Result<Block, ChainError> {
        let predecessor = self.head();
        let context = self.next_context()?;
        let protocol = context.protocol;
        let mut pending = Pending {
            messages: opening_messages(predecessor, protocol),
            context,
            fees: Mutez(0),
            milligas: 0,
        };
        let operations = self.fill(&mut pending);
        pending.pay_baker(self.config.baker);
        let milligas = pending.milligas;
        let Pending {
            mut context,
            mut messages,
            ..
        } = pending;
        messages.push(Message::END_OF_LEVEL.into());
        let level = context.level;
        let messages = LevelMessages::new(messages).ok_or(ChainError::NoLevel(level))?;
        context.inbox = inbox::next_inbox(&context.inbox, level, messages.witness())?;
        if let Some((next, parameters)) = self.config.protocols.get(&level) {
            context.migrate(*next, Arc::clone(parameters));
        }
        let hashes: Vec<_> = operations.iter().map(|included| included.hash).collect();
        let header = self.header(
            predecessor,
            level,
            round,
            &hashes,
            context.protocol != protocol,
        );
        let mut block = Block::new(header, Rules::Of(protocol), Rules::Of(context.protocol));
        block.operations = operations;
        block.messages = Some(Arc::new(messages));
        block.context = Some(context);
        block.consumed_milligas = milligas;
        Ok(block)
    }

    fn fill(&self, pending: &mut Pending) -> Vec<Arc<super::receipts::Included>> {
        let mut operations = Vec::new();
        let limit = pending.context.parameters.gas_per_block;
        let mut gas: u64 = 0;
        for waiting in &self.mempool.waiting {
            let live =
                waiting.class == Class::Validated && self.is_live(&waiting.signed.operation.branch);
            let form = self.form();
            let valid = live
                .then(|| {
                    validate(&pending.context, form, &waiting.signed, Signatures::Ignored).ok()
                })
                .flatten();
            let Some(valid) = valid.filter(|valid| gas.saturating_add(valid.gas) <= limit) else {
                continue;
            };
            gas = gas.saturating_add(valid.gas);
            let included = pending.apply(&waiting.signed, waiting.hash);
            pending.milligas = pending.milligas.saturating_add(included.milligas());
            operations.push(Arc::new(included));
        }
        operations
    }

    fn header(
        &self,
        predecessor: &Block,
        level: Level,
        round: u32,
        operations: &[OperationHash],
        activates: bool,
    ) -> Header {
        let parent = &predecessor.header;
        let parameters = predecessor
            .context
            .as_ref()
            .map(|context| &context.parameters);
        let (delay, increment) =
            parameters.map_or((1, 1), |p| (p.block_delay, p.round_increment()));
        let waited = i64::from(delay) + round_offset(delay, increment, round);
        let operations_hash = block::operations_hash(operations);
        let context = blake2b_concat(&[
            parent.context.as_bytes(),
            operations_hash.as_bytes(),
            &level.get().to_be_bytes(),
        ]);
        Header {
            level,
            proto: parent.proto.wrapping_add(u8::from(activates)),
            predecessor: predecessor.hash,
            timestamp: parent.timestamp.saturating_add(waited),
            operations_hash,
            fitness: block::fitness(level, parent.round, round),
            context: ContextHash::from(context),
            payload_hash: blake2b_concat(&[
                predecessor.hash.as_bytes(),
                operations_hash.as_bytes(),
            ]),
            round,
            nonce: self.config.seed.to_be_bytes(),
            signature: [0; 64],
        }
    }

    fn activation_block(&self) -> Result<Block, ChainError> {
        let genesis = self.head();
        let level = Level::new(1);
        let (protocol, parameters) = self
            .config
            .protocols
            .get(&level)
            .ok_or(ChainError::NoProtocol)?;
        let mut header = self.header(genesis, level, 0, &[], true);
        header.fitness = block::fitness(level, 0, 0);
        // The protocol is initialised with the activation block's own time, and its predecessor.
        let time = Timestamp(header.timestamp);
        let (inbox, messages) = inbox::origin_inbox(level, *protocol, genesis.hash, time)?;
        let context = Context {
            level,
            protocol: *protocol,
            parameters: Arc::clone(parameters),
            past_periods: Arc::default(),
            ledger: Arc::new(self.config.ledger.clone()),
            rollups: Arc::default(),
            inbox,
        };
        let mut block = Block::new(header, Rules::Genesis, Rules::Of(*protocol));
        block.messages = Some(Arc::new(messages));
        block.context = Some(context);
        Ok(block)
    }
}

/// Seconds between the start of round 0 and that of `round`.
fn round_offset(delay: u32, increment: u32, round: u32) -> i64 {
    (0..round)
        .map(|earlier| i64::from(delay) + i64::from(increment) * i64::from(earlier))
        .sum()
}

fn opening_messages(predecessor: &Block, protocol: Protocol) -> Vec<Vec<u8>> {
    let mut messages = vec![
        Message::START_OF_LEVEL.to_vec(),
        serialized(InternalMessage::InfoPerLevel(Info {
            predecessor_timestamp: Timestamp(predecessor.header.timestamp),
            predecessor: predecessor.hash,
        })),
    ];
    // No message announced a protocol before Nairobi.
    if predecessor.protocol != predecessor.next_protocol && protocol >= Protocol::Nairobi {
        let version = protocol.version_text().into();
        messages.push(serialized(InternalMessage::ProtocolMigration(version)));
    }
    messages
}

fn serialized(message: InternalMessage) -> Vec<u8> {
    Message::Internal(message)
        .serialize()
        .expect("the protocol's own messages are a few dozen bytes")
}

fn genesis_block(config: &Config) -> Block {
    let hash = BlockHash(blake2b_concat(&[b"simulated genesis", &config.seed.to_be_bytes()]).0);
    let header = Header {
        level: Level::ZERO,
        proto: 0,
        predecessor: hash,
        timestamp: config.genesis_time,
        operations_hash: block::merkle_root([]),
        fitness: Vec::new(),
        context: ContextHash::from(blake2b(hash.as_bytes())),
        payload_hash: blake2b(&[]),
        round: 0,
        nonce: [0; 8],
        signature: [0; 64],
    };
    let mut block = Block::new(header, Rules::BeforeGenesis, Rules::Genesis);
    // As on every chain, the genesis block has a chosen hash and is its own predecessor.
    block.hash = hash;
    block
}
