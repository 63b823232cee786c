//! Finding things in the module instance of a frame; what is not there is a crash with a text.

use crate::wasm::ast::{BlockType, FuncType, ValueType};
use crate::wasm::encoding::Stored;
use crate::wasm::fault::{Exception, Fault};
use crate::wasm::instance::{FuncInst, ModuleInst, ModuleKey, Ref, Registry, TableInst};
use crate::wasm::lazy::LazyVec;

fn named<T>(category: &str, index: i32, found: Result<T, Fault>) -> Result<T, Fault> {
    match found {
        Err(Fault::Raised(Exception::VectorBounds)) => {
            Err(Fault::located(format!("undefined {category} {index}")))
        }
        other => other,
    }
}

/// Element `index` of a vector of the module, to read.
pub(super) fn read<'a, T: Stored>(
    category: &str,
    vector: &'a mut LazyVec<T>,
    index: i32,
) -> Result<&'a mut T, Fault> {
    named(category, index, vector.read(index))
}

/// Element `index` of a vector of the module, to change.
pub(super) fn write<'a, T: Stored>(
    category: &str,
    vector: &'a mut LazyVec<T>,
    index: i32,
) -> Result<&'a mut T, Fault> {
    named(category, index, vector.write(index))
}

/// The instance of a module, to read.
pub(super) fn module<'a>(
    registry: &'a mut Registry,
    key: &ModuleKey,
) -> Result<&'a mut ModuleInst, Fault> {
    registry.read(key)
}

/// The instance of a module, to change.
pub(super) fn module_mut<'a>(
    registry: &'a mut Registry,
    key: &ModuleKey,
) -> Result<&'a mut ModuleInst, Fault> {
    registry.write(key)
}

/// The function at `index` of a table. A missing one is no trap but a raised error.
pub(super) fn table_function(table: &mut TableInst, index: i32) -> Result<FuncInst, Fault> {
    match table.element(index)? {
        Some(Ref::Func(function)) => Ok(*function),
        Some(Ref::Null(_)) => Err(Fault::located(format!("uninitialized element {index}"))),
        Some(Ref::Extern(_)) => Err(Fault::located(format!("type mismatch for element {index}"))),
        None => Err(Fault::located(format!("undefined element {index}"))),
    }
}

/// Numbers of parameters and results of a block.
pub(super) fn block_arity(
    registry: &mut Registry,
    key: &ModuleKey,
    ty: BlockType,
) -> Result<(i32, i32), Fault> {
    let instance = module(registry, key)?;
    Ok(match ty {
        BlockType::Index(index) => {
            let FuncType { params, results } = &read("type", &mut instance.types, index)?.0;
            (params.len(), results.len())
        }
        BlockType::Value(result) => (0, i32::from(result.is_some())),
    })
}

fn same(a: &mut LazyVec<ValueType>, b: &mut LazyVec<ValueType>) -> Result<bool, Fault> {
    for index in 0..a.len().max(0) {
        if a.get(index)? != b.get(index)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether two function types are equal; types of different lengths are not looked into.
pub(crate) fn same_type(a: &mut FuncType, b: &mut FuncType) -> Result<bool, Fault> {
    if a.params.len() != b.params.len() || a.results.len() != b.results.len() {
        return Ok(false);
    }
    let params = same(&mut a.params, &mut b.params)?;
    let results = same(&mut a.results, &mut b.results)?;
    Ok(params && results)
}
