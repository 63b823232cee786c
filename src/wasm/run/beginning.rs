//! What a run begins with: natively at once, exactly when somebody asks.

use std::fmt::Debug;
use std::sync::Arc;

use super::machine::raw_of;
use super::memory::FlatMemory;
use super::program::{self, Kind};
use super::rebuild::inconsistent;
use super::{Compiled, RunError};
use crate::wasm::ast::DataLabel;
use crate::wasm::config::{Admin, Config, LabelKont, StepKont};
use crate::wasm::fault::Fault;
use crate::wasm::init::EvalState;
use crate::wasm::instance::{FuncInst, ModuleKey, Value};
use crate::wasm::lazy::LazyVec;

/// The native state that every run of a module begins with.
#[derive(Debug, Clone, PartialEq)]
pub struct Beginning {
    pub(super) module: ModuleKey,
    /// The function that is called first.
    pub(super) entry: u32,
    /// Registers of the first call; kernels have none.
    pub(super) arguments: Vec<u64>,
    pub(super) limit: i32,
    pub(super) globals: Vec<u64>,
    pub(super) dropped: Vec<bool>,
    pub(super) memory: FlatMemory,
}

/// Finds the exact state that a run begins with, when it is asked for.
pub trait First: Debug + Send + Sync {
    /// The state.
    ///
    /// # Errors
    /// [`Fault`] when it cannot be found.
    fn state(&self) -> Result<EvalState, Fault>;
}

/// The exact state that a run began with; its registry follows the run when a state is asked for.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    Here(Box<EvalState>),
    /// Nobody has asked for a state yet.
    Later(Arc<dyn First>),
}

impl Origin {
    pub(super) fn get(&mut self) -> Result<&mut EvalState, Fault> {
        if let Self::Later(first) = self {
            *self = Self::Here(Box::new(first.state()?));
        }
        match self {
            Self::Here(state) => Ok(state),
            Self::Later(_) => Err(inconsistent("its first state")),
        }
    }
}

/// The module, the function and the arguments, last first, of a state that is about to make its
/// first call.
pub(super) fn first_call(
    config: &Config,
) -> Result<(ModuleKey, FuncInst, LazyVec<Value>), RunError> {
    const OTHER: RunError = RunError::Declined("a state that is not before its first call");
    let StepKont::Start { top, rest } = &config.step else {
        return Err(OTHER);
    };
    let LabelKont::Stack(labels) = &top.labels else {
        return Err(OTHER);
    };
    let mut instructions = labels.top.code.instructions.clone();
    if !rest.is_empty() || !labels.rest.is_empty() || instructions.len() != 1 {
        return Err(OTHER);
    }
    match instructions.pop()? {
        Admin::Invoke(function) => Ok((
            top.frame.module.clone(),
            *function,
            labels.top.code.values.clone(),
        )),
        _ => Err(OTHER),
    }
}

/// The registers of arguments, if they are those of the function.
fn raw_arguments(function: &program::Function, mut arguments: LazyVec<Value>) -> Option<Vec<u64>> {
    let mut arguments = arguments.to_items().ok()?;
    arguments.reverse();
    let types = arguments.iter().map(Value::ty);
    let params = function.params.iter().copied();
    let same = types.eq(params.map(crate::wasm::ast::ValueType::Num));
    same.then(|| arguments.iter().filter_map(raw_of).collect())
}

impl Beginning {
    /// What runs begin with whose first state is this one, with its module compiled.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn of(compiled: &Compiled, origin: &mut EvalState) -> Result<Self, RunError> {
        let (module, function, arguments) = first_call(&origin.config)?;
        let FuncInst::Native { func, .. } = function else {
            return Err(RunError::Declined("a host function as the kernel's entry"));
        };
        let program = &compiled.program;
        let entry = program
            .functions
            .iter()
            .position(|found| found.kind == Kind::Native && found.body == func.body)
            .and_then(|entry| u32::try_from(entry).ok())
            .ok_or(RunError::Declined("the kernel's entry"))?;
        let arguments = program
            .functions
            .get(entry as usize)
            .and_then(|function| raw_arguments(function, arguments))
            .ok_or(RunError::Declined("an entry without its arguments"))?;
        let limit = origin.config.stack_size_limit;
        let instance = origin.registry.read(&module)?;
        let globals = instance.globals.to_items()?;
        let dropped = instance.datas.to_items()?;
        let memory = instance.memories.read(0)?;
        if memory.ty.0.min != memory.size() {
            return Err(RunError::Declined("a memory of impossible size"));
        }
        Ok(Self {
            entry,
            arguments,
            limit,
            globals: globals
                .iter()
                .map(|global| raw_of(&global.value).unwrap_or_default())
                .collect(),
            dropped: dropped.iter().map(|label| *label == DataLabel(0)).collect(),
            memory: FlatMemory::of(memory)?,
            module,
        })
    }
}
