//! The tick of initialisation.

use super::{
    Aggregate, ExportsAcc, FoldLeft, FoldRight2, InitKont, InitState, InstTypes, MapConcat,
    Session, TickMap, import, segment,
};
use crate::wasm::ast::{Export, ExportDesc, Instr, Module};
use crate::wasm::config::{Admin, Code, Config, MapKont, StepKont};
use crate::wasm::eval::{self, HostFunctions, Moment};
use crate::wasm::fault::{Exception, Fault, InitStep};
use crate::wasm::instance::{Extern, InstFuncType, ModuleInst, ModuleKey, Name, Registry};
use crate::wasm::lazy::LazyVec;
use crate::wasm::run;

impl InitState {
    /// Initialisation of a linked module, before its first tick.
    #[must_use]
    pub fn new(self_key: ModuleKey, linked: super::LinkState) -> Self {
        Self {
            self_key,
            module: linked.module,
            kont: InitKont::Start(linked.externs),
            registry: Registry::default(),
        }
    }

    /// One tick. After an error the state must not be used any more.
    ///
    /// # Errors
    /// [`Fault`]; an exception leaves the machine stuck with an error of this phase.
    pub fn step(
        &mut self,
        host: &mut dyn HostFunctions,
        stack_size_limit: i32,
    ) -> Result<(), Fault> {
        let kont = std::mem::replace(&mut self.kont, InitKont::Stop);
        let mut session = Session {
            self_key: &self.self_key,
            registry: &mut self.registry,
            host,
            stack_size_limit,
        };
        self.kont = session.step(&mut self.module, kont)?;
        Ok(())
    }
}

impl InitState {
    /// Whether the next tick calls the start function, before which nothing was called.
    #[must_use]
    pub fn calls_start(&self) -> bool {
        matches!(&self.kont, InitKont::Eval(config) if config.makes_first_call())
    }

    /// Takes at most `ticks` ticks, fewer when the start function is about to be called, when the
    /// module is initialised, or when the next tick raises, which is given back then; the state must
    /// not be used any more in that case.
    pub fn run(
        &mut self,
        ticks: u64,
        host: &mut dyn HostFunctions,
        stack_size_limit: i32,
    ) -> (u64, Option<Fault>) {
        let mut taken = 0;
        while taken < ticks && !matches!(self.kont, InitKont::Stop) {
            if taken > 0 && self.calls_start() {
                break;
            }
            let skipped = match &mut self.kont {
                InitKont::Eval(config) => run::skip(config, &mut self.registry, ticks - taken),
                _ => Ok(0),
            };
            let result = match skipped {
                Ok(0) => self.step(host, stack_size_limit).map(|()| 1),
                skipped => skipped,
            };
            match result {
                Ok(more) => taken += more,
                Err(fault) => return (taken, Some(fault)),
            }
        }
        (taken, None)
    }
}

impl Session<'_> {
    pub(super) fn publish(&mut self, inst: &ModuleInst) {
        self.registry.set(self.self_key.clone(), inst.clone());
    }

    fn step(&mut self, module: &mut Module, kont: InitKont) -> Result<InitKont, Fault> {
        match kont {
            InitKont::Start(externs) => self.start(module, externs),
            InitKont::AddImport(fold) => self.add_import(module, fold),
            InitKont::Types(inst, kont) => self.types(module, inst, kont),
            InitKont::Aggregate(inst, kont) => self.aggregate(inst, kont),
            InitKont::AggregateConcat(inst, kont) => self.aggregate_concat(module, inst, kont),
            InitKont::Exports(inst, fold) => exports(module, inst, fold),
            InitKont::Elems(mut inst, kont) if kont.map.is_complete() => {
                inst.elems = kont.map.destination;
                Ok(InitKont::Datas(inst, MapKont::new(module.datas.clone())))
            }
            InitKont::Elems(inst, mut kont) => {
                self.elems(&mut kont)?;
                Ok(InitKont::Elems(inst, kont))
            }
            InitKont::Datas(mut inst, kont) if kont.is_complete() => {
                inst.datas = kont.destination;
                self.publish(&inst);
                let segments = MapConcat::new(module.elems.clone());
                Ok(InitKont::EsElem(inst, segments))
            }
            InitKont::Datas(inst, mut kont) => {
                kont.step(|_, data| Ok(data.init))?;
                Ok(InitKont::Datas(inst, kont))
            }
            InitKont::EsElem(inst, kont) => match kont.completed() {
                Some(joined) => {
                    let segments = MapConcat::new(module.datas.clone());
                    Ok(InitKont::EsData(inst, segments, joined))
                }
                None => kont
                    .step(|index, elem| Ok(segment::elem(index, elem)))
                    .map(|kont| InitKont::EsElem(inst, kont)),
            },
            InitKont::EsData(inst, kont, elems) => segments(module, inst, kont, elems),
            InitKont::JoinAdmin(inst, kont) => match kont.completed() {
                Some(instructions) => {
                    let code = Code {
                        values: LazyVec::default(),
                        instructions,
                    };
                    let key = self.self_key.clone();
                    Ok(InitKont::Eval(Config::new(
                        self.stack_size_limit,
                        key,
                        code,
                    )))
                }
                None => kont.step().map(|kont| InitKont::JoinAdmin(inst, kont)),
            },
            InitKont::Eval(config) => self.eval(config),
            InitKont::Stop => Err(Exception::InitStep(InitStep::Init).into()),
        }
    }

    fn start(&mut self, module: &Module, externs: LazyVec<Extern>) -> Result<InitKont, Fault> {
        let empty = ModuleInst::default();
        self.publish(&empty);
        if externs.len() != module.imports.len() {
            return Err(Fault::located(
                "wrong number of imports provided for initialisation",
            ));
        }
        Ok(InitKont::AddImport(FoldRight2 {
            acc: empty,
            offset: externs.len().wrapping_sub(1),
            left: externs,
            right: module.imports.clone(),
        }))
    }

    fn add_import(
        &mut self,
        module: &mut Module,
        mut fold: FoldRight2<Extern, crate::wasm::ast::Import, ModuleInst>,
    ) -> Result<InitKont, Fault> {
        if fold.offset == -1 {
            self.publish(&fold.acc);
            let types = module.types.clone();
            let kont = MapKont {
                destination: InstTypes(LazyVec::unbound(types.len())),
                origin: types,
                offset: 0,
            };
            return Ok(InitKont::Types(fold.acc, kont));
        }
        let item = fold.left.get(fold.offset)?.clone();
        let declared = fold.right.get(fold.offset)?;
        import::add(module, item, declared, &mut fold.acc)?;
        fold.offset = fold.offset.wrapping_sub(1);
        Ok(InitKont::AddImport(fold))
    }

    fn types(
        &mut self,
        module: &Module,
        mut inst: ModuleInst,
        mut kont: MapKont<LazyVec<crate::wasm::ast::FuncType>, InstTypes>,
    ) -> Result<InitKont, Fault> {
        if kont.offset == kont.origin.len() {
            inst.types = kont.destination.0;
            inst.allocations = module.allocations.clone();
            self.publish(&inst);
            let funcs = TickMap::new(module.funcs.clone());
            return Ok(InitKont::Aggregate(inst, Aggregate::Func(funcs)));
        }
        let ty = InstFuncType(kont.origin.get(kont.offset)?.clone());
        kont.destination.0.set(kont.offset, ty)?;
        kont.offset = kont.offset.wrapping_add(1);
        Ok(InitKont::Types(inst, kont))
    }

    fn eval(&mut self, mut config: Config) -> Result<InitKont, Fault> {
        match &config.step {
            StepKont::Result(_) => Ok(InitKont::Stop),
            StepKont::Trapped(message) => Err(Fault::located(message.clone())),
            _ => {
                eval::step(&mut config, self.registry, self.host, Moment::Init)?;
                Ok(InitKont::Eval(config))
            }
        }
    }
}

/// One export a tick; only functions are kept.
fn exports(
    module: &Module,
    mut inst: ModuleInst,
    mut fold: FoldLeft<Export, ExportsAcc>,
) -> Result<InitKont, Fault> {
    if fold.offset == fold.origin.len() {
        if !fold.acc.memory_0 {
            return Err(Exception::MissingMemoryExport.into());
        }
        inst.exports = fold.acc.exports;
        let elems = TickMap::new(module.elems.clone());
        return Ok(InitKont::Elems(inst, elems));
    }
    let Export { name, desc } = fold.origin.get(fold.offset)?.clone();
    match desc {
        ExportDesc::Func(index) => {
            let func = super::undefined("function", index, inst.funcs.get(index))?.clone();
            fold.acc.exports.set(Name(name), Extern::Func(func));
        }
        ExportDesc::Table(index) => {
            super::undefined("table", index, inst.tables.get(index))?;
        }
        ExportDesc::Memory(index) => {
            super::undefined("memory", index, inst.memories.get(index))?;
        }
        ExportDesc::Global(index) => {
            super::undefined("global", index, inst.globals.get(index))?;
        }
    }
    // A module has at most one memory that counts, so its index tells.
    fold.acc.memory_0 |= desc == ExportDesc::Memory(0);
    fold.offset = fold.offset.wrapping_add(1);
    Ok(InitKont::Exports(inst, fold))
}

fn segments(
    module: &Module,
    mut inst: ModuleInst,
    kont: MapConcat<crate::wasm::ast::Data>,
    elems: LazyVec<Admin>,
) -> Result<InitKont, Fault> {
    let Some(datas) = kont.completed() else {
        let kont = kont.step(|index, data| segment::data(&mut inst, index, data))?;
        return Ok(InitKont::EsData(inst, kont, elems));
    };
    let start = module
        .start
        .map(|function| Admin::Plain(Instr::Call(function)));
    let start = LazyVec::from_items(start.into_iter().collect());
    let parts = LazyVec::from_items(vec![elems, datas, start]);
    Ok(InitKont::JoinAdmin(inst, super::JoinKont::Init(parts)))
}
