//! Adversarial situations as data, and what came of them: what `watchtower drill` and the tests share.
//!
//! Use: `suite()` lists them; [`Drill::stage`] gives a [`Scenario`] with the rollup, the opponents and
//! the events in place, and the account that defends. Let the simulation's own player defend
//! ([`Staged::defend`]), or serve the scenario and let a tower do it with that account's key. Then
//! advance, and read [`Report::of`] off the chain alone.
//!
//! Promises: deterministic from the seed. Refuses to know who defends and how.

mod report;
mod suite;

use serde::{Deserialize, Serialize};

use super::actors::{Actor, Play, Strategy};
use super::acts::{Act, ActError, malformed};
use super::parameters::Parameters;
use super::scenario::{Event, Scenario, Setup};
use super::truth::{Engines, MachineTruth};
use super::weather::Weather;
use crate::protocol::{Level, Protocol, RollupAddress};

pub use report::{Fate, Report};
pub use suite::suite;

/// The kernel of every drill: it does what messages tell it to.
const KERNEL: &[u8] = include_bytes!("../../../tests/data/kernels/commander.wasm");

/// Account that originates and writes to the rollup.
const WRITER: u32 = 0;
/// Account that defends.
const DEFENDER: u32 = 1;
/// Account of the first opponent.
const OPPONENTS: u32 = 2;

/// Lengths of the chain, in blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lengths {
    /// Of a commitment period.
    pub period: u32,
    /// Of the challenge window.
    pub window: u32,
    /// Of a player's clock.
    pub timeout: u32,
}

/// Messages that users send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Messages of a level.
    pub each: u32,
    /// Last level that has some.
    pub until: Level,
    /// Levels that have none.
    pub silent: Vec<Level>,
    /// Level at which the kernel reveals a preimage, if it does.
    pub reveals: Option<Level>,
}

/// A staker against the truth, or beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opponent {
    /// What it claims.
    pub strategy: Strategy,
    /// How it plays.
    pub play: Play,
    /// Its fees, in usual fees.
    pub fees: u32,
}

/// One adversarial situation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    /// Short name, unique.
    pub name: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// Fixes keys and blocks.
    pub seed: u64,
    /// Protocol of the chain.
    pub protocol: Protocol,
    /// A later protocol, from the end of a level on.
    pub switch: Option<(Level, Protocol)>,
    /// Lengths of the chain.
    pub lengths: Lengths,
    /// What users do.
    pub traffic: Traffic,
    /// Who is against.
    pub opponents: Vec<Opponent>,
    /// What befalls the chain.
    pub events: Vec<(Level, Event)>,
    /// What is wrong with each endpoint that a tower is given; one good endpoint when empty.
    pub endpoints: Vec<Weather>,
    /// Level at which everything must be over.
    pub last: Level,
}

/// A drill ready to run.
#[derive(Debug)]
pub struct Staged {
    /// The chain with its people, just after the origination.
    pub scenario: Scenario,
    /// The rollup.
    pub rollup: RollupAddress,
    /// Index of the account that defends.
    pub defender: u32,
    /// Level at which everything must be over.
    pub last: Level,
}

impl Drill {
    fn setup(&self) -> Setup {
        let Lengths {
            period,
            window,
            timeout,
        } = self.lengths;
        let parameters =
            |protocol| Parameters::mainnet(protocol).with_lengths(period, window, timeout);
        let mut setup = Setup::of(self.protocol, parameters(self.protocol)).seeded(self.seed);
        setup.accounts = u32::try_from(self.opponents.len())
            .unwrap_or(0)
            .saturating_add(OPPONENTS + 1);
        if let Some((level, protocol)) = self.switch {
            setup = setup.migrating(level, protocol, parameters(protocol));
        }
        setup
    }

    /// The chain, the rollup, the opponents and everything planned.
    ///
    /// # Errors
    /// [`ActError`] when the chain refuses the origination.
    pub fn stage(&self, engines: Engines) -> Result<Staged, ActError> {
        let mut scenario = Scenario::new(self.setup()).map_err(malformed)?;
        let truth = MachineTruth::new(engines, scenario.preimages().clone());
        scenario.employ(std::iter::empty::<Actor>(), Box::new(truth));
        let rollup = scenario.originate(WRITER, KERNEL)?;
        self.plan_traffic(&mut scenario);
        for (level, event) in &self.events {
            scenario.expect(*level, event.clone());
        }
        for (account, opponent) in (OPPONENTS..).zip(&self.opponents) {
            let mut actor = Actor::new(account, rollup, opponent.strategy.clone())
                .playing(opponent.play.clone());
            actor.fees = opponent.fees;
            scenario.hire(actor);
        }
        Ok(Staged {
            scenario,
            rollup,
            defender: DEFENDER,
            last: self.last,
        })
    }

    fn plan_traffic(&self, scenario: &mut Scenario) {
        let traffic = &self.traffic;
        let mut level = scenario.chain().level();
        while let Some(next) = level.next().filter(|next| *next <= traffic.until) {
            level = next;
            let mut messages: Vec<Vec<u8>> = Vec::new();
            if traffic.reveals == Some(level) {
                let name = scenario.keep_preimage(b"what a kernel reveals".to_vec());
                let mut command = b"R".to_vec();
                command.extend(hex::decode(name).unwrap_or_default());
                messages.push(command);
            }
            if !traffic.silent.contains(&level) {
                messages.extend((0..traffic.each).map(|nth| writing(level, nth)));
            }
            let messages: Vec<_> = messages.iter().map(Vec::as_slice).collect();
            if !messages.is_empty() {
                scenario.plan(level, Act::messages(WRITER, &messages));
            }
        }
    }
}

/// A command that stores something that depends on its place.
fn writing(level: Level, nth: u32) -> Vec<u8> {
    let mut command = b"W\x05/data".to_vec();
    command.extend(level.get().to_be_bytes());
    command.extend(nth.to_be_bytes());
    command
}

impl Staged {
    /// Lets the simulation's own honest player defend.
    pub fn defend(&mut self) {
        let honest = Actor::new(self.defender, self.rollup, Strategy::Honest)
            .cementing()
            .playing(Play::default());
        self.scenario.hire(honest);
    }

    /// Advances until no liar has a stake and no game is under way, or until the last level.
    ///
    /// # Errors
    /// [`ActError`] above the last level of a chain.
    pub fn run(&mut self) -> Result<Report, ActError> {
        loop {
            let report = self.report();
            if report.is_over || self.scenario.chain().level() >= self.last {
                return Ok(report);
            }
            self.scenario.advance().map_err(malformed)?;
        }
    }

    /// What came of it so far.
    #[must_use]
    pub fn report(&self) -> Report {
        Report::of(&self.scenario, &self.rollup, self.defender)
    }
}
