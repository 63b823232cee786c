//! What a node says of games and stakes, held against what the operations of the blocks tell.
//!
//! Promises: where both differ, what layer 1 took counts, so that no answer of a node keeps a move
//! of ours back, makes one against a dissection that nobody sent, or ends a game by a clock that
//! would cost somebody right the stake. Refuses to know: what follows for play.

use std::collections::BTreeMap;

use super::observe::{Seen, Unanswered};
use super::record::name;
use crate::game;
use crate::journal::{Alarm, GameName, Severity};
use crate::protocol::operation::Stakers;
use crate::protocol::{Clock, DalSnapshot, HistoryCell, Level, RollupAddress};
use crate::tower::alarms;
use crate::tower::played::{Course, Played, Surroundings};
use crate::tower::policy::SeenGame;
use crate::tower::stakes::Stakes;

/// The data-availability histories of games as first seen: nothing here rests on them, but a turn of
/// a game must not be taken for another one where endpoints differ about them.
pub(super) type DalSnapshots = BTreeMap<GameName, DalSnapshot>;

/// A node and the blocks are not at one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contradiction {
    subject: String,
    message: String,
}

impl Contradiction {
    fn of_game(stakers: &Stakers, start: Level, what: &str) -> Self {
        let (alice, bob) = (stakers.alice(), stakers.bob());
        Self {
            subject: format!("game {alice} {bob} {start}: {what}"),
            message: format!(
                "of the game of {alice} and {bob} from level {start} the node {what}: what the operations in the blocks tell counts"
            ),
        }
    }

    /// In the words of alarms.
    pub(super) fn alarm(self, rollup: RollupAddress, level: Level) -> Alarm {
        Alarm {
            rollup: Some(rollup),
            level: Some(level),
            severity: Severity::Critical,
            kind: alarms::NODE,
            subject: self.subject,
            message: self.message,
        }
    }
}

/// What the blocks tell of one rollup.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) rollup: RollupAddress,
    pub(super) stakes: &'a Stakes,
    pub(super) played: &'a Played,
    /// The last level of the protocol before the one in force.
    pub(super) before: Option<Level>,
}

/// Holds what was seen at a block to the operations up to it: what differed is told, and replaced.
pub(super) fn hold_to_blocks(
    seen: &mut Seen,
    record: Record<'_>,
    cell_at: impl Fn(Level) -> Option<HistoryCell>,
    dals: &DalSnapshots,
) -> Vec<Contradiction> {
    let mut found = of_bonds(seen, record.stakes);
    for (stakers, course) in record.played.games() {
        let Some(course) = course else { continue };
        let cell = course.start().previous().and_then(&cell_at);
        let Some(cell) = cell else { continue };
        let what = one(seen, record, (stakers, course), cell, dals);
        found.extend(what.map(|what| Contradiction::of_game(stakers, course.start(), what)));
    }
    let me = seen.account.address;
    seen.games.retain(|game| {
        let is_played = record.played.is_played(&game.stakers);
        if !is_played && game.seat(&me).is_some() {
            found.push(Contradiction::of_game(
                &game.stakers,
                game.game.start_level,
                "shows moves, though nobody opened it",
            ));
        }
        is_played
    });
    found
}

/// A bond is where a publication put it until an operation takes it away. An account for which only
/// the node vouches is taken at its word: a true move is right whether the opponent has a stake or not.
fn of_bonds(seen: &mut Seen, stakes: &Stakes) -> Vec<Contradiction> {
    let me = seen.account.address;
    let mut involved: std::collections::BTreeSet<_> = seen
        .games
        .iter()
        .flat_map(|game| [game.stakers.alice(), game.stakers.bob()])
        .collect();
    involved.insert(me);
    let mut found = Vec::new();
    for account in involved {
        if stakes.is_bonded(&account) && seen.bonded.insert(account) {
            found.push(Contradiction {
                subject: format!("bond {account}"),
                message: format!(
                    "the node says that {account} has no bond, which it published with and nothing took away: what the operations in the blocks tell counts"
                ),
            });
        }
    }
    seen.account.is_bonded = seen.bonded.contains(&me);
    let bonded = &seen.bonded;
    for game in &mut seen.games {
        game.forfeit = game::forfeited(&game.stakers, |staker| bonded.contains(staker));
    }
    found
}

/// One game of the record: what the node says otherwise, if anything.
fn one(
    seen: &mut Seen,
    record: Record<'_>,
    (stakers, course): (&Stakers, &Course),
    inbox: HistoryCell,
    dals: &DalSnapshots,
) -> Option<&'static str> {
    let me = seen.account.address;
    let is_ours = [stakers.alice(), stakers.bob()].contains(&me);
    let place = seen.games.iter().position(|game| game.stakers == *stakers);
    if place.is_none() {
        // Games that nobody can lose any more are swept away by new protocols.
        let is_alive =
            record.stakes.is_bonded(&stakers.alice()) && record.stakes.is_bonded(&stakers.bob());
        if !is_ours || !is_alive {
            return None;
        }
    }
    let shown = place.and_then(|place| seen.games.get(place));
    let named = GameName {
        rollup: record.rollup,
        stakers: *stakers,
        start: course.start(),
        inbox_level: course.inbox_level(),
    };
    let dal = dals
        .get(&named)
        .cloned()
        .or_else(|| shown.map(|game| game.game.dal_snapshot.clone()))
        .unwrap_or_else(DalSnapshot::empty);
    let (game, clock) = course.game(Surroundings {
        inbox,
        dal: dal.clone(),
        sections: seen.constants.rollup.number_of_sections,
        timeout: seen.constants.rollup.timeout_period,
    });
    let Some(place) = place else {
        seen.games.push(SeenGame {
            stakers: *stakers,
            game,
            clock,
            forfeit: None,
        });
        // To say nothing is not to say so.
        let is_silent = seen.unanswered.contains(&Unanswered::Games);
        return (!is_silent).then_some("shows nothing, though it is played");
    };
    let is_migrated = record.before.is_some_and(|last| course.start() <= last);
    let shown = seen.games.get_mut(place)?;
    shown.game.dal_snapshot = dal;
    let what = if shown.game != game {
        "shows another course than it took"
    } else if !are_alike(&shown.clock, &clock, is_migrated) {
        "shows other clocks than its moves make"
    } else {
        return None;
    };
    shown.game = game;
    shown.clock = clock;
    Some(what)
}

/// A clock that another protocol started may have had another length.
fn are_alike(shown: &Clock, made: &Clock, is_migrated: bool) -> bool {
    let differ = |shown: i32, made: i32| i64::from(shown).saturating_sub(i64::from(made));
    let [alice, bob] = [differ(shown.alice, made.alice), differ(shown.bob, made.bob)];
    shown.last_turn == made.last_turn && alice == bob && (alice == 0 || is_migrated)
}

/// What is first seen of the data-availability histories of games.
pub(super) fn first_seen(dals: &mut DalSnapshots, rollup: RollupAddress, seen: &Seen) {
    for game in &seen.games {
        dals.entry(name(rollup, game))
            .or_insert_with(|| game.game.dal_snapshot.clone());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;
    use crate::crypto::Dialect;
    use crate::journal::OperationRow;
    use crate::l1::ChainConstants;
    use crate::protocol::operation::{DissectionChunk, Proof, Refutation, Step};
    use crate::protocol::{
        BlockHash, Commitment, Constants, GameState, Mutez, PayloadsHash, Player, Protocol,
        PublicKeyHash, StateHash, Tick,
    };
    use crate::tower::played::add_move;
    use crate::tower::policy::Account;
    use crate::tower::stakes::Fact;

    const ROLLUP: RollupAddress = RollupAddress([7; 20]);
    const ME: PublicKeyHash = PublicKeyHash::Tz1([5; 20]);
    const LIAR: PublicKeyHash = PublicKeyHash::Tz1([9; 20]);
    const START: Level = Level::new(30);

    struct World {
        stakes: Stakes,
        played: Played,
        genesis: Commitment,
        ours: Commitment,
        theirs: Commitment,
    }

    fn row(level: Level, source: PublicKeyHash, refutation: &Refutation) -> OperationRow {
        let other = if source == ME { LIAR } else { ME };
        let word = match refutation {
            Refutation::Move { .. } => "any",
            _ => "start",
        };
        let mut detail = Map::new();
        detail.insert("opponent".into(), other.to_string().into());
        detail.insert("move".into(), word.into());
        add_move(&mut detail, refutation);
        OperationRow {
            rollup: ROLLUP,
            block: BlockHash([2; 32]),
            level,
            position: 0,
            kind: "refute".into(),
            source,
            detail: Value::Object(detail).to_string(),
        }
    }

    fn dissection(ticks: &[u128]) -> Refutation {
        let chunk = |tick: &u128| DissectionChunk {
            state: Some(StateHash([*tick as u8; 32])),
            tick: Tick(*tick),
        };
        Refutation::Move {
            choice: Tick(0),
            step: Step::Dissection(ticks.iter().map(chunk).collect()),
        }
    }

    fn proof() -> Refutation {
        Refutation::Move {
            choice: Tick(1),
            step: Step::Proof(Proof {
                pvm_step: vec![1; 64],
                input_proof: None,
            }),
        }
    }

    impl World {
        fn new() -> Self {
            let genesis = Commitment::genesis(StateHash([0; 32]), Level::new(2));
            let claim = |state: u8| Commitment {
                compressed_state: StateHash([state; 32]),
                inbox_level: Level::new(12),
                predecessor: genesis.hash(),
                number_of_ticks: 1000,
            };
            let (ours, theirs) = (claim(1), claim(2));
            let mut stakes = Stakes::new(genesis);
            for (staker, commitment) in [(ME, ours), (LIAR, theirs)] {
                stakes.apply(&Fact::Published {
                    staker,
                    commitment,
                    at: None,
                });
            }
            let mut world = Self {
                stakes,
                played: Played::default(),
                genesis,
                ours,
                theirs,
            };
            let opening = Refutation::Start {
                player_commitment: ours.hash(),
                opponent_commitment: theirs.hash(),
            };
            world.take(&row(START, ME, &opening));
            world
        }

        fn take(&mut self, row: &OperationRow) {
            self.played.take(row, &self.stakes);
        }

        fn record(&self) -> Record<'_> {
            Record {
                rollup: ROLLUP,
                stakes: &self.stakes,
                played: &self.played,
                before: None,
            }
        }

        /// What the blocks tell where a node says nothing.
        fn truth(&self) -> SeenGame {
            let mut seen = seen(Vec::new());
            let found = self.hold(&mut seen);
            assert!(matches!(&found[..], [one] if one.subject.contains("shows nothing")));
            seen.games.remove(0)
        }

        fn hold(&self, seen: &mut Seen) -> Vec<Contradiction> {
            hold_to_blocks(seen, self.record(), cell, &DalSnapshots::new())
        }
    }

    fn cell(level: Level) -> Option<HistoryCell> {
        Some(HistoryCell {
            index: 3,
            witness: PayloadsHash([4; 32]),
            level,
            back_pointers: Vec::new(),
        })
    }

    fn seen(games: Vec<SeenGame>) -> Seen {
        let constants = ChainConstants {
            protocol: Protocol::Tallinn,
            dialect: Dialect::Modern,
            rollup: Constants {
                commitment_period: 10,
                challenge_window: 40,
                timeout_period: 60,
                max_lookahead: 1000,
                stake_amount: Mutez(10_000_000_000),
                number_of_sections: 4,
                max_parallel_games: 3,
                max_stored_cemented: 5,
                max_active_outbox_levels: 100,
                max_outbox_messages: 100,
                operation_ttl: 10,
            },
            dal: None,
            reveals: None,
            minimal_block_delay: None,
            gas: None,
        };
        Seen {
            constants: std::sync::Arc::new(constants),
            account: Account {
                address: ME,
                balance: Mutez(1),
                is_bonded: true,
            },
            games,
            bonded: [ME, LIAR].into(),
            unanswered: std::collections::BTreeSet::new(),
            conflicts: None,
        }
    }

    #[test]
    fn a_game_is_what_its_moves_make_of_it() {
        let mut world = World::new();
        let truth = world.truth();
        let opened = game::opened(
            &ME,
            &LIAR,
            &world.genesis,
            &world.theirs,
            &game::Snapshots {
                inbox: cell(Level::new(29)).unwrap(),
                dal: truth.game.dal_snapshot.clone(),
                start_level: START,
                sections: 4,
            },
        );
        assert_eq!(truth.game, opened);
        assert_eq!(truth.clock, Clock::start(START, 60));
        let ours = truth.seat(&ME).unwrap();
        assert_eq!(truth.game.turn, ours, "who opens moves first");

        world.take(&row(Level::new(33), ME, &dissection(&[0, 1, 2, 3, 1000])));
        let truth = world.truth();
        assert_eq!(truth.game.turn, ours.opponent());
        let clock = Clock::start(START, 60).moved(ours, Level::new(33));
        assert_eq!(truth.clock, clock);
        assert_eq!(truth.clock.stored(ours), 57);

        world.take(&row(Level::new(34), LIAR, &proof()));
        let truth = world.truth();
        let GameState::FinalMove {
            agreed_start,
            refuted_stop,
        } = truth.game.state
        else {
            panic!("{truth:?}");
        };
        assert_eq!((agreed_start.tick, refuted_stop.tick), (Tick(1), Tick(2)));
        assert_eq!(truth.game.turn, ours);

        let mut last = row(Level::new(35), ME, &proof());
        last.detail = last.detail.replacen('{', r#"{"result":"loser","#, 1);
        world.take(&last);
        assert_eq!(world.played.games().count(), 0);
        let _ = world.ours;
    }

    #[test]
    fn what_a_node_says_otherwise_is_told_and_replaced() {
        let mut world = World::new();
        world.take(&row(Level::new(33), ME, &dissection(&[0, 1, 2, 3, 1000])));
        let truth = world.truth();
        let told = |shown: &SeenGame| {
            let mut seen = seen(vec![shown.clone()]);
            let found = world.hold(&mut seen);
            assert_eq!(seen.games, std::slice::from_ref(&truth));
            found.into_iter().map(|one| one.subject).collect::<Vec<_>>()
        };
        assert_eq!(told(&truth), Vec::<String>::new());
        // A timeout in a final move would slash us too, and there is none.
        let mut shown = truth.clone();
        let chunk = DissectionChunk {
            state: None,
            tick: Tick(1),
        };
        shown.game.state = GameState::FinalMove {
            agreed_start: chunk,
            refuted_stop: chunk,
        };
        assert!(told(&shown)[0].contains("another course"));
        let mut shown = truth.clone();
        shown.game.turn = shown.game.turn.opponent();
        assert!(told(&shown)[0].contains("another course"));
        for change in [(1, 1), (0, 5)] {
            let mut shown = truth.clone();
            shown.clock.alice += change.0;
            shown.clock.bob += change.1;
            assert!(told(&shown)[0].contains("other clocks"));
        }
        // Of the forfeit only bonds tell.
        let mut shown = truth.clone();
        shown.forfeit = Some(crate::protocol::GameResult::Draw);
        assert_eq!(told(&shown), Vec::<String>::new());
    }

    #[test]
    fn a_final_move_that_is_hidden_is_not_timed_out() {
        let mut world = World::new();
        world.take(&row(Level::new(33), ME, &dissection(&[0, 1, 2, 3, 1000])));
        let mut shown = world.truth();
        world.take(&row(Level::new(34), LIAR, &proof()));
        world.take(&row(Level::new(35), ME, &dissection(&[0, 1])));
        assert!(
            !world.played.is_whole(&ME),
            "a move that cannot be makes the record doubtful: the node's word is all there is"
        );
        let mut world = World::new();
        world.take(&row(Level::new(31), ME, &proof()));
        // No such section: unknown.
        assert!(!world.played.is_whole(&ME));
        let mut world = World::new();
        let opening = Refutation::Move {
            choice: Tick(0),
            step: Step::Proof(Proof {
                pvm_step: vec![1],
                input_proof: None,
            }),
        };
        world.take(&row(Level::new(31), ME, &opening));
        shown.clock = Clock::start(START, 0);
        let mut seen = seen(vec![shown]);
        assert_eq!(world.hold(&mut seen).len(), 1);
        let game = seen.games.first().unwrap();
        assert!(game.is_final_move());
        let turn = game.game.turn;
        let late = Level::new(200);
        let ended = game.clock.time_out(turn, &game.game.state, late);
        assert_eq!(ended, Ok(game::Outcome::Draw), "which nobody of us wants");
    }

    #[test]
    fn clocks_of_another_protocol_may_be_longer_by_as_much_on_both_sides() {
        let world = World::new();
        let mut shown = world.truth();
        shown.clock.alice += 7;
        shown.clock.bob += 7;
        let record = Record {
            before: Some(START),
            ..world.record()
        };
        let mut seen = seen(vec![shown.clone()]);
        let found = hold_to_blocks(&mut seen, record, cell, &DalSnapshots::new());
        assert_eq!((found, &seen.games[..]), (vec![], &[shown][..]));
    }

    #[test]
    fn a_bond_is_there_until_an_operation_takes_it() {
        let mut world = World::new();
        let shown = world.truth();
        let mut told = seen(vec![shown]);
        told.bonded.clear();
        told.account.is_bonded = false;
        assert_eq!(world.hold(&mut told).len(), 2);
        assert!(told.account.is_bonded && told.games[0].forfeit.is_none());
        world.stakes.apply(&Fact::Unstaked { staker: LIAR });
        told.bonded.clear();
        assert_eq!(world.hold(&mut told).len(), 1, "only ours is there");
        assert!(told.games[0].is_forfeited_to(Player::seat(&ME, &LIAR)));
        // A game that nobody can lose any more is not missed.
        told.games.clear();
        assert_eq!((world.hold(&mut told), told.games.len()), (vec![], 0));
    }

    #[test]
    fn a_game_that_nobody_opened_is_not_played_and_keeps_nobody_from_opening() {
        let world = World::new();
        let truth = world.truth();
        let mut invented = truth.clone();
        invented.stakers = Stakers::new(ME, PublicKeyHash::Tz1([11; 20]));
        let mut told = seen(vec![truth.clone(), invented]);
        let found = world.hold(&mut told);
        assert!(found[0].message.contains("nobody opened it"), "{found:?}");
        assert_eq!(told.games, [truth]);
    }

    #[test]
    fn rows_that_tell_nothing_leave_the_nodes_word() {
        let mut world = World::new();
        let mut old = row(Level::new(33), ME, &dissection(&[0, 1, 2, 3, 1000]));
        old.detail = format!(r#"{{"opponent":"{LIAR}","move":"dissection"}}"#);
        let mut shown = world.truth();
        world.take(&old);
        assert!(!world.played.is_whole(&ME));
        shown.clock.alice -= 9;
        let mut told = seen(vec![shown.clone()]);
        assert_eq!(world.hold(&mut told), vec![]);
        assert_eq!(told.games, [shown]);
    }
}
