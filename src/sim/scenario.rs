//! A chain with people: who signs, stakes and reveals what, when. Tests, `demo` and `devnet` use it.
//!
//! Promises: everything is plain data and goes through signed operations, as a client's would; the
//! same scenario gives the same blocks. Refuses to know the tower.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::accounts::{Person, bootstrap};
use super::actors::{Actor, Memories, Strategy, Truth, View};
use super::acts::{Act, ActError, Deed, content, malformed, parsed, pay_for_signature};
use super::block::Block;
use super::chain::{Abandoned, Chain, ChainError, Config};
use super::contracts::{Script, relay_argument};
use super::ledger::{Account, Owner};
use super::mempool::Class;
use super::rules::originate;
use super::setup::Setup;
use super::truth::Preimages;
use super::validate::bls_suite;
use super::weather::Carriage;
use crate::codec::Micheline;
use crate::crypto::{Dialect, blake2b, blake2b_20};
use crate::protocol::operation::{
    Action, Content, Contract, Entrypoint, Form, Operation, Origination, Parameters as Argument,
    PvmKind, Refutation, SignedOperation, Stakers,
};
use crate::protocol::{
    CommitmentHash, ContractHash, Counter, Level, Mutez, OperationHash, Protocol, PublicKeyHash,
    RollupAddress,
};

/// Blocks after which an actor pays more for what still waits.
const PATIENCE: u32 = 5;

/// Something that befalls the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The newest blocks are replaced by one more.
    Reorganise {
        /// How many.
        depth: u32,
        /// What becomes of their operations.
        abandoned: Abandoned,
    },
    /// The branch left last is the head again.
    Return,
    /// Operations reach bakers in another way from now on.
    Carry(Carriage),
    /// An account pays away all that it has but this.
    Spend {
        /// Index of the account.
        account: u32,
        /// What is left, in mutez.
        leaves: u64,
    },
    /// An account gets money from the last one, who bakes.
    Earn {
        /// Index of the account.
        account: u32,
        /// How much, in mutez.
        mutez: u64,
    },
}

/// A refusal met while the script was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Level of the block it was meant for.
    pub level: Level,
    /// What was asked.
    pub act: Act,
    /// Why not.
    pub reason: String,
}

/// A chain, its people and its script.
#[derive(Debug)]
pub struct Scenario {
    chain: Chain,
    people: Vec<Person>,
    relay: ContractHash,
    script: BTreeMap<Level, Vec<Act>>,
    events: BTreeMap<Level, Vec<Event>>,
    actors: Vec<Actor>,
    /// What each of them remembers.
    memories: Vec<Memories>,
    /// How many usual fees each of them pays, once it had to pay more.
    paying: BTreeMap<u32, u32>,
    /// Level of the head when each of them sent what it sent last.
    sent: BTreeMap<u32, Level>,
    truth: Option<Box<dyn Truth>>,
    preimages: Preimages,
    refusals: Vec<Refusal>,
}

impl Scenario {
    /// A chain just activated.
    ///
    /// # Errors
    /// [`ChainError::NoProtocol`] when the setup activates nothing at level 1.
    pub fn new(setup: Setup) -> Result<Self, ChainError> {
        let (people, mut ledger) = bootstrap(setup.seed, setup.accounts.max(1), &setup.money);
        let relay = ContractHash(blake2b_20(b"simulated relay contract"));
        let mut contract = Account::new(Mutez(0), Counter(0));
        contract.script = Some(Script::Relay);
        ledger.insert(Owner::Originated(relay), contract);
        let mut contract = Account::new(Mutez(0), Counter(0));
        contract.script = Some(Script::Sink);
        let sink = ContractHash(blake2b_20(b"simulated sink contract"));
        ledger.insert(Owner::Originated(sink), contract);
        let shared = |(protocol, parameters)| (protocol, Arc::new(parameters));
        let baker = people
            .last()
            .map_or(PublicKeyHash::Tz1([0; 20]), Person::account);
        if let Some(account) = ledger.account_mut(Owner::Implicit(baker)) {
            account.delegate = Some(baker);
        }
        let chain = Chain::new(Config {
            dialect: setup.dialect,
            seed: setup.seed,
            genesis_time: setup.genesis_time,
            // As a sandboxed node calls itself: clients then know that it is no public network.
            name: "SANDBOXED_TEZOS".into(),
            protocols: setup
                .protocols
                .into_iter()
                .map(|(level, entry)| (level, shared(entry)))
                .collect(),
            ledger,
            baker,
        })?;
        Ok(Self {
            chain,
            people,
            relay,
            script: BTreeMap::new(),
            events: BTreeMap::new(),
            actors: Vec::new(),
            memories: Vec::new(),
            paying: BTreeMap::new(),
            sent: BTreeMap::new(),
            truth: None,
            preimages: Preimages::default(),
            refusals: Vec::new(),
        })
    }

    /// The chain.
    #[must_use]
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The chain, to command it.
    pub const fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }

    /// A bootstrap account.
    #[must_use]
    pub fn person(&self, index: u32) -> Option<&Person> {
        self.people.get(usize::try_from(index).ok()?)
    }

    /// The relay contract.
    #[must_use]
    pub const fn relay(&self) -> ContractHash {
        self.relay
    }

    /// What was refused while the script was followed.
    #[must_use]
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// Plans `act` for the block of `level`.
    pub fn plan(&mut self, level: Level, act: Act) {
        self.script.entry(level).or_default().push(act);
    }

    /// Lets `event` befall the chain before the block of `level` is made.
    pub fn expect(&mut self, level: Level, event: Event) {
        self.events.entry(level).or_default().push(event);
    }

    /// Lets stakers act at every block, by what `truth` knows.
    pub fn employ(&mut self, actors: impl IntoIterator<Item = Actor>, truth: Box<dyn Truth>) {
        self.actors.extend(actors);
        self.truth = Some(truth);
    }

    /// Adds a staker to those employed.
    pub fn hire(&mut self, actor: Actor) {
        self.actors.push(actor);
    }

    /// Puts an actor in the place of the one of its account, with no memory.
    pub fn replace(&mut self, actor: Actor) {
        let same = |other: &Actor| other.account == actor.account;
        match self.actors.iter().position(same) {
            None => self.actors.push(actor),
            Some(place) => {
                if let Some(memories) = self.memories.get_mut(place) {
                    memories.clear();
                }
                if let Some(other) = self.actors.get_mut(place) {
                    *other = actor;
                }
            }
        }
    }

    /// Keeps a preimage; answers the name it is revealed by.
    pub fn keep_preimage(&mut self, bytes: Vec<u8>) -> String {
        let name = format!("00{}", hex::encode(blake2b(&bytes).0));
        self.preimages.keep(name.clone(), bytes.into());
        name
    }

    /// The preimages, to share with whoever runs kernels.
    #[must_use]
    pub const fn preimages(&self) -> &Preimages {
        &self.preimages
    }

    /// A preimage by its name: the hexadecimal digits of the reveal hash.
    #[must_use]
    pub fn preimage(&self, name: &str) -> Option<Arc<[u8]>> {
        self.preimages.find(name)
    }

    /// Does what is planned for the next block, lets the stakers act, and bakes it.
    ///
    /// # Errors
    /// [`ChainError::NoLevel`] above the last level.
    pub fn advance(&mut self) -> Result<(), ChainError> {
        let next = self.chain.next_context()?.level;
        for event in self.events.remove(&next).unwrap_or_default() {
            self.befall(event)?;
        }
        // A reorganisation makes a block of its own.
        let next = self.chain.next_context()?.level;
        while let Some(entry) = self.script.first_entry().filter(|e| *e.key() <= next) {
            for act in entry.remove() {
                if let Err(error) = self.act(&act) {
                    self.refusals.push(Refusal {
                        level: next,
                        act,
                        reason: error.to_string(),
                    });
                }
            }
        }
        self.let_actors_act();
        self.chain.bake()?;
        Ok(())
    }

    fn befall(&mut self, event: Event) -> Result<(), ChainError> {
        match event {
            Event::Carry(carriage) => {
                self.chain.carry(carriage);
                Ok(())
            }
            Event::Reorganise { depth, abandoned } => {
                self.chain
                    .reorganise(depth, depth.saturating_add(1), abandoned)
            }
            Event::Return => self.chain.switch_back(),
            Event::Spend { account, leaves } => {
                let paid = self.pay_away(account, leaves);
                self.note(paid);
                Ok(())
            }
            Event::Earn { account, mutez } => {
                let to = self
                    .person(account)
                    .map(|person| person.account().to_string());
                let act = to.map(|to| Act::one(self.baker(), Deed::Pay { to, mutez }));
                let paid = act.map(|act| self.act(&act).map(|_| ()));
                self.note(paid.unwrap_or(Err(ActError::NoAccount(account))));
                Ok(())
            }
        }
    }

    /// Index of the account that bakes.
    fn baker(&self) -> u32 {
        u32::try_from(self.people.len().saturating_sub(1)).unwrap_or(0)
    }

    fn note(&self, done: Result<(), ActError>) {
        if let Err(error) = done {
            let level = self.chain.level();
            tracing::warn!(%level, %error, "an event did not happen");
        }
    }

    /// Pays so much in fees that whatever the account has waiting makes room.
    fn pay_away(&mut self, by: u32, leaves: u64) -> Result<(), ActError> {
        const FEES: u32 = 100;
        let person = self.person(by).ok_or(ActError::NoAccount(by))?;
        let source = person.account();
        let to = self.person(self.baker()).map(Person::account);
        let to = to.ok_or(ActError::NoAccount(self.baker()))?;
        let pay = |amount| Action::Transaction {
            amount,
            destination: Contract::Implicit(to),
            parameters: None,
        };
        let protocol = self.chain.context().protocol;
        let fee = content(protocol, source, Counter(0), pay(Mutez(0))).fee.0;
        let fee = fee.saturating_mul(FEES.into());
        let account = self.chain.context().ledger.account(Owner::Implicit(source));
        let has = account.map_or(0, |account| account.balance.0);
        let amount = has.saturating_sub(leaves.saturating_add(fee));
        let next = account
            .map_or(0, |account| account.counter.0)
            .saturating_add(1);
        let mut content = content(protocol, source, Counter(next), pay(Mutez(amount)));
        content.fee = Mutez(fee);
        let bytes = self.sign_contents(by, vec![content])?;
        self.inject(&bytes).map(|_| ())
    }

    /// Advances until the head is at `level`.
    ///
    /// # Errors
    /// [`ChainError::NoLevel`] above the last level.
    pub fn advance_to(&mut self, level: Level) -> Result<(), ChainError> {
        while self.chain.level() < level {
            self.advance()?;
        }
        Ok(())
    }

    fn let_actors_act(&mut self) {
        let Some(mut truth) = self.truth.take() else {
            return;
        };
        self.memories.resize_with(self.actors.len(), Memories::new);
        for (place, actor) in self.actors.clone().into_iter().enumerate() {
            let Some(me) = self.person(actor.account).map(Person::account) else {
                continue;
            };
            if self.chain.mempool().of_source(me).is_some() {
                self.pay_more(actor.account, me);
                continue;
            }
            let copied = match actor.strategy {
                Strategy::Freeloader { of, .. } => self.person(of).map(Person::account),
                _ => None,
            };
            let Some(memories) = self.memories.get_mut(place) else {
                continue;
            };
            let mut view = View {
                chain: &self.chain,
                truth: truth.as_mut(),
                me,
                copied,
            };
            let actions = actor.decide(&mut view, memories);
            if actions.is_empty() {
                continue;
            }
            let fees = self.paying.get(&actor.account).copied();
            let fees = fees.unwrap_or(1).max(actor.fees);
            let sent = self.sign_paying(actor.account, actions, fees);
            let sent = sent.and_then(|bytes| self.inject(&bytes));
            if let Err(error) = sent {
                tracing::debug!(account = %me, %error, "actor refused");
            }
            self.sent.insert(actor.account, self.chain.level());
        }
        self.truth = Some(truth);
    }

    /// Puts ten times the fee on what an actor has had waiting for too long.
    fn pay_more(&mut self, by: u32, source: PublicKeyHash) {
        let level = self.chain.level();
        let since = self.sent.get(&by).and_then(|sent| level.since(*sent));
        if since.is_some_and(|blocks| blocks < PATIENCE) {
            return;
        }
        let Some(waiting) = self.chain.mempool().of_source(source) else {
            return;
        };
        let mut contents = waiting.signed.operation.contents.clone();
        for content in &mut contents {
            content.fee = Mutez(content.fee.0.saturating_mul(10));
        }
        let sent = self.sign_contents(by, contents);
        if let Err(error) = sent.and_then(|bytes| self.inject(&bytes)) {
            tracing::debug!(account = %source, %error, "no higher fee");
        }
        let paying = self.paying.entry(by).or_insert(1);
        *paying = paying.saturating_mul(10).min(1_000);
        self.sent.insert(by, level);
    }

    /// Signs and injects what an account is told to do.
    ///
    /// # Errors
    /// [`ActError`].
    pub fn act(&mut self, act: &Act) -> Result<OperationHash, ActError> {
        let actions: Result<Vec<_>, _> = act.deeds.iter().map(|deed| self.action(deed)).collect();
        self.sign_and_inject(act.by, actions?)
    }

    /// Signs actions as one batch of a bootstrap account and injects it. An operation that has to
    /// wait for its turn is no error.
    ///
    /// # Errors
    /// [`ActError`].
    pub fn sign_and_inject(
        &mut self,
        by: u32,
        actions: Vec<Action>,
    ) -> Result<OperationHash, ActError> {
        let bytes = self.sign(by, actions)?;
        self.inject(&bytes)
    }

    fn inject(&mut self, bytes: &[u8]) -> Result<OperationHash, ActError> {
        let hash = OperationHash(blake2b(bytes).0);
        match self.chain.receive(bytes) {
            Ok(hash) => Ok(hash),
            Err(_) if self.waits(&hash) => Ok(hash),
            Err(errors) => Err(ActError::Refused(errors)),
        }
    }

    fn waits(&self, hash: &OperationHash) -> bool {
        let waiting = self.chain.mempool().waiting();
        waiting
            .iter()
            .any(|waiting| waiting.hash == *hash && waiting.class == Class::BranchDelayed)
    }

    /// The signed bytes of a batch, on the head's branch, with the next free counter.
    ///
    /// # Errors
    /// [`ActError`].
    pub fn sign(&self, by: u32, actions: Vec<Action>) -> Result<Vec<u8>, ActError> {
        self.sign_paying(by, actions, 1)
    }

    /// The same with a multiple of the usual fees.
    fn sign_paying(&self, by: u32, actions: Vec<Action>, fees: u32) -> Result<Vec<u8>, ActError> {
        let person = self.person(by).ok_or(ActError::NoAccount(by))?;
        let protocol = self.chain.context().protocol;
        let mut counter = self.next_counter(person.account());
        let mut contents = Vec::new();
        for action in actions {
            let mut content = content(protocol, person.account(), counter, action);
            content.fee = Mutez(content.fee.0.saturating_mul(fees.into()));
            contents.push(content);
            counter = Counter(counter.0.saturating_add(1));
        }
        pay_for_signature(&mut contents, self.chain.form());
        self.sign_contents(by, contents)
    }

    /// The signed bytes of contents, on the head's branch.
    fn sign_contents(&self, by: u32, contents: Vec<Content>) -> Result<Vec<u8>, ActError> {
        let person = self.person(by).ok_or(ActError::NoAccount(by))?;
        let form = self.chain.form();
        let branch = self.chain.head().hash;
        let operation = Operation { branch, contents };
        let message = operation.to_sign(form).map_err(malformed)?;
        let suite = bls_suite(self.chain.context().protocol);
        let signature = person.key().sign(&message, suite).map_err(malformed)?;
        SignedOperation {
            operation,
            signature,
        }
        .to_bytes(form)
        .map_err(malformed)
    }

    /// Next counter of an account, counting what waits.
    fn next_counter(&self, account: PublicKeyHash) -> Counter {
        let used = self
            .chain
            .context()
            .ledger
            .account(Owner::Implicit(account))
            .map_or(0, |account| account.counter.0);
        let waiting = self
            .chain
            .mempool()
            .waiting()
            .iter()
            .filter(|w| matches!(w.class, Class::Validated | Class::BranchDelayed))
            .flat_map(|w| &w.signed.operation.contents);
        let newest = waiting
            .filter(|content| content.source == account)
            .map(|content| content.counter.0)
            .fold(used, u64::max);
        Counter(newest.saturating_add(1))
    }

    fn action(&self, deed: &Deed) -> Result<Action, ActError> {
        Ok(match deed {
            Deed::Originate { kernel } => Action::Originate(Box::new(self.origination(kernel)?)),
            Deed::Messages { messages } => Action::AddMessages {
                messages: messages
                    .iter()
                    .map(|text| hex::decode(text).map_err(malformed))
                    .collect::<Result<_, _>>()?,
            },
            Deed::Relay { transfers } => self.call(relay_argument(&parsed(transfers)?))?,
            Deed::Call { argument } => {
                self.call(Micheline::from_json(argument).map_err(malformed)?)?
            }
            Deed::Pay { to, mutez } => Action::Transaction {
                amount: Mutez(*mutez),
                destination: to.parse().map_err(malformed)?,
                parameters: None,
            },
            Deed::Publish { rollup, commitment } => Action::Publish {
                rollup: *rollup,
                commitment: *commitment,
            },
            Deed::Cement { rollup } => Action::Cement {
                rollup: *rollup,
                commitment: self
                    .chain
                    .speaks_before_oxford()
                    .then(|| self.to_cement(rollup)),
            },
            Deed::RecoverBond { rollup, staker } => Action::RecoverBond {
                rollup: *rollup,
                staker: *staker,
            },
            Deed::OpenGame {
                rollup,
                opponent,
                ours,
                theirs,
            } => Action::Refute {
                rollup: *rollup,
                opponent: *opponent,
                refutation: match self.chain.config().dialect {
                    Dialect::Modern => Refutation::Start {
                        player_commitment: *ours,
                        opponent_commitment: *theirs,
                    },
                    Dialect::Scr1 => Refutation::StartOnConflict,
                },
            },
            Deed::Timeout { rollup, one, other } => Action::Timeout {
                rollup: *rollup,
                stakers: Stakers::new(*one, *other),
            },
        })
    }

    fn origination(&self, kernel: &str) -> Result<Origination, ActError> {
        let unit_or_bytes = json!({"prim": "bytes"});
        let kernel = hex::decode(kernel).map_err(malformed)?;
        Ok(Origination {
            pvm: PvmKind::Wasm,
            origination_proof: self.origination_proof(&kernel)?,
            kernel,
            parameters_type: Micheline::from_json(&unit_or_bytes).map_err(malformed)?,
            whitelist: None,
        })
    }

    /// What an origination proves of its kernel, where it must; the older dialect's is not looked at.
    fn origination_proof(&self, kernel: &[u8]) -> Result<Option<Vec<u8>>, ActError> {
        match self.chain.form() {
            Form::Modern(protocol) if protocol < Protocol::Oxford => {
                originate::prove(protocol, kernel)
                    .map(Some)
                    .map_err(malformed)
            }
            Form::Modern(_) => Ok(None),
            Form::Scr1 => Ok(Some(Vec::new())),
        }
    }

    fn call(&self, argument: Micheline) -> Result<Action, ActError> {
        Ok(Action::Transaction {
            amount: Mutez(0),
            destination: Contract::Originated(self.relay),
            parameters: Some(Argument {
                entrypoint: "default".parse::<Entrypoint>().map_err(malformed)?,
                value: argument,
            }),
        })
    }

    /// The commitment that early protocols want named; any one when nothing is there to cement.
    fn to_cement(&self, rollup: &RollupAddress) -> CommitmentHash {
        let context = self.chain.context();
        let named = context.rollup(rollup).ok().and_then(|rollup| {
            let level = context.next_commitment_level(rollup.last_cemented().ok()?.inbox_level)?;
            rollup.at_level(level).first().copied()
        });
        named.unwrap_or(CommitmentHash([0; 32]))
    }

    /// What `GET /devnet` shows.
    #[must_use]
    pub fn summary(&self) -> Value {
        let head: &Block = self.chain.head();
        let accounts: Vec<_> = self
            .people
            .iter()
            .map(|person| json!({"address": person.account(), "secret_key": person.secret_text()}))
            .collect();
        let dialect = self.chain.config().dialect;
        let rollups: Vec<_> = self
            .chain
            .context()
            .rollups
            .keys()
            .map(|r| json!(r))
            .collect();
        json!({
            "chain_id": self.chain.id(),
            "head": {"hash": head.hash, "level": head.header.level},
            "protocol": self.chain.context().protocol.hash_text(),
            "relay": self.relay,
            "rollups": super::dialect::outgoing(rollups.into(), dialect),
            "accounts": accounts,
            "preimages": self.preimages.names(),
        })
    }
}
