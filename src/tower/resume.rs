//! Taking up the model from the journal: at start, and again after every reorganisation.
//!
//! Promises: the model is the one that the events behind the rows in force would have made.

use super::facts::fact_of;
use super::lattice::Lattice;
use super::model::{Distrust, Model, Own, Place, Watched};
use super::stakes::{Conflict, Fact, Stakes};
use crate::journal::{JournalError, OperationRow, PublishedRow, Reader, RollupRow};
use crate::protocol::{BlockHash, Commitment, Level, Protocol, RollupAddress};

/// Why the journal cannot be continued.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// It cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It holds no block although it should.
    #[error("the journal has no block in force: remove it to begin again")]
    Empty,
    /// The block where a rollup began is not in it.
    #[error(
        "the journal has no block at level {level}, where {rollup} began: use another data directory for it"
    )]
    BeforeJournal {
        /// The rollup.
        rollup: RollupAddress,
        /// Level of its origination.
        level: Level,
    },
}

impl Model {
    /// The model of these rollups as the journal has it.
    ///
    /// # Errors
    /// [`ResumeError`].
    pub fn from_journal(
        reader: &Reader,
        rollups: &[RollupAddress],
        epoch: u64,
        until: Option<Level>,
    ) -> Result<Self, ResumeError> {
        let tip = reader.head()?.ok_or(ResumeError::Empty)?;
        let first = reader.lowest()?.ok_or(ResumeError::Empty)?;
        let mut lattice = Lattice::constant(first.period);
        for block in reader.protocol_openings()? {
            let known = Protocol::from_hash(&block.protocol);
            if let (Some(protocol), Some(last)) = (known, block.level.previous())
                && block.level > first.level
            {
                lattice.activate(protocol, block.period, last);
            }
        }
        let mut model = Self {
            rollups: Default::default(),
            late: Default::default(),
            tip: Place {
                block: tip.hash,
                level: tip.level,
            },
            head: None,
            lattice,
            distrust: None,
            epoch,
            until,
            is_finished: false,
        };
        for row in reader.rollups()? {
            if rollups.contains(&row.address) {
                model
                    .rollups
                    .insert(row.address, Watched::from_journal(reader, &row, tip.level)?);
            }
        }
        if let Some((level, _, theirs)) = reader.first_inbox_mismatch()? {
            let theirs = crate::protocol::Dialected::text(&theirs, model.dialect());
            let below = level.previous().unwrap_or(level);
            let below = reader.block_at(below)?.ok_or(ResumeError::Empty)?;
            model.distrust = Some(Distrust {
                level,
                detail: format!("{level} {theirs}"),
                below: Place {
                    block: below.hash,
                    level: below.level,
                },
            });
        }
        Ok(model)
    }
}

/// The commitment tree of a rollup with its stakers, as the record tells it.
///
/// # Errors
/// [`ResumeError`] when the journal cannot be read.
pub fn stakes_of(reader: &Reader, row: &RollupRow) -> Result<Stakes, ResumeError> {
    let genesis = Commitment::genesis(row.genesis_state, row.origination_level);
    let mut watched = Watched::new(row.address, row.dialect, genesis, BlockHash([0; 32]));
    watched.take_facts(reader)?;
    Ok(watched.stakes)
}

impl Watched {
    fn from_journal(reader: &Reader, row: &RollupRow, tip: Level) -> Result<Self, ResumeError> {
        let address = row.address;
        let genesis = Commitment::genesis(row.genesis_state, row.origination_level);
        let level = row.origination_level;
        // Originated above what is journalled: its block comes with the others.
        let origin = match reader.block_at(level)? {
            Some(block) => block.hash,
            None if level > tip => BlockHash([0; 32]),
            None => {
                return Err(ResumeError::BeforeJournal {
                    rollup: address,
                    level,
                });
            }
        };
        let mut watched = Self::new(address, row.dialect, genesis, origin);
        for (block, commitment) in reader.own_commitments(&address)? {
            let own = Own {
                commitment,
                hash: commitment.hash(),
                block,
            };
            watched.own.insert(commitment.inbox_level, own);
        }
        watched.take_progress(reader)?;
        watched.take_facts(reader)?;
        for verdict in reader.verdicts(&address)? {
            watched
                .verdicts
                .insert(verdict.commitment, verdict.judgement);
        }
        for row in reader.conflicts(&address)? {
            watched.conflicts.insert(Conflict {
                level: row.level,
                parent: row.parent,
                staker: row.staker,
                commitment: row.commitment,
                other_staker: row.other_staker,
                other_commitment: row.other_commitment,
            });
        }
        Ok(watched)
    }

    fn take_progress(&mut self, reader: &Reader) -> Result<(), ResumeError> {
        if let Some(state) = reader.last_state(&self.address)? {
            self.reached = Place {
                block: state.block,
                level: state.level,
            };
        }
        let since = self
            .last_own()
            .and_then(|own| own.commitment.inbox_level.next());
        if let Some(from) = since {
            let states = reader.states_between(&self.address, from, self.reached.level)?;
            self.ticks = states
                .iter()
                .fold(0, |sum: u64, state| sum.saturating_add(state.ticks));
        }
        self.blocked = reader
            .unknown(&self.address)?
            .filter(|unknown| unknown.level > self.reached.level);
        Ok(())
    }

    /// Folds publications and other operations in the order of the chain.
    fn take_facts(&mut self, reader: &Reader) -> Result<(), ResumeError> {
        enum Row {
            Published(PublishedRow),
            Operation(OperationRow),
        }
        let published = reader.published(&self.address)?.into_iter().map(|row| {
            let level = row.published_level.unwrap_or(Level::ZERO);
            ((level, row.position), Row::Published(row))
        });
        let operations = reader
            .operations(&self.address)?
            .into_iter()
            .map(|row| ((row.level, row.position), Row::Operation(row)));
        let mut rows: Vec<_> = published.chain(operations).collect();
        rows.sort_by_key(|(place, _)| *place);
        for (_, row) in rows {
            let facts = match row {
                Row::Published(row) => vec![Fact::Published {
                    staker: row.staker,
                    commitment: row.commitment,
                    at: row.published_level,
                }],
                Row::Operation(row) => {
                    self.played.take(&row, &self.stakes);
                    fact_of(&row)
                }
            };
            for fact in facts {
                let cemented = self.stakes.apply(&fact);
                if let (Fact::Cemented { level, .. }, Some(hash)) = (fact, cemented) {
                    self.cemented.insert(level, hash);
                }
            }
        }
        Ok(())
    }
}
