//! The refutation game, pure: turns, clocks in blocks, dissection, choice, judge.
//!
//! Promises: no effect, no clock. Refuses to know: sockets, files, async.
