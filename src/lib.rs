//! The watchtower: guards Tezos smart optimistic rollups.
//!
//! Start at `ARCHITECTURE.md`. Lower modules never use higher ones; `tests/tidy.rs` holds the rule.

pub mod alert;
pub mod check;
pub mod cli;
pub mod codec;
pub mod config;
pub mod crypto;
pub mod game;
pub mod inbox;
pub mod journal;
pub mod l1;
pub mod merkle;
pub mod operation;
pub mod protocol;
pub mod pvm;
pub mod serve;
pub mod signer;
pub mod sim;
pub mod tower;
pub mod wasm;

/// States are trees of millions of small nodes, made and dropped on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
