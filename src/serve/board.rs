//! Everything the page shows, in one answer: the status, what stakers claim, and how each game of
//! ours narrowed.
//!
//! Promises: the same facts as the other answers, arranged for drawing; nothing is decided here.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::api;
use super::view::{GameView, View};
use crate::codec;
use crate::journal::{GameName, JournalError, LogFilter, LogKind, LogRow, Reader};
use crate::operation::Entry;
use crate::protocol::operation::{Content, DissectionChunk, Operation, SignedOperation};
use crate::protocol::{Dialected, Game, GameState, Player};

/// Commitments of a rollup that are shown.
const COMMITMENTS: usize = 40;
/// Rows of our operations that are shown.
const OPERATIONS: usize = 12;

/// What the part that comes from the journal depends on: its newest row, and the games shown.
type Key = (i64, Vec<(String, String, i32)>);

/// The last picture of the journal, kept until there is more in it: however many look, it is drawn
/// once.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Option<(Key, Value)>>);

/// The picture that goes with a view.
pub(super) fn board(reader: &Reader, view: &View, kept: &Kept) -> Result<Value, JournalError> {
    let shown = view.play.games.iter();
    let shown = shown.map(|game| (game.rollup.clone(), game.opponent.clone(), game.start_level));
    // Asked first: what is written meanwhile makes the next look draw again.
    let key = (reader.newest()?, shown.collect());
    let mut kept = kept.0.lock().unwrap_or_else(PoisonError::into_inner);
    let mut picture = match &*kept {
        Some((known, picture)) if *known == key => picture.clone(),
        _ => {
            let picture = drawn(reader, view)?;
            *kept = Some((key, picture.clone()));
            picture
        }
    };
    if let Some(fields) = picture.as_object_mut() {
        fields.insert("status".into(), json!(view));
    }
    Ok(picture)
}

/// The same while there is no journal yet.
pub(super) fn blank(view: &View) -> Value {
    json!({
        "status": view, "block_seconds": null, "commitments": {}, "dissections": [], "sent": [],
    })
}

fn drawn(reader: &Reader, view: &View) -> Result<Value, JournalError> {
    let mut claims = serde_json::Map::new();
    for rollup in &view.rollups {
        let listed = api::commitments(reader, &rollup.address, None, COMMITMENTS)?;
        claims.insert(rollup.address.clone(), listed.unwrap_or(Value::Null));
    }
    let mut games = Vec::new();
    for shown in &view.play.games {
        games.push(narrowing(reader, shown)?);
    }
    Ok(json!({
        "block_seconds": block_seconds(reader)?,
        "commitments": claims,
        "dissections": games,
        "sent": sent(reader)?,
    }))
}

/// Time between the last blocks, so that clocks can be told in hours, too.
fn block_seconds(reader: &Reader) -> Result<Option<f64>, JournalError> {
    let Some(head) = reader.head()? else {
        return Ok(None);
    };
    let from = head.level.minus(20).unwrap_or(head.level);
    let blocks = reader.blocks_between(from, head.level)?;
    let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
        return Ok(None);
    };
    let levels = last.level.since(first.level).unwrap_or(0);
    let spent = last.timestamp.saturating_sub(first.timestamp);
    #[allow(clippy::cast_precision_loss)] // seconds between a few blocks
    Ok((levels > 0).then(|| spent as f64 / f64::from(levels)))
}

/// The newest rows about our operations, newest first.
fn sent(reader: &Reader) -> Result<Vec<Value>, JournalError> {
    let rows = reader.log(&LogFilter {
        kinds: vec![LogKind::Sent],
        limit: u32::try_from(OPERATIONS).ok(),
        ..LogFilter::default()
    })?;
    let told = |row: &LogRow| {
        let mut told = row.to_json();
        let entry = row.data.get("detail").map(|detail| match detail {
            Value::String(text) => Entry::from_json(text),
            other => Entry::from_json(&other.to_string()),
        });
        if let (Some(fields), Some(Ok(entry))) = (told.as_object_mut(), entry) {
            fields.insert("what".into(), what(&entry).into());
        }
        told
    };
    Ok(rows.iter().rev().map(told).collect())
}

fn nodes(count: usize) -> String {
    match count {
        1 => "1 node".into(),
        _ => format!("{count} nodes"),
    }
}

/// What a row about an operation says, in one line.
fn what(entry: &Entry) -> String {
    let kinds = |contents: &[Content]| {
        let kinds: Vec<_> = contents
            .iter()
            .map(|c| c.action.kind().to_string())
            .collect();
        kinds.join(", ")
    };
    match entry {
        Entry::WouldSend { unsigned, form, .. } | Entry::Admitted { unsigned, form, .. } => {
            Operation::from_bytes(*form, unsigned)
                .map_or_else(|error| error.to_string(), |read| kinds(&read.contents))
        }
        Entry::Signed { bytes, form, .. } => SignedOperation::from_bytes(*form, bytes).map_or_else(
            |error| error.to_string(),
            |read| kinds(&read.operation.contents),
        ),
        Entry::Injected {
            accepted, refused, ..
        } => match refused.first() {
            None => format!("taken by {}", nodes(accepted.len())),
            Some((_, why)) if accepted.is_empty() => format!("taken by no node: {why}"),
            Some((node, why)) => {
                format!("taken by {}; {node} says: {why}", nodes(accepted.len()))
            }
        },
        Entry::Included { level, errors, .. } if errors.is_empty() => {
            format!("in the block of level {level}")
        }
        Entry::Included { level, errors, .. } => {
            format!(
                "failed in the block of level {level}: {}",
                errors.join(", ")
            )
        }
        Entry::Undone { level, .. } => format!("the block of level {level} left the chain"),
        Entry::Final { level, .. } => format!("the block of level {level} is final"),
        Entry::Held {
            what,
            outcome,
            until,
            ..
        } => format!("{what}: {}, not before level {until}", outcome.word()),
        Entry::Unadvised { what, .. } => {
            format!("{} sent against the node's advice", what.join(", "))
        }
        Entry::Foreign { level, .. } => format!("somebody else used the key at level {level}"),
        Entry::Refused { reason, .. }
        | Entry::Dropped { reason, .. }
        | Entry::Resumed { reason, .. } => reason.clone(),
    }
}

/// The dissections of a game in order, each with the section that the next move attacked.
fn narrowing(reader: &Reader, shown: &GameView) -> Result<Value, JournalError> {
    let mut rows = Vec::new();
    for game in games_of(reader, shown)? {
        let positions = reader.positions(&game)?;
        let read: Vec<Game> = positions
            .iter()
            .filter_map(|position| Game::read(&mut codec::Reader::new(&position.content)).ok())
            .collect();
        let account = shown.opponent.clone();
        for (index, position) in read.iter().enumerate() {
            let GameState::Dissecting { dissection, .. } = &position.state else {
                continue;
            };
            let next = read.get(index.saturating_add(1)).map(|game| &game.state);
            rows.push(row(&game, &account, position.turn, index, dissection, next));
        }
    }
    Ok(Value::Array(rows))
}

fn games_of(reader: &Reader, shown: &GameView) -> Result<Vec<GameName>, JournalError> {
    let rollups = reader.rollups()?;
    let Some(rollup) = rollups
        .iter()
        .find(|row| row.address.text(row.dialect) == shown.rollup)
    else {
        return Ok(Vec::new());
    };
    let games = reader.games(&rollup.address)?.into_iter();
    Ok(games
        .filter(|(game, end)| {
            let players = [game.stakers.alice(), game.stakers.bob()];
            end.is_none()
                && game.start.get() == shown.start_level
                && players
                    .iter()
                    .any(|player| player.to_string() == shown.opponent)
        })
        .map(|(game, _)| game)
        .collect())
}

/// One dissection. It was made by the player whose turn it is not.
fn row(
    game: &GameName,
    opponent: &str,
    turn: Player,
    index: usize,
    dissection: &[DissectionChunk],
    next: Option<&GameState>,
) -> Value {
    let author = match turn {
        Player::Alice => game.stakers.bob(),
        Player::Bob => game.stakers.alice(),
    };
    let by = match (index, author.to_string() == opponent) {
        (0, _) => "opening",
        (_, true) => "theirs",
        (_, false) => "ours",
    };
    let attacked = match next {
        Some(GameState::Dissecting { dissection, .. }) => dissection.first().map(|c| c.tick),
        Some(GameState::FinalMove { agreed_start, .. }) => Some(agreed_start.tick),
        None => None,
    };
    let sections = dissection.len().saturating_sub(1);
    let disputed = attacked
        .and_then(|tick| dissection.iter().position(|chunk| chunk.tick == tick))
        .unwrap_or(sections);
    let ticks: Vec<String> = dissection
        .iter()
        .map(|chunk| chunk.tick.0.to_string())
        .collect();
    json!({"by": by, "ticks": ticks, "disputed": disputed})
}
