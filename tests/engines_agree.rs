//! Random kernels with real host functions: a level ends in the same state on the native engine and
//! on the reference machine, and the state at any tick is the same on every way there.

#![cfg(feature = "fast")]
#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use watchtower::crypto::Hash;
use watchtower::protocol::{Level, PvmVersion};
use watchtower::pvm::fast::{FastEngine, Options};
use watchtower::pvm::slow::{Expects, Machine, SlowEngine};
use watchtower::pvm::{
    Activation, Engine, Environment, InputInfo, ListingOrder, Origination, PageId, Quiet,
    RevealError, Reveals, State, Timeline, run_level,
};

/// Environment variable with a number of kernels for a long campaign.
const CAMPAIGN: &str = "WATCHTOWER_RANDOM_KERNELS";

/// Ticks of a period: more than these kernels need.
const PERIOD: u64 = 3_000_000;

/// splitmix64
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn binary(text: &str) -> Vec<u8> {
    let buffer = wast::parser::ParseBuffer::new(text).unwrap();
    let mut module = wast::parser::parse::<wast::Wat<'_>>(&buffer).unwrap();
    module.encode().unwrap()
}

fn config(random: &mut Random) -> wasm_smith::Config {
    let imports = binary(
        r#"(module
            (import "smart_rollup_core" "read_input" (func (param i32 i32 i32) (result i32)))
            (import "smart_rollup_core" "write_output" (func (param i32 i32) (result i32)))
            (import "smart_rollup_core" "write_debug" (func (param i32 i32)))
            (import "smart_rollup_core" "store_has" (func (param i32 i32) (result i32)))
            (import "smart_rollup_core" "store_list_size" (func (param i32 i32) (result i64)))
            (import "smart_rollup_core" "store_read"
                (func (param i32 i32 i32 i32 i32) (result i32)))
            (import "smart_rollup_core" "store_write"
                (func (param i32 i32 i32 i32 i32) (result i32)))
            (import "smart_rollup_core" "store_delete" (func (param i32 i32) (result i32)))
            (import "smart_rollup_core" "reveal_metadata" (func (param i32 i32) (result i32))))"#,
    );
    let exports = binary(r#"(module (memory (export "mem") 1 3) (func (export "kernel_run")))"#);
    let rich = random.next().is_multiple_of(3);
    wasm_smith::Config {
        exports: Some(exports),
        available_imports: Some(imports),
        allow_floats: false,
        allow_start_export: random.next().is_multiple_of(4),
        disallow_traps: random.next().is_multiple_of(2),
        bulk_memory_enabled: true,
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        multi_value_enabled: true,
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
        max_instructions: 80,
        max_data_segments: 4,
        ..wasm_smith::Config::default()
    }
}

fn kernel(seed: u64) -> Option<Vec<u8>> {
    let mut random = Random(seed);
    let bytes: Vec<u8> = (0..700).flat_map(|_| random.next().to_le_bytes()).collect();
    let config = config(&mut random);
    let mut source = arbitrary::Unstructured::new(&bytes);
    let mut module = wasm_smith::Module::new(config, &mut source).ok()?;
    module.ensure_termination(200).ok()?;
    Some(module.to_bytes())
}

#[derive(Debug)]
struct Fixed;

impl Reveals for Fixed {
    fn preimage(&self, hash: &[u8; 33]) -> Result<Vec<u8>, RevealError> {
        Err(RevealError::NoPreimage {
            hash: hex::encode(hash),
            reason: "there are none here".to_owned(),
        })
    }

    fn metadata(&self) -> [u8; 24] {
        *b"an address and its level"
    }

    fn dal_parameters(&self, _: Level) -> Result<Vec<u8>, RevealError> {
        Ok(Vec::new())
    }

    fn dal_page(&self, _: &PageId) -> Result<Vec<u8>, RevealError> {
        Ok(Vec::new())
    }

    fn activation(&self) -> Activation {
        Activation::BASIC
    }
}

fn environment(fast: Option<Arc<dyn Engine>>) -> Environment {
    Environment {
        fast,
        reference: Arc::new(SlowEngine),
        reveals: Arc::new(Fixed),
        debug: Arc::new(|_| {}),
        listing: ListingOrder::Run,
        trace: None,
        interrupt: Arc::new(AtomicBool::new(false)),
    }
}

fn messages() -> Vec<Vec<u8>> {
    vec![
        vec![0, 1],
        [&[0, 3][..], &[0; 40]].concat(),
        b"\x01a message from outside".to_vec(),
        vec![0, 2],
    ]
}

/// Hash and tick after the level, or why there is no state; and whether the native engine ran it.
fn ended(start: &State, environment: &Environment) -> (Result<(Hash, u128), String>, bool) {
    let messages = messages();
    let messages = messages.iter().map(Vec::as_slice);
    match run_level(start, Level::new(1), messages, environment, &mut Quiet) {
        Err(error) => (Err(error.to_string()), false),
        Ok(mut outcome) => {
            let end = (outcome.state.hash().unwrap(), outcome.state.current_tick);
            (Ok(end), outcome.declined.is_empty())
        }
    }
}

/// Hashes at ticks by single ticks of the machine in memory.
fn by_ticks(start: &State, ticks: &[u128]) -> Vec<Option<Hash>> {
    let machine = Machine::new(start.clone()).unwrap();
    let mut machine = machine.listing(ListingOrder::Run);
    let messages = messages();
    let mut inputs = (0..).zip(&messages);
    let mut hashes = Vec::new();
    for tick in ticks {
        while machine.state().current_tick < *tick {
            let left = tick - machine.state().current_tick;
            if machine.pad(left) > 0 {
                continue;
            }
            let taken = match machine.expects() {
                Expects::Nothing => machine.tick().map(|_| ()),
                Expects::Reveal(_) => machine.reveal(&Fixed.metadata()),
                Expects::Input(_) => match inputs.next() {
                    None => return hashes,
                    Some((counter, payload)) => {
                        let level = Level::new(1);
                        machine.set_input(InputInfo { level, counter }, payload)
                    }
                },
            };
            if taken.is_err() {
                return hashes;
            }
        }
        hashes.push(Some(machine.hash().unwrap()));
    }
    hashes
}

#[test]
fn random_kernels_end_alike_on_both_engines_and_at_every_tick() {
    let count: Option<u64> = std::env::var(CAMPAIGN)
        .ok()
        .and_then(|text| text.parse().ok());
    let seeds = count.map_or(0..40, |count| 1_000_000..1_000_000 + count);
    let native: Arc<dyn Engine> = Arc::new(FastEngine::new(Options::default()));
    let (both, alone) = (environment(Some(native)), environment(None));
    let mut on_native = 0;
    for seed in seeds {
        let Some(kernel) = kernel(seed) else { continue };
        let mut random = Random(seed ^ 0xd1ff);
        let version = PvmVersion::ALL[(random.next() % 7) as usize];
        let origination = Origination {
            version,
            ticks_per_snapshot: PERIOD,
            outbox_validity_period: 10,
            outbox_message_limit: 3,
        };
        let start = State::originate(&origination, &kernel).unwrap();
        let (native, ran) = ended(&start, &both);
        let (reference, _) = ended(&start, &alone);
        assert_eq!(native, reference, "kernel of seed {seed}");
        on_native += usize::from(ran);
        let mut ticks: Vec<u128> = (0..6)
            .map(|_| u128::from(PERIOD + random.next() % 20_000))
            .collect();
        ticks.sort_unstable();
        let mut timeline = Timeline::new(
            start.clone(),
            vec![(Level::new(1), messages().into())],
            alone.clone(),
        )
        .unwrap();
        let expected = by_ticks(&start, &ticks);
        let found = timeline.hashes(&ticks).unwrap();
        let found: Vec<_> = found.into_iter().take_while(Option::is_some).collect();
        assert_eq!(found, expected, "kernel of seed {seed} at {ticks:?}");
    }
    eprintln!("{on_native} kernels ran natively");
    assert!(on_native > 10, "only {on_native} kernels ran natively");
}
