//! Places where the original's own engines can disagree with each other.
//!
//! Why: this program follows the machine that judges (one tick replayed on a fresh tree); a run
//! that touches one of these places is marked, so that an operator who compares with an original
//! node knows where to look. A mark never changes a result.

use std::collections::BTreeSet;
use std::fmt;

/// One such place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Edge {
    /// A host function wrote partly outside the guest's memory: the judging machine keeps the
    /// bytes in range, the original's fast engine writes nothing.
    PartialWrite,
    /// A host function read zero bytes beyond the end of the guest's memory: fine for the judging
    /// machine, an error in the original's fast engine.
    EmptyReadBeyondEnd,
    /// An entry was listed whose place differs between the tree that the judging machine sees and
    /// the one that a node has changed in memory.
    ListingOrder,
    /// The request to activate the second storage was made under a version that has it.
    SecondStorageRequested,
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PartialWrite => "host write partly outside the memory",
            Self::EmptyReadBeyondEnd => "empty host read beyond the memory",
            Self::ListingOrder => {
                "listing whose order depends on when the directory was last stored"
            }
            Self::SecondStorageRequested => "activation of the second storage requested",
        })
    }
}

/// The places a run touched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edges(BTreeSet<Edge>);

impl Edges {
    /// Marks a place.
    pub fn mark(&mut self, edge: Edge) {
        self.0.insert(edge);
    }

    /// Adds the places of another run.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.iter().copied());
    }

    /// The places, in order.
    pub fn iter(&self) -> impl Iterator<Item = Edge> + '_ {
        self.0.iter().copied()
    }

    /// Whether nothing was marked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
