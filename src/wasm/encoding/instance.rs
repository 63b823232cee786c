//! Runtime structures.

use super::functions::{instance_tree, reference_tree};
use crate::merkle::Tree;
use crate::wasm::ast::{Func, FuncType, Limits, MemoryType, TableType};
use crate::wasm::encoding::{Source, Stored, Target};
use crate::wasm::fault::{Exception, Fault};
use crate::wasm::instance::{
    ElemInst, Extern, FuncInst, GlobalInst, InstFuncType, MemoryInst, ModuleInst, Ref, TableInst,
    Value,
};

impl Stored for InstFuncType {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.at("1", |target| {
            target.store("type-params", &mut self.0.params)
        })?;
        target.at("2", |target| {
            target.store("type-result", &mut self.0.results)
        })
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self(FuncType {
            params: source.at("1").load("type-params")?,
            results: source.at("2").load("type-result")?,
        }))
    }
}

impl Stored for FuncInst {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Host { ty, name } => target.tagged("Host", |target| {
                target.store("1", ty)?;
                target.at("2", |target| target.leaf("name", name))
            }),
            Self::Native { ty, module, func } => target.tagged("Native", |target| {
                target.store("1", ty)?;
                target.at("2", |target| target.leaf("module", module))?;
                target.at("3", |target| target.leaf("ftype", &func.ftype))?;
                target.at("4", |target| target.store("locals", &mut func.locals))?;
                target.leaf("5", &func.body)
            }),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        match source.tag()?.as_str() {
            "Host" => Ok(Self::Host {
                ty: at.load("1")?,
                name: at.at("2").leaf("name")?,
            }),
            "Native" => Ok(Self::Native {
                ty: at.load("1")?,
                module: at.at("2").leaf("module")?,
                func: Func {
                    ftype: at.at("3").leaf("ftype")?,
                    locals: at.at("4").load("locals")?,
                    body: at.leaf("5")?,
                },
            }),
            other => Err(source.unknown_tag(other)),
        }
    }

    fn tree(&mut self) -> Result<Tree, Fault> {
        instance_tree(self)
    }
}

impl Stored for Ref {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Func(func) => target.tagged("FuncRef", |target| func.store(target)),
            Self::Extern(value) => target.tagged("ExternRef", |target| target.leaf("", value)),
            Self::Null(ty) => target.tagged("NullRef", |target| target.leaf("", ty)),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        match source.tag()?.as_str() {
            "FuncRef" => Ok(Self::Func(Box::new(FuncInst::load(&at)?))),
            "ExternRef" => Ok(Self::Extern(at.leaf("")?)),
            "NullRef" => Ok(Self::Null(at.leaf("")?)),
            other => Err(source.unknown_tag(other)),
        }
    }

    fn tree(&mut self) -> Result<Tree, Fault> {
        reference_tree(self)
    }
}

impl Stored for Value {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Num(num) => target.tagged("NumType", |target| target.leaf("", num)),
            Self::V128(vec) => target.tagged("VecType V128Type", |target| target.leaf("", vec)),
            Self::Ref(reference) => target.tagged("RefType", |target| reference.store(target)),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        match source.tag()?.as_str() {
            "NumType" => Ok(Self::Num(at.leaf("")?)),
            "VecType V128Type" => Ok(Self::V128(at.leaf("")?)),
            "RefType" => Ok(Self::Ref(Ref::load(&at)?)),
            other => Err(source.unknown_tag(other)),
        }
    }
}

fn store_limits(limits: &Limits, target: &mut Target<'_>) -> Result<(), Fault> {
    target.at("1", |target| target.leaf("min", &limits.min))?;
    target.at("2", |target| target.leaf_option("max", limits.max.as_ref()))
}

fn load_limits(source: &Source) -> Result<Limits, Fault> {
    Ok(Limits {
        min: source.at("1").leaf("min")?,
        max: source.at("2").leaf_option("max")?,
    })
}

impl Stored for MemoryInst {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        store_limits(&self.ty.0, target)?;
        target.at("3", |target| target.store("chunks", &mut self.chunks))
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let limits = load_limits(source)?;
        let chunks = source.at("3").load("chunks")?;
        if !limits.is_valid() {
            return Err(Exception::MemoryType.into());
        }
        Ok(Self {
            ty: MemoryType(limits),
            chunks,
        })
    }
}

impl Stored for TableInst {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        store_limits(&self.ty.limits, target)?;
        target.at("3", |target| target.store("refs", &mut self.refs))?;
        target.at("4", |target| target.leaf("ref-type", &self.ty.element))
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let limits = load_limits(source)?;
        let refs = source.at("3").load("refs")?;
        let element = source.at("4").leaf("ref-type")?;
        if !limits.is_valid() {
            return Err(Exception::TableType.into());
        }
        Ok(Self {
            ty: TableType { limits, element },
            refs,
        })
    }
}

impl Stored for GlobalInst {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.at("1", |target| target.leaf("type", &self.mutability))?;
        target.at("2", |target| target.store("value", &mut self.value))
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            mutability: source.at("1").leaf("type")?,
            value: source.at("2").load("value")?,
        })
    }
}

impl Stored for ElemInst {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.store("refs", &mut self.refs)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            refs: source.load("refs")?,
        })
    }
}

impl Stored for Extern {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Func(func) => target.tagged("ExternFunc", |target| func.store(target)),
            Self::Table(table) => target.tagged("ExternTable", |target| table.store(target)),
            Self::Memory(memory) => target.tagged("ExternMemory", |target| memory.store(target)),
            Self::Global(global) => target.tagged("ExternGlobal", |target| global.store(target)),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        match source.tag()?.as_str() {
            "ExternFunc" => Ok(Self::Func(FuncInst::load(&at)?)),
            "ExternTable" => Ok(Self::Table(TableInst::load(&at)?)),
            "ExternMemory" => Ok(Self::Memory(MemoryInst::load(&at)?)),
            "ExternGlobal" => Ok(Self::Global(GlobalInst::load(&at)?)),
            other => Err(source.unknown_tag(other)),
        }
    }
}

impl Stored for ModuleInst {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.at("1", |target| target.store("types", &mut self.types))?;
        target.at("2", |target| target.store("functions", &mut self.funcs))?;
        target.at("3", |target| target.store("tables", &mut self.tables))?;
        target.at("4", |target| target.store("memories", &mut self.memories))?;
        target.at("5", |target| target.store("globals", &mut self.globals))?;
        target.store("6", &mut self.exports)?;
        target.at("7", |target| target.store("elements", &mut self.elems))?;
        target.at("8", |target| target.store("datas", &mut self.datas))?;
        target.store("9", &mut self.allocations)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            types: source.at("1").load("types")?,
            funcs: source.at("2").load("functions")?,
            tables: source.at("3").load("tables")?,
            memories: source.at("4").load("memories")?,
            globals: source.at("5").load("globals")?,
            exports: source.load("6")?,
            elems: source.at("7").load("elements")?,
            datas: source.at("8").load("datas")?,
            allocations: source.load("9")?,
        })
    }
}
