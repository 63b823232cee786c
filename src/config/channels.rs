//! `[[channel]]` tables: ways to reach people, each key with the line it came from.

use super::file::Table;
use super::settings::{filled, http_url, number};
use super::{ConfigError, Given, Origin};
use crate::alert::{Channel, Email, Hook, Kind, Located, Preset, Security};
use crate::journal::Severity;

/// Keys of a `[[channel]]` table.
pub(super) const CHANNEL_KEYS: &[&str] = &[
    "name",
    "kind",
    "severity",
    "from_escalation",
    "server",
    "port",
    "security",
    "username",
    "password_file",
    "from",
    "to",
    "ca_file",
    "url",
    "url_file",
    "secret_file",
    "chat",
];

/// Keys that only mail has.
const OF_MAIL: &[&str] = &[
    "server",
    "port",
    "security",
    "username",
    "password_file",
    "from",
    "to",
    "ca_file",
];
/// Keys that only HTTP requests have.
const OF_HOOKS: &[&str] = &["url", "url_file", "secret_file", "chat"];

/// The values of one table.
struct Values<'a>(&'a Table);

impl Values<'_> {
    fn given(&self, key: &str) -> Option<&Given> {
        self.0.settings.iter().find(|given| given.key == key)
    }

    fn wrong(origin: &Origin, key: &str, problem: &str) -> ConfigError {
        ConfigError::Wrong {
            origin: origin.clone(),
            problem: format!("channel.{key}: {problem}"),
        }
    }

    /// A value read, or none where the key is absent.
    fn read<T>(
        &self,
        key: &str,
        read: impl FnOnce(&[String]) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(given) = self.given(key) else {
            return Ok(None);
        };
        read(&given.values)
            .map(Some)
            .map_err(|problem| Self::wrong(&given.origin, key, &problem))
    }

    fn text(&self, key: &str) -> Result<Option<String>, ConfigError> {
        self.read(key, |values| filled(values).map(str::to_owned))
    }

    fn needed(&self, key: &str) -> Result<String, ConfigError> {
        self.text(key)?
            .ok_or_else(|| Self::wrong(&self.0.origin, key, "it is needed here"))
    }

    /// Refuses keys that mean nothing for this kind of channel.
    fn without(&self, keys: &[&str], kind: &str) -> Result<(), ConfigError> {
        let foreign = self
            .0
            .settings
            .iter()
            .find(|given| keys.contains(&given.key.as_str()));
        match foreign {
            None => Ok(()),
            Some(given) => {
                let problem = format!("a channel of kind {kind} has no such key");
                Err(Self::wrong(&given.origin, &given.key, &problem))
            }
        }
    }
}

/// One `[[channel]]` table, understood.
pub(super) fn channel(table: Table) -> Result<Channel, ConfigError> {
    let values = Values(&table);
    let kind = values.needed("kind")?;
    let name = values.text("name")?.unwrap_or_else(|| kind.clone());
    let least = values.read("severity", severity)?;
    let from_escalation = values.read("from_escalation", |values| number(values, 0, 10))?;
    let kind = match preset(&kind) {
        Some(preset) => {
            values.without(OF_MAIL, &kind)?;
            Kind::Hook(hook(&values, preset)?)
        }
        None if kind == "email" => {
            values.without(OF_HOOKS, &kind)?;
            Kind::Email(email(&values)?)
        }
        None => {
            let origin = values
                .given("kind")
                .map_or(&table.origin, |given| &given.origin);
            let problem = format!(
                "{kind:?} is none of email, webhook, slack, discord, telegram, pagerduty, ntfy"
            );
            return Err(Values::wrong(origin, "kind", &problem));
        }
    };
    Ok(Channel {
        name,
        kind,
        least: least.unwrap_or(Severity::Warning),
        from_escalation: from_escalation
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or(0),
    })
}

fn severity(values: &[String]) -> Result<Severity, String> {
    match filled(values)? {
        "notice" => Ok(Severity::Notice),
        "warning" => Ok(Severity::Warning),
        "critical" => Ok(Severity::Critical),
        other => Err(format!("{other:?} is none of notice, warning, critical")),
    }
}

fn preset(kind: &str) -> Option<Preset> {
    match kind {
        "webhook" => Some(Preset::Webhook),
        "slack" => Some(Preset::Slack),
        "discord" => Some(Preset::Discord),
        "telegram" => Some(Preset::Telegram),
        "pagerduty" => Some(Preset::PagerDuty),
        "ntfy" => Some(Preset::Ntfy),
        _ => None,
    }
}

fn hook(values: &Values<'_>, preset: Preset) -> Result<Hook, ConfigError> {
    let here = values.read("url", |values| http_url(filled(values)?))?;
    let file = values.text("url_file")?;
    Ok(Hook {
        preset,
        url: here
            .map(Located::Here)
            .or(file.map(|path| Located::File(path.into()))),
        secret_file: values.text("secret_file")?.map(Into::into),
        chat: values.text("chat")?,
    })
}

fn email(values: &Values<'_>) -> Result<Email, ConfigError> {
    let security = values.read("security", |values| match filled(values)? {
        "starttls" => Ok(Security::StartTls),
        "tls" => Ok(Security::Tls),
        "none" => Ok(Security::None),
        other => Err(format!("{other:?} is none of starttls, tls, none")),
    })?;
    let port = values.read("port", |values| {
        u16::try_from(number(values, 1, 65_535)?).map_err(|error| error.to_string())
    })?;
    let to = values.given("to").map(|given| given.values.clone());
    let Some(to) = to.filter(|to| !to.is_empty()) else {
        return Err(Values::wrong(&values.0.origin, "to", "it is needed here"));
    };
    Ok(Email {
        server: values.needed("server")?,
        port,
        security: security.unwrap_or(Security::StartTls),
        username: values.text("username")?,
        password_file: values.text("password_file")?.map(Into::into),
        from: values.needed("from")?,
        to,
        ca_file: values.text("ca_file")?.map(Into::into),
    })
}
