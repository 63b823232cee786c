//! Module instances of a script, and calls of their functions by both machines.

use std::collections::BTreeMap;
use std::fmt;

use super::{Failure, LeftOut, failure};
use crate::wasm::ast::{
    ExportDesc, FuncType, Import, Limits, MemoryType, Module, Mutability, NumType, RefType,
    TableType, ValueType,
};
use crate::wasm::config::{Admin, Code, Config, StepKont};
use crate::wasm::decode::DecodeKont;
use crate::wasm::eval::{self, HostFunctions, HostOutcome, Memories, Moment};
use crate::wasm::init::{EvalState, InitKont, InitState, LinkState};
use crate::wasm::instance::{
    Extern, FuncInst, GlobalInst, MemoryInst, ModuleKey, Name, PAGE, Ref, Registry, TableInst,
    Value,
};
use crate::wasm::lazy::{LazyBytes, LazyVec};
use crate::wasm::run::{Compiled, Run, RunError, Status};
use crate::wasm::{Exception, Fault};

/// What decoding says of a float.
pub(super) const FLOATS: &str = "float instructions are forbidden";

/// Depth of calls, as in the reference's own runner of scripts.
const STACK_LIMIT: i32 = 300;

/// Ticks that the exact machine takes before run mode takes over.
const EXACT: u64 = 100_000;

/// Ticks after which a script is given up.
const PATIENCE: u64 = 1 << 36;

/// How a call or an instantiation ended.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// With these values, the first first.
    Returned(Vec<Value>),
    /// With a trap, or with an exception of this text.
    Failed(String),
    /// Not at all: the machine does this otherwise.
    LeftOut(LeftOut),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Returned(values) => {
                let values: Vec<String> = values.iter().map(shown).collect();
                write!(f, "[{}]", values.join(" "))
            }
            Self::Failed(text) => f.write_str(text),
            Self::LeftOut(reason) => f.write_str(reason.reason()),
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Num(num) => format!("{num:?}"),
        Value::V128(vector) => hex::encode(vector.0),
        Value::Ref(Ref::Func(_)) => "function".to_owned(),
        Value::Ref(other) => format!("{other:?}"),
    }
}

/// The host module of the scripts: functions that print, which is to say do nothing.
struct Spectest;

impl HostFunctions for Spectest {
    fn call(&mut self, _: &str, _: &[Value], _: Memories<'_>) -> Result<HostOutcome, Fault> {
        Ok(HostOutcome::Returned {
            results: Vec::new(),
            ticks: 0,
        })
    }
}

fn spectest(item: &str) -> Option<Extern> {
    const I32: ValueType = ValueType::Num(NumType::I32);
    const I64: ValueType = ValueType::Num(NumType::I64);
    let print = |params: Vec<ValueType>| {
        Extern::Func(FuncInst::Host {
            ty: FuncType {
                params: LazyVec::from_items(params),
                results: LazyVec::default(),
            },
            name: item.to_owned(),
        })
    };
    let global = |value| {
        Extern::Global(GlobalInst {
            mutability: Mutability::Immutable,
            value,
        })
    };
    Some(match item {
        "print" => print(vec![]),
        "print_i32" => print(vec![I32]),
        "print_i64" => print(vec![I64]),
        "global_i32" => global(Value::i32(666)),
        "global_i64" => global(Value::i64(666)),
        "table" => {
            let null = Ref::Null(RefType::Func);
            Extern::Table(TableInst {
                ty: TableType {
                    limits: Limits {
                        min: 10,
                        max: Some(20),
                    },
                    element: RefType::Func,
                },
                refs: LazyVec::from_items(vec![null; 10]),
            })
        }
        "memory" => Extern::Memory(MemoryInst {
            ty: MemoryType(Limits {
                min: 1,
                max: Some(2),
            }),
            chunks: LazyBytes::zeroed(PAGE),
        }),
        _ => return None,
    })
}

/// A module that was defined.
#[derive(Debug, Clone)]
struct Defined {
    key: ModuleKey,
    exports: BTreeMap<String, ExportDesc>,
    /// Modules whose functions it imports; run mode has only those of one module.
    calls: Vec<ModuleKey>,
}

/// What a name of the script stands for.
#[derive(Debug, Clone)]
enum Slot {
    Instance(ModuleKey),
    LeftOut(LeftOut),
}

/// Everything a script has defined.
#[derive(Debug, Default)]
pub(super) struct World {
    registry: Registry,
    defined: BTreeMap<ModuleKey, Defined>,
    /// By name in the script; the last module by the empty name.
    slots: BTreeMap<String, Slot>,
    /// By the name other modules import it under.
    registered: BTreeMap<String, Slot>,
    /// Modules whose table, memory or global another one uses too.
    shared: Vec<ModuleKey>,
    count: u32,
}

/// A fault that is no outcome of the machine.
fn no_result(what: &str, fault: &Fault) -> Failure {
    failure(what, "an outcome of the machine", fault.to_string())
}

/// An exception of the machine as its text, anything else as a failure.
fn exception<T>(what: &str, result: Result<T, Fault>) -> Result<Result<T, Exception>, Failure> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Fault::Raised(exception)) => Ok(Err(exception)),
        Err(fault) => Err(no_result(what, &fault)),
    }
}

fn text(exception: &Exception) -> String {
    exception.explanation().unwrap_or_else(|| exception.raw())
}

/// The module of a binary, or what its decoding raises.
pub(super) fn decode(mut bytes: &[u8]) -> Result<Result<Module, Exception>, Failure> {
    let mut parser = DecodeKont::new("script");
    loop {
        if let Some(module) = parser.module() {
            return Ok(Ok(module.clone()));
        }
        if let Err(raised) = exception("decoding", parser.step(&mut bytes))? {
            return Ok(Err(raised));
        }
    }
}

impl World {
    fn slot(&self, name: Option<&str>) -> Result<&Slot, Failure> {
        let name = name.unwrap_or_default();
        let slot = self.slots.get(name);
        slot.ok_or_else(|| failure(format!("module {name:?}"), "a module of this name", "none"))
    }

    fn instance(&self, name: Option<&str>) -> Result<&Defined, Failure> {
        match self.slot(name)? {
            Slot::Instance(key) => self.defined.get(key),
            Slot::LeftOut(_) => None,
        }
        .ok_or_else(|| failure("module", "an instance", "none"))
    }

    /// Why nothing is asked of a module.
    pub(super) fn left_out(&self, name: Option<&str>) -> Option<LeftOut> {
        match self.slot(name).ok()? {
            Slot::LeftOut(reason) => Some(*reason),
            Slot::Instance(key) => self.is_shared(key).then_some(LeftOut::Shared),
        }
    }

    /// Whether a module, or one whose functions it calls, has something in common with another.
    fn is_shared(&self, key: &ModuleKey) -> bool {
        let mut calls = self.defined.get(key).into_iter().flat_map(|one| &one.calls);
        self.shared.contains(key) || calls.any(|called| self.is_shared(called))
    }

    /// Defines and instantiates a module; the script goes on with it.
    pub(super) fn define(
        &mut self,
        name: Option<String>,
        bytes: &[u8],
    ) -> Result<Outcome, Failure> {
        let outcome = self.instantiate(bytes)?;
        let slot = match &outcome {
            Outcome::LeftOut(reason) => Slot::LeftOut(*reason),
            _ => Slot::Instance(self.key()),
        };
        if let Some(name) = name {
            self.slots.insert(name, slot.clone());
        }
        self.slots.insert(String::new(), slot);
        Ok(outcome)
    }

    /// Makes a module known to imports.
    pub(super) fn register(
        &mut self,
        name: &str,
        module: Option<&str>,
    ) -> Result<Option<LeftOut>, Failure> {
        let slot = self.slot(module)?.clone();
        let reason = match &slot {
            Slot::LeftOut(reason) => Some(*reason),
            Slot::Instance(_) => None,
        };
        self.registered.insert(name.to_owned(), slot);
        Ok(reason)
    }

    /// Key of the module instantiated last.
    fn key(&self) -> ModuleKey {
        ModuleKey(format!("module{}", self.count).into())
    }

    /// Instantiates a module.
    pub(super) fn instantiate(&mut self, bytes: &[u8]) -> Result<Outcome, Failure> {
        let mut module = match decode(bytes)? {
            Ok(module) => module,
            Err(exception) if text(&exception) == FLOATS => {
                return Ok(Outcome::LeftOut(LeftOut::Floats));
            }
            Err(exception) => return Ok(Outcome::Failed(text(&exception))),
        };
        let fail = |fault: Fault| no_result("imports", &fault);
        let mut externs = Vec::new();
        let mut calls = Vec::new();
        for import in module.imports.to_items().map_err(fail)? {
            match self.import(&import)? {
                Ok(Some(item)) => {
                    if let Extern::Func(FuncInst::Native { module, .. }) = &item {
                        calls.push(module.clone());
                    }
                    externs.push(item);
                }
                Ok(None) => return Ok(Outcome::Failed("unknown import".to_owned())),
                Err(reason) => return Ok(Outcome::LeftOut(reason)),
            }
        }
        let shares = self.shares(&mut module)?;
        self.count = self.count.wrapping_add(1);
        let key = self.key();
        let exports = module.exports.to_items().map_err(fail)?;
        let exports = exports.into_iter().map(|export| (export.name, export.desc));
        let defined = Defined {
            key: key.clone(),
            exports: exports.collect(),
            calls,
        };
        let link = LinkState {
            offset: module.imports.len(),
            module,
            externs: LazyVec::from_items(externs),
        };
        let outcome = self.initialise(key.clone(), link)?;
        self.defined.insert(key.clone(), defined);
        if shares {
            self.shared.push(key);
            return Ok(Outcome::LeftOut(LeftOut::Shared));
        }
        Ok(outcome)
    }

    fn initialise(&mut self, key: ModuleKey, link: LinkState) -> Result<Outcome, Failure> {
        let mut init = InitState::new(key, link);
        init.registry = std::mem::take(&mut self.registry);
        let mut outcome = Outcome::Returned(Vec::new());
        for _ in 0..PATIENCE {
            match &mut init.kont {
                InitKont::Stop => break,
                // A rule for kernels, not for scripts.
                InitKont::Exports(_, fold) => fold.acc.memory_0 = true,
                _ => {}
            }
            let stepped = exception("instantiation", init.step(&mut Spectest, STACK_LIMIT))?;
            if let Err(exception) = stepped {
                outcome = Outcome::Failed(text(&exception));
                break;
            }
        }
        self.registry = init.registry;
        Ok(outcome)
    }

    /// What an import stands for.
    fn import(&mut self, import: &Import) -> Result<Result<Option<Extern>, LeftOut>, Failure> {
        if import.module == "spectest" {
            return Ok(Ok(spectest(&import.item)));
        }
        let key = match self.registered.get(&import.module) {
            None => return Ok(Ok(None)),
            Some(Slot::LeftOut(reason)) => return Ok(Err(*reason)),
            Some(Slot::Instance(key)) => key.clone(),
        };
        let defined = self.defined.get(&key);
        let desc = defined.and_then(|defined| defined.exports.get(&import.item));
        let Some(desc) = desc.copied() else {
            return Ok(Ok(None));
        };
        let item = self.item(&key, desc);
        item.map(|item| Ok(Some(item)))
            .map_err(|fault| no_result("import", &fault))
    }

    fn item(&mut self, key: &ModuleKey, desc: ExportDesc) -> Result<Extern, Fault> {
        let instance = self.registry.read(key)?;
        Ok(match desc {
            ExportDesc::Func(index) => Extern::Func(instance.funcs.get(index)?.clone()),
            ExportDesc::Table(index) => Extern::Table(instance.tables.get(index)?.clone()),
            ExportDesc::Memory(index) => Extern::Memory(instance.memories.get(index)?.clone()),
            ExportDesc::Global(index) => Extern::Global(instance.globals.get(index)?.clone()),
        })
    }

    /// Whether a module uses something of another one that may change; both then differ from what
    /// the standard says.
    fn shares(&mut self, module: &mut Module) -> Result<bool, Failure> {
        use crate::wasm::ast::ImportDesc;
        let imports = module.imports.to_items();
        let imports = imports.map_err(|fault| no_result("imports", &fault))?;
        let mut shares = false;
        for import in imports {
            let changes = match import.desc {
                ImportDesc::Func(_) => false,
                ImportDesc::Table(_) | ImportDesc::Memory(_) => true,
                ImportDesc::Global(ty) => ty.mutability == Mutability::Mutable,
            };
            if let (true, Some(Slot::Instance(key))) =
                (changes, self.registered.get(&import.module))
            {
                self.shared.push(key.clone());
                shares = true;
            }
        }
        Ok(shares)
    }

    /// The value of an exported global.
    pub(super) fn global(&mut self, module: Option<&str>, name: &str) -> Result<Outcome, Failure> {
        if let Some(reason) = self.left_out(module) {
            return Ok(Outcome::LeftOut(reason));
        }
        let defined = self.instance(module)?.clone();
        let item = match defined.exports.get(name) {
            Some(desc) => self.item(&defined.key, *desc),
            None => return Err(failure(name, "an export", "none")),
        };
        match item.map_err(|fault| no_result(name, &fault))? {
            Extern::Global(global) => Ok(Outcome::Returned(vec![global.value])),
            _ => Err(failure(name, "a global", "another export")),
        }
    }

    /// Calls an exported function, by the exact machine and in run mode where both can.
    pub(super) fn invoke(
        &mut self,
        module: Option<&str>,
        name: &str,
        mut args: Vec<Value>,
    ) -> Result<Outcome, Failure> {
        let defined = self.instance(module)?.clone();
        let what = |fault: Fault| no_result(name, &fault);
        let instance = self.registry.read(&defined.key).map_err(what)?;
        let export = instance.exports.get(&Name(name.to_owned()));
        let Extern::Func(function) = export.map_err(what)?.clone() else {
            return Err(failure(name, "a function", "another export"));
        };
        args.reverse();
        let results = function.ty().results.len();
        let code = Code {
            values: LazyVec::from_items(args),
            instructions: LazyVec::singleton(Admin::Invoke(Box::new(function))),
        };
        let mut config = Config::new(STACK_LIMIT, defined.key.clone(), code);
        if let StepKont::Start { top, .. } = &mut config.step {
            // A script's call takes as many values as the function returns; a kernel's takes all.
            top.arity = Some(results);
        }
        let first = EvalState {
            config,
            registry: self.registry.clone(),
        };
        let fast = if !defined.calls.is_empty() {
            None
        } else {
            by_run(first.clone()).map_err(what)?
        };
        let limit = if fast.is_some() { EXACT } else { PATIENCE };
        let exact = match exactly(first, limit) {
            Err(Fault::Unencodable(_)) => return Ok(Outcome::LeftOut(LeftOut::NotEncodable)),
            other => other.map_err(what)?,
        };
        let (outcome, registry) = match (exact, fast) {
            (Some(exact), Some(fast)) => {
                agree(name, &defined.key, exact.clone(), fast)?;
                exact
            }
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return Err(failure(name, "an end", "none within reach")),
        };
        self.registry = registry;
        Ok(outcome)
    }
}

/// How a call ended, and what it left.
type Ended = (Outcome, Registry);

/// Tick by tick; none when it has not ended after `limit` ticks.
fn exactly(mut state: EvalState, limit: u64) -> Result<Option<Ended>, Fault> {
    for _ in 0..limit {
        let EvalState { config, registry } = &mut state;
        match &mut config.step {
            StepKont::Result(values) => {
                let mut values = values.to_items()?;
                values.reverse();
                return Ok(Some((Outcome::Returned(values), state.registry)));
            }
            StepKont::Trapped(message) => {
                let message = std::mem::take(message);
                return Ok(Some((Outcome::Failed(message), state.registry)));
            }
            _ => {}
        }
        match eval::step(config, registry, &mut Spectest, Moment::Run) {
            Ok(()) => {}
            Err(Fault::Raised(exception)) => {
                return Ok(Some((Outcome::Failed(text(&exception)), state.registry)));
            }
            Err(other) => return Err(other),
        }
    }
    Ok(None)
}

/// In run mode; none when it declines.
fn by_run(mut first: EvalState) -> Result<Option<Ended>, Fault> {
    let run = Compiled::new(&mut first).and_then(|compiled| Run::new(&compiled, first));
    let mut run = match run {
        Ok(run) => run,
        Err(RunError::Declined(_)) => return Ok(None),
        Err(RunError::Fault(fault)) => return Err(fault),
    };
    let outcome = match run.advance(PATIENCE, &mut Spectest)? {
        Status::Finished { .. } => Outcome::Returned(run.results()?),
        Status::Trapped { message, .. } => Outcome::Failed(message),
        Status::Raised { exception, .. } => Outcome::Failed(text(&exception)),
        Status::Near | Status::Reveals { .. } | Status::Declined { .. } => return Ok(None),
    };
    Ok(Some((outcome, run.registry()?)))
}

/// Both machines must end alike, with the same memory.
fn agree(name: &str, key: &ModuleKey, exact: Ended, fast: Ended) -> Result<(), Failure> {
    let same = exact.0.to_string() == fast.0.to_string();
    if !same {
        let what = format!("{name} in run mode");
        return Err(failure(what, exact.0.to_string(), fast.0.to_string()));
    }
    let memory = |(_, mut registry): Ended| -> Result<Vec<u8>, Fault> {
        let instance = registry.read(key)?;
        match instance.memories.len() {
            0 => Ok(Vec::new()),
            _ => instance.memories.read(0)?.chunks.to_vec(),
        }
    };
    let fail = |fault: Fault| no_result(name, &fault);
    let (exact, fast) = (memory(exact).map_err(fail)?, memory(fast).map_err(fail)?);
    let differ = exact.iter().zip(&fast).position(|(a, b)| a != b);
    match differ {
        None if exact.len() == fast.len() => Ok(()),
        place => Err(failure(
            format!("memory after {name} in run mode, at {place:?}"),
            format!("{} bytes", exact.len()),
            format!("{} bytes", fast.len()),
        )),
    }
}
