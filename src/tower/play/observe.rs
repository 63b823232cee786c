//! What play asks the node at a block: money, bond, games and their clocks.
//!
//! Promises: all answers of one observation belong to one block. Refuses to know: what follows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::try_join_all;

use crate::l1::{BlockId, ChainConstants, Client, GameState as ViewState, GameView, L1Error, Side};
use crate::protocol::operation::Stakers;
use crate::protocol::{
    DalSnapshot, Game, GameState, HistoryCell, Mutez, Player, PublicKeyHash, RollupAddress,
};
use crate::tower::model::Place;
use crate::tower::policy::{Account, SeenGame};

/// One rollup as the chain has it at a block.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) constants: Arc<ChainConstants>,
    pub(super) account: Account,
    pub(super) games: Vec<SeenGame>,
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
    let is_bonded = at.stakers().await?.contains(&me);
    // Our own games first: whoever plays with us matters too.
    let mut views = BTreeMap::new();
    for view in at.games(&me).await? {
        views.insert(Stakers::new(view.alice, view.bob), view);
    }
    let mut others: BTreeSet<_> = fighters.iter().copied().collect();
    others.extend(views.keys().flat_map(|pair| [pair.alice(), pair.bob()]));
    others.remove(&me);
    let asked = others.iter().map(|other| at.games(other));
    for view in try_join_all(asked).await?.into_iter().flatten() {
        views.insert(Stakers::new(view.alice, view.bob), view);
    }
    let clocks = views.keys().map(|pair| {
        let (alice, bob) = (pair.alice(), pair.bob());
        let at = &at;
        async move { at.clocks(&alice, &bob).await }
    });
    let clocks = try_join_all(clocks).await?;
    let games = views
        .into_iter()
        .zip(clocks)
        .filter_map(|((stakers, view), clock)| {
            Some(SeenGame {
                stakers,
                game: game_of(view),
                clock: clock?,
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
    })
}

/// The chain's form of what the node tells.
fn game_of(view: GameView) -> Game {
    let state = match view.state {
        ViewState::Dissecting { chunks, sections } => GameState::Dissecting {
            dissection: chunks,
            default_number_of_sections: u8::try_from(sections).unwrap_or(u8::MAX),
        },
        ViewState::FinalMove { agreed, refuted } => GameState::FinalMove {
            agreed_start: agreed,
            refuted_stop: refuted,
        },
    };
    let cell = view.inbox_snapshot;
    Game {
        turn: match view.turn {
            Side::Alice => Player::Alice,
            Side::Bob => Player::Bob,
        },
        inbox_snapshot: HistoryCell {
            index: cell.index,
            witness: cell.witness,
            level: cell.level,
            back_pointers: cell.back_pointers,
        },
        dal_snapshot: dal_snapshot(&view.dal_snapshot),
        start_level: view.start_level,
        inbox_level: view.inbox_level,
        state,
    }
}

/// The forms before Paris are of no use here: pages are not proved.
fn dal_snapshot(text: &str) -> DalSnapshot {
    let json: Option<serde_json::Value> = serde_json::from_str(text).ok();
    json.and_then(|json| DalSnapshot::from_json(&json).ok())
        .unwrap_or(DalSnapshot::Legacy([0; 57]))
}
