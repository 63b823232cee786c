//! The disputes of the reference's own tests (`tezt/tests/sc_rollup.ml`,
//! `sc_rollup_migration.ml`): places of the fault as there, mapped to two messages a level. What
//! they play on the arithmetic machine is played over the reckoner, the rest over the commander.

use super::{Drill, END, EVALUATION, Kernel, RUN, Role, drill, wrong};
use crate::protocol::{Level, Protocol};
use crate::sim::actors::{Pace, Play, Strategy};
use crate::sim::trace::Meddling;

fn stopped() -> Play {
    Play {
        pace: Pace::Until(2),
        ..Play::default()
    }
}

/// The scenarios of the arithmetic machine.
pub(super) fn reckoned() -> Vec<Drill> {
    let mut new_content = drill(
        "arith_inbox_proof_with_new_content",
        "the inbox goes on while the game is played",
        wrong(5, 0, 0),
    );
    new_content.traffic.until = Level::new(60);
    let about =
        |name: &str, about: &str, strategy| drill(&format!("arith_{name}"), about, strategy);
    let all = vec![
        about(
            "inbox_proof_at_genesis",
            "wrong first input",
            wrong(3, 0, 0),
        ),
        about("pvm_proof_at_genesis", "wrong first step", wrong(3, END, 1)),
        about("inbox_proof", "wrong input", wrong(5, 0, 0)),
        new_content,
        about(
            "inbox_proof_one_empty_level",
            "wrong input after a level without messages",
            wrong(6, 0, 0),
        )
        .silent(&[5]),
        about(
            "inbox_proof_many_empty_levels",
            "wrong input after levels without messages",
            wrong(9, 0, 0),
        )
        .silent(&[4, 5, 6]),
        about("pvm_proof_0", "wrong step after a message", wrong(5, 2, 1)),
        about("pvm_proof_1", "wrong reading of a message", wrong(7, 2, 0)),
        about(
            "pvm_proof_2",
            "wrong step while numbers are summed",
            wrong(7, END, RUN + 40_000),
        ),
        about(
            "pvm_proof_3",
            "wrong step after levels without messages",
            wrong(9, 2, 5),
        )
        .silent(&[4, 5, 9]),
        about(
            "pvm_proof_second_period",
            "wrong step in the second period",
            wrong(15, 2, 5),
        ),
        about("timeout", "the liar stops playing", wrong(5, 2, 1)).played(&stopped()),
        about("parallel_games_0", "two liars", wrong(3, 0, 0)).against([wrong(5, 2, 1)]),
        about("parallel_games_1", "three liars", wrong(3, 0, 0))
            .against([wrong(5, 2, 1), wrong(7, 2, 5)]),
    ];
    let of_the_reckoner = |drill: Drill| drill.running(Kernel::Reckoner);
    all.into_iter().map(of_the_reckoner).collect()
}

/// The scenarios of the WebAssembly machine.
pub(super) fn run() -> Vec<Drill> {
    let mut parameters = drill(
        "invalid_dal_parameters",
        "reveals other parameters of the data availability layer",
        Strategy::OtherInputs(Meddling::WrongReveals {
            level: Level::new(6),
        }),
    )
    .running(Kernel::Reckoner);
    parameters.traffic.reveals = Some(Level::new(6));
    vec![
        drill("inbox_proof", "wrong input", wrong(5, 0, 0)),
        drill(
            "inbox_proof_0",
            "wrong first input, the liar moves first",
            wrong(3, 0, 0),
        )
        .first_in_blocks(),
        drill(
            "inbox_proof_1",
            "wrong input at the end of a level, the liar moves first",
            wrong(3, 4, 0),
        )
        .first_in_blocks(),
        drill(
            "inbox_proof_message",
            "wrong input in the middle of a level",
            wrong(3, 2, 0),
        ),
        drill(
            "pvm_proof_0",
            "wrong step before the kernel runs",
            wrong(5, END, 1),
        ),
        drill(
            "pvm_proof_1",
            "wrong step while the kernel is parsed",
            wrong(7, END, RUN + 200),
        ),
        drill(
            "pvm_proof_2",
            "wrong step while the kernel is evaluated",
            wrong(7, END, EVALUATION),
        ),
        drill(
            "pvm_proof_3",
            "wrong step in the padding of a run",
            wrong(7, END, RUN + RUN / 2),
        ),
        drill(
            "pvm_proof_second_period",
            "wrong step in the second period",
            wrong(15, END, RUN + 200),
        ),
        drill("timeout", "the liar stops playing", wrong(5, END, 1)).played(&stopped()),
        drill("parallel_games_0", "two liars", wrong(3, 0, 0)).against([wrong(5, END, 1)]),
        drill("parallel_games_1", "three liars", wrong(3, 0, 0))
            .against([wrong(5, END, 1), wrong(7, END, RUN + 200)]),
        drill(
            "accuser",
            "stakes for the one period that is lied about, beside an operator",
            wrong(15, END, EVALUATION),
        )
        .against([Strategy::Honest]),
        parameters,
    ]
}

/// Defenders that go down, change their mind, or cannot go on.
pub(super) fn interrupted() -> Vec<Drill> {
    let lie = wrong(5, END, 1);
    let degraded = |name: &str, level| {
        let about = "the kernel asks for a preimage that nobody has";
        let mut drill = drill(name, about, wrong(5, END, 1));
        drill.traffic.lacks = Some(Level::new(level));
        drill
    };
    vec![
        drill(
            "reset_honest_during_game",
            "the defender goes down during the game and comes back",
            lie.clone(),
        )
        .restarted(25, Role::Defend),
        drill(
            "bailout_mode_defends_its_commitment",
            "an operator that stakes no more defends what it staked",
            lie,
        )
        .operated()
        .restarted(17, Role::Bailout),
        degraded("degraded_new", 14),
        degraded("degraded_ongoing", 21),
    ]
}

/// The protocol changes at each stage of a dispute.
pub(super) fn migrations() -> Vec<Drill> {
    let stages = [
        ("faulty_inbox", 4, "while the fault happens"),
        ("commitment_computed", 12, "when the commitment is computed"),
        (
            "commitment_published",
            16,
            "when the commitment is published",
        ),
        ("ongoing_game", 27, "while the game is played"),
    ];
    let mut all = Vec::new();
    for (stage, level, when) in stages {
        for (kind, place) in [("inbox", wrong(3, 4, 0)), ("pvm", wrong(7, END, RUN + 200))] {
            let about = format!("the protocol changes {when}");
            all.push(Drill {
                protocol: Protocol::Tallinn,
                switch: Some((Level::new(level), Protocol::Ushuaia)),
                ..drill(&format!("migration_{stage}_{kind}"), &about, place)
            });
        }
    }
    let mut parameters = Drill {
        protocol: Protocol::Tallinn,
        switch: Some((Level::new(9), Protocol::Ushuaia)),
        ..drill(
            "migration_dal_parameters",
            "reveals the parameters of the new protocol for a level of the old one",
            Strategy::OtherInputs(Meddling::LaterSizes {
                level: Level::new(6),
            }),
        )
    }
    .running(Kernel::Reckoner);
    parameters.traffic.reveals = Some(Level::new(6));
    all.push(parameters);
    all
}
