//! Small worlds: a toy machine, every move an adversary has, and the promises checked on each of
//! our actions.

mod exhaustive;
mod random;
mod twin;

use std::collections::BTreeMap;

use super::*;
use crate::protocol::operation::{DissectionChunk, Proof, Refutation, Stakers, Step};
use crate::protocol::{
    Commitment, CommitmentHash, DalSnapshot, Game, GameResult, GameState, HistoryCell, Level,
    LossReason, PayloadsHash, PublicKeyHash, RollupAddress, StateHash, Tick,
};

/// A machine that counts: its states are a branch and a number, and every step adds one. Branch 0
/// is the true one and waits for ever after `length` steps; the others never stop.
#[derive(Debug, Clone, Copy)]
struct Toy {
    machine: Machine,
    length: u128,
}

fn state(branch: u8, number: u128) -> StateHash {
    let mut hash = StateHash([branch; 32]);
    hash.0[..16].copy_from_slice(&number.to_be_bytes());
    hash
}

fn parts(hash: StateHash) -> (u8, u128) {
    let mut number = [0; 16];
    number.copy_from_slice(&hash.0[..16]);
    (hash.0[31], u128::from_be_bytes(number))
}

impl Toy {
    fn truth(&self, tick: Tick) -> Option<StateHash> {
        (tick.0 <= self.length).then(|| state(0, tick.0))
    }

    fn next(&self, hash: StateHash) -> Option<StateHash> {
        let (branch, number) = parts(hash);
        (branch != 0 || number < self.length).then(|| state(branch, number + 1))
    }

    /// A proof says where it starts and where it ends.
    fn proof(&self, start: StateHash, stop: Option<StateHash>) -> Proof {
        let mut pvm_step = start.0.to_vec();
        pvm_step.extend(stop.iter().flat_map(|stop| stop.0));
        Proof {
            pvm_step,
            input_proof: None,
        }
    }
}

fn hash_at(bytes: &[u8]) -> Option<StateHash> {
    bytes.try_into().ok().map(StateHash)
}

impl Rules for Toy {
    fn machine(&self) -> Machine {
        self.machine
    }

    fn start_of(&self, proof: &Proof) -> Option<StateHash> {
        hash_at(proof.pvm_step.get(..32)?)
    }

    fn stop_of(&self, _: &Game, proof: &Proof) -> Result<Option<StateHash>, NotShown> {
        let start = self.start_of(proof).unwrap();
        let stop = hash_at(&proof.pvm_step[32..]);
        if stop == self.next(start) {
            Ok(stop)
        } else {
            Err(Flaw::Dissociated.into())
        }
    }
}

impl Truth for Toy {
    fn hashes(&mut self, ticks: &[Tick]) -> Result<Vec<Option<StateHash>>, Unplayable> {
        assert!(ticks.is_sorted(), "ticks are asked in ascending order");
        Ok(ticks.iter().map(|tick| self.truth(*tick)).collect())
    }

    fn prove(&mut self, _: &Game, tick: Tick) -> Result<Proof, Unplayable> {
        let start = self.truth(tick).ok_or(Unplayable::NoState(tick))?;
        Ok(self.proof(start, self.next(start)))
    }
}

/// What bakers let into blocks: the protocol itself takes proofs of sections of several ticks, and
/// leaves the other player a claim that nobody can confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bakers {
    /// Refuse such proofs, as their validation does today.
    Careful,
    /// Take whatever the protocol takes.
    Protocol,
}

/// How a game went for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Won,
    Drawn,
}

const TIMEOUT: u32 = 10;
const OPENED: Level = Level::new(100);

/// A game of ours against anybody.
#[derive(Debug, Clone)]
struct World {
    toy: Toy,
    bakers: Bakers,
    us: Player,
    stakers: Stakers,
    game: Game,
    clock: Clock,
    now: Level,
    asserted: BTreeMap<Tick, Option<StateHash>>,
}

fn account(byte: u8) -> PublicKeyHash {
    let mut bytes = vec![0];
    bytes.extend([byte; 20]);
    PublicKeyHash::read(&mut crate::codec::Reader::new(&bytes)).unwrap()
}

fn commitment(state: StateHash, ticks: u128, predecessor: CommitmentHash) -> Commitment {
    Commitment {
        compressed_state: state,
        inbox_level: Level::new(90),
        predecessor,
        number_of_ticks: u64::try_from(ticks).unwrap(),
    }
}

impl World {
    /// The game between our true commitment and the claim `claimed` after `ticks` ticks.
    fn open(
        toy: Toy,
        bakers: Bakers,
        sections: u8,
        us: Player,
        we_open: bool,
        (claimed, ticks): (StateHash, u128),
    ) -> Self {
        let (alice, bob) = (account(1), account(2));
        let stakers = Stakers::new(alice, bob);
        let (ours, theirs) = (stakers.account(us), stakers.account(us.opponent()));
        let parent = commitment(state(0, 0), 0, CommitmentHash([0; 32]));
        let end = toy.truth(Tick(toy.length)).unwrap();
        let honest = commitment(end, toy.length, parent.hash());
        let false_one = commitment(claimed, ticks, parent.hash());
        let (refuter, defender, defended) = if we_open {
            (ours, theirs, false_one)
        } else {
            (theirs, ours, honest)
        };
        let snapshots = Snapshots {
            inbox: HistoryCell {
                index: 0,
                witness: PayloadsHash([0; 32]),
                level: Level::new(99),
                back_pointers: Vec::new(),
            },
            dal: DalSnapshot::empty(),
            start_level: OPENED,
            sections,
        };
        let mut asserted = BTreeMap::new();
        asserted.insert(Tick(toy.length), Some(end));
        Self {
            toy,
            bakers,
            us,
            stakers,
            game: opened(&refuter, &defender, &parent, &defended, &snapshots),
            clock: Clock::start(OPENED, TIMEOUT),
            now: OPENED,
            asserted,
        }
    }

    fn judge(&self, player: Player, refutation: &Refutation) -> Result<Ruling, NoRuling> {
        let account = self.stakers.account(player);
        judge(&self.toy, &self.stakers, &self.game, &account, refutation)
    }

    fn take(&mut self, player: Player, game: Game) {
        self.clock = self.clock.moved(player, self.now);
        self.game = game;
    }

    /// Our turn: we answer one block later. The promises are checked here.
    fn answer(&mut self) -> Option<End> {
        self.now = self.now.next().unwrap();
        assert!(self.clock.blocks_left(self.us, self.now) >= 0, "in time");
        let mut truth = self.toy;
        let predicted = forecast(&self.toy, &self.stakers, self.us, &self.game, &mut truth);
        let answered = answer(&self.toy, &self.stakers, self.us, &self.game, &mut truth);
        let ours = match answered {
            Ok(ours) => ours,
            Err(Unplayable::Indefensible { distance, .. }) => {
                let GameState::FinalMove { agreed_start, .. } = &self.game.state else {
                    panic!("nothing was proved");
                };
                let stuck = agreed_start.state.is_none();
                assert!(
                    stuck || self.bakers == Bakers::Protocol,
                    "bakers kept it out"
                );
                assert!(stuck || distance > 1);
                assert_eq!(predicted.outcome, Some(Outcome::Draw));
                self.assert_nothing_wins();
                return Some(End::Drawn);
            }
            Err(other) => panic!("no move: {other}\n{self:#?}"),
        };
        let them = self.us.opponent();
        assert_eq!(predicted.outcome, Some(Outcome::Loser(them)), "we win");
        assert!(predicted.obstacle.is_none());
        let ruling = self.judge(self.us, &ours.refutation);
        assert_eq!(ruling.as_ref(), Ok(&ours.ruling), "the judge accepts");
        let out_of_turn = self.judge(them, &ours.refutation);
        assert_eq!(out_of_turn, Err(Refusal::WrongTurn.into()));
        self.assert_consistent(&ours.refutation);
        match ours.ruling {
            Ruling::Continues { game, flaw: None } => {
                self.take(self.us, *game);
                None
            }
            Ruling::Ended { result, .. } => {
                assert_eq!(result, self.loser(them, LossReason::ConflictResolved));
                Some(End::Won)
            }
            ruling => panic!("a proof of ours does not win: {ruling:?}"),
        }
    }

    /// Where we say that nothing can be defended: whatever we play is refused or draws, and so does
    /// the end of our clock, unless the opponent has lost its stake by then.
    fn assert_nothing_wins(&self) {
        let GameState::FinalMove {
            agreed_start,
            refuted_stop,
        } = &self.game.state
        else {
            panic!("nothing was proved");
        };
        let (from, to) = (agreed_start.tick, refuted_stop.tick);
        let starts = [
            agreed_start.state,
            self.toy.truth(from),
            Some(state(1, from.0)),
        ];
        let ends = [
            refuted_stop.state,
            self.toy.truth(to),
            self.toy.truth(Tick(from.0 + 1)),
            None,
        ];
        let chunks = vec![*agreed_start, *refuted_stop];
        let mut steps = vec![Step::Dissection(Vec::new()), Step::Dissection(chunks)];
        for start in starts.into_iter().flatten() {
            let honest = self.toy.next(start);
            for end in ends.into_iter().chain([honest]) {
                steps.push(Step::Proof(self.toy.proof(start, end)));
            }
        }
        for step in steps {
            for choice in [from, to] {
                match self.judge(self.us, &play_step(choice, step.clone())) {
                    Err(NoRuling::Refused(_))
                    | Ok(Ruling::Ended {
                        result: GameResult::Draw,
                        ..
                    }) => {}
                    other => panic!("something else than a draw was to be had: {other:?}"),
                }
            }
        }
        let over = Level::try_from(self.clock.deadline(self.us) + 1).unwrap();
        let ended = self.clock.time_out(self.us, &self.game.state, over);
        assert_eq!(ended, Ok(Outcome::Draw));
        let them = self.stakers.account(self.us.opponent());
        let elsewhere = forfeited(&self.stakers, |staker| *staker != them);
        let won = self.loser(self.us.opponent(), LossReason::ConflictResolved);
        assert_eq!(elsewhere, Some(won));
    }

    fn loser(&self, seat: Player, reason: LossReason) -> GameResult {
        let loser = self.stakers.account(seat);
        GameResult::Loser { reason, loser }
    }

    /// Never two hashes for one point, and never a false one.
    fn assert_consistent(&mut self, refutation: &Refutation) {
        let Refutation::Move {
            step: Step::Dissection(chunks),
            ..
        } = refutation
        else {
            return;
        };
        for chunk in chunks {
            let before = self.asserted.insert(chunk.tick, chunk.state);
            assert!(before.is_none_or(|before| before == chunk.state));
            assert_eq!(chunk.state, self.toy.truth(chunk.tick));
        }
    }

    /// The world after they play this; none when it is refused. Nothing of theirs wins.
    fn after(&self, refutation: &Refutation) -> Option<Self> {
        if self.bakers == Bakers::Careful && self.is_wide_proof(refutation) {
            return None;
        }
        let them = self.us.opponent();
        match self.judge(them, refutation).ok()? {
            Ruling::Continues { game, .. } => {
                let mut next = self.clone();
                next.take(them, *game);
                Some(next)
            }
            Ruling::Ended { result, .. } => panic!("it won: {result:?}\n{self:#?}"),
        }
    }

    /// A proof of a section of several ticks, from a dissection.
    fn is_wide_proof(&self, refutation: &Refutation) -> bool {
        let Refutation::Move {
            choice,
            step: Step::Proof(_),
        } = refutation
        else {
            return false;
        };
        let GameState::Dissecting { dissection, .. } = &self.game.state else {
            return false;
        };
        dissection
            .windows(2)
            .any(|pair| pair[0].tick == *choice && pair[1].tick.0 - pair[0].tick.0 > 1)
    }

    /// They say nothing until their clock ends.
    fn silence(&self) -> End {
        let them = self.us.opponent();
        assert_eq!(self.game.turn, them);
        let deadline = self.clock.deadline(them);
        let last = Level::try_from(deadline).unwrap();
        let early = self.clock.time_out(them, &self.game.state, last);
        assert_eq!(early, Err(TimeoutTooEarly { blocks_left: 0 }));
        let level = last.next().unwrap();
        let outcome = self.clock.time_out(them, &self.game.state, level);
        assert_eq!(outcome, Ok(Outcome::Loser(them)));
        End::Won
    }

    /// What is known before they move: our claims stand.
    fn check_forecast(&self) {
        let mut truth = self.toy;
        let found = forecast(&self.toy, &self.stakers, self.us, &self.game, &mut truth);
        assert_eq!(found.outcome, Some(Outcome::Loser(self.us.opponent())));
    }
}

fn dissecting(world: &World) -> (&[DissectionChunk], u8) {
    match &world.game.state {
        GameState::Dissecting {
            dissection,
            default_number_of_sections,
        } => (dissection, *default_number_of_sections),
        GameState::FinalMove { .. } => panic!("it is never their final move"),
    }
}

fn play_step(choice: Tick, step: Step) -> Refutation {
    Refutation::Move { choice, step }
}

#[test]
fn the_facts_of_layer_1_judge_bytes_that_are_no_step() {
    let facts = Facts::wasm(
        crate::protocol::Protocol::Ushuaia,
        RollupAddress([7; 20]),
        Level::new(10),
    );
    let toy = Toy {
        machine: Machine::Plain,
        length: 1,
    };
    let world = World::open(
        toy,
        Bakers::Careful,
        32,
        Player::Alice,
        true,
        (state(1, 1), 1),
    );
    let garbage = play_step(Tick(0), Step::Proof(toy.proof(state(0, 0), None)));
    let account = world.stakers.account(Player::Alice);
    let ruling = judge(&facts, &world.stakers, &world.game, &account, &garbage);
    assert_eq!(ruling, Err(Refusal::ProofBytes.into()));
}

/// What a machine may get wrong about its own states.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// A proof of another step.
    OtherStep,
    /// A proof that ends where no step leads.
    OtherEnd,
    /// A proof that says what the opponent claims.
    TheirClaim,
    /// States of another branch in a dissection, up to its very end.
    TheirStates,
    /// Fewer states than were asked for.
    TooFew,
}

struct Faulty(Toy, Fault);

impl Truth for Faulty {
    fn hashes(&mut self, ticks: &[Tick]) -> Result<Vec<Option<StateHash>>, Unplayable> {
        let mut states = self.0.hashes(ticks)?;
        match self.1 {
            Fault::TheirStates => states = ticks.iter().map(|t| Some(state(1, t.0))).collect(),
            Fault::TooFew => {
                states.pop();
            }
            _ => {}
        }
        Ok(states)
    }

    fn prove(&mut self, _: &Game, tick: Tick) -> Result<Proof, Unplayable> {
        let start = state(0, tick.0);
        let next = self.0.next(start);
        Ok(match self.1 {
            Fault::OtherStep => self
                .0
                .proof(state(0, tick.0 + 1), self.0.next(state(0, tick.0 + 1))),
            Fault::OtherEnd => self.0.proof(start, Some(state(0, tick.0 + 2))),
            Fault::TheirClaim => self.0.proof(state(1, tick.0), Some(state(1, tick.0 + 1))),
            Fault::TheirStates | Fault::TooFew => self.0.proof(start, next),
        })
    }
}

#[test]
fn a_move_that_our_own_judge_refuses_is_not_made() {
    let open = |length, ticks| {
        let toy = Toy {
            machine: Machine::Plain,
            length,
        };
        let claim = (state(1, ticks), ticks);
        World::open(toy, Bakers::Careful, 4, Player::Alice, true, claim)
    };
    let answered = |world: &World, fault| {
        let mut truth = Faulty(world.toy, fault);
        answer(
            &world.toy,
            &world.stakers,
            world.us,
            &world.game,
            &mut truth,
        )
    };
    // One tick is disputed: a proof is due.
    let short = open(1, 1);
    for fault in [Fault::OtherStep, Fault::OtherEnd, Fault::TheirClaim] {
        let outcome = answered(&short, fault);
        assert!(
            matches!(outcome, Err(Unplayable::Flawed(_) | Unplayable::Refused(_))),
            "{fault:?}: {outcome:?}"
        );
    }
    // Several are: a dissection is due.
    let long = open(7, 7);
    for fault in [Fault::TheirStates, Fault::TooFew] {
        let outcome = answered(&long, fault);
        assert!(outcome.is_err(), "{fault:?}: {outcome:?}");
    }
}
