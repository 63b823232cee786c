//! Every configured channel, ready to send.
//!
//! Promises: whatever a server does within the deadline becomes a value; problems never quote a
//! secret. Refuses to know: whether to try again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::email::Mailer;
use super::message::Message;
use super::settings::{Channel, Kind, Settings};
use super::template::Templates;
use super::webhook::Poster;
use super::{AlertError, Secret};

/// Longest wait for one delivery.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// A message arrived; what the server said, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered(pub String);

/// A message did not arrive; why, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Undelivered(pub String);

#[derive(Debug)]
enum Sender {
    Mail(Box<Mailer>),
    Hook(Poster),
}

/// All channels, by name.
#[derive(Debug)]
pub struct Channels {
    senders: BTreeMap<String, Sender>,
    templates: Templates,
}

impl Channels {
    /// Reads secrets, certificates and templates.
    ///
    /// # Errors
    /// [`AlertError`] for the first channel that cannot work as configured.
    pub fn open(settings: &Settings) -> Result<Self, AlertError> {
        let templates = Templates::load(
            settings.templates.as_deref(),
            &settings.name,
            settings.runbook_url.clone(),
        )?;
        let mut senders = BTreeMap::new();
        for channel in &settings.channels {
            let sender = sender(channel, &settings.name)?;
            if senders.insert(channel.name.clone(), sender).is_some() {
                return Err(AlertError::Channel {
                    name: channel.name.clone(),
                    problem: "two channels have this name".into(),
                });
            }
        }
        Ok(Self { senders, templates })
    }

    /// Names of the channels.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.senders.keys().map(String::as_str)
    }

    /// Sends one message through one channel, once.
    ///
    /// # Errors
    /// [`Undelivered`] with what went wrong.
    pub async fn deliver(
        &self,
        channel: &str,
        message: &Message,
    ) -> Result<Delivered, Undelivered> {
        let Some(sender) = self.senders.get(channel) else {
            return Err(Undelivered("this channel is configured no longer".into()));
        };
        let sending = async {
            match sender {
                Sender::Mail(mailer) => mailer.send(message, &self.templates).await,
                Sender::Hook(poster) => poster.send(message, &self.templates).await,
            }
        };
        match tokio::time::timeout(DEADLINE, sending).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Undelivered(format!(
                "no answer within {} seconds",
                DEADLINE.as_secs()
            ))),
        }
    }
}

fn sender(channel: &Channel, tower: &str) -> Result<Sender, AlertError> {
    let wrong = |problem: String| AlertError::Channel {
        name: channel.name.clone(),
        problem,
    };
    match &channel.kind {
        Kind::Email(email) => {
            let password = email.password_file.as_deref().map(Secret::from_file);
            let mailer = Mailer::new(email, password.transpose()?, tower).map_err(wrong)?;
            Ok(Sender::Mail(Box::new(mailer)))
        }
        Kind::Hook(hook) => {
            let secret = hook.secret_file.as_deref().map(Secret::from_file);
            let url = hook.url.as_ref().map(super::webhook::located).transpose()?;
            let poster = Poster::new(hook, url, secret.transpose()?, tower).map_err(wrong)?;
            Ok(Sender::Hook(poster))
        }
    }
}
