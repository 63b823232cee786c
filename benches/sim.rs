//! The simulated layer 1: a long chain with ten stakers (60 s at most), and whole games, chain and
//! both players (5 s at most about the echo kernel). The echo kernel is read beside the checkout, and
//! its games left out when it is not there.

#![allow(clippy::unwrap_used)] // a bench that cannot go on should stop

use std::path::Path;
use std::sync::Arc;

use divan::Bencher;
use watchtower::crypto::blake2b_concat;
use watchtower::protocol::{Level, Protocol, RollupAddress, StateHash};
use watchtower::pvm::{fast, slow};
use watchtower::sim::{
    Actor, Chain, Drill, Engines, Parameters, Period, Report, Scenario, Setup, Staged, Strategy,
    Truth, suite,
};

fn main() {
    divan::main();
}

/// States without a machine: what is measured is the chain.
#[derive(Debug)]
struct Invented;

impl Truth for Invented {
    fn period(
        &mut self,
        _: &Chain,
        rollup: &RollupAddress,
        from: Level,
        to: Level,
    ) -> Option<Period> {
        let state = blake2b_concat(&[rollup.as_bytes(), &to.get().to_be_bytes()]);
        Some(Period {
            state: StateHash::from(state),
            ticks: u64::from(to.since(from)?) * 11_000_000_000,
        })
    }
}

#[divan::bench(sample_count = 1, sample_size = 1)]
fn ten_thousand_blocks_with_ten_stakers(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| {
        let parameters = Parameters::mainnet(Protocol::Ushuaia).with_lengths(10, 40, 20);
        let mut scenario = Scenario::new(Setup::of(Protocol::Ushuaia, parameters)).unwrap();
        let rollup = scenario.originate(0, b"\0asm\x01\0\0\0").unwrap();
        let actors =
            (0..10).map(|account| Actor::new(account, rollup, Strategy::Honest).cementing());
        scenario.employ(actors, Box::new(Invented));
        scenario.advance_to(Level::new(10_000)).unwrap();
        scenario.chain().level()
    });
}

fn named(name: &str) -> Drill {
    let mut suite = suite().into_iter();
    suite.find(|drill| drill.name == name).unwrap()
}

fn engines() -> Engines {
    Engines {
        fast: Some(Arc::new(fast::FastEngine::new(fast::Options::default()))),
        reference: Arc::new(slow::SlowEngine::default()),
    }
}

fn played(mut staged: Staged) -> Report {
    staged.defend();
    let report = staged.run().unwrap();
    assert!(report.is_won());
    report
}

#[divan::bench(args = ["inbox_proof", "pvm_proof_2", "parallel_games_1"], sample_count = 3)]
fn a_whole_dispute(bencher: Bencher<'_, '_>, name: &str) {
    let (drill, engines) = (named(name), engines());
    bencher.bench_local(|| played(drill.stage(engines.clone()).unwrap()));
}

/// A kernel that writes back what it reads.
const ECHO: &str = "../shared/vectors/kernels/echo.wasm";

#[divan::bench(args = ["inbox_proof", "pvm_proof_0", "pvm_proof_1", "pvm_proof_2"], sample_count = 3)]
fn a_whole_echo_game(bencher: Bencher<'_, '_>, name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(ECHO);
    let Ok(kernel) = std::fs::read(path) else {
        return;
    };
    let (drill, engines) = (named(name), engines());
    bencher.bench_local(|| played(drill.stage_with(engines.clone(), &kernel).unwrap()));
}
