//! What a node looks at before it lets an operation in: signature, branch, the plugin's filters.

use serde_json::json;

use super::pool::{transfer, transfer_to, waiting};
use super::{page_proof, short, with_rollup};
use crate::codec::Micheline;
use crate::protocol::operation::{
    Action, Operation, Parameters, Refutation, SignedOperation, Step,
};
use crate::protocol::{Protocol, Tick};
use crate::sim::mempool::Class;
use crate::sim::validate::bls_suite;

/// What is spelled out is not what the protocol understands, hence not what it wants signed.
#[test]
fn parameters_that_say_nothing_are_not_signed() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    let form = scenario.chain().form();
    let plain = transfer_to(&scenario, 1, 5, 1);
    let plain = SignedOperation::from_bytes(form, &plain).unwrap();
    let mut spelled = plain.clone();
    if let Action::Transaction { parameters, .. } = &mut spelled.operation.contents[0].action {
        *parameters = Some(Parameters {
            entrypoint: "default".parse().unwrap(),
            value: Micheline::unit(),
        });
    }
    let mut message = vec![Operation::WATERMARK];
    message.extend(spelled.operation.to_bytes(form).unwrap());
    let suite = bls_suite(Protocol::Ushuaia);
    let whole = scenario
        .person(1)
        .unwrap()
        .key()
        .sign(&message, suite)
        .unwrap();
    let signed = |signature| SignedOperation {
        signature,
        ..spelled.clone()
    };
    let chain = scenario.chain_mut();
    let refused = chain
        .inject(&signed(whole).to_bytes(form).unwrap())
        .unwrap_err();
    assert_eq!(refused.first().unwrap().id(), "operation.invalid_signature");
    let taken = signed(plain.signature);
    chain.inject(&taken.to_bytes(form).unwrap()).unwrap();
    scenario.advance().unwrap();
    let included = &scenario.chain().head().operations[0];
    assert_eq!(included.hash, taken.hash(form).unwrap());
}

/// A proof about a page that is not there yet waits, as a peer's (`pre_filter`).
#[test]
fn proofs_about_pages_to_come_are_delayed() {
    let (mut scenario, rollup) = with_rollup(short(Protocol::Ushuaia));
    let opponent = scenario.person(2).unwrap().account();
    let next = scenario.chain().level().next().unwrap();
    let about = |published_level| {
        let refutation = Refutation::Move {
            choice: Tick(0),
            step: Step::Proof(page_proof(published_level)),
        };
        Action::Refute {
            rollup,
            opponent,
            refutation,
        }
    };
    let bytes = scenario.sign(1, vec![about(next.next().unwrap())]).unwrap();
    let refused = scenario.chain_mut().receive(&bytes).unwrap_err();
    let level = next.get();
    assert_eq!(
        refused.json(Protocol::Ushuaia),
        json!([{
            "kind": "temporary",
            "id": "proto.025-PsUshuai.block_validation_plugin.sc_rollup_refute_dal_proof_future_published_level",
            "published_level": level + 1,
            "level": level,
        }])
    );
    assert_eq!(
        scenario.chain().mempool().waiting()[0].class,
        Class::BranchDelayed
    );
    // With the next head it may enter.
    scenario.advance().unwrap();
    assert_eq!(
        scenario.chain().mempool().waiting()[0].class,
        Class::Validated
    );
}

/// A branch is looked for before the rest is read; the private door asks for neither place nor fee.
#[test]
fn each_door_of_a_node_looks_at_its_own() {
    let (mut scenario, _) = with_rollup(short(Protocol::Ushuaia));
    let early = transfer(&scenario, 1, 0, 1, 1);
    let noise = [vec![9; 32], vec![0xee; 70]].concat();
    let chain = scenario.chain_mut();
    let refused = chain.inject(&noise).unwrap_err();
    let unknown = "prevalidation.future_or_unknown_branch";
    assert_eq!(refused.first().unwrap().id(), unknown);
    let unread = "node.prevalidation.parse_error";
    let refused = chain.force(&noise).unwrap_err();
    assert_eq!(refused.first().unwrap().id(), unread);
    let refused = chain.inject(&early).unwrap_err();
    let future = "contract.counter_in_the_future";
    assert_eq!(refused.first().unwrap().id(), future);
    chain.force(&early).unwrap();
    assert_eq!(waiting(&scenario), [(Class::BranchDelayed, 0)]);
}
