//! From segments to the instructions that apply them.

use super::{JoinKont, MapConcat};
use crate::wasm::ast::{Data, Elem, Instr, Num, SegmentMode};
use crate::wasm::config::{Admin, ConcatKont, MapKont};
use crate::wasm::encoding::Stored;
use crate::wasm::fault::{Exception, Fault, InitStep};
use crate::wasm::instance::ModuleInst;
use crate::wasm::lazy::LazyVec;

impl JoinKont {
    /// The joined vector, once there is nothing left to do.
    pub(super) fn completed(&self) -> Option<LazyVec<Admin>> {
        match self {
            Self::Init(vectors) if vectors.is_empty() => Some(LazyVec::default()),
            Self::Stop(joined) => Some(joined.clone()),
            _ => None,
        }
    }

    pub(super) fn step(self) -> Result<Self, Fault> {
        match self {
            Self::Init(mut vectors) if vectors.len() > 1 => {
                let left = vectors.pop()?;
                let right = vectors.pop()?;
                Ok(Self::Next(ConcatKont::new(left, right)?, vectors))
            }
            Self::Init(mut vectors) if vectors.len() == 1 => {
                vectors.get(0).cloned().map(Self::Stop)
            }
            Self::Next(kont, rest) if kont.is_complete() && rest.is_empty() => {
                Ok(Self::Stop(kont.result))
            }
            Self::Next(kont, mut rest) if kont.is_complete() => {
                let next = rest.pop()?;
                Ok(Self::Next(ConcatKont::new(kont.result, next)?, rest))
            }
            Self::Next(mut kont, rest) => {
                kont.step()?;
                Ok(Self::Next(kont, rest))
            }
            Self::Init(_) | Self::Stop(_) => Err(Exception::InitStep(InitStep::Join).into()),
        }
    }
}

impl<A: Stored> MapConcat<A> {
    pub(super) fn new(origin: LazyVec<A>) -> Self {
        Self::Map(MapKont::new(origin))
    }

    pub(super) fn completed(&self) -> Option<LazyVec<Admin>> {
        match self {
            Self::Join(join) => join.completed(),
            Self::Map(_) => None,
        }
    }

    pub(super) fn step(
        self,
        map: impl FnOnce(i32, &mut A) -> Result<Vec<Admin>, Fault>,
    ) -> Result<Self, Fault> {
        match self {
            Self::Map(kont) if kont.is_complete() => {
                Ok(Self::Join(JoinKont::Init(kont.destination)))
            }
            Self::Map(mut kont) => {
                kont.step(|index, item| Ok(LazyVec::from_items(map(index, item)?)))?;
                Ok(Self::Map(kont))
            }
            Self::Join(join) => join.step().map(Self::Join),
        }
    }
}

fn plain(instr: Instr) -> Admin {
    Admin::Plain(instr)
}

fn constant(value: i32) -> Admin {
    plain(Instr::Const(Num::I32(value)))
}

/// Instructions of the element segment at `segment`.
pub(super) fn elem(segment: i32, elem: &Elem) -> Vec<Admin> {
    match elem.mode {
        SegmentMode::Passive => vec![],
        SegmentMode::Declarative => vec![plain(Instr::ElemDrop(segment))],
        SegmentMode::Active { index, offset } => vec![
            Admin::FromBlock(offset, 0),
            constant(0),
            constant(elem.init.len()),
            plain(Instr::TableInit {
                table: index,
                segment,
            }),
            plain(Instr::ElemDrop(segment)),
        ],
    }
}

/// Instructions of the data segment at `segment`.
pub(super) fn data(inst: &mut ModuleInst, segment: i32, data: &Data) -> Result<Vec<Admin>, Fault> {
    let (index, offset) = match data.mode {
        SegmentMode::Passive => return Ok(vec![]),
        SegmentMode::Declarative => {
            return Err(Exception::InitStep(InitStep::RunData).into());
        }
        SegmentMode::Active { index, offset } => (index, offset),
    };
    if index != 0 {
        return Err(second_memory());
    }
    let length = inst.allocations.datas.get(data.init.0)?.len();
    Ok(vec![
        Admin::FromBlock(offset, 0),
        constant(0),
        constant(length as i32),
        plain(Instr::MemoryInit(segment)),
        plain(Instr::DataDrop(segment)),
    ])
}

/// A failed assertion of the original: the text names the line of its source.
fn second_memory() -> Fault {
    Fault::Raised(Exception::Other {
        raw: "File \"src/lib_webassembly/exec/eval.ml\", line 1832, characters 6-12: Assertion \
              failed"
            .to_owned(),
        explanation: None,
        interpreter: false,
    })
}
