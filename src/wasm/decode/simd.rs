//! Vector instructions: the float ones are refused, but for those the original lets through.

use super::Stream;
use super::opcode::{float, mem_arg};
use crate::wasm::ast::{
    Extension, Instr, PackShape, PackSize, Shape, V128, VecBinOp, VecBitOp, VecCvtOp, VecExtension,
    VecRelOp, VecShiftOp, VecTestOp, VecUnOp,
};
use crate::wasm::fault::Fault;

use Extension::{Signed, Unsigned};
use PackSize::{Pack8, Pack16, Pack32, Pack64};
use Shape::{I8x16, I16x8, I32x4, I64x2};

pub(super) fn instruction(s: &mut Stream<'_>) -> Result<Instr, Fault> {
    let opcode = s.vu32()?;
    match opcode {
        0x00..=0x0b | 0x54..=0x5d => access(s, opcode),
        0x0c => Ok(Instr::VecConst(V128(sixteen(s)?))),
        0x0d => {
            let lanes = bytes_one_by_one(s)?;
            Ok(Instr::VecBinary(I8x16, VecBinOp::Shuffle(lanes)))
        }
        0x0e => Ok(Instr::VecBinary(I8x16, VecBinOp::Swizzle)),
        0x0f..=0x12 => Ok(Instr::VecSplat(shape(opcode - 0x0f))),
        0x13 | 0x14 => float(),
        0x15..=0x22 => lane(s, opcode),
        0x23..=0x40 | 0xd6..=0xdb => Ok(compare(opcode)),
        0x41..=0x4c => float(),
        0x4d => Ok(Instr::VecUnaryBits),
        0x4e => Ok(Instr::VecBinaryBits(VecBitOp::And)),
        0x4f => Ok(Instr::VecBinaryBits(VecBitOp::AndNot)),
        0x50 => Ok(Instr::VecBinaryBits(VecBitOp::Or)),
        0x51 => Ok(Instr::VecBinaryBits(VecBitOp::Xor)),
        0x52 => Ok(Instr::VecTernaryBits),
        0x53 => Ok(Instr::VecTestBits),
        other => arithmetic(other),
    }
}

fn sixteen(s: &mut Stream<'_>) -> Result<[u8; 16], Fault> {
    let bytes = s.bytes(16)?;
    Ok(bytes.try_into().unwrap_or_default())
}

fn bytes_one_by_one(s: &mut Stream<'_>) -> Result<[u8; 16], Fault> {
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        *byte = s.byte()?;
    }
    Ok(bytes)
}

const fn shape(index: i32) -> Shape {
    match index {
        0 => I8x16,
        1 => I16x8,
        2 => I32x4,
        _ => I64x2,
    }
}

fn access(s: &mut Stream<'_>, opcode: i32) -> Result<Instr, Fault> {
    use PackShape::{Pack8x8, Pack16x4, Pack32x2};
    use VecExtension::{Lane, Splat, Zero};
    let arg = mem_arg(s)?;
    let lane = |s: &mut Stream<'_>| s.byte();
    let pack = match opcode {
        0x00 => None,
        0x01 => Some((Pack64, Lane(Pack8x8, Signed))),
        0x02 => Some((Pack64, Lane(Pack8x8, Unsigned))),
        0x03 => Some((Pack64, Lane(Pack16x4, Signed))),
        0x04 => Some((Pack64, Lane(Pack16x4, Unsigned))),
        0x05 => Some((Pack64, Lane(Pack32x2, Signed))),
        0x06 => Some((Pack64, Lane(Pack32x2, Unsigned))),
        0x07 => Some((Pack8, Splat)),
        0x08 => Some((Pack16, Splat)),
        0x09 => Some((Pack32, Splat)),
        0x0a => Some((Pack64, Splat)),
        0x0b => return Ok(Instr::VecStore(arg)),
        0x54 => return Ok(Instr::VecLoadLane(arg, Pack8, lane(s)?)),
        0x55 => return Ok(Instr::VecLoadLane(arg, Pack16, lane(s)?)),
        0x56 => return Ok(Instr::VecLoadLane(arg, Pack32, lane(s)?)),
        0x57 => return Ok(Instr::VecLoadLane(arg, Pack64, lane(s)?)),
        0x58 => return Ok(Instr::VecStoreLane(arg, Pack8, lane(s)?)),
        0x59 => return Ok(Instr::VecStoreLane(arg, Pack16, lane(s)?)),
        0x5a => return Ok(Instr::VecStoreLane(arg, Pack32, lane(s)?)),
        0x5b => return Ok(Instr::VecStoreLane(arg, Pack64, lane(s)?)),
        0x5c => Some((Pack32, Zero)),
        _ => Some((Pack64, Zero)),
    };
    Ok(Instr::VecLoad(arg, pack))
}

fn lane(s: &mut Stream<'_>, opcode: i32) -> Result<Instr, Fault> {
    if opcode >= 0x1f {
        return float();
    }
    let lane = s.byte()?;
    Ok(match opcode {
        0x15 => Instr::VecExtract(I8x16, lane, Signed),
        0x16 => Instr::VecExtract(I8x16, lane, Unsigned),
        0x17 => Instr::VecReplace(I8x16, lane),
        0x18 => Instr::VecExtract(I16x8, lane, Signed),
        0x19 => Instr::VecExtract(I16x8, lane, Unsigned),
        0x1a => Instr::VecReplace(I16x8, lane),
        0x1b => Instr::VecExtract(I32x4, lane, Signed),
        0x1c => Instr::VecReplace(I32x4, lane),
        0x1d => Instr::VecExtract(I64x2, lane, Signed),
        _ => Instr::VecReplace(I64x2, lane),
    })
}

fn compare(opcode: i32) -> Instr {
    use VecRelOp::{Eq, GeS, GeU, GtS, GtU, LeS, LeU, LtS, LtU, Ne};
    let (shape, index) = match opcode {
        0x23..=0x2c => (I8x16, opcode - 0x23),
        0x2d..=0x36 => (I16x8, opcode - 0x2d),
        0x37..=0x40 => (I32x4, opcode - 0x37),
        // 64-bit lanes have no unsigned comparisons: eq, ne, lt, gt, le, ge.
        _ => {
            let op = match opcode {
                0xd6 => Eq,
                0xd7 => Ne,
                0xd8 => LtS,
                0xd9 => GtS,
                0xda => LeS,
                _ => GeS,
            };
            return Instr::VecCompare(I64x2, op);
        }
    };
    let op = match index {
        0 => Eq,
        1 => Ne,
        2 => LtS,
        3 => LtU,
        4 => GtS,
        5 => GtU,
        6 => LeS,
        7 => LeU,
        8 => GeS,
        _ => GeU,
    };
    Instr::VecCompare(shape, op)
}

fn arithmetic(opcode: i32) -> Result<Instr, Fault> {
    use VecBinOp::{
        Add, AddSatS, AddSatU, AvgrU, DotS, ExtMulHighS, ExtMulHighU, ExtMulLowS, ExtMulLowU, MaxS,
        MaxU, MinS, MinU, Mul, NarrowS, NarrowU, Q15MulRSatS, Sub, SubSatS, SubSatU,
    };
    use VecCvtOp::{
        ExtAddPairwiseS, ExtAddPairwiseU, ExtendHighS, ExtendHighU, ExtendLowS, ExtendLowU,
        TruncSatSF32x4, TruncSatSZeroF64x2, TruncSatUF32x4, TruncSatUZeroF64x2,
    };
    use VecShiftOp::{Shl, ShrS, ShrU};
    use VecUnOp::{Abs, Neg, Popcnt};
    let binary = |shape, op| Ok(Instr::VecBinary(shape, op));
    let unary = |shape, op| Ok(Instr::VecUnary(shape, op));
    let convert = |shape, op| Ok(Instr::VecConvert(shape, op));
    let shift = |shape, op| Ok(Instr::VecShift(shape, op));
    match opcode {
        0x60 => unary(I8x16, Abs),
        0x61 => unary(I8x16, Neg),
        0x62 => unary(I8x16, Popcnt),
        0x63 => Ok(Instr::VecTest(I8x16, VecTestOp::AllTrue)),
        0x64 => Ok(Instr::VecBitmask(I8x16)),
        0x65 => binary(I8x16, NarrowS),
        0x66 => binary(I8x16, NarrowU),
        0x6b => shift(I8x16, Shl),
        0x6c => shift(I8x16, ShrS),
        0x6d => shift(I8x16, ShrU),
        0x6e => binary(I8x16, Add),
        0x6f => binary(I8x16, AddSatS),
        0x70 => binary(I8x16, AddSatU),
        0x71 => binary(I8x16, Sub),
        0x72 => binary(I8x16, SubSatS),
        0x73 => binary(I8x16, SubSatU),
        0x74 => Ok(Instr::Unencodable("f64x2.ceil")),
        0x75 => Ok(Instr::Unencodable("f64x2.floor")),
        0x76 => binary(I8x16, MinS),
        0x77 => binary(I8x16, MinU),
        0x78 => binary(I8x16, MaxS),
        0x79 => binary(I8x16, MaxU),
        0x7a => Ok(Instr::Unencodable("f64x2.trunc")),
        0x7b => binary(I8x16, AvgrU),
        0x7c => convert(I16x8, ExtAddPairwiseS),
        0x7d => convert(I16x8, ExtAddPairwiseU),
        0x7e => convert(I32x4, ExtAddPairwiseS),
        0x7f => convert(I32x4, ExtAddPairwiseU),
        0x80 => unary(I16x8, Abs),
        0x81 => unary(I16x8, Neg),
        0x82 => binary(I16x8, Q15MulRSatS),
        0x83 => Ok(Instr::VecTest(I16x8, VecTestOp::AllTrue)),
        0x84 => Ok(Instr::VecBitmask(I16x8)),
        0x85 => binary(I16x8, NarrowS),
        0x86 => binary(I16x8, NarrowU),
        0x87 => convert(I16x8, ExtendLowS),
        0x88 => convert(I16x8, ExtendHighS),
        0x89 => convert(I16x8, ExtendLowU),
        0x8a => convert(I16x8, ExtendHighU),
        0x8b => shift(I16x8, Shl),
        0x8c => shift(I16x8, ShrS),
        0x8d => shift(I16x8, ShrU),
        0x8e => binary(I16x8, Add),
        0x8f => binary(I16x8, AddSatS),
        0x90 => binary(I16x8, AddSatU),
        0x91 => binary(I16x8, Sub),
        0x92 => binary(I16x8, SubSatS),
        0x93 => binary(I16x8, SubSatU),
        0x94 => Ok(Instr::Unencodable("f64x2.nearest")),
        0x95 => binary(I16x8, Mul),
        0x96 => binary(I16x8, MinS),
        0x97 => binary(I16x8, MinU),
        0x98 => binary(I16x8, MaxS),
        0x99 => binary(I16x8, MaxU),
        0x9b => binary(I16x8, AvgrU),
        0x9c => binary(I16x8, ExtMulLowS),
        0x9d => binary(I16x8, ExtMulHighS),
        0x9e => binary(I16x8, ExtMulLowU),
        0x9f => binary(I16x8, ExtMulHighU),
        0xa0 => unary(I32x4, Abs),
        0xa1 => unary(I32x4, Neg),
        0xa3 => Ok(Instr::VecTest(I32x4, VecTestOp::AllTrue)),
        0xa4 => Ok(Instr::VecBitmask(I32x4)),
        0xa7 => convert(I32x4, ExtendLowS),
        0xa8 => convert(I32x4, ExtendHighS),
        0xa9 => convert(I32x4, ExtendLowU),
        0xaa => convert(I32x4, ExtendHighU),
        0xab => shift(I32x4, Shl),
        0xac => shift(I32x4, ShrS),
        0xad => shift(I32x4, ShrU),
        0xae => binary(I32x4, Add),
        0xb1 => binary(I32x4, Sub),
        0xb5 => binary(I32x4, Mul),
        0xb6 => binary(I32x4, MinS),
        0xb7 => binary(I32x4, MinU),
        0xb8 => binary(I32x4, MaxS),
        0xb9 => binary(I32x4, MaxU),
        0xba => binary(I32x4, DotS),
        0xbc => binary(I32x4, ExtMulLowS),
        0xbd => binary(I32x4, ExtMulHighS),
        0xbe => binary(I32x4, ExtMulLowU),
        0xbf => binary(I32x4, ExtMulHighU),
        0xc0 => unary(I64x2, Abs),
        0xc1 => unary(I64x2, Neg),
        0xc3 => Ok(Instr::VecTest(I64x2, VecTestOp::AllTrue)),
        0xc4 => Ok(Instr::VecBitmask(I64x2)),
        0xc7 => convert(I64x2, ExtendLowS),
        0xc8 => convert(I64x2, ExtendHighS),
        0xc9 => convert(I64x2, ExtendLowU),
        0xca => convert(I64x2, ExtendHighU),
        0xcb => shift(I64x2, Shl),
        0xcc => shift(I64x2, ShrS),
        0xcd => shift(I64x2, ShrU),
        0xce => binary(I64x2, Add),
        0xd1 => binary(I64x2, Sub),
        0xd5 => binary(I64x2, Mul),
        0xdc => binary(I64x2, ExtMulLowS),
        0xdd => binary(I64x2, ExtMulHighS),
        0xde => binary(I64x2, ExtMulLowU),
        0xdf => binary(I64x2, ExtMulHighU),
        0xf8 => convert(I32x4, TruncSatSF32x4),
        0xf9 => convert(I32x4, TruncSatUF32x4),
        0xfa => Ok(Instr::Unencodable("f32x4.convert_i32x4_s")),
        0xfb => Ok(Instr::Unencodable("f32x4.convert_i32x4_u")),
        0xfc => convert(I32x4, TruncSatSZeroF64x2),
        0xfd => convert(I32x4, TruncSatUZeroF64x2),
        0x5e | 0x5f | 0x67..=0x6a | 0xe0 | 0xe1 | 0xe3..=0xed | 0xef..=0xf7 | 0xfe | 0xff => {
            float()
        }
        other => Err(Fault::located(format!("illegal opcode {other:02x}"))),
    }
}
