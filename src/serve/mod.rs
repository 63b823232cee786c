//! Metrics, health, JSON API: read-only, localhost by default.
//!
//! Promises: reads status only. Refuses to know: how decisions are made.
