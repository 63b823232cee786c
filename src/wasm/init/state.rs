//! What linking and initialisation remember between two ticks.

use crate::wasm::ast::{
    BlockLabel, Data, DataLabel, Elem, Export, Func, FuncType, Global, GlobalType, Import,
    MemoryType, Module, TableType,
};
use crate::wasm::config::{Admin, ConcatKont, Config, MapKont};
use crate::wasm::instance::{
    ElemInst, Extern, FuncInst, GlobalInst, InstFuncType, MemoryInst, ModuleInst, ModuleKey, Name,
    Ref, Registry, TableInst, Value,
};
use crate::wasm::lazy::{LazyMap, LazyVec};

/// Linking: imports resolved so far.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct LinkState {
    pub module: Module,
    pub externs: LazyVec<Extern>,
    pub offset: i32,
}

/// Initialisation.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct InitState {
    pub self_key: ModuleKey,
    pub module: Module,
    pub kont: InitKont,
    pub registry: Registry,
}

/// Evaluation of a kernel.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct EvalState {
    pub config: Config,
    pub registry: Registry,
}

/// A vector of vectors of types with its own extra step in the tree.
#[derive(Debug, Clone, Default)]
pub struct InstTypes(pub LazyVec<InstFuncType>);

/// Folding two vectors from their ends, one pair a tick.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct FoldRight2<A, B, Acc> {
    pub acc: Acc,
    pub left: LazyVec<A>,
    pub right: LazyVec<B>,
    pub offset: i32,
}

/// Folding a vector, one element a tick.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct FoldLeft<A, Acc> {
    pub origin: LazyVec<A>,
    pub acc: Acc,
    pub offset: i32,
}

/// A map whose elements take several ticks each.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct TickMap<K, A, B> {
    pub inner: Option<K>,
    pub map: MapKont<LazyVec<A>, LazyVec<B>>,
}

/// A thing to convert and then its result.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum Either<A, B> {
    Left(A),
    Right(B),
}

/// Evaluation of a constant expression.
#[derive(Debug, Clone)]
#[allow(missing_docs, clippy::large_enum_variant)]
pub enum ConstKont {
    Next(Config),
    Stop(Value),
}

/// Creation of a global.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct GlobalKont {
    pub ty: GlobalType,
    pub kont: ConstKont,
}

/// Joining vectors, one element a tick.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum JoinKont {
    Init(LazyVec<LazyVec<Admin>>),
    Next(ConcatKont<Admin>, LazyVec<LazyVec<Admin>>),
    Stop(LazyVec<Admin>),
}

/// Mapping to vectors, then joining those.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum MapConcat<A> {
    Map(MapKont<LazyVec<A>, LazyVec<LazyVec<Admin>>>),
    Join(JoinKont),
}

/// Exports collected so far.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct ExportsAcc {
    pub memory_0: bool,
    pub exports: LazyMap<Name, Extern>,
}

/// Creation of an element segment.
pub type ElemInitKont = TickMap<ConstKont, BlockLabel, Ref>;

/// Which section is being instantiated, and how far.
#[derive(Debug, Clone)]
#[allow(missing_docs, clippy::large_enum_variant)]
pub enum Aggregate {
    Func(TickMap<Either<Func, FuncInst>, Func, FuncInst>),
    Global(TickMap<GlobalKont, Global, GlobalInst>),
    Table(TickMap<Either<TableType, TableInst>, TableType, TableInst>),
    Memory(TickMap<Either<MemoryType, MemoryInst>, MemoryType, MemoryInst>),
}

/// Which section's imported and own parts are being joined, and how far.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum AggregateConcat {
    Func(ConcatKont<FuncInst>),
    Global(ConcatKont<GlobalInst>),
    Table(ConcatKont<TableInst>),
    Memory(ConcatKont<MemoryInst>),
}

/// What initialisation does next.
#[derive(Debug, Clone)]
#[allow(missing_docs, clippy::large_enum_variant)]
pub enum InitKont {
    Start(LazyVec<Extern>),
    AddImport(FoldRight2<Extern, Import, ModuleInst>),
    Types(ModuleInst, MapKont<LazyVec<FuncType>, InstTypes>),
    Aggregate(ModuleInst, Aggregate),
    AggregateConcat(ModuleInst, AggregateConcat),
    Exports(ModuleInst, FoldLeft<Export, ExportsAcc>),
    Elems(ModuleInst, TickMap<ElemInitKont, Elem, ElemInst>),
    Datas(ModuleInst, MapKont<LazyVec<Data>, LazyVec<DataLabel>>),
    EsElem(ModuleInst, MapConcat<Elem>),
    EsData(ModuleInst, MapConcat<Data>, LazyVec<Admin>),
    JoinAdmin(ModuleInst, JoinKont),
    Eval(Config),
    Stop,
}
