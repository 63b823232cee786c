//! The interpreter of run mode.
//!
//! Promises: executes compact code and counts the protocol's ticks, stopping only where the exact
//! state can be rebuilt. No host effect happens before the run is known to reach it.

#[macro_use]
mod arms;
mod interpreter;

use super::memory::FlatMemory;
use super::program::{Function, Kind, Program};
use crate::wasm::ast::{Num, NumType};
use crate::wasm::eval::{HostFunctions, HostOutcome, Memories};
use crate::wasm::fault::{Exception, Fault};
use crate::wasm::instance::Value;

/// Registers a frame can name; the register file always has that many after a frame's start, so
/// no access needs a check.
const WINDOW: usize = 1 << 16;

/// A call that waits for another to return.
#[derive(Debug, Clone, Copy)]
pub(super) struct Suspended {
    /// Where it goes on.
    pub(super) pc: u32,
    /// Start of its registers.
    pub(super) start: usize,
    /// Register that takes the first result.
    pub(super) base: u16,
    /// Values left on its label, which the return copies.
    pub(super) rest: u16,
}

/// Why the interpreter stopped.
#[derive(Debug)]
pub(super) enum Exit {
    /// The next straight run might pass the target.
    Target,
    /// The native machine cannot go on from here.
    Declined,
    /// A host function has returned, but its ticks are not over at the target.
    HostWaits(Host),
    /// A host function wants a reveal.
    HostReveals(Host),
    /// The first function has returned.
    Finished,
    /// The guest trapped.
    Trapped(&'static str),
    /// The machine is stuck.
    Raised(Exception),
}

/// The call of a host function, as the exact machine can repeat it.
#[derive(Debug, Clone)]
pub(super) struct Host {
    /// The arguments, whose registers may be overwritten by now.
    pub(super) args: Vec<u64>,
    /// What the function did.
    pub(super) outcome: HostOutcome,
}

/// What changes while the code runs.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) registers: Vec<u64>,
    /// Start of the running frame's registers.
    pub(super) start: usize,
    pub(super) pc: u32,
    pub(super) suspended: Vec<Suspended>,
    /// Ticks at which the present native state is reached.
    pub(super) now: u64,
    pub(super) memory: FlatMemory,
    pub(super) globals: Vec<u64>,
    pub(super) dropped: Vec<bool>,
    pub(super) limit: i32,
}

/// A register as the value of its type.
pub(super) fn value_of(ty: NumType, raw: u64) -> Value {
    Value::Num(match ty {
        NumType::I32 => Num::I32(raw as u32 as i32),
        NumType::I64 => Num::I64(raw as i64),
    })
}

/// A value as a register; references never get here.
pub(super) fn raw_of(value: &Value) -> Option<u64> {
    match value {
        Value::Num(Num::I32(value)) => Some(u64::from(*value as u32)),
        Value::Num(Num::I64(value)) => Some(*value as u64),
        _ => None,
    }
}

fn window(registers: &mut [u64], start: usize) -> &mut [u64; WINDOW] {
    registers
        .get_mut(start..)
        .and_then(|rest| rest.first_chunk_mut())
        .expect("the register file is longer than a window after every frame")
}

impl Machine {
    /// Makes room for a frame of `size` registers at `start`.
    fn reserve(registers: &mut Vec<u64>, start: usize) {
        let wanted = start.saturating_add(WINDOW);
        if registers.len() < wanted {
            registers.resize(wanted.saturating_add(WINDOW), 0);
        }
    }

    /// Makes room again after the registers were cut to those in use.
    pub(super) fn restore_registers(&mut self) {
        Self::reserve(&mut self.registers, self.start);
    }

    /// Prepares the first call.
    pub(super) fn enter(&mut self, function: &Function, arguments: &[u64]) {
        Self::reserve(&mut self.registers, 0);
        self.start = 0;
        self.pc = function.entry;
        let frame = window(&mut self.registers, 0);
        frame[..usize::from(function.locals)].fill(0);
        for (register, argument) in frame.iter_mut().zip(arguments) {
            *register = *argument;
        }
        self.now = self.now.saturating_add(u64::from(function.ticks));
    }

    fn call_host(
        &mut self,
        function: &Function,
        base: u16,
        host: &mut dyn HostFunctions,
    ) -> Result<(HostOutcome, Vec<u64>), Fault> {
        let start = self.start.saturating_add(usize::from(base));
        let args: Vec<u64> = self
            .registers
            .get(start..start.saturating_add(function.params.len()))
            .unwrap_or_default()
            .to_vec();
        let values: Vec<Value> = function
            .params
            .iter()
            .zip(&args)
            .map(|(ty, raw)| value_of(*ty, *raw))
            .collect();
        let Kind::Host(name) = &function.kind else {
            return Err(Fault::Unencodable(
                "a host call of a native function".into(),
            ));
        };
        let outcome = host.call(name, &values, Memories::One(&mut self.memory))?;
        Ok((outcome, args))
    }

    /// Runs until `target` ticks may be passed, or something else ends the run. Traps and raised
    /// errors leave `now` at the tick of the last state before the trapped or stuck one.
    pub(super) fn execute(
        &mut self,
        program: &Program,
        target: u64,
        host: &mut dyn HostFunctions,
    ) -> Result<Exit, Fault> {
        let mut registers = std::mem::take(&mut self.registers);
        let mut remaining = target as i64 - self.now as i64;
        let exit = self.run(program, &mut registers, &mut remaining, host);
        self.registers = registers;
        self.now = (target as i64 - remaining) as u64;
        exit
    }
}
