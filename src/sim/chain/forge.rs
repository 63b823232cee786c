//! Making blocks: genesis, the activation of the first protocol, and one after the other.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Chain, ChainError, Config};
use crate::crypto::{blake2b, blake2b_concat};
use crate::inbox::{self, Info, InternalMessage, LevelMessages, Message};
use crate::protocol::{BlockHash, ContextHash, Level, OperationHash, Protocol, Timestamp};
use crate::sim::apply::Pending;
use crate::sim::block::{self, Block, Header, Rules};
use crate::sim::context::Context;
use crate::sim::fees::Thresholds;
use crate::sim::mempool::{Class, Waiting};
use crate::sim::receipts::Included;
use crate::sim::rules::filter::Filter;
use crate::sim::validate::{Signatures, Valid, validate};

/// Bytes that the manager operations of a block may take together (`main.ml`, validation passes).
const MANAGER_BYTES: usize = 512 * 1024;

impl Chain {
    pub(super) fn propose(&self, round: u32) -> Result<Block, ChainError> {
        let predecessor = self.head();
        let context = self.next_context()?;
        let protocol = context.protocol;
        let mut pending = Pending {
            messages: opening_messages(predecessor, protocol),
            ..Pending::on(context)
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

    fn fill(&self, pending: &mut Pending) -> Vec<Arc<Included>> {
        let mut operations = Vec::new();
        let limit = pending.context.parameters.gas_per_block;
        let mut gas: u64 = 0;
        let mut filter = Filter::new(self.context());
        for waiting in self.chosen(limit) {
            if !filter.admits(&waiting.signed) {
                continue;
            }
            let form = self.form();
            let valid = validate(&pending.context, form, &waiting.signed, Signatures::Ignored).ok();
            let Some(valid) = valid.filter(|valid| gas.saturating_add(valid.gas) <= limit) else {
                continue;
            };
            gas = gas.saturating_add(valid.gas);
            let included = pending.apply(&waiting.signed, form, waiting.hash);
            pending.milligas = pending.milligas.saturating_add(included.milligas());
            operations.push(Arc::new(included));
        }
        operations
    }

    /// The waiting operations that a baker takes, oldest first. Those that pay less than the usual
    /// threshold are left out; when not all fit, the heaviest go in first, by fee per share of the
    /// block (`operation_selection.ml`).
    fn chosen(&self, gas_limit: u64) -> Vec<&Waiting> {
        let waiting = self.mempool.waiting().iter();
        let candidates: Vec<(&Waiting, Valid)> = waiting
            .filter(|waiting| waiting.class == Class::Validated)
            .filter(|waiting| waiting.pays(&Thresholds::default(), self.carriage.price.max(1)))
            .filter(|waiting| self.has_arrived(&waiting.hash))
            .filter(|waiting| self.is_live(&waiting.signed.operation.branch))
            .filter_map(|waiting| Some((waiting, waiting.valid?)))
            .collect();
        let share = |(waiting, valid): &(&Waiting, Valid)| {
            let by_size = (waiting.size as u128).saturating_mul(gas_limit.into());
            let by_gas = u128::from(valid.gas).saturating_mul(MANAGER_BYTES as u128);
            by_size.max(by_gas).max(1)
        };
        let mut heaviest: Vec<usize> = (0..candidates.len()).collect();
        heaviest.sort_by(|one, other| {
            let weights = candidates.get(*one).zip(candidates.get(*other));
            weights.map_or(Ordering::Equal, |(one, other)| {
                let one_weighs = u128::from(one.1.fee.0).saturating_mul(share(other));
                let other_weighs = u128::from(other.1.fee.0).saturating_mul(share(one));
                other_weighs.cmp(&one_weighs)
            })
        });
        let (mut gas, mut bytes) = (0_u64, 0_usize);
        let mut taken: Vec<usize> = heaviest
            .into_iter()
            .filter(|nth| {
                let Some((waiting, valid)) = candidates.get(*nth) else {
                    return false;
                };
                let with = (
                    gas.saturating_add(valid.gas),
                    bytes.saturating_add(waiting.size),
                );
                let fits = with.0 <= gas_limit && with.1 <= MANAGER_BYTES;
                if fits {
                    (gas, bytes) = with;
                }
                fits
            })
            .collect();
        taken.sort_unstable();
        if self.carriage.reversed {
            taken.reverse();
        }
        let mut chosen: Vec<&Waiting> = taken
            .into_iter()
            .filter_map(|nth| candidates.get(nth))
            .map(|(waiting, _)| *waiting)
            .collect();
        // Who pays much more comes first in the block, too.
        chosen.sort_by_key(|waiting| std::cmp::Reverse(waiting.rank()));
        chosen
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
            votes: block::no_votes(predecessor.next_protocol),
            signature: [0; 64],
        }
    }

    pub(super) fn activation_block(&self) -> Result<Block, ChainError> {
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
            past_sizes: Arc::default(),
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

pub(super) fn genesis_block(config: &Config) -> Block {
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
        votes: block::no_votes(Rules::BeforeGenesis),
        signature: [0; 64],
    };
    let mut block = Block::new(header, Rules::BeforeGenesis, Rules::Genesis);
    // As on every chain, the genesis block has a chosen hash and is its own predecessor.
    block.hash = hash;
    block
}
