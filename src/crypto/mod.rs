//! Hashes, base58check text and keys: the bytes every other part names things by.
//!
//! Promises: the protocol's own BLAKE2b variants and text prefixes of both eras, with errors that
//! name the text and what was expected. Refuses to know: any I/O, and what a hash is the hash of.

mod base58;
mod blake2b;
mod encrypted;
mod keys;
mod secret;

pub use base58::{Base58Error, Dialect, Prefix};
pub use blake2b::{Hash, HashLengthError, blake2b, blake2b_20, blake2b_concat, blake2b_each};
pub use encrypted::{EncryptedKey, EncryptedKeyError};
pub use keys::{KeyTextError, PublicKey, Signature};
pub use secret::{BlsSuite, Curve, SecretKey, SecretKeyError};
