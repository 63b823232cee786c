//! Whole games: the opening, every move in its encodings, the game after it, and the rules.
//!
//! What the machine's part of a proof shows is taken from the recorded outcome here; its inbox
//! part is verified against the game's snapshot and the messages of the setup.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::facts::{bytes, malformed, parsed, understood};
use super::protocol::read_content;
use super::{CheckError, Format, Lines, same};
use crate::codec::{Reader, Writer};
use crate::crypto::Dialect;
use crate::game::{Machine, Reply, Verdict, initial_dissection, play};
use crate::inbox::InboxProof;
use crate::protocol::operation::{
    Action, Content, Form, InputProof, Proof, Refutation, Stakers, Step,
};
use crate::protocol::{
    Commitment, DalSnapshot, Game, GameResult, GameState, GameStatus, HistoryCell, Level, Player,
    Protocol, PublicKeyHash, RollupAddress, Tick,
};

const FORM: Form = Form::Modern(Protocol::Ushuaia);
const MACHINE: Machine = Machine::Wasm {
    ticks_per_snapshot: 50_000_000_000_000,
};

pub(super) const FORMAT: Format = Format {
    name: "whole games",
    recognises,
    replay,
};

#[derive(Deserialize)]
struct Setup {
    rollup: RollupAddress,
    start_level: Level,
    inbox_level: Level,
    honest: PublicKeyHash,
    cheater: PublicKeyHash,
    refuter: PublicKeyHash,
    defender: PublicKeyHash,
    stakers: String,
    genesis_commitment: Commitment,
    honest_commitment: Commitment,
    cheat_commitment: Commitment,
    inbox_snapshot: String,
    dal_snapshot: String,
    default_number_of_sections: u8,
    levels: Vec<LevelLine>,
    game: String,
    game_versioned: String,
    start_refutation: String,
}

#[derive(Deserialize)]
struct LevelLine {
    level: Level,
    messages: Vec<String>,
}

#[derive(Deserialize)]
struct Move {
    player: PublicKeyHash,
    choice: Tick,
    step: Value,
    refutation: String,
    refute_operation_contents: String,
    result: Outcome,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Outcome {
    Game { game: String },
    Result { game_result: String },
}

fn recognises(_: &Path, first: &str) -> bool {
    serde_json::from_str::<Setup>(first).is_ok()
}

fn replay(_: &Path, lines: Lines) -> Result<usize, CheckError> {
    let mut compared = 0_usize;
    let mut table: Option<Table> = None;
    for (line, text) in lines.numbered() {
        match &mut table {
            None => {
                table = Some(open(line, &parsed(line, text)?)?);
                compared = compared.saturating_add(7);
            }
            Some(table) => {
                table.check_move(line, &parsed(line, text)?)?;
                compared = compared.saturating_add(6);
            }
        }
    }
    Ok(compared)
}

fn written(write: impl FnOnce(&mut Writer)) -> String {
    let mut writer = Writer::new();
    write(&mut writer);
    hex::encode(writer.into_bytes())
}

/// The game on the table, with what is needed to judge its inbox proofs.
struct Table {
    rollup: RollupAddress,
    stakers: Stakers,
    game: Game,
    messages: BTreeMap<Level, Vec<String>>,
}

fn open(line: usize, setup: &Setup) -> Result<Table, CheckError> {
    let stakers = Stakers::new(setup.honest, setup.cheater);
    let ours = written(|writer| {
        stakers.alice().write(writer);
        stakers.bob().write(writer);
    });
    same(line, || "stakers".into(), &setup.stakers, &ours)?;
    let parent = setup.genesis_commitment.hash();
    let of = |account: PublicKeyHash| {
        if account == setup.honest {
            &setup.honest_commitment
        } else {
            &setup.cheat_commitment
        }
    };
    let (attacked, held) = (of(setup.defender), of(setup.refuter));
    same(
        line,
        || "predecessor".into(),
        &attacked.predecessor,
        &parent,
    )?;
    let start = Refutation::Start {
        player_commitment: held.hash(),
        opponent_commitment: attacked.hash(),
    };
    check_refutation(line, &setup.start_refutation, &start)?;

    let snapshot = bytes(line, &setup.inbox_snapshot)?;
    let snapshot = HistoryCell::read(&mut Reader::new(&snapshot));
    let dissection = initial_dissection(&setup.genesis_commitment, attacked);
    let game = Game {
        turn: Player::seat(&setup.refuter, &setup.defender),
        inbox_snapshot: understood(line, "inbox snapshot", snapshot)?,
        dal_snapshot: DalSnapshot::empty(),
        start_level: setup.start_level,
        inbox_level: setup.inbox_level,
        state: GameState::Dissecting {
            dissection: dissection.to_vec(),
            default_number_of_sections: setup.default_number_of_sections,
        },
    };
    let dal = written(|writer| game.dal_snapshot.write(writer));
    same(
        line,
        || "data-availability snapshot".into(),
        &setup.dal_snapshot,
        &dal,
    )?;
    check_game(line, &setup.game, &game)?;
    let versioned = format!("00{}", setup.game);
    same(
        line,
        || "game with version".into(),
        &setup.game_versioned,
        &versioned,
    )?;
    let levels = setup.levels.iter();
    Ok(Table {
        rollup: setup.rollup,
        stakers,
        game,
        messages: levels
            .map(|level| (level.level, level.messages.clone()))
            .collect(),
    })
}

/// The bytes of a game are those of ours, and read back equal; so does its JSON.
fn check_game(line: usize, given: &str, ours: &Game) -> Result<(), CheckError> {
    let raw = bytes(line, given)?;
    let mut reader = Reader::new(&raw);
    let read = understood(line, "game", Game::read(&mut reader))?;
    understood(line, "game", reader.finish())?;
    let bytes = written(|writer| ours.write(writer));
    same(line, || "game".into(), &given.to_owned(), &bytes)?;
    let json = read.to_json(Dialect::Modern);
    let again = understood(
        line,
        "game in JSON",
        Game::from_json(&json, Dialect::Modern),
    )?;
    same(
        line,
        || "game read back".into(),
        &bytes,
        &written(|writer| again.write(writer)),
    )
}

fn check_refutation(line: usize, given: &str, ours: &Refutation) -> Result<(), CheckError> {
    let mut writer = Writer::new();
    understood(line, "refutation", ours.write(FORM, &mut writer))?;
    let ours = hex::encode(writer.into_bytes());
    same(line, || "refutation".into(), &given.to_owned(), &ours)
}

impl Table {
    fn check_move(&mut self, line: usize, given: &Move) -> Result<(), CheckError> {
        let content = read_content(line, "refutation", &given.refute_operation_contents)?;
        let json = understood(line, "refutation", content.to_json(FORM))?;
        let again = understood(line, "refutation in JSON", Content::from_json(&json, FORM))?;
        same(line, || "JSON read back".into(), &true, &(again == content))?;
        same(line, || "player".into(), &given.player, &content.source)?;
        let Action::Refute {
            rollup,
            opponent,
            refutation,
        } = &content.action
        else {
            return Err(malformed(line, "not a refutation"));
        };
        let seat = Player::seat(&given.player, opponent);
        same(line, || "rollup".into(), &self.rollup, rollup)?;
        let other = self.stakers.account(seat.opponent());
        same(line, || "opponent".into(), &other, opponent)?;
        check_refutation(line, &given.refutation, refutation)?;
        let Refutation::Move { choice, step } = refutation else {
            return Err(malformed(line, "not a move"));
        };
        same(line, || "choice".into(), &given.choice, choice)?;
        check_step(line, &given.step, step)?;
        if let Step::Proof(proof) = step {
            self.check_inbox_part(line, proof)?;
        }
        self.play(line, seat, *choice, step, &given.result)
    }

    fn play(
        &mut self,
        line: usize,
        player: Player,
        choice: Tick,
        step: &Step,
        result: &Outcome,
    ) -> Result<(), CheckError> {
        let turn = self.game.turn == player;
        same(line, || "is the player's turn".into(), &true, &turn)?;
        let won = matches!(result, Outcome::Result { .. });
        let reply = match step {
            Step::Dissection(chunks) => Reply::Dissection(chunks),
            Step::Proof(_) => Reply::Proof,
        };
        let verdict = play(
            MACHINE,
            &self.game.state,
            player,
            choice,
            &reply,
            &mut |_, _, _| Ok(won),
        );
        match (understood(line, "move", verdict)?, result) {
            (Verdict::Continues(state), Outcome::Game { game }) => {
                self.game.turn = player.opponent();
                self.game.state = state;
                check_game(line, game, &self.game)
            }
            (verdict, Outcome::Result { game_result }) => {
                let ended = match verdict {
                    Verdict::Lost(loser) => GameResult::Loser {
                        reason: crate::protocol::LossReason::ConflictResolved,
                        loser: self.stakers.account(loser),
                    },
                    Verdict::Draw => GameResult::Draw,
                    Verdict::Continues(_) => return Err(malformed(line, "the game goes on")),
                };
                check_result(line, game_result, ended)
            }
            (verdict, Outcome::Game { .. }) => {
                let found = format!("{verdict:?}");
                same(
                    line,
                    || "verdict".into(),
                    &"the game goes on".to_owned(),
                    &found,
                )
            }
        }
    }

    /// An inbox proof shows the message of the setup that follows its position.
    fn check_inbox_part(&self, line: usize, proof: &Proof) -> Result<(), CheckError> {
        let Some(InputProof::Inbox {
            level,
            message_counter,
            serialized_proof,
        }) = &proof.input_proof
        else {
            return Ok(());
        };
        let wanted = message_counter.saturating_add(1);
        let proof = InboxProof::from_bytes(serialized_proof);
        let proof = understood(line, "inbox proof", proof)?;
        let shown = proof.verify(&self.game.inbox_snapshot, *level, wanted);
        let shown = understood(line, "inbox proof", shown)?;
        let Some(input) = shown else {
            return Ok(());
        };
        let place = usize::try_from(input.counter).ok();
        let message = self
            .messages
            .get(&input.level)
            .and_then(|messages| messages.get(place?));
        match message {
            Some(message) => {
                let ours = hex::encode(&input.payload);
                same(line, || "message proved".into(), message, &ours)
            }
            None => Ok(()),
        }
    }
}

fn check_result(line: usize, given: &str, ours: GameResult) -> Result<(), CheckError> {
    let raw = bytes(line, given)?;
    let read = GameResult::read(&mut Reader::new(&raw));
    let read = understood(line, "game result", read)?;
    let again = written(|writer| read.write(writer));
    same(
        line,
        || "game result read back".into(),
        &given.to_owned(),
        &again,
    )?;
    let status = GameStatus::Ended(read).to_json();
    let status = understood(line, "game status", GameStatus::from_json(&status))?;
    same(
        line,
        || "game status read back".into(),
        &true,
        &(status == GameStatus::Ended(read)),
    )?;
    let ours = written(|writer| ours.write(writer));
    same(line, || "game result".into(), &given.to_owned(), &ours)
}

#[derive(Deserialize)]
struct GivenChunk {
    tick: Tick,
    hash: Option<String>,
}

#[derive(Deserialize)]
struct GivenProof {
    proof_bytes: usize,
    proof: String,
}

/// The step in its readable form says the same as the operation.
fn check_step(line: usize, given: &Value, step: &Step) -> Result<(), CheckError> {
    match step {
        Step::Dissection(chunks) => {
            let given: Vec<GivenChunk> = parsed(line, &given.to_string())?;
            same(
                line,
                || "number of chunks".into(),
                &given.len(),
                &chunks.len(),
            )?;
            for (given, ours) in given.iter().zip(chunks) {
                let tick = given.tick;
                same(line, || "tick of a chunk".into(), &tick, &ours.tick)?;
                let hash = ours.state.map(|state| hex::encode(state.0));
                let (given, ours) = (format!("{:?}", given.hash), format!("{hash:?}"));
                same(line, || format!("state at tick {tick}"), &given, &ours)?;
            }
            Ok(())
        }
        Step::Proof(proof) => {
            let given: GivenProof = parsed(line, &given.to_string())?;
            let ours = written(|writer| proof.write(writer));
            same(line, || "proof".into(), &given.proof, &ours)?;
            let size = ours.len() / 2;
            same(
                line,
                || "bytes of the proof".into(),
                &given.proof_bytes,
                &size,
            )
        }
    }
}
