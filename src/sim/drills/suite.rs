//! The drills, by name: the end-to-end disputes of the reference's own tests, then one for each
//! class of adversary.
//!
//! Left out, with the reason: pages of the data availability layer and their parameters (the layer is
//! off on this chain) and the RISC-V machine (no network enables it). A corrupted information about
//! the level alone is no lie here: the kernel of the drills keeps nothing of it.

use super::{Drill, Lengths, Opponent, Traffic};
use crate::protocol::{Level, Protocol};
use crate::sim::actors::{From, Pace, Play, Slip, SlipKind, Strategy};
use crate::sim::chain::Abandoned;
use crate::sim::scenario::Event;
use crate::sim::trace::Meddling;
use crate::sim::weather::{Carriage, Weather};

/// Ticks of a kernel run under the newest protocols.
const RUN: u64 = 50_000_000_000_000;
/// Place of the end of a level that has two messages of users.
const END: u32 = 4;
/// A tick inside the evaluation of the kernel, from the reading of the end of the level.
const EVALUATION: u64 = RUN + 45_000;

/// Every drill.
#[must_use]
pub fn suite() -> Vec<Drill> {
    [
        of_the_reference(),
        migrations(),
        contents(),
        inputs(),
        moves(),
        timings(),
        crowds(),
        environments(),
    ]
    .concat()
}

fn drill(name: &str, about: &str, strategy: Strategy) -> Drill {
    Drill {
        name: name.into(),
        about: about.into(),
        seed: 7,
        protocol: Protocol::Ushuaia,
        switch: None,
        lengths: Lengths {
            period: 10,
            window: 40,
            timeout: 30,
        },
        traffic: Traffic {
            each: 2,
            until: Level::new(24),
            silent: Vec::new(),
            reveals: None,
        },
        opponents: vec![opponent(strategy)],
        events: Vec::new(),
        endpoints: Vec::new(),
        last: Level::new(160),
    }
}

fn opponent(strategy: Strategy) -> Opponent {
    Opponent {
        strategy,
        play: Play::default(),
        fees: 1,
    }
}

const fn wrong(level: u16, message: u32, tick: u64) -> Strategy {
    Strategy::WrongState(at(level, message, tick))
}

const fn at(level: u16, message: u32, tick: u64) -> From {
    From::place(Level::new(level), message, tick)
}

fn levels(levels: &[u16]) -> Vec<Level> {
    levels.iter().map(|level| Level::new(*level)).collect()
}

impl Drill {
    fn silent(mut self, silent: &[u16]) -> Self {
        self.traffic.silent = levels(silent);
        self
    }

    fn played(mut self, play: Play) -> Self {
        for opponent in &mut self.opponents {
            opponent.play = play.clone();
        }
        self
    }

    fn first_in_blocks(mut self) -> Self {
        for opponent in &mut self.opponents {
            opponent.fees = 20;
        }
        self
    }

    fn against(mut self, others: impl IntoIterator<Item = Strategy>) -> Self {
        self.opponents.extend(others.into_iter().map(opponent));
        self
    }

    fn happening(mut self, level: u16, event: Event) -> Self {
        self.events.push((Level::new(level), event));
        self
    }

    fn under(mut self, endpoints: Vec<Weather>) -> Self {
        self.endpoints = endpoints;
        self
    }
}

/// `tezt/tests/sc_rollup.ml`: places of the fault as there, mapped to two messages a level.
fn of_the_reference() -> Vec<Drill> {
    let new_content = Drill {
        traffic: Traffic {
            each: 2,
            until: Level::new(60),
            silent: Vec::new(),
            reveals: None,
        },
        ..drill(
            "inbox_proof_with_new_content",
            "the inbox goes on while the game is played",
            wrong(5, 0, 0),
        )
    };
    let stopped = Play {
        pace: Pace::Until(2),
        ..Play::default()
    };
    vec![
        drill(
            "inbox_proof_at_genesis",
            "wrong first input",
            wrong(3, 0, 0),
        ),
        drill("pvm_proof_at_genesis", "wrong first step", wrong(3, END, 1)),
        drill("inbox_proof", "wrong input", wrong(5, 0, 0)),
        new_content,
        drill(
            "inbox_proof_one_empty_level",
            "wrong input after a level without messages",
            wrong(6, 0, 0),
        )
        .silent(&[5]),
        drill(
            "inbox_proof_many_empty_levels",
            "wrong input after levels without messages",
            wrong(9, 0, 0),
        )
        .silent(&[4, 5, 6]),
        drill(
            "inbox_proof_message",
            "wrong input in the middle of a level",
            wrong(3, 2, 0),
        )
        .first_in_blocks(),
        drill(
            "inbox_proof_priority",
            "wrong input, the liar moves first",
            wrong(3, 0, 0),
        )
        .first_in_blocks(),
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
            "pvm_proof_empty",
            "wrong step after levels without messages",
            wrong(9, 2, 5),
        )
        .silent(&[4, 5, 9]),
        drill(
            "pvm_proof_second_period",
            "wrong step in the second period",
            wrong(15, END, RUN + 200),
        ),
        drill("timeout", "the liar stops playing", wrong(5, END, 1)).played(stopped),
        drill("parallel_games_0", "two liars", wrong(3, 0, 0)).against([wrong(5, END, 1)]),
        drill("parallel_games_1", "three liars", wrong(3, 0, 0))
            .against([wrong(5, END, 1), wrong(7, END, RUN + 200)]),
    ]
}

/// `sc_rollup_migration.ml`: the protocol changes at each stage of a dispute.
fn migrations() -> Vec<Drill> {
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
    all
}

fn contents() -> Vec<Drill> {
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

fn inputs() -> Vec<Drill> {
    let level = Level::new(6);
    let other = |name: &str, about: &str, meddling: Meddling| {
        drill(name, about, Strategy::OtherInputs(meddling))
    };
    let reveals = Drill {
        traffic: Traffic {
            each: 2,
            until: Level::new(24),
            silent: Vec::new(),
            reveals: Some(level),
        },
        ..other(
            "wrong_reveal",
            "reveals other data",
            Meddling::WrongReveals { level },
        )
    };
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
            "replays",
            "reads the first level again",
            Meddling::Replays {
                level: Level::new(12),
            },
        ),
        reveals,
    ]
}

fn moves() -> Vec<Drill> {
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
        drill(name, "a wrong move on the way", wrong(7, END, RUN + 200)).played(play)
    });
    Vec::from(all)
}

fn timings() -> Vec<Drill> {
    let paced = |name: &str, about: &str, pace| {
        let play = Play {
            pace,
            ..Play::default()
        };
        drill(name, about, wrong(7, END, RUN + 200)).played(play)
    };
    let mut slow = paced(
        "last_block",
        "every move in the last block of the clock",
        Pace::LastBlock,
    );
    slow.last = Level::new(220);
    vec![
        paced("never_moves", "publishes and never plays", Pace::Never),
        paced(
            "opens_and_leaves",
            "opens a game and leaves",
            Pace::Until(0),
        )
        .first_in_blocks(),
        paced("stops_after_one", "leaves after a move", Pace::Until(1)),
        slow,
        paced(
            "slow",
            "waits three blocks before each move",
            Pace::After(3),
        ),
    ]
}

fn crowds() -> Vec<Drill> {
    let lie = wrong(5, 2, 0);
    vec![
        drill("same_lie", "three liars on one commitment", lie.clone())
            .against([lie.clone(), lie.clone()]),
        drill(
            "many_lies",
            "five liars who also fight each other",
            lie.clone(),
        )
        .against([
            wrong(5, 3, 0),
            wrong(6, END, RUN + 200),
            wrong(8, 0, 0),
            Strategy::Frozen(at(4, 0, 0)),
        ]),
        drill(
            "freeloader",
            "copies the defender, then differs",
            Strategy::Freeloader {
                of: 1,
                until: Some(at(13, 2, 0)),
            },
        ),
        drill("copied_lie", "copies a liar", lie)
            .against([Strategy::Freeloader { of: 2, until: None }]),
    ]
}

fn environments() -> Vec<Drill> {
    let lie = wrong(7, END, RUN + 200);
    let reorganisation = |depth, abandoned| Event::Reorganise { depth, abandoned };
    let carried = |carriage| Event::Carry(carriage);
    let good = Weather::default;
    vec![
        drill(
            "reorg_of_two",
            "two blocks of the game are replaced, operations come back",
            lie.clone(),
        )
        .happening(27, reorganisation(2, Abandoned::Returned)),
        drill(
            "reorg_of_five",
            "five blocks of the game are replaced, operations are lost",
            lie.clone(),
        )
        .happening(29, reorganisation(5, Abandoned::Lost)),
        drill(
            "reorg_before_opening",
            "the publications are replaced",
            lie.clone(),
        )
        .happening(18, reorganisation(5, Abandoned::Lost)),
        drill(
            "operations_lost",
            "one operation in three is lost",
            lie.clone(),
        )
        .happening(
            12,
            carried(Carriage {
                loses_every: Some(3),
                ..Carriage::default()
            }),
        ),
        drill(
            "operations_delayed",
            "every operation waits two blocks",
            lie.clone(),
        )
        .happening(
            12,
            carried(Carriage {
                delay: 2,
                ..Carriage::default()
            }),
        ),
        drill(
            "operations_reordered",
            "operations of a block in another order",
            lie.clone(),
        )
        .happening(
            12,
            carried(Carriage {
                reversed: true,
                ..Carriage::default()
            }),
        ),
        drill(
            "operations_duplicated",
            "every operation comes twice",
            lie.clone(),
        )
        .happening(
            12,
            carried(Carriage {
                duplicates: true,
                ..Carriage::default()
            }),
        ),
        drill(
            "endpoint_lags",
            "one endpoint is three blocks behind",
            lie.clone(),
        )
        .under(vec![good(), Weather { lag: 3, ..good() }]),
        drill(
            "endpoint_lies",
            "one endpoint shows another inbox",
            lie.clone(),
        )
        .under(vec![
            good(),
            Weather {
                wrong_inbox_at: Some(Level::new(8)),
                ..good()
            },
        ]),
        drill(
            "endpoint_other_branch",
            "one endpoint is on another branch",
            lie.clone(),
        )
        .under(vec![
            good(),
            Weather {
                disagree_from: Some(Level::new(9)),
                ..good()
            },
        ]),
        drill(
            "endpoint_stalls",
            "one endpoint sends no heads",
            lie.clone(),
        )
        .under(vec![
            good(),
            Weather {
                silent_stream: true,
                ..good()
            },
        ]),
        drill(
            "endpoint_cuts",
            "streams are cut, bodies halved, gateways fail",
            lie.clone(),
        )
        .under(vec![Weather {
            cut_stream_after: Some(4),
            half_body_every: Some(17),
            bad_gateway_every: Some(11),
            ..good()
        }]),
        drill("endpoint_loses", "one endpoint loses what it is given", lie).under(vec![
            Weather {
                loses_operations: true,
                ..good()
            },
            good(),
        ]),
    ]
}
