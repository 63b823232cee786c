//! Four engines on random kernels: single ticks, run mode, native code, and one of other hands.
//!
//! Single ticks are what the others are held to: run mode by the hash at random ticks, the text of
//! the trap and the error it is stuck with, native code by the state after the run, the guest's
//! memory and the kind of trap, the fourth by memory, storage, buffers and the kind of trap or error.
//! What native code declines, the reference engine takes over, with the same end. A ninth of the
//! kernels is proved at a tick, too.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::shaped;
use super::tests::{assemble, environment, snapshot};
use super::*;
use crate::merkle::Tree;
use crate::protocol::Level;
use crate::pvm::host::{HostContext, HostOutcome, HostValue, Memory, ValueType, deliver};
use crate::pvm::slow::{
    Course, Ended as Over, Expects, Input, Machine, Purpose, SlowEngine, Stop, prove, verify,
};
use crate::pvm::{
    Activation, Buffers, Durable, Edges, ListingOrder, PageId, ReferenceEngine, RevealError,
    Reveals, Stuck,
};
use crate::wasm::encoding::Style;
use crate::wasm::testing::Random;

/// Environment variable with a number of kernels for a long campaign, and of the first seed.
const CAMPAIGN: &str = "WATCHTOWER_RANDOM_KERNELS";
const FIRST_SEED: &str = "WATCHTOWER_RANDOM_SEED";

/// Kernels that take more ticks than this, opening included, are left out.
const LONGEST: u128 = 80_000;

/// In a campaign some may nest calls as deep as the machine allows.
fn longest() -> u128 {
    number(CAMPAIGN).map_or(LONGEST, |_| 110 * LONGEST)
}

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
        // One is there for the export.
        max_memories: 0,
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

/// Answers every request with bytes that follow from it.
struct Anything;

impl Reveals for Anything {
    fn preimage(&self, hash: &[u8; 33]) -> Result<Vec<u8>, RevealError> {
        let length = [0, 1, 33, 600, 4_096][usize::from(hash[1]) % 5];
        Ok(hash.iter().copied().cycle().take(length).collect())
    }

    fn metadata(&self) -> [u8; 24] {
        [7; 24]
    }

    fn dal_parameters(&self, _: Level) -> Result<Vec<u8>, RevealError> {
        Ok(vec![1, 2, 3, 4, 5, 6, 7, 8])
    }

    fn dal_page(&self, _: &PageId) -> Result<Vec<u8>, RevealError> {
        Ok(Vec::new())
    }

    fn activation(&self) -> Activation {
        Activation::BASIC
    }
}

/// How a run ends, as far as every engine can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Returned,
    Unreachable,
    Memory,
    Division,
    Overflow,
    Signature,
    /// A place outside of a table; a call from there is an error of the machine, and no trap.
    Table,
    /// A call of no function.
    Null,
    Depth,
    /// Nothing the others have.
    Other,
}

impl Kind {
    /// Of a text of the machine.
    fn of(text: &str) -> Self {
        match text {
            "unreachable executed" => Self::Unreachable,
            "out of bounds memory access" => Self::Memory,
            "integer divide by zero" => Self::Division,
            "integer overflow" => Self::Overflow,
            "indirect call type mismatch" => Self::Signature,
            "out of bounds table access" => Self::Table,
            "call stack exhausted" => Self::Depth,
            _ if text.starts_with("undefined element") => Self::Table,
            _ if text.starts_with("uninitialized element") => Self::Null,
            _ => Self::Other,
        }
    }

    /// Of a text of native code.
    fn of_native(text: &str) -> Self {
        match text {
            "unreachable" => Self::Unreachable,
            "undefined element: out of bounds table access" => Self::Table,
            "uninitialized element" => Self::Null,
            other => Self::of(other),
        }
    }

    fn of_fourth(error: &wasmi::Error) -> Self {
        use wasmi::TrapCode;
        match error.as_trap_code() {
            Some(TrapCode::UnreachableCodeReached) => Self::Unreachable,
            Some(TrapCode::MemoryOutOfBounds) => Self::Memory,
            Some(TrapCode::IntegerDivisionByZero) => Self::Division,
            Some(TrapCode::IntegerOverflow) => Self::Overflow,
            Some(TrapCode::BadSignature) => Self::Signature,
            Some(TrapCode::TableOutOfBounds) => Self::Table,
            Some(TrapCode::IndirectCallToNull) => Self::Null,
            Some(TrapCode::StackOverflow) => Self::Depth,
            _ => Self::Other,
        }
    }
}

/// What a run left, as far as every engine can tell.
struct Ended {
    /// The guest's memory after its last instruction.
    memory: Vec<u8>,
    durable: Durable,
    buffers: Buffers,
    kind: Kind,
}

impl Ended {
    const fn trapped(&self) -> bool {
        !matches!(self.kind, Kind::Returned)
    }
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
    /// The text of the trap.
    trap: Option<String>,
}

impl Exact {
    fn kind(&self) -> Kind {
        match (&self.last.state().phase, &self.trap) {
            (Phase::Stuck(Stuck::EvalError(error)), _) => {
                let text = error.explanation.as_ref().map(ToString::to_string);
                text.map_or(Kind::Other, |text| Kind::of(&text))
            }
            (Phase::Stuck(_), _) => Kind::Other,
            (_, None) => Kind::Returned,
            (_, Some(text)) => Kind::of(text),
        }
    }
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
    let (mut hashes, mut last) = (Vec::new(), None);
    loop {
        let tick = machine.state().current_tick - first;
        if at.binary_search(&tick).is_ok() {
            hashes.push((tick, machine.hash().unwrap()));
        }
        if let Phase::Padding | Phase::Stuck(_) = machine.state().phase {
            let padding = matches!(machine.state().phase, Phase::Padding);
            let (memory, trap) = last.filter(|_| padding).unzip();
            let mut exact = Exact {
                hashes,
                length: tick,
                last: machine,
                ended: None,
                trap: trap.flatten(),
            };
            let kind = exact.kind();
            exact.ended = memory.map(|memory| {
                let mut state = exact.last.state().clone();
                assert_eq!(state.durable.has(Key::STUCK).unwrap(), exact.trap.is_some());
                Ended {
                    memory,
                    kind,
                    durable: state.durable,
                    buffers: state.buffers,
                }
            });
            return Some(exact);
        }
        if tick > longest() {
            return None;
        }
        if let Some(end) = machine.memory_at_end() {
            last = Some(end);
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
            debug: None,
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
    let kind = result.map_or_else(|error| Kind::of_fourth(&error), |()| Kind::Returned);
    Some(Ended {
        memory,
        durable,
        buffers,
        kind,
    })
}

/// The tree of what a run left, without the marks that end it.
fn left(start: &State, ended: &Ended) -> Hash {
    let mut state = start.clone();
    state.durable = ended.durable.clone();
    state.buffers = ended.buffers.clone();
    let marked = if ended.trapped() {
        state.mark_trap()
    } else {
        state.mark_success()
    };
    marked.unwrap();
    state.phase = Phase::Padding;
    state.hash().unwrap()
}

/// The native run: its state, memory and kind of end, or why there is none.
fn native(
    engine: &FastEngine,
    start: &State,
    environment: &Environment,
) -> Result<(State, Vec<u8>, Kind), RunError> {
    let mut state = start.clone();
    let (mut run, length) = engine.prepared(&mut state, environment)?;
    let finished = run.finish()?;
    let memory = run.host.as_mut(&mut run.store).memory.clone().unwrap();
    let memory = memory.view(&run.store).copy_to_vec().unwrap();
    let trap = finished.trap.as_deref();
    let kind = trap.map_or(Kind::Returned, Kind::of_native);
    Ok((ended(state, finished, length)?.state, memory, kind))
}

/// What the kernels of a campaign did.
#[derive(Debug, Default)]
struct Tally {
    kernels: u32,
    ticks: u128,
    natively: u32,
    by_the_fourth: u32,
    by_the_fourth_otherwise: u32,
    taken_over: u32,
    stuck: u32,
    trapped: u32,
    hashes: usize,
    proofs: u32,
    /// How the runs ended.
    ends: BTreeMap<String, u32>,
}

impl Tally {
    fn check(&mut self, seed: u64, engine: &FastEngine) {
        let mut random = Random(seed ^ 0xd1ff);
        let version = PvmVersion::ALL[(random.next() % 7) as usize];
        let kernel = match seed % 2 {
            0 => kernel(seed, version),
            _ => Some(shaped::kernel(
                &mut Random(seed),
                version,
                number(CAMPAIGN).is_some(),
            )),
        };
        let Some(kernel) = kernel else {
            return;
        };
        let environment = Environment {
            reveals: Arc::new(Anything),
            ..environment()
        };
        let start = snapshot(version, &kernel);
        let Some(exact) = exact(&start, &[], &environment) else {
            return;
        };
        self.kernels += 1;
        self.ticks += exact.length;
        self.count(&exact);
        self.run_mode(&mut random, &start, &exact, &environment);
        let natively = self.native(engine, &start, &exact, &environment);
        let kind = exact.kind();
        let Some(ended) = exact.ended else {
            self.stuck += 1;
            // Of what does not parse or link the fourth has its own opinion.
            let evaluates = matches!(&exact.last.state().phase, Phase::Stuck(Stuck::EvalError(_)));
            if let Some(other) = fourth(&start, &kernel, &environment).filter(|_| evaluates) {
                // Each has its own limit on the depth of calls.
                let deep = [kind, other.kind].contains(&Kind::Depth);
                let same = kind == other.kind || deep;
                assert!(same, "the fourth: {:?}, and {kind:?}", other.kind);
                self.by_the_fourth += 1;
            }
            return;
        };
        self.trapped += u32::from(ended.trapped());
        if let Some(other) =
            fourth(&start, &kernel, &environment).filter(|other| other.kind != Kind::Depth)
        {
            // The fourth divides by zero in some kernels that do not (version 2.0.0).
            if other.kind == Kind::Division && kind != other.kind && natively {
                self.by_the_fourth_otherwise += 1;
                return;
            }
            assert_eq!(
                other.kind, kind,
                "the fourth engine's trap: {:?}",
                exact.trap
            );
            assert!(other.memory == ended.memory, "other memory by the fourth");
            // The marks are in the storage of the first already, and are the same made twice.
            assert_eq!(left(&start, &other), left(&start, &ended), "by the fourth");
            self.by_the_fourth += 1;
        }
    }

    fn count(&mut self, exact: &Exact) {
        let end = match (&exact.last.state().phase, &exact.trap) {
            (Phase::Stuck(error), _) => error.to_string(),
            (_, Some(text)) => text.clone(),
            (_, None) => "returned".to_owned(),
        };
        let end: String = end
            .chars()
            .filter(|letter| !letter.is_ascii_digit())
            .collect();
        *self.ends.entry(end).or_default() += 1;
    }

    /// Native code, and the reference engine for what it declines; whether it did not.
    fn native(
        &mut self,
        engine: &FastEngine,
        start: &State,
        exact: &Exact,
        environment: &Environment,
    ) -> bool {
        let mut last = exact.last.clone();
        let declined = match native(engine, start, environment) {
            Ok((mut state, memory, kind)) => {
                assert_eq!(kind, exact.kind(), "natively, of {:?}", exact.trap);
                let ended = exact.ended.as_ref();
                assert!(memory == ended.unwrap().memory, "other memory natively");
                last.pad(u128::MAX);
                assert_eq!(state.hash().unwrap(), last.hash().unwrap(), "natively");
                self.natively += 1;
                return true;
            }
            Err(RunError::Declined(declined)) => declined,
            Err(other) => panic!("{other}"),
        };
        if let Declined::Trap(text) = &declined {
            let kind = Kind::of_native(text);
            assert!(
                kind == exact.kind() || [kind, exact.kind()].contains(&Kind::Depth),
                "declined for {text:?}, of {:?}",
                exact.trap
            );
        }
        let mut period = SlowEngine::default()
            .run(start, &declined, environment)
            .unwrap();
        assert_eq!(
            period.state.hash().unwrap(),
            last.hash().unwrap(),
            "after {declined}"
        );
        self.taken_over += 1;
        false
    }

    /// Run mode at random ticks, in one pass, and a proof at one of them.
    fn run_mode(
        &mut self,
        random: &mut Random,
        start: &State,
        whole: &Exact,
        environment: &Environment,
    ) {
        let length = whole.length;
        let mut ticks: Vec<u128> = (0..5)
            .map(|_| u128::from(random.next()) % (length + 1))
            // Most ticks parse: of some kernels the evaluation alone is looked at.
            .map(|tick| length - tick / (1 + length % 7))
            .collect();
        ticks.extend([
            length,
            length.saturating_sub(u128::from(random.next() % 40)),
        ]);
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
        self.proof(random, course, environment);
        let mut course = Course::new(start.clone(), environment, Purpose::Reach).unwrap();
        assert_eq!(
            course.finish_run(u128::MAX, environment).unwrap(),
            Over::Over
        );
        let stuck = |phase: &Phase| match phase {
            Phase::Stuck(error) => Some(error.clone()),
            _ => None,
        };
        let expected = stuck(&whole.last.state().phase);
        assert_eq!(stuck(course.phase()), expected, "the error of run mode");
        if let (Some(trap), Some(expected)) = (course.trap(), &whole.trap) {
            assert_eq!(trap, expected, "the trap of run mode");
        }
        let end = course.hash(environment).unwrap();
        assert_eq!(
            end,
            whole.last.clone().hash().unwrap(),
            "the end of run mode"
        );
    }

    fn proof(&mut self, random: &mut Random, mut course: Course, environment: &Environment) {
        if !random.one_in(9) {
            return;
        }
        let machine = course.exact(environment).unwrap();
        if machine.expects() == Expects::Nothing {
            let tree: Tree = machine.encode(Style::Changed).unwrap().clone();
            let proof = prove(&tree, &Input::None).unwrap().proof;
            verify(&proof, &Input::None).unwrap();
            let mut next = machine.clone();
            next.tick().unwrap();
            assert_eq!(proof.after().hash(), next.hash().unwrap(), "of the proof");
            self.proofs += 1;
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn random_kernels_are_the_same_on_four_engines() {
    let first = number(FIRST_SEED).unwrap_or_default();
    let seeds = first..first + number(CAMPAIGN).unwrap_or(60);
    let engine = FastEngine::new(Options::default());
    let mut tally = Tally::default();
    let mut failed = Vec::new();
    for seed in seeds {
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            tally.check(seed, &engine);
        }));
        if checked.is_err() {
            eprintln!("kernel of seed {seed}");
            failed.push(seed);
        }
    }
    eprintln!("{tally:#?}");
    assert!(failed.is_empty(), "kernels of seeds {failed:?}");
    let enough = tally.natively > 15 && tally.by_the_fourth > 15;
    assert!(enough || number(CAMPAIGN).is_some(), "{tally:?}");
}
