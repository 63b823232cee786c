//! Whole games, replayed on the machine itself.
//!
//! The rollup is originated from the kernel of the setup and run over its levels; from those states
//! our player must answer the honest player's moves byte for byte, and our judge must make of every
//! move, of either side, what the protocol made of it. Where a file lacks the data of a reveal, the
//! states after it are taken from the honest player's own moves.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::facts::{bytes, malformed, parsed, understood};
use super::protocol::read_content;
use super::rollup::{self, Rollup, SetupLevel};
use super::{CheckError, Format, Lines, same};
use crate::codec::{Reader, Writer};
use crate::crypto::Dialect;
use crate::game::{
    Facts, NoRuling, Outcome, Ruling, Snapshots, Truth, Unplayable, answer, judge, opened, opening,
};
use crate::protocol::operation::{Action, Content, Form, Proof, Refutation, Stakers, Step};
use crate::protocol::{
    Clock, Commitment, DalSnapshot, Game, GameResult, GameStatus, HistoryCell, Level, LossReason,
    Player, Protocol, PublicKeyHash, RollupAddress, StateHash, Tick,
};

const PROTOCOL: Protocol = Protocol::Ushuaia;
const FORM: Form = Form::Modern(PROTOCOL);

pub(super) const FORMAT: Format = Format {
    name: "whole games",
    recognises,
    replay,
};

/// Lines name what they are; any other name is another format.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum IsSetup {
    Setup,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum IsMove {
    Move,
}

#[derive(Deserialize)]
struct Setup {
    #[serde(rename = "type")]
    _type: Option<IsSetup>,
    rollup: RollupAddress,
    origination_level: Level,
    boot_sector: String,
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
    total_ticks: Tick,
    inbox_snapshot: String,
    dal_snapshot: String,
    default_number_of_sections: u8,
    levels: Vec<SetupLevel>,
    game: String,
    game_versioned: String,
    start_refutation: String,
    /// Data of reveals by hash, where a file has it.
    #[serde(default)]
    preimages: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Who {
    Honest,
    Cheater,
}

/// What a move is called; the last one may say that it is.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Dissection,
    #[serde(alias = "final_proof")]
    Proof,
}

#[derive(Deserialize)]
struct Move {
    #[serde(rename = "type")]
    _type: Option<IsMove>,
    player: PublicKeyHash,
    who: Option<Who>,
    kind: Option<Kind>,
    choice: Tick,
    step: Value,
    refutation: String,
    refute_operation_contents: String,
    result: Sequel,
}

/// A line that ends the game by the clock.
#[derive(Deserialize)]
struct Timeout {
    result: Sequel,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Sequel {
    Game {
        game: String,
    },
    Ended {
        game_result: String,
        text: Option<String>,
    },
}

type Checked<T> = Result<T, CheckError>;

fn recognises(_: &Path, first: &str) -> bool {
    serde_json::from_str::<Setup>(first).is_ok()
}

fn replay(_: &Path, lines: Lines) -> Checked<usize> {
    let lines: Vec<(usize, &str)> = lines.numbered().collect();
    let Some(((line, first), moves)) = lines.split_first() else {
        return Ok(0);
    };
    let setup: Setup = parsed(*line, first)?;
    let moves = moves.iter().map(|(line, text)| {
        let json: Value = parsed(*line, text)?;
        Ok((*line, json))
    });
    let moves: Vec<(usize, Value)> = moves.collect::<Checked<_>>()?;
    let mut table = Table::open(*line, setup, &moves)?;
    let mut compared = 12_usize;
    for (line, json) in moves {
        compared = compared.saturating_add(if json.get("step").is_some() {
            let given: Move = serde_json::from_value(json).map_err(|e| malformed(line, e))?;
            table.check_move(line, &given)?
        } else {
            let given: Timeout = serde_json::from_value(json).map_err(|e| malformed(line, e))?;
            table.check_timeout(line, &given)?
        });
    }
    Ok(compared)
}

fn written(write: impl FnOnce(&mut Writer)) -> String {
    let mut writer = Writer::new();
    write(&mut writer);
    hex::encode(writer.into_bytes())
}

/// Our states, and those of the honest player where the file lacks what it takes to compute them.
struct Known<'a> {
    machine: &'a mut dyn Truth,
    told: &'a [(Tick, Option<StateHash>)],
}

impl Truth for Known<'_> {
    fn hashes(&mut self, ticks: &[Tick]) -> Result<Vec<Option<StateHash>>, Unplayable> {
        let mut hashes = Vec::new();
        for tick in ticks {
            let told = self.told.iter().find(|(known, _)| known == tick);
            hashes.push(match (self.machine.hashes(&[*tick]), told) {
                (Err(error), Some((_, told))) if rollup::lacks_data(&error) => *told,
                (states, _) => states?.first().copied().flatten(),
            });
        }
        Ok(hashes)
    }

    fn prove(&mut self, game: &Game, tick: Tick) -> Result<Proof, Unplayable> {
        self.machine.prove(game, tick)
    }
}

/// The game on the table.
struct Table {
    rollup: Rollup,
    facts: Facts,
    address: RollupAddress,
    stakers: Stakers,
    honest: PublicKeyHash,
    game: Game,
    clock: Clock,
    told: Vec<(Tick, Option<StateHash>)>,
}

impl Table {
    fn open(line: usize, setup: Setup, moves: &[(usize, Value)]) -> Checked<Self> {
        let stakers = Stakers::new(setup.honest, setup.cheater);
        let ours = written(|writer| {
            stakers.alice().write(writer);
            stakers.bob().write(writer);
        });
        same(line, || "stakers".into(), &setup.stakers, &ours)?;
        let game = opened_game(line, &setup)?;
        let refutations = refutations(moves)?;
        let (facts, mut rollup) = originated(line, &setup, &refutations)?;
        same_machine(line, &setup, &mut rollup)?;
        let told = told(&refutations, &setup);
        Ok(Self {
            rollup,
            facts,
            address: setup.rollup,
            stakers,
            honest: setup.honest,
            clock: Clock::start(setup.start_level, u32::MAX),
            game,
            told,
        })
    }

    fn check_move(&mut self, line: usize, given: &Move) -> Checked<usize> {
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
        same(line, || "rollup".into(), &self.address, rollup)?;
        let other = self.stakers.account(seat.opponent());
        same(line, || "opponent".into(), &other, opponent)?;
        check_refutation(line, &given.refutation, refutation)?;
        let Refutation::Move { choice, step } = refutation else {
            return Err(malformed(line, "not a move"));
        };
        same(line, || "choice".into(), &given.choice, choice)?;
        check_step(line, &given.step, step)?;
        self.check_names(line, given, step)?;
        let ruling = judge(
            &self.facts,
            &self.stakers,
            &self.game,
            &given.player,
            refutation,
        );
        let mut compared = 8;
        if given.player == self.honest {
            self.check_answer(line, seat, &content)?;
            compared = 10;
        }
        self.check_ruling(line, seat, &given.result, ruling)?;
        Ok(compared)
    }

    /// Who moved and how, in the file's words.
    fn check_names(&self, line: usize, given: &Move, step: &Step) -> Checked<()> {
        let is_honest = given.player == self.honest;
        let said = given.who.as_ref().map(|who| matches!(who, Who::Honest));
        let what = || "the honest player moves".to_owned();
        same(line, what, &said.unwrap_or(is_honest), &is_honest)?;
        let proves = matches!(step, Step::Proof(_));
        let said = given.kind.as_ref().map(|kind| matches!(kind, Kind::Proof));
        let what = || "the move is a proof".to_owned();
        same(line, what, &said.unwrap_or(proves), &proves)
    }

    /// What our player sends in the honest player's place, in an operation with the same numbers.
    fn check_answer(&mut self, line: usize, us: Player, theirs: &Content) -> Checked<()> {
        let mut machine = self.rollup.witness(&self.facts);
        let mut truth = Known {
            machine: &mut machine,
            told: &self.told,
        };
        let ours = answer(&self.facts, &self.stakers, us, &self.game, &mut truth);
        let ours = understood(line, "our move", ours)?;
        let content = Content {
            action: Action::Refute {
                rollup: self.address,
                opponent: self.stakers.account(us.opponent()),
                refutation: ours.refutation,
            },
            ..theirs.clone()
        };
        let given = understood(line, "operation", theirs.to_bytes(FORM))?;
        let forged = understood(line, "operation", content.to_bytes(FORM))?;
        same(
            line,
            || "our move".into(),
            &hex::encode(given),
            &hex::encode(forged),
        )
    }

    fn check_ruling(
        &mut self,
        line: usize,
        player: Player,
        given: &Sequel,
        ruling: Result<Ruling, NoRuling>,
    ) -> Checked<()> {
        match (understood(line, "move", ruling)?, given) {
            (Ruling::Continues { game, .. }, Sequel::Game { game: given }) => {
                self.game = *game;
                self.clock = self.clock.moved(player, self.clock.last_turn);
                check_game(line, given, &self.game)
            }
            (Ruling::Ended { result, .. }, Sequel::Ended { game_result, text }) => {
                check_result(line, game_result, text.as_deref(), result)
            }
            (ruling, Sequel::Game { .. }) => {
                let expected = "the game goes on".to_owned();
                same(line, || "ruling".into(), &expected, &format!("{ruling:?}"))
            }
            (ruling, Sequel::Ended { .. }) => {
                let expected = "the game is over".to_owned();
                same(line, || "ruling".into(), &expected, &format!("{ruling:?}"))
            }
        }
    }

    /// The clock of whose turn it is has run out, whenever that was.
    fn check_timeout(&self, line: usize, given: &Timeout) -> Checked<usize> {
        let Sequel::Ended { game_result, text } = &given.result else {
            return Err(malformed(line, "neither a move nor the end of the game"));
        };
        let expired = Clock {
            alice: -1,
            bob: -1,
            ..self.clock
        };
        let (turn, state) = (self.game.turn, &self.game.state);
        let outcome = understood(
            line,
            "timeout",
            expired.time_out(turn, state, expired.last_turn),
        )?;
        let ours = match outcome {
            Outcome::Loser(loser) => GameResult::Loser {
                reason: LossReason::Timeout,
                loser: self.stakers.account(loser),
            },
            Outcome::Draw => GameResult::Draw,
        };
        check_result(line, game_result, text.as_deref(), ours)?;
        Ok(1)
    }
}

/// The opening and the game it makes are those of the file.
fn opened_game(line: usize, setup: &Setup) -> Checked<Game> {
    let of = |account: PublicKeyHash| {
        if account == setup.honest {
            &setup.honest_commitment
        } else {
            &setup.cheat_commitment
        }
    };
    let (attacked, held) = (of(setup.defender), of(setup.refuter));
    let parent = &setup.genesis_commitment;
    same(
        line,
        || "predecessor".into(),
        &parent.hash(),
        &held.predecessor,
    )?;
    let period = held.inbox_level.since(parent.inbox_level).unwrap_or(0);
    // The files open their games earlier than the protocol allows: the level is ours.
    let level = held.inbox_level.plus(period).unwrap_or(setup.start_level);
    let start = opening(PROTOCOL, period, level, held, attacked);
    let start = understood(line, "opening", start)?;
    check_refutation(line, &setup.start_refutation, &start)?;
    let snapshot = bytes(line, &setup.inbox_snapshot)?;
    let snapshot = HistoryCell::read(&mut Reader::new(&snapshot));
    let snapshots = Snapshots {
        inbox: understood(line, "inbox snapshot", snapshot)?,
        dal: DalSnapshot::empty(),
        start_level: setup.start_level,
        sections: setup.default_number_of_sections,
    };
    let dal = written(|writer| snapshots.dal.write(writer));
    let what = || "data-availability snapshot".to_owned();
    same(line, what, &setup.dal_snapshot, &dal)?;
    let game = opened(
        &setup.refuter,
        &setup.defender,
        parent,
        attacked,
        &snapshots,
    );
    same(
        line,
        || "inbox level".into(),
        &setup.inbox_level,
        &game.inbox_level,
    )?;
    check_game(line, &setup.game, &game)?;
    let versioned = format!("00{}", setup.game);
    same(
        line,
        || "game with version".into(),
        &setup.game_versioned,
        &versioned,
    )?;
    Ok(game)
}

/// Every move of the file, with who made it.
fn refutations(moves: &[(usize, Value)]) -> Checked<Vec<(PublicKeyHash, Refutation)>> {
    let mut found = Vec::new();
    for (line, json) in moves.iter().filter(|(_, json)| json.get("step").is_some()) {
        let given: Move = serde_json::from_value(json.clone()).map_err(|e| malformed(*line, e))?;
        let raw = bytes(*line, &given.refutation)?;
        let mut reader = Reader::new(&raw);
        let refutation = Refutation::read(FORM, &mut reader);
        found.push((given.player, understood(*line, "refutation", refutation)?));
    }
    Ok(found)
}

fn originated(
    line: usize,
    setup: &Setup,
    refutations: &[(PublicKeyHash, Refutation)],
) -> Checked<(Facts, Rollup)> {
    let facts = rollup::facts(PROTOCOL, setup.rollup, setup.origination_level);
    let steps = refutations
        .iter()
        .filter_map(|(_, refutation)| match refutation {
            Refutation::Move { step, .. } => Some(step),
            _ => None,
        });
    let mut given = rollup::Given::of(steps);
    for data in setup.preimages.values() {
        given.keep(bytes(line, data)?);
    }
    let kernel = bytes(line, &setup.boot_sector)?;
    let rollup = Rollup::originate(line, PROTOCOL, &facts, &kernel, &setup.levels, given)?;
    Ok((facts, rollup))
}

/// The machine begins and ends the period where the commitments of parent and honest player say.
fn same_machine(line: usize, setup: &Setup, rollup: &mut Rollup) -> Checked<()> {
    let parent = setup.genesis_commitment.compressed_state;
    let state = understood(line, "state", rollup.state_at(Tick(0)))?;
    let text = |state: Option<StateHash>| format!("{state:?}");
    same(
        line,
        || "first state".into(),
        &text(Some(parent)),
        &text(state),
    )?;
    let length = match rollup.length() {
        Err(error) if rollup::lacks_data(&error) => return Ok(()),
        length => understood(line, "length of the period", length)?,
    };
    same(
        line,
        || "ticks of the period".into(),
        &setup.total_ticks,
        &length,
    )?;
    let claimed = Tick(u128::from(setup.honest_commitment.number_of_ticks));
    same(line, || "ticks committed to".into(), &claimed, &length)?;
    let state = understood(line, "state", rollup.state_at(length))?;
    let honest = Some(setup.honest_commitment.compressed_state);
    same(line, || "last state".into(), &text(honest), &text(state))
}

/// What the honest player said of its states.
fn told(
    refutations: &[(PublicKeyHash, Refutation)],
    setup: &Setup,
) -> Vec<(Tick, Option<StateHash>)> {
    let committed = &setup.honest_commitment;
    let end = u128::from(committed.number_of_ticks);
    let mut told = vec![
        (Tick(end), Some(committed.compressed_state)),
        (Tick(end.saturating_add(1)), None),
    ];
    for (player, refutation) in refutations {
        if let (
            true,
            Refutation::Move {
                step: Step::Dissection(chunks),
                ..
            },
        ) = (*player == setup.honest, refutation)
        {
            told.extend(chunks.iter().map(|chunk| (chunk.tick, chunk.state)));
        }
    }
    told
}

/// The bytes of a game are those of ours, and read back equal; so does its JSON.
fn check_game(line: usize, given: &str, ours: &Game) -> Checked<()> {
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

fn check_refutation(line: usize, given: &str, ours: &Refutation) -> Checked<()> {
    let mut writer = Writer::new();
    understood(line, "refutation", ours.write(FORM, &mut writer))?;
    let ours = hex::encode(writer.into_bytes());
    same(line, || "refutation".into(), &given.to_owned(), &ours)
}

fn check_result(line: usize, given: &str, text: Option<&str>, ours: GameResult) -> Checked<()> {
    if let Some(text) = text {
        let what = || "game result in words".to_owned();
        same(line, what, &text.to_owned(), &ours.to_string())?;
    }
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
fn check_step(line: usize, given: &Value, step: &Step) -> Checked<()> {
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
