//! Sections, and the parser between two of them.

use super::{load_field, store_field};
use crate::wasm::decode::{BuildingState, DecodeKont, Element, Field, FieldVec, ModuleKont, Size};
use crate::wasm::encoding::{Source, Stored, Target};
use crate::wasm::fault::Fault;
use crate::wasm::lazy::LazyVec;

/// Section names as tags.
const FIELDS: &[(Field, &str)] = &[
    (Field::Type, "TypeField"),
    (Field::Import, "ImportField"),
    (Field::Func, "FuncField"),
    (Field::Table, "TableField"),
    (Field::Memory, "MemoryField"),
    (Field::Global, "GlobalField"),
    (Field::Export, "ExportField"),
    (Field::Start, "StartField"),
    (Field::Elem, "ElemField"),
    (Field::DataCount, "DataCountField"),
    (Field::Code, "CodeField"),
    (Field::Data, "DataField"),
];

impl Stored for Field {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        let name = FIELDS.iter().find(|(field, _)| field == self);
        let (_, name) = name.expect("the table names every section");
        target.tagged(name, Target::unit)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let tag = source.tag()?;
        source.payload().bytes("")?;
        FIELDS
            .iter()
            .find(|(_, name)| *name == tag)
            .map(|(field, _)| *field)
            .ok_or_else(|| source.unknown_tag(&tag))
    }
}

impl Stored for FieldVec {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Type(v) => target.tagged("TypeField", |t| store_field(t, "types", v)),
            Self::Import(v) => target.tagged("ImportField", |t| store_field(t, "imports", v)),
            Self::Func(v) => target.tagged("FuncField", |t| store_field(t, "funcs", v)),
            Self::Table(v) => target.tagged("TableField", |t| store_field(t, "tables", v)),
            Self::Memory(v) => target.tagged("MemoryField", |t| store_field(t, "memories", v)),
            Self::Global(v) => target.tagged("GlobalField", |t| store_field(t, "globals", v)),
            Self::Export(v) => target.tagged("ExportField", |t| store_field(t, "exports", v)),
            Self::Elem(v) => target.tagged("ElemField", |t| store_field(t, "elem_segments", v)),
            Self::Code(v) => target.tagged("CodeField", |t| store_field(t, "code", v)),
            Self::Data(v) => target.tagged("DataField", |t| store_field(t, "data_segments", v)),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        Ok(match source.tag()?.as_str() {
            "TypeField" => Self::Type(load_field(&at, "types")?),
            "ImportField" => Self::Import(load_field(&at, "imports")?),
            "FuncField" => Self::Func(load_field(&at, "funcs")?),
            "TableField" => Self::Table(load_field(&at, "tables")?),
            "MemoryField" => Self::Memory(load_field(&at, "memories")?),
            "GlobalField" => Self::Global(load_field(&at, "globals")?),
            "ExportField" => Self::Export(load_field(&at, "exports")?),
            "ElemField" => Self::Elem(load_field(&at, "elem_segments")?),
            "CodeField" => Self::Code(load_field(&at, "code")?),
            "DataField" => Self::Data(load_field(&at, "data_segments")?),
            other => return Err(source.unknown_tag(other)),
        })
    }
}

fn store_element<K: Stored, T: Stored>(
    target: &mut Target<'_>,
    (kont, field): (&'static str, &'static str),
    element: &mut Element<K, T>,
) -> Result<(), Fault> {
    target.store(kont, &mut element.kont)?;
    target.leaf("pos", &element.pos)?;
    target.store("size", &mut element.size)?;
    store_field(target, field, &mut element.vector)
}

fn load_element<K: Stored, T: Stored>(
    at: &Source,
    (kont, field): (&'static str, &'static str),
) -> Result<Element<K, T>, Fault> {
    Ok(Element {
        kont: at.load(kont)?,
        pos: at.leaf("pos")?,
        size: at.load("size")?,
        vector: load_field(at, field)?,
    })
}

const TYPES: (&str, &str) = ("func_type_kont", "types");
const IMPORT: (&str, &str) = ("import_kont", "imports");
const EXPORT: (&str, &str) = ("export_kont", "exports");
const GLOBAL: (&str, &str) = ("block_kont", "globals");
const ELEM: (&str, &str) = ("elem_kont", "elem_segments");
const DATA: (&str, &str) = ("data_kont", "data_segments");
const CODE: (&str, &str) = ("code_kont", "code");

/// The optional vector of elaborated functions, with its path below the tag.
#[derive(Clone)]
struct BuiltFuncs(LazyVec<crate::wasm::ast::Func>);

impl Stored for BuiltFuncs {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.at("module", |target| target.store("funcs", &mut self.0))
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        source.at("module").load("funcs").map(Self)
    }
}

impl Stored for ModuleKont {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Start => target.tagged("MKStart", Target::unit),
            Self::SkipCustom(next) => target.tagged("MKSkipCustom", |target| next.store(target)),
            Self::FieldStart(field) => target.tagged("MKFieldStart", |t| field.store(t)),
            Self::Field(vector, size) => target.tagged("MKField", |target| {
                vector.store(target)?;
                size.store(target)
            }),
            Self::Types(e) => target.tagged("MKTypes", |t| store_element(t, TYPES, e)),
            Self::Import(e) => target.tagged("MKImport", |t| store_element(t, IMPORT, e)),
            Self::Export(e) => target.tagged("MKExport", |t| store_element(t, EXPORT, e)),
            Self::Global(ty, element) => target.tagged("MKGlobal", |target| {
                target.leaf("global_type", ty)?;
                target.leaf("pos", &element.pos)?;
                target.store("block_kont", &mut element.kont)?;
                target.store("size", &mut element.size)?;
                store_field(target, GLOBAL.1, &mut element.vector)
            }),
            Self::Elem(e) => target.tagged("MKElem", |t| store_element(t, ELEM, e)),
            Self::Data(e) => target.tagged("MKData", |t| store_element(t, DATA, e)),
            Self::Code(e) => target.tagged("MKCode", |t| store_element(t, CODE, e)),
            Self::ElaborateFunc {
                types,
                bodies,
                done,
                scan,
                no_datas,
            } => target.tagged("MKElaborateFunc", |target| {
                target.at("module", |target| {
                    target.store("funcs", types)?;
                    target.store("code", bodies)
                })?;
                target.store("func_kont", done)?;
                target.store("instr_kont", scan)?;
                target.leaf("no-datas-in-funcs", no_datas)
            }),
            Self::Build { funcs, no_datas } => target.tagged("MKBuild", |target| {
                let mut built = funcs.take().map(BuiltFuncs);
                let written = built.store(target);
                *funcs = built.map(|built| built.0);
                written?;
                target.leaf("no-datas-in-funcs", no_datas)
            }),
            Self::Stop(module) => target.tagged("MKStop", |target| module.store(target)),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        Ok(match source.tag()?.as_str() {
            "MKStart" => at.bytes("").map(|_| Self::Start)?,
            "MKSkipCustom" => Self::SkipCustom(Stored::load(&at)?),
            "MKFieldStart" => Self::FieldStart(Stored::load(&at)?),
            "MKField" => Self::Field(Stored::load(&at)?, Size::load(&at)?),
            "MKTypes" => Self::Types(load_element(&at, TYPES)?),
            "MKImport" => Self::Import(load_element(&at, IMPORT)?),
            "MKExport" => Self::Export(load_element(&at, EXPORT)?),
            "MKGlobal" => Self::Global(at.leaf("global_type")?, load_element(&at, GLOBAL)?),
            "MKElem" => Self::Elem(load_element(&at, ELEM)?),
            "MKData" => Self::Data(load_element(&at, DATA)?),
            "MKCode" => Self::Code(load_element(&at, CODE)?),
            "MKElaborateFunc" => Self::ElaborateFunc {
                types: at.at("module").load("funcs")?,
                bodies: at.at("module").load("code")?,
                done: at.load("func_kont")?,
                scan: at.load("instr_kont")?,
                no_datas: at.leaf("no-datas-in-funcs")?,
            },
            "MKBuild" => Self::Build {
                funcs: Option::<BuiltFuncs>::load(&at)?.map(|built| built.0),
                no_datas: at.leaf("no-datas-in-funcs")?,
            },
            "MKStop" => Self::Stop(Stored::load(&at)?),
            other => return Err(source.unknown_tag(other)),
        })
    }
}

impl Stored for BuildingState {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.store("types", &mut self.types)?;
        target.store("imports", &mut self.imports)?;
        target.store("vars", &mut self.vars)?;
        target.store("tables", &mut self.tables)?;
        target.store("memories", &mut self.memories)?;
        target.store("globals", &mut self.globals)?;
        target.store("exports", &mut self.exports)?;
        target.leaf_option("start", self.start.as_ref())?;
        target.store("elems", &mut self.elems)?;
        target.leaf_option("data_count", self.data_count.as_ref())?;
        target.store("code", &mut self.code)?;
        target.store("datas", &mut self.datas)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            types: source.load("types")?,
            imports: source.load("imports")?,
            vars: source.load("vars")?,
            tables: source.load("tables")?,
            memories: source.load("memories")?,
            globals: source.load("globals")?,
            exports: source.load("exports")?,
            start: source.leaf_option("start")?,
            elems: source.load("elems")?,
            data_count: source.leaf_option("data_count")?,
            code: source.load("code")?,
            datas: source.load("datas")?,
        })
    }
}

impl Stored for DecodeKont {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.store("building_state", &mut self.building)?;
        target.store("module_kont", &mut self.kont)?;
        target.store("allocation_state", &mut self.allocations)?;
        target.leaf("stream_pos", &self.stream_pos)?;
        target.leaf("stream_name", &self.stream_name)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            building: source.load("building_state")?,
            kont: source.load("module_kont")?,
            allocations: source.load("allocation_state")?,
            stream_pos: source.leaf("stream_pos")?,
            stream_name: source.leaf("stream_name")?,
        })
    }
}
