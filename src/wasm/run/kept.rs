//! A compiled module and the native state that its runs begin with, as bytes for the next process.
//!
//! Promises: what is read back is what was written; bytes that are damaged, or that no compilation
//! leaves, are refused: none of them makes a run read outside its code, and nothing is allocated
//! beyond what the bytes can fill, the memory that a kernel asks for excepted, which is bounded.
//! Refuses to know: files. [`FORMAT`] names all that the bytes depend on besides the kernel.

use std::sync::Arc;

use super::code::Op;
use super::compile::View;
use super::memory::FlatMemory;
use super::program::{Function, Kind, Place, Program, Scope, Site};
use super::{Beginning, Compiled};
use crate::codec::{DecodeError, Reader, Writer};
use crate::wasm::ast::{BlockLabel, NumType};
use crate::wasm::instance::ModuleKey;

/// Version of the bytes and of the compilation: a test says when it must change.
pub const FORMAT: &str = "watchtower compiled run mode 2";

/// Pages of memory up to which a first state is worth keeping.
const PAGES: u32 = 1024;
/// Bytes of memory that are kept or left out together.
const PIECE: usize = 512;
/// Elements made room for before they are read.
const AHEAD: usize = 1 << 16;

/// Something that is kept.
pub(super) trait Kept: Sized {
    fn put(&self, out: &mut Writer);
    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

impl Kept for usize {
    fn put(&self, out: &mut Writer) {
        (*self as u64).put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        u64::take(from).map(|value| Self::try_from(value).unwrap_or(Self::MAX))
    }
}

macro_rules! numbers {
    ($($int:ty)*) => {
        $(impl Kept for $int {
            fn put(&self, out: &mut Writer) {
                out.raw(&self.to_le_bytes());
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                from.array("number").map(Self::from_le_bytes)
            }
        })*
    };
}

numbers! { u8 u16 i16 u32 i32 u64 i64 }

/// Structures, field after field.
macro_rules! structures {
    ($($name:ident { $($field:ident)* })*) => {
        $(impl Kept for $name {
            fn put(&self, out: &mut Writer) {
                $(self.$field.put(out);)*
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self { $($field: Kept::take(from)?),* })
            }
        })*
    };
}

structures! {
    Function { kind entry params results types locals signature ticks body }
    Site { table signature index frame }
    Scope { parent body again saved function }
    Place { pc scope index }
    Program {
        code pool jumps functions sites scopes places refunds reserve tables segments
    }
    View { types signatures mutable global_types has_memory table_count segments }
}

impl Kept for bool {
    fn put(&self, out: &mut Writer) {
        out.u8(u8::from(*self));
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = from.clone();
        match from.u8("flag")? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(at.invalid("flag", format!("{other} is neither 0 nor 1"))),
        }
    }
}

impl Kept for NumType {
    fn put(&self, out: &mut Writer) {
        (*self == Self::I64).put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let wide = bool::take(from)?;
        Ok(if wide { Self::I64 } else { Self::I32 })
    }
}

impl Kept for BlockLabel {
    fn put(&self, out: &mut Writer) {
        self.0.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        i32::take(from).map(Self)
    }
}

impl<T: Kept> Kept for Option<T> {
    fn put(&self, out: &mut Writer) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        bool::take(from)?.then(|| T::take(from)).transpose()
    }
}

impl<A: Kept, B: Kept> Kept for (A, B) {
    fn put(&self, out: &mut Writer) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok((A::take(from)?, B::take(from)?))
    }
}

impl<T: Kept> Kept for Vec<T> {
    fn put(&self, out: &mut Writer) {
        (self.len() as u64).put(out);
        for item in self {
            item.put(out);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = u64::take(from)?;
        let mut items = Self::with_capacity(AHEAD.min(from.left()).min(count as usize));
        for _ in 0..count {
            items.push(T::take(from)?);
        }
        Ok(items)
    }
}

impl Kept for Kind {
    fn put(&self, out: &mut Writer) {
        match self {
            Self::Native => 0_u8.put(out),
            Self::Host(name) => {
                1_u8.put(out);
                name.as_bytes().to_vec().put(out);
            }
            Self::Declined => 2_u8.put(out),
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = from.clone();
        let bad = |problem: String| at.invalid("function", problem);
        Ok(match from.u8("function")? {
            0 => Self::Native,
            1 => {
                let name = String::from_utf8(Vec::take(from)?);
                Self::Host(name.map_err(|error| bad(error.to_string()))?)
            }
            2 => Self::Declined,
            other => return Err(bad(format!("no kind has number {other}"))),
        })
    }
}

/// The bytes that are not zero, in pieces, each with its place.
impl Kept for FlatMemory {
    fn put(&self, out: &mut Writer) {
        self.pages().put(out);
        self.max.put(out);
        let pieces = (0_u32..).zip(self.bytes.chunks(PIECE));
        let written = pieces.filter(|(_, piece)| piece.iter().any(|byte| *byte != 0));
        let written: Vec<_> = written.map(|(at, piece)| (at, piece.to_vec())).collect();
        written.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = from.clone();
        let (pages, max) = (u32::take(from)?, Kept::take(from)?);
        if pages > PAGES {
            return Err(at.invalid("memory", format!("{pages} pages are too many")));
        }
        let mut memory = Self::zeroed(pages, max);
        for (place, piece) in <Vec<(u32, Vec<u8>)>>::take(from)? {
            let start = (place as usize).saturating_mul(PIECE);
            let end = start.saturating_add(piece.len());
            let Some(target) = memory.bytes.get_mut(start..end) else {
                return Err(at.invalid("memory", "a piece is outside"));
            };
            target.copy_from_slice(&piece);
        }
        Ok(memory)
    }
}

impl Kept for Beginning {
    fn put(&self, out: &mut Writer) {
        self.module.0.as_bytes().to_vec().put(out);
        self.entry.put(out);
        self.arguments.put(out);
        self.limit.put(out);
        self.globals.put(out);
        self.dropped.put(out);
        self.memory.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = from.clone();
        let module = String::from_utf8(Vec::take(from)?);
        let module = module.map_err(|error| at.invalid("module name", error.to_string()))?;
        Ok(Self {
            module: ModuleKey(module.into()),
            entry: Kept::take(from)?,
            arguments: Kept::take(from)?,
            limit: Kept::take(from)?,
            globals: Kept::take(from)?,
            dropped: Kept::take(from)?,
            memory: Kept::take(from)?,
        })
    }
}

impl Compiled {
    /// The module and how its runs begin, as bytes; none when that is not worth keeping.
    #[must_use]
    pub fn to_bytes(&self, beginning: &Beginning) -> Option<Vec<u8>> {
        if beginning.memory.pages() > PAGES {
            return None;
        }
        let mut out = Writer::new();
        self.program.put(&mut out);
        self.view.put(&mut out);
        beginning.put(&mut out);
        Some(out.into_bytes())
    }

    /// Reads what [`Self::to_bytes`] has written.
    ///
    /// # Errors
    /// [`DecodeError`] when it has not written these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<(Self, Beginning), DecodeError> {
        let mut from = Reader::new(bytes);
        let at = from.clone();
        let program = Program::take(&mut from)?;
        let view = View::take(&mut from)?;
        let beginning = Beginning::take(&mut from)?;
        from.finish()?;
        if !is_sound(&program, &view, &beginning) {
            return Err(at.invalid("compiled module", "it names what it does not have"));
        }
        let compiled = Self {
            program: Arc::new(program),
            view: Arc::new(view),
        };
        Ok((compiled, beginning))
    }
}

/// Whether everything that is named is there, so that a run never looks outside.
fn is_sound(program: &Program, view: &View, beginning: &Beginning) -> bool {
    let length = program.code.len();
    let in_code = |pc: u32| (pc as usize) < length;
    let ends = matches!(
        program.code.last(),
        Some(Op::Return { .. } | Op::Jump { .. } | Op::JumpTable { .. } | Op::Decline)
            | Some(Op::Unreachable)
    );
    let entry = program.functions.get(beginning.entry as usize);
    let fits = entry.is_some_and(|function| function.params.len() == beginning.arguments.len());
    ends && fits
        && view.global_types.len() == beginning.globals.len()
        && view.mutable.len() == beginning.globals.len()
        && program.segments.len() == beginning.dropped.len()
        && program.functions.iter().all(|function| {
            in_code(function.entry)
                && function.params.len() <= usize::from(function.locals)
                && function.types.len() == usize::from(function.locals)
        })
        && (0..).zip(&program.scopes).all(|(own, scope)| {
            scope.parent.is_none_or(|(parent, _)| parent < own)
                && (scope.function as usize) < program.functions.len()
        })
        && program
            .jumps
            .iter()
            .all(|targets| !targets.is_empty() && targets.iter().all(|target| in_code(*target)))
        && program
            .code
            .iter()
            .all(|op| has_all(program, beginning, *op))
}

fn has_all(program: &Program, beginning: &Beginning, mut op: Op) -> bool {
    const fn within(index: u32, count: usize) -> bool {
        (index as usize) < count
    }
    if let Some(target) = op.target_mut() {
        return within(*target, program.code.len());
    }
    match op {
        Op::ConstPool { index, .. } => within(index, program.pool.len()),
        Op::GlobalGet { index, .. } | Op::GlobalSet { index, .. } => {
            within(index, beginning.globals.len())
        }
        Op::JumpTable { table, .. } => within(table, program.jumps.len()),
        Op::Call { func, .. } => within(func, program.functions.len()),
        Op::HostCall { func, base } => {
            let callee = program.functions.get(func as usize);
            let results = callee.map(|callee| callee.results.len().max(callee.params.len()));
            results.is_some_and(|count| usize::from(base) + count <= usize::from(u16::MAX))
        }
        Op::CallIndirect { site, .. } => {
            let site = program.sites.get(site as usize);
            site.is_some_and(|site| within(site.table, program.tables.len()))
        }
        Op::MemoryInit { base, segment } => {
            base < u16::MAX - 2 && within(segment, program.segments.len())
        }
        Op::MemoryFill { base } | Op::MemoryCopy { base } => base < u16::MAX - 2,
        Op::DataDrop { segment } => within(segment, program.segments.len()),
        Op::Return { src, count } => u32::from(src) + u32::from(count) <= u32::from(u16::MAX),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm::testing::{Random, binary, evaluation};

    /// Environment variable with a number of damaged modules for a long run.
    const CAMPAIGN: &str = "WATCHTOWER_DAMAGED_MODULES";

    const TEXT: &str = r#"(module
        (import "host" "ask" (func $ask (param i32 i32) (result i32)))
        (memory (export "memory") 2 5)
        (data (i32.const 70000) "kept with its place") (data $passive "passive")
        (global $g (mut i64) (i64.const -5))
        (table 3 funcref) (elem (i32.const 0) $two $two)
        (type $t (func (param i32) (result i32)))
        (func $two (param i32) (result i32)
            (if (result i32) (local.get 0)
                (then (i32.const 3) (br 0))
                (else (i32.add (local.get 0) (i32.const 70000)))))
        (func (export "kernel_run") (local i32 i64)
            (block (loop (br_table 1 0 1 (i32.const 1))))
            (local.set 1 (i64.const 0x123456789abcdef))
            (memory.init $passive (i32.const 0) (i32.const 0) (i32.const 7))
            (data.drop $passive)
            (drop (call $ask (i32.const 1) (i32.const 2)))
            (global.set $g (i64.load (i32.const 8)))
            (drop (call_indirect (type $t) (i32.const 1) (i32.const 1)))
            (drop (call $two (i32.const 0)))))"#;

    fn sample() -> (Compiled, Beginning) {
        let mut first = evaluation(&binary(TEXT)).unwrap();
        let compiled = Compiled::new(&mut first).unwrap();
        let beginning = Beginning::of(&compiled, &mut first).unwrap();
        (compiled, beginning)
    }

    #[test]
    fn what_was_written_is_read() {
        let (compiled, beginning) = sample();
        let bytes = compiled.to_bytes(&beginning).unwrap();
        let (again, begins) = Compiled::from_bytes(&bytes).unwrap();
        assert_eq!(again.program, compiled.program);
        assert_eq!(again.view, compiled.view);
        assert_eq!(begins, beginning);
        assert_eq!(begins.memory.bytes[70_000..70_004], *b"kept");
    }

    #[test]
    fn damaged_bytes_are_read_or_refused() {
        let (compiled, beginning) = sample();
        let bytes = compiled.to_bytes(&beginning).unwrap();
        for length in (0..bytes.len()).step_by(7) {
            assert!(Compiled::from_bytes(&bytes[..length]).is_err(), "{length}");
        }
        for at in (0..bytes.len()).step_by(3) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            let _ = Compiled::from_bytes(&damaged);
        }
    }

    /// One to four changes: of a bit, a byte, a number; a piece twice, taken out, or cut off.
    fn damaged(whole: &[u8], random: &mut Random) -> Vec<u8> {
        let mut bytes = whole.to_vec();
        for _ in 0..1 + random.next() % 4 {
            if bytes.is_empty() {
                break;
            }
            let length = bytes.len() as u64;
            let at = (random.next() % length) as usize;
            let end = bytes.len().min(at + 1 + (random.next() % 12) as usize);
            match random.next() % 8 {
                0..=2 => bytes[at] ^= 1 << (random.next() % 8),
                3 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][(random.next() % 5) as usize],
                4 => bytes[at..end].fill([0, 0xff][(random.next() % 2) as usize]),
                5 => bytes.extend_from_within(at..end),
                6 => drop(bytes.drain(at..end)),
                _ if random.one_in(8) => bytes.truncate(at + 1),
                _ => {
                    let piece = bytes[at..end].to_vec();
                    drop(bytes.splice(at..at, piece));
                }
            }
        }
        bytes
    }

    #[test]
    fn random_damage_is_refused_or_read_to_something_sound() {
        let (compiled, beginning) = sample();
        let whole = compiled.to_bytes(&beginning).unwrap();
        let rounds = std::env::var(CAMPAIGN).ok();
        let rounds = rounds.and_then(|rounds| rounds.parse().ok());
        let mut read = 0_u64;
        for seed in 0..rounds.unwrap_or(2_000) {
            let bytes = damaged(&whole, &mut Random(seed));
            let Ok((compiled, beginning)) = Compiled::from_bytes(&bytes) else {
                continue;
            };
            read += 1;
            let again = compiled.to_bytes(&beginning).unwrap();
            let (same, begins) = Compiled::from_bytes(&again).unwrap();
            assert_eq!(same.program, compiled.program, "seed {seed}");
            assert_eq!(begins, beginning, "seed {seed}");
        }
        eprintln!("{read} read");
    }

    #[test]
    fn what_is_named_must_be_there() {
        let (compiled, beginning) = sample();
        let sound = |change: fn(&mut Program)| {
            let bytes = compiled.to_bytes(&beginning).unwrap();
            let mut program = Program::take(&mut Reader::new(&bytes)).unwrap();
            change(&mut program);
            is_sound(&program, &compiled.view, &beginning)
        };
        assert!(sound(|_| {}));
        assert!(!sound(|program| program.pool.clear()));
        assert!(!sound(|program| program.jumps.clear()));
        assert!(!sound(|program| program.sites.clear()));
        assert!(!sound(|program| program.tables.clear()));
        assert!(!sound(|program| program.segments.clear()));
        assert!(!sound(|program| program.functions.truncate(1)));
        assert!(!sound(|program| program.code.truncate(3)));
        assert!(!sound(|program| program.code.clear()));
        assert!(!sound(|program| program.scopes[0].parent = Some((0, 0))));
    }
}
