//! The shared inbox: which messages a block brings, their hashes, the two skip lists, proofs.
//!
//! Promises: for the same block the same messages and inbox hash as layer 1, from Mumbai to
//! Ushuaia, and proofs that layer 1 accepts. Refuses to know: sockets, and what messages mean.
//! Source: `sc_rollup_inbox_repr.ml`, `sc_rollup_inbox_message_repr.ml`, `apply.ml`.

mod level;
mod message;
mod payloads;
mod proof;
mod skip_list;

#[cfg(test)]
mod tests;

pub use level::{
    AttestedSlot, BlockInput, Contribution, DalParameters, InboxError, RollupTransfer, Status,
    messages_of, next_inbox, origin_inbox,
};
pub use message::{
    AttestedSlots, Info, InternalMessage, MAX_MESSAGE, Message, MessageError, Transfer,
};
pub use payloads::{LevelMessages, PayloadCell};
pub use proof::{InboxProof, InboxProofError, NextInput};
pub use skip_list::minimal_path;
