//! Whether a proof shows what its player says, on what it carries alone.
//!
//! Rule: `valid` of `sc_rollup_proof_repr.ml`: which input the proof offers, cut at the levels of
//! the dispute; one step of the machine on the partial tree; whether request and input belong
//! together. Promises: accepts what the chain accepts, inbox proofs included that lie about
//! positions (see [`super::judge`]). Refuses to know: pages of the data-availability layer, whose
//! proofs need a pairing this program does not have; those are [`Beyond`], never a verdict.

use super::Facts;
use crate::crypto::blake2b;
use crate::inbox::{InboxProof, InboxProofError, Message};
use crate::merkle;
use crate::protocol::operation::{DalPageId, InputProof, Proof, RevealProof};
use crate::protocol::{Game, Level, StateHash, Tick};
use crate::pvm::slow::{self, Expects, Input, ProveError};
use crate::pvm::{InputInfo, InputRequest, Request};

/// Why a proof does not win. The chain does not say: it only passes the turn or draws.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A first proof is about a section of several ticks.
    #[error("the section is {0} ticks long, a proof is of one")]
    Distance(u128),
    /// It starts in another state than the agreed one.
    #[error("the proof starts from {found}, not from the state agreed at tick {tick}")]
    Start {
        /// Tick of the agreed state.
        tick: Tick,
        /// State the proof starts from.
        found: StateHash,
    },
    /// Nothing was agreed that a proof could start from: the machine is said to be stuck before.
    #[error("no state was agreed at tick {0} that a proof could start from")]
    NoStart(Tick),
    /// The bytes of the inbox proof are not one.
    #[error("the inbox proof does not decode: {0}")]
    InboxBytes(String),
    /// The inbox proof does not hold.
    #[error(transparent)]
    Inbox(#[from] InboxProofError),
    /// The step does not verify.
    #[error("the step does not verify: {0}")]
    Step(String),
    /// The machine asks for something else than what the proof offers.
    #[error("the proof offers an input that the state does not ask for, or none where it asks")]
    Dissociated,
    /// The preimage has another hash than the one asked for.
    #[error("the preimage offered has another hash than the one asked for")]
    Preimage,
    /// A first proof ends in the very state it should refute.
    #[error("the proof ends in the state that it should refute")]
    NothingRefuted,
    /// A second proof ends in another state than the one it should confirm.
    #[error("the proof ends in {found:?}, not in the state that it should confirm")]
    NothingConfirmed {
        /// Where it ends; none when the machine waits for what is not there.
        found: Option<StateHash>,
    },
}

/// A proof that nothing here can judge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Beyond {
    /// It shows a page of the data-availability layer.
    #[error(
        "page {} of slot {} published at level {} is proved, and page proofs cannot be judged here",
        .0.page_index, .0.slot_index, .0.published_level
    )]
    DalPage(DalPageId),
    /// It rests on parameters of the data-availability layer that are not known.
    #[error("the parameters of the data availability layer at level {0} are not known")]
    DalParameters(Level),
}

/// A proof shows no end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotShown {
    /// The chain says so too.
    #[error(transparent)]
    Flaw(#[from] Flaw),
    /// Only the chain can say.
    #[error(transparent)]
    Beyond(#[from] Beyond),
}

impl From<InboxProofError> for NotShown {
    fn from(error: InboxProofError) -> Self {
        Self::Flaw(error.into())
    }
}

impl From<ProveError> for NotShown {
    fn from(error: ProveError) -> Self {
        Self::Flaw(Flaw::Step(error.to_string()))
    }
}

/// The state a valid proof ends in; none when the machine waits for an input that is not there.
pub(super) fn stop_of(
    facts: &Facts,
    game: &Game,
    proof: &Proof,
) -> Result<Option<StateHash>, NotShown> {
    let step = merkle::Proof::decode(&proof.pvm_step);
    let step = step.map_err(|error| Flaw::Step(error.to_string()))?;
    let input = cut(facts, game, offered(facts, game, proof, &step)?);
    let asked = slow::verify(&step, &input)?;
    check_request(facts, proof, &step, &asked)?;
    let moved = asked == Expects::Nothing || input != Input::None;
    Ok(moved.then(|| step.after().hash().into()))
}

fn message(level: Level, counter: u64, payload: Vec<u8>) -> Input {
    Input::Message {
        info: InputInfo {
            level,
            counter: u128::from(counter),
        },
        payload,
    }
}

/// The input that the proof offers.
fn offered(
    facts: &Facts,
    game: &Game,
    proof: &Proof,
    step: &merkle::Proof,
) -> Result<Input, NotShown> {
    Ok(match &proof.input_proof {
        None => Input::None,
        Some(InputProof::FirstInput) => {
            let origin = facts.origination_level;
            let level = origin.next().ok_or(InboxProofError::LastLevel(origin))?;
            message(level, 0, Message::START_OF_LEVEL.into())
        }
        Some(InputProof::Inbox {
            level,
            message_counter,
            serialized_proof,
        }) => next_message(game, *level, *message_counter, serialized_proof)?,
        Some(InputProof::Reveal(RevealProof::RawData(data))) => Input::Revealed(data.clone()),
        Some(InputProof::Reveal(RevealProof::Metadata)) => {
            Input::Revealed(facts.metadata().to_vec())
        }
        Some(InputProof::Reveal(RevealProof::DalParameters)) => {
            let level = slow::last_level(step)?.unwrap_or(facts.origination_level);
            let bytes = facts.dal_parameters_at(level);
            Input::Revealed(bytes.ok_or(Beyond::DalParameters(level))?.to_vec())
        }
        Some(InputProof::Reveal(RevealProof::DalPage { page, .. })) => {
            return Err(Beyond::DalPage(*page).into());
        }
    })
}

fn next_message(
    game: &Game,
    level: Level,
    last_read: u64,
    serialized: &[u8],
) -> Result<Input, NotShown> {
    let proof =
        InboxProof::from_bytes(serialized).map_err(|error| Flaw::InboxBytes(error.to_string()))?;
    let wanted = last_read
        .checked_add(1)
        .ok_or(InboxProofError::PastEnd(last_read))?;
    let next = proof.verify(&game.inbox_snapshot, level, wanted)?;
    Ok(next.map_or(Input::None, |next| {
        message(next.level, next.counter, next.payload)
    }))
}

/// A message outside the levels of the dispute is no input.
fn cut(facts: &Facts, game: &Game, input: Input) -> Input {
    match input {
        Input::Message { info, .. }
            if info.level <= facts.origination_level || info.level > game.inbox_level =>
        {
            Input::None
        }
        other => other,
    }
}

/// Whether what the proof offers is what the machine asked for.
fn check_request(
    facts: &Facts,
    proof: &Proof,
    step: &merkle::Proof,
    asked: &Expects,
) -> Result<(), NotShown> {
    let belongs = match (&proof.input_proof, asked) {
        (None, Expects::Nothing)
        | (Some(InputProof::FirstInput), Expects::Input(InputRequest::First)) => true,
        (
            Some(InputProof::Inbox {
                level,
                message_counter,
                ..
            }),
            Expects::Input(InputRequest::After(last)),
        ) => *level == last.level && u128::from(*message_counter) == last.counter,
        (Some(InputProof::Reveal(reveal)), Expects::Reveal(request)) => {
            let level = slow::last_level(step)?;
            match (reveal, Request::resolve(request, level, &facts.activation)) {
                (RevealProof::RawData(data), Request::Preimage(hash)) => {
                    let found = blake2b(data);
                    if hash.get(1..) != Some(found.as_bytes().as_slice()) {
                        return Err(Flaw::Preimage.into());
                    }
                    true
                }
                (RevealProof::Metadata, Request::Metadata)
                | (RevealProof::DalParameters, Request::DalParameters) => true,
                _ => false,
            }
        }
        _ => false,
    };
    if belongs {
        Ok(())
    } else {
        Err(Flaw::Dissociated.into())
    }
}
