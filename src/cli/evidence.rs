//! `watchtower evidence`: everything about a game in one file, and its check on any machine.
//!
//! Promises: the check leans on nothing but the file and this program: hashes, the inbox, the shape
//! of every dissection, the judge's ruling on every move of ours. Refuses to know: the journal it
//! came from.

use serde_json::{Map, Value, json};

use super::args::{Cli, EvidenceCommand};
use super::exit::{Exit, Failure};
use super::games::{Listed, find};
use super::output::line;
use crate::codec::Reader as Bytes;
use crate::game::{self, Dissectable, Facts, Machine, Ruling};
use crate::inbox::LevelMessages;
use crate::journal::{Ending, Reader};
use crate::protocol::operation::{DissectionChunk, Stakers};
use crate::protocol::{
    Commitment, Dialected, Game, GameResult, GameState, HistoryCell, Level, Protocol, RollupAddress,
};
use crate::pvm::Activation;
use crate::tower::move_of;

/// Name of the form.
const FORMAT: &str = "watchtower-evidence-1";

pub(super) fn run(cli: &Cli, command: &EvidenceCommand) -> Result<Exit, Failure> {
    match command {
        EvidenceCommand::Export { game, output } => {
            let config = cli.config()?;
            let reader = Reader::open(&config.journal_path())?;
            let evidence = export(&reader, &find(&reader, game)?)?;
            std::fs::write(output, format!("{evidence:#}\n"))?;
            line(format!("Written to {}.", output.display()))?;
            Ok(Exit::Fine)
        }
        EvidenceCommand::Verify { file } => {
            let text = std::fs::read_to_string(file)?;
            let evidence: Value = serde_json::from_str(&text).map_err(|error| {
                Failure::said(Exit::Configuration, format!("{}: {error}", file.display()))
            })?;
            match verify(&evidence) {
                Ok(checked) => {
                    for text in checked {
                        line(text)?;
                    }
                    line("Everything holds.")?;
                    Ok(Exit::Fine)
                }
                Err(problem) => {
                    line(format!("DOES NOT HOLD: {problem}"))?;
                    Ok(Exit::Difference)
                }
            }
        }
    }
}

fn export(reader: &Reader, game: &Listed) -> Result<Value, Failure> {
    let (rollup, name) = (&game.rollup, &game.name);
    let dialect = rollup.dialect;
    let own = reader.own_commitments(&rollup.address)?;
    let parent = own
        .iter()
        .rev()
        .find(|(_, own)| own.inbox_level < name.inbox_level);
    let from = parent.map_or(rollup.origination_level, |(_, own)| own.inbox_level);
    let first = from.next().unwrap_or(from);
    let mut inbox = Vec::new();
    for block in reader.blocks_between(first, name.inbox_level)? {
        if let Some(row) = reader.inbox(&block.hash)? {
            inbox.push(json!({
                "level": block.level.get(),
                "block": block.hash,
                "cell": hex::encode(&row.cell),
                "messages": row.messages.iter().map(hex::encode).collect::<Vec<_>>(),
            }));
        }
    }
    let players = [name.stakers.alice(), name.stakers.bob()];
    let verdicts = reader.verdicts(&rollup.address)?;
    let claims = reader
        .published(&rollup.address)?
        .into_iter()
        .filter(|row| {
            row.commitment.inbox_level == name.inbox_level && players.contains(&row.staker)
        });
    let claims: Vec<_> = claims
        .map(|row| {
            let hash = row.commitment.hash();
            let verdict = verdicts.iter().find(|verdict| verdict.commitment == hash);
            json!({
                "staker": row.staker,
                "commitment": row.commitment.to_json(dialect),
                "verdict": verdict.map(|verdict| verdict.judgement.word()),
            })
        })
        .collect();
    let positions: Vec<_> = reader
        .positions(name)?
        .into_iter()
        .map(|row| {
            json!({
                "level": row.level.get(),
                "position": hex::encode(row.position.0),
                "game": hex::encode(&row.content),
                "alice_left": row.alice_left,
                "bob_left": row.bob_left,
                "last_turn_level": row.last_turn.get(),
            })
        })
        .collect();
    let moves: Vec<_> = reader
        .moves(name)?
        .into_iter()
        .map(|row| {
            json!({
                "position": hex::encode(row.position.0),
                "kind": row.kind,
                "refutation": row.refutation.map(hex::encode),
                "milliseconds": row.milliseconds,
                "detail": serde_json::from_str::<Value>(&row.detail).unwrap_or(Value::Null),
            })
        })
        .collect();
    let operations: Vec<Value> = reader
        .operation_steps()?
        .into_iter()
        .filter_map(|(_, row)| serde_json::from_str(&row.detail).ok())
        .collect();
    let head = reader.head()?;
    let protocol = head.and_then(|block| Protocol::from_hash(&block.protocol));
    Ok(json!({
        "format": FORMAT,
        "protocol": protocol.map(Protocol::version_text),
        "rollup": rollup.address.text(dialect),
        "origination_level": rollup.origination_level.get(),
        "kernel": rollup.kernel.to_string(),
        "alice": name.stakers.alice(),
        "bob": name.stakers.bob(),
        "start_level": name.start.get(),
        "inbox_level": name.inbox_level.get(),
        "parent": parent.map(|(_, parent)| parent.to_json(dialect)),
        "claims": claims,
        "inbox": inbox,
        "positions": positions,
        "moves": moves,
        "operations": operations,
        "end": game.end.map(|(level, ending)| match ending {
            Ending::Loser(loser) => json!({"level": level.get(), "loser": loser}),
            Ending::Draw => json!({"level": level.get(), "draw": true}),
            Ending::Gone => json!({"level": level.get(), "gone": true}),
        }),
    }))
}

/// What is read out of the file.
struct Case {
    facts: Facts,
    stakers: Stakers,
    parent: Commitment,
    claims: Vec<Commitment>,
    positions: Vec<(Vec<u8>, Game)>,
    moves: Map<String, Value>,
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str, String> {
    let found = value.get(key).and_then(Value::as_str);
    found.ok_or_else(|| format!("{key} is missing"))
}

fn level(value: &Value, key: &str) -> Result<Level, String> {
    let number = value.get(key).and_then(Value::as_i64);
    let number = number.ok_or_else(|| format!("{key} is missing"))?;
    Level::try_from(number).map_err(|error| error.to_string())
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a [Value], String> {
    let found = value.get(key).and_then(Value::as_array);
    found
        .map(Vec::as_slice)
        .ok_or_else(|| format!("{key} is missing"))
}

fn bytes(value: &Value, key: &str) -> Result<Vec<u8>, String> {
    hex::decode(text(value, key)?).map_err(|error| format!("{key}: {error}"))
}

impl Case {
    fn read(evidence: &Value) -> Result<Self, String> {
        if text(evidence, "format")? != FORMAT {
            return Err(format!("the format is not {FORMAT}"));
        }
        let (rollup, dialect) = RollupAddress::of_any_dialect(text(evidence, "rollup")?)
            .map_err(|error| error.to_string())?;
        let protocol = Protocol::from_version_text(text(evidence, "protocol")?)
            .ok_or("the protocol is not one this program knows")?;
        let commitment =
            |json: &Value| Commitment::from_json(json, dialect).map_err(|e| e.to_string());
        let account = |key: &str| -> Result<_, String> {
            text(evidence, key)?
                .parse()
                .map_err(|e| format!("{key}: {e}"))
        };
        let mut claims = Vec::new();
        for claim in list(evidence, "claims")? {
            claims.push(commitment(claim.get("commitment").unwrap_or(&Value::Null))?);
        }
        let mut positions = Vec::new();
        for row in list(evidence, "positions")? {
            let content = bytes(row, "game")?;
            let game = Game::read(&mut Bytes::new(&content)).map_err(|e| e.to_string())?;
            positions.push((bytes(row, "position")?, game));
        }
        let mut moves = Map::new();
        for row in list(evidence, "moves")? {
            moves.insert(text(row, "position")?.to_owned(), row.clone());
        }
        Ok(Self {
            facts: Facts {
                activation: Activation::ALL,
                ..Facts::wasm(protocol, rollup, level(evidence, "origination_level")?)
            },
            stakers: Stakers::new(account("alice")?, account("bob")?),
            parent: commitment(evidence.get("parent").unwrap_or(&Value::Null))?,
            claims,
            positions,
            moves,
        })
    }
}

/// Everything that was checked, or the first thing that does not hold.
fn verify(evidence: &Value) -> Result<Vec<String>, String> {
    let case = Case::read(evidence)?;
    let mut checked = Vec::new();
    check_claims(&case)?;
    checked.push(format!(
        "{} claims extend the agreed commitment",
        case.claims.len()
    ));
    let levels = check_inbox(list(evidence, "inbox")?)?;
    checked.push(format!(
        "the inbox of {levels} levels follows from its messages"
    ));
    let (ours, theirs) = check_moves(&case, evidence)?;
    checked.push(format!(
        "{ours} moves of ours and {theirs} of the opponent are what layer 1 accepts"
    ));
    Ok(checked)
}

fn check_claims(case: &Case) -> Result<(), String> {
    let parent = case.parent.hash();
    for claim in &case.claims {
        if claim.predecessor != parent {
            return Err(format!("claim {} does not extend the parent", claim.hash()));
        }
    }
    let Some((_, first)) = case.positions.first() else {
        return Ok(());
    };
    let GameState::Dissecting { dissection, .. } = &first.state else {
        return Ok(());
    };
    let is_opening = |claim: &Commitment| {
        game::initial_dissection(&case.parent, claim).as_slice() == dissection.as_slice()
    };
    if dissection.len() == 3 && !case.claims.iter().any(is_opening) {
        return Err("the first position is not the opening about any claim".into());
    }
    Ok(())
}

fn check_inbox(rows: &[Value]) -> Result<usize, String> {
    let mut before: Option<HistoryCell> = None;
    for row in rows {
        let at = level(row, "level")?;
        let cell = bytes(row, "cell")?;
        let cell = HistoryCell::read(&mut Bytes::new(&cell)).map_err(|e| e.to_string())?;
        let messages: Result<Vec<_>, _> = list(row, "messages")?
            .iter()
            .map(|message| hex::decode(message.as_str().unwrap_or_default()))
            .collect();
        let messages = LevelMessages::new(messages.map_err(|e| e.to_string())?)
            .ok_or_else(|| format!("level {at} has no messages"))?;
        if messages.witness() != cell.witness || cell.level != at {
            return Err(format!("the messages of level {at} do not make its inbox"));
        }
        if let Some(before) = &before
            && cell.back_pointers.first() != Some(&before.hash())
        {
            return Err(format!(
                "the inbox of level {at} does not follow the one before"
            ));
        }
        before = Some(cell);
    }
    Ok(rows.len())
}

fn check_moves(case: &Case, evidence: &Value) -> Result<(usize, usize), String> {
    let (mut ours, mut theirs) = (0_usize, 0_usize);
    for (index, (position, game)) in case.positions.iter().enumerate() {
        let next = case
            .positions
            .get(index.saturating_add(1))
            .map(|(_, next)| next);
        let found = case.moves.get(&hex::encode(position));
        let refutation = found.and_then(|found| found.get("refutation")?.as_str());
        let Some(refutation) = refutation else {
            if let Some(next) = next {
                check_theirs(case.facts.machine, game, next)?;
                theirs = theirs.saturating_add(1);
            }
            continue;
        };
        let refutation = hex::decode(refutation)
            .ok()
            .and_then(|bytes| move_of(&bytes))
            .ok_or("a move of ours cannot be read")?;
        let player = case.stakers.account(game.turn);
        let ruling = game::judge(&case.facts, &case.stakers, game, &player, &refutation)
            .map_err(|error| format!("a move of ours is refused: {error}"))?;
        match (ruling, next) {
            (Ruling::Continues { game: after, .. }, Some(next)) if after.state != next.state => {
                return Err("a position does not follow from our move".into());
            }
            (Ruling::Ended { result, .. }, None) => check_end(&result, evidence)?,
            (Ruling::Ended { .. }, Some(_)) => {
                return Err("the game goes on after a move that ends it".into());
            }
            (Ruling::Continues { .. }, _) => {}
        }
        ours = ours.saturating_add(1);
    }
    Ok((ours, theirs))
}

fn check_end(result: &GameResult, evidence: &Value) -> Result<(), String> {
    let end = evidence.get("end").unwrap_or(&Value::Null);
    let holds = match result {
        GameResult::Loser { loser, .. } => {
            end.get("loser").and_then(Value::as_str) == Some(loser.to_string().as_str())
        }
        GameResult::Draw => end.get("draw").is_some(),
    };
    if holds || end.is_null() {
        Ok(())
    } else {
        Err("the game did not end as our last move ends it".into())
    }
}

/// The opponent's operation is not kept: a dissection shows what it was, a wrong proof too.
fn check_theirs(machine: Machine, game: &Game, next: &Game) -> Result<(), String> {
    let GameState::Dissecting {
        dissection,
        default_number_of_sections,
    } = &game.state
    else {
        return Err("a game went on after its final move".into());
    };
    let section_at = |start: &DissectionChunk| {
        let mut sections = dissection.iter().zip(dissection.iter().skip(1));
        sections.find(|(chunk, _)| chunk.tick == start.tick)
    };
    match &next.state {
        GameState::Dissecting { dissection, .. } => {
            let first = dissection.first().ok_or("an empty dissection")?;
            let (start, stop) = section_at(first).ok_or("no section starts there")?;
            let interval = Dissectable {
                start: *start,
                stop: *stop,
                sections: *default_number_of_sections,
            };
            game::check_dissection(machine, &interval, dissection)
                .map_err(|error| format!("a dissection of the opponent: {error}"))
        }
        GameState::FinalMove { agreed_start, .. } => section_at(agreed_start)
            .map(|_| ())
            .ok_or_else(|| "a final move about no section".to_owned()),
    }
}
