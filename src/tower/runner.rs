//! Running a rollup's kernel over journalled levels, from the nearest state that is kept.
//!
//! Promises: any block in force is reached from what the journal and the state store hold, or the
//! reason why not is given; a level that was run before must give the same state again. Used by
//! the following worker, by `replay` and by `state`. Refuses to know: threads and the chain.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::genesis::first_state;
use super::model::Place;
use crate::crypto::Hash;
use crate::journal::{BlockRow, JournalError, Reader, RollupRow, StateRow};
use crate::merkle::{Store, StoreError};
use crate::protocol::{Level, Protocol, StateHash};
use crate::pvm::{
    Environment, LevelError, LevelOutcome, NotJudgeable, PvmError, Quiet, RevealError, RunError,
    State, Timeline, run_level,
};

/// States kept in memory, for short reorganisations.
const RECENT: usize = 16;
/// Levels read from the journal at once.
pub(super) const CHUNK: u32 = 128;

/// Why a level has no state here.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The state store cannot be used.
    #[error("state store: {0}")]
    Store(#[from] StoreError),
    /// A state cannot be read.
    #[error(transparent)]
    State(#[from] PvmError),
    /// The journal lacks what is needed.
    #[error("the journal has no {what} of level {level}")]
    Absent {
        /// What.
        what: &'static str,
        /// Of which level.
        level: Level,
    },
    /// The origination's protocol is not one we know.
    #[error("the rollup began under an unknown protocol")]
    UnknownProtocol,
    /// The kept kernel is not the one of the origination.
    #[error(
        "the kept kernel does not make the genesis state: remove it, so that it is fetched again"
    )]
    OtherKernel,
    /// A level run again gave another state than before.
    #[error("level {level} gave {found} now and {expected} before")]
    Different {
        /// The level.
        level: Level,
        /// State in the journal.
        expected: String,
        /// State now.
        found: String,
    },
    /// Nothing can be said about a level.
    #[error("level {level}: {reason}")]
    NotJudgeable {
        /// The level.
        level: Level,
        /// Why.
        #[source]
        reason: NotJudgeable,
    },
    /// Ticks of a level leave the range that commitments have.
    #[error("level {level} takes {ticks} ticks")]
    Ticks {
        /// The level.
        level: Level,
        /// How many.
        ticks: u128,
    },
}

impl RunnerError {
    /// Kind and detail, as journalled; the kinds are the reasons of "not judgeable" verdicts.
    #[must_use]
    pub fn reason(&self) -> (&'static str, String) {
        let Self::NotJudgeable { reason, .. } = self else {
            let kind = match self {
                Self::Different { .. } => "engines disagree",
                _ => "state unreadable",
            };
            return (kind, self.to_string());
        };
        match reason {
            NotJudgeable::Reveal(RevealError::NoPreimage { hash, .. }) => {
                ("missing preimage", hash.clone())
            }
            NotJudgeable::Reveal(RevealError::WrongPreimage { hash, .. }) => {
                ("missing preimage", hash.clone())
            }
            NotJudgeable::Reveal(error @ RevealError::NoPage { .. }) => {
                ("data availability page", error.to_string())
            }
            NotJudgeable::Reveal(error) => ("reveal", error.to_string()),
            NotJudgeable::NeedsReference(declined) => {
                ("needs the reference engine", declined.to_string())
            }
            NotJudgeable::SecondStorage(_) => ("second storage", reason.to_string()),
            NotJudgeable::Interrupted => ("run over its deadline", reason.to_string()),
            other => ("engine", other.to_string()),
        }
    }

    /// The preimage that is missing, if that is all.
    #[must_use]
    pub fn missing_preimage(&self) -> Option<[u8; 33]> {
        let Self::NotJudgeable { reason, .. } = self else {
            return None;
        };
        match reason {
            NotJudgeable::Reveal(RevealError::NoPreimage { hash, .. }) => {
                hex::decode(hash).ok()?.try_into().ok()
            }
            _ => None,
        }
    }
}

/// Where states are found and levels are run.
#[derive(Debug)]
pub struct Runner {
    pub(super) rollup: RollupRow,
    pub(super) reader: Reader,
    /// None for a run that must not lean on stored states.
    pub(super) store: Option<Arc<Store>>,
    kernel: Vec<u8>,
    pub(super) environment: Environment,
    recent: VecDeque<(Place, State)>,
}

impl Runner {
    /// A runner of one rollup.
    #[must_use]
    pub const fn new(
        rollup: RollupRow,
        reader: Reader,
        store: Option<Arc<Store>>,
        kernel: Vec<u8>,
        environment: Environment,
    ) -> Self {
        Self {
            rollup,
            reader,
            store,
            kernel,
            environment,
            recent: VecDeque::new(),
        }
    }

    /// The highest block in force, not above `level`, whose state is at hand, with that state.
    ///
    /// # Errors
    /// [`RunnerError`].
    pub fn nearest(&self, level: Level) -> Result<(Place, State), RunnerError> {
        for (place, state) in self.recent.iter().rev() {
            let in_force = self.reader.block_at(place.level)?;
            if place.level <= level && in_force.is_some_and(|block| block.hash == place.block) {
                return Ok((*place, state.clone()));
            }
        }
        if let Some(found) = self.nearest_stored(level)? {
            return Ok(found);
        }
        let origin = self.rollup.origination_level;
        let block = self.reader.block_at(origin)?.ok_or(RunnerError::Absent {
            what: "block",
            level: origin,
        })?;
        let place = Place {
            block: block.hash,
            level: origin,
        };
        Ok((place, self.first_state()?))
    }

    fn nearest_stored(&self, level: Level) -> Result<Option<(Place, State)>, RunnerError> {
        let Some(store) = &self.store else {
            return Ok(None);
        };
        let roots: BTreeSet<Hash> = store.roots().into_iter().collect();
        let origin = self.rollup.origination_level;
        let mut top = level;
        loop {
            let bottom = top.minus(1024).unwrap_or(origin).max(origin);
            let states = self
                .reader
                .states_between(&self.rollup.address, bottom, top)?;
            for row in states.iter().rev() {
                let root = Hash(row.hash.0);
                if !roots.contains(&root) {
                    continue;
                }
                let place = Place {
                    block: row.block,
                    level: row.level,
                };
                match store.checkout(&root) {
                    Ok(tree) => return Ok(Some((place, State::decode(&tree)?))),
                    Err(error) => {
                        tracing::warn!(level = %row.level, %error, "a kept state cannot be read");
                    }
                }
            }
            match bottom.previous() {
                Some(next) if bottom > origin => top = next,
                _ => return Ok(None),
            }
        }
    }

    fn first_state(&self) -> Result<State, RunnerError> {
        let protocol =
            Protocol::from_hash(&self.rollup.protocol).ok_or(RunnerError::UnknownProtocol)?;
        let mut state = first_state(protocol, &self.kernel)?;
        if StateHash::from(state.hash()?) != self.rollup.genesis_state {
            return Err(RunnerError::OtherKernel);
        }
        Ok(state)
    }

    /// The machine over the level of one block, from the state at the level before it.
    ///
    /// # Errors
    /// [`RunnerError`].
    pub fn timeline(&mut self, before: Level, block: &BlockRow) -> Result<Timeline, RunnerError> {
        let level = block.level;
        let inbox = self.reader.inbox(&block.hash)?.ok_or(RunnerError::Absent {
            what: "inbox",
            level,
        })?;
        let state = self.state_at(before)?;
        let messages = vec![(level, inbox.messages.into())];
        let made = Timeline::new(state, messages, self.environment.clone());
        made.map_err(|error| match error {
            RunError::State(error) => RunnerError::State(error),
            RunError::NotJudgeable(reason) => RunnerError::NotJudgeable { level, reason },
            RunError::Declined(declined) => RunnerError::NotJudgeable {
                level,
                reason: NotJudgeable::NeedsReference(declined),
            },
        })
    }

    /// Runs the level of one block from the state before it.
    ///
    /// # Errors
    /// [`RunnerError`].
    pub fn run(&self, state: &State, block: &BlockRow) -> Result<(State, StateRow), RunnerError> {
        let level = block.level;
        let inbox = self.reader.inbox(&block.hash)?.ok_or(RunnerError::Absent {
            what: "inbox",
            level,
        })?;
        let messages = inbox.messages.iter().map(Vec::as_slice);
        let outcome = run_level(state, level, messages, &self.environment, &mut Quiet);
        let LevelOutcome {
            mut state,
            ticks,
            edges,
            declined,
            ..
        } = outcome.map_err(|error| match error {
            LevelError::NotJudgeable(reason) => RunnerError::NotJudgeable { level, reason },
            LevelError::State(error) => RunnerError::State(error),
            LevelError::NotWaiting(_) => RunnerError::Absent {
                what: "state at rest",
                level,
            },
        })?;
        for why in &declined {
            tracing::debug!(%level, %why, "the reference engine ran a kernel");
        }
        let row = StateRow {
            rollup: self.rollup.address,
            block: block.hash,
            level,
            hash: StateHash::from(state.hash()?),
            ticks: u64::try_from(ticks)
                .ok()
                .filter(|ticks| i64::try_from(*ticks).is_ok())
                .ok_or(RunnerError::Ticks { level, ticks })?,
            status: state.phase.tag().to_owned(),
            edges: edges.iter().map(|edge| edge.to_string()).collect(),
        };
        if let Some(before) = self.reader.state(&self.rollup.address, &block.hash)?
            && (before.hash != row.hash || before.ticks != row.ticks)
        {
            return Err(RunnerError::Different {
                level,
                expected: format!("{} in {} ticks", before.hash, before.ticks),
                found: format!("{} in {} ticks", row.hash, row.ticks),
            });
        }
        Ok((state, row))
    }

    /// Keeps a state in memory.
    pub(super) fn remember(&mut self, place: Place, state: State) {
        self.recent.push_back((place, state));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// Makes a state durable; what lies in the store leaves memory.
    pub(super) fn keep(&self, state: &mut State) -> Result<(), RunnerError> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let tree = store.commit(state.encode()?)?;
        state.rebase(&tree)?;
        Ok(())
    }

    /// The state at the end of a level, run again from the nearest one at hand.
    ///
    /// # Errors
    /// [`RunnerError`].
    pub fn state_at(&mut self, level: Level) -> Result<State, RunnerError> {
        let (mut place, mut state) = self.nearest(level)?;
        while place.level < level {
            let from = place.level.next().unwrap_or(level);
            let to = place.level.plus(CHUNK).unwrap_or(level).min(level);
            let blocks = self.reader.blocks_between(from, to)?;
            if blocks.is_empty() {
                return Err(RunnerError::Absent {
                    what: "block",
                    level: from,
                });
            }
            for block in blocks {
                state = self.run(&state, &block)?.0;
                place = Place {
                    block: block.hash,
                    level: block.level,
                };
            }
        }
        Ok(state)
    }
}
