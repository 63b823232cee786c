//! What liars claim, what they read, and what they get wrong while they play for it.

use super::{Drill, END, EVALUATION, Kernel, RUN, at, drill, wrong};
use crate::protocol::Level;
use crate::sim::actors::{Play, Slip, SlipKind, Strategy};
use crate::sim::trace::Meddling;

/// Wrong claims about the right inputs.
pub(super) fn contents() -> Vec<Drill> {
    let place = at(5, 2, 0);
    vec![
        drill(
            "more_ticks",
            "claims ticks that do not exist",
            Strategy::WrongTicks { from: place, by: 3 },
        ),
        drill(
            "many_more_ticks",
            "claims runs that do not exist",
            Strategy::WrongTicks {
                from: place,
                by: 150_000_000_000_007,
            },
        ),
        drill(
            "fewer_ticks",
            "stops short of the end",
            Strategy::WrongTicks {
                from: place,
                by: -3,
            },
        ),
        drill(
            "many_fewer_ticks",
            "stops several runs short",
            Strategy::WrongTicks {
                from: place,
                by: -150_000_000_000_001,
            },
        ),
        drill(
            "frozen",
            "claims that nothing changed",
            Strategy::Frozen(place),
        ),
        drill("zeroed", "states of zeros", Strategy::Zeroed(place)),
        drill(
            "random",
            "states at random from the start",
            Strategy::Random(at(3, 0, 0)),
        ),
        drill(
            "random_late",
            "states at random in the end",
            Strategy::Random(at(12, END, 0)),
        ),
        drill(
            "stuck",
            "claims that the machine stops",
            Strategy::Stuck(at(7, END, EVALUATION)),
        ),
        drill(
            "wrong_at_the_end",
            "wrong in the last tick only",
            wrong(12, END, 3 * RUN),
        ),
    ]
}

/// Claims about other inputs.
pub(super) fn inputs() -> Vec<Drill> {
    let level = Level::new(6);
    let other = |name: &str, about: &str, meddling: Meddling| {
        drill(name, about, Strategy::OtherInputs(meddling))
    };
    let mut reveals = other(
        "wrong_reveal",
        "reveals other data",
        Meddling::WrongReveals { level },
    );
    reveals.traffic.reveals = Some(level);
    vec![
        other(
            "skips_message",
            "leaves a message out",
            Meddling::Skips { level, message: 2 },
        ),
        other(
            "adds_message",
            "invents a message",
            Meddling::Adds {
                level,
                message: "0157012f61".into(),
            },
        ),
        other(
            "skips_start",
            "leaves a start of level out",
            Meddling::SkipsStart { level },
        ),
        other(
            "skips_end",
            "leaves an end of level out",
            Meddling::SkipsEnd { level },
        ),
        other(
            "corrupts_level_info",
            "reads another predecessor of a level",
            Meddling::CorruptsInfo {
                level: Level::new(12),
            },
        )
        .running(Kernel::Reckoner),
        other(
            "replays",
            "reads the first level again",
            Meddling::Replays {
                level: Level::new(12),
            },
        ),
        reveals,
    ]
}

/// Moves that the protocol refuses, and some that it lets pass.
pub(super) fn moves() -> Vec<Drill> {
    let kinds = [
        ("too_few_sections", SlipKind::TooFewSections),
        ("unequal_sections", SlipKind::UnequalSections),
        ("changed_start", SlipKind::ChangedStart),
        ("unchanged_stop", SlipKind::UnchangedStop),
        ("unknown_choice", SlipKind::UnknownChoice),
        ("shifted_states", SlipKind::ShiftedStates),
        ("state_after_stop", SlipKind::StateAfterStop),
        ("duplicate_move", SlipKind::Duplicate),
        ("out_of_turn", SlipKind::OutOfTurn),
        ("no_proof", SlipKind::NoProof),
        ("invalid_proof_first", SlipKind::InvalidProof),
    ];
    let all = kinds.map(|(name, kind)| {
        let play = Play {
            slips: vec![Slip { at: 2, kind }],
            ..Play::default()
        };
        drill(name, "a wrong move on the way", wrong(7, END, 1)).played(&play)
    });
    Vec::from(all)
}
