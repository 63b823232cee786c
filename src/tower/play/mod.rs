//! Play: what is wanted is derived at each head, computed on workers, journalled, and carried.
//!
//! Promises: nothing here holds up the following of the chain; each game fails alone; chain and
//! journal are all that a restart needs. Refuses to know: what the protocol accepts (`game` does)
//! and how operations travel (`operation` does).

mod archive;
mod assertions;
mod brief;
mod concerns;
mod consent;
mod crosscheck;
mod desk;
mod files;
mod hands;
mod news;
mod observe;
mod pace;
mod player;
mod record;
mod rehearsal;
mod start;
mod table;
mod workers;

pub(super) use brief::Brief;
pub(super) use desk::move_bytes;
pub use desk::move_of;
pub use files::{BRAKE, Pulled, pull, release};
pub use hands::HandsError;
pub use news::PlayNews;
pub(super) use player::Tidings;
pub use rehearsal::{Lie, Rehearsal, RehearsalError, Rehearsed, Role};
pub(super) use start::{Parts, Running, Setting, account, start};
