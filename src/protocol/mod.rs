//! The chain's words as plain types: identifiers, quantities, constants, commitments, protocols.
//!
//! Promises: a value of one of these types is well-formed; binary and JSON forms are the chain's.
//! Refuses to know: any I/O, WebAssembly, and what anybody decides with these values.

mod commitment;
mod constants;
mod dal;
mod era;
mod game;
mod history;
mod identifiers;
pub mod json;
pub mod operation;
mod outbox;
mod quantity;

#[cfg(test)]
mod tests;

pub use commitment::Commitment;
pub use constants::{Constants, ConstantsError};
pub use dal::{DalCell, DalContent, DalSlot, DalSnapshot};
pub use era::{Protocol, PvmVersion};
pub use game::{Clock, Game, GameResult, GameState, GameStatus, LossReason, Player};
pub use history::{HistoryCell, Inbox, read_index};
pub use identifiers::{
    BlockHash, ChainId, CommitmentHash, ContextHash, ContractHash, DalCommitment, DalPointer,
    Dialected, InboxHash, MessageHash, OperationHash, PayloadsHash, ProtocolHash, PublicKeyHash,
    PublicKeyHashError, RollupAddress, RollupTextError, StateHash,
};
pub use outbox::{OutboxMessage, OutboxTransaction};
pub use quantity::{Counter, Gas, Level, LevelError, Mutez, StorageBytes, Tick, Timestamp};
