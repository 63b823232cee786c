use super::{claim, context_at, genesis, short, with_rollup};
use crate::protocol::{Level, Mutez, Protocol};
use crate::sim::errors::Trace;
use crate::sim::ledger::Owner;
use crate::sim::parameters::Parameters;
use crate::sim::rules::{cement, stake};
use crate::sim::scenario::Scenario;

fn id<T: std::fmt::Debug>(result: Result<T, Trace>) -> &'static str {
    result.unwrap_err().first().unwrap().id()
}

/// Origination is in block 2: the next inbox levels are 12, 22, 32…
#[test]
fn publication_is_checked_in_the_protocols_order() {
    let (mut context, rollup, people) = context_at(Protocol::Ushuaia, 13);
    let root = genesis(&context, &rollup);
    let staker = people[1];
    let refused = |commitment| {
        id(stake::publish(
            &mut context.clone(),
            rollup,
            staker,
            &commitment,
        ))
    };
    let mut zero = claim(root, 2, 1);
    zero.number_of_ticks = 0;
    assert_eq!(refused(zero), "smart_rollup_zero_tick_commitment");
    assert_eq!(
        refused(claim(root, 2, 1)),
        "smart_rollup_commitment_too_old"
    );
    assert_eq!(refused(claim(root, 103, 1)), "smart_rollup_too_far_ahead");
    assert_eq!(
        refused(claim(crate::protocol::CommitmentHash([9; 32]), 22, 1)),
        "smart_rollup_unknown_commitment"
    );
    assert_eq!(refused(claim(root, 13, 1)), "smart_rollup_bad_inbox_level");
    context.level = Level::new(12);
    assert_eq!(
        id(stake::publish(
            &mut context.clone(),
            rollup,
            staker,
            &claim(root, 12, 1)
        )),
        "smart_rollup_commitment_from_future"
    );
    context.level = Level::new(13);
    let first = stake::publish(&mut context, rollup, staker, &claim(root, 12, 1)).unwrap();
    assert_eq!(first.published_at_level, Level::new(13));
    assert_eq!(first.movements.len(), 1);
    assert_eq!(
        id(stake::publish(
            &mut context.clone(),
            rollup,
            staker,
            &claim(root, 12, 1)
        )),
        "smart_rollup_double_publish"
    );
    assert_eq!(
        id(stake::publish(
            &mut context.clone(),
            rollup,
            staker,
            &claim(root, 12, 2)
        )),
        "smart_rollup_staker_double_stake"
    );
    context.level = Level::new(20);
    let second = stake::publish(&mut context, rollup, people[2], &claim(root, 12, 1)).unwrap();
    assert_eq!(second.published_at_level, Level::new(13));
    context.level = Level::new(13 + 41);
    assert_eq!(
        id(stake::publish(
            &mut context.clone(),
            rollup,
            people[3],
            &claim(root, 12, 1)
        )),
        "smart_rollup_commitment_past_curfew"
    );
    context.level = Level::new(13 + 40);
    assert!(stake::publish(&mut context, rollup, people[3], &claim(root, 12, 1)).is_ok());
}

#[test]
fn a_bond_needs_its_money_and_names_what_is_there() {
    let (mut context, rollup, people) = context_at(Protocol::Ushuaia, 13);
    let poor = Owner::Implicit(people[1]);
    context.ledger_mut().account_mut(poor).unwrap().balance = Mutez(9_999_999_999);
    let root = genesis(&context, &rollup);
    let trace = stake::publish(&mut context, rollup, people[1], &claim(root, 12, 1)).unwrap_err();
    let ids: Vec<_> = trace.0.iter().map(|error| error.id()).collect();
    assert_eq!(
        ids,
        [
            "smart_rollup_staker_funds_too_low",
            "contract.balance_too_low",
            "tez.subtraction_underflow"
        ]
    );
    let json = trace.json(Protocol::Ushuaia);
    assert_eq!(json[0]["staker_balance"], "9999999999");
    assert_eq!(json[0]["min_expected_balance"], "10000000000");
}

#[test]
fn the_early_protocols_differ_where_they_did() {
    let (mut context, rollup, people) = context_at(Protocol::Mumbai, 13);
    let root = genesis(&context, &rollup);
    let bad = stake::publish(&mut context.clone(), rollup, people[1], &claim(root, 13, 1));
    assert_eq!(
        bad.unwrap_err().json(Protocol::Mumbai).to_string(),
        r#"[{"kind":"temporary","id":"proto.016-PtMumbai.smart_rollup_bad_inbox_level"}]"#
    );
    for _ in 0..2 {
        stake::publish(&mut context, rollup, people[1], &claim(root, 12, 1)).unwrap();
    }
    stake::publish(
        &mut context,
        rollup,
        people[1],
        &claim(claim(root, 12, 1).hash(), 22, 3),
    )
    .unwrap_err();
    context.level = Level::new(60);
    let other = claim(root, 12, 7).hash();
    assert_eq!(
        id(cement::cement(&mut context.clone(), rollup, Some(other))),
        "smart_rollup_unknown_commitment"
    );
    assert!(cement::cement(&mut context, rollup, Some(claim(root, 12, 1).hash())).is_ok());
}

#[test]
fn cementation_waits_for_its_window_and_for_one_active_branch() {
    let (mut context, rollup, people) = context_at(Protocol::Ushuaia, 13);
    let root = genesis(&context, &rollup);
    assert_eq!(
        id(cement::cement(&mut context.clone(), rollup, None)),
        "smart_rollup_no_valid_commitment_to_cement"
    );
    let (right, wrong) = (claim(root, 12, 1), claim(root, 12, 2));
    stake::publish(&mut context, rollup, people[1], &right).unwrap();
    context.level = Level::new(52);
    assert_eq!(
        id(cement::cement(&mut context.clone(), rollup, None)),
        "smart_rollup_commitment_too_recent"
    );
    stake::publish(&mut context, rollup, people[2], &wrong).unwrap();
    context.level = Level::new(53);
    assert!(!cement::is_cementable(&context, &rollup, &right.hash()));
    assert_eq!(
        id(cement::cement(&mut context.clone(), rollup, None)),
        "smart_rollup_commitment_disputed"
    );
    stake::slash(&mut context, rollup, people[2]).unwrap();
    assert!(cement::is_cementable(&context, &rollup, &right.hash()));
    let cemented = cement::cement(&mut context, rollup, None).unwrap();
    assert_eq!(cemented.commitment_hash, right.hash());
    let storage = context.rollup(&rollup).unwrap();
    assert!(storage.commitment(&wrong.hash()).is_err());
    assert!(storage.commitment(&right.hash()).is_ok());
    assert!(!storage.per_level.contains_key(&Level::new(12)));
}

#[test]
fn five_cemented_commitments_are_kept() {
    let (mut context, rollup, people) = context_at(Protocol::Ushuaia, 13);
    let mut hashes = vec![genesis(&context, &rollup)];
    for nth in 1..=7_u16 {
        let commitment = claim(hashes[usize::from(nth) - 1], 2 + nth * 10, 1);
        context.level = Level::new(3 + nth * 10);
        stake::publish(&mut context, rollup, people[1], &commitment).unwrap();
        hashes.push(commitment.hash());
    }
    for nth in 1..=7_u16 {
        context.level = Level::new(43 + nth * 10);
        cement::cement(&mut context, rollup, None).unwrap();
        let stored = context.rollup(&rollup).unwrap();
        let kept = hashes
            .iter()
            .take(usize::from(nth) + 1)
            .filter(|hash| stored.commitments.contains_key(hash));
        assert_eq!(kept.count(), usize::from(nth + 1).min(5));
    }
}

#[test]
fn a_bond_comes_back_once_everything_below_is_cemented() {
    let (mut context, rollup, people) = context_at(Protocol::Ushuaia, 13);
    let root = genesis(&context, &rollup);
    assert_eq!(
        id(stake::recover_bond(&mut context, rollup, people[1])),
        "smart_rollup_not_staked"
    );
    let before = context.ledger.balance(Owner::Implicit(people[1]));
    stake::publish(&mut context, rollup, people[1], &claim(root, 12, 1)).unwrap();
    assert_eq!(
        id(stake::recover_bond(&mut context.clone(), rollup, people[1])),
        "smart_rollup_not_staked_on_lcc_or_ancestor"
    );
    context.level = Level::new(53);
    cement::cement(&mut context, rollup, None).unwrap();
    stake::recover_bond(&mut context, rollup, people[1]).unwrap();
    assert_eq!(context.ledger.balance(Owner::Implicit(people[1])), before);
    assert_eq!(
        id(stake::recover_bond(&mut context, rollup, people[1])),
        "smart_rollup_not_staked"
    );
}

/// Steps of the old period go on as long as a whole one fits before the switch.
#[test]
fn the_lattice_of_inbox_levels_crosses_a_change_of_period() {
    let old = Parameters::mainnet(Protocol::ParisC).with_lengths(10, 40, 20);
    let new = Parameters::mainnet(Protocol::Quebec).with_lengths(7, 40, 20);
    let setup = crate::sim::setup::Setup::of(Protocol::ParisC, old).migrating(
        Level::new(30),
        Protocol::Quebec,
        new,
    );
    let (mut scenario, _) = with_rollup(setup);
    scenario.advance_to(Level::new(29)).unwrap();
    assert_eq!(
        scenario
            .chain()
            .context()
            .next_commitment_level(Level::new(22)),
        Some(Level::new(32))
    );
    scenario.advance_to(Level::new(30)).unwrap();
    let next = |from| {
        scenario
            .chain()
            .context()
            .next_commitment_level(Level::new(from))
    };
    assert_eq!(next(12), Some(Level::new(22)));
    assert_eq!(next(20), Some(Level::new(30)));
    assert_eq!(next(22), Some(Level::new(29)));
    assert_eq!(next(29), Some(Level::new(36)));
}

#[test]
fn the_genesis_commitment_stays_listed_at_its_level() {
    let (scenario, rollup) = with_rollup(short(Protocol::Ushuaia));
    let stored = scenario.chain().context().rollup(&rollup).unwrap();
    assert_eq!(stored.at_level(Level::new(2)), [stored.genesis]);
    assert_eq!(stored.last_cemented, stored.genesis);
    let _: &Scenario = &scenario;
}
