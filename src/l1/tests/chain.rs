//! A small chain with branches, as a node tells it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::node::{CHAIN, Node, Reply};
use crate::crypto::{Dialect, blake2b};
use crate::protocol::{BlockHash, Protocol};

#[derive(Debug, Clone)]
struct Stored {
    level: i32,
    predecessor: BlockHash,
    protocol: Protocol,
    operations: Value,
}

/// Blocks by hash; every block ever made stays known.
#[derive(Debug, Default)]
struct Blocks {
    known: BTreeMap<BlockHash, Stored>,
    head: Option<BlockHash>,
}

/// The chain of a scripted node.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    blocks: Arc<Mutex<Blocks>>,
    dialect: Dialect,
}

impl Chain {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            blocks: Arc::default(),
            dialect,
        }
    }

    /// Makes a block on top of `parent` (or a root at level 0) and the head.
    pub(super) fn bake(&self, parent: Option<BlockHash>, salt: &str) -> BlockHash {
        self.bake_with(parent, salt, Protocol::Seoul, json!([]))
    }

    pub(super) fn bake_with(
        &self,
        parent: Option<BlockHash>,
        salt: &str,
        protocol: Protocol,
        operations: Value,
    ) -> BlockHash {
        let mut blocks = self.blocks.lock().unwrap();
        let level = parent.map_or(0, |parent| blocks.known[&parent].level + 1);
        let predecessor = parent.unwrap_or(BlockHash([0; 32]));
        let hash = BlockHash(blake2b(format!("{predecessor}{salt}{level}").as_bytes()).0);
        let stored = Stored {
            level,
            predecessor,
            protocol,
            operations,
        };
        blocks.known.insert(hash, stored);
        blocks.head = Some(hash);
        hash
    }

    /// As many blocks as given on top of `parent`; gives the last one.
    pub(super) fn grow(&self, parent: Option<BlockHash>, salt: &str, count: usize) -> BlockHash {
        let mut tip = parent;
        for _ in 0..count {
            tip = Some(self.bake(tip, salt));
        }
        tip.unwrap()
    }

    /// Hashes from the root to `tip`.
    pub(super) fn branch(&self, tip: BlockHash) -> Vec<BlockHash> {
        let blocks = self.blocks.lock().unwrap();
        let mut path = vec![tip];
        while blocks.known[&path[path.len() - 1]].level > 0 {
            path.push(blocks.known[&path[path.len() - 1]].predecessor);
        }
        path.reverse();
        path
    }

    /// The block as the head stream announces it.
    pub(super) fn notice(&self, hash: BlockHash) -> String {
        let blocks = self.blocks.lock().unwrap();
        let block = &blocks.known[&hash];
        json!({"hash": hash, "level": block.level, "proto": 2, "predecessor": block.predecessor, "fitness": []}).to_string()
    }

    /// Makes `node` tell this chain.
    pub(super) fn on(&self, node: &Node) {
        let chain = self.clone();
        node.otherwise(move |path| chain.answer(path).map(Reply::Json));
    }

    fn answer(&self, path: &str) -> Option<Value> {
        let rest = path.strip_prefix("/chains/main/blocks/")?;
        let (id, leaf) = rest.split_once('/')?;
        let (hash, block) = self.find(id)?;
        let protocol = block.protocol.hash_text();
        match leaf {
            "hash" => Some(json!(hash)),
            "header" => Some(json!({
                "protocol": protocol, "chain_id": CHAIN, "hash": hash, "level": block.level, "proto": 2,
                "predecessor": block.predecessor, "timestamp": "2026-11-22T12:00:00Z",
            })),
            "protocols" => {
                let next = self.successor_protocol(hash).unwrap_or(block.protocol);
                Some(json!({"protocol": protocol, "next_protocol": next.hash_text()}))
            }
            "operations/3" | "operations/3?metadata=always&force_metadata=true" => {
                Some(block.operations)
            }
            "context/constants" => Some(constants(self.dialect)),
            _ => None,
        }
    }

    fn successor_protocol(&self, hash: BlockHash) -> Option<Protocol> {
        let blocks = self.blocks.lock().unwrap();
        let mut next = blocks
            .known
            .values()
            .filter(|block| block.predecessor == hash);
        next.next().map(|block| block.protocol)
    }

    fn find(&self, id: &str) -> Option<(BlockHash, Stored)> {
        let blocks = self.blocks.lock().unwrap();
        let (name, distance) = id.split_once('~').unwrap_or((id, "0"));
        let (mut hash, mut steps) = match (name, name.parse::<i32>()) {
            ("head", _) => (blocks.head?, distance.parse::<i32>().ok()?),
            (_, Ok(level)) => {
                let head = blocks.head?;
                (head, blocks.known[&head].level - level)
            }
            (text, Err(_)) => (text.parse().ok()?, distance.parse().ok()?),
        };
        while steps > 0 {
            hash = blocks.known.get(&hash)?.predecessor;
            steps -= 1;
        }
        (steps == 0).then_some(())?;
        blocks.known.get(&hash).map(|block| (hash, block.clone()))
    }
}

/// The constants a chain of this dialect gives, with values of its time.
pub(super) fn constants(dialect: Dialect) -> Value {
    let prefix = crate::protocol::Constants::key_prefix(dialect);
    let mut constants = serde_json::Map::new();
    for (name, value) in [
        ("commitment_period_in_blocks", json!(30)),
        ("challenge_window_in_blocks", json!(20160)),
        ("timeout_period_in_blocks", json!(20160)),
        ("max_lookahead_in_blocks", json!(30000)),
        ("stake_amount", json!("10000000000")),
        ("number_of_sections_in_dissection", json!(32)),
        ("max_number_of_cemented_commitments", json!(5)),
        ("max_active_outbox_levels", json!(20160)),
        ("max_outbox_messages_per_level", json!(100)),
        ("max_number_of_parallel_games", json!(32)),
    ] {
        constants.insert(format!("{prefix}{name}"), value);
    }
    constants.insert("max_operations_time_to_live".into(), json!(120));
    constants.insert("minimal_block_delay".into(), json!("8"));
    constants.insert(
        "dal_parametric".into(),
        json!({"feature_enable": true, "number_of_slots": 32, "attestation_lag": 8, "slot_size": 126_944, "page_size": 3967, "redundancy_factor": 8, "number_of_shards": 512}),
    );
    Value::Object(constants)
}
