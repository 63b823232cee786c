//! A module ready to run: compact code and what is needed to find the exact state from it.

use super::code::Op;
use crate::wasm::ast::{BlockLabel, NumType};

/// How a function is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// By its compact code.
    Native,
    /// By the host, under this internal name.
    Host(String),
    /// Only exactly: it has something this machine does not do.
    Declined,
}

/// A function.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Function {
    pub(super) kind: Kind,
    /// First operation.
    pub(super) entry: u32,
    /// Parameter types.
    pub(super) params: Vec<NumType>,
    /// Result types.
    pub(super) results: Vec<NumType>,
    /// Types of parameters and locals.
    pub(super) types: Vec<NumType>,
    /// Their number.
    pub(super) locals: u16,
    /// Equal for equal types.
    pub(super) signature: u32,
    /// Ticks from the call on the stack to the first instruction.
    pub(super) ticks: u32,
    /// Its block.
    pub(super) body: BlockLabel,
}

/// An indirect call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Site {
    pub(super) table: u32,
    pub(super) signature: u32,
    pub(super) index: u16,
    pub(super) frame: u16,
}

/// A block as it is entered at one place of a function.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scope {
    /// The enclosing one, and the place of the entering instruction there.
    pub(super) parent: Option<(u32, u32)>,
    pub(super) body: BlockLabel,
    /// Register that tells whether the loop was entered by a branch.
    pub(super) again: Option<u16>,
    /// Operand positions whose registers are saved at entry, as the parent's vector keeps them.
    pub(super) saved: Vec<(u16, u16)>,
    /// Function index.
    pub(super) function: u32,
}

/// Where an operation stands in the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) pc: u32,
    pub(super) scope: u32,
    /// Index of the instruction in the block.
    pub(super) index: u32,
}

/// A compiled module.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Program {
    pub(super) code: Vec<Op>,
    pub(super) pool: Vec<u64>,
    pub(super) jumps: Vec<Vec<u32>>,
    pub(super) functions: Vec<Function>,
    pub(super) sites: Vec<Site>,
    pub(super) scopes: Vec<Scope>,
    /// Operations at which a run stops or calls, in order.
    pub(super) places: Vec<Place>,
    /// Trapping operations, in order, with the ticks of the straight run that come after them.
    pub(super) refunds: Vec<(u32, u32)>,
    /// Ticks that may be spent between two places to stop without being charged before.
    pub(super) reserve: i64,
    pub(super) tables: Vec<Vec<u32>>,
    pub(super) segments: Vec<Vec<u8>>,
}

impl Program {
    /// Ticks charged for what a trapping operation keeps from being done.
    pub(super) fn refund(&self, pc: u32) -> i64 {
        match self.refunds.binary_search_by_key(&pc, |(at, _)| *at) {
            Ok(found) => self
                .refunds
                .get(found)
                .map_or(0, |(_, ticks)| i64::from(*ticks)),
            Err(_) => 0,
        }
    }

    /// The place of an operation at which a run stops or calls.
    pub(super) fn place(&self, pc: u32) -> Option<Place> {
        let found = self
            .places
            .binary_search_by_key(&pc, |place| place.pc)
            .ok()?;
        self.places.get(found).copied()
    }
}
