//! Starting a whole simulated network: what `watchtower devnet` and `demo` call.
//!
//! Promises: one call gives a served chain whose honest operator runs real kernels. Refuses to know
//! command lines and the tower.

use super::actors::Actor;
use super::scenario::Scenario;
use super::server::{Endpoint, Options, ServeError, Shared, serve};
use super::setup::Setup;
use super::truth::{Engines, MachineTruth};

/// A running network; dropping it stops its endpoint.
#[derive(Debug)]
pub struct Devnet {
    /// The chain and its people.
    pub shared: Shared,
    /// Where it is served.
    pub endpoint: Endpoint,
}

/// Serves a fresh chain. With `engines` to run kernels, stakers hired later act by the
/// machine's truth.
///
/// # Errors
/// [`ServeError`] when the chain cannot be made or the address not listened on.
pub async fn devnet(
    setup: Setup,
    options: Options,
    engines: Option<Engines>,
) -> Result<Devnet, ServeError> {
    let mut scenario = Scenario::new(setup)?;
    if let Some(engines) = engines {
        let truth = MachineTruth::new(engines, scenario.preimages().clone());
        scenario.employ(std::iter::empty::<Actor>(), Box::new(truth));
    }
    let shared = Shared::new(scenario);
    let address = options.address;
    let endpoint = serve(shared.clone(), options)
        .await
        .map_err(|source| ServeError::Listen { address, source })?;
    Ok(Devnet { shared, endpoint })
}
