//! Every move of an adversary, to the end of every game, in worlds of a few ticks.

use super::*;

/// What an adversary may say of a tick: the truth, a state of another machine, the true state of
/// the tick before, nothing.
fn claims(toy: &Toy, tick: Tick) -> Vec<Option<StateHash>> {
    let mut claims = vec![toy.truth(tick), Some(state(1, tick.0)), None];
    if tick.0 > 0 {
        claims.push(toy.truth(Tick(tick.0 - 1)));
    }
    claims.dedup();
    claims
}

/// All ways to choose ticks strictly between two, at most so many.
fn interiors(start: u128, stop: u128, most: usize) -> Vec<Vec<u128>> {
    let mut all = vec![Vec::new()];
    if most > 0 {
        for first in start + 1..stop {
            for mut rest in interiors(first, stop, most - 1) {
                rest.insert(0, first);
                all.push(rest);
            }
        }
    }
    all
}

/// Calls `visit` with every list of claims for these ticks.
fn for_each_claim(toy: &Toy, ticks: &[u128], visit: &mut dyn FnMut(&[DissectionChunk])) {
    fn go(
        toy: &Toy,
        ticks: &[u128],
        chunks: &mut Vec<DissectionChunk>,
        visit: &mut dyn FnMut(&[DissectionChunk]),
    ) {
        let Some((tick, rest)) = ticks.split_first() else {
            visit(chunks);
            return;
        };
        let tick = Tick(*tick);
        for state in claims(toy, tick) {
            chunks.push(DissectionChunk { state, tick });
            go(toy, rest, chunks, visit);
            chunks.pop();
        }
    }
    go(toy, ticks, &mut Vec::new(), visit);
}

#[derive(Debug, Default)]
struct Tally {
    moves: u64,
    refused: u64,
    won: u64,
    drawn: u64,
}

impl Tally {
    fn count(&mut self, end: End) {
        match end {
            End::Won => self.won += 1,
            End::Drawn => self.drawn += 1,
        }
    }

    /// Everything the adversary can do from here.
    fn explore(&mut self, world: &World) {
        if world.game.turn == world.us {
            let mut next = world.clone();
            match next.answer() {
                Some(end) => self.count(end),
                None => self.explore(&next),
            }
            return;
        }
        world.check_forecast();
        self.count(world.silence());
        let (dissection, sections) = dissecting(world);
        let edges: Vec<_> = dissection
            .windows(2)
            .map(|pair| (pair[0], pair[1]))
            .collect();
        for (start, stop) in edges {
            self.dissections(world, start, stop, sections);
            self.proofs(world, start, stop);
        }
        let nowhere = Tick(dissection.last().unwrap().tick.0 + 1);
        self.play(world, &play_step(nowhere, Step::Dissection(Vec::new())));
    }

    fn play(&mut self, world: &World, refutation: &Refutation) {
        match world.after(refutation) {
            None => self.refused += 1,
            Some(next) => {
                self.moves += 1;
                self.explore(&next);
            }
        }
    }

    fn dissections(
        &mut self,
        world: &World,
        start: DissectionChunk,
        stop: DissectionChunk,
        sections: u8,
    ) {
        let toy = world.toy;
        for interior in interiors(start.tick.0, stop.tick.0, usize::from(sections)) {
            let mut ticks = vec![start.tick.0];
            ticks.extend(interior);
            ticks.push(stop.tick.0);
            // Shapes that layer 1 refuses are refused whatever they claim: once is enough.
            let honest: Vec<_> = ticks.iter().map(|tick| Tick(*tick)).collect();
            let mut shape: Vec<_> = honest
                .iter()
                .map(|tick| DissectionChunk {
                    state: Some(state(9, tick.0)),
                    tick: *tick,
                })
                .collect();
            shape[0] = start;
            let probe = play_step(start.tick, Step::Dissection(shape));
            if world.judge(world.us.opponent(), &probe).is_err() {
                self.play(world, &probe);
                continue;
            }
            for_each_claim(&toy, &ticks, &mut |chunks| {
                let step = Step::Dissection(chunks.to_vec());
                self.play(world, &play_step(start.tick, step));
            });
        }
    }

    fn proofs(&mut self, world: &World, start: DissectionChunk, stop: DissectionChunk) {
        let toy = world.toy;
        let starts = [
            start.state.unwrap_or(state(0, start.tick.0)),
            state(1, start.tick.0),
        ];
        for begin in starts {
            for end in [toy.next(begin), stop.state, Some(state(2, 7)), None] {
                let step = Step::Proof(toy.proof(begin, end));
                self.play(world, &play_step(start.tick, step));
            }
        }
        let garbage = Proof {
            pvm_step: vec![1, 2, 3],
            input_proof: None,
        };
        self.play(world, &play_step(start.tick, Step::Proof(garbage)));
    }
}

/// All games of the worlds of a machine, up to a length.
fn all_games(machine: Machine, longest: u128, sections: u8, bakers: Bakers) -> Tally {
    let mut tally = Tally::default();
    for length in 1..=longest {
        let toy = Toy { machine, length };
        for us in [Player::Alice, Player::Bob] {
            let mut explore = |we_open, claim| {
                tally.explore(&World::open(toy, bakers, sections, us, we_open, claim));
            };
            explore(false, (state(1, length), length));
            for ticks in 1..=length + 2 {
                for branch in [0, 1] {
                    if (branch, ticks) != (0, length) {
                        explore(true, (state(branch, ticks), ticks));
                    }
                }
            }
        }
    }
    println!("{machine:?} {sections} sections {bakers:?}: {tally:?}");
    tally
}

#[test]
fn nobody_beats_us_where_single_ticks_are_dissected() {
    let tally = all_games(Machine::Plain, 7, 4, Bakers::Careful);
    // Only where a proof is attacked at a tick at which the machine is stuck: see `World::answer`.
    assert!(tally.drawn > 0, "{tally:?}");
    assert!(tally.won > 10_000, "{tally:?}");
}

#[test]
fn nobody_beats_us_where_kernel_runs_are_dissected_first() {
    let machine = Machine::Wasm {
        ticks_per_snapshot: 2,
    };
    let tally = all_games(machine, 8, 4, Bakers::Careful);
    assert!(tally.won > 10_000, "{tally:?}");
}

#[test]
fn the_worst_that_the_bare_protocol_allows_is_a_draw() {
    let machine = Machine::Wasm {
        ticks_per_snapshot: 2,
    };
    let tally = all_games(machine, 6, 4, Bakers::Protocol);
    assert!(tally.drawn > 0, "{tally:?}");
    assert!(tally.won > 1_000, "{tally:?}");
}
