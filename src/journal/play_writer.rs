//! The rows of play, written.

use rusqlite::ToSql;

use super::play::{
    AssertionRow, ConsentRow, DecisionRow, Ending, ForecastRow, Foreseen, GameEndRow, GameName,
    GameRow, HoldRow, MoveRow, OperationStepRow, PlayEntry, PositionRow, seat,
};
use super::writer::{Batch, signed};

/// The sequence number of a game by its name: the third to the seventh parameter.
macro_rules! named_game {
    () => {
        "(SELECT seq FROM game WHERE rollup = (SELECT seq FROM rollup WHERE address = ?3)
          AND alice = ?4 AND bob = ?5 AND start_level = ?6 AND inbox_level = ?7)"
    };
}

impl Batch<'_> {
    pub(super) fn play(&mut self, entry: &PlayEntry) -> rusqlite::Result<usize> {
        match entry {
            PlayEntry::Game(row) => self.game(row),
            PlayEntry::Position(row) => self.position(row),
            PlayEntry::End(row) => self.game_end(row),
            PlayEntry::Move(row) => self.game_move(row),
            PlayEntry::Forecast(row) => self.game_forecast(row),
            PlayEntry::Decision(row) => self.decision(row),
            PlayEntry::Consent(row) => self.consent(row),
            PlayEntry::Operation(row) => self.operation_step(row),
            PlayEntry::Assertion(row) => self.assertion(row),
            PlayEntry::Hold(row) => self.hold(row),
        }
    }

    /// A row about a game: its name in the third to the seventh parameter, then `rest`.
    fn of_game(
        &mut self,
        game: &GameName,
        sql: &'static str,
        rest: &[&dyn ToSql],
    ) -> rusqlite::Result<usize> {
        let (alice, bob) = (game.stakers.alice(), game.stakers.bob());
        let (alice, bob) = (alice.to_string(), bob.to_string());
        let (start, inbox_level) = (game.start.get(), game.inbox_level.get());
        let name: [&dyn ToSql; 5] = [&game.rollup.0, &alice, &bob, &start, &inbox_level];
        self.row(sql, &[&name[..], rest].concat())
    }

    fn game(&mut self, row: &GameRow) -> rusqlite::Result<usize> {
        self.of_game(
            &row.game,
            "INSERT INTO game (seq, at, rollup, alice, bob, start_level, inbox_level, block, level)
             VALUES (?1, ?2, (SELECT seq FROM rollup WHERE address = ?3), ?4, ?5, ?6, ?7,
                     (SELECT seq FROM block WHERE hash = ?8), ?9)
             ON CONFLICT DO NOTHING",
            &[&row.block.0, &row.level.get()],
        )
    }

    fn position(&mut self, row: &PositionRow) -> rusqlite::Result<usize> {
        self.of_game(
            &row.game,
            concat!(
                "INSERT INTO game_position (seq, at, game, block, level, position, turn, alice_left,
                                            bob_left, last_turn_level, stage, content)
                 VALUES (?1, ?2, ",
                named_game!(),
                ", (SELECT seq FROM block WHERE hash = ?8), ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
                 ON CONFLICT DO NOTHING"
            ),
            &[
                &row.block.0,
                &row.level.get(),
                &row.position.0,
                &seat(row.turn),
                &row.alice_left,
                &row.bob_left,
                &row.last_turn.get(),
                &row.stage,
                &row.content,
            ],
        )
    }

    fn game_end(&mut self, row: &GameEndRow) -> rusqlite::Result<usize> {
        let (result, loser) = match row.ending {
            Ending::Loser(loser) => ("loser", Some(loser.to_string())),
            Ending::Draw => ("draw", None),
            Ending::Gone => ("gone", None),
        };
        self.of_game(
            &row.game,
            concat!(
                "INSERT INTO game_end (seq, at, game, block, level, result, loser, reason)
                 VALUES (?1, ?2, ",
                named_game!(),
                ", (SELECT seq FROM block WHERE hash = ?8), ?9, ?10, ?11, ?12)
                 ON CONFLICT DO NOTHING"
            ),
            &[&row.block.0, &row.level.get(), &result, &loser, &row.reason],
        )
    }

    fn game_move(&mut self, row: &MoveRow) -> rusqlite::Result<usize> {
        self.of_game(
            &row.game,
            concat!(
                "INSERT INTO game_move (seq, at, game, position, kind, refutation, milliseconds,
                                        detail)
                 VALUES (?1, ?2, ",
                named_game!(),
                ", ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING"
            ),
            &[
                &row.position.0,
                &row.kind,
                &row.refutation,
                &signed(row.milliseconds)?,
                &row.detail,
            ],
        )
    }

    fn game_forecast(&mut self, row: &ForecastRow) -> rusqlite::Result<usize> {
        let (result, loser) = match row.foreseen {
            Foreseen::Loser(loser) => ("loser", loser.to_string()),
            Foreseen::Draw => ("draw", String::new()),
            Foreseen::Unknown => ("unknown", String::new()),
        };
        self.of_game(
            &row.game,
            concat!(
                "INSERT INTO game_forecast (seq, at, game, position, result, loser)
                 VALUES (?1, ?2, ",
                named_game!(),
                ", ?8, ?9, ?10) ON CONFLICT DO NOTHING"
            ),
            &[&row.position.0, &result, &loser],
        )
    }

    fn decision(&mut self, row: &DecisionRow) -> rusqlite::Result<usize> {
        self.row(
            "INSERT INTO decision (seq, at, rollup, block, level, verb, what, reason, deadline,
                                   slack, mode, hold)
             VALUES (?1, ?2, (SELECT seq FROM rollup WHERE address = ?3),
                     (SELECT seq FROM block WHERE hash = ?4), ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            &[
                &row.rollup.0,
                &row.block.0,
                &row.level.get(),
                &row.verb.word(),
                &row.what,
                &row.reason,
                &row.deadline.map(|level| level.get()),
                &row.slack,
                &row.mode,
                &row.hold,
            ],
        )
    }

    fn consent(&mut self, row: &ConsentRow) -> rusqlite::Result<usize> {
        let word = if row.is_given { "given" } else { "refused" };
        self.row(
            "INSERT INTO consent (seq, at, rollup, block, level, commitment, consent, detail)
             VALUES (?1, ?2, (SELECT seq FROM rollup WHERE address = ?3),
                     (SELECT seq FROM block WHERE hash = ?4), ?5, ?6, ?7, ?8)
             ON CONFLICT DO NOTHING",
            &[
                &row.rollup.0,
                &row.block.0,
                &row.level.get(),
                &row.commitment.0,
                &word,
                &row.detail,
            ],
        )
    }

    fn operation_step(&mut self, row: &OperationStepRow) -> rusqlite::Result<usize> {
        self.row(
            "INSERT INTO operation (seq, at, step, hash, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
            &[&row.step, &row.hash.map(|hash| hash.0), &row.detail],
        )
    }

    fn assertion(&mut self, row: &AssertionRow) -> rusqlite::Result<usize> {
        self.row(
            "INSERT INTO assertion (seq, at, rollup, period, parent, level, tick, state)
             VALUES (?1, ?2, (SELECT seq FROM rollup WHERE address = ?3), ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT DO NOTHING",
            &[
                &row.rollup.0,
                &row.period.0,
                &row.parent.0,
                &row.level.get(),
                &row.tick.to_string(),
                &row.state.map(|state| state.0),
            ],
        )
    }

    fn hold(&mut self, row: &HoldRow) -> rusqlite::Result<usize> {
        let state = if row.is_on { "on" } else { "off" };
        self.row(
            "INSERT INTO hold (seq, at, rollup, hold, state, reason)
             VALUES (?1, ?2, (SELECT seq FROM rollup WHERE address = ?3), ?4, ?5, ?6)",
            &[
                &row.rollup.map(|rollup| rollup.0),
                &row.hold,
                &state,
                &row.reason,
            ],
        )
    }
}
