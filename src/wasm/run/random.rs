//! Random kernels: run mode against single ticks, single ticks against a third engine.

use super::tests::{End, check_at, exact};
use super::*;
use crate::wasm::testing::{Random, binary, evaluation};

/// Environment variable with a number of modules for a long campaign.
const CAMPAIGN: &str = "WATCHTOWER_RANDOM_MODULES";

fn config(random: &mut Random) -> wasm_smith::Config {
    let exports = binary(
        r#"(module (memory (export "memory") 1 2) (global (export "g") (mut i32) (i32.const 0))
            (func (export "kernel_run")))"#,
    );
    let imports = binary(
        r#"(module (import "host" "add" (func (param i32 i32 i32) (result i32)))
            (import "host" "poke" (func (param i32 i32))))"#,
    );
    let rich = random.next().is_multiple_of(4);
    wasm_smith::Config {
        exports: Some(exports),
        available_imports: Some(imports),
        allow_floats: false,
        allow_start_export: false,
        disallow_traps: random.next().is_multiple_of(2),
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        reference_types_enabled: rich,
        simd_enabled: rich,
        relaxed_simd_enabled: false,
        saturating_float_to_int_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        extended_const_enabled: false,
        // One is there for the export.
        max_memories: 0,
        max_memory32_bytes: 1 << 17,
        max_table_elements: 20,
        table_max_size_required: true,
        memory_max_size_required: true,
        max_instructions: 60,
        max_data_segments: 3,
        ..wasm_smith::Config::default()
    }
}

fn module(seed: u64) -> Option<Vec<u8>> {
    let mut random = Random(seed);
    let bytes: Vec<u8> = (0..600).flat_map(|_| random.next().to_le_bytes()).collect();
    let config = config(&mut random);
    let mut module =
        wasm_smith::Module::new(config, &mut arbitrary::Unstructured::new(&bytes)).ok()?;
    module.ensure_termination(300).ok()?;
    Some(module.to_bytes())
}

fn seeds() -> std::ops::Range<u64> {
    let count: Option<u64> = std::env::var(CAMPAIGN)
        .ok()
        .and_then(|count| count.parse().ok());
    match count {
        Some(count) => 1_000_000..1_000_000 + count,
        None => 0..60,
    }
}

#[test]
fn random_kernels_are_the_same_at_random_ticks() {
    let (mut ran, mut ticks) = (0, 0);
    for seed in seeds() {
        let Some(module) = module(seed) else {
            continue;
        };
        let chosen = |count: usize| {
            let mut random = Random(seed ^ 0x5eed);
            let mut some: Vec<u64> = (0..8).map(|_| random.next() % count as u64).collect();
            some.sort_unstable();
            some
        };
        let checked = std::panic::catch_unwind(|| check_at(&module, 20_000, chosen));
        match checked {
            Ok(Some((count, _))) => {
                ran += 1;
                ticks += count;
            }
            Ok(None) => {}
            Err(panic) => {
                eprintln!("module of seed {seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    eprintln!("{ran} random modules, {ticks} ticks");
    assert!(ran > 20, "only {ran} random modules ran");
}

/// The memory and the trap of a kernel run by the third engine.
fn third(module: &[u8]) -> Option<(Vec<u8>, Result<(), String>)> {
    use wasmi::{Caller, Engine, Linker, Memory, Module, Store};
    let engine = Engine::default();
    let module = Module::new(&engine, module).ok()?;
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::<()>::new(&engine);
    linker
        .func_wrap("host", "add", |a: i32, b: i32, c: i32| {
            a.wrapping_add(b).wrapping_add(c)
        })
        .ok()?;
    linker
        .func_wrap(
            "host",
            "poke",
            |mut caller: Caller<'_, ()>, address: i32, value: i32| {
                let memory: Memory = caller
                    .get_export("memory")
                    .and_then(|export| export.into_memory())
                    .expect("the kernel exports its memory");
                memory
                    .write(&mut caller, address as u32 as usize, &value.to_le_bytes())
                    .map_err(|_| wasmi::Error::new("poked outside"))
            },
        )
        .ok()?;
    let instance = linker.instantiate_and_start(&mut store, &module).ok()?;
    let entry = instance
        .get_typed_func::<(), ()>(&store, "kernel_run")
        .ok()?;
    let result = entry
        .call(&mut store, ())
        .map_err(|error| error.to_string());
    let memory = instance.get_memory(&store, "memory")?;
    Some((memory.data(&store).to_vec(), result))
}

#[test]
fn random_kernels_end_as_in_a_third_engine() {
    let mut compared = 0;
    for seed in seeds() {
        let Some(module) = module(seed) else {
            continue;
        };
        let Ok(first) = evaluation(&module) else {
            continue;
        };
        let (states, end) = exact(&first, 60_000);
        let Some((memory, result)) = third(&module) else {
            continue;
        };
        let last = states.last().expect("there is a first state");
        let mut registry = last.registry.clone();
        let instance = registry.read(&ModuleKey("main".into())).unwrap();
        let ours = instance.memories.read(0).unwrap().chunks.to_vec().unwrap();
        match (&end, &result) {
            (End::Cut, _) => continue,
            (End::Finished, Ok(())) | (End::Trapped(_) | End::Raised(_), Err(_)) => {}
            other => panic!("module of seed {seed}: {other:?}"),
        }
        assert!(ours == memory, "module of seed {seed}: other memory");
        compared += 1;
    }
    eprintln!("{compared} random modules compared");
    assert!(
        compared > 10,
        "only {compared} random modules were compared"
    );
}
