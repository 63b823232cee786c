//! Paths and what answers them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use super::fill::{Figures, fill};
use super::health::{Health, health, readiness};
use super::metrics::Metrics;
use super::view::View;
use super::{acknowledge, api, board, events, page};
use crate::alert::{Handle, Plan, Tokens};
use crate::journal::{JournalError, Reader};

/// The description of the API.
pub const OPENAPI: &str = include_str!("openapi.json");

/// Live streams at once.
const STREAMS: usize = 32;

/// Everything that is served.
#[derive(Debug)]
pub struct Site {
    pub(super) view: watch::Receiver<Arc<View>>,
    journal: PathBuf,
    readers: Mutex<Vec<Reader>>,
    board: Arc<board::Kept>,
    metrics: Metrics,
    /// Set once alerts run.
    pub(super) alerts: OnceLock<Handle>,
    pub(super) tokens: Tokens,
    plan: Plan,
    started: i64,
    pub(super) streams: Arc<Semaphore>,
}

pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Something that could not be answered.
#[derive(Debug)]
pub(super) enum Refusal {
    /// There is no such thing.
    Absent(String),
    /// The question is not understood.
    Wrong(String),
    /// Not now.
    Busy(String),
    /// There is no journal yet.
    Early(String),
}

impl From<JournalError> for Refusal {
    fn from(error: JournalError) -> Self {
        let message = error.to_string();
        match error {
            JournalError::Absent(_) => Self::Early(message),
            _ => Self::Busy(message),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::Absent(message) => (StatusCode::NOT_FOUND, message),
            Self::Wrong(message) => (StatusCode::BAD_REQUEST, message),
            Self::Busy(message) | Self::Early(message) => {
                (StatusCode::SERVICE_UNAVAILABLE, message)
            }
        };
        (status, axum::Json(json!({"error": message}))).into_response()
    }
}

type Answer = Result<axum::Json<Value>, Refusal>;

impl Site {
    /// What is served of a tower's data directory.
    #[must_use]
    pub fn new(
        view: watch::Receiver<Arc<View>>,
        journal: PathBuf,
        metrics: Metrics,
        tokens: Tokens,
        plan: Plan,
    ) -> Self {
        Self {
            view,
            journal,
            readers: Mutex::default(),
            board: Arc::default(),
            metrics,
            alerts: OnceLock::new(),
            tokens,
            plan,
            started: now(),
            streams: Arc::new(Semaphore::new(STREAMS)),
        }
    }

    /// Alerts run from now on.
    pub fn alerts_run(&self, handle: Handle) {
        // A second start keeps the first.
        let _ = self.alerts.set(handle);
    }

    /// Asks the journal, on a thread that may block.
    pub(super) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Reader) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let site = Arc::clone(self);
        let asked = tokio::task::spawn_blocking(move || {
            let kept = site.kept().pop();
            let reader = match kept {
                Some(reader) => reader,
                None => Reader::open(&site.journal)?,
            };
            let answer = question(&reader);
            site.kept().push(reader);
            answer
        });
        let answer = asked.await.map_err(|_| Refusal::Busy("stopping".into()))?;
        Ok(answer?)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Reader>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_seen(&self) -> Arc<View> {
        Arc::clone(&self.view.borrow())
    }
}

/// Every path.
pub fn router(site: Arc<Site>) -> Router {
    page::page()
        .route("/metrics", get(metrics))
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/api/v1/openapi.json", get(openapi))
        .route("/api/v1/status", get(status))
        .route("/api/v1/board", get(whole_board))
        .route("/api/v1/rollups", get(rollups))
        .route("/api/v1/rollups/{rollup}", get(rollup))
        .route("/api/v1/rollups/{rollup}/commitments", get(commitments))
        .route("/api/v1/rollups/{rollup}/operations", get(operations))
        .route("/api/v1/games", get(games))
        .route("/api/v1/alerts", get(alerts))
        .route("/api/v1/log", get(log))
        .route("/api/v1/events", get(events::stream))
        .route(
            "/ack/{token}",
            get(acknowledge::ask).post(acknowledge::take),
        )
        .fallback(async || {
            Refusal::Absent("there is nothing here; see /api/v1/openapi.json".into())
        })
        .with_state(site)
}

async fn metrics(State(site): State<Arc<Site>>) -> Response {
    // Before there is a journal, what is known without it.
    let (deliveries, disagreements) = site
        .ask(|reader| {
            Ok((
                reader.deliveries()?,
                reader.alarms_of("engine disagreement")?,
            ))
        })
        .await
        .unwrap_or_default();
    let figures = Figures {
        view: (*site.now_seen()).clone(),
        alerts: site.alerts.get().map(Handle::figures).unwrap_or_default(),
        deliveries,
        disagreements,
        now: now(),
    };
    fill(&site.metrics, &figures);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], site.metrics.text()).into_response()
}

fn answered(health: Health) -> Response {
    let status = if health.is_well {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = json!({"well": health.is_well, "reasons": health.reasons});
    (status, axum::Json(body)).into_response()
}

async fn alive(State(site): State<Arc<Site>>) -> Response {
    answered(health(&site.now_seen(), site.started, now()))
}

async fn ready(State(site): State<Arc<Site>>) -> Response {
    answered(readiness(&site.now_seen()))
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

fn as_json(value: &impl serde::Serialize) -> Answer {
    serde_json::to_value(value)
        .map(axum::Json)
        .map_err(|error| Refusal::Busy(error.to_string()))
}

async fn status(State(site): State<Arc<Site>>) -> Answer {
    as_json(&*site.now_seen())
}

async fn whole_board(State(site): State<Arc<Site>>) -> Answer {
    let view = site.now_seen();
    let kept = Arc::clone(&site.board);
    let seen = Arc::clone(&view);
    let found = site.ask(move |reader| board::board(reader, &seen, &kept));
    match found.await {
        Err(Refusal::Early(_)) => Ok(axum::Json(board::blank(&view))),
        found => found.map(axum::Json),
    }
}

async fn rollups(State(site): State<Arc<Site>>) -> Answer {
    as_json(&site.now_seen().rollups)
}

async fn rollup(State(site): State<Arc<Site>>, Path(name): Path<String>) -> Answer {
    let view = site.now_seen();
    let found = view.rollups.iter().find(|rollup| rollup.address == name);
    found.map_or_else(|| Err(unwatched(&name)), as_json)
}

pub(super) fn unwatched(name: &str) -> Refusal {
    Refusal::Absent(format!("{name:?} is not under watch"))
}

/// Which part of a long list.
#[derive(Debug, Deserialize)]
pub(super) struct Part {
    /// From this inbox level on.
    from: Option<i32>,
    /// At most so many, the newest.
    limit: Option<u32>,
}

impl Part {
    fn limit(&self) -> usize {
        self.limit
            .map_or(200, |limit| limit.clamp(1, 1000) as usize)
    }
}

/// A long list about one rollup, as [`api`] makes it; none when it is not under watch.
type List = fn(&Reader, &str, Option<i32>, usize) -> Result<Option<Value>, JournalError>;

async fn listed(site: &Arc<Site>, name: String, part: &Part, list: List) -> Answer {
    let (from, limit) = (part.from, part.limit());
    let wanted = name.clone();
    let found = site
        .ask(move |reader| list(reader, &wanted, from, limit))
        .await?;
    found.map(axum::Json).ok_or_else(|| unwatched(&name))
}

async fn commitments(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    Query(part): Query<Part>,
) -> Answer {
    listed(&site, name, &part, api::commitments).await
}

async fn operations(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    Query(part): Query<Part>,
) -> Answer {
    listed(&site, name, &part, api::operations).await
}

async fn games(State(site): State<Arc<Site>>) -> Answer {
    as_json(&site.now_seen().play.games)
}

/// Which alerts.
#[derive(Debug, Deserialize)]
struct AlertPart {
    /// Those that are over, too.
    all: Option<bool>,
}

async fn alerts(State(site): State<Arc<Site>>, Query(part): Query<AlertPart>) -> Answer {
    let plan = site.plan.clone();
    let which = if part.all.unwrap_or(false) {
        api::Which::All
    } else {
        api::Which::Open
    };
    let found = site
        .ask(move |reader| api::alerts(reader, plan, which, now()))
        .await;
    match found {
        // Nobody was told anything yet.
        Err(Refusal::Early(_)) => Ok(axum::Json(json!([]))),
        found => found.map(axum::Json),
    }
}

/// Which rows of the record.
#[derive(Debug, Deserialize)]
struct LogPart {
    /// After this row.
    after: Option<i64>,
    /// At most so many, the newest.
    limit: Option<u32>,
}

async fn log(State(site): State<Arc<Site>>, Query(part): Query<LogPart>) -> Answer {
    let after = part.after.unwrap_or(0);
    if after < 0 {
        return Err(Refusal::Wrong("after: rows are counted from 1".into()));
    }
    let limit = part.limit.unwrap_or(200).clamp(1, 1000);
    let rows = site
        .ask(move |reader| api::rows(reader, after, limit))
        .await?;
    let rows: Vec<_> = rows.iter().map(crate::journal::LogRow::to_json).collect();
    Ok(axum::Json(rows.into()))
}
