//! A game of the journal as evidence.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::FORMAT;
use crate::cli::exit::Failure;
use crate::cli::games::Listed;
use crate::codec::Reader as Bytes;
use crate::inbox::{InboxProof, LevelMessages};
use crate::journal::{Ending, InboxRow, Reader, StoredMove, StoredPosition};
use crate::operation::Entry;
use crate::protocol::operation::{Action, Refutation, SignedOperation, Step};
use crate::protocol::{
    Commitment, Dialected, GameState, HistoryCell, Level, OperationHash, Protocol, PublicKeyHash,
    StateHash, Tick,
};
use crate::tower::move_of;

pub(super) fn export(reader: &Reader, game: &Listed) -> Result<Value, Failure> {
    let (rollup, name) = (&game.rollup, &game.name);
    let dialect = rollup.dialect;
    let own = reader.own_commitments(&rollup.address)?;
    let ours = own
        .iter()
        .find(|(_, own)| own.inbox_level == name.inbox_level)
        .map(|(_, own)| *own);
    let parent = own
        .iter()
        .rev()
        .find(|(_, own)| own.inbox_level < name.inbox_level)
        .map(|(_, own)| *own);
    let positions = course(&reader.positions(name)?);
    let moves: Vec<_> = reader
        .moves(name)?
        .into_iter()
        .filter(|found| positions.iter().any(|row| row.position == found.position))
        .collect();
    let from = parent.map_or(rollup.origination_level, |own| own.inbox_level);
    let (inbox, last) = inbox(reader, from, name.inbox_level)?;
    let snapshot = positions.first().and_then(StoredPosition::game);
    let anchor = match (snapshot, last) {
        (Some(game), Some(last)) => anchor(reader, &game.inbox_snapshot, name.inbox_level, last)?,
        _ => None,
    };
    let head = reader.head()?;
    let protocol = head.and_then(|block| Protocol::from_hash(&block.protocol));
    Ok(json!({
        "format": FORMAT,
        "protocol": protocol.map(Protocol::version_text),
        "rollup": rollup.address.text(dialect),
        "context": {
            "kernel": rollup.kernel.to_string(),
            "origination_level": rollup.origination_level.get(),
            "constants": constants(reader)?,
        },
        "alice": name.stakers.alice(),
        "bob": name.stakers.bob(),
        "start_level": name.start.get(),
        "inbox_level": name.inbox_level.get(),
        "parent": parent.map(|parent| parent.to_json(dialect)),
        "ours": ours.map(|ours| ours.to_json(dialect)),
        "claims": claims(reader, game, ours)?,
        "inbox": inbox,
        "anchor": anchor.map(hex::encode),
        "states": states(&positions, &moves, parent, ours),
        "positions": positions.iter().map(position).collect::<Vec<_>>(),
        "moves": moves.iter().map(played).collect::<Vec<_>>(),
        "operations": operations(reader, game)?,
        "end": game.end.map(|(level, ending)| match ending {
            Ending::Loser(loser) => json!({"level": level.get(), "loser": loser}),
            Ending::Draw => json!({"level": level.get(), "draw": true}),
            Ending::Gone => json!({"level": level.get(), "gone": true}),
        }),
    }))
}

/// The positions that led to the last one: what left the chain with its blocks is left out.
fn course(rows: &[StoredPosition]) -> Vec<StoredPosition> {
    let mut course: Vec<StoredPosition> = Vec::new();
    for row in rows.iter().rev() {
        let leads = course.last().is_none_or(|next| {
            row.turn != next.turn && row.clock().moved(row.turn, next.last_turn) == next.clock()
        });
        if leads {
            course.push(row.clone());
        }
    }
    course.reverse();
    course
}

fn constants(reader: &Reader) -> Result<Vec<Value>, Failure> {
    let rows = reader.constants()?.into_iter();
    let told = rows.map(|row| {
        json!({
            "level": row.level.get(),
            "dal": row.dal,
            "reveals": row.reveals.map(|from| from.map(Level::get)),
        })
    });
    Ok(told.collect())
}

fn claims(reader: &Reader, game: &Listed, ours: Option<Commitment>) -> Result<Vec<Value>, Failure> {
    let (rollup, name) = (&game.rollup, &game.name);
    let players = [name.stakers.alice(), name.stakers.bob()];
    let mut seen: Vec<(PublicKeyHash, Commitment)> = Vec::new();
    for row in reader.published(&rollup.address)? {
        let claim = (row.staker, row.commitment);
        let is_about_it = row.commitment.inbox_level == name.inbox_level;
        if is_about_it && players.contains(&row.staker) && !seen.contains(&claim) {
            seen.push(claim);
        }
    }
    let told = seen.into_iter().map(|(staker, commitment)| {
        json!({
            "staker": staker,
            "commitment": commitment.to_json(rollup.dialect),
            "is_true": ours.map(|ours| ours == commitment),
        })
    });
    Ok(told.collect())
}

/// Every message of the period, and the row of its last level.
fn inbox(
    reader: &Reader,
    from: Level,
    to: Level,
) -> Result<(Vec<Value>, Option<InboxRow>), Failure> {
    let (mut told, mut last) = (Vec::new(), None);
    let first = from.next().unwrap_or(from);
    for block in reader.blocks_between(first, to)? {
        if let Some(row) = reader.inbox(&block.hash)? {
            told.push(json!({
                "level": block.level.get(),
                "cell": hex::encode(&row.cell),
                "messages": row.messages.iter().map(hex::encode).collect::<Vec<_>>(),
            }));
            last = Some(row);
        }
    }
    Ok((told, last))
}

/// The proof that the last level of the period is part of the inbox the game is judged by.
fn anchor(
    reader: &Reader,
    snapshot: &HistoryCell,
    level: Level,
    last: InboxRow,
) -> Result<Option<Vec<u8>>, Failure> {
    let Some(messages) = LevelMessages::new(last.messages) else {
        return Ok(None);
    };
    let first = i64::from(snapshot.level.get())
        .saturating_sub(i64::try_from(snapshot.index).unwrap_or(i64::MAX));
    let cell = |index: u64| {
        let level = i64::try_from(index).ok()?.checked_add(first)?;
        let block = reader.block_at(Level::try_from(level).ok()?).ok()??;
        let row = reader.inbox(&block.hash).ok()??;
        HistoryCell::read(&mut Bytes::new(&row.cell)).ok()
    };
    // Where cells are no longer kept there is no proof of it.
    let proof = InboxProof::produce(snapshot, level, 0, &messages, cell);
    Ok(proof.ok().map(|(proof, _)| proof.to_bytes()))
}

/// Our state at every tick that was on the table as far as we looked at it, with what the opponent
/// claimed there.
fn states(
    positions: &[StoredPosition],
    moves: &[StoredMove],
    parent: Option<Commitment>,
    ours: Option<Commitment>,
) -> Vec<Value> {
    let mut known: BTreeMap<Tick, Option<StateHash>> = BTreeMap::new();
    if let (Some(parent), Some(ours)) = (parent, ours) {
        known.insert(Tick(0), Some(parent.compressed_state));
        let end = Tick(u128::from(ours.number_of_ticks));
        known.insert(end, Some(ours.compressed_state));
    }
    for row in positions {
        let Some(found) = moves.iter().find(|found| found.position == row.position) else {
            continue;
        };
        let Some(Refutation::Move { choice, step }) = found.refutation.as_deref().and_then(move_of)
        else {
            continue;
        };
        let Some(GameState::Dissecting { dissection, .. }) = row.game().map(|game| game.state)
        else {
            continue;
        };
        let agreed = dissection.iter().filter(|chunk| chunk.tick <= choice);
        known.extend(agreed.map(|chunk| (chunk.tick, chunk.state)));
        let stop = dissection.iter().find(|chunk| chunk.tick > choice);
        if let (Some(stop), Some(state)) = (stop, disputed(found)) {
            known.insert(stop.tick, state);
        }
        if let Step::Dissection(chunks) = step {
            known.extend(chunks.iter().map(|chunk| (chunk.tick, chunk.state)));
        }
    }
    let rows = known.into_iter();
    rows.map(
        |(tick, state)| json!({"tick": tick.to_string(), "ours": state.map(|s| hex::encode(s.0))}),
    )
    .collect()
}

/// Our state at the disputed end of the section attacked, as the move was journalled.
fn disputed(found: &StoredMove) -> Option<Option<StateHash>> {
    let detail: Value = serde_json::from_str(&found.detail).ok()?;
    match detail.get("ours")? {
        Value::Null => Some(None),
        Value::String(text) => text.parse().ok().map(Some),
        _ => None,
    }
}

fn position(row: &StoredPosition) -> Value {
    json!({
        "position": hex::encode(row.position.0),
        "game": hex::encode(&row.content),
        "alice_left": row.alice_left,
        "bob_left": row.bob_left,
        "last_turn_level": row.last_turn.get(),
    })
}

fn played(row: &StoredMove) -> Value {
    json!({
        "position": hex::encode(row.position.0),
        "kind": row.kind,
        "refutation": row.refutation.as_ref().map(hex::encode),
    })
}

/// Our operations in this game that are in blocks in force, signatures included.
fn operations(reader: &Reader, game: &Listed) -> Result<Vec<Value>, Failure> {
    let mut signed: BTreeMap<OperationHash, Value> = BTreeMap::new();
    let mut included: Vec<(Level, OperationHash)> = Vec::new();
    for (_, row) in reader.operation_steps()? {
        match Entry::from_json(&row.detail) {
            Ok(Entry::Signed {
                hash, bytes, form, ..
            }) => {
                let read = SignedOperation::from_bytes(form, &bytes);
                let is_ours = read.is_ok_and(|read| {
                    let mut contents = read.operation.contents.iter();
                    contents.any(|content| match &content.action {
                        Action::Refute {
                            rollup, opponent, ..
                        } => {
                            let players = [game.name.stakers.alice(), game.name.stakers.bob()];
                            *rollup == game.name.rollup
                                && players.contains(opponent)
                                && players.contains(&content.source)
                        }
                        _ => false,
                    })
                });
                if is_ours {
                    let form: Value = serde_json::from_str(&row.detail)
                        .ok()
                        .and_then(|json: Value| json.get("form").cloned())
                        .unwrap_or(Value::Null);
                    let told = json!({"hash": hash, "bytes": hex::encode(bytes), "form": form});
                    signed.insert(hash, told);
                }
            }
            Ok(Entry::Included { hash, level, .. }) => included.push((level, hash)),
            Ok(Entry::Undone { hash, level }) => {
                included.retain(|known| *known != (level, hash));
            }
            _ => {}
        }
    }
    let end = game.end.map(|(level, _)| level);
    included.sort_unstable();
    included.retain(|(level, _)| *level >= game.name.start && end.is_none_or(|end| *level <= end));
    let told = included.into_iter().filter_map(|(level, hash)| {
        let mut row = signed.get(&hash)?.clone();
        row.as_object_mut()?
            .insert("included_level".into(), level.get().into());
        Some(row)
    });
    Ok(told.collect())
}
