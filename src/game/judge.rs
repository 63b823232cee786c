//! The chain's own acceptance of any move, on what the move carries alone.
//!
//! Promises: given a game, a move and the chain's facts, what layer 1 makes of it: the game after
//! it, its end, or the refusal with its error id; and, which layer 1 does not tell, why a proof
//! does not win. Every move of ours passes here before it is sent. Upstream: `play` and
//! `validity_final_move` of `sc_rollup_game_repr.ml`, `game_move` of
//! `sc_rollup_refutation_storage.ml`.
//!
//! # What inbox proofs do not prove
//!
//! Read in the sources of every protocol from Mumbai on, and followed here on purpose: the pointer
//! of an inbox cell, of both lists, does not cover its index, and `verify_proof` of
//! `sc_rollup_inbox_repr.ml` compares neither the level of the cell proved with the level of the
//! operation nor an index with anything but what the cells claim. So a proof can pass off the last
//! message of a level as the one just read (the level then seems to end there and the next input is
//! the start of the next level), or as the next one, or a message of another level in the same
//! place.
//!
//! What it means for play. We cannot be refused: true positions always verify, and our proofs
//! never need others. An opponent can win by it a game it should lose: where the disputed tick
//! reads an inbox message (not the first of all) and it is the opponent who gives the first proof,
//! which happens when our dissection is the one that reaches single ticks; the opponent can steer
//! there, since it chooses the sections attacked and the lengths of its own. Nobody can answer
//! such a proof: the game is over with it. A second proof can be forged likewise, but confirms
//! only what its player had claimed, and so does not help against a true first proof. No shape of
//! ours excludes it (intervals of up to 32 ticks must be cut into single ticks), so the risk is
//! stated rather than hidden: [`at_risk`] names the positions where it may strike.

use super::proof::{self, Beyond, Flaw, NotShown};
use super::rules::{self, FinalMove, Reply, Verdict};
use super::{Facts, Machine, Refusal};
use crate::merkle;
use crate::protocol::operation::{DissectionChunk, Proof, Refutation, Stakers, Step};
use crate::protocol::{Game, GameResult, GameState, LossReason, Player, PublicKeyHash, StateHash};

/// What layer 1 makes of a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// The game goes on, the other player to move.
    Continues {
        /// The game after the move.
        game: Box<Game>,
        /// Why the proof in it does not win; none for a dissection.
        flaw: Option<Flaw>,
    },
    /// The game is over.
    Ended {
        /// How.
        result: GameResult,
        /// Why the proof did not win, when it did not.
        flaw: Option<Flaw>,
    },
}

/// No ruling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRuling {
    /// Layer 1 refuses the move; the game stays as it is.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Layer 1 can rule, this program cannot.
    #[error(transparent)]
    Beyond(#[from] Beyond),
}

/// The rules of the machine that a rollup runs, as layer 1 applies them. [`Facts`] are those of
/// real rollups; tests play by the rules of smaller machines.
pub trait Rules {
    /// The machine, for dissections.
    fn machine(&self) -> Machine;

    /// Hash of the state a step starts from, as its bytes claim; none when they are no step.
    fn start_of(&self, proof: &Proof) -> Option<StateHash>;

    /// State in which a proof that verifies ends; none when the machine waits for an input that is
    /// not there.
    ///
    /// # Errors
    /// [`NotShown`] when it does not verify.
    fn stop_of(&self, game: &Game, proof: &Proof) -> Result<Option<StateHash>, NotShown>;
}

impl Rules for Facts {
    fn machine(&self) -> Machine {
        self.machine
    }

    fn start_of(&self, proof: &Proof) -> Option<StateHash> {
        let step = merkle::Proof::decode(&proof.pvm_step).ok()?;
        Some(step.before().hash().into())
    }

    fn stop_of(&self, game: &Game, proof: &Proof) -> Result<Option<StateHash>, NotShown> {
        proof::stop_of(self, game, proof)
    }
}

/// What layer 1 makes of a move of `player`, both stakes being there (see
/// [`super::forfeited`] for when they are not).
///
/// # Errors
/// [`NoRuling`].
pub fn judge<R: Rules>(
    rules: &R,
    stakers: &Stakers,
    game: &Game,
    player: &PublicKeyHash,
    refutation: &Refutation,
) -> Result<Ruling, NoRuling> {
    let Refutation::Move { choice, step } = refutation else {
        return Err(Refusal::AlreadyStarted.into());
    };
    if *player != stakers.account(game.turn) {
        return Err(Refusal::WrongTurn.into());
    }
    let mut not_shown = None;
    let reply = match step {
        Step::Dissection(chunks) => Reply::Dissection(chunks),
        Step::Proof(_) => Reply::Proof,
    };
    let mut shows = |start: &DissectionChunk, stop: &DissectionChunk, which| {
        let Step::Proof(proof) = step else {
            return Ok(false);
        };
        let found = rules.start_of(proof).ok_or(Refusal::ProofBytes)?;
        not_shown = is_valid(rules, game, (proof, found), (start, stop), which).err();
        Ok(not_shown.is_none())
    };
    let verdict = rules::play(
        rules.machine(),
        &game.state,
        game.turn,
        *choice,
        &reply,
        &mut shows,
    )?;
    let flaw = match not_shown {
        None => None,
        Some(NotShown::Flaw(flaw)) => Some(flaw),
        Some(NotShown::Beyond(beyond)) => return Err(beyond.into()),
    };
    Ok(ruling(stakers, game, verdict, flaw))
}

/// `validity_final_move`: the plain comparisons first, so that a proof which cannot be judged here
/// is ruled on where they decide.
fn is_valid<R: Rules>(
    rules: &R,
    game: &Game,
    (proof, found): (&Proof, StateHash),
    (start, stop): (&DissectionChunk, &DissectionChunk),
    which: FinalMove,
) -> Result<(), NotShown> {
    let distance = stop.tick.0.abs_diff(start.tick.0);
    if which == FinalMove::First && distance != 1 {
        return Err(Flaw::Distance(distance).into());
    }
    if start.state != Some(found) {
        let tick = start.tick;
        return Err(Flaw::Start { tick, found }.into());
    }
    let found = rules.stop_of(game, proof)?;
    match (which, found == stop.state) {
        (FinalMove::First, false) | (FinalMove::Second, true) => Ok(()),
        (FinalMove::First, true) => Err(Flaw::NothingRefuted.into()),
        (FinalMove::Second, false) => Err(Flaw::NothingConfirmed { found }.into()),
    }
}

fn ruling(stakers: &Stakers, game: &Game, verdict: Verdict, flaw: Option<Flaw>) -> Ruling {
    match verdict {
        Verdict::Continues(state) => Ruling::Continues {
            game: Box::new(Game {
                turn: game.turn.opponent(),
                state,
                ..game.clone()
            }),
            flaw,
        },
        Verdict::Lost(loser) => Ruling::Ended {
            result: GameResult::Loser {
                reason: LossReason::ConflictResolved,
                loser: stakers.account(loser),
            },
            flaw: None,
        },
        Verdict::Draw => Ruling::Ended {
            result: GameResult::Draw,
            flaw,
        },
    }
}

/// Whether the opponent may prove against a true claim of ours: our dissection has reached single
/// ticks. If one of them reads an inbox message, a lying inbox proof would win there.
#[must_use]
pub fn at_risk(game: &Game, us: Player) -> bool {
    let GameState::Dissecting { dissection, .. } = &game.state else {
        return false;
    };
    let single = |(start, stop): (&DissectionChunk, &DissectionChunk)| {
        stop.tick.0.abs_diff(start.tick.0) == 1 && stop.state.is_some()
    };
    game.turn != us && dissection.iter().zip(dissection.iter().skip(1)).any(single)
}
