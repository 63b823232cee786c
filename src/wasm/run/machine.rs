//! The interpreter of run mode.
//!
//! Promises: executes compact code and counts the protocol's ticks, stopping only where the exact
//! state can be rebuilt. No host effect happens before the run is known to reach it.

use super::code::Op;
use super::memory::FlatMemory;
use super::program::{Function, Kind, Program};
use crate::wasm::ast::{Num, NumType};
use crate::wasm::eval::{HostFunctions, HostOutcome, Memories};
use crate::wasm::fault::{Exception, Fault};
use crate::wasm::instance::Value;
use crate::wasm::numeric::scalar::{int32, int64};

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

const MEMORY: &str = "out of bounds memory access";

impl Machine {
    /// Makes room for a frame of `size` registers at `start`.
    fn reserve(registers: &mut Vec<u64>, start: usize) {
        let wanted = start.saturating_add(WINDOW);
        if registers.len() < wanted {
            registers.resize(wanted.saturating_add(WINDOW), 0);
        }
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

    fn run(
        &mut self,
        program: &Program,
        registers: &mut Vec<u64>,
        left: &mut i64,
        host: &mut dyn HostFunctions,
    ) -> Result<Exit, Fault> {
        let code = program.code.as_slice();
        let reserve = program.reserve;
        let mut remaining = *left;
        let mut pc = self.pc as usize;
        let mut start = self.start;
        let mut frame = window(registers, start);

        macro_rules! get {
            ($slot:expr) => {
                frame[usize::from($slot)]
            };
        }
        macro_rules! set {
            ($slot:expr, $value:expr) => {
                frame[usize::from($slot)] = $value
            };
        }
        macro_rules! leave {
            ($exit:expr, $pc:expr) => {{
                *left = remaining;
                self.pc = $pc as u32;
                self.start = start;
                return Ok($exit);
            }};
        }
        // The straight run was charged as a whole; what comes after the trap was not done. Four
        // more ticks lead to the trapped state.
        macro_rules! trap {
            ($message:expr) => {{
                remaining += program.refund(pc as u32 - 1) - 4;
                leave!(Exit::Trapped($message), pc - 1);
            }};
        }
        macro_rules! binary32 {
            ($dst:expr, $a:expr, $b:expr, |$x:ident, $y:ident| $value:expr) => {{
                let ($x, $y) = (get!($a) as u32, get!($b) as u32);
                set!($dst, u64::from($value));
            }};
        }
        macro_rules! binary64 {
            ($dst:expr, $a:expr, $b:expr, |$x:ident, $y:ident| $value:expr) => {{
                let ($x, $y) = (get!($a), get!($b));
                set!($dst, $value);
            }};
        }
        macro_rules! immediate32 {
            ($dst:expr, $a:expr, $imm:expr, |$x:ident, $y:ident| $value:expr) => {{
                let ($x, $y) = (get!($a) as u32, $imm as u32);
                set!($dst, u64::from($value));
            }};
        }
        macro_rules! immediate64 {
            ($dst:expr, $a:expr, $imm:expr, |$x:ident, $y:ident| $value:expr) => {{
                let ($x, $y) = (get!($a), i64::from($imm) as u64);
                set!($dst, $value);
            }};
        }
        macro_rules! compare32 {
            ($dst:expr, $a:expr, $b:expr, |$x:ident, $y:ident| $value:expr) => {
                binary32!($dst, $a, $b, |$x, $y| u32::from($value))
            };
        }
        macro_rules! compare64 {
            ($dst:expr, $a:expr, $b:expr, |$x:ident, $y:ident| $value:expr) => {
                binary64!($dst, $a, $b, |$x, $y| u64::from($value))
            };
        }
        macro_rules! compare_immediate32 {
            ($dst:expr, $a:expr, $imm:expr, |$x:ident, $y:ident| $value:expr) => {
                immediate32!($dst, $a, $imm, |$x, $y| u32::from($value))
            };
        }
        macro_rules! compare_immediate64 {
            ($dst:expr, $a:expr, $imm:expr, |$x:ident, $y:ident| $value:expr) => {
                immediate64!($dst, $a, $imm, |$x, $y| u64::from($value))
            };
        }
        macro_rules! divide32 {
            ($dst:expr, $a:expr, $b:expr, $f:path) => {
                match $f(get!($a) as u32 as i32, get!($b) as u32 as i32) {
                    Ok(value) => set!($dst, u64::from(value as u32)),
                    Err(trap) => trap!(trap.message()),
                }
            };
        }
        macro_rules! divide64 {
            ($dst:expr, $a:expr, $b:expr, $f:path) => {
                match $f(get!($a) as i64, get!($b) as i64) {
                    Ok(value) => set!($dst, value as u64),
                    Err(trap) => trap!(trap.message()),
                }
            };
        }
        macro_rules! jump {
            ($taken:expr, $delta:expr, $target:expr) => {
                if $taken {
                    remaining -= i64::from($delta);
                    pc = $target as usize;
                }
            };
        }
        macro_rules! branch {
            ($a:expr, $b:expr, $delta:expr, $target:expr, |$x:ident, $y:ident| $taken:expr) => {{
                let ($x, $y) = (get!($a) as u32, get!($b) as u32);
                jump!($taken, $delta, $target);
            }};
        }
        macro_rules! branch_immediate {
            ($a:expr, $imm:expr, $delta:expr, $target:expr, |$x:ident, $y:ident| $taken:expr) => {{
                let ($x, $y) = (get!($a) as u32, i32::from($imm) as u32);
                jump!($taken, $delta, $target);
            }};
        }
        macro_rules! load {
            ($dst:expr, $address:expr, $offset:expr, $int:ty, |$x:ident| $value:expr) => {{
                const WIDTH: usize = size_of::<$int>();
                let at = (get!($address) as u32 as usize).wrapping_add($offset as usize);
                match self.memory.bytes.get(at..at.wrapping_add(WIDTH)) {
                    Some(bytes) => {
                        let mut raw = [0; WIDTH];
                        raw.copy_from_slice(bytes);
                        let $x = <$int>::from_le_bytes(raw);
                        set!($dst, $value);
                    }
                    None => trap!(MEMORY),
                }
            }};
        }
        macro_rules! store {
            ($address:expr, $src:expr, $offset:expr, $int:ty) => {{
                const WIDTH: usize = size_of::<$int>();
                let at = (get!($address) as u32 as usize).wrapping_add($offset as usize);
                let value = get!($src) as $int;
                match self.memory.bytes.get_mut(at..at.wrapping_add(WIDTH)) {
                    Some(bytes) => {
                        bytes.copy_from_slice(&value.to_le_bytes());
                        self.memory.written[at >> 9] = 1;
                        self.memory.written[(at + WIDTH - 1) >> 9] = 1;
                    }
                    None => trap!(MEMORY),
                }
            }};
        }
        // A bulk operation is paid when it is met; one that would pass the target waits here.
        macro_rules! bulk {
            ($inside:expr, $count:expr, $per_byte:expr) => {{
                let cost = 6 + i64::from($count) * $per_byte;
                if $inside && remaining < cost + reserve {
                    leave!(Exit::Target, pc - 1);
                }
                if !$inside {
                    if remaining < 6 + reserve {
                        leave!(Exit::Target, pc - 1);
                    }
                    remaining -= 6 + 4;
                    leave!(Exit::Trapped(MEMORY), pc - 1);
                }
                remaining -= cost;
            }};
        }

        loop {
            let op = code[pc];
            pc += 1;
            match op {
                Op::Charge(cost) => {
                    if remaining < i64::from(cost) + reserve {
                        leave!(Exit::Target, pc - 1);
                    }
                    remaining -= i64::from(cost);
                }
                Op::Spend(cost) => remaining -= i64::from(cost),
                Op::Decline => leave!(Exit::Declined, pc - 1),
                Op::Unreachable => trap!("unreachable executed"),
                Op::Const32 { dst, value } => set!(dst, u64::from(value)),
                Op::Const64 { dst, value } => set!(dst, i64::from(value) as u64),
                Op::ConstPool { dst, index } => set!(dst, program.pool[index as usize]),
                Op::Copy { dst, src } => set!(dst, get!(src)),
                Op::Select {
                    dst,
                    condition,
                    a,
                    b,
                } => {
                    let value = if get!(condition) as u32 != 0 {
                        get!(a)
                    } else {
                        get!(b)
                    };
                    set!(dst, value);
                }
                Op::GlobalGet { dst, index } => set!(dst, self.globals[index as usize]),
                Op::GlobalSet { src, index } => self.globals[index as usize] = get!(src),
                Op::Jump { target } => pc = target as usize,
                Op::JumpIf {
                    condition,
                    delta,
                    target,
                } => jump!(get!(condition) as u32 != 0, delta, target),
                Op::JumpIfZero {
                    condition,
                    delta,
                    target,
                } => jump!(get!(condition) as u32 == 0, delta, target),
                Op::JumpTable {
                    index,
                    delta,
                    table,
                } => {
                    let targets = &program.jumps[table as usize];
                    let index = get!(index) as u32 as usize;
                    remaining -= i64::from(delta);
                    pc = targets[index.min(targets.len() - 1)] as usize;
                }
                Op::Call {
                    base,
                    rest,
                    size,
                    func,
                } => {
                    let callee = &program.functions[func as usize];
                    let depth = self.suspended.len() as i32;
                    // The frame of the caller and, below all, the one that evaluation begins with.
                    if self.limit <= depth + 2 {
                        remaining += 1;
                        leave!(
                            Exit::Raised(Exception::Located("call stack exhausted".into())),
                            pc - 1
                        );
                    }
                    self.suspended.push(Suspended {
                        pc: pc as u32,
                        start,
                        base,
                        rest,
                    });
                    let args = start + usize::from(base);
                    start += usize::from(size);
                    Self::reserve(registers, start);
                    registers.copy_within(args..args + callee.params.len(), start);
                    frame = window(registers, start);
                    frame[callee.params.len()..usize::from(callee.locals)].fill(0);
                    pc = callee.entry as usize;
                }
                Op::CallIndirect { base, rest, site } => {
                    let site = &program.sites[site as usize];
                    if remaining < 6 + reserve {
                        leave!(Exit::Target, pc - 1);
                    }
                    let index = get!(site.index) as u32;
                    let table = program.tables.get(site.table as usize);
                    let Some(func) = table.and_then(|table| table.get(index as usize)) else {
                        remaining -= 4;
                        let text = format!("undefined element {}", index as i32);
                        leave!(Exit::Raised(Exception::Located(text)), pc - 1);
                    };
                    let Some(callee) = program.functions.get(*func as usize) else {
                        remaining -= 4;
                        let text = format!("uninitialized element {}", index as i32);
                        leave!(Exit::Raised(Exception::Located(text)), pc - 1);
                    };
                    if callee.signature != site.signature {
                        remaining -= 6 + 4;
                        leave!(Exit::Trapped("indirect call type mismatch"), pc - 1);
                    }
                    if !matches!(callee.kind, Kind::Native) {
                        leave!(Exit::Declined, pc - 1);
                    }
                    let cost = 6 + i64::from(callee.ticks);
                    if remaining < cost + reserve {
                        leave!(Exit::Target, pc - 1);
                    }
                    remaining -= cost;
                    let depth = self.suspended.len() as i32;
                    if self.limit <= depth + 2 {
                        remaining += 1;
                        leave!(
                            Exit::Raised(Exception::Located("call stack exhausted".into())),
                            pc - 1
                        );
                    }
                    self.suspended.push(Suspended {
                        pc: pc as u32,
                        start,
                        base,
                        rest,
                    });
                    let args = start + usize::from(base);
                    start += usize::from(site.frame);
                    Self::reserve(registers, start);
                    registers.copy_within(args..args + callee.params.len(), start);
                    frame = window(registers, start);
                    frame[callee.params.len()..usize::from(callee.locals)].fill(0);
                    pc = callee.entry as usize;
                }
                Op::HostCall { base, func } => {
                    let callee = &program.functions[func as usize];
                    self.start = start;
                    self.registers = std::mem::take(registers);
                    let called = self.call_host(callee, base, host);
                    *registers = std::mem::take(&mut self.registers);
                    frame = window(registers, start);
                    let (outcome, args) = match called {
                        Ok(called) => called,
                        Err(Fault::Raised(exception)) => {
                            // Three ticks are left of the call: the one that fails and two more.
                            remaining += 3;
                            leave!(Exit::Raised(exception), pc - 1);
                        }
                        Err(other) => return Err(other),
                    };
                    let HostOutcome::Returned { results, ticks } = &outcome else {
                        remaining += 2;
                        leave!(Exit::HostReveals(Host { args, outcome }), pc - 1);
                    };
                    for (offset, value) in results.iter().enumerate() {
                        let raw = raw_of(value)
                            .ok_or_else(|| Fault::Unencodable("a host function's result".into()))?;
                        set!(base + offset as u16, raw);
                    }
                    remaining -= i64::try_from(*ticks).unwrap_or(i64::MAX / 4);
                    if remaining < 0 {
                        leave!(Exit::HostWaits(Host { args, outcome }), pc - 1);
                    }
                }
                Op::Return { src, count } => {
                    let Some(caller) = self.suspended.pop() else {
                        leave!(Exit::Finished, pc - 1);
                    };
                    remaining -= i64::from(caller.rest);
                    let from = start + usize::from(src);
                    let to = caller.start + usize::from(caller.base);
                    registers.copy_within(from..from + usize::from(count), to);
                    start = caller.start;
                    pc = caller.pc as usize;
                    frame = window(registers, start);
                }
                Op::MemorySize { dst } => set!(dst, u64::from(self.memory.pages())),
                Op::MemoryGrow { dst, src } => {
                    let delta = get!(src) as u32;
                    set!(dst, u64::from(self.memory.grow(delta)));
                }
                Op::MemoryFill { base } => {
                    let (to, byte) = (get!(base) as u32, get!(base + 1) as u8);
                    let count = get!(base + 2) as u32;
                    let range = self.memory.range(to, count);
                    bulk!(range.is_some(), count, 42);
                    if let Some(range) = range {
                        self.memory.bytes[range].fill(byte);
                        self.memory.mark(to as usize, count as usize);
                    }
                }
                Op::MemoryCopy { base } => {
                    let (to, from) = (get!(base) as u32, get!(base + 1) as u32);
                    let count = get!(base + 2) as u32;
                    let source = self.memory.range(from, count);
                    let inside = source.is_some() && self.memory.range(to, count).is_some();
                    bulk!(inside, count, 48);
                    if let Some(source) = source {
                        self.memory.bytes.copy_within(source, to as usize);
                        self.memory.mark(to as usize, count as usize);
                    }
                }
                Op::MemoryInit { base, segment } => {
                    let (to, from) = (get!(base) as u32, get!(base + 1) as u32);
                    let count = get!(base + 2) as u32;
                    let bytes: &[u8] = match self.dropped.get(segment as usize) {
                        Some(false) => &program.segments[segment as usize],
                        _ => &[],
                    };
                    let end = (from as usize).saturating_add(count as usize);
                    let source = bytes.get(from as usize..end);
                    let range = self.memory.range(to, count);
                    bulk!(source.is_some() && range.is_some(), count, 42);
                    if let (Some(source), Some(range)) = (source, range) {
                        self.memory.bytes[range].copy_from_slice(source);
                        self.memory.mark(to as usize, count as usize);
                    }
                }
                Op::DataDrop { segment } => self.dropped[segment as usize] = true,
                Op::Load8U {
                    dst,
                    address,
                    offset,
                } => load!(dst, address, offset, u8, |x| u64::from(x)),
                Op::Load16U {
                    dst,
                    address,
                    offset,
                } => load!(dst, address, offset, u16, |x| u64::from(x)),
                Op::Load32U {
                    dst,
                    address,
                    offset,
                } => load!(dst, address, offset, u32, |x| u64::from(x)),
                Op::Load64 {
                    dst,
                    address,
                    offset,
                } => load!(dst, address, offset, u64, |x| x),
                Op::Load8S32 {
                    dst,
                    address,
                    offset,
                } => load!(dst, address, offset, i8, |x| u64::from(i32::from(x) as u32)),
                Op::Load16S32 {
                    dst,
                    address,
                    offset,
                } => load!(
                    dst,
                    address,
                    offset,
                    i16,
                    |x| u64::from(i32::from(x) as u32)
                ),
                Op::Load8S64 {
                    dst,
                    address,
                    offset,
                } => load!(dst, address, offset, i8, |x| i64::from(x) as u64),
                Op::Load16S64 {
                    dst,
                    address,
                    offset,
                } => load!(dst, address, offset, i16, |x| i64::from(x) as u64),
                Op::Load32S64 {
                    dst,
                    address,
                    offset,
                } => load!(dst, address, offset, i32, |x| i64::from(x) as u64),
                Op::Store8 {
                    address,
                    src,
                    offset,
                } => store!(address, src, offset, u8),
                Op::Store16 {
                    address,
                    src,
                    offset,
                } => store!(address, src, offset, u16),
                Op::Store32 {
                    address,
                    src,
                    offset,
                } => store!(address, src, offset, u32),
                Op::Store64 {
                    address,
                    src,
                    offset,
                } => store!(address, src, offset, u64),
                Op::I32Clz { dst, a } => set!(dst, u64::from((get!(a) as u32).leading_zeros())),
                Op::I32Ctz { dst, a } => set!(dst, u64::from((get!(a) as u32).trailing_zeros())),
                Op::I32Popcnt { dst, a } => set!(dst, u64::from((get!(a) as u32).count_ones())),
                Op::I32Extend8 { dst, a } => set!(dst, u64::from(i32::from(get!(a) as i8) as u32)),
                Op::I32Extend16 { dst, a } => {
                    set!(dst, u64::from(i32::from(get!(a) as i16) as u32))
                }
                Op::I32Eqz { dst, a } => set!(dst, u64::from(get!(a) as u32 == 0)),
                Op::I64Clz { dst, a } => set!(dst, u64::from(get!(a).leading_zeros())),
                Op::I64Ctz { dst, a } => set!(dst, u64::from(get!(a).trailing_zeros())),
                Op::I64Popcnt { dst, a } => set!(dst, u64::from(get!(a).count_ones())),
                Op::I64Extend8 { dst, a } => set!(dst, i64::from(get!(a) as i8) as u64),
                Op::I64Extend16 { dst, a } => set!(dst, i64::from(get!(a) as i16) as u64),
                Op::I64Extend32 { dst, a } => set!(dst, i64::from(get!(a) as i32) as u64),
                Op::I64Eqz { dst, a } => set!(dst, u64::from(get!(a) == 0)),
                Op::Wrap { dst, a } => set!(dst, u64::from(get!(a) as u32)),
                Op::ExtendU { dst, a } => set!(dst, u64::from(get!(a) as u32)),
                Op::I32Add { dst, a, b } => binary32!(dst, a, b, |x, y| x.wrapping_add(y)),
                Op::I32Sub { dst, a, b } => binary32!(dst, a, b, |x, y| x.wrapping_sub(y)),
                Op::I32Mul { dst, a, b } => binary32!(dst, a, b, |x, y| x.wrapping_mul(y)),
                Op::I32And { dst, a, b } => binary32!(dst, a, b, |x, y| x & y),
                Op::I32Or { dst, a, b } => binary32!(dst, a, b, |x, y| x | y),
                Op::I32Xor { dst, a, b } => binary32!(dst, a, b, |x, y| x ^ y),
                Op::I32Shl { dst, a, b } => binary32!(dst, a, b, |x, y| x.wrapping_shl(y)),
                Op::I32ShrS { dst, a, b } => {
                    binary32!(dst, a, b, |x, y| ((x as i32).wrapping_shr(y)) as u32)
                }
                Op::I32ShrU { dst, a, b } => binary32!(dst, a, b, |x, y| x.wrapping_shr(y)),
                Op::I32Rotl { dst, a, b } => binary32!(dst, a, b, |x, y| x.rotate_left(y & 31)),
                Op::I32Rotr { dst, a, b } => binary32!(dst, a, b, |x, y| x.rotate_right(y & 31)),
                Op::I32DivS { dst, a, b } => divide32!(dst, a, b, int32::div_s),
                Op::I32DivU { dst, a, b } => divide32!(dst, a, b, int32::div_u),
                Op::I32RemS { dst, a, b } => divide32!(dst, a, b, int32::rem_s),
                Op::I32RemU { dst, a, b } => divide32!(dst, a, b, int32::rem_u),
                Op::I32Eq { dst, a, b } => compare32!(dst, a, b, |x, y| x == y),
                Op::I32Ne { dst, a, b } => compare32!(dst, a, b, |x, y| x != y),
                Op::I32LtS { dst, a, b } => compare32!(dst, a, b, |x, y| (x as i32) < (y as i32)),
                Op::I32LtU { dst, a, b } => compare32!(dst, a, b, |x, y| x < y),
                Op::I32GtS { dst, a, b } => compare32!(dst, a, b, |x, y| (x as i32) > (y as i32)),
                Op::I32GtU { dst, a, b } => compare32!(dst, a, b, |x, y| x > y),
                Op::I32LeS { dst, a, b } => compare32!(dst, a, b, |x, y| (x as i32) <= (y as i32)),
                Op::I32LeU { dst, a, b } => compare32!(dst, a, b, |x, y| x <= y),
                Op::I32GeS { dst, a, b } => compare32!(dst, a, b, |x, y| (x as i32) >= (y as i32)),
                Op::I32GeU { dst, a, b } => compare32!(dst, a, b, |x, y| x >= y),
                Op::I32AddImm { dst, a, imm } => {
                    immediate32!(dst, a, imm, |x, y| x.wrapping_add(y))
                }
                Op::I32SubImm { dst, a, imm } => {
                    immediate32!(dst, a, imm, |x, y| x.wrapping_sub(y))
                }
                Op::I32MulImm { dst, a, imm } => {
                    immediate32!(dst, a, imm, |x, y| x.wrapping_mul(y))
                }
                Op::I32AndImm { dst, a, imm } => immediate32!(dst, a, imm, |x, y| x & y),
                Op::I32OrImm { dst, a, imm } => immediate32!(dst, a, imm, |x, y| x | y),
                Op::I32XorImm { dst, a, imm } => immediate32!(dst, a, imm, |x, y| x ^ y),
                Op::I32ShlImm { dst, a, imm } => {
                    immediate32!(dst, a, imm, |x, y| x.wrapping_shl(y))
                }
                Op::I32ShrSImm { dst, a, imm } => {
                    immediate32!(dst, a, imm, |x, y| ((x as i32).wrapping_shr(y)) as u32)
                }
                Op::I32ShrUImm { dst, a, imm } => {
                    immediate32!(dst, a, imm, |x, y| x.wrapping_shr(y))
                }
                Op::I32RotlImm { dst, a, imm } => {
                    immediate32!(dst, a, imm, |x, y| x.rotate_left(y & 31))
                }
                Op::I32RotrImm { dst, a, imm } => {
                    immediate32!(dst, a, imm, |x, y| x.rotate_right(y & 31))
                }
                Op::I32EqImm { dst, a, imm } => compare_immediate32!(dst, a, imm, |x, y| x == y),
                Op::I32NeImm { dst, a, imm } => compare_immediate32!(dst, a, imm, |x, y| x != y),
                Op::I32LtSImm { dst, a, imm } => {
                    compare_immediate32!(dst, a, imm, |x, y| (x as i32) < (y as i32))
                }
                Op::I32LtUImm { dst, a, imm } => compare_immediate32!(dst, a, imm, |x, y| x < y),
                Op::I32GtSImm { dst, a, imm } => {
                    compare_immediate32!(dst, a, imm, |x, y| (x as i32) > (y as i32))
                }
                Op::I32GtUImm { dst, a, imm } => compare_immediate32!(dst, a, imm, |x, y| x > y),
                Op::I32LeSImm { dst, a, imm } => {
                    compare_immediate32!(dst, a, imm, |x, y| (x as i32) <= (y as i32))
                }
                Op::I32LeUImm { dst, a, imm } => compare_immediate32!(dst, a, imm, |x, y| x <= y),
                Op::I32GeSImm { dst, a, imm } => {
                    compare_immediate32!(dst, a, imm, |x, y| (x as i32) >= (y as i32))
                }
                Op::I32GeUImm { dst, a, imm } => compare_immediate32!(dst, a, imm, |x, y| x >= y),
                Op::I64Add { dst, a, b } => binary64!(dst, a, b, |x, y| x.wrapping_add(y)),
                Op::I64Sub { dst, a, b } => binary64!(dst, a, b, |x, y| x.wrapping_sub(y)),
                Op::I64Mul { dst, a, b } => binary64!(dst, a, b, |x, y| x.wrapping_mul(y)),
                Op::I64And { dst, a, b } => binary64!(dst, a, b, |x, y| x & y),
                Op::I64Or { dst, a, b } => binary64!(dst, a, b, |x, y| x | y),
                Op::I64Xor { dst, a, b } => binary64!(dst, a, b, |x, y| x ^ y),
                Op::I64Shl { dst, a, b } => binary64!(dst, a, b, |x, y| x.wrapping_shl(y as u32)),
                Op::I64ShrS { dst, a, b } => {
                    binary64!(dst, a, b, |x, y| ((x as i64).wrapping_shr(y as u32)) as u64)
                }
                Op::I64ShrU { dst, a, b } => binary64!(dst, a, b, |x, y| x.wrapping_shr(y as u32)),
                Op::I64Rotl { dst, a, b } => {
                    binary64!(dst, a, b, |x, y| x.rotate_left(y as u32 & 63))
                }
                Op::I64Rotr { dst, a, b } => {
                    binary64!(dst, a, b, |x, y| x.rotate_right(y as u32 & 63))
                }
                Op::I64DivS { dst, a, b } => divide64!(dst, a, b, int64::div_s),
                Op::I64DivU { dst, a, b } => divide64!(dst, a, b, int64::div_u),
                Op::I64RemS { dst, a, b } => divide64!(dst, a, b, int64::rem_s),
                Op::I64RemU { dst, a, b } => divide64!(dst, a, b, int64::rem_u),
                Op::I64Eq { dst, a, b } => compare64!(dst, a, b, |x, y| x == y),
                Op::I64Ne { dst, a, b } => compare64!(dst, a, b, |x, y| x != y),
                Op::I64LtS { dst, a, b } => compare64!(dst, a, b, |x, y| (x as i64) < (y as i64)),
                Op::I64LtU { dst, a, b } => compare64!(dst, a, b, |x, y| x < y),
                Op::I64GtS { dst, a, b } => compare64!(dst, a, b, |x, y| (x as i64) > (y as i64)),
                Op::I64GtU { dst, a, b } => compare64!(dst, a, b, |x, y| x > y),
                Op::I64LeS { dst, a, b } => compare64!(dst, a, b, |x, y| (x as i64) <= (y as i64)),
                Op::I64LeU { dst, a, b } => compare64!(dst, a, b, |x, y| x <= y),
                Op::I64GeS { dst, a, b } => compare64!(dst, a, b, |x, y| (x as i64) >= (y as i64)),
                Op::I64GeU { dst, a, b } => compare64!(dst, a, b, |x, y| x >= y),
                Op::I64AddImm { dst, a, imm } => {
                    immediate64!(dst, a, imm, |x, y| x.wrapping_add(y))
                }
                Op::I64SubImm { dst, a, imm } => {
                    immediate64!(dst, a, imm, |x, y| x.wrapping_sub(y))
                }
                Op::I64MulImm { dst, a, imm } => {
                    immediate64!(dst, a, imm, |x, y| x.wrapping_mul(y))
                }
                Op::I64AndImm { dst, a, imm } => immediate64!(dst, a, imm, |x, y| x & y),
                Op::I64OrImm { dst, a, imm } => immediate64!(dst, a, imm, |x, y| x | y),
                Op::I64XorImm { dst, a, imm } => immediate64!(dst, a, imm, |x, y| x ^ y),
                Op::I64ShlImm { dst, a, imm } => {
                    immediate64!(dst, a, imm, |x, y| x.wrapping_shl(y as u32))
                }
                Op::I64ShrSImm { dst, a, imm } => immediate64!(dst, a, imm, |x, y| ((x as i64)
                    .wrapping_shr(y as u32))
                    as u64),
                Op::I64ShrUImm { dst, a, imm } => {
                    immediate64!(dst, a, imm, |x, y| x.wrapping_shr(y as u32))
                }
                Op::I64RotlImm { dst, a, imm } => {
                    immediate64!(dst, a, imm, |x, y| x.rotate_left(y as u32 & 63))
                }
                Op::I64RotrImm { dst, a, imm } => {
                    immediate64!(dst, a, imm, |x, y| x.rotate_right(y as u32 & 63))
                }
                Op::I64EqImm { dst, a, imm } => compare_immediate64!(dst, a, imm, |x, y| x == y),
                Op::I64NeImm { dst, a, imm } => compare_immediate64!(dst, a, imm, |x, y| x != y),
                Op::I64LtSImm { dst, a, imm } => {
                    compare_immediate64!(dst, a, imm, |x, y| (x as i64) < (y as i64))
                }
                Op::I64LtUImm { dst, a, imm } => compare_immediate64!(dst, a, imm, |x, y| x < y),
                Op::I64GtSImm { dst, a, imm } => {
                    compare_immediate64!(dst, a, imm, |x, y| (x as i64) > (y as i64))
                }
                Op::I64GtUImm { dst, a, imm } => compare_immediate64!(dst, a, imm, |x, y| x > y),
                Op::I64LeSImm { dst, a, imm } => {
                    compare_immediate64!(dst, a, imm, |x, y| (x as i64) <= (y as i64))
                }
                Op::I64LeUImm { dst, a, imm } => compare_immediate64!(dst, a, imm, |x, y| x <= y),
                Op::I64GeSImm { dst, a, imm } => {
                    compare_immediate64!(dst, a, imm, |x, y| (x as i64) >= (y as i64))
                }
                Op::I64GeUImm { dst, a, imm } => compare_immediate64!(dst, a, imm, |x, y| x >= y),
                Op::JumpEq {
                    a,
                    b,
                    delta,
                    target,
                } => branch!(a, b, delta, target, |x, y| x == y),
                Op::JumpNe {
                    a,
                    b,
                    delta,
                    target,
                } => branch!(a, b, delta, target, |x, y| x != y),
                Op::JumpLtS {
                    a,
                    b,
                    delta,
                    target,
                } => branch!(a, b, delta, target, |x, y| (x as i32) < (y as i32)),
                Op::JumpLtU {
                    a,
                    b,
                    delta,
                    target,
                } => branch!(a, b, delta, target, |x, y| x < y),
                Op::JumpGtS {
                    a,
                    b,
                    delta,
                    target,
                } => branch!(a, b, delta, target, |x, y| (x as i32) > (y as i32)),
                Op::JumpGtU {
                    a,
                    b,
                    delta,
                    target,
                } => branch!(a, b, delta, target, |x, y| x > y),
                Op::JumpLeS {
                    a,
                    b,
                    delta,
                    target,
                } => branch!(a, b, delta, target, |x, y| (x as i32) <= (y as i32)),
                Op::JumpLeU {
                    a,
                    b,
                    delta,
                    target,
                } => branch!(a, b, delta, target, |x, y| x <= y),
                Op::JumpGeS {
                    a,
                    b,
                    delta,
                    target,
                } => branch!(a, b, delta, target, |x, y| (x as i32) >= (y as i32)),
                Op::JumpGeU {
                    a,
                    b,
                    delta,
                    target,
                } => branch!(a, b, delta, target, |x, y| x >= y),
                Op::JumpEqImm {
                    a,
                    imm,
                    delta,
                    target,
                } => branch_immediate!(a, imm, delta, target, |x, y| x == y),
                Op::JumpNeImm {
                    a,
                    imm,
                    delta,
                    target,
                } => branch_immediate!(a, imm, delta, target, |x, y| x != y),
                Op::JumpLtSImm {
                    a,
                    imm,
                    delta,
                    target,
                } => branch_immediate!(a, imm, delta, target, |x, y| (x as i32) < (y as i32)),
                Op::JumpLtUImm {
                    a,
                    imm,
                    delta,
                    target,
                } => branch_immediate!(a, imm, delta, target, |x, y| x < y),
                Op::JumpGtSImm {
                    a,
                    imm,
                    delta,
                    target,
                } => branch_immediate!(a, imm, delta, target, |x, y| (x as i32) > (y as i32)),
                Op::JumpGtUImm {
                    a,
                    imm,
                    delta,
                    target,
                } => branch_immediate!(a, imm, delta, target, |x, y| x > y),
                Op::JumpLeSImm {
                    a,
                    imm,
                    delta,
                    target,
                } => branch_immediate!(a, imm, delta, target, |x, y| (x as i32) <= (y as i32)),
                Op::JumpLeUImm {
                    a,
                    imm,
                    delta,
                    target,
                } => branch_immediate!(a, imm, delta, target, |x, y| x <= y),
                Op::JumpGeSImm {
                    a,
                    imm,
                    delta,
                    target,
                } => branch_immediate!(a, imm, delta, target, |x, y| (x as i32) >= (y as i32)),
                Op::JumpGeUImm {
                    a,
                    imm,
                    delta,
                    target,
                } => branch_immediate!(a, imm, delta, target, |x, y| x >= y),
            }
        }
    }
}
