//! What nodes answer about rollups: the chain's types and the JSON they are read from.
//!
//! Promises: labels of the chain's own dialect only; a commitment has the hash asked for. Refuses to
//! know: which question brings which answer.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::Fault;
use super::receipts::{RawChunk, RawCommitment, chunk_of, commitment_of};
use crate::crypto::Dialect;
use crate::protocol::operation::Stakers;
use crate::protocol::{
    Commitment, CommitmentHash, DalSnapshot, Dialected, Game, GameState, HistoryCell, InboxHash,
    Level, PayloadsHash, Player, PublicKeyHash,
};

/// Where a rollup began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Genesis {
    /// Origination level.
    pub level: Level,
    /// The commitment made by origination.
    pub commitment: CommitmentHash,
}

/// A commitment by hash and inbox level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitmentPlace {
    /// Its hash.
    pub hash: CommitmentHash,
    /// Its inbox level.
    pub level: Level,
}

/// A cell of the inbox history: the state of the inbox at a level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxCell {
    /// Position in the history.
    pub index: u64,
    /// Witness of the level.
    pub witness: PayloadsHash,
    /// The level.
    pub level: Level,
    /// Pointers to older cells.
    pub back_pointers: Vec<InboxHash>,
}

/// A conflict as the node counts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictView {
    /// The other staker.
    pub other: PublicKeyHash,
    /// Its commitment.
    pub theirs: Commitment,
    /// The commitment of the staker asked about.
    pub ours: Commitment,
    /// What both follow.
    pub parent: CommitmentHash,
}

#[derive(Deserialize)]
pub(super) struct RawInbox<'a> {
    #[serde(borrow)]
    old_levels_messages: RawCell<'a>,
}

#[derive(Deserialize)]
struct RawCell<'a> {
    #[serde(borrow)]
    index: Cow<'a, str>,
    #[serde(borrow)]
    content: RawCellContent<'a>,
    #[serde(borrow)]
    back_pointers: Vec<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct RawCellContent<'a> {
    #[serde(borrow)]
    hash: Cow<'a, str>,
    level: Level,
}

/// The inbox of an answer.
pub(super) fn inbox_of(raw: RawInbox<'_>, dialect: Dialect) -> Result<InboxCell, Fault> {
    cell_of(raw.old_levels_messages, dialect)
}

fn cell_of(raw: RawCell<'_>, dialect: Dialect) -> Result<InboxCell, Fault> {
    let pointers = raw.back_pointers.iter().map(|text| label(text, dialect));
    Ok(InboxCell {
        index: number(&raw.index)?,
        witness: label(&raw.content.hash, dialect)?,
        level: raw.content.level,
        back_pointers: pointers.collect::<Result<_, _>>()?,
    })
}

#[derive(Deserialize)]
pub(super) struct RawGameEntry<'a> {
    #[serde(borrow)]
    game: RawGame<'a>,
    alice: PublicKeyHash,
    bob: PublicKeyHash,
}

#[derive(Deserialize)]
struct RawGame<'a> {
    #[serde(borrow)]
    turn: Cow<'a, str>,
    #[serde(borrow)]
    inbox_snapshot: RawCell<'a>,
    #[serde(borrow, default)]
    dal_snapshot: Option<&'a RawValue>,
    start_level: Level,
    inbox_level: Level,
    #[serde(borrow)]
    game_state: RawGameState<'a>,
}

#[derive(Deserialize)]
struct RawGameState<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    dissection: Vec<RawChunk<'a>>,
    #[serde(default)]
    default_number_of_sections: u32,
    #[serde(borrow, default)]
    agreed_start_chunk: Option<RawChunk<'a>>,
    #[serde(borrow, default)]
    refuted_stop_chunk: Option<RawChunk<'a>>,
}

/// A game and its players, from every form that protocols have shown it in.
pub(super) fn game_of(raw: RawGameEntry<'_>, dialect: Dialect) -> Result<(Stakers, Game), Fault> {
    let game = raw.game;
    let cell = cell_of(game.inbox_snapshot, dialect)?;
    let turn = match game.turn.as_ref() {
        "alice" => Player::Alice,
        "bob" => Player::Bob,
        other => return Err(Fault::Unexpected(format!("{other:?} is no player"))),
    };
    let found = Game {
        turn,
        inbox_snapshot: HistoryCell {
            index: cell.index,
            witness: cell.witness,
            level: cell.level,
            back_pointers: cell.back_pointers,
        },
        dal_snapshot: dal_snapshot(game.dal_snapshot),
        start_level: game.start_level,
        inbox_level: game.inbox_level,
        state: game_state_of(game.game_state, dialect)?,
    };
    Ok((Stakers::new(raw.alice, raw.bob), found))
}

fn game_state_of(state: RawGameState<'_>, dialect: Dialect) -> Result<GameState, Fault> {
    let ends = (state.agreed_start_chunk, state.refuted_stop_chunk);
    match (state.kind.as_ref(), ends) {
        ("Dissecting", _) => {
            let chunks = state.dissection.iter();
            let sections = state.default_number_of_sections;
            Ok(GameState::Dissecting {
                dissection: chunks
                    .map(|chunk| chunk_of(chunk, dialect))
                    .collect::<Result<_, _>>()?,
                default_number_of_sections: u8::try_from(sections)
                    .map_err(|_| Fault::Unexpected(format!("{sections} sections")))?,
            })
        }
        ("Final_move", (Some(agreed), Some(refuted))) => Ok(GameState::FinalMove {
            agreed_start: chunk_of(&agreed, dialect)?,
            refuted_stop: chunk_of(&refuted, dialect)?,
        }),
        (other, _) => Err(Fault::Unexpected(format!(
            "{other:?} is not a whole state of a game"
        ))),
    }
}

/// The forms before Paris are of no use here: pages are not proved.
fn dal_snapshot(raw: Option<&RawValue>) -> DalSnapshot {
    let json: Option<serde_json::Value> = raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
    json.and_then(|json| DalSnapshot::from_json(&json).ok())
        .unwrap_or(DalSnapshot::Legacy([0; 57]))
}

#[derive(Deserialize)]
pub(super) struct RawConflict<'a> {
    other: PublicKeyHash,
    #[serde(borrow)]
    their_commitment: RawCommitment<'a>,
    #[serde(borrow)]
    our_commitment: RawCommitment<'a>,
    #[serde(borrow)]
    parent_commitment: Cow<'a, str>,
}

pub(super) fn conflict_of(raw: RawConflict<'_>, dialect: Dialect) -> Result<ConflictView, Fault> {
    Ok(ConflictView {
        other: raw.other,
        theirs: commitment_of(raw.their_commitment, dialect)?,
        ours: commitment_of(raw.our_commitment, dialect)?,
        parent: label(&raw.parent_commitment, dialect)?,
    })
}

pub(super) fn label<T: Dialected>(text: &str, dialect: Dialect) -> Result<T, Fault> {
    T::from_text(text, dialect).map_err(|e| Fault::Unexpected(e.to_string()))
}

pub(super) fn number(text: &str) -> Result<u64, Fault> {
    text.parse()
        .map_err(|e| Fault::Unexpected(format!("{text:?} is not a number: {e}")))
}

pub(super) fn checked(
    found: Commitment,
    asked: &CommitmentHash,
    dialect: Dialect,
) -> Result<Commitment, Fault> {
    if found.hash() == *asked {
        return Ok(found);
    }
    Err(Fault::Unexpected(format!(
        "the commitment has hash {}, not {}",
        found.hash().text(dialect),
        asked.text(dialect)
    )))
}
