//! Host functions behind the imports of a native instance.
//!
//! Promises: every call goes through the one semantics of `pvm::host`; a call that cannot be
//! answered stops the run with its reason. Refuses to know: what the functions do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmer::{
    AsStoreMut, Function, FunctionEnv, FunctionEnvMut, FunctionType, Memory as GuestMemory,
    MemoryView, RuntimeError, Type,
};

use crate::protocol::Level;
use crate::pvm::engine::RunError;
use crate::pvm::host::{
    HostContext, HostFunction, HostOutcome, HostValue, Memory, NoNextState, RevealCall, ValueType,
    deliver,
};
use crate::pvm::{
    Buffers, DebugSink, Declined, Durable, Edges, Environment, HostTrace, ListingOrder,
    NotJudgeable, PvmError, Reveals, State,
};

/// What a run changes.
#[derive(Debug, Clone)]
pub(super) struct Effects {
    pub(super) durable: Durable,
    pub(super) buffers: Buffers,
    pub(super) edges: Edges,
}

/// What host functions work on.
pub(super) struct Host {
    pub(super) effects: Effects,
    /// None while the module is being instantiated.
    pub(super) memory: Option<GuestMemory>,
    /// Why the run was stopped from here.
    pub(super) stopped: Option<RunError>,
    /// Ticks charged by host functions so far.
    pub(super) ticks: u128,
    budget: u128,
    calls_left: u64,
    last_input: Option<Level>,
    reveals: Arc<dyn Reveals>,
    debug: DebugSink,
    listing: ListingOrder,
    trace: Option<HostTrace>,
    interrupt: Arc<AtomicBool>,
}

impl Host {
    pub(super) fn new(
        state: &State,
        environment: &Environment,
        budget: u128,
        calls_left: u64,
    ) -> Self {
        Self {
            effects: Effects {
                durable: state.durable.clone(),
                buffers: state.buffers.clone(),
                edges: Edges::default(),
            },
            memory: None,
            stopped: None,
            ticks: 0,
            budget,
            calls_left,
            last_input: state.last_input.map(|info| info.level),
            reveals: Arc::clone(&environment.reveals),
            debug: Arc::clone(&environment.debug),
            listing: environment.listing,
            trace: environment.trace.clone(),
            interrupt: Arc::clone(&environment.interrupt),
        }
    }

    fn call(
        &mut self,
        function: HostFunction,
        arguments: &[HostValue],
        memory: &mut dyn Memory,
    ) -> Result<Option<HostValue>, RunError> {
        if self.interrupt.load(Ordering::Relaxed) {
            return Err(NotJudgeable::Interrupted.into());
        }
        self.calls_left = self.calls_left.checked_sub(1).ok_or(Declined::HostCalls)?;
        let debug = &self.debug;
        let outcome = function.call(
            arguments,
            &mut HostContext {
                memory,
                durable: &mut self.effects.durable,
                buffers: &mut self.effects.buffers,
                listing: self.listing,
                debug: Some(&mut |text| debug(text)),
                edges: &mut self.effects.edges,
            },
        )?;
        let (result, cost) = match outcome {
            HostOutcome::Done { result, cost } => (result, cost),
            HostOutcome::Reveal(call) => self.reveal(&call, memory)?,
            HostOutcome::Raised(raw) => return Err(Declined::Raised(raw.to_owned()).into()),
            HostOutcome::SecondStorage => {
                let name = function.import_name().to_owned();
                return Err(NotJudgeable::SecondStorage(name).into());
            }
        };
        self.ticks = self.ticks.saturating_add(u128::from(cost));
        if self.ticks > self.budget {
            return Err(Declined::Ticks(self.budget).into());
        }
        if let Some(trace) = &self.trace {
            trace(function, arguments, result);
        }
        Ok(result)
    }

    fn reveal(
        &self,
        call: &RevealCall,
        memory: &mut dyn Memory,
    ) -> Result<(Option<HostValue>, u64), RunError> {
        let data = self
            .reveals
            .answer(&call.request, self.last_input)
            .map_err(NotJudgeable::Reveal)?;
        match deliver(call, &data, memory)? {
            Ok((count, cost)) => Ok((Some(HostValue::I32(count)), cost)),
            Err(NoNextState) => Err(NotJudgeable::NoNextState {
                destination: call.destination.cast_unsigned(),
            }
            .into()),
        }
    }
}

/// Memory of a native instance, the range being checked by the caller.
struct NativeMemory<'a>(MemoryView<'a>);

impl Memory for NativeMemory<'_> {
    fn size(&self) -> u64 {
        self.0.data_size()
    }

    fn read(&self, address: u64, length: usize) -> Result<Vec<u8>, PvmError> {
        let mut bytes = vec![0; length];
        self.0
            .read(address, &mut bytes)
            .map_err(|_| PvmError::Overflow("a memory range"))?;
        Ok(bytes)
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), PvmError> {
        self.0
            .write(address, bytes)
            .map_err(|_| PvmError::Overflow("a memory range"))
    }
}

fn call(
    mut environment: FunctionEnvMut<'_, Host>,
    function: HostFunction,
    arguments: &[HostValue],
) -> Result<Option<HostValue>, RuntimeError> {
    let (host, store) = environment.data_and_store_mut();
    let result = match host.memory.clone() {
        Some(memory) => {
            let mut memory = NativeMemory(memory.view(&store));
            host.call(function, arguments, &mut memory)
        }
        None => Err(Declined::Instantiation("its start function calls the host".to_owned()).into()),
    };
    result.map_err(|reason| {
        let message = reason.to_string();
        host.stopped = Some(reason);
        RuntimeError::new(message)
    })
}

fn call_i32(
    environment: FunctionEnvMut<'_, Host>,
    function: HostFunction,
    arguments: &[HostValue],
) -> Result<i32, RuntimeError> {
    match call(environment, function, arguments)? {
        Some(HostValue::I32(result)) => Ok(result),
        _ => Err(RuntimeError::new("a host function returned another type")),
    }
}

fn call_i64(
    environment: FunctionEnvMut<'_, Host>,
    function: HostFunction,
    arguments: &[HostValue],
) -> Result<i64, RuntimeError> {
    match call(environment, function, arguments)? {
        Some(HostValue::I64(result)) => Ok(result),
        _ => Err(RuntimeError::new("a host function returned another type")),
    }
}

/// Type of a host function as the compiler writes it.
pub(super) fn type_of(function: HostFunction) -> FunctionType {
    let types = |list: &[ValueType]| -> Vec<Type> {
        list.iter()
            .map(|ty| match ty {
                ValueType::I32 => Type::I32,
                ValueType::I64 => Type::I64,
            })
            .collect()
    };
    FunctionType::new(types(function.parameters()), types(function.results()))
}

/// The import behind which a host function stands; none for functions on the second storage.
pub(super) fn import(
    store: &mut impl AsStoreMut,
    environment: &FunctionEnv<Host>,
    function: HostFunction,
) -> Option<Function> {
    use HostValue::{I32, I64};
    macro_rules! typed {
        ($call:ident -> $result:ty; $($name:ident: $ty:ty => $value:ident),*) => {
            Function::new_typed_with_env(
                store,
                environment,
                move |host: FunctionEnvMut<'_, Host>, $($name: $ty),*| -> Result<$result, RuntimeError> {
                    $call(host, function, &[$($value($name)),*])
                },
            )
        };
    }
    let (parameters, results) = (function.parameters(), function.results());
    Some(match (parameters.len(), results) {
        _ if function.is_second_storage() => return None,
        (2, []) => Function::new_typed_with_env(
            store,
            environment,
            move |host: FunctionEnvMut<'_, Host>, a: i32, b: i32| -> Result<(), RuntimeError> {
                call(host, function, &[I32(a), I32(b)]).map(|_| ())
            },
        ),
        (2, [ValueType::I64]) => typed!(call_i64 -> i64; a: i32 => I32, b: i32 => I32),
        (2, _) => typed!(call_i32 -> i32; a: i32 => I32, b: i32 => I32),
        (3, _) => typed!(call_i32 -> i32; a: i32 => I32, b: i32 => I32, c: i32 => I32),
        (4, _) => {
            typed!(call_i32 -> i32; a: i32 => I32, b: i32 => I32, c: i32 => I32, d: i32 => I32)
        }
        (5, _) if parameters.contains(&ValueType::I64) => {
            typed!(call_i32 -> i32; a: i32 => I32, b: i32 => I32, c: i64 => I64, d: i32 => I32, e: i32 => I32)
        }
        (5, _) => {
            typed!(call_i32 -> i32; a: i32 => I32, b: i32 => I32, c: i32 => I32, d: i32 => I32, e: i32 => I32)
        }
        _ => return None,
    })
}
