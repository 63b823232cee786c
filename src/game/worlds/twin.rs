//! The choice and the rules once more, written as plainly as they can be said, and compared on
//! everything small.

use super::*;

/// The section to attack, said plainly.
fn plain_choice(
    dissection: &[DissectionChunk],
    truth: impl Fn(Tick) -> Option<StateHash>,
) -> Option<usize> {
    let is_true = |chunk: &DissectionChunk| chunk.state == truth(chunk.tick);
    (0..dissection.len().saturating_sub(1))
        .find(|place| dissection[..=*place].iter().all(is_true) && !is_true(&dissection[place + 1]))
}

/// Whether a dissection is accepted, said plainly.
fn plainly_accepted(machine: Machine, interval: &Dissectable, chunks: &[DissectionChunk]) -> bool {
    let (start, stop) = (interval.start.tick.0, interval.stop.tick.0);
    let (distance, most) = (stop - start, u128::from(interval.sections));
    let count = chunks.len() as u128 - 1;
    let lengths: Vec<i128> = chunks
        .windows(2)
        .map(|pair| pair[1].tick.0 as i128 - pair[0].tick.0 as i128)
        .collect();
    let (number, longest) = match machine {
        Machine::Wasm { ticks_per_snapshot } if distance > u128::from(ticks_per_snapshot) => {
            let run = u128::from(ticks_per_snapshot);
            let whole = distance % run == 0;
            let runs = if whole {
                distance / run
            } else {
                distance / run + 1
            };
            let counted = if whole {
                distance
            } else {
                (stop / run * run).abs_diff(start)
            };
            let inside = &chunks[1..chunks.len() - 1];
            if inside
                .iter()
                .any(|chunk| ![start, stop].contains(&chunk.tick.0) && chunk.tick.0 % run != 0)
            {
                return false;
            }
            (most.min(runs), run.max(counted / 2))
        }
        _ if distance <= 1 => return false,
        _ => (most.min(distance), distance / 2),
    };
    let first = chunks[0];
    let last = chunks[chunks.len() - 1];
    count == number
        && first == interval.start
        && first.state.is_some()
        && last.tick == interval.stop.tick
        && last.state != interval.stop.state
        && lengths
            .iter()
            .all(|length| 0 < *length && *length as u128 <= longest)
        && !chunks
            .windows(2)
            .any(|pair| pair[0].state.is_none() && pair[1].state.is_some())
}

/// Every list of ticks from 0 to `last`, of the given length, in any order.
fn lists(last: u128, length: usize) -> Vec<Vec<u128>> {
    if length == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for shorter in lists(last, length - 1) {
        for tick in 0..=last {
            let mut longer = shorter.clone();
            longer.push(tick);
            all.push(longer);
        }
    }
    all
}

#[test]
fn the_rules_are_the_plain_ones_on_everything_small() {
    let (mut accepted, mut refused) = (0_u64, 0_u64);
    let machines = [
        Machine::Plain,
        Machine::Wasm {
            ticks_per_snapshot: 2,
        },
        Machine::Wasm {
            ticks_per_snapshot: 3,
        },
    ];
    let claims = [Some(state(0, 1)), Some(state(0, 2)), None];
    for machine in machines {
        for stop in 1..=6_u128 {
            let interval = Dissectable {
                start: DissectionChunk {
                    state: claims[0],
                    tick: Tick(0),
                },
                stop: DissectionChunk {
                    state: claims[1],
                    tick: Tick(stop),
                },
                sections: 3,
            };
            for length in 2..=4 {
                for ticks in lists(stop, length) {
                    for claim in 0..3_usize.pow(u32::try_from(length).unwrap()) {
                        let chunks: Vec<_> = ticks
                            .iter()
                            .enumerate()
                            .map(|(place, tick)| DissectionChunk {
                                state: claims
                                    [claim / 3_usize.pow(u32::try_from(place).unwrap()) % 3],
                                tick: Tick(*tick),
                            })
                            .collect();
                        let ours = check_dissection(machine, &interval, &chunks).is_ok();
                        let plain = plainly_accepted(machine, &interval, &chunks);
                        assert_eq!(ours, plain, "{machine:?} {interval:?} {chunks:?}");
                        accepted += u64::from(ours);
                        refused += u64::from(!ours);
                    }
                }
            }
        }
    }
    assert!(accepted > 100 && refused > 100_000, "{accepted} {refused}");
}

#[test]
fn the_choice_is_the_plain_one_on_every_pattern() {
    let truth = |tick: Tick| (tick.0 < 5).then(|| state(0, tick.0));
    for pattern in 0..4_u32.pow(6) {
        let chunks: Vec<_> = (0..6_u32)
            .map(|place| {
                let tick = Tick(u128::from(place));
                let state = match pattern / 4_u32.pow(place) % 4 {
                    0 | 1 => truth(tick),
                    2 => Some(state(1, tick.0)),
                    _ => None,
                };
                DissectionChunk { state, tick }
            })
            .collect();
        let chosen = choose(&chunks, |chunk| Ok::<_, ()>(truth(chunk.tick))).unwrap();
        let place = plain_choice(&chunks, truth);
        match place {
            Some(place) => {
                let section = chosen.unwrap();
                assert_eq!(
                    (section.start, section.stop),
                    (chunks[place], chunks[place + 1])
                );
                assert_eq!(section.ours, truth(section.stop.tick));
            }
            None => assert!(chosen.is_err(), "{chunks:?}"),
        }
    }
}

#[test]
fn a_stake_lost_elsewhere_decides() {
    let stakers = Stakers::new(account(1), account(2));
    let lost = |loser| {
        Some(GameResult::Loser {
            reason: LossReason::ConflictResolved,
            loser,
        })
    };
    let (alice, bob) = (stakers.alice(), stakers.bob());
    assert_eq!(forfeited(&stakers, |_| true), None);
    assert_eq!(forfeited(&stakers, |staker| *staker == alice), lost(bob));
    assert_eq!(forfeited(&stakers, |staker| *staker == bob), lost(alice));
    assert_eq!(forfeited(&stakers, |_| false), Some(GameResult::Draw));
}

#[test]
fn openings_are_refused_as_layer_1_refuses_them() {
    use crate::protocol::Protocol;
    let parent = CommitmentHash([1; 32]);
    let (ours, theirs) = (
        commitment(state(0, 9), 9, parent),
        commitment(state(1, 9), 9, parent),
    );
    let open = |protocol, level, theirs: &Commitment| {
        opening(protocol, 10, Level::new(level), &ours, theirs)
    };
    let start = Refutation::Start {
        player_commitment: ours.hash(),
        opponent_commitment: theirs.hash(),
    };
    assert_eq!(open(Protocol::Ushuaia, 100, &theirs), Ok(start.clone()));
    assert_eq!(open(Protocol::Tallinn, 91, &theirs), Ok(start));
    let early = NoOpening::TooEarly {
        inbox_level: Level::new(90),
        earliest: Level::new(100),
    };
    assert_eq!(open(Protocol::Ushuaia, 99, &theirs), Err(early));
    let same = open(Protocol::Ushuaia, 100, &ours);
    assert_eq!(same, Err(NoOpening::SameCommitment));
    let stranger = commitment(state(1, 9), 9, CommitmentHash([2; 32]));
    let stranger = open(Protocol::Ushuaia, 100, &stranger);
    assert_eq!(stranger, Err(NoOpening::NotSiblings));
}
