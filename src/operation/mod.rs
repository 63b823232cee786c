//! From intention to included operation: forge, simulate, fee, sign, carry.
//!
//! Promises: at most one operation that can be included is alive for each intended move; nothing is
//! sent once: what is wanted and neither in a mempool nor in a block is sent again, dearer as slack
//! shrinks; every error the chain knows has one meaning here; entries are written before acting, and
//! chain and entries are all it needs to go on after a crash. Refuses to know: why an operation is
//! wanted.

mod batch;
mod carrier;
mod driver;
mod entry;
mod fee;
mod intention;
mod outcome;
mod shadow;

#[cfg(test)]
mod tests;

pub use batch::{Draft, DraftError, MAX_OPERATION};
pub use carrier::{
    Carrier, Effect, Injection, Limits, Notice, Observation, Settings, View, WaitingHere,
};
pub use driver::{At, Driver, DriverError, Report, Scribe, ScribeError};
pub use entry::{Entry, EntryError, Item};
pub use fee::{FeeRules, Offer};
pub use intention::{Intention, IntentionKey, NamesCommitment, Wanted};
pub use outcome::{KNOWN, Outcome, of_errors, of_id, of_receipt};
pub use shadow::Shadow;
