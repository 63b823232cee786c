//! The edge: connections with limits, requests for our own names only.
//!
//! Promises: at most so many connections, each with a deadline for its headers; a request for a
//! foreign host is refused (a page elsewhere cannot make a browser read this one); no answer lets
//! other origins read it. Refuses to know: what is served.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Limits of the edge.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; more wait.
    pub connections: usize,
    /// Time a client has to send its headers.
    pub headers: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            headers: Duration::from_secs(10),
        }
    }
}

/// Serves until stopped.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    hosts: Vec<String>,
    limits: Limits,
    stop: CancellationToken,
) {
    let address = listener.local_addr().ok();
    let guarded = router
        .layer(middleware::from_fn_with_state(
            Arc::new(Names { hosts, address }),
            guard,
        ))
        .layer(axum::extract::DefaultBodyLimit::max(4096));
    let permits = Arc::new(Semaphore::new(limits.connections.max(1)));
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&permits).acquire_owned() => permit,
            () = stop.cancelled() => return,
        };
        let Ok(permit) = permit else { return };
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((stream, _)) = stream else {
            // Out of descriptors, for instance: a moment later there may be one.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let service = TowerToHyperService::new(guarded.clone());
        let stop = stop.clone();
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.headers)
                .max_buf_size(64 << 10)
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                // A client that hangs up or misbehaves ends its own connection only.
                _ = connection => {}
                () = stop.cancelled() => {}
            }
            drop(permit);
        });
    }
}

/// Names that are ours.
#[derive(Debug)]
struct Names {
    hosts: Vec<String>,
    address: Option<SocketAddr>,
}

impl Names {
    fn is_ours(&self, host: &str) -> bool {
        let name = without_port(host);
        let is_local = matches!(name, "localhost" | "127.0.0.1" | "[::1]");
        let is_address = self.address.is_some_and(|address| {
            let ip = address.ip();
            name == ip.to_string() || name == format!("[{ip}]")
        });
        is_local
            || is_address
            || self
                .hosts
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name) || known.eq_ignore_ascii_case(host))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

async fn guard(State(names): State<Arc<Names>>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok());
    let mut response = match host {
        Some(host) if names.is_ours(host) => next.run(request).await,
        _ => (
            StatusCode::MISDIRECTED_REQUEST,
            "this is not one of my names: add it to serve.hosts\n",
        )
            .into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        (
            "content-security-policy",
            "default-src 'self'; style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        ),
        ("cache-control", "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
