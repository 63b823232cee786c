//! The drills, by name: the end-to-end disputes of the reference's own tests, then one for each
//! class of adversary.
//!
//! Left out, with the reason: pages of the data availability layer, published, attested, imported
//! too early or too late (the layer is off on this chain, no page is ever attested), and the RISC-V
//! machine (no network enables it). What an operator does to itself, full disks and second
//! instances, is for the tests of the tower.

mod composed;
mod environment;
mod lies;
mod people;
mod reference;

pub use composed::drill_named;
pub use people::crowd;

use super::{Defence, Drill, Kernel, Lengths, Opponent, Restart, Role, Traffic};
use crate::protocol::{Level, Protocol};
use crate::sim::actors::{From, Play, Strategy};
use crate::sim::scenario::Event;
use crate::sim::weather::Weather;

/// Ticks of a kernel run under the newest protocols.
const RUN: u64 = 50_000_000_000_000;
/// Place of the end of a level that has two messages of users.
const END: u32 = 4;
/// A tick inside the evaluation of the commander, from the reading of the end of the level.
const EVALUATION: u64 = RUN + 45_000;

/// Every drill.
#[must_use]
pub fn suite() -> Vec<Drill> {
    [
        reference::reckoned(),
        reference::run(),
        reference::interrupted(),
        reference::migrations(),
        lies::contents(),
        lies::inputs(),
        lies::moves(),
        people::timings(),
        people::crowds(),
        people::money(),
        environment::chains(),
        environment::carriage(),
        environment::endpoints(),
        environment::malice(),
    ]
    .concat()
}

fn drill(name: &str, about: &str, strategy: Strategy) -> Drill {
    Drill {
        name: name.into(),
        about: about.into(),
        seed: 7,
        kernel: Kernel::Commander,
        protocol: Protocol::Ushuaia,
        switch: None,
        lengths: Lengths {
            period: 10,
            window: 40,
            timeout: 30,
        },
        parallel_games: None,
        traffic: Traffic {
            each: 2,
            until: Level::new(24),
            silent: Vec::new(),
            flood: None,
            reveals: None,
            lacks: None,
            upgrades: None,
        },
        defence: Defence {
            role: Role::Defend,
            restart: None,
            money: None,
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

impl Drill {
    fn silent(mut self, silent: &[u16]) -> Self {
        self.traffic.silent = silent.iter().map(|level| Level::new(*level)).collect();
        self
    }

    fn played(mut self, play: &Play) -> Self {
        for opponent in &mut self.opponents {
            opponent.play = play.clone();
        }
        self
    }

    fn first_in_blocks(self) -> Self {
        self.paying(20)
    }

    fn paying(mut self, fees: u32) -> Self {
        for opponent in &mut self.opponents {
            opponent.fees = fees;
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

    const fn running(mut self, kernel: Kernel) -> Self {
        self.kernel = kernel;
        self
    }

    const fn operated(mut self) -> Self {
        self.defence.role = Role::Operate;
        self
    }

    const fn restarted(mut self, after: u16, role: Role) -> Self {
        self.defence.restart = Some(Restart {
            after: Level::new(after),
            role,
        });
        self
    }

    fn until(mut self, last: u16) -> Self {
        self.last = Level::new(last);
        self
    }
}
