//! What the tower shows of itself while it runs: plain data, replaced after every batch.

use super::model::{Model, Tally};
use super::outlook::Outlook;
use crate::protocol::{Dialected, Level};

/// How the tower stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Level of the last block taken in.
    pub tip: Option<Level>,
    /// Level of the node's head.
    pub head: Option<Level>,
    /// How each rollup stands.
    pub rollups: Vec<RollupStatus>,
    /// Figures beside the model.
    pub outlook: Outlook,
}

/// How one rollup stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollupStatus {
    /// Its address.
    pub address: String,
    /// Level of its origination.
    pub origination: Level,
    /// Level of the last known state.
    pub reached: Level,
    /// Verdicts in force.
    pub tally: Tally,
    /// Why it cannot go on, if it cannot.
    pub blocked: Option<String>,
}

impl Status {
    pub(super) fn of(model: &Model, outlook: Outlook) -> Self {
        let rollups = model.rollups.values().map(|rollup| RollupStatus {
            address: rollup.address.text(rollup.dialect),
            origination: rollup.genesis.inbox_level,
            reached: rollup.reached.level,
            tally: rollup.tally(),
            blocked: rollup
                .blocked
                .as_ref()
                .map(|unknown| format!("{} ({})", unknown.reason, unknown.detail)),
        });
        Self {
            tip: Some(model.tip.level),
            head: model.head,
            rollups: rollups.collect(),
            outlook,
        }
    }
}
