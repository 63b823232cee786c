//! Our states as the machine finds them, with the proof of whatever a tick is given.
//!
//! Promises: every kind of tick is proved but those that read a page of the data-availability
//! layer, which are said to be unplayable. The inbox proof is relative to the snapshot of the game,
//! which is newer than the period: the archive must reach up to it. Refuses to know: how states
//! are computed and where cells and messages are kept. Upstream: `produce` of
//! `sc_rollup_proof_repr.ml`.

use super::Facts;
use super::truth::{Truth, Unplayable};
use crate::inbox::{InboxProof, LevelMessages};
use crate::merkle;
use crate::protocol::operation::{InputProof, Proof, RevealProof};
use crate::protocol::{Game, HistoryCell, Level, StateHash, Tick};
use crate::pvm::slow::{self, Expects, Input};
use crate::pvm::{InputInfo, InputRequest, Request, Timeline, TimelineError};

/// The inbox as it was followed.
pub trait InboxArchive {
    /// The cell of the history at this index.
    fn cell(&self, index: u64) -> Option<HistoryCell>;

    /// The messages of a level.
    fn messages(&self, level: Level) -> Option<LevelMessages>;
}

/// Our states of a disputed period: the machine from the parent commitment on.
#[derive(Debug)]
pub struct Witness<'a, A: ?Sized> {
    facts: &'a Facts,
    timeline: &'a mut Timeline,
    archive: &'a A,
}

impl<'a, A: InboxArchive + ?Sized> Witness<'a, A> {
    /// The states of `timeline`, which holds the levels of the period and no other.
    pub const fn new(facts: &'a Facts, timeline: &'a mut Timeline, archive: &'a A) -> Self {
        Self {
            facts,
            timeline,
            archive,
        }
    }

    /// The proof of a tick and what the machine asked for, given the message it waits for if the
    /// period has one.
    fn step(&mut self, tick: Tick) -> Result<(merkle::Proof, Expects, Input), Unplayable> {
        let failed = |reason: String| Unplayable::Step { tick, reason };
        match self.timeline.prove(tick.0) {
            Ok(proved) => return Ok((proved.proof, proved.expects, proved.input)),
            Err(TimelineError::NoMessage { .. }) => {}
            Err(TimelineError::Run(error)) => return Err(error.into()),
            Err(TimelineError::NoState { .. }) => return Err(Unplayable::NoState(tick)),
            Err(TimelineError::Prove(error)) => return Err(failed(error.to_string())),
        }
        // The period ends here: the step is the one that stays where it is.
        let mut state = self
            .timeline
            .state(tick.0)
            .map_err(|error| failed(error.to_string()))?;
        let proved = slow::prove(state.encode()?, &Input::None);
        let proved = proved.map_err(|error| failed(error.to_string()))?;
        Ok((proved.proof, proved.expects, Input::None))
    }

    /// Pages cannot be proved, whoever may have them.
    fn refuse_pages(&mut self, tick: Tick) -> Result<(), Unplayable> {
        let failed = |error: TimelineError| match error {
            TimelineError::Run(error) => error.into(),
            TimelineError::NoState { .. } => Unplayable::NoState(tick),
            other => Unplayable::Step {
                tick,
                reason: other.to_string(),
            },
        };
        let Expects::Reveal(request) = self.timeline.expects(tick.0).map_err(failed)? else {
            return Ok(());
        };
        let state = self.timeline.state(tick.0).map_err(failed)?;
        let level = state.last_input.map(|info| info.level);
        match Request::resolve(&request, level, &self.facts.activation) {
            Request::DalPage(page) => Err(Unplayable::DalPage(page)),
            _ => Ok(()),
        }
    }

    fn inbox_part(&self, game: &Game, last: InputInfo) -> Result<InputProof, Unplayable> {
        let message_counter = u64::try_from(last.counter).unwrap_or(u64::MAX);
        let messages = self
            .archive
            .messages(last.level)
            .ok_or(Unplayable::MessagesMissing(last.level))?;
        let (proof, _) = InboxProof::produce(
            &game.inbox_snapshot,
            last.level,
            message_counter.saturating_add(1),
            &messages,
            |index| self.archive.cell(index),
        )?;
        Ok(InputProof::Inbox {
            level: last.level,
            message_counter,
            serialized_proof: proof.to_bytes(),
        })
    }

    fn reveal_part(
        &self,
        tick: Tick,
        step: &merkle::Proof,
        request: &[u8],
        input: Input,
    ) -> Result<InputProof, Unplayable> {
        let failed = |reason: String| Unplayable::Step { tick, reason };
        let level = slow::last_level(step).map_err(|error| failed(error.to_string()))?;
        let request = Request::resolve(request, level, &self.facts.activation);
        let reveal = match (request, input) {
            (Request::Preimage(_), Input::Revealed(data)) => RevealProof::RawData(data),
            (Request::Metadata, _) => RevealProof::Metadata,
            (Request::DalParameters, _) => RevealProof::DalParameters,
            (Request::DalPage(page), _) => return Err(Unplayable::DalPage(page)),
            (Request::Preimage(_) | Request::AdaptiveDalPage, _) => {
                return Err(failed("nothing was revealed".to_owned()));
            }
        };
        Ok(InputProof::Reveal(reveal))
    }
}

impl<A: InboxArchive + ?Sized> Truth for Witness<'_, A> {
    fn hashes(&mut self, ticks: &[Tick]) -> Result<Vec<Option<StateHash>>, Unplayable> {
        let ticks: Vec<u128> = ticks.iter().map(|tick| tick.0).collect();
        let hashes = self.timeline.hashes(&ticks)?;
        Ok(hashes
            .into_iter()
            .map(|hash| hash.map(StateHash::from))
            .collect())
    }

    fn prove(&mut self, game: &Game, tick: Tick) -> Result<Proof, Unplayable> {
        self.refuse_pages(tick)?;
        let (step, expects, input) = self.step(tick)?;
        let input_proof = match expects {
            Expects::Nothing | Expects::Input(InputRequest::Nothing) => None,
            Expects::Input(InputRequest::First) => Some(InputProof::FirstInput),
            Expects::Input(InputRequest::After(last)) => Some(self.inbox_part(game, last)?),
            Expects::Reveal(request) => Some(self.reveal_part(tick, &step, &request, input)?),
        };
        let pvm_step = step.encode().map_err(|error| Unplayable::Step {
            tick,
            reason: error.to_string(),
        })?;
        Ok(Proof {
            pvm_step,
            input_proof,
        })
    }
}
