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
use crate::protocol::{Dialected, Protocol, RollupAddress};
use crate::sim::{Actor, Control, Devnet, Engines, From, Options, Setup, Strategy, devnet};
use crate::tower::{fast_engine, reference_engine};

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
    let protocol = Protocol::ALL
        .into_iter()
        .find(|protocol| {
            let name = protocol.version_text();
            name == command.protocol || name.split('_').next() == Some(&command.protocol)
        })
        .ok_or_else(|| {
            let names: Vec<_> = Protocol::ALL.iter().map(|p| p.version_text()).collect();
            wrong(format!(
                "--protocol: {:?} is none of {}",
                command.protocol,
                names.join(", ")
            ))
        })?;
    let mut setup = Setup {
        dialect,
        seed: command.seed,
        ..Setup::small(protocol, command.period)
    };
    // Clients wait for the block time that the constants tell.
    for (_, parameters) in setup.protocols.values_mut() {
        parameters.block_delay = block_delay(command.block_seconds);
    }
    let options = Options {
        address,
        control: Control::On,
        block_time: Some(Duration::from_secs_f64(command.block_seconds.max(0.01))),
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
