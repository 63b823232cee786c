//! Vector operators by shape and name.
//!
//! A pair of shape and operator that no opcode denotes is an error of the machine.

use super::lanes::{self, V128 as Bytes, from_i8, from_i16, from_i32, i8x16, i16x8, i32x4, i64x2};
use super::{as_i32, as_i64, no_such_lane};
use crate::wasm::ast::{
    Extension, Num, PackShape, PackSize, Shape, V128, VecBinOp, VecBitOp, VecCvtOp, VecExtension,
    VecRelOp, VecShiftOp, VecTestOp, VecUnOp,
};
use crate::wasm::fault::Fault;

fn undefined(shape: Shape, op: impl std::fmt::Debug) -> Fault {
    Fault::Unencodable(format!("no instruction is {op:?} of {shape:?}"))
}

pub(crate) fn test(shape: Shape, VecTestOp::AllTrue: VecTestOp, v: V128) -> bool {
    match shape {
        Shape::I8x16 => i8x16::all_true(&v.0),
        Shape::I16x8 => i16x8::all_true(&v.0),
        Shape::I32x4 => i32x4::all_true(&v.0),
        Shape::I64x2 => i64x2::all_true(&v.0),
    }
}

macro_rules! by_shape {
    ($shape:expr, $f:ident, $($argument:expr),*) => {
        match $shape {
            Shape::I8x16 => i8x16::$f($($argument),*),
            Shape::I16x8 => i16x8::$f($($argument),*),
            Shape::I32x4 => i32x4::$f($($argument),*),
            Shape::I64x2 => i64x2::$f($($argument),*),
        }
    };
}

pub(crate) fn compare(shape: Shape, op: VecRelOp, a: V128, b: V128) -> V128 {
    let (a, b) = (&a.0, &b.0);
    V128(match op {
        VecRelOp::Eq => by_shape!(shape, compare, a, b, |x, y| x == y),
        VecRelOp::Ne => by_shape!(shape, compare, a, b, |x, y| x != y),
        VecRelOp::LtS => by_shape!(shape, compare, a, b, |x, y| x < y),
        VecRelOp::LtU => by_shape!(shape, compare_unsigned, a, b, |x, y| x < y),
        VecRelOp::LeS => by_shape!(shape, compare, a, b, |x, y| x <= y),
        VecRelOp::LeU => by_shape!(shape, compare_unsigned, a, b, |x, y| x <= y),
        VecRelOp::GtS => by_shape!(shape, compare, a, b, |x, y| x > y),
        VecRelOp::GtU => by_shape!(shape, compare_unsigned, a, b, |x, y| x > y),
        VecRelOp::GeS => by_shape!(shape, compare, a, b, |x, y| x >= y),
        VecRelOp::GeU => by_shape!(shape, compare_unsigned, a, b, |x, y| x >= y),
    })
}

pub(crate) fn unary(shape: Shape, op: VecUnOp, v: V128) -> Result<V128, Fault> {
    Ok(V128(match (op, shape) {
        (VecUnOp::Abs, shape) => by_shape!(shape, map, &v.0, |x| x.wrapping_abs()),
        (VecUnOp::Neg, shape) => by_shape!(shape, map, &v.0, |x| x.wrapping_neg()),
        (VecUnOp::Popcnt, Shape::I8x16) => i8x16::map(&v.0, |x| x.count_ones() as i8),
        (VecUnOp::Popcnt, shape) => return Err(undefined(shape, op)),
    }))
}

pub(crate) fn binary(shape: Shape, op: VecBinOp, a: V128, b: V128) -> Result<V128, Fault> {
    let (x, y) = (&a.0, &b.0);
    let result = match op {
        VecBinOp::Add => by_shape!(shape, zip, x, y, |x, y| x.wrapping_add(y)),
        VecBinOp::Sub => by_shape!(shape, zip, x, y, |x, y| x.wrapping_sub(y)),
        VecBinOp::Mul if shape != Shape::I8x16 => {
            by_shape!(shape, zip, x, y, |x, y| x.wrapping_mul(y))
        }
        VecBinOp::MinS if shape != Shape::I64x2 => by_shape!(shape, zip, x, y, |x, y| x.min(y)),
        VecBinOp::MaxS if shape != Shape::I64x2 => by_shape!(shape, zip, x, y, |x, y| x.max(y)),
        VecBinOp::MinU if shape != Shape::I64x2 => {
            by_shape!(shape, zip_unsigned, x, y, |x, y| x.min(y))
        }
        VecBinOp::MaxU if shape != Shape::I64x2 => {
            by_shape!(shape, zip_unsigned, x, y, |x, y| x.max(y))
        }
        _ => return small_lanes(shape, op, x, y),
    };
    Ok(V128(result))
}

/// Saturating and averaging operators, and those that move bytes.
fn small_lanes(shape: Shape, op: VecBinOp, a: &Bytes, b: &Bytes) -> Result<V128, Fault> {
    Ok(V128(match (shape, op) {
        (Shape::I8x16, VecBinOp::AvgrU) => i8x16::zip_unsigned(a, b, |x, y| {
            u16::midpoint(u16::from(x), u16::from(y) + 1) as u8
        }),
        (Shape::I16x8, VecBinOp::AvgrU) => i16x8::zip_unsigned(a, b, |x, y| {
            u32::midpoint(u32::from(x), u32::from(y) + 1) as u16
        }),
        (Shape::I8x16, VecBinOp::AddSatS) => i8x16::zip(a, b, i8::saturating_add),
        (Shape::I8x16, VecBinOp::AddSatU) => i8x16::zip_unsigned(a, b, u8::saturating_add),
        (Shape::I8x16, VecBinOp::SubSatS) => i8x16::zip(a, b, i8::saturating_sub),
        (Shape::I8x16, VecBinOp::SubSatU) => i8x16::zip_unsigned(a, b, u8::saturating_sub),
        (Shape::I16x8, VecBinOp::AddSatS) => i16x8::zip(a, b, i16::saturating_add),
        (Shape::I16x8, VecBinOp::AddSatU) => i16x8::zip_unsigned(a, b, u16::saturating_add),
        (Shape::I16x8, VecBinOp::SubSatS) => i16x8::zip(a, b, i16::saturating_sub),
        (Shape::I16x8, VecBinOp::SubSatU) => i16x8::zip_unsigned(a, b, u16::saturating_sub),
        (Shape::I16x8, VecBinOp::Q15MulRSatS) => i16x8::zip(a, b, rounded_q15),
        (Shape::I32x4, VecBinOp::DotS) => lanes::dot(a, b),
        (Shape::I8x16, VecBinOp::Swizzle) => lanes::swizzle(a, b),
        (Shape::I8x16, VecBinOp::Shuffle(indices)) => {
            lanes::shuffle(a, b, &indices).ok_or_else(no_such_lane)?
        }
        (Shape::I8x16, VecBinOp::NarrowS) => lanes::narrow_i16(a, b, |x| {
            x.clamp(i16::from(i8::MIN), i16::from(i8::MAX)) as i8
        }),
        (Shape::I8x16, VecBinOp::NarrowU) => {
            lanes::narrow_i16(a, b, |x| x.clamp(0, 255) as u8 as i8)
        }
        (Shape::I16x8, VecBinOp::NarrowS) => lanes::narrow_i32(a, b, |x| {
            x.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
        }),
        (Shape::I16x8, VecBinOp::NarrowU) => {
            lanes::narrow_i32(a, b, |x| x.clamp(0, 65_535) as u16 as i16)
        }
        (shape, VecBinOp::ExtMulLowS) => multiply(shape, op, a, b)?,
        (shape, VecBinOp::ExtMulLowU) => multiply(shape, op, a, b)?,
        (shape, VecBinOp::ExtMulHighS) => multiply(shape, op, a, b)?,
        (shape, VecBinOp::ExtMulHighU) => multiply(shape, op, a, b)?,
        _ => return Err(undefined(shape, op)),
    }))
}

fn rounded_q15(x: i16, y: i16) -> i16 {
    let product = (i32::from(x) * i32::from(y) + 0x4000) >> 15;
    product.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

fn multiply(shape: Shape, op: VecBinOp, a: &Bytes, b: &Bytes) -> Result<Bytes, Fault> {
    let high = matches!(op, VecBinOp::ExtMulHighS | VecBinOp::ExtMulHighU);
    let signed = matches!(op, VecBinOp::ExtMulLowS | VecBinOp::ExtMulHighS);
    Ok(match (shape, signed) {
        (Shape::I16x8, true) => from_i8::multiply_s(a, b, high),
        (Shape::I16x8, false) => from_i8::multiply_u(a, b, high),
        (Shape::I32x4, true) => from_i16::multiply_s(a, b, high),
        (Shape::I32x4, false) => from_i16::multiply_u(a, b, high),
        (Shape::I64x2, true) => from_i32::multiply_s(a, b, high),
        (Shape::I64x2, false) => from_i32::multiply_u(a, b, high),
        (Shape::I8x16, _) => return Err(undefined(shape, op)),
    })
}

pub(crate) fn convert(shape: Shape, op: VecCvtOp, v: V128) -> Result<V128, Fault> {
    let v = &v.0;
    let widened = |high: bool, signed: bool| match (shape, signed) {
        (Shape::I16x8, true) => Ok(from_i8::extend_s(v, high)),
        (Shape::I16x8, false) => Ok(from_i8::extend_u(v, high)),
        (Shape::I32x4, true) => Ok(from_i16::extend_s(v, high)),
        (Shape::I32x4, false) => Ok(from_i16::extend_u(v, high)),
        (Shape::I64x2, true) => Ok(from_i32::extend_s(v, high)),
        (Shape::I64x2, false) => Ok(from_i32::extend_u(v, high)),
        (Shape::I8x16, _) => Err(undefined(shape, op)),
    };
    Ok(V128(match (op, shape) {
        (VecCvtOp::ExtendLowS, _) => widened(false, true)?,
        (VecCvtOp::ExtendLowU, _) => widened(false, false)?,
        (VecCvtOp::ExtendHighS, _) => widened(true, true)?,
        (VecCvtOp::ExtendHighU, _) => widened(true, false)?,
        (VecCvtOp::ExtAddPairwiseS, Shape::I16x8) => lanes::pairwise_i8_s(v),
        (VecCvtOp::ExtAddPairwiseU, Shape::I16x8) => lanes::pairwise_i8_u(v),
        (VecCvtOp::ExtAddPairwiseS, Shape::I32x4) => lanes::pairwise_i16_s(v),
        (VecCvtOp::ExtAddPairwiseU, Shape::I32x4) => lanes::pairwise_i16_u(v),
        (VecCvtOp::TruncSatSF32x4, Shape::I32x4) => lanes::truncate_f32(v, false),
        (VecCvtOp::TruncSatUF32x4, Shape::I32x4) => lanes::truncate_f32(v, true),
        (VecCvtOp::TruncSatSZeroF64x2, Shape::I32x4) => lanes::truncate_f64(v, false),
        (VecCvtOp::TruncSatUZeroF64x2, Shape::I32x4) => lanes::truncate_f64(v, true),
        _ => return Err(undefined(shape, op)),
    }))
}

pub(crate) fn shift(shape: Shape, op: VecShiftOp, v: V128, by: Num) -> Result<V128, Fault> {
    let by = as_i32(2, by)?;
    Ok(V128(match op {
        VecShiftOp::Shl => by_shape!(shape, shl, &v.0, by),
        VecShiftOp::ShrS => by_shape!(shape, shr_s, &v.0, by),
        VecShiftOp::ShrU => by_shape!(shape, shr_u, &v.0, by),
    }))
}

pub(crate) fn bitmask(shape: Shape, v: V128) -> i32 {
    by_shape!(shape, bitmask, &v.0)
}

pub(crate) fn bits(op: VecBitOp, a: V128, b: V128) -> V128 {
    V128(lanes::bits(&a.0, &b.0, |x, y| match op {
        VecBitOp::And => x & y,
        VecBitOp::Or => x | y,
        VecBitOp::Xor => x ^ y,
        VecBitOp::AndNot => x & !y,
    }))
}

pub(crate) fn bitselect(a: V128, b: V128, mask: V128) -> V128 {
    let mask = u128::from_le_bytes(mask.0);
    V128(lanes::bits(&a.0, &b.0, |x, y| (x & mask) | (y & !mask)))
}

pub(crate) fn splat(shape: Shape, num: Num) -> Result<V128, Fault> {
    Ok(V128(match shape {
        Shape::I8x16 => i8x16::splat(as_i32(1, num)? as i8),
        Shape::I16x8 => i16x8::splat(as_i32(1, num)? as i16),
        Shape::I32x4 => i32x4::splat(as_i32(1, num)?),
        Shape::I64x2 => i64x2::splat(as_i64(1, num)?),
    }))
}

pub(crate) fn extract(shape: Shape, lane: u8, extension: Extension, v: V128) -> Result<Num, Fault> {
    let lane = usize::from(lane);
    let num = match (shape, extension) {
        (Shape::I8x16, Extension::Signed) => {
            i8x16::extract(&v.0, lane).map(|x| Num::I32(i32::from(x)))
        }
        (Shape::I8x16, Extension::Unsigned) => {
            i8x16::extract(&v.0, lane).map(|x| Num::I32(i32::from(x as u8)))
        }
        (Shape::I16x8, Extension::Signed) => {
            i16x8::extract(&v.0, lane).map(|x| Num::I32(i32::from(x)))
        }
        (Shape::I16x8, Extension::Unsigned) => {
            i16x8::extract(&v.0, lane).map(|x| Num::I32(i32::from(x as u16)))
        }
        (Shape::I32x4, _) => i32x4::extract(&v.0, lane).map(Num::I32),
        (Shape::I64x2, _) => i64x2::extract(&v.0, lane).map(Num::I64),
    };
    num.ok_or_else(no_such_lane)
}

pub(crate) fn replace(shape: Shape, lane: u8, v: V128, num: Num) -> Result<V128, Fault> {
    let lane = usize::from(lane);
    Ok(V128(match shape {
        Shape::I8x16 => i8x16::replace(&v.0, lane, as_i32(1, num)? as i8),
        Shape::I16x8 => i16x8::replace(&v.0, lane, as_i32(1, num)? as i16),
        Shape::I32x4 => i32x4::replace(&v.0, lane, as_i32(1, num)?),
        Shape::I64x2 => i64x2::replace(&v.0, lane, as_i64(1, num)?),
    }))
}

/// The vector that a narrow load makes of the loaded bytes, sign-extended by nothing.
pub(crate) fn load_extended(
    size: PackSize,
    extension: VecExtension,
    payload: u64,
) -> Result<V128, Fault> {
    let v = u128::from(payload).to_le_bytes();
    Ok(V128(match (size, extension) {
        (PackSize::Pack64, VecExtension::Lane(shape, extension)) => {
            let signed = extension == Extension::Signed;
            match (shape, signed) {
                (PackShape::Pack8x8, true) => from_i8::extend_s(&v, false),
                (PackShape::Pack8x8, false) => from_i8::extend_u(&v, false),
                (PackShape::Pack16x4, true) => from_i16::extend_s(&v, false),
                (PackShape::Pack16x4, false) => from_i16::extend_u(&v, false),
                (PackShape::Pack32x2, true) => from_i32::extend_s(&v, false),
                (PackShape::Pack32x2, false) => from_i32::extend_u(&v, false),
            }
        }
        (PackSize::Pack8, VecExtension::Splat) => i8x16::splat(payload as i8),
        (PackSize::Pack16, VecExtension::Splat) => i16x8::splat(payload as i16),
        (PackSize::Pack32, VecExtension::Splat) => i32x4::splat(payload as i32),
        (PackSize::Pack64, VecExtension::Splat) => i64x2::splat(payload as i64),
        (PackSize::Pack32 | PackSize::Pack64, VecExtension::Zero) => v,
        (size, extension) => {
            return Err(Fault::Unencodable(format!(
                "no instruction loads {size:?} as {extension:?}"
            )));
        }
    }))
}
