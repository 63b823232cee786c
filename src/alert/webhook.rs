//! HTTP requests: our own signed JSON, and the forms of five services.
//!
//! A request of our own carries `X-Watchtower-Timestamp` (seconds) and `X-Watchtower-Signature:
//! sha256=<hex>`, the HMAC-SHA256 of `timestamp.body` under the channel's secret. Addresses of
//! chat services are secrets too: no problem quotes a URL.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::channel::{DEADLINE, Delivered, Undelivered};
use super::message::{Message, Occasion};
use super::settings::{Hook, Located, Preset};
use super::template::Templates;
use super::{AlertError, Secret, email, token};
use crate::journal::Severity;
use hmac::Mac as _;

const TELEGRAM: &str = "https://api.telegram.org";
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";
/// Telegram refuses longer texts; Discord takes half of it.
const TELEGRAM_LENGTH: usize = 4096;
const DISCORD_LENGTH: usize = 2000;

/// Sends requests for one channel.
#[derive(Debug)]
pub(super) struct Poster {
    preset: Preset,
    http: reqwest::Client,
    url: Secret,
    secret: Option<Secret>,
    chat: Option<String>,
    tower: String,
}

/// A URL from where the configuration says it is.
pub(super) fn located(url: &Located) -> Result<Secret, AlertError> {
    match url {
        Located::Here(url) => Ok(Secret::new(url.clone())),
        Located::File(path) => Secret::from_file(path),
    }
}

/// A client that follows nothing and waits for nobody.
pub(super) fn client(url: &Url) -> Result<reqwest::Client, String> {
    // Fails only when one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("watchtower/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .timeout(DEADLINE);
    if matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| email::causes(&error.without_url()))
}

/// Reads a URL without quoting it.
pub(super) fn parsed(url: &Secret) -> Result<Url, String> {
    let url =
        Url::parse(url.reveal()).map_err(|error| format!("its URL cannot be read: {error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!("its URL is {other}, not http or https")),
    }
}

/// A request, ready to sign.
struct Request {
    url: Url,
    body: Vec<u8>,
    headers: HeaderMap,
}

impl Poster {
    pub(super) fn new(
        hook: &Hook,
        url: Option<Secret>,
        secret: Option<Secret>,
        tower: &str,
    ) -> Result<Self, String> {
        let url = match (url, hook.preset) {
            (Some(url), _) => url,
            (None, Preset::Telegram) => Secret::new(TELEGRAM),
            (None, Preset::PagerDuty) => Secret::new(PAGERDUTY),
            (None, _) => return Err("it needs url or url_file".into()),
        };
        let needs = |what: &str| format!("{what} is needed here");
        match hook.preset {
            Preset::Telegram if hook.chat.is_none() => return Err(needs("chat")),
            Preset::Telegram | Preset::PagerDuty | Preset::Webhook if secret.is_none() => {
                return Err(needs("secret_file"));
            }
            _ => {}
        }
        let http = client(&parsed(&url)?)?;
        Ok(Self {
            preset: hook.preset,
            http,
            url,
            secret,
            chat: hook.chat.clone(),
            tower: tower.to_owned(),
        })
    }

    pub(super) async fn send(
        &self,
        message: &Message,
        templates: &Templates,
    ) -> Result<Delivered, Undelivered> {
        let requests = self.requests(message, templates).map_err(Undelivered)?;
        let mut last = Delivered(String::new());
        for request in requests {
            last = self.post(request).await?;
        }
        Ok(last)
    }

    async fn post(&self, request: Request) -> Result<Delivered, Undelivered> {
        let sent = self
            .http
            .post(request.url)
            .headers(request.headers)
            .body(request.body)
            .send()
            .await;
        let answer = sent.map_err(|error| Undelivered(email::causes(&error.without_url())))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(Delivered(status.to_string()));
        }
        Err(Undelivered(format!("the server answered {status}")))
    }

    /// One request for a message; PagerDuty takes one for each alert.
    fn requests(&self, message: &Message, templates: &Templates) -> Result<Vec<Request>, String> {
        let url = parsed(&self.url)?;
        let single = |url: Url, body: &Value| Ok(vec![json_request(url, body)]);
        match self.preset {
            Preset::Webhook => self.signed(url, message, templates).map(|one| vec![one]),
            Preset::Slack => single(url, &json!({"text": templates.chat(message)})),
            Preset::Discord => single(
                url,
                // Nobody is pinged by what a message quotes.
                &json!({"content": cut(&templates.chat(message), DISCORD_LENGTH),
                        "allowed_mentions": {"parse": []}}),
            ),
            Preset::Telegram => {
                let token = self.secret.as_ref().map_or("", Secret::reveal);
                let path = format!(
                    "{}/bot{token}/sendMessage",
                    self.url.reveal().trim_end_matches('/')
                );
                let url = parsed(&Secret::new(path))?;
                let body = json!({
                    "chat_id": self.chat,
                    "text": cut(&templates.chat(message), TELEGRAM_LENGTH),
                    "disable_notification": message.severity() == Severity::Notice,
                    "link_preview_options": {"is_disabled": true},
                });
                single(url, &body)
            }
            Preset::PagerDuty => Ok(self.incidents(&url, message)),
            Preset::Ntfy => self.ntfy(url, message, templates).map(|one| vec![one]),
        }
    }

    fn signed(
        &self,
        url: Url,
        message: &Message,
        templates: &Templates,
    ) -> Result<Request, String> {
        let body = json!({
            "tower": self.tower,
            "notification": message.notification,
            "occasion": message.occasion.word(),
            "severity": message.severity().word(),
            "title": templates.subject(message),
            "note": message.note,
            "alerts": message.alerts.iter().map(|told| json!({
                "id": told.id,
                "rule": told.rule,
                "severity": told.severity.word(),
                "rollup": told.rollup,
                "level": told.level,
                "message": told.message,
                "raised_at": told.time,
                "slack_blocks": told.slack,
                "stake_mutez": told.stake.map(|stake| stake.to_string()),
                "acknowledge": told.link,
            })).collect::<Vec<_>>(),
        });
        let mut request = json_request(url, &body);
        let now = jiff::Timestamp::now().as_second().to_string();
        let key = self.secret.as_ref().map_or("", Secret::reveal);
        let mac = token::hmac(key.as_bytes(), &[now.as_bytes(), b".", &request.body])
            .ok_or("the secret cannot sign")?;
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        put(&mut request.headers, "x-watchtower-timestamp", &now)?;
        put(&mut request.headers, "x-watchtower-signature", &signature)?;
        let number = message.notification.to_string();
        put(&mut request.headers, "x-watchtower-notification", &number)?;
        Ok(request)
    }

    /// Incidents open and close by themselves: the alert is the key.
    fn incidents(&self, url: &Url, message: &Message) -> Vec<Request> {
        let key = self.secret.as_ref().map_or("", Secret::reveal);
        let action = match message.occasion {
            Occasion::Recovered => "resolve",
            _ => "trigger",
        };
        let each = message.alerts.iter().map(|told| {
            let severity = match told.severity {
                Severity::Notice => "info",
                Severity::Warning => "warning",
                Severity::Critical => "critical",
            };
            let body = json!({
                "routing_key": key,
                "event_action": action,
                "dedup_key": format!("{}/{}", self.tower, told.id),
                "payload": {
                    "summary": cut(&format!("{}: {}", told.rule, told.message), 1024),
                    "source": self.tower,
                    "severity": severity,
                    "component": told.rollup,
                    "class": told.rule,
                    "custom_details": {
                        "alert": told.id,
                        "level": told.level,
                        "slack_blocks": told.slack,
                        "note": message.note,
                    },
                },
                "links": told.link.iter()
                    .map(|link| json!({"href": link, "text": "I take care of it"}))
                    .collect::<Vec<_>>(),
            });
            json_request(url.clone(), &body)
        });
        each.collect()
    }

    /// The URL is the server with the topic: `https://ntfy.sh/my-topic`.
    fn ntfy(
        &self,
        mut url: Url,
        message: &Message,
        templates: &Templates,
    ) -> Result<Request, String> {
        let topic = url
            .path_segments()
            .and_then(|mut segments| segments.next_back())
            .unwrap_or("")
            .to_owned();
        if topic.is_empty() {
            return Err("its URL names no topic: https://ntfy.sh/topic".into());
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop();
        }
        let priority = match message.severity() {
            Severity::Notice => 2,
            Severity::Warning => 4,
            Severity::Critical => 5,
        };
        let link = message.alerts.iter().find_map(|told| told.link.clone());
        let body = json!({
            "topic": topic,
            "title": templates.subject(message),
            "message": templates.chat(message),
            "priority": priority,
            "actions": link.iter()
                .map(|link| json!({"action": "view", "label": "I take care of it", "url": link}))
                .collect::<Vec<_>>(),
        });
        let mut request = json_request(url, &body);
        if let Some(secret) = &self.secret {
            let value = format!("Bearer {}", secret.reveal());
            put(&mut request.headers, "authorization", &value)?;
        }
        Ok(request)
    }
}

fn json_request(url: Url, body: &Value) -> Request {
    let mut headers = HeaderMap::new();
    let kind = HeaderValue::from_static("application/json");
    headers.insert(reqwest::header::CONTENT_TYPE, kind);
    Request {
        url,
        body: body.to_string().into_bytes(),
        headers,
    }
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) -> Result<(), String> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| format!("the secret cannot stand in the header {name}"))?;
    value.set_sensitive(true);
    headers.insert(HeaderName::from_static(name), value);
    Ok(())
}

/// At most so many characters.
fn cut(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let kept = text.chars().take(length.saturating_sub(1));
    kept.chain(std::iter::once('…')).collect()
}
