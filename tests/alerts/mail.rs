//! Mail: what arrives at a careful server, and what never leaves without TLS or the password.

use watchtower::alert::{Channel, Channels, Email, Kind, Occasion, Security, Settings};
use watchtower::journal::Severity;

use crate::smtp::{PASSWORD, Server, Tls, USER};
use crate::{message, secret};

struct Post {
    folder: tempfile::TempDir,
    server: Server,
}

impl Post {
    async fn new(tls: Tls) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(tls).await;
        std::fs::write(folder.path().join("ca.pem"), &server.certificate).unwrap();
        Self { folder, server }
    }

    fn channels(&self, security: Security, password: &str) -> Channels {
        let email = Email {
            server: "localhost".into(),
            port: Some(self.server.port),
            security,
            username: Some(USER.into()),
            password_file: Some(secret(self.folder.path(), "password", password)),
            from: "Tower <tower@example.org>".into(),
            to: vec!["ops@example.org".into(), "Night <night@example.org>".into()],
            ca_file: Some(self.folder.path().join("ca.pem")),
        };
        Channels::open(&settings(email)).unwrap()
    }
}

fn settings(email: Email) -> Settings {
    Settings {
        name: "tower-1".into(),
        runbook_url: Some("https://docs.example/runbook".into()),
        channels: vec![Channel {
            name: "mail".into(),
            kind: Kind::Email(email),
            least: Severity::Warning,
            from_escalation: 0,
        }],
        ..Settings::default()
    }
}

/// Quoted-printable undone: soft line breaks and escapes.
fn readable(data: &str) -> String {
    let joined = data.replace("=\r\n", "");
    let mut bytes = Vec::new();
    let mut rest = joined.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if *first == b'=' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn arrives(tls: Tls, security: Security) {
    let post = Post::new(tls).await;
    let channels = post.channels(security, PASSWORD);
    let message = message(Occasion::Raised, Severity::Critical);
    channels.deliver("mail", &message).await.unwrap();
    let mails = post.server.mails();
    let [mail] = mails.as_slice() else {
        panic!("{mails:?}")
    };
    assert!(mail.from.contains("tower@example.org"), "{mail:?}");
    assert_eq!(mail.to.len(), 2, "{mail:?}");
    let text = readable(&mail.data);
    for expected in [
        "Subject: [tower-1] CRITICAL: commitment",
        "Message-ID: <message-41.tower1@example.org>",
        "References: <alert-7.tower1@example.org>",
        "Auto-Submitted: auto-generated",
        "X-Priority: 1",
        "Content-Type: multipart/alternative",
        "Content-Type: text/plain",
        "Content-Type: text/html",
        // As it is in the text, escaped in the HTML.
        "for level 1234 is <false> & bad",
        "for level 1234 is &lt;false&gt; &amp; bad",
        "at stake:    10000 tez",
        "left to act: 12 blocks",
        "https://tower.example/ack/7.1.ab",
        "https://docs.example/runbook#false-commitment",
        "watchtower alerts ack 7",
        "Somebody claims a false state of the rollup.",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
    assert!(!text.contains(PASSWORD));
}

#[tokio::test]
async fn mail_arrives_over_starttls_with_the_password() {
    arrives(Tls::Upgrade, Security::StartTls).await;
}

#[tokio::test]
async fn mail_arrives_over_tls_from_the_first_byte() {
    arrives(Tls::FromStart, Security::Tls).await;
}

#[tokio::test]
async fn a_wrong_password_is_said_without_being_quoted() {
    let post = Post::new(Tls::Upgrade).await;
    let channels = post.channels(Security::StartTls, "wrong battery");
    let message = message(Occasion::Raised, Severity::Warning);
    let problem = channels.deliver("mail", &message).await.unwrap_err().0;
    assert!(
        problem.contains("535") || problem.contains("bad credentials"),
        "{problem}"
    );
    assert!(!problem.contains("wrong battery"), "{problem}");
    assert!(!format!("{channels:?}").contains("wrong battery"));
    assert!(post.server.mails().is_empty());
}

#[tokio::test]
async fn nothing_is_sent_to_a_server_without_tls_or_with_a_foreign_certificate() {
    let bare = Post::new(Tls::Never).await;
    let channels = bare.channels(Security::StartTls, PASSWORD);
    let told = message(Occasion::Raised, Severity::Warning);
    let problem = channels.deliver("mail", &told).await.unwrap_err().0;
    assert!(bare.server.mails().is_empty(), "{problem}");

    let foreign = Post::new(Tls::Upgrade).await;
    // Trusts another server's certificate.
    std::fs::write(
        foreign.folder.path().join("ca.pem"),
        &bare.server.certificate,
    )
    .unwrap();
    let channels = foreign.channels(Security::StartTls, PASSWORD);
    let problem = channels.deliver("mail", &told).await.unwrap_err().0;
    assert!(problem.to_lowercase().contains("certificate"), "{problem}");
    assert!(foreign.server.mails().is_empty());
}

#[test]
fn passwords_travel_to_other_machines_over_tls_only() {
    let email = Email {
        server: "mail.example.org".into(),
        port: None,
        security: Security::None,
        username: None,
        password_file: None,
        from: "tower@example.org".into(),
        to: vec!["ops@example.org".into()],
        ca_file: None,
    };
    let error = Channels::open(&settings(email)).unwrap_err().to_string();
    assert_eq!(
        error,
        "channel \"mail\": without TLS only to this machine, not to mail.example.org"
    );
}
