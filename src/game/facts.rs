//! What the chain knows of a rollup that the outcome of its games depends on.

use std::collections::BTreeMap;

use super::Machine;
use crate::protocol::{Level, Protocol, RollupAddress};
use crate::pvm::Activation;

/// Bytes the machine is given for parameters of the data-availability layer.
pub type DalParameterBytes = [u8; 32];

/// Facts of layer 1 about a rollup, as of the block that includes a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The machine it runs.
    pub machine: Machine,
    /// Its address.
    pub rollup: RollupAddress,
    /// Where it began.
    pub origination_level: Level,
    /// Which reveals are answered, from which level on.
    pub activation: Activation,
    /// Parameters of the data-availability layer, by the level from which they are in force.
    pub dal_parameters: BTreeMap<Level, DalParameterBytes>,
}

impl Facts {
    /// Facts of a WASM rollup under `protocol`, where the data-availability layer answers nothing.
    #[must_use]
    pub fn wasm(protocol: Protocol, rollup: RollupAddress, origination_level: Level) -> Self {
        Self {
            machine: Machine::of(protocol),
            rollup,
            origination_level,
            activation: Activation::BASIC,
            dal_parameters: BTreeMap::new(),
        }
    }

    /// Parameters of the data-availability layer in force at a level, if known here.
    #[must_use]
    pub fn dal_parameters_at(&self, level: Level) -> Option<&DalParameterBytes> {
        let mut until = self.dal_parameters.range(..=level);
        until.next_back().map(|(_, bytes)| bytes)
    }

    /// What the machine is told about its rollup.
    #[must_use]
    pub fn metadata(&self) -> [u8; 24] {
        self.rollup.metadata(self.origination_level)
    }
}
