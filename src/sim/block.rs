//! Blocks: their headers with real bytes and hashes, and what was in them.
//!
//! Promises: a block hash is the hash of the header's binary form, the operations hash is the node's
//! Merkle root, fitness grows as consensus makes it grow. The context hash stands for our own state
//! (no Irmin context is kept), and blocks carry a baker's signature field that nobody checks.
//! Sources: `block_header.ml`, `block_header_repr.ml`, `fitness_repr.ml`, `blake2B.ml`.

use std::cmp::Ordering;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::context::Context;
use super::receipts::Included;
use crate::codec::Writer;
use crate::crypto::{Hash, Prefix, blake2b, blake2b_concat};
use crate::inbox::LevelMessages;
use crate::protocol::{BlockHash, ChainId, ContextHash, Level, OperationHash, Protocol};

/// Validation passes of a block: consensus, votes, anonymous, manager.
pub(crate) const PASSES: u8 = 4;

/// The protocol that applied a block or applies the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// Of the genesis block.
    BeforeGenesis,
    /// Of block 1, which activates the first real protocol.
    Genesis,
    /// A protocol with rollups.
    Of(Protocol),
}

impl Rules {
    /// Text of the protocol hash.
    #[must_use]
    pub const fn hash_text(self) -> &'static str {
        match self {
            Self::BeforeGenesis => "PrihK96nBAFSxVL1GLJTVhu9YnzkMFiBeuJRPA8NwuZVZCE1L6i",
            Self::Genesis => "Ps9mPmXaRzmzk35gbAYNCAw6UXdE2qoABTHbN2oEEc1qM7CwT9P",
            Self::Of(protocol) => protocol.hash_text(),
        }
    }
}

/// A block header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Height.
    pub level: Level,
    /// How many protocols the chain has had.
    pub proto: u8,
    /// Parent.
    pub predecessor: BlockHash,
    /// Seconds since 1970.
    pub timestamp: i64,
    /// Merkle root of the operations.
    pub operations_hash: Hash,
    /// Weight of the branch.
    pub fitness: Vec<Vec<u8>>,
    /// Stands for the state after the block.
    pub context: ContextHash,
    /// Hash of the predecessor and the operations other than consensus ones.
    pub payload_hash: Hash,
    /// Round of the proposal; an alternative block has a later one.
    pub round: u32,
    /// Freely chosen bytes.
    pub nonce: [u8; 8],
    /// The baker's votes: none of any kind.
    pub votes: u8,
    /// The baker's signature.
    pub signature: [u8; 64],
}

impl Header {
    fn shell_bytes(&self, writer: &mut Writer) {
        writer.i32(self.level.get()).u8(self.proto);
        self.predecessor.write(writer);
        writer
            .i64(self.timestamp)
            .u8(self.passes())
            .raw(self.operations_hash.as_bytes())
            .sized(|list| {
                for bytes in &self.fitness {
                    list.dynamic(bytes);
                }
            });
        self.context.write(writer);
    }

    /// The part that the protocol defines.
    #[must_use]
    pub fn protocol_data(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        if self.level != Level::ZERO {
            writer
                .raw(self.payload_hash.as_bytes())
                .u32(self.round)
                .raw(&self.nonce)
                // No seed nonce.
                .u8(0)
                .u8(self.votes)
                .raw(&self.signature);
        }
        writer.into_bytes()
    }

    /// The whole binary form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.shell_bytes(&mut writer);
        writer.raw(&self.protocol_data());
        writer.into_bytes()
    }

    fn hash(&self) -> BlockHash {
        BlockHash(blake2b(&self.to_bytes()).0)
    }

    const fn passes(&self) -> u8 {
        if self.level.get() == 0 { 0 } else { PASSES }
    }

    /// The shell's fields in the node's JSON.
    #[must_use]
    pub fn shell_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("level".into(), json!(self.level));
        object.insert("proto".into(), self.proto.into());
        object.insert("predecessor".into(), json!(self.predecessor));
        object.insert("timestamp".into(), timestamp_text(self.timestamp).into());
        object.insert("validation_pass".into(), self.passes().into());
        object.insert(
            "operations_hash".into(),
            Prefix::OPERATIONS
                .encode(self.operations_hash.as_bytes())
                .into(),
        );
        object.insert(
            "fitness".into(),
            self.fitness
                .iter()
                .map(hex::encode)
                .collect::<Vec<_>>()
                .into(),
        );
        object.insert("context".into(), json!(self.context));
        object
    }

    /// The protocol's fields in the node's JSON.
    #[must_use]
    pub fn protocol_json(&self, protocol: Rules) -> Map<String, Value> {
        let mut object = Map::new();
        let signature = Prefix::SIG.encode(&self.signature);
        match protocol {
            Rules::BeforeGenesis => {}
            Rules::Genesis => {
                object.insert("content".into(), json!({"command": "activate"}));
                object.insert("signature".into(), signature.into());
            }
            Rules::Of(protocol) => {
                let payload = PAYLOAD_LABEL.encode(self.payload_hash.as_bytes());
                object.insert("payload_hash".into(), payload.into());
                object.insert("payload_round".into(), self.round.into());
                object.insert("proof_of_work_nonce".into(), hex::encode(self.nonce).into());
                object.insert("liquidity_baking_toggle_vote".into(), "pass".into());
                if votes_on_issuance(protocol) {
                    object.insert("adaptive_issuance_vote".into(), "pass".into());
                }
                object.insert("signature".into(), signature.into());
            }
        }
        object
    }
}

/// Whether bakers under `protocol` vote on adaptive issuance, too (`per_block_votes_repr.ml`).
const fn votes_on_issuance(protocol: Protocol) -> bool {
    matches!(
        protocol,
        Protocol::Oxford
            | Protocol::ParisB
            | Protocol::ParisC
            | Protocol::Quebec
            | Protocol::Rio
            | Protocol::Seoul
    )
}

/// The byte of a baker that passes on every vote: two bits for each.
pub(crate) const fn no_votes(rules: Rules) -> u8 {
    match rules {
        Rules::Of(protocol) if votes_on_issuance(protocol) => 0b1010,
        _ => 0b10,
    }
}

const PAYLOAD_LABEL: Prefix = Prefix {
    text: "vh",
    bytes: &[0x01, 0x6a, 0xf2],
    payload: 32,
};

/// A time as the node writes it.
#[must_use]
pub(crate) fn timestamp_text(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .map(|time| time.to_string())
        .unwrap_or_default()
}

/// Fitness of a block of `level` proposed at `round` on a predecessor proposed at another.
#[must_use]
pub(crate) fn fitness(level: Level, predecessor_round: u32, round: u32) -> Vec<Vec<u8>> {
    vec![
        vec![0x02],
        level.get().to_be_bytes().to_vec(),
        Vec::new(),
        (!predecessor_round).to_be_bytes().to_vec(),
        round.to_be_bytes().to_vec(),
    ]
}

/// Orders branches as nodes do: by the length of the list, then byte strings by length and content.
#[must_use]
pub(crate) fn by_fitness(one: &[Vec<u8>], other: &[Vec<u8>]) -> Ordering {
    let weight = |fitness: &[Vec<u8>]| {
        let items: Vec<_> = fitness
            .iter()
            .map(|item| (item.len(), item.clone()))
            .collect();
        (fitness.len(), items)
    };
    weight(one).cmp(&weight(other))
}

/// Whether a branch comes before another.
#[must_use]
pub(crate) fn is_fitter(one: &[Vec<u8>], other: &[Vec<u8>]) -> bool {
    by_fitness(one, other).is_gt()
}

/// A block and what it did.
#[derive(Debug, Clone)]
pub struct Block {
    /// Hash of the header.
    pub hash: BlockHash,
    /// The header.
    pub header: Header,
    /// Rules that applied it.
    pub protocol: Rules,
    /// Rules of the next block.
    pub next_protocol: Rules,
    /// Its manager operations.
    pub operations: Vec<Arc<Included>>,
    /// Inbox messages of its level; none below the first protocol.
    pub messages: Option<Arc<LevelMessages>>,
    /// State after it; none below the first protocol.
    pub context: Option<Context>,
    /// Gas its operations took.
    pub consumed_milligas: u64,
}

impl Block {
    /// Puts the hash on a header.
    #[must_use]
    pub fn new(header: Header, protocol: Rules, next_protocol: Rules) -> Self {
        Self {
            hash: header.hash(),
            header,
            protocol,
            next_protocol,
            operations: Vec::new(),
            messages: None,
            context: None,
            consumed_milligas: 0,
        }
    }

    /// Hash of the protocol that applied it.
    #[must_use]
    pub const fn protocol_text(&self) -> &'static str {
        self.protocol.hash_text()
    }

    /// What the head stream shows of it.
    #[must_use]
    pub fn stream_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("hash".into(), json!(self.hash));
        object.extend(self.header.shell_json());
        object.insert(
            "protocol_data".into(),
            hex::encode(self.header.protocol_data()).into(),
        );
        Value::Object(object)
    }

    /// The answer of `header`.
    #[must_use]
    pub fn header_json(&self, chain: ChainId) -> Value {
        let mut object = Map::new();
        object.insert("protocol".into(), self.protocol_text().into());
        object.insert("chain_id".into(), json!(chain));
        object.insert("hash".into(), json!(self.hash));
        object.extend(self.raw_header_json());
        Value::Object(object)
    }

    /// The header inside a whole block.
    #[must_use]
    pub fn raw_header_json(&self) -> Map<String, Value> {
        let mut object = self.header.shell_json();
        object.extend(self.header.protocol_json(self.protocol));
        object
    }
}

/// Merkle root of the operation hashes of a block whose first three passes are empty.
#[must_use]
pub(crate) fn operations_hash(managers: &[OperationHash]) -> Hash {
    let empty = blake2b(&[]);
    let managers = merkle_root(managers.iter().map(|hash| hash.0));
    merkle_root([empty.0, empty.0, empty.0, managers.0])
}

/// The node's Merkle tree: the last leaf fills the tree up to a power of two.
#[must_use]
pub(crate) fn merkle_root(items: impl IntoIterator<Item = [u8; 32]>) -> Hash {
    let mut row: Vec<Hash> = items.into_iter().map(|item| blake2b(&item)).collect();
    let Some(mut filler) = row.last().copied() else {
        return blake2b(&[]);
    };
    while row.len() > 1 {
        row = row
            .chunks(2)
            .map(|pair| {
                let left = pair.first().unwrap_or(&filler);
                let right = pair.get(1).unwrap_or(&filler);
                blake2b_concat(&[left.as_bytes(), right.as_bytes()])
            })
            .collect();
        filler = blake2b_concat(&[filler.as_bytes(), filler.as_bytes()]);
    }
    row.first().copied().unwrap_or(filler)
}

/// The chain identifier: first bytes of the hash of the genesis block's hash.
#[must_use]
pub(crate) fn chain_id(genesis: &BlockHash) -> ChainId {
    let [a, b, c, d, ..] = blake2b(genesis.as_bytes()).0;
    ChainId([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Well-known constants of the network: an empty list, and the sandbox's genesis.
    #[test]
    fn empty_lists_and_genesis_have_their_known_texts() {
        let empty = merkle_root([]);
        assert_eq!(
            Prefix::OPERATIONS.encode(empty.as_bytes()),
            "LLoZS2LW3rEi7KYU4ouBQtorua37aWWCtpDmv1n2x3xoKi6sVXLWp"
        );
        let genesis = "BLockGenesisGenesisGenesisGenesisGenesisf79b5d1CoW2"
            .parse()
            .unwrap();
        assert_eq!(chain_id(&genesis).to_string(), "NetXdQprcVkpaWU");
        for rules in [Rules::BeforeGenesis, Rules::Genesis] {
            assert!(
                rules
                    .hash_text()
                    .parse::<crate::protocol::ProtocolHash>()
                    .is_ok()
            );
        }
    }

    #[test]
    fn four_empty_passes_have_the_root_seen_on_every_empty_block() {
        assert_eq!(
            Prefix::OPERATIONS.encode(operations_hash(&[]).as_bytes()),
            "LLoa7bxRTKaQN2bLYoitYB6bU2DvLnBAqrVjZcvJ364cTcX2PZYKU"
        );
    }

    #[test]
    fn a_merkle_tree_of_three_repeats_its_last_leaf() {
        let [a, b, c] = [[1; 32], [2; 32], [3; 32]];
        let (ha, hb, hc) = (blake2b(&a), blake2b(&b), blake2b(&c));
        let left = blake2b_concat(&[ha.as_bytes(), hb.as_bytes()]);
        let right = blake2b_concat(&[hc.as_bytes(), hc.as_bytes()]);
        let root = blake2b_concat(&[left.as_bytes(), right.as_bytes()]);
        assert_eq!(merkle_root([a, b, c]), root);
    }

    #[test]
    fn a_later_round_is_fitter() {
        let (early, late) = (fitness(Level::new(5), 0, 0), fitness(Level::new(5), 0, 1));
        assert!(is_fitter(&late, &early));
        assert!(is_fitter(&fitness(Level::new(6), 0, 0), &late));
        assert!(is_fitter(
            &fitness(Level::new(6), 0, 0),
            &fitness(Level::new(6), 1, 0)
        ));
    }
}
