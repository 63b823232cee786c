//! Everything the page shows, in one answer: the status, what stakers claim, and how each game of
//! ours narrowed.
//!
//! Promises: the same facts as the other answers, arranged for drawing; nothing is decided here.

use serde_json::{Value, json};

use super::api;
use super::view::{GameView, View};
use crate::codec;
use crate::journal::{GameName, JournalError, LogFilter, LogKind, Reader};
use crate::protocol::operation::DissectionChunk;
use crate::protocol::{Dialected, Game, GameState, Player};

/// Commitments of a rollup that are shown.
const COMMITMENTS: usize = 40;
/// Rows of our operations that are shown.
const OPERATIONS: usize = 12;

/// The picture that goes with a view.
pub(super) fn board(reader: &Reader, view: &View) -> Result<Value, JournalError> {
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
        "status": view,
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
    Ok(rows.iter().rev().map(|row| row.to_json()).collect())
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
