//! Server-sent events: the status whenever it changes, and every new row of the record.
//!
//! Events are named `status`, and for rows `news` or `alert`; a row's identifier is its number, so a browser that comes
//! back (`Last-Event-ID`) misses none.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::api;
use super::routes::{Refusal, Site};
use super::view::View;

/// Rows in one go.
const ROWS: u32 = 500;
/// Rows are also looked for without a change of status: alerts come and go between blocks.
const LOOK: Duration = Duration::from_secs(2);

struct Listener {
    site: Arc<Site>,
    view: watch::Receiver<Arc<View>>,
    after: i64,
    is_new: bool,
    _permit: OwnedSemaphorePermit,
}

pub(super) async fn stream(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    let Ok(permit) = Arc::clone(&site.streams).try_acquire_owned() else {
        return Refusal::Busy("too many listeners".into()).into_response();
    };
    let last = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<i64>().ok());
    let after = match last {
        Some(last) => last,
        None => match site.ask(|reader| api::rows(reader, 0, 1)).await {
            Ok(rows) => rows.last().map_or(0, |row| row.seq),
            // There is no journal yet: everything is to come.
            Err(_) => 0,
        },
    };
    let listener = Listener {
        view: site.view.clone(),
        site,
        after,
        is_new: true,
        _permit: permit,
    };
    Sse::new(events(listener))
        .keep_alive(KeepAlive::default())
        .into_response()
}

fn events(listener: Listener) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(listener, |mut listener| async move {
        let events = listener.next().await?;
        Some((stream::iter(events.into_iter().map(Ok)), listener))
    })
    .flatten()
}

impl Listener {
    /// What happened since the last time; none once the tower is gone.
    async fn next(&mut self) -> Option<Vec<Event>> {
        let mut events = Vec::new();
        let has_changed = if self.is_new {
            self.is_new = false;
            true
        } else {
            match tokio::time::timeout(LOOK, self.view.changed()).await {
                Ok(Ok(())) => true,
                Ok(Err(_)) => return None,
                Err(_) => false,
            }
        };
        if has_changed {
            let view = Arc::clone(&self.view.borrow_and_update());
            if let Ok(text) = serde_json::to_string(&*view) {
                events.push(Event::default().event("status").data(text));
            }
        }
        let after = self.after;
        let rows = self.site.ask(move |reader| api::rows(reader, after, ROWS));
        for row in rows.await.unwrap_or_default() {
            self.after = row.seq;
            let name = if row.kind.is_telling() {
                "alert"
            } else {
                "news"
            };
            let event = Event::default().event(name).id(row.seq.to_string());
            events.push(event.data(row.to_json().to_string()));
        }
        Some(events)
    }
}
