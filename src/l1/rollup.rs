//! Questions about one rollup at one block, answered in the chain's types.
//!
//! Promises: all answers of one [`RollupAt`] belong to the same block; a commitment is checked
//! against its hash. Refuses to know: which commitment is true. In the last block of a protocol
//! the next protocol answers.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::block::Interest;
use super::client::{BlockId, Client};
use super::dialect::{
    commitment_leaf, commitments_leaf, conflicts_leaf, games_leaf, rollup_path, shared_path,
    stakers_leaf, timeout_leaf,
};
use super::endpoint::json;
use super::error::{Fault, L1Error, NodeError};
use super::receipts::commitment_of;
use super::views::{
    CommitmentPlace, ConflictView, Genesis, InboxCell, RawConflict, RawGameEntry, RawInbox,
    checked, conflict_of, game_of, inbox_of, label, number,
};
use crate::crypto::Dialect;
use crate::protocol::operation::{Origination, PvmKind, Stakers};
use crate::protocol::{
    Clock, Commitment, CommitmentHash, Dialected, Game, Level, PublicKeyHash, RollupAddress,
};

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
            inbox_of(raw, dialect)
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
        absent_when(outcome, |error| error.is_rollup_error("unknown_commitment"))
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

    /// Index of a staker; none when the account has no bond. The protocol reads it from its storage
    /// without a look whether it is there (`staker_id_uncarbonated`), so its refusal says just that.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn staker_index(&self, staker: &PublicKeyHash) -> Result<Option<u64>, L1Error> {
        let read = |bytes: &[u8]| number(&json::<Cow<'_, str>>(bytes)?);
        let outcome = self.ask(format!("staker/{staker}/index"), read).await;
        absent_when(outcome, |error| {
            error.is_missing_in_storage() || error.is_rollup_error("not_staked")
        })
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
        let not_staked = |error: &NodeError| error.is_rollup_error("not_staked");
        let Some(Some((hash, level))) = absent_when(outcome, not_staked)? else {
            return Ok(None);
        };
        // The older dialect answers the hash alone.
        let level = match level {
            Some(level) => Some(level),
            None => self.commitment(&hash).await?.map(|found| found.inbox_level),
        };
        Ok(level.map(|level| CommitmentPlace { hash, level }))
    }

    /// Games of a staker, with both players.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn games(&self, staker: &PublicKeyHash) -> Result<Vec<(Stakers, Game)>, L1Error> {
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
            raws.into_iter()
                .map(|raw| conflict_of(raw, self.dialect))
                .collect()
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
    ) -> Result<Option<Clock>, L1Error> {
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

/// Nothing, when the chain refuses with an error that says so.
fn absent_when<T>(
    outcome: Result<T, L1Error>,
    says_so: impl Fn(&NodeError) -> bool,
) -> Result<Option<T>, L1Error> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.node_errors().iter().any(says_so) => Ok(None),
        Err(error) => Err(error),
    }
}
