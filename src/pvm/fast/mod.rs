//! Whole kernel runs on native code.
//!
//! Promises: a period it returns ends in the state the judging machine reaches; floats and all
//! that the reference parser, linker and initialiser may see differently are declined before
//! compiling; of traps only the four that are traps for the machine count as such; a run that may
//! exceed its ticks, its call depth or its host is declined, and stops by itself. Refuses to know:
//! ticks inside a run. Upstream rule: `fast/exec.ml`; the one place that names wasmer.

#[cfg(test)]
mod agree;
mod cache;
mod gate;
mod host;
mod meter;
mod plan;
#[cfg(test)]
mod shaped;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use wasmer::sys::{CompilerConfig, Cranelift, EngineBuilder, Features, Target};
use wasmer::{
    Extern, ExternType, FunctionEnv, Imports, Instance, Module, RuntimeError, Store, Value,
};

use self::cache::{FORMAT, Recent, name_of};
use self::host::{Effects, Host};
use self::meter::{DEPTH, Limits, MEMORY_FAILED, Meter, TICKS};
use self::plan::loading_ticks;
use super::engine::{Engine, Period, RunError, RunTicks};
use super::folder::Folder;
use super::host::{HostFunction, MODULE};
use super::{Declined, Environment, Key, LONGEST_RUN, NotJudgeable, Phase, PvmError, State};
use crate::crypto::Hash;
use crate::protocol::PvmVersion;

/// Part of the cache key: another compiler makes other code.
const COMPILER: &str = "wasmer 7.2.0 cranelift";

/// Native stack of a run. A frame takes at least 16 bytes, so a run that nests calls 60,000 deep,
/// where the machine from version 1 on gives up, overflows first.
const STACK: usize = 59_000 * 16;

/// Depth of calls in version 0, whose limit is 300.
const DEPTH_V0: u32 = 290;

/// How the engine is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where compiled kernels are kept; none to compile anew in each process.
    pub cache: Option<PathBuf>,
    /// Most ticks a run may be estimated at, whatever its period allows: what stops an endless
    /// kernel.
    pub max_ticks: u64,
    /// Most host calls of a run: they take far more time than their ticks say.
    pub max_host_calls: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache: None,
            max_ticks: LONGEST_RUN,
            max_host_calls: 50_000_000,
        }
    }
}

/// A kernel ready to run.
#[derive(Clone)]
struct Compiled {
    engine: wasmer::Engine,
    module: Module,
}

/// Runs kernels natively.
pub struct FastEngine {
    options: Options,
    folder: Folder,
    recent: Recent<Compiled>,
    processor: String,
}

impl std::fmt::Debug for FastEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FastEngine")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

fn features() -> Features {
    let mut features = Features::none();
    features.bulk_memory(true).reference_types(true).simd(true);
    features
}

fn engine(meter: Option<Arc<Meter>>) -> wasmer::Engine {
    let mut compiler = Cranelift::new();
    if let Some(meter) = meter {
        compiler.push_middleware(meter);
    }
    EngineBuilder::new(compiler)
        .set_features(Some(features()))
        .engine()
        .into()
}

impl FastEngine {
    /// An engine with these options. Sets the size of native stacks for the whole process.
    #[must_use]
    pub fn new(options: Options) -> Self {
        wasmer::sys::vm::set_stack_size(STACK);
        let target = Target::default();
        Self {
            folder: Folder::new(options.cache.clone(), FORMAT),
            options,
            recent: Recent::new(),
            processor: format!("{} {:?}", target.triple(), target.cpu_features()),
        }
    }

    /// The kernel of a state, compiled now or before.
    fn kernel(&self, state: &mut State, limits: Limits) -> Result<(Compiled, i64), RunError> {
        let key = Key::KERNEL.key();
        let hash = state.durable.value_hash(&key)?.ok_or(Declined::NoKernel)?;
        let length = state.durable.length(&key)?.ok_or(Declined::NoKernel)?;
        let name = name_of(&hash, COMPILER, &self.processor, &format!("{limits:?}"));
        if let Some(compiled) = self.recent.get(&name) {
            return Ok((compiled, length));
        }
        let compiled = match self.load(&name) {
            Some(compiled) => compiled,
            None => {
                let bytes = state.durable.get(&key)?.ok_or(Declined::NoKernel)?;
                self.compile(&name, &bytes, limits)?
            }
        };
        self.recent.put(name, compiled.clone());
        Ok((compiled, length))
    }

    fn load(&self, name: &Hash) -> Option<Compiled> {
        let code = self.folder.load(name)?;
        let engine = engine(None);
        // SAFETY: the file is private to us, carries the digest it was written with, and its name
        // binds the kernel, this compiler version and this processor: it is what `serialize` gave.
        #[allow(unsafe_code)]
        let module = unsafe { Module::deserialize(&engine, code) }.ok()?;
        Some(Compiled { engine, module })
    }

    fn compile(&self, name: &Hash, bytes: &[u8], limits: Limits) -> Result<Compiled, Declined> {
        let plan = gate::admit(bytes)?;
        let engine = engine(Some(Meter::new(plan, limits)));
        let refused = |error: String| Declined::Compile(error);
        let module = Module::new(&engine, bytes).map_err(|error| refused(error.to_string()))?;
        match module.serialize() {
            Ok(code) => self.folder.keep(name, &code),
            Err(error) => tracing::warn!(%error, "compiled kernel not kept"),
        }
        Ok(Compiled { engine, module })
    }

    /// Ticks the guest may use by our estimate.
    fn budget(&self, state: &State, kernel_length: i64) -> Result<u128, Declined> {
        state
            .max_nb_ticks
            .checked_sub(loading_ticks(kernel_length))
            .map(|left| left.min(u128::from(self.options.max_ticks)))
            .filter(|left| *left > 0)
            .ok_or(Declined::Ticks(state.max_nb_ticks))
    }
}

/// Every import must be a host function of this version with its very type.
fn link(
    module: &Module,
    version: PvmVersion,
    store: &mut Store,
    host: &FunctionEnv<Host>,
) -> Result<Imports, RunError> {
    let mut imports = Imports::new();
    for wanted in module.imports() {
        let unknown = || Declined::Import {
            module: wanted.module().to_owned(),
            name: wanted.name().to_owned(),
        };
        let function = Some(wanted.name())
            .filter(|_| wanted.module() == MODULE)
            .and_then(|name| HostFunction::imported(name, version))
            .ok_or_else(unknown)?;
        if *wanted.ty() != ExternType::Function(host::type_of(function)) {
            return Err(unknown().into());
        }
        let Some(import) = host::import(store, host, function) else {
            return Err(NotJudgeable::SecondStorage(wanted.name().to_owned()).into());
        };
        imports.define(MODULE, wanted.name(), import);
    }
    Ok(imports)
}

/// How a run went.
struct Finished {
    /// The trap that ended it, in the engine's words.
    trap: Option<String>,
    /// Most ticks that evaluation took.
    ticks: u128,
    effects: Effects,
}

/// A kernel instantiated for one run.
struct Run {
    store: Store,
    host: FunctionEnv<Host>,
    instance: Instance,
    budget: u128,
}

impl Run {
    fn start(
        kernel: &Compiled,
        version: PvmVersion,
        host: Host,
        budget: u128,
    ) -> Result<Self, RunError> {
        let mut store = Store::new(kernel.engine.clone());
        let host = FunctionEnv::new(&mut store, host);
        let imports = link(&kernel.module, version, &mut store, &host)?;
        // The account starts at zero, so a start function stops at once; it is the rare kernel
        // that has one, and the reference engine runs it.
        let instance = Instance::new(&mut store, &kernel.module, &imports).map_err(|error| {
            let stopped = host.as_mut(&mut store).stopped.take();
            stopped.unwrap_or_else(|| Declined::Instantiation(error.to_string()).into())
        })?;
        let memory = instance
            .exports
            .iter()
            .find_map(|(_, export)| match export {
                Extern::Memory(memory) => Some(memory.clone()),
                _ => None,
            });
        host.as_mut(&mut store).memory = memory;
        let mut run = Self {
            store,
            host,
            instance,
            budget,
        };
        let ticks = i64::try_from(budget).unwrap_or(i64::MAX);
        run.global(TICKS)?
            .set(&mut run.store, Value::I64(ticks))
            .map_err(|error| Declined::Instantiation(error.to_string()))?;
        Ok(run)
    }

    fn global(&self, name: &str) -> Result<wasmer::Global, Declined> {
        let global = self.instance.exports.get_global(name);
        global
            .cloned()
            .map_err(|error| Declined::Instantiation(error.to_string()))
    }

    /// Runs `kernel_run`.
    fn finish(&mut self) -> Result<Finished, RunError> {
        let kernel_run = self
            .instance
            .exports
            .get_typed_function::<(), ()>(&self.store, "kernel_run")
            .map_err(|error| Declined::Kernel(error.to_string()))?;
        let result = kernel_run.call(&mut self.store);
        let left = match self.global(TICKS)?.get(&mut self.store) {
            Value::I64(left) => i128::from(left),
            _ => -1,
        };
        let host = self.host.as_mut(&mut self.store);
        if let Some(reason) = host.stopped.take() {
            return Err(reason);
        }
        let used = i128::try_from(self.budget).unwrap_or(i128::MAX) - left;
        let used = u128::try_from(used).unwrap_or(u128::MAX);
        let ticks = used.saturating_add(host.ticks);
        if left < 0 || ticks > self.budget {
            return Err(Declined::Ticks(self.budget).into());
        }
        let effects = host.effects.clone();
        let trap = result.err().map(|error| self.trapped(error)).transpose()?;
        Ok(Finished {
            trap,
            ticks,
            effects,
        })
    }

    /// The text of a trap that the machine sees, too.
    fn trapped(&mut self, error: RuntimeError) -> Result<String, Declined> {
        let message = error.message();
        let is_trap = matches!(
            message.as_str(),
            "unreachable"
                | "out of bounds memory access"
                | "integer divide by zero"
                | "indirect call type mismatch"
        );
        if error.to_trap().is_none() || !is_trap {
            return Err(Declined::Trap(message));
        }
        match self.global(DEPTH)?.get(&mut self.store) {
            Value::I32(MEMORY_FAILED) => Err(Declined::Memory),
            Value::I32(depth) if depth > DEPTH_V0.cast_signed() => Err(Declined::Depth(DEPTH_V0)),
            _ => Ok(message),
        }
    }
}

/// The state at the end of a run of a kernel of this length.
fn ended(mut state: State, finished: Finished, length: i64) -> Result<Period, RunError> {
    state.durable = finished.effects.durable;
    state.buffers = finished.effects.buffers;
    if finished.trap.is_some() {
        state.mark_trap()?;
    } else {
        state.mark_success()?;
    }
    state.phase = Phase::Padding;
    state.current_tick = state
        .last_top_level_call
        .checked_add(state.max_nb_ticks)
        .and_then(|end| end.checked_sub(1))
        .ok_or(PvmError::Overflow("the tick"))?;
    let ticks = finished.ticks.saturating_add(loading_ticks(length));
    Ok(Period {
        state,
        ticks: RunTicks::AtMost(ticks),
        edges: finished.effects.edges,
    })
}

impl FastEngine {
    /// The kernel of a state, ready to run, and its length.
    fn prepared(
        &self,
        state: &mut State,
        environment: &Environment,
    ) -> Result<(Run, i64), RunError> {
        let version = state.version()?;
        let limits = Limits {
            depth: (version == PvmVersion::V0).then_some(DEPTH_V0),
        };
        let (kernel, length) = self.kernel(state, limits)?;
        let budget = self.budget(state, length)?;
        state.save_fallback()?;
        let host = Host::new(state, environment, budget, self.options.max_host_calls);
        Ok((Run::start(&kernel, version, host, budget)?, length))
    }
}

impl Engine for FastEngine {
    fn run(&self, state: &State, environment: &Environment) -> Result<Period, RunError> {
        let mut state = state.clone();
        let (mut run, length) = self.prepared(&mut state, environment)?;
        let finished = run.finish()?;
        ended(state, finished, length)
    }
}
