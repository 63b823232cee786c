//! Containers whose contents come from the tree when they are asked for.
//!
//! Promises: the exact contents of the original's containers at every tick, stale keys after a
//! split included (`lib_lazy_containers`); clones are cheap. Refuses to know what they hold.

mod bytes;
mod known;
mod map;
mod pages;
mod vector;

pub use bytes::{CHUNK, LazyBytes};
pub use known::Backing;
pub use map::{LazyKey, LazyMap};
pub use vector::LazyVec;
