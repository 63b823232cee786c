//! Refutation games as layer 1 runs them: opening, turns, clocks, ends, rewards
//! (`sc_rollup_refutation_storage.ml`, `sc_rollup_game_repr.ml`).
//!
//! Promises: the judge's rules only, in their order. Refuses to know how a player chooses a move.

use serde_json::{Map, Value, json};

use super::dissection;
use super::proof::{self, FinalMove, Ruling, Stake};
use super::stake;
use crate::crypto::Dialect;
use crate::protocol::operation::{DissectionChunk, Proof, PvmKind, Stakers, Step};
use crate::protocol::{
    CommitmentHash, HistoryCell, Level, Mutez, Protocol, PublicKeyHash, RollupAddress, Tick,
};
use crate::sim::context::Context;
use crate::sim::errors::{Decimal, RuleError, Trace};
use crate::sim::ledger::{Holder, Movement, Owner};
use crate::sim::rollup::{Rollup, stored_at};

/// A side of a game.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The smaller account.
    Alice,
    /// The larger one.
    Bob,
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Alice => Self::Bob,
            Self::Bob => Self::Alice,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Alice => "alice",
            Self::Bob => "bob",
        }
    }
}

/// The staker on `side`.
#[must_use]
pub(crate) const fn staker_on(players: &Stakers, side: Side) -> PublicKeyHash {
    match side {
        Side::Alice => players.alice(),
        Side::Bob => players.bob(),
    }
}

/// Where a game stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Sections are being halved.
    Dissecting {
        /// The current dissection.
        dissection: Vec<DissectionChunk>,
        /// Sections due in the next one.
        sections: u8,
    },
    /// A wrong proof was given for this section; the other side has one try.
    FinalMove {
        /// Where both agree.
        agreed_start: DissectionChunk,
        /// What was refuted without success.
        refuted_stop: DissectionChunk,
    },
}

/// A game under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Game {
    /// Whose turn it is.
    pub turn: Side,
    /// Inbox cell that inbox proofs start from.
    pub inbox_snapshot: HistoryCell,
    /// Level of the opening.
    pub start_level: Level,
    /// Inbox level of the commitment under attack.
    pub inbox_level: Level,
    /// Where it stands.
    pub state: State,
}

/// Blocks each side has left, as of `last_turn`. A late mover's budget goes below zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout {
    /// Alice's budget.
    pub alice: i64,
    /// Bob's budget.
    pub bob: i64,
    /// Level of the last move.
    pub last_turn: Level,
}

/// Why a game was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// By the judge, or because the stake was gone.
    ConflictResolved,
    /// By the clock.
    Timeout,
}

/// How a game ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// One side lost.
    Loser(PublicKeyHash, Reason),
    /// Both did.
    Draw,
}

impl Outcome {
    /// The node's JSON.
    #[must_use]
    pub(crate) fn json(self) -> Value {
        match self {
            Self::Loser(player, reason) => {
                let reason = match reason {
                    Reason::ConflictResolved => "conflict_resolved",
                    Reason::Timeout => "timeout",
                };
                json!({"kind": "loser", "reason": reason, "player": player})
            }
            Self::Draw => json!({"kind": "draw"}),
        }
    }
}

/// What a move or a timeout did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Played {
    /// The end, if it ended.
    pub outcome: Option<Outcome>,
    /// Bonds burned and rewards minted.
    pub movements: Vec<Movement>,
}

impl Played {
    /// `game_status` of the receipt.
    #[must_use]
    pub(crate) fn status_json(&self) -> Value {
        match self.outcome {
            None => "ongoing".into(),
            Some(outcome) => json!({ "result": outcome.json() }),
        }
    }
}

impl Game {
    /// The node's JSON. No slot is published here, so the DAL snapshot is the empty list's cell.
    #[must_use]
    pub fn json(&self, protocol: Protocol) -> Value {
        let state = match &self.state {
            State::Dissecting {
                dissection,
                sections,
            } => json!({
                "kind": "Dissecting",
                "dissection": dissection.iter().map(|chunk| chunk.to_json(Dialect::Modern)).collect::<Vec<_>>(),
                "default_number_of_sections": sections,
            }),
            State::FinalMove {
                agreed_start,
                refuted_stop,
            } => json!({
                "kind": "Final_move",
                "agreed_start_chunk": agreed_start.to_json(Dialect::Modern),
                "refuted_stop_chunk": refuted_stop.to_json(Dialect::Modern),
            }),
        };
        let mut object = Map::new();
        object.insert("turn".into(), self.turn.text().into());
        object.insert(
            "inbox_snapshot".into(),
            self.inbox_snapshot.to_json(Dialect::Modern),
        );
        object.insert("dal_snapshot".into(), dal_snapshot(protocol));
        object.insert("start_level".into(), json!(self.start_level));
        object.insert("inbox_level".into(), json!(self.inbox_level));
        object.insert("game_state".into(), state);
        Value::Object(object)
    }
}

/// First cell of the DAL's list: level 0, slot 0, nothing published.
pub(crate) fn dal_snapshot(protocol: Protocol) -> Value {
    let content = if protocol >= Protocol::Rio {
        json!({"kind": "unpublished", "level": 0, "index": 0})
    } else {
        json!({"kind": "unattested", "level": 0, "index": 0})
    };
    let cell = json!({"index": "0", "content": content, "back_pointers": []});
    if protocol >= Protocol::ParisB {
        json!({"kind": "dal_skip_list", "skip_list": cell})
    } else {
        cell
    }
}

/// Opens a game between `player`, standing on `ours`, and `opponent`, standing on `theirs`.
///
/// # Errors
/// The protocol's refusal.
pub(crate) fn open(
    context: &mut Context,
    address: RollupAddress,
    (player, ours): (PublicKeyHash, CommitmentHash),
    (opponent, theirs): (PublicKeyHash, CommitmentHash),
) -> Result<Played, Trace> {
    // The tables of no rollup are empty: nobody stakes there, nobody plays.
    let rollup = context.rollup(&address);
    let rollup = rollup.map_err(|_| RuleError::NotStaked {})?;
    let players = Stakers::new(player, opponent);
    if rollup.games.contains_key(&players) {
        return Err(RuleError::GameAlreadyStarted {}.into());
    }
    let most = context.parameters.rollup.max_parallel_games;
    for staker in [players.alice(), players.bob()] {
        rollup.index_of(&staker)?;
        if rollup.games_of(&staker) >= most as usize {
            return Err(RuleError::MaximalNumberOfParallelGamesReached { staker }.into());
        }
    }
    check_conflict(rollup, (player, ours), (opponent, theirs))?;
    let defended = *rollup.commitment(&theirs)?;
    let parent = *rollup.commitment(&defended.predecessor)?;
    let ticks = Tick(u128::from(defended.number_of_ticks));
    let after = Tick(u128::from(defended.number_of_ticks).saturating_add(1));
    let game = Game {
        turn: if player == players.alice() {
            Side::Alice
        } else {
            Side::Bob
        },
        inbox_snapshot: context.inbox.cell.clone(),
        start_level: context.level,
        inbox_level: defended.inbox_level,
        state: State::Dissecting {
            dissection: vec![
                dissection::chunk(Some(parent.compressed_state), Tick(0)),
                dissection::chunk(Some(defended.compressed_state), ticks),
                dissection::chunk(None, after),
            ],
            sections: context.parameters.rollup.number_of_sections,
        },
    };
    let budget = i64::from(context.parameters.rollup.timeout_period);
    let clock = Timeout {
        alice: budget,
        bob: budget,
        last_turn: context.level,
    };
    let rollup = context.rollup_mut(&address)?;
    rollup.games.insert(players, game);
    rollup.timeouts.insert(players, clock);
    Ok(Played {
        outcome: None,
        movements: Vec::new(),
    })
}

/// The two commitments are stored, stood on by their players, different, and siblings.
///
/// # Errors
/// The protocol's refusal.
pub(crate) fn check_conflict(
    rollup: &Rollup,
    (player, ours): (PublicKeyHash, CommitmentHash),
    (opponent, theirs): (PublicKeyHash, CommitmentHash),
) -> Result<(), RuleError> {
    for (staker, hash) in [(player, ours), (opponent, theirs)] {
        let stands = rollup
            .staker_index
            .get(&staker)
            .is_some_and(|index| rollup.stands_on(*index, &hash));
        if !stands {
            return Err(RuleError::WrongStakerForConflictCommitment {
                player: staker,
                commitment: hash,
            });
        }
    }
    let (our, their) = (rollup.commitment(&ours)?, rollup.commitment(&theirs)?);
    if ours == theirs {
        return Err(RuleError::NoConflict {});
    }
    if our.predecessor != their.predecessor {
        return Err(RuleError::NotValidCommitmentsConflict {
            commitment: ours,
            player,
            opponent_commitment: theirs,
            opponent,
        });
    }
    Ok(())
}

/// A conflict of two stakers as the read-only RPC finds it: the lowest level, walking by the current
/// commitment period from the last cemented one, where they stand on different siblings.
///
/// # Errors
/// [`RuleError::NotStaked`], or what the tables refuse.
pub(crate) fn first_conflict(
    context: &Context,
    address: &RollupAddress,
    one: &PublicKeyHash,
    other: &PublicKeyHash,
) -> Result<Option<(CommitmentHash, CommitmentHash)>, RuleError> {
    let rollup = context.rollup(address)?;
    let (one, other) = (rollup.index_of(one)?, rollup.index_of(other)?);
    let period = context.parameters.rollup.commitment_period;
    let mut level = rollup.last_cemented()?.inbox_level.plus(period);
    while let Some(at) = level.filter(|at| *at < context.level) {
        if let (Some(ours), Some(theirs)) = (rollup.stake_at(one, at), rollup.stake_at(other, at))
            && ours != theirs
            && rollup.commitment(&ours)?.predecessor == rollup.commitment(&theirs)?.predecessor
        {
            return Ok(Some((ours, theirs)));
        }
        level = at.plus(period);
    }
    Ok(None)
}

/// From Ushuaia on an opening is judged before it enters a block: conflict, then earliness.
///
/// # Errors
/// The protocol's refusal.
pub(crate) fn check_opening_before_inclusion(
    context: &Context,
    address: &RollupAddress,
    ours: (PublicKeyHash, CommitmentHash),
    theirs: (PublicKeyHash, CommitmentHash),
) -> Result<(), Trace> {
    if context.protocol < Protocol::Ushuaia {
        return Ok(());
    }
    let rollup = context.rollup(address).map_err(|_| {
        let (player, commitment) = ours;
        RuleError::WrongStakerForConflictCommitment { player, commitment }
    })?;
    check_conflict(rollup, ours, theirs)?;
    let conflict = rollup.commitment(&theirs.1)?.inbox_level;
    let period = context.parameters.rollup.commitment_period;
    match conflict.plus(period) {
        Some(earliest) if context.level < earliest => Err(RuleError::GameStartTooEarly {
            current_level: context.level,
            earliest_start_level: earliest,
            conflict_inbox_level: conflict,
            commitment_period_in_blocks: period,
        }
        .into()),
        _ => Ok(()),
    }
}

/// Plays a move of `player` against `opponent`.
///
/// # Errors
/// The protocol's refusal.
pub(crate) fn play(
    context: &mut Context,
    address: RollupAddress,
    player: PublicKeyHash,
    opponent: PublicKeyHash,
    choice: Tick,
    step: &Step,
) -> Result<Played, Trace> {
    let players = Stakers::new(player, opponent);
    let rollup = context.rollup(&address);
    let rollup = rollup.map_err(|_| RuleError::NoGame {})?;
    let game = rollup.games.get(&players).ok_or(RuleError::NoGame {})?;
    if staker_on(&players, game.turn) != player {
        return Err(RuleError::WrongTurn {}.into());
    }
    if let Some(outcome) = forfeited(rollup, players) {
        return end(context, address, players, outcome);
    }
    let (side, level) = (game.turn, context.level);
    let state = match next(context, address, rollup, game, choice, step)? {
        Next::State(state) => state,
        Next::Lost => {
            let loser = staker_on(&players, side.other());
            let outcome = Outcome::Loser(loser, Reason::ConflictResolved);
            return end(context, address, players, outcome);
        }
        Next::Draw => return end(context, address, players, Outcome::Draw),
    };
    let rollup = context.rollup_mut(&address)?;
    if let Some(game) = rollup.games.get_mut(&players) {
        game.state = state;
        game.turn = side.other();
    }
    let clock = rollup.timeouts.get_mut(&players);
    let clock = clock.ok_or_else(|| no_clock(address, players))?;
    let spent = i64::from(level.since(clock.last_turn).unwrap_or(0));
    let budget = match side {
        Side::Alice => &mut clock.alice,
        Side::Bob => &mut clock.bob,
    };
    *budget = budget.saturating_sub(spent);
    clock.last_turn = level;
    Ok(Played {
        outcome: None,
        movements: Vec::new(),
    })
}

/// A player who lost its bond in another game has lost this one too.
fn forfeited(rollup: &Rollup, players: Stakers) -> Option<Outcome> {
    let staked = |staker| rollup.staker_index.contains_key(staker);
    match (staked(&players.alice()), staked(&players.bob())) {
        (true, true) => None,
        (false, true) => Some(Outcome::Loser(players.alice(), Reason::ConflictResolved)),
        (true, false) => Some(Outcome::Loser(players.bob(), Reason::ConflictResolved)),
        (false, false) => Some(Outcome::Draw),
    }
}

/// What a move leads to.
enum Next {
    /// The game goes on here.
    State(State),
    /// The other side has lost.
    Lost,
    /// Both sides have.
    Draw,
}

fn next(
    context: &Context,
    address: RollupAddress,
    rollup: &Rollup,
    game: &Game,
    choice: Tick,
    step: &Step,
) -> Result<Next, RuleError> {
    match (&game.state, step) {
        (
            State::Dissecting {
                dissection,
                sections,
            },
            Step::Dissection(proposed),
        ) => {
            let (start, stop) = chosen(dissection, choice)?;
            let snapshot = (rollup.kind == PvmKind::Wasm)
                .then(|| u128::from(context.protocol.ticks_per_snapshot()));
            dissection::check(snapshot, *sections, start, stop, proposed)?;
            Ok(Next::State(State::Dissecting {
                dissection: proposed.clone(),
                sections: *sections,
            }))
        }
        (State::FinalMove { .. }, Step::Dissection(_)) => {
            Err(RuleError::DissectingDuringFinalMove {})
        }
        (State::Dissecting { dissection, .. }, Step::Proof(proof)) => {
            let (start, stop) = chosen(dissection, choice)?;
            let stake = Stake { start, stop };
            let ruling = judged(
                context,
                address,
                rollup,
                game,
                FinalMove::First,
                stake,
                proof,
            )?;
            let undecided = Next::State(State::FinalMove {
                agreed_start: *start,
                refuted_stop: *stop,
            });
            Ok(decided(address, ruling, undecided))
        }
        (
            State::FinalMove {
                agreed_start: start,
                refuted_stop: stop,
            },
            Step::Proof(proof),
        ) => {
            let stake = Stake { start, stop };
            let ruling = judged(
                context,
                address,
                rollup,
                game,
                FinalMove::Second,
                stake,
                proof,
            )?;
            Ok(decided(address, ruling, Next::Draw))
        }
    }
}

fn decided(rollup: RollupAddress, ruling: Ruling, undecided: Next) -> Next {
    match ruling {
        Ruling::Valid => Next::Lost,
        Ruling::Invalid(reason) => {
            tracing::debug!(%rollup, %reason, "proof decides nothing");
            undecided
        }
    }
}

fn chosen(
    dissection: &[DissectionChunk],
    choice: Tick,
) -> Result<(&DissectionChunk, &DissectionChunk), RuleError> {
    dissection::section(dissection, choice).ok_or(RuleError::ChoiceNotFound {
        choice: Decimal(choice.0),
    })
}

fn judged(
    context: &Context,
    address: RollupAddress,
    rollup: &Rollup,
    game: &Game,
    which: FinalMove,
    stake: Stake<'_>,
    proof: &Proof,
) -> Result<Ruling, RuleError> {
    let step = proof::machine_part(proof)?;
    let facts = proof::Facts {
        rollup: address,
        origination_level: rollup.origination_level,
        snapshot: &game.inbox_snapshot,
        inbox_level: game.inbox_level,
        activation: context.parameters.reveals,
        past_sizes: &context.past_sizes,
        sizes: context.parameters.dal,
    };
    proof::judge(&facts, which, stake, &step, proof.input_proof.as_ref())
}

/// What a timeout would decide at the context's level.
///
/// # Errors
/// [`RuleError::NoGame`], or [`RuleError::TimeoutLevelNotReached`] with the blocks left.
pub(crate) fn timeout_outcome(
    context: &Context,
    (address, rollup): (RollupAddress, &Rollup),
    players: Stakers,
) -> Result<Outcome, RuleError> {
    let game = rollup.games.get(&players).ok_or(RuleError::NoGame {})?;
    let clock = rollup.timeouts.get(&players);
    let clock = clock.ok_or_else(|| no_clock(address, players))?;
    let budget = match game.turn {
        Side::Alice => clock.alice,
        Side::Bob => clock.bob,
    };
    let last = i64::from(clock.last_turn.get()).saturating_add(budget);
    let left = last.saturating_sub(i64::from(context.level.get()));
    let staker = staker_on(&players, game.turn);
    if left >= 0 {
        return Err(RuleError::TimeoutLevelNotReached {
            level_timeout: i32::try_from(left).unwrap_or(i32::MAX),
            staker,
        });
    }
    Ok(match game.state {
        State::Dissecting { .. } => Outcome::Loser(staker, Reason::Timeout),
        State::FinalMove { .. } => Outcome::Draw,
    })
}

/// Until Oxford a draw left its game behind, but not its clock.
fn no_clock(address: RollupAddress, players: Stakers) -> RuleError {
    let (alice, bob) = (players.alice().to_string(), players.bob().to_string());
    RuleError::StorageError {
        missing_key: stored_at(&address, &["game_timeout", &alice, &bob]),
        function: "get",
    }
}

/// Ends a game by the clock.
///
/// # Errors
/// The protocol's refusal.
pub(crate) fn timeout(
    context: &mut Context,
    address: RollupAddress,
    players: Stakers,
) -> Result<Played, Trace> {
    let rollup = context.rollup(&address);
    let rollup = rollup.map_err(|_| RuleError::NoGame {})?;
    let outcome = timeout_outcome(context, (address, rollup), players)?;
    end(context, address, players, outcome)
}

fn end(
    context: &mut Context,
    address: RollupAddress,
    players: Stakers,
    outcome: Outcome,
) -> Result<Played, Trace> {
    // Until Oxford a draw left the game behind and wanted both stakes there.
    let old_draw = outcome == Outcome::Draw && context.protocol < Protocol::Oxford;
    let rollup = context.rollup_mut(&address)?;
    rollup.timeouts.remove(&players);
    if old_draw {
        rollup.index_of(&players.alice())?;
        rollup.index_of(&players.bob())?;
    } else {
        rollup.games.remove(&players);
    }
    let movements = match outcome {
        Outcome::Loser(loser, _) => {
            let winner = if loser == players.alice() {
                players.bob()
            } else {
                players.alice()
            };
            let mut movements = stake::slash(context, address, loser)?;
            // Only who defeated the loser first is rewarded.
            if !movements.is_empty() {
                movements.extend(reward(context, winner)?);
            }
            movements
        }
        Outcome::Draw => {
            let mut movements = stake::slash(context, address, players.alice())?;
            movements.extend(stake::slash(context, address, players.bob())?);
            movements
        }
    };
    Ok(Played {
        outcome: Some(outcome),
        movements,
    })
}

fn reward(context: &mut Context, winner: PublicKeyHash) -> Result<Vec<Movement>, Trace> {
    let half = Mutez(context.parameters.rollup.stake_amount.0 / 2);
    context.ledger_mut().transfer(
        Holder::Rewards,
        Holder::Spendable(Owner::Implicit(winner)),
        half,
    )
}
