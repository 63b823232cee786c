//! Who is told, how, and how often: plain data, as configured.

use std::path::PathBuf;
use std::time::Duration;

use crate::journal::Severity;

/// Everything that is configured about alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What the tower calls itself in messages.
    pub name: String,
    /// Where messages go.
    pub channels: Vec<Channel>,
    /// Directory whose files stand in for the templates of the program.
    pub templates: Option<PathBuf>,
    /// Where people reach the tower's pages, for links in messages.
    pub public_url: Option<String>,
    /// Where people read the runbook.
    pub runbook_url: Option<String>,
    /// A URL that must hear from the tower, or somebody else raises the alarm.
    pub heartbeat: Option<Heartbeat>,
    /// Time between alerts that only prove delivery.
    pub test_every: Option<Duration>,
    /// Time until a critical alert that nobody acknowledged is told again.
    pub escalate_after: Duration,
    /// Alerts told in an hour, before the others wait for a digest.
    pub per_hour: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "watchtower".into(),
            channels: Vec::new(),
            templates: None,
            public_url: None,
            runbook_url: None,
            heartbeat: None,
            test_every: Some(Duration::from_secs(24 * 3600)),
            escalate_after: Duration::from_secs(15 * 60),
            per_hour: 20,
        }
    }
}

/// The dead man's switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// What is asked for.
    pub url: Located,
    /// How often.
    pub every: Duration,
}

/// A URL: written down, or in a file because knowing it is enough to use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Located {
    /// As written.
    Here(String),
    /// In a file.
    File(PathBuf),
}

/// A way to reach people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its name in messages, logs and metrics.
    pub name: String,
    /// How messages travel.
    pub kind: Kind,
    /// The least severity it is told of.
    pub least: Severity,
    /// Escalations before it is used at all; 0 uses it from the start.
    pub from_escalation: u32,
}

/// How messages travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Mail.
    Email(Email),
    /// An HTTP request.
    Hook(Hook),
}

/// Protection of a connection to a mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS after a plain greeting; refused without it.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// None; only to this machine.
    None,
}

/// A mailbox and the server that takes mail for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// Host name of the server.
    pub server: String,
    /// Its port; else the usual one of the protection.
    pub port: Option<u16>,
    /// How the connection is protected.
    pub security: Security,
    /// Account at the server.
    pub username: Option<String>,
    /// File of the account's password.
    pub password_file: Option<PathBuf>,
    /// Sender.
    pub from: String,
    /// Recipients.
    pub to: Vec<String>,
    /// Certificates trusted besides the machine's, in PEM.
    pub ca_file: Option<PathBuf>,
}

/// Whose form a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Our own JSON, signed.
    Webhook,
    /// Slack's incoming webhooks.
    Slack,
    /// Discord's webhooks.
    Discord,
    /// Telegram's bots.
    Telegram,
    /// PagerDuty's events.
    PagerDuty,
    /// ntfy topics.
    Ntfy,
}

/// An HTTP request for each message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Its form.
    pub preset: Preset,
    /// Where to; else the service's own address.
    pub url: Option<Located>,
    /// File of the signing secret, bot token, routing key or access token.
    pub secret_file: Option<PathBuf>,
    /// Telegram's chat.
    pub chat: Option<String>,
}
