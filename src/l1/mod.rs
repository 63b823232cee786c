//! Node client: several endpoints, head stream, gaps, reorganisations, JSON turned into protocol types at once.
//!
//! Promises: every answer is checked and every failure names its endpoint. Refuses to know: games.
