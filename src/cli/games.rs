//! `watchtower games`: every game seen, from the journal alone.

use serde_json::{Value, json};

use super::args::GamesArgs;
use super::exit::{Exit, Failure};
use super::output::line;
use crate::codec::Reader as Bytes;
use crate::config::Config;
use crate::game;
use crate::journal::{Ending, Foreseen, GameName, Reader, RollupRow, StoredPosition};
use crate::protocol::{Clock, Dialected, Game, GameState, Level, Player};

pub(super) fn run(config: &Config, command: &GamesArgs) -> Result<Exit, Failure> {
    let reader = Reader::open(&config.journal_path())?;
    let head = reader.head()?.map(|block| block.level);
    let listed: Vec<_> = all(&reader)?
        .into_iter()
        .filter(|game| command.all || game.end.is_none())
        .collect();
    if command.json {
        let games: Vec<_> = listed.iter().map(|game| game.to_json(head)).collect();
        line(Value::from(games).to_string())?;
        return Ok(Exit::Fine);
    }
    if listed.is_empty() {
        line("no game is being played")?;
    }
    for game in &listed {
        line(game.told(head))?;
    }
    Ok(Exit::Fine)
}

/// A game of the journal with its number.
pub(super) struct Listed {
    pub(super) number: usize,
    pub(super) rollup: RollupRow,
    pub(super) name: GameName,
    pub(super) end: Option<(Level, Ending)>,
    pub(super) last: Option<StoredPosition>,
    /// Who wins from the last position on, as far as it was foreseen.
    pub(super) foreseen: Foreseen,
}

/// Every game, oldest first, over all rollups.
pub(super) fn all(reader: &Reader) -> Result<Vec<Listed>, Failure> {
    let mut listed = Vec::new();
    for rollup in reader.rollups()? {
        for (name, end) in reader.games(&rollup.address)? {
            let last = reader.positions(&name)?.pop();
            let forecasts = reader.forecasts(&name)?.into_iter().rev();
            let mut of_last = forecasts.filter(|(position, _)| {
                last.as_ref().is_some_and(|last| last.position == *position)
            });
            listed.push(Listed {
                number: listed.len().saturating_add(1),
                foreseen: of_last.next().map_or(Foreseen::Unknown, |(_, found)| found),
                last,
                rollup: rollup.clone(),
                name,
                end,
            });
        }
    }
    Ok(listed)
}

/// The game of this number, or the newest one of this player.
pub(super) fn find(reader: &Reader, wanted: &str) -> Result<Listed, Failure> {
    let by_number = wanted.trim_start_matches('#').parse::<usize>().ok();
    let found = all(reader)?.into_iter().rev().find(|game| {
        Some(game.number) == by_number
            || game.name.stakers.alice().to_string() == wanted
            || game.name.stakers.bob().to_string() == wanted
    });
    found.ok_or_else(|| {
        Failure::said(
            Exit::Configuration,
            format!("{wanted:?} is no game of the journal: `watchtower games --all` lists them"),
        )
    })
}

impl StoredPosition {
    /// The game as the chain has it.
    pub(super) fn game(&self) -> Option<Game> {
        Game::read(&mut Bytes::new(&self.content)).ok()
    }

    pub(super) fn clock(&self) -> Clock {
        let blocks = |left: i64| i32::try_from(left).unwrap_or(i32::MAX);
        Clock {
            alice: blocks(self.alice_left),
            bob: blocks(self.bob_left),
            last_turn: self.last_turn,
        }
    }

    /// Blocks left of a player when the chain stands at `head`.
    pub(super) fn left(&self, player: Player, head: Level) -> i64 {
        let clock = self.clock();
        if self.turn == player {
            clock.blocks_left(player, head)
        } else {
            i64::from(clock.stored(player))
        }
    }
}

/// Ticks in dispute: the widest section on the table.
pub(super) fn width(game: &Game) -> u128 {
    match &game.state {
        GameState::Dissecting { dissection, .. } => dissection
            .iter()
            .zip(dissection.iter().skip(1))
            .map(|(start, stop)| stop.tick.0.saturating_sub(start.tick.0))
            .max()
            .unwrap_or(0),
        GameState::FinalMove {
            agreed_start,
            refuted_stop,
        } => refuted_stop.tick.0.saturating_sub(agreed_start.tick.0),
    }
}

impl Listed {
    pub(super) fn standing(&self, head: Option<Level>) -> String {
        if let Some((level, ending)) = self.end {
            return match ending {
                Ending::Loser(loser) => format!("over at level {level}: {loser} lost"),
                Ending::Draw => format!("over at level {level}: both lost"),
                Ending::Gone => format!("no longer on the chain at level {level}"),
            };
        }
        let (Some(last), Some(head)) = (&self.last, head) else {
            return "not seen yet".into();
        };
        let turn = self.name.stakers.account(last.turn);
        let width = last.game().map_or(0, |game| width(&game));
        format!(
            "{turn} to move; {width} ticks in dispute; blocks left: {} and {}; {}",
            last.left(Player::Alice, head),
            last.left(Player::Bob, head),
            self.foreseen_words()
        )
    }

    /// Who wins if both play the rest honestly, in words.
    pub(super) fn foreseen_words(&self) -> String {
        match self.foreseen {
            Foreseen::Loser(loser) if loser == self.name.stakers.alice() => {
                format!("forecast: {} wins", self.name.stakers.bob())
            }
            Foreseen::Loser(_) => format!("forecast: {} wins", self.name.stakers.alice()),
            Foreseen::Draw => "forecast: a draw, both lose".into(),
            Foreseen::Unknown => "no forecast yet".into(),
        }
    }

    fn told(&self, head: Option<Level>) -> String {
        format!(
            "#{} {} against {} on {}, level {}, since {}\n   {}",
            self.number,
            self.name.stakers.alice(),
            self.name.stakers.bob(),
            self.name.rollup.text(self.rollup.dialect),
            self.name.inbox_level,
            self.name.start,
            self.standing(head)
        )
    }

    pub(super) fn to_json(&self, head: Option<Level>) -> Value {
        let left = |player| {
            let (last, head) = (self.last.as_ref()?, head?);
            Some(last.left(player, head))
        };
        let (result, loser) = match self.end {
            None => (None, None),
            Some((_, Ending::Loser(loser))) => (Some("loser"), Some(loser.to_string())),
            Some((_, Ending::Draw)) => (Some("draw"), None),
            Some((_, Ending::Gone)) => (Some("gone"), None),
        };
        let turn = self
            .last
            .as_ref()
            .map(|last| self.name.stakers.account(last.turn));
        json!({
            "number": self.number,
            "rollup": self.name.rollup.text(self.rollup.dialect),
            "alice": self.name.stakers.alice(),
            "bob": self.name.stakers.bob(),
            "start_level": self.name.start.get(),
            "inbox_level": self.name.inbox_level.get(),
            "turn": turn,
            "alice_left": left(Player::Alice),
            "bob_left": left(Player::Bob),
            "width": self.last.as_ref().and_then(StoredPosition::game).map(|g| width(&g).to_string()),
            "forecast": match self.foreseen {
                Foreseen::Loser(loser) => json!({"loser": loser}),
                Foreseen::Draw => "draw".into(),
                Foreseen::Unknown => Value::Null,
            },
            "result": result,
            "loser": loser,
        })
    }
}

/// The first level at which the clock of whoever has to move can be called.
pub(super) fn called_from(last: &StoredPosition) -> i64 {
    let clock: game::Clock = last.clock();
    clock.deadline(last.turn).saturating_add(1)
}
