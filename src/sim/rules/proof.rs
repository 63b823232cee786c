//! Judging the final moves of a game (`valid` of `sc_rollup_proof_repr.ml`, `validity_final_move`
//! and `check_proof_*` of `sc_rollup_game_repr.ml`).
//!
//! Promises: the machine's step is replayed on what the proof shows alone, the input it gets is the
//! one that the input part proves, and the reason of a rejection is the protocol's error. Refuses to
//! know who plays. Pages of the data availability layer: the layer is off on this chain, so that no
//! machine can ask for one and every proof of one answers another question than the machine's.

use crate::crypto::blake2b;
use crate::inbox::{InboxProof, InboxProofError, Message};
use crate::merkle;
use crate::protocol::operation::{DissectionChunk, InputProof, Proof, RevealProof};
use crate::protocol::{HistoryCell, Level, RollupAddress, StateHash};
use crate::pvm::slow::{self, Expects, Input, ProveError, SlowError};
use crate::pvm::{Activation, InputInfo, InputRequest, Request, State};
use crate::sim::errors::{Decimal, RuleError};
use crate::sim::parameters::DalSizes;

/// What the chain knows about a game when it judges a proof.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// The rollup.
    pub rollup: RollupAddress,
    /// Level of its origination.
    pub origination_level: Level,
    /// Inbox that proofs start from.
    pub snapshot: &'a HistoryCell,
    /// Inbox level of the commitment under attack.
    pub inbox_level: Level,
    /// Reveals that are answered.
    pub activation: Activation,
    /// Sizes of the data availability layer, each up to a level, then those in force.
    pub past_sizes: &'a [(Level, DalSizes)],
    /// Sizes in force.
    pub sizes: DalSizes,
}

/// Which of the two final moves is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FinalMove {
    /// It must disagree with the end of a section of one tick.
    First,
    /// It must agree with the end, which the other side failed to refute.
    Second,
}

/// The section at stake.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stake<'a> {
    /// Where both sides agree.
    pub start: &'a DissectionChunk,
    /// What is disputed.
    pub stop: &'a DissectionChunk,
}

/// What the judge says of a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// It decides the game.
    Valid,
    /// It does not, for this reason, which the protocol keeps to itself.
    Invalid(RuleError),
}

/// A part of the proof that does not hold, or a step that nobody can judge.
enum Objection {
    Invalid(RuleError),
    Refused(RuleError),
}

impl From<RuleError> for Objection {
    fn from(error: RuleError) -> Self {
        Self::Invalid(error)
    }
}

fn check(holds: bool, reason: &str) -> Result<(), Objection> {
    if holds {
        return Ok(());
    }
    Err(proof_check(reason).into())
}

fn proof_check(reason: &str) -> RuleError {
    RuleError::ProofCheck {
        reason: reason.into(),
    }
}

/// The machine's part of a proof.
///
/// # Errors
/// [`RuleError::ProofCheck`]: the operation itself fails.
pub(crate) fn machine_part(proof: &Proof) -> Result<merkle::Proof, RuleError> {
    merkle::Proof::decode(&proof.pvm_step).map_err(|_| proof_check("Cannot unserialize proof"))
}

/// Judges a final move.
///
/// # Errors
/// The operation fails: its step raises in the machine, which the protocol does not catch.
pub(crate) fn judge(
    facts: &Facts<'_>,
    which: FinalMove,
    stake: Stake<'_>,
    step: &merkle::Proof,
    input: Option<&InputProof>,
) -> Result<Ruling, RuleError> {
    match objection(facts, which, stake, step, input) {
        Ok(()) => Ok(Ruling::Valid),
        Err(Objection::Invalid(reason)) => Ok(Ruling::Invalid(reason)),
        Err(Objection::Refused(reason)) => Err(reason),
    }
}

fn objection(
    facts: &Facts<'_>,
    which: FinalMove,
    stake: Stake<'_>,
    step: &merkle::Proof,
    input: Option<&InputProof>,
) -> Result<(), Objection> {
    // The protocol replays the step before it looks at the section, so a step that raises does.
    let replayed = replay(facts, step, input);
    if let Err(Objection::Refused(reason)) = replayed {
        return Err(Objection::Refused(reason));
    }
    let distance = stake.stop.tick.0.abs_diff(stake.start.tick.0);
    if which == FinalMove::First && distance != 1 {
        return Err(RuleError::UnexpectedSectionSize {
            n: Decimal(distance),
        }
        .into());
    }
    let start = StateHash::from(step.before().hash());
    if stake.start.state != Some(start) {
        return Err(RuleError::ProofStartMismatch {
            start_state_hash: stake.start.state,
            start_proof: start,
        }
        .into());
    }
    let has_moved = replayed?;
    let stop_proof = has_moved.then(|| StateHash::from(step.after().hash()));
    let stop_state_hash = stake.stop.state;
    match (which, stop_proof == stop_state_hash) {
        (FinalMove::First, false) | (FinalMove::Second, true) => Ok(()),
        (FinalMove::First, true) => Err(RuleError::ProofFailsToRefute {
            stop_state_hash,
            stop_proof,
        }
        .into()),
        (FinalMove::Second, false) => Err(RuleError::ProofFailsToValidate {
            stop_state_hash,
            stop_proof,
        }
        .into()),
    }
}

/// Replays the step with the input that is proved; whether the machine had what it needed.
fn replay(
    facts: &Facts<'_>,
    step: &merkle::Proof,
    input: Option<&InputProof>,
) -> Result<bool, Objection> {
    let given = proved_input(facts, step, input)?;
    let given = cut(facts, given);
    let expects = slow::verify(step, &given).map_err(not_verified)?;
    check_request(facts, step, input, &expects)?;
    let needs = expects != Expects::Nothing;
    Ok(needs == (given != Input::None))
}

fn not_verified(error: ProveError) -> Objection {
    match error {
        ProveError::Proof(_) => RuleError::WasmProofVerificationFailed {}.into(),
        ProveError::Tick(error) => raised(&error),
    }
}

fn raised(error: &SlowError) -> Objection {
    Objection::Refused(RuleError::Failure {
        msg: format!("the step of the proof raises: {error}"),
    })
}

/// The input that the input part of the proof shows.
fn proved_input(
    facts: &Facts<'_>,
    step: &merkle::Proof,
    input: Option<&InputProof>,
) -> Result<Input, Objection> {
    Ok(match input {
        None => Input::None,
        Some(InputProof::FirstInput) => Input::Message {
            info: InputInfo {
                level: facts.origination_level.next().ok_or_else(no_level)?,
                counter: 0,
            },
            payload: Message::START_OF_LEVEL.into(),
        },
        Some(InputProof::Inbox {
            level,
            message_counter,
            serialized_proof,
        }) => {
            let proof = InboxProof::from_bytes(serialized_proof)
                .map_err(|_| RuleError::InvalidSerializedInboxProof {})?;
            let wanted = message_counter.checked_add(1).ok_or_else(no_level)?;
            let next = proof.verify(facts.snapshot, *level, wanted);
            match next.map_err(|error| inbox_error(&error))? {
                None => Input::None,
                Some(next) => Input::Message {
                    info: InputInfo {
                        level: next.level,
                        counter: next.counter.into(),
                    },
                    payload: next.payload,
                },
            }
        }
        Some(InputProof::Reveal(reveal)) => Input::Revealed(match reveal {
            RevealProof::RawData(data) => data.to_vec(),
            RevealProof::Metadata => facts.metadata(),
            RevealProof::DalPage { .. } => Vec::new(),
            RevealProof::DalParameters => {
                let level = last_input(step)?.unwrap_or(facts.origination_level);
                facts.sizes_at(level).bytes().to_vec()
            }
        }),
    })
}

fn no_level() -> Objection {
    proof_check("position out of range").into()
}

fn inbox_error(error: &InboxProofError) -> RuleError {
    let text = error.to_string();
    match error {
        InboxProofError::Payloads => RuleError::PayloadHashesProof { error: text },
        _ => RuleError::InboxProof { error: text },
    }
}

impl Facts<'_> {
    fn metadata(&self) -> Vec<u8> {
        let mut bytes = self.rollup.as_bytes().to_vec();
        bytes.extend(self.origination_level.get().to_be_bytes());
        bytes
    }

    fn sizes_at(&self, level: Level) -> DalSizes {
        let past = self.past_sizes.iter().find(|(until, _)| level <= *until);
        past.map_or(self.sizes, |(_, sizes)| *sizes)
    }
}

/// Level of the last message that the state before the step has read.
fn last_input(step: &merkle::Proof) -> Result<Option<Level>, Objection> {
    let mut read = None;
    let shown = step.verify(|tree| read = Some(State::decode(tree)));
    match (shown, read) {
        // Reading changes nothing, so the end cannot be the one of the step.
        (Ok(()) | Err(merkle::ProofError::After { .. }), Some(Ok(state))) => {
            Ok(state.last_input.map(|info| info.level))
        }
        (Ok(()) | Err(merkle::ProofError::After { .. }), Some(Err(error))) => {
            Err(raised(&error.into()))
        }
        _ => Err(RuleError::WasmProofVerificationFailed {}.into()),
    }
}

/// A message outside the levels of the commitment is no input (`cut_at_level`).
fn cut(facts: &Facts<'_>, input: Input) -> Input {
    match input {
        Input::Message { info, .. }
            if info.level <= facts.origination_level || info.level > facts.inbox_level =>
        {
            Input::None
        }
        other => other,
    }
}

/// The input part answers what the machine asked for.
fn check_request(
    facts: &Facts<'_>,
    step: &merkle::Proof,
    input: Option<&InputProof>,
    expects: &Expects,
) -> Result<(), Objection> {
    match (input, expects) {
        (None, Expects::Nothing)
        | (Some(InputProof::FirstInput), Expects::Input(InputRequest::First)) => Ok(()),
        (
            Some(InputProof::Inbox {
                level,
                message_counter,
                ..
            }),
            Expects::Input(InputRequest::After(after)),
        ) => check(
            after.level == *level && after.counter == u128::from(*message_counter),
            "Level and index of inbox proof are not equal to the one expected in input request.",
        ),
        (Some(InputProof::Reveal(reveal)), Expects::Reveal(request)) => {
            let request = Request::resolve(request, last_input(step)?, &facts.activation);
            check_reveal(reveal, request)
        }
        _ => dissociated(),
    }
}

fn check_reveal(reveal: &RevealProof, request: Request) -> Result<(), Objection> {
    match (reveal, request) {
        (RevealProof::RawData(data), Request::Preimage(hash)) => check(
            hash.get(1..) == Some(blake2b(data).as_bytes().as_slice()),
            "Invalid reveal",
        ),
        (RevealProof::Metadata, Request::Metadata)
        | (RevealProof::DalParameters, Request::DalParameters) => Ok(()),
        _ => dissociated(),
    }
}

fn dissociated() -> Result<(), Objection> {
    check(false, "Inbox proof and input request are dissociated.")
}
