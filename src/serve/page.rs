//! The page: a few files in the program itself, so that nothing has to be built or fetched to see it.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

/// The browser may only talk to us, and to nobody else.
const POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'";

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    (
        [
            (header::CONTENT_TYPE, kind),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::CACHE_CONTROL, "no-cache"),
        ],
        text,
    )
}

/// The files of the page.
pub(super) fn page<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route(
            "/",
            get(async || file("text/html; charset=utf-8", include_str!("page/index.html"))),
        )
        .route(
            "/app.js",
            get(async || {
                file(
                    "text/javascript; charset=utf-8",
                    include_str!("page/app.js"),
                )
            }),
        )
        .route(
            "/style.css",
            get(async || file("text/css; charset=utf-8", include_str!("page/style.css"))),
        )
        .route(
            "/icon.svg",
            get(async || file("image/svg+xml", include_str!("page/icon.svg"))),
        )
}
