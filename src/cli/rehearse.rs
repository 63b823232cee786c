//! `watchtower rehearse`: whole games against a synthetic liar, on what the data directory holds.

use std::sync::Arc;

use super::args::RehearseArgs;
use super::exit::{Exit, Failure};
use super::output::{line, start_logs};
use super::replay::{chosen, level};
use crate::config::Config;
use crate::journal::Reader;
use crate::pvm::PreimageFolder;
use crate::tower::{KeptReveals, Lie, Rehearsal, Rehearsed, Role, States, rollup_folder};

pub(super) fn run(config: &Config, command: &RehearseArgs) -> Result<Exit, Failure> {
    start_logs(config)?;
    let reader = Reader::open(&config.journal_path())?;
    let rollup = chosen(&reader, command.rollup.as_deref())?;
    let wanted = level("--level", command.level)?;
    let folder = rollup_folder(&config.data_dir, &rollup).join("wasm_2_0_0");
    let reveals = KeptReveals::new(&rollup, PreimageFolder::new(folder), &reader)?;
    let from = if command.from_kernel {
        States::Kernel
    } else {
        States::Store
    };
    let rehearsal = Rehearsal::open(config, &rollup, Arc::new(reveals), from, wanted)
        .map_err(|error| Failure::new(Exit::Data, error))?;
    line(format!(
        "level {}: {} ticks, {} bytes are the most a move may have",
        rehearsal.level(),
        rehearsal.ticks(),
        crate::game::OPERATION_LIMIT
    ))?;
    let mut all_won = true;
    for (lie, role) in games(&rehearsal, command.games)? {
        let game = rehearsal
            .play_from(role, lie.from)
            .map_err(|error| Failure::new(Exit::Data, error))?;
        all_won &= game.is_won;
        line(told(lie, &game))?;
    }
    Ok(if all_won {
        Exit::Fine
    } else {
        Exit::Difference
    })
}

/// One game about each kind of tick, or as many as are wanted; roles by turns, in the next round the
/// other way about.
fn games(rehearsal: &Rehearsal, wanted: Option<u64>) -> Result<Vec<(Lie, Role)>, Failure> {
    let mut games = Vec::new();
    for round in 0_u64.. {
        let lies = rehearsal.lies(round);
        let lies = lies.map_err(|error| Failure::new(Exit::Data, error))?;
        let wanted = wanted.unwrap_or(lies.len() as u64);
        for (lie, number) in lies.into_iter().zip(round..) {
            if games.len() as u64 >= wanted {
                return Ok(games);
            }
            let role = match number.is_multiple_of(2) {
                true => Role::Refuter,
                false => Role::Defender,
            };
            games.push((lie, role));
        }
        if games.is_empty() {
            break;
        }
    }
    Ok(games)
}

fn told(lie: Lie, game: &Rehearsed) -> String {
    let seconds = |duration: std::time::Duration| duration.as_secs_f64();
    let proof = match game.proof {
        Some(size) => format!("proof of {size} bytes"),
        // The liar had no move to make, or none that the judge takes.
        None => "no proof needed".to_owned(),
    };
    let mut text = format!(
        "  {:<8} as {:<8} lied to from tick {}: {} in {} moves, {proof}; median {:.3} s, slowest {:.3} s, all {:.3} s",
        lie.about.name(),
        game.role.name(),
        game.wrong_from,
        if game.is_won { "won" } else { "NOT WON" },
        game.moves.len(),
        seconds(game.median()),
        seconds(game.slowest()),
        seconds(game.whole()),
    );
    if let Some(problem) = &game.problem {
        text.push_str(": ");
        text.push_str(problem);
    }
    text
}
