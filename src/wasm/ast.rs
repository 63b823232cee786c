//! Modules as the parser builds them: types, instructions, segments, declarations.
//!
//! Instruction bodies are not nested: a block names an entry of the module's block table, which
//! is how the original can stop between any two instructions.

use std::sync::Arc;

use crate::crypto::Hash;
use crate::wasm::fault::Fault;
use crate::wasm::lazy::{LazyBytes, LazyVec};
pub use crate::wasm::operators::*;

/// Integer types; floats have no place in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum NumType {
    I32,
    I64,
}

/// Types of references.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum RefType {
    Func,
    Extern,
}

/// Types of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ValueType {
    Num(NumType),
    V128,
    Ref(RefType),
}

/// A function type as declared in the type section; host functions carry this one too.
#[derive(Debug, Clone, Default)]
pub struct FuncType {
    /// Parameters.
    pub params: LazyVec<ValueType>,
    /// Results.
    pub results: LazyVec<ValueType>,
}

/// Sizes of a table or memory, to be read as unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Present or initial size.
    pub min: i32,
    /// Largest size.
    pub max: Option<i32>,
}

impl Limits {
    /// Whether the size is within its maximum.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.max.is_none_or(|max| (self.min as u32) <= (max as u32))
    }
}

/// Type of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TableType {
    /// Sizes in elements.
    pub limits: Limits,
    /// Element type.
    pub element: RefType,
}

/// Type of a memory: sizes in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MemoryType(pub Limits);

/// Whether a global may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Mutability {
    Mutable,
    Immutable,
}

/// Type of a global.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GlobalType {
    /// Type of its value.
    pub value: ValueType,
    /// Whether it may be written.
    pub mutability: Mutability,
}

/// Index of a block in the module's block table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockLabel(pub i32);

/// Index of a byte vector in the module's data table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DataLabel(pub i32);

/// Type of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlockType {
    /// A type of the module.
    Index(i32),
    /// No parameter, at most one result.
    Value(Option<ValueType>),
}

/// An instruction. Indices are kept as decoded, unchecked: nothing validates a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Instr {
    Unreachable,
    Nop,
    Drop,
    Select(Option<Arc<[ValueType]>>),
    Block(BlockType, BlockLabel),
    Loop(BlockType, BlockLabel),
    If(BlockType, BlockLabel, BlockLabel),
    Br(i32),
    BrIf(i32),
    BrTable(Arc<[i32]>, i32),
    Return,
    Call(i32),
    CallIndirect {
        table: i32,
        type_index: i32,
    },
    LocalGet(i32),
    LocalSet(i32),
    LocalTee(i32),
    GlobalGet(i32),
    GlobalSet(i32),
    TableGet(i32),
    TableSet(i32),
    TableSize(i32),
    TableGrow(i32),
    TableFill(i32),
    TableCopy {
        to: i32,
        from: i32,
    },
    TableInit {
        table: i32,
        segment: i32,
    },
    ElemDrop(i32),
    Load(NumType, MemArg, Option<(PackSize, Extension)>),
    Store(NumType, MemArg, Option<PackSize>),
    VecLoad(MemArg, Option<(PackSize, VecExtension)>),
    VecStore(MemArg),
    VecLoadLane(MemArg, PackSize, u8),
    VecStoreLane(MemArg, PackSize, u8),
    MemorySize,
    MemoryGrow,
    MemoryFill,
    MemoryCopy,
    MemoryInit(i32),
    DataDrop(i32),
    RefNull(RefType),
    RefFunc(i32),
    RefIsNull,
    Const(Num),
    Test(NumType, TestOp),
    Compare(NumType, RelOp),
    Unary(NumType, UnOp),
    Binary(NumType, BinOp),
    Convert(NumType, CvtOp),
    VecConst(V128),
    VecTest(Shape, VecTestOp),
    VecCompare(Shape, VecRelOp),
    VecUnary(Shape, VecUnOp),
    VecBinary(Shape, VecBinOp),
    VecConvert(Shape, VecCvtOp),
    VecShift(Shape, VecShiftOp),
    VecBitmask(Shape),
    VecTestBits,
    VecUnaryBits,
    VecBinaryBits(VecBitOp),
    VecTernaryBits,
    VecSplat(Shape),
    /// The extension counts only for 8-bit and 16-bit lanes.
    VecExtract(Shape, u8, Extension),
    VecReplace(Shape, u8),
    /// A float operation the parser lets through although no state can hold it.
    Unencodable(&'static str),
}

/// A 128-bit value, little-endian lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct V128(pub [u8; 16]);

/// A number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Num {
    I32(i32),
    I64(i64),
}

impl Num {
    /// Its type.
    #[must_use]
    pub const fn ty(self) -> NumType {
        match self {
            Self::I32(_) => NumType::I32,
            Self::I64(_) => NumType::I64,
        }
    }
}

/// A function of the module; its type index is -1 until the function section is joined in.
#[derive(Debug, Clone)]
pub struct Func {
    /// Type index.
    pub ftype: i32,
    /// Types of the locals, parameters not included.
    pub locals: LazyVec<ValueType>,
    /// Its instructions.
    pub body: BlockLabel,
}

/// A global of the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Global {
    /// Declared type.
    pub ty: GlobalType,
    /// Initialiser.
    pub init: BlockLabel,
}

/// When a segment is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum SegmentMode {
    Passive,
    /// Copied at initialisation.
    Active {
        index: i32,
        offset: BlockLabel,
    },
    Declarative,
}

/// An element segment.
#[derive(Debug, Clone)]
pub struct Elem {
    /// Type of its references.
    pub ty: RefType,
    /// Initialisers.
    pub init: LazyVec<BlockLabel>,
    /// When it is used.
    pub mode: SegmentMode,
}

/// A data segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Data {
    /// Its bytes.
    pub init: DataLabel,
    /// When it is used.
    pub mode: SegmentMode,
}

/// What is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ImportDesc {
    Func(i32),
    Table(TableType),
    Memory(MemoryType),
    Global(GlobalType),
}

/// An import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Module it comes from.
    pub module: String,
    /// Its name there.
    pub item: String,
    /// What it is declared to be.
    pub desc: ImportDesc,
}

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum ExportDesc {
    Func(i32),
    Table(i32),
    Memory(i32),
    Global(i32),
}

/// An export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Its name.
    pub name: String,
    /// What it is.
    pub desc: ExportDesc,
}

/// Who parses the instructions of a block when somebody reads them.
pub trait Bodies: std::fmt::Debug + Send + Sync {
    /// The instructions of a block.
    ///
    /// # Errors
    /// [`Fault`] when this block is not among these bodies.
    fn instructions(&self, label: BlockLabel) -> Result<LazyVec<Instr>, Fault>;
}

#[derive(Debug, Clone)]
enum Body {
    Here(LazyVec<Instr>),
    Unread(Arc<dyn Bodies>, BlockLabel),
}

/// The instructions of one block.
#[derive(Debug, Clone)]
pub struct Block {
    body: Body,
    /// Hash of its tree, once it is known; [`Block::add`] forgets it.
    pub(in crate::wasm) hash: Option<Hash>,
}

impl Default for Block {
    fn default() -> Self {
        Self::of(LazyVec::default())
    }
}

impl Block {
    /// The block of these instructions.
    #[must_use]
    pub const fn of(instructions: LazyVec<Instr>) -> Self {
        Self {
            body: Body::Here(instructions),
            hash: None,
        }
    }

    /// A block with this hash, to be parsed when it is read.
    #[must_use]
    pub fn unread(bodies: Arc<dyn Bodies>, label: BlockLabel, hash: Hash) -> Self {
        Self {
            body: Body::Unread(bodies, label),
            hash: Some(hash),
        }
    }

    /// The instructions in order, to read.
    ///
    /// # Errors
    /// [`Fault`] when they cannot be parsed any more.
    pub fn instructions(&mut self) -> Result<&mut LazyVec<Instr>, Fault> {
        if let Body::Unread(bodies, label) = &self.body {
            self.body = Body::Here(bodies.instructions(*label)?);
        }
        match &mut self.body {
            Body::Here(instructions) => Ok(instructions),
            Body::Unread(_, label) => {
                let lost = format!("block {} was read and is not here", label.0);
                Err(Fault::Unencodable(lost))
            }
        }
    }

    /// The instructions, if they were read or added.
    pub(in crate::wasm) const fn here(&self) -> Option<&LazyVec<Instr>> {
        match &self.body {
            Body::Here(instructions) => Some(instructions),
            Body::Unread(..) => None,
        }
    }

    /// Adds instructions at the end.
    pub(in crate::wasm) fn add(&mut self, instructions: Vec<Instr>) -> Result<(), Fault> {
        self.hash = None;
        let body = self.instructions()?;
        if body.is_untouched() {
            *body = LazyVec::from_items(instructions);
            return Ok(());
        }
        for instr in instructions {
            body.append(instr)?;
        }
        Ok(())
    }
}

/// Blocks and data bytes, to which labels refer. Entry 0 of both is the shared empty one.
#[derive(Debug, Clone)]
pub struct Allocations {
    /// Blocks by label.
    pub blocks: LazyVec<Block>,
    /// Data bytes by label.
    pub datas: LazyVec<LazyBytes>,
}

impl Default for Allocations {
    fn default() -> Self {
        Self {
            blocks: LazyVec::singleton(Block::default()),
            datas: LazyVec::singleton(LazyBytes::default()),
        }
    }
}

/// A parsed module.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Module {
    pub types: LazyVec<FuncType>,
    pub globals: LazyVec<Global>,
    pub tables: LazyVec<TableType>,
    pub memories: LazyVec<MemoryType>,
    pub funcs: LazyVec<Func>,
    pub start: Option<i32>,
    pub elems: LazyVec<Elem>,
    pub datas: LazyVec<Data>,
    pub imports: LazyVec<Import>,
    pub exports: LazyVec<Export>,
    pub allocations: Allocations,
}
