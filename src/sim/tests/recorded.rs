//! Games that the protocol itself judged: their files, what they begin with, and the chain before it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::short;
use crate::crypto::Dialect;
use crate::protocol::operation::PvmKind;
use crate::protocol::{Commitment, Counter, Level, Mutez, Protocol, PublicKeyHash, RollupAddress};
use crate::sim::context::Context;
use crate::sim::ledger::{Account, Owner};
use crate::sim::rollup::Rollup;
use crate::sim::scenario::Scenario;

pub(super) fn vectors() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/oracle/proto025");
    folder.is_dir().then_some(folder)
}

/// The files of the games, in order; none in a clone without vectors.
pub(super) fn files() -> Vec<PathBuf> {
    let Some(folder) = vectors() else {
        return Vec::new();
    };
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("/game_"))
        .collect();
    names.sort();
    assert_eq!(names.len(), 15, "games of the vectors");
    names
}

/// The first line of such a file.
#[derive(Deserialize)]
pub(super) struct Setup {
    pub(super) rollup: RollupAddress,
    pub(super) origination_level: Level,
    pub(super) start_level: Level,
    pub(super) honest: PublicKeyHash,
    pub(super) cheater: PublicKeyHash,
    pub(super) refuter: PublicKeyHash,
    pub(super) defender: PublicKeyHash,
    pub(super) genesis_commitment: Value,
    pub(super) honest_commitment: Value,
    pub(super) cheat_commitment: Value,
    pub(super) inbox_snapshot: String,
    pub(super) game: String,
}

pub(super) fn commitment(json: &Value) -> Commitment {
    Commitment::from_json(json, Dialect::Modern).unwrap()
}

/// A chain with the rollup and both players' money, on which the first commitment may just be
/// published.
pub(super) fn chain(setup: &Setup) -> Context {
    let scenario = Scenario::new(short(Protocol::Ushuaia)).unwrap();
    let mut context = scenario.chain().context().clone();
    let mut parameters = (*context.parameters).clone();
    let first = commitment(&setup.honest_commitment).inbox_level;
    let period = first.since(setup.origination_level).unwrap();
    parameters.rollup.commitment_period = period;
    parameters.rollup.max_lookahead = period.saturating_mul(3);
    context.parameters = Arc::new(parameters);
    let genesis = commitment(&setup.genesis_commitment);
    let rollup = Rollup::originated(PvmKind::Wasm, Arc::from([]), genesis);
    context.insert_rollup(setup.rollup, rollup);
    context.level = first.next().unwrap();
    for staker in [setup.honest, setup.cheater] {
        let money = Account::new(Mutez(20_000_000_000), Counter(0));
        context.ledger_mut().insert(Owner::Implicit(staker), money);
    }
    context
}
