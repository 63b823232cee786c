//! Keys behind one gate that remembers and refuses.
//!
//! Promises: the only way to a signature is [`Gate`], which decodes what it is asked to sign and
//! admits only what a tower has to send, for the rollups configured, under caps on stake, fees and
//! rate; it never signs two commitments for one level nor two moves for one turn; a remote signer
//! and an encrypted local key look the same from above. Refuses to know: whether a move is wise.

mod gate;
mod key;
mod passphrase;
mod remote;
mod store;

#[cfg(test)]
mod tests;

pub use gate::{
    Admission, Authority, Brake, Gate, Memory, Moment, Policy, Refusal, SignError, Signed, Turn,
};
pub use key::{Key, KeyError};
pub use passphrase::{Passphrase, PassphraseError};
pub use remote::{Remote, RemoteError};
pub use store::{Entry as StoredKey, KeyStore, StoreError, draw};
