//! Arguments and results of a script as values of the machine.

use wast::core::{HeapType, V128Pattern, WastArgCore, WastRetCore};
use wast::{WastArg, WastRet};

use super::nan_matches;
use crate::wasm::ast::{Num, RefType, V128};
use crate::wasm::instance::{Ref, Value};

fn reference_type(ty: &HeapType<'_>) -> Option<RefType> {
    use wast::core::AbstractHeapType::{Extern, Func};
    match ty {
        HeapType::Abstract { ty: Func, .. } => Some(RefType::Func),
        HeapType::Abstract { ty: Extern, .. } => Some(RefType::Extern),
        _ => None,
    }
}

/// The value of an argument; none for floats.
pub(super) fn argument(arg: &WastArg<'_>) -> Option<Value> {
    let WastArg::Core(arg) = arg else { return None };
    match arg {
        WastArgCore::I32(value) => Some(Value::i32(*value)),
        WastArgCore::I64(value) => Some(Value::i64(*value)),
        WastArgCore::V128(value) => Some(Value::V128(V128(value.to_le_bytes()))),
        WastArgCore::RefNull(ty) => reference_type(ty).map(|ty| Value::Ref(Ref::Null(ty))),
        WastArgCore::RefExtern(value) | WastArgCore::RefHost(value) => {
            Some(Value::Ref(Ref::Extern(value.cast_signed())))
        }
        WastArgCore::F32(_) | WastArgCore::F64(_) => None,
    }
}

/// Whether a value is what a script expects.
pub(super) fn matches(value: &Value, expected: &WastRet<'_>) -> bool {
    match expected {
        WastRet::Core(expected) => core_matches(value, expected),
        _ => false,
    }
}

fn core_matches(value: &Value, expected: &WastRetCore<'_>) -> bool {
    match (value, expected) {
        (Value::Num(Num::I32(value)), WastRetCore::I32(expected)) => value == expected,
        (Value::Num(Num::I64(value)), WastRetCore::I64(expected)) => value == expected,
        (Value::V128(value), WastRetCore::V128(expected)) => lanes_match(value, expected),
        (Value::Ref(Ref::Null(ty)), WastRetCore::RefNull(expected)) => expected
            .as_ref()
            .is_none_or(|expected| reference_type(expected) == Some(*ty)),
        (Value::Ref(Ref::Extern(value)), WastRetCore::RefExtern(expected)) => {
            expected.is_none_or(|expected| expected.cast_signed() == *value)
        }
        (Value::Ref(Ref::Func(_)), WastRetCore::RefFunc(_)) => true,
        (value, WastRetCore::Either(cases)) => cases.iter().any(|case| core_matches(value, case)),
        _ => false,
    }
}

fn lanes_match(value: &V128, expected: &V128Pattern) -> bool {
    fn same<const N: usize>(value: &V128, lanes: impl Iterator<Item = [u8; N]>) -> bool {
        value.0.chunks_exact(N).eq(lanes.map(|lane| lane.to_vec()))
    }
    fn bits(lane: &[u8]) -> u64 {
        lane.iter()
            .rev()
            .fold(0, |value, byte| (value << 8) | u64::from(*byte))
    }
    match expected {
        V128Pattern::I8x16(lanes) => same(value, lanes.iter().map(|lane| lane.to_le_bytes())),
        V128Pattern::I16x8(lanes) => same(value, lanes.iter().map(|lane| lane.to_le_bytes())),
        V128Pattern::I32x4(lanes) => same(value, lanes.iter().map(|lane| lane.to_le_bytes())),
        V128Pattern::I64x2(lanes) => same(value, lanes.iter().map(|lane| lane.to_le_bytes())),
        V128Pattern::F32x4(lanes) => value.0.chunks_exact(4).zip(lanes).all(|(found, lane)| {
            nan_matches(lane, bits(found), 1 << 31, 0x7fc0_0000, |lane| {
                u64::from(lane.bits)
            })
        }),
        V128Pattern::F64x2(lanes) => value.0.chunks_exact(8).zip(lanes).all(|(found, lane)| {
            nan_matches(lane, bits(found), 1 << 63, 0x7ff8 << 48, |lane| lane.bits)
        }),
    }
}
