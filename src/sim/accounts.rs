//! Bootstrap accounts: keys that anybody can derive from the chain's seed.
//!
//! Promises: the same seed gives the same accounts on every machine, of all four curves. They are
//! for simulated money only, so their secrets may be shown.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::ledger::{Account, Ledger, Owner};
use crate::crypto::{Curve, Prefix, SecretKey, blake2b_concat};
use crate::protocol::{Counter, Mutez, PublicKeyHash};

/// Money each account starts with: enough for hundreds of bonds.
const BALANCE: Mutez = Mutez(4_000_000_000_000);

/// One bootstrap account.
#[derive(Debug)]
pub struct Person {
    key: SecretKey,
    account: PublicKeyHash,
    secret_text: Zeroizing<String>,
}

impl Person {
    /// The `index`-th account of `seed`: mostly tz1, with a tz2, a tz3 and a tz4 at 6, 7 and 8.
    #[must_use]
    pub fn derived(seed: u64, index: u32) -> Self {
        let (curve, prefix) = match index {
            6 => (Curve::Secp256k1, Prefix::SPSK),
            7 => (Curve::P256, Prefix::P2SK),
            8 => (Curve::Bls, Prefix::BLSK),
            _ => (Curve::Ed25519, Prefix::EDSK),
        };
        let mut attempt: u32 = 0;
        loop {
            let mut bytes = blake2b_concat(&[
                b"simulated account",
                &seed.to_be_bytes(),
                &index.to_be_bytes(),
                &attempt.to_be_bytes(),
            ])
            .0;
            if curve == Curve::Bls {
                // The scalar is little-endian and below a 255-bit order.
                bytes[31] &= 0x3f;
            }
            if let Ok(key) = SecretKey::from_bytes(curve, &bytes) {
                return Self {
                    account: PublicKeyHash::of_key(key.public()),
                    secret_text: Zeroizing::new(prefix.encode(&bytes)),
                    key,
                };
            }
            attempt = attempt.saturating_add(1);
        }
    }

    /// Its address.
    #[must_use]
    pub const fn account(&self) -> PublicKeyHash {
        self.account
    }

    /// Its key.
    #[must_use]
    pub const fn key(&self) -> &SecretKey {
        &self.key
    }

    /// Its secret as clients import it.
    #[must_use]
    pub fn secret_text(&self) -> &str {
        &self.secret_text
    }
}

/// The first `count` accounts of `seed`, and a ledger in which they are revealed and have the given
/// money, or are rich.
#[must_use]
pub(crate) fn bootstrap(
    seed: u64,
    count: u32,
    money: &BTreeMap<u32, Mutez>,
) -> (Vec<Person>, Ledger) {
    let people: Vec<_> = (0..count)
        .map(|index| Person::derived(seed, index))
        .collect();
    let mut ledger = Ledger::default();
    for (index, person) in (0..).zip(&people) {
        let balance = money.get(&index).copied().unwrap_or(BALANCE);
        let mut account = Account::new(balance, Counter(0));
        account.key = Some(*person.key.public());
        ledger.insert(Owner::Implicit(person.account), account);
    }
    (people, ledger)
}
