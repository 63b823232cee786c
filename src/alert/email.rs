//! Mail, by SMTP: plain text and HTML, over TLS, with a password from a file.

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::Secret;
use super::channel::{DEADLINE, Delivered, Undelivered};
use super::message::Message;
use super::settings::{Email, Security};
use super::template::Templates;
use crate::journal::Severity;

/// Sends mail for one channel.
#[derive(Debug)]
pub(super) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
    domain: String,
    tower: String,
}

impl Mailer {
    pub(super) fn new(
        email: &Email,
        password: Option<Secret>,
        tower: &str,
    ) -> Result<Self, String> {
        let mailbox = |text: &String| -> Result<Mailbox, String> {
            text.parse()
                .map_err(|error| format!("{text:?} is not a mail address: {error}"))
        };
        let from = mailbox(&email.from)?;
        let to: Vec<_> = email.to.iter().map(mailbox).collect::<Result<_, _>>()?;
        if to.is_empty() {
            return Err("it has no recipient".into());
        }
        let is_local = matches!(email.server.as_str(), "localhost" | "127.0.0.1" | "::1");
        if email.security == Security::None && !is_local {
            return Err(format!(
                "without TLS only to this machine, not to {}",
                email.server
            ));
        }
        let (tls, port) = match email.security {
            Security::StartTls => (Tls::Required(parameters(email)?), 587),
            Security::Tls => (Tls::Wrapper(parameters(email)?), 465),
            Security::None => (Tls::None, 25),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&email.server)
            .port(email.port.unwrap_or(port))
            .tls(tls)
            .timeout(Some(DEADLINE));
        match (&email.username, password) {
            (Some(name), Some(password)) => {
                let password = password.reveal().to_owned();
                builder = builder.credentials(Credentials::new(name.clone(), password));
            }
            (None, None) => {}
            (Some(_), None) => return Err("username needs password_file".into()),
            (None, Some(_)) => return Err("password_file needs username".into()),
        }
        Ok(Self {
            transport: builder.build(),
            domain: from.email.domain().to_owned(),
            from,
            to,
            tower: tower.to_owned(),
        })
    }

    pub(super) async fn send(
        &self,
        message: &Message,
        templates: &Templates,
    ) -> Result<Delivered, Undelivered> {
        let mail = self.compose(message, templates).map_err(Undelivered)?;
        match self.transport.send(mail).await {
            Ok(answer) => Ok(Delivered(format!(
                "{} {}",
                answer.code(),
                answer.first_line().unwrap_or("")
            ))),
            Err(error) => Err(Undelivered(causes(&error))),
        }
    }

    fn compose(&self, message: &Message, templates: &Templates) -> Result<lettre::Message, String> {
        // The same identifier over all tries: what arrives twice is shown once.
        let identifier = |what: &str, number: u64| {
            let tower: String = self
                .tower
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .collect();
            format!("<{what}-{number}.{tower}@{}>", self.domain)
        };
        let mut builder = lettre::Message::builder()
            .from(self.from.clone())
            .subject(templates.subject(message))
            .message_id(Some(identifier("message", message.notification)));
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        // Everything about one alert in one thread.
        if let [told] = message.alerts.as_slice() {
            builder = builder.references(identifier("alert", told.id));
        }
        let body =
            MultiPart::alternative_plain_html(templates.text(message), templates.html(message));
        let mut mail = builder.multipart(body).map_err(|error| error.to_string())?;
        let mut header = |name: &'static str, value: &str| {
            let name = HeaderName::new_from_ascii_str(name);
            let value = HeaderValue::new(name, value.to_owned());
            mail.headers_mut().insert_raw(value);
        };
        header("Auto-Submitted", "auto-generated");
        if message.severity() == Severity::Critical {
            header("X-Priority", "1");
            header("Importance", "high");
        }
        Ok(mail)
    }
}

fn parameters(email: &Email) -> Result<TlsParameters, String> {
    // Fails only when one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = TlsParameters::builder(email.server.clone());
    if let Some(path) = &email.ca_file {
        let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let pem = std::fs::read(path).map_err(|error| wrong(&error))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| wrong(&error))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(|error| error.to_string())
}

/// An error with what lies below it, in one line.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = cause.source();
    }
    text
}
