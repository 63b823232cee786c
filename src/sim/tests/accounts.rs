//! Accounts that come, are emptied and go (`contract_storage.ml`).

use serde_json::json;

use super::pool::changed;
use super::{claim, genesis, ids, short, why_failed, with_rollup};
use crate::protocol::operation::{Action, Content};
use crate::protocol::{Mutez, Protocol, RollupAddress};
use crate::sim::ledger::{Account, Owner};
use crate::sim::scenario::Scenario;

/// The account that has little.
const POOR: u32 = 3;
const MONEY: u64 = 1_000_000;
/// More than any threshold.
const FEE: u64 = 1_000;

fn poor() -> (Scenario, RollupAddress) {
    let mut setup = short(Protocol::Ushuaia);
    setup.money.insert(POOR, Mutez(MONEY));
    with_rollup(setup)
}

fn owner(scenario: &Scenario, index: u32) -> Owner {
    Owner::Implicit(scenario.person(index).unwrap().account())
}

fn stored(scenario: &Scenario) -> Option<&Account> {
    let owner = owner(scenario, POOR);
    scenario.chain().context().ledger.account(owner)
}

fn pay(scenario: &Scenario, to: u32, amount: u64) -> Action {
    Action::Transaction {
        amount: Mutez(amount),
        destination: owner(scenario, to),
        parameters: None,
    }
}

/// Why the operation does not enter a node, or fails in a block; nothing when it takes effect.
fn told(scenario: &mut Scenario, by: u32, actions: Vec<Action>, fee: u64) -> Vec<&'static str> {
    let set = |content: &mut Content| content.fee = Mutez(fee);
    let bytes = changed(scenario, by, actions, set);
    if let Err(refused) = scenario.chain_mut().inject(&bytes) {
        return ids(&refused);
    }
    scenario.advance().unwrap();
    why_failed(scenario)
}

#[test]
fn an_emptied_account_is_gone_and_comes_back_as_a_new_one() {
    let (mut scenario, _) = poor();
    // Three contents of others, the origination among them.
    for _ in 0..2 {
        let some = pay(&scenario, 5, 1);
        assert_eq!(told(&mut scenario, 1, vec![some], FEE), [""; 0]);
    }
    let all = pay(&scenario, 0, MONEY - FEE);
    assert_eq!(told(&mut scenario, POOR, vec![all.clone()], FEE), [""; 0]);
    assert_eq!(stored(&scenario), None);
    let empty = ["implicit.empty_implicit_contract"];
    assert_eq!(told(&mut scenario, POOR, vec![all], FEE), empty);
    let back = pay(&scenario, POOR, 5_000);
    assert_eq!(told(&mut scenario, 0, vec![back], FEE), [""; 0]);
    let account = stored(&scenario).unwrap();
    assert_eq!((account.balance, account.key), (Mutez(5_000), None));
    // Every content counts for whoever is new.
    assert_eq!(account.counter.0, 5);
    let some = pay(&scenario, 0, 1);
    let unrevealed = ["contract.unrevealed_key"];
    assert_eq!(
        told(&mut scenario, POOR, vec![some.clone()], FEE),
        unrevealed
    );
    let reveal = Action::Reveal {
        public_key: *scenario.person(POOR).unwrap().key().public(),
        proof: None,
    };
    assert_eq!(told(&mut scenario, POOR, vec![reveal, some], FEE), [""; 0]);
    assert_eq!(stored(&scenario).unwrap().balance, Mutez(2_999));
}

#[test]
fn whoever_delegates_keeps_something() {
    let (mut scenario, _) = poor();
    let delegate = Some(scenario.chain().config().baker);
    let choice = Action::Delegation { delegate };
    assert_eq!(told(&mut scenario, POOR, vec![choice], FEE), [""; 0]);
    let left = MONEY - FEE;
    let refused = ["implicit.empty_implicit_delegated_contract"];
    let all = pay(&scenario, 0, left - FEE);
    assert_eq!(told(&mut scenario, POOR, vec![all], FEE), refused);
    // The fee alone, already at the door.
    let left = left - FEE;
    let nothing = Action::AddMessages {
        messages: vec![b"m".to_vec()],
    };
    assert_eq!(
        told(&mut scenario, POOR, vec![nothing.clone()], left),
        refused
    );
    assert_eq!(told(&mut scenario, POOR, vec![nothing], left - 1), [""; 0]);
    assert_eq!(stored(&scenario).unwrap().balance, Mutez(1));
}

#[test]
fn fees_of_a_batch_are_paid_one_after_the_other() {
    let (scenario, _) = poor();
    let message = |text: &[u8]| Action::AddMessages {
        messages: vec![text.to_vec()],
    };
    let two = || vec![message(b"one"), message(b"two")];
    let refused = |fees: [u64; 2]| {
        let nth = std::cell::Cell::new(0);
        let bytes = changed(&scenario, POOR, two(), |content| {
            content.fee = Mutez(fees[nth.get()]);
            nth.set(nth.get() + 1);
        });
        let told = scenario.chain().clone().inject(&bytes);
        told.err().map(|trace| ids(&trace))
    };
    assert_eq!(refused([MONEY - 1, 1]), None);
    let gone = vec!["implicit.empty_implicit_contract"];
    assert_eq!(refused([MONEY, 0]), Some(gone));
    let short = vec!["contract.balance_too_low", "tez.subtraction_underflow"];
    assert_eq!(refused([MONEY, 1]).map(|ids| ids.len()), Some(1));
    assert_eq!(refused([MONEY - 1, 2]), Some(short));
}

#[test]
fn a_bond_keeps_its_account_until_it_is_lost() {
    let mut setup = short(Protocol::Ushuaia);
    let bond = setup
        .protocols
        .values()
        .next()
        .unwrap()
        .1
        .rollup
        .stake_amount;
    setup.money.insert(POOR, Mutez(bond.0 + FEE));
    let (mut scenario, rollup) = with_rollup(setup);
    while scenario.chain().level().get() < 13 {
        scenario.advance().unwrap();
    }
    let genesis = genesis(scenario.chain().context(), &rollup);
    let commitment = claim(genesis, 12, 1);
    let publish = Action::Publish { rollup, commitment };
    assert_eq!(told(&mut scenario, POOR, vec![publish], FEE), [""; 0]);
    let account = stored(&scenario).unwrap();
    assert_eq!((account.balance, account.frozen_bonds()), (Mutez(0), bond));
    assert!(account.key.is_some());
    let pkh = scenario.person(POOR).unwrap().account();
    let mut ledger = (*scenario.chain().context().ledger).clone();
    let from = crate::sim::ledger::Holder::Bond(pkh, rollup);
    let to = crate::sim::ledger::Holder::Punishments;
    assert_eq!(ledger.transfer(from, to, bond).unwrap().len(), 1);
    assert_eq!(ledger.account(Owner::Implicit(pkh)), None);
    assert_eq!(json!(ledger.balance(Owner::Implicit(pkh))), json!("0"));
}
