//! Comparing what an import is declared to be with what it is.

use crate::wasm::ast::{
    FuncType, GlobalType, Import, ImportDesc, Limits, MemoryType, Module, Mutability, NumType,
    RefType, TableType, ValueType,
};
use crate::wasm::fault::Fault;
use crate::wasm::instance::{Extern, ModuleInst};
use crate::wasm::lazy::LazyVec;

enum ExternType {
    Func(FuncType),
    Table(TableType),
    Memory(MemoryType),
    Global(GlobalType),
}

/// The part of a type's text that the comparison has looked at; the rest is not printed.
#[derive(Default)]
struct Seen(Vec<ValueType>);

/// Compares up to the first difference.
fn same_values(
    left: &mut LazyVec<ValueType>,
    right: &mut LazyVec<ValueType>,
) -> Result<(bool, Seen, Seen), Fault> {
    let (mut seen_left, mut seen_right) = (Seen::default(), Seen::default());
    for index in 0..left.len() {
        let (a, b) = (*left.get(index)?, *right.get(index)?);
        seen_left.0.push(a);
        seen_right.0.push(b);
        if a != b {
            return Ok((false, seen_left, seen_right));
        }
    }
    Ok((true, seen_left, seen_right))
}

fn text_of_values(seen: &Seen) -> String {
    let texts: Vec<_> = seen.0.iter().map(|ty| text_of_value(*ty)).collect();
    format!("[{}]", texts.join(" "))
}

const fn text_of_value(ty: ValueType) -> &'static str {
    match ty {
        ValueType::Num(NumType::I32) => "i32",
        ValueType::Num(NumType::I64) => "i64",
        ValueType::V128 => "v128",
        ValueType::Ref(RefType::Func) => "funcref",
        ValueType::Ref(RefType::Extern) => "externref",
    }
}

fn text_of_limits(limits: &Limits) -> String {
    match limits.max {
        None => (limits.min as u32).to_string(),
        Some(max) => format!("{} {}", limits.min as u32, max as u32),
    }
}

/// The text of a type of which nothing was looked at.
fn text_unseen(ty: &ExternType) -> String {
    match ty {
        ExternType::Func(_) => "func [] -> []".to_owned(),
        ExternType::Table(ty) => format!(
            "table {} {}",
            text_of_limits(&ty.limits),
            text_of_value(ValueType::Ref(ty.element))
        ),
        ExternType::Memory(ty) => format!("memory {}", text_of_limits(&ty.0)),
        ExternType::Global(ty) => match ty.mutability {
            Mutability::Immutable => format!("global {}", text_of_value(ty.value)),
            Mutability::Mutable => format!("global (mut {})", text_of_value(ty.value)),
        },
    }
}

fn limits_match(found: &Limits, declared: &Limits) -> bool {
    let within = match (found.max, declared.max) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(found), Some(declared)) => (found as u32) <= (declared as u32),
    };
    (found.min as u32) >= (declared.min as u32) && within
}

/// Nothing when the types agree; otherwise the texts of the declared and the found one.
fn mismatch(
    found: &mut ExternType,
    declared: &mut ExternType,
) -> Result<Option<(String, String)>, Fault> {
    let agree = match (&mut *found, &mut *declared) {
        (ExternType::Func(found), ExternType::Func(declared)) => {
            return functions_mismatch(found, declared);
        }
        (ExternType::Table(found), ExternType::Table(declared)) => {
            found.element == declared.element && limits_match(&found.limits, &declared.limits)
        }
        (ExternType::Memory(found), ExternType::Memory(declared)) => {
            limits_match(&found.0, &declared.0)
        }
        (ExternType::Global(found), ExternType::Global(declared)) => found == declared,
        _ => false,
    };
    Ok((!agree).then(|| (text_unseen(declared), text_unseen(found))))
}

fn functions_mismatch(
    found: &mut FuncType,
    declared: &mut FuncType,
) -> Result<Option<(String, String)>, Fault> {
    if found.params.len() != declared.params.len() || found.results.len() != declared.results.len()
    {
        let nothing = "func [] -> []".to_owned();
        return Ok(Some((nothing.clone(), nothing)));
    }
    let (same_params, found_params, declared_params) =
        same_values(&mut found.params, &mut declared.params)?;
    let (same_results, found_results, declared_results) =
        same_values(&mut found.results, &mut declared.results)?;
    if same_params && same_results {
        return Ok(None);
    }
    let text = |params: &Seen, results: &Seen| {
        format!(
            "func {} -> {}",
            text_of_values(params),
            text_of_values(results)
        )
    };
    Ok(Some((
        text(&declared_params, &declared_results),
        text(&found_params, &found_results),
    )))
}

fn declared_type(module: &mut Module, import: &Import) -> Result<ExternType, Fault> {
    Ok(match import.desc {
        ImportDesc::Func(index) => ExternType::Func(module.types.get(index)?.clone()),
        ImportDesc::Table(ty) => ExternType::Table(ty),
        ImportDesc::Memory(ty) => ExternType::Memory(ty),
        ImportDesc::Global(ty) => ExternType::Global(ty),
    })
}

fn found_type(item: &Extern) -> ExternType {
    match item {
        Extern::Func(func) => ExternType::Func(func.ty().clone()),
        Extern::Table(table) => ExternType::Table(table.ty),
        Extern::Memory(memory) => ExternType::Memory(memory.ty),
        Extern::Global(global) => ExternType::Global(GlobalType {
            value: global.value.ty(),
            mutability: global.mutability,
        }),
    }
}

/// Puts an imported item in front of those of its kind, if it is what the module declares.
pub(super) fn add(
    module: &mut Module,
    item: Extern,
    import: &Import,
    inst: &mut ModuleInst,
) -> Result<(), Fault> {
    let mut declared = declared_type(module, import)?;
    if let Some((expected, got)) = mismatch(&mut found_type(&item), &mut declared)? {
        return Err(Fault::located(format!(
            "incompatible import type for \"{}\" \"{}\": expected {expected}, got {got}",
            import.module, import.item
        )));
    }
    match item {
        Extern::Func(func) => inst.funcs.cons(func),
        Extern::Table(table) => inst.tables.cons(table),
        Extern::Memory(memory) => inst.memories.cons(memory),
        Extern::Global(global) => inst.globals.cons(global),
    }
}
