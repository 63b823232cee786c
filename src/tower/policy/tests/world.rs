//! A world to change and to ask.

use std::collections::BTreeMap;

use super::super::*;
use super::told;
use crate::config::Mode;
use crate::crypto::Dialect;
use crate::journal::Judgement;
use crate::protocol::operation::{DissectionChunk, Stakers};
use crate::protocol::{
    Clock, Commitment, CommitmentHash, Constants, DalSnapshot, Game, GameState, HistoryCell, Level,
    Mutez, Player, Protocol, PublicKeyHash, RollupAddress, StateHash, Tick,
};
use crate::tower::lattice::Lattice;
use crate::tower::model::Own;
use crate::tower::stakes::{Fact, Stakes};

pub(super) const ROLLUP: RollupAddress = RollupAddress([7; 20]);
pub(super) const PERIOD: u32 = 10;
pub(super) const WINDOW: u32 = 40;
pub(super) const TIMEOUT: u32 = 60;
pub(super) const ORIGIN: u16 = 100;
pub(super) const ME: u8 = 5;
pub(super) const STAKE: u64 = 10_000_000_000;

pub(super) const fn who(byte: u8) -> PublicKeyHash {
    PublicKeyHash::Tz1([byte; 20])
}

pub(super) fn level(periods: u32) -> Level {
    Level::new(ORIGIN).plus(PERIOD * periods).unwrap()
}

/// A small world.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) mode: Mode,
    pub(super) hold: Option<Hold>,
    pub(super) choices: Choices,
    pub(super) protocol: Protocol,
    pub(super) dialect: Dialect,
    pub(super) constants: Constants,
    pub(super) lattice: Lattice,
    pub(super) head: Level,
    pub(super) account: Account,
    pub(super) stakes: Stakes,
    pub(super) own: BTreeMap<Level, Own>,
    pub(super) verdicts: BTreeMap<CommitmentHash, Judgement>,
    pub(super) games: Vec<SeenGame>,
    pub(super) consents: BTreeMap<CommitmentHash, Consent>,
    pub(super) answers: BTreeMap<Position, Answer>,
}

impl World {
    /// `periods` true commitments known here, none published.
    pub(super) fn new(mode: Mode, periods: u32) -> Self {
        let genesis = Commitment::genesis(StateHash([0; 32]), level(0));
        let mut world = Self {
            mode,
            hold: None,
            choices: Choices::default(),
            protocol: Protocol::Tallinn,
            dialect: Dialect::Modern,
            constants: Constants {
                commitment_period: PERIOD,
                challenge_window: WINDOW,
                timeout_period: TIMEOUT,
                max_lookahead: 1000,
                stake_amount: Mutez(STAKE),
                number_of_sections: 32,
                max_parallel_games: 3,
                max_stored_cemented: 5,
                max_active_outbox_levels: 100,
                max_outbox_messages: 100,
                operation_ttl: 10,
            },
            lattice: Lattice::constant(PERIOD),
            head: level(periods).plus(3).unwrap(),
            account: Account {
                address: who(ME),
                balance: Mutez(STAKE * 2),
                is_bonded: false,
            },
            stakes: Stakes::new(genesis),
            own: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            games: Vec::new(),
            consents: BTreeMap::new(),
            answers: BTreeMap::new(),
        };
        let mut last = genesis;
        world.know(genesis);
        for period in 1..=periods {
            last = Commitment {
                compressed_state: StateHash([period as u8; 32]),
                inbox_level: level(period),
                predecessor: last.hash(),
                number_of_ticks: 1000,
            };
            world.know(last);
            world.consents.insert(last.hash(), Consent::Given);
        }
        world
    }

    pub(super) fn know(&mut self, commitment: Commitment) {
        self.own.insert(
            commitment.inbox_level,
            Own {
                commitment,
                hash: commitment.hash(),
                block: crate::protocol::BlockHash([1; 32]),
            },
        );
    }

    pub(super) fn truth(&self, period: u32) -> Commitment {
        self.own.get(&level(period)).unwrap().commitment
    }

    pub(super) fn publish(&mut self, staker: u8, commitment: Commitment) -> CommitmentHash {
        let hash = commitment.hash();
        self.stakes.apply(&Fact::Published {
            staker: who(staker),
            commitment,
            at: commitment.inbox_level.plus(2),
        });
        let own = self.own.get(&commitment.inbox_level).unwrap();
        let judgement = if own.hash == hash {
            Judgement::True
        } else {
            Judgement::False {
                field: "compressed_state",
                claimed: String::new(),
                computed: String::new(),
            }
        };
        self.verdicts.insert(hash, judgement);
        if staker == ME {
            self.account.is_bonded = true;
        }
        hash
    }

    /// A lie of a staker about a period, on the true predecessor.
    pub(super) fn lie(&mut self, staker: u8, period: u32) -> CommitmentHash {
        let lie = Commitment {
            compressed_state: StateHash([200 + staker; 32]),
            ..self.truth(period)
        };
        self.publish(staker, lie)
    }

    pub(super) fn stand(&mut self, period: u32) {
        let truth = self.truth(period);
        self.publish(ME, truth);
    }

    pub(super) fn play(
        &mut self,
        one: u8,
        two: u8,
        period: u32,
        turn: u8,
        width: u128,
    ) -> &mut SeenGame {
        let stakers = Stakers::new(who(one), who(two));
        let turn = if who(turn) == stakers.alice() {
            Player::Alice
        } else {
            Player::Bob
        };
        let chunk = |tick: u128, state: Option<u8>| DissectionChunk {
            state: state.map(|byte| StateHash([byte; 32])),
            tick: Tick(tick),
        };
        let cell = HistoryCell {
            index: 0,
            witness: crate::protocol::PayloadsHash([0; 32]),
            level: self.head,
            back_pointers: Vec::new(),
        };
        self.games.push(SeenGame {
            stakers,
            game: Game {
                turn,
                inbox_snapshot: cell,
                dal_snapshot: DalSnapshot::Legacy([0; 57]),
                start_level: self.head,
                inbox_level: level(period),
                state: GameState::Dissecting {
                    dissection: vec![
                        chunk(0, Some(1)),
                        chunk(width, Some(2)),
                        chunk(width + 1, None),
                    ],
                    default_number_of_sections: 32,
                },
            },
            clock: Clock::start(self.head, TIMEOUT),
            forfeit: None,
        });
        self.games.last_mut().unwrap()
    }

    pub(super) fn plan(&self) -> Plan {
        derive(&Situation {
            rollup: ROLLUP,
            dialect: self.dialect,
            mode: self.mode,
            hold: self.hold,
            choices: self.choices,
            protocol: self.protocol,
            constants: &self.constants,
            lattice: &self.lattice,
            head: self.head,
            account: self.account,
            stakes: &self.stakes,
            own: &self.own,
            verdicts: &self.verdicts,
            games: &self.games,
            consents: &self.consents,
            answers: &self.answers,
        })
    }

    /// The plan's wishes in one word and a level or account each.
    pub(super) fn wishes(&self) -> Vec<String> {
        self.plan().wishes.iter().map(told).collect()
    }
}
