//! The commitment tree of a rollup with its stakers, as the chain has it.
//!
//! Promises: a pure fold over what was seen on the chain, so the same record gives the same tree
//! on every machine and after every restart; conflicts are found here, never asked for. Refuses to
//! know: what is true. Rules: `sc_rollup_stake_storage.ml`, `sc_rollup_refutation_storage.ml`.

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::{Commitment, CommitmentHash, Level, PublicKeyHash};

/// Something on the chain that changes the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A staker put its bond on a commitment.
    Published {
        /// Who.
        staker: PublicKeyHash,
        /// On what.
        commitment: Commitment,
        /// Level of the publication, where it is known.
        at: Option<Level>,
    },
    /// A commitment became final.
    Cemented {
        /// Its inbox level.
        level: Level,
        /// Its hash, where the chain told.
        hash: Option<CommitmentHash>,
    },
    /// A staker's bond is gone: recovered or slashed.
    Unstaked {
        /// Whose.
        staker: PublicKeyHash,
    },
}

/// A commitment of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What is claimed.
    pub commitment: Commitment,
    /// Whose bonds are on it, dead ones left out.
    pub stakers: BTreeSet<PublicKeyHash>,
    /// Whether it is final.
    pub is_cemented: bool,
    /// Level of its first publication, where it is known.
    pub since: Option<Level>,
}

/// Two stakers on siblings; `staker` is the smaller account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// Inbox level of both commitments.
    pub level: Level,
    /// Their common predecessor.
    pub parent: CommitmentHash,
    /// One staker.
    pub staker: PublicKeyHash,
    /// Its commitment.
    pub commitment: CommitmentHash,
    /// The other one.
    pub other_staker: PublicKeyHash,
    /// Its commitment.
    pub other_commitment: CommitmentHash,
}

/// The tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stakes {
    claims: BTreeMap<CommitmentHash, Claim>,
    by_level: BTreeMap<Level, Vec<CommitmentHash>>,
    /// Whoever has a bond, on whatever.
    bonded: BTreeSet<PublicKeyHash>,
    last_cemented: CommitmentHash,
    last_cemented_level: Level,
}

impl Stakes {
    /// The tree of a rollup that just began.
    #[must_use]
    pub fn new(genesis: Commitment) -> Self {
        let hash = genesis.hash();
        let claim = Claim {
            commitment: genesis,
            stakers: BTreeSet::new(),
            is_cemented: true,
            since: Some(genesis.inbox_level),
        };
        Self {
            claims: BTreeMap::from([(hash, claim)]),
            by_level: BTreeMap::from([(genesis.inbox_level, vec![hash])]),
            bonded: BTreeSet::new(),
            last_cemented: hash,
            last_cemented_level: genesis.inbox_level,
        }
    }

    /// Takes in one fact; the commitment it made final, if it did.
    pub fn apply(&mut self, fact: &Fact) -> Option<CommitmentHash> {
        match fact {
            Fact::Published {
                staker,
                commitment,
                at,
            } => {
                self.publish(*staker, *commitment, *at);
                None
            }
            Fact::Cemented { level, hash } => self.cement(*level, *hash),
            Fact::Unstaked { staker } => {
                self.bonded.remove(staker);
                for claim in self.claims.values_mut() {
                    claim.stakers.remove(staker);
                }
                None
            }
        }
    }

    fn publish(&mut self, staker: PublicKeyHash, commitment: Commitment, at: Option<Level>) {
        let hash = commitment.hash();
        let claim = self.claims.entry(hash).or_insert_with(|| Claim {
            commitment,
            stakers: BTreeSet::new(),
            is_cemented: false,
            since: at,
        });
        claim.stakers.insert(staker);
        self.bonded.insert(staker);
        claim.since = match (claim.since, at) {
            (Some(known), Some(now)) => Some(known.min(now)),
            (known, now) => known.or(now),
        };
        let siblings = self.by_level.entry(commitment.inbox_level).or_default();
        if !siblings.contains(&hash) {
            siblings.push(hash);
        }
    }

    /// Where the chain does not name the commitment it is the only staked child of the last
    /// cemented one at that level.
    fn cement(&mut self, level: Level, hash: Option<CommitmentHash>) -> Option<CommitmentHash> {
        let hash = hash.or_else(|| {
            let candidates = self.by_level.get(&level)?;
            candidates.iter().copied().find(|candidate| {
                self.claims.get(candidate).is_some_and(|claim| {
                    claim.commitment.predecessor == self.last_cemented && !claim.stakers.is_empty()
                })
            })
        })?;
        if let Some(claim) = self.claims.get_mut(&hash) {
            claim.is_cemented = true;
        }
        self.last_cemented = hash;
        self.last_cemented_level = level;
        Some(hash)
    }

    /// The tree from the last cemented commitment on: what is still in play.
    #[must_use]
    pub fn recent(&self) -> Self {
        let by_level: BTreeMap<_, _> = self
            .by_level
            .range(self.last_cemented_level..)
            .map(|(level, hashes)| (*level, hashes.clone()))
            .collect();
        let claims = by_level
            .values()
            .flatten()
            .filter_map(|hash| Some((*hash, self.claims.get(hash)?.clone())));
        Self {
            claims: claims.collect(),
            by_level,
            bonded: self.bonded.clone(),
            last_cemented: self.last_cemented,
            last_cemented_level: self.last_cemented_level,
        }
    }

    /// Whether an account has a bond, on whatever commitment.
    #[must_use]
    pub fn is_bonded(&self, account: &PublicKeyHash) -> bool {
        self.bonded.contains(account)
    }

    /// Everybody with a bond.
    pub fn bonded(&self) -> impl Iterator<Item = &PublicKeyHash> {
        self.bonded.iter()
    }

    /// The last cemented commitment and its inbox level.
    #[must_use]
    pub const fn last_cemented(&self) -> (CommitmentHash, Level) {
        (self.last_cemented, self.last_cemented_level)
    }

    /// A commitment by its hash.
    #[must_use]
    pub fn claim(&self, hash: &CommitmentHash) -> Option<&Claim> {
        self.claims.get(hash)
    }

    /// Every commitment seen, by inbox level, then in the order seen.
    pub fn claims(&self) -> impl Iterator<Item = (CommitmentHash, &Claim)> {
        self.by_level
            .values()
            .flatten()
            .filter_map(|hash| Some((*hash, self.claims.get(hash)?)))
    }

    /// Commitments of one inbox level, in the order seen.
    pub fn claims_at(&self, level: Level) -> impl Iterator<Item = (CommitmentHash, &Claim)> {
        self.by_level
            .get(&level)
            .into_iter()
            .flatten()
            .filter_map(|hash| Some((*hash, self.claims.get(hash)?)))
    }

    /// Level of the first publication for an inbox level: what the curfew counts from.
    #[must_use]
    pub fn first_publication(&self, level: Level) -> Option<Level> {
        self.claims_at(level)
            .filter_map(|(_, claim)| claim.since)
            .min()
    }

    /// Every pair of stakers on siblings above the last cemented commitment.
    #[must_use]
    pub fn conflicts(&self) -> Vec<Conflict> {
        let above = self
            .last_cemented_level
            .next()
            .map(|first| self.by_level.range(first..))
            .into_iter()
            .flatten();
        let mut found = Vec::new();
        for (level, hashes) in above.filter(|(_, hashes)| hashes.len() > 1) {
            for (index, left) in hashes.iter().enumerate() {
                for right in hashes.iter().skip(index.saturating_add(1)) {
                    self.between(*level, left, right, &mut found);
                }
            }
        }
        found.sort_unstable();
        found
    }

    fn between(
        &self,
        level: Level,
        left: &CommitmentHash,
        right: &CommitmentHash,
        found: &mut Vec<Conflict>,
    ) {
        let (Some(one), Some(two)) = (self.claims.get(left), self.claims.get(right)) else {
            return;
        };
        if one.commitment.predecessor != two.commitment.predecessor {
            return;
        }
        for first in &one.stakers {
            for second in two.stakers.iter().filter(|second| *second != first) {
                let (a, b) = ((*first, *left), (*second, *right));
                let (low, high) = if a < b { (a, b) } else { (b, a) };
                found.push(Conflict {
                    level,
                    parent: one.commitment.predecessor,
                    staker: low.0,
                    commitment: low.1,
                    other_staker: high.0,
                    other_commitment: high.1,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::StateHash;

    const fn who(byte: u8) -> PublicKeyHash {
        PublicKeyHash::Tz1([byte; 20])
    }

    fn on(state: u8, level: u16, predecessor: CommitmentHash) -> Commitment {
        Commitment {
            compressed_state: StateHash([state; 32]),
            inbox_level: Level::new(level),
            predecessor,
            number_of_ticks: 1,
        }
    }

    fn publish(tree: &mut Stakes, staker: u8, commitment: Commitment) -> CommitmentHash {
        tree.apply(&Fact::Published {
            staker: who(staker),
            commitment,
            at: commitment.inbox_level.plus(2),
        });
        commitment.hash()
    }

    #[test]
    fn only_siblings_conflict_and_only_while_both_bonds_stand() {
        let genesis = Commitment::genesis(StateHash([0; 32]), Level::new(5));
        let mut tree = Stakes::new(genesis);
        let right = publish(&mut tree, 1, on(1, 35, genesis.hash()));
        let wrong = publish(&mut tree, 2, on(2, 35, genesis.hash()));
        publish(&mut tree, 1, on(3, 65, right));
        publish(&mut tree, 2, on(4, 65, wrong));
        publish(&mut tree, 3, on(3, 65, right));
        let conflicts = tree.conflicts();
        assert_eq!(conflicts.len(), 1, "{conflicts:?}");
        let conflict = conflicts.first().unwrap();
        assert_eq!(
            (
                conflict.level,
                conflict.commitment,
                conflict.other_commitment
            ),
            (Level::new(35), right, wrong)
        );
        assert!(tree.is_bonded(&who(2)));
        tree.apply(&Fact::Unstaked { staker: who(2) });
        assert_eq!(tree.conflicts(), vec![]);
        assert!(!tree.is_bonded(&who(2)) && tree.is_bonded(&who(3)));
        // A bond lies where it is when what it was put on is final long since.
        tree.apply(&Fact::Cemented {
            level: Level::new(35),
            hash: Some(right),
        });
        let above = publish(&mut tree, 1, on(5, 95, right));
        tree.apply(&Fact::Cemented {
            level: Level::new(95),
            hash: Some(above),
        });
        assert!(tree.recent().is_bonded(&who(3)));
    }

    #[test]
    fn stakers_of_one_commitment_share_it_and_fight_its_siblings_each() {
        let genesis = Commitment::genesis(StateHash([0; 32]), Level::new(5));
        let mut tree = Stakes::new(genesis);
        for staker in [1, 3] {
            publish(&mut tree, staker, on(1, 35, genesis.hash()));
        }
        for (staker, state) in [(2, 2), (4, 9)] {
            publish(&mut tree, staker, on(state, 35, genesis.hash()));
        }
        // 1-2, 1-4, 3-2, 3-4, 2-4.
        assert_eq!(tree.conflicts().len(), 5);
        assert!(tree.conflicts().iter().all(|c| c.staker < c.other_staker));
    }

    #[test]
    fn cementing_without_a_name_finds_the_staked_child() {
        let genesis = Commitment::genesis(StateHash([0; 32]), Level::new(5));
        let mut tree = Stakes::new(genesis);
        publish(&mut tree, 2, on(2, 35, genesis.hash()));
        tree.apply(&Fact::Unstaked { staker: who(2) });
        let right = publish(&mut tree, 1, on(1, 35, genesis.hash()));
        let cement = Fact::Cemented {
            level: Level::new(35),
            hash: None,
        };
        assert_eq!(tree.apply(&cement), Some(right));
        assert_eq!(tree.last_cemented(), (right, Level::new(35)));
        assert!(tree.claim(&right).unwrap().is_cemented);
        assert_eq!(tree.conflicts(), vec![]);
    }
}
