//! What the policy is told: plain data of one rollup at one block.

use std::collections::BTreeMap;

use crate::codec::Writer;
use crate::config::Mode;
use crate::crypto::{Dialect, Hash, blake2b_concat};
use crate::journal::Judgement;
use crate::protocol::operation::{Refutation, Stakers};
use crate::protocol::{
    Clock, CommitmentHash, Constants, Game, GameResult, GameState, Level, Mutez, Player, Protocol,
    PublicKeyHash, RollupAddress,
};
use crate::tower::lattice::Lattice;
use crate::tower::model::Own;
use crate::tower::stakes::Stakes;

/// A game on the chain with its clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenGame {
    /// Its players.
    pub stakers: Stakers,
    /// Where it stands.
    pub game: Game,
    /// Blocks left of both.
    pub clock: Clock,
    /// How any move of whoever has to move ends it, where a player lost its stake elsewhere.
    pub forfeit: Option<GameResult>,
}

/// Names one position of one game: the same position has the same answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub Hash);

impl SeenGame {
    /// The seat of an account, if it plays.
    #[must_use]
    pub fn seat(&self, account: &PublicKeyHash) -> Option<Player> {
        if *account == self.stakers.alice() {
            Some(Player::Alice)
        } else if *account == self.stakers.bob() {
            Some(Player::Bob)
        } else {
            None
        }
    }

    /// Whether only the second proof is left.
    #[must_use]
    pub const fn is_final_move(&self) -> bool {
        matches!(self.game.state, GameState::FinalMove { .. })
    }

    /// Whether any move of `seat` wins, since the other player lost its stake elsewhere.
    #[must_use]
    pub fn is_forfeited_to(&self, seat: Player) -> bool {
        let other = self.stakers.account(seat.opponent());
        matches!(&self.forfeit, Some(GameResult::Loser { loser, .. }) if *loser == other)
    }

    /// Ticks still in dispute, as the widest section on the table.
    #[must_use]
    pub fn widest(&self) -> u128 {
        match &self.game.state {
            GameState::Dissecting { dissection, .. } => dissection
                .iter()
                .zip(dissection.iter().skip(1))
                .map(|(start, stop)| stop.tick.0.saturating_sub(start.tick.0))
                .max()
                .unwrap_or(1),
            GameState::FinalMove {
                agreed_start,
                refuted_stop,
            } => refuted_stop.tick.0.saturating_sub(agreed_start.tick.0),
        }
    }

    /// This position of this game.
    #[must_use]
    pub fn position(&self, rollup: &RollupAddress) -> Position {
        let mut writer = Writer::new();
        self.stakers.alice().write(&mut writer);
        self.stakers.bob().write(&mut writer);
        self.game.write(&mut writer);
        Position(blake2b_concat(&[&rollup.0, &writer.into_bytes()]))
    }
}

/// Our account on the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Who we are.
    pub address: PublicKeyHash,
    /// Money that can be spent.
    pub balance: Mutez,
    /// Whether our bond lies on this rollup.
    pub is_bonded: bool,
}

/// Whether we may stake on our own commitment of a level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consent {
    /// Both engines, two endpoints and finality agree.
    Given,
    /// It cannot be judged well enough to stake on.
    Refused(String),
}

/// What is to be played in a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Our move, verified by our judge.
    Move(Box<Refutation>),
    /// No move wins a game that is still a draw: why.
    Indefensible(String),
    /// Why we have none.
    NotPlayable(String),
}

/// Why nothing is sent for now although the mode may; of several the last counts, which leaves least
/// to others: standing by alone ends where a clock leaves no time for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// Another program sends from our account.
    StandBy,
    /// We contradicted ourselves.
    Contradiction,
    /// The operator's brake is on.
    Brake,
}

impl Hold {
    /// The word in journal, status and logs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Brake => "brake",
            Self::Contradiction => "contradiction",
            Self::StandBy => "stand by",
        }
    }

    /// The hold of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Brake, Self::Contradiction, Self::StandBy]
            .into_iter()
            .find(|hold| hold.word() == word)
    }
}

/// What the operator decided about play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choices {
    /// Whether strangers' expired games are ended too, where that slashes nobody verified right.
    pub ends_strangers_games: bool,
    /// Money kept for fees, below which people are told.
    pub fee_reserve: Mutez,
    /// Blocks that one of our moves takes, from seeing the position to inclusion.
    pub blocks_per_move: u32,
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            ends_strangers_games: false,
            fee_reserve: Mutez(50_000_000),
            blocks_per_move: 3,
        }
    }
}

/// One rollup at one block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation<'a> {
    pub(crate) rollup: RollupAddress,
    pub(crate) dialect: Dialect,
    pub(crate) mode: Mode,
    pub(crate) hold: Option<Hold>,
    pub(crate) choices: Choices,
    pub(crate) protocol: Protocol,
    pub(crate) constants: &'a Constants,
    pub(crate) lattice: &'a Lattice,
    /// Level of the block; an operation decided now is included one above at the earliest.
    pub(crate) head: Level,
    pub(crate) account: Account,
    pub(crate) stakes: &'a Stakes,
    pub(crate) own: &'a BTreeMap<Level, Own>,
    pub(crate) verdicts: &'a BTreeMap<CommitmentHash, Judgement>,
    /// Games of ours and of everybody in conflict with us.
    pub(crate) games: &'a [SeenGame],
    pub(crate) consents: &'a BTreeMap<CommitmentHash, Consent>,
    pub(crate) answers: &'a BTreeMap<Position, Answer>,
}

impl Situation<'_> {
    pub(super) fn me(&self) -> PublicKeyHash {
        self.account.address
    }

    /// Level of the next block.
    pub(super) fn next_block(&self) -> Level {
        self.head.next().unwrap_or(self.head)
    }

    /// The highest level that we stand on.
    pub(super) fn staked(&self) -> Option<Level> {
        let me = self.me();
        self.stakes
            .claims()
            .filter(|(_, claim)| claim.stakers.contains(&me))
            .map(|(_, claim)| claim.commitment.inbox_level)
            .max()
    }

    pub(super) fn games_of(&self, account: &PublicKeyHash) -> usize {
        let playing = self.games.iter();
        playing.filter(|game| game.seat(account).is_some()).count()
    }

    pub(super) fn our_games(&self) -> impl Iterator<Item = (&SeenGame, Player)> {
        let me = self.me();
        self.games
            .iter()
            .filter_map(move |game| Some((game, game.seat(&me)?)))
    }

    pub(super) fn plays_with(&self, opponent: &PublicKeyHash) -> bool {
        let pair = Stakers::new(self.me(), *opponent);
        self.games.iter().any(|game| game.stakers == pair)
    }

    /// The commitment that an account stands on at an inbox level.
    pub(super) fn claimed(&self, account: &PublicKeyHash, level: Level) -> Option<CommitmentHash> {
        self.stakes
            .claims_at(level)
            .find(|(_, claim)| claim.stakers.contains(account))
            .map(|(hash, _)| hash)
    }

    /// What is thought of what an account claims at a level.
    pub(super) fn thought_of(&self, account: &PublicKeyHash, level: Level) -> Option<&Judgement> {
        let claimed = self.claimed(account, level)?;
        self.verdicts.get(&claimed)
    }
}
