//! Tests of the simulated chain: its rules, its blocks, its HTTP face.

mod accounts;
mod actors;
mod blocks;
mod claims;
mod doors;
mod drills;
mod games;
mod http;
mod judged;
mod leaves;
mod outbox;
mod pool;
mod recorded;
mod refusals;
mod rollups;
mod stakes;
mod weather;

use super::actors::{Period, Truth};
use super::chain::Chain;
use super::context::Context;
use super::errors::Trace;
use super::parameters::Parameters;
use super::receipts::Status;
use super::scenario::Scenario;
use super::setup::Setup;
use crate::crypto::blake2b_concat;
use crate::protocol::operation::{DalPageId, InputProof, Proof, RevealProof};
use crate::protocol::{
    Commitment, CommitmentHash, Level, Protocol, PublicKeyHash, RollupAddress, StateHash,
};

/// A module with nothing in it: enough to originate.
pub(super) const KERNEL: &[u8] = b"\0asm\x01\0\0\0";

/// Periods of 10 blocks, windows of 40, clocks of 20.
pub(super) fn short(protocol: Protocol) -> Setup {
    let mut parameters = Parameters::mainnet(protocol).with_lengths(10, 40, 20);
    parameters.rollup.max_lookahead = 100;
    Setup::of(protocol, parameters)
}

/// A scenario with one rollup, originated in block 2.
pub(super) fn with_rollup(setup: Setup) -> (Scenario, RollupAddress) {
    let mut scenario = Scenario::new(setup).unwrap();
    let rollup = scenario.originate(0, KERNEL).unwrap();
    (scenario, rollup)
}

/// The state of a chain with one rollup, moved to `level` without blocks.
pub(super) fn context_at(
    protocol: Protocol,
    level: u16,
) -> (Context, RollupAddress, Vec<PublicKeyHash>) {
    let (scenario, rollup) = with_rollup(short(protocol));
    let mut context = scenario.chain().context().clone();
    context.level = Level::new(level);
    let people = (0..10)
        .map(|index| scenario.person(index).unwrap().account())
        .collect();
    (context, rollup, people)
}

/// The same for who wants no people.
pub(super) fn rollup_at(protocol: Protocol, level: u16) -> (Context, RollupAddress) {
    let (context, rollup, _) = context_at(protocol, level);
    (context, rollup)
}

/// A proof about the first page of a level's first slot, which proves nothing.
pub(super) fn page_proof(published_level: Level) -> Proof {
    let page = DalPageId {
        published_level,
        slot_index: 0,
        page_index: 0,
    };
    Proof {
        pvm_step: Vec::new(),
        input_proof: Some(InputProof::Reveal(RevealProof::DalPage {
            page,
            proof: Vec::new(),
        })),
    }
}

/// What a refusal is called.
pub(super) fn ids(trace: &Trace) -> Vec<&'static str> {
    trace.0.iter().map(super::RuleError::id).collect()
}

/// Why the first content of the head's last operation that failed did; nothing when all took effect.
pub(super) fn why_failed(scenario: &Scenario) -> Vec<&'static str> {
    let included = scenario.chain().head().operations.last().unwrap();
    let mut receipts = included.receipts.iter();
    let failed = receipts.find_map(|receipt| match &receipt.status {
        Status::Failed(trace) | Status::Backtracked(_, Some(trace)) => Some(ids(trace)),
        _ => None,
    });
    failed.unwrap_or_default()
}

pub(super) fn genesis(context: &Context, rollup: &RollupAddress) -> CommitmentHash {
    context.rollup(rollup).unwrap().genesis
}

/// A claim that differs by `state`.
pub(super) fn claim(predecessor: CommitmentHash, level: u16, state: u8) -> Commitment {
    Commitment {
        compressed_state: StateHash([state; 32]),
        inbox_level: Level::new(level),
        predecessor,
        number_of_ticks: 1_000,
    }
}

/// Invents a truth that depends on the rollup and the level alone.
#[derive(Debug)]
pub(super) struct Invented;

impl Truth for Invented {
    fn period(
        &mut self,
        _: &Chain,
        rollup: &RollupAddress,
        from: Level,
        to: Level,
    ) -> Option<Period> {
        let state = blake2b_concat(&[b"truth", rollup.as_bytes(), &to.get().to_be_bytes()]);
        Some(Period {
            state: StateHash::from(state),
            ticks: u64::from(to.since(from)?) * 11_000_000_000,
        })
    }
}
