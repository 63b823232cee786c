//! The gate's tables, edges and memory.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::codec::Micheline;
use crate::crypto::{Curve, Hash, SecretKey};
use crate::protocol::operation::{
    Action, Content, Contract, DissectionChunk, Kind, Origination, PvmKind, Refutation, Stakers,
    Step,
};
use crate::protocol::{
    BlockHash, Commitment, CommitmentHash, Counter, Gas, Level, Mutez, Protocol, RollupAddress,
    StateHash, StorageBytes, Tick,
};

const FORM: Form = Form::Modern(Protocol::Ushuaia);
const STAKE: u64 = 10_000_000_000;
const OURS: RollupAddress = RollupAddress([1; 20]);
const OTHER: RollupAddress = RollupAddress([2; 20]);
const OPPONENT: PublicKeyHash = PublicKeyHash::Tz1([9; 20]);

fn secret(curve: Curve) -> SecretKey {
    let mut bytes = [7; 32];
    bytes[31] = 1;
    SecretKey::from_bytes(curve, &bytes).unwrap()
}

fn policy(authority: Authority) -> Policy {
    Policy {
        authority,
        rollups: BTreeSet::from([OURS, OTHER]),
        stake_cap: Mutez(2 * STAKE),
        fee_cap: Mutez(1000),
        daily_fee_cap: Mutez(5000),
        hourly_cap: 4,
    }
}

fn gate_of(policy: Policy) -> Gate {
    let key = Key::local(secret(Curve::Ed25519));
    Gate::new(key, policy, Memory::default(), Brake::default())
}

fn gate() -> Gate {
    gate_of(policy(Authority::Defend))
}

fn moment(now: i64) -> Moment {
    Moment {
        now: Timestamp(now),
        stake: Mutez(STAKE),
        bonded: BTreeSet::new(),
        lost: Mutez(0),
    }
}

fn turn(byte: u8) -> Turn {
    Turn(Hash([byte; 32]))
}

fn commitment(level: u16, state: u8) -> Commitment {
    Commitment {
        compressed_state: StateHash([state; 32]),
        inbox_level: Level::new(level),
        predecessor: CommitmentHash([3; 32]),
        number_of_ticks: 5,
    }
}

fn publish(rollup: RollupAddress, level: u16, state: u8) -> Action {
    Action::Publish {
        rollup,
        commitment: commitment(level, state),
    }
}

fn play(tick: u128) -> Action {
    Action::Refute {
        rollup: OURS,
        opponent: OPPONENT,
        refutation: Refutation::Move {
            choice: Tick(tick),
            step: Step::Dissection(vec![DissectionChunk {
                state: Some(StateHash([4; 32])),
                tick: Tick(tick),
            }]),
        },
    }
}

/// A move for an opponent who has lost already.
fn play_nothing() -> Action {
    Action::Refute {
        rollup: OURS,
        opponent: OPPONENT,
        refutation: Refutation::Move {
            choice: Tick(1),
            step: Step::Dissection(Vec::new()),
        },
    }
}

fn timeout(rollup: RollupAddress) -> Action {
    Action::Timeout {
        rollup,
        stakers: Stakers::new(OPPONENT, PublicKeyHash::Tz1([8; 20])),
    }
}

fn operation(gate: &Gate, first: u64, fee: u64, actions: Vec<Action>) -> Operation {
    let contents = actions
        .into_iter()
        .zip(first..)
        .map(|(action, counter)| Content {
            source: gate.account(),
            fee: Mutez(if counter == first { fee } else { 0 }),
            counter: Counter(counter),
            gas_limit: Gas(1000),
            storage_limit: StorageBytes(0),
            action,
        });
    Operation {
        branch: BlockHash([5; 32]),
        contents: contents.collect(),
    }
}

fn turns_of(operation: &Operation, turn: Turn) -> Vec<Option<Turn>> {
    let contents = operation.contents.iter();
    contents
        .map(|content| match content.action {
            Action::Refute {
                refutation: Refutation::Move { .. },
                ..
            } => Some(turn),
            _ => None,
        })
        .collect()
}

fn admit(
    gate: &Gate,
    operation: &Operation,
    turn: Turn,
    moment: Moment,
) -> Result<Admission, Refusal> {
    let bytes = operation.to_bytes(FORM).unwrap();
    gate.admit(&bytes, FORM, &turns_of(operation, turn), moment)
}

fn ask(gate: &Gate, actions: Vec<Action>) -> Result<Admission, Refusal> {
    admit(gate, &operation(gate, 1, 100, actions), turn(1), moment(0))
}

async fn sign(gate: &mut Gate, operation: &Operation, at: i64) -> Result<Signed, SignError> {
    let admission = admit(gate, operation, turn(1), moment(at))?;
    gate.sign(admission).await
}

/// One action of each kind, in every other respect admissible.
fn of_kind(kind: Kind, gate: &Gate) -> Action {
    match kind {
        Kind::Reveal => Action::Reveal {
            public_key: *gate.public_key(),
            proof: None,
        },
        Kind::Transaction => Action::Transaction {
            amount: Mutez(1),
            destination: Contract::Implicit(OPPONENT),
            parameters: None,
        },
        Kind::Delegation => Action::Delegation { delegate: None },
        Kind::Originate => Action::Originate(Box::new(Origination {
            pvm: PvmKind::Wasm,
            kernel: vec![1],
            origination_proof: None,
            parameters_type: Micheline::unit(),
            whitelist: None,
        })),
        Kind::AddMessages => Action::AddMessages {
            messages: vec![vec![1]],
        },
        Kind::Cement => Action::Cement {
            rollup: OURS,
            commitment: None,
        },
        Kind::Publish => publish(OURS, 10, 1),
        Kind::Refute => play(1),
        Kind::Timeout => timeout(OURS),
        Kind::ExecuteOutboxMessage => Action::ExecuteOutboxMessage {
            rollup: OURS,
            cemented_commitment: CommitmentHash([3; 32]),
            output_proof: vec![1],
        },
        Kind::RecoverBond => Action::RecoverBond {
            rollup: OURS,
            staker: gate.account(),
        },
    }
}

/// Mode by mode, what is signed; `observe` and `shadow` have no authority, hence no column.
#[test]
fn the_table_of_modes_and_kinds() {
    let table = [
        // kind, defend, operate, bailout
        (Kind::Reveal, [true, true, true]),
        (Kind::Transaction, [false, false, false]),
        (Kind::Delegation, [false, false, false]),
        (Kind::Originate, [false, false, false]),
        (Kind::AddMessages, [false, false, false]),
        (Kind::Cement, [true, true, true]),
        (Kind::Publish, [true, true, false]),
        (Kind::Refute, [true, true, true]),
        (Kind::Timeout, [true, true, true]),
        (Kind::ExecuteOutboxMessage, [false, false, false]),
        (Kind::RecoverBond, [true, true, true]),
    ];
    assert_eq!(table.map(|(kind, _)| kind), Kind::ALL);
    for (kind, allowed) in table {
        for (authority, allowed) in Authority::ALL.into_iter().zip(allowed) {
            let gate = gate_of(policy(authority));
            let outcome = ask(&gate, vec![of_kind(kind, &gate)]).map(|_| ());
            let expected = if allowed {
                Ok(())
            } else {
                Err(Refusal::Kind {
                    index: 0,
                    kind,
                    authority,
                })
            };
            assert_eq!(outcome, expected, "{kind} in {}", authority.name());
        }
    }
}

#[test]
fn only_our_account_our_key_our_rollups_and_our_bond() {
    let gate = gate();
    let stranger = RollupAddress([3; 20]);
    for action in [
        publish(stranger, 1, 1),
        timeout(stranger),
        Action::Cement {
            rollup: stranger,
            commitment: None,
        },
    ] {
        let refused = ask(&gate, vec![timeout(OURS), action]);
        let rollup = stranger;
        assert_eq!(refused.unwrap_err(), Refusal::Rollup { index: 1, rollup });
    }
    let staker = OPPONENT;
    let bond = Action::RecoverBond {
        rollup: OURS,
        staker,
    };
    assert_eq!(
        ask(&gate, vec![bond]).unwrap_err(),
        Refusal::Bond { index: 0, staker }
    );
    let reveal = |curve, proof| Action::Reveal {
        public_key: *secret(curve).public(),
        proof,
    };
    let refused = ask(&gate, vec![reveal(Curve::P256, None)]);
    assert_eq!(refused.unwrap_err(), Refusal::Reveal);
    let mut foreign = operation(&gate, 1, 1, vec![timeout(OURS)]);
    foreign.contents[0].source = OPPONENT;
    assert!(matches!(
        admit(&gate, &foreign, turn(1), moment(0)).unwrap_err(),
        Refusal::NotOurs { index: 0, .. }
    ));
}

#[test]
fn a_bls_reveal_carries_its_own_proof() {
    let key = Key::local(secret(Curve::Bls));
    let proof = secret(Curve::Bls).prove_possession();
    let gate = Gate::new(
        key,
        policy(Authority::Defend),
        Memory::default(),
        Brake::default(),
    );
    let reveal = |proof| Action::Reveal {
        public_key: *gate.public_key(),
        proof,
    };
    assert!(ask(&gate, vec![reveal(proof)]).is_ok());
    let wrong = Some(Signature::Bls([1; 96]));
    assert_eq!(
        ask(&gate, vec![reveal(wrong)]).unwrap_err(),
        Refusal::Reveal
    );
}

#[test]
fn bytes_are_read_here_and_must_be_whole() {
    let gate = gate();
    let bytes = operation(&gate, 1, 1, vec![timeout(OURS)])
        .to_bytes(FORM)
        .unwrap();
    let judged = |bytes: &[u8], turns: &[Option<Turn>]| {
        gate.admit(bytes, FORM, turns, moment(0)).map(|_| ())
    };
    assert_eq!(judged(&bytes, &[None]), Ok(()));
    for length in 0..bytes.len() {
        let refused = judged(&bytes[..length], &[None]).unwrap_err();
        let is_cut = matches!(refused, Refusal::Unreadable { .. });
        assert!(
            is_cut || (length == 32 && refused == Refusal::Empty),
            "{length}: {refused}"
        );
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(
        judged(&longer, &[None]),
        Err(Refusal::Unreadable { .. })
    ));
    assert_eq!(judged(&bytes, &[]), Err(Refusal::Turn { index: 0 }));
    assert_eq!(
        judged(&bytes, &[Some(turn(1))]),
        Err(Refusal::Turn { index: 0 })
    );
    let unturned = operation(&gate, 1, 1, vec![play(1)])
        .to_bytes(FORM)
        .unwrap();
    assert_eq!(judged(&unturned, &[None]), Err(Refusal::Turn { index: 0 }));
    let mut burning = operation(&gate, 1, 1, vec![timeout(OURS)]);
    burning.contents[0].storage_limit = StorageBytes(1);
    let refused = admit(&gate, &burning, turn(1), moment(0));
    assert_eq!(
        refused.unwrap_err(),
        Refusal::Storage { index: 0, bytes: 1 }
    );
}

#[tokio::test]
async fn the_stake_cap_counts_every_rollup_once_and_what_was_lost() {
    let third = RollupAddress([4; 20]);
    let mut policy = policy(Authority::Operate);
    policy.rollups.insert(third);
    let mut gate = gate_of(policy);
    let two = vec![
        publish(OURS, 10, 1),
        publish(OTHER, 10, 1),
        publish(OURS, 20, 1),
    ];
    assert!(ask(&gate, two.clone()).is_ok());
    let three = [two.clone(), vec![publish(third, 10, 1)]].concat();
    let over = Refusal::Stake {
        at_stake: Mutez(3 * STAKE),
        cap: Mutez(2 * STAKE),
    };
    assert_eq!(ask(&gate, three).unwrap_err(), over);
    let lost = |lost| {
        let moment = Moment {
            lost: Mutez(lost),
            ..moment(0)
        };
        let operation = operation(&gate, 1, 1, vec![publish(OURS, 10, 1)]);
        admit(&gate, &operation, turn(1), moment).map(|_| ())
    };
    assert_eq!(lost(STAKE), Ok(()));
    assert!(matches!(lost(STAKE + 1), Err(Refusal::Stake { .. })));
    // What was signed counts even before it is on the chain, and no more once it is recovered.
    let first = operation(&gate, 1, 1, two);
    sign(&mut gate, &first, 0).await.unwrap();
    assert_eq!(ask(&gate, vec![publish(third, 10, 1)]).unwrap_err(), over);
    let recovery = Action::RecoverBond {
        rollup: OURS,
        staker: gate.account(),
    };
    let recovery = operation(&gate, 4, 1, vec![recovery]);
    sign(&mut gate, &recovery, 0).await.unwrap();
    assert!(ask(&gate, vec![publish(third, 10, 1)]).is_ok());
    let bonded = Moment {
        bonded: BTreeSet::from([OURS]),
        ..moment(0)
    };
    let operation = operation(&gate, 5, 1, vec![publish(third, 10, 1)]);
    assert_eq!(admit(&gate, &operation, turn(1), bonded).unwrap_err(), over);
}

#[tokio::test]
async fn fee_caps_at_their_edges() {
    let mut gate = gate();
    let of = |gate: &Gate, counter, fee| operation(gate, counter, fee, vec![timeout(OURS)]);
    let over = of(&gate, 1, 1001);
    let (fee, cap) = (Mutez(1001), Mutez(1000));
    assert_eq!(
        admit(&gate, &over, turn(1), moment(0)).unwrap_err(),
        Refusal::Fee { fee, cap }
    );
    // Whichever contents the fees stand on.
    let mut shared = operation(&gate, 1, 1, vec![timeout(OURS); 3]);
    for (content, fee) in shared.contents.iter_mut().zip([0, 600, 400]) {
        content.fee = Mutez(fee);
    }
    assert!(admit(&gate, &shared, turn(1), moment(0)).is_ok());
    shared.contents[2].fee = Mutez(401);
    let (fee, cap) = (Mutez(1001), Mutez(1000));
    assert_eq!(
        admit(&gate, &shared, turn(1), moment(0)).unwrap_err(),
        Refusal::Fee { fee, cap }
    );
    // Two hours apart, so that the hourly cap does not matter here.
    for (nth, counter) in (1_u32..).zip(1..=5) {
        let operation = of(&gate, counter, 1000);
        sign(&mut gate, &operation, i64::from(nth) * 7200)
            .await
            .unwrap();
    }
    let (spent, cap) = (Mutez(5001), Mutez(5000));
    let sixth = of(&gate, 6, 1);
    let at = 6 * 7200;
    assert_eq!(
        admit(&gate, &sixth, turn(1), moment(at)).unwrap_err(),
        Refusal::DailyFees { spent, cap }
    );
    // A replacement spends only what it adds: one of the same fee adds nothing.
    assert!(admit(&gate, &of(&gate, 5, 1000), turn(1), moment(at)).is_ok());
    // The first offer was at 7,200 s: it counts for a day, to the second.
    assert!(admit(&gate, &sixth, turn(1), moment(7200 + 86_399)).is_err());
    assert!(admit(&gate, &sixth, turn(1), moment(7200 + 86_400)).is_ok());
}

#[tokio::test]
async fn the_rate_cap_at_its_edge() {
    let mut gate = gate();
    for counter in 1..=4 {
        let operation = operation(&gate, counter, 1, vec![timeout(OURS)]);
        sign(&mut gate, &operation, 100).await.unwrap();
    }
    let fifth = operation(&gate, 5, 1, vec![timeout(OURS)]);
    let (signed, cap) = (4, 4);
    assert_eq!(
        admit(&gate, &fifth, turn(1), moment(3699)).unwrap_err(),
        Refusal::Rate { signed, cap }
    );
    assert!(admit(&gate, &fifth, turn(1), moment(3700)).is_ok());
}

/// A forfeit was taken, a reorganisation brought the opponent's stake back: the turn has one answer.
#[tokio::test]
async fn what_asserts_nothing_binds_nothing() {
    let mut gate = gate();
    let nothing = operation(&gate, 1, 1, vec![play_nothing()]);
    gate_signs(&mut gate, &nothing).await;
    let real = operation(&gate, 1, 2, vec![play(1)]);
    gate_signs(&mut gate, &real).await;
    assert!(admit(&gate, &nothing, turn(1), moment(0)).is_ok());
    let other = operation(&gate, 1, 3, vec![play(2)]);
    assert!(matches!(
        admit(&gate, &other, turn(1), moment(0)).unwrap_err(),
        Refusal::OtherMove { index: 0, .. }
    ));
}

async fn gate_signs(gate: &mut Gate, operation: &Operation) {
    sign(gate, operation, 0).await.unwrap();
}

#[tokio::test]
async fn never_two_commitments_for_a_level_nor_two_moves_for_a_turn() {
    let mut gate = gate();
    let first = operation(&gate, 1, 1, vec![publish(OURS, 10, 1), play(1)]);
    sign(&mut gate, &first, 0).await.unwrap();
    // The same again, dearer: a replacement.
    let again = operation(&gate, 1, 2, vec![publish(OURS, 10, 1), play(1)]);
    sign(&mut gate, &again, 0).await.unwrap();
    let refused = ask(&gate, vec![publish(OURS, 10, 2)]).unwrap_err();
    let asked = commitment(10, 2).hash();
    assert!(matches!(refused, Refusal::OtherCommitment { asked: a, .. } if a == asked));
    assert!(ask(&gate, vec![publish(OTHER, 10, 2)]).is_ok());
    assert!(ask(&gate, vec![publish(OURS, 11, 2)]).is_ok());
    let other = operation(&gate, 1, 1, vec![play(2)]);
    assert!(matches!(
        admit(&gate, &other, turn(1), moment(0)).unwrap_err(),
        Refusal::OtherMove { index: 0, .. }
    ));
    assert!(admit(&gate, &other, turn(2), moment(0)).is_ok());
    // Nor two of them within one batch.
    let both = ask(&gate, vec![publish(OURS, 30, 1), publish(OURS, 30, 2)]);
    assert!(matches!(
        both.unwrap_err(),
        Refusal::OtherCommitment { index: 1, .. }
    ));
}

#[tokio::test]
async fn the_brake_holds_even_between_admission_and_signature() {
    let mut gate = gate();
    let brake = gate.brake().clone();
    let admission = ask(&gate, vec![timeout(OURS)]).unwrap();
    brake.pull("test");
    let reason = "test".to_owned();
    assert!(matches!(
        gate.sign(admission).await,
        Err(SignError::Refused(Refusal::Braked { reason: r })) if r == reason
    ));
    assert_eq!(
        ask(&gate, vec![timeout(OURS)]).unwrap_err(),
        Refusal::Braked { reason }
    );
    brake.release();
    brake.freeze(OURS, "odd");
    assert!(ask(&gate, vec![timeout(OTHER)]).is_ok());
    assert!(matches!(
        ask(&gate, vec![timeout(OTHER), timeout(OURS)]).unwrap_err(),
        Refusal::Frozen { index: 1, .. }
    ));
    brake.thaw(&OURS);
    assert!(ask(&gate, vec![timeout(OURS)]).is_ok());
}

#[tokio::test]
async fn every_curve_signs_in_every_protocol_and_what_it_signs_verifies() {
    for curve in Curve::ALL {
        for protocol in [
            Protocol::Mumbai,
            Protocol::Rio,
            Protocol::Seoul,
            Protocol::Ushuaia,
        ] {
            let form = Form::Modern(protocol);
            let key = Key::local(secret(curve));
            let policy = policy(Authority::Defend);
            let mut gate = Gate::new(key, policy, Memory::default(), Brake::default());
            let operation = operation(&gate, 1, 1, vec![publish(OURS, 1, 1)]);
            let bytes = operation.to_bytes(form).unwrap();
            let admission = gate.admit(&bytes, form, &[None], moment(0)).unwrap();
            let signed = gate.sign(admission).await.unwrap();
            let message = operation.to_sign(form).unwrap();
            let signature = signed.operation.signature;
            let suite = form.bls_suite();
            assert!(gate.public_key().verifies(&message, &signature, suite));
            assert_eq!(
                SignedOperation::from_bytes(form, &signed.bytes)
                    .unwrap()
                    .operation,
                operation
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever is asked for, in whatever order: of each level at most one commitment is admitted,
    /// of each turn at most one move, and a gate that was restored refuses the same.
    #[test]
    fn what_is_admitted_never_contradicts_itself(
        asked in proptest::collection::vec((any::<bool>(), 0_u16..4, 0_u8..3), 1..24)
    ) {
        let policy = Policy { hourly_cap: u32::MAX, ..policy(Authority::Defend) };
        let key = *secret(Curve::Ed25519).public();
        let mut memory = Memory::default();
        let (mut commitments, mut moves) = (std::collections::BTreeMap::new(), std::collections::BTreeMap::new());
        for (is_publication, place, content) in asked {
            let gate = Gate::new(Key::local(secret(Curve::Ed25519)), policy.clone(), memory.clone(), Brake::default());
            prop_assert_eq!(gate.public_key(), &key);
            let action = if is_publication { publish(OURS, place, content) } else { play(content.into()) };
            let operation = operation(&gate, 1, 1, vec![action]);
            let turn = turn(u8::try_from(place).unwrap());
            let outcome = admit(&gate, &operation, turn, moment(0));
            let known = if is_publication { &mut commitments } else { &mut moves };
            let expected = known.get(&place).is_none_or(|known| *known == content);
            prop_assert_eq!(outcome.is_ok(), expected);
            if outcome.is_ok() {
                known.insert(place, content);
                memory.remember(&operation, &turns_of(&operation, turn), Timestamp(0));
            }
        }
    }
}
