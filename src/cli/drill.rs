//! `watchtower drill`: an adversary on a simulated layer 1, the tower of `follow --mode defend` against
//! it, and a report.
//!
//! Promises: nothing leaves this machine; the tower sees the chain as it would see a node, and the
//! report is read off the chain and the journal, not taken from its word. The exit code is 0 only if
//! every drill was won: liars without a stake, ours in place.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::args::DrillArgs;
use super::demo::Scratch;
use super::devnet::operator_engines;
use super::exit::{Exit, Failure};
use super::follow::stop_on_signals;
use super::output::{line, runtime, start_quiet_logs};
use crate::config::{Config, Mode, RollupConfig};
use crate::crypto::Dialect;
use crate::journal::{Judgement, Reader};
use crate::protocol::{Level, RollupAddress};
use crate::signer::Key;
use crate::sim::{
    Defence, Drill, Endpoint, Options, Report, Role, Shared, Staged, Weather, drill_named, serve,
    suite,
};
use crate::tower::{Status, follow};

/// Longest time that a tower may need for a block.
const PATIENCE: Duration = Duration::from_secs(120);
/// The same where endpoints misbehave and a tower cannot be done with every block.
const UNDER_WEATHER: Duration = Duration::from_secs(3);

pub(super) fn run(config: &Config, command: &DrillArgs) -> Result<Exit, Failure> {
    if command.list || command.names.is_empty() {
        for drill in suite() {
            line(format!("{:<36} {}", drill.name, drill.about))?;
        }
        line(format!(
            "{:<36} parts of these, put together by a number of your choice",
            "composed_NUMBER"
        ))?;
        return Ok(Exit::Fine);
    }
    let mut chosen = Vec::new();
    for name in &command.names {
        chosen.push(drill_named(name).ok_or_else(|| {
            let message = format!("there is no drill {name:?}; watchtower drill --list names them");
            Failure::said(Exit::Configuration, message)
        })?);
    }
    if command.keep.is_some() && chosen.len() > 1 {
        let message = "--keep keeps one drill: name one";
        return Err(Failure::said(Exit::Configuration, message));
    }
    start_quiet_logs(config)?;
    let runtime = runtime()?;
    let mut is_won = true;
    for drill in &chosen {
        let scratch = Scratch::new()?;
        let folder = command.keep.as_ref().unwrap_or(&scratch.0);
        std::fs::create_dir_all(folder)?;
        let outcome = runtime.block_on(defend(drill, folder))?;
        is_won &= outcome.report.is_won();
        if command.json {
            line(outcome.json(drill).to_string())?;
        } else {
            outcome.tell(drill)?;
        }
    }
    Ok(if is_won { Exit::Fine } else { Exit::Failed })
}

/// How a drill went.
struct Outcome {
    report: Report,
    /// Level at which the chain stood when the first false verdict was journalled.
    verdict: Option<Level>,
}

async fn defend(drill: &Drill, folder: &Path) -> Result<Outcome, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::said(Exit::Failed, error.to_string());
    let staged = drill
        .stage(operator_engines())
        .map_err(|error| failed(&error))?;
    let config = configured(&staged, folder)?;
    let secret = secret(&staged)?;
    let shared = Shared::new(staged.scenario);
    let endpoints = endpoints(drill, &shared).await?;
    let mut arena = Arena {
        drill,
        shared,
        rollup: staged.rollup,
        defender: staged.defender,
        last: staged.last,
        patience: if drill.endpoints.is_empty() {
            PATIENCE
        } else {
            UNDER_WEATHER
        },
        stopped: CancellationToken::new(),
        config: Config {
            endpoints: endpoints.iter().map(Endpoint::url).collect(),
            // A block under weather lasts three seconds here.
            node_timeout: match drill.endpoints.is_empty() {
                true => config.node_timeout,
                false => Duration::from_secs(2),
            },
            ..config
        },
        verdict: None,
    };
    stop_on_signals(arena.stopped.clone());
    let Defence { role, restart, .. } = staged.defence;
    if let Some(restart) = restart {
        arena
            .session(mode(role), key(&secret)?, Some(restart.after))
            .await?;
    }
    let role = restart.map_or(role, |restart| restart.role);
    let report = arena.session(mode(role), key(&secret)?, None).await?;
    Ok(Outcome {
        report,
        verdict: arena.verdict,
    })
}

const fn mode(role: Role) -> Mode {
    match role {
        Role::Defend => Mode::Defend,
        Role::Operate => Mode::Operate,
        Role::Bailout => Mode::Bailout,
    }
}

/// A chain that moves while a tower watches it.
struct Arena<'a> {
    drill: &'a Drill,
    shared: Shared,
    rollup: RollupAddress,
    defender: u32,
    last: Level,
    patience: Duration,
    stopped: CancellationToken,
    config: Config,
    verdict: Option<Level>,
}

impl Arena<'_> {
    /// Runs a tower until everything is over, or until the chain is at `until`.
    async fn session(
        &mut self,
        mode: Mode,
        key: Key,
        until: Option<Level>,
    ) -> Result<Report, Failure> {
        let config = Config {
            chosen_mode: Some(mode),
            ..self.config.clone()
        };
        let stop = self.stopped.child_token();
        let (sender, status) = watch::channel(Status::default());
        let tower = follow(&config, Some(key), None, None, sender, stop.clone());
        let (tower, report) = tokio::join!(tower, async {
            let report = self.chain(status, until).await;
            stop.cancel();
            report
        });
        tower?;
        report
    }

    async fn chain(
        &mut self,
        mut status: watch::Receiver<Status>,
        until: Option<Level>,
    ) -> Result<Report, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::said(Exit::Failed, error.to_string());
        loop {
            let drill = self.drill;
            let newest = self.shared.with(|scenario| drill.newest_seen(scenario));
            let settled =
                status.wait_for(|status| status.play.settled.map(|place| place.block) == newest);
            // Under weather the chain does not wait for the tower.
            let _ = tokio::time::timeout(self.patience, settled).await;
            let level = self.shared.with(|scenario| scenario.chain().level());
            if self.verdict.is_none() && has_false_verdict(&self.config, &self.rollup)? {
                self.verdict = Some(level);
            }
            let (rollup, defender) = (self.rollup, self.defender);
            let report = self
                .shared
                .with(|scenario| Report::of(scenario, &rollup, defender));
            let is_time = until.is_some_and(|until| level >= until) || level >= self.last;
            if report.is_over || is_time || self.stopped.is_cancelled() {
                return Ok(report);
            }
            let chain = self.shared.clone();
            let advanced =
                tokio::task::spawn_blocking(move || chain.with(crate::sim::Scenario::advance));
            match advanced.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(failed(&error)),
                Err(error) => return Err(failed(&error)),
            }
        }
    }
}

fn configured(staged: &Staged, folder: &Path) -> Result<Config, Failure> {
    let preimages = folder.join("preimages");
    std::fs::create_dir_all(&preimages)?;
    for name in staged.scenario.preimages().names() {
        if let Some(bytes) = staged.scenario.preimage(&name) {
            std::fs::write(preimages.join(name), &*bytes)?;
        }
    }
    Ok(Config {
        data_dir: folder.join("data"),
        rollups: vec![RollupConfig {
            address: staged.rollup,
            dialect: Dialect::Modern,
            kernel: None,
            preimages: Some(preimages),
            preimage_endpoints: Vec::new(),
        }],
        ..Config::default()
    })
}

fn secret(staged: &Staged) -> Result<String, Failure> {
    let person = staged.scenario.person(staged.defender);
    person
        .map(|person| person.secret_text().to_owned())
        .ok_or_else(|| Failure::said(Exit::Failed, "the simulated chain lacks an account"))
}

fn key(secret: &str) -> Result<Key, Failure> {
    let parsed = secret.parse().map(Key::local);
    parsed.map_err(|_| Failure::said(Exit::Failed, "the simulated chain's keys cannot be read"))
}

async fn endpoints(drill: &Drill, shared: &Shared) -> Result<Vec<Endpoint>, Failure> {
    let good = [Weather::default()];
    let weathers = if drill.endpoints.is_empty() {
        good.as_slice()
    } else {
        drill.endpoints.as_slice()
    };
    let mut endpoints = Vec::new();
    for weather in weathers {
        let options = Options {
            weather: weather.clone(),
            ..Options::local()
        };
        endpoints.push(serve(shared.clone(), options).await?);
    }
    Ok(endpoints)
}

fn has_false_verdict(config: &Config, rollup: &RollupAddress) -> Result<bool, Failure> {
    let path = config.journal_path();
    if !path.is_file() {
        return Ok(false);
    }
    let rows = Reader::open(&path)?.verdicts(rollup)?;
    Ok(rows
        .iter()
        .any(|row| matches!(row.judgement, Judgement::False { .. })))
}

impl Outcome {
    fn json(&self, drill: &Drill) -> Value {
        json!({
            "drill": drill.name,
            "won": self.report.is_won(),
            "false_verdict_at": self.verdict,
            "report": self.report,
        })
    }

    fn tell(&self, drill: &Drill) -> Result<(), Failure> {
        let report = &self.report;
        let at = |level: Option<Level>| {
            level.map_or_else(|| "never".to_owned(), |level| format!("level {level}"))
        };
        line(format!("{}: {}", drill.name, drill.about))?;
        line(format!("  lie published   {}", at(report.lied)))?;
        line(format!("  judged false    {}", at(self.verdict)))?;
        line(format!("  first game      {}", at(report.detected)))?;
        for game in &report.games {
            let result = game.result.as_ref().map_or_else(
                || "under way".to_owned(),
                |result| match result.get("player").and_then(Value::as_str) {
                    Some(loser) => format!("{loser} lost"),
                    None => "draw".to_owned(),
                },
            );
            let (opened, ended) = (game.opened, at(game.ended));
            line(format!(
                "  game            from level {opened} to {ended}: {result}"
            ))?;
        }
        line(format!(
            "  our moves       {} dissections, {} proofs; {} of opponents",
            report.dissections, report.proofs, report.opposing_moves
        ))?;
        if let Some(left) = report.least_left {
            line(format!("  our clock       never below {left} blocks"))?;
        }
        line(format!(
            "  cost            {} mutez of fees, {} failed operations",
            report.fees, report.failed
        ))?;
        let word = if report.is_won() { "won" } else { "NOT WON" };
        Ok(line(format!("  {word}\n"))?)
    }
}
