//! The edge: HTTP endpoints over one shared chain.
//!
//! Promises: any number of endpoints, each with its weather, serve the same chain; head streams see
//! every head in order; the chain moves only through [`Shared`] (or the control surface, where it is
//! switched on). Refuses to know what the paths mean: that is `rpc` and `control`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, Method as HttpMethod, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::chain::{Chain, ChainError};
use super::control;
use super::hold::{Hold, Holder, When};
use super::media::{self, Refusal};
use super::rpc::{self, Method, Reply, Request, View};
use super::scenario::Scenario;
use super::streams::{self, Filter, Told};
use super::weather::{Fault, Weather};

/// Bodies over this are refused: no operation is that long.
const MAX_BODY: usize = 16 << 20;

/// How far the chain is: blocks applied, heads, and the mempool's progress. Streams look when it
/// changes.
pub(super) type Progress = (usize, usize, (u64, usize));

fn progress(chain: &Chain) -> Progress {
    let (applied, heads) = (chain.applied().len(), chain.heads().len());
    (applied, heads, chain.mempool().progress())
}

/// A chain that endpoints, actors and tests share.
#[derive(Debug, Clone)]
pub struct Shared {
    scenario: Arc<Mutex<Scenario>>,
    moved: Arc<watch::Sender<Progress>>,
}

impl Shared {
    /// Shares a scenario and its chain.
    #[must_use]
    pub fn new(scenario: Scenario) -> Self {
        let moved = watch::Sender::new(progress(scenario.chain()));
        Self {
            scenario: Arc::new(Mutex::new(scenario)),
            moved: Arc::new(moved),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Scenario> {
        // A panic elsewhere leaves the chain between two commands at worst, which is a valid state.
        self.scenario.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads or commands the scenario; streams learn of what moved when it returns.
    pub fn with<T>(&self, action: impl FnOnce(&mut Scenario) -> T) -> T {
        let (result, now) = {
            let mut scenario = self.lock();
            (action(&mut scenario), progress(scenario.chain()))
        };
        self.moved.send_if_modified(|known| {
            let moved = *known != now;
            *known = now;
            moved
        });
        result
    }

    /// Tells when the chain or its mempool moves.
    pub(super) fn subscribe(&self) -> watch::Receiver<Progress> {
        self.moved.subscribe()
    }

    /// Reads or commands the chain alone.
    pub fn with_chain<T>(&self, action: impl FnOnce(&mut Chain) -> T) -> T {
        self.with(|scenario| action(scenario.chain_mut()))
    }
}

/// What an endpoint offers besides the node's paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Nothing: a plain node.
    Off,
    /// The paths of `control`, for `devnet`.
    On,
}

/// How to serve.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where; port 0 picks a free one.
    pub address: SocketAddr,
    /// State of the endpoint at first.
    pub weather: Weather,
    /// Whether it can be commanded over HTTP.
    pub control: Control,
    /// Bake by itself at this pace; otherwise blocks move when told.
    pub block_time: Option<Duration>,
}

impl Options {
    /// A plain, healthy endpoint on a free port of this machine.
    #[must_use]
    pub fn local() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            weather: Weather::default(),
            control: Control::Off,
            block_time: None,
        }
    }
}

/// A running endpoint; dropping it stops it.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    weather: Arc<Mutex<Weather>>,
    holder: Arc<Holder>,
    stop: CancellationToken,
}

impl Endpoint {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base of its URLs.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes its weather from now on.
    pub fn change_weather(&self, change: impl FnOnce(&mut Weather)) {
        change(&mut self.weather.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Holds a request to come, or none any more; lets go of the one that is held.
    pub fn hold(&self, hold: Option<Hold>) {
        self.holder.want(hold);
    }

    /// Whether a request is held, and whenever that changes.
    #[must_use]
    pub fn holding(&self) -> watch::Receiver<bool> {
        self.holder.watched()
    }

    /// Stops serving; open streams end.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What a request of one endpoint is answered from.
#[derive(Debug, Clone)]
pub(super) struct Served {
    /// The chain.
    pub(super) shared: Shared,
    /// State of the endpoint.
    pub(super) weather: Arc<Mutex<Weather>>,
    control: Control,
    requests: Arc<AtomicU32>,
    holder: Arc<Holder>,
    stop: CancellationToken,
}

impl Served {
    /// Waits until the endpoint stops.
    pub(super) async fn stopped(&self) {
        self.stop.cancelled().await;
    }
}

/// Serves `shared` on its own tasks of the current runtime.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(shared: Shared, options: Options) -> std::io::Result<Endpoint> {
    let listener = TcpListener::bind(options.address).await?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let weather = Arc::new(Mutex::new(options.weather));
    let holder = Arc::new(Holder::default());
    let served = Served {
        shared: shared.clone(),
        weather: Arc::clone(&weather),
        control: options.control,
        requests: Arc::default(),
        holder: Arc::clone(&holder),
        stop: stop.clone(),
    };
    let router = Router::new()
        .fallback(handle)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(served);
    let stopped = stop.clone();
    tokio::spawn(async move {
        let serving = axum::serve(listener, router);
        tokio::select! {
            () = stopped.cancelled() => {}
            ended = serving => if let Err(error) = ended {
                tracing::error!(%error, "simulated node stopped");
            },
        }
    });
    if let Some(pace) = options.block_time {
        tokio::spawn(bake_at(shared, pace, stop.clone()));
    }
    Ok(Endpoint {
        address,
        weather,
        holder,
        stop,
    })
}

async fn bake_at(shared: Shared, pace: Duration, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(pace);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let advanced = shared.with(Scenario::advance);
        if let Err(error) = advanced {
            tracing::error!(%error, "simulated chain stopped");
            return;
        }
    }
}

async fn handle(
    State(served): State<Served>,
    method: HttpMethod,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let query = pairs(uri.query().unwrap_or_default());
    let method = match method {
        HttpMethod::GET => Method::Get,
        HttpMethod::POST => Method::Post,
        HttpMethod::PUT | HttpMethod::DELETE | HttpMethod::PATCH => {
            return StatusCode::METHOD_NOT_ALLOWED.into_response();
        }
        _ => return StatusCode::NOT_IMPLEMENTED.into_response(),
    };
    let agreed = media::agreed(&headers, rpc::injects(uri.path()));
    let request = Request {
        method,
        path: uri.path(),
        query: &query,
        body: &body,
        form: agreed.unwrap_or_default(),
    };
    let refusal = agreed.err();
    if served.control == Control::On && control::is_control(request.path) {
        let weather = Arc::clone(&served.weather);
        return respond(
            control::answer(&served.shared, &weather, &request),
            Fault::None,
        );
    }
    let weather = current(&served.weather);
    if let Some(stream) = streamed(&served, &request, &weather, refusal) {
        return stream;
    }
    let held = served.holder.takes(request.path);
    if held == Some(When::Before) {
        served.holder.wait().await;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let fault = if let Some(status) = weather.status_of(request.path) {
        Fault::Status(status)
    } else if request.path.contains("/blocks/") {
        let nth = served
            .requests
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(1);
        weather.fault(nth)
    } else {
        Fault::None
    };
    if let Fault::Status(status) = fault {
        return status_of(status).into_response();
    }
    if fault == Fault::Silence {
        served.stopped().await;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if let Some(refusal) = refusal {
        return refused(&served, &request, &weather, refusal);
    }
    let reply = served.shared.with_chain(|chain| {
        rpc::command(chain, &request, &weather).unwrap_or_else(|| {
            let view = View {
                chain,
                weather: &weather,
            };
            rpc::answer(view, &request)
        })
    });
    if held == Some(When::After) {
        served.holder.wait().await;
    }
    respond(reply, fault)
}

/// A path that is not there is told before the form of bodies is looked at.
fn refused(
    served: &Served,
    request: &Request<'_>,
    weather: &Weather,
    refusal: Refusal,
) -> Response {
    let is_there = rpc::injects(request.path)
        || served
            .shared
            .with_chain(|chain| rpc::is_there(View { chain, weather }, request));
    if is_there {
        refusal.answer().into_response()
    } else {
        respond(Reply::not_found(), Fault::None)
    }
}

/// The weather of an endpoint now.
pub(super) fn current(weather: &Mutex<Weather>) -> Weather {
    weather
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

fn pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (unescaped(key), unescaped(value))
        })
        .collect()
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let decoded = (*first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|digits| hex::decode(digits).ok());
        match decoded.as_deref() {
            Some([byte]) => {
                bytes.push(*byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => bytes.push(if *first == b'+' { b' ' } else { *first }),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn respond(reply: Reply, fault: Fault) -> Response {
    match reply {
        Reply::Ok(value) => json_response(StatusCode::OK, &value, fault),
        Reply::Errors(value) => json_response(StatusCode::INTERNAL_SERVER_ERROR, &value, fault),
        Reply::Status(status, text) => (status_of(status), text).into_response(),
        Reply::NotAllowed(allowed) => {
            let allow = [(header::ALLOW, allowed)];
            (StatusCode::METHOD_NOT_ALLOWED, allow).into_response()
        }
        Reply::BadArgument(_, _, why) => (StatusCode::BAD_REQUEST, why).into_response(),
        Reply::Bytes(bytes) => bytes.into_response(),
    }
}

fn json_response(status: StatusCode, value: &Value, fault: Fault) -> Response {
    let mut text = value.to_string();
    text.push('\n');
    let body = match fault {
        Fault::HalfBody => half(text),
        Fault::None | Fault::Status(_) | Fault::Silence => Body::from(text),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let json = HeaderValue::from_static(media::SERVED);
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// The first half of a body, then a broken connection.
fn half(mut text: String) -> Body {
    let mut middle = text.len() / 2;
    while !text.is_char_boundary(middle) {
        middle = middle.saturating_sub(1);
    }
    text.truncate(middle);
    let first = Some(Bytes::from(text));
    Body::from_stream(stream::unfold(
        (first, false),
        |(first, broken)| async move {
            if let Some(first) = first {
                return Some((Ok(first), (None, false)));
            }
            if broken {
                return None;
            }
            // Not ready once: the connection sends what it has before it learns of the break.
            tokio::task::yield_now().await;
            let kind = std::io::ErrorKind::ConnectionReset;
            Some((
                Err(std::io::Error::new(kind, "cut in its middle")),
                (None, true),
            ))
        },
    ))
}

/// Opens the stream that a path asks for, if it asks for one.
fn streamed(
    served: &Served,
    request: &Request<'_>,
    weather: &Weather,
    refusal: Option<Refusal>,
) -> Option<Response> {
    let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    let values = |key: &str| -> Vec<String> {
        let pairs = request.query.iter().filter(|(name, _)| name == key);
        pairs.map(|(_, value)| value.clone()).collect()
    };
    let filter = Filter {
        protocols: values("protocol"),
        next_protocols: values("next_protocol"),
    };
    let is_main =
        |chain: &str| chain == "main" || served.shared.with_chain(|c| c.id().to_string() == chain);
    let chain = match segments.as_slice() {
        ["monitor", "heads", chain] | ["chains", chain, "mempool", "monitor_operations"] => *chain,
        [
            "monitor",
            "applied_blocks" | "validated_blocks" | "bootstrapped" | "active_chains",
        ] => "main",
        _ => return None,
    };
    if request.method != Method::Get {
        return Some(respond(Reply::NotAllowed("GET"), Fault::None));
    }
    if let Some(status) = weather.status {
        return Some(status_of(status).into_response());
    }
    if !is_main(chain) {
        return Some(respond(Reply::not_found(), Fault::None));
    }
    if let Some(refusal) = refusal {
        return Some(refusal.answer().into_response());
    }
    let served = served.clone();
    let body = match segments.last() {
        Some(&"bootstrapped") => return Some(bootstrapped_stream(&served, weather)),
        Some(&"active_chains") => {
            let item = served
                .shared
                .with_chain(|chain| streams::active_chains(View { chain, weather }));
            return Some(json_response(StatusCode::OK, &item, Fault::None));
        }
        Some(&"monitor_operations") => match rpc::monitored(request) {
            Err(reply) => return Some(respond(reply, Fault::None)),
            Ok(wanted) => streams::body(served, |view| {
                let (flush, seen) = view.chain.mempool().progress();
                Told::Mempool(wanted, flush, seen)
            }),
        },
        Some(&("applied_blocks" | "validated_blocks")) => streams::body(served, |view| {
            Told::Applied(filter, view.chain.applied().len())
        }),
        _ => streams::body(served, |view| Told::Heads(filter, view.chain.heads().len())),
    };
    let mut response = Response::new(body);
    let json = HeaderValue::from_static(media::SERVED);
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Some(response)
}

fn bootstrapped_stream(served: &Served, weather: &Weather) -> Response {
    let item = served.shared.with_chain(|chain| {
        let view = View { chain, weather };
        rpc::bootstrapped_item(view.head())
    });
    json_response(StatusCode::OK, &item, Fault::None)
}

/// Why a devnet could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The chain cannot be made.
    #[error(transparent)]
    Chain(#[from] ChainError),
}
