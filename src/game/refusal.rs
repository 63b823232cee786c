//! Why the chain refuses a move: the protocol's error ids, kinds, texts and fields.

use serde_json::{Value, json};

use crate::protocol::{StateHash, Tick};

/// A move the protocol does not accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A dissection has another number of sections than the interval requires.
    #[error("The number of sections must be equal to {expected} instead of {given}")]
    SectionsMismatch {
        /// Sections required.
        expected: u128,
        /// Sections offered.
        given: u128,
    },
    /// An interval of one tick cannot be dissected.
    #[error("A dissection with {0} sections can never be valid")]
    ImpossibleSections(u128),
    /// The first section does not start from the agreed state.
    #[error("{}", start_text(*expected, *given))]
    StartHash {
        /// The agreed state.
        expected: Option<StateHash>,
        /// The state offered.
        given: Option<StateHash>,
    },
    /// The last section ends in the very state that is disputed.
    #[error("The stop hash should not be equal to {}", hash_text(*.0))]
    StopHash(Option<StateHash>),
    /// The edges are at other ticks than those of the disputed section.
    #[error(
        "We should have dissection_start_tick({start}) = {chunk_start} and dissection_stop_tick({stop}) = {chunk_stop}"
    )]
    EdgeTicks {
        /// First tick offered.
        start: Tick,
        /// Last tick offered.
        stop: Tick,
        /// First tick of the disputed section.
        chunk_start: Tick,
        /// Last tick of the disputed section.
        chunk_stop: Tick,
    },
    /// Ticks do not strictly increase.
    #[error("Ticks should only increase in dissection")]
    TicksNotIncreasing,
    /// A section is longer than allowed.
    #[error("Maximum tick increment in a section cannot be more than {0} ticks")]
    SectionTooLong(u128),
    /// A stuck machine is claimed to run again.
    #[error("Cannot recover from a blocked state in a dissection")]
    Unblocked,
    /// An interior tick lies inside a kernel run although several runs are disputed.
    #[error(
        "Invalid dissection distribution: not all ticks are a multiplier of the maximum number of ticks of a snapshot"
    )]
    OffSnapshot,
    /// The choice is not the start of a section.
    #[error("No section starting with tick {0} found")]
    ChoiceNotFound(Tick),
    /// A dissection was sent when only proofs are left.
    #[error("Tried to play a dissecting when the final move started")]
    DissectingDuringFinalMove,
    /// The bytes of the step proof do not decode.
    #[error("Invalid proof: Cannot unserialize proof")]
    ProofBytes,
    /// It is the other player's turn.
    #[error("Attempt to play move but not staker's turn")]
    WrongTurn,
    /// The two players already play.
    #[error("Refutation game already started, must play with is_opening_move = false.")]
    AlreadyStarted,
}

fn hash_text(hash: Option<StateHash>) -> String {
    hash.map_or_else(|| "None".into(), |hash| hash.to_string())
}

fn start_text(expected: Option<StateHash>, given: Option<StateHash>) -> String {
    match given {
        None => "The start hash must not be None".into(),
        Some(given) => {
            format!(
                "The start hash should be equal to {}, but the provided hash is {given}",
                hash_text(expected)
            )
        }
    }
}

impl Refusal {
    /// The protocol's error id, without the `proto.<protocol>.` in front.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        match self {
            Self::SectionsMismatch { .. } => "smart_rollup_dissection_number_of_sections_mismatch",
            Self::ImpossibleSections(_) => "smart_rollup_dissection_invalid_number_of_sections",
            Self::StartHash { .. } => "smart_rollup_dissection_start_hash_mismatch",
            Self::StopHash(_) => "smart_rollup_dissection_stop_hash_mismatch",
            Self::EdgeTicks { .. } => "smart_rollup_dissection_edge_ticks_mismatch",
            Self::TicksNotIncreasing => "smart_rollup_dissection_ticks_not_increasing",
            Self::SectionTooLong(_) => "smart_rollup_dissection_invalid_distribution",
            Self::Unblocked => "smart_rollup_dissection_invalid_successive_states_shape",
            Self::OffSnapshot => "smart_rollup_wasm_invalid_dissection_distribution",
            Self::ChoiceNotFound(_) => "Dissection_choice_not_found",
            Self::DissectingDuringFinalMove => "Dissecting_during_final_move",
            Self::ProofBytes => "smart_rollup_proof_check",
            Self::WrongTurn => "smart_rollup_wrong_turn",
            Self::AlreadyStarted => "smart_rollup_game_already_started",
        }
    }

    /// `temporary` or `permanent`, as the protocol registers it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::SectionsMismatch { .. }
            | Self::StartHash { .. }
            | Self::StopHash(_)
            | Self::EdgeTicks { .. }
            | Self::ChoiceNotFound(_)
            | Self::DissectingDuringFinalMove
            | Self::WrongTurn
            | Self::AlreadyStarted => "temporary",
            Self::ImpossibleSections(_)
            | Self::TicksNotIncreasing
            | Self::SectionTooLong(_)
            | Self::Unblocked
            | Self::OffSnapshot
            | Self::ProofBytes => "permanent",
        }
    }

    /// The fields that stand beside kind and id in the node's JSON.
    #[must_use]
    pub fn fields(&self) -> Value {
        match self {
            Self::SectionsMismatch { expected, given } => {
                json!({ "expected": expected.to_string(), "given": given.to_string() })
            }
            Self::ImpossibleSections(value) => json!({ "value": value.to_string() }),
            Self::StartHash { expected, given } => json!({ "expected": expected, "given": given }),
            Self::StopHash(hash) => json!({ "hash": hash }),
            Self::EdgeTicks {
                start,
                stop,
                chunk_start,
                chunk_stop,
            } => json!({
                "dissection_start_tick": start,
                "dissection_stop_tick": stop,
                "chunk_start_tick": chunk_start,
                "chunk_stop_tick": chunk_stop,
            }),
            Self::SectionTooLong(longest) => json!({ "section_max_size": longest.to_string() }),
            Self::ChoiceNotFound(choice) => json!({ "choice": choice }),
            Self::ProofBytes => json!({ "reason": "Cannot unserialize proof" }),
            Self::TicksNotIncreasing
            | Self::Unblocked
            | Self::OffSnapshot
            | Self::DissectingDuringFinalMove
            | Self::WrongTurn
            | Self::AlreadyStarted => json!({}),
        }
    }
}
