//! Games that the protocol itself judged, judged again by this chain; then the same with every kind
//! of damage done to their deciding moves.

use std::path::Path;

use serde::Deserialize;

use super::recorded::{Setup, chain, commitment, files, vectors};
use crate::check::Lines;
use crate::codec::{Reader, Writer};
use crate::crypto::Dialect;
use crate::protocol::operation::{
    Action, Content, DissectionChunk, Form, InputProof, Proof, Refutation, RevealProof, Stakers,
    Step,
};
use crate::protocol::{
    Game as ShownGame, GameResult, HistoryCell, Inbox, Level, Mutez, Protocol, PublicKeyHash,
    RollupAddress, StateHash, Tick,
};
use crate::sim::context::Context;
use crate::sim::errors::{RuleError, Trace};
use crate::sim::ledger::Owner;
use crate::sim::rules::proof::{self, FinalMove, Ruling, Stake};
use crate::sim::rules::{dissection, game, stake};

const FORM: Form = Form::Modern(Protocol::Ushuaia);

#[derive(Deserialize)]
struct Move {
    refute_operation_contents: String,
    result: Recorded,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Recorded {
    Game { game: String },
    Result { game_result: String },
}

/// A game of a vector file: the chain before each move, the move, what the protocol said.
struct Replay {
    rollup: RollupAddress,
    players: Stakers,
    turns: Vec<Turn>,
}

struct Turn {
    before: Context,
    player: PublicKeyHash,
    opponent: PublicKeyHash,
    choice: Tick,
    step: Step,
    recorded: Recorded,
}

/// A chain with the rollup and the two commitments of the setup, and their game opened.
fn opened(setup: &Setup) -> Context {
    let claims = [
        (setup.honest, commitment(&setup.honest_commitment)),
        (setup.cheater, commitment(&setup.cheat_commitment)),
    ];
    let mut context = chain(setup);
    for (staker, claim) in claims {
        stake::publish(&mut context, setup.rollup, staker, &claim).unwrap();
    }
    let snapshot = hex::decode(&setup.inbox_snapshot).unwrap();
    let cell = HistoryCell::read(&mut Reader::new(&snapshot)).unwrap();
    context.inbox = Inbox { cell };
    context.level = setup.start_level;
    let of = |staker: PublicKeyHash| (staker, claims.iter().find(|c| c.0 == staker).unwrap().1);
    let ((refuter, ours), (defender, theirs)) = (of(setup.refuter), of(setup.defender));
    game::open(
        &mut context,
        setup.rollup,
        (refuter, ours.hash()),
        (defender, theirs.hash()),
    )
    .unwrap();
    context
}

/// The stored game in the protocol's bytes.
fn stored(context: &Context, rollup: &RollupAddress, players: &Stakers) -> String {
    let game = &context.rollup(rollup).unwrap().games[players];
    let json = game.json(Protocol::Ushuaia);
    let mut writer = Writer::new();
    ShownGame::from_json(&json, Dialect::Modern)
        .unwrap()
        .write(&mut writer);
    hex::encode(writer.into_bytes())
}

fn replay(path: &Path) -> Replay {
    let lines = Lines::open(path).unwrap();
    let mut lines = lines.numbered();
    let (_, first) = lines.next().unwrap();
    let setup: Setup = serde_json::from_str(first).unwrap();
    let mut context = opened(&setup);
    let players = Stakers::new(setup.honest, setup.cheater);
    assert_eq!(stored(&context, &setup.rollup, &players), setup.game);
    let mut turns = Vec::new();
    for (line, text) in lines {
        let given: Move = serde_json::from_str(text).unwrap();
        let bytes = hex::decode(&given.refute_operation_contents).unwrap();
        let content = Content::read(FORM, &mut Reader::new(&bytes)).unwrap();
        let Action::Refute {
            opponent,
            refutation: Refutation::Move { choice, step },
            ..
        } = content.action
        else {
            panic!("{}:{line}: not a move", path.display());
        };
        let turn = Turn {
            before: context.clone(),
            player: content.source,
            opponent,
            choice,
            step,
            recorded: given.result,
        };
        context.level = context.level.next().unwrap();
        turn.play(&mut context, setup.rollup).unwrap();
        turns.push(turn);
    }
    Replay {
        rollup: setup.rollup,
        players,
        turns,
    }
}

impl Turn {
    fn play(&self, context: &mut Context, rollup: RollupAddress) -> Result<game::Played, Trace> {
        game::play(
            context,
            rollup,
            self.player,
            self.opponent,
            self.choice,
            &self.step,
        )
    }

    /// What becomes of the game when its player sends something else.
    fn instead(
        &self,
        rollup: RollupAddress,
        choice: Tick,
        step: &Step,
    ) -> Result<(game::Played, Context), Trace> {
        let mut context = self.before.clone();
        let (player, opponent) = (self.player, self.opponent);
        let played = game::play(&mut context, rollup, player, opponent, choice, step)?;
        Ok((played, context))
    }

    fn is_final(&self, replay: &Replay) -> FinalMove {
        let game = &self.before.rollup(&replay.rollup).unwrap().games[&replay.players];
        match game.state {
            game::State::Dissecting { .. } => FinalMove::First,
            game::State::FinalMove { .. } => FinalMove::Second,
        }
    }

    /// The judge's own reason.
    fn ruling(&self, replay: &Replay, changed: &Proof) -> Result<Ruling, RuleError> {
        self.ruling_in(&self.before, replay, changed)
    }

    /// The same with another state of the chain.
    fn ruling_in(
        &self,
        before: &Context,
        replay: &Replay,
        changed: &Proof,
    ) -> Result<Ruling, RuleError> {
        let stored = before.rollup(&replay.rollup).unwrap();
        let game = &stored.games[&replay.players];
        let (start, stop) = match &game.state {
            game::State::Dissecting { dissection, .. } => {
                dissection::section(dissection, self.choice).unwrap()
            }
            game::State::FinalMove {
                agreed_start,
                refuted_stop,
            } => (agreed_start, refuted_stop),
        };
        let facts = proof::Facts {
            rollup: replay.rollup,
            origination_level: stored.origination_level,
            snapshot: &game.inbox_snapshot,
            inbox_level: game.inbox_level,
            activation: before.parameters.reveals,
            past_sizes: &[],
            sizes: before.parameters.dal,
        };
        let step = proof::machine_part(changed)?;
        let input = changed.input_proof.as_ref();
        proof::judge(
            &facts,
            self.is_final(replay),
            Stake { start, stop },
            &step,
            input,
        )
    }
}

fn games() -> Vec<Replay> {
    files().iter().map(|path| replay(path)).collect()
}

#[test]
fn recorded_games_are_judged_as_the_protocol_judged_them() {
    for replay in games() {
        for (at, turn) in replay.turns.iter().enumerate() {
            let (played, after) = turn
                .instead(replay.rollup, turn.choice, &turn.step)
                .unwrap();
            match (&turn.recorded, played.outcome) {
                (Recorded::Game { game }, None) => {
                    assert_eq!(*game, stored(&after, &replay.rollup, &replay.players));
                }
                (Recorded::Result { game_result }, Some(outcome)) => {
                    let status = serde_json::json!({"result": outcome.json()});
                    let shown = crate::protocol::GameStatus::from_json(&status).unwrap();
                    let bytes = hex::decode(game_result).unwrap();
                    let recorded = GameResult::read(&mut Reader::new(&bytes)).unwrap();
                    assert_eq!(shown, crate::protocol::GameStatus::Ended(recorded));
                    let loser = turn.opponent;
                    let stored = after.rollup(&replay.rollup).unwrap();
                    assert!(stored.games.is_empty() && stored.timeouts.is_empty());
                    assert!(stored.index_of(&loser).is_err());
                    let reward = Mutez(5_000_000_000);
                    let of = |c: &Context| c.ledger.balance(Owner::Implicit(turn.player));
                    assert_eq!(of(&after), of(&turn.before).plus(reward).unwrap());
                }
                (_, outcome) => panic!("move {at}: judged {outcome:?}"),
            }
        }
    }
}

/// Proofs near `proof` that say something else, each with what was done to it.
fn damaged(proof: &Proof) -> Vec<(String, Proof)> {
    let mut all = Vec::new();
    let length = proof.pvm_step.len();
    // Tag, version and both hashes byte by byte; then a sample of the shown parts.
    let places = (0..67).chain((67..length).step_by((length / 61).max(1)));
    for place in places {
        let mut changed = proof.clone();
        let mut bytes = changed.pvm_step.to_vec();
        bytes[place] ^= 1 << (place % 8);
        changed.pvm_step = bytes;
        all.push((format!("bit of byte {place} of the step"), changed));
    }
    for cut in [0, 1, 67, length / 2, length - 1] {
        let mut changed = proof.clone();
        changed.pvm_step = changed.pvm_step[..cut].into();
        all.push((format!("step cut at {cut}"), changed));
    }
    let mut input = |what: &str, input_proof: Option<InputProof>| {
        if input_proof != proof.input_proof {
            let changed = Proof {
                pvm_step: proof.pvm_step.clone(),
                input_proof,
            };
            all.push((what.to_owned(), changed));
        }
    };
    input("no input part", None);
    input("first input instead", Some(InputProof::FirstInput));
    for reveal in [
        RevealProof::Metadata,
        RevealProof::DalParameters,
        RevealProof::RawData(b"another preimage".as_slice().into()),
        RevealProof::RawData([].as_slice().into()),
    ] {
        let what = format!("{reveal:?} instead");
        input(&what, Some(InputProof::Reveal(reveal)));
    }
    if let Some(InputProof::Inbox {
        level,
        message_counter,
        serialized_proof,
    }) = &proof.input_proof
    {
        let changed = |level: Level, counter: u64, bytes: &[u8]| {
            Some(InputProof::Inbox {
                level,
                message_counter: counter,
                serialized_proof: bytes.into(),
            })
        };
        let (counter, bytes) = (*message_counter, serialized_proof);
        input("next counter", changed(*level, counter + 1, bytes));
        input(
            "counter before",
            changed(*level, counter.wrapping_sub(1), bytes),
        );
        input("next level", changed(level.next().unwrap(), counter, bytes));
        input(
            "level before",
            changed(level.previous().unwrap(), counter, bytes),
        );
        for place in (0..bytes.len()).step_by((bytes.len() / 97).max(1)) {
            let mut other = bytes.to_vec();
            other[place] ^= 1 << (place % 8);
            let what = format!("bit of byte {place} of the inbox proof");
            input(&what, changed(*level, counter, &other));
        }
        input(
            "inbox proof cut",
            changed(*level, counter, &bytes[..bytes.len() - 1]),
        );
    }
    all
}

/// Ids a judge may have for a proof that decides nothing.
const REASONS: [&str; 8] = [
    "smart_rollup_proof_check",
    "smart_rollup_invalid_serialized_inbox_proof",
    "internal.smart_rollup_inbox_proof_error",
    "internal.smart_rollup_merklized_payload_hashes_proof",
    "smart_rollup_wasm_proof_verification_failed",
    "Proof_start_state_hash_mismatch",
    "Proof_stop_state_hash_failed_to_refute",
    "Proof_stop_state_hash_failed_to_validate",
];

#[test]
fn a_damaged_proof_never_decides_a_game() {
    for replay in games() {
        for turn in &replay.turns {
            let (Step::Proof(proof), Recorded::Result { .. }) = (&turn.step, &turn.recorded) else {
                continue;
            };
            for (what, changed) in damaged(proof) {
                let reason = match turn.ruling(&replay, &changed) {
                    Ok(Ruling::Valid) => panic!("{what}: still valid"),
                    Ok(Ruling::Invalid(reason)) => reason,
                    // The step is no proof at all, or raises in the machine.
                    Err(refusal) => {
                        let step = Step::Proof(changed);
                        let refused = turn.instead(replay.rollup, turn.choice, &step);
                        assert_eq!(refused.unwrap_err(), refusal.into(), "{what}");
                        continue;
                    }
                };
                assert!(REASONS.contains(&reason.id()), "{what}: {reason}");
                let step = Step::Proof(changed);
                let (played, after) = turn.instead(replay.rollup, turn.choice, &step).unwrap();
                match turn.is_final(&replay) {
                    FinalMove::First => {
                        assert_eq!(played.outcome, None, "{what}");
                        let game = &after.rollup(&replay.rollup).unwrap().games[&replay.players];
                        assert!(
                            matches!(game.state, game::State::FinalMove { .. }),
                            "{what}"
                        );
                        assert_eq!(game::staker_on(&replay.players, game.turn), turn.opponent);
                    }
                    FinalMove::Second => {
                        assert_eq!(played.outcome, Some(game::Outcome::Draw), "{what}");
                        let stored = after.rollup(&replay.rollup).unwrap();
                        assert!(stored.games.is_empty() && stored.staker_index.is_empty());
                    }
                }
            }
        }
    }
}

/// The inbox that a game was opened with is the one that its proofs are held against.
#[test]
fn another_inbox_than_the_recorded_one_refutes_every_message() {
    let mut held = 0;
    for replay in games() {
        for turn in &replay.turns {
            let Step::Proof(proof) = &turn.step else {
                continue;
            };
            let shows_message = matches!(proof.input_proof, Some(InputProof::Inbox { .. }));
            if !shows_message || turn.ruling(&replay, proof) != Ok(Ruling::Valid) {
                continue;
            }
            let told = |change: &dyn Fn(&mut HistoryCell)| {
                let mut before = turn.before.clone();
                let games = &mut before.rollup_mut(&replay.rollup).unwrap().games;
                change(&mut games.get_mut(&replay.players).unwrap().inbox_snapshot);
                match turn.ruling_in(&before, &replay, proof) {
                    Ok(Ruling::Invalid(reason)) => reason.id(),
                    other => panic!("{other:?}"),
                }
            };
            let refused = "internal.smart_rollup_inbox_proof_error";
            for byte in 0..32 {
                assert_eq!(told(&|cell| cell.witness.0[byte] ^= 1), refused);
                let last = |cell: &mut HistoryCell| {
                    cell.back_pointers.last_mut().unwrap().0[byte] ^= 1;
                };
                assert_eq!(told(&last), refused);
            }
            assert_eq!(
                told(&|cell| cell.level = cell.level.next().unwrap()),
                refused
            );
            assert_eq!(told(&|cell| cell.back_pointers.clear()), refused);
            held += 1;
        }
    }
    assert!(vectors().is_none() || held > 0);
}

#[test]
fn each_damage_to_a_proof_has_its_reason() {
    let Some(folder) = vectors() else { return };
    let replay = replay(&folder.join("game_eol_input_def.jsonl"));
    let turn = replay.turns.last().unwrap();
    let Step::Proof(proof) = &turn.step else {
        panic!("the last move is a proof");
    };
    let reason = |change: &dyn Fn(&mut Proof)| {
        let mut changed = proof.clone();
        change(&mut changed);
        match turn.ruling(&replay, &changed) {
            Ok(Ruling::Invalid(reason)) => reason.id(),
            other => panic!("{other:?}"),
        }
    };
    let flip = |place: usize| {
        move |proof: &mut Proof| {
            let mut bytes = proof.pvm_step.to_vec();
            bytes[place] ^= 1;
            proof.pvm_step = bytes;
        }
    };
    // A byte of the hash before, then one of the hash after.
    assert_eq!(reason(&flip(3)), "Proof_start_state_hash_mismatch");
    assert_eq!(
        reason(&flip(35)),
        "smart_rollup_wasm_proof_verification_failed"
    );
    assert_eq!(
        reason(&|proof| proof.input_proof = None),
        "smart_rollup_wasm_proof_verification_failed"
    );
    let inbox = |change: &dyn Fn(&mut Level, &mut u64, &mut Vec<u8>)| {
        reason(&|proof: &mut Proof| {
            let Some(InputProof::Inbox {
                level,
                message_counter,
                serialized_proof,
            }) = &mut proof.input_proof
            else {
                panic!("an inbox proof");
            };
            let mut bytes = serialized_proof.to_vec();
            change(level, message_counter, &mut bytes);
            *serialized_proof = bytes;
        })
    };
    assert_eq!(
        inbox(&|_, _, bytes| bytes.truncate(7)),
        "smart_rollup_invalid_serialized_inbox_proof"
    );
    assert_eq!(
        inbox(&|_, counter, _| *counter += 7),
        "internal.smart_rollup_inbox_proof_error"
    );
}

/// Each damage to the dissection of a move, and the id it is refused with.
type Damage = (
    &'static str,
    fn(&mut Vec<DissectionChunk>, &DissectionChunk),
);

const DAMAGES: [Damage; 6] = [
    (
        "smart_rollup_dissection_number_of_sections_mismatch",
        |chunks, _| {
            chunks.remove(1);
        },
    ),
    (
        "smart_rollup_dissection_start_hash_mismatch",
        |chunks, _| {
            chunks[0].state = Some(StateHash([7; 32]));
        },
    ),
    (
        "smart_rollup_dissection_stop_hash_mismatch",
        |chunks, stop| {
            let last = chunks.len() - 1;
            chunks[last].state = stop.state;
        },
    ),
    (
        "smart_rollup_dissection_edge_ticks_mismatch",
        |chunks, _| {
            let last = chunks.len() - 1;
            chunks[last].tick = Tick(chunks[last].tick.0 + 1);
        },
    ),
    (
        "smart_rollup_dissection_ticks_not_increasing",
        |chunks, _| {
            chunks[1].tick = chunks[2].tick;
            chunks[2].state = chunks[1].state;
        },
    ),
    (
        "smart_rollup_dissection_invalid_successive_states_shape",
        |chunks, _| {
            chunks[1].state = None;
            chunks[2].state = Some(StateHash([7; 32]));
        },
    ),
];

#[test]
fn a_damaged_move_is_refused_with_its_id() {
    let mut refused = std::collections::BTreeSet::new();
    for replay in games() {
        let proof = replay.turns.iter().find_map(|turn| match &turn.step {
            Step::Proof(proof) => Some(proof.clone()),
            Step::Dissection(_) => None,
        });
        for turn in &replay.turns {
            let id = |result: Result<(game::Played, Context), Trace>| {
                result.unwrap_err().first().unwrap().id()
            };
            let game = &turn.before.rollup(&replay.rollup).unwrap().games[&replay.players];
            let game::State::Dissecting { dissection, .. } = &game.state else {
                continue;
            };
            // Nothing starts where the last section stops.
            let elsewhere = dissection.last().unwrap().tick;
            assert_eq!(
                id(turn.instead(replay.rollup, elsewhere, &turn.step)),
                "Dissection_choice_not_found"
            );
            let mut context = turn.before.clone();
            let (one, other) = (turn.opponent, turn.player);
            let played = game::play(
                &mut context,
                replay.rollup,
                one,
                other,
                turn.choice,
                &turn.step,
            );
            assert_eq!(
                played.unwrap_err().first().unwrap().id(),
                "smart_rollup_wrong_turn"
            );
            let Step::Dissection(chunks) = &turn.step else {
                continue;
            };
            let (_, stop) = dissection::section(dissection, turn.choice).unwrap();
            for (expected, damage) in &DAMAGES {
                if chunks.len() < 4 {
                    continue;
                }
                let mut changed = chunks.clone();
                damage(&mut changed, stop);
                let step = Step::Dissection(changed);
                assert_eq!(
                    id(turn.instead(replay.rollup, turn.choice, &step)),
                    *expected
                );
                refused.insert(*expected);
            }
            // A proof where the section has more than a tick decides nothing.
            if let Some(proof) = &proof {
                match turn.ruling(&replay, proof) {
                    Ok(Ruling::Invalid(reason)) => {
                        assert_eq!(reason.id(), "Dissection_unexpected_section_size");
                        refused.insert("Dissection_unexpected_section_size");
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    if vectors().is_some() {
        assert_eq!(refused.len(), DAMAGES.len() + 1, "{refused:?}");
    }
}

#[derive(Deserialize)]
struct GivenChunk {
    tick: Tick,
    hash: Option<String>,
}

impl GivenChunk {
    fn chunk(&self) -> DissectionChunk {
        let state = self.hash.as_deref().map(|text| {
            let bytes = hex::decode(text).unwrap();
            StateHash(bytes.try_into().unwrap())
        });
        DissectionChunk {
            state,
            tick: self.tick,
        }
    }
}

#[derive(Deserialize)]
struct Checked {
    name: String,
    default_number_of_sections: u8,
    start: GivenChunk,
    stop: GivenChunk,
    dissection: Vec<GivenChunk>,
    result: String,
}

/// Id of the refusal that the reference prints as this text.
fn id_of(text: &str) -> &'static str {
    const IDS: [(&str, &str); 7] = [
        (
            "The number of sections must be equal",
            "smart_rollup_dissection_number_of_sections_mismatch",
        ),
        (
            "The stop hash should not be equal",
            "smart_rollup_dissection_stop_hash_mismatch",
        ),
        (
            "The start hash should be equal",
            "smart_rollup_dissection_start_hash_mismatch",
        ),
        (
            "Cannot recover from a blocked state",
            "smart_rollup_dissection_invalid_successive_states_shape",
        ),
        (
            "Invalid dissection distribution",
            "smart_rollup_wasm_invalid_dissection_distribution",
        ),
        (
            "Ticks should only increase",
            "smart_rollup_dissection_ticks_not_increasing",
        ),
        (
            "Maximum tick increment",
            "smart_rollup_dissection_invalid_distribution",
        ),
    ];
    let text = text.trim_start_matches("Error:").trim_start();
    let found = IDS.iter().find(|(start, _)| text.starts_with(start));
    found.unwrap_or_else(|| panic!("{text}")).1
}

#[test]
fn recorded_dissections_are_judged_as_the_protocol_judged_them() {
    let Some(folder) = vectors() else { return };
    let lines = Lines::open(&folder.join("dissection_checks.jsonl")).unwrap();
    for (_, text) in lines.numbered() {
        let given: Checked = serde_json::from_str(text).unwrap();
        let proposed: Vec<_> = given.dissection.iter().map(GivenChunk::chunk).collect();
        let sections = given.default_number_of_sections;
        let found = dissection::check(
            Some(50_000_000_000_000),
            sections,
            &given.start.chunk(),
            &given.stop.chunk(),
            &proposed,
        );
        match found {
            Ok(()) => assert_eq!(given.result, "ok", "{}", given.name),
            Err(error) => assert_eq!(error.id(), id_of(&given.result), "{}", given.name),
        }
    }
}
