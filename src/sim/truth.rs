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
use super::parameters::DalSizes;
use super::rollup::Rollup;
use super::trace::{MachineTrace, Meddling, ReadLevel, States};
use crate::protocol::{BlockHash, Level, RollupAddress, StateHash};
use crate::pvm::{
    Activation, Engine, Environment, PageId, Quiet, ReferenceEngine, Request, RevealError, Reveals,
    State, WELL_KNOWN_PREIMAGE_HASH, run_level,
};

use super::rules::originate::machine_of;

/// Levels whose states stay in memory; older ones are computed again when needed.
const KEPT: usize = 128;
/// Periods whose traces stay in memory.
const TRACES: usize = 8;

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
#[derive(Clone)]
struct Answers {
    metadata: [u8; 24],
    preimages: Preimages,
    activation: Activation,
    past_sizes: Arc<Vec<(Level, DalSizes)>>,
    sizes: DalSizes,
    /// Other data is given than what was asked for.
    corrupt: bool,
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

    fn dal_parameters(&self, last_input: Level) -> Result<Vec<u8>, RevealError> {
        let past = self
            .past_sizes
            .iter()
            .find(|(until, _)| last_input <= *until);
        let sizes = past.map_or(self.sizes, |(_, sizes)| *sizes);
        Ok(sizes.bytes().to_vec())
    }

    fn dal_page(&self, _: &PageId) -> Result<Vec<u8>, RevealError> {
        Ok(Vec::new())
    }

    fn activation(&self) -> Activation {
        self.activation
    }

    fn answer(&self, request: &[u8], last_input: Option<Level>) -> Result<Vec<u8>, RevealError> {
        let asked = Request::resolve(request, last_input, &self.activation);
        let mut data = match asked {
            Request::Preimage(hash) if hash == WELL_KNOWN_PREIMAGE_HASH => Vec::new(),
            Request::Preimage(hash) => self.preimage(&hash)?,
            Request::Metadata => self.metadata.to_vec(),
            Request::DalPage(_) | Request::AdaptiveDalPage => Vec::new(),
            Request::DalParameters => self.dal_parameters(last_input.unwrap_or(Level::ZERO))?,
        };
        if self.corrupt {
            match data.first_mut() {
                Some(first) => *first ^= 1,
                None => data.push(1),
            }
        }
        Ok(data)
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
            ..Environment::without_fast(Arc::new(reveals))
        }
    }
}

/// A rollup as one reads it: the chain's inputs, or others.
type Reading = (RollupAddress, Option<Meddling>);

/// A period of a reading, on the branch of its last block.
type Stretch = (Reading, Level, Level, BlockHash);

/// The truth of every rollup of a chain, by running it; and what machines with other inputs say.
pub struct MachineTruth {
    engines: Engines,
    preimages: Preimages,
    known: HashMap<Reading, BTreeMap<Level, Known>>,
    traces: Vec<(Stretch, MachineTrace)>,
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
            traces: Vec::new(),
        }
    }

    fn answers(&self, chain: &Chain, address: &RollupAddress) -> Option<Answers> {
        let context = chain.context();
        let rollup = context.rollup(address).ok()?;
        Some(Answers {
            metadata: metadata(address, rollup),
            preimages: self.preimages.clone(),
            activation: context.parameters.reveals,
            past_sizes: Arc::clone(&context.past_sizes),
            sizes: context.parameters.dal,
            corrupt: false,
        })
    }

    /// A level as a reading has it, beginning at tick `begins`.
    fn level(
        &self,
        chain: &Chain,
        (address, meddling): &Reading,
        level: Level,
        begins: u128,
    ) -> Option<ReadLevel> {
        let mut answers = self.answers(chain, address)?;
        let mut messages = messages_of(chain, level)?;
        if let Some(meddling) = meddling {
            answers.corrupt = meddling.corrupts_reveals(level);
            if meddling.takes_later_sizes(level) {
                answers.past_sizes = Arc::default();
            }
            let rollup = chain.context().rollup(address).ok()?;
            let first = messages_of(chain, rollup.origination_level.next()?)?;
            messages = meddling.read(level, messages, &first);
        }
        Some(ReadLevel {
            level,
            begins,
            start: None,
            messages,
            environment: self.engines.environment(answers),
        })
    }

    /// Runs a reading up to the end of `to`; its state there.
    fn advance(&mut self, chain: &Chain, reading: &Reading, to: Level) -> Option<&mut Known> {
        let rollup = chain.context().rollup(&reading.0).ok()?;
        let mut known = self.known.remove(reading).unwrap_or_default();
        known.retain(|level, entry| {
            let block = chain.at(*level);
            block.is_some_and(|block| block.hash == entry.block)
        });
        if let std::collections::btree_map::Entry::Vacant(place) =
            known.entry(rollup.origination_level)
        {
            place.insert(origin(chain, rollup)?);
        }
        let start = known
            .range(..=to)
            .rev()
            .find(|(_, entry)| entry.state.is_some());
        let start = start.map(|(level, entry)| (*level, entry.clone()));
        if let Some((mut level, mut at)) = start.or_else(|| {
            let origin = origin(chain, rollup)?;
            Some((rollup.origination_level, origin))
        }) {
            while level < to {
                let Some(next) = level.next() else { break };
                let read = self.level(chain, reading, next, 0);
                let Some(after) = read.and_then(|read| step(chain, &read, &at)) else {
                    break;
                };
                (level, at) = (next, after);
                known.insert(level, at.clone());
            }
        }
        forget_old_states(&mut known, to);
        let known = self.known.entry(reading.clone()).or_insert(known);
        known.get_mut(&to).filter(|known| known.state.is_some())
    }

    fn run(&mut self, chain: &Chain, reading: &Reading, from: Level, to: Level) -> Option<Period> {
        let end = self.advance(chain, reading, to)?;
        let (ticks, hash) = (end.ticks, end.state.as_mut()?.hash().ok()?);
        let start = self.known.get(reading)?.get(&from)?.ticks;
        Some(Period {
            state: StateHash::from(hash),
            ticks: u64::try_from(ticks.checked_sub(start)?).ok()?,
        })
    }

    fn retrace(
        &mut self,
        chain: &Chain,
        reading: &Reading,
        from: Level,
        to: Level,
    ) -> Option<MachineTrace> {
        let length = u128::from(self.run(chain, reading, from, to)?.ticks);
        let start = self.advance(chain, reading, from)?;
        let (state, start) = (start.state.clone()?, start.ticks);
        let mut levels = Vec::new();
        let mut level = from;
        while level < to {
            let before = self.known.get(reading)?.get(&level)?.clone();
            level = level.next()?;
            let begins = before.ticks.checked_sub(start)?;
            levels.push(ReadLevel {
                start: before.state,
                ..self.level(chain, reading, level, begins)?
            });
        }
        MachineTrace::new(state, levels, length)
    }
}

/// States of the oldest levels go, but that of `to` stays.
fn forget_old_states(known: &mut BTreeMap<Level, Known>, to: Level) {
    let extra = known.len().saturating_sub(KEPT);
    for (level, entry) in known.iter_mut().take(extra) {
        if *level != to {
            entry.state = None;
        }
    }
}

fn messages_of(chain: &Chain, level: Level) -> Option<Vec<Vec<u8>>> {
    let block = chain.at(level)?;
    Some(block.messages.as_ref()?.messages().to_vec())
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

fn step(chain: &Chain, read: &ReadLevel, before: &Known) -> Option<Known> {
    let block = chain.at(read.level)?;
    let state = before.state.as_ref()?;
    let messages = read.messages.iter().map(Vec::as_slice);
    match run_level(state, read.level, messages, &read.environment, &mut Quiet) {
        Ok(outcome) => Some(Known {
            block: block.hash,
            ticks: before.ticks.saturating_add(outcome.ticks),
            state: Some(outcome.state),
        }),
        Err(error) => {
            tracing::warn!(level = %read.level, %error, "operator cannot run the level");
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
        self.run(chain, &(*rollup, None), from, to)
    }

    fn other_period(
        &mut self,
        chain: &Chain,
        rollup: &RollupAddress,
        from: Level,
        to: Level,
        meddling: &Meddling,
    ) -> Option<Period> {
        self.run(chain, &(*rollup, Some(meddling.clone())), from, to)
    }

    fn trace(
        &mut self,
        chain: &Chain,
        rollup: &RollupAddress,
        from: Level,
        to: Level,
        meddling: Option<&Meddling>,
    ) -> Option<&mut dyn States> {
        let reading = (*rollup, meddling.cloned());
        let stretch = (reading, from, to, chain.at(to)?.hash);
        let place = match self.traces.iter().position(|(kept, _)| *kept == stretch) {
            Some(place) => place,
            None => {
                let trace = self.retrace(chain, &stretch.0, from, to)?;
                if self.traces.len() >= TRACES {
                    self.traces.remove(0);
                }
                self.traces.push((stretch, trace));
                self.traces.len() - 1
            }
        };
        self.traces
            .get_mut(place)
            .map(|(_, trace)| trace as &mut dyn States)
    }
}
