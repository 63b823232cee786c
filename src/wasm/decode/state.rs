//! What the parser remembers between two ticks. Positions are offsets in the binary.

use crate::wasm::ast::{
    Allocations, BlockLabel, BlockType, Data, DataLabel, Elem, Export, Func, FuncType, Global,
    GlobalType, Import, Instr, MemoryType, Module, RefType, SegmentMode, TableType, ValueType,
};
use crate::wasm::encoding::Stored;
use crate::wasm::fault::Fault;
use crate::wasm::lazy::LazyVec;

/// A vector that is being filled, one element a tick.
#[derive(Debug, Clone)]
pub struct Filling<T> {
    /// Next slot.
    pub offset: i32,
    /// Has its final length from the start.
    pub vector: LazyVec<T>,
}

impl<T: Stored> Filling<T> {
    /// Nothing filled of `length` slots.
    #[must_use]
    pub fn new(length: i32) -> Self {
        Self::over(LazyVec::unbound(length))
    }

    /// A cursor at the start of `vector`.
    #[must_use]
    pub const fn over(vector: LazyVec<T>) -> Self {
        Self { offset: 0, vector }
    }

    /// Whether every slot is filled. The comparison is signed, as the original's.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.vector.len() <= self.offset
    }

    /// Fills the next slot.
    ///
    /// # Errors
    /// Those of the vector.
    pub fn push(&mut self, value: T) -> Result<(), Fault> {
        self.vector.set(self.offset, value)?;
        self.offset = self.offset.wrapping_add(1);
        Ok(())
    }
}

/// A stack whose popped entries stay until they are overwritten.
#[derive(Debug, Clone)]
pub struct LazyStack<T> {
    /// Height.
    pub length: i32,
    /// Entries, and what was above them before.
    pub vector: LazyVec<T>,
}

/// Announced size of a section or body and where its content starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Size {
    pub size: i32,
    pub start: i32,
}

/// Reading the bytes of a data segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ByteVectorKont {
    Start,
    Read {
        label: DataLabel,
        pos: i64,
        length: i64,
    },
    Stop(DataLabel),
}

/// Reading a name, one character a tick.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum NameKont {
    Start,
    Parse {
        pos: i32,
        buffer: Vec<u8>,
        /// Bytes left; negative once a character went beyond the announced length.
        left: i32,
    },
    Stop(String),
}

/// Entry of the stack of open blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum InstrBlockKont {
    Stop(BlockLabel),
    Next(BlockLabel),
    Block(BlockType, i32),
    Loop(BlockType, i32),
    If1(BlockType, i32),
    /// With the label of the branch already parsed.
    If2(BlockType, i32, BlockLabel),
}

/// Reading an expression.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum BlockKont {
    Start,
    Parse(LazyStack<InstrBlockKont>),
    Stop(BlockLabel),
}

/// Reading a function type.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum FuncTypeKont {
    Start,
    Ins(Filling<ValueType>),
    Out(LazyVec<ValueType>, Filling<ValueType>),
    Stop(FuncType),
}

/// Reading an import.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum ImportKont {
    Start,
    ModuleName(NameKont),
    ItemName(String, NameKont),
    Stop(Import),
}

/// Reading an export.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum ExportKont {
    Start,
    Name(NameKont),
    Stop(Export),
}

/// A run of locals of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct LocalGroup {
    pub count: i32,
    pub ty: ValueType,
}

/// Reading a function body.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum CodeKont {
    Start,
    LocalsParse {
        left: i32,
        size: Size,
        pos: i32,
        groups: Filling<LocalGroup>,
        total: i64,
    },
    LocalsAccumulate {
        left: i32,
        size: Size,
        pos: i32,
        groups: Filling<LocalGroup>,
        current: Option<LocalGroup>,
        locals: Filling<ValueType>,
    },
    Body {
        left: i32,
        size: Size,
        locals: LazyVec<ValueType>,
        block: BlockKont,
    },
    Stop(Func),
}

/// How the references of an element segment are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum IndexKind {
    Indexed,
    Const,
}

/// Reading an element segment.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum ElemKont {
    Start,
    Mode {
        left: i32,
        index: i32,
        kind: IndexKind,
        early: Option<RefType>,
        offset_pos: i32,
        offset: BlockKont,
    },
    InitIndexed {
        mode: SegmentMode,
        ty: RefType,
        init: Filling<BlockLabel>,
    },
    InitConst {
        mode: SegmentMode,
        ty: RefType,
        init: Filling<BlockLabel>,
        pos: i32,
        block: BlockKont,
    },
    Stop(Elem),
}

/// Reading a data segment.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum DataKont {
    Start,
    Mode {
        left: i32,
        index: i32,
        offset_pos: i32,
        offset: BlockKont,
    },
    Init {
        mode: SegmentMode,
        bytes: ByteVectorKont,
    },
    Stop(Data),
}

/// Sections, in the order in which the parser looks for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Field {
    Type,
    Import,
    Func,
    Table,
    Memory,
    Global,
    Export,
    Start,
    Elem,
    DataCount,
    Code,
    Data,
}

/// The elements of the section that is being read.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum FieldVec {
    Type(Filling<FuncType>),
    Import(Filling<Import>),
    Func(Filling<i32>),
    Table(Filling<TableType>),
    Memory(Filling<MemoryType>),
    Global(Filling<Global>),
    Export(Filling<Export>),
    Elem(Filling<Elem>),
    Code(Filling<Func>),
    Data(Filling<Data>),
}

/// Where the element that is being read stands: its start, its section, the elements before it.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Element<K, T> {
    pub kont: K,
    pub pos: i32,
    pub size: Size,
    pub vector: Filling<T>,
}

/// What the parser does next.
#[derive(Debug, Clone)]
#[allow(missing_docs, clippy::large_enum_variant)]
pub enum ModuleKont {
    Start,
    SkipCustom(Option<Field>),
    FieldStart(Field),
    Field(FieldVec, Size),
    Types(Element<FuncTypeKont, FuncType>),
    Import(Element<ImportKont, Import>),
    Export(Element<ExportKont, Export>),
    Global(GlobalType, Element<BlockKont, Global>),
    Elem(Element<ElemKont, Elem>),
    Data(Element<DataKont, Data>),
    Code(Element<CodeKont, Func>),
    ElaborateFunc {
        types: LazyVec<i32>,
        bodies: LazyVec<Func>,
        done: Filling<Func>,
        scan: Option<Filling<Filling<Instr>>>,
        no_datas: bool,
    },
    Build {
        funcs: Option<LazyVec<Func>>,
        no_datas: bool,
    },
    Stop(Module),
}

/// Sections read so far.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct BuildingState {
    pub types: LazyVec<FuncType>,
    pub imports: LazyVec<Import>,
    pub vars: LazyVec<i32>,
    pub tables: LazyVec<TableType>,
    pub memories: LazyVec<MemoryType>,
    pub globals: LazyVec<Global>,
    pub exports: LazyVec<Export>,
    pub start: Option<i32>,
    pub elems: LazyVec<Elem>,
    pub data_count: Option<i32>,
    pub code: LazyVec<Func>,
    pub datas: LazyVec<Data>,
}

/// The parser between two ticks.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct DecodeKont {
    pub building: BuildingState,
    pub kont: ModuleKont,
    pub allocations: Allocations,
    pub stream_pos: i32,
    pub stream_name: String,
}

impl DecodeKont {
    /// The parser before its first tick; the name is part of the state.
    #[must_use]
    pub fn new(stream_name: &str) -> Self {
        Self {
            building: BuildingState::default(),
            kont: ModuleKont::Start,
            allocations: Allocations::default(),
            stream_pos: 0,
            stream_name: stream_name.to_owned(),
        }
    }
}
