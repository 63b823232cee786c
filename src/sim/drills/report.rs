//! What came of a drill, read off the chain: who lied, who played, who was slashed, what it cost.
//!
//! Promises: nothing is taken from the defender's word.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::protocol::operation::{Action, Content, Refutation, Stakers, Step};
use crate::protocol::{Commitment, CommitmentHash, Level, Mutez, PublicKeyHash, RollupAddress};
use crate::sim::errors::RuleError;
use crate::sim::ledger::Owner;
use crate::sim::receipts::{Receipt, Status};
use crate::sim::rollup::Rollup;
use crate::sim::rules::game::Side;
use crate::sim::scenario::Scenario;

/// How a game of the defender went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fate {
    /// The other player.
    pub opponent: PublicKeyHash,
    /// Level of its opening.
    pub opened: Level,
    /// Level of its end.
    pub ended: Option<Level>,
    /// The node's word for the result: the loser and why, or a draw.
    pub result: Option<Value>,
}

/// What came of a drill.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Level of the first publication that contradicts the defender's.
    pub lied: Option<Level>,
    /// Level at which the first game was opened.
    pub detected: Option<Level>,
    /// Games of the defender, in order of opening.
    pub games: Vec<Fate>,
    /// Dissections that the defender made.
    pub dissections: u32,
    /// Proofs that the defender gave.
    pub proofs: u32,
    /// Moves that opponents made.
    pub opposing_moves: u32,
    /// Openings of the defender that came second: the opponent had opened the same game meanwhile,
    /// and nothing takes an operation back. They cost their fee.
    pub came_second: u32,
    /// Other operations of the defender that failed.
    pub failed: u32,
    /// Fewest blocks that the defender's clock had left when it moved.
    pub least_left: Option<i64>,
    /// Fees that the defender paid.
    pub fees: Mutez,
    /// What the defender can spend.
    pub balance: Mutez,
    /// Whether the defender has a bond on the rollup.
    pub is_bonded: bool,
    /// Stakers that lost their bond, in order.
    pub slashed: Vec<PublicKeyHash>,
    /// Whether the defender lost its bond.
    pub lost: bool,
    /// Whether nobody has a stake on another branch than the defender, who plays no game any more.
    pub is_over: bool,
}

impl Report {
    /// Whether the defender stands and nobody against it does.
    #[must_use]
    pub fn is_won(&self) -> bool {
        self.is_over && !self.lost
    }

    /// Reads the chain.
    #[must_use]
    pub fn of(scenario: &Scenario, rollup: &RollupAddress, defender: u32) -> Self {
        let Some(me) = scenario.person(defender).map(super::super::Person::account) else {
            return Self::default();
        };
        let mut reading = Reading {
            me,
            rollup: *rollup,
            report: Self::default(),
            published: BTreeMap::new(),
            ours: BTreeSet::new(),
            clocks: BTreeMap::new(),
        };
        reading.read(scenario);
        reading.report
    }
}

/// Whether a commitment could still be cemented: somebody stands on it and on all below it. Who was
/// slashed may publish again on top of what nobody stands on any more, to no avail.
fn is_alive(stored: &Rollup, mut hash: CommitmentHash) -> bool {
    while hash != stored.last_cemented {
        let stakers = stored.stakers_of.get(&hash);
        if stakers.is_none_or(Vec::is_empty) {
            return false;
        }
        match stored.commitments.get(&hash) {
            Some(commitment) => hash = commitment.predecessor,
            None => return false,
        }
    }
    true
}

const fn is_second_opening(error: &RuleError) -> bool {
    matches!(error, RuleError::GameAlreadyStarted {})
}

/// Reading a chain block by block.
struct Reading {
    me: PublicKeyHash,
    rollup: RollupAddress,
    report: Report,
    /// What was published, and when first.
    published: BTreeMap<CommitmentHash, (Level, Commitment)>,
    /// What the defender published.
    ours: BTreeSet<CommitmentHash>,
    /// Blocks that the defender had left at the end of the block before, by game.
    clocks: BTreeMap<Stakers, i64>,
}

impl Reading {
    fn read(&mut self, scenario: &Scenario) {
        let chain = scenario.chain();
        let mut level = Level::ZERO;
        while let Some(block) = chain.at(level) {
            for included in &block.operations {
                let contents = &included.signed.operation.contents;
                for (content, receipt) in contents.iter().zip(&included.receipts) {
                    self.content(level, content, receipt);
                }
            }
            if let Some(context) = &block.context
                && let Ok(stored) = context.rollup(&self.rollup)
            {
                self.note_clocks(level, stored);
            }
            let Some(next) = level.next() else { break };
            level = next;
        }
        let lies = self.lies();
        let times = self
            .published
            .iter()
            .filter(|(hash, _)| lies.contains(*hash));
        self.report.lied = times.map(|(_, (level, _))| *level).min();
        let owner = Owner::Implicit(self.me);
        self.report.balance = chain.context().ledger.balance(owner);
        let Ok(stored) = chain.context().rollup(&self.rollup) else {
            return;
        };
        self.report.is_bonded = stored.staker_index.contains_key(&self.me);
        let against = |index| {
            let stands = stored.stakers_of.iter();
            let stands = stands.filter(|(_, stakers)| stakers.contains(index));
            let mut lies = stands.filter(|(hash, _)| lies.contains(hash));
            lies.any(|(hash, _)| is_alive(stored, *hash))
        };
        let has_lied = self.report.lied.is_some();
        let anybody = stored.staker_index.values().any(against);
        let is_mine = |players: &Stakers| players.opponent_of(&self.me).is_some();
        let plays = stored.games.keys().any(is_mine);
        self.report.is_over = has_lied && !anybody && !plays;
        self.report.lost = self.report.slashed.contains(&self.me);
    }

    /// What cannot be true if what the defender published is, and what stands on it.
    fn lies(&self) -> BTreeSet<CommitmentHash> {
        let mut by_level: Vec<_> = self.published.iter().collect();
        by_level.sort_by_key(|(_, (_, commitment))| commitment.inbox_level);
        let claims = |hash| self.published.get(hash).map(|(_, claim)| claim.inbox_level);
        let claimed: BTreeSet<_> = self.ours.iter().filter_map(claims).collect();
        let mut lies = BTreeSet::new();
        for (hash, (_, commitment)) in by_level {
            let differs = claimed.contains(&commitment.inbox_level) && !self.ours.contains(hash);
            if differs || lies.contains(&commitment.predecessor) {
                lies.insert(*hash);
            }
        }
        lies
    }

    fn note_clocks(&mut self, level: Level, stored: &Rollup) {
        self.clocks.clear();
        for (players, clock) in &stored.timeouts {
            let (side, budget) = if players.alice() == self.me {
                (Side::Alice, clock.alice)
            } else if players.bob() == self.me {
                (Side::Bob, clock.bob)
            } else {
                continue;
            };
            let is_mine = stored
                .games
                .get(players)
                .is_some_and(|game| game.turn == side);
            if is_mine {
                let waited = i64::from(level.get()) - i64::from(clock.last_turn.get());
                self.clocks.insert(*players, budget.saturating_sub(waited));
            }
        }
    }

    fn content(&mut self, level: Level, content: &Content, receipt: &Receipt) {
        let is_mine = content.source == self.me;
        if is_mine {
            let fees = self.report.fees.plus(content.fee);
            self.report.fees = fees.unwrap_or(self.report.fees);
        }
        let effects = match &receipt.status {
            Status::Applied(effects) => effects,
            Status::Failed(trace) if trace.0.iter().any(is_second_opening) => {
                self.report.came_second += u32::from(is_mine);
                return;
            }
            _ => {
                self.report.failed += u32::from(is_mine);
                return;
            }
        };
        match &content.action {
            Action::Publish { rollup, commitment } if *rollup == self.rollup => {
                let hash = commitment.hash();
                self.published.entry(hash).or_insert((level, *commitment));
                if is_mine {
                    self.ours.insert(hash);
                }
            }
            Action::Refute {
                rollup,
                opponent,
                refutation,
            } if *rollup == self.rollup => {
                let players = Stakers::new(content.source, *opponent);
                self.refutation(level, content.source, players, refutation);
                self.ended(level, players, effects.fields.get("game_status"));
            }
            Action::Timeout { rollup, stakers } if *rollup == self.rollup => {
                self.ended(level, *stakers, effects.fields.get("game_status"));
            }
            _ => {}
        }
    }

    fn refutation(
        &mut self,
        level: Level,
        player: PublicKeyHash,
        players: Stakers,
        refutation: &Refutation,
    ) {
        if players.opponent_of(&self.me).is_none() {
            return;
        }
        let report = &mut self.report;
        let Refutation::Move { step, .. } = refutation else {
            report.detected = report.detected.or(Some(level));
            let opponent = if players.alice() == self.me {
                players.bob()
            } else {
                players.alice()
            };
            report.games.push(Fate {
                opponent,
                opened: level,
                ended: None,
                result: None,
            });
            return;
        };
        if player != self.me {
            report.opposing_moves += 1;
            return;
        }
        match step {
            Step::Dissection(_) => report.dissections += 1,
            Step::Proof(_) => report.proofs += 1,
        }
        if let Some(left) = self.clocks.get(&players) {
            let left = left.saturating_sub(1);
            report.least_left = Some(report.least_left.map_or(left, |least| least.min(left)));
        }
    }

    fn ended(&mut self, level: Level, players: Stakers, status: Option<&Value>) {
        let Some(result) = status.and_then(|status| status.get("result")) else {
            return;
        };
        let loser = result.get("player").and_then(Value::as_str);
        for player in [players.alice(), players.bob()] {
            let has_lost = loser.is_none_or(|loser| loser == player.to_string());
            if has_lost && !self.report.slashed.contains(&player) {
                self.report.slashed.push(player);
            }
        }
        let open = self.report.games.iter_mut().rev().find(|game| {
            let of = Stakers::new(self.me, game.opponent);
            of == players && game.ended.is_none()
        });
        if let Some(game) = open {
            game.ended = Some(level);
            game.result = Some(result.clone());
        }
    }
}
