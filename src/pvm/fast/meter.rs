//! Charges put into the code while it is compiled, following a [`Plan`].
//!
//! Promises: the guest sees nothing of it; a run that has used up its ticks stops with
//! `unreachable` and a negative account. Refuses to know: what a tick is worth.

use std::sync::{Arc, OnceLock};

use wasmer::sys::wasmparser::{BlockType, Operator};
use wasmer::sys::{FunctionMiddleware, MiddlewareError, MiddlewareReaderState, ModuleMiddleware};
use wasmer::{
    ExportIndex, GlobalInit, GlobalType, LocalFunctionIndex, ModuleInfo, Mutability, Type,
};

use super::plan::{FunctionPlan, PER_ELEMENT, Plan, SizeLimits};

/// Name under which the account of ticks is exported; no kernel can hold this name by accident.
pub(super) const TICKS: &str = "\u{0}watchtower:ticks";
/// Name under which the depth of calls is exported.
pub(super) const DEPTH: &str = "\u{0}watchtower:depth";

/// What the depth becomes when memory or a table could not grow although it may.
pub(super) const MEMORY_FAILED: i32 = i32::MIN;

/// Which of the charges to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Deepest nesting of calls; none when the native stack is the tighter bound.
    pub(super) depth: Option<u32>,
}

/// Changes one module; made anew for each.
#[derive(Debug)]
pub(super) struct Meter {
    plan: Plan,
    limits: Limits,
    globals: OnceLock<Globals>,
}

#[derive(Debug, Clone, Copy)]
struct Globals {
    ticks: u32,
    depth: u32,
    /// Holds an operand while it is looked at.
    count: u32,
    /// Likewise.
    result: u32,
}

impl Meter {
    pub(super) fn new(plan: Plan, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            plan,
            limits,
            globals: OnceLock::new(),
        })
    }
}

impl ModuleMiddleware for Meter {
    fn generate_function_middleware<'a>(
        &self,
        function: LocalFunctionIndex,
    ) -> Box<dyn FunctionMiddleware<'a> + 'a> {
        let plan = self.plan.functions.get(function.as_u32() as usize);
        Box::new(FunctionMeter {
            plan: plan.cloned().unwrap_or_default(),
            sizes: self.plan.limits.clone(),
            started: false,
            loops: 0,
            limits: self.limits,
            globals: self.globals.get().copied(),
        })
    }

    fn transform_module_info(&self, module: &mut ModuleInfo) -> Result<(), MiddlewareError> {
        let mut global = |ty, init, name: &str| {
            let index = module.globals.push(GlobalType::new(ty, Mutability::Var));
            module.global_initializers.push(init);
            module
                .exports
                .insert(name.to_owned(), ExportIndex::Global(index));
            index.as_u32()
        };
        let globals = Globals {
            ticks: global(Type::I64, GlobalInit::I64Const(0), TICKS),
            depth: global(Type::I32, GlobalInit::I32Const(0), DEPTH),
            count: global(Type::I32, GlobalInit::I32Const(0), "\u{0}watchtower:count"),
            result: global(Type::I32, GlobalInit::I32Const(0), "\u{0}watchtower:result"),
        };
        self.globals
            .set(globals)
            .map_err(|_| MiddlewareError::new("meter", "used for a second module"))
    }
}

#[derive(Debug)]
struct FunctionMeter {
    plan: FunctionPlan,
    sizes: SizeLimits,
    started: bool,
    /// Loops seen so far.
    loops: usize,
    limits: Limits,
    globals: Option<Globals>,
}

const STOP: [Operator<'static>; 3] = [
    Operator::If {
        blockty: BlockType::Empty,
    },
    Operator::Unreachable,
    Operator::End,
];

impl Globals {
    /// Takes a fixed number of ticks.
    fn charge<'a>(&self, ticks: i64, state: &mut MiddlewareReaderState<'a>) {
        let global_index = self.ticks;
        state.extend([
            Operator::GlobalGet { global_index },
            Operator::I64Const { value: ticks },
            Operator::I64Sub,
            Operator::GlobalSet { global_index },
            Operator::GlobalGet { global_index },
            Operator::I64Const { value: 0 },
            Operator::I64LtS,
        ]);
        state.extend(STOP);
    }

    /// Takes ticks for each of the elements whose number is on top of the stack, and leaves it.
    fn charge_elements<'a>(&self, state: &mut MiddlewareReaderState<'a>) {
        let (ticks, count) = (self.ticks, self.count);
        state.extend([
            Operator::GlobalSet {
                global_index: count,
            },
            Operator::GlobalGet {
                global_index: ticks,
            },
            Operator::GlobalGet {
                global_index: count,
            },
            Operator::I64ExtendI32U,
            Operator::I64Const { value: PER_ELEMENT },
            Operator::I64Mul,
            Operator::I64Sub,
            Operator::GlobalSet {
                global_index: ticks,
            },
            Operator::GlobalGet {
                global_index: ticks,
            },
            Operator::I64Const { value: 0 },
            Operator::I64LtS,
        ]);
        state.extend(STOP);
        state.push_operator(Operator::GlobalGet {
            global_index: count,
        });
    }

    /// Stops when memory or table cannot grow although it may: the machine's always does.
    fn grow<'a>(
        &self,
        limit: u64,
        size: Operator<'a>,
        grow: Operator<'a>,
        state: &mut MiddlewareReaderState<'a>,
    ) {
        let get = |global_index| Operator::GlobalGet { global_index };
        let set = |global_index| Operator::GlobalSet { global_index };
        let when = Operator::If {
            blockty: BlockType::Empty,
        };
        state.extend([set(self.count), get(self.count), grow]);
        state.extend([
            set(self.result),
            get(self.result),
            Operator::I32Const { value: -1 },
            Operator::I32Eq,
            when.clone(),
            size,
            Operator::I64ExtendI32U,
            get(self.count),
            Operator::I64ExtendI32U,
            Operator::I64Add,
            Operator::I64Const {
                value: limit.cast_signed(),
            },
            Operator::I64LeU,
            when,
            Operator::I32Const {
                value: MEMORY_FAILED,
            },
            set(self.depth),
            Operator::Unreachable,
            Operator::End,
            Operator::End,
            get(self.result),
        ]);
    }

    /// Takes ticks for each new element after a growth, whose result stays on top of the stack; one
    /// that was refused is cheap, however much was asked for.
    fn charge_grown<'a>(&self, state: &mut MiddlewareReaderState<'a>) {
        state.extend([
            Operator::GlobalGet {
                global_index: self.result,
            },
            Operator::I32Const { value: -1 },
            Operator::I32Ne,
            Operator::If {
                blockty: BlockType::Empty,
            },
            Operator::GlobalGet {
                global_index: self.count,
            },
        ]);
        self.charge_elements(state);
        state.extend([Operator::Drop, Operator::End]);
    }

    /// Adds to the depth of calls.
    fn deepen<'a>(&self, by: i32, state: &mut MiddlewareReaderState<'a>) {
        let global_index = self.depth;
        state.extend([
            Operator::GlobalGet { global_index },
            Operator::I32Const { value: by },
            Operator::I32Add,
            Operator::GlobalSet { global_index },
        ]);
    }

    fn stop_deeper<'a>(&self, limit: u32, state: &mut MiddlewareReaderState<'a>) {
        state.extend([
            Operator::GlobalGet {
                global_index: self.depth,
            },
            Operator::I32Const {
                value: limit.cast_signed(),
            },
            Operator::I32GtS,
        ]);
        state.extend(STOP);
    }
}

impl<'a> FunctionMiddleware<'a> for FunctionMeter {
    fn feed(
        &mut self,
        operator: Operator<'a>,
        state: &mut MiddlewareReaderState<'a>,
    ) -> Result<(), MiddlewareError> {
        let Some(globals) = self.globals else {
            return Err(MiddlewareError::new("meter", "used without its globals"));
        };
        if !self.started {
            self.started = true;
            if self.plan.entry > 0 {
                globals.charge(self.plan.entry, state);
            }
        }
        match operator {
            Operator::Loop { .. } => {
                state.push_operator(operator);
                let ticks = self.plan.loops.get(self.loops).copied();
                self.loops += 1;
                globals.charge(ticks.unwrap_or(i64::MAX / 2), state);
            }
            Operator::MemoryFill { .. }
            | Operator::MemoryCopy { .. }
            | Operator::MemoryInit { .. }
            | Operator::TableFill { .. }
            | Operator::TableCopy { .. }
            | Operator::TableInit { .. } => {
                globals.charge_elements(state);
                state.push_operator(operator);
            }
            Operator::MemoryGrow { mem } => {
                globals.grow(
                    self.sizes.pages,
                    Operator::MemorySize { mem },
                    operator,
                    state,
                );
            }
            Operator::TableGrow { table } => {
                let limit = self.sizes.elements.get(table as usize).copied();
                let size = Operator::TableSize { table };
                globals.grow(limit.unwrap_or(u64::MAX >> 1), size, operator, state);
                globals.charge_grown(state);
            }
            Operator::Call { .. } | Operator::CallIndirect { .. } => {
                let Some(limit) = self.limits.depth else {
                    state.push_operator(operator);
                    return Ok(());
                };
                // An indirect call finds the table index on top of the stack, which stays there.
                globals.deepen(1, state);
                globals.stop_deeper(limit, state);
                state.push_operator(operator);
                globals.deepen(-1, state);
            }
            other => state.push_operator(other),
        }
        Ok(())
    }
}
