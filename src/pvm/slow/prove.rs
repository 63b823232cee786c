//! Proofs of single ticks.
//!
//! The step that a proof records is the protocol's: the state is decoded three times (for its
//! level, for its request, for the step), which reads nothing new, and an input that the state
//! does not wait for is never applied.

use super::host::outside_proof;
use super::machine::{Expects, Machine, SlowError};
use crate::merkle::{Proof, ProofError, Tree};
use crate::protocol::Level;
use crate::pvm::{InputInfo, PvmError, State};
use crate::wasm::encoding::Style;
use crate::wasm::fault::Fault;

/// What a tick is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Nothing.
    None,
    /// A message.
    Message {
        /// Its place.
        info: InputInfo,
        /// Its bytes.
        payload: Vec<u8>,
    },
    /// Revealed data.
    Revealed(Vec<u8>),
}

/// Why there is no proof, or why one does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The proof itself.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The tick.
    #[error(transparent)]
    Tick(#[from] SlowError),
}

/// What a step met.
struct Stepped {
    /// What the state before it waits for.
    expects: Expects,
    /// Whether the state after it is another one, which waits for nothing.
    goes_on: bool,
}

fn step(tree: &mut Tree, input: &Input) -> Result<Stepped, SlowError> {
    let mut machine = Machine::decode(tree)?;
    let expects = machine.expects();
    match (&expects, input) {
        (Expects::Nothing, _) => {
            machine.tick()?;
        }
        (Expects::Input(_), Input::Message { info, payload }) => {
            machine.set_input(*info, payload)?;
        }
        (Expects::Reveal(_), Input::Revealed(data)) => machine.reveal(data)?,
        // A state that waits for what is not there stays as it is.
        _ => {
            return Ok(Stepped {
                expects,
                goes_on: false,
            });
        }
    }
    *tree = machine.encode(Style::Exact)?.clone();
    let goes_on = machine.expects() == Expects::Nothing;
    Ok(Stepped { expects, goes_on })
}

/// A tick with its proof.
#[derive(Debug, Clone)]
pub struct Proved {
    /// The proof.
    pub proof: Proof,
    /// What the state before it waited for.
    pub expects: Expects,
    /// The state after it, where that is another one and waits for nothing.
    pub after: Option<Tree>,
}

/// Proves the tick that the state of `tree` takes next.
///
/// # Errors
/// [`ProveError`] when the state cannot be read or its tick has no result.
pub fn prove(tree: &Tree, input: &Input) -> Result<Proved, ProveError> {
    let (proof, stepped) = Proof::produce(tree, |tree| {
        step(tree, input).map(|stepped| (stepped, tree.clone()))
    })?;
    let (Stepped { expects, goes_on }, after) = stepped?;
    Ok(Proved {
        proof,
        expects,
        after: goes_on.then_some(after),
    })
}

/// Verifies the proof of a tick as the protocol does, on what the proof shows alone, and says what
/// the state waited for.
///
/// # Errors
/// [`ProveError`] when the proof does not hold; reading outside of it is a [`ProofError`], never
/// an outcome of the machine.
pub fn verify(proof: &Proof, input: &Input) -> Result<Expects, ProveError> {
    match proof.verify(|tree| step(tree, input)) {
        Ok(Ok(stepped)) => Ok(stepped.expects),
        Ok(Err(error)) => Err(without_tree(error)),
        Err(error) => Err(error.into()),
    }
}

/// Level of the last message that the state before the tick has read; none before the first.
///
/// # Errors
/// As [`verify`].
pub fn last_level(proof: &Proof) -> Result<Option<Level>, ProveError> {
    let read = |tree: &Tree| Ok(State::decode(tree)?.last_input.map(|info| info.level));
    match proof.look(read) {
        Ok(Ok(level)) => Ok(level),
        Ok(Err(error)) => Err(without_tree(SlowError::State(error))),
        Err(error) => Err(error.into()),
    }
}

fn without_tree(error: SlowError) -> ProveError {
    match error {
        SlowError::Fault(Fault::Tree(tree)) | SlowError::State(PvmError::Tree(tree))
            if outside_proof(&tree) =>
        {
            ProveError::Proof(ProofError::Tree(tree))
        }
        other => other.into(),
    }
}
