//! The truth as the machine itself computes it, for the honest operator of `devnet` and `demo`.
//!
//! Promises: kernels really run, over the messages the chain really has; after a reorganisation it
//! goes back to a state of the common branch. Refuses to know the tower: the operator's truth must
//! not come from what it is there to test. A period it cannot run is simply not claimed.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::actors::{Period, Truth};
use super::chain::Chain;
use super::rollup::Rollup;
use crate::protocol::{BlockHash, Level, RollupAddress, StateHash};
use crate::pvm::{
    Activation, Engine, Environment, ListingOrder, PageId, Quiet, ReferenceEngine, RevealError,
    Reveals, State, run_level,
};

use super::rules::originate::machine_of;

/// Levels whose states stay in memory; older ones are computed again when needed.
const KEPT: usize = 128;

/// Preimages that a scenario and its operators share, by the digits of their reveal hash.
#[derive(Debug, Clone, Default)]
pub struct Preimages(Arc<Mutex<BTreeMap<String, Arc<[u8]>>>>);

impl Preimages {
    /// Keeps one under its name.
    pub(crate) fn keep(&self, name: String, bytes: Arc<[u8]>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(name, bytes);
    }

    /// The one of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<[u8]>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(name).cloned()
    }

    /// Every name, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.keys().cloned().collect()
    }
}

/// Answers the reveals of one rollup of a simulated chain.
struct Answers {
    metadata: [u8; 24],
    preimages: Preimages,
}

impl Reveals for Answers {
    fn preimage(&self, hash: &[u8; 33]) -> Result<Vec<u8>, RevealError> {
        let name = hex::encode(hash);
        let found = self.preimages.find(&name).map(|bytes| bytes.to_vec());
        found.ok_or_else(|| RevealError::NoPreimage {
            hash: name,
            reason: "the simulated chain has none of this name".into(),
        })
    }

    fn metadata(&self) -> [u8; 24] {
        self.metadata
    }

    fn dal_parameters(&self, _: Level) -> Result<Vec<u8>, RevealError> {
        Err(RevealError::NoParameters("it is off on this chain".into()))
    }

    fn dal_page(&self, _: &PageId) -> Result<Vec<u8>, RevealError> {
        Ok(Vec::new())
    }

    fn activation(&self) -> Activation {
        Activation::BASIC
    }
}

/// What is known of one rollup at the end of a level.
#[derive(Debug, Clone)]
struct Known {
    block: BlockHash,
    /// Ticks since origination.
    ticks: u128,
    state: Option<State>,
}

/// What runs the kernels.
#[derive(Clone)]
pub struct Engines {
    /// Runs them natively.
    pub fast: Option<Arc<dyn Engine>>,
    /// Runs what the fast engine declines.
    pub reference: Arc<dyn ReferenceEngine>,
}

impl fmt::Debug for Engines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engines")
            .field("fast", &self.fast.is_some())
            .finish_non_exhaustive()
    }
}

impl Engines {
    fn environment(&self, reveals: Answers) -> Environment {
        Environment {
            fast: self.fast.clone(),
            reference: Arc::clone(&self.reference),
            reveals: Arc::new(reveals),
            debug: Arc::new(|_| {}),
            listing: ListingOrder::default(),
            trace: None,
            interrupt: Arc::default(),
        }
    }
}

/// The truth of every rollup of a chain, by running it.
pub struct MachineTruth {
    engines: Engines,
    preimages: Preimages,
    known: HashMap<RollupAddress, BTreeMap<Level, Known>>,
}

impl fmt::Debug for MachineTruth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rollups: Vec<_> = self.known.keys().collect();
        f.debug_struct("MachineTruth")
            .field("rollups", &rollups)
            .finish_non_exhaustive()
    }
}

impl MachineTruth {
    /// A truth computed with these engines, whose kernels may reveal these preimages.
    #[must_use]
    pub fn new(engines: Engines, preimages: Preimages) -> Self {
        Self {
            engines,
            preimages,
            known: HashMap::new(),
        }
    }

    /// Runs `rollup` up to the end of `to`.
    fn advance(&mut self, chain: &Chain, address: &RollupAddress, to: Level) -> Option<()> {
        let rollup = chain.context().rollup(address).ok()?;
        let environment = self.engines.environment(Answers {
            metadata: metadata(address, rollup),
            preimages: self.preimages.clone(),
        });
        let known = self.known.entry(*address).or_default();
        let on_chain = |level: Level, known: &Known| {
            chain
                .at(level)
                .is_some_and(|block| block.hash == known.block)
        };
        known.retain(|level, entry| on_chain(*level, entry));
        let start = known
            .range(..=to)
            .rev()
            .find(|(_, entry)| entry.state.is_some())
            .map(|(level, entry)| (*level, entry.clone()));
        let (mut level, mut at) = match start {
            Some(start) => start,
            None => {
                let start = origin(chain, rollup)?;
                known.insert(rollup.origination_level, start.clone());
                (rollup.origination_level, start)
            }
        };
        while level < to {
            level = level.next()?;
            at = step(chain, level, &at, &environment)?;
            known.insert(level, at.clone());
            let old = known
                .len()
                .checked_sub(KEPT)
                .and_then(|nth| known.values_mut().nth(nth));
            if let Some(old) = old {
                old.state = None;
            }
        }
        Some(())
    }
}

fn metadata(address: &RollupAddress, rollup: &Rollup) -> [u8; 24] {
    let mut bytes = [0; 24];
    let (head, tail) = bytes.split_at_mut(20);
    head.copy_from_slice(address.as_bytes());
    tail.copy_from_slice(&rollup.origination_level.get().to_be_bytes());
    bytes
}

fn origin(chain: &Chain, rollup: &Rollup) -> Option<Known> {
    let block = chain.at(rollup.origination_level)?;
    let crate::sim::block::Rules::Of(protocol) = block.protocol else {
        return None;
    };
    let state = State::originate(&machine_of(protocol), &rollup.kernel).ok()?;
    Some(Known {
        block: block.hash,
        ticks: 0,
        state: Some(state),
    })
}

fn step(chain: &Chain, level: Level, before: &Known, environment: &Environment) -> Option<Known> {
    let block = chain.at(level)?;
    let messages = block.messages.as_ref()?;
    let state = before.state.as_ref()?;
    let messages = messages.messages().iter().map(Vec::as_slice);
    match run_level(state, level, messages, environment, &mut Quiet) {
        Ok(outcome) => Some(Known {
            block: block.hash,
            ticks: before.ticks.saturating_add(outcome.ticks),
            state: Some(outcome.state),
        }),
        Err(error) => {
            tracing::warn!(%level, %error, "operator cannot run the level");
            None
        }
    }
}

impl Truth for MachineTruth {
    fn period(
        &mut self,
        chain: &Chain,
        rollup: &RollupAddress,
        from: Level,
        to: Level,
    ) -> Option<Period> {
        self.advance(chain, rollup, to)?;
        let known = self.known.get_mut(rollup)?;
        let start = known.get(&from)?.ticks;
        let end = known.get_mut(&to)?;
        let ticks = u64::try_from(end.ticks.checked_sub(start)?).ok()?;
        let hash = end.state.as_mut()?.hash().ok()?;
        Some(Period {
            state: StateHash::from(hash),
            ticks,
        })
    }
}
