//! Outbox messages with the reference's own output proofs, then with damaged and late ones.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::short;
use crate::codec::Writer;
use crate::merkle::Proof;
use crate::protocol::operation::PvmKind;
use crate::protocol::{
    Commitment, CommitmentHash, ContractHash, Counter, Level, Mutez, OutboxMessage, Protocol,
    PublicKeyHash, RollupAddress, StateHash,
};
use crate::pvm::{Buffers, State};
use crate::sim::context::Context;
use crate::sim::contracts::Script;
use crate::sim::errors::Trace;
use crate::sim::ledger::{Account, Owner};
use crate::sim::rollup::Rollup;
use crate::sim::rules::originate::machine_of;
use crate::sim::rules::outbox::{Executed, execute};
use crate::sim::scenario::Scenario;

const ADDRESS: RollupAddress = RollupAddress([7; 20]);

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    Setup {
        state_hash: String,
        inbox_level: Level,
    },
    Outbox {},
    OutputProof {
        message: String,
        output_proof: String,
    },
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

/// A chain on which a commitment with this state and level is the last cemented one.
fn chain(
    state: StateHash,
    level: Level,
    whitelist: Option<Vec<PublicKeyHash>>,
) -> (Context, CommitmentHash) {
    let scenario = Scenario::new(short(Protocol::Ushuaia)).unwrap();
    let mut context = scenario.chain().context().clone();
    let genesis = Commitment::genesis(state, level);
    let mut rollup = Rollup::originated(PvmKind::Wasm, Arc::from([]), genesis);
    rollup.whitelist = whitelist;
    rollup.last_whitelist_update.outbox_level = Level::ZERO;
    context.insert_rollup(ADDRESS, rollup);
    context.level = level.plus(20).unwrap();
    (context, genesis.hash())
}

fn give_script(context: &mut Context, contract: ContractHash) {
    let mut account = Account::new(Mutez(0), Counter(0));
    account.script = Some(Script::Relay);
    context
        .ledger_mut()
        .insert(Owner::Originated(contract), account);
}

fn somebody() -> PublicKeyHash {
    PublicKeyHash::Tz1([9; 20])
}

fn id(result: Result<Executed, Trace>) -> &'static str {
    result.unwrap_err().first().unwrap().id()
}

#[test]
fn recorded_output_proofs_execute_once_and_damaged_ones_never() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/oracle/proto025");
    let Ok(text) = std::fs::read_to_string(folder.join("output_proofs.jsonl")) else {
        return;
    };
    let mut ready = None;
    for line in text.lines() {
        match serde_json::from_str(line).unwrap() {
            Line::Setup {
                state_hash,
                inbox_level,
            } => {
                let state = StateHash(bytes(&state_hash).try_into().unwrap());
                ready = Some(chain(state, inbox_level, Some(vec![somebody()])));
            }
            Line::Outbox {} => {}
            Line::OutputProof {
                message,
                output_proof,
            } => {
                let (context, cemented) = ready.as_mut().unwrap();
                let message = OutboxMessage::parse(&bytes(&message)).unwrap();
                check(context, cemented, &message, &bytes(&output_proof));
            }
        }
    }
}

fn check(context: &mut Context, cemented: &CommitmentHash, message: &OutboxMessage, proof: &[u8]) {
    if let OutboxMessage::Transactions { transactions, .. } = message {
        for transaction in transactions {
            let owner = Owner::Originated(transaction.destination);
            if context.ledger.account(owner).is_none() {
                assert_eq!(
                    id(execute(&mut context.clone(), &ADDRESS, cemented, proof)),
                    "smart_rollup_management_protocol_invalid_destination"
                );
            }
            give_script(context, transaction.destination);
        }
    }
    let mut after = context.clone();
    let done = execute(&mut after, &ADDRESS, cemented, proof).unwrap();
    match message {
        OutboxMessage::Transactions { transactions, .. } => {
            assert_eq!(done.calls.len(), transactions.len());
            assert_eq!(
                id(execute(&mut after, &ADDRESS, cemented, proof)),
                "smart_rollup_outbox_message_already_applied"
            );
        }
        _ => {
            assert_eq!(done.fields["whitelist_update"]["kind"], "public");
            assert_eq!(
                id(execute(&mut after, &ADDRESS, cemented, proof)),
                "smart_rollup_rollup_is_public"
            );
        }
    }
    for place in (0..proof.len()).step_by(3) {
        let mut damaged = proof.to_vec();
        damaged[place] ^= 1 << (place % 8);
        let refused = id(execute(&mut context.clone(), &ADDRESS, cemented, &damaged));
        let known = [
            "smart_rollup_invalid_output_proof",
            "smart_rollup_wasm_output_proof_verification_failed",
        ];
        assert!(known.contains(&refused), "byte {place}: {refused}");
    }
    assert_eq!(
        id(execute(
            &mut context.clone(),
            &ADDRESS,
            &CommitmentHash([1; 32]),
            proof
        )),
        "smart_rollup_invalid_last_cemented_commitment"
    );
}

/// A state whose outbox of `level` holds `messages`.
fn state_with(level: u16, messages: &[OutboxMessage]) -> State {
    let mut state = State::originate(&machine_of(Protocol::Ushuaia), b"").unwrap();
    state.buffers.output.advance(i32::from(level)).unwrap();
    for message in messages {
        state
            .buffers
            .output
            .push(&message.serialize())
            .unwrap()
            .unwrap();
    }
    state
}

fn output_proof(state: &mut State, level: u16, index: u128, message: &OutboxMessage) -> Vec<u8> {
    let tree = state.encode().unwrap();
    let (proof, _) = Proof::produce(tree, |tree| {
        let buffers = Buffers::decode(tree).unwrap();
        buffers.output.message(i32::from(level), index).unwrap()
    })
    .unwrap();
    let mut writer = Writer::new();
    writer.raw(&proof.encode().unwrap());
    writer
        .i32(i32::from(level))
        .n(index)
        .raw(&message.serialize());
    writer.into_bytes()
}

#[test]
fn a_whitelist_changes_forward_only() {
    let list = |byte: u8| OutboxMessage::Whitelist(Some(vec![PublicKeyHash::Tz1([byte; 20])]));
    let twice = OutboxMessage::Whitelist(Some(vec![somebody(), somebody()]));
    let messages = [
        list(1),
        list(2),
        OutboxMessage::Whitelist(Some(Vec::new())),
        twice,
    ];
    let mut state = state_with(30, &messages);
    let hash = StateHash::from(state.hash().unwrap());
    let (mut context, cemented) = chain(hash, Level::new(31), Some(vec![somebody()]));
    let proof =
        |state: &mut State, index: usize| output_proof(state, 30, index as u128, &messages[index]);
    let second = proof(&mut state, 1);
    let done = execute(&mut context, &ADDRESS, &cemented, &second).unwrap();
    assert_eq!(done.fields["whitelist_update"]["kind"], "update");
    let stored = context.rollup(&ADDRESS).unwrap().whitelist.clone();
    assert_eq!(stored, Some(vec![PublicKeyHash::Tz1([2; 20])]));
    let first = proof(&mut state, 0);
    let outdated = execute(&mut context, &ADDRESS, &cemented, &first).unwrap_err();
    let json = outdated.json(Protocol::Ushuaia);
    assert_eq!(
        json[0].to_string(),
        concat!(
            r#"{"kind":"permanent","id":"proto.025-PsUshuai.smart_rollup_outdated_whitelist_update","#,
            r#""message_index":"0","last_whitelist_update":{"message_index":"1","outbox_level":30}}"#
        )
    );
    let empty = proof(&mut state, 2);
    assert_eq!(
        id(execute(&mut context, &ADDRESS, &cemented, &empty)),
        "smart_rollup_empty_whitelist"
    );
    let twice = proof(&mut state, 3);
    assert_eq!(
        id(execute(&mut context, &ADDRESS, &cemented, &twice)),
        "smart_rollup_duplicated_key_in_whitelist"
    );
    let (mut public, cemented) = chain(hash, Level::new(31), None);
    assert_eq!(
        id(execute(&mut public, &ADDRESS, &cemented, &first)),
        "smart_rollup_rollup_is_public"
    );
}

#[test]
fn an_outbox_level_is_active_for_its_time() {
    let signal = OutboxMessage::Signal(b"now".to_vec());
    let mut state = state_with(30, std::slice::from_ref(&signal));
    let hash = StateHash::from(state.hash().unwrap());
    let proof = output_proof(&mut state, 30, 0, &signal);
    let with = |cemented_level: u16, active: u32| {
        let (mut context, cemented) = chain(hash, Level::new(cemented_level), None);
        let mut parameters = (*context.parameters).clone();
        parameters.rollup.max_active_outbox_levels = active;
        context.parameters = Arc::new(parameters);
        execute(&mut context, &ADDRESS, &cemented, &proof)
    };
    assert!(with(30, 1).is_ok());
    assert!(with(39, 10).is_ok());
    assert_eq!(id(with(40, 10)), "smart_rollup_invalid_outbox_level");
    assert_eq!(id(with(29, 10)), "smart_rollup_invalid_outbox_level");
}
