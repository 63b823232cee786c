//! How many ticks the reference machine could at most spend in each piece of a kernel.
//!
//! Why: native code counts nothing, yet a run longer than its period ends otherwise than one that
//! fits, and an endless one must be stopped. Charging each loop round and each function entry the
//! most that the operators up to the next such place can cost gives an upper bound of the ticks of
//! a run for a few machine instructions per round. Promises: never less than the real ticks.
//! Refuses to know: the exact number; a run whose bound is over the budget is declined.
//! Checked against the exact ticks of every recorded run (`check/levels.rs`).

use wasmparser::{BinaryReaderError, FunctionBody, Operator};

/// Ticks of one operator, calls apart; the reference machine spends at most about ten.
const OPERATOR: u64 = 40;
/// Ticks of a jump or end per enclosing block that it may have to leave.
const UNWIND: u64 = 8;
/// Ticks of entering a function, and per argument and local.
const ENTRY: u64 = 64;
const LOCAL: u64 = 16;
/// Ticks per byte or element of a bulk operation.
pub(super) const PER_ELEMENT: i64 = 160;
/// Functions without calls, cheaper than this, are charged where they are called.
const SMALL: u64 = 4000;
/// Ticks of parsing, linking and instantiating, per byte of the kernel and in all.
const LOADING_PER_BYTE: u128 = 256;
const LOADING: u128 = 65_536;

/// What to charge in one function.
#[derive(Debug, Clone, Default)]
pub(super) struct FunctionPlan {
    /// At its entry; 0 when its callers are charged.
    pub(super) entry: i64,
    /// At each of its loops, in the order they start.
    pub(super) loops: Vec<i64>,
}

/// What to charge in a kernel.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    /// Its functions, imported ones left out.
    pub(super) functions: Vec<FunctionPlan>,
    pub(super) limits: SizeLimits,
}

/// What memory and tables may grow to.
#[derive(Debug, Clone, Default)]
pub(super) struct SizeLimits {
    /// Pages of the memory.
    pub(super) pages: u64,
    /// Elements of each table.
    pub(super) elements: Vec<u64>,
}

/// Most ticks that loading a kernel of this length can take.
pub(super) fn loading_ticks(kernel_length: i64) -> u128 {
    u128::try_from(kernel_length)
        .unwrap_or(0)
        .saturating_mul(LOADING_PER_BYTE)
        .saturating_add(LOADING)
}

/// Where an operator is charged.
#[derive(Clone, Copy)]
enum Place {
    Entry,
    Loop(usize),
}

enum Callee {
    Direct(usize),
    Indirect,
}

#[derive(Default)]
struct Measured {
    entry: u64,
    loops: Vec<u64>,
    calls: Vec<(Place, Callee)>,
}

impl Measured {
    fn charge(&mut self, place: Place, ticks: u64) {
        let total = match place {
            Place::Entry => Some(&mut self.entry),
            Place::Loop(index) => self.loops.get_mut(index),
        };
        if let Some(total) = total {
            *total = total.saturating_add(ticks);
        }
    }

    fn is_small(&self) -> bool {
        self.calls.is_empty() && self.entry <= SMALL
    }
}

/// Measures function after function.
#[derive(Default)]
pub(super) struct PlanBuilder {
    imported: usize,
    measured: Vec<Measured>,
    pub(super) limits: SizeLimits,
}

impl PlanBuilder {
    pub(super) fn imports(&mut self, imported: usize) {
        self.imported = imported;
    }

    /// Index of the function measured next.
    pub(super) fn next_function(&self) -> usize {
        self.imported + self.measured.len()
    }

    pub(super) fn function(
        &mut self,
        body: &FunctionBody<'_>,
        parameters: usize,
    ) -> Result<(), BinaryReaderError> {
        let mut locals = parameters as u64;
        for group in body.get_locals_reader()? {
            locals = locals.saturating_add(u64::from(group?.0));
        }
        let mut measured = Measured {
            entry: LOCAL.saturating_mul(locals).saturating_add(ENTRY),
            ..Measured::default()
        };
        // Where operators inside each open block are charged.
        let mut blocks = vec![Place::Entry];
        for operator in body.get_operators_reader()? {
            let operator = operator?;
            let place = blocks.last().copied().unwrap_or(Place::Entry);
            let depth = blocks.len() as u64;
            measured.charge(place, OPERATOR);
            match &operator {
                Operator::Block { .. } | Operator::If { .. } => blocks.push(place),
                Operator::Loop { .. } => {
                    blocks.push(Place::Loop(measured.loops.len()));
                    measured.loops.push(OPERATOR);
                }
                Operator::End => {
                    blocks.pop();
                    measured.charge(place, UNWIND);
                }
                Operator::Br { .. }
                | Operator::BrIf { .. }
                | Operator::BrTable { .. }
                | Operator::Return => measured.charge(place, UNWIND.saturating_mul(depth)),
                Operator::Call { function_index } => {
                    let callee = usize::try_from(*function_index).unwrap_or(usize::MAX);
                    measured.calls.push((place, Callee::Direct(callee)));
                }
                Operator::CallIndirect { .. } => measured.calls.push((place, Callee::Indirect)),
                _ => {}
            }
        }
        self.measured.push(measured);
        Ok(())
    }

    pub(super) fn finish(self) -> Plan {
        let Self {
            imported,
            measured,
            limits,
        } = self;
        let small: Vec<_> = measured
            .iter()
            .map(|function| function.is_small().then_some(function.entry))
            .collect();
        let dearest = small.iter().flatten().max().copied().unwrap_or(0);
        let functions = measured.into_iter().map(|mut function| {
            let is_small = function.is_small();
            for (place, callee) in std::mem::take(&mut function.calls) {
                let ticks = match callee {
                    Callee::Indirect => dearest,
                    Callee::Direct(callee) => callee
                        .checked_sub(imported)
                        .and_then(|local| small.get(local).copied().flatten())
                        .unwrap_or(0),
                };
                function.charge(place, ticks);
            }
            let ticks = |ticks: u64| i64::try_from(ticks).unwrap_or(i64::MAX / 2);
            FunctionPlan {
                entry: if is_small { 0 } else { ticks(function.entry) },
                loops: function.loops.into_iter().map(ticks).collect(),
            }
        });
        Plan {
            functions: functions.collect(),
            limits,
        }
    }
}
