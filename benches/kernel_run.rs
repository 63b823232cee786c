//! A kernel run in the tower against the same module bare on wasmer with the same host work.
//!
//! `cargo bench --bench kernel_run` prints both times and their ratio, each the best of several
//! alternating runs. Bare means: no charges in the code, compiled before, instance made anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmer::sys::{Cranelift, EngineBuilder, Features};
use wasmer::{AsStoreRef, Function, FunctionEnv, FunctionEnvMut, Imports, Instance, Module, Store};
use watchtower::protocol::{Level, PvmVersion};
use watchtower::pvm::fast::{FastEngine, Options};
use watchtower::pvm::host::{HostContext, HostFunction, HostOutcome, HostValue, Memory};
use watchtower::pvm::{
    Buffers, Durable, Edges, Engine, Environment, InputInfo, ListingOrder, MetadataAlone,
    NoReference, Origination, PvmError, State,
};

const ROUNDS: usize = 7;

/// Mixes arithmetic, memory, calls and branches the way compiled kernels do, then writes.
const MIX: &str = r#"(module
  (import "smart_rollup_core" "store_write" (func $write (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "mem") 32)
  (data (i32.const 0) "/state/table")
  (func $mix (param $x i64) (param $i i32) (result i64) (local $a i32)
    (local.set $a (i32.add (i32.const 4096) (i32.shl (i32.and (local.get $i) (i32.const 0xffff)) (i32.const 3))))
    (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
    (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
    (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 17))))
    (i64.store (local.get $a) (i64.add (i64.load (local.get $a)) (local.get $x)))
    (local.get $x))
  (func $block (param $x i64) (result i64) (local $i i32)
    (loop $l
      (if (i64.eqz (i64.and (local.get $x) (i64.const 15)))
        (then (local.set $x (i64.add (local.get $x) (i64.const 0x9E3779B97F4A7C15)))))
      (local.set $x (call $mix (local.get $x) (i32.wrap_i64 (local.get $x))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10000))))
    (local.get $x))
  (func (export "kernel_run") (local $x i64) (local $i i32)
    (local.set $x (i64.const 88172645463325252))
    (loop $l
      (local.set $x (call $block (local.get $x)))
      (drop (call $write (i32.const 0) (i32.const 12) (i32.shl (i32.and (local.get $i) (i32.const 63)) (i32.const 11)) (i32.const 4096) (i32.const 2048)))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000))))))"#;

/// The worst case for the charges: loops of a few operators.
const TIGHT: &str = r#"(module
  (memory (export "mem") 1)
  (func (export "kernel_run") (local $i i32) (local $x i32)
    (loop $l
      (local.set $x (i32.xor (i32.mul (local.get $x) (i32.const 31)) (local.get $i)))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100000000))))
    (i32.store (i32.const 0) (local.get $x))))"#;

fn main() {
    for (name, text) in [
        ("mix of kernel-like work", MIX),
        ("tight loop (worst case)", TIGHT),
    ] {
        let buffer = wast::parser::ParseBuffer::new(text).expect("the kernel is text");
        let mut module: wast::Wat = wast::parser::parse(&buffer).expect("the kernel parses");
        compare(name, &module.encode().expect("the kernel encodes"));
    }
}

fn compare(name: &str, kernel: &[u8]) {
    let state = snapshot(kernel);
    let environment = environment();
    let tower = FastEngine::new(Options::default());
    let bare = Bare::new(kernel);
    tower.run(&state, &environment).expect("the kernel runs");
    let (mut in_tower, mut on_wasmer) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        bare.run(&state);
        on_wasmer = on_wasmer.min(start.elapsed());
        let start = Instant::now();
        tower.run(&state, &environment).expect("the kernel runs");
        in_tower = in_tower.min(start.elapsed());
    }
    let ratio = in_tower.as_secs_f64() / on_wasmer.as_secs_f64();
    println!("{name}: tower {in_tower:?}, bare {on_wasmer:?}, ratio {ratio:.3}");
}

/// The module without charges.
struct Bare {
    engine: wasmer::Engine,
    module: Module,
}

struct Host {
    memory: Option<wasmer::Memory>,
    durable: Durable,
    buffers: Buffers,
    edges: Edges,
}

struct View<'a>(wasmer::MemoryView<'a>);

impl Memory for View<'_> {
    fn size(&self) -> u64 {
        self.0.data_size()
    }

    fn read(&self, address: u64, length: usize) -> Result<Vec<u8>, PvmError> {
        let mut bytes = vec![0; length];
        self.0.read(address, &mut bytes).expect("in range");
        Ok(bytes)
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), PvmError> {
        self.0.write(address, bytes).expect("in range");
        Ok(())
    }
}

impl Bare {
    fn new(kernel: &[u8]) -> Self {
        let mut features = Features::none();
        features.bulk_memory(true).reference_types(true).simd(true);
        let engine: wasmer::Engine = EngineBuilder::new(Cranelift::new())
            .set_features(Some(features))
            .engine()
            .into();
        let module = Module::new(&engine, kernel).expect("it compiles");
        Self { engine, module }
    }

    fn run(&self, state: &State) {
        let mut store = Store::new(self.engine.clone());
        let host = Host {
            memory: None,
            durable: state.durable.clone(),
            buffers: state.buffers.clone(),
            edges: Edges::default(),
        };
        let host = FunctionEnv::new(&mut store, host);
        let write = Function::new_typed_with_env(&mut store, &host, write);
        let mut imports = Imports::new();
        imports.define("smart_rollup_core", "store_write", write);
        let instance = Instance::new(&mut store, &self.module, &imports).expect("it instantiates");
        let memory = instance
            .exports
            .get_memory("mem")
            .expect("a memory")
            .clone();
        host.as_mut(&mut store).memory = Some(memory);
        let run = instance
            .exports
            .get_typed_function::<(), ()>(&store.as_store_ref(), "kernel_run")
            .expect("a kernel");
        run.call(&mut store).expect("it returns");
    }
}

fn write(mut env: FunctionEnvMut<'_, Host>, a: i32, b: i32, c: i32, d: i32, e: i32) -> i32 {
    let (host, store) = env.data_and_store_mut();
    let memory = host.memory.clone().expect("set before the run");
    let mut context = HostContext {
        memory: &mut View(memory.view(&store)),
        durable: &mut host.durable,
        buffers: &mut host.buffers,
        listing: ListingOrder::Run,
        debug: None,
        edges: &mut host.edges,
    };
    let arguments = [a, b, c, d, e].map(HostValue::I32);
    match HostFunction::StoreWrite.call(&arguments, &mut context) {
        Ok(HostOutcome::Done {
            result: Some(HostValue::I32(result)),
            ..
        }) => result,
        other => panic!("{other:?}"),
    }
}

fn snapshot(kernel: &[u8]) -> State {
    let origination = Origination {
        version: PvmVersion::V6,
        ticks_per_snapshot: 50_000_000_000_000,
        outbox_validity_period: 241_920,
        outbox_message_limit: 100,
    };
    let mut state = State::originate(&origination, kernel).expect("in memory");
    for (counter, payload) in (0..).zip([&[0, 1][..], &[0, 2]]) {
        let level = Level::new(1);
        let info = InputInfo { level, counter };
        state.set_input(info, payload).expect("in memory");
    }
    state.pad(u128::MAX);
    state.tick_at_rest().expect("in memory");
    state
}

fn environment() -> Environment {
    Environment {
        reference: Arc::new(NoReference),
        ..Environment::without_fast(Arc::new(MetadataAlone([0; 24])))
    }
}
