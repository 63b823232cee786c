//! A small real mail server: greeting, STARTTLS or TLS from the start, AUTH, one mailbox.
//!
//! It refuses what a careful server refuses: mail before TLS, mail without the right password.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

pub(crate) const USER: &str = "tower";
pub(crate) const PASSWORD: &str = "correct horse";

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    FromStart,
    Upgrade,
    /// A server that offers none.
    Never,
}

/// A mail that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) data: String,
}

pub(crate) struct Server {
    pub(crate) port: u16,
    /// The certificate that clients must trust, in PEM.
    pub(crate) certificate: String,
    pub(crate) mails: Arc<Mutex<Vec<Mail>>>,
}

impl Server {
    pub(crate) async fn start(tls: Tls) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = made.cert.pem();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mails: Arc<Mutex<Vec<Mail>>> = Arc::default();
        let kept = Arc::clone(&mails);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, kept) = (acceptor.clone(), Arc::clone(&kept));
                // A client that hangs up has said enough.
                tokio::spawn(async move { drop(serve(stream, &acceptor, tls, &kept).await) });
            }
        });
        Self {
            port,
            certificate,
            mails,
        }
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap().clone()
    }
}

async fn serve(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    tls: Tls,
    mails: &Mutex<Vec<Mail>>,
) -> std::io::Result<()> {
    match tls {
        Tls::FromStart => {
            let mut secured = BufReader::new(acceptor.accept(stream).await?);
            secured.get_mut().write_all(b"220 test ESMTP\r\n").await?;
            converse(&mut secured, "AUTH PLAIN LOGIN", mails).await?;
            Ok(())
        }
        Tls::Never => {
            let mut plain = BufReader::new(stream);
            plain.get_mut().write_all(b"220 test ESMTP\r\n").await?;
            converse(&mut plain, "8BITMIME", mails).await?;
            Ok(())
        }
        Tls::Upgrade => {
            let mut plain = BufReader::new(stream);
            plain.get_mut().write_all(b"220 test ESMTP\r\n").await?;
            if converse(&mut plain, "STARTTLS", mails).await? == Ending::StartTls {
                let mut secured = BufReader::new(acceptor.accept(plain.into_inner()).await?);
                converse(&mut secured, "AUTH PLAIN LOGIN", mails).await?;
            }
            Ok(())
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Ending {
    Quit,
    StartTls,
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    offers: &str,
    mails: &Mutex<Vec<Mail>>,
) -> std::io::Result<Ending> {
    let mut is_known = false;
    let (mut from, mut to) = (String::new(), Vec::new());
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(Ending::Quit);
        }
        let line = line.trim_end();
        let upper = line.to_uppercase();
        let answer = if upper.starts_with("EHLO") {
            format!("250-test\r\n250 {offers}")
        } else if upper == "STARTTLS" && offers == "STARTTLS" {
            stream.get_mut().write_all(b"220 go ahead\r\n").await?;
            return Ok(Ending::StartTls);
        } else if let Some(given) = upper.strip_prefix("AUTH PLAIN ").map(|_| &line[11..]) {
            is_known = decoded(given) == format!("\0{USER}\0{PASSWORD}").into_bytes();
            if is_known {
                "235 welcome"
            } else {
                "535 bad credentials"
            }
            .into()
        } else if upper.starts_with("MAIL FROM:") {
            from = line[10..].to_owned();
            if is_known {
                "250 ok"
            } else {
                "530 authentication required"
            }
            .into()
        } else if upper.starts_with("RCPT TO:") {
            to.push(line[8..].to_owned());
            "250 ok".into()
        } else if upper == "DATA" {
            stream.get_mut().write_all(b"354 go on\r\n").await?;
            let data = read_data(stream).await?;
            mails.lock().unwrap().push(Mail {
                from: from.clone(),
                to: std::mem::take(&mut to),
                data,
            });
            "250 queued".into()
        } else if upper == "QUIT" {
            stream.get_mut().write_all(b"221 bye\r\n").await?;
            return Ok(Ending::Quit);
        } else {
            "250 ok".into()
        };
        stream
            .get_mut()
            .write_all(format!("{answer}\r\n").as_bytes())
            .await?;
        stream.get_mut().flush().await?;
    }
}

async fn read_data<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
) -> std::io::Result<String> {
    let mut data = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 || line == ".\r\n" {
            return Ok(data);
        }
        data.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}

/// Base64, as AUTH PLAIN writes it.
fn decoded(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = 0_u32;
    let mut count = 0;
    let mut bytes = Vec::new();
    for digit in text.bytes().filter(|byte| *byte != b'=') {
        let value = DIGITS.iter().position(|known| *known == digit).unwrap();
        bits = (bits << 6) | u32::try_from(value).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).unwrap());
        }
    }
    bytes
}
