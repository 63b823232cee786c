//! The loop that executes operations.
//!
//! Promises: the ticks of a straight run are paid before it; what the run did not get to is given
//! back. The arms of the numeric operations are in `arms`.

use super::super::code::Op;
use super::super::program::{Kind, Program};
use super::{Exit, Host, Machine, Suspended, raw_of, window};
use crate::wasm::eval::{HostFunctions, HostOutcome};
use crate::wasm::fault::{Exception, Fault};
use crate::wasm::numeric::scalar::{int32, int64};

const MEMORY: &str = "out of bounds memory access";

impl Machine {
    pub(super) fn run(
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
        macro_rules! jump {
            ($taken:expr, $delta:expr, $target:expr) => {
                if $taken {
                    remaining -= i64::from($delta);
                    pc = $target as usize;
                }
            };
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
            with_numeric_arms! {
                op, frame;
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
            }
        }
    }
}
