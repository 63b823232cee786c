//! Four engines on random kernels: single ticks, run mode, native code, and one of other hands.
//!
//! Single ticks are what the others are held to: run mode by the hash at random ticks, native code
//! by the state after the run and the guest's memory, the fourth by memory, storage, buffers and
//! trap. A ninth of the kernels is proved at a tick, too.

use std::cell::Cell;

use super::tests::{assemble, environment, snapshot};
use super::*;
use crate::merkle::Tree;
use crate::protocol::Level;
use crate::pvm::host::{HostContext, HostOutcome, HostValue, Memory, ValueType, deliver};
use crate::pvm::slow::{Course, Expects, Input, Machine, Purpose, Stop, prove, verify};
use crate::pvm::{Buffers, Durable, Edges, ListingOrder};
use crate::wasm::encoding::Style;
use crate::wasm::testing::Random;

/// Environment variable with a number of kernels for a long campaign, and of the first seed.
const CAMPAIGN: &str = "WATCHTOWER_RANDOM_KERNELS";
const FIRST_SEED: &str = "WATCHTOWER_RANDOM_SEED";

/// Kernels that take more ticks than this, opening included, are left out.
const LONGEST: u128 = 150_000;

/// A module that imports every host function of a version, for the generator to choose from.
fn imports(version: PvmVersion) -> Vec<u8> {
    let list = |keyword: &str, types: &[ValueType]| {
        let types: Vec<_> = types
            .iter()
            .map(|ty| match ty {
                ValueType::I32 => "i32",
                ValueType::I64 => "i64",
            })
            .collect();
        format!("({keyword} {})", types.join(" "))
    };
    let imports: String = HostFunction::ALL
        .iter()
        .filter(|function| !function.is_second_storage() && function.since() <= version)
        .map(|function| {
            format!(
                "(import \"{MODULE}\" \"{}\" (func {} {}))",
                function.import_name(),
                list("param", function.parameters()),
                list("result", function.results())
            )
        })
        .collect();
    assemble(&format!("(module {imports})"))
}

fn config(random: &mut Random, version: PvmVersion) -> wasm_smith::Config {
    let rich = random.one_in(3);
    wasm_smith::Config {
        exports: Some(assemble(
            r#"(module (memory (export "mem") 1 3) (func (export "kernel_run")))"#,
        )),
        available_imports: Some(imports(version)),
        allow_floats: false,
        allow_start_export: random.one_in(8),
        disallow_traps: !random.one_in(3),
        bulk_memory_enabled: true,
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        multi_value_enabled: random.one_in(8),
        reference_types_enabled: rich,
        simd_enabled: rich,
        relaxed_simd_enabled: false,
        saturating_float_to_int_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        extended_const_enabled: false,
        custom_page_sizes_enabled: false,
        wide_arithmetic_enabled: false,
        max_memories: 1,
        max_memory32_bytes: 3 << 16,
        max_table_elements: 20,
        table_max_size_required: true,
        memory_max_size_required: true,
        max_instructions: 30 + random.next() as usize % 200,
        max_data_segments: 4,
        ..wasm_smith::Config::default()
    }
}

fn kernel(seed: u64, version: PvmVersion) -> Option<Vec<u8>> {
    let mut random = Random(seed);
    let bytes: Vec<u8> = (0..900).flat_map(|_| random.next().to_le_bytes()).collect();
    let config = config(&mut random, version);
    let mut source = arbitrary::Unstructured::new(&bytes);
    let mut module = wasm_smith::Module::new(config, &mut source).ok()?;
    module.ensure_termination(200).ok()?;
    Some(module.to_bytes())
}

/// How a run went, as far as every engine can tell.
struct Ended {
    /// The guest's memory after its last instruction.
    memory: Vec<u8>,
    durable: Durable,
    buffers: Buffers,
    trapped: bool,
}

/// Single ticks of a whole run.
struct Exact {
    /// Hashes at the ticks asked for.
    hashes: Vec<(u128, Hash)>,
    /// Ticks of the run; none when it is longer than is looked at.
    length: u128,
    /// In padding, or stuck.
    last: Machine,
    /// None when the machine is stuck.
    ended: Option<Ended>,
}

fn one_tick(machine: &mut Machine, environment: &Environment) -> Option<()> {
    match machine.expects() {
        Expects::Reveal(request) => {
            let level = machine.state().last_input.map(|info| info.level);
            let data = environment.reveals.answer(&request, level).ok()?;
            machine.reveal(&data).ok()
        }
        _ => machine.tick().map(|_| ()).ok(),
    }
}

/// The run by single ticks, from the state right after the snapshot; none when it is too long, or
/// ends where the machine has no next state.
fn exact(start: &State, at: &[u128], environment: &Environment) -> Option<Exact> {
    let mut machine = Machine::new(start.clone())
        .unwrap()
        .listing(ListingOrder::Run);
    let first = start.current_tick;
    let (mut hashes, mut memory) = (Vec::new(), None);
    loop {
        let tick = machine.state().current_tick - first;
        if at.binary_search(&tick).is_ok() {
            hashes.push((tick, machine.hash().unwrap()));
        }
        if let Phase::Padding | Phase::Stuck(_) = machine.state().phase {
            let ended = memory.map(|memory| {
                let mut state = machine.state().clone();
                Ended {
                    memory,
                    trapped: state.durable.has(Key::STUCK).unwrap(),
                    durable: state.durable,
                    buffers: state.buffers,
                }
            });
            let ended = ended.filter(|_| matches!(machine.state().phase, Phase::Padding));
            return Some(Exact {
                hashes,
                length: tick,
                last: machine,
                ended,
            });
        }
        if tick > LONGEST {
            return None;
        }
        if let Some(bytes) = machine.memory_at_end() {
            memory = Some(bytes);
        }
        one_tick(&mut machine, environment)?;
    }
}

/// Memory of the fourth engine as host functions see it.
struct Bytes<'a>(&'a mut [u8]);

impl Memory for Bytes<'_> {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, address: u64, length: usize) -> Result<Vec<u8>, PvmError> {
        let from = address as usize;
        let bytes = self.0.get(from..from + length);
        bytes.map(<[u8]>::to_vec).ok_or(PvmError::Overflow("it"))
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), PvmError> {
        let from = address as usize;
        let range = self.0.get_mut(from..from + bytes.len());
        range
            .ok_or(PvmError::Overflow("it"))?
            .copy_from_slice(bytes);
        Ok(())
    }
}

/// What the host functions of the fourth engine work on.
struct World {
    durable: Durable,
    buffers: Buffers,
    level: Option<Level>,
    environment: Environment,
    stopped: Cell<bool>,
}

/// The one semantics behind an import of the fourth engine.
fn answer(
    function: HostFunction,
    mut caller: wasmi::Caller<'_, World>,
    arguments: &[wasmi::Val],
    results: &mut [wasmi::Val],
) -> Result<(), wasmi::Error> {
    let values: Vec<HostValue> = arguments
        .iter()
        .map(|value| match value {
            wasmi::Val::I32(value) => HostValue::I32(*value),
            wasmi::Val::I64(value) => HostValue::I64(*value),
            other => panic!("{other:?}"),
        })
        .collect();
    let memory = caller.get_export("mem").and_then(|mem| mem.into_memory());
    let (bytes, world) = memory.unwrap().data_and_store_mut(&mut caller);
    let mut memory = Bytes(bytes);
    let outcome = function.call(
        &values,
        &mut HostContext {
            memory: &mut memory,
            durable: &mut world.durable,
            buffers: &mut world.buffers,
            listing: ListingOrder::Run,
            debug: &mut |_| {},
            edges: &mut Edges::default(),
        },
    );
    let result = match outcome.unwrap() {
        HostOutcome::Done { result, .. } => Some(result),
        HostOutcome::Reveal(call) => {
            let data = world.environment.reveals.answer(&call.request, world.level);
            let count = data
                .ok()
                .and_then(|data| deliver(&call, &data, &mut memory).unwrap().ok());
            count.map(|(count, _)| Some(HostValue::I32(count)))
        }
        HostOutcome::Raised(_) | HostOutcome::SecondStorage => None,
    };
    let Some(result) = result else {
        world.stopped.set(true);
        return Err(wasmi::Error::new("the machine does not go on"));
    };
    if let (Some(slot), Some(result)) = (results.first_mut(), result) {
        *slot = match result {
            HostValue::I32(value) => wasmi::Val::I32(value),
            HostValue::I64(value) => wasmi::Val::I64(value),
        };
    }
    Ok(())
}

/// The run by the fourth engine; none when it does not take the kernel, or a host call stopped it.
fn fourth(start: &State, kernel: &[u8], environment: &Environment) -> Option<Ended> {
    let engine = wasmi::Engine::default();
    let module = wasmi::Module::new(&engine, kernel).ok()?;
    let mut state = start.clone();
    let version = state.version().unwrap();
    state.save_fallback().unwrap();
    let world = World {
        level: state.last_input.map(|info| info.level),
        durable: state.durable,
        buffers: state.buffers,
        environment: environment.clone(),
        stopped: Cell::new(false),
    };
    let mut store = wasmi::Store::new(&engine, world);
    let mut linker = wasmi::Linker::<World>::new(&engine);
    for import in module.imports() {
        let function = HostFunction::imported(import.name(), version)?;
        let ty = import.ty().func()?.clone();
        let _ = linker.func_new(
            MODULE,
            import.name(),
            ty,
            move |caller, arguments, results| answer(function, caller, arguments, results),
        );
    }
    let instance = linker.instantiate_and_start(&mut store, &module).ok()?;
    let run = instance.get_typed_func::<(), ()>(&store, "kernel_run");
    let result = run.ok()?.call(&mut store, ());
    if store.data().stopped.get() {
        return None;
    }
    let memory = instance.get_memory(&store, "mem")?.data(&store).to_vec();
    let World {
        durable, buffers, ..
    } = store.into_data();
    Some(Ended {
        memory,
        durable,
        buffers,
        trapped: result.is_err(),
    })
}

/// The tree of what a run left, without the marks that end it.
fn left(start: &State, ended: &Ended) -> Hash {
    let mut state = start.clone();
    state.durable = ended.durable.clone();
    state.buffers = ended.buffers.clone();
    let marked = if ended.trapped {
        state.mark_trap()
    } else {
        state.mark_success()
    };
    marked.unwrap();
    state.phase = Phase::Padding;
    state.hash().unwrap()
}

/// The native run: its state and memory, or why there is none.
fn native(
    engine: &FastEngine,
    start: &State,
    environment: &Environment,
) -> Result<(State, Vec<u8>), RunError> {
    let mut state = start.clone();
    let (mut run, length) = engine.prepared(&mut state, environment)?;
    let finished = run.finish()?;
    let memory = run.host.as_mut(&mut run.store).memory.clone().unwrap();
    let memory = memory.view(&run.store).copy_to_vec().unwrap();
    Ok((ended(state, finished, length)?.state, memory))
}

/// What the kernels of a campaign did.
#[derive(Debug, Default)]
struct Tally {
    natively: u32,
    by_the_fourth: u32,
    stuck: u32,
    trapped: u32,
    hashes: usize,
    proofs: u32,
}

impl Tally {
    fn check(&mut self, seed: u64, engine: &FastEngine) {
        let mut random = Random(seed ^ 0xd1ff);
        let version = PvmVersion::ALL[(random.next() % 7) as usize];
        let Some(kernel) = kernel(seed, version) else {
            return;
        };
        let environment = environment();
        let start = snapshot(version, &kernel);
        let Some(exact) = exact(&start, &[], &environment) else {
            return;
        };
        self.run_mode(&mut random, &start, exact.length, &environment);
        match native(engine, &start, &environment) {
            Ok((mut state, memory)) => {
                let ended = exact.ended.as_ref();
                assert!(memory == ended.unwrap().memory, "other memory natively");
                let mut machine = exact.last.clone();
                machine.pad(u128::MAX);
                assert_eq!(state.hash().unwrap(), machine.hash().unwrap(), "natively");
                self.natively += 1;
            }
            Err(RunError::Declined(_)) => {}
            Err(other) => panic!("{other}"),
        }
        let Some(ended) = exact.ended else {
            self.stuck += 1;
            return;
        };
        self.trapped += u32::from(ended.trapped);
        if let Some(other) = fourth(&start, &kernel, &environment) {
            assert_eq!(other.trapped, ended.trapped, "the fourth engine's trap");
            assert!(other.memory == ended.memory, "other memory by the fourth");
            // The marks are in the storage of the first already, and are the same made twice.
            assert_eq!(left(&start, &other), left(&start, &ended), "by the fourth");
            self.by_the_fourth += 1;
        }
    }

    /// Run mode at random ticks, in one pass, and a proof at one of them.
    fn run_mode(
        &mut self,
        random: &mut Random,
        start: &State,
        length: u128,
        environment: &Environment,
    ) {
        let mut ticks: Vec<u128> = (0..5)
            .map(|_| u128::from(random.next()) % (length + 1))
            // Most ticks parse: of some kernels the evaluation alone is looked at.
            .map(|tick| length - tick / (1 + length % 7))
            .collect();
        ticks.sort_unstable();
        ticks.dedup();
        let Some(expected) = exact(start, &ticks, environment) else {
            return;
        };
        let mut course = Course::new(start.clone(), environment, Purpose::Hashes).unwrap();
        for (tick, hash) in expected.hashes {
            let target = start.current_tick + tick;
            let stop = course.advance(target, environment).unwrap();
            assert_eq!(stop, Stop::There, "tick {tick} of {length}");
            let found = course.hash(environment).unwrap();
            assert_eq!(found, hash, "run mode at tick {tick} of {length}");
            self.hashes += 1;
        }
        if random.one_in(9) {
            let machine = course.exact(environment).unwrap();
            if machine.expects() == Expects::Nothing {
                let tree: Tree = machine.encode(Style::Changed).unwrap().clone();
                let (proof, _) = prove(&tree, &Input::None).unwrap();
                verify(&proof, &Input::None).unwrap();
                let mut next = machine.clone();
                next.tick().unwrap();
                assert_eq!(proof.after().hash(), next.hash().unwrap(), "of the proof");
                self.proofs += 1;
            }
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn random_kernels_are_the_same_on_four_engines() {
    let first = number(FIRST_SEED).unwrap_or_default();
    let seeds = first..first + number(CAMPAIGN).unwrap_or(150);
    let engine = FastEngine::new(Options::default());
    let mut tally = Tally::default();
    for seed in seeds {
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            tally.check(seed, &engine);
        }));
        if let Err(panic) = checked {
            eprintln!("kernel of seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
    eprintln!("{tally:?}");
    assert!(tally.natively > 20 && tally.by_the_fourth > 20, "{tally:?}");
}
