use super::{claim, context_at, genesis, page_proof};
use crate::crypto::Signature;
use crate::protocol::operation::{
    Action, Operation, Proof, Refutation, SignedOperation, Stakers, Step,
};
use crate::protocol::{
    BlockHash, CommitmentHash, Counter, Level, Mutez, Protocol, PublicKeyHash, RollupAddress,
    StateHash, Tick,
};
use crate::sim::acts::content;
use crate::sim::context::Context;
use crate::sim::errors::Trace;
use crate::sim::ledger::Owner;
use crate::sim::rules::dissection::chunk;
use crate::sim::rules::filter::Filter;
use crate::sim::rules::{game, stake};

fn id<T: std::fmt::Debug>(result: Result<T, Trace>) -> &'static str {
    result.unwrap_err().first().unwrap().id()
}

struct Dispute {
    context: Context,
    rollup: RollupAddress,
    right: (PublicKeyHash, CommitmentHash),
    wrong: (PublicKeyHash, CommitmentHash),
    third: PublicKeyHash,
}

/// Two stakers on siblings of inbox level 12, at a level where a game may open.
fn dispute(protocol: Protocol) -> Dispute {
    let (mut context, rollup, people) = context_at(protocol, 22);
    let root = genesis(&context, &rollup);
    let (right, wrong) = (claim(root, 12, 1), claim(root, 12, 2));
    stake::publish(&mut context, rollup, people[1], &right).unwrap();
    stake::publish(&mut context, rollup, people[2], &wrong).unwrap();
    Dispute {
        context,
        rollup,
        right: (people[1], right.hash()),
        wrong: (people[2], wrong.hash()),
        third: people[3],
    }
}

/// An acceptable dissection of 1,000 ticks, with states named by `state`.
fn dissection(dispute: &Dispute, ticks: u128, state: u8) -> Step {
    let root = dispute
        .context
        .rollup(&dispute.rollup)
        .unwrap()
        .last_cemented()
        .unwrap()
        .compressed_state;
    let mut chunks = vec![chunk(Some(root), Tick(0))];
    let step = ticks / 32;
    chunks.extend((1..32).map(|n| chunk(Some(StateHash([state; 32])), Tick(n * step))));
    chunks.push(chunk(
        Some(StateHash([state.wrapping_add(1); 32])),
        Tick(ticks),
    ));
    Step::Dissection(chunks)
}

#[test]
fn an_opening_is_judged_in_order() {
    let Dispute {
        context,
        rollup,
        right,
        wrong,
        third,
    } = dispute(Protocol::Ushuaia);
    let open = |one, other| game::open(&mut context.clone(), rollup, one, other);
    assert_eq!(id(open(right, (third, wrong.1))), "smart_rollup_not_staked");
    assert_eq!(
        id(open(right, (wrong.0, right.1))),
        "smart_rollup_wrong_staker_for_conflict_commitment"
    );
    assert!(open(right, wrong).is_ok());
    let mut opened = context.clone();
    game::open(&mut opened, rollup, right, wrong).unwrap();
    assert_eq!(
        id(game::open(&mut opened, rollup, wrong, right)),
        "smart_rollup_game_already_started"
    );
    let mut limited = context.clone();
    let mut parameters = (*limited.parameters).clone();
    parameters.rollup.max_parallel_games = 0;
    limited.parameters = parameters.into();
    assert_eq!(
        id(game::open(&mut limited, rollup, right, wrong)),
        "smart_rollup_maximal_number_of_parallel_games_reached"
    );
    let mut same = context.clone();
    stake::publish(
        &mut same,
        rollup,
        third,
        &claim(genesis(&context, &rollup), 12, 1),
    )
    .unwrap();
    assert_eq!(
        id(game::open(&mut same, rollup, right, (third, right.1))),
        "smart_rollup_no_conflict"
    );
    // Different commitments of different levels, or on different parents, are no conflict.
    let mut apart = context;
    apart.level = Level::new(23);
    let above = claim(right.1, 22, 3);
    stake::publish(&mut apart, rollup, third, &above).unwrap();
    assert_eq!(
        id(game::open(&mut apart, rollup, wrong, (third, above.hash()))),
        "smart_rollup_not_valid_commitments_conflict"
    );
}

#[test]
fn since_ushuaia_an_opening_may_be_too_early_to_enter_a_block() {
    let mut early = dispute(Protocol::Ushuaia);
    early.context.level = Level::new(21);
    let told =
        |d: &Dispute| game::check_opening_before_inclusion(&d.context, &d.rollup, d.right, d.wrong);
    let trace = told(&early).unwrap_err();
    assert_eq!(
        trace.json(Protocol::Ushuaia).to_string(),
        concat!(
            r#"[{"kind":"temporary","id":"proto.025-PsUshuai.validate.operation.sc_rollup_refutation_game_start_too_early","#,
            r#""current_level":21,"earliest_start_level":22,"conflict_inbox_level":12,"commitment_period_in_blocks":10}]"#
        )
    );
    early.context.level = Level::new(22);
    assert!(told(&early).is_ok());
    early.context.protocol = Protocol::Tallinn;
    early.context.level = Level::new(13);
    assert!(told(&early).is_ok());
}

#[test]
fn turns_alternate_and_clocks_run_for_the_mover_only() {
    let mut d = dispute(Protocol::Ushuaia);
    game::open(&mut d.context, d.rollup, d.right, d.wrong).unwrap();
    let (refuter, defender) = (d.right.0, d.wrong.0);
    let step = dissection(&d, 1_000, 5);
    assert_eq!(
        id(game::play(
            &mut d.context.clone(),
            d.rollup,
            defender,
            refuter,
            Tick(0),
            &step
        )),
        "smart_rollup_wrong_turn"
    );
    assert_eq!(
        id(game::play(
            &mut d.context.clone(),
            d.rollup,
            refuter,
            d.third,
            Tick(0),
            &step
        )),
        "smart_rollup_no_game"
    );
    assert_eq!(
        id(game::play(
            &mut d.context.clone(),
            d.rollup,
            refuter,
            defender,
            Tick(7),
            &step
        )),
        "Dissection_choice_not_found"
    );
    d.context.level = Level::new(25);
    game::play(&mut d.context, d.rollup, refuter, defender, Tick(0), &step).unwrap();
    let players = Stakers::new(refuter, defender);
    let clock = d.context.rollup(&d.rollup).unwrap().timeouts[&players];
    let (mine, theirs) = if players.alice() == refuter {
        (clock.alice, clock.bob)
    } else {
        (clock.bob, clock.alice)
    };
    assert_eq!((mine, theirs, clock.last_turn), (17, 20, Level::new(25)));
    assert_eq!(
        id(game::play(
            &mut d.context,
            d.rollup,
            refuter,
            defender,
            Tick(0),
            &step
        )),
        "smart_rollup_wrong_turn"
    );
}

#[test]
fn the_clock_ends_a_game_one_block_after_the_budget() {
    let mut d = dispute(Protocol::Ushuaia);
    game::open(&mut d.context, d.rollup, d.right, d.wrong).unwrap();
    let players = Stakers::new(d.right.0, d.wrong.0);
    d.context.level = Level::new(42);
    let trace = game::timeout(&mut d.context.clone(), d.rollup, players).unwrap_err();
    let json = trace.json(Protocol::Ushuaia);
    assert_eq!(
        json[0]["id"],
        "proto.025-PsUshuai.smart_rollup_timeout_level_not_reached"
    );
    assert_eq!(json[0]["level_timeout"], 0);
    assert_eq!(json[0]["staker"], d.right.0.to_string());
    d.context.level = Level::new(43);
    let winner = Owner::Implicit(d.wrong.0);
    let before = d.context.ledger.balance(winner);
    let played = game::timeout(&mut d.context, d.rollup, players).unwrap();
    assert_eq!(
        played.status_json().to_string(),
        format!(
            r#"{{"result":{{"kind":"loser","reason":"timeout","player":"{}"}}}}"#,
            d.right.0
        )
    );
    let reward = Mutez(5_000_000_000);
    assert_eq!(
        d.context.ledger.balance(winner),
        before.plus(reward).unwrap()
    );
    let stored = d.context.rollup(&d.rollup).unwrap();
    assert!(stored.games.is_empty() && stored.timeouts.is_empty());
    assert!(stored.index_of(&d.right.0).is_err());
    assert_eq!(played.movements.len(), 2);
}

#[test]
fn a_player_slashed_elsewhere_forfeits_without_reward() {
    let mut d = dispute(Protocol::Ushuaia);
    game::open(&mut d.context, d.rollup, d.right, d.wrong).unwrap();
    stake::slash(&mut d.context, d.rollup, d.wrong.0).unwrap();
    let step = dissection(&d, 1_000, 5);
    let played = game::play(
        &mut d.context,
        d.rollup,
        d.right.0,
        d.wrong.0,
        Tick(0),
        &step,
    )
    .unwrap();
    assert_eq!(
        played.outcome,
        Some(game::Outcome::Loser(
            d.wrong.0,
            game::Reason::ConflictResolved
        ))
    );
    assert!(played.movements.is_empty());
}

#[test]
fn conflicts_are_found_by_walking_the_current_period() {
    let d = dispute(Protocol::Ushuaia);
    let found = |level: u16| {
        let mut context = d.context.clone();
        context.level = Level::new(level);
        game::first_conflict(&context, &d.rollup, &d.right.0, &d.wrong.0)
    };
    assert_eq!(found(13), Ok(Some((d.right.1, d.wrong.1))));
    assert_eq!(found(12), Ok(None));
}

/// A game in its final move, which the side that owes the second proof lets pass.
fn undecided(protocol: Protocol) -> (Dispute, Stakers) {
    let mut d = dispute(protocol);
    game::open(&mut d.context, d.rollup, d.right, d.wrong).unwrap();
    let players = Stakers::new(d.right.0, d.wrong.0);
    let game = d.context.rollup_mut(&d.rollup).unwrap();
    let game = game.games.get_mut(&players).unwrap();
    let game::State::Dissecting { dissection, .. } = &game.state else {
        panic!("a game begins with a dissection");
    };
    game.state = game::State::FinalMove {
        agreed_start: dissection[0],
        refuted_stop: dissection[1],
    };
    d.context.level = Level::new(43);
    (d, players)
}

#[test]
fn a_final_move_is_no_dissection() {
    let (mut d, players) = undecided(Protocol::Ushuaia);
    let game = &d.context.rollup(&d.rollup).unwrap().games[&players];
    let (mover, other) = match game::staker_on(&players, game.turn) {
        turn if turn == d.right.0 => (d.right.0, d.wrong.0),
        _ => (d.wrong.0, d.right.0),
    };
    let step = dissection(&d, 1_000, 5);
    let played = game::play(&mut d.context, d.rollup, mover, other, Tick(0), &step);
    assert_eq!(id(played), "Dissecting_during_final_move");
}

#[test]
fn a_final_move_that_nobody_makes_is_a_draw_and_both_are_slashed() {
    let (mut d, players) = undecided(Protocol::Ushuaia);
    let played = game::timeout(&mut d.context, d.rollup, players).unwrap();
    assert_eq!(played.outcome, Some(game::Outcome::Draw));
    assert_eq!(played.movements.len(), 2, "two bonds, no reward");
    let stored = d.context.rollup(&d.rollup).unwrap();
    assert!(stored.games.is_empty() && stored.staker_index.is_empty());
}

#[test]
fn until_oxford_a_draw_left_its_game_and_the_migration_cleaned_it() {
    let (mut d, players) = undecided(Protocol::Nairobi);
    game::timeout(&mut d.context, d.rollup, players).unwrap();
    let stored = d.context.rollup(&d.rollup).unwrap();
    assert!(stored.games.contains_key(&players) && stored.staker_index.is_empty());
    // Its clock is gone, and looked for.
    let trace = game::timeout(&mut d.context, d.rollup, players).unwrap_err();
    let told = trace.json(Protocol::Nairobi);
    let key = told[0]["missing_key"].as_array().unwrap();
    let (alice, bob) = (players.alice().to_string(), players.bob().to_string());
    assert_eq!(key[3..], ["game_timeout", &alice, &bob, "len"]);
    // Its next move finds both stakes gone and wants to take them all the same.
    let step = dissection(&d, 1_000, 5);
    assert_eq!(
        id(game::play(
            &mut d.context,
            d.rollup,
            d.right.0,
            d.wrong.0,
            Tick(0),
            &step
        )),
        "smart_rollup_not_staked"
    );
    let parameters = d.context.parameters.clone();
    d.context.migrate(Protocol::Oxford, parameters);
    assert!(d.context.rollup(&d.rollup).unwrap().games.is_empty());
}

#[test]
fn a_staker_who_beat_two_is_rewarded_for_each_and_their_own_game_is_a_draw() {
    let mut d = dispute(Protocol::Ushuaia);
    let root = genesis(&d.context, &d.rollup);
    let other = (d.third, claim(root, 12, 3));
    stake::publish(&mut d.context, d.rollup, other.0, &other.1).unwrap();
    let other = (other.0, other.1.hash());
    for (one, two) in [(d.right, d.wrong), (d.right, other), (d.wrong, other)] {
        game::open(&mut d.context, d.rollup, two, one).unwrap();
    }
    d.context.level = Level::new(43);
    let winner = Owner::Implicit(d.right.0);
    let before = d.context.ledger.balance(winner);
    for loser in [d.wrong.0, d.third] {
        let players = Stakers::new(d.right.0, loser);
        let played = game::timeout(&mut d.context, d.rollup, players).unwrap();
        let expected = game::Outcome::Loser(loser, game::Reason::Timeout);
        assert_eq!(played.outcome, Some(expected));
    }
    let rewards = Mutez(10_000_000_000);
    let after = d.context.ledger.balance(winner);
    assert_eq!(after, before.plus(rewards).unwrap());
    let step = dissection(&d, 1_000, 5);
    let played = game::play(&mut d.context, d.rollup, d.third, d.wrong.0, Tick(0), &step).unwrap();
    assert_eq!(played.outcome, Some(game::Outcome::Draw));
    assert!(played.movements.is_empty());
}

/// What the plugins of Tallinn and later keep out of blocks.
#[test]
fn bakers_leave_out_early_proofs_and_second_moves_of_a_game() {
    let mut d = dispute(Protocol::Ushuaia);
    game::open(&mut d.context, d.rollup, d.right, d.wrong).unwrap();
    let (one, other) = (d.right.0, d.wrong.0);
    let signed = |source, opponent, step: &Step| {
        let refutation = Refutation::Move {
            choice: Tick(0),
            step: step.clone(),
        };
        let refute = Action::Refute {
            rollup: d.rollup,
            opponent,
            refutation,
        };
        SignedOperation {
            operation: Operation {
                branch: BlockHash([0; 32]),
                contents: vec![content(Protocol::Ushuaia, source, Counter(1), refute)],
            },
            signature: Signature::ABSENT,
        }
    };
    let proof = Step::Proof(Proof {
        pvm_step: Vec::new(),
        input_proof: None,
    });
    let step = dissection(&d, 1_000, 5);
    let admitted = |context: &Context| {
        let mut filter = Filter::new(context);
        [
            filter.admits(&signed(one, other, &proof)),
            filter.admits(&signed(one, other, &step)),
            filter.admits(&signed(other, one, &step)),
        ]
    };
    assert_eq!(admitted(&d.context), [false, true, false]);
    let page = |published_level| {
        let proof = page_proof(published_level);
        signed(other, one, &Step::Proof(proof))
    };
    // On no game, so that only the page speaks against it; the block is that of level 23.
    let mut other_game = d.context.clone();
    let stored = other_game.rollup_mut(&d.rollup).unwrap();
    stored.games.clear();
    let admits = |published| Filter::new(&other_game).admits(&page(Level::new(published)));
    assert_eq!([admits(23), admits(24)], [true, false]);
    let mut earlier = d.context.clone();
    earlier.protocol = Protocol::Seoul;
    assert_eq!(admitted(&earlier), [true; 3]);
}
