//! What was typed: commands, their arguments, progress, exit codes.
//!
//! Promises: bad input gets one clear line. Refuses to know: protocol rules.

use std::process::ExitCode;

/// Entry point of the binary.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
