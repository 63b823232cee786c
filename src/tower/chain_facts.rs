//! Constants of the chain that a kernel run can see, shared between the feed and the workers, and
//! journalled for offline runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::journal::{ConstantsRow, JournalError, Reader};
use crate::l1::ChainConstants;
use crate::protocol::{BlockHash, Level, Mutez};
use crate::pvm::Activation;

/// Parameters of the data-availability layer, as a kernel is told them.
type Parameters = [i64; 4];

#[derive(Debug, Default)]
struct Known {
    parameters: BTreeMap<Level, Parameters>,
    activation: Option<Activation>,
    stake: Option<Mutez>,
    /// Challenge window and commitment period.
    lengths: Option<(u32, u32)>,
}

/// What is known so far; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct ChainFacts(Arc<Mutex<Known>>);

impl ChainFacts {
    /// Takes in the constants in force after a block; answers them as a row when they are new.
    pub(super) fn learn(
        &self,
        block: BlockHash,
        level: Level,
        constants: &ChainConstants,
    ) -> Option<ConstantsRow> {
        self.hear(constants);
        let dal = constants.dal.map(|dal| {
            [
                i64::from(dal.number_of_slots),
                i64::from(dal.attestation_lag),
                i64::from(dal.slot_size),
                i64::from(dal.page_size),
            ]
        });
        // Whether the layer is switched on does not matter (`is_reveal_enabled_predicate`).
        let activation = constants
            .reveals
            .map_or(Activation::BASIC, |reveals| Activation {
                preimage: Some(reveals.raw_data.blake2b),
                metadata: Some(reveals.metadata),
                dal_page: Some(reveals.dal_page),
                dal_parameters: Some(reveals.dal_parameters),
            });
        let row = ConstantsRow {
            block,
            level,
            dal,
            reveals: [
                activation.preimage,
                activation.metadata,
                activation.dal_page,
                activation.dal_parameters,
            ],
            stake: Some(constants.rollup.stake_amount),
        };
        self.take(&row).then_some(row)
    }

    /// Takes in how long things last now.
    pub(super) fn hear(&self, constants: &ChainConstants) {
        let rollup = &constants.rollup;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.lengths = Some((rollup.challenge_window, rollup.commitment_period));
    }

    /// Takes in a journalled row; whether anything in it is new.
    pub(super) fn take(&self, row: &ConstantsRow) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut is_new = false;
        if let Some(parameters) = row.dal {
            let last = known.parameters.range(..=row.level).next_back();
            if last.map(|(_, known)| known) != Some(&parameters) {
                known.parameters.insert(row.level, parameters);
                is_new = true;
            }
        }
        let [preimage, metadata, dal_page, dal_parameters] = row.reveals;
        let activation = Some(Activation {
            preimage,
            metadata,
            dal_page,
            dal_parameters,
        });
        is_new |= known.activation != activation;
        known.activation = activation;
        is_new |= known.stake != row.stake;
        known.stake = row.stake;
        is_new
    }

    /// What the journal holds; nothing in one written before it kept constants.
    pub(super) fn of_journal(reader: &Reader) -> Result<Option<Self>, JournalError> {
        let rows = reader.constants()?;
        let facts = Self::default();
        for row in &rows {
            facts.take(row);
        }
        Ok((!rows.is_empty()).then_some(facts))
    }

    /// Blocks of the challenge window and between commitments, as last heard.
    pub(super) fn lengths(&self) -> Option<(u32, u32)> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.lengths
    }

    pub(super) fn activation(&self) -> Activation {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.activation.unwrap_or(Activation::BASIC)
    }

    /// Parameters of the data-availability layer by the level from which they are in force.
    pub(super) fn all_dal_parameters(&self) -> BTreeMap<Level, [u8; 32]> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = BTreeMap::new();
        for (level, parameters) in &known.parameters {
            let mut bytes = [0; 32];
            for (place, number) in bytes.chunks_mut(8).zip(parameters) {
                place.copy_from_slice(&number.to_be_bytes());
            }
            all.insert(*level, bytes);
        }
        all
    }

    /// The bytes a kernel is given at a level; none when they were never heard of.
    pub(super) fn dal_parameters(&self, level: Level) -> Option<Vec<u8>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = known.parameters.range(..=level).next_back();
        let first = known.parameters.first_key_value();
        let (_, parameters) = at.or(first)?;
        Some(
            parameters
                .iter()
                .flat_map(|number| number.to_be_bytes())
                .collect(),
        )
    }
}
