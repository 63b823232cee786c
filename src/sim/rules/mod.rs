//! The protocol's rules about smart rollups: functions that change a context or refuse.
//!
//! Promises: nothing here reads a clock, a socket or the tower; the same context and operation
//! give the same result.

pub(crate) mod cement;
pub(crate) mod delegation;
pub(crate) mod dissection;
pub(crate) mod doors;
pub(crate) mod filter;
pub(crate) mod game;
pub(crate) mod originate;
pub(crate) mod outbox;
pub(crate) mod proof;
pub(crate) mod stake;
pub(crate) mod transfer;
