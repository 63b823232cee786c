//! A remote signer, spoken to over HTTP in the form of the reference signer.
//!
//! Promises: requests are authenticated when the signer asks for it; an answer is checked to be of
//! the account asked for; what goes wrong names the signer, never its password. Refuses to know:
//! what is signed. Source: `signer_services.ml`, `signer_messages.ml`, `http_gen.ml`.

use std::time::Duration;

use reqwest::{StatusCode, Url};
use serde::Deserialize;

use crate::codec::Writer;
use crate::crypto::{BlsSuite, PublicKey, SecretKey, Signature};
use crate::protocol::PublicKeyHash;

/// Longest wait for an answer: a signer may ask a person or a device.
const PATIENCE: Duration = Duration::from_secs(30);
/// No answer of a signer is longer.
const MAX_ANSWER: usize = 1 << 20;
/// Before the tag, account and data of an authenticated request.
const REQUEST: u8 = 0x04;
/// The request to sign.
const SIGN: u8 = 0x01;

/// Why a remote signer did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The address is unusable.
    #[error("{url:?} is not the URL of a signer: {problem}")]
    BadUrl {
        /// The address, user and password left out.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No answer.
    #[error("signer {signer} does not answer: {problem}")]
    Away {
        /// The signer.
        signer: String,
        /// What happened.
        problem: String,
    },
    /// It does not know the account.
    #[error("signer {signer} has no key of {account}")]
    Unknown {
        /// The signer.
        signer: String,
        /// The account.
        account: PublicKeyHash,
    },
    /// It refuses.
    #[error("signer {signer} refuses (HTTP {status}): {problem}")]
    Refused {
        /// The signer.
        signer: String,
        /// The HTTP status.
        status: u16,
        /// What it says.
        problem: String,
    },
    /// Its answer cannot be read.
    #[error("signer {signer} answered something else: {problem}")]
    Unexpected {
        /// The signer.
        signer: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It answered with the key of another account.
    #[error("signer {signer} answered the key of {found}, asked for {account}")]
    OtherKey {
        /// The signer.
        signer: String,
        /// The account asked for.
        account: PublicKeyHash,
        /// The account of the key answered.
        found: PublicKeyHash,
    },
    /// It wants requests authenticated by keys that we do not have.
    #[error(
        "signer {signer} wants requests authenticated by one of {}: name such a key in signer.authentication",
        joined(.wanted)
    )]
    NotAuthorized {
        /// The signer.
        signer: String,
        /// The accounts it accepts.
        wanted: Vec<PublicKeyHash>,
    },
    /// The key of authentication cannot sign.
    #[error("the key that authenticates requests cannot sign: {0}")]
    Authentication(#[from] crate::crypto::SecretKeyError),
}

fn joined(accounts: &[PublicKeyHash]) -> String {
    let texts: Vec<_> = accounts.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

impl RemoteError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Away { .. } => true,
            Self::Refused { status, .. } => matches!(status, 429 | 502 | 503 | 504),
            _ => false,
        }
    }
}

/// One account at a remote signer.
#[derive(Debug)]
pub struct Remote {
    base: Url,
    account: PublicKeyHash,
    http: reqwest::Client,
    authentication: Option<SecretKey>,
}

#[derive(Deserialize)]
struct AuthorizedKeys {
    authorized_keys: Option<Vec<PublicKeyHash>>,
}

#[derive(Deserialize)]
struct Keyed {
    public_key: String,
}

#[derive(Deserialize)]
struct Signed {
    signature: String,
}

#[derive(Deserialize)]
struct Proven {
    bls_prove_possession: String,
}

impl Remote {
    /// The key of `account` at `url`; `authentication` signs requests where the signer wants it.
    ///
    /// # Errors
    /// [`RemoteError::BadUrl`].
    pub fn new(
        url: &str,
        account: PublicKeyHash,
        authentication: Option<SecretKey>,
    ) -> Result<Self, RemoteError> {
        let bad = |problem: String| RemoteError::BadUrl {
            url: url.rsplit('@').next().unwrap_or_default().to_owned(),
            problem,
        };
        let base = Url::parse(url).map_err(|error| bad(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(bad(format!("{} is neither http nor https", base.scheme())));
        }
        // Fails only when one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("watchtower/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE);
        if matches!(base.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            builder = builder.no_proxy();
        }
        Ok(Self {
            http: builder.build().map_err(|error| bad(error.to_string()))?,
            base,
            account,
            authentication,
        })
    }

    /// Where it is, without user and password.
    #[must_use]
    pub fn place(&self) -> String {
        let mut url = self.base.clone();
        // Both fail only for URLs that cannot carry them.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.as_str().trim_end_matches('/').to_owned()
    }

    /// The public key of the account.
    ///
    /// # Errors
    /// [`RemoteError`] (likewise for every question below).
    pub async fn public_key(&self) -> Result<PublicKey, RemoteError> {
        let answer: Keyed = self.get(&format!("keys/{}", self.account)).await?;
        let key: PublicKey = self.parsed(&answer.public_key)?;
        let found = PublicKeyHash::of_key(&key);
        if found == self.account {
            return Ok(key);
        }
        Err(RemoteError::OtherKey {
            signer: self.place(),
            account: self.account,
            found,
        })
    }

    /// Signs `message`, watermark included.
    pub(super) async fn sign(
        &self,
        message: &[u8],
        suite: BlsSuite,
    ) -> Result<Signature, RemoteError> {
        let mut url = self.url(&format!("keys/{}", self.account))?;
        if let Some(signature) = self.authenticated(message).await? {
            url.query_pairs_mut()
                .append_pair("authentication", &signature.to_string());
        }
        if matches!(self.account, PublicKeyHash::Tz4(_)) {
            let version = match suite {
                BlsSuite::Augmented => "1",
                BlsSuite::ProofOfPossession => "2",
            };
            url.query_pairs_mut().append_pair("version", version);
        }
        let request = self.http.post(url).json(&hex::encode(message));
        let answer: Signed = self.answer(request).await?;
        self.parsed(&answer.signature)
    }

    /// The proof that the signer holds the BLS key `key`.
    pub(super) async fn prove_possession(&self, key: &PublicKey) -> Result<Signature, RemoteError> {
        let path = format!("bls_prove_possession/{}", self.account);
        let answer: Proven = self.get(&path).await?;
        let proof: Signature = self.parsed(&answer.bls_prove_possession)?;
        if key.verifies_possession(&proof) {
            return Ok(proof);
        }
        Err(RemoteError::Unexpected {
            signer: self.place(),
            problem: "its proof of possession does not verify".into(),
        })
    }

    /// The signature that vouches for a request to sign `message`, where the signer wants one.
    async fn authenticated(&self, message: &[u8]) -> Result<Option<Signature>, RemoteError> {
        let answer: AuthorizedKeys = self.get("authorized_keys").await?;
        let Some(wanted) = answer.authorized_keys else {
            return Ok(None);
        };
        let ours = self
            .authentication
            .as_ref()
            .filter(|key| wanted.contains(&PublicKeyHash::of_key(key.public())));
        let Some(key) = ours else {
            return Err(RemoteError::NotAuthorized {
                signer: self.place(),
                wanted,
            });
        };
        let request = request_to_sign(self.account, message);
        // The signer checks with its newest suite.
        Ok(Some(key.sign(&request, BlsSuite::ProofOfPossession)?))
    }

    fn url(&self, path: &str) -> Result<Url, RemoteError> {
        let text = format!("{}/{path}", self.base.as_str().trim_end_matches('/'));
        Url::parse(&text).map_err(|error| RemoteError::BadUrl {
            url: self.place(),
            problem: error.to_string(),
        })
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T, RemoteError> {
        self.answer(self.http.get(self.url(path)?)).await
    }

    async fn answer<T: for<'de> Deserialize<'de>>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, RemoteError> {
        let away = |error: reqwest::Error| RemoteError::Away {
            signer: self.place(),
            problem: error.without_url().to_string(),
        };
        let request = request.header("accept", "application/json");
        let mut response = request.send().await.map_err(away)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(away)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                return Err(self.unexpected(format!("over {MAX_ANSWER} bytes")));
            }
        }
        match status {
            StatusCode::OK => {
                serde_json::from_slice(&body).map_err(|error| self.unexpected(error.to_string()))
            }
            StatusCode::NOT_FOUND => Err(RemoteError::Unknown {
                signer: self.place(),
                account: self.account,
            }),
            _ => Err(RemoteError::Refused {
                signer: self.place(),
                status: status.as_u16(),
                problem: told(&body),
            }),
        }
    }

    fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
        &self,
        text: &str,
    ) -> Result<T, RemoteError> {
        text.parse()
            .map_err(|error: T::Err| self.unexpected(error.to_string()))
    }

    fn unexpected(&self, problem: String) -> RemoteError {
        RemoteError::Unexpected {
            signer: self.place(),
            problem,
        }
    }
}

/// What vouches for a request: the bytes that an authorized key signs, without watermark.
pub(super) fn request_to_sign(account: PublicKeyHash, data: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.u8(REQUEST).u8(SIGN);
    account.write(&mut writer);
    writer.raw(data);
    writer.into_bytes()
}

/// The messages of an error trace, or the start of whatever came.
fn told(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Told {
        id: String,
        #[serde(default)]
        msg: Option<String>,
    }
    if let Ok(errors) = serde_json::from_slice::<Vec<Told>>(body) {
        let texts: Vec<_> = errors
            .into_iter()
            .map(|error| error.msg.unwrap_or(error.id))
            .collect();
        return texts.join("; ");
    }
    let start = body.get(..200).unwrap_or(body);
    let text = String::from_utf8_lossy(start);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
