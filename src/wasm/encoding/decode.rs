//! The parser's state (`binary_parser_encodings.ml`).

use crate::codec::{DecodeError, Reader, Writer};
use crate::wasm::decode::{
    BlockKont, BuildingState, ByteVectorKont, CodeKont, DataKont, DecodeKont, ElemKont, Element,
    ExportKont, Field, FieldVec, Filling, FuncTypeKont, ImportKont, InstrBlockKont, LazyStack,
    LocalGroup, ModuleKont, NameKont, Size,
};
use crate::wasm::encoding::{Leaf, Source, Stored, Target};
use crate::wasm::fault::Fault;
use crate::wasm::lazy::LazyVec;

impl<T: Stored> Stored for Filling<T> {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.leaf("offset", &self.offset)?;
        target.store("vector", &mut self.vector)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            offset: source.leaf("offset")?,
            vector: source.load("vector")?,
        })
    }
}

/// A section being filled has its name in the path.
fn store_field<T: Stored>(
    target: &mut Target<'_>,
    field: &'static str,
    filling: &mut Filling<T>,
) -> Result<(), Fault> {
    target.leaf("offset", &filling.offset)?;
    target.at("vector", |target| {
        target.at("module", |target| target.store(field, &mut filling.vector))
    })
}

fn load_field<T: Stored>(at: &Source, field: &'static str) -> Result<Filling<T>, Fault> {
    Ok(Filling {
        offset: at.leaf("offset")?,
        vector: at.at("vector").at("module").load(field)?,
    })
}

impl<T: Stored> Stored for LazyStack<T> {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.leaf("length", &self.length)?;
        target.store("vector", &mut self.vector)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            length: source.leaf("length")?,
            vector: source.load("vector")?,
        })
    }
}

impl Stored for Size {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        target.leaf("size", &self.size)?;
        target.leaf("start", &self.start)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            size: source.leaf("size")?,
            start: source.leaf("start")?,
        })
    }
}

impl Stored for ByteVectorKont {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Start => target.tagged("VKStart", Target::unit),
            Self::Read { label, pos, length } => target.tagged("VKRead", |target| {
                target.leaf("data_label", label)?;
                target.leaf("pos", pos)?;
                target.leaf("length", length)
            }),
            Self::Stop(label) => target.tagged("VKStop", |target| target.leaf("data_label", label)),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        Ok(match source.tag()?.as_str() {
            "VKStart" => at.bytes("").map(|_| Self::Start)?,
            "VKRead" => Self::Read {
                label: at.leaf("data_label")?,
                pos: at.leaf("pos")?,
                length: at.leaf("length")?,
            },
            "VKStop" => Self::Stop(at.leaf("data_label")?),
            other => return Err(source.unknown_tag(other)),
        })
    }
}

/// The bytes of a name so far, then their number again.
struct NameBuffer(Vec<u8>);

impl Leaf for NameBuffer {
    fn write(&self, out: &mut Writer) -> Result<(), Fault> {
        let length = i32::try_from(self.0.len())
            .map_err(|_| Fault::Unencodable("name buffer".to_owned()))?;
        out.dynamic(&self.0).i32(length);
        Ok(())
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let content = bytes.dynamic("name buffer", usize::MAX)?.to_vec();
        bytes.i32("length of the name buffer")?;
        Ok(Self(content))
    }
}

impl Stored for NameKont {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Start => target.tagged("NKStart", Target::unit),
            Self::Parse { pos, buffer, left } => target.tagged("NKParse", |target| {
                target.leaf("pos", pos)?;
                target.leaf("buffer", &NameBuffer(buffer.clone()))?;
                target.leaf("length", left)
            }),
            Self::Stop(name) => target.tagged("NKStop", |target| target.leaf("", name)),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        Ok(match source.tag()?.as_str() {
            "NKStart" => at.bytes("").map(|_| Self::Start)?,
            "NKParse" => Self::Parse {
                pos: at.leaf("pos")?,
                buffer: at.leaf::<NameBuffer>("buffer")?.0,
                left: at.leaf("length")?,
            },
            "NKStop" => Self::Stop(at.leaf("")?),
            other => return Err(source.unknown_tag(other)),
        })
    }
}

impl Stored for InstrBlockKont {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        let (tag, ty, pos) = match self {
            Self::Stop(label) => return target.tagged("IKStop", |t| t.leaf("", label)),
            Self::Next(label) => return target.tagged("IKNext", |t| t.leaf("", label)),
            Self::Block(ty, pos) => ("IKBlock", ty, pos),
            Self::Loop(ty, pos) => ("IKLoop", ty, pos),
            Self::If1(ty, pos) => ("IKIf1", ty, pos),
            Self::If2(ty, pos, then) => {
                return target.tagged("IKIf2", |target| {
                    target.leaf("type", ty)?;
                    target.leaf("pos", pos)?;
                    target.leaf("else", then)
                });
            }
        };
        target.tagged(tag, |target| {
            target.leaf("type", ty)?;
            target.leaf("pos", pos)
        })
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        Ok(match source.tag()?.as_str() {
            "IKStop" => Self::Stop(at.leaf("")?),
            "IKNext" => Self::Next(at.leaf("")?),
            "IKBlock" => Self::Block(at.leaf("type")?, at.leaf("pos")?),
            "IKLoop" => Self::Loop(at.leaf("type")?, at.leaf("pos")?),
            "IKIf1" => Self::If1(at.leaf("type")?, at.leaf("pos")?),
            "IKIf2" => Self::If2(at.leaf("type")?, at.leaf("pos")?, at.leaf("else")?),
            other => return Err(source.unknown_tag(other)),
        })
    }
}

impl Stored for BlockKont {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Start => target.tagged("BlockStart", Target::unit),
            Self::Parse(stack) => target.tagged("BlockParse", |target| stack.store(target)),
            Self::Stop(label) => target.tagged("BlockStop", |target| target.leaf("", label)),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        Ok(match source.tag()?.as_str() {
            "BlockStart" => at.bytes("").map(|_| Self::Start)?,
            "BlockParse" => Self::Parse(LazyStack::load(&at)?),
            "BlockStop" => Self::Stop(at.leaf("")?),
            other => return Err(source.unknown_tag(other)),
        })
    }
}

impl Stored for FuncTypeKont {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Start => target.tagged("FKStart", Target::unit),
            Self::Ins(ins) => target.tagged("FKIns", |target| target.store("ins_kont", ins)),
            Self::Out(params, out) => target.tagged("FKOut", |target| {
                target.store("params", params)?;
                target.store("lazy_kont", out)
            }),
            Self::Stop(ty) => target.tagged("FKStop", |target| ty.store(target)),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        Ok(match source.tag()?.as_str() {
            "FKStart" => at.bytes("").map(|_| Self::Start)?,
            "FKIns" => Self::Ins(at.load("ins_kont")?),
            "FKOut" => Self::Out(at.load("params")?, at.load("lazy_kont")?),
            "FKStop" => Self::Stop(Stored::load(&at)?),
            other => return Err(source.unknown_tag(other)),
        })
    }
}

impl Stored for ImportKont {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Start => target.tagged("ImpKStart", Target::unit),
            Self::ModuleName(name) => {
                target.tagged("ImpKModuleName", |target| target.store("module_name", name))
            }
            Self::ItemName(module, name) => target.tagged("ImpKItemName", |target| {
                target.at("1", |target| target.leaf("module_name", module))?;
                target.at("2", |target| target.store("item_name", name))
            }),
            Self::Stop(import) => target.tagged("ImpKStop", |target| import.store(target)),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        Ok(match source.tag()?.as_str() {
            "ImpKStart" => at.bytes("").map(|_| Self::Start)?,
            "ImpKModuleName" => Self::ModuleName(at.load("module_name")?),
            "ImpKItemName" => Self::ItemName(
                at.at("1").leaf("module_name")?,
                at.at("2").load("item_name")?,
            ),
            "ImpKStop" => Self::Stop(Stored::load(&at)?),
            other => return Err(source.unknown_tag(other)),
        })
    }
}

impl Stored for ExportKont {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Start => target.tagged("ExpKStart", Target::unit),
            Self::Name(name) => target.tagged("ExpKName", |target| name.store(target)),
            Self::Stop(export) => target.tagged("ExpKStop", |target| export.store(target)),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        Ok(match source.tag()?.as_str() {
            "ExpKStart" => at.bytes("").map(|_| Self::Start)?,
            "ExpKName" => Self::Name(NameKont::load(&at)?),
            "ExpKStop" => Self::Stop(Stored::load(&at)?),
            other => return Err(source.unknown_tag(other)),
        })
    }
}

impl Stored for LocalGroup {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        // The misspelling is the protocol's.
        target.leaf("occurences", &self.count)?;
        target.leaf("type", &self.ty)
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        Ok(Self {
            count: source.leaf("occurences")?,
            ty: source.leaf("type")?,
        })
    }
}

impl Stored for CodeKont {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Start => target.tagged("CKStart", Target::unit),
            Self::LocalsParse {
                left,
                size,
                pos,
                groups,
                total,
            } => target.tagged("CKLocalsParse", |target| {
                target.leaf("left", left)?;
                target.store("size", size)?;
                target.leaf("pos", pos)?;
                target.store("vec_kont", groups)?;
                target.leaf("locals_size", total)
            }),
            Self::LocalsAccumulate {
                left,
                size,
                pos,
                groups,
                current,
                locals,
            } => target.tagged("CKLocalsAccumulate", |target| {
                target.leaf("left", left)?;
                target.store("size", size)?;
                target.leaf("pos", pos)?;
                target.store("type_vec", groups)?;
                target.store("curr_type", current)?;
                target.store("vec_kont", locals)
            }),
            Self::Body {
                left,
                size,
                locals,
                block,
            } => target.tagged("CKBody", |target| {
                target.leaf("left", left)?;
                target.store("size", size)?;
                target.store("locals", locals)?;
                target.store("const_kont", block)
            }),
            Self::Stop(func) => target.tagged("CKStop", |target| func.store(target)),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        Ok(match source.tag()?.as_str() {
            "CKStart" => at.bytes("").map(|_| Self::Start)?,
            "CKLocalsParse" => Self::LocalsParse {
                left: at.leaf("left")?,
                size: at.load("size")?,
                pos: at.leaf("pos")?,
                groups: at.load("vec_kont")?,
                total: at.leaf("locals_size")?,
            },
            "CKLocalsAccumulate" => Self::LocalsAccumulate {
                left: at.leaf("left")?,
                size: at.load("size")?,
                pos: at.leaf("pos")?,
                groups: at.load("type_vec")?,
                current: at.load("curr_type")?,
                locals: at.load("vec_kont")?,
            },
            "CKBody" => Self::Body {
                left: at.leaf("left")?,
                size: at.load("size")?,
                locals: at.load("locals")?,
                block: at.load("const_kont")?,
            },
            "CKStop" => Self::Stop(Stored::load(&at)?),
            other => return Err(source.unknown_tag(other)),
        })
    }
}

impl Stored for ElemKont {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Start => target.tagged("EKStart", Target::unit),
            Self::Mode {
                left,
                index,
                kind,
                early,
                offset_pos,
                offset,
            } => target.tagged("EKMode", |target| {
                target.leaf("left", left)?;
                target.leaf("index", index)?;
                target.leaf("index_kind", kind)?;
                target.leaf_option("early_ref_type", early.as_ref())?;
                target.leaf("offset_kont", offset_pos)?;
                target.store("offset_kont_code", offset)
            }),
            Self::InitIndexed { mode, ty, init } => target.tagged("EKInitIndexed", |target| {
                target.leaf("mode", mode)?;
                target.leaf("ref_type", ty)?;
                target.store("einit_vec", init)
            }),
            Self::InitConst {
                mode,
                ty,
                init,
                pos,
                block,
            } => target.tagged("EKInitConst", |target| {
                target.leaf("mode", mode)?;
                target.leaf("ref_type", ty)?;
                target.store("einit_vec", init)?;
                target.leaf("einit_kont_pos", pos)?;
                target.store("einit_kont_block", block)
            }),
            Self::Stop(elem) => target.tagged("EKStop", |target| elem.store(target)),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        Ok(match source.tag()?.as_str() {
            "EKStart" => at.bytes("").map(|_| Self::Start)?,
            "EKMode" => Self::Mode {
                left: at.leaf("left")?,
                index: at.leaf("index")?,
                kind: at.leaf("index_kind")?,
                early: at.leaf_option("early_ref_type")?,
                offset_pos: at.leaf("offset_kont")?,
                offset: at.load("offset_kont_code")?,
            },
            "EKInitIndexed" => Self::InitIndexed {
                mode: at.leaf("mode")?,
                ty: at.leaf("ref_type")?,
                init: at.load("einit_vec")?,
            },
            "EKInitConst" => Self::InitConst {
                mode: at.leaf("mode")?,
                ty: at.leaf("ref_type")?,
                init: at.load("einit_vec")?,
                pos: at.leaf("einit_kont_pos")?,
                block: at.load("einit_kont_block")?,
            },
            "EKStop" => Self::Stop(Stored::load(&at)?),
            other => return Err(source.unknown_tag(other)),
        })
    }
}

impl Stored for DataKont {
    fn store(&mut self, target: &mut Target<'_>) -> Result<(), Fault> {
        match self {
            Self::Start => target.tagged("DKStart", Target::unit),
            Self::Mode {
                left,
                index,
                offset_pos,
                offset,
            } => target.tagged("DKMode", |target| {
                target.leaf("left", left)?;
                target.leaf("index", index)?;
                target.leaf("offset_kont", offset_pos)?;
                target.store("offset_kont_code", offset)
            }),
            Self::Init { mode, bytes } => target.tagged("DKInit", |target| {
                target.leaf("dmode", mode)?;
                target.store("init_kont", bytes)
            }),
            Self::Stop(data) => target.tagged("DKStop", |target| data.store(target)),
        }
    }

    fn load(source: &Source) -> Result<Self, Fault> {
        let at = source.payload();
        Ok(match source.tag()?.as_str() {
            "DKStart" => at.bytes("").map(|_| Self::Start)?,
            "DKMode" => Self::Mode {
                left: at.leaf("left")?,
                index: at.leaf("index")?,
                offset_pos: at.leaf("offset_kont")?,
                offset: at.load("offset_kont_code")?,
            },
            "DKInit" => Self::Init {
                mode: at.leaf("dmode")?,
                bytes: at.load("init_kont")?,
            },
            "DKStop" => Self::Stop(Stored::load(&at)?),
            other => return Err(source.unknown_tag(other)),
        })
    }
}

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
