//! What the tower shows of itself while it runs: plain data, replaced after every batch.

use super::model::{Model, Place, Tally};
use super::outlook::Outlook;
use super::policy::Purse;
use crate::journal::Foreseen;
use crate::protocol::{Dialected, Level, Mutez, Player, PublicKeyHash};

/// How the tower stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Level of the last block taken in.
    pub tip: Option<Level>,
    /// Level of the node's head.
    pub head: Option<Level>,
    /// How each rollup stands.
    pub rollups: Vec<RollupStatus>,
    /// Figures beside the model.
    pub outlook: Outlook,
    /// How play stands.
    pub play: PlayStatus,
}

/// How one rollup stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollupStatus {
    /// Its address.
    pub address: String,
    /// Level of its origination.
    pub origination: Level,
    /// Level of the last known state.
    pub reached: Level,
    /// Verdicts in force.
    pub tally: Tally,
    /// Why it cannot go on, if it cannot.
    pub blocked: Option<String>,
}

/// How play stands, over all rollups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlayStatus {
    /// The mode's name; empty until play begins.
    pub mode: &'static str,
    /// Our account.
    pub account: Option<PublicKeyHash>,
    /// Money it can spend.
    pub balance: Option<Mutez>,
    /// Why nothing is sent, each with the rollup it is about (everything when there is none).
    pub holds: Vec<(Option<String>, &'static str)>,
    /// Rollups on which our bond lies.
    pub bonded: Vec<String>,
    /// Games on the chain: ours, and those of stakers in conflict with us.
    pub games: Vec<GameStatus>,
    /// Operations wanted and not yet on the chain.
    pub wanted: usize,
    /// Tasks waiting for or on a worker.
    pub working: usize,
    /// The last tip at which everything wanted was handed over and nothing was under way.
    pub settled: Option<Place>,
    /// Games of ours that ended, as far back as the journal goes: won, lost, drawn.
    pub ended: [u64; 3],
    /// Our money on each rollup.
    pub purses: Vec<(String, Purse)>,
    /// What won games brought, and what slashed bonds cost.
    pub won_and_lost: [Mutez; 2],
    /// Signatures refused since the start: by the gate, by the key.
    pub refusals: [u64; 2],
    /// Hashes that games asked for: known already, computed.
    pub asked: [u64; 2],
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Turn {
    /// Ours.
    Ours,
    /// The opponent's.
    Theirs,
}

/// What a game is about now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The interval is being narrowed.
    Dissecting,
    /// A proof was refused: the other player may prove.
    FinalMove,
}

/// How one game of ours stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GameStatus {
    /// The rollup.
    pub rollup: String,
    /// The opponent.
    pub opponent: PublicKeyHash,
    /// Our seat.
    pub seat: Player,
    /// Level of the opening.
    pub start: Level,
    /// Inbox level of the disputed commitment.
    pub inbox_level: Level,
    /// Whose turn it is.
    pub turn: Turn,
    /// What it is about now.
    pub stage: Stage,
    /// Ticks still in dispute: the widest section on the table.
    pub width: u128,
    /// Blocks left on our clock at the tip.
    pub our_blocks_left: i64,
    /// Blocks left on theirs.
    pub their_blocks_left: i64,
    /// Blocks we can lose and still make all moves that are left.
    pub slack: i64,
    /// Moves of ours found so far.
    pub moves: u32,
    /// Who wins if both play the rest honestly.
    pub forecast: Foreseen,
    /// The bond that depends on it.
    pub stake: Mutez,
    /// Blocks of a whole clock.
    pub clock: u32,
    /// The kind of what stands in the way of our answer, one of [`crate::game::OBSTACLES`].
    pub obstacle: Option<&'static str>,
    /// Why we cannot answer, if we cannot.
    pub not_playable: Option<String>,
}

impl Status {
    /// Takes over what the model says; play speaks for itself.
    pub(super) fn take(&mut self, model: &Model, outlook: Outlook) {
        let rollups = model.rollups.values().map(|rollup| RollupStatus {
            address: rollup.address.text(rollup.dialect),
            origination: rollup.genesis.inbox_level,
            reached: rollup.reached.level,
            tally: rollup.tally(),
            blocked: rollup
                .blocked
                .as_ref()
                .map(|unknown| format!("{} ({})", unknown.reason, unknown.detail)),
        });
        self.tip = Some(model.tip.level);
        self.head = model.head;
        self.rollups = rollups.collect();
        self.outlook = outlook;
    }
}
