//! Runtime structures: values, function instances, memories, tables, globals, module instances.
//!
//! A function instance is held by value wherever it is referred to, as the tree holds it.

use std::borrow::Cow;

use crate::wasm::ast::{
    Allocations, BlockLabel, DataLabel, Func, FuncType, MemoryType, Mutability, Num, RefType,
    TableType, V128, ValueType,
};
use crate::wasm::lazy::{LazyBytes, LazyKey, LazyMap, LazyVec};

/// Bytes in a page of memory.
pub const PAGE: i64 = 65_536;

/// The most pages a memory can grow to.
pub const MAX_PAGES: u32 = 65_536;

/// The name of a module in the registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModuleKey(pub Cow<'static, str>);

impl LazyKey for ModuleKey {
    fn step(&self) -> Cow<'static, str> {
        self.0.clone()
    }
}

/// The name of an export.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(pub String);

impl LazyKey for Name {
    fn step(&self) -> Cow<'static, str> {
        let mut step = String::with_capacity(self.0.len());
        for byte in self.0.bytes() {
            match byte {
                b'"' | b'\\' => step.extend(['\\', char::from(byte)]),
                0x20..=0x7e => step.push(char::from(byte)),
                other => step.push_str(&format!("\\u{{{other:02x}}}")),
            }
        }
        step.into()
    }
}

/// A function type inside an instance; the tree spells it differently from a declared one.
#[derive(Debug, Clone, Default)]
pub struct InstFuncType(pub FuncType);

/// A function that can be called.
#[derive(Debug, Clone)]
pub enum FuncInst {
    /// Provided by the machine.
    Host {
        /// Its type.
        ty: FuncType,
        /// Its internal name, which is not the name of the import.
        name: String,
    },
    /// Of a module.
    Native {
        /// Its type.
        ty: InstFuncType,
        /// The module.
        module: ModuleKey,
        /// Its code.
        func: Func,
    },
}

impl FuncInst {
    /// Its type.
    #[must_use]
    pub const fn ty(&self) -> &FuncType {
        match self {
            Self::Host { ty, .. } => ty,
            Self::Native { ty, .. } => &ty.0,
        }
    }
}

/// A reference.
#[derive(Debug, Clone)]
pub enum Ref {
    /// To a function.
    Func(Box<FuncInst>),
    /// To something outside.
    Extern(i32),
    /// To nothing.
    Null(RefType),
}

impl Ref {
    /// Its type.
    #[must_use]
    pub const fn ty(&self) -> RefType {
        match self {
            Self::Func(_) => RefType::Func,
            Self::Extern(_) => RefType::Extern,
            Self::Null(ty) => *ty,
        }
    }
}

/// A value.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum Value {
    Num(Num),
    V128(V128),
    Ref(Ref),
}

impl Value {
    /// A 32-bit integer.
    #[must_use]
    pub const fn i32(value: i32) -> Self {
        Self::Num(Num::I32(value))
    }

    /// A 64-bit integer.
    #[must_use]
    pub const fn i64(value: i64) -> Self {
        Self::Num(Num::I64(value))
    }

    /// Its type.
    #[must_use]
    pub const fn ty(&self) -> ValueType {
        match self {
            Self::Num(num) => ValueType::Num(num.ty()),
            Self::V128(_) => ValueType::V128,
            Self::Ref(reference) => ValueType::Ref(reference.ty()),
        }
    }
}

/// A memory.
#[derive(Debug, Clone)]
pub struct MemoryInst {
    /// Present size and maximum in pages.
    pub ty: MemoryType,
    /// Its bytes.
    pub chunks: LazyBytes,
}

/// A table.
#[derive(Debug, Clone)]
pub struct TableInst {
    /// Declared size, maximum and element type; the size follows growth.
    pub ty: TableType,
    /// Its elements.
    pub refs: LazyVec<Ref>,
}

/// A global; the type of its value is that of its present value.
#[derive(Debug, Clone)]
pub struct GlobalInst {
    /// Whether it may be written.
    pub mutability: Mutability,
    /// Its value.
    pub value: Value,
}

/// An element segment.
#[derive(Debug, Clone, Default)]
pub struct ElemInst {
    /// Its references; empty once dropped.
    pub refs: LazyVec<Ref>,
}

/// What is imported or exported.
#[derive(Debug, Clone)]
#[allow(missing_docs, clippy::large_enum_variant)]
pub enum Extern {
    Func(FuncInst),
    Table(TableInst),
    Memory(MemoryInst),
    Global(GlobalInst),
}

/// A module instance.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct ModuleInst {
    pub types: LazyVec<InstFuncType>,
    pub funcs: LazyVec<FuncInst>,
    pub tables: LazyVec<TableInst>,
    pub memories: LazyVec<MemoryInst>,
    pub globals: LazyVec<GlobalInst>,
    pub exports: LazyMap<Name, Extern>,
    pub elems: LazyVec<ElemInst>,
    pub datas: LazyVec<DataLabel>,
    pub allocations: Allocations,
}

/// All module instances by name.
pub type Registry = LazyMap<ModuleKey, ModuleInst>;

/// The empty block that every block table starts with.
pub const EMPTY_BLOCK: BlockLabel = BlockLabel(0);
