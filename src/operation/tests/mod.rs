//! The outcome table, entries, the carrier against a random network, and against the simulated
//! chain over HTTP.

mod carrier;
mod http;
mod killed;
mod network;
mod table;
mod unadvised;
