//! Run mode: ticks a second on a loop over memory, and hashes spread over a long run.

mod support;

use divan::Bencher;
use divan::counter::ItemsCount;
use watchtower::merkle::Tree;
use watchtower::wasm::Fault;
use watchtower::wasm::config::{Admin, Code, Config};
use watchtower::wasm::decode::DecodeKont;
use watchtower::wasm::encoding::{Stored, Style, Target};
use watchtower::wasm::eval::{HostFunctions, HostOutcome, Memories};
use watchtower::wasm::init::{EvalState, InitKont, InitState, LinkState};
use watchtower::wasm::instance::{Extern, ModuleKey, Name, Value};
use watchtower::wasm::lazy::LazyVec;
use watchtower::wasm::run::{Compiled, Run, Status, pass};

fn main() {
    divan::main();
}

struct NoHost;

impl HostFunctions for NoHost {
    fn call(&mut self, _: &str, _: &[Value], _: Memories<'_>) -> Result<HostOutcome, Fault> {
        Err(Fault::located("this kernel imports nothing"))
    }
}

fn evaluation() -> EvalState {
    let binary = support::memory_loop(u32::MAX);
    let mut parser = DecodeKont::new("main");
    while parser.module().is_none() {
        parser.step(&mut binary.as_slice()).expect("a module");
    }
    let link = LinkState {
        module: parser.module().expect("parsed").clone(),
        externs: LazyVec::default(),
        offset: 0,
    };
    let mut init = InitState::new(ModuleKey("main".into()), link);
    while !matches!(init.kont, InitKont::Stop) {
        init.step(&mut NoHost, 60_000).expect("a module");
    }
    let instance = init.registry.read(&init.self_key).expect("instance");
    let entry = instance.exports.get(&Name("kernel_run".into()));
    let Extern::Func(entry) = entry.expect("exported").clone() else {
        panic!("kernel_run is a function");
    };
    let code = Code {
        values: LazyVec::default(),
        instructions: LazyVec::singleton(Admin::Invoke(Box::new(entry))),
    };
    EvalState {
        config: Config::new(60_000, init.self_key, code),
        registry: init.registry,
    }
}

#[divan::bench(sample_count = 5)]
fn memory_loop(bencher: Bencher) {
    const TICKS: u64 = 1_000_000_000;
    let mut state = evaluation();
    let compiled = Compiled::new(&mut state).expect("it runs at speed");
    bencher
        .counter(ItemsCount::new(TICKS))
        .with_inputs(|| Run::new(&compiled, state.clone()).expect("it runs at speed"))
        .bench_local_values(|mut run| {
            let status = run.advance(TICKS, &mut NoHost).expect("no fault");
            assert_eq!(status, Status::Near);
        });
}

#[divan::bench(sample_count = 1)]
fn hashes_over_a_long_run(bencher: Bencher) {
    let mut first = evaluation();
    let compiled = Compiled::new(&mut first).expect("it runs at speed");
    bencher.bench_local(|| {
        let mut run = Run::new(&compiled, first.clone()).expect("it runs at speed");
        for point in 1..=33 {
            let target = point * 30_303_030;
            run.advance(target, &mut NoHost).expect("no fault");
            let (mut state, tick) = run.state().expect("a state");
            pass(&mut state, target - tick, &mut NoHost).expect("no fault");
            let mut tree = Tree::empty();
            let mut place = Target::new(&mut tree, Style::Changed);
            state.store(&mut place).expect("a state");
            tree.hash().expect("in memory");
            run.adopt(state.registry);
        }
    });
}
