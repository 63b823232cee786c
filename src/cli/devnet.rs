//! `watchtower devnet`: the simulated layer 1, served for people.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::args::DevnetArgs;
use super::demo::KERNEL;
use super::exit::{Exit, Failure};
use super::follow::stop_on_signals;
use super::output::{line, runtime, start_logs};
use crate::config::Config;
use crate::crypto::Dialect;
use crate::protocol::{Dialected, Level, Protocol, RollupAddress};
use crate::sim::{
    Actor, Control, Devnet, Engines, From, Options, Parameters, Setup, Strategy, devnet,
};
use crate::tower::{fast_engine, reference_engine};

/// The shortest time between blocks.
const FASTEST: Duration = Duration::from_millis(10);
/// The first level that may activate another protocol: the rollup is there by then.
const FIRST_UPGRADE: Level = Level::new(3);
const USER: u32 = 0;
const HONEST: u32 = 1;
const LIAR: u32 = 2;

/// Engines for the operators of a simulated chain.
pub(super) fn operator_engines() -> Engines {
    Engines {
        fast: fast_engine(None),
        reference: reference_engine(),
    }
}

pub(super) fn run(config: &Config, command: &DevnetArgs) -> Result<Exit, Failure> {
    start_logs(config)?;
    let wrong = |message: String| Failure::said(Exit::Configuration, message);
    let address: SocketAddr = command.listen.parse().map_err(|_| {
        wrong(format!(
            "--listen: {:?} is not an address and port",
            command.listen
        ))
    })?;
    let dialect = match command.dialect.as_str() {
        "scr1" => Dialect::Scr1,
        _ => Dialect::Modern,
    };
    let setup = Setup {
        dialect,
        seed: command.seed,
        ..chain_of(command).map_err(wrong)?
    };
    let pace = Duration::try_from_secs_f64(command.block_seconds).map_err(|_| {
        wrong(format!(
            "--block-seconds: {} is no time",
            command.block_seconds
        ))
    })?;
    let options = Options {
        address,
        control: Control::On,
        block_time: (!pace.is_zero()).then(|| pace.max(FASTEST)),
        ..Options::local()
    };
    let kernel = kernel(command.kernel.as_deref())?;
    runtime()?.block_on(async {
        let chain = devnet(setup, options, Some(operator_engines()))
            .await
            .map_err(|error| Failure::new(Exit::Failed, error))?;
        let rollup = people(&chain, &kernel, command)?;
        let own = command.kernel.is_some();
        introduce(&chain, &rollup, dialect, own)?;
        let stop = CancellationToken::new();
        stop_on_signals(stop.clone());
        stop.cancelled().await;
        Ok(Exit::Fine)
    })
}

/// The protocols of the chain, each with its lengths, and the levels that activate them.
fn chain_of(command: &DevnetArgs) -> Result<Setup, String> {
    let lengths = |protocol| {
        let four = command.period.saturating_mul(4);
        let (window, timeout) = (
            command.window.unwrap_or(four),
            command.timeout.unwrap_or(four),
        );
        let mut parameters =
            Parameters::mainnet(protocol).with_lengths(command.period, window, timeout);
        // Clients wait for the block time that the constants tell.
        parameters.block_delay = block_delay(command.block_seconds);
        parameters
    };
    let first = protocol_named("--protocol", &command.protocol)?;
    let mut setup = Setup::of(first, lengths(first));
    for upgrade in &command.upgrade {
        let wrong = || format!("--upgrade: {upgrade:?} is not of the form tallinn@100");
        let (name, level) = upgrade.split_once('@').ok_or_else(wrong)?;
        let protocol = protocol_named("--upgrade", name)?;
        let level: i64 = level.parse().map_err(|_| wrong())?;
        let level = Level::try_from(level).map_err(|_| wrong())?;
        if level < FIRST_UPGRADE {
            return Err(format!(
                "--upgrade: {upgrade:?} comes before level {FIRST_UPGRADE}"
            ));
        }
        setup = setup.migrating(level, protocol, lengths(protocol));
    }
    let in_order = setup.protocols.values().map(|(protocol, _)| *protocol);
    if !in_order.is_sorted_by(|one, next| one < next) {
        return Err("--upgrade: protocols come in their order, each once".into());
    }
    Ok(setup)
}

fn protocol_named(option: &str, name: &str) -> Result<Protocol, String> {
    let is_named = |protocol: &Protocol| {
        let text = protocol.version_text();
        text == name || text.split('_').next() == Some(name)
    };
    let found = Protocol::ALL.into_iter().find(is_named);
    // Some versions tell the letter alone; their names are as good.
    let found = found.or_else(|| {
        let known = |protocol: &Protocol| format!("{protocol:?}").eq_ignore_ascii_case(name);
        Protocol::ALL.into_iter().find(known)
    });
    found.ok_or_else(|| {
        let names: Vec<_> = Protocol::ALL.iter().map(|p| p.version_text()).collect();
        format!("{option}: {name:?} is none of {}", names.join(", "))
    })
}

/// The protocol counts whole seconds, at least one.
fn block_delay(seconds: f64) -> u32 {
    Duration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|pace| u32::try_from(pace.as_secs()).ok())
        .unwrap_or(1)
        .max(1)
}

fn kernel(path: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let Some(path) = path else {
        return Ok(KERNEL.to_vec());
    };
    std::fs::read(path).map_err(|error| {
        Failure::said(
            Exit::Configuration,
            format!("--kernel {}: {error}", path.display()),
        )
    })
}

/// Originates the rollup and hires its stakers.
fn people(chain: &Devnet, kernel: &[u8], command: &DevnetArgs) -> Result<RollupAddress, Failure> {
    chain.shared.with(|scenario| {
        let failed = |error: &dyn std::fmt::Display| Failure::said(Exit::Failed, error.to_string());
        scenario.advance().map_err(|error| failed(&error))?;
        let rollup = scenario
            .install(USER, kernel)
            .map_err(|error| failed(&error))?;
        let origin = scenario.chain().level();
        scenario.hire(Actor::new(HONEST, rollup, Strategy::Honest).cementing());
        if let Some(blocks) = command.liar_after {
            let level = origin.plus(blocks).unwrap_or(origin);
            let lie = Strategy::WrongState(From::level(level));
            scenario.hire(Actor::new(LIAR, rollup, lie));
        }
        Ok(rollup)
    })
}

fn introduce(
    chain: &Devnet,
    rollup: &RollupAddress,
    dialect: Dialect,
    has_own_kernel: bool,
) -> Result<(), Failure> {
    let url = chain.endpoint.url();
    let rollup = rollup.text(dialect);
    line(format!("A simulated layer 1 is served on {url}"))?;
    line(format!("rollup    {rollup}"))?;
    let relay = chain.shared.with(|scenario| scenario.relay());
    line(format!(
        "relay     {relay} (passes on what it is called with)"
    ))?;
    for index in 0..4 {
        let account = chain.shared.with(|scenario| {
            let person = scenario.person(index)?;
            Some((person.account(), person.secret_text().to_owned()))
        });
        if let Some((account, secret)) = account {
            line(format!("account {index} {account} {secret}"))?;
        }
    }
    line("\nIn another terminal:")?;
    let reveals = match has_own_kernel {
        true => format!(" --preimage-endpoint {url}/devnet/wasm_2_0_0"),
        false => String::new(),
    };
    line(format!(
        "  watchtower follow {rollup} --node {url}{reveals}"
    ))?;
    line(format!(
        "  curl -X POST {url}/devnet/act -d '{{\"by\":0,\"deeds\":[{{\"kind\":\"messages\",\"messages\":[\"{}\"]}}]}}'",
        hex::encode(b"W\x08/greetinghello")
    ))?;
    line(format!("  curl -X POST '{url}/devnet/reorg?depth=2'"))?;
    Ok(line(format!("  curl {url}/devnet\n"))?)
}
