//! What bakers leave out of blocks although the protocol would take it (`block_validation.ml` in the
//! plugins of Tallinn and later).
//!
//! Promises: a proof on a section of several ticks, which would end a game in a draw, a second
//! refutation of a game in one block, and a proof about a page of a level to come stay out; they go on
//! waiting, as on a node. Sections are those of the state before the block.

use std::collections::BTreeSet;

use super::dissection;
use super::game::State;
use crate::protocol::operation::{
    Action, Content, InputProof, Refutation, RevealProof, SignedOperation, Stakers, Step,
};
use crate::protocol::{Level, Protocol, RollupAddress};
use crate::sim::context::Context;

/// The filter of one block.
#[derive(Debug)]
pub(crate) struct Filter<'a> {
    start: &'a Context,
    played: BTreeSet<(RollupAddress, Stakers)>,
}

impl<'a> Filter<'a> {
    /// For a block on top of this state.
    pub(crate) const fn new(start: &'a Context) -> Self {
        Self {
            start,
            played: BTreeSet::new(),
        }
    }

    /// Whether a baker takes the operation, after those it took before.
    pub(crate) fn admits(&mut self, signed: &SignedOperation) -> bool {
        if self.start.protocol < Protocol::Tallinn {
            return true;
        }
        let level = self.start.level.next().unwrap_or(self.start.level);
        if future_page(signed, level).is_some() {
            return false;
        }
        let mut played = self.played.clone();
        for content in &signed.operation.contents {
            let Some(game) = game_of(content) else {
                continue;
            };
            if self.is_early_proof(content, &game) || !played.insert(game) {
                return false;
            }
        }
        self.played = played;
        true
    }

    fn is_early_proof(
        &self,
        content: &Content,
        (rollup, players): &(RollupAddress, Stakers),
    ) -> bool {
        let Action::Refute {
            refutation:
                Refutation::Move {
                    choice,
                    step: Step::Proof(_),
                },
            ..
        } = &content.action
        else {
            return false;
        };
        let stored = self.start.rollup(rollup).ok();
        let game = stored.and_then(|stored| stored.games.get(players));
        let Some(State::Dissecting { dissection, .. }) = game.map(|game| &game.state) else {
            return false;
        };
        dissection::section(dissection, *choice)
            .is_some_and(|(start, stop)| stop.tick.0.abs_diff(start.tick.0) > 1)
    }
}

/// Level of a page that a proof of the operation is about, when it is above `level`.
pub(crate) fn future_page(signed: &SignedOperation, level: Level) -> Option<Level> {
    let contents = signed.operation.contents.iter();
    let mut pages = contents.filter_map(|content| match &content.action {
        Action::Refute {
            refutation:
                Refutation::Move {
                    step: Step::Proof(proof),
                    ..
                },
            ..
        } => match proof.input_proof.as_ref()? {
            InputProof::Reveal(RevealProof::DalPage { page, .. }) => Some(page.published_level),
            _ => None,
        },
        _ => None,
    });
    pages.find(|published| *published > level)
}

fn game_of(content: &Content) -> Option<(RollupAddress, Stakers)> {
    match &content.action {
        Action::Refute {
            rollup, opponent, ..
        } => Some((*rollup, Stakers::new(content.source, *opponent))),
        _ => None,
    }
}
