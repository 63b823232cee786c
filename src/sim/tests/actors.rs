use super::{Invented, short, with_rollup};
use crate::protocol::{Level, Protocol};
use crate::sim::actors::{Actor, From, Strategy};

fn from(level: u16) -> From {
    From::level(Level::new(level))
}

#[test]
fn honest_and_lying_stakers_part_where_the_lie_begins() {
    let (mut scenario, rollup) = with_rollup(short(Protocol::Ushuaia));
    let actors = [
        Actor::new(1, rollup, Strategy::Honest),
        Actor::new(2, rollup, Strategy::WrongState(from(20))),
        Actor::new(
            3,
            rollup,
            Strategy::WrongTicks {
                from: from(20),
                by: -5,
            },
        ),
        Actor::new(4, rollup, Strategy::Frozen(from(20))),
        Actor::new(
            5,
            rollup,
            Strategy::Freeloader {
                of: 1,
                until: Some(from(30)),
            },
        ),
    ];
    scenario.employ(actors, Box::new(Invented));
    scenario.advance_to(Level::new(40)).unwrap();
    let stored = scenario.chain().context().rollup(&rollup).unwrap();
    assert_eq!(stored.at_level(Level::new(12)).len(), 1);
    assert_eq!(stored.at_level(Level::new(22)).len(), 4);
    assert_eq!(stored.at_level(Level::new(32)).len(), 5);
    assert_eq!(stored.staker_index.len(), 5);
    let last = stored.at_level(Level::new(22));
    let ticks = |n: u64| {
        last.iter()
            .filter(|hash| stored.commitments[hash].number_of_ticks == n)
            .count()
    };
    assert_eq!((ticks(110_000_000_000), ticks(109_999_999_995)), (3, 1));
}

#[test]
fn an_undisputed_rollup_is_cemented_on_and_on() {
    let (mut scenario, rollup) = with_rollup(short(Protocol::Ushuaia));
    let honest = Actor::new(1, rollup, Strategy::Honest).cementing();
    scenario.employ([honest], Box::new(Invented));
    scenario.advance_to(Level::new(150)).unwrap();
    let stored = scenario.chain().context().rollup(&rollup).unwrap();
    let cemented = stored.last_cemented().unwrap().inbox_level;
    assert!(cemented >= Level::new(92), "only {cemented} is cemented");
}

/// Ten stakers, a hundred periods: the speed that scenario suites rely on.
#[test]
fn ten_stakers_over_a_thousand_blocks() {
    let (mut scenario, rollup) = with_rollup(short(Protocol::Ushuaia));
    let actors = (0..10).map(|account| Actor::new(account, rollup, Strategy::Honest).cementing());
    scenario.employ(actors, Box::new(Invented));
    scenario.advance_to(Level::new(1_000)).unwrap();
    let stored = scenario.chain().context().rollup(&rollup).unwrap();
    assert_eq!(stored.staker_index.len(), 10);
    assert!(stored.last_cemented().unwrap().inbox_level >= Level::new(900));
}

/// The machine's own truth, for a kernel that really runs, before and after a reorganisation.
#[cfg(feature = "fast")]
#[test]
fn an_operator_runs_its_kernel_on_the_branch_that_is() {
    use std::sync::Arc;

    use crate::protocol::StateHash;
    use crate::pvm::{NoReference, fast};
    use crate::sim::acts::Act;
    use crate::sim::chain::Abandoned;
    use crate::sim::scenario::Scenario;
    use crate::sim::truth::{Engines, MachineTruth};

    let kernel = std::fs::read("tests/data/kernels/commander.wasm").unwrap();
    let engines = Engines {
        fast: Some(Arc::new(fast::FastEngine::new(fast::Options::default()))),
        reference: Arc::new(NoReference),
    };
    let mut scenario = Scenario::new(short(Protocol::Ushuaia)).unwrap();
    let rollup = scenario.originate(0, &kernel).unwrap();
    let truth = MachineTruth::new(engines, scenario.preimages().clone());
    let honest = Actor::new(1, rollup, Strategy::Honest);
    scenario.employ([honest], Box::new(truth));
    scenario.advance_to(Level::new(10)).unwrap();
    scenario.act(&Act::messages(2, &[b"hello"])).unwrap();
    scenario.advance_to(Level::new(16)).unwrap();
    let claimed = |scenario: &Scenario| -> Vec<StateHash> {
        let stored = scenario.chain().context().rollup(&rollup).unwrap();
        let hashes = stored.at_level(Level::new(12));
        hashes
            .iter()
            .map(|hash| stored.commitments[hash].compressed_state)
            .collect()
    };
    let before = claimed(&scenario);
    assert_eq!(before.len(), 1);
    scenario
        .chain_mut()
        .reorganise(8, 8, Abandoned::Lost)
        .unwrap();
    assert_eq!(claimed(&scenario), []);
    scenario.advance().unwrap();
    let after = claimed(&scenario);
    assert_eq!(after.len(), 1);
    assert_ne!(after, before);
}
