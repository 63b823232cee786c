//! What is new about games and bonds at a moment, and whom it is told to.
//!
//! Promises: each game's beginning, each change of it and its end are noted once, for the journal and
//! for people; a bond that came home likewise. Refuses to know: what is done about them.

use std::collections::BTreeSet;

use super::shown::position_news;
use super::{Known, Moment, Outcome, Table};
use crate::journal::{Alarm, Ending, OperationRow, PlayEntry, Severity};
use crate::protocol::{Level, Player};
use crate::tower::alarms;
use crate::tower::facts::unstaked;
use crate::tower::play::brief::RollupBrief;
use crate::tower::play::news::PlayNews;
use crate::tower::play::record::{self, At};
use crate::tower::policy::SeenGame;

/// Blocks after which a bond that came home is no news any more.
const RECENT: u32 = 1000;

impl Table {
    /// The alarm of a game that began.
    fn opened(&self, moment: &Moment<'_>, game: &SeenGame, seat: Player) -> Alarm {
        let opponent = game.stakers.account(seat.opponent());
        let course = moment.of_rollup.played.course(&game.stakers);
        let by = match course.map(|course| course.opener() == seat) {
            Some(true) => "opened by us",
            Some(false) => "opened by the opponent",
            None => "now known here",
        };
        let (turn, of) = match game.game.turn == seat {
            true => ("our", seat),
            false => ("the opponent's", seat.opponent()),
        };
        Alarm {
            severity: Severity::Warning,
            ..self.alarm(
                alarms::GAME_OPENED,
                Some(game.game.start_level),
                format!("{opponent} {}", game.game.start_level),
                format!(
                    "a game against {opponent} about inbox level {} began at level {}, {by}: {} mutez of ours are at stake, it is {turn} turn until level {}, our clock has {} blocks in all",
                    game.game.inbox_level,
                    game.game.start_level,
                    moment.seen.constants.rollup.stake_amount,
                    game.clock.deadline(of),
                    game.clock.stored(seat),
                ),
            )
        }
    }

    /// Whether our bond is elsewhere than when this was last asked.
    pub(in crate::tower::play) fn is_bond_moved(&self, of_rollup: &RollupBrief) -> bool {
        self.bonded != Some(of_rollup.stakes.is_bonded(&self.me))
    }

    /// Money as the operations have it, and whether a bond came home by one of them.
    pub(super) fn note_money(
        &mut self,
        moment: &Moment<'_>,
        operations: &[OperationRow],
        outcome: &mut Outcome,
    ) {
        self.bonded = Some(moment.of_rollup.stakes.is_bonded(&self.me));
        self.settle(operations, moment.seen.constants.rollup.stake_amount);
        let news = moment.brief.tip.level.minus(RECENT).unwrap_or(Level::ZERO);
        let back = operations
            .iter()
            .filter(|row| row.level > news && row.kind == "recover_bond")
            .filter(|row| unstaked(row).contains(&self.me));
        for row in back {
            outcome.alarms.push(Alarm {
                severity: Severity::Notice,
                ..self.alarm(
                    alarms::BOND_RECOVERED,
                    Some(row.level),
                    row.level.to_string(),
                    format!("our bond is back on {} since level {}", self.me, row.level),
                )
            });
        }
    }

    pub(super) fn note_games(
        &mut self,
        moment: &Moment<'_>,
        at: At,
        operations: &[OperationRow],
        outcome: &mut Outcome,
    ) {
        let mut there = BTreeSet::new();
        for game in &moment.seen.games {
            let name = record::name(moment.rollup, game);
            there.insert(name);
            let known = Known {
                position: game.position(&moment.rollup),
                last_turn: game.clock.last_turn,
            };
            let before = self.games.insert(name, known);
            let is_same = before.is_some_and(|before| {
                before.position == known.position && before.last_turn == known.last_turn
            });
            if is_same {
                continue;
            }
            outcome.entries.extend(at.position(game));
            if let Some(seat) = game.seat(&self.me) {
                if before.is_none() {
                    outcome.alarms.push(self.opened(moment, game, seat));
                }
                outcome.news.push(position_news(
                    name,
                    game,
                    seat,
                    moment.brief.tip.level,
                    before.is_none(),
                ));
            }
        }
        let gone: Vec<_> = self
            .games
            .keys()
            .filter(|name| !there.contains(name))
            .copied()
            .collect();
        for name in gone {
            self.games.remove(&name);
            self.dals.remove(&name);
            let end = at.ended(name, operations);
            let (ending, reason, level) = (end.ending, end.reason.clone(), end.level);
            outcome.entries.push(PlayEntry::End(end));
            self.count_end(&name, ending);
            let Some(opponent) = name.stakers.opponent_of(&self.me) else {
                continue;
            };
            if ending == Ending::Loser(opponent) {
                outcome.alarms.push(Alarm {
                    severity: Severity::Notice,
                    ..self.alarm(
                        alarms::GAME_WON,
                        Some(level),
                        format!("{opponent} {}", name.start),
                        format!(
                            "the game against {opponent} from level {} was won at level {level} ({}): the opponent's bond is gone",
                            name.start,
                            reason.as_deref().unwrap_or("by a move"),
                        ),
                    )
                });
            }
            if matches!(ending, Ending::Draw) || ending == Ending::Loser(self.me) {
                outcome.alarms.push(self.alarm(
                    alarms::GAME_LOST,
                    Some(moment.brief.tip.level),
                    format!("{opponent} {}", name.start),
                    format!("the game against {opponent} ended with our stake slashed"),
                ));
            }
            outcome.news.push(PlayNews::Ended {
                game: name,
                opponent,
                ending,
                reason,
            });
        }
    }
}
