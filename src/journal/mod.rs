//! SQLite: one writer, migrations, queries.
//!
//! Promises: append-only, never loses a row over a crash. Refuses to know: what the rows lead to.
