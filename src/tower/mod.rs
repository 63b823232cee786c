//! The mind: events, pure decisions, effects, workers.
//!
//! Promises: an effect is journalled before it is performed. Refuses to know: how answers are shown.
