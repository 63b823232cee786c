//! What befalls chain, network and endpoints while a liar is at work.

use super::{Drill, END, RUN, drill, wrong};
use crate::protocol::Level;
use crate::sim::actors::Strategy;
use crate::sim::chain::Abandoned;
use crate::sim::scenario::Event;
use crate::sim::weather::{Carriage, Failing, Weather, WrongGames};

const fn lie() -> Strategy {
    wrong(7, END, 1)
}

/// Blocks that are replaced, kernels that are.
pub(super) fn chains() -> Vec<Drill> {
    let reorganisation = |depth, abandoned| Event::Reorganise { depth, abandoned };
    let mut upgraded = drill(
        "kernel_upgrade",
        "the kernel puts another one in its place in the disputed period",
        wrong(9, END, RUN + 200),
    );
    upgraded.traffic.upgrades = Some(Level::new(7));
    vec![
        drill(
            "reorg_of_two",
            "two blocks of the game are replaced, operations come back",
            lie(),
        )
        .happening(27, reorganisation(2, Abandoned::Returned)),
        drill(
            "reorg_of_five",
            "five blocks of the game are replaced, operations are lost",
            lie(),
        )
        .happening(29, reorganisation(5, Abandoned::Lost)),
        drill(
            "reorg_before_opening",
            "the publications are replaced",
            lie(),
        )
        .happening(18, reorganisation(5, Abandoned::Lost)),
        drill(
            "flapping",
            "the head goes back and forth between two branches during the game",
            lie(),
        )
        .happening(27, reorganisation(2, Abandoned::Returned))
        .happening(28, Event::Return)
        .happening(29, Event::Return)
        .happening(30, Event::Return),
        upgraded,
    ]
}

/// Operations that are lost, late, out of order, or come twice.
pub(super) fn carriage() -> Vec<Drill> {
    let carried = |name: &str, about: &str, carriage| {
        drill(name, about, lie()).happening(12, Event::Carry(carriage))
    };
    let plain = Carriage::default;
    vec![
        carried(
            "operations_lost",
            "one operation in three is lost",
            Carriage {
                loses_every: Some(3),
                ..plain()
            },
        ),
        carried(
            "operations_delayed",
            "every operation waits two blocks",
            Carriage {
                delay: 2,
                ..plain()
            },
        ),
        carried(
            "operations_reordered",
            "operations of a block in another order",
            Carriage {
                reversed: true,
                ..plain()
            },
        ),
        carried(
            "operations_duplicated",
            "every operation comes twice",
            Carriage {
                duplicates: true,
                ..plain()
            },
        ),
    ]
}

/// With nobody else to ask.
fn alone(name: &str, about: &str, weather: Weather) -> Drill {
    drill(name, about, lie()).under(vec![weather])
}

fn after_a_good_one(name: &str, about: &str, weather: Weather) -> Drill {
    drill(name, about, lie()).under(vec![Weather::default(), weather])
}

fn before_a_good_one(name: &str, about: &str, weather: Weather) -> Drill {
    drill(name, about, lie()).under(vec![weather, Weather::default()])
}

/// Endpoints with faults, most of them beside a good one.
pub(super) fn endpoints() -> Vec<Drill> {
    let good = Weather::default;
    vec![
        after_a_good_one(
            "endpoint_lags",
            "one endpoint is three blocks behind",
            Weather { lag: 3, ..good() },
        ),
        alone(
            "node_behind",
            "the only endpoint is two blocks behind",
            Weather { lag: 2, ..good() },
        ),
        after_a_good_one(
            "endpoint_lies",
            "one endpoint shows another inbox",
            Weather {
                wrong_inbox_at: Some(Level::new(8)),
                ..good()
            },
        ),
        // Two that disagree are reason to stake nothing; the third decides.
        drill(
            "endpoint_other_branch",
            "one endpoint of three is on another branch",
            lie(),
        )
        .under(vec![
            good(),
            Weather {
                disagree_from: Some(Level::new(9)),
                ..good()
            },
            good(),
        ]),
        after_a_good_one(
            "endpoint_sends_no_heads",
            "one endpoint sends no heads",
            Weather {
                silent_stream: true,
                ..good()
            },
        ),
        before_a_good_one(
            "endpoint_stalls",
            "one endpoint leaves requests without an answer",
            Weather {
                stalls_every: Some(9),
                ..good()
            },
        ),
        // Where two are configured, two have to agree before the first stake.
        drill(
            "endpoint_down",
            "one endpoint of three has nothing but 503 to say",
            lie(),
        )
        .under(vec![
            Weather {
                status: Some(503),
                ..good()
            },
            good(),
            good(),
        ]),
        alone(
            "endpoint_answers_502",
            "one request in four fails at a gateway",
            Weather {
                bad_gateway_every: Some(4),
                ..good()
            },
        ),
        alone(
            "endpoint_halves_bodies",
            "one answer in five breaks off in its middle",
            Weather {
                half_body_every: Some(5),
                ..good()
            },
        ),
        alone(
            "endpoint_cuts_streams",
            "streams end after every second head",
            Weather {
                cut_stream_after: Some(2),
                ..good()
            },
        ),
        alone(
            "endpoint_cuts",
            "streams are cut, bodies halved, gateways fail",
            Weather {
                cut_stream_after: Some(4),
                half_body_every: Some(17),
                bad_gateway_every: Some(11),
                ..good()
            },
        ),
        alone(
            "endpoint_repeats_heads",
            "every head comes twice",
            Weather {
                repeats_heads: true,
                ..good()
            },
        ),
        before_a_good_one(
            "endpoint_loses",
            "one endpoint loses what it is given",
            Weather {
                loses_operations: true,
                ..good()
            },
        ),
    ]
}

/// Endpoints that show games otherwise than they are, or lie about simulations. What the operations
/// of the blocks tell is enough to play by.
pub(super) fn malice() -> Vec<Drill> {
    let good = Weather::default;
    let showing = |wrong| Weather {
        wrong_games: Some(wrong),
        ..good()
    };
    vec![
        before_a_good_one(
            "endpoint_hides_disputes",
            "one endpoint shows games in which no section is disputed",
            showing(WrongGames::Undisputed),
        ),
        before_a_good_one(
            "endpoint_contradicts_itself",
            "one endpoint shows games that start where nobody started",
            showing(WrongGames::Contradictory),
        ),
        before_a_good_one(
            "endpoint_refuses_moves",
            "one endpoint says of every move that it is out of turn",
            Weather {
                refuses_refutations: true,
                ..good()
            },
        ),
        alone(
            "node_refuses_moves",
            "the only endpoint says of every move that it is out of turn",
            Weather {
                refuses_refutations: true,
                ..good()
            },
        ),
        alone(
            "node_simulates_nothing",
            "the only endpoint answers no simulation of a move",
            Weather {
                simulates_no_refutations: true,
                ..good()
            },
        ),
        alone(
            "node_tells_too_little_gas",
            "the only endpoint tells less gas than operations take",
            Weather {
                gas_told: Some(1),
                ..good()
            },
        ),
        alone(
            "node_tells_too_much_gas",
            "the only endpoint tells more gas than there is",
            Weather {
                gas_told: Some(u64::MAX),
                ..good()
            },
        ),
        alone(
            "node_hides_disputes",
            "the only endpoint shows games in which no section is disputed",
            showing(WrongGames::Undisputed),
        ),
        alone(
            "node_contradicts_itself",
            "the only endpoint shows games that start where nobody started",
            showing(WrongGames::Contradictory),
        ),
        alone(
            "node_hides_games",
            "the only endpoint shows no games",
            showing(WrongGames::Hidden),
        ),
        alone(
            "node_lacks_games",
            "the only endpoint answers nothing about games, clocks, conflicts and bonds",
            Weather {
                failing: ["/games", "/timeout", "/conflicts", "/stakers", "/index"]
                    .map(|path| Failing {
                        path: path.into(),
                        status: 404,
                    })
                    .into(),
                ..good()
            },
        ),
        alone(
            "node_hides_bonds",
            "the only endpoint shows that nobody has a bond",
            showing(WrongGames::Deserted),
        ),
        alone(
            "node_invents_final_moves",
            "the only endpoint shows games that wait for the last proof of the opponent",
            showing(WrongGames::Final),
        ),
    ]
}
