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
use crate::protocol::operation::DissectionChunk;
use crate::protocol::{
    Commitment, CommitmentHash, Dialected, InboxHash, Level, PayloadsHash, PublicKeyHash,
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

/// A player of a game.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The smaller account.
    Alice,
    /// The larger account.
    Bob,
}

/// What a game is about now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GameState {
    /// The interval is being narrowed.
    Dissecting {
        /// The current dissection.
        chunks: Vec<DissectionChunk>,
        /// Sections the next one should have.
        sections: u32,
    },
    /// An invalid proof was given for one tick; the other player may prove.
    FinalMove {
        /// The last state both agree on.
        agreed: DissectionChunk,
        /// The state refuted.
        refuted: DissectionChunk,
    },
}

/// A refutation game as the chain keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GameView {
    /// The smaller account.
    pub alice: PublicKeyHash,
    /// The larger account.
    pub bob: PublicKeyHash,
    /// Who has to move.
    pub turn: Side,
    /// The inbox when the game was opened.
    pub inbox_snapshot: InboxCell,
    /// The slots history when the game was opened, as the node's JSON; empty where there is none.
    pub dal_snapshot: String,
    /// Level of the opening.
    pub start_level: Level,
    /// Inbox level of the commitment defended.
    pub inbox_level: Level,
    /// What it is about now.
    pub state: GameState,
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
    turn: Side,
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

pub(super) fn game_of(raw: RawGameEntry<'_>, dialect: Dialect) -> Result<GameView, Fault> {
    let state = raw.game.game_state;
    let ends = (state.agreed_start_chunk, state.refuted_stop_chunk);
    let state = match (state.kind.as_ref(), ends) {
        ("Dissecting", _) => {
            let chunks = state
                .dissection
                .iter()
                .map(|chunk| chunk_of(chunk, dialect));
            GameState::Dissecting {
                chunks: chunks.collect::<Result<_, _>>()?,
                sections: state.default_number_of_sections,
            }
        }
        ("Final_move", (Some(agreed), Some(refuted))) => GameState::FinalMove {
            agreed: chunk_of(&agreed, dialect)?,
            refuted: chunk_of(&refuted, dialect)?,
        },
        (other, _) => {
            return Err(Fault::Unexpected(format!(
                "{other:?} is not a whole state of a game"
            )));
        }
    };
    let snapshot = raw.game.dal_snapshot.map(RawValue::get).unwrap_or_default();
    Ok(GameView {
        alice: raw.alice,
        bob: raw.bob,
        turn: raw.game.turn,
        inbox_snapshot: cell_of(raw.game.inbox_snapshot, dialect)?,
        dal_snapshot: snapshot.to_owned(),
        start_level: raw.game.start_level,
        inbox_level: raw.game.inbox_level,
        state,
    })
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
