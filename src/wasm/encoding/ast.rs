//! Parts of modules.

use super::functions::func_tree;
use crate::merkle::Tree;
use crate::wasm::ast::{Allocations, Data, Elem, Export, Func, FuncType, Import, Module};
use crate::wasm::encoding::{Source, Stored, Style, Target};
use crate::wasm::fault::Fault;

/// The declared spelling; instances spell the same fields with dashes.
impl Stored for FuncType {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.at("1", |target| target.store("type_params", &mut self.params))?;
        target.at("2", |target| target.store("type_result", &mut self.results))
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            params: source.at("1").load("type_params")?,
            results: source.at("2").load("type_result")?,
        })
    }
}

impl Stored for Func {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.leaf("ftype", &self.ftype)?;
        target.store("locals", &mut self.locals)?;
        target.leaf("body", &self.body)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            ftype: source.leaf("ftype")?,
            locals: source.load("locals")?,
            body: source.leaf("body")?,
        })
    }

    fn tree(&mut self) -> Result<Tree, Fault> {
        func_tree(self)
    }
}

impl Stored for Import {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.leaf("module_name", &self.module)?;
        target.leaf("item_name", &self.item)?;
        target.leaf("idesc", &self.desc)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            module: source.leaf("module_name")?,
            item: source.leaf("item_name")?,
            desc: source.leaf("idesc")?,
        })
    }
}

impl Stored for Export {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.leaf("name", &self.name)?;
        target.leaf("edesc", &self.desc)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            name: source.leaf("name")?,
            desc: source.leaf("edesc")?,
        })
    }
}

impl Stored for Elem {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.leaf("ref_type", &self.ty)?;
        target.store("einit", &mut self.init)?;
        target.leaf("mode", &self.mode)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            ty: source.leaf("ref_type")?,
            init: source.load("einit")?,
            mode: source.leaf("mode")?,
        })
    }
}

impl Stored for Data {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.leaf("dinit", &self.init)?;
        target.leaf("dmode", &self.mode)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            init: source.leaf("dinit")?,
            mode: source.leaf("dmode")?,
        })
    }
}

impl Stored for Allocations {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        if target.style() == Style::Changed {
            self.hash_changed()?;
        }
        target.at("1", |target| target.store("block-table", &mut self.blocks))?;
        target.at("2", |target| target.store("datas-table", &mut self.datas))
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            blocks: source.at("1").load("block-table")?,
            datas: source.at("2").load("datas-table")?,
        })
    }
}

impl Stored for Module {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.at("module", |target| {
            target.store("types", &mut self.types)?;
            target.store("globals", &mut self.globals)?;
            target.store("tables", &mut self.tables)?;
            target.store("memories", &mut self.memories)?;
            target.store("funcs", &mut self.funcs)?;
            target.leaf_option("start", self.start.as_ref())?;
            target.store("elem_segments", &mut self.elems)?;
            target.store("data_segments", &mut self.datas)?;
            target.store("imports", &mut self.imports)?;
            target.store("exports", &mut self.exports)
        })?;
        self.allocations.store(target)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let module = source.at("module");
        Ok(Self {
            types: module.load("types")?,
            globals: module.load("globals")?,
            tables: module.load("tables")?,
            memories: module.load("memories")?,
            funcs: module.load("funcs")?,
            start: module.leaf_option("start")?,
            elems: module.load("elem_segments")?,
            datas: module.load("data_segments")?,
            imports: module.load("imports")?,
            exports: module.load("exports")?,
            allocations: Allocations::load(source)?,
        })
    }
}
