//! From intention to included operation: forge, simulate, fee, carry.
//!
//! Promises: bytes the chain accepts. Refuses to know: why an operation is wanted.
