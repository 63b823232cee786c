//! Types and declarations that are read whole in one tick.

use super::Stream;
use super::opcode::float;
use crate::wasm::ast::{
    BlockType, ExportDesc, GlobalType, ImportDesc, Limits, MemoryType, Mutability, NumType,
    RefType, TableType, ValueType,
};
use crate::wasm::fault::Fault;

pub(super) fn ref_type(s: &mut Stream<'_>) -> Result<RefType, Fault> {
    match s.vs7()? {
        -0x10 => Ok(RefType::Func),
        -0x11 => Ok(RefType::Extern),
        _ => Err(Fault::located("malformed reference type")),
    }
}

fn num_type(s: &mut Stream<'_>) -> Result<NumType, Fault> {
    match s.vs7()? {
        -1 => Ok(NumType::I32),
        -2 => Ok(NumType::I64),
        -3 | -4 => float(),
        _ => Err(Fault::located("malformed number type")),
    }
}

/// The kind is told by the first byte, continuation bit and all.
pub(super) fn value_type(s: &mut Stream<'_>) -> Result<ValueType, Fault> {
    match s.peek()? {
        Some(0x7c..) => num_type(s).map(ValueType::Num),
        Some(0x71..) => match s.vs7()? {
            -5 => Ok(ValueType::V128),
            _ => Err(Fault::located("malformed vector type")),
        },
        _ => ref_type(s).map(ValueType::Ref),
    }
}

fn limits(s: &mut Stream<'_>) -> Result<Limits, Fault> {
    let has_max = s.flag()?;
    let min = s.vu32()?;
    let max = if has_max { Some(s.vu32()?) } else { None };
    Ok(Limits { min, max })
}

pub(super) fn table_type(s: &mut Stream<'_>) -> Result<TableType, Fault> {
    let element = ref_type(s)?;
    Ok(TableType {
        limits: limits(s)?,
        element,
    })
}

pub(super) fn memory_type(s: &mut Stream<'_>) -> Result<MemoryType, Fault> {
    limits(s).map(MemoryType)
}

pub(super) fn global_type(s: &mut Stream<'_>) -> Result<GlobalType, Fault> {
    let value = value_type(s)?;
    let mutability = match s.byte()? {
        0 => Mutability::Immutable,
        1 => Mutability::Mutable,
        _ => return Err(Fault::located("malformed mutability")),
    };
    Ok(GlobalType { value, mutability })
}

pub(super) fn block_type(s: &mut Stream<'_>) -> Result<BlockType, Fault> {
    match s.peek()? {
        Some(0x40) => {
            s.byte()?;
            Ok(BlockType::Value(None))
        }
        Some(byte) if byte & 0xc0 == 0x40 => value_type(s).map(|ty| BlockType::Value(Some(ty))),
        _ => s.vs33().map(BlockType::Index),
    }
}

pub(super) fn import_desc(s: &mut Stream<'_>) -> Result<ImportDesc, Fault> {
    match s.byte()? {
        0 => s.vu32().map(ImportDesc::Func),
        1 => table_type(s).map(ImportDesc::Table),
        2 => memory_type(s).map(ImportDesc::Memory),
        3 => global_type(s).map(ImportDesc::Global),
        _ => Err(Fault::located("malformed import kind")),
    }
}

pub(super) fn export_desc(s: &mut Stream<'_>) -> Result<ExportDesc, Fault> {
    match s.byte()? {
        0 => s.vu32().map(ExportDesc::Func),
        1 => s.vu32().map(ExportDesc::Table),
        2 => s.vu32().map(ExportDesc::Memory),
        3 => s.vu32().map(ExportDesc::Global),
        _ => Err(Fault::located("malformed export kind")),
    }
}

pub(super) fn elem_kind(s: &mut Stream<'_>) -> Result<RefType, Fault> {
    match s.byte()? {
        0 => Ok(RefType::Func),
        _ => Err(Fault::located("malformed element kind")),
    }
}

pub(super) fn end(s: &mut Stream<'_>) -> Result<(), Fault> {
    s.expect(0x0b, "END opcode expected")
}
