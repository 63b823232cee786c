//! Questions about one rollup at one block, answered in the chain's types.
//!
//! Promises: all answers of one [`RollupAt`] belong to the same block; a commitment is checked
//! against its hash. Refuses to know: which commitment is true. In the last block of a protocol
//! the next protocol answers.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::block::Interest;
use super::client::{BlockId, Client};
use super::dialect::{
    commitment_leaf, commitments_leaf, conflicts_leaf, games_leaf, rollup_path, shared_path,
    stakers_leaf, timeout_leaf,
};
use super::endpoint::json;
use super::error::{Fault, L1Error};
use super::receipts::{RawChunk, RawCommitment, chunk_of, commitment_of};
use crate::crypto::Dialect;
use crate::protocol::operation::{DissectionChunk, Origination, PvmKind};
use crate::protocol::{
    Commitment, CommitmentHash, Dialected, InboxHash, Level, PayloadsHash, PublicKeyHash,
    RollupAddress,
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

/// Clocks of a game.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Clocks {
    /// Blocks left to alice.
    pub alice: i32,
    /// Blocks left to bob.
    pub bob: i32,
    /// Level of the last move.
    pub last_turn_level: Level,
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

/// A rollup at a block.
#[derive(Debug, Clone)]
pub struct RollupAt {
    client: Client,
    dialect: Dialect,
    rollup: RollupAddress,
    block: BlockId,
}

impl Client {
    /// A rollup at a block; nothing but the dialect is asked yet.
    ///
    /// # Errors
    /// [`L1Error`] when the dialect of the chain cannot be told.
    pub async fn rollup(&self, rollup: RollupAddress, block: BlockId) -> Result<RollupAt, L1Error> {
        Ok(RollupAt {
            client: self.clone(),
            dialect: self.dialect().await?,
            rollup,
            block,
        })
    }

    /// The inbox at a block, that block's messages included.
    ///
    /// # Errors
    /// [`L1Error`] when no endpoint can tell.
    pub async fn inbox(&self, block: BlockId) -> Result<InboxCell, L1Error> {
        let dialect = self.dialect().await?;
        let leaf = shared_path(dialect, "/inbox");
        let path = format!("/chains/main/blocks/{block}/{leaf}");
        let read = |bytes: &[u8]| {
            let raw: RawInbox<'_> = json(bytes)?;
            cell_of(raw.old_levels_messages, dialect)
        };
        self.ask(&path, read).await
    }

    /// All rollups of the chain at a block.
    ///
    /// # Errors
    /// [`L1Error`] when no endpoint can tell.
    pub async fn rollups(&self, block: BlockId) -> Result<Vec<RollupAddress>, L1Error> {
        let dialect = self.dialect().await?;
        let path = format!("/chains/main/blocks/{block}/{}", shared_path(dialect, ""));
        let read = |bytes: &[u8]| {
            let texts: Vec<Cow<'_, str>> = json(bytes)?;
            let addresses = texts.iter().map(|text| label(text, dialect));
            addresses.collect()
        };
        self.ask(&path, read).await
    }
}

impl RollupAt {
    /// The dialect of the chain.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    fn path(&self, leaf: impl std::fmt::Display) -> String {
        let leaf = rollup_path(self.dialect, &self.rollup, leaf);
        format!("/chains/main/blocks/{}/{leaf}", self.block)
    }

    async fn ask<T>(
        &self,
        leaf: impl std::fmt::Display,
        read: impl Fn(&[u8]) -> Result<T, Fault> + Sync,
    ) -> Result<T, L1Error> {
        let outcome = self.client.ask(&self.path(leaf), read).await;
        outcome.map_err(|error| {
            let unknown = error
                .node_errors()
                .iter()
                .any(|e| e.is_rollup_error("does_not_exist"));
            if unknown {
                self.no_such_rollup()
            } else {
                error
            }
        })
    }

    fn no_such_rollup(&self) -> L1Error {
        L1Error::NoSuchRollup {
            rollup: self.rollup.text(self.dialect),
            block: self.block.to_string(),
        }
    }

    /// Which machine it runs. Also the cheapest way to learn whether it exists.
    ///
    /// # Errors
    /// [`L1Error::NoSuchRollup`] when it does not exist; [`L1Error`] when no endpoint can tell
    /// (likewise for every question below).
    pub async fn kind(&self) -> Result<PvmKind, L1Error> {
        let read = |bytes: &[u8]| {
            let name: String = json(bytes)?;
            PvmKind::from_name(&name)
                .ok_or_else(|| Fault::Unexpected(format!("{name:?} is not a kind of PVM")))
        };
        let outcome = self.ask("kind", read).await;
        outcome.map_err(|error| {
            // The node has no error of its own here: an unknown rollup is an unknown path.
            if error.is_not_found() {
                self.no_such_rollup()
            } else {
                error
            }
        })
    }

    /// Where it began.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn genesis(&self) -> Result<Genesis, L1Error> {
        #[derive(Deserialize)]
        struct Raw<'a> {
            level: Level,
            #[serde(borrow)]
            commitment_hash: Cow<'a, str>,
        }
        let read = |bytes: &[u8]| {
            let raw: Raw<'_> = json(bytes)?;
            Ok(Genesis {
                level: raw.level,
                commitment: label(&raw.commitment_hash, self.dialect)?,
            })
        };
        self.ask("genesis_info", read).await
    }

    /// The last cemented commitment.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn last_cemented(&self) -> Result<CommitmentPlace, L1Error> {
        #[derive(Deserialize)]
        struct Raw<'a> {
            #[serde(borrow)]
            hash: Cow<'a, str>,
            level: Level,
        }
        let read = |bytes: &[u8]| {
            let raw: Raw<'_> = json(bytes)?;
            Ok(CommitmentPlace {
                hash: label(&raw.hash, self.dialect)?,
                level: raw.level,
            })
        };
        self.ask("last_cemented_commitment_hash_with_level", read)
            .await
    }

    /// A commitment still on chain; none when it was never published or was removed.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn commitment(&self, hash: &CommitmentHash) -> Result<Option<Commitment>, L1Error> {
        let read = |bytes: &[u8]| {
            let found = commitment_of(json(bytes)?, self.dialect)?;
            checked(found, hash, self.dialect)
        };
        let outcome = self.ask(commitment_leaf(self.dialect, hash), read).await;
        absent_when(outcome, "unknown_commitment")
    }

    /// Who has an active stake.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn stakers(&self) -> Result<Vec<PublicKeyHash>, L1Error> {
        match self.dialect {
            Dialect::Modern => {
                self.ask(stakers_leaf(self.dialect), |bytes| json(bytes))
                    .await
            }
            Dialect::Scr1 => Ok(self.stands().await?.into_keys().collect()),
        }
    }

    /// Each staker with the newest commitment it stands on, where the chain says so in one answer
    /// (the older dialect).
    async fn stands(&self) -> Result<BTreeMap<PublicKeyHash, CommitmentHash>, L1Error> {
        #[derive(Deserialize)]
        struct Raw<'a> {
            staker: PublicKeyHash,
            #[serde(borrow)]
            commitment: Cow<'a, str>,
        }
        let read = |bytes: &[u8]| {
            let raws: Vec<Raw<'_>> = json(bytes)?;
            let stands = raws
                .iter()
                .map(|raw| Ok((raw.staker, label(&raw.commitment, self.dialect)?)));
            stands.collect::<Result<_, Fault>>()
        };
        self.ask(stakers_leaf(Dialect::Scr1), read).await
    }

    /// Hashes of the commitments published for an inbox level and still on chain.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn commitments_at(&self, level: Level) -> Result<Vec<CommitmentHash>, L1Error> {
        if self.dialect == Dialect::Scr1 {
            let by_commitment = self.stakes_by_branch(level).await?;
            return Ok(by_commitment.into_keys().collect());
        }
        let read = |bytes: &[u8]| {
            let texts: Option<Vec<Cow<'_, str>>> = json(bytes)?;
            let texts = texts.unwrap_or_default();
            texts.iter().map(|text| label(text, self.dialect)).collect()
        };
        self.ask(commitments_leaf(level), read).await
    }

    /// Commitments of an inbox level with their active stakers.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn stakes_at(
        &self,
        level: Level,
    ) -> Result<BTreeMap<CommitmentHash, BTreeSet<PublicKeyHash>>, L1Error> {
        match self.dialect {
            Dialect::Modern => self.stakes_by_index(level).await,
            Dialect::Scr1 => self.stakes_by_branch(level).await,
        }
    }

    async fn stakes_by_index(
        &self,
        level: Level,
    ) -> Result<BTreeMap<CommitmentHash, BTreeSet<PublicKeyHash>>, L1Error> {
        let hashes = self.commitments_at(level).await?;
        if hashes.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut accounts = BTreeMap::new();
        for staker in self.stakers().await? {
            if let Some(index) = self.staker_index(&staker).await? {
                accounts.insert(index, staker);
            }
        }
        let mut stakes = BTreeMap::new();
        for hash in hashes {
            let indexes = self.stakers_indexes(&hash).await?;
            // An index without an account is that of a staker who left or lost.
            let stakers = indexes
                .iter()
                .filter_map(|index| accounts.get(index))
                .copied();
            stakes.insert(hash, stakers.collect());
        }
        Ok(stakes)
    }

    /// In the older dialect a staker stands on a branch: its commitment and all before it.
    async fn stakes_by_branch(
        &self,
        level: Level,
    ) -> Result<BTreeMap<CommitmentHash, BTreeSet<PublicKeyHash>>, L1Error> {
        let mut stakes = BTreeMap::<_, BTreeSet<_>>::new();
        let mut known = BTreeMap::<CommitmentHash, Option<Commitment>>::new();
        for (staker, mut hash) in self.stands().await? {
            loop {
                let found = match known.get(&hash) {
                    Some(found) => *found,
                    None => self.commitment(&hash).await?,
                };
                known.insert(hash, found);
                match found {
                    Some(above) if above.inbox_level > level => hash = above.predecessor,
                    Some(here) if here.inbox_level == level => {
                        stakes.entry(hash).or_default().insert(staker);
                        break;
                    }
                    _ => break,
                }
            }
        }
        Ok(stakes)
    }

    /// Indexes of the stakers of a commitment, those who left included.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn stakers_indexes(&self, hash: &CommitmentHash) -> Result<Vec<u64>, L1Error> {
        let leaf = format!("{}/stakers_indexes", commitment_leaf(self.dialect, hash));
        let read = |bytes: &[u8]| {
            let texts: Vec<Cow<'_, str>> = json(bytes)?;
            texts.iter().map(|text| number(text)).collect()
        };
        self.ask(leaf, read).await
    }

    /// Index of a staker; none when the account has no bond.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn staker_index(&self, staker: &PublicKeyHash) -> Result<Option<u64>, L1Error> {
        let read = |bytes: &[u8]| number(&json::<Cow<'_, str>>(bytes)?);
        let outcome = self.ask(format!("staker/{staker}/index"), read).await;
        absent_when(outcome, "not_staked")
    }

    /// The newest uncemented commitment of a staker; none when there is none or it has no bond.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn staked_on(
        &self,
        staker: &PublicKeyHash,
    ) -> Result<Option<CommitmentPlace>, L1Error> {
        #[derive(Deserialize)]
        struct Raw<'a> {
            #[serde(borrow)]
            hash: Cow<'a, str>,
            inbox_level: Option<Level>,
        }
        let read = |bytes: &[u8]| {
            let raw: Option<Raw<'_>> = json(bytes)?;
            let place = |raw: Raw<'_>| Ok((label(&raw.hash, self.dialect)?, raw.inbox_level));
            raw.map(place).transpose()
        };
        let outcome = self
            .ask(format!("staker/{staker}/staked_on_commitment"), read)
            .await;
        let Some(Some((hash, level))) = absent_when(outcome, "not_staked")? else {
            return Ok(None);
        };
        // The older dialect answers the hash alone.
        let level = match level {
            Some(level) => Some(level),
            None => self.commitment(&hash).await?.map(|found| found.inbox_level),
        };
        Ok(level.map(|level| CommitmentPlace { hash, level }))
    }

    /// Games of a staker.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn games(&self, staker: &PublicKeyHash) -> Result<Vec<GameView>, L1Error> {
        let read = |bytes: &[u8]| {
            let raws: Vec<RawGameEntry<'_>> = match self.dialect {
                Dialect::Modern => json(bytes)?,
                Dialect::Scr1 => json::<Option<_>>(bytes)?.into_iter().collect(),
            };
            raws.into_iter()
                .map(|raw| game_of(raw, self.dialect))
                .collect()
        };
        self.ask(games_leaf(self.dialect, staker), read).await
    }

    /// Conflicts of a staker as the node counts them: a cross-check, not the truth.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn conflicts(&self, staker: &PublicKeyHash) -> Result<Vec<ConflictView>, L1Error> {
        let read = |bytes: &[u8]| {
            let raws: Vec<RawConflict<'_>> = json(bytes)?;
            let conflicts = raws.into_iter().map(|raw| {
                Ok(ConflictView {
                    other: raw.other,
                    theirs: commitment_of(raw.their_commitment, self.dialect)?,
                    ours: commitment_of(raw.our_commitment, self.dialect)?,
                    parent: label(&raw.parent_commitment, self.dialect)?,
                })
            });
            conflicts.collect()
        };
        self.ask(conflicts_leaf(self.dialect, staker), read).await
    }

    /// Clocks of the game between two stakers; none when they play none.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn clocks(
        &self,
        one: &PublicKeyHash,
        two: &PublicKeyHash,
    ) -> Result<Option<Clocks>, L1Error> {
        self.ask(timeout_leaf(self.dialect, one, two), |bytes| json(bytes))
            .await
    }

    /// Who may stake; none when anybody may.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn whitelist(&self) -> Result<Option<Vec<PublicKeyHash>>, L1Error> {
        if self.dialect == Dialect::Scr1 {
            return Ok(None);
        }
        let outcome = self.ask("whitelist", |bytes| json(bytes)).await;
        match outcome {
            // Protocols before Oxford have no private rollups and no such path.
            Err(error) if error.is_not_found() => Ok(None),
            other => other,
        }
    }

    /// How it was originated, kernel included, read from the block of its origination level.
    ///
    /// # Errors
    /// [`L1Error::NoOrigination`] when no operation of that block originated it (it was made by a
    /// protocol migration or at activation): the kernel has to be given by file.
    pub async fn origination(&self) -> Result<Origination, L1Error> {
        let level = self.genesis().await?.level;
        let interest = Interest {
            rollups: BTreeSet::from([self.rollup]),
            ..Interest::default()
        };
        let block = self
            .client
            .loose_block(BlockId::Level(level), &interest)
            .await?;
        let hash = block.header.hash;
        block.origination().ok_or_else(|| L1Error::NoOrigination {
            rollup: self.rollup.text(self.dialect),
            level,
            block: hash,
        })
    }
}

#[derive(Deserialize)]
struct RawInbox<'a> {
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
struct RawGameEntry<'a> {
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

fn game_of(raw: RawGameEntry<'_>, dialect: Dialect) -> Result<GameView, Fault> {
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
struct RawConflict<'a> {
    other: PublicKeyHash,
    #[serde(borrow)]
    their_commitment: RawCommitment<'a>,
    #[serde(borrow)]
    our_commitment: RawCommitment<'a>,
    #[serde(borrow)]
    parent_commitment: Cow<'a, str>,
}

fn label<T: Dialected>(text: &str, dialect: Dialect) -> Result<T, Fault> {
    T::from_text(text, dialect).map_err(|e| Fault::Unexpected(e.to_string()))
}

fn number(text: &str) -> Result<u64, Fault> {
    text.parse()
        .map_err(|e| Fault::Unexpected(format!("{text:?} is not a number: {e}")))
}

fn checked(
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

/// Nothing, when the chain refuses with this error.
fn absent_when<T>(outcome: Result<T, L1Error>, name: &str) -> Result<Option<T>, L1Error> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.node_errors().iter().any(|e| e.is_rollup_error(name)) => Ok(None),
        Err(error) => Err(error),
    }
}
