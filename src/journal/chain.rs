//! Rows that hang on blocks and rollups: constants a kernel can see, and how far a rollup that
//! joined late is. They are no events, so they take no number of the record.

use rusqlite::{Row, ToSql};

use super::query::level;
use super::{JournalError, Reader};
use crate::protocol::{BlockHash, Level, Mutez, RollupAddress};

/// Constants that a kernel can see, in force after a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConstantsRow {
    /// The block.
    pub block: BlockHash,
    /// Its level.
    pub level: Level,
    /// Slots, lag, slot size and page size of the data-availability layer.
    pub dal: Option<[i64; 4]>,
    /// Levels from which preimages, metadata, pages and parameters may be revealed.
    pub reveals: [Option<Level>; 4],
    /// The bond of a staker; none in journals from before it was kept.
    pub stake: Option<Mutez>,
}

/// How far operations on a rollup that joined late are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackfillRow {
    /// The rollup.
    pub rollup: RollupAddress,
    /// Read up to here.
    pub level: Level,
    /// To be read up to here.
    pub goal: Level,
}

pub(super) const INSERT_CONSTANTS: &str =
    "INSERT INTO chain_constants (block, dal_slots, dal_lag, dal_slot_size, dal_page_size,
                                  preimages_from, metadata_from, dal_pages_from,
                                  dal_parameters_from, stake)
     SELECT seq, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM block WHERE hash = ?1
     ON CONFLICT (block) DO NOTHING";

pub(super) const PUT_BACKFILL: &str = "INSERT INTO backfill (rollup, level, goal)
     SELECT seq, ?2, ?3 FROM rollup WHERE address = ?1
     ON CONFLICT (rollup) DO UPDATE SET level = excluded.level, goal = excluded.goal";

impl ConstantsRow {
    pub(super) fn bind(
        &self,
        run: impl FnOnce(&[&dyn ToSql]) -> rusqlite::Result<usize>,
    ) -> rusqlite::Result<usize> {
        let [slots, lag, slot_size, page_size] = match self.dal {
            Some(numbers) => numbers.map(Some),
            None => [None; 4],
        };
        let [preimages, metadata, pages, parameters] =
            self.reveals.map(|from| from.map(Level::get));
        run(&[
            &self.block.0,
            &slots,
            &lag,
            &slot_size,
            &page_size,
            &preimages,
            &metadata,
            &pages,
            &parameters,
            &self
                .stake
                .map(|stake| i64::try_from(stake.0).unwrap_or(i64::MAX)),
        ])
    }
}

fn constants(row: &Row<'_>) -> rusqlite::Result<ConstantsRow> {
    let numbers: [Option<i64>; 4] = [row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?];
    let dal = match numbers {
        [Some(slots), Some(lag), Some(slot_size), Some(page_size)] => {
            Some([slots, lag, slot_size, page_size])
        }
        _ => None,
    };
    let from = |column: usize| -> rusqlite::Result<Option<Level>> {
        let stored: Option<i32> = row.get(column)?;
        stored.map(|_| level(row, column)).transpose()
    };
    Ok(ConstantsRow {
        block: BlockHash(row.get(0)?),
        level: level(row, 1)?,
        dal,
        reveals: [from(6)?, from(7)?, from(8)?, from(9)?],
        stake: row
            .get::<_, Option<i64>>(10)?
            .map(|mutez| Mutez(mutez.unsigned_abs())),
    })
}

impl Reader {
    /// Constants in force after blocks in force, lowest first; those between were the same.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn constants(&self) -> Result<Vec<ConstantsRow>, JournalError> {
        self.many(
            "SELECT hash, level, dal_slots, dal_lag, dal_slot_size, dal_page_size, preimages_from,
                    metadata_from, dal_pages_from, dal_parameters_from, stake
             FROM chain_constants JOIN block ON chain_constants.block = block.seq
             WHERE reverted = 0 ORDER BY level",
            [],
            constants,
        )
    }

    /// How far rollups that joined late are.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn backfills(&self) -> Result<Vec<BackfillRow>, JournalError> {
        self.many(
            "SELECT address, level, goal FROM backfill JOIN rollup ON backfill.rollup = rollup.seq",
            [],
            |row| {
                Ok(BackfillRow {
                    rollup: RollupAddress(row.get(0)?),
                    level: level(row, 1)?,
                    goal: level(row, 2)?,
                })
            },
        )
    }
}
