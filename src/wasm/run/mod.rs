//! Run mode: a kernel run on native state, at speed, with the exact state wherever it is asked for.
//!
//! Promises: [`Run::advance`] counts the protocol's ticks and stops at most a straight run of code
//! before its target; [`Run::state`] rebuilds there the state that single ticks lead to, and
//! [`pass`] makes up the rest. Refuses to know the tree, and kernels that are not typed as the
//! standard wants: those it declines, at a state from which the exact machine goes on.

mod beginning;
mod branch;
mod build;
mod code;
mod compile;
mod kept;
mod machine;
mod memory;
mod pass;
mod program;
#[cfg(test)]
mod random;
mod rebuild;
#[cfg(test)]
mod tests;
mod translate;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use beginning::{Beginning, First};
pub use kept::FORMAT;
pub use pass::{pass, skip};

use beginning::{Origin, first_call};
use compile::View;
use machine::{Exit, Host, Machine, raw_of, value_of};
use memory::FlatMemory;
use program::Program;
use rebuild::{FramePlace, Rebuilder, inconsistent};

use crate::wasm::ast::{DataLabel, Instr};
use crate::wasm::config::{
    AnyFrame, Config, FrameStack, LabelKont, LabelStack, RevealRequest, StepKont,
};
use crate::wasm::eval::{self, GuestMemory, HostFunctions, HostOutcome, Memories, Moment};
use crate::wasm::fault::{Exception, Fault};
use crate::wasm::init::EvalState;
use crate::wasm::instance::{ModuleKey, Value};
use crate::wasm::lazy::LazyVec;

/// How far a run got. Ticks count from the state the run was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Not past the target; what is left of it is for [`Run::state`] and [`pass`].
    Near,
    /// It waits for a reveal since this tick.
    Reveals {
        /// Tick of the waiting state.
        tick: u64,
        /// What is asked for.
        request: RevealRequest,
    },
    /// The function has returned.
    Finished {
        /// Tick of the state with the result.
        tick: u64,
    },
    /// The guest has trapped.
    Trapped {
        /// Tick of the trapped state.
        tick: u64,
        /// The text of the trap.
        message: String,
    },
    /// The tick after this one leaves the machine stuck.
    Raised {
        /// Tick of the last good state.
        tick: u64,
        /// What is raised.
        exception: Exception,
    },
    /// Run mode cannot go on; the exact machine can, from the state here.
    Declined {
        /// Tick of that state.
        tick: u64,
    },
}

/// Why no run was made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RunError {
    /// The state or the module is not of the kind that runs at speed.
    #[error("run mode does not take {0}")]
    Declined(&'static str),
    /// The state cannot be read.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Ticks after the return of the first function until its result is there.
const TO_RESULT: u64 = 4;

/// Ticks from before a call of a host function to the one that calls it.
const TO_HOST: u32 = 8;

#[derive(Debug, Clone)]
enum Phase {
    /// Before the first call.
    Fresh,
    /// Before an operation at which runs stop.
    Running,
    /// A host function has returned; its ticks, and those of an answered reveal, are being spent.
    Spending(Host, Option<Vec<u8>>),
    Revealing(Host),
    Ended(Status),
}

/// A module compiled for run mode; it depends on the kernel and the version alone.
#[derive(Debug, Clone)]
pub struct Compiled {
    program: Arc<Program>,
    view: Arc<View>,
}

impl Compiled {
    /// Compiles the module of a state at the first tick of evaluation.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn new(state: &mut EvalState) -> Result<Self, RunError> {
        let (module, ..) = first_call(&state.config)?;
        let instance = state.registry.read(&module)?;
        if instance.memories.len() != 1 {
            return Err(RunError::Declined("a module without exactly one memory"));
        }
        let (program, view) = build::build(instance)?;
        Ok(Self {
            program: Arc::new(program),
            view: Arc::new(view),
        })
    }
}

/// A kernel run.
#[derive(Debug, Clone)]
pub struct Run {
    compiled: Compiled,
    machine: Machine,
    phase: Phase,
    origin: Origin,
    module: ModuleKey,
    entry: u32,
    arguments: Vec<u64>,
    /// Whether the memory is in the registry alone, and the registers are cut.
    folded: bool,
}

impl Run {
    /// A run of a state at the first tick of evaluation, with its module compiled.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn new(compiled: &Compiled, mut origin: EvalState) -> Result<Self, RunError> {
        let beginning = Beginning::of(compiled, &mut origin)?;
        Ok(Self::begun(
            compiled,
            beginning,
            Origin::Here(Box::new(origin)),
        ))
    }

    /// A run whose first state is found when an exact state is asked for.
    #[must_use]
    pub fn with_first(compiled: &Compiled, beginning: Beginning, first: Arc<dyn First>) -> Self {
        Self::begun(compiled, beginning, Origin::Later(first))
    }

    fn begun(compiled: &Compiled, beginning: Beginning, origin: Origin) -> Self {
        let machine = Machine {
            registers: Vec::new(),
            start: 0,
            pc: 0,
            suspended: Vec::new(),
            now: 0,
            memory: beginning.memory,
            globals: beginning.globals,
            dropped: beginning.dropped,
            limit: beginning.limit,
        };
        Self {
            compiled: compiled.clone(),
            machine,
            phase: Phase::Fresh,
            origin,
            module: beginning.module,
            entry: beginning.entry,
            arguments: beginning.arguments,
            folded: false,
        }
    }

    /// Bytes of the kernel's memory.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.machine.memory.bytes.len()
    }

    /// The same run with its memory in the registry alone, whose chunks are shared with every other
    /// state of the run that has them; it is brought back when the run goes on.
    ///
    /// # Errors
    /// [`Fault`] of the registry.
    pub fn folded(&mut self) -> Result<Self, Fault> {
        self.unfold()?;
        if matches!(self.phase, Phase::Ended(_)) {
            return Ok(self.clone());
        }
        self.settle()?;
        let memory = std::mem::take(&mut self.machine.memory);
        let registers = std::mem::take(&mut self.machine.registers);
        let mut folded = self.clone();
        let used = registers.iter().rposition(|register| *register != 0);
        let used = registers.get(..used.map_or(0, |last| last + 1));
        folded.machine.registers = used.unwrap_or_default().to_vec();
        folded.folded = true;
        self.machine.memory = memory;
        self.machine.registers = registers;
        Ok(folded)
    }

    fn unfold(&mut self) -> Result<(), Fault> {
        if !self.folded {
            return Ok(());
        }
        let instance = self.origin.get()?.registry.read(&self.module)?;
        self.machine.memory = FlatMemory::of(instance.memories.read(0)?)?;
        self.machine.restore_registers();
        self.folded = false;
        Ok(())
    }

    /// Where the data of the reveal that is waited for goes in memory.
    #[must_use]
    pub const fn destination(&self) -> Option<u32> {
        match &self.phase {
            Phase::Revealing(Host {
                outcome: HostOutcome::Reveals { base, .. },
                ..
            }) => Some(base.cast_unsigned()),
            _ => None,
        }
    }

    /// Goes on until `target` ticks are near, or the run ends or waits. All effects of host
    /// functions called up to the target are done, and no others.
    ///
    /// # Errors
    /// [`Fault`] that is no outcome of the machine.
    pub fn advance(&mut self, target: u64, host: &mut dyn HostFunctions) -> Result<Status, Fault> {
        self.unfold()?;
        let program = Arc::clone(&self.compiled.program);
        match &self.phase {
            Phase::Ended(status) => return Ok(status.clone()),
            Phase::Revealing(host) => return self.revealing(host),
            Phase::Spending(..) if self.machine.now > target => return Ok(Status::Near),
            Phase::Spending(..) => self.machine.pc += 1,
            Phase::Fresh => {
                let entry = program.functions.get(self.entry as usize);
                let entry = entry.ok_or_else(|| inconsistent("a function"))?;
                let needed = i64::from(entry.ticks).saturating_add(program.reserve);
                if target < needed.unsigned_abs() {
                    return Ok(Status::Near);
                }
                self.machine.enter(entry, &self.arguments);
            }
            Phase::Running if self.machine.now >= target => return Ok(Status::Near),
            Phase::Running => {}
        }
        self.phase = Phase::Running;
        let exit = self.machine.execute(&program, target, host)?;
        self.leave(exit)
    }

    fn leave(&mut self, exit: Exit) -> Result<Status, Fault> {
        let tick = self.machine.now;
        let status = match exit {
            Exit::Target => return Ok(Status::Near),
            Exit::HostWaits(host) => {
                self.phase = Phase::Spending(host, None);
                return Ok(Status::Near);
            }
            Exit::HostReveals(host) => {
                let status = self.revealing(&host);
                self.phase = Phase::Revealing(host);
                return status;
            }
            Exit::Declined => return Ok(Status::Declined { tick }),
            Exit::Finished => Status::Finished {
                tick: tick.saturating_add(TO_RESULT),
            },
            Exit::Trapped(message) => Status::Trapped {
                tick,
                message: message.to_owned(),
            },
            Exit::Raised(exception) => Status::Raised { tick, exception },
        };
        self.phase = Phase::Ended(status.clone());
        Ok(status)
    }

    fn revealing(&self, host: &Host) -> Result<Status, Fault> {
        match &host.outcome {
            HostOutcome::Reveals { request, .. } => Ok(Status::Reveals {
                tick: self.machine.now,
                request: request.clone(),
            }),
            HostOutcome::Returned { .. } => Err(inconsistent("a reveal")),
        }
    }

    /// Gives the answer to the reveal the run waits for; that is one tick.
    ///
    /// # Errors
    /// [`Fault`] when the destination is not in memory, as the reveal tick itself would.
    pub fn answer(&mut self, payload: &[u8]) -> Result<(), Fault> {
        self.unfold()?;
        let Phase::Revealing(host) = &self.phase else {
            return Err(inconsistent("a reveal"));
        };
        let HostOutcome::Reveals {
            base, max_bytes, ..
        } = &host.outcome
        else {
            return Err(inconsistent("a reveal"));
        };
        let wanted = usize::try_from(*max_bytes).map_err(|_| inconsistent("a reveal's size"))?;
        let taken = payload.get(..wanted.min(payload.len())).unwrap_or(payload);
        // No bytes can go anywhere, as in `store_bytes` of `partial_memory.ml`.
        if !taken.is_empty() {
            let memory = &mut self.machine.memory;
            memory.write_range(u64::from(*base as u32), taken)?;
        }
        let count = taken.len() as u64;
        let host = host.clone();
        let (register, _) = self.host_registers()?;
        let at = self.machine.start.saturating_add(register);
        if let Some(slot) = self.machine.registers.get_mut(at) {
            *slot = count;
        }
        self.machine.now = self.machine.now.saturating_add(3 + 42 * count);
        self.phase = Phase::Spending(host, Some(payload.to_vec()));
        Ok(())
    }

    /// The first register of the arguments of the host call the run stands at, and its place.
    fn host_registers(&self) -> Result<(usize, program::Place), Fault> {
        let program = &self.compiled.program;
        let at = self.machine.pc as usize;
        let Some(code::Op::HostCall { base, .. }) = program.code.get(at) else {
            return Err(inconsistent("a host call"));
        };
        let place = program.place(self.machine.pc);
        Ok((
            usize::from(*base),
            place.ok_or_else(|| inconsistent("a host call"))?,
        ))
    }

    /// The exact state where the run stands, and its tick, not after the target of the last
    /// [`Self::advance`].
    ///
    /// # Errors
    /// [`Fault`]; a run that has ended has no state.
    pub fn state(&mut self) -> Result<(EvalState, u64), Fault> {
        self.unfold()?;
        match &self.phase {
            Phase::Fresh => Ok((self.origin.get()?.clone(), 0)),
            Phase::Running => {
                self.settle()?;
                let place = self.compiled.program.place(self.machine.pc);
                let place = place.ok_or_else(|| inconsistent("its place"))?;
                Ok((self.rebuild(place, None)?, self.machine.now))
            }
            Phase::Spending(host, answer) => {
                let (host, answer) = (host.clone(), answer.clone());
                self.at_host_call(&host, answer)
            }
            Phase::Revealing(host) => {
                let host = host.clone();
                self.at_host_call(&host, None)
            }
            Phase::Ended(_) => Err(inconsistent("a run that has ended")),
        }
    }

    /// The memory, globals and segments of the registry become those of the run. After the state
    /// was written to the tree, its registry can be given back with [`Self::adopt`].
    fn settle(&mut self) -> Result<(), Fault> {
        let instance = self.origin.get()?.registry.write(&self.module)?;
        self.machine.memory.settle(instance.memories.write(0)?)?;
        let view = &self.compiled.view;
        let globals = view.global_types.iter().zip(&view.mutable);
        for (index, ((ty, mutable), raw)) in (0..).zip(globals.zip(&self.machine.globals)) {
            if let (Some(ty), true) = (ty, mutable) {
                let global = instance.globals.read(index)?;
                if raw_of(&global.value) != Some(*raw) {
                    instance.globals.write(index)?.value = value_of(*ty, *raw);
                }
            }
        }
        for (index, dropped) in (0..).zip(&self.machine.dropped) {
            if *dropped && *instance.datas.get(index)? != DataLabel(0) {
                instance.datas.set(index, DataLabel(0))?;
            }
        }
        Ok(())
    }

    /// Takes back the registry of a state of this run, whose containers remember what was written
    /// to the tree, so that the next writing is in proportion to what changed since.
    pub fn adopt(&mut self, registry: crate::wasm::instance::Registry) {
        if let Origin::Here(origin) = &mut self.origin {
            origin.registry = registry;
        }
    }

    /// What the function of a finished run returned, the first result first.
    ///
    /// # Errors
    /// [`Fault`] when the run has not finished.
    pub fn results(&self) -> Result<Vec<Value>, Fault> {
        let program = &self.compiled.program;
        let at = program.code.get(self.machine.pc as usize);
        let function = program.functions.get(self.entry as usize);
        let (
            Phase::Ended(Status::Finished { .. }),
            Some(code::Op::Return { src, .. }),
            Some(entry),
        ) = (&self.phase, at, function)
        else {
            return Err(inconsistent("a result"));
        };
        let from = self.machine.start.saturating_add(usize::from(*src));
        let registers = self.machine.registers.get(from..).unwrap_or_default();
        let results = entry.results.iter().zip(registers);
        Ok(results.map(|(ty, raw)| value_of(*ty, *raw)).collect())
    }

    /// The instance as the run has left it so far.
    ///
    /// # Errors
    /// [`Fault`] of the containers.
    pub fn registry(&mut self) -> Result<crate::wasm::instance::Registry, Fault> {
        self.settle()?;
        Ok(self.origin.get()?.registry.clone())
    }

    /// The blocks that the run stands in.
    fn blocks(&mut self, top: program::Place) -> Result<BTreeMap<i32, Vec<Instr>>, Fault> {
        let program = Arc::clone(&self.compiled.program);
        let calls = self.machine.suspended.iter();
        let calls = calls.filter_map(|call| program.place(call.pc.wrapping_sub(1)));
        let instance = self.origin.get()?.registry.read(&self.module)?;
        let mut blocks = BTreeMap::new();
        for place in calls.chain([top]) {
            let mut next = Some(place.scope);
            while let Some(scope) = next.and_then(|scope| program.scopes.get(scope as usize)) {
                if let std::collections::btree_map::Entry::Vacant(slot) = blocks.entry(scope.body.0)
                {
                    let block = instance.allocations.blocks.read(scope.body.0)?;
                    slot.insert(block.instructions()?.to_items()?);
                }
                next = scope.parent.map(|(parent, _)| parent);
            }
        }
        Ok(blocks)
    }

    fn rebuild(
        &mut self,
        place: program::Place,
        instead: Option<(usize, &[u64])>,
    ) -> Result<EvalState, Fault> {
        let blocks = self.blocks(place)?;
        let origin = self.origin.get()?;
        let registry = origin.registry.clone();
        let bottom = bottom(origin, self.arguments.len())?;
        let program = &self.compiled.program;
        let rebuilder = Rebuilder {
            program,
            view: &self.compiled.view,
            blocks: &blocks,
            machine: &self.machine,
            module: &self.module,
        };
        let mut rest = LazyVec::default();
        rest.cons(bottom)?;
        for call in &self.machine.suspended {
            let place = program.place(call.pc.wrapping_sub(1));
            rest.cons(rebuilder.frame(FramePlace {
                start: call.start,
                place: place.ok_or_else(|| inconsistent("a call"))?,
                calling: true,
                instead: None,
            })?)?;
        }
        let FrameStack {
            arity,
            frame,
            labels,
        } = rebuilder.frame(FramePlace {
            start: self.machine.start,
            place,
            calling: false,
            instead,
        })?;
        let top = FrameStack {
            arity,
            frame,
            labels: LabelKont::Stack(labels),
        };
        Ok(EvalState {
            config: Config {
                step: StepKont::Start { top, rest },
                stack_size_limit: self.machine.limit,
            },
            registry,
        })
    }

    /// The state right after the host function was called, by repeating the call with what it did.
    fn at_host_call(
        &mut self,
        host: &Host,
        answer: Option<Vec<u8>>,
    ) -> Result<(EvalState, u64), Fault> {
        self.settle()?;
        let (register, place) = self.host_registers()?;
        let mut state = self.rebuild(place, Some((register, &host.args)))?;
        let mut again = Again(host.outcome.clone());
        for _ in 0..=TO_HOST {
            let EvalState { config, registry } = &mut state;
            eval::step(config, registry, &mut again, Moment::Run)?;
        }
        let spent = match (&host.outcome, answer) {
            (HostOutcome::Returned { ticks, .. }, _) => u64::try_from(*ticks).unwrap_or_default(),
            (HostOutcome::Reveals { .. }, None) => return Ok((state, self.machine.now)),
            (HostOutcome::Reveals { max_bytes, .. }, Some(payload)) => {
                eval::reveal_step(&mut state.config, &mut state.registry, &payload)?;
                let wanted = usize::try_from(*max_bytes).unwrap_or_default();
                42 * payload.len().min(wanted) as u64
            }
        };
        Ok((state, self.machine.now.saturating_sub(spent + 2)))
    }
}

/// The frame that evaluation began with, its only instruction taken.
fn bottom(origin: &EvalState, arguments: usize) -> Result<FrameStack<LabelStack>, Fault> {
    let StepKont::Start {
        top:
            AnyFrame {
                arity,
                frame,
                labels: LabelKont::Stack(labels),
            },
        ..
    } = &origin.config.step
    else {
        return Err(inconsistent("its first frame"));
    };
    let mut labels = labels.clone();
    labels.top.code.instructions.pop()?;
    let count = i32::try_from(arguments).unwrap_or_default();
    labels.top.code.values = labels.top.code.values.split(count)?.1;
    Ok(FrameStack {
        arity: *arity,
        frame: frame.clone(),
        labels,
    })
}

/// A host function that did its work before.
struct Again(HostOutcome);

impl HostFunctions for Again {
    fn call(&mut self, _: &str, _: &[Value], _: Memories<'_>) -> Result<HostOutcome, Fault> {
        Ok(self.0.clone())
    }
}
