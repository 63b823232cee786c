//! Games on the chain: our turns answered, silent opponents timed out, strangers where it is safe.

use super::facts::{Answer, SeenGame, Situation};
use super::plan::{Concern, NO_HURRY, Plan, Purpose, Task, Wait, WaitReason, Wish, Work};
use crate::game::{self, Machine, Outcome};
use crate::journal::Judgement;
use crate::protocol::operation::{Action, Refutation, Step};
use crate::protocol::{GameState, Level, Player, PublicKeyHash, Tick};
use crate::tower::mode::Playing;

pub(super) fn play(situation: &Situation<'_>, plan: &mut Plan) {
    let can = situation.mode.capabilities();
    for (game, seat) in situation.our_games() {
        let opponent = game.stakers.account(seat.opponent());
        if game.game.turn == seat {
            // A game that involves us is answered, whatever else is true.
            if can.plays != Playing::Never {
                answer(situation, game, seat, opponent, plan);
            }
        } else {
            watch(situation, game, seat, opponent, plan);
        }
    }
    if can.times_out && situation.choices.ends_strangers_games {
        let me = situation.me();
        let strangers = situation.games.iter().filter(|g| g.seat(&me).is_none());
        plan.wishes
            .extend(strangers.filter_map(|game| end_strangers(situation, game)));
    }
}

/// Blocks on our clock that can be lost without losing the game by the clock.
pub(crate) fn our_slack(
    game: &SeenGame,
    seat: Player,
    head: Level,
    machine: Machine,
    blocks_per_move: u32,
) -> i64 {
    let left = game::moves_left(machine, &game.game, seat);
    game::slack(&game.clock, &game.game, seat, head, left, blocks_per_move)
}

fn answer(
    situation: &Situation<'_>,
    game: &SeenGame,
    seat: Player,
    opponent: PublicKeyHash,
    plan: &mut Plan,
) {
    let position = game.position(&situation.rollup);
    if game.is_forfeited_to(seat) {
        plan.wishes.push(take_forfeit(situation, game, seat));
        return;
    }
    if let Some(Answer::Indefensible(reason)) = situation.answers.get(&position) {
        // A move draws, and so does the end of our clock: what is left is that the opponent may
        // lose its stake to somebody else before either.
        plan.concerns.push(Concern::Indefensible {
            opponent,
            start: game.game.start_level,
            clock_ends: game.clock.deadline(seat),
            reason: reason.clone(),
        });
        plan.waits.push(Wait {
            purpose: Purpose::Answer(position),
            opponent: Some(opponent),
            reason: WaitReason::NothingWins,
        });
        return;
    }
    let slack = our_slack(
        game,
        seat,
        situation.head,
        Machine::of(situation.protocol),
        situation.choices.blocks_per_move,
    );
    let start = game.game.start_level;
    if slack < 0 {
        plan.concerns.push(Concern::ClockInDanger {
            opponent,
            start,
            blocks_left: game.clock.blocks_left(seat, situation.head),
        });
    }
    match situation.answers.get(&position) {
        Some(Answer::Move(refutation)) => plan.wishes.push(Wish {
            action: Action::Refute {
                rollup: situation.rollup,
                opponent,
                refutation: (**refutation).clone(),
            },
            purpose: Purpose::Answer(position),
            deadline: Level::try_from(game.clock.deadline(seat)).ok(),
            slack,
        }),
        Some(Answer::NotPlayable(reason) | Answer::Indefensible(reason)) => {
            plan.concerns.push(Concern::NotPlayable {
                opponent,
                start,
                reason: reason.clone(),
            });
        }
        None => {
            plan.work.push(Work {
                task: Task::Answer { opponent, position },
                slack,
            });
            plan.waits.push(Wait {
                purpose: Purpose::Answer(position),
                opponent: Some(opponent),
                reason: WaitReason::Computing,
            });
        }
    }
}

/// An opponent without a stake has lost: layer 1 looks at the stakes before it looks at the move. So
/// the move, where none is known yet, is one that asserts nothing and that costs nothing to find;
/// were the opponent staked again by then, layer 1 would refuse it and the game would stand as it is.
fn take_forfeit(situation: &Situation<'_>, game: &SeenGame, seat: Player) -> Wish {
    let position = game.position(&situation.rollup);
    let known = match situation.answers.get(&position) {
        Some(Answer::Move(refutation)) => Some((**refutation).clone()),
        _ => None,
    };
    let choice = match &game.game.state {
        GameState::Dissecting { dissection, .. } => dissection.first().map(|chunk| chunk.tick),
        GameState::FinalMove { agreed_start, .. } => Some(agreed_start.tick),
    };
    Wish {
        action: Action::Refute {
            rollup: situation.rollup,
            opponent: game.stakers.account(seat.opponent()),
            refutation: known.unwrap_or_else(|| Refutation::Move {
                choice: choice.unwrap_or(Tick(0)),
                step: Step::Dissection(Vec::new()),
            }),
        },
        purpose: Purpose::TakeForfeit(position),
        deadline: Level::try_from(game.clock.deadline(seat)).ok(),
        slack: game.clock.blocks_left(seat, situation.head),
    }
}

/// The opponent's turn: its clock, and what it may answer.
fn watch(
    situation: &Situation<'_>,
    game: &SeenGame,
    seat: Player,
    opponent: PublicKeyHash,
    plan: &mut Plan,
) {
    if game.is_final_move() {
        // The chain refused our proof. A timeout now would slash us too.
        plan.concerns.push(Concern::ProofRejected {
            opponent,
            start: game.game.start_level,
        });
        return;
    }
    let turn = seat.opponent();
    let ends = game
        .clock
        .time_out(turn, &game.game.state, situation.next_block());
    match ends {
        Ok(Outcome::Loser(_)) if situation.mode.capabilities().times_out => {
            plan.wishes.push(Wish {
                action: Action::Timeout {
                    rollup: situation.rollup,
                    stakers: game.stakers,
                },
                purpose: Purpose::TakeByClock,
                deadline: None,
                // The opponent may still move, so it is worth being first.
                slack: 0,
            });
        }
        _ => plan.work.push(Work {
            task: Task::Prepare {
                opponent,
                position: game.position(&situation.rollup),
            },
            slack: NO_HURRY,
        }),
    }
}

/// Ends a game between others only when everyone it would slash is known to lie.
fn end_strangers(situation: &Situation<'_>, game: &SeenGame) -> Option<Wish> {
    let turn = game.game.turn;
    let outcome = game
        .clock
        .time_out(turn, &game.game.state, situation.next_block())
        .ok()?;
    let lies = |seat: Player| {
        let account = game.stakers.account(seat);
        matches!(
            situation.thought_of(&account, game.game.inbox_level),
            Some(Judgement::False { .. })
        )
    };
    let is_harmless = match outcome {
        Outcome::Loser(loser) => lies(loser),
        Outcome::Draw => lies(Player::Alice) && lies(Player::Bob),
    };
    is_harmless.then_some(Wish {
        action: Action::Timeout {
            rollup: situation.rollup,
            stakers: game.stakers,
        },
        purpose: Purpose::EndStrangers,
        deadline: None,
        slack: NO_HURRY,
    })
}
