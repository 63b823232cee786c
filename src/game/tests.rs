use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::protocol::operation::{DissectionChunk, Proof, Refutation, Step};
use crate::protocol::{GameState, Level, StateHash, Tick};

const SNAPSHOT: u64 = 1_000;
const WASM: Machine = Machine::Wasm {
    ticks_per_snapshot: SNAPSHOT,
};

/// State of the honest machine at a tick: stuck from `stuck_at` on.
fn honest(tick: Tick, stuck_at: u128) -> Option<StateHash> {
    (tick.0 < stuck_at).then(|| {
        let mut bytes = [1; 32];
        bytes[..16].copy_from_slice(&tick.0.to_be_bytes());
        StateHash(bytes)
    })
}

/// State of a machine that goes wrong at `wrong_from`.
fn wrong(tick: Tick, wrong_from: u128) -> Option<StateHash> {
    honest(tick, u128::MAX).map(|mut hash| {
        if tick.0 >= wrong_from {
            hash.0[31] = 2;
        }
        hash
    })
}

fn dissection_of(
    machine: Machine,
    start: DissectionChunk,
    stop: DissectionChunk,
    at: impl Fn(Tick) -> Option<StateHash>,
) -> Vec<DissectionChunk> {
    let shape = Shape {
        start: start.tick,
        stop: stop.tick,
        sections: 32,
    };
    let mut chunks = vec![start];
    chunks.extend(
        interior_ticks(machine, &shape)
            .into_iter()
            .map(|tick| DissectionChunk {
                state: at(tick),
                tick,
            }),
    );
    chunks.push(stop);
    chunks
}

proptest! {
    /// Whatever interval is disputed, the honest dissection of it is accepted.
    #[test]
    fn our_dissections_are_accepted(start in 0..200_000_u128, distance in 2..200_000_u128, plain: bool, aligned: bool) {
        let machine = if plain { Machine::Plain } else { WASM };
        // Long disputes begin on a snapshot: every section of one does.
        let start = if distance > u128::from(SNAPSHOT) { start - start % u128::from(SNAPSHOT) } else { start };
        let distance = if aligned { distance.next_multiple_of(u128::from(SNAPSHOT)) } else { distance };
        let (start, stop) = (Tick(start), Tick(start + distance));
        let agreed = DissectionChunk { state: honest(start, u128::MAX), tick: start };
        let disputed = DissectionChunk { state: wrong(stop, 0), tick: stop };
        let ours = DissectionChunk { state: honest(stop, u128::MAX), tick: stop };
        let chunks = dissection_of(machine, agreed, ours, |tick| honest(tick, u128::MAX));
        let interval = Dissectable { start: agreed, stop: disputed, sections: 32 };
        prop_assert_eq!(check_dissection(machine, &interval, &chunks), Ok(()));
    }

    /// Honest player against a liar that goes wrong anywhere, both seats, down to the last tick:
    /// every move is accepted, the interval shrinks, and the proof is due at the very tick.
    #[test]
    fn the_game_narrows_to_the_first_wrong_tick(end in 2..300_000_u128, at in 0.0..1.0_f64, we_open: bool) {
        let wrong_from = 1 + ((end - 1) as f64 * at) as u128;
        let genesis = DissectionChunk { state: honest(Tick(0), u128::MAX), tick: Tick(0) };
        let claim = if we_open { wrong(Tick(end), wrong_from) } else { honest(Tick(end), u128::MAX) };
        let mut table = vec![
            genesis,
            DissectionChunk { state: claim, tick: Tick(end) },
            DissectionChunk { state: None, tick: Tick(end + 1) },
        ];
        let mut our_turn = we_open;
        for _ in 0..64 {
            let at = |tick: Tick| if our_turn { honest(tick, u128::MAX) } else { wrong(tick, wrong_from) };
            let section = choose(&table, |chunk| Ok::<_, ()>(at(chunk.tick))).unwrap().unwrap();
            let distance = section.stop.tick.0 - section.start.tick.0;
            if distance == 1 {
                prop_assert_eq!(section.stop.tick.0, wrong_from);
                return Ok(());
            }
            let ours = DissectionChunk { state: section.ours, tick: section.stop.tick };
            let next = dissection_of(WASM, section.start, ours, at);
            let stage = GameState::Dissecting { dissection: table.clone(), default_number_of_sections: 32 };
            let played = play(WASM, &stage, Player::Alice, section.start.tick, &Reply::Dissection(&next), &mut |_, _, _| Ok(false));
            prop_assert_eq!(played, Ok(Verdict::Continues(GameState::Dissecting { dissection: next.clone(), default_number_of_sections: 32 })));
            table = next;
            our_turn = !our_turn;
        }
        prop_assert!(false, "the game did not end");
    }
}

fn chunk(tick: u128, state: Option<u8>) -> DissectionChunk {
    DissectionChunk {
        state: state.map(|byte| StateHash([byte; 32])),
        tick: Tick(tick),
    }
}

#[test]
fn a_proof_wins_passes_the_turn_or_draws() {
    let dissecting = GameState::Dissecting {
        dissection: vec![chunk(0, Some(1)), chunk(1, Some(2)), chunk(3, None)],
        default_number_of_sections: 32,
    };
    let proof = |stage: &GameState, choice: u128, shown: bool| {
        play(
            WASM,
            stage,
            Player::Bob,
            Tick(choice),
            &Reply::Proof,
            &mut |_, _, _| Ok(shown),
        )
    };
    assert_eq!(
        proof(&dissecting, 0, true),
        Ok(Verdict::Lost(Player::Alice))
    );
    let last = GameState::FinalMove {
        agreed_start: chunk(0, Some(1)),
        refuted_stop: chunk(1, Some(2)),
    };
    assert_eq!(
        proof(&dissecting, 0, false),
        Ok(Verdict::Continues(last.clone()))
    );
    // A proof of a longer section counts as wrong even when it shows what it should.
    let wide = GameState::FinalMove {
        agreed_start: chunk(1, Some(2)),
        refuted_stop: chunk(3, None),
    };
    assert_eq!(proof(&dissecting, 1, true), Ok(Verdict::Continues(wide)));
    assert_eq!(
        proof(&dissecting, 2, true),
        Err(Refusal::ChoiceNotFound(Tick(2)))
    );
    assert_eq!(proof(&last, 77, true), Ok(Verdict::Lost(Player::Alice)));
    assert_eq!(proof(&last, 77, false), Ok(Verdict::Draw));
    let dissection = play(
        WASM,
        &last,
        Player::Bob,
        Tick(0),
        &Reply::Dissection(&[]),
        &mut |_, _, _| Ok(true),
    );
    assert_eq!(dissection, Err(Refusal::DissectingDuringFinalMove));
}

fn last_dissection() -> GameState {
    GameState::Dissecting {
        dissection: vec![chunk(0, Some(1)), chunk(1, Some(2))],
        default_number_of_sections: 32,
    }
}

fn final_move() -> GameState {
    GameState::FinalMove {
        agreed_start: chunk(0, Some(1)),
        refuted_stop: chunk(1, Some(2)),
    }
}

#[test]
fn clocks_count_as_the_chain_does() {
    let clock = Clock::start(Level::new(100), 20);
    assert_eq!(clock.deadline(Player::Bob), 120);
    assert_eq!(
        clock.time_out(Player::Bob, &last_dissection(), Level::new(120)),
        Err(TimeoutTooEarly { blocks_left: 0 })
    );
    assert_eq!(
        clock.time_out(Player::Bob, &last_dissection(), Level::new(121)),
        Ok(Outcome::Loser(Player::Bob))
    );
    assert_eq!(
        clock.time_out(Player::Bob, &final_move(), Level::new(121)),
        Ok(Outcome::Draw)
    );
    let moved = clock.moved(Player::Bob, Level::new(105));
    assert_eq!(
        (moved.alice, moved.bob, moved.last_turn),
        (20, 15, Level::new(105))
    );
    let late = moved.moved(Player::Bob, Level::new(130));
    assert_eq!(late.bob, -10);
    assert_eq!(late.blocks_left(Player::Bob, Level::new(130)), -10);
}

/// Shapes of our recipe as they were when they equalled every recorded dissection of the reference
/// player. `WATCHTOWER_BLESS=1` writes the file again, to be looked at before it is committed.
#[test]
fn shapes_stay_as_they_were() {
    const P: u128 = 50_000_000_000_000;
    let wasm = Machine::Wasm {
        ticks_per_snapshot: 50_000_000_000_000,
    };
    let intervals = [
        (Machine::Plain, 0, 629),
        (Machine::Plain, 19, 51),
        (Machine::Plain, 7, 9),
        (Machine::Plain, 0, 33),
        (wasm, 0, 30 * P),
        (wasm, 36 * P, 39 * P),
        (wasm, 0, 45 * P + 17),
        (wasm, 2 * P, 3 * P + 1),
        (wasm, P, 2 * P),
    ];
    let mut text = String::new();
    for (machine, start, stop) in intervals {
        let ticks = interior_ticks(
            machine,
            &Shape {
                start: Tick(start),
                stop: Tick(stop),
                sections: 32,
            },
        );
        let ticks: Vec<_> = ticks.iter().map(ToString::to_string).collect();
        let name = if machine == Machine::Plain {
            "plain"
        } else {
            "wasm"
        };
        text += &format!("{name} {start} to {stop}: {}\n", ticks.join(" "));
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/game/shapes.txt");
    if std::env::var_os("WATCHTOWER_BLESS").is_some() {
        std::fs::write(&golden, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(golden).unwrap());
}

#[test]
fn a_move_too_large_for_an_operation_is_not_made() {
    let of_size = |bytes: usize| Refutation::Move {
        choice: Tick(7),
        step: Step::Proof(Proof {
            pvm_step: vec![1; bytes],
            input_proof: None,
        }),
    };
    let around = fit(&of_size(0)).unwrap();
    let mut largest = 0;
    while fit(&of_size(largest + 64)).is_ok() {
        largest += 64;
    }
    // What is left must hold everything around a move, a BLS signature included.
    let size = fit(&of_size(largest)).unwrap();
    assert!(around < size && size < OPERATION_LIMIT - 130, "{size}");
    let refused = fit(&of_size(largest + 64));
    assert!(matches!(refused, Err(Unplayable::TooLarge { size, limit }) if size > limit));
}
