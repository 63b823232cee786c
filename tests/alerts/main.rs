//! People are told: over a real mail server with TLS and passwords, over real HTTP, across
//! restarts and dead channels; and what is served about it. Time moves when told.

#![allow(clippy::unwrap_used)] // a test that cannot go on should stop

mod api;
mod delivery;
mod hooks;
mod lost;
mod mail;
mod metrics;
mod receiver;
mod smtp;

use std::path::Path;

use watchtower::alert::{Message, Occasion, Told};
use watchtower::journal::Severity;

/// A message about one alert.
pub(crate) fn message(occasion: Occasion, severity: Severity) -> Message {
    Message {
        notification: 41,
        occasion,
        note: String::new(),
        alerts: vec![Told {
            id: 7,
            rule: "false-commitment".into(),
            severity,
            rollup: Some("sr1K3AUoYanTUup53MCb8DkbvLsiAmFuXfFm".into()),
            level: Some(1234),
            message: "commitment src1… for level 1234 is <false> & bad".into(),
            time: 1_700_000_000_000,
            slack: Some(12),
            stake: Some(10_000_000_000),
            link: Some("https://tower.example/ack/7.1.ab".into()),
        }],
    }
}

/// A file with a secret in it.
pub(crate) fn secret(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, format!("{text}\n")).unwrap();
    path
}
