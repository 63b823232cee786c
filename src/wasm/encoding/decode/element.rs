//! Elements of the other sections, and the names and bytes in them.

use crate::codec::{DecodeError, Reader, Writer};
use crate::wasm::decode::{
    ByteVectorKont, DataKont, ElemKont, ExportKont, FuncTypeKont, ImportKont, NameKont,
};
use crate::wasm::encoding::{Leaf, Source, Stored, Target};
use crate::wasm::fault::Fault;

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
