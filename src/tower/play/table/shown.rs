//! Games as people see them: for the status, the page and the news.
//!
//! Promises: clocks as they stand at a head, forecasts as far as they are known. Refuses to know:
//! what is done about them.

use super::Table;
use crate::game::Machine;
use crate::journal::{Foreseen, GameName};
use crate::protocol::{GameResult, Level, Player};
use crate::tower::play::news::PlayNews;
use crate::tower::play::observe::Seen;
use crate::tower::play::record;
use crate::tower::policy::{SeenGame, our_slack};
use crate::tower::status::{GameStatus, Stage, Turn};

impl Table {
    /// Our games for the status.
    pub(in crate::tower::play) fn shown(
        &self,
        name: &str,
        seen: &Seen,
        head: Level,
    ) -> Vec<GameStatus> {
        let machine = Machine::of(seen.constants.protocol);
        let pace = self
            .pace
            .blocks_per_move(seen.constants.minimal_block_delay);
        let ours = seen
            .games
            .iter()
            .filter_map(|game| Some((game, game.seat(&self.me)?)));
        ours.map(|(game, seat)| {
            let key = record::name(self.row.address, game);
            let position = game.position(&self.row.address);
            let (turn, ours_left, theirs_left) = clocks(game, seat, head);
            let (obstacle, refused) = self
                .obstacles
                .get(&position)
                .map(|(kind, reason)| (*kind, reason.clone()))
                .unzip();
            GameStatus {
                rollup: name.to_owned(),
                opponent: game.stakers.account(seat.opponent()),
                seat,
                start: game.game.start_level,
                inbox_level: game.game.inbox_level,
                turn,
                stage: stage(game),
                width: game.widest(),
                our_blocks_left: ours_left,
                their_blocks_left: theirs_left,
                slack: our_slack(game, seat, head, machine, pace),
                moves: self.moves.get(&key).copied().unwrap_or(0),
                forecast: match &game.forfeit {
                    Some(GameResult::Loser { loser, .. }) => Foreseen::Loser(*loser),
                    Some(GameResult::Draw) => Foreseen::Draw,
                    None => {
                        let known = self.forecasts.get(&position);
                        known.copied().unwrap_or(Foreseen::Unknown)
                    }
                },
                stake: seen.constants.rollup.stake_amount,
                clock: seen.constants.rollup.timeout_period,
                obstacle,
                not_playable: refused,
            }
        })
        .collect()
    }
}

const fn stage(game: &SeenGame) -> Stage {
    if game.is_final_move() {
        Stage::FinalMove
    } else {
        Stage::Dissecting
    }
}

/// Whose turn it is, and the blocks left of both at a head.
fn clocks(game: &SeenGame, seat: Player, head: Level) -> (Turn, i64, i64) {
    let left = |player: Player| {
        if game.game.turn == player {
            game.clock.blocks_left(player, head)
        } else {
            i64::from(game.clock.stored(player))
        }
    };
    let turn = if game.game.turn == seat {
        Turn::Ours
    } else {
        Turn::Theirs
    };
    (turn, left(seat), left(seat.opponent()))
}

pub(super) fn position_news(
    name: GameName,
    game: &SeenGame,
    seat: Player,
    head: Level,
    is_new: bool,
) -> PlayNews {
    let (turn, ours_left, theirs_left) = clocks(game, seat, head);
    PlayNews::Position {
        game: name,
        opponent: game.stakers.account(seat.opponent()),
        turn,
        stage: stage(game),
        width: game.widest(),
        ours_left,
        theirs_left,
        is_new,
    }
}
