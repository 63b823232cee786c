//! Wrong moves made on purpose: what opponents try and the protocol refuses, or lets pass.
//!
//! Promises: one wrong move at the given place, then the actor goes on as usual.

use serde::{Deserialize, Serialize};

use super::content::Told;
use super::dissect;
use crate::protocol::Tick;
use crate::protocol::operation::{DissectionChunk, Proof, Step};

/// A wrong move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slip {
    /// Which move of the actor, from 1.
    pub at: u32,
    /// What is wrong with it.
    pub kind: SlipKind,
}

/// What is wrong with a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlipKind {
    /// A section less than is due.
    TooFewSections,
    /// One long section, the others of one tick.
    UnequalSections,
    /// Another state at the start.
    ChangedStart,
    /// The disputed state at the end.
    UnchangedStop,
    /// A tick that starts no section.
    UnknownChoice,
    /// States of other ticks: accepted, and wrong from the first section on.
    ShiftedStates,
    /// A state after the machine has stopped.
    StateAfterStop,
    /// The same move twice in one batch: the second one is out of turn and undoes both.
    Duplicate,
    /// A move although it is the opponent's turn.
    OutOfTurn,
    /// Bytes that are no proof.
    NoProof,
    /// The proof of another tick, whatever the length of the section: accepted, and decides nothing.
    InvalidProof,
}

impl SlipKind {
    /// The move `(choice, step)` with this wrong; `stop` is what it disputes.
    pub(super) fn spoil(
        self,
        (choice, step): (Tick, Step),
        stop: &DissectionChunk,
        told: &mut Told<'_>,
        other_proof: Option<Proof>,
    ) -> (Tick, Step) {
        match self {
            Self::UnknownChoice => return (Tick(choice.0.saturating_add(1)), step),
            Self::NoProof => {
                let proof = Proof {
                    pvm_step: vec![0xff; 9],
                    input_proof: None,
                };
                return (choice, Step::Proof(proof));
            }
            Self::InvalidProof => {
                return (choice, other_proof.map_or(step, Step::Proof));
            }
            _ => {}
        }
        let Step::Dissection(mut chunks) = step else {
            return (choice, step);
        };
        self.spoil_chunks(&mut chunks, stop, told);
        (choice, Step::Dissection(chunks))
    }

    fn spoil_chunks(
        self,
        chunks: &mut Vec<DissectionChunk>,
        stop: &DissectionChunk,
        told: &mut Told<'_>,
    ) {
        let last = chunks.len().saturating_sub(1);
        match self {
            Self::TooFewSections if last > 1 => {
                chunks.remove(1);
            }
            Self::UnequalSections => {
                let first = chunks.first().map_or(0, |chunk| chunk.tick.0);
                for (place, chunk) in (0_u128..).zip(chunks.iter_mut().take(last)) {
                    chunk.tick = Tick(first.saturating_add(place));
                }
            }
            Self::ChangedStart => {
                if let [first, second, ..] = chunks.as_mut_slice() {
                    first.state = second.state;
                }
            }
            Self::UnchangedStop => {
                if let Some(end) = chunks.last_mut() {
                    end.state = stop.state;
                }
            }
            Self::ShiftedStates => {
                for chunk in chunks.iter_mut().take(last).skip(1) {
                    chunk.state = told.state(chunk.tick.0.saturating_sub(1));
                }
            }
            Self::StateAfterStop if last > 1 => {
                if let Some(chunk) = chunks.get_mut(1) {
                    chunk.state = None;
                }
                if let Some(chunk) = chunks.get_mut(2) {
                    chunk.state = told.state(0);
                }
            }
            _ => {}
        }
    }
}

/// A dissection of anything for a move out of turn.
pub(super) fn anything(start: &DissectionChunk, stop: u128, sections: u8, run: u128) -> Step {
    Step::Dissection(dissect::dissection(start, stop, sections, run, |_| {
        start.state
    }))
}
