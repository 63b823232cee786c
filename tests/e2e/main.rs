//! End to end: the real binary follows a simulated chain over HTTP, through everything that can
//! happen to either. Chains are made first and move when told; nothing here waits for a clock.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

mod arena;
mod crashes;
mod crowds;
mod degraded;
mod docs;
mod following;
mod frozen;
mod invariants;
mod joining;
mod page;
mod playing;
#[allow(dead_code)] // the tests of alerts look at more of it
#[path = "../alerts/receiver.rs"]
mod receiver;
mod refusals;
mod reload;
mod reorganisations;
mod restarts;
mod rules;
mod served;
mod several;
mod trouble;
mod world;
