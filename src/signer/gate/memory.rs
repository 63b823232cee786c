//! What was signed, as far as it binds what may be signed next.
//!
//! Promises: rebuilt from the journalled admissions, each given once, in the order of time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::codec::Writer;
use crate::crypto::{Hash, blake2b};
use crate::protocol::operation::{Action, Content, Operation, Refutation, Step};
use crate::protocol::{
    CommitmentHash, Counter, Game, Level, Mutez, PublicKeyHash, RollupAddress, Timestamp,
};

const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

/// A turn: the digest of a game as the chain keeps it before the move. A game that a
/// reorganisation changed has other turns; one that it only delayed has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Turn(pub Hash);

impl Turn {
    /// The turn that waits in `game`.
    #[must_use]
    pub fn of(game: &Game) -> Self {
        let mut writer = Writer::new();
        game.write(&mut writer);
        Self(blake2b(&writer.into_bytes()))
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One offer of fees: of the operations with one counter, at most one is included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Offer {
    at: Timestamp,
    fee: Mutez,
}

type MoveKey = (RollupAddress, PublicKeyHash, Turn);

/// What a gate remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    commitments: BTreeMap<(RollupAddress, Level), CommitmentHash>,
    moves: BTreeMap<MoveKey, Hash>,
    staked: BTreeSet<RollupAddress>,
    offers: BTreeMap<Counter, Offer>,
    /// Times of signatures, with how many had the same.
    signatures: BTreeMap<Timestamp, u32>,
}

/// Whether a move asserts nothing: layer 1 takes an empty dissection only where it does not look at
/// moves any more, the opponent having lost its stake. Should that stake come back with a branch of
/// the chain, the turn still waits for its real answer.
pub(super) fn asserts_nothing(refutation: &Refutation) -> bool {
    matches!(
        refutation,
        Refutation::Move {
            step: Step::Dissection(chunks),
            ..
        } if chunks.is_empty()
    )
}

/// What makes a move the same as another: all of it but fee, counter and limits.
pub(super) fn digest(refutation: &Refutation) -> Hash {
    let mut writer = Writer::new();
    match refutation {
        Refutation::Start {
            player_commitment,
            opponent_commitment,
        } => {
            player_commitment.write(writer.u8(0));
            opponent_commitment.write(&mut writer);
        }
        Refutation::StartOnConflict => {
            writer.u8(1);
        }
        Refutation::Move { choice, step } => {
            writer.u8(2).n(choice.0);
            match step {
                Step::Dissection(chunks) => {
                    writer.u8(0);
                    chunks.iter().for_each(|chunk| chunk.write(&mut writer));
                }
                Step::Proof(proof) => proof.write(writer.u8(1)),
            }
        }
    }
    blake2b(&writer.into_bytes())
}

impl Memory {
    /// Takes note of an operation that was admitted at `at`.
    pub fn remember(&mut self, operation: &Operation, turns: &[Option<Turn>], at: Timestamp) {
        let signatures = self.signatures.entry(at).or_default();
        *signatures = signatures.saturating_add(1);
        let turns = turns.iter().copied().chain(std::iter::repeat(None));
        for (content, turn) in operation.contents.iter().zip(turns) {
            self.offer(content, at);
            match &content.action {
                Action::Publish { rollup, commitment } => {
                    let place = (*rollup, commitment.inbox_level);
                    self.commitments
                        .entry(place)
                        .or_insert_with(|| commitment.hash());
                    self.staked.insert(*rollup);
                }
                Action::Refute {
                    rollup,
                    opponent,
                    refutation,
                } => {
                    if let Some(turn) = turn.filter(|_| !asserts_nothing(refutation)) {
                        self.moves
                            .entry((*rollup, *opponent, turn))
                            .or_insert_with(|| digest(refutation));
                    }
                }
                Action::RecoverBond { rollup, .. } => {
                    self.staked.remove(rollup);
                }
                _ => {}
            }
        }
    }

    fn offer(&mut self, content: &Content, at: Timestamp) {
        let offer = self.offers.entry(content.counter).or_insert(Offer {
            at,
            fee: content.fee,
        });
        offer.at = offer.at.max(at);
        offer.fee = offer.fee.max(content.fee);
    }

    /// The commitment signed for a level.
    #[must_use]
    pub fn commitment(&self, rollup: RollupAddress, level: Level) -> Option<CommitmentHash> {
        self.commitments.get(&(rollup, level)).copied()
    }

    /// The digest of the move signed for a turn.
    pub(super) fn move_at(
        &self,
        rollup: RollupAddress,
        opponent: PublicKeyHash,
        turn: Turn,
    ) -> Option<Hash> {
        self.moves.get(&(rollup, opponent, turn)).copied()
    }

    /// Rollups on which a publication was signed, and no recovery since.
    #[must_use]
    pub const fn staked(&self) -> &BTreeSet<RollupAddress> {
        &self.staked
    }

    /// Signatures of the hour before `now`.
    #[must_use]
    pub fn signed_within_an_hour(&self, now: Timestamp) -> u32 {
        let from = Timestamp(now.0.saturating_sub(HOUR));
        let newer = self
            .signatures
            .range((std::ops::Bound::Excluded(from), std::ops::Bound::Unbounded));
        newer.map(|(_, count)| *count).fold(0, u32::saturating_add)
    }

    /// Fees offered in the 24 hours before `now`, with what `contents` would offer.
    #[must_use]
    pub fn offered_within_a_day(&self, now: Timestamp, contents: &[Content]) -> Option<Mutez> {
        let from = now.0.saturating_sub(DAY);
        let mut offers: BTreeMap<Counter, Mutez> = self
            .offers
            .iter()
            .filter(|(_, offer)| offer.at.0 > from)
            .map(|(counter, offer)| (*counter, offer.fee))
            .collect();
        for content in contents {
            let offer = offers.entry(content.counter).or_default();
            *offer = (*offer).max(content.fee);
        }
        offers
            .values()
            .try_fold(Mutez(0), |sum, fee| sum.plus(*fee))
    }

    /// Forgets offers and times that no cap looks at any more; commitments and moves are kept.
    pub fn forget_before(&mut self, now: Timestamp) {
        let from = Timestamp(now.0.saturating_sub(DAY));
        self.offers.retain(|_, offer| offer.at > from);
        self.signatures = self.signatures.split_off(&from);
    }
}
