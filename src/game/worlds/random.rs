//! Longer games against strategies drawn at random, and how they end where both are honest.

use proptest::prelude::*;

use super::*;

/// Where the adversary's trace leaves the truth, and what it is like after.
#[derive(Debug, Clone)]
struct Liar {
    wrong_from: u128,
    /// Branch of its states from there on; none when it claims to be stuck.
    branch: Option<u8>,
    /// Its moves, as numbers to choose with.
    dice: Vec<u32>,
}

impl Liar {
    fn state(&self, toy: &Toy, tick: Tick) -> Option<StateHash> {
        if tick.0 < self.wrong_from {
            return toy.truth(tick);
        }
        self.branch.map(|branch| state(branch, tick.0))
    }

    fn roll(&mut self) -> usize {
        self.dice.pop().unwrap_or(3) as usize
    }

    /// A dissection of a section it likes, with its own states here, true ones there; or a proof.
    fn step(&mut self, world: &World) -> Refutation {
        let (dissection, sections) = dissecting(world);
        let place = self.roll() % (dissection.len() - 1);
        let (start, stop) = (dissection[place], dissection[place + 1]);
        let distance = stop.tick.0 - start.tick.0;
        if distance == 1 {
            let begin = start.state.unwrap_or(state(1, 0));
            let end = match self.roll() % 3 {
                0 => world.toy.next(begin),
                1 => stop.state,
                _ => Some(state(3, 3)),
            };
            return play_step(start.tick, Step::Proof(world.toy.proof(begin, end)));
        }
        let shape = Shape {
            start: start.tick,
            stop: stop.tick,
            sections,
        };
        let ticks = interior_ticks(world.toy.machine, &shape);
        let mut chunks = vec![start];
        let mut stuck = false;
        for tick in ticks {
            let told = match self.roll() % 4 {
                0 => world.toy.truth(tick),
                _ => self.state(&world.toy, tick),
            };
            stuck |= told.is_none();
            chunks.push(DissectionChunk {
                state: if stuck { None } else { told },
                tick,
            });
        }
        let end = if stuck {
            None
        } else {
            self.state(&world.toy, stop.tick)
        };
        let end = match end {
            same if same == stop.state && stuck => {
                return play_step(start.tick, Step::Dissection(Vec::new()));
            }
            same if same == stop.state => Some(state(4, stop.tick.0)),
            other => other,
        };
        chunks.push(DissectionChunk {
            state: end,
            tick: stop.tick,
        });
        play_step(start.tick, Step::Dissection(chunks))
    }
}

fn machine() -> impl Strategy<Value = Machine> {
    prop_oneof![
        Just(Machine::Plain),
        (2..40_u64).prop_map(|ticks_per_snapshot| Machine::Wasm { ticks_per_snapshot }),
    ]
}

fn liar() -> impl Strategy<Value = Liar> {
    (
        0..330_u128,
        proptest::option::of(1..4_u8),
        proptest::collection::vec(any::<u32>(), 0..400),
    )
        .prop_map(|(wrong_from, branch, dice)| Liar {
            wrong_from,
            branch,
            dice,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    /// Against any liar, in both roles and seats, with traces up to a few hundred ticks.
    #[test]
    fn we_win_against_every_strategy(
        machine in machine(),
        length in 1..300_u128,
        ticks in 1..330_u128,
        sections in 4..33_u8,
        alice: bool,
        we_open: bool,
        mut liar in liar(),
    ) {
        let toy = Toy { machine, length };
        let us = if alice { Player::Alice } else { Player::Bob };
        let claimed = liar.state(&toy, Tick(ticks)).unwrap_or(state(5, ticks));
        prop_assume!(!we_open || (claimed, ticks) != (state(0, length), length));
        let mut world = World::open(toy, Bakers::Careful, sections, us, we_open, (claimed, ticks));
        let foreseen = moves_left(machine, &world.game, us);
        let mut moves = 0;
        for _ in 0..400 {
            if world.game.turn == us {
                moves += 1;
                prop_assert!(moves <= foreseen.ours, "{} moves, {:?} foreseen", moves, foreseen);
                // A draw is only had as `World::answer` checks.
                if world.answer().is_some() {
                    return Ok(());
                }
                continue;
            }
            world.check_forecast();
            let step = liar.step(&world);
            let Some(next) = world.after(&step) else {
                prop_assert_eq!(world.silence(), End::Won);
                return Ok(());
            };
            world = next;
        }
        prop_assert!(false, "the game did not end");
    }

    /// The rest played honestly by both ends as forecast.
    #[test]
    fn the_forecast_is_the_end(
        machine in machine(),
        length in 1..300_u128,
        ticks in 1..330_u128,
        sections in 4..33_u8,
        wrong_from in 1..330_u128,
    ) {
        let toy = Toy { machine, length };
        let claim = if ticks < wrong_from { toy.truth(Tick(ticks)) } else { None };
        let claimed = claim.unwrap_or(state(1, ticks));
        prop_assume!((claimed, ticks) != (state(0, length), length));
        let us = Player::Alice;
        let mut world = World::open(toy, Bakers::Careful, sections, us, true, (claimed, ticks));
        let mut truth = toy;
        let predicted = forecast(&toy, &world.stakers, us, &world.game, &mut truth).outcome;
        while world.game.turn == us {
            if let Some(end) = world.answer() {
                prop_assert_eq!(end, End::Won);
                return Ok(());
            }
        }
        // An honest player in the liar's seat has nothing left to attack, says so, and runs out.
        let them = world.game.turn;
        let nothing = answer(&toy, &world.stakers, them, &world.game, &mut truth);
        prop_assert!(matches!(
            nothing,
            Err(Unplayable::Choice(Unchoosable::NothingDisputed))
        ));
        prop_assert_eq!(world.silence(), End::Won);
        prop_assert_eq!(predicted, Some(Outcome::Loser(Player::Bob)));
    }
}

#[test]
fn the_slowest_opponent_takes_no_more_moves_than_foreseen() {
    let machine = Machine::Wasm {
        ticks_per_snapshot: 50_000_000_000_000,
    };
    let chunk = |tick: u128| DissectionChunk {
        state: None,
        tick: Tick(tick),
    };
    let game = |tick: u128| {
        let toy = Toy { machine, length: 1 };
        let mut world = World::open(
            toy,
            Bakers::Careful,
            32,
            Player::Alice,
            true,
            (state(1, 1), 1),
        );
        world.game.state = GameState::Dissecting {
            dissection: vec![chunk(0), chunk(tick)],
            default_number_of_sections: 32,
        };
        world.game
    };
    let one_day = game(60 * 50_000_000_000_000);
    let left = moves_left(machine, &one_day, Player::Alice);
    assert_eq!((left.ours, left.theirs), (10, 9));
    let single = moves_left(machine, &game(1), Player::Alice);
    assert_eq!((single.ours, single.theirs), (1, 1));
    let clock = Clock::start(OPENED, 100);
    let spare = |head| slack(&clock, &one_day, Player::Alice, Level::new(head), left, 3);
    assert_eq!(spare(100), 100 - 30);
    assert_eq!(spare(120), 80 - 30);
    let theirs = slack(&clock, &one_day, Player::Bob, Level::new(120), left, 3);
    assert_eq!(theirs, 100 - 30);
}

/// The most dissections of ours from a section on, every section of either player tried.
fn slowest(
    machine: Machine,
    sections: u8,
    (start, stop): (u128, u128),
    ours: bool,
    known: &mut BTreeMap<(u128, u128, bool), u32>,
) -> u32 {
    if stop - start <= 1 {
        return 0;
    }
    if let Some(found) = known.get(&(start, stop, ours)) {
        return *found;
    }
    let chunk = |tick| DissectionChunk {
        state: None,
        tick: Tick(tick),
    };
    let shape = Shape {
        start: Tick(start),
        stop: Tick(stop),
        sections,
    };
    let mut next = Vec::new();
    if ours {
        let interior = interior_ticks(machine, &shape)
            .into_iter()
            .map(|tick| tick.0);
        let ticks: Vec<_> = std::iter::once(start)
            .chain(interior)
            .chain([stop])
            .collect();
        next.extend(ticks.windows(2).map(|pair| (pair[0], pair[1])));
    } else {
        let interval = Dissectable {
            start: chunk(start),
            stop: chunk(stop),
            sections,
        };
        let longest = machine.longest_section(&interval);
        let is_placed = |tick: &u128| match machine {
            Machine::Wasm { ticks_per_snapshot }
                if stop - start > u128::from(ticks_per_snapshot) =>
            {
                tick.is_multiple_of(u128::from(ticks_per_snapshot)) || [start, stop].contains(tick)
            }
            _ => true,
        };
        let ticks: Vec<_> = (start..=stop).filter(is_placed).collect();
        for from in &ticks {
            let ends = ticks
                .iter()
                .filter(|to| *to > from && *to - from <= longest);
            next.extend(ends.map(|to| (*from, *to)));
        }
    }
    let mut most = 0;
    for section in next {
        most = most.max(slowest(machine, sections, section, !ours, known));
    }
    let most = most + u32::from(ours);
    known.insert((start, stop, ours), most);
    most
}

/// Found by chance: the end of a run cut short took one move more than foreseen.
#[test]
fn no_way_to_narrow_takes_more_moves_than_foreseen() {
    let snapshots = [2_u64, 5, 14].map(|ticks_per_snapshot| Machine::Wasm { ticks_per_snapshot });
    for machine in snapshots.into_iter().chain([Machine::Plain]) {
        for sections in [4, 5, 8] {
            let mut known = BTreeMap::new();
            for stop in 1..60 {
                let toy = Toy {
                    machine,
                    length: stop,
                };
                for turn in [Player::Alice, Player::Bob] {
                    let lie = (state(1, stop), stop);
                    let mut world =
                        World::open(toy, Bakers::Careful, sections, Player::Alice, true, lie);
                    world.game.turn = turn;
                    let foreseen = moves_left(machine, &world.game, Player::Alice).ours;
                    let ours = turn == Player::Alice;
                    let most = 1 + slowest(machine, sections, (0, stop), ours, &mut known);
                    assert!(most <= foreseen, "{machine:?} {sections} {stop} {turn:?}");
                    assert!(
                        foreseen <= most + 1,
                        "{machine:?} {sections} {stop} {turn:?}"
                    );
                }
            }
        }
    }
}
