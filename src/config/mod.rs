//! What was meant: flags, environment and file become one checked configuration with provenance.
//!
//! Promises: an error names the place a value came from. Refuses to know: what the values are used for.
