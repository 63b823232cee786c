//! Evaluation, one small step a tick.
