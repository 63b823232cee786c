//! The carrier against a network that drops, delays, duplicates and reorganises.

use proptest::prelude::*;

use super::super::*;
use super::network::{World, a_move, intention, refusal, wanted};
use crate::l1::{EndpointName, NodeError, Simulated, Status};
use crate::protocol::{Level, Mutez};

fn world() -> World {
    World::new(Settings {
        stand_by: 5,
        ..Settings::default()
    })
}

#[test]
fn what_is_wanted_is_sent_included_and_then_left_alone() {
    let mut world = world();
    world.wanted = vec![wanted(1, None), wanted(2, None)];
    world.tell();
    assert_eq!(world.carrier.alive().len(), 1);
    assert_eq!(
        world.carrier.carried(),
        [intention(1).key(), intention(2).key()]
    );
    world.bake(world.best());
    world.tell();
    assert!(world.carrier.alive().is_empty());
    world.bake(None);
    world.tell();
    world.bake(None);
    world.tell();
    let words: Vec<_> = world.entries.iter().map(Entry::word).collect();
    assert_eq!(words, ["signed", "injected", "included", "final"]);
    assert_eq!(world.done(), [intention(1).key(), intention(2).key()]);
}

#[test]
fn a_lost_operation_is_sent_again_and_a_stuck_one_replaced() {
    let mut world = world();
    world.wanted = vec![wanted(1, None)];
    world.tell();
    let first = world.best().unwrap();
    world.lose_mempool();
    world.bake(None);
    world.tell();
    assert_eq!(world.best(), Some(first), "the same operation waits again");
    for _ in 0..8 {
        world.bake(None);
        world.tell();
    }
    let second = world.best().unwrap();
    assert_ne!(first, second);
    assert!(world.fee_of(&second) * 20 >= world.fee_of(&first) * 21);
    // Either may be included; never both.
    world.bake(Some(first));
    assert!(world.includable().is_empty());
    world.tell();
    assert!(world.carrier.alive().is_empty());
}

#[test]
fn a_long_way_to_bakers_keeps_no_operation_out() {
    let mut world = world();
    // Bakers include what they have heard of for two blocks, unless a dearer one is on its way.
    let carry = |world: &mut World, blocks: u32| {
        let (mut waited, mut before) = (0, None);
        for _ in 0..blocks {
            world.tell();
            let best = world.best();
            waited = if best == before { waited + 1 } else { 0 };
            before = best;
            world.bake(best.filter(|_| waited >= 2));
        }
        world.tell();
    };
    world.wanted = vec![wanted(1, Some(19))];
    carry(&mut world, 9);
    assert_eq!(world.done(), [intention(1).key()]);
    world.wanted = vec![wanted(2, Some(30))];
    carry(&mut world, 3);
    let both = [1, 2].map(|nth| intention(nth).key());
    assert_eq!(world.done(), both, "it knows how long the way is");
}

#[test]
fn little_slack_makes_dearer_operations() {
    let (mut calm, mut urgent) = (world(), world());
    calm.wanted = vec![wanted(1, None)];
    urgent.wanted = vec![wanted(1, Some(6))];
    calm.tell();
    urgent.tell();
    let (calm, urgent) = (
        calm.fee_of(&calm.best().unwrap()),
        urgent.fee_of(&urgent.best().unwrap()),
    );
    assert!(urgent > 5 * calm, "{urgent} versus {calm}");
}

#[test]
fn an_urgent_move_does_not_wait_behind_another() {
    let mut world = world();
    world.wanted = vec![wanted(1, None)];
    world.tell();
    world.bake(None);
    world.wanted.push(wanted(2, None));
    world.tell();
    assert_eq!(world.carrier.carried(), [intention(1).key()]);
    world.bake(None);
    world.wanted.push(wanted(3, Some(9)));
    world.tell();
    let all = [1, 2, 3].map(|nth| intention(nth).key());
    assert_eq!(world.carrier.carried(), all);
}

#[test]
fn of_forty_moves_the_most_urgent_go_first() {
    let mut world = world();
    // In any order but that of their clocks.
    let clock = |nth: u16| 1000 + (nth * 17) % 40;
    world.wanted = (0..40)
        .map(|nth| a_move(u8::try_from(nth).unwrap(), Some(clock(nth))))
        .collect();
    let mut sorted: Vec<_> = (0..40).collect();
    sorted.sort_by_key(|nth| clock(*nth));
    let key = |nth: &u16| a_move(u8::try_from(*nth).unwrap(), None).what.key();
    for chunk in sorted.chunks(16) {
        world.tell();
        let expected: Vec<_> = chunk.iter().map(key).collect();
        assert_eq!(world.carrier.carried(), expected);
        world.bake(world.best());
    }
    world.tell();
    assert_eq!(world.done().len(), 40);
}

/// A way of many periods up to a dispute takes several operations, a clock runs meanwhile.
#[test]
fn publications_of_many_periods_keep_no_urgent_move_back() {
    let carried = |of_the_dispute: u16, of_the_move: u16| {
        let mut world = world();
        world.wanted = (1..=30).map(|nth| wanted(nth, None)).collect();
        world.wanted[29].deadline = Some(Level::new(of_the_dispute));
        world.wanted.push(a_move(1, Some(of_the_move)));
        world.tell();
        world.carrier.carried()
    };
    let publications = |count: u8| (1..=count).map(|nth| intention(nth).key());
    let the_move = a_move(1, None).what.key();
    let with_it: Vec<_> = publications(15).chain([the_move]).collect();
    assert_eq!(carried(200, 100), with_it);
    // What the dispute rests on is as urgent as the dispute itself.
    assert_eq!(carried(100, 200), publications(16).collect::<Vec<_>>());
}

#[test]
fn what_follows_an_operation_dies_with_it() {
    let mut world = world();
    world.wanted = vec![wanted(1, None)];
    world.tell();
    let first = world.best().unwrap();
    world.bake(Some(first));
    world.wanted.push(wanted(2, None));
    world.tell();
    let second = world.best().unwrap();
    // The block of the first is abandoned: the second must not be includable without it.
    world.abandon(1, false);
    world.bake(None);
    assert_eq!(world.includable(), [first]);
    world.tell();
    assert_eq!(world.carrier.alive(), [first]);
    world.bake(world.best());
    world.tell();
    assert_ne!(world.best(), Some(second));
    world.bake(world.best());
    world.tell();
    assert_eq!(world.done(), [intention(1).key(), intention(2).key()]);
}

#[test]
fn an_expired_operation_is_made_anew() {
    let mut world = World::new(Settings {
        // Nothing dearer than the first can be offered: it can only expire.
        fee_cap: Mutez(500),
        ..Settings::default()
    });
    world.wanted = vec![wanted(1, None)];
    world.tell();
    let first = world.best().unwrap();
    for _ in 0..20 {
        world.bake(None);
        world.tell();
    }
    let dropped = |notice: &Notice| matches!(notice, Notice::Dropped { operation, .. } if *operation == first);
    assert!(world.notices.iter().any(dropped));
    assert!(world.notices.contains(&Notice::FeeCap { cap: Mutez(500) }));
    let second = world.best().unwrap();
    assert_ne!(first, second);
    world.bake(Some(second));
    world.tell();
    assert_eq!(world.done(), [intention(1).key()]);
}

#[test]
fn a_second_tower_with_the_key_makes_us_stand_by() {
    let mut world = world();
    world.wanted = vec![wanted(1, None)];
    world.tell();
    let foreign = world.bake_foreign(9);
    world.tell();
    assert!(world.carrier.is_standing_by());
    assert!(world.notices.iter().any(
        |notice| matches!(notice, Notice::Foreign { operation, block: Some(_) } if *operation == foreign)
    ));
    for _ in 0..4 {
        world.bake(None);
        world.tell();
        assert!(world.carrier.alive().is_empty());
        world.crash();
    }
    world.bake(None);
    world.tell();
    assert!(!world.carrier.is_standing_by());
    assert_eq!(world.carrier.alive().len(), 1);
}

#[test]
fn a_clock_that_runs_out_ends_standing_by() {
    let mut world = world();
    world.wanted = vec![wanted(1, Some(100))];
    world.bake_foreign(9);
    world.tell();
    assert!(world.carrier.alive().is_empty());
    world.wanted = vec![wanted(1, Some(10))];
    world.tell();
    assert_eq!(world.carrier.alive().len(), 1);
    assert!(
        world
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::Resumed { .. }))
    );
}

/// Answers of the node that a draft may meet, without a network.
fn failing(world: &mut World, failed: usize, count: usize, id: &str) -> Vec<Simulated> {
    let _ = world;
    let result = |nth: usize| Simulated {
        status: match nth.cmp(&failed) {
            std::cmp::Ordering::Less => Status::Backtracked,
            std::cmp::Ordering::Equal => Status::Failed,
            std::cmp::Ordering::Greater => Status::Skipped,
        },
        errors: (nth == failed)
            .then(|| NodeError {
                id: id.into(),
                kind: String::new(),
                msg: None,
                needed_fee: None,
            })
            .into_iter()
            .collect(),
        milligas: 1000,
        storage: 0,
    };
    (0..count).map(result).collect()
}

/// The first draft at a head of a fresh world.
fn first_draft(world: &mut World, many: u8) -> (Carrier, Draft) {
    world.wanted = (1..=many).map(|nth| wanted(nth, None)).collect();
    first_draft_of(world)
}

/// The first draft of what a fresh world wants.
pub(super) fn first_draft_of(world: &mut World) -> (Carrier, Draft) {
    let mut carrier = world.carrier.clone();
    world.is_deaf = true;
    world.tell();
    // What the world was shown is shown to the clone, whose drafts the test answers.
    let view = world.carrier.clone();
    let observation = view.last_head().expect("a head was shown");
    let effects = carrier.step(Observation::Head(
        Box::new(observation),
        world.wanted.clone(),
    ));
    let draft = effects.into_iter().find_map(|effect| match effect {
        Effect::Simulate(draft) => Some(draft),
        _ => None,
    });
    (carrier, draft.unwrap())
}

#[test]
fn a_content_that_would_fail_is_left_out_and_told() {
    let mut world = world();
    let (mut carrier, draft) = first_draft(&mut world, 3);
    let id = "proto.025-PsUshuai.smart_rollup_bad_inbox_level";
    let results = failing(&mut world, 1, 3, id);
    let effects = carrier.step(Observation::Simulated(draft.id, results));
    let held = effects.iter().any(|effect| {
        matches!(effect, Effect::Tell(notice @ Notice::Held { what, outcome: Outcome::Disagreement, .. })
            if *what == intention(2) && notice.is_alarm())
    });
    assert!(held, "{effects:?}");
    let next = effects.iter().find_map(|effect| match effect {
        Effect::Simulate(draft) => Some(draft),
        _ => None,
    });
    let items: Vec<_> = next
        .unwrap()
        .items
        .iter()
        .map(|item| item.what.clone())
        .collect();
    assert_eq!(items, [intention(1), intention(3)]);
}

#[test]
fn an_answer_that_comes_late_changes_nothing() {
    let mut world = world();
    let (mut carrier, draft) = first_draft(&mut world, 1);
    let before = carrier.clone();
    let stale = draft.id.wrapping_add(7);
    assert_eq!(carrier.step(Observation::Simulated(stale, Vec::new())), []);
    assert_eq!(carrier, before);
}

#[test]
fn a_batch_refused_as_a_whole_is_halved_until_the_culprit_is_found() {
    let mut world = world();
    let (mut carrier, mut draft) = first_draft(&mut world, 4);
    let early = NodeError {
        id: "proto.025-PsUshuai.validate.operation.sc_rollup_refutation_game_start_too_early"
            .into(),
        kind: "temporary".into(),
        msg: None,
        needed_fee: None,
    };
    for expected in [2, 1] {
        let effects = carrier.step(Observation::Unfit(draft.id, vec![early.clone()]));
        draft = effects
            .into_iter()
            .find_map(|effect| match effect {
                Effect::Simulate(draft) => Some(draft),
                _ => None,
            })
            .unwrap();
        assert_eq!(draft.items.len(), expected);
    }
    // The first was it: the other three are tried at once.
    let effects = carrier.step(Observation::Unfit(draft.id, vec![early]));
    assert!(effects.iter().any(|effect| matches!(
        effect,
        Effect::Tell(Notice::Held { what, outcome: Outcome::Wait, .. }) if *what == intention(1)
    )));
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Simulate(draft) if draft.items.len() == 3))
    );
}

#[test]
fn what_the_gate_refuses_is_told_and_the_rest_goes_on() {
    let mut world = world();
    let (mut carrier, draft) = first_draft(&mut world, 2);
    let results = vec![
        Simulated {
            status: Status::Applied,
            errors: Vec::new(),
            milligas: 1000,
            storage: 0
        };
        2
    ];
    let effects = carrier.step(Observation::Simulated(draft.id, results));
    let Some(Effect::Sign(draft)) = effects.into_iter().next() else {
        panic!("nothing to sign")
    };
    let effects = carrier.step(Observation::Refused(draft.id, "no".into(), Some(0)));
    let what = vec![intention(1)];
    assert_eq!(
        effects[0],
        Effect::Tell(Notice::Refused {
            what,
            reason: "no".into()
        })
    );
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Simulate(draft) if draft.items.len() == 1))
    );
}

/// A carrier with one operation injected, and what came of the refusals it met.
fn after_refusals(texts: &[&str]) -> (Carrier, Vec<Effect>) {
    let mut world = world();
    let (mut carrier, draft) = first_draft(&mut world, 1);
    let applied = vec![Simulated {
        status: Status::Applied,
        errors: Vec::new(),
        milligas: 1000,
        storage: 0,
    }];
    let effects = carrier.step(Observation::Simulated(draft.id, applied));
    let Some(Effect::Sign(draft)) = effects.into_iter().next() else {
        panic!("nothing to sign")
    };
    let signed = world.sign(&draft);
    let Observation::Signed(_, hash, _) = signed else {
        panic!("not signed")
    };
    carrier.step(signed);
    let answers = texts.iter().map(|text| {
        let answer = Injection::Refused(refusal(text));
        (EndpointName::new("one"), answer)
    });
    let effects = carrier.step(Observation::Injected(hash, answers.collect()));
    (carrier, effects)
}

#[test]
fn a_mempool_that_refuses_in_words_is_no_disagreement() {
    let held = |effects: &[Effect]| {
        let mut held = effects.iter();
        held.any(|effect| matches!(effect, Effect::Tell(Notice::Held { .. })))
    };
    let dropped = |effects: &[Effect]| {
        let mut dropped = effects.iter();
        dropped.any(|effect| matches!(effect, Effect::Write(Entry::Dropped { .. })))
    };
    // Something unknown: the same operation is tried again, nothing is set aside.
    let (carrier, effects) = after_refusals(&["something that nobody has heard of"]);
    assert!(!held(&effects) && !dropped(&effects), "{effects:?}");
    assert_eq!(carrier.carried(), [intention(1).key()]);
    // Too cheap: a dearer one takes its place.
    let (carrier, effects) = after_refusals(&["Operation fees are\n too low"]);
    assert!(!held(&effects) && !dropped(&effects), "{effects:?}");
    assert_eq!(carrier.carried(), [intention(1).key()]);
    // Its branch is gone: it is made anew.
    let old = "Operation o is branched on either:\n - a block b which is too old";
    let (carrier, effects) = after_refusals(&[old]);
    assert!(!held(&effects) && dropped(&effects), "{effects:?}");
    assert_eq!(carrier.carried(), []);
}

/// What the network does between two looks of the carrier.
#[derive(Debug, Clone)]
enum Weather {
    Bake,
    BakeNothing,
    /// Somebody includes an operation that everybody forgot.
    BakeOld(usize),
    Abandon(usize, bool),
    LoseMempool,
    Deaf(bool),
    Crash,
    Want(u8),
    Quiet,
}

fn weather() -> impl Strategy<Value = Weather> {
    prop_oneof![
        4 => Just(Weather::Bake),
        2 => Just(Weather::BakeNothing),
        2 => any::<prop::sample::Index>().prop_map(|index| Weather::BakeOld(index.index(1000))),
        2 => (1_usize..=2, any::<bool>()).prop_map(|(depth, returns)| Weather::Abandon(depth, returns)),
        2 => Just(Weather::LoseMempool),
        1 => any::<bool>().prop_map(Weather::Deaf),
        2 => Just(Weather::Crash),
        2 => (1_u8..=6).prop_map(Weather::Want),
        1 => Just(Weather::Quiet),
    ]
}

fn blow(world: &mut World, weather: &Weather) {
    match weather {
        Weather::Bake => world.bake(world.best()),
        Weather::BakeNothing => world.bake(None),
        Weather::BakeOld(nth) => {
            let old = world.includable();
            let chosen = nth.checked_rem(old.len()).map(|nth| old[nth]);
            world.bake(chosen);
        }
        Weather::Abandon(depth, returns) => world.abandon(*depth, *returns),
        Weather::LoseMempool => world.lose_mempool(),
        Weather::Deaf(is_deaf) => world.is_deaf = *is_deaf,
        Weather::Crash => world.crash(),
        Weather::Want(nth) => {
            let new = wanted(*nth, None);
            if !world.wanted.contains(&new) {
                world.wanted.push(new);
            }
        }
        Weather::Quiet => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// On no chain is an intention done twice, whatever is included by whom and when; once the
    /// network is calm, everything wanted is done.
    #[test]
    fn at_most_once_and_in_the_end_once(story in proptest::collection::vec((weather(), any::<bool>()), 1..60)) {
        let mut world = world();
        for (weather, looks) in &story {
            blow(&mut world, weather);
            if *looks {
                world.tell();
            }
            let mut done = world.done();
            let count = done.len();
            done.sort_unstable();
            done.dedup();
            prop_assert_eq!(done.len(), count, "something was done twice");
        }
        world.is_deaf = false;
        for _ in 0..40 {
            world.tell();
            world.bake(world.best());
        }
        let done = world.done();
        for wanted in &world.wanted {
            let times = done.iter().filter(|key| **key == wanted.what.key()).count();
            prop_assert_eq!(times, 1, "{}", wanted.what.key());
        }
        prop_assert!(!world.carrier.is_standing_by(), "no operation of ours is foreign");
    }
}
