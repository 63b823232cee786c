//! The parser's tick: sections in order, then joining functions with their types.

use super::section::{check_size, size};
use super::types::{global_type, memory_type, table_type};
use super::{
    Binary, BlockKont, CodeKont, DataKont, DecodeKont, ElemKont, Element, ExportKont, Field,
    FieldVec, Filling, FuncTypeKont, ImportKont, ModuleKont, Size, Stream, block, name, section,
};
use crate::crypto::Hash;
use crate::wasm::ast::{Allocations, BlockLabel, Func, Global, Instr, Module};
use crate::wasm::fault::{DecodeStep, Exception, Fault};
use crate::wasm::lazy::LazyVec;

const MAGIC: [u8; 4] = *b"\0asm";
const VERSION: [u8; 4] = [1, 0, 0, 0];

impl Field {
    /// The section's number in a binary.
    const fn id(self) -> u8 {
        match self {
            Self::Type => 1,
            Self::Import => 2,
            Self::Func => 3,
            Self::Table => 4,
            Self::Memory => 5,
            Self::Global => 6,
            Self::Export => 7,
            Self::Start => 8,
            Self::Elem => 9,
            Self::Code => 10,
            Self::Data => 11,
            Self::DataCount => 12,
        }
    }

    /// The section looked for next.
    const fn next(self) -> Option<Self> {
        match self {
            Self::Type => Some(Self::Import),
            Self::Import => Some(Self::Func),
            Self::Func => Some(Self::Table),
            Self::Table => Some(Self::Memory),
            Self::Memory => Some(Self::Global),
            Self::Global => Some(Self::Export),
            Self::Export => Some(Self::Start),
            Self::Start => Some(Self::Elem),
            Self::Elem => Some(Self::DataCount),
            Self::DataCount => Some(Self::Code),
            Self::Code => Some(Self::Data),
            Self::Data => None,
        }
    }

    /// Room for `count` elements; none for the two sections of one value.
    fn room(self, count: i32) -> Option<FieldVec> {
        Some(match self {
            Self::Type => FieldVec::Type(Filling::new(count)),
            Self::Import => FieldVec::Import(Filling::new(count)),
            Self::Func => FieldVec::Func(Filling::new(count)),
            Self::Table => FieldVec::Table(Filling::new(count)),
            Self::Memory => FieldVec::Memory(Filling::new(count)),
            Self::Global => FieldVec::Global(Filling::new(count)),
            Self::Export => FieldVec::Export(Filling::new(count)),
            Self::Elem => FieldVec::Elem(Filling::new(count)),
            Self::Code => FieldVec::Code(Filling::new(count)),
            Self::Data => FieldVec::Data(Filling::new(count)),
            Self::Start | Self::DataCount => return None,
        })
    }
}

/// The number of the section that comes next.
fn section_id(s: &mut Stream<'_>) -> Result<Option<u8>, Fault> {
    match s.peek()? {
        Some(13..) => Err(Fault::located("malformed section id")),
        id => Ok(id),
    }
}

impl DecodeKont {
    /// One tick of the parser.
    ///
    /// After an error the state must not be used any more.
    ///
    /// # Errors
    /// [`Fault`]; an exception leaves the machine stuck with an error of this phase.
    pub fn step(&mut self, binary: &mut dyn Binary) -> Result<(), Fault> {
        let mut stream = Stream::new(binary, self.stream_pos);
        let kont = std::mem::replace(&mut self.kont, ModuleKont::Start);
        self.kont = self.advance(&mut stream, kont)?;
        self.stream_pos = stream.pos();
        Ok(())
    }

    /// The module, once parsing is done.
    #[must_use]
    pub const fn module(&self) -> Option<&Module> {
        match &self.kont {
            ModuleKont::Stop(module) => Some(module),
            _ => None,
        }
    }

    /// The same, to write it to a tree.
    pub const fn module_mut(&mut self) -> Option<&mut Module> {
        match &mut self.kont {
            ModuleKont::Stop(module) => Some(module),
            _ => None,
        }
    }

    /// Takes it that the directory of all blocks has this hash, once no block is to come.
    pub fn believe(&mut self, table: Hash) {
        match &mut self.kont {
            ModuleKont::Stop(module) => module.allocations.blocks.believe(table),
            ModuleKont::ElaborateFunc { .. } | ModuleKont::Build { .. } => {}
            _ => return,
        }
        self.allocations.blocks.believe(table);
    }

    fn advance(&mut self, s: &mut Stream<'_>, kont: ModuleKont) -> Result<ModuleKont, Fault> {
        let allocations = &mut self.allocations;
        match kont {
            ModuleKont::Start => header(s),
            ModuleKont::SkipCustom(next) => self.skip_custom(s, next),
            ModuleKont::FieldStart(field) => self.field_start(s, field),
            ModuleKont::Field(vector, size) => self.field(s, vector, size),
            ModuleKont::Types(element) => step_types(s, element),
            ModuleKont::Import(element) => step_import(s, element),
            ModuleKont::Export(element) => step_export(s, element),
            ModuleKont::Global(ty, mut element) => {
                if let BlockKont::Stop(init) = element.kont {
                    super::types::end(s)?;
                    element.vector.push(Global { ty, init })?;
                    return Ok(ModuleKont::Field(
                        FieldVec::Global(element.vector),
                        element.size,
                    ));
                }
                element.kont = block::step(s, allocations, element.kont)?;
                Ok(ModuleKont::Global(ty, element))
            }
            ModuleKont::Elem(mut element) => {
                if let ElemKont::Stop(elem) = element.kont {
                    element.vector.push(elem)?;
                    return Ok(ModuleKont::Field(
                        FieldVec::Elem(element.vector),
                        element.size,
                    ));
                }
                element.kont = section::elem(s, allocations, element.kont)?;
                Ok(ModuleKont::Elem(element))
            }
            ModuleKont::Data(mut element) => {
                if let DataKont::Stop(data) = element.kont {
                    element.vector.push(data)?;
                    return Ok(ModuleKont::Field(
                        FieldVec::Data(element.vector),
                        element.size,
                    ));
                }
                element.kont = section::data(s, allocations, element.kont)?;
                Ok(ModuleKont::Data(element))
            }
            ModuleKont::Code(mut element) => {
                if let CodeKont::Stop(func) = element.kont {
                    element.vector.push(func)?;
                    return Ok(ModuleKont::Field(
                        FieldVec::Code(element.vector),
                        element.size,
                    ));
                }
                element.kont = section::code(s, allocations, element.kont)?;
                Ok(ModuleKont::Code(element))
            }
            ModuleKont::ElaborateFunc {
                types,
                bodies,
                done,
                scan,
                no_datas,
            } => elaborate(allocations, types, bodies, done, scan, no_datas),
            ModuleKont::Build { funcs, no_datas } => self.build(s, funcs, no_datas),
            ModuleKont::Stop(_) => Err(Exception::DecodeStep(DecodeStep::Module).into()),
        }
    }

    fn skip_custom(&self, s: &mut Stream<'_>, next: Option<Field>) -> Result<ModuleKont, Fault> {
        if section_id(s)? == Some(0) {
            s.byte()?;
            let length = s.length()?;
            let start = s.pos();
            name::skip(s)?;
            let used = i64::from(s.pos()).saturating_sub(i64::from(start));
            s.bytes(i64::from(length).saturating_sub(used))?;
            return Ok(ModuleKont::SkipCustom(next));
        }
        if let Some(field) = next {
            return Ok(ModuleKont::FieldStart(field));
        }
        let (types, bodies) = (&self.building.vars, &self.building.code);
        if types.len() != bodies.len() {
            return Ok(ModuleKont::Build {
                funcs: None,
                no_datas: true,
            });
        }
        Ok(ModuleKont::ElaborateFunc {
            types: types.clone(),
            bodies: bodies.clone(),
            done: Filling::new(types.len()),
            scan: None,
            no_datas: true,
        })
    }

    fn field_start(&mut self, s: &mut Stream<'_>, field: Field) -> Result<ModuleKont, Fault> {
        let present = section_id(s)? == Some(field.id());
        if field.room(0).is_none() {
            let value = if present { Some(single(s)?) } else { None };
            match field {
                Field::Start => self.building.start = value,
                _ => self.building.data_count = value,
            }
            return Ok(ModuleKont::SkipCustom(field.next()));
        }
        let (size, count) = if present {
            s.byte()?;
            (size(s)?, s.length()?)
        } else {
            let start = s.pos();
            (Size { size: 0, start }, 0)
        };
        match field.room(count) {
            Some(vector) => Ok(ModuleKont::Field(vector, size)),
            None => Err(Exception::DecodeStep(DecodeStep::Module).into()),
        }
    }

    fn field(
        &mut self,
        s: &mut Stream<'_>,
        vector: FieldVec,
        size: Size,
    ) -> Result<ModuleKont, Fault> {
        let pos = s.pos();
        let building = &mut self.building;
        macro_rules! many {
            ($vector:ident, $field:ident, $start:expr, $kont:ident) => {{
                if !$vector.is_full() {
                    return Ok(ModuleKont::$kont(Element {
                        kont: $start,
                        pos,
                        size,
                        vector: $vector,
                    }));
                }
                check_size(s, size)?;
                building.$field = $vector.vector;
            }};
        }
        macro_rules! one {
            ($vector:ident, $field:ident, $read:expr, $case:ident) => {{
                if !$vector.is_full() {
                    let mut vector = $vector;
                    let value = $read?;
                    vector.push(value)?;
                    return Ok(ModuleKont::Field(FieldVec::$case(vector), size));
                }
                check_size(s, size)?;
                building.$field = $vector.vector;
            }};
        }
        let field = vector.field();
        match vector {
            FieldVec::Type(v) => many!(v, types, FuncTypeKont::Start, Types),
            FieldVec::Import(v) => many!(v, imports, ImportKont::Start, Import),
            FieldVec::Export(v) => many!(v, exports, ExportKont::Start, Export),
            FieldVec::Elem(v) => many!(v, elems, ElemKont::Start, Elem),
            FieldVec::Code(v) => many!(v, code, CodeKont::Start, Code),
            FieldVec::Data(v) => many!(v, datas, DataKont::Start, Data),
            FieldVec::Func(v) => one!(v, vars, s.vu32(), Func),
            FieldVec::Table(v) => one!(v, tables, table_type(s), Table),
            FieldVec::Memory(v) => one!(v, memories, memory_type(s), Memory),
            FieldVec::Global(v) => {
                if !v.is_full() {
                    let ty = global_type(s)?;
                    return Ok(ModuleKont::Global(
                        ty,
                        Element {
                            kont: BlockKont::Start,
                            pos: s.pos(),
                            size,
                            vector: v,
                        },
                    ));
                }
                check_size(s, size)?;
                building.globals = v.vector;
            }
        }
        Ok(ModuleKont::SkipCustom(field.next()))
    }

    fn build(
        &mut self,
        s: &Stream<'_>,
        funcs: Option<LazyVec<Func>>,
        no_datas: bool,
    ) -> Result<ModuleKont, Fault> {
        let building = &self.building;
        if !s.is_at_end() {
            return Err(Fault::located("unexpected content after last section"));
        }
        let count = building.data_count;
        if count.is_some_and(|count| count != building.datas.len()) {
            return Err(Fault::located(
                "data count and data section have inconsistent lengths",
            ));
        }
        let Some(funcs) = funcs else {
            return Err(Fault::located(
                "function and code section have inconsistent lengths",
            ));
        };
        if count.is_none() && !no_datas {
            return Err(Fault::located("data count section required"));
        }
        let building = building.clone();
        Ok(ModuleKont::Stop(Module {
            types: building.types,
            globals: building.globals,
            tables: building.tables,
            memories: building.memories,
            funcs,
            start: building.start,
            elems: building.elems,
            datas: building.datas,
            imports: building.imports,
            exports: building.exports,
            allocations: self.allocations.clone(),
        }))
    }
}

impl FieldVec {
    const fn field(&self) -> Field {
        match self {
            Self::Type(_) => Field::Type,
            Self::Import(_) => Field::Import,
            Self::Func(_) => Field::Func,
            Self::Table(_) => Field::Table,
            Self::Memory(_) => Field::Memory,
            Self::Global(_) => Field::Global,
            Self::Export(_) => Field::Export,
            Self::Elem(_) => Field::Elem,
            Self::Code(_) => Field::Code,
            Self::Data(_) => Field::Data,
        }
    }
}

fn header(s: &mut Stream<'_>) -> Result<ModuleKont, Fault> {
    let mut four =
        || -> Result<[u8; 4], Fault> { Ok([s.byte()?, s.byte()?, s.byte()?, s.byte()?]) };
    if four()? != MAGIC {
        return Err(Fault::located("magic header not detected"));
    }
    if four()? != VERSION {
        return Err(Fault::located("unknown binary version"));
    }
    Ok(ModuleKont::SkipCustom(Some(Field::Type)))
}

/// A section of one integer: start function or number of data segments.
fn single(s: &mut Stream<'_>) -> Result<i32, Fault> {
    s.byte()?;
    let size = size(s)?;
    let value = s.vu32()?;
    check_size(s, size)?;
    Ok(value)
}

type Types = Element<FuncTypeKont, crate::wasm::ast::FuncType>;

fn step_types(s: &mut Stream<'_>, mut element: Types) -> Result<ModuleKont, Fault> {
    if let FuncTypeKont::Stop(ty) = element.kont {
        element.vector.push(ty)?;
        return Ok(ModuleKont::Field(
            FieldVec::Type(element.vector),
            element.size,
        ));
    }
    element.kont = section::func_type(s, element.kont)?;
    Ok(ModuleKont::Types(element))
}

type Imports = Element<ImportKont, crate::wasm::ast::Import>;

fn step_import(s: &mut Stream<'_>, mut element: Imports) -> Result<ModuleKont, Fault> {
    if let ImportKont::Stop(import) = element.kont {
        element.vector.push(import)?;
        return Ok(ModuleKont::Field(
            FieldVec::Import(element.vector),
            element.size,
        ));
    }
    element.kont = section::import(s, element.kont)?;
    Ok(ModuleKont::Import(element))
}

type Exports = Element<ExportKont, crate::wasm::ast::Export>;

fn step_export(s: &mut Stream<'_>, mut element: Exports) -> Result<ModuleKont, Fault> {
    if let ExportKont::Stop(export) = element.kont {
        element.vector.push(export)?;
        return Ok(ModuleKont::Field(
            FieldVec::Export(element.vector),
            element.size,
        ));
    }
    element.kont = section::export(s, element.kont)?;
    Ok(ModuleKont::Export(element))
}

type Scan = Filling<Filling<Instr>>;

/// The instructions of a block, from the first one on.
pub(super) fn instructions(
    allocations: &mut Allocations,
    block: i32,
) -> Result<Filling<Instr>, Fault> {
    let block = allocations.blocks.read(block)?;
    Ok(Filling::over(block.instructions()?.clone()))
}

/// Joins the next function with its type; its body.
pub(super) fn join(
    types: &mut LazyVec<i32>,
    bodies: &mut LazyVec<Func>,
    done: &mut Filling<Func>,
) -> Result<BlockLabel, Fault> {
    let ftype = *types.get(done.offset)?;
    let mut func = bodies.get(done.offset)?.clone();
    func.ftype = ftype;
    let body = func.body;
    done.push(func)?;
    Ok(body)
}

fn elaborate(
    allocations: &mut Allocations,
    mut types: LazyVec<i32>,
    mut bodies: LazyVec<Func>,
    mut done: Filling<Func>,
    scan: Option<Scan>,
    no_datas: bool,
) -> Result<ModuleKont, Fault> {
    let (scan, no_datas) = match scan {
        None if done.is_full() => {
            return Ok(ModuleKont::Build {
                funcs: Some(done.vector),
                no_datas,
            });
        }
        None => {
            let body = join(&mut types, &mut bodies, &mut done)?;
            let scan = if no_datas {
                let entry = instructions(allocations, body.0)?;
                Some(Filling::over(LazyVec::singleton(entry)))
            } else {
                None
            };
            (scan, no_datas)
        }
        Some(scan) if scan.is_full() => (None, no_datas),
        Some(scan) => look(allocations, scan, no_datas)?,
    };
    Ok(ModuleKont::ElaborateFunc {
        types,
        bodies,
        done,
        scan,
        no_datas,
    })
}

/// Looks at one instruction for a use of data segments, nested blocks queued for later.
fn look(
    allocations: &mut Allocations,
    mut scan: Scan,
    no_datas: bool,
) -> Result<(Option<Scan>, bool), Fault> {
    let entry = scan.vector.read(scan.offset)?;
    if entry.is_full() {
        scan.offset = scan.offset.wrapping_add(1);
        return Ok((Some(scan), no_datas));
    }
    let at = entry.offset;
    let instr = entry.vector.get(at)?.clone();
    let (uses_data, nested) = match instr {
        Instr::MemoryInit(_) | Instr::DataDrop(_) => (true, vec![]),
        Instr::Block(_, body) | Instr::Loop(_, body) => (false, vec![body]),
        Instr::If(_, then, otherwise) => (false, vec![then, otherwise]),
        _ => (false, vec![]),
    };
    for block in nested {
        let entry = instructions(allocations, block.0)?;
        scan.vector.append(entry)?;
    }
    scan.vector.write(scan.offset)?.offset = at.wrapping_add(1);
    let no_datas = no_datas && !uses_data;
    Ok((no_datas.then_some(scan), no_datas))
}
