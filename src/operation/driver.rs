//! The thin edge around the carrier: asks nodes, writes entries, has the gate sign, injects.
//!
//! Promises: chooses nothing; performs the carrier's effects in their order, and nothing before the
//! entries ahead of it are on disk. Refuses to know: what is wanted, and the time.

use std::collections::{BTreeSet, VecDeque};

use super::batch::Draft;
use super::carrier::{
    Carrier, Effect, Injection, Limits, Notice, Observation, Settings, View, WaitingHere,
};
use super::entry::{Entry, EntryError};
use super::intention::{Intention, Wanted};
use crate::l1::{Block, BlockId, BlockRef, Client, Fault, L1Error, Status};
use crate::protocol::operation::Form;
use crate::protocol::{BlockHash, Level, Mutez, RollupAddress, Timestamp};
use crate::signer::{Gate, KeyError, Moment, Refusal, SignError};

/// Keeps entries. What is written must be on disk when the future ends.
pub trait Scribe: Send {
    /// Writes entries, all or none.
    fn write(
        &mut self,
        entries: Vec<Entry>,
    ) -> impl Future<Output = Result<(), ScribeError>> + Send;
}

/// Entries cannot be kept: nothing is done then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entries about operations cannot be written: {0}")]
pub struct ScribeError(pub String);

/// Why a head could not be worked on; the next one is a new chance.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The nodes do not tell what is needed.
    #[error(transparent)]
    Node(#[from] L1Error),
    /// The chain does not say how much gas operations may use.
    #[error("the constants of block {0} have no gas limits")]
    NoGasLimits(BlockHash),
    /// Entries cannot be kept.
    #[error(transparent)]
    Scribe(#[from] ScribeError),
    /// Entries of the past cannot be read.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The key gives no proof of possession.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// The moment at which things are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// The head they were derived from.
    pub head: BlockRef,
    /// The time.
    pub now: Timestamp,
    /// Bonds of ours that were slashed so far.
    pub lost: Mutez,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The news, in order.
    pub notices: Vec<Notice>,
}

/// Carries the operations of one account over a client.
#[derive(Debug)]
pub struct Driver<S> {
    client: Client,
    gate: Gate,
    carrier: Carrier,
    settings: Settings,
    scribe: S,
}

impl<S: Scribe> Driver<S> {
    /// A driver that goes on from its entries, the oldest first. The gate's memory is the caller's
    /// to restore ([`Entry::remember`]), for the gate is made before.
    ///
    /// # Errors
    /// [`DriverError`] when an entry cannot be read, or a BLS key does not prove itself.
    pub async fn resume(
        client: Client,
        gate: Gate,
        settings: Settings,
        entries: &[Entry],
        scribe: S,
    ) -> Result<Self, DriverError> {
        let possession = gate.prove_possession().await?;
        let settings = Settings {
            fee_cap: gate.policy().fee_cap.min(settings.fee_cap),
            ..settings
        };
        Ok(Self {
            carrier: Carrier::restore(*gate.public_key(), possession, settings, entries)?,
            client,
            gate,
            settings,
            scribe,
        })
    }

    /// The scribe, to change how it fails.
    #[cfg(test)]
    pub(super) const fn scribe_mut(&mut self) -> &mut S {
        &mut self.scribe
    }

    /// The state of carrying.
    #[must_use]
    pub const fn carrier(&self) -> &Carrier {
        &self.carrier
    }

    /// The gate, for its brake and account.
    #[must_use]
    pub const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The scribe.
    #[must_use]
    pub const fn scribe(&self) -> &S {
        &self.scribe
    }

    /// Blocks above `keep` left the chain. Being told again changes nothing: after a restart, tell
    /// the last block that is known to be on the chain.
    ///
    /// # Errors
    /// [`DriverError::Scribe`].
    pub async fn rolled_back(&mut self, keep: Level) -> Result<Report, DriverError> {
        let effects = self.carrier.step(Observation::RolledBack(keep));
        self.perform(effects, None).await
    }

    /// A block joined the chain. It must have been read with our account among those of interest.
    ///
    /// # Errors
    /// [`DriverError::Scribe`].
    pub async fn applied(&mut self, block: &Block) -> Result<Report, DriverError> {
        let receipts = block.effects.receipts.clone();
        let observation = Observation::Block(block.header.place(), receipts);
        let effects = self.carrier.step(observation);
        self.perform(effects, None).await
    }

    /// A block joined the chain, with the receipts of our account in it.
    ///
    /// # Errors
    /// [`DriverError::Scribe`].
    pub async fn received(
        &mut self,
        block: BlockRef,
        receipts: Vec<crate::l1::Receipt>,
    ) -> Result<Report, DriverError> {
        let effects = self.carrier.step(Observation::Block(block, receipts));
        self.perform(effects, None).await
    }

    /// All blocks up to the head were given; `wanted` is everything wanted there.
    ///
    /// # Errors
    /// [`DriverError`]; nothing is lost, the next head is a new chance.
    pub async fn head(&mut self, at: At, wanted: Vec<Wanted>) -> Result<Report, DriverError> {
        let view = self.view(at.head).await?;
        // A brake or a freeze that is over holds nothing back any longer.
        let mut effects = self.carrier.step(Observation::Freed(self.gate.free()));
        effects.extend(self.carrier.step(Observation::Head(Box::new(view), wanted)));
        self.perform(effects, Some(at)).await
    }

    async fn view(&self, head: BlockRef) -> Result<View, DriverError> {
        view(
            &self.client,
            self.carrier.account(),
            head,
            self.settings.depth,
        )
        .await
    }

    async fn perform(
        &mut self,
        effects: Vec<Effect>,
        at: Option<At>,
    ) -> Result<Report, DriverError> {
        let mut report = Report::default();
        let mut queue = VecDeque::from(effects);
        while let Some(effect) = queue.pop_front() {
            let seen = match effect {
                Effect::Write(entry) => {
                    let mut entries = vec![entry];
                    while let Some(Effect::Write(_)) = queue.front() {
                        if let Some(Effect::Write(entry)) = queue.pop_front() {
                            entries.push(entry);
                        }
                    }
                    self.scribe.write(entries).await?;
                    continue;
                }
                Effect::Tell(notice) => {
                    report.notices.push(notice);
                    continue;
                }
                Effect::Simulate(draft) => simulate(&self.client, &draft, at).await,
                Effect::Sign(draft) => self.sign(draft, at).await?,
                Effect::Inject(hash, bytes) => {
                    let answers = self.client.inject(&bytes).await;
                    let answers = answers.into_iter().map(|(endpoint, outcome)| {
                        (
                            endpoint,
                            outcome.map_or_else(injection, |_| Injection::Accepted),
                        )
                    });
                    Observation::Injected(hash, answers.collect())
                }
            };
            // What follows from an answer goes ahead of what was planned before it came.
            for effect in self.carrier.step(seen).into_iter().rev() {
                queue.push_front(effect);
            }
        }
        Ok(report)
    }

    async fn sign(&mut self, draft: Draft, at: Option<At>) -> Result<Observation, DriverError> {
        let id = draft.id;
        let unsigned = match (draft.unsigned(), at) {
            (Ok(unsigned), Some(at)) => (unsigned, at),
            (Err(error), _) => return Ok(Observation::NotSigned(id, error.to_string())),
            (_, None) => return Ok(Observation::NotSigned(id, "no head to sign at".into())),
        };
        let (unsigned, at) = unsigned;
        let moment = self.moment(&draft, at).await?;
        let admission = match self.gate.admit(&unsigned, draft.form, &draft.turns, moment) {
            Ok(admission) => admission,
            Err(refusal) => {
                let entry = Entry::Refused {
                    unsigned,
                    level: at.head.level,
                    reason: refusal.to_string(),
                };
                self.scribe.write(vec![entry]).await?;
                return Ok(refused(id, &refusal));
            }
        };
        let entry = Entry::Admitted {
            unsigned,
            form: draft.form,
            turns: draft.turns,
            at: at.now.0,
        };
        self.scribe.write(vec![entry]).await?;
        Ok(match self.gate.sign(admission).await {
            Ok(signed) => Observation::Signed(id, signed.hash, signed.bytes),
            Err(SignError::Refused(refusal)) => refused(id, &refusal),
            Err(error) => Observation::NotSigned(id, error.to_string()),
        })
    }

    /// What the gate has to know: where bonds are frozen is asked only when one might be added.
    async fn moment(&self, draft: &Draft, at: At) -> Result<Moment, DriverError> {
        let block = BlockId::Hash(at.head.hash);
        let constants = self.client.constants(block).await?;
        let publishes = draft
            .items
            .iter()
            .any(|item| matches!(item.what, Intention::Publish { .. }));
        let mut bonded: BTreeSet<RollupAddress> = BTreeSet::new();
        if publishes {
            let account = self.carrier.account();
            for rollup in &self.gate.policy().rollups {
                let there = self.client.rollup(*rollup, block).await?;
                // Where the node does not say, a bond counts: the cap is kept either way.
                if !matches!(there.staker_index(&account).await, Ok(None)) {
                    bonded.insert(*rollup);
                }
            }
        }
        Ok(Moment {
            now: at.now,
            stake: constants.rollup.stake_amount,
            bonded,
            lost: at.lost,
        })
    }
}

/// The chain at a head, as far as carrying needs it.
pub(super) async fn view(
    client: &Client,
    account: crate::protocol::PublicKeyHash,
    head: BlockRef,
    depth: u32,
) -> Result<View, DriverError> {
    let block = BlockId::Hash(head.hash);
    let constants = client.constants(block).await?;
    let gas = constants.gas.ok_or(DriverError::NoGasLimits(head.hash))?;
    let there = client.account(&account, block).await?;
    let back = depth.min(u32::try_from(head.level.get()).unwrap_or(0));
    let anchor = client
        .header(BlockId::Below(head.hash, back))
        .await?
        .place();
    let mempools = client.waiting(&account).await;
    Ok(View {
        head,
        anchor,
        form: form(&constants),
        limits: Limits {
            content_gas: gas.operation,
            block_gas: gas.block,
            ttl: constants.rollup.operation_ttl,
        },
        counter: there.counter,
        is_revealed: there.key.is_some(),
        balance: there.balance,
        mempools: mempools
            .into_iter()
            .map(|(endpoint, waiting)| WaitingHere {
                endpoint,
                waiting: waiting.ok(),
            })
            .collect(),
    })
}

fn form(constants: &crate::l1::ChainConstants) -> Form {
    constants.form()
}

/// How a draft fares in the next block. A refusal is worth a second opinion where there is one: an
/// endpoint that lies about our moves must not keep them back. Where both refuse, both are as
/// trustworthy as before.
pub(super) async fn simulate(client: &Client, draft: &Draft, at: Option<At>) -> Observation {
    let first = simulate_once(client, draft, at).await;
    // An endpoint that does not answer refuses nothing, and all were asked.
    let is_refused = !is_fine(&first) && !matches!(first, Observation::NotSimulated(..));
    if !is_refused || client.health().len() < 2 {
        return first;
    }
    client.doubt();
    let second = simulate_once(client, draft, at).await;
    if is_fine(&second) {
        return second;
    }
    client.doubt();
    first
}

/// Whether all of it would be applied.
fn is_fine(seen: &Observation) -> bool {
    let Observation::Simulated(_, results) = seen else {
        return false;
    };
    results
        .iter()
        .all(|result| result.status == Status::Applied)
}

async fn simulate_once(client: &Client, draft: &Draft, at: Option<At>) -> Observation {
    let block = at.map_or(BlockId::Head, |at| BlockId::Hash(at.head.hash));
    match client.simulate(block, &draft.operation, draft.form).await {
        Ok(results) => Observation::Simulated(draft.id, results),
        Err(error) if !error.node_errors().is_empty() => {
            Observation::Unfit(draft.id, error.node_errors().to_vec())
        }
        Err(error) => Observation::NotSimulated(draft.id, error.to_string()),
    }
}

fn refused(id: u64, refusal: &Refusal) -> Observation {
    let (reason, index) = (refusal.to_string(), refusal.index());
    match refusal {
        Refusal::Braked { .. } | Refusal::Frozen { .. } => Observation::Stopped(id, reason, index),
        _ => Observation::Refused(id, reason, index),
    }
}

fn injection(fault: Fault) -> Injection {
    match fault {
        Fault::Refused(errors) => Injection::Refused(errors),
        other => Injection::Unreachable(other.to_string()),
    }
}
