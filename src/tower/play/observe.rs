//! What play asks the node at a block: money, bond, games and their clocks.
//!
//! Promises: all answers of one observation belong to one block. Refuses to know: what follows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::try_join_all;

use crate::game;
use crate::l1::{BlockId, ChainConstants, Client, L1Error};
use crate::protocol::{Mutez, PublicKeyHash, RollupAddress};
use crate::tower::model::Place;
use crate::tower::policy::{Account, SeenGame};

/// One rollup as the chain has it at a block.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) constants: Arc<ChainConstants>,
    pub(super) account: Account,
    pub(super) games: Vec<SeenGame>,
    /// Accounts in conflict with us as the node counts them, where it says so: a cross-check.
    pub(super) conflicts: Option<BTreeSet<PublicKeyHash>>,
}

/// Asks everything that play decides from.
pub(super) async fn observe(
    client: &Client,
    rollup: RollupAddress,
    me: PublicKeyHash,
    fighters: &BTreeSet<PublicKeyHash>,
    place: Place,
) -> Result<Seen, L1Error> {
    let block = BlockId::Hash(place.block);
    let constants = client.constants(block).await?;
    let at = client.rollup(rollup, block).await?;
    let balance: Mutez = client.account(&me, block).await?.balance;
    let bonded: BTreeSet<_> = at.stakers().await?.into_iter().collect();
    let is_bonded = bonded.contains(&me);
    let conflicts = match is_bonded {
        // Whatever keeps it from answering, nothing rests on it.
        true => at.conflicts(&me).await.ok(),
        false => Some(Vec::new()),
    };
    // Our own games first: whoever plays with us matters too.
    let mut views: BTreeMap<_, _> = at.games(&me).await?.into_iter().collect();
    let mut others: BTreeSet<_> = fighters.iter().copied().collect();
    others.extend(views.keys().flat_map(|pair| [pair.alice(), pair.bob()]));
    others.remove(&me);
    let asked = others.iter().map(|other| at.games(other));
    views.extend(try_join_all(asked).await?.into_iter().flatten());
    let clocks = views.keys().map(|pair| {
        let (alice, bob) = (pair.alice(), pair.bob());
        let at = &at;
        async move { at.clocks(&alice, &bob).await }
    });
    let clocks = try_join_all(clocks).await?;
    let games = views
        .into_iter()
        .zip(clocks)
        .filter_map(|((stakers, game), clock)| {
            Some(SeenGame {
                stakers,
                game,
                clock: clock?,
                forfeit: game::forfeited(&stakers, |staker| bonded.contains(staker)),
            })
        });
    Ok(Seen {
        constants,
        account: Account {
            address: me,
            balance,
            is_bonded,
        },
        games: games.collect(),
        conflicts: conflicts.map(|all| all.into_iter().map(|one| one.other).collect()),
    })
}
