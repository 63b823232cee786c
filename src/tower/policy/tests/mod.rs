//! The policy against small worlds: what is wanted, in which order, and what never is.

mod money;
mod world;

use super::*;
use crate::config::Mode;
use crate::crypto::Dialect;
use crate::game;
use crate::protocol::operation::{Action, Refutation, Stakers, Step};
use crate::protocol::{
    Commitment, GameResult, GameState, Level, Mutez, Player, Protocol, PublicKeyHash, Tick,
};
use crate::tower::mode::Playing;
use crate::tower::stakes::Fact;

use world::{ME, PERIOD, ROLLUP, STAKE, TIMEOUT, WINDOW, World, level, who};

fn told(wish: &Wish) -> String {
    let account = |account: &PublicKeyHash| match account {
        PublicKeyHash::Tz1(bytes) => bytes[0],
        _ => 0,
    };
    match &wish.action {
        Action::Publish { commitment, .. } => {
            let periods = commitment.inbox_level.since(level(0)).unwrap() / PERIOD;
            format!("publish {periods}")
        }
        Action::Refute {
            opponent,
            refutation: Refutation::Start { .. } | Refutation::StartOnConflict,
            ..
        } => format!("open {}", account(opponent)),
        Action::Refute { opponent, .. } => format!("answer {}", account(opponent)),
        Action::Timeout { stakers, .. } => format!(
            "timeout {} {}",
            account(&stakers.alice()),
            account(&stakers.bob())
        ),
        Action::Cement { .. } => "cement".into(),
        Action::RecoverBond { .. } => "recover".into(),
        other => format!("{:?}", other.kind()),
    }
}

fn some_move() -> Answer {
    Answer::Move(Box::new(Refutation::Move {
        choice: Tick(0),
        step: Step::Dissection(Vec::new()),
    }))
}

/// Everything a world can ask for at once: a lie to contest, one to open against, a turn of ours,
/// an expired opponent, strangers to end.
fn busy(mode: Mode) -> World {
    let mut world = World::new(mode, 3);
    world.choices.ends_strangers_games = true;
    world.stand(1);
    world.lie(1, 1);
    world.lie(2, 1);
    world.lie(3, 1);
    world.lie(8, 1);
    let truth = world.truth(2);
    world.publish(9, truth);
    world.lie(4, 2);
    let position = world.play(ME, 1, 1, ME, 1000).position(&ROLLUP);
    world.answers.insert(position, some_move());
    world.play(ME, 2, 1, 2, 1000).clock.last_turn = Level::new(10);
    world.play(8, 9, 1, 8, 1000).clock.last_turn = Level::new(10);
    world
}

#[test]
fn each_mode_wants_what_its_row_allows_and_nothing_else() {
    let all = [
        "timeout 2 5",
        "publish 2",
        "answer 1",
        "open 3",
        "timeout 8 9",
    ];
    for (mode, expected) in [
        (Mode::Observe, vec![]),
        (Mode::Shadow, all.to_vec()),
        (Mode::Defend, all.to_vec()),
        (
            Mode::Operate,
            // Period 3 has no rival and no deadline: it goes out like the rest.
            vec![
                "timeout 2 5",
                "publish 2",
                "answer 1",
                "open 3",
                "publish 3",
                "timeout 8 9",
            ],
        ),
        (
            Mode::Bailout,
            vec!["timeout 2 5", "answer 1", "open 3", "timeout 8 9"],
        ),
    ] {
        let mut wishes = busy(mode).wishes();
        let mut expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        wishes.sort();
        expected.sort();
        assert_eq!(wishes, expected, "{mode}");
    }
}

#[test]
fn what_is_urgent_comes_first() {
    let mut world = busy(Mode::Defend);
    let plan = world.plan();
    assert!(plan.wishes.is_sorted_by_key(|wish| wish.slack));
    assert_eq!(plan.wishes.first().map(told).unwrap(), "timeout 2 5");
    // A clock nearly out moves its answer to the front.
    world.games[0].clock.last_turn = world.head.minus(TIMEOUT - 4).unwrap();
    let position = world.games[0].position(&ROLLUP);
    world.answers.insert(position, some_move());
    let plan = world.plan();
    let first = plan.wishes.first().unwrap();
    assert_eq!(told(first), "answer 1");
    assert_eq!(first.deadline, world.head.plus(4));
    assert!(first.slack < 0);
    assert!(matches!(
        plan.concerns.first(),
        Some(Concern::ClockInDanger { blocks_left: 4, .. })
    ));
}

#[test]
fn nothing_is_wanted_where_nothing_is_false() {
    let mut world = World::new(Mode::Defend, 3);
    for period in 1..=3 {
        let truth = world.truth(period);
        world.publish(1, truth);
    }
    let plan = world.plan();
    assert_eq!(plan.wishes, []);
    assert_eq!(plan.work, []);
    assert_eq!(plan.concerns, []);
}

#[test]
fn the_way_to_a_dispute_is_published_bottom_up() {
    let mut world = World::new(Mode::Defend, 3);
    // The liar is honest about the first two periods, then lies. Once it is slashed nobody would
    // hold them up, and our bond could not come home from above them.
    let (one, two) = (world.truth(1), world.truth(2));
    world.publish(1, one);
    world.publish(1, two);
    world.lie(1, 3);
    assert_eq!(world.wishes(), ["publish 1", "publish 2", "publish 3"]);
    world.publish(2, one);
    assert_eq!(world.wishes(), ["publish 2", "publish 3"], "2 holds up 1");
    world.publish(2, two);
    assert_eq!(world.wishes(), ["publish 3"]);
    // A false predecessor is where the fight is; what is built on it falls with it.
    let mut world = World::new(Mode::Defend, 3);
    let lie = world.lie(1, 1);
    let on_top = Commitment {
        predecessor: lie,
        ..world.truth(2)
    };
    world.publish(1, on_top);
    assert_eq!(world.wishes(), ["publish 1"]);
}

#[test]
fn games_open_only_from_a_stake_of_ours_and_when_the_protocol_lets_them() {
    let mut world = World::new(Mode::Defend, 1);
    let lie = world.lie(1, 1);
    let plan = world.plan();
    assert_eq!(
        plan.wishes.iter().map(told).collect::<Vec<_>>(),
        ["publish 1"]
    );
    assert_eq!(plan.waits.first().unwrap().reason, WaitReason::NotStakedYet);
    world.stand(1);
    assert_eq!(world.wishes(), ["open 1"]);
    let Action::Refute { refutation, .. } = world.plan().wishes.remove(0).action else {
        panic!("no opening");
    };
    assert_eq!(
        refutation,
        Refutation::Start {
            player_commitment: world.truth(1).hash(),
            opponent_commitment: lie
        }
    );
    world.protocol = Protocol::Ushuaia;
    let earliest = level(2);
    world.head = earliest.minus(2).unwrap();
    let reason = world.plan().waits.first().unwrap().reason;
    assert_eq!(reason, WaitReason::TooEarly(earliest));
    assert_eq!(world.wishes(), [""; 0]);
    // Decided one block before, included at the earliest level.
    world.head = earliest.minus(1).unwrap();
    assert_eq!(world.wishes(), ["open 1"]);
    world.dialect = Dialect::Scr1;
    world.head = earliest.minus(2).unwrap();
    let plan = world.plan();
    assert!(matches!(
        plan.wishes.first().unwrap().action,
        Action::Refute {
            refutation: Refutation::StartOnConflict,
            ..
        }
    ));
}

#[test]
fn openings_queue_behind_the_limit_of_both_sides() {
    let mut world = World::new(Mode::Defend, 2);
    world.stand(1);
    for liar in 10..16 {
        world.lie(liar, 1);
    }
    assert_eq!(world.wishes(), ["open 10", "open 11", "open 12"]);
    world.play(ME, 10, 1, 10, 1000);
    world.play(ME, 11, 1, 11, 1000);
    assert_eq!(world.wishes(), ["open 12"]);
    for other in 20..23 {
        world.play(12, other, 1, other, 1000);
    }
    // Opponent 12 plays as many as it may: the next one gets the place.
    assert_eq!(world.wishes(), ["open 13"]);
    let full = world.plan();
    let reasons: Vec<_> = full.waits.iter().map(|wait| wait.reason).collect();
    assert!(reasons.contains(&WaitReason::OpponentPlaysTooMany));
    assert!(reasons.contains(&WaitReason::WePlayTooMany));
}

#[test]
fn a_staker_who_lies_twice_is_played_once_at_the_lower_level() {
    let mut world = World::new(Mode::Defend, 2);
    let low = world.lie(1, 1);
    world.lie(1, 2);
    world.stand(1);
    world.stand(2);
    let plan = world.plan();
    let opened: Vec<_> = plan.wishes.iter().map(|wish| wish.purpose).collect();
    assert_eq!(opened, [Purpose::Open(low)]);
}

#[test]
fn stakes_need_consent_money_and_finality() {
    let mut world = World::new(Mode::Defend, 1);
    let lie = world.lie(1, 1);
    let ours = world.truth(1).hash();
    world.consents.clear();
    let plan = world.plan();
    assert_eq!(plan.wishes, []);
    assert_eq!(
        plan.work.first().map(|work| work.task.clone()),
        Some(Task::Consent {
            commitment: ours,
            level: level(1)
        })
    );
    world
        .consents
        .insert(ours, Consent::Refused("edges were touched".into()));
    let plan = world.plan();
    assert_eq!((plan.wishes.len(), plan.work.len()), (0, 0));
    assert_eq!(
        plan.concerns,
        [Concern::Abstained {
            commitment: lie,
            level: level(1),
            reason: "edges were touched".into()
        }]
    );
    world.consents.insert(ours, Consent::Given);
    world.account.balance = Mutez(STAKE);
    let plan = world.plan();
    assert_eq!(plan.wishes, []);
    assert!(matches!(
        plan.concerns[..],
        [Concern::CannotStake { balance: STAKE, .. }]
    ));
    world.account.balance = Mutez(STAKE * 2);
    world.head = level(1).plus(1).unwrap();
    assert_eq!(world.wishes(), [""; 0], "the level is not final yet");
    world.head = level(1).plus(2).unwrap();
    assert_eq!(world.wishes(), ["publish 1"]);
}

#[test]
fn publications_end_with_the_curfew() {
    let mut world = World::new(Mode::Defend, 1);
    let commitment = world.lie(1, 1);
    // First published two blocks above its level: the last useful level is that plus the window,
    // less one, since cementing is possible in the very block.
    let curfew = level(1).plus(2 + WINDOW - 1).unwrap();
    world.head = curfew.minus(1).unwrap();
    let plan = world.plan();
    let wish = plan.wishes.first().unwrap();
    assert_eq!((wish.deadline, wish.slack), (Some(curfew), 0));
    world.head = curfew.plus(1).unwrap();
    let plan = world.plan();
    assert_eq!(plan.wishes, []);
    assert_eq!(
        plan.concerns,
        [Concern::CurfewMissed {
            commitment,
            level: level(1)
        }]
    );
}

#[test]
fn a_clock_is_called_at_the_first_level_the_chain_accepts_it_and_never_against_ourselves() {
    let mut world = World::new(Mode::Defend, 1);
    world.stand(1);
    world.lie(1, 1);
    let last_turn = world.head;
    world.play(ME, 1, 1, 1, 1000);
    world.head = last_turn.plus(TIMEOUT - 1).unwrap();
    assert_eq!(world.wishes(), [""; 0]);
    assert!(matches!(
        world.plan().work[..],
        [Work {
            task: Task::Prepare { .. },
            ..
        }]
    ));
    // Included one block later, beyond the budget.
    world.head = last_turn.plus(TIMEOUT).unwrap();
    assert_eq!(world.wishes(), ["timeout 1 5"]);
    // Our proof was refused: a timeout would be a draw.
    let GameState::Dissecting { dissection, .. } = world.games[0].game.state.clone() else {
        panic!("not dissecting");
    };
    world.games[0].game.state = GameState::FinalMove {
        agreed_start: dissection[0],
        refuted_stop: dissection[1],
    };
    let plan = world.plan();
    assert_eq!(plan.wishes, []);
    assert!(matches!(plan.concerns[..], [Concern::ProofRejected { .. }]));
    // Our own turn, our own clock out: we still move.
    world.games[0].game.turn = Player::Bob;
    let position = world.games[0].position(&ROLLUP);
    world.answers.insert(position, some_move());
    assert_eq!(world.wishes(), ["answer 1"]);
}

#[test]
fn strangers_are_timed_out_only_when_whoever_loses_lies() {
    let setup = |turn: u8, ends: bool, is_final: bool| {
        let mut world = World::new(Mode::Defend, 1);
        world.choices.ends_strangers_games = ends;
        let truth = world.truth(1);
        world.publish(8, truth);
        world.lie(9, 1);
        world.account.is_bonded = false;
        let game = world.play(8, 9, 1, turn, 1000);
        game.clock.last_turn = Level::new(10);
        if is_final {
            let GameState::Dissecting { dissection, .. } = game.game.state.clone() else {
                panic!("not dissecting");
            };
            game.game.state = GameState::FinalMove {
                agreed_start: dissection[0],
                refuted_stop: dissection[1],
            };
        }
        world
            .wishes()
            .into_iter()
            .filter(|wish| wish.starts_with("timeout"))
            .count()
    };
    assert_eq!(setup(9, true, false), 1, "the liar is late");
    assert_eq!(setup(8, true, false), 0, "the honest one is late");
    assert_eq!(setup(9, true, true), 0, "both would be slashed");
    assert_eq!(setup(9, false, false), 0, "not asked for");
}

#[test]
fn an_answer_is_computed_once_and_then_wanted_until_the_position_changes() {
    let mut world = World::new(Mode::Defend, 1);
    world.stand(1);
    world.lie(1, 1);
    let position = world.play(ME, 1, 1, ME, 1 << 40).position(&ROLLUP);
    let plan = world.plan();
    assert_eq!(plan.wishes, []);
    assert_eq!(
        plan.work.first().unwrap().task,
        Task::Answer {
            opponent: who(1),
            position
        }
    );
    world.answers.insert(position, some_move());
    assert_eq!(world.wishes(), ["answer 1"]);
    assert_eq!(world.wishes(), ["answer 1"], "wanted as long as it is due");
    world
        .answers
        .insert(position, Answer::NotPlayable("it asks for a page".into()));
    let plan = world.plan();
    assert_eq!(plan.wishes, []);
    assert!(matches!(plan.concerns[..], [Concern::NotPlayable { .. }]));
    // The opponent's next position is another one.
    world.games[0].game.turn = Player::Alice;
    assert_ne!(world.games[0].position(&ROLLUP), position);
}

#[test]
fn a_stake_on_anything_but_the_truth_freezes_everything() {
    let mut world = World::new(Mode::Operate, 2);
    world.lie(ME, 1);
    let plan = world.plan();
    assert_eq!(plan.hold, Some(Hold::Contradiction));
    assert!(matches!(
        plan.concerns.first(),
        Some(Concern::Contradiction { .. })
    ));
    // Whatever else holds: standing by, which a clock can end, must not stand in its place.
    for (before, expected) in [
        (Hold::StandBy, Hold::Contradiction),
        (Hold::Contradiction, Hold::Contradiction),
        (Hold::Brake, Hold::Brake),
    ] {
        world.hold = Some(before);
        assert_eq!(world.plan().hold, Some(expected));
    }
}

#[test]
fn what_our_bond_rests_on_is_held_up_while_it_lies_there() {
    let mut world = World::new(Mode::Defend, 3);
    world.stand(2);
    assert_eq!(world.wishes(), ["publish 1"], "and nothing above it");
    world.stand(1);
    assert_eq!(world.wishes(), [""; 0]);
}

#[test]
fn nothing_is_published_on_top_of_a_false_finality() {
    let mut world = World::new(Mode::Defend, 2);
    let lie = world.lie(1, 1);
    world.stakes.apply(&Fact::Cemented {
        level: level(1),
        hash: Some(lie),
    });
    world.lie(2, 2);
    let plan = world.plan();
    assert_eq!(plan.wishes, []);
    assert_eq!(plan.concerns, [Concern::FalseFinality { level: level(1) }]);
}

/// How a stake may be gone, as the chain then ends the game.
fn forfeits(stakers: &Stakers) -> [Option<GameResult>; 4] {
    let me = who(ME);
    let them = who(1);
    let gone = |lost: &'static [u8]| {
        game::forfeited(stakers, |staker| {
            !lost.iter().any(|byte| *staker == who(*byte))
        })
    };
    let all = [gone(&[]), gone(&[1]), gone(&[ME]), gone(&[1, ME])];
    assert_eq!(all[0], None);
    for (end, loser) in [(&all[1], them), (&all[2], me)] {
        assert!(matches!(end, Some(GameResult::Loser { loser: found, .. }) if *found == loser));
    }
    all
}

/// One game of ours in every mode, turn, stage, with every answer, stake and clock there is.
#[test]
fn in_every_position_of_a_game_exactly_what_helps_is_wanted() {
    let answers = [
        None,
        Some(some_move()),
        Some(Answer::Indefensible("nothing was agreed".into())),
        Some(Answer::NotPlayable("it asks for a page".into())),
    ];
    let mut seen = [0_u32; 5];
    for mode in Mode::ALL {
        for turn in [ME, 1] {
            for is_final in [false, true] {
                for answer in &answers {
                    for forfeit in 0..4 {
                        for passed in [0, 1, TIMEOUT - 1, TIMEOUT, TIMEOUT + 1, TIMEOUT * 2] {
                            let mut world = World::new(mode, 1);
                            world.stand(1);
                            world.lie(1, 1);
                            let started = world.head;
                            let game = world.play(ME, 1, 1, turn, 1000);
                            if is_final {
                                game.game.state = final_move(&game.game.state);
                            }
                            game.forfeit = forfeits(&game.stakers)[forfeit];
                            let position = game.position(&ROLLUP);
                            if let Some(answer) = answer {
                                world.answers.insert(position, answer.clone());
                            }
                            world.head = started.plus(passed).unwrap();
                            let kind = check_position(&world, turn == ME, answer.as_ref(), passed);
                            seen[kind] += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

fn final_move(state: &GameState) -> GameState {
    let GameState::Dissecting { dissection, .. } = state else {
        panic!("it is final already");
    };
    GameState::FinalMove {
        agreed_start: dissection[0],
        refuted_stop: dissection[1],
    }
}

/// Checks the plan of a world with one game; which case it was.
fn check_position(world: &World, is_ours: bool, answer: Option<&Answer>, passed: u32) -> usize {
    let plan = world.plan();
    let game = &world.games[0];
    let can = world.mode.capabilities();
    let said = format!("{:?} {is_ours} {game:?} {answer:?} {passed}", world.mode);
    let in_game =
        |wish: &&Wish| matches!(wish.action, Action::Refute { .. } | Action::Timeout { .. });
    let wishes: Vec<_> = plan.wishes.iter().filter(in_game).collect();
    let work: Vec<_> = plan
        .work
        .iter()
        .filter(|work| matches!(work.task, Task::Answer { .. } | Task::Prepare { .. }))
        .collect();
    let seat = game.seat(&who(ME)).unwrap();
    if !can.decides || (is_ours && can.plays == Playing::Never) {
        assert!(wishes.is_empty() && work.is_empty(), "{said}");
        return 0;
    }
    if !is_ours {
        // The timeout would be in the block after the head.
        let expired = passed >= TIMEOUT && !game.is_final_move() && can.times_out;
        let wanted: Vec<_> = wishes.iter().map(|wish| told(wish)).collect();
        let expected = if expired {
            vec!["timeout 1 5".to_owned()]
        } else {
            vec![]
        };
        assert_eq!(wanted, expected, "{said}");
        let rejected = |concern: &Concern| matches!(concern, Concern::ProofRejected { .. });
        assert_eq!(
            plan.concerns.iter().any(rejected),
            game.is_final_move(),
            "{said}"
        );
        return 1;
    }
    if game.is_forfeited_to(seat) {
        let [wish] = wishes.as_slice() else {
            panic!("{said}: {wishes:?}");
        };
        let bare = matches!(&wish.action, Action::Refute {
            refutation: Refutation::Move { step: Step::Dissection(chunks), .. },
            ..
        } if chunks.is_empty());
        assert!(
            bare && matches!(wish.purpose, Purpose::TakeForfeit(_)),
            "{said}"
        );
        assert!(work.is_empty(), "nothing needs to be computed: {said}");
        return 2;
    }
    if let Some(Answer::Indefensible(_)) = answer {
        assert!(
            wishes.is_empty() && work.is_empty(),
            "it is waited out: {said}"
        );
        let ends = game.clock.deadline(seat);
        let tells = |concern: &Concern| matches!(concern, Concern::Indefensible { clock_ends, .. } if *clock_ends == ends);
        assert!(plan.concerns.iter().any(tells), "{said}");
        assert!(
            plan.waits
                .iter()
                .any(|wait| wait.reason == WaitReason::NothingWins),
            "{said}"
        );
        return 3;
    }
    // Late or not, a move is made as long as the game is there.
    assert_eq!(
        wishes.len(),
        usize::from(matches!(answer, Some(Answer::Move(_)))),
        "{said}"
    );
    assert_eq!(work.len(), usize::from(answer.is_none()), "{said}");
    4
}
