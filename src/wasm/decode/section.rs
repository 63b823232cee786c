//! Elements of sections that take several ticks each.

use super::types::{elem_kind, end, export_desc, import_desc, ref_type, value_type};
use super::{
    BlockKont, ByteVectorKont, CodeKont, DataKont, ElemKont, ExportKont, Filling, FuncTypeKont,
    ImportKont, IndexKind, LocalGroup, NameKont, Size, Stream, block, name,
};
use crate::wasm::ast::{
    Allocations, Data, DataLabel, Elem, Export, Func, FuncType, Import, Instr, RefType, SegmentMode,
};
use crate::wasm::fault::{DecodeStep, Exception, Fault};
use crate::wasm::lazy::LazyBytes;

fn cannot<T>(step: DecodeStep) -> Result<T, Fault> {
    Err(Exception::DecodeStep(step).into())
}

pub(super) fn size(s: &mut Stream<'_>) -> Result<Size, Fault> {
    let size = s.length()?;
    Ok(Size {
        size,
        start: s.pos(),
    })
}

pub(super) fn check_size(s: &Stream<'_>, size: Size) -> Result<(), Fault> {
    if i64::from(s.pos()) == i64::from(size.start) + i64::from(size.size) {
        return Ok(());
    }
    Err(Fault::located("section size mismatch"))
}

pub(super) fn func_type(s: &mut Stream<'_>, kont: FuncTypeKont) -> Result<FuncTypeKont, Fault> {
    match kont {
        FuncTypeKont::Start => {
            let form = s.vs7()?;
            let count = s.length()?;
            if form != -0x20 {
                return Err(Fault::located("malformed function type"));
            }
            Ok(FuncTypeKont::Ins(Filling::new(count)))
        }
        FuncTypeKont::Ins(ins) if ins.is_full() => {
            let count = s.length()?;
            Ok(FuncTypeKont::Out(ins.vector, Filling::new(count)))
        }
        FuncTypeKont::Ins(mut ins) => {
            ins.push(value_type(s)?)?;
            Ok(FuncTypeKont::Ins(ins))
        }
        FuncTypeKont::Out(params, out) if out.is_full() => Ok(FuncTypeKont::Stop(FuncType {
            params,
            results: out.vector,
        })),
        FuncTypeKont::Out(params, mut out) => {
            out.push(value_type(s)?)?;
            Ok(FuncTypeKont::Out(params, out))
        }
        FuncTypeKont::Stop(_) => cannot(DecodeStep::FuncType),
    }
}

pub(super) fn import(s: &mut Stream<'_>, kont: ImportKont) -> Result<ImportKont, Fault> {
    match kont {
        ImportKont::Start => Ok(ImportKont::ModuleName(NameKont::Start)),
        ImportKont::ModuleName(NameKont::Stop(module)) => {
            Ok(ImportKont::ItemName(module, NameKont::Start))
        }
        ImportKont::ModuleName(kont) => name::step(s, kont).map(ImportKont::ModuleName),
        ImportKont::ItemName(module, NameKont::Stop(item)) => {
            let desc = import_desc(s)?;
            Ok(ImportKont::Stop(Import { module, item, desc }))
        }
        ImportKont::ItemName(module, kont) => {
            name::step(s, kont).map(|kont| ImportKont::ItemName(module, kont))
        }
        ImportKont::Stop(_) => cannot(DecodeStep::Import),
    }
}

pub(super) fn export(s: &mut Stream<'_>, kont: ExportKont) -> Result<ExportKont, Fault> {
    match kont {
        ExportKont::Start => Ok(ExportKont::Name(NameKont::Start)),
        ExportKont::Name(NameKont::Stop(name)) => {
            let desc = export_desc(s)?;
            Ok(ExportKont::Stop(Export { name, desc }))
        }
        ExportKont::Name(kont) => name::step(s, kont).map(ExportKont::Name),
        ExportKont::Stop(_) => cannot(DecodeStep::Export),
    }
}

/// Locals of one function must stay below this number.
const LOCALS: u64 = 1 << 32;

pub(super) fn code(
    s: &mut Stream<'_>,
    allocations: &mut Allocations,
    kont: CodeKont,
) -> Result<CodeKont, Fault> {
    match kont {
        CodeKont::Start => {
            let left = s.pos();
            let size = size(s)?;
            let pos = s.pos();
            let count = s.length()?;
            Ok(CodeKont::LocalsParse {
                left,
                size,
                pos,
                groups: Filling::new(count),
                total: 0,
            })
        }
        CodeKont::LocalsParse {
            left,
            size,
            pos,
            groups,
            total,
        } => locals_parse(s, (left, size, pos), groups, total),
        CodeKont::LocalsAccumulate {
            left,
            size,
            pos,
            groups,
            current,
            locals,
        } => locals_accumulate((left, size, pos), groups, current, locals),
        CodeKont::Body {
            size,
            locals,
            block: BlockKont::Stop(body),
            ..
        } => {
            end(s)?;
            check_size(s, size)?;
            // The type index comes from the function section, later.
            Ok(CodeKont::Stop(Func {
                ftype: -1,
                locals,
                body,
            }))
        }
        CodeKont::Body {
            left,
            size,
            locals,
            block,
        } => Ok(CodeKont::Body {
            left,
            size,
            locals,
            block: block::step(s, allocations, block)?,
        }),
        CodeKont::Stop(_) => cannot(DecodeStep::Code),
    }
}

fn locals_parse(
    s: &mut Stream<'_>,
    (left, size, pos): (i32, Size, i32),
    mut groups: Filling<LocalGroup>,
    total: i64,
) -> Result<CodeKont, Fault> {
    if groups.is_full() {
        if total as u64 >= LOCALS {
            return Err(Fault::located("too many locals"));
        }
        return Ok(CodeKont::LocalsAccumulate {
            left,
            size,
            pos,
            groups: Filling::over(groups.vector),
            current: None,
            locals: Filling::new(total as i32),
        });
    }
    let count = s.vu32()?;
    let ty = value_type(s)?;
    groups.push(LocalGroup { count, ty })?;
    Ok(CodeKont::LocalsParse {
        left,
        size,
        pos,
        groups,
        total: total.wrapping_add(i64::from(count as u32)),
    })
}

fn locals_accumulate(
    (left, size, pos): (i32, Size, i32),
    mut groups: Filling<LocalGroup>,
    current: Option<LocalGroup>,
    mut locals: Filling<crate::wasm::ast::ValueType>,
) -> Result<CodeKont, Fault> {
    if locals.is_full() {
        return Ok(CodeKont::Body {
            left,
            size,
            locals: locals.vector,
            block: BlockKont::Start,
        });
    }
    let current = match current {
        None | Some(LocalGroup { count: 0, .. }) => {
            let group = *groups.vector.get(groups.offset)?;
            groups.offset = groups.offset.wrapping_add(1);
            group
        }
        Some(LocalGroup { count, ty }) => {
            locals.push(ty)?;
            LocalGroup {
                count: count.wrapping_sub(1),
                ty,
            }
        }
    };
    Ok(CodeKont::LocalsAccumulate {
        left,
        size,
        pos,
        groups,
        current: Some(current),
        locals,
    })
}

fn elem_start(s: &mut Stream<'_>) -> Result<ElemKont, Fault> {
    let flag = s.vu32()?;
    let active = |left, index, kind, early, offset_pos| ElemKont::Mode {
        left,
        index,
        kind,
        early,
        offset_pos,
        offset: BlockKont::Start,
    };
    let left = s.pos();
    match flag {
        0 => Ok(active(
            left,
            0,
            IndexKind::Indexed,
            Some(RefType::Func),
            left,
        )),
        4 => Ok(active(left, 0, IndexKind::Const, Some(RefType::Func), left)),
        2 | 6 => {
            let index = s.vu32()?;
            let kind = if flag == 2 {
                IndexKind::Indexed
            } else {
                IndexKind::Const
            };
            Ok(active(left, index, kind, None, s.pos()))
        }
        1 | 3 => {
            let ty = elem_kind(s)?;
            let init = Filling::new(s.length()?);
            let mode = if flag == 1 {
                SegmentMode::Passive
            } else {
                SegmentMode::Declarative
            };
            Ok(ElemKont::InitIndexed { mode, ty, init })
        }
        5 | 7 => {
            let ty = ref_type(s)?;
            let init = Filling::new(s.length()?);
            let mode = if flag == 5 {
                SegmentMode::Passive
            } else {
                SegmentMode::Declarative
            };
            Ok(ElemKont::InitConst {
                mode,
                ty,
                init,
                pos: s.pos(),
                block: BlockKont::Start,
            })
        }
        _ => Err(Fault::located("malformed elements segment kind")),
    }
}

pub(super) fn elem(
    s: &mut Stream<'_>,
    allocations: &mut Allocations,
    kont: ElemKont,
) -> Result<ElemKont, Fault> {
    match kont {
        ElemKont::Start => elem_start(s),
        ElemKont::Mode {
            index,
            kind,
            early,
            offset: BlockKont::Stop(offset),
            ..
        } => {
            end(s)?;
            let mode = SegmentMode::Active { index, offset };
            elem_offset_done(s, mode, kind, early)
        }
        ElemKont::Mode {
            left,
            index,
            kind,
            early,
            offset_pos,
            offset,
        } => Ok(ElemKont::Mode {
            left,
            index,
            kind,
            early,
            offset_pos,
            offset: block::step(s, allocations, offset)?,
        }),
        ElemKont::InitConst { mode, ty, init, .. } | ElemKont::InitIndexed { mode, ty, init }
            if init.is_full() =>
        {
            Ok(ElemKont::Stop(Elem {
                ty,
                init: init.vector,
                mode,
            }))
        }
        ElemKont::InitIndexed { mode, ty, mut init } => {
            let function = s.vu32()?;
            let block = allocations.open_block()?;
            allocations.add_instruction(block, Instr::RefFunc(function))?;
            init.push(block)?;
            Ok(ElemKont::InitIndexed { mode, ty, init })
        }
        ElemKont::InitConst {
            mode,
            ty,
            mut init,
            block: BlockKont::Stop(block),
            ..
        } => {
            end(s)?;
            init.push(block)?;
            Ok(ElemKont::InitConst {
                mode,
                ty,
                init,
                pos: s.pos(),
                block: BlockKont::Start,
            })
        }
        ElemKont::InitConst {
            mode,
            ty,
            init,
            pos,
            block,
        } => Ok(ElemKont::InitConst {
            mode,
            ty,
            init,
            pos,
            block: block::step(s, allocations, block)?,
        }),
        ElemKont::Stop(_) => cannot(DecodeStep::Elem),
    }
}

fn elem_offset_done(
    s: &mut Stream<'_>,
    mode: SegmentMode,
    kind: IndexKind,
    early: Option<RefType>,
) -> Result<ElemKont, Fault> {
    let ty = match (early, kind) {
        (Some(ty), _) => ty,
        (None, IndexKind::Indexed) => elem_kind(s)?,
        (None, IndexKind::Const) => ref_type(s)?,
    };
    let init = Filling::new(s.length()?);
    Ok(match kind {
        IndexKind::Indexed => ElemKont::InitIndexed { mode, ty, init },
        IndexKind::Const => ElemKont::InitConst {
            mode,
            ty,
            init,
            pos: s.pos(),
            block: BlockKont::Start,
        },
    })
}

fn data_start(s: &mut Stream<'_>) -> Result<DataKont, Fault> {
    let flag = s.vu32()?;
    let left = s.pos();
    let index = match flag {
        0 => 0,
        1 => {
            return Ok(DataKont::Init {
                mode: SegmentMode::Passive,
                bytes: ByteVectorKont::Start,
            });
        }
        2 => s.vu32()?,
        _ => return Err(Fault::located("malformed data segment kind")),
    };
    Ok(DataKont::Mode {
        left,
        index,
        offset_pos: s.pos(),
        offset: BlockKont::Start,
    })
}

pub(super) fn data(
    s: &mut Stream<'_>,
    allocations: &mut Allocations,
    kont: DataKont,
) -> Result<DataKont, Fault> {
    match kont {
        DataKont::Start => data_start(s),
        DataKont::Mode {
            index,
            offset: BlockKont::Stop(offset),
            ..
        } => {
            end(s)?;
            Ok(DataKont::Init {
                mode: SegmentMode::Active { index, offset },
                bytes: ByteVectorKont::Start,
            })
        }
        DataKont::Mode {
            left,
            index,
            offset_pos,
            offset,
        } => Ok(DataKont::Mode {
            left,
            index,
            offset_pos,
            offset: block::step(s, allocations, offset)?,
        }),
        DataKont::Init {
            mode,
            bytes: ByteVectorKont::Stop(init),
        } => Ok(DataKont::Stop(Data { init, mode })),
        DataKont::Init { mode, bytes } => Ok(DataKont::Init {
            mode,
            bytes: byte_vector(s, allocations, bytes)?,
        }),
        DataKont::Stop(_) => cannot(DecodeStep::Data),
    }
}

fn byte_vector(
    s: &mut Stream<'_>,
    allocations: &mut Allocations,
    kont: ByteVectorKont,
) -> Result<ByteVectorKont, Fault> {
    match kont {
        ByteVectorKont::Start => {
            let length = i64::from(s.length()?);
            let label = allocations.datas.append(LazyBytes::zeroed(length))?;
            Ok(ByteVectorKont::Read {
                label: DataLabel(label),
                pos: 0,
                length,
            })
        }
        ByteVectorKont::Read { label, pos, length } if pos >= length => {
            Ok(ByteVectorKont::Stop(label))
        }
        ByteVectorKont::Read { label, pos, length } => {
            let byte = s.byte()?;
            allocations.datas.write(label.0)?.set_byte(pos, byte)?;
            Ok(ByteVectorKont::Read {
                label,
                pos: pos.wrapping_add(1),
                length,
            })
        }
        ByteVectorKont::Stop(_) => cannot(DecodeStep::ByteVector),
    }
}
