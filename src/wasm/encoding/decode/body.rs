//! Expressions and function bodies.

use crate::wasm::decode::{BlockKont, CodeKont, InstrBlockKont, LazyStack, LocalGroup};
use crate::wasm::encoding::{Source, Stored, Target};
use crate::wasm::fault::Fault;

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
