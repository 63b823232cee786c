//! What the chain stores of one smart rollup: the commitment tree, its stakers, its games.
//!
//! Promises: the same tables with the same life time as the protocol's storage
//! (`storage.ml`, `sc_rollup_staker_index_storage.ml`), so that every read-only RPC answers as a
//! node would. The rules that change it are in `rules`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::errors::{Decimal, RuleError};
use super::rules::game::{Game, Timeout};
use crate::protocol::operation::{PvmKind, Stakers};
use crate::protocol::{Commitment, CommitmentHash, Level, PublicKeyHash, RollupAddress, StateHash};

/// Position of a staker in the rollup's counting; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StakerIndex(pub u64);

/// Place of the outbox message that changed a whitelist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WhitelistUpdate {
    /// Its index in the level.
    pub message_index: Decimal,
    /// Its level.
    pub outbox_level: Level,
}

/// Storage of one rollup.
#[derive(Debug, Clone)]
pub struct Rollup {
    /// Its machine.
    pub kind: PvmKind,
    /// Kernel given at origination. The protocol forgets it from Mumbai on; the older dialect shows it.
    pub kernel: Arc<[u8]>,
    /// Type of the parameters of transfers to it, as Micheline bytes.
    pub parameters_type: Arc<[u8]>,
    /// Where it began.
    pub origination_level: Level,
    /// Commitment made by the origination.
    pub genesis: CommitmentHash,
    /// Last cemented commitment.
    pub last_cemented: CommitmentHash,
    /// Every stored commitment: uncemented ones and the newest cemented ones.
    pub commitments: BTreeMap<CommitmentHash, Commitment>,
    /// Level of first publication of each uncemented commitment.
    pub added: BTreeMap<CommitmentHash, Level>,
    /// Per inbox level, level of the first publication of any commitment for it.
    pub first_publication: BTreeMap<Level, Level>,
    /// Per inbox level, its commitments, newest first.
    pub per_level: BTreeMap<Level, Vec<CommitmentHash>>,
    /// Stakers of each uncemented commitment, newest first; removed stakers leave their mark.
    pub stakers_of: BTreeMap<CommitmentHash, Vec<StakerIndex>>,
    /// Accounts with a bond.
    pub staker_index: BTreeMap<PublicKeyHash, StakerIndex>,
    /// Highest inbox level each staker stood on.
    pub highest_stake: BTreeMap<StakerIndex, Level>,
    /// Next index to give.
    pub next_index: u64,
    /// Accounts allowed to publish, on a private rollup.
    pub whitelist: Option<Vec<PublicKeyHash>>,
    /// Outbox messages executed, by slot of a ring of levels: the level and its messages.
    pub executed_outputs: BTreeMap<u32, (Level, BTreeSet<u32>)>,
    /// Outbox message that changed the whitelist last.
    pub last_whitelist_update: WhitelistUpdate,
    /// Games under way.
    pub games: BTreeMap<Stakers, Game>,
    /// Their clocks.
    pub timeouts: BTreeMap<Stakers, Timeout>,
}

impl Rollup {
    /// A rollup just originated: its genesis commitment is the last cemented one. The tables keyed
    /// by inbox level hold the genesis too, for ever, as the protocol's do.
    #[must_use]
    pub fn originated(kind: PvmKind, kernel: Arc<[u8]>, genesis: Commitment) -> Self {
        let (hash, level) = (genesis.hash(), genesis.inbox_level);
        Self {
            kind,
            kernel,
            parameters_type: Arc::from([]),
            origination_level: level,
            genesis: hash,
            last_cemented: hash,
            commitments: BTreeMap::from([(hash, genesis)]),
            added: BTreeMap::from([(hash, level)]),
            first_publication: BTreeMap::from([(level, level)]),
            per_level: BTreeMap::from([(level, vec![hash])]),
            stakers_of: BTreeMap::new(),
            staker_index: BTreeMap::new(),
            highest_stake: BTreeMap::new(),
            next_index: 0,
            whitelist: None,
            executed_outputs: BTreeMap::new(),
            last_whitelist_update: WhitelistUpdate {
                message_index: Decimal(0),
                outbox_level: level,
            },
            games: BTreeMap::new(),
            timeouts: BTreeMap::new(),
        }
    }

    /// The tables of a rollup that was never originated: all empty.
    #[must_use]
    pub fn nowhere() -> Self {
        let nothing = Commitment::genesis(StateHash([0; 32]), Level::ZERO);
        let mut rollup = Self::originated(PvmKind::Wasm, Arc::from([]), nothing);
        rollup.commitments.clear();
        rollup.added.clear();
        rollup.first_publication.clear();
        rollup.per_level.clear();
        rollup
    }

    /// A stored commitment.
    ///
    /// # Errors
    /// [`RuleError::UnknownCommitment`] when it is not stored (any more).
    pub fn commitment(&self, hash: &CommitmentHash) -> Result<&Commitment, RuleError> {
        self.commitments
            .get(hash)
            .ok_or(RuleError::UnknownCommitment { commitment: *hash })
    }

    /// The last cemented commitment itself.
    ///
    /// # Errors
    /// [`RuleError::UnknownCommitment`], which the chain's own rules never let happen.
    pub fn last_cemented(&self) -> Result<&Commitment, RuleError> {
        self.commitment(&self.last_cemented)
    }

    /// Index of a staker with a bond.
    ///
    /// # Errors
    /// [`RuleError::NotStaked`] for anybody else.
    pub fn index_of(&self, staker: &PublicKeyHash) -> Result<StakerIndex, RuleError> {
        self.staker_index
            .get(staker)
            .copied()
            .ok_or(RuleError::NotStaked {})
    }

    /// Whether the staker behind an index still has its bond.
    #[must_use]
    pub fn is_active(&self, index: StakerIndex) -> bool {
        self.highest_stake.contains_key(&index)
    }

    /// Whether `index` stands on `commitment`.
    #[must_use]
    pub fn stands_on(&self, index: StakerIndex, commitment: &CommitmentHash) -> bool {
        self.stakers_of
            .get(commitment)
            .is_some_and(|stakers| stakers.contains(&index))
    }

    /// Commitments of an inbox level, newest first.
    #[must_use]
    pub fn at_level(&self, level: Level) -> &[CommitmentHash] {
        self.per_level.get(&level).map_or(&[], Vec::as_slice)
    }

    /// The commitment of `level` that `index` stands on.
    #[must_use]
    pub fn stake_at(&self, index: StakerIndex, level: Level) -> Option<CommitmentHash> {
        self.at_level(level)
            .iter()
            .find(|hash| self.stands_on(index, hash))
            .copied()
    }

    /// Number of games a staker plays.
    #[must_use]
    pub fn games_of(&self, staker: &PublicKeyHash) -> usize {
        self.games
            .keys()
            .filter(|players| players.opponent_of(staker).is_some())
            .count()
    }
}

/// Where the protocol's storage keeps a value that belongs to a rollup.
#[must_use]
pub(crate) fn stored_at(address: &RollupAddress, leaf: &[&str]) -> Vec<String> {
    let rollup = hex::encode(address.0);
    let above = ["smart_rollup", "index", &rollup];
    let path = above.iter().chain(leaf).chain(&["len"]);
    path.map(|step| (*step).to_owned()).collect()
}

/// Where it keeps what belongs to an account.
#[must_use]
pub(crate) fn stored_as(account: &PublicKeyHash) -> (&'static str, String) {
    let (curve, hash) = match account {
        PublicKeyHash::Tz1(hash) => ("ed25519", hash),
        PublicKeyHash::Tz2(hash) => ("secp256k1", hash),
        PublicKeyHash::Tz3(hash) => ("p256", hash),
        PublicKeyHash::Tz4(hash) => ("bls", hash),
        PublicKeyHash::Tz5(hash) => ("mldsa44", hash),
    };
    (curve, hex::encode(hash))
}
