//! A chain and a network in a few lines, without signatures: what the carrier is held against.
//!
//! Whoever saw an operation may put it into a block at any time, as long as the chain's rules
//! allow it: counters in order, branch on the chain and not too old.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;
use crate::crypto::{Curve, SecretKey, Signature, blake2b};
use crate::l1::{
    BlockRef, EndpointName, NodeError, Receipt, Simulated, Status, Waiting, WaitingClass,
};
use crate::protocol::operation::{Content, Form, Refutation, SignedOperation, Step};
use crate::protocol::{
    BlockHash, Commitment, CommitmentHash, Counter, Gas, Level, Mutez, OperationHash, Protocol,
    PublicKeyHash, RollupAddress, StateHash, Tick,
};

pub(super) const FORM: Form = Form::Modern(Protocol::Ushuaia);
pub(super) const TTL: u32 = 12;

/// One operation that was injected somewhere.
#[derive(Debug, Clone)]
struct Seen {
    first: u64,
    last: u64,
    branch: BlockHash,
    fee: u64,
    keys: Vec<IntentionKey>,
}

#[derive(Debug, Clone)]
struct Block {
    place: BlockRef,
    included: Vec<OperationHash>,
    counter: u64,
}

/// The chain, what waits, the carrier and its journal.
pub(super) struct World {
    pub(super) carrier: Carrier,
    pub(super) entries: Vec<Entry>,
    pub(super) notices: Vec<Notice>,
    pub(super) wanted: Vec<Wanted>,
    /// Whether injections reach anybody.
    pub(super) is_deaf: bool,
    /// What simulations of moves are answered with, where that is a lie.
    pub(super) lie: Option<Lie>,
    /// What blocks say of operations, where they fail.
    pub(super) fails_with: Option<&'static str>,
    key: SecretKey,
    settings: Settings,
    chain: Vec<Block>,
    seen: BTreeMap<OperationHash, Seen>,
    mempool: BTreeSet<OperationHash>,
    /// Level up to which the carrier was given blocks.
    given: Vec<BlockRef>,
    blocks_made: u32,
}

/// What a node says of moves that are fine.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lie {
    /// They are not valid.
    Unfit(&'static str),
    /// They fail.
    Fails(&'static str),
    /// They take storage.
    Burns,
    /// They take so many thousandths of gas.
    Gas(u64),
    /// Nothing.
    Silent,
}

pub(super) fn node_error(id: &str) -> NodeError {
    NodeError {
        id: format!("proto.025-PsUshuai.{id}"),
        kind: "temporary".into(),
        msg: None,
        needed_fee: None,
    }
}

/// A move against the `nth` opponent.
pub(super) fn a_move(nth: u8, deadline: Option<u16>) -> Wanted {
    Wanted {
        what: Intention::Refute {
            rollup: RollupAddress([1; 20]),
            opponent: PublicKeyHash::Tz1([nth; 20]),
            refutation: Refutation::Move {
                choice: Tick(0),
                step: Step::Dissection(Vec::new()),
            },
            turn: None,
        },
        deadline: deadline.map(Level::new),
    }
}

/// The `nth` thing to do.
pub(super) fn intention(nth: u8) -> Intention {
    Intention::Publish {
        rollup: RollupAddress([1; 20]),
        commitment: Commitment {
            compressed_state: StateHash([nth; 32]),
            inbox_level: Level::new(nth.into()),
            predecessor: CommitmentHash([0; 32]),
            number_of_ticks: 1,
        },
    }
}

pub(super) fn wanted(nth: u8, deadline: Option<u16>) -> Wanted {
    Wanted {
        what: intention(nth),
        deadline: deadline.map(Level::new),
    }
}

impl World {
    pub(super) fn new(settings: Settings) -> Self {
        let key = SecretKey::from_bytes(Curve::Ed25519, &[7; 32]).unwrap();
        let mut world = Self {
            carrier: Carrier::new(*key.public(), None, settings),
            entries: Vec::new(),
            notices: Vec::new(),
            wanted: Vec::new(),
            is_deaf: false,
            lie: None,
            fails_with: None,
            key,
            settings,
            chain: Vec::new(),
            seen: BTreeMap::new(),
            mempool: BTreeSet::new(),
            given: Vec::new(),
            blocks_made: 0,
        };
        for _ in 0..4 {
            world.bake(None);
        }
        world.given = world.chain.iter().map(|block| block.place).collect();
        world
    }

    fn counter(&self) -> u64 {
        self.chain.last().map_or(0, |block| block.counter)
    }

    fn is_includable(&self, seen: &Seen) -> bool {
        let branch = self
            .chain
            .iter()
            .position(|block| block.place.hash == seen.branch);
        let age = branch.map(|at| self.chain.len() - 1 - at);
        seen.first == self.counter() + 1 && age.is_some_and(|age| age <= TTL as usize)
    }

    /// Operations that the next block may include, whether they wait or only were seen once.
    pub(super) fn includable(&self) -> Vec<OperationHash> {
        let seen = self
            .seen
            .iter()
            .filter(|(_, seen)| self.is_includable(seen));
        seen.map(|(hash, _)| *hash).collect()
    }

    /// The dearest operation that waits and may be included.
    pub(super) fn best(&self) -> Option<OperationHash> {
        let waiting = self
            .mempool
            .iter()
            .filter(|hash| self.is_includable(&self.seen[*hash]));
        waiting.max_by_key(|hash| self.seen[*hash].fee).copied()
    }

    pub(super) fn bake(&mut self, included: Option<OperationHash>) {
        let level = Level::new(u16::try_from(self.chain.len()).unwrap());
        self.blocks_made += 1;
        let hash = BlockHash(blake2b(&self.blocks_made.to_be_bytes()).0);
        let counter = included.map_or(self.counter(), |hash| self.seen[&hash].last);
        self.chain.push(Block {
            place: BlockRef { level, hash },
            included: included.into_iter().collect(),
            counter,
        });
        if let Some(hash) = included {
            self.mempool.remove(&hash);
        }
    }

    /// Somebody else's operation with our key takes the next counter.
    pub(super) fn bake_foreign(&mut self, nth: u8) -> OperationHash {
        let hash = OperationHash([nth; 32]);
        let seen = Seen {
            first: self.counter() + 1,
            last: self.counter() + 1,
            branch: self.chain[0].place.hash,
            fee: 0,
            keys: Vec::new(),
        };
        self.seen.insert(hash, seen);
        self.bake(Some(hash));
        hash
    }

    /// The newest blocks leave the chain; as on a node, their operations wait again, or are lost.
    pub(super) fn abandon(&mut self, depth: usize, returns: bool) {
        let keep = self.chain.len().saturating_sub(depth).max(3);
        let gone = self.chain.split_off(keep);
        if returns {
            self.mempool
                .extend(gone.into_iter().flat_map(|block| block.included));
        }
    }

    pub(super) fn lose_mempool(&mut self) {
        self.mempool.clear();
    }

    /// What was done on the chain in force, each as often as it was done.
    pub(super) fn done(&self) -> Vec<IntentionKey> {
        let included = self.chain.iter().flat_map(|block| &block.included);
        included
            .flat_map(|hash| self.seen[hash].keys.clone())
            .collect()
    }

    /// The level of the head.
    pub(super) fn level(&self) -> u16 {
        u16::try_from(self.chain.len() - 1).unwrap()
    }

    /// The contents of the operation made last.
    pub(super) fn newest(&self) -> Vec<Content> {
        let signed = self.entries.iter().rev().find_map(|entry| match entry {
            Entry::Signed { bytes, .. } => Some(bytes),
            _ => None,
        });
        let read = SignedOperation::from_bytes(FORM, signed.unwrap());
        read.unwrap().operation.contents
    }

    pub(super) fn fee_of(&self, hash: &OperationHash) -> u64 {
        self.seen[hash].fee
    }

    /// The carrier crashes: another one goes on from the journal alone.
    pub(super) fn crash(&mut self) {
        let key = *self.key.public();
        let entries: Vec<_> = self
            .entries
            .iter()
            .map(|entry| Entry::from_json(&entry.to_json()).unwrap())
            .collect();
        self.carrier = Carrier::restore(key, None, self.settings, &entries).unwrap();
    }

    /// The carrier is given what happened since the last time, and looks at the head.
    pub(super) fn tell(&mut self) {
        let common = self
            .given
            .iter()
            .zip(&self.chain)
            .take_while(|(given, block)| **given == block.place)
            .count();
        if common < self.given.len() {
            let keep = self.given[common - 1].level;
            self.given.truncate(common);
            self.observe(Observation::RolledBack(keep));
        }
        for at in common..self.chain.len() {
            let block = self.chain[at].clone();
            self.given.push(block.place);
            let receipts = block.included.iter().flat_map(|hash| self.receipts(*hash));
            let receipts = receipts.collect();
            self.observe(Observation::Block(block.place, receipts));
        }
        let done: BTreeSet<_> = self.done().into_iter().collect();
        let open = self
            .wanted
            .iter()
            .filter(|wanted| !done.contains(&wanted.what.key()));
        let observation = Observation::Head(Box::new(self.view()), open.cloned().collect());
        self.observe(observation);
    }

    fn receipts(&self, hash: OperationHash) -> Vec<Receipt> {
        let seen = &self.seen[&hash];
        let counters = seen.first..=seen.last;
        let receipts = counters.enumerate().map(|(index, counter)| Receipt {
            operation: hash,
            index,
            by: PublicKeyHash::of_key(self.key.public()),
            kind: "smart_rollup_publish".into(),
            counter: Some(Counter(counter)),
            status: self.fails_with.map_or(Status::Applied, |_| Status::Failed),
            errors: self.fails_with.map(node_error).into_iter().collect(),
        });
        receipts.collect()
    }

    fn view(&self) -> View {
        let head = self.chain.last().unwrap();
        let anchor = &self.chain[self.chain.len() - 3];
        let waiting = self
            .mempool
            .iter()
            .filter(|hash| self.is_includable(&self.seen[*hash]));
        let waiting = waiting.map(|hash| Waiting {
            hash: *hash,
            class: WaitingClass::Validated,
            counter: None,
            errors: Vec::new(),
        });
        View {
            head: head.place,
            anchor: anchor.place,
            form: FORM,
            limits: Limits {
                content_gas: Gas(1_000_000),
                block_gas: Gas(1_000_000),
                ttl: TTL,
            },
            counter: Counter(head.counter),
            is_revealed: true,
            balance: Mutez(1_000_000),
            mempools: vec![WaitingHere {
                endpoint: EndpointName::new("one"),
                waiting: Some(waiting.collect()),
            }],
        }
    }

    fn observe(&mut self, observation: Observation) {
        let mut effects = self.carrier.step(observation);
        let mut steps = 0;
        while !effects.is_empty() {
            steps += 1;
            assert!(steps < 200, "the carrier does not come to rest");
            let answer = match effects.remove(0) {
                Effect::Write(entry) => {
                    self.entries.push(entry);
                    continue;
                }
                Effect::Tell(notice) => {
                    self.notices.push(notice);
                    continue;
                }
                Effect::Simulate(draft) => self.simulated(&draft),
                Effect::Sign(draft) => self.sign(&draft),
                Effect::Inject(hash, bytes) => {
                    Observation::Injected(hash, self.inject(hash, &bytes))
                }
            };
            effects.splice(0..0, self.carrier.step(answer));
        }
    }

    fn simulated(&self, draft: &Draft) -> Observation {
        let is_move = |item: &Wanted| matches!(item.what, Intention::Refute { .. });
        let about = draft.items.iter().position(is_move);
        let (Some(lie), Some(about)) = (self.lie, about) else {
            return Observation::Simulated(draft.id, simulated(draft));
        };
        let mut results = simulated(draft);
        match lie {
            Lie::Unfit(id) => return Observation::Unfit(draft.id, vec![node_error(id)]),
            Lie::Silent => return Observation::NotSimulated(draft.id, "no answer".into()),
            Lie::Fails(id) => {
                results[about].status = Status::Failed;
                results[about].errors = vec![node_error(id)];
            }
            Lie::Burns => results[about].storage = 7,
            Lie::Gas(milligas) => results[about].milligas = milligas,
        }
        Observation::Simulated(draft.id, results)
    }

    pub(super) fn sign(&self, draft: &Draft) -> Observation {
        let message = draft.operation.to_sign(FORM).unwrap();
        let signature = self.key.sign(&message, FORM.bls_suite()).unwrap();
        let signed = SignedOperation {
            operation: draft.operation.clone(),
            signature: Signature::without_curve(signature),
        };
        let hash = signed.hash(FORM).unwrap();
        Observation::Signed(draft.id, hash, signed.to_bytes(FORM).unwrap())
    }

    fn inject(&mut self, hash: OperationHash, bytes: &[u8]) -> Vec<(EndpointName, Injection)> {
        let written = self
            .entries
            .iter()
            .any(|entry| matches!(entry, Entry::Signed { hash: written, .. } if *written == hash));
        assert!(written, "{hash} is injected before it is written down");
        let operation = SignedOperation::from_bytes(FORM, bytes).unwrap().operation;
        let contents = &operation.contents;
        let keys = contents
            .iter()
            .map(|content| Intention::of(&content.action, None).unwrap().key());
        let seen = Seen {
            first: contents[0].counter.0,
            last: contents.last().unwrap().counter.0,
            branch: operation.branch,
            fee: contents.iter().map(|content| content.fee.0).sum(),
            keys: keys.collect(),
        };
        let answer = self.classified(hash, &seen);
        self.seen.insert(hash, seen);
        vec![(EndpointName::new("one"), answer)]
    }

    fn classified(&mut self, hash: OperationHash, seen: &Seen) -> Injection {
        if self.is_deaf {
            return Injection::Unreachable("deaf".into());
        }
        if !self.is_includable(seen) {
            return refused("Counter 7 already used for contract tz1 (expected 8)");
        }
        let rival = self.best().filter(|rival| *rival != hash);
        if let Some(rival) = rival {
            let needed = (self.seen[&rival].fee * 21).div_ceil(20);
            if seen.fee < needed {
                return refused(&format!(
                    "The operation o cannot be added because the mempool already contains a \
                     conflicting operation. To replace the latter, this particular operation would \
                     need a\n  total fee of\n  at least {needed} mutez."
                ));
            }
            self.mempool.remove(&rival);
        }
        self.mempool.insert(hash);
        Injection::Accepted
    }
}

/// A refusal as nodes tell it: the errors as a text, its lines broken anywhere.
fn refused(why: &str) -> Injection {
    let text = format!("Error while validating injected operation o:\nError:\n  {why}\n");
    Injection::Refused(refusal(&text))
}

/// The errors around the text of a refusal.
pub(super) fn refusal(text: &str) -> Vec<NodeError> {
    let error = |id: &str, msg: Option<String>| NodeError {
        id: id.into(),
        kind: "permanent".into(),
        msg,
        needed_fee: None,
    };
    vec![
        error("async_injection_failed", None),
        error("failure", Some(text.into())),
    ]
}

fn simulated(draft: &Draft) -> Vec<Simulated> {
    let each = |_: &_| Simulated {
        status: Status::Applied,
        errors: Vec::new(),
        milligas: 1_000_000,
        storage: 0,
    };
    draft.operation.contents.iter().map(each).collect()
}
