//! What play asks the node at a block: money, bonds, games and their clocks.
//!
//! Promises: all answers of one observation belong to one block; what the blocks themselves tell is
//! not missed where a node does not answer it. Refuses to know: what follows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::brief::RollupBrief;
use crate::game;
use crate::l1::{BlockId, ChainConstants, Client, L1Error, RollupAt};
use crate::protocol::operation::Stakers;
use crate::protocol::{Clock, Game, Mutez, PublicKeyHash, RollupAddress};
use crate::tower::model::Place;
use crate::tower::policy::{Account, SeenGame};

/// Longest wait for what only confirms: no move waits longer for it.
const CROSS_CHECK: Duration = Duration::from_secs(2);

/// What a node may leave without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unanswered {
    /// Who has a bond.
    Bonds,
    /// Which games we play.
    Games,
    /// Whom we are in conflict with.
    Conflicts,
}

impl Unanswered {
    /// In the words of a message.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Bonds => "who has a bond",
            Self::Games => "which games we play",
            Self::Conflicts => "whom we are in conflict with",
        }
    }
}

/// One rollup as the chain has it at a block.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) constants: Arc<ChainConstants>,
    pub(super) account: Account,
    pub(super) games: Vec<SeenGame>,
    /// Everybody with a bond.
    pub(super) bonded: BTreeSet<PublicKeyHash>,
    /// What the node does not answer, though the blocks tell it.
    pub(super) unanswered: BTreeSet<Unanswered>,
    /// Accounts in conflict with us as the node counts them, where it says so: a cross-check.
    pub(super) conflicts: Option<BTreeSet<PublicKeyHash>>,
}

/// Asks everything that play decides from.
pub(super) async fn observe(
    client: &Client,
    rollup: RollupAddress,
    me: PublicKeyHash,
    of_rollup: &RollupBrief,
    place: Place,
) -> Result<Seen, L1Error> {
    let block = BlockId::Hash(place.block);
    let constants = client.constants(block).await?;
    let stakes = &of_rollup.stakes;
    let is_told = of_rollup.played.is_whole(&me);
    // What the blocks tell as well is not waited for where the node lacks it.
    let asked = match is_told {
        true => client.without_insisting(),
        false => client.clone(),
    };
    let at = asked.rollup(rollup, block).await?;
    let balance: Mutez = client.account(&me, block).await?.balance;
    let mut unanswered = BTreeSet::new();
    let (bonded, ours, conflicts) = tokio::join!(
        at.stakers(),
        at.games(&me),
        conflicts(&at, me, stakes.is_bonded(&me))
    );
    let bonded: BTreeSet<_> = match bonded {
        Ok(bonded) => bonded.into_iter().collect(),
        Err(error) if is_told => {
            tracing::warn!(%error, "the node does not say who has a bond: the blocks do");
            unanswered.insert(Unanswered::Bonds);
            stakes.bonded().copied().collect()
        }
        Err(error) => return Err(error),
    };
    let ours = match ours {
        Ok(ours) => ours,
        Err(error) if is_told => {
            tracing::warn!(%error, "the node does not say which games are played: the blocks do");
            unanswered.insert(Unanswered::Games);
            Vec::new()
        }
        Err(error) => return Err(error),
    };
    let conflicts = conflicts.unwrap_or_else(|_| {
        unanswered.insert(Unanswered::Conflicts);
        None
    });
    let views = everybodys(&at, me, of_rollup, ours).await;
    let clocks = views.keys().map(|pair| clock(&at, pair, of_rollup));
    let clocks = join_all(clocks).await;
    let mut games = Vec::new();
    for ((stakers, game), clock) in views.into_iter().zip(clocks) {
        // Where a game is not told by the blocks, it cannot be played without its clock.
        let Some(clock) = clock? else { continue };
        games.push(SeenGame {
            stakers,
            game,
            clock,
            forfeit: game::forfeited(&stakers, |staker| bonded.contains(staker)),
        });
    }
    Ok(Seen {
        constants,
        account: Account {
            address: me,
            balance,
            is_bonded: bonded.contains(&me),
        },
        games,
        bonded,
        unanswered,
        conflicts,
    })
}

/// Games with ours first: whoever plays with us matters too. What strangers play is left out where
/// the node does not say it.
async fn everybodys(
    at: &RollupAt,
    me: PublicKeyHash,
    of_rollup: &RollupBrief,
    ours: Vec<(Stakers, Game)>,
) -> BTreeMap<Stakers, Game> {
    let mut views: BTreeMap<_, _> = ours.into_iter().collect();
    let mut others = of_rollup.fighters();
    others.extend(views.keys().flat_map(|pair| [pair.alice(), pair.bob()]));
    others.remove(&me);
    let asked = others.iter().map(|other| at.games(other));
    for answer in join_all(asked).await {
        match answer {
            Ok(games) => {
                for (stakers, game) in games {
                    // What was said to us of our own games is not said again otherwise.
                    views.entry(stakers).or_insert(game);
                }
            }
            Err(error) => tracing::warn!(%error, "the node does not say what others play"),
        }
    }
    views
}

/// The clock of a game; one that stands still where the blocks tell it anyway and the node does not.
async fn clock(
    at: &RollupAt,
    pair: &Stakers,
    of_rollup: &RollupBrief,
) -> Result<Option<Clock>, L1Error> {
    let answer = at.clocks(&pair.alice(), &pair.bob()).await;
    match of_rollup.played.course(pair) {
        Some(course) => Ok(Some(
            answer
                .ok()
                .flatten()
                .unwrap_or_else(|| Clock::start(course.start(), 0)),
        )),
        None => answer,
    }
}

/// Who is in conflict with us, as the node counts. Whatever keeps it from answering, nothing rests on
/// it: one question a block, beside the others, while our bond lies there.
async fn conflicts(
    at: &RollupAt,
    me: PublicKeyHash,
    is_bonded: bool,
) -> Result<Option<BTreeSet<PublicKeyHash>>, L1Error> {
    if !is_bonded {
        return Ok(Some(BTreeSet::new()));
    }
    let Ok(answer) = tokio::time::timeout(CROSS_CHECK, at.conflicts(&me)).await else {
        return Ok(None);
    };
    Ok(Some(answer?.into_iter().map(|one| one.other).collect()))
}
