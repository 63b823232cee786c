//! What each numeric and vector operator computes.
//!
//! Promises: the reference's results, traps and texts (`exec/{eval_num,eval_vec}.ml`), ill-typed
//! operands included, since nothing validates a kernel. Refuses to know stacks and ticks.

pub(crate) mod lanes;
pub(crate) mod scalar;
mod vector;

use crate::wasm::ast::{BinOp, CvtOp, Num, NumType, PackSize, RelOp, UnOp};
use crate::wasm::fault::{Exception, Fault};
pub(crate) use scalar::NumericTrap;
use scalar::{int32, int64};
pub(crate) use vector::{
    binary as vec_binary, bitmask as vec_bitmask, bits as vec_bits, bitselect as vec_bitselect,
    compare as vec_compare, convert as vec_convert, extract as vec_extract, load_extended,
    replace as vec_replace, shift as vec_shift, splat as vec_splat, test as vec_test,
    unary as vec_unary,
};

/// Why an operator has no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The guest traps.
    Trap(NumericTrap),
    /// The machine is stuck.
    Fault(Fault),
}

impl From<NumericTrap> for Failure {
    fn from(trap: NumericTrap) -> Self {
        Self::Trap(trap)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The name of a type as the texts print it.
pub(crate) const fn type_name(ty: NumType) -> &'static str {
    match ty {
        NumType::I32 => "i32",
        NumType::I64 => "i64",
    }
}

/// The operand is not of the type the operator wants.
pub(crate) fn type_error(operand: u8, wanted: &str, found: Num) -> Fault {
    Fault::located(format!(
        "type error, expected {wanted} as operand {operand}, got {}",
        type_name(found.ty())
    ))
}

/// A lane index that no check refused when the kernel was parsed.
pub(crate) fn no_such_lane() -> Fault {
    Fault::Raised(Exception::Other {
        raw: "Failure(\"nth\")".into(),
        explanation: None,
        interpreter: false,
    })
}

pub(crate) fn as_i32(operand: u8, num: Num) -> Result<i32, Fault> {
    match num {
        Num::I32(value) => Ok(value),
        Num::I64(_) => Err(type_error(operand, "i32", num)),
    }
}

pub(crate) fn as_i64(operand: u8, num: Num) -> Result<i64, Fault> {
    match num {
        Num::I64(value) => Ok(value),
        Num::I32(_) => Err(type_error(operand, "i64", num)),
    }
}

/// Whether the operand is zero.
pub(crate) fn is_zero(ty: NumType, num: Num) -> Result<bool, Fault> {
    Ok(match ty {
        NumType::I32 => as_i32(1, num)? == 0,
        NumType::I64 => as_i64(1, num)? == 0,
    })
}

pub(crate) fn compare(ty: NumType, op: RelOp, a: Num, b: Num) -> Result<bool, Fault> {
    Ok(match ty {
        NumType::I32 => {
            // The second operand is looked at first, as the original's evaluation order has it.
            let b = as_i32(2, b)?;
            let a = as_i32(1, a)?;
            relation(op, a.cmp(&b), (a as u32).cmp(&(b as u32)))
        }
        NumType::I64 => {
            let b = as_i64(2, b)?;
            let a = as_i64(1, a)?;
            relation(op, a.cmp(&b), (a as u64).cmp(&(b as u64)))
        }
    })
}

pub(crate) fn relation(
    op: RelOp,
    signed: std::cmp::Ordering,
    unsigned: std::cmp::Ordering,
) -> bool {
    match op {
        RelOp::Eq => signed.is_eq(),
        RelOp::Ne => signed.is_ne(),
        RelOp::LtS => signed.is_lt(),
        RelOp::LtU => unsigned.is_lt(),
        RelOp::GtS => signed.is_gt(),
        RelOp::GtU => unsigned.is_gt(),
        RelOp::LeS => signed.is_le(),
        RelOp::LeU => unsigned.is_le(),
        RelOp::GeS => signed.is_ge(),
        RelOp::GeU => unsigned.is_ge(),
    }
}

pub(crate) fn unary(ty: NumType, op: UnOp, num: Num) -> Result<Num, Fault> {
    Ok(match ty {
        NumType::I32 => {
            let value = as_i32(1, num)?;
            Num::I32(match op {
                UnOp::Clz => value.leading_zeros() as i32,
                UnOp::Ctz => value.trailing_zeros() as i32,
                UnOp::Popcnt => value.count_ones() as i32,
                UnOp::ExtendS(width) => int32::extend_s(value, bits(width)),
            })
        }
        NumType::I64 => {
            let value = as_i64(1, num)?;
            Num::I64(match op {
                UnOp::Clz => i64::from(value.leading_zeros()),
                UnOp::Ctz => i64::from(value.trailing_zeros()),
                UnOp::Popcnt => i64::from(value.count_ones()),
                UnOp::ExtendS(width) => int64::extend_s(value, bits(width)),
            })
        }
    })
}

const fn bits(width: PackSize) -> u32 {
    width.bytes().wrapping_mul(8)
}

pub(crate) fn binary(ty: NumType, op: BinOp, a: Num, b: Num) -> Result<Num, Failure> {
    match ty {
        NumType::I32 => {
            let b = as_i32(2, b)?;
            Ok(Num::I32(binary_i32(op, as_i32(1, a)?, b)?))
        }
        NumType::I64 => {
            let b = as_i64(2, b)?;
            Ok(Num::I64(binary_i64(op, as_i64(1, a)?, b)?))
        }
    }
}

pub(crate) fn binary_i32(op: BinOp, a: i32, b: i32) -> Result<i32, NumericTrap> {
    Ok(match op {
        BinOp::Add => a.wrapping_add(b),
        BinOp::Sub => a.wrapping_sub(b),
        BinOp::Mul => a.wrapping_mul(b),
        BinOp::DivS => int32::div_s(a, b)?,
        BinOp::DivU => int32::div_u(a, b)?,
        BinOp::RemS => int32::rem_s(a, b)?,
        BinOp::RemU => int32::rem_u(a, b)?,
        BinOp::And => a & b,
        BinOp::Or => a | b,
        BinOp::Xor => a ^ b,
        BinOp::Shl => int32::shl(a, b),
        BinOp::ShrS => int32::shr_s(a, b),
        BinOp::ShrU => int32::shr_u(a, b),
        BinOp::Rotl => int32::rotl(a, b),
        BinOp::Rotr => int32::rotr(a, b),
    })
}

pub(crate) fn binary_i64(op: BinOp, a: i64, b: i64) -> Result<i64, NumericTrap> {
    Ok(match op {
        BinOp::Add => a.wrapping_add(b),
        BinOp::Sub => a.wrapping_sub(b),
        BinOp::Mul => a.wrapping_mul(b),
        BinOp::DivS => int64::div_s(a, b)?,
        BinOp::DivU => int64::div_u(a, b)?,
        BinOp::RemS => int64::rem_s(a, b)?,
        BinOp::RemU => int64::rem_u(a, b)?,
        BinOp::And => a & b,
        BinOp::Or => a | b,
        BinOp::Xor => a ^ b,
        BinOp::Shl => int64::shl(a, b),
        BinOp::ShrS => int64::shr_s(a, b),
        BinOp::ShrU => int64::shr_u(a, b),
        BinOp::Rotl => int64::rotl(a, b),
        BinOp::Rotr => int64::rotr(a, b),
    })
}

/// Conversion to `ty`. Conversions from a float never find their operand.
pub(crate) fn convert(ty: NumType, op: CvtOp, num: Num) -> Result<Num, Fault> {
    match (ty, op) {
        (NumType::I32, CvtOp::WrapI64) => Ok(Num::I32(as_i64(1, num)? as i32)),
        (NumType::I64, CvtOp::ExtendSI32) => Ok(Num::I64(i64::from(as_i32(1, num)?))),
        (NumType::I64, CvtOp::ExtendUI32) => Ok(Num::I64(i64::from(as_i32(1, num)? as u32))),
        _ => Err(type_error(1, source(ty, op), num)),
    }
}

const fn source(ty: NumType, op: CvtOp) -> &'static str {
    match op {
        CvtOp::TruncSF32 | CvtOp::TruncUF32 | CvtOp::TruncSatSF32 | CvtOp::TruncSatUF32 => "f32",
        CvtOp::TruncSF64 | CvtOp::TruncUF64 | CvtOp::TruncSatSF64 | CvtOp::TruncSatUF64 => "f64",
        CvtOp::ReinterpretFloat => match ty {
            NumType::I32 => "f32",
            NumType::I64 => "f64",
        },
        CvtOp::ExtendSI32 | CvtOp::ExtendUI32 | CvtOp::WrapI64 => type_name(ty),
    }
}
