//! What play writes down: what changed since the block before, as journal rows. Pure.
//!
//! Promises: a wish is written when it arises, when its reason changes, and when it is gone, not at
//! every block; a position once.

use std::collections::BTreeMap;

use super::desk::Found;
use crate::codec::Writer;
use crate::config::Mode;
use crate::journal::{
    DecisionRow, Ending, GameEndRow, GameName, GameRow, OperationRow, PlayEntry, PositionRow, Verb,
};
use crate::protocol::operation::{Action, Refutation, Stakers, Step};
use crate::protocol::{Dialected, GameState, PublicKeyHash, RollupAddress};
use crate::tower::model::Place;
use crate::tower::policy::{Plan, SeenGame, Wait, Wish};

/// What an operation does, in one line.
pub(super) fn told(action: &Action, dialect: crate::crypto::Dialect) -> String {
    match action {
        Action::Publish { commitment, .. } => format!(
            "publish {} for level {}",
            commitment.hash().text(dialect),
            commitment.inbox_level
        ),
        Action::Refute {
            opponent,
            refutation,
            ..
        } => match refutation {
            Refutation::Start { .. } | Refutation::StartOnConflict => {
                format!("open a game against {opponent}")
            }
            Refutation::Move { choice, step } => match step {
                Step::Dissection(chunks) => format!(
                    "dissect from tick {choice} in {} sections against {opponent}",
                    chunks.len().saturating_sub(1)
                ),
                Step::Proof(_) => format!("prove tick {choice} against {opponent}"),
            },
        },
        Action::Timeout { stakers, .. } => format!(
            "end the game of {} and {} by the clock",
            stakers.alice(),
            stakers.bob()
        ),
        Action::Cement { .. } => "cement".into(),
        Action::RecoverBond { staker, .. } => format!("recover the bond of {staker}"),
        other => other.kind().to_string(),
    }
}

/// The name of a game on the chain.
pub(super) fn name(rollup: RollupAddress, game: &SeenGame) -> GameName {
    GameName {
        rollup,
        stakers: game.stakers,
        start: game.game.start_level,
        inbox_level: game.game.inbox_level,
    }
}

/// What was wanted at the block before.
#[derive(Debug, Default)]
pub(super) struct Last {
    wishes: BTreeMap<String, (String, Option<&'static str>)>,
    waits: BTreeMap<String, String>,
}

/// Where and how a plan was made.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) rollup: RollupAddress,
    pub(super) dialect: crate::crypto::Dialect,
    pub(super) place: Place,
    pub(super) mode: Mode,
}

impl Last {
    /// Rows for what is new in a plan, or gone; remembers the plan.
    pub(super) fn decisions(&mut self, at: At, plan: &Plan) -> Vec<PlayEntry> {
        let hold = plan.hold.map(crate::tower::policy::Hold::word);
        let mut rows = Vec::new();
        let mut wishes = BTreeMap::new();
        for wish in &plan.wishes {
            let what = told(&wish.action, at.dialect);
            let reason = wish.purpose.to_string();
            if self.wishes.get(&what) != Some(&(reason.clone(), hold)) {
                rows.push(at.want(&what, &reason, wish, hold));
            }
            wishes.insert(what, (reason, hold));
        }
        let mut waits = BTreeMap::new();
        for wait in &plan.waits {
            let (what, reason) = (waited(wait), wait.reason.to_string());
            if self.waits.get(&what) != Some(&reason) {
                rows.push(at.row(Verb::Wait, &what, &reason, hold));
            }
            waits.insert(what, reason);
        }
        for (what, (reason, _)) in &self.wishes {
            if !wishes.contains_key(what) {
                rows.push(at.row(Verb::Drop, what, reason, hold));
            }
        }
        self.wishes = wishes;
        self.waits = waits;
        rows
    }
}

fn waited(wait: &Wait) -> String {
    match wait.opponent {
        Some(opponent) => format!("{} ({opponent})", wait.purpose),
        None => wait.purpose.to_string(),
    }
}

impl At {
    fn row(&self, verb: Verb, what: &str, reason: &str, hold: Option<&'static str>) -> PlayEntry {
        PlayEntry::Decision(DecisionRow {
            rollup: self.rollup,
            block: self.place.block,
            level: self.place.level,
            verb,
            what: what.to_owned(),
            reason: reason.to_owned(),
            deadline: None,
            slack: None,
            mode: self.mode.name(),
            hold,
        })
    }

    fn want(&self, what: &str, reason: &str, wish: &Wish, hold: Option<&'static str>) -> PlayEntry {
        let PlayEntry::Decision(row) = self.row(Verb::Want, what, reason, hold) else {
            return self.row(Verb::Want, what, reason, hold);
        };
        PlayEntry::Decision(DecisionRow {
            deadline: wish.deadline,
            slack: (wish.slack < i64::from(i32::MAX)).then_some(wish.slack),
            ..row
        })
    }

    /// A game and where it stands.
    pub(super) fn position(&self, game: &SeenGame) -> [PlayEntry; 2] {
        let name = name(self.rollup, game);
        let mut content = Writer::new();
        game.game.write(&mut content);
        [
            PlayEntry::Game(GameRow {
                game: name,
                block: self.place.block,
                level: self.place.level,
            }),
            PlayEntry::Position(PositionRow {
                game: name,
                block: self.place.block,
                level: self.place.level,
                position: game.position(&self.rollup).0,
                turn: game.game.turn,
                alice_left: game.clock.alice.into(),
                bob_left: game.clock.bob.into(),
                last_turn: game.clock.last_turn,
                stage: match game.game.state {
                    GameState::Dissecting { .. } => "dissecting",
                    GameState::FinalMove { .. } => "final move",
                },
                content: content.into_bytes(),
            }),
        ]
    }

    /// The end of a game that is no longer on the chain, told by the operation that ended it.
    pub(super) fn ended(&self, game: GameName, operations: &[OperationRow]) -> GameEndRow {
        let ended = operations
            .iter()
            .rev()
            .filter(|row| row.level >= game.start)
            .find_map(|row| {
                end_of(row, &game.stakers).map(|(ending, reason)| (row, ending, reason))
            });
        match ended {
            Some((row, ending, reason)) => GameEndRow {
                game,
                block: row.block,
                level: row.level,
                ending,
                reason,
            },
            None => GameEndRow {
                game,
                block: self.place.block,
                level: self.place.level,
                ending: Ending::Gone,
                reason: None,
            },
        }
    }
}

/// How an operation ended the game of these two, if it did.
fn end_of(row: &OperationRow, stakers: &Stakers) -> Option<(Ending, Option<String>)> {
    let detail: serde_json::Value = serde_json::from_str(&row.detail).ok()?;
    let account = |key: &str| -> Option<PublicKeyHash> { detail.get(key)?.as_str()?.parse().ok() };
    let pair = match row.kind.as_str() {
        "refute" => Stakers::new(row.source, account("opponent")?),
        "timeout" => Stakers::new(account("alice")?, account("bob")?),
        _ => return None,
    };
    if pair != *stakers {
        return None;
    }
    let reason = detail.get("reason").and_then(|reason| reason.as_str());
    let ending = match detail.get("result")?.as_str()? {
        "loser" => Ending::Loser(account("loser")?),
        "draw" => Ending::Draw,
        _ => return None,
    };
    Some((ending, reason.map(str::to_owned)))
}

/// A move found, as a row.
pub(super) fn found(game: GameName, found: &Found) -> PlayEntry {
    PlayEntry::Move(crate::journal::MoveRow {
        game,
        position: found.position.0,
        kind: found.kind(),
        refutation: found.bytes(),
        milliseconds: found.milliseconds,
        detail: found.detail.to_string(),
    })
}
