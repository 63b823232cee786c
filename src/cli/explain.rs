//! `watchtower explain`: one game in plain words, from the journal alone.

use serde_json::{Value, json};

use super::args::ExplainArgs;
use super::exit::{Exit, Failure};
use super::games::{Listed, called_from, find};
use super::output::line;
use crate::config::Config;
use crate::journal::{Ending, Judgement, Reader, StoredDecision, StoredMove};
use crate::operation::Entry;
use crate::protocol::operation::{Action, Operation, Refutation, SignedOperation};
use crate::protocol::{
    Dialected, GameState, Gas, Level, Mutez, OperationHash, PublicKeyHash, StateHash,
};
use crate::tower::move_of;

pub(super) fn run(config: &Config, command: &ExplainArgs) -> Result<Exit, Failure> {
    let reader = Reader::open(&config.journal_path())?;
    let account = Account::read(&reader, &command.game, config.signer.fee_cap)?;
    if command.json {
        line(account.to_json().to_string())?;
    } else {
        for text in account.told() {
            line(text)?;
        }
    }
    Ok(Exit::Fine)
}

/// Who claims what at the disputed level.
struct Claim {
    staker: PublicKeyHash,
    commitment: String,
    state: String,
    ticks: u64,
    verdict: String,
}

/// Everything that is told.
struct Account {
    game: Listed,
    claims: Vec<Claim>,
    table: Vec<(String, String)>,
    moves: Vec<StoredMove>,
    next: Option<StoredMove>,
    cost: Cost,
    head: Option<Level>,
    decisions: Vec<StoredDecision>,
}

impl Account {
    fn read(reader: &Reader, wanted: &str, fee_cap: Mutez) -> Result<Self, Failure> {
        let game = find(reader, wanted)?;
        let moves = reader.moves(&game.name)?;
        let next = game.last.as_ref().and_then(|last| {
            let mut moves = moves.iter();
            moves.find(|found| found.position == last.position).cloned()
        });
        let players = [game.name.stakers.alice(), game.name.stakers.bob()];
        let texts = players.map(|player| player.to_string());
        let decisions = reader
            .decisions(&game.name.rollup, 1000)?
            .into_iter()
            .filter(|row| texts.iter().any(|text| row.what.contains(text)))
            .take(8)
            .collect();
        Ok(Self {
            claims: claims(reader, &game, players)?,
            table: table(&game),
            cost: Cost::read(reader, &game, fee_cap)?,
            head: reader.head()?.map(|block| block.level),
            game,
            moves,
            next,
            decisions,
        })
    }

    fn told(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "Game #{} on {}, about level {}, opened at level {}.",
            self.game.number,
            self.game.name.rollup.text(self.game.rollup.dialect),
            self.game.name.inbox_level,
            self.game.name.start
        )];
        lines.push("\nClaims".into());
        for claim in &self.claims {
            lines.push(format!(
                "  {} stands on {}\n    state {} after {} ticks: {}",
                claim.staker, claim.commitment, claim.state, claim.ticks, claim.verdict
            ));
        }
        if let Some((level, ending)) = self.game.end {
            lines.push(format!("\nOver at level {level}: {}", told_end(ending)));
        } else {
            lines.extend(self.standing());
        }
        lines.push(format!("\nMoves of ours: {}", self.moves.len()));
        for found in &self.moves {
            lines.push(format!(
                "  {} in {} ms, {} bytes",
                found.kind,
                found.milliseconds,
                found.refutation.as_ref().map_or(0, Vec::len)
            ));
        }
        if !self.decisions.is_empty() {
            lines.push("\nLast decisions, newest first".into());
        }
        for row in &self.decisions {
            lines.push(format!(
                "  level {} {} {}: {}{}",
                row.level,
                row.verb,
                row.what,
                row.reason,
                row.hold
                    .as_ref()
                    .map_or(String::new(), |hold| format!(" (held: {hold})"))
            ));
        }
        lines
    }

    /// Where it stands, what comes next, by when, and what if not.
    fn standing(&self) -> Vec<String> {
        let Some(last) = &self.game.last else {
            return Vec::new();
        };
        let mover = self.game.name.stakers.account(last.turn);
        let mut lines = vec!["\nOn the table".to_owned()];
        lines.extend(
            self.table
                .iter()
                .map(|(tick, state)| format!("  tick {tick}: {state}")),
        );
        lines.push(format!("\n{mover} has to move."));
        match &self.next {
            Some(found) if found.kind == "none" => {
                lines.push(format!("We have no move: {}", field(found, "reason")));
            }
            Some(found) => {
                lines.push(format!(
                    "We send a {}: agreed up to {}, disputed at {}. Expected: {}.",
                    found.kind,
                    point(found, "agreed"),
                    point(found, "disputed"),
                    field(found, "expected")
                ));
                lines.extend(self.cost.told());
            }
            None => {
                if let Some(found) = self.moves.iter().rev().find(|found| found.kind != "none") {
                    lines.push(format!(
                        "Our last move, a {}: agreed up to {}, disputed at {}.",
                        found.kind,
                        point(found, "agreed"),
                        point(found, "disputed")
                    ));
                }
                lines.push("The next move is not ours to make, or not found yet.".into());
                lines.extend(self.cost.told());
            }
        }
        let deadline = called_from(last).saturating_sub(1);
        let left = self.head.map_or(String::new(), |head| {
            let left = deadline.saturating_sub(i64::from(head.get()));
            format!(", {left} blocks after the head at level {head}")
        });
        lines.push(format!(
            "The move must be in a block of level {deadline} at the latest{left}."
        ));
        lines.push(format!("{}.", capitalized(&self.game.foreseen_words())));
        let from = called_from(last);
        lines.push(match &last.game().map(|game| game.state) {
            Some(GameState::FinalMove { .. }) => format!(
                "From level {from} on anybody can end it by the clock: both would lose their stake."
            ),
            _ => format!(
                "From level {from} on anybody can end it by the clock: {mover} would lose its stake."
            ),
        });
        lines
    }

    fn to_json(&self) -> Value {
        let claims = self.claims.iter().map(|claim| {
            json!({
                "staker": claim.staker,
                "commitment": claim.commitment,
                "state": claim.state,
                "ticks": claim.ticks.to_string(),
                "verdict": claim.verdict,
            })
        });
        let table = self.table.iter();
        json!({
            "number": self.game.number,
            "inbox_level": self.game.name.inbox_level.get(),
            "start_level": self.game.name.start.get(),
            "claims": claims.collect::<Vec<_>>(),
            "table": table.map(|(tick, state)| json!({"tick": tick, "state": state})).collect::<Vec<_>>(),
            "to_move": self.game.last.as_ref().map(|last| self.game.name.stakers.account(last.turn)),
            "clock_called_from": self.game.last.as_ref().map(called_from),
            "head": self.head.map(Level::get),
            "deadline": self.game.last.as_ref().map(|last| called_from(last).saturating_sub(1)),
            "forecast": self.game.foreseen_words(),
            "cost": self.cost.to_json(),
            "next": self.next.as_ref().map(|found| json!({
                "kind": found.kind,
                "detail": serde_json::from_str::<Value>(&found.detail).unwrap_or(Value::Null),
            })),
            "over": self.game.end.map(|(level, ending)| json!({
                "level": level.get(),
                "how": told_end(ending),
            })),
        })
    }
}

/// What our next move costs, and what is at stake.
struct Cost {
    /// The last operation made in this game.
    last: Option<Made>,
    /// The most that the gate signs.
    fee_cap: Mutez,
    /// The bond that is lost with a game.
    stake: Option<Mutez>,
}

/// An operation as it was made, its fee settled from its simulation.
struct Made {
    level: Level,
    operation: Option<OperationHash>,
    fee: Mutez,
    gas: Gas,
    /// Of how many contents it is made.
    contents: usize,
    refutation: Refutation,
    is_next: bool,
}

impl Cost {
    fn read(reader: &Reader, game: &Listed, fee_cap: Mutez) -> Result<Self, Failure> {
        let mut last = None;
        for (_, row) in reader.operation_steps()? {
            let made = match Entry::from_json(&row.detail) {
                Ok(Entry::Signed {
                    hash,
                    bytes,
                    form,
                    level,
                    ..
                }) => SignedOperation::from_bytes(form, &bytes)
                    .ok()
                    .and_then(|signed| Made::of(&signed.operation, game, level, Some(hash))),
                Ok(Entry::WouldSend {
                    unsigned,
                    form,
                    level,
                    ..
                }) => Operation::from_bytes(form, &unsigned)
                    .ok()
                    .and_then(|operation| Made::of(&operation, game, level, None)),
                _ => None,
            };
            last = made.or(last);
        }
        if let Some(made) = &mut last {
            let next = game.last.as_ref();
            let moves = reader.moves(&game.name)?;
            let next = next.and_then(|last| moves.iter().find(|m| m.position == last.position));
            let next = next.and_then(|found| move_of(found.refutation.as_deref()?));
            made.is_next = next.as_ref() == Some(&made.refutation);
        }
        Ok(Self {
            last,
            fee_cap,
            stake: reader.constants()?.last().and_then(|row| row.stake),
        })
    }

    fn told(&self) -> Vec<String> {
        let fee = match &self.last {
            Some(made) => format!(
                "{} costs a fee of {} mutez for {} units of gas{}, settled from its simulation at level {}{}.",
                if made.is_next {
                    "It"
                } else {
                    "The last operation in this game"
                },
                made.fee.0,
                made.gas.0,
                if made.contents > 1 {
                    format!(", with {} more contents", made.contents.saturating_sub(1))
                } else {
                    String::new()
                },
                made.level,
                made.operation
                    .map_or(String::new(), |hash| format!(" ({hash})"))
            ),
            None => format!(
                "Its fee is settled when it is simulated: none was yet in this game; the gate signs up to {} mutez.",
                self.fee_cap.0
            ),
        };
        let stake = self
            .stake
            .map(|stake| format!("At stake for either player: {} mutez, its bond.", stake.0));
        std::iter::once(fee).chain(stake).collect()
    }

    fn to_json(&self) -> Value {
        json!({
            "fee": self.last.as_ref().map(|made| json!({
                "mutez": made.fee.0.to_string(),
                "gas": made.gas.0.to_string(),
                "contents": made.contents,
                "level": made.level.get(),
                "operation": made.operation,
                "is_of_next_move": made.is_next,
            })),
            "fee_cap": self.fee_cap.0.to_string(),
            "stake": self.stake.map(|stake| stake.0.to_string()),
        })
    }
}

impl Made {
    fn of(
        operation: &Operation,
        game: &Listed,
        level: Level,
        hash: Option<OperationHash>,
    ) -> Option<Self> {
        let players = [game.name.stakers.alice(), game.name.stakers.bob()];
        let mut contents = operation.contents.iter();
        let refutation = contents.find_map(|content| match &content.action {
            Action::Refute {
                rollup,
                opponent,
                refutation,
            } if *rollup == game.name.rollup
                && players.contains(opponent)
                && players.contains(&content.source) =>
            {
                Some(refutation.clone())
            }
            _ => None,
        })?;
        let fee = operation.contents.iter().map(|content| content.fee.0);
        let gas = operation.contents.iter().map(|content| content.gas_limit.0);
        Some(Self {
            level,
            operation: hash,
            fee: Mutez(fee.fold(0, u64::saturating_add)),
            gas: Gas(gas.fold(0, u64::saturating_add)),
            contents: operation.contents.len(),
            refutation,
            is_next: false,
        })
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}", first.unwrap_or_default(), letters.as_str())
}

fn told_end(ending: Ending) -> String {
    match ending {
        Ending::Loser(loser) => format!("{loser} lost its stake"),
        Ending::Draw => "both lost their stake".into(),
        Ending::Gone => "it is no longer on the chain".into(),
    }
}

fn field(found: &StoredMove, key: &str) -> String {
    let detail: Value = serde_json::from_str(&found.detail).unwrap_or(Value::Null);
    let value = detail.get(key).and_then(Value::as_str);
    value.unwrap_or("not told").to_owned()
}

fn point(found: &StoredMove, key: &str) -> String {
    let detail: Value = serde_json::from_str(&found.detail).unwrap_or(Value::Null);
    let tick = detail.get(key).and_then(|chunk| chunk.get("tick"));
    let tick = tick.and_then(Value::as_str);
    tick.map_or_else(|| "not told".into(), |tick| format!("tick {tick}"))
}

fn claims(
    reader: &Reader,
    game: &Listed,
    players: [PublicKeyHash; 2],
) -> Result<Vec<Claim>, Failure> {
    let verdicts = reader.verdicts(&game.name.rollup)?;
    let dialect = game.rollup.dialect;
    let rows = reader
        .published(&game.name.rollup)?
        .into_iter()
        .filter(|row| {
            row.commitment.inbox_level == game.name.inbox_level && players.contains(&row.staker)
        });
    Ok(rows
        .map(|row| {
            let hash = row.commitment.hash();
            let verdict = verdicts.iter().find(|verdict| verdict.commitment == hash);
            Claim {
                staker: row.staker,
                commitment: hash.text(dialect),
                state: row.commitment.compressed_state.text(dialect),
                ticks: row.commitment.number_of_ticks,
                verdict: match verdict.map(|row| &row.judgement) {
                    Some(Judgement::True) => "true".into(),
                    Some(Judgement::False { field, .. }) => format!("false, its {field} differs"),
                    Some(Judgement::NotJudgeable { reason, .. }) => {
                        format!("not judgeable: {reason}")
                    }
                    None => "not judged".into(),
                },
            }
        })
        .collect())
}

fn table(game: &Listed) -> Vec<(String, String)> {
    let dialect = game.rollup.dialect;
    let text = |state: Option<StateHash>| {
        state.map_or_else(
            || "no state: the machine is stuck".into(),
            |state| state.text(dialect),
        )
    };
    match game
        .last
        .as_ref()
        .and_then(|last| last.game())
        .map(|game| game.state)
    {
        Some(GameState::Dissecting { dissection, .. }) => dissection
            .iter()
            .map(|chunk| (chunk.tick.to_string(), text(chunk.state)))
            .collect(),
        Some(GameState::FinalMove {
            agreed_start,
            refuted_stop,
        }) => [agreed_start, refuted_stop]
            .iter()
            .map(|chunk| (chunk.tick.to_string(), text(chunk.state)))
            .collect(),
        None => Vec::new(),
    }
}
