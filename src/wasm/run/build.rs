//! A module instance taken apart for run mode.

use std::collections::BTreeMap;

use super::compile::{View, compile_function, integer};
use super::program::{Function, Kind, Program};
use crate::wasm::ast::{DataLabel, FuncType, Instr, Mutability, NumType, RefType, ValueType};
use crate::wasm::fault::Fault;
use crate::wasm::instance::{FuncInst, ModuleInst, Ref};

/// In a table: no function.
const NULL: u32 = u32::MAX;

/// Function types, each with a number.
#[derive(Default)]
struct Signatures(BTreeMap<Vec<u8>, u32>);

impl Signatures {
    fn number(&mut self, params: &[ValueType], results: &[ValueType]) -> u32 {
        let code = |ty: &ValueType| match ty {
            ValueType::Num(NumType::I32) => 0,
            ValueType::Num(NumType::I64) => 1,
            ValueType::V128 => 2,
            ValueType::Ref(RefType::Func) => 3,
            ValueType::Ref(RefType::Extern) => 4,
        };
        let key = params
            .iter()
            .map(code)
            .chain([u8::MAX])
            .chain(results.iter().map(code))
            .collect();
        let next = self.0.len() as u32;
        *self.0.entry(key).or_insert(next)
    }
}

fn integers(types: &[ValueType]) -> Option<Vec<NumType>> {
    types.iter().map(|ty| integer(*ty)).collect()
}

fn items(ty: &FuncType) -> Result<(Vec<ValueType>, Vec<ValueType>), Fault> {
    let mut ty = ty.clone();
    Ok((ty.params.to_items()?, ty.results.to_items()?))
}

/// The compiled module and what its compilation read, the blocks left out: they stay where they are.
pub(super) fn build(instance: &mut ModuleInst) -> Result<(Program, View), Fault> {
    let mut signatures = Signatures::default();
    let view = view(instance, &mut signatures)?;
    let blocks = blocks(instance)?;
    let mut program = Program {
        reserve: 0,
        ..Program::default()
    };
    for mut function in instance.funcs.to_items()? {
        program
            .functions
            .push(self::function(&mut function, &mut signatures)?);
    }
    program.tables = tables(instance, &program)?;
    for DataLabel(label) in instance.datas.to_items()? {
        let bytes = instance.allocations.datas.read(label)?;
        program.segments.push(bytes.to_vec()?);
    }
    for index in 0..program.functions.len() as u32 {
        compile_function(&mut program, &view, &blocks, index);
    }
    // A branch and the return after it may both come unannounced; then the end of the run.
    program.reserve = program.reserve * 2 + 64;
    Ok((program, view))
}

fn blocks(instance: &mut ModuleInst) -> Result<Vec<Vec<Instr>>, Fault> {
    let blocks = &mut instance.allocations.blocks;
    let mut all = Vec::new();
    for index in 0..blocks.len() {
        all.push(blocks.read(index)?.instructions()?.to_items()?);
    }
    Ok(all)
}

fn view(instance: &mut ModuleInst, signatures: &mut Signatures) -> Result<View, Fault> {
    let mut types = Vec::new();
    let mut numbers = Vec::new();
    for ty in instance.types.to_items()? {
        let (params, results) = items(&ty.0)?;
        numbers.push(signatures.number(&params, &results));
        types.push(integers(&params).zip(integers(&results)));
    }
    let globals = instance.globals.to_items()?;
    Ok(View {
        types,
        signatures: numbers,
        mutable: globals
            .iter()
            .map(|global| global.mutability == Mutability::Mutable)
            .collect(),
        global_types: globals
            .iter()
            .map(|global| integer(global.value.ty()))
            .collect(),
        has_memory: instance.memories.len() == 1,
        table_count: instance.tables.len() as usize,
        segments: instance.datas.len() as usize,
    })
}

fn function(function: &mut FuncInst, signatures: &mut Signatures) -> Result<Function, Fault> {
    let (params, results) = items(function.ty())?;
    let signature = signatures.number(&params, &results);
    let (mut kind, locals, body) = match function {
        FuncInst::Host { name, .. } => (Kind::Host(name.clone()), Vec::new(), Default::default()),
        FuncInst::Native { func, .. } => (Kind::Native, func.locals.to_items()?, Some(func.body)),
    };
    let own = locals.len() as u32;
    let all: Vec<ValueType> = params.iter().chain(&locals).copied().collect();
    let known = integers(&all)
        .zip(integers(&params))
        .zip(integers(&results));
    let ((types, params), results) = known.unwrap_or_else(|| {
        kind = Kind::Declined;
        ((Vec::new(), Vec::new()), Vec::new())
    });
    let count = u16::try_from(types.len())
        .ok()
        .filter(|count| *count < 0x4000);
    if count.is_none() {
        kind = Kind::Declined;
    }
    Ok(Function {
        kind,
        entry: 0,
        ticks: 8 + 2 * (params.len() as u32 + own),
        params,
        results,
        types,
        locals: count.unwrap_or_default(),
        signature,
        body: body.unwrap_or(crate::wasm::instance::EMPTY_BLOCK),
    })
}

/// Tables as function numbers.
fn tables(instance: &mut ModuleInst, program: &Program) -> Result<Vec<Vec<u32>>, Fault> {
    let mut by_body = BTreeMap::new();
    let mut by_name = BTreeMap::new();
    for (index, function) in (0..).zip(&program.functions) {
        match &function.kind {
            Kind::Host(name) => by_name.insert(name.clone(), index),
            _ => by_body.insert(function.body.0, index),
        };
    }
    let mut tables = Vec::new();
    for mut table in instance.tables.to_items()? {
        let number = |reference: &Ref| match reference {
            Ref::Func(function) => match &**function {
                FuncInst::Native { func, .. } => by_body.get(&func.body.0),
                FuncInst::Host { name, .. } => by_name.get(name),
            }
            .copied()
            .unwrap_or(NULL),
            _ => NULL,
        };
        tables.push(table.refs.to_items()?.iter().map(number).collect());
    }
    Ok(tables)
}
