//! Carrying: the pure state machine between what is wanted and what is on the chain.
//!
//! Promises: [`Carrier::step`] takes an observation and returns effects, entries before acts; it
//! chooses and performs nothing. All operations that could be included next share one counter, so
//! the chain itself admits at most one of them; an operation that follows another not yet final is
//! anchored on the block of that other, so it dies with it in a reorganisation. Refuses to know:
//! sockets, keys, clocks.

mod answers;
mod blocks;
mod heads;
mod resume;
mod send;
mod unadvised;

use std::collections::{BTreeMap, BTreeSet};

use self::unadvised::Trust;
use super::batch::{Draft, Plan, Sender, offer_of};
use super::entry::Entry;
use super::fee::{FeeRules, Offer};
use super::intention::{Intention, IntentionKey, Wanted};
use super::outcome::Outcome;
use crate::crypto::{PublicKey, Signature};
use crate::l1::{BlockRef, EndpointName, NodeError, Receipt, Simulated, Waiting};
use crate::protocol::operation::{Action, Form, Operation};
use crate::protocol::{Counter, Gas, Level, Mutez, OperationHash, PublicKeyHash, RollupAddress};

/// How a carrier behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Blocks after which an inclusion is final.
    pub depth: u32,
    /// Most intentions in one operation.
    pub batch: usize,
    /// Blocks without a foreign operation after which sending goes on.
    pub stand_by: u32,
    /// Blocks left at which nothing waits for anything any more.
    pub urgent: u32,
    /// Most that one operation offers in fees.
    pub fee_cap: Mutez,
    /// What bakers ask for.
    pub fees: FeeRules,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            depth: 2,
            batch: 16,
            stand_by: 30,
            urgent: 10,
            fee_cap: Mutez(5_000_000),
            fees: FeeRules::default(),
        }
    }
}

/// Limits in force at the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Gas of one content.
    pub content_gas: Gas,
    /// Gas of one block, hence of one operation.
    pub block_gas: Gas,
    /// Blocks that a branch stays good for.
    pub ttl: u32,
}

/// What waits of our account at one endpoint; none when it could not be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingHere {
    /// The endpoint.
    pub endpoint: EndpointName,
    /// What waits there.
    pub waiting: Option<Vec<Waiting>>,
}

/// The chain at a head, as far as carrying needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The head.
    pub head: BlockRef,
    /// The newest final block: what operations are anchored on.
    pub anchor: BlockRef,
    /// The form of operations in the next block.
    pub form: Form,
    /// Limits of the next block.
    pub limits: Limits,
    /// Counter of the account.
    pub counter: Counter,
    /// Whether its key is revealed.
    pub is_revealed: bool,
    /// What it can spend.
    pub balance: Mutez,
    /// The mempools.
    pub mempools: Vec<WaitingHere>,
}

/// What one endpoint made of an injection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Injection {
    /// It took it.
    Accepted,
    /// It refuses.
    Refused(Vec<NodeError>),
    /// It could not be reached.
    Unreachable(String),
}

/// Something seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// Blocks above this level left the chain.
    RolledBack(Level),
    /// A block joined the chain, with the receipts of our account in it.
    Block(BlockRef, Vec<Receipt>),
    /// All blocks up to the head were seen; this is wanted now, all of it.
    Head(Box<View>, Vec<Wanted>),
    /// How a draft fared in simulation.
    Simulated(u64, Vec<Simulated>),
    /// The draft was refused before anything was applied.
    Unfit(u64, Vec<NodeError>),
    /// No endpoint could simulate.
    NotSimulated(u64, String),
    /// A draft was signed.
    Signed(u64, OperationHash, Vec<u8>),
    /// The gate refused a draft; with the position of the content at fault, where it is one.
    Refused(u64, String, Option<usize>),
    /// The gate signs nothing for now, or nothing of the rollup of the content at this position.
    Stopped(u64, String, Option<usize>),
    /// The gate signs for these rollups: what it was stopped for goes on at once.
    Freed(BTreeSet<RollupAddress>),
    /// The key could not sign.
    NotSigned(u64, String),
    /// What the endpoints made of an injection.
    Injected(OperationHash, Vec<(EndpointName, Injection)>),
}

/// Something to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write down; what follows must wait until it is on disk.
    Write(Entry),
    /// Simulate at the head.
    Simulate(Draft),
    /// Have it admitted by the gate, written down and signed.
    Sign(Draft),
    /// Inject everywhere.
    Inject(OperationHash, Vec<u8>),
    /// Tell whoever wants things done.
    Tell(Notice),
}

/// News for whoever wants things done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// An operation of ours is in a block.
    Included {
        /// What it carried.
        what: Intention,
        /// What became of it.
        outcome: Outcome,
        /// The operation.
        operation: OperationHash,
        /// The block.
        block: BlockRef,
        /// Why it failed.
        errors: Vec<NodeError>,
    },
    /// An inclusion was undone by a reorganisation.
    Undone {
        /// The operation.
        operation: OperationHash,
    },
    /// The block of an operation is final.
    Final {
        /// The operation.
        operation: OperationHash,
    },
    /// An intention is set aside, because of what the chain says of it.
    Held {
        /// The intention.
        what: Intention,
        /// What the chain's answer means.
        outcome: Outcome,
        /// The answer.
        errors: Vec<NodeError>,
        /// When it is tried again.
        until: Level,
    },
    /// The gate refuses to sign.
    Refused {
        /// What for.
        what: Vec<Intention>,
        /// Why.
        reason: String,
    },
    /// The key cannot be used.
    NoSignature {
        /// Why.
        reason: String,
    },
    /// A move is sent although no simulation vouches for it.
    Unadvised {
        /// The move.
        what: Intention,
        /// Why.
        reason: String,
    },
    /// An intention cannot be an operation.
    Impossible {
        /// The intention.
        what: Intention,
        /// Why.
        reason: String,
    },
    /// What would have to be offered is over the cap.
    FeeCap {
        /// The cap.
        cap: Mutez,
    },
    /// Somebody else uses our key: this carrier stands by.
    Foreign {
        /// The operation.
        operation: OperationHash,
        /// The block it is in; none when it waits in a mempool.
        block: Option<BlockRef>,
    },
    /// After having stood by, sending goes on.
    Resumed {
        /// Why.
        reason: String,
    },
    /// An operation can no longer be included.
    Dropped {
        /// The operation.
        operation: OperationHash,
        /// Why.
        reason: String,
    },
    /// No endpoint took an operation.
    NotTaken {
        /// The operation.
        operation: OperationHash,
        /// What they say.
        problem: String,
    },
}

impl Notice {
    /// Whether somebody should look.
    #[must_use]
    pub const fn is_alarm(&self) -> bool {
        match self {
            Self::Included { outcome, .. } | Self::Held { outcome, .. } => {
                matches!(outcome, Outcome::Stop | Outcome::Disagreement)
            }
            Self::Refused { .. }
            | Self::NoSignature { .. }
            | Self::Unadvised { .. }
            | Self::Impossible { .. }
            | Self::FeeCap { .. }
            | Self::Foreign { .. }
            | Self::Resumed { .. } => true,
            Self::Undone { .. }
            | Self::Final { .. }
            | Self::Dropped { .. }
            | Self::NotTaken { .. } => false,
        }
    }
}

/// One signed operation.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Variant {
    hash: OperationHash,
    bytes: Vec<u8>,
    branch: Level,
    first: Counter,
    last: Counter,
    offer: Offer,
    reveals: bool,
    signed_at: Level,
    items: Vec<Wanted>,
}

impl Variant {
    fn carries(&self, key: &IntentionKey) -> bool {
        self.items.iter().any(|item| item.what.key() == *key)
    }
}

/// Operations of which the chain can include one: all begin with the same counter.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pending {
    /// Oldest first, never empty.
    variants: Vec<Variant>,
    /// What an endpoint says a replacement must offer.
    needed: Option<Mutez>,
}

/// An operation in a block that is not final yet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Landing {
    variant: Variant,
    block: BlockRef,
    /// What took effect.
    done: BTreeSet<IntentionKey>,
}

/// An intention set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hold {
    since: Level,
    until: Level,
    outcome: Outcome,
    cause: Cause,
}

/// Why an intention is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// Somebody's answer to it, which time may change.
    Answer,
    /// Nothing is signed for now: over as soon as the gate is free.
    Stop,
}

/// The last foreign operation seen in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StandBy {
    level: Level,
}

/// What is being made at this head.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Work {
    id: u64,
    plan: Plan,
    /// The head it is made at.
    level: Level,
    /// Whether it is made against advice.
    is_unadvised: bool,
}

/// Carries the operations of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carrier {
    sender: Sender,
    settings: Settings,
    view: Option<View>,
    wanted: Vec<Wanted>,
    pending: Option<Pending>,
    landed: Vec<Landing>,
    /// All operations signed that could still turn up.
    known: BTreeMap<OperationHash, Variant>,
    holds: BTreeMap<IntentionKey, Hold>,
    stand_by: Option<StandBy>,
    /// Foreign operations told of while they wait.
    strangers: BTreeSet<OperationHash>,
    work: Option<Work>,
    next_id: u64,
    /// Blocks that the operation included last took from its signature: how long the way to bakers is.
    usual: u32,
    /// What bakers lately took, in percent of the least, where they refused less.
    going: u64,
    /// Intentions in the next operation: halves when a batch fails, doubles when one succeeds.
    batch: usize,
    /// Since when simulations refuse a move.
    refused_since: BTreeMap<IntentionKey, Level>,
    /// What is sent at this head in spite of that, and why.
    unadvised: Vec<(Wanted, String)>,
    /// Operations made so.
    sent_unadvised: BTreeSet<OperationHash>,
    trust: Trust,
}

impl Carrier {
    /// A carrier for the account of `key`; `possession` goes into the reveal of a BLS key.
    #[must_use]
    pub fn new(key: PublicKey, possession: Option<Signature>, settings: Settings) -> Self {
        Self {
            sender: Sender {
                account: PublicKeyHash::of_key(&key),
                key,
                possession,
            },
            batch: settings.batch.max(1),
            settings,
            view: None,
            wanted: Vec::new(),
            pending: None,
            landed: Vec::new(),
            known: BTreeMap::new(),
            holds: BTreeMap::new(),
            stand_by: None,
            strangers: BTreeSet::new(),
            work: None,
            next_id: 0,
            usual: 0,
            going: 0,
            refused_since: BTreeMap::new(),
            unadvised: Vec::new(),
            sent_unadvised: BTreeSet::new(),
            trust: Trust::Usual,
        }
    }

    /// A carrier that has no key, for what would be sent: it knows the length of signatures only.
    #[must_use]
    pub(super) fn without_key(account: PublicKeyHash, settings: Settings) -> Self {
        let key = match account {
            PublicKeyHash::Tz4(_) => PublicKey::Bls([0; 48]),
            _ => PublicKey::Ed25519([0; 32]),
        };
        let mut carrier = Self::new(key, None, settings);
        carrier.sender.account = account;
        carrier
    }

    /// Takes in an observation; the effects are to be performed in order.
    pub fn step(&mut self, observation: Observation) -> Vec<Effect> {
        let mut effects = Vec::new();
        match observation {
            Observation::RolledBack(keep) => self.rolled_back(keep, &mut effects),
            Observation::Block(block, receipts) => self.block(block, &receipts, &mut effects),
            Observation::Head(view, wanted) => self.head(*view, wanted, &mut effects),
            Observation::Simulated(id, results) => self.simulated(id, &results, &mut effects),
            Observation::Unfit(id, errors) => self.unfit(id, &errors, &mut effects),
            Observation::NotSimulated(id, problem) => {
                self.not_simulated(id, &problem, &mut effects);
            }
            Observation::Signed(id, hash, bytes) => self.signed(id, hash, bytes, &mut effects),
            Observation::Refused(id, reason, index) => {
                self.refused(id, reason, (index, Cause::Answer), &mut effects);
            }
            Observation::Stopped(id, reason, index) => {
                self.refused(id, reason, (index, Cause::Stop), &mut effects);
            }
            Observation::Freed(rollups) => self
                .holds
                .retain(|key, hold| hold.cause != Cause::Stop || !rollups.contains(&key.rollup())),
            Observation::NotSigned(id, reason) => self.not_signed(id, reason, &mut effects),
            Observation::Injected(hash, answers) => self.injected(hash, &answers, &mut effects),
        }
        effects
    }

    /// The account it carries for.
    #[must_use]
    pub const fn account(&self) -> PublicKeyHash {
        self.sender.account
    }

    /// The head it looked at last.
    #[must_use]
    pub fn last_head(&self) -> Option<View> {
        self.view.clone()
    }

    /// Whether it stands by because somebody else uses the key.
    #[must_use]
    pub const fn is_standing_by(&self) -> bool {
        self.stand_by.is_some()
    }

    /// The operations of which the next block can include one, oldest first.
    #[must_use]
    pub fn alive(&self) -> Vec<OperationHash> {
        let variants = self.pending.iter().flat_map(|pending| &pending.variants);
        variants.map(|variant| variant.hash).collect()
    }

    /// The intentions that the newest of those operations carries.
    #[must_use]
    pub fn carried(&self) -> Vec<IntentionKey> {
        let newest = self
            .pending
            .as_ref()
            .and_then(|pending| pending.variants.last());
        newest.map_or_else(Vec::new, |variant| {
            variant.items.iter().map(|item| item.what.key()).collect()
        })
    }

    fn level(&self) -> Level {
        self.view
            .as_ref()
            .map_or(Level::ZERO, |view| view.head.level)
    }

    /// Blocks left to a wanted intention.
    fn slack(&self, wanted: &Wanted) -> Option<u32> {
        let deadline = wanted.deadline?;
        Some(deadline.since(self.level()).unwrap_or(0))
    }

    /// Blocks left to the most urgent of them.
    fn least_slack<'a>(&self, items: impl IntoIterator<Item = &'a Wanted>) -> Option<u32> {
        items.into_iter().filter_map(|item| self.slack(item)).min()
    }

    fn drop_pending(&mut self, reason: &str, effects: &mut Vec<Effect>) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        for variant in pending.variants {
            self.tell_dropped(variant.hash, reason, effects);
        }
    }

    fn tell_dropped(&self, hash: OperationHash, reason: &str, effects: &mut Vec<Effect>) {
        effects.push(Effect::Write(Entry::Dropped {
            hash,
            level: self.level(),
            reason: reason.into(),
        }));
        effects.push(Effect::Tell(Notice::Dropped {
            operation: hash,
            reason: reason.into(),
        }));
    }
}

/// The variant of a signed operation.
fn variant(
    hash: OperationHash,
    bytes: Vec<u8>,
    operation: &Operation,
    branch: Level,
    signed_at: Level,
    items: Vec<Wanted>,
) -> Option<Variant> {
    let (first, last) = operation.contents.first().zip(operation.contents.last())?;
    Some(Variant {
        hash,
        bytes,
        branch,
        first: first.counter,
        last: last.counter,
        offer: offer_of(operation),
        reveals: matches!(first.action, Action::Reveal { .. }),
        signed_at,
        items,
    })
}
