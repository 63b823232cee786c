//! Rules from journal events to people.
//!
//! Promises: nothing is lost over a restart. Refuses to know: games and the PVM.
