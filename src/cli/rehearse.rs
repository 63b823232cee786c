//! `watchtower rehearse`: whole games against a synthetic liar, on what the data directory holds.

use std::sync::Arc;

use super::args::RehearseArgs;
use super::exit::{Exit, Failure};
use super::output::{line, start_logs};
use super::replay::{chosen, level};
use crate::config::Config;
use crate::journal::Reader;
use crate::pvm::PreimageFolder;
use crate::tower::{KeptReveals, Rehearsal, States, rollup_folder};

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
    for number in 0..command.games {
        let game = rehearsal
            .play(number)
            .map_err(|error| Failure::new(Exit::Data, error))?;
        all_won &= game.is_won;
        line(format!(
            "  as {}, against a lie from tick {}: {} in {} moves, slowest {} ms{}{}",
            game.role.name(),
            game.wrong_from,
            if game.is_won { "won" } else { "NOT WON" },
            game.moves.len(),
            game.slowest().as_millis(),
            game.proof
                .map_or(String::new(), |size| format!(", proof of {size} bytes")),
            game.problem
                .as_ref()
                .map_or(String::new(), |problem| format!(": {problem}")),
        ))?;
    }
    Ok(if all_won {
        Exit::Fine
    } else {
        Exit::Difference
    })
}
