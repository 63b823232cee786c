//! The chain's words as plain types: identifiers, quantities, constants, commitments, protocols.
//!
//! Promises: a value of one of these types is well-formed; binary and JSON forms are the chain's.
//! Refuses to know: any I/O, WebAssembly, and what anybody decides with these values.

mod commitment;
mod constants;
mod era;
mod history;
mod identifiers;
pub mod json;
pub mod operation;
mod quantity;

pub use commitment::Commitment;
pub use constants::{Constants, ConstantsError};
pub use era::{Protocol, PvmVersion};
pub use history::{HistoryCell, Inbox, read_index};
pub use identifiers::{
    BlockHash, ChainId, CommitmentHash, ContextHash, ContractHash, Dialected, InboxHash,
    MessageHash, OperationHash, PayloadsHash, ProtocolHash, PublicKeyHash, PublicKeyHashError,
    RollupAddress, RollupTextError, StateHash,
};
pub use quantity::{Counter, Gas, Level, LevelError, Mutez, StorageBytes, Tick, Timestamp};
