//! Which section of the opponent's dissection to attack.

use crate::protocol::StateHash;
use crate::protocol::operation::DissectionChunk;

/// The section to attack: agreed at `start`, disputed at `stop`, where we say `ours`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// Last chunk we agree with.
    pub start: DissectionChunk,
    /// The chunk after it, which we dispute.
    pub stop: DissectionChunk,
    /// Our state at the tick of `stop`; none when our machine has no state there.
    pub ours: Option<StateHash>,
}

impl Section {
    /// Its length in ticks.
    #[must_use]
    pub const fn distance(&self) -> u128 {
        self.stop.tick.0.abs_diff(self.start.tick.0)
    }
}

/// A dissection leaves nothing to attack: the node that served it contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unchoosable {
    /// We do not even agree with its first chunk.
    #[error("the dissection starts from a state we do not agree with")]
    DisputedStart,
    /// We agree with every chunk.
    #[error("we agree with every chunk of the dissection")]
    NothingDisputed,
}

/// Scans a dissection from its start for the first chunk we disagree with. `ours` gives our state
/// hash at a chunk's tick; it is asked in order and no further than needed.
///
/// # Errors
/// [`Unchoosable`] inside `Ok`, and whatever `ours` fails with.
pub fn choose<E>(
    dissection: &[DissectionChunk],
    mut ours: impl FnMut(&DissectionChunk) -> Result<Option<StateHash>, E>,
) -> Result<Result<Section, Unchoosable>, E> {
    let mut agreed: Option<DissectionChunk> = None;
    for chunk in dissection {
        let state = ours(chunk)?;
        if state == chunk.state {
            agreed = Some(*chunk);
            continue;
        }
        return Ok(match agreed {
            Some(start) => Ok(Section {
                start,
                stop: *chunk,
                ours: state,
            }),
            None => Err(Unchoosable::DisputedStart),
        });
    }
    Ok(Err(Unchoosable::NothingDisputed))
}
