//! The page behind the link in a message: a question and one button.
//!
//! Promises: looking at it changes nothing (mail scanners follow links); only the button, with a
//! token of ours, acknowledges, and only that one alert.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use super::routes::{Site, now};
use crate::alert::Acknowledgement;

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>body{{font-family:system-ui,sans-serif;max-width:30em;margin:3em auto;padding:0 1em;color-scheme:light dark}}button{{font:inherit;padding:.6em 1.2em}}</style></head><body><h1>{title}</h1>{body}</body></html>"
    )
}

fn refused() -> Response {
    let page = page(
        "This link does not work",
        "<p>It is too old, or not from this tower.</p>",
    );
    (StatusCode::FORBIDDEN, Html(page)).into_response()
}

pub(super) async fn ask(State(site): State<Arc<Site>>, Path(token): Path<String>) -> Response {
    let Some(id) = site.tokens.check(&token, now()) else {
        return refused();
    };
    let button = "<form method=\"post\"><button>I take care of it</button></form>";
    Html(page(&format!("Alert {id}"), button)).into_response()
}

pub(super) async fn take(State(site): State<Arc<Site>>, Path(token): Path<String>) -> Response {
    let Some(id) = site.tokens.check(&token, now()) else {
        return refused();
    };
    let outcome = match site.alerts.get() {
        Some(alerts) => alerts.acknowledge(id, "the link in a message").await,
        None => Acknowledgement::Failed,
    };
    let (status, body) = match outcome {
        Acknowledgement::Taken => (
            StatusCode::OK,
            "<p>Noted: it is not told again unless it gets worse.</p>",
        ),
        Acknowledgement::Unknown => (StatusCode::NOT_FOUND, "<p>There is no such alert.</p>"),
        Acknowledgement::Failed => (
            StatusCode::SERVICE_UNAVAILABLE,
            "<p>It could not be noted; try again in a moment.</p>",
        ),
    };
    (status, Html(page(&format!("Alert {id}"), body))).into_response()
}
