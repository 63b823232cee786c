//! Adversarial situations as data, and what came of them: what `watchtower drill` and the tests share.
//!
//! Use: `suite()` lists them; [`Drill::stage`] gives a [`Scenario`] with the rollup, the opponents and
//! the events in place, and the account that defends. Let the simulation's own player defend
//! ([`Staged::defend`]), or serve the scenario and let a tower do it with that account's key. Then
//! advance, and read [`Report::of`] off the chain alone.
//!
//! Promises: deterministic from the seed. Refuses to know who defends and how.

mod report;
mod story;
mod suite;

use serde::{Deserialize, Serialize};

use super::actors::{Actor, Play, Publishing, Strategy};
use super::acts::{Act, ActError, malformed};
use super::parameters::Parameters;
use super::scenario::{Event, Scenario};
use super::setup::Setup;
use super::truth::{Engines, MachineTruth};
use super::weather::Weather;
use crate::protocol::{BlockHash, Level, Mutez, Protocol, RollupAddress};

pub use report::{Fate, Report};
pub use story::story;
pub use suite::{crowd, drill_named, suite};

const COMMANDER: &[u8] = include_bytes!("../../../tests/data/kernels/commander.wasm");
const SECOND: &[u8] = include_bytes!("../../../tests/data/kernels/commander-second.wasm");
const RECKONER: &[u8] = include_bytes!("../../../tests/data/kernels/reckoner.wasm");

/// Account that originates and writes to the rollup.
const WRITER: u32 = 0;
/// Account that defends.
const DEFENDER: u32 = 1;
/// Account of the first opponent.
const OPPONENTS: u32 = 2;

/// What the rollup runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kernel {
    /// It does what messages tell it to.
    Commander,
    /// It reckons on a stack of numbers, as the arithmetic machine does, and keeps what it is told
    /// of the chain.
    Reckoner,
}

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
    /// Level with this many messages more.
    pub flood: Option<(Level, u32)>,
    /// Level at which the kernel reveals something: the commander a preimage, the reckoner the
    /// parameters of the data availability layer.
    pub reveals: Option<Level>,
    /// Level at which the kernel asks for a preimage that nobody has.
    pub lacks: Option<Level>,
    /// Level at which the kernel puts another one in its place.
    pub upgrades: Option<Level>,
}

/// What a defender does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Stakes and plays against what is false, and nothing else.
    Defend,
    /// Publishes every period, too.
    Operate,
    /// Plays for what is staked, and stakes no more.
    Bailout,
}

/// A defender that goes down and comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// Level after which it does.
    pub after: Level,
    /// What it comes back as.
    pub role: Role,
}

/// The seat of the defender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defence {
    /// What it does at first.
    pub role: Role,
    /// Whether it is interrupted.
    pub restart: Option<Restart>,
    /// Its money, when it is not rich.
    pub money: Option<Mutez>,
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
    /// What the rollup runs.
    pub kernel: Kernel,
    /// Protocol of the chain.
    pub protocol: Protocol,
    /// A later protocol, from the end of a level on.
    pub switch: Option<(Level, Protocol)>,
    /// Lengths of the chain.
    pub lengths: Lengths,
    /// Games that a staker may play at once, when it is not mainnet's number.
    pub parallel_games: Option<u32>,
    /// What users do.
    pub traffic: Traffic,
    /// How it is defended.
    pub defence: Defence,
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
    /// How.
    pub defence: Defence,
    /// Level at which everything must be over.
    pub last: Level,
}

impl Drill {
    fn setup(&self, kernel: &[u8]) -> Setup {
        let Lengths {
            period,
            window,
            timeout,
        } = self.lengths;
        let parameters = |protocol| {
            let mut parameters =
                Parameters::mainnet(protocol).with_lengths(period, window, timeout);
            parameters.reveals.dal_parameters = Some(Level::ZERO);
            // A large kernel is originated by an installer on a public network.
            let needed = kernel.len().saturating_mul(2);
            parameters.operation_size = parameters.operation_size.max(needed);
            let most = &mut parameters.rollup.max_parallel_games;
            *most = self.parallel_games.unwrap_or(*most);
            parameters
        };
        let mut setup = Setup::of(self.protocol, parameters(self.protocol)).seeded(self.seed);
        setup.accounts = u32::try_from(self.opponents.len())
            .unwrap_or(0)
            .saturating_add(OPPONENTS + 1);
        setup.money = self
            .defence
            .money
            .map(|money| (DEFENDER, money))
            .into_iter()
            .collect();
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
        let kernel = match self.kernel {
            Kernel::Commander => COMMANDER,
            Kernel::Reckoner => RECKONER,
        };
        self.stage_with(engines, kernel)
    }

    /// The same with another kernel, to which the messages mean what they may.
    ///
    /// # Errors
    /// [`ActError`] when the chain refuses the origination.
    pub fn stage_with(&self, engines: Engines, kernel: &[u8]) -> Result<Staged, ActError> {
        let mut scenario = Scenario::new(self.setup(kernel)).map_err(malformed)?;
        let truth = MachineTruth::new(engines, scenario.preimages().clone());
        scenario.employ(std::iter::empty::<Actor>(), Box::new(truth));
        let rollup = scenario.originate(WRITER, kernel)?;
        self.plan_traffic(&mut scenario);
        for (level, event) in &self.events {
            scenario.expect(*level, *event);
        }
        for (account, opponent) in (OPPONENTS..).zip(&self.opponents) {
            let mut actor = Actor::new(account, rollup, opponent.strategy.clone())
                .playing(opponent.play.clone());
            actor.fees = opponent.fees;
            scenario.hire(actor);
        }
        // Nobody starts guarding a rollup that no endpoint of theirs has heard of.
        for _ in 0..self.unseen() {
            scenario.advance().map_err(malformed)?;
        }
        Ok(Staged {
            scenario,
            rollup,
            defender: DEFENDER,
            defence: self.defence.clone(),
            last: self.last,
        })
    }

    /// The newest blocks that no endpoint shows yet.
    #[must_use]
    pub fn unseen(&self) -> u32 {
        let lags = self.endpoints.iter().map(|weather| weather.lag);
        lags.min().unwrap_or(0)
    }

    /// The newest block that an endpoint shows.
    #[must_use]
    pub fn newest_seen(&self, scenario: &Scenario) -> Option<BlockHash> {
        let chain = scenario.chain();
        let level = chain.level().minus(self.unseen())?;
        chain.at(level).map(|block| block.hash)
    }

    fn plan_traffic(&self, scenario: &mut Scenario) {
        let traffic = &self.traffic;
        let mut level = scenario.chain().level();
        while let Some(next) = level.next().filter(|next| *next <= traffic.until) {
            level = next;
            let mut messages = self.commands(scenario, level);
            if !traffic.silent.contains(&level) {
                let more = traffic.flood.filter(|(flooded, _)| *flooded == level);
                let count = traffic
                    .each
                    .saturating_add(more.map_or(0, |(_, more)| more));
                messages.extend((0..count).map(|nth| self.writing(level, nth)));
            }
            let messages: Vec<_> = messages.iter().map(Vec::as_slice).collect();
            if !messages.is_empty() {
                scenario.plan(level, Act::messages(WRITER, &messages));
            }
        }
    }
}

impl Drill {
    /// What the kernel is told to do at a level besides its daily work.
    fn commands(&self, scenario: &mut Scenario, level: Level) -> Vec<Vec<u8>> {
        let command = |letter: u8, name: String| {
            let mut command = vec![letter];
            command.extend(hex::decode(name).unwrap_or_default());
            command
        };
        let is_now = |planned: Option<Level>| planned == Some(level);
        let mut commands = Vec::new();
        if is_now(self.traffic.reveals) {
            commands.push(match self.kernel {
                Kernel::Reckoner => b"dal".to_vec(),
                Kernel::Commander => command(
                    b'R',
                    scenario.keep_preimage(b"what a kernel reveals".to_vec()),
                ),
            });
        }
        if is_now(self.traffic.upgrades) {
            commands.push(command(b'U', scenario.keep_preimage(SECOND.to_vec())));
        }
        if is_now(self.traffic.lacks) {
            let lost = crate::crypto::blake2b(b"what nobody has");
            commands.push(command(b'R', format!("00{}", hex::encode(lost.0))));
        }
        commands
    }

    /// A message whose effect depends on its place.
    fn writing(&self, level: Level, nth: u32) -> Vec<u8> {
        if self.kernel == Kernel::Reckoner {
            return format!("{level} {nth} + sum").into_bytes();
        }
        let mut command = b"W\x05/data".to_vec();
        command.extend(level.get().to_be_bytes());
        command.extend(nth.to_be_bytes());
        command
    }
}

impl Staged {
    /// Lets the simulation's own honest player defend.
    pub fn defend(&mut self) {
        let honest = self.honest(self.defence.role);
        self.scenario.hire(honest);
    }

    fn honest(&self, role: Role) -> Actor {
        Actor::new(self.defender, self.rollup, Strategy::Honest)
            .cementing()
            .playing(Play::default())
            .publishing(match role {
                Role::Defend => Publishing::AgainstOthers,
                Role::Operate => Publishing::Always,
                Role::Bailout => Publishing::Never,
            })
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
            if let Some(restart) = self.defence.restart
                && self.scenario.chain().level() == restart.after
            {
                let back = self.honest(restart.role);
                self.scenario.replace(back);
            }
        }
    }

    /// What came of it so far.
    #[must_use]
    pub fn report(&self) -> Report {
        Report::of(&self.scenario, &self.rollup, self.defender)
    }
}
