//! Every drill, defended by the simulation's own honest player: the judge's end-to-end test. It
//! accepts honest proofs of both roles and slashes every liar, and nobody else.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use crate::pvm::slow::SlowEngine;
use crate::sim::truth::Engines;
use crate::sim::{Drill, Report, Staged, Strategy, drill_named, suite};

/// What runs the kernels of all drills: each of them is made ready once.
static ENGINES: LazyLock<Engines> = LazyLock::new(|| Engines {
    #[cfg(feature = "fast")]
    fast: Some(Arc::new(crate::pvm::fast::FastEngine::new(
        crate::pvm::fast::Options::default(),
    ))),
    #[cfg(not(feature = "fast"))]
    fast: None,
    reference: Arc::new(SlowEngine::default()),
});

fn staged(drill: &Drill) -> Staged {
    let mut staged = drill.stage(ENGINES.clone()).unwrap();
    staged.defend();
    staged
}

fn named(name: &str) -> Drill {
    let found = suite().into_iter().find(|drill| drill.name == name);
    found.unwrap_or_else(|| panic!("no drill {name}"))
}

/// What is wrong with how a drill ended.
fn complaint(report: &Report, drill: &Drill) -> Option<String> {
    let liars = drill.opponents.iter();
    let liars = liars
        .filter(|opponent| opponent.strategy != Strategy::Honest)
        .count();
    let is_well = report.is_won() && report.slashed.len() == liars;
    (!is_well).then(|| format!("{}: {report:#?}", drill.name))
}

/// The drills that `WATCHTOWER_DRILLS` names, or all; once where only endpoints differ, which the
/// simulation's own player does not ask.
fn chosen() -> Vec<Drill> {
    let mut drills = suite();
    if let Ok(wanted) = std::env::var("WATCHTOWER_DRILLS") {
        let names: Vec<_> = wanted.split(',').collect();
        drills.retain(|drill| names.contains(&drill.name.as_str()));
    }
    let mut known = BTreeSet::new();
    drills.retain(|drill| {
        let chain = Drill {
            name: String::new(),
            about: String::new(),
            endpoints: Vec::new(),
            ..drill.clone()
        };
        known.insert(serde_json::to_string(&chain).unwrap())
    });
    drills
}

#[test]
fn every_liar_is_slashed_and_nobody_else() {
    hold(&chosen());
}

/// Environment variable with the number of composed drills, for a long campaign.
const CAMPAIGN: &str = "WATCHTOWER_COMPOSED_DRILLS";

#[test]
fn adversaries_compose() {
    let asked = std::env::var(CAMPAIGN).ok();
    let count: u64 = asked.map_or(8, |count| count.parse().unwrap());
    let drills: Vec<_> = (1..=count)
        .map(|seed| drill_named(&format!("composed_{seed}")).unwrap())
        .collect();
    let again = drill_named("composed_1").unwrap();
    assert_eq!(drills.first(), Some(&again));
    let several = drills.iter().filter(|drill| drill.opponents.len() > 1);
    assert!(several.count() > 1);
    assert!(drills.iter().any(|drill| !drill.events.is_empty()));
    assert_eq!(drill_named("composed_"), None);
    hold(&drills);
}

/// Plays all, and complains of those that end badly.
fn hold(drills: &[Drill]) {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(drill) = drills.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let report = staged(drill).run().unwrap();
                    println!("{}: over at {:?}", drill.name, report.games.last());
                    failures.lock().unwrap().extend(complaint(&report, drill));
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What a defender must get through, in our own words, and the drill of it.
const SCENARIOS: &[(&str, &[&str])] = &[
    // What the reference plays end to end: inputs, steps, empty levels, periods, clocks, crowds.
    (
        "reckoner: the first input of the rollup is wrong",
        &["arith_inbox_proof_at_genesis"],
    ),
    (
        "reckoner: the first step of the rollup is wrong",
        &["arith_pvm_proof_at_genesis"],
    ),
    ("reckoner: an input is wrong", &["arith_inbox_proof"]),
    (
        "reckoner: the inbox grows during the game",
        &["arith_inbox_proof_with_new_content"],
    ),
    (
        "reckoner: one level, or many, without messages",
        &[
            "arith_inbox_proof_one_empty_level",
            "arith_inbox_proof_many_empty_levels",
        ],
    ),
    (
        "reckoner: four wrong steps at four places",
        &[
            "arith_pvm_proof_0",
            "arith_pvm_proof_1",
            "arith_pvm_proof_2",
            "arith_pvm_proof_3",
        ],
    ),
    (
        "reckoner: the second period",
        &["arith_pvm_proof_second_period"],
    ),
    ("reckoner: the liar stops", &["arith_timeout"]),
    (
        "reckoner: two and three liars",
        &["arith_parallel_games_0", "arith_parallel_games_1"],
    ),
    (
        "inputs, with and without the liar coming first in blocks",
        &[
            "inbox_proof",
            "inbox_proof_0",
            "inbox_proof_1",
            "inbox_proof_message",
        ],
    ),
    (
        "steps: before, while parsed, while evaluated, in the padding",
        &["pvm_proof_0", "pvm_proof_1", "pvm_proof_2", "pvm_proof_3"],
    ),
    ("the second period", &["pvm_proof_second_period"]),
    ("the liar stops", &["timeout"]),
    (
        "two and three liars",
        &["parallel_games_0", "parallel_games_1"],
    ),
    ("an accuser beside an operator", &["accuser"]),
    (
        "the defender is restarted in a game",
        &["reset_honest_during_game"],
    ),
    (
        "the defender wants out and defends what it has",
        &["bailout_mode_defends_its_commitment"],
    ),
    (
        "data is missing, before a game and in it",
        &["degraded_new", "degraded_ongoing"],
    ),
    (
        "wrong parameters of the data availability layer",
        &["invalid_dal_parameters", "migration_dal_parameters"],
    ),
    (
        "the protocol changes at each stage of a dispute",
        &[
            "migration_faulty_inbox_inbox",
            "migration_faulty_inbox_pvm",
            "migration_commitment_computed_inbox",
            "migration_commitment_computed_pvm",
            "migration_commitment_published_inbox",
            "migration_commitment_published_pvm",
            "migration_ongoing_game_inbox",
            "migration_ongoing_game_pvm",
        ],
    ),
    // Wrong content.
    (
        "states at random, from the start and later",
        &["random", "random_late"],
    ),
    ("wrong in the last tick alone", &["wrong_at_the_end"]),
    (
        "ticks that do not exist",
        &["more_ticks", "many_more_ticks"],
    ),
    ("ticks kept back", &["fewer_ticks", "many_fewer_ticks"]),
    (
        "a machine that stops, or does nothing",
        &["stuck", "frozen"],
    ),
    ("zeros", &["zeroed"]),
    // Wrong input.
    (
        "a message left out, or invented",
        &["skips_message", "adds_message"],
    ),
    (
        "a level without its start or end",
        &["skips_start", "skips_end"],
    ),
    ("another predecessor of a level", &["corrupts_level_info"]),
    ("the first level again", &["replays"]),
    ("other data revealed", &["wrong_reveal"]),
    // Wrong moves.
    (
        "sections: too few, of unequal length",
        &["too_few_sections", "unequal_sections"],
    ),
    (
        "ends: another start, the disputed stop",
        &["changed_start", "unchanged_stop"],
    ),
    ("right states at wrong ticks", &["shifted_states"]),
    ("a state after the stop", &["state_after_stop"]),
    ("a tick that starts nothing", &["unknown_choice"]),
    (
        "a move twice, or out of turn",
        &["duplicate_move", "out_of_turn"],
    ),
    (
        "no proof, or the proof of something else",
        &["no_proof", "invalid_proof_first"],
    ),
    // Timing.
    ("no move at all", &["never_moves", "opens_and_leaves"]),
    ("no move after some", &["stops_after_one"]),
    ("the last block of the clock", &["last_block"]),
    ("everything at once", &["all_at_once"]),
    ("slow; fast and slow", &["slow", "fast_and_slow"]),
    ("both clocks nearly out", &["both_clocks_nearly_out"]),
    // Crowds.
    ("several on one lie", &["same_lie", "copied_lie"]),
    (
        "several lies, whose authors fight each other",
        &["many_lies"],
    ),
    (
        "more than the limit of games, small and mainnet's",
        &["above_the_limit_of_games", "more_liars_than_games"],
    ),
    ("one staker on two branches", &["two_branches"]),
    ("who copies us and then differs", &["freeloader"]),
    // Money.
    ("fees jump", &["fees_jump"]),
    ("no money for fees in a game", &["account_runs_dry"]),
    ("not quite enough for the bond", &["stake_just_short"]),
    ("floods of messages", &["message_flood"]),
    // Environment.
    (
        "blocks are replaced",
        &["reorg_of_two", "reorg_of_five", "reorg_before_opening"],
    ),
    ("the head flaps", &["flapping"]),
    ("the kernel changes in a period", &["kernel_upgrade"]),
    (
        "operations lost, late, reordered, twice",
        &[
            "operations_lost",
            "operations_delayed",
            "operations_reordered",
            "operations_duplicated",
        ],
    ),
    ("endpoints behind", &["endpoint_lags", "node_behind"]),
    (
        "endpoints that disagree",
        &["endpoint_lies", "endpoint_other_branch"],
    ),
    (
        "endpoints that stall",
        &["endpoint_stalls", "endpoint_sends_no_heads"],
    ),
    (
        "endpoints that break off or fail",
        &[
            "endpoint_cuts",
            "endpoint_cuts_streams",
            "endpoint_halves_bodies",
            "endpoint_answers_502",
            "endpoint_down",
        ],
    ),
    (
        "endpoints that say things twice, or lose them",
        &["endpoint_repeats_heads", "endpoint_loses"],
    ),
    // A malicious node.
    (
        "games without a dispute, that contradict themselves, or that are hidden; simulations that lie",
        &[
            "endpoint_hides_disputes",
            "endpoint_contradicts_itself",
            "endpoint_refuses_moves",
            "node_refuses_moves",
            "node_simulates_nothing",
            "node_tells_too_little_gas",
            "node_tells_too_much_gas",
            "node_hides_disputes",
            "node_contradicts_itself",
            "node_hides_games",
            "node_lacks_games",
            "node_hides_bonds",
            "node_invents_final_moves",
        ],
    ),
];

#[test]
fn the_suite_is_the_list_of_scenarios() {
    let suite = suite();
    let has: BTreeSet<_> = suite.iter().map(|drill| drill.name.as_str()).collect();
    let named = SCENARIOS
        .iter()
        .flat_map(|(_, names)| names.iter().copied());
    let wanted: BTreeSet<_> = named.clone().collect();
    assert_eq!(
        named.count(),
        wanted.len(),
        "a drill belongs to one scenario"
    );
    assert_eq!(has, wanted);
}

#[test]
fn a_drill_is_data_and_runs_the_same_twice() {
    let drills = suite();
    let text = serde_json::to_string(&drills).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Drill>>(&text).unwrap(), drills);
    let mut names: Vec<_> = drills.iter().map(|drill| &drill.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), drills.len());
    let run = || {
        let mut staged = staged(&named("inbox_proof"));
        let report = staged.run().unwrap();
        (report, staged.scenario.chain().head().hash)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_report_tells_what_happened() {
    let report = staged(&named("pvm_proof_1")).run().unwrap();
    assert!(report.is_won(), "{report:#?}");
    let [game] = report.games.as_slice() else {
        panic!("{report:#?}");
    };
    assert!(report.lied < report.detected && report.detected < game.ended);
    assert!(report.dissections > 3 && report.proofs == 1, "{report:#?}");
    let result = game.result.as_ref().unwrap();
    assert_eq!(result["reason"], "conflict_resolved");
    assert_eq!(result["player"], game.opponent.to_string());
}
