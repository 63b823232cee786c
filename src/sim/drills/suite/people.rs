//! When opponents move, how many they are, and what money does to them and to us.

use super::{Drill, END, Lengths, Opponent, RUN, at, drill, opponent, wrong};
use crate::protocol::{Level, Mutez};
use crate::sim::actors::{Opens, Pace, Play, Strategy};
use crate::sim::scenario::Event;
use crate::sim::weather::Carriage;

/// Opponents that are late, or wait for the last moment.
pub(super) fn timings() -> Vec<Drill> {
    let paced = |name: &str, about: &str, pace| {
        let play = Play {
            pace,
            ..Play::default()
        };
        drill(name, about, wrong(7, END, 1)).played(&play)
    };
    let mut nearly_out = paced(
        "both_clocks_nearly_out",
        "clocks so short that each move nearly ends them",
        Pace::LastBlock,
    );
    nearly_out.lengths.timeout = 9;
    let lie = wrong(7, END, 1);
    vec![
        paced("never_moves", "publishes and never plays", Pace::Never),
        paced(
            "opens_and_leaves",
            "opens a game and leaves",
            Pace::Until(0),
        )
        .first_in_blocks(),
        paced("stops_after_one", "leaves after a move", Pace::Until(1)),
        paced(
            "last_block",
            "every move in the last block of the clock",
            Pace::LastBlock,
        )
        .until(220),
        paced(
            "slow",
            "waits three blocks before each move",
            Pace::After(3),
        ),
        paced(
            "fast_and_slow",
            "moves at once, then after six blocks, in turn",
            Pace::Alternates(6),
        ),
        nearly_out,
        paced(
            "all_at_once",
            "six liars move in the same block, the last one of their clocks",
            Pace::LastBlock,
        )
        .against(vec![lie; 5])
        .played(&Play {
            pace: Pace::LastBlock,
            ..Play::default()
        })
        .until(260),
    ]
}

/// Several opponents.
pub(super) fn crowds() -> Vec<Drill> {
    let lie = wrong(5, 2, 0);
    let mut limited = drill(
        "above_the_limit_of_games",
        "four liars where a staker may play two games at once",
        lie.clone(),
    )
    .against(vec![lie.clone(); 3])
    .until(260);
    limited.parallel_games = Some(2);
    let mut hosts = drill(
        "more_liars_than_games",
        "more liars than a staker may play at once on mainnet",
        lie.clone(),
    )
    .against(vec![lie.clone(); 33])
    .until(600);
    hosts.lengths.window = 400;
    hosts.lengths.timeout = 200;
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
        )
        .operated(),
        drill("copied_lie", "copies a liar", lie)
            .against([Strategy::Freeloader { of: 2, until: None }]),
        drill(
            "two_branches",
            "lies about a period, then stands on the truth about the next one",
            Strategy::Straddles(at(5, 2, 0)),
        )
        .operated(),
        limited,
        hosts,
    ]
}

/// Fees and bonds.
pub(super) fn money() -> Vec<Drill> {
    const DEFENDER: u32 = super::super::DEFENDER;
    let lie = wrong(7, END, 1);
    let earn = |mutez| Event::Earn {
        account: DEFENDER,
        mutez,
    };
    let mut short = drill(
        "stake_just_short",
        "a mutez is missing for the bond when the lie is published; money comes later",
        lie.clone(),
    )
    .happening(20, earn(20_000_000_000));
    short.defence.money = Some(Mutez(9_999_999_999));
    let mut flooded = drill(
        "message_flood",
        "a level with sixty messages more, the lie among them",
        wrong(8, 40, 0),
    );
    flooded.traffic.flood = Some((Level::new(8), 60));
    vec![
        drill(
            "fees_jump",
            "bakers ask for a hundred times the usual fees while the game is played",
            lie.clone(),
        )
        .paying(200)
        .happening(
            26,
            Event::Carry(Carriage {
                price: 100,
                ..Carriage::default()
            }),
        ),
        drill(
            "account_runs_dry",
            "the defender has no money for fees during the game; some comes ten blocks later",
            lie,
        )
        .happening(
            26,
            Event::Spend {
                account: DEFENDER,
                leaves: 300,
            },
        )
        .happening(36, earn(100_000_000)),
        short,
        flooded,
    ]
}

/// Any number of liars, above the limit of parallel games too. Those who open games themselves tell
/// one lie and so leave each other alone; those who wait for it tell four lies in turn. Final proofs
/// travel one a block, so clocks are long enough for as many.
#[must_use]
pub fn crowd(liars: u32, opens: Opens) -> Drill {
    let all = [
        wrong(5, 0, 0),
        wrong(7, END, RUN + 200),
        wrong(5, END, 1),
        wrong(7, END, RUN + RUN / 2),
    ];
    let (name, lies) = match opens {
        Opens::All => ("crowd_opens", all.get(1..2)),
        Opens::None => ("crowd", all.get(..)),
    };
    let lies = lies.unwrap_or_default().iter().cycle();
    let opponents = lies.take(usize::try_from(liars).unwrap_or(0)).map(|lie| {
        let play = Play {
            opens,
            ..Play::default()
        };
        Opponent {
            play,
            ..opponent(lie.clone())
        }
    });
    Drill {
        lengths: Lengths {
            period: 10,
            window: 160,
            timeout: 120,
        },
        opponents: opponents.collect(),
        last: Level::new(600),
        ..drill(
            &format!("{name}_{liars}"),
            "many liars at once",
            Strategy::Honest,
        )
    }
}
