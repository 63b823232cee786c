//! The edge: HTTP endpoints over one shared chain.
//!
//! Promises: any number of endpoints, each with its weather, serve the same chain; head streams see
//! every head in order; the chain moves only through [`Shared`] (or the control surface, where it is
//! switched on). Refuses to know what the paths mean: that is `rpc` and `control`.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, Method as HttpMethod, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::chain::{Chain, ChainError};
use super::control;
use super::rpc::{self, Method, Reply, Request, View};
use super::scenario::Scenario;
use super::weather::{Fault, Weather};

/// Bodies over this are refused: no operation is that long.
const MAX_BODY: usize = 16 << 20;

/// A chain that endpoints, actors and tests share.
#[derive(Debug, Clone)]
pub struct Shared {
    scenario: Arc<Mutex<Scenario>>,
    heads: Arc<watch::Sender<usize>>,
}

impl Shared {
    /// Shares a scenario and its chain.
    #[must_use]
    pub fn new(scenario: Scenario) -> Self {
        let heads = watch::Sender::new(scenario.chain().heads().len());
        Self {
            scenario: Arc::new(Mutex::new(scenario)),
            heads: Arc::new(heads),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Scenario> {
        // A panic elsewhere leaves the chain between two commands at worst, which is a valid state.
        self.scenario.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads or commands the scenario; streams learn of new heads when it returns.
    pub fn with<T>(&self, action: impl FnOnce(&mut Scenario) -> T) -> T {
        let (result, heads) = {
            let mut scenario = self.lock();
            (action(&mut scenario), scenario.chain().heads().len())
        };
        self.heads.send_if_modified(|known| {
            let moved = *known != heads;
            *known = heads;
            moved
        });
        result
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

#[derive(Debug, Clone)]
struct Served {
    shared: Shared,
    weather: Arc<Mutex<Weather>>,
    control: Control,
    requests: Arc<AtomicU32>,
    stop: CancellationToken,
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
    let served = Served {
        shared: shared.clone(),
        weather: Arc::clone(&weather),
        control: options.control,
        requests: Arc::default(),
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
    body: Bytes,
) -> Response {
    let query = pairs(uri.query().unwrap_or_default());
    let method = match method {
        HttpMethod::GET => Method::Get,
        HttpMethod::POST => Method::Post,
        _ => return StatusCode::METHOD_NOT_ALLOWED.into_response(),
    };
    let request = Request {
        method,
        path: uri.path(),
        query: &query,
        body: &body,
    };
    if served.control == Control::On && control::is_control(request.path) {
        let weather = Arc::clone(&served.weather);
        return respond(
            control::answer(&served.shared, &weather, &request),
            Fault::None,
        );
    }
    let weather = current(&served.weather);
    match request
        .path
        .trim_matches('/')
        .split('/')
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["monitor", "heads", _] => return head_stream(served, weather),
        ["monitor", "bootstrapped"] => return bootstrapped_stream(&served, &weather),
        _ => {}
    }
    let fault = if request.path.contains("/blocks/") || weather.status.is_some() {
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
    let reply = served.shared.with_chain(|chain| {
        match rpc::injection(chain, &request, weather.loses_operations) {
            rpc::Injected::Answered(reply) => reply,
            rpc::Injected::Other => rpc::answer(
                View {
                    chain,
                    weather: &weather,
                },
                &request,
            ),
        }
    });
    respond(reply, fault)
}

fn current(weather: &Mutex<Weather>) -> Weather {
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
        Reply::Bytes(bytes) => bytes.into_response(),
    }
}

fn json_response(status: StatusCode, value: &Value, fault: Fault) -> Response {
    let mut text = value.to_string();
    text.push('\n');
    let body = match fault {
        Fault::HalfBody => half(text),
        Fault::None | Fault::Status(_) => Body::from(text),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
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

/// Where a head stream stands.
struct Heads {
    served: Served,
    moved: watch::Receiver<usize>,
    /// Heads already taken over from the chain's record.
    seen: usize,
    ready: VecDeque<Value>,
    sent: u32,
}

fn head_stream(served: Served, weather: Weather) -> Response {
    if let Some(status) = weather.status {
        return status_of(status).into_response();
    }
    let moved = served.shared.heads.subscribe();
    let (seen, current) = served.shared.with_chain(|chain| {
        let view = View {
            chain,
            weather: &weather,
        };
        (chain.heads().len(), rpc::stream_item(view, view.head()))
    });
    let heads = Heads {
        served,
        moved,
        seen,
        ready: VecDeque::from([current]),
        sent: 0,
    };
    let items = stream::unfold(heads, |mut heads| async move {
        let item = heads.next().await?;
        let mut text = item.to_string();
        text.push('\n');
        Some((Ok::<_, std::io::Error>(Bytes::from(text)), heads))
    });
    let mut response = Response::new(Body::from_stream(items));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

impl Heads {
    async fn next(&mut self) -> Option<Value> {
        loop {
            let weather = current(&self.served.weather);
            if weather
                .cut_stream_after
                .is_some_and(|most| self.sent >= most)
                || weather.status.is_some()
            {
                return None;
            }
            if !weather.silent_stream
                && let Some(item) = self.ready.pop_front()
            {
                self.sent = self.sent.saturating_add(1);
                return Some(item);
            }
            if self.take_over(&weather) {
                continue;
            }
            tokio::select! {
                () = self.served.stop.cancelled() => return None,
                moved = self.moved.changed() => moved.ok()?,
            }
        }
    }

    /// Moves new heads into the queue; a lagging endpoint shows the block that far behind each.
    fn take_over(&mut self, weather: &Weather) -> bool {
        let (seen, ready) = (&mut self.seen, &mut self.ready);
        self.served.shared.with_chain(|chain| {
            let new = chain.heads().get(*seen..).unwrap_or_default();
            *seen = chain.heads().len();
            for head in new {
                let level = head.header.level.minus(weather.lag);
                let shown = match (weather.lag, level) {
                    (0, _) => Some(head),
                    (_, level) => level.and_then(|level| chain.at(level)),
                };
                let view = View { chain, weather };
                ready.extend(shown.map(|block| rpc::stream_item(view, block)));
            }
            !new.is_empty()
        })
    }
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
