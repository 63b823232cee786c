//! Opcodes to instructions, each read whole in one tick.
//!
//! Blocks, loops and conditionals are not here: the parser opens and closes them itself.

use super::Stream;
use super::types::{ref_type, value_type};
use crate::wasm::ast::{
    BinOp, CvtOp, Extension, Instr, MemArg, Num, NumType, PackSize, RelOp, TestOp, UnOp,
};
use crate::wasm::fault::Fault;

use Extension::{Signed, Unsigned};
use NumType::{I32, I64};
use PackSize::{Pack8, Pack16, Pack32};

pub(super) fn float<T>() -> Result<T, Fault> {
    Err(Fault::located("float instructions are forbidden"))
}

fn illegal<T>(byte: u32) -> Result<T, Fault> {
    Err(Fault::located(format!("illegal opcode {byte:02x}")))
}

fn zero(s: &mut Stream<'_>) -> Result<(), Fault> {
    s.expect(0, "zero byte expected")
}

pub(super) fn mem_arg(s: &mut Stream<'_>) -> Result<MemArg, Fault> {
    let align = s.vu32()? as u32;
    if align > 32 {
        return Err(Fault::located("malformed memop flags"));
    }
    Ok(MemArg {
        align: align as u8,
        offset: s.vu32()?,
    })
}

fn indices(s: &mut Stream<'_>) -> Result<Vec<i32>, Fault> {
    let count = s.length()?;
    (0..count).map(|_| s.vu32()).collect()
}

/// The instruction that begins with `opcode`, which was just read.
pub(super) fn instruction(s: &mut Stream<'_>, opcode: u8) -> Result<Instr, Fault> {
    Ok(match opcode {
        0x00 => Instr::Unreachable,
        0x01 => Instr::Nop,
        0x05 => return Err(Fault::located("misplaced ELSE opcode")),
        0x0b => return Err(Fault::located("misplaced END opcode")),
        0x0c => Instr::Br(s.vu32()?),
        0x0d => Instr::BrIf(s.vu32()?),
        0x0e => {
            let labels = indices(s)?;
            Instr::BrTable(labels.into(), s.vu32()?)
        }
        0x0f => Instr::Return,
        0x10 => Instr::Call(s.vu32()?),
        0x11 => {
            let type_index = s.vu32()?;
            let table = s.vu32()?;
            Instr::CallIndirect { table, type_index }
        }
        0x1a => Instr::Drop,
        0x1b => Instr::Select(None),
        0x1c => {
            let count = s.length()?;
            let types: Result<Vec<_>, _> = (0..count).map(|_| value_type(s)).collect();
            Instr::Select(Some(types?.into()))
        }
        0x20 => Instr::LocalGet(s.vu32()?),
        0x21 => Instr::LocalSet(s.vu32()?),
        0x22 => Instr::LocalTee(s.vu32()?),
        0x23 => Instr::GlobalGet(s.vu32()?),
        0x24 => Instr::GlobalSet(s.vu32()?),
        0x25 => Instr::TableGet(s.vu32()?),
        0x26 => Instr::TableSet(s.vu32()?),
        0x28..=0x3e => return access(s, opcode),
        0x3f => {
            zero(s)?;
            Instr::MemorySize
        }
        0x40 => {
            zero(s)?;
            Instr::MemoryGrow
        }
        0x41 => Instr::Const(Num::I32(s.vs32()?)),
        0x42 => Instr::Const(Num::I64(s.vs64()?)),
        0x43 | 0x44 => return float(),
        0x45..=0xc4 => return numeric(opcode),
        0xd0 => Instr::RefNull(ref_type(s)?),
        0xd1 => Instr::RefIsNull,
        0xd2 => Instr::RefFunc(s.vu32()?),
        0xfc => return prefixed(s),
        0xfd => return super::simd::instruction(s),
        other => return illegal(u32::from(other)),
    })
}

/// Loads and stores.
fn access(s: &mut Stream<'_>, opcode: u8) -> Result<Instr, Fault> {
    let load = |s: &mut Stream<'_>, ty, pack| Ok(Instr::Load(ty, mem_arg(s)?, pack));
    let store = |s: &mut Stream<'_>, ty, pack| Ok(Instr::Store(ty, mem_arg(s)?, pack));
    match opcode {
        0x28 => load(s, I32, None),
        0x29 => load(s, I64, None),
        0x2c => load(s, I32, Some((Pack8, Signed))),
        0x2d => load(s, I32, Some((Pack8, Unsigned))),
        0x2e => load(s, I32, Some((Pack16, Signed))),
        0x2f => load(s, I32, Some((Pack16, Unsigned))),
        0x30 => load(s, I64, Some((Pack8, Signed))),
        0x31 => load(s, I64, Some((Pack8, Unsigned))),
        0x32 => load(s, I64, Some((Pack16, Signed))),
        0x33 => load(s, I64, Some((Pack16, Unsigned))),
        0x34 => load(s, I64, Some((Pack32, Signed))),
        0x35 => load(s, I64, Some((Pack32, Unsigned))),
        0x36 => store(s, I32, None),
        0x37 => store(s, I64, None),
        0x3a => store(s, I32, Some(Pack8)),
        0x3b => store(s, I32, Some(Pack16)),
        0x3c => store(s, I64, Some(Pack8)),
        0x3d => store(s, I64, Some(Pack16)),
        0x3e => store(s, I64, Some(Pack32)),
        _ => float(),
    }
}

const REL_OPS: [RelOp; 10] = [
    RelOp::Eq,
    RelOp::Ne,
    RelOp::LtS,
    RelOp::LtU,
    RelOp::GtS,
    RelOp::GtU,
    RelOp::LeS,
    RelOp::LeU,
    RelOp::GeS,
    RelOp::GeU,
];

const BIN_OPS: [BinOp; 15] = [
    BinOp::Add,
    BinOp::Sub,
    BinOp::Mul,
    BinOp::DivS,
    BinOp::DivU,
    BinOp::RemS,
    BinOp::RemU,
    BinOp::And,
    BinOp::Or,
    BinOp::Xor,
    BinOp::Shl,
    BinOp::ShrS,
    BinOp::ShrU,
    BinOp::Rotl,
    BinOp::Rotr,
];

const UN_OPS: [UnOp; 3] = [UnOp::Clz, UnOp::Ctz, UnOp::Popcnt];

/// The entry of a table whose first opcode is `from`.
fn nth<T: Copy>(table: &[T], opcode: u8, from: u8) -> Result<T, Fault> {
    match table.get(usize::from(opcode.wrapping_sub(from))) {
        Some(entry) => Ok(*entry),
        None => illegal(u32::from(opcode)),
    }
}

fn numeric(opcode: u8) -> Result<Instr, Fault> {
    Ok(match opcode {
        0x45 => Instr::Test(I32, TestOp::Eqz),
        0x46..=0x4f => Instr::Compare(I32, nth(&REL_OPS, opcode, 0x46)?),
        0x50 => Instr::Test(I64, TestOp::Eqz),
        0x51..=0x5a => Instr::Compare(I64, nth(&REL_OPS, opcode, 0x51)?),
        0x67..=0x69 => Instr::Unary(I32, nth(&UN_OPS, opcode, 0x67)?),
        0x6a..=0x78 => Instr::Binary(I32, nth(&BIN_OPS, opcode, 0x6a)?),
        0x79..=0x7b => Instr::Unary(I64, nth(&UN_OPS, opcode, 0x79)?),
        0x7c..=0x8a => Instr::Binary(I64, nth(&BIN_OPS, opcode, 0x7c)?),
        0xa7 => Instr::Convert(I32, CvtOp::WrapI64),
        0xa8 => Instr::Convert(I32, CvtOp::TruncSF32),
        0xa9 => Instr::Convert(I32, CvtOp::TruncUF32),
        0xaa => Instr::Convert(I32, CvtOp::TruncSF64),
        0xab => Instr::Convert(I32, CvtOp::TruncUF64),
        0xac => Instr::Convert(I64, CvtOp::ExtendSI32),
        0xad => Instr::Convert(I64, CvtOp::ExtendUI32),
        0xae => Instr::Convert(I64, CvtOp::TruncSF32),
        0xaf => Instr::Convert(I64, CvtOp::TruncUF32),
        0xb0 => Instr::Convert(I64, CvtOp::TruncSF64),
        0xb1 => Instr::Convert(I64, CvtOp::TruncUF64),
        0xbc => Instr::Convert(I32, CvtOp::ReinterpretFloat),
        0xbd => Instr::Convert(I64, CvtOp::ReinterpretFloat),
        0xc0 => Instr::Unary(I32, UnOp::ExtendS(Pack8)),
        0xc1 => Instr::Unary(I32, UnOp::ExtendS(Pack16)),
        0xc2 => Instr::Unary(I64, UnOp::ExtendS(Pack8)),
        0xc3 => Instr::Unary(I64, UnOp::ExtendS(Pack16)),
        0xc4 => Instr::Unary(I64, UnOp::ExtendS(Pack32)),
        _ => return float(),
    })
}

/// Saturating conversions and bulk operations.
fn prefixed(s: &mut Stream<'_>) -> Result<Instr, Fault> {
    Ok(match s.vu32()? {
        0x00 => Instr::Convert(I32, CvtOp::TruncSatSF32),
        0x01 => Instr::Convert(I32, CvtOp::TruncSatUF32),
        0x02 => Instr::Convert(I32, CvtOp::TruncSatSF64),
        0x03 => Instr::Convert(I32, CvtOp::TruncSatUF64),
        0x04 => Instr::Convert(I64, CvtOp::TruncSatSF32),
        0x05 => Instr::Convert(I64, CvtOp::TruncSatUF32),
        0x06 => Instr::Convert(I64, CvtOp::TruncSatSF64),
        0x07 => Instr::Convert(I64, CvtOp::TruncSatUF64),
        0x08 => {
            let segment = s.vu32()?;
            zero(s)?;
            Instr::MemoryInit(segment)
        }
        0x09 => Instr::DataDrop(s.vu32()?),
        0x0a => {
            zero(s)?;
            zero(s)?;
            Instr::MemoryCopy
        }
        0x0b => {
            zero(s)?;
            Instr::MemoryFill
        }
        0x0c => {
            let segment = s.vu32()?;
            let table = s.vu32()?;
            Instr::TableInit { table, segment }
        }
        0x0d => Instr::ElemDrop(s.vu32()?),
        0x0e => {
            let to = s.vu32()?;
            let from = s.vu32()?;
            Instr::TableCopy { to, from }
        }
        0x0f => Instr::TableGrow(s.vu32()?),
        0x10 => Instr::TableSize(s.vu32()?),
        0x11 => Instr::TableFill(s.vu32()?),
        other => {
            return Err(Fault::located(format!("illegal opcode fc {other:02x}")));
        }
    })
}
