//! The client against scripted nodes over real HTTP: every fault a node or proxy can show.

mod answers;
mod chain;
mod doctoring;
mod faults;
mod following;
mod node;
mod pages;
mod questions;
mod silence;
