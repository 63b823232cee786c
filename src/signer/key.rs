//! The key behind the gate: here, or at a remote signer.

use super::remote::{Remote, RemoteError};
use crate::crypto::{BlsSuite, PublicKey, SecretKey, SecretKeyError, Signature};
use crate::protocol::PublicKeyHash;

/// A key that can sign, but only for the gate.
#[derive(Debug)]
pub struct Key {
    public: PublicKey,
    holder: Holder,
}

#[derive(Debug)]
enum Holder {
    Local(SecretKey),
    Remote(Remote),
}

/// Why a key did not sign.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The local key refuses.
    #[error(transparent)]
    Local(#[from] SecretKeyError),
    /// The remote signer refuses or is away.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

impl KeyError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Local(_) => false,
            Self::Remote(error) => error.is_transient(),
        }
    }
}

impl Key {
    /// A key held in this process.
    #[must_use]
    pub fn local(secret: SecretKey) -> Self {
        Self {
            public: *secret.public(),
            holder: Holder::Local(secret),
        }
    }

    /// The key of `account` at a remote signer, whose public half is asked for now.
    ///
    /// # Errors
    /// [`RemoteError`] when the signer does not hold it.
    pub async fn remote(remote: Remote) -> Result<Self, RemoteError> {
        Ok(Self {
            public: remote.public_key().await?,
            holder: Holder::Remote(remote),
        })
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Its account.
    #[must_use]
    pub fn account(&self) -> PublicKeyHash {
        PublicKeyHash::of_key(&self.public)
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.holder {
            Holder::Local(_) => "local".into(),
            Holder::Remote(remote) => remote.place(),
        }
    }

    pub(super) async fn sign(
        &self,
        message: &[u8],
        suite: BlsSuite,
    ) -> Result<Signature, KeyError> {
        match &self.holder {
            Holder::Local(secret) => Ok(secret.sign(message, suite)?),
            Holder::Remote(remote) => Ok(remote.sign(message, suite).await?),
        }
    }

    pub(super) async fn prove_possession(&self) -> Result<Option<Signature>, KeyError> {
        match &self.holder {
            Holder::Local(secret) => Ok(secret.prove_possession()),
            Holder::Remote(remote) if matches!(self.public, PublicKey::Bls(_)) => {
                Ok(Some(remote.prove_possession(&self.public).await?))
            }
            Holder::Remote(_) => Ok(None),
        }
    }
}
