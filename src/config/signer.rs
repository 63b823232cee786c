//! What the operator says of the key that signs and of what it may sign.

use std::path::PathBuf;

use crate::protocol::{Mutez, PublicKeyHash};

/// The key that signs, and its caps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerConfig {
    /// A remote signer: the better choice.
    pub remote: Option<String>,
    /// The account: needed with a remote signer, and for what a shadow would send.
    pub account: Option<PublicKeyHash>,
    /// Name or account of the local key; needed when the key file holds several.
    pub key: Option<String>,
    /// The key file, when it is not in the data directory.
    pub key_file: Option<PathBuf>,
    /// File that holds the passphrase of local keys; asked for when not given.
    pub passphrase_file: Option<PathBuf>,
    /// Name or account of the local key that authenticates requests to the remote signer.
    pub authentication: Option<String>,
    /// Most money in bonds and lost with them; when not given, one bond for each rollup.
    pub stake_cap: Option<Mutez>,
    /// Most fees of one operation.
    pub fee_cap: Mutez,
    /// Most fees in 24 hours.
    pub daily_fee_cap: Mutez,
    /// Most signatures in an hour.
    pub hourly_cap: u32,
}

impl Default for SignerConfig {
    fn default() -> Self {
        Self {
            remote: None,
            account: None,
            key: None,
            key_file: None,
            passphrase_file: None,
            authentication: None,
            stake_cap: None,
            // What the reference player allows for a move.
            fee_cap: Mutez(5_000_000),
            daily_fee_cap: Mutez(100_000_000),
            // A block every four seconds, one operation each.
            hourly_cap: 900,
        }
    }
}

impl SignerConfig {
    /// Whether a key was named, so that something can be signed.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        self.remote.is_some() || self.key.is_some() || self.key_file.is_some()
    }

    /// The address of a signer, with the account at its end where it is written so.
    pub(super) fn take_remote(&mut self, url: &str) {
        let split = url.rsplit_once('/');
        let with_account = split.and_then(|(base, end)| Some((base, end.parse().ok()?)));
        match with_account {
            Some((base, account)) => {
                self.remote = Some(base.to_owned());
                self.account = Some(account);
            }
            None => self.remote = Some(url.to_owned()),
        }
    }
}
