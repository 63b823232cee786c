use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::chain::Chain;
use super::node::{Node, Reply, client};
use crate::crypto::{Dialect, Prefix};
use crate::l1::{BlockId, Client, FailureKind, L1Error, RollupAt};
use crate::protocol::operation::{Kind, PvmKind};
use crate::protocol::{
    Commitment, CommitmentHash, Dialected, GameState, InboxHash, Level, PayloadsHash, Player,
    Protocol, PublicKeyHash, RollupAddress, StateHash,
};

const ALICE: PublicKeyHash = PublicKeyHash::Tz1([1; 20]);
const BOB: PublicKeyHash = PublicKeyHash::Tz1([2; 20]);
const CAROL: PublicKeyHash = PublicKeyHash::Tz2([3; 20]);
const ROLLUP: RollupAddress = RollupAddress([7; 20]);

fn commitment(level: u16, predecessor: CommitmentHash, state: u8) -> Commitment {
    Commitment {
        compressed_state: StateHash([state; 32]),
        inbox_level: Level::new(level),
        predecessor,
        number_of_ticks: 5,
    }
}

fn written(commitment: &Commitment, dialect: Dialect) -> Value {
    json!({
        "compressed_state": commitment.compressed_state.text(dialect), "inbox_level": commitment.inbox_level,
        "predecessor": commitment.predecessor.text(dialect), "number_of_ticks": commitment.number_of_ticks.to_string(),
    })
}

/// A node on a chain of a dialect with a short branch, and the rollup at its head.
async fn at(node: &Node, dialect: Dialect) -> (Client, RollupAt) {
    let chain = Chain::new(dialect);
    chain.on(node);
    chain.grow(None, "", 3);
    let client = client(&[node]);
    let rollup = client.rollup(ROLLUP, BlockId::Head).await.unwrap();
    (client, rollup)
}

fn refusal(name: &str) -> Reply {
    let id = format!("proto.023-PtSeouLo.{name}");
    Reply::Text(500, json!([{"kind": "temporary", "id": id}]).to_string())
}

const MODERN: &str = "/chains/main/blocks/head/context/smart_rollups";
const SCR1: &str = "/chains/main/blocks/head/context/sc_rollups";

fn modern(leaf: &str) -> String {
    format!("{MODERN}/smart_rollup/{ROLLUP}/{leaf}")
}

fn scr1(leaf: &str) -> String {
    format!("{SCR1}/sc_rollup/{}/{leaf}", ROLLUP.text(Dialect::Scr1))
}

#[tokio::test]
async fn simple_questions_are_answered_in_both_dialects() {
    for (dialect, path) in [
        (Dialect::Modern, modern as fn(&str) -> String),
        (Dialect::Scr1, scr1),
    ] {
        let node = Node::start().await;
        let (_, rollup) = at(&node, dialect).await;
        let hash = CommitmentHash([8; 32]);
        node.says(&path("kind"), json!("wasm_2_0_0"));
        node.says(
            &path("genesis_info"),
            json!({"level": 2, "commitment_hash": hash.text(dialect)}),
        );
        node.says(
            &path("last_cemented_commitment_hash_with_level"),
            json!({"hash": hash.text(dialect), "level": 32}),
        );
        assert_eq!(rollup.kind().await, Ok(PvmKind::Wasm));
        let genesis = rollup.genesis().await.unwrap();
        assert_eq!((genesis.level, genesis.commitment), (Level::new(2), hash));
        let cemented = rollup.last_cemented().await.unwrap();
        assert_eq!((cemented.level, cemented.hash), (Level::new(32), hash));
    }
}

#[tokio::test]
async fn labels_of_the_other_era_are_refused_in_answers_and_explained_for_addresses() {
    let node = Node::start().await;
    let (client, rollup) = at(&node, Dialect::Modern).await;
    let hash = CommitmentHash([8; 32]);
    let answer = json!({"level": 2, "commitment_hash": hash.text(Dialect::Scr1)});
    node.says(&modern("genesis_info"), answer);
    let error = rollup.genesis().await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Permanent);
    assert!(error.to_string().contains("is not a src1"), "{error}");

    assert_eq!(client.accept_label(&ROLLUP, Dialect::Modern).await, Ok(()));
    let error = client
        .accept_label(&ROLLUP, Dialect::Scr1)
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&ROLLUP.to_string()) && text.contains(&ROLLUP.text(Dialect::Scr1)),
        "{text}"
    );
}

#[tokio::test]
async fn a_rollup_that_does_not_exist_is_told_as_such() {
    let node = Node::start().await;
    let (_, rollup) = at(&node, Dialect::Modern).await;
    node.plays(
        &modern("genesis_info"),
        [refusal("smart_rollup_does_not_exist")],
    );
    for error in [
        rollup.genesis().await.unwrap_err(),
        rollup.kind().await.unwrap_err(),
    ] {
        assert!(matches!(error, L1Error::NoSuchRollup { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_commitment_must_have_the_hash_asked_for() {
    let node = Node::start().await;
    let (_, rollup) = at(&node, Dialect::Modern).await;
    let right = commitment(60, CommitmentHash([1; 32]), 4);
    let path = |hash: &CommitmentHash| modern(&format!("commitment/{hash}"));
    node.says(&path(&right.hash()), written(&right, Dialect::Modern));
    assert_eq!(rollup.commitment(&right.hash()).await, Ok(Some(right)));
    let other = CommitmentHash([9; 32]);
    node.says(&path(&other), written(&right, Dialect::Modern));
    let error = rollup.commitment(&other).await.unwrap_err();
    assert!(
        error.to_string().contains("the commitment has hash"),
        "{error}"
    );
    node.plays(&path(&other), [refusal("smart_rollup_unknown_commitment")]);
    assert_eq!(rollup.commitment(&other).await, Ok(None));
}

#[tokio::test]
async fn stakes_are_joined_by_index_today() {
    let node = Node::start().await;
    let (_, rollup) = at(&node, Dialect::Modern).await;
    let (one, two) = (CommitmentHash([1; 32]), CommitmentHash([2; 32]));
    node.says(&modern("inbox_level/60/commitments"), json!([one, two]));
    node.says(&modern("inbox_level/90/commitments"), Value::Null);
    node.says(&modern("stakers"), json!([ALICE, BOB, CAROL]));
    for (staker, index) in [(ALICE, "0"), (BOB, "4")] {
        node.says(&modern(&format!("staker/{staker}/index")), json!(index));
    }
    node.plays(
        &modern(&format!("staker/{CAROL}/index")),
        [refusal("context.storage_error")],
    );
    node.says(
        &modern(&format!("commitment/{one}/stakers_indexes")),
        json!(["0", "3"]),
    );
    node.says(
        &modern(&format!("commitment/{two}/stakers_indexes")),
        json!(["4"]),
    );
    let expected = BTreeMap::from([(one, BTreeSet::from([ALICE])), (two, BTreeSet::from([BOB]))]);
    assert_eq!(rollup.stakes_at(Level::new(60)).await, Ok(expected));
    assert_eq!(rollup.stakes_at(Level::new(90)).await, Ok(BTreeMap::new()));
}

#[tokio::test]
async fn stakes_are_found_along_branches_in_the_older_dialect() {
    let node = Node::start().await;
    let (_, rollup) = at(&node, Dialect::Scr1).await;
    let genesis = CommitmentHash([5; 32]);
    let low = commitment(32, genesis, 1);
    let (left, right) = (commitment(62, low.hash(), 2), commitment(62, low.hash(), 3));
    for known in [low, left, right] {
        let path = scr1(&format!("commitment/{}", known.hash().text(Dialect::Scr1)));
        node.says(&path, written(&known, Dialect::Scr1));
    }
    let stands: Vec<_> = [(ALICE, left), (BOB, right), (CAROL, low)]
        .iter()
        .map(|(staker, on)| json!({"staker": staker, "commitment": on.hash().text(Dialect::Scr1)}))
        .collect();
    node.says(&scr1("stakers_commitments"), json!(stands));
    node.says(
        &scr1(&format!("staker/{ALICE}/staked_on_commitment")),
        json!({"hash": left.hash().text(Dialect::Scr1)}),
    );
    assert_eq!(rollup.stakers().await, Ok(vec![ALICE, BOB, CAROL]));
    let high = rollup.stakes_at(Level::new(62)).await.unwrap();
    assert_eq!(high[&left.hash()], BTreeSet::from([ALICE]));
    assert_eq!(high.len(), 2);
    let shared = rollup.stakes_at(Level::new(32)).await.unwrap();
    assert_eq!(shared[&low.hash()], BTreeSet::from([ALICE, BOB, CAROL]));
    assert_eq!(
        rollup.commitments_at(Level::new(32)).await,
        Ok(vec![low.hash()])
    );
    let place = rollup.staked_on(&ALICE).await.unwrap().unwrap();
    assert_eq!((place.hash, place.level), (left.hash(), Level::new(62)));
}

#[tokio::test]
async fn a_staker_without_stake_is_no_error() {
    let node = Node::start().await;
    let (_, rollup) = at(&node, Dialect::Modern).await;
    let leaf = |staker: PublicKeyHash| modern(&format!("staker/{staker}/staked_on_commitment"));
    node.plays(&leaf(ALICE), [refusal("smart_rollup_not_staked")]);
    node.says(&leaf(BOB), Value::Null);
    assert_eq!(rollup.staked_on(&ALICE).await, Ok(None));
    assert_eq!(rollup.staked_on(&BOB).await, Ok(None));
}

fn cell(dialect: Dialect) -> Value {
    json!({
        "index": "17", "content": {"hash": PayloadsHash([6; 32]).text(dialect), "level": 20},
        "back_pointers": [InboxHash([5; 32]).text(dialect), InboxHash([4; 32]).text(dialect)],
    })
}

#[tokio::test]
async fn the_inbox_and_the_rollups_of_the_chain_are_read_in_both_dialects() {
    for (dialect, prefix) in [(Dialect::Modern, MODERN), (Dialect::Scr1, SCR1)] {
        let node = Node::start().await;
        let (client, _) = at(&node, dialect).await;
        node.says(
            &format!("{prefix}/all/inbox"),
            json!({"level": 20, "old_levels_messages": cell(dialect)}),
        );
        node.says(&format!("{prefix}/all"), json!([ROLLUP.text(dialect)]));
        let inbox = client.inbox(BlockId::Head).await.unwrap();
        assert_eq!((inbox.index, inbox.level), (17, Level::new(20)));
        assert_eq!(
            (inbox.witness, inbox.back_pointers.len()),
            (PayloadsHash([6; 32]), 2)
        );
        assert_eq!(client.rollups(BlockId::Head).await, Ok(vec![ROLLUP]));
    }
}

#[tokio::test]
async fn games_clocks_and_conflicts_are_read_in_both_dialects() {
    for dialect in [Dialect::Modern, Dialect::Scr1] {
        let node = Node::start().await;
        let (_, rollup) = at(&node, dialect).await;
        let chunk = json!({"state": StateHash([1; 32]).text(dialect), "tick": "0"});
        let end = json!({"tick": "12"});
        let state = json!({"kind": "Dissecting", "dissection": [chunk, end], "default_number_of_sections": 32});
        let game = json!({"turn": "bob", "inbox_snapshot": cell(dialect), "dal_snapshot": {"kind": "x"}, "start_level": 9, "inbox_level": 8, "game_state": state});
        let entry = json!({"game": game, "alice": ALICE, "bob": BOB});
        let parent = CommitmentHash([9; 32]);
        let (ours, theirs) = (commitment(60, parent, 1), commitment(60, parent, 2));
        let conflict = json!([{"other": BOB, "their_commitment": written(&theirs, dialect), "our_commitment": written(&ours, dialect), "parent_commitment": parent.text(dialect)}]);
        let clocks = json!({"alice": 20, "bob": 7, "last_turn_level": 12});
        let (games, conflicts, timeout, games_answer) = match dialect {
            Dialect::Modern => (
                modern(&format!("staker/{ALICE}/games")),
                modern(&format!("staker/{ALICE}/conflicts")),
                modern(&format!("staker1/{ALICE}/staker2/{BOB}/timeout")),
                json!([entry]),
            ),
            Dialect::Scr1 => (
                scr1(&format!("game?staker={ALICE}")),
                scr1(&format!("conflicts?staker={ALICE}")),
                scr1(&format!("timeout?staker1={ALICE}&staker2={BOB}")),
                entry,
            ),
        };
        node.says(&games, games_answer);
        node.says(&conflicts, conflict);
        node.plays(&timeout, [Reply::Json(clocks), Reply::Json(Value::Null)]);
        let games = rollup.games(&ALICE).await.unwrap();
        assert_eq!(
            (games.len(), games[0].1.turn, games[0].0.bob()),
            (1, Player::Bob, BOB)
        );
        assert!(
            matches!(&games[0].1.state, GameState::Dissecting { dissection, default_number_of_sections: 32 } if dissection.len() == 2)
        );
        let found = rollup.conflicts(&ALICE).await.unwrap();
        assert_eq!(
            (found[0].theirs, found[0].ours, found[0].parent),
            (theirs, ours, parent)
        );
        assert_eq!(rollup.clocks(&ALICE, &BOB).await.unwrap().unwrap().bob, 7);
        assert_eq!(rollup.clocks(&ALICE, &BOB).await, Ok(None));
    }
}

#[tokio::test]
async fn the_kernel_is_found_in_the_block_of_the_origination() {
    let node = Node::start().await;
    let chain = Chain::new(Dialect::Modern);
    chain.on(&node);
    let root = chain.grow(None, "", 2);
    let genesis = CommitmentHash([8; 32]);
    let operation = json!({"hash": Prefix::OPERATION.encode(&[1; 32]), "contents": [{
        "kind": Kind::Originate.name(Dialect::Modern), "source": ALICE, "fee": "0", "counter": "1", "gas_limit": "1", "storage_limit": "1",
        "pvm_kind": "wasm_2_0_0", "kernel": "0061736d", "parameters_ty": {"prim": "unit"},
        "metadata": {"operation_result": {"status": "applied", "address": ROLLUP, "genesis_commitment_hash": genesis, "size": "1"}},
    }]});
    let block = chain.bake_with(Some(root), "", Protocol::Seoul, json!([operation]));
    chain.grow(Some(block), "", 5);
    let client = client(&[&node]);
    let rollup = client.rollup(ROLLUP, BlockId::Head).await.unwrap();
    node.says(
        &modern("genesis_info"),
        json!({"level": 2, "commitment_hash": genesis}),
    );
    let origination = rollup.origination().await.unwrap();
    assert_eq!(origination.kernel, b"\0asm");
    node.says(
        &modern("genesis_info"),
        json!({"level": 3, "commitment_hash": genesis}),
    );
    let error = rollup.origination().await.unwrap_err();
    assert!(
        error.to_string().contains("give its kernel by file"),
        "{error}"
    );
}
