//! Metrics, health, JSON API, live events: read-only, localhost by default.
//!
//! Promises: reads the tower's status and the journal, and changes nothing but one thing: an alert
//! is acknowledged by whoever holds its signed link. Every series and every answer is described
//! (`metrics`, `openapi.json`), and tests hold the descriptions to the answers. Refuses to know:
//! how decisions are made.

mod acknowledge;
mod api;
mod attend;
mod board;
mod events;
mod fill;
mod health;
mod http;
mod ledger;
mod metrics;
mod page;
mod routes;
mod view;

pub use attend::{Attended, attend};
pub use fill::{Figures, fill};
pub use health::{Health, health, readiness};
pub use http::{Limits, serve};
pub use ledger::OperationsView;
pub use metrics::{Meter, MeterKind, Metrics, PROCESS, Watched, meters, reference};
pub use routes::{OPENAPI, Site, router};
pub use view::{GameView, PlayView, PurseView, RollupView, SourceView, View, disk_free};
