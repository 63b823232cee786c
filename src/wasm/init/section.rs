//! Instantiating functions, globals, tables and memories.

use super::{
    Aggregate, AggregateConcat, ConstKont, Either, ElemInitKont, GlobalKont, InitKont, Session,
    TickMap,
};
use crate::wasm::ast::{BlockLabel, Elem, Func, Global, GlobalType, MemoryType, Module, TableType};
use crate::wasm::config::{Admin, Code, ConcatKont, Config, MapKont, StepKont};
use crate::wasm::encoding::Stored;
use crate::wasm::eval::{self, Moment};
use crate::wasm::fault::{Exception, Fault, InitStep};
use crate::wasm::instance::{
    ElemInst, FuncInst, GlobalInst, MemoryInst, ModuleInst, PAGE, Ref, TableInst, Value,
};
use crate::wasm::lazy::{LazyBytes, LazyVec};

impl<K, A: Stored, B: Stored> TickMap<K, A, B> {
    pub(super) fn new(origin: LazyVec<A>) -> Self {
        Self {
            inner: None,
            map: MapKont::new(origin),
        }
    }

    /// What this tick is about: an element to begin, or one to go on with.
    fn next(&mut self) -> Result<Either<A, K>, Fault> {
        if self.map.is_complete() {
            return Err(Exception::InitStep(InitStep::Map).into());
        }
        match self.inner.take() {
            None => Ok(Either::Left(self.map.origin.get(self.map.offset)?.clone())),
            Some(inner) => Ok(Either::Right(inner)),
        }
    }

    fn keep(&mut self, value: B) -> Result<(), Fault> {
        self.map.destination.set(self.map.offset, value)?;
        self.map.offset = self.map.offset.wrapping_add(1);
        Ok(())
    }
}

impl<A: Stored, B: Stored> TickMap<Either<A, B>, A, B> {
    /// One tick where an element is converted in one go.
    fn convert(&mut self, convert: impl FnOnce(A) -> Result<B, Fault>) -> Result<(), Fault> {
        match self.next()? {
            Either::Left(item) => self.inner = Some(Either::Left(item)),
            Either::Right(Either::Left(item)) => self.inner = Some(Either::Right(convert(item)?)),
            Either::Right(Either::Right(value)) => self.keep(value)?,
        }
        Ok(())
    }
}

fn table(ty: TableType) -> Result<TableInst, Fault> {
    if !ty.limits.is_valid() {
        return Err(Exception::TableType.into());
    }
    let mut refs = LazyVec::default();
    refs.grow(ty.limits.min, &Ref::Null(ty.element))?;
    Ok(TableInst { ty, refs })
}

fn memory(ty: MemoryType) -> Result<MemoryInst, Fault> {
    if !ty.0.is_valid() {
        return Err(Exception::MemoryType.into());
    }
    // Sizes are signed here in the original: from 2^31 pages on the memory stays empty.
    let length = i64::from(ty.0.min).saturating_mul(PAGE).max(0);
    Ok(MemoryInst {
        ty,
        chunks: LazyBytes::zeroed(length),
    })
}

/// The value of a global must be of its declared type.
fn global(ty: GlobalType, value: Value) -> Result<GlobalInst, Fault> {
    if value.ty() != ty.value {
        return Err(Exception::GlobalType.into());
    }
    Ok(GlobalInst {
        mutability: ty.mutability,
        value,
    })
}

fn reference(value: Value) -> Result<Ref, Fault> {
    match value {
        Value::Ref(reference) => Ok(reference),
        _ => Err(Fault::Raised(Exception::Other {
            raw: "Failure(\"as_ref\")".to_owned(),
            explanation: None,
            interpreter: false,
        })),
    }
}

impl Session<'_> {
    fn constant(&self, block: BlockLabel) -> ConstKont {
        let code = Code {
            values: LazyVec::default(),
            instructions: LazyVec::singleton(Admin::FromBlock(block, 0)),
        };
        ConstKont::Next(Config::new(
            self.stack_size_limit,
            self.self_key.clone(),
            code,
        ))
    }

    fn constant_step(&mut self, kont: ConstKont) -> Result<ConstKont, Fault> {
        let ConstKont::Next(mut config) = kont else {
            return Err(Exception::InitStep(InitStep::EvalConst).into());
        };
        if let StepKont::Result(values) = &mut config.step {
            if values.len() != 1 {
                return Err(Fault::located("wrong number of results on stack"));
            }
            return values.pop().map(ConstKont::Stop);
        }
        eval::step(&mut config, self.registry, self.host, Moment::Init)?;
        Ok(ConstKont::Next(config))
    }

    fn function(&mut self, func: Func) -> Result<FuncInst, Fault> {
        let inst = self.registry.read(self.self_key)?;
        let ty = super::undefined("type", func.ftype, inst.types.get(func.ftype))?.clone();
        Ok(FuncInst::Native {
            ty,
            module: self.self_key.clone(),
            func,
        })
    }

    pub(super) fn aggregate(
        &mut self,
        inst: ModuleInst,
        mut kont: Aggregate,
    ) -> Result<InitKont, Fault> {
        let done = match &kont {
            Aggregate::Func(kont) => kont.map.is_complete(),
            Aggregate::Global(kont) => kont.map.is_complete(),
            Aggregate::Table(kont) => kont.map.is_complete(),
            Aggregate::Memory(kont) => kont.map.is_complete(),
        };
        if done {
            return joined(inst, kont);
        }
        match &mut kont {
            Aggregate::Func(kont) => kont.convert(|func| self.function(func))?,
            Aggregate::Table(kont) => kont.convert(table)?,
            Aggregate::Memory(kont) => kont.convert(memory)?,
            Aggregate::Global(kont) => match kont.next()? {
                Either::Left(Global { ty, init }) => {
                    let constant = self.constant(init);
                    kont.inner = Some(GlobalKont { ty, kont: constant });
                }
                Either::Right(GlobalKont {
                    ty,
                    kont: ConstKont::Stop(value),
                }) => kont.keep(global(ty, value)?)?,
                Either::Right(GlobalKont { ty, kont: inner }) => {
                    let inner = self.constant_step(inner)?;
                    kont.inner = Some(GlobalKont { ty, kont: inner });
                }
            },
        }
        Ok(InitKont::Aggregate(inst, kont))
    }

    pub(super) fn aggregate_concat(
        &mut self,
        module: &Module,
        mut inst: ModuleInst,
        mut kont: AggregateConcat,
    ) -> Result<InitKont, Fault> {
        macro_rules! part {
            ($kont:ident, $section:ident) => {{
                if !$kont.is_complete() {
                    $kont.step()?;
                    return Ok(InitKont::AggregateConcat(inst, kont));
                }
                inst.$section = $kont.result.clone();
            }};
        }
        match &mut kont {
            AggregateConcat::Func(k) => {
                part!(k, funcs);
                self.publish(&inst);
                let next = TickMap::new(module.globals.clone());
                Ok(InitKont::Aggregate(inst, Aggregate::Global(next)))
            }
            AggregateConcat::Global(k) => {
                part!(k, globals);
                let next = TickMap::new(module.tables.clone());
                Ok(InitKont::Aggregate(inst, Aggregate::Table(next)))
            }
            AggregateConcat::Table(k) => {
                part!(k, tables);
                let next = TickMap::new(module.memories.clone());
                Ok(InitKont::Aggregate(inst, Aggregate::Memory(next)))
            }
            AggregateConcat::Memory(k) => {
                part!(k, memories);
                self.publish(&inst);
                let exports = super::FoldLeft {
                    origin: module.exports.clone(),
                    acc: super::ExportsAcc::default(),
                    offset: 0,
                };
                Ok(InitKont::Exports(inst, exports))
            }
        }
    }

    /// One tick of the element segments: a map whose elements are maps over initialisers.
    pub(super) fn elems(
        &mut self,
        kont: &mut TickMap<ElemInitKont, Elem, ElemInst>,
    ) -> Result<(), Fault> {
        match kont.next()? {
            Either::Left(elem) => kont.inner = Some(TickMap::new(elem.init)),
            Either::Right(inner) if inner.map.is_complete() => kont.keep(ElemInst {
                refs: inner.map.destination,
            })?,
            Either::Right(mut inner) => {
                self.elem_init(&mut inner)?;
                kont.inner = Some(inner);
            }
        }
        Ok(())
    }

    fn elem_init(&mut self, kont: &mut ElemInitKont) -> Result<(), Fault> {
        match kont.next()? {
            Either::Left(block) => kont.inner = Some(self.constant(block)),
            Either::Right(ConstKont::Stop(value)) => kont.keep(reference(value)?)?,
            Either::Right(inner) => kont.inner = Some(self.constant_step(inner)?),
        }
        Ok(())
    }
}

fn joined(inst: ModuleInst, kont: Aggregate) -> Result<InitKont, Fault> {
    let kont = match kont {
        Aggregate::Func(kont) => {
            AggregateConcat::Func(ConcatKont::new(inst.funcs.clone(), kont.map.destination)?)
        }
        Aggregate::Global(kont) => {
            AggregateConcat::Global(ConcatKont::new(inst.globals.clone(), kont.map.destination)?)
        }
        Aggregate::Table(kont) => {
            AggregateConcat::Table(ConcatKont::new(inst.tables.clone(), kont.map.destination)?)
        }
        Aggregate::Memory(kont) => AggregateConcat::Memory(ConcatKont::new(
            inst.memories.clone(),
            kont.map.destination,
        )?),
    };
    Ok(InitKont::AggregateConcat(inst, kont))
}
