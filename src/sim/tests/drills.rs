//! Every drill, defended by the simulation's own honest player: the judge's end-to-end test. It
//! accepts honest proofs of both roles and slashes every liar, and nobody else.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::pvm::slow::SlowEngine;
use crate::sim::truth::Engines;
use crate::sim::{Drill, Report, Staged, Strategy, suite};

fn engines() -> Engines {
    Engines {
        #[cfg(feature = "fast")]
        fast: Some(Arc::new(crate::pvm::fast::FastEngine::new(
            crate::pvm::fast::Options::default(),
        ))),
        #[cfg(not(feature = "fast"))]
        fast: None,
        reference: Arc::new(SlowEngine),
    }
}

fn staged(drill: &Drill) -> Staged {
    let mut staged = drill.stage(engines()).unwrap();
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

#[test]
fn every_liar_is_slashed_and_nobody_else() {
    let drills = suite();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(drill) = drills.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let report = staged(drill).run().unwrap();
                    failures.lock().unwrap().extend(complaint(&report, drill));
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
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
